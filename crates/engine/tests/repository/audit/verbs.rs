//! What is done leaves its entry, whatever comes of it.

use std::{collections::BTreeMap, io::Cursor, sync::Arc};

use bson::doc;
use rdump::{
    Actor, AuditEntry, AuditResult, AuditVerb, Backup, CancellationToken, Capture, CaptureOptions,
    DumpOptions, ErrorKind, Event, FolderReader, FolderReaderOptions, FolderWriter, Location,
    Observer, Prune, RecordingObserver, Repository, RepositoryCopy, Restore, RestoreOptions,
    RestorePoint, RetentionPolicy, Selector, Snapshot, SnapshotReader, SnapshotVerifyOptions,
    SnapshotWriter, Store, Transfer,
    storage::{MemoryStore, Sink, StreamUpload},
};
use rdump_testkit::{Deployment, ReplicaSet, SeaweedFs};
use tempfile::TempDir;

use super::{acts, in_bucket, in_folder, shown};
use crate::{
    repository::{
        capture::{auto, source},
        encrypted::{encrypted, seen_by, somebody},
        objects,
        watched::Watched,
    },
    restore::target,
};

async fn deployment() -> ReplicaSet {
    let deployment = ReplicaSet::start().await;
    let collection = deployment.client().database("shop").collection("c");
    let documents = (0..10).map(|id| doc! { "_id": format!("swordfish {id}") });
    collection.insert_many(documents).await.unwrap();
    deployment
}

async fn backup(from: &Deployment, repository: &Repository) -> Snapshot {
    let backup = Backup::new(&source(from).await, repository).options(auto());
    let plan = backup.plan().await.unwrap();
    let report = Box::pin(backup.run(plan)).await.unwrap();
    assert_eq!(report.report.problems, []);
    repository.snapshot(&report.snapshot).await.unwrap()
}

async fn restore(snapshot: &Snapshot, to: &Deployment, options: RestoreOptions) -> Restore {
    let reader = SnapshotReader::open(snapshot, &Selector::default()).await;
    Restore::new(&target(to).await, Arc::new(reader.unwrap())).options(options)
}

fn stream() -> Sink {
    Sink::Stream(StreamUpload::new("nowhere", std::io::sink()))
}

