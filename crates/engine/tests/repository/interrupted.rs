//! Backups that do not come to their end, or not straight.

use std::sync::Arc;

use bson::doc;
use rdump::{
    Backup, CancellationToken, Compression, Consistency, Counters, Dump, DumpOptions, Error,
    ErrorKind, RecordingObserver, Repository, RestoreOptions, Snapshot, SnapshotId,
    SnapshotVerifyOptions, SnapshotWriter, Source, Store,
    storage::{Listing, MemoryStore},
};
use rdump_testkit::{
    Deployment, FailPoint, Fingerprint, FingerprintOptions, ReplicaSet, Standalone, dataset,
    fingerprint::assert_same,
    wait::{PATIENCE, wait_for},
};

use super::{
    backup, in_memory, objects, read_whole, round_trip::restore, store_of, try_backup, try_verify,
    verify, watched::Watched, writer,
};

use crate::authorization;

async fn source(documents: u64) -> ReplicaSet {
    let source = ReplicaSet::start().await;
    let shape = dataset::Shape::Medium;
    dataset::seed_bulk(&source.client(), "shop.c", shape, documents, 1).await;
    source
}

pub(super) async fn connect(to: &Deployment) -> Source {
    let options = rdump::ConnectOptions::default().uri(to.root_uri());
    Source::connect(&options).await.unwrap()
}

