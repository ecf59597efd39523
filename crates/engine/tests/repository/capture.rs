//! Capturing the oplog, and going back to any moment of it.

use std::{sync::Arc, time::Duration};

use bson::{Timestamp, doc};
use rdump::{
    Backup, CancellationToken, Capture, CaptureOptions, CaptureReport, CaptureSource,
    ConnectOptions, Consistency, DumpOptions, Error, ErrorKind, Event, OpTime, RecordingObserver,
    Repository, Restore, RestoreOptions, RestorePoint, RestoreReport, Source, storage::MemoryStore,
};
use rdump_format::repository::OplogSlice;
use rdump_testkit::{
    Deployment, ReplicaSet, Workload, WorkloadOptions, dataset,
    wait::{PATIENCE, wait_for},
    workload::Outcome,
};
use tokio::task::JoinSet;

use super::{Objects, encrypted::somebody, in_memory, objects, store_of};
use crate::restore::target;

pub(super) async fn source(from: &Deployment) -> Source {
    let options = ConnectOptions::default().uri(from.root_uri());
    Source::connect(&options).await.unwrap()
}

pub(super) fn quick() -> CaptureOptions {
    CaptureOptions::default().slice_age(Duration::from_millis(200))
}

/// A capture that runs until it is stopped.
pub(super) struct Running {
    pub(super) task: JoinSet<Result<CaptureReport, Error>>,
    pub(super) cancel: CancellationToken,
    pub(super) observer: Arc<RecordingObserver>,
}

impl Running {
    pub(super) async fn start(
        from: &Deployment,
        repository: &Repository,
        options: CaptureOptions,
    ) -> Self {
        Self::of(&source(from).await, repository, options)
    }

    pub(super) fn of(source: &Source, repository: &Repository, options: CaptureOptions) -> Self {
        Self::run(Capture::new(source, repository).options(options))
    }

    pub(super) fn run(capture: Capture) -> Self {
        let (cancel, observer) = (
            CancellationToken::new(),
            Arc::new(RecordingObserver::default()),
        );
        let capture = capture.observer(Arc::clone(&observer) as _);
        let capture = capture.cancel(cancel.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { capture.run().await });
        Self {
            task,
            cancel,
            observer,
        }
    }

