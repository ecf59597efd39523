//! Reading an object from front to end: what comes next is on its way while what came before is used.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, BufRead, Read},
    iter::Peekable,
    ops::Range,
    sync::Arc,
};

use bytes::{Buf, Bytes};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinSet,
};

use crate::{ObjectInfo, Result, StorageError, Store, Version};

/// How many ranges of one object are read at once.
const MOST_READS: usize = 4;
/// How much of an object is read first, in bytes; of what comes later, each time twice as much.
const FIRST_PIECE_BYTES: u64 = 256 << 10;

/// How much of a store's objects may be on its way before it is wanted.
///
/// A copy shares what is left with the original.
#[derive(Clone, Debug)]
pub struct ReadAhead {
    object_bytes: u64,
    free: Arc<Semaphore>,
}

impl ReadAhead {
    /// So many bytes of each object, and so many of all that are read at once, rounded down to whole KiB. One range of each
    /// object is read whatever is left.
    pub fn new(object_bytes: u64, all_bytes: u64) -> Self {
        let kibibytes = usize::try_from(all_bytes >> 10).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            object_bytes,
            free: Arc::new(Semaphore::new(kibibytes.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Takes so many bytes of what is left, if they are.
    fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).ok()?;
        Arc::clone(&self.free)
            .try_acquire_many_owned(kibibytes)
            .ok()
    }
}

/// The bytes of each of the ranges of an object, in their order; of this version alone, if one is given.
///
/// As much as [`Store::read_ahead`] allows is on its way before it is wanted. The stream ends after its first error, and has
/// those of [`Store::read`]. Dropping it ends what is on its way.
pub fn read_ahead(
    store: &Arc<dyn Store>,
    path: &str,
    version: Option<&Version>,
    ranges: impl IntoIterator<Item = Range<u64>, IntoIter: Send + 'static>,
) -> BoxStream<'static, Result<Bytes>> {
    let limits = store.read_ahead().cloned();
    let ahead = Ahead::new(store, path, version, ranges.into_iter(), limits);
    stream::try_unfold(ahead, |mut ahead| async move {
        let read = ahead.next().await?;
        Ok(read.map(|bytes| (bytes, ahead)))
    })
    .boxed()
}

/// An object being read.
struct Ahead<R: Iterator> {
    store: Arc<dyn Store>,
    path: String,
    version: Option<Version>,
    ranges: Peekable<R>,
    limits: Option<ReadAhead>,
    /// What is on its way, and how many bytes that is.
    reads: VecDeque<Pending>,
    bytes: u64,
    /// What reads: with it ends what is on its way.
    reading: JoinSet<()>,
}

/// A range on its way.
struct Pending {
    bytes: u64,
    read: oneshot::Receiver<Result<Bytes>>,
    /// Its part of what all objects share; none of an object's only read.
    _taken: Option<OwnedSemaphorePermit>,
}

impl<R: Iterator<Item = Range<u64>>> Ahead<R> {
    fn new(
        store: &Arc<dyn Store>,
        path: &str,
        version: Option<&Version>,
        ranges: R,
        limits: Option<ReadAhead>,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            path: path.to_owned(),
            version: version.cloned(),
            ranges: ranges.peekable(),
            limits,
            reads: VecDeque::new(),
            bytes: 0,
            reading: JoinSet::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        self.begin();
        let Some(pending) = self.reads.pop_front() else {
            // Nothing is read before it is wanted.
            return match self.ranges.next() {
                Some(range) => {
                    let read = self.store.read(&self.path, range, self.version.as_ref());
                    read.await.map(Some)
                }
                None => Ok(None),
            };
        };
        let read = pending.read.await.map_err(|error| StorageError::Io {
            action: "read",
            path: self.path.clone(),
            source: error.into(),
        })?;
        self.bytes -= pending.bytes;
        // While these are used.
        self.begin();
        read.map(Some)
    }

    /// Begins to read as much as may be on its way, and at least one range.
    fn begin(&mut self) {
        let Some(limits) = self.limits.clone() else {
            return;
        };
        while self.reads.len() < MOST_READS {
            let Some(range) = self.ranges.peek() else {
                return;
            };
            let bytes = range.end.saturating_sub(range.start);
            let taken = if self.reads.is_empty() {
                limits.take(bytes)
            } else if self.bytes.saturating_add(bytes) > limits.object_bytes {
                return;
            } else if let Some(taken) = limits.take(bytes) {
                Some(taken)
            } else {
                return;
            };
            let Some(range) = self.ranges.next() else {
                return;
            };
            let (store, path) = (Arc::clone(&self.store), self.path.clone());
            let version = self.version.clone();
            let (sender, read) = oneshot::channel();
            self.reading.spawn(async move {
                let read = store.read(&path, range, version.as_ref()).await;
                // Nobody waits for it if the stream was dropped.
                drop(sender.send(read));
            });
            while self.reading.try_join_next().is_some() {}
            self.bytes += bytes;
            self.reads.push_back(Pending {
                bytes,
                read,
                _taken: taken,
            });
        }
    }
}

