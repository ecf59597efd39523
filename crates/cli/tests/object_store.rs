//! Dumps in an object store.

use std::{collections::BTreeSet, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump_testkit::{
    Fingerprint, FingerprintOptions, Proxy, ReplicaSet, SeaweedFs, dataset,
    fingerprint::assert_same,
    s3::{
        ACCESS_KEY, Gateway, SECRET_KEY,
        gateway::{Odds, S3Operation},
    },
    wait::{PATIENCE, wait_for},
};
use tokio::process::Command;

use crate::program::{rdump, rrestore, run};

/// Lets a program ask the object store of the test, and nothing else.
pub(crate) fn with_keys(mut command: Command) -> Command {
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Dumps data in each form to where `to` says, and restores it with what `from` says; nothing is written on this machine.
async fn comes_back(
    server: &SeaweedFs,
    prefix: &str,
    to: impl Fn(&str) -> Vec<String>,
    from: impl Fn(&str) -> Vec<String>,
) {
    let source = ReplicaSet::start().await;
    for data in [dataset::orders(1_000), dataset::indexes()] {
        data.seed(&source.client()).await;
    }
    let options = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &options).await;
    let here = tempfile::tempdir().expect("a folder can be created");
    let in_here = |mut command: Command| {
        command.current_dir(here.path()).env("TMPDIR", here.path());
        with_keys(command)
    };
    for compression in ["none", "gzip", "zstd:1"] {
        let place = server.location(&format!("{prefix}/{compression}"));
        let uri = source.uri();
        let mut arguments = vec!["--uri", &uri, "--compress", compression];
        let to = to(&place);
        arguments.extend(to.iter().map(String::as_str));
        run(in_here(rdump()), arguments).await.expect(0);

        let target = ReplicaSet::start().await;
        let uri = target.uri();
        let mut arguments = vec!["--uri", &uri, "--keepIndexVersion"];
        let from = from(&place);
        arguments.extend(from.iter().map(String::as_str));
        run(in_here(rrestore()), arguments).await.expect(0);
        let restored = Fingerprint::of(&target.client(), &options).await;
        assert_same(&expected, &restored);
    }
    let here = here.path().read_dir().expect("it is there");
    assert_eq!(here.count(), 0);
}

#[tokio::test]
async fn a_dump_comes_back_from_an_object_store_and_no_file_is_written_here() {
    let server = SeaweedFs::start().await;
    let slash = |place: &str| place.replacen('?', "/?", 1);
    let to = |place: &str| vec!["--out".to_owned(), slash(place)];
    comes_back(&server, "dumps/of today", to, |place| {
        vec![place.to_owned()]
    })
    .await;
    for compression in ["none", "gzip", "zstd:1"] {
        let place = server.location(&format!("dumps/of today/{compression}"));
        let verified = run(with_keys(rdump()), ["verify", &place]).await.expect(0);
        verified.says(&format!(
            "s3://tested/dumps/of today/{compression} is whole ("
        ));
    }

    // One database of it, by its own folder; then one collection, by its file.
    let options = FingerprintOptions::new();
    let target = ReplicaSet::start().await;
    let place = server.location("dumps/of today/gzip/shop");
    let arguments = [&target.uri(), "-d", "shop", &place];
    run(with_keys(rrestore()), arguments).await.expect(0);
    let restored = Fingerprint::of(&target.client(), &options).await;
    assert_eq!(restored.documents(), 1_000);
    let place = server.location("dumps/of today/none/shop/orders.bson");
    let arguments = [&target.uri(), "-d", "again", "-c", "some", &place];
    run(with_keys(rrestore()), arguments).await.expect(0);
    let restored = Fingerprint::of(&target.client(), &options).await;
    assert_eq!(restored.documents(), 2_000);
}

#[tokio::test]
async fn a_restore_of_one_collection_reads_nothing_of_the_others() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    for data in [dataset::orders(1_000), dataset::indexes()] {
        data.seed(&source.client()).await;
    }
    for name in ["first", "second"] {
        let c = format!("shop.{name}");
        dataset::seed_bulk(&source.client(), &c, dataset::Shape::Medium, 100, 1).await;
    }
    let place = server.location("dump");
    run(
        with_keys(rdump()),
        ["--uri", &source.uri(), "--out", &place],
    )
    .await
    .expect(0);

    let gateway = Gateway::start(server.address()).await;
    let place = gateway.location("dump");
    let target = ReplicaSet::start().await;
    let arguments = ["--uri", &target.uri(), "--nsInclude", "shop.first", &place];
    let ran = run(with_keys(rrestore()), arguments).await.expect(0);
    ran.says("100 document(s) restored successfully.");
    let read: BTreeSet<String> = gateway.keys(S3Operation::Get).into_iter().collect();
    let expected = [
        "dump/prelude.json",
        "dump/rdump.manifest.json",
        "dump/shop/first.bson",
        "dump/shop/first.metadata.json",
    ];
    assert_eq!(read.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn one_collection_of_a_hundred_of_a_snapshot_moves_little_more_than_its_bytes() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    for number in 0..100 {
        let name = format!("shop.c{number}");
        dataset::seed_bulk(&source.client(), &name, dataset::Shape::Medium, 300, number).await;
    }
    let place = server.location("backups");
    let arguments = ["backup", "--repo", &place, &source.uri()];
    run(with_keys(rdump()), arguments).await.expect(0);
    let arguments = ["show", "latest", "--json", "--repo", &place];
    let ran = run(with_keys(rdump()), arguments).await.expect(0);
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let stored = shown["snapshot"]["stored-bytes"].as_u64().unwrap();

    let (proxy, target) = (
        Proxy::start(server.address()).await,
        ReplicaSet::start().await,
    );
    let place = place.replace(server.address(), &proxy.addr());
    let arguments = ["--uri", &target.uri(), "--ns-include", "shop.c42", &place];
    let ran = run(with_keys(rrestore()), arguments).await.expect(0);
    ran.says("300 document(s) restored successfully.");
    // Headers of the answers too.
    let moved = proxy.bytes_to_clients();
    assert!(moved > stored / 100, "{moved} of {stored}");
    assert!(moved * 100 < stored * 2, "{moved} of {stored}");
}

/// One in twenty requests is answered with 503, and one in fifty finds its connection cut before or after it was answered.
#[tokio::test]
async fn a_dump_comes_back_whole_through_connections_that_break_off_and_a_store_that_is_busy() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    dataset::orders(5_000).seed(&source.client()).await;
    for number in 0..40 {
        let c = format!("many.c{number}");
        dataset::seed_bulk(&source.client(), &c, dataset::Shape::Medium, 50, number).await;
    }
    dataset::seed_bulk(
        &source.client(),
        "many.large",
        dataset::Shape::Medium,
        60_000,
        1,
    )
    .await;
    let options = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &options).await;
    let gateway = Gateway::start(server.address()).await;
    let odds = Odds {
        errors: 0.05,
        resets: 0.01,
        lost_answers: 0.01,
    };
    gateway.misbehave(7, odds);
    let place = gateway.location("dump");
    run(
        with_keys(rdump()),
        ["--uri", &source.uri(), "--out", &place],
    )
    .await
    .expect(0);
    run(with_keys(rdump()), ["verify", &place]).await.expect(0);
    let target = ReplicaSet::start().await;
    let arguments = ["--uri", &target.uri(), "--keepIndexVersion", &place];
    run(with_keys(rrestore()), arguments).await.expect(0);
    let restored = Fingerprint::of(&target.client(), &options).await;
    assert_same(&expected, &restored);
    assert!(gateway.faults() > 10, "{}", gateway.faults());

    // Nothing is left that was begun.
    gateway.pass();
    let arguments = ["--uri", &source.uri(), "--out", &place, "--overwrite"];
    let again = run(with_keys(rdump()), arguments).await.expect(0);
    assert!(
        !again.stderr.contains("was left in place"),
        "{}",
        again.stderr
    );
}

