//! Restores a dump into a MongoDB deployment.

use std::process::ExitCode;

fn main() -> ExitCode {
    rdump_cli::rrestore()
}
