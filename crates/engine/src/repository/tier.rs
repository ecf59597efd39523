//! Moving the data of old snapshots to a colder storage class.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration, time::Instant};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rdump_format::repository::{AuditVerb, RepositoryId, SnapshotId};
use rdump_storage::{Listed, ObjectInfo, StorageError};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Repository, Snapshot, bundle,
    lease::{LEASE, Lease},
    prune::{PRUNE, inventory::Inventory},
};
use crate::{
    Error, ErrorKind, Observer, Result, RetentionPolicy,
    context::RunContext,
    retention::{self, KeepReason},
};

/// How many objects are moved at once.
const OBJECTS_AT_ONCE: usize = 4;

/// Moves the data objects of snapshots to another storage class. All else stays where it can be read at once: manifests, catalogs, keys, records,
/// and what was captured.
///
/// The store does it by itself, and each object is compared with what it was before it is in the place of that. It may be killed at any moment: each object is in
/// the one class or in the other, and the next run goes on.
///
/// # Examples
///
/// ```no_run
/// use rdump::{Repository, Tier, TierChoice};
///
/// # async fn example() -> rdump::Result<()> {
/// let repository = Repository::open(&"s3://backups/shop".parse()?).await?;
/// let tier = Tier::new(&repository, "DEEP_ARCHIVE", TierChoice::Before(1_790_000_000));
/// let plan = tier.plan().await?; // reads only
/// println!("{plan}");
/// let report = tier.run(plan).await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tier {
    repository: Repository,
    class: String,
    choice: TierChoice,
    lease: Option<Duration>,
    cx: RunContext,
}

/// Which snapshots are moved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TierChoice {
    /// Those of a moment before this second since 1970, but the newest of each deployment, and its newest that was found whole: what
    /// would be restored first.
    Before(i64),
    /// These, whatever they are.
    Only(Vec<SnapshotId>),
}

/// What of a snapshot is in which class.
#[derive(Default)]
struct Classes {
    /// What is moved.
    moving: Vec<ObjectInfo>,
    /// How many are in the class already.
    there: u64,
    /// How many are frozen in another, or were.
    frozen: u64,
    /// What is missing.
    missing: Option<String>,
}

impl Tier {
    /// Moves data to the class that the store calls so.
    pub fn new(repository: &Repository, class: impl Into<String>, choice: TierChoice) -> Self {
        Self {
            repository: repository.clone(),
            class: class.into().to_uppercase(),
            choice,
            lease: Some(LEASE),
            cx: RunContext::default(),
        }
    }

    /// Sets how long the lease lasts that keeps others from pruning, and from this, at the same time; `None` takes none. Default: five
    /// minutes, renewed each minute.
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

