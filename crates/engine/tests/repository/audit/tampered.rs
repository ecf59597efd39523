//! What is found of a record that somebody changed, and what cannot be.

use rdump::{DamageKind, Repository, Store};
use rdump_format::repository::{AuditEntry, AuditVerb, MAX_AUDIT_NUMBER, audit_path};

use super::{acts, all_objects, digests, look, put, recorded, shown, store_of};
use crate::repository::Objects;

/// Where damage is found, and of which kind, once it was done to a record of nine entries.
async fn found(damage: impl FnOnce(&mut Objects)) -> Vec<(String, DamageKind)> {
    let (store, _) = recorded(8).await;
    let mut objects = all_objects(&*store).await;
    damage(&mut objects);
    let repository = Repository::open_in(store_of(&objects).await).await.unwrap();
    let (_, report) = shown(&repository).await;
    for damage in &report.damage {
        assert!(!damage.message.is_empty(), "{damage:?}");
    }
    let damage = report.damage.into_iter();
    damage.map(|it| (it.path, it.kind)).collect()
}

fn at(number: u64, kind: DamageKind) -> (String, DamageKind) {
    (audit_path(number), kind)
}

/// Changes an entry as somebody would who knows the format, with a digest of its own that fits.
fn rewrite(objects: &mut Objects, number: u64, change: impl FnOnce(&mut AuditEntry)) {
    let path = audit_path(number);
    let mut entry = AuditEntry::from_bytes(&objects[&path]).unwrap();
    change(&mut entry);
    objects.insert(path, entry.to_bytes().unwrap().into());
}

/// Makes entries anew from one on, until another, so that each follows the one before.
fn rewrite_from(objects: &mut Objects, first: u64, last: u64) {
    for number in first..=last {
        let before = rdump::Digest::of(&objects[&audit_path(number - 1)]);
        rewrite(objects, number, |entry| {
            entry.previous = Some(before);
            entry.who.user = "somebody else".to_owned();
        });
    }
}

#[tokio::test]
async fn a_byte_that_was_changed_is_found_whichever_it_is() {
    let (store, _) = recorded(2).await;
    let objects = all_objects(&*store).await;
    let path = audit_path(2);
    let length = objects[&path].len();
    for byte in (0..length).step_by(7).chain([length - 1]) {
        let mut changed = objects.clone();
        let mut bytes = changed[&path].to_vec();
        bytes[byte] ^= 1;
        changed.insert(path.clone(), bytes.into());
        let repository = Repository::open_in(store_of(&changed).await).await.unwrap();
        let (entries, report) = shown(&repository).await;
        assert_eq!(report.damage.len(), 1, "byte {byte}: {report}");
        assert_eq!(report.damage[0].path, path);
        // The others are shown.
        let numbers: Vec<_> = entries.iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 3]);
    }
    let short = found(|objects| {
        let bytes = objects[&audit_path(3)].slice(..20);
        objects.insert(audit_path(3), bytes);
    });
    assert_eq!(short.await, [at(3, DamageKind::Digest)]);
}

#[tokio::test]
async fn entries_that_are_missing_are_named() {
    let remove = |numbers: &'static [u64]| {
        found(move |objects| {
            for number in numbers {
                objects.remove(&audit_path(*number)).unwrap();
            }
        })
    };
    assert_eq!(remove(&[5]).await, [at(5, DamageKind::Missing)]);
    assert_eq!(remove(&[1]).await, [at(1, DamageKind::Missing)]);
    assert_eq!(
        remove(&[2, 3, 7]).await,
        [at(2, DamageKind::Missing), at(7, DamageKind::Missing)]
    );
    let (store, repository) = recorded(8).await;
    let (gone, last) = (audit_path(3), audit_path(4));
    store.delete(&[&gone, &last]).await.unwrap();
    let (_, report) = shown(&repository).await;
    assert_eq!(report.damage[0].message, "entries 3 to 4 are not there");
}

#[tokio::test]
async fn entries_that_were_swapped_inserted_or_brought_from_elsewhere_are_found() {
    let swapped = found(|objects| {
        let (one, other) = (audit_path(4), audit_path(5));
        let moved = objects.remove(&one).unwrap();
        let other_moved = objects.insert(other, moved).unwrap();
        objects.insert(one, other_moved);
    });
    assert_eq!(
        swapped.await,
        [at(4, DamageKind::Digest), at(5, DamageKind::Digest)]
    );
    // Somebody makes room for one more, and numbers the rest anew.
    let inserted = found(|objects| {
        for number in (5..=9).rev() {
            let bytes = objects.remove(&audit_path(number)).unwrap();
            objects.insert(audit_path(number + 1), bytes);
            rewrite(objects, number + 1, |entry| entry.number += 1);
        }
        let mut entry = AuditEntry::from_bytes(&objects[&audit_path(4)]).unwrap();
        entry.number = 5;
        entry.previous = Some(rdump::Digest::of(&objects[&audit_path(4)]));
        objects.insert(audit_path(5), entry.to_bytes().unwrap().into());
    });
    // All that were numbered anew.
    let inserted = inserted.await;
    assert_eq!(inserted.len(), 5, "{inserted:?}");
    assert_eq!(inserted[0], at(6, DamageKind::Digest));

    let (elsewhere, _) = recorded(8).await;
    let other = all_objects(&*elsewhere).await[&audit_path(6)].clone();
    let brought = found(|objects| drop(objects.insert(audit_path(6), other)));
    assert_eq!(brought.await[0], at(6, DamageKind::Digest));

    let strangers = found(|objects| {
        for name in ["audit/notes.txt", "audit/999999999999-4.json", "audit/a/b"] {
            objects.insert(name.to_owned(), "hello".into());
        }
    });
    let strangers = strangers.await;
    assert_eq!(strangers.len(), 3, "{strangers:?}");
    let unexpected = |(_, kind): &(String, DamageKind)| *kind == DamageKind::Unexpected;
    assert!(strangers.iter().all(unexpected), "{strangers:?}");
}

