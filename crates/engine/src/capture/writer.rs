//! Stores slices, one after the other.

use rdump_format::repository::{
    Previous, SliceFooter, SliceHeader, SliceSource, SpanKind, SpanName,
};
use tokio::sync::mpsc;

use super::{Capture, CaptureReport, gathering::Gathered, session::Run, stream_begin};
use crate::{
    Error, Event, Flavor, Result,
    repository::{CaptureLease, pack_slice},
};

/// How long a capture that is stopped tries to store what it has read.
const LAST_STEP: std::time::Duration = std::time::Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Writer<'a> {
    capture: &'a Capture,
    run: &'a Run,
    lease: Option<&'a CaptureLease>,
    /// That of the slice that comes next.
    header: SliceHeader,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        capture: &'a Capture,
        run: &'a Run,
        header: SliceHeader,
        lease: Option<&'a CaptureLease>,
    ) -> Self {
        Self {
            capture,
            run,
            lease,
            header,
        }
    }

    pub(super) async fn run(
        mut self,
        mut waiting: mpsc::Receiver<Gathered>,
        report: &mut CaptureReport,
    ) -> Result<()> {
        while let Some(gathered) = waiting.recv().await {
            let cx = self.capture.cx.clone();
            let stored = self.store(gathered, report);
            tokio::pin!(stored);
            tokio::select! {
                stored = &mut stored => stored?,
                () = async {
                    cx.cancel.cancelled().await;
                    tokio::time::sleep(LAST_STEP).await;
                } => {
                    let message = format!(
                        "what was read last could not be stored within {} s: the next capture reads it again",
                        LAST_STEP.as_secs()
                    );
                    cx.notice(None, message);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A token of MongoDB has the id of a document in it, which is not for who has no key.
    fn keeps_tokens(&self) -> bool {
        let flavor = self.capture.source.server().flavor;
        self.run.keys.is_none() || flavor == Flavor::DocumentDb
    }

    async fn store(&mut self, gathered: Gathered, report: &mut CaptureReport) -> Result<()> {
        let Gathered {
            slice,
            open_since,
            told,
            waiting,
        } = gathered;
        let cx = &self.capture.cx;
        let mut footer = SliceFooter::new(slice.last.at, cx.now().to_string());
        match self.header.from {
            SliceSource::Oplog => footer.last = Some(slice.last),
            SliceSource::ChangeStream => {
                if let Some(told) = &told {
                    stream_begin::set_start(&mut footer, told, self.keeps_tokens())?;
                }
            }
            _ => return Err(Error::internal("a slice of unknown origin")),
        }
        footer.entries = slice.entries;
        footer.uncompressed_bytes = slice.uncompressed_bytes;
        footer.definitions = slice.definitions;
        footer.namespaces = slice.namespaces;
        footer.open_since = open_since;
        let end = footer.end;
        let (header, keys) = (self.header.clone(), self.run.keys.clone());
        let (segments, is_encrypted) = (slice.segments, keys.is_some());
        let packed = tokio::task::spawn_blocking(move || {
            pack_slice(header, footer, &segments, keys.as_deref())
        });
        let packed = packed
            .await
            .map_err(|error| Error::task("pack a slice", error))??;
        let kind = match is_encrypted {
            true => SpanKind::EncryptedSlice,
            false => SpanKind::Slice,
        };
        let span = SpanName::new(self.header.start, end, self.header.timeline, kind);
        let (path, bytes) = (span.path(), packed.len() as u64);
        let previous = Previous::new(&path, &packed);
        let repository = &self.capture.repository;
        repository
            .check_present(self.header.previous.as_ref())
            .await?;
        if let Some(lease) = self.lease {
            lease.check().await?;
        }
        self.capture
            .repository
            .put_slice(&path, packed.into())
            .await?;
        drop(waiting);
        (self.header.start, self.header.previous) = (end, Some(previous));
        report.stored(&span, slice.entries, slice.uncompressed_bytes, bytes);
        let now = u64::try_from(cx.now().as_second()).unwrap_or_default();
        let lag = now.saturating_sub(u64::from(end.seconds));
        report.lag_seconds = Some(lag);
        cx.counters.lag_seconds.set(lag);
        cx.counters.slices_written.add(1);
        cx.counters.documents_written.add(slice.entries);
        cx.counters.bytes_written.add(bytes);
        cx.emit(Event::SliceStored {
            start: span.start,
            end,
            entries: slice.entries,
            stored_bytes: bytes,
            lag_seconds: lag,
        });
        Ok(())
    }
}
