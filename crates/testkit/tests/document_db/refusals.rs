//! What is refused, and that it is said.

use bson::{Document, Timestamp, doc};
use mongodb::error::ErrorKind;
use rdump_testkit::deployment::connect;

use super::{by_id, parts, setup};

/// Commands on a database that are refused, with code and text.
fn refused() -> Vec<(Document, i32, &'static str)> {
    let time = Timestamp {
        time: 1,
        increment: 1,
    };
    let index = |index: Document| doc! { "createIndexes": "orders", "indexes": [index] };
    let aggregate =
        |stage: Document| doc! { "aggregate": "orders", "pipeline": [stage], "cursor": {} };
    let update = |change: bson::Bson| {
        doc! { "update": "orders", "updates": [{ "q": {}, "u": change }] }
    };
    let collation = doc! { "locale": "de" };
    vec![
        (
            doc! { "getParameter": "*" },
            303,
            "Feature not supported: getParameter",
        ),
        (
            doc! { "replSetGetStatus": 1 },
            303,
            "Feature not supported: replSetGetStatus",
        ),
        (
            doc! { "replSetGetConfig": 1 },
            303,
            "Feature not supported: replSetGetConfig",
        ),
        (
            doc! { "getCmdLineOpts": 1 },
            303,
            "Feature not supported: getCmdLineOpts",
        ),
        (
            doc! { "applyOps": [] },
            303,
            "Feature not supported: applyOps",
        ),
        (
            doc! { "setFeatureCompatibilityVersion": "5.0" },
            303,
            "Feature not supported: setFeature",
        ),
        (
            doc! { "noSuchThing": 1 },
            59,
            "no such command: 'noSuchThing'",
        ),
        (
            doc! { "find": "orders", "allowDiskUse": true },
            303,
            "Field 'allowDiskUse' is currently not",
        ),
        (
            doc! { "find": "orders", "showRecordId": true },
            303,
            "Field 'showRecordId'",
        ),
        (
            doc! { "find": "orders", "noCursorTimeout": true },
            303,
            "Field 'noCursorTimeout'",
        ),
        (
            doc! { "find": "orders", "min": { "_id": 1 }, "hint": { "_id": 1 } },
            303,
            "Field 'min'",
        ),
        (
            doc! { "find": "orders", "tailable": true },
            303,
            "Field 'tailable'",
        ),
        (
            doc! { "find": "orders", "collation": &collation },
            303,
            "Field 'collation'",
        ),
        (
            doc! { "find": "orders", "hint": { "$natural": 1 } },
            303,
            "hint $natural",
        ),
        (
            doc! { "find": "orders", "filter": { "a": { "$type": ["int"] } } },
            303,
            "array for $type filter",
        ),
        (
            doc! { "find": "orders", "filter": { "$where": "1" } },
            303,
            "$where",
        ),
        (
            doc! { "find": "orders", "readConcern": { "level": "snapshot" } },
            303,
            "level 'snapshot'",
        ),
        (
            doc! { "find": "orders", "readConcern": { "level": "snapshot", "atClusterTime": time } },
            303,
            "Field 'atClusterTime'",
        ),
        (
            doc! { "find": "orders", "readConcern": { "afterClusterTime": time } },
            303,
            "Feature not supported: 'causal consistency'",
        ),
        (
            doc! { "create": "a", "capped": true, "size": 4096 },
            303,
            "Field 'size'",
        ),
        (
            doc! { "create": "a", "capped": true },
            303,
            "Feature not supported: capped:true",
        ),
        (
            doc! { "create": "a", "viewOn": "orders", "pipeline": [] },
            303,
            "Field 'viewOn'",
        ),
        (
            doc! { "create": "a", "pipeline": [] },
            303,
            "Field 'pipeline'",
        ),
        (
            doc! { "create": "a", "timeseries": { "timeField": "t" } },
            303,
            "Field 'timeseries'",
        ),
        (
            doc! { "create": "a", "clusteredIndex": { "key": { "_id": 1 } } },
            303,
            "Field 'clusteredIndex'",
        ),
        (
            doc! { "create": "a", "collation": &collation },
            303,
            "Field 'collation'",
        ),
        (
            index(doc! { "name": "a", "key": { "a": "hashed" } }),
            303,
            "index type hashed",
        ),
        (
            index(doc! { "name": "a", "key": { "a": "2d" } }),
            303,
            "index type 2d",
        ),
        (
            index(doc! { "name": "a", "key": { "$**": 1 } }),
            303,
            "wildcard index",
        ),
        (
            index(doc! { "name": "a", "key": { "a": 1 }, "collation": collation }),
            303,
            "Field 'collation'",
        ),
        (
            index(doc! { "name": "a", "key": { "a": 1 }, "hidden": true }),
            303,
            "Field 'hidden'",
        ),
        (
            doc! { "collMod": "orders", "index": { "name": "a", "hidden": true } },
            303,
            "Field 'hidden'",
        ),
        (
            doc! { "listCollections": 1, "filter": { "type": "collection" } },
            303,
            "Field 'type'",
        ),
        (
            aggregate(doc! { "$facet": {} }),
            304,
            "Aggregation stage not supported: '$facet'",
        ),
        (aggregate(doc! { "$merge": "a" }), 304, "'$merge'"),
        (
            aggregate(doc! { "$project": { "a": "$$REMOVE" } }),
            303,
            "Feature not supported: $$REMOVE",
        ),
        (
            aggregate(doc! { "$collStats": { "latencyStats": {} } }),
            303,
            "Field 'latencyStats'",
        ),
        (
            doc! { "aggregate": "orders", "pipeline": [], "cursor": {}, "allowDiskUse": true },
            303,
            "Field 'allowDiskUse'",
        ),
        (
            aggregate(doc! { "$changeStream": { "startAfter": { "_data": "01" } } }),
            40415,
            "BSON field '$changeStream.startAfter' is an unknown field.",
        ),
        (
            aggregate(doc! { "$changeStream": { "showExpandedEvents": true } }),
            40415,
            "showExpandedEvents",
        ),
        (
            aggregate(doc! { "$changeStream": { "fullDocumentBeforeChange": "required" } }),
            40415,
            "fullDocumentBeforeChange",
        ),
        (
            aggregate(doc! { "$changeStream": { "fullDocument": "required" } }),
            303,
            "fullDocument 'required'",
        ),
        (
            doc! {
                "aggregate": "orders", "cursor": {},
                "pipeline": [{ "$changeStream": {} }, { "$changeStreamSplitLargeEvent": {} }],
            },
            304,
            "'$changeStreamSplitLargeEvent'",
        ),
        (
            aggregate(doc! { "$changeStream": { "resumeAfter": { "_data": "82" } } }),
            9,
            "Invalid resume token",
        ),
        (
            update(vec![doc! { "$set": { "a": 1 } }].into()),
            9,
            "Failed to parse update",
        ),
    ]
}

