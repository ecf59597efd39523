//! What is written is captured by one program, and restored to a moment by the other.

use std::{process::Stdio, time::Duration};

use bson::doc;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump::{Capture, CaptureOptions, ConnectOptions, Repository, Source};
use rdump_testkit::{
    ReplicaSet,
    damage::{files, flip_byte},
    dataset,
    wait::{PATIENCE, wait_for},
};

use crate::{
    program::{Ran, rrestore, run},
    repository::{backup, json, line, on},
};

async fn capture(source: &ReplicaSet, repository: &str, more: &[&str]) -> Ran {
    let uri = source.uri();
    let once = ["capture", &uri, "--until-caught-up", "--slice-age=200ms"];
    run(on(repository), once.iter().chain(more)).await
}

#[tokio::test]
async fn what_is_captured_is_restored_to_the_moment_that_is_asked_for() {
    let source = ReplicaSet::start().await;
    dataset::orders(20).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    capture(&source, repository, &[]).await.expect(0);
    backup(&source, repository, &[]).await.expect(0);
    let orders = source.client().database("shop").collection("orders");
    orders.insert_one(doc! { "_id": "late" }).await.unwrap();
    let ran = capture(&source, repository, &[]).await.expect(0);
    let until = line(&ran).to_owned();
    orders.delete_many(doc! {}).await.unwrap();
    let ran = capture(&source, repository, &["--json"]).await.expect(0);
    let lines: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["event"], "slice-stored");
    assert_eq!(lines.last().unwrap()["gaps"], 0);

    let status = json(&run(on(repository), ["status", "--json"]).await.expect(0));
    assert_eq!(status["spans"].as_array().unwrap().len(), 1);
    assert!(status["lag-seconds"].is_number() && status["capturing"].is_null());
    assert!(status["lag-bytes"].is_null() && status["lag-bytes-at"].is_null());
    assert_eq!(status["restorable-until"], status["captured-until"]);
    let lag = ["status", "--max-lag", "1h"];
    run(on(repository), lag).await.expect(0);
    let listed = run(on(repository), ["list"]).await.expect(0).stdout;
    assert!(listed.contains("any moment from "), "{listed}");
    assert!(!listed.contains("captured after"), "{listed}");
    // Without a snapshot nothing leads there.
    let moved = ["manifests", "copies"].map(|name| folder.path().join(name));
    for path in &moved {
        std::fs::rename(path, path.with_extension("away")).unwrap();
    }
    let listed = run(on(repository), ["list"]).await.expect(0).stdout;
    assert!(listed.contains(": no snapshot leads there"), "{listed}");
    let ran = run(on(repository), lag).await.expect(3);
    assert!(
        ran.stdout.contains("restorable until    none"),
        "{}",
        ran.stdout
    );
    for path in &moved {
        std::fs::rename(path.with_extension("away"), path).unwrap();
    }

    let uri = source.uri();
    let restored = async |name: &str, to: &[&str]| {
        let names = [
            "--nsInclude",
            "shop.orders",
            "--nsFrom",
            "shop.orders",
            "--nsTo",
            name,
        ];
        let place = ["--uri", &uri, repository];
        let ran = run(rrestore(), place.iter().chain(&names).chain(to)).await;
        ran.expect(0).says("going to ");
        let copy = name.strip_prefix("shop.").unwrap();
        let copy = source
            .client()
            .database("shop")
            .collection::<bson::Document>(copy);
        copy.count_documents(doc! {}).await.unwrap()
    };
    assert_eq!(restored("shop.then", &["--to-optime", &until]).await, 21);
    assert_eq!(restored("shop.now", &["--to", "latest"]).await, 0);

    let refused = async |to: &[&str], words: &str| {
        let place = ["--uri", &uri, repository];
        let ran = run(rrestore(), place.iter().chain(to)).await.expect(1);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    };
    let early = ["--to-time", "2001-01-01T00:00:00Z"];
    refused(&early, "before the first snapshot").await;
    refused(&["--to-time", "2101-01-01T00:00:00Z"], "cannot be reached").await;
    refused(&["--to-time", "yesterday"], "is no time such as").await;
    refused(
        &["--to", "latest", "--to-optime", "1:1"],
        "goes to one moment",
    )
    .await;
}

