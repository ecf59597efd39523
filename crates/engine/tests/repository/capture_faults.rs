//! What happens to a source, a store and a network while they are captured.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc};
use rdump::{
    Backup, CancellationToken, Capture, CaptureOptions, CaptureReport, ConnectOptions, Consistency,
    Damage, DumpOptions, ErrorKind, Event, OpTime, Pattern, Recipients, Repository, RestoreOptions,
    RestorePoint, Selector, Source, Store,
    storage::{MemoryStore, PutIf},
};
use rdump_format::repository::{
    GapReason, GapRecord, LeaseRecord, OplogSlice, Previous, SpanKind, SpanName,
};
use rdump_testkit::{
    Deployment, Proxy, ReplicaSet,
    wait::{PATIENCE, wait_for},
};

use super::{
    capture::{
        Running, auto, await_free, backup, empty, insert, insert_more, names, quick, restore,
        restore_latest, source, try_restore,
    },
    encrypted::somebody,
    in_memory, objects, store_of,
    watched::Watched,
};

mod contents;
mod histories;
mod outages;
mod two_at_once;

/// Captures all that is written by now.
async fn once(from: &Deployment, repository: &Repository) -> CaptureReport {
    let capture = Capture::new(&source(from).await, repository);
    let capture = capture.options(quick().until_caught_up(true));
    capture
        .run()
        .await
        .unwrap_or_else(|error| panic!("{error:?}"))
}

/// A repository in memory that does what it is told.
async fn watched() -> (Arc<Watched>, Repository) {
    let store = Watched::new(Arc::new(MemoryStore::new("backups")));
    let repository = Repository::init_in(Arc::clone(&store) as Arc<dyn Store>).await;
    (store, repository.unwrap())
}

/// What is wrong with what was captured.
async fn damage(repository: &Repository) -> Vec<Damage> {
    let verified = repository
        .verify_timeline(Arc::new(()), CancellationToken::new())
        .await;
    verified.unwrap().damage
}

/// The ids in `shop.log`, in order.
async fn ids(of: &Deployment) -> Vec<i32> {
    let log = of.client().database("shop").collection::<Document>("log");
    let ids = log.distinct("_id", doc! {}).await.unwrap();
    let mut ids: Vec<_> = ids.iter().filter_map(bson::Bson::as_i32).collect();
    ids.sort_unstable();
    ids
}

/// What `shop.log` was at a moment.
async fn ids_at(repository: &Repository, to: &Deployment, point: RestorePoint) -> Vec<i32> {
    restore(repository, to, point, RestoreOptions::default()).await;
    let ids = ids(to).await;
    empty(to).await;
    ids
}

/// Sets of one member write entries by themselves only if they are told to.
async fn quiet() -> ReplicaSet {
    let set = ReplicaSet::builder().argument("--setParameter=writePeriodicNoops=false");
    set.start().await
}

/// Inserts a document that a majority has; gives when.
async fn insert_for_all(to: &Deployment, id: i32) -> OpTime {
    let shop = to.client().database("shop");
    let insert = doc! {
        "insert": "log", "documents": [{ "_id": id }], "writeConcern": { "w": "majority" },
    };
    let reply = shop.run_command(insert).await.unwrap();
    OpTime::from(reply.get_timestamp("operationTime").unwrap())
}
