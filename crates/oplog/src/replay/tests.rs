#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

mod commands;
mod transactions;

use std::slice::from_ref;

use bson::spec::BinarySubtype;
use bson::{Binary, RawBson, RawDocument, RawDocumentBuf, Timestamp, rawdoc};

use super::*;
use crate::{CollectionIndexes, DefaultCollation};

const TARGET: ReplayTarget = ReplayTarget::new([6, 0, 5]);

fn ts(time: u32) -> Timestamp {
    Timestamp { time, increment: 1 }
}

fn uuid() -> Binary {
    Binary {
        subtype: BinarySubtype::Uuid,
        bytes: vec![7; 16],
    }
}

fn insert(time: u32, id: impl Into<RawBson>) -> RawDocumentBuf {
    rawdoc! { "ts": ts(time), "op": "i", "ns": "shop.orders", "o": { "_id": id.into() } }
}

fn command(time: u32, object: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "ts": ts(time), "op": "c", "ns": "shop.$cmd", "o": object }
}

fn apply_ops(time: u32, operations: &[RawDocumentBuf]) -> RawDocumentBuf {
    let mut array = bson::RawArrayBuf::new();
    for operation in operations {
        array.push(operation.clone());
    }
    rawdoc! { "ts": ts(time), "op": "c", "ns": "admin.$cmd", "o": { "applyOps": array } }
}

fn replay() -> Replay {
    Replay::new(TARGET, ReplayOptions::default(), IndexCatalog::new())
}

/// What is to be done, operations as they are sent, notices as they are told.
#[derive(Debug, Default, PartialEq)]
struct Done {
    sent: Vec<RawDocumentBuf>,
    told: Vec<String>,
}

fn push(replay: &mut Replay, entries: &[RawDocumentBuf]) -> Result<Done, ReplayError> {
    let mut steps = Vec::new();
    for entry in entries {
        let disposition = replay.push(entry.as_bytes(), &mut steps)?;
        assert_eq!(disposition, Disposition::Done);
    }
    Ok(done(steps))
}

fn done(steps: Vec<Step>) -> Done {
    let mut done = Done::default();
    for step in steps {
        match step {
            Step::Apply(operation) => done.sent.push(operation.document().to_owned()),
            Step::Notice(notice) => done.told.push(notice.to_string()),
            Step::Skip(unknown) => done.told.push(unknown.to_string()),
        }
    }
    done
}

fn sent(entries: &[RawDocumentBuf]) -> Vec<RawDocumentBuf> {
    let done = push(&mut replay(), entries).unwrap();
    assert_eq!(done.told, Vec::<String>::new());
    done.sent
}

fn refused(replay: &mut Replay, entry: RawDocumentBuf) -> String {
    push(replay, &[entry]).unwrap_err().to_string()
}

fn ids(sent: &[RawDocumentBuf]) -> Vec<RawBson> {
    let object = |operation: &RawDocumentBuf| operation.get_document("o").unwrap().to_owned();
    sent.iter()
        .map(|operation| object(operation).get("_id").unwrap().unwrap().into())
        .collect()
}

#[test]
fn only_what_the_server_takes_is_sent() {
    let entry = rawdoc! {
        "lsid": { "id": 1 }, "txnNumber": 3_i64, "op": "u", "ns": "shop.orders", "ui": uuid(),
        "o": { "$v": 2, "diff": { "u": { "a": 1 } } }, "o2": { "_id": 1 }, "stmtId": 0, "b": true,
        "ts": ts(5), "t": 1_i64, "v": 2_i64, "wall": 1, "fromMigrate": true,
        "prevOpTime": { "ts": ts(4), "t": 1_i64 },
    };
    let expected = rawdoc! {
        "ts": ts(5), "t": 1_i64, "v": 2_i64, "op": "u", "ns": "shop.orders",
        "o": { "$v": 2, "diff": { "u": { "a": 1 } } }, "o2": { "_id": 1 },
    };
    assert_eq!(sent(&[entry]), [expected]);
    // Nothing is made up.
    let bare = rawdoc! { "op": "d", "ns": "shop.orders", "o": { "_id": 1 } };
    assert_eq!(sent(from_ref(&bare)), [bare]);
}

