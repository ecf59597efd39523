//! Much data, quickly, in three shapes that compress about like real data.

mod shape;
mod text;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bson::{RawDocumentBuf, rawdoc};
use mongodb::Client;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;

use super::Seeder;
use crate::raw::RawBuilder;
pub use shape::Shape;

/// Inserts that are under way at once.
const WRITERS: usize = 4;
/// Bytes of documents in one insert, about.
const BATCH_BYTES: u64 = 1 << 20;

/// Inserts `documents` documents of one shape into `namespace` (`db.collection`).
///
/// The content depends on `seed` alone. The natural order does not: several batches are inserted at once.
pub async fn seed_bulk(client: &Client, namespace: &str, shape: Shape, documents: u64, seed: u64) {
    let (db, collection) = namespace
        .split_once('.')
        .unwrap_or_else(|| panic!("{namespace} is no namespace: db.collection"));
    let seeder = Seeder::new("bulk", client.clone());
    seeder.create(db, collection, &rawdoc! {}).await;
    let next = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (seeder, next) = (seeder.clone(), Arc::clone(&next));
        let (db, collection) = (db.to_owned(), collection.to_owned());
        writers.spawn(async move {
            loop {
                let batch = next.fetch_add(1, Ordering::Relaxed);
                let Some(documents) = shape.batch(seed, batch, documents) else {
                    return;
                };
                let command = RawBuilder::new()
                    .string("insert", &collection)
                    .bool("ordered", false)
                    .document("writeConcern", &rawdoc! { "w": 1, "j": false })
                    .documents("documents", documents);
                seeder.command(&db, command.build()).await;
            }
        });
    }
    writers.join_all().await;
    // A write that changes nothing waits for all before it.
    let flush = rawdoc! {
        "delete": collection,
        "deletes": [{ "q": { "_id": bson::RawBson::MinKey }, "limit": 1 }],
        "writeConcern": { "w": "majority" },
    };
    seeder.command(db, flush).await;
}

impl Shape {
    /// The documents of one batch, of `total` documents altogether; `None` after the last.
    pub fn batch(self, seed: u64, batch: u64, total: u64) -> Option<Vec<RawDocumentBuf>> {
        let size = (BATCH_BYTES / self.document_bytes()).max(1);
        let first = batch * size;
        if first >= total {
            return None;
        }
        // Batches are independent of each other, so that they can be made in any order.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(batch);
        let numbers = first..total.min(first + size);
        Some(
            numbers
                .map(|number| self.document(&mut rng, number))
                .collect(),
        )
    }
}
