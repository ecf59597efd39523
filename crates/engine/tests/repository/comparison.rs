//! Deployments compared with dumps and with each other.

use std::sync::Arc;

use bson::{Document, doc};
use rdump::{
    Backup, Comparison, ComparisonReport, ConnectOptions, Difference, DumpOptions, Restore,
    RestoreOptions, Selector, Snapshot, SnapshotReader, Source, Target,
};
use rdump_testkit::{ReplicaSet, Standalone, dataset};

use super::{capture::source as source_of, in_memory};
use crate::restore::target as target_of;

/// The snapshot of a deployment that is restored to another one.
struct Restored {
    from: ReplicaSet,
    to: Standalone,
    snapshot: Snapshot,
    source: Source,
    target: Target,
}

impl Restored {
    async fn new(datasets: &[dataset::Dataset]) -> Self {
        let (from, to) = (ReplicaSet::start().await, Standalone::start().await);
        for dataset in datasets {
            dataset.seed(&from.client()).await;
        }
        let source = source_of(&from).await;
        let (_, repository) = in_memory().await;
        let backup = Backup::new(&source, &repository).options(DumpOptions::default());
        let plan = Box::pin(backup.plan()).await.unwrap();
        let report = Box::pin(backup.run(plan)).await.unwrap();
        let snapshot = repository.snapshot(&report.snapshot).await.unwrap();
        let target = target_of(&to).await;
        let restored = Self {
            from,
            to,
            snapshot,
            source,
            target,
        };
        let restore = Restore::new(&restored.target, restored.reader().await)
            .options(RestoreOptions::default().bypass_document_validation(true));
        let plan = Box::pin(restore.plan()).await.unwrap();
        let report = Box::pin(restore.run(plan)).await.unwrap();
        assert_eq!(report.problems, []);
        restored
    }

    async fn reader(&self) -> Arc<SnapshotReader> {
        let select = Selector::default();
        let reader = SnapshotReader::open(&self.snapshot, &select).await;
        Arc::new(reader.unwrap())
    }

    async fn compared_with_the_snapshot(&self) -> ComparisonReport {
        let comparison = Comparison::of_dump(self.reader().await, &self.target);
        Box::pin(comparison.run()).await.unwrap()
    }

    async fn compared_with_the_source(&self) -> ComparisonReport {
        let to = ConnectOptions::default().uri(self.to.uri());
        let to = Source::connect(&to).await.unwrap();
        let comparison = Comparison::of_deployments(&self.source, &to);
        Box::pin(comparison.run()).await.unwrap()
    }

    /// What differs, compared with the snapshot and with where it is from, which must find the same.
    async fn differences(&self) -> Vec<(String, String)> {
        let with_snapshot = self.compared_with_the_snapshot().await;
        let with_source = self.compared_with_the_source().await;
        assert_eq!(differences(&with_snapshot), differences(&with_source));
        assert_eq!(with_snapshot.documents, with_source.documents);
        differences(&with_snapshot)
    }
}

