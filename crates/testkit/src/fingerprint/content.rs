//! Digests of documents.

use std::collections::HashMap;

use bson::RawDocument;
use sha2::{Digest as _, Sha256};

use crate::raw::value_bytes;

/// SHA-256 of one document.
pub(super) type DocumentDigest = [u8; 32];

/// The documents of one collection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// A view has none of its own.
    View,
    /// Documents in any order.
    Set(DocumentSet),
    /// Documents of a capped collection, in their natural order.
    Sequence(Vec<DocumentDigest>, u64),
    /// The stored documents of a time-series (buckets or measurements), and the number of measurements.
    TimeSeries(DocumentSet, u64),
}

/// Documents in any order.
#[derive(Clone, Debug)]
pub struct DocumentSet {
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Sum of all digests as 256-bit integers: the same in every order.
    pub(super) sum: [u64; 4],
    /// Digests by the bytes of `_id`, unless there are too many.
    pub(super) by_id: Option<HashMap<Vec<u8>, DocumentDigest>>,
    max_by_id: u64,
}

impl Content {
    /// Number of documents or measurements.
    pub fn documents(&self) -> u64 {
        match self {
            Self::View => 0,
            Self::Set(set) => set.count,
            Self::Sequence(digests, _) => digests.len() as u64,
            Self::TimeSeries(_, measurements) => *measurements,
        }
    }

    /// Bytes of the stored documents.
    pub fn document_bytes(&self) -> u64 {
        match self {
            Self::View => 0,
            Self::Set(set) | Self::TimeSeries(set, _) => set.bytes,
            Self::Sequence(_, bytes) => *bytes,
        }
    }
}

impl DocumentSet {
    pub(super) fn new(max_by_id: u64) -> Self {
        Self {
            count: 0,
            bytes: 0,
            sum: [0; 4],
            by_id: Some(HashMap::new()),
            max_by_id,
        }
    }

    pub(super) fn add(&mut self, document: &RawDocument) {
        let digest = digest(document);
        self.count += 1;
        self.bytes += document.as_bytes().len() as u64;
        add(&mut self.sum, &digest);
        if self.count > self.max_by_id {
            self.by_id = None;
        }
        if let Some(by_id) = &mut self.by_id {
            let id = value_bytes(document, "_id").unwrap_or_else(|| digest.to_vec());
            by_id.insert(id, digest);
        }
    }
}

impl PartialEq for DocumentSet {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.bytes, self.sum) == (other.count, other.bytes, other.sum)
    }
}

pub(super) fn digest(document: &RawDocument) -> DocumentDigest {
    Sha256::digest(document.as_bytes()).into()
}

/// Adds a digest to a sum, modulo 2^256.
fn add(sum: &mut [u64; 4], digest: &DocumentDigest) {
    let mut carry = false;
    for (limb, bytes) in sum.iter_mut().zip(digest.as_chunks::<8>().0) {
        let (partial, first) = limb.overflowing_add(u64::from_le_bytes(*bytes));
        let (total, second) = partial.overflowing_add(u64::from(carry));
        *limb = total;
        carry = first || second;
    }
}
