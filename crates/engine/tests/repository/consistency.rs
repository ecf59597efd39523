//! Snapshots that are of one moment.

use std::sync::Arc;

use bson::{Timestamp, doc};
use rdump::{
    Backup, ConnectOptions, Consistency, Dump, DumpOptions, ErrorKind, Namespace, OpTime, Pattern,
    RecordingObserver, Repository, RestoreOptions, Selector, Snapshot, SnapshotWriter, Source,
};
use rdump_testkit::{
    Deployment, FailPoint, ReplicaSet, Standalone, Workload, WorkloadOptions, dataset,
    workload::{self, Journal},
};

use super::{in_memory, round_trip::restore, writer};

/// Slow enough for hundreds of writes meanwhile.
fn slowly(consistency: Consistency) -> DumpOptions {
    DumpOptions::default()
        .consistency(consistency)
        .limit_bytes_per_second(2 << 20)
}

fn only(pattern: &str) -> Selector {
    Selector {
        include: vec![Pattern::parse(pattern).unwrap()],
        exclude: Vec::new(),
    }
}

async fn source(from: &Deployment) -> Source {
    let options = ConnectOptions::default().uri(from.root_uri());
    Source::connect(&options).await.unwrap()
}

fn load(from: &Deployment) -> Workload {
    let names = (0..6).map(|number| format!("work{}.load{number}", number % 2));
    let options = WorkloadOptions {
        namespaces: names.collect(),
        ..WorkloadOptions::default()
    };
    Workload::start(&from.client(), options)
}

/// Backs up while something else writes all the time.
async fn backup_under_load(
    from: &Deployment,
    repository: &Repository,
    options: DumpOptions,
) -> (Snapshot, Journal) {
    let load = load(from);
    load.await_more(300).await;
    let backup = Backup::new(&source(from).await, repository).options(options);
    let plan = backup.plan().await.unwrap();
    load.await_more(100).await;
    let report = backup.run(plan).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.report.problems, []);
    load.await_more(50).await;
    let snapshot = repository.snapshot(&report.snapshot).await.unwrap();
    let run = &snapshot.manifest().run;
    assert_eq!(run.consistency, report.report.consistency.as_str());
    let at = report.report.consistent_at.map(|at| at.to_string());
    assert_eq!(run.consistent_at, at);
    (snapshot, load.stop().await)
}

fn moment(snapshot: &Snapshot) -> Timestamp {
    let at = snapshot.manifest().run.consistent_at.as_ref();
    at.unwrap().parse::<OpTime>().unwrap().into()
}

