//! Which commands a dump sends.

use bson::{Document, doc};
use futures::TryStreamExt;
use rdump::DumpOptions;
use rdump_testkit::{ReplicaSet, dataset};
use tempfile::TempDir;

use super::{dump, dump_to, partitions};

#[tokio::test]
async fn the_read_concern_of_the_connection_string_goes_with_every_read_of_documents() {
    let source = ReplicaSet::start().await;
    let db = source.client().database("shop");
    dataset::seed_bulk(&source.client(), "shop.c", dataset::Shape::Small, 2_000, 1).await;
    db.run_command(doc! { "profile": 2 }).await.unwrap();
    let uri = format!("{}&readConcernLevel=majority", source.uri());
    for number in [1, 2] {
        let folder = TempDir::new().unwrap();
        let report = dump_to(uri.clone(), folder.path(), partitions(number).db("shop")).await;
        assert_eq!(report.unwrap().documents, 2_000);
    }
    db.run_command(doc! { "profile": 0 }).await.unwrap();
    let reads =
        doc! { "ns": "shop.c", "$or": [{ "command.find": "c" }, { "command.aggregate": "c" }] };
    let profile = db.collection::<Document>("system.profile");
    let reads: Vec<_> = profile
        .find(reads)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    // All in natural order; the sample that divides the collection, its halves, and what `min` leaves out of the last.
    assert_eq!(reads.len(), 5, "{reads:?}");
    for read in reads {
        let command = read.get_document("command").unwrap();
        let read_concern = command.get_document("readConcern").unwrap();
        assert_eq!(
            read_concern.get_str("level").unwrap(),
            "majority",
            "{command}"
        );
    }
}

#[tokio::test]
async fn everything_is_read_in_natural_order_and_what_a_query_asks_for_by_its_index() {
    // TOOLS-1952, TOOLS-4312.
    let source = ReplicaSet::start().await;
    let db = source.client().database("shop");
    let documents = (0..10).map(|number| doc! { "_id": number, "a": number });
    db.collection("c").insert_many(documents).await.unwrap();
    let index = doc! { "createIndexes": "c", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] };
    db.run_command(index).await.unwrap();
    db.run_command(doc! { "create": "v", "viewOn": "c", "pipeline": [] })
        .await
        .unwrap();
    db.run_command(doc! { "profile": 2 }).await.unwrap();
    let all = DumpOptions::default().db("shop");
    dump(&source, all.clone()).await;
    dump(&source, all.clone().collection("c").query("{}")).await;
    dump(&source, all.clone().views_as_collections(true)).await;
    dump(&source, all.collection("c").query(r#"{"a": 5}"#)).await;
    db.run_command(doc! { "profile": 0 }).await.unwrap();

    let reads =
        doc! { "$or": [{ "command.find": { "$in": ["c", "v"] } }, { "command.aggregate": "c" }] };
    let profile = db.collection::<Document>("system.profile");
    let reads = profile.find(reads).sort(doc! { "$natural": 1 }).await;
    let reads: Vec<_> = reads.unwrap().try_collect().await.unwrap();
    let plans = reads.iter().map(|read| {
        let command = read.get_document("command").unwrap();
        assert!(!command.contains_key("snapshot"), "{command}");
        let hint = command.get_document("hint").ok();
        let plan = read.get_str("planSummary").unwrap();
        (hint.cloned(), plan.split(' ').next().unwrap())
    });
    let natural = Some(doc! { "$natural": 1 });
    let expected = [
        (natural.clone(), "COLLSCAN"),
        (natural.clone(), "COLLSCAN"),
        (natural, "COLLSCAN"),
        (None, "IXSCAN"),
    ];
    assert_eq!(plans.collect::<Vec<_>>(), expected);
}
