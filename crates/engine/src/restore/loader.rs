//! The documents of one namespace, from the dump to the target.
//!
//! ```text
//! dump ─► runs of documents ─► batches (a blocking thread) ─► queue of 2 ─► workers ─► target
//! ```

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bson::{doc, oid::ObjectId};
use futures::{StreamExt, future, stream::BoxStream};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{
    insert_batch::{BatchBuilder, BatchLimits, InsertBatch, InsertHead},
    inserter::{BatchOutcome, Inserter},
    ledger::{MadeIds, Noting},
    plan::PlannedNamespace,
    run::Shared,
};
use crate::{
    Error, Event, Result,
    media::{Documents, Held},
};

/// Batches that wait for a worker.
const QUEUED_BATCHES: usize = 2;
/// After how many inserted bytes an event says how far it is.
const EVENT_BYTES: u64 = 8 << 20;
/// Messages about refused documents that are kept of one namespace.
const KEPT_MESSAGES: usize = 3;

/// What became of the documents of a namespace.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) documents: u64,
    /// How many of them may be there only once with others; what earlier runs inserted is not counted.
    pub(super) repeated_documents: u64,
    pub(super) failed_documents: u64,
    pub(super) messages: Vec<String>,
}

/// The documents of a namespace, and how they come.
pub(super) struct Incoming<'a> {
    pub(super) documents: BoxStream<'a, Result<Documents>>,
    /// Whether the next run may depend on what other namespaces do: nothing is kept back until it comes then.
    pub(super) sequential: bool,
}

/// Inserts the documents of a namespace; counts those that the run which is gone on with has inserted.
///
/// # Cancel safety
///
/// Dropping the future drops the connections whose replies are awaited; their batches may or may not be inserted.
pub(super) async fn load(
    shared: &Shared,
    planned: &PlannedNamespace,
    incoming: Incoming<'_>,
    noting: Option<Noting<'_>>,
) -> Result<Loaded> {
    let loader = Loader::new(shared, planned, noting)?;
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let receiver = AsyncMutex::new(receiver);
    let ordered = loader.inserter.ordered || planned.steps.capped;
    let workers = if ordered {
        1
    } else {
        shared.options.insertion_workers.get()
    };
    let workers = future::try_join_all((0..workers).map(|_| loader.work(&receiver)));
    let (read, _) =
        future::try_join(async { Ok(loader.read(incoming, sender).await) }, workers).await?;
    let read = read? + loader.before;
    let loaded = std::mem::take(&mut *lock(&loader.loaded));
    if read != loaded.documents + loaded.failed_documents
        || planned.documents.is_some_and(|documents| documents != read)
    {
        return Err(Error::internal(format!(
            "{read} documents were read, but {} inserted and {} refused",
            loaded.documents, loaded.failed_documents
        )));
    }
    Ok(loaded)
}

struct Loader<'a> {
    shared: &'a Shared,
    planned: &'a PlannedNamespace,
    inserter: Inserter,
    limits: BatchLimits,
    watch_timestamps: bool,
    noting: Option<Noting<'a>>,
    /// How many documents an earlier run has done with.
    before: u64,
    loaded: Mutex<Loaded>,
    inserted_bytes: AtomicU64,
}

/// A batch on its way to a worker.
struct Queued {
    batch: InsertBatch,
    held: Option<Held>,
    /// The segment that all its documents are of, if that is noted.
    segment: Option<u64>,
}

