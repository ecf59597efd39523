//! What must not happen while a dump captures the oplog.

#[cfg(test)]
mod tests;

use rdump_format::element::Value;

use crate::replay::MAX_DEPTH;
use crate::{Entry, EntryError, OpTime};

/// The collections of `config` that show that a collection is being resharded.
pub const RESHARDING_COLLECTIONS: [&str; 3] = [
    "reshardingOperations",
    "localReshardingOperations.donor",
    "localReshardingOperations.recipient",
];

/// Checks that a dump whose oplog holds this entry can be restored.
///
/// Operations inside of an `applyOps` are looked at too, and documents of users are not: one with a field
/// `renameCollection` is a document like any other.
///
/// # Errors
///
/// [`CaptureError::Entry`] for what is no oplog entry; else what happened, and when.
///
/// # Examples
///
/// ```
/// let entry = bson::rawdoc! {
///     "op": "c", "ns": "shop.$cmd", "o": { "renameCollection": "shop.a", "to": "shop.b" },
/// };
/// assert!(rdump_oplog::check_captured(entry.as_bytes()).is_err());
/// ```
pub fn check_captured(entry: &[u8]) -> Result<(), CaptureError> {
    check(&Entry::parse(entry)?, 0)
}

fn check(entry: &Entry<'_>, depth: usize) -> Result<(), CaptureError> {
    let at = entry.at();
    if entry.namespace() == "admin.system.version" {
        return Err(CaptureError::SystemVersion { at });
    }
    if entry.operation() != "c" {
        return Ok(());
    }
    let command = entry.command()?;
    let collection = || match command.subject {
        Value::String(name) => String::from_utf8_lossy(name).into(),
        _ => entry.namespace().into(),
    };
    match command.name {
        "renameCollection" => Err(CaptureError::Rename {
            at,
            collection: collection(),
        }),
        "importCollection" => Err(CaptureError::Import {
            at,
            collection: collection(),
        }),
        "upgradeDowngradeViewlessTimeseries" => Err(CaptureError::TimeseriesConversion {
            at,
            db: entry.db().into(),
            collection: collection(),
        }),
        "create" if entry.db() == "config" && is_resharding(command.subject) => {
            Err(CaptureError::Resharding { at })
        }
        "applyOps" => {
            if depth >= MAX_DEPTH {
                return Err(CaptureError::TooDeep { at });
            }
            entry
                .inner(command)?
                .try_for_each(|inner| check(&inner?, depth.saturating_add(1)))
        }
        _ => Ok(()),
    }
}

/// Whether an entry changes what exists and how it is defined: collections, their options and indexes, and views. What is not known
/// does.
///
/// # Errors
///
/// [`CaptureError::Entry`] for what is no oplog entry, [`CaptureError::TooDeep`] for one that is nested too deep.
pub fn changes_catalog(entry: &[u8]) -> Result<bool, CaptureError> {
    is_definition(&Entry::parse(entry)?, 0)
}

fn is_definition(entry: &Entry<'_>, depth: usize) -> Result<bool, CaptureError> {
    match entry.operation() {
        "c" => {}
        "i" | "u" | "d" => {
            let collection = entry.namespace().split_once('.');
            return Ok(collection.is_some_and(|(_, collection)| collection == "system.views"));
        }
        "n" | "ci" | "cd" | "cu" | "km" => return Ok(false),
        _ => return Ok(true),
    }
    let command = entry.command()?;
    match command.name {
        "commitTransaction" | "abortTransaction" => Ok(false),
        "applyOps" if depth >= MAX_DEPTH => Err(CaptureError::TooDeep { at: entry.at() }),
        "applyOps" => {
            for inner in entry.inner(command)? {
                if is_definition(&inner?, depth.saturating_add(1))? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(true),
    }
}

fn is_resharding(collection: Value<'_>) -> bool {
    let Value::String(collection) = collection else {
        return false;
    };
    RESHARDING_COLLECTIONS
        .iter()
        .any(|name| name.as_bytes() == collection)
}

/// Why a dump cannot go on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum CaptureError {
    #[error(transparent)]
    Entry {
        #[from]
        source: EntryError,
    },
    #[error("cannot dump with oplog if admin.system.version is modified, as it was at {at}")]
    SystemVersion { at: OpTime },
    #[error("cannot dump with oplog while renames occur, as that of {collection} did at {at}")]
    Rename { at: OpTime, collection: Box<str> },
    #[error(
        "cannot dump with oplog while importCollection occurs, as that of {collection} did at {at}"
    )]
    Import { at: OpTime, collection: Box<str> },
    #[error(
        "cannot dump with oplog while a timeseries format conversion caused by an FCV change between 8.x and 9.0 \
         occurs, as that of {db}.{collection} did at {at}"
    )]
    TimeseriesConversion {
        at: OpTime,
        db: Box<str>,
        collection: Box<str>,
    },
    #[error("cannot dump with oplog while resharding, which began at {at}")]
    Resharding { at: OpTime },
    #[error("`applyOps` at {at} is nested more than {MAX_DEPTH} times")]
    TooDeep { at: OpTime },
}
