#![expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use std::slice::from_ref;

use bson::raw::CString;
use bson::{RawDocumentBuf, rawdoc};
use rdump_format::element::Elements;

use super::*;

fn namespace(text: &str) -> Namespace {
    text.parse().unwrap()
}

fn spec(name: &str) -> RawDocumentBuf {
    let mut key = RawDocumentBuf::new();
    key.append(CString::try_from(name).unwrap(), 1);
    rawdoc! { "v": 2, "key": key, "name": format!("{name}_1") }
}

fn id_index(name: &str) -> RawDocumentBuf {
    rawdoc! { "v": 2, "key": { "_id": 1 }, "name": name }
}

fn catalog(collections: &[(&str, &[RawDocumentBuf])]) -> IndexCatalog {
    let mut catalog = IndexCatalog::new();
    for (name, specs) in collections {
        let collection = CollectionIndexes::new(DefaultCollation::Simple).specs(specs.to_vec());
        catalog.insert(&namespace(name), collection);
    }
    catalog
}

fn names(catalog: &IndexCatalog, collection: &str) -> Option<Vec<String>> {
    let collection = catalog.get(&namespace(collection))?;
    let names = collection.specs.iter();
    Some(
        names
            .map(|spec| spec.get_str("name").unwrap().to_owned())
            .collect(),
    )
}

#[test]
fn collections_come_out_sorted_with_their_specifications_as_they_came() {
    let odd = rawdoc! {
        "v": 2_i64, "unique": true, "key": { "b": 1.0, "a": -1_i64 }, "name": "odd", "ns": "x.y",
        "partialFilterExpression": {},
    };
    let catalog = catalog(&[("b.x", from_ref(&odd)), ("a.b.c", &[])]);
    let collections = catalog.into_collections();
    assert_eq!(collections[0].0, Namespace::new("a", "b.c"));
    assert_eq!(collections[1].0, Namespace::new("b", "x"));
    assert_eq!(collections[1].1.specs[0].as_bytes(), odd.as_bytes());
}

#[test]
fn an_index_takes_the_place_of_one_of_the_same_name() {
    let mut catalog = catalog(&[("a.b", &[spec("x"), spec("y")])]);
    let other = rawdoc! { "v": 2, "key": { "z": 1 }, "name": "x_1" };
    catalog.add("a.b".to_owned(), other.clone());
    catalog.add("a.b".to_owned(), spec("w"));
    assert_eq!(names(&catalog, "a.b").unwrap(), ["x_1", "y_1", "w_1"]);
    assert_eq!(catalog.get(&namespace("a.b")).unwrap().specs[0], other);

    catalog.add("new.b".to_owned(), spec("w"));
    let new = catalog.get(&namespace("new.b")).unwrap();
    assert_eq!(new.collation, DefaultCollation::Unknown);
}

#[test]
fn specifications_without_a_name_are_kept_as_they_are() {
    let nameless = rawdoc! { "key": { "a": 1 } };
    let mut collection = CollectionIndexes::default().specs(vec![nameless.clone()]);
    collection.add(nameless);
    assert_eq!(collection.specs.len(), 2);
}

/// TOOLS-2041: indexes are built last, so one that is dropped meanwhile must be forgotten.
#[test]
fn dropping_a_collection_or_a_database_forgets_its_indexes() {
    let mut catalog = catalog(&[
        ("a.b", &[spec("x")]),
        ("a.c", &[spec("x")]),
        ("a.c.d", &[spec("x")]),
        ("ab.c", &[spec("x")]),
        ("a-.c", &[spec("x")]),
    ]);
    catalog.drop_collection("a.b");
    assert!(names(&catalog, "a.b").is_none());
    assert!(names(&catalog, "a.c").is_some());
    catalog.drop_database("a");
    let left: Vec<_> = catalog
        .into_collections()
        .into_iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(left, ["a-.c", "ab.c"]);
}

/// TOOLS-2041; `"*"` keeps the index on `_id`, whatever its name is: `index_catalog_test.go:51` of mongo-tools.
#[test]
fn dropping_all_indexes_keeps_the_one_on_id_and_the_collation() {
    let legacy = rawdoc! { "key": { "_id": "" }, "name": "legacy" };
    let hashed = rawdoc! { "key": { "_id": "hashed" }, "name": "_id_hashed" };
    let compound = rawdoc! { "key": { "_id": 1, "a": 1 }, "name": "both" };
    let keyless = rawdoc! { "name": "keyless" };
    let empty = rawdoc! { "key": {}, "name": "empty" };
    let mut catalog = catalog(&[(
        "a.b",
        &[
            spec("x"),
            id_index("mine"),
            hashed,
            compound,
            legacy,
            keyless,
            empty,
        ],
    )]);
    catalog.drop_indexes("a.b", IndexChoice::AllButId);
    assert_eq!(names(&catalog, "a.b").unwrap(), ["mine", "legacy"]);
    let collation = catalog.get(&namespace("a.b")).unwrap().collation;
    assert_eq!(collation, DefaultCollation::Simple);
}

