//! Copying a dump from one medium to another, without a server.

use std::{sync::Arc, time::Instant};

use futures::{StreamExt, TryStreamExt, future, stream::BoxStream};
use rdump_format::{RunRecord, SourceRecord, repository::AuditVerb};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Counters, DumpOptions, DumpReport, DumpedNamespace, Error, ErrorKind, Event, Observer, Problem,
    Result,
    context::RunContext,
    dump::pack::Packers,
    media::{
        Access, Documents, DumpEntry, DumpHeader, DumpReader, DumpWriter, NamespaceHeader, Reading,
        Written,
    },
};

/// A copy of a dump to another medium, such as of a mongodump folder to a snapshot.
///
/// Everything is copied: documents as they are, options and indexes, users and roles, and an oplog that was captured. What is
/// checked by digests in the dump is checked before it is written. The copy tells when and of what the dump was made if the dump
/// does, and else when it was copied.
///
/// # Examples
///
/// ```no_run
/// use std::{collections::BTreeMap, sync::Arc};
///
/// use rdump::{FolderReader, FolderReaderOptions, Repository, SnapshotWriter, Transfer};
///
/// # async fn example() -> rdump::Result<()> {
/// let reader = FolderReader::open(&"dump".parse()?, FolderReaderOptions::default()).await?;
/// let repository = Repository::open(&"backups".parse()?).await?;
/// let writer = SnapshotWriter::new(&repository, BTreeMap::new());
/// let report = Transfer::new(Arc::new(reader), Arc::new(writer)).run().await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Transfer {
    reader: Arc<dyn DumpReader>,
    writer: Arc<dyn DumpWriter>,
    options: DumpOptions,
    cx: RunContext,
}

impl Transfer {
    /// A copy from `reader` to `writer`, compressed by zstd, that nobody watches.
    pub fn new(reader: Arc<dyn DumpReader>, writer: Arc<dyn DumpWriter>) -> Self {
        let options = DumpOptions::default().compression(rdump_format::Compression::ZSTD);
        Self {
            reader,
            writer,
            options,
            cx: RunContext::default(),
        }
    }

    /// Sets how the copy is made: of the options compression, segments and parallelism count, and nothing else.
    #[must_use]
    pub fn options(mut self, options: DumpOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets who is told of events.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.cx.set_observer(observer);
        self
    }

