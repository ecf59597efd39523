//! What is restored is what was backed up.

use std::{collections::BTreeSet, sync::Arc};

use bson::{Binary, doc, spec::BinarySubtype};
use rdump::{
    Compression, DumpOptions, Location, Pattern, Repository, Restore, RestoreOptions,
    RestoreReport, Selector, Snapshot, SnapshotReader, SnapshotVerifyOptions, Store,
    storage::{MemoryStore, S3Credentials, S3Store},
};
use rdump_testkit::{
    Deployment, Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, dataset,
    dataset::Seeder,
    fingerprint::assert_same,
    s3::{ACCESS_KEY, SECRET_KEY},
};
use tempfile::TempDir;

use super::{backup, backup_by, encrypted::somebody, in_memory, read_whole, try_verify, writer};
use crate::{authorization, made::raw, restore::target};

/// The version of an index becomes the server's newest unless it is to be kept.
pub(super) fn compared() -> FingerprintOptions {
    FingerprintOptions::new().ignore_index_version(true)
}

pub(super) async fn restore(
    snapshot: &Snapshot,
    to: &Deployment,
    options: RestoreOptions,
) -> RestoreReport {
    let reader = SnapshotReader::open(snapshot, &options.select).await;
    let restore = Restore::new(&target(to).await, Arc::new(reader.unwrap())).options(options);
    let plan = restore.plan().await.unwrap();
    let report = restore.run(plan).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.problems, []);
    assert_eq!(report.failed_documents, 0);
    assert!(report.verified);
    report
}

/// Options that restore data sets over themselves.
pub(super) fn over_itself() -> RestoreOptions {
    RestoreOptions::default()
        .bypass_document_validation(true)
        .drop(true)
}

