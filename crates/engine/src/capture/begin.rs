//! Where a capture goes on, or begins.

use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use futures::StreamExt;
use mongodb::options::SelectionCriteria;
use rdump_format::{
    SourceRecord,
    repository::{
        EntryMark, GapReason, GapRecord, Previous, SliceFooter, SliceHeader, SpanName, TimelineId,
    },
};
use rdump_oplog::{Entry, OpTime, OpenTransactions, entry_mark};

use super::Capture;
use crate::{
    Error, ErrorKind, Result, Snapshot, command, connect::Deployment, repository::parse_slice,
};

/// How far before a snapshot slices begin, in seconds: as long as a transaction may take that is open at its moment.
const BEFORE_SNAPSHOT_SECONDS: u32 = 120;

/// How many timelines are looked at to find the one that is gone on with: those that reach farthest.
const MOST_TIMELINES: usize = 8;

/// Where to read on.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) timeline: TimelineId,
    /// The moment that comes before what is read.
    pub(super) start: OpTime,
    /// The entry of that moment, which has to be there still.
    pub(super) mark: EntryMark,
    /// What is stored of before.
    pub(super) previous: Option<Previous>,
    pub(super) open: OpenTransactions,
    /// Where the oldest of these began, so that they can be known by name again.
    pub(super) open_since: Option<OpTime>,
}

/// Finds out where to read on, and stores a gap if something is missing until there; `gaps` counts them.
pub(super) async fn position(
    capture: &Capture,
    from: &SelectionCriteria,
    source: &SourceRecord,
    gaps: &mut u64,
) -> Result<Position> {
    let (deployment, repository) = (&capture.source.0, &capture.repository);
    let oplog = Oplog { deployment, from };
    let timeline = repository.timeline().await?;
    let mut newest: Option<End> = None;
    for span in timeline.ends().into_iter().take(MOST_TIMELINES) {
        let bytes = repository.read_span(&span).await?;
        let slice = parse_slice(&span, &bytes)?;
        if slice.header.repository != repository.record().id {
            let path = span.path();
            return Err(Error::conflict(format!(
                "{path} is of another repository: it was copied here"
            )));
        }
        let Some(last) = slice.footer.last.clone() else {
            continue;
        };
        let end = End {
            span,
            previous: Previous::new(span.path(), &bytes),
            found: oplog.look_for(&last).await?,
            last,
            header: slice.header,
            footer: slice.footer,
        };
        if matches!(end.found, Found::There) {
            return Ok(end.go_on(capture));
        }
        // Clocks may go back where a deployment is set up anew.
        newest = Some(match newest {
            Some(newest) if newest.footer.written_at >= end.footer.written_at => newest,
            _ => end,
        });
    }
    let Some(End {
        span: newest,
        previous,
        header,
        found,
        ..
    }) = newest
    else {
        let mark = oplog.beginning(capture, OpTime::default()).await?;
        return Ok(Position::new(mark, None));
    };
    let (reason, detail) = match found {
        Found::RolledOver { oldest } => (
            GapReason::RolledOver,
            format!("the oldest entry of the oplog is that of {oldest}"),
        ),
        Found::OtherHistory { detail } => (GapReason::OtherHistory, detail),
        Found::There => return Err(Error::internal("what is there is gone on with")),
    };
    refuse_other_deployment(&header.source, source, &newest)?;
    let mark = oplog.beginning(capture, newest.end).await?;
    let mut gap = GapRecord::new(
        repository.record().id,
        header.timeline,
        (newest.end, mark.at.max(after(newest.end))),
        reason,
        previous,
        capture.cx.now().to_string(),
    );
    gap.detail.clone_from(&detail);
    let mut position = Position::new(mark, None);
    if reason == GapReason::RolledOver {
        position.timeline = header.timeline;
    }
    gap.next = position.timeline;
    position.previous = Some(repository.put_gap(&gap).await?);
    *gaps += 1;
    let message = format!(
        "nothing is known of what was written from {} to {}, since {reason} ({detail}): take a snapshot",
        gap.start, gap.end
    );
    capture.cx.emit(crate::Event::Gap {
        start: gap.start,
        end: gap.end,
        message,
    });
    Ok(position)
}

