//! Repositories that are copied to another place.

use std::{env, sync::Arc};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rdump::{
    CancellationToken, CopyReport, ErrorKind, Location, Prune, Repository, RepositoryCopy,
    RestoreOptions, RestorePoint, RetentionPolicy, SnapshotChoice, SnapshotVerifyOptions, Store,
    storage::{MemoryStore, PutIf},
};
use tokio::task::JoinSet;

use super::{
    encrypted::{encrypted, seen_by, somebody},
    objects, read_whole,
    watched::Watched,
    years::{Of, Years},
};

const HOUR: i64 = 3_600;

/// How many seeds are tried: by RDUMP_SEEDS, else a few.
fn seeds() -> u64 {
    env::var("RDUMP_SEEDS").map_or(6, |seeds| seeds.parse().unwrap())
}

fn elsewhere() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new("copies"))
}

async fn twin(of: &Repository, store: &Arc<dyn Store>) -> Repository {
    of.open_or_twin_in(Arc::clone(store)).await.unwrap()
}

fn all(from: &Repository, to: &Repository) -> RepositoryCopy {
    let copy = RepositoryCopy::new(from, to).snapshots(SnapshotChoice::All);
    copy.timeline(from.record().id == to.record().id)
        .lease(None)
}

async fn copy(from: &Repository, to: &Repository) -> CopyReport {
    all(from, to).run().await.unwrap()
}

