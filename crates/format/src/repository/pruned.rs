//! That what was captured until a moment was removed on purpose.

use serde::{Deserialize, Serialize};

use super::timeline::{at_name, of_name};
use super::{READ_BY, RecordError, RepositoryId, TIMELINE, from_bytes, to_bytes};
use crate::OpTime;
use crate::frame::Frame;
use crate::manifest::FormatVersion;

const PRUNED: &str = ".pruned.json";

/// That slices and gaps which end before a moment were removed, since nothing that was kept needs them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PrunedRecord {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The repository that they were in.
    pub repository: RepositoryId,
    /// What ends before this moment is not there any more, or is about to go.
    pub before: OpTime,
    /// When: RFC 3339, UTC.
    pub pruned_at: String,
}

impl PrunedRecord {
    /// That what ends before a moment is removed.
    pub fn new(repository: RepositoryId, before: OpTime, pruned_at: impl Into<String>) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            repository,
            before,
            pruned_at: pruned_at.into(),
        }
    }

    /// Where the object is.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{TIMELINE}{}{PRUNED}", at_name(self.before))
    }

    /// The moment of the record at a path, if there is one.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<OpTime> {
        of_name(path.strip_prefix(TIMELINE)?.strip_suffix(PRUNED)?)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        to_bytes(Frame::Pruned, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        from_bytes(Frame::Pruned, bytes)
    }
}
