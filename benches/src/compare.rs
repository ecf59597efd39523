//! The side-by-side runner: rdump and rrestore in turn with mongodump and mongorestore.
//!
//! What is compared is data (`rows`); each side of a row is a command line. A row runs `A B A B …` on the same
//! servers after one unmeasured run of each, every run in a folder or target that is new, after the servers and the
//! disk have come to rest. Medians are compared.

mod bench;
mod discard;
mod drain;
mod oplog;
mod options;
mod plot;
mod report;
mod rows;
mod servers;
mod table;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser as _;

use self::{bench::Bench, options::Options, report::Report, rows::Kind, servers::Servers};
use crate::{
    arguments::arguments,
    machine::{Machine, Versions},
    programs::{Programs, ReferenceTools},
    screen,
    until_stopped::until_stopped,
};

/// Runs the comparison; the exit code is 0 if every program did its work, whatever the ratios.
pub fn main() -> ExitCode {
    if let Some(code) = discard::maybe_run().or_else(drain::maybe_run) {
        return code;
    }
    let options = Options::parse_from(arguments());
    if options.list {
        for row in rows::ROWS {
            screen::line(format!("{:<16} {}", row.name, row.title));
        }
        return ExitCode::SUCCESS;
    }
    until_stopped(async { run(&options).await.map(|()| ExitCode::SUCCESS) })
}

async fn run(options: &Options) -> Result<()> {
    let rows = options.selected()?;
    let reference = if options.smoke {
        None
    } else {
        Some(ReferenceTools::find()?)
    };
    screen::note("building rdump and rrestore for release");
    let programs = tokio::task::spawn_blocking(Programs::build).await??;
    // A replay reads a file.
    let is_read = rows.iter().any(|row| row.kind != Kind::Replay);
    let servers = Servers::start(options.scale(), is_read, options.cache_mebibytes()).await?;
    let versions = Versions::find(&programs, reference.as_ref(), servers.version().await?);
    let bench = Bench::new(programs, reference, servers)?;
    let mut report = Report::new(
        Machine::find(bench.folder()),
        versions,
        (options.runs(), options.cold),
        bench.data(),
    );
    for row in rows {
        report
            .rows
            .push(bench.row(row, options.runs(), options.cold).await?);
        // After each row, so that a run that is broken off leaves what it measured.
        save(&report, options)?;
    }
    screen::line(table::text(&report));
    Ok(())
}

fn save(report: &Report, options: &Options) -> Result<()> {
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(report).context("the report is no JSON")?;
        write(file, &(json + "\n"))?;
    }
    if let Some(file) = &options.markdown {
        let old = fs::read_to_string(file).unwrap_or_default();
        write(file, &table::placed(&old, &table::markdown(report)))?;
        if let Some(plot) = plot::svg(report)? {
            write(&file.with_extension("svg"), &plot)?;
        }
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("could not write {}", file.display()))
}
