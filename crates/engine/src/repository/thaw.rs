//! Having a store thaw what is in a class that is not read from.

use std::{fmt, sync::Arc, time::Duration, time::Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rdump_format::repository::{AuditVerb, BEGUN, KEYS, SnapshotId};
use rdump_storage::{ClassState, Listed, StorageError, ThawRequest};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Outcome, Repository, frozen::LOOKS_AT_ONCE};
use crate::{Error, ErrorKind, Observer, Result, context::RunContext};

/// Asks the store to thaw all that snapshots are made of, and waits until it has, if that is wanted.
///
/// What is asked for goes on in the store, whatever becomes of the run. To ask again costs little and is no error.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use rdump::{Repository, Thaw, ThawRequest};
///
/// # async fn example() -> rdump::Result<()> {
/// let repository = Repository::open(&"s3://backups/shop".parse()?).await?;
/// let id = repository.find_id("latest").await?;
/// let thaw = Thaw::new(&repository, vec![id]).request(ThawRequest::default().days(3));
/// let report = thaw.wait(Some(Duration::from_secs(300))).run().await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Thaw {
    repository: Repository,
    ids: Vec<SnapshotId>,
    request: ThawRequest,
    wait: Option<Duration>,
    cx: RunContext,
}

/// An object that may have to be thawed.
struct Cold {
    path: String,
    stored_bytes: u64,
}

impl Thaw {
    /// Thaws these snapshots.
    pub fn new(repository: &Repository, ids: Vec<SnapshotId>) -> Self {
        Self {
            repository: repository.clone(),
            ids,
            request: ThawRequest::default(),
            wait: None,
            cx: RunContext::default(),
        }
    }

    /// Sets for how long and how fast. Default: seven days, as the store does it usually.
    #[must_use]
    pub fn request(mut self, request: ThawRequest) -> Self {
        self.request = request;
        self
    }

    /// Sets how long is waited before the store is asked again how far it is; `None` does not wait. Default: `None`.
    #[must_use]
    pub fn wait(mut self, interval: Option<Duration>) -> Self {
        self.wait = interval;
        self
    }

    /// Sets who is told how much is left.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the token that stops it.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Asks, and waits if that is wanted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if there is nothing of a snapshot; [`ErrorKind::Unsupported`] if something is frozen and the store does not
    /// thaw; [`ErrorKind::Data`] if something is deleted meanwhile; [`ErrorKind::Cancelled`], and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes back nothing of what was asked for.
    pub async fn run(&self) -> Result<ThawReport> {
        let clock = Instant::now();
        let thawed = self.cx.unless_cancelled(Box::pin(self.run_now())).await;
        let asked = thawed.as_ref().map_or(true, |report| report.asked > 0);
        if asked {
            let only = self.ids.first().filter(|_| self.ids.len() == 1);
            let act = self
                .repository
                .act(AuditVerb::Thaw)
                .snapshot(only)
                .since(clock);
            let outcome = |report: &ThawReport| {
                Outcome::default()
                    .figure("asked", report.asked)
                    .figure("objects", report.objects)
                    .figure("frozen", report.frozen)
            };
            let missing = act.end(&thawed, outcome).await;
            self.cx.unrecorded(missing, None);
        }
        thawed
    }

    async fn run_now(&self) -> Result<ThawReport> {
        let clock = Instant::now();
        let (mut report, mut left) = self.looked().await?;
        loop {
            left = self.asked(left, &mut report).await?;
            report.frozen = left.len() as u64;
            let bytes = left.iter().map(|cold| cold.stored_bytes);
            report.frozen_bytes = bytes.fold(0, u64::saturating_add);
            let Some(interval) = self.wait.filter(|_| !left.is_empty()) else {
                report.duration_seconds = clock.elapsed().as_secs_f64();
                return Ok(report);
            };
            self.cx.notice(
                None,
                format!(
                    "{} of {} objects, {} bytes, are being thawed",
                    report.frozen, report.objects, report.frozen_bytes
                ),
            );
            tokio::time::sleep(interval).await;
        }
    }

