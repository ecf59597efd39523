//! Bad luck: what is restored is exact all the same, or the run says that it is not.

use std::{fs, num::NonZeroUsize, sync::Arc};

use bson::{Document, RawDocumentBuf, doc};
use mongodb::Client;
use rdump::{
    CancellationToken, Codec, ConnectOptions, Counters, ErrorKind, Event, Namespace, Observer,
    RecordingObserver, Restore, RestoreOptions, Target,
};
use rdump_testkit::{
    FailPoint, Proxy, ReplicaSet,
    wait::{PATIENCE, wait_for},
};

use super::{documents::stored, reader, restore, target, try_restore};
use crate::made::{Made, raw};

const DOCUMENTS: i32 = 20_000;

/// Documents with ids, and as many that get theirs while they are restored.
fn dump() -> (Made, Vec<RawDocumentBuf>) {
    let mut made = Made::new();
    let text = "x".repeat(100);
    let expected: Vec<_> = (0..DOCUMENTS)
        .map(|number| raw(&doc! { "_id": number, "text": &text }))
        .collect();
    made.raw_data("db.ids", Codec::Zstd, &expected);
    made.data(
        "db.none",
        Codec::None,
        (0..DOCUMENTS).map(|number| doc! { "number": number }),
    );
    made.metadata(
        "db.ids",
        doc! {},
        &[doc! { "key": { "text": 1 }, "name": "text" }],
    );
    made.manifest();
    (made, expected)
}

