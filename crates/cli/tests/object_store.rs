//! Dumps in an object store.

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, dataset,
    fingerprint::assert_same,
    s3::{ACCESS_KEY, SECRET_KEY},
};
use tokio::process::Command;

use crate::program::{rdump, rrestore, run};

/// Lets a program ask the object store of the test, and nothing else.
fn with_keys(mut command: Command) -> Command {
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

#[tokio::test]
async fn a_dump_comes_back_from_an_object_store_and_no_file_is_written_here() {
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::start().await);
    for data in [dataset::orders(1_000), dataset::indexes()] {
        data.seed(&source.client()).await;
    }
    let options = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &options).await;
    let here = tempfile::tempdir().unwrap();
    for compression in ["none", "gzip", "zstd:1"] {
        let place = server.location(&format!("dumps/of today/{compression}/"));
        let (uri, mut command) = (source.uri(), with_keys(rdump()));
        command.current_dir(here.path()).env("TMPDIR", here.path());
        let arguments = ["--uri", &uri, "--out", &place, "--compress", compression];
        run(command, arguments).await.expect(0);
        let verified = run(with_keys(rdump()), ["verify", &place]).await.expect(0);
        verified.says(&format!(
            "s3://tested/dumps/of today/{compression} is whole ("
        ));

        let target = ReplicaSet::start().await;
        let (uri, mut command) = (target.uri(), with_keys(rrestore()));
        command.current_dir(here.path()).env("TMPDIR", here.path());
        let arguments = ["--uri", &uri, "--keepIndexVersion", &place];
        run(command, arguments).await.expect(0);
        assert_same(
            &expected,
            &Fingerprint::of(&target.client(), &options).await,
        );
    }
    assert_eq!(here.path().read_dir().unwrap().count(), 0);

    // One database of it, by its own folder.
    let target = ReplicaSet::start().await;
    let place = server.location("dumps/of today/gzip/shop");
    let arguments = [&target.uri(), "-d", "shop", &place];
    run(with_keys(rrestore()), arguments).await.expect(0);
    let restored = Fingerprint::of(&target.client(), &options).await;
    assert_eq!(restored.documents(), 1_000);
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
