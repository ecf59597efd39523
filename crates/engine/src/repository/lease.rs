//! Leases: of several writers, one writes.

mod process;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rdump_format::repository::{LEASES, LeaseRecord, WaitingRecord};
use rdump_storage::{PutIf, StorageError, Store, Version};
use tokio::{sync::Mutex, task::JoinSet, time::Instant};

pub(super) use process::host;

use super::{not_written, read_record};
use crate::{Counters, Error, ErrorKind, Result};

/// How long a lease holds without being renewed: an outage of the store that is shorter stops nobody.
pub(crate) const LEASE: Duration = Duration::from_secs(300);
/// How many times it is renewed meanwhile.
const RENEWALS: u32 = 5;

/// A lease that was taken. It is renewed until it is dropped, lost or [released](Self::release).
#[derive(Debug)]
pub(super) struct Lease {
    shared: Arc<Shared>,
    /// Ends with the lease.
    _renewing: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    lasts: Duration,
    /// What is noted at each renewal.
    noted: OnceLock<Arc<Counters>>,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    record: LeaseRecord,
    version: Version,
    /// By this process's own clock, which nobody sets.
    until: Instant,
    lost: Option<Error>,
    released: bool,
}

impl Held {
    /// By this process's own clock, which stands still while the machine sleeps, or by the one on the wall.
    fn has_expired(&self) -> bool {
        let until = self.record.expires_at.parse::<Timestamp>();
        Instant::now() >= self.until || until.is_ok_and(|until| Timestamp::now() >= until)
    }
}

impl Lease {
    /// Takes a lease that nobody has, or that whoever had it has let expire or took into the grave.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if somebody has it, [`ErrorKind::Unsupported`] if the store does not mind conditions, and as the
    /// place has them.
    pub(super) async fn take(store: &Arc<dyn Store>, name: &str, lasts: Duration) -> Result<Self> {
        Self::take_since(store, name, lasts, Timestamp::now().to_string()).await
    }

    /// As [`take`](Self::take), where `since` tells the taker from others of this process: what it has taken before, and not heard of, it takes again.
    pub(super) async fn take_since(
        store: &Arc<dyn Store>,
        name: &str,
        lasts: Duration,
        since: String,
    ) -> Result<Self> {
        let before = held(&**store, name).await?;
        let (mut number, mut condition) = (1, PutIf::Absent);
        let path = format!("{LEASES}{name}.json");
        if let Some((record, version)) = before {
            let is_ours = record.process == process::this()
                && record.host == host()
                && record.taken_at == since;
            if is_held(&record) && !is_ours {
                return Err(taken(&path, &record));
            }
            number = record.number.saturating_add(1);
            condition = PutIf::Unchanged(version);
        }
        let (record, until) = record(name, number, lasts, since)?;
        let bytes: bytes::Bytes = record.to_bytes().map_err(not_written)?.into();
        let put = match store.put(&path, bytes.clone(), condition).await {
            Err(StorageError::Exists { .. } | StorageError::Changed { .. }) => {
                return Err(Error::conflict(format!(
                    "{path} was taken by somebody else just now"
                )));
            }
            Err(StorageError::Refused { .. }) => return Err(unconditional(&**store)),
            put => put?,
        };
        // Now that it is there, this must fail.
        let again = store.put(&path, bytes, PutIf::Absent).await;
        let version = match (put.version, again) {
            (Some(version), Err(StorageError::Exists { .. })) => version,
            (None, _) | (_, Ok(_) | Err(StorageError::Refused { .. })) => {
                return Err(unconditional(&**store));
            }
            (_, Err(error)) => return Err(error.into()),
        };
        let shared = Arc::new(Shared {
            store: Arc::clone(store),
            lasts,
            noted: OnceLock::new(),
            held: Mutex::new(Held {
                record,
                version,
                until,
                lost: None,
                released: false,
            }),
        });
        let mut renewing = JoinSet::new();
        renewing.spawn(renew_for_ever(Arc::clone(&shared)));
        Ok(Self {
            shared,
            _renewing: renewing,
        })
    }

    /// Whether it is still held.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if it was lost: somebody else has it, or may have.
    pub(super) async fn check(&self) -> Result<()> {
        let held = self.shared.held.lock().await;
        match &held.lost {
            Some(lost) => Err(lost.clone()),
            None if held.has_expired() => Err(expired(&held.record)),
            None => Ok(()),
        }
    }

    /// Whether somebody else has it.
    pub(super) async fn is_lost(&self) -> bool {
        self.shared.held.lock().await.lost.is_some()
    }

    /// From now on notes at each renewal how much waits to be stored.
    pub(super) fn note(&self, counters: &Arc<Counters>) {
        self.shared.noted.get_or_init(|| Arc::clone(counters));
    }

    /// Leaves it as it is in the store: it has expired, and who comes next takes it.
    pub(super) async fn abandon(&self) {
        self.shared.held.lock().await.released = true;
    }

    /// Lets others take it at once. What fails is of no matter: it expires.
    pub(super) async fn release(&self) {
        self.shared.release().await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shared = Arc::clone(&self.shared);
            runtime.spawn(async move { shared.release().await });
        }
    }
}

async fn renew_for_ever(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(shared.lasts / RENEWALS);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if shared.held.lock().await.released {
            return;
        }
        if let Err(lost) = shared.renew().await {
            shared.held.lock().await.lost = Some(lost);
            return;
        }
    }
}

