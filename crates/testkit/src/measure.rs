//! Runs a command and measures what it took: time, processor, peak memory.
//!
//! [`Measure::run`] is exact: the measuring program starts itself once more as a small wrapper, which has the
//! command for its only child and asks the kernel about it. Its `main` has to begin with
//! [`maybe_run_wrapper`]. In a test binary, whose `main` is not ours, [`Measure::run_polled`] looks at
//! `/proc` every two milliseconds instead.

mod polled;
mod wrapper;

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

pub use wrapper::maybe_run_wrapper;

/// A command to measure.
#[derive(Debug)]
pub struct Measure {
    command: Command,
    discard_stdout: bool,
}

/// What a command took and said.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Measured {
    /// Time from start to end.
    pub wall: Duration,
    /// Processor time in the program itself, all threads together.
    pub user: Duration,
    /// Processor time in the kernel on its behalf.
    pub system: Duration,
    /// Most memory that was resident at once, in bytes.
    pub peak_bytes: u64,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; empty if it was discarded.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Measure {
    /// Takes the program, arguments, environment and working folder of `command`; its streams are ours.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            discard_stdout: false,
        }
    }

    /// Sends standard output to `/dev/null` and does not keep it.
    #[must_use]
    pub fn discard_stdout(mut self) -> Self {
        self.discard_stdout = true;
        self
    }

    /// Runs the command below a wrapper and measures exactly; `main` must have called [`maybe_run_wrapper`].
    ///
    /// # Errors
    ///
    /// When the command cannot be started.
    pub fn run(self) -> io::Result<Measured> {
        wrapper::run(&self.command, self.stdout())
    }

    /// Runs the command and looks at its memory every two milliseconds; times are exact to a hundredth of a second.
    ///
    /// # Errors
    ///
    /// When the command cannot be started.
    pub fn run_polled(mut self) -> io::Result<Measured> {
        let stdout = self.stdout();
        self.command.stdout(stdout);
        polled::run(self.command)
    }

    fn stdout(&self) -> Stdio {
        if self.discard_stdout {
            Stdio::null()
        } else {
            Stdio::piped()
        }
    }
}

impl Measured {
    /// Processor time altogether.
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }

    /// Exit code as shells give it: 128 plus the signal's number if a signal ended the command.
    pub fn exit_code(&self) -> u8 {
        let signal = self.status.signal().map(|signal| 128 + signal);
        let code = self.status.code().or(signal).unwrap_or(1);
        u8::try_from(code).unwrap_or(1)
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Panics with what the command said unless it succeeded.
    #[must_use]
    pub fn expect_success(self) -> Self {
        let status = self.status;
        assert!(
            status.success(),
            "the command ended with {status}: {}",
            self.stderr_text()
        );
        self
    }
}