    /// Sets the token that stops it, between one object and the next.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Says what would be moved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if the place has no storage classes; [`ErrorKind::Invalid`] if a snapshot that was named is not there, and as
    /// [`Repository::snapshot`] and the place have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn plan(&self) -> Result<TierPlan> {
        self.cx.unless_cancelled(self.plan_now().boxed()).await
    }

    async fn plan_now(&self) -> Result<TierPlan> {
        let store = self.repository.store();
        if !store.has_classes() {
            let message = format!("{} has no storage classes", self.repository.location());
            return Err(Error::new(ErrorKind::Unsupported, message)
                .with_hint("only a repository in an object store, s3://bucket/prefix, has"));
        }
        let mut plan = TierPlan {
            repository: self.repository.record().id,
            class: self.class.clone(),
            snapshots: Vec::new(),
        };
        for (snapshot, kept) in self.chosen().await? {
            let mut planned = PlannedTier {
                id: snapshot.id().clone(),
                at: snapshot.manifest().run.started_at.clone(),
                objects: 0,
                stored_bytes: 0,
                there: 0,
                frozen: 0,
                kept,
            };
            if planned.kept.is_empty() {
                let classes = self.classes(&snapshot).await?;
                planned.objects = classes.moving.len() as u64;
                let bytes = classes.moving.iter().map(|object| object.stored_bytes);
                planned.stored_bytes = bytes.fold(0, u64::saturating_add);
                (planned.there, planned.frozen) = (classes.there, classes.frozen);
            }
            plan.snapshots.push(planned);
        }
        Ok(plan)
    }

    /// The snapshots, the oldest first, each with what keeps it where it is.
    async fn chosen(&self) -> Result<Vec<(Snapshot, Vec<KeepReason>)>> {
        let before = match &self.choice {
            TierChoice::Before(before) => Timestamp::from_second(*before),
            TierChoice::Only(ids) => {
                let mut chosen = Vec::with_capacity(ids.len());
                for id in ids {
                    chosen.push((self.repository.snapshot(id).await?, Vec::new()));
                }
                return Ok(chosen);
            }
        };
        let before = before.unwrap_or(Timestamp::MIN);
        let inventory = Inventory::of(&self.repository).await?;
        let mut chosen = Vec::new();
        for (_, members) in inventory.deployments() {
            let candidates: Vec<_> = members.iter().map(|held| held.candidate.clone()).collect();
            let kept = retention::kept(&RetentionPolicy::default(), &candidates);
            for (held, kept) in members.into_iter().zip(kept) {
                if held.candidate.at < before {
                    let kept: Vec<_> = kept.into_iter().collect();
                    chosen.push((held.snapshot.clone(), kept));
                }
            }
        }
        chosen.sort_by(|(one, _), (other, _)| one.id().cmp(other.id()));
        Ok(chosen)
    }

    /// What there is of the data of a snapshot.
    async fn classes(&self, snapshot: &Snapshot) -> Result<Classes> {
        let folder = snapshot.id().folder();
        let data = bundle::data_objects(snapshot).await?.into_iter();
        let mut wanted: HashSet<String> = data.map(|object| object.path).collect();
        let mut classes = Classes::default();
        let mut listed = self.repository.store().list(&folder);
        while let Some(listed) = listed.try_next().await? {
            let Listed::Object(object) = listed else {
                continue;
            };
            let path = object.path.strip_prefix(&folder).unwrap_or_default();
            if !wanted.remove(path) {
                continue;
            }
            match () {
                () if object.is_of_class(&self.class) => classes.there += 1,
                () if object.is_of_freezing_class() => classes.frozen += 1,
                () => classes.moving.push(object),
            }
        }
        classes.missing = wanted
            .into_iter()
            .min()
            .map(|path| format!("{folder}{path}"));
        Ok(classes)
    }

    /// Moves what the plan says. What is wrong with one snapshot is a problem of the report, and does not keep others from being moved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if somebody prunes, or does the same; [`ErrorKind::Denied`], [`ErrorKind::Cancelled`], and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each object in the one class or in the other.
    pub async fn run(&self, plan: TierPlan) -> Result<TierReport> {
        if plan.repository != self.repository.record().id {
            return Err(Error::conflict("the plan is of another repository"));
        }
        let clock = Instant::now();
        let lease = match self.lease {
            Some(lasts) => Some(Lease::take(self.repository.store(), PRUNE, lasts).await?),
            None => None,
        };
        let mut report = TierReport::new(&plan);
        let moved = self.moved(&plan, lease.as_ref(), &mut report).boxed();
        let moved = self.cx.unless_cancelled(moved).await;
        if moved.is_err() {
            self.repository.store().settle().await;
        }
        if let Some(lease) = lease {
            lease.release().await;
        }
        report.duration_seconds = clock.elapsed().as_secs_f64();
        let mut moved = moved.map(|()| report);
        if matches!(&moved, Ok(report) if report.objects == 0 && report.problems.is_empty()) {
            return moved;
        }
        let act = self.repository.act(AuditVerb::Tier).since(clock);
        let outcome = |report: &TierReport| {
            Outcome::new(report.problems.len())
                .figure("snapshots", report.snapshots.len() as u64)
                .figure("objects", report.objects)
                .figure("bytes", report.stored_bytes)
        };
        let missing = act.end(&moved, outcome).await;
        match &mut moved {
            Ok(report) => report.problems.extend(missing),
            Err(_) => self.cx.unrecorded(missing, None),
        }
        moved
    }

    async fn moved(
        &self,
        plan: &TierPlan,
        lease: Option<&Lease>,
        report: &mut TierReport,
    ) -> Result<()> {
        for planned in plan.snapshots.iter().filter(|it| it.objects > 0) {
            // Since the plan was made somebody may have pruned it.
            let moved = match self.repository.snapshot(&planned.id).await {
                Ok(snapshot) => self.snapshot(&snapshot, lease, report).await,
                Err(error) => Err(error),
            };
            match moved {
                Ok(()) => report.snapshots.push(planned.id.clone()),
                Err(error) if is_its_own(&error) => {
                    let problem = format!("snapshot {}: {error}", planned.id);
                    self.cx.notice(None, problem.clone());
                    report.problems.push(problem);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn snapshot(
        &self,
        snapshot: &Snapshot,
        lease: Option<&Lease>,
        report: &mut TierReport,
    ) -> Result<()> {
        let classes = self.classes(snapshot).await?;
        let moves = classes.moving.into_iter().map(async |object| {
            let store = self.repository.store();
            let moved = store.change_class(&object.path, &self.class).await;
            match moved {
                Ok(moved) if moved.stored_bytes == object.stored_bytes => Ok(object.stored_bytes),
                Ok(_) | Err(StorageError::Corrupted { .. }) => {
                    let message =
                        format!("{} would be something else in the other class", object.path);
                    Err(Error::data(message).at(object.path))
                }
                Err(error @ StorageError::Refused { .. }) => {
                    let message = format!("{} cannot be moved to {}", object.path, self.class);
                    let error = Error::from(error);
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    let reason = reason.unwrap_or_else(|| error.to_string());
                    Err(Error::new(
                        ErrorKind::Unsupported,
                        format!("{message}: {reason}"),
                    ))
                }
                Err(error) => Err(error.into()),
            }
        });
        let moves: Vec<_> = moves.collect();
        let mut moves = stream::iter(moves).buffer_unordered(OBJECTS_AT_ONCE);
        while let Some(stored_bytes) = moves.try_next().await? {
            report.objects += 1;
            report.stored_bytes += stored_bytes;
            if let Some(lease) = lease {
                lease.check().await?;
            }
        }
        match classes.missing {
            None => Ok(()),
            Some(path) => Err(Error::data(format!("{path} is missing")).at(path)),
        }
    }
}

fn is_its_own(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Data | ErrorKind::Unsupported | ErrorKind::Invalid | ErrorKind::Frozen
    )
}

/// What would be moved. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TierPlan {
    /// The repository.
    pub repository: RepositoryId,
    /// The storage class.
    pub class: String,
    /// The snapshots that were asked for, the oldest first.
    pub snapshots: Vec<PlannedTier>,
}

/// What of a snapshot would be moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlannedTier {
    /// The snapshot.
    pub id: SnapshotId,
    /// When it was begun: RFC 3339, UTC.
    pub at: String,
    /// How many data objects are moved.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// How many are in the class already.
    pub there: u64,
    /// How many are in another class that is not read from: they stay.
    pub frozen: u64,
    /// Why it stays where it is, whatever its age.
    pub kept: Vec<KeepReason>,
}

