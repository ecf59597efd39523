//! A stream of one collection's documents as a medium: no name, no metadata, no end mark.

use std::{
    io::{self, Cursor, Read, Write},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use bson::{Document, doc};
use rdump::{
    CancellationToken, Codec, Compression, ConnectOptions, Counters, DocumentStreamReader,
    DocumentStreamWriter, Dump, DumpOptions, DumpReport, Error, ErrorKind, Namespace, Restore,
    RestoreOptions, RestoreReport, Source,
};
use rdump_testkit::{Deployment, ReplicaSet, Standalone, dataset, wait::PATIENCE};
use tokio::time::timeout;

use crate::{made, restore::target};

/// What was written, in memory.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn bytes(&self) -> Vec<u8> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives one byte at a time.
#[derive(Debug)]
struct Drip(Cursor<Vec<u8>>);

impl Read for Drip {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let one = out.len().min(1);
        self.0.read(out.get_mut(..one).unwrap_or_default())
    }
}

fn of(db: &str, collection: &str) -> DumpOptions {
    DumpOptions::default().db(db).collection(collection)
}

async fn dump(
    from: &Deployment,
    output: impl Write + Send + 'static,
    options: DumpOptions,
) -> Result<DumpReport, Error> {
    let source = Source::connect(&ConnectOptions::default().uri(from.root_uri())).await?;
    let writer = DocumentStreamWriter::new("the pipe", output);
    let dump = Dump::new(&source, Arc::new(writer)).options(options);
    let plan = dump.plan().await?;
    dump.run(plan).await
}

/// What a dump writes.
async fn dumped(from: &Deployment, options: DumpOptions) -> Vec<u8> {
    let memory = Memory::default();
    let report = dump(from, memory.clone(), options).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    let bytes = memory.bytes();
    assert!(report.stored_bytes <= bytes.len() as u64);
    bytes
}

async fn restore_into(
    namespace: &str,
    input: impl Read + Send + 'static,
    to: &Deployment,
    options: RestoreOptions,
) -> Result<RestoreReport, Error> {
    let namespace: Namespace = namespace.parse().unwrap();
    let reader = DocumentStreamReader::new("the pipe", namespace, input);
    let restore = Restore::new(&target(to).await, Arc::new(reader)).options(options);
    let plan = restore.plan().await?;
    restore.run(plan).await
}

