//! Measures rdump and rrestore side by side with mongodump and mongorestore.

use std::process::ExitCode;

fn main() -> ExitCode {
    rdump_testkit::measure::maybe_run_wrapper();
    rdump_benches::compare::main()
}
