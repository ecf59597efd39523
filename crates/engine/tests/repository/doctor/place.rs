//! Repositories.

use bytes::Bytes;
use rdump::{
    RetentionPolicy,
    storage::{MemoryStore, PutIf},
};
use rdump_format::repository::LeaseRecord;

use super::*;
use crate::repository::{
    in_memory, objects, store_of,
    years::{Of, Years},
};

#[tokio::test]
async fn what_is_as_it_should_be_is_said_to_be_good() {
    let mut years = Years::new().await;
    let id = years.snapshot(Of::All, &[]).await;
    years.look(&id, 1, 0).await;
    let (start, end) = (years.now - 60, years.now + 60);
    years.capture(start, end, None).await;
    let before = objects(&*years.store).await;
    let report = run(at(years.store()).now(years.now + 90).max_age(a_day())).await;
    expect_no_danger(&report);
    for check in [
        Check::Repository,
        Check::Damage,
        Check::NewestSnapshot,
        Check::Consistency,
        Check::Verification,
        Check::Gaps,
        Check::UnfinishedSnapshots,
        Check::UnfinishedUploads,
        Check::Leases,
    ] {
        find(&report, Good, check);
    }
    expect(&report, Note, Check::Encryption, "not encrypted");
    expect(&report, Unknown, Check::StoreWrite, "not looked at");
    expect(&report, Warning, Check::Capture, "nobody captures");
    assert_eq!(objects(&*years.store).await, before);
}

#[tokio::test]
async fn a_place_where_nothing_is_yet_is_good_for_a_repository_and_one_with_something_else_is_not()
{
    let store = Arc::new(MemoryStore::new("backups"));
    let report = run(at(Arc::clone(&store) as _)).await;
    expect_no_danger(&report);
    expect(&report, Note, Check::Repository, "no repository yet");
    store
        .put("photo.jpeg", Bytes::new(), PutIf::Absent)
        .await
        .unwrap();
    let report = run(at(store)).await;
    expect(&report, Danger, Check::Repository, "photo.jpeg lies there");
}

#[tokio::test]
async fn a_repository_that_does_not_say_which_it_is_is_a_danger() {
    let (store, _) = in_memory().await;
    let put = store.put("repository.json", Bytes::from("{}"), PutIf::Always);
    put.await.unwrap();
    let report = run(at(store)).await;
    expect(&report, Danger, Check::Repository, "repository.json");
}

#[tokio::test]
async fn snapshots_that_are_missing_old_damaged_or_unverified_are_told() {
    let mut years = Years::new().await;
    let report = run(at(years.store()).now(years.now)).await;
    expect(&report, Warning, Check::NewestSnapshot, "no snapshot");
    expect(&report, Note, Check::Capture, "nothing is captured");
    let report = run(at(years.store()).now(years.now).max_age(a_day())).await;
    expect(&report, Danger, Check::NewestSnapshot, "no snapshot");

    let first = years.snapshot(Of::All, &[]).await;
    let report = run(at(years.store()).now(years.now + DAY).max_age(a_day())).await;
    expect(&report, Warning, Check::Verification, "ever verified");
    find(&report, Good, Check::NewestSnapshot);
    let report = run(at(years.store()).now(years.now + DAY + 1).max_age(a_day())).await;
    expect(&report, Danger, Check::NewestSnapshot, "and may be 24.0 h");
    let report = run(at(years.store()).now(years.now + 8 * DAY)).await;
    expect(&report, Warning, Check::NewestSnapshot, "is 8.0 d old");

    years.look(&first, 1, 0).await;
    years.now += DAY;
    let second = years.snapshot(Of::All, &[]).await;
    let report = run(at(years.store()).now(years.now)).await;
    expect(&report, Note, Check::Verification, "there are newer ones");
    let report = run(at(years.store()).now(years.now + 40 * DAY)).await;
    expect(&report, Warning, Check::Verification, first.as_str());
    years.look(&second, 1, 2).await;
    let report = run(at(years.store()).now(years.now)).await;
    expect(&report, Danger, Check::Damage, second.as_str());
    years.store.delete(&[&first.manifest()]).await.unwrap();
    let report = run(at(years.store()).now(years.now)).await;
    expect(&report, Danger, Check::Damage, "2 snapshots damaged");
}

#[tokio::test]
async fn a_snapshot_of_no_moment_and_one_with_problems_are_told() {
    let mut years = Years::new().await;
    let id = years.snapshot(Of::NoMoment, &[]).await;
    let mut all = objects(&*years.store).await;
    let manifest = all.get_mut(&id.manifest()).unwrap();
    let mut changed = rdump::SnapshotManifest::from_bytes(manifest).unwrap();
    changed.run.consistency = "none".to_owned();
    changed.run.problems = vec!["shop.orders: it was dropped".to_owned()];
    *manifest = changed.to_bytes().unwrap().into();
    let report = run(at(store_of(&all).await).now(years.now)).await;
    expect(&report, Warning, Check::Consistency, "it was dropped");
    let of_moment = report
        .findings
        .iter()
        .filter(|it| it.check == Check::Consistency);
    assert_eq!(of_moment.count(), 2);
}

