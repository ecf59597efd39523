//! What `rdump capture` costs while documents are inserted at a steady rate, and how far it is behind.
//!
//! A moment of an oplog has seconds only. So it is noted of each batch of inserts when it was sent and at which moment of the deployment
//! it ended: the time of a moment is that of the last batch until then, by the one clock of this machine. What is said of how far the
//! capture is behind is too much by the time that an insert takes, and never too little.

mod journal;
mod load;
mod options;
mod program;
mod report;
mod stored;

use std::{
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bson::doc;
use clap::Parser as _;
use rdump_testkit::ReplicaSet;
use tokio::time::MissedTickBehavior;

use self::{
    load::Load,
    options::Options,
    program::Running,
    report::{Report, Spread},
    stored::Stored,
};
use crate::{
    arguments::arguments,
    machine::{Machine, Versions},
    process::{peak_bytes, processor_seconds},
    programs::Programs,
    screen,
    units::count,
    until_stopped::until_stopped,
};

/// Time between two looks at how far the capture is behind.
const SAMPLE: Duration = Duration::from_millis(200);
/// WiredTiger cache of the server, in MiB.
const CACHE_MEBIBYTES: u32 = 1024;

/// Runs the measurement; the exit code is 0 if the capture ended well and has every insert.
pub fn main() -> ExitCode {
    let options = Options::parse_from(arguments());
    until_stopped(async { run(&options).await.map(|()| ExitCode::SUCCESS) })
}

async fn run(options: &Options) -> Result<()> {
    screen::note("building rdump for release");
    let programs = tokio::task::spawn_blocking(Programs::build).await??;
    let folder = tempfile::Builder::new().prefix("rdump-bench-").tempdir();
    let folder = folder.context("could not create a temporary folder")?;
    let source = ReplicaSet::builder()
        .cache_mebibytes(CACHE_MEBIBYTES)
        .oplog_mebibytes(options.oplog_mebibytes())
        .start()
        .await;
    let build = source.admin_command(doc! { "buildInfo": 1 }).await?;
    let mongod = build.get_str("version").unwrap_or("unknown").to_owned();
    let versions = Versions::find(&programs, None, mongod);
    let mut report = Report::new(Machine::find(folder.path()), versions, options);

    let repository = folder.path().join("repository");
    let log = folder.path().join("capture.log");
    let mut running = Running::start(&programs.rdump, &repository, &log, &source.uri(), options)?;
    running.await_begun(&source).await?;
    measure(&mut running, &source, options, &mut report).await?;
    let told = running.stop().await?;
    report.entries = told.entries;
    report.stored_bytes = told.stored_bytes;
    report.interruptions = told.interruptions;

    screen::note("reading what was stored");
    program::verify(&programs.rdump, &repository).await?;
    let stored = tokio::task::spawn_blocking(move || Stored::read(&repository)).await??;
    ensure!(
        stored.inserts == report.inserts,
        "{} documents were inserted, and {} inserts are captured",
        count(report.inserts),
        count(stored.inserts)
    );
    ensure!(
        stored.entries == told.entries,
        "the capture says that it has stored {} entries, and there are {}",
        count(told.entries),
        count(stored.entries)
    );
    show(&report, options)
}

/// Inserts, looks how far the capture is behind meanwhile, and waits until it has everything.
async fn measure(
    running: &mut Running,
    source: &ReplicaSet,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let load = Load::new(source, options).await?;
    screen::note(format!(
        "inserting {} documents per second for {} s",
        count(options.rate.into()),
        options.seconds
    ));
    let processor = |running: &Running| {
        processor_seconds(running.id()).context("the capture has ended by itself")
    };
    let (started, processor_before) = (Instant::now(), processor(running)?);
    let (mut behind, mut ticks) = (Vec::new(), tokio::time::interval(SAMPLE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut writing = Box::pin(load.run());
    let written = loop {
        tokio::select! {
            written = &mut writing => break written?,
            _ = ticks.tick() => {
                running.check()?;
                let until = load.journal.time_of(running.captured_until());
                behind.push(until.unwrap_or(started).elapsed().as_secs_f64());
            }
        }
    };
    let processor_during = processor(running)? - processor_before;
    let seconds = started.elapsed().as_secs_f64();
    running.await_captured(load.journal.last()).await?;
    report.caught_up_seconds = started.elapsed().as_secs_f64() - seconds;
    report.cpu_seconds = processor(running)? - processor_before;
    report.memory_bytes = peak_bytes(running.id())?;
    report.cpu_cores = processor_during / seconds;
    report.inserts = written;
    report.seconds = seconds;
    // The last batch is due before the end.
    report.inserts_per_second = written as f64 / seconds.max(options.seconds.into());
    let lags = load.journal.lags(&running.slices());
    report.slices = lags.len();
    report.slice_lag_seconds = Spread::of(lags).context("no slice was stored")?;
    report.behind_seconds = Spread::of(behind).context("nothing was looked at")?;
    Ok(())
}

fn show(report: &Report, options: &Options) -> Result<()> {
    screen::line(report.text());
    if let Some(file) = &options.json {
        let line = serde_json::to_string(report).context("the report is no JSON")?;
        if file.as_os_str() == "-" {
            screen::line(line);
        } else {
            let written = fs::write(file, line + "\n");
            written.with_context(|| format!("could not write {}", file.display()))?;
        }
    }
    Ok(())
}
