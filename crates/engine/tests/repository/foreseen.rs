//! What an oplog is going to do is known before the target is touched.

use std::sync::Arc;

use bson::{Document, RawDocument, RawDocumentBuf, Timestamp, cstr, doc, rawdoc};
use bytes::Bytes;
use rdump::{
    Counters, DumpOptions, ErrorKind, OnConflict, Pattern, Repository, Restore, RestoreOptions,
    RestorePoint, Selector, SnapshotReader,
};
use rdump_format::{
    Codec, Compression, Compressor, Digester, SegmentBuilder, SegmentRecord, repository::OplogSlice,
};
use rdump_testkit::{
    Deployment, FailPoint, ReplicaSet,
    wait::{PATIENCE, wait_for},
};

use super::{
    capture::{auto, backup, captured, empty, insert, names, quick, restore, source, try_restore},
    in_memory, objects, store_of, whole,
};

/// The slice with other entries.
fn rewritten(bytes: &[u8], change: impl Fn(&RawDocument) -> RawDocumentBuf) -> Bytes {
    let slice = OplogSlice::read(bytes).unwrap();
    let mut entries = Vec::new();
    for (record, stored) in slice.segments() {
        record.decode(Codec::Zstd, stored, &mut entries).unwrap();
    }
    let mut builder = SegmentBuilder::new(usize::MAX);
    for entry in rdump_format::documents(&entries) {
        let entry = RawDocument::from_bytes(entry.unwrap()).unwrap();
        assert!(builder.push(change(entry).as_bytes()).unwrap().is_none());
    }
    let segment = builder.finish().unwrap();
    let mut compressor = Compressor::new(Compression::ZSTD).unwrap();
    let sealed = segment.seal(&mut compressor, Vec::new()).unwrap();
    let bytes = segment.body.len() as u64;
    let record = SegmentRecord::of(segment.documents, bytes, &sealed, &mut Digester::new());
    let (mut header, mut footer) = (slice.header.clone(), slice.footer.clone());
    (footer.entries, footer.uncompressed_bytes) = (segment.documents, bytes);
    (footer.definitions, footer.segments) = (true, vec![record]);
    header.stored_bytes = sealed.len() as u64;
    OplogSlice::write(&header, &footer, &sealed).unwrap().into()
}

/// The entry as if it were of a command that nobody knows.
fn riddle(entry: &RawDocument) -> RawDocumentBuf {
    let mut changed = RawDocumentBuf::new();
    for (name, value) in entry.iter().map(Result::unwrap) {
        match name.as_str() {
            "op" => changed.append(cstr!("op"), "c"),
            "ns" => changed.append(cstr!("ns"), "shop.$cmd"),
            "o" => changed.append(cstr!("o"), rawdoc! { "riddle": "log" }),
            _ => changed.append(name, value),
        }
    }
    changed
}

