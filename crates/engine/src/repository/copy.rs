//! Copying snapshots, and what was captured, to another place.

mod by_store;
mod captured;
mod snapshots;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use futures::FutureExt;
use jiff::Timestamp;
use rdump_format::repository::{AuditVerb, RepositoryId, SnapshotId};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Outcome, Repository, Snapshot, lease::LEASE};
use crate::{Counters, Error, ErrorKind, Observer, Result, context::RunContext};

/// Copies snapshots from one repository to another, and what was captured: only what is missing there, every byte compared with its digest on the way.
///
/// The other one restores by itself afterwards. A snapshot is there when all of it is: a run may be killed at any moment, and the next one goes on. Nothing
/// is deleted, but for keys that were wrapped anew since.
///
/// # Examples
///
/// ```no_run
/// use rdump::{Repository, RepositoryCopy, SnapshotChoice};
///
/// # async fn example() -> rdump::Result<()> {
/// let here = Repository::open(&"s3://backups/shop".parse()?).await?;
/// let there = here.open_or_twin(&"s3://elsewhere/shop?region=eu-west-1".parse()?).await?;
/// let copy = RepositoryCopy::new(&here, &there).snapshots(SnapshotChoice::All).timeline(true);
/// let report = copy.run().await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RepositoryCopy {
    from: Repository,
    to: Repository,
    choice: SnapshotChoice,
    timeline: bool,
    server_side: bool,
    /// That the store does not copy by itself.
    cannot: AtomicBool,
    lease: Option<Duration>,
    cx: RunContext,
}

/// Which snapshots are copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotChoice {
    /// The newest.
    #[default]
    Newest,
    /// All.
    All,
    /// Those that were begun at this second since 1970, or later.
    Since(i64),
    /// These.
    Only(Vec<SnapshotId>),
}

impl RepositoryCopy {
    /// Copies from one repository to another.
    pub fn new(from: &Repository, to: &Repository) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            choice: SnapshotChoice::default(),
            timeline: false,
            server_side: false,
            cannot: AtomicBool::new(false),
            lease: Some(LEASE),
            cx: RunContext::default(),
        }
    }

    /// Sets which snapshots are copied. Default: the newest.
    #[must_use]
    pub fn snapshots(mut self, choice: SnapshotChoice) -> Self {
        self.choice = choice;
        self
    }

    /// Sets whether slices and gaps are copied too, all that the other does not have: after the snapshots. Default: false.
    #[must_use]
    pub fn timeline(mut self, yes: bool) -> Self {
        self.timeline = yes;
        self
    }

    /// Sets whether data objects are copied by the store itself where it can, without passing through this machine. They are then compared with the
    /// checksum that the store has of them, and not with the digests of the manifest. Default: false.
    #[must_use]
    pub fn server_side(mut self, yes: bool) -> Self {
        self.server_side = yes;
        self
    }

    /// Sets how long the leases last that keep others from writing the same, or pruning it; `None` takes none. Default: five minutes, renewed each minute.
    #[must_use]
    pub fn lease(mut self, lasts: Option<Duration>) -> Self {
        self.lease = lasts;
        self
    }

    /// Sets who is told of events.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the counters that the run adds to: bytes of data objects.
    #[must_use]
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.cx.counters = counters;
        self
    }

    /// Sets the token that stops it.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Copies. What is wrong with one snapshot or slice is a problem of the report, and does not keep others from being copied.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if both are the same place, or a snapshot that was named is not there; [`ErrorKind::Conflict`] if what was captured is to be copied to
    /// another repository than a twin; [`ErrorKind::Cancelled`], and as both places have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each snapshot copied or not there.
    pub async fn run(&self) -> Result<CopyReport> {
        let clock = Instant::now();
        if self.from.location().is_same_place(&self.to.location()) {
            let message = format!("{} would be copied to itself", self.from.location());
            return Err(Error::invalid(message));
        }
        if self.timeline && self.from.record().id != self.to.record().id {
            return Err(Error::conflict(format!(
                "what was captured in {} cannot be in {}, which is another repository; nothing was copied",
                self.from.location(),
                self.to.location()
            ))
            .with_hint("copy to an empty place, which becomes a twin of the repository"));
        }
        let mut report = CopyReport::new(self.to.record().id);
        let copied = self.copy(&mut report).boxed().await;
        if copied.is_err() {
            self.to.store().settle().await;
        }
        report.duration_seconds = clock.elapsed().as_secs_f64();
        self.record(copied.map(|()| report), clock).boxed().await
    }

    /// Takes down at both places what was copied, unless all was there.
    async fn record(&self, copied: Result<CopyReport>, clock: Instant) -> Result<CopyReport> {
        if copied.as_ref().is_ok_and(CopyReport::is_empty) {
            return copied;
        }
        let mut missing = Vec::new();
        for repository in [&self.from, &self.to] {
            let act = repository.act(AuditVerb::Copy).since(clock);
            let act = act.from(self.from.location()).to(self.to.location());
            missing.push(act.end(&copied, CopyReport::outcome).await);
        }
        let mut copied = copied;
        let (there, here) = (missing.pop().flatten(), missing.pop().flatten());
        // Where it comes from need not be written to.
        self.cx.unrecorded(here, None);
        match &mut copied {
            Ok(report) => report.problems.extend(there),
            Err(_) => self.cx.unrecorded(there, None),
        }
        copied
    }

    async fn copy(&self, report: &mut CopyReport) -> Result<()> {
        let chosen = self.chosen(report).await?;
        for snapshot in &chosen {
            let copied = self.snapshot(snapshot, report).await;
            self.unless_its_own(copied, &snapshot.to_string(), report)?;
        }
        match self.timeline {
            true => self.captured(report).await,
            false => Ok(()),
        }
    }

    /// The snapshots, the oldest first.
    async fn chosen(&self, report: &mut CopyReport) -> Result<Vec<Snapshot>> {
        let looked = async {
            match &self.choice {
                SnapshotChoice::Newest => Ok(vec![self.from.find_snapshot("latest").await?]),
                SnapshotChoice::Only(ids) => {
                    let mut chosen = Vec::with_capacity(ids.len());
                    for id in ids {
                        chosen.push(self.from.snapshot(id).await?);
                    }
                    Ok(chosen)
                }
                SnapshotChoice::All => self.all(report, |_| true).await,
                SnapshotChoice::Since(since) => {
                    let begun = |snapshot: &Snapshot| {
                        let begun = snapshot.manifest().run.started_at.parse::<Timestamp>();
                        // What does not say when it was begun is not left out for that.
                        begun.is_ok_and(|begun| begun.as_second() < *since)
                    };
                    self.all(report, |snapshot| !begun(snapshot)).await
                }
            }
        };
        self.cx.unless_cancelled(looked).await
    }

    async fn all(
        &self,
        report: &mut CopyReport,
        is_chosen: impl Fn(&Snapshot) -> bool + Send,
    ) -> Result<Vec<Snapshot>> {
        let snapshots = self.from.snapshots().await?;
        for (id, error) in snapshots.damaged {
            report.problem(&format!("snapshot {id}"), &error);
        }
        let mut chosen = snapshots.whole;
        chosen.retain(is_chosen);
        Ok(chosen)
    }

    /// Takes down what is wrong with one thing alone.
    fn unless_its_own(
        &self,
        copied: Result<()>,
        what: &str,
        report: &mut CopyReport,
    ) -> Result<()> {
        match copied {
            Err(error) if is_its_own(&error) => {
                report.problem(what, &error);
                self.cx
                    .notice(None, format!("{what} is not copied: {error}"));
                Ok(())
            }
            copied => copied,
        }
    }
}

