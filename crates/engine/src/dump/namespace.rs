//! Dumping the namespaces of a plan, several at once.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bson::{RawDocumentBuf, Timestamp, cstr, doc};
use futures::{TryFutureExt, future};
use mongodb::options::{ReadConcernLevel, SelectionCriteria};
use rdump_format::repository::IdRange;
use rdump_oplog::OpTime;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    Dump, DumpOptions, DumpPlan, DumpedNamespace, DumpedOplog,
    cursor::{Query, ReadError, ReadFields, batch_bytes, batch_documents},
    moment::Moment,
    oplog::{self, PlannedOplog, Tail},
    pack::{Job, Packers},
    partition,
    plan::PlannedNamespace,
    stream_tail::StreamTail,
};
use crate::{
    Error, ErrorKind, Event, Result,
    catalog::Catalog,
    change_stream, command,
    connect::Deployment,
    context::RunContext,
    media::{DumpWriter, Kept, NamespaceWriter, Written},
    retry::{Retries, patiently},
};

/// From how many documents on a collection is worth partitioning.
const PARTITION_DOCUMENTS: u64 = 1000;

/// How often the server is asked for an answer; the first may take longer, over a new connection.
const PINGS: usize = 3;

/// What the tasks of a run share.
#[derive(Debug)]
struct Shared {
    cx: RunContext,
    deployment: Deployment,
    writer: Arc<dyn DumpWriter>,
    options: DumpOptions,
    from: SelectionCriteria,
    read_concern: Option<RawDocumentBuf>,
    moment: Option<Arc<Moment>>,
    /// Whether the oplog is captured meanwhile.
    captures: bool,
    not_before: Option<OpTime>,
    batch_bytes: u64,
    packers: Arc<Packers>,
}

/// Dumps the data of every namespace of the plan, and the oplog of the meantime if that is asked for.
///
/// # Cancel safety
///
/// Dropping the future ends all tasks; what they were writing is discarded.
pub(super) async fn dump_all(
    dump: &Dump,
    plan: &DumpPlan,
) -> Result<(Vec<DumpedNamespace>, Option<DumpedOplog>)> {
    let options = dump.options.clone();
    let read_concern = read_concern(&dump.source.0, plan)?;
    let cursors = options
        .parallel_collections
        .get()
        .saturating_mul(options.partitions.get());
    // At least one more, and as many as there are cores, so that packing does not hold up reading.
    let idle = crate::default_parallelism().get().saturating_sub(cursors);
    let segments = cursors.saturating_add(idle.max(1) + usize::from(plan.oplog.is_some()));
    let shared = Arc::new(Shared {
        cx: dump.cx.clone(),
        deployment: dump.source.0.clone(),
        writer: Arc::clone(&dump.writer),
        from: plan.from.clone(),
        read_concern,
        moment: plan.moment.clone(),
        captures: plan.oplog.is_some(),
        not_before: plan.not_before(),
        batch_bytes: batch_bytes(round_trip(&dump.source.0, &plan.from).await),
        packers: Arc::new(Packers::new(dump.writer.packing(), &options, segments)),
        options,
    });
    let mut tasks = JoinSet::new();
    let dumped = shared.cx.unless_cancelled(run(&shared, plan, &mut tasks));
    let dumped = dumped.await;
    // What is being written must be gone before the caller hears that it is not.
    tasks.shutdown().await;
    dumped
}

/// What a task has dumped.
enum Dumped {
    Namespace(DumpedNamespace),
    Oplog(DumpedOplog),
}

