use bson::{RawDocumentBuf, Timestamp, rawdoc};

use super::*;

fn at() -> Timestamp {
    Timestamp {
        time: 7,
        increment: 1,
    }
}

/// `shop.*` goes to `copy.*`, but for `shop.secret`.
fn map(namespace: &Namespace) -> Option<Namespace> {
    let wanted = namespace.db == "shop" && namespace.collection != "secret";
    wanted.then(|| Namespace::new("copy", &namespace.collection))
}

fn same(namespace: &Namespace) -> Option<Namespace> {
    map(namespace).map(|_| namespace.clone())
}

fn remapped(entry: &RawDocumentBuf) -> Remapped {
    remap(entry.as_bytes(), &map).unwrap()
}

fn changed(entry: &RawDocumentBuf) -> RawDocumentBuf {
    match remapped(entry) {
        Remapped::Changed(changed) => changed,
        other => panic!("{other:?}"),
    }
}

fn command(object: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "op": "c", "ns": "shop.$cmd", "o": object, "ts": at() }
}

#[test]
fn an_operation_on_a_document_gets_the_name_that_its_collection_has() {
    let entry = |ns: &str| {
        rawdoc! {
            "ts": at(), "t": 1_i64, "op": "u", "ns": ns, "o": { "$v": 2 }, "o2": { "_id": 1 }, "unknown": [1],
        }
    };
    assert_eq!(changed(&entry("shop.orders")), entry("copy.orders"));
    let (buckets, copies) = ("shop.system.buckets.t", "copy.system.buckets.t");
    assert_eq!(changed(&entry(buckets)), entry(copies));
    for nothing in ["shop.secret", "shop.system.buckets.secret", "other.orders"] {
        assert_eq!(remapped(&entry(nothing)), Remapped::Nothing, "{nothing}");
    }
    let unchanged = remap(entry("shop.orders").as_bytes(), &same).unwrap();
    assert_eq!(unchanged, Remapped::Same);
}

#[test]
fn a_command_names_its_collection_anew_and_keeps_all_else() {
    let entry = command(rawdoc! { "create": "a", "capped": true, "size": 4096_i64 });
    let expected = rawdoc! {
        "op": "c", "ns": "copy.$cmd", "o": { "create": "a", "capped": true, "size": 4096_i64 }, "ts": at(),
    };
    assert_eq!(changed(&entry), expected);
    let buckets = changed(&command(rawdoc! { "drop": "system.buckets.t" }));
    assert_eq!(
        buckets.get_document("o").unwrap().to_owned(),
        rawdoc! { "drop": "system.buckets.t" }
    );
    let left_out = command(rawdoc! { "drop": "secret" });
    assert_eq!(remapped(&left_out), Remapped::Nothing);
    // Its collections were dropped before, each by its own entry.
    let database = command(rawdoc! { "dropDatabase": 1 });
    assert_eq!(remapped(&database), Remapped::Nothing);
}

#[test]
fn a_command_that_is_not_known_stays_as_it_is_unless_it_is_about_something_else() {
    let left = |object: RawDocumentBuf| {
        let entry = rawdoc! { "ts": at(), "op": "c", "ns": "shop.$cmd", "o": object };
        let only = |namespace: &Namespace| {
            (*namespace == Namespace::new("shop", "orders"))
                .then(|| Namespace::new("copy", "orders"))
        };
        remap(entry.as_bytes(), &only).unwrap()
    };
    // Some name a collection with its database.
    for subject in ["orders", "shop.orders", "system.buckets.orders"] {
        assert_eq!(left(rawdoc! { "riddle": subject }), Remapped::Same);
    }
    assert_eq!(left(rawdoc! { "riddle": 1 }), Remapped::Same);
    for subject in ["other", "shop.other", "orders.shop"] {
        assert_eq!(left(rawdoc! { "riddle": subject }), Remapped::Nothing);
    }
}

