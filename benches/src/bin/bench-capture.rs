//! Measures rdump capture while documents are inserted.

use std::process::ExitCode;

fn main() -> ExitCode {
    rdump_benches::capture::main()
}
