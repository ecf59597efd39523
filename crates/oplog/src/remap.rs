//! Entries as they would be if only certain collections existed, perhaps under other names.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bson::RawDocumentBuf;
use rdump_format::element::{Element, Value};
use rdump_format::{BUCKETS_PREFIX, Namespace};

use crate::document::DocumentBuilder;
use crate::entry::{Command, EntryError};
use crate::replay::{MAX_DEPTH, is_known};
use crate::unknown::may_be_about;
use crate::{Entry, OpTime};

/// The collection of a database that has its views.
const VIEWS: &str = "system.views";

/// What is left of an entry.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever reads an oplog has to do all of it"
)]
pub enum Remapped {
    /// All of it, as it is.
    Same,
    /// This instead.
    Changed(RawDocumentBuf),
    /// Nothing.
    Nothing,
}

/// Leaves of an entry only what is about collections that `map` has a name for, under that name.
///
/// `map` is asked for collections and views, and for `system.views` where that is made or dropped; a time-series collection and its buckets go together. What stays of a transaction are its operations on
/// those collections, and that it is committed or aborted. What else an entry says stays byte by byte.
///
/// That a database is dropped is left out: servers drop its collections first, each by an entry of its own. A collection that is renamed to a name that
/// `map` does not know is dropped. Of a view only the name is changed, not what it reads.
///
/// # Errors
///
/// [`RemapError::RenamedIn`] if a collection that `map` does not know gets a name that it knows: entries of before do not tell what is in it.
/// [`RemapError::Entry`] for what is no entry.
///
/// # Examples
///
/// ```
/// use rdump_format::Namespace;
/// use rdump_oplog::{Remapped, remap};
///
/// let entry = bson::rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 } };
/// let orders = |namespace: &Namespace| (namespace.collection == "orders").then(|| Namespace::new("copy", "orders"));
/// let expected = bson::rawdoc! { "op": "i", "ns": "copy.orders", "o": { "_id": 1 } };
/// assert_eq!(remap(entry.as_bytes(), &orders)?, Remapped::Changed(expected));
/// # Ok::<(), rdump_oplog::RemapError>(())
/// ```
pub fn remap(
    entry: &[u8],
    map: &impl Fn(&Namespace) -> Option<Namespace>,
) -> Result<Remapped, RemapError> {
    let entry = Entry::parse(entry)?;
    Remap { map }.entry(&entry, 0)
}

struct Remap<'m, M> {
    map: &'m M,
}

