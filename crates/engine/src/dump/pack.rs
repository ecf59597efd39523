//! Packing documents into segments.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rdump_format::{Compression, Compressor, Digest, Segment, SegmentBuilder};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use super::{DumpOptions, cursor::Batch, limiter::Limiter};
use crate::{
    Error, Result,
    context::RunContext,
    media::{PackedSegment, Packing},
};

/// A segment being packed off the network tasks, and the permit that bounds how many there are.
pub(super) type Job = JoinHandle<Result<(PackedSegment, OwnedSemaphorePermit)>>;

/// What the packers of a run share: buffers, compressors, and the bound on segments in memory.
#[derive(Debug)]
pub(super) struct Packers {
    packing: Packing,
    compression: Compression,
    segment_bytes: usize,
    /// One permit for each segment between its first document and its being stored.
    segments: Arc<Semaphore>,
    buffers: Mutex<Vec<Vec<u8>>>,
    compressors: Mutex<Vec<Compressor>>,
    limiter: Limiter,
}

impl Packers {
    pub(super) fn new(packing: Packing, options: &DumpOptions, segments: usize) -> Self {
        let segment_bytes = usize::try_from(options.segment_bytes).unwrap_or(usize::MAX);
        let limiter = Limiter::new(options.limit_bytes_per_second);
        let compression = options.compression;
        let segments = Arc::new(Semaphore::new(segments));
        let (buffers, compressors) = (Mutex::default(), Mutex::default());
        Self {
            packing,
            compression,
            segment_bytes,
            segments,
            buffers,
            compressors,
            limiter,
        }
    }

    /// Packs batches into segments, each of which is handed on as a job; returns how many documents came.
    pub(super) async fn pack(
        self: Arc<Self>,
        cx: RunContext,
        mut batches: mpsc::Receiver<Batch>,
        jobs: mpsc::Sender<Job>,
    ) -> Result<u64> {
        let mut builder = SegmentBuilder::with_buffer(self.segment_bytes, Vec::new());
        let mut permit = None;
        let mut documents = 0;
        while let Some(batch) = batches.recv().await {
            self.limiter.take(batch.bytes()).await;
            let mut bytes = 0;
            let mut count = 0;
            for document in batch.documents() {
                let document = document?;
                if permit.is_none() {
                    permit = Some(self.permit().await?);
                    builder.replace_buffer(self.buffer());
                }
                bytes += document.len() as u64;
                count += 1;
                let sealed = builder.push(document).map_err(|error| {
                    Error::data("the server sent a malformed document").caused_by(error)
                })?;
                if let (Some(segment), Some(permit)) =
                    (sealed, permit.take_if(|_| builder.is_empty()))
                {
                    self.hand_on(segment, permit, &jobs).await?;
                }
            }
            documents += count;
            cx.counters.documents_read.add(count);
            cx.counters.bytes_read.add(bytes);
        }
        if let (Some(segment), Some(permit)) = (builder.finish(), permit) {
            self.hand_on(segment, permit, &jobs).await?;
        }
        Ok(documents)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.segments).acquire_owned().await;
        permit.map_err(|error| Error::internal("the segment budget was closed").caused_by(error))
    }

    async fn hand_on(
        self: &Arc<Self>,
        segment: Segment,
        permit: OwnedSemaphorePermit,
        jobs: &mpsc::Sender<Job>,
    ) -> Result<()> {
        let packers = Arc::clone(self);
        let job = tokio::task::spawn_blocking(move || Ok((packers.seal(segment)?, permit)));
        jobs.send(job)
            .await
            .map_err(|_closed| Error::internal("the writer stopped before the packer"))
    }

    /// Compresses and digests. Blocks for as long as that takes: about 20 ms for 8 MiB.
    fn seal(&self, segment: Segment) -> Result<PackedSegment> {
        let (documents, uncompressed_bytes) = (segment.documents, segment.body.len() as u64);
        let packed = |bytes: Bytes, digest| PackedSegment {
            bytes,
            documents,
            uncompressed_bytes,
            digest,
        };
        match (self.packing, self.compression) {
            (Packing::Plain, _) => Ok(packed(segment.body.into(), None)),
            (Packing::Sealed, Compression::None) => {
                let digest = Digest::of(&segment.body);
                Ok(packed(segment.body.into(), Some(digest)))
            }
            (Packing::Sealed, compression) => {
                let failed =
                    |error| Error::internal("could not compress a segment").caused_by(error);
                let idle = lock(&self.compressors).pop();
                let mut compressor = idle
                    .map_or_else(|| Compressor::new(compression), Ok)
                    .map_err(failed)?;
                let sealed = segment.seal(&mut compressor, Vec::new()).map_err(failed)?;
                lock(&self.compressors).push(compressor);
                lock(&self.buffers).push(segment.body);
                Ok(packed(sealed.stored.into(), Some(sealed.record.sha256)))
            }
        }
    }

    fn buffer(&self) -> Vec<u8> {
        let mut buffer = lock(&self.buffers).pop().unwrap_or_default();
        buffer.clear();
        buffer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