/// A set that forgets after two seconds what was there.
async fn forgetful() -> ReplicaSet {
    let set = ReplicaSet::builder()
        .argument("--setParameter=minSnapshotHistoryWindowInSeconds=2")
        .start()
        .await;
    dataset::orders(100_000).seed(&set.client()).await;
    set
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_at_one_moment_and_restored_as_it_was_then() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(5_000).seed(&from.client()).await;
    for consistency in [Consistency::Snapshot, Consistency::Auto] {
        let (_, repository) = in_memory().await;
        let options = slowly(consistency);
        let (snapshot, journal) = backup_under_load(&from, &repository, options).await;
        assert_eq!(snapshot.manifest().run.consistency, "snapshot");
        let report = restore(&snapshot, &to, RestoreOptions::default().drop(true)).await;
        assert_eq!(report.oplog, None);
        let state = journal.state_at(moment(&snapshot));
        workload::assert_holds(&state, &to.client(), str::to_owned).await;
        for number in 0..2 {
            for deployment in [&from, &to] {
                let work = deployment.client().database(&format!("work{number}"));
                work.drop().await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_moment_goes_on_with_the_oplog_and_does_not_start_over() {
    let (from, to) = (forgetful().await, ReplicaSet::start().await);
    let (_, repository) = in_memory().await;
    let (snapshot, journal) =
        backup_under_load(&from, &repository, slowly(Consistency::Auto)).await;
    assert_eq!(snapshot.manifest().run.consistency, "oplog");
    let report = restore(&snapshot, &to, RestoreOptions::default()).await;
    assert!(report.oplog.unwrap().operations > 50);
    let state = journal.state_at(moment(&snapshot));
    workload::assert_holds(&state, &to.client(), str::to_owned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_one_moment_and_loses_it_is_told_what_to_do() {
    let from = forgetful().await;
    let load = load(&from);
    load.await_more(100).await;
    let (_, repository) = in_memory().await;
    let backup =
        Backup::new(&source(&from).await, &repository).options(slowly(Consistency::Snapshot));
    let plan = backup.plan().await.unwrap();
    let error = backup.run(plan).await.unwrap_err();
    load.stop().await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("minSnapshotHistoryWindowInSeconds"), "{hint}");
    assert!(repository.snapshots().await.unwrap().whole.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_of_one_moment_too_and_its_oplog_has_nothing_of_the_rest() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(5_000).seed(&from.client()).await;
    for consistency in [Consistency::Oplog, Consistency::Auto] {
        let (_, repository) = in_memory().await;
        let part = Selector {
            include: ["work1.*", "shop.*"]
                .map(|it| Pattern::parse(it).unwrap())
                .to_vec(),
            exclude: vec![Pattern::parse("work1.load3").unwrap()],
        };
        let options = slowly(consistency).select(part);
        let (snapshot, journal) = backup_under_load(&from, &repository, options).await;
        // One collection of it, under another name.
        let copy = RestoreOptions::default()
            .select(only("work1.load1"))
            .rename("work1.load1", "copy.load1");
        restore(&snapshot, &to, copy).await;
        restore(&snapshot, &to, RestoreOptions::default()).await;
        let state = journal.state_at(moment(&snapshot));
        let part = |name: &str| name.starts_with("work1.") && name != "work1.load3";
        let part = state.clone().selected(part);
        assert!(part.documents() > 10);
        workload::assert_holds(&part, &to.client(), str::to_owned).await;
        let one = state.selected(|name| name == "work1.load1");
        let copy = |name: &str| name.replace("work1", "copy");
        workload::assert_holds(&one, &to.client(), copy).await;
        let mut databases = to.client().list_database_names().await.unwrap();
        databases.retain(|db| !["admin", "config", "local"].contains(&db.as_str()));
        assert_eq!(databases, ["copy", "shop", "work1"]);
        let mut secret = Vec::new();
        if let Some(oplog) = captured(&snapshot).await {
            let names = oplog.iter().map(|entry| entry.to_string());
            secret.extend(names.filter(|it| it.contains("work0.") || it.contains("load3")));
        }
        assert_eq!(secret, [] as [String; 0]);
        for deployment in [&from, &to] {
            for db in ["work0", "work1", "copy", "shop"] {
                let db = deployment.client().database(db);
                if deployment.root_uri() == to.root_uri() || db.name() != "shop" {
                    db.drop().await.unwrap();
                }
            }
        }
    }
}

/// The entries of the oplog that a snapshot has.
async fn captured(snapshot: &Snapshot) -> Option<Vec<bson::Document>> {
    let documents = super::read(snapshot).await.0;
    let oplog = documents.get(&Namespace::oplog().to_string())?;
    let entries = oplog
        .iter()
        .map(|entry| bson::Document::from_reader(entry.as_slice()).unwrap());
    Some(entries.collect())
}

/// Backs up, with something done to the source after the plan was made.
async fn with_change(
    from: &ReplicaSet,
    consistency: Consistency,
    change: impl AsyncFnOnce(&mongodb::Database),
) -> Result<(Snapshot, Arc<RecordingObserver>), rdump::Error> {
    let (_, repository) = in_memory().await;
    let writer: Arc<SnapshotWriter> = Arc::new(writer(&repository));
    let observer = Arc::new(RecordingObserver::default());
    let dump = Dump::new(&source(from).await, Arc::clone(&writer) as _)
        .options(DumpOptions::default().consistency(consistency))
        .observer(Arc::clone(&observer) as _);
    let plan = dump.plan().await?;
    change(&from.client().database("shop")).await;
    dump.run(plan).await?;
    let snapshot = repository.snapshot(writer.id().unwrap()).await?;
    Ok((snapshot, observer))
}

async fn names(of: &ReplicaSet) -> Vec<String> {
    let mut names = of
        .client()
        .database("shop")
        .list_collection_names()
        .await
        .unwrap();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_after_the_moment_is_restored_as_it_was() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(100).seed(&from.client()).await;
    let change = async |shop: &mongodb::Database| {
        let orders = shop.collection::<bson::Document>("orders");
        shop.run_command(doc! { "createIndexes": "orders", "indexes": [{ "key": { "late": 1 }, "name": "late" }] }).await.unwrap();
        shop.run_command(doc! { "collMod": "orders", "validator": { "late": 1 } })
            .await
            .unwrap();
        shop.create_collection("late").await.unwrap();
        orders.delete_many(doc! {}).await.unwrap();
    };
    let (snapshot, _) = with_change(&from, Consistency::Snapshot, change)
        .await
        .unwrap();
    restore(&snapshot, &to, RestoreOptions::default()).await;
    assert_eq!(names(&to).await, ["orders"]);
    let orders = to
        .client()
        .database("shop")
        .collection::<bson::Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 100);
    let indexes = orders.list_index_names().await.unwrap();
    assert!(!indexes.contains(&"late".to_owned()), "{indexes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_or_renamed_after_the_moment_is_never_restored_as_if_it_were_empty() {
    let dropped = async |shop: &mongodb::Database| {
        shop.collection::<bson::Document>("orders")
            .drop()
            .await
            .unwrap();
    };
    let again = async |shop: &mongodb::Database| {
        let orders = shop.collection::<bson::Document>("orders");
        orders.drop().await.unwrap();
        orders.insert_one(doc! { "_id": "new" }).await.unwrap();
    };
    let renamed = async |shop: &mongodb::Database| {
        let rename = doc! { "renameCollection": "shop.orders", "to": "shop.renamed" };
        shop.client()
            .database("admin")
            .run_command(rename)
            .await
            .unwrap();
    };
    let database = async |shop: &mongodb::Database| {
        shop.drop().await.unwrap();
    };

    // A right snapshot or a clear failure; which of them depends on the version of the server.
    for consistency in [Consistency::Snapshot, Consistency::Auto, Consistency::Oplog] {
        for number in 0..4 {
            let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
            dataset::orders(100).seed(&from.client()).await;
            let outcome = match number {
                0 => with_change(&from, consistency, dropped).await,
                1 => with_change(&from, consistency, again).await,
                2 => with_change(&from, consistency, renamed).await,
                _ => with_change(&from, consistency, database).await,
            };
            let what = format!("{consistency} {number}");
            let (snapshot, _) = match outcome {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Conflict, "{what}: {error:?}");
                    assert!(
                        consistency != Consistency::Auto || number == 2,
                        "{what}: {error:?}"
                    );
                    continue;
                }
            };
            restore(&snapshot, &to, RestoreOptions::default()).await;
            let orders = to
                .client()
                .database("shop")
                .collection::<bson::Document>("orders");
            let found = orders.count_documents(doc! {}).await.unwrap();
            let run = &snapshot.manifest().run;
            match (run.consistency.as_str(), number) {
                ("snapshot", _) => assert_eq!(found, 100, "{what}"),
                ("oplog", 1) => assert_eq!(found, 1, "{what}"),
                ("oplog", 0 | 3) => assert_eq!(names(&to).await, [] as [&str; 0], "{what}"),
                other => panic!("{what}: {other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_listed_until_it_stands_still() {
    let from = ReplicaSet::start().await;
    dataset::orders(100).seed(&from.client()).await;
    let shop = from.client().database("shop");
    let mut changing = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (shop, name) = (shop.clone(), format!("c{number}"));
        changing.spawn(async move {
            shop.create_collection(&name).await.unwrap();
            for level in ["moderate", "strict"].iter().cycle() {
                let change = doc! { "collMod": &name, "validationLevel": level };
                shop.run_command(change).await.unwrap();
            }
        });
    }
    let (_, repository) = in_memory().await;
    let source = source(&from).await;
    let backup = async |options: DumpOptions| {
        let backup = Backup::new(&source, &repository);
        backup.options(options).plan().await
    };
    // To list them takes longer than to change one, however busy the machine is.
    let slow = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": { "failCommands": ["listCollections"], "blockConnection": true, "blockTimeMS": 500 },
    };
    let slow = FailPoint::enable(&from, slow).await;
    let strict = DumpOptions::default().consistency(Consistency::Snapshot);
    let error = backup(strict.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    slow.disable().await;
    // What is not dumped may change as it likes.
    backup(strict.select(only("shop.orders"))).await.unwrap();
    let auto = DumpOptions::default().consistency(Consistency::Auto);
    backup(auto).await.unwrap();
    changing.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_deployment_gets_what_it_can_have() {
    let standalone = Standalone::start().await;
    dataset::orders(10).seed(&standalone.client()).await;
    let (_, repository) = in_memory().await;
    let strict = DumpOptions::default().consistency(Consistency::Snapshot);
    let backup = Backup::new(&source(&standalone).await, &repository).options(strict.clone());
    let error = backup.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let auto = DumpOptions::default().consistency(Consistency::Auto);
    let backup = Backup::new(&source(&standalone).await, &repository).options(auto.clone());
    let report = backup.run(backup.plan().await.unwrap()).await.unwrap();
    assert_eq!(report.report.consistency, Consistency::None);

    // Servers before 8.0 do not read capped collections at one moment.
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let shop = from.client().database("shop");
    shop.create_collection("log")
        .capped(true)
        .size(1 << 20)
        .await
        .unwrap();
    let log = shop.collection("log");
    log.insert_many((0..10).map(|number| doc! { "_id": number }))
        .await
        .unwrap();
    let backup = Backup::new(&source(&from).await, &repository).options(strict);
    let error = backup.plan().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.namespace().unwrap().to_string(), "shop.log");
    let backup = Backup::new(&source(&from).await, &repository).options(auto);
    let report = backup.run(backup.plan().await.unwrap()).await.unwrap();
    assert_eq!(report.report.consistency, Consistency::Oplog);
    let snapshot = repository.snapshot(&report.snapshot).await.unwrap();
    restore(&snapshot, &to, RestoreOptions::default()).await;
    let log = to
        .client()
        .database("shop")
        .collection::<bson::Document>("log");
    assert_eq!(log.count_documents(doc! {}).await.unwrap(), 10);
}
