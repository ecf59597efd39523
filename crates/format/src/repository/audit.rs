//! Who did what, when, with which result.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{READ_BY, RecordError, RecordFault, RepositoryId, SnapshotId, from_bytes, to_bytes};
use crate::OpTime;
use crate::digest::Digest;
use crate::frame::Frame;
use crate::manifest::FormatVersion;

/// Where the entries of the audit record are, and nothing else.
pub const AUDIT: &str = "audit/";

/// The longest entry that is written or read, in bytes: 64 KiB.
pub const MAX_AUDIT_BYTES: u64 = 64 << 10;

/// The highest number of an entry.
pub const MAX_AUDIT_NUMBER: u64 = 999_999_999_999;

/// One entry of the audit record. Each has the digest of the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditEntry {
    /// The version of this format.
    pub version: FormatVersion,
    /// The oldest release that reads it.
    pub read_by: String,
    /// The repository that it is in.
    pub repository: RepositoryId,
    /// Which entry this is, from 1.
    pub number: u64,
    /// The digest of the object of the entry before it; of the first there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// What the entries of one operation have in common, and no others: 16 hexadecimal digits.
    pub operation: String,
    /// When it was written: RFC 3339, UTC.
    pub at: String,
    /// Who did it.
    pub who: AuditActor,
    /// What was done.
    pub verb: AuditVerb,
    /// What came of it.
    pub result: AuditResult,
    /// To what, from where and to where.
    #[serde(default, skip_serializing_if = "AuditSubject::is_empty")]
    pub subject: AuditSubject,
    /// How much of what, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, u64>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AuditError>,
}

/// Who did something, as they say it themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditActor {
    /// The user of the operating system, or empty.
    pub user: String,
    /// What a service or a person calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name of the machine.
    pub host: String,
    /// The number of the process.
    pub process: u32,
    /// The version of the tool.
    pub tool_version: String,
}

/// What was done to what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditSubject {
    /// The snapshot, or the run of a capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotId>,
    /// The moment that it begins after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<OpTime>,
    /// The moment that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<OpTime>,
    /// The deployment or the place that it came from, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The deployment or the place that it went to, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditError {
    /// What kind of failure it was.
    pub kind: String,
    /// More, for people: nothing that was stored, and nothing at all where what is stored is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl AuditError {
    /// A failure of a kind.
    pub fn new(kind: impl Into<String>, message: Option<String>) -> Self {
        let kind = kind.into();
        Self { kind, message }
    }
}

/// An enum of words, each of which is written as it is shown.
macro_rules! words {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().find(|it| it.as_str() == text);
                found.copied().ok_or_else(|| {
                    let all: Vec<_> = Self::ALL.iter().map(|it| it.as_str()).collect();
                    format!("{text:?} is none of {}", all.join(", "))
                })
            }
        }
    };
}

words! {
    /// What was done. A verb more is a variant more.
    AuditVerb {
        /// A repository was made of an empty place.
        Init = "init",
        /// A snapshot was taken.
        Backup = "backup",
        /// A dump of another medium was made a snapshot.
        Import = "import",
        /// What is written to a deployment was captured.
        Capture = "capture",
        /// A capture found that something is missing.
        Gap = "gap",
        /// A snapshot, or a moment after it, was restored.
        Restore = "restore",
        /// A restore was tried, and thrown away.
        Drill = "drill",
        /// Data was moved to another storage class.
        Tier = "tier",
        /// A store was asked to make frozen data readable.
        Thaw = "thaw",
        /// A snapshot was read again.
        Verify = "verify",
        /// What was captured was read again.
        VerifyTimeline = "verify-timeline",
        /// What a policy does not keep was deleted.
        Prune = "prune",
        /// Snapshots, or what was captured, were brought to another place.
        Copy = "copy",
        /// The keys of a snapshot were wrapped anew.
        Rekey = "rekey",
        /// A snapshot was written as one stream.
        Bundle = "bundle",
        /// A stream was made a snapshot.
        Unbundle = "unbundle",
        /// A snapshot was written to another medium.
        Export = "export",
        /// What was captured was written as a file.
        OplogExport = "oplog-export",
    }
}

words! {
    /// What came of it.
    AuditResult {
        /// It begins. Another entry of the same operation says how it ended, unless it was killed.
        Started = "started",
        /// It is done.
        Done = "done",
        /// It is done, and not all is as it should be.
        Problems = "problems",
        /// It ended by an error.
        Failed = "failed",
        /// It was stopped as asked.
        Cancelled = "cancelled",
    }
}

impl AuditSubject {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AuditEntry {
    /// A first entry.
    pub fn new(
        repository: RepositoryId,
        operation: impl Into<String>,
        at: impl Into<String>,
        who: AuditActor,
        (verb, result): (AuditVerb, AuditResult),
    ) -> Self {
        Self {
            version: FormatVersion::CURRENT,
            read_by: READ_BY.to_owned(),
            repository,
            number: 1,
            previous: None,
            operation: operation.into(),
            at: at.into(),
            who,
            verb,
            result,
            subject: AuditSubject::default(),
            figures: BTreeMap::new(),
            error: None,
        }
    }

    /// Where the object is: the newest is the first of a listing.
    #[must_use]
    pub fn path(&self) -> String {
        audit_path(self.number)
    }

    /// The number of the entry at a path, if there can be one.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<u64> {
        let name = path.strip_prefix(AUDIT)?.strip_suffix(".json")?;
        let number = name.split_once('-')?.1.parse().ok()?;
        let is_number = (1..=MAX_AUDIT_NUMBER).contains(&number);
        (is_number && audit_path(number) == path).then_some(number)
    }

    /// The bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when [`from_bytes`](Self::from_bytes) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        self.check()?;
        let bytes = to_bytes(Frame::Audit, self.version, self)?;
        check_length(&bytes)?;
        Ok(bytes)
    }

    /// Reads the bytes of the object.
    ///
    /// # Errors
    ///
    /// [`RecordError`]: it was changed, is of a newer version, or is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        check_length(bytes)?;
        let entry: Self = from_bytes(Frame::Audit, bytes)?;
        entry.check()?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), RecordError> {
        let number = self.number;
        let problem = if !(1..=MAX_AUDIT_NUMBER).contains(&number) {
            "the number is none that an entry can have"
        } else if (number == 1) != self.previous.is_none() {
            "the first entry, and it alone, has none before it"
        } else {
            return Ok(());
        };
        let fault = RecordFault::contradiction(problem, number.to_string());
        Err(RecordError::new(Frame::Audit, fault))
    }
}

/// Where the entry of a number is.
#[must_use]
pub fn audit_path(number: u64) -> String {
    // The newest has the lowest name, so that it is found without listing all others.
    let before = (MAX_AUDIT_NUMBER + 1).saturating_sub(number);
    format!("{AUDIT}{before:012}-{number}.json")
}

fn check_length(bytes: &[u8]) -> Result<(), RecordError> {
    match bytes.len() as u64 {
        0..=MAX_AUDIT_BYTES => Ok(()),
        bytes => {
            let problem = "it is longer than an entry may be, in bytes";
            let fault = RecordFault::contradiction(problem, bytes.to_string());
            Err(RecordError::new(Frame::Audit, fault))
        }
    }
}
