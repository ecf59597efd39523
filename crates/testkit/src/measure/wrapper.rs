//! The exact way: a copy of this program whose only child is the command.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio, exit},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::{TimeVal, TimeValLike as _},
};
use serde::{Deserialize, Serialize};

use super::Measured;

/// First argument of the wrapper.
const FLAG: &str = "__measure";

/// What the wrapper writes into the file that it is given.
#[derive(Debug, Serialize, Deserialize)]
struct Usage {
    wall: Duration,
    user: Duration,
    system: Duration,
    peak_bytes: u64,
    wait_status: i32,
}

/// Turns this process into the wrapper if it was started as one; does nothing otherwise.
///
/// To be called first in `main`, while the program is still small: what it has in memory counts as the least
/// that a measured command can have.
pub fn maybe_run_wrapper() {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != FLAG) {
        return;
    }
    let file = arguments.next().expect("the wrapper is given a file");
    let program = arguments.next().expect("the wrapper is given a program");
    let usage = match observe(program, arguments) {
        Ok(usage) => usage,
        // No file tells the caller that the program could not be started.
        Err(error) => exit(error.raw_os_error().unwrap_or(1)),
    };
    let json = serde_json::to_vec(&usage).expect("the usage is plain data");
    fs::write(file, json).expect("the file of the caller can be written");
    let status = ExitStatus::from_raw(usage.wait_status);
    exit(
        status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
    );
}

fn observe(program: OsString, arguments: impl Iterator<Item = OsString>) -> io::Result<Usage> {
    let started = Instant::now();
    let status = Command::new(program).args(arguments).status()?;
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(Usage {
        wall,
        user: duration(usage.user_time()),
        system: duration(usage.system_time()),
        // Linux counts it in KiB.
        peak_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
        wait_status: status.into_raw(),
    })
}

/// Runs `command` below a wrapper.
pub(super) fn run(command: &Command, stdout: Stdio) -> io::Result<Measured> {
    let file = tempfile::NamedTempFile::new()?;
    let mut wrapper = Command::new(env::current_exe()?);
    wrapper
        .arg(FLAG)
        .arg(file.path())
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    let output = wrapper.output()?;
    let usage = read(file.path(), output.status)?;
    Ok(Measured {
        wall: usage.wall,
        user: usage.user,
        system: usage.system,
        peak_bytes: usage.peak_bytes,
        status: ExitStatus::from_raw(usage.wait_status),
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

fn read(file: &Path, status: ExitStatus) -> io::Result<Usage> {
    let json = fs::read(file)?;
    if json.is_empty() {
        return Err(match status.code() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::other(format!("the measuring wrapper ended with {status}")),
        });
    }
    serde_json::from_slice(&json).map_err(|error| {
        io::Error::other(format!(
            "the measuring wrapper wrote no figures (does `main` call `maybe_run_wrapper`?): {error}"
        ))
    })
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or(0))
}
