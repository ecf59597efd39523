//! The mongodump archive as a medium: one stream with everything in it.

use std::{
    fs,
    io::{self, Cursor, Read},
    num::NonZeroUsize,
    os::unix::fs::symlink,
    sync::Arc,
};

use bson::{RawDocumentBuf, doc};
use rdump::{
    ArchiveReader, ArchiveWriter, Compression, ConnectOptions, Dump, DumpOptions, DumpReport,
    Error, ErrorKind, Location, Pattern, Restore, RestoreOptions, RestoreReport, Selector, Source,
};
use rdump_format::{ArchiveMetadata, ArchivePrelude, Compressor, Crc64};
use rdump_testkit::{
    Deployment, Fingerprint, FingerprintOptions, ReplicaSet, dataset, fingerprint::assert_same,
};
use tempfile::TempDir;

use crate::{
    made::raw,
    restore::{documents::stored, target},
};

/// The version of an index becomes the server's newest unless it is to be kept.
fn compared() -> FingerprintOptions {
    FingerprintOptions::new().ignore_index_version(true)
}

async fn dump(
    from: &Deployment,
    writer: ArchiveWriter,
    options: DumpOptions,
) -> Result<DumpReport, Error> {
    let source = Source::connect(&ConnectOptions::default().uri(from.root_uri())).await?;
    let dump = Dump::new(&source, Arc::new(writer)).options(options);
    let plan = dump.plan().await?;
    dump.run(plan).await
}

/// An archive in memory.
async fn archive_of(from: &Deployment, options: DumpOptions) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("archive");
    let writer = ArchiveWriter::create(&Location::from(path.as_path())).unwrap();
    dump(from, writer, options)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    fs::read(path).unwrap()
}

async fn try_restore(
    archive: impl Read + Send + 'static,
    to: &Deployment,
    options: RestoreOptions,
) -> Result<RestoreReport, Error> {
    let reader = ArchiveReader::stream("the archive", archive).await?;
    let restore = Restore::new(&target(to).await, Arc::new(reader)).options(options);
    let plan = restore.plan().await?;
    restore.run(plan).await
}

async fn restore(
    archive: impl Read + Send + 'static,
    to: &Deployment,
    options: RestoreOptions,
) -> RestoreReport {
    let report = try_restore(archive, to, options).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.problems, []);
    report
}

