//! Who it says it is, and what there is in it.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use bson::{Bson, Document, RawDocumentBuf, doc};
use rdump_testkit::{DocumentDb, ReplicaSet, ServerVersion, deployment::connect};

use super::{by_id, setup};

#[tokio::test]
async fn a_driver_connects_directly_and_by_discovery() {
    let setup = setup().await;
    for uri in [setup.documentdb.uri(), setup.documentdb.replica_set_uri()] {
        let client = connect(&uri).await;
        let orders = client.database("shop").collection::<Document>("orders");
        orders.delete_many(doc! {}).await.unwrap();
        let written = orders.insert_many((0..500).map(by_id)).await.unwrap();
        assert_eq!(written.inserted_ids.len(), 500);
        assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 500);
    }
    assert_eq!(setup.documentdb.refusals(), [""; 0]);
}

#[tokio::test]
async fn it_says_that_it_is_documentdb() {
    let setup = setup().await;
    let address = setup.documentdb.address();
    for name in ["hello", "isMaster"] {
        let hello = setup.run("admin", doc! { name: 1 }).await.unwrap();
        assert_eq!(hello.get_str("setName").unwrap(), "rs0");
        assert_eq!(hello.get_str("me").unwrap(), address.as_str());
        assert_eq!(hello.get_array("hosts").unwrap(), &[Bson::from(&address)]);
        assert!(hello.get_timestamp("operationTime").is_ok());
        assert!(hello.get_i32("logicalSessionTimeoutMinutes").is_ok());
        for absent in ["$clusterTime", "topologyVersion", "compression"] {
            assert!(!hello.contains_key(absent), "{absent} in {hello}");
        }
    }
    setup.documentdb.set_own_name("x.docdb.amazonaws.com:27017");
    let hello = setup.run("admin", doc! { "hello": 1 }).await.unwrap();
    assert_eq!(hello.get_str("me").unwrap(), "x.docdb.amazonaws.com:27017");
    let build = setup.run("admin", doc! { "buildInfo": 1 }).await.unwrap();
    assert_eq!(build.get_str("version").unwrap(), "5.0.0");
    assert_eq!(
        build.get_array("versionArray").unwrap(),
        &[5, 0, 0, 0].map(Bson::Int32)
    );
    assert!(!build.contains_key("gitVersion") && !build.contains_key("modules"));
}

#[tokio::test]
async fn no_reply_tells_the_time_of_a_cluster() {
    let setup = setup().await;
    let write = doc! { "insert": "orders", "documents": [by_id(1)] };
    for command in [write, doc! { "find": "orders" }, doc! { "ping": 1 }] {
        let reply = setup.run("shop", command).await.unwrap();
        assert!(reply.contains_key("operationTime"), "{reply}");
        for absent in ["$clusterTime", "opTime", "electionId"] {
            assert!(!reply.contains_key(absent), "{absent} in {reply}");
        }
    }
}

#[tokio::test]
async fn an_old_handshake_is_answered() {
    let setup = setup().await;
    let query = RawDocumentBuf::try_from(&doc! { "ismaster": 1 }).unwrap();
    let mut message = Vec::new();
    // Length, id, no answer, OP_QUERY; flags, collection, skip, count, query.
    let length = 16 + 4 + 11 + 8 + query.as_bytes().len();
    for number in [i32::try_from(length).unwrap(), 7, 0, 2004, 0] {
        message.extend(number.to_le_bytes());
    }
    message.extend(b"admin.$cmd\0");
    message.extend([0, 0, 0, 0, 255, 255, 255, 255]);
    message.extend(query.as_bytes());
    let mut stream = TcpStream::connect(setup.documentdb.address()).unwrap();
    stream.write_all(&message).unwrap();
    let mut header = [0; 36];
    stream.read_exact(&mut header).unwrap();
    let number = |at: usize| i32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    // It answers 7 by OP_REPLY, with one document.
    assert_eq!([number(8), number(12), number(32)], [7, 1, 1]);
    let hello = Document::from_reader(&mut stream).unwrap();
    assert_eq!(
        hello.get_str("me").unwrap(),
        setup.documentdb.address().as_str()
    );
    assert!(hello.get_bool("ismaster").unwrap());
}

