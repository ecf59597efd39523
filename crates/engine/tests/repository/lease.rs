//! Of several who would write a snapshot, one does.

use std::{sync::Arc, time::Duration};

use rdump::{
    Compression, Counters, Dump, DumpOptions, ErrorKind, Repository, SnapshotWriter, Store,
    storage::{MemoryStore, PutIf},
};
use rdump_format::repository::LeaseRecord;
use rdump_testkit::{
    ReplicaSet, dataset,
    wait::{PATIENCE, wait_for},
};

use super::{
    backup, in_memory, interrupted::connect, objects, try_backup, verify, watched::Watched, writer,
};

async fn source(documents: u64) -> ReplicaSet {
    let source = ReplicaSet::start().await;
    let shape = dataset::Shape::Medium;
    dataset::seed_bulk(&source.client(), "shop.c", shape, documents, 1).await;
    source
}

fn slowly() -> DumpOptions {
    DumpOptions::default()
        .db("shop")
        .compression(Compression::None)
        .limit_bytes_per_second(4 << 20)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_written_is_known_and_not_gone_on_with() {
    let source = source(10_000).await;
    let (store, repository) = in_memory().await;
    let running = Arc::new(writer(&repository));
    let counters = Arc::new(Counters::default());
    let connected = connect(&source).await;
    let dump = Dump::new(&connected, Arc::clone(&running) as _)
        .options(slowly())
        .counters(Arc::clone(&counters));
    let plan = dump.plan().await.unwrap();
    let others = async {
        wait_for("documents to be read", PATIENCE, async || {
            (counters.documents_read.value() > 0).then_some(())
        })
        .await;
        let id = running.id().unwrap();
        let listed = repository.snapshots().await.unwrap();
        assert_eq!(
            (&listed.unfinished[..], &listed.running[..]),
            (&[id.clone()][..], &[id.clone()][..])
        );
        let second = SnapshotWriter::resume(&repository, id).await.unwrap();
        let error = try_backup(&Arc::new(second), &source, slowly()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(
            error.to_string().contains("is held by a process on"),
            "{error}"
        );
        // Beside it another one may be taken.
        backup(&repository, &source, DumpOptions::default().db("none")).await;
    };
    let (report, ()) = futures::join!(dump.run(plan), others);
    report.unwrap();
    let snapshot = repository.snapshot(running.id().unwrap()).await.unwrap();
    assert!(verify(&repository, &snapshot).await.is_whole());
    assert_eq!(repository.snapshots().await.unwrap().running, []);
    let left = objects(&*store).await;
    assert!(
        !left.keys().any(|path| path.starts_with("leases/")),
        "{:?}",
        left.keys()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_lease_stops_and_leaves_no_snapshot() {
    let source = source(20_000).await;
    let (store, repository) = in_memory().await;
    let loser = Arc::new(writer(&repository).lease(Some(Duration::from_millis(500))));
    let counters = Arc::new(Counters::default());
    let connected = connect(&source).await;
    let options = slowly().segment_bytes(64 << 10);
    let dump = Dump::new(&connected, Arc::clone(&loser) as _)
        .options(options)
        .counters(Arc::clone(&counters));
    let plan = dump.plan().await.unwrap();
    let take = async {
        wait_for("documents to be read", PATIENCE, async || {
            (counters.documents_read.value() > 0).then_some(())
        })
        .await;
        let id = loser.id().unwrap().as_str();
        let (then, expires_at) = ("2026-01-02T03:04:05Z", "2100-01-02T03:04:05Z");
        let record = LeaseRecord::new(id, "elsewhere", "", then, expires_at);
        let (path, bytes) = (record.path(), record.to_bytes().unwrap());
        let put = store.put(&path, bytes.into(), PutIf::Always);
        put.await.unwrap();
    };
    let (report, ()) = futures::join!(dump.run(plan), take);
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(
        error.to_string().contains("was lost to another writer"),
        "{error}"
    );
    let listed = repository.snapshots().await.unwrap();
    let id = loser.id().unwrap();
    assert_eq!(
        (listed.whole.len(), &listed.running[..]),
        (0, &[id.clone()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_minds_no_conditions_needs_to_be_told_of() {
    let source = source(10).await;
    let store = Watched::new(Arc::new(MemoryStore::new("backups")));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
    let repository = repository.unwrap();
    store.ignore_conditions();
    let refused = Arc::new(writer(&repository));
    let error = try_backup(&refused, &source, slowly()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint().unwrap().contains("--no-lock"), "{error:?}");
    let listed = repository.snapshots().await.unwrap();
    assert_eq!((listed.whole.len(), listed.unfinished.len()), (0, 0));
    let alone = Arc::new(writer(&repository).lease(None));
    try_backup(&alone, &source, slowly()).await.unwrap();
    let snapshot = repository.find_snapshot("latest").await.unwrap();
    assert!(verify(&repository, &snapshot).await.is_whole());
}
