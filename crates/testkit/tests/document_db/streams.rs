//! Change streams: which events there are, and where one can resume.

use std::time::Duration;

use bson::{Bson, Document, Timestamp, doc};
use mongodb::{
    change_stream::{
        ChangeStream,
        event::{ChangeStreamEvent, OperationType, ResumeToken},
    },
    options::FullDocumentType,
};
use rdump_testkit::{
    document_db::LostPosition,
    wait::{PATIENCE, wait_for},
};

use super::{Setup, by_id, parts, setup};

type Event = ChangeStreamEvent<Document>;

/// The next event of a stream.
pub(super) async fn next(stream: &mut ChangeStream<Event>) -> Event {
    wait_for("the next event", PATIENCE, async || {
        stream.next_if_any().await.expect("the stream goes on")
    })
    .await
}

/// The ids of the documents of all events until that of `last`.
async fn ids_until(stream: &mut ChangeStream<Event>, last: i32) -> Vec<i32> {
    let mut ids = Vec::new();
    while ids.last() != Some(&last) {
        let key = next(stream).await.document_key;
        let key = key.expect("it is about a document");
        ids.push(key.get_i32("_id").expect("ids are numbers"));
    }
    ids
}

impl Setup {
    async fn insert(&self, collection: &str, id: i32) {
        let collection = self.shop().collection(collection);
        collection
            .insert_one(by_id(id))
            .await
            .expect("it is inserted");
    }

    async fn enabled(&self) -> Vec<Document> {
        let pipeline = [doc! { "$listChangeStreams": 1 }];
        let list = doc! { "aggregate": 1, "pipeline": pipeline, "cursor": {} };
        self.first_batch("admin", list).await
    }

    async fn refused_resume(&self, token: ResumeToken) -> i32 {
        match self.shop().watch().resume_after(token).await {
            Ok(_) => panic!("the token was taken"),
            Err(error) => parts(&error).0,
        }
    }

    async fn operation_time(&self) -> Timestamp {
        let reply = self.run("admin", doc! { "ping": 1 }).await;
        let reply = reply.expect("it is answered");
        reply.get_timestamp("operationTime").expect("it has a time")
    }
}

#[tokio::test]
async fn a_stream_over_what_is_not_enabled_yields_nothing_then_or_later() {
    let setup = setup().await;
    let start = setup.operation_time().await;
    let mut stream = setup.documentdb.client().watch().await.unwrap();
    setup.insert("orders", 1).await;
    setup
        .documentdb
        .enable_change_streams("shop", "orders")
        .await;
    setup.insert("orders", 2).await;
    setup.insert("carts", 3).await;
    setup
        .documentdb
        .disable_change_streams("shop", "orders")
        .await;
    setup.insert("orders", 4).await;
    setup.documentdb.enable_change_streams("shop", "").await;
    setup.insert("orders", 5).await;
    setup.insert("carts", 6).await;
    assert_eq!(ids_until(&mut stream, 6).await, [2, 5, 6]);
    let mut again = setup
        .documentdb
        .client()
        .watch()
        .start_at_operation_time(start)
        .await
        .unwrap();
    assert_eq!(ids_until(&mut again, 6).await, [2, 5, 6]);
}

#[tokio::test]
async fn streams_are_of_the_cluster_a_database_or_a_collection() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let mut cluster = setup.documentdb.client().watch().await.unwrap();
    let mut shop = setup.shop().watch().await.unwrap();
    let mut orders = setup.orders().watch().await.unwrap();
    let bank = setup.documentdb.client().database("bank");
    bank.collection("accounts")
        .insert_one(by_id(1))
        .await
        .unwrap();
    setup.insert("carts", 2).await;
    setup.insert("orders", 3).await;
    assert_eq!(ids_until(&mut cluster, 3).await, [1, 2, 3]);
    assert_eq!(ids_until(&mut shop, 3).await, [2, 3]);
    let event = next(&mut orders).await;
    assert_eq!(event.document_key, Some(by_id(3)));
    assert_eq!(event.full_document, Some(by_id(3)));
}

