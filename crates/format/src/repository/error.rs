//! Why bytes are not what an object of a repository should be.

use std::error::Error;

use super::MAX_RECORD_BYTES;
use crate::digest::Digest;
use crate::frame::{Fault, Frame};
use crate::manifest::{FormatVersion, VersionError};
use crate::namespace::Namespace;

/// Why bytes are not a record of a repository, or why it cannot be written. Offsets count bytes from the start of the
/// object.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be used: {fault}")]
#[non_exhaustive]
pub struct RecordError {
    /// What it should be.
    pub what: &'static str,
    /// Why it is not.
    pub fault: RecordFault,
}

impl RecordError {
    pub(super) fn new(frame: Frame, fault: RecordFault) -> Self {
        let what = match frame {
            Frame::Manifest => "manifest",
            Frame::Repository => "record of the repository",
            Frame::Begun => "record of an attempt",
            Frame::Verification => "record of a verification",
            Frame::Keys => "record of the keys",
            Frame::Lease => "lease",
            Frame::Slice => "slice of the oplog",
            Frame::SliceEnd => "end of a slice of the oplog",
            Frame::Gap => "record of a gap",
            Frame::Pruned => "record of what was pruned",
            Frame::Audit => "entry of the audit record",
        };
        Self { what, fault }
    }

    /// That a namespace would end more than once in a snapshot.
    #[must_use]
    pub fn ended_twice(namespace: &Namespace) -> Self {
        Self::part(RecordFault::contradiction(
            "a namespace ends twice",
            namespace.to_string(),
        ))
    }

    pub(super) fn part(fault: RecordFault) -> Self {
        let what = "part of the manifest";
        Self { what, fault }
    }

    pub(super) fn catalog(fault: RecordFault) -> Self {
        let what = "catalog";
        Self { what, fault }
    }
}

/// What is wrong with a record of a repository.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum RecordFault {
    #[error("it is {bytes} bytes long, and {MAX_RECORD_BYTES} are possible")]
    TooLong { bytes: u64 },
    #[error("it is something else, or cut short: expected {expected:?} at byte {offset}")]
    Frame {
        offset: usize,
        expected: &'static str,
    },
    #[error("it was changed: the SHA-256 of its value is not {recorded}, as it recorded")]
    Digest { recorded: Digest },
    #[error(
        "it is of format version {found}, and this release reads up to {}: rdump {} and newer releases read it",
        FormatVersion::CURRENT, .read_by.escape_debug()
    )]
    TooNew {
        found: FormatVersion,
        read_by: String,
    },
    #[error("{source}")]
    OtherVersion { source: VersionError },
    #[error("its value is not what the format says, near byte {offset}: {source}")]
    Json {
        offset: usize,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("document {number} is not what the format says: {source}")]
    Document {
        number: u64,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("{problem}: {about}")]
    Contradiction {
        about: String,
        problem: &'static str,
    },
}

impl RecordFault {
    /// A fault of the JSON in one line that starts at byte `start`.
    pub(super) fn json(source: serde_json::Error, start: usize) -> Self {
        Self::Json {
            offset: start.saturating_add(source.column().saturating_sub(1)),
            source: source.into(),
        }
    }

    pub(super) fn contradiction(problem: &'static str, about: impl Into<String>) -> Self {
        let about = about.into();
        Self::Contradiction { about, problem }
    }
}

impl From<Fault> for RecordFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Expected { offset, expected } => Self::Frame { offset, expected },
            Fault::Digest { recorded } => Self::Digest { recorded },
        }
    }
}
