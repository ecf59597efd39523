//! `rdump capture` as a process, and what it tells.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bson::{Document, doc};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump::OpTime;
use rdump_testkit::ReplicaSet;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    task::JoinSet,
};

use super::options::Options;

/// How old the first entry of a slice becomes before it is stored.
pub(super) const SLICE_AGE: &str = "1s";
/// How long it may store nothing while something is to be stored, and how long it may take to end.
const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks at what it told.
const LOOK: Duration = Duration::from_millis(20);
/// Lines that are shown of what it said when it failed.
const TAIL_LINES: usize = 20;

/// A slice that was stored, and when that was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    pub(super) end: OpTime,
    pub(super) stored: Instant,
}

/// What it says at its end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Told {
    pub(super) entries: u64,
    pub(super) stored_bytes: u64,
    pub(super) gaps: u64,
    pub(super) interruptions: u64,
}

/// What it has said so far.
#[derive(Debug, Default)]
struct Heard {
    slices: Vec<Slice>,
    told: Option<Told>,
}

impl Heard {
    /// Takes a line that it prints, if it is of a slice or the report.
    fn take(&mut self, line: &str, now: Instant) -> Option<()> {
        let line: Value = serde_json::from_str(line).ok()?;
        if line
            .get("event")
            .is_some_and(|event| event == "slice-stored")
        {
            let end = OpTime::deserialize(line.get("end")?).ok()?;
            self.slices.push(Slice { end, stored: now });
        } else if line.get("type").is_some_and(|kind| kind == "report") {
            self.told = Told::deserialize(&line).ok();
        }
        Some(())
    }
}

/// A capture that runs. It is killed when dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    id: u32,
    heard: Arc<Mutex<Heard>>,
    hearing: JoinSet<()>,
    log: PathBuf,
}

impl Running {
    pub(super) fn start(
        program: &Path,
        repository: &Path,
        log: &Path,
        uri: &str,
        options: &Options,
    ) -> Result<Self> {
        let written = File::create(log).context("could not create a log")?;
        let mut child = Command::new(program)
            .args(["capture", "--json", "--slice-age", SLICE_AGE])
            .args(["--source", options.source.name(), "--uri", uri, "--repo"])
            .arg(repository)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(written)
            .kill_on_drop(true)
            .spawn()
            .context("could not start rdump capture")?;
        let id = child.id().context("rdump capture has no id")?;
        let stdout = child.stdout.take().context("rdump capture has no output")?;
        let heard = Arc::<Mutex<Heard>>::default();
        let mut hearing = JoinSet::new();
        hearing.spawn(hear(stdout, Arc::clone(&heard)));
        Ok(Self {
            child,
            id,
            heard,
            hearing,
            log: log.to_owned(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The slices so far.
    pub(super) fn slices(&self) -> Vec<Slice> {
        lock(&self.heard).slices.clone()
    }

    /// The last moment that is stored.
    pub(super) fn captured_until(&self) -> OpTime {
        let heard = lock(&self.heard);
        heard
            .slices
            .last()
            .map(|slice| slice.end)
            .unwrap_or_default()
    }

    /// Fails if it has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(self.failed(&format!("ended by itself with {status}"))),
        }
    }

    /// Waits until it captures: what was written before it began is not captured.
    pub(super) async fn await_begun(&mut self, source: &ReplicaSet) -> Result<()> {
        let begun = source.client().database("bench");
        let begun = begun.collection::<Document>("begun");
        let started = Instant::now();
        while lock(&self.heard).slices.is_empty() {
            self.check()?;
            if started.elapsed() > PATIENCE {
                bail!(self.failed("stores nothing"));
            }
            begun.insert_one(doc! {}).await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until it has stored a moment.
    pub(super) async fn await_captured(&mut self, moment: OpTime) -> Result<()> {
        let (mut until, mut since) = (self.captured_until(), Instant::now());
        while until < moment {
            self.check()?;
            if since.elapsed() > PATIENCE {
                let what = format!("has come to {until} and not to {moment}, and stores nothing");
                bail!(self.failed(&what));
            }
            tokio::time::sleep(LOOK).await;
            let now = self.captured_until();
            if now != until {
                (until, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Tells it to end, and gives what it says then.
    pub(super) async fn stop(mut self) -> Result<Told> {
        let id = i32::try_from(self.id).context("an id that no process has")?;
        kill(Pid::from_raw(id), Signal::SIGTERM).context("could not stop rdump capture")?;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(status) = ended else {
            bail!(self.failed("does not end"));
        };
        let status = status?;
        // Its last line is heard once its output ends.
        while let Some(ended) = self.hearing.join_next().await {
            ended?;
        }
        let told = lock(&self.heard).told;
        match told {
            Some(told) if status.success() && told.gaps == 0 => Ok(told),
            Some(told) => bail!(self.failed(&format!("ended with {status}, {} gaps", told.gaps))),
            None => bail!(self.failed(&format!("ended with {status} and no report"))),
        }
    }

    /// What is wrong, and what it said last.
    fn failed(&self, what: &str) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..);
        let tail = tail.unwrap_or_default().join("\n");
        format!("rdump capture {what}: {tail}")
    }
}

async fn hear(stdout: ChildStdout, heard: Arc<Mutex<Heard>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        lock(&heard).take(&line, Instant::now());
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has all of it read and compared with its digests.
pub(super) async fn verify(program: &Path, repository: &Path) -> Result<()> {
    let verify = Command::new(program)
        .args(["verify", "--all", "--repo"])
        .arg(repository)
        .stdin(Stdio::null())
        .output();
    let output = verify.await.context("could not start rdump verify")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("rdump verify ended with {}: {said}", output.status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_the_report_are_heard_among_other_lines() {
        let mut heard = Heard::default();
        for line in [
            r#"{"version":1,"type":"event","event":"slice-stored","start":"7:1","end":"7:2","entries":3}"#,
            r#"{"version":1,"type":"event","event":"gap","start":"7:1","end":"7:2"}"#,
            "nonsense",
            r#"{"version":1,"type":"report","entries":3,"stored-bytes":9,"gaps":0,"interruptions":1}"#,
        ] {
            heard.take(line, Instant::now());
        }
        let ends: Vec<String> = heard.slices.iter().map(|it| it.end.to_string()).collect();
        assert_eq!(ends, ["7:2"]);
        let told = heard.told.unwrap();
        assert_eq!(
            (told.entries, told.stored_bytes, told.interruptions),
            (3, 9, 1)
        );
    }
}