#[tokio::test]
async fn an_archive_comes_back_from_an_object_store() {
    let server = SeaweedFs::start().await;
    let archive = |place: &str| vec![format!("--archive={place}")];
    comes_back(&server, "archives/of today", archive, archive).await;

    let source = ReplicaSet::start().await;
    for (place, message) in [
        (
            "archives/missing",
            "Failed: cannot open archive s3://tested/archives/missing: ",
        ),
        ("", "Failed: cannot open archive s3://tested: "),
    ] {
        let location = server.location(place).replace("tested/?", "tested?");
        let archive = format!("--archive={location}");
        let arguments = ["--uri", &source.uri(), &archive];
        let refused = run(with_keys(rrestore()), arguments).await.expect(1);
        refused.says(message);
    }
}

#[tokio::test]
async fn a_dump_in_an_object_store_is_replaced_only_if_that_is_asked_for() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    dataset::orders(10).seed(&source.client()).await;
    let uri = source.uri();
    let folder = server.location("dump");
    let archive = format!("--archive={}", server.location("archive"));
    for (place, message) in [
        (
            ["--out", &folder],
            "Failed: s3://tested/dump already holds a dump: rdump.manifest.json lies there",
        ),
        (
            ["--json", &archive],
            "Failed: archive already lies in s3://tested",
        ),
    ] {
        let [first, second] = place;
        let arguments = ["--uri", &uri, first, second];
        run(with_keys(rdump()), arguments).await.expect(0);
        let refused = run(with_keys(rdump()), arguments).await.expect(1);
        refused.says(message);
        let arguments = ["--uri", &uri, first, second, "--overwrite"];
        run(with_keys(rdump()), arguments).await.expect(0);
    }
    run(with_keys(rdump()), ["verify", &folder]).await.expect(0);

    // Another tool's is a dump too.
    let part = server.location("dump/shop");
    let refused = run(with_keys(rdump()), ["--uri", &uri, "--out", &part])
        .await
        .expect(1);
    refused.says("Failed: s3://tested/dump/shop already holds a dump: orders.bson lies there");
}