impl<M: Fn(&Namespace) -> Option<Namespace>> Remap<'_, M> {
    fn entry(&self, entry: &Entry<'_>, depth: usize) -> Result<Remapped, RemapError> {
        match entry.operation() {
            "i" | "u" | "d" => self.document(entry),
            "c" => self.command(entry, depth),
            // It changes nothing, or how a server keeps its own books.
            "n" | "ci" | "cd" | "cu" | "km" => Ok(Remapped::Nothing),
            // A replay refuses what it does not know.
            _ => Ok(Remapped::Same),
        }
    }

    /// The name of a collection that may have the buckets of a time-series collection.
    fn collection(&self, db: &str, collection: &str) -> Option<Namespace> {
        match collection.strip_prefix(BUCKETS_PREFIX) {
            Some(series) => Some((self.map)(&Namespace::new(db, series))?.buckets()),
            None => (self.map)(&Namespace::new(db, collection)),
        }
    }

    fn document(&self, entry: &Entry<'_>) -> Result<Remapped, RemapError> {
        let Some((db, collection)) = entry.namespace().split_once('.') else {
            return Ok(Remapped::Same);
        };
        if collection == VIEWS {
            return self.view(entry, db);
        }
        let Some(target) = self.collection(db, collection) else {
            return Ok(Remapped::Nothing);
        };
        let target = target.to_string();
        match target == entry.namespace() {
            true => Ok(Remapped::Same),
            false => Ok(Remapped::Changed(with(entry, &[("ns", text(&target))])?)),
        }
    }

    /// An operation on the definition of a view, whose `_id` is the name of the view.
    fn view(&self, entry: &Entry<'_>, db: &str) -> Result<Remapped, RemapError> {
        let id = |document| -> Result<_, RemapError> {
            let id = entry.field(document, "_id")?.map(|id| id.value);
            Ok(match id {
                Some(Value::String(id)) => str::from_utf8(id).ok(),
                _ => None,
            })
        };
        let object = entry.object()?;
        let object2 = entry.object2()?;
        let name = match (id(object)?, object2) {
            (Some(name), _) => Some(name),
            (None, Some(object2)) => id(object2)?,
            (None, None) => None,
        };
        let prefix = format!("{db}.");
        let Some(view) = name.and_then(|name| name.strip_prefix(&prefix)) else {
            return Ok(Remapped::Nothing);
        };
        let source = Namespace::new(db, view);
        let Some(target) = (self.map)(&source) else {
            return Ok(Remapped::Nothing);
        };
        if target == source {
            return Ok(Remapped::Same);
        }
        // A time-series collection is a view of its buckets.
        let (buckets, new_buckets) = (source.buckets().collection, target.buckets().collection);
        let id = target.to_string();
        let renamed = |document| -> Result<_, RemapError> {
            let mut changed = DocumentBuilder::new();
            for element in entry.elements(document)? {
                let element = sound(entry, element)?;
                match (element.name, element.value) {
                    (b"_id", _) => changed.string("_id", &id),
                    (b"viewOn", Value::String(on)) if on == buckets.as_bytes() => {
                        changed.string("viewOn", &new_buckets);
                    }
                    _ => changed.copy(&element),
                }
            }
            Ok(changed.build())
        };
        let views = format!("{}.{VIEWS}", target.db);
        let object = renamed(object)?;
        let object2 = object2.map(renamed).transpose()?;
        let mut changes = vec![("ns", text(&views)), ("o", Change::Document(object))];
        changes.extend(object2.map(|object2| ("o2", Change::Document(object2))));
        Ok(Remapped::Changed(with(entry, &changes)?))
    }

    fn command(&self, entry: &Entry<'_>, depth: usize) -> Result<Remapped, RemapError> {
        let command = entry.command()?;
        let subject = match command.subject {
            Value::String(subject) => str::from_utf8(subject).ok(),
            _ => None,
        };
        match (command.name, subject) {
            ("applyOps", _) => self.operations(entry, command, depth),
            ("commitTransaction" | "abortTransaction", _) => Ok(Remapped::Same),
            ("dropDatabase", _) => Ok(Remapped::Nothing),
            ("renameCollection", Some(from)) => self.rename(entry, command, from),
            (name, _) if !is_known(name) => {
                // Whether it is replayed is for the replay to say, which names it.
                let is_mapped = |namespace: &Namespace| (self.map)(namespace).is_some();
                Ok(match may_be_about(entry, &command, is_mapped) {
                    true => Remapped::Same,
                    false => Remapped::Nothing,
                })
            }
            (name, Some(collection)) => {
                let Some(target) = self.collection(entry.db(), collection) else {
                    return Ok(Remapped::Nothing);
                };
                moved(entry, command, (name, collection), &target)
            }
            (_, None) => Ok(Remapped::Same),
        }
    }

    fn rename(
        &self,
        entry: &Entry<'_>,
        command: Command<'_>,
        from: &str,
    ) -> Result<Remapped, RemapError> {
        let at = entry.at();
        let to = entry.field(command.object, "to")?.map(|to| to.value);
        let to = match to {
            Some(Value::String(to)) => str::from_utf8(to).ok(),
            _ => None,
        };
        let Some(to) = to else {
            return Ok(Remapped::Same);
        };
        let target = |name: &str| {
            let (db, collection) = name.split_once('.')?;
            self.collection(db, collection)
        };
        let (target_from, target_to) = match (target(from), target(to)) {
            (None, None) => return Ok(Remapped::Nothing),
            (None, Some(_)) => {
                let (from, to) = (from.into(), to.into());
                return Err(RemapError::RenamedIn { from, to, at });
            }
            (Some(from), None) => {
                let mut object = DocumentBuilder::new();
                object.string("drop", &from.collection);
                return changed_command(entry, &from.db, object);
            }
            (Some(from), Some(to)) => (from, to),
        };
        let db = target_from.db.clone();
        let (new_from, new_to) = (target_from.to_string(), target_to.to_string());
        if new_from == from && new_to == to {
            return Ok(Remapped::Same);
        }
        let mut object = DocumentBuilder::new();
        for element in entry.elements(command.object)? {
            let element = sound(entry, element)?;
            match element.name {
                b"renameCollection" => object.string("renameCollection", &new_from),
                b"to" => object.string("to", &new_to),
                _ => object.copy(&element),
            }
        }
        changed_command(entry, &db, object)
    }

    /// What is left of several operations.
    fn operations(
        &self,
        entry: &Entry<'_>,
        command: Command<'_>,
        depth: usize,
    ) -> Result<Remapped, RemapError> {
        if depth >= MAX_DEPTH {
            return Err(RemapError::TooDeep { at: entry.at() });
        }
        let mut kept = Vec::new();
        let mut is_same = true;
        for operation in entry.inner(command)? {
            let operation = operation?;
            match self.entry(&operation, depth.saturating_add(1))? {
                Remapped::Same => kept.push(Cow::Borrowed(operation.as_bytes())),
                Remapped::Changed(changed) => {
                    is_same = false;
                    kept.push(Cow::Owned(changed.into_bytes()));
                }
                Remapped::Nothing => is_same = false,
            }
        }
        if is_same {
            return Ok(Remapped::Same);
        }
        // Of a transaction every entry is needed, since each names the one before it.
        if kept.is_empty() && entry.session().is_none() {
            return Ok(Remapped::Nothing);
        }
        let mut object = DocumentBuilder::new();
        let array = object.start_array(command.name);
        for (position, operation) in kept.iter().enumerate() {
            object.document(&position.to_string(), operation);
        }
        object.end(array);
        for element in entry.elements(command.object)?.skip(1) {
            object.copy(&sound(entry, element)?);
        }
        let changes = [("o", Change::Document(object.build()))];
        Ok(Remapped::Changed(with(entry, &changes)?))
    }
}

