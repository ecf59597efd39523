//! How the store is set up, what is left in it, and its clock.

use std::time::Duration;

use jiff::Timestamp;
use rdump_storage::{Lifecycle, ObjectLock, Posture, StorageError, Told, UnfinishedUpload};

use super::{
    Doctor, Held,
    deployment::{APART_SECONDS, age, apart},
    finding::{Check, Findings},
    held::Place,
    words::{counted, length, size, some},
};
use crate::{Error, Location, repository::LEASE};

/// How old an upload is that nobody is believed to end, in seconds.
const ABANDONED_SECONDS: i64 = 86_400;
/// How many more snapshots there should be room for.
const ROOM: u64 = 3;

/// Gives how objects are locked.
pub(super) async fn look(
    doctor: &Doctor,
    place: &Place,
    held: Option<&Held>,
    findings: &mut Findings,
) -> Told<Option<ObjectLock>> {
    uploads(doctor, place, findings).await;
    let posture = match place.store.posture().await {
        Ok(posture) => posture,
        Err(error) => {
            findings.unknown(Check::Store, &error.into(), "");
            return Told::Nothing;
        }
    };
    let Posture {
        now,
        versioning,
        lifecycle,
        encryption,
        blocks_public_access,
        free_bytes,
        object_lock,
        ..
    } = posture;
    if let Some(now) = told(now, Check::StoreClock, findings) {
        clock(doctor, Timestamp::try_from(now).ok(), findings);
    }
    let lifecycle = told(lifecycle, Check::Lifecycle, findings);
    if let Some(versioning) = told(versioning, Check::Versioning, findings) {
        versions(versioning, lifecycle, findings);
    }
    if let Some(lifecycle) = lifecycle {
        ages(lifecycle, findings);
    }
    if let Some(encryption) = told(encryption, Check::BucketEncryption, findings) {
        match encryption {
            Some(how) => findings.good(
                Check::BucketEncryption,
                format!("the store encrypts by {how} what it is given"),
            ),
            None => findings.note(
                Check::BucketEncryption,
                "the store does not encrypt what it is given",
                "set an encryption as the default of the bucket, or encrypt before: --encrypt-to",
            ),
        }
    }
    match told(blocks_public_access, Check::PublicAccess, findings) {
        Some(true) => findings.good(Check::PublicAccess, "the bucket cannot be made public"),
        Some(false) => findings.warning(
            Check::PublicAccess,
            "a policy or an ACL can make the bucket public",
            "block public access, with all four of its settings",
        ),
        None => {}
    }
    if let Some(free) = told(free_bytes, Check::FreeSpace, findings) {
        space(free, held, findings);
    }
    object_lock
}

/// The answer; that there is none is told, unless the store is of a kind that has none.
pub(super) fn told<T>(told: Told<T>, check: Check, findings: &mut Findings) -> Option<T> {
    match told {
        Told::Is(answer) => Some(answer),
        Told::Nothing => None,
        Told::Not(error) => {
            let advice = match &error {
                StorageError::Denied { action, .. } => format!("allow {action} to who asks"),
                StorageError::Refused { .. } => {
                    "this store does not know the question: look where it is set up".to_owned()
                }
                _ => String::new(),
            };
            findings.unknown(check, &Error::from(error), &advice);
            None
        }
    }
}

fn clock(doctor: &Doctor, now: Option<Timestamp>, findings: &mut Findings) {
    let Some(now) = now else { return };
    let check = Check::StoreClock;
    let ahead = now.as_second().saturating_sub(doctor.clock().as_second());
    let seen = format!("the clock of the store is {}", apart(ahead));
    let lease = Duration::from_secs(ahead.unsigned_abs());
    if lease >= LEASE {
        findings.danger(
            check,
            seen,
            "set the clock of this machine by NTP: leases of others look as if they had expired, so that two may write, and some stores refuse requests",
        );
    } else if ahead.abs() > APART_SECONDS {
        findings.warning(check, seen, "set the clock of this machine by NTP");
    } else {
        findings.good(check, seen);
    }
}

