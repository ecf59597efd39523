//! Every type of index and every option of one.

use bson::{DateTime, RawDocument, RawDocumentBuf, rawdoc};

use super::{Dataset, Seeder};
use crate::{raw::RawBuilder, server_version::Feature};

const DB: &str = "indexes";

/// Indexes of every type: compound, unique, partial, sparse, TTL, hidden, text, 2d, 2dsphere, hashed, wildcard,
/// collated; a collection with as many as there can be; odd names, keys and options.
pub fn indexes() -> Dataset {
    Dataset::new("indexes", &[DB], |seeder| async move {
        for (collection, specifications) in collections() {
            seeder.insert(DB, collection, (0..30).map(document)).await;
            let known = specifications
                .into_iter()
                .filter(|specification| {
                    needs(specification).is_none_or(|feature| seeder.has(feature))
                })
                .collect::<Vec<_>>();
            if !known.is_empty() {
                seeder.index(DB, collection, known).await;
            }
        }
        most(&seeder).await;
    })
}

/// What a server needs to have for an index, if not every version has it.
fn needs(specification: &RawDocument) -> Option<Feature> {
    let has = |field| specification.get(field).is_ok_and(|value| value.is_some());
    let inside = |field| {
        let document = specification.get_document(field).ok();
        document.into_iter().flatten().flatten()
    };
    let is_hashed = inside("key").any(|(_, kind)| kind.as_str() == Some("hashed"));
    let has_and = inside("partialFilterExpression").any(|(field, _)| field == "$and");
    if has("hidden") {
        Some(Feature::HiddenIndexes)
    } else if has("prepareUnique") {
        Some(Feature::PrepareUnique)
    } else if is_hashed && inside("key").count() > 1 {
        Some(Feature::CompoundHashedIndexes)
    } else if has_and && inside("partialFilterExpression").count() > 1 {
        Some(Feature::NestedPartialFilters)
    } else {
        None
    }
}

fn document(id: i32) -> RawDocumentBuf {
    let x = f64::from(id);
    rawdoc! {
        "_id": id, "a": id, "b": id % 3, "c": { "d": [id, id + 1], "e": "text" },
        "at": DateTime::from_millis(4_102_444_800_000), "name": format!("name {id}"), "idioma": "spanish",
        "point": [x, -x], "place": { "type": "Point", "coordinates": [x, -x] },
    }
}

/// Collections with their indexes; those that exclude each other are apart.
fn collections() -> Vec<(&'static str, Vec<RawDocumentBuf>)> {
    vec![
        ("ordinary", ordinary()),
        ("keys", keys()),
        ("names", names()),
        ("special", special()),
        ("text", vec![text()]),
        (
            "text everywhere",
            vec![rawdoc! { "key": { "$**": "text", "a": 1 }, "name": "$**_text" }],
        ),
        (
            "hashed id",
            vec![rawdoc! { "key": { "_id": "hashed" }, "name": "_id_hashed" }],
        ),
        (
            "unique soon",
            vec![rawdoc! { "key": { "a": 1 }, "name": "a_1", "prepareUnique": true }],
        ),
    ]
}

fn ordinary() -> Vec<RawDocumentBuf> {
    vec![
        rawdoc! { "key": { "a": 1, "b": -1, "c.d": 1 }, "name": "compound" },
        rawdoc! { "key": { "name": 1 }, "name": "unique", "unique": true },
        rawdoc! {
            "key": { "b": 1 }, "name": "partial",
            "partialFilterExpression": {
                "b": { "$gt": 0 }, "a": { "$exists": true }, "$and": [{ "name": "x" }, { "at": null }],
            },
        },
        rawdoc! {
            "key": { "b": -1 }, "name": "partial of fields",
            "partialFilterExpression": { "b": { "$gt": 0, "$lte": 2.5 }, "a": { "$exists": true }, "at": null },
        },
        rawdoc! { "key": { "b": 1, "a": 1 }, "name": "partial of all", "partialFilterExpression": {} },
        rawdoc! { "key": { "missing": 1 }, "name": "sparse", "sparse": true, "unique": true },
        rawdoc! { "key": { "c.e": 1 }, "name": "not sparse", "sparse": false, "unique": false, "background": true },
        rawdoc! { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 0 },
        rawdoc! { "key": { "at": -1 }, "name": "ttl of years", "expireAfterSeconds": 100_000_000.0 },
        rawdoc! { "key": { "c.d": -1 }, "name": "hidden", "hidden": true },
        rawdoc! { "key": { "name": -1 }, "name": "collated", "collation": { "locale": "fr", "strength": 2 } },
        rawdoc! { "key": { "c": 1 }, "name": "version 1", "v": 1 },
        rawdoc! {
            "key": { "c": -1 }, "name": "engine",
            "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } },
        },
    ]
}

