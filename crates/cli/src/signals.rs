//! Ctrl-C and SIGTERM: the first stops the run cleanly, the second ends the process at once. SIGXFSZ is let pass.

use std::{future::Future, io, pin::pin};

use nix::libc::SIGXFSZ;
use rdump::CancellationToken;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{console::Console, exit::Exit};

/// Waits for the signals that stop a run.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
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
        })
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
        }
    }
}