#[test]
fn dropping_an_index_by_name_or_by_key_drops_that_one() {
    let mut catalog = catalog(&[("a.b", &[spec("x"), spec("y"), spec("z")])]);
    catalog.drop_indexes("a.b", IndexChoice::Name(b"y_1"));
    assert_eq!(names(&catalog, "a.b").unwrap(), ["x_1", "z_1"]);
    let double = rawdoc! { "z": 1.0 };
    catalog.drop_indexes("a.b", IndexChoice::Key(double.as_bytes()));
    assert_eq!(names(&catalog, "a.b").unwrap(), ["x_1", "z_1"]);
    let key = rawdoc! { "z": 1 };
    catalog.drop_indexes("a.b", IndexChoice::Key(key.as_bytes()));
    assert_eq!(names(&catalog, "a.b").unwrap(), ["x_1"]);
    catalog.drop_indexes("unknown.b", IndexChoice::AllButId);
    assert!(names(&catalog, "unknown.b").is_none());
}

/// mongorestore builds them under the old name.
#[test]
fn renaming_a_collection_moves_its_indexes_over_those_of_the_one_it_replaces() {
    let mut catalog = catalog(&[("a.from", &[spec("x")]), ("b.to", &[spec("y")])]);
    catalog.rename("a.from", "b.to");
    assert!(names(&catalog, "a.from").is_none());
    assert_eq!(names(&catalog, "b.to").unwrap(), ["x_1"]);
}

#[test]
fn renaming_what_is_not_there_leaves_what_has_the_new_name() {
    let mut catalog = catalog(&[("b.to", &[spec("y")])]);
    catalog.rename("a.from", "b.to");
    assert_eq!(names(&catalog, "b.to").unwrap(), ["y_1"]);
    assert!(catalog.get(&namespace("b.to")).unwrap().ordered);
    catalog.rename("a.from", "b.new");
    assert!(catalog.get(&namespace("b.new")).unwrap().ordered);
}

/// mongorestore builds them all again.
#[test]
fn converting_to_capped_leaves_the_index_on_id_and_keeps_order_from_then_on() {
    let mut catalog = catalog(&[("a.b", &[id_index("_id_"), spec("x")])]);
    catalog.convert_to_capped("a.b".to_owned());
    assert_eq!(names(&catalog, "a.b").unwrap(), ["_id_"]);
    assert!(catalog.get(&namespace("a.b")).unwrap().ordered);
}

#[test]
fn a_collection_that_is_known_keeps_its_indexes_and_collation_when_it_is_created() {
    let mut catalog = catalog(&[("a.b", &[spec("x")])]);
    catalog.create("a.b".to_owned(), DefaultCollation::Other, false);
    assert_eq!(names(&catalog, "a.b").unwrap(), ["x_1"]);
    let known = catalog.get(&namespace("a.b")).unwrap();
    assert_eq!(known.collation, DefaultCollation::Simple);

    catalog.insert(&namespace("a.c"), CollectionIndexes::default());
    catalog.create("a.c".to_owned(), DefaultCollation::Other, true);
    let learned = catalog.get(&namespace("a.c")).unwrap();
    assert_eq!(learned.collation, DefaultCollation::Other);
    assert!(learned.ordered);
}

#[test]
fn what_happens_to_buckets_happens_to_their_collection() {
    let mut catalog = catalog(&[
        ("a.x", &[spec("m"), spec("n")]),
        ("a.system.buckets.x", &[spec("m")]),
        ("a.y", &[spec("m")]),
    ]);
    let known = catalog.find("a.system.buckets.y").unwrap();
    assert_eq!(known.specs.len(), 1);
    assert!(catalog.find("a.system.buckets.z").is_none());
    assert!(catalog.find("nothing").is_none());

    catalog.drop_indexes("a.system.buckets.x", IndexChoice::Name(b"m_1"));
    assert_eq!(names(&catalog, "a.x").unwrap(), ["n_1"]);
    assert!(names(&catalog, "a.system.buckets.x").unwrap().is_empty());
    assert_eq!(names(&catalog, "a.y").unwrap(), ["m_1"]);

    catalog.drop_collection("a.system.buckets.x");
    assert!(names(&catalog, "a.x").is_none());
    assert!(names(&catalog, "a.system.buckets.x").is_none());
}

/// Changes the index `x_1` of a catalog that has one with these options more.
fn changed(options: RawDocumentBuf, index: RawDocumentBuf) -> RawDocumentBuf {
    let mut before = spec("x");
    for option in options.iter() {
        let (name, value) = option.unwrap();
        before.append(name, value);
    }
    let mut catalog = catalog(&[("a.b", &[spec("w"), before])]);
    let whole = rawdoc! { "index": index };
    let element = Elements::of(whole.as_bytes()).unwrap().next().unwrap();
    let change = CollMod::parse(element.unwrap().value).unwrap();
    assert!(catalog.coll_mod("a.b", &change));
    let specs = &catalog.get(&namespace("a.b")).unwrap().specs;
    assert_eq!(specs[0], spec("w"));
    let mut after = RawDocumentBuf::new();
    for option in specs[1].iter().skip(3) {
        let (name, value) = option.unwrap();
        after.append(name, value);
    }
    after
}

