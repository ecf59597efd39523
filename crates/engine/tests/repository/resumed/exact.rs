//! What is in is not read again, and what was half in is neither lost nor doubled.

use std::{num::NonZeroUsize, sync::Arc};

use bson::doc;
use rdump::{
    Codec, DumpOptions, Repository, RestoreOptions, Snapshot, Store, storage::MemoryStore,
};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};

use super::{
    super::{backup, transferred::snapshot_of, watched::Watched},
    documents, ledgers, noted_segments, try_restore, until,
};
use crate::{
    made::Made,
    restore::{documents::stored, reader},
};

/// So slow that there is something left to do when something is noted.
fn slowly() -> RestoreOptions {
    let one = NonZeroUsize::MIN;
    RestoreOptions::default()
        .parallel_collections(one)
        .insertion_workers(one)
        .batch_documents(NonZeroUsize::new(10).unwrap())
}

async fn backed_up(source: &ReplicaSet) -> (Arc<Watched>, Snapshot) {
    let store = Watched::new(Arc::new(MemoryStore::new("backups")));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
    let options = DumpOptions::default().segment_bytes(64 << 10);
    let snapshot = backup(&repository.unwrap(), source, options).await;
    store.take();
    (store, snapshot)
}

/// How many segments were read since this was last asked.
fn segments_read(store: &Watched) -> i64 {
    let read = store.take();
    let read = read.iter().filter(|(path, _)| path.contains("/data/"));
    i64::try_from(read.count()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_are_noted_are_not_read_again() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for number in 0..3 {
        let name = format!("shop.c{number}");
        let shape = dataset::Shape::Small;
        dataset::seed_bulk(&source.client(), &name, shape, 30_000, number).await;
    }
    let (store, snapshot) = backed_up(&source).await;
    let expected = Fingerprint::of(&source.client(), &FingerprintOptions::new()).await;
    let is_noted = async || noted_segments(&target).await > 0;
    until(&snapshot, &target, slowly(), is_noted).await;
    let (noted, first) = (noted_segments(&target).await, segments_read(&store));
    // How fast it is may change.
    let options = RestoreOptions::default().resume(true);
    let (report, notices) = try_restore(&snapshot, &target, options).await;
    let (report, second) = (report.unwrap(), segments_read(&store));
    assert!(notices.contains("going on with the restore"), "{notices}");
    let found = Fingerprint::of(&target.client(), &FingerprintOptions::new()).await;
    assert_same(&expected, &found);
    assert_eq!(report.documents, documents(&snapshot));
    assert_eq!((report.failed_documents, report.problems), (0, Vec::new()));
    assert_eq!(ledgers(&target).await.len(), 0);

    let whole = RestoreOptions::default().drop(true);
    try_restore(&snapshot, &target, whole).await.0.unwrap();
    let all = segments_read(&store);
    assert_eq!(second, all - noted, "{first} were read at first");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_without_an_id_get_the_same_one_again() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    let documents = (0..50_000).map(|number| doc! { "number": number });
    made.data("db.none", Codec::None, documents);
    made.manifest();
    let (_repository, snapshot) = snapshot_of(reader(&made.location()).await).await;
    let is_filled = async || !stored(&target.client(), "db", "none").await.is_empty();
    until(&snapshot, &target, slowly(), is_filled).await;
    let (report, _) = try_restore(&snapshot, &target, slowly().resume(true)).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.failed_documents), (50_000, 0));
    assert_eq!(report.problems, []);
    let found = stored(&target.client(), "db", "none").await;
    let numbers = found.iter().map(|it| it.get_i32("number").unwrap());
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..50_000));
}
