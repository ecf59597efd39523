//! What fails or changes while a dump is made.

use std::{fs, sync::Arc};

use bson::doc;
use rdump::{
    CancellationToken, Counters, Discard, Dump, DumpOptions, ErrorKind, Event, FolderWriter,
    Location, Namespace, RecordingObserver,
};
use rdump_format::MANIFEST_FILE;
use rdump_testkit::{
    FailPoint, Proxy, ReplicaSet, Standalone, dataset,
    wait::{PATIENCE, wait_for},
};
use tempfile::TempDir;

use super::{Dumped, connect, dump, dump_to, partitions};

#[tokio::test]
async fn a_collection_that_was_replaced_since_the_plan_fails_the_dump() {
    let source = ReplicaSet::start().await;
    let collection = source.client().database("shop").collection("c");
    collection.insert_one(doc! { "x": 1 }).await.unwrap();
    for replace in [true, false] {
        let folder = TempDir::new().unwrap();
        let writer = FolderWriter::create(&Location::from(folder.path())).unwrap();
        let dump = Dump::new(&connect(source.uri()).await, Arc::new(writer));
        let plan = dump.plan().await.unwrap();
        collection.drop().await.unwrap();
        if replace {
            collection.insert_one(doc! { "x": 2 }).await.unwrap();
        }
        let error = dump.run(plan).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.namespace(), Some(&Namespace::new("shop", "c")));
        assert!(!folder.path().join(MANIFEST_FILE).exists());
    }
}

#[tokio::test]
async fn a_collection_that_cannot_be_sampled_is_read_by_one_cursor() {
    let source = ReplicaSet::start().await;
    dataset::orders(2_000).seed(&source.client()).await;
    // CursorNotFound.
    let failure = doc! { "errorCode": 43 };
    let point =
        FailPoint::fail_command(&source, &["aggregate"], doc! { "times": 1 }, failure).await;
    let dumped = dump(&source, partitions(4)).await;
    assert!(point.disable().await > 0);
    assert_eq!(dumped.documents("shop/orders.bson").len(), 2_000);
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_of_one_line_that_says_why() {
    // TOOLS-2498.
    let source = Standalone::start().await;
    dataset::orders(100).seed(&source.client()).await;
    let uri = format!("{}&serverSelectionTimeoutMS=100", source.uri());
    let dump = Dump::new(&connect(uri).await, Arc::new(Discard))
        .options(DumpOptions::default().max_retries(1));
    drop(source);
    let error = dump.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("I/O error: "), "{cause}");
    assert!(!cause.contains("Topology"), "{cause}");
}

#[tokio::test]
async fn a_collection_dropped_or_renamed_while_it_is_read_fails_the_dump() {
    for rename in [false, true] {
        let source = ReplicaSet::start().await;
        dataset::seed_bulk(
            &source.client(),
            "shop.c",
            dataset::Shape::Medium,
            20_000,
            1,
        )
        .await;
        let folder = TempDir::new().unwrap();
        let writer = FolderWriter::create(&Location::from(folder.path())).unwrap();
        let counters = Arc::new(Counters::default());
        let dump = Dump::new(&connect(source.uri()).await, Arc::new(writer))
            .options(DumpOptions::default().limit_bytes_per_second(4 << 20))
            .counters(Arc::clone(&counters));
        let plan = dump.plan().await.unwrap();
        let interfere = async {
            wait_for("documents to be read", PATIENCE, async || {
                (counters.documents_read.value() > 0).then_some(())
            })
            .await;
            let client = source.client();
            if rename {
                let command = doc! { "renameCollection": "shop.c", "to": "shop.d" };
                client.database("admin").run_command(command).await.unwrap();
            } else {
                client
                    .database("shop")
                    .collection::<bson::Document>("c")
                    .drop()
                    .await
                    .unwrap();
            }
        };
        let (result, ()) = futures::join!(dump.run(plan), interfere);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert!(!folder.path().join(MANIFEST_FILE).exists());
    }
}

