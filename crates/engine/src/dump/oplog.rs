//! Capturing the oplog while everything else is dumped.
//!
//! It is read from before the first document to after the last, so that a restore which replays it brings all
//! collections to one moment. Reading goes on all the time: the server may forget what was captured.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bson::{Document, RawDocument, RawDocumentBuf, Regex, Timestamp, cstr, doc, rawdoc};
use futures::StreamExt;
use mongodb::{
    options::{ReadPreference, SelectionCriteria},
    raw_batch_cursor::RawBatch,
};
use rdump_format::Namespace;
use rdump_oplog::{
    CaptureError, Entry, OpTime, RemapError, Remapped, changes_catalog, check_captured, remap,
};
use tokio::sync::{mpsc, watch};

use super::{
    DumpOptions,
    cursor::{Batch, Query, ReadError, Taken},
    moment::Moment,
    plan::PlannedNamespace,
    scope::Scope,
};
use crate::{
    Error, ErrorKind, Result,
    catalog::Statistics,
    command,
    connect::Deployment,
    context::RunContext,
    media::NamespaceHeader,
    retry::{Retries, patiently},
};

/// How long to wait before new entries are asked for.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the member that is read may take to get from one entry to the next, once the dump waits for it.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(120);

/// The oplog that is captured.
#[derive(Clone, Debug)]
pub(super) struct PlannedOplog {
    pub(super) planned: PlannedNamespace,
    /// Where it starts: what was written before is in the catalog and in the documents that will be read.
    pub(super) start: OpTime,
    /// What is dumped, if that is not everything.
    pub(super) scope: Option<Scope>,
    /// Whether a change stream tells of it, and not the oplog itself.
    pub(super) is_stream: bool,
}

/// Finds out where capturing has to start, if `newest` is the newest entry that could be read before the catalog was: what is created later must be in it.
pub(super) async fn plan(
    deployment: &Deployment,
    options: &DumpOptions,
    newest: OpTime,
    cx: &RunContext,
) -> Result<PlannedOplog> {
    // A transaction that begins after the first look began after what that look found.
    let open = patiently(
        cx,
        options.max_retries,
        None,
        "looking for open transactions",
        || oldest_open_transaction(deployment, newest),
    )
    .await?;
    let start = open.into_iter().chain([newest]).min().unwrap_or(newest);
    Ok(planned(options, start))
}

/// What is captured from a moment on.
pub(super) fn planned(options: &DumpOptions, start: OpTime) -> PlannedOplog {
    let (namespace, scope) = (Namespace::oplog(), Scope::of(options));
    PlannedOplog {
        start,
        is_stream: false,
        scope: (!scope.is_everything()).then_some(scope),
        planned: PlannedNamespace {
            header: NamespaceHeader {
                data_namespace: Some(namespace.clone()),
                namespace,
                metadata: None,
                codec: options.compression.codec(),
            },
            read_from: Namespace::new("local", "oplog.rs"),
            filter: None,
            statistics: Statistics::default(),
            raw_data: false,
            identity: None,
            ordered_by_id: false,
        },
    }
}

/// The newest moments that a member knows. They differ while a write is under way beside one that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moments {
    /// The newest entry that can be read. One of before it may be missing yet, whose writer is still at it: who
    /// reads what was written until here has to say so to the server.
    pub(super) readable: OpTime,
    /// Nothing that was read until now is of a later moment.
    pub(super) seen: OpTime,
}

/// The moments that the newest member has come to.
pub(super) async fn moments(
    deployment: &Deployment,
    max_retries: u32,
    cx: &RunContext,
) -> Result<Moments> {
    let local = deployment.database("local");
    let find = doc! {
        "find": "oplog.rs", "sort": { "$natural": -1 }, "limit": 1, "singleBatch": true, "projection": { "ts": 1 },
    };
    let from = newest_member();
    let reply = patiently(
        cx,
        max_retries,
        None,
        "looking for the newest oplog entry",
        || command::read(&local, find.clone(), &from),
    )
    .await?;
    Moments::of(&reply).ok_or_else(|| {
        Error::data("the oplog (local.oplog.rs) is empty, which that of a replica set never is")
            .with_hint("Amazon DocumentDB has no oplog: dump without it (--consistency none)")
    })
}

impl Moments {
    /// From the reply to a look at the newest entry; `None` if there is no entry.
    fn of(reply: &Document) -> Option<Self> {
        let readable = first(reply)?.get_timestamp("ts").ok()?;
        let seen = reply.get_timestamp("operationTime").unwrap_or(readable);
        let readable = OpTime::from(readable);
        Some(Self {
            readable,
            seen: readable.max(seen.into()),
        })
    }
}

