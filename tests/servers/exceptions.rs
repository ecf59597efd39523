//! What servers show differently from older ones although it is the same: all that is allowed to differ.

use std::collections::BTreeMap;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use rdump_testkit::{
    Fingerprint, ServerVersion,
    fingerprint::{CollectionPrint, FingerprintDiff},
};

use ServerVersion::{V5_0_4, V6_0_5, V6_0_27};

struct Exception {
    what: &'static str,
    /// Whether it is allowed, from one version to another.
    is_allowed: fn(ServerVersion, ServerVersion) -> bool,
    /// Whether it is not always so.
    is_rare: bool,
    /// Takes the difference out of a print, whichever of both servers it is of.
    level: fn(&mut CollectionPrint),
}

const EXCEPTIONS: [Exception; 6] = [
    Exception {
        what: "since 5.0 the options of an index are listed in an order of the server's own",
        is_allowed: |from, to| from < V5_0_4 && to >= V5_0_4,
        is_rare: false,
        level: |print| each_index(print, sorted),
    },
    Exception {
        what: "since 5.0 an index keeps the time after which documents expire as a 32-bit integer",
        is_allowed: |from, to| from < V5_0_4 && to >= V5_0_4,
        is_rare: false,
        level: |print| each_index(print, whole_seconds),
    },
    Exception {
        what: "5.0 lists a wildcard projection with booleans, nested, and with what is said of `_id`",
        is_allowed: |from, to| from < V5_0_4 && to == V5_0_4,
        is_rare: false,
        level: |print| each_index(print, plain_projection),
    },
    Exception {
        what: "5.0 lists the paths of a wildcard projection in any order",
        is_allowed: |from, to| from == V5_0_4 && to == V5_0_4,
        is_rare: true,
        level: |print| each_index(print, plain_projection),
    },
    Exception {
        what: "6.0.27 notes of time-series that their buckets may have mixed schemas, as those of 5.0.4 do",
        is_allowed: |from, to| from == V5_0_4 && to == V6_0_27,
        is_rare: false,
        level: |print| {
            if print.kind == "timeseries" {
                print.options = without(&print.options, "storageEngine");
            }
        },
    },
    Exception {
        what: "6.0.27 lists after how long documents expire with a clustered index too",
        is_allowed: |from, to| from == V6_0_5 && to == V6_0_27,
        is_rare: false,
        level: |print| each_index(print, unclustered_seconds),
    },
];

/// Panics with the differences that are not allowed, and with the exceptions that make none.
pub(super) fn assert_same(
    expected: &Fingerprint,
    found: &Fingerprint,
    from: ServerVersion,
    to: ServerVersion,
) {
    let allowed: Vec<&Exception> = EXCEPTIONS
        .iter()
        .filter(|exception| (exception.is_allowed)(from, to))
        .collect();
    let diff = diff(expected, found, &allowed);
    assert!(diff.is_empty(), "from {from} to {to}: {diff}");
    for place in 0..allowed.len() {
        let mut others = allowed.clone();
        let exception = others.remove(place);
        assert!(
            exception.is_rare || !self::diff(expected, found, &others).is_empty(),
            "from {from} to {to} it is not so that {}",
            exception.what
        );
    }
}

fn diff(expected: &Fingerprint, found: &Fingerprint, allowed: &[&Exception]) -> FingerprintDiff {
    let level = |print: &Fingerprint| {
        print.clone().change(|print| {
            for exception in allowed {
                (exception.level)(print);
            }
        })
    };
    level(expected).diff(&level(found))
}

fn each_index(print: &mut CollectionPrint, change: fn(&RawDocument) -> RawDocumentBuf) {
    for index in print.indexes.values_mut() {
        *index = change(index);
    }
}

/// The same fields by name; what is inside them keeps its order.
fn sorted(document: &RawDocument) -> RawDocumentBuf {
    let fields: BTreeMap<_, _> = document.iter().map(Result::unwrap).collect();
    let mut sorted = RawDocumentBuf::new();
    for (name, value) in fields {
        sorted.append(name, value);
    }
    sorted
}

fn whole_seconds(index: &RawDocument) -> RawDocumentBuf {
    let mut whole = RawDocumentBuf::new();
    for (name, value) in index.iter().map(Result::unwrap) {
        match value.as_f64().filter(|_| name == "expireAfterSeconds") {
            #[expect(clippy::cast_possible_truncation, reason = "it is a whole number")]
            Some(seconds) => whole.append(name, seconds as i32),
            None => whole.append(name, value),
        }
    }
    whole
}

fn unclustered_seconds(index: &RawDocument) -> RawDocumentBuf {
    match index.get_bool("clustered") {
        Ok(true) => without(index, "expireAfterSeconds"),
        _ => index.to_owned(),
    }
}

fn without(document: &RawDocument, field: &str) -> RawDocumentBuf {
    let mut kept = RawDocumentBuf::new();
    for (name, value) in document.iter().map(Result::unwrap) {
        if name != field {
            kept.append(name, value);
        }
    }
    kept
}

/// The index with its wildcard projection, if it has one, as paths that are true or false; without `_id`, false is meant.
fn plain_projection(index: &RawDocument) -> RawDocumentBuf {
    let Ok(projection) = index.get_document("wildcardProjection") else {
        return index.to_owned();
    };
    let mut paths = BTreeMap::from([("_id".to_owned(), false)]);
    add_paths(projection, "", &mut paths);
    let mut plain = without(index, "wildcardProjection");
    plain.append(bson::cstr!("wildcardProjection"), format!("{paths:?}"));
    plain
}

fn add_paths(projection: &RawDocument, prefix: &str, paths: &mut BTreeMap<String, bool>) {
    for (name, value) in projection.iter().map(Result::unwrap) {
        let path = format!("{prefix}{}", name.as_str());
        match value {
            RawBsonRef::Document(inner) => add_paths(inner, &format!("{path}."), paths),
            RawBsonRef::Boolean(wanted) => drop(paths.insert(path, wanted)),
            number => drop(paths.insert(path, number.as_i32() != Some(0))),
        }
    }
}
