#![expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use bson::{RawDocumentBuf, Timestamp, rawdoc};

use super::*;

fn command(time: u32, object: RawDocumentBuf) -> RawDocumentBuf {
    let ts = Timestamp { time, increment: 1 };
    rawdoc! { "ts": ts, "op": "c", "ns": "shop.$cmd", "o": object }
}

fn ahead(entries: &[RawDocumentBuf]) -> Ahead {
    let mut ahead = Ahead::default();
    for entry in entries {
        ahead.push(entry.as_bytes()).unwrap();
    }
    ahead
}

fn created(entries: &[RawDocumentBuf]) -> Vec<String> {
    let created = ahead(entries).created;
    created.iter().map(|it| it.namespace.to_string()).collect()
}

#[test]
fn what_is_made_is_named_views_and_time_series_too_wherever_it_is() {
    let view = rawdoc! { "op": "i", "ns": "shop.system.views", "o": { "_id": "shop.v", "viewOn": "orders" } };
    let buckets = command(
        1,
        rawdoc! { "create": "system.buckets.t", "timeseries": {} },
    );
    let inner = command(1, rawdoc! { "create": "inner" });
    let nested = command(
        2,
        rawdoc! { "applyOps": [inner.clone(), { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [inner] } }] },
    );
    let other = [
        rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": "shop.v" } },
        rawdoc! { "op": "d", "ns": "shop.system.views", "o": { "_id": "shop.v" } },
        rawdoc! { "op": "n", "ns": "", "o": {} },
        command(3, rawdoc! { "drop": "orders" }),
        rawdoc! { "op": "c", "ns": "admin.$cmd", "o": { "commitTransaction": 1 }, "lsid": { "id": 1 }, "txnNumber": 1_i64 },
        rawdoc! { "op": "c", "ns": "config.$cmd", "o": { "create": "cache.x" } },
    ];
    assert_eq!(ahead(&other), Ahead::default());
    let found = created(&[&[view, buckets, nested][..], &other].concat());
    assert_eq!(found, ["shop.v", "shop.t", "shop.inner", "shop.inner"]);
}

#[test]
fn what_is_renamed_is_named_and_what_is_of_other_moments_can_be_left_out() {
    let rename = |time, from: &str| {
        command(
            time,
            rawdoc! { "renameCollection": format!("shop.{from}"), "to": "shop.z" },
        )
    };
    let mut ahead = ahead(&[
        rename(1, "a"),
        rename(2, "b"),
        command(1, rawdoc! { "create": "x" }),
        command(1, rawdoc! { "riddle": "x" }),
    ]);
    assert_eq!(ahead.renamed[0].from, Namespace::new("shop", "a"));
    assert_eq!(ahead.renamed[1].to, Namespace::new("shop", "z"));
    ahead.retain(|at| at.seconds > 1);
    assert_eq!(ahead.renamed[0].from, Namespace::new("shop", "b"));
    assert_eq!(
        (
            ahead.renamed.len(),
            ahead.created.len(),
            ahead.unknown.len()
        ),
        (1, 0, 0)
    );
}

#[test]
fn what_is_not_known_is_named_with_its_moment_and_collection() {
    let found = ahead(&[
        command(5, rawdoc! { "riddle": "orders" }),
        command(6, rawdoc! { "riddle": "shop.orders" }),
        command(7, rawdoc! { "riddle": 1 }),
        command(
            8,
            rawdoc! { "applyOps": [{ "op": "zz", "ns": "shop.orders" }] },
        ),
    ]);
    let found: Vec<_> = found.unknown.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "unknown oplog command name \"riddle\" at 5:1 on shop.orders",
            "unknown oplog command name \"riddle\" at 6:1 on shop.orders",
            "unknown oplog command name \"riddle\" at 7:1 on shop.$cmd",
            "unknown operation \"zz\" in the oplog entry at 8:1 on shop.orders",
        ]
    );
}

#[test]
fn what_is_no_entry_is_refused() {
    let mut ahead = Ahead::default();
    ahead.push(&[]).unwrap_err();
    let mut nested = command(1, rawdoc! { "create": "x" });
    for _ in 0..=MAX_DEPTH {
        nested = command(1, rawdoc! { "applyOps": [nested] });
    }
    let error = ahead.push(nested.as_bytes()).unwrap_err();
    assert!(matches!(error, ReplayError::TooDeep { .. }), "{error}");
    assert_eq!(ahead, Ahead::default());
}
