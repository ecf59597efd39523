//! Files in GridFS.

use bson::{RawDocumentBuf, rawdoc};

use super::{Dataset, Seeder};
use crate::raw::RawBuilder;

const DB: &str = "gridfs";
/// 2024-01-01T00:00:00Z.
const UPLOADED_MILLISECONDS: i64 = 1_704_067_200_000;

/// A GridFS bucket of the default name and one of another, with files of no, one and several chunks.
///
/// See the [GridFS specification](https://github.com/mongodb/specifications/blob/master/source/gridfs/gridfs-spec.md).
pub fn gridfs() -> Dataset {
    Dataset::new("gridfs", &[DB], |seeder| async move {
        fill(&seeder, "fs", 255 * 1024).await;
        fill(&seeder, "photos", 1_000).await;
    })
}

async fn fill(seeder: &Seeder, bucket: &str, chunk_bytes: usize) {
    let (files, chunks) = (format!("{bucket}.files"), format!("{bucket}.chunks"));
    let lengths = [0, 1, chunk_bytes, chunk_bytes * 2 + 17];
    for (number, length) in lengths.into_iter().enumerate() {
        let name = format!("file {number}.jpg");
        let content: Vec<u8> = (0..=250).cycle().take(length).collect();
        let documents: Vec<RawDocumentBuf> = (0..)
            .zip(content.chunks(chunk_bytes))
            .map(|(n, bytes)| chunk(&name, n, bytes))
            .collect();
        seeder.insert(DB, &chunks, documents).await;
        seeder
            .insert(DB, &files, [file(&name, length, chunk_bytes)])
            .await;
    }
    let by_name =
        rawdoc! { "key": { "filename": 1, "uploadDate": 1 }, "name": "filename_1_uploadDate_1" };
    seeder.index(DB, &files, [by_name]).await;
    let by_place =
        rawdoc! { "key": { "files_id": 1, "n": 1 }, "name": "files_id_1_n_1", "unique": true };
    seeder.index(DB, &chunks, [by_place]).await;
}

fn file(name: &str, length: usize, chunk_bytes: usize) -> RawDocumentBuf {
    let number = |bytes: usize| i32::try_from(bytes).expect("test files are small");
    RawBuilder::new()
        .string("_id", name)
        .int64("length", i64::from(number(length)))
        .int32("chunkSize", number(chunk_bytes))
        .date("uploadDate", UPLOADED_MILLISECONDS)
        .string("filename", name)
        .document("metadata", &rawdoc! { "contentType": "image/jpeg" })
        .build()
}

fn chunk(name: &str, n: i32, bytes: &[u8]) -> RawDocumentBuf {
    RawBuilder::with_capacity(bytes.len() + 128)
        .document("_id", &rawdoc! { "file": name, "n": n })
        .string("files_id", name)
        .int32("n", n)
        .binary("data", 0, bytes)
        .build()
}
