//! Where a dump goes to and comes from.

use std::{fmt, fs, path::Path};

use anyhow::anyhow;
use rdump::{Codec, Location, Namespace};

use super::Refusal;
use crate::args::S3Option;

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
    /// A folder of a dump or of a database, a file of documents, a repository or a bundle.
    Folder(Location),
    Archive(Location),
    /// The archive is what standard input gives.
    ArchiveFromStdin,
    /// The bundle is what standard input gives.
    BundleFromStdin,
    /// The documents of this collection are what standard input gives.
    DocumentsFromStdin(Namespace),
}

impl Output {
    /// The archive that `--archive` names.
    pub(super) fn archive(text: &str, codec: Codec) -> Result<Self, Refusal> {
        match text {
            STANDARD | "" => Ok(Self::ArchiveToStdout),
            path if Path::new(path).is_dir() => {
                location("archive", &in_folder(path, codec)).map(Self::Archive)
            }
            path => archive(path).map(Self::Archive),
        }
    }

    /// What `--out` names.
    pub(super) fn out(text: &str) -> Result<Self, Refusal> {
        match text {
            STANDARD => Ok(Self::DocumentsToStdout),
            path => location("out", path).map(Self::Folder),
        }
    }

    /// Sets options of the object store that it has to be in, if there are any.
    pub(super) fn with_options(mut self, options: &[S3Option]) -> Result<Self, Refusal> {
        let location = match &mut self {
            Self::Folder(location) | Self::Archive(location) => Some(location),
            Self::ArchiveToStdout | Self::DocumentsToStdout => None,
        };
        set(location, options)?;
        Ok(self)
    }

    /// Whether mongodump can write there too, and then replaces what is there.
    pub(super) fn is_replaced_by_mongodump(&self) -> bool {
        match self {
            Self::Folder(location) | Self::Archive(location) => location.as_path().is_some(),
            Self::ArchiveToStdout | Self::DocumentsToStdout => true,
        }
    }

    /// Whether nothing else may be written to standard output.
    pub(crate) fn takes_stdout(&self) -> bool {
        matches!(self, Self::ArchiveToStdout | Self::DocumentsToStdout)
    }
}

impl Input {
    /// Sets options of the object store that it has to be in, if there are any.
    pub(super) fn with_options(mut self, options: &[S3Option]) -> Result<Self, Refusal> {
        let location = match &mut self {
            Self::Folder(location) | Self::Archive(location) => Some(location),
            Self::ArchiveFromStdin | Self::BundleFromStdin | Self::DocumentsFromStdin(_) => None,
        };
        set(location, options)?;
        Ok(self)
    }

    /// The archive that `--archive` names, or the one that is in the folder it names.
    pub(super) fn archive(text: &str, gzip: bool) -> Result<Self, Refusal> {
        if let STANDARD | "" = text {
            return Ok(Self::ArchiveFromStdin);
        }
        if !Path::new(text).is_dir() {
            return archive(text).map(Self::Archive);
        }
        let named = in_folder(text, if gzip { Codec::Gzip } else { Codec::None });
        let codecs = [Codec::None, Codec::Gzip, Codec::Zstd];
        let mut found = codecs.map(|codec| in_folder(text, codec)).to_vec();
        found.retain(|path| fs::metadata(path).is_ok_and(|found| !found.is_dir()));
        match &found[..] {
            // Whoever opens it says that it is not there.
            [] => location("archive", &named).map(Self::Archive),
            [one] => location("archive", one).map(Self::Archive),
            several if gzip && several.contains(&named) => {
                location("archive", &named).map(Self::Archive)
            }
            several => Err(Refusal::Failed(anyhow!(
                "{text} holds more than one archive: name one of {}",
                several.join(", ")
            ))),
        }
    }
}

/// The archive in a folder, as mongodump calls it.
fn in_folder(folder: &str, codec: Codec) -> String {
    format!(
        "{}/archive{}",
        folder.trim_end_matches('/'),
        codec.extension()
    )
}

/// Sets options of a location, which has to be in an object store then.
fn set(location: Option<&mut Location>, options: &[S3Option]) -> Result<(), Refusal> {
    let Some(location) = location else {
        return match options.first() {
            None => Ok(()),
            Some((flag, ..)) => Err(Refusal::bad_option(format_args!(
                "--{flag} goes with s3://bucket/prefix, not with standard input or output"
            ))),
        };
    };
    for (flag, name, value) in options {
        let set = location.set(name, value);
        set.map_err(|error| {
            Refusal::Failed(anyhow::Error::new(error).context(format!("--{flag}")))
        })?;
    }
    Ok(())
}

/// A single archive.
fn archive(text: &str) -> Result<Location, Refusal> {
    let place = text.split('?').next().unwrap_or_default();
    let archive = location("archive", text)?;
    match place.ends_with('/') {
        true => Err(Refusal::Failed(anyhow!(
            "--archive: {place} ends in a slash: name the archive itself"
        ))),
        false => Ok(archive),
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
            Self::Archive(location) => write!(f, "archive {location}"),
            Self::ArchiveFromStdin => f.write_str("archive on stdin"),
            Self::BundleFromStdin | Self::DocumentsFromStdin(_) => f.write_str("stdin"),
        }
    }
}