#[tokio::test]
async fn a_cancelled_dump_says_so_and_leaves_nothing_half_written() {
    let source = ReplicaSet::start().await;
    dataset::seed_bulk(
        &source.client(),
        "shop.c",
        dataset::Shape::Medium,
        20_000,
        1,
    )
    .await;
    let folder = TempDir::new().unwrap();
    let writer = FolderWriter::create(&Location::from(folder.path())).unwrap();
    let (cancel, counters) = (CancellationToken::new(), Arc::new(Counters::default()));
    let dump = Dump::new(&connect(source.uri()).await, Arc::new(writer))
        .options(DumpOptions::default().limit_bytes_per_second(4 << 20))
        .counters(Arc::clone(&counters))
        .cancel(cancel.clone());
    let plan = dump.plan().await.unwrap();
    let stop = async {
        wait_for("documents to be read", PATIENCE, async || {
            (counters.documents_read.value() > 0).then_some(())
        })
        .await;
        cancel.cancel();
    };
    let (result, ()) = futures::join!(dump.run(plan), stop);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    let listed = fs::read_dir(folder.path().join("shop")).unwrap();
    let mut left: Vec<_> = listed.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["c.metadata.json", "rdump.unfinished"]);
    assert!(!folder.path().join(MANIFEST_FILE).exists());
}

#[tokio::test]
async fn a_connection_that_is_cut_again_and_again_costs_time_and_no_documents() {
    let source = ReplicaSet::start().await;
    let client = source.client();
    dataset::seed_bulk(&client, "shop.c", dataset::Shape::Medium, 12_000, 1).await;
    let whole = dump(&source, DumpOptions::default().db("shop")).await;
    let proxy = Proxy::start(source.hosts()[0].clone()).await;
    for options in [DumpOptions::default(), partitions(3)] {
        proxy.cut_after(6 << 20);
        let (folder, uri) = (TempDir::new().unwrap(), source.direct_uri_at(&proxy.addr()));
        let report = dump_to(uri, folder.path(), options.db("shop"))
            .await
            .unwrap();
        assert!(report.retries > 0);
        let cut = Dumped { folder, report };
        assert!(whole.documents("shop/c.bson") == cut.documents("shop/c.bson"));
    }
}

#[tokio::test]
async fn a_cursor_that_the_server_forgot_is_replaced() {
    let source = ReplicaSet::start().await;
    dataset::seed_bulk(&source.client(), "shop.c", dataset::Shape::Medium, 5_000, 1).await;
    let whole = dump(&source, DumpOptions::default().db("shop")).await;
    let forget = doc! {
        "configureFailPoint": "failCommand",
        "mode": { "times": 2 },
        "data": { "failCommands": ["getMore"], "errorCode": 43 },
    };
    let fail = FailPoint::enable(&source, forget).await;
    let folder = TempDir::new().unwrap();
    let observer = Arc::new(RecordingObserver::default());
    let writer = FolderWriter::create(&Location::from(folder.path())).unwrap();
    let dump = Dump::new(&connect(source.uri()).await, Arc::new(writer))
        .options(DumpOptions::default().db("shop"))
        .observer(Arc::clone(&observer) as _);
    let plan = dump.plan().await.unwrap();
    let report = dump.run(plan).await.unwrap();
    drop(fail);
    let again = Dumped { folder, report };
    assert!(whole.documents("shop/c.bson") == again.documents("shop/c.bson"));
    let retries: Vec<_> = observer
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Retrying { what, .. } => Some(what),
            _ => None,
        })
        .collect();
    assert_eq!(
        retries,
        [
            "starting over in the order of _id",
            "reading on after the last document"
        ]
    );
}