impl<'a> Loader<'a> {
    fn new(
        shared: &'a Shared,
        planned: &'a PlannedNamespace,
        noting: Option<Noting<'a>>,
    ) -> Result<Self> {
        let (options, server) = (&shared.options, &shared.deployment.server);
        let into = planned.inserted_into();
        let ordered = options.maintain_insertion_order;
        let capabilities = server.capabilities();
        let can_bypass = capabilities.zero_timestamps;
        let raw_data = planned.steps.insert_into.is_some() && capabilities.raw_data;
        let mut head = doc! {
            "insert": &into.collection, "ordered": ordered, "writeConcern": shared.write_concern.clone(),
        };
        if options.bypass_document_validation && planned.steps.insert_into.is_none() {
            head.insert("bypassDocumentValidation", true);
        }
        if can_bypass {
            head.insert("bypassEmptyTsReplacement", true);
        }
        if raw_data {
            head.insert("rawData", true);
        }
        let inserter = Inserter {
            cx: shared.cx.clone(),
            database: shared.deployment.database(&into.db),
            namespace: planned.namespace.clone(),
            collection: into.collection.clone(),
            head: InsertHead::new(&head)?,
            ordered,
            raw_data,
            write_concern: shared.write_concern.clone(),
            max_retries: options.max_retries,
            may_be_there: options.resume,
            may_repeat: planned.steps.may_repeat,
            mixed_schema: AtomicBool::new(false),
        };
        let limits = BatchLimits {
            documents: options
                .batch_documents
                .get()
                .min(server.max_batch_documents),
            bytes: usize::try_from(options.batch_bytes).unwrap_or(usize::MAX),
        };
        let before = planned.steps.progress.as_ref();
        let (documents, failed_documents) =
            before.map_or((0, 0), |before| (before.documents, before.failed));
        let loaded = Loaded {
            documents,
            failed_documents,
            ..Loaded::default()
        };
        Ok(Self {
            noting,
            before: documents + failed_documents,
            shared,
            planned,
            inserter,
            limits,
            watch_timestamps: !can_bypass,
            loaded: Mutex::new(loaded),
            inserted_bytes: AtomicU64::new(0),
        })
    }

    /// Makes batches of the documents, and returns how many documents there were.
    ///
    /// What came before damage is whole, and goes into batches too.
    async fn read(&self, incoming: Incoming<'_>, batches: mpsc::Sender<Queued>) -> Result<u64> {
        let builder = BatchBuilder::new(
            self.inserter.head.clone(),
            self.limits,
            self.watch_timestamps,
        );
        let spare = Arc::clone(&self.shared.spare_buffers);
        let validate = self.shared.options.validate_documents;
        let mut packing = Packing {
            builder,
            batches,
            spare,
            validate,
            by_run: incoming.sequential || self.noting.is_some(),
            ids: self.noting.as_ref().map(Noting::ids),
            offset: 0,
        };
        let mut runs = incoming.documents;
        let mut documents = 0;
        let ended = loop {
            let run = match runs.next().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(run)) => run,
            };
            self.shared.cx.counters.documents_read.add(run.documents);
            self.shared
                .cx
                .counters
                .bytes_read
                .add(run.body.len() as u64);
            documents += run.documents;
            if let (Some(noting), Some(segment)) = (&self.noting, run.segment) {
                noting.open(segment, run.documents);
            }
            let packed = tokio::task::spawn_blocking(move || (packing.push_all(&run), packing));
            let (pushed, back) = packed
                .await
                .map_err(|error| Error::task("build batches", error))?;
            packing = back;
            if pushed.is_err() {
                break pushed;
            }
        };
        if let Some(batch) = packing.builder.finish() {
            packing
                .batches
                .send(Queued {
                    batch,
                    held: None,
                    segment: None,
                })
                .await
                .map_err(|_gone| Error::internal("no worker is left"))?;
        }
        ended.map(|()| documents)
    }

    /// Inserts batches until there are no more.
    async fn work(&self, batches: &AsyncMutex<mpsc::Receiver<Queued>>) -> Result<()> {
        loop {
            let queued = batches.lock().await.recv().await;
            let Some(Queued {
                batch,
                held,
                segment,
            }) = queued
            else {
                return Ok(());
            };
            let outcome = self.inserter.insert(&batch).await;
            lock(&self.shared.spare_buffers).push(batch.into_buffer());
            drop(held);
            let (documents, failed) = (outcome.documents, outcome.failed_documents);
            self.take_in(outcome)?;
            if let (Some(noting), Some(segment)) = (&self.noting, segment) {
                noting.settle(segment, documents, failed).await?;
            }
        }
    }

    fn take_in(&self, outcome: BatchOutcome) -> Result<()> {
        let counters = &self.shared.cx.counters;
        counters.documents_written.add(outcome.documents);
        counters.bytes_written.add(outcome.uncompressed_bytes);
        counters.documents_failed.add(outcome.failed_documents);
        let mut loaded = lock(&self.loaded);
        loaded.documents += outcome.documents;
        loaded.repeated_documents += outcome.repeated_documents;
        loaded.failed_documents += outcome.failed_documents;
        let room = KEPT_MESSAGES.saturating_sub(loaded.messages.len());
        loaded
            .messages
            .extend(outcome.messages.iter().take(room).cloned());
        let documents = loaded.documents;
        drop(loaded);

        let before = self
            .inserted_bytes
            .fetch_add(outcome.uncompressed_bytes, Ordering::Relaxed);
        let uncompressed_bytes = before + outcome.uncompressed_bytes;
        if before / EVENT_BYTES != uncompressed_bytes / EVENT_BYTES {
            let namespace = self.planned.namespace.clone();
            self.shared.cx.emit(Event::NamespaceAdvanced {
                namespace,
                documents,
                uncompressed_bytes,
            });
        }
        if let Some(error) = outcome.error {
            return Err(error);
        }
        let options = &self.shared.options;
        if outcome.failed_documents > 0
            && (options.stop_on_error || options.maintain_insertion_order)
        {
            let message = outcome.messages.first().cloned().unwrap_or_default();
            return Err(
                Error::conflict(format!("the server refused a document: {message}"))
                    .with_hint("the run stopped at this error as asked; what was inserted stays"),
            );
        }
        Ok(())
    }
}

