//! Dumping a deployment to a medium.

use std::{fmt, sync::Arc, time::Instant};

use rdump_format::{Namespace, RunRecord, SourceRecord, repository::AuditVerb};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Counters, Error, Observer, OpTime, Problem, Result, Source,
    context::RunContext,
    media::{DumpHeader, DumpWriter},
    repository::{Outcome, deployment},
};

mod authorization;
mod consistency;
mod cursor;
mod limiter;
mod listing;
mod moment;
mod namespace;
mod oplog;
mod options;
pub(crate) mod pack;
mod partition;
mod plan;
mod planning;
mod scope;
mod steady_catalog;
mod stream_tail;

pub use consistency::Consistency;
pub use options::DumpOptions;
pub use plan::DumpPlan;

/// One dump: what is read, where it goes, and who watches.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
///
/// use rdump::{Compression, ConnectOptions, Dump, DumpOptions, FolderWriter, Source};
///
/// # async fn example() -> rdump::Result<()> {
/// let source = Source::connect(&ConnectOptions::default().uri("mongodb://localhost:27017")).await?;
/// let writer = FolderWriter::create(&"dump".parse()?)?;
/// let options = DumpOptions::default().compression(Compression::Zstd { level: 1 });
/// let dump = Dump::new(&source, Arc::new(writer)).options(options);
/// let plan = dump.plan().await?;
/// println!("{plan}");
/// let report = dump.run(plan).await?;
/// println!("{} documents in {} bytes", report.documents, report.stored_bytes);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Dump {
    source: Source,
    writer: Arc<dyn DumpWriter>,
    options: DumpOptions,
    cx: RunContext,
}

impl Dump {
    /// A dump of `source` to `writer`, with default options, that nobody watches.
    pub fn new(source: &Source, writer: Arc<dyn DumpWriter>) -> Self {
        Self {
            source: source.clone(),
            writer,
            options: DumpOptions::default(),
            cx: RunContext::default(),
        }
    }

    /// Sets what is dumped and how.
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

    /// Makes it a part of another run.
    pub(crate) fn context(mut self, cx: RunContext) -> Self {
        self.cx = cx;
        self
    }

    /// Finds out what would be dumped. Only reads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if options contradict each other or the source,
    /// and as the source has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn plan(&self) -> Result<DumpPlan> {
        self.cx
            .unless_cancelled(plan::plan(
                &self.source,
                &self.options,
                self.writer.earlier(),
                &self.cx,
            ))
            .await
    }

    /// Whether a run of the plan leaves no trace: there is nothing to dump, and the medium is no archive, which may hold
    /// nothing. One collection that is not there leaves none in an archive either, as with mongodump.
    pub fn leaves_no_trace(&self, plan: &DumpPlan) -> bool {
        plan.is_empty() && (self.options.collection.is_some() || !self.writer.keeps_nothing())
    }

    /// Dumps what the plan says, unless that [leaves no trace](Self::leaves_no_trace).
    ///
    /// Stops at the first failure that retries cannot cure: half a dump is no dump.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if a collection was dropped or renamed
    /// meanwhile, [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and as source and medium have them.
    /// [`Event::Stopped`](crate::Event::Stopped) says how far it came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the run as cancelling does. What was written is not complete and is not
    /// called so.
    pub async fn run(&self, plan: DumpPlan) -> Result<DumpReport> {
        let clock = Instant::now();
        let mut result = self.run_to_end(&plan).await;
        if result.is_err() {
            self.writer.give_up().await;
            let planned = plan.namespaces.iter();
            self.cx
                .stopped(planned.map(|planned| &planned.header.namespace));
        }
        if let Some(act) = self.writer.act(AuditVerb::Backup)
            && !self.leaves_no_trace(&plan)
        {
            let act = act.from(deployment(self.source.server())).since(clock);
            let missing = act.end(&result, DumpReport::outcome).await;
            self.cx
                .unrecorded(missing, result.as_mut().ok().map(|it| &mut it.problems));
        }
        result
    }

    async fn run_to_end(&self, plan: &DumpPlan) -> Result<DumpReport> {
        let (clock, started_at) = (Instant::now(), self.cx.now());
        let mut report = DumpReport::default();
        if !self.leaves_no_trace(plan) {
            let begun = self.begin(plan, started_at.to_string());
            self.cx.unless_cancelled(begun).await?;
            // Cancels by itself, since it has tasks to wait for.
            (report.namespaces, report.oplog) = namespace::dump_all(self, plan).await?;
            (report.consistency, report.consistent_at) = plan.reached(report.oplog.as_ref());
            report.documents = report
                .namespaces
                .iter()
                .map(|namespace| namespace.documents)
                .sum();
            report.uncompressed_bytes = report
                .namespaces
                .iter()
                .map(|namespace| namespace.uncompressed_bytes)
                .sum();
            report.stored_bytes = report
                .namespaces
                .iter()
                .map(|namespace| namespace.stored_bytes)
                .sum();
            let run = self.run_record(started_at.to_string(), &report)?;
            let last_step = self.cx.unless_cancelled(self.writer.commit(run)).await?;
            for message in last_step.await? {
                self.cx.problem(Problem::new(None, message));
            }
        }
        report.problems = self.cx.problems();
        report.retries = self.cx.counters.retries.value();
        report.duration_seconds = clock.elapsed().as_secs_f64();
        Ok(report)
    }

    async fn begin(&self, plan: &DumpPlan, started_at: String) -> Result<()> {
        let header = DumpHeader {
            prelude: rdump_format::Prelude {
                server_version: Some(self.source.server().version.clone()),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            source: source_record(&self.source),
            started_at,
            options: options_as_data(&self.options)?,
            db: self.options.db.clone(),
            single_collection: self.options.collection.is_some(),
            parallel_collections: self.options.parallel_collections,
            codec: self.options.compression.codec(),
            namespaces: plan.all().map(|planned| planned.header.clone()).collect(),
            reading: plan.reading(),
            keeps: plan.keeps,
        };
        for notice in self.writer.begin(&header).await? {
            self.cx.notice(None, notice);
        }
        Ok(())
    }

    fn run_record(&self, started_at: String, report: &DumpReport) -> Result<RunRecord> {
        let (source, finished_at) = (source_record(&self.source), self.cx.now().to_string());
        let mut run = RunRecord::new(source, env!("CARGO_PKG_VERSION"), started_at, finished_at);
        run.options = options_as_data(&self.options)?;
        run.consistency = report.consistency.to_string();
        run.consistent_at = report.consistent_at.map(|at| at.to_string());
        run.documents = report.documents;
        run.uncompressed_bytes = report.uncompressed_bytes;
        run.problems = self.cx.problems().iter().map(Problem::to_string).collect();
        Ok(run)
    }
}