/// A whole object, read from front to end by a thread that may block.
pub struct ObjectReader {
    runtime: Handle,
    pieces: BoxStream<'static, Result<Bytes>>,
    piece: Bytes,
}

impl ObjectReader {
    /// Prepares to read an object as it was found. Reads of it are waited for on `runtime`, whose threads must not be the one
    /// that reads.
    pub fn new(runtime: Handle, store: &Arc<dyn Store>, object: &ObjectInfo) -> Self {
        let ahead_bytes = store.read_ahead().map_or(0, |limits| limits.object_bytes);
        let most_bytes = (ahead_bytes / MOST_READS as u64).max(FIRST_PIECE_BYTES);
        let ranges = pieces(object.stored_bytes, most_bytes);
        Self {
            runtime,
            pieces: read_ahead(store, &object.path, object.version.as_ref(), ranges),
            piece: Bytes::new(),
        }
    }
}

/// An object of so many bytes in pieces, small ones first: the first bytes of many an object are all that is wanted.
fn pieces(end: u64, most_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let mut start = 0_u64;
    let mut bytes = FIRST_PIECE_BYTES;
    std::iter::from_fn(move || {
        let piece = start..end.min(start.saturating_add(bytes));
        start = piece.end;
        bytes = most_bytes.min(bytes.saturating_mul(2));
        (!piece.is_empty()).then_some(piece)
    })
}

impl BufRead for ObjectReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.pieces.next()) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        self.piece.advance(amount.min(self.piece.len()));
    }
}

impl Read for ObjectReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectReader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, PutIf};

    #[test]
    fn pieces_are_all_of_an_object_and_grow() {
        let of = |end| pieces(end, 1 << 20).collect::<Vec<_>>();
        assert!(of(0).is_empty());
        assert_eq!(of(5), vec![0_u64..5; 1]);
        let all = of(10 << 20);
        assert_eq!(all.first().unwrap(), &(0..256 << 10));
        assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(all.last().unwrap().end, 10 << 20);
        let most = all.iter().map(|piece| piece.end - piece.start).max();
        assert_eq!(most, Some(1 << 20));
    }

    #[test]
    fn what_is_taken_is_free_again_when_it_is_dropped() {
        let limits = ReadAhead::new(8 << 10, 16 << 10);
        let first = limits.clone().take(8 << 10).unwrap();
        let second = limits.take((7 << 10) + 1).unwrap();
        assert!(limits.take(1).is_none(), "all is taken");
        drop(first);
        assert!(limits.take(9 << 10).is_none());
        drop(second);
        assert!(limits.take(16 << 10).is_some());
        assert!(limits.take(u64::MAX).is_none(), "more than there is");
    }

    #[tokio::test]
    async fn objects_share_what_may_be_on_its_way_and_each_is_read_all_the_same() {
        let store = MemoryStore::new("ahead");
        let bytes: Vec<u8> = (0..64 << 10).map(|at: u32| at.to_le_bytes()[1]).collect();
        store
            .put("object", bytes.clone().into(), PutIf::Always)
            .await
            .unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let limits = ReadAhead::new(32 << 10, 56 << 10);
        let mut objects: Vec<_> = (0..4)
            .map(|_| {
                let ranges = (0..8).map(|at| at * (8 << 10)..(at + 1) * (8 << 10));
                Ahead::new(&store, "object", None, ranges, Some(limits.clone()))
            })
            .collect();
        for object in &mut objects {
            object.begin();
        }
        let on_their_way: Vec<_> = objects.iter().map(|object| object.reads.len()).collect();
        assert_eq!(on_their_way, [4, 3, 1, 1]);
        for mut object in objects {
            let mut read = Vec::new();
            while let Some(piece) = object.next().await.unwrap() {
                read.extend_from_slice(&piece);
            }
            assert_eq!(read, bytes);
        }
        assert_eq!(limits.free.available_permits(), 56);
    }
}
