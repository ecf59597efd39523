//! Which operations must be applied in the order of the oplog: the [documentation of the crate](crate#the-order-of-operations)
//! says why.

mod id;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};

use rdump_format::element::Element;

use crate::filter::is_buckets;
use crate::index_catalog::{DefaultCollation, IndexCatalog};
use crate::{Entry, EntryError};

/// The order that an operation must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// After everything before it and before everything after it.
    Alone,
    /// After what is before it in the same lane.
    Shared(u64),
}

/// The lane of an `i`, `u` or `d`.
pub(crate) fn of(entry: &Entry<'_>, catalog: &IndexCatalog) -> Result<Lane, EntryError> {
    let Some(id) = document_id(entry)? else {
        return Ok(Lane::Alone);
    };
    let namespace = entry.namespace();
    let mut hasher = DefaultHasher::new();
    namespace.hash(&mut hasher);
    if documents_are_independent(namespace, catalog) {
        id::hash(&id, &mut hasher);
    }
    Ok(Lane::Shared(hasher.finish()))
}

fn document_id<'a>(entry: &Entry<'a>) -> Result<Option<Element<'a>>, EntryError> {
    let key = match entry.operation() {
        "u" => entry.object2()?,
        _ => Some(entry.object()?),
    };
    match key {
        Some(key) => entry.field(key, "_id"),
        None => Ok(None),
    }
}

fn documents_are_independent(namespace: &str, catalog: &IndexCatalog) -> bool {
    let is_special = namespace.starts_with("config.")
        || namespace
            .split_once('.')
            .is_some_and(|(_, collection)| collection.starts_with("system."));
    (!is_special || is_buckets(namespace))
        && catalog.find(namespace).is_some_and(|collection| {
            collection.collation == DefaultCollation::Simple && !collection.ordered
        })
}
