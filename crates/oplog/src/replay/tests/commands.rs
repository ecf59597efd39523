//! What each command does to the target and to the catalog.

use std::slice::from_ref;

use super::*;

/// A catalog with the collection `shop.x`.
fn catalog(specs: &[RawDocumentBuf]) -> IndexCatalog {
    let mut catalog = IndexCatalog::new();
    let collection = CollectionIndexes::new(DefaultCollation::Simple).specs(specs.to_vec());
    catalog.insert(&Namespace::new("shop", "x"), collection);
    catalog
}

fn spec() -> RawDocumentBuf {
    rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" }
}

/// What is sent and told for these commands, and what is then known.
fn replayed(
    version: [u32; 3],
    catalog: IndexCatalog,
    commands: &[RawDocumentBuf],
) -> (Done, IndexCatalog) {
    let target = ReplayTarget::new(version);
    let mut replay = Replay::new(target, ReplayOptions::default(), catalog);
    let entries: Vec<_> = commands
        .iter()
        .map(|object| command(5, object.clone()))
        .collect();
    let done = push(&mut replay, &entries).unwrap();
    (done, replay.finish().catalog)
}

fn collection(catalog: &IndexCatalog, name: &str) -> Option<CollectionIndexes> {
    catalog.get(&Namespace::new("shop", name)).cloned()
}

fn specs(catalog: &IndexCatalog, name: &str) -> Vec<RawDocumentBuf> {
    collection(catalog, name).map_or_else(Vec::new, |collection| collection.specs)
}

fn nothing_sent(done: &Done) {
    assert_eq!(done, &Done::default());
}

fn sent_as_they_are(done: &Done, commands: &[RawDocumentBuf]) {
    let entries: Vec<_> = commands
        .iter()
        .map(|object| command(5, object.clone()))
        .collect();
    assert_eq!(done.sent, entries);
    assert!(done.told.is_empty());
}

/// TOOLS-2534, TOOLS-2535, TOOLS-2833: order of fields, partial filters and all.
#[test]
fn created_indexes_go_to_the_catalog_as_they_are() {
    let first = rawdoc! { "v": 2_i64, "unique": true, "key": { "b": 1.0, "a": -1 }, "name": "first",
    "partialFilterExpression": { "a": { "$gt": 1 } } };
    let mut create = rawdoc! { "createIndexes": "x" };
    for field in first.iter() {
        let (name, value) = field.unwrap();
        create.append(name, value);
    }
    let second =
        rawdoc! { "v": 2, "key": { "t": "text" }, "weights": { "t": 3 }, "name": "second" };
    let commit = rawdoc! { "commitIndexBuild": "x", "indexBuildUUID": uuid(), "indexes": [second.clone(), spec()] };
    let (done, catalog) = replayed([6, 0, 5], catalog(&[]), &[create, commit]);
    nothing_sent(&done);
    assert_eq!(specs(&catalog, "x"), [first, second, spec()]);
}

/// TOOLS-2002: entries of 3.6 and 4.0 without the UUID.
#[test]
fn indexes_of_a_collection_just_created_are_known() {
    let create = rawdoc! { "create": "bar", "idIndex": { "v": 2, "key": { "_id": 1 }, "name": "_id_", "ns": "shop.bar" } };
    let index = rawdoc! { "createIndexes": "bar", "v": 2, "key": { "a": 1.0, "b": 1.0 }, "name": "a_1_b_1" };
    let (done, catalog) = replayed([4, 2, 0], IndexCatalog::new(), &[create.clone(), index]);
    sent_as_they_are(&done, &[create]);
    let bar = collection(&catalog, "bar").unwrap();
    assert_eq!(bar.specs.len(), 1);
    assert_eq!(bar.collation, DefaultCollation::Simple);
}

#[test]
fn dropped_indexes_leave_the_catalog_and_are_not_sent() {
    let others = [
        rawdoc! { "key": { "_id": 1 }, "name": "_id_" },
        rawdoc! { "key": { "b": 1 }, "name": "b_1" },
    ];
    let [id, other] = &others;
    for (which, left) in [
        (rawdoc! { "dropIndexes": "x", "index": "a_1" }, 2),
        (rawdoc! { "dropIndex": "x", "index": "a_1" }, 2),
        (rawdoc! { "deleteIndex": "x", "index": { "a": 1 } }, 2),
        (rawdoc! { "deleteIndexes": "x", "index": { "a": 1.0 } }, 3),
        (rawdoc! { "deleteIndexes": "x", "index": "*" }, 1),
        (rawdoc! { "dropIndexes": "x" }, 3),
        (rawdoc! { "dropIndexes": "y", "index": "*" }, 3),
    ] {
        let catalog = catalog(&[id.clone(), spec(), other.clone()]);
        let (done, catalog) = replayed([6, 0, 5], catalog, from_ref(&which));
        nothing_sent(&done);
        assert_eq!(specs(&catalog, "x").len(), left, "{which:?}");
    }
}

