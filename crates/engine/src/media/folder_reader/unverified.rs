//! Documents of a file that no manifest describes: a stream, of which only framing and the codec's own checksums
//! can be checked.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::Arc,
};

use futures::{StreamExt, stream, stream::BoxStream};
use rdump_format::{DocumentReader, decoder};
use rdump_storage::Store;
use tokio::{runtime::Handle, sync::mpsc};

use super::{DataFile, Documents};
use crate::{Error, Result};

/// How many bytes are read from the store at once.
const READ_BYTES: u64 = 256 << 10;
/// After how many bytes a run of documents is handed over.
const RUN_BYTES: usize = 512 << 10;
/// Room for one more document beyond that, unless it is a large one.
const ROOM_BYTES: usize = RUN_BYTES + (16 << 10);

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
            if let Err(error) = read_runs(input, &path, &file, &sender) {
                // A receiver that is gone wants no error either.
                let _ = sender.blocking_send(Err(error));
            }
        });
        stream::unfold((receiver, Some(task)), |(mut receiver, task)| async move {
            if let Some(run) = receiver.recv().await {
                return Some((run, (receiver, task)));
            }
            match task?.await {
                Ok(()) => None,
                Err(error) => Some((Err(Error::task("read documents", error)), (receiver, None))),
            }
        })
    };
    stream::once(start).flatten().boxed()
}

fn read_runs(
    input: StoreInput,
    path: &str,
    file: &DataFile,
    runs: &mpsc::Sender<Result<Documents>>,
) -> Result<()> {
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| {
        let storage = error.downcast::<rdump_storage::StorageError>();
        match storage {
            Ok(error) => Error::from(*error),
            Err(error) => Error::data(format!("{path} is damaged or cut short")).caused_by(error),
        }
    };
    let content = decoder(file.codec, input).map_err(|error| damaged(error.into()))?;
    let mut documents = DocumentReader::new(BufReader::with_capacity(64 << 10, content));
    let mut run = Documents::default();
    loop {
        if run.body.capacity() == 0 {
            run.body.reserve(ROOM_BYTES);
        }
        let read = documents.read_into(&mut run.body);
        let is_end = match read {
            Ok(read) => read.is_none(),
            Err(error) => {
                // What came before the damage is whole; a restore of it is known to be partial.
                send(runs, &mut run);
                return Err(damaged(error.into()));
            }
        };
        run.documents += u64::from(!is_end);
        let is_due = is_end || run.body.len() >= RUN_BYTES;
        let is_wanted = !is_due || send(runs, &mut run);
        if is_end || !is_wanted {
            return Ok(());
        }
    }
}

/// Hands a run over; false if nobody wants it.
fn send(runs: &mpsc::Sender<Result<Documents>>, run: &mut Documents) -> bool {
    let run = std::mem::take(run);
    run.documents == 0 || runs.blocking_send(Ok(run)).is_ok()
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
                .block_on(self.store.read(&self.path, self.next..end));
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
