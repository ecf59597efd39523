//! No byte of a repository can be changed without being noticed.

use std::sync::Arc;

use bson::{Binary, doc, spec::BinarySubtype};
use bytes::Bytes;
use rdump::{
    CancellationToken, Compression, DumpOptions, Recipients, Repository, SnapshotVerifyOptions,
    Store,
    storage::{Listing, PutIf},
};
use rdump_testkit::ReplicaSet;

use super::{backup_by, encrypted::somebody, in_memory, objects, store_of, writer};

/// In a build that is slow only some bytes are changed.
const STEP: usize = if cfg!(debug_assertions) { 61 } else { 1 };

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_byte_is_found() {
    changes_are_found(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_byte_of_what_is_encrypted_is_found_without_a_key() {
    changes_are_found(Some(somebody().0)).await;
}

async fn changes_are_found(recipients: Option<Recipients>) {
    let source = ReplicaSet::start().await;
    // Bytes that cannot be compressed: 190 kB of them.
    let mut noise = Noise::new();
    for name in ["a", "b", "c"] {
        let collection = source.client().database("shop").collection(name);
        let documents =
            (0..31).map(|id| doc! { "_id": id, "of": name, "noise": noise.bytes(2100) });
        collection.insert_many(documents).await.unwrap();
    }
    let (store, repository) = in_memory().await;
    let options = DumpOptions::default()
        .db("shop")
        .segment_bytes(64 << 10)
        .compression(Compression::ZSTD);
    let writer = writer(&repository).object_bytes(30_000).part_bytes(500);
    let writer = writer.recipients(recipients);
    let snapshot = backup_by(writer, &repository, &source, options).await;
    let whole = objects(&*store).await;
    let bytes: usize = whole.values().map(Bytes::len).sum();
    assert!((200_000..250_000).contains(&bytes), "{bytes}");
    let store = store_of(&whole).await;
    let mut changes = 0_usize;
    for (path, bytes) in &whole {
        for offset in (0..bytes.len()).step_by(STEP) {
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
                    forget_looks(&*store).await;
                }
                Err(error) => assert_eq!(error.location(), Some(path.as_str()), "{what}"),
            }
        }
        store.put(path, bytes.clone(), PutIf::Always).await.unwrap();
    }
    assert!(changes >= 200_000 / STEP, "{changes}");
}

/// Removes the records of verifications, which would be read every time.
async fn forget_looks(store: &dyn Store) {
    let looks = Listing::of(store, "verified/").await.unwrap().objects;
    let looks: Vec<_> = looks.iter().map(|look| look.path.as_str()).collect();
    store.delete(&looks).await.unwrap();
}

/// Bytes without any pattern.
struct Noise(u64);

impl Noise {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn bytes(&mut self, length: usize) -> Binary {
        let bytes = std::iter::repeat_with(|| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()[3]
        });
        let (subtype, bytes) = (BinarySubtype::Generic, bytes.take(length).collect());
        Binary { subtype, bytes }
    }
}
