//! What is in a repository, and what is left of what should be.

use jiff::Timestamp;
use rdump_format::repository::SnapshotId;

use super::{
    Doctor, Held,
    deployment::age,
    finding::{Check, Findings, why},
    words::{counted, length, size, some},
};
use crate::{OpTime, SnapshotStatus, repository::LEASE};

/// How old the newest snapshot may be if nothing else is said, in seconds.
const OLD_SECONDS: i64 = 7 * 86_400;
/// How long ago the last verification may be, in seconds.
const UNVERIFIED_SECONDS: i64 = 31 * 86_400;
/// How old what was begun and not finished is that nobody is believed to go on with, in seconds.
const ABANDONED_SECONDS: i64 = 86_400;
/// How far a slice may be behind while somebody captures, in seconds: where nothing is written there is one a minute.
const BEHIND_SECONDS: i64 = 600;

pub(super) async fn look(doctor: &Doctor, held: &Held, findings: &mut Findings) {
    let status = &held.status;
    findings.good(
        Check::Repository,
        format!(
            "{}: {}, {} in {}",
            held.repository,
            counted(status.snapshots, "snapshot"),
            size(status.stored_bytes),
            counted(status.objects, "object")
        ),
    );
    damage(held, findings);
    newest(doctor, held, findings);
    consistency(held, findings);
    verification(doctor, held, findings);
    gaps(held, findings);
    capture(doctor, held, findings);
    encryption(held, findings);
    unfinished(doctor, held, findings);
    leases(held, findings).await;
}

fn damage(held: &Held, findings: &mut Findings) {
    let check = Check::Damage;
    let damaged = &held.status.damaged;
    if !damaged.is_empty() {
        let many = counted(damaged.len() as u64, "snapshot");
        findings.danger(
            check,
            format!("{many} damaged: {}", some(damaged)),
            "`rdump verify ID` names what is wrong; a lost manifest has a copy in copies/; take a new snapshot, or copy the damaged one back from elsewhere",
        );
    }
    for error in &held.unreadable {
        findings.danger(
            check,
            format!(
                "the last slice of what is captured cannot be read: {}",
                why(error)
            ),
            "`rdump verify --all` names all that is wrong; take a new snapshot",
        );
    }
    if damaged.is_empty() && held.unreadable.is_empty() {
        findings.good(check, "no snapshot is known to be damaged");
    }
}

