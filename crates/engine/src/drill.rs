//! Restoring for practice: whether a backup can be restored is known once it was.

mod report;
mod scratch;

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use futures::FutureExt;
use rdump_format::{
    Namespace, Pattern, RESTORES_DATABASE, Selector,
    repository::{AuditVerb, SnapshotId},
};
use tokio_util::sync::CancellationToken;

pub use report::DrillReport;
pub use scratch::ScratchServer;

use crate::{
    Comparison, Counters, Error, ErrorKind, Observer, Problem, Repository, Restore, RestoreOptions,
    RestorePoint, Result, SnapshotReader, Target,
    catalog::Catalog,
    command,
    context::RunContext,
    media::DumpReader,
    repository::{Outcome, deployment},
    restore::created_by_oplog,
};

/// What is never restored by a drill: users, roles and what belongs to the server.
const NOT_RESTORED: [&str; 3] = ["admin.*", "config.*", "local.*"];

/// Restores a snapshot, or a moment, to a scratch deployment, compares what is there then with the backup, and drops it again.
///
/// The scratch deployment must have none of the databases that are restored. Users, roles and everything else of the databases `admin` and
/// `config` is left out. How long the restore takes is measured, and how much would be lost if the source were lost now.
///
/// # Examples
///
/// ```no_run
/// use rdump::{ConnectOptions, Drill, Repository, Target};
///
/// # async fn example() -> rdump::Result<()> {
/// let repository = Repository::open(&"s3://backups/shop".parse()?).await?;
/// let scratch = Target::connect(&ConnectOptions::default().uri("mongodb://scratch.example.com")).await?;
/// let report = Drill::new(&repository, &scratch).run().await?;
/// assert!(report.is_good(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Drill {
    repository: Repository,
    target: Target,
    what: Drilled,
    select: Selector,
    keep: bool,
    cx: RunContext,
}

/// What a drill restores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Drilled {
    /// The newest snapshot.
    #[default]
    Newest,
    /// One of all snapshots, by chance.
    Random,
    /// This snapshot.
    Snapshot(SnapshotId),
    /// A moment, from the newest snapshot before it that leads there.
    Moment(RestorePoint),
}

impl Drill {
    /// A drill with the newest snapshot.
    pub fn new(repository: &Repository, target: &Target) -> Self {
        Self {
            repository: repository.clone(),
            target: target.clone(),
            what: Drilled::default(),
            select: Selector::default(),
            keep: false,
            cx: RunContext::default(),
        }
    }

    /// Sets what is restored. Default: the newest snapshot.
    #[must_use]
    pub fn what(mut self, what: Drilled) -> Self {
        self.what = what;
        self
    }

    /// Sets which namespaces are restored. Default: all.
    #[must_use]
    pub fn select(mut self, select: Selector) -> Self {
        self.select = select;
        self
    }

    /// Sets whether what was restored stays, to be looked at. Default: false.
    #[must_use]
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Sets who is told of events.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the counters that the restore adds to.
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

    /// Restores, compares, and drops what was restored, however that ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if the scratch deployment has a database that is to be restored: nothing is changed then; [`ErrorKind::Invalid`] if the
    /// repository holds no snapshot, or nothing of it is selected; [`ErrorKind::Cancelled`], and as repository and deployment have them. That the backup
    /// is damaged or has a gap is no error, but what the report says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves what was restored until then; cancelling does not.
    pub async fn run(&self) -> Result<DrillReport> {
        let clock = Instant::now();
        let drilled = self.run_now(clock).boxed().await;
        self.record(&drilled, clock).await;
        drilled
    }

