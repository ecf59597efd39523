//! Whether objects are locked for as long as they are kept.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use jiff::Timestamp;
use rdump_format::repository::KEYS;
use rdump_storage::{Listed, ObjectLock, Retention, StorageError, Told};

use super::{
    Doctor, Held,
    finding::{Check, Findings, Severity},
    store::told,
    words::{length, some},
};
use crate::{Error, Prune, Result, Snapshot};

/// How many objects of a snapshot are asked for, beside its manifest and keys: the first and the last of each kind.
const AT_EACH_END: usize = 1;

/// What was looked at of a lock.
enum Lock {
    /// Whatever the date.
    Held,
    /// Until a second since 1970.
    Until(i64),
    None,
}

/// Where there is no repository yet.
pub(super) fn of_nothing(doctor: &Doctor, lock: Told<Option<ObjectLock>>, findings: &mut Findings) {
    bucket(doctor, lock, findings);
}

pub(super) async fn look(
    doctor: &Doctor,
    held: &Held,
    lock: Told<Option<ObjectLock>>,
    findings: &mut Findings,
) {
    if !bucket(doctor, lock, findings) {
        return;
    }
    let looked = async {
        newest_snapshot(doctor, held, findings).await?;
        newest_slice(doctor, held, findings).await?;
        kept(doctor, held, findings).await
    };
    if let Err(error) = looked.await {
        let advice = "allow s3:GetObjectRetention and s3:GetObjectLegalHold to who asks";
        findings.unknown(Check::ObjectLock, &error, advice);
    }
}

/// For how long objects should be locked, in seconds, if the policy says a time.
fn wanted(doctor: &Doctor) -> Option<i64> {
    let longest = doctor.policy.longest()?;
    Some(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX))
}

/// How bad a hole is: where nobody said what is kept, locks may not be wanted.
fn hole(doctor: &Doctor) -> Severity {
    match doctor.policy.is_empty() {
        true => Severity::Warning,
        false => Severity::Danger,
    }
}

/// Whether objects can be locked.
fn bucket(doctor: &Doctor, lock: Told<Option<ObjectLock>>, findings: &mut Findings) -> bool {
    let check = Check::ObjectLock;
    if matches!(lock, Told::Nothing) {
        findings.note(
            check,
            "the place has neither locks nor versions: who may write to it may delete everything",
            "copy the repository to a bucket with object lock too: `rdump copy` (docs/copies.md)",
        );
        return false;
    }
    let Some(lock) = told(lock, check, findings) else {
        return false;
    };
    let wanted = wanted(doctor);
    let kept = wanted.map_or(String::new(), |wanted| {
        format!("; the policy keeps for up to {}", length(wanted))
    });
    let Some(lock) = lock else {
        let severity = match hole(doctor) {
            Severity::Danger => Severity::Danger,
            _ => Severity::Note,
        };
        findings.add(
            severity,
            check,
            format!("the bucket has no object lock: who may delete may delete everything{kept}"),
            "switch object lock on, or copy the repository to a bucket that has it; then --lock-until with backup and capture",
        );
        return false;
    };
    let seconds = |days: u32| i64::from(days).saturating_mul(86_400);
    match lock.default_days {
        None => findings.note(
            check,
            format!("the bucket locks what says so, and nothing by default{kept}"),
            "",
        ),
        Some(days) => findings.note(
            check,
            format!("the bucket locks everything for {days} days by default{kept}"),
            match wanted.is_some_and(|wanted| seconds(days) < wanted) {
                true => {
                    "lock longer by --lock-until with backup and capture, or by a longer default"
                }
                false => "",
            },
        ),
    }
    true
}

async fn newest_snapshot(doctor: &Doctor, held: &Held, findings: &mut Findings) -> Result<()> {
    let (Some(newest), Some(status)) = (held.snapshots.whole.last(), &held.status.newest) else {
        return Ok(());
    };
    let mut shortest = Lock::Held;
    let mut what = newest.id().manifest();
    for path in sample(held, newest).await? {
        let lock = lock_of(held, &path).await?;
        if is_shorter(&lock, &shortest) {
            (shortest, what) = (lock, path);
        }
    }
    let whose = format!("{what} of the newest snapshot");
    tell(doctor, &whose, &shortest, status.at_seconds, findings);
    Ok(())
}

async fn newest_slice(doctor: &Doctor, held: &Held, findings: &mut Findings) -> Result<()> {
    let Some(end) = held.status.timeline.ends().into_iter().next() else {
        return Ok(());
    };
    let path = end.path();
    let lock = lock_of(held, &path).await?;
    let whose = format!("{path}, the newest slice,");
    tell(doctor, &whose, &lock, i64::from(end.end.seconds), findings);
    Ok(())
}