    /// What may have to be thawed. The manifest is not needed for that: where somebody else has moved them, records may be frozen too.
    async fn looked(&self) -> Result<(ThawReport, Vec<Cold>)> {
        let store = &**self.repository.store();
        let mut report = ThawReport::default();
        let mut cold = Vec::new();
        for id in &self.ids {
            let mut found = false;
            let prefixes = [
                id.folder(),
                id.manifest(),
                id.manifest_copy(),
                format!("{KEYS}{id}-"),
                format!("{BEGUN}{id}-"),
            ];
            for prefix in &prefixes {
                let mut listed = store.list(prefix);
                while let Some(listed) = listed.try_next().await? {
                    let Listed::Object(object) = listed else {
                        continue;
                    };
                    found = true;
                    report.objects += 1;
                    let stored_bytes = object.stored_bytes;
                    report.stored_bytes += stored_bytes;
                    if object.may_be_frozen() {
                        let path = object.path;
                        cold.push(Cold { path, stored_bytes });
                    }
                }
            }
            if !found {
                return Err(Error::invalid(format!(
                    "there is no snapshot {id} in {}",
                    self.repository.location()
                )));
            }
        }
        Ok((report, cold))
    }

    /// Asks for what nobody has asked for yet; gives what cannot be read.
    async fn asked(&self, cold: Vec<Cold>, report: &mut ThawReport) -> Result<Vec<Cold>> {
        let looks = cold.into_iter().map(async |cold| {
            let class = self.repository.store().class(&cold.path).await?;
            let gone = || Error::data(format!("{} is missing", cold.path)).at(&cold.path);
            let state = class.ok_or_else(gone)?.state;
            if state == ClassState::Frozen {
                self.ask(&cold).await?;
            }
            Ok::<_, Error>((cold, state))
        });
        let looks: Vec<_> = looks.collect();
        let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        let mut left = Vec::new();
        while let Some((cold, state)) = looks.try_next().await? {
            match state {
                ClassState::Readable => {}
                ClassState::Thawed { until } => {
                    let until = until.and_then(|until| Timestamp::try_from(until).ok());
                    let until = until.map(|until| until.to_string());
                    let sooner = match (&report.until, &until) {
                        (Some(before), Some(until)) => until < before,
                        (before, _) => before.is_none(),
                    };
                    if sooner {
                        report.until = until;
                    }
                }
                ClassState::Thawing => left.push(cold),
                ClassState::Frozen => {
                    report.asked += 1;
                    left.push(cold);
                }
            }
        }
        Ok(left)
    }

    async fn ask(&self, cold: &Cold) -> Result<()> {
        let asked = self.repository.store().thaw(&cold.path, self.request).await;
        asked.map_err(|error| match error {
            StorageError::Refused { .. } => {
                let refused = Error::from(error);
                let message = format!("the store does not thaw {}", cold.path);
                Error::new(ErrorKind::Unsupported, message)
                    .at(&cold.path)
                    .caused_by(refused)
            }
            error => error.into(),
        })
    }
}

/// What was thawed, and what is not yet. `Display` is for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ThawReport {
    /// How many objects there are of the snapshots.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// How many objects the store was asked to thaw; others were asked for before, or can be read.
    pub asked: u64,
    /// How many cannot be read yet.
    pub frozen: u64,
    /// Their size, in bytes.
    pub frozen_bytes: u64,
    /// When the first of those that were thawed freezes again, as far as the store says: RFC 3339, UTC.
    pub until: Option<String>,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
}

impl ThawReport {
    /// Whether all can be read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.frozen == 0
    }
}

impl fmt::Display for ThawReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (objects, frozen) = (self.objects, self.frozen);
        match (frozen, &self.until) {
            (0, None) => write!(f, "{objects} objects can be read"),
            (0, Some(until)) => write!(f, "{objects} objects can be read, until {until}"),
            _ => write!(f, "{frozen} of {objects} objects cannot be read yet"),
        }
    }
}
