//! Where a dump goes to and comes from.

use std::{fmt, path::PathBuf};

use rdump::{Codec, Location, Namespace};

use super::Refusal;

/// What stands for standard input and standard output.
pub(super) const STANDARD: &str = "-";

/// Where a dump goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    Folder(Location),
    Archive(Location),
    /// The archive is what standard output gets.
    ArchiveToStdout,
    /// The documents of one collection are what standard output gets.
    DocumentsToStdout,
}

/// Where a dump comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// A folder of a dump or of a database, or a file of documents.
    Folder(Location),
    Archive(PathBuf),
    /// The archive is what standard input gives.
    ArchiveFromStdin,
    /// The documents of this collection are what standard input gives.
    DocumentsFromStdin(Namespace),
}

impl Output {
    /// The archive that `--archive` names.
    pub(super) fn archive(text: &str, codec: Codec) -> Result<Self, Refusal> {
        match text {
            STANDARD | "" => Ok(Self::ArchiveToStdout),
            path => location("archive", &in_folder(path, codec)).map(Self::Archive),
        }
    }

    /// What `--out` names.
    pub(super) fn out(text: &str) -> Result<Self, Refusal> {
        match text {
            STANDARD => Ok(Self::DocumentsToStdout),
            path => location("out", path).map(Self::Folder),
        }
    }

    /// Whether nothing else may be written to standard output.
    pub(crate) fn takes_stdout(&self) -> bool {
        matches!(self, Self::ArchiveToStdout | Self::DocumentsToStdout)
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

fn location(flag: &str, text: &str) -> Result<Location, Refusal> {
    text.parse()
        .map_err(|error| Refusal::Failed(anyhow::Error::new(error).context(format!("--{flag}"))))
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(location) => location.fmt(f),
            Self::Archive(location) => write!(f, "archive {location}"),
            Self::ArchiveToStdout => f.write_str("archive on stdout"),
            Self::DocumentsToStdout => f.write_str("stdout"),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(location) => location.fmt(f),
            Self::Archive(path) => write!(f, "archive {}", path.display()),
            Self::ArchiveFromStdin => f.write_str("archive on stdin"),
            Self::DocumentsFromStdin(_) => f.write_str("stdin"),
        }
    }
}
