//! Deployments, and how repositories fit them.

use bson::doc;
use jiff::Timestamp;
use rdump::{
    Backup, CancellationToken, Capture, CaptureOptions, CaptureSource, ErrorKind, Pattern,
    Repository, Selector, SnapshotVerifyOptions, Source, storage::PutIf,
};
use rdump_testkit::{
    DocumentDb, ReplicaSet, ServerVersion, Standalone,
    wait::{PATIENCE, wait_for},
};

use super::*;
use crate::repository::{
    capture::{auto, backup, insert, quick, source},
    in_memory,
};

async fn capture(source: &Source, repository: &Repository, options: CaptureOptions) {
    let capture = Capture::new(source, repository).options(options.until_caught_up(true));
    let report = Box::pin(capture.run()).await;
    report.unwrap_or_else(|error| panic!("{error:?}"));
}

async fn verify(repository: &Repository) {
    let newest = repository.find_snapshot("latest").await.unwrap();
    let (options, cancel) = (SnapshotVerifyOptions::default(), CancellationToken::new());
    let verified = repository.verify(newest.id(), &options, Arc::new(()), cancel);
    verified.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_pair_is_in_no_danger() {
    let set = ReplicaSet::builder().members(3).auth().start().await;
    set.create_user(
        "keeper",
        "secret",
        &[("backup", "admin"), ("clusterMonitor", "admin")],
    )
    .await;
    let (store, repository) = in_memory().await;
    insert(&set, 0).await;
    let from = source(&set).await;
    capture(&from, &repository, quick()).await;
    backup(&set, &repository, auto()).await;
    insert(&set, 1).await;
    capture(&from, &repository, quick()).await;
    verify(&repository).await;
    let doctor = by(set.uri_for("keeper")).place(Location::from(store as Arc<dyn Store>));
    let report = run(doctor.probe(true).max_age(a_day())).await;
    expect_no_danger(&report);
    for check in [
        Check::Topology,
        Check::ServerClock,
        Check::FeatureCompatibility,
        Check::SnapshotHistory,
        Check::OplogWindow,
        Check::CaptureAge,
        Check::AccessControl,
        Check::BackupPrivileges,
        Check::CapturePrivileges,
        Check::Gaps,
        Check::Verification,
        Check::NewestSnapshot,
    ] {
        find(&report, Good, check);
    }
    expect(&report, Warning, Check::ServerVersion, "July 2025");
    expect(&report, Note, Check::RestorePrivileges, "need not");
    expect_none(&report, Check::ChangeStreams);
    let disk = report
        .findings
        .iter()
        .find(|it| it.check == Check::ServerDisk);
    assert!(matches!(disk.unwrap().severity, Good | Warning), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_the_oplog_is_about_to_leave_behind_is_a_danger_before_and_after() {
    let set = ReplicaSet::builder()
        .oplog_mebibytes(1)
        // Only what is in a checkpoint is forgotten.
        .argument("--syncdelay=1")
        .start()
        .await;
    let (store, repository) = in_memory().await;
    insert(&set, 0).await;
    backup(&set, &repository, auto()).await;
    capture(&source(&set).await, &repository, quick()).await;
    let look = async || {
        let place = Location::from(Arc::clone(&store) as Arc<dyn Store>);
        run(of(&set).place(place)).await
    };
    let log = set.client().database("shop").collection("log");
    let text = "x".repeat(1 << 20);
    let lost = wait_for("the oplog to forget", PATIENCE, async || {
        log.insert_one(doc! { "text": &text }).await.unwrap();
        let report = look().await;
        let mut findings = report.findings.iter();
        let is_lost = findings.any(|it| it.seen.contains("cannot be captured any more"));
        is_lost.then_some(report)
    });
    expect(
        &lost.await,
        Danger,
        Check::CaptureAge,
        "before the oldest entry",
    );

    // A snapshot that took longer than the oplog lasts.
    let newest = repository.find_snapshot("latest").await.unwrap();
    let mut manifest = newest.manifest().clone();
    let finished: Timestamp = manifest.run.finished_at.parse().unwrap();
    let started = finished - jiff::SignedDuration::from_hours(9);
    manifest.run.started_at = started.to_string();
    let bytes = manifest.to_bytes().unwrap();
    let path = newest.id().manifest();
    let put = store.put(&path, bytes.into(), PutIf::Always);
    put.await.unwrap();
    let report = look().await;
    expect(
        &report,
        Danger,
        Check::OplogWindow,
        "the last snapshot took 9.0 h",
    );
    let advice = find(&report, Danger, Check::OplogWindow).advice.clone();
    assert!(
        advice.unwrap().contains("minRetentionHours: 27"),
        "{report}"
    );
    expect(&report, Warning, Check::SnapshotHistory, "took 9.0 h");

    // It goes on with a gap, until there is another snapshot.
    capture(&source(&set).await, &repository, quick()).await;
    let report = look().await;
    find(&report, Good, Check::CaptureAge);
    expect(&report, Danger, Check::Gaps, "there is a gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_is_told_what_it_lacks() {
    let set = ReplicaSet::builder().auth().start().await;
    for (name, role, db) in [
        ("keeper", "backup", "admin"),
        ("reader", "readAnyDatabase", "admin"),
        ("clerk", "read", "shop"),
        ("restorer", "restore", "admin"),
        ("nobody", "read", "nothing-to-see"),
    ] {
        set.create_user(name, "secret", &[(role, db)]).await;
    }
    let as_user = async |user: &str| run(by(set.uri_for(user))).await;
    let report = as_user("keeper").await;
    expect_no_danger(&report);
    find(&report, Good, Check::BackupPrivileges);
    find(&report, Good, Check::CapturePrivileges);
    find(&report, Good, Check::FeatureCompatibility);

    let report = as_user("reader").await;
    expect(
        &report,
        Danger,
        Check::BackupPrivileges,
        "admin.system.users",
    );
    expect(&report, Note, Check::CapturePrivileges, "change stream");
    let options = ConnectOptions::default().uri(set.uri_for("reader"));
    let reader = Source::connect(&options).await.unwrap();
    let (_, repository) = in_memory().await;
    let of_all = Backup::new(&reader, &repository);
    let backed_up = async { of_all.run(Box::pin(of_all.plan()).await?).await };
    let error = Box::pin(backed_up).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    expect(&report, Unknown, Check::OplogWindow, "not authorized");
    find(&report, Good, Check::ChangeStreams);
    find(&report, Unknown, Check::FeatureCompatibility);
    find(&report, Unknown, Check::SnapshotHistory);

    let report = as_user("clerk").await;
    expect(
        &report,
        Warning,
        Check::BackupPrivileges,
        "only shop can be backed up",
    );
    expect(
        &report,
        Warning,
        Check::CapturePrivileges,
        "nothing can be captured",
    );
    let advice = find(&report, Warning, Check::CapturePrivileges)
        .advice
        .clone();
    assert!(advice.unwrap().contains("['backup']"), "{report}");
    find(&report, Unknown, Check::ChangeStreams);
    find(&report, Unknown, Check::ServerDisk);

    let report = as_user("restorer").await;
    expect(&report, Danger, Check::BackupPrivileges, "the user may not");
    expect(&report, Note, Check::RestorePrivileges, "replay no oplog");
    let report = run(of(&set)).await;
    expect_no_danger(&report);
    expect(&report, Good, Check::AccessControl, "logged in as root");

    // What is captured already cannot be gone on with.
    let (store, repository) = in_memory().await;
    insert(&set, 0).await;
    backup(&set, &repository, auto()).await;
    capture(&source(&set).await, &repository, quick()).await;
    let place = Location::from(store as Arc<dyn Store>);
    let report = run(by(set.uri_for("clerk")).place(place)).await;
    expect(
        &report,
        Danger,
        Check::CapturePrivileges,
        "nothing can be captured",
    );
    expect(&report, Unknown, Check::CaptureAge, "not looked at");

    let report = run(by(set.uri())).await;
    expect(
        &report,
        Danger,
        Check::BackupPrivileges,
        "nobody is logged in",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_server_is_told_to_be_no_replica_set() {
    let server = Standalone::start().await;
    let report = run(of(&server)).await;
    expect_no_danger(&report);
    expect(&report, Warning, Check::Topology, "nothing can be captured");
    expect(
        &report,
        Warning,
        Check::AccessControl,
        "nobody has to log in",
    );
    for check in [
        Check::OplogWindow,
        Check::ChangeStreams,
        Check::CapturePrivileges,
        Check::SnapshotHistory,
    ] {
        expect_none(&report, check);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_servers_and_those_that_behave_as_older_ones_are_told() {
    let set = ReplicaSet::builder()
        .version(ServerVersion::V4_4_2)
        .start()
        .await;
    let report = run(of(&set)).await;
    expect(&report, Warning, Check::ServerVersion, "February 2024");
    expect_none(&report, Check::SnapshotHistory);
    let set = ReplicaSet::start().await;
    let older = doc! { "setFeatureCompatibilityVersion": "5.0" };
    set.admin_command(older).await.unwrap();
    let report = run(of(&set)).await;
    expect(&report, Note, Check::FeatureCompatibility, "behaves as 5.0");
    expect(&report, Note, Check::Topology, "of one member");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_apart_are_told() {
    let set = ReplicaSet::start().await;
    let now = Timestamp::now().as_second();
    let report = run(of(&set).now(now - 3_600)).await;
    expect(&report, Warning, Check::ServerClock, "ahead of");
    let report = run(of(&set).now(now + 3_600)).await;
    expect(&report, Warning, Check::ServerClock, "behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn secondaries_and_sets_without_a_primary_are_told() {
    let set = ReplicaSet::builder().members(3).start().await;
    let primary = set.await_primary().await;
    let secondary = (0..3).find(|member| *member != primary).unwrap();
    let report = run(by(set.direct_uri(secondary))).await;
    expect(&report, Note, Check::Topology, "a secondary is asked");
    for member in (0..3).filter(|member| *member != secondary) {
        set.kill(member);
    }
    let report = wait_for("nobody to be primary", PATIENCE, async || {
        let report = run(by(set.direct_uri(secondary))).await;
        let mut findings = report.findings.iter();
        let found = findings.any(|it| it.seen.contains("no primary"));
        found.then_some(report)
    });
    find(&report.await, Danger, Check::Topology);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_another_deployment_is_a_danger() {
    let (one, other) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, repository) = in_memory().await;
    insert(&one, 0).await;
    backup(&one, &repository, auto()).await;
    capture(&source(&one).await, &repository, quick()).await;
    let place = Location::from(store as Arc<dyn Store>);
    let report = run(of(&other).place(place)).await;
    expect(&report, Danger, Check::CaptureAge, &one.hosts()[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_a_danger_beside_another_side_and_an_error_alone() {
    let (store, _) = in_memory().await;
    let mut nowhere = ConnectOptions::default().uri("mongodb://127.0.0.1:1");
    nowhere.server_selection_timeout = Some(Duration::from_millis(100));
    let alone = Doctor::default().deployment(nowhere);
    let error = Box::pin(alone.clone().run()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let place = Location::from(store as Arc<dyn Store>);
    let report = run(alone.place(place)).await;
    expect(&report, Danger, Check::Deployment, "127.0.0.1:1");
    find(&report, Good, Check::Repository);
    let error = Box::pin(Doctor::default().run()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn amazon_documentdb_is_asked_whether_it_tells_of_everything_and_for_how_long() {
    let set = ReplicaSet::start().await;
    let documentdb = DocumentDb::start(&set).await;
    let report = run(by(documentdb.uri())).await;
    expect(&report, Note, Check::ServerVersion, "Amazon DocumentDB");
    expect(
        &report,
        Warning,
        Check::ChangeStreams,
        "not enabled for all databases",
    );
    let advice = find(&report, Warning, Check::ChangeStreams).advice.clone();
    assert!(advice.unwrap().contains("modifyChangeStreams"), "{report}");
    documentdb.enable_change_streams("shop", "").await;
    let (store, repository) = in_memory().await;
    let place = Location::from(store as Arc<dyn Store>);
    let look = async || run(by(documentdb.uri()).place(place.clone())).await;
    find(&look().await, Warning, Check::ChangeStreams);

    let options = ConnectOptions::default().uri(documentdb.uri());
    let from = Source::connect(&options).await.unwrap();
    let select = Selector {
        include: vec![Pattern::parse("shop.*").unwrap()],
        exclude: Vec::new(),
    };
    let streams = quick().source(CaptureSource::ChangeStream).select(select);
    insert(&set, 0).await;
    // What has a slice.
    let running = crate::repository::capture::Running::of(&from, &repository, streams);
    let mut id = 1;
    wait_for("a slice", PATIENCE, async || {
        id += 1;
        insert(&set, id).await;
        (running.slices() > 0).then_some(())
    })
    .await;
    running.stop().await;
    let report = look().await;
    expect(
        &report,
        Note,
        Check::ChangeStreams,
        "leads on from where what is captured ends",
    );
    find(&report, Good, Check::CapturePrivileges);
    documentdb.disable_change_streams("shop", "").await;
    let report = look().await;
    expect(
        &report,
        Danger,
        Check::ChangeStreams,
        "not enabled for the database shop",
    );
    documentdb.enable_change_streams("shop", "").await;
    insert(&set, -1).await;
    // It was asked nothing that it does not know.
    assert_eq!(documentdb.refusals(), [""; 0]);
    documentdb.forget_events().await;
    let report = look().await;
    expect(
        &report,
        Danger,
        Check::ChangeStreams,
        "no change stream leads on",
    );
}