/// The first moment after another one.
fn after(at: OpTime) -> OpTime {
    OpTime {
        ordinal: at.ordinal.saturating_add(1),
        ..at
    }
}

/// The last slice of a timeline.
struct End {
    span: SpanName,
    previous: Previous,
    header: SliceHeader,
    footer: SliceFooter,
    last: EntryMark,
    found: Found,
}

impl End {
    /// After what is in the oplog still.
    fn go_on(self, capture: &Capture) -> Position {
        if self.header.select == capture.options.select {
            return Position {
                timeline: self.header.timeline,
                start: self.span.end,
                mark: self.last,
                previous: Some(self.previous),
                open: OpenTransactions::default(),
                open_since: self.footer.open_since,
            };
        }
        let message = format!(
            "what was captured until {} has other namespaces: from there on it is another timeline, which needs a snapshot of its own",
            self.span.end
        );
        capture.cx.notice(None, message);
        Position {
            open_since: self.footer.open_since,
            ..Position::new(self.last, Some(self.previous))
        }
    }
}

/// A repository holds what one deployment wrote.
fn refuse_other_deployment(
    before: &SourceRecord,
    now: &SourceRecord,
    newest: &SpanName,
) -> Result<()> {
    let is_same = before.set_name == now.set_name
        && (before.hosts == now.hosts || before.hosts.iter().any(|host| now.hosts.contains(host)));
    match is_same {
        true => Ok(()),
        false => Err(Error::conflict(format!(
            "what is captured here until {} is of another deployment: {}",
            newest.end,
            before.hosts.join(",")
        ))
        .with_hint("capture each deployment into a repository of its own")),
    }
}

impl Position {
    /// A new timeline that begins after an entry.
    fn new(mark: EntryMark, previous: Option<Previous>) -> Self {
        let [id @ .., _, _, _, _, _, _, _, _] = bson::Uuid::new().bytes();
        Self {
            timeline: TimelineId(id),
            start: mark.at,
            mark,
            previous,
            open: OpenTransactions::default(),
            open_since: None,
        }
    }

    /// The header of a slice that comes after it.
    pub(super) fn header(&self, capture: &Capture, run: &super::session::Run) -> SliceHeader {
        let mut header = SliceHeader::new(
            capture.repository.record().id,
            self.timeline,
            run.id.clone(),
            run.source.clone(),
            self.start,
        );
        header.previous.clone_from(&self.previous);
        header.select = capture.options.select.clone();
        header
    }
}

/// What became of the entry that was captured last.
enum Found {
    There,
    RolledOver { oldest: OpTime },
    OtherHistory { detail: String },
}

/// The oplog as far as a majority of the members has it.
#[derive(Clone, Copy)]
pub(super) struct Oplog<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) from: &'a SelectionCriteria,
}