/// That each snapshot that is there has all that it has here, or had, and is found whole.
async fn check_whole(years: &Years, there: &Arc<dyn Store>, seed: u64) {
    let repository = Repository::open_in(Arc::clone(there)).await.unwrap();
    let snapshots = repository.snapshots().await.unwrap();
    assert!(snapshots.damaged.is_empty(), "seed {seed}");
    let found = objects(&**there).await;
    for snapshot in &snapshots.whole {
        for (path, bytes) in years.objects_of(snapshot.id()) {
            let found = found.get(&path).map(|bytes| bytes.len() as u64);
            assert_eq!(found, Some(bytes), "seed {seed}: {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_is_equal_after_a_copy_whatever_was_killed_before() {
    for seed in 0..seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut years = Years::new().await;
        let there = elsewhere();
        drop(twin(&years.repository, &there).await);
        for _ in 0..40 {
            let before = years.now;
            years.now += rng.random_range(HOUR..36 * HOUR);
            match rng.random_range(0..20) {
                0 => years.gap(years.now - 60).await,
                1..15 => {
                    let now = years.now;
                    years.capture(before, now, None).await;
                }
                _ => {}
            }
            match rng.random_range(0..4) {
                0 => drop(years.begin(2).await),
                1 | 2 => drop(years.snapshot(Of::All, &[]).await),
                _ => {}
            }
            if rng.random_bool(0.1) {
                let prune = Prune::new(&years.repository, RetentionPolicy::default().keep_last(3));
                let prune = prune.now(years.now);
                let plan = prune.plan().await.unwrap();
                prune.run(plan).await.unwrap();
            }
            for _ in 0..rng.random_range(0..3) {
                let dying = Watched::new(Arc::clone(&there));
                dying.die_after(rng.random_range(0..20));
                let dying = Repository::open_in(dying as _).await.unwrap();
                drop(all(&years.repository, &dying).run().await);
                check_whole(&years, &there, seed).await;
            }
            if rng.random_bool(0.5) {
                let to = twin(&years.repository, &there).await;
                let report = copy(&years.repository, &to).await;
                let problems = report.problems.iter();
                let others = problems.filter(|it| !it.contains("was pruned before"));
                assert_eq!(others.count(), 0, "seed {seed}: {report:?}");
                check_whole(&years, &there, seed).await;
                let (here, there) = (objects(&*years.store).await, objects(&*there).await);
                for (path, bytes) in here {
                    // What did not finish is of no snapshot; what was verified is of its place.
                    let is_of_none = ["verified/", "begun/", "snapshots/", "leases/"]
                        .iter()
                        .any(|it| path.starts_with(it));
                    if !is_of_none && !path.ends_with(".pruned.json") {
                        assert_eq!(there.get(&path), Some(&bytes), "seed {seed}: {path}");
                    }
                }
                // It costs nothing to copy what is there.
                let again = copy(&years.repository, &to).await;
                assert_eq!(
                    (again.objects, again.slices, again.snapshots.len()),
                    (0, 0, 0)
                );
            }
        }
        check_restorable(&years, &twin(&years.repository, &there).await, seed).await;
    }
}

/// That all that can be restored here can be restored there, and that all there is as it was written.
async fn check_restorable(years: &Years, there: &Repository, seed: u64) {
    let report = copy(&years.repository, there).await;
    let was_lost = !report.problems.is_empty();
    for snapshot in there.snapshots().await.unwrap().whole {
        let options = SnapshotVerifyOptions::default();
        let report = there
            .verify(
                snapshot.id(),
                &options,
                Arc::new(()),
                CancellationToken::new(),
            )
            .await;
        assert!(report.unwrap().is_whole(), "seed {seed}: {snapshot}");
    }
    let report = there
        .verify_timeline(Arc::new(()), CancellationToken::new())
        .await;
    let damage = report.unwrap().damage;
    assert!(was_lost || damage.is_empty(), "seed {seed}: {damage:?}");
    let here = &years.repository;
    for slice in here.timeline().await.unwrap().slices() {
        let point = here.point_in_time(RestorePoint::At(slice.end), None).await;
        let Ok(point) = point else { continue };
        let options = RestoreOptions::default();
        if Box::pin(point.reader(&options)).await.is_ok() {
            let point = there.point_in_time(RestorePoint::At(slice.end), None).await;
            let point = point.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
            let read = Box::pin(point.reader(&options)).await;
            read.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        }
    }
}

#[tokio::test]
async fn who_may_open_the_copy_is_who_may_open_what_it_is_of_now() {
    let (first, second) = (somebody(), somebody());
    let (store, snapshot) = encrypted(&first.0).await;
    let here = seen_by(&store, Some(first.1.clone())).await;
    let there = elsewhere();
    let to = twin(&here, &there).await;
    // No key is needed to copy.
    let nobody = seen_by(&store, None).await;
    let report = copy(&nobody, &to).await;
    assert_eq!(report.snapshots, [snapshot.id().clone()], "{report:?}");
    let opened = seen_by(&there, Some(first.1.clone())).await;
    let copied = opened.snapshot(snapshot.id()).await.unwrap();
    assert_eq!(
        read_whole(&copied).await,
        read_whole(&here.snapshot(snapshot.id()).await.unwrap()).await
    );

    here.rekey(snapshot.id(), &second.0).await.unwrap();
    let report = copy(&nobody, &to).await;
    assert_eq!((report.present, report.rekeyed.len()), (1, 1), "{report:?}");
    for (identities, opens) in [(first.1, false), (second.1, true)] {
        let opened = seen_by(&there, Some(identities)).await;
        let copied = opened.snapshot(snapshot.id()).await.unwrap();
        assert_eq!(copied.run().await.is_ok(), opens);
    }
    assert_eq!(copy(&nobody, &to).await.rekeyed, []);
}

#[tokio::test]
async fn what_is_damaged_is_not_copied_and_keeps_nothing_else_from_it() {
    let mut years = Years::new().await;
    let damaged = years.snapshot(Of::All, &[]).await;
    years.now += HOUR;
    let lost = years.snapshot(Of::All, &[]).await;
    years.now += HOUR;
    let whole = years.snapshot(Of::All, &[]).await;
    let paths: Vec<_> = years.objects_of(&damaged).into_keys().collect();
    let data = paths.iter().find(|path| path.contains("/data/")).unwrap();
    let mut bytes = objects(&*years.store).await[data].to_vec();
    bytes[10] ^= 1;
    years
        .store
        .put(data, bytes.into(), PutIf::Always)
        .await
        .unwrap();
    years.store.delete(&[&lost.manifest()]).await.unwrap();
    let start = years.now;
    years.capture(start, start + 60, None).await;
    years.capture(start, start + 120, None).await;
    years.capture(start, start + 180, None).await;
    let slices: Vec<_> = years
        .repository
        .timeline()
        .await
        .unwrap()
        .slices()
        .collect();
    let mut bytes = objects(&*years.store).await[&slices[1].path()].to_vec();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    years
        .store
        .put(&slices[1].path(), bytes.into(), PutIf::Always)
        .await
        .unwrap();

    let there = elsewhere();
    let to = twin(&years.repository, &there).await;
    let report = copy(&years.repository, &to).await;
    assert_eq!(report.snapshots, std::slice::from_ref(&whole));
    assert_eq!(report.slices, 2);
    let [missing, of_snapshot, of_slice] = &*report.problems else {
        panic!("{report:?}");
    };
    assert!(missing.contains(lost.as_str()), "{missing}");
    assert!(of_snapshot.contains(data), "{of_snapshot}");
    assert!(of_slice.contains(&slices[1].path()), "{of_slice}");
    let found = to.snapshots().await.unwrap();
    let ids: Vec<_> = found.whole.iter().map(|it| it.id()).collect();
    assert_eq!(ids, [&whole]);
    assert_eq!(found.damaged.len() + found.unfinished.len(), 0);

    // One that is named and cannot be copied.
    let only = all(&years.repository, &to).snapshots(SnapshotChoice::Only(vec![lost]));
    assert_eq!(only.run().await.unwrap_err().kind(), ErrorKind::Data);
}

#[tokio::test]
async fn what_lies_there_already_is_not_written_over() {
    let mut years = Years::new().await;
    let (first, start) = (years.snapshot(Of::All, &[]).await, years.now);
    years.now += HOUR;
    years.capture(start, start + 60, None).await;
    let second = years.snapshot(Of::All, &[]).await;

    // Another repository takes snapshots, and not what was captured.
    let there = elsewhere();
    let other = Repository::init_in(Arc::clone(&there)).await.unwrap();
    let timeline = all(&years.repository, &other).timeline(true);
    let error = timeline.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("another repository"), "{error}");
    assert_eq!(objects(&*there).await.len(), 1);
    let path = second.manifest();
    there
        .put(&path, "of something else".into(), PutIf::Absent)
        .await
        .unwrap();
    let object = years.objects_of(&first).into_keys().next().unwrap();
    there
        .put(&object, "of something else".into(), PutIf::Absent)
        .await
        .unwrap();
    let report = copy(&years.repository, &other).await;
    assert_eq!((report.snapshots.len(), report.problems.len()), (0, 2));
    assert!(report.problems[0].contains(&object), "{report:?}");
    assert!(
        report.problems[1].contains("another snapshot"),
        "{report:?}"
    );
    assert_eq!(objects(&*there).await[&path], "of something else");

    let error = all(&years.repository, &years.repository).run().await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pruned_before_it_was_copied_is_told_once_and_is_no_damage_there() {
    let mut years = Years::new().await;
    years.snapshot(Of::All, &[]).await;
    let there = elsewhere();
    let to = twin(&years.repository, &there).await;
    let day = async |years: &mut Years| {
        let before = years.now;
        years.now += 24 * HOUR;
        let now = years.now;
        years.capture(before, now, None).await;
        years.snapshot(Of::All, &[]).await;
    };
    day(&mut years).await;
    assert_eq!(copy(&years.repository, &to).await.problems.len(), 0);
    for _ in 0..5 {
        day(&mut years).await;
    }
    // The newest leads on.
    let before = years.now;
    years.now += HOUR;
    let now = years.now;
    years.capture(before, now, None).await;
    let prune = Prune::new(&years.repository, RetentionPolicy::default().keep_last(1));
    let prune = prune.now(years.now);
    let plan = prune.plan().await.unwrap();
    assert!(!plan.slices.spans.is_empty());
    prune.run(plan).await.unwrap();
    // Killed before anything of it is there, it is told by the next one.
    let dying = Watched::new(Arc::clone(&there));
    dying.refuse("timeline/");
    let dying = Repository::open_in(dying as _).await.unwrap();
    all(&years.repository, &dying).run().await.unwrap_err();
    for problems in [1, 0] {
        let report = copy(&years.repository, &to).await;
        assert_eq!(report.problems.len(), problems, "{report:?}");
        assert!(
            report
                .problems
                .iter()
                .all(|it| it.contains("was pruned before"))
        );
        let found = to
            .verify_timeline(Arc::new(()), CancellationToken::new())
            .await;
        assert_eq!(found.unwrap().damage, []);
    }
    // For whoever begins now nothing is lost.
    let fresh = elsewhere();
    let to = twin(&years.repository, &fresh).await;
    assert_eq!(copy(&years.repository, &to).await.problems.len(), 0);
    check_restorable(&years, &to, 0).await;
}

#[tokio::test]
async fn a_place_is_not_copied_to_itself_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    let here = Repository::init(&Location::Folder(real.clone())).await;
    let here = here.unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let there = here.open_or_twin(&Location::Folder(link)).await.unwrap();
    let error = all(&here, &there).run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("to itself"), "{error}");
}

