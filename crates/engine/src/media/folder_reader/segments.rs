//! Documents of a file that the manifest describes: segment by segment, each checked before it is decompressed.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{Codec, SegmentRecord};
use rdump_storage::Store;

use super::Documents;
use crate::{Error, Result};

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
) -> Result<Documents, Box<dyn std::error::Error + Send + Sync>> {
    let stored = store.read(path, range).await?;
    let opened = tokio::task::spawn_blocking(move || {
        let mut body = Vec::new();
        record
            .open(codec, &stored, &mut body)
            .map(|()| Documents::new(body, record.documents))
    });
    Ok(opened.await??)
}
