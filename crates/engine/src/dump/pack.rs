//! Packing documents into segments.

use std::sync::{Arc, Mutex, PoisonError};

use bson::RawDocument;
use bytes::Bytes;
use rdump_format::{
    Compression, Compressor, Crc64, Namespace, Segment, SegmentBuilder, repository::IdRange,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use super::{DumpOptions, limiter::Limiter};
use crate::{
    Error, Event, Result,
    context::RunContext,
    media::{Documents, NamespaceWriter, PackedSegment, Packing, Reached, Written},
};

/// The largest segment that is not compressed, in bytes: more would cost memory and gain nothing.
const LARGEST_PLAIN_SEGMENT_BYTES: u64 = 2 << 20;

/// A segment being packed off the network tasks, and the permit that bounds how many there are.
pub(crate) type Job = JoinHandle<Result<(PackedSegment, OwnedSemaphorePermit)>>;

/// Documents as they came.
pub(crate) trait Run {
    /// How many bytes they take.
    fn bytes(&self) -> u64;

    /// Each of them.
    fn documents(&self) -> impl Iterator<Item = Result<&[u8]>>;
}

impl Run for Documents {
    fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    fn documents(&self) -> impl Iterator<Item = Result<&[u8]>> {
        rdump_format::documents(&self.body).map(|document| {
            document.map_err(|error| Error::data("a document is malformed").caused_by(error))
        })
    }
}

/// What the packers of a run share: buffers, compressors, and the bound on segments in memory.
#[derive(Debug)]
pub(crate) struct Packers {
    packing: Packing,
    compression: Compression,
    segment_bytes: usize,
    /// One permit for each segment between its first document and its being stored.
    segments: Arc<Semaphore>,
    /// Buffers of segments that were packed or stored, to be filled again. Without them the allocator would
    /// keep a few for each thread that ever had one.
    bodies: Mutex<Vec<Vec<u8>>>,
    stored: Mutex<Vec<Vec<u8>>>,
    compressors: Mutex<Vec<Compressor>>,
    limiter: Limiter,
}

impl Packers {
    pub(crate) fn new(packing: Packing, options: &DumpOptions, segments: usize) -> Self {
        let segment_bytes = match options.compression {
            Compression::None => options.segment_bytes.min(LARGEST_PLAIN_SEGMENT_BYTES),
            _ => options.segment_bytes,
        };
        let segment_bytes = usize::try_from(segment_bytes).unwrap_or(usize::MAX);
        let limiter = Limiter::new(options.limit_bytes_per_second);
        let compression = options.compression;
        let segments = Arc::new(Semaphore::new(segments));
        Self {
            packing,
            compression,
            segment_bytes,
            segments,
            bodies: Mutex::default(),
            stored: Mutex::default(),
            compressors: Mutex::default(),
            limiter,
        }
    }

    /// Packs batches into segments, each of which is handed on as a job; returns how many documents came. They are those of a
    /// range of `_id` in their order, if that is told.
    pub(crate) async fn pack(
        self: Arc<Self>,
        cx: RunContext,
        range: Option<usize>,
        mut batches: mpsc::Receiver<impl Run>,
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
                    builder.replace_buffer(self.body());
                }
                bytes += document.len() as u64;
                count += 1;
                let sealed = builder.push(document).map_err(|error| {
                    Error::data("the server sent a malformed document").caused_by(error)
                })?;
                if let (Some(segment), Some(permit)) =
                    (sealed, permit.take_if(|_| builder.is_empty()))
                {
                    self.hand_on(segment, range, permit, &jobs).await?;
                }
            }
            documents += count;
            cx.counters.documents_read.add(count);
            cx.counters.bytes_read.add(bytes);
        }
        if let (Some(segment), Some(permit)) = (builder.finish(), permit) {
            self.hand_on(segment, range, permit, &jobs).await?;
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
        range: Option<usize>,
        permit: OwnedSemaphorePermit,
        jobs: &mpsc::Sender<Job>,
    ) -> Result<()> {
        let packers = Arc::clone(self);
        let job = tokio::task::spawn_blocking(move || Ok((packers.seal(segment, range)?, permit)));
        jobs.send(job)
            .await
            .map_err(|_closed| Error::internal("the writer stopped before the packer"))
    }

    /// Compresses. Blocks for as long as that takes: about 20 ms for 8 MiB.
    fn seal(&self, segment: Segment, range: Option<usize>) -> Result<PackedSegment> {
        let (documents, uncompressed_bytes) = (segment.documents, segment.body.len() as u64);
        let reached = range.and_then(|range| reached(&segment, range));
        let checksum = match self.packing {
            Packing::Checksummed => Crc64::of(&segment.body),
            Packing::Sealed | Packing::Plain => Crc64::new(),
        };
        let packed = |bytes: Bytes| PackedSegment {
            bytes,
            documents,
            uncompressed_bytes,
            checksum: checksum.clone(),
            reached: reached.clone(),
        };
        match (self.packing, self.compression) {
            (Packing::Plain, _) | (_, Compression::None) => Ok(packed(segment.body.into())),
            (Packing::Sealed | Packing::Checksummed, compression) => {
                let failed =
                    |error| Error::internal("could not compress a segment").caused_by(error);
                let idle = lock(&self.compressors).pop();
                let mut compressor = idle
                    .map_or_else(|| Compressor::new(compression), Ok)
                    .map_err(failed)?;
                let out = lock(&self.stored).pop().unwrap_or_default();
                let stored = segment.seal(&mut compressor, out).map_err(failed)?;
                lock(&self.compressors).push(compressor);
                lock(&self.bodies).push(segment.body);
                Ok(packed(stored.into()))
            }
        }
    }

    fn body(&self) -> Vec<u8> {
        let pooled = lock(&self.bodies).pop();
        // Whole from the start: growing by doubling would leave holes as large as itself.
        pooled.unwrap_or_else(|| Vec::with_capacity(self.segment_bytes.saturating_add(1 << 20)))
    }

    /// Stores what was packed of a namespace, in order; counts in `progress` how far it came. Gives the writer back, which must
    /// be told to finish only where it is known that all was read: what is packed ends too when a reader fails.
    pub(crate) async fn store(
        &self,
        cx: &RunContext,
        namespace: &Namespace,
        mut writer: Box<dyn NamespaceWriter>,
        mut packed: mpsc::Receiver<Job>,
        progress: &mut Written,
    ) -> Result<Box<dyn NamespaceWriter>> {
        while let Some(job) = packed.recv().await {
            let (segment, permit) = job.await.map_err(|error| Error::task("pack", error))??;
            progress.add(&segment);
            let counters = &cx.counters;
            counters.documents_written.add(segment.documents);
            counters.bytes_written.add(segment.bytes.len() as u64);
            let bytes = segment.bytes.clone();
            writer.write(segment).await?;
            self.recycle(bytes);
            drop(permit);
            cx.emit(Event::NamespaceAdvanced {
                namespace: namespace.clone(),
                documents: progress.documents,
                uncompressed_bytes: progress.uncompressed_bytes,
            });
        }
        Ok(writer)
    }

    /// Takes back the buffer of a segment that was stored, if the medium has let go of it.
    fn recycle(&self, bytes: Bytes) {
        if let Ok(buffer) = bytes.try_into_mut() {
            let as_packed = self.packing == Packing::Plain || self.compression == Compression::None;
            let pool = if as_packed {
                &self.bodies
            } else {
                &self.stored
            };
            lock(pool).push(buffer.into());
        }
    }
}

