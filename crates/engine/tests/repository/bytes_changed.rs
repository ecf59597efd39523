//! No byte of a repository can be changed without being noticed.

use std::sync::Arc;

use bson::doc;
use rdump::{
    CancellationToken, Compression, DumpOptions, Repository, SnapshotVerifyOptions, storage::PutIf,
};
use rdump_testkit::ReplicaSet;

use super::{backup, in_memory, objects, store_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_byte_is_found() {
    let source = ReplicaSet::start().await;
    for name in ["a", "b", "c"] {
        let collection = source.client().database("shop").collection(name);
        let documents = (0..5).map(|id| doc! { "_id": id, "of": name });
        collection.insert_many(documents).await.unwrap();
    }
    let (store, repository) = in_memory().await;
    let options = DumpOptions::default()
        .db("shop")
        .compression(Compression::ZSTD);
    let snapshot = backup(&repository, &source, options).await;
    let whole = objects(&*store).await;
    let store = store_of(&whole).await;
    let mut changes = 0_usize;
    for (path, bytes) in &whole {
        for offset in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[offset] ^= 1 << (changes % 8);
            changes += 1;
            let put = store.put(path, changed.into(), PutIf::Always);
            put.await.unwrap();
            let what = format!("byte {offset} of {path}");
            match Repository::open_in(Arc::clone(&store)).await {
                Ok(repository) => {
                    let options = SnapshotVerifyOptions::default();
                    let cancel = CancellationToken::new();
                    let report = repository.verify(snapshot.id(), &options, Arc::new(()), cancel);
                    let report = report.await.unwrap();
                    let named = report.damage.iter().any(|damage| damage.path == *path);
                    assert!(named, "{what}: {report}");
                }
                Err(error) => assert_eq!(error.location(), Some(path.as_str()), "{what}"),
            }
        }
        store.put(path, bytes.clone(), PutIf::Always).await.unwrap();
    }
    assert!(changes > 4000, "{changes}");
}