/// Dumps the data of every namespace of the plan, several at once, and the oplog all the time.
async fn run(
    shared: &Arc<Shared>,
    plan: &DumpPlan,
    tasks: &mut JoinSet<Result<Dumped>>,
) -> Result<(Vec<DumpedNamespace>, Option<DumpedOplog>)> {
    let (all_read, until) = oneshot::channel();
    let mut all_read = Some(all_read);
    if let Some(oplog) = plan.oplog.clone() {
        let shared = Arc::clone(shared);
        let namespaces = plan.namespaces.clone();
        tasks.spawn(async move {
            let captured = shared.capture(&oplog, &namespaces, until).await;
            captured.map(Dumped::Oplog)
        });
    }
    let captures = tasks.len();
    let mut waiting = plan.namespaces.iter();
    let (mut done, mut captured) = (Vec::new(), None);
    let first = plan.namespaces.iter();
    let first = first.filter(|planned| planned.authorization().is_some());
    let first = first.count();
    loop {
        let at_once = match done.len() < first {
            true => 1,
            false => shared.options.parallel_collections.get(),
        };
        while tasks.len() < captures + at_once {
            let Some(planned) = waiting.next() else { break };
            let (shared, planned) = (Arc::clone(shared), planned.clone());
            tasks.spawn(async move {
                let dumped = shared.dump(&planned).await.map(Dumped::Namespace);
                dumped.map_err(|e| e.for_namespace(&planned.header.namespace))
            });
        }
        if done.len() == plan.namespaces.len()
            && let Some(all_read) = all_read.take()
        {
            // Nobody listens if there is no capture.
            let _ = all_read.send(());
        }
        match tasks.join_next().await {
            None => return Ok((done, captured)),
            Some(Ok(dumped)) => match dumped? {
                Dumped::Namespace(namespace) => done.push(namespace),
                Dumped::Oplog(oplog) => captured = Some(oplog),
            },
            Some(Err(error)) => return Err(Error::task("dump", error)),
        }
    }
}

/// The read concern of everything that reads documents.
///
/// A member that is behind must not give documents from before the oplog that is captured.
fn read_concern(deployment: &Deployment, plan: &DumpPlan) -> Result<Option<RawDocumentBuf>> {
    let concern = deployment.client.read_concern();
    let can_wait = concern.is_none_or(|concern| {
        matches!(
            concern.level,
            ReadConcernLevel::Local | ReadConcernLevel::Majority
        )
    });
    let mut fields = match concern {
        Some(concern) => bson::serialize_to_raw_document_buf(concern).map_err(Error::from_bson)?,
        None => RawDocumentBuf::new(),
    };
    if let Some(start) = plan.not_before().filter(|_| can_wait) {
        if concern.is_none() {
            // What a new primary may take back must not be dumped: its oplog does not say so.
            fields.append(cstr!("level"), "majority");
        }
        fields.append(cstr!("afterClusterTime"), Timestamp::from(start));
    }
    Ok((!fields.is_empty()).then_some(fields))
}

/// How long the server takes to answer what is no work: the shortest of a few times, none if it does not answer.
async fn round_trip(deployment: &Deployment, from: &SelectionCriteria) -> Duration {
    let database = deployment.database("admin");
    let mut shortest = None;
    for _ in 0..PINGS {
        let clock = Instant::now();
        if command::read(&database, doc! { "ping": 1 }, from)
            .await
            .is_ok()
        {
            let taken = clock.elapsed();
            shortest = shortest.into_iter().chain([taken]).min();
        }
    }
    shortest.unwrap_or_default()
}

impl Shared {
    async fn dump(&self, planned: &PlannedNamespace) -> Result<DumpedNamespace> {
        let namespace = &planned.header.namespace;
        self.cx.begin(namespace);
        let mut dumped = DumpedNamespace {
            namespace: namespace.clone(),
            documents: 0,
            uncompressed_bytes: 0,
            stored_bytes: 0,
        };
        let kept = self.writer.kept(&planned.header);
        let (whole, part) = match kept {
            Some(kept) if kept.left.is_empty() => (Some(kept.written), None),
            kept => (None, kept.filter(|_| planned.ordered_by_id)),
        };
        if let Some(whole) = whole {
            dumped.documents = whole.documents;
            dumped.uncompressed_bytes = whole.uncompressed_bytes;
            dumped.stored_bytes = whole.stored_bytes;
        } else if planned.header.data_namespace.is_some() {
            self.cx.emit(Event::NamespaceStarted {
                namespace: namespace.clone(),
                estimated_documents: planned
                    .filter
                    .is_none()
                    .then_some(planned.statistics.documents),
                estimated_bytes: planned.filter.is_none().then_some(planned.statistics.bytes),
            });
            let mut query = self.query(planned);
            let dropped = Arc::new(AtomicBool::new(false));
            query.dropped = self.captures.then(|| Arc::clone(&dropped));
            let written = self.copy_until_whole(planned, &query, part).await?;
            let dropped = dropped.load(Ordering::Acquire);
            let is_of_moment = self
                .moment
                .as_ref()
                .is_some_and(|it| it.current().is_some());
            // What became since then of what was read as it was at one moment does not matter.
            if !is_of_moment {
                self.settle_identity(planned, dropped).await?;
            }
            dumped.documents = written.documents;
            dumped.uncompressed_bytes = written.uncompressed_bytes;
            dumped.stored_bytes = written.stored_bytes;
        }
        self.cx.complete(namespace);
        self.cx.counters.namespaces_finished.add(1);
        let documents = dumped.documents;
        self.cx.emit(Event::NamespaceFinished {
            namespace: namespace.clone(),
            documents,
            failed_documents: 0,
        });
        Ok(dumped)
    }

