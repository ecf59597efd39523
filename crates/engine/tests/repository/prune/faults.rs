//! What is in the way of deleting, and what must not be taken for something else.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rdump::{
    Backup, DumpOptions, ErrorKind, KeepReason, OpTime, Pattern, Prune, PrunePlan, PruneReport,
    Repository, RetentionPolicy, Selector, SnapshotId, Store,
    storage::{PutIf, Retention},
};
use rdump_format::repository::LeaseRecord;
use rdump_testkit::ReplicaSet;

use super::super::{
    capture::{insert, source},
    encrypted::somebody,
    in_memory, objects,
    years::{Of, Years},
};

fn last(snapshots: u32) -> RetentionPolicy {
    RetentionPolicy::default().keep_last(snapshots)
}

fn prune(years: &Years, policy: RetentionPolicy) -> Prune {
    Prune::new(&years.repository, policy).now(years.now)
}

async fn run(prune: &Prune) -> PruneReport {
    prune.run(prune.plan().await.unwrap()).await.unwrap()
}

async fn whole(repository: &Repository) -> Vec<SnapshotId> {
    let snapshots = repository.snapshots().await.unwrap();
    snapshots.whole.iter().map(|it| it.id().clone()).collect()
}

fn reasons<'a>(plan: &'a PrunePlan, id: &SnapshotId) -> &'a [KeepReason] {
    let planned = plan.snapshots.iter().find(|it| it.id == *id);
    &planned.unwrap().kept
}

async fn put(years: &Years, path: &str) {
    let put = years.store.put(path, "stray".into(), PutIf::Absent);
    put.await.unwrap();
}

#[tokio::test]
async fn without_a_rule_nothing_is_deleted() {
    let years = Years::new().await;
    let error = prune(&years, RetentionPolicy::default()).plan().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.hint().unwrap().contains("--keep-daily"), "{error:?}");
    // That a snapshot is the newest is no rule, and it stays for that.
    let plan = prune(&years, last(0).keep_tag("x")).plan().await.unwrap();
    assert!(plan.is_empty(), "{plan}");
}

#[tokio::test]
async fn what_is_locked_stays_in_whole_and_goes_when_that_is_over() {
    let mut years = Years::new().await;
    let first = years.snapshot(Of::All, &[]).await;
    years.now += 3_600;
    let second = years.snapshot(Of::All, &[]).await;
    years.now += 3_600;
    years.snapshot(Of::All, &[]).await;
    let until = std::time::UNIX_EPOCH + Duration::from_secs(years.now.unsigned_abs() + 60);
    let object = years.objects_of(&second).into_keys().next().unwrap();
    for path in [&first.manifest(), &object] {
        years.store.retain(path, Some(Retention::until(until)));
    }
    let plan = prune(&years, last(1)).plan().await.unwrap();
    let [KeepReason::Locked { until: Some(shown) }] = reasons(&plan, &first) else {
        panic!("{plan}");
    };
    assert_eq!(*shown, "2020-01-01T02:01:00Z");
    assert!(
        plan.to_string()
            .contains("retained until 2020-01-01T02:01:00Z"),
        "{plan}"
    );
    let report = run(&prune(&years, last(1))).await;
    // Of the other one the object is left, and everything else is gone.
    assert_eq!(
        (report.snapshots, report.problems.len()),
        (1, 0),
        "{report:?}"
    );
    assert_eq!(
        report.retained,
        [format!("{object}: retained until 2020-01-01T02:01:00Z")]
    );
    assert_eq!(whole(&years.repository).await.len(), 2);
    assert!(objects(&*years.store).await.contains_key(&object));

    years.now += 2 * 86_400;
    for path in [&first.manifest(), &object] {
        years.store.retain(path, None);
    }
    let report = run(&prune(&years, last(1))).await;
    assert_eq!(
        (report.snapshots, report.retained.len()),
        (1, 0),
        "{report:?}"
    );
    let left = objects(&*years.store).await;
    for id in [&first, &second] {
        assert!(
            !left.keys().any(|path| path.contains(id.as_str())),
            "{left:?}"
        );
    }
}

#[tokio::test]
async fn what_the_store_refuses_to_delete_without_a_lock_is_a_problem() {
    let mut years = Years::new().await;
    let first = years.snapshot(Of::All, &[]).await;
    years.now += 3_600;
    years.snapshot(Of::All, &[]).await;
    // It refuses, and by its clock the lock is over.
    let over = Retention::until(std::time::UNIX_EPOCH);
    years.store.retain(&first.manifest_copy(), Some(over));
    let report = run(&prune(&years, last(1))).await;
    assert_eq!((report.snapshots, report.objects), (0, 0), "{report:?}");
    let [problem] = report.problems.as_slice() else {
        panic!("{report:?}");
    };
    assert!(problem.contains(&first.manifest_copy()), "{problem}");
    assert_eq!(whole(&years.repository).await.len(), 2);
}