fn only(pattern: &str) -> Selector {
    Selector {
        include: vec![Pattern::parse(pattern).unwrap()],
        exclude: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_nobody_knows_is_named_before_the_target_is_touched_or_left_out_and_counted()
{
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let other = from.client().database("other").collection("x");
    other.insert_one(doc! { "_id": 0 }).await.unwrap();
    let (store, _, end) = captured(&from, 3).await;
    let mut changed = objects(&*store).await;
    let last = changed.keys().filter(|path| path.starts_with("timeline/"));
    let last = last.max().unwrap().clone();
    let slice = rewritten(&changed[&last], riddle);
    changed.insert(last, slice);
    let repository = Repository::open_in(store_of(&changed).await).await.unwrap();
    let latest = RestorePoint::Latest;
    let options = RestoreOptions::default;

    let error = try_restore(&repository, &to, latest, options()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
    let text = whole(&error);
    let named = format!("unknown oplog command name \"riddle\" at {end} on shop.log");
    assert!(text.contains(&named), "{text}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("--skip-unknown-oplog-entries"), "{hint}");
    assert!(names(&to).await.is_empty());

    let skipping = options().skip_unknown_oplog_entries(true);
    let report = try_restore(&repository, &to, latest, skipping).await;
    let report = report.unwrap();
    assert_eq!(report.oplog.unwrap().skipped, 1);
    let [problem] = report.problems.as_slice() else {
        panic!("{:?}", report.problems);
    };
    assert!(problem.message.contains(&named), "{problem}");
    let log = to.client().database("shop").collection::<Document>("log");
    // What the command was in the place of is missing.
    assert_eq!(log.count_documents(doc! {}).await.unwrap(), 3);

    // It is about nothing that is restored then, or later.
    empty(&to).await;
    let others = options().select(only("other.*"));
    restore(&repository, &to, latest, others).await;
    let before = repository.timeline().await.unwrap();
    let before = before.slices().map(|slice| slice.start).max().unwrap();
    restore(
        &repository,
        &to,
        RestorePoint::At(before),
        options().select(only("shop.*")),
    )
    .await;
    assert_eq!(log.count_documents(doc! {}).await.unwrap(), 3);
}

/// A repository in which `shop.late`, `shop.renamed` and the view `shop.view` come only after the snapshot.
async fn with_later_collections(from: &ReplicaSet) -> Repository {
    let (_, repository) = in_memory().await;
    insert(from, 0).await;
    let shop = from.client().database("shop");
    shop.create_collection("early").await.unwrap();
    let capture = async || {
        let capture = rdump::Capture::new(&source(from).await, &repository);
        let capture = capture.options(quick().until_caught_up(true));
        capture.run().await.unwrap();
    };
    capture().await;
    backup(from, &repository, auto()).await;
    let late = shop.collection("late");
    late.insert_one(doc! { "_id": "of the source" })
        .await
        .unwrap();
    let rename = doc! { "renameCollection": "shop.early", "to": "shop.renamed" };
    from.admin_command(rename).await.unwrap();
    let view = doc! { "create": "view", "viewOn": "log", "pipeline": [] };
    shop.run_command(view).await.unwrap();
    capture().await;
    repository
}

/// Has collections of these names at the target, each with a document.
async fn occupy(to: &Deployment, names: &[&str]) {
    for name in names {
        let collection = to.client().database("shop").collection(name);
        let document = doc! { "_id": "of the target" };
        collection.insert_one(document).await.unwrap();
    }
}

async fn ids(of: &Deployment, name: &str) -> Vec<String> {
    let collection = of.client().database("shop").collection::<Document>(name);
    let ids = collection.distinct("_id", doc! {}).await.unwrap();
    ids.iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_oplog_makes_is_a_conflict_where_it_is_there_already() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let repository = with_later_collections(&from).await;
    let options = || RestoreOptions::default().on_conflict(OnConflict::Fail);
    let latest = async |options: RestoreOptions| {
        try_restore(&repository, &to, RestorePoint::Latest, options).await
    };
    for name in ["late", "renamed", "view"] {
        occupy(&to, &[name]).await;
        let error = latest(options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert!(
            error.to_string().contains(&format!("shop.{name}")),
            "{error}"
        );
        assert_eq!(names(&to).await, [name]);
        assert_eq!(ids(&to, name).await, ["of the target"]);
        empty(&to).await;
    }
    let own = ["late", "mine", "renamed", "view"];
    occupy(&to, &own).await;
    // Under another name nothing is in the way.
    let report = latest(options().rename("shop.*", "copy.*")).await.unwrap();
    assert_eq!(report.problems, []);
    to.client().database("copy").drop().await.unwrap();
    assert_eq!(names(&to).await, own);

    let report = latest(options().on_conflict(OnConflict::Skip)).await;
    assert_eq!(report.unwrap().problems, []);
    for name in own {
        assert_eq!(ids(&to, name).await, ["of the target"]);
    }
    empty(&to).await;

    occupy(&to, &own).await;
    let report = latest(options().drop(true)).await.unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(
        names(&to).await,
        ["late", "log", "mine", "renamed", "system.views", "view"]
    );
    assert_eq!(ids(&to, "late").await, ["of the source"]);
    assert_eq!(ids(&to, "mine").await, ["of the target"]);
    assert_eq!(ids(&to, "renamed").await, [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_interrupted_does_not_take_what_it_has_made_for_somebody_elses() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let repository = with_later_collections(&from).await;
    let run = async |options: RestoreOptions| {
        try_restore(&repository, &to, RestorePoint::Latest, options).await
    };
    for how in [OnConflict::Fail, OnConflict::Skip] {
        occupy(&to, &["renamed"]).await;
        let options = || match how {
            OnConflict::Fail => RestoreOptions::default().on_conflict(how).drop(true),
            _ => RestoreOptions::default().on_conflict(how),
        };
        // By then `shop.late` is there, and not what comes after it.
        let commands = ["applyOps"];
        let (mode, data) = (doc! { "skip": 2 }, doc! { "errorCode": 2 });
        let failing = FailPoint::fail_command(&to, &commands, mode, data).await;
        run(options()).await.unwrap_err();
        failing.disable().await;
        assert!(names(&to).await.contains(&"late".to_owned()));
        let report = run(options().resume(true)).await.unwrap();
        assert_eq!(report.problems, []);
        assert_eq!(ids(&to, "late").await, ["of the source"]);
        let expected: &[&str] = match how {
            OnConflict::Fail => &[],
            _ => &["of the target"],
        };
        assert_eq!(ids(&to, "renamed").await, expected);
        empty(&to).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_snapshots_own_oplog_makes_is_known_too() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let shape = rdump_testkit::dataset::Shape::Medium;
    rdump_testkit::dataset::seed_bulk(&from.client(), "shop.c", shape, 10_000, 1).await;
    let (_, repository) = in_memory().await;
    let counters = Arc::new(Counters::default());
    let options = DumpOptions::default()
        .consistency(rdump::Consistency::Oplog)
        .compression(Compression::None)
        .limit_bytes_per_second(4 << 20);
    let backup = rdump::Backup::new(&source(&from).await, &repository)
        .options(options)
        .counters(Arc::clone(&counters));
    let plan = Box::pin(backup.plan()).await.unwrap();
    let create = async {
        let reads = async || (counters.documents_read.value() > 0).then_some(());
        wait_for("documents to be read", PATIENCE, reads).await;
        from.client()
            .database("shop")
            .create_collection("late")
            .await
            .unwrap();
    };
    let (report, ()) = futures::join!(backup.run(plan), create);
    report.unwrap();
    occupy(&to, &["late"]).await;
    let snapshot = repository.find_snapshot("latest").await.unwrap();
    let reader = SnapshotReader::open(&snapshot, &Selector::default())
        .await
        .unwrap();
    let options = RestoreOptions::default().on_conflict(OnConflict::Fail);
    let restore = Restore::new(&crate::restore::target(&to).await, Arc::new(reader));
    let error = Box::pin(restore.options(options).plan()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.to_string().contains("shop.late"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_has_is_kept_from_an_oplog_that_nothing_is_known_of() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    insert(&from, 0).await;
    let (_, repository) = in_memory().await;
    let without_oplog = DumpOptions::default().consistency(rdump::Consistency::Snapshot);
    backup(&from, &repository, without_oplog).await;
    let snapshot = repository.find_snapshot("latest").await.unwrap();
    occupy(&to, &["renamed"]).await;

    let command = |ordinal: u32, o: Document| {
        let ts = Timestamp {
            time: 100,
            increment: ordinal,
        };
        rawdoc! { "ts": ts, "t": 1_i64, "v": 2_i64, "op": "c", "ns": "shop.$cmd", "o": RawDocumentBuf::try_from(&o).unwrap() }
    };
    let entries = [
        command(1, doc! { "create": "staged" }),
        command(
            2,
            doc! { "renameCollection": "shop.staged", "to": "shop.renamed", "stayTemp": false },
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("oplog.bson");
    std::fs::write(&file, entries.map(|entry| entry.into_bytes()).concat()).unwrap();
    let reader = SnapshotReader::open(&snapshot, &Selector::default()).await;
    let target = crate::restore::target(&to).await;
    let options = RestoreOptions::default()
        .on_conflict(OnConflict::Merge)
        .oplog_replay(true)
        .oplog_file(file.display().to_string());
    let restore = Restore::new(&target, Arc::new(reader.unwrap())).options(options);
    let plan = Box::pin(restore.plan()).await.unwrap();
    Box::pin(restore.run(plan)).await.unwrap();
    assert!(ids(&to, "renamed").await.is_empty());
    let names = names(&to).await;
    let kept = names.iter().find(|name| name.ends_with(".rename"));
    assert_eq!(
        ids(&to, kept.unwrap()).await,
        ["of the target"],
        "{names:?}"
    );
}
