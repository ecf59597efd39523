//! Two who capture into one repository.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_two_captures_have_stored_twice_leads_to_every_moment_all_the_same() {
    let (from, to) = (quiet().await, ReplicaSet::start().await);
    let (store, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    once(&from, &repository).await;
    let before = objects(&*store).await;
    let middle = insert(&from, 1).await;
    once(&from, &repository).await;
    let end = insert(&from, 2).await;
    once(&from, &repository).await;
    // Another one that knew nothing of that has stored the same span as one slice.
    let others = store_of(&before).await;
    let other = Repository::open_in(Arc::clone(&others)).await.unwrap();
    once(&from, &other).await;
    let last = insert(&from, 3).await;
    once(&from, &repository).await;
    let mut all = objects(&*store).await;
    let known = all.len();
    all.extend(objects(&*others).await);
    assert!(all.len() > known);
    let repository = Repository::open_in(store_of(&all).await).await.unwrap();
    for (at, expected) in [
        (middle, vec![0, 1]),
        (end, vec![0, 1, 2]),
        (last, vec![0, 1, 2, 3]),
    ] {
        assert_eq!(
            ids_at(&repository, &to, RestorePoint::At(at)).await,
            expected
        );
    }
    assert_eq!(damage(&repository).await, []);
    // A capture goes on after it.
    insert(&from, 4).await;
    assert_eq!(once(&from, &repository).await.gaps, 0);
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        [0, 1, 2, 3, 4]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_first_of_two_captures_is_killed_the_second_goes_on() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    // What is written after it is captured, whenever the capture begins.
    backup(&from, &repository, auto()).await;
    let first = Running::start(&from, &repository, quick()).await;
    let written = insert(&from, 1).await;
    first.await_captured(written).await;
    let second = Capture::new(&source(&from).await, &repository).options(quick());
    let error = second.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    first.kill().await;
    insert(&from, 2).await;
    // A process that is killed lets go by that alone; a task that is dropped says so first.
    await_free(&repository).await;
    let second = Running::start(&from, &repository, quick()).await;
    let last = insert(&from, 3).await;
    second.await_captured(last).await;
    let report = second.stop().await;
    assert_eq!(report.gaps, 0);
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        [0, 1, 2, 3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_lease_to_a_clock_that_is_ahead_stops_and_stores_nothing_more() {
    let from = ReplicaSet::start().await;
    let (store, repository) = in_memory().await;
    let capture = Capture::new(&source(&from).await, &repository).options(quick());
    let capture = capture.lease(Some(Duration::from_millis(500)));
    let slices = async || repository.timeline().await.unwrap().slices().count();
    let write = async {
        let stored = async || {
            insert_more(&from).await;
            (slices().await > 0).then_some(())
        };
        wait_for("a slice", PATIENCE, stored).await;
        // Whose clock says that the lease has expired takes it.
        let (then, expires_at) = ("2026-01-02T03:04:05Z", "2100-01-02T03:04:05Z");
        let record = LeaseRecord::new("capture", "elsewhere", "", then, expires_at);
        let (path, bytes) = (record.path(), record.to_bytes().unwrap());
        store.put(&path, bytes.into(), PutIf::Always).await.unwrap();
    };
    let (ended, ()) = futures::join!(capture.run(), write);
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let before = slices().await;
    // Who comes next is told who has it, and until when.
    let error = Capture::new(&source(&from).await, &repository).run().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("elsewhere") && text.contains("2100-01-02"),
        "{text}"
    );
    assert_eq!(slices().await, before);
}