#[test]
fn numbers_of_old_entries_become_those_that_servers_insist_on() {
    let entry = rawdoc! { "t": 3, "v": 2.0, "op": "d", "ns": "shop.orders", "o": { "_id": 1 } };
    let expected =
        rawdoc! { "t": 3_i64, "v": 2_i64, "op": "d", "ns": "shop.orders", "o": { "_id": 1 } };
    assert_eq!(sent(&[entry]), [expected]);
}

/// Edge case of `oplog_edges_test.go:150` of mongo-tools: the order of fields is part of an id.
#[test]
fn documents_are_sent_byte_by_byte_as_they_are() {
    let id = rawdoc! { "g": 8.0, "c": 3.0, "a": 1, "f": 7_i64, "b": 2.0, "": "", "e": 6.0 };
    let entry = rawdoc! {
        "op": "u", "ns": "test.foobar", "o": { "_id": id.clone(), "foo": "bar" }, "o2": { "_id": id },
    };
    assert_eq!(sent(from_ref(&entry))[0].as_bytes(), entry.as_bytes());
}

#[test]
fn uuids_are_sent_only_if_they_are_to_be_preserved() {
    let entry = rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 }, "ui": uuid() };
    let create = rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "create": "x" }, "ui": uuid() };
    let nested = rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [
        { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [entry.clone(), create.clone()] } },
    ] } };
    let has_uuid = |document: &RawDocumentBuf| document.get("ui").unwrap().is_some();
    let stripped = sent(&[entry.clone(), create.clone(), nested.clone()]);
    assert_eq!(stripped.len(), 4);
    assert!(!stripped.iter().any(has_uuid));

    let options = ReplayOptions::default().preserve_uuid(true);
    let mut replay = Replay::new(TARGET, options, IndexCatalog::new());
    let done = push(&mut replay, &[entry.clone(), create.clone(), nested]).unwrap();
    assert_eq!(done.sent, [entry.clone(), create.clone(), entry, create]);
}

#[test]
fn what_is_filtered_is_neither_sent_nor_counted() {
    let mut replay = replay();
    let entries = [
        rawdoc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" } },
        rawdoc! { "op": "i", "ns": "config.cache.x", "o": { "_id": 1 } },
        command(1, rawdoc! { "startIndexBuild": "x", "indexes": [] }),
        insert(2, 1),
    ];
    let done = push(&mut replay, &entries).unwrap();
    assert_eq!(done.sent, [insert(2, 1)]);
    assert_eq!(replay.applied(), 1);
}

/// TOOLS-4039, and mongorestore applies no rule to what is inside of a transaction.
#[test]
fn what_is_filtered_is_not_sent_from_inside_of_an_apply_ops_either() {
    let filtered = [
        rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "dropIdent": "collection-7" } },
        rawdoc! { "op": "i", "ns": "config.cache.x", "o": { "_id": 1 } },
        rawdoc! { "op": "km", "ns": "shop.orders", "o": {} },
        rawdoc! { "op": "n", "ns": "", "o": {} },
    ];
    let mut operations = filtered.to_vec();
    operations.push(insert(1, 1));
    assert_eq!(sent(&[apply_ops(1, &operations)]), [insert(1, 1)]);
    let nested = apply_ops(2, &[apply_ops(1, &operations)]);
    assert_eq!(sent(&[nested]), [insert(1, 1)]);

    let mut transaction = apply_ops(1, &operations);
    transaction.append(bson::cstr!("lsid"), rawdoc! { "id": 1 });
    transaction.append(bson::cstr!("txnNumber"), 1_i64);
    assert_eq!(sent(&[transaction]), [insert(1, 1)]);
}

/// Edge case of `oplog_test.go:28` of mongo-tools.
#[test]
fn replay_stops_before_the_limit() {
    let limit = OpTimeLimit::from(OpTime::from(ts(5)));
    let mut replay = Replay::new(
        TARGET,
        ReplayOptions::default().limit(limit),
        IndexCatalog::new(),
    );
    let done = push(&mut replay, &[insert(3, 1), insert(4, 2)]).unwrap();
    assert_eq!(done.sent.len(), 2);
    assert!(!replay.limit_reached());
    // What is filtered does not stop it.
    let noop = rawdoc! { "ts": ts(9), "op": "n", "ns": "" };
    push(&mut replay, &[noop]).unwrap();
    assert!(!replay.limit_reached());

    let done = push(&mut replay, &[insert(5, 3), insert(4, 4)]).unwrap();
    assert_eq!(done.sent, Vec::<RawDocumentBuf>::new());
    assert!(replay.limit_reached());
    assert_eq!(replay.finish().applied, 2);
}

