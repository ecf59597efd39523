//! Capturing change streams.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc};
use rdump::{
    Backup, Capture, CaptureOptions, CaptureSource, ConnectOptions, Consistency, DumpOptions,
    ErrorKind, Event, Flavor, OpTime, Pattern, Repository, Restore, RestoreOptions, RestorePoint,
    Selector, Source, Target,
};
use rdump_testkit::{
    DocumentDb, Fingerprint, FingerprintOptions, ReplicaSet, ServerVersion, Workload,
    WorkloadOptions, dataset,
    fingerprint::assert_same,
    wait::{PATIENCE, wait_for},
    workload::Outcome,
};

use super::{
    capture::{Running, auto, backup, empty, restore, source, try_restore},
    in_memory,
};

fn streams() -> CaptureOptions {
    CaptureOptions::default()
        .slice_age(Duration::from_millis(200))
        .source(CaptureSource::ChangeStream)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_that_a_stream_told_of_can_be_restored() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(100).seed(&from.client()).await;
    let (_, repository) = in_memory().await;
    let options = WorkloadOptions {
        time_series: 0,
        ..WorkloadOptions::everything(7)
    };
    let load = Workload::start(&from.client(), options);
    load.await_more(200).await;
    let running = Running::start(&from, &repository, streams()).await;
    running.await_slices(1).await;
    let base = backup(&from, &repository, auto()).await;
    load.await_more(400).await;
    running.kill().await;
    load.await_more(100).await;
    let running = Running::start(&from, &repository, streams()).await;
    load.await_more(400).await;
    running.await_slices(2).await;
    let journal = load.stop().await;
    let report = running.stop().await;
    assert_eq!((report.gaps, report.interruptions), (0, 0));
    let stretches = repository.timeline().await.unwrap().stretches();
    let [stretch] = stretches.as_slice() else {
        panic!("{stretches:?}");
    };
    assert!(stretch.start <= base);
    let times = journal
        .writes()
        .iter()
        .filter_map(|write| match write.outcome {
            Outcome::Acknowledged(Some(at)) if OpTime::from(at) > base => Some(at),
            _ => None,
        });
    let mut times: Vec<_> = times
        .filter(|at| OpTime::from(*at) <= stretch.end)
        .collect();
    times.sort();
    for number in 1..=6 {
        let at = times[times.len() * number / 7];
        let point = RestorePoint::At(at.into());
        restore(&repository, &to, point, RestoreOptions::default()).await;
        let state = journal.state_at(at);
        state.assert_holds(&to.client(), str::to_owned).await;
        empty(&to).await;
    }
}

fn only(pattern: &str) -> Selector {
    Selector {
        include: vec![Pattern::parse(pattern).unwrap()],
        exclude: Vec::new(),
    }
}

/// Captures what was written until now.
async fn catch_up(from: &ReplicaSet, repository: &Repository, options: CaptureOptions) {
    let capture = Capture::new(&source(from).await, repository);
    let capture = capture.options(options.until_caught_up(true));
    let report = capture.run().await.unwrap();
    assert_eq!((report.gaps, report.interruptions), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_older_servers_do_not_tell_of_definitions_is_looked_up() {
    let from = ReplicaSet::builder();
    let from = from.version(ServerVersion::V5_0_4).start().await;
    let to = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let shop = from.client().database("shop");
    let orders = shop.collection::<Document>("orders");
    for id in 0..10 {
        let order = doc! { "_id": id, "a": [1, { "b": 1 }], "c": { "d": 1 } };
        orders.insert_one(order).await.unwrap();
    }
    let index = |keys: Document| mongodb::IndexModel::builder().keys(keys).build();
    orders.create_index(index(doc! { "a": 1 })).await.unwrap();
    backup(&from, &repository, auto()).await;
    catch_up(&from, &repository, streams()).await;

    orders.create_index(index(doc! { "c": 1 })).await.unwrap();
    orders.drop_index("a_1").await.unwrap();
    orders
        .update_many(
            doc! { "_id": { "$lt": 5 } },
            doc! { "$set": { "a.1.b": 2, "z": 1, "e": 2 }, "$unset": { "c.d": 1 } },
        )
        .await
        .unwrap();
    catch_up(&from, &repository, streams()).await;
    for command in [
        doc! { "create": "rules", "validator": { "a": { "$gt": 1 } } },
        doc! { "create": "seen", "viewOn": "orders", "pipeline": [] },
        doc! { "createIndexes": "rules", "indexes": [{ "key": { "a": 1 }, "name": "a", "unique": true }] },
        doc! { "insert": "rules", "documents": [{ "_id": 1, "a": 2 }] },
        doc! { "insert": "gone", "documents": [{ "_id": 1 }] },
    ] {
        shop.run_command(command).await.unwrap();
    }
    catch_up(&from, &repository, streams()).await;
    for command in [
        doc! { "collMod": "rules", "validator": { "a": { "$gt": 0 } } },
        doc! { "collMod": "seen", "viewOn": "rules", "pipeline": [] },
        doc! { "drop": "gone" },
        doc! { "insert": "rules", "documents": [{ "_id": 2, "a": 1 }] },
    ] {
        shop.run_command(command).await.unwrap();
    }
    let admin = from.client().database("admin");
    let rename = doc! { "renameCollection": "shop.orders", "to": "shop.old" };
    admin.run_command(rename).await.unwrap();
    catch_up(&from, &repository, streams()).await;

    restore(
        &repository,
        &to,
        RestorePoint::Latest,
        RestoreOptions::default(),
    )
    .await;
    let all = FingerprintOptions::new().databases(["shop"]);
    let expected = Fingerprint::of(&from.client(), &all).await;
    assert_same(&expected, &Fingerprint::of(&to.client(), &all).await);

    // What comes from another database is not told of.
    let rename = doc! { "renameCollection": "shop.old", "to": "other.old" };
    admin.run_command(rename).await.unwrap();
    let capture = Capture::new(&source(&from).await, &repository);
    let capture = capture.options(streams().until_caught_up(true));
    assert_eq!(capture.run().await.unwrap().gaps, 1);
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
    restore(
        &repository,
        &to,
        RestorePoint::Latest,
        RestoreOptions::default(),
    )
    .await;
    let all = FingerprintOptions::new().databases(["shop"]);
    let expected = Fingerprint::of(&from.client(), &all).await;
    assert_same(&expected, &Fingerprint::of(&to.client(), &all).await);
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

    restore(
        &repository,
        &to,
        RestorePoint::Latest,
        RestoreOptions::default(),
    )
    .await;
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
