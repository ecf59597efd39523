//! What the kernel knows of a process that runs.

use std::fs;

use anyhow::{Context as _, Result};

/// In which `/proc/PID/stat` counts, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time of a process so far, its own and the kernel's on its behalf.
pub(crate) fn processor_seconds(id: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    Ok(ticks(&stat) / TICKS_PER_SECOND)
}

/// Most memory that was resident at once so far, in bytes.
pub(crate) fn peak_bytes(id: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    peak(&status).context("the kernel does not say how much memory a process had")
}

fn ticks(stat: &str) -> f64 {
    // The second field is the name in parentheses; user and system time are the 14th and 15th.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let times = fields.split(' ').skip(11).take(2);
    times.filter_map(|field| field.parse::<f64>().ok()).sum()
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line?.trim().strip_suffix(" kB")?;
    Some(kibibytes.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_found_among_the_rest() {
        let stat = "7 (a (strange) name) S 1 7 7 0 -1 4194560 0 0 0 0 250 50 0 0 20 0 9 0 11";
        assert!((ticks(stat) - 300.0).abs() < f64::EPSILON);
        let status = "VmPeak:\t  9 kB\nVmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\n";
        assert_eq!(peak(status), Some(2 << 20));
        assert_eq!(peak("VmPeak:\t  9 kB\n"), None);
        let this = std::process::id();
        assert!(processor_seconds(this).is_ok() && peak_bytes(this).unwrap() > 0);
    }
}