impl Shared {
    /// Puts off the end of the lease; fails if it is lost.
    async fn renew(&self) -> Result<()> {
        let (before, version) = {
            let held = self.held.lock().await;
            (held.record.clone(), held.version.clone())
        };
        let (mut record, until) = record(
            &before.name,
            before.number,
            self.lasts,
            before.taken_at.clone(),
        )?;
        record.waiting = self.noted.get().map(|counters| {
            let bytes = counters.waiting_bytes.value();
            WaitingRecord::new(bytes, Timestamp::now().to_string())
        });
        let bytes = record.to_bytes().map_err(not_written)?;
        let condition = PutIf::Unchanged(version);
        let path = record.path();
        match self.store.put(&path, bytes.into(), condition).await {
            Ok(info) => {
                let mut held = self.held.lock().await;
                (held.record, held.until) = (record, until);
                held.version = info.version.unwrap_or_else(|| held.version.clone());
                Ok(())
            }
            Err(StorageError::Changed { .. } | StorageError::NotFound { .. }) => {
                let lost = Error::conflict(format!("{path} was lost to another writer"));
                let Ok(found) = held(&*self.store, &before.name).await else {
                    return Ok(());
                };
                // The answer to what was put before may have been lost.
                let (found, version) = found.ok_or_else(|| lost.clone())?;
                let is_ours = |of: &LeaseRecord| {
                    let same = of.taken_at == before.taken_at && of.host == before.host;
                    same && of.process == before.process
                };
                match is_ours(&found) {
                    true => {
                        self.held.lock().await.version = version;
                        Ok(())
                    }
                    false => Err(lost),
                }
            }
            // Another time; whether that is too late is seen by who writes.
            Err(_) => Ok(()),
        }
    }

    async fn release(&self) {
        let mut held = self.held.lock().await;
        if held.released || held.lost.is_some() {
            return;
        }
        held.released = true;
        // First it is said to be free, if it is ours still; then it is removed, where that is allowed.
        let mut record = held.record.clone();
        record.expires_at.clone_from(&record.taken_at);
        let (path, condition) = (record.path(), PutIf::Unchanged(held.version.clone()));
        if let Ok(bytes) = record.to_bytes()
            && self.store.put(&path, bytes.into(), condition).await.is_ok()
        {
            let _ = self.store.delete(&[&path]).await;
        }
    }
}

/// What this process says of itself, and until when by its own clock.
fn record(
    name: &str,
    number: u64,
    lasts: Duration,
    taken_at: String,
) -> Result<(LeaseRecord, Instant)> {
    let (now, until) = (Timestamp::now(), Instant::now() + lasts);
    let lasts = SignedDuration::try_from(lasts)
        .map_err(|error| Error::internal("a lease cannot last so long").caused_by(error))?;
    let expires_at = now
        .saturating_add(lasts)
        .map_err(|error| Error::internal("a lease cannot last so long").caused_by(error))?;
    let (host, process) = (host(), process::this());
    let mut record = LeaseRecord::new(name, host, process, taken_at, expires_at.to_string());
    record.number = number;
    Ok((record, until))
}

/// A lease as it is stored; `None` if nobody has taken it.
async fn held(store: &dyn Store, name: &str) -> Result<Option<(LeaseRecord, Version)>> {
    let path = format!("{LEASES}{name}.json");
    // The version first: what is read then may be newer, and is not replaced.
    let Some(info) = store.head(&path).await? else {
        return Ok(None);
    };
    let record = match read_record(store, &path, LeaseRecord::from_bytes).await? {
        None => return Ok(None),
        Some(record) => record.map_err(|error| {
            error.with_hint(format!("if nobody writes to the repository, remove {path}"))
        })?,
    };
    let version = info.version.ok_or_else(|| unconditional(store))?;
    Ok(Some((record, version)))
}

/// That a store cannot tell one writer from two.
fn unconditional(store: &dyn Store) -> Error {
    let kind = ErrorKind::Unsupported;
    let message = "does not mind conditions: two writers at once could not be told from one";
    Error::new(kind, format!("{} {message}", store.location()))
        .with_hint("if nobody else writes to the repository, take no lease: --no-lock")
}

/// The lease of something, if somebody has it who may be alive.
pub(super) async fn holder(store: &dyn Store, name: &str) -> Result<Option<LeaseRecord>> {
    let held = held(store, name).await?;
    Ok(held.map(|(record, _)| record).filter(is_held))
}

/// Whether somebody may be writing under a lease.
fn is_held(record: &LeaseRecord) -> bool {
    // What cannot be read never expires.
    let has_expired = |until: Timestamp| until <= Timestamp::now();
    let has_expired = record.expires_at.parse().is_ok_and(has_expired);
    !has_expired && !process::is_dead(&record.process)
}

fn taken(path: &str, record: &LeaseRecord) -> Error {
    Error::conflict(format!(
        "{path} is held by a process on {:?} since {}, until {} at least",
        record.host, record.taken_at, record.expires_at
    ))
    .with_hint("wait for its end; a process that was killed lets go of it by then")
}

fn expired(record: &LeaseRecord) -> Error {
    Error::conflict(format!(
        "{} could not be renewed before {}: another writer may have it",
        record.path(),
        record.expires_at
    ))
}