#[tokio::test]
async fn what_documentdb_lacks_is_refused_by_name() {
    let setup = setup().await;
    setup.orders().insert_one(by_id(1)).await.unwrap();
    for (command, code, text) in refused() {
        let refusal = setup.refused("shop", command.clone()).await;
        assert_eq!(refusal.0, code, "{command}: {}", refusal.1);
        assert!(refusal.1.contains(text), "{command}: {}", refusal.1);
    }
    let refusals = setup.documentdb.refusals();
    assert_eq!(refusals.len(), refused().len());
    assert_eq!(
        refusals[0],
        "getParameter: Feature not supported: getParameter"
    );
}

#[tokio::test]
async fn updates_and_deletes_after_the_body_are_looked_at_too() {
    let setup = setup().await;
    let orders = setup.orders();
    // The driver sends these outside of the command's body.
    let pipeline = vec![doc! { "$set": { "a": 1 } }];
    let refused = orders.update_one(doc! {}, pipeline).await.unwrap_err();
    assert_eq!(parts(&refused).0, 9);
    let refused = orders
        .delete_one(doc! {})
        .hint(mongodb::options::Hint::Name("_id_".into()));
    assert!(
        parts(&refused.await.unwrap_err())
            .1
            .contains("Field 'hint'")
    );
}

#[tokio::test]
async fn writes_that_could_be_repeated_are_refused_and_others_are_done() {
    let setup = setup().await;
    let repeating = setup
        .documentdb
        .replica_set_uri()
        .replace("=false", "=true");
    let client = connect(&repeating).await;
    let orders = client.database("shop").collection::<Document>("orders");
    let refused = orders.insert_one(by_id(1)).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("Retryable writes are not supported"),
        "{refused}"
    );
    assert!(matches!(*refused.kind, ErrorKind::Command(ref error) if error.code == 301));
    setup.orders().insert_one(by_id(1)).await.unwrap();

    let mut session = client
        .start_session()
        .causal_consistency(false)
        .await
        .unwrap();
    session.start_transaction().await.unwrap();
    orders
        .insert_one(by_id(2))
        .session(&mut session)
        .await
        .unwrap();
    session.commit_transaction().await.unwrap();
    assert_eq!(setup.orders().count_documents(doc! {}).await.unwrap(), 2);
}

#[tokio::test]
async fn what_it_has_is_taken() {
    let setup = setup().await;
    setup
        .orders()
        .insert_many((0..10).map(by_id))
        .await
        .unwrap();
    let pipeline = [doc! { "$collStats": { "storageStats": {} } }];
    for command in [
        doc! { "find": "orders", "sort": { "_id": 1 }, "hint": { "_id": 1 }, "limit": 3, "skip": 1 },
        doc! { "find": "orders", "sort": { "$natural": 1 }, "readConcern": { "level": "majority" } },
        doc! { "aggregate": "orders", "pipeline": pipeline, "cursor": {} },
        doc! { "count": "orders", "query": { "_id": { "$gt": 3 } } },
        doc! { "collStats": "orders" },
        doc! { "dbStats": 1 },
        doc! { "create": "checked", "validator": { "$jsonSchema": { "required": ["a"] } } },
        doc! {
            "createIndexes": "orders",
            "indexes": [
                { "name": "a", "key": { "a": 1 }, "unique": true, "partialFilterExpression": { "a": { "$exists": true } } },
                { "name": "b", "key": { "b": "2dsphere" } },
                { "name": "c", "key": { "c": 1 }, "expireAfterSeconds": 60 },
            ],
        },
        doc! { "collMod": "orders", "index": { "name": "c", "expireAfterSeconds": 90 } },
        doc! { "dropIndexes": "orders", "index": "c" },
    ] {
        let answer = setup.run("shop", command.clone()).await;
        assert!(answer.is_ok(), "{command}: {answer:?}");
    }
    assert_eq!(setup.documentdb.refusals(), [""; 0]);
}
