//! Which slices are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use rdump_format::{
    SourceRecord,
    repository::{SnapshotId, SpanName},
};
use rdump_oplog::OpTime;

use super::{PlannedSlices, Prune, inventory::Inventory};
use crate::{
    ErrorKind, Result, Snapshot,
    repository::{
        PARALLEL_READS,
        point_in_time::{Lead, leads},
        timeline::parse_slice,
    },
    retention::KeepReason,
};

/// The snapshots that the moments of a window are restored from, of all that lead somewhere.
///
/// Moments that none leads to are not restorable now, and so need nothing. What leads on from a part needs no base of its own where everything is
/// captured from a snapshot of everything.
pub(super) fn bases<'a>(
    leads: impl Iterator<Item = &'a Lead>,
    window: Option<Duration>,
) -> BTreeSet<SnapshotId> {
    let mut bases = BTreeSet::new();
    let Some(window) = window else {
        return bases;
    };
    let mut parts: BTreeMap<_, Vec<&Lead>> = BTreeMap::new();
    for lead in leads {
        let part = (lead.deployment, &lead.part);
        parts.entry(part).or_default().push(lead);
    }
    for leads in parts.into_values() {
        let ends = leads.iter().map(|lead| lead.until);
        let last = ends.max().unwrap_or_default();
        let seconds = u32::try_from(window.as_secs()).unwrap_or(u32::MAX);
        let since = OpTime {
            seconds: last.seconds.saturating_sub(seconds),
            ordinal: 0,
        };
        // What leads to the same end leads there by the same slices; what is of its own moment alone, nowhere else.
        let mut stretches: BTreeMap<_, Vec<&Lead>> = BTreeMap::new();
        for lead in leads.into_iter().filter(|lead| lead.until >= since) {
            let stretch = (lead.timeline, lead.until);
            stretches.entry(stretch).or_default().push(lead);
        }
        for mut leads in stretches.into_values() {
            leads.sort_by_key(|lead| lead.from);
            let before = leads.iter().rev().find(|lead| lead.from <= since);
            let base = before.or(leads.first());
            bases.extend(base.map(|lead| lead.id.clone()));
        }
    }
    bases
}

/// Those that matter for what is captured: of everything, and of parts of deployments of which nothing leads on from everything.
pub(super) fn leading(leads: &[Lead]) -> Vec<Lead> {
    let of_all = leads.iter().filter(|lead| lead.part.is_none());
    let led: BTreeSet<_> = of_all
        .filter(|lead| lead.timeline.is_some())
        .map(|lead| lead.deployment)
        .collect();
    let is_needed = |lead: &&Lead| lead.part.is_none() || !led.contains(&lead.deployment);
    leads.iter().filter(is_needed).cloned().collect()
}

impl Prune {
    /// Where each snapshot leads.
    pub(super) async fn leads(&self, inventory: &Inventory) -> Result<Vec<Lead>> {
        let late = self.late();
        let snapshots = inventory
            .held
            .iter()
            .filter(|held| held.candidate.at <= late);
        let snapshots = snapshots.map(|held| {
            let (deployment, part) = &held.of;
            (&held.snapshot, *deployment, part.clone())
        });
        let is_alike =
            |_: &Snapshot, deployment, source: &SourceRecord| inventory.is_of(deployment, source);
        let leads = leads(&self.repository, &inventory.timeline, snapshots, is_alike).await?;
        Ok(leading(&leads))
    }

    /// Slices that end before anything that is kept needs them.
    pub(super) async fn plan_slices(
        &self,
        inventory: &Inventory,
        leads: &[Lead],
        reasons: &BTreeMap<SnapshotId, BTreeSet<KeepReason>>,
    ) -> Result<PlannedSlices> {
        let timeline = &inventory.timeline;
        let mut planned = PlannedSlices {
            kept: timeline.slices().count() as u64,
            ..PlannedSlices::default()
        };
        let is_kept = |lead: &&Lead| {
            let Some(reasons) = reasons.get(&lead.id) else {
                return false;
            };
            match self.policy.pitr_window {
                Some(_) => reasons.contains(&KeepReason::Base),
                None => !reasons.is_empty(),
            }
        };
        // What goes on from an earlier one needs more than what goes on from a later one.
        let mut first: BTreeMap<_, &Lead> = BTreeMap::new();
        for lead in leads.iter().filter(is_kept) {
            let Some(timeline) = lead.timeline else {
                continue;
            };
            let first = first.entry(timeline).or_insert(lead);
            if lead.from < first.from {
                *first = lead;
            }
        }
        // Where nothing leads on, the next snapshot may.
        if first.is_empty() {
            return Ok(planned);
        }
        let old = u32::try_from(self.old().as_second()).unwrap_or_default();
        let mut before = OpTime {
            seconds: old,
            ordinal: 0,
        };
        for begun in inventory.open(self.old()) {
            let seconds = begun
                .as_second()
                .saturating_sub_unsigned(self.grace.as_secs());
            let seconds = u32::try_from(seconds.max(0)).unwrap_or_default();
            before = before.min(OpTime {
                seconds,
                ordinal: 0,
            });
        }
        for lead in first.into_values().cloned().collect::<Vec<_>>() {
            match self.needed_from(inventory, &lead).await {
                Err(error) if error.kind() == ErrorKind::Data => {
                    // What it says is needed for that nobody knows.
                    planned.unreadable = Some(error.to_string());
                    return Ok(planned);
                }
                needed => before = before.min(needed?),
            }
        }
        let ends: BTreeSet<_> = timeline.ends().into_iter().collect();
        let spans = timeline.slices().chain(timeline.gaps().copied());
        let go: Vec<SpanName> = spans
            .filter(|span| span.end < before && !ends.contains(span))
            .collect();
        let asked = stream::iter(go).map(|span| async move {
            let locked = self.locked(&span.path()).await?;
            Ok::<_, crate::Error>((span, locked.is_some()))
        });
        let asked: Vec<_> = asked.buffered(PARALLEL_READS).try_collect().await?;
        for (span, is_locked) in asked {
            match is_locked {
                true => planned.retained += 1,
                false => planned.spans.push(span),
            }
        }
        planned.spans.sort_by_key(|span| (span.end, span.start));
        let gone = planned.spans.iter().filter(|span| span.is_slice()).count() as u64;
        planned.kept = planned.kept.saturating_sub(gone);
        planned.before = (!planned.spans.is_empty()).then_some(before);
        Ok(planned)
    }

    /// The moment before which nothing is needed to go on from a snapshot: that of the beginning of its first slice, or of the oldest transaction that
    /// was open then. The slice that ends there says so, and is needed for that.
    async fn needed_from(&self, inventory: &Inventory, lead: &Lead) -> Result<OpTime> {
        let of_timeline = |span: &SpanName| Some(span.timeline) == lead.timeline;
        let slices: Vec<_> = inventory.timeline.slices().filter(of_timeline).collect();
        let firsts = slices
            .iter()
            .filter(|slice| slice.start <= lead.from && lead.from < slice.end);
        let mut needed = firsts.map(|slice| slice.start).min().unwrap_or(lead.from);
        for before in slices
            .iter()
            .filter(|slice| slice.end == needed)
            .copied()
            .collect::<Vec<_>>()
        {
            let bytes = self.repository.read_span(&before).await?;
            let footer = parse_slice(&before, &bytes)?.footer;
            needed = needed.min(footer.open_since.unwrap_or(needed));
        }
        Ok(needed)
    }
}
