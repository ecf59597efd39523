//! A workload knows what it wrote.

use rdump_testkit::{ReplicaSet, Workload, WorkloadOptions, workload::Expected};

#[tokio::test]
async fn the_journal_is_the_state_of_the_deployment_after_a_failover() {
    let replica_set = ReplicaSet::builder().members(3).start().await;
    let options = WorkloadOptions {
        namespaces: vec!["one.a".into(), "two.b".into()],
        ..WorkloadOptions::default()
    };
    let workload = Workload::start(&replica_set.client(), options);
    workload.await_more(300).await;
    replica_set.kill_primary().await;
    replica_set.await_primary().await;
    workload.await_more(300).await;
    let journal = workload.stop().await;
    journal
        .assert_holds(&replica_set.client(), str::to_owned)
        .await;
    let state = journal.expected_state();
    let alive = state
        .values()
        .filter(|expected| matches!(expected, Expected::Document(_)));
    assert!(alive.count() > 50);
    println!(
        "{} writes, {} of unknown outcome",
        journal.writes().len(),
        journal.unknown()
    );
}
