//! Deleting what a policy does not keep: the one operation that deletes.

pub(super) mod inventory;
mod plan;
mod slices;
mod sweep;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use rdump_format::repository::AuditVerb;
use rdump_storage::StorageError;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Repository,
    lease::{LEASE, Lease},
    point_in_time::Lead,
};
use crate::{
    Error, Observer, Result, RetentionPolicy,
    context::RunContext,
    retention::{self, KeepReason},
};
use inventory::Inventory;

pub use plan::{PlannedSlices, PlannedSnapshot, PlannedUnfinished, PlannedUnnamed, PrunePlan};

/// The lease of whoever prunes.
pub(super) const PRUNE: &str = "prune";
/// How old what no manifest names has to be before it goes.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Deletes the snapshots of a repository that a policy does not keep, slices that lead from nothing that is kept, and what runs that died have left.
///
/// The newest snapshot of each deployment, and the newest that was verified and found whole, are kept whatever the policy says; so is what a moment
/// that stays restorable is restored from. A snapshot that was found damaged is in the place of no other. Snapshots of parts of a deployment are
/// judged by themselves.
///
/// It may be killed at any moment: each snapshot is whole or gone, and the next run removes what is left.
///
/// # Examples
///
/// ```no_run
/// use rdump::{Prune, Repository, RetentionPolicy};
///
/// # async fn example() -> rdump::Result<()> {
/// let repository = Repository::open(&"s3://backups/shop".parse()?).await?;
/// let policy = RetentionPolicy::default().keep_daily(30).keep_monthly(12);
/// let prune = Prune::new(&repository, policy);
/// let plan = prune.plan().await?; // reads only
/// println!("{plan}");
/// let report = prune.run(plan).await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Prune {
    repository: Repository,
    policy: RetentionPolicy,
    grace: Duration,
    lease: Option<Duration>,
    now: Option<Timestamp>,
    cx: RunContext,
}

impl Prune {
    /// Prunes a repository by a policy.
    pub fn new(repository: &Repository, policy: RetentionPolicy) -> Self {
        Self {
            repository: repository.clone(),
            policy,
            grace: GRACE,
            lease: Some(LEASE),
            now: None,
            cx: RunContext::default(),
        }
    }

    /// Sets how old what was begun and not finished has to be before it goes, counted from when something of it was written last; slices that ended
    /// later stay too. Default: 24 hours.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long the lease lasts that keeps others from pruning at the same time; `None` takes none. Default: five minutes, renewed each minute.
    #[must_use]
    pub fn lease(mut self, lasts: Option<Duration>) -> Self {
        self.lease = lasts;
        self
    }

    /// Sets what time it is, in seconds since 1970, for the grace and for locks. Default: what the clock of this machine says.
    #[must_use]
    pub fn now(mut self, seconds: i64) -> Self {
        self.now = Timestamp::from_second(seconds).ok();
        self
    }