/// Restores every database by itself, to a target that has none of them any more.
async fn restore_by_selection(snapshot: &Snapshot, to: &ReplicaSet) {
    let namespaces = snapshot.namespaces().await.unwrap();
    let of_users = |db: &String| !["admin", "config"].contains(&db.as_str());
    let databases: BTreeSet<_> = namespaces
        .into_iter()
        .map(|namespace| namespace.entry.namespace.db)
        .filter(of_users)
        .collect();
    for db in &databases {
        to.client().database(db).drop().await.unwrap();
    }
    for db in databases {
        let select = Selector {
            include: vec![Pattern::parse(&format!("{db}.*")).unwrap()],
            exclude: Vec::new(),
        };
        let options = RestoreOptions::default().bypass_document_validation(true);
        restore(snapshot, to, options.select(select)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_comes_back_however_it_is_compressed() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let expected = Fingerprint::of(&source.client(), &compared()).await;
    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path().join("backups").as_path());
    let mut options = RestoreOptions::default().bypass_document_validation(true);
    for (compression, encrypted) in [
        (Compression::ZSTD, false),
        (Compression::ZSTD, true),
        (Compression::GZIP, false),
        (Compression::None, true),
    ] {
        let (recipients, identities) = encrypted.then(somebody).unzip();
        let repository = Repository::open_or_init(&location).await.unwrap();
        let repository = repository.identities(identities);
        let dump = DumpOptions::default().compression(compression);
        let writer = writer(&repository).recipients(recipients);
        let snapshot = backup_by(writer, &repository, &source, dump).await;
        let deep = SnapshotVerifyOptions::default().deep(true);
        let (report, notices) = try_verify(&repository, &snapshot, &deep).await;
        let report = report.unwrap();
        assert!(report.is_whole(), "{report}");
        assert_eq!(report.documents, snapshot.manifest().run.documents);
        assert_eq!(report.verified_bytes, snapshot.manifest().run.stored_bytes);
        assert_eq!((report.unreferenced_objects, notices.len()), (0, 0));

        let restored = restore(&snapshot, &target, options).await;
        assert!(restored.documents > 0);
        let found = Fingerprint::of(&target.client(), &compared()).await;
        assert_same(&expected, &found);
        if compression == Compression::ZSTD {
            restore_by_selection(&snapshot, &target).await;
            let found = Fingerprint::of(&target.client(), &compared()).await;
            assert_same(&expected, &found);
        }
        options = over_itself();
    }
    let repository = Repository::open(&location).await.unwrap();
    assert_eq!(repository.snapshots().await.unwrap().whole.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_comes_back_from_an_object_store() {
    let server = SeaweedFs::start().await;
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let expected = Fingerprint::of(&source.client(), &compared()).await;
    let credentials = S3Credentials::new(ACCESS_KEY, SECRET_KEY);
    let store = S3Store::new(server.location("a/b").parse().unwrap()).credentials(credentials);
    let store: Arc<dyn Store> = Arc::new(store);
    let (recipients, identities) = somebody();
    let repository = Repository::init_in(Arc::clone(&store)).await.unwrap();
    let options = DumpOptions::default().compression(Compression::ZSTD);
    let mut to = RestoreOptions::default().bypass_document_validation(true);
    for (recipients, identities) in [(None, None), (Some(recipients), Some(identities))] {
        let writer = writer(&repository).recipients(recipients);
        let snapshot = backup_by(writer, &repository, &source, options.clone()).await;

        let repository = Repository::open_in(Arc::clone(&store)).await.unwrap();
        let repository = repository.identities(identities);
        let latest = repository.find_snapshot("latest").await.unwrap();
        assert_eq!(latest.manifest(), snapshot.manifest());
        let deep = SnapshotVerifyOptions::default().deep(true);
        let (report, _) = try_verify(&repository, &latest, &deep).await;
        let report = report.unwrap();
        assert!(report.is_whole(), "{report}");
        restore(&latest, &target, to).await;
        let found = Fingerprint::of(&target.client(), &compared()).await;
        assert_same(&expected, &found);
        restore_by_selection(&latest, &target).await;
        let found = Fingerprint::of(&target.client(), &compared()).await;
        assert_same(&expected, &found);
        to = over_itself();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_come_back() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    authorization::seed(&source).await;
    let expected = authorization::all(&source).await;
    assert_eq!(expected.len(), 4);
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    restore(&snapshot, &target, RestoreOptions::default()).await;
    assert_eq!(authorization::all(&target).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_of_one_database_come_back_with_it() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    authorization::seed(&source).await;
    let mut expected = authorization::all(&source).await;
    expected.retain(|found| found.get_str("db").unwrap() == "shop");
    let (_, repository) = in_memory().await;
    let options = DumpOptions::default().db("shop").users_and_roles(true);
    let snapshot = backup(&repository, &source, options).await;
    let options = RestoreOptions::default().db("shop").users_and_roles(true);
    restore(&snapshot, &target, options).await;
    assert_eq!(authorization::all(&target).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_nothing_is_one_and_restores_nothing() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let folder = TempDir::new().unwrap();
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(MemoryStore::new("backups")),
        Location::from(folder.path()).create().unwrap(),
    ];
    for store in stores {
        let repository = Repository::init_in(store).await.unwrap();
        let snapshot = backup(&repository, &source, DumpOptions::default().db("none")).await;
        assert_eq!(snapshot.manifest().namespaces, 0);
        assert_eq!(read_whole(&snapshot).await.len(), 0);
        let options = SnapshotVerifyOptions::default();
        let (report, _) = try_verify(&repository, &snapshot, &options).await;
        assert!(report.unwrap().is_whole());
        let report = restore(&snapshot, &target, RestoreOptions::default()).await;
        assert_eq!(report.documents, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_collection_of_one_document_of_16_mib_comes_back_to_the_byte() {
    let source = ReplicaSet::start().await;
    let with = |bytes: Vec<u8>| {
        let subtype = BinarySubtype::Generic;
        doc! { "_id": 1, "noise": Binary { subtype, bytes } }
    };
    let empty = raw(&with(Vec::new())).as_bytes().len();
    let noise = |number: usize| number.wrapping_mul(0x9E37_79B9).to_le_bytes()[2];
    let largest = raw(&with((0..(16 << 20) - empty).map(noise).collect()));
    assert_eq!(largest.as_bytes().len(), 16 << 20);
    let seeder = Seeder::new("largest", source.client());
    seeder.insert("db", "c", [largest.clone()]).await;
    for compression in [Compression::None, Compression::ZSTD] {
        let (_, repository) = in_memory().await;
        let options = DumpOptions::default().db("db").compression(compression);
        let snapshot = backup(&repository, &source, options).await;
        let found = read_whole(&snapshot).await;
        let found: Vec<_> = found.into_values().flatten().collect();
        assert!(found == [largest.as_bytes()], "{compression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_back_alone() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    authorization::seed(&source).await;
    let expected = authorization::all(&source).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let select = Selector {
        include: ["admin.system.users", "admin.system.roles"]
            .map(Pattern::literal)
            .into(),
        exclude: Vec::new(),
    };
    restore(&snapshot, &target, RestoreOptions::default().select(select)).await;
    assert_eq!(authorization::all(&target).await, expected);
}
