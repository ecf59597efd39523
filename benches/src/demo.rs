//! The demo: a deployment with every kind of collection is dumped, verified, restored and compared.
//!
//! Everything runs on throwaway servers and in a temporary folder. Dump and restore are done by the binaries, as
//! their users would do it; only what is compared is read by the test kit.

mod data;
mod keep;

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, binaries,
    measure::{Measure, Measured},
};
use tempfile::TempDir;

use crate::{
    arguments::arguments,
    folder::Contents,
    programs::Programs,
    screen::{self, Step},
    units::{count, megabytes, percent, rate, seconds},
};

/// WiredTiger cache of each server, in MiB.
const CACHE_MEBIBYTES: u32 = 1024;
/// Lines that are shown of what a failed program said.
const TAIL_LINES: usize = 20;

/// Dumps a throwaway deployment, restores it beside itself, and compares the two.
#[derive(Debug, Parser)]
#[command(name = "demo", bin_name = "cargo demo --", version)]
struct Options {
    /// Leave servers and dump for playing, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// What the steps work on.
#[derive(Debug)]
struct Demo {
    programs: Programs,
    source: ReplicaSet,
    target: ReplicaSet,
    folder: TempDir,
}

/// Runs the demo; the exit code is 0 only if what was restored is the same as what was dumped.
pub fn main() -> ExitCode {
    let options = Options::parse_from(arguments());
    let outcome = tokio::runtime::Runtime::new()
        .context("could not start the runtime")
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(&options));
            // A program that is still being measured ends by itself: its servers are gone.
            runtime.shutdown_background();
            outcome
        });
    outcome.unwrap_or_else(|error| screen::failure(&error))
}

