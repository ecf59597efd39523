//! What was measured, as data; its JSON form has a version.

use serde::Serialize;

use super::rows::{Row, Side, Targets};
use crate::{
    machine::{Machine, Versions},
    units::median,
};

/// Everything about one comparison.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Version of this form.
    pub(super) version: u32,
    /// Day of the comparison, as `2026-01-31`.
    pub(super) date: String,
    pub(super) machine: Machine,
    pub(super) versions: Versions,
    pub(super) runs: u32,
    /// Whether there was none to warm up.
    pub(super) cold: bool,
    pub(super) data: DataReport,
    pub(super) rows: Vec<RowReport>,
}

/// What was dumped and restored.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct DataReport {
    pub(super) documents: u64,
    pub(super) bytes: u64,
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RowReport {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) ours: SideReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) theirs: Option<SideReport>,
    /// Wall time, processor time, memory and size, as far as they were measured on both sides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ratios: Vec<Ratio>,
}

/// One side of a row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SideReport {
    pub(super) program: &'static str,
    pub(super) arguments: &'static [&'static str],
    pub(super) median: Medians,
    pub(super) samples: Vec<Sample>,
}

/// What one run took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) memory_bytes: u64,
    pub(super) size_bytes: Option<u64>,
    /// Processor time of the servers meanwhile.
    pub(super) server_seconds: f64,
}

/// Medians of several runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Medians {
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) memory_bytes: f64,
    pub(super) size_bytes: Option<f64>,
    pub(super) server_seconds: f64,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Metric {
    Wall,
    Cpu,
    Memory,
    Size,
    Server,
}

/// Our median divided by the reference's.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Ratio {
    pub(super) metric: Metric,
    pub(super) ratio: f64,
    /// The highest ratio that is good enough.
    pub(super) target: Option<f64>,
    /// Whether it is, if there is a target.
    pub(super) met: Option<bool>,
}

impl Report {
    /// A report of today without rows.
    pub(super) fn new(
        machine: Machine,
        versions: Versions,
        (runs, cold): (u32, bool),
        data: DataReport,
    ) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        Self {
            version: 1,
            date,
            machine,
            versions,
            runs,
            cold,
            data,
            rows: Vec::new(),
        }
    }
}

impl RowReport {
    pub(super) fn new(row: &Row, ours: SideReport, theirs: Option<SideReport>) -> Self {
        let ratio = |metric: Metric| {
            let ours = ours.median.of(metric)?;
            let theirs = theirs.as_ref()?.median.of(metric)?;
            let ratio = ours / theirs.max(f64::MIN_POSITIVE);
            let target = metric.target(&row.targets);
            // As it is shown, with two decimals.
            let met = target.map(|target| (ratio * 100.0).round() <= (target * 100.0).round());
            Some(Ratio {
                metric,
                ratio,
                target,
                met,
            })
        };
        let ratios = Metric::ALL.into_iter().filter_map(ratio).collect();
        Self {
            name: row.name,
            title: row.title,
            ours,
            theirs,
            ratios,
        }
    }
}

impl SideReport {
    pub(super) fn new(side: &Side, samples: Vec<Sample>) -> Self {
        let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value)).unwrap_or(f64::NAN);
        let sizes = samples.iter().filter_map(|sample| sample.size_bytes);
        let median = Medians {
            wall_seconds: of(|sample| sample.wall_seconds),
            cpu_seconds: of(|sample| sample.cpu_seconds),
            memory_bytes: of(|sample| sample.memory_bytes as f64),
            size_bytes: median(sizes.map(|bytes| bytes as f64)),
            server_seconds: of(|sample| sample.server_seconds),
        };
        Self {
            program: side.program.name(),
            arguments: side.arguments,
            median,
            samples,
        }
    }
}

impl Medians {
    pub(super) fn of(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Wall => Some(self.wall_seconds),
            Metric::Cpu => Some(self.cpu_seconds),
            Metric::Memory => Some(self.memory_bytes),
            Metric::Size => self.size_bytes,
            Metric::Server => Some(self.server_seconds),
        }
    }
}

impl Metric {
    pub(super) const ALL: [Self; 5] = [
        Self::Wall,
        Self::Cpu,
        Self::Memory,
        Self::Size,
        Self::Server,
    ];

    /// What a table calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Size => "size",
            Self::Server => "CPU of mongod",
        }
    }

    /// A value of it, with its unit.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Wall | Self::Cpu | Self::Server => format!("{value:.2} s"),
            Self::Memory | Self::Size => format!("{:.1} MB", value / 1e6),
        }
    }

    fn target(self, targets: &Targets) -> Option<f64> {
        match self {
            Self::Wall => targets.wall,
            Self::Cpu => targets.cpu,
            Self::Memory => targets.memory,
            Self::Size => targets.size,
            Self::Server => targets.server,
        }
    }
}
