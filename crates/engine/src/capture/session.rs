//! A capture from when it connects until something interrupts it.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures::{
    FutureExt,
    future::{self, BoxFuture},
};
use mongodb::options::{ReadPreference, SelectionCriteria};
use rdump_format::{
    SourceRecord,
    repository::{AuditVerb, DataKeys, SliceHeader, SliceSource, SnapshotId},
};
use tokio::sync::mpsc;

use super::{
    Capture, CaptureReport, CaptureSource,
    oplog::{self, Oplog},
    reader::Reader,
    stream_begin,
    stream_reader::StreamReader,
    writer::Writer,
};
use crate::{
    Error, ErrorKind, Flavor, Repository, Result, Topology,
    change_stream::now,
    dump::source_record,
    repository::{Act, CaptureLease, deployment, make_keys},
};

/// How many slices wait to be stored while another one is gathered.
const WAITING: usize = 2;

/// What all slices of a run have in common.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: SnapshotId,
    pub(super) source: SourceRecord,
    pub(super) keys: Option<Arc<DataKeys>>,
    /// Where what is written is learned from.
    slices_from: SliceSource,
    /// Whether there was an event that is too long for a document.
    splits_events: AtomicBool,
    /// Why the change stream cannot go on.
    ended: Mutex<Option<String>>,
}

impl Run {
    async fn new(capture: &Capture, from: &SelectionCriteria) -> Result<Self> {
        let slices_from = slice_source(capture, from).await?;
        let [a, b, ..] = bson::Uuid::new().bytes();
        let id = SnapshotId::new(&capture.cx.now().to_string(), [a, b])
            .map_err(|error| Error::internal("could not name the capture").caused_by(error))?;
        let keys = match &capture.recipients {
            Some(recipients) => Some(make_keys(&capture.repository, &id, recipients).await?),
            None => {
                refuse_plain(&capture.repository).await?;
                None
            }
        };
        Ok(Self {
            id,
            source: source_record(&capture.source),
            keys,
            slices_from,
            splits_events: AtomicBool::new(false),
            ended: Mutex::default(),
        })
    }

    pub(super) fn splits_events(&self) -> bool {
        self.splits_events.load(Ordering::Relaxed)
    }

    /// From the next session on, events that are too long come in parts.
    pub(super) fn split_events(&self) {
        self.splits_events.store(true, Ordering::Relaxed);
    }

    /// Why the change stream cannot go on, unless it can.
    pub(super) fn ended(&self) -> Option<String> {
        self.lock().clone()
    }

    pub(super) fn end_stream(&self, why: String) {
        *self.lock() = Some(why);
    }

