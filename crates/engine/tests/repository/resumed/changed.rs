//! What somebody else did to the target between two runs.

use std::sync::Arc;

use bson::{Document, doc};
use rdump::{
    ConnectOptions, Dump, DumpOptions, ErrorKind, Event, FolderReader, FolderReaderOptions,
    FolderWriter, Restore, RestoreOptions, Snapshot, Target,
};
use rdump_testkit::{ReplicaSet, dataset};

use super::{
    super::{backup, interrupted::connect},
    LEDGERS, Watching, in_memory, ledgers, try_restore,
};
use crate::restore::documents::stored;

const DOCUMENTS: u64 = 2_000;

/// A restore of one collection that was interrupted when all documents were in, and nothing of that was noted.
async fn half_done(target: &ReplicaSet, options: RestoreOptions) -> Snapshot {
    let source = ReplicaSet::start().await;
    let shape = dataset::Shape::Small;
    dataset::seed_bulk(&source.client(), "shop.c", shape, DOCUMENTS, 1).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let stop = |event: &Event| matches!(event, Event::NamespaceFinished { .. });
    let watching = Watching::start(&snapshot, target.root_uri(), options, stop).await;
    let error = watching.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_changed_meanwhile_is_reported_and_stays() {
    let target = ReplicaSet::start().await;
    let snapshot = half_done(&target, RestoreOptions::default()).await;
    let collection = target.client().database("shop").collection("c");
    let before: Document = collection.find_one(doc! {}).await.unwrap().unwrap();
    let this = doc! { "_id": before.get("_id").unwrap() };
    let change = doc! { "$set": { "changed": true } };
    collection.update_one(this.clone(), change).await.unwrap();
    let (report, _) = try_restore(&snapshot, &target, RestoreOptions::default().resume(true)).await;
    let report = report.unwrap();
    assert_eq!(
        (report.documents, report.failed_documents),
        (DOCUMENTS - 1, 1)
    );
    let problem = &report.problems[0];
    assert!(problem.message.contains("refused 1 documents"), "{problem}");
    let after = collection.find_one(this).await.unwrap().unwrap();
    assert!(after.get_bool("changed").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_came_or_went_meanwhile_are_reported() {
    for noted in [true, false] {
        let target = ReplicaSet::start().await;
        let mut snapshot = half_done(&target, RestoreOptions::default()).await;
        if noted {
            // Up to its last but one stage it notes everything.
            let stop = |event: &Event| matches!(event, Event::IndexesStarted { .. });
            let options = RestoreOptions::default().resume(true);
            let source = ReplicaSet::start().await;
            let shape = dataset::Shape::Small;
            dataset::seed_bulk(&source.client(), "shop.c", shape, DOCUMENTS, 1).await;
            let index =
                doc! { "createIndexes": "c", "indexes": [{ "key": { "a": 1 }, "name": "a" }] };
            let database = source.client().database("shop");
            database.run_command(index).await.unwrap();
            let (_, repository) = in_memory().await;
            snapshot = backup(&repository, &source, DumpOptions::default()).await;
            let anew = options.resume(false).drop(true);
            let watching = Watching::start(&snapshot, target.root_uri(), anew, stop).await;
            assert!(watching.notices().is_empty());
            let error = watching.run().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
            assert!(
                watching
                    .notices()
                    .contains("cannot be gone on with any more")
            );
        }
        let collection = target.client().database("shop").collection("c");
        collection.delete_one(doc! {}).await.unwrap();
        let (came, went) = ([doc! { "_id": "x" }, doc! { "_id": "y" }], 1);
        collection.insert_many(came).await.unwrap();
        let options = RestoreOptions::default().drop(noted).resume(true);
        let (report, _) = try_restore(&snapshot, &target, options).await;
        let report = report.unwrap();
        assert_eq!((report.documents, report.failed_documents), (DOCUMENTS, 0));
        let found = DOCUMENTS + 2 - if noted { went } else { 0 };
        let message = format!("{DOCUMENTS} documents were inserted, but the target has {found}");
        assert_eq!(report.problems[0].message, message);
        assert_eq!(report.problems.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_was_made_anew_meanwhile_is_not_taken_for_ours() {
    let target = ReplicaSet::start().await;
    let snapshot = half_done(&target, RestoreOptions::default()).await;
    let database = target.client().database("shop");
    let collection = database.collection::<Document>("c");
    collection.drop().await.unwrap();
    // As nobody would have made it.
    let create = doc! { "create": "c", "capped": true, "size": 1 << 20 };
    database.run_command(create).await.unwrap();
    let resume = || RestoreOptions::default().resume(true);
    let (report, _) = try_restore(&snapshot, &target, resume()).await;
    let error = report.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(error.namespace().unwrap().to_string(), "shop.c");
    assert!(error.hint().unwrap().contains("--drop"), "{error:?}");

    // Where there is nothing, it begins from its start.
    collection.drop().await.unwrap();
    let (report, _) = try_restore(&snapshot, &target, resume()).await;
    let report = report.unwrap();
    assert_eq!((report.documents, report.problems), (DOCUMENTS, Vec::new()));
    let found = stored(&target.client(), "shop", "c").await;
    assert_eq!(found.len() as u64, DOCUMENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_were_there_before_are_reported_as_without_an_interruption() {
    let (target, other) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let snapshot = half_done(&other, RestoreOptions::default()).await;
    let theirs = other.client().database("shop").collection("c");
    let theirs: Document = theirs.find_one(doc! {}).await.unwrap().unwrap();
    let mine = doc! { "_id": theirs.get("_id").unwrap(), "mine": true };
    let collection = target.client().database("shop").collection::<Document>("c");
    let mut reports = Vec::new();
    for interrupt in [true, false] {
        collection.insert_one(&mine).await.unwrap();
        if interrupt {
            let stop = |event: &Event| matches!(event, Event::NamespaceFinished { .. });
            let (uri, options) = (target.root_uri(), RestoreOptions::default());
            let watching = Watching::start(&snapshot, uri, options, stop).await;
            assert_eq!(
                watching.run().await.unwrap_err().kind(),
                ErrorKind::Cancelled
            );
        }
        let options = RestoreOptions::default().resume(interrupt);
        let (report, _) = try_restore(&snapshot, &target, options).await;
        let report = report.unwrap();
        assert_eq!(
            (report.documents, report.failed_documents),
            (DOCUMENTS - 1, 1)
        );
        let this = doc! { "_id": mine.get("_id").unwrap() };
        assert_eq!(collection.find_one(this).await.unwrap().unwrap(), mine);
        let [problem] = &report.problems[..] else {
            panic!("{:?}", report.problems);
        };
        let refused = "the target refused 1 documents: ";
        let why = problem.message.strip_prefix(refused).unwrap();
        // An interrupted run may have noted that it was refused by then.
        let is_noted = interrupt && why == "all in runs that were interrupted";
        assert!(why.starts_with("E11000 duplicate key") || is_noted, "{why}");
        reports.push(report.namespaces);
        collection.drop().await.unwrap();
    }
    assert_eq!(reports[0], reports[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_a_folder_with_the_same_uuids_ends_what_was_begun() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for name in ["shop.c", "shop.d"] {
        let shape = dataset::Shape::Small;
        dataset::seed_bulk(&source.client(), name, shape, DOCUMENTS, 1).await;
    }
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let options = RestoreOptions::default().drop(true).preserve_uuid(true);
    let stop = |event: &Event| matches!(event, Event::NamespaceFinished { .. });
    let watching = Watching::start(&snapshot, target.root_uri(), options.clone(), stop).await;
    watching.run().await.unwrap_err();
    assert_eq!(ledgers(&target).await.len(), 1);

    let folder = tempfile::tempdir().unwrap();
    let location = folder
        .path()
        .join("dump")
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let writer = FolderWriter::create(&location).unwrap();
    let dump = Dump::new(&connect(&source).await, Arc::new(writer));
    dump.run(dump.plan().await.unwrap()).await.unwrap();
    let reader = FolderReader::open(&location, FolderReaderOptions::default()).await;
    let uri = ConnectOptions::default().uri(target.root_uri());
    let connected = Target::connect(&uri).await.unwrap();
    let restored = Restore::new(&connected, Arc::new(reader.unwrap())).options(options.clone());
    let plan = restored.plan().await.unwrap();
    assert!(
        plan.notices
            .iter()
            .any(|it| it.contains("cannot be gone on with any more")),
        "{:?}",
        plan.notices
    );
    restored.run(plan).await.unwrap();
    assert_eq!(ledgers(&target).await.len(), 0);

    let (report, _) = try_restore(&snapshot, &target, options.resume(true)).await;
    let error = report.unwrap_err();
    assert!(
        error.to_string().contains("nothing to go on with"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ledger_is_left_and_disturbs_no_restore() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(10).seed(&source.client()).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let odd = target.client().database(LEDGERS);
    let odd = odd.collection(&bson::oid::ObjectId::new().to_hex());
    odd.insert_one(doc! { "_id": 5, "planned": "everything" })
        .await
        .unwrap();
    let (report, notices) = try_restore(&snapshot, &target, RestoreOptions::default()).await;
    assert_eq!(report.unwrap().problems, []);
    assert!(notices.contains("cannot be read, and is left"), "{notices}");
    assert_eq!(odd.count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_made_anew_is_gone_on_with_if_nothing_is_in_it() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let capped = doc! { "create": "c", "capped": true, "size": 16 << 20 };
    let database = source.client().database("shop");
    database.run_command(capped.clone()).await.unwrap();
    let documents = (0..DOCUMENTS).map(|id| doc! { "_id": id as i64, "x": "x".repeat(300) });
    let collection = database.collection("c");
    collection.insert_many(documents).await.unwrap();
    let (_, repository) = in_memory().await;
    let dump = DumpOptions::default().segment_bytes(64 << 10);
    let snapshot = backup(&repository, &source, dump).await;
    let stop = |event: &Event| matches!(event, Event::NamespaceFinished { .. });
    let uri = target.root_uri();
    let watching = Watching::start(&snapshot, uri, RestoreOptions::default(), stop).await;
    watching.run().await.unwrap_err();
    // As a run leaves it that is killed before it has noted what it made.
    let database = target.client().database("shop");
    let collection = database.collection::<Document>("c");
    for begun in [true, false] {
        collection.drop().await.unwrap();
        database.run_command(capped.clone()).await.unwrap();
        if begun {
            collection.insert_one(doc! { "_id": "mine" }).await.unwrap();
        }
        let resume = RestoreOptions::default().resume(true);
        let (report, _) = try_restore(&snapshot, &target, resume).await;
        match begun {
            true => assert_eq!(report.unwrap_err().kind(), ErrorKind::Conflict),
            false => assert_eq!(report.unwrap().problems, []),
        }
    }
    let found = stored(&target.client(), "shop", "c").await;
    assert_eq!(found.len() as u64, DOCUMENTS);
}
