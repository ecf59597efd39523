#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

mod model;

use bson::spec::BinarySubtype;
use bson::{Binary, RawArrayBuf, RawDocumentBuf, rawdoc};
use rdump_format::Namespace;

use super::*;
use crate::{
    CollectionIndexes, DefaultCollation, Entry, IndexCatalog, Replay, ReplayOptions, ReplayTarget,
    Step,
};

fn at_most(lanes: usize, operations: usize, command_bytes: u64) -> BatchOptions {
    let number = |number| NonZeroUsize::new(number).unwrap();
    BatchOptions::default()
        .lanes(number(lanes))
        .operations(number(operations))
        .command_bytes(command_bytes)
}

/// What a batcher makes of these entries.
fn dispatch(entries: &[RawDocumentBuf], options: BatchOptions) -> Vec<Dispatch> {
    let mut catalog = IndexCatalog::new();
    let simple = CollectionIndexes::new(DefaultCollation::Simple);
    catalog.insert(&"shop.orders".parse().unwrap(), simple);
    let target = ReplayTarget::new([6, 0, 5]);
    let mut replay = Replay::new(target, ReplayOptions::default(), catalog);
    let mut batcher = Batcher::new(options);
    let (mut steps, mut dispatches) = (Vec::new(), Vec::new());
    for entry in entries {
        let _ = replay.push(entry.as_bytes(), &mut steps).unwrap();
        for step in steps.drain(..) {
            match step {
                Step::Apply(operation) => batcher.push(operation, &mut dispatches),
                Step::Notice(notice) => panic!("{notice}"),
                Step::Skip(unknown) => panic!("{unknown}"),
            }
        }
    }
    batcher.finish(&mut dispatches);
    dispatches
}

fn insert(id: i32) -> RawDocumentBuf {
    rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": id } }
}

fn drop_of(collection: &str) -> RawDocumentBuf {
    rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "drop": collection } }
}

/// How many operations each batch has; 0 is a wait.
fn shape(dispatches: &[Dispatch]) -> Vec<usize> {
    let operations = dispatches.iter().map(|dispatch| match dispatch {
        Dispatch::Batch(batch) => batch.operations(),
        Dispatch::Wait => 0,
    });
    operations.collect()
}

