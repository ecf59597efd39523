//! What a folder is understood to hold.

mod damaged;

use std::{fs, os::unix::fs::symlink};

use bson::{Document, doc};
use futures::TryStreamExt;
use rdump::{
    Codec, Error, ErrorKind, FolderReader, FolderReaderOptions, Location,
    media::{Access, DumpEntry, DumpReader},
};
use rdump_format::{CollectionMetadata, UNFINISHED_FILE, documents};

use crate::made::Made;

async fn open(
    made: &Made,
    path: &str,
    options: FolderReaderOptions,
) -> Result<FolderReader, Error> {
    FolderReader::open(&Location::from(made.file(path).as_path()), options).await
}

async fn open_all(made: &Made) -> FolderReader {
    open(made, "", FolderReaderOptions::default())
        .await
        .unwrap_or_else(|error| panic!("{error:?}"))
}

async fn refused(made: &Made, path: &str, options: FolderReaderOptions) -> Error {
    open(made, path, options)
        .await
        .map(|reader| reader.contents().clone())
        .unwrap_err()
}

async fn read(reader: &FolderReader, entry: &DumpEntry) -> Result<Vec<Document>, Error> {
    let mut found = Vec::new();
    let Access::Random(random) = reader.access() else {
        panic!("a folder has every namespace in a place of its own");
    };
    let mut runs = random.documents(entry);
    while let Some(run) = runs.try_next().await? {
        let before = found.len();
        found.extend(documents(&run.body).map(|document| {
            Document::try_from(bson::RawDocument::from_bytes(document.unwrap()).unwrap()).unwrap()
        }));
        assert_eq!((found.len() - before) as u64, run.documents);
    }
    Ok(found)
}

fn names(reader: &FolderReader) -> Vec<String> {
    reader
        .contents()
        .entries
        .iter()
        .map(|entry| entry.namespace.to_string())
        .collect()
}

fn has_notice(reader: &FolderReader, text: &str) -> bool {
    reader
        .contents()
        .notices
        .iter()
        .any(|notice| notice.contains(text))
}

/// Why a namespace cannot be restored.
fn damage_of<'a>(reader: &'a FolderReader, namespace: &str) -> Option<&'a Error> {
    let mut entries = reader.contents().entries.iter();
    let entry = entries.find(|entry| entry.namespace.to_string() == namespace);
    entry.unwrap().damage.as_ref()
}

fn numbered(count: i32) -> Vec<Document> {
    (0..count)
        .map(|number| doc! { "_id": number, "text": "x".repeat(300) })
        .collect()
}

#[tokio::test]
async fn a_folder_of_mongodump_is_read_in_every_compression_with_and_without_manifest() {
    let mut made = Made::new();
    let expected = numbered(5000);
    for (name, codec) in [
        ("plain", Codec::None),
        ("gzip", Codec::Gzip),
        ("zstd", Codec::Zstd),
    ] {
        made.data(&format!("db.{name}"), codec, expected.clone());
        made.data(&format!("db.empty {name}"), codec, []);
    }
    for verified in [false, true] {
        if verified {
            made.manifest();
        }
        let reader = open_all(&made).await;
        assert_eq!(reader.contents().verified, verified);
        assert_eq!(reader.contents().entries.len(), 6);
        for entry in &reader.contents().entries {
            let found = read(&reader, entry).await.unwrap();
            let expected: &[Document] = if entry.namespace.collection.starts_with("empty") {
                &[]
            } else {
                &expected
            };
            assert!(
                found == expected,
                "{} has {} documents",
                entry.namespace,
                found.len()
            );
            let counted = verified.then_some(expected.len() as u64);
            assert_eq!(entry.data.as_ref().unwrap().documents, counted);
        }
    }
}

#[tokio::test]
async fn gzip_of_several_members_and_zstd_of_one_frame_are_read_whatever_wrote_them() {
    let mut made = Made::new();
    let path = made.data("db.c", Codec::Gzip, numbered(250));
    let member = fs::read(made.file(&path)).unwrap();
    made.stray(&path, [member.clone(), member].concat());
    let reader = open_all(&made).await;
    assert_eq!(
        read(&reader, &reader.contents().entries[0])
            .await
            .unwrap()
            .len(),
        500
    );
}

