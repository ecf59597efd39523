//! The documents of one collection and nothing else, read: what `mongorestore -` takes.

use std::{
    fmt,
    io::{BufReader, Cursor, Read},
    sync::{Mutex, PoisonError},
};

use futures::{FutureExt, StreamExt, future, stream, stream::BoxStream};
use rdump_format::{Codec, Namespace};
use tokio::sync::{mpsc, oneshot};

use super::{
    Access, Arrival, Documents, DumpContents, DumpData, DumpEntry, DumpReader,
    runs::{read_runs, received, unreadable},
};
use crate::{Error, Result};

/// How much is read at once from where the documents come from.
const READ_BYTES: usize = 256 << 10;

/// Reads documents from front to end, once, into one collection of which nothing else is known.
pub struct DocumentStreamReader {
    contents: DumpContents,
    input: Mutex<Option<Box<dyn Read + Send>>>,
}

impl DocumentStreamReader {
    /// Prepares to read the documents of `namespace` from `input`, which errors call `name`. Plain, gzip and zstd are told
    /// apart by the first bytes.
    ///
    /// Nothing is read until documents are wanted; then a thread does, until the input ends or what it waits for has
    /// come and nobody wants it.
    pub fn new(
        name: impl Into<String>,
        namespace: Namespace,
        input: impl Read + Send + 'static,
    ) -> Self {
        let data = DumpData {
            place: name.into(),
            buckets: false,
            stored_bytes: 0,
            uncompressed_bytes: None,
            documents: None,
        };
        let entry = DumpEntry {
            namespace,
            metadata: None,
            data: Some(data),
            damage: None,
            unlisted: false,
        };
        Self {
            contents: DumpContents {
                entries: vec![entry],
                ..DumpContents::default()
            },
            input: Mutex::new(Some(Box::new(input))),
        }
    }

    fn name(&self) -> String {
        let data = self.contents.entries.first();
        let data = data.and_then(|entry| entry.data.as_ref());
        data.map(|data| data.place.clone()).unwrap_or_default()
    }
}

impl DumpReader for DocumentStreamReader {
    fn contents(&self) -> &DumpContents {
        &self.contents
    }

    fn access(&self) -> Access<'_> {
        let input = self.input.lock();
        let input = input.unwrap_or_else(PoisonError::into_inner).take();
        let name = self.name();
        let arrival = input
            .map(|input| Arrival {
                entry: 0,
                documents: read(name, input),
            })
            .ok_or_else(|| Error::internal("a stream of documents can be read only once"));
        Access::Sequential(future::ready(arrival).into_stream().boxed())
    }
}

impl fmt::Debug for DocumentStreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentStreamReader")
            .field("contents", &self.contents)
            .finish_non_exhaustive()
    }
}

/// The documents of `input`, read by a thread that starts with the first look at them: the runtime waits for no thread of
/// ours, whose input may never end.
fn read(name: String, input: Box<dyn Read + Send>) -> BoxStream<'static, Result<Documents>> {
    let start = async move {
        // One run waits while one is filled and one is used.
        let (runs, receiver) = mpsc::channel(1);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("documents".to_owned());
        let started = thread.spawn(move || {
            let _unwanted = end.send(read_all(&name, input, &runs));
        });
        received(receiver, async move {
            started
                .map_err(|error| Error::internal("could not start a thread").caused_by(error))?;
            let panicked = |_| Error::internal("the thread that reads documents panicked");
            ended.await.map_err(panicked)?
        })
    };
    stream::once(start).flatten().boxed()
}

fn read_all(
    name: &str,
    mut input: Box<dyn Read + Send>,
    runs: &mpsc::Sender<Result<Documents>>,
) -> Result<()> {
    let mut start = Vec::new();
    // A pipe may give them one by one.
    let read = input
        .by_ref()
        .take(Codec::START_BYTES as u64)
        .read_to_end(&mut start);
    read.map_err(|error| unreadable(name, error))?;
    let codec = Codec::detect_documents(&start);
    let input = BufReader::with_capacity(READ_BYTES, Cursor::new(start).chain(input));
    read_runs(input, name, codec, runs)
}
