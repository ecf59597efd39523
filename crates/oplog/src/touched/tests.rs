use bson::{RawDocumentBuf, rawdoc};

use super::*;

/// What is told of entries, as text.
fn told(entry: &RawDocumentBuf) -> Vec<String> {
    let mut all = Vec::new();
    touched(entry.as_bytes(), &mut |touch| {
        all.push(match touch {
            Touch::Document {
                namespace,
                id,
                becomes,
            } => {
                let becomes = match becomes {
                    Becomes::Is(_) => "is",
                    Becomes::Gone => "gone",
                    Becomes::Changed => "changed",
                };
                format!("{namespace} {:?} {becomes}", id.value)
            }
            Touch::Definitions { db, collection } => format!("definitions of {db}.{collection}"),
            Touch::Whole { db, collection } => format!("all of {db}.{collection}"),
            Touch::Database(db) => format!("all of {db}"),
        });
    })
    .unwrap();
    all
}

fn command(object: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "op": "c", "ns": "shop.$cmd", "o": object }
}

#[test]
fn documents_are_told_with_what_becomes_of_them() {
    let insert = rawdoc! { "op": "i", "ns": "shop.a", "o": { "_id": 1 } };
    let delete = rawdoc! { "op": "d", "ns": "shop.a", "o": { "_id": 1 } };
    let replace =
        rawdoc! { "op": "u", "ns": "shop.a", "o": { "_id": 1, "a": 2 }, "o2": { "_id": 1 } };
    let update =
        rawdoc! { "op": "u", "ns": "shop.a", "o": { "$v": 2, "diff": {} }, "o2": { "_id": 1 } };
    assert_eq!(told(&insert), ["shop.a Int32(1) is"]);
    assert_eq!(told(&delete), ["shop.a Int32(1) gone"]);
    assert_eq!(told(&replace), ["shop.a Int32(1) is"]);
    assert_eq!(told(&update), ["shop.a Int32(1) changed"]);
    assert_eq!(told(&rawdoc! { "op": "n", "ns": "", "o": {} }), [""; 0]);
    let keyless = rawdoc! { "op": "i", "ns": "shop.system.buckets.t", "o": { "a": 1 } };
    assert_eq!(told(&keyless), ["all of shop.t"]);
    let view = rawdoc! { "op": "i", "ns": "shop.system.views", "o": { "_id": "shop.v" } };
    assert_eq!(told(&view), ["all of shop.v"]);
}

#[test]
fn what_a_transaction_does_is_sure_if_it_is_whole() {
    let inner = rawdoc! { "op": "i", "ns": "shop.a", "o": { "_id": 1 } };
    let entry = |mark: Option<&str>| {
        let mut object = rawdoc! { "applyOps": [inner.clone()] };
        if let Some(mark) = mark {
            object.append(bson::raw::CString::try_from(mark).unwrap(), true);
        }
        let mut entry = command(object);
        entry.append(bson::cstr!("lsid"), rawdoc! { "id": 1 });
        entry.append(bson::cstr!("txnNumber"), 1_i64);
        let zero = rawdoc! { "ts": bson::Timestamp { time: 0, increment: 0 }, "t": -1_i64 };
        entry.append(bson::cstr!("prevOpTime"), zero);
        entry
    };
    assert_eq!(told(&entry(None)), ["shop.a Int32(1) is"]);
    assert_eq!(
        told(&entry(Some("partialTxn"))),
        ["shop.a Int32(1) changed"]
    );
    assert_eq!(told(&entry(Some("prepare"))), ["shop.a Int32(1) changed"]);
    let plain = command(rawdoc! { "applyOps": [inner] });
    assert_eq!(told(&plain), ["shop.a Int32(1) is"]);
}

#[test]
fn commands_are_told_by_what_they_reach() {
    let cases = [
        (rawdoc! { "create": "system.buckets.t" }, "all of shop.t"),
        (rawdoc! { "drop": "a" }, "all of shop.a"),
        (rawdoc! { "createIndexes": "a" }, "definitions of shop.a"),
        (rawdoc! { "collMod": "a" }, "definitions of shop.a"),
        (rawdoc! { "neverHeardOf": "a" }, "all of shop.a"),
        (rawdoc! { "dropDatabase": 1 }, "all of shop"),
    ];
    for (object, expected) in cases {
        assert_eq!(told(&command(object)), [expected]);
    }
    let rename = rawdoc! { "renameCollection": "shop.a", "to": "other.b" };
    assert_eq!(told(&command(rename)), ["all of shop.a", "all of other.b"]);
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let mut entry = command(rawdoc! { "create": "a" });
    for _ in 0..=MAX_DEPTH {
        entry = command(rawdoc! { "applyOps": [entry] });
    }
    let error = touched(entry.as_bytes(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, ReplayError::TooDeep { .. }), "{error}");
}
