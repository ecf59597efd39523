//! Errors and broken connections that pass by.

use std::{collections::HashMap, sync::Mutex};

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use rdump_storage::{Listing, PutIf, Store};
use rdump_testkit::s3::gateway::Fault;

use super::{Faulty, LARGE_BYTES, bytes, uploaded, whole};

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_resets_at_every_operation_cost_time_and_no_byte() {
    let server = Faulty::seaweedfs().await;
    let faults = [
        ("500", 1, Fault::error(500, "InternalError")),
        ("503", 2, Fault::error(503, "ServiceUnavailable")),
        ("slow", 1, Fault::slow_down()),
        ("reset", 1, Fault::ResetBefore),
    ];
    let survived = faults.map(async |(name, burst, fault)| {
        let faulty = server.beside(name).await;
        faulty
            .gateway
            .rule(move |asked| (asked.before < burst).then(|| fault.clone()));
        everything_works(&faulty).await;
        assert_eq!(faulty.left().await, (vec![], vec![]), "{name}");
        // Of each of eleven operations, be it a listing of uploads or an abort.
        assert_eq!(faulty.gateway.faults(), 11 * burst, "{name}");
    });
    join_all(survived).await;
}

/// Asks for every operation, and leaves nothing there.
async fn everything_works(faulty: &Faulty) {
    let store = &faulty.store;
    let (small, large) = (bytes(1, 1_000), bytes(2, LARGE_BYTES));
    let given_up = async {
        let mut upload = store.upload("given up").await.unwrap();
        upload.write(large.clone()).await.unwrap();
        drop(upload);
        store.settle().await;
    };
    let (put, sent, ()) = tokio::join!(
        store.put("put", small.clone(), PutIf::Absent),
        uploaded(store, "uploaded", &large),
        given_up,
    );
    let (put, sent) = (put.unwrap(), sent.unwrap());
    let copied = store.copy("uploaded", "copied").await.unwrap();
    let reads = [(&put, &small), (&sent, &large), (&copied, &large)];
    let reads = reads.map(async |(info, wanted)| {
        assert_eq!(store.head(&info.path).await.unwrap().as_ref(), Some(info));
        assert!(
            whole(store, info).await.unwrap() == *wanted,
            "{}",
            info.path
        );
    });
    let (listing, _) = tokio::join!(Listing::of(store, ""), join_all(reads));
    let listed = listing.unwrap().objects;
    let paths: Vec<_> = listed.iter().map(|object| object.path.as_str()).collect();
    assert_eq!(paths, ["copied", "put", "uploaded"]);
    let (deleted, left) = tokio::join!(store.delete(&paths), store.remove_leftovers(&[]));
    deleted.unwrap();
    assert_eq!(left.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_sat_out_by_all_that_is_under_way() {
    let faulty = Faulty::small().await;
    let tried = Mutex::new(HashMap::<String, usize>::new());
    faulty.gateway.rule(move |asked| {
        let mut tried = tried.lock().unwrap();
        let tried = tried.entry(asked.key.clone()).or_default();
        *tried += 1;
        (*tried <= 3).then(|| Fault::error(503, "ServiceUnavailable"))
    });
    let puts = (0..60).map(async |number| {
        let path = format!("object {number}");
        let bytes = Bytes::from(path.clone());
        faulty.store.put(&path, bytes, PutIf::Always).await
    });
    try_join_all(puts).await.unwrap();
    assert_eq!(faulty.left_objects().await, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_wants_it_slower_gets_it_slower() {
    let faulty = Faulty::small().await;
    faulty.gateway.throttle(20);
    let puts = (0..60).map(async |number| {
        let path = format!("object {number}");
        let bytes = Bytes::from(path.clone());
        faulty.store.put(&path, bytes, PutIf::Always).await
    });
    try_join_all(puts).await.unwrap();
    assert!(faulty.gateway.faults() > 0);
    assert_eq!(faulty.left_objects().await, 60);
}
