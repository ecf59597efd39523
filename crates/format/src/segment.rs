//! Segments: runs of whole documents, compressed and checked together.
//!
//! A data file is a sequence of segments with nothing between them. Each is one gzip member, one
//! zstd frame or plain documents, so it can be found, checked and decompressed by itself. See
//! `docs/format.md`, *Segments*.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::codec::{Codec, CodecError, Compressor, decompress};
use crate::digest::{Digest, Digester};
use crate::framing::{FrameError, check_document, documents};

/// The longest segment that a manifest may list, in bytes, before compression and as stored: 1 GiB,
/// and 32 MiB for the document that goes beyond it and for what compression may add.
///
/// Whoever reads a segment needs memory for all of it.
pub const MAX_SEGMENT_BYTES: u64 = (1 << 30) + (32 << 20);

/// Gathers the documents of one namespace into segments. No I/O and no clock: the same documents
/// give the same segments.
///
/// Buffers can go round: hand the `body` of a segment that is done with back by
/// [`replace_buffer`](Self::replace_buffer), and no memory is allocated once as many buffers as are
/// in flight have grown to their size.
#[derive(Debug)]
pub struct SegmentBuilder {
    limit_bytes: usize,
    body: Vec<u8>,
    documents: u64,
    spare: Vec<u8>,
}

impl SegmentBuilder {
    /// Seals segments at `limit_bytes` of uncompressed documents.
    ///
    /// A document is never split, so a segment may be longer by less than one document.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self::with_buffer(limit_bytes, Vec::new())
    }

    /// As [`new`](Self::new), gathering into `buffer`, whose content is dropped.
    #[must_use]
    pub fn with_buffer(limit_bytes: usize, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self {
            limit_bytes,
            body: buffer,
            documents: 0,
            spare: Vec::new(),
        }
    }

    /// Adds `doc`; returns the segment if `doc` filled it.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when `doc` is not one whole document; nothing is added then.
    pub fn push(&mut self, doc: &[u8]) -> Result<Option<Segment>, FrameError> {
        check_document(doc)?;
        self.body.extend_from_slice(doc);
        self.documents = self.documents.saturating_add(1);
        if self.body.len() < self.limit_bytes {
            Ok(None)
        } else {
            Ok(Some(self.take()))
        }
    }

    /// Whether no document waits to be sealed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents == 0
    }

    /// Gives `buffer` to the next segment that has none; its content is dropped. At most one is
    /// kept.
    pub fn replace_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if self.body.capacity() == 0 {
            self.body = buffer;
        } else {
            self.spare = buffer;
        }
    }

    /// The segment of the documents that are left, if any.
    #[must_use]
    pub fn finish(mut self) -> Option<Segment> {
        if self.is_empty() {
            None
        } else {
            Some(self.take())
        }
    }

    fn take(&mut self) -> Segment {
        let body = std::mem::replace(&mut self.body, std::mem::take(&mut self.spare));
        Segment {
            body,
            documents: std::mem::take(&mut self.documents),
        }
    }
}

/// Whole documents of one namespace, not yet compressed.
///
/// The default is the segment without documents: the one segment of a compressed data file that
/// holds none.
#[derive(Debug, Default)]
pub struct Segment {
    /// The documents, one after another.
    pub body: Vec<u8>,
    /// How many they are.
    pub documents: u64,
}

impl Segment {
    /// Compresses the documents into `out`, whose content is dropped, and returns it: what is to be
    /// stored.
    ///
    /// # Errors
    ///
    /// [`CodecError`] from the compressor.
    pub fn seal(
        &self,
        compressor: &mut Compressor,
        mut out: Vec<u8>,
    ) -> Result<Vec<u8>, CodecError> {
        out.clear();
        compressor.compress(&self.body, &mut out)?;
        Ok(out)
    }
}

/// What a manifest says about one segment.
///
/// Serialized as an array, since a manifest holds many: `[documents, uncompressed_bytes,
/// stored_bytes, "sha256"]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "(u64, u64, u64, Digest)", from = "(u64, u64, u64, Digest)")]
pub struct SegmentRecord {
    /// Number of documents.
    pub documents: u64,
    /// Length of the documents, in bytes.
    pub uncompressed_bytes: u64,
    /// Length as stored, in bytes.
    pub stored_bytes: u64,
    /// Digest of what is stored: in a folder of the file from its first byte to the end of the segment, in a snapshot of the
    /// segment alone.
    pub sha256: Digest,
}