    /// Sets the token that stops the run.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cx.cancel = cancel;
        self
    }

    /// Sets the counters that the run adds to.
    #[must_use]
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.cx.counters = counters;
        self
    }

    /// Copies.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if anything of the dump is damaged, or is of a dump that did not finish;
    /// [`ErrorKind::Cancelled`], and as the two media have them. Nothing that was written is called complete then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the run as cancelling does.
    pub async fn run(&self) -> Result<DumpReport> {
        let clock = Instant::now();
        let mut result = self.run_to_end().await;
        if result.is_err() {
            self.writer.give_up().await;
        }
        if let Some(mut act) = self.reader.act(AuditVerb::Export) {
            if let Some(to) = self.writer.location() {
                act = act.to(to);
            }
            let missing = act.since(clock).end(&result, DumpReport::outcome).await;
            self.cx.unrecorded(missing, None);
        }
        if let Some(act) = self.writer.act(AuditVerb::Import) {
            let missing = act.since(clock).end(&result, DumpReport::outcome).await;
            self.cx
                .unrecorded(missing, result.as_mut().ok().map(|it| &mut it.problems));
        }
        result
    }

    async fn run_to_end(&self) -> Result<DumpReport> {
        let clock = Instant::now();
        let contents = self.reader.contents();
        if let Some(problem) = contents.unfinished.first() {
            return Err(Error::data(problem.to_string()));
        }
        if let Some(damage) = contents.entries.iter().find_map(|e| e.damage.as_ref()) {
            return Err(damage.clone());
        }
        for notice in &contents.notices {
            self.cx.notice(None, notice.as_str());
        }
        for entry in contents.entries.iter().filter(|entry| entry.unlisted) {
            let message =
                "copied from files that the manifest does not list: it could not be verified";
            self.cx
                .problem(Problem::new(Some(&entry.namespace), message));
        }
        let mut run = contents.run.clone().unwrap_or_else(|| self.unknown_run());
        let header = self.header(&run);
        let begun = self.writer.begin(&header);
        for notice in self.cx.unless_cancelled(begun).await? {
            self.cx.notice(None, notice);
        }
        let mut tasks = JoinSet::new();
        let copied = self.cx.unless_cancelled(self.copy_all(&header, &mut tasks));
        let copied = copied.await;
        // What is being written must be gone before the caller hears that it is not.
        tasks.shutdown().await;
        let mut report = DumpReport {
            namespaces: copied?,
            ..DumpReport::default()
        };
        // The entries of a captured oplog are no documents of the run.
        let namespaces = report.namespaces.iter();
        for namespace in namespaces.filter(|it| !it.namespace.is_oplog()) {
            report.documents += namespace.documents;
            report.uncompressed_bytes += namespace.uncompressed_bytes;
            report.stored_bytes += namespace.stored_bytes;
        }
        run.documents = report.documents;
        run.uncompressed_bytes = report.uncompressed_bytes;
        let last_step = self.cx.unless_cancelled(self.writer.commit(run)).await?;
        for message in last_step.await? {
            self.cx.problem(Problem::new(None, message));
        }
        report.problems = self.cx.problems();
        report.duration_seconds = clock.elapsed().as_secs_f64();
        Ok(report)
    }

    /// A run of which the dump does not tell.
    fn unknown_run(&self) -> RunRecord {
        let prelude = self.reader.contents().prelude.as_ref();
        let version = prelude.and_then(|prelude| prelude.server_version.clone());
        let version = version.unwrap_or_else(|| "unknown".to_owned());
        let source = SourceRecord::new(Vec::new(), version, "unknown");
        let now = self.cx.now().to_string();
        RunRecord::new(source, env!("CARGO_PKG_VERSION"), now.clone(), now)
    }

    fn header(&self, run: &RunRecord) -> DumpHeader {
        let codec = self.options.compression.codec();
        let contents = self.reader.contents();
        let prelude = contents.prelude.clone();
        let namespaces = contents.entries.iter().map(|entry| {
            let data = entry.data.as_ref().map(|data| match data.buckets {
                true => entry.namespace.buckets(),
                false => entry.namespace.clone(),
            });
            NamespaceHeader {
                namespace: entry.namespace.clone(),
                data_namespace: data,
                metadata: entry.metadata.clone(),
                codec,
            }
        });
        DumpHeader {
            reading: Reading::default(),
            keeps: false,
            prelude: prelude.unwrap_or_else(|| rdump_format::Prelude {
                server_version: None,
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            // A dump of the same deployment must not go on with a copy that was stopped.
            source: SourceRecord::new(Vec::new(), "unknown", "unknown"),
            started_at: run.started_at.clone(),
            options: serde_json::Value::Null,
            db: None,
            single_collection: false,
            parallel_collections: self.options.parallel_collections,
            codec,
            namespaces: namespaces.collect(),
        }
    }

    async fn copy_all(
        &self,
        header: &DumpHeader,
        tasks: &mut JoinSet<Result<DumpedNamespace>>,
    ) -> Result<Vec<DumpedNamespace>> {
        let at_once = self.options.parallel_collections.get();
        let idle = crate::default_parallelism().get();
        let packing = self.writer.packing();
        let copying = Arc::new(Copying {
            cx: self.cx.clone(),
            reader: Arc::clone(&self.reader),
            writer: Arc::clone(&self.writer),
            packers: Arc::new(Packers::new(packing, &self.options, at_once + idle)),
        });
        let mut copied = Vec::new();
        match self.reader.access() {
            Access::Random(_) => {
                for (number, namespace) in header.namespaces.iter().enumerate() {
                    while tasks.len() >= at_once {
                        copied.extend(join(tasks).await?);
                    }
                    let (copying, namespace) = (Arc::clone(&copying), namespace.clone());
                    tasks.spawn(async move { copying.namespace(number, namespace, None).await });
                }
            }
            Access::Sequential(mut arrivals) => {
                let mut arrived = vec![false; header.namespaces.len()];
                loop {
                    tokio::select! {
                        arrival = arrivals.next() => {
                            let Some(arrival) = arrival else { break };
                            let arrival = arrival?;
                            let (number, documents) = (arrival.entry, arrival.documents);
                            let Some(namespace) = header.namespaces.get(number).cloned() else {
                                continue;
                            };
                            if let Some(arrived) = arrived.get_mut(number) {
                                *arrived = true;
                            }
                            let copying = Arc::clone(&copying);
                            tasks.spawn(async move {
                                copying.namespace(number, namespace, Some(documents)).await
                            });
                        }
                        Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                            copied.push(done.map_err(|error| Error::task("copy", error))??);
                        }
                    }
                }
                // Of a view nothing arrives.
                for (number, namespace) in header.namespaces.iter().enumerate() {
                    if arrived.get(number) == Some(&false) {
                        copied.push(copying.nothing(namespace)?);
                    }
                }
            }
        }
        while !tasks.is_empty() {
            copied.extend(join(tasks).await?);
        }
        Ok(copied)
    }
}

