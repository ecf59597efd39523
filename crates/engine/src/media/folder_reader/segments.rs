//! Documents of a file that the manifest describes: segment by segment, each checked before it is decompressed.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{Codec, Digester, SegmentRecord};
use rdump_storage::Store;

use super::Documents;
use crate::{Error, Result, media::manifest};

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn read(
    store: &Arc<dyn Store>,
    path: &str,
    codec: Codec,
    records: &Arc<[SegmentRecord]>,
) -> BoxStream<'static, Result<Documents>> {
    let (store, path, records) = (Arc::clone(store), path.to_owned(), Arc::clone(records));
    let start = (0_usize, 0_u64, Digester::new());
    let segments = stream::try_unfold(start, move |(number, start, digester)| {
        let (store, path, records) = (Arc::clone(&store), path.clone(), Arc::clone(&records));
        async move {
            let Some(record) = records.get(number).cloned() else {
                return Ok(None);
            };
            let end = start.saturating_add(record.stored_bytes);
            let opened = open(&store, &path, codec, record, start..end, digester).await;
            let (documents, digester) = opened.map_err(|error| {
                Error::data(format!(
                    "segment {} of {} of {path} (bytes {start} to {end}) is damaged and was not restored",
                    number + 1,
                    records.len()
                ))
                .with_hint(manifest::hint())
                .caused_by(error)
            })?;
            Ok(Some((documents, (number + 1, end, digester))))
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
    mut digester: Digester,
) -> Result<(Documents, Digester), Failure> {
    let stored = store.read(path, range, None).await?;
    let opened = tokio::task::spawn_blocking(move || {
        let body = match codec {
            Codec::None => {
                record.check_plain(&stored, &mut digester)?;
                stored.into()
            }
            _ => {
                let mut body = Vec::new();
                record.open(codec, &stored, &mut digester, &mut body)?;
                body
            }
        };
        Ok::<_, Failure>((Documents::new(body, record.documents), digester))
    });
    opened.await?
}
