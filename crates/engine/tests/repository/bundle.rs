//! Snapshots as one tar stream.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read},
    process::Command,
    sync::Arc,
};

use futures::TryStreamExt;
use rdump::{
    BundleReader, BundleReport, CancellationToken, Compression, DumpOptions, Error, ErrorKind,
    Location, Pattern, Repository, Restore, RestoreOptions, RestoreReport, Selector, Snapshot,
    SnapshotId, SnapshotVerifyOptions, Store, UnbundleReport,
    media::{Access, DumpReader},
    storage::{MemoryStore, PutIf, Sink, StreamUpload},
};
use rdump_testkit::{
    Deployment, Fingerprint, ReplicaSet, dataset, fingerprint::assert_same, workload,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{
    Documents, backup, backup_by, in_memory, objects, read_whole,
    round_trip::{compared, over_itself, restore},
    store_of, try_verify, writer,
};
use crate::{
    authorization,
    oplog::{dump_under_load, replaying, with_oplog},
    restore::target,
};

mod damaged;
mod encrypted;
mod hostile;
mod into;

const FILE: &str = "snapshot.tar";

async fn try_bundle(
    repository: &Repository,
    id: &SnapshotId,
    to: Sink,
) -> Result<BundleReport, Error> {
    let cancel = CancellationToken::new();
    repository.bundle(id, to, Arc::new(()), cancel).await
}

/// The bytes of a bundle.
pub(super) async fn bundle(repository: &Repository, snapshot: &Snapshot) -> Vec<u8> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new("bundles"));
    let to = Sink::Object {
        store: Arc::clone(&store),
        path: FILE.to_owned(),
    };
    let report = try_bundle(repository, snapshot.id(), to).await.unwrap();
    assert_eq!(report.stored_bytes, snapshot.manifest().run.stored_bytes);
    assert_eq!(report.objects, snapshot.manifest().objects);
    let bytes = objects(&*store).await.remove(FILE).unwrap();
    assert_eq!(bytes.len() as u64, report.bundle_bytes);
    bytes.into()
}

async fn open(bytes: Vec<u8>, select: &Selector) -> Result<BundleReader, Error> {
    BundleReader::stream("a bundle", Cursor::new(bytes), select, None).await
}

/// What a restore of a bundle would insert, and why it would stop.
async fn read_bundle(bytes: Vec<u8>, select: &Selector) -> (Documents, Option<Error>) {
    let reader = match open(bytes, select).await {
        Ok(reader) => reader,
        Err(error) => return (Documents::new(), Some(error)),
    };
    let Access::Sequential(mut arrivals) = reader.access() else {
        panic!("it is a stream");
    };
    let entries = &reader.contents().entries;
    let names = entries.iter().map(|entry| entry.namespace.to_string());
    let mut found: Documents = names.map(|name| (name, Default::default())).collect();
    let (mut taking, mut failed) = (JoinSet::new(), None);
    while let Some(arrival) = arrivals.try_next().await.transpose() {
        match arrival {
            Ok(mut arrival) => {
                let name = entries[arrival.entry].namespace.to_string();
                taking.spawn(async move {
                    let mut documents = Vec::new();
                    // Why it ends is said by the arrivals too.
                    while let Ok(Some(run)) = arrival.documents.try_next().await {
                        let of_run = rdump_format::documents(&run.body);
                        documents.extend(of_run.map(|document| document.unwrap().to_vec()));
                    }
                    (name, documents)
                });
            }
            Err(error) => failed = Some(error),
        }
    }
    for (name, documents) in taking.join_all().await {
        found.get_mut(&name).unwrap().extend(documents);
    }
    (found, failed)
}

async fn try_restore(
    bytes: Vec<u8>,
    to: &Deployment,
    options: RestoreOptions,
) -> Result<RestoreReport, Error> {
    let reader = open(bytes, &options.select).await?;
    let restore = Restore::new(&target(to).await, Arc::new(reader)).options(options);
    let plan = restore.plan().await?;
    restore.run(plan).await
}

async fn restore_bundle(bytes: Vec<u8>, to: &Deployment, options: RestoreOptions) -> RestoreReport {
    let report = try_restore(bytes, to, options).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.problems, []);
    assert!(report.verified && report.failed_documents == 0);
    report
}

pub(super) async fn unbundle(
    store: &Arc<dyn Store>,
    input: impl Read + Send + 'static,
) -> Result<UnbundleReport, Error> {
    let (location, cancel) = (Location::from(Arc::clone(store)), CancellationToken::new());
    Repository::unbundle(&location, "a bundle", input, Arc::new(()), cancel).await
}