impl SegmentRecord {
    /// Describes a segment of `documents` documents, `uncompressed_bytes` long, that is `stored` after what
    /// `digester` has seen; it has seen the segment too then.
    #[must_use]
    pub fn of(
        documents: u64,
        uncompressed_bytes: u64,
        stored: &[u8],
        digester: &mut Digester,
    ) -> Self {
        digester.update(stored);
        Self {
            documents,
            uncompressed_bytes,
            stored_bytes: stored.len() as u64,
            sha256: digester.clone().finish(),
        }
    }

    /// Appends the documents that `stored` holds to `out`, if `stored` is what this record describes
    /// and `digester` has seen what is stored before it; it has seen the segment too then.
    ///
    /// Length and digest are compared before anything is decompressed; then the decompressed
    /// length, the framing of every document and their number.
    ///
    /// # Errors
    ///
    /// [`SegmentError`]; `out` is then as it was before. After [`SegmentError::StoredLength`] and
    /// [`SegmentError::Digest`] the digests of later segments say nothing any more.
    pub fn open(
        &self,
        codec: Codec,
        stored: &[u8],
        digester: &mut Digester,
        out: &mut Vec<u8>,
    ) -> Result<(), SegmentError> {
        self.check_stored(stored, digester)?;
        self.decode(codec, stored, out)
    }

    /// As [`open`](Self::open), of what was checked and decrypted.
    ///
    /// # Errors
    ///
    /// As `open` has them, but for those of length and digest as stored.
    pub fn decode(
        &self,
        codec: Codec,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SegmentError> {
        let start = out.len();
        decompress(codec, bytes, self.uncompressed_bytes, out)
            .map_err(|source| SegmentError::Codec { source })?;
        let outcome = self.check_documents(out.get(start..).unwrap_or_default());
        if outcome.is_err() {
            out.truncate(start);
        }
        outcome
    }

    /// As [`open`](Self::open), of a segment that is not compressed, where it lies.
    ///
    /// # Errors
    ///
    /// As `open` has them.
    pub fn check_plain(&self, stored: &[u8], digester: &mut Digester) -> Result<(), SegmentError> {
        self.check_stored(stored, digester)?;
        self.check_documents(stored)
    }

    /// As [`open`](Self::open), of length and digest alone.
    ///
    /// # Errors
    ///
    /// [`SegmentError::StoredLength`] and [`SegmentError::Digest`].
    pub fn check_stored(&self, stored: &[u8], digester: &mut Digester) -> Result<(), SegmentError> {
        if stored.len() as u64 != self.stored_bytes {
            return Err(SegmentError::StoredLength {
                recorded: self.stored_bytes,
                actual: stored.len() as u64,
            });
        }
        digester.update(stored);
        if digester.clone().finish() != self.sha256 {
            return Err(SegmentError::Digest {
                recorded: self.sha256,
            });
        }
        Ok(())
    }

    fn check_documents(&self, body: &[u8]) -> Result<(), SegmentError> {
        let counted = documents(body).try_fold(0_u64, |count, document| {
            document.map(|_| count.saturating_add(1))
        });
        let actual = counted.map_err(|source| SegmentError::Framing { source })?;
        if body.len() as u64 != self.uncompressed_bytes {
            return Err(SegmentError::Length {
                recorded: self.uncompressed_bytes,
                actual: body.len() as u64,
            });
        }
        if actual != self.documents {
            return Err(SegmentError::Documents {
                recorded: self.documents,
                actual,
            });
        }
        Ok(())
    }
}

impl From<(u64, u64, u64, Digest)> for SegmentRecord {
    fn from(
        (documents, uncompressed_bytes, stored_bytes, sha256): (u64, u64, u64, Digest),
    ) -> Self {
        Self {
            documents,
            uncompressed_bytes,
            stored_bytes,
            sha256,
        }
    }
}

impl From<SegmentRecord> for (u64, u64, u64, Digest) {
    fn from(record: SegmentRecord) -> Self {
        (
            record.documents,
            record.uncompressed_bytes,
            record.stored_bytes,
            record.sha256,
        )
    }
}

/// Why stored bytes are not the segment that a manifest describes. The caller knows which file and
/// segment it is.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum SegmentError {
    #[error("segment is {actual} bytes long, but the manifest recorded {recorded}")]
    StoredLength { recorded: u64, actual: u64 },
    #[error("SHA-256 up to the end of the segment is not {recorded}, which the manifest recorded")]
    Digest { recorded: Digest },
    #[error("cannot decompress the segment")]
    Codec { source: CodecError },
    #[error("segment does not hold whole documents")]
    Framing { source: FrameError },
    #[error("segment holds {actual} bytes of documents, but the manifest recorded {recorded}")]
    Length { recorded: u64, actual: u64 },
    #[error("segment holds {actual} documents, but the manifest recorded {recorded}")]
    Documents { recorded: u64, actual: u64 },
}
