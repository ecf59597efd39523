//! Where a comparison ran, and what it compared.

use std::{fs, path::Path, process::Command, thread};

use serde::Serialize;

use crate::programs::{Programs, ReferenceTools, first_line, workspace};

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// Type of the file system that dumps and data are on.
    pub(crate) file_system: String,
}

/// The programs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Versions {
    pub(crate) rdump: String,
    pub(crate) mongod: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mongodump: Option<String>,
    pub(crate) rustc: String,
}

impl Machine {
    /// Asks the kernel; `folder` is where dumps go.
    pub(crate) fn find(folder: &Path) -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or_else(unknown, |(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kibibytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kibibytes * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(&read("/proc/self/mounts"), folder).unwrap_or_else(unknown),
        }
    }
}

impl Versions {
    /// Asks the programs.
    pub(crate) fn find(
        programs: &Programs,
        reference: Option<&ReferenceTools>,
        mongod: String,
    ) -> Self {
        let ask = |program: &Path| {
            first_line(Command::new(program).arg("--version")).unwrap_or_else(unknown)
        };
        // The word after the last space is the version: `rdump 0.1.0`, `mongodump version: 100.18.0`.
        let number = |line: String| line.rsplit(' ').next().unwrap_or_default().to_owned();
        let commit = first_line(Command::new("git").current_dir(workspace()).args([
            "rev-parse",
            "--short",
            "HEAD",
        ]));
        let commit = commit
            .map(|commit| format!(" ({commit})"))
            .unwrap_or_default();
        Self {
            rdump: number(ask(&programs.rdump)) + &commit,
            mongod,
            mongodump: reference.map(|tools| number(ask(&tools.mongodump))),
            rustc: ask(Path::new("rustc"))
                .split(' ')
                .nth(1)
                .map_or_else(unknown, str::to_owned),
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The type of the file system that is mounted nearest above `folder`.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    // Of two mounts at the same point, the later one hides the earlier one.
    above
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_the_one_mounted_nearest() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\nproc /proc proc rw 0 0\n";
        let of = |folder: &str| file_system(mounts, Path::new(folder));
        assert_eq!(of("/tmp/dump").as_deref(), Some("tmpfs"));
        assert_eq!(of("/tmpx/dump").as_deref(), Some("ext4"));
    }
}