#[tokio::test]
async fn names_metadata_and_everything_unknown_are_sorted_out() {
    // mongorestore/filepath_test.go.
    let mut made = Made::new();
    made.data("db.caf\u{e9}/1+ %", Codec::None, numbered(1));
    made.data("db.bare", Codec::None, numbered(1));
    made.metadata("db.view", doc! { "viewOn": "bare", "pipeline": [] }, &[]);
    let long = "long+%41/".repeat(27);
    made.data(&format!("db.{long}"), Codec::None, numbered(1));
    made.metadata(&format!("db.{long}"), doc! { "capped": true }, &[]);
    let series = "s".repeat(230);
    made.data(
        &format!("db.system.buckets.{series}"),
        Codec::None,
        numbered(1),
    );
    made.metadata(
        &format!("db.{series}"),
        doc! { "timeseries": { "timeField": "t" } },
        &[],
    );
    made.stray("db/old.bin", b"");
    made.stray("db/empty.metadata.json", b"");
    made.stray("db/readme.txt", b"hello");
    made.stray("db/nested/c.bson", b"");
    made.stray("db/$admin.system.users.bson", b"");
    made.stray("oplog.bson", b"");
    made.stray(
        "prelude.json",
        br#"{"ServerVersion":"7.0.16","ToolVersion":"100.18.0"}"#,
    );
    symlink(made.file("db"), made.file("linked")).unwrap();

    let reader = open_all(&made).await;
    let found: Vec<String> = names(&reader)
        .into_iter()
        .filter(|name| name.starts_with("db."))
        .collect();
    let mut expected = vec![
        "db.$admin.system.users".to_owned(),
        "db.bare".into(),
        "db.caf\u{e9}/1+ %".into(),
        "db.empty".into(),
        format!("db.{long}"),
        "db.old".into(),
    ];
    expected.extend([format!("db.{series}"), "db.view".into()]);
    assert_eq!(found, expected);
    assert_eq!(
        names(&reader).len(),
        1 + 2 * expected.len(),
        "the link to the folder is followed, and the oplog is there"
    );
    let entry = |name: &str| {
        reader
            .contents()
            .entries
            .iter()
            .find(|entry| entry.namespace.to_string() == name)
            .unwrap()
    };
    let buckets = entry(&format!("db.{series}"));
    assert!(buckets.data.as_ref().unwrap().buckets && buckets.metadata.is_some());
    assert!(
        entry(&format!("db.{long}"))
            .metadata
            .as_ref()
            .unwrap()
            .options
            .get_bool("capped")
            .unwrap()
    );
    assert!(
        entry("db.view").data.is_none()
            && entry("db.empty").metadata.is_none()
            && entry("db.bare").metadata.is_none()
    );
    assert_eq!(
        reader
            .contents()
            .prelude
            .as_ref()
            .unwrap()
            .server_version
            .as_deref(),
        Some("7.0.16")
    );
    for text in ["readme.txt", "db/nested/ is skipped", "no manifest"] {
        assert!(
            has_notice(&reader, text),
            "{text}: {:#?}",
            reader.contents().notices
        );
    }
}

#[tokio::test]
async fn one_database_is_read_under_any_name_and_its_manifest_is_found_above() {
    let mut made = Made::new();
    made.data("shop.orders", Codec::None, numbered(150));
    made.data("other.orders", Codec::None, numbered(1));
    let options = FolderReaderOptions::default().db("copy");
    for verified in [false, true] {
        if verified {
            made.manifest();
        }
        let reader = open(&made, "shop", options.clone()).await.unwrap();
        assert_eq!(names(&reader), ["copy.orders"]);
        assert_eq!(reader.contents().verified, verified);
        assert_eq!(
            read(&reader, &reader.contents().entries[0])
                .await
                .unwrap()
                .len(),
            150
        );
    }
}

#[tokio::test]
async fn a_whole_dump_given_for_one_database_restores_nothing_and_says_what_to_do() {
    let mut made = Made::new();
    made.data("shop.orders", Codec::None, numbered(1));
    let reader = open(&made, "", FolderReaderOptions::default().db("shop"))
        .await
        .unwrap();
    assert!(names(&reader).is_empty());
    assert!(has_notice(&reader, "give that database's folder"));
    made.manifest();
    let reader = open(&made, "", FolderReaderOptions::default().db("shop"))
        .await
        .unwrap();
    assert!(names(&reader).is_empty() && has_notice(&reader, "give that database's folder"));
}

