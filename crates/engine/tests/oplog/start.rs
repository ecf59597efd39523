//! Where the oplog of a dump starts, and what is waited for there.

use std::sync::Arc;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use rdump::{
    ConnectOptions, Counters, Dump, DumpedNamespace, Location, OpTime, ReadMode, ReadPreference,
    Source,
};
use rdump_testkit::{
    FailPoint, ReplicaSet,
    wait::{PATIENCE, wait_for},
};
use tempfile::TempDir;

use super::{folder_writer, planned, replaying, with_oplog};
use crate::restore::restore;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_open_when_the_dump_began_is_captured_whole() {
    // TOOLS-2304.
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let client = source.client();
    let orders = client.database("shop").collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let insert = orders.insert_one(doc! { "_id": 2 });
    insert.session(&mut session).await.unwrap();
    let prepare = client.database("admin");
    let prepare = prepare.run_command(doc! { "prepareTransaction": 1 });
    let reply = prepare.session(&mut session).await.unwrap();
    let prepared = reply.get_timestamp("prepareTimestamp").unwrap();
    orders.insert_one(doc! { "_id": 3 }).await.unwrap();

    let folder = TempDir::new().unwrap();
    let (dump, plan) = planned(&source, folder_writer(folder.path())).await;
    let commit = doc! { "commitTransaction": 1, "commitTimestamp": prepared };
    let admin = client.database("admin");
    admin
        .run_command(commit)
        .session(&mut session)
        .await
        .unwrap();
    let report = dump
        .run(plan)
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    assert!(report.oplog.unwrap().start <= OpTime::from(prepared));

    let report = restore(&Location::from(folder.path()), &target, replaying()).await;
    assert_eq!(report.oplog.unwrap().unfinished_transactions, 0);
    let orders = target
        .client()
        .database("shop")
        .collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 3);
}

/// Keeps all but the primary where they are.
async fn hold_up_secondaries(of: &ReplicaSet) -> Vec<FailPoint> {
    let primary = of.await_primary().await;
    let hold_up = doc! { "configureFailPoint": "stopReplProducer", "mode": "alwaysOn" };
    let secondaries = (0..of.members().len()).filter(|member| *member != primary);
    let held_up = secondaries.map(|member| FailPoint::enable_on(of, member, hold_up.clone()));
    futures::future::join_all(held_up).await
}

/// Writes a document, and waits until it is as safe as `w` says.
async fn insert(into: &ReplicaSet, id: i32, w: impl Into<Bson>) {
    let concern = doc! { "w": w };
    let insert = doc! { "insert": "c", "documents": [{ "_id": id }], "writeConcern": concern };
    let shop = into.client().database("shop");
    shop.run_command(insert).await.unwrap();
}

/// Whether some member has a read under way that waits for what it does not have yet.
async fn has_a_waiting_read(set: &ReplicaSet) -> bool {
    let waiting = doc! {
        "currentOp": 1, "appName": "rdump", "command.readConcern.afterClusterTime": { "$exists": true },
    };
    for member in 0..set.members().len() {
        let admin = set.direct_client(member).database("admin");
        let reply = admin.run_command(waiting.clone()).await.unwrap();
        if !reply.get_array("inprog").unwrap().is_empty() {
            return true;
        }
    }
    false
}

/// Lets what was held up go on as soon as some member has a read that waits for it.
async fn release_once_waited_for(held_up: Vec<FailPoint>, set: &ReplicaSet) {
    wait_for(
        "the dump to wait for what is held up",
        PATIENCE,
        async || has_a_waiting_read(set).await.then_some(()),
    )
    .await;
    for held_up in held_up {
        held_up.disable().await;
    }
}

fn names(plan: &rdump::DumpPlan) -> Vec<String> {
    plan.namespaces().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_that_is_behind_is_waited_for_where_the_oplog_starts_and_where_it_ends() {
    let source = ReplicaSet::builder().members(3).start().await;
    insert(&source, 1, 3).await;
    let connect = ConnectOptions::default().uri(source.root_uri());
    let connected = Source::connect(&connect).await.unwrap();
    let reads = ReadPreference::new(ReadMode::Secondary);
    let folder = TempDir::new().unwrap();
    let counters = Arc::new(Counters::default());
    let dump = Dump::new(&connected, folder_writer(folder.path()))
        .options(with_oplog().read_preference(reads))
        .counters(Arc::clone(&counters));

    let held_up = hold_up_secondaries(&source).await;
    let shop = source.client().database("shop");
    shop.run_command(doc! { "create": "new", "writeConcern": { "w": 1 } })
        .await
        .unwrap();
    insert(&source, 2, 1).await;
    let (plan, ()) = futures::join!(dump.plan(), release_once_waited_for(held_up, &source));
    let plan = plan.unwrap();
    assert!(names(&plan).contains(&"shop.new".to_owned()), "{plan:?}");

    let held_up = hold_up_secondaries(&source).await;
    insert(&source, 3, 1).await;
    let collections = plan.namespaces().count() as u64;
    let release = async {
        wait_for(
            "the dump to have read all documents",
            PATIENCE,
            async || (counters.namespaces_finished.value() == collections).then_some(()),
        )
        .await;
        for held_up in held_up {
            held_up.disable().await;
        }
    };
    let (report, ()) = futures::join!(dump.run(plan), release);
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    // What was there before the oplog starts is in the documents; what came after that, in the oplog.
    let of_shop = |dumped: &&DumpedNamespace| dumped.namespace.to_string() == "shop.c";
    assert_eq!(report.namespaces.iter().find(of_shop).unwrap().documents, 2);
    let entries = report.oplog.unwrap().entries;
    assert!(entries >= 2, "{entries}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_under_way_when_the_oplog_starts_is_waited_for() {
    // The newest entry may be read while one from before it is not there yet: its writer has reserved its time.
    let source = ReplicaSet::start().await;
    insert(&source, 1, 1).await;
    let shop = source.client().database("shop");
    shop.run_command(doc! { "profile": 2 }).await.unwrap();
    let hold_up = "hangBeforeLoggingCreateCollection";
    let held_up = doc! { "configureFailPoint": hold_up, "mode": "alwaysOn" };
    let held_up = FailPoint::enable(&source, held_up).await;
    let create = async { shop.run_command(doc! { "create": "under_way" }).await };
    let folder = TempDir::new().unwrap();
    let dump = async {
        let reached = doc! { "waitForFailPoint": hold_up, "timesEntered": 1, "maxTimeMS": 60_000 };
        let admin = source.client().database("admin");
        admin.run_command(reached).await.unwrap();
        insert(&source, 2, 1).await;
        planned(&source, folder_writer(folder.path())).await
    };
    let release = release_once_waited_for(vec![held_up], &source);
    let (created, (dump, plan), ()) = futures::join!(create, dump, release);
    created.unwrap();
    let names = names(&plan);
    assert!(names.contains(&"shop.under_way".to_owned()), "{names:?}");
    let report = dump.run(plan).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));

    let start = report.oplog.unwrap().start;
    let profile = shop.collection::<Document>("system.profile");
    for command in ["listIndexes", "find"] {
        let ours = doc! { "appName": "rdump", format!("command.{command}"): { "$exists": true } };
        let reads: Vec<_> = profile
            .find(ours)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        assert!(!reads.is_empty(), "{command}");
        for read in reads {
            let concern = read.get_document("command").unwrap();
            let concern = concern.get_document("readConcern").unwrap();
            let after = concern.get_timestamp("afterClusterTime").unwrap();
            assert_eq!(OpTime::from(after), start, "{read}");
        }
    }
}
