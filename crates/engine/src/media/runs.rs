//! Documents of a stream that nothing describes, in runs: only framing and the codec's own checksums can be checked.

use std::{
    future::Future,
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use rdump_format::{Codec, DocumentReader, FrameError, decoder};
use rdump_storage::StorageError;
use tokio::sync::mpsc;

use super::Documents;
use crate::{Error, ErrorKind, Result};

/// After how many bytes a run of documents is handed over.
const RUN_BYTES: usize = 512 << 10;
/// Room for one more document beyond that, unless it is a large one.
const ROOM_BYTES: usize = RUN_BYTES + (16 << 10);

/// Hands over the documents of `input`, which errors call `name`, until there are no more or nobody wants them.
///
/// Blocks. What comes before damage is handed over; the damage is the error that is returned.
pub(super) fn read_runs(
    input: impl BufRead + Send,
    name: &str,
    codec: Codec,
    runs: &mpsc::Sender<Result<Documents>>,
) -> Result<()> {
    let (input, watch) = Watched::new(input);
    let content = decoder(codec, input).map_err(|error| damaged(name).caused_by(error))?;
    let mut documents = DocumentReader::new(BufReader::with_capacity(64 << 10, content));
    let mut run = Documents::default();
    loop {
        if run.body.capacity() == 0 {
            run.body.reserve(ROOM_BYTES);
        }
        let is_end = match documents.read_into(&mut run.body) {
            Ok(read) => read.is_none(),
            Err(error) => {
                // What came before the damage is whole; a restore of it is known to be partial.
                send(runs, &mut run);
                return Err(match error {
                    FrameError::Read { source, .. } => watch.error(name, source),
                    error => damaged(name).caused_by(error),
                });
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

/// What is received, and then the error with which the work of the sender `ended`, if it is one.
pub(super) fn received(
    runs: mpsc::Receiver<Result<Documents>>,
    ended: impl Future<Output = Result<()>> + Send + 'static,
) -> BoxStream<'static, Result<Documents>> {
    let received = stream::unfold(runs, |mut runs| async move {
        runs.recv().await.map(|run| (run, runs))
    });
    let error = ended
        .into_stream()
        .filter_map(|ended| std::future::ready(ended.err().map(Err)));
    received.chain(error).boxed()
}

/// What a decompressor reads, and what came of it: decompressors tell of damage by the same type as the system of a
/// failed read.
pub(super) struct Watched<R> {
    input: R,
    watch: Watch,
}

/// What came of reading the input of a decompressor.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Reads>);

#[derive(Default)]
struct Reads {
    /// How many bytes the decompressor has taken.
    taken_bytes: AtomicU64,
    /// How many it was shown when it last looked.
    shown_bytes: AtomicU64,
    failed: AtomicBool,
}

/// What a decompressor says of bytes that are not sound.
#[derive(Debug, thiserror::Error)]
#[error("decompressing failed between bytes {first} and {last} of what is compressed")]
struct Undecompressed {
    first: u64,
    last: u64,
    source: io::Error,
}

impl<R> Watched<R> {
    pub(super) fn new(input: R) -> (Self, Watch) {
        let watch = Watch::default();
        let this = Self {
            input,
            watch: watch.clone(),
        };
        (this, watch)
    }
}

impl<R: BufRead> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer);
        let read = read.inspect_err(|error| self.watch.note(error))?;
        self.watch.0.take(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let watch = &self.watch;
        let shown = self.input.fill_buf();
        let shown = shown.inspect_err(|error| watch.note(error))?;
        let taken = watch.0.taken_bytes.load(Ordering::Relaxed);
        let shown_bytes = &watch.0.shown_bytes;
        shown_bytes.store(taken + shown.len() as u64, Ordering::Relaxed);
        Ok(shown)
    }

    fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.watch.0.take(bytes);
    }
}

impl Reads {
    fn take(&self, bytes: usize) {
        self.taken_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Watch {
    fn note(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::Interrupted {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }

    /// Why reading `name` through a decompressor failed.
    pub(super) fn error(&self, name: &str, error: io::Error) -> Error {
        if self.0.failed.load(Ordering::Relaxed) {
            return unreadable(name, error);
        }
        damaged(name).caused_by(Undecompressed {
            first: self.0.taken_bytes.load(Ordering::Relaxed),
            last: self.0.shown_bytes.load(Ordering::Relaxed),
            source: error,
        })
    }
}

/// Why reading `name` failed.
pub(crate) fn unreadable(name: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            damaged(name).caused_by(error)
        }
        _ => match error.downcast::<StorageError>() {
            Ok(error) => error.into(),
            Err(error) => Error::new(ErrorKind::Unavailable, format!("could not read {name}"))
                .caused_by(error),
        },
    }
}

fn damaged(name: &str) -> Error {
    Error::data(format!("{name} is damaged or cut short"))
}
