//! A workload knows what it wrote, and what was there at each moment.

use std::collections::{BTreeMap, BTreeSet};

use bson::Timestamp;
use rdump_testkit::{
    ReplicaSet, Workload, WorkloadOptions,
    workload::{Change, Journal, Kind, Namespace, Outcome},
};

/// Lets a workload write, and gives its journal.
async fn written(replica_set: &ReplicaSet, options: WorkloadOptions, writes: u64) -> Journal {
    let workload = Workload::start(&replica_set.client(), options);
    workload.await_more(writes).await;
    workload.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_of_everything_is_the_state_of_the_deployment() {
    let mut made = BTreeSet::new();
    for seed in 1..=3 {
        let replica_set = ReplicaSet::start().await;
        let journal = written(&replica_set, WorkloadOptions::everything(seed), 2_500).await;
        assert_eq!(journal.unknown(), 0, "seed {seed}");
        let client = replica_set.client();
        journal.assert_in_oplog(&client).await;
        journal.assert_holds(&client, str::to_owned).await;
        made.extend(journal.writes().iter().map(|write| name_of(&write.change)));
        made.extend(journal.expected_state().namespaces().values().map(kind_of));
    }
    let all = [
        "a capped collection",
        "a collection",
        "a document",
        "a drop",
        "a new namespace",
        "a rename",
        "a time-series",
        "a view",
        "an index",
        "an option",
        "an output",
        "nothing",
    ];
    assert_eq!(Vec::from_iter(made), all);
}

fn name_of(change: &Change) -> &'static str {
    match change {
        Change::Document { .. } => "a document",
        Change::Create(_) => "a new namespace",
        Change::Drop => "a drop",
        Change::Rename { .. } => "a rename",
        Change::Options(_) => "an option",
        Change::Index { .. } => "an index",
        Change::Output { .. } => "an output",
        _ => "something else",
    }
}

fn kind_of(namespace: &Namespace) -> &'static str {
    match namespace {
        Namespace::Absent => "nothing",
        Namespace::Uncertain => "something uncertain",
        Namespace::Present(collection) => match collection.kind() {
            Kind::Plain => "a collection",
            Kind::Capped => "a capped collection",
            Kind::TimeSeries => "a time-series",
            Kind::View => "a view",
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_at_any_moment_is_what_the_server_had_then() {
    let replica_set = ReplicaSet::builder()
        .argument("--setParameter")
        .argument("minSnapshotHistoryWindowInSeconds=600")
        .oplog_mebibytes(512)
        .start()
        .await;
    let options = WorkloadOptions {
        large_transactions: true,
        ..WorkloadOptions::everything(7)
    };
    let journal = written(&replica_set, options, 4_000).await;
    let client = replica_set.client();
    journal.assert_in_oplog(&client).await;
    let defined = last_definitions(&journal);
    let times = times(&journal);
    let mut compared = BTreeMap::new();
    // Every moment from the first to the last that a prime step leads to; each transaction has a chance.
    for time in times.iter().step_by(times.len() / 23) {
        let is_defined = |name: &str| defined.get(name).is_none_or(|defined| defined <= time);
        let is_capped = |name: &str| name.contains(".capped");
        let state = journal.state_at(*time);
        let state = state.selected(|name| is_defined(name) && !is_capped(name));
        state.assert_read_at(&client, *time).await;
        for (name, namespace) in state.namespaces() {
            if let Namespace::Present(collection) = namespace {
                *compared.entry(name.to_string()).or_insert(0) += collection.documents.len();
            }
        }
    }
    for name in ["work0.load0", "work1.load1", ".series", ".unique"] {
        let mut all = compared.iter();
        let documents = all.find(|(found, _)| found.contains(name));
        assert!(
            documents.is_some_and(|(_, documents)| *documents > 100),
            "{name}: {compared:?}"
        );
    }
    let before = journal.oldest().unwrap();
    let before = Timestamp {
        time: before.time - 1,
        ..before
    };
    let absent = journal.state_at(before);
    let mut namespaces = absent.namespaces().values();
    assert!(namespaces.all(|namespace| *namespace == Namespace::Absent));
}

/// When each namespace was created, renamed, or got an index for the last time: a read as of before fails.
fn last_definitions(journal: &Journal) -> BTreeMap<String, Timestamp> {
    let mut last = BTreeMap::new();
    for write in journal.writes() {
        let Outcome::Acknowledged(Some(time)) = write.outcome else {
            continue;
        };
        if !matches!(write.change, Change::Document { .. }) {
            last.insert(write.namespace.to_string(), time);
        }
        if let Change::Rename { to } = &write.change {
            last.insert(to.to_string(), time);
        }
    }
    last
}

fn times(journal: &Journal) -> Vec<Timestamp> {
    let outcomes = journal.writes().iter().map(|write| write.outcome);
    let mut times: Vec<_> = outcomes
        .filter_map(|outcome| match outcome {
            Outcome::Acknowledged(time) => time,
            _ => None,
        })
        .collect();
    times.dedup();
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_unknown_after_the_oplog_was_asked() {
    let replica_set = ReplicaSet::builder().members(3).start().await;
    let workload = Workload::start(&replica_set.client(), WorkloadOptions::default());
    workload.await_more(500).await;
    replica_set.step_down().await;
    workload.await_more(300).await;
    replica_set.kill_primary().await;
    replica_set.await_primary().await;
    workload.await_more(300).await;
    let mut journal = workload.stop().await;
    let client = replica_set.client();
    println!(
        "{} writes, {} of unknown outcome",
        journal.writes().len(),
        journal.unknown()
    );
    assert!(journal.unknown() > 0);
    journal.assert_holds(&client, str::to_owned).await;
    journal.resolve(&client).await;
    assert_eq!(journal.unknown(), 0);
    journal.assert_in_oplog(&client).await;
    let state = journal.expected_state();
    state.assert_holds(&client, str::to_owned).await;
    let mut namespaces = state.namespaces().values();
    assert!(namespaces.all(|namespace| *namespace != Namespace::Uncertain));
}
