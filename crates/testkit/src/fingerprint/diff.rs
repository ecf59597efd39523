//! Tells what differs between two fingerprints.

use std::{collections::HashMap, fmt};

use bson::{RawDocument, RawDocumentBuf};

use super::{
    CollectionPrint, Content, Fingerprint,
    content::{DocumentDigest, DocumentSet},
};

/// Documents that are named per collection.
const MAX_NAMED: usize = 5;

/// The differences between two fingerprints, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintDiff {
    lines: Vec<String>,
}

impl FingerprintDiff {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The differences, each beginning with the namespace.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for FingerprintDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return f.write_str("no difference");
        }
        write!(f, "{} differences:", self.lines.len())?;
        for line in &self.lines {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

pub(super) fn diff(expected: &Fingerprint, found: &Fingerprint) -> FingerprintDiff {
    let mut lines = Vec::new();
    for ((db, collection), expected) in &expected.collections {
        let mut note = |line: String| lines.push(format!("{}: {line}", shown(db, collection)));
        match found.collections.get(&(db.clone(), collection.clone())) {
            None => note(format!("{} is missing", expected.kind)),
            Some(found) => compare(expected, found, &mut note),
        }
    }
    for ((db, collection), print) in &found.collections {
        if !expected
            .collections
            .contains_key(&(db.clone(), collection.clone()))
        {
            lines.push(format!(
                "{}: {} is there in addition",
                shown(db, collection),
                print.kind
            ));
        }
    }
    FingerprintDiff { lines }
}

/// A namespace; quoted if it holds anything odd.
pub(super) fn shown(db: &str, collection: &str) -> String {
    let namespace = format!("{db}.{collection}");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-$".contains(c);
    if namespace.chars().all(is_plain) {
        namespace
    } else {
        format!("{namespace:?}")
    }
}

fn compare(expected: &CollectionPrint, found: &CollectionPrint, note: &mut impl FnMut(String)) {
    if expected.kind != found.kind {
        note(format!(
            "is a {} instead of a {}",
            found.kind, expected.kind
        ));
        return;
    }
    if expected.options != found.options {
        note(format!(
            "options {}, expected {}",
            json(&found.options),
            json(&expected.options)
        ));
    }
    for (name, index) in &expected.indexes {
        match found.indexes.get(name) {
            None => note(format!("index {name:?} is missing: {}", json(index))),
            Some(other) if other != index => {
                note(format!(
                    "index {name:?} is {}, expected {}",
                    json(other),
                    json(index)
                ));
            }
            Some(_) => {}
        }
    }
    for name in found
        .indexes
        .keys()
        .filter(|name| !expected.indexes.contains_key(*name))
    {
        note(format!("index {name:?} is there in addition"));
    }
    match (&expected.content, &found.content) {
        (Content::View, Content::View) => {}
        (Content::Set(expected), Content::Set(found)) => compare_sets(expected, found, note),
        (Content::Sequence(expected, _), Content::Sequence(found, _)) => {
            compare_sequences(expected, found, note);
        }
        (Content::TimeSeries(expected, measurements), Content::TimeSeries(found, others)) => {
            if measurements != others {
                note(format!("{others} measurements, expected {measurements}"));
            }
            compare_sets(expected, found, note);
        }
        _ => note("holds another kind of content".into()),
    }
}

fn compare_sets(expected: &DocumentSet, found: &DocumentSet, note: &mut impl FnMut(String)) {
    if expected == found {
        return;
    }
    if expected.count != found.count {
        note(format!(
            "{} documents, expected {}",
            found.count, expected.count
        ));
    }
    let (Some(expected), Some(found)) = (&expected.by_id, &found.by_id) else {
        note("documents differ (too many to name)".into());
        return;
    };
    name_ids("missing", &only_in(expected, found), note);
    name_ids("in addition", &only_in(found, expected), note);
    let is_changed = |(id, digest): &(&Vec<u8>, &DocumentDigest)| {
        found.get(*id).is_some_and(|other| other != *digest)
    };
    let changed = expected
        .iter()
        .filter(is_changed)
        .map(|(id, _)| id.as_slice());
    name_ids("different", &changed.collect::<Vec<_>>(), note);
}

fn only_in<'a>(
    these: &'a HashMap<Vec<u8>, DocumentDigest>,
    those: &HashMap<Vec<u8>, DocumentDigest>,
) -> Vec<&'a [u8]> {
    let ids = these.keys().filter(|id| !those.contains_key(*id));
    ids.map(Vec::as_slice).collect()
}

fn name_ids(what: &str, ids: &[&[u8]], note: &mut impl FnMut(String)) {
    if ids.is_empty() {
        return;
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let named: Vec<String> = ids.iter().take(MAX_NAMED).map(|id| shown_id(id)).collect();
    let more = if ids.len() > MAX_NAMED { ", …" } else { "" };
    note(format!(
        "{} documents {what}: _id {}{more}",
        ids.len(),
        named.join(", ")
    ));
}

fn compare_sequences(
    expected: &[DocumentDigest],
    found: &[DocumentDigest],
    note: &mut impl FnMut(String),
) {
    if expected.len() != found.len() {
        note(format!(
            "{} documents, expected {}",
            found.len(),
            expected.len()
        ));
    }
    if let Some(place) = expected
        .iter()
        .zip(found)
        .position(|(one, other)| one != other)
    {
        note(format!("document {place} in natural order differs"));
    }
}

/// A value with its type in front, readable if the bson crate reads it.
fn shown_id(typed: &[u8]) -> String {
    let mut bytes = vec![0; 4];
    bytes.push(typed[0]);
    bytes.push(0);
    bytes.extend(&typed[1..]);
    bytes.push(0);
    let total = crate::raw::length(bytes.len());
    bytes[..4].copy_from_slice(&total);
    let document = RawDocumentBuf::from_bytes(bytes).ok();
    let value = document
        .as_ref()
        .and_then(|document| document.iter().next()?.ok());
    match value {
        Some((_, value)) => bson::RawBson::from(value).try_into().map_or_else(
            |_| hex::encode(typed),
            |value: bson::Bson| value.to_string(),
        ),
        None => hex::encode(typed),
    }
}

/// Options or an index, readable.
pub(super) fn json(document: &RawDocument) -> String {
    bson::Document::try_from(document).map_or_else(
        |_| hex::encode(document.as_bytes()),
        |document| document.to_string(),
    )
}