/// The first change after `after` and until `until` of what exists or how it is defined, in what is dumped.
pub(super) async fn first_catalog_change(
    deployment: &Deployment,
    scope: &Scope,
    (after, until): (OpTime, OpTime),
) -> Result<Option<OpTime>> {
    let views = Regex {
        pattern: cstr!(r"\.system\.views$").to_owned(),
        options: cstr!("").to_owned(),
    };
    let filter = rawdoc! {
        "ts": { "$gt": Timestamp::from(after), "$lte": Timestamp::from(until) },
        "$or": [{ "op": "c" }, { "ns": views }],
    };
    let changes = |entry: &RawDocument| changes_scope(entry.as_bytes(), scope);
    first_entry(deployment, filter, until, changes).await
}

/// Whether the oplog has everything from a moment on, and nothing that cannot be replayed.
pub(super) async fn reaches_back(
    deployment: &Deployment,
    scope: &Scope,
    start: OpTime,
) -> Result<bool> {
    let at_start = rawdoc! { "ts": Timestamp::from(start) };
    let found = first_entry(deployment, at_start, start, |_| Ok(true)).await?;
    if found.is_none() {
        return Ok(false);
    }
    let filter = rawdoc! {
        "ts": { "$gte": Timestamp::from(start) },
        "$or": [{ "op": "c" }, { "ns": "admin.system.version" }],
    };
    let scope = (!scope.is_everything()).then_some(scope);
    let is_in_the_way = |entry: &RawDocument| {
        let mut kept = Vec::new();
        Ok(take(entry.as_bytes(), scope, &mut kept).is_err())
    };
    let in_the_way = first_entry(deployment, filter, start, is_in_the_way).await?;
    Ok(in_the_way.is_none())
}

/// When the first entry was written that a filter lets through and is wanted, if there is one; once the server has all of until `seen`.
async fn first_entry(
    deployment: &Deployment,
    filter: RawDocumentBuf,
    seen: OpTime,
    is_wanted: impl Fn(&RawDocument) -> Result<bool>,
) -> Result<Option<OpTime>> {
    let mut find = rawdoc! {
        "find": "oplog.rs",
        "filter": filter,
        "readConcern": { "level": "local", "afterClusterTime": Timestamp::from(seen) },
    };
    if !deployment.server.capabilities().finds_in_oplog {
        find.append(cstr!("oplogReplay"), true);
    }
    let local = deployment.database("local");
    let found = local.run_raw_cursor_command(find);
    let found = found.selection_criteria(newest_member());
    let mut batches = found.batch().await.map_err(command::error)?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(command::error)?;
        for entry in batch.doc_slices().map_err(malformed)? {
            let entry = entry.map_err(malformed)?;
            let entry = entry.as_document();
            let entry = entry.ok_or_else(|| malformed("what is no document"))?;
            if is_wanted(entry)? {
                return Ok(Some(Seen::of(entry)?.at));
            }
        }
    }
    Ok(None)
}

fn changes_scope(entry: &[u8], scope: &Scope) -> Result<bool> {
    let changes = |entry: &[u8]| changes_catalog(entry).map_err(malformed);
    match remap(entry, &|namespace| scope.in_oplog(namespace)) {
        Ok(Remapped::Nothing) => Ok(false),
        Ok(Remapped::Same) => changes(entry),
        Ok(Remapped::Changed(changed)) => changes(changed.as_bytes()),
        Err(RemapError::RenamedIn { .. }) => Ok(true),
        Err(error) => Err(malformed(error)),
    }
}

/// Where the oldest transaction starts that is neither committed nor aborted, if it was in the oplog at `newest`.
async fn oldest_open_transaction(
    deployment: &Deployment,
    newest: OpTime,
) -> Result<Option<OpTime>> {
    let config = deployment.database("config");
    let mut find = doc! {
        "find": "transactions", "filter": { "state": { "$in": ["prepared", "inProgress"] } },
        "sort": { "startOpTime": 1 }, "limit": 1, "singleBatch": true,
    };
    find.extend([command::not_before(newest)]);
    let reply = command::read(&config, find, &newest_member()).await?;
    let start = first(&reply).and_then(|transaction| transaction.get_document("startOpTime").ok());
    Ok(start
        .and_then(|start| start.get_timestamp("ts").ok())
        .map(OpTime::from))
}

