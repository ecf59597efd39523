//! Why bytes are not an archive, and why one cannot be written.

use std::fmt;

use super::FORMAT_VERSION;
use crate::framing::MAX_DOCUMENT_BYTES;
use crate::namespace::Namespace;
use crate::validate::InvalidBson;

/// How many namespaces a message names before it only counts the others.
const NAMED: usize = 5;

/// Why bytes are not an archive, or not a whole one. Offsets count bytes from the start of the
/// archive, before compression.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum ArchiveError {
    #[error("not an archive of mongodump: it starts with {found:#010x}, not with 0x8199e26d")]
    BadMagic { found: u32 },
    #[error(
        "archive has version {version:?} of the format at byte {offset}, and only {FORMAT_VERSION:?} is known"
    )]
    Version { offset: u64, version: String },
    #[error("archive ends at byte {offset}, inside {inside}")]
    Truncated { offset: u64, inside: ArchivePart },
    #[error(
        "document at byte {offset}, inside {inside}, claims to be {length} bytes long, and 5 to {MAX_DOCUMENT_BYTES} are possible"
    )]
    Length {
        offset: u64,
        inside: ArchivePart,
        length: i32,
    },
    #[error("document at byte {offset}, inside {inside}, does not end with a zero byte")]
    Unterminated { offset: u64, inside: ArchivePart },
    #[error("terminator at byte {offset} stands where {expected} should be")]
    NoHeader { offset: u64, expected: ArchivePart },
    #[error("document at byte {offset} follows the header that ends {namespace}")]
    DocumentAfterEnd {
        offset: u64,
        namespace: Box<Namespace>,
    },
    #[error("header at byte {offset} names {namespace}, which has ended already")]
    HeaderAfterEnd {
        offset: u64,
        namespace: Box<Namespace>,
    },
    #[error("header at byte {offset} names {namespace}, for which the prelude has no metadata")]
    NoMetadata {
        offset: u64,
        namespace: Box<Namespace>,
    },
    #[error("prelude has other metadata of {namespace} a second time, at byte {offset}")]
    ListedTwice {
        offset: u64,
        namespace: Box<Namespace>,
    },
    #[error("{inside} at byte {offset} is not a sound document")]
    Bson {
        offset: u64,
        inside: ArchivePart,
        source: InvalidBson,
    },
    #[error("{inside} at byte {offset} has the field {field:?}, which is unknown or there twice")]
    UnexpectedField {
        offset: u64,
        inside: ArchivePart,
        field: String,
    },
    #[error("{inside} at byte {offset} lacks the field {field:?}")]
    MissingField {
        offset: u64,
        inside: ArchivePart,
        field: &'static str,
    },
    #[error("field {field:?} of {inside} at byte {offset} is not {expected}")]
    FieldValue {
        offset: u64,
        inside: ArchivePart,
        field: &'static str,
        expected: &'static str,
    },
    #[error(
        "CRC-64 of {namespace} is {actual:016x}, but the header at byte {offset} recorded {recorded:016x}"
    )]
    Checksum {
        offset: u64,
        namespace: Box<Namespace>,
        recorded: u64,
        actual: u64,
    },
    #[error(
        "archive ends at byte {offset}, but has no end of {}",
        Names(namespaces)
    )]
    Unended {
        offset: u64,
        namespaces: Vec<Namespace>,
    },
    #[error(
        "archive ends at byte {offset}, but has nothing of {}",
        Names(namespaces)
    )]
    Unseen {
        offset: u64,
        namespaces: Vec<Namespace>,
    },
    #[error("archive was read up to byte {offset}, where an error was met")]
    AfterError { offset: u64 },
}

/// Why something cannot be put into an archive.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum ArchiveWriteError {
    #[error("collection of database {db:?} has no name")]
    NoName { db: String },
    #[error("metadata of {namespace} is there twice")]
    ListedTwice { namespace: Namespace },
    #[error(
        "header of the archive would be {bytes} bytes long, and {MAX_DOCUMENT_BYTES} is the most there can be"
    )]
    HeaderTooLong { bytes: usize },
    #[error(
        "metadata of {namespace} would be {bytes} bytes long, and {MAX_DOCUMENT_BYTES} is the most there can be"
    )]
    TooLong { namespace: Namespace, bytes: usize },
    #[error("prelude of the archive has no metadata of {namespace}")]
    NoMetadata { namespace: Namespace },
    #[error("{namespace} has ended in the archive already")]
    Ended { namespace: Namespace },
    #[error("archive has no end of {}", Names(namespaces))]
    Unended { namespaces: Vec<Namespace> },
}

/// A part of an archive, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchivePart {
    /// The four bytes that it starts with.
    Magic,
    /// The first document of the prelude.
    Header,
    /// The other documents of the prelude.
    Metadata,
    /// The document that a block starts with.
    BlockHeader,
    /// The documents of a block, up to its terminator.
    Block(Box<Namespace>),
    /// What follows the header that ends a namespace: a terminator.
    End(Box<Namespace>),
}

impl fmt::Display for ArchivePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("the magic number"),
            Self::Header => f.write_str("the header of the archive"),
            Self::Metadata => f.write_str("the metadata of the prelude"),
            Self::BlockHeader => f.write_str("the header of a block"),
            Self::Block(namespace) => write!(f, "a block of {namespace}"),
            Self::End(namespace) => write!(f, "the end of {namespace}"),
        }
    }
}

/// The first few names, and how many there are beyond.
struct Names<'a>(&'a [Namespace]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for namespace in self.0.iter().take(NAMED) {
            write!(f, "{separator}{namespace}")?;
            separator = ", ";
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