/// TOOLS-4071, TOOLS-4075, TOOLS-4105.
#[test]
fn coll_mod_changes_options_in_their_place_and_adds_new_ones() {
    assert_eq!(
        changed(
            rawdoc! { "expireAfterSeconds": 100, "sparse": true },
            rawdoc! { "name": "x_1", "expireAfterSeconds": 3600_i64 },
        ),
        rawdoc! { "expireAfterSeconds": 3600_i64, "sparse": true }
    );
    assert_eq!(
        changed(
            rawdoc! { "sparse": true },
            rawdoc! { "keyPattern": { "x": 1 }, "hidden": true, "expireAfterSeconds": 5 },
        ),
        rawdoc! { "sparse": true, "hidden": true, "expireAfterSeconds": 5 }
    );
    assert_eq!(
        changed(rawdoc! {}, rawdoc! { "name": "x_1", "prepareUnique": true }),
        rawdoc! { "prepareUnique": true }
    );
}

#[test]
fn coll_mod_makes_an_index_unique_and_takes_that_back() {
    for (before, change, after) in [
        (
            rawdoc! { "prepareUnique": true, "hidden": true },
            rawdoc! { "unique": true },
            rawdoc! { "prepareUnique": true, "hidden": true, "unique": true },
        ),
        (
            rawdoc! { "prepareUnique": true, "unique": true, "sparse": true },
            rawdoc! { "forceNonUnique": true },
            rawdoc! { "prepareUnique": true, "sparse": true },
        ),
        (
            rawdoc! { "unique": true },
            rawdoc! { "forceNonUnique": false, "hidden": true },
            rawdoc! { "unique": true, "hidden": true },
        ),
        (
            rawdoc! { "prepareUnique": true, "hidden": true },
            rawdoc! { "prepareUnique": false, "hidden": false },
            rawdoc! {},
        ),
    ] {
        let mut index = rawdoc! { "name": "x_1" };
        for option in change.iter() {
            let (name, value) = option.unwrap();
            index.append(name, value);
        }
        assert_eq!(changed(before, index), after);
    }
}

#[test]
fn a_collection_that_the_target_has_keeps_its_order_until_it_is_dropped() {
    let mut catalog = catalog(&[("a.b", &[spec("x")]), ("a.series", &[])]);
    let known = catalog.clone();
    for name in ["a.b", "a.series", "a.system.buckets.series"] {
        catalog.insert_existing(&name.parse().unwrap());
    }
    assert_eq!(catalog, known, "what the dump says counts");

    let (name, create) = ("a.c", DefaultCollation::Simple);
    let is_ordered = |catalog: &IndexCatalog| catalog.find(name).unwrap().ordered;
    catalog.insert_existing(&name.parse().unwrap());
    // To create what is there already changes nothing.
    catalog.create(name.to_owned(), create, false);
    assert!(is_ordered(&catalog));
    catalog.drop_collection(name);
    catalog.create(name.to_owned(), create, false);
    assert!(!is_ordered(&catalog));
}

/// mongorestore builds it with both, which servers refuse.
#[test]
fn a_unique_index_is_not_built_as_one_that_is_prepared_to_be() {
    let made = |options: RawDocumentBuf| {
        let mut spec = spec("x");
        for option in options.iter() {
            let (name, value) = option.unwrap();
            spec.append(name, value);
        }
        spec
    };
    for (known, built) in [
        (
            rawdoc! { "prepareUnique": true, "unique": true, "hidden": true },
            rawdoc! { "unique": true, "hidden": true },
        ),
        (
            rawdoc! { "prepareUnique": true },
            rawdoc! { "prepareUnique": true },
        ),
    ] {
        let catalog = catalog(&[("a.b", &[made(known)])]);
        let collections = catalog.into_collections();
        assert_eq!(collections[0].1.specs, [made(built)]);
    }
}

/// mongorestore fails on one that the dump does not have.
#[test]
fn coll_mod_of_an_index_that_is_not_known_changes_nothing() {
    let before = catalog(&[("a.b", &[spec("x")])]);
    let mut after = before.clone();
    let whole = rawdoc! { "index": { "name": "y_1", "hidden": true } };
    let element = Elements::of(whole.as_bytes()).unwrap().next().unwrap();
    let change = CollMod::parse(element.unwrap().value).unwrap();
    assert!(!after.coll_mod("a.b", &change));
    assert!(!after.coll_mod("c.d", &change));
    assert_eq!(after, before);
}