#[tokio::test]
async fn what_is_captured_is_verified_before_there_is_a_snapshot() {
    let source = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    run(on(repository), ["init"]).await.expect(0);
    let verify = async || run(on(repository), ["verify", "--all"]).await;
    let ran = verify().await.expect(1);
    assert!(ran.stderr.contains("nothing to verify"), "{}", ran.stderr);
    let uri = source.uri();
    let mut running = Box::pin(run(on(repository), ["capture", &uri, "--slice-age=200ms"]));
    let orders = source.client().database("shop").collection("orders");
    let slice = async || {
        // What was written before it began is not captured.
        orders.insert_one(doc! { "a": 1 }).await.unwrap();
        let mut paths = files(folder.path()).into_iter();
        paths.find(|path| path.to_string_lossy().ends_with(".bson.zst"))
    };
    let stored = wait_for("a slice", PATIENCE, slice);
    let slice = tokio::select! {
        ran = &mut running => panic!("it ended by itself: {ran:?}"),
        slice = stored => slice,
    };
    drop(running);
    let ran = verify().await.expect(0);
    assert!(ran.stderr.contains("and 0 gaps read"), "{}", ran.stderr);
    flip_byte(&folder.path().join(slice), 100);
    let ran = verify().await.expect(4);
    assert!(ran.stderr.contains("DAMAGED timeline/"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_capture_that_is_told_to_stop_stores_what_it_has_read() {
    let source = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().to_str().unwrap();
    let mut command = on(repository);
    // By itself it would store nothing for an hour.
    command.args(["capture", &source.uri(), "--slice-age=1h"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap();
    let lease = folder.path().join("leases/capture.json");
    let has_begun = async || lease.exists().then_some(());
    wait_for("the capture to begin", PATIENCE, has_begun).await;
    look_again(&source).await;
    let orders = source.client().database("shop").collection("orders");
    orders.insert_one(doc! { "_id": 1 }).await.unwrap();
    look_again(&source).await;
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let ran = run(on(repository), ["verify", "--all", "--json"]).await;
    let timeline = &json(&ran.expect(0))["timeline"];
    assert_eq!(timeline["slices"], 1, "{timeline}");
    assert!(timeline["entries"].as_u64() > Some(0), "{timeline}");
}

#[tokio::test]
async fn status_tells_how_much_a_capture_had_read_and_not_stored() {
    let source = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let repository = Repository::open_or_init(&path.parse().unwrap()).await;
    let connected = Source::connect(&ConnectOptions::default().uri(source.uri())).await;
    let an_hour = CaptureOptions::default().slice_age(Duration::from_secs(3600));
    // As the program does it, but that it notes more often.
    let capture = Capture::new(&connected.unwrap(), &repository.unwrap())
        .options(an_hour)
        .lease(Some(Duration::from_secs(5)));
    let orders = source.client().database("shop").collection("orders");
    let status = async || {
        // What was written before it began is not captured.
        let text = "x".repeat(10_000);
        orders.insert_one(doc! { "text": text }).await.unwrap();
        let status = json(&run(on(path), ["status", "--json"]).await.expect(0));
        let is_noted = status["lag-bytes"].as_u64() > Some(10_000);
        // While it runs: who ends is not known to capture any more.
        let text = run(on(path), ["status"]).await.expect(0).stdout;
        (is_noted && text.contains(" kB at ")).then_some((status, text))
    };
    tokio::select! {
        ended = capture.run() => panic!("it ended by itself: {ended:?}"),
        (status, text) = wait_for("a note", PATIENCE, status) => {
            let at = status["lag-bytes-at"].as_str().unwrap();
            let since = status["capturing"].as_str().unwrap();
            assert!(since.rsplit_once(' ').unwrap().1 < at, "{status}");
            assert!(status["lag-seconds"].is_null(), "{status}");
            assert!(text.contains("read, not stored"), "{text}");
        }
    }
}

/// Waits until the capture has looked at the oplog several times.
async fn look_again(source: &ReplicaSet) {
    let finds = async || {
        let status = source
            .admin_command(doc! { "serverStatus": 1 })
            .await
            .ok()?;
        let commands = status.get_document("metrics").ok()?;
        let commands = commands.get_document("commands").ok()?;
        commands.get_document("find").ok()?.get_i64("total").ok()
    };
    let before = wait_for("counts of commands", PATIENCE, finds).await;
    let has_looked = async || (finds().await? >= before + 4).then_some(());
    wait_for("looks at the oplog", PATIENCE, has_looked).await;
}