/// mongorestore fails on such an entry of an old server.
#[test]
fn replay_stops_before_the_limit_inside_of_an_apply_ops() {
    let limit = OpTimeLimit::from(OpTime::from(ts(5)));
    let mut replay = Replay::new(
        TARGET,
        ReplayOptions::default().limit(limit),
        IndexCatalog::new(),
    );
    let untimed = rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 7 } };
    let entry = apply_ops(
        4,
        &[insert(4, 1), untimed.clone(), insert(5, 2), insert(4, 3)],
    );
    let done = push(&mut replay, &[entry, insert(4, 4)]).unwrap();
    assert_eq!(ids(&done.sent), [RawBson::Int32(1), RawBson::Int32(7)]);
    assert!(replay.limit_reached());
}

#[test]
fn an_operation_inside_of_another_says_when_that_was() {
    let entry = apply_ops(
        4,
        &[rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 } }],
    );
    assert_eq!(sent(&[entry]), [insert(4, 1)]);
}

#[test]
fn operations_are_counted_as_mongorestore_does() {
    let mut replay = replay();
    let entries = [
        insert(1, 1),
        apply_ops(2, &[insert(2, 2), insert(2, 3)]),
        command(
            3,
            rawdoc! { "createIndexes": "a", "v": 2, "key": { "x": 1 }, "name": "x_1" },
        ),
        command(4, rawdoc! { "drop": "a" }),
    ];
    push(&mut replay, &entries).unwrap();
    assert_eq!(replay.applied(), 6);
}

