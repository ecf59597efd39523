//! The one place that prints: results to standard output, what is going on to standard error.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "programs for people; everything they say goes through here"
)]

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    process::ExitCode,
};

/// Columns before the text of a step.
const INDENT: usize = 13;

/// Prints a line of the result.
pub(crate) fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Says what is going on.
pub(crate) fn note(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
}

/// Prints an error and what caused it; gives the exit code to end with.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

/// A step that is shown while it runs, on a terminal, and printed with its outcome when it is done.
#[derive(Debug)]
pub(crate) struct Step {
    name: &'static str,
}

impl Step {
    /// Shows that the step runs now, and what it does.
    pub(crate) fn begin(name: &'static str, doing: &str) -> Self {
        if stderr().is_terminal() {
            eprint!("  {name:<10} {doing} …");
            // Progress that cannot be shown is no failure.
            drop(stderr().flush());
        }
        Self { name }
    }

    /// Prints the outcome, one line after the other.
    pub(crate) fn done<S: AsRef<str>>(self, outcome: impl IntoIterator<Item = S>) {
        let name = self.name;
        // Dropping wipes the line that says that it runs.
        drop(self);
        for (position, text) in outcome.into_iter().enumerate() {
            let label = if position == 0 { name } else { "" };
            println!("  {label:<width$}{}", text.as_ref(), width = INDENT - 2);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}
