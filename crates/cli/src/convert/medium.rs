//! Where a dump goes to and comes from.

use std::{fmt, path::PathBuf};

use rdump::{Codec, Location};

use super::Refusal;

/// What stands for standard input and standard output.
const STANDARD: &str = "-";

/// Where a dump goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Folder(Location),
    Archive(Location),
    /// The archive is what standard output gets.
    ArchiveToStdout,
}

/// Where a dump comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// A folder of a dump or of a database, or a file of documents.
    Folder(Location),
    Archive(PathBuf),
    /// The archive is what standard input gives.
    ArchiveFromStdin,
}

impl Output {
    /// The archive that `--archive` names.
    pub(super) fn archive(text: &str, codec: Codec) -> Result<Self, Refusal> {
        match text {
            STANDARD | "" => Ok(Self::ArchiveToStdout),
            path => location(&in_folder(path, codec)).map(Self::Archive),
        }
    }
}

impl Input {
    /// The archive that `--archive` names.
    pub(super) fn archive(text: &str, gzip: bool) -> Self {
        let codec = if gzip { Codec::Gzip } else { Codec::None };
        match text {
            STANDARD | "" => Self::ArchiveFromStdin,
            path => Self::Archive(in_folder(path, codec).into()),
        }
    }
}

/// A folder stands for the archive in it, as with mongodump.
fn in_folder(path: &str, codec: Codec) -> String {
    match std::fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        true => format!(
            "{}/archive{}",
            path.trim_end_matches('/'),
            codec.extension()
        ),
        false => path.to_owned(),
    }
}

fn location(text: &str) -> Result<Location, Refusal> {
    text.parse()
        .map_err(|error| Refusal::Failed(anyhow::Error::new(error).context("--archive")))
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(location) => location.fmt(f),
            Self::Archive(location) => write!(f, "archive {location}"),
            Self::ArchiveToStdout => f.write_str("archive on stdout"),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(location) => location.fmt(f),
            Self::Archive(path) => write!(f, "archive {}", path.display()),
            Self::ArchiveFromStdin => f.write_str("archive on stdin"),
        }
    }
}
