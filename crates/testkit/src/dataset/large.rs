//! Documents as large as they can be.

use bson::{RawDocumentBuf, rawdoc};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Dataset;
use crate::raw::RawBuilder;

/// Documents of exactly as many bytes as a server takes, 16 MiB, and some a little smaller.
pub fn large_documents() -> Dataset {
    Dataset::new("large-documents", &["large"], |seeder| async move {
        let most = 16 << 20;
        for (id, bytes) in [
            (1, most),
            (2, most - 1),
            (3, most - 4_096),
            (4, 300),
            (5, most / 2),
        ] {
            seeder
                .insert("large", "documents", [document_of(id, bytes)])
                .await;
        }
        let small = (10..100).map(|id| rawdoc! { "_id": id });
        seeder.insert("large", "documents", small).await;
    })
}

/// A document of exactly `bytes` bytes: text, then noise.
fn document_of(id: i32, bytes: usize) -> RawDocumentBuf {
    let empty = RawBuilder::new()
        .int32("_id", id)
        .string("text", "")
        .binary("noise", 0, &[]);
    let room = bytes - empty.build().as_bytes().len();
    let text = "All work and no play makes a dull document. ".repeat(room / 2 / 44);
    let mut noise = vec![0; room - text.len()];
    ChaCha8Rng::seed_from_u64(5).fill_bytes(&mut noise);
    let document = RawBuilder::with_capacity(bytes)
        .int32("_id", id)
        .string("text", &text);
    document.binary("noise", 0, &noise).build()
}
