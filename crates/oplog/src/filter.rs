//! Which operations are not replayed: they happened to what belongs to the source alone.

#[cfg(test)]
mod tests;

use rdump_format::{
    BUCKETS_PREFIX, CONFIG_COLLECTIONS, INTERNAL_DATABASE_PREFIX, RESTORES_DATABASE,
};

use crate::Entry;

/// Whether an operation, of its own or inside of another, is passed over.
///
/// That is one in a database of the server's own, in that where restores note what they have done, or in the part of `config` that is not dumped, one
/// that changes nothing (`n`) or keeps the books of [replicated record ids](https://jira.mongodb.org/browse/TOOLS-4073)
/// (`ci`, `cd`, `cu`, `km`), and a step of an index build or drop that says nothing about its outcome.
#[must_use]
pub fn is_skipped(entry: &Entry<'_>) -> bool {
    if is_skipped_namespace(entry.namespace()) {
        return true;
    }
    match entry.operation() {
        "n" | "ci" | "cd" | "cu" | "km" => true,
        "c" => entry.command().is_ok_and(|command| {
            matches!(
                command.name,
                "startIndexBuild" | "abortIndexBuild" | "setMultikeyMetadata" | "dropIdent"
            )
        }),
        _ => false,
    }
}

fn is_skipped_namespace(namespace: &str) -> bool {
    namespace.starts_with(INTERNAL_DATABASE_PREFIX)
        || (namespace.split_once('.')).is_some_and(|(db, _)| db == RESTORES_DATABASE)
        || namespace
            .strip_prefix("config.")
            .is_some_and(|collection| !CONFIG_COLLECTIONS.contains(&collection))
}

/// Whether the collection, `db.collection`, holds the buckets of a time-series.
pub(crate) fn is_buckets(namespace: &str) -> bool {
    namespace
        .split_once('.')
        .is_some_and(|(_, collection)| collection.starts_with(BUCKETS_PREFIX))
}
