//! Files that are read whole: metadata and `prelude.json`.

use std::{io::Read, sync::Arc};

use rdump_format::{Codec, Digest, FileRecord, decoder};
use rdump_storage::Store;

use crate::{Error, Result};

/// The largest content of a small file, in bytes. Options and indexes of a collection come from documents of the
/// server, which are shorter by far even as text.
const MAX_BYTES: u64 = 256 << 20;

/// The content of a file, checked against its record, if it has one, before it is decompressed.
pub(super) async fn read(
    store: &Arc<dyn Store>,
    path: &str,
    codec: Codec,
    stored_bytes: u64,
    record: Option<&FileRecord>,
) -> Result<Vec<u8>> {
    let damaged = |message: String| {
        Error::data(message)
            .at(path)
            .with_hint("run verify to see what else is damaged")
    };
    if stored_bytes > MAX_BYTES {
        return Err(damaged(format!(
            "{path} has {stored_bytes} bytes, too many for what it should hold"
        )));
    }
    let stored = store.read(path, 0..stored_bytes).await?;
    if let Some(record) = record {
        let actual = Digest::of(&stored);
        if actual != record.sha256 {
            return Err(damaged(format!(
                "{path} is damaged: its SHA-256 is {actual}, not {}",
                record.sha256
            )));
        }
    }
    let mut content = Vec::new();
    let read = decoder(codec, &stored[..])
        .map_err(|error| damaged(format!("{path} is damaged")).caused_by(error))?;
    let read = read.take(MAX_BYTES).read_to_end(&mut content);
    read.map_err(|error| damaged(format!("{path} is damaged")).caused_by(error))?;
    Ok(content)
}
