use bson::rawdoc;

use super::*;

fn skipped(operation: &str, namespace: &str, object: bson::RawDocumentBuf) -> bool {
    let bytes = rawdoc! { "op": operation, "ns": namespace, "o": object };
    is_skipped(&Entry::parse(bytes.as_bytes()).unwrap())
}

/// The table of `oplog_test.go:636` and `mongorestore_test.go:1499` of mongo-tools.
#[test]
fn of_config_only_what_a_dump_has_is_replayed() {
    for (namespace, expected) in [
        ("test.system", false),
        ("test.system.nonsense", false),
        ("test.system.js", false),
        ("test.test", false),
        ("config.system.sessions", true),
        ("config.system.indexBuilds", true),
        ("config.system.preimages", true),
        ("config.transactions", true),
        ("config.transaction_coordinators", true),
        ("config.image_collection", true),
        ("config.mongos", true),
        ("config.cache.any", true),
        ("config.cache.chunks.a.b", true),
        ("config.$cmd", true),
        ("config.", true),
        ("config.chunks", false),
        ("config.collections", false),
        ("config.databases", false),
        ("config.settings", false),
        ("config.shards", false),
        ("config.tags", false),
        ("config.version", false),
        ("configuration.x", false),
        ("my.config.x", false),
    ] {
        let skipped = skipped("i", namespace, rawdoc! { "_id": 1 });
        assert_eq!(skipped, expected, "{namespace}");
    }
}

/// Databases that newer servers keep for themselves, as `mongodump` 100.14 leaves them out.
#[test]
fn databases_of_the_server_itself_are_not_replayed() {
    // REP-6743.
    assert!(skipped("i", "__mdb_internal_x.y", rawdoc! { "_id": 1 }));
    assert!(skipped(
        "c",
        "__mdb_internal.$cmd",
        rawdoc! { "create": "y" }
    ));
    assert!(!skipped("i", "mdb_internal.y", rawdoc! { "_id": 1 }));
}

#[test]
fn what_restores_have_noted_is_not_replayed() {
    assert!(skipped("i", "__rdump_restores.y", rawdoc! { "_id": 1 }));
    let create = || rawdoc! { "create": "y" };
    assert!(skipped("c", "__rdump_restores.$cmd", create()));
    assert!(!skipped("c", "__rdump_restores_2.$cmd", create()));
}

/// Edge case of `oplog_edges_test.go:112` of mongo-tools.
#[test]
fn what_changes_nothing_is_not_replayed_even_without_a_namespace() {
    assert!(skipped("n", "", rawdoc! { "msg": "periodic noop" }));
    let bytes = rawdoc! { "op": "n" };
    assert!(is_skipped(&Entry::parse(bytes.as_bytes()).unwrap()));
}

/// TOOLS-4073, TOOLS-4120.
#[test]
fn the_books_of_replicated_record_ids_are_not_replayed() {
    for operation in ["ci", "cd", "cu", "km"] {
        assert!(skipped(operation, "shop.orders", rawdoc! {}), "{operation}");
    }
    for operation in ["i", "u", "d", "c", "zz"] {
        assert!(
            !skipped(operation, "shop.orders", rawdoc! { "drop": "a" }),
            "{operation}"
        );
    }
}

/// TOOLS-2534, TOOLS-4039: index builds that started or failed, and what only that server's storage knows.
#[test]
fn steps_that_say_nothing_about_the_outcome_are_not_replayed() {
    for command in [
        "startIndexBuild",
        "abortIndexBuild",
        "setMultikeyMetadata",
        "dropIdent",
    ] {
        let mut object = bson::RawDocumentBuf::new();
        object.append(bson::raw::CString::try_from(command).unwrap(), "x");
        assert!(skipped("c", "shop.$cmd", object.clone()), "{command}");
        assert!(!skipped("i", "shop.orders", object), "{command}");
    }
    assert!(!skipped(
        "c",
        "shop.$cmd",
        rawdoc! { "drop": "a", "dropIdent": 1 }
    ));
    // What is no command at all is for replay to refuse.
    assert!(!skipped("c", "shop.$cmd", rawdoc! {}));
}

#[test]
fn buckets_are_known_by_the_name_of_their_collection() {
    assert!(is_buckets("shop.system.buckets.x"));
    assert!(!is_buckets("shop.x.system.buckets.x"));
    assert!(!is_buckets("system.buckets.x"));
    assert!(!is_buckets("shop"));
}
