//! Replaying oplogs that were made for it.

use bson::{Document, Timestamp, doc};
use futures::TryStreamExt;
use rdump::{ErrorKind, RestoreOptions};
use rdump_format::{Codec, Compressor, Segment};
use rdump_testkit::{Deployment, ReplicaSet, ServerVersion, Standalone, wait::PATIENCE};

use super::replaying;
use crate::{
    made::{Made, compression, raw},
    restore::{restore, try_restore},
};

/// The bytes of a file of documents.
fn file(documents: &[Document], codec: Codec) -> Vec<u8> {
    let mut segment = Segment::default();
    for document in documents {
        segment.body.extend_from_slice(raw(document).as_bytes());
        segment.documents += 1;
    }
    let mut compressor = Compressor::new(compression(codec)).unwrap();
    segment.seal(&mut compressor, Vec::new()).unwrap()
}

fn at(seconds: u32, ordinal: u32) -> Timestamp {
    Timestamp {
        time: seconds,
        increment: ordinal,
    }
}

fn insert(ordinal: u32, namespace: &str, document: Document) -> Document {
    doc! { "ts": at(100, ordinal), "t": 1_i64, "v": 2_i64, "op": "i", "ns": namespace, "o": document }
}

/// A dump of one collection with a unique index.
fn made() -> Made {
    let mut made = Made::new();
    made.metadata(
        "shop.orders",
        doc! {},
        &[
            doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
            doc! { "v": 2, "key": { "number": 1 }, "name": "number_1", "unique": true },
        ],
    );
    // What was moved from one document to the other while they were read is there twice.
    let documents = [
        doc! { "_id": 1, "number": 1 },
        doc! { "_id": 2, "number": 1 },
    ];
    made.data("shop.orders", Codec::None, documents);
    made
}

fn entries() -> Vec<Document> {
    vec![
        doc! { "ts": at(100, 1), "op": "n", "ns": "", "o": { "msg": "periodic noop" } },
        doc! {
            "ts": at(100, 2), "t": 1_i64, "v": 2_i64, "op": "u", "ns": "shop.orders", "o2": { "_id": 1 },
            "o": { "$v": 2, "diff": { "u": { "number": 7 } } },
        },
        insert(3, "shop.orders", doc! { "_id": 3, "number": 3 }),
        insert(4, "shop.orders", doc! { "_id": 4, "number": 4 }),
    ]
}

