//! Objects of segments that are no data: catalogs, and the parts of manifests.

use std::sync::Arc;

use bytes::Bytes;
use rdump_format::{
    Codec, Compression, Compressor, Digest, Digester, Segment, SegmentRecord,
    repository::{DataKeys, SnapshotId, StoredObject},
};
use rdump_storage::{StorageError, Store};

use super::{encryption::nonce, put_once};
use crate::{Error, ErrorKind, Result};

/// Where parts of manifests are, in the folder of a snapshot.
pub(super) const PARTS: &str = "parts/";

/// What of an object is encrypted.
#[derive(Debug)]
pub(super) enum Encryption {
    /// Every segment, as in a catalog.
    All(Arc<DataKeys>),
    /// The second segment, as in a part of a manifest.
    Details(Arc<DataKeys>),
}

/// Puts segments as one object that must not be there yet.
pub(super) async fn put(
    store: &dyn Store,
    id: &SnapshotId,
    path: String,
    segments: Vec<Segment>,
    keys: Option<Encryption>,
) -> Result<StoredObject> {
    let place = path.clone();
    let sealed = tokio::task::spawn_blocking(move || {
        let mut compressor = Compressor::new(Compression::ZSTD)?;
        let (mut bytes, mut records) = (Vec::new(), Vec::new());
        for (number, segment) in segments.iter().enumerate() {
            let mut stored = segment.seal(&mut compressor, Vec::new())?;
            match &keys {
                Some(Encryption::All(keys)) => {
                    stored = keys.encrypt_segment(&place, number, nonce(), &stored)?;
                }
                // The first segment of a part is for whoever verifies without a key.
                Some(Encryption::Details(keys)) if number > 0 => {
                    stored = keys.encrypt_details(&place, Digest::of(&bytes), nonce(), &stored)?;
                }
                _ => {}
            }
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
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((bytes, records))
    });
    let (bytes, records) = sealed
        .await
        .map_err(|error| Error::task("compress", error))?
        .map_err(|error| Error::internal(format!("could not make {path}")).caused_by(error))?;
    put_once(store, &format!("{}{path}", id.folder()), bytes).await?;
    Ok(StoredObject::new(path, records))
}

/// The documents of one segment of an object, checked, and decrypted if there are keys.
pub(super) async fn segment(
    store: &Arc<dyn Store>,
    id: &SnapshotId,
    object: &StoredObject,
    number: usize,
    keys: Option<Arc<DataKeys>>,
) -> Result<Vec<u8>> {
    let (record, path, stored) = stored(store, id, object, number).await?;
    let place = object.path.clone();
    // The second segment of a part goes with the first one.
    let is_part = object.path.starts_with(PARTS);
    let first = object.segments.first().filter(|_| is_part && number > 0);
    let first = first.map(|first| first.sha256);
    let opened = tokio::task::spawn_blocking(move || {
        let mut body = Vec::new();
        record.check_stored(&stored, &mut Digester::new())?;
        let decrypted = keys.map(|keys| match first {
            Some(index) => keys.decrypt_details(&place, index, &stored),
            None => keys.decrypt_segment(&place, number, &stored),
        });
        let bytes = match decrypted.transpose()? {
            Some(decrypted) => decrypted.into(),
            None => stored,
        };
        record.decode(Codec::Zstd, &bytes, &mut body)?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(body)
    });
    let opened = opened
        .await
        .map_err(|error| Error::task("decompress", error))?;
    opened.map_err(|error| damaged(&path, number, error))
}

/// Checks the digest of one segment of an object that cannot be read.
pub(super) async fn check(
    store: &Arc<dyn Store>,
    id: &SnapshotId,
    object: &StoredObject,
    number: usize,
) -> Result<()> {
    let (record, path, stored) = stored(store, id, object, number).await?;
    let checked =
        tokio::task::spawn_blocking(move || record.check_stored(&stored, &mut Digester::new()));
    let checked = checked
        .await
        .map_err(|error| Error::task("digest", error))?;
    checked.map_err(|error| damaged(&path, number, error.into()))
}

fn damaged(path: &str, number: usize, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::data(format!("segment {} of {path} is damaged", number + 1))
        .at(path)
        .caused_by(error)
}

/// What is stored of a segment, and where.
async fn stored(
    store: &Arc<dyn Store>,
    id: &SnapshotId,
    object: &StoredObject,
    number: usize,
) -> Result<(SegmentRecord, String, Bytes)> {
    let path = format!("{}{}", id.folder(), object.path);
    let Some(record) = object.segments.get(number).cloned() else {
        return Err(Error::data(format!("{path} has no segment {number}")).at(path));
    };
    let before = object.segments.iter().take(number);
    let start: u64 = before.map(|segment| segment.stored_bytes).sum();
    let range = start..start + record.stored_bytes;
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
    Ok((record, path, stored))
}