#[tokio::test]
async fn one_file_is_read_with_the_metadata_beside_it() {
    // mongorestore/filepath_test.go, different_collection.js.
    let mut made = Made::new();
    made.data("shop.orders", Codec::Gzip, numbered(120));
    made.metadata("shop.orders", doc! { "capped": true }, &[]);
    made.metadata("shop.other", doc! {}, &[]);
    made.data("shop.system.buckets.s", Codec::None, numbered(2));
    made.metadata("shop.s", doc! { "timeseries": { "timeField": "t" } }, &[]);
    for verified in [false, true] {
        if verified {
            made.manifest();
        }
        let reader = open(&made, "shop/orders.bson.gz", FolderReaderOptions::default())
            .await
            .unwrap();
        assert_eq!(
            (names(&reader), reader.contents().verified),
            (vec!["shop.orders".to_owned()], verified)
        );
        assert!(reader.contents().entries[0].metadata.is_some());
        let options = FolderReaderOptions::default().db("a").collection("b");
        let renamed = open(&made, "shop/orders.bson.gz", options).await.unwrap();
        assert_eq!(names(&renamed), ["a.b"]);
        assert_eq!(
            read(&renamed, &renamed.contents().entries[0])
                .await
                .unwrap()
                .len(),
            120
        );
        let series = open(
            &made,
            "shop/system.buckets.s.bson",
            FolderReaderOptions::default(),
        )
        .await
        .unwrap();
        assert_eq!(names(&series), ["shop.s"]);
        // TOOLS-3745.
        let options = FolderReaderOptions::default()
            .db("a")
            .collection("system.buckets.b");
        let buckets = open(&made, "shop/system.buckets.s.bson", options).await;
        let buckets = buckets.unwrap();
        assert_eq!(names(&buckets), ["a.b"]);
        assert!(buckets.contents().entries[0].data.as_ref().unwrap().buckets);
    }
    // mongorestore/filepath_test.go.
    made.stray("alone/system.buckets.s.bson", b"");
    let path = "alone/system.buckets.s.bson";
    let alone = open(&made, path, FolderReaderOptions::default()).await;
    let damage = damage_of(&alone.unwrap(), "alone.s").unwrap().to_string();
    assert!(damage.contains("no metadata says of what kind"), "{damage}");
    let error = refused(
        &made,
        "shop/orders.metadata.json",
        FolderReaderOptions::default(),
    )
    .await;
    assert!(
        error
            .to_string()
            .contains("does not have a .bson extension"),
        "{error}"
    );
    let error = refused(
        &made,
        "shop",
        FolderReaderOptions::default().db("a").collection("b"),
    )
    .await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn what_is_no_dump_is_refused_by_name() {
    let made = Made::new();
    let error = refused(&made, "", FolderReaderOptions::default()).await;
    assert!(
        error
            .to_string()
            .contains("holds no dump: no .bson or .metadata.json file below it"),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::Invalid);
    made.stray("notes/readme.txt", b"hello");
    assert_eq!(
        refused(&made, "", FolderReaderOptions::default())
            .await
            .kind(),
        ErrorKind::Invalid
    );
    assert_eq!(
        refused(&made, "missing", FolderReaderOptions::default())
            .await
            .kind(),
        ErrorKind::Invalid
    );
    made.stray("one/c.bson", b"");
    let error = refused(&made, "one", FolderReaderOptions::default()).await;
    assert!(
        error.hint().unwrap().contains("one database's folder"),
        "{error:?}"
    );
}

#[tokio::test]
async fn two_files_for_one_collection_are_a_conflict_unless_gzip_decides() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    made.data("db.c", Codec::Gzip, numbered(2));
    made.data("db.other", Codec::None, numbered(1));
    let reader = open_all(&made).await;
    assert!(damage_of(&reader, "db.other").is_none());
    let error = damage_of(&reader, "db.c").unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        "db.c: both db/c.bson and db/c.bson.gz are for this collection"
    );
    let reader = open(&made, "", FolderReaderOptions::default().gzip(true))
        .await
        .unwrap();
    assert_eq!(
        read(&reader, &reader.contents().entries[0])
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn files_beside_a_manifest_count_only_where_it_has_none() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    made.manifest();
    made.data("db.c", Codec::Gzip, numbered(2));
    let reader = open_all(&made).await;
    assert!(reader.contents().verified && has_notice(&reader, "db/c.bson.gz is skipped"));
    assert_eq!(
        read(&reader, &reader.contents().entries[0])
            .await
            .unwrap()
            .len(),
        1
    );
    made.data("db.new", Codec::None, numbered(3));
    let reader = open_all(&made).await;
    assert!(!reader.contents().verified && has_notice(&reader, "db.new cannot be verified"));
    assert_eq!(names(&reader), ["db.c", "db.new"]);
    let entries = reader.contents().entries.iter();
    let unlisted: Vec<_> = entries.map(|entry| entry.unlisted).collect();
    assert_eq!(unlisted, [false, true]);
}

#[tokio::test]
async fn indexes_of_old_dumps_come_from_system_indexes() {
    // dumprestore6.js.
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    let index = doc! { "v": 1, "key": { "a": 1 }, "ns": "another.c", "name": "a_1" };
    made.data("db.system.indexes", Codec::None, [index]);
    let reader = open_all(&made).await;
    assert_eq!(names(&reader), ["db.c"]);
    let metadata: &CollectionMetadata = reader.contents().entries[0].metadata.as_ref().unwrap();
    assert_eq!(metadata.indexes[0].get_str("name").unwrap(), "a_1");
    made.metadata("db.other", doc! {}, &[]);
    let reader = open_all(&made).await;
    assert!(
        reader.contents().entries[0].metadata.is_none()
            && has_notice(&reader, "system.indexes.bson is skipped")
    );
    // Who asks for this file wants what is in it.
    let options = FolderReaderOptions::default().db("db").collection("kept");
    let reader = open(&made, "db/system.indexes.bson", options)
        .await
        .unwrap();
    assert_eq!(names(&reader), ["db.kept"]);
}