/// What a dump did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DumpReport {
    /// What was dumped, in no set order.
    pub namespaces: Vec<DumpedNamespace>,
    /// The oplog, if it was captured.
    pub oplog: Option<DumpedOplog>,
    /// How consistent it is; never [`Consistency::Auto`].
    pub consistency: Consistency,
    /// The moment that everything is of; with [`Consistency::Oplog`] once the oplog is replayed.
    pub consistent_at: Option<OpTime>,
    /// Documents, over all namespaces.
    pub documents: u64,
    /// Their bytes before compression.
    pub uncompressed_bytes: u64,
    /// Their bytes after compression.
    pub stored_bytes: u64,
    /// How often something had to be tried again.
    pub retries: u64,
    /// How long the run took, in seconds.
    pub duration_seconds: f64,
    /// What failed without ending the run.
    pub problems: Vec<Problem>,
}

/// What a dump did for one namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DumpedNamespace {
    /// The namespace at the source.
    pub namespace: Namespace,
    /// Documents; those of a time-series collection are its buckets.
    pub documents: u64,
    /// Their bytes before compression.
    pub uncompressed_bytes: u64,
    /// Their bytes after compression.
    pub stored_bytes: u64,
}

/// What a dump captured of the oplog.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DumpedOplog {
    /// The moment of the first entry.
    pub start: OpTime,
    /// The moment that a restore which replays it brings everything to.
    pub end: OpTime,
    /// Entries.
    pub entries: u64,
    /// Their bytes before compression.
    pub uncompressed_bytes: u64,
    /// Their bytes after compression.
    pub stored_bytes: u64,
}

impl DumpReport {
    /// What is recorded of it where it is a snapshot.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome::new(self.problems.len())
            .figure("documents", self.documents)
            .figure("namespaces", self.namespaces.len() as u64)
            .figure("stored-bytes", self.stored_bytes)
    }
}

impl fmt::Display for DumpReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} documents of {} namespaces, {} bytes in {} stored bytes, {:.1} s",
            self.documents,
            self.namespaces.len(),
            self.uncompressed_bytes,
            self.stored_bytes,
            self.duration_seconds
        )
    }
}

/// What a record says of a deployment.
pub(crate) fn source_record(source: &Source) -> SourceRecord {
    let server = source.server();
    let mut source = SourceRecord::new(
        server.hosts.clone(),
        server.version.clone(),
        server.topology.to_string(),
    );
    source.set_name = server.set_name.clone();
    source
}

/// What a record says of options.
pub(crate) fn options_as_data(options: &DumpOptions) -> Result<serde_json::Value> {
    serde_json::to_value(options)
        .map_err(|error| Error::internal("could not record the options").caused_by(error))
}