async fn join(tasks: &mut JoinSet<Result<DumpedNamespace>>) -> Result<Option<DumpedNamespace>> {
    match tasks.join_next().await {
        Some(done) => done.map_err(|error| Error::task("copy", error))?.map(Some),
        None => Ok(None),
    }
}

/// What the tasks of a copy share.
struct Copying {
    cx: RunContext,
    reader: Arc<dyn DumpReader>,
    writer: Arc<dyn DumpWriter>,
    packers: Arc<Packers>,
}

impl Copying {
    /// A namespace without documents.
    fn nothing(&self, header: &NamespaceHeader) -> Result<DumpedNamespace> {
        if header.data_namespace.is_some() {
            return Err(
                Error::data("its documents did not arrive").for_namespace(&header.namespace)
            );
        }
        Ok(self.finished(header, Written::default()))
    }

    fn finished(&self, header: &NamespaceHeader, written: Written) -> DumpedNamespace {
        let namespace = header.namespace.clone();
        self.cx.counters.namespaces_finished.add(1);
        self.cx.emit(Event::NamespaceFinished {
            namespace: namespace.clone(),
            documents: written.documents,
            failed_documents: 0,
        });
        DumpedNamespace {
            namespace,
            documents: written.documents,
            uncompressed_bytes: written.uncompressed_bytes,
            stored_bytes: written.stored_bytes,
        }
    }

    async fn namespace(
        &self,
        number: usize,
        header: NamespaceHeader,
        arrived: Option<BoxStream<'static, Result<Documents>>>,
    ) -> Result<DumpedNamespace> {
        let copied = self.copy(number, &header, arrived).await;
        copied.map_err(|error| error.for_namespace(&header.namespace))
    }

    async fn copy(
        &self,
        number: usize,
        header: &NamespaceHeader,
        arrived: Option<BoxStream<'static, Result<Documents>>>,
    ) -> Result<DumpedNamespace> {
        let missing = || Error::internal("a namespace that is no entry");
        let entry = self.reader.contents().entries.get(number);
        let entry: &DumpEntry = entry.ok_or_else(missing)?;
        let Some(data) = &entry.data else {
            return self.nothing(header);
        };
        self.cx.emit(Event::NamespaceStarted {
            namespace: header.namespace.clone(),
            estimated_documents: data.documents,
            estimated_bytes: data.uncompressed_bytes,
        });
        let documents = match (arrived, self.reader.access()) {
            (Some(documents), _) => documents,
            (None, Access::Random(random)) => random.documents(entry),
            (None, Access::Sequential(_)) => return Err(missing()),
        };
        let writer = self.writer.namespace(header).await?;
        let (runs, run) = mpsc::channel(1);
        let (jobs, packed) = mpsc::channel(4);
        let read = async {
            let runs = runs;
            let mut documents = documents;
            while let Some(documents) = documents.try_next().await? {
                if runs.send(documents).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let packers = Arc::clone(&self.packers);
        let pack = packers.pack(self.cx.clone(), None, run, jobs);
        let (mut progress, namespace) = (Written::default(), &header.namespace);
        let store = self
            .packers
            .store(&self.cx, namespace, writer, packed, &mut progress);
        let ((), read, writer) = future::try_join3(read, pack, store).await?;
        let written = writer.finish().await?;
        if read != written.documents || data.documents.is_some_and(|told| told != read) {
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "{read} documents were read and {} written, and the dump says {:?}",
                    written.documents, data.documents
                ),
            ));
        }
        Ok(self.finished(header, written))
    }
}