#[tokio::test]
async fn what_is_enabled_is_listed_and_stages_may_follow() {
    let setup = setup().await;
    assert_eq!(setup.enabled().await, []);
    setup
        .documentdb
        .enable_change_streams("shop", "orders")
        .await;
    setup.documentdb.enable_change_streams("bank", "").await;
    setup.documentdb.enable_change_streams("bank", "").await;
    let orders = doc! { "database": "shop", "collection": "orders" };
    let bank = doc! { "database": "bank", "collection": "" };
    assert_eq!(setup.enabled().await, [orders, bank.clone()]);
    let pipeline = [
        doc! { "$listChangeStreams": 1 },
        doc! { "$match": { "database": "bank" } },
    ];
    let list = doc! { "aggregate": 1, "pipeline": pipeline, "cursor": {} };
    assert_eq!(
        setup.first_batch("shop", list).await,
        std::slice::from_ref(&bank)
    );

    // What was enabled by its own name is not any more once it was dropped.
    setup.insert("orders", 1).await;
    setup.orders().drop().await.unwrap();
    assert_eq!(setup.enabled().await, [bank]);
}

#[tokio::test]
async fn an_event_has_what_documentdb_gives_and_no_more() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("shop", "").await;
    let stage = doc! { "$changeStream": { "fullDocument": "updateLookup" } };
    let open = doc! { "aggregate": "orders", "pipeline": [stage], "cursor": {} };
    let reply = setup.run("shop", open).await.unwrap();
    let cursor = reply.get_document("cursor").unwrap();
    assert!(!cursor.contains_key("postBatchResumeToken"), "{cursor}");
    setup.insert("orders", 1).await;
    setup
        .orders()
        .update_one(by_id(1), doc! { "$set": { "a": 1 } })
        .await
        .unwrap();
    setup
        .orders()
        .replace_one(by_id(1), doc! { "a": 2 })
        .await
        .unwrap();
    setup.orders().delete_one(by_id(1)).await.unwrap();
    let more = doc! { "getMore": cursor.get_i64("id").unwrap(), "collection": "orders" };
    let mut events = Vec::new();
    while events.len() < 4 {
        let reply = setup.run("shop", more.clone()).await.unwrap();
        let cursor = reply.get_document("cursor").unwrap();
        assert!(!cursor.contains_key("postBatchResumeToken"), "{cursor}");
        let batch = cursor.get_array("nextBatch").unwrap().iter();
        events.extend(batch.map(|event| event.as_document().unwrap().clone()));
    }
    let kinds = events
        .iter()
        .map(|event| event.get_str("operationType").unwrap());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["insert", "update", "replace", "delete"]
    );
    for event in &events {
        let mut names: Vec<_> = event.keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut expected = vec!["_id", "clusterTime", "documentKey", "ns", "operationType"];
        if event.get_str("operationType").unwrap() != "delete" {
            expected.insert(3, "fullDocument");
        }
        assert_eq!(names, expected);
        // No token has the time of its event in it.
        let token = event.get_document("_id").unwrap().get_str("_data").unwrap();
        let time = event.get_timestamp("clusterTime").unwrap();
        assert!(token.starts_with("01") && !token.contains(&format!("{:08x}", time.time)));
    }
}

#[tokio::test]
async fn nothing_tells_what_is_created_renamed_or_indexed() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let mut stream = setup.documentdb.client().watch().await.unwrap();
    for command in [
        doc! { "create": "orders" },
        doc! { "createIndexes": "orders", "indexes": [{ "name": "a", "key": { "a": 1 } }] },
        doc! { "collMod": "orders", "validator": { "a": 1 } },
        doc! { "dropIndexes": "orders", "index": "a" },
    ] {
        setup.run("shop", command).await.unwrap();
    }
    let rename = doc! { "renameCollection": "shop.orders", "to": "shop.carts" };
    setup.run("admin", rename).await.unwrap();
    let bank = setup.documentdb.client().database("bank");
    bank.collection("accounts")
        .insert_one(by_id(1))
        .await
        .unwrap();
    bank.drop().await.unwrap();
    setup
        .shop()
        .collection::<Document>("carts")
        .drop()
        .await
        .unwrap();
    setup.insert("last", 2).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = next(&mut stream).await;
        let name = event.ns.unwrap();
        seen.push((event.operation_type, name.coll.unwrap()));
    }
    let expected = [
        (OperationType::Insert, "accounts"),
        (OperationType::Drop, "accounts"),
        (OperationType::Drop, "carts"),
        (OperationType::Insert, "last"),
    ];
    assert_eq!(seen, expected.map(|(kind, name)| (kind, name.to_owned())));
}

