//! Slices and gaps on their way, the oldest first: what is there is whole up to where it ends.

use std::collections::HashSet;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rdump_format::repository::{GapRecord, PrunedRecord, SpanKind, SpanName};
use rdump_oplog::OpTime;

use super::{CopyReport, RepositoryCopy};
use crate::{
    Error, Result,
    repository::{
        PARALLEL_READS, carried, encryption,
        progress::TimelineProgress,
        put_same,
        timeline::{CAPTURE, parse_slice},
    },
};

impl RepositoryCopy {
    pub(super) async fn captured(&self, report: &mut CopyReport) -> Result<()> {
        let lease = self.take_lease(CAPTURE).await?;
        let copied = self.spans(report).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        copied
    }

    async fn spans(&self, report: &mut CopyReport) -> Result<()> {
        let store = self.to.store();
        let looked_at = async {
            let captures = self.from.encrypted_captures().await?;
            Ok((
                self.from.timeline().await?,
                self.to.timeline().await?,
                captures,
            ))
        };
        let (here, there, captures) = self.cx.unless_cancelled(looked_at).await?;
        for id in captures {
            let record = encryption::key_record(&**self.from.store(), &id).await?;
            let path = record.path();
            let bytes = carried::whole(&**self.from.store(), &path).await?;
            if self.keys(&id, &(path, bytes)).await? {
                report.rekeyed.push(id);
            }
        }
        let mut known: HashSet<SpanName> = there.slices().chain(there.gaps().copied()).collect();
        let is_first = known.is_empty();
        let is_missing = |span: &SpanName| {
            !known.contains(span)
                && there
                    .pruned_before()
                    .is_none_or(|before| span.end >= before)
        };
        let mut missing: Vec<_> = here.slices().chain(here.gaps().copied()).collect();
        missing.retain(is_missing);
        missing.sort_by_key(|span| (span.start, span.end));
        let reads = missing.into_iter().map(|span| async move {
            let read = self.span(&span).await;
            (span, read)
        });
        let reads: Vec<_> = reads.collect();
        let mut progress = TimelineProgress::new(&self.cx, reads.len());
        let mut reads = stream::iter(reads).buffered(PARALLEL_READS);
        let (mut recorded, mut lost) = (there.pruned_before(), None);
        let copied = async {
            while let Some((span, read)) = reads.next().await {
                let put = async {
                    let (bytes, previous) = read?;
                    if let Some(before) = here.pruned_before()
                        && let Some(previous) = previous
                        && previous.end < before
                        && !known.contains(&previous)
                    {
                        lost = lost.max(Some(previous.end));
                        // First, or what it follows would be missed there for ever.
                        if recorded < Some(before) {
                            self.pruned(before).await?;
                            recorded = Some(before);
                        }
                    }
                    let stored_bytes = bytes.len() as u64;
                    put_same(&**store, &span.path(), bytes).await?;
                    known.insert(span);
                    report.slices += 1;
                    report.slice_bytes += stored_bytes;
                    Ok(stored_bytes)
                };
                let put = put.await;
                progress.add(*put.as_ref().unwrap_or(&0));
                let put = put.map(drop);
                self.unless_its_own(put, &span.path(), report)?;
            }
            Ok(store.flush().await?)
        };
        self.cx.unless_cancelled(copied).await?;
        if let Some(lost) = lost.filter(|_| !is_first) {
            report.problems.push(format!(
                "what was captured until {lost} was pruned before it was copied: nothing leads on from what was there"
            ));
        }
        Ok(())
    }

    /// Says there too that what ended before a moment was removed on purpose.
    async fn pruned(&self, before: OpTime) -> Result<()> {
        let path = PrunedRecord::new(self.from.record().id, before, "").path();
        let bytes = carried::whole(&**self.from.store(), &path).await?;
        put_same(&**self.to.store(), &path, bytes).await
    }

    /// The bytes of a slice or a gap, compared with their digests, and what it follows.
    async fn span(&self, span: &SpanName) -> Result<(Bytes, Option<SpanName>)> {
        let bytes = self.from.read_span(span).await?;
        let (span, id) = (*span, self.from.record().id);
        let checked = tokio::task::spawn_blocking(move || {
            let (repository, previous) = match span.kind {
                SpanKind::Gap => {
                    let path = span.path();
                    let gap = GapRecord::from_bytes(&bytes);
                    let gap = gap.map_err(|error| Error::data(error.to_string()).at(&path))?;
                    if gap.name() != span {
                        let message = format!("it is that of {}", gap.name().path());
                        return Err(Error::data(message).at(path));
                    }
                    (gap.repository, Some(gap.previous))
                }
                _ => {
                    let header = parse_slice(&span, &bytes)?.header;
                    (header.repository, header.previous)
                }
            };
            match repository == id {
                true => {
                    let previous = previous.and_then(|it| SpanName::parse_path(&it.path));
                    Ok((bytes, previous))
                }
                false => Err(Error::data("it is of another repository").at(span.path())),
            }
        });
        checked
            .await
            .map_err(|error| Error::task("check a slice", error))?
    }
}