fn versions(are_kept: bool, lifecycle: Option<Lifecycle>, findings: &mut Findings) {
    let check = Check::Versioning;
    let days = lifecycle.and_then(|lifecycle| lifecycle.deletes_versions);
    match (are_kept, days) {
        (false, _) => findings.warning(
            check,
            "the bucket keeps no older versions: what is deleted or replaced is gone",
            "switch versioning on, with a lifecycle rule that ends older versions (docs/s3.md)",
        ),
        (true, Some(days)) => findings.good(
            check,
            format!("what is deleted or replaced stays for {days} days as an older version"),
        ),
        (true, None) if lifecycle.is_some() => findings.note(
            check,
            "what is deleted or replaced stays as an older version, and no rule ends that",
            "add a lifecycle rule that ends older versions (docs/s3.md)",
        ),
        (true, None) => findings.good(
            check,
            "what is deleted or replaced stays as an older version",
        ),
    }
}

fn ages(lifecycle: Lifecycle, findings: &mut Findings) {
    let check = Check::Lifecycle;
    let after = |days: u32| match days {
        0 => "at a date".to_owned(),
        days => format!("after {days} days"),
    };
    if let Some(days) = lifecycle.deletes {
        findings.danger(
            check,
            format!(
                "a rule of the bucket deletes objects {}: snapshots lose one object after the other",
                after(days)
            ),
            "remove the rule; `rdump prune` deletes whole snapshots, and what they need stays",
        );
    }
    if let Some(days) = lifecycle.archives {
        findings.warning(
            check,
            format!(
                "a rule of the bucket archives objects {}: they cannot be read until the store brings them back",
                after(days)
            ),
            "remove the rule, or copy what is to be archived to another place: `rdump copy --storage-class`",
        );
    }
    match lifecycle.aborts_uploads {
        Some(days) => findings.good(
            check,
            format!("uploads that nobody ends are removed after {days} days"),
        ),
        None => findings.note(
            check,
            "no rule of the bucket removes uploads that nobody ended: they are in no listing, and cost",
            "add a rule with AbortIncompleteMultipartUpload, of more days than the longest backup takes (docs/s3.md)",
        ),
    }
}

fn space(free: u64, held: Option<&Held>, findings: &mut Findings) {
    let check = Check::FreeSpace;
    let seen = format!("{} are free", size(free));
    let newest = held.and_then(|held| held.snapshots.whole.last());
    let Some(newest) = newest else {
        return findings.note(
            check,
            format!("{seen}; no snapshot tells how much one needs"),
            "",
        );
    };
    let needed = newest.manifest().run.stored_bytes;
    let seen = format!("{seen}, and the newest snapshot has {}", size(needed));
    let advice = "make room: `rdump prune` deletes what no rule keeps; or move the repository by `rdump copy --all --timeline`";
    if free < needed {
        findings.danger(check, format!("{seen}: another one has no room"), advice);
    } else if free < needed.saturating_mul(ROOM) {
        findings.warning(check, seen, advice);
    } else {
        findings.good(check, seen);
    }
}

async fn uploads(doctor: &Doctor, place: &Place, findings: &mut Findings) {
    let check = Check::UnfinishedUploads;
    let found = match place.store.unfinished_uploads().await {
        Ok(found) => found,
        Err(error) => {
            told(Told::<()>::Not(error), check, findings);
            return;
        }
    };
    let now = doctor.clock();
    let age = |upload: &UnfinishedUpload| {
        let since = upload.since.and_then(|at| Timestamp::try_from(at).ok());
        since.map_or(0, |since| age(now, since.as_second()))
    };
    let is_old = |upload: &&UnfinishedUpload| age(upload) > ABANDONED_SECONDS;
    let old: Vec<&str> = found
        .iter()
        .filter(is_old)
        .map(|it| it.path.as_str())
        .collect();
    let advice = match place.store.location() {
        Location::Folder(_) => "the next `rdump backup` removes those that nobody writes any more",
        _ => {
            "`rdump backup --clean-uploads` removes what was begun more than a day ago, and so does a lifecycle rule of the bucket (docs/s3.md)"
        }
    };
    if !old.is_empty() {
        let oldest = found.iter().map(age).max().unwrap_or_default();
        let (many, some) = (counted(old.len() as u64, "upload"), some(&old));
        findings.warning(
            check,
            format!(
                "{many} that nobody ended, the oldest begun {} ago: {some}",
                length(oldest)
            ),
            advice,
        );
    } else if found.is_empty() {
        findings.good(check, "nothing is left of uploads that nobody ended");
    } else {
        let many = counted(found.len() as u64, "upload");
        findings.note(
            check,
            format!(
                "{many} begun less than a day ago, and not ended: somebody writes, or was killed"
            ),
            "",
        );
    }
}
