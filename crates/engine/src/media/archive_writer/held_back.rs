//! What comes last in an archive, and is there before.

use std::path::PathBuf;

use rdump_format::Crc64;

use crate::{
    Result,
    media::{PackedSegment, Written},
    spool::{Kept, Purpose, Spool},
};

/// Segments that wait for their turn.
#[derive(Debug)]
pub(super) struct HeldBack {
    spool: Spool,
    segments: Vec<Waiting>,
    pub(super) written: Written,
}

#[derive(Debug)]
struct Waiting {
    kept: Kept,
    documents: u64,
    uncompressed_bytes: u64,
    checksum: Crc64,
}

impl HeldBack {
    /// Nothing yet. The file, if one is needed, is made in `folder`.
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        let purpose = Purpose {
            keeps: "the oplog for the end of the archive",
            hint: "there has to be room for what is written while the dump goes on; TMPDIR names another folder for an archive that is a stream",
        };
        Self {
            spool: Spool::in_folder(folder, purpose),
            segments: Vec::new(),
            written: Written::default(),
        }
    }

    /// Appends a segment. Blocks.
    pub(super) fn push(&mut self, segment: &PackedSegment) -> Result<()> {
        let kept = self.spool.append(&segment.bytes)?;
        self.written.add(segment);
        self.segments.push(Waiting {
            kept,
            documents: segment.documents,
            uncompressed_bytes: segment.uncompressed_bytes,
            checksum: segment.checksum.clone(),
        });
        Ok(())
    }

    /// Gives the segments back, in order. Each blocks.
    pub(super) fn take(mut self) -> impl Iterator<Item = Result<PackedSegment>> {
        let segments = std::mem::take(&mut self.segments);
        segments.into_iter().map(move |waiting| {
            Ok(PackedSegment {
                bytes: self.spool.read(&waiting.kept)?.into(),
                documents: waiting.documents,
                uncompressed_bytes: waiting.uncompressed_bytes,
                checksum: waiting.checksum,
                reached: None,
            })
        })
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
            reached: None,
        }
    }

    #[test]
    fn segments_come_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = HeldBack::in_folder(folder.path().to_owned());
        let segments: Vec<_> = (1..=5).map(|byte| segment(2 << 20, byte)).collect();
        for segment in &segments {
            held.push(segment).unwrap();
        }
        assert_eq!(
            (held.written.documents, held.written.stored_bytes),
            (15, 10 << 20)
        );
        let taken: Vec<_> = held.take().map(Result::unwrap).collect();
        for (taken, segment) in taken.iter().zip(&segments) {
            assert_eq!(taken.bytes, segment.bytes);
            assert_eq!(taken.documents, segment.documents);
            assert_eq!(taken.uncompressed_bytes, segment.uncompressed_bytes);
            assert_eq!(taken.checksum, segment.checksum);
        }
        assert_eq!(taken.len(), 5);
    }
}
