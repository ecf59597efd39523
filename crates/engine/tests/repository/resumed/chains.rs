//! Restores that are interrupted again and again.

use std::sync::Arc;

use bson::{Document, doc};
use rdump::{Consistency, DumpOptions, ErrorKind, Event, OnConflict, RestoreOptions};
use rdump_testkit::{
    Deployment, FailPoint, Fingerprint, FingerprintOptions, ReplicaSet, Standalone, dataset,
    fingerprint::assert_same,
};

use super::{
    super::{backup, try_backup, writer},
    Watching, begun, documents, in_memory, interrupted, ledgers, try_restore,
};
use crate::authorization;

/// Goes on until the restore is done, each time a few events further; returns how often it was interrupted.
async fn to_the_end(
    snapshot: &rdump::Snapshot,
    to: &Deployment,
    options: &RestoreOptions,
    events: usize,
) -> usize {
    for times in 0.. {
        let resume = !ledgers(to).await.is_empty();
        let options = options.clone().resume(resume);
        match interrupted(snapshot, to, options, events * (times + 1)).await {
            Ok(report) => {
                assert_eq!(report.problems, []);
                assert_eq!(report.failed_documents, 0);
                // All of it, and not what the last run did alone.
                assert_eq!(report.documents, documents(snapshot));
                return times;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}"),
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_data_set_comes_back_however_often_its_restore_is_interrupted() {
    let source = ReplicaSet::start().await;
    for data in dataset::all() {
        data.seed(&source.client()).await;
    }
    let compared = FingerprintOptions::new().ignore_index_version(true);
    let expected = Fingerprint::of(&source.client(), &compared).await;
    let (_, repository) = in_memory().await;
    let dump = DumpOptions::default().segment_bytes(64 << 10);
    let snapshot = backup(&repository, &source, dump).await;
    let (set, alone) = tokio::join!(ReplicaSet::start(), Standalone::start());
    let options = RestoreOptions::default()
        .on_conflict(OnConflict::Fail)
        .bypass_document_validation(true);
    let targets: [(&Deployment, usize); 2] = [(&set, 17), (&alone, 29)];
    for (target, events) in targets {
        let times = to_the_end(&snapshot, target, &options, events).await;
        assert!(times > 3, "{times}");
        let found = Fingerprint::of(&target.client(), &compared).await;
        assert_same(&expected, &found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_roles_come_back_after_an_interruption() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    authorization::seed(&source).await;
    dataset::orders(200).seed(&source.client()).await;
    let expected = authorization::all(&source).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let mut times = 0;
    for events in (3..).step_by(2) {
        let resume = !ledgers(&target).await.is_empty();
        let options = RestoreOptions::default().resume(resume);
        match interrupted(&snapshot, &target, options, events).await {
            Ok(report) => {
                assert_eq!(report.problems, []);
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}"),
        }
        times += 1;
    }
    assert!(times > 3, "{times}");
    assert_eq!(authorization::all(&target).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_first_is_not_dropped_twice_and_what_is_skipped_stays() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for number in 0..6 {
        let name = format!("shop.c{number}");
        let shape = dataset::Shape::Small;
        dataset::seed_bulk(&source.client(), &name, shape, 500, number).await;
    }
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let compared = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &compared).await;
    let database = target.client().database("shop");
    let mine = doc! { "_id": "mine" };
    for number in 0..3 {
        let collection = database.collection::<Document>(&format!("c{number}"));
        collection.insert_one(&mine).await.unwrap();
    }
    let skip = RestoreOptions::default().on_conflict(OnConflict::Skip);
    let mut resumes = 0;
    for events in 4.. {
        let resume = !ledgers(&target).await.is_empty();
        resumes += usize::from(resume);
        let options = skip.clone().resume(resume);
        if let Ok(report) = interrupted(&snapshot, &target, options, events).await {
            assert_eq!(report.namespaces.len(), 3);
            assert_eq!((report.documents, report.problems), (1_500, Vec::new()));
            break;
        }
    }
    assert!(resumes > 0);
    for number in 0..3 {
        let collection = database.collection::<Document>(&format!("c{number}"));
        assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 1);
    }

    let drop = RestoreOptions::default().drop(true);
    // The last one makes each collection with the UUID of the one that it drops.
    let same = drop.clone().preserve_uuid(true);
    for options in [&drop, &same, &same] {
        assert!(to_the_end(&snapshot, &target, options, 5).await > 0);
        let found = Fingerprint::of(&target.client(), &compared).await;
        assert_same(&expected, &found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_build_that_was_left_under_way_is_waited_for() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::indexes().seed(&source.client()).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    begun(&snapshot, &target, RestoreOptions::default()).await;
    // CannotCreateIndex: those that are being built count towards the 64 that there may be.
    let (twice, failure) = (doc! { "times": 2 }, doc! { "errorCode": 67 });
    let point = FailPoint::fail_command(&target, &["createIndexes"], twice, failure).await;
    let resume = RestoreOptions::default().resume(true);
    let (report, _) = try_restore(&snapshot, &target, resume).await;
    let report = report.unwrap();
    assert!(report.retries >= 2, "{}", report.retries);
    assert_eq!(report.problems, []);
    point.disable().await;
    let compared = FingerprintOptions::new().ignore_index_version(true);
    let expected = Fingerprint::of(&source.client(), &compared).await;
    let found = Fingerprint::of(&target.client(), &compared).await;
    assert_same(&expected, &found);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_gone_on_with() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(200).seed(&source.client()).await;
    let (_, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository));
    let oplog = DumpOptions::default().consistency(Consistency::Oplog);
    try_backup(&writer, &source, oplog).await.unwrap();
    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    let options = || RestoreOptions::default().oplog_replay(true);
    begun(&snapshot, &target, options()).await;
    let is_oplog = |event: &Event| match event {
        Event::NamespaceStarted { namespace, .. } => namespace.is_oplog(),
        _ => false,
    };
    let (uri, resume) = (target.root_uri(), options().resume(true));
    let watching = Watching::start(&snapshot, uri, resume.clone(), is_oplog).await;
    let error = watching.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
    let (report, _) = try_restore(&snapshot, &target, resume).await;
    let report = report.unwrap();
    assert_eq!(report.problems, []);
    assert!(report.oplog.is_some() && report.documents >= 200);
    assert_eq!(ledgers(&target).await.len(), 0);
    let options = FingerprintOptions::new();
    let there = Fingerprint::of(&target.client(), &options).await;
    assert_same(&Fingerprint::of(&source.client(), &options).await, &there);
}