fn differences(report: &ComparisonReport) -> Vec<(String, String)> {
    let namespaces = report.namespaces.iter();
    let found = namespaces.flat_map(|it| {
        let differences = it.differences.iter();
        differences.map(|difference| (it.namespace.to_string(), difference.to_string()))
    });
    found.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_is_what_was_dumped() {
    let restored = Restored::new(&dataset::all()).await;
    let report = restored.compared_with_the_snapshot().await;
    assert_eq!(differences(&report), []);
    assert!(report.is_same() && report.partial == 0, "{report}");
    let namespaces = restored.snapshot.namespaces().await.unwrap();
    let of_users = namespaces
        .iter()
        .filter(|it| it.entry.namespace.db != "admin");
    let documents = of_users.filter_map(|it| Some(it.stored.as_ref()?.documents));
    assert_eq!(report.documents, documents.sum::<u64>());
    assert!(report.namespaces.len() > 30, "{report}");
    assert_eq!(restored.differences().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_each_kind_is_found_and_named() {
    let restored = Restored::new(&[dataset::orders(3_000)]).await;
    let client = restored.from.client();
    let (shop, to) = (client.database("shop"), restored.to.client());
    let is_there = shop.list_collection_names().await.unwrap();
    assert!(is_there.contains(&"orders".to_owned()), "{is_there:?}");
    assert_eq!(restored.differences().await, []);

    let shop = to.database("shop");
    let orders = shop.collection::<Document>("orders");
    let ids: Vec<_> = {
        let mut ids = Vec::new();
        let mut found = orders.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
        while found.advance().await.unwrap() && ids.len() < 3 {
            ids.push(
                found
                    .deserialize_current()
                    .unwrap()
                    .get("_id")
                    .unwrap()
                    .clone(),
            );
        }
        ids
    };
    orders.delete_one(doc! { "_id": &ids[0] }).await.unwrap();
    let change = doc! { "$set": { "changed": true } };
    orders
        .update_one(doc! { "_id": &ids[1] }, change)
        .await
        .unwrap();
    orders.insert_one(doc! { "_id": "more" }).await.unwrap();
    let index = orders.list_index_names().await.unwrap();
    let index = index.into_iter().find(|name| name != "_id_").unwrap();
    orders.drop_index(index.as_str()).await.unwrap();
    let validator = doc! { "collMod": "orders", "validator": { "never": 1 } };
    shop.run_command(validator).await.unwrap();
    shop.create_collection("another").await.unwrap();

    let found = restored.differences().await;
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["shop.another", "shop.orders", "shop.orders", "shop.orders"]
    );
    let texts: Vec<_> = found.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(texts[0], "it should not be there");
    assert!(texts[1].contains("validator"), "{texts:?}");
    assert_eq!(texts[2], format!("index {index:?} is missing"));
    let documents = "1 documents missing, 1 changed, 1 unexpected: ";
    assert!(texts[3].starts_with(documents), "{texts:?}");
    for what in ["missing {", "changed {", "unexpected {\"_id\":\"more\"}"] {
        assert!(texts[3].contains(what), "{texts:?}");
    }

    orders.drop().await.unwrap();
    let found = restored.differences().await;
    let missing = ("shop.orders".to_owned(), "it is missing".to_owned());
    assert!(found.contains(&missing), "{found:?}");
    shop.create_collection("orders").await.unwrap();
    let report = restored.compared_with_the_snapshot().await;
    let orders = report.namespaces.iter();
    let mut orders = orders.filter(|it| it.namespace.collection == "orders");
    let differences = &orders.next().unwrap().differences;
    let is_all = |it: &Difference| matches!(it, Difference::Documents { missing: 3_000, .. });
    assert!(differences.iter().any(is_all), "{differences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_go_away_by_themselves_are_left_out() {
    let restored = Restored::new(&[]).await;
    let now = bson::DateTime::now().timestamp_millis();
    let at = |seconds: i64| bson::DateTime::from_millis(now + seconds * 1000);
    let documents = [
        doc! { "_id": 1, "at": at(-5) },
        doc! { "_id": 2, "at": at(3_600) },
        doc! { "_id": 3, "at": at(86_400) },
        doc! { "_id": 4 },
    ];
    for client in [restored.from.client(), restored.to.client()] {
        let sessions = client.database("shop");
        let index = doc! { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 60 };
        let index = doc! { "createIndexes": "sessions", "indexes": [index] };
        sessions.run_command(index).await.unwrap();
        let sessions = sessions.collection::<Document>("sessions");
        sessions.insert_many(&documents).await.unwrap();
    }
    let sessions = restored.to.client().database("shop");
    let sessions = sessions.collection::<Document>("sessions");
    sessions
        .delete_many(doc! { "_id": { "$lt": 3 } })
        .await
        .unwrap();
    let report = restored.compared_with_the_source().await;
    assert_eq!(differences(&report), []);
    let [compared] = report.namespaces.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(
        (compared.documents, compared.expiring_documents),
        (Some(2), 2)
    );
    sessions.delete_one(doc! { "_id": 3 }).await.unwrap();
    let report = restored.compared_with_the_source().await;
    assert_eq!(differences(&report).len(), 1);
}