#[tokio::test]
async fn a_stream_of_one_collection_ends_with_it() {
    let setup = setup().await;
    setup
        .documentdb
        .enable_change_streams("shop", "orders")
        .await;
    setup.insert("orders", 1).await;
    let mut stream = setup.orders().watch().await.unwrap();
    setup.orders().drop().await.unwrap();
    assert_eq!(next(&mut stream).await.operation_type, OperationType::Drop);
    assert_eq!(
        next(&mut stream).await.operation_type,
        OperationType::Invalidate
    );
    assert!(!stream.is_alive());
}

#[tokio::test]
async fn a_stream_resumes_after_an_event_and_at_a_time() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let mut stream = setup.shop().watch().await.unwrap();
    for id in 1..=4 {
        setup.insert("orders", id).await;
    }
    let first = next(&mut stream).await;
    let second = next(&mut stream).await;
    let mut resumed = setup.shop().watch().resume_after(first.id).await.unwrap();
    assert_eq!(ids_until(&mut resumed, 4).await, [2, 3, 4]);
    let time = second.cluster_time.unwrap();
    let mut from = setup
        .shop()
        .watch()
        .start_at_operation_time(time)
        .await
        .unwrap();
    assert_eq!(ids_until(&mut from, 4).await, [2, 3, 4]);
    // The rest of what the first stream has.
    assert_eq!(ids_until(&mut stream, 4).await, [3, 4]);
}

#[tokio::test]
async fn batches_have_tokens_only_when_asked_for() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    setup.documentdb.give_batch_tokens();
    let stream = setup.shop().watch().await.unwrap();
    let token = stream.resume_token().expect("the batch has a token");
    drop(stream);
    setup.insert("orders", 1).await;
    let mut resumed = setup.shop().watch().resume_after(token).await.unwrap();
    assert_eq!(ids_until(&mut resumed, 1).await, [1]);
}

#[tokio::test]
async fn who_resumes_at_an_event_that_is_gone_learns_it() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let mut stream = setup.shop().watch().await.unwrap();
    setup.insert("orders", 1).await;
    let first = next(&mut stream).await;
    setup.insert("orders", 2).await;
    setup.documentdb.forget_events().await;
    assert_eq!(setup.refused_resume(first.id.clone()).await, 136);
    let shop = setup.shop();
    let begun = shop
        .watch()
        .start_at_operation_time(first.cluster_time.unwrap());
    assert_eq!(parts(&begun.await.err().unwrap()).0, 136);
    setup
        .documentdb
        .answer_lost_positions_by(LostPosition::ChangeStreamHistoryLost);
    assert_eq!(setup.refused_resume(first.id).await, 286);
    // What is open goes on, and what comes after can be resumed at.
    setup.insert("orders", 3).await;
    setup.insert("orders", 4).await;
    assert_eq!(next(&mut stream).await.document_key, Some(by_id(2)));
    let third = next(&mut stream).await;
    let mut resumed = setup.shop().watch().resume_after(third.id).await.unwrap();
    assert_eq!(ids_until(&mut resumed, 4).await, [4]);
}

#[tokio::test]
async fn events_are_gone_after_the_time_they_are_kept_for() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let mut stream = setup.shop().watch().await.unwrap();
    setup.insert("orders", 0).await;
    let first = next(&mut stream).await;
    setup.documentdb.retain_events(Duration::from_secs(3_600));
    setup
        .shop()
        .watch()
        .resume_after(first.id.clone())
        .await
        .unwrap();
    setup.documentdb.retain_events(Duration::from_secs(1));
    let time = first.cluster_time.unwrap().time;
    let mut id = 0;
    wait_for("two seconds of writes", PATIENCE, async || {
        id += 1;
        setup.insert("orders", id).await;
        (setup.operation_time().await.time > time + 1).then_some(())
    })
    .await;
    assert_eq!(setup.refused_resume(first.id).await, 136);
}

