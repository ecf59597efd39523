//! One cell of the matrix: what a dump is written to, and which tools write and read it.

use std::{fmt, path::PathBuf};

use rdump_testkit::binaries;
use rdump_tests::programs;

/// What a dump is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Folder,
    FolderGzip,
    Archive,
    ArchiveGzip,
    /// An archive that is read while it is written.
    Pipe,
}

/// Who dumps and who restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    MongodumpToRrestore,
    RdumpToMongorestore,
    RdumpToRrestore,
}

/// A medium and a way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) medium: Medium,
    pub(super) way: Way,
}

impl Medium {
    pub(super) fn is_gzip(self) -> bool {
        matches!(self, Self::FolderGzip | Self::ArchiveGzip)
    }

    pub(super) fn is_folder(self) -> bool {
        matches!(self, Self::Folder | Self::FolderGzip)
    }
}

impl Way {
    /// Whether it is mongorestore that reads.
    pub(super) fn is_to_mongorestore(self) -> bool {
        self == Self::RdumpToMongorestore
    }

    /// The program that dumps.
    pub(super) async fn dumps(self) -> PathBuf {
        match self {
            Self::MongodumpToRrestore => binaries::mongodump(),
            Self::RdumpToMongorestore | Self::RdumpToRrestore => programs::path("rdump").await,
        }
    }

    /// The program that restores.
    pub(super) async fn restores(self) -> PathBuf {
        if self.is_to_mongorestore() {
            binaries::mongorestore()
        } else {
            programs::path("rrestore").await
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.medium, self.way)
    }
}
