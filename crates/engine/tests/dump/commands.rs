//! Which commands a dump sends.

use bson::{Document, doc};
use futures::TryStreamExt;
use rdump_testkit::{ReplicaSet, dataset};
use tempfile::TempDir;

use super::{dump_to, partitions};

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