    /// Copies a namespace, but for what is kept of it, and starts it over when its cursor dies and cannot be resumed.
    async fn copy_until_whole(
        &self,
        planned: &PlannedNamespace,
        query: &Query,
        mut kept: Option<Kept>,
    ) -> Result<Written> {
        let namespace = &planned.header.namespace;
        let mut retries = Retries::new(self.options.max_retries);
        let mut ranges = match &kept {
            Some(kept) => kept.left.clone(),
            None => self.partitions(planned, query).await,
        };
        loop {
            let (kept, header) = (kept.take(), &planned.header);
            let mut writer = match &kept {
                Some(_) => self.writer.go_on(header).await?,
                None => self.writer.namespace(header).await?,
            };
            let kept = kept.map_or(0, |kept| kept.written.documents);
            let mut progress = Written::default();
            let readings = match ranges.as_slice() {
                [] => vec![Order::Natural(query.clone())],
                ranges => {
                    let ranges = ranges.iter().cloned().enumerate();
                    let reading = |(number, range)| Order::Range(query.clone(), number, range);
                    ranges.map(reading).collect()
                }
            };
            if !ranges.is_empty() {
                writer.begin_ranges(&ranges);
            }
            let copied = self.copy(planned, readings, writer, kept, &mut progress);
            let error = match copied.await {
                Ok(written) => return Ok(written),
                Err(ReadError::Fatal(error)) => return Err(error),
                Err(ReadError::Interrupted(error)) => command::error(error),
                // Once: there is no other moment to lose.
                Err(ReadError::Later(error)) => error,
            };
            if progress.documents > 0 && !self.writer.takes_back() {
                return Err(error.with_hint(
                    "what was written of it cannot be taken back: start the dump again, or dump to a folder",
                ));
            }
            self.cx
                .counters
                .documents_written
                .take_back(progress.documents);
            self.cx
                .counters
                .bytes_written
                .take_back(progress.stored_bytes);
            let what = if planned.ordered_by_id {
                // This time in an order in which it can be resumed.
                ranges = vec![IdRange::everything()];
                "starting over in the order of _id"
            } else {
                "starting over"
            };
            retries
                .again_after(&self.cx, Some(namespace), what, error)
                .await?;
        }
    }

    /// What reads the oplog from its start to an end, and gives that when it is over.
    fn tail(
        &self,
        oplog: &PlannedOplog,
        until: watch::Receiver<Option<OpTime>>,
    ) -> Result<(Order, Arc<OnceLock<OpTime>>)> {
        let mut query = self.query(&oplog.planned);
        // The oplog itself needs no waiting for: an entry that is not there yet comes.
        query.fields.read_concern = Some(oplog::read_concern(&self.deployment)?);
        query.fields.moment = None;
        let mut tail = Tail::new(
            self.cx.clone(),
            query,
            oplog,
            until,
            self.deployment.server.capabilities().finds_in_oplog,
            Retries::new(self.options.max_retries),
        );
        let last = tail.unless_needed(self.moment.clone());
        Ok((Order::Oplog(Box::new(tail)), last))
    }

    /// As [`tail`](Self::tail), where a change stream tells of it.
    fn stream(
        &self,
        oplog: &PlannedOplog,
        namespaces: &[PlannedNamespace],
        until: watch::Receiver<Option<OpTime>>,
    ) -> Result<(Order, Arc<OnceLock<OpTime>>)> {
        let (cx, deployment) = (self.cx.clone(), self.deployment.clone());
        let at = (cx, deployment, self.from.clone());
        let tail = StreamTail::new(at, &self.options, oplog.start, namespaces, until)?;
        let last = tail.ended();
        Ok((Order::Stream(Box::new(tail)), last))
    }

