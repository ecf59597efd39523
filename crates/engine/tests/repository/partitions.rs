//! Backups that are gone on with inside collections.

use std::{num::NonZeroUsize, sync::Arc};

use bson::{Bson, doc};
use rdump::{
    CancellationToken, Compression, Counters, Dump, DumpOptions, ErrorKind, Event, Observer,
    Repository, SnapshotId, SnapshotWriter,
};
use rdump_testkit::{ReplicaSet, dataset};

use super::{
    Objects, backup, encrypted::somebody, in_memory, interrupted::connect, objects, read_whole,
    store_of, verify,
};

const DOCUMENTS: u64 = 6000;

/// A collection with `_id` of every type, and one whose `_id` are long words ordered by a language.
async fn source() -> ReplicaSet {
    let source = ReplicaSet::start().await;
    let client = source.client();
    dataset::ids_of_every_type(20).seed(&client).await;
    dataset::seed_bulk(&client, "shop.c", dataset::Shape::Medium, DOCUMENTS - 2, 1).await;
    let database = client.database("shop");
    let ends = [Bson::MinKey, Bson::MaxKey].map(|id| doc! { "_id": id });
    let collection = database.collection("c");
    collection.insert_many(ends).await.unwrap();
    let words = doc! { "create": "words", "collation": { "locale": "de", "strength": 2 } };
    database.run_command(words).await.unwrap();
    let words = (0..2000).map(|number| {
        let word = ["Äpfel", "apfel", "Zebra", "öl"][number % 4];
        doc! { "_id": format!("{word} {number}"), "x": "x".repeat(500) }
    });
    let collection = database.collection("words");
    collection.insert_many(words).await.unwrap();
    source
}

fn options(partitions: usize) -> DumpOptions {
    DumpOptions::default()
        .compression(Compression::None)
        .segment_bytes(64 << 10)
        .partitions(NonZeroUsize::new(partitions).unwrap())
}

/// Counts runs of documents that were stored, and stops at one.
struct Stop(std::sync::atomic::AtomicUsize, CancellationToken);

impl Observer for Stop {
    fn on_event(&self, event: &Event) {
        use std::sync::atomic::Ordering;
        let is_last = || self.0.fetch_sub(1, Ordering::Relaxed) <= 1;
        if matches!(event, Event::NamespaceAdvanced { .. }) && is_last() {
            self.1.cancel();
        }
    }
}

/// Writes on until so many runs of documents were stored; gives how many documents it stored, and whether it came to its end.
async fn attempt(
    writer: SnapshotWriter,
    source: &ReplicaSet,
    options: DumpOptions,
    runs: usize,
) -> (SnapshotId, u64, bool) {
    let writer = Arc::new(writer.object_bytes(1).part_bytes(1));
    let (cancel, counters) = (CancellationToken::new(), Arc::new(Counters::default()));
    let dump = Dump::new(&connect(source).await, Arc::clone(&writer) as _)
        .options(options)
        .observer(Arc::new(Stop(runs.into(), cancel.clone())))
        .counters(Arc::clone(&counters))
        .cancel(cancel);
    let run = dump.run(dump.plan().await.unwrap()).await;
    if let Err(error) = &run {
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    }
    let id = writer.id().unwrap().clone();
    (id, counters.documents_written.value(), run.is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_go_on_after_their_last_document_however_often_they_are_interrupted() {
    let source = source().await;
    let (_, whole) = in_memory().await;
    let expected = read_whole(&backup(&whole, &source, options(1)).await).await;
    let all: usize = expected.values().map(|documents| documents.len()).sum();
    let (recipients, identities) = somebody();
    for (recipients, identities) in [(None, None), (Some(recipients), Some(identities))] {
        let (_, repository) = in_memory().await;
        let repository = repository.identities(identities);
        let (mut attempts, mut documents) = (0, 0);
        let mut writer = SnapshotWriter::new(&repository, [].into());
        let id = loop {
            let writing = writer.recipients(recipients.clone());
            // The number of partitions may change: those that were begun stay what they are.
            let options = options(4 + attempts % 3);
            let (id, read, is_done) = attempt(writing, &source, options, 12).await;
            (attempts, documents) = (attempts + 1, documents + read);
            if is_done {
                break id;
            }
            writer = SnapshotWriter::resume(&repository, &id).await.unwrap();
        };
        assert!(attempts > 4, "{attempts}");
        // What was read and not stored is read again, and so are small collections: a few segments each time.
        assert!(documents < 2 * all as u64, "{documents} of {all}");
        let snapshot = repository.snapshot(&id).await.unwrap();
        assert!(read_whole(&snapshot).await == expected);
        let verified = verify(&repository, &snapshot).await;
        assert!(verified.is_whole(), "{verified}");
        assert_eq!(snapshot.manifest().earlier_attempts.len(), attempts - 1);
    }
}

/// What there is after an attempt that was interrupted.
async fn begun(source: &ReplicaSet) -> (Objects, SnapshotId) {
    let (store, repository) = in_memory().await;
    let writer = SnapshotWriter::new(&repository, [].into());
    let options = options(4).db("shop").collection("c");
    let (id, _, is_done) = attempt(writer, source, options, 40).await;
    assert!(!is_done);
    (objects(&*store).await, id)
}

/// What is read when an interrupted attempt is gone on with; and the snapshot is whole.
async fn gone_on_with(objects: &Objects, id: &SnapshotId, source: &ReplicaSet) -> u64 {
    let repository = Repository::open_in(store_of(objects).await).await.unwrap();
    let writer = SnapshotWriter::resume(&repository, id).await.unwrap();
    let options = options(4).db("shop").collection("c");
    let (_, read, is_done) = attempt(writer, source, options, usize::MAX).await;
    assert!(is_done);
    let snapshot = repository.snapshot(id).await.unwrap();
    assert!(verify(&repository, &snapshot).await.is_whole());
    assert_eq!(
        read_whole(&snapshot).await["shop.c"].len() as u64,
        DOCUMENTS
    );
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_which_an_object_is_lost_is_read_from_its_beginning() {
    let source = source().await;
    let (objects, id) = begun(&source).await;
    let read = gone_on_with(&objects, &id, &source).await;
    assert!(read < DOCUMENTS, "{read}");
    let of = |folder: &str| {
        let folder = format!("{}{folder}/", id.folder());
        let paths = objects.keys().filter(|path| path.starts_with(&folder));
        paths.cloned().collect::<Vec<_>>()
    };
    let (data, parts) = (of("data"), of("parts"));
    assert!(data.len() > 3 && parts.len() > 3);
    // Of the last one nobody may know yet.
    for lost in [&data[0], &data[1], &parts[0], &parts[1]] {
        let mut without = objects.clone();
        without.remove(lost).unwrap();
        let read = gone_on_with(&without, &id, &source).await;
        assert_eq!(read, DOCUMENTS, "without {lost}");
    }
    // A collection of that name that is another one.
    let database = source.client().database("shop");
    let collection = database.collection::<bson::Document>("c");
    collection.drop().await.unwrap();
    let anew = (0..DOCUMENTS).map(|number| doc! { "_id": number as i64, "x": "x".repeat(900) });
    collection.insert_many(anew).await.unwrap();
    let read = gone_on_with(&objects, &id, &source).await;
    assert_eq!(read, DOCUMENTS);
}
