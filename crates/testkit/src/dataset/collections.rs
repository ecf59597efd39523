//! Collections of every kind that are neither views nor time-series.

use bson::{DateTime, RawDocumentBuf, rawdoc};

use super::Dataset;
use crate::{raw::RawBuilder, server_version::Feature};

/// 2100-01-01T00:00:00Z: what expires then is still there when the test is done.
const FUTURE_MILLISECONDS: i64 = 4_102_444_800_000;

/// Collections without documents, with and without indexes and options.
pub fn empty_collections() -> Dataset {
    Dataset::new("empty-collections", &["empty"], |seeder| async move {
        seeder.create("empty", "plain", &rawdoc! {}).await;
        seeder.create("empty", "indexed", &rawdoc! {}).await;
        let index = rawdoc! { "key": { "a": 1 }, "name": "a_1" };
        seeder.index("empty", "indexed", [index]).await;
        let emptied = [rawdoc! { "_id": 1 }];
        seeder.insert("empty", "emptied", emptied).await;
        let delete = rawdoc! { "delete": "emptied", "deletes": [{ "q": {}, "limit": 0 }] };
        seeder.command("empty", delete).await;
        let capped = rawdoc! { "capped": true, "size": 4096 };
        seeder.create("empty", "capped", &capped).await;
    })
}

/// Capped collections by size and by number, some of them full, in an order that is not that of `_id`.
pub fn capped() -> Dataset {
    Dataset::new("capped", &["capped"], |seeder| async move {
        let by_size = rawdoc! { "capped": true, "size": 65_536 };
        seeder.create("capped", "by_size", &by_size).await;
        seeder.insert("capped", "by_size", entries(50)).await;
        let by_number = rawdoc! { "capped": true, "size": 1_048_576_i64, "max": 100 };
        seeder.create("capped", "by_number", &by_number).await;
        // More than it holds: the first ones are gone.
        seeder.insert("capped", "by_number", entries(250)).await;
        seeder
            .create(
                "capped",
                "indexed",
                &rawdoc! { "capped": true, "size": 1_000_000 },
            )
            .await;
        seeder.insert("capped", "indexed", entries(20)).await;
        let index = rawdoc! { "key": { "n": -1 }, "name": "n_-1", "unique": true };
        seeder.index("capped", "indexed", [index]).await;
    })
}

fn entries(number: i32) -> impl Iterator<Item = RawDocumentBuf> {
    let text = "x".repeat(100);
    (0..number).map(move |n| rawdoc! { "_id": (n * 7_919) % 10_007, "n": n, "text": text.as_str() })
}

/// Collections that are stored in the order of `_id`, one of them with expiring documents.
pub fn clustered() -> Dataset {
    Dataset::new("clustered", &["clustered"], |seeder| async move {
        let named = rawdoc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "the \"only\" one" } };
        seeder.create("clustered", "named", &named).await;
        let documents = (0..500)
            .rev()
            .map(|id| rawdoc! { "_id": id, "half": id / 2 });
        seeder.insert("clustered", "named", documents).await;
        let index = rawdoc! { "key": { "half": 1 }, "name": "half_1" };
        seeder.index("clustered", "named", [index]).await;
        let expiring = rawdoc! {
            "clusteredIndex": { "key": { "_id": 1 }, "unique": true }, "expireAfterSeconds": 3_600_i64,
        };
        seeder.create("clustered", "expiring", &expiring).await;
        let documents = (0..50).map(|n| {
            let at = DateTime::from_millis(FUTURE_MILLISECONDS + n);
            rawdoc! { "_id": at, "n": n }
        });
        seeder.insert("clustered", "expiring", documents).await;
    })
    .needs(Feature::ClusteredCollections)
}

/// Collections with options that fit nowhere else: images for change streams, the storage engine's own.
pub fn options() -> Dataset {
    Dataset::new("options", &["options"], |seeder| async move {
        let images = if seeder.has(Feature::ChangeStreamImages) {
            rawdoc! { "changeStreamPreAndPostImages": { "enabled": true } }
        } else {
            rawdoc! {}
        };
        seeder.create("options", "images", &images).await;
        let engine = rawdoc! {
            "storageEngine": { "wiredTiger": { "configString": "block_compressor=zlib" } },
        };
        seeder.create("options", "engine", &engine).await;
        let defaults = rawdoc! {
            "indexOptionDefaults": {
                "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } },
            },
        };
        seeder.create("options", "index_defaults", &defaults).await;
        for collection in ["images", "engine", "index_defaults"] {
            let documents = (0..20).map(|id| rawdoc! { "_id": id, "a": id });
            seeder.insert("options", collection, documents).await;
            let index = rawdoc! { "key": { "a": 1 }, "name": "a_1" };
            seeder.index("options", collection, [index]).await;
        }
        let function = RawBuilder::new()
            .string("_id", "double")
            .element(
                0x0D,
                "value",
                &crate::raw::string("function (x) { return 2 * x; }"),
            )
            .build();
        seeder.insert("options", "system.js", [function]).await;
    })
}
