//! What was measured, as data and for people; its JSON form has a version.

use std::fmt::Write as _;

use serde::Serialize;

use super::{options::Options, program::SLICE_AGE};
use crate::{
    machine::{Machine, Versions},
    units::{count, median, megabytes},
};

/// Everything about one run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Version of this form.
    pub(super) version: u32,
    /// Day of the run, as `2026-01-31`.
    pub(super) date: String,
    pub(super) machine: Machine,
    pub(super) versions: Versions,
    /// What is captured: `oplog` or `change-stream`.
    pub(super) source: &'static str,
    pub(super) slice_age: &'static str,
    pub(super) writers: u32,
    pub(super) asked_per_second: u32,
    /// Documents that were inserted, and how long that took.
    pub(super) inserts: u64,
    pub(super) seconds: f64,
    pub(super) inserts_per_second: f64,
    /// Processor time of the capture per second, while documents were inserted.
    pub(super) cpu_cores: f64,
    /// Processor time of the capture, from the first insert until it had the last one.
    pub(super) cpu_seconds: f64,
    /// Most memory that was resident at once.
    pub(super) memory_bytes: u64,
    /// Slices that documents were in.
    pub(super) slices: usize,
    /// From the last insert of a slice until the slice was stored.
    pub(super) slice_lag_seconds: Spread,
    /// From the newest insert that was stored until now, at any moment while documents were inserted.
    pub(super) behind_seconds: Spread,
    /// From the last insert until it was stored.
    pub(super) caught_up_seconds: f64,
    pub(super) entries: u64,
    pub(super) stored_bytes: u64,
    pub(super) interruptions: u64,
}

/// The middle of some numbers and the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` of no numbers.
    pub(super) fn of(numbers: Vec<f64>) -> Option<Self> {
        let max = numbers.iter().copied().max_by(f64::total_cmp)?;
        let median = median(numbers)?;
        Some(Self { median, max })
    }
}

impl Report {
    /// A report of today of which nothing is measured yet.
    pub(super) fn new(machine: Machine, versions: Versions, options: &Options) -> Self {
        Self {
            version: 1,
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            machine,
            versions,
            source: options.source.name(),
            slice_age: SLICE_AGE,
            writers: options.writers,
            asked_per_second: options.rate,
            inserts: 0,
            seconds: 0.0,
            inserts_per_second: 0.0,
            cpu_cores: 0.0,
            cpu_seconds: 0.0,
            memory_bytes: 0,
            slices: 0,
            slice_lag_seconds: Spread::default(),
            behind_seconds: Spread::default(),
            caught_up_seconds: 0.0,
            entries: 0,
            stored_bytes: 0,
            interruptions: 0,
        }
    }

    /// A table.
    pub(super) fn text(&self) -> String {
        let (machine, versions) = (&self.machine, &self.versions);
        let mut text = format!(
            "\n{}: rdump {}, mongod {}, rustc {}.\n{}, {} cores, {} of memory, Linux {}, {}.\n\
             --source {} --slice-age {}, {} writers.\n\n",
            self.date,
            versions.rdump,
            versions.mongod,
            versions.rustc,
            machine.processor,
            machine.cores,
            megabytes(machine.memory_bytes),
            machine.kernel,
            machine.file_system,
            self.source,
            self.slice_age,
            self.writers,
        );
        for [name, value, what] in self.lines() {
            let line = format!("  {name:<10}{value:>24}  {what}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    fn lines(&self) -> [[String; 3]; 8] {
        let line = |name: &str, value: String, what: String| [name.to_owned(), value, what];
        let spread = |it: Spread| format!("{:.2} s, most {:.2} s", it.median, it.max);
        [
            line(
                "inserts",
                format!("{:.0} per second", self.inserts_per_second),
                format!(
                    "{} in {:.1} s; {} per second asked for",
                    count(self.inserts),
                    self.seconds,
                    count(self.asked_per_second.into())
                ),
            ),
            line(
                "CPU",
                format!("{:.2} cores", self.cpu_cores),
                format!("{:.2} s until it had everything", self.cpu_seconds),
            ),
            line("memory", megabytes(self.memory_bytes), "at most".to_owned()),
            line(
                "lag",
                spread(self.slice_lag_seconds),
                format!(
                    "from the last insert of a slice until it was stored: {} slices",
                    self.slices
                ),
            ),
            line(
                "behind",
                spread(self.behind_seconds),
                "from the newest insert that was stored until now, at any moment".to_owned(),
            ),
            line(
                "caught up",
                format!("{:.2} s", self.caught_up_seconds),
                "after the last insert".to_owned(),
            ),
            line(
                "stored",
                megabytes(self.stored_bytes),
                format!("{} entries", count(self.entries)),
            ),
            line("interrupted", self.interruptions.to_string(), String::new()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_the_greatest() {
        let spread = Spread::of(vec![1.0, 9.0, 2.0]);
        let expected = Spread {
            median: 2.0,
            max: 9.0,
        };
        assert_eq!(spread, Some(expected));
        assert_eq!(Spread::of(vec![]), None);
    }
}