async fn run(options: &Options) -> Result<ExitCode> {
    let demo = tokio::select! {
        demo = Box::pin(demonstrate()) => demo?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
    };
    if options.keep {
        demo.keep().await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn demonstrate() -> Result<Demo> {
    screen::line(
        "rdump demo: dump a MongoDB deployment, restore it beside itself, compare the two\n",
    );
    let step = Step::begin("build", "building rdump and rrestore for release");
    let started = Instant::now();
    let programs = tokio::task::spawn_blocking(Programs::build).await??;
    step.done([format!(
        "rdump and rrestore, for release, {}",
        seconds(started.elapsed())
    )]);

    let started = Instant::now();
    let demo = Demo::start(programs).await?;
    demo.seed().await;
    let expected = demo.look().await;
    demo.dump(&expected).await?;
    demo.verify().await?;
    demo.restore(&expected).await?;
    demo.compare(&expected).await?;
    screen::line(format!(
        "\nThe restored deployment is the same: content, options and indexes. {} altogether.",
        seconds(started.elapsed())
    ));
    Ok(demo)
}

impl Demo {
    async fn start(programs: Programs) -> Result<Self> {
        let step = Step::begin(
            "start",
            "starting two servers (the first time, mongod is fetched)",
        );
        let started = Instant::now();
        tokio::task::spawn_blocking(binaries::find_mongod).await??;
        let server = || {
            ReplicaSet::builder()
                .cache_mebibytes(CACHE_MEBIBYTES)
                .start()
        };
        let (source, target) = tokio::join!(server(), server());
        let folder = tempfile::Builder::new().prefix("rdump-demo-").tempdir();
        let folder = folder.context("could not create a temporary folder")?;
        let version = data::server_version(&source).await?;
        step.done([format!(
            "mongod {version}: a source and a target, replica sets of one member each, {}",
            seconds(started.elapsed())
        )]);
        Ok(Self {
            programs,
            source,
            target,
            folder,
        })
    }

    async fn seed(&self) {
        let step = Step::begin("seed", "filling the source with every kind of collection");
        let started = Instant::now();
        data::seed(&self.source).await;
        step.done([format!(
            "the source is filled with the same data every time, {}",
            seconds(started.elapsed())
        )]);
    }

    async fn look(&self) -> Fingerprint {
        let step = Step::begin("look", "reading the source, to compare with later");
        let started = Instant::now();
        let found = Fingerprint::of(&self.source.client(), &compared()).await;
        step.done([
            format!(
                "{} documents, {}, in {}; read in {}",
                count(found.documents()),
                megabytes(found.document_bytes()),
                data::summary(&found),
                seconds(started.elapsed())
            ),
            data::kinds(&found),
        ]);
        found
    }

    async fn dump(&self, expected: &Fingerprint) -> Result<()> {
        let step = Step::begin("rdump", "dumping the source, compressed by zstd");
        let mut command = Command::new(&self.programs.rdump);
        command.args(["--quiet", "--compress", "zstd:1"]);
        command
            .args(["--uri", &self.source.uri()])
            .arg("--out")
            .arg(self.dump_folder());
        let measured = measure(command).await?;
        let stored = Contents::of(&self.dump_folder()).context("could not look into the dump")?;
        step.done([
            figures(expected, &measured),
            format!(
                "{} on disk in {} files, {} of the documents",
                megabytes(stored.bytes),
                count(stored.files),
                percent(stored.bytes, expected.document_bytes())
            ),
        ]);
        Ok(())
    }

    async fn verify(&self) -> Result<()> {
        let step = Step::begin(
            "verify",
            "reading the dump and comparing it with its manifest",
        );
        let mut command = Command::new(&self.programs.rdump);
        command.args(["verify", "--quiet"]).arg(self.dump_folder());
        let measured = measure(command).await?;
        step.done([format!(
            "every byte of the dump is as its manifest says, {}",
            seconds(measured.wall)
        )]);
        Ok(())
    }

    async fn restore(&self, expected: &Fingerprint) -> Result<()> {
        let step = Step::begin("rrestore", "restoring into the target, indexes included");
        let mut command = Command::new(&self.programs.rrestore);
        command
            // Some collections hold documents that their validators would refuse today.
            .args(["--quiet", "--strict", "--bypassDocumentValidation"])
            .args(["--uri", &self.target.uri()])
            .arg(self.dump_folder());
        let measured = measure(command).await?;
        step.done([figures(expected, &measured)]);
        Ok(())
    }

    async fn compare(&self, expected: &Fingerprint) -> Result<()> {
        let step = Step::begin(
            "compare",
            "reading the target and comparing it with the source",
        );
        let started = Instant::now();
        let found = Fingerprint::of(&self.target.client(), &compared()).await;
        let diff = expected.diff(&found);
        if !diff.is_empty() {
            bail!("the restored deployment is not the same as the source: {diff}");
        }
        step.done([format!(
            "no difference in {} documents and {}, {}",
            count(found.documents()),
            data::summary(&found),
            seconds(started.elapsed())
        )]);
        Ok(())
    }

    fn dump_folder(&self) -> PathBuf {
        self.folder.path().join("dump")
    }
}

/// Runs a program to its end and measures it; fails with what it said if it fails.
async fn measure(command: Command) -> Result<Measured> {
    let program = command.get_program().to_owned();
    let name = PathBuf::from(&program)
        .file_name()
        .map_or(program, OsStr::to_owned);
    let measured = tokio::task::spawn_blocking(|| Measure::new(command).run()).await?;
    let measured = measured.with_context(|| format!("could not start {}", name.display()))?;
    if !measured.status.success() {
        let said = measured.stderr_text();
        let lines: Vec<&str> = said.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
        bail!(
            "{} ended with {}\n  {tail}",
            name.display(),
            measured.status
        );
    }
    Ok(measured)
}

/// What a program took to move all documents.
fn figures(moved: &Fingerprint, measured: &Measured) -> String {
    format!(
        "{} documents, {} in {}, {}; processor {}, peak memory {}",
        count(moved.documents()),
        megabytes(moved.document_bytes()),
        seconds(measured.wall),
        rate(moved.document_bytes(), measured.wall),
        seconds(measured.cpu()),
        megabytes(measured.peak_bytes)
    )
}

/// What is compared: everything but the version of indexes, which a restore raises to the newest.
fn compared() -> FingerprintOptions {
    FingerprintOptions::new().ignore_index_version(true)
}
