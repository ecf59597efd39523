//! What is dropped, created and indexed, and what is refused before anything is written.

use bson::{Bson, Document, doc};
use mongodb::Client;
use rdump::{Codec, ErrorKind, Pattern, RestoreOptions, Selector};
use rdump_testkit::{ReplicaSet, Standalone};

use super::{reader, restore, target, try_restore};
use crate::made::Made;

/// The indexes that a server lists of a collection.
pub(super) async fn indexes(client: &Client, db: &str, collection: &str) -> Vec<Document> {
    let command = doc! { "listIndexes": collection, "cursor": {} };
    match client.database(db).run_command(command).await {
        Ok(reply) => batch(&reply),
        // A view has none.
        Err(_) => Vec::new(),
    }
}

/// What a server lists of a collection.
pub(super) async fn listed(client: &Client, db: &str, collection: &str) -> Document {
    let command = doc! { "listCollections": 1, "filter": { "name": collection } };
    let reply = client.database(db).run_command(command).await.unwrap();
    let mut found = batch(&reply);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn batch(reply: &Document) -> Vec<Document> {
    let cursor = reply.get_document("cursor").unwrap();
    let batch = cursor.get_array("firstBatch").unwrap().iter();
    batch
        .map(|found| found.as_document().unwrap().clone())
        .collect()
}

pub(super) async fn collections(client: &Client, db: &str) -> Vec<String> {
    let mut names = client.database(db).list_collection_names().await.unwrap();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_of_old_servers_are_converted_when_asked() {
    let to = ReplicaSet::start().await;
    let mut made = Made::new();
    let index =
        |key: Document, name: &str| doc! { "v": 1, "key": key, "name": name, "ns": "old.c" };
    made.metadata(
        "db.c",
        doc! {},
        &[
            index(doc! { "_id": 1 }, "_id_"),
            index(doc! { "a": true, "b": -1 }, "a_true"),
            index(doc! { "a": 1.0, "b": -1_i64 }, "a_1"),
            index(doc! { "c.d": "hashed" }, "hashed"),
            index(doc! { "g": "2dsphere" }, "geo"),
            index(doc! { "_id": "hashed" }, "_id_hashed"),
        ],
    );
    made.data("db.c", Codec::None, [doc! { "_id": 1 }]);
    let (report, _) = try_restore(&made.location(), &to, RestoreOptions::default()).await;
    let error = report.unwrap_err();
    assert!(
        error.hint().unwrap().contains("--convertLegacyIndexes"),
        "{error:?}"
    );
    // What it cannot convert it is not named for.
    let mut other = Made::new();
    let mut index = index(doc! { "a": 1 }, "a_1");
    index.insert("expireAfterSeconds", "100");
    other.metadata("db.other", doc! {}, &[index]);
    let (report, _) = try_restore(&other.location(), &to, RestoreOptions::default()).await;
    let error = report.unwrap_err();
    assert!(
        error.hint().unwrap().contains("--noIndexRestore"),
        "{error:?}"
    );

    let options = RestoreOptions::default()
        .drop(true)
        .convert_legacy_indexes(true)
        .fix_dotted_hashed_indexes(true);
    let report = restore(&made.location(), &to, options).await;
    assert_eq!(report.namespaces[0].indexes, 4);
    let found = indexes(&to.client(), "db", "c").await;
    let names: Vec<_> = found
        .iter()
        .map(|index| index.get_str("name").unwrap())
        .collect();
    assert_eq!(names, ["_id_", "a_true", "hashed", "geo", "_id_hashed"]);
    assert_eq!(
        found[1].get_document("key").unwrap(),
        &doc! { "a": 1, "b": -1 }
    );
    assert_eq!(found[2].get_document("key").unwrap(), &doc! { "c.d": 1 });
    assert_eq!(found[3].get_i32("2dsphereIndexVersion").unwrap(), 1);
    assert!(found.iter().all(|index| index.get_i32("v").unwrap() == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn options_and_indexes_can_be_left_out_and_versions_kept() {
    // index_version_roundtrip.js.
    let to = ReplicaSet::start().await;
    let mut made = Made::new();
    let id = doc! { "v": 1, "key": { "_id": 1 }, "name": "_id_" };
    made.metadata(
        "db.c",
        doc! { "capped": true, "size": 4096 },
        &[id, doc! { "v": 1, "key": { "a": 1 }, "name": "a" }],
    );
    // dumprestoreWithNoOptions.js.
    made.metadata("db.d", doc! { "validator": { "a": 1 } }, &[]);
    made.data("db.d", Codec::None, [doc! { "_id": 1, "a": 2 }]);
    let base = RestoreOptions::default().drop(true);
    restore(
        &made.location(),
        &to,
        base.clone().no_options_restore(true).no_index_restore(true),
    )
    .await;
    assert_eq!(indexes(&to.client(), "db", "c").await.len(), 1);
    assert!(
        listed(&to.client(), "db", "c")
            .await
            .get_document("options")
            .unwrap()
            .is_empty()
    );
    let options = base
        .keep_index_version(true)
        .bypass_document_validation(true);
    restore(&made.location(), &to, options).await;
    assert!(
        indexes(&to.client(), "db", "c")
            .await
            .iter()
            .all(|index| index.get_i32("v").unwrap() == 1)
    );
    assert!(
        listed(&to.client(), "db", "c")
            .await
            .get_document("options")
            .unwrap()
            .get_bool("capped")
            .unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn views_on_views_are_created_in_any_order_and_again() {
    // dump_views.js.
    let to = ReplicaSet::start().await;
    let mut made = Made::new();
    made.metadata(
        "db.a",
        doc! { "viewOn": "b", "pipeline": [{ "$match": { "y": 1, "x": 2 } }] },
        &[],
    );
    made.metadata("db.b", doc! { "viewOn": "c", "pipeline": [] }, &[]);
    made.data("db.c", Codec::None, [doc! { "_id": 1, "x": 2, "y": 1 }]);
    for drop in [false, true, true] {
        restore(&made.location(), &to, RestoreOptions::default().drop(drop)).await;
        assert_eq!(
            collections(&to.client(), "db").await,
            ["a", "b", "c", "system.views"]
        );
        let seen = to
            .client()
            .database("db")
            .collection::<Document>("a")
            .find_one(doc! {})
            .await
            .unwrap();
        assert!(seen.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uuid_is_kept_when_asked() {
    let to = ReplicaSet::start().await;
    let mut made = Made::new();
    let text = r#"{"indexes":[{"v":2,"key":{"_id":1},"name":"_id_"}],"uuid":"0123456789ab4def8123456789abcdef","collectionName":"c","type":"collection"}"#;
    made.metadata_text("db.c", Codec::Gzip, text);
    // TOOLS-2531: a view has no UUID, nor had a collection of old servers.
    made.metadata("db.old", doc! {}, &[]);
    made.metadata("db.v", doc! { "viewOn": "c", "pipeline": [] }, &[]);
    let (refused, _) = try_restore(
        &made.location(),
        &to,
        RestoreOptions::default().preserve_uuid(true),
    )
    .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    for _ in 0..2 {
        restore(
            &made.location(),
            &to,
            RestoreOptions::default().drop(true).preserve_uuid(true),
        )
        .await;
        let found = listed(&to.client(), "db", "c").await;
        let uuid = found.get_document("info").unwrap().get("uuid").unwrap();
        let Bson::Binary(uuid) = uuid else {
            panic!("{uuid}")
        };
        assert_eq!(uuid.bytes[..4], [1, 0x23, 0x45, 0x67]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_swapped_and_selections_respected() {
    // namespaces.js.
    let to = ReplicaSet::start().await;
    let mut made = Made::new();
    made.data("one.c", Codec::None, [doc! { "_id": "one" }]);
    made.data("two.c", Codec::None, [doc! { "_id": "two" }]);
    made.data("two.skipped", Codec::None, [doc! { "_id": 1 }]);
    let exclude = vec![Pattern::parse("*.skipped").unwrap()];
    let options = RestoreOptions::default()
        .rename("one.*", "two.*")
        .rename("two.*", "one.*")
        .select(Selector {
            include: Vec::new(),
            exclude,
        });
    let report = restore(&made.location(), &to, options).await;
    assert_eq!(report.namespaces[0].from.to_string(), "one.c");
    for (db, id) in [("one", "two"), ("two", "one")] {
        assert_eq!(collections(&to.client(), db).await, ["c"]);
        let found = to
            .client()
            .database(db)
            .collection::<Document>("c")
            .find_one(doc! {})
            .await
            .unwrap();
        assert_eq!(found.unwrap().get_str("_id").unwrap(), id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_is_refused_before_anything_is_written() {
    // mongorestore/mongorestore_test.go.
    let to = ReplicaSet::start().await;
    let client = to.client();
    client
        .database("db")
        .create_collection("kept")
        .await
        .unwrap();
    let cases: [(&str, Document, Vec<Document>, RestoreOptions, ErrorKind); 5] = [
        (
            "db.c",
            doc! {},
            vec![doc! { "key": { "p": "geoHaystack", "t": 1 }, "name": "h", "bucketSize": 1 }],
            RestoreOptions::default(),
            ErrorKind::Unsupported,
        ),
        (
            "db.c",
            doc! { "timeseries": { "timeField": "t" } },
            vec![],
            RestoreOptions::default().no_options_restore(true),
            ErrorKind::Invalid,
        ),
        (
            "db.kept",
            doc! { "viewOn": "first", "pipeline": [] },
            vec![],
            RestoreOptions::default(),
            ErrorKind::Conflict,
        ),
        (
            "db.c",
            doc! {},
            vec![],
            RestoreOptions::default().rename("db.c", "db.first"),
            ErrorKind::Conflict,
        ),
        (
            "db.c",
            doc! {},
            vec![doc! { "key": { "a": 1 } }],
            RestoreOptions::default(),
            ErrorKind::Data,
        ),
    ];
    for (namespace, options, indexes, restore, kind) in cases {
        let mut made = Made::new();
        made.data("db.first", Codec::None, [doc! { "_id": 1 }]);
        made.metadata(namespace, options, &indexes);
        let (report, _) = try_restore(&made.location(), &to, restore).await;
        assert_eq!(report.unwrap_err().kind(), kind, "{namespace}");
        assert_eq!(collections(&client, "db").await, ["kept"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_would_be_done_and_does_nothing() {
    let to = ReplicaSet::start().await;
    to.client()
        .database("db")
        .create_collection("c")
        .await
        .unwrap();
    let mut made = Made::new();
    made.data("db.c", Codec::None, [doc! { "_id": 1 }, doc! { "_id": 2 }]);
    made.metadata(
        "db.c",
        doc! {},
        &[doc! { "key": { "a": 1 }, "name": "a_1" }],
    );
    made.metadata("db.v", doc! { "viewOn": "c", "pipeline": [] }, &[]);
    made.manifest();
    let restore = rdump::Restore::new(&target(&to).await, reader(&made.location()).await)
        .options(RestoreOptions::default().drop(true).rename("db.v", "db.w"));
    let plan = restore.plan().await.unwrap();
    assert_eq!(
        plan.to_string(),
        "restore db.c: drop what is there, create the collection, insert 2 documents (28 bytes), build 1 indexes (a_1)\n\
         restore db.w from db.v: create the view\n"
    );
    assert_eq!(collections(&to.client(), "db").await, ["c"]);
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let report = sendable(restore.run(plan)).await.unwrap();
    assert_eq!(
        (report.documents, report.namespaces.len(), report.problems),
        (2, 2, Vec::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_is_refused_by_name_and_a_standalone_server_taken() {
    // dumprestore3.js, dumpsecondary.js.
    let mut made = Made::new();
    made.data("db.c", Codec::None, [doc! { "_id": 1 }]);
    made.metadata(
        "db.c",
        doc! {},
        &[doc! { "key": { "a": 1 }, "name": "a_1" }],
    );
    let set = ReplicaSet::builder().members(3).start().await;
    let secondary = (set.await_primary().await + 1) % 3;
    let connect = rdump::ConnectOptions::default().uri(set.direct_uri(secondary));
    let target = rdump::Target::connect(&connect).await.unwrap();
    let error = rdump::Restore::new(&target, reader(&made.location()).await)
        .plan()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is not the primary"), "{error}");
    // One that is named alone is read, whatever it is.
    let source = rdump::Source::connect(&connect).await.unwrap();
    let dump = rdump::Dump::new(&source, std::sync::Arc::new(rdump::Discard));
    let plan = dump.plan().await.unwrap();
    dump.run(plan).await.unwrap();
    drop(set);
    let alone = Standalone::start().await;
    assert_eq!(
        restore(&made.location(), &alone, RestoreOptions::default())
            .await
            .documents,
        1
    );
}
