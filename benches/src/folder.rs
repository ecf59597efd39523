//! What a folder holds.

use std::{fs, io, path::Path};

/// Files of a folder and their bytes, those of the folders inside included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Contents {
    /// Counts them; links are not followed.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let mut contents = Self::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                let inner = Self::of(&entry.path())?;
                contents.files += inner.files;
                contents.bytes += inner.bytes;
            } else {
                contents.files += 1;
                contents.bytes += metadata.len();
            }
        }
        Ok(contents)
    }
}
