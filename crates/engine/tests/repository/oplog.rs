//! Snapshots with the oplog of the meantime.

use std::sync::Arc;

use rdump::{Compression, Namespace, RestoreOptions, SnapshotVerifyOptions};
use rdump_testkit::{ReplicaSet, dataset, workload};

use super::{in_memory, round_trip::restore, try_verify, writer};
use crate::oplog::{dump_under_load, replaying, with_oplog};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_taken_under_load_comes_back_as_it_was_at_one_moment() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(5_000).seed(&source.client()).await;
    let (_, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository));
    // Slow enough for hundreds of writes meanwhile.
    let options = with_oplog()
        .compression(Compression::ZSTD)
        .limit_bytes_per_second(2 << 20);
    let (report, state) = dump_under_load(&source, Arc::clone(&writer) as _, options).await;
    let oplog = report.oplog.unwrap();
    assert!(oplog.entries > 50, "{oplog:?}");

    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    let run = &snapshot.manifest().run;
    assert_eq!(run.documents, report.documents);
    assert_eq!(run.consistent_at, Some(oplog.end.to_string()));
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (verified, _) = try_verify(&repository, &snapshot, &deep).await;
    let verified = verified.unwrap();
    assert!(verified.is_whole(), "{verified}");
    assert_eq!(verified.documents, report.documents + oplog.entries);
    let namespaces = snapshot.namespaces().await.unwrap();
    let captured = namespaces
        .iter()
        .find(|found| found.entry.namespace.is_oplog());
    let captured = captured.unwrap().stored.as_ref().unwrap();
    assert_eq!(captured.namespace, Namespace::oplog());
    assert_eq!(captured.documents, oplog.entries);

    // Nobody has to ask for that without which it is of no moment.
    for options in [replaying(), RestoreOptions::default().drop(true)] {
        let replayed = restore(&snapshot, &target, options).await.oplog.unwrap();
        assert!(replayed.operations > 50 && !replayed.limit_reached);
        workload::assert_holds(&state, &target.client(), str::to_owned).await;
    }
}
