//! A repository: a place that holds snapshots, and what says what is in each.
//!
//! ```text
//! repository.json                              which repository this is
//! keys/<id>-<n>.json                           the keys of an encrypted snapshot, wrapped
//! begun/<id>-<attempt>.json                    who began a snapshot, from what, how
//! snapshots/<id>/catalog/<attempt>-0.bson.zst  every namespace, as raw as the server gave it
//! snapshots/<id>/data/<attempt>-<n>.bson.zst   the documents of one namespace, in segments
//! snapshots/<id>/parts/<attempt>-<n>.bson.zst  what is in which data object, and its digests
//! manifests/<id>.json                          what the snapshot is made of; without it there is none
//! copies/<id>.json                             the same bytes
//! timeline/<start>-<end>-<timeline>.bson.zst   what was written to the source in a span of time
//! timeline/<start>-<end>-<timeline>.gap.json   that this is not known, and why
//! verified/<id>-<n>.json                       what was looked at again, and found
//! leases/<id>.json                             who writes a snapshot now
//! audit/<rest>-<n>.json                        who did what, when, with which result
//! ```
//!
//! Every object but the leases is written once. See `docs/format.md`, *Repository*.

mod audit;
mod catalog;
mod error;
mod id;
mod id_range;
mod keys;
mod lease;
mod manifest;
mod part;
mod pruned;
mod slice;
#[cfg(test)]
mod tests;
mod timeline;
mod verification;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use audit::{
    AUDIT, AuditActor, AuditEntry, AuditError, AuditResult, AuditSubject, AuditVerb,
    MAX_AUDIT_BYTES, MAX_AUDIT_NUMBER, audit_path,
};
pub use catalog::CatalogEntry;
pub use error::{RecordError, RecordFault};
pub use id::{IdError, RepositoryId, SNAPSHOTS, SnapshotId};
pub use id_range::IdRange;
pub use keys::{
    DataKeys, ENCRYPTED_EXTENSION, EncryptionError, KEYS, KeyRecord, NONCE_BYTES, PrivatePlace,
    PrivateRun,
};
pub use lease::{LEASES, LeaseRecord, WaitingRecord};
pub use manifest::{SnapshotManifest, StoredObject};
pub use part::{
    DataObject, NamespaceEnd, NamespaceProgress, Part, PartBuilder, PartIndex, StoredSegments,
};
pub use pruned::PrunedRecord;
pub use slice::{
    EntryMark, GapReason, GapRecord, OplogSlice, Previous, SliceFooter, SliceHeader, SliceSource,
    Unseen,
};
pub use timeline::{NoWay, SpanKind, SpanName, Stretch, TIMELINE, Timeline, TimelineId};
pub use verification::{VERIFIED, VerificationRecord};

use crate::frame::Frame;
use crate::manifest::{FormatVersion, SourceRecord};
use std::collections::BTreeMap;

/// The name of the object that says which repository it is.
pub const REPOSITORY_FILE: &str = "repository.json";

/// Where the manifests are, and nothing else.
pub const MANIFESTS: &str = "manifests/";

/// Where the copies of the manifests are, and nothing else.
pub const MANIFEST_COPIES: &str = "copies/";

/// Where the [`BegunRecord`]s are, and nothing else.
pub const BEGUN: &str = "begun/";

/// The longest [`RepositoryRecord`], [`BegunRecord`] or [`SnapshotManifest`] that is written or read, in bytes: 64 MiB.
pub const MAX_RECORD_BYTES: u64 = 64 << 20;

/// The oldest release of rdump that reads what this one writes.
pub const READ_BY: &str = "0.1.0";

/// Which repository it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RepositoryRecord {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// Which one it is, everywhere and for ever.
    pub id: RepositoryId,
    /// When it was made: RFC 3339, UTC.
    pub created_at: String,
}

impl RepositoryRecord {
    /// A repository of the current version.
    pub fn new(id: RepositoryId, created_at: impl Into<String>) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            id,
            created_at: created_at.into(),
        }
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        to_bytes(Frame::Repository, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        from_bytes(Frame::Repository, bytes)
    }
}

