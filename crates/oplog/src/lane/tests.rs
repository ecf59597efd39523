use bson::{RawDocumentBuf, rawdoc};

use super::*;
use crate::CollectionIndexes;

fn catalog() -> IndexCatalog {
    let mut catalog = IndexCatalog::new();
    let simple = CollectionIndexes::new(DefaultCollation::Simple);
    for (name, collection) in [
        ("shop.orders", simple.clone()),
        ("shop.log", simple.clone().ordered(true)),
        ("shop.temps", simple.clone()),
        ("shop.system.js", simple.clone()),
        ("admin.system.users", simple.clone()),
        ("config.chunks", simple),
        (
            "shop.people",
            CollectionIndexes::new(DefaultCollation::Other),
        ),
        (
            "shop.found",
            CollectionIndexes::new(DefaultCollation::Unknown),
        ),
    ] {
        catalog.insert(&name.parse().unwrap(), collection);
    }
    catalog
}

fn lane(entry: &RawDocumentBuf) -> Lane {
    of(&Entry::parse(entry.as_bytes()).unwrap(), &catalog()).unwrap()
}

fn insert(namespace: &str, id: i32) -> Lane {
    lane(&rawdoc! { "op": "i", "ns": namespace, "o": { "_id": id } })
}

#[test]
fn everything_that_happens_to_a_document_is_in_one_lane() {
    let lanes = [
        rawdoc! { "op": "i", "ns": "shop.orders", "o": { "a": 2, "_id": 1 }, "o2": { "_id": 1 } },
        rawdoc! { "op": "u", "ns": "shop.orders", "o": { "$v": 2, "diff": {} }, "o2": { "shard": 3, "_id": 1 } },
        rawdoc! { "op": "u", "ns": "shop.orders", "o": { "_id": 1, "a": 3 }, "o2": { "_id": 1.0 } },
        rawdoc! { "op": "d", "ns": "shop.orders", "o": { "_id": 1_i64 }, "b": true },
    ]
    .map(|entry| lane(&entry));
    assert_eq!(lanes, [lanes[0]; 4]);
    assert_ne!(insert("shop.orders", 2), lanes[0]);
    assert_ne!(insert("shop.temps", 1), lanes[0]);
}

#[test]
fn collections_whose_order_matters_are_one_lane() {
    for namespace in [
        "shop.log",
        "shop.people",
        "shop.found",
        "shop.unknown",
        "shop.system.js",
        "admin.system.users",
        "config.chunks",
        "nodot",
    ] {
        assert_eq!(insert(namespace, 1), insert(namespace, 2), "{namespace}");
    }
    assert_ne!(insert("shop.log", 1), insert("shop.people", 1));
}

#[test]
fn buckets_are_independent_if_their_time_series_collection_is_known() {
    let lanes = [1, 2].map(|id| insert("shop.system.buckets.temps", id));
    assert_ne!(lanes[0], lanes[1]);
    let lanes = [1, 2].map(|id| insert("shop.system.buckets.unknown", id));
    assert_eq!(lanes[0], lanes[1]);
}

#[test]
fn an_operation_that_names_no_document_is_alone() {
    for entry in [
        rawdoc! { "op": "i", "ns": "shop.orders", "o": { "a": 1 } },
        rawdoc! { "op": "u", "ns": "shop.orders", "o": { "_id": 1 } },
        rawdoc! { "op": "u", "ns": "shop.orders", "o": { "_id": 1 }, "o2": { "a": 1 } },
        rawdoc! { "op": "d", "ns": "shop.orders", "o": {} },
    ] {
        assert_eq!(lane(&entry), Lane::Alone, "{entry:?}");
    }
}

#[test]
fn an_operation_without_an_object_has_no_lane() {
    for entry in [
        rawdoc! { "op": "i", "ns": "shop.orders" },
        rawdoc! { "op": "u", "ns": "shop.orders", "o": {}, "o2": 1 },
    ] {
        let entry = Entry::parse(entry.as_bytes()).unwrap();
        assert!(of(&entry, &catalog()).is_err(), "{entry:?}");
    }
}