impl fmt::Display for TierPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for snapshot in &self.snapshots {
            let (id, at) = (&snapshot.id, &snapshot.at);
            if !snapshot.kept.is_empty() {
                let kept: Vec<_> = snapshot.kept.iter().map(ToString::to_string).collect();
                writeln!(f, "keep    {id}  of {at}: {}", kept.join(", "))?;
                continue;
            }
            let verb = if snapshot.objects > 0 { "move" } else { "keep" };
            write!(
                f,
                "{verb}    {id}  of {at}: {} objects, {} bytes",
                snapshot.objects, snapshot.stored_bytes
            )?;
            if snapshot.there > 0 {
                write!(f, ", {} in {} already", snapshot.there, self.class)?;
            }
            if snapshot.frozen > 0 {
                write!(f, ", {} frozen in another class", snapshot.frozen)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// What was moved. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TierReport {
    /// The repository.
    pub repository: RepositoryId,
    /// The storage class.
    pub class: String,
    /// The snapshots whose data was moved, the oldest first.
    pub snapshots: Vec<SnapshotId>,
    /// How many data objects were.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// What could not be moved, and why.
    pub problems: Vec<String>,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
}

impl TierReport {
    fn new(plan: &TierPlan) -> Self {
        Self {
            repository: plan.repository,
            class: plan.class.clone(),
            snapshots: Vec::new(),
            objects: 0,
            stored_bytes: 0,
            problems: Vec::new(),
            duration_seconds: 0.0,
        }
    }
}

impl fmt::Display for TierReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "moved {} snapshots to {}: {} objects, {} bytes",
            self.snapshots.len(),
            self.class,
            self.objects,
            self.stored_bytes
        )?;
        match self.problems.len() {
            0 => Ok(()),
            problems => write!(f, "; {problems} problems"),
        }
    }
}
