//! How far an operation on a repository is, as its observer is told.

use std::sync::Arc;

use rdump::{
    CancellationToken, Event, Observer, Prune, RecordingObserver, Repository, RepositoryCopy,
    RetentionPolicy, SnapshotVerifyOptions, Store, storage::MemoryStore,
};

use super::{
    fixture::copy_of,
    years::{Of, Years},
};

/// How much went through.
type Through = (u64, u64);

/// What went through of the snapshot, and of what was captured, if either was told.
fn told(observer: &RecordingObserver) -> (Option<Through>, Option<Through>) {
    let (mut started, mut snapshot, mut finished, mut captured) = (None, (0, 0), None, None);
    for event in observer.events() {
        match event {
            Event::SnapshotStarted {
                objects,
                stored_bytes,
                ..
            } => started = Some((objects, stored_bytes)),
            Event::SnapshotAdvanced {
                objects,
                stored_bytes,
                ..
            } => {
                assert_eq!(objects, snapshot.0 + 1);
                assert!(stored_bytes > snapshot.1);
                snapshot = (objects, stored_bytes);
            }
            Event::SnapshotFinished {
                objects,
                stored_bytes,
                ..
            } => {
                assert_eq!((objects, stored_bytes), snapshot);
                finished = Some(snapshot);
            }
            Event::TimelineAdvanced {
                slices,
                total_slices,
                stored_bytes,
                ..
            } => {
                let (before, bytes, total) = captured.unwrap_or((0, 0, total_slices));
                assert_eq!((slices, total_slices), (before + 1, total));
                assert!(stored_bytes > bytes);
                captured = Some((slices, stored_bytes, total));
            }
            _ => {}
        }
    }
    assert_eq!(started, finished);
    let captured = captured.map(|(slices, bytes, total)| {
        assert_eq!(slices, total);
        (slices, bytes)
    });
    (finished, captured)
}

fn recording() -> (Arc<RecordingObserver>, Arc<dyn Observer>, CancellationToken) {
    let recording = Arc::new(RecordingObserver::default());
    let observer = Arc::clone(&recording) as _;
    (recording, observer, CancellationToken::new())
}

#[tokio::test]
async fn whoever_watches_is_told_of_every_object_and_slice() {
    let store = copy_of("timeline-1.1").await;
    let repository = Repository::open_in(store).await.unwrap();
    let id = repository.find_id("latest").await.unwrap();

    let (watched, observer, cancel) = recording();
    let options = SnapshotVerifyOptions::default();
    let verified = repository.verify(&id, &options, observer, cancel).await;
    let verified = verified.unwrap();
    let data = (verified.objects, verified.stored_bytes);
    assert_eq!(told(&watched), (Some(data), None));

    let (watched, observer, cancel) = recording();
    let verified = repository.verify_timeline(observer, cancel).await.unwrap();
    let captured = (verified.slices + verified.gaps, verified.stored_bytes);
    assert_eq!(told(&watched), (None, Some(captured)));

    let (watched, observer, _) = recording();
    let twin: Arc<dyn Store> = Arc::new(MemoryStore::new("copies"));
    let twin = repository.open_or_twin_in(twin).await.unwrap();
    let copy = RepositoryCopy::new(&repository, &twin).timeline(true);
    let copied = copy.observer(observer).run().await.unwrap();
    let objects = (copied.objects, copied.stored_bytes);
    let slices = (copied.slices, copied.slice_bytes);
    assert_eq!(told(&watched), (Some(objects), Some(slices)));

    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| rdump::Location::from(folder.path().join(name).as_path());
    let (watched, observer, cancel) = recording();
    let bundle = place("bundle.tar").sink().unwrap();
    repository
        .bundle(&id, bundle, observer, cancel)
        .await
        .unwrap();
    assert_eq!(told(&watched), (Some(data), None));

    let (watched, observer, cancel) = recording();
    let bundle = std::fs::File::open(folder.path().join("bundle.tar")).unwrap();
    Repository::unbundle(&place("taken"), "a bundle", bundle, observer, cancel)
        .await
        .unwrap();
    assert_eq!(told(&watched), (Some(data), None));

    let (watched, observer, cancel) = recording();
    let stretch = repository.timeline().await.unwrap().stretches()[0];
    let captured = repository.captured(stretch.start, Some(stretch.end)).await;
    let captured = captured.unwrap();
    let file = place("oplog.bson").sink().unwrap();
    captured.write(file, observer, cancel).await.unwrap();
    assert!(told(&watched).1.is_some_and(|(slices, _)| slices > 0));
}

#[tokio::test]
async fn whoever_watches_is_told_of_everything_that_is_deleted() {
    let mut years = Years::new().await;
    for _ in 0..3 {
        years.snapshot(Of::All, &[]).await;
        years.now += 86_400;
    }
    let (watched, observer, _) = recording();
    let policy = RetentionPolicy::default().keep_last(1);
    let prune = Prune::new(&years.repository, policy).observer(observer);
    let prune = prune.now(years.now);
    let report = prune.run(prune.plan().await.unwrap()).await.unwrap();
    assert_eq!(report.snapshots, 2);
    let deleted = watched.events().into_iter().filter_map(|it| match it {
        Event::ObjectsDeleted {
            objects,
            stored_bytes,
            ..
        } => Some((objects, stored_bytes)),
        _ => None,
    });
    let deleted: Vec<_> = deleted.collect();
    assert!(deleted.is_sorted());
    assert_eq!(deleted.last(), Some(&(report.objects, report.stored_bytes)));
}
