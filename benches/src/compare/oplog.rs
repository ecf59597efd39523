//! An oplog to replay: a folder as mongodump leaves it, with nothing but operations on single documents.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use bson::{Timestamp, doc, rawdoc};

/// The placeholder for the folder.
pub(super) const NAME: &str = "oplog";
/// The database of its collections.
pub(super) const DB: &str = "replay";
/// The collections, which start empty.
pub(super) const COLLECTIONS: u64 = 10;
/// Operations at scale 1: as many updates as inserts.
const OPERATIONS: f64 = 1_000_000.0;
/// When the first second of the oplog was.
const START: u32 = 1_700_000_000;
/// Operations in each second of the oplog.
const PER_SECOND: u32 = 10_000;

/// The name of a collection.
pub(super) fn collection(number: u64) -> String {
    format!("c{number}")
}

/// How many documents a replay leaves.
pub(super) fn documents(scale: f64) -> u64 {
    super::servers::whole(OPERATIONS * scale / 2.0).max(COLLECTIONS)
}

/// Writes the folder: every document is inserted, and updated when as many others as there are collections were.
pub(super) fn write(folder: &Path, scale: f64) -> Result<()> {
    let db = folder.join(DB);
    fs::create_dir_all(&db).context("could not create a folder")?;
    for number in 0..COLLECTIONS {
        let name = collection(number);
        let metadata = format!(
            "{{\"indexes\":[{{\"v\":{{\"$numberInt\":\"2\"}},\"key\":{{\"_id\":{{\"$numberInt\":\"1\"}}}},\"name\":\"_id_\"}}],\
             \"collectionName\":\"{name}\",\"type\":\"collection\"}}"
        );
        fs::write(db.join(format!("{name}.metadata.json")), metadata)?;
        fs::write(db.join(format!("{name}.bson")), b"")?;
    }
    let file = File::create(folder.join("oplog.bson")).context("could not create an oplog")?;
    let mut file = BufWriter::new(file);
    let mut written = 0_u32;
    let mut push = |entry: bson::RawDocumentBuf| file.write_all(entry.as_bytes());
    let mut at = || {
        let (seconds, ordinal) = (written / PER_SECOND, written % PER_SECOND);
        written += 1;
        Timestamp {
            time: START + seconds,
            increment: ordinal + 1,
        }
    };
    let documents = documents(scale);
    for id in 0..documents + COLLECTIONS {
        let id = i64::try_from(id)?;
        let namespace = |id: i64| format!("{DB}.{}", collection(id.unsigned_abs() % COLLECTIONS));
        if id.unsigned_abs() < documents {
            push(rawdoc! {
                "op": "i", "ns": namespace(id), "o": {
                    "_id": id, "account": id % 977, "state": "open", "note": "as long as most of what people note",
                    "amounts": [id % 13, id % 17, id % 19],
                },
                "o2": { "_id": id }, "ts": at(), "t": 1_i64, "v": 2_i64,
            })?;
        }
        if let Some(id) = id
            .checked_sub(i64::try_from(COLLECTIONS)?)
            .filter(|id| *id >= 0)
        {
            push(rawdoc! {
                "op": "u", "ns": namespace(id),
                "o": { "$v": 2_i32, "diff": { "u": { "state": "paid" }, "i": { "paidAt": id } } },
                "o2": { "_id": id }, "ts": at(), "t": 1_i64, "v": 2_i64,
            })?;
        }
    }
    file.flush().context("could not write an oplog")
}

/// What a document is by the filter when it was inserted and updated.
pub(super) fn done() -> bson::Document {
    doc! { "state": "paid" }
}
