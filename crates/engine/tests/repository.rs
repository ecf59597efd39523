//! Snapshots in a repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use futures::TryStreamExt;
use rdump::{
    CancellationToken, ConnectOptions, Damage, Dump, DumpOptions, DumpReport, Error, Event,
    Observer, RecordingObserver, Repository, Selector, Snapshot, SnapshotReader,
    SnapshotVerifyOptions, SnapshotVerifyReport, SnapshotWriter, Source, Store,
    media::{Access, DumpReader, DumpWriter},
    storage::{Listing, MemoryStore, PutIf},
};
use rdump_testkit::Deployment;

mod audit;
mod basics;
mod bundle;
mod bytes_changed;
mod capture;
mod capture_faults;
mod comparison;
mod conflicts;
mod consistency;
mod copy;
mod damage;
mod doctor;
mod drill;
mod encrypted;
mod fixture;
mod foreseen;
mod interrupted;
mod lag;
mod lease;
mod many;
mod model;
mod oplog;
mod partitions;
mod prune;
mod replay_resumed;
mod resumed;
mod round_trip;
mod sample;
mod selection;
mod status;
mod streams;
mod told;
mod transferred;
mod verify;
mod watched;
mod years;

/// What is in a store, by path.
type Objects = BTreeMap<String, Bytes>;

/// The documents of each namespace, in byte order.
type Documents = BTreeMap<String, BTreeSet<Vec<u8>>>;

async fn in_memory() -> (Arc<MemoryStore>, Repository) {
    let store = Arc::new(MemoryStore::new("backups"));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
    (store, repository.unwrap())
}

/// Everything that is of snapshots, of what was captured, and of the repository itself: all but the record of what was done, which [`audit`] is about.
async fn objects(store: &dyn Store) -> Objects {
    let mut objects = all_objects(store).await;
    objects.retain(|path, _| !path.starts_with("audit/"));
    objects
}

async fn all_objects(store: &dyn Store) -> Objects {
    let mut objects = Objects::new();
    for info in Listing::of(store, "").await.unwrap().objects {
        let read = store.read(&info.path, 0..info.stored_bytes, None).await;
        objects.insert(info.path, read.unwrap());
    }
    objects
}

/// A store of its own with these objects.
async fn store_of(objects: &Objects) -> Arc<dyn Store> {
    let store = MemoryStore::new("backups");
    for (path, bytes) in objects {
        let put = store.put(path, bytes.clone(), PutIf::Absent);
        put.await.unwrap();
    }
    Arc::new(store)
}

fn writer(repository: &Repository) -> SnapshotWriter {
    SnapshotWriter::new(repository, BTreeMap::new())
}

async fn try_backup(
    writer: &Arc<SnapshotWriter>,
    from: &Deployment,
    options: DumpOptions,
) -> Result<DumpReport, Error> {
    let source = Source::connect(&ConnectOptions::default().uri(from.root_uri())).await?;
    let writer = Arc::clone(writer) as Arc<dyn DumpWriter>;
    let dump = Dump::new(&source, writer).options(options);
    let plan = dump.plan().await?;
    dump.run(plan).await
}

async fn backup_by(
    writer: SnapshotWriter,
    repository: &Repository,
    from: &Deployment,
    options: DumpOptions,
) -> Snapshot {
    let writer = Arc::new(writer);
    let report = try_backup(&writer, from, options).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.problems, []);
    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    assert_eq!(snapshot.manifest().run.documents, report.documents);
    let of_oplog = report.oplog.map_or(0, |oplog| oplog.stored_bytes);
    assert_eq!(
        snapshot.manifest().run.stored_bytes,
        report.stored_bytes + of_oplog
    );
    snapshot
}

async fn backup(repository: &Repository, from: &Deployment, options: DumpOptions) -> Snapshot {
    backup_by(writer(repository), repository, from, options).await
}

/// What a restore of a snapshot would insert, and why it would stop.
async fn read(snapshot: &Snapshot) -> (Documents, Vec<Error>) {
    let mut found = Documents::new();
    let reader = match SnapshotReader::open(snapshot, &Selector::default()).await {
        Ok(reader) => reader,
        Err(error) => return (found, vec![error]),
    };
    let Access::Random(access) = reader.access() else {
        panic!("it is read in any order");
    };
    let mut errors = Vec::new();
    for entry in &reader.contents().entries {
        let of_namespace = found.entry(entry.namespace.to_string()).or_default();
        let mut runs = access.documents(entry);
        loop {
            match runs.try_next().await {
                Ok(Some(run)) => {
                    let documents = rdump_format::documents(&run.body);
                    of_namespace.extend(documents.map(|document| document.unwrap().to_vec()));
                }
                Ok(None) => break,
                Err(error) => {
                    errors.push(error);
                    break;
                }
            }
        }
    }
    (found, errors)
}

async fn read_whole(snapshot: &Snapshot) -> Documents {
    let (documents, errors) = read(snapshot).await;
    assert!(errors.is_empty(), "{errors:?}");
    documents
}

async fn try_verify(
    repository: &Repository,
    snapshot: &Snapshot,
    options: &SnapshotVerifyOptions,
) -> (Result<SnapshotVerifyReport, Error>, Vec<String>) {
    let observer = Arc::new(RecordingObserver::default());
    let watching = Arc::clone(&observer) as Arc<dyn Observer>;
    let cancel = CancellationToken::new();
    let report = repository.verify(snapshot.id(), options, watching, cancel);
    let report = report.await;
    let notices = observer
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Notice { message, .. } => Some(message),
            _ => None,
        });
    (report, notices.collect())
}

/// Verifies all stored bytes.
async fn verify(repository: &Repository, snapshot: &Snapshot) -> SnapshotVerifyReport {
    let options = SnapshotVerifyOptions::default();
    let (report, _) = try_verify(repository, snapshot, &options).await;
    report.unwrap()
}

fn paths(damage: &[Damage]) -> BTreeSet<&str> {
    damage.iter().map(|damage| damage.path.as_str()).collect()
}

/// The error, its causes and where it happened, in one line.
fn whole(error: &Error) -> String {
    let mut text = format!("{error} at {:?}", error.location());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
