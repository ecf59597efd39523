#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, RawDocumentBuf, Timestamp, rawdoc};

use super::*;

fn parse(document: &RawDocumentBuf) -> Result<Entry<'_>, EntryError> {
    Entry::parse(document.as_bytes())
}

#[test]
fn every_field_of_a_new_entry_is_read() {
    let previous = rawdoc! { "ts": Timestamp { time: 3, increment: 4 }, "t": 1_i64 };
    let session = rawdoc! { "id": Binary { subtype: BinarySubtype::Uuid, bytes: vec![1; 16] } };
    let bytes = rawdoc! {
        "lsid": session.clone(), "txnNumber": 8_i64, "op": "u", "ns": "shop.orders",
        "ui": Binary { subtype: BinarySubtype::Uuid, bytes: vec![2; 16] },
        "o": { "$v": 2, "diff": {} }, "o2": { "_id": 1 }, "stmtId": 0,
        "ts": Timestamp { time: 5, increment: 6 }, "t": 7_i64, "v": 2_i64,
        "wall": DateTime::from_millis(9), "prevOpTime": previous, "multiOpType": 1,
    };
    let entry = parse(&bytes).unwrap();
    assert_eq!(entry.as_bytes(), bytes.as_bytes());
    assert_eq!(entry.at(), "5:6".parse().unwrap());
    assert_eq!((entry.term(), entry.version()), (Some(7), Some(2)));
    assert_eq!((entry.operation(), entry.namespace()), ("u", "shop.orders"));
    assert_eq!(entry.db(), "shop");
    let object = rawdoc! { "$v": 2, "diff": {} };
    assert_eq!(entry.object().unwrap(), object.as_bytes());
    let object2 = rawdoc! { "_id": 1 };
    assert_eq!(entry.object2().unwrap(), Some(object2.as_bytes()));
    assert_eq!(entry.session(), Some((session.as_bytes(), 8)));
    assert_eq!(entry.previous(), Some("3:4".parse().unwrap()));
    assert_eq!(entry.wall_milliseconds(), Some(9));
    assert!(entry.is_vectored());
    assert!(entry.collection_uuid().is_some());
}

#[test]
fn entries_of_old_servers_are_read_with_what_they_have_more_or_less() {
    let bytes = rawdoc! {
        "_id": 7, "ts": Timestamp { time: 1, increment: 2 }, "t": 3, "h": -5_i64, "v": 2.0,
        "op": "i", "ns": "shop.orders", "o": { "_id": 1 },
    };
    let entry = parse(&bytes).unwrap();
    assert_eq!((entry.term(), entry.version()), (Some(3), Some(2)));
    assert!(entry.object2().unwrap().is_none());
    assert!(entry.session().is_none() && entry.previous().is_none());
    assert!(!entry.is_vectored() && entry.wall_milliseconds().is_none());
    assert!(entry.collection_uuid().is_none());
}

#[test]
fn an_entry_needs_no_more_than_what_is_asked_of_it() {
    let bytes = rawdoc! { "op": "n" };
    let entry = parse(&bytes).unwrap();
    assert_eq!((entry.at(), entry.namespace()), (OpTime::default(), ""));
    assert_eq!((entry.term(), entry.version()), (None, None));
    assert_eq!(
        entry.object().unwrap_err().to_string(),
        "oplog entry at 0:0 has no `o`"
    );
}

#[test]
fn fields_that_nobody_needs_may_be_of_any_type() {
    let bytes = rawdoc! {
        "op": "n", "t": "x", "v": [], "lsid": 1, "txnNumber": "y", "prevOpTime": { "ts": 1 },
        "multiOpType": {}, "wall": true, "ui": false, "o": 1, "o2": 2,
    };
    let entry = parse(&bytes).unwrap();
    assert_eq!((entry.term(), entry.version()), (None, None));
    assert!(entry.session().is_none() && entry.previous().is_none());
    assert!(entry.object().is_err() && entry.object2().is_err());
}

/// Edge case of `oplog_test.go:496` of mongo-tools: TOOLS-2495.
#[test]
fn an_entry_around_a_document_of_16_mib_is_read_and_a_longer_one_is_not() {
    let entry = |bytes: usize| {
        rawdoc! { "op": "i", "ns": "db1.c1", "o": { "_id": 1, "key": "A".repeat(bytes) } }
    };
    let around = entry(0).as_bytes().len();
    let longest = entry(16 * 1024 * 1024 + 16 * 1024 - around);
    assert_eq!(longest.as_bytes().len(), MAX_DOCUMENT_BYTES);
    assert!(parse(&longest).is_ok());
    let too_long = entry(16 * 1024 * 1024 + 16 * 1024 - around + 1);
    assert!(matches!(parse(&too_long), Err(EntryError::TooLong { .. })));
}