async fn await_documents(counters: &Counters) {
    wait_for("documents to be read", PATIENCE, async || {
        (counters.documents_read.value() > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_backup_ends_soon_although_the_store_does_not_answer() {
    let source = source(500).await;
    let store = Watched::new(Arc::new(MemoryStore::new("backups")));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
    let repository = repository.unwrap();
    store.hang("/data/");
    let (counters, cancel) = (Arc::new(Counters::default()), CancellationToken::new());
    let backup = Backup::new(&connect(&source).await, &repository)
        .counters(Arc::clone(&counters))
        .cancel(cancel.clone());
    let plan = backup.plan().await.unwrap();
    let stop = async {
        await_documents(&counters).await;
        store.hang("");
        // What is waited for from now on comes at once.
        tokio::time::pause();
        cancel.cancel();
    };
    let run = tokio::time::timeout(PATIENCE, backup.run(plan));
    let (ended, ()) = futures::join!(run, stop);
    let error = ended.expect("it ends").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_goes_on_with_what_fits() {
    let (source, other) = (source(200).await, Standalone::start().await);
    let (repository, id) = unfinished(&source, DumpOptions::default()).await;
    let of_other = Backup::new(&connect(&other).await, &repository).resume(true);
    let plan = of_other.plan().await.unwrap();
    assert_eq!(plan.resumed, None);
    assert!(
        plan.warnings[0].contains("another deployment"),
        "{:?}",
        plan.warnings
    );
    assert!(
        plan.notices[1].contains("is not finished"),
        "{:?}",
        plan.notices
    );

    let tags = [("env".to_owned(), "test".to_owned())].into();
    let backup = Backup::new(&connect(&source).await, &repository).tags(tags);
    let backup = backup.resume(true);
    let plan = backup.plan().await.unwrap();
    assert!(
        plan.to_string()
            .starts_with(&format!("go on with snapshot {id}\n"))
    );
    assert!(
        plan.warnings[0].contains("keeps the tags"),
        "{:?}",
        plan.warnings
    );
    let done = backup.run(plan).await.unwrap();
    assert_eq!((&done.snapshot, done.report.documents), (&id, 201));
    let snapshot = repository.snapshot(&id).await.unwrap();
    let options = SnapshotVerifyOptions::default().deep(true);
    let report = snapshot.verify(&options, Arc::new(()), CancellationToken::new());
    assert!(report.await.unwrap().is_whole());

    // What is older than the newest snapshot is left.
    let plan = backup.plan().await.unwrap();
    assert_eq!(plan.resumed, None);
    let nothing = DumpOptions::default().db("nothing");
    let error = backup.options(nothing).plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// Only that it was begun is known of it.
async fn assert_unfinished(repository: &Repository, writer: &SnapshotWriter) {
    let id = writer.id().unwrap();
    let listed = repository.snapshots().await.unwrap();
    assert_eq!((listed.whole.len(), listed.damaged.len()), (0, 0));
    assert_eq!(listed.unfinished, std::slice::from_ref(id));
    for text in [id.as_str(), "latest"] {
        let error = repository.find_snapshot(text).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    }
    let error = repository.snapshot(id).await.unwrap_err();
    assert!(error.to_string().contains("not finished"), "{error}");
    let (options, cancel) = (SnapshotVerifyOptions::default(), CancellationToken::new());
    let verified = repository.verify(id, &options, Arc::new(()), cancel);
    assert_eq!(verified.await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_cancelled_or_dropped_leaves_no_snapshot() {
    let source = source(20_000).await;
    let connected = connect(&source).await;
    for cancelled in [true, false] {
        let (store, repository) = in_memory().await;
        let writer = Arc::new(writer(&repository));
        let (cancel, counters) = (CancellationToken::new(), Arc::new(Counters::default()));
        let dump = Dump::new(&connected, Arc::clone(&writer) as _)
            .options(
                DumpOptions::default()
                    .db("shop")
                    .limit_bytes_per_second(4 << 20),
            )
            .counters(Arc::clone(&counters))
            .cancel(cancel.clone());
        let plan = dump.plan().await.unwrap();
        let run = dump.run(plan);
        if cancelled {
            let stop = async {
                await_documents(&counters).await;
                cancel.cancel();
            };
            let (result, ()) = futures::join!(run, stop);
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
        } else {
            tokio::select! {
                _ = run => panic!("it came to its end"),
                () = await_documents(&counters) => {}
            }
            drop(dump);
        }
        assert_unfinished(&repository, &writer).await;
        let left = objects(&*store).await;
        let data = left.keys().filter(|path| path.contains("/data/"));
        assert_eq!(data.count(), 0, "{:?}", left.keys());
        // What was left does not disturb the next one.
        let snapshot = backup(&repository, &source, DumpOptions::default().db("none")).await;
        assert!(verify(&repository, &snapshot).await.is_whole());
        let listed = repository.snapshots().await.unwrap();
        assert_eq!((listed.whole.len(), listed.unfinished.len()), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_collection_that_is_dropped_meanwhile_leaves_no_snapshot() {
    let source = source(100).await;
    let (_, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository));
    let dump = Dump::new(&connect(&source).await, Arc::clone(&writer) as _);
    let plan = dump.plan().await.unwrap();
    let collection = source.client().database("shop").collection("c");
    collection.drop().await.unwrap();
    collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    assert_eq!(
        dump.run(plan).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_unfinished(&repository, &writer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_of_a_collection_before_it_was_started_over_is_no_part_of_it() {
    let source = source(20_000).await;
    let (_, whole) = in_memory().await;
    let options = DumpOptions::default().db("shop");
    let expected = read_whole(&backup(&whole, &source, options.clone()).await).await;
    assert_eq!(expected["shop.c"].len(), 20_000);

    let (store, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository).object_bytes(1).part_bytes(1));
    let counters = Arc::new(Counters::default());
    let options = options
        .compression(Compression::ZSTD)
        .segment_bytes(256 << 10)
        .limit_bytes_per_second(8 << 20);
    let dump = Dump::new(&connect(&source).await, Arc::clone(&writer) as _)
        .options(options)
        .counters(Arc::clone(&counters));
    let plan = dump.plan().await.unwrap();
    let forget = async {
        let folder = wait_for("an object to be stored", PATIENCE, async || {
            let folder = format!("{}data/", writer.id()?.folder());
            let found = Listing::of(&*store, &folder).await.unwrap();
            (!found.objects.is_empty()).then_some(folder)
        })
        .await;
        // CursorNotFound.
        let failure = doc! { "errorCode": 43 };
        let once = doc! { "times": 1 };
        let point = FailPoint::fail_command(&source, &["getMore"], once, failure).await;
        wait_for("the dump to start over", PATIENCE, async || {
            (counters.retries.value() > 0).then_some(())
        })
        .await;
        point.disable().await;
        folder
    };
    let (report, folder) = futures::join!(dump.run(plan), forget);
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(report.retries > 0);

    let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
    assert_eq!(snapshot.manifest().run.stored_bytes, report.stored_bytes);
    assert!(snapshot.manifest().parts.len() > 10);
    assert!(read_whole(&snapshot).await == expected);
    let verified = verify(&repository, &snapshot).await;
    assert!(verified.is_whole(), "{verified}");
    assert_eq!(verified.objects, snapshot.manifest().objects);
    assert_eq!(verified.stored_bytes, report.stored_bytes);
    assert!(verified.unreferenced_objects > 0);
    let given_up = verified.unreferenced.iter();
    assert!(given_up.clone().all(|path| path.starts_with(&folder)));
    // Nothing of them is needed.
    let given_up: Vec<_> = given_up.map(String::as_str).collect();
    store.delete(&given_up).await.unwrap();
    let verified = verify(&repository, &snapshot).await;
    assert!(verified.is_whole(), "{verified}");
    assert_eq!(verified.unreferenced_objects, 0);
    assert!(read_whole(&snapshot).await == expected);
}

/// A repository that takes no object whose path has a text in it.
async fn refusing(text: &str) -> (Arc<Watched>, Repository) {
    let store = Watched::new(Arc::new(MemoryStore::new("backups")));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
    store.refuse(text);
    (store, repository.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_which_something_cannot_be_stored_leaves_no_snapshot() {
    let source = source(100).await;
    for text in ["begun/", "/catalog/", "/data/", "/parts/", "manifests/"] {
        let (_, repository) = refusing(text).await;
        let writer = Arc::new(writer(&repository));
        let error = try_backup(&writer, &source, DumpOptions::default()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{text}: {error:?}");
        assert!(error.to_string().contains(text), "{error}");
        if text == "begun/" {
            let listed = repository.snapshots().await.unwrap();
            assert_eq!((listed.whole.len(), listed.unfinished.len()), (0, 0));
        } else {
            assert_unfinished(&repository, &writer).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_cancelled_while_its_manifest_is_put_is_a_snapshot() {
    let source = source(100).await;
    for (text, is_whole) in [("/parts/", false), ("manifests/", true), ("copies/", true)] {
        let store = Watched::new(Arc::new(MemoryStore::new("backups")));
        let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
        let repository = repository.unwrap();
        let cancel = CancellationToken::new();
        store.cancel_at(text, cancel.clone());
        let writer = Arc::new(writer(&repository));
        let dump = Dump::new(&connect(&source).await, Arc::clone(&writer) as _).cancel(cancel);
        let run = dump.run(dump.plan().await.unwrap()).await;
        assert_eq!(run.is_ok(), is_whole, "{text}: {run:?}");
        if !is_whole {
            assert_unfinished(&repository, &writer).await;
            continue;
        }
        let snapshot = repository.snapshot(writer.id().unwrap()).await.unwrap();
        let (report, notices) =
            try_verify(&repository, &snapshot, &SnapshotVerifyOptions::default()).await;
        assert!(report.unwrap().is_whole());
        assert_eq!(notices, [""; 0]);
        assert_eq!(run.unwrap().problems, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_without_a_copy_is_a_problem_and_a_snapshot() {
    let source = source(100).await;
    let (_, repository) = refusing("copies/").await;
    let writer = Arc::new(writer(&repository));
    let report = try_backup(&writer, &source, DumpOptions::default()).await;
    let problems = report.unwrap().problems;
    let snapshot = repository.find_snapshot("latest").await.unwrap();
    let copy = snapshot.id().manifest_copy();
    assert!(problems[0].message.contains(&copy), "{problems:?}");
    assert_eq!(problems.len(), 1);
    let (report, notices) =
        try_verify(&repository, &snapshot, &SnapshotVerifyOptions::default()).await;
    assert!(report.unwrap().is_whole());
    assert!(notices[0].contains(&copy), "{notices:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_which_an_object_is_lost_before_its_end_leaves_no_snapshot() {
    let source = source(10_000).await;
    let (store, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository).object_bytes(1));
    let options = DumpOptions::default()
        .db("shop")
        .segment_bytes(64 << 10)
        .limit_bytes_per_second(16 << 20);
    let lose = async {
        let lost = wait_for("an object to be stored", PATIENCE, async || {
            let folder = format!("{}data/", writer.id()?.folder());
            let found = Listing::of(&*store, &folder).await.unwrap();
            found.objects.into_iter().next()
        })
        .await;
        store.delete(&[&lost.path]).await.unwrap();
    };
    let (result, ()) = futures::join!(try_backup(&writer, &source, options), lose);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
    assert!(error.to_string().contains("are not there"), "{error}");
    assert_unfinished(&repository, &writer).await;
}

/// A snapshot of which all is stored but the root of its manifest.
async fn unfinished(source: &Deployment, options: DumpOptions) -> (Repository, SnapshotId) {
    let (store, repository) = in_memory().await;
    let writer = Arc::new(writer(&repository).part_bytes(1));
    try_backup(&writer, source, options).await.unwrap();
    let id = writer.id().unwrap().clone();
    let mut objects = objects(&*store).await;
    objects.remove(&id.manifest()).unwrap();
    objects.remove(&id.manifest_copy()).unwrap();
    let repository = Repository::open_in(store_of(&objects).await).await;
    (repository.unwrap(), id)
}

async fn gone_on_with(
    repository: &Repository,
    id: &SnapshotId,
    source: &Deployment,
    options: DumpOptions,
) -> Result<(Snapshot, Vec<String>), Error> {
    let writer = SnapshotWriter::resume(repository, id).await?;
    let observer = Arc::new(RecordingObserver::default());
    let dump = Dump::new(&connect(source).await, Arc::new(writer))
        .options(options)
        .observer(Arc::clone(&observer) as _);
    dump.run(dump.plan().await?).await?;
    let notices = observer
        .events()
        .into_iter()
        .filter_map(|event| match event {
            rdump::Event::Notice { message, .. } => Some(message),
            _ => None,
        });
    Ok((repository.snapshot(id).await?, notices.collect()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_whole_is_kept_and_what_may_be_something_else_is_read_again() {
    let source = source(300).await;
    authorization::seed(&source).await;
    let options = DumpOptions::default().db("shop").users_and_roles(true);
    let (repository, id) = unfinished(&source, options.clone()).await;
    let database = source.client().database("shop");
    // It is not read again; that it has changed since cannot be seen in the snapshot.
    let collection = database.collection("c");
    let before = collection.count_documents(doc! {}).await.unwrap();
    collection.insert_one(doc! { "_id": -1 }).await.unwrap();
    let drop_user = doc! { "dropAllUsersFromDatabase": 1 };
    database.run_command(drop_user).await.unwrap();
    let (snapshot, notices) = gone_on_with(&repository, &id, &source, options)
        .await
        .unwrap();
    assert!(
        notices.iter().any(|it| it.contains("are stored already")),
        "{notices:?}"
    );
    let documents = read_whole(&snapshot).await;
    assert_eq!(documents["shop.c"].len() as u64, before, "{notices:?}");
    let users = documents
        .iter()
        .find(|(name, _)| name.contains("system.users"));
    assert!(users.is_none_or(|(_, users)| users.is_empty()), "{users:?}");
    assert_eq!(snapshot.manifest().earlier_attempts.len(), 1);
    assert!(verify(&repository, &snapshot).await.is_whole());
    let error = SnapshotWriter::resume(&repository, &id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

const KEPT: &str = "are stored already";
const ALL_AGAIN: &str = "all is read again";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_before_is_brought_to_one_moment_by_an_oplog_that_reaches_back() {
    let (source, target) = (source(300).await, ReplicaSet::start().await);
    let collection = source.client().database("shop").collection("c");
    for (id, consistency) in [Consistency::Oplog, Consistency::Auto]
        .into_iter()
        .enumerate()
    {
        let options = DumpOptions::default().consistency(consistency);
        let (repository, snapshot) = unfinished(&source, options.clone()).await;
        let id = i64::try_from(id).unwrap();
        collection.insert_one(doc! { "_id": -id }).await.unwrap();
        collection.delete_one(doc! { "_id": id }).await.unwrap();
        let (snapshot, notices) = gone_on_with(&repository, &snapshot, &source, options)
            .await
            .unwrap();
        assert!(
            notices.iter().any(|notice| notice.contains(KEPT)),
            "{notices:?}"
        );
        assert_eq!(snapshot.manifest().run.consistency, "oplog");
        assert_eq!(snapshot.manifest().earlier_attempts.len(), 1);
        assert!(verify(&repository, &snapshot).await.is_whole());
        restore(&snapshot, &target, RestoreOptions::default().drop(true)).await;
        let fingerprint = FingerprintOptions::new();
        let [there, here] = [&target, &source].map(|it| it.client());
        let there = Fingerprint::of(&there, &fingerprint).await;
        assert_same(&Fingerprint::of(&here, &fingerprint).await, &there);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_brought_to_one_moment_is_read_again() {
    let source = source(300).await;
    let shop = source.client().database("shop");
    let collection = shop.collection("c");
    // The second attempt has an oplog, and the first had none.
    let first = DumpOptions::default();
    let auto = DumpOptions::default().consistency(Consistency::Auto);
    let (repository, id) = unfinished(&source, first).await;
    let error = gone_on_with(&repository, &id, &source, auto.clone()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Conflict);
    // An oplog with a rename cannot be replayed.
    let (repository, id) = unfinished(&source, auto.clone()).await;
    for (from, to) in [("shop.c", "shop.d"), ("shop.d", "shop.c")] {
        let rename = doc! { "renameCollection": from, "to": to };
        source
            .client()
            .database("admin")
            .run_command(rename)
            .await
            .unwrap();
    }
    collection.insert_one(doc! { "_id": -1 }).await.unwrap();
    let (snapshot, notices) = gone_on_with(&repository, &id, &source, auto).await.unwrap();
    assert!(
        notices.iter().any(|notice| notice.contains(ALL_AGAIN)),
        "{notices:?}"
    );
    assert_eq!(snapshot.manifest().run.consistency, "snapshot");
    assert_eq!(read_whole(&snapshot).await["shop.c"].len(), 301);
    assert!(verify(&repository, &snapshot).await.is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_moment_is_gone_on_with_while_the_server_knows_it_and_nothing_else_was_defined() {
    let source = source(300).await;
    let shop = source.client().database("shop");
    let collection = shop.collection("c");
    let options = DumpOptions::default().consistency(Consistency::Snapshot);
    let (repository, id) = unfinished(&source, options.clone()).await;
    collection.insert_one(doc! { "_id": -1 }).await.unwrap();
    let gone_on = gone_on_with(&repository, &id, &source, options.clone());
    let (snapshot, notices) = gone_on.await.unwrap();
    assert!(
        notices.iter().any(|notice| notice.contains(KEPT)),
        "{notices:?}"
    );
    assert_eq!(snapshot.manifest().run.consistency, "snapshot");
    assert_eq!(read_whole(&snapshot).await["shop.c"].len(), 300);

    let (repository, id) = unfinished(&source, options.clone()).await;
    shop.create_collection("late").await.unwrap();
    collection.insert_one(doc! { "_id": -2 }).await.unwrap();
    let (snapshot, notices) = gone_on_with(&repository, &id, &source, options)
        .await
        .unwrap();
    assert!(
        notices.iter().any(|notice| notice.contains(ALL_AGAIN)),
        "{notices:?}"
    );
    assert_eq!(read_whole(&snapshot).await["shop.c"].len(), 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_is_known_by_where_it_is() {
    let (source, other) = (Standalone::start().await, Standalone::start().await);
    for server in [&source, &other] {
        dataset::orders(20).seed(&server.client()).await;
    }
    let (repository, id) = unfinished(&source, DumpOptions::default()).await;
    let error = gone_on_with(&repository, &id, &other, DumpOptions::default()).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("another deployment"), "{error}");
    let (snapshot, _) = gone_on_with(&repository, &id, &source, DumpOptions::default())
        .await
        .unwrap();
    let hosts = &snapshot.manifest().run.source.hosts;
    assert_eq!(hosts, &connect(&source).await.server().hosts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_something_else_is_not_gone_on_with() {
    let source = source(10).await;
    let (repository, id) = unfinished(&source, DumpOptions::default()).await;
    let other = DumpOptions::default().db("shop");
    let error = gone_on_with(&repository, &id, &source, other)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.to_string().contains("begun with another db"),
        "{error}"
    );
    let faster = DumpOptions::default().max_retries(9);
    gone_on_with(&repository, &id, &source, faster)
        .await
        .unwrap();
    let (repository, id) = unfinished(&source, DumpOptions::default()).await;
    // Another set of the same name.
    let other = self::source(10).await;
    let error = gone_on_with(&repository, &id, &other, DumpOptions::default()).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("another deployment"), "{error}");
    let never = "20260102T030405Z-00ff17a0".parse().unwrap();
    let error = SnapshotWriter::resume(&repository, &never)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
