use bson::{RawDocumentBuf, Timestamp, rawdoc};

use super::*;

fn entry(ordinal: u32, namespace: &str) -> RawDocumentBuf {
    let at = Timestamp {
        time: 7,
        increment: ordinal,
    };
    rawdoc! { "ts": at, "t": 3_i64, "op": "i", "ns": namespace, "o": { "_id": 1 } }
}

fn part(ordinal: u32, number: i64, object: RawDocumentBuf) -> RawDocumentBuf {
    let at = Timestamp {
        time: 7,
        increment: ordinal,
    };
    rawdoc! { "ts": at, "lsid": { "id": 1 }, "txnNumber": number, "op": "c", "ns": "admin.$cmd", "o": object }
}

fn at(ordinal: u32) -> OpTime {
    OpTime {
        seconds: 7,
        ordinal,
    }
}

#[test]
fn what_was_looked_at_last_is_marked_though_it_is_not_stored() {
    let mut builder = SliceBuilder::new(1 << 20);
    assert!(SliceBuilder::new(1).build().is_none());
    let (a, b) = (entry(1, "shop.a"), entry(2, "shop.b"));
    builder.push(a.as_bytes(), Some(a.as_bytes())).unwrap();
    builder.push(b.as_bytes(), None).unwrap();
    assert_eq!((builder.entries(), builder.end()), (1, Some(at(2))));
    let slice = builder.build().unwrap();
    assert_eq!(slice.last, entry_mark(b.as_bytes()).unwrap());
    assert_eq!((slice.last.at, slice.last.term), (at(2), Some(3)));
    assert_eq!(slice.segments[0].body, a.as_bytes());
    assert_eq!(slice.namespaces.unwrap()["shop.a"], 1);
    assert!(!slice.definitions);
}

#[test]
fn too_many_namespaces_are_not_counted() {
    let mut builder = SliceBuilder::new(1 << 20);
    for number in 0..=MOST_NAMESPACES {
        let entry = entry(1, &format!("shop.c{number}"));
        builder
            .push(entry.as_bytes(), Some(entry.as_bytes()))
            .unwrap();
    }
    assert_eq!(builder.build().unwrap().namespaces, None);
}

#[test]
fn transactions_are_open_until_they_are_decided() {
    let mut open = OpenTransactions::since(None);
    let begun = rawdoc! { "applyOps": [], "partialTxn": true };
    for (ordinal, number) in [(1, 1), (2, 2), (3, 1)] {
        open.push(part(ordinal, number, begun.clone()).as_bytes())
            .unwrap();
    }
    assert_eq!(open.oldest(), Some(at(1)));
    open.push(part(4, 1, rawdoc! { "applyOps": [] }).as_bytes())
        .unwrap();
    assert_eq!(open.oldest(), Some(at(2)));
    open.push(part(5, 2, rawdoc! { "abortTransaction": 1 }).as_bytes())
        .unwrap();
    assert_eq!(open.oldest(), None);
    assert_eq!(OpenTransactions::since(Some(at(9))).oldest(), Some(at(9)));
}
