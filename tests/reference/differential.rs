//! The same dump, replayed by mongorestore and by us, is the same.
//!
//! `RDUMP_SEEDS=20 cargo test -p rdump-tests --features reference -- differential` runs it twenty times, each time with
//! other writes. Nothing needs to be known here of what oplog entries mean.

use std::{env, path::Path};

use rdump_testkit::{Proxy, ReplicaSet, binaries, fingerprint::assert_same, reference};
use rdump_tests::programs;
use tempfile::TempDir;

use super::{
    fingerprint,
    unruly::{self, Unruly},
};

/// What a server says to mongorestore of an operation on a collection that is not there: it fails also where the oplog
/// drops the collection later on.
const NON_EXISTENT: &str = "cannot apply insert or update operation on a non-existent namespace";
/// What rrestore says of an operation on a collection that nothing has made.
const NEVER_MADE: &str = "and neither the dump nor the oplog before that has the collection";
/// Slow enough for many writes meanwhile.
const BYTES_PER_SECOND: u64 = 8 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn both_tools_make_the_same_of_a_dump_that_was_taken_under_an_unruly_workload() {
    let seeds: u64 = env::var("RDUMP_SEEDS").map_or(1, |seeds| seeds.parse().unwrap());
    let (mongodump, mongorestore) = (binaries::mongodump(), binaries::mongorestore());
    let (rdump, rrestore) = (
        programs::path("rdump").await,
        programs::path("rrestore").await,
    );
    let (mut compared, mut gone, mut torn) = (0, 0, 0);
    for seed in 1..=seeds {
        let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
        unruly::seed(&source.client(), seed).await;
        for (dumps, medium) in [
            (&mongodump, ["--out=", ""]),
            (&rdump, ["--out=", ""]),
            (&mongodump, ["--archive=", "--gzip"]),
            (&rdump, ["--archive=", "--gzip"]),
        ] {
            let folder = TempDir::new().unwrap();
            let place = format!("{}{}", medium[0], folder.path().join("dump").display());
            let compressed = Some(medium[1]).filter(|flag| !flag.is_empty());
            let proxy = Proxy::start(source.members()[0].address()).await;
            proxy.throttle(BYTES_PER_SECOND);
            let writers = Unruly::start(&source.client(), seed);
            writers.await_more(500).await;
            let uri = source.direct_uri_at(&proxy.addr());
            let flags = ["--uri", &uri, "--oplog", &place];
            run(dumps, flags.into_iter().chain(compressed)).await;
            writers.await_more(100).await;
            writers.stop().await;

            let place = place.replace("--out=", "--dir=");
            let uri = target.uri();
            // A dump may have a validator that is newer than a write in its oplog.
            let flags = [
                "--uri",
                &uri,
                "--oplogReplay",
                "--bypassDocumentValidation",
                &place,
            ];
            let flags: Vec<_> = flags.into_iter().chain(compressed).collect();
            let mut made = Vec::new();
            for restores in [&mongorestore, &rrestore] {
                clear(&target).await;
                let (success, said) = attempt(restores, flags.iter().copied()).await;
                made.push(match success {
                    true => Ok((fingerprint(&target).await, applied(&said))),
                    false => Err(said),
                });
            }
            let ours = made.pop().unwrap();
            match (made.pop().unwrap(), ours) {
                (Ok(theirs), Ok(ours)) => {
                    assert_same(&theirs.0, &ours.0);
                    assert_eq!(theirs.1, ours.1);
                    assert!(ours.1 > 100, "only {} operations meanwhile", ours.1);
                    compared += 1;
                }
                (Err(theirs), Ok(ours)) if theirs.contains(NON_EXISTENT) => {
                    assert!(ours.1 > 100, "only {} operations meanwhile", ours.1);
                    gone += 1;
                }
                // mongodump did not wait for what was being written before its oplog starts.
                (_, Err(ours)) if dumps == &mongodump && ours.contains(NEVER_MADE) => torn += 1,
                (theirs, ours) => panic!(
                    "seed {seed}, a dump of {}: mongorestore {:?}, rrestore {:?}",
                    dumps.display(),
                    theirs.map(|(_, applied)| applied),
                    ours.map(|(_, applied)| applied),
                ),
            }
        }
    }
    println!(
        "{compared} dumps were compared; mongorestore could not replay {gone} others, and {torn} of mongodump were torn"
    );
    assert!(compared > 2 * seeds, "of {} dumps", 4 * seeds);
}

/// How many operations of the oplog a restore says that it has applied.
fn applied(said: &str) -> u64 {
    let line = said.lines().find(|line| line.ends_with(" oplog entries"));
    let number = line.and_then(|line| line.rsplit(' ').nth(2));
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number of oplog entries: {said}"))
}

/// Runs a tool to its end; panics unless it succeeds.
async fn run<'a>(program: &Path, arguments: impl IntoIterator<Item = &'a str>) {
    let (success, said) = attempt(program, arguments).await;
    assert!(success, "{said}");
}

/// Runs a tool to its end; whether it succeeded, and what it said.
async fn attempt<'a>(
    program: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
) -> (bool, String) {
    let program = program.to_owned();
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let said = tokio::task::spawn_blocking(move || {
        let output = reference::attempt(&program, &arguments);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    });
    said.await.unwrap()
}

/// Drops everything that a restore has made.
async fn clear(target: &ReplicaSet) {
    let client = target.client();
    for name in client.list_database_names().await.unwrap() {
        if !["admin", "config", "local"].contains(&name.as_str()) {
            client.database(&name).drop().await.unwrap();
        }
    }
}
