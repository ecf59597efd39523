//! Indexes and options that are easily lost or changed on the way.

use std::{num::NonZeroUsize, sync::Arc};

use bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::Client;
use rdump::{
    Codec, Compression, ConnectOptions, Dump, DumpOptions, FolderWriter, Location, RestoreOptions,
    Source,
};
use rdump_testkit::{ReplicaSet, Standalone};
use tempfile::TempDir;

use super::{definitions, restore, round_trip::dump};
use crate::made::{Made, raw};

/// Options, and all indexes to the byte; UUIDs differ between two collections.
async fn definition(client: &Client, db: &str, collection: &str) -> Vec<RawDocumentBuf> {
    let listed = definitions::listed(client, db, collection).await;
    let mut definition = vec![raw(listed.get_document("options").unwrap())];
    for mut index in definitions::indexes(client, db, collection).await {
        index.remove("ns");
        definition.push(raw(&index));
    }
    definition
}

async fn create(client: &Client, collection: &str, options: Document, indexes: &[Document]) {
    let db = client.database("shop");
    let mut create = doc! { "create": collection };
    create.extend(options);
    db.run_command(create).await.unwrap();
    let documents = (0..3).map(|number| doc! { "_id": number, "a": number, "t": "text" });
    db.collection(collection)
        .insert_many(documents)
        .await
        .unwrap();
    if !indexes.is_empty() {
        let indexes = doc! { "createIndexes": collection, "indexes": indexes.to_vec() };
        db.run_command(indexes).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_come_back_to_the_byte_in_another_database_and_the_first_is_left_alone() {
    let server = ReplicaSet::start().await;
    let client = server.client();
    let index = |key: Document, name: &str| doc! { "key": key, "name": name };
    let collated = |key: Document, name: &str, locale: &str| {
        doc! { "key": key, "name": name, "collation": { "locale": locale } }
    };
    // TOOLS-3697.
    let on_id = [
        index(doc! { "_id": "hashed" }, "_id_hashed"),
        collated(doc! { "_id": "hashed" }, "_id_hashed_de", "de"),
        collated(doc! { "_id": "hashed" }, "_id_hashed_ar", "ar"),
        index(doc! { "_id": "2dsphere" }, "_id_2dsphere"),
    ];
    let indexes = doc! { "createIndexes": "ids", "indexes": on_id.to_vec() };
    client.database("shop").run_command(indexes).await.unwrap();
    // TOOLS-3108.
    let by_id = doc! { "key": { "_id": 1 }, "unique": true, "name": "by its own name" };
    create(
        &client,
        "clustered",
        doc! { "clusteredIndex": by_id },
        &[index(doc! { "a": 1 }, "a_1")],
    )
    .await;
    // mongorestore/metadata_test.go: without a word of it, an index gets the collation of its collection.
    create(
        &client,
        "collated",
        doc! { "collation": { "locale": "fr" } },
        &[
            collated(doc! { "t": "text" }, "text", "simple"),
            collated(doc! { "a": 1 }, "simple", "simple"),
            index(doc! { "a": 1 }, "inherited"),
        ],
    )
    .await;
    // TOOLS-4154, ordered_partial_index.js.
    let ordered = doc! { "b": { "$gt": 0 }, "a": { "$exists": true }, "c": 5, "B": 1, "A": 2 };
    create(
        &client,
        "partial",
        doc! {},
        &[
            doc! { "key": { "a": 1 }, "name": "all", "partialFilterExpression": {} },
            doc! { "key": { "a": -1 }, "name": "ordered", "partialFilterExpression": ordered },
        ],
    )
    .await;
    // TOOLS-2931; names have had no limit since 4.2.
    let long = "n".repeat(500);
    create(
        &client,
        "names",
        doc! {},
        &[
            index(doc! { "\"": 1, "'": -1 }, "quotes"),
            index(doc! { "a": 1 }, &long),
        ],
    )
    .await;
    // options_json.js.
    let engine = doc! { "wiredTiger": { "configString": "block_compressor=zlib" } };
    create(&client, "engine", doc! { "storageEngine": engine }, &[]).await;
    // TOOLS-3411.
    let pipeline = [
        doc! { "$project": { "z": 1, "b": "$a", "a": "$b" } },
        doc! { "$match": { "y": 1, "x": { "$gte": 1, "$exists": true } } },
    ];
    client
        .database("shop")
        .run_command(doc! { "create": "view", "viewOn": "names", "pipeline": pipeline.to_vec() })
        .await
        .unwrap();

    let names = [
        "ids",
        "clustered",
        "collated",
        "partial",
        "names",
        "engine",
        "view",
    ];
    let mut expected = Vec::new();
    for name in names {
        expected.push(definition(&client, "shop", name).await);
    }
    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path());
    dump(&server, &location, Compression::None).await;
    for drop in [false, true] {
        let options = RestoreOptions::default().drop(drop);
        restore(&location, &server, options.rename("shop.*", "copy.*")).await;
        // SERVER-2186.
        for db in ["copy", "shop"] {
            for (name, expected) in names.iter().zip(&expected) {
                let found = definition(&client, db, name).await;
                assert_eq!(&found, expected, "{db}.{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_old_tools_makes_the_collections_that_it_meant() {
    // extended_json_metadata.js.
    let target = ReplicaSet::start().await;
    let mut made = Made::new();
    let text = r#"{ "options" : { "capped" : true, "size" : { "$numberLong" : "1048576" }, "flags" : 1 },
        "indexes" : [ { "v" : 1, "key" : { "_id" : { "$numberLong" : "1" } }, "ns" : "old.c", "name" : "_id_" },
                      { "v" : 1.0, "key" : { "a" : { "$numberLong" : "-1" } }, "ns" : "old.c", "name" : "a_-1" } ] }"#;
    made.metadata_text("db.c", Codec::None, text);
    made.data("db.c", Codec::None, [doc! { "_id": 1 }]);
    // dumprestore6.js.
    let index = doc! { "v": 1, "key": { "b": 1 }, "ns": "another.d", "name": "b_1" };
    made.data("older.system.indexes", Codec::None, [index]);
    made.data("older.d", Codec::None, [doc! { "_id": 1 }]);
    restore(&made.location(), &target, RestoreOptions::default()).await;

    let client = target.client();
    let listed = definitions::listed(&client, "db", "c").await;
    let options = listed.get_document("options").unwrap();
    assert!(options.get_bool("capped").unwrap());
    let found = definitions::indexes(&client, "db", "c").await;
    assert_eq!(found[1].get_document("key").unwrap(), &doc! { "a": -1_i64 });
    let found = definitions::indexes(&client, "older", "d").await;
    assert_eq!(found[1].get_str("name").unwrap(), "b_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_without_an_index_on_id_is_dumped_and_comes_back_so_where_that_is_possible() {
    // TOOLS-2174, mongorestore/mongorestore_test.go.
    let server = Standalone::start().await;
    let client = server.client();
    let local = client.database("local");
    let bare = doc! { "create": "bare", "autoIndexId": false };
    local.run_command(bare).await.unwrap();
    let documents = (0..10).map(|number| doc! { "_id": number });
    local
        .collection("bare")
        .insert_many(documents)
        .await
        .unwrap();

    let listed = definitions::listed(&client, "local", "bare").await;
    let options = listed.get_document("options").unwrap();
    assert_eq!(options.get("autoIndexId"), Some(&Bson::Boolean(false)));

    let folder = TempDir::new().unwrap();
    let location = Location::from(folder.path());
    let connect = ConnectOptions::default().uri(server.root_uri());
    let source = Source::connect(&connect).await.unwrap();
    let writer = FolderWriter::create(&location).unwrap();
    let options = DumpOptions::default().db("local").collection("bare");
    let options = options.partitions(NonZeroUsize::new(4).unwrap());
    let dump = Dump::new(&source, Arc::new(writer)).options(options);
    let plan = dump.plan().await.unwrap();
    assert_eq!(dump.run(plan).await.unwrap().documents, 10);

    for (to, indexes) in [("local.again", 0), ("db.bare", 1)] {
        let options = RestoreOptions::default().rename("local.bare", to);
        assert_eq!(restore(&location, &server, options).await.documents, 10);
        let (db, collection) = to.split_once('.').unwrap();
        let found = definitions::indexes(&client, db, collection).await;
        assert_eq!(found.len(), indexes, "{to}");
    }
}