    async fn run_now(&self, clock: Instant) -> Result<DrillReport> {
        let started_at = self.cx.now();
        let mut report = DrillReport::new(&self.repository, &self.target, started_at);
        let drilled = async {
            self.look_at_repository(&mut report).await?;
            self.drill(&mut report, clock).await
        };
        let drilled = self.cx.unless_cancelled(drilled.boxed()).await;
        let made = std::mem::take(&mut report.made);
        match self.keep {
            true => report.kept_databases = made.into_iter().collect(),
            false => self.drop_databases(made, &mut report).await,
        }
        match drilled {
            Err(error) if matches!(error.kind(), ErrorKind::Data | ErrorKind::OplogGap) => {
                report.failure = Some(with_causes(&error));
            }
            drilled => drilled?,
        }
        report.problems = self.cx.problems();
        report.finished_at = self.cx.now().to_string();
        report.duration_seconds = clock.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Takes down in the repository that it was done, and what came of it.
    async fn record(&self, drilled: &Result<DrillReport>, clock: Instant) {
        let mut act = self.repository.act(AuditVerb::Drill).since(clock);
        if let Ok(report) = drilled {
            let id = report.snapshot.parse().ok();
            let moment = report.moment.as_ref().and_then(|at| at.parse().ok());
            act = act.snapshot(id.as_ref()).until(moment);
        }
        let act = act.to(deployment(self.target.server()));
        let outcome = |report: &DrillReport| {
            let different = report.comparison.as_ref().map_or(0, |it| it.different);
            let wrong = different + u64::from(report.failure.is_some());
            let wrong = usize::try_from(wrong).unwrap_or(usize::MAX);
            Outcome::new(report.problems.len().saturating_add(wrong))
                .figure("documents", report.documents)
                .figure("different", different)
        };
        let missing = act.end(drilled, outcome).await;
        self.cx.unrecorded(missing, None);
    }

    /// Finds out how much would be lost now.
    async fn look_at_repository(&self, report: &mut DrillReport) -> Result<()> {
        let (snapshots, timeline) = (
            self.repository.snapshots().await?,
            self.repository.timeline().await?,
        );
        let restorable = self.repository.restorable(&snapshots, &timeline).await?;
        report.restorable_until(restorable.iter().map(|span| span.until).max(), &snapshots);
        Ok(())
    }

    async fn drill(&self, report: &mut DrillReport, clock: Instant) -> Result<()> {
        let mut select = self.select.clone();
        for pattern in NOT_RESTORED {
            let pattern = Pattern::parse(pattern)
                .map_err(|error| Error::internal("a pattern").caused_by(error))?;
            select.exclude.push(pattern);
        }
        let options = RestoreOptions::default()
            .select(select.clone())
            // What a validator let in, it let in then.
            .bypass_document_validation(true);
        let reader = self.open(&options, report).await?;
        let restore = Restore::new(&self.target, Arc::clone(&reader)).options(options);
        let restore = restore.context(self.cx.clone());
        let plan = restore.plan().boxed().await?;
        let mut databases: BTreeSet<String> = plan
            .namespaces
            .iter()
            .map(|planned| planned.namespace.db.clone())
            .collect();
        let by_oplog = created_by_oplog(&*reader).await?;
        let selected = by_oplog.into_iter().filter(|it| select.selects(it));
        databases.extend(selected.map(|it| it.db));
        self.check_scratch(&mut databases).await?;
        report.made = databases;
        let message = match &report.moment {
            Some(moment) => format!("restoring {moment}, from snapshot {}", report.snapshot),
            None => format!("restoring snapshot {}", report.snapshot),
        };
        self.cx.notice(None, message);
        let restored = restore.run(plan).boxed().await?;
        report.restore_seconds = clock.elapsed().as_secs_f64();
        report.documents = restored.documents;
        self.cx
            .notice(None, "comparing what was restored with the backup");
        let comparison = Comparison::of_dump(reader, &self.target)
            .select(select)
            .context(self.cx.clone());
        report.comparison = Some(comparison.run().boxed().await?);
        Ok(())
    }

    async fn open(
        &self,
        options: &RestoreOptions,
        report: &mut DrillReport,
    ) -> Result<Arc<dyn DumpReader>> {
        let repository = &self.repository;
        let id = match &self.what {
            Drilled::Newest => repository.find_id("latest").await?,
            Drilled::Snapshot(id) => id.clone(),
            Drilled::Random => self.any_snapshot().await?,
            Drilled::Moment(point) => {
                let found = repository.point_in_time(*point, None).await?;
                report.snapshot = found.snapshot().id().to_string();
                report.moment = Some(found.at().to_string());
                return Ok(Arc::new(found.reader(options).await?));
            }
        };
        report.snapshot = id.to_string();
        let snapshot = repository.snapshot(&id).await?;
        report.snapshot_at = snapshot.manifest().run.consistent_at.clone();
        let reader = SnapshotReader::open(&snapshot, &options.select).await?;
        Ok(Arc::new(reader))
    }

    async fn any_snapshot(&self) -> Result<SnapshotId> {
        let whole = self.repository.snapshots().await?.whole;
        let chance = self.cx.now().subsec_nanosecond().unsigned_abs() as usize;
        let chosen = chance.checked_rem(whole.len()).and_then(|at| whole.get(at));
        let chosen = chosen.ok_or_else(|| Error::invalid("the repository holds no snapshot"))?;
        Ok(chosen.id().clone())
    }

    /// Refuses a deployment that has a database that would be restored; adds the one in which restores note how far they are.
    async fn check_scratch(&self, databases: &mut BTreeSet<String>) -> Result<()> {
        let primary = mongodb::options::ReadPreference::Primary;
        let from = mongodb::options::SelectionCriteria::ReadPreference(primary);
        let catalog = Catalog {
            deployment: &self.target.0,
            from: &from,
            not_before: None,
        };
        let (there, _) = catalog.databases().await?;
        if let Some(db) = databases.iter().find(|db| there.contains(db)) {
            return Err(Error::conflict(format!(
                "the scratch deployment has a database {db} already, which the drill would restore and drop"
            ))
            .with_hint("name another deployment, or drop the database if an earlier drill left it"));
        }
        if !there.iter().any(|db| db == RESTORES_DATABASE) {
            databases.insert(RESTORES_DATABASE.to_owned());
        }
        Ok(())
    }

    /// Drops what the drill made. Not cancelled: that would leave it.
    async fn drop_databases(&self, databases: BTreeSet<String>, report: &mut DrillReport) {
        if !databases.is_empty() {
            self.cx.notice(None, "dropping what was restored");
        }
        for db in databases {
            let database = self.target.0.database(&db);
            let dropped = command::run(&database, bson::doc! { "dropDatabase": 1 }).await;
            if let Err(error) = dropped {
                let message = format!("database {db} could not be dropped: {error}");
                let namespace: Option<&Namespace> = None;
                self.cx.problem(Problem::new(namespace, message));
                report.kept_databases.push(db);
            }
        }
    }
}

/// An error and what caused it, as one line.
fn with_causes(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