fn of(entries: &[AuditEntry], verb: AuditVerb) -> Vec<&AuditEntry> {
    entries.iter().filter(|entry| entry.verb == verb).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_done_leaves_an_entry() {
    let (deployment, other) = tokio::join!(deployment(), ReplicaSet::start());
    let (server, place) = (SeaweedFs::start().await, TempDir::new().unwrap());
    for store in [in_bucket(&server.location("audited")), in_folder(&place)] {
        let actor = Actor::new("backup").named(Some("nightly".to_owned()));
        let location = Location::from(store);
        let repository = Repository::open_or_init_by(&location, actor).await.unwrap();
        let capture = Capture::new(&source(&deployment).await, &repository)
            .options(CaptureOptions::default().until_caught_up(true));
        capture.run().await.unwrap();
        let snapshot = backup(&deployment, &repository).await;
        deployment
            .client()
            .database("shop")
            .collection("c")
            .insert_one(doc! { "more": true })
            .await
            .unwrap();
        capture.run().await.unwrap();
        let options = RestoreOptions::default()
            .rename("shop.*", "copied.*")
            .drop(true);
        let restored = restore(&snapshot, &other, options).await;
        let plan = restored.plan().await.unwrap();
        Box::pin(restored.run(plan)).await.unwrap();
        let point = repository.point_in_time(RestorePoint::Latest, None).await;
        let (point, options) = (point.unwrap(), RestoreOptions::default().drop(true));
        let at = point.at();
        let reader = Box::pin(point.reader(&options)).await.unwrap();
        let restored = Restore::new(&target(&other).await, Arc::new(reader)).options(options);
        let plan = restored.plan().await.unwrap();
        Box::pin(restored.run(plan)).await.unwrap();

        let verify = SnapshotVerifyOptions::default();
        let (nobody, cancel) = (|| Arc::new(()), CancellationToken::new());
        let verified = snapshot.verify(&verify, nobody(), cancel.clone()).await;
        assert!(verified.unwrap().is_whole());
        repository
            .verify_timeline(Arc::new(()), cancel.clone())
            .await
            .unwrap();
        let bundled = repository.bundle(snapshot.id(), stream(), nobody(), cancel.clone());
        bundled.await.unwrap();
        let first = repository.timeline().await.unwrap();
        let first = first.slices().next().unwrap().start;
        let captured = repository.captured(first, None).await.unwrap();
        captured.write(stream(), nobody(), cancel).await.unwrap();
        let folder = TempDir::new().unwrap();
        let folder = Location::from(folder.path().join("dump").as_path());
        let reader = SnapshotReader::open(&snapshot, &Selector::default()).await;
        let writer = FolderWriter::create(&folder).unwrap();
        let exported = Transfer::new(Arc::new(reader.unwrap()), Arc::new(writer));
        exported.run().await.unwrap();
        let reader = FolderReader::open(&folder, FolderReaderOptions::default()).await;
        let writer = Arc::new(SnapshotWriter::new(&repository, BTreeMap::new()));
        let imported = Transfer::new(Arc::new(reader.unwrap()), writer);
        imported.run().await.unwrap();
        let prune = Prune::new(&repository, RetentionPolicy::default().keep_last(1));
        let plan = prune.plan().await.unwrap();
        prune.run(plan).await.unwrap();

        let (entries, report) = shown(&repository).await;
        assert!(report.is_whole() && report.unended.is_empty(), "{report}");
        assert_eq!(
            acts(&repository).await,
            [
                "init done",
                "capture started",
                "capture done",
                "backup done",
                "capture started",
                "capture done",
                "restore started",
                "restore done",
                "restore started",
                "restore done",
                "verify done",
                "verify-timeline done",
                "bundle done",
                "oplog-export done",
                "export done",
                "import done",
                "prune started",
                "prune done",
            ]
        );
        for entry in &entries {
            assert_eq!(
                (entry.who.user.as_str(), entry.who.name.as_deref()),
                ("backup", Some("nightly")),
                "{entry:?}"
            );
        }
        let hosts = &source(&deployment).await.server().hosts.join(",");
        let backup = of(&entries, AuditVerb::Backup)[0];
        assert_eq!(backup.subject.snapshot.as_ref(), Some(snapshot.id()));
        assert!(backup.subject.from.as_ref().unwrap().ends_with(hosts));
        assert!(backup.figures["documents"] >= 10, "{backup:?}");
        let restores = of(&entries, AuditVerb::Restore);
        assert_eq!(restores[0].operation, restores[1].operation);
        assert_eq!(restores[0].subject, restores[1].subject);
        assert_ne!(restores[1].operation, restores[2].operation);
        let hosts = &target(&other).await.server().hosts.join(",");
        assert!(restores[0].subject.to.as_ref().unwrap().ends_with(hosts));
        assert_eq!(restores[0].subject.until, None);
        assert_eq!(restores[3].subject.until, Some(at));
        let exported = of(&entries, AuditVerb::Export)[0];
        assert_eq!(exported.subject.to, Some(folder.to_string()));
        let captured = of(&entries, AuditVerb::Capture)[3];
        assert!(captured.subject.until.is_some() && captured.figures["slices"] > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_to_another_place_is_recorded_at_both() {
    let deployment = deployment().await;
    let empty = || Arc::new(MemoryStore::new("elsewhere")) as Arc<dyn Store>;
    let (_, repository) = crate::repository::in_memory().await;
    let snapshot = backup(&deployment, &repository).await;
    let there = repository.open_or_twin_in(empty()).await.unwrap();
    for _ in 0..3 {
        // What is there already is not copied, and not told of.
        let copied = RepositoryCopy::new(&repository, &there)
            .run()
            .await
            .unwrap();
        assert_eq!(copied.problems, [""; 0]);
    }
    let before = ["init done", "backup done", "copy done"];
    assert_eq!(acts(&repository).await, before);
    assert_eq!(acts(&there).await, ["init done", "copy done"]);
    let (entries, _) = shown(&there).await;
    let subject = &entries[1].subject;
    assert_eq!(
        (subject.from.as_deref(), subject.to.as_deref()),
        (Some("memory:backups"), Some("memory:elsewhere"))
    );
    assert_eq!(entries[1].figures["snapshots"], 1);

    let bytes = crate::repository::bundle::bundle(&repository, &snapshot).await;
    let store = empty();
    let place = Location::from(Arc::clone(&store));
    let unbundled = Repository::unbundle_by(
        &place,
        ("a bundle", Cursor::new(bytes)),
        Actor::new("somebody"),
        Arc::new(()),
        CancellationToken::new(),
    );
    assert_eq!(unbundled.await.unwrap().problems, [""; 0]);
    let there = Repository::open_in(store).await.unwrap();
    assert_eq!(acts(&there).await, ["init done", "unbundle done"]);
    let (entries, _) = shown(&there).await;
    assert!(entries.iter().all(|entry| entry.who.user == "somebody"));
    assert_eq!(entries[1].subject.from.as_deref(), Some("a bundle"));
    assert_eq!(entries[1].subject.snapshot.as_ref(), Some(snapshot.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_or_was_stopped_is_recorded_without_anything_that_is_stored() {
    let deployment = deployment().await;
    let (_, repository) = crate::repository::in_memory().await;
    let snapshot = backup(&deployment, &repository).await;
    // The target has the same documents: the server says which, by what is in them.
    let options = RestoreOptions::default().stop_on_error(true);
    let options = options.maintain_insertion_order(true);
    let restored = restore(&snapshot, &deployment, options).await;
    let plan = restored.plan().await.unwrap();
    let error = Box::pin(restored.run(plan)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");

    let cancel = CancellationToken::new();
    let stopped = Backup::new(&source(&deployment).await, &repository).options(auto());
    let stopped = stopped.cancel(cancel.clone());
    let plan = stopped.plan().await.unwrap();
    cancel.cancel();
    Box::pin(stopped.run(plan)).await.unwrap_err();
    let (entries, report) = shown(&repository).await;
    assert!(report.is_whole() && report.unended.is_empty(), "{report}");
    assert_eq!(
        acts(&repository).await[2..],
        ["restore started", "restore failed", "backup cancelled"]
    );
    let error = entries[3].error.as_ref().unwrap();
    assert_eq!(error.kind, "conflict");
    for entry in &entries {
        let text = String::from_utf8(entry.to_bytes().unwrap()).unwrap();
        assert!(!text.contains("swordfish"), "{text}");
    }
}

#[tokio::test]
async fn of_what_is_encrypted_no_message_is_recorded() {
    let (mine, other) = (somebody(), somebody());
    let (store, snapshot) = encrypted(&mine.0).await;
    let nobody = seen_by(&store, Some(other.1)).await;
    nobody.rekey(snapshot.id(), &mine.0).await.unwrap_err();
    let owner = seen_by(&store, Some(mine.1)).await;
    let report = owner.rekey(snapshot.id(), &other.0).await.unwrap();
    assert_eq!(report.problems, [""; 0]);
    let (entries, _) = shown(&owner).await;
    let rekeyed = of(&entries, AuditVerb::Rekey);
    assert_eq!(rekeyed[0].result, AuditResult::Failed);
    let error = rekeyed[0].error.as_ref().unwrap();
    assert_eq!((error.kind.as_str(), &error.message), ("denied", &None));
    assert_eq!(rekeyed[1].result, AuditResult::Done);
    assert_eq!(rekeyed[1].subject.snapshot.as_ref(), Some(snapshot.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_recorded_a_restore_goes_on_a_backup_has_a_problem_and_nothing_is_pruned()
 {
    let deployment = deployment().await;
    let (store, repository) = crate::repository::in_memory().await;
    backup(&deployment, &repository).await;
    let watched = Watched::new(store);
    let repository = Repository::open_in(Arc::clone(&watched) as _)
        .await
        .unwrap();
    watched.refuse("audit/");

    let backup = Backup::new(&source(&deployment).await, &repository);
    let backup = backup.options(DumpOptions::default());
    let plan = backup.plan().await.unwrap();
    let done = Box::pin(backup.run(plan)).await.unwrap();
    let [problem] = done.report.problems.as_slice() else {
        panic!("{:?}", done.report.problems);
    };
    assert!(problem.message.contains("has no entry of this backup"));
    let snapshot = repository.snapshot(&done.snapshot).await.unwrap();

    let observer = Arc::new(RecordingObserver::default());
    let options = RestoreOptions::default().drop(true);
    let restored = restore(&snapshot, &deployment, options).await;
    let restored = restored.observer(Arc::clone(&observer) as Arc<dyn Observer>);
    let plan = restored.plan().await.unwrap();
    let report = Box::pin(restored.run(plan)).await.unwrap();
    assert_eq!(report.problems, []);
    let told = observer.events().into_iter().filter(|event| {
        let missing = "has no entry of this restore";
        matches!(event, Event::Notice { message, .. } if message.contains(missing))
    });
    assert_eq!(told.count(), 2);

    let capture = Capture::new(&source(&deployment).await, &repository)
        .options(CaptureOptions::default().until_caught_up(true));
    assert_eq!(capture.run().await.unwrap().problems.len(), 2);

    let before = objects(&*watched).await;
    let prune = Prune::new(&repository, RetentionPolicy::default().keep_last(1));
    let plan = prune.plan().await.unwrap();
    assert!(plan.snapshots.iter().any(|snapshot| snapshot.goes()));
    let error = prune.run(plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.to_string().contains("has no entry of this prune"),
        "{error}"
    );
    assert_eq!(objects(&*watched).await, before);
    assert_eq!(acts(&repository).await, ["init done", "backup done"]);
}