    /// Captures the oplog until all documents were read.
    async fn capture(
        &self,
        oplog: &PlannedOplog,
        namespaces: &[PlannedNamespace],
        all_read: oneshot::Receiver<()>,
    ) -> Result<DumpedOplog> {
        let (planned, namespace) = (&oplog.planned, &oplog.planned.header.namespace);
        self.cx.begin(namespace);
        self.cx.emit(Event::NamespaceStarted {
            namespace: namespace.clone(),
            estimated_documents: None,
            estimated_bytes: None,
        });
        let (end, until) = watch::channel(None);
        let (order, last) = match oplog.is_stream {
            true => self.stream(oplog, namespaces, until)?,
            false => self.tail(oplog, until)?,
        };
        let mut progress = Written::default();
        let writer = self.writer.namespace(&planned.header).await?;
        let copied = self.copy(planned, vec![order], writer, 0, &mut progress);
        let copied = copied.map_err(|error| match error {
            ReadError::Fatal(error) => error,
            ReadError::Interrupted(error) => command::error(error),
            ReadError::Later(error) => error,
        });
        let find_end = async {
            // Who dropped the sender wants nothing any more, and will drop this too.
            let _ = all_read.await;
            let (cx, max_retries) = (&self.cx, self.options.max_retries);
            let seen = match oplog.is_stream {
                true => {
                    let what = "asking for the time";
                    let now = || change_stream::now(&self.deployment, &self.from);
                    patiently(cx, max_retries, None, what, now).await?
                }
                false => {
                    oplog::moments(&self.deployment, max_retries, cx)
                        .await?
                        .seen
                }
            };
            end.send_replace(Some(seen));
            Ok(seen)
        };
        let (written, end) = future::try_join(copied, find_end).await?;
        self.cx.complete(namespace);
        self.cx.emit(Event::NamespaceFinished {
            namespace: namespace.clone(),
            documents: written.documents,
            failed_documents: 0,
        });
        Ok(DumpedOplog {
            start: oplog.start,
            end: last.get().copied().unwrap_or(end),
            entries: written.documents,
            uncompressed_bytes: written.uncompressed_bytes,
            stored_bytes: written.stored_bytes,
        })
    }

    fn query(&self, planned: &PlannedNamespace) -> Query {
        Query {
            database: self.deployment.database(&planned.read_from.db),
            collection: planned.read_from.collection.clone(),
            filter: planned.filter.clone(),
            from: self.from.clone(),
            batch_documents: batch_documents(
                planned.statistics.documents,
                planned.statistics.bytes,
                self.batch_bytes,
            ),
            fields: ReadFields {
                read_concern: self.read_concern.clone(),
                moment: self.moment.clone(),
                raw_data: planned.raw_data,
            },
            hints: !self.deployment.server.capabilities().documentdb,
            dropped: None,
        }
    }

    /// The ranges of `_id` to read at once; none to read in natural order.
    async fn partitions(&self, planned: &PlannedNamespace, query: &Query) -> Vec<IdRange> {
        let partitions = self.options.partitions.get();
        let worth_it = planned.statistics.documents >= PARTITION_DOCUMENTS;
        if partitions == 1 || !planned.ordered_by_id || !worth_it || planned.filter.is_some() {
            return Vec::new();
        }
        let namespace = Some(&planned.header.namespace);
        let (cx, max_retries) = (&self.cx, self.options.max_retries);
        let ranges = patiently(cx, max_retries, namespace, "sampling _id", || {
            partition::split(query, partitions)
        });
        ranges.await.unwrap_or_else(|error| {
            let message =
                format!("read by one cursor, since its _id could not be sampled: {error}");
            cx.notice(namespace, message);
            Vec::new()
        })
    }

