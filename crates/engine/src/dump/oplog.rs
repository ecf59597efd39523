//! Capturing the oplog while everything else is dumped.
//!
//! It is read from before the first document to after the last, so that a restore which replays it brings all
//! collections to one moment. Reading goes on all the time: the server may forget what was captured.

use std::time::{Duration, Instant};

use bson::{Document, RawDocument, RawDocumentBuf, Timestamp, cstr, doc, rawdoc};
use mongodb::{
    options::{ReadPreference, SelectionCriteria},
    raw_batch_cursor::RawBatch,
};
use rdump_format::{Codec, Namespace};
use rdump_oplog::{Entry, OpTime, check_captured};
use tokio::sync::{mpsc, watch};

use super::{
    cursor::{Batch, Query, ReadError},
    plan::PlannedNamespace,
};
use crate::{
    Error, ErrorKind, Result, Topology,
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
}

/// Finds out where capturing has to start; before the catalog is read, since what is created later must be in it.
pub(super) async fn plan(
    deployment: &Deployment,
    codec: Codec,
    max_retries: u32,
    cx: &RunContext,
) -> Result<PlannedOplog> {
    if deployment.server.topology != Topology::ReplicaSet {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "there is no oplog to dump (--oplog): this is a {}",
                deployment.server.topology
            ),
        )
        .with_hint(
            "members of a replica set have one; on a sharded cluster, dump each shard by itself",
        ));
    }
    // A transaction that begins after the first look began after what that look found.
    let newest = moments(deployment, max_retries, cx).await?.readable;
    let open = patiently(
        cx,
        max_retries,
        None,
        "looking for open transactions",
        || oldest_open_transaction(deployment, newest),
    )
    .await?;
    let namespace = Namespace::oplog();
    Ok(PlannedOplog {
        start: open.into_iter().chain([newest]).min().unwrap_or(newest),
        planned: PlannedNamespace {
            header: NamespaceHeader {
                data_namespace: Some(namespace.clone()),
                namespace,
                metadata: None,
                codec,
            },
            read_from: Namespace::new("local", "oplog.rs"),
            filter: None,
            statistics: Statistics::default(),
            raw_data: false,
            identity: None,
            ordered_by_id: false,
        },
    })
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
            .with_hint("Amazon DocumentDB has no oplog: dump without --oplog")
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
        start: OpTime,
        end: watch::Receiver<Option<OpTime>>,
        finds_in_oplog: bool,
        retries: Retries,
    ) -> Self {
        let last = Seen {
            at: start,
            term: None,
        };
        Self {
            cx,
            query,
            last,
            end,
            finds_in_oplog,
            retries,
        }
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
            let follow = |batch: &RawBatch| follow(batch, &mut first, &mut last);
            let read = self.query.read(find, batches, follow).await;
            self.last = last;
            if last != before {
                self.retries.progressed();
            }
            let (has_moved, end_is_known) = (last != before, end.is_some());
            let is_too_long = standstill.is_too_long(has_moved, end_is_known, Instant::now());
            match read {
                Ok(()) => {}
                Err(ReadError::Fatal(error)) => return Err(error),
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

/// Takes note of a batch that came after `last`; returns how many entries of it are known.
///
/// The first entry of a look has to be the last one of the look before.
fn follow(batch: &RawBatch, first: &mut bool, last: &mut Seen) -> Result<usize> {
    let entries = batch.doc_slices().map_err(malformed)?;
    let mut skip = 0;
    for entry in entries {
        let entry = entry.map_err(malformed)?;
        let entry = entry
            .as_document()
            .ok_or_else(|| malformed("what is no document"))?;
        let seen = Seen::of(entry)?;
        if std::mem::take(first) {
            skip = check_continuity(*last, seen)?;
            if skip == 1 {
                continue;
            }
        }
        check_captured(entry.as_bytes()).map_err(|error| {
            Error::conflict("what was dumped cannot be brought to one moment by its oplog")
                .caused_by(error)
                .with_hint("dump again once that is over")
        })?;
        *last = seen;
    }
    Ok(skip)
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
