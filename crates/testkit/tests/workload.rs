//! A workload knows what it wrote, and what was there at each moment.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Timestamp, doc};
use rdump_testkit::{
    ReplicaSet, Standalone, Workload, WorkloadOptions,
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
    let is_large = |time: &&Timestamp| {
        let time = Outcome::Acknowledged(Some(**time));
        let of_then = journal
            .writes()
            .iter()
            .filter(|write| write.outcome == time);
        of_then.count() == 20
    };
    let large = times.iter().find(is_large);
    let large = large.expect("a transaction of more than 16 MiB");
    let mut compared: BTreeMap<_, usize> = BTreeMap::new();
    let before_large = times.iter().take_while(|time| *time < large).last();
    let some = times.iter().step_by(times.len() / 23);
    for time in some.chain(before_large).chain([large]) {
        let is_defined = |name: &str| defined.get(name).is_none_or(|defined| defined <= time);
        let state = journal.state_at(*time).selected(is_defined);
        for name in state.assert_read_at(&client, *time).await {
            let documents = state.collection(name).unwrap().documents.len();
            let (_, collection) = name.split_once('.').unwrap();
            let sort = collection.split(|c: char| c.is_ascii_digit()).next();
            *compared.entry(sort.unwrap().to_owned()).or_default() += documents;
        }
    }
    for (name, least) in [("load", 100), ("series", 100), ("unique", 100), ("made", 1)] {
        let documents = compared.get(name);
        assert!(
            documents.is_some_and(|documents| *documents >= least),
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
    let workload = Workload::start(&replica_set.client(), WorkloadOptions::everything(11));
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_should_be_is_named() {
    let replica_set = ReplicaSet::start().await;
    let options = WorkloadOptions {
        namespaces: vec!["one.a".into(), "two.b".into()],
        ..WorkloadOptions::default()
    };
    let journal = written(&replica_set, options, 300).await;
    let (client, state) = (replica_set.client(), journal.expected_state());
    let one = client.database("one");
    for change in [
        doc! { "insert": "a", "documents": [{ "_id": -1_i64 }] },
        doc! { "createIndexes": "a", "indexes": [{ "key": { "x": 1 }, "name": "x_1" }] },
        doc! { "collMod": "a", "validator": { "x": { "$exists": false } } },
        doc! { "create": "c" },
    ] {
        one.run_command(change).await.unwrap();
    }
    let b = state.collection("two.b").unwrap();
    let id = *b.documents.keys().next().unwrap();
    let two = client.database("two").collection::<bson::Document>("b");
    two.delete_one(doc! { "_id": id }).await.unwrap();

    let found = state.discrepancies(&client, str::to_owned).await;
    let starts = [
        "one.a has the options",
        "one.a has the indexes",
        "one.a _id -1: is there",
        &format!("two.b _id {id}: found None, expected"),
        "one.c was never made",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }

    // Elsewhere there is nothing of it; and one can look at a part alone.
    let elsewhere = |name: &str| format!("other_{name}");
    let found = state.discrepancies(&client, elsewhere).await;
    assert_eq!(
        found,
        ["other_one.a is not there", "other_two.b is not there"]
    );
    two.drop().await.unwrap();
    let part = state.selected(|name| name == "two.b");
    let found = part.discrepancies(&client, str::to_owned).await;
    assert_eq!(found, ["two.b is not there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_oplog_there_is_the_state_at_the_end() {
    let standalone = Standalone::start().await;
    let workload = Workload::start(&standalone.client(), WorkloadOptions::default());
    workload.await_more(300).await;
    let journal = workload.stop().await;
    assert_eq!((journal.oldest(), journal.unknown()), (None, 0));
    journal
        .assert_holds(&standalone.client(), str::to_owned)
        .await;
}