/// Options that restore data sets over themselves.
fn over_itself() -> RestoreOptions {
    RestoreOptions::default()
        .bypass_document_validation(true)
        .drop(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_comes_back_from_an_archive_compressed_or_not() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let expected = Fingerprint::of(&source.client(), &compared()).await;
    let mut options = RestoreOptions::default().bypass_document_validation(true);
    for compression in [Compression::None, Compression::GZIP, Compression::ZSTD] {
        let archive = archive_of(&source, DumpOptions::default().compression(compression)).await;
        let report = restore(Cursor::new(archive), &target, options).await;
        assert_eq!(report.failed_documents, 0);
        let found = Fingerprint::of(&target.client(), &compared()).await;
        assert_same(&expected, &found);
        options = over_itself();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_restored_while_it_is_written() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for data in [dataset::orders(20_000), dataset::large_documents()] {
        data.seed(&source.client()).await;
    }
    let (read, write) = io::pipe().unwrap();
    let writer = ArchiveWriter::stream("the pipe", write);
    let (dumped, restored) = tokio::join!(
        dump(&source, writer, DumpOptions::default()),
        restore(read, &target, RestoreOptions::default()),
    );
    let dumped = dumped.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(restored.documents > 20_000 && dumped.documents >= restored.documents);
    assert_same(
        &Fingerprint::of(&source.client(), &compared()).await,
        &Fingerprint::of(&target.client(), &compared()).await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_archive_what_is_selected_is_restored_under_its_new_name() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let client = source.client();
    for number in 0..40 {
        let collection = client.database("shop").collection(&format!("c{number}"));
        let documents = (0..number).map(|id| doc! { "_id": id });
        collection
            .insert_one(doc! { "_id": "first" })
            .await
            .unwrap();
        if number > 0 {
            collection.insert_many(documents).await.unwrap();
        }
    }
    let archive = archive_of(&source, DumpOptions::default()).await;
    let include = vec![Pattern::parse("shop.c1*").unwrap()];
    let options = RestoreOptions::default()
        .rename("shop.*", "copy.*")
        .select(Selector {
            include,
            exclude: Vec::new(),
        });
    let report = restore(Cursor::new(archive), &target, options).await;
    assert_eq!(report.namespaces.len(), 11);
    let copy = target.client().database("copy");
    let found = copy.collection::<bson::Document>("c19");
    assert_eq!(found.count_documents(doc! {}).await.unwrap(), 20);
    let names = target.client().list_database_names().await.unwrap();
    assert!(!names.contains(&"shop".to_owned()), "{names:?}");
}

/// TOOLS-2455.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_cut_or_changed_anywhere_is_no_success() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let database = source.client().database("db");
    for name in ["a", "b"] {
        let documents = (0..300).map(|id| doc! { "_id": id, "text": "x".repeat(50) });
        database
            .collection(name)
            .insert_many(documents)
            .await
            .unwrap();
    }
    let options = DumpOptions::default().db("db");
    let archive = archive_of(&source, options).await;
    let drop = || RestoreOptions::default().drop(true);
    for cut in [
        0,
        3,
        4,
        60,
        500,
        archive.len() / 2,
        archive.len() - 5,
        archive.len() - 1,
    ] {
        let cut = archive.get(..cut).unwrap().to_vec();
        let length = cut.len();
        let error = try_restore(Cursor::new(cut), &target, drop())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "cut at {length}: {error:?}");
    }
    let mut changed = archive.clone();
    let middle = changed.len() / 2;
    *changed.get_mut(middle).unwrap() ^= 0x20;
    let error = try_restore(Cursor::new(changed), &target, drop())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_archive_is_refused_before_anything_is_written() {
    let error = ArchiveReader::stream(
        "the file",
        Cursor::new(b"{\"not\": \"an archive\"}".to_vec()),
    );
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "the file does not appear to be a mongodump archive"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_fails_leaves_no_archive_and_no_older_one_is_lost() {
    let source = ReplicaSet::start().await;
    source
        .client()
        .database("db")
        .collection("c")
        .insert_one(doc! { "_id": 1 })
        .await
        .unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, "the archive of yesterday").unwrap();
    let location = Location::from(path.as_path());
    let connected = Source::connect(&ConnectOptions::default().uri(source.root_uri())).await;
    let connected = connected.unwrap();
    let writer = Arc::new(ArchiveWriter::create(&location).unwrap());
    let dump = Dump::new(&connected, writer);
    let plan = dump.plan().await.unwrap();
    let database = source.client().database("db");
    database
        .collection::<bson::Document>("c")
        .drop()
        .await
        .unwrap();
    dump.run(plan).await.unwrap_err();
    drop(dump);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "the archive of yesterday"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_the_dump_with_an_error() {
    // TOOLS-1826, TOOLS-2131, TOOLS-2403.
    let source = ReplicaSet::start().await;
    dataset::orders(20_000).seed(&source.client()).await;
    let (mut read, write) = io::pipe().unwrap();
    let writer = ArchiveWriter::stream("the pipe", write);
    let reading = tokio::task::spawn_blocking(move || {
        let mut start = [0; 100];
        read.read_exact(&mut start).unwrap();
    });
    let error = dump(&source, writer, DumpOptions::default())
        .await
        .unwrap_err();
    reading.await.unwrap();
    assert!(error.to_string().contains("the pipe"), "{error}");
}

/// An archive of namespaces with these metadata and documents, written as a server of this version would have it.
fn made_of(version: &str, of: &[(&str, &str, &[RawDocumentBuf])]) -> Vec<u8> {
    made_of_kinds(version, &vec![None; of.len()], of)
}

/// The same, with what the prelude says that each is.
fn made_of_kinds(
    version: &str,
    kinds: &[Option<&str>],
    of: &[(&str, &str, &[RawDocumentBuf])],
) -> Vec<u8> {
    let listed =
        |((name, metadata, _), kind): (&(&str, &str, &[RawDocumentBuf]), &Option<&str>)| {
            ArchiveMetadata {
                namespace: name.parse().unwrap(),
                metadata: (*metadata).to_owned(),
                kind: kind.map(str::to_owned),
            }
        };
    let prelude = ArchivePrelude {
        concurrent_collections: 1,
        server_version: Some(version.to_owned()),
        tool_version: "test".to_owned(),
        collections: of.iter().zip(kinds).map(listed).collect(),
    };
    let mut archive = Vec::new();
    let mut writer = rdump_format::ArchiveWriter::new(&prelude, &mut archive).unwrap();
    for (name, _, documents) in of {
        let namespace = name.parse().unwrap();
        let bytes: Vec<u8> = documents
            .iter()
            .flat_map(|raw| raw.as_bytes().to_vec())
            .collect();
        let checksum = Crc64::of(&bytes);
        writer.run(&namespace, &checksum, &mut archive).unwrap();
        archive.extend_from_slice(&bytes);
        writer.end(&namespace, &mut archive).unwrap();
    }
    writer.finish().unwrap();
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_cannot_be_read_fails_the_restore_before_anything_is_written() {
    // mongorestore/mongorestore_archive_test.go.
    let target = ReplicaSet::start().await;
    let document = raw(&doc! { "_id": 1 });
    let archive = made_of(
        "6.0.5",
        &[
            ("db.a", r#"{"indexes":[]}"#, std::slice::from_ref(&document)),
            ("db.b", "{\"options\":", std::slice::from_ref(&document)),
        ],
    );
    let error = try_restore(Cursor::new(archive), &target, RestoreOptions::default()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.namespace().unwrap().to_string(), "db.b");
    let names = target.client().list_database_names().await.unwrap();
    assert!(!names.contains(&"db".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_or_time_series_collection_without_its_definition_is_no_collection() {
    let target = ReplicaSet::start().await;
    let no_options = r#"{"indexes":[]}"#;
    for (kind, metadata) in [("view", ""), ("timeseries", ""), ("timeseries", no_options)] {
        let archive = made_of_kinds("6.0.5", &[Some(kind)], &[("shop.x", metadata, &[])]);
        let error = try_restore(Cursor::new(archive), &target, over_itself()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
        assert!(error.to_string().contains(kind), "{error}");
    }
    // As --viewsAsCollections has it.
    let document = [raw(&doc! { "_id": 1 })];
    let archive = made_of_kinds(
        "6.0.5",
        &[Some("view")],
        &[("shop.x", no_options, &document)],
    );
    let report = restore(Cursor::new(archive), &target, over_itself()).await;
    assert_eq!(report.documents, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_where_the_dumped_server_has_them_and_go_where_the_collection_goes() {
    // TOOLS-4089.
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let database = source.client().database("db");
    let create = doc! { "create": "t", "timeseries": { "timeField": "at" } };
    database.run_command(create).await.unwrap();
    let measurements = (0..100).map(|number| {
        let at = bson::DateTime::from_millis(number * 1_000_000);
        doc! { "at": at, "v": number }
    });
    database
        .collection("t")
        .insert_many(measurements)
        .await
        .unwrap();
    let expected = stored(&source.client(), "db", "system.buckets.t").await;
    assert!(!expected.is_empty());

    let metadata =
        r#"{"options":{"timeseries":{"timeField":"at"}},"indexes":[],"type":"timeseries"}"#;
    let of_8_3 = made_of("8.3.0", &[("db.t", metadata, &expected)]);
    let of_6_0 = archive_of(&source, DumpOptions::default().db("db")).await;
    for (archive, to) in [(of_8_3, "viewless"), (of_6_0, "with_view")] {
        // The rename has to move both, whichever comes first.
        let options = RestoreOptions::default().rename("db.t", format!("{to}.renamed"));
        restore(Cursor::new(archive), &target, options).await;
        let found = stored(&target.client(), to, "system.buckets.renamed").await;
        assert!(found == expected, "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_that_alternate_are_restored_one_at_a_time() {
    let target = ReplicaSet::start().await;
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/reference/alternating.archive.gz"
    );
    let options = RestoreOptions::default()
        .parallel_collections(NonZeroUsize::MIN)
        .insertion_workers(NonZeroUsize::MIN);
    let report = restore(fs::File::open(path).unwrap(), &target, options).await;
    assert_eq!(report.namespaces.len(), 2);
    assert!(report.documents > 0 && report.failed_documents == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_does_not_hold_up_the_dump_that_it_reads() {
    // TOOLS-1826, TOOLS-2131, TOOLS-2403.
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(20_000).seed(&source.client()).await;
    dataset::large_documents().seed(&source.client()).await;
    let shop = target.client().database("shop").collection("orders");
    shop.insert_one(doc! { "_id": 1 }).await.unwrap();
    let unique = doc! {
        "createIndexes": "orders", "indexes": [{ "key": { "nothing": 1 }, "name": "n", "unique": true }],
    };
    let shop = target.client().database("shop");
    shop.run_command(unique).await.unwrap();
    let (read, write) = io::pipe().unwrap();
    let writer = ArchiveWriter::stream("the pipe", write);
    // How far the dump comes is left to chance; that both end is not.
    let (_, restored) = tokio::join!(
        dump(&source, writer, DumpOptions::default()),
        try_restore(read, &target, RestoreOptions::default().stop_on_error(true)),
    );
    assert_eq!(restored.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn an_archive_goes_through_links_whether_there_is_something_behind_them_or_not() {
    let source = ReplicaSet::start().await;
    let folder = TempDir::new().unwrap();
    let (link, elsewhere) = (folder.path().join("link"), folder.path().join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    symlink("elsewhere/second", &link).unwrap();
    symlink("archive", elsewhere.join("second")).unwrap();
    for _ in 0..2 {
        let writer = ArchiveWriter::create(&Location::from(link.as_path())).unwrap();
        dump(&source, writer, DumpOptions::default()).await.unwrap();
        assert!(link.is_symlink() && elsewhere.join("second").is_symlink());
        let written = fs::symlink_metadata(elsewhere.join("archive")).unwrap();
        assert!(written.is_file() && written.len() > 0);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_a_decompressor_finds_is_damage_and_has_a_place() {
    let documents: Vec<_> = (0..20_000)
        .map(|id| raw(&doc! { "_id": id, "text": format!("{:x}", id * 7919 % 65_537) }))
        .collect();
    let archive = made_of("6.0.5", &[("shop.orders", "", &documents)]);
    let target = ReplicaSet::start().await;
    for compression in [Compression::GZIP, Compression::ZSTD] {
        let mut stored = Vec::new();
        let mut compressor = Compressor::new(compression).unwrap();
        compressor.compress(&archive, &mut stored).unwrap();
        let whole = stored.len();
        for damage in ["changed", "cut", "changed behind"] {
            let mut stored = stored.clone();
            match damage {
                "changed" => stored[whole / 2..whole / 2 + 40].fill(0xFF),
                "cut" => stored.truncate(whole / 2),
                _ => stored.extend_from_slice(b"junk junk"),
            }
            let bytes = stored.len();
            let error = try_restore(Cursor::new(stored), &target, over_itself()).await;
            let error = error.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Data,
                "{compression} {damage}: {error:?}"
            );
            let cause = std::error::Error::source(&error).unwrap().to_string();
            let place = cause.strip_prefix("decompressing failed between bytes ");
            let Some(place) = place.and_then(|place| place.strip_suffix(" of what is compressed"))
            else {
                // What comes of changed bytes may be no archive before it is found not to be compressed.
                assert!(damage == "changed" && cause.contains("at byte"), "{cause}");
                continue;
            };
            let (first, last) = place.split_once(" and ").unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            assert!(
                first <= last && last <= bytes,
                "{compression} {damage}: {cause}"
            );
            assert!(last >= whole / 2, "{compression} {damage}: {cause}");
        }
    }
}