/// A command about a collection that has perhaps another name.
fn moved(
    entry: &Entry<'_>,
    command: Command<'_>,
    (name, collection): (&str, &str),
    target: &Namespace,
) -> Result<Remapped, RemapError> {
    if target.db == entry.db() && target.collection == collection {
        return Ok(Remapped::Same);
    }
    let mut object = DocumentBuilder::new();
    object.string(name, &target.collection);
    for element in entry.elements(command.object)?.skip(1) {
        object.copy(&sound(entry, element)?);
    }
    changed_command(entry, &target.db, object)
}

/// A command in the place of that of the entry.
fn changed_command(
    entry: &Entry<'_>,
    db: &str,
    object: DocumentBuilder,
) -> Result<Remapped, RemapError> {
    let namespace = format!("{db}.$cmd");
    let changes = [
        ("ns", text(&namespace)),
        ("o", Change::Document(object.build())),
    ];
    Ok(Remapped::Changed(with(entry, &changes)?))
}

/// What a field of an entry has instead.
enum Change<'a> {
    Text(&'a str),
    Document(RawDocumentBuf),
}

fn text(text: &str) -> Change<'_> {
    Change::Text(text)
}

/// The entry with other values of some of its fields.
fn with(entry: &Entry<'_>, changes: &[(&str, Change<'_>)]) -> Result<RawDocumentBuf, RemapError> {
    let mut changed = DocumentBuilder::new();
    for element in entry.elements(entry.as_bytes())? {
        let element = sound(entry, element)?;
        let change = changes
            .iter()
            .find(|(name, _)| name.as_bytes() == element.name);
        match change {
            None => changed.copy(&element),
            Some((name, Change::Text(text))) => changed.string(name, text),
            Some((name, Change::Document(document))) => changed.document(name, document.as_bytes()),
        }
    }
    Ok(changed.build())
}

fn sound<'a>(
    entry: &Entry<'_>,
    element: Result<Element<'a>, rdump_format::InvalidBson>,
) -> Result<Element<'a>, EntryError> {
    let at = entry.at();
    element.map_err(|source| EntryError::Bson { at, source })
}

/// Why an entry cannot be brought to other names.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum RemapError {
    #[error(transparent)]
    Entry {
        #[from]
        source: EntryError,
    },
    #[error("{from}, which is not selected, was renamed to {to} at {at}")]
    RenamedIn {
        from: Box<str>,
        to: Box<str>,
        at: OpTime,
    },
    #[error("`applyOps` at {at} is nested more than {MAX_DEPTH} times")]
    TooDeep { at: OpTime },
}
