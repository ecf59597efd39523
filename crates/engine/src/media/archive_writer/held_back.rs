//! What comes last in an archive, and is there before.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use rdump_format::Crc64;
use tempfile::SpooledTempFile;

use crate::{
    Error, Result,
    media::{PackedSegment, Written},
};

/// How much is kept in memory before a file without a name takes it.
const IN_MEMORY_BYTES: usize = 4 << 20;

/// Segments that wait for their turn, in a file without a name that goes when this does.
#[derive(Debug)]
pub(super) struct HeldBack {
    folder: PathBuf,
    file: SpooledTempFile,
    segments: Vec<Waiting>,
    pub(super) written: Written,
}

#[derive(Debug)]
struct Waiting {
    stored_bytes: usize,
    documents: u64,
    uncompressed_bytes: u64,
    checksum: Crc64,
}

impl HeldBack {
    /// Nothing yet. The file, if one is needed, is made in `folder`.
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self {
            file: SpooledTempFile::new_in(IN_MEMORY_BYTES, &folder),
            folder,
            segments: Vec::new(),
            written: Written::default(),
        }
    }

    /// Appends a segment. Blocks.
    pub(super) fn push(&mut self, segment: &PackedSegment) -> Result<()> {
        self.file
            .write_all(&segment.bytes)
            .map_err(|error| self.failed(error))?;
        self.written.add(segment);
        self.segments.push(Waiting {
            stored_bytes: segment.bytes.len(),
            documents: segment.documents,
            uncompressed_bytes: segment.uncompressed_bytes,
            checksum: segment.checksum.clone(),
        });
        Ok(())
    }

    /// Gives the segments back, in order. Blocks.
    pub(super) fn take(mut self) -> Result<impl Iterator<Item = Result<PackedSegment>>> {
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(|error| self.failed(error))?;
        let segments = std::mem::take(&mut self.segments);
        Ok(segments.into_iter().map(move |waiting| {
            let mut bytes = vec![0; waiting.stored_bytes];
            self.file
                .read_exact(&mut bytes)
                .map_err(|error| self.failed(error))?;
            Ok(PackedSegment {
                bytes: bytes.into(),
                documents: waiting.documents,
                uncompressed_bytes: waiting.uncompressed_bytes,
                checksum: waiting.checksum,
            })
        }))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::new(
            crate::ErrorKind::Unavailable,
            format!(
                "could not keep the oplog for the end of the archive in a file in {}",
                self.folder.display()
            ),
        )
        .caused_by(error)
        .with_hint("there has to be room for what is written while the dump goes on; TMPDIR names another folder for an archive that is a stream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(length: usize, byte: u8) -> PackedSegment {
        let bytes = vec![byte; length];
        let mut checksum = Crc64::default();
        checksum.update(&bytes);
        PackedSegment {
            bytes: bytes.into(),
            documents: u64::from(byte),
            uncompressed_bytes: 2 * length as u64,
            checksum,
        }
    }

    #[test]
    fn segments_come_back_in_order_from_memory_and_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for length in [10, IN_MEMORY_BYTES / 3, IN_MEMORY_BYTES + 1] {
            let mut held = HeldBack::in_folder(folder.path().to_owned());
            let segments: Vec<_> = (1..=5).map(|byte| segment(length, byte)).collect();
            for segment in &segments {
                held.push(segment).unwrap();
            }
            assert_eq!(held.file.is_rolled(), 5 * length > IN_MEMORY_BYTES);
            assert_eq!(
                (held.written.documents, held.written.stored_bytes),
                (15, 5 * length as u64)
            );
            // The file has no name: nothing is left behind, whatever becomes of this process.
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
            let taken: Vec<_> = held.take().unwrap().map(Result::unwrap).collect();
            for (taken, segment) in taken.iter().zip(&segments) {
                assert_eq!(taken.bytes, segment.bytes);
                assert_eq!(taken.documents, segment.documents);
                assert_eq!(taken.uncompressed_bytes, segment.uncompressed_bytes);
                assert_eq!(taken.checksum, segment.checksum);
            }
            assert_eq!(taken.len(), 5);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let mut held = HeldBack::in_folder(gone.clone());
        held.push(&segment(IN_MEMORY_BYTES, 1)).unwrap();
        let error = held.push(&segment(1, 2)).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Unavailable);
        assert!(
            error.to_string().contains(gone.to_str().unwrap()),
            "{error}"
        );
    }
}
