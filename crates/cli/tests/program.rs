//! Runs one of the binaries to its end.

use std::{ffi::OsStr, path::Path, process::Stdio};

use rdump_testkit::ReplicaSet;
use tokio::process::Command;

/// What a program left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `rdump`, not started yet.
pub(crate) fn rdump() -> Command {
    command(env!("CARGO_BIN_EXE_rdump"))
}

/// `rdump`, not started yet, with a signal that `env` sets up: `--ignore-signal=HUP`.
pub(crate) fn rdump_with(signal: &str) -> Command {
    let mut command = command("env");
    command.args([signal, env!("CARGO_BIN_EXE_rdump")]);
    command
}

/// `rrestore`, not started yet.
pub(crate) fn rrestore() -> Command {
    command(env!("CARGO_BIN_EXE_rrestore"))
}

fn command(path: &str) -> Command {
    let mut command = Command::new(path);
    command
        .env_remove("RDUMP_URI")
        .env_remove("RDUMP_REPO")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a program with arguments.
pub(crate) async fn run<A: AsRef<OsStr>>(
    mut command: Command,
    arguments: impl IntoIterator<Item = A>,
) -> Ran {
    let output = command
        .args(arguments)
        .output()
        .await
        .expect("the binary can be started");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

impl Ran {
    /// Fails the test unless the program ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails the test unless a line of stderr, without its time, starts so.
    #[track_caller]
    pub(crate) fn says(self, start: &str) -> Self {
        let found = self
            .messages()
            .iter()
            .any(|message| message.starts_with(start));
        assert!(found, "nothing starts with {start:?} in:\n{}", self.stderr);
        self
    }

    /// The lines of stderr without their times.
    pub(crate) fn messages(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .map(|line| line.split_once('\t').map_or(line, |(_, message)| message))
            .collect()
    }
}

/// Dumps a whole deployment into a folder.
pub(crate) async fn dump(source: &ReplicaSet, folder: &Path, more: &[&str]) -> Ran {
    let arguments = [
        "--uri",
        &source.uri(),
        "--out",
        folder.to_str().expect("a plain path"),
    ];
    run(rdump(), arguments.iter().chain(more)).await
}
