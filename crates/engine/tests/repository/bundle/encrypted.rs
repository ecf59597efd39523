//! Bundles of snapshots that are encrypted.

use bson::doc;
use rdump::{Identities, Recipients};

use super::*;
use crate::repository::encrypted::somebody;

async fn made(recipients: Recipients) -> (ReplicaSet, Repository, Snapshot) {
    let source = ReplicaSet::start().await;
    for name in ["a", "b", "empty"] {
        let database = source.client().database("shop");
        database.create_collection(name).await.unwrap();
        let documents = (0..300).map(|id| doc! { "_id": id, "whose": "somebody", "of": name });
        if name != "empty" {
            database
                .collection(name)
                .insert_many(documents)
                .await
                .unwrap();
        }
    }
    let (_, repository) = in_memory().await;
    let writer = writer(&repository)
        .object_bytes(1)
        .recipients(Some(recipients));
    let options = DumpOptions::default().segment_bytes(64 << 10);
    let snapshot = backup_by(writer, &repository, &source, options).await;
    (source, repository, snapshot)
}

async fn open_with(bytes: &[u8], identities: Option<Identities>) -> Result<BundleReader, Error> {
    let input = Cursor::new(bytes.to_vec());
    BundleReader::stream("a bundle", input, &Selector::default(), identities).await
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_made_and_taken_in_without_a_key_and_restored_with_it() {
    let (recipients, identities) = somebody();
    let (source, repository, snapshot) = made(recipients).await;
    let bytes = bundle(&repository, &snapshot).await;
    assert!(!bytes.windows(8).any(|bytes| bytes == b"somebody"));

    let store: Arc<dyn Store> = Arc::new(MemoryStore::new("elsewhere"));
    unbundle(&store, Cursor::new(bytes.clone())).await.unwrap();
    let elsewhere = Repository::open_in(store).await.unwrap();
    let elsewhere = elsewhere.identities(Some(identities.clone()));
    let found = elsewhere.find_snapshot("latest").await.unwrap();
    let deep = SnapshotVerifyOptions::default().deep(true);
    let (report, _) = try_verify(&elsewhere, &found, &deep).await;
    let report = report.unwrap();
    assert!(report.is_whole(), "{report}");
    let expected = read_whole(&found).await;
    assert_eq!(expected["shop.b"].len(), 300);

    for (identities, kind) in [
        (None, ErrorKind::Denied),
        (Some(somebody().1), ErrorKind::Denied),
    ] {
        let error = open_with(&bytes, identities).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let target_server = ReplicaSet::start().await;
    let reader = open_with(&bytes, Some(identities)).await.unwrap();
    let restore = Restore::new(&target(&target_server).await, Arc::new(reader));
    let plan = restore.plan().await.unwrap();
    let report = restore.run(plan).await.unwrap();
    assert!(report.verified && report.problems.is_empty(), "{report:?}");
    let expected = Fingerprint::of(&source.client(), &compared()).await;
    assert_same(
        &expected,
        &Fingerprint::of(&target_server.client(), &compared()).await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_encrypted_is_not_restored_where_a_key_was_given() {
    let (source, _, _) = made(somebody().0).await;
    let (_, repository) = in_memory().await;
    let snapshot = backup(&repository, &source, DumpOptions::default()).await;
    let bytes = bundle(&repository, &snapshot).await;
    let error = open_with(&bytes, Some(somebody().1)).await.unwrap_err();
    assert!(error.to_string().contains("is not encrypted"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_one_is_found_with_and_without_a_key() {
    let (recipients, identities) = somebody();
    let (_source, repository, snapshot) = made(recipients).await;
    let whole = bundle(&repository, &snapshot).await;
    for offset in (0..whole.len()).step_by(damage_step(whole.len())) {
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x40;
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new("elsewhere"));
        let unbundled = unbundle(&store, Cursor::new(bytes.clone())).await;
        let mut failed = unbundled.err();
        if failed.is_none() {
            // What means nothing in a header may be anything; what is stored is the same.
            let elsewhere = Repository::open_in(store).await.unwrap();
            let elsewhere = elsewhere.identities(Some(identities.clone()));
            let found = elsewhere.find_snapshot("latest").await.unwrap();
            assert_eq!(read_whole(&found).await["shop.a"].len(), 300);
            failed = try_verify(&elsewhere, &found, &SnapshotVerifyOptions::default())
                .await
                .0
                .err();
            assert!(failed.is_none());
        }
    }
}

/// Some hundred places.
fn damage_step(length: usize) -> usize {
    length / 300
}
