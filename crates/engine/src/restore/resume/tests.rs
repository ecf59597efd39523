use bson::{Document, RawDocumentBuf, doc, rawdoc};

use super::*;
use crate::restore::plan::Steps;

const HERE: Uuid = Uuid::from_bytes([1; 16]);
const BEFORE: Uuid = Uuid::from_bytes([2; 16]);

fn planned(is_repeatable: bool) -> PlannedNamespace {
    PlannedNamespace {
        namespace: Namespace::new("db", "c"),
        from: Namespace::new("db", "c"),
        kind: NamespaceKind::Collection,
        drop: false,
        create: true,
        data: true,
        documents: Some(100),
        uncompressed_bytes: None,
        stored_bytes: 0,
        restored_before: None,
        indexes: Vec::new(),
        steps: Steps {
            is_repeatable,
            ..Steps::default()
        },
    }
}

fn entry(options: &Document) -> CollectionEntry {
    CollectionEntry {
        name: "c".to_owned(),
        kind: CollectionKind::Collection,
        options: RawDocumentBuf::try_from(options).unwrap(),
        uuid: None,
    }
}

fn first(create: bool) -> First {
    First {
        ns: Namespace::new("db", "c"),
        create,
        uuid: (!create).then_some(BEFORE),
    }
}

fn done(uuid: Uuid, documents: u64) -> [Done; 1] {
    [Done {
        ns: Namespace::new("db", "c"),
        uuid: Some(uuid),
        first: 0,
        segments: 1,
        documents,
        failed: 0,
    }]
}

fn progress(uuid: Uuid, documents: u64) -> From {
    From::Progress(Progress::of(&done(uuid, documents), uuid).unwrap())
}

/// Where to go on with a collection that the first run was to make.
fn made(
    is_repeatable: bool,
    found: Option<Uuid>,
    noted: &[Done],
    options: &RestoreOptions,
) -> From {
    let entry = entry(&doc! {});
    let found = Found {
        entry: found.map(|_| &entry),
        uuid: found,
    };
    from_where(&planned(is_repeatable), &first(true), found, noted, options)
}

fn drop() -> RestoreOptions {
    RestoreOptions::default().drop(true)
}

#[test]
fn what_is_noted_of_the_collection_that_is_there_counts() {
    for options in [drop(), RestoreOptions::default()] {
        let noted = done(HERE, 40);
        assert_eq!(made(true, Some(HERE), &noted, &options), progress(HERE, 40));
        // What would be doubled is made anew, if it is not whole.
        let anew = From::Start { drop: true };
        assert_eq!(made(false, Some(HERE), &noted, &options), anew);
        let noted = done(HERE, 100);
        assert_eq!(
            made(false, Some(HERE), &noted, &options),
            progress(HERE, 100)
        );
    }
}

#[test]
fn what_is_not_noted_of_it_is_dropped_only_where_that_was_asked_for() {
    let anew = From::Start { drop: true };
    for noted in [&[][..], &done(BEFORE, 40)] {
        assert_eq!(made(true, Some(HERE), noted, &drop()), anew);
    }
    let add = RestoreOptions::default();
    let from_nothing = From::Progress(Progress::default());
    assert_eq!(made(true, Some(HERE), &[], &add), from_nothing);
    assert_eq!(made(false, Some(HERE), &[], &add), From::Empty);
    assert_eq!(made(true, Some(HERE), &done(BEFORE, 40), &add), From::Empty);
}

#[test]
fn a_collection_that_is_gone_begins_from_its_start_unless_it_would_be_taken_for_the_old_one() {
    let start = From::Start { drop: false };
    let noted = done(HERE, 40);
    assert_eq!(made(true, None, &noted, &drop()), start);
    let same = drop().preserve_uuid(true);
    assert_eq!(made(true, None, &[], &same), start);
    assert_eq!(made(false, None, &noted, &same), start);
    assert!(matches!(made(true, None, &noted, &same), From::Nowhere(_)));
}

#[test]
fn a_server_without_uuids_has_nothing_noted_that_counts() {
    let entry = entry(&doc! {});
    let found = Found {
        entry: Some(&entry),
        uuid: None,
    };
    let noted = done(HERE, 40);
    let add = RestoreOptions::default();
    let from = |options| from_where(&planned(true), &first(true), found, &noted, options);
    assert_eq!(from(&add), From::Progress(Progress::default()));
    assert_eq!(from(&drop()), From::Start { drop: true });
}

#[test]
fn what_somebody_else_made_is_not_gone_on_with() {
    let other = entry(&doc! { "capped": true, "size": 4096 });
    let found = Found {
        entry: Some(&other),
        uuid: Some(HERE),
    };
    let options = RestoreOptions::default();
    let from = from_where(&planned(true), &first(true), found, &[], &options);
    assert_eq!(from, From::Nowhere("something else created it"));
}

#[test]
fn what_was_there_before_must_be_there_still() {
    let (entry, options) = (entry(&doc! {}), RestoreOptions::default());
    let from = |is_repeatable, uuid, noted: &[Done]| {
        let found = Found {
            entry: Some(&entry),
            uuid: Some(uuid),
        };
        let planned = PlannedNamespace {
            create: false,
            ..planned(is_repeatable)
        };
        from_where(&planned, &first(false), found, noted, &options)
    };
    let noted = done(BEFORE, 40);
    assert_eq!(from(true, BEFORE, &noted), progress(BEFORE, 40));
    assert_eq!(from(true, BEFORE, &[]), From::Progress(Progress::default()));
    assert!(matches!(from(true, HERE, &noted), From::Nowhere(_)));
    // It cannot be dropped.
    assert!(matches!(from(false, BEFORE, &noted), From::Nowhere(_)));
    let whole = done(BEFORE, 100);
    assert_eq!(from(false, BEFORE, &whole), progress(BEFORE, 100));
}

#[test]
fn only_where_every_document_has_a_place_of_its_own_it_can_be_inserted_twice() {
    let plain = rawdoc! { "validator": {} };
    assert!(is_repeatable(NamespaceKind::Collection, false, &plain));
    assert!(!is_repeatable(NamespaceKind::Collection, true, &plain));
    assert!(!is_repeatable(NamespaceKind::TimeSeries, false, &plain));
    for (index, expected) in [
        (rawdoc! { "autoIndexId": false }, false),
        (rawdoc! { "autoIndexId": 1 }, true),
    ] {
        assert_eq!(
            is_repeatable(NamespaceKind::Collection, false, &index),
            expected
        );
    }
}