async fn count(of: &Deployment, db: &str, collection: &str) -> u64 {
    let found = of.client().database(db).collection::<Document>(collection);
    found.count_documents(doc! {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_goes_through_a_stream_compressed_or_not_and_nothing_else_does() {
    let deployment = ReplicaSet::start().await;
    for data in [dataset::every_bson_type(), dataset::orders(3_000)] {
        data.seed(&deployment.client()).await;
    }
    let in_order = || {
        RestoreOptions::default()
            .maintain_insertion_order(true)
            .drop(true)
    };
    for (db, collection) in [("types", "values"), ("shop", "orders")] {
        let plain = dumped(&deployment, of(db, collection)).await;
        for compression in [Compression::None, Compression::GZIP, Compression::ZSTD] {
            let stored = dumped(&deployment, of(db, collection).compression(compression)).await;
            let codec = Codec::detect_documents(&stored);
            assert_eq!(codec, compression.codec());
            let restored = restore_into("copy.all", Cursor::new(stored), &deployment, in_order());
            let report = restored.await.unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!(report.problems, []);
            assert_eq!(report.documents, count(&deployment, db, collection).await);
            assert!(plain == dumped(&deployment, of("copy", "all")).await);
        }
    }
    let copy = deployment.client().database("copy");
    let copy = copy.collection::<Document>("all");
    assert_eq!(copy.list_index_names().await.unwrap(), ["_id_"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_restored_while_they_are_dumped() {
    let deployment = ReplicaSet::start().await;
    dataset::orders(20_000).seed(&deployment.client()).await;
    let (read, write) = io::pipe().unwrap();
    let options = of("shop", "orders").partitions(NonZeroUsize::new(3).unwrap());
    let (dumped, restored) = tokio::join!(
        dump(&deployment, write, options),
        restore_into("shop.copy", read, &deployment, RestoreOptions::default()),
    );
    assert_eq!(dumped.unwrap().documents, 20_000);
    assert_eq!(restored.unwrap().documents, 20_000);
    assert_eq!(count(&deployment, "shop", "copy").await, 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_has_no_documents_and_a_time_series_collection_has_its_buckets() {
    let source = Standalone::start().await;
    let database = source.client().database("db");
    let documents = (0..10).map(|id| doc! { "_id": id });
    let base = database.collection::<Document>("base");
    base.insert_many(documents).await.unwrap();
    for command in [
        doc! { "create": "view", "viewOn": "base", "pipeline": [{ "$match": { "_id": { "$lt": 3 } } }] },
        doc! { "create": "series", "timeseries": { "timeField": "at" } },
        doc! { "insert": "series", "documents": [{ "at": bson::DateTime::from_millis(0), "value": 1 }] },
    ] {
        database.run_command(command).await.unwrap();
    }
    assert_eq!(dumped(&source, of("db", "view")).await, b"");
    let as_data = of("db", "view").views_as_collections(true);
    let as_data = dumped(&source, as_data).await;
    assert_eq!(rdump_format::documents(&as_data).count(), 3);

    let buckets = dumped(&source, of("db", "series")).await;
    let buckets: Vec<_> = rdump_format::documents(&buckets)
        .map(Result::unwrap)
        .collect();
    assert_eq!(buckets.len(), 1);
    let bucket = bson::deserialize_from_slice::<Document>(buckets[0]).unwrap();
    assert!(bucket.contains_key("control"), "{bucket}");

    // What has no documents can be decompressed nevertheless.
    let empty = of("db", "view").compression(Compression::GZIP);
    let empty = dumped(&source, empty).await;
    assert_eq!(Codec::detect_documents(&empty), Codec::Gzip);
    let restored = restore_into(
        "db.empty",
        Cursor::new(empty),
        &source,
        RestoreOptions::default(),
    );
    assert_eq!(restored.await.unwrap().documents, 0);
    let names = database.list_collection_names().await.unwrap();
    assert!(names.contains(&"empty".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_collections_do_not_fit_into_one_stream() {
    let source = Standalone::start().await;
    for name in ["a", "b"] {
        let collection = source.client().database("db").collection(name);
        collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    }
    let memory = Memory::default();
    let error = dump(&source, memory.clone(), DumpOptions::default().db("db"));
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(memory.bytes(), b"");
}

fn hundred() -> Vec<u8> {
    let documents = (0..100).map(|id| made::raw(&doc! { "_id": id, "text": "x".repeat(50) }));
    documents
        .flat_map(bson::RawDocumentBuf::into_bytes)
        .collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    let mut compressor = rdump_format::Compressor::new(Compression::GZIP).unwrap();
    compressor.compress(bytes, &mut stored).unwrap();
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_before_damage_is_inserted_and_the_restore_fails() {
    let to = Standalone::start().await;
    let whole = hundred();
    let length = whole.len() / 100;
    let (cut, mut overlong) = (whole[..length * 40 + 7].to_vec(), whole.clone());
    overlong[length * 30 + 3] = 0x7F;
    let mut unterminated = whole.clone();
    unterminated[length * 21 - 1] = 1;
    let mut no_longer_gzip = gzipped(&whole[..length * 10]);
    no_longer_gzip.extend_from_slice(b"what is this?");
    let mut cut_gzip = gzipped(&whole);
    cut_gzip.truncate(cut_gzip.len() - 3);
    for (what, damaged, documents) in [
        ("cut", cut, 40),
        ("overlong", overlong, 30),
        ("unterminated", unterminated, 20),
        ("no longer gzip", no_longer_gzip, 10),
        ("cut gzip", cut_gzip, 100),
        ("garbage", b"{\"_id\": 1}\n".to_vec(), 0),
        ("one byte", vec![5], 0),
        ("a cut magic number", vec![0x1F, 0x8B, 8], 0),
    ] {
        let counters = Arc::new(Counters::default());
        let reader = DocumentStreamReader::new(
            "standard input",
            "db.damaged".parse().unwrap(),
            Drip(Cursor::new(damaged)),
        );
        let restore = Restore::new(&target(&to).await, Arc::new(reader))
            .options(RestoreOptions::default().drop(true))
            .counters(Arc::clone(&counters));
        let plan = restore.plan().await.unwrap();
        let error = restore.run(plan).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Data, "{what}: {error:?}");
        assert_eq!(
            error.to_string(),
            "db.damaged: standard input is damaged or cut short"
        );
        let found = count(&to, "db", "damaged").await;
        assert_eq!(
            (found, counters.documents_written.value()),
            (documents, documents),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_is_known_although_bytes_come_one_by_one() {
    let to = Standalone::start().await;
    let input = Drip(Cursor::new(gzipped(&hundred())));
    let restored = restore_into("db.c", input, &to, RestoreOptions::default()).await;
    assert_eq!(restored.unwrap().documents, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_cannot_be_read_is_called_so() {
    #[derive(Debug)]
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable is out"))
        }
    }
    let to = Standalone::start().await;
    let input = Cursor::new(hundred()).chain(Broken);
    let error = restore_into("db.c", input, &to, RestoreOptions::default()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.to_string(), "db.c: could not read the pipe");
    assert_eq!(count(&to, "db", "c").await, 100);
}

/// Nothing waits for the other end of a pipe that stays open and silent.
#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_never_ends_holds_up_neither_a_failure_nor_a_cancellation() {
    let to = Standalone::start().await;
    let (read, mut write) = io::pipe().unwrap();
    write.write_all(b"not a document").unwrap();
    let restored = restore_into("db.c", read, &to, RestoreOptions::default());
    let error = timeout(PATIENCE, restored).await.unwrap();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Data);

    let (read, mut write_on) = io::pipe().unwrap();
    write_on.write_all(&hundred()[..20]).unwrap();
    let reader = DocumentStreamReader::new("the pipe", "db.c".parse().unwrap(), read);
    let cancel = CancellationToken::new();
    let restore = Restore::new(&target(&to).await, Arc::new(reader)).cancel(cancel.clone());
    let plan = restore.plan().await.unwrap();
    let (restored, ()) = tokio::join!(timeout(PATIENCE, restore.run(plan)), async {
        cancel.cancel();
    },);
    assert_eq!(restored.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    drop((write, write_on));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_the_dump_with_an_error() {
    let source = ReplicaSet::start().await;
    dataset::orders(20_000).seed(&source.client()).await;
    let (mut read, write) = io::pipe().unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut start = [0; 100];
        read.read_exact(&mut start).unwrap();
    });
    let error = dump(&source, write, of("shop", "orders")).await;
    let error = error.unwrap_err();
    reading.await.unwrap();
    assert_eq!(
        error.to_string(),
        "shop.orders: could not write to the pipe"
    );
}
