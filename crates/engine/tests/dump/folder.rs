//! What a dump does to the folder that it writes to.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use bson::{Document, doc};
use rdump::{
    CancellationToken, Compression, ConnectOptions, DumpOptions, ErrorKind, FolderReader,
    FolderReaderOptions, Location, Restore, Target, media::DumpReader, verify_folder,
};
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
    let of_database = folder.path().join("a").join(UNFINISHED_FILE);
    for marker in [&marker, &of_database] {
        let text = fs::read_to_string(marker).unwrap();
        assert!(text.contains("no whole dump"), "{text}");
    }
    // However one comes to a part of it.
    let elsewhere = TempDir::new().unwrap();
    symlink(folder.path().join("a"), elsewhere.path().join("a")).unwrap();
    let options = FolderReaderOptions::default;
    for (path, options) in [("", options()), ("a", options().db("a"))] {
        let location = Location::from(elsewhere.path().join(path).as_path());
        let error = FolderReader::open(&location, options).await.unwrap_err();
        assert!(error.to_string().contains("did not finish"), "{error}");
    }

    fs::remove_dir(folder.path().join("a/c.bson")).unwrap();
    assert_eq!(again().await.unwrap().problems, []);
    assert!(!marker.exists() && !of_database.exists());
}

#[tokio::test]
async fn a_dump_that_fails_leaves_those_of_other_databases_as_good_as_they_were() {
    let source = ReplicaSet::start().await;
    for db in ["a", "b", "c"] {
        let collection = source.client().database(db).collection("c");
        collection.insert_one(doc! { "x": 1 }).await.unwrap();
    }
    let folder = TempDir::new().unwrap();
    let again = |db| dump_to(source.uri(), folder.path(), DumpOptions::default().db(db));
    again("a").await.unwrap();
    fs::create_dir_all(folder.path().join("b/c.bson")).unwrap();
    for _ in 0..2 {
        again("b").await.unwrap_err();
        let location = Location::from(folder.path());
        let whole = FolderReader::open(&location, FolderReaderOptions::default());
        let error = whole.await.unwrap_err();
        assert!(error.to_string().contains("did not finish"), "{error}");
        let location = Location::from(folder.path().join("a").as_path());
        let options = FolderReaderOptions::default().db("a");
        let reader = FolderReader::open(&location, options).await.unwrap();
        assert!(reader.contents().verified);
    }
    // A marker that was damaged keeps nothing.
    let marker = folder.path().join(UNFINISHED_FILE);
    let kept = fs::read(&marker).unwrap();
    let mut damaged = kept.clone();
    *damaged.iter_mut().rev().nth(200).unwrap() ^= 1;
    fs::write(&marker, damaged).unwrap();
    let location = Location::from(folder.path().join("a").as_path());
    let options = FolderReaderOptions::default().db("a");
    let error = FolderReader::open(&location, options).await.unwrap_err();
    assert!(error.to_string().contains("did not finish"), "{error}");
    fs::write(&marker, kept).unwrap();

    // One that went wrong is known from one that did not.
    fs::remove_dir(folder.path().join("b/c.bson")).unwrap();
    fs::write(folder.path().join("b/c.bson"), "").unwrap();
    let unlisted = again("c").await.unwrap().problems;
    assert_eq!(unlisted.len(), 1, "{unlisted:?}");
    let location = Location::from(folder.path());
    let reader = FolderReader::open(&location, FolderReaderOptions::default());
    let reader = reader.await.unwrap();
    let unfinished = |reader: &FolderReader| {
        let unfinished = reader.contents().unfinished.iter();
        unfinished.map(ToString::to_string).collect::<Vec<_>>()
    };
    let [told] = unfinished(&reader).try_into().unwrap();
    assert!(told.starts_with("b.c: not restored: b/c."), "{told}");
    let names = reader.contents().entries.iter();
    let names: Vec<_> = names.map(|entry| entry.namespace.to_string()).collect();
    assert_eq!(names, ["a.c", "c.c"]);

    // Not even a dump of the same database makes good what it does not replace.
    let of_other = folder.path().join("b/gone.metadata.json");
    fs::write(&of_other, r#"{"options":{},"indexes":[]}"#).unwrap();
    let [unlisted, stays] = again("b").await.unwrap().problems.try_into().unwrap();
    assert!(
        unlisted.to_string().contains("b/gone.metadata.json"),
        "{unlisted}"
    );
    assert!(
        stays.to_string().contains("rdump.unfinished stays"),
        "{stays}"
    );
    let reader = FolderReader::open(&location, FolderReaderOptions::default());
    let reader = reader.await.unwrap();
    assert!(reader.contents().verified);
    let [told] = unfinished(&reader).try_into().unwrap();
    assert!(told.starts_with("b.gone: not restored"), "{told}");
    let target = ReplicaSet::start().await;
    let connect = ConnectOptions::default().uri(target.uri());
    let connected = Target::connect(&connect).await.unwrap();
    let restore = Restore::new(&connected, Arc::new(reader));
    let report = restore.run(restore.plan().await.unwrap()).await.unwrap();
    let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, [told]);
    assert_eq!(report.documents, 3);
    fs::remove_file(of_other).unwrap();

    assert_eq!(again("b").await.unwrap().problems, []);
    let location = Location::from(folder.path());
    let report = verify_folder(&location, Arc::new(()), CancellationToken::new());
    let report = report.await.unwrap();
    assert_eq!((report.damage.as_slice(), report.documents), (&[][..], 3));
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
