//! What was found when a snapshot was verified.

use serde::{Deserialize, Serialize};

use super::{READ_BY, RecordError, RepositoryId, SnapshotId, from_bytes, to_bytes};
use crate::frame::Frame;
use crate::manifest::FormatVersion;

/// Where the records of verifications are, and nothing else.
pub const VERIFIED: &str = "verified/";

/// One look at a snapshot, so that the next one takes another part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VerificationRecord {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The repository that it is in.
    pub repository: RepositoryId,
    /// The snapshot that was looked at.
    pub id: SnapshotId,
    /// Which look this is, from 1.
    pub number: u32,
    /// When it ended: RFC 3339, UTC.
    pub verified_at: String,
    /// Whether every document was walked.
    pub deep: bool,
    /// Where it began in the stored bytes of all data objects, in the order of the manifest.
    pub from: u64,
    /// How many of these bytes were read; those at the end are followed by those at the beginning.
    pub bytes: u64,
    /// How many places were damaged.
    pub damaged: u64,
}

impl VerificationRecord {
    /// A first look that found nothing to look at.
    pub fn new(repository: RepositoryId, id: SnapshotId, verified_at: impl Into<String>) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            repository,
            id,
            number: 1,
            verified_at: verified_at.into(),
            deep: false,
            from: 0,
            bytes: 0,
            damaged: 0,
        }
    }

    /// Where the object is.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{VERIFIED}{}-{}.json", self.id, self.number)
    }

    /// Which snapshot and which look the object is of that is at a path, if it is one.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<(SnapshotId, u32)> {
        super::numbered_record(path.strip_prefix(VERIFIED)?)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        to_bytes(Frame::Verification, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        from_bytes(Frame::Verification, bytes)
    }
}