#[tokio::test]
async fn what_is_captured_has_to_lead_on_from_a_snapshot() {
    let mut years = Years::new().await;
    let start = years.now;
    years.capture(start, start + 60, None).await;
    let report = run(at(years.store()).now(start + 60)).await;
    expect(&report, Danger, Check::Gaps, "leads on from no snapshot");
    years.now += 30;
    years.snapshot(Of::All, &[]).await;
    years.gap(start + 90).await;
    let report = run(at(years.store()).now(start + 100)).await;
    expect(&report, Danger, Check::Gaps, "there is a gap");
    years.now = start + 100;
    years.capture(start + 95, start + 200, None).await;
    let report = run(at(years.store()).now(start + 100)).await;
    expect(&report, Danger, Check::Gaps, "there is a gap");
    years.snapshot(Of::All, &[]).await;
    let report = run(at(years.store()).now(start + 100)).await;
    expect(&report, Note, Check::Gaps, "1 gap");
}

#[tokio::test]
async fn a_last_slice_that_is_damaged_is_a_danger() {
    let mut years = Years::new().await;
    years.snapshot(Of::All, &[]).await;
    let start = years.now - 10;
    years.capture(start, start + 60, None).await;
    let mut all = objects(&*years.store).await;
    let slice = all
        .iter_mut()
        .find(|(path, _)| path.starts_with("timeline/"));
    *slice.unwrap().1 = Bytes::from_static(b"no slice");
    let report = run(at(store_of(&all).await).now(years.now)).await;
    expect(&report, Danger, Check::Damage, "the last slice");
}

#[tokio::test]
async fn what_was_begun_and_left_is_told_by_its_age() {
    let mut years = Years::new().await;
    let id = years.begin(1).await;
    let report = run(at(years.store()).now(years.now + 60)).await;
    expect(&report, Note, Check::UnfinishedSnapshots, id.as_str());
    let report = run(at(years.store()).now(years.now + 2 * DAY)).await;
    expect(&report, Warning, Check::UnfinishedSnapshots, "2.0 d ago");

    let lease = |name: &str, expires: &str| {
        let taken = "2020-01-01T00:00:00Z";
        let record = LeaseRecord::new(name, "host", "", taken, expires);
        (record.path(), record.to_bytes().unwrap())
    };
    let put = async |path: &str, bytes: Vec<u8>| {
        let put = years.store.put(path, bytes.into(), PutIf::Always);
        put.await.unwrap();
    };
    let (path, bytes) = lease("prune", "2020-01-01T00:05:00Z");
    put(&path, bytes).await;
    let report = run(at(years.store()).now(years.now)).await;
    expect(&report, Note, Check::Leases, "of who was killed");
    let (path, bytes) = lease("capture", "2120-01-01T00:00:00Z");
    put(&path, bytes).await;
    let (path, bytes) = lease(id.as_str(), "2120-01-01T00:00:00Z");
    put(&path, bytes).await;
    let report = run(at(years.store()).now(years.now)).await;
    let told = find(&report, Note, Check::UnfinishedSnapshots);
    assert!(told.seen.contains("being written"), "{told:?}");
    find(&report, Good, Check::Capture);
    put(&path, b"{".to_vec()).await;
    let report = run(at(years.store()).now(years.now)).await;
    expect(&report, Warning, Check::Leases, "cannot be read");
}

#[tokio::test]
async fn a_capture_that_stores_nothing_any_more_is_told() {
    let mut years = Years::new().await;
    years.snapshot(Of::All, &[]).await;
    let start = years.now - 10;
    years.capture(start, start + 60, None).await;
    let taken = "2020-01-01T00:00:00Z";
    let record = LeaseRecord::new("capture", "host", "", taken, "2120-01-01T00:00:00Z");
    let bytes = record.to_bytes().unwrap();
    let path = record.path();
    let put = years.store.put(&path, bytes.into(), PutIf::Always);
    put.await.unwrap();
    let report = run(at(years.store()).now(years.now + 60)).await;
    find(&report, Good, Check::Capture);
    let report = run(at(years.store()).now(years.now + 3_600)).await;
    expect(&report, Warning, Check::Capture, "although");
}

#[tokio::test]
async fn what_is_encrypted_and_what_is_not_do_not_go_together() {
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let open = |name: &str| Location::from(fixture.join(name).as_path()).open().unwrap();
    // The newer of its two snapshots is encrypted.
    let both = objects(&*open("repository-1.0")).await;
    let report = run(at(store_of(&both).await)).await;
    find(&report, Good, Check::Encryption);
    // The last slice is encrypted, and no snapshot is.
    let all = objects(&*open("timeline-1.1")).await;
    let report = run(at(store_of(&all).await)).await;
    expect(
        &report,
        Danger,
        Check::Encryption,
        "what is captured is encrypted",
    );
}

#[tokio::test]
async fn a_policy_without_a_place_to_lock_in_is_no_danger() {
    let mut years = Years::new().await;
    years.snapshot(Of::All, &[]).await;
    let policy = RetentionPolicy::default().keep_daily(30);
    let report = run(at(years.store()).now(years.now).policy(policy)).await;
    expect_no_danger(&report);
    expect(
        &report,
        Note,
        Check::ObjectLock,
        "neither locks nor versions",
    );
}