    /// Another stream has taken the place of that which ended.
    pub(super) fn goes_on(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses to capture in the clear where snapshots are encrypted: no restore would take both.
async fn refuse_plain(repository: &Repository) -> Result<()> {
    // What cannot be read is for who verifies.
    let newest = match repository.find_snapshot("latest").await {
        Err(error) if error.is_retryable() => return Err(error),
        newest => newest.ok(),
    };
    match newest.filter(|newest| newest.manifest().is_encrypted()) {
        Some(newest) => Err(Error::invalid(format!(
            "snapshot {}, the newest, is encrypted, and what would be captured is not: no restore takes both",
            newest.id()
        ))
        .with_hint("say who it is encrypted to, as it was said for the snapshot; or take one that is not encrypted first")),
        None => Ok(()),
    }
}

/// Where what is written is learned from: the oplog, unless that cannot be read or something else is asked for.
async fn slice_source(capture: &Capture, from: &SelectionCriteria) -> Result<SliceSource> {
    let (server, asked) = (capture.source.server(), capture.options.source);
    let refuse = |what: &str, hint: &str| {
        let message = format!(
            "there is no {what} to capture: this is a {}",
            server.topology
        );
        Err(Error::new(ErrorKind::Unsupported, message).with_hint(hint))
    };
    if server.topology == Topology::Standalone {
        return refuse(
            "oplog",
            "members of a replica set have one, also if it has only one member",
        );
    }
    let has_oplog = server.flavor == Flavor::MongoDb && server.topology == Topology::ReplicaSet;
    match asked {
        CaptureSource::ChangeStream => Ok(SliceSource::ChangeStream),
        CaptureSource::Auto if !has_oplog => Ok(SliceSource::ChangeStream),
        CaptureSource::Oplog if !has_oplog => refuse(
            "oplog",
            "capture a change stream (--source change-stream), or each shard of a cluster by itself",
        ),
        CaptureSource::Oplog => Ok(SliceSource::Oplog),
        CaptureSource::Auto => {
            let deployment = &capture.source.0;
            match (Oplog { deployment, from }).newest().await {
                Ok(_) => Ok(SliceSource::Oplog),
                Err(error) if error.kind() == ErrorKind::Denied => {
                    let message = format!(
                        "a change stream is captured, since the oplog may not be read: {error}"
                    );
                    capture.cx.notice(None, message);
                    Ok(SliceSource::ChangeStream)
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// The lease of a capture, from its first session to its last.
#[derive(Debug)]
pub(super) struct Hold {
    /// When the capture began: by that it knows its own lease.
    since: String,
    lease: Option<CaptureLease>,
    /// What is recorded of it, from when it has the lease.
    act: Option<Act>,
}

impl Hold {
    pub(super) fn new(since: String) -> Self {
        let (lease, act) = (None, None);
        Self { since, lease, act }
    }

    /// Takes the lease, unless it is held still.
    async fn take(&mut self, capture: &Capture) -> Result<()> {
        let Some(lasts) = capture.lease else {
            return Ok(());
        };
        if let Some(held) = &self.lease {
            match held.check().await {
                Err(expired) if expired.is_retryable() => held.abandon().await,
                held => return held,
            }
            self.lease = None;
        }
        let (repository, since) = (&capture.repository, self.since.clone());
        let taken = repository.take_capture_lease(lasts, since).await?;
        taken.note(&capture.cx.counters);
        self.lease = Some(taken);
        Ok(())
    }

    /// Takes down once that the capture begins.
    async fn record(&mut self, capture: &Capture, report: &mut CaptureReport) {
        if self.act.is_some() {
            return;
        }
        let act = capture.repository.act(AuditVerb::Capture);
        let act = act.from(deployment(capture.source.server()));
        let act = act.private(capture.recipients.is_some());
        if let Err(error) = act.begin().await {
            capture.cx.notice(None, error.to_string());
            report.problems.push(error.to_string());
        }
        self.act = Some(act);
    }

    /// Lets others capture, and takes down how it ended.
    pub(super) async fn release(
        self,
        capture: &Capture,
        mut ended: Result<CaptureReport>,
    ) -> Result<CaptureReport> {
        if let Some(lease) = self.lease {
            lease.release().await;
        }
        let Some(act) = self.act else { return ended };
        let until = ended.as_ref().ok().and_then(|it| it.captured_until);
        let missing = act.until(until).end(&ended, CaptureReport::outcome).await;
        match (&mut ended, missing) {
            (Ok(report), Some(missing)) => {
                capture.cx.notice(None, missing.as_str());
                report.problems.push(missing);
            }
            (_, missing) => capture.cx.unrecorded(missing, None),
        }
        ended
    }
}

/// Captures until it is stopped or has caught up.
pub(super) fn run<'a>(
    capture: &'a Capture,
    hold: &'a mut Hold,
    run: &'a mut Option<Run>,
    report: &'a mut CaptureReport,
) -> BoxFuture<'a, Result<()>> {
    async move {
        let held = hold.take(capture).boxed();
        match capture.cx.cancel.run_until_cancelled(held).await {
            Some(held) => held?,
            None => return Ok(()),
        }
        hold.record(capture, report).boxed().await;
        let captured = under_lease(capture, run, report, hold.lease.as_ref());
        captured.boxed().await
    }
    .boxed()
}

async fn under_lease(
    capture: &Capture,
    run: &mut Option<Run>,
    report: &mut CaptureReport,
    lease: Option<&CaptureLease>,
) -> Result<()> {
    let from = match &capture.options.read_preference {
        Some(preference) => preference.criteria()?,
        None => {
            let asked = capture.source.0.client.selection_criteria().cloned();
            asked.unwrap_or(SelectionCriteria::ReadPreference(
                ReadPreference::PrimaryPreferred { options: None },
            ))
        }
    };
    let found = async {
        let run = match run {
            Some(run) => run,
            None => run.insert(Run::new(capture, &from).await?),
        };
        let feed = Feed::open(capture, run, &from, report).await?;
        Ok::<_, Error>((&*run, feed))
    };
    let Some(found) = capture.cx.cancel.run_until_cancelled(found.boxed()).await else {
        return Ok(());
    };
    let (run, (header, feed)) = found?;
    let (gathered, waiting) = mpsc::channel(WAITING);
    let writer = Writer::new(capture, run, header, lease);
    let read = async {
        let read = match feed {
            Feed::Oplog(reader) => reader.run(&gathered).boxed().await.map(|()| None),
            Feed::Stream(reader) => reader.run(&gathered).boxed().await,
        };
        // The writer ends with what was gathered.
        drop(gathered);
        read
    };
    let (ended, ()) = future::try_join(read.boxed(), writer.run(waiting, report).boxed()).await?;
    ended.map_or(Ok(()), Err)
}

/// Where entries come from.
enum Feed<'a> {
    Oplog(Box<Reader<'a>>),
    Stream(Box<StreamReader<'a>>),
}

impl<'a> Feed<'a> {
    /// Goes on where what is stored ends; gives the header of what comes next.
    async fn open(
        capture: &'a Capture,
        run: &'a Run,
        from: &'a SelectionCriteria,
        CaptureReport {
            gaps,
            captured_until,
            ..
        }: &mut CaptureReport,
    ) -> Result<(SliceHeader, Self)> {
        if run.slices_from == SliceSource::Oplog {
            let oplog = Oplog {
                deployment: &capture.source.0,
                from,
            };
            let (position, at) = oplog::position(capture, run, from, gaps).boxed().await?;
            *captured_until = captured_until.or(position.stored_until());
            let until = match capture.options.until_caught_up {
                true => Some(oplog.newest().await?.at),
                false => None,
            };
            let header = position.header(capture, run, SliceSource::Oplog);
            return Ok((
                header,
                Self::Oplog(Box::new(Reader::new(capture, from, at, until))),
            ));
        }
        let found = stream_begin::position(capture, run, from, gaps).boxed();
        let (position, at) = found.await?;
        *captured_until = captured_until.or(position.stored_until());
        let until = match capture.options.until_caught_up {
            true => Some(now(&capture.source.0, from).await?),
            false => None,
        };
        let mut header = position.header(capture, run, SliceSource::ChangeStream);
        (header.unseen, header.term) = (at.unseen, at.term);
        let reader = StreamReader::new((capture, run, from), (at.telling, at.start), until);
        Ok((header, Self::Stream(Box::new(reader))))
    }
}
