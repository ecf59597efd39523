use std::{fs, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump_testkit::{ReplicaSet, dataset, wait_for};
use tokio::process::Child;

use crate::program::rdump;

/// Starts a dump that would take minutes, and waits until it writes.
async fn start(source: &ReplicaSet, folder: &Path, more: &[&str]) -> Child {
    let mut command = rdump();
    command.args([
        "--uri",
        &source.uri(),
        "-d",
        "shop",
        "-o",
        folder.to_str().unwrap(),
        "--limit-rate",
        "20KiB",
    ]);
    let child = command
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let data = folder.join("shop");
    wait_for("the dump to write", Duration::from_secs(20), async || {
        let mut files = fs::read_dir(&data).ok()?.filter_map(Result::ok);
        files
            .find(|file| file.file_name().to_string_lossy().contains("orders.bson"))
            .map(|_| ())
    })
    .await;
    child
}

fn send(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().expect("it still runs")).unwrap();
    kill(Pid::from_raw(id), signal).unwrap();
}

async fn end(child: Child) -> (Option<i32>, String) {
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output());
    let output = output.await.expect("a signal ends it soon").unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test]
async fn a_signal_stops_a_dump_and_leaves_nothing_that_looks_complete() {
    let source = ReplicaSet::start().await;
    dataset::orders(50_000).seed(&source.client()).await;
    for (signal, more, code) in [
        (Signal::SIGINT, &[][..], 1),
        (Signal::SIGTERM, &["--strict"], 130),
        (Signal::SIGINT, &["--quiet"], 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let child = start(&source, folder.path(), more).await;
        send(&child, signal);
        let (ended, stderr) = end(child).await;
        assert_eq!(ended, Some(code), "{stderr}");
        assert!(
            stderr.contains(&format!("{signal} received: stopping")),
            "{stderr}"
        );
        assert!(
            stderr.contains("holds no complete dump; complete: nothing; incomplete: shop.orders ("),
            "{stderr}"
        );
        assert!(!folder.path().join("rdump.manifest.json").exists());
    }
}

#[tokio::test]
async fn a_signal_while_connecting_ends_it_at_once() {
    let mut command = rdump();
    command.args([
        "--uri",
        "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000",
        "-v",
    ]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().unwrap();
    // Until it listens for signals, the first one ends it by itself: the mask in /proc says when it does.
    wait_for("the handler", Duration::from_secs(20), async || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught & (1 << (Signal::SIGTERM as u32 - 1)) != 0).then_some(())
    })
    .await;
    send(&child, Signal::SIGTERM);
    let (ended, stderr) = end(child).await;
    assert_eq!(ended, Some(1), "{stderr}");
}
