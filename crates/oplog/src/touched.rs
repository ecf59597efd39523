//! What entries do to documents, for whoever compares what a replay came to.

#[cfg(test)]
mod tests;

use rdump_format::element::{Element, Value};

use crate::entry::Command;
use crate::replay::MAX_DEPTH;
use crate::transaction::{self, Part};
use crate::{Entry, EntryError, ReplayError, filter};

/// What an entry does. Time-series collections are named as such, and not by their buckets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Touch<'a> {
    /// To one document.
    Document {
        /// The collection.
        namespace: &'a str,
        /// The document's `_id`.
        id: Element<'a>,
        /// What the document is afterwards.
        becomes: Becomes<'a>,
    },
    /// To the indexes or the options of a collection.
    Definitions {
        /// The database.
        db: &'a str,
        /// The collection in it.
        collection: &'a str,
    },
    /// To all of a collection or view: it is made, dropped, emptied, or gets another name.
    Whole {
        /// The database.
        db: &'a str,
        /// The collection in it.
        collection: &'a str,
    },
    /// To all of a database; also by a command of which nothing more is known.
    Database(&'a str),
}

/// What becomes of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever compares documents has to know which of them are what they were"
)]
pub enum Becomes<'a> {
    /// These bytes.
    Is(&'a [u8]),
    /// Nothing: it is deleted.
    Gone,
    /// What is not said: something of it is changed, or a transaction does it that may come to nothing.
    Changed,
}

/// Tells what an entry does, in order.
///
/// # Errors
///
/// [`ReplayError`] for what is no entry, or is nested too deep.
pub fn touched<'a>(entry: &'a [u8], told: &mut impl FnMut(Touch<'a>)) -> Result<(), ReplayError> {
    let entry = Entry::parse(entry)?;
    let is_sure = match transaction::part(&entry)? {
        None => true,
        Some((_, Part::Last)) => transaction::is_first(&entry),
        Some(_) => false,
    };
    take(&entry, is_sure, 0, told)
}

fn take<'a>(
    entry: &Entry<'a>,
    is_sure: bool,
    depth: usize,
    told: &mut impl FnMut(Touch<'a>),
) -> Result<(), ReplayError> {
    if filter::is_skipped(entry) {
        return Ok(());
    }
    match entry.operation() {
        "i" | "u" | "d" => document(entry, is_sure, told).map_err(Into::into),
        "c" => command(entry, is_sure, depth, told),
        _ => Ok(()),
    }
}

fn document<'a>(
    entry: &Entry<'a>,
    is_sure: bool,
    told: &mut impl FnMut(Touch<'a>),
) -> Result<(), EntryError> {
    let namespace = entry.namespace();
    let object = entry.object()?;
    let (holder, becomes) = match entry.operation() {
        "i" => (object, Becomes::Is(object)),
        "d" => (object, Becomes::Gone),
        _ => {
            let replaces = entry.field(object, "_id")?.is_some()
                && !entry
                    .elements(object)?
                    .flatten()
                    .any(|it| it.name.starts_with(b"$"));
            let becomes = match replaces {
                true => Becomes::Is(object),
                false => Becomes::Changed,
            };
            (entry.object2()?.unwrap_or(object), becomes)
        }
    };
    let Some(id) = entry.field(holder, "_id")? else {
        // Which of them is not said.
        let collection = namespace.split_once('.').map_or("", |(_, name)| name);
        told(Touch::Whole {
            db: entry.db(),
            collection: logical(collection),
        });
        return Ok(());
    };
    // Views are documents of a collection of their own.
    if namespace.strip_prefix(entry.db()) == Some(".system.views") {
        let view = string(id.value).and_then(|name| name.split_once('.'));
        if let Some((db, collection)) = view {
            told(Touch::Whole { db, collection });
        }
        return Ok(());
    }
    told(Touch::Document {
        namespace,
        id,
        becomes: if is_sure { becomes } else { Becomes::Changed },
    });
    Ok(())
}

fn command<'a>(
    entry: &Entry<'a>,
    is_sure: bool,
    depth: usize,
    told: &mut impl FnMut(Touch<'a>),
) -> Result<(), ReplayError> {
    let (command, db) = (entry.command()?, entry.db());
    match command.name {
        "applyOps" if depth >= MAX_DEPTH => {
            return Err(ReplayError::TooDeep { at: entry.at() });
        }
        "applyOps" => {
            for inner in entry.inner(command)? {
                take(&inner?, is_sure, depth.saturating_add(1), told)?;
            }
        }
        "commitTransaction" | "abortTransaction" | "dbCheck" => {}
        "renameCollection" => {
            for name in [Some(command.subject), to(entry, &command)?]
                .into_iter()
                .flatten()
            {
                if let Some((db, collection)) = string(name).and_then(|name| name.split_once('.')) {
                    let collection = logical(collection);
                    told(Touch::Whole { db, collection });
                }
            }
        }
        name => {
            let Some(collection) = string(command.subject) else {
                told(Touch::Database(db));
                return Ok(());
            };
            let collection = logical(collection);
            told(match name {
                "collMod" | "commitIndexBuild" | "startIndexBuild" | "abortIndexBuild"
                | "createIndexes" | "deleteIndex" | "deleteIndexes" | "dropIndex"
                | "dropIndexes" => Touch::Definitions { db, collection },
                _ => Touch::Whole { db, collection },
            });
        }
    }
    Ok(())
}

fn to<'a>(entry: &Entry<'a>, command: &Command<'a>) -> Result<Option<Value<'a>>, EntryError> {
    Ok(entry.field(command.object, "to")?.map(|to| to.value))
}

fn string(value: Value<'_>) -> Option<&str> {
    match value {
        Value::String(text) => str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The name of the collection whose buckets these are, or the name as it is.
fn logical(collection: &str) -> &str {
    collection
        .strip_prefix(rdump_format::BUCKETS_PREFIX)
        .unwrap_or(collection)
}
