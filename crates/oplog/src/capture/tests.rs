use bson::{RawDocumentBuf, Timestamp, rawdoc};

use super::*;

fn entry(operation: &str, namespace: &str, object: RawDocumentBuf) -> RawDocumentBuf {
    let ts = Timestamp {
        time: 5,
        increment: 6,
    };
    rawdoc! { "ts": ts, "op": operation, "ns": namespace, "o": object }
}

fn command(namespace: &str, object: RawDocumentBuf) -> RawDocumentBuf {
    entry("c", namespace, object)
}

/// What must fail a dump, each with what must not.
fn faults() -> Vec<(RawDocumentBuf, RawDocumentBuf)> {
    let version = rawdoc! { "_id": "featureCompatibilityVersion" };
    let rename = rawdoc! { "renameCollection": "shop.a", "to": "shop.b" };
    let import = rawdoc! { "importCollection": "shop.a" };
    let conversion = rawdoc! { "upgradeDowngradeViewlessTimeseries": "x", "isUpgrade": true };
    let resharding = RESHARDING_COLLECTIONS.map(|name| {
        let create = rawdoc! { "create": name };
        (
            command("config.$cmd", create.clone()),
            command("shop.$cmd", create),
        )
    });
    let mut faults = vec![
        (
            entry("u", "admin.system.version", version.clone()),
            entry("u", "shop.system.version", version),
        ),
        (
            command("shop.$cmd", rename.clone()),
            entry("i", "shop.a", rename),
        ),
        (
            command("shop.$cmd", import.clone()),
            entry("i", "shop.a", import),
        ),
        (
            command("shop.$cmd", conversion.clone()),
            entry("i", "shop.a", conversion),
        ),
    ];
    faults.extend(resharding);
    faults
}

/// TOOLS-1818, TOOLS-2851, TOOLS-4309.
#[test]
fn what_cannot_be_restored_fails_the_dump() {
    let errors: Vec<_> = faults()
        .iter()
        .map(|(fault, _)| check_captured(fault.as_bytes()).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

/// mongodump fails on any document with such a field.
#[test]
fn documents_of_users_do_not_fail_the_dump_whatever_their_fields_are() {
    for (_, harmless) in faults() {
        check_captured(harmless.as_bytes()).unwrap();
    }
    let later = rawdoc! { "create": "a", "renameCollection": "b" };
    check_captured(command("shop.$cmd", later).as_bytes()).unwrap();
    let create = rawdoc! { "create": 1 };
    check_captured(command("config.$cmd", create).as_bytes()).unwrap();
}

/// mongodump does not look there.
#[test]
fn what_is_inside_of_an_apply_ops_counts_too() {
    for (fault, harmless) in faults() {
        let nested = |inner: RawDocumentBuf| {
            let inner = command("admin.$cmd", rawdoc! { "applyOps": [{ "op": "n" }, inner] });
            command("admin.$cmd", rawdoc! { "applyOps": [inner] })
        };
        check_captured(nested(harmless).as_bytes()).unwrap();
        let error = check_captured(nested(fault.clone()).as_bytes()).unwrap_err();
        let alone = check_captured(fault.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), alone.to_string());
    }
}

#[test]
fn what_is_no_entry_fails_the_dump() {
    for broken in [
        rawdoc! { "ns": "a.b" },
        rawdoc! { "op": "c", "ns": "a.$cmd" },
        rawdoc! { "op": "c", "ns": "a.$cmd", "o": { "applyOps": 1 } },
        rawdoc! { "op": "c", "ns": "a.$cmd", "o": { "applyOps": [{}] } },
    ] {
        let error = check_captured(broken.as_bytes()).unwrap_err();
        assert!(matches!(error, CaptureError::Entry { .. }), "{broken:?}");
    }
}

#[test]
fn nesting_without_end_fails_the_dump() {
    let mut nested = rawdoc! { "op": "n" };
    for depth in 0..=MAX_DEPTH {
        check_captured(nested.as_bytes()).unwrap_or_else(|error| panic!("{depth}: {error}"));
        nested = command("admin.$cmd", rawdoc! { "applyOps": [nested] });
    }
    let error = check_captured(nested.as_bytes()).unwrap_err();
    assert!(matches!(error, CaptureError::TooDeep { .. }), "{error}");
}
