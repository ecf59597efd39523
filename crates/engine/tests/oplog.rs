//! Capturing the oplog with a dump, and replaying it after a restore.

use std::{io::Cursor, path::Path, sync::Arc};

use bson::{Document, RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt;
use rdump::{
    ArchiveReader, ArchiveWriter, Compression, ConnectOptions, Consistency, Counters, Dump,
    DumpOptions, DumpReport, Error, ErrorKind, FolderWriter, Location, ReadMode, ReadPreference,
    RecordingObserver, Restore, RestoreOptions, RestoreReport, Source, media::DumpWriter,
    verify_folder,
};
use rdump_format::Namespace;
use rdump_testkit::{
    Deployment, FailPoint, ReplicaSet, Standalone, Workload, WorkloadOptions, dataset,
    wait::{PATIENCE, wait_for},
    workload,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{
    made::raw,
    restore::{restore, target},
};

mod indexes;
mod replay;
mod start;

pub(crate) fn with_oplog() -> DumpOptions {
    DumpOptions::default().consistency(Consistency::Oplog)
}

pub(crate) fn replaying() -> RestoreOptions {
    RestoreOptions::default().oplog_replay(true)
}

/// A dump that is planned, so that its oplog has to begin now, and not run.
async fn planned(from: &Deployment, writer: Arc<dyn DumpWriter>) -> (Dump, rdump::DumpPlan) {
    let options = ConnectOptions::default().uri(from.root_uri());
    let source = Source::connect(&options).await.unwrap();
    let dump = Dump::new(&source, writer).options(with_oplog());
    let plan = dump.plan().await;
    (dump, plan.unwrap_or_else(|error| panic!("{error:?}")))
}

fn folder_writer(folder: &Path) -> Arc<dyn DumpWriter> {
    Arc::new(FolderWriter::create(&Location::from(folder)).unwrap())
}

/// Dumps while something else writes all the time; returns what has to be there after a replay.
pub(crate) async fn dump_under_load(
    from: &Deployment,
    writer: Arc<dyn DumpWriter>,
    options: DumpOptions,
) -> (DumpReport, workload::State) {
    let names = (0..6).map(|number| format!("work{}.load{number}", number % 2));
    let options_of_load = WorkloadOptions {
        namespaces: names.collect(),
        ..WorkloadOptions::default()
    };
    let load = Workload::start(&from.client(), options_of_load);
    load.await_more(300).await;
    let connect = ConnectOptions::default().uri(from.root_uri());
    let source = Source::connect(&connect).await.unwrap();
    let dump = Dump::new(&source, writer).options(options);
    let plan = dump
        .plan()
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    // The oplog is captured from here on.
    load.await_more(100).await;
    let run = dump.run(plan).await;
    let report = run.unwrap_or_else(|error| panic!("{error:?}"));
    load.await_more(50).await;
    let journal = load.stop().await;
    let end = report.oplog.as_ref().unwrap().end;
    let state = journal.state_at(Timestamp {
        time: end.seconds,
        increment: end.ordinal,
    });
    (report, state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_dumped_under_load_comes_back_as_it_was_at_one_moment() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(5_000).seed(&source.client()).await;
    for compression in [Compression::None, Compression::GZIP, Compression::ZSTD] {
        let folder = TempDir::new().unwrap();
        // Slow enough for hundreds of writes meanwhile.
        let options = with_oplog()
            .compression(compression)
            .limit_bytes_per_second(2 << 20);
        let (report, state) = dump_under_load(&source, folder_writer(folder.path()), options).await;
        let oplog = report.oplog.unwrap();
        assert!(oplog.entries > 50, "{oplog:?}");

        let location = Location::from(folder.path());
        let observer = Arc::new(RecordingObserver::default());
        let verified = verify_folder(&location, observer, CancellationToken::new()).await;
        assert_eq!(verified.unwrap().damage, []);

        let options = replaying().drop(true);
        let replayed = restore(&location, &target, options).await.oplog.unwrap();
        assert!(replayed.operations > 50 && !replayed.limit_reached);
        workload::assert_holds(&state, &target.client(), str::to_owned).await;
        for number in 0..2 {
            for deployment in [&source, &target] {
                let work = deployment.client().database(&format!("work{number}"));
                work.drop().await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_dumped_under_load_comes_back_as_it_was_at_one_moment() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(5_000).seed(&source.client()).await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("archive");
    let writer = ArchiveWriter::create(&Location::from(path.as_path())).unwrap();
    let options = with_oplog()
        .compression(Compression::GZIP)
        .limit_bytes_per_second(2 << 20);
    let (report, state) = dump_under_load(&source, Arc::new(writer), options).await;
    assert!(report.oplog.unwrap().entries > 50);

    let archive = std::fs::read(&path).unwrap();
    let report = restore_archive(archive.clone(), &target, replaying()).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(report.oplog.unwrap().operations > 50);
    workload::assert_holds(&state, &target.client(), str::to_owned).await;

    // Without a replay the oplog is passed over.
    let report = restore_archive(
        archive.clone(),
        &target,
        RestoreOptions::default().drop(true),
    )
    .await;
    assert_eq!(report.unwrap().oplog, None);

    // The end of the oplog is the end of the archive.
    let cut = archive[..archive.len() - 40].to_vec();
    let error = restore_archive(cut, &target, replaying().drop(true)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Data);
}

#[tokio::test]
async fn an_archive_whose_oplog_is_not_last_is_refused_and_holds_nothing_up() {
    let target = Standalone::start().await;
    let (orders, oplog) = (Namespace::new("shop", "orders"), Namespace::oplog());
    let listed = |namespace: &Namespace| rdump_format::ArchiveMetadata {
        namespace: namespace.clone(),
        metadata: String::new(),
        kind: None,
    };
    let prelude = rdump_format::ArchivePrelude {
        concurrent_collections: 1,
        server_version: None,
        tool_version: "test".to_owned(),
        collections: vec![listed(&orders), listed(&oplog)],
    };
    // More than is ever read ahead.
    let pad = "x".repeat(1 << 20);
    let order = raw(&doc! { "_id": 1 });
    let entry = raw(&doc! { "op": "n", "ns": "", "o": { "pad": pad } });
    let entries: Vec<u8> = entry.as_bytes().repeat(40);
    // With documents or with the end of a namespace.
    let archive = |blocks: [(&Namespace, Option<&[u8]>); 4]| {
        let mut archive = Vec::new();
        let mut writer = rdump_format::ArchiveWriter::new(&prelude, &mut archive).unwrap();
        for (namespace, documents) in blocks {
            let Some(documents) = documents else {
                writer.end(namespace, &mut archive).unwrap();
                continue;
            };
            let checksum = rdump_format::Crc64::of(documents);
            writer.run(namespace, &checksum, &mut archive).unwrap();
            archive.extend_from_slice(documents);
        }
        writer.finish().unwrap();
        archive
    };
    let (orders_run, oplog_run) = ((&orders, Some(order.as_bytes())), (&oplog, Some(&*entries)));
    let (orders_end, oplog_end) = ((&orders, None), (&oplog, None));
    for (blocks, message) in [
        (
            [orders_run, oplog_run, oplog_end, orders_end],
            "begins before everything else has ended",
        ),
        (
            [oplog_run, oplog_end, orders_run, orders_end],
            "comes after the oplog",
        ),
    ] {
        let error = restore_archive(archive(blocks), &target, replaying()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains(message), "{error}");
    }
}

async fn restore_archive(
    archive: Vec<u8>,
    to: &Deployment,
    options: RestoreOptions,
) -> Result<RestoreReport, Error> {
    let reader = ArchiveReader::stream("the archive", Cursor::new(archive)).await?;
    let restore = Restore::new(&target(to).await, Arc::new(reader)).options(options);
    let plan = restore.plan().await?;
    restore.run(plan).await
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_created_after_the_plan_come_from_the_oplog() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let shop = source.client().database("shop");
    let orders = shop.collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    let folder = TempDir::new().unwrap();
    let (dump, plan) = planned(&source, folder_writer(folder.path())).await;

    shop.create_collection("late").await.unwrap();
    let late = shop.collection::<Document>("late");
    // A field of this name is nobody's rename.
    let named = doc! { "_id": 2, "renameCollection": "shop.late", "o": { "renameCollection": 1 } };
    late.insert_one(named.clone()).await.unwrap();
    let index = doc! { "createIndexes": "late", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] };
    shop.run_command(index).await.unwrap();
    orders
        .update_one(doc! { "_id": 1 }, doc! { "$set": { "late": true } })
        .await
        .unwrap();
    dump.run(plan)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));

    restore(&Location::from(folder.path()), &target, replaying()).await;
    let shop = target.client().database("shop");
    let found: Vec<Document> = shop
        .collection("late")
        .find(doc! {})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found, [named]);
    let orders: Vec<Document> = shop
        .collection("orders")
        .find(doc! {})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(orders, [doc! { "_id": 1, "late": true }]);
    let indexes = shop
        .collection::<Document>("late")
        .list_index_names()
        .await
        .unwrap();
    assert_eq!(indexes, ["_id_", "a_1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_dropped_or_replaced_while_it_is_read_is_what_the_oplog_says() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let client = source.client();
    for is_archive in [false, true] {
        let names = ["dropped", "replaced"];
        client.database("shop").drop().await.unwrap();
        // The dump is not done before this is read.
        for name in names.into_iter().chain(["kept"]) {
            let namespace = format!("shop.{name}");
            dataset::seed_bulk(&client, &namespace, dataset::Shape::Medium, 8_000, 1).await;
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("archive");
        let writer: Arc<dyn DumpWriter> = match is_archive {
            true => Arc::new(ArchiveWriter::create(&Location::from(path.as_path())).unwrap()),
            false => folder_writer(folder.path()),
        };
        let options = ConnectOptions::default().uri(source.root_uri());
        let connected = Source::connect(&options).await.unwrap();
        let counters = Arc::new(Counters::default());
        let dump = Dump::new(&connected, writer)
            .options(with_oplog().limit_bytes_per_second(4 << 20))
            .counters(Arc::clone(&counters));
        let plan = dump.plan().await.unwrap();
        let interfere = async {
            wait_for("documents to be read", PATIENCE, async || {
                (counters.documents_read.value() > 0).then_some(())
            })
            .await;
            for name in names {
                let collection = client.database("shop").collection::<Document>(name);
                collection.drop().await.unwrap();
            }
            let replaced = client.database("shop").collection("replaced");
            replaced.insert_one(doc! { "_id": "new" }).await.unwrap();
        };
        let (dumped, ()) = futures::join!(dump.run(plan), interfere);
        dumped.unwrap_or_else(|error| panic!("{error:?}"));

        if is_archive {
            let archive = std::fs::read(&path).unwrap();
            let restored = restore_archive(archive, &target, replaying().drop(true)).await;
            restored.unwrap_or_else(|error| panic!("{error:?}"));
        } else {
            restore(&Location::from(folder.path()), &target, replaying()).await;
        }
        let shop = target.client().database("shop");
        let mut collections = shop.list_collection_names().await.unwrap();
        collections.sort();
        assert_eq!(collections, ["kept", "replaced"]);
        let found = shop.collection::<Document>("replaced").find(doc! {}).await;
        let found: Vec<Document> = found.unwrap().try_collect().await.unwrap();
        assert_eq!(found, [doc! { "_id": "new" }]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_dropped_while_its_first_documents_are_read_is_what_the_oplog_says() {
    let source = ReplicaSet::start().await;
    let orders = source
        .client()
        .database("shop")
        .collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    let folder = TempDir::new().unwrap();
    let killed = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": { "failCommands": ["find"], "namespace": "shop.orders", "errorCode": 175 },
    };
    let _killed = FailPoint::enable(&source, killed).await;
    for is_dropped in [false, true] {
        let (dump, plan) = planned(&source, folder_writer(folder.path())).await;
        if is_dropped {
            orders.drop().await.unwrap();
        }
        match dump.run(plan).await {
            Ok(report) => assert!(is_dropped && report.oplog.unwrap().entries > 0),
            Err(error) => {
                assert!(!is_dropped);
                assert_eq!(error.kind(), ErrorKind::Conflict);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_while_the_oplog_is_captured_fails_the_dump() {
    // TOOLS-1818.
    let source = ReplicaSet::start().await;
    let client = source.client();
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    let folder = TempDir::new().unwrap();
    let (dump, plan) = planned(&source, folder_writer(folder.path())).await;
    let late = client.database("shop").collection::<Document>("late");
    late.insert_one(doc! { "_id": 1 }).await.unwrap();
    let rename = doc! { "renameCollection": "shop.late", "to": "shop.later" };
    client.database("admin").run_command(rename).await.unwrap();
    let error = dump.run(plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let message = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        message.contains("renames occur") && message.contains("shop.late"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_is_being_resharded_already_fails_a_dump_with_oplog() {
    // TOOLS-2849.
    let source = ReplicaSet::start().await;
    let config = source.client().database("config");
    let folder = TempDir::new().unwrap();
    let connect = ConnectOptions::default().uri(source.root_uri());
    let connected = Source::connect(&connect).await.unwrap();
    for name in [
        "reshardingOperations",
        "localReshardingOperations.donor",
        "localReshardingOperations.recipient",
    ] {
        config.create_collection(name).await.unwrap();
        let dump = Dump::new(&connected, folder_writer(folder.path())).options(with_oplog());
        let error = dump.plan().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{name}");
        assert!(error.to_string().starts_with("detected resharding"));
        let without = Dump::new(&connected, folder_writer(folder.path()));
        without.plan().await.unwrap();
        config.collection::<Document>(name).drop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oplog_that_was_overrun_fails_the_dump_and_says_so() {
    // mongodump/oplog_dump_test.go.
    // What a crash would need is kept until the next checkpoint, which is taken every second.
    let small = ReplicaSet::builder().oplog_mebibytes(1);
    let source = small.argument("--syncdelay").argument("1").start().await;
    let client = source.client();
    let orders = client
        .database("shop")
        .collection::<RawDocumentBuf>("orders");
    orders.insert_one(raw(&doc! { "_id": -1 })).await.unwrap();
    let folder = TempDir::new().unwrap();
    let (dump, plan) = planned(&source, folder_writer(folder.path())).await;
    let before = newest(&source).await;
    let mut id = 0;
    while oldest(&source).await <= before {
        let pad = "x".repeat(100_000);
        let documents = (id..id + 40).map(|id| raw(&doc! { "_id": id, "pad": &pad }));
        orders.insert_many(documents).await.unwrap();
        id += 40;
        assert!(id < 100_000, "the oplog is never truncated");
    }
    let error = dump.run(plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("oplog overflow"), "{error:?}");
    assert!(!folder.path().join(rdump_format::MANIFEST_FILE).exists());
}

async fn newest(of: &ReplicaSet) -> Timestamp {
    entry(of, -1).await
}

async fn oldest(of: &ReplicaSet) -> Timestamp {
    entry(of, 1).await
}

async fn entry(of: &ReplicaSet, order: i32) -> Timestamp {
    let oplog = of
        .client()
        .database("local")
        .collection::<Document>("oplog.rs");
    let found = oplog
        .find_one(doc! {})
        .sort(doc! { "$natural": order })
        .await;
    found.unwrap().unwrap().get_timestamp("ts").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_the_oplog_that_fails_is_tried_again_and_is_no_overflow() {
    // TOOLS-4338.
    let source = ReplicaSet::start().await;
    dataset::orders(2_000).seed(&source.client()).await;
    for code in [136, 91] {
        let folder = TempDir::new().unwrap();
        let (dump, plan) = planned(&source, folder_writer(folder.path())).await;
        let fault = doc! {
            "configureFailPoint": "failCommand", "mode": { "times": 2 },
            "data": { "failCommands": ["find"], "namespace": "local.oplog.rs", "errorCode": code },
        };
        let fault = FailPoint::enable(&source, fault).await;
        let report = dump
            .run(plan)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        assert!(report.retries > 0, "code {code}");
        drop(fault);
    }
    // What does not pass is reported as what it is.
    let folder = TempDir::new().unwrap();
    let (dump, plan) = planned(&source, folder_writer(folder.path())).await;
    let fault = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": { "failCommands": ["find"], "namespace": "local.oplog.rs", "errorCode": 13 },
    };
    let fault = FailPoint::enable(&source, fault).await;
    let error = dump.run(plan).await.unwrap_err();
    fault.disable().await;
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_waits_for_the_oplog_can_be_cancelled_and_a_failed_read_of_it_ends_all() {
    let source = ReplicaSet::start().await;
    dataset::orders(500).seed(&source.client()).await;
    let connect = ConnectOptions::default().uri(source.root_uri());
    let connected = Source::connect(&connect).await.unwrap();
    let waits = doc! {
        "configureFailPoint": "waitInFindBeforeMakingBatch", "mode": "alwaysOn",
        "data": { "nss": "local.oplog.rs" },
    };
    let fails = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": { "failCommands": ["find"], "namespace": "local.oplog.rs", "errorCode": 13 },
    };
    for (fault, kind) in [(waits, ErrorKind::Cancelled), (fails, ErrorKind::Denied)] {
        let folder = TempDir::new().unwrap();
        let counters = Arc::new(Counters::default());
        let cancel = CancellationToken::new();
        let dump = Dump::new(&connected, folder_writer(folder.path()))
            .options(with_oplog())
            .counters(Arc::clone(&counters))
            .cancel(cancel.clone());
        let plan = dump.plan().await.unwrap();
        let namespaces = plan.namespaces().count() as u64;
        let _fault = FailPoint::enable(&source, fault).await;
        let run = async {
            let ended = tokio::time::timeout(PATIENCE, dump.run(plan)).await;
            ended.unwrap_or_else(|_| panic!("the dump hangs"))
        };
        let stop = async {
            if kind == ErrorKind::Cancelled {
                wait_for("all collections to be dumped", PATIENCE, async || {
                    (counters.namespaces_finished.value() == namespaces).then_some(())
                })
                .await;
                cancel.cancel();
            }
        };
        let (ended, ()) = futures::join!(run, stop);
        assert_eq!(ended.unwrap_err().kind(), kind);
        assert!(!folder.path().join(rdump_format::MANIFEST_FILE).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_from_a_secondary_comes_back_as_it_was_at_one_moment() {
    let source = ReplicaSet::builder().members(3).start().await;
    let target = ReplicaSet::start().await;
    dataset::orders(2_000).seed(&source.client()).await;
    let folder = TempDir::new().unwrap();
    let options = with_oplog()
        .read_preference(ReadPreference::new(ReadMode::Secondary))
        .limit_bytes_per_second(1 << 20);
    let (_, state) = dump_under_load(&source, folder_writer(folder.path()), options).await;
    restore(&Location::from(folder.path()), &target, replaying()).await;
    workload::assert_holds(&state, &target.client(), str::to_owned).await;
}

#[tokio::test]
async fn what_has_no_oplog_or_that_has_other_documents_cannot_be_dumped_with_one() {
    let standalone = Standalone::start().await;
    let set = ReplicaSet::start().await;
    for (deployment, options, kind, words) in [
        (
            &*standalone,
            with_oplog(),
            ErrorKind::Unsupported,
            "there is no oplog",
        ),
        (
            &*set,
            with_oplog()
                .db("shop")
                .collection("orders")
                .query("{\"a\": 1}"),
            ErrorKind::Invalid,
            "neither the documents",
        ),
    ] {
        let connect = ConnectOptions::default().uri(deployment.root_uri());
        let source = Source::connect(&connect).await.unwrap();
        let folder = TempDir::new().unwrap();
        let dump = Dump::new(&source, folder_writer(folder.path())).options(options);
        let error = dump.plan().await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(words), "{error}");
    }
}
