//! Very many collections.

use bson::{Document, doc};
use futures::{StreamExt, TryStreamExt, stream};
use rdump::{DumpOptions, Selector, SnapshotReader, media::DumpReader};
use rdump_testkit::ReplicaSet;

use super::{backup, in_memory, objects, verify};

/// A server has one file open for each, since they are clustered; two for others.
const COLLECTIONS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn empty_collections_cost_no_objects_however_many_there_are() {
    let source = ReplicaSet::start().await;
    let database = source.client().database("shop");
    let created = stream::iter(0..COLLECTIONS).map(|number| {
        let database = database.clone();
        async move {
            let clustered = doc! { "key": { "_id": 1 }, "unique": true };
            let create = doc! { "create": format!("c{number}"), "clusteredIndex": clustered };
            database.run_command(create).await
        }
    });
    let created: Vec<Document> = created.buffered(8).try_collect().await.unwrap();
    assert_eq!(created.len(), COLLECTIONS);
    let (store, repository) = in_memory().await;
    let options = DumpOptions::default().db("shop");
    let snapshot = backup(&repository, &source, options).await;
    assert_eq!(snapshot.manifest().objects, 0);
    assert_eq!(snapshot.manifest().namespaces, COLLECTIONS as u64);
    let found = snapshot.namespaces().await.unwrap();
    assert_eq!(found.len(), COLLECTIONS);
    let are_empty = |found: &rdump::SnapshotNamespace| {
        let stored = found.stored.as_ref();
        stored.is_some_and(|stored| stored.documents == 0 && stored.objects == 0)
    };
    assert!(found.iter().all(are_empty));
    let reader = SnapshotReader::open(&snapshot, &Selector::default()).await;
    assert_eq!(reader.unwrap().contents().entries.len(), COLLECTIONS);
    assert!(verify(&repository, &snapshot).await.is_whole());
    let objects = objects(&*store).await;
    // Of each there are its definition and that it ended, and these are alike.
    let bytes: usize = objects.values().map(|object| object.len()).sum();
    assert!(objects.len() < 100, "{:?}", objects.keys());
    assert!(!objects.keys().any(|path| path.contains("/data/")));
    assert!(bytes < COLLECTIONS * 100, "{bytes}");
}
