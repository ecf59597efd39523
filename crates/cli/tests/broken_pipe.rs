use std::process::Stdio;

use rdump_testkit::{ReplicaSet, dataset};
use tokio::process::Command;

use crate::program::{rdump, run};

#[tokio::test]
async fn whoever_closes_stdout_hears_nothing_and_the_dump_goes_on() {
    let source = ReplicaSet::start().await;
    dataset::orders(1_000).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = rdump();
    command.args([
        "--json",
        "--uri",
        &source.uri(),
        "-d",
        "shop",
        "-o",
        folder.path().to_str().unwrap(),
    ]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("pipe"), "{stderr}");
    assert!(folder.path().join("rdump.manifest.json").exists());
}

#[tokio::test]
async fn a_report_that_stdout_does_not_take_is_a_failure() {
    let source = ReplicaSet::start().await;
    dataset::orders(10).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let (uri, path) = (source.uri(), folder.path().to_str().unwrap());
    let (dump, restore) = (env!("CARGO_BIN_EXE_rdump"), env!("CARGO_BIN_EXE_rrestore"));
    for arguments in [
        &[dump, "--json", "--uri", &uri, "-d", "shop", "-o", path] as &[&str],
        &[dump, "--uri", &uri, "--dryRun"],
        &[restore, "--json", "--drop", &uri, path],
        &[dump, "verify", "--json", path],
        &[dump, "--help"],
    ] {
        let mut into_full = Command::new("sh");
        into_full.args(["-c", r#"exec "$0" "$@" > /dev/full"#]);
        let ran = run(into_full, arguments).await.expect(1);
        ran.says("cannot write to standard output: No space left on device");
    }
    let whole = run(rdump(), ["verify", path]).await;
    whole.expect(0);
}