#[tokio::test]
async fn what_attempts_have_left_in_a_snapshot_goes_and_the_snapshot_does_not() {
    let mut years = Years::new().await;
    years.resumed(true);
    let id = years.snapshot(Of::All, &[]).await;
    let stray = format!("{}data/1-99.bson.zst", id.folder());
    put(&years, &stray).await;
    let plan = prune(&years, last(1)).plan().await.unwrap();
    let [unnamed] = plan.unnamed.as_slice() else {
        panic!("{plan}");
    };
    assert_eq!((&unnamed.id, unnamed.objects), (&id, 1));
    let report = run(&prune(&years, last(1))).await;
    assert_eq!(report.objects, 1);
    let left: BTreeSet<_> = objects(&*years.store).await.into_keys().collect();
    assert!(!left.contains(&stray));
    for path in years.objects_of(&id).into_keys() {
        assert!(left.contains(&path), "{path}");
    }
}

#[tokio::test]
async fn what_somebody_writes_stays_however_old_it_is() {
    let mut years = Years::new().await;
    let writing = years.begin(3).await;
    let dead = years.begin(3).await;
    let path = format!(
        "{}data/1-1.bson.zst",
        "snapshots/20190101T000000Z-00000000/"
    );
    put(&years, &path).await;
    years.now += 30 * 86_400;
    let (then, expires_at) = ("2020-01-02T03:04:05Z", "2100-01-02T03:04:05Z");
    for name in [writing.as_str(), "20190101T000000Z-00000000"] {
        let record = LeaseRecord::new(name, "elsewhere", "", then, expires_at);
        let bytes = record.to_bytes().unwrap().into();
        years
            .store
            .put(&record.path(), bytes, PutIf::Absent)
            .await
            .unwrap();
    }
    let report = run(&prune(&years, last(1))).await;
    assert_eq!(report.unfinished, 1, "{report:?}");
    let snapshots = years.repository.snapshots().await.unwrap();
    assert_eq!(snapshots.unfinished, [writing]);
    let left = objects(&*years.store).await;
    assert!(left.contains_key(&path));
    assert!(!left.keys().any(|path| path.contains(dead.as_str())));
}