    /// Sets who is told of events.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the token that stops it, between one deletion and the next.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    fn clock(&self) -> Timestamp {
        self.now.unwrap_or_else(|| self.cx.now())
    }

    /// The moment before which what was written last is old enough to go.
    fn old(&self) -> Timestamp {
        let grace = SignedDuration::try_from(self.grace).unwrap_or(SignedDuration::MAX);
        self.clock().saturating_sub(grace).unwrap_or(Timestamp::MIN)
    }

    /// The moment after which what is said to be of then is of a clock that was ahead.
    fn late(&self) -> Timestamp {
        let late = self.clock().saturating_add(SignedDuration::from_hours(24));
        late.unwrap_or(Timestamp::MAX)
    }

    /// Says what would be deleted and what kept, and why.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the policy has no rule;
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied) if what is there, or locked, may not be asked for; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn plan(&self) -> Result<PrunePlan> {
        if self.policy.is_empty() {
            return Err(Error::invalid("nothing says what is to be kept")
                .with_hint("give a rule, such as --keep-daily 30"));
        }
        self.cx.unless_cancelled(self.plan_now().boxed()).await
    }

    async fn plan_now(&self) -> Result<PrunePlan> {
        let inventory = Inventory::of(&self.repository).await?;
        let mut reasons: BTreeMap<_, _> = BTreeMap::new();
        for (_, mut members) in inventory.deployments() {
            // A clock was ahead: what it says is newer than anything would be in the place of all.
            for held in members.extract_if(.., |held| held.candidate.at > self.late()) {
                let future = BTreeSet::from([KeepReason::Future]);
                reasons.insert(held.snapshot.id().clone(), future);
            }
            let candidates: Vec<_> = members.iter().map(|held| held.candidate.clone()).collect();
            let kept = retention::kept(&self.policy, &candidates);
            for (held, mut kept) in members.into_iter().zip(kept) {
                if held.is_unknown_part {
                    kept.insert(KeepReason::Unknown);
                }
                reasons.insert(held.snapshot.id().clone(), kept);
            }
        }
        let leads = self.leads(&inventory).await?;
        let is_sound = |lead: &&Lead| !inventory.is_damaged(&lead.id);
        let mut bases = slices::bases(leads.iter(), self.policy.pitr_window);
        bases.extend(slices::bases(
            leads.iter().filter(is_sound),
            self.policy.pitr_window,
        ));
        for id in bases {
            reasons.entry(id).or_default().insert(KeepReason::Base);
        }
        // Asked last: each costs a request or two.
        for (id, reasons) in reasons.iter_mut().filter(|(_, reasons)| reasons.is_empty()) {
            reasons.extend(self.locked(&id.manifest()).await?);
        }
        let mut plan = PrunePlan::new(self.repository.record().id, self.policy.clone());
        plan.slices = self.plan_slices(&inventory, &leads, &reasons).await?;
        inventory.into_plan(self.old(), reasons, &mut plan);
        plan.unnamed.extend(self.given_up(&plan).await?);
        Ok(plan)
    }

    /// What keeps an object from being deleted now.
    async fn locked(&self, path: &str) -> Result<Option<KeepReason>> {
        let retention = match self.repository.store().retention(path).await {
            Err(StorageError::NotFound { .. }) => return Ok(None),
            retention => retention?,
        };
        let Some(retention) = retention else {
            return Ok(None);
        };
        let until = retention
            .until
            .and_then(|until| Timestamp::try_from(until).ok());
        let until = until.filter(|until| *until > self.clock());
        let until = match retention.held {
            true => None,
            false => match until {
                Some(until) => Some(until.to_string()),
                None => return Ok(None),
            },
        };
        Ok(Some(KeepReason::Locked { until }))
    }

    /// Deletes what the plan says, in an order in which each snapshot that can be read is whole.
    ///
    /// What the store refuses to delete stays, is counted and named, and ends nothing. Where it cannot be [recorded](Repository::audit) that it is about to
    /// delete, it deletes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if somebody else prunes, or what is to be kept is gone since the plan was made;
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a part undeleted, which the next run deletes.
    pub async fn run(&self, plan: PrunePlan) -> Result<PruneReport> {
        if plan.repository != self.repository.record().id {
            return Err(Error::conflict("the plan is of another repository"));
        }
        let lease = match self.lease {
            Some(lasts) => Some(Lease::take(self.repository.store(), PRUNE, lasts).await?),
            None => None,
        };
        let pruned = self.recorded(&plan, lease.as_ref()).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        pruned
    }

    /// Deletes nothing that is not announced in the record of what was done.
    async fn recorded(&self, plan: &PrunePlan, lease: Option<&Lease>) -> Result<PruneReport> {
        let act = self.repository.act(AuditVerb::Prune);
        act.begin().await?;
        let mut swept = self.sweep(plan, lease).boxed().await;
        let outcome = |report: &PruneReport| {
            Outcome::new(report.problems.len())
                .figure("snapshots", report.snapshots)
                .figure("unfinished", report.unfinished)
                .figure("slices", report.slices)
                .figure("objects", report.objects)
                .figure("bytes", report.stored_bytes)
                .figure("retained", report.retained.len() as u64)
        };
        let missing = act.end(&swept, outcome).await;
        match &mut swept {
            Ok(report) => report.problems.extend(missing),
            Err(_) => self.cx.unrecorded(missing, None),
        }
        swept
    }
}

/// What was deleted. `Display` is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PruneReport {
    /// Snapshots that are gone.
    pub snapshots: u64,
    /// What was begun, never finished, and is gone.
    pub unfinished: u64,
    /// Slices and gaps that are gone.
    pub slices: u64,
    /// Objects that are gone, all told.
    pub objects: u64,
    /// How many bytes they had.
    pub stored_bytes: u64,
    /// What the store refused to delete because it is locked: at most a thousand paths.
    pub retained: Vec<String>,
    /// What else could not be deleted, and why.
    pub problems: Vec<String>,
}

impl fmt::Display for PruneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "deleted {} snapshots, {} unfinished ones, {} slices and gaps: {} objects, {} bytes",
            self.snapshots, self.unfinished, self.slices, self.objects, self.stored_bytes
        )?;
        match self.retained.len() + self.problems.len() {
            0 => Ok(()),
            left => write!(f, "; {left} could not be deleted"),
        }
    }
}
