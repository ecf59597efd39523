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
fn entries_of_a_transaction_have_its_key_until_it_is_decided() {
    let first = entry(1, 0, rawdoc! { "applyOps": [], "partialTxn": true });
    let second = entry(1, 4, rawdoc! { "applyOps": [], "partialTxn": true });
    let other = entry(2, 4, rawdoc! { "applyOps": [], "prepare": true });
    let mut transactions = Transactions::default();
    let [first, second, other] =
        [&first, &second, &other].map(|entry| Entry::parse(entry.as_bytes()).unwrap());
    let id = |entry| part(entry).unwrap().unwrap().0;

    let (key, is_whole) = transactions.keep(id(&first), &first);
    assert!(is_whole);
    assert_eq!(transactions.keep(id(&second), &second), (key, true));
    let (other_key, is_whole) = transactions.keep(id(&other), &other);
    assert!(!is_whole, "it is no first one");
    assert_ne!(other_key, key);

    assert_eq!(transactions.take(id(&first)), Some(key));
    assert_eq!(transactions.take(id(&first)), None);
    let (again, _) = transactions.keep(id(&first), &first);
    assert_ne!(again, key, "it is another transaction");
    transactions.take(id(&first));

    let unfinished = transactions.into_unfinished();
    let [unfinished] = unfinished.as_slice() else {
        panic!("{unfinished:?}");
    };
    assert_eq!((unfinished.started, unfinished.number), (other.at(), 2));
}

#[test]
fn transactions_of_servers_that_do_not_link_entries_start_anywhere() {
    let entry = rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [] }, "lsid": {}, "txnNumber": 1 };
    assert!(is_first(&Entry::parse(entry.as_bytes()).unwrap()));
}
