//! Whether what a server lists is what it was told.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, RawDocument, RawDocumentBuf};

/// Options that a server adds by itself.
const ADDED_OPTIONS: [&str; 2] = ["validationLevel", "validationAction"];
/// Fields that a server adds to an index; the collation is that of the collection.
const ADDED_TO_INDEXES: [&str; 4] = ["v", "ns", "background", "collation"];

/// Whether options are those that were given, perhaps with the server's defaults.
pub(super) fn same_options(expected: &Document, found: &Document) -> bool {
    is_within(expected, found) && has_no_more(expected, found, &ADDED_OPTIONS)
}

/// Whether indexes are those that were made; that of `_id` does not count.
pub(super) fn same_indexes(
    expected: &BTreeMap<Arc<str>, Document>,
    found: &BTreeMap<String, Document>,
) -> bool {
    let mut found = found.iter().filter(|(name, _)| *name != "_id_");
    let is_each_expected = found.clone().all(|(name, index)| {
        let expected = expected.get(name.as_str());
        expected.is_some_and(|expected| {
            is_within(expected, index) && has_no_more(expected, index, &ADDED_TO_INDEXES)
        })
    });
    is_each_expected && {
        let mut names = expected.keys();
        names.all(|name| found.any(|(found, _)| **name == **found))
    }
}

/// A measurement with its fields by name: the server puts them in any order.
pub(super) fn sorted(measurement: &RawDocument) -> RawDocumentBuf {
    let mut fields: Vec<_> = measurement.iter().flatten().collect();
    fields.sort_by_key(|(name, _)| *name);
    let mut sorted = RawDocumentBuf::new();
    for (name, value) in fields {
        sorted.append(name, value);
    }
    sorted
}

fn has_no_more(expected: &Document, found: &Document, added: &[&str]) -> bool {
    let mut names = found.keys();
    names.all(|name| expected.contains_key(name) || added.contains(&name.as_str()))
}

/// Whether each field is in the other document, and within that of it.
fn is_within(expected: &Document, found: &Document) -> bool {
    expected.iter().all(|(name, expected)| {
        let found = found.get(name);
        found.is_some_and(|found| is_value_within(expected, found))
    })
}

fn is_value_within(expected: &Bson, found: &Bson) -> bool {
    match (expected, found) {
        (Bson::Document(expected), Bson::Document(found)) => is_within(expected, found),
        _ => {
            expected == found || number(expected).is_some_and(|value| number(found) == Some(value))
        }
    }
}

fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(value) => Some(f64::from(*value)),
        #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
        Bson::Int64(value) => Some(*value as f64),
        Bson::Double(value) => Some(*value),
        _ => None,
    }
}
