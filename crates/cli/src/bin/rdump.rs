//! Dumps a MongoDB deployment to a folder.

use std::process::ExitCode;

fn main() -> ExitCode {
    rdump_cli::rdump()
}
