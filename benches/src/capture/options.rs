//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Bytes of the oplog that an insert takes, with room to spare.
const ENTRY_BYTES: u64 = 512;
/// The least size of the oplog, in MiB, and the most.
const OPLOG_MEBIBYTES: [u64; 2] = [1024, 50 * 1024];

/// Measures rdump capture while documents are inserted: processor, memory, and how far it is behind
///
/// Data, oplog and what is captured go to the folder for temporary files (TMPDIR): about 1 GB a minute by default.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench-capture", bin_name = "cargo bench-capture", version)]
pub(super) struct Options {
    /// How long documents are inserted, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) seconds: u32,
    /// How many documents are inserted per second, as far as the server takes them
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rate: u32,
    /// How many insert at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) writers: u32,
    /// What is captured
    #[arg(long, value_enum, default_value_t = Feed::Oplog)]
    pub(super) source: Feed,
    /// Write everything that was measured as a line of JSON; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// Where the capture learns what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Feed {
    Oplog,
    ChangeStream,
}

impl Feed {
    /// As `rdump capture --source` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Oplog => "oplog",
            Self::ChangeStream => "change-stream",
        }
    }
}

impl Options {
    /// So large that nothing is forgotten, even if nothing were read.
    pub(super) fn oplog_mebibytes(&self) -> u32 {
        let [least, most] = OPLOG_MEBIBYTES;
        let bytes = u64::from(self.seconds) * u64::from(self.rate) * ENTRY_BYTES;
        u32::try_from((bytes >> 20).clamp(least, most)).unwrap_or(u32::MAX)
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
    fn sources_have_the_names_that_capture_knows() {
        for feed in [Feed::Oplog, Feed::ChangeStream] {
            let options = Options::parse_from(["bench-capture", "--source", feed.name()]);
            assert_eq!(options.source, feed);
        }
    }
}
