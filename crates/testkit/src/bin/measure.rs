//! Runs a command and prints what it took: `measure COMMAND [ARGUMENT…]`.

#![expect(
    clippy::print_stderr,
    reason = "it has a command's figures and failures to tell"
)]

use std::{
    io::Write as _,
    process::{Command, ExitCode},
};

use rdump_testkit::measure::{Measure, maybe_run_wrapper};

/// As shells say that a command is not there.
const NOT_FOUND: u8 = 127;

fn main() -> ExitCode {
    maybe_run_wrapper();
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: measure COMMAND [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let mut command = Command::new(&program);
    command.args(arguments);
    let measured = match Measure::new(command).run() {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            return ExitCode::from(NOT_FOUND);
        }
    };
    // Nobody may be listening any more.
    drop(std::io::stdout().write_all(&measured.stdout));
    drop(std::io::stderr().write_all(&measured.stderr));
    let mebibytes = measured.peak_bytes / (1 << 20);
    eprintln!("wall        {:.2} s", measured.wall.as_secs_f64());
    eprintln!("processor   {:.2} s", measured.cpu().as_secs_f64());
    eprintln!("peak memory {mebibytes} MiB");
    ExitCode::from(measured.exit_code())
}