#[test]
fn what_cannot_be_replayed_is_refused_by_name_and_time() {
    // mongorestore/oplog_test.go.
    let mut replay = replay();
    let errors = [
        rawdoc! { "ts": ts(5), "op": "zz", "ns": "shop.orders", "o": {} },
        rawdoc! { "ts": ts(5), "op": "i", "ns": "shop.orders" },
        rawdoc! { "ts": ts(5), "op": "i", "o": { "_id": 1 } },
        command(5, rawdoc! {}),
        command(5, rawdoc! { "importCollection": "x" }),
        command(5, rawdoc! { "commitTransaction": 1 }),
        command(
            5,
            rawdoc! { "upgradeDowngradeViewlessTimeseries": "x", "isUpgrade": true },
        ),
        command(5, rawdoc! { "drop": 1 }),
        command(5, rawdoc! { "convertToCapped": 1 }),
        command(5, rawdoc! { "create": 1 }),
        command(
            5,
            rawdoc! { "createIndexes": 1, "key": { "a": 1 }, "name": "a_1" },
        ),
        command(5, rawdoc! { "createIndexes": "x", "name": "a_1" }),
        command(5, rawdoc! { "createIndexes": "x", "key": { "a": 1 } }),
        command(5, rawdoc! { "commitIndexBuild": "x" }),
        command(5, rawdoc! { "commitIndexBuild": "x", "indexes": [1] }),
        command(5, rawdoc! { "dropIndexes": "x", "index": 1 }),
        command(5, rawdoc! { "collMod": 1 }),
        command(5, rawdoc! { "collMod": "x", "index": 1 }),
        command(5, rawdoc! { "collMod": "x", "index": { "hidden": true } }),
        command(
            5,
            rawdoc! { "collMod": "x", "index": { "name": "a", "keyPattern": {} } },
        ),
        command(
            5,
            rawdoc! { "collMod": "x", "index": { "name": "a", "sparse": true } },
        ),
        command(
            5,
            rawdoc! { "collMod": "x", "index": { "name": "a", "unique": 1 } },
        ),
        command(5, rawdoc! { "renameCollection": "shop.a" }),
        command(5, rawdoc! { "renameCollection": 1, "to": "shop.b" }),
        apply_ops(5, &[rawdoc! { "ns": "a.b" }]),
        command(5, rawdoc! { "applyOps": "x" }),
    ]
    .map(|entry| refused(&mut replay, entry));
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn what_is_not_known_is_left_out_and_told_of_if_that_is_asked_for() {
    let options = ReplayOptions::default().skip_unknown(true);
    let mut replay = Replay::new(TARGET, options, IndexCatalog::new());
    let mut steps = Vec::new();
    let entries = [
        command(5, rawdoc! { "riddle": "orders" }),
        apply_ops(6, &[rawdoc! { "op": "zz", "ns": "a.b" }, insert(6, 1)]),
    ];
    for entry in &entries {
        let disposition = replay.push(entry.as_bytes(), &mut steps).unwrap();
        assert_eq!(disposition, Disposition::Done);
    }
    let [Step::Skip(unknown), Step::Skip(operation), Step::Apply(_)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert_eq!(
        unknown.to_string(),
        "unknown oplog command name \"riddle\" at 5:1 on shop.orders"
    );
    assert_eq!(
        operation.to_string(),
        "unknown operation \"zz\" in the oplog entry at 6:1 on a.b"
    );
    // The `applyOps`, and what is known inside.
    assert_eq!(replay.applied(), 2);
    // What cannot be read, or is known not to be possible, ends it all the same.
    let object = rawdoc! { "upgradeDowngradeViewlessTimeseries": "x", "isUpgrade": true };
    replay
        .push(command(7, object).as_bytes(), &mut steps)
        .unwrap_err();
    replay
        .push(command(7, rawdoc! { "drop": 1 }).as_bytes(), &mut steps)
        .unwrap_err();
}

/// Edge case of `oplog_test.go:955` of mongo-tools: what is before the fault is done.
#[test]
fn what_is_before_a_fault_in_the_same_entry_is_done() {
    let mut steps = Vec::new();
    let entry = apply_ops(5, &[insert(5, 1), rawdoc! { "op": "zz", "ns": "a.b" }]);
    replay().push(entry.as_bytes(), &mut steps).unwrap_err();
    assert_eq!(steps.len(), 1);
}

#[test]
fn nesting_without_end_is_refused() {
    let mut nested = insert(1, 1);
    for _ in 0..MAX_DEPTH {
        nested = apply_ops(1, &[nested]);
        assert_eq!(sent(&[nested.clone()]), [insert(1, 1)]);
    }
    for _ in 0..200 {
        nested = apply_ops(1, &[nested]);
        let error = refused(&mut replay(), nested.clone());
        assert_eq!(error, "`applyOps` at 1:1 is nested more than 10 times");
    }
}

/// `mongorestore_test.go:2030` of mongo-tools.
#[test]
fn what_happened_to_buckets_cannot_be_replayed_where_there_are_none() {
    let entries = [
        rawdoc! { "ts": ts(5), "op": "i", "ns": "shop.system.buckets.x", "o": { "_id": 1 } },
        rawdoc! { "ts": ts(5), "op": "u", "ns": "shop.system.buckets.x", "o": {}, "o2": { "_id": 1 } },
        command(
            5,
            rawdoc! { "create": "system.buckets.x", "timeseries": {} },
        ),
        command(5, rawdoc! { "drop": "system.buckets.x" }),
        command(
            5,
            rawdoc! { "createIndexes": "system.buckets.x", "key": { "a": 1 }, "name": "a" },
        ),
        command(
            5,
            rawdoc! { "renameCollection": "shop.system.buckets.x", "to": "shop.y" },
        ),
        command(
            5,
            rawdoc! { "renameCollection": "shop.y", "to": "shop.system.buckets.x" },
        ),
    ];
    for version in [[8, 3, 0], [9, 0, 1]] {
        let target = ReplayTarget::new(version);
        for entry in &entries {
            let mut replay = Replay::new(target, ReplayOptions::default(), IndexCatalog::new());
            assert_eq!(
                refused(&mut replay, entry.clone()),
                "cannot replay the operation at 5:1 on shop.system.buckets.x: servers from 8.3 have no collections \
                 of buckets, and this oplog is of an older one"
            );
        }
    }
    for version in [[8, 2, 9], [6, 0, 5]] {
        let target = ReplayTarget::new(version);
        let mut replay = Replay::new(target, ReplayOptions::default(), IndexCatalog::new());
        assert_eq!(push(&mut replay, &entries).unwrap().sent.len(), 6);
    }
}

/// TOOLS-2495.
#[test]
fn an_entry_longer_than_any_server_writes_is_refused() {
    let mut steps = Vec::new();
    let error = replay().push(&vec![0; rdump_format::MAX_DOCUMENT_BYTES + 1], &mut steps);
    assert!(matches!(
        error,
        Err(ReplayError::Entry {
            source: EntryError::TooLong { .. }
        })
    ));
}