#[tokio::test]
async fn there_is_no_oplog_and_no_database_of_the_server() {
    let setup = setup().await;
    setup.orders().insert_one(by_id(1)).await.unwrap();
    assert_eq!(
        setup
            .documentdb
            .client()
            .list_database_names()
            .await
            .unwrap(),
        ["shop"]
    );
    for (database, collection) in [
        ("local", "oplog.rs"),
        ("config", "collections"),
        ("admin", "system.version"),
    ] {
        let direct = setup
            .set
            .client()
            .database(database)
            .collection::<Document>(collection);
        let find = doc! { "find": collection };
        assert_eq!(setup.first_batch(database, find).await, [], "{database}");
        let count = setup
            .run(database, doc! { "count": collection })
            .await
            .unwrap();
        assert_eq!(count.get_i32("n").unwrap(), 0);
        assert_eq!(
            setup
                .first_batch(database, doc! { "listCollections": 1 })
                .await,
            []
        );
        let insert = doc! { "insert": collection, "documents": [by_id(1)] };
        assert_eq!(setup.refused(database, insert).await.0, 303);
        if database == "local" {
            assert!(direct.estimated_document_count().await.unwrap() > 0);
        }
    }
}

#[tokio::test]
async fn collections_and_indexes_are_listed_as_it_lists_them() {
    let setup = setup().await;
    let create = doc! { "create": "orders", "capped": false, "autoIndexId": true };
    setup.run("shop", create).await.unwrap();
    let index = doc! { "key": { "a": 1 }, "name": "a_1" };
    let indexes = doc! { "createIndexes": "orders", "indexes": [index] };
    setup.run("shop", indexes).await.unwrap();
    let listed = setup
        .first_batch("shop", doc! { "listCollections": 1 })
        .await;
    let orders = &listed[0];
    assert_eq!(
        orders.get_document("info").unwrap(),
        &doc! { "readOnly": false }
    );
    let options = orders.get_document("options").unwrap();
    assert!(!options.get_bool("capped").unwrap());
    assert!(options.get_bool("autoIndexId").unwrap());
    assert!(
        options
            .get_document("storageEngine")
            .unwrap()
            .contains_key("documentDB")
    );
    // What it says it made can be made again.
    let mut again = doc! { "create": "again" };
    again.extend(options.clone());
    setup.run("shop", again).await.unwrap();
    let listed = setup
        .first_batch("shop", doc! { "listIndexes": "orders" })
        .await;
    assert_eq!(listed.len(), 2);
    for index in listed {
        assert_eq!(index.get_str("ns").unwrap(), "shop.orders");
        assert_eq!(index.get_i32("v").unwrap(), 2);
    }
}

#[tokio::test]
async fn long_lists_are_changed_in_every_batch() {
    let setup = setup().await;
    for number in 0..3 {
        let create = doc! { "create": format!("c{number}") };
        setup.run("shop", create).await.unwrap();
    }
    let list = doc! { "listCollections": 1, "cursor": { "batchSize": 1 } };
    let reply = setup.run("shop", list).await.unwrap();
    let id = reply.get_document("cursor").unwrap().get_i64("id").unwrap();
    let more = doc! { "getMore": id, "collection": "$cmd.listCollections" };
    let reply = setup.run("shop", more).await.unwrap();
    let batch = reply
        .get_document("cursor")
        .unwrap()
        .get_array("nextBatch")
        .unwrap();
    assert_eq!(batch.len(), 2);
    for collection in batch {
        let info = collection
            .as_document()
            .unwrap()
            .get_document("info")
            .unwrap();
        assert!(!info.contains_key("uuid"), "{info}");
    }
}

#[tokio::test]
async fn users_log_in_by_the_one_mechanism_it_has() {
    let set = ReplicaSet::builder().auth().start().await;
    let documentdb = DocumentDb::start(&set).await;
    let orders = documentdb
        .client()
        .database("shop")
        .collection::<Document>("orders");
    orders.insert_one(by_id(1)).await.unwrap();
    let newer = documentdb.uri() + "&authMechanism=SCRAM-SHA-256";
    let refused = connect(&newer)
        .await
        .list_database_names()
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("Unsupported mechanism"),
        "{refused}"
    );
}

#[tokio::test]
async fn it_stands_in_front_of_an_older_server_too() {
    let set = ReplicaSet::builder()
        .version(ServerVersion::V4_4_2)
        .start()
        .await;
    let documentdb = DocumentDb::start(&set).await;
    documentdb.enable_change_streams("shop", "").await;
    let shop = documentdb.client().database("shop");
    let mut stream = shop.watch().await.unwrap();
    shop.collection("orders")
        .insert_one(by_id(1))
        .await
        .unwrap();
    let event = super::streams::next(&mut stream).await;
    assert_eq!(event.document_key, Some(by_id(1)));
    let list = doc! { "aggregate": 1, "pipeline": [{ "$listChangeStreams": 1 }], "cursor": {} };
    let listed = documentdb
        .client()
        .database("admin")
        .run_command(list)
        .await
        .unwrap();
    let listed = listed
        .get_document("cursor")
        .unwrap()
        .get_array("firstBatch")
        .unwrap();
    assert_eq!(
        listed,
        &[Bson::from(doc! { "database": "shop", "collection": "" })]
    );
}
