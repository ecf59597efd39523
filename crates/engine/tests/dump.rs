//! What a dump reads, writes and says.

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use bson::{Document, doc};
use rdump::{
    Compression, ConnectOptions, Discard, Dump, DumpOptions, DumpReport, Error, ErrorKind,
    FolderWriter, Location, Namespace, Source,
};
use rdump_format::{FileRole, FolderManifest, MANIFEST_FILE, documents};
use rdump_testkit::{Deployment, ReplicaSet, dataset};
use tempfile::TempDir;

mod commands;
mod faults;
mod folder;

/// A dump into a folder of its own.
struct Dumped {
    folder: TempDir,
    report: DumpReport,
}

impl Dumped {
    /// Every document of a plain data file, in byte order.
    fn documents(&self, file: &str) -> Vec<Vec<u8>> {
        let body = fs::read(self.path(file)).unwrap();
        let mut found: Vec<_> = documents(&body)
            .map(|document| document.unwrap().to_vec())
            .collect();
        found.sort();
        found
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The paths of all data files, by the manifest.
    fn data_files(&self) -> Vec<String> {
        let data = self
            .manifest()
            .files
            .into_iter()
            .filter(|file| file.kind == FileRole::Data);
        data.map(|file| file.path).collect()
    }

    fn manifest(&self) -> FolderManifest {
        FolderManifest::from_bytes(&fs::read(self.path(MANIFEST_FILE)).unwrap()).unwrap()
    }
}

async fn connect(uri: String) -> Source {
    Source::connect(&ConnectOptions::default().uri(uri))
        .await
        .unwrap()
}

async fn dump_to(uri: String, folder: &Path, options: DumpOptions) -> Result<DumpReport, Error> {
    let writer = FolderWriter::create(&Location::from(folder))?;
    let dump = Dump::new(&connect(uri).await, Arc::new(writer)).options(options);
    let plan = dump.plan().await?;
    dump.run(plan).await
}

async fn dump(from: &Deployment, options: DumpOptions) -> Dumped {
    let folder = TempDir::new().unwrap();
    let report = dump_to(from.uri(), folder.path(), options).await;
    Dumped {
        report: report.unwrap_or_else(|error| panic!("{error:?}")),
        folder,
    }
}

fn partitions(number: usize) -> DumpOptions {
    DumpOptions::default().partitions(NonZeroUsize::new(number).unwrap())
}

#[tokio::test]
async fn partitions_read_every_document_once_whatever_the_type_of_its_id() {
    let source = ReplicaSet::start().await;
    dataset::ids_of_every_type(4_000)
        .seed(&source.client())
        .await;
    dataset::clustered().seed(&source.client()).await;
    dataset::collations().seed(&source.client()).await;
    let whole = dump(&source, DumpOptions::default()).await;
    for number in [2, 4, 31] {
        let split = dump(&source, partitions(number)).await;
        assert_eq!(split.report.documents, whole.report.documents);
        for file in whole.data_files() {
            assert!(
                whole.documents(&file) == split.documents(&file),
                "{file} differs with {number} partitions"
            );
        }
    }
}

#[tokio::test]
async fn a_filter_takes_only_what_it_lets_through() {
    let source = ReplicaSet::start().await;
    let collection = source.client().database("shop").collection("c");
    collection
        .insert_many((0..100).map(|n| doc! { "_id": n }))
        .await
        .unwrap();
    let options = DumpOptions::default()
        .db("shop")
        .collection("c")
        .query(r#"{"_id": {"$gte": {"$numberInt": "90"}}}"#);
    assert_eq!(dump(&source, options).await.report.documents, 10);
    // mongodump/mongodump_test.go: a whole document is the same only with its fields in order.
    let both = [
        doc! { "s": { "b": 1, "a": 2 } },
        doc! { "s": { "a": 2, "b": 1 } },
    ];
    let ordered = source.client().database("shop").collection("ordered");
    ordered.insert_many(both).await.unwrap();
    let options = DumpOptions::default().db("shop").collection("ordered");
    let dumped = dump(&source, options.query(r#"{"s": {"b": 1, "a": 2}}"#)).await;
    let found = dumped.documents("shop/ordered.bson");
    let found: Vec<Document> = found
        .iter()
        .map(|found| bson::deserialize_from_slice(found).unwrap())
        .collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].get_document("s").unwrap().keys().eq(["b", "a"]));
    let all = DumpOptions::default()
        .db("shop")
        .collection("c")
        .query("{}");
    assert_eq!(dump(&source, all).await.report.documents, 100);
    let bad = DumpOptions::default()
        .db("shop")
        .collection("c")
        .query("{_id: 1}");
    let error = dump_to(source.uri(), &TempDir::new().unwrap().path().join("x"), bad)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("--query"), "{error}");
}

#[tokio::test]
async fn a_filter_on_a_time_series_collection_must_be_on_its_meta_field() {
    let source = ReplicaSet::start().await;
    let db = source.client().database("weather");
    let options =
        doc! { "create": "t", "timeseries": { "timeField": "at", "metaField": "station" } };
    db.run_command(options).await.unwrap();
    let now = bson::DateTime::from_millis(1_700_000_000_000);
    for station in ["a", "b", "c"] {
        db.collection("t")
            .insert_one(doc! { "at": now, "station": { "name": station }, "x": 1 })
            .await
            .unwrap();
    }
    let options = |query: &str| {
        DumpOptions::default()
            .db("weather")
            .collection("t")
            .query(query)
    };
    assert_eq!(
        dump(&source, options(r#"{"station.name": "a"}"#))
            .await
            .report
            .documents,
        1
    );
    // A large one is dumped first, so its size has to be known.
    let all = Dump::new(&connect(source.uri()).await, Arc::new(Discard))
        .options(DumpOptions::default().db("weather"));
    assert_eq!(all.plan().await.unwrap().estimated_documents(), 3);
    let refused = dump_to(source.uri(), Path::new("unused"), options(r#"{"x": 1}"#))
        .await
        .unwrap_err();
    assert_eq!(refused.namespace(), Some(&Namespace::new("weather", "t")));
}

#[tokio::test]
async fn views_are_dumped_as_definitions_or_on_request_as_data() {
    let source = ReplicaSet::start().await;
    let db = source.client().database("shop");
    db.collection("c")
        .insert_many((0..10).map(|n| doc! { "_id": n }))
        .await
        .unwrap();
    let view =
        doc! { "create": "v", "viewOn": "c", "pipeline": [{ "$match": { "_id": { "$lt": 3 } } }] };
    db.run_command(view).await.unwrap();

    let dumped = dump(&source, DumpOptions::default().db("shop")).await;
    assert!(dumped.path("shop/v.metadata.json").exists());
    assert!(!dumped.path("shop/v.bson").exists());
    let dumped = dump(
        &source,
        DumpOptions::default().db("shop").views_as_collections(true),
    )
    .await;
    assert_eq!(dumped.data_files(), ["shop/v.bson"]);
    assert_eq!(dumped.report.documents, 3);
    // TOOLS-1786.
    let metadata = fs::read_to_string(dumped.path("shop/v.metadata.json")).unwrap();
    assert_eq!(
        metadata,
        r#"{"indexes":[],"collectionName":"v","type":"view"}"#
    );
}

#[tokio::test]
async fn a_collection_asked_for_by_name_is_dumped_even_where_views_are_meant() {
    let source = ReplicaSet::start().await;
    let db = source.client().database("shop");
    db.collection("c")
        .insert_many((0..10).map(|n| doc! { "_id": n }))
        .await
        .unwrap();
    let options = DumpOptions::default()
        .db("shop")
        .collection("c")
        .views_as_collections(true);
    let dumped = dump(&source, options).await;
    assert_eq!(dumped.report.documents, 10);
    assert_eq!(dumped.data_files(), ["shop/c.bson"]);
    assert!(dumped.path("shop/c.metadata.json").exists());
}

#[tokio::test]
async fn options_that_contradict_each_other_are_refused_before_anything_is_written() {
    let source = ReplicaSet::start().await;
    let refused = [
        DumpOptions::default().collection("c"),
        DumpOptions::default().exclude_collections(vec!["c".into()]),
        DumpOptions::default()
            .db("a")
            .collection("c")
            .exclude_collections(vec!["c".into()]),
        DumpOptions::default().db("a").query("{}"),
        DumpOptions::default()
            .db("a")
            .collection("system.buckets.x"),
        DumpOptions::default().db("a/b"),
        DumpOptions::default().segment_bytes(1),
        DumpOptions::default().limit_bytes_per_second(0),
    ];
    for options in refused {
        let folder = TempDir::new().unwrap();
        let error = dump_to(source.uri(), &folder.path().join("dump"), options.clone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{options:?}");
        assert!(!folder.path().join("dump").exists());
    }
}

#[tokio::test]
async fn what_the_server_keeps_for_itself_is_not_dumped() {
    let source = ReplicaSet::start().await;
    let client = source.client();
    client
        .database("shop")
        .run_command(doc! { "profile": 2 })
        .await
        .unwrap();
    client
        .database("shop")
        .collection("c")
        .insert_one(doc! { "x": 1 })
        .await
        .unwrap();
    client
        .database("shop")
        .run_command(doc! { "profile": 0 })
        .await
        .unwrap();
    client
        .database("shop")
        .collection("system.js")
        .insert_one(doc! { "_id": "f", "value": 1 })
        .await
        .unwrap();
    // REP-6743.
    let internal = client.database("__mdb_internal_search").collection("c");
    internal.insert_one(doc! { "x": 1 }).await.unwrap();
    let dumped = dump(&source, DumpOptions::default()).await;
    let files = dumped.data_files();
    assert!(
        files.contains(&"shop/system.js.bson".to_owned()),
        "{files:?}"
    );
    assert!(!files.iter().any(|file| file.starts_with("__mdb_internal")));
    assert!(
        !files
            .iter()
            .any(|file| file.contains("profile") || file.starts_with("local/")),
        "{files:?}"
    );
    assert!(
        !files.iter().any(|file| file.contains("system.sessions")),
        "{files:?}"
    );
}

#[tokio::test]
async fn every_data_set_can_be_dumped_in_every_form() {
    let source = ReplicaSet::start().await;
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let nothing = Dump::new(&connect(source.uri()).await, Arc::new(Discard));
    let plan = nothing.plan().await.unwrap();
    let documents = nothing.run(plan).await.unwrap().documents;
    for compression in [
        Compression::None,
        Compression::Gzip { level: 6 },
        Compression::Zstd { level: 1 },
    ] {
        for number in [1, 4] {
            let dumped = dump(&source, partitions(number).compression(compression)).await;
            assert_eq!(dumped.report.documents, documents);
        }
    }
}

#[tokio::test]
async fn metadata_that_json_would_change_fails_the_dump() {
    // TOOLS-3611, TOOLS-3637.
    let source = ReplicaSet::start().await;
    let db = source.client().database("shop");
    let date = doc! { "$date": { "$numberLong": "5" } };
    let validator = doc! { "create": "c", "validator": { "a": { "$eq": date } } };
    db.run_command(validator).await.unwrap();
    let folder = TempDir::new().unwrap();
    let error = dump_to(source.uri(), folder.path(), DumpOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.namespace(), Some(&Namespace::new("shop", "c")));
    assert!(!folder.path().join(MANIFEST_FILE).exists());
}
