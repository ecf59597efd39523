//! What becomes of indexes while a dump is made.

use bson::{Document, doc};
use rdump::Location;
use rdump_testkit::{Fingerprint, FingerprintOptions, ReplicaSet, fingerprint::assert_same};
use tempfile::TempDir;

use super::{folder_writer, planned, replaying};
use crate::restore::restore;

/// Dumps a collection with these indexes, changes them after the plan, and replays that elsewhere.
async fn changed(names: &[&str], changes: &[(&str, Document)]) -> (ReplicaSet, ReplicaSet) {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let shop = source.client().database("shop");
    let index = |name: &&str| doc! { "key": { *name: 1 }, "name": *name };
    let indexes: Vec<_> = names.iter().map(index).collect();
    let create = doc! { "createIndexes": "orders", "indexes": indexes };
    shop.run_command(create).await.unwrap();
    let folder = TempDir::new().unwrap();
    let (dump, plan) = planned(&source, folder_writer(folder.path())).await;
    for (name, change) in changes {
        let mut index = doc! { "name": *name };
        index.extend(change.clone());
        let modify = doc! { "collMod": "orders", "index": index };
        shop.run_command(modify).await.unwrap();
    }
    dump.run(plan)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));

    let report = restore(&Location::from(folder.path()), &target, replaying()).await;
    assert_eq!(report.problems, []);
    (source, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_indexes_after_the_plan_comes_from_the_oplog() {
    // TOOLS-4071, TOOLS-4075, TOOLS-4105.
    let changes = [
        ("a", doc! { "prepareUnique": true }),
        ("a", doc! { "unique": true }),
        ("b", doc! { "prepareUnique": true }),
        ("b", doc! { "unique": true }),
        ("b", doc! { "hidden": true }),
        ("c", doc! { "prepareUnique": true }),
        ("c", doc! { "hidden": true }),
        ("c", doc! { "hidden": false }),
        ("d", doc! { "hidden": true, "expireAfterSeconds": 3600 }),
        ("e", doc! { "prepareUnique": true }),
        ("e", doc! { "prepareUnique": false }),
    ];
    let (source, target) = Box::pin(changed(&["a", "b", "c", "d", "e"], &changes)).await;
    let options = FingerprintOptions::new();
    let before = Fingerprint::of(&source.client(), &options).await;
    assert_same(&before, &Fingerprint::of(&target.client(), &options).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_was_unique_while_it_was_dumped_stays_prepared_to_be_as_with_mongorestore() {
    // TOOLS-4105. A server forgets that it was prepared once it is unique, and mongorestore does not.
    let changes =
        ["prepareUnique", "unique", "forceNonUnique"].map(|option| ("a", doc! { option: true }));
    let (source, target) = Box::pin(changed(&["a"], &changes)).await;
    let index = async |of: &ReplicaSet| {
        let indexes = of.client().database("shop");
        let list = doc! { "listIndexes": "orders" };
        let listed = indexes.run_command(list).await.unwrap();
        let listed = listed.get_document("cursor").unwrap();
        let listed = listed.get_array("firstBatch").unwrap()[1].as_document();
        listed.unwrap().clone()
    };
    let plain = doc! { "v": 2, "key": { "a": 1 }, "name": "a" };
    assert_eq!(index(&source).await, plain);
    let mut prepared = plain;
    prepared.insert("prepareUnique", true);
    assert_eq!(index(&target).await, prepared);
}
