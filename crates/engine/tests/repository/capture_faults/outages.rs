//! Stores, networks and rights that are not there.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_is_waited_for_and_what_is_in_memory_is_bounded() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, repository) = watched().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    let options = CaptureOptions::default()
        .slice_bytes(1 << 20)
        .slice_age(Duration::from_millis(100));
    let running = Running::start(&from, &repository, options).await;
    running.await_captured(insert(&from, 1).await).await;
    store.hold("timeline/");
    let log = from.client().database("shop").collection::<Document>("log");
    let text = "x".repeat(1 << 20);
    for id in 2..30 {
        log.insert_one(doc! { "_id": id, "text": &text })
            .await
            .unwrap();
    }
    wait_for("a slice to be held", PATIENCE, async || {
        store.is_held().then_some(())
    })
    .await;
    let before = running.slices();
    store.let_go();
    let last = insert(&from, 30).await;
    running.await_captured(last).await;
    // One is stored, two wait and one is gathered: none of them took what came after it.
    assert!(
        running.slices() - before >= 20,
        "{}",
        running.slices() - before
    );
    assert_eq!(running.stop().await.gaps, 0);
    let expected: Vec<i32> = (0..=30).collect();
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        expected
    );
}

/// Waits until a capture has tried in vain, twice.
async fn await_retries(running: &Running) {
    let is_retried = |event: &Event| matches!(event, Event::Retrying { .. });
    wait_for("two attempts in vain", PATIENCE, async || {
        let events = running.observer.events();
        (events.iter().filter(|event| is_retried(event)).count() >= 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_full_is_waited_for_under_the_same_lease() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, repository) = watched().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    let running = Running::start(&from, &repository, quick()).await;
    running.await_captured(insert(&from, 1).await).await;
    let since = repository.capturing().await.unwrap().unwrap().since;
    store.fill(true);
    insert(&from, 2).await;
    await_retries(&running).await;
    store.fill(false);
    running.await_captured(insert(&from, 3).await).await;
    let capturing = repository.capturing().await.unwrap().unwrap();
    assert_eq!(capturing.since, since);
    let report = running.stop().await;
    assert!(report.interruptions >= 2 && report.gaps == 0, "{report:?}");
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        [0, 1, 2, 3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_has_expired_meanwhile_ends_no_capture() {
    let from = ReplicaSet::start().await;
    let (store, repository) = watched().await;
    insert(&from, -1).await;
    backup(&from, &repository, auto()).await;
    let capture = Capture::new(&source(&from).await, &repository).options(quick());
    let running = Running::run(capture.lease(Some(Duration::from_millis(500))));
    running.await_captured(insert(&from, 0).await).await;
    store.hold("leases/");
    await_free(&repository).await;
    let last = insert(&from, 1).await;
    let is_retried = |event: &Event| matches!(event, Event::Retrying { .. });
    let is_missed = async || {
        running
            .observer
            .events()
            .iter()
            .any(is_retried)
            .then_some(())
    };
    wait_for("the lease to be missed", PATIENCE, is_missed).await;
    store.let_go();
    running.await_captured(last).await;
    assert_eq!(running.stop().await.gaps, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_removed_is_not_written_on() {
    let from = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("backups");
    let location = place.to_str().unwrap().parse().unwrap();
    let repository = Repository::init(&location).await.unwrap();
    insert(&from, -1).await;
    backup(&from, &repository, auto()).await;
    let mut running = Running::start(&from, &repository, quick()).await;
    running.await_captured(insert(&from, 0).await).await;
    // What is stored at this moment may come back.
    while std::fs::remove_dir_all(&place).is_err() {}
    insert(&from, 1).await;
    let ended = running.task.join_next().await.unwrap().unwrap();
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let text = error.to_string();
    assert!(text.contains("no repository any more"), "{text}");
    assert!(!place.join("timeline").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_after_a_slice_that_was_removed() {
    let from = ReplicaSet::start().await;
    let (store, repository) = in_memory().await;
    let mut running = Running::start(&from, &repository, quick()).await;
    running.await_captured(insert(&from, 0).await).await;
    let ended = async {
        loop {
            let timeline = repository.timeline().await.unwrap();
            for slice in timeline.slices() {
                store.delete(&[&slice.path()]).await.unwrap();
            }
            insert_more(&from).await;
            if let Some(ended) = running.task.try_join_next() {
                break ended.unwrap();
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.to_string().contains("is gone"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_cut_is_waited_for() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    let proxy = Proxy::start(from.members()[0].address()).await;
    let options = ConnectOptions::default().uri(from.direct_uri_at(&proxy.addr()));
    let options = options.server_selection_timeout(Duration::from_secs(1));
    let through = Source::connect(&options).await.unwrap();
    let running = Running::of(&through, &repository, quick());
    running.await_captured(insert(&from, 1).await).await;
    proxy.refuse();
    proxy.cut_all_now();
    insert(&from, 2).await;
    await_retries(&running).await;
    proxy.pass();
    running.await_captured(insert(&from, 3).await).await;
    let report = running.stop().await;
    assert!(report.interruptions >= 2 && report.gaps == 0, "{report:?}");
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        [0, 1, 2, 3]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_which_role_it_takes() {
    let from = ReplicaSet::builder().auth().start().await;
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    from.create_user("poor", "poor", &[("readWriteAnyDatabase", "admin")])
        .await;
    let options = ConnectOptions::default().uri(from.uri_for("poor"));
    let poor = Source::connect(&options).await.unwrap();
    let oplog = quick().source(rdump::CaptureSource::Oplog);
    let capture = Capture::new(&poor, &repository).options(oplog);
    let error = capture.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("grantRolesToUser('…', ['backup'])"), "{hint}");

    from.create_user("rich", "rich", &[("backup", "admin")])
        .await;
    let options = ConnectOptions::default().uri(from.uri_for("rich"));
    let rich = Source::connect(&options).await.unwrap();
    let capture = Capture::new(&rich, &repository).options(quick().until_caught_up(true));
    capture.run().await.unwrap();
    backup(&from, &repository, auto()).await;
    let change = doc! { "collMod": "log", "validationLevel": "moderate" };
    from.client()
        .database("shop")
        .run_command(change)
        .await
        .unwrap();
    capture.run().await.unwrap();

    // Who may write everywhere may not do all that an oplog has.
    let options = ConnectOptions::default().uri(from.uri_for("poor"));
    let target = rdump::Target::connect(&options).await.unwrap();
    let only = Selector {
        include: vec![Pattern::parse("shop.*").unwrap()],
        exclude: Vec::new(),
    };
    let options = RestoreOptions::default();
    let options = options.rename("shop.*", "copy.*").select(only);
    let point = repository
        .point_in_time(RestorePoint::Latest, None)
        .await
        .unwrap();
    let reader = Arc::new(Box::pin(point.reader(&options)).await.unwrap());
    let restore = rdump::Restore::new(&target, reader).options(options);
    let plan = Box::pin(restore.plan()).await.unwrap();
    let error = Box::pin(restore.run(plan)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(
        error.hint().unwrap().contains("anyAction on anyResource"),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_lasts_until_the_oplog_has_forgotten_is_a_gap_that_begins_where_slices_end()
{
    let from = ReplicaSet::builder()
        .oplog_mebibytes(1)
        // Only what is in a checkpoint is forgotten.
        .argument("--syncdelay=1")
        .start()
        .await;
    let to = ReplicaSet::start().await;
    let (store, repository) = watched().await;
    let options = quick().slice_bytes(1 << 20);
    let running = Running::start(&from, &repository, options).await;
    running.await_captured(insert(&from, 0).await).await;
    backup(&from, &repository, auto()).await;
    running.await_captured(insert(&from, 1).await).await;
    store.hold("timeline/");
    let before = repository.timeline().await.unwrap().stretches()[0].end;
    let log = from.client().database("shop").collection("log");
    let text = "x".repeat(1 << 20);
    let local = from
        .client()
        .database("local")
        .collection::<Document>("oplog.rs");
    // Until the oldest entry is later than all that can wait in memory: four slices, and the rest of a reply.
    let mut written = Vec::new();
    for id in 2.. {
        let document = doc! { "_id": id, "text": &text };
        log.insert_one(document).await.unwrap();
        let of_oplog = async |order| {
            let found = local.find_one(doc! {}).sort(doc! { "$natural": order });
            OpTime::from(found.await.unwrap().unwrap().get_timestamp("ts").unwrap())
        };
        written.push(of_oplog(-1).await);
        if written.len() > 30 && of_oplog(1).await > written[30] {
            break;
        }
    }
    assert!(store.is_held());
    store.let_go();
    let is_gap = |event: &Event| matches!(event, Event::Gap { .. });
    let found = async || running.observer.events().iter().any(is_gap).then_some(());
    wait_for("the gap", PATIENCE, found).await;
    running.await_captured(insert(&from, -1).await).await;
    assert_eq!(running.stop().await.gaps, 1);
    let timeline = repository.timeline().await.unwrap();
    let [gap] = timeline.gaps().collect::<Vec<_>>()[..] else {
        panic!("one gap");
    };
    // What waited in memory was stored, and led up to it.
    assert!(gap.start > before && gap.start < *written.last().unwrap());
    assert!(timeline.slices().any(|slice| slice.end == gap.start));
    let known = written.iter().filter(|at| **at <= gap.start).count();
    let ids = ids_at(&repository, &to, RestorePoint::At(gap.start)).await;
    assert_eq!(ids.len(), 2 + known);
    let options = RestoreOptions::default();
    let error = try_restore(&repository, &to, RestorePoint::At(gap.end), options).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::OplogGap);
}