fn only(dispatches: Vec<Dispatch>) -> Batch {
    match <[Dispatch; 1]>::try_from(dispatches) {
        Ok([Dispatch::Batch(batch)]) => batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn operations_are_packed_into_one_command_in_their_order() {
    let entries: Vec<_> = (0..12).map(insert).collect();
    let options = at_most(1, 100, 10_000).bypass_document_validation(true);
    let batch = only(dispatch(&entries, options));
    assert_eq!((batch.lane(), batch.operations()), (0, 12));
    let mut operations = RawArrayBuf::new();
    for entry in &entries {
        operations.push(entry.clone());
    }
    let command =
        rawdoc! { "applyOps": operations, "allowAtomic": false, "bypassDocumentValidation": true };
    assert_eq!(batch.command(), command.as_ref());
    for (position, entry) in entries.iter().enumerate() {
        assert_eq!(batch.operation(position), Some(entry.as_ref()));
    }
    assert_eq!(batch.operation(12), None);
    let named = Entry::parse(batch.operation(3).unwrap().as_bytes()).unwrap();
    assert_eq!(named.namespace(), "shop.orders");
}

#[test]
fn a_batch_ends_at_the_number_of_operations_or_of_bytes() {
    let entries: Vec<_> = (0..7).map(insert).collect();
    assert_eq!(shape(&dispatch(&entries, at_most(1, 3, 10_000))), [3, 3, 1]);
    let bytes = insert(0).as_bytes().len() as u64;
    let options = at_most(1, 100, 2 * (bytes + 3) + 200);
    for dispatch in dispatch(&entries, options) {
        let Dispatch::Batch(batch) = dispatch else {
            panic!("{dispatch:?}");
        };
        assert!(batch.command().as_bytes().len() as u64 <= options.command_bytes);
        assert!(batch.operations() <= 4);
    }
    // What is too long for a batch goes alone.
    assert_eq!(shape(&dispatch(&entries, at_most(1, 100, 0))), [1; 7]);
}

/// TOOLS-939.
#[test]
fn no_command_of_several_operations_is_longer_than_servers_take() {
    let large = |id| {
        let filler = "x".repeat(1024 * 1024);
        rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": id, "x": filler } }
    };
    let mut entries: Vec<_> = (0..50).map(insert).collect();
    entries.extend((50..80).map(large));
    let dispatches = dispatch(&entries, at_most(1, 1000, u64::MAX));
    assert_eq!(shape(&dispatches).iter().sum::<usize>(), entries.len());
    assert!(dispatches.len() > 1);
    for dispatch in dispatches {
        let Dispatch::Batch(batch) = dispatch else {
            panic!("{dispatch:?}");
        };
        assert!(batch.command().as_bytes().len() <= 16 * 1024 * 1024);
    }
}

/// TOOLS-2495: 16 MiB and 16 KiB, of which the operation needs less than the entry.
#[test]
fn the_longest_document_goes_in_a_command_of_its_own() {
    let longest = "A".repeat(16 * 1024 * 1024 - 32);
    let entry =
        rawdoc! { "op": "i", "ns": "shop.orders", "v": 2, "o": { "_id": 1, "key": longest } };
    let batches = dispatch(&[insert(0), entry, insert(2)], at_most(1, 1000, 1 << 20));
    assert_eq!(shape(&batches), [1, 1, 1]);
}

#[test]
fn documents_are_distributed_over_the_lanes() {
    let entries: Vec<_> = (0..1000).map(insert).collect();
    let mut operations = [0; 4];
    for dispatch in dispatch(&entries, at_most(4, 10, 10_000)) {
        let Dispatch::Batch(batch) = dispatch else {
            panic!("{dispatch:?}");
        };
        operations[batch.lane()] += batch.operations();
    }
    assert_eq!(operations.iter().sum::<usize>(), 1000);
    for operations in operations {
        assert!((150..350).contains(&operations), "{operations}");
    }
}

#[test]
fn a_command_waits_for_everything_before_it_and_everything_after_it_waits_for_it() {
    let entries = [
        drop_of("a"),
        insert(0),
        insert(1),
        drop_of("b"),
        drop_of("c"),
        insert(3),
    ];
    let dispatches = dispatch(&entries, at_most(1, 10, 10_000));
    assert_eq!(shape(&dispatches), [1, 0, 2, 0, 1, 0, 1, 0, 1]);
    // A batch that was full before is waited for, too.
    let entries = [insert(0), insert(1), drop_of("b")];
    let dispatches = dispatch(&entries, at_most(1, 1, 10_000));
    assert_eq!(shape(&dispatches), [1, 1, 0, 1, 0]);
    assert!(dispatch(&[], BatchOptions::default()).is_empty());
}

#[test]
fn defaults_are_what_their_documentation_says() {
    let options = BatchOptions::default();
    assert_eq!((options.lanes.get(), options.operations.get()), (4, 1000));
    assert_eq!(options.command_bytes, 1 << 20);
    assert!(!options.bypass_document_validation);
}

/// mongorestore leaves the replaced collection behind, as `tmpXXXXX.rename`.
#[test]
fn a_rename_over_a_collection_drops_it_by_the_uuid_that_it_has_at_the_target() {
    let binary = |byte| Binary {
        subtype: BinarySubtype::Uuid,
        bytes: vec![byte; 16],
    };
    let rename = |object: RawDocumentBuf| rawdoc! { "op": "c", "ns": "shop.$cmd", "o": object, "o2": { "numRecords": 1 } };
    let plain = rawdoc! { "renameCollection": "shop.a", "to": "shop.b.c", "stayTemp": false };
    let over = |byte| {
        let mut object = plain.clone();
        object.append(bson::cstr!("dropTarget"), binary(byte));
        rename(object)
    };
    let options = BatchOptions::default().bypass_document_validation(true);
    let dispatches = dispatch(&[over(1)], options);
    let [Dispatch::Batch(batch), Dispatch::Wait] = dispatches.as_slice() else {
        panic!("{dispatches:?}");
    };
    let renames = batch.renames().unwrap();
    assert_eq!(renames.from, Namespace::new("shop", "a"));
    assert_eq!(renames.to, Namespace::new("shop", "b.c"));
    let sent = |operation| {
        rawdoc! {
            "applyOps": [operation], "allowAtomic": false, "bypassDocumentValidation": true,
        }
    };
    assert_eq!(batch.command(), sent(rename(plain.clone())).as_ref());
    let replaced = batch.clone().replace([2; 16]);
    assert_eq!(replaced.command(), sent(over(2)).as_ref());
    assert_eq!(
        replaced.clone().replace([3; 16]).command(),
        replaced.command()
    );

    let other = only(dispatch(&[insert(1)], options));
    assert_eq!(other.renames(), None);
    let command = other.command().to_owned();
    assert_eq!(other.replace([2; 16]).command(), command.as_ref());
}

#[test]
fn what_is_left_of_a_batch_is_without_the_collection_that_is_missing() {
    let elsewhere = |id: i32| rawdoc! { "op": "i", "ns": "shop.missing", "o": { "_id": id } };
    let entries = [insert(1), elsewhere(1), insert(2), elsewhere(2), insert(3)];
    let options = at_most(1, 100, 10_000).bypass_document_validation(true);
    let batch = only(dispatch(&entries, options));
    let rest = batch.without_missing(1).unwrap();
    let command = rawdoc! {
        "applyOps": [insert(2), insert(3)], "allowAtomic": false, "bypassDocumentValidation": true,
    };
    assert_eq!((rest.lane(), rest.operations()), (batch.lane(), 2));
    assert_eq!(rest.command(), command.as_ref());
    assert!(batch.without_missing(4).is_none());
    assert!(batch.without_missing(5).is_none());
    assert!(
        only(dispatch(&[elsewhere(1), elsewhere(2)], options))
            .without_missing(0)
            .is_none()
    );
}

#[test]
fn what_is_left_of_a_batch_is_without_the_deletes_that_a_server_refuses() {
    let delete = |collection: &str, id: i32| {
        rawdoc! { "op": "d", "ns": format!("shop.{collection}"), "o": { "_id": id } }
    };
    let insert_elsewhere = rawdoc! { "op": "i", "ns": "shop.last", "o": { "_id": 3 } };
    let entries = [
        delete("last", 0),
        insert(1),
        delete("last", 1),
        insert_elsewhere.clone(),
        delete("orders", 1),
        delete("last", 2),
    ];
    let batch = only(dispatch(&entries, at_most(1, 100, 10_000)));
    let (rest, left_out) = batch.without_deletes(2);
    let command = rawdoc! {
        "applyOps": [insert_elsewhere.clone(), delete("orders", 1)], "allowAtomic": false,
        "bypassDocumentValidation": false,
    };
    assert_eq!(rest.unwrap().command(), command.as_ref());
    assert_eq!(left_out, [delete("last", 1), delete("last", 2)]);
    let (rest, left_out) = batch.without_deletes(5);
    assert!(rest.is_none());
    assert_eq!(left_out, [delete("last", 2)]);
    let again = [delete("last", 3), delete("last", 4), insert_elsewhere];
    let batch = only(dispatch(&again, at_most(1, 100, 10_000)));
    let (rest, left_out) = batch.without_deletes(0);
    assert_eq!(
        (rest.unwrap().operations(), left_out),
        (1, vec![delete("last", 4)])
    );
}

#[test]
fn updates_by_operators_are_sent_as_updates_and_what_is_beside_them_too() {
    let entries = [
        entry_of("i", "shop.orders", rawdoc! { "_id": 1, "a": 1 }, None),
        entry_of(
            "u",
            "shop.orders",
            rawdoc! { "$v": 1, "$set": { "a": 2 } },
            Some(1),
        ),
        entry_of("u", "shop.other", rawdoc! { "_id": 9 }, Some(9)),
        entry_of(
            "u",
            "shop.stock",
            rawdoc! { "$v": 2, "diff": { "u": { "a": 2 } } },
            Some(7),
        ),
        entry_of("u", "shop.orders", rawdoc! { "_id": 2, "$v": 1 }, Some(2)),
        entry_of("d", "shop.orders", rawdoc! { "_id": 1 }, None),
        entry_of(
            "u",
            "shop.orders",
            rawdoc! { "$unset": { "a": true } },
            Some(3),
        ),
    ];
    let parts = only(dispatch(&entries, at_most(1, 100, 10_000))).parts();
    let commands: Vec<_> = parts
        .iter()
        .map(|part| match part {
            BatchPart::ApplyOps(batch) => ("admin", batch.command().to_owned()),
            BatchPart::Write(write) => (write.db.as_str(), write.command.clone()),
            BatchPart::Command { db, command, .. } => (db.as_str(), command.clone()),
        })
        .collect();
    let is = |id: i32| rawdoc! { "_id": { "$eq": id } };
    let updates = rawdoc! { "update": "orders", "updates": [
        { "q": is(1), "u": { "_id": 1, "a": 1 }, "upsert": true },
        { "q": is(1), "u": { "$set": { "a": 2 } } },
        { "q": is(2), "u": { "_id": 2, "$v": 1 }, "upsert": true },
    ] };
    let deletes = rawdoc! { "delete": "orders", "deletes": [{ "q": is(1), "limit": 1 }] };
    let last = rawdoc! { "update": "orders", "updates": [{ "q": is(3), "u": { "$unset": { "a": true } } }] };
    let [
        ("shop", one),
        ("shop", two),
        ("shop", three),
        ("admin", four),
        ("admin", five),
    ] = commands.as_slice()
    else {
        panic!("{commands:?}");
    };
    assert_eq!([one, two, three], [&updates, &deletes, &last]);
    assert!(four.get_array("applyOps").is_ok(), "{four:?}");
    assert!(five.get_array("applyOps").is_ok(), "{five:?}");
}

fn entry_of(
    kind: &str,
    namespace: &str,
    object: RawDocumentBuf,
    id: Option<i32>,
) -> RawDocumentBuf {
    let mut entry = rawdoc! { "op": kind, "ns": namespace, "o": object };
    if let Some(id) = id {
        entry.append(bson::cstr!("o2"), rawdoc! { "_id": id });
    }
    entry
}

#[test]
fn a_server_without_apply_ops_gets_writes_and_commands() {
    let create =
        rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "create": "a", "idIndex": { "v": 2 } } };
    let rename = rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "renameCollection": "shop.a", "to": "shop.b" } };
    let diff = entry_of(
        "u",
        "shop.orders",
        rawdoc! { "$v": 2, "diff": { "u": { "a": 2 } } },
        Some(7),
    );
    let parts = |entry: &RawDocumentBuf| {
        let dispatches = dispatch(std::slice::from_ref(entry), at_most(1, 100, 10_000));
        let batch = dispatches.into_iter().find_map(|dispatch| match dispatch {
            Dispatch::Batch(batch) => Some(batch),
            Dispatch::Wait => None,
        });
        batch.unwrap().without_apply_ops()
    };
    for (entry, db, expected) in [
        (create, "shop", rawdoc! { "create": "a" }),
        (
            rename,
            "admin",
            rawdoc! { "renameCollection": "shop.a", "to": "shop.b" },
        ),
    ] {
        let [
            BatchPart::Command {
                db: found, command, ..
            },
        ] = &parts(&entry)[..]
        else {
            panic!("{entry:?}");
        };
        assert_eq!((found.as_str(), command), (db, &expected));
    }
    let update = rawdoc! { "q": { "_id": { "$eq": 3 } }, "u": { "_id": 3 }, "upsert": true };
    let expected = rawdoc! { "update": "orders", "updates": [update] };
    let [BatchPart::Write(write)] = &parts(&insert(3))[..] else {
        panic!("it is no write");
    };
    assert_eq!(write.command, expected);
    // Nothing else can say that.
    assert!(matches!(&parts(&diff)[..], [BatchPart::ApplyOps(_)]));
}
