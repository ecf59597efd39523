//! Running the rows.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use rdump_testkit::{
    SeaweedFs,
    measure::Measure,
    s3::{ACCESS_KEY, BUCKET, SECRET_KEY},
};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::{
    discard, drain, oplog,
    report::{DataReport, RowReport, Sample, SideReport},
    rows::{INPUTS, Kind, Program, Row, Side},
    servers::{self, Servers},
};
use crate::{
    folder::Contents,
    programs::{Programs, ReferenceTools},
    screen,
};

/// Everything that runs need.
#[derive(Debug)]
pub(super) struct Bench {
    programs: Programs,
    reference: Option<ReferenceTools>,
    servers: Servers,
    folder: TempDir,
    /// Started for the first row that needs one.
    store: OnceCell<SeaweedFs>,
}

impl Bench {
    pub(super) fn new(
        programs: Programs,
        reference: Option<ReferenceTools>,
        servers: Servers,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("rdump-bench-").tempdir();
        let folder = folder.context("could not create a temporary folder")?;
        Ok(Self {
            programs,
            reference,
            servers,
            folder,
            store: OnceCell::new(),
        })
    }

    /// Where dumps go.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn data(&self) -> DataReport {
        let data = self.servers.data();
        DataReport {
            documents: data.documents,
            bytes: data.bytes,
        }
    }

    /// Runs both sides of a row in turn; without the reference tools, ours alone.
    pub(super) async fn row(&self, row: &Row, runs: u32, is_cold: bool) -> Result<RowReport> {
        let mut sides = vec![&row.ours];
        sides.extend(self.reference.as_ref().map(|_| &row.theirs));
        for side in &sides {
            self.prepare(side).await?;
        }
        if self.reference.is_some() && !is_cold {
            for side in &sides {
                self.once(row, side).await?;
            }
        }
        let mut samples = vec![Vec::new(); sides.len()];
        for run in 1..=runs {
            let mut walls = Vec::new();
            for (side, samples) in sides.iter().zip(&mut samples) {
                let sample = self.once(row, side).await?;
                walls.push(format!(
                    "{} {:.2} s",
                    side.program.name(),
                    sample.wall_seconds
                ));
                samples.push(sample);
            }
            screen::note(format!(
                "{}, run {run} of {runs}: {}",
                row.name,
                walls.join(", ")
            ));
        }
        let mut sides = sides
            .into_iter()
            .zip(samples)
            .map(|(side, samples)| SideReport::new(side, samples));
        let ours = sides.next().context("a row has our side")?;
        Ok(RowReport::new(row, ours, sides.next()))
    }

    /// Makes the dumps that a side reads and that are not there yet.
    async fn prepare(&self, side: &Side) -> Result<()> {
        if side.mentions("endpoint") {
            self.store.get_or_init(SeaweedFs::start).await;
        }
        if side.mentions("many") || side.mentions("rdump-many") || side.mentions("mongodump-many") {
            self.servers.seed_many().await?;
        }
        for input in INPUTS.iter().filter(|input| side.mentions(input.name)) {
            let folder = self.input(input.name);
            if !folder.exists() {
                screen::note(format!("preparing a dump: {}", input.name));
                self.run(&input.dump, &folder)
                    .await
                    .with_context(|| input.name.to_owned())?;
            }
        }
        let folder = self.input(oplog::NAME);
        if side.mentions(oplog::NAME) && !folder.exists() {
            screen::note("preparing an oplog");
            oplog::write(&folder, self.servers.scale())?;
        }
        Ok(())
    }

    /// Runs one side once and cleans up behind it.
    async fn once(&self, row: &Row, side: &Side) -> Result<Sample> {
        let out = self.folder().join("out");
        self.servers.settle().await?;
        let context = || format!("row {}: {}", row.name, side.program.name());
        let before = self.servers.processor_seconds()?;
        let mut sample = self.run(side, &out).await.with_context(context)?;
        sample.server_seconds = self.servers.processor_seconds()? - before;
        match row.kind {
            Kind::Dump => {}
            Kind::Restore => self.servers.check_target().await.with_context(context)?,
            Kind::RestoreMany => self.servers.check_many().await.with_context(context)?,
            Kind::Replay => self.servers.check_replayed().await.with_context(context)?,
        }
        self.servers.empty_target().await?;
        if out.exists() {
            fs::remove_dir_all(&out).context("could not remove a dump")?;
        }
        // What one run left to be written must not slow down the next.
        let synced = tokio::task::spawn_blocking(|| Command::new("sync").status()).await?;
        synced.context("could not start sync")?;
        Ok(sample)
    }

    async fn run(&self, side: &Side, out: &Path) -> Result<Sample> {
        let (mut command, flag) = match (side.program, &self.reference) {
            (Program::Rdump, _) => (Command::new(&self.programs.rdump), None),
            (Program::Rrestore, _) => (Command::new(&self.programs.rrestore), None),
            (Program::Discard, _) => (Command::new(env::current_exe()?), Some(discard::FLAG)),
            (Program::Drain, _) => (Command::new(env::current_exe()?), Some(drain::FLAG)),
            (Program::OurPipeline, _) => (Command::new("bash"), Some("-c")),
            (Program::Mongodump, Some(tools)) => (Command::new(&tools.mongodump), None),
            (Program::Mongorestore, Some(tools)) => (Command::new(&tools.mongorestore), None),
            (Program::Pipeline, Some(_)) => (Command::new("bash"), Some("-c")),
            (Program::Mongodump | Program::Mongorestore | Program::Pipeline, None) => {
                bail!("there are no reference tools")
            }
        };
        command.args(flag).args(self.arguments(side, out));
        if side.mentions("endpoint") {
            command
                .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
                .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_EC2_METADATA_DISABLED", "true");
        }
        let shown = format!("{command:?}");
        let measure = Measure::new(command).discard_stdout();
        let measured = tokio::task::spawn_blocking(|| measure.run()).await??;
        if !measured.status.success() {
            bail!(
                "{shown} ended with {}: {}",
                measured.status,
                measured.stderr_text().trim_end()
            );
        }
        let size_bytes = if out.exists() {
            Some(Contents::of(out)?.bytes)
        } else {
            None
        };
        Ok(Sample {
            wall_seconds: measured.wall.as_secs_f64(),
            cpu_seconds: measured.cpu().as_secs_f64(),
            memory_bytes: measured.peak_bytes,
            size_bytes,
            server_seconds: 0.0,
        })
    }

    fn arguments(&self, side: &Side, out: &Path) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut values = vec![
            ("source", self.servers.source_uri()),
            ("target", self.servers.target_uri()),
            ("host", self.servers.source_host()),
            ("many", servers::MANY.to_owned()),
            ("rdump", text(&self.programs.rdump)),
            ("rrestore", text(&self.programs.rrestore)),
            ("documents", self.servers.data().documents.to_string()),
            ("out", text(out)),
            (oplog::NAME, text(&self.input(oplog::NAME))),
            ("bucket", BUCKET.to_owned()),
            (
                "aws",
                env::var("AWS").unwrap_or_else(|_unset| "aws".to_owned()),
            ),
        ];
        if let Some(store) = self.store.get() {
            values.push(("endpoint", format!("http://{}", store.address())));
        }
        if let Some(tools) = &self.reference {
            values.push(("mongodump", text(&tools.mongodump)));
            values.push(("mongorestore", text(&tools.mongorestore)));
        }
        values.extend(INPUTS.iter().map(|input| {
            let place = match input.name.ends_with("-s3") {
                true => format!("s3://{BUCKET}/{}", input.name),
                false => text(&self.input(input.name)),
            };
            (input.name, place)
        }));
        let values: Vec<(&str, &str)> = values
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        side.arguments_with(&values)
    }

    fn input(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}