async fn assert_exact(client: &Client, expected: &[RawDocumentBuf]) {
    let mut found = stored(client, "db", "ids").await;
    found.sort_by_key(|document| document.get_i32("_id").unwrap());
    assert_eq!(found.len(), expected.len());
    assert!(found == expected);
    let mut numbers: Vec<_> = stored(client, "db", "none")
        .await
        .iter()
        .map(|document| document.get_i32("number").unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(
        numbers.iter().copied().eq(0..DOCUMENTS),
        "{} documents",
        numbers.len()
    );
}

fn small_batches() -> RestoreOptions {
    RestoreOptions::default().batch_bytes(64 << 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_that_fail_for_reasons_that_pass_are_tried_again() {
    let target = ReplicaSet::start().await;
    let (made, expected) = dump();
    let failures = [
        doc! { "closeConnection": true },
        doc! { "errorCode": 91 },
        doc! { "errorCode": 10107 },
        doc! { "writeConcernError": { "code": 91, "errmsg": "shutting down" } },
        doc! { "writeConcernError": { "code": 11602, "errmsg": "stepped down" } },
    ];
    for failure in failures {
        let point =
            FailPoint::fail_command(&target, &["insert"], doc! { "times": 3 }, failure.clone())
                .await;
        let report = restore(&made.location(), &target, small_batches().drop(true)).await;
        assert!(point.disable().await > 0);
        assert!(report.retries >= 3, "{failure}: {}", report.retries);
        assert_eq!(
            (report.documents, report.failed_documents),
            (2 * DOCUMENTS as u64, 0),
            "{failure}"
        );
        assert_exact(&target.client(), &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_do_not_pass_end_the_run() {
    let target = ReplicaSet::start().await;
    let (made, _) = dump();
    for (attempt, (failure, kind)) in [
        (doc! { "errorCode": 13 }, ErrorKind::Denied),
        (
            doc! { "writeConcernError": { "code": 64, "errmsg": "timed out" } },
            ErrorKind::Unavailable,
        ),
        (doc! { "errorCode": 91 }, ErrorKind::Unavailable),
    ]
    .into_iter()
    .enumerate()
    {
        let _point = FailPoint::fail_command(
            &target,
            &["insert"],
            doc! { "times": 1000 },
            failure.clone(),
        )
        .await;
        let (report, _) = try_restore(
            &made.location(),
            &target,
            // What the attempt before left under way must not meet this one.
            small_batches()
                .rename("db.*", format!("db{attempt}.*"))
                .max_retries(1),
        )
        .await;
        let error = report.unwrap_err();
        assert_eq!(error.kind(), kind, "{failure}: {error:?}");
        assert!(error.namespace().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_and_indexes_are_tried_again_and_not_made_twice() {
    let target = ReplicaSet::start().await;
    let (made, _) = dump();
    for command in [
        "create",
        "drop",
        "createIndexes",
        "listCollections",
        "listIndexes",
        "count",
    ] {
        let made_but_unsure =
            doc! { "writeConcernError": { "code": 91, "errmsg": "shutting down" } };
        let is_write = matches!(command, "create" | "drop" | "createIndexes");
        for failure in [
            Some(doc! { "closeConnection": true }),
            is_write.then_some(made_but_unsure),
        ]
        .into_iter()
        .flatten()
        {
            let point =
                FailPoint::fail_command(&target, &[command], doc! { "times": 1 }, failure.clone())
                    .await;
            let report = restore(
                &made.location(),
                &target,
                RestoreOptions::default().drop(true),
            )
            .await;
            assert!(point.disable().await > 0, "{command}");
            assert_eq!(
                (report.documents, report.failed_documents),
                (2 * DOCUMENTS as u64, 0),
                "{command} {failure}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_get_lost_leave_no_document_doubled_or_counted_twice() {
    let set = ReplicaSet::start().await;
    let (made, expected) = dump();
    let proxy = Proxy::start(set.hosts().remove(0)).await;
    let connect = ConnectOptions::default().uri(set.direct_uri_at(&proxy.addr()));
    let target = Target::connect(&connect).await.unwrap();
    for bytes in [600, 1500, 4000, 9000] {
        let options = small_batches().drop(true);
        let restore = Restore::new(&target, reader(&made.location()).await).options(options);
        let plan = restore.plan().await.unwrap();
        proxy.cut_once_after(bytes);
        let report = restore
            .run(plan)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        proxy.pass();
        assert_eq!(
            (report.documents, report.failed_documents),
            (2 * DOCUMENTS as u64, 0)
        );
        assert_exact(&set.client(), &expected).await;
    }
    assert!(proxy.cut_connections() >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_there_before_and_differs_is_a_failure_even_after_a_retry() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.data(
        "db.c",
        Codec::None,
        (0..100).map(|number| doc! { "_id": number }),
    );
    let taken = doc! { "_id": 50, "mine": true };
    target
        .client()
        .database("db")
        .collection::<Document>("c")
        .insert_one(&taken)
        .await
        .unwrap();
    let failure = doc! { "writeConcernError": { "code": 91, "errmsg": "shutting down" } };
    let _point = FailPoint::fail_command(&target, &["insert"], doc! { "times": 2 }, failure).await;
    let (report, _) = try_restore(&made.location(), &target, RestoreOptions::default()).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.failed_documents), (99, 1));
    assert!(
        stored(&target.client(), "db", "c")
            .await
            .contains(&raw(&taken))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_costs_no_document() {
    let set = ReplicaSet::builder().members(3).start().await;
    let (made, expected) = dump();
    let target = Target::connect(&ConnectOptions::default().uri(set.uri()))
        .await
        .unwrap();
    let observer = Arc::new(RecordingObserver::default());
    let counters = Arc::new(Counters::default());
    let options = small_batches().batch_documents(NonZeroUsize::new(50).unwrap());
    let restore = Restore::new(&target, reader(&made.location()).await)
        .options(options)
        .observer(Arc::<RecordingObserver>::clone(&observer))
        .counters(Arc::clone(&counters));
    let plan = restore.plan().await.unwrap();
    let kill = async {
        let inserted = async || (counters.documents_written.value() > 2_000).then_some(());
        wait_for("some documents to be inserted", PATIENCE, inserted).await;
        set.kill_primary().await
    };
    let (report, _) = tokio::join!(restore.run(plan), kill);
    let report = report.unwrap_or_else(|error| panic!("{error:?}\n{:#?}", observer.events()));
    assert_eq!(
        (report.documents, report.failed_documents, report.problems),
        (2 * DOCUMENTS as u64, 0, Vec::new())
    );
    assert!(report.retries > 0);
    assert_exact(&set.client(), &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_restore_stops_and_says_how_far_it_is() {
    let set = ReplicaSet::start().await;
    let (made, _) = dump();
    let target = Target::connect(&ConnectOptions::default().uri(set.uri()))
        .await
        .unwrap();
    let cancel = CancellationToken::new();
    let (token, observer) = (cancel.clone(), Arc::new(RecordingObserver::default()));
    let recorded = Arc::clone(&observer);
    let watch = move |event: &Event| {
        recorded.on_event(event);
        if matches!(event, Event::NamespaceStarted { .. }) {
            token.cancel();
        }
    };
    let reader = reader(&made.location()).await;
    let restore = Restore::new(&target, reader)
        .options(small_batches())
        .observer(Arc::new(watch))
        .cancel(cancel);
    let plan = restore.plan().await.unwrap();
    assert_eq!(
        restore.run(plan).await.unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    let partial = |event: &Event| matches!(event, Event::Stopped { partial, complete, .. } if !partial.is_empty() && complete.is_empty());
    assert!(observer.events().iter().any(partial));
    assert!(stored(&set.client(), "db", "ids").await.len() < usize::try_from(DOCUMENTS).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_dropped_only_when_its_own_turn_comes() {
    let set = ReplicaSet::start().await;
    let mut made = Made::new();
    let path = made.data("db.big", Codec::None, (0..100).map(|id| doc! { "_id": id }));
    made.data("db.small", Codec::None, [doc! { "_id": "new" }]);
    let mut bytes = fs::read(made.file(&path)).unwrap();
    bytes[0] = 1;
    fs::write(made.file(&path), bytes).unwrap();
    let old = doc! { "_id": "old" };
    for collection in ["big", "small"] {
        let collection = set
            .client()
            .database("db")
            .collection::<Document>(collection);
        collection.insert_one(&old).await.unwrap();
    }

    let options = RestoreOptions::default()
        .drop(true)
        .parallel_collections(NonZeroUsize::MIN);
    let (report, observer) = try_restore(&made.location(), &set, options).await;
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(stored(&set.client(), "db", "small").await, [raw(&old)]);
    assert!(stored(&set.client(), "db", "big").await.is_empty());
    let stopped = observer.events().into_iter().find_map(|event| match event {
        Event::Stopped {
            partial, untouched, ..
        } => Some((partial, untouched)),
        _ => None,
    });
    let names = |name: &str| vec![name.parse::<Namespace>().unwrap()];
    assert_eq!(stopped, Some((names("db.big"), names("db.small"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_not_complete_before_its_indexes_are() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    made.data(
        "db.c",
        Codec::None,
        (0..2).map(|id| doc! { "_id": id, "same": 1 }),
    );
    let unique = doc! { "key": { "same": 1 }, "name": "same_1", "unique": true };
    made.metadata("db.c", doc! {}, &[unique]);
    let (report, observer) =
        try_restore(&made.location(), &target, RestoreOptions::default()).await;
    assert!(
        report
            .unwrap_err()
            .to_string()
            .contains("its indexes could not be built")
    );
    let partial = |event: &Event| matches!(event, Event::Stopped { partial, complete, .. } if partial.len() == 1 && complete.is_empty());
    assert!(observer.events().iter().any(partial));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_comes_back_after_it_was_dropped_is_dropped_again() {
    let target = ReplicaSet::start().await;
    let (made, expected) = dump();
    // NamespaceExists: an insert that another restore left under way was quicker.
    let failure = doc! { "errorCode": 48 };
    let point = FailPoint::fail_command(&target, &["create"], doc! { "times": 2 }, failure).await;
    restore(
        &made.location(),
        &target,
        RestoreOptions::default().drop(true),
    )
    .await;
    assert!(point.disable().await > 0);
    assert_exact(&target.client(), &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failing_restore_inserted_is_counted() {
    let set = ReplicaSet::start().await;
    let mut made = Made::new();
    // A server takes no array for an `_id`.
    let ids = [doc! { "_id": 1 }, doc! { "_id": [] }, doc! { "_id": 3 }];
    made.data("db.c", Codec::None, ids);
    let counters = Arc::new(Counters::default());
    let restore = Restore::new(&target(&set).await, reader(&made.location()).await)
        .counters(Arc::clone(&counters));
    let plan = restore.plan().await.unwrap();
    assert_eq!(
        restore.run(plan).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let counted = (
        counters.documents_written.value(),
        counters.documents_failed.value(),
    );
    assert_eq!(counted, (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_documents_before_the_end_of_a_file_that_was_cut_are_inserted() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    let path = made.data("db.c", Codec::None, (0..3).map(|id| doc! { "_id": id }));
    let bytes = fs::read(made.file(&path)).unwrap();
    fs::write(made.file(&path), &bytes[..bytes.len() - 1]).unwrap();
    let (report, _) = try_restore(&made.location(), &target, RestoreOptions::default()).await;
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Data);
    assert_eq!(stored(&target.client(), "db", "c").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_problems_end_the_run() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    for collection in ["a", "b", "c"] {
        made.data(
            &format!("db.{collection}"),
            Codec::None,
            [doc! { "_id": 1 }, doc! { "_id": 1 }],
        );
    }
    let (report, _) = try_restore(
        &made.location(),
        &target,
        RestoreOptions::default().max_problems(2),
    )
    .await;
    assert_eq!(report.unwrap_err().kind(), ErrorKind::Conflict);
    let (report, _) = try_restore(
        &made.location(),
        &target,
        RestoreOptions::default().drop(true).max_problems(4),
    )
    .await;
    assert_eq!(report.unwrap().problems.len(), 3);
}
