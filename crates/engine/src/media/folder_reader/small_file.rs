//! Files that are read whole: metadata and `prelude.json`.

use std::{io::Read, sync::Arc};

use rdump_format::{Codec, Digest, FileRecord, MAX_METADATA_BYTES, decoder};
use rdump_storage::{ObjectInfo, Store};

use crate::{Error, Result, media::manifest};

/// The content of a file, checked against its record, if it has one, before it is decompressed.
pub(super) async fn read(
    store: &Arc<dyn Store>,
    object: &ObjectInfo,
    codec: Codec,
    record: Option<&FileRecord>,
) -> Result<Vec<u8>> {
    let (path, stored_bytes) = (object.path.as_str(), object.stored_bytes);
    let damaged = |message: String| {
        let error = Error::data(message).at(path);
        match record {
            Some(_) => error.with_hint(manifest::hint()),
            None => error,
        }
    };
    let check_length = |bytes| match bytes > MAX_METADATA_BYTES {
        true => Err(damaged(format!(
            "{path} has {bytes} bytes or more, too many for what it should hold"
        ))),
        false => Ok(()),
    };
    check_length(stored_bytes)?;
    let stored = store.read(path, 0..stored_bytes, object.version.as_ref());
    let stored = stored.await?;
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
    let read = read.take(MAX_METADATA_BYTES + 1).read_to_end(&mut content);
    read.map_err(|error| damaged(format!("{path} is damaged")).caused_by(error))?;
    check_length(content.len() as u64)?;
    Ok(content)
}
