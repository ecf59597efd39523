//! Which process something is of, and whether it lives: what `/proc` says, where there is one.

use std::fs;

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};

/// The name of this machine.
pub(in crate::repository) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// What tells this process from any other: the boot of its machine, its namespace of processes, its number and when it
/// started. Empty where that cannot be known.
pub(super) fn this() -> String {
    let number = std::process::id().to_string();
    let words = space().zip(started(&number));
    words.map_or_else(String::new, |(space, started)| {
        format!("{space} {number} {started}")
    })
}

/// Whether a process is known to have ended.
pub(super) fn is_dead(process: &str) -> bool {
    let words: Vec<_> = process.split(' ').collect();
    let [boot, namespace, number, start] = words.as_slice() else {
        return false;
    };
    let is_number = number.parse::<u32>().is_ok();
    is_number
        && space().is_some_and(|ours| ours == format!("{boot} {namespace}"))
        && match started(number) {
            Some(found) => found != *start,
            // What is hidden from us may live.
            None => has_ended(number),
        }
}

/// Whether there is no process of this number, or nothing left of it.
fn has_ended(number: &str) -> bool {
    let Some(process) = number.parse().ok().map(Pid::from_raw) else {
        return false;
    };
    match kill(process, None) {
        Err(Errno::ESRCH) => true,
        Err(_) => false,
        // It is a zombie, or its start cannot be seen.
        Ok(()) => is_zombie(number),
    }
}

fn is_zombie(number: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, words)| words.trim_start());
    state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

/// Where numbers of processes mean something.
fn space() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// When a process started, in ticks since the boot of its machine.
fn started(number: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name of the program stands in parentheses and may have anything in it; after it come the state and then numbers.
    let (_, words) = stat.rsplit_once(')')?;
    let mut words = words.split_whitespace();
    match words.next()? {
        // Nothing of it is left but its number.
        "Z" | "X" => None,
        _ => words.nth(18).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_dead_once_it_has_ended_and_not_before() {
        let this = this();
        assert!(!this.is_empty() && !is_dead(&this), "{this}");
        let (before, started) = this.rsplit_once(' ').unwrap();
        // Another one had the same number before.
        assert!(is_dead(&format!("{before} 0")), "{before}");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = child.id().to_string();
        let child_of = this.replace(&format!(" {} ", std::process::id()), &format!(" {number} "));
        child.wait().unwrap();
        assert!(is_dead(&child_of), "{child_of}");
        // Of what runs elsewhere nothing is known.
        assert!(!is_dead(&format!("boot {started} 1 1")));
        for unknown in ["", "a", "a b c d", "a b c d e"] {
            assert!(!is_dead(unknown));
        }
    }
}
