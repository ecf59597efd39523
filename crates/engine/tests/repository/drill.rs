//! Drills: restoring for practice.

use std::sync::{Arc, Mutex};

use bson::{Document, doc};
use rdump::{
    Backup, Drill, DrillReport, Drilled, ErrorKind, Event, Namespace, Repository, RestorePoint,
    ScratchServer, Target, storage::MemoryStore,
};
use rdump_testkit::{
    ReplicaSet, Standalone, binaries, dataset,
    wait::{PATIENCE, wait_for},
};

use super::{
    capture::{Running, auto, quick, source as source_of},
    in_memory, objects, store_of,
};
use crate::restore::target as target_of;

/// A repository with a snapshot of data sets.
async fn backed_up(datasets: &[dataset::Dataset]) -> (ReplicaSet, Arc<MemoryStore>, Repository) {
    let from = ReplicaSet::start().await;
    for dataset in datasets {
        dataset.seed(&from.client()).await;
    }
    let (store, repository) = in_memory().await;
    let source = source_of(&from).await;
    let backup = Backup::new(&source, &repository).options(auto());
    let plan = Box::pin(backup.plan()).await.unwrap();
    Box::pin(backup.run(plan)).await.unwrap();
    (from, store, repository)
}

async fn run(drill: &Drill) -> DrillReport {
    Box::pin(drill.run()).await.unwrap()
}