#[tokio::test]
async fn what_a_copy_has_lost_since_is_copied_again() {
    let mut years = Years::new().await;
    let first = years.snapshot(Of::All, &[]).await;
    years.now += HOUR;
    let second = years.snapshot(Of::All, &[]).await;
    let there = elsewhere();
    let to = twin(&years.repository, &there).await;
    copy(&years.repository, &to).await;
    let lost: Vec<_> = years.objects_of(&first).into_keys().collect();
    let lost: Vec<_> = lost.iter().map(String::as_str).collect();
    there.delete(&lost).await.unwrap();
    // Killed while it is mended, it is mended by the next one.
    let dying = Watched::new(Arc::clone(&there));
    dying.die_after(2);
    let dying = Repository::open_in(dying as _).await.unwrap();
    all(&years.repository, &dying).run().await.unwrap_err();
    let report = copy(&years.repository, &to).await;
    assert_eq!(report.mended, std::slice::from_ref(&first), "{report:?}");
    assert_eq!(report.present, 2);
    assert!(report.objects <= lost.len() as u64, "{report:?}");
    check_whole(&years, &there, 0).await;
    check_restorable(&years, &to, 0).await;

    // What is something else is told, and stays.
    let object = years.objects_of(&second).into_keys().next().unwrap();
    there
        .put(&object, "of something else".into(), PutIf::Always)
        .await
        .unwrap();
    let report = copy(&years.repository, &to).await;
    assert_eq!(
        (report.mended.len(), report.problems.len()),
        (0, 1),
        "{report:?}"
    );
    assert!(report.problems[0].contains(&object), "{report:?}");

    // What is deleted there while it is mended is not mended.
    let manifest = first.manifest();
    there.delete(&[lost[0]]).await.unwrap();
    let watched = Watched::new(Arc::clone(&there));
    let slow = Repository::open_in(Arc::clone(&watched) as _)
        .await
        .unwrap();
    watched.hold(lost[0]);
    let only = all(&years.repository, &slow).snapshots(SnapshotChoice::Only(vec![first]));
    let mut copying = JoinSet::new();
    copying.spawn(async move { only.run().await });
    while !watched.is_held() {
        tokio::task::yield_now().await;
    }
    there.delete(&[&manifest]).await.unwrap();
    watched.let_go();
    let report = copying.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(report.mended, []);
    assert!(report.problems[0].contains("meanwhile"), "{report:?}");
}

