//! Snapshots with the oplog of the meantime.

use std::sync::Arc;

use bson::{Document, doc};
use rdump::{
    Compression, Dump, Event, Namespace, Restore, RestoreOptions, Selector, SnapshotReader,
    SnapshotVerifyOptions,
};
use rdump_testkit::{Fingerprint, ReplicaSet, dataset, fingerprint::assert_same, workload};
use tokio::sync::mpsc;

use super::{
    capture::source as source_of,
    in_memory,
    round_trip::{compared, restore},
    try_verify, writer,
};
use crate::{
    oplog::{dump_under_load, replaying, with_oplog},
    restore::target as target_of,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_and_inserted_again_while_it_is_read_is_restored_once() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let orders = source.client().database("shop").collection("orders");
    let order =
        |id: i32, state: &str| doc! { "_id": id, "state": state, "padding": "x".repeat(1 << 20) };
    orders
        // Some batches more than are read ahead.
        .insert_many((0..80).map(|id| order(id, "old")))
        .await
        .unwrap();
    let (_, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository));
    let (advanced, mut advances) = mpsc::channel(1);
    let observer = move |event: &Event| {
        if matches!(event, Event::NamespaceAdvanced { .. }) {
            // The first one counts.
            let _told = advanced.try_send(());
        }
    };
    let dump = Dump::new(&source_of(&source).await, Arc::clone(&writer) as _)
        .options(with_oplog().limit_bytes_per_second(16 << 20))
        .observer(Arc::new(observer));
    let plan = dump.plan().await.unwrap();
    let change = async {
        advances.recv().await.unwrap();
        for id in 0..40 {
            orders.delete_one(doc! { "_id": id }).await.unwrap();
            orders.insert_one(order(id, "new")).await.unwrap();
        }
    };
    let (report, ()) = tokio::join!(dump.run(plan), change);
    let namespaces = report.unwrap().namespaces;
    let dumped = namespaces.iter().find(|it| it.namespace.db == "shop");
    let twice = dumped.unwrap().documents - 80;
    assert!(twice > 0);

    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    let wanted = Fingerprint::of(&source.client(), &compared()).await;
    for options in [
        RestoreOptions::default(),
        RestoreOptions::default().drop(true),
        RestoreOptions::default()
            .drop(true)
            .maintain_insertion_order(true),
    ] {
        restore(&snapshot, &target, options).await;
        let found = Fingerprint::of(&target.client(), &compared()).await;
        assert_same(&wanted, &found);
    }

    // One that was there before is in the way, as in every restore.
    let of_target = target.client().database("shop");
    let of_target = of_target.collection::<Document>("orders");
    of_target
        .delete_many(doc! { "_id": { "$gt": 5 } })
        .await
        .unwrap();
    let reader = SnapshotReader::open(&snapshot, &Selector::default())
        .await
        .unwrap();
    let merge = Restore::new(&target_of(&target).await, Arc::new(reader));
    let plan = merge.plan().await.unwrap();
    let report = merge.run(plan).await.unwrap();
    assert!(report.failed_documents >= 6, "{:?}", report.problems);
}
