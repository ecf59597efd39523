#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::{fs, path::Path, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump_testkit::{
    ReplicaSet, dataset,
    wait::{PATIENCE, wait_for},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::program::{rdump, rdump_with, rrestore, run};

/// A dump that would take minutes, and what it says.
struct Slow {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Slow {
    /// Starts it, and waits until it reads documents.
    async fn start(source: &ReplicaSet, folder: &Path, more: &[&str]) -> Self {
        Self::start_by(rdump_with("--default-signal=HUP"), source, folder, more).await
    }

    async fn start_by(
        mut command: Command,
        source: &ReplicaSet,
        folder: &Path,
        more: &[&str],
    ) -> Self {
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
        let mut child = command
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut slow = Self {
            child,
            lines,
            said: String::new(),
        };
        slow.read_until("writing shop.orders").await;
        slow
    }

    fn send(&self, signal: Signal) {
        let id = i32::try_from(self.child.id().expect("it still runs")).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Reads what it says up to the line with `text`, or to its end.
    async fn read_until(&mut self, text: &str) {
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.said += &format!("{line}\n");
                if line.contains(text) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("it says something soon");
    }

    async fn end(mut self) -> (Option<i32>, String) {
        self.read_until("never said").await;
        (self.child.wait().await.unwrap().code(), self.said)
    }
}

#[tokio::test]
async fn a_signal_stops_a_dump_and_leaves_nothing_that_looks_complete() {
    let source = ReplicaSet::start().await;
    dataset::orders(50_000).seed(&source.client()).await;
    for (signal, more, code) in [
        (Signal::SIGINT, &[][..], 1),
        (Signal::SIGTERM, &["--strict"], 130),
        (Signal::SIGHUP, &["--strict"], 130),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let slow = Slow::start(&source, folder.path(), more).await;
        slow.send(signal);
        let (ended, stderr) = slow.end().await;
        assert_eq!(ended, Some(code), "{stderr}");
        assert!(
            stderr.contains(&format!("{signal} received: stopping")),
            "{stderr}"
        );
        assert!(
            stderr.contains("complete: nothing; incomplete: shop.orders; untouched: nothing"),
            "{stderr}"
        );
        assert!(
            stderr.contains("\tFailed: dump stopped before its end, ")
                && stderr.trim_end().ends_with(": received termination signal"),
            "{stderr}"
        );
        assert!(!folder.path().join("rdump.manifest.json").exists());
        let expected = format!(
            "Failed: the dump in {} did not finish",
            folder.path().display()
        );
        let restored = run(rrestore(), [folder.path()]).await;
        restored.expect(1).says(&expected);
    }
}

#[tokio::test]
async fn who_is_told_to_outlive_its_terminal_does() {
    let source = ReplicaSet::start().await;
    dataset::orders(50_000).seed(&source.client()).await;
    let folder = tempfile::tempdir().unwrap();
    let ignoring = rdump_with("--ignore-signal=HUP");
    let slow = Slow::start_by(ignoring, &source, folder.path(), &["--strict"]).await;
    slow.send(Signal::SIGHUP);
    slow.send(Signal::SIGTERM);
    let (ended, stderr) = slow.end().await;
    assert_eq!(ended, Some(130), "{stderr}");
    assert!(stderr.contains("SIGTERM received: stopping"), "{stderr}");
    assert!(!stderr.contains("SIGHUP"), "{stderr}");
}

#[tokio::test]
async fn a_signal_while_connecting_ends_it_at_once() {
    let mut command = rdump();
    command.args([
        "--uri",
        "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000",
        "-v",
    ]);
    assert_eq!(
        failure_after_a_signal(command).await,
        "Failed: stopped while connecting: received termination signal"
    );
}

#[tokio::test]
async fn a_signal_while_waiting_for_the_barrier_ends_it_at_once() {
    let source = ReplicaSet::start().await;
    let folder = tempfile::tempdir().unwrap();
    let barrier = folder.path().join("barrier");
    let barrier = barrier.to_str().unwrap();
    let mut command = rdump();
    command
        .args(["--uri", &source.uri()])
        .args(["--internalOnlySourceWritesDoneBarrier", barrier]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("exists before anything is dumped") {
            break;
        }
    }
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGINT).unwrap();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    let failed =
        format!("Failed: stopped while waiting for {barrier}: received termination signal");
    assert!(last.ends_with(&failed), "{last}");
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
}

/// Sends SIGTERM as soon as it is listened for, and gives the last line of stderr.
async fn failure_after_a_signal(mut command: Command) -> String {
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().unwrap();
    // Until it listens for signals, the first one ends it by itself: the mask in /proc says when it does.
    wait_for("the handler", PATIENCE, async || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught & (1 << (Signal::SIGTERM as u32 - 1)) != 0).then_some(())
    })
    .await;
    kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("it ends soon")
        .unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let stderr = String::from_utf8(ended.stderr).unwrap();
    let last = stderr.lines().last().unwrap_or_default();
    last.split_once('\t').unwrap_or_default().1.to_owned()
}