#[tokio::test]
async fn what_an_object_store_refuses_is_told_in_one_line() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    dataset::orders(10).seed(&source.client()).await;
    let place = server.location("dump");
    let wrong = |key: &str, secret: &str| {
        let mut command = with_keys(rdump());
        command
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret);
        command
    };
    let elsewhere = place.replace("tested", "misspelt");
    for (command, place, message) in [
        (
            wrong(ACCESS_KEY, "canary"),
            &place,
            "Failed: the credentials for s3://tested/dump are missing or not accepted: ",
        ),
        (
            wrong("canary", SECRET_KEY),
            &place,
            "Failed: the credentials for s3://tested/dump are missing or not accepted: ",
        ),
        (
            with_keys(rdump()),
            &elsewhere,
            "Failed: there is no bucket misspelt",
        ),
    ] {
        let arguments = ["--uri", &source.uri(), "--out", place];
        let ran = run(command, arguments).await.expect(1);
        assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
        ran.says(message);
    }
}

#[tokio::test]
async fn a_dump_that_is_stopped_takes_its_uploads_back_and_one_that_is_killed_is_told_of() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    let shape = dataset::Shape::Medium;
    dataset::seed_bulk(&source.client(), "shop.c", shape, 60_000, 1).await;
    for (signal, is_left) in [(Signal::SIGINT, false), (Signal::SIGKILL, true)] {
        let proxy = Proxy::start(server.address()).await;
        let place = server.location(signal.as_str());
        let slowly = place.replace(server.address(), &proxy.addr());
        let uri = source.uri();
        let arguments = ["--uri", &uri, "--out", &slowly, "--limit-rate", "8MiB"];
        let mut command = with_keys(rdump());
        command.args(arguments).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        // More than the first part of an upload, and than is sent before the first line on how far it is.
        wait_for("parts to be on their way", PATIENCE, async || {
            (proxy.bytes_to_server() > 28 << 20).then_some(())
        })
        .await;
        kill(id, signal).unwrap();
        let ended = child.wait_with_output().await.unwrap();
        assert!(!ended.status.success());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(said.contains("Failed: "), !is_left, "{said}");
        let is_total = |line: &str| line.contains("total  ") && line.contains(" stored, ");
        assert!(said.lines().any(is_total), "{said}");

        // Nothing of it looks like a dump.
        run(with_keys(rdump()), ["verify", &place]).await.expect(1);
        let arguments = ["--uri", &uri, "--dryRun", &place];
        let refused = run(with_keys(rrestore()), arguments).await.expect(1);
        assert!(
            refused.stderr.contains("did not finish"),
            "{}",
            refused.stderr
        );
        let arguments = ["--uri", &uri, "--out", &place];
        let again = run(with_keys(rdump()), arguments).await.expect(0);
        let is_told = again.stderr.contains("shop/c.bson was left in place");
        assert_eq!(is_told, is_left, "{}", again.stderr);
        run(with_keys(rdump()), ["verify", &place]).await.expect(0);
    }
}

