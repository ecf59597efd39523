//! Whether what the target lists is what was asked for. Pure.

use std::collections::BTreeMap;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::index_spec::{as_number, is_default_id, is_simple};

/// Options that a server does not list, or decides about by itself.
const UNLISTED_OPTIONS: [&str; 7] = [
    "autoIndexId",
    "comment",
    "idIndex",
    "flags",
    "recordIdsReplicated",
    "temp",
    "writeConcern",
];
/// Options that a server may list although nobody asked for them.
const DEFAULT_OPTIONS: [&str; 4] = [
    "validationLevel",
    "validationAction",
    "autoIndexId",
    "recordIdsReplicated",
];
/// Options whose own fields a server completes.
const COMPLETED: [&str; 6] = [
    "collation",
    "timeseries",
    "clusteredIndex",
    "storageEngine",
    "weights",
    "changeStreamPreAndPostImages",
];
/// Options that make an index what it is. What else old servers let an index say, others pass over when they are told
/// to (`ignoreUnknownIndexOptions`).
const INDEX_OPTIONS: [&str; 18] = [
    "unique",
    "sparse",
    "expireAfterSeconds",
    "hidden",
    "prepareUnique",
    "partialFilterExpression",
    "collation",
    "weights",
    "default_language",
    "language_override",
    "textIndexVersion",
    "2dsphereIndexVersion",
    "bits",
    "min",
    "max",
    "bucketSize",
    "wildcardProjection",
    "storageEngine",
];
/// How much a server rounds up the size of a capped collection, in bytes.
const CAPPED_ROUNDING: f64 = 256.0;

/// How `listed` options differ from those `asked` for, one line each.
pub(crate) fn option_differences(asked: &RawDocument, listed: &RawDocument) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, value) in fields(asked).filter(|(name, _)| !UNLISTED_OPTIONS.contains(name)) {
        let same = match listed.get(name).ok().flatten() {
            None => says_nothing(value) || (name == "collation" && is_simple(value)),
            Some(actual) if name == "size" => as_number(value)
                .zip(as_number(actual))
                .is_some_and(|(asked, actual)| (asked..=asked + CAPPED_ROUNDING).contains(&actual)),
            Some(actual) => is_same(value, actual, COMPLETED.contains(&name)),
        };
        if !same {
            differences.push(format!("option `{name}` is not what was asked for"));
        }
    }
    for (name, value) in fields(listed) {
        let is_default = DEFAULT_OPTIONS.contains(&name) || is_note_of_mixed_schemas(name, value);
        if asked.get(name).ok().flatten().is_none() && !is_default {
            differences.push(format!("option `{name}` was not asked for"));
        }
    }
    differences
}

/// Whether an option only says that buckets of a time-series may have mixed schemas, as newer servers note it when
/// they are told so.
fn is_note_of_mixed_schemas(name: &str, value: RawBsonRef<'_>) -> bool {
    let config = || {
        let engine = value.as_document()?.get_document("wiredTiger").ok()?;
        engine.get_str("configString").ok()
    };
    name == "storageEngine"
        && config().is_some_and(|config| {
            config.starts_with("app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=")
        })
}

/// How the `listed` indexes of a collection differ from those `asked` for, one line each; if it is all ours, there must
/// be no others.
pub(crate) fn index_differences(
    asked: &[RawDocumentBuf],
    listed: &[RawDocumentBuf],
    is_ours: bool,
) -> Vec<String> {
    let name = |index: &RawDocumentBuf| index.get_str("name").unwrap_or_default().to_owned();
    let mut differences = Vec::new();
    for index in asked {
        match listed.iter().find(|listed| name(listed) == name(index)) {
            None => differences.push(format!("index {:?} is missing", name(index))),
            Some(listed) => differences.extend(index_difference(index, listed).map(|field| {
                format!(
                    "`{field}` of index {:?} is not what was asked for",
                    name(index)
                )
            })),
        }
    }
    for index in listed.iter().filter(|_| is_ours) {
        let is_default = is_default_id(index).unwrap_or(false);
        if !is_default && !asked.iter().any(|asked| name(asked) == name(index)) {
            differences.push(format!("index {:?} was not asked for", name(index)));
        }
    }
    differences
}

/// The first field in which two indexes differ.
fn index_difference<'a>(asked: &'a RawDocument, listed: &RawDocument) -> Option<&'a str> {
    let key = |index: &RawDocument| {
        index
            .get_document("key")
            .map(ToOwned::to_owned)
            .unwrap_or_default()
    };
    let (asked_key, listed_key) = (key(asked), key(listed));
    let same_key = is_text(&asked_key) && listed_key.get_str("_fts").is_ok()
        || fields(&asked_key).count() == fields(&listed_key).count()
            && fields(&asked_key)
                .zip(fields(&listed_key))
                .all(|(asked, listed)| asked.0 == listed.0 && is_same(asked.1, listed.1, false));
    if !same_key {
        return Some("key");
    }
    let differs = |(name, value): &(&str, RawBsonRef<'_>)| match listed.get(name).ok().flatten() {
        None => !(says_nothing(*value) || (*name == "collation" && is_simple(*value))),
        // Servers make a number of seconds of what is none.
        Some(_) if *name == "expireAfterSeconds" && as_number(*value).is_none_or(f64::is_nan) => {
            false
        }
        Some(RawBsonRef::Document(actual)) if *name == "wildcardProjection" => {
            value.as_document().and_then(projection) != projection(actual)
        }
        Some(actual) => !is_same(*value, actual, COMPLETED.contains(name)),
    };
    fields(asked)
        .filter(|(name, _)| INDEX_OPTIONS.contains(name))
        .find(differs)
        .map(|(name, _)| name)
}

