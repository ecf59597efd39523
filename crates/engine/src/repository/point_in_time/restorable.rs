//! What can be restored: the spans of moments that snapshots and slices make up.

use std::collections::HashMap;

use rdump_format::{
    Selector,
    repository::{SliceHeader, SpanName, Stretch, Timeline, TimelineId},
};
use rdump_oplog::OpTime;
use serde::Serialize;

use super::base::{is_part, moment};
use crate::{
    ErrorKind, Result,
    repository::{Repository, Snapshots, timeline::parse_slice},
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
        let mut whole = HashMap::new();
        for last in timeline.ends() {
            let header = self.header_of(timeline, last.timeline).await?;
            if let Some(header) = header.filter(|it| it.select == Selector::default()) {
                whole.insert(last.timeline, header);
            }
        }
        let mut stretches = timeline.stretches();
        stretches.retain(|stretch| whole.contains_key(&stretch.timeline));
        let mut spans: Vec<RestorableSpan> = Vec::new();
        for snapshot in &snapshots.whole {
            let run = &snapshot.manifest().run;
            let Some(from) = moment(snapshot).filter(|_| !is_part(&run.options)) else {
                continue;
            };
            let leads_on = |stretch: &&Stretch| {
                let header = whole.get(&stretch.timeline);
                let is_alike = header.is_some_and(|header| {
                    header.encrypted == snapshot.manifest().is_encrypted()
                        && header.source.set_name == run.source.set_name
                });
                is_alike && stretch.start <= from && from < stretch.end
            };
            let mut ends = stretches.iter().filter(leads_on);
            let until = match (ends.next(), ends.next()) {
                (Some(stretch), None) => stretch.end,
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
