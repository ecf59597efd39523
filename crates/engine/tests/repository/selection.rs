//! Of a snapshot only what is restored is read.

use std::{collections::BTreeSet, sync::Arc};

use bson::doc;
use rdump::{
    DumpOptions, Pattern, Repository, Restore, RestoreOptions, Selector, SnapshotReader, Store,
};
use rdump_testkit::ReplicaSet;

use super::{backup, in_memory, watched::Watched};
use crate::restore::target;

const COLLECTIONS: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn one_collection_of_many_costs_its_data_and_little_more() {
    let (source, target_server) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let database = source.client().database("shop");
    for number in 0..COLLECTIONS {
        let documents = (0..100).map(|id| doc! { "_id": id, "text": "x".repeat(1000) });
        let collection = database.collection(&format!("c{number}"));
        collection.insert_many(documents).await.unwrap();
    }
    let (store, repository) = in_memory().await;
    backup(&repository, &source, DumpOptions::default()).await;

    let store = Watched::new(store);
    let repository = Repository::open_in(Arc::clone(&store) as Arc<dyn Store>).await;
    let snapshot = repository.unwrap().find_snapshot("latest").await.unwrap();
    let select = Selector {
        include: vec![Pattern::parse("shop.c42").unwrap()],
        exclude: Vec::new(),
    };
    let reader = SnapshotReader::open(&snapshot, &select).await.unwrap();
    let options = RestoreOptions::default().select(select);
    let restore = Restore::new(&target(&target_server).await, Arc::new(reader)).options(options);
    let plan = restore.plan().await.unwrap();
    let report = restore.run(plan).await.unwrap();
    assert_eq!((report.documents, report.namespaces.len()), (100, 1));

    let reads = store.take();
    let data: BTreeSet<_> = reads
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.contains("/data/"))
        .collect();
    assert_eq!(data.len(), 1, "{data:?}");
    let moved: u64 = reads.iter().map(|(_, range)| range.end - range.start).sum();
    let all = snapshot.manifest().run.stored_bytes;
    assert!(moved > all / COLLECTIONS, "{moved} of {all}");
    assert!(moved * 100 <= all * 2, "{moved} of {all}");
}
