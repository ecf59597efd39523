//! Ctrl-C, SIGTERM and SIGHUP: the first stops the run cleanly, the second ends the process at once. SIGXFSZ is let pass.

use std::{future::Future, io, pin::pin};

use nix::libc::{SIGHUP, SIGXFSZ};
use rdump::CancellationToken;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{console::Console, exit::Exit};

/// Waits for the signals that stop a run.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// A terminal that went away; `None` if who started the process wants it to go on then, as `nohup` does.
    hang_up: Option<Signal>,
}

impl Signals {
    /// Takes the signals over from their default, which is to end the process.
    pub(crate) fn new() -> io::Result<Self> {
        // A file that outgrows the limit of the process (`ulimit -f`) is then a write that fails, and says so. What
        // handles a signal once does so to the end of the process.
        let _handled = signal(SignalKind::from_raw(SIGXFSZ))?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match ignores(SIGHUP) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// Leaves SIGHUP to somebody else.
    pub(crate) fn without_hang_up(mut self) -> Self {
        self.hang_up = None;
        self
    }

    /// Runs `work` to its end. The first signal cancels `cancel`; the second ends the process with `exit`.
    pub(crate) async fn watch<T>(
        &mut self,
        console: &Console,
        cancel: &CancellationToken,
        exit: Exit,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                name = self.next() => {
                    if cancel.is_cancelled() {
                        console.always(format_args!("second {name}: exiting at once"));
                        std::process::exit(exit.code().into());
                    }
                    console.always(format_args!("{name} received: stopping; again to exit at once"));
                    cancel.cancel();
                }
            }
        }
    }

    /// The name of the next signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = hang_up(self.hang_up.as_mut()) => "SIGHUP",
        }
    }
}

async fn hang_up(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether the process was started with a signal ignored, as far as the system tells:
/// [proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html).
fn ignores(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 << (signal - 1) != 0)
}