/// Whichever of them ends first.
#[tokio::test]
async fn of_two_dumps_at_once_to_one_place_the_one_that_was_begun_first_fails() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    let shape = dataset::Shape::Medium;
    dataset::seed_bulk(&source.client(), "shop.c", shape, 30_000, 1).await;
    let uri = source.uri();
    for (prefix, rate_of_second) in [("first", "2MiB"), ("second", "1GiB")] {
        let proxy = Proxy::start(server.address()).await;
        let place = server.location(prefix);
        let slowly = place.replace(server.address(), &proxy.addr());
        let mut first = with_keys(rdump());
        first.args(["--uri", &uri, "--out", &slowly, "--limit-rate", "6MiB"]);
        let first = first.stderr(Stdio::piped()).spawn().unwrap();
        wait_for("parts to be on their way", PATIENCE, async || {
            (proxy.bytes_to_server() > 9 << 20).then_some(())
        })
        .await;
        let arguments = [
            "--uri",
            &uri,
            "--out",
            &place,
            "--limit-rate",
            rate_of_second,
        ];
        run(with_keys(rdump()), arguments).await.expect(0);
        let ended = first.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let message = format!("another dump was begun in s3://tested/{prefix} meanwhile");
        assert!(said.contains(&message), "{said}");
    }
    let place = server.location("first");
    run(with_keys(rdump()), ["verify", &place]).await.expect(0);
}

#[tokio::test]
async fn what_a_killed_dump_left_in_place_is_not_replaced_unless_that_is_asked_for() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    dataset::orders(10).seed(&source.client()).await;
    let shape = dataset::Shape::Medium;
    dataset::seed_bulk(&source.client(), "large.c", shape, 30_000, 1).await;
    let (uri, place) = (source.uri(), server.location("dump"));
    let shop = ["--uri", &uri, "-d", "shop", "--out", &place];
    run(with_keys(rdump()), shop).await.expect(0);
    let proxy = Proxy::start(server.address()).await;
    let slowly = place.replace(server.address(), &proxy.addr());
    let mut killed = with_keys(rdump());
    killed.args(["--uri", &uri, "-d", "large", "--out", &slowly]);
    killed.args(["--overwrite", "--limit-rate", "4MiB"]);
    let mut killed = killed.spawn().unwrap();
    wait_for("parts to be on their way", PATIENCE, async || {
        (proxy.bytes_to_server() > 9 << 20).then_some(())
    })
    .await;
    killed.kill().await.unwrap();
    let refused = run(with_keys(rdump()), shop).await.expect(1);
    refused.says("Failed: s3://tested/dump already holds a dump: rdump.unfinished lies there");
    let arguments = [
        "--uri",
        &uri,
        "-d",
        "shop",
        "--dryRun",
        &server.location("dump/shop"),
    ];
    run(with_keys(rrestore()), arguments).await.expect(0);
}
