//! Restores of snapshots over what is there already.

use bson::{Document, doc};
use mongodb::{Database, IndexModel};
use rdump::{DumpOptions, ErrorKind, OnConflict, RestoreOptions, Snapshot};
use rdump_testkit::{ReplicaSet, ServerVersion};

use super::{backup, in_memory, resumed};

async fn create(database: &Database) {
    for command in [
        doc! { "create": "seen", "viewOn": "c", "pipeline": [] },
        doc! { "create": "last", "capped": true, "size": 1 << 20 },
        doc! { "create": "words", "collation": { "locale": "fr" } },
        doc! { "create": "times", "timeseries": { "timeField": "t" } },
    ] {
        database.run_command(command).await.unwrap();
    }
}

/// A view, a capped collection, one with a collation, an empty time-series and one of functions.
async fn snapshot() -> (ReplicaSet, Snapshot) {
    let source = ReplicaSet::start().await;
    let database = source.client().database("shop");
    create(&database).await;
    for name in ["last", "words", "system.js"] {
        let documents = (0..20).map(|number| doc! { "_id": number.to_string(), "value": number });
        let collection = database.collection::<Document>(name);
        collection.insert_many(documents).await.unwrap();
    }
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    (source, snapshot)
}

fn on_conflict(what: OnConflict) -> RestoreOptions {
    RestoreOptions::default().on_conflict(what)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_and_empty_must_be_what_was_dumped() {
    let (_source, snapshot) = snapshot().await;
    for (command, difference) in [
        (
            doc! { "create": "seen", "viewOn": "other", "pipeline": [] },
            "option `viewOn` is not what was asked for",
        ),
        (
            doc! { "create": "last", "capped": true, "size": 4096 },
            "option `size` is not what was asked for",
        ),
        (
            doc! { "create": "words", "collation": { "locale": "de" } },
            "option `collation` is not what was asked for",
        ),
        (
            doc! { "create": "words", "collation": { "locale": "fr" }, "validator": { "a": 1 } },
            "option `validator` was not asked for",
        ),
        (
            doc! { "create": "times", "timeseries": { "timeField": "when" } },
            "option `timeseries` is not what was asked for",
        ),
        (
            doc! { "create": "times" },
            "is a collection, and the dump has a time-series collection",
        ),
    ] {
        let name = command.get_str("create").unwrap().to_owned();
        let target = ReplicaSet::start().await;
        let database = target.client().database("shop");
        database.run_command(command).await.unwrap();
        let (report, _) =
            resumed::try_restore(&snapshot, &target, on_conflict(OnConflict::Fail)).await;
        let error = report.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert!(error.to_string().contains(difference), "{error}");
        assert_eq!(
            database
                .list_collection_names()
                .await
                .unwrap()
                .iter()
                .filter(|it| !it.starts_with("system."))
                .count(),
            1
        );

        // What is there stays as it is, and all else comes.
        let skip = on_conflict(OnConflict::Skip);
        for _ in 0..2 {
            let (report, notices) = resumed::try_restore(&snapshot, &target, skip.clone()).await;
            assert_eq!(report.unwrap().problems, []);
            let skipped = format!("shop.{name} is skipped: ");
            assert!(notices.contains(&skipped), "{notices}");
        }
        let (report, _) =
            resumed::try_restore(&snapshot, &target, RestoreOptions::default().drop(true)).await;
        assert_eq!(report.unwrap().problems, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_and_the_same_is_filled() {
    let (source, snapshot) = snapshot().await;
    let target = ReplicaSet::start().await;
    let database = target.client().database("shop");
    create(&database).await;
    let (report, _) = resumed::try_restore(&snapshot, &target, on_conflict(OnConflict::Fail)).await;
    assert_eq!(report.unwrap().problems, []);
    for name in ["last", "words", "system.js"] {
        let collection = database.collection::<Document>(name);
        assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 20);
    }
    drop(source);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_added_to_a_capped_collection() {
    let (_source, snapshot) = snapshot().await;
    let target = ReplicaSet::start().await;
    let database = target.client().database("shop");
    let command = doc! { "create": "last", "capped": true, "size": 4096, "max": 5 };
    database.run_command(command).await.unwrap();
    let collection = database.collection::<Document>("last");
    let precious = doc! { "_id": "precious" };
    collection.insert_one(&precious).await.unwrap();
    let (report, _) =
        resumed::try_restore(&snapshot, &target, on_conflict(OnConflict::Merge)).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.to_string().contains("would push out"), "{error}");
    assert_eq!(collection.find_one(doc! {}).await.unwrap(), Some(precious));
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_are_replaced_with_everything_else() {
    let (_source, snapshot) = snapshot().await;
    let target = ReplicaSet::start().await;
    let functions = target
        .client()
        .database("shop")
        .collection::<Document>("system.js");
    for old in [
        doc! { "_id": "old", "value": 1 },
        doc! { "_id": "7", "value": "other" },
    ] {
        functions.insert_one(old).await.unwrap();
    }
    for _ in 0..2 {
        let drop = RestoreOptions::default().drop(true);
        let (report, _) = resumed::try_restore(&snapshot, &target, drop).await;
        assert_eq!(report.unwrap().problems, []);
        assert_eq!(functions.count_documents(doc! {}).await.unwrap(), 20);
        let seventh = functions.find_one(doc! { "_id": "7" }).await.unwrap();
        assert_eq!(seventh, Some(doc! { "_id": "7", "value": 7 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_restore_has_begun_is_not_skipped() {
    let (source, _) = snapshot().await;
    let database = source.client().database("shop");
    let words = database.collection::<Document>("words");
    let index = IndexModel::builder().keys(doc! { "value": 1 }).build();
    words.create_index(index).await.unwrap();
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let target = ReplicaSet::start().await;
    resumed::begun(&snapshot, &target, RestoreOptions::default()).await;
    let skip = on_conflict(OnConflict::Skip);
    let (report, _) = resumed::try_restore(&snapshot, &target, skip).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.to_string().contains("cannot be skipped"), "{error}");
    let resume = RestoreOptions::default().resume(true);
    let (report, _) = resumed::try_restore(&snapshot, &target, resume).await;
    assert_eq!(report.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_cannot_have_is_refused_before_anything_is_written() {
    let (_source, snapshot) = snapshot().await;
    let target = ReplicaSet::builder()
        .version(ServerVersion::V4_4_2)
        .start()
        .await;
    let names = async || {
        target
            .client()
            .database("shop")
            .list_collection_names()
            .await
    };
    let drop = RestoreOptions::default().drop(true);
    let into_ledgers = drop.clone().rename("shop.*", "__rdump_restores.*");
    for (options, kind, message) in [
        (
            drop,
            ErrorKind::Unsupported,
            "has no time-series collections",
        ),
        (
            into_ledgers,
            ErrorKind::Invalid,
            "nothing can be restored to __rdump_restores",
        ),
    ] {
        let (report, _) = resumed::try_restore(&snapshot, &target, options).await;
        let error = report.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(names().await.unwrap().is_empty());
    }
}
