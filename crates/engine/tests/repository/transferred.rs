//! Copies of dumps on other media.

use std::sync::Arc;

use futures::TryStreamExt;
use rdump::{
    ArchiveReader, ArchiveWriter, CancellationToken, Compression, DumpOptions, ErrorKind,
    FolderReader, FolderReaderOptions, FolderWriter, Location, Repository, Selector, Snapshot,
    SnapshotReader, Store, Transfer,
    media::{DumpReader, DumpWriter},
    storage::MemoryStore,
};
use rdump_testkit::{ReplicaSet, dataset};
use tempfile::TempDir;

use super::{backup, in_memory, objects, read_whole, store_of, verify, writer};
use crate::{authorization, oplog::with_oplog};

async fn reader(snapshot: &Snapshot) -> Arc<dyn DumpReader> {
    let reader = SnapshotReader::open(snapshot, &Selector::default()).await;
    Arc::new(reader.unwrap())
}

async fn copy(reader: Arc<dyn DumpReader>, writer: Arc<dyn DumpWriter>, how: Compression) {
    let options = DumpOptions::default().compression(how);
    let report = Transfer::new(reader, writer).options(options).run().await;
    assert_eq!(report.unwrap().problems, []);
}

/// A snapshot of what a reader has, in a repository of its own.
pub(super) async fn snapshot_of(reader: Arc<dyn DumpReader>) -> (Repository, Snapshot) {
    let (_, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository));
    copy(reader, Arc::clone(&writer) as _, Compression::ZSTD).await;
    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    (repository, snapshot)
}

