//! A fingerprint finds every difference and names it.

use bson::{Document, doc};
use mongodb::Database;
use rdump_testkit::{
    Dataset, Fingerprint, FingerprintOptions, Standalone, dataset, fingerprint::assert_same,
};

/// A server with two databases of the same content, `one` and `other`.
async fn twins() -> Standalone {
    let standalone = Standalone::start().await;
    for db in ["one", "other"] {
        let seed = move |seeder: dataset::Seeder| async move {
            let documents = (0..100).map(|id| bson::rawdoc! { "_id": id, "a": id % 7 });
            seeder.insert(db, "things", documents).await;
            let index = bson::rawdoc! { "key": { "a": 1 }, "name": "a_1" };
            seeder.index(db, "things", [index]).await;
            let capped = bson::rawdoc! { "capped": true, "size": 4096 };
            seeder.create(db, "log", &capped).await;
            let entries = (0..5).map(|id| bson::rawdoc! { "_id": id });
            seeder.insert(db, "log", entries).await;
            let view = bson::rawdoc! { "viewOn": "things", "pipeline": [{ "$match": { "a": 1 } }] };
            seeder.create(db, "view", &view).await;
        };
        Dataset::new("twins", &[db], seed)
            .seed(&standalone.client())
            .await;
    }
    standalone
}

async fn differences(standalone: &Standalone, options: &FingerprintOptions) -> Vec<String> {
    let client = standalone.client();
    let one = Fingerprint::of(&client, &options.clone().databases(["one"])).await;
    let other = Fingerprint::of(&client, &options.clone().databases(["other"])).await;
    let diff = one.diff(&other.rename_database("other", "one"));
    diff.lines().to_vec()
}

async fn command(db: &Database, command: Document) {
    db.run_command(command)
        .await
        .expect("the server takes the command");
}

#[tokio::test]
async fn a_fingerprint_names_what_differs() {
    let standalone = twins().await;
    let options = FingerprintOptions::new();
    assert_eq!(
        differences(&standalone, &options).await,
        Vec::<String>::new()
    );

    let other = standalone.client().database("other");
    let things = other.collection::<Document>("things");
    let changed = things
        .update_one(doc! { "_id": 5 }, doc! { "$set": { "a": 100 } })
        .await;
    assert_eq!(changed.unwrap().modified_count, 1);
    things.delete_one(doc! { "_id": 7 }).await.unwrap();
    things.insert_one(doc! { "_id": "new" }).await.unwrap();
    command(
        &other,
        doc! { "collMod": "things", "index": { "name": "a_1", "hidden": true } },
    )
    .await;
    command(
        &other,
        doc! { "collMod": "things", "validationLevel": "moderate" },
    )
    .await;
    command(
        &other,
        doc! { "collMod": "view", "viewOn": "things", "pipeline": [] },
    )
    .await;
    command(&other, doc! { "create": "more" }).await;
    command(&other, doc! { "drop": "log" }).await;
    let found = differences(&standalone, &options).await.join("\n");
    for expected in [
        "one.log: collection is missing",
        "one.more: collection is there in addition",
        "one.things: options { \"validationLevel\": \"moderate\", \"validationAction\": \"error\" }, expected {}",
        "one.things: index \"a_1\" is { \"v\": 2, \"key\": { \"a\": 1 }, \"name\": \"a_1\", \"hidden\": true }",
        "one.things: 1 documents missing: _id 7",
        "one.things: 1 documents in addition: _id \"new\"",
        "one.things: 1 documents different: _id 5",
        "one.view: options { \"viewOn\": \"things\", \"pipeline\": [] }",
    ] {
        assert!(found.contains(expected), "no {expected:?} in\n{found}");
    }
    let whole = differences(&standalone, &options.documents_by_id(10))
        .await
        .join("\n");
    assert!(
        whole.contains("one.things: documents differ (too many to name)"),
        "{whole}"
    );
}

#[tokio::test]
async fn the_order_of_a_capped_collection_counts() {
    let standalone = Standalone::start().await;
    for (db, ids) in [("one", [1, 2, 3]), ("other", [1, 3, 2])] {
        let db = standalone.client().database(db);
        command(&db, doc! { "create": "log", "capped": true, "size": 4096 }).await;
        command(&db, doc! { "create": "bag" }).await;
        for id in ids {
            db.collection("log")
                .insert_one(doc! { "_id": id })
                .await
                .unwrap();
            db.collection("bag")
                .insert_one(doc! { "_id": id })
                .await
                .unwrap();
        }
    }
    let found = differences(&standalone, &FingerprintOptions::new()).await;
    assert_eq!(found, ["one.log: document 1 in natural order differs"]);
}

#[tokio::test]
async fn time_series_are_the_same_as_themselves_by_their_buckets() {
    let standalone = Standalone::start().await;
    let client = standalone.client();
    dataset::time_series().seed(&client).await;
    dataset::users_and_roles().seed(&client).await;
    let options = FingerprintOptions::new();
    let (one, other) = (
        Fingerprint::of(&client, &options).await,
        Fingerprint::of(&client, &options).await,
    );
    assert_same(&one, &other);
    assert_eq!(one.documents(), 4_006);
    let admin = Fingerprint::of(&client, &options.databases(["admin"])).await;
    let users = admin
        .collections()
        .get(&("admin".into(), "system.users".into()));
    assert_eq!(users.map(|users| users.content.documents()), Some(3));
}

#[tokio::test]
async fn a_fingerprint_as_text_says_what_there_is_and_differs_where_it_differs() {
    let standalone = twins().await;
    let options = FingerprintOptions::new().databases(["one"]);
    let print = async || Fingerprint::of(&standalone.client(), &options).await;
    let before = print().await.to_string();
    let lines: Vec<&str> = before.lines().collect();
    let starts = [
        "one.log: collection, 5 documents, 70 bytes, ",
        "  options ",
        "  index \"_id_\" ",
        "one.things: collection, 100 documents, 2100 bytes, ",
        "  options ",
        "  index \"_id_\" ",
        "  index \"a_1\" ",
        "one.view: view",
        "  options ",
    ];
    assert_eq!(lines.len(), starts.len(), "{before}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    let things = standalone.client().database("one");
    let things = things.collection::<Document>("things");
    let changed = things.update_one(doc! { "_id": 5 }, doc! { "$set": { "a": 100 } });
    changed.await.unwrap();
    let after = print().await.to_string();
    let changed = lines
        .iter()
        .zip(after.lines())
        .filter(|(one, other)| *one != other);
    assert_eq!(changed.count(), 1);

    let kept = print().await.retain(|_, collection| collection == "view");
    assert_eq!(kept.to_string().lines().count(), 2);
}
