use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc, rawdoc};

use super::{ChangeEvent, ChangeEventError, EventEntries};
use crate::{Entry, OpTime};

fn event(kind: &str, more: Document) -> RawDocumentBuf {
    let mut event = doc! {
        "_id": { "_data": "82" }, "operationType": kind, "clusterTime": Timestamp { time: 7, increment: 1 },
        "ns": { "db": "shop", "coll": "orders" },
    };
    event.extend(more);
    RawDocumentBuf::try_from(&event).unwrap()
}

fn entries(events: &[RawDocumentBuf]) -> Vec<Document> {
    let mut entries = EventEntries::new(OpTime {
        seconds: 7,
        ordinal: 1,
    });
    for event in events {
        entries
            .push(&ChangeEvent::parse(event.as_bytes()).unwrap())
            .unwrap();
    }
    let entries = entries.build();
    entries
        .iter()
        .map(|entry| {
            let parsed = Entry::parse(entry.as_bytes()).unwrap();
            assert_eq!(parsed.at().to_string(), "7:1");
            let mut entry = Document::try_from(entry).unwrap();
            entry.remove("ts");
            entry.remove("v");
            entry
        })
        .collect()
}

fn updates(description: Document) -> Vec<Bson> {
    let more = doc! { "documentKey": { "_id": 1 }, "updateDescription": description };
    let entries = entries(&[event("update", more)]);
    let objects = |entry: &Document| match entry.get_document("o").unwrap().get_array("applyOps") {
        Ok(inner) => inner
            .iter()
            .map(|inner| inner.as_document().unwrap().get("o").unwrap().clone())
            .collect(),
        Err(_) => vec![entry.get("o").unwrap().clone()],
    };
    entries.iter().flat_map(objects).collect()
}

#[test]
fn documents_are_inserted_replaced_and_deleted() {
    let key = || doc! { "documentKey": { "_id": 1 } };
    let full =
        |value| doc! { "documentKey": { "_id": 1 }, "fullDocument": { "_id": 1, "a": value } };
    for (kind, more, expected) in [
        (
            "insert",
            full(1),
            doc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1, "a": 1 }, "o2": { "_id": 1 } },
        ),
        (
            "replace",
            full(2),
            doc! { "op": "u", "ns": "shop.orders", "o": { "_id": 1, "a": 2 }, "o2": { "_id": 1 } },
        ),
        (
            "update",
            full(3),
            doc! { "op": "u", "ns": "shop.orders", "o": { "_id": 1, "a": 3 }, "o2": { "_id": 1 } },
        ),
        (
            "delete",
            key(),
            doc! { "op": "d", "ns": "shop.orders", "o": { "_id": 1 } },
        ),
    ] {
        assert_eq!(entries(&[event(kind, more)]), [expected]);
    }
    // It was looked up too late.
    let mut lost = key();
    lost.insert("fullDocument", Bson::Null);
    assert_eq!(entries(&[event("update", lost)]), [] as [Document; 0]);
}

#[test]
fn what_happened_at_one_moment_is_one_entry() {
    let full = |id: i32| doc! { "documentKey": { "_id": id }, "fullDocument": { "_id": id } };
    let both = entries(&[event("insert", full(1)), event("insert", full(2))]);
    let inner =
        |id: i32| doc! { "op": "i", "ns": "shop.orders", "o": { "_id": id }, "o2": { "_id": id } };
    let expected =
        doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [inner(1), inner(2)] } };
    assert_eq!(both, [expected]);
}

#[test]
fn a_transaction_of_more_than_an_entry_takes_is_several_entries() {
    let text = "x".repeat(5 << 20);
    let full = |id: i32| doc! { "documentKey": { "_id": id }, "fullDocument": { "_id": id, "text": &text } };
    let events: Vec<_> = (0..4).map(|id| event("insert", full(id))).collect();
    assert_eq!(entries(&events).len(), 4);
}

#[test]
fn updates_are_said_by_operators_in_an_order_that_keeps_that_of_the_fields() {
    let set = |fields: Document| Bson::from(doc! { "$set": fields });
    assert_eq!(
        updates(
            doc! { "updatedFields": { "a": 1, "b.c": 2, "b.d": 3 }, "removedFields": ["x", "y.z"] }
        ),
        [
            Bson::from(doc! { "$unset": { "x": true, "y.z": true } }),
            set(doc! { "a": 1, "b.c": 2, "b.d": 3 }),
        ]
    );
    assert_eq!(
        updates(
            doc! { "updatedFields": { "z": 1, "a": 2, "b": 3, "b2": 3, "b.1": 4 }, "removedFields": [] }
        ),
        [
            set(doc! { "z": 1 }),
            set(doc! { "a": 2, "b": 3, "b2": 3 }),
            set(doc! { "b.1": 4 }),
        ]
    );
    // 10 comes after 9 for a server, and of 01 that is not certain.
    assert_eq!(
        updates(doc! { "updatedFields": { "a.9": 1, "a.10": 2, "a.01": 3, "a.x": 4 } }),
        [
            set(doc! { "a.9": 1, "a.10": 2 }),
            set(doc! { "a.01": 3 }),
            set(doc! { "a.x": 4 }),
        ]
    );
    assert_eq!(
        updates(
            doc! { "updatedFields": { "a.0": 1 }, "truncatedArrays": [{ "field": "a", "newSize": 3 }] }
        ),
        [
            Bson::from(doc! { "$push": { "a": { "$each": [], "$slice": 3 } } }),
            set(doc! { "a.0": 1 }),
        ]
    );
    assert_eq!(
        updates(doc! { "updatedFields": {}, "removedFields": [] }),
        []
    );
}

