//! What an update changed, as updates that do the same.
//!
//! An [`updateDescription`](https://www.mongodb.com/docs/manual/reference/change-events/update/) names fields by paths with dots. That a part of a path is a number does not
//! say whether it is a field of that name or an element of an array; an update operator finds that out by the document itself, as the update did.
//!
//! Servers set the fields of one `$set` in the order of their paths, and append in that order what is new. Fields that came in another order are set
//! one after the other, so that they have the same order in the document.

use std::cmp::Ordering;

use bson::RawDocumentBuf;
use rdump_format::element::{Element, Elements, Value};

use super::{ChangeEventError, text};
use crate::OpTime;
use crate::document::DocumentBuilder;

/// The updates, in order, that change a document as the description says.
pub(super) fn changes(
    description: &[u8],
    at: OpTime,
) -> Result<Vec<RawDocumentBuf>, ChangeEventError> {
    let bson = |source| ChangeEventError::Bson { at, source };
    let (mut updated, mut removed, mut truncated, mut paths) = (&[][..], &[][..], &[][..], &[][..]);
    for element in Elements::of(description).map_err(bson)? {
        let element = element.map_err(bson)?;
        match (element.name, element.value) {
            (b"updatedFields", Value::Document(document)) => updated = document.bytes,
            (b"removedFields", Value::Array(array)) => removed = array.bytes,
            (b"truncatedArrays", Value::Array(array)) => truncated = array.bytes,
            (b"disambiguatedPaths", Value::Document(document)) => paths = document.bytes,
            _ => {}
        }
    }
    check_paths(paths, at)?;
    let mut changes = Vec::new();
    for array in elements(truncated, at)? {
        changes.push(truncation(&array, at)?);
    }
    let removed = elements(removed, at)?;
    if !removed.is_empty() {
        let mut unset = Operator::new("$unset");
        for path in removed {
            let path = text(path.value);
            let path = path.ok_or_else(|| ChangeEventError::missing("removedFields", at))?;
            unset.fields.boolean(path, true);
        }
        changes.push(unset.build());
    }
    let (mut set, mut before) = (Operator::new("$set"), None);
    for field in elements(updated, at)? {
        if before.is_some_and(|before| !follows(before, field.name)) {
            let full = std::mem::replace(&mut set, Operator::new("$set"));
            changes.push(full.build());
        }
        set.fields.copy(&field);
        before = Some(field.name);
    }
    if before.is_some() {
        changes.push(set.build());
    }
    Ok(changes)
}

/// `{<name>: {…}}`
struct Operator {
    name: &'static str,
    fields: DocumentBuilder,
}

impl Operator {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            fields: DocumentBuilder::new(),
        }
    }

    fn build(self) -> RawDocumentBuf {
        let mut change = DocumentBuilder::new();
        change.document(self.name, self.fields.build().as_bytes());
        change.build()
    }
}

/// `{field: <path>, newSize: <number>}`
fn truncation(array: &Element<'_>, at: OpTime) -> Result<RawDocumentBuf, ChangeEventError> {
    let missing = || ChangeEventError::missing("truncatedArrays", at);
    let Value::Document(array) = array.value else {
        return Err(missing());
    };
    let (mut path, mut size) = (None, None);
    for element in elements(array.bytes, at)? {
        match (element.name, element.value) {
            (b"field", value) => path = text(value),
            (b"newSize", Value::Int32(_) | Value::Int64(_)) => size = Some(element.raw),
            _ => {}
        }
    }
    let mut slice = DocumentBuilder::new();
    let none = slice.start_array("$each");
    slice.end(none);
    slice.raw(b"$slice", size.ok_or_else(missing)?);
    let mut push = Operator::new("$push");
    push.fields
        .document(path.ok_or_else(missing)?, slice.build().as_bytes());
    Ok(push.build())
}

/// Refuses what a path with dots cannot name: a field with a dot in its name, or with a dollar sign before it.
fn check_paths(paths: &[u8], at: OpTime) -> Result<(), ChangeEventError> {
    for path in elements(paths, at)? {
        let Value::Array(parts) = path.value else {
            continue;
        };
        for part in elements(parts.bytes, at)? {
            if let Value::String(name) = part.value
                && (name.contains(&b'.') || name.starts_with(b"$"))
            {
                let name = String::from_utf8_lossy(name).into();
                return Err(ChangeEventError::Path { name, at });
            }
        }
    }
    Ok(())
}

fn elements(document: &[u8], at: OpTime) -> Result<Vec<Element<'_>>, ChangeEventError> {
    if document.is_empty() {
        return Ok(Vec::new());
    }
    let bson = |source| ChangeEventError::Bson { at, source };
    let elements = Elements::of(document).map_err(bson)?;
    elements.map(|element| element.map_err(bson)).collect()
}

/// Whether a server sets `next` after `before` for certain, if one `$set` has both.
fn follows(before: &[u8], next: &[u8]) -> bool {
    let [mut one, mut other] = [before, next].map(|path| path.split(|byte| *byte == b'.'));
    loop {
        match (one.next(), other.next()) {
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => return compare(one, other) == Some(Ordering::Less),
            _ => return false,
        }
    }
}

/// How servers order two parts of paths; `None` if that is not clear.
fn compare(one: &[u8], other: &[u8]) -> Option<Ordering> {
    let is_number = |part: &[u8]| part.iter().all(u8::is_ascii_digit) && !part.starts_with(b"0");
    let begins_with_digit = |part: &[u8]| part.first().is_some_and(u8::is_ascii_digit);
    match (begins_with_digit(one), begins_with_digit(other)) {
        (false, false) => Some(one.cmp(other)),
        _ if is_number(one) && is_number(other) => {
            Some(one.len().cmp(&other.len()).then_with(|| one.cmp(other)))
        }
        _ => None,
    }
}
