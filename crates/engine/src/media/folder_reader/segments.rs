//! Documents of a file that the manifest describes: segment by segment, each checked before it is decompressed.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{Codec, Digest, SegmentRecord, documents};
use rdump_storage::Store;

use super::Documents;
use crate::{Error, Result};

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn read(
    store: &Arc<dyn Store>,
    path: &str,
    codec: Codec,
    records: &Arc<[SegmentRecord]>,
) -> BoxStream<'static, Result<Documents>> {
    let (store, path, records) = (Arc::clone(store), path.to_owned(), Arc::clone(records));
    let segments = stream::try_unfold((0_usize, 0_u64), move |(number, start)| {
        let (store, path, records) = (Arc::clone(&store), path.clone(), Arc::clone(&records));
        async move {
            let Some(record) = records.get(number).cloned() else {
                return Ok(None);
            };
            let end = start.saturating_add(record.stored_bytes);
            let documents = open(&store, &path, codec, record, start..end).await.map_err(|error| {
                Error::data(format!(
                    "segment {} of {} of {path} (bytes {start} to {end}) is damaged and was not restored",
                    number + 1,
                    records.len()
                ))
                .with_hint("run verify to see what else is damaged")
                .caused_by(error)
            })?;
            Ok(Some((documents, (number + 1, end))))
        }
    });
    segments
        .try_filter(|run| std::future::ready(run.documents > 0))
        .boxed()
}

async fn open(
    store: &Arc<dyn Store>,
    path: &str,
    codec: Codec,
    record: SegmentRecord,
    range: std::ops::Range<u64>,
) -> Result<Documents, Failure> {
    let stored = store.read(path, range).await?;
    let opened = tokio::task::spawn_blocking(move || {
        let body = match codec {
            Codec::None => open_plain(&record, stored)?,
            _ => {
                let mut body = Vec::new();
                record.open(codec, &stored, &mut body)?;
                body
            }
        };
        Ok::<_, Failure>(Documents::new(body, record.documents))
    });
    opened.await?
}

/// As [`SegmentRecord::open`], but without a second copy of what is stored as it is.
fn open_plain(record: &SegmentRecord, stored: Bytes) -> Result<Vec<u8>, Failure> {
    let digest = Digest::of(&stored);
    if digest != record.sha256 {
        let recorded = record.sha256;
        return Err(
            format!("its SHA-256 is {digest}, but the manifest recorded {recorded}").into(),
        );
    }
    let counted =
        documents(&stored).try_fold(0, |count: u64, document| document.map(|_| count + 1))?;
    if counted != record.documents || stored.len() as u64 != record.uncompressed_bytes {
        let recorded = record.documents;
        return Err(
            format!("it holds {counted} documents, but the manifest recorded {recorded}").into(),
        );
    }
    Ok(stored.into())
}