/// Whether it is the key of a text index as people write it, `{a: "text"}`, which servers list in their own words.
fn is_text(key: &RawDocument) -> bool {
    fields(key).any(|(name, kind)| name != "_fts" && kind.as_str() == Some("text"))
}

/// The paths of a wildcard projection and whether they are wanted; MongoDB 5.0 lists it nested and with booleans.
fn projection(document: &RawDocument) -> Option<BTreeMap<String, bool>> {
    let mut paths = BTreeMap::new();
    for (name, value) in fields(document) {
        match value {
            RawBsonRef::Document(inner) => {
                let inner = projection(inner)?.into_iter();
                paths.extend(inner.map(|(path, wanted)| (format!("{name}.{path}"), wanted)));
            }
            RawBsonRef::Boolean(wanted) => {
                paths.insert(name.to_owned(), wanted);
            }
            value => {
                paths.insert(name.to_owned(), as_number(value)? != 0.0);
            }
        }
    }
    // It is left out anyway.
    if paths.get("_id") == Some(&false) {
        paths.remove("_id");
    }
    Some(paths)
}

fn fields(document: &RawDocument) -> impl Iterator<Item = (&str, RawBsonRef<'_>)> {
    document
        .iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

/// Whether a server may leave this value out of its list.
fn says_nothing(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Boolean(value) => !value,
        RawBsonRef::Null | RawBsonRef::Undefined => true,
        RawBsonRef::Document(document) => document.is_empty(),
        value => as_number(value) == Some(0.0),
    }
}

/// Whether two values are the same but for the types of numbers; with `completed`, `actual` may have more fields.
fn is_same(asked: RawBsonRef<'_>, actual: RawBsonRef<'_>, completed: bool) -> bool {
    match (asked, actual) {
        (RawBsonRef::Document(asked), RawBsonRef::Document(actual)) if completed => {
            // The version of a collation is that of the server's library.
            fields(asked)
                .filter(|(name, _)| *name != "version")
                .all(|(name, asked)| {
                    actual.get(name).ok().flatten().map_or_else(
                        || says_nothing(asked),
                        |actual| is_same(asked, actual, true),
                    )
                })
        }
        (RawBsonRef::Document(asked), RawBsonRef::Document(actual)) => {
            fields(asked).count() == fields(actual).count()
                && fields(asked)
                    .zip(fields(actual))
                    .all(|(asked, actual)| asked.0 == actual.0 && is_same(asked.1, actual.1, false))
        }
        (RawBsonRef::Array(asked), RawBsonRef::Array(actual)) => {
            let count = |array: &bson::RawArray| array.into_iter().count();
            count(asked) == count(actual)
                && asked
                    .into_iter()
                    .flatten()
                    .zip(actual.into_iter().flatten())
                    .all(|(asked, actual)| is_same(asked, actual, completed))
        }
        (RawBsonRef::Boolean(value), other) | (other, RawBsonRef::Boolean(value)) => {
            other
                .as_bool()
                .or_else(|| as_number(other).map(|number| number != 0.0))
                == Some(value)
        }
        (asked, actual) => match (as_number(asked), as_number(actual)) {
            (Some(asked), Some(actual)) => asked == actual || (asked.is_nan() && actual.is_nan()),
            (None, None) => bytes_of(asked) == bytes_of(actual),
            _ => false,
        },
    }
}

fn bytes_of(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut document = RawDocumentBuf::new();
    document.append(bson::cstr!(""), value);
    document.into_bytes()
}

#[cfg(test)]
mod tests {
    use bson::{Bson, Document, doc};

    use super::*;

    fn raw(document: Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(&document).unwrap()
    }

    #[test]
    fn what_a_server_completes_is_no_difference() {
        let asked = doc! {
            "capped": true, "size": 1000_i64, "max": 5.0, "collation": { "locale": "fr", "version": "57.1" },
            "autoIndexId": true, "idIndex": { "key": { "_id": 1 } }, "validator": { "b": 1, "a": { "$gt": 2 } },
        };
        let listed = doc! {
            "capped": true, "size": 1024, "max": 5, "validator": { "b": 1, "a": { "$gt": 2 } },
            "validationLevel": "strict", "collation": { "locale": "fr", "strength": 3, "version": "153.14" },
        };
        assert_eq!(
            option_differences(&raw(asked), &raw(listed)),
            Vec::<String>::new()
        );
    }

