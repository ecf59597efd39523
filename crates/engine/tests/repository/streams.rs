//! Capturing change streams.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc};
use rdump::{
    Backup, Capture, CaptureOptions, CaptureSource, ConnectOptions, Consistency, DumpOptions,
    ErrorKind, Event, Flavor, Pattern, Repository, Restore, RestoreOptions, RestorePoint, Selector,
    Source, Target,
};
use rdump_testkit::{
    Deployment, DocumentDb, Fingerprint, FingerprintOptions, ReplicaSet, ServerVersion, Workload,
    WorkloadOptions, dataset,
    fingerprint::assert_same,
    wait::{PATIENCE, wait_for},
};

use super::{
    capture::{
        Running, auto, backup, empty, every_moment, insert, restore, restore_latest, source,
        try_restore,
    },
    in_memory,
};

mod documentdb;
mod untold;

fn streams() -> CaptureOptions {
    CaptureOptions::default()
        .slice_age(Duration::from_millis(200))
        .source(CaptureSource::ChangeStream)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_that_a_stream_told_of_can_be_restored() {
    let options = WorkloadOptions {
        time_series: 0,
        ..WorkloadOptions::everything(7)
    };
    every_moment(streams(), options).await;
}

fn only(pattern: &str) -> Selector {
    Selector {
        include: vec![Pattern::parse(pattern).unwrap()],
        exclude: Vec::new(),
    }
}

/// Everything in these databases is the same.
async fn check_same(from: &Deployment, to: &Deployment, databases: &[&str]) {
    let all = FingerprintOptions::new().databases(databases.iter().copied());
    let expected = Fingerprint::of(&from.client(), &all).await;
    assert_same(&expected, &Fingerprint::of(&to.client(), &all).await);
}

/// Captures what was written until now.
async fn catch_up(from: &ReplicaSet, repository: &Repository, options: CaptureOptions) {
    let capture = Capture::new(&source(from).await, repository);
    let capture = capture.options(options.until_caught_up(true));
    let report = capture.run().await.unwrap();
    assert_eq!((report.gaps, report.interruptions), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_the_oplog_captures_a_stream_of_what_may_be_read() {
    let from = ReplicaSet::builder().auth().start().await;
    let to = ReplicaSet::start().await;
    from.create_user("everywhere", "secret", &[("readAnyDatabase", "admin")])
        .await;
    from.create_user("shop", "secret", &[("read", "shop")])
        .await;
    let client = from.client();
    let insert = async |db: &str, id: i32| {
        let log = client.database(db).collection("log");
        log.insert_one(doc! { "_id": id }).await.unwrap();
    };
    insert("shop", 0).await;
    insert("other", 0).await;
    for (user, select, documents) in [
        ("everywhere", Selector::default(), 2),
        ("shop", only("shop.*"), 1),
    ] {
        let (_, repository) = in_memory().await;
        backup(&from, &repository, auto()).await;
        let options = ConnectOptions::default().uri(from.uri_for(user));
        let source = Source::connect(&options).await.unwrap();
        let options = CaptureOptions::default().select(select.clone());
        let options = options.slice_age(Duration::from_millis(200));
        let observer = Arc::new(rdump::RecordingObserver::default());
        let capture = Capture::new(&source, &repository).observer(Arc::clone(&observer) as _);
        insert("shop", documents).await;
        insert("other", documents).await;
        // Its end is that of the database.
        if user == "shop" {
            client.database("shop").drop().await.unwrap();
            insert("shop", 7).await;
        }
        let capture = capture.options(options.until_caught_up(true));
        let report = capture.run().await.unwrap();
        assert_eq!(report.gaps, 0);
        let is_said = |event: &Event| format!("{event:?}").contains("the oplog may not be read");
        assert!(observer.events().iter().any(is_said));
        let options = RestoreOptions::default().select(select);
        restore(&repository, &to, RestorePoint::Latest, options).await;
        let counted = async |db: &str| {
            let log = to.client().database(db).collection::<Document>("log");
            log.count_documents(doc! {}).await.unwrap()
        };
        let expected = if user == "shop" { (1, 0) } else { (2, 2) };
        assert_eq!(
            (counted("shop").await, counted("other").await),
            expected,
            "{user}"
        );
        empty(&to).await;
    }
    let options = ConnectOptions::default().uri(from.uri_for("shop"));
    let source = Source::connect(&options).await.unwrap();
    let (_, repository) = in_memory().await;
    let capture = Capture::new(&source, &repository);
    let error = capture.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(
        error.hint().unwrap().contains("readAnyDatabase"),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_16_mib_come_in_parts() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    let log = from.client().database("shop").collection("log");
    log.insert_one(doc! { "_id": 0 }).await.unwrap();
    backup(&from, &repository, auto()).await;
    let large = |id: i32, letter: &str| {
        let empty = bson::serialize_to_vec(&doc! { "_id": id, "text": "" }).unwrap();
        doc! { "_id": id, "text": letter.repeat((16 << 20) - empty.len()) }
    };
    log.insert_one(large(1, "a")).await.unwrap();
    log.replace_one(doc! { "_id": 0 }, large(0, "b"))
        .await
        .unwrap();
    let change = doc! { "$set": { "text": large(1, "c").get("text") } };
    log.update_one(doc! { "_id": 1 }, change).await.unwrap();
    let capture = Capture::new(&source(&from).await, &repository);
    let capture = capture.options(streams().until_caught_up(true));
    let report = capture.run().await.unwrap();
    assert_eq!(report.gaps, 0);
    restore_latest(&repository, &to).await;
    check_same(&from, &to, &["shop"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_series_collections_are_not_brought_to_a_moment_that_no_stream_tells_of() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    let shop = from.client().database("shop");
    let create = doc! { "create": "weather", "timeseries": { "timeField": "t" } };
    shop.run_command(create).await.unwrap();
    let log = shop.collection("log");
    log.insert_one(doc! { "_id": 0 }).await.unwrap();
    backup(&from, &repository, auto()).await;
    log.insert_one(doc! { "_id": 1 }).await.unwrap();
    catch_up(&from, &repository, streams()).await;
    let options = RestoreOptions::default();
    let error = try_restore(&repository, &to, RestorePoint::Latest, options.clone()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("shop.weather"), "{error}");
    let options = options.select(Selector {
        exclude: vec![Pattern::parse("*.weather").unwrap()],
        ..Selector::default()
    });
    restore(&repository, &to, RestorePoint::Latest, options).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_between_the_oplog_and_a_stream_is_a_gap() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    let log = from.client().database("shop").collection("log");
    let mut gaps = 0;
    for (id, learned) in [
        CaptureSource::Oplog,
        CaptureSource::ChangeStream,
        CaptureSource::Oplog,
    ]
    .into_iter()
    .enumerate()
    {
        if id == 0 {
            backup(&from, &repository, auto()).await;
        }
        let running = Running::start(&from, &repository, streams().source(learned)).await;
        let begun = async || repository.capturing().await.unwrap().map(drop);
        wait_for("the capture to begin", PATIENCE, begun).await;
        let slices = async |id: i32| {
            log.insert_one(doc! { "_id": id }).await.unwrap();
            (running.slices() > 0).then_some(())
        };
        let mut number = i32::try_from(id).unwrap() * 1_000_000;
        wait_for("a slice", PATIENCE, async || {
            number += 1;
            slices(number).await
        })
        .await;
        gaps += running.stop().await.gaps;
    }
    assert_eq!(gaps, 2);
    let now = RestorePoint::EndOf(u32::MAX);
    let error = try_restore(&repository, &to, now, RestoreOptions::default()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::OplogGap);
}
