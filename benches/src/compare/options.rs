//! The command line.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use super::rows::{ROWS, Row};

/// Scale of `--smoke`: a hundredth, 14 MB.
const SMOKE_SCALE: f64 = 0.01;

/// Measures rdump and rrestore side by side with mongodump and mongorestore
///
/// Needs both tools on PATH, or their paths in MONGODUMP and MONGORESTORE; the row dump-s3 also the AWS command line, on PATH or
/// its path in AWS. Dumps go to the folder for temporary
/// files (TMPDIR), which has to hold about 6 GB at scale 1.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench-compare", bin_name = "cargo bench-compare", version)]
pub(super) struct Options {
    /// How often each side of a row is run, beside one run to warm up
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Leave the run to warm up out, where one takes very long
    #[arg(long, conflicts_with = "smoke")]
    pub(super) cold: bool,
    /// How much data: 1 is 1.4 GB in 2,405,000 documents of three shapes
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = positive)]
    scale: f64,
    /// Which rows to run, with commas between; see --list [default: all]
    #[arg(long, value_name = "ROWS", value_delimiter = ',')]
    rows: Vec<String>,
    /// Name the rows and stop
    #[arg(long)]
    pub(super) list: bool,
    /// Run our side alone, once, on little data: does everything work?
    #[arg(long, conflicts_with_all = ["runs", "scale"])]
    pub(super) smoke: bool,
    /// Write everything that was measured as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the table as Markdown, in place of the one in the file, or at its end; and a plot beside it, with the same name and .svg
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
}

impl Options {
    pub(super) fn runs(&self) -> u32 {
        if self.smoke { 1 } else { self.runs }
    }

    pub(super) fn scale(&self) -> f64 {
        if self.smoke { SMOKE_SCALE } else { self.scale }
    }

    /// Enough to keep all data in memory, index included.
    pub(super) fn cache_mebibytes(&self) -> u32 {
        if self.smoke { 256 } else { 4096 }
    }

    /// The rows to run, in the order of the list.
    pub(super) fn selected(&self) -> Result<Vec<&'static Row>> {
        for name in &self.rows {
            if !ROWS.iter().any(|row| row.name == name) {
                bail!("there is no row {name:?}; --list names them");
            }
        }
        let is_selected =
            |row: &&Row| self.rows.is_empty() || self.rows.iter().any(|name| name == row.name);
        Ok(ROWS.iter().filter(is_selected).collect())
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("a number above 0 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn rows_are_selected_by_name_and_unknown_ones_refused() {
        let options = Options::parse_from(["bench-compare", "--rows", "restore,dump-plain"]);
        let names: Vec<&str> = options
            .selected()
            .unwrap()
            .iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(names, ["dump-plain", "restore"]);
        let options = Options::parse_from(["bench-compare", "--rows", "no-such-row"]);
        assert!(options.selected().is_err());
    }

    #[test]
    fn a_scale_of_nothing_is_refused() {
        assert!(Options::try_parse_from(["bench-compare", "--scale", "0"]).is_err());
    }
}