/// Directions that are not simply 1 or -1, as old drivers and shells wrote them.
fn keys() -> Vec<RawDocumentBuf> {
    vec![
        rawdoc! { "key": { "a": 1.0 }, "name": "double" },
        rawdoc! { "key": { "a": -1.0, "b": 1_i64 }, "name": "long" },
        rawdoc! { "key": { "b": 17 }, "name": "large" },
        rawdoc! { "key": { "b": -0.5 }, "name": "half" },
        rawdoc! { "key": { "a": 1, "_id": -1 }, "name": "with id" },
        rawdoc! { "key": { "a.0.b": 1, "a.$id": 1 }, "name": "paths" },
    ]
}

fn names() -> Vec<RawDocumentBuf> {
    let long = "n".repeat(1_000);
    let odd = [
        " ",
        "a.b",
        "ü",
        "line\nbreak",
        "\"quoted\" \\",
        "a/b%2F",
        "$dollar",
        "_id",
        &long,
    ];
    let fields = (0..).map(|number| format!("field{number}"));
    let specifications = odd.into_iter().zip(fields).map(|(name, field)| {
        let key = RawBuilder::new().int32(&field, 1).build();
        rawdoc! { "key": key, "name": name }
    });
    specifications.collect()
}

fn special() -> Vec<RawDocumentBuf> {
    vec![
        rawdoc! { "key": { "point": "2d" }, "name": "2d", "bits": 20, "min": -500.0, "max": 500.5 },
        rawdoc! { "key": { "point": "2d", "a": 1 }, "name": "2d of defaults" },
        rawdoc! { "key": { "place": "2dsphere", "b": -1 }, "name": "2dsphere" },
        rawdoc! { "key": { "place": "2dsphere" }, "name": "2dsphere 2", "2dsphereIndexVersion": 2 },
        rawdoc! { "key": { "a": "hashed" }, "name": "hashed" },
        rawdoc! { "key": { "b": 1, "a": "hashed" }, "name": "compound hashed" },
        rawdoc! { "key": { "$**": 1 }, "name": "wildcard", "wildcardProjection": { "c": 0, "b": 0 } },
        rawdoc! {
            "key": { "$**": 2 }, "name": "wildcard with id",
            "wildcardProjection": { "_id": 1, "c.d": 1, "a": 1 },
        },
        rawdoc! { "key": { "c.$**": 1 }, "name": "wildcard below" },
    ]
}

fn text() -> RawDocumentBuf {
    rawdoc! {
        "key": { "b": 1, "name": "text", "c.e": "text", "a": -1 }, "name": "weighted",
        "weights": { "name": 10, "c.e": 3.0 }, "default_language": "german", "language_override": "idioma",
    }
}

/// As many indexes as a collection can have: 64, with that of `_id`.
async fn most(seeder: &Seeder) {
    seeder
        .insert(DB, "most", (0..5).map(|id| rawdoc! { "_id": id }))
        .await;
    let specifications = (1..64).map(|number| {
        let field = format!("field{number}");
        let key = RawBuilder::new()
            .int32(&field, if number % 2 == 0 { 1 } else { -1 })
            .build();
        rawdoc! { "key": key, "name": field }
    });
    seeder.index(DB, "most", specifications).await;
}