#[tokio::test]
async fn events_that_are_held_back_come_all_at_once() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let wait = Duration::from_millis(100);
    let mut stream = setup.shop().watch().max_await_time(wait).await.unwrap();
    setup.insert("orders", 1).await;
    let token = next(&mut stream).await.id;
    setup.documentdb.hold_events();
    for id in 2..=4 {
        setup.insert("orders", id).await;
    }
    for _ in 0..3 {
        assert_eq!(stream.next_if_any().await.unwrap(), None);
    }
    // Not even at the opening, when the server has them already.
    let mut resumed = setup
        .shop()
        .watch()
        .resume_after(token)
        .max_await_time(wait)
        .await
        .unwrap();
    assert_eq!(resumed.next_if_any().await.unwrap(), None);
    setup.documentdb.release_events();
    assert_eq!(ids_until(&mut stream, 4).await, [2, 3, 4]);
    assert_eq!(ids_until(&mut resumed, 4).await, [2, 3, 4]);
    // Nor is what a server gives to who was waiting already.
    let (seen, ()) = tokio::join!(stream.next_if_any(), async {
        setup.documentdb.hold_events();
        setup.insert("orders", 5).await;
    });
    assert_eq!(seen.unwrap(), None);
    setup.documentdb.release_events();
    assert_eq!(ids_until(&mut stream, 5).await, [5]);
}

#[tokio::test]
async fn open_streams_fail_when_told_to() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let mut stream = setup.shop().watch().await.unwrap();
    setup.documentdb.fail_streams(280, "the stream is over");
    let failed = wait_for("the stream to fail", PATIENCE, async || {
        stream.next_if_any().await.err()
    });
    assert_eq!(parts(&failed.await), (280, "the stream is over".to_owned()));
    let mut stream = setup.shop().watch().await.unwrap();
    setup.insert("orders", 1).await;
    assert_eq!(ids_until(&mut stream, 1).await, [1]);
}

#[tokio::test]
async fn later_stages_are_done_unless_they_hide_what_an_event_is() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let only = doc! { "$match": { "operationType": "delete" } };
    let mut deletes = setup.shop().watch().pipeline([only]).await.unwrap();
    let hidden = doc! { "$project": { "documentKey": 1 } };
    let open = doc! { "aggregate": 1, "pipeline": [{ "$changeStream": {} }, hidden], "cursor": {} };
    let reply = setup.run("shop", open).await.unwrap();
    setup.insert("orders", 1).await;
    setup.orders().delete_one(by_id(1)).await.unwrap();
    assert_eq!(
        next(&mut deletes).await.operation_type,
        OperationType::Delete
    );
    let id = reply.get_document("cursor").unwrap().get_i64("id").unwrap();
    let more = doc! { "getMore": id, "collection": "$cmd.aggregate" };
    let refused = setup.refused("shop", more).await;
    assert!(refused.1.contains("beyond this test kit"), "{}", refused.1);
}

#[tokio::test]
async fn updates_have_a_full_document_only_when_it_is_looked_up() {
    let setup = setup().await;
    setup.documentdb.enable_change_streams("", "").await;
    let mut plain = setup.shop().watch().await.unwrap();
    let lookup = FullDocumentType::UpdateLookup;
    let mut looked_up = setup.shop().watch().full_document(lookup).await.unwrap();
    setup.insert("orders", 1).await;
    setup
        .orders()
        .update_one(by_id(1), doc! { "$set": { "a": 1 } })
        .await
        .unwrap();
    next(&mut plain).await;
    next(&mut looked_up).await;
    assert_eq!(next(&mut plain).await.full_document, None);
    let full = next(&mut looked_up).await.full_document.unwrap();
    assert_eq!(full.get("a"), Some(&Bson::Int32(1)));
}