#[test]
fn a_rename_out_of_what_is_selected_drops_and_one_into_it_is_refused() {
    let rename = |from: &str, to: &str| {
        command(rawdoc! { "renameCollection": from, "to": to, "stayTemp": false })
    };
    let object = |entry: &RawDocumentBuf| {
        let changed = changed(entry);
        changed.get_document("o").unwrap().to_owned()
    };
    assert_eq!(
        object(&rename("shop.a", "shop.b")),
        rawdoc! { "renameCollection": "copy.a", "to": "copy.b", "stayTemp": false }
    );
    assert_eq!(
        object(&rename("shop.a", "shop.secret")),
        rawdoc! { "drop": "a" }
    );
    assert_eq!(
        object(&rename("shop.a", "other.a")),
        rawdoc! { "drop": "a" }
    );
    assert_eq!(remapped(&rename("other.a", "other.b")), Remapped::Nothing);
    let error = remap(rename("shop.secret", "shop.a").as_bytes(), &map).unwrap_err();
    let message = "shop.secret, which is not selected, was renamed to shop.a at 7:1";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_view_goes_by_its_own_name_and_a_time_series_takes_its_buckets_along() {
    let entry = |ns: &str, id: &str, on: &str| {
        rawdoc! {
            "op": "i", "ns": ns, "o": { "_id": id, "viewOn": on, "pipeline": [] }, "ts": at(),
        }
    };
    assert_eq!(
        changed(&entry("shop.system.views", "shop.v", "orders")),
        entry("copy.system.views", "copy.v", "orders")
    );
    assert_eq!(
        changed(&entry("shop.system.views", "shop.t", "system.buckets.t")),
        entry("copy.system.views", "copy.t", "system.buckets.t")
    );
    let secret = entry("shop.system.views", "shop.secret", "orders");
    assert_eq!(remapped(&secret), Remapped::Nothing);
    let update = rawdoc! {
        "op": "u", "ns": "shop.system.views", "o": { "$v": 2, "diff": {} }, "o2": { "_id": "shop.v" },
    };
    let expected = rawdoc! {
        "op": "u", "ns": "copy.system.views", "o": { "$v": 2, "diff": {} }, "o2": { "_id": "copy.v" },
    };
    assert_eq!(changed(&update), expected);
}

#[test]
fn of_several_operations_those_on_what_is_selected_stay() {
    let operation = |ns: &str, id: i32| rawdoc! { "op": "i", "ns": ns, "o": { "_id": id } };
    let entry = |operations: Vec<RawDocumentBuf>| {
        let mut array = bson::RawArrayBuf::new();
        for operation in operations {
            array.push(operation);
        }
        rawdoc! {
            "lsid": { "id": 1 }, "txnNumber": 1_i64, "op": "c", "ns": "admin.$cmd",
            "o": { "applyOps": array, "partialTxn": true }, "ts": at(),
        }
    };
    let (a, b) = (operation("shop.a", 1), operation("shop.secret", 2));
    let (c, copied_a) = (operation("shop.c", 3), operation("copy.a", 1));
    let mixed = entry(vec![a.clone(), b.clone(), c]);
    assert_eq!(
        changed(&mixed),
        entry(vec![copied_a, operation("copy.c", 3)])
    );
    // The entries of a transaction hang together.
    assert_eq!(changed(&entry(vec![b.clone()])), entry(Vec::new()));
    let alone = rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [b] } };
    assert_eq!(remapped(&alone), Remapped::Nothing);
    let whole = entry(vec![a]);
    assert_eq!(remap(whole.as_bytes(), &same).unwrap(), Remapped::Same);
    let commit = rawdoc! {
        "lsid": { "id": 1 }, "txnNumber": 1_i64, "op": "c", "ns": "admin.$cmd", "o": { "commitTransaction": 1 },
    };
    assert_eq!(remapped(&commit), Remapped::Same);
}

#[test]
fn operations_that_are_nested_too_deep_are_refused() {
    let mut entry = rawdoc! { "op": "n", "ns": "", "o": {} };
    for _ in 0..12 {
        entry = rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [entry] } };
    }
    let error = remap(entry.as_bytes(), &map).unwrap_err();
    assert!(matches!(error, RemapError::TooDeep { .. }), "{error}");
}