/// TOOLS-2041.
#[test]
fn drops_are_sent_and_their_indexes_forgotten() {
    for object in [rawdoc! { "drop": "x" }, rawdoc! { "dropDatabase": 1 }] {
        let (done, catalog) = replayed([6, 0, 5], catalog(&[spec()]), from_ref(&object));
        sent_as_they_are(&done, &[object]);
        assert!(collection(&catalog, "x").is_none());
    }
}

#[test]
fn an_index_created_after_a_drop_is_built() {
    let index = rawdoc! { "createIndexes": "x", "v": 2, "key": { "a": 1 }, "name": "a_1" };
    let commands = [
        rawdoc! { "drop": "x" },
        rawdoc! { "create": "x", "collation": { "locale": "de" } },
        index,
    ];
    let other = rawdoc! { "key": { "b": 1 }, "name": "b_1" };
    let (_, catalog) = replayed([6, 0, 5], catalog(&[other]), &commands);
    let known = collection(&catalog, "x").unwrap();
    assert_eq!(known.specs, [spec()]);
    assert_eq!(known.collation, DefaultCollation::Other);
}

#[test]
fn created_collections_are_sent_and_their_collation_and_order_known() {
    for (object, collation, ordered) in [
        (rawdoc! { "create": "new" }, DefaultCollation::Simple, false),
        (
            rawdoc! { "create": "new", "collation": { "locale": "simple" } },
            DefaultCollation::Simple,
            false,
        ),
        (
            rawdoc! { "create": "new", "collation": { "strength": 2, "locale": "fr" } },
            DefaultCollation::Other,
            false,
        ),
        (
            rawdoc! { "create": "new", "collation": {} },
            DefaultCollation::Other,
            false,
        ),
        (
            rawdoc! { "create": "new", "capped": true, "size": 4096 },
            DefaultCollation::Simple,
            true,
        ),
        (
            rawdoc! { "create": "new", "capped": false },
            DefaultCollation::Simple,
            false,
        ),
    ] {
        let (done, catalog) = replayed([6, 0, 5], IndexCatalog::new(), from_ref(&object));
        sent_as_they_are(&done, &[object]);
        let known = collection(&catalog, "new").unwrap();
        assert_eq!((known.collation, known.ordered), (collation, ordered));
    }
}

/// TOOLS-4073.
#[test]
fn whether_record_ids_are_replicated_is_left_to_the_target() {
    let create = rawdoc! { "create": "new", "recordIdsReplicated": true, "validator": {} };
    let (done, _) = replayed([8, 2, 0], IndexCatalog::new(), &[create]);
    sent_as_they_are(&done, &[rawdoc! { "create": "new", "validator": {} }]);
}

/// Servers from 8.3 write them.
#[test]
fn what_a_storage_engine_calls_a_collection_is_not_sent() {
    let entry = rawdoc! {
        "op": "c", "ns": "shop.$cmd", "o": { "create": "new" }, "o2": { "catalogId": 7_i64, "ident": "c-7" },
    };
    let bare = rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "create": "new" } };
    assert_eq!(sent(&[entry]), [bare]);
    let drop =
        rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "drop": "x" }, "o2": { "numRecords": 1 } };
    assert_eq!(sent(from_ref(&drop)), [drop]);
}

/// mongorestore fails: a target without views does not have the collection.
#[test]
fn the_collection_that_views_are_in_is_created_before_the_first_view() {
    let write = |operation: &str, db: &str| {
        let ns = format!("{db}.system.views");
        rawdoc! { "ts": ts(5), "op": operation, "ns": ns, "o": { "_id": "v" }, "o2": { "_id": "v" } }
    };
    let create = |db: &str| {
        let ns = format!("{db}.$cmd");
        rawdoc! { "ts": ts(5), "op": "c", "ns": ns, "o": { "create": "system.views" } }
    };
    let mut replay = replay();
    let entries = [
        write("d", "a"),
        write("i", "a"),
        write("i", "a"),
        create("b"),
        write("u", "b"),
        write("u", "c"),
        insert(5, 1),
    ];
    let done = push(&mut replay, &entries).unwrap();
    let [delete, first, second, made, update, other, last] = entries;
    let expected = [
        delete,
        create("a"),
        first,
        second,
        made,
        update,
        create("c"),
        other,
        last,
    ];
    assert_eq!(done.sent, expected);
    assert_eq!(replay.applied(), 7, "what is made up does not count");
}