#[tokio::test]
async fn a_folder_without_a_dump_is_a_dump_of_nothing_only_if_it_may_be() {
    let made = Made::new();
    let error = refused(&made, "", FolderReaderOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("holds no dump"), "{error}");
    let options = FolderReaderOptions::default().may_be_empty(true);
    assert!(names(&open(&made, "", options.clone()).await.unwrap()).is_empty());
    // That is most likely a mistake all the same.
    made.stray("c.bson", b"");
    let error = refused(&made, "", options).await;
    assert!(error.to_string().contains("files of one"), "{error}");
}

#[tokio::test]
async fn links_to_folders_and_files_are_followed_and_one_to_a_file_is_no_database() {
    // symlinks.js.
    let mut made = Made::new();
    made.data("elsewhere.c", Codec::None, numbered(2));
    let dump = Made::new();
    fs::create_dir(dump.file("db")).unwrap();
    symlink(made.file("elsewhere"), dump.file("linked")).unwrap();
    symlink(made.file("elsewhere/c.bson"), dump.file("db/c.bson")).unwrap();
    symlink(made.file("elsewhere/c.bson"), dump.file("file")).unwrap();
    let reader = open_all(&dump).await;
    assert_eq!(names(&reader), ["db.c", "linked.c"]);
    for entry in &reader.contents().entries {
        assert_eq!(read(&reader, entry).await.unwrap().len(), 2);
    }
    assert!(has_notice(&reader, "file is skipped"));
}

#[tokio::test]
async fn the_version_of_the_dumped_server_is_found_beside_the_files_or_in_the_folder_above() {
    // mongorestore/mongorestore_test.go.
    let prelude =
        |version: &str| format!(r#"{{"ServerVersion":"{version}","ToolVersion":"100.18.0"}}"#);
    let version_at = async |made: &Made, path: &str, db: Option<&str>| {
        let mut options = FolderReaderOptions::default();
        options.db = db.map(str::to_owned);
        let reader = open(made, path, options).await.unwrap();
        let prelude = reader.contents().prelude.as_ref();
        prelude.and_then(|prelude| prelude.server_version.clone())
    };
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    let places = [("", None), ("db", Some("db")), ("db/c.bson", None)];
    for (path, db) in places {
        assert_eq!(version_at(&made, path, db).await, None);
    }
    made.stray("prelude.json", prelude("unknown"));
    for (path, db) in places {
        assert_eq!(version_at(&made, path, db).await, None);
    }
    made.stray("prelude.json", prelude("7.0.16"));
    for (path, db) in places {
        let found = version_at(&made, path, db).await;
        assert_eq!(found.as_deref(), Some("7.0.16"), "{path}");
    }
    made.stray("db/prelude.json", prelude("8.0.1"));
    for (path, db) in &places[1..] {
        let found = version_at(&made, path, *db).await;
        assert_eq!(found.as_deref(), Some("8.0.1"), "{path}");
    }
}

#[tokio::test]
async fn what_a_dump_that_did_not_finish_left_is_refused_until_its_marker_is_gone() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(3));
    made.stray(UNFINISHED_FILE, "");
    let places = [
        ("", FolderReaderOptions::default()),
        ("db", FolderReaderOptions::default().db("db")),
        ("db/c.bson", FolderReaderOptions::default()),
    ];
    for (path, options) in places.clone() {
        let error = refused(&made, path, options).await;
        assert_eq!(error.kind(), ErrorKind::Data, "{path}");
        let (text, expected) = (error.to_string(), made.path().display());
        assert!(
            text.starts_with(&format!("the dump in {expected}")),
            "{text}"
        );
        assert!(text.contains(" did not finish: "), "{text}");
        assert!(error.hint().unwrap().contains("dump again"), "{error:?}");
    }
    fs::remove_file(made.file(UNFINISHED_FILE)).unwrap();
    for (path, options) in places.clone() {
        open(&made, path, options).await.unwrap();
    }

    // Killed between its manifest and its end, a dump is complete.
    made.stray(UNFINISHED_FILE, "");
    made.manifest();
    for (path, options) in places {
        let reader = open(&made, path, options).await.unwrap();
        assert!(reader.contents().verified, "{path}");
        assert_eq!(reader.contents().notices, [""; 0], "{path}");
    }
}
