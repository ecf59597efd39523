use bson::{Bson, Document, doc};

use super::*;

fn raw(document: Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&document).unwrap()
}

fn converted(indexes: impl IntoIterator<Item = Document>, rules: IndexRules) -> Vec<Document> {
    let indexes: Vec<_> = indexes.into_iter().map(raw).collect();
    let specs = convert(&indexes, rules).unwrap().specs;
    specs
        .iter()
        .map(|spec| Document::try_from(spec.as_ref()).unwrap())
        .collect()
}

#[test]
fn version_and_namespace_go_and_all_else_stays_in_order() {
    let index = doc! {
        "v": 2, "unique": true, "key": { "b": 1_i64, "a": -1.0 }, "name": "b_a", "ns": "old.name",
        "partialFilterExpression": {}, "weights": { "z": 1, "a": 2 },
    };
    let expected = doc! {
        "unique": true, "key": { "b": 1_i64, "a": -1.0 }, "name": "b_a",
        "partialFilterExpression": {}, "weights": { "z": 1, "a": 2 },
    };
    let specs = converted([index.clone()], IndexRules::default());
    assert_eq!(raw(specs[0].clone()), raw(expected));
    let kept = converted(
        [index],
        IndexRules {
            keep_version: true,
            ..IndexRules::default()
        },
    );
    assert_eq!(kept[0].get_i32("v").unwrap(), 2);
}

#[test]
fn only_the_default_index_on_id_is_left_out() {
    // TOOLS-3697.
    let indexes = [
        doc! { "v": 2, "key": { "_id": 1.0 }, "name": "custom", "clustered": true },
        doc! { "v": 2, "key": { "_id": "hashed" }, "name": "_id_hashed" },
        doc! { "v": 2, "key": { "_id": "2dsphere" }, "name": "_id_2dsphere", "2dsphereIndexVersion": 3 },
        doc! { "v": 2, "key": { "_id": -1 }, "name": "_id_-1" },
        doc! { "v": 2, "key": { "_id": 1 }, "name": "partial", "partialFilterExpression": { "a": 1 } },
        doc! { "v": 2, "key": { "_id": 1, "a": 1 }, "name": "_id_1_a_1" },
    ];
    let names: Vec<_> = converted(indexes, IndexRules::default())
        .iter()
        .map(|spec| spec.get_str("name").unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "_id_hashed",
            "_id_2dsphere",
            "_id_-1",
            "partial",
            "_id_1_a_1"
        ]
    );
    for legacy in [
        Bson::Boolean(true),
        Bson::String(String::new()),
        Bson::Int32(0),
    ] {
        assert!(is_default_id(&raw(doc! { "key": { "_id": legacy }, "name": "_id_" })).unwrap());
    }
}

#[test]
fn two_default_indexes_on_id_are_refused() {
    let indexes = [
        raw(doc! { "key": { "_id": 1 }, "name": "a" }),
        raw(doc! { "key": { "_id": true }, "name": "b" }),
    ];
    assert!(matches!(
        convert(&indexes, IndexRules::default()),
        Err(IndexError::TwoIds { .. })
    ));
}

#[test]
fn an_index_without_collation_says_that_it_is_simple_where_the_collection_is_not() {
    // mongorestore/metadata_test.go.
    let rules = IndexRules {
        say_simple_collation: true,
        ..IndexRules::default()
    };
    let specs = converted(
        [
            doc! { "v": 2, "key": { "a": 1 }, "name": "a" },
            doc! { "v": 2, "key": { "b": 1 }, "name": "b", "collation": { "locale": "fr" } },
            doc! { "v": 1, "key": { "c": 1 }, "name": "c" },
        ],
        rules,
    );
    let locales: Vec<_> = specs
        .iter()
        .map(|spec| {
            spec.get_document("collation")
                .unwrap()
                .get_str("locale")
                .unwrap()
        })
        .collect();
    assert_eq!(locales, ["simple", "fr", "simple"]);
}

