//! What a dump does to the folder that it writes to.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use bson::{Document, doc};
use rdump::{CancellationToken, Compression, DumpOptions, ErrorKind, Location, verify_folder};
use rdump_format::{FileRole, FolderManifest, MANIFEST_FILE, UNFINISHED_FILE};
use rdump_testkit::{ReplicaSet, dataset};
use tempfile::TempDir;

use super::{dump, dump_to};

#[tokio::test]
async fn a_database_that_does_not_exist_leaves_no_trace() {
    let source = ReplicaSet::start().await;
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("dump");
    for options in [
        DumpOptions::default().db("no"),
        DumpOptions::default().db("no").collection("such"),
    ] {
        let report = dump_to(source.uri(), &out, options).await.unwrap();
        assert_eq!(report.namespaces, []);
        assert!(!out.exists());
    }
}

#[tokio::test]
async fn a_dump_that_fails_leaves_its_marker_which_the_next_one_takes_away() {
    let source = ReplicaSet::start().await;
    let collection = source.client().database("a").collection("c");
    collection.insert_one(doc! { "x": 1 }).await.unwrap();
    let folder = TempDir::new().unwrap();
    let marker = folder.path().join(UNFINISHED_FILE);
    fs::create_dir_all(folder.path().join("a/c.bson")).unwrap();
    let again = || dump_to(source.uri(), folder.path(), DumpOptions::default().db("a"));
    again().await.unwrap_err();
    let text = fs::read_to_string(&marker).unwrap();
    assert!(text.contains("no whole dump"), "{text}");

    fs::remove_dir(folder.path().join("a/c.bson")).unwrap();
    assert_eq!(again().await.unwrap().problems, []);
    assert!(!marker.exists());
}

#[tokio::test]
async fn dumps_of_single_databases_share_a_folder_and_its_manifest() {
    let source = ReplicaSet::start().await;
    for db in ["a", "b"] {
        let collection = source.client().database(db).collection("c");
        collection.insert_one(doc! { "x": 1 }).await.unwrap();
    }
    let folder = TempDir::new().unwrap();
    for db in ["a", "b", "b"] {
        dump_to(source.uri(), folder.path(), DumpOptions::default().db(db))
            .await
            .unwrap();
    }
    let manifest =
        FolderManifest::from_bytes(&fs::read(folder.path().join(MANIFEST_FILE)).unwrap()).unwrap();
    let paths: Vec<_> = manifest
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.run))
        .collect();
    assert_eq!(
        paths,
        [
            ("a/c.bson", 0),
            ("a/c.metadata.json", 0),
            ("a/prelude.json", 0),
            ("b/c.bson", 1),
            ("b/c.metadata.json", 1),
            ("b/prelude.json", 1)
        ]
    );
    assert_eq!(manifest.runs.len(), 2);
}

#[tokio::test]
async fn files_of_an_older_dump_that_nothing_replaced_are_left_and_told_of() {
    let source = ReplicaSet::start().await;
    let db = source.client().database("a");
    for number in 10..22 {
        let collection = db.collection(&format!("c{number}"));
        collection.insert_one(doc! { "x": 1 }).await.unwrap();
    }
    let dumped = dump(&source, DumpOptions::default().db("a")).await;
    assert_eq!(dumped.report.problems, []);
    db.collection::<Document>("c10").drop().await.unwrap();

    let zstd = DumpOptions::default()
        .db("a")
        .compression(Compression::Zstd { level: 1 });
    let report = dump_to(source.uri(), dumped.folder.path(), zstd.clone()).await;
    let problems = report.unwrap().problems;
    let expected = format!(
        "files in {} are no part of the dump: a/c10.bson, a/c10.metadata.json, a/c11.bson, a/c12.bson, \
            a/c13.bson, a/c14.bson, a/c15.bson, a/c16.bson, a/c17.bson, a/c18.bson and 3 more; verify will call \
            them unexpected, which a dump to an empty folder avoids",
        dumped.folder.path().display()
    );
    let messages: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(messages, [expected]);
    assert!(dumped.path("a/c10.bson").exists());
    let location = Location::from(dumped.folder.path());
    let verify = || verify_folder(&location, Arc::new(()), CancellationToken::new());
    assert_eq!(verify().await.unwrap().damage.len(), 13);

    for file in fs::read_dir(dumped.path("a")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let report = dump_to(source.uri(), dumped.folder.path(), zstd).await;
    assert_eq!(report.unwrap().problems, []);
    assert!(verify().await.unwrap().is_whole());
}

#[tokio::test]
async fn what_cannot_be_looked_into_does_not_hinder_a_dump_beside_it() {
    let source = ReplicaSet::start().await;
    let collection = source.client().database("a").collection("c");
    collection.insert_one(doc! { "x": 1 }).await.unwrap();
    let folder = TempDir::new().unwrap();
    // Not even root can follow a link to itself.
    symlink("loop", folder.path().join("loop")).unwrap();
    for _ in 0..2 {
        dump_to(source.uri(), folder.path(), DumpOptions::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_folder_takes_one_dump_at_a_time() {
    let source = ReplicaSet::start().await;
    let collection = source.client().database("a").collection("c");
    collection.insert_one(doc! { "x": 1 }).await.unwrap();
    let dumped = dump(&source, DumpOptions::default()).await;
    let before = dumped.manifest();

    let other = fs::File::open(dumped.folder.path()).unwrap();
    other.lock().unwrap();
    let again = || dump_to(source.uri(), dumped.folder.path(), DumpOptions::default());
    let error = again().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let expected = format!(
        "another dump is being written to {}",
        dumped.folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(dumped.manifest(), before);

    drop(other);
    again().await.unwrap();
}

#[tokio::test]
async fn the_manifest_counts_what_the_files_hold() {
    let source = ReplicaSet::start().await;
    dataset::orders(20_000).seed(&source.client()).await;
    let options = DumpOptions::default().segment_bytes(256 << 10);
    let dumped = dump(&source, options).await;
    let manifest = dumped.manifest();
    let data: Vec<_> = manifest
        .files
        .iter()
        .filter(|file| file.kind == FileRole::Data)
        .collect();
    let orders = data.iter().find(|file| file.documents == 20_000).unwrap();
    assert!(
        orders.segments.len() > 4,
        "{} segments",
        orders.segments.len()
    );
    assert_eq!(
        orders.stored_bytes,
        fs::metadata(dumped.path(&orders.path)).unwrap().len()
    );
    assert_eq!(manifest.runs[0].documents, dumped.report.documents);
    assert_eq!(manifest.runs[0].source.set_name.as_deref(), Some("rs0"));
    for file in &manifest.files {
        let bytes = fs::read(dumped.path(&file.path)).unwrap();
        assert_eq!(
            rdump_format::Digest::of(&bytes),
            file.sha256,
            "{}",
            file.path
        );
    }
}
