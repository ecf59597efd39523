//! What a write changes, and what became of it.

use std::sync::Arc;

use bson::{Document, RawDocumentBuf, Timestamp};

/// The bytes of a document, shared by whoever remembers it.
pub(super) type Image = Arc<RawDocumentBuf>;

/// One effect of one write of a workload; a transaction has several at the same time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Write {
    /// `db.collection`.
    pub namespace: Arc<str>,
    /// What is different after it.
    pub change: Change,
    /// What became of it.
    pub outcome: Outcome,
}

/// What is different after a write.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A document.
    Document {
        /// Its `_id`.
        id: i64,
        /// The document as it is after the write; `None` if the write deletes it.
        after: Option<Arc<RawDocumentBuf>>,
    },
    /// The namespace exists, with these options of `create`, and is empty.
    Create(Box<Document>),
    /// The namespace does not exist.
    Drop,
    /// The collection has this name; another that had it is gone.
    Rename {
        /// `db.collection`.
        to: Arc<str>,
    },
    /// An option of the namespace has this value, or is gone.
    Options(Box<Document>),
    /// There is an index.
    Index {
        /// Its name.
        name: Arc<str>,
        /// Its specification; `None` if there is no such index any longer.
        specification: Option<Box<Document>>,
    },
    /// `$out` has put these documents in the place of all that there were.
    Output {
        /// The documents, by `_id`.
        documents: Arc<Vec<(i64, Arc<RawDocumentBuf>)>>,
        /// A time before the write: from then on there is a temporary collection.
        begun: Timestamp,
    },
}

/// What became of a write. One that was not carried out is in no journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done; with its time in the oplog, if there is an oplog.
    Acknowledged(Option<Timestamp>),
    /// Nobody knows.
    Unknown {
        /// If it was done at all, then after this time.
        after: Timestamp,
    },
}

impl Outcome {
    /// The time of the write, or before it.
    pub(super) fn earliest(self) -> Timestamp {
        match self {
            Self::Acknowledged(time) => time.unwrap_or(BEFORE_ALL),
            Self::Unknown { after } => after,
        }
    }
}

/// A time before every write.
pub(super) const BEFORE_ALL: Timestamp = Timestamp {
    time: 0,
    increment: 0,
};