#[tokio::test]
async fn a_failure_that_does_not_end_ends_the_dump_and_says_how_often_it_was_tried() {
    let source = ReplicaSet::start().await;
    source
        .client()
        .database("shop")
        .collection("c")
        .insert_one(doc! { "x": 1 })
        .await
        .unwrap();
    let always = doc! {
        "configureFailPoint": "failCommand",
        "mode": "alwaysOn",
        "data": { "failCommands": ["find"], "errorCode": 91 },
    };
    let _fail = FailPoint::enable(&source, always).await;
    let folder = TempDir::new().unwrap();
    let options = DumpOptions::default().db("shop").max_retries(2);
    let error = dump_to(source.uri(), folder.path(), options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hint().unwrap().contains("2 retries"), "{error:?}");
    assert!(!folder.path().join(MANIFEST_FILE).exists());
}

#[tokio::test]
async fn a_document_that_comes_again_is_no_progress() {
    let source = ReplicaSet::start().await;
    // So large that no reply holds two, however much is asked for.
    let large = (0..3).map(|n| doc! { "_id": n, "text": "x".repeat(9 << 20) });
    let collection = source.client().database("shop").collection("c");
    collection.insert_many(large).await.unwrap();
    let _fail = FailPoint::fail_command(
        &source,
        &["getMore"],
        doc! { "times": 20 },
        doc! { "closeConnection": true },
    )
    .await;
    let folder = TempDir::new().unwrap();
    let options = DumpOptions::default().db("shop").max_retries(2);
    let error = dump_to(source.uri(), folder.path(), options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hint().unwrap().contains("2 retries"), "{error:?}");
}

#[tokio::test]
async fn a_plan_survives_failures_that_pass() {
    let source = ReplicaSet::start().await;
    let collection = source.client().database("shop").collection("c");
    collection.insert_one(doc! { "x": 1 }).await.unwrap();
    for command in [
        "listDatabases",
        "listCollections",
        "listIndexes",
        "dataSize",
    ] {
        for failure in [
            doc! { "closeConnection": true },
            doc! { "errorCode": 11602 },
        ] {
            let point =
                FailPoint::fail_command(&source, &[command], doc! { "times": 1 }, failure).await;
            let dump = Dump::new(&connect(source.uri()).await, Arc::new(Discard));
            let plan = dump.plan().await;
            let plan = plan.unwrap_or_else(|error| panic!("{command}: {error:?}"));
            assert!(point.disable().await > 0, "{command}");
            assert!(
                plan.namespaces()
                    .any(|namespace| *namespace == Namespace::new("shop", "c"))
            );
            assert!(plan.estimated_documents() > 0, "{command}");
        }
    }
}

#[tokio::test]
async fn the_death_of_the_primary_interrupts_a_dump_and_does_not_change_it() {
    let source = ReplicaSet::builder().members(3).start().await;
    dataset::seed_bulk(
        &source.client(),
        "shop.c",
        dataset::Shape::Medium,
        12_000,
        1,
    )
    .await;
    source.await_healthy().await;
    let whole = dump(&source, DumpOptions::default().db("shop")).await;
    let folder = TempDir::new().unwrap();
    let writer = FolderWriter::create(&Location::from(folder.path())).unwrap();
    let counters = Arc::new(Counters::default());
    let dump = Dump::new(&connect(source.uri()).await, Arc::new(writer))
        .options(
            DumpOptions::default()
                .db("shop")
                .limit_bytes_per_second(8 << 20),
        )
        .counters(Arc::clone(&counters));
    let plan = dump.plan().await.unwrap();
    let kill = async {
        wait_for("documents to be read", PATIENCE, async || {
            (counters.documents_read.value() > 0).then_some(())
        })
        .await;
        source.kill_primary().await;
    };
    let (report, ()) = futures::join!(dump.run(plan), kill);
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(report.retries > 0);
    let interrupted = Dumped { folder, report };
    assert!(whole.documents("shop/c.bson") == interrupted.documents("shop/c.bson"));
}
