//! What can be restored: the spans of moments that snapshots and slices make up.

use std::collections::{BTreeMap, HashMap};

use rdump_format::{
    Selector,
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
    /// The deployment.
    pub(in crate::repository) source: String,
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
    snapshots: impl Iterator<Item = (&Snapshot, String, Option<String>)>,
) -> Result<Vec<Lead>> {
    let mut headers = HashMap::new();
    for last in timeline.ends() {
        let header = repository.header_of(timeline, last.timeline).await?;
        headers.extend(header.map(|header| (last.timeline, header)));
    }
    let stretches = timeline.stretches();
    let mut leads = Vec::new();
    for (snapshot, source, part) in snapshots {
        let Some(from) = moment(snapshot) else {
            continue;
        };
        let manifest = snapshot.manifest();
        let alone = Lead {
            id: snapshot.id().clone(),
            source,
            part,
            from,
            until: from,
            timeline: None,
            is_whole: false,
        };
        let mut is_whole = false;
        for stretch in stretches
            .iter()
            .filter(|it| it.start <= from && from < it.end)
        {
            let header = headers.get(&stretch.timeline);
            if header.is_some_and(|it| it.source.set_name != manifest.run.source.set_name) {
                continue;
            }
            let lead = Lead {
                until: stretch.end,
                timeline: Some(stretch.timeline),
                is_whole: header.is_some_and(|header| {
                    header.select == Selector::default()
                        && header.encrypted == manifest.is_encrypted()
                }),
                ..alone.clone()
            };
            is_whole |= lead.is_whole;
            leads.push(lead);
        }
        if !is_whole {
            leads.push(alone);
        }
    }
    Ok(leads)
}

impl Repository {
    /// What of everything that was backed up can be restored, the oldest first: by these snapshots, and what is captured.
    ///
    /// A snapshot that is encrypted is taken for one of everything, since it does not say. One of no single moment is in no span.
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
            is_of_all.then(|| (snapshot, String::new(), None))
        });
        let leads = leads(self, timeline, of_all).await?;
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