/// Who began a snapshot or went on with it: there is one for every attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BegunRecord {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The repository where it was begun.
    pub repository: RepositoryId,
    /// The snapshot that is begun.
    pub id: SnapshotId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it began: RFC 3339, UTC.
    pub started_at: String,
    /// The version of the tool.
    pub tool_version: String,
    /// What is backed up.
    pub source: SourceRecord,
    /// The options of the run, as data; `null` if they are private.
    pub options: serde_json::Value,
    /// What the snapshot is marked with.
    pub tags: BTreeMap<String, String>,
    /// The options of the run if the snapshot is encrypted: a [`PrivateRun`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<String>,
    /// The moment from which on the oplog brings to one moment what this attempt stored, `seconds:ordinal`. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_from: Option<String>,
    /// The moment that everything is read at, with the consistency `snapshot`: `seconds:ordinal`. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
}

impl BegunRecord {
    /// A first attempt, begun now by this release with default options.
    pub fn new(
        repository: RepositoryId,
        id: SnapshotId,
        source: SourceRecord,
        tool_version: impl Into<String>,
        started_at: impl Into<String>,
    ) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            repository,
            id,
            attempt: 1,
            started_at: started_at.into(),
            tool_version: tool_version.into(),
            source,
            options: serde_json::Value::Null,
            tags: BTreeMap::new(),
            private: None,
            captured_from: None,
            read_at: None,
        }
    }

    /// Where the object is.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{BEGUN}{}-{}.json", self.id, self.attempt)
    }

    /// Which snapshot and which attempt the object is of that is at a path, if it is one.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<(SnapshotId, u32)> {
        numbered_record(path.strip_prefix(BEGUN)?)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        to_bytes(Frame::Begun, self.version, self)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        from_bytes(Frame::Begun, bytes)
    }
}

/// What a name such as `<id>-<number>.json` is made of.
fn numbered_record(name: &str) -> Option<(SnapshotId, u32)> {
    let (id, number) = name.strip_suffix(".json")?.rsplit_once('-')?;
    let number = number
        .parse()
        .ok()
        .filter(|parsed: &u32| parsed.to_string() == number);
    Some((id.parse().ok()?, number?))
}

/// The bytes of an object of one line.
fn to_bytes(
    frame: Frame,
    version: FormatVersion,
    value: &impl Serialize,
) -> Result<Vec<u8>, RecordError> {
    let fail = |fault| RecordError::new(frame, fault);
    version
        .check_readable()
        .map_err(|source| fail(RecordFault::OtherVersion { source }))?;
    let text = serde_json::to_string(value)
        .map_err(|source| fail(RecordFault::json(source, frame.value_offset())))?;
    let bytes = frame.wrap(&text);
    match bytes.len() as u64 {
        0..=MAX_RECORD_BYTES => Ok(bytes),
        bytes => Err(fail(RecordFault::TooLong { bytes })),
    }
}

/// What an object of one line says.
fn from_bytes<T: DeserializeOwned>(frame: Frame, bytes: &[u8]) -> Result<T, RecordError> {
    /// The part of every version, past and future, that says which version it is and who reads it.
    #[derive(Deserialize)]
    struct Versioned {
        version: FormatVersion,
        read_by: String,
    }

    let fail = |fault| RecordError::new(frame, fault);
    let value = frame.unwrap(bytes).map_err(|fault| fail(fault.into()))?;
    let json = |source| fail(RecordFault::json(source, frame.value_offset()));
    let Versioned { version, read_by } = serde_json::from_slice(value).map_err(json)?;
    if version > FormatVersion::CURRENT {
        return Err(fail(RecordFault::TooNew {
            found: version,
            read_by,
        }));
    }
    version
        .check_readable()
        .map_err(|source| fail(RecordFault::OtherVersion { source }))?;
    serde_json::from_slice(value).map_err(json)
}
