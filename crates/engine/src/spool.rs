//! What is kept for later, in a file without a name that goes when it does.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use tempfile::SpooledTempFile;

use crate::{Error, ErrorKind, Result};

/// How much is kept in memory before a file takes it.
const IN_MEMORY_BYTES: usize = 4 << 20;

/// Bytes that are appended piece by piece, and read back in any order.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    purpose: Purpose,
    file: SpooledTempFile,
    end: u64,
}

/// What is kept and for what, as an error about it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose {
    pub(crate) keeps: &'static str,
    pub(crate) hint: &'static str,
}

/// Where a piece is.
#[derive(Debug)]
pub(crate) struct Kept {
    offset: u64,
    length: usize,
}

impl Spool {
    /// Nothing yet. The file, if one is needed, is made in `folder`.
    pub(crate) fn in_folder(folder: PathBuf, purpose: Purpose) -> Self {
        Self {
            file: SpooledTempFile::new_in(IN_MEMORY_BYTES, &folder),
            folder,
            purpose,
            end: 0,
        }
    }

    /// Keeps a piece. Blocks.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<Kept> {
        let (offset, length) = (self.end, bytes.len());
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.write_all(bytes))
            .map_err(|error| self.failed(error))?;
        self.end += length as u64;
        Ok(Kept { offset, length })
    }

    /// How much is kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    /// Reads a piece. Blocks.
    pub(crate) fn read(&mut self, kept: &Kept) -> Result<Vec<u8>> {
        let mut bytes = vec![0; kept.length];
        self.file
            .seek(SeekFrom::Start(kept.offset))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    /// Forgets everything, and gives the room back. Blocks.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|error| self.failed(error))?;
        self.end = 0;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        let Purpose { keeps, hint } = self.purpose;
        let folder = self.folder.display();
        Error::new(
            ErrorKind::Unavailable,
            format!("could not keep {keeps} in a file in {folder}"),
        )
        .caused_by(error)
        .with_hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURPOSE: Purpose = Purpose {
        keeps: "numbers",
        hint: "count fewer",
    };

    #[test]
    fn pieces_come_back_from_memory_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for length in [10, IN_MEMORY_BYTES / 3, IN_MEMORY_BYTES + 1] {
            let mut spool = Spool::in_folder(folder.path().to_owned(), PURPOSE);
            for round in 0..2 {
                let pieces = [1, 2, 3, 4].map(|byte| vec![byte + round; length]);
                let kept: Vec<_> = pieces
                    .iter()
                    .map(|piece| spool.append(piece).unwrap())
                    .collect();
                assert_eq!(spool.bytes(), 4 * length as u64);
                assert_eq!(spool.file.is_rolled(), 4 * length > IN_MEMORY_BYTES);
                // The file has no name: nothing is left behind, whatever becomes of this process.
                assert_eq!(folder.path().read_dir().unwrap().count(), 0);
                for (kept, piece) in kept.iter().zip(&pieces).rev() {
                    assert_eq!(&spool.read(kept).unwrap(), piece);
                }
                spool.clear().unwrap();
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let mut spool = Spool::in_folder(gone.clone(), PURPOSE);
        spool.append(&vec![1; IN_MEMORY_BYTES]).unwrap();
        let error = spool.append(&[2]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let said = format!("could not keep numbers in a file in {}", gone.display());
        assert_eq!(error.to_string(), said);
    }
}
