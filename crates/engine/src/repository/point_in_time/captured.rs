//! What was captured between two moments, as an `oplog.bson`.

use std::{fmt, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::repository::{AuditVerb, SpanName};
use rdump_oplog::OpTime;
use rdump_storage::Sink;
use tokio_util::sync::CancellationToken;

use super::{
    base::{histories, is_left},
    slice_reader::{End, SliceReader},
};
use crate::{
    Error, ErrorKind, Observer, Result,
    context::RunContext,
    media::single_object,
    repository::{Outcome, Repository, progress::TimelineProgress, sink, timeline::parse_slice},
};

/// What was captured after a moment and until another one.
#[derive(Clone, Debug)]
pub struct CapturedSpan {
    slices: SliceReader,
    after: OpTime,
    until: OpTime,
    way: Vec<SpanName>,
}

impl Repository {
    /// Finds what was captured after a moment and until another one, or as far as slices go.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OplogGap`] if a part of it is not captured, [`ErrorKind::Invalid`] if the span is none; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn captured(&self, after: OpTime, until: Option<OpTime>) -> Result<CapturedSpan> {
        if until.is_some_and(|until| until <= after) {
            return Err(Error::invalid("the span ends before it begins"));
        }
        let timeline = self.timeline().await?;
        let histories = histories(&timeline, after, self.identities.is_some());
        let [history] = histories.as_slice() else {
            let message = match histories.len() {
                0 => format!("what was written after {after} is not captured"),
                several => format!("{after} is in {several} histories of the deployment"),
            };
            return Err(Error::new(ErrorKind::OplogGap, message)
                .with_hint("`rdump status` shows what is captured"));
        };
        let (until, way) = match timeline.way(*history, after, until.unwrap_or(OpTime::MAX)) {
            Ok(way) => (until.unwrap_or(OpTime::MAX), way),
            Err(no_way) if until.is_none() && !is_left(&timeline, no_way.reached) => (
                no_way.reached,
                timeline.way(*history, after, no_way.reached)?,
            ),
            Err(no_way) => {
                let hint = format!("the last moment that can be reached is {}", no_way.reached);
                return Err(Error::from(no_way).with_hint(hint));
            }
        };
        Ok(CapturedSpan {
            slices: SliceReader::new(self),
            after,
            until,
            way,
        })
    }
}

impl CapturedSpan {
    /// Its last moment.
    pub fn until(&self) -> OpTime {
        self.until
    }

    /// Writes its entries to a place where nothing is yet, as an `oplog.bson` that mongorestore replays; gives how many bytes that are.
    ///
    /// # Errors
    ///
    /// As [`entries`](Self::entries), [`ErrorKind::Conflict`] if something is there, [`ErrorKind::Cancelled`], and as both places have them. Nothing is
    /// there then, unless it is a stream.
    ///
    /// # Cancel safety
    ///
    /// Cancel it by the token; dropping the future may leave what the next one removes who writes there.
    pub async fn write(
        &self,
        to: Sink,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<u64> {
        let mut cx = RunContext::default();
        cx.set_observer(observer);
        cx.cancel = cancel;
        let repository = self.slices.repository();
        let act = repository.act(AuditVerb::OplogExport).private(true);
        let act = act.after(Some(self.after)).until(Some(self.until));
        let act = act.to(sink(&to));
        let written = single_object::write(to, &cx, async |mut object| {
            let (mut entries, mut written) = (self.read(), 0);
            let mut progress = TimelineProgress::new(&cx, self.way.len());
            while let Some((stored_bytes, some)) = entries.try_next().await? {
                written += some.len() as u64;
                object.write(some.into()).await?;
                progress.add(stored_bytes);
            }
            object.finish().await?;
            Ok(written)
        });
        let written = written.await;
        let outcome = |bytes: &u64| Outcome::default().figure("bytes", *bytes);
        cx.unrecorded(act.end(&written, outcome).await, None);
        written
    }

    /// Its entries, one after the other as in an `oplog.bson` of mongodump; slice by slice, each of which is checked, and that it follows the one before
    /// it. The stream ends after its first error.
    pub fn entries(&self) -> BoxStream<'_, Result<Vec<u8>>> {
        self.read().map_ok(|(_, entries)| entries).boxed()
    }

    /// The same, with the size of each slice as it is stored.
    fn read(&self) -> BoxStream<'_, Result<(u64, Vec<u8>)>> {
        let start = (self.way.iter(), None::<End>);
        let read = stream::try_unfold(start, move |(mut spans, before)| async move {
            let Some(span) = spans.next() else {
                return Ok(None);
            };
            let bytes = self.slices.repository().read_span(span).await?;
            let (slice, stored_bytes) = (parse_slice(span, &bytes)?, bytes.len() as u64);
            let path = || span.path();
            if let Some(before) = &before
                && !self
                    .slices
                    .follows(slice.header.previous.as_ref(), before)
                    .await?
            {
                let message = format!("{} does not follow the one before it", path());
                return Err(Error::data(message).at(path()));
            }
            let end = End::of(*span, &bytes, &slice);
            let entries = self.slices.entries(span, bytes).await?;
            let kept = within(&entries, self.after, self.until);
            let kept = kept.map_err(|error| error.at(path()))?;
            Ok(Some(((stored_bytes, kept), (spans, Some(end)))))
        });
        read.boxed()
    }
}

/// The entries after a moment and until another one.
fn within(entries: &[u8], after: OpTime, until: OpTime) -> Result<Vec<u8>> {
    let malformed =
        |error: &dyn fmt::Display| Error::data(format!("a slice has a malformed entry: {error}"));
    let mut kept = Vec::new();
    for entry in rdump_format::documents(entries) {
        let entry = entry.map_err(|error| malformed(&error))?;
        let at = rdump_oplog::Entry::parse(entry)
            .map_err(|error| malformed(&error))?
            .at();
        if at > after && at <= until {
            kept.extend_from_slice(entry);
        }
    }
    Ok(kept)
}
