//! Which spans of time are captured, as the names of objects say it.

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ENCRYPTED_EXTENSION, IdError};
use crate::OpTime;

/// Where slices of the oplog and gaps between them are, and nothing else.
pub const TIMELINE: &str = "timeline/";

const SLICE: &str = ".bson.zst";
const GAP: &str = ".gap.json";

/// One history of a deployment: another one begins where what was captured is no part of it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimelineId(pub [u8; 8]);

impl fmt::Display for TimelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl FromStr for TimelineId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let number = hexadecimal(text);
        let number = number.ok_or_else(|| {
            IdError::new(text, "the id of a timeline, which is 16 hexadecimal digits")
        })?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl TryFrom<String> for TimelineId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<TimelineId> for String {
    fn from(id: TimelineId) -> Self {
        id.to_string()
    }
}

/// Sixteen lower-case digits.
fn hexadecimal(text: &str) -> Option<u64> {
    let is_plain = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.len() == 16 && is_plain {
        true => u64::from_str_radix(text, 16).ok(),
        false => None,
    }
}

/// A moment in the name of an object.
pub(super) fn at_name(at: OpTime) -> String {
    let number = u64::from(at.seconds).wrapping_shl(32) | u64::from(at.ordinal);
    format!("{number:016x}")
}

/// The moment that a part of a name says.
pub(super) fn of_name(name: &str) -> Option<OpTime> {
    let number = hexadecimal(name)?;
    let [seconds, ordinal] =
        [number.wrapping_shr(32), number & u64::from(u32::MAX)].map(u32::try_from);
    Some(OpTime {
        seconds: seconds.ok()?,
        ordinal: ordinal.ok()?,
    })
}

/// What is known of a part of a timeline: the span `(start, end]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct SpanName {
    /// The moment that it comes after.
    pub start: OpTime,
    /// Its last moment.
    pub end: OpTime,
    /// The history that it is of.
    pub timeline: TimelineId,
    /// What there is of it.
    pub kind: SpanKind,
}

/// What there is of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SpanKind {
    /// All that was written, in a slice.
    Slice,
    /// The same, encrypted.
    EncryptedSlice,
    /// Nothing.
    Gap,
}

impl SpanName {
    /// A span.
    #[must_use]
    pub fn new(start: OpTime, end: OpTime, timeline: TimelineId, kind: SpanKind) -> Self {
        Self {
            start,
            end,
            timeline,
            kind,
        }
    }

    /// Where the object is.
    #[must_use]
    pub fn path(&self) -> String {
        let [start, end] = [self.start, self.end].map(at_name);
        let (slice, encrypted) = match self.kind {
            SpanKind::Slice => (SLICE, ""),
            SpanKind::EncryptedSlice => (SLICE, ENCRYPTED_EXTENSION),
            SpanKind::Gap => (GAP, ""),
        };
        format!(
            "{TIMELINE}{start}-{end}-{}{slice}{encrypted}",
            self.timeline
        )
    }

    /// What the object is of that is at a path, if it is one.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<Self> {
        let name = path.strip_prefix(TIMELINE)?;
        let encrypted = format!("{SLICE}{ENCRYPTED_EXTENSION}");
        let kinds = [
            (encrypted.as_str(), SpanKind::EncryptedSlice),
            (SLICE, SpanKind::Slice),
            (GAP, SpanKind::Gap),
        ];
        let (name, kind) = kinds
            .into_iter()
            .find_map(|(end, kind)| Some((name.strip_suffix(end)?, kind)))?;
        let mut parts = name.split('-');
        let mut moment = || of_name(parts.next()?);
        let (start, end) = (moment()?, moment()?);
        let timeline = parts.next()?.parse().ok()?;
        let is_span = start < end && parts.next().is_none();
        is_span.then(|| Self::new(start, end, timeline, kind))
    }

    /// Whether what was written is there.
    #[must_use]
    pub fn is_slice(&self) -> bool {
        self.kind != SpanKind::Gap
    }
}

/// Everything that is captured of one or more histories.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// By their start, then their end.
    slices: BTreeMap<TimelineId, BTreeSet<(OpTime, OpTime, SpanKind)>>,
    gaps: BTreeSet<SpanName>,
    pruned_before: Option<OpTime>,
}

/// A stretch of time without a gap: whoever has a snapshot of a moment in it can go to any later moment in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Stretch {
    /// The moment that its first slice comes after.
    pub start: OpTime,
    /// Its last moment.
    pub end: OpTime,
    /// The history that it is of.
    pub timeline: TimelineId,
}

/// Why there is no way from one moment to another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoWay {
    /// The last moment that can be reached.
    pub reached: OpTime,
    /// Where slices begin again after that, if they do.
    pub next: Option<OpTime>,
}

impl NoWay {
    /// Nothing leads beyond a moment, and slices begin again at another one.
    #[must_use]
    pub fn new(reached: OpTime, next: Option<OpTime>) -> Self {
        Self { reached, next }
    }
}

impl FromIterator<SpanName> for Timeline {
    fn from_iter<I: IntoIterator<Item = SpanName>>(spans: I) -> Self {
        let mut timeline = Self::default();
        for span in spans {
            match span.kind {
                SpanKind::Gap => {
                    timeline.gaps.insert(span);
                }
                kind => {
                    let slices = timeline.slices.entry(span.timeline).or_default();
                    slices.insert((span.start, span.end, kind));
                }
            }
        }
        timeline
    }
}