#[test]
fn definitions_are_the_commands_of_the_oplog() {
    let index = doc! { "v": 2, "key": { "a": 1 }, "name": "a_1" };
    let id_index = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
    for (kind, more, db, expected) in [
        ("drop", doc! {}, "shop", doc! { "drop": "orders" }),
        (
            "create",
            doc! { "operationDescription": { "capped": true, "size": 4096, "idIndex": &id_index } },
            "shop",
            doc! { "create": "orders", "capped": true, "size": 4096, "idIndex": &id_index },
        ),
        (
            "createIndexes",
            doc! { "operationDescription": { "indexes": [&index] } },
            "shop",
            doc! { "createIndexes": "orders", "v": 2, "key": { "a": 1 }, "name": "a_1" },
        ),
        (
            "dropIndexes",
            doc! { "operationDescription": { "indexes": [&index] } },
            "shop",
            doc! { "dropIndexes": "orders", "index": "a_1" },
        ),
        (
            "modify",
            doc! { "operationDescription": { "index": { "name": "a_1", "hidden": true } } },
            "shop",
            doc! { "collMod": "orders", "index": { "name": "a_1", "hidden": true } },
        ),
        (
            "rename",
            doc! { "to": { "db": "old", "coll": "o" }, "operationDescription": { "to": {}, "dropTarget": 1 } },
            "shop",
            doc! { "renameCollection": "shop.orders", "to": "old.o", "dropTarget": 1 },
        ),
        // As servers before 6.0 tell of it.
        (
            "rename",
            doc! { "to": { "db": "old", "coll": "o" } },
            "shop",
            doc! { "renameCollection": "shop.orders", "to": "old.o", "dropTarget": true },
        ),
    ] {
        let expected = doc! { "op": "c", "ns": format!("{db}.$cmd"), "o": expected };
        assert_eq!(entries(&[event(kind, more)]), [expected]);
    }
}

#[test]
fn with_a_database_its_views_are_dropped() {
    let entries = entries(&[event("dropDatabase", doc! { "ns": { "db": "shop" } })]);
    let command = |o: Document| doc! { "op": "c", "ns": "shop.$cmd", "o": o };
    let expected = [
        command(doc! { "drop": "system.views" }),
        command(doc! { "dropDatabase": 1 }),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn what_no_entry_can_say_is_a_command_that_no_server_knows() {
    let time_series = doc! { "operationDescription": { "timeseries": { "timeField": "t" } } };
    for (kind, more, name) in [
        ("explode", doc! {}, "explode"),
        ("create", time_series, "createTimeSeries"),
    ] {
        let unknown = entries(&[event(kind, more)]);
        let expected = doc! { "op": "c", "ns": "shop.$cmd", "o": { name: "orders" } };
        assert_eq!(unknown, [expected]);
    }

    let description =
        doc! { "updatedFields": { "a.b": 1 }, "disambiguatedPaths": { "a.b": ["a.b"] } };
    let mut more = doc! { "documentKey": { "_id": 1 }, "updateDescription": description };
    let unknown = entries(&[event("update", more.clone())]);
    let expected =
        doc! { "op": "c", "ns": "shop.$cmd", "o": { "update of the field \"a.b\"": "orders" } };
    assert_eq!(unknown, [expected]);
    more.insert("fullDocument", doc! { "_id": 1, "a.b": 1 });
    let known = entries(&[event("update", more)]);
    assert_eq!(
        known[0].get_document("o").unwrap(),
        &doc! { "_id": 1, "a.b": 1 }
    );
}

#[test]
fn what_is_missing_is_named() {
    let nothing = rawdoc! { "_id": {}, "operationType": "insert" };
    let error = ChangeEvent::parse(nothing.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the change event of 0:0 has no proper `clusterTime`"
    );
    let mut entries = EventEntries::new(OpTime::default());
    for (kind, field) in [
        ("insert", "fullDocument"),
        ("replace", "documentKey"),
        ("delete", "documentKey"),
        ("rename", "to"),
        ("createIndexes", "operationDescription"),
    ] {
        let more = doc! { "fullDocument": (kind == "replace").then(|| doc! {}) };
        let event = event(kind, more);
        let pushed = entries.push(&ChangeEvent::parse(event.as_bytes()).unwrap());
        let Err(ChangeEventError::Missing { field: found, .. }) = pushed else {
            panic!("{kind}: {pushed:?}");
        };
        assert_eq!(found, field);
    }
}
