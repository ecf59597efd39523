//! Running a program until it ends, or SIGINT.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::screen;

/// Runs it; the exit code is its own, 130 if it was stopped.
pub(crate) fn until_stopped(run: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    let outcome = tokio::runtime::Runtime::new()
        .context("could not start the runtime")
        .and_then(|runtime| {
            let outcome = runtime.block_on(async {
                tokio::select! {
                    outcome = Box::pin(run) => outcome,
                    _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
                }
            });
            // A program that is still being measured ends by itself.
            runtime.shutdown_background();
            outcome
        });
    outcome.unwrap_or_else(|error| screen::failure(&error))
}