fn newest(doctor: &Doctor, held: &Held, findings: &mut Findings) {
    let check = Check::NewestSnapshot;
    let advice = "run `rdump backup`, and find out why it did not run";
    let most = doctor
        .max_age
        .map(|age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    let Some(newest) = &held.status.newest else {
        let seen = "there is no snapshot that can be read: nothing can be restored";
        return match most {
            Some(_) => findings.danger(check, seen, advice),
            None => findings.warning(check, seen, advice),
        };
    };
    let SnapshotStatus { id, at_seconds, .. } = newest;
    let age = age(doctor.clock(), *at_seconds);
    let seen = format!("the newest snapshot, {id}, is {} old", length(age));
    match most {
        Some(most) if age > most => findings.danger(
            check,
            format!("{seen}, and may be {}", length(most)),
            advice,
        ),
        None if age > OLD_SECONDS => findings.warning(check, seen, advice),
        _ => findings.good(check, seen),
    }
}

fn consistency(held: &Held, findings: &mut Findings) {
    let check = Check::Consistency;
    let Some(newest) = held.snapshots.whole.last() else {
        return;
    };
    let run = &newest.manifest().run;
    if !run.problems.is_empty() {
        findings.warning(
            check,
            format!(
                "the newest snapshot had {}: {}",
                counted(run.problems.len() as u64, "problem"),
                some(&run.problems)
            ),
            "mend what they name, and take another snapshot",
        );
    }
    match run.consistency.as_str() {
        "none" => findings.warning(
            check,
            "in the newest snapshot each collection is of a time of its own",
            "back a replica set up, with --consistency auto (docs/consistency.md)",
        ),
        how => findings.good(
            check,
            format!("the newest snapshot is of one moment ({how})"),
        ),
    }
}

fn verification(doctor: &Doctor, held: &Held, findings: &mut Findings) {
    let check = Check::Verification;
    let status = &held.status;
    if status.newest.is_none() {
        return;
    }
    let advice = "run `rdump verify --repo …` after each backup: --sample 10% reads a part, another one each time";
    let Some(last_good) = &status.last_good else {
        return findings.warning(
            check,
            "no snapshot was ever verified and found whole: nothing is known to be good",
            advice,
        );
    };
    let is_newest = status
        .newest
        .as_ref()
        .is_some_and(|it| it.id == last_good.id);
    let verified = last_good.verified_at.as_deref().unwrap_or_default();
    let since = verified.parse::<Timestamp>().map(Timestamp::as_second);
    let seen = format!(
        "{} is the newest that was found whole, on {verified}",
        last_good.id
    );
    let is_old = since.is_ok_and(|at| age(doctor.clock(), at) > UNVERIFIED_SECONDS);
    match is_newest && !is_old {
        true => findings.good(check, format!("{seen}, and the newest of all")),
        false if is_old => findings.warning(check, seen, advice),
        false => findings.note(check, format!("{seen}; there are newer ones"), advice),
    }
}

fn gaps(held: &Held, findings: &mut Findings) {
    let check = Check::Gaps;
    let (timeline, restorable) = (&held.status.timeline, &held.status.restorable);
    if timeline.is_empty() {
        return;
    }
    let until: OpTime = restorable
        .iter()
        .map(|span| span.until)
        .max()
        .unwrap_or_default();
    let gaps: Vec<_> = timeline.gaps().collect();
    let open: Vec<_> = gaps.iter().filter(|gap| gap.end > until).collect();
    let ends = timeline.ends();
    let leads_nowhere = ends.first().is_some_and(|end| end.end > until);
    if let Some(gap) = open.last() {
        findings.danger(
            check,
            format!(
                "there is a gap from {} to {}, and no snapshot after it: what is captured since leads nowhere",
                gap.start, gap.end
            ),
            "take a snapshot: `rdump backup`",
        );
    } else if leads_nowhere {
        findings.danger(
            check,
            format!("what is captured cannot be restored beyond {until}: it leads on from no snapshot of everything"),
            "take a snapshot: `rdump backup`, of everything, encrypted if what is captured is",
        );
    } else if gaps.is_empty() {
        findings.good(
            check,
            "what is captured leads on from a snapshot without a gap",
        );
    } else {
        let many = counted(gaps.len() as u64, "gap");
        findings.note(
            check,
            format!("{many}, with a snapshot after each: moments within cannot be restored"),
            "",
        );
    }
}

fn capture(doctor: &Doctor, held: &Held, findings: &mut Findings) {
    let check = Check::Capture;
    let status = &held.status;
    let newest = status.timeline.ends().first().map(|end| end.end);
    let Some(newest) = newest else {
        match &status.capturing {
            Some(capturing) => {
                findings.good(
                    check,
                    format!("captured on {capturing}; nothing is stored yet"),
                );
            }
            None => findings.note(
                check,
                "nothing is captured: the moments of snapshots can be restored, and none between",
                "run `rdump capture` beside the backups (docs/point-in-time.md)",
            ),
        }
        return;
    };
    let age = age(doctor.clock(), i64::from(newest.seconds));
    let seen = format!("what is captured ends {} ago, at {newest}", length(age));
    match &status.capturing {
        None => findings.warning(
            check,
            format!("{seen}, and nobody captures"),
            "start `rdump capture`, before the oplog forgets what was written since",
        ),
        Some(capturing) if age > BEHIND_SECONDS => findings.warning(
            check,
            format!("{seen}, although it is captured on {capturing}"),
            "look at its log, and at the network between it, the deployment and the store",
        ),
        Some(capturing) => findings.good(check, format!("{seen}; it is captured on {capturing}")),
    }
}

fn encryption(held: &Held, findings: &mut Findings) {
    let check = Check::Encryption;
    let whole = &held.snapshots.whole;
    let Some(newest) = whole.last() else { return };
    let is_encrypted = newest.manifest().is_encrypted();
    let timeline = &held.status.timeline;
    let slices = timeline.ends().into_iter().next();
    let slices = slices.map(|end| timeline.is_encrypted(end.timeline));
    let before = whole.iter().any(|it| it.manifest().is_encrypted());
    match (is_encrypted, slices) {
        (true, Some(false)) => findings.danger(
            check,
            "snapshots are encrypted, and what is captured is not: no restore takes both",
            "capture with the same --encrypt-to or --passphrase-file as the backups",
        ),
        (false, Some(true)) => findings.danger(
            check,
            "what is captured is encrypted, and the newest snapshot is not: no restore takes both",
            "back up with the same --encrypt-to or --passphrase-file as the capture",
        ),
        (true, _) => findings.good(check, "the newest snapshot is encrypted"),
        (false, _) if before => findings.warning(
            check,
            "the newest snapshot is not encrypted, and older ones are",
            "back up with --encrypt-to or --passphrase-file, or RDUMP_ENCRYPT_TO in the environment",
        ),
        (false, _) => findings.note(
            check,
            "snapshots are not encrypted: who can read the place can read the documents",
            "back up and capture with --encrypt-to (docs/security.md)",
        ),
    }
}

fn unfinished(doctor: &Doctor, held: &Held, findings: &mut Findings) {
    let check = Check::UnfinishedSnapshots;
    let snapshots = &held.snapshots;
    let is_left = |id: &&SnapshotId| !snapshots.running.contains(id);
    let left: Vec<_> = snapshots.unfinished.iter().filter(is_left).collect();
    let running = snapshots.running.len();
    // They are in order.
    let begun = left
        .first()
        .and_then(|id| id.begun_at().parse::<Timestamp>().ok());
    let oldest = begun.map(|begun| age(doctor.clock(), begun.as_second()));
    let Some(oldest) = oldest else {
        return match running {
            0 => findings.good(check, "every snapshot that was begun is finished"),
            running => findings.note(
                check,
                format!("{} being written now", counted(running as u64, "snapshot")),
                "",
            ),
        };
    };
    let seen = format!(
        "{} begun and not finished, the oldest {} ago: {}",
        counted(left.len() as u64, "snapshot"),
        length(oldest),
        some(&left)
    );
    let advice = "`rdump backup --resume` goes on with the newest; `rdump prune` deletes what is older than a day";
    match oldest > ABANDONED_SECONDS {
        true => findings.warning(check, seen, advice),
        false => findings.note(check, seen, advice),
    }
}

async fn leases(held: &Held, findings: &mut Findings) {
    let check = Check::Leases;
    let leases = match held.repository.leases().await {
        Ok(leases) => leases,
        Err(error) => return findings.unknown(check, &error, ""),
    };
    let (mut writers, mut stale) = (Vec::new(), Vec::new());
    for (name, holder) in leases {
        match holder {
            Ok(Some(record)) => writers.push(format!("{name} on {:?}", record.host)),
            Ok(None) => stale.push(name),
            Err(error) => findings.warning(
                check,
                format!("a lease cannot be read: {}", why(&error)),
                error
                    .hint()
                    .unwrap_or("if nobody writes to the repository, remove it"),
            ),
        }
    }
    if !stale.is_empty() {
        let many = counted(stale.len() as u64, "lease");
        findings.note(
            check,
            format!(
                "{many} of who was killed, or may not delete: {}; who comes next takes it over",
                some(&stale)
            ),
            "",
        );
    }
    match writers.is_empty() {
        true if stale.is_empty() => findings.good(check, "nobody writes, and no lease is left"),
        true => {}
        false => findings.note(
            check,
            format!(
                "{} held: {}; one that is killed is held for {} s",
                counted(writers.len() as u64, "lease"),
                some(&writers),
                LEASE.as_secs()
            ),
            "",
        ),
    }
}