async fn assert_same(one: &Snapshot, repository: &Repository, other: &Snapshot) {
    let entries = async |snapshot: &Snapshot| {
        let mut entries: Vec<_> = snapshot.catalog().try_collect().await.unwrap();
        entries.sort_by_key(|entry: &rdump_format::repository::CatalogEntry| {
            entry.namespace.to_string()
        });
        entries
    };
    assert_eq!(entries(one).await, entries(other).await);
    assert_eq!(read_whole(one).await, read_whole(other).await);
    assert_eq!(one.manifest().run.documents, other.manifest().run.documents);
    assert!(verify(repository, other).await.is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_goes_to_folders_and_archives_and_back() {
    let source = ReplicaSet::start().await;
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let (_, repository) = in_memory().await;
    let options = DumpOptions::default().compression(Compression::ZSTD);
    let snapshot = backup(&repository, &source, options).await;
    let place = TempDir::new().unwrap();
    for how in [Compression::None, Compression::GZIP, Compression::ZSTD] {
        let folder = Location::from(place.path().join(how.to_string()).as_path());
        let writer = FolderWriter::create(&folder).unwrap();
        copy(reader(&snapshot).await, Arc::new(writer), how).await;
        let read = FolderReader::open(&folder, FolderReaderOptions::default()).await;
        let (repository, back) = snapshot_of(Arc::new(read.unwrap())).await;
        assert_same(&snapshot, &repository, &back).await;
        assert_made_alike(&snapshot, &back);

        let archive = Location::from(place.path().join(format!("{how}.archive")).as_path());
        let writer = ArchiveWriter::create(&archive).unwrap();
        copy(reader(&snapshot).await, Arc::new(writer), how).await;
        let read = ArchiveReader::open(&archive).await;
        let (repository, back) = snapshot_of(Arc::new(read.unwrap())).await;
        assert_same(&snapshot, &repository, &back).await;
    }
}

/// That a copy tells when, how and of what the snapshot was made.
fn assert_made_alike(snapshot: &Snapshot, copy: &Snapshot) {
    let told = |snapshot: &Snapshot| {
        let mut run = snapshot.manifest().run.clone();
        run.stored_bytes = 0;
        run
    };
    assert_eq!(told(snapshot), told(copy));
    let second = |snapshot: &Snapshot| snapshot.id().as_str()[..20].to_owned();
    assert_eq!(second(snapshot), second(copy));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_for_a_moment_if_all_of_it_is_there() {
    let source = ReplicaSet::start().await;
    dataset::orders(50).seed(&source.client()).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, with_oplog()).await;
    assert_eq!(snapshot.manifest().run.consistency, "oplog");
    let place = TempDir::new().unwrap();
    let folder = Location::from(place.path());
    let writer = FolderWriter::create(&folder).unwrap();
    copy(reader(&snapshot).await, Arc::new(writer), Compression::None).await;
    let back = async |folder: &Location, options: FolderReaderOptions| {
        let read = FolderReader::open(folder, options).await;
        snapshot_of(Arc::new(read.unwrap())).await.1
    };
    let whole = back(&folder, FolderReaderOptions::default()).await;
    assert_made_alike(&snapshot, &whole);

    // The oplog is not in the folder of the database.
    let of_shop = Location::from(place.path().join("shop").as_path());
    let of_shop = back(&of_shop, FolderReaderOptions::default().db("shop")).await;
    let run = of_shop.manifest().run.clone();
    assert_eq!(
        (run.consistency.as_str(), run.consistent_at),
        ("none", None)
    );
    assert_eq!(run.source, snapshot.manifest().run.source);

    // What another tool put there is as old as nobody knows.
    std::fs::copy(
        place.path().join("shop/orders.bson"),
        place.path().join("shop/others.bson"),
    )
    .unwrap();
    let read = FolderReader::open(&folder, FolderReaderOptions::default()).await;
    let (_, repository) = in_memory().await;
    let writer = Arc::new(self::writer(&repository));
    let transfer = Transfer::new(Arc::new(read.unwrap()), Arc::clone(&writer) as _);
    let report = transfer.run().await.unwrap();
    assert!(report.problems[0].to_string().contains("does not list"));
    let mixed = repository.snapshot(writer.id().unwrap()).await.unwrap();
    let run = &mixed.manifest().run;
    assert_eq!(
        (run.consistency.as_str(), &run.consistent_at),
        ("none", &None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_go_along() {
    let source = ReplicaSet::start().await;
    authorization::seed(&source).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let place = TempDir::new().unwrap();
    let folder = Location::from(place.path().join("folder").as_path());
    let writer = FolderWriter::create(&folder).unwrap();
    copy(reader(&snapshot).await, Arc::new(writer), Compression::None).await;
    let read = FolderReader::open(&folder, FolderReaderOptions::default()).await;
    let (repository, back) = snapshot_of(Arc::new(read.unwrap())).await;
    assert_same(&snapshot, &repository, &back).await;
    assert!(read_whole(&back).await.contains_key("admin.system.users"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_is_damaged_or_that_is_cancelled_is_no_snapshot() {
    let source = ReplicaSet::start().await;
    dataset::orders(500).seed(&source.client()).await;
    let (store, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let mut damaged = objects(&*store).await;
    let data = damaged
        .iter_mut()
        .filter(|(path, _)| path.contains("/data/"));
    let (_, bytes) = data.max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 2] ^= 1;
    *bytes = flipped.into();
    let damaged = Repository::open_in(store_of(&damaged).await).await.unwrap();
    let damaged = damaged.snapshot(snapshot.id()).await.unwrap();

    let target: Arc<dyn Store> = Arc::new(MemoryStore::new("copies"));
    let copies = Repository::init_in(target).await.unwrap();
    let transfer = Transfer::new(reader(&damaged).await, Arc::new(writer(&copies)));
    let error = transfer.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
    assert_eq!(error.namespace().unwrap().to_string(), "shop.orders");

    let cancel = CancellationToken::new();
    cancel.cancel();
    let transfer = Transfer::new(reader(&snapshot).await, Arc::new(writer(&copies)));
    let error = transfer.cancel(cancel).run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(copies.snapshots().await.unwrap().whole.is_empty());
}
