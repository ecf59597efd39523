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
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use rdump::{Compression, DumpOptions, Namespace, RestoreOptions};
use rdump_format::{escape, stem};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, binaries, damage, dataset,
    fingerprint::assert_same, reference,
};
use rdump_tests::{
    dump, dump_archive, dump_documents, restore, restore_archive, restore_documents,
};
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

/// What goes through `-`: of a view nothing, of a time-series collection its buckets.
#[tokio::test]
async fn our_stream_of_documents_is_mongodumps_byte_for_byte() {
    let source = seeded().await;
    for name in [
        "types.values",
        "types.field_names",
        "shop.orders",
        "series.readings",
        "large.documents",
    ] {
        let namespace: Namespace = name.parse().unwrap();
        let ours = stream_of(&source, &namespace).await;
        let theirs = mongodumps_stream_of(&source, &namespace);
        assert!(!ours.is_empty(), "{name} has documents");
        assert!(ours == theirs, "{name} differs");
    }
    let view = Namespace::new("views", "sorted");
    assert_eq!(stream_of(&source, &view).await, b"");
    assert_eq!(mongodumps_stream_of(&source, &view), b"");
}

async fn stream_of(source: &ReplicaSet, namespace: &Namespace) -> Vec<u8> {
    let (mut read, write) = io::pipe().unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).map(|_| bytes)
    });
    dump_documents(source, namespace, write).await;
    reading.await.unwrap().unwrap()
}

fn mongodumps_stream_of(source: &ReplicaSet, namespace: &Namespace) -> Vec<u8> {
    let Namespace { db, collection, .. } = namespace;
    let uri = source.uri();
    reference::mongodump(["--uri", &uri, "-d", db, "-c", collection, "-o", "-"]).stdout
}

#[tokio::test]
async fn a_stream_of_documents_goes_from_and_to_the_reference_tools() {
    let source = ReplicaSet::start().await;
    dataset::every_bson_type().seed(&source.client()).await;
    let original: Namespace = "types.values".parse().unwrap();
    let (theirs, ours) = (
        Namespace::new("types", "theirs"),
        Namespace::new("types", "ours"),
    );

    let stream = Cursor::new(mongodumps_stream_of(&source, &original));
    let report = restore_documents(stream, &theirs, &source).await;
    assert_eq!(report.problems, []);

    let mut mongorestore = Command::new(binaries::mongorestore());
    mongorestore.args(["--uri", &source.uri(), "-d", "types", "-c", "ours", "-"]);
    let (read, write) = io::pipe().unwrap();
    let mut mongorestore = mongorestore
        .stdin(read)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    dump_documents(&source, &original, write).await;
    assert!(mongorestore.wait().unwrap().success());

    let expected = documents(&source, &original).await;
    assert!(!expected.is_empty());
    assert_eq!(documents(&source, &theirs).await, expected);
    assert_eq!(documents(&source, &ours).await, expected);
}

/// The documents of a collection, by `_id`.
async fn documents(of: &ReplicaSet, namespace: &Namespace) -> Vec<RawDocumentBuf> {
    let collection = of.client().database(&namespace.db);
    let collection = collection.collection::<RawDocumentBuf>(&namespace.collection);
    let found = collection.find(doc! {}).sort(doc! { "_id": 1 });
    found.await.unwrap().try_collect().await.unwrap()
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