async fn numbers(of: &Deployment) -> Vec<(i32, i32)> {
    let orders = of
        .client()
        .database("shop")
        .collection::<Document>("orders");
    let found = orders.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
    let found: Vec<Document> = found.try_collect().await.unwrap();
    let number = |found: Document| {
        (
            found.get_i32("_id").unwrap(),
            found.get_i32("number").unwrap(),
        )
    };
    found.into_iter().map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_oplog_resolves_is_no_duplicate_in_a_unique_index() {
    // TOOLS-2041.
    let (set, standalone) = (ReplicaSet::start().await, Standalone::start().await);
    let made = made();
    for (name, codec) in [
        ("oplog.bson", Codec::None),
        // So mongodump calls it with --gzip too.
        ("oplog.bson", Codec::Gzip),
        ("oplog.bson.gz", Codec::Gzip),
        ("oplog.bson.zst", Codec::Zstd),
    ] {
        made.stray(name, file(&entries(), codec));
        for target in [&*set, &*standalone] {
            let report = restore(&made.location(), target, replaying().drop(true)).await;
            assert_eq!(report.oplog.unwrap().operations, 3);
            assert_eq!(numbers(target).await, [(1, 7), (2, 1), (3, 3), (4, 4)]);
            let orders = target
                .client()
                .database("shop")
                .collection::<Document>("orders");
            let names = orders.list_index_names().await.unwrap();
            assert_eq!(names, ["_id_", "number_1"]);
        }
        std::fs::remove_file(made.file(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_updated_by_operators_in_a_collection_that_is_not_there_is_named_and_nothing_is_made()
 {
    let target = ReplicaSet::start().await;
    let made = made();
    let update = |ordinal: u32, namespace: &str| {
        doc! {
            "ts": at(100, ordinal), "t": 1_i64, "v": 2_i64, "op": "u", "ns": namespace, "o2": { "_id": 1 },
            "o": { "$v": 1, "$set": { "number": 7 } },
        }
    };
    let mut all = entries();
    all.push(update(5, "shop.lost"));
    made.stray("oplog.bson", file(&all, Codec::None));
    let (refused, _) = try_restore(&made.location(), &target, replaying()).await;
    let error = refused.unwrap_err();
    assert!(
        error.to_string().contains("neither the dump nor"),
        "{error}"
    );
    assert!(error.to_string().contains("shop.lost"), "{error}");
    let shop = target.client().database("shop");
    assert_eq!(shop.list_collection_names().await.unwrap(), ["orders"]);
    // Unless it was to go anyhow.
    let drop = doc! { "ts": at(100, 6), "t": 1_i64, "v": 2_i64, "op": "c", "ns": "shop.$cmd", "o": { "drop": "lost" } };
    all.push(drop);
    made.stray("oplog.bson", file(&all, Codec::None));
    restore(&made.location(), &target, replaying().drop(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_exclusive() {
    // oplog_replay_and_limit.js.
    let target = Standalone::start().await;
    let made = made();
    made.stray("oplog.bson", file(&entries(), Codec::None));
    for (limit, numbers_expected, is_reached) in [
        ("100:4", vec![(1, 7), (2, 1), (3, 3)], true),
        ("100:5", vec![(1, 7), (2, 1), (3, 3), (4, 4)], false),
        ("101", vec![(1, 7), (2, 1), (3, 3), (4, 4)], false),
        ("0:0", vec![(1, 7), (2, 1), (3, 3), (4, 4)], false),
    ] {
        let options = replaying().drop(true).oplog_limit(limit.parse().unwrap());
        let report = restore(&made.location(), &target, options).await;
        assert_eq!(report.oplog.unwrap().limit_reached, is_reached, "{limit}");
        assert_eq!(numbers(&target).await, numbers_expected, "{limit}");
    }
    // Of a limit before everything only the dump is left, which has a duplicate.
    let options = replaying().drop(true).oplog_limit("100".parse().unwrap());
    let (refused, _) = try_restore(&made.location(), &target, options).await;
    let error = refused.unwrap_err();
    assert!(
        error.to_string().contains("indexes could not be built"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oplog_of_the_dump_or_of_the_option_or_of_local_is_replayed_and_two_are_none() {
    // mongorestore/oplog_edges_test.go.
    let target = Standalone::start().await;
    let elsewhere = Made::new();
    elsewhere.stray("other", file(&entries(), Codec::Gzip));
    let other = elsewhere.file("other");
    let expected = [(1, 7), (2, 1), (3, 3), (4, 4)];

    let made = made();
    let (refused, _) = try_restore(&made.location(), &target, replaying()).await;
    let error = refused.unwrap_err();
    assert!(
        error.to_string().starts_with("no oplog file to replay"),
        "{error}"
    );

    restore(
        &made.location(),
        &target,
        replaying().oplog_file(other.display().to_string()),
    )
    .await;
    assert_eq!(numbers(&target).await, expected);

    made.stray("local/oplog.rs.bson", file(&entries(), Codec::None));
    restore(&made.location(), &target, replaying().drop(true)).await;
    assert_eq!(numbers(&target).await, expected);
    let local = target.client().database("local");
    let names = local.list_collection_names().await.unwrap();
    assert!(!names.contains(&"oplog.rs".to_owned()));

    made.stray("local/oplog.$main.bson", file(&entries(), Codec::None));
    target.client().database("shop").drop().await.unwrap();
    for (oplog, options, words) in [
        (
            false,
            replaying(),
            "both local/oplog.rs.bson and local/oplog.$main.bson",
        ),
        (
            true,
            replaying().oplog_file(other.display().to_string()),
            "both an oplog.bson file and an oplog file",
        ),
    ] {
        if oplog {
            made.stray("oplog.bson", file(&entries(), Codec::None));
        }
        let (refused, _) = try_restore(&made.location(), &target, options).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(numbers(&target).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oplog_that_cannot_be_replayed_says_where_and_applies_what_comes_before() {
    let target = Standalone::start().await;
    let unknown =
        doc! { "ts": at(100, 5), "op": "c", "ns": "shop.$cmd", "o": { "levitate": "orders" } };
    let no_collection = insert(5, "shop.nothing", doc! { "_id": 1 });
    let mut cut = file(&entries(), Codec::None);
    cut.truncate(cut.len() - 3);
    let with = |last: Document| {
        let mut all = entries();
        all.push(last);
        file(&all, Codec::None)
    };
    for (content, words, rest) in [
        (with(unknown), "levitate", true),
        (with(no_collection), "shop.nothing", true),
        (cut, "damaged or cut short", false),
    ] {
        let made = made();
        made.stray("oplog.bson", content);
        let (refused, _) = try_restore(&made.location(), &target, replaying().drop(true)).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let message = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(message.contains(words), "{message}");
        assert_eq!(
            numbers(&target).await.len(),
            if rest { 4 } else { 3 },
            "{words}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_on_a_collection_that_the_oplog_drops_later_is_passed_over() {
    let target = ReplicaSet::start().await;
    let made = made();
    let mut all = entries();
    all.insert(1, insert(1, "shop.gone", doc! { "_id": 1 }));
    all.push(doc! { "ts": at(100, 5), "op": "c", "ns": "shop.$cmd", "o": { "drop": "gone" } });
    made.stray("oplog.bson", file(&all, Codec::None));
    restore(&made.location(), &target, replaying()).await;
    assert_eq!(numbers(&target).await, [(1, 7), (2, 1), (3, 3), (4, 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validator_holds_for_the_oplog_unless_it_is_bypassed() {
    // TOOLS-4070.
    let target = Standalone::start().await;
    let mut made = Made::new();
    let validator = doc! { "validator": { "number": { "$lt": 4 } } };
    made.metadata("shop.orders", validator, &[]);
    made.data(
        "shop.orders",
        Codec::None,
        [
            doc! { "_id": 1, "number": 1 },
            doc! { "_id": 2, "number": 1 },
        ],
    );
    made.stray("oplog.bson", file(&entries(), Codec::None));
    let (refused, _) = try_restore(&made.location(), &target, replaying()).await;
    let error = refused.unwrap_err();
    assert!(error.to_string().contains("100:2"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("--bypassDocumentValidation"), "{hint}");
    let options = replaying().drop(true).bypass_document_validation(true);
    restore(&made.location(), &target, options).await;
    assert_eq!(numbers(&target).await, [(1, 7), (2, 1), (3, 3), (4, 4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_16_mib_and_16_kib_are_replayed() {
    // TOOLS-2495.
    let target = ReplicaSet::start().await;
    let made = made();
    let big = "x".repeat((16 << 20) - 40);
    let mut all = entries();
    all.push(insert(
        5,
        "shop.orders",
        doc! { "_id": 5, "number": 5, "big": &big },
    ));
    assert!(raw(all.last().unwrap()).as_bytes().len() > 16 << 20);
    made.stray("oplog.bson", file(&all, Codec::None));
    restore(&made.location(), &target, replaying()).await;
    assert_eq!(numbers(&target).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_operation_ends_the_replay_of_a_long_oplog() {
    let target = ReplicaSet::start().await;
    let made = made();
    let mut all = entries();
    // No server takes this, and much comes after it, in every lane.
    all.push(doc! { "ts": at(100, 5), "op": "c", "ns": "shop.$cmd", "o": { "create": "x", "levitates": 1 } });
    all.push(doc! { "ts": at(100, 6), "op": "c", "ns": "shop.$cmd", "o": { "create": "y" } });
    all.extend((7..5_000).map(|id| {
        insert(
            id,
            "shop.orders",
            doc! { "_id": i64::from(id), "number": 1 },
        )
    }));
    made.stray("oplog.bson", file(&all, Codec::None));
    let from = made.location();
    let refused = try_restore(&from, &target, replaying());
    let (refused, _) = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    let error = refused.unwrap_err();
    assert!(error.to_string().contains("100:5"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_does_not_hide_what_the_oplog_lacks() {
    let target = ReplicaSet::start().await;
    let made = made();
    let mut all = entries();
    all.push(insert(5, "shop.tmp", doc! { "_id": 1 }));
    let rename = doc! { "renameCollection": "shop.tmp", "to": "shop.orders", "dropTarget": true };
    all.push(doc! { "ts": at(100, 6), "op": "c", "ns": "shop.$cmd", "o": rename });
    made.stray("oplog.bson", file(&all, Codec::None));
    let (refused, _) = try_restore(&made.location(), &target, replaying()).await;
    let error = refused.unwrap_err();
    assert_eq!(error.namespace().unwrap().to_string(), "shop.tmp");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_the_target_has_already_keeps_its_order_and_its_indexes() {
    let target = ReplicaSet::start().await;
    let shop = target.client().database("shop");
    shop.run_command(doc! { "create": "last", "capped": true, "size": 100_000, "max": 20 })
        .await
        .unwrap();
    let orders = shop.collection::<Document>("orders");
    let own = mongodb::IndexModel::builder()
        .keys(doc! { "own": 1 })
        .build();
    orders.create_index(own).await.unwrap();
    let made = made();
    let mut all = entries();
    all.push(doc! { "ts": at(100, 5), "op": "c", "ns": "shop.$cmd", "o": { "create": "last" } });
    let ids = 1_000..2_000;
    all.extend(
        ids.clone()
            .map(|id| insert(id, "shop.last", doc! { "_id": i64::from(id) })),
    );
    made.stray("oplog.bson", file(&all, Codec::None));
    let report = restore(&made.location(), &target, replaying()).await;
    assert_eq!(report.problems, []);
    let last = shop.collection::<Document>("last");
    let found: Vec<Document> = last
        .find(doc! {})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|found| found.get_i64("_id").unwrap())
        .collect();
    assert_eq!(found, (1_980..2_000).collect::<Vec<_>>());
    let names = orders.list_index_names().await.unwrap();
    assert_eq!(names, ["_id_", "own_1", "number_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_falls_out_of_a_capped_collection_does_so_by_itself_where_a_server_takes_no_deletes() {
    let target = ReplicaSet::builder().version(ServerVersion::V5_0_4);
    let target = target.start().await;
    let made = made();
    let mut all = entries();
    let create = doc! { "create": "last", "capped": true, "size": 100_000, "max": 3 };
    all.push(doc! { "ts": at(100, 5), "op": "c", "ns": "shop.$cmd", "o": create });
    let delete =
        |id: i64| doc! { "ts": at(101, 1), "op": "d", "ns": "shop.last", "o": { "_id": id } };
    for id in 0..10_i64 {
        all.push(insert(100, "shop.last", doc! { "_id": id }));
        all.extend((id >= 3).then(|| delete(id - 3)));
    }
    made.stray("oplog.bson", file(&all, Codec::None));
    let report = restore(&made.location(), &target, replaying()).await;
    assert_eq!(report.problems, []);
    let last = target
        .client()
        .database("shop")
        .collection::<Document>("last");
    let found: Vec<_> = last
        .find(doc! {})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        found,
        [
            doc! { "_id": 7_i64 },
            doc! { "_id": 8_i64 },
            doc! { "_id": 9_i64 }
        ]
    );

    // As clients of later servers can.
    all.push(delete(8));
    made.stray("oplog.bson", file(&all, Codec::None));
    target.client().database("shop").drop().await.unwrap();
    let (restored, _) = try_restore(&made.location(), &target, replaying()).await;
    let report = restored.unwrap();
    let [problem] = report.problems.as_slice() else {
        panic!("{report:?}");
    };
    assert!(
        problem.message.contains("that the oplog deletes"),
        "{problem:?}"
    );
    assert_eq!(problem.namespace.as_ref().unwrap().to_string(), "shop.last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_to_a_collection_that_only_the_target_has_keeps_that() {
    let target = ReplicaSet::start().await;
    let shop = target.client().database("shop");
    let own = doc! { "_id": "own" };
    let archived = shop.collection::<Document>("archived");
    archived.insert_one(&own).await.unwrap();
    let made = made();
    let mut all = entries();
    let rename = doc! { "renameCollection": "shop.orders", "to": "shop.archived" };
    all.push(doc! { "ts": at(100, 5), "op": "c", "ns": "shop.$cmd", "o": rename });
    made.stray("oplog.bson", file(&all, Codec::None));
    let report = restore(&made.location(), &target, replaying()).await;
    assert_eq!(report.problems, []);

    let mut names = shop.list_collection_names().await.unwrap();
    names.sort();
    let [archived, kept] = names.as_slice() else {
        panic!("{names:?}");
    };
    assert_eq!(archived, "archived");
    assert!(
        kept.starts_with("tmp") && kept.ends_with(".rename"),
        "{kept}"
    );
    let kept = shop.collection::<Document>(kept);
    assert_eq!(kept.find_one(doc! {}).await.unwrap(), Some(own.clone()));
    let archived = shop.collection::<Document>(archived);
    assert_eq!(archived.find_one(own).await.unwrap(), None);
    assert!(archived.count_documents(doc! {}).await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_from_a_collection_that_was_made_anew_since_is_passed_over() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    let hex = |digit: &str| {
        format!(
            "{0}4{1}8{2}",
            digit.repeat(12),
            digit.repeat(3),
            digit.repeat(15)
        )
    };
    let uuid = |digit: &str| bson::Uuid::parse_str(hex(digit)).unwrap();
    let text = format!(
        r#"{{"indexes":[],"uuid":"{}","collectionName":"orders"}}"#,
        hex("2")
    );
    made.metadata_text("shop.orders", Codec::None, &text);
    made.data("shop.orders", Codec::None, [doc! { "_id": 1, "number": 1 }]);
    let drop = doc! { "drop": "orders" };
    let create = doc! { "create": "orders" };
    let all = [
        doc! { "ts": at(100, 3), "op": "d", "ns": "shop.orders", "ui": uuid("1"), "o": { "_id": 7 } },
        doc! { "ts": at(100, 4), "op": "c", "ns": "shop.$cmd", "ui": uuid("1"), "o": drop },
        doc! { "ts": at(100, 5), "op": "c", "ns": "shop.$cmd", "ui": uuid("2"), "o": create },
    ];
    made.stray("oplog.bson", file(&all, Codec::None));
    let options = replaying().drop(true).preserve_uuid(true);
    let report = restore(&made.location(), &target, options).await;
    assert_eq!(report.problems, []);
    assert_eq!(numbers(&target).await, [(1, 1)]);
}

/// A part of a transaction, with one insert.
fn transaction(ordinal: u32, number: i64, mark: Option<&str>, document: Document) -> Document {
    let insert = doc! { "op": "i", "ns": "shop.orders", "o": document };
    let mut object = doc! { "applyOps": [insert] };
    object.extend(mark.map(|mark| (mark.to_owned(), true.into())));
    command_of(ordinal, number, object)
}

fn command_of(ordinal: u32, number: i64, object: Document) -> Document {
    doc! {
        "ts": at(100, ordinal), "t": 1_i64, "v": 2_i64, "op": "c", "ns": "admin.$cmd", "o": object,
        "lsid": { "id": 1 }, "txnNumber": number,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_transactions_are_applied_in_the_order_of_their_commits() {
    let target = ReplicaSet::start().await;
    let made = made();
    let big = "x".repeat(9 << 20);
    let document = |id: i32| doc! { "_id": id, "number": id, "big": &big };
    let mut all = entries();
    all.extend([
        transaction(5, 1, Some("partialTxn"), document(5)),
        transaction(6, 2, Some("partialTxn"), document(6)),
        transaction(7, 1, Some("prepare"), document(7)),
        transaction(8, 3, Some("prepare"), document(8)),
        command_of(9, 1, doc! { "commitTransaction": 1 }),
        transaction(10, 4, Some("prepare"), document(9)),
        command_of(11, 3, doc! { "abortTransaction": 1 }),
        // Changes what the first transaction inserted.
        doc! {
            "ts": at(100, 12), "t": 1_i64, "v": 2_i64, "op": "u", "ns": "shop.orders", "o2": { "_id": 7 },
            "o": { "$v": 2, "diff": { "u": { "number": 70 } } },
        },
        transaction(13, 2, None, document(10)),
    ]);
    made.stray("oplog.bson", file(&all, Codec::None));
    let report = restore(&made.location(), &target, replaying()).await;
    let replayed = report.oplog.unwrap();
    assert_eq!(
        (replayed.operations, replayed.unfinished_transactions),
        (8, 1)
    );
    let expected = [
        (1, 7),
        (2, 1),
        (3, 3),
        (4, 4),
        (5, 5),
        (6, 6),
        (7, 70),
        (10, 10),
    ];
    assert_eq!(numbers(&target).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_ends_with_the_first_entry_is_in_the_dump_and_no_other_is() {
    let target = ReplicaSet::start().await;
    let part = |ordinal: u32, id: i32, mark: Option<&str>| {
        let insert = doc! { "op": "i", "ns": "shop.orders", "o": { "_id": id, "number": id } };
        let mut operations = doc! { "applyOps": [insert] };
        operations.extend(mark.map(|mark| (mark.to_owned(), true.into())));
        doc! {
            "ts": at(101, ordinal), "t": 1_i64, "v": 2_i64, "op": "c", "ns": "admin.$cmd", "o": operations,
            "lsid": { "id": 1 }, "txnNumber": 1_i64,
            "prevOpTime": { "ts": at(101, ordinal - 1), "t": 1_i64 },
        }
    };
    let last = part(6, 6, None);
    let noop = doc! { "ts": at(100, 1), "op": "n", "ns": "", "o": { "msg": "periodic noop" } };
    for (entries, is_told) in [
        (vec![last.clone()], false),
        // What comes before it is not replayed.
        (vec![part(5, 5, Some("partialTxn")), last.clone()], true),
        (vec![noop, last], true),
    ] {
        let mut made = Made::new();
        made.metadata("shop.orders", doc! {}, &[]);
        made.data("shop.orders", Codec::None, [doc! { "_id": 1, "number": 1 }]);
        made.stray("oplog.bson", file(&entries, Codec::None));
        let (report, observer) =
            try_restore(&made.location(), &target, replaying().drop(true)).await;
        report.unwrap();
        let told = format!("{:?}", observer.events()).contains("began before the oplog does");
        assert_eq!(told, is_told, "{entries:?}");
    }
}

#[tokio::test]
async fn an_oplog_is_replayed_over_everything_or_not_at_all() {
    let target = Standalone::start().await;
    let made = made();
    made.stray("oplog.bson", file(&entries(), Codec::None));
    for options in [
        replaying().rename("shop.*", "copy.*"),
        RestoreOptions::default().oplog_file(made.file("oplog.bson").display().to_string()),
    ] {
        let (refused, _) = try_restore(&made.location(), &target, options).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    // Not asked for, it is passed over.
    let made = Made::new();
    made.stray("oplog.bson", file(&entries(), Codec::None));
    let (report, observer) =
        try_restore(&made.location(), &target, RestoreOptions::default()).await;
    assert_eq!(report.unwrap().oplog, None);
    assert!(format!("{:?}", observer.events()).contains("--oplogReplay"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_and_some_large_entries_are_replayed_and_ids_keep_the_order_of_their_fields() {
    // mongorestore/oplog_edges_test.go, TOOLS-939.
    let target = ReplicaSet::start().await;
    let made = made();
    let large = "x".repeat(1 << 20);
    let mut all = entries();
    let small = (100..20_100).map(|id| insert(id, "shop.orders", doc! { "_id": i64::from(id) }));
    all.extend(small);
    let large = (0..8).map(|id| {
        let document = doc! { "_id": format!("large {id}"), "text": &large };
        insert(30_000 + id, "shop.orders", document)
    });
    all.extend(large);
    let ids = [doc! { "b": 1, "a": 2 }, doc! { "a": 2, "b": 1 }];
    for (id, ordinal) in ids.iter().zip(40_000..) {
        all.push(insert(ordinal, "shop.orders", doc! { "_id": id }));
    }
    all.push(doc! {
        "ts": at(100, 50_000), "t": 1_i64, "v": 2_i64, "op": "u", "ns": "shop.orders", "o2": { "_id": &ids[1] },
        "o": { "$v": 2, "diff": { "i": { "changed": true } } },
    });
    made.stray("oplog.bson", file(&all, Codec::None));
    let options = replaying().no_index_restore(true);
    let report = restore(&made.location(), &target, options).await;
    assert_eq!(report.oplog.unwrap().operations, all.len() as u64 - 1);
    let orders = target
        .client()
        .database("shop")
        .collection::<Document>("orders");
    let count = orders.count_documents(doc! {}).await.unwrap();
    assert_eq!(count, 4 + 20_000 + 8 + 2);
    let changed = orders.find_one(doc! { "changed": true }).await.unwrap();
    let id = changed.unwrap().get_document("_id").unwrap().clone();
    assert!(id.keys().eq(["a", "b"]));
}
