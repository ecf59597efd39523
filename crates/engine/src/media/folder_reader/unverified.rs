//! Documents of a file that no manifest describes: a stream from front to end.

use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use futures::{StreamExt, stream, stream::BoxStream};
use rdump_storage::Store;
use tokio::{runtime::Handle, sync::mpsc};

use super::{DataFile, Documents};
use crate::{Error, Result, media::runs};

/// How many bytes are read from the store at once.
const READ_BYTES: u64 = 256 << 10;

pub(super) fn read(
    store: &Arc<dyn Store>,
    path: &str,
    file: &DataFile,
) -> BoxStream<'static, Result<Documents>> {
    let (store, path, file) = (Arc::clone(store), path.to_owned(), file.clone());
    let start = async move {
        // One run waits while one is filled and one is used.
        let (sender, receiver) = mpsc::channel(1);
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || {
            let input = StoreInput {
                runtime,
                store,
                path: path.clone(),
                end: file.stored_bytes,
                next: 0,
                bytes: bytes::Bytes::new(),
            };
            runs::read_runs(input, &path, file.codec, &sender)
        });
        runs::received(receiver, async move {
            task.await
                .unwrap_or_else(|error| Err(Error::task("read documents", error)))
        })
    };
    stream::once(start).flatten().boxed()
}

/// An object of a store, read from the front, on a thread that may block.
#[derive(Debug)]
struct StoreInput {
    runtime: Handle,
    store: Arc<dyn Store>,
    path: String,
    end: u64,
    next: u64,
    bytes: bytes::Bytes,
}

impl BufRead for StoreInput {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes.is_empty() && self.next < self.end {
            let end = self.end.min(self.next.saturating_add(READ_BYTES));
            let read = self
                .runtime
                .block_on(self.store.read(&self.path, self.next..end, None));
            self.bytes = read.map_err(io::Error::other)?;
            self.next = end;
        }
        Ok(&self.bytes)
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.bytes.len());
        bytes::Buf::advance(&mut self.bytes, amount);
    }
}

impl Read for StoreInput {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..amount), available.get(..amount)) {
            to.copy_from_slice(from);
        }
        self.consume(amount);
        Ok(amount)
    }
}