    #[test]
    fn that_buckets_may_have_mixed_schemas_is_no_difference_and_any_other_engine_is() {
        let asked = raw(doc! { "timeseries": { "timeField": "at" } });
        let listed = |config: &str| {
            let engine = doc! { "wiredTiger": { "configString": config } };
            raw(doc! { "timeseries": { "timeField": "at" }, "storageEngine": engine })
        };
        let note = listed("app_metadata=(timeseriesBucketsMayHaveMixedSchemaData=true)");
        assert_eq!(option_differences(&asked, &note), Vec::<String>::new());
        let other = listed("block_compressor=zlib");
        assert_eq!(
            option_differences(&asked, &other),
            ["option `storageEngine` was not asked for"]
        );
    }

    #[test]
    fn options_that_changed_got_lost_or_came_are_differences() {
        let asked = doc! { "validator": { "b": 1, "a": 2 }, "capped": true, "size": 1024 };
        let listed =
            doc! { "validator": { "a": 2, "b": 1 }, "size": 2048, "expireAfterSeconds": 5 };
        assert_eq!(
            option_differences(&raw(asked), &raw(listed)),
            [
                "option `validator` is not what was asked for",
                "option `capped` is not what was asked for",
                "option `size` is not what was asked for",
                "option `expireAfterSeconds` was not asked for",
            ]
        );
    }

    #[test]
    fn an_index_listed_with_defaults_is_the_one_asked_for() {
        let asked = [raw(doc! {
            "key": { "a": 1.0, "b": "text" }, "name": "i", "v": 1, "sparse": false, "unique": 1, "background": true,
            "weights": { "z": 1 }, "partialFilterExpression": {}, "collation": { "locale": "simple" },
        })];
        let listed = [
            raw(doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }),
            raw(doc! {
                "v": 2, "key": { "a": 1, "b": "text" }, "name": "i", "unique": true, "weights": { "z": 1, "q": 1 },
                "default_language": "english", "partialFilterExpression": {},
            }),
        ];
        assert_eq!(
            index_differences(&asked, &listed, true),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_a_server_passes_over_or_says_in_its_own_words_is_no_difference() {
        let asked = [
            raw(
                doc! { "key": { "a": 1 }, "name": "a", "w": 1, "foo": true, "clustered": true, "_id": 5 },
            ),
            raw(doc! { "key": { "t": "text" }, "name": "t" }),
        ];
        let listed = [
            raw(doc! { "v": 2, "key": { "a": 1 }, "name": "a" }),
            raw(doc! {
                "v": 2, "key": { "_fts": "text", "_ftsx": 1 }, "name": "t", "weights": { "t": 1 },
                "default_language": "english", "language_override": "language", "textIndexVersion": 3,
            }),
        ];
        assert_eq!(
            index_differences(&asked, &listed, true),
            Vec::<String>::new()
        );
        let options =
            doc! { "capped": Bson::Undefined, "comment": "x", "writeConcern": { "w": 1 } };
        assert_eq!(
            option_differences(&raw(options), &raw(doc! {})),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_wildcard_projection_is_the_same_in_the_words_of_another_server() {
        let index = |projection: Document| {
            [raw(
                doc! { "key": { "$**": 1 }, "name": "w", "wildcardProjection": projection },
            )]
        };
        let differences = |asked: &Document, listed: Document| {
            let (asked, listed) = (index(asked.clone()), index(listed));
            index_differences(&asked, &listed, true).len()
        };
        let out = doc! { "c": 0, "b.d": 0 };
        assert_eq!(
            differences(&out, doc! { "_id": false, "b": { "d": false }, "c": false }),
            0
        );
        assert_eq!(
            differences(&out, doc! { "_id": true, "b": { "d": false }, "c": false }),
            1
        );
        let only = doc! { "_id": 1, "c.d": 1.0, "a": true };
        assert_eq!(
            differences(&only, doc! { "_id": true, "a": true, "c": { "d": true } }),
            0
        );
        assert_eq!(
            differences(&only, doc! { "_id": true, "a": true, "c": { "e": true } }),
            1
        );
        assert_eq!(differences(&only, doc! { "_id": true, "a": true }), 1);
    }

    #[test]
    fn indexes_that_changed_are_missing_or_too_many_are_differences() {
        let asked = [
            raw(doc! { "key": { "a": 1, "b": 1 }, "name": "order" }),
            raw(doc! { "key": { "c": 1 }, "name": "unique", "unique": true }),
            raw(doc! { "key": { "d": 1 }, "name": "gone" }),
        ];
        let listed = [
            raw(doc! { "v": 2, "key": { "b": 1, "a": 1 }, "name": "order" }),
            raw(doc! { "v": 2, "key": { "c": 1 }, "name": "unique" }),
            raw(doc! { "v": 2, "key": { "e": 1 }, "name": "more" }),
        ];
        assert_eq!(
            index_differences(&asked, &listed, true),
            [
                "`key` of index \"order\" is not what was asked for",
                "`unique` of index \"unique\" is not what was asked for",
                "index \"gone\" is missing",
                "index \"more\" was not asked for",
            ]
        );
    }
}