/// Whether a lock that began at a second lasts for as long as it should.
fn tell(doctor: &Doctor, whose: &str, lock: &Lock, at: i64, findings: &mut Findings) {
    let check = Check::ObjectLock;
    let now = doctor.clock().as_second();
    let wanted = wanted(doctor);
    let advice = match wanted {
        Some(wanted) => format!(
            "give --lock-until {}d with backup and capture: what is stored from then on is locked for as long as it is kept",
            wanted.saturating_add(86_399) / 86_400
        ),
        None => "give --lock-until with backup and capture, for as long as it is kept".to_owned(),
    };
    match *lock {
        Lock::None => {
            let seen = format!("{whose} is not locked");
            findings.add(hole(doctor), check, seen, advice);
        }
        Lock::Until(until) if until <= now => {
            let seen = format!(
                "{whose} is not locked any more, since {}",
                length(now - until)
            );
            findings.add(hole(doctor), check, seen, advice);
        }
        Lock::Held => findings.good(check, format!("{whose} is held until somebody lifts that")),
        Lock::Until(until) => {
            let lasts = until.saturating_sub(at);
            let seen = format!("{whose} is locked for {}", length(lasts));
            match wanted {
                Some(wanted) if lasts < wanted => findings.add(
                    hole(doctor),
                    check,
                    format!("{seen}, and the policy keeps for up to {}", length(wanted)),
                    advice,
                ),
                _ => findings.good(check, seen),
            }
        }
    }
}

/// Older snapshots that the policy keeps, and whose lock has ended.
async fn kept(doctor: &Doctor, held: &Held, findings: &mut Findings) -> Result<()> {
    if doctor.policy.is_empty() {
        return Ok(());
    }
    let prune = Prune::new(&held.repository, doctor.policy.clone());
    let plan = prune.now(doctor.clock().as_second()).plan().await?;
    let newest = held.snapshots.whole.last().map(Snapshot::id);
    let (mut open, mut all) = (Vec::new(), 0_u64);
    for snapshot in &plan.snapshots {
        if snapshot.goes() || Some(&snapshot.id) == newest {
            continue;
        }
        all += 1;
        let is_locked = match lock_of(held, &snapshot.id.manifest()).await? {
            Lock::Held => true,
            Lock::Until(until) => until > doctor.clock().as_second(),
            Lock::None => false,
        };
        if !is_locked {
            open.push(snapshot.id.to_string());
        }
    }
    if !open.is_empty() {
        findings.warning(
            Check::ObjectLock,
            format!(
                "{} of {all} older snapshots that the policy keeps are not locked: {}",
                open.len(),
                some(&open)
            ),
            "lock them by the tools of the store, or copy them to a place that locks by default: `rdump copy --all`",
        );
    }
    Ok(())
}

/// What says of a snapshot how it is locked: its manifest, its keys, and some of its objects.
async fn sample(held: &Held, snapshot: &Snapshot) -> Result<Vec<String>> {
    let (id, store) = (snapshot.id(), held.repository.store());
    let mut paths = vec![id.manifest()];
    let mut of_kind: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for prefix in [id.folder(), format!("{KEYS}{id}")] {
        let mut listed = store.list(&prefix);
        while let Some(listed) = listed.try_next().await? {
            let Listed::Object(object) = listed else {
                continue;
            };
            let kind = object.path.rsplit_once('/').map_or("", |(kind, _)| kind);
            let found = of_kind.entry(kind.to_owned()).or_default();
            // Of many only the first and the last are remembered.
            if found.len() > AT_EACH_END {
                found.truncate(AT_EACH_END);
            }
            found.push(object.path);
        }
    }
    paths.extend(of_kind.into_values().flatten());
    Ok(paths)
}

async fn lock_of(held: &Held, path: &str) -> Result<Lock> {
    let retention: Option<Retention> = match held.repository.store().retention(path).await {
        Err(StorageError::NotFound { .. }) => None,
        retention => retention.map_err(Error::from)?,
    };
    let Some(retention) = retention else {
        return Ok(Lock::None);
    };
    let until = retention.until.and_then(|at| Timestamp::try_from(at).ok());
    Ok(match (retention.held, until) {
        (true, _) => Lock::Held,
        (false, Some(until)) => Lock::Until(until.as_second()),
        (false, None) => Lock::None,
    })
}

fn is_shorter(one: &Lock, other: &Lock) -> bool {
    let end = |lock: &Lock| match lock {
        Lock::None => i64::MIN,
        Lock::Until(until) => *until,
        Lock::Held => i64::MAX,
    };
    end(one) < end(other)
}