impl Timeline {
    /// Notes that what ended before a moment was removed on purpose.
    pub fn prune(&mut self, before: OpTime) {
        self.pruned_before = self.pruned_before.max(Some(before));
    }

    /// The moment before which everything was removed on purpose that ended then.
    #[must_use]
    pub fn pruned_before(&self) -> Option<OpTime> {
        self.pruned_before
    }

    /// Whether nothing was ever captured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.gaps.is_empty()
    }

    /// What is known not to be captured, the oldest first.
    pub fn gaps(&self) -> impl Iterator<Item = &SpanName> {
        self.gaps.iter()
    }

    /// Every slice, history by history, the oldest first.
    pub fn slices(&self) -> impl Iterator<Item = SpanName> {
        self.slices.iter().flat_map(|(timeline, slices)| {
            let span = |(start, end, kind): &_| SpanName::new(*start, *end, *timeline, *kind);
            slices.iter().map(span)
        })
    }

    /// Of each history the slice that reaches farthest, the farthest first.
    #[must_use]
    pub fn ends(&self) -> Vec<SpanName> {
        let mut ends: BTreeMap<TimelineId, SpanName> = BTreeMap::new();
        for slice in self.slices() {
            let end = ends.entry(slice.timeline).or_insert(slice);
            if (slice.end, slice.start) > (end.end, end.start) {
                *end = slice;
            }
        }
        let mut ends: Vec<SpanName> = ends.into_values().collect();
        ends.sort_by_key(|slice| std::cmp::Reverse((slice.end, slice.start)));
        ends
    }

    /// The stretches without a gap, the oldest first.
    #[must_use]
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for (timeline, slices) in &self.slices {
            // Where each stretch that a slice ends begins: the oldest of those that it follows.
            let mut begins: BTreeMap<OpTime, OpTime> = BTreeMap::new();
            let mut continued = BTreeSet::new();
            for (start, end, _) in slices {
                let begin = begins.get(start).copied();
                if begin.is_some() {
                    continued.insert(*start);
                }
                let begin = begin.unwrap_or(*start);
                let known = begins.entry(*end).or_insert(begin);
                *known = begin.min(*known);
            }
            let ends = begins
                .into_iter()
                .filter(|(end, _)| !continued.contains(end));
            let found = ends.map(|(end, start)| Stretch {
                start,
                end,
                timeline: *timeline,
            });
            // One that is inside of another was written twice.
            let mut of_timeline: Vec<Stretch> = Vec::new();
            for stretch in found {
                while let Some(last) = of_timeline.last()
                    && last.start >= stretch.start
                {
                    of_timeline.pop();
                }
                of_timeline.push(stretch);
            }
            stretches.extend(of_timeline);
        }
        stretches.sort();
        stretches
    }

    /// The histories in which a moment is captured, and what is written after it.
    #[must_use]
    pub fn histories_of(&self, from: OpTime) -> Vec<TimelineId> {
        let has = |slices: &BTreeSet<(OpTime, OpTime, SpanKind)>| {
            slices
                .iter()
                .any(|(start, end, _)| *start <= from && from < *end)
        };
        let histories = self.slices.iter();
        histories
            .filter(|(_, slices)| has(slices))
            .map(|(timeline, _)| *timeline)
            .collect()
    }

    /// Whether the slices of a history are encrypted: all of them are, or none.
    #[must_use]
    pub fn is_encrypted(&self, history: TimelineId) -> bool {
        let slices = self.slices.get(&history);
        let mut slices = slices.into_iter().flatten();
        slices.any(|(_, _, kind)| *kind == SpanKind::EncryptedSlice)
    }

    /// The slices that lead from one moment to another, each after the one that it follows; none if both are the same.
    ///
    /// # Errors
    ///
    /// [`NoWay`] if a part of it is not captured.
    pub fn way(
        &self,
        timeline: TimelineId,
        from: OpTime,
        to: OpTime,
    ) -> Result<Vec<SpanName>, NoWay> {
        let nothing = BTreeSet::new();
        let slices = self.slices.get(&timeline).unwrap_or(&nothing);
        let span = |(start, end, kind): &_| SpanName::new(*start, *end, timeline, *kind);
        if to <= from {
            return Ok(Vec::new());
        }
        let mut reached = from;
        // What was found to lead nowhere; a slice that was written twice gives more than one way.
        let mut dead_ends = BTreeSet::new();
        let firsts = slices
            .iter()
            .filter(|(start, end, _)| *start <= from && from < *end);
        let mut open: Vec<Vec<_>> = vec![firsts.collect()];
        let mut way: Vec<SpanName> = Vec::new();
        while let Some(choices) = open.last_mut() {
            let Some(choice) = choices.pop() else {
                open.pop();
                dead_ends.extend(way.pop());
                continue;
            };
            let choice = span(choice);
            if dead_ends.contains(&choice) {
                continue;
            }
            reached = reached.max(choice.end);
            way.push(choice);
            if choice.end >= to {
                return Ok(way);
            }
            let after = (choice.end, OpTime::default(), SpanKind::Slice);
            let followers = slices.range(after..);
            let followers = followers.take_while(|(start, _, _)| *start == choice.end);
            open.push(followers.collect());
        }
        let mut later = slices.iter().map(|(start, _, _)| *start);
        Err(NoWay {
            reached,
            next: later.find(|start| *start > reached),
        })
    }
}
