//! Time-series through one cell, written to while they are dumped.

use bson::{DateTime, Document, RawDocumentBuf, doc};
use rdump_testkit::{ReplicaSet, dataset, fingerprint::assert_same};

use super::{cell::Cell, fingerprint, limits, pass::moment, slow::Slow};

pub(super) async fn come_back_with_what_is_measured_meanwhile(cell: Cell) {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::time_series().seed(&source.client()).await;
    limits::leave_out(cell, &source).await;
    let slow = Slow::before(&source).await;
    let pass = cell.pass(slow.uri(), target.uri()).await;
    let pass = pass.dump("--oplog").restore("--oplogReplay").run();
    let measuring = async {
        measure(&source, &NAMES).await;
        let oplog = source.client().database("local").collection("oplog.rs");
        let newest = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 });
        moment(&newest.await.unwrap().unwrap())
    };
    let (dumped, measured_until) = slow.write_during(pass, measuring).await;
    let oplog = dumped.oplog();
    let end = oplog.last().map(moment);
    assert!(end >= Some(measured_until), "{cell} ended too early");
    let is_of_buckets = |entry: &&RawDocumentBuf| {
        let namespace = entry.get_str("ns").unwrap_or_default();
        namespace.starts_with("series.system.buckets.")
    };
    let measured = oplog.iter().filter(is_of_buckets).count();
    assert!(measured >= 20, "{cell}: {oplog:?}");
    assert_same(&fingerprint(&source).await, &fingerprint(&target).await);
}

/// Collections of the data set that are measured into.
pub(super) const NAMES: [&str; 3] = ["readings", "expiring", "without meta"];

/// Fills buckets that are there, begins new ones, and a new collection.
pub(super) async fn measure(source: &ReplicaSet, names: &[&str]) {
    let series = source.client().database("series");
    let create =
        doc! { "create": "new", "timeseries": { "timeField": "at", "metaField": "sensor" } };
    series.run_command(create).await.unwrap();
    for name in names.iter().chain(&["new"]) {
        let collection = series.collection::<Document>(name);
        for number in 0..20 {
            let at = DateTime::from_millis(1_704_067_200_000 + number * 10_000);
            let measurement =
                doc! { "at": at, "sensor": number % 3, "value": number, "late": true };
            collection.insert_one(measurement).await.unwrap();
        }
    }
}
