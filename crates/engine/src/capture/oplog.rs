//! The oplog of a replica set, as far as a majority of its members has it.

use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};
use futures::StreamExt;
use mongodb::options::SelectionCriteria;
use rdump_format::repository::{EntryMark, GapReason, SliceSource};
use rdump_oplog::{Entry, OpTime, entry_mark};

use super::{
    Capture,
    begin::{End, Position, moments, refuse_other_deployment},
    session::Run,
};
use crate::{Error, ErrorKind, Result, command, connect::Deployment};

/// How far before a snapshot slices begin, in seconds: as long as a transaction may take that is open at its moment.
const BEFORE_SNAPSHOT_SECONDS: u32 = 120;

/// Where to read on.
#[derive(Debug)]
pub(super) struct OplogPosition {
    /// The entry of the moment that comes before what is read, which has to be there still.
    pub(super) mark: EntryMark,
    /// Where the oldest transaction began that is open there.
    pub(super) open_since: Option<OpTime>,
}

/// Finds out where to read on, and stores a gap if something is missing until there; `gaps` counts them.
pub(super) async fn position(
    capture: &Capture,
    run: &Run,
    from: &SelectionCriteria,
    gaps: &mut u64,
) -> Result<(Position, OplogPosition)> {
    let deployment = &capture.source.0;
    let oplog = Oplog { deployment, from };
    let mut newest: Option<(End, (GapReason, String))> = None;
    for end in End::of_source(capture, SliceSource::Oplog).await? {
        if let Some(position) = end.after_gap(capture).await? {
            let Some(mark) = oplog.at(position.start).await? else {
                let why_not = oplog.lacks(position.start).await?;
                newest.get_or_insert((end, why_not));
                continue;
            };
            let open_since = None;
            return Ok((position, OplogPosition { mark, open_since }));
        }
        let why_not = match &end.footer.last {
            Some(last) if end.header.from == SliceSource::Oplog => {
                let found = oplog.look_for(last).await;
                if found.is_err() {
                    // That of another deployment may never come so far.
                    refuse_other_deployment(&end.header.source, &run.source, &end.span)?;
                }
                match found? {
                    Found::There => {
                        let at = OplogPosition {
                            mark: last.clone(),
                            open_since: end.footer.open_since,
                        };
                        return Ok((end.go_on(capture), at));
                    }
                    Found::RolledOver { oldest } => (
                        GapReason::RolledOver,
                        format!("the oldest entry of the oplog is that of {oldest}"),
                    ),
                    Found::OtherHistory { detail } => (GapReason::OtherHistory, detail),
                }
            }
            _ => (
                GapReason::OtherSource,
                "a change stream before, the oplog then".to_owned(),
            ),
        };
        newest.get_or_insert((end, why_not));
    }
    let after = newest.as_ref().map(|(end, _)| end.span.end);
    let mark = oplog.beginning(capture, after.unwrap_or_default()).await?;
    let position = match newest {
        None => Position::new(mark.at),
        Some((end, why_not)) => {
            let gap = end
                .leave_gap(capture, &run.source, mark.at, why_not)
                .await?;
            *gaps += 1;
            gap
        }
    };
    let open_since = None;
    Ok((position, OplogPosition { mark, open_since }))
}

/// What became of the entry that was captured last.
enum Found {
    There,
    RolledOver { oldest: OpTime },
    OtherHistory { detail: String },
}

/// The oplog as far as a majority of the members has it.
#[derive(Clone, Copy)]
pub(crate) struct Oplog<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) from: &'a SelectionCriteria,
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

    pub(crate) async fn oldest(&self) -> Result<EntryMark> {
        let oldest = self.one(RawDocumentBuf::new(), 1).await?;
        mark(oldest.as_deref())
    }

    pub(crate) async fn newest(&self) -> Result<EntryMark> {
        let newest = self.one(RawDocumentBuf::new(), -1).await?;
        mark(newest.as_deref())
    }

    async fn at_or_after(&self, at: OpTime) -> Result<Option<EntryMark>> {
        let filter = rawdoc! { "ts": { "$gte": Timestamp::from(at) } };
        let found = self.one(filter, 1).await?;
        found.map(|entry| mark(Some(&*entry))).transpose()
    }

    async fn at(&self, at: OpTime) -> Result<Option<EntryMark>> {
        let found = self.at_or_after(at).await?;
        Ok(found.filter(|found| found.at == at))
    }

    /// Why there is nothing of a moment that there was an entry of.
    async fn lacks(&self, at: OpTime) -> Result<(GapReason, String)> {
        let oldest = self.oldest().await?.at;
        Ok(match oldest > at {
            true => (
                GapReason::RolledOver,
                format!("the oldest entry of the oplog is that of {oldest}"),
            ),
            false => (
                GapReason::OtherHistory,
                format!("there is no entry of {at} any more"),
            ),
        })
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

    /// The entry that a new timeline begins after: some time before the oldest snapshot that the oplog still leads on from. If there is
    /// none, some time before now, since one whose moment has passed may still be stored; after a gap now, since what the oplog forgets
    /// next may be what is a little older.
    async fn beginning(&self, capture: &Capture, after: OpTime) -> Result<EntryMark> {
        let (oldest, newest) = (self.oldest().await?, self.newest().await?);
        let mut usable = moments(capture).await?.into_iter();
        let usable = usable.find(|at| *at > after && *at >= oldest.at && *at <= newest.at);
        let moment = match usable {
            Some(moment) => moment,
            None if after == OpTime::default() => newest.at,
            None => return Ok(newest),
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