fn newest_member() -> SelectionCriteria {
    SelectionCriteria::ReadPreference(ReadPreference::PrimaryPreferred { options: None })
}

fn first(reply: &Document) -> Option<&Document> {
    let cursor = reply.get_document("cursor").ok()?;
    cursor.get_array("firstBatch").ok()?.first()?.as_document()
}

/// The read concern of the oplog itself: unless it is said otherwise, only what no new primary takes back.
pub(super) fn read_concern(deployment: &Deployment) -> Result<RawDocumentBuf> {
    match deployment.client.read_concern() {
        None => Ok(rawdoc! { "level": "majority" }),
        Some(concern) => bson::serialize_to_raw_document_buf(concern).map_err(Error::from_bson),
    }
}

/// Reads the oplog from its start on, until it is told where to end.
#[derive(Debug)]
pub(super) struct Tail {
    cx: RunContext,
    query: Query,
    last: Seen,
    end: watch::Receiver<Option<OpTime>>,
    /// Whether the server need not be told that it need not look at what is older.
    finds_in_oplog: bool,
    retries: Retries,
    /// What is dumped, if that is not everything.
    scope: Option<Scope>,
    /// What everything else is read at: as long as it is, nothing has to be captured.
    moment: Option<Arc<Moment>>,
    /// Its last moment, once it has ended.
    ended: Arc<OnceLock<OpTime>>,
}

/// The entry that was read last; before the first one, where that is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    at: OpTime,
    /// Tells it from an entry of the same time that another primary wrote; `None` before the first one.
    term: Option<Option<i64>>,
}

impl Tail {
    pub(super) fn new(
        cx: RunContext,
        query: Query,
        oplog: &PlannedOplog,
        end: watch::Receiver<Option<OpTime>>,
        finds_in_oplog: bool,
        retries: Retries,
    ) -> Self {
        let last = Seen {
            at: oplog.start,
            term: None,
        };
        Self {
            cx,
            query,
            last,
            end,
            finds_in_oplog,
            retries,
            scope: oplog.scope.clone(),
            moment: None,
            ended: Arc::default(),
        }
    }

    /// Has it end with what cannot be replayed, as long as everything else is read at this moment; gives its last moment, once it has ended.
    pub(super) fn unless_needed(&mut self, moment: Option<Arc<Moment>>) -> Arc<OnceLock<OpTime>> {
        self.moment = moment;
        Arc::clone(&self.ended)
    }

    /// Sends every entry from the start to the end, once it is known.
    ///
    /// Each look begins with the entry that the one before ended with: it is still there if nothing was missed.
    pub(super) async fn run(mut self, batches: &mpsc::Sender<Batch>) -> Result<()> {
        let mut standstill = Standstill::since(Instant::now());
        loop {
            let end = *self.end.borrow_and_update();
            let before = self.last;
            let mut last = before;
            let find = find(before.at, end, self.finds_in_oplog);
            let mut first = true;
            let follow = |batch: &RawBatch| {
                let (taken, fault) = follow(batch, &mut first, &mut last, self.scope.as_ref())?;
                match fault {
                    None => Ok(taken),
                    Some(fault) => self.end_early(fault, last.at).map(|()| taken),
                }
            };
            let read = self.query.read(find, batches, follow).await;
            self.last = last;
            if read.is_ok() && self.ended.get().is_some() {
                return Ok(());
            }
            if last != before {
                self.retries.progressed();
            }
            let (has_moved, end_is_known) = (last != before, end.is_some());
            let is_too_long = standstill.is_too_long(has_moved, end_is_known, Instant::now());
            match read {
                Ok(()) => {}
                // It is not read at that moment.
                Err(ReadError::Fatal(error) | ReadError::Later(error)) => return Err(error),
                Err(ReadError::Interrupted(error)) => {
                    let (error, what) = (command::error(error), "reading on in the oplog");
                    let oplog = Namespace::oplog();
                    self.retries
                        .again_after(&self.cx, Some(&oplog), what, error)
                        .await?;
                    continue;
                }
            }
            if end.is_some_and(|end| last.term.is_some() && last.at >= end) {
                // It may have been read on while it was found out where it has to end.
                self.ended.get_or_init(|| last.at);
                return Ok(());
            }
            if let Some(end) = end
                && is_too_long
            {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!(
                        "the oplog of the member that is read ends at {}, and the dump needs it up to {end}",
                        last.at
                    ),
                )
                .with_hint("look whether that member still replicates, or read another one (--readPreference)"));
            }
            // Who dropped the sender wants nothing any more, and will drop this too.
            let _ = tokio::time::timeout(PAUSE, self.end.changed()).await;
        }
    }
}

