#![expect(
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

use bson::{RawDocumentBuf, Timestamp, rawdoc};

use super::*;

fn entry(number: i64, previous: u32, object: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! {
        "ts": Timestamp { time: 5, increment: 1 }, "op": "c", "ns": "admin.$cmd", "o": object,
        "lsid": { "id": 1 }, "txnNumber": number,
        "prevOpTime": { "ts": Timestamp { time: previous, increment: 0 }, "t": -1_i64 },
    }
}

fn part_of(entry: &RawDocumentBuf) -> Option<Part> {
    let entry = Entry::parse(entry.as_bytes()).unwrap();
    part(&entry).unwrap().map(|(_, part)| part)
}

#[test]
fn each_entry_of_a_transaction_is_known_by_its_command() {
    for (object, expected) in [
        (rawdoc! { "applyOps": [] }, Some(Part::Last)),
        (rawdoc! { "applyOps": [], "count": 7_i64 }, Some(Part::Last)),
        (
            rawdoc! { "applyOps": [], "partialTxn": true },
            Some(Part::Operations),
        ),
        (
            rawdoc! { "applyOps": [], "prepare": true, "count": 7_i64 },
            Some(Part::Operations),
        ),
        (
            rawdoc! { "applyOps": [], "prepare": false },
            Some(Part::Last),
        ),
        (rawdoc! { "commitTransaction": 1 }, Some(Part::Commit)),
        (rawdoc! { "abortTransaction": 1 }, Some(Part::Abort)),
        (rawdoc! { "create": "x" }, None),
    ] {
        assert_eq!(
            part_of(&entry(1, 0, object.clone())),
            expected,
            "{object:?}"
        );
    }
}

/// TOOLS-3546: a session and a number make no transaction.
#[test]
fn retryable_writes_and_vectored_inserts_are_no_transactions() {
    let write =
        rawdoc! { "op": "i", "ns": "a.b", "o": { "applyOps": [] }, "lsid": {}, "txnNumber": 1_i64 };
    assert_eq!(part_of(&write), None);
    let vectored = rawdoc! {
        "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [] }, "lsid": {}, "txnNumber": 1_i64, "multiOpType": 1,
    };
    assert_eq!(part_of(&vectored), None);
    for without in [
        rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [] }, "lsid": {} },
        rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [] }, "txnNumber": 1_i64 },
    ] {
        assert_eq!(part_of(&without), None);
    }
}

#[test]
fn what_is_kept_is_counted_until_it_is_taken() {
    let first = entry(1, 0, rawdoc! { "applyOps": [], "partialTxn": true });
    let second = entry(1, 4, rawdoc! { "applyOps": [], "partialTxn": true });
    let other = entry(2, 4, rawdoc! { "applyOps": [], "prepare": true });
    let mut transactions = Transactions::default();
    let [first, second, other] =
        [&first, &second, &other].map(|entry| Entry::parse(entry.as_bytes()).unwrap());
    let id = |entry| part(entry).unwrap().unwrap().0;

    assert!(transactions.keep(id(&first), &first));
    assert!(transactions.keep(id(&second), &second));
    assert!(!transactions.keep(id(&other), &other), "it is no first one");
    let bytes = [&first, &second].map(|entry| entry.as_bytes().len() as u64);
    let other_bytes = other.as_bytes().len() as u64;
    let together = bytes[0] + bytes[1];
    assert_eq!(transactions.buffered_bytes(), together + other_bytes);

    let kept = transactions.take(id(&first)).unwrap();
    assert_eq!(kept, [first.as_bytes(), second.as_bytes()]);
    assert!(transactions.take(id(&first)).is_none());
    assert_eq!(transactions.buffered_bytes(), other_bytes);

    let unfinished = transactions.into_unfinished();
    let [unfinished] = unfinished.as_slice() else {
        panic!("{unfinished:?}");
    };
    assert_eq!(unfinished.started, other.at());
    assert_eq!(
        (unfinished.number, unfinished.buffered_bytes),
        (2, other_bytes)
    );
}

#[test]
fn transactions_of_servers_that_do_not_link_entries_start_anywhere() {
    let entry = rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [] }, "lsid": {}, "txnNumber": 1 };
    assert!(is_first(&Entry::parse(entry.as_bytes()).unwrap()));
}
