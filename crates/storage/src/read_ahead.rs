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
use tokio::{runtime::Handle, sync::oneshot, task::JoinSet};

use crate::{ObjectInfo, Result, StorageError, Store, Version};

/// How many ranges of one object are read at once.
const MOST_READS: usize = 4;
/// How much of an object is read first, in bytes; of what comes later, each time twice as much.
const FIRST_PIECE_BYTES: u64 = 256 << 10;

/// The bytes of each of the ranges of an object, in their order; of this version alone, if one is given.
///
/// As much as [`Store::read_ahead_bytes`] is on its way before it is wanted. The stream ends after its first error, and has
/// those of [`Store::read`]. Dropping it ends what is on its way.
pub fn read_ahead(
    store: &Arc<dyn Store>,
    path: &str,
    version: Option<&Version>,
    ranges: impl IntoIterator<Item = Range<u64>, IntoIter: Send + 'static>,
) -> BoxStream<'static, Result<Bytes>> {
    let ahead = Ahead {
        store: Arc::clone(store),
        path: path.to_owned(),
        version: version.cloned(),
        ranges: ranges.into_iter().peekable(),
        reads: VecDeque::new(),
        bytes: 0,
        reading: JoinSet::new(),
    };
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
    /// What is on its way, and how much that is.
    reads: VecDeque<(u64, oneshot::Receiver<Result<Bytes>>)>,
    bytes: u64,
    /// What reads: with it ends what is on its way.
    reading: JoinSet<()>,
}

impl<R: Iterator<Item = Range<u64>>> Ahead<R> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        self.begin(self.store.read_ahead_bytes());
        let Some((bytes, read)) = self.reads.pop_front() else {
            // Nothing is read before it is wanted.
            return match self.ranges.next() {
                Some(range) => {
                    let read = self.store.read(&self.path, range, self.version.as_ref());
                    read.await.map(Some)
                }
                None => Ok(None),
            };
        };
        let read = read.await.map_err(|error| StorageError::Io {
            action: "read",
            path: self.path.clone(),
            source: error.into(),
        })?;
        self.bytes -= bytes;
        // While these are used.
        self.begin(self.store.read_ahead_bytes());
        read.map(Some)
    }

    /// Begins to read as much as may be on its way, and at least one range.
    fn begin(&mut self, most_bytes: u64) {
        while most_bytes > 0 && self.reads.len() < MOST_READS {
            let fits = |range: &Range<u64>| {
                let bytes = range.end.saturating_sub(range.start);
                self.reads.is_empty() || self.bytes.saturating_add(bytes) <= most_bytes
            };
            let Some(range) = self.ranges.next_if(fits) else {
                return;
            };
            let bytes = range.end.saturating_sub(range.start);
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
            self.reads.push_back((bytes, read));
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
        let most_bytes = (store.read_ahead_bytes() / MOST_READS as u64).max(FIRST_PIECE_BYTES);
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
}