impl Tail {
    /// Ends it after the entry of `at`, because of what came then; an error if it is needed.
    ///
    /// What ends before the moment that everything else is of would be worse than nothing: it could not be brought to that.
    fn end_early(&self, fault: Error, at: OpTime) -> Result<()> {
        let moment = self.moment.as_ref();
        let moment = moment.filter(|moment| moment.current().is_some_and(|of| of <= at));
        match moment {
            Some(moment) => moment.lose_oplog(fault)?,
            None => return Err(fault),
        }
        self.ended.get_or_init(|| at);
        Ok(())
    }
}

/// Since when nothing came of the oplog that the dump waits for.
#[derive(Debug)]
struct Standstill {
    since: Instant,
}

impl Standstill {
    fn since(since: Instant) -> Self {
        Self { since }
    }

    /// Takes note of a look at the oplog; whether it stands still for longer than it may.
    ///
    /// Until it is known where the oplog has to end, one in which nobody writes stands still rightly.
    fn is_too_long(&mut self, has_moved: bool, end_is_known: bool, now: Instant) -> bool {
        if has_moved || !end_is_known {
            self.since = now;
        }
        now.duration_since(self.since) > LONGEST_STANDSTILL
    }
}

/// The command that reads from `start` on, up to `end` if that is known.
fn find(start: OpTime, end: Option<OpTime>, finds_in_oplog: bool) -> RawDocumentBuf {
    let mut span = rawdoc! { "$gte": Timestamp::from(start) };
    if let Some(end) = end {
        span.append(cstr!("$lte"), Timestamp::from(end));
    }
    let mut find = rawdoc! { "find": "oplog.rs", "filter": { "ts": span } };
    if !finds_in_oplog {
        find.append(cstr!("oplogReplay"), true);
    }
    find
}

/// Takes note of a batch that came after `last`; says what is taken of it, and what the entry after that is that must not be.
///
/// The first entry of a look has to be the last one of the look before.
fn follow(
    batch: &RawBatch,
    first: &mut bool,
    last: &mut Seen,
    scope: Option<&Scope>,
) -> Result<(Taken, Option<Error>)> {
    let entries = batch.doc_slices().map_err(malformed)?;
    let (mut skip, mut kept, mut fault) = (0, Vec::new(), None);
    for entry in entries {
        let entry = entry.map_err(malformed)?;
        let entry = entry
            .as_document()
            .ok_or_else(|| malformed("what is no document"))?;
        let seen = Seen::of(entry)?;
        let taken = match std::mem::take(first) {
            true => check_continuity(*last, seen),
            false => Ok(0),
        };
        let taken = taken.and_then(|known| match known {
            1 => {
                skip = 1;
                Ok(())
            }
            _ => take(entry.as_bytes(), scope, &mut kept),
        });
        if let Err(error) = taken {
            fault = Some(error);
            break;
        }
        *last = seen;
    }
    let taken = match (scope, &fault) {
        (None, None) => Taken::After(skip),
        (None, Some(_)) => Taken::Instead {
            documents: before(batch, skip, *last)?,
            is_last: true,
        },
        (Some(_), fault) => Taken::Instead {
            documents: kept,
            is_last: fault.is_some(),
        },
    };
    Ok((taken, fault))
}

/// The entries of a batch up to one, without the first ones.
fn before(batch: &RawBatch, skip: usize, last: Seen) -> Result<Vec<u8>> {
    let mut taken = Vec::new();
    let entries = batch.doc_slices().map_err(malformed)?;
    for entry in entries.into_iter().skip(skip) {
        let entry = entry.map_err(malformed)?;
        let entry = entry
            .as_document()
            .ok_or_else(|| malformed("what is no document"))?;
        if Seen::of(entry)?.at > last.at {
            break;
        }
        taken.extend_from_slice(entry.as_bytes());
    }
    Ok(taken)
}

