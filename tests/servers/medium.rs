//! What dumps are written to.

use std::fmt;

use tempfile::TempDir;

use super::folder;

/// What a dump is written to, and how.
#[derive(Clone, Copy)]
pub(super) enum Medium {
    /// A folder as mongodump has it.
    Folder,
    /// A folder with compressed files, larger collections read in ranges of `_id`.
    ZstdFolder,
    /// An archive.
    Archive,
}

impl Medium {
    pub(super) const ALL: [Self; 3] = [Self::Folder, Self::ZstdFolder, Self::Archive];
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "folder",
            Self::ZstdFolder => "zstd folder",
            Self::Archive => "archive",
        })
    }
}

/// A dump that is deleted with this.
pub(super) struct Dumped {
    medium: Medium,
    path: String,
    _folder: TempDir,
}

impl Dumped {
    /// A place for it.
    pub(super) fn new(medium: Medium) -> Self {
        let (folder, path) = folder();
        Self {
            medium,
            path,
            _folder: folder,
        }
    }

    /// What makes rdump write it.
    pub(super) fn dump_flags(&self) -> String {
        let path = &self.path;
        match self.medium {
            Medium::Folder => format!("--out {path}"),
            Medium::ZstdFolder => format!("--compress zstd --partitions 4 --out {path}"),
            Medium::Archive => format!("--archive={path}"),
        }
    }

    /// What makes rrestore read it.
    pub(super) fn restore_flags(&self) -> String {
        match self.medium {
            Medium::Folder | Medium::ZstdFolder => self.path.clone(),
            Medium::Archive => format!("--archive={}", self.path),
        }
    }
}

impl fmt::Display for Dumped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.medium.fmt(f)
    }
}