#[test]
fn an_index_that_stays_at_version_1_has_no_simple_collation() {
    // TOOLS-4089.
    let index =
        doc! { "v": 1, "key": { "a": 1 }, "name": "a", "collation": { "locale": "simple" } };
    let rules = IndexRules {
        keep_version: true,
        say_simple_collation: true,
        ..IndexRules::default()
    };
    assert_eq!(
        converted([index.clone()], rules),
        [doc! { "v": 1, "key": { "a": 1 }, "name": "a" }]
    );
    let newest = converted([index], IndexRules::default());
    assert_eq!(
        newest,
        [doc! { "key": { "a": 1 }, "name": "a", "collation": { "locale": "simple" } }]
    );
}

#[test]
fn an_unversioned_2dsphere_index_gets_version_1() {
    // TOOLS-3727.
    let specs = converted(
        [doc! { "key": { "a": 1, "g": "2dsphere" }, "name": "g" }],
        IndexRules::default(),
    );
    assert_eq!(specs[0].get_i32("2dsphereIndexVersion").unwrap(), 1);
    let rules = IndexRules {
        is_time_series: true,
        ..IndexRules::default()
    };
    let specs = converted(
        [doc! { "key": { "a": 1, "g": "2dsphere" }, "name": "g" }],
        rules,
    );
    assert!(!specs[0].contains_key("2dsphereIndexVersion"));
}

#[test]
fn legacy_key_values_become_numbers_of_the_same_direction() {
    // TOOLS-3708, TOOLS-2710.
    let decimal = |text: &str| Bson::Decimal128(text.parse().unwrap());
    let cases = [
        (Bson::Int32(0), Some(1)),
        (Bson::Int64(0), Some(1)),
        (Bson::Double(0.0), Some(1)),
        (Bson::Double(1e-10), Some(1)),
        (Bson::Double(-1e-10), Some(-1)),
        (decimal("0.00"), Some(1)),
        (Bson::Boolean(false), Some(1)),
        (Bson::Null, Some(1)),
        (Bson::Document(doc! { "x": 1 }), Some(1)),
        (Bson::String(String::new()), Some(1)),
        (Bson::String("hashed".into()), None),
        (Bson::Double(-1.1), None),
        (Bson::Int32(2), None),
        (Bson::Int64(-3), None),
        (decimal("-1"), None),
    ];
    let rules = IndexRules {
        convert_legacy: true,
        ..IndexRules::default()
    };
    for (value, expected) in cases {
        let specs = converted([doc! { "key": { "a": value.clone() }, "name": "a" }], rules);
        let expected = expected.map_or(value, Bson::Int32);
        assert_eq!(
            specs[0].get_document("key").unwrap().get("a").unwrap(),
            &expected
        );
    }
}

#[test]
fn converted_duplicates_collapse_unless_collation_or_filter_differ() {
    // TOOLS-2645.
    let rules = IndexRules {
        convert_legacy: true,
        ..IndexRules::default()
    };
    let specs = converted(
        [
            doc! { "key": { "a": 1 }, "name": "number" },
            doc! { "key": { "a": true }, "name": "bool" },
            doc! { "key": { "a": 1.0 }, "name": "french", "collation": { "locale": "fr" } },
            doc! { "key": { "a": "" }, "name": "partial", "partialFilterExpression": { "b": 1 } },
            doc! { "key": { "a": 2 }, "name": "two" },
        ],
        rules,
    );
    let names: Vec<_> = specs
        .iter()
        .map(|spec| spec.get_str("name").unwrap())
        .collect();
    assert_eq!(names, ["number", "french", "partial", "two"]);
}

#[test]
fn dotted_hashed_fields_become_ascending_when_asked() {
    let index = doc! { "key": { "a.b": "hashed", "c": "hashed" }, "name": "h" };
    let rules = IndexRules {
        fix_dotted_hashed: true,
        ..IndexRules::default()
    };
    assert_eq!(
        converted([index], rules)[0].get_document("key").unwrap(),
        &doc! { "a.b": 1, "c": "hashed" }
    );
}

#[test]
fn haystacks_are_recognised() {
    assert!(is_geo_haystack(&raw(
        doc! { "key": { "p": "geoHaystack", "t": 1 }, "bucketSize": 1 }
    )));
    assert!(!is_geo_haystack(&raw(doc! { "key": { "geoHaystack": 1 } })));
}
