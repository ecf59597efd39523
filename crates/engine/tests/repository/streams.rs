//! Capturing change streams.

use std::time::Duration;

use rdump::{CaptureOptions, CaptureSource, OpTime, RestoreOptions, RestorePoint};
use rdump_testkit::{ReplicaSet, Workload, WorkloadOptions, dataset, workload::Outcome};

use super::{
    capture::{Running, auto, backup, empty, restore},
    in_memory,
};

fn streams() -> CaptureOptions {
    CaptureOptions::default()
        .slice_age(Duration::from_millis(200))
        .source(CaptureSource::ChangeStream)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_that_a_stream_told_of_can_be_restored() {
    let (from, to) = (ReplicaSet::start().await, ReplicaSet::start().await);
    dataset::orders(100).seed(&from.client()).await;
    let (_, repository) = in_memory().await;
    let options = WorkloadOptions {
        time_series: 0,
        ..WorkloadOptions::everything(7)
    };
    let load = Workload::start(&from.client(), options);
    load.await_more(200).await;
    let running = Running::start(&from, &repository, streams()).await;
    running.await_slices(1).await;
    let base = backup(&from, &repository, auto()).await;
    load.await_more(400).await;
    running.kill().await;
    load.await_more(100).await;
    let running = Running::start(&from, &repository, streams()).await;
    load.await_more(400).await;
    running.await_slices(2).await;
    let journal = load.stop().await;
    let report = running.stop().await;
    assert_eq!((report.gaps, report.interruptions), (0, 0));
    let stretches = repository.timeline().await.unwrap().stretches();
    let [stretch] = stretches.as_slice() else {
        panic!("{stretches:?}");
    };
    assert!(stretch.start <= base);
    let times = journal
        .writes()
        .iter()
        .filter_map(|write| match write.outcome {
            Outcome::Acknowledged(Some(at)) if OpTime::from(at) > base => Some(at),
            _ => None,
        });
    let mut times: Vec<_> = times
        .filter(|at| OpTime::from(*at) <= stretch.end)
        .collect();
    times.sort();
    for number in 1..=6 {
        let at = times[times.len() * number / 7];
        let point = RestorePoint::At(at.into());
        restore(&repository, &to, point, RestoreOptions::default()).await;
        let state = journal.state_at(at);
        state.assert_holds(&to.client(), str::to_owned).await;
        empty(&to).await;
    }
}