#[tokio::test]
async fn a_middle_that_was_made_anew_does_not_fit_what_follows() {
    let one = found(|objects| {
        rewrite(objects, 4, |entry| entry.verb = AuditVerb::Verify);
    });
    assert_eq!(one.await, [at(5, DamageKind::Digest)]);
    let several = found(|objects| rewrite_from(objects, 3, 6));
    assert_eq!(several.await, [at(7, DamageKind::Digest)]);
}

#[tokio::test]
async fn an_end_that_was_cut_off_or_made_anew_is_found_by_a_digest_that_was_noted() {
    let (store, repository) = recorded(8).await;
    let noted = shown(&repository).await.1.head.unwrap();
    assert_eq!(noted.number, 9);
    let digests = digests(&*store).await;
    assert_eq!(digests[&9], noted.sha256);
    let objects = all_objects(&*store).await;
    let is_whole = async |objects: &Objects, expected| {
        let repository = Repository::open_in(store_of(objects).await).await.unwrap();
        let report = repository.audit(expected, |_| {}).await.unwrap();
        if let Some(damage) = report.damage.first() {
            assert_eq!(
                (damage.path.as_str(), damage.kind),
                ("audit/", DamageKind::Missing)
            );
        }
        report.is_whole()
    };
    // Any that was noted does, also once more was done.
    for digest in digests.values() {
        assert!(is_whole(&objects, Some(*digest)).await);
    }
    look(&repository).await;
    let more = all_objects(&*store).await;
    assert!(is_whole(&more, Some(noted.sha256)).await);

    let mut cut = objects.clone();
    cut.remove(&audit_path(9)).unwrap();
    let mut anew = objects.clone();
    rewrite_from(&mut anew, 5, 9);
    let mut none = objects.clone();
    none.retain(|path, _| !path.starts_with("audit/"));
    for changed in [cut, anew, none] {
        // The links alone do not tell.
        assert!(is_whole(&changed, None).await);
        assert!(!is_whole(&changed, Some(noted.sha256)).await);
    }
}

#[tokio::test]
async fn what_was_begun_and_has_no_end_is_told() {
    let (store, repository) = recorded(3).await;
    let mut objects = all_objects(&*store).await;
    rewrite(&mut objects, 4, |entry| {
        entry.result = rdump::AuditResult::Started;
    });
    let opened = Repository::open_in(store_of(&objects).await).await.unwrap();
    let (_, report) = shown(&opened).await;
    assert!(report.is_whole(), "{report}");
    assert_eq!(report.unended.into_iter().collect::<Vec<_>>(), [4]);
    assert!(shown(&repository).await.1.unended.is_empty());
}

#[tokio::test]
async fn a_record_goes_on_after_what_is_damaged_and_the_damage_stays_to_be_seen() {
    let (store, repository) = recorded(4).await;
    // The newest is no entry any more, and one in the middle is gone.
    put(&*store, &audit_path(5), "garbage").await;
    store.delete(&[&audit_path(2)]).await.unwrap();
    look(&repository).await;
    look(&repository).await;
    let (entries, report) = shown(&repository).await;
    let numbers: Vec<_> = entries.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 3, 4, 6, 7]);
    let damage = report.damage.iter().map(|it| (it.path.clone(), it.kind));
    assert_eq!(
        damage.collect::<Vec<_>>(),
        [at(2, DamageKind::Missing), at(5, DamageKind::Digest)]
    );
    assert_eq!(report.head.unwrap().number, 7);
}

#[tokio::test]
async fn what_lies_in_the_way_is_named_and_not_read_into_memory() {
    let (store, repository) = recorded(1).await;
    put(&*store, &audit_path(3), vec![b'x'; 70_000]).await;
    let (_, report) = shown(&repository).await;
    assert_eq!(report.damage[0].kind, DamageKind::Size);
    // Nothing can follow it; what is done is done all the same.
    look(&repository).await;
    store.delete(&[&audit_path(3)]).await.unwrap();
    look(&repository).await;
    assert_eq!(acts(&repository).await.len(), 3);
    // After the last number that there can be, no more is taken down.
    put(&*store, &audit_path(MAX_AUDIT_NUMBER), "the end").await;
    look(&repository).await;
    assert_eq!(shown(&repository).await.1.entries, 4);
}