/// mongorestore fails on what was written to a collection that the dump does not have any more.
#[test]
fn what_was_dropped_after_an_operation_is_known() {
    let mut replay = replay();
    let entries = [
        command(5, rawdoc! { "drop": "a" }),
        command(6, rawdoc! { "renameCollection": "shop.b", "to": "shop.c" }),
        rawdoc! { "ts": ts(7), "op": "c", "ns": "gone.$cmd", "o": { "dropDatabase": 1 } },
        command(3, rawdoc! { "drop": "d" }),
        command(8, rawdoc! { "drop": "d" }),
    ];
    push(&mut replay, &entries).unwrap();
    let replayed = replay.finish();
    for (db, collection, last) in [
        ("shop", "a", 4),
        // It is in `c` now.
        ("shop", "b", 0),
        ("shop", "c", 5),
        ("gone", "x", 6),
        ("shop", "d", 7),
        ("shop", "e", 0),
    ] {
        let namespace = Namespace::new(db, collection);
        for time in 1..10 {
            let dropped = replayed.dropped_after(&namespace, ts(time).into());
            assert_eq!(dropped, time <= last, "{namespace} {time}");
        }
    }
}

/// TOOLS-4071, TOOLS-4075, TOOLS-4105.
#[test]
fn the_part_of_a_coll_mod_about_an_index_goes_to_the_catalog_alone() {
    for (index, expected) in [
        (
            rawdoc! { "name": "a_1", "expireAfterSeconds": 3600_i64 },
            rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "expireAfterSeconds": 3600_i64 },
        ),
        (
            rawdoc! { "keyPattern": { "a": 1 }, "hidden": true },
            rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "hidden": true },
        ),
    ] {
        let object = rawdoc! { "collMod": "x", "index": index };
        let (done, catalog) = replayed([6, 0, 5], catalog(&[spec()]), &[object]);
        nothing_sent(&done);
        assert_eq!(specs(&catalog, "x"), [expected]);
    }
}

#[test]
fn the_rest_of_a_coll_mod_is_sent() {
    let object = rawdoc! {
        "collMod": "x", "validator": { "a": 1 }, "index": { "name": "a_1", "hidden": true },
        "usePowerOf2Sizes": true, "validationLevel": "off", "noPadding": false,
    };
    let rest = rawdoc! { "collMod": "x", "validator": { "a": 1 }, "validationLevel": "off" };
    let (done, after) = replayed([4, 1, 11], catalog(&[spec()]), from_ref(&object));
    sent_as_they_are(&done, &[rest]);
    assert!(specs(&after, "x")[0].get_bool("hidden").unwrap());

    let rest = rawdoc! {
        "collMod": "x", "validator": { "a": 1 }, "usePowerOf2Sizes": true, "validationLevel": "off",
        "noPadding": false,
    };
    let (done, _) = replayed([4, 1, 10], catalog(&[spec()]), &[object]);
    sent_as_they_are(&done, &[rest]);
}

/// Changes of the feature compatibility version write some.
#[test]
fn a_coll_mod_with_nothing_left_is_not_sent() {
    let empty = [
        rawdoc! { "collMod": "system.buckets.x" },
        rawdoc! { "collMod": "x", "noPadding": true },
    ];
    let (done, _) = replayed([6, 0, 5], catalog(&[]), &empty);
    nothing_sent(&done);
}

/// mongorestore fails.
#[test]
fn a_coll_mod_of_an_index_that_is_not_in_the_dump_is_told_and_the_rest_sent() {
    let index = rawdoc! { "name": "unknown", "hidden": true };
    let object = rawdoc! { "collMod": "x", "index": index, "validationLevel": "off" };
    let (done, after) = replayed([6, 0, 5], catalog(&[spec()]), &[object]);
    let told = ["an index of shop.x that the dump does not have was changed by `collMod` at 5:1"];
    assert_eq!(done.told, told);
    assert_eq!(done.sent.len(), 1);
    assert_eq!(specs(&after, "x"), [spec()]);
}

