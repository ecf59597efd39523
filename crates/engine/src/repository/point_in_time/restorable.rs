//! What can be restored: the spans of moments that snapshots and slices make up.

use std::collections::{BTreeMap, HashMap};

use rdump_format::{
    Selector, SourceRecord,
    repository::{SliceHeader, SnapshotId, SpanName, Timeline, TimelineId},
};
use rdump_oplog::OpTime;
use serde::Serialize;

use super::base::moment;
use crate::{
    ErrorKind, Result,
    repository::{Repository, Snapshot, Snapshots, timeline::parse_slice},
};

/// How many slices are tried until one can be read.
const MOST_HEADERS: usize = 4;

/// Moments that a restore of everything can go to: each from one until another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RestorableSpan {
    /// The moment of the first snapshot.
    pub from: OpTime,
    /// The last moment that what is captured leads to from there without a hole: that of the snapshot, if nothing is.
    pub until: OpTime,
}

/// Where one can go from a snapshot.
#[derive(Clone, Debug)]
pub(in crate::repository) struct Lead {
    pub(in crate::repository) id: SnapshotId,
    /// The deployment, by a number.
    pub(in crate::repository) deployment: usize,
    /// The part of it that the snapshot is of, if not all.
    pub(in crate::repository) part: Option<String>,
    /// The moment that it is of.
    pub(in crate::repository) from: OpTime,
    /// The last moment that slices lead to from there.
    pub(in crate::repository) until: OpTime,
    /// The history that these are of; none, if it is the snapshot alone.
    pub(in crate::repository) timeline: Option<TimelineId>,
    /// Whether all that is in the snapshot can be brought to that moment.
    pub(in crate::repository) is_whole: bool,
}

/// Where one can go from each of these snapshots of deployments and parts: by each stretch that begins before it, and nowhere if by none.
///
/// What may be of a stretch is taken for that: of slices that cannot be read, nobody knows.
pub(in crate::repository) async fn leads(
    repository: &Repository,
    timeline: &Timeline,
    snapshots: impl Iterator<Item = (&Snapshot, usize, Option<String>)>,
    is_alike: impl Fn(&Snapshot, usize, &SourceRecord) -> bool,
) -> Result<Vec<Lead>> {
    let mut headers = HashMap::new();
    for last in timeline.ends() {
        let header = repository.header_of(timeline, last.timeline).await?;
        headers.extend(header.map(|header| (last.timeline, header)));
    }
    let stretches = timeline.stretches();
    let mut leads = Vec::new();
    for (snapshot, deployment, part) in snapshots {
        let Some(from) = moment(snapshot) else {
            continue;
        };
        let is_encrypted = snapshot.manifest().is_encrypted();
        let alone = Lead {
            id: snapshot.id().clone(),
            deployment,
            part,
            from,
            until: from,
            timeline: None,
            is_whole: false,
        };
        let mut found = Vec::new();
        for stretch in stretches
            .iter()
            .filter(|it| it.start <= from && from < it.end)
        {
            let header = headers.get(&stretch.timeline);
            let fits = |header: &SliceHeader| is_alike(snapshot, deployment, &header.source);
            if timeline.is_encrypted(stretch.timeline) == is_encrypted && header.is_none_or(fits) {
                found.push(Lead {
                    until: stretch.end,
                    timeline: Some(stretch.timeline),
                    is_whole: header.is_some_and(|header| header.select == Selector::default()),
                    ..alone.clone()
                });
            }
        }
        // Nobody can tell which of several histories goes on from it.
        let first = found.first().map(|lead| lead.timeline);
        if found.iter().any(|lead| Some(lead.timeline) != first) {
            found.clear();
        }
        let is_whole = found.iter().any(|lead| lead.is_whole);
        leads.extend(found);
        leads.extend((!is_whole).then_some(alone));
    }
    Ok(leads)
}

impl Repository {
    /// What of everything that was backed up can be restored, the oldest first: by these snapshots, and what is captured.
    ///
    /// A snapshot of a part is in no span, nor is one of no single moment.
    ///
    /// # Errors
    ///
    /// As the place has them. A slice that cannot be read leads nowhere.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn restorable(
        &self,
        snapshots: &Snapshots,
        timeline: &Timeline,
    ) -> Result<Vec<RestorableSpan>> {
        let of_all = snapshots.whole.iter().filter_map(|snapshot| {
            let is_of_all = !snapshot.manifest().is_of_part();
            is_of_all.then_some((snapshot, 0, None))
        });
        let has_same_name = |snapshot: &Snapshot, _, of: &SourceRecord| {
            snapshot.manifest().run.source.set_name == of.set_name
        };
        let leads = leads(self, timeline, of_all, has_same_name).await?;
        let mut ends: BTreeMap<_, (OpTime, Vec<OpTime>)> = BTreeMap::new();
        for lead in &leads {
            let (_, untils) = ends.entry(&lead.id).or_insert((lead.from, Vec::new()));
            untils.extend(lead.is_whole.then_some(lead.until));
        }
        let mut spans: Vec<RestorableSpan> = Vec::new();
        for (from, untils) in ends.into_values() {
            let until = match untils.as_slice() {
                [until] => *until,
                // In several histories, or in none.
                _ => from,
            };
            spans.push(RestorableSpan { from, until });
        }
        spans.sort_unstable();
        let mut merged: Vec<RestorableSpan> = Vec::new();
        for span in spans {
            match merged.last_mut().filter(|last| span.from <= last.until) {
                Some(last) => last.until = last.until.max(span.until),
                None => merged.push(span),
            }
        }
        Ok(merged)
    }

    /// What the slices of a history say of it: the last one that can be read, of a few.
    async fn header_of(
        &self,
        timeline: &Timeline,
        history: TimelineId,
    ) -> Result<Option<SliceHeader>> {
        let of_history = |span: &SpanName| span.timeline == history;
        let slices: Vec<_> = timeline.slices().filter(of_history).collect();
        for span in slices.iter().rev().take(MOST_HEADERS) {
            let bytes = match self.read_span(span).await {
                Err(error) if error.kind() == ErrorKind::Data => continue,
                read => read?,
            };
            if let Ok(slice) = parse_slice(span, &bytes) {
                return Ok(Some(slice.header));
            }
        }
        Ok(None)
    }
}