#[test]
fn what_is_no_entry_is_refused_with_its_time() {
    let ts = Timestamp {
        time: 5,
        increment: 6,
    };
    let not_utf8 = {
        let bytes = rawdoc! { "op": "i", "ns": "shop.x", "ts": ts }.into_bytes();
        let at = bytes.iter().position(|byte| *byte == b'x').unwrap();
        let mut bytes = bytes;
        bytes[at] = 0xFF;
        bytes
    };
    let errors = [
        rawdoc! { "ts": ts, "ns": "a.b" }.into_bytes(),
        rawdoc! { "ts": ts, "op": 1 }.into_bytes(),
        rawdoc! { "ts": ts, "op": "i", "ns": 1 }.into_bytes(),
        rawdoc! { "ts": 5, "op": "i" }.into_bytes(),
        not_utf8,
        b"\x06\0\0\0\x20\0".to_vec(),
        vec![],
    ]
    .map(|bytes| Entry::parse(&bytes).unwrap_err().to_string());
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_command_is_named_by_its_first_field() {
    let bytes = rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "drop": "orders", "create": "x" } };
    let entry = parse(&bytes).unwrap();
    let command = entry.command().unwrap();
    assert_eq!(command.name, "drop");
    assert!(matches!(command.subject, Value::String(b"orders")));

    let empty = rawdoc! { "op": "c", "ns": "shop.$cmd", "o": {} };
    assert!(parse(&empty).unwrap().command().is_err());

    let mut odd = rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "z": 1 } }.into_bytes();
    let at = odd.iter().position(|byte| *byte == b'z').unwrap();
    odd[at] = 0xFF;
    assert!(Entry::parse(&odd).unwrap().command().is_err());
}

#[test]
fn an_operation_inside_of_another_happened_when_that_did() {
    let at = |time| Timestamp { time, increment: 1 };
    let bytes = rawdoc! { "ts": at(5), "t": 2_i64, "v": 2, "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [
        { "op": "i", "ns": "a.b", "o": {} }, { "op": "d", "ns": "a.b", "ts": at(4), "t": 1_i64, "o": {} },
    ] } };
    let entry = parse(&bytes).unwrap();
    let inner: Vec<_> = entry.inner(entry.command().unwrap()).unwrap().collect();
    let [Ok(first), Ok(second)] = inner.as_slice() else {
        panic!("{inner:?}");
    };
    assert_eq!((first.at().seconds, first.term()), (5, Some(2)));
    assert_eq!(first.version(), Some(2));
    assert_eq!((second.at().seconds, second.term()), (4, Some(1)));
}

#[test]
fn an_apply_ops_of_anything_but_documents_is_refused() {
    for bytes in [
        rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": 1 } },
        rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [1] } },
        rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [{}] } },
    ] {
        let entry = parse(&bytes).unwrap();
        let command = entry.command().unwrap();
        let inner = entry
            .inner(command)
            .and_then(|mut inner| inner.next().unwrap());
        assert!(inner.is_err(), "{bytes:?}");
    }
}

#[test]
fn damage_inside_of_an_entry_is_noticed_where_it_is_looked_at() {
    let whole =
        rawdoc! { "op": "c", "ns": "a.$cmd", "o": { "applyOps": [{ "op": "n" }], "x": "yz" } };
    // The type of `x`.
    let at = whole
        .as_bytes()
        .windows(3)
        .position(|window| window == b"\x02x\0")
        .unwrap();
    let mut damaged = whole.clone().into_bytes();
    damaged[at] = 0x20;
    let entry = Entry::parse(&damaged).unwrap();
    let command = entry.command().unwrap();
    assert!(matches!(
        entry.field(command.object, "x"),
        Err(EntryError::Bson { .. })
    ));
    assert!(entry.field(command.object, "applyOps").unwrap().is_some());

    let mut damaged = whole.into_bytes();
    let inner = damaged
        .windows(4)
        .position(|window| window == b"\x03\x30\0\x0F")
        .unwrap();
    damaged[inner] = 0x20;
    let entry = Entry::parse(&damaged).unwrap();
    let mut inner = entry.inner(entry.command().unwrap()).unwrap();
    assert!(matches!(inner.next(), Some(Err(EntryError::Bson { .. }))));
}
