//! One collection as a stream of documents, from and to the reference tools.

use std::{
    io::{self, Cursor, Read},
    process::{Command, Stdio},
};

use bson::{RawDocumentBuf, doc};
use futures::TryStreamExt;
use rdump::Namespace;
use rdump_testkit::{ReplicaSet, binaries, dataset, reference};
use rdump_tests::{dump_documents, restore_documents};

use super::seeded;

/// What goes through `-`: of a view nothing, of a time-series collection its buckets.
#[tokio::test]
async fn our_stream_of_documents_is_mongodumps_byte_for_byte() {
    let source = seeded().await;
    for name in [
        "types.values",
        "types.field_names",
        "shop.orders",
        "series.readings",
        "large.documents",
    ] {
        let namespace: Namespace = name.parse().unwrap();
        let ours = stream_of(&source, &namespace).await;
        let theirs = mongodumps_stream_of(&source, &namespace);
        assert!(!ours.is_empty(), "{name} has documents");
        assert!(ours == theirs, "{name} differs");
    }
    let view = Namespace::new("views", "sorted");
    assert_eq!(stream_of(&source, &view).await, b"");
    assert_eq!(mongodumps_stream_of(&source, &view), b"");
}

async fn stream_of(source: &ReplicaSet, namespace: &Namespace) -> Vec<u8> {
    let (mut read, write) = io::pipe().unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).map(|_| bytes)
    });
    dump_documents(source, namespace, write).await;
    reading.await.unwrap().unwrap()
}

fn mongodumps_stream_of(source: &ReplicaSet, namespace: &Namespace) -> Vec<u8> {
    let Namespace { db, collection, .. } = namespace;
    let uri = source.uri();
    reference::mongodump(["--uri", &uri, "-d", db, "-c", collection, "-o", "-"]).stdout
}

#[tokio::test]
async fn a_stream_of_documents_goes_from_and_to_the_reference_tools() {
    let source = ReplicaSet::start().await;
    dataset::every_bson_type().seed(&source.client()).await;
    let original: Namespace = "types.values".parse().unwrap();
    let (theirs, ours) = (
        Namespace::new("types", "theirs"),
        Namespace::new("types", "ours"),
    );

    let stream = Cursor::new(mongodumps_stream_of(&source, &original));
    let report = restore_documents(stream, &theirs, &source).await;
    assert_eq!(report.problems, []);

    let mut mongorestore = Command::new(binaries::mongorestore());
    mongorestore.args(["--uri", &source.uri(), "-d", "types", "-c", "ours", "-"]);
    let (read, write) = io::pipe().unwrap();
    let mut mongorestore = mongorestore
        .stdin(read)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    dump_documents(&source, &original, write).await;
    assert!(mongorestore.wait().unwrap().success());

    let expected = documents(&source, &original).await;
    assert!(!expected.is_empty());
    assert_eq!(documents(&source, &theirs).await, expected);
    assert_eq!(documents(&source, &ours).await, expected);
}

/// The documents of a collection, by `_id`.
async fn documents(of: &ReplicaSet, namespace: &Namespace) -> Vec<RawDocumentBuf> {
    let collection = of.client().database(&namespace.db);
    let collection = collection.collection::<RawDocumentBuf>(&namespace.collection);
    let found = collection.find(doc! {}).sort(doc! { "_id": 1 });
    found.await.unwrap().try_collect().await.unwrap()
}
