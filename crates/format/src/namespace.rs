//! The names of databases and collections.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the name of the collection behind a time-series collection starts with.
pub const BUCKETS_PREFIX: &str = "system.buckets.";

/// What the names of databases start with that the server keeps for itself: no one may write to them.
pub const INTERNAL_DATABASE_PREFIX: &str = "__mdb_internal";

/// The database in which restores note what they have done, so that others can go on with them. It is no data of anyone's:
/// neither dumped nor restored.
pub const RESTORES_DATABASE: &str = "__rdump_restores";

/// The collections of `config` that a dump of a whole deployment takes: what a sharded cluster is made of.
pub const CONFIG_COLLECTIONS: [&str; 7] = [
    "chunks",
    "collections",
    "databases",
    "settings",
    "shards",
    "tags",
    "version",
];

/// The longest name of a database, in bytes.
const MAX_DATABASE_BYTES: usize = 63;

/// A collection of a database, written `db.collection`.
///
/// The name of a database holds no dot, so the text form splits at the first one. Both fields are
/// public and nothing is added to them, ever: it is a pair with a spelling. Nothing is checked on
/// construction, since servers hold names that they would refuse today; see
/// [`check_database_name`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Namespace {
    /// The database.
    pub db: String,
    /// The collection, dots and all.
    pub collection: String,
}

impl Namespace {
    /// Puts the two names together.
    pub fn new(db: impl Into<String>, collection: impl Into<String>) -> Self {
        Self {
            db: db.into(),
            collection: collection.into(),
        }
    }

    /// What a dump calls the oplog that was captured with it: a collection of no database.
    #[must_use]
    pub fn oplog() -> Self {
        Self::new("", "oplog")
    }

    /// Whether a dump has the oplog that was captured with it under this name.
    #[must_use]
    pub fn is_oplog(&self) -> bool {
        self.db.is_empty() && self.collection == "oplog"
    }

    /// The namespace that holds the buckets of this time-series collection.
    #[must_use]
    pub fn buckets(&self) -> Self {
        Self::new(&self.db, format!("{BUCKETS_PREFIX}{}", self.collection))
    }

    /// The time-series collection whose buckets these are; any other namespace unchanged.
    #[must_use]
    pub fn without_buckets_prefix(&self) -> Self {
        let collection = self
            .collection
            .strip_prefix(BUCKETS_PREFIX)
            .unwrap_or(&self.collection);
        Self::new(&self.db, collection)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.db, self.collection)
    }
}

impl FromStr for Namespace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('.') {
            Some((db, collection)) => Ok(Self::new(db, collection)),
            None => Err(NameError::NoDot {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for Namespace {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.to_string()
    }
}

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum NameError {
    #[error("the name of a database is empty")]
    DatabaseEmpty,
    #[error(
        "database name {name:?} has {bytes} bytes, and {MAX_DATABASE_BYTES} is the most there can be"
    )]
    DatabaseTooLong { name: String, bytes: usize },
    #[error("database name {name:?} contains {character:?}")]
    DatabaseCharacter { name: String, character: char },
    #[error("the name of a collection is empty")]
    CollectionEmpty,
    #[error("collection name {name:?} contains {character:?}")]
    CollectionCharacter { name: String, character: char },
    #[error("namespace {text:?} has no dot between database and collection")]
    NoDot { text: String },
}

/// Refuses the name of a database that could leave its folder, or that a server would not take.
///
/// Beyond what mongodump and mongorestore refuse (more than 63 bytes, any of `/\. "$` and NUL) this
/// refuses the empty name.
///
/// # Errors
///
/// [`NameError`], which names the character or the length.
pub fn check_database_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::DatabaseEmpty);
    }
    if name.len() > MAX_DATABASE_BYTES {
        return Err(NameError::DatabaseTooLong {
            name: name.to_owned(),
            bytes: name.len(),
        });
    }
    match name
        .chars()
        .find(|character| r#"/\. "$"#.contains(*character) || *character == '\0')
    {
        Some(character) => Err(NameError::DatabaseCharacter {
            name: name.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}

/// Refuses the name of a collection that no server can hold: the empty one, and any with a NUL.
///
/// # Errors
///
/// [`NameError::CollectionEmpty`] or [`NameError::CollectionCharacter`].
pub fn check_collection_name(name: &str) -> Result<(), NameError> {
    refuse_characters(name, &['\0'])
}

/// Refuses what mongorestore refuses for `--collection`: as [`check_collection_name`], and any name
/// with a `$`.
///
/// # Errors
///
/// [`NameError::CollectionEmpty`] or [`NameError::CollectionCharacter`].
pub fn check_collection_argument(name: &str) -> Result<(), NameError> {
    refuse_characters(name, &['\0', '$'])
}

fn refuse_characters(name: &str, refused: &[char]) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::CollectionEmpty);
    }
    match name.chars().find(|character| refused.contains(character)) {
        Some(character) => Err(NameError::CollectionCharacter {
            name: name.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}
