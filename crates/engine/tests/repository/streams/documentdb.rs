//! Amazon DocumentDB, as far as it is known what that does.

use rdump_format::repository::{GapReason, GapRecord, OplogSlice};

use super::*;
use crate::repository::{encrypted::somebody, objects};

/// Inserts until that is captured; gives the last id.
async fn begun(set: &ReplicaSet, running: &Running) -> i32 {
    let mut id = 0;
    wait_for("the first slice", PATIENCE, async || {
        id += 1;
        insert(set, id).await;
        (running.slices() > 0).then_some(())
    })
    .await;
    id
}

async fn source_at(uri: String) -> Source {
    let options = ConnectOptions::default().uri(uri);
    Source::connect(&options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn amazon_documentdb_is_known_by_what_it_answers_and_asked_nothing_that_it_refuses() {
    let set = ReplicaSet::start().await;
    let documentdb = DocumentDb::start(&set).await;
    assert_eq!(source(&set).await.server().flavor, Flavor::MongoDb);
    let from = source_at(documentdb.uri()).await;
    assert_eq!(from.server().flavor, Flavor::DocumentDb);
    dataset::orders(500).seed(&set.client()).await;

    let (_, repository) = in_memory().await;
    let options = streams().source(CaptureSource::Auto);
    let capture = Capture::new(&from, &repository).options(options.clone());
    let error = capture.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(
        error.hint().unwrap().contains("modifyChangeStreams"),
        "{error:?}"
    );
    documentdb.enable_change_streams("", "").await;
    let running = Running::of(&from, &repository, options);
    let begun = async || repository.capturing().await.unwrap().map(drop);
    wait_for("the capture to begin", PATIENCE, begun).await;
    let log = set.client().database("shop").collection("log");
    for id in 0..100 {
        log.insert_one(doc! { "_id": id }).await.unwrap();
    }
    running.await_slices(1).await;
    let report = running.stop().await;
    assert_eq!(report.gaps, 0);
    let backup = Backup::new(&from, &repository).options(DumpOptions::default());
    let plan = Box::pin(backup.plan()).await.unwrap();
    backup.run(plan).await.unwrap();
    assert_eq!(documentdb.refusals(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn amazon_documentdb_is_backed_up_and_captured_and_comes_back() {
    let (set, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let documentdb = DocumentDb::start(&set).await;
    documentdb.enable_change_streams("", "").await;
    let from = source_at(documentdb.uri()).await;
    let (_, repository) = in_memory().await;
    let shop = documentdb.client().database("shop");
    shop.create_collection("old").await.unwrap();
    let load = Workload::start(
        &set.client(),
        WorkloadOptions {
            transactions: 1,
            ..WorkloadOptions::default()
        },
    );
    load.await_more(200).await;
    let options = streams().source(CaptureSource::Auto);
    let running = Running::of(&from, &repository, options.clone());
    running.await_slices(1).await;
    let backup = Backup::new(&from, &repository).options(auto());
    let plan = Box::pin(backup.plan()).await.unwrap();
    let index = mongodb::IndexModel::builder().keys(doc! { "a": 1 }).build();
    let new = shop.collection::<Document>("new");
    new.create_index(index).await.unwrap();
    new.insert_one(doc! { "_id": 1, "a": 1 }).await.unwrap();
    let report = backup.run(plan).await.unwrap().report;
    assert_eq!(report.consistency, Consistency::Oplog);
    let base = report.consistent_at.unwrap();
    load.await_more(200).await;
    running.kill().await;
    load.await_more(200).await;
    shop.collection::<Document>("old").drop().await.unwrap();
    new.insert_one(doc! { "_id": 2, "a": 2 }).await.unwrap();
    let journal = load.stop().await;
    let capture = Capture::new(&from, &repository).options(options.until_caught_up(true));
    let report = capture.run().await.unwrap();
    assert_eq!((report.gaps, report.interruptions), (0, 0));
    assert_eq!(documentdb.refusals(), [""; 0]);

    // The snapshot alone is of its moment, but for documents that were updated after it when they were looked up.
    let point = repository
        .point_in_time(RestorePoint::Latest, None)
        .await
        .unwrap();
    assert_eq!(point.base(), base);
    restore(
        &repository,
        &to,
        RestorePoint::At(base),
        RestoreOptions::default(),
    )
    .await;
    let all = FingerprintOptions::new().databases(["shop"]);
    let found = Fingerprint::of(&to.client(), &all).await;
    let of_new = ("shop".to_owned(), "new".to_owned());
    assert_eq!(found.collections()[&of_new].indexes.len(), 2);
    empty(&to).await;

    restore_latest(&repository, &to).await;
    let state = journal.expected_state();
    state.assert_holds(&to.client(), str::to_owned).await;
    let expected = Fingerprint::of(&set.client(), &all).await;
    assert_same(&expected, &Fingerprint::of(&to.client(), &all).await);
    empty(&to).await;
    let target = DocumentDb::start(&to).await;
    let options = ConnectOptions::default().uri(target.uri());
    let into = Target::connect(&options).await.unwrap();
    let point = repository
        .point_in_time(RestorePoint::Latest, None)
        .await
        .unwrap();
    let options = RestoreOptions::default();
    let reader = Box::pin(point.reader(&options)).await.unwrap();
    let restore = Restore::new(&into, Arc::new(reader)).options(options);
    let plan = Box::pin(restore.plan()).await.unwrap();
    let report = Box::pin(restore.run(plan)).await;
    assert_eq!(target.refusals(), [""; 0]);
    report.unwrap();
    state.assert_holds(&to.client(), str::to_owned).await;
    assert_same(&expected, &Fingerprint::of(&to.client(), &all).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_disabled_meanwhile_end_the_capture_and_nothing_is_said_of_then() {
    let set = ReplicaSet::start().await;
    let documentdb = DocumentDb::start(&set).await;
    documentdb.enable_change_streams("", "").await;
    let from = source_at(documentdb.uri()).await;
    let (_, repository) = in_memory().await;
    let mut running = Running::of(&from, &repository, streams().source(CaptureSource::Auto));
    let mut id = begun(&set, &running).await;
    documentdb.disable_change_streams("", "").await;
    id += 1;
    let untold = insert(&set, id).await;
    let ended = running.task.join_next().await.unwrap().unwrap();
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    let timeline = repository.timeline().await.unwrap();
    assert!(timeline.slices().all(|slice| slice.end < untold));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_is_not_told_is_a_gap_which_says_nothing_to_who_has_no_key() {
    let set = ReplicaSet::start().await;
    let documentdb = DocumentDb::start(&set).await;
    documentdb.enable_change_streams("", "").await;
    let from = source_at(documentdb.uri()).await;
    let (store, repository) = in_memory().await;
    let (recipients, identities) = somebody();
    let repository = repository.identities(Some(identities));
    let options = streams().source(CaptureSource::Auto);
    let capture = Capture::new(&from, &repository).options(options);
    let running = Running::run(capture.recipients(Some(recipients)));
    begun(&set, &running).await;
    // Over another one: no new name appears.
    let shop = set.client().database("shop");
    shop.create_collection("other").await.unwrap();
    running.await_captured(insert(&set, 0).await).await;
    let rename = doc! { "renameCollection": "shop.log", "to": "shop.other", "dropTarget": true };
    let admin = set.client().database("admin");
    admin.run_command(rename).await.unwrap();
    // What is there is looked for as slices are stored.
    let more = shop.collection("more");
    wait_for("a gap", 2 * PATIENCE, async || {
        more.insert_one(doc! {}).await.unwrap();
        let timeline = repository.timeline().await.unwrap();
        (timeline.gaps().count() > 0).then_some(())
    })
    .await;
    running.await_captured(insert(&set, -1).await).await;
    let report = running.stop().await;
    assert_eq!(report.gaps, 1);
    let timeline = repository.timeline().await.unwrap();
    let gap = timeline.gaps().next().unwrap().path();
    let objects = objects(&*store).await;
    let record = GapRecord::from_bytes(&objects[&gap]).unwrap();
    assert_eq!(
        (record.reason, record.detail.as_str()),
        (GapReason::StreamEnded, "")
    );
    let slice = timeline.slices().next().unwrap().path();
    let slice = OplogSlice::read(&objects[&slice]).unwrap();
    // There is nothing of a document in it.
    assert!(slice.footer.resume.is_some());
}