/// What turns runs of documents into batches, on a thread that may block.
struct Packing {
    builder: BatchBuilder,
    batches: mpsc::Sender<Queued>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    validate: bool,
    /// Whether nothing of a run is kept back until the next one comes.
    by_run: bool,
    ids: Option<MadeIds>,
    /// Where the run begins in the uncompressed data.
    offset: u64,
}

impl Packing {
    /// Hands over every batch that gets full.
    fn push_all(&mut self, run: &Documents) -> Result<()> {
        let mut offset = self.offset;
        for (number, document) in (0..).zip(rdump_format::documents(&run.body)) {
            let document = document.map_err(|error| {
                Error::data("the dump does not hold whole documents").caused_by(error)
            })?;
            if self.validate {
                rdump_format::validate(document).map_err(|error| {
                    Error::data(format!(
                        "the document at byte {offset} of the uncompressed data is not sound"
                    ))
                    .caused_by(error)
                })?;
            }
            if self.builder.is_full_for(document) {
                self.hand_over(run)?;
            }
            let (spare, ids) = (&self.spare, self.ids.zip(run.segment));
            let made = || ids.map_or_else(ObjectId::new, |(ids, segment)| ids.of(segment, number));
            let spare = || lock(spare).pop().unwrap_or_default();
            self.builder.push(document, spare, made);
            offset += document.len() as u64;
        }
        self.offset = offset;
        if self.by_run {
            self.hand_over(run)?;
        }
        Ok(())
    }

    /// Hands over the documents that were pushed and not handed over yet.
    fn hand_over(&mut self, run: &Documents) -> Result<()> {
        let Some(batch) = self.builder.finish() else {
            return Ok(());
        };
        let held = run.held.clone();
        let sent = self.batches.blocking_send(Queued {
            batch,
            held,
            segment: run.segment,
        });
        // Nobody hears this: when the workers are gone, so is the run.
        sent.map_err(|_gone| Error::internal("no worker is left"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
