//! Objects of segments that are no data: catalogs, and the parts of manifests.

use std::sync::Arc;

use rdump_format::{
    Codec, Compression, Compressor, Digester, Segment, SegmentRecord,
    repository::{SnapshotId, StoredObject},
};
use rdump_storage::{StorageError, Store};

use super::put_once;
use crate::{Error, ErrorKind, Result};

/// Puts segments as one object that must not be there yet.
pub(super) async fn put(
    store: &dyn Store,
    id: &SnapshotId,
    path: String,
    segments: Vec<Segment>,
) -> Result<StoredObject> {
    let sealed = tokio::task::spawn_blocking(move || {
        let mut compressor = Compressor::new(Compression::ZSTD)?;
        let (mut bytes, mut records) = (Vec::new(), Vec::new());
        for segment in segments {
            let stored = segment.seal(&mut compressor, Vec::new())?;
            let length = segment.body.len() as u64;
            let digester = &mut Digester::new();
            records.push(SegmentRecord::of(
                segment.documents,
                length,
                &stored,
                digester,
            ));
            bytes.extend_from_slice(&stored);
        }
        Ok::<_, rdump_format::CodecError>((bytes, records))
    });
    let (bytes, records) = sealed
        .await
        .map_err(|error| Error::task("compress", error))?
        .map_err(|error| Error::internal(format!("could not compress {path}")).caused_by(error))?;
    put_once(store, &format!("{}{path}", id.folder()), bytes).await?;
    Ok(StoredObject::new(path, records))
}

/// The documents of one segment of an object, checked.
pub(super) async fn segment(
    store: &Arc<dyn Store>,
    id: &SnapshotId,
    object: &StoredObject,
    number: usize,
) -> Result<Vec<u8>> {
    let path = format!("{}{}", id.folder(), object.path);
    let Some(record) = object.segments.get(number).cloned() else {
        return Err(Error::data(format!("{path} has no segment {number}")).at(path));
    };
    let before = object.segments.iter().take(number);
    let start: u64 = before.map(|segment| segment.stored_bytes).sum();
    let range = start..start + record.stored_bytes;
    let damaged = |error| {
        Error::data(format!("segment {} of {path} is damaged", number + 1))
            .at(path.as_str())
            .caused_by(error)
    };
    let stored = match store.read(&path, range, None).await {
        Ok(stored) => stored,
        Err(StorageError::NotFound { .. }) => {
            return Err(Error::data(format!("{path} is missing")).at(path));
        }
        Err(error) => {
            let error = Error::from(error);
            return Err(match error.kind() {
                ErrorKind::Data => Error::data(format!("{path} is damaged"))
                    .at(path)
                    .caused_by(error),
                _ => error,
            });
        }
    };
    let opened = tokio::task::spawn_blocking(move || {
        let mut body = Vec::new();
        record
            .open(Codec::Zstd, &stored, &mut Digester::new(), &mut body)
            .map(|()| body)
    });
    opened
        .await
        .map_err(|error| Error::task("decompress", error))?
        .map_err(damaged)
}
