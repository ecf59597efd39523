//! Snapshots that are taken while everything changes, against a model of what there was at each moment.

use std::{env, sync::Arc};

use bson::Timestamp;
use rdump::{
    Backup, Comparison, ConnectOptions, Consistency, DumpOptions, ErrorKind, OpTime,
    RestoreOptions, Selector, SnapshotReader, Source,
};
use rdump_testkit::{ReplicaSet, Workload, WorkloadOptions, dataset};

use super::{in_memory, round_trip::restore};
use crate::restore::target as target_of;

/// How many seeds each mode is tried with: by RDUMP_SEEDS, else one.
fn seeds() -> u64 {
    env::var("RDUMP_SEEDS").map_or(1, |seeds| seeds.parse().unwrap())
}

struct Mode {
    name: &'static str,
    consistency: Consistency,
    /// What the server forgets after so many seconds.
    window_seconds: u32,
    load: fn(u64) -> WorkloadOptions,
    /// What the snapshot may say of itself.
    reached: &'static [&'static str],
}

/// Servers before 8.0 do not read capped collections at one moment, and before 7.0 not what was dropped since.
fn without_capped_and_definitions(seed: u64) -> WorkloadOptions {
    WorkloadOptions {
        capped: 0,
        definitions: 0,
        ..WorkloadOptions::everything(seed)
    }
}

/// An oplog with a rename cannot be replayed over what was read meanwhile.
fn without_renames(seed: u64) -> WorkloadOptions {
    WorkloadOptions {
        renames: false,
        ..WorkloadOptions::everything(seed)
    }
}

const MODES: [Mode; 4] = [
    Mode {
        name: "snapshot",
        consistency: Consistency::Snapshot,
        window_seconds: 300,
        load: without_capped_and_definitions,
        reached: &["snapshot"],
    },
    Mode {
        name: "oplog",
        consistency: Consistency::Oplog,
        window_seconds: 300,
        load: without_renames,
        reached: &["oplog"],
    },
    Mode {
        name: "auto with capped collections",
        consistency: Consistency::Auto,
        window_seconds: 300,
        load: without_renames,
        reached: &["oplog"],
    },
    Mode {
        name: "auto that loses its moment",
        consistency: Consistency::Auto,
        window_seconds: 1,
        load: |seed| WorkloadOptions {
            capped: 0,
            ..without_renames(seed)
        },
        // When a server forgets is for it to say.
        reached: &["oplog", "snapshot"],
    },
];

#[expect(
    clippy::print_stdout,
    reason = "how far a long proof is, and what failed"
)]
async fn check(mode: &Mode, seed: u64) {
    println!("{}, seed {seed}", mode.name);
    let window = format!(
        "--setParameter=minSnapshotHistoryWindowInSeconds={}",
        mode.window_seconds
    );
    let from = ReplicaSet::builder().argument(window).start().await;
    let to = ReplicaSet::start().await;
    dataset::orders(20_000).seed(&from.client()).await;
    let load = Workload::start(&from.client(), (mode.load)(seed));
    load.await_more(400).await;
    let source = ConnectOptions::default().uri(from.root_uri());
    let source = Source::connect(&source).await.unwrap();
    let (_, repository) = in_memory().await;
    let options = DumpOptions::default()
        .consistency(mode.consistency)
        .limit_bytes_per_second(2 << 20);
    let mut failures = 0;
    let report = loop {
        let backup = Backup::new(&source, &repository).options(options.clone());
        let done = async { backup.run(Box::pin(backup.plan()).await?).await };
        match Box::pin(done).await {
            Ok(report) => break report,
            // Something was renamed or dropped at the wrong moment: that is said, and done again.
            Err(error) => {
                failures += 1;
                assert!(
                    error.kind() == ErrorKind::Conflict && failures < 20,
                    "{error:?}"
                );
            }
        }
    };
    load.await_more(50).await;
    let journal = load.stop().await;
    assert_eq!(report.report.problems, []);
    let snapshot = repository.snapshot(&report.snapshot).await.unwrap();
    let run = &snapshot.manifest().run;
    assert!(mode.reached.contains(&run.consistency.as_str()), "{run:?}");
    let at: OpTime = run.consistent_at.as_ref().unwrap().parse().unwrap();
    restore(&snapshot, &to, RestoreOptions::default()).await;
    let state = journal.state_at(Timestamp::from(at));
    println!(
        "{} documents in {} namespaces at {at}, after {failures} failures",
        state.documents(),
        state.namespaces().len()
    );
    state.assert_holds(&to.client(), str::to_owned).await;
    let select = Selector::default();
    let reader = SnapshotReader::open(&snapshot, &select).await;
    let reader = Arc::new(reader.unwrap());
    let target = target_of(&to).await;
    let comparison = Comparison::of_dump(reader, &target);
    let compared = Box::pin(comparison.run()).await.unwrap();
    assert!(compared.is_same(), "{compared:#?}");
    println!("{compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_is_what_the_model_had_at_that_moment() {
    for seed in 1..=seeds() {
        for mode in &MODES {
            Box::pin(check(mode, seed)).await;
        }
    }
}
