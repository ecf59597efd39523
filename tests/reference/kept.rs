//! Makes the dumps that are kept in `testdata/reference/data-sets`.
//!
//! `RDUMP_UPDATE_TESTDATA=1 cargo test -p rdump-tests --features reference kept` puts new ones there; otherwise they are
//! made to see that they can be.

use std::{collections::BTreeSet, env, fs, path::Path};

use bson::{Document, doc};
use rdump_format::{Codec, data_file, escape};
use rdump_testkit::{ReplicaSet, reference};
use rdump_tests::kept::{self, Kept};
use tempfile::TempDir;

use super::{slow::Slow, time_series};

#[tokio::test]
async fn dumps_of_mongodump_can_be_kept_with_all_that_they_hold() {
    let folder = TempDir::new().unwrap();
    for kept in Kept::ALL {
        let source = ReplicaSet::builder().version(Kept::SERVER).start().await;
        for data in kept.data_sets() {
            data.seed(&source.client()).await;
        }
        drop_what_has_no_place(&source, kept).await;
        let measured = drop_what_is_long(&source, kept).await;
        let slow = Slow::before(&source).await;
        let path = kept.path(folder.path()).to_str().unwrap().to_owned();
        let mut arguments = vec![
            "--oplog".to_owned(),
            "--uri".to_owned(),
            slow.uri().to_owned(),
        ];
        match kept.is_folder() {
            true => arguments.extend(["--out".to_owned(), path]),
            false => arguments.push(format!("--archive={path}")),
        }
        if kept.is_gzip() {
            arguments.push("--gzip".to_owned());
        }
        let dump = tokio::task::spawn_blocking(|| reference::mongodump(arguments));
        let (dumped, ()) = slow.write_during(dump, write(&source, measured)).await;
        dumped.unwrap();
        let print = kept::print(&source).await;
        fs::write(kept.print_path(folder.path()), &print).unwrap();

        let target = ReplicaSet::builder().version(Kept::SERVER).start().await;
        let report = kept.restore(folder.path(), &target).await;
        assert_eq!(report.problems, []);
        assert!(report.oplog.unwrap().operations > 50);
        kept::assert_same(kept, &print, &kept::print(&target).await);
    }
    if env::var_os("RDUMP_UPDATE_TESTDATA").is_some() {
        let place = kept::folder();
        drop(fs::remove_dir_all(&place));
        copy(folder.path(), &place);
    }
}

/// A file system that holds the sources need not tell names apart by case, nor take every name of a database.
async fn drop_what_has_no_place(source: &ReplicaSet, kept: Kept) {
    if !kept.is_folder() {
        return;
    }
    let client = source.client();
    for db in client.list_database_names().await.unwrap() {
        let database = client.database(&db);
        if escape(&db) != db {
            database.drop().await.unwrap();
            continue;
        }
        let mut files = BTreeSet::new();
        for name in database.list_collection_names().await.unwrap() {
            if !files.insert(data_file(&name, Codec::None).to_lowercase()) {
                let collection = database.collection::<Document>(&name);
                collection.drop().await.unwrap();
            }
        }
    }
}

/// Uncompressed, most time-series are more than is to be kept; gives those that are left.
async fn drop_what_is_long(source: &ReplicaSet, kept: Kept) -> &'static [&'static str] {
    if kept.is_gzip() {
        return &time_series::NAMES;
    }
    let series = source.client().database("series");
    for name in ["readings", "without meta"] {
        series.collection::<Document>(name).drop().await.unwrap();
    }
    &["expiring"]
}

/// Of everything that an oplog can have something.
async fn write(source: &ReplicaSet, measured: &[&str]) {
    let client = source.client();
    let shop = client.database("shop");
    let orders = shop.collection::<Document>("orders");
    for number in 0..20 {
        let late =
            doc! { "_id": format!("late {number}"), "number": 1_000 + number, "place": number };
        orders.insert_one(late).await.unwrap();
    }
    let is_late = doc! { "place": { "$gte": 5 } };
    let set = doc! { "$set": { "list": [1, 2, 3], "inner.a": 1 }, "$unset": { "place": 1 } };
    orders.update_many(is_late, set).await.unwrap();
    orders
        .delete_many(doc! { "place": { "$lt": 3 } })
        .await
        .unwrap();
    let replaced = doc! { "place": 4 };
    orders
        .replace_one(replaced, doc! { "number": -1, "other": true })
        .await
        .unwrap();

    shop.create_collection("late").await.unwrap();
    let late = shop.collection::<Document>("late");
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    for number in 0..5 {
        let document = doc! { "_id": number, "renameCollection": "no command" };
        late.insert_one(document)
            .session(&mut session)
            .await
            .unwrap();
        let deleted = doc! { "_id": format!("late {}", number + 10) };
        orders
            .delete_one(deleted)
            .session(&mut session)
            .await
            .unwrap();
    }
    session.commit_transaction().await.unwrap();
    for command in [
        doc! { "createIndexes": "late", "indexes": [{ "key": { "a": 1 }, "name": "a", "expireAfterSeconds": 1_000_000_000 }] },
        doc! { "createIndexes": "late", "indexes": [{ "key": { "b": 1 }, "name": "b" }] },
        doc! { "collMod": "late", "index": { "name": "a", "hidden": true } },
        doc! { "collMod": "late", "validator": { "a": { "$exists": false } } },
        doc! { "dropIndexes": "late", "index": "b" },
        doc! { "create": "view of late", "viewOn": "late", "pipeline": [] },
        doc! { "create": "gone" },
        doc! { "drop": "gone" },
    ] {
        shop.run_command(command).await.unwrap();
    }
    time_series::measure(source, measured).await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(from, to).unwrap()),
        }
    }
}
