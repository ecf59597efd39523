//! What mongorestore 100.18 cannot read although mongodump writes it; the matrix goes without it there.

use bson::RawDocumentBuf;
use rdump_format::{escape, stem};
use rdump_testkit::{ReplicaSet, binaries, dataset, reference};
use tempfile::TempDir;

use super::{cell::Cell, fingerprint};

/// It decodes the name of a file that is shortened although it takes the real name from the metadata, and then
/// decodes that too: names with these characters are refused or changed.
fn has_name_that_is_decoded_twice(collection: &str) -> bool {
    escape(collection) != stem(collection) && collection.contains(['%', '+'])
}

/// Drops from the source, where mongorestore reads, what it cannot read there.
pub(super) async fn leave_out(cell: Cell, source: &ReplicaSet) {
    if !cell.way.is_to_mongorestore() {
        return;
    }
    let client = source.client();
    for (db, collection) in fingerprint(source).await.collections().keys() {
        // An archive has whole names.
        if cell.medium.is_folder() && has_name_that_is_decoded_twice(collection) {
            let collection = client.database(db).collection::<RawDocumentBuf>(collection);
            collection.drop().await.unwrap();
        }
        // It asks for version 1 of a time-series 2dsphere index, which the server does not build.
        if db == "series" && collection == "readings" {
            let readings = client.database(db).collection::<RawDocumentBuf>(collection);
            readings.drop_index("place").await.unwrap();
        }
    }
}

/// What has changed when this fails is to be taken back into the matrix.
#[tokio::test]
async fn mongorestore_does_not_read_all_that_mongodump_writes() {
    let (source, target) = (ReplicaSet::start().await, ReplicaSet::start().await);
    let names = source.client().database("names");
    for name in ["%".repeat(80), "a".repeat(235) + " + "] {
        assert!(has_name_that_is_decoded_twice(&name));
        names.create_collection(&name).await.unwrap();
        assert!(!is_read(&source, &target).await, "{name}");
        names.drop().await.unwrap();
    }
    dataset::time_series().seed(&source.client()).await;
    assert!(!is_read(&source, &target).await);
}

/// Whether what mongodump writes comes back by mongorestore.
async fn is_read(source: &ReplicaSet, target: &ReplicaSet) -> bool {
    let folder = TempDir::new().unwrap();
    let dumped = folder.path().to_str().unwrap();
    reference::mongodump(["--uri", &source.uri(), "--out", dumped]);
    let arguments = ["--uri", &target.uri(), "--drop", "--dir", dumped];
    let restored = reference::attempt(&binaries::mongorestore(), arguments);
    let (before, after) = (fingerprint(source).await, fingerprint(target).await);
    restored.status.success() && before.diff(&after).is_empty()
}
