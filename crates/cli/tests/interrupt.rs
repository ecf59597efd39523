#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::{fs, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rdump_testkit::{ReplicaSet, dataset, wait_for};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr},
};

use crate::program::{rdump, rrestore, run};

/// A dump that would take minutes, and what it says.
struct Slow {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Slow {
    /// Starts it, and waits until it reads documents.
    async fn start(source: &ReplicaSet, folder: &Path, more: &[&str]) -> Self {
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
        tokio::time::timeout(Duration::from_secs(20), read)
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
async fn a_signal_while_connecting_ends_it_at_once() {
    let mut command = rdump();
    command.args([
        "--uri",
        "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000",
        "-v",
    ]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
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
    kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait())
        .await
        .expect("it ends soon");
    assert_eq!(ended.unwrap().code(), Some(1));
}
