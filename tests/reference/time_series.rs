//! Time-series through one cell, written to while they are dumped.

use std::{pin::pin, time::Duration};

use bson::{DateTime, Document, doc};
use rdump_testkit::{
    Proxy, ReplicaSet, dataset, fingerprint::assert_same, wait::PATIENCE, wait_for,
};

use super::{cell::Cell, fingerprint, limits};

/// How long each answer of the server takes, so that the dump goes on for seconds.
const DELAY: Duration = Duration::from_millis(100);
/// More than the server says before the dump knows where its oplog begins.
const BYTES_OF_START: u64 = 64 << 10;

pub(super) async fn come_back_with_what_is_measured_meanwhile(cell: Cell) {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::time_series().seed(&source.client()).await;
    limits::leave_out(cell, &source).await;
    let proxy = Proxy::start(source.members()[0].address()).await;
    proxy.delay(DELAY);
    let pass = cell
        .pass(source.direct_uri_at(&proxy.addr()), target.uri())
        .await;
    let mut pass = pin!(pass.dump("--oplog").restore("--oplogReplay").run());
    let measuring = async {
        let has_begun = async || (proxy.bytes_to_clients() > BYTES_OF_START).then_some(());
        wait_for("the dump to begin", PATIENCE, has_begun).await;
        measure(&source).await;
    };
    tokio::select! {
        _ = &mut pass => panic!("{cell}: it was dumped before anything was measured"),
        () = measuring => proxy.pass(),
    }
    let oplog = pass.await.oplog();
    let buckets = |entry: &&bson::RawDocumentBuf| {
        let namespace = entry.get_str("ns").unwrap_or_default();
        namespace.starts_with("series.system.buckets.")
    };
    assert!(
        oplog.iter().filter(buckets).count() >= 20,
        "{cell}: {oplog:?}"
    );
    assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
}

/// Fills buckets that are there, begins new ones, and a new collection.
async fn measure(source: &ReplicaSet) {
    let series = source.client().database("series");
    let create =
        doc! { "create": "new", "timeseries": { "timeField": "at", "metaField": "sensor" } };
    series.run_command(create).await.unwrap();
    for name in ["readings", "expiring", "without meta", "new"] {
        let collection = series.collection::<Document>(name);
        for number in 0..20 {
            let at = DateTime::from_millis(1_704_067_200_000 + number * 10_000);
            let measurement =
                doc! { "at": at, "sensor": number % 3, "value": number, "late": true };
            collection.insert_one(measurement).await.unwrap();
        }
    }
}
