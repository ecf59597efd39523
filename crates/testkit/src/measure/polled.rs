//! The approximate way: looks at `/proc` while the command runs.

use std::{
    fs,
    io::{self, Read},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::wait::{Id, WaitPidFlag, WaitStatus, waitid},
    unistd::Pid,
};

use super::Measured;

const INTERVAL: Duration = Duration::from_millis(2);
/// Ticks in which `/proc/PID/stat` counts; 100 a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Runs `command`, whose standard output is set already.
pub(super) fn run(mut command: Command) -> io::Result<Measured> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let peak_bytes = watch(&child)?;
    let wall = started.elapsed();
    // The child is a zombie now; its times are still there until it is waited for.
    let (user, system) = times(child.id());
    let status = child.wait()?;
    let collected = "reading a pipe does not panic";
    Ok(Measured {
        wall,
        user,
        system,
        peak_bytes,
        status,
        stdout: stdout.join().expect(collected),
        stderr: stderr.join().expect(collected),
    })
}

/// Waits until the child ends, without reaping it, and gives the most memory that it was seen with.
fn watch(child: &Child) -> io::Result<u64> {
    let process = Pid::from_raw(child.id().cast_signed());
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let path = format!("/proc/{}/status", child.id());
    let mut peak_bytes = 0;
    loop {
        if let Ok(status) = fs::read_to_string(&path) {
            peak_bytes = peak_bytes.max(high_water_mark(&status).unwrap_or(0));
        }
        if waitid(Id::Pid(process), flags)? != WaitStatus::StillAlive {
            return Ok(peak_bytes);
        }
        thread::sleep(INTERVAL);
    }
}

/// `VmHWM` of `/proc/PID/status`, in bytes.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// User and system time of a process.
fn times(process: u32) -> (Duration, Duration) {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is the name in parentheses, which may hold spaces; user time is the 14th field.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let mut ticks = fields
        .split(' ')
        .skip(11)
        .map(|field| field.parse::<u32>().unwrap_or(0) * TICK);
    (
        ticks.next().unwrap_or_default(),
        ticks.next().unwrap_or_default(),
    )
}

/// Reads a pipe to its end on a thread of its own.
fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read is all there is to show.
            drop(pipe.read_to_end(&mut bytes));
        }
        bytes
    })
}