/// Appends what there is of an entry about what is dumped, if that is not everything, unless it must not be.
pub(super) fn take(entry: &[u8], scope: Option<&Scope>, kept: &mut Vec<u8>) -> Result<()> {
    let checked = check_captured(entry);
    let Some(scope) = scope else {
        return checked.map_err(not_brought);
    };
    let changed;
    let entry = match remap(entry, &|namespace| scope.in_oplog(namespace)) {
        Ok(Remapped::Nothing) => None,
        Ok(Remapped::Same) => Some(entry),
        Ok(Remapped::Changed(entry)) => {
            changed = entry;
            Some(changed.as_bytes())
        }
        Err(error) => return Err(not_brought(error)),
    };
    match (checked, entry) {
        (Ok(()), _) => {}
        // That of another collection is none of ours.
        (Err(CaptureError::Rename { .. } | CaptureError::Import { .. }), Some(entry)) => {
            check_captured(entry).map_err(not_brought)?;
        }
        (Err(CaptureError::Rename { .. } | CaptureError::Import { .. }), None) => {}
        (Err(error), _) => return Err(not_brought(error)),
    }
    kept.extend_from_slice(entry.unwrap_or_default());
    Ok(())
}

pub(super) fn not_brought(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::conflict("what was dumped cannot be brought to one moment by its oplog")
        .caused_by(error)
        .with_hint("dump again once that is over")
}

/// Whether the entry that comes first is known already (1) or new (0), if it is the right one.
fn check_continuity(last: Seen, first: Seen) -> Result<usize> {
    match last.term {
        None if last.at == first.at => Ok(0),
        Some(_) if last == first => Ok(1),
        Some(_) if last.at == first.at => Err(Error::conflict(format!(
            "the oplog entry of {} was captured, and another one has taken its place: it was rolled back",
            last.at
        ))
        .with_hint("start the dump again")),
        _ => Err(Error::conflict(format!(
            "oplog overflow: the entry of {} is gone, and the oldest one after it is that of {}",
            last.at, first.at
        ))
        .with_hint("the oplog is too small for what is written meanwhile, or the entry was rolled back: start the dump again")),
    }
}

impl Seen {
    fn of(entry: &RawDocument) -> Result<Self> {
        let parsed = Entry::parse(entry.as_bytes()).map_err(malformed)?;
        Ok(Self {
            at: parsed.at(),
            term: Some(parsed.term()),
        })
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("the server sent a malformed oplog entry").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ordinal: u32) -> Timestamp {
        Timestamp {
            time: 100,
            increment: ordinal,
        }
    }

    fn seen(ordinal: u32, term: i64) -> Seen {
        Seen {
            at: at(ordinal).into(),
            term: Some(Some(term)),
        }
    }

    #[test]
    fn a_capture_starts_where_the_oplog_can_be_read_and_ends_where_documents_may_be() {
        let reply = |operation: Option<Timestamp>| {
            let mut reply = doc! { "cursor": { "firstBatch": [{ "ts": at(5) }] } };
            reply.extend(operation.map(|at| ("operationTime".to_owned(), at.into())));
            Moments::of(&reply).unwrap()
        };
        let moments = |readable, seen| Moments {
            readable: at(readable).into(),
            seen: at(seen).into(),
        };
        // The write of moment 6 is under way, and that of 7 is done.
        assert_eq!(reply(Some(at(7))), moments(5, 7));
        assert_eq!(reply(Some(at(4))), moments(5, 5));
        assert_eq!(reply(None), moments(5, 5));
        let empty = doc! { "cursor": { "firstBatch": [] }, "operationTime": at(7) };
        assert_eq!(Moments::of(&empty), None);
    }

    #[test]
    fn a_standstill_counts_from_when_the_dump_waits_for_the_oplog() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut standstill = Standstill::since(start);
        // A day in which nobody writes.
        assert!(!standstill.is_too_long(false, false, after(86_400)));
        assert!(!standstill.is_too_long(false, true, after(86_520)));
        assert!(!standstill.is_too_long(true, true, after(86_530)));
        assert!(!standstill.is_too_long(false, true, after(86_650)));
        assert!(standstill.is_too_long(false, true, after(86_651)));
    }

    #[test]
    fn a_look_begins_with_the_entry_that_the_last_one_ended_with() {
        let start = Seen {
            at: at(5).into(),
            term: None,
        };
        assert_eq!(check_continuity(start, seen(5, 1)).unwrap(), 0);
        assert_eq!(check_continuity(seen(5, 1), seen(5, 1)).unwrap(), 1);
        for (last, first, words) in [
            (start, seen(6, 1), "oplog overflow"),
            (seen(5, 1), seen(6, 1), "oplog overflow"),
            (seen(5, 1), seen(5, 2), "rolled back"),
        ] {
            let error = check_continuity(last, first).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
