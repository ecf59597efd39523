use std::process::Stdio;

use rdump_testkit::{ReplicaSet, dataset};

use crate::program::rdump;

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