fn is_its_own(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Data
            | ErrorKind::Conflict
            | ErrorKind::Unsupported
            | ErrorKind::Invalid
            | ErrorKind::Frozen
    )
}

/// What was copied. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CopyReport {
    /// The repository that it is in now.
    pub repository: RepositoryId,
    /// The snapshots that were copied, the oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// How many of those that were asked for were there already.
    pub present: u64,
    /// Those of them of which objects were missing there, and are there again.
    pub mended: Vec<SnapshotId>,
    /// Those whose keys were wrapped anew since, and are there as they are here now; runs of captures too.
    pub rekeyed: Vec<SnapshotId>,
    /// How many objects of snapshots were copied.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// How much of that the store copied by itself, in bytes.
    pub server_side_bytes: u64,
    /// The size of what was there from an earlier run, in bytes.
    pub kept_bytes: u64,
    /// How many slices and gaps were copied.
    pub slices: u64,
    /// Their size, in bytes.
    pub slice_bytes: u64,
    /// What could not be copied, and why.
    pub problems: Vec<String>,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
}

impl CopyReport {
    fn new(repository: RepositoryId) -> Self {
        Self {
            repository,
            snapshots: Vec::new(),
            present: 0,
            mended: Vec::new(),
            rekeyed: Vec::new(),
            objects: 0,
            stored_bytes: 0,
            server_side_bytes: 0,
            kept_bytes: 0,
            slices: 0,
            slice_bytes: 0,
            problems: Vec::new(),
            duration_seconds: 0.0,
        }
    }

    /// Whether there was nothing to do.
    fn is_empty(&self) -> bool {
        let objects = self.objects + self.slices + self.problems.len() as u64;
        objects == 0 && self.snapshots.is_empty() && self.rekeyed.is_empty()
    }

    fn outcome(&self) -> Outcome {
        Outcome::new(self.problems.len())
            .figure("snapshots", self.snapshots.len() as u64)
            .figure("rekeyed", self.rekeyed.len() as u64)
            .figure("objects", self.objects)
            .figure("stored-bytes", self.stored_bytes)
            .figure("slices", self.slices)
    }

    fn problem(&mut self, what: &str, error: &Error) {
        self.problems.push(format!("{what}: {error}"));
    }
}

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "copied {} snapshots, {} were there: {} objects, {} bytes; {} slices and gaps, {} bytes",
            self.snapshots.len(),
            self.present,
            self.objects,
            self.stored_bytes,
            self.slices,
            self.slice_bytes
        )?;
        match self.problems.len() {
            0 => Ok(()),
            problems => write!(f, "; {problems} problems"),
        }
    }
}