    pub(super) async fn stop(mut self) -> CaptureReport {
        self.cancel.cancel();
        let report = self.task.join_next().await.unwrap().unwrap();
        report.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// As a process that is killed.
    pub(super) async fn kill(mut self) {
        self.task.shutdown().await;
    }

    pub(super) fn slices(&self) -> usize {
        let is_slice = |event: &Event| matches!(event, Event::SliceStored { .. });
        self.observer
            .events()
            .iter()
            .filter(|event| is_slice(event))
            .count()
    }

    pub(super) async fn await_captured(&self, at: OpTime) {
        let is_captured = |event: &Event| match event {
            Event::SliceStored { end, .. } => *end >= at,
            _ => false,
        };
        let captured = async || self.observer.events().iter().any(is_captured).then_some(());
        wait_for("what was written to be captured", PATIENCE, captured).await;
    }

    pub(super) async fn await_slices(&self, slices: usize) {
        let wanted = self.slices() + slices;
        wait_for("slices", PATIENCE, async || {
            (self.slices() >= wanted).then_some(())
        })
        .await;
    }
}

pub(super) async fn backup(
    from: &Deployment,
    repository: &Repository,
    options: DumpOptions,
) -> OpTime {
    let backup = Backup::new(&source(from).await, repository).options(options);
    for _ in 0..20 {
        let done = async { backup.run(Box::pin(backup.plan()).await?).await };
        match Box::pin(done).await {
            Ok(report) => return report.report.consistent_at.unwrap(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
    }
    panic!("it never succeeds");
}

pub(super) fn auto() -> DumpOptions {
    DumpOptions::default().consistency(Consistency::Auto)
}

pub(super) async fn try_restore(
    repository: &Repository,
    to: &Deployment,
    point: RestorePoint,
    options: RestoreOptions,
) -> Result<RestoreReport, Error> {
    let point = repository.point_in_time(point, None).await?;
    let reader = Box::pin(point.reader(&options)).await?;
    let restore = Restore::new(&target(to).await, Arc::new(reader)).options(options);
    let plan = Box::pin(restore.plan()).await?;
    Box::pin(restore.run(plan)).await
}

pub(super) async fn restore(
    repository: &Repository,
    to: &Deployment,
    point: RestorePoint,
    options: RestoreOptions,
) -> RestoreReport {
    let report = Box::pin(try_restore(repository, to, point, options)).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.problems, []);
    report
}

pub(super) async fn restore_latest(repository: &Repository, to: &Deployment) -> RestoreReport {
    let options = RestoreOptions::default();
    restore(repository, to, RestorePoint::Latest, options).await
}

pub(super) async fn empty(deployment: &Deployment) {
    for name in deployment.client().list_database_names().await.unwrap() {
        if !["admin", "config", "local"].contains(&name.as_str()) {
            deployment.client().database(&name).drop().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_that_is_captured_can_be_restored() {
    every_moment(quick(), WorkloadOptions::everything(7)).await;
}

/// Captures a workload, with one kill, and restores some of its moments.
pub(super) async fn every_moment(capture: CaptureOptions, workload: WorkloadOptions) {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(100).seed(&from.client()).await;
    let (_, repository) = in_memory().await;
    let load = Workload::start(&from.client(), workload);
    load.await_more(200).await;
    let running = Running::start(&from, &repository, capture.clone()).await;
    running.await_slices(1).await;
    let base = backup(&from, &repository, auto()).await;
    load.await_more(400).await;
    running.kill().await;
    load.await_more(100).await;
    let running = Running::start(&from, &repository, capture).await;
    load.await_more(400).await;
    running.await_slices(2).await;
    let journal = load.stop().await;
    let report = running.stop().await;
    assert_eq!((report.gaps, report.interruptions), (0, 0));
    let stretches = repository.timeline().await.unwrap().stretches();
    let [stretch] = stretches.as_slice() else {
        panic!("{stretches:?}");
    };
    assert!(stretch.start <= base);

    let times = journal
        .writes()
        .iter()
        .filter_map(|write| match write.outcome {
            Outcome::Acknowledged(Some(at)) if OpTime::from(at) > base => Some(at),
            _ => None,
        });
    let mut times: Vec<_> = times.collect();
    times.sort();
    for number in 1..=6 {
        let at = times[times.len() * number / 7];
        let point = RestorePoint::At(at.into());
        restore(&repository, &to, point, RestoreOptions::default()).await;
        let state = journal.state_at(at);
        state.assert_holds(&to.client(), str::to_owned).await;
        empty(&to).await;
    }
    restore_latest(&repository, &to).await;
    let end = Timestamp::from(stretch.end);
    journal
        .state_at(end)
        .assert_holds(&to.client(), str::to_owned)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_collection_is_restored_as_it_was_beside_the_living_one_and_takes_its_renames_along() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let shop = from.client().database("shop");
    let orders = shop.collection::<bson::Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    shop.collection("staging")
        .insert_one(doc! { "_id": "staged" })
        .await
        .unwrap();
    shop.collection("other")
        .insert_one(doc! { "_id": "other" })
        .await
        .unwrap();
    let running = Running::start(&from, &repository, quick()).await;
    backup(&from, &repository, auto()).await;
    let insert = async |id: i32| {
        let reply = shop.run_command(doc! { "insert": "orders", "documents": [{ "_id": id }] });
        OpTime::from(reply.await.unwrap().get_timestamp("operationTime").unwrap())
    };
    let first = insert(2).await;
    let rename =
        doc! { "renameCollection": "shop.staging", "to": "shop.orders", "dropTarget": true };
    from.client()
        .database("admin")
        .run_command(rename)
        .await
        .unwrap();
    let second = insert(3).await;
    shop.collection("staging")
        .insert_one(doc! { "_id": "again" })
        .await
        .unwrap();
    orders.drop().await.unwrap();
    let reply = shop
        .run_command(doc! { "insert": "other", "documents": [{ "_id": 2 }] })
        .await;
    let last = reply.unwrap().get_timestamp("operationTime").unwrap();
    running.await_captured(last.into()).await;
    running.stop().await;

    let copied = async |point| {
        let options = RestoreOptions::default()
            .select(rdump::Selector {
                include: vec![rdump::Pattern::parse("shop.orders").unwrap()],
                exclude: Vec::new(),
            })
            .rename("shop.orders", "shop.copy");
        restore(&repository, &from, point, options).await;
        let copy = shop.collection::<bson::Document>("copy");
        let mut found = copy.distinct("_id", doc! {}).await.unwrap();
        found.sort_by_key(ToString::to_string);
        copy.drop().await.unwrap();
        let mut names = shop.list_collection_names().await.unwrap();
        names.sort();
        assert_eq!(names, ["other", "staging"]);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(copied(RestorePoint::At(first)).await, ["1", "2"]);
    assert_eq!(copied(RestorePoint::At(second)).await, ["\"staged\"", "3"]);
    assert_eq!(copied(RestorePoint::Latest).await, [] as [&str; 0]);
}

/// Inserts a document; gives when.
pub(super) async fn insert(to: &Deployment, id: i32) -> OpTime {
    let shop = to.client().database("shop");
    let reply = shop.run_command(doc! { "insert": "log", "documents": [{ "_id": id }] });
    OpTime::from(reply.await.unwrap().get_timestamp("operationTime").unwrap())
}

/// Inserts one more document, by no number of its own.
pub(super) async fn insert_more(to: &Deployment) {
    let log = to.client().database("shop").collection("log");
    log.insert_one(doc! { "a": 1 }).await.unwrap();
}

/// The collections of `shop`.
pub(super) async fn names(of: &Deployment) -> Vec<String> {
    let shop = of.client().database("shop");
    let mut names = shop.list_collection_names().await.unwrap();
    names.sort();
    names
}

/// Waits until nobody has the lease of a capture.
pub(super) async fn await_free(repository: &Repository) {
    let is_free = async || {
        let capturing = repository.capturing().await.unwrap();
        capturing.is_none().then_some(())
    };
    wait_for("the lease to be free", PATIENCE, is_free).await;
}

/// As if the capture began while the snapshot was being stored: its moment has passed, and nobody sees it yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_moment_shortly_before_a_capture_began_leads_on() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let before = insert(&from, 0).await;
    let last = insert(&from, 1).await;
    let running = Running::start(&from, &repository, quick()).await;
    running.await_captured(last).await;
    running.stop().await;
    let stretches = repository.timeline().await.unwrap().stretches();
    assert!(stretches[0].start < before, "{stretches:?} {before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_oplog_has_forgotten_is_a_gap_that_no_restore_crosses() {
    let from = ReplicaSet::builder()
        .oplog_mebibytes(1)
        // Only what is in a checkpoint is forgotten.
        .argument("--syncdelay=1")
        .start()
        .await;
    let to = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let log = from.client().database("shop").collection("log");
    insert(&from, 0).await;
    let first = backup(&from, &repository, auto()).await;
    let running = Running::start(&from, &repository, quick()).await;
    running.await_captured(first).await;
    running.stop().await;
    let before = repository.timeline().await.unwrap().stretches();

    // Much more than the oplog holds.
    let text = "x".repeat(1 << 20);
    let local = from
        .client()
        .database("local")
        .collection::<bson::Document>("oplog.rs");
    let oldest = async || {
        let oldest = local
            .find_one(doc! {})
            .sort(doc! { "$natural": 1 })
            .await
            .unwrap();
        OpTime::from(oldest.unwrap().get_timestamp("ts").unwrap())
    };
    for number in 1.. {
        log.insert_one(doc! { "_id": number, "text": &text })
            .await
            .unwrap();
        if oldest().await > before[0].end {
            break;
        }
    }
    let running = Running::start(&from, &repository, quick()).await;
    let is_gap = |event: &Event| matches!(event, Event::Gap { .. });
    let found = async || running.observer.events().iter().any(is_gap).then_some(());
    wait_for("the gap to be found", PATIENCE, found).await;
    running.await_captured(insert(&from, -1).await).await;
    let gaps = running
        .observer
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::Gap { .. }));
    assert_eq!(gaps.count(), 1);
    let report = running.stop().await;
    assert_eq!((report.gaps, report.open_gaps), (1, 1));
    let running = Running::start(&from, &repository, quick()).await;
    running.await_captured(insert(&from, -3).await).await;
    let report = running.stop().await;
    assert_eq!((report.gaps, report.open_gaps), (0, 1));
    let options = RestoreOptions::default();
    let latest = try_restore(&repository, &to, RestorePoint::Latest, options).await;
    assert_eq!(latest.unwrap_err().kind(), ErrorKind::OplogGap);
    let running = Running::start(&from, &repository, quick()).await;
    let second = backup(&from, &repository, auto()).await;
    running.await_captured(insert(&from, -2).await).await;
    let report = running.stop().await;
    assert_eq!((report.gaps, report.open_gaps), (0, 0));

    let timeline = repository.timeline().await.unwrap();
    let [gap] = timeline.gaps().collect::<Vec<_>>()[..] else {
        panic!("one gap");
    };
    assert_eq!(gap.start, before[0].end);
    let inside = OpTime {
        ordinal: gap.start.ordinal + 1,
        ..gap.start
    };
    let options = RestoreOptions::default();
    let error = try_restore(&repository, &to, RestorePoint::At(inside), options.clone()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OplogGap, "{error:?}");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(&gap.start.to_string()) && hint.contains(&second.to_string()),
        "{hint}"
    );
    let early = OpTime {
        seconds: first.seconds - 1,
        ordinal: 1,
    };
    let error = try_restore(&repository, &to, RestorePoint::At(early), options.clone()).await;
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("before the first snapshot"),
        "{error}"
    );
    let end = timeline.stretches().last().unwrap().end;
    let late = OpTime {
        seconds: end.seconds + 60,
        ordinal: 1,
    };
    let error = try_restore(&repository, &to, RestorePoint::At(late), options.clone()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OplogGap, "{error:?}");
    assert!(
        error.hint().unwrap().contains(&end.to_string()),
        "{error:?}"
    );
    assert!(names(&to).await.is_empty());
    // On each side of it every moment is there.
    restore(
        &repository,
        &to,
        RestorePoint::At(gap.start),
        options.clone(),
    )
    .await;
    let log = to
        .client()
        .database("shop")
        .collection::<bson::Document>("log");
    assert_eq!(log.count_documents(doc! {}).await.unwrap(), 1);
    empty(&to).await;
    restore(&repository, &to, RestorePoint::Latest, options).await;
    assert!(log.find_one(doc! { "_id": -2 }).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_captures_one_captures_and_another_deployment_is_refused() {
    let from = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let running = Running::start(&from, &repository, quick()).await;
    // What is written before it begins is none of its.
    let mut number = 0;
    wait_for("a slice", PATIENCE, async || {
        number += 1;
        insert(&from, number).await;
        (running.slices() > 0).then_some(())
    })
    .await;
    let capture = Capture::new(&source(&from).await, &repository).options(quick());
    let error = capture.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    running.stop().await;
    let once = quick().until_caught_up(true);
    let report = Capture::new(&source(&from).await, &repository).options(once.clone());
    let report = report.run().await.unwrap();
    assert_eq!(report.gaps, 0);
    let other = ReplicaSet::start().await;
    let capture = Capture::new(&source(&other).await, &repository).options(once);
    let error = capture.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.to_string().contains("another deployment"), "{error}");
}

/// A repository with a snapshot, and slices after it; and where they lead.
pub(super) async fn captured(
    from: &ReplicaSet,
    slices: usize,
) -> (Arc<MemoryStore>, Repository, OpTime) {
    let (store, repository) = in_memory().await;
    let log = from.client().database("shop").collection("log");
    log.insert_one(doc! { "_id": 0 }).await.unwrap();
    let once = || async {
        let capture = Capture::new(&source(from).await, &repository);
        let capture = capture.options(quick().until_caught_up(true));
        capture.run().await.unwrap()
    };
    once().await;
    backup(from, &repository, auto()).await;
    for number in 1..=slices {
        let number = i32::try_from(number).unwrap();
        log.insert_one(doc! { "_id": number }).await.unwrap();
        once().await;
    }
    let end = repository.timeline().await.unwrap().stretches()[0].end;
    (store, repository, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_that_is_missing_damaged_or_strange_is_named_before_the_target_is_touched() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (store, repository, end) = captured(&from, 3).await;
    let base = repository
        .point_in_time(RestorePoint::Latest, None)
        .await
        .unwrap()
        .base();
    let good = objects(&*store).await;
    let slices: Vec<String> = good
        .keys()
        .filter(|path| path.starts_with("timeline/"))
        .cloned()
        .collect();
    let after = |path: &&String| repository_span(path).end > base;
    let on_the_way: Vec<&String> = slices.iter().filter(after).collect();
    assert!(on_the_way.len() >= 3);
    let try_with = async |objects: &Objects| {
        let repository = Repository::open_in(store_of(objects).await).await.unwrap();
        let options = RestoreOptions::default();
        try_restore(&repository, &to, RestorePoint::At(end), options)
            .await
            .unwrap_err()
    };
    let verified = async |objects: &Objects| {
        let repository = Repository::open_in(store_of(objects).await).await.unwrap();
        let report = repository
            .verify_timeline(Arc::new(()), CancellationToken::new())
            .await;
        report.unwrap().damage
    };
    assert_eq!(verified(&good).await, []);
    for path in &on_the_way {
        let mut objects = good.clone();
        let bytes = objects.remove(*path).unwrap();
        let error = try_with(&objects).await;
        assert_eq!(error.kind(), ErrorKind::OplogGap, "{error:?}");
        // Nothing says that there was one after the last.
        let is_last = path == on_the_way.last().unwrap();
        assert_eq!(verified(&objects).await.is_empty(), is_last);
        for place in [10, bytes.len() / 2, bytes.len() - 10] {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            objects.insert((*path).clone(), changed.into());
            let error = try_with(&objects).await;
            assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
            assert_eq!(error.location(), Some(path.as_str()));
            assert_eq!(verified(&objects).await[0].path, **path);
        }
        objects.insert((*path).clone(), bytes.slice(..bytes.len() - 1));
        assert_eq!(try_with(&objects).await.kind(), ErrorKind::Data);
    }
    // One of another repository, in the place of one of ours.
    let (other, _, _) = captured(&ReplicaSet::start().await, 1).await;
    let other = objects(&*other).await;
    let strange = other
        .iter()
        .find(|(path, _)| path.starts_with("timeline/"))
        .unwrap()
        .1;
    let mut objects = good.clone();
    objects.insert(on_the_way[1].clone(), strange.clone());
    assert_eq!(try_with(&objects).await.kind(), ErrorKind::Data);
    // And what would be ours, if it were not of another deployment or repository.
    let last = *on_the_way.last().unwrap();
    let slice = OplogSlice::read(&good[last]).unwrap();
    let stored: Vec<u8> = slice.segments().flat_map(|(_, it)| it.to_vec()).collect();
    let [mut of_other_deployment, mut of_other_repository] = [&slice.header; 2].map(Clone::clone);
    of_other_deployment.source.set_name = Some("rs1".to_owned());
    of_other_repository.repository = OplogSlice::read(strange).unwrap().header.repository;
    for header in [of_other_deployment, of_other_repository] {
        let mut objects = good.clone();
        let bytes = OplogSlice::write(&header, &slice.footer, &stored).unwrap();
        objects.insert(last.clone(), bytes.into());
        let error = try_with(&objects).await;
        assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
        assert!(error.to_string().contains(" is of another "), "{error}");
    }
    let names = to
        .client()
        .database("shop")
        .list_collection_names()
        .await
        .unwrap();
    assert!(names.is_empty(), "{names:?}");
    restore(
        &repository,
        &to,
        RestorePoint::At(end),
        RestoreOptions::default(),
    )
    .await;
    let log = to
        .client()
        .database("shop")
        .collection::<bson::Document>("log");
    assert_eq!(log.count_documents(doc! {}).await.unwrap(), 4);
}

fn repository_span(path: &str) -> rdump::SpanName {
    rdump::SpanName::parse_path(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_slices_are_restored_by_who_has_the_key() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    for source in [CaptureSource::Oplog, CaptureSource::ChangeStream] {
        encrypted_slices_come_back(&from, &to, source).await;
        empty(&from).await;
        empty(&to).await;
    }
}

async fn encrypted_slices_come_back(from: &ReplicaSet, to: &ReplicaSet, learned: CaptureSource) {
    let (store, repository) = in_memory().await;
    let (recipients, identities) = somebody();
    let log = from.client().database("shop").collection("log");
    log.insert_one(doc! { "_id": 0 }).await.unwrap();
    let once = || async {
        let capture = Capture::new(&source(from).await, &repository)
            .recipients(Some(recipients.clone()))
            .options(quick().source(learned).until_caught_up(true));
        capture.run().await.unwrap()
    };
    once().await;
    let backup = Backup::new(&source(from).await, &repository)
        .options(auto())
        .recipients(Some(recipients.clone()));
    let plan = Box::pin(backup.plan()).await.unwrap();
    backup.run(plan).await.unwrap();
    let text = "what nobody else may know";
    // Of what a change stream goes on with, the ids of documents are a part.
    log.insert_one(doc! { "_id": text, "text": text })
        .await
        .unwrap();
    once().await;
    assert_eq!(once().await.gaps, 0);
    let hexadecimal: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    let found = objects(&*store).await;
    for (path, bytes) in &found {
        let is_plain = bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes());
        assert!(!is_plain, "{path}");
        let is_token = String::from_utf8_lossy(bytes).contains(&hexadecimal);
        assert!(!is_token, "{path}");
        assert!(
            !path.starts_with("timeline/") || path.ends_with(".enc"),
            "{path}"
        );
    }
    let options = RestoreOptions::default;
    let error = try_restore(&repository, to, RestorePoint::Latest, options())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    let repository = repository.identities(Some(identities));
    restore(&repository, to, RestorePoint::Latest, options()).await;
    let log = to
        .client()
        .database("shop")
        .collection::<bson::Document>("log");
    assert_eq!(log.count_documents(doc! {}).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_no_base_for_all_and_what_was_not_captured_is_not_restored_as_if_it_were() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    let only = |pattern: &str| rdump::Selector {
        include: vec![rdump::Pattern::parse(pattern).unwrap()],
        exclude: Vec::new(),
    };
    insert(&from, 0).await;
    let other = from.client().database("other").collection("x");
    other.insert_one(doc! { "_id": 0 }).await.unwrap();
    let once = || async {
        let options = quick().until_caught_up(true).select(only("shop.*"));
        let capture = Capture::new(&source(&from).await, &repository).options(options);
        capture.run().await.unwrap()
    };
    once().await;
    backup(&from, &repository, auto().select(only("other.*"))).await;
    let latest = async |options: RestoreOptions| {
        try_restore(&repository, &to, RestorePoint::Latest, options).await
    };
    let error = latest(RestoreOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("of a part"), "{error}");
    backup(&from, &repository, auto()).await;
    insert(&from, 1).await;
    other.insert_one(doc! { "_id": 1 }).await.unwrap();
    once().await;
    let error = latest(RestoreOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
    assert!(names(&to).await.is_empty());
    let report = latest(RestoreOptions::default().select(only("shop.*")))
        .await
        .unwrap();
    assert_eq!(report.problems, []);
    let log = to
        .client()
        .database("shop")
        .collection::<bson::Document>("log");
    assert_eq!(log.count_documents(doc! {}).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_before_the_snapshot_is_not_replayed_again() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let client = from.client();
    let log = client.database("shop").collection("log");
    insert(&from, 0).await;
    for consistency in [Consistency::Oplog, Consistency::Snapshot] {
        let (_, repository) = in_memory().await;
        let mut session = client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        let insert_two = log.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]);
        insert_two.session(&mut session).await.unwrap();
        session.commit_transaction().await.unwrap();
        log.delete_one(doc! { "_id": 1 }).await.unwrap();
        let options = DumpOptions::default().consistency(consistency);
        let base = backup(&from, &repository, options).await;
        log.delete_one(doc! { "_id": 2 }).await.unwrap();
        let end = insert(&from, 3).await;
        // It begins before the snapshot, and one slice has all of it.
        let options = CaptureOptions::default().slice_age(Duration::from_secs(600));
        let capture = Capture::new(&source(&from).await, &repository);
        let capture = capture.options(options.until_caught_up(true));
        capture.run().await.unwrap();
        let timeline = repository.timeline().await.unwrap();
        let spans: Vec<_> = timeline.slices().collect();
        assert!(
            spans
                .iter()
                .any(|span| span.start < base && base < span.end),
            "{spans:?}"
        );
        for (at, expected) in [(base, vec![0, 2]), (end, vec![0, 3])] {
            let options = RestoreOptions::default();
            restore(&repository, &to, RestorePoint::At(at), options).await;
            let found = to
                .client()
                .database("shop")
                .collection::<bson::Document>("log");
            let mut found = found.distinct("_id", doc! {}).await.unwrap();
            found.sort_by_key(bson::Bson::as_i32);
            let found: Vec<_> = found.iter().filter_map(bson::Bson::as_i32).collect();
            assert_eq!(found, expected, "{consistency}");
            empty(&to).await;
        }
        log.delete_one(doc! { "_id": 3 }).await.unwrap();
    }
}
