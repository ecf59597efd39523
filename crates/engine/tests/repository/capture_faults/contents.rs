//! What slices have in them, and what comes of it at a target.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_as_long_as_there_can_be_is_captured_verified_and_restored() {
    // A smaller one takes no document of this length.
    let with_cache = || ReplicaSet::builder().cache_mebibytes(1024).start();
    let (from, to) = (with_cache().await, with_cache().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    let log = from.client().database("shop").collection::<Document>("log");
    let longest = |id: i32| {
        let rest = bson::serialize_to_vec(&doc! { "_id": id, "text": "" })
            .unwrap()
            .len();
        doc! { "_id": id, "text": "x".repeat((16 << 20) - rest) }
    };
    for id in 1..=2 {
        log.insert_one(longest(id)).await.unwrap();
    }
    let report = once(&from, &repository).await;
    assert!(report.uncompressed_bytes > 2 * (16 << 20), "{report}");
    assert_eq!(damage(&repository).await, []);
    restore_latest(&repository, &to).await;
    let found = to.client().database("shop").collection::<Document>("log");
    for id in 0..=2 {
        let [one, other] = [&log, &found].map(|log| log.find_one(doc! { "_id": id }));
        assert!(one.await.unwrap() == other.await.unwrap(), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_across_slices_and_captures_is_there_once_it_is_committed() {
    let parameter = "--setParameter=maxNumberOfTransactionOperationsInSingleOplogEntry=1";
    let from = ReplicaSet::builder().argument(parameter).start().await;
    let to = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    let base = backup(&from, &repository, auto()).await;
    let client = from.client();
    let log = client.database("shop").collection::<Document>("log");
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    for id in 1..=4 {
        let insert = log.insert_one(doc! { "_id": id });
        insert.session(&mut session).await.unwrap();
    }
    let during = insert(&from, 10).await;
    once(&from, &repository).await;
    session.commit_transaction().await.unwrap();
    let after = insert(&from, 11).await;
    // Each entry is a slice, and after one or a few of them the capture is killed.
    let tiny = || {
        CaptureOptions::default()
            .slice_bytes(1)
            .slice_age(Duration::from_millis(100))
    };
    let end = async || repository.timeline().await.unwrap().stretches()[0].end;
    let mut captures = 0;
    while end().await < after {
        let running = Running::start(&from, &repository, tiny()).await;
        running.await_slices(1).await;
        running.kill().await;
        captures += 1;
    }
    let slices = repository.timeline().await.unwrap().slices().count();
    assert!(slices >= 6, "{slices} slices by {captures} captures");
    once(&from, &repository).await;
    let second = backup(&from, &repository, auto()).await;
    let last = insert(&from, 12).await;
    once(&from, &repository).await;
    let at = RestorePoint::At;
    assert_eq!(ids_at(&repository, &to, at(base)).await, [0]);
    assert_eq!(ids_at(&repository, &to, at(during)).await, [0, 10]);
    assert_eq!(
        ids_at(&repository, &to, at(after)).await,
        [0, 1, 2, 3, 4, 10, 11]
    );
    assert_eq!(
        ids_at(&repository, &to, at(second)).await,
        [0, 1, 2, 3, 4, 10, 11]
    );
    assert_eq!(
        ids_at(&repository, &to, at(last)).await,
        [0, 1, 2, 3, 4, 10, 11, 12]
    );
    assert_eq!(repository.timeline().await.unwrap().gaps().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_that_goes_and_comes_between_slices_is_what_it_was_at_each_moment() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    let shop = from.client().database("shop");
    let log = shop.collection::<Document>("log");
    let mut moments = Vec::new();
    log.drop().await.unwrap();
    moments.push((once(&from, &repository).await, vec![]));
    insert(&from, 1).await;
    moments.push((once(&from, &repository).await, vec![1]));
    let rename = doc! { "renameCollection": "shop.log", "to": "shop.old" };
    from.admin_command(rename).await.unwrap();
    moments.push((once(&from, &repository).await, vec![]));
    insert(&from, 2).await;
    moments.push((once(&from, &repository).await, vec![2]));
    let rename = doc! { "renameCollection": "shop.old", "to": "shop.log", "dropTarget": true };
    from.admin_command(rename).await.unwrap();
    moments.push((once(&from, &repository).await, vec![1]));
    shop.drop().await.unwrap();
    moments.push((once(&from, &repository).await, vec![]));
    insert(&from, 3).await;
    moments.push((once(&from, &repository).await, vec![3]));
    for (captured, expected) in moments {
        let at = RestorePoint::At(captured.captured_until.unwrap());
        assert_eq!(ids_at(&repository, &to, at).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_database_is_dropped_leaves_what_the_source_never_had() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    from.client().database("shop").drop().await.unwrap();
    insert(&from, 1).await;
    once(&from, &repository).await;
    let mine = to.client().database("shop").collection::<Document>("mine");
    mine.insert_one(doc! { "_id": 7 }).await.unwrap();
    restore_latest(&repository, &to).await;
    assert_eq!(ids(&to).await, [1]);
    assert_eq!(mine.count_documents(doc! {}).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_in_which_nothing_is_written_is_captured_too() {
    let (from, to) = (quiet().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    backup(&from, &repository, auto()).await;
    once(&from, &repository).await;
    let note = doc! { "appendOplogNote": 1, "data": { "nobody": "writes" } };
    from.admin_command(note).await.unwrap();
    let report = once(&from, &repository).await;
    assert_eq!((report.slices, report.entries), (1, 0));
    let until = report.captured_until.unwrap();
    assert_eq!(ids_at(&repository, &to, RestorePoint::At(until)).await, [0]);
    // Where there is nothing new, nothing is stored.
    assert_eq!(once(&from, &repository).await.slices, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_is_not_what_is_before_a_hole() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, repository) = in_memory().await;
    insert(&from, 0).await;
    once(&from, &repository).await;
    let base = backup(&from, &repository, auto()).await;
    for id in 1..=3 {
        insert(&from, id).await;
        once(&from, &repository).await;
    }
    let timeline = repository.timeline().await.unwrap();
    let slices: Vec<_> = timeline.slices().filter(|it| it.end > base).collect();
    let [.., before, missing, _] = slices.as_slice() else {
        panic!("{slices:?}");
    };
    store.delete(&[&missing.path()]).await.unwrap();
    let options = RestoreOptions::default();
    let error = try_restore(&repository, &to, RestorePoint::Latest, options).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OplogGap, "{error:?}");
    assert!(
        error.hint().unwrap().contains(&before.end.to_string()),
        "{error:?}"
    );
    let error = repository.captured(base, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OplogGap, "{error:?}");
    let at = RestorePoint::At(before.end);
    assert_eq!(ids_at(&repository, &to, at).await, [0, 1]);

    // Nor is it a snapshot that nothing leads on from.
    let rest: Vec<_> = slices.iter().filter(|it| it.end < missing.end).collect();
    for slice in rest {
        store.delete(&[&slice.path()]).await.unwrap();
    }
    let options = RestoreOptions::default();
    let error = try_restore(&repository, &to, RestorePoint::Latest, options).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OplogGap, "{error:?}");
    assert_eq!(ids_at(&repository, &to, RestorePoint::At(base)).await, [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_ends_where_a_backup_begins_is_in_it() {
    let parameter = "--setParameter=maxNumberOfTransactionOperationsInSingleOplogEntry=1";
    let from = ReplicaSet::builder().argument(parameter).start().await;
    let to = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    let client = from.client();
    let log = client.database("shop").collection::<Document>("log");
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    for id in 1..=2 {
        let insert = log.insert_one(doc! { "_id": id });
        insert.session(&mut session).await.unwrap();
    }
    session.commit_transaction().await.unwrap();
    let oplog = DumpOptions::default().consistency(Consistency::Oplog);
    backup(&from, &repository, oplog).await;
    insert(&from, 3).await;
    once(&from, &repository).await;
    let latest = RestorePoint::Latest;
    assert_eq!(ids_at(&repository, &to, latest).await, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_after_the_snapshot_is_selected_by_name() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    insert(&from, 0).await;
    backup(&from, &repository, auto()).await;
    for (db, name) in [("shop", "later"), ("new", "x"), ("new", "y")] {
        let collection = from.client().database(db).collection(name);
        collection.insert_one(doc! { "_id": name }).await.unwrap();
    }
    once(&from, &repository).await;
    let restored = async |patterns: &[&str]| {
        let include = patterns.iter().map(|it| Pattern::parse(it).unwrap());
        let select = Selector {
            include: include.collect(),
            exclude: Vec::new(),
        };
        let options = RestoreOptions::default().select(select);
        let restored = try_restore(&repository, &to, RestorePoint::Latest, options).await;
        let mut names = Vec::new();
        for db in ["shop", "new"] {
            let db = to.client().database(db);
            let found = db.list_collection_names().await.unwrap();
            names.extend(found.iter().map(|name| format!("{}.{name}", db.name())));
            db.drop().await.unwrap();
        }
        names.sort();
        restored.map(|_| names)
    };
    assert_eq!(restored(&["new.*"]).await.unwrap(), ["new.x", "new.y"]);
    assert_eq!(restored(&["shop.later"]).await.unwrap(), ["shop.later"]);
    let both = restored(&["shop.log", "new.y"]).await.unwrap();
    assert_eq!(both, ["new.y", "shop.log"]);
    let error = restored(&["never.*"]).await.unwrap_err();
    assert!(error.to_string().contains("never.*"), "{error}");
}