/// How far a range is read with a segment.
fn reached(segment: &Segment, range: usize) -> Option<Reached> {
    let last = rdump_format::documents(&segment.body).last()?.ok()?;
    let id = IdRange::id_of(RawDocument::from_bytes(last).ok()?)?;
    Some(Reached { range, id })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures::{FutureExt, future::BoxFuture};

    use super::*;

    /// Says whether it was told that a namespace is whole.
    #[derive(Debug)]
    struct Ending(Arc<AtomicBool>);

    impl NamespaceWriter for Ending {
        fn write(&mut self, _segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
            async { Ok(()) }.boxed()
        }

        fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
            self.0.store(true, Ordering::Relaxed);
            async { Ok(Written::default()) }.boxed()
        }
    }

    #[tokio::test]
    async fn a_reader_that_fails_does_not_end_its_namespace() {
        let packers = Arc::new(Packers::new(Packing::Sealed, &DumpOptions::default(), 1));
        let ended = Arc::new(AtomicBool::new(false));
        let writer = Box::new(Ending(Arc::clone(&ended)));
        let (cx, namespace) = (RunContext::default(), Namespace::new("shop", "orders"));
        let (jobs, packed) = mpsc::channel(1);
        // As it is when the task of the reader has ended, however it did.
        drop(jobs);
        let mut progress = Written::default();
        let stored = packers.store(&cx, &namespace, writer, packed, &mut progress);
        let writer = stored.await.unwrap();
        assert!(!ended.load(Ordering::Relaxed));
        writer.finish().await.unwrap();
        assert!(ended.load(Ordering::Relaxed));
    }
}
