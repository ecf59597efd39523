//! Dumps a throwaway deployment, restores it beside itself, and compares the two.

use std::process::ExitCode;

fn main() -> ExitCode {
    rdump_testkit::measure::maybe_run_wrapper();
    rdump_benches::demo::main()
}