fn empty() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new("copies"))
}

/// A snapshot of several objects of several segments, in several parts, of an alternating order.
async fn of_many_objects(source: &ReplicaSet, repository: &Repository) -> Snapshot {
    let database = source.client().database("shop");
    for (name, documents) in [("a", 300), ("b", 300), ("few", 3)] {
        let documents = (0..documents).map(|id: i64| {
            let noise: String = (0..100).map(|at| format!("{:x}", id * 7919 * at)).collect();
            bson::doc! { "_id": id, "of": name, "noise": noise }
        });
        let collection = database.collection::<bson::Document>(name);
        collection.insert_many(documents).await.unwrap();
    }
    database.create_collection("empty").await.unwrap();
    let options = DumpOptions::default()
        .db("shop")
        .compression(Compression::ZSTD)
        .segment_bytes(64 << 10);
    let writer = writer(repository).object_bytes(1500).part_bytes(500);
    let snapshot = backup_by(writer, repository, source, options).await;
    let manifest = snapshot.manifest();
    assert!(manifest.parts.len() > 2 && manifest.objects > 5);
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_comes_back_from_a_bundle_and_from_what_tar_makes_of_it() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let expected = Fingerprint::of(&source.client(), &compared()).await;
    let mut options = RestoreOptions::default().bypass_document_validation(true);
    for compression in [Compression::ZSTD, Compression::GZIP, Compression::None] {
        let (store, repository) = in_memory().await;
        let dump = DumpOptions::default().compression(compression);
        let snapshot = backup(&repository, &source, dump).await;
        let bytes = bundle(&repository, &snapshot).await;
        assert!(
            bytes == bundle(&repository, &snapshot).await,
            "it is the same each time"
        );

        let report = restore_bundle(bytes.clone(), &target, options).await;
        assert!(report.documents > 0);
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &compared()).await,
        );
        options = over_itself();

        let copy = empty();
        let report = unbundle(&copy, Cursor::new(bytes.clone())).await.unwrap();
        assert_eq!((&report.id, report.kept_bytes), (snapshot.id(), 0));
        assert_eq!(report.stored_bytes, snapshot.manifest().run.stored_bytes);
        let expected_objects = objects(&*store).await;
        assert_eq!(objects(&*copy).await, expected_objects);

        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join(FILE), bytes).unwrap();
        let tar = Command::new("tar")
            .args(["xf", FILE])
            .current_dir(folder.path())
            .status();
        assert!(tar.unwrap().success());
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        let extracted = Location::from(folder.path()).open().unwrap();
        assert_eq!(objects(&*extracted).await, expected_objects);
        let extracted = Repository::open_in(extracted).await.unwrap();
        assert_eq!(extracted.record(), repository.record());
        let found = extracted.find_snapshot("latest").await.unwrap();
        let deep = SnapshotVerifyOptions::default().deep(true);
        let (report, notices) = try_verify(&extracted, &found, &deep).await;
        let report = report.unwrap();
        assert!(
            report.is_whole() && notices.is_empty(),
            "{report} {notices:?}"
        );
        restore(&found, &target, over_itself()).await;
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &compared()).await,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bundle_gives_is_what_the_snapshot_does_in_its_order() {
    let source = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let (found, failed) = read_bundle(bytes.clone(), &Selector::default()).await;
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(found, read_whole(&snapshot).await);

    let reader = open(bytes, &Selector::default()).await.unwrap();
    assert_eq!(reader.snapshot().manifest(), snapshot.manifest());
    let to = ReplicaSet::start().await;
    let restore = Restore::new(&target(&to).await, Arc::new(reader))
        .options(RestoreOptions::default().maintain_insertion_order(true));
    let plan = restore.plan().await.unwrap();
    restore.run(plan).await.unwrap();
    let collection = to
        .client()
        .database("shop")
        .collection::<bson::Document>("a");
    let ids = collection.find(bson::doc! {}).await.unwrap();
    let ids: Vec<_> = ids
        .map_ok(|it| it.get_i64("_id").unwrap())
        .try_collect()
        .await
        .unwrap();
    assert!(ids.into_iter().eq(0..300));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_come_back() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    authorization::seed(&source).await;
    let expected = authorization::all(&source).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let bytes = bundle(&repository, &snapshot).await;
    restore_bundle(bytes, &target, RestoreOptions::default()).await;
    assert_eq!(authorization::all(&target).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oplog_is_replayed_after_all_else_has_come() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(5_000).seed(&source.client()).await;
    let (_, repository) = in_memory().await;
    // So small that objects of the oplog are stored among others.
    let writer = Arc::new(writer(&repository).object_bytes(1));
    let options = with_oplog()
        .compression(Compression::ZSTD)
        .segment_bytes(64 << 10)
        .limit_bytes_per_second(2 << 20);
    let (report, state) = dump_under_load(&source, Arc::clone(&writer) as _, options).await;
    assert!(report.oplog.unwrap().entries > 50);
    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    let bytes = bundle(&repository, &snapshot).await;
    let report = restore_bundle(bytes.clone(), &target, replaying()).await;
    assert!(report.oplog.unwrap().operations > 50);
    workload::assert_holds(&state, &target.client(), str::to_owned).await;

    let options = RestoreOptions::default().drop(true);
    assert_eq!(
        restore_bundle(bytes.clone(), &target, options).await.oplog,
        None
    );

    let cut = bytes[..bytes.len() - 2000].to_vec();
    let error = try_restore(cut, &target, replaying().drop(true))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_bundle_what_is_selected_is_restored_and_the_rest_must_be_whole() {
    let (source, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let only = |name: &str| Selector {
        include: vec![Pattern::literal(name)],
        exclude: Vec::new(),
    };
    let options = || {
        RestoreOptions::default()
            .select(only("shop.few"))
            .rename("shop.*", "new.*")
    };
    restore_bundle(bytes.clone(), &to, options()).await;
    let client = to.client();
    assert_eq!(
        client
            .database("new")
            .list_collection_names()
            .await
            .unwrap(),
        ["few"]
    );
    let names = client.list_database_names().await.unwrap();
    assert!(!names.contains(&"shop".to_owned()), "{names:?}");

    let error = try_restore(
        bytes.clone(),
        &to,
        options().on_conflict(rdump::OnConflict::Fail),
    );
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let error = open(bytes.clone(), &only("shop.none")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");

    // What is selected comes before, and is whole.
    let cut = bytes[..bytes.len() - 1025].to_vec();
    let error = try_restore(cut, &to, options().drop(true))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_nothing_goes_through_a_bundle() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default().db("none")).await;
    let bytes = bundle(&repository, &snapshot).await;
    let report = restore_bundle(bytes.clone(), &target, RestoreOptions::default()).await;
    assert_eq!(report.documents, 0);
    let copy = empty();
    unbundle(&copy, Cursor::new(bytes)).await.unwrap();
    assert_eq!(objects(&*copy).await, objects(&*store).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_reads_no_data_and_what_is_dropped_holds_nothing_up() {
    let (source, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    // Of the data there is nothing.
    let folder = format!("{}data/", snapshot.id().folder());
    let at = bytes
        .windows(folder.len())
        .position(|it| it == folder.as_bytes());
    let head = bytes[..at.unwrap()].to_vec();
    let reader = open(head, &Selector::default()).await.unwrap();
    let restore = Restore::new(&target(&to).await, Arc::new(reader));
    let plan = restore.plan().await.unwrap();
    assert_eq!(plan.namespaces.len(), 4);

    let (mut one_end, other_end) = io::pipe().unwrap();
    let fed = std::thread::spawn(move || {
        let mut input = other_end;
        io::Write::write_all(&mut input, &bytes)
    });
    let mut head = vec![0; 512];
    one_end.read_exact(&mut head).unwrap();
    let select = Selector::default();
    let input = Cursor::new(head).chain(one_end);
    let reader = BundleReader::stream("a pipe", input, &select, None).await;
    drop(reader.unwrap());
    // The thread is gone, or has read everything.
    let _ = fed.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tar_is_left_to_others_and_what_is_one_is_a_bundle_or_refused() {
    let select = Selector::default();
    for bytes in [&b""[..], b"hello", &[0; 4096]] {
        let detected = BundleReader::detect("a file", bytes, &select, None).await;
        assert!(detected.unwrap().is_none());
    }
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("notes"), "hello").unwrap();
    let tar = Command::new("tar")
        .args(["cf", FILE, "notes"])
        .current_dir(folder.path())
        .status();
    assert!(tar.unwrap().success());
    let at = |name: &str| Location::from(folder.path().join(name).as_path());
    for name in ["notes", "none", ""] {
        assert!(
            BundleReader::open(&at(name), &select, None)
                .await
                .unwrap()
                .is_none()
        );
    }
    let error = BundleReader::open(&at(FILE), &select, None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
}
