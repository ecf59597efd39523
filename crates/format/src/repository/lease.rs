//! Who writes what, so that nobody else does.

use serde::{Deserialize, Serialize};

use super::{READ_BY, RecordError, SnapshotId, from_bytes, to_bytes};
use crate::frame::Frame;
use crate::manifest::FormatVersion;

/// Where the leases are, and nothing else.
pub const LEASES: &str = "leases/";

/// Who writes something, and until when nobody else may. The only object of a repository that is replaced: each time under the
/// condition that it is still the one that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LeaseRecord {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// What is written: the name of the object without its extension.
    pub name: String,
    /// How often it was taken, which fences off whoever had it before: grows by one whenever somebody else takes it.
    pub number: u64,
    /// The machine of whoever has it, for people.
    pub host: String,
    /// The process of whoever has it, told from any other, so that it is known to be dead where that can be seen. Empty where
    /// it cannot.
    pub process: String,
    /// When it was taken: RFC 3339, UTC.
    pub taken_at: String,
    /// From when on somebody else may take it, unless it is renewed: RFC 3339, UTC.
    pub expires_at: String,
    /// Of a capture that has renewed it: what waited then to be stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingRecord>,
}

/// What somebody had read and not stored at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WaitingRecord {
    /// How much, in bytes before compression.
    pub bytes: u64,
    /// The moment: RFC 3339, UTC.
    pub at: String,
}

impl WaitingRecord {
    /// So many bytes at a moment.
    pub fn new(bytes: u64, at: impl Into<String>) -> Self {
        Self {
            bytes,
            at: at.into(),
        }
    }
}

impl LeaseRecord {
    /// A lease that nobody had before.
    pub fn new(
        name: impl Into<String>,
        host: impl Into<String>,
        process: impl Into<String>,
        taken_at: impl Into<String>,
        expires_at: impl Into<String>,
    ) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            name: name.into(),
            number: 1,
            host: host.into(),
            process: process.into(),
            taken_at: taken_at.into(),
            expires_at: expires_at.into(),
            waiting: None,
        }
    }

    /// Where the object is.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{LEASES}{}.json", self.name)
    }

    /// The snapshot whose lease is at a path, if it is one.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<SnapshotId> {
        let name = path.strip_prefix(LEASES)?.strip_suffix(".json")?;
        name.parse().ok()
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        to_bytes(Frame::Lease, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        from_bytes(Frame::Lease, bytes)
    }
}