/// mongorestore builds the indexes of the old name.
#[test]
fn a_rename_is_sent_and_moves_the_indexes() {
    let plain = rawdoc! { "renameCollection": "shop.x", "to": "shop.y", "stayTemp": false };
    let mut over = plain.clone();
    over.append(bson::cstr!("dropTarget"), uuid());
    for rename in [plain.clone(), over] {
        let mut catalog = catalog(&[spec()]);
        let other = rawdoc! { "key": { "b": 1 }, "name": "b_1" };
        catalog.insert(
            &Namespace::new("shop", "y"),
            CollectionIndexes::default().specs(vec![other]),
        );
        let (done, catalog) = replayed([6, 0, 5], catalog, &[rename]);
        sent_as_they_are(&done, from_ref(&plain));
        assert!(collection(&catalog, "x").is_none());
        assert_eq!(specs(&catalog, "y"), [spec()]);
    }
}

#[test]
fn a_rename_to_another_database_moves_the_indexes_there() {
    let object = rawdoc! { "renameCollection": "shop.x", "to": "other.a.b" };
    let (_, catalog) = replayed([6, 0, 5], catalog(&[spec()]), &[object]);
    let moved = catalog.get(&Namespace::new("other", "a.b")).unwrap();
    assert_eq!(moved.specs, [spec()]);
}

/// A UUID of the source says nothing at the target, and with one that the target knows the server drops
/// that collection even if there is none to rename.
#[test]
fn a_rename_names_no_collection_to_drop_unless_uuids_are_preserved() {
    let renamed = |options: ReplayOptions, object: &RawDocumentBuf| {
        let mut replay = Replay::new(TARGET, options, IndexCatalog::new());
        let mut steps = Vec::new();
        let entry = command(5, object.clone());
        let _ = replay.push(entry.as_bytes(), &mut steps).unwrap();
        match steps.pop() {
            Some(Step::Apply(operation)) => operation,
            other => panic!("{other:?}"),
        }
    };
    let plain = rawdoc! { "renameCollection": "shop.x", "to": "shop.y.z" };
    let over = rawdoc! { "renameCollection": "shop.x", "to": "shop.y.z", "dropTarget": uuid() };
    let options = ReplayOptions::default();
    for object in [&plain, &over] {
        let operation = renamed(options, object);
        assert_eq!(operation.document().get_document("o").unwrap(), &*plain);
        let rename = operation.rename.unwrap();
        assert_eq!(rename.from, Namespace::new("shop", "x"));
        assert_eq!(rename.to, Namespace::new("shop", "y.z"));

        let operation = renamed(options.preserve_uuid(true), object);
        assert_eq!(operation.document().get_document("o").unwrap(), &**object);
        assert_eq!(operation.rename, None);
    }
}

#[test]
fn a_collection_converted_to_capped_keeps_no_index_but_that_on_id() {
    let object = rawdoc! { "convertToCapped": "x", "size": 4096 };
    let (done, catalog) = replayed([6, 0, 5], catalog(&[spec()]), from_ref(&object));
    sent_as_they_are(&done, &[object]);
    let known = collection(&catalog, "x").unwrap();
    assert!(known.specs.is_empty() && known.ordered);
}

#[test]
fn other_commands_that_are_known_are_sent_as_they_are() {
    let commands = [
        rawdoc! { "emptycapped": "x" },
        rawdoc! { "dbCheck": "shop.x", "type": "batch" },
    ];
    let (done, after) = replayed([6, 0, 5], catalog(&[spec()]), &commands);
    sent_as_they_are(&done, &commands);
    assert_eq!(specs(&after, "x"), [spec()]);
}

#[test]
fn indexes_of_a_time_series_collection_are_changed_through_its_buckets() {
    let commands = [
        rawdoc! { "collMod": "system.buckets.x", "index": { "name": "a_1", "hidden": true } },
        rawdoc! { "createIndexes": "system.buckets.x", "key": { "meta": 1 }, "name": "m_1" },
    ];
    let (done, before) = replayed([6, 0, 5], catalog(&[spec()]), &commands);
    nothing_sent(&done);
    assert!(specs(&before, "x")[0].get_bool("hidden").unwrap());
    assert_eq!(specs(&before, "system.buckets.x").len(), 1);

    let drop = rawdoc! { "drop": "system.buckets.x" };
    let (_, after) = replayed([6, 0, 5], before, &[drop]);
    assert_eq!(after, IndexCatalog::new());
}

#[test]
fn a_database_that_is_dropped_stays_if_that_is_asked_for() {
    let entry = command(5, rawdoc! { "dropDatabase": 1 });
    assert_eq!(sent(from_ref(&entry)), from_ref(&entry));
    let options = ReplayOptions::default().keep_databases(true);
    let mut replay = Replay::new(TARGET, options, IndexCatalog::new());
    assert_eq!(push(&mut replay, &[entry]).unwrap().sent, []);
    let orders = Namespace::new("shop", "orders");
    let before = OpTime::from(ts(4));
    assert!(replay.finish().dropped_after(&orders, before));
}
