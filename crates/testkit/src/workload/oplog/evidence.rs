//! Which operation of an oplog is a write of a workload.
//!
//! It is asked only of what comes after everything else that the same writer did to the same namespace or document,
//! so that names and ids tell enough.

use bson::{RawBsonRef, RawDocument};

use super::Operation;
use crate::workload::{Change, options::split};

/// Whether an operation makes a change of a namespace.
pub(super) fn is_made_by(namespace: &str, change: &Change, operation: Operation<'_>) -> bool {
    let (db, collection) = split(namespace);
    let in_db = operation.namespace.strip_prefix(db);
    let Some(place) = in_db.and_then(|place| place.strip_prefix('.')) else {
        return false;
    };
    let object = operation.object;
    let command = |name: &str| operation.kind == "c" && says(object, name, collection);
    // A view or time-series is a document.
    let view = |kind: &str| {
        let subject = operation.target.unwrap_or(object);
        place == "system.views" && operation.kind == kind && says(subject, "_id", namespace)
    };
    match change {
        Change::Document { id, .. } if place == collection => is_document(*id, operation),
        Change::Document { id, .. } => {
            place.strip_prefix("system.buckets.") == Some(collection) && is_measured(*id, object)
        }
        // The buckets of a time-series come first, and are nothing by themselves.
        Change::Create(_) => command("create") || view("i"),
        // Here too, it is the view that counts.
        Change::Drop => command("drop") || view("d"),
        Change::Options(_) => command("collMod") || view("u"),
        Change::Rename { to } => {
            operation.kind == "c"
                && says(object, "renameCollection", namespace)
                && says(object, "to", to)
        }
        Change::Output { .. } => operation.kind == "c" && says(object, "to", namespace),
        Change::Index {
            name,
            specification: None,
        } => {
            let index = object.get("index").ok().flatten();
            let index = index.and_then(RawBsonRef::as_str);
            let is_it = index.is_some_and(|index| index == &**name || index == "*");
            is_it && (command("dropIndexes") || command("deleteIndexes"))
        }
        Change::Index { name, .. } => {
            let modified = object.get_document("index");
            (command("createIndexes") && says(object, "name", name))
                || (command("commitIndexBuild") && is_built(name, object))
                || (command("collMod") && modified.is_ok_and(|index| says(index, "name", name)))
        }
    }
}

/// Whether an operation begins (`true`) or gives up (`false`) the build of an index that a change makes.
pub(super) fn builds(namespace: &str, change: &Change, operation: Operation<'_>) -> Option<bool> {
    let Change::Index {
        name,
        specification: Some(_),
    } = change
    else {
        return None;
    };
    let (db, collection) = split(namespace);
    let is_here = operation.namespace.strip_prefix(db) == Some(".$cmd");
    if !is_here || !is_built(name, operation.object) {
        return None;
    }
    let command = |name: &str| says(operation.object, name, collection);
    if command("startIndexBuild") {
        Some(true)
    } else {
        command("abortIndexBuild").then_some(false)
    }
}

fn is_document(id: i64, operation: Operation<'_>) -> bool {
    let subject = operation.target.unwrap_or(operation.object);
    ["i", "u", "d"].contains(&operation.kind)
        && subject.get_i64("_id").is_ok_and(|found| found == id)
}

fn is_built(name: &str, object: &RawDocument) -> bool {
    let Ok(indexes) = object.get_array("indexes") else {
        return false;
    };
    let mut names = indexes.into_iter().flatten();
    names.any(|index| {
        let index = index.as_document();
        index.is_some_and(|index| says(index, "name", name))
    })
}

/// Whether a bucket is inserted with a measurement, or gets it by an update: `data` or `diff.sdata` has its id.
fn is_measured(id: i64, object: &RawDocument) -> bool {
    if let Ok(data) = object.get_document("data") {
        return holds(id, data, "_id");
    }
    let Ok(diff) = object.get_document("diff") else {
        return false;
    };
    let data = diff.get_document("sdata");
    data.is_ok_and(|data| holds(id, data, "s_id") || holds_in_diff(id, data))
}

/// Whether the field, or any field in it, has this value.
fn holds(id: i64, data: &RawDocument, name: &str) -> bool {
    match data.get(name) {
        Ok(Some(value)) => contains(id, value),
        _ => false,
    }
}

/// Columns that an update inserts as a whole.
fn holds_in_diff(id: i64, data: &RawDocument) -> bool {
    ["i", "u"].iter().any(|part| {
        let part = data.get_document(part);
        part.is_ok_and(|columns| holds(id, columns, "_id"))
    })
}

fn contains(id: i64, value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Int64(found) => found == id,
        RawBsonRef::Document(document) => {
            let mut fields = document.iter().flatten();
            fields.any(|(_, value)| contains(id, value))
        }
        _ => false,
    }
}

fn says(object: &RawDocument, name: &str, value: &str) -> bool {
    object.get_str(name).is_ok_and(|found| found == value)
}