#[tokio::test]
async fn some_are_chosen_and_who_prunes_waits_for_those_that_come() {
    let mut years = Years::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(years.snapshot(Of::All, &[]).await);
        years.now += HOUR;
    }
    let there = elsewhere();
    let to = twin(&years.repository, &there).await;
    let newest = RepositoryCopy::new(&years.repository, &to);
    assert_eq!(newest.run().await.unwrap().snapshots, ids[2..]);
    let since = SnapshotChoice::Since(years.now - 2 * HOUR);
    let since = RepositoryCopy::new(&years.repository, &to).snapshots(since);
    let report = since.run().await.unwrap();
    assert_eq!((&*report.snapshots, report.present), (&ids[1..2], 1));

    // One that comes slowly is of no snapshot until it ends, and nobody else may take it for rubbish.
    let watched = Watched::new(Arc::clone(&there));
    let slow = Repository::open_in(Arc::clone(&watched) as _)
        .await
        .unwrap();
    watched.hold("begun/");
    let only = RepositoryCopy::new(&years.repository, &slow)
        .snapshots(SnapshotChoice::Only(vec![ids[0].clone()]));
    let mut copying = JoinSet::new();
    copying.spawn(async move { only.run().await });
    while !watched.is_held() {
        tokio::task::yield_now().await;
    }
    let prune = Prune::new(&to, RetentionPolicy::default().keep_last(9));
    // By then all that lies there is old.
    let prune = prune.now(jiff::Timestamp::now().as_second() + 48 * HOUR);
    let plan = prune.plan().await.unwrap();
    let report = prune.run(plan).await.unwrap();
    assert_eq!(report.objects, 0, "{report}");
    watched.let_go();
    let report = copying.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(report.snapshots, ids[..1]);
    assert_eq!(to.snapshots().await.unwrap().whole.len(), 3);
    let leases = objects(&*there).await.into_keys();
    assert_eq!(leases.filter(|path| path.starts_with("leases/")).count(), 0);
}

#[tokio::test]
async fn two_that_make_the_same_twin_at_once_have_it_both() {
    let years = Years::new().await;
    let watched = Watched::new(elsewhere());
    watched.hold("repository.json");
    let there = Arc::clone(&watched) as Arc<dyn Store>;
    // The last of them begins when both others wait.
    let (first, second, ()) = tokio::join!(
        twin(&years.repository, &there),
        twin(&years.repository, &there),
        async { watched.let_go() },
    );
    let id = years.repository.record().id;
    assert_eq!((first.record().id, second.record().id), (id, id));
}
