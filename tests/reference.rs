//! mongodump and mongorestore read what we write, and we read what they write.
//!
//! `cargo test -p rdump-tests --features reference`, with the tools on `PATH` or in `MONGODUMP` and `MONGORESTORE`.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

mod flags;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use rdump::{Compression, DumpOptions, RestoreOptions};
use rdump_format::{escape, stem};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, damage, dataset, fingerprint::assert_same,
    reference,
};
use rdump_tests::{dump, dump_archive, restore, restore_archive};
use tempfile::TempDir;

async fn seeded() -> ReplicaSet {
    let source = ReplicaSet::start().await;
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    source
}

/// Without the versions of indexes: a restore builds today's, unless it is asked to keep them.
async fn fingerprint(of: &ReplicaSet) -> Fingerprint {
    Fingerprint::of(
        &of.client(),
        &FingerprintOptions::new().ignore_index_version(true),
    )
    .await
}

/// mongorestore decodes a shortened file name although it takes the real name from the metadata, and then
/// decodes that too: names with these characters are refused or changed, those that mongodump wrote as well.
async fn drop_what_mongorestore_cannot_read(source: &ReplicaSet) {
    let client = source.client();
    for (db, collection) in fingerprint(source).await.collections().keys() {
        let shortened = escape(collection) != stem(collection);
        if shortened && collection.contains(['%', '+']) {
            client
                .database(db)
                .collection::<RawDocumentBuf>(collection)
                .drop()
                .await
                .unwrap();
        }
    }
    // It asks for version 1 of a time-series 2dsphere index, which the server does not build.
    let readings = client
        .database("series")
        .collection::<RawDocumentBuf>("readings");
    readings.drop_index("place").await.unwrap();
}

async fn mongorestore_reads(compression: Compression, flags: &[&str]) {
    let (source, target) = (seeded().await, ReplicaSet::start().await);
    drop_what_mongorestore_cannot_read(&source).await;
    let folder = TempDir::new().unwrap();
    dump(
        &source,
        folder.path(),
        DumpOptions::default().compression(compression),
    )
    .await;
    let uri = target.uri();
    let mut arguments = vec![
        "--uri",
        &uri,
        "--dir",
        folder.path().to_str().unwrap(),
        "--bypassDocumentValidation",
    ];
    arguments.extend(flags);
    reference::mongorestore(arguments);
    assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
}

#[tokio::test]
async fn mongorestore_reads_our_plain_folder() {
    mongorestore_reads(Compression::None, &[]).await;
}

#[tokio::test]
async fn mongorestore_reads_our_gzip_folder() {
    mongorestore_reads(Compression::Gzip { level: 6 }, &["--gzip"]).await;
}

async fn we_read(flags: &[&str]) {
    let (source, target) = (seeded().await, ReplicaSet::start().await);
    let folder = TempDir::new().unwrap();
    let uri = source.uri();
    let mut arguments = vec!["--uri", &uri, "--out", folder.path().to_str().unwrap()];
    arguments.extend(flags);
    reference::mongodump(arguments);
    let report = restore(
        folder.path(),
        &target,
        RestoreOptions::default().bypass_document_validation(true),
    )
    .await;
    assert_eq!(report.problems, []);
    assert!(!report.verified);
    assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
}

#[tokio::test]
async fn we_read_mongodumps_plain_folder() {
    we_read(&[]).await;
}

#[tokio::test]
async fn we_read_mongodumps_gzip_folder() {
    we_read(&["--gzip"]).await;
}

async fn mongorestore_reads_an_archive(compression: Compression, flags: &[&str]) {
    let (source, target) = (seeded().await, ReplicaSet::start().await);
    drop_what_mongorestore_cannot_read(&source).await;
    dataset::users_and_roles().seed(&source.client()).await;
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive");
    let options = DumpOptions::default().compression(compression);
    dump_archive(&source, &archive, options).await;
    let (uri, archive) = (target.uri(), format!("--archive={}", archive.display()));
    let mut arguments = vec!["--uri", &uri, &archive, "--bypassDocumentValidation"];
    arguments.extend(flags);
    reference::mongorestore(arguments);
    assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
    assert_eq!(
        users_and_roles(&source).await,
        users_and_roles(&target).await
    );
}

#[tokio::test]
async fn mongorestore_reads_our_plain_archive() {
    mongorestore_reads_an_archive(Compression::None, &[]).await;
}

#[tokio::test]
async fn mongorestore_reads_our_gzip_archive() {
    mongorestore_reads_an_archive(Compression::Gzip { level: 6 }, &["--gzip"]).await;
}

async fn we_read_an_archive(flags: &[&str]) {
    let (source, target) = (seeded().await, ReplicaSet::start().await);
    dataset::users_and_roles().seed(&source.client()).await;
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive");
    let (uri, named) = (source.uri(), format!("--archive={}", archive.display()));
    let mut arguments = vec!["--uri", &uri, &named];
    arguments.extend(flags);
    reference::mongodump(arguments);
    let options = RestoreOptions::default().bypass_document_validation(true);
    let report = restore_archive(&archive, &target, options).await;
    assert_eq!(report.problems, []);
    assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
    assert_eq!(
        users_and_roles(&source).await,
        users_and_roles(&target).await
    );
}

#[tokio::test]
async fn we_read_mongodumps_plain_archive() {
    we_read_an_archive(&["-j", "4"]).await;
}

#[tokio::test]
async fn we_read_mongodumps_gzip_archive() {
    we_read_an_archive(&["--gzip"]).await;
}

/// Everything that the server has about them.
async fn users_and_roles(of: &ReplicaSet) -> Vec<Document> {
    let admin = of.client().database("admin");
    let mut all = Vec::new();
    for collection in ["system.users", "system.roles"] {
        let found = admin.collection::<Document>(collection);
        let found = found.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
        all.extend(found.try_collect::<Vec<_>>().await.unwrap());
    }
    assert!(!all.is_empty());
    all
}

/// File by file: the same names, and the same bytes in all data and metadata.
#[tokio::test]
async fn our_plain_folder_is_mongodumps_byte_for_byte() {
    let source = seeded().await;
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    dump(&source, ours.path(), DumpOptions::default()).await;
    reference::mongodump([
        "--uri",
        &source.uri(),
        "--out",
        theirs.path().to_str().unwrap(),
    ]);
    let (ours, theirs) = (contents(ours.path()), contents(theirs.path()));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    for (name, bytes) in &ours {
        let same = theirs.get(name) == Some(bytes);
        assert!(
            same,
            "{} differs:\n{}\n{}",
            name.display(),
            text(bytes),
            text(&theirs[name])
        );
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
}

/// Every file but those that say who wrote it, by its path below the folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = damage::files(folder).into_iter().map(|file| {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_owned();
        let bytes = fs::read(folder.join(&name)).unwrap();
        (name, bytes)
    });
    let about_us =
        |name: &Path| name.ends_with("rdump.manifest.json") || name.ends_with("prelude.json");
    files.filter(|(name, _)| !about_us(name)).collect()
}
