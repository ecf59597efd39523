//! What queries and updates may have.

use bson::{RawDocument, raw::RawBsonRef};

use super::{check_fields, field};
use crate::document_db::refusal::Refusal;

/// Checks what a query finds by, in whatever command it is.
pub(super) fn check(body: &RawDocument) -> Result<(), Refusal> {
    if field(body, "find").is_some_and(|collection| collection.as_str().is_none()) {
        return Err(Refusal::feature("collections by UUID"));
    }
    for name in ["filter", "query"] {
        check_operators(field(body, name))?;
    }
    if field(body, "update").is_some_and(|update| update.as_array().is_some()) {
        return Err(update_by_pipeline());
    }
    check_hint(body)
}

/// Refuses what makes a scan follow the order of storage.
pub(super) fn check_hint(body: &RawDocument) -> Result<(), Refusal> {
    let hint = field(body, "hint").and_then(|hint| hint.as_document());
    match hint.is_some_and(|hint| field(hint, "$natural").is_some()) {
        true => Err(Refusal::feature("hint $natural")),
        false => Ok(()),
    }
}

/// Checks one update of an update command.
pub(super) fn check_update(update: &RawDocument) -> Result<(), Refusal> {
    check_fields(update, |field| {
        ["q", "u", "upsert", "multi", "arrayFilters"].contains(&field)
    })?;
    if field(update, "u").is_some_and(|change| change.as_array().is_some()) {
        return Err(update_by_pipeline());
    }
    check_operators(field(update, "q"))
}

/// Checks one deletion of a delete command.
pub(super) fn check_delete(delete: &RawDocument) -> Result<(), Refusal> {
    check_fields(delete, |field| ["q", "limit"].contains(&field))?;
    check_operators(field(delete, "q"))
}

fn update_by_pipeline() -> Refusal {
    Refusal::new(
        9,
        "Failed to parse update: field must be of BSON type object",
    )
}

/// Refuses operators and variables, wherever they are in a query or a stage.
pub(super) fn check_operators(value: Option<RawBsonRef<'_>>) -> Result<(), Refusal> {
    match value {
        Some(RawBsonRef::Document(document)) => {
            document.iter_elements().flatten().try_for_each(|element| {
                let value = element.value().ok();
                match element.key().as_str() {
                    name @ ("$where" | "$function" | "$accumulator") => Err(Refusal::feature(name)),
                    "$type" if matches!(value, Some(RawBsonRef::Array(_))) => {
                        Err(Refusal::feature("array for $type filter"))
                    }
                    // What is literal is no operator.
                    "$literal" => Ok(()),
                    _ => check_operators(value),
                }
            })
        }
        Some(RawBsonRef::Array(array)) => array
            .into_iter()
            .flatten()
            .try_for_each(|value| check_operators(Some(value))),
        Some(RawBsonRef::String(
            name @ ("$$REMOVE" | "$$CURRENT" | "$$NOW" | "$$CLUSTER_TIME"),
        )) => Err(Refusal::feature(name)),
        _ => Ok(()),
    }
}