    /// Copies a namespace once, to the last document, to a writer that has some of its documents.
    async fn copy(
        &self,
        planned: &PlannedNamespace,
        readings: Vec<Order>,
        writer: Box<dyn NamespaceWriter>,
        kept: u64,
        progress: &mut Written,
    ) -> Result<Written, ReadError> {
        let (jobs, packed) = mpsc::channel(4);
        let mut tasks = JoinSet::new();
        for reading in readings {
            let reader = Reader {
                cx: self.cx.clone(),
                namespace: planned.header.namespace.clone(),
                reading,
                retries: Retries::new(self.options.max_retries),
            };
            tasks.spawn(reader.run(Arc::clone(&self.packers), jobs.clone()));
        }
        drop(jobs);
        let read = async {
            let mut documents = 0;
            while let Some(ended) = tasks.join_next().await {
                documents +=
                    ended.map_err(|error| ReadError::Fatal(Error::task("read", error)))??;
            }
            Ok(documents)
        };
        let stored = async {
            let (packers, namespace) = (&self.packers, &planned.header.namespace);
            let stored = packers.store(&self.cx, namespace, writer, packed, progress);
            stored.await.map_err(ReadError::Fatal)
        };
        let (read, writer) = future::try_join(read, stored).await?;
        let written = writer.finish().await.map_err(ReadError::Fatal)?;
        if written.documents.checked_sub(kept) == Some(read) {
            Ok(written)
        } else {
            let message = format!(
                "{read} documents were read, but {} were written of which {kept} were there",
                written.documents
            );
            Err(ReadError::Fatal(Error::internal(message)))
        }
    }

    /// Makes sure that what was read is what had the name, or that the oplog says what became of it.
    async fn settle_identity(&self, planned: &PlannedNamespace, dropped: bool) -> Result<()> {
        match self.check_identity(planned).await {
            // The oplog has that, and what came after it.
            Err(error) if self.captures && error.kind() == ErrorKind::Conflict => {
                let message = format!("{error}, as the oplog says that is captured");
                self.cx.notice(Some(&planned.header.namespace), message);
                Ok(())
            }
            Ok(()) if dropped => Err(Error::conflict(
                "reading it was ended by the server, although it is still there",
            )
            .with_hint("start the dump again")),
            checked => checked,
        }
    }

    /// Makes sure that what was read under a name is what had the name when the dump was planned.
    async fn check_identity(&self, planned: &PlannedNamespace) -> Result<()> {
        let Some((identified, planned_uuid)) = &planned.identity else {
            return Ok(());
        };
        let catalog = Catalog {
            deployment: &self.deployment,
            from: &self.from,
            not_before: self.not_before,
        };
        let (cx, max_retries) = (&self.cx, self.options.max_retries);
        let namespace = Some(&planned.header.namespace);
        let now = patiently(cx, max_retries, namespace, "looking at the catalog", || {
            catalog.collection(identified)
        })
        .await?;
        match now.and_then(|entry| entry.uuid) {
            Some(uuid) if uuid == *planned_uuid => Ok(()),
            found => {
                let what = if found.is_some() {
                    "replaced by another collection"
                } else {
                    "dropped or renamed"
                };
                Err(
                    Error::conflict(format!("it was {what} while it was dumped"))
                        .with_hint("start the dump again"),
                )
            }
        }
    }
}

/// What is read, and in which order.
enum Order {
    Natural(Query),
    /// With its number.
    Range(Query, usize, IdRange),
    Oplog(Box<Tail>),
    Stream(Box<StreamTail>),
}

/// Reads documents and packs what comes.
struct Reader {
    cx: RunContext,
    namespace: rdump_format::Namespace,
    reading: Order,
    retries: Retries,
}

impl Reader {
    async fn run(
        mut self,
        packers: Arc<Packers>,
        jobs: mpsc::Sender<Job>,
    ) -> Result<u64, ReadError> {
        let (batches, batch) = mpsc::channel(1);
        let range = match &self.reading {
            Order::Range(_, number, _) => Some(*number),
            Order::Natural(_) | Order::Oplog(_) | Order::Stream(_) => None,
        };
        let pack = async {
            packers
                .pack(self.cx.clone(), range, batch, jobs)
                .await
                .map_err(ReadError::Fatal)
        };
        let read = async {
            // Dropped at the end, which tells the packer that there is no more.
            let batches = batches;
            match self.reading {
                Order::Natural(query) => query.read_natural(&batches).await,
                Order::Oplog(tail) => tail.run(&batches).await.map_err(ReadError::Fatal),
                Order::Stream(tail) => tail.run(&batches).await.map_err(ReadError::Fatal),
                Order::Range(query, _, range) => {
                    let read = query.read_range(
                        &self.cx,
                        &self.namespace,
                        range,
                        &mut self.retries,
                        &batches,
                    );
                    read.await.map_err(ReadError::Fatal)
                }
            }
        };
        let ((), documents) = future::try_join(read, pack).await?;
        Ok(documents)
    }
}