impl Oplog<'_> {
    /// The first entry of a query.
    async fn one(&self, filter: RawDocumentBuf, order: i32) -> Result<Option<RawDocumentBuf>> {
        let find = rawdoc! {
            "find": "oplog.rs", "filter": filter, "sort": { "$natural": order }, "limit": 1, "singleBatch": true,
            "readConcern": { "level": "majority" },
        };
        let local = self.deployment.database("local");
        let cursor = local.run_raw_cursor_command(find);
        let cursor = cursor.selection_criteria(self.from.clone()).batch().await;
        let mut batches = cursor.map_err(denied)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(command::error)?;
            if let Some(entry) = batch
                .doc_slices()
                .map_err(command::error)?
                .into_iter()
                .next()
            {
                let entry = entry.map_err(Error::from_bson)?;
                return Ok(entry.as_document().map(RawDocument::to_owned));
            }
        }
        Ok(None)
    }

    async fn oldest(&self) -> Result<EntryMark> {
        let oldest = self.one(RawDocumentBuf::new(), 1).await?;
        mark(oldest.as_deref())
    }

    pub(super) async fn newest(&self) -> Result<EntryMark> {
        let newest = self.one(RawDocumentBuf::new(), -1).await?;
        mark(newest.as_deref())
    }

    async fn at_or_after(&self, at: OpTime) -> Result<Option<EntryMark>> {
        let filter = rawdoc! { "ts": { "$gte": Timestamp::from(at) } };
        let found = self.one(filter, 1).await?;
        found.map(|entry| mark(Some(&*entry))).transpose()
    }

    async fn look_for(&self, last: &EntryMark) -> Result<Found> {
        if let Some(found) = self.at_or_after(last.at).await? {
            let oldest = self.oldest().await?;
            return Ok(match found.at == last.at {
                true if found == *last => Found::There,
                true => Found::OtherHistory {
                    detail: format!("another entry has the moment {}", last.at),
                },
                false if oldest.at > last.at && oldest.term >= last.term => {
                    Found::RolledOver { oldest: oldest.at }
                }
                false => Found::OtherHistory {
                    detail: format!("there is no entry of {} any more", last.at),
                },
            });
        }
        // A member may be behind, or the majority not know of a write that it had.
        let newest = self.newest().await?;
        match newest.term >= last.term && newest.at >= last.at {
            true => Err(Error::new(ErrorKind::Unavailable, "the oplog changes while it is looked at")),
            false if newest.term < last.term => Ok(Found::OtherHistory {
                detail: format!(
                    "the newest entry is that of {}, of term {}",
                    newest.at,
                    newest.term.unwrap_or_default()
                ),
            }),
            false => Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "the member that is read has come to {} only, and what is stored ends at {}",
                    newest.at, last.at
                ),
            )
            .with_hint("look whether the member replicates; if the deployment was restored or set up anew, capture into a new repository")),
        }
    }

    /// The entry that a new timeline begins after: before the oldest snapshot that the oplog still leads on from, else the newest.
    async fn beginning(&self, capture: &Capture, after: OpTime) -> Result<EntryMark> {
        let (oldest, newest) = (self.oldest().await?, self.newest().await?);
        let snapshots = capture.repository.snapshots().await?;
        let moments = moments(
            &snapshots.whole,
            capture.source.server().set_name.as_deref(),
        );
        let mut usable = moments.into_iter();
        let usable = usable.find(|at| *at > after && *at >= oldest.at && *at <= newest.at);
        let Some(moment) = usable else {
            return Ok(newest);
        };
        let early = OpTime {
            seconds: moment.seconds.saturating_sub(BEFORE_SNAPSHOT_SECONDS),
            ordinal: 0,
        };
        let found = self.at_or_after(early.max(after)).await?;
        let found = found.filter(|found| found.at > after && found.at <= moment);
        Ok(found.unwrap_or(newest))
    }
}

/// The moments that snapshots of a set are of, the oldest first.
fn moments(snapshots: &[Snapshot], set_name: Option<&str>) -> Vec<OpTime> {
    let moments = snapshots.iter().filter_map(|snapshot| {
        let run = &snapshot.manifest().run;
        let is_of_this = run.source.set_name.as_deref() == set_name;
        let at = run.consistent_at.as_ref().filter(|_| is_of_this)?;
        at.parse::<OpTime>().ok()
    });
    let mut moments: Vec<OpTime> = moments.collect();
    moments.sort_unstable();
    moments
}

fn mark(entry: Option<&RawDocument>) -> Result<EntryMark> {
    let entry = entry.ok_or_else(|| {
        Error::data("the oplog (local.oplog.rs) is empty, which that of a replica set never is")
            .with_hint("Amazon DocumentDB has no oplog")
    })?;
    entry_mark(entry.as_bytes()).map_err(|error| malformed().caused_by(error))
}

/// When an entry was written.
pub(super) fn at(entry: &RawDocument) -> Result<OpTime> {
    let parsed = Entry::parse(entry.as_bytes()).map_err(|error| malformed().caused_by(error))?;
    Ok(parsed.at())
}

pub(super) fn malformed() -> Error {
    Error::data("the server sent a malformed oplog entry")
}

/// What a user needs who may not read the oplog.
pub(super) fn denied(error: mongodb::error::Error) -> Error {
    let error = command::error(error);
    match error.kind() {
        ErrorKind::Denied => error.with_hint(
            "to capture needs the built-in role `backup`: db.getSiblingDB('admin').grantRolesToUser('…', ['backup'])",
        ),
        _ => error,
    }
}
