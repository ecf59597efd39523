//! Which part of a dump is restored, and where it goes.

use bson::doc;
use rdump::{Codec, Compression, ErrorKind, Location, Pattern, RestoreOptions, Selector};
use rdump_testkit::ReplicaSet;
use tempfile::TempDir;

use super::{
    definitions::{self, collections},
    documents::stored,
    restore,
    round_trip::dump,
    try_restore,
};
use crate::made::Made;

fn patterns(of: &[&str]) -> Vec<Pattern> {
    of.iter()
        .map(|pattern| Pattern::parse(pattern).unwrap())
        .collect()
}

fn including(include: &[&str], exclude: &[&str]) -> RestoreOptions {
    RestoreOptions::default().select(Selector {
        include: patterns(include),
        exclude: patterns(exclude),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_with_one_collection_leaves_the_others_alone_and_needs_nothing_to_drop() {
    // drop_one_collection.js, drop_nonexistent_db.js.
    let target = ReplicaSet::start().await;
    let client = target.client();
    let mut made = Made::new();
    made.data("db.a", Codec::None, [doc! { "_id": "dumped" }]);
    made.data("db.b", Codec::None, [doc! { "_id": "dumped" }]);
    let file = Location::from(made.file("db/a.bson").as_path());
    let options = || {
        RestoreOptions::default()
            .db("db")
            .collection("a")
            .drop(true)
    };
    restore(&file, &target, options()).await;
    for name in ["a", "b"] {
        let collection = client.database("db").collection(name);
        collection.insert_one(doc! { "_id": "mine" }).await.unwrap();
    }
    restore(&file, &target, options()).await;
    assert_eq!(collections(&client, "db").await, ["a", "b"]);
    for (name, id) in [("a", "dumped"), ("b", "mine")] {
        let found = stored(&client, "db", name).await;
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0].get_str("_id").unwrap(), id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_selected_and_renamed_as_they_are_and_not_as_files_are_called() {
    // mongorestore/mongorestore_test.go, TOOLS-2290, TOOLS-3822, slash_in_collectionname.js.
    let target = ReplicaSet::start().await;
    let client = target.client();
    let mut made = Made::new();
    for name in [
        "cafés",
        "coll/bar",
        "coll%2Fbaz",
        "a b+c",
        "\nnew\r\nline\n",
    ] {
        made.data(&format!("db.{name}"), Codec::None, [doc! { "_id": 1 }]);
    }
    assert!(made.file("db/caf%C3%A9s.bson").exists());
    for (options, expected) in [
        (including(&["db.cafés"], &[]), vec!["cafés"]),
        (including(&["*.coll/*"], &[]), vec!["coll/bar"]),
        (including(&["db.coll%2Fbaz"], &[]), vec!["coll%2Fbaz"]),
        (including(&["db.*new*"], &[]), vec!["\nnew\r\nline\n"]),
        (
            including(&["db.*"], &["db.cafés", "db.coll*", "*line*"]),
            vec!["a b+c"],
        ),
        (
            including(&["db.caf*"], &[]).rename("db.cafés", "db.thés"),
            vec!["thés"],
        ),
        (
            including(&["db.*new*"], &[]).rename("db.*new*", "db.*old*"),
            vec!["\nold\r\nline\n"],
        ),
    ] {
        restore(&made.location(), &target, options).await;
        assert_eq!(collections(&client, "db").await, expected);
        client.database("db").drop().await.unwrap();
    }
    restore(&made.location(), &target, RestoreOptions::default()).await;
    assert_eq!(collections(&client, "db").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_folded_into_one_and_indexes_go_with_their_collections() {
    // namespaces.js.
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    for db in ["one", "two"] {
        let name = format!("{db}_1");
        let index = doc! { "v": 2, "key": { db: 1 }, "name": name, "ns": format!("{db}.c") };
        made.metadata(&format!("{db}.c"), doc! {}, &[index]);
        made.data(&format!("{db}.c"), Codec::None, [doc! { "_id": db }]);
    }
    let options = RestoreOptions::default().rename("$db$.$collection$", "all.$collection$_$db$");
    restore(&made.location(), &target, options).await;
    let client = target.client();
    assert_eq!(collections(&client, "all").await, ["c_one", "c_two"]);
    for db in ["one", "two"] {
        let indexes = definitions::indexes(&client, "all", &format!("c_{db}")).await;
        assert_eq!(indexes[1].get_str("name").unwrap(), format!("{db}_1"));
        assert_eq!(collections(&client, db).await, [] as [&str; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_series_collection_goes_by_its_own_name_only() {
    // mongorestore/mongorestore_test.go.
    let target = ReplicaSet::start().await;
    let client = target.client();
    // One sorts before its buckets, one after them.
    let mut made = Made::new();
    for name in ["a", "z"] {
        let series = doc! { "timeseries": { "timeField": "t" } };
        made.metadata(&format!("db.{name}"), series, &[]);
        made.data(&format!("db.system.buckets.{name}"), Codec::None, []);
    }
    let nothing = including(&["db.system.buckets.*"], &[]);
    restore(&made.location(), &target, nothing).await;
    assert_eq!(collections(&client, "db").await, [] as [&str; 0]);
    let options = RestoreOptions::default()
        .rename("db.system.buckets.a", "db.system.buckets.b")
        .rename("db.z", "db.y");
    restore(&made.location(), &target, options).await;
    let expected = [
        "a",
        "system.buckets.a",
        "system.buckets.y",
        "system.views",
        "y",
    ];
    assert_eq!(collections(&client, "db").await, expected);
}

#[tokio::test]
async fn a_collection_that_is_never_restored_is_refused_when_it_is_named() {
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    for name in ["db.system.views", "db.system.profile", "db.c"] {
        made.data(name, Codec::None, []);
    }
    for (name, reason) in [
        ("system.views", "from their metadata"),
        ("system.profile", "profiler"),
    ] {
        let options = RestoreOptions::default().db("db").collection(name);
        let file = Location::from(made.file(&format!("db/{name}.bson")).as_path());
        let (report, _) = try_restore(&file, &target, options).await;
        let error = report.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(reason), "{error}");
    }
    restore(&made.location(), &target, RestoreOptions::default()).await;
    assert_eq!(collections(&target.client(), "db").await, ["c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cluster_is_made_of_is_dumped_and_restored_with_everything() {
    // TOOLS-3324.
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let config = [
        "chunks",
        "collections",
        "databases",
        "settings",
        "shards",
        "tags",
        "version",
    ];
    let of = source.client().database("config");
    for name in config.into_iter().chain(["mine"]) {
        let collection = of.collection(name);
        collection.insert_one(doc! { "_id": 1 }).await.unwrap();
    }
    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path());
    dump(&source, &location, Compression::None).await;
    restore(&location, &target, RestoreOptions::default()).await;
    for name in config {
        let found = stored(&target.client(), "config", name).await;
        assert_eq!(found.len(), 1, "{name}");
    }
    assert!(stored(&target.client(), "config", "mine").await.is_empty());
}
