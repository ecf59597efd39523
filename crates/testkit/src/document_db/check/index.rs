//! What indexes may be.

use bson::{RawDocument, raw::RawBsonRef};

use super::{check_fields, field};
use crate::document_db::{commands::INDEX_FIELDS, refusal::Refusal};

pub(super) fn check(index: &RawDocument) -> Result<(), Refusal> {
    check_fields(index, |field| INDEX_FIELDS.contains(&field))?;
    let Some(key) = field(index, "key").and_then(|key| key.as_document()) else {
        return Ok(());
    };
    for part in key.iter_elements().flatten() {
        if part.key().as_str().contains("$**") {
            return Err(Refusal::feature("wildcard index"));
        }
        match part.value() {
            Ok(RawBsonRef::String("2dsphere" | "text")) => {}
            Ok(RawBsonRef::String(kind)) => {
                return Err(Refusal::feature(format!("index type {kind}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks what `collMod` changes of an index: only when documents expire.
pub(super) fn check_change(body: &RawDocument) -> Result<(), Refusal> {
    match field(body, "index").and_then(|index| index.as_document()) {
        Some(index) => check_fields(index, |field| {
            ["name", "keyPattern", "expireAfterSeconds"].contains(&field)
        }),
        None => Ok(()),
    }
}
