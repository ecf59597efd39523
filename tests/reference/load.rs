//! What is written to all the time, through one cell, with the oplog.

use rdump_testkit::{
    Proxy, ReplicaSet, Workload, WorkloadOptions, dataset, fingerprint::assert_same, workload,
};

use super::{cell::Cell, fingerprint_of, pass::moment};

/// Slow enough for many writes meanwhile.
const BYTES_PER_SECOND: u64 = 2 << 20;

/// As it was when the last entry of the dump's oplog was written.
pub(super) async fn comes_back_as_it_was_at_one_moment(cell: Cell) {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(5_000).seed(&source.client()).await;
    let proxy = Proxy::start(source.members()[0].address()).await;
    proxy.throttle(BYTES_PER_SECOND);
    let names = (0..6).map(|number| format!("work{}.load{number}", number % 2));
    let options = WorkloadOptions {
        namespaces: names.collect(),
        ..WorkloadOptions::default()
    };
    let load = Workload::start(&source.client(), options);
    load.await_more(300).await;
    let pass = cell
        .pass(source.direct_uri_at(&proxy.addr()), target.uri())
        .await;
    let dumped = pass.dump("--oplog").restore("--oplogReplay").run().await;
    load.await_more(50).await;
    let journal = load.stop().await;

    let oplog = dumped.oplog();
    let writes = oplog.iter().filter(|entry| {
        let namespace = entry.get_str("ns").unwrap_or_default();
        namespace.starts_with("work")
    });
    let writes = writes.count();
    assert!(writes > 50, "only {writes} writes while {cell} was dumped");
    let end = oplog.last().map(moment).unwrap();
    workload::assert_holds(&journal.state_at(end), &target.client(), str::to_owned).await;
    let dbs = [dataset::orders(0).databases()[0].clone()];
    assert_same(
        &fingerprint_of(&source, &dbs).await,
        &fingerprint_of(&target, &dbs).await,
    );
}