#[tokio::test]
async fn one_prunes_at_a_time_and_not_by_a_plan_that_is_no_longer_true() {
    let mut years = Years::new().await;
    years.snapshot(Of::All, &[]).await;
    years.now += 3_600;
    let newest = years.snapshot(Of::All, &[]).await;
    let pruning = prune(&years, last(1));
    let plan = pruning.plan().await.unwrap();
    let (then, expires_at) = ("2020-01-02T03:04:05Z", "2100-01-02T03:04:05Z");
    let record = LeaseRecord::new("prune", "elsewhere", "", then, expires_at);
    let bytes = record.to_bytes().unwrap().into();
    years
        .store
        .put(&record.path(), bytes, PutIf::Absent)
        .await
        .unwrap();
    let error = pruning.run(plan.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.to_string().contains("elsewhere"), "{error}");

    years
        .store
        .delete(&[&record.path(), &newest.manifest_copy(), &newest.manifest()])
        .await
        .unwrap();
    let error = pruning.run(plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(
        error.to_string().contains("gone since the plan was made"),
        "{error}"
    );
    assert_eq!(whole(&years.repository).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_encrypted_snapshots_of_parts_only_a_key_tells_which_parts() {
    let from = ReplicaSet::start().await;
    insert(&from, 0).await;
    let (store, repository) = in_memory().await;
    let (recipients, identities) = somebody();
    let only = |name: &str| Selector {
        include: vec![Pattern::parse(name).unwrap()],
        exclude: Vec::new(),
    };
    let mut ids = Vec::new();
    // The first one is of everything.
    for name in ["*", "shop.log", "shop.*", "shop.log"] {
        let options = match name {
            "*" => DumpOptions::default(),
            name => DumpOptions::default().select(only(name)),
        };
        let backup = Backup::new(&source(&from).await, &repository)
            .options(options)
            .recipients(Some(recipients.clone()));
        let plan = Box::pin(backup.plan()).await.unwrap();
        let report = Box::pin(backup.run(plan)).await.unwrap();
        ids.push(report.snapshot);
    }
    let plan = Prune::new(&repository, last(1)).plan().await.unwrap();
    assert_eq!(
        reasons(&plan, &ids[0]),
        [KeepReason::Last, KeepReason::Newest],
        "{plan}"
    );
    for id in &ids[1..] {
        assert!(reasons(&plan, id).contains(&KeepReason::Unknown), "{plan}");
    }
    let repository = Repository::open_in(store as Arc<dyn Store>).await.unwrap();
    let repository = repository.identities(Some(identities));
    let prune = Prune::new(&repository, last(1));
    let report = run(&prune).await;
    assert_eq!(report.snapshots, 1);
    assert_eq!(whole(&repository).await, [&ids[..1], &ids[2..]].concat());
}

#[tokio::test]
async fn sets_of_one_name_are_told_apart_by_their_members() {
    let mut years = Years::new().await;
    let mut ids = Vec::new();
    for host in ["a:27017", "b:27017", "a:27017", "b:27017"] {
        years.now += 3_600;
        years.host(host);
        ids.push(years.snapshot(Of::All, &[]).await);
    }
    run(&prune(&years, last(1))).await;
    assert_eq!(whole(&years.repository).await, ids[2..]);
}

#[tokio::test]
async fn what_is_of_the_future_is_in_the_place_of_nothing() {
    let mut years = Years::new().await;
    let first = years.snapshot(Of::All, &[]).await;
    let now = years.now;
    years.now += 70 * 365 * 86_400;
    let ahead = years.snapshot(Of::All, &[]).await;
    years.now = now + 3_600;
    let second = years.snapshot(Of::All, &[]).await;
    let policy = RetentionPolicy::default().keep_within(Duration::from_secs(86_400));
    let plan = prune(&years, policy).plan().await.unwrap();
    assert_eq!(reasons(&plan, &ahead), [KeepReason::Future], "{plan}");
    assert_eq!(reasons(&plan, &first), [KeepReason::Within], "{plan}");
    assert!(!reasons(&plan, &second).is_empty(), "{plan}");
}

#[tokio::test]
async fn what_was_found_damaged_is_until_all_of_it_was_found_whole() {
    let mut years = Years::new().await;
    let good = years.snapshot(Of::All, &[]).await;
    years.look(&good, 1, 0).await;
    years.now += 3_600;
    let damaged = years.snapshot(Of::All, &[]).await;
    years.look(&damaged, 1, 7).await;
    years.sample(&damaged, 2).await;
    let plan = prune(&years, last(1)).plan().await.unwrap();
    assert!(
        reasons(&plan, &good).contains(&KeepReason::LastGood),
        "{plan}"
    );
    years.look(&damaged, 3, 0).await;
    let plan = prune(&years, last(1)).plan().await.unwrap();
    assert_eq!(reasons(&plan, &good), [], "{plan}");
}

#[tokio::test]
async fn a_base_that_is_damaged_does_not_do_and_one_of_a_part_holds_nothing_back() {
    let mut years = Years::new().await;
    let window = |years: &Years| {
        let policy = RetentionPolicy::default().pitr_window(Duration::from_secs(86_400));
        prune(years, policy)
    };
    years.capture(years.now - 60, years.now + 60, None).await;
    let part = years.snapshot(Of::Part, &[]).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(years.snapshot(Of::All, &[]).await);
        let end = years.now + 12 * 3_600;
        years.capture(years.now, end, None).await;
        years.now = end - 60;
    }
    // The newest before the window.
    years.look(&ids[7], 1, 3).await;
    let plan = window(&years).plan().await.unwrap();
    for base in [&ids[6], &ids[7]] {
        assert!(reasons(&plan, base).contains(&KeepReason::Base), "{plan}");
    }
    assert!(!reasons(&plan, &part).contains(&KeepReason::Base), "{plan}");
    assert!(!plan.slices.spans.is_empty(), "{plan}");

    // One slice that cannot be read keeps all of them, and nothing else.
    let timeline = years.repository.timeline().await.unwrap();
    let slices: Vec<_> = timeline.slices().collect();
    let of_base = years.repository.snapshot(&ids[6]).await.unwrap();
    let of_base = of_base.manifest().run.consistent_at.clone().unwrap();
    let of_base: OpTime = of_base.parse().unwrap();
    let before = slices
        .iter()
        .rposition(|slice| slice.end <= of_base)
        .unwrap();
    let path = slices[before].path();
    years.store.delete(&[&path]).await.unwrap();
    put(&years, &path).await;
    let plan = window(&years).plan().await.unwrap();
    assert!(plan.slices.spans.is_empty() && plan.is_damaged(), "{plan}");
    assert!(plan.to_string().contains(&path), "{plan}");
    assert!(plan.snapshots.iter().any(|it| it.goes()), "{plan}");
}
