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
use crate::authorization;

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

        let archive = Location::from(place.path().join(format!("{how}.archive")).as_path());
        let writer = ArchiveWriter::create(&archive).unwrap();
        copy(reader(&snapshot).await, Arc::new(writer), how).await;
        let read = ArchiveReader::open(&archive).await;
        let (repository, back) = snapshot_of(Arc::new(read.unwrap())).await;
        assert_same(&snapshot, &repository, &back).await;
    }
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