async fn databases(of: &Standalone) -> Vec<String> {
    let names = of.client().list_database_names().await.unwrap();
    let own = |name: &String| !["admin", "config", "local"].contains(&name.as_str());
    names.into_iter().filter(own).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_restores_compares_and_leaves_nothing() {
    let (_from, _, repository) = backed_up(&dataset::all()).await;
    let scratch = Standalone::start().await;
    let target = target_of(&scratch).await;
    let report = run(&Drill::new(&repository, &target)).await;
    assert!(report.is_good(), "{report:#?}");
    let comparison = report.comparison.as_ref().unwrap();
    assert!(comparison.namespaces.len() > 30 && comparison.partial == 0);
    assert!(report.restore_seconds > 0.0 && report.restore_seconds < report.duration_seconds);
    assert!(report.lost_seconds.unwrap() < 600, "{report:?}");
    assert_eq!(databases(&scratch).await, [""; 0]);
    let random = Drill::new(&repository, &target)
        .what(Drilled::Random)
        .keep(true);
    let report = run(&random).await;
    assert!(report.is_good(), "{report:#?}");
    assert!(!report.kept_databases.is_empty() && !databases(&scratch).await.is_empty());

    // What is there is not overwritten, nor dropped.
    let before = databases(&scratch).await;
    let again = Drill::new(&repository, &target);
    let error = Box::pin(again.run()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(databases(&scratch).await, before);
}

/// What a drill finds if something is done to what was restored before it is compared.
async fn with_fault(
    repository: &Repository,
    target: &Target,
    scratch: &Standalone,
    fault: Document,
) -> DrillReport {
    let shop = scratch.client().database("shop");
    let (seeded, handle) = (
        Arc::new(Mutex::new(None)),
        tokio::runtime::Handle::current(),
    );
    let task = Arc::clone(&seeded);
    let observer = move |event: &Event| {
        if matches!(event, Event::Notice { message, .. } if message.starts_with("comparing")) {
            let (shop, command) = (shop.clone(), fault.clone());
            let done = std::thread::scope(|scope| {
                let thread = scope
                    .spawn(|| handle.block_on(async { shop.run_command(command).await.unwrap() }));
                thread.join().unwrap()
            });
            *task.lock().unwrap() = Some(done);
        }
    };
    let drill = Drill::new(repository, target).observer(Arc::new(observer));
    let report = run(&drill).await;
    assert!(seeded.lock().unwrap().is_some(), "the fault was not seeded");
    assert_eq!(databases(scratch).await, [""; 0]);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_finds_a_fault_of_each_kind() {
    let (_from, _, repository) = backed_up(&[dataset::orders(2_000)]).await;
    let scratch = Standalone::start().await;
    let target = target_of(&scratch).await;
    let indexes = repository.find_snapshot("latest").await.unwrap();
    let indexes = indexes.namespaces().await.unwrap();
    let orders = Namespace::new("shop", "orders");
    let indexes = indexes
        .iter()
        .find(|it| it.entry.namespace == orders)
        .unwrap();
    let metadata = indexes.entry.metadata.as_ref().unwrap();
    let mut names = metadata
        .indexes
        .iter()
        .map(|it| it.get_str("name").unwrap());
    let index = names.find(|name| *name != "_id_").unwrap().to_owned();

    let delete = |limit: i32| doc! { "delete": "orders", "deletes": [{ "q": {}, "limit": limit }] };
    let change = doc! { "update": "orders", "updates": [{ "q": {}, "u": { "$set": { "a": 1 } } }] };
    let drop_index = doc! { "dropIndexes": "orders", "index": &index };
    let cases = [
        (delete(1), "1 documents missing, 0 changed"),
        (delete(0), "2000 documents missing, 0 changed"),
        (change, "0 documents missing, 1 changed"),
        (drop_index, "is missing"),
        (
            doc! { "collMod": "orders", "validationLevel": "moderate", "validator": { "a": 1 } },
            "option",
        ),
        (doc! { "drop": "orders" }, "it is missing"),
    ];
    for (fault, expected) in cases {
        let report = with_fault(&repository, &target, &scratch, fault).await;
        assert!(!report.is_good());
        let comparison = report.comparison.unwrap();
        let namespaces = comparison.namespaces.iter();
        let found: Vec<_> = namespaces.flat_map(|it| &it.differences).collect();
        let texts: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert!(
            texts.iter().any(|it| it.contains(expected)),
            "{expected}: {texts:?}"
        );
        assert_eq!(comparison.different, 1, "{texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_goes_to_a_moment_and_knows_what_is_written_until_then() {
    let (from, _, repository) = backed_up(&[dataset::orders(1_000)]).await;
    let shop = from.client().database("shop");
    let running = Running::start(&from, &repository, quick()).await;
    let orders = shop.collection::<Document>("orders");
    let first = orders.find_one(doc! {}).await.unwrap().unwrap();
    let id = first.get("_id").unwrap();
    orders.delete_one(doc! { "_id": id }).await.unwrap();
    orders
        .insert_one(doc! { "_id": "new", "number": -1 })
        .await
        .unwrap();
    orders
        .insert_one(doc! { "_id": "changed", "number": -2 })
        .await
        .unwrap();
    let change = doc! { "$set": { "a": 1 } };
    orders
        .update_one(doc! { "_id": "changed" }, change)
        .await
        .unwrap();
    let made = doc! { "insert": "made", "documents": [{ "_id": 1 }] };
    let reply = shop.run_command(made).await.unwrap();
    let last = reply.get_timestamp("operationTime").unwrap();
    running.await_captured(last.into()).await;
    running.stop().await;

    let scratch = Standalone::start().await;
    let target = target_of(&scratch).await;
    let drill = || Drill::new(&repository, &target).what(Drilled::Moment(RestorePoint::Latest));
    let report = run(&drill()).await;
    assert!(report.is_good() && report.moment.is_some(), "{report:#?}");
    let comparison = report.comparison.unwrap();
    let of = |name: &str| {
        let mut namespaces = comparison.namespaces.iter();
        namespaces
            .find(|it| it.namespace.collection == name)
            .unwrap()
    };
    assert_eq!(
        (of("orders").documents, of("orders").changed_documents),
        (Some(1_000), 1)
    );
    assert_eq!(
        (of("made").documents, of("made").not_compared.len()),
        (None, 1)
    );

    // A document that is in no snapshot is missed too.
    let handle = tokio::runtime::Handle::current();
    let lost = scratch
        .client()
        .database("shop")
        .collection::<Document>("orders");
    let observer = move |event: &Event| {
        if matches!(event, Event::Notice { message, .. } if message.starts_with("comparing")) {
            std::thread::scope(|scope| {
                let gone = async { lost.delete_one(doc! { "_id": "new" }).await.unwrap() };
                scope.spawn(|| handle.block_on(gone)).join().unwrap();
            });
        }
    };
    let report = run(&drill().observer(Arc::new(observer))).await;
    assert!(!report.is_good());
    assert_eq!(report.comparison.unwrap().different, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_for_a_drill_is_reached_by_nobody_else_and_leaves_nothing() {
    let (_from, _, repository) = backed_up(&[dataset::orders(100)]).await;
    let within = tempfile::tempdir().unwrap();
    let server = ScratchServer::start(&binaries::mongod(), within.path())
        .await
        .unwrap();
    let target = Target::connect(&server.connect_options()).await.unwrap();
    let report = run(&Drill::new(&repository, &target)).await;
    assert!(report.is_good(), "{report:#?}");
    let count = || std::fs::read_dir(within.path()).unwrap().count();
    assert_eq!(count(), 1);
    drop((server, target));
    let is_gone = async || (count() == 0).then_some(());
    wait_for("the folder to be gone", PATIENCE, is_gone).await;
    let error = ScratchServer::start(std::path::Path::new("/bin/false"), within.path()).await;
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("the server for the drill ended"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_with_a_damaged_backup_says_what_is_wrong() {
    let (_from, store, _) = backed_up(&[dataset::orders(100)]).await;
    let mut objects = objects(&*store).await;
    let data = objects
        .iter_mut()
        .filter(|(path, _)| path.contains("/data/"));
    let (path, bytes) = data.max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let (path, mut changed) = (path.clone(), bytes.to_vec());
    changed[10] ^= 1;
    *bytes = changed.into();
    let repository = Repository::open_in(store_of(&objects).await).await.unwrap();
    let scratch = Standalone::start().await;
    let target = target_of(&scratch).await;
    let report = run(&Drill::new(&repository, &target)).await;
    assert!(
        !report.is_good() && report.comparison.is_none(),
        "{report:?}"
    );
    assert!(report.failure.unwrap().contains(&path));
    assert_eq!(databases(&scratch).await, [""; 0]);
}
