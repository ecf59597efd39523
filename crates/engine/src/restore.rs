//! Restoring a dump into a deployment.

use std::{fmt, sync::Arc, time::Instant};

use rdump_format::{Namespace, repository::AuditVerb};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Counters, Observer, Problem, Result, Target,
    context::RunContext,
    media::DumpReader,
    repository::{Outcome, deployment},
};

mod authorization;
mod conflict;
pub(crate) mod create_command;
mod definitions;
mod foreseen;
mod index_spec;
mod insert_batch;
mod insert_reply;
mod inserter;
mod ledger;
mod loader;
mod oplog_source;
mod options;
mod own_user;
mod plan;
mod planner;
mod read_back;
mod replay;
mod resume;
mod run;
mod selection;
mod top_level;
mod undecided;
mod zero_timestamps;

pub(crate) use foreseen::created_by_oplog;
pub(crate) use oplog_source::OplogSource;
pub use options::{OnConflict, RestoreOptions};
pub use plan::{NamespaceKind, PlannedNamespace, RestorePlan};
pub(crate) use read_back::{index_differences, option_differences};
pub use replay::ReplayedOplog;

/// One restore: what is read, where it goes, and who watches.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
///
/// use rdump::{ConnectOptions, FolderReader, FolderReaderOptions, Restore, RestoreOptions, Target};
///
/// # async fn example() -> rdump::Result<()> {
/// let target = Target::connect(&ConnectOptions::default().uri("mongodb://localhost:27017")).await?;
/// let reader = FolderReader::open(&"dump".parse()?, FolderReaderOptions::default()).await?;
/// let options = RestoreOptions::default().rename("shop.*", "shop_copy.*");
/// let restore = Restore::new(&target, Arc::new(reader)).options(options);
/// let plan = restore.plan().await?;
/// println!("{plan}");
/// let report = restore.run(plan).await?;
/// println!("{} documents, {} problems", report.documents, report.problems.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Restore {
    target: Target,
    reader: Arc<dyn DumpReader>,
    options: RestoreOptions,
    cx: RunContext,
}

impl Restore {
    /// A restore of the dump behind `reader` into `target`, with default options, that nobody watches.
    pub fn new(target: &Target, reader: Arc<dyn DumpReader>) -> Self {
        Self {
            target: target.clone(),
            reader,
            options: RestoreOptions::default(),
            cx: RunContext::default(),
        }
    }

    /// Sets what is restored and how.
    #[must_use]
    pub fn options(mut self, options: RestoreOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets who is told of events.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the token that stops the run.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Sets the counters that the run adds to.
    #[must_use]
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.cx.counters = counters;
        self
    }

    /// Shares what belongs to the run of something larger.
    pub(crate) fn context(mut self, cx: RunContext) -> Self {
        self.cx = cx;
        self
    }

