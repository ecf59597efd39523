//! What a thread hands over that takes a stream apart: namespaces as they come, and their documents.
//!
//! Everything that is handed over and not used up yet counts against [`BUDGET_BYTES`], whatever the number of namespaces.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{FutureExt, StreamExt, future, stream};
use tokio::sync::{Semaphore, mpsc};

use super::{Access, Arrival, ArrivalStream, Documents};
use crate::{Error, Result};

/// The most bytes of documents that have been read and are not used up.
const BUDGET_BYTES: usize = 32 << 20;

/// The end of the thread.
pub(crate) struct Handover {
    name: String,
    arrived: mpsc::Sender<Result<Arrival>>,
    /// The namespaces that have begun and not ended; `None` for those that nobody wants.
    open: HashMap<usize, Option<mpsc::Sender<Result<Documents>>>>,
    /// Which of the namespaces is the oplog, once that is known.
    oplog: Option<usize>,
    budget: Arc<Semaphore>,
}

/// Why the thread stops.
pub(crate) enum Stop {
    Failed(Error),
    /// Nobody wants anything any more.
    Unwanted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The other end: what arrives can be taken once.
pub(crate) struct Arriving(Mutex<Option<Arrivals>>);

struct Arrivals {
    arrivals: mpsc::Receiver<Result<Arrival>>,
    /// Whether the thread came to the end of the stream.
    ended: Arc<AtomicBool>,
}

/// Starts a thread that takes a stream apart which errors call `name`. It ends with its work, or when the other end is gone
/// and what it waits for has come.
pub(crate) fn start(name: &str, work: impl FnOnce(Handover) + Send + 'static) -> Result<Arriving> {
    let (arrived, arrivals) = mpsc::channel(1);
    let ended = Arc::new(AtomicBool::new(false));
    let has_ended = Arc::clone(&ended);
    // Who sees no more arrivals has to see that this is the end.
    let last = arrived.clone();
    let handover = Handover {
        name: name.to_owned(),
        arrived,
        open: HashMap::new(),
        oplog: None,
        budget: Arc::new(Semaphore::new(BUDGET_BYTES)),
    };
    let thread = std::thread::Builder::new().name("stream".to_owned());
    thread
        .spawn(move || {
            work(handover);
            has_ended.store(true, Ordering::Release);
            drop(last);
        })
        .map_err(|error| Error::internal("could not start a thread").caused_by(error))?;
    Ok(Arriving(Mutex::new(Some(Arrivals { arrivals, ended }))))
}

/// What is wrong where the thread says nothing more, and has not ended its work.
pub(crate) fn gave_up(name: &str) -> Error {
    Error::internal(format!(
        "the thread that reads {name} ended before its time"
    ))
}

impl Handover {
    /// Says which of the namespaces is the oplog, if there is one.
    pub(crate) fn set_oplog(&mut self, oplog: Option<usize>) {
        self.oplog = oplog;
    }

    /// Says that a namespace comes, the first time that it does.
    pub(crate) fn begin(&mut self, entry: usize) -> Result<(), Stop> {
        if self.open.contains_key(&entry) {
            return Ok(());
        }
        // It is replayed when the rest is there, and nobody takes its entries before.
        let is_last = match self.oplog {
            Some(oplog) if oplog == entry => self.open.is_empty(),
            Some(oplog) => !self.open.contains_key(&oplog),
            None => true,
        };
        if !is_last {
            return Err(Stop::Failed(Error::data(format!(
                "the oplog in {} begins before everything else has ended",
                self.name
            ))));
        }
        let (sender, receiver) = mpsc::channel(1);
        let documents = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|run| (run, receiver))
        });
        let arrival = Arrival {
            entry,
            documents: documents.boxed(),
        };
        let sent = self.arrived.blocking_send(Ok(arrival));
        sent.map_err(|_gone| Stop::Unwanted)?;
        self.open.insert(entry, Some(sender));
        Ok(())
    }

    /// Whether anybody wants documents of a namespace that has begun.
    pub(crate) fn wants(&self, entry: usize) -> Result<bool, Stop> {
        let documents = self.open.get(&entry).and_then(Option::as_ref);
        match documents.is_some_and(|documents| !documents.is_closed()) {
            false if self.arrived.is_closed() => Err(Stop::Unwanted),
            is_wanted => Ok(is_wanted),
        }
    }

    /// Hands over documents of a namespace that has begun, once there is room for them.
    pub(crate) fn give(&mut self, entry: usize, mut run: Documents) -> Result<(), Stop> {
        let Some(Some(documents)) = self.open.get(&entry) else {
            return Ok(());
        };
        let bytes = u32::try_from(run.body.len().min(BUDGET_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.budget).acquire_many_owned(bytes);
        // It is never closed.
        if let Ok(held) = futures::executor::block_on(room) {
            run.held = Some(Arc::new(held));
        }
        if documents.blocking_send(Ok(run)).is_err() {
            if self.arrived.is_closed() {
                return Err(Stop::Unwanted);
            }
            self.open.insert(entry, None);
        }
        Ok(())
    }

    /// Says that all documents of a namespace were handed over.
    pub(crate) fn end(&mut self, entry: usize) {
        self.open.remove(&entry);
    }

    /// Tells everybody who waits for something that it will not come.
    pub(crate) fn fail(self, error: Error) {
        for documents in self.open.into_values().flatten() {
            let _ = documents.blocking_send(Err(error.clone()));
        }
        let _ = self.arrived.blocking_send(Err(error));
    }
}

impl Arriving {
    /// What comes, of `name`.
    pub(crate) fn access(&self, name: &'static str) -> Access<'static> {
        let mut arriving = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Access::Sequential(match arriving.take() {
            Some(arrivals) => arrivals.stream(name),
            None => {
                let error = Error::internal(format!("{name} can be read only once"));
                future::ready(Err(error)).into_stream().boxed()
            }
        })
    }
}

impl Arrivals {
    fn stream(self, name: &'static str) -> ArrivalStream<'static> {
        stream::unfold(Some(self), move |this| async move {
            let mut this = this?;
            match this.arrivals.recv().await {
                Some(Ok(arrival)) => Some((Ok(arrival), Some(this))),
                Some(Err(error)) => Some((Err(error), None)),
                None if this.ended.load(Ordering::Acquire) => None,
                None => Some((Err(gave_up(name)), None)),
            }
        })
        .boxed()
    }
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arriving").finish_non_exhaustive()
    }
}
