//! Any moment of a busy time, although the capture was killed again and again and primaries stepped down.

use std::{
    env,
    time::{Duration, Instant},
};

use bson::Timestamp;
use rdump_testkit::{
    ReplicaSet, Workload, WorkloadOptions,
    workload::{Journal, Outcome},
};
use tokio::time::{sleep_until, timeout};

use crate::{
    program::{rrestore, run},
    repository::{json, on},
};

/// Snapshots that lie closer make restores shorter, of which there are many.
const BETWEEN_BACKUPS: Duration = Duration::from_secs(60);

/// How long and how much: by the environment, else little.
fn from_environment(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

async fn capture_and_be_killed(
    (uri, source): (&str, &str),
    repository: &str,
    until: Instant,
    at_least: u64,
) -> u64 {
    let (mut chance, mut kills) = (Chance(1), 0);
    while Instant::now() < until || kills < at_least {
        let lives = Duration::from_millis(200 + chance.below(6_000));
        let capture = ["capture", uri, "--source", source, "--slice-age=1s"];
        let capture = run(on(repository), capture);
        match timeout(lives, capture).await {
            // Dropping the future has sent SIGKILL.
            Err(_) => kills += 1,
            // The one before it takes a while to die.
            Ok(ran) if ran.stderr.contains("is held by a process") => {}
            Ok(ran) => panic!("it ended by itself: {ran:?}"),
        }
    }
    kills
}

/// Backs up once, and again each minute until then; gives the moment of the first snapshot.
#[expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]
async fn backup_now_and_then(repository: &str, uri: &str, until: Instant) -> Timestamp {
    backup(repository, uri).await;
    let status = json(&run(on(repository), ["status", "--json"]).await);
    let base = status["newest-snapshot"]["consistent-at"].as_str();
    let (seconds, ordinal) = base.unwrap().split_once(':').unwrap();
    let base = Timestamp {
        time: seconds.parse().unwrap(),
        increment: ordinal.parse().unwrap(),
    };
    let mut next = Instant::now() + BETWEEN_BACKUPS;
    while next < until {
        sleep_until(next.into()).await;
        backup(repository, uri).await;
        next = Instant::now() + BETWEEN_BACKUPS;
    }
    base
}

async fn backup(repository: &str, uri: &str) {
    // Something may be renamed or dropped at the wrong moment: that is said, and it is done again.
    for _ in 0..50 {
        let ran = run(on(repository), ["backup", uri]).await;
        if ran.code == Some(0) {
            return;
        }
        assert!(ran.stderr.contains("Failed: "), "{}", ran.stderr);
    }
    panic!("no backup succeeds");
}

async fn step_down_now_and_then(set: &ReplicaSet, times: u64, until: Instant) {
    let start = Instant::now();
    for number in 1..=times {
        let share = number as f64 / (times + 1) as f64;
        sleep_until((start + (until - start).mul_f64(share)).into()).await;
        set.step_down().await;
    }
}

fn times(journal: &Journal) -> Vec<Timestamp> {
    let times = journal
        .writes()
        .iter()
        .filter_map(|write| match write.outcome {
            Outcome::Acknowledged(at) => at,
            _ => None,
        });
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}

/// `RDUMP_SECONDS` says how long, `RDUMP_MOMENTS` how many, `RDUMP_STEPDOWNS` how often a primary steps down, `RDUMP_KILLS` how often
/// the capture is killed at least, however long that takes, and `RDUMP_WRITERS` how many write documents at once.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_moments_is_restored_as_it_was() {
    check("oplog").await;
}

/// The same, of what a change stream tells.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_moments_that_a_stream_told_of_is_restored_as_it_was() {
    check("change-stream").await;
}

#[expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic in a test is a failed test, and a long proof says how far it is"
)]
async fn check(source: &str) {
    let seconds = from_environment("RDUMP_SECONDS", 12);
    let moments = from_environment("RDUMP_MOMENTS", 2);
    let stepdowns = from_environment("RDUMP_STEPDOWNS", 1);
    let kills = from_environment("RDUMP_KILLS", 1);
    let writers = u32::try_from(from_environment("RDUMP_WRITERS", 4)).unwrap();
    let megabytes = u32::try_from(256 + seconds.max(kills * 4) * 8).unwrap();
    let set = ReplicaSet::builder().members(3).oplog_mebibytes(megabytes);
    let (set, target) = tokio::join!(set.start(), ReplicaSet::start());
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    let uri = set.uri();
    let once = ["capture", &uri, "--source", source, "--until-caught-up"];
    run(on(repository), once).await.expect(0);

    let options = WorkloadOptions {
        writers,
        large_documents: false,
        pause: Duration::ZERO,
        transactions: writers.div_ceil(4),
        bulk: 50,
        time_series: u32::from(source == "oplog"),
        ..WorkloadOptions::everything(1)
    };
    let load = Workload::start(&set.client(), options);
    let start = Instant::now();
    load.await_more(100).await;
    let until = Instant::now() + Duration::from_secs(seconds);
    let (base, kills, ()) = tokio::join!(
        backup_now_and_then(repository, &uri, until),
        capture_and_be_killed((&uri, source), repository, until, kills),
        step_down_now_and_then(&set, stepdowns, until),
    );
    let acknowledged = load.acknowledged();
    let lasted = start.elapsed().as_secs();
    let mut journal = load.stop().await;
    journal.resolve(&set.client()).await;
    run(on(repository), once).await.expect(0);

    let status = json(&run(on(repository), ["status", "--json"]).await.expect(0));
    assert_eq!(status["gaps"], serde_json::json!([]));
    assert_eq!(status["spans"].as_array().unwrap().len(), 1, "{status}");
    println!(
        "{} documents and definitions changed by {acknowledged} commands and transactions in {lasted} s, \
         {kills} kills, {stepdowns} times another primary",
        journal.writes().len()
    );

    let times: Vec<_> = times(&journal)
        .into_iter()
        .filter(|at| *at > base)
        .collect();
    let mut chance = Chance(7);
    for _ in 0..moments {
        let at = times[usize::try_from(chance.below(times.len() as u64)).unwrap()];
        for name in target.client().list_database_names().await.unwrap() {
            if !["admin", "config", "local"].contains(&name.as_str()) {
                target.client().database(&name).drop().await.unwrap();
            }
        }
        let moment = format!("{}:{}", at.time, at.increment);
        let to = ["--uri", &target.uri(), repository, "--to-optime", &moment];
        run(rrestore(), to).await.expect(0);
        let state = journal.state_at(at);
        println!("{moment}: {} documents", state.documents());
        state.assert_holds(&target.client(), str::to_owned).await;
    }
}
