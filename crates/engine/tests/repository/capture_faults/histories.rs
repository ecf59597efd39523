//! What was captured, and a source that is not what it was.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_set_up_anew_is_another_history_and_no_restore_leads_to_it_from_before() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    let before = insert(&from, 1).await;
    once(&from, &repository).await;

    // The same name and address, and other data.
    let member = &from.members()[0];
    member.kill();
    std::fs::remove_dir_all(member.db_path()).unwrap();
    member.restart().await;
    let config = doc! { "_id": "rs0", "members": [{ "_id": 0, "host": member.address() }] };
    let admin = from.direct_client(0).database("admin");
    admin
        .run_command(doc! { "replSetInitiate": config })
        .await
        .unwrap();
    from.await_primary().await;
    insert(&from, 100).await;
    // That is said once.
    assert_eq!(once(&from, &repository).await.gaps, 1);
    assert_eq!(once(&from, &repository).await.gaps, 0);
    let between = insert(&from, 101).await;
    once(&from, &repository).await;
    let error = try_restore(
        &repository,
        &to,
        RestorePoint::At(between),
        RestoreOptions::default(),
    );
    let error = error.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OplogGap, "{error:?}");
    assert_eq!(ids(&to).await, [] as [i32; 0]);

    let second = backup(&from, &repository, auto()).await;
    let after = insert(&from, 102).await;
    assert_eq!(once(&from, &repository).await.gaps, 0);
    let timeline = repository.timeline().await.unwrap();
    let [gap] = timeline.gaps().collect::<Vec<_>>()[..] else {
        panic!("one gap");
    };
    let bytes = objects(&*store).await[&gap.path()].clone();
    let record = GapRecord::from_bytes(&bytes).unwrap();
    assert_eq!(record.reason, GapReason::OtherHistory, "{record:?}");
    assert_ne!(record.next, record.timeline);
    assert_eq!(timeline.stretches().len(), 2);
    let at = RestorePoint::At;
    assert_eq!(ids_at(&repository, &to, at(before)).await, [0, 1]);
    assert_eq!(ids_at(&repository, &to, at(second)).await, [100, 101]);
    assert_eq!(ids_at(&repository, &to, at(after)).await, [100, 101, 102]);
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        [100, 101, 102]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_is_never_captured_and_is_no_gap() {
    let (from, to) = tokio::join!(
        ReplicaSet::builder().members(3).start(),
        ReplicaSet::start()
    );
    let (_, repository) = in_memory().await;
    let running = Running::start(&from, &repository, quick()).await;
    running.await_captured(insert_for_all(&from, 0).await).await;
    backup(&from, &repository, auto()).await;
    let captured = insert_for_all(&from, 1).await;
    running.await_captured(captured).await;

    let old = from.await_primary().await;
    let others: Vec<usize> = (0..3).filter(|member| *member != old).collect();
    others.iter().for_each(|member| from.kill(*member));
    // Nobody else will ever know of it.
    let alone = from.direct_client(old).database("shop");
    let lost = doc! { "insert": "log", "documents": [{ "_id": 2 }], "writeConcern": { "w": 1 } };
    alone.run_command(lost).await.unwrap();
    from.kill(old);
    for member in &others {
        from.members()[*member].restart().await;
    }
    from.await_primary().await;
    let kept = insert_for_all(&from, 3).await;
    from.restart(old).await;
    from.await_healthy().await;
    let direct = from.direct_client(old).database("shop");
    let of_old = direct.collection::<Document>("log");
    let lost = of_old.find_one(doc! { "_id": 2 }).await.unwrap();
    assert_eq!(lost, None, "it was not rolled back");
    let last = insert_for_all(&from, 4).await;
    running.await_captured(last).await;
    let report = running.stop().await;
    assert_eq!(report.gaps, 0);
    assert_eq!(repository.timeline().await.unwrap().stretches().len(), 1);
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::At(captured)).await,
        [0, 1]
    );
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::At(kept)).await,
        [0, 1, 3]
    );
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        [0, 1, 3, 4]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_at_any_time_costs_nothing() {
    let (from, to) = tokio::join!(
        ReplicaSet::builder().members(3).start(),
        ReplicaSet::start()
    );
    let store = Watched::new(Arc::new(MemoryStore::new("backups")));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>)
        .await
        .unwrap();
    let mut id = 0;
    let write = async |id: &mut i32| {
        *id += 1;
        // The one that was killed may have been asked.
        wait_for("a primary that takes it", PATIENCE, async || {
            let shop = from.client().database("shop");
            let update = doc! {
                "update": "log", "updates": [{ "q": { "_id": *id }, "u": { "$set": { "a": 1 } }, "upsert": true }],
                "writeConcern": { "w": "majority" },
            };
            let reply = shop.run_command(update).await.ok()?;
            Some(OpTime::from(reply.get_timestamp("operationTime").ok()?))
        })
        .await
    };
    write(&mut id).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;

    // Before the first slice of a run.
    let killed = from.kill_primary().await;
    let slow = CaptureOptions::default().slice_age(Duration::from_secs(2));
    let running = Running::start(&from, &repository, slow).await;
    let at = write(&mut id).await;
    from.restart(killed).await;
    running.await_captured(at).await;
    // While one is gathered.
    write(&mut id).await;
    let killed = from.kill_primary().await;
    let at = write(&mut id).await;
    from.restart(killed).await;
    running.await_captured(at).await;
    // While one is stored.
    let before = running.slices();
    store.hold("timeline/");
    write(&mut id).await;
    wait_for("a slice to be held", PATIENCE, async || {
        store.is_held().then_some(())
    })
    .await;
    let killed = from.kill_primary().await;
    let at = write(&mut id).await;
    store.let_go();
    from.restart(killed).await;
    running.await_captured(at).await;
    assert!(running.slices() > before);
    // At its end.
    write(&mut id).await;
    let killed = from.kill_primary().await;
    let report = running.stop().await;
    assert_eq!(report.gaps, 0);
    from.restart(killed).await;
    once(&from, &repository).await;
    let stretches = repository.timeline().await.unwrap().stretches();
    assert_eq!(stretches.len(), 1, "{stretches:?}");
    let expected: Vec<i32> = (1..=id).collect();
    assert_eq!(
        ids_at(&repository, &to, RestorePoint::Latest).await,
        expected
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_in_the_clear_are_no_part_of_what_is_encrypted_whoever_put_them_there() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, plain) = in_memory().await;
    let (recipients, identities) = somebody();
    let opened = plain.clone().identities(Some(identities.clone()));
    insert(&from, 0).await;
    let capture = async |recipients: Option<Recipients>| {
        let capture = Capture::new(&source(&from).await, &plain).recipients(recipients);
        capture.options(quick().until_caught_up(true)).run().await
    };
    let once = async |recipients: Option<Recipients>| {
        assert_eq!(capture(recipients).await.unwrap().gaps, 0);
    };
    let snapshot = async |recipients: Option<Recipients>| {
        let backup = Backup::new(&source(&from).await, &plain).options(auto());
        let backup = backup.recipients(recipients);
        let plan = Box::pin(backup.plan()).await.unwrap();
        let report = backup.run(plan).await.unwrap();
        report.report.consistent_at.unwrap()
    };
    let encrypted = Some(recipients);
    once(encrypted.clone()).await;
    let base = snapshot(encrypted.clone()).await;
    insert(&from, 1).await;
    once(encrypted.clone()).await;
    let timeline = async || plain.timeline().await.unwrap();
    let first = timeline().await.ends()[0];

    // Somebody forgets the key: of what is captured, and then of a snapshot, too.
    let error = capture(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    snapshot(None).await;
    let between = insert(&from, 2).await;
    once(None).await;
    let latest = RestorePoint::Latest;
    let options = RestoreOptions::default;
    let error = try_restore(&opened, &to, latest, options()).await;
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("is not encrypted, although"),
        "{error:?}"
    );
    restore(&plain, &to, RestorePoint::At(between), options()).await;
    assert_eq!(ids(&to).await, [0, 1, 2]);
    empty(&to).await;
    insert(&from, 3).await;
    once(encrypted).await;
    restore(&opened, &to, latest, options()).await;
    assert_eq!(ids(&to).await, [0, 1, 2, 3]);
    empty(&to).await;
    let snapshots = plain.snapshots().await.unwrap();
    let restorable = plain
        .restorable(&snapshots, &timeline().await)
        .await
        .unwrap();
    let [span] = restorable.as_slice() else {
        panic!("{restorable:?}");
    };
    assert_eq!(
        (span.from, span.until),
        (base, timeline().await.ends()[0].end)
    );

    // Somebody puts a slice of their own there.
    insert(&from, 4).await;
    once(None).await;
    let of_first = |span: &SpanName| span.timeline == first.timeline;
    let (ours, theirs): (Vec<_>, Vec<_>) = timeline().await.ends().into_iter().partition(of_first);
    let all = objects(&*store).await;
    let slice = OplogSlice::read(&all[&theirs[0].path()]).unwrap();
    let mut header = slice.header.clone();
    (header.timeline, header.start) = (first.timeline, ours[0].end);
    let before = ours[0].path();
    header.previous = Some(Previous::new(&before, &all[&before]));
    let stored: Vec<u8> = slice
        .segments()
        .flat_map(|(_, stored)| stored.to_vec())
        .collect();
    let forged = OplogSlice::write(&header, &slice.footer, &stored).unwrap();
    let mut forged_too = all.clone();
    forged_too.retain(|path, _| *path != theirs[0].path());
    let name = SpanName::new(ours[0].end, theirs[0].end, first.timeline, SpanKind::Slice);
    forged_too.insert(name.path(), forged.into());
    let forged = Repository::open_in(store_of(&forged_too).await)
        .await
        .unwrap();
    let forged = forged.identities(Some(identities));
    let error = try_restore(&forged, &to, latest, options())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("is not encrypted, although"),
        "{error:?}"
    );
    assert!(names(&to).await.is_empty());
    let verified = forged
        .verify_timeline(Arc::new(()), CancellationToken::new())
        .await
        .unwrap();
    let damaged: Vec<_> = verified.damage.iter().map(|damage| &damage.path).collect();
    assert!(damaged.contains(&&name.path()), "{damaged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_captured_in_part_by_mistake_is_in_the_way_of_nothing() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    let base = backup(&from, &repository, auto()).await;
    let select = Selector {
        include: vec![Pattern::parse("shop.*").unwrap()],
        exclude: Vec::new(),
    };
    insert(&from, 1).await;
    once(&from, &repository).await;
    let capture = Capture::new(&source(&from).await, &repository);
    let in_part = capture.options(quick().until_caught_up(true).select(select));
    backup(&from, &repository, auto()).await;
    insert(&from, 2).await;
    in_part.run().await.unwrap();
    // That alone is not all that can be restored.
    let latest = RestorePoint::Latest;
    let restorable = async || {
        let timeline = repository.timeline().await.unwrap();
        let snapshots = repository.snapshots().await.unwrap();
        repository.restorable(&snapshots, &timeline).await.unwrap()
    };
    let end = repository.timeline().await.unwrap().ends()[0].end;
    assert!(restorable().await.iter().all(|span| span.until < end));
    // What was captured before goes on from where it was, and the second snapshot is in both.
    insert(&from, 3).await;
    once(&from, &repository).await;
    assert_eq!(ids_at(&repository, &to, latest).await, [0, 1, 2, 3]);
    let end = repository.timeline().await.unwrap().ends()[0].end;
    let restorable = restorable().await;
    let [span] = restorable.as_slice() else {
        panic!("{restorable:?}");
    };
    assert_eq!((span.from, span.until), (base, end));
}