    /// Finds out what would be done. Only reads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if options contradict each other, the dump or the target,
    /// the target is no primary, or there is nothing to [go on with](RestoreOptions::resume);
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if two namespaces would become one, what exists cannot take
    /// what is restored, or what is gone on with was begun by other options or is not what it was left as; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)
    /// for indexes that the target does not have; [`ErrorKind::Data`](crate::ErrorKind::Data) for metadata that
    /// makes no sense; what the [`damage`](crate::media::DumpEntry::damage) of a namespace that is selected says; and as
    /// the target has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn plan(&self) -> Result<RestorePlan> {
        let planning = planner::plan(&self.target.0, &*self.reader, &self.options, &self.cx);
        self.cx.unless_cancelled(planning).await
    }

    /// Does what the plan says.
    ///
    /// Documents that the target refuses as duplicates or by a validator do not end the run unless the options say
    /// so: they are counted, and their collection is a problem in the report. So is everything that differs, when it
    /// is read back at the end, from what was asked for, and every namespace that has files in the dump, but none that
    /// its manifest lists.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the dump is damaged: nothing of a damaged segment is inserted;
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if a collection was created meanwhile, at the first refused
    /// document if the options say so, and when there are too many problems;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when retries are used up;
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled); and as the target has them. What was restored until
    /// then stays; [`Event::Stopped`](crate::Event::Stopped) says what is complete, partial and untouched. If it was
    /// a snapshot's, another run can go on with it: [`RestoreOptions::resume`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the run as cancelling does, without that event.
    pub async fn run(&self, plan: RestorePlan) -> Result<RestoreReport> {
        let Some(act) = self.reader.act(AuditVerb::Restore) else {
            return self.run_to_end(plan).await;
        };
        let act = act.to(deployment(&self.target.0.server));
        // Who may only read restores all the same.
        let begun = act.begin().await.err();
        self.cx
            .unrecorded(begun.map(|error| error.to_string()), None);
        let restored = self.run_to_end(plan).await;
        let missing = act.end(&restored, RestoreReport::outcome).await;
        self.cx.unrecorded(missing, None);
        restored
    }

    async fn run_to_end(&self, mut plan: RestorePlan) -> Result<RestoreReport> {
        let clock = Instant::now();
        for notice in &plan.notices {
            self.cx.notice(None, notice);
        }
        for problem in &plan.unfinished {
            self.cx.problem(problem.clone());
        }
        let (verified, unlisted) = (plan.verified, self.unlisted(&plan));
        let planned = plan.namespaces.iter();
        let names: Vec<Namespace> = planned.map(|planned| planned.namespace.clone()).collect();
        let options = self.options.clone();
        let mut shared = run::Shared::new(
            self.cx.clone(),
            self.target.0.clone(),
            Arc::clone(&self.reader),
            options,
        );
        let ledger = plan.ledger.take().filter(|_| !plan.is_empty());
        let begin = async {
            shared.drop_ledgers(&plan.outdated).await?;
            match ledger {
                Some(ledger) => shared.begin_ledger(ledger).await,
                None => Ok(()),
            }
        };
        let begun = self.cx.unless_cancelled(begin).await;
        begun.inspect_err(|_| self.cx.stopped(names.iter()))?;
        let shared = Arc::new(shared);
        let authorization = plan.authorization.clone();
        let restored = self
            .cx
            .unless_cancelled(Box::pin(run::restore_all(&shared, plan)))
            .await;
        if let Some(authorization) = authorization {
            shared.clean_up_authorization(&authorization).await;
        }
        let (namespaces, oplog) = restored.inspect_err(|_| {
            self.cx.stopped(names.iter());
            if shared.ledger.is_some() {
                let message = "what was restored is noted in the target: another run can go on with it (--resume)";
                self.cx.notice(None, message);
            }
        })?;
        shared.end_ledger().await;
        for namespace in &unlisted {
            let message =
                "restored from files that the manifest does not list: it could not be verified";
            self.cx.problem(Problem::new(Some(namespace), message));
        }
        Ok(RestoreReport {
            documents: namespaces.iter().map(|namespace| namespace.documents).sum(),
            failed_documents: namespaces
                .iter()
                .map(|namespace| namespace.failed_documents)
                .sum(),
            namespaces,
            oplog,
            verified,
            problems: self.cx.problems(),
            retries: self.cx.counters.retries.value(),
            duration_seconds: clock.elapsed().as_secs_f64(),
        })
    }

    /// The namespaces of the plan that the dump's manifest knows nothing of.
    fn unlisted(&self, plan: &RestorePlan) -> Vec<Namespace> {
        let entries = &self.reader.contents().entries;
        let unlisted = plan.namespaces.iter().filter(|planned| {
            let entry = entries.get(planned.steps.entry);
            entry.is_some_and(|entry| entry.unlisted)
        });
        unlisted.map(|planned| planned.namespace.clone()).collect()
    }
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RestoreReport {
    /// The namespaces, in the order of the plan.
    pub namespaces: Vec<RestoredNamespace>,
    /// The oplog, if one was replayed.
    pub oplog: Option<ReplayedOplog>,
    /// Documents inserted.
    pub documents: u64,
    /// Documents that the target refused.
    pub failed_documents: u64,
    /// Whether everything was checked against digests taken when the dump was made.
    pub verified: bool,
    /// What went wrong without ending the run.
    pub problems: Vec<Problem>,
    /// Commands that were tried again.
    pub retries: u64,
    /// How long it took.
    pub duration_seconds: f64,
}

/// What a restore did with one namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RestoredNamespace {
    /// The namespace at the target.
    pub namespace: Namespace,
    /// The namespace in the dump.
    pub from: Namespace,
    /// Documents inserted; for a time-series collection these are buckets.
    pub documents: u64,
    /// Documents that the target refused.
    pub failed_documents: u64,
    /// Indexes built, that on `_id` left out.
    pub indexes: u64,
    /// Whether it was created.
    pub created: bool,
    /// Whether something of this name was dropped before.
    pub dropped: bool,
}

impl RestoredNamespace {
    fn of(planned: &PlannedNamespace) -> Self {
        Self {
            namespace: planned.namespace.clone(),
            from: planned.from.clone(),
            documents: 0,
            failed_documents: 0,
            indexes: planned.indexes.len() as u64,
            created: planned.create,
            dropped: planned.drop,
        }
    }

    /// What an earlier run has restored wholly.
    fn before(planned: &PlannedNamespace) -> Self {
        let progress = planned.steps.progress.as_ref();
        Self {
            documents: progress.map_or(0, |progress| progress.documents),
            failed_documents: progress.map_or(0, |progress| progress.failed),
            ..Self::of(planned)
        }
    }
}

impl RestoreReport {
    /// What is recorded of it where it was of a snapshot.
    fn outcome(&self) -> Outcome {
        Outcome::new(self.problems.len())
            .figure("documents", self.documents)
            .figure("refused-documents", self.failed_documents)
            .figure("namespaces", self.namespaces.len() as u64)
    }
}

impl fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} documents restored in {} namespaces, {} refused, {} problems",
            self.documents,
            self.namespaces.len(),
            self.failed_documents,
            self.problems.len()
        )
    }
}
