//! What the rules of a policy keep.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, Zoned};

use super::{KeepReason, RetentionPolicy};

/// What rules look at of a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The moment that it is of.
    pub(crate) at: Timestamp,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) look: Look,
}

/// What was found when it was last verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It never was.
    None,
    Whole,
    Damaged,
}

/// Why each of the snapshots of one deployment is kept: for no reason, if it is not.
pub(crate) fn kept(
    policy: &RetentionPolicy,
    candidates: &[Candidate],
) -> Vec<BTreeSet<KeepReason>> {
    let mut reasons = vec![BTreeSet::new(); candidates.len()];
    let mut newest_first: Vec<usize> = (0..candidates.len()).collect();
    newest_first.sort_by_key(|at| std::cmp::Reverse((candidates[*at].at, *at)));
    // What is damaged is in the place of nothing that is not, and goes no sooner for that.
    let sound: Vec<usize> = newest_first
        .iter()
        .copied()
        .filter(|at| candidates[*at].look != Look::Damaged)
        .collect();
    for order in [&newest_first, &sound] {
        by_rules(policy, candidates, order, &mut reasons);
    }
    let first = |order: &[usize], look: &dyn Fn(Look) -> bool| {
        order.iter().copied().find(|at| look(candidates[*at].look))
    };
    let newest = [first(&newest_first, &|_| true), first(&sound, &|_| true)];
    for at in newest.into_iter().flatten() {
        reasons[at].insert(KeepReason::Newest);
    }
    if let Some(at) = first(&sound, &|look| look == Look::Whole) {
        reasons[at].insert(KeepReason::LastGood);
    }
    reasons
}

/// What is kept of these, in this order.
fn by_rules(
    policy: &RetentionPolicy,
    candidates: &[Candidate],
    newest_first: &[usize],
    reasons: &mut [BTreeSet<KeepReason>],
) {
    let Some(newest) = newest_first.first().map(|at| candidates[*at].at) else {
        return;
    };
    for at in newest_first.iter().take(policy.keep_last as usize) {
        reasons[*at].insert(KeepReason::Last);
    }
    for (most, of, reason) in PERIODS {
        let mut left = most(policy);
        let mut before = None;
        for at in newest_first {
            let period = of(&candidates[*at].at.to_zoned(policy.time_zone.0.clone()));
            if left == 0 {
                break;
            }
            if before.as_ref() != Some(&period) {
                reasons[*at].insert(reason(period.clone()));
                before = Some(period);
                left -= 1;
            }
        }
    }
    for at in newest_first {
        let candidate = &candidates[*at];
        let age = newest.duration_since(candidate.at);
        let is_within = |most| SignedDuration::try_from(most).is_ok_and(|most| age <= most);
        if policy.keep_within.is_some_and(is_within) {
            reasons[*at].insert(KeepReason::Within);
        }
        for tag in &policy.keep_tags {
            let is_marked = match tag.split_once('=') {
                Some((key, value)) => candidate.tags.get(key).is_some_and(|it| it == value),
                None => candidate.tags.contains_key(tag),
            };
            if is_marked {
                reasons[*at].insert(KeepReason::Tag { tag: tag.clone() });
            }
        }
    }
}

/// A rule of periods: of how many, which one a moment is in, and the reason that it gives.
type Period = (
    fn(&RetentionPolicy) -> u32,
    fn(&Zoned) -> String,
    fn(String) -> KeepReason,
);

const PERIODS: [Period; 5] = [
    // Where clocks are put back, an hour comes twice.
    (
        |policy| policy.keep_hourly,
        |at| at.strftime("%Y-%m-%dT%H%:z").to_string(),
        |of| KeepReason::Hourly { of },
    ),
    (
        |policy| policy.keep_daily,
        |at| at.date().to_string(),
        |of| KeepReason::Daily { of },
    ),
    (
        |policy| policy.keep_weekly,
        |at| at.strftime("%G-W%V").to_string(),
        |of| KeepReason::Weekly { of },
    ),
    (
        |policy| policy.keep_monthly,
        |at| at.strftime("%Y-%m").to_string(),
        |of| KeepReason::Monthly { of },
    ),
    (
        |policy| policy.keep_yearly,
        |at| at.strftime("%Y").to_string(),
        |of| KeepReason::Yearly { of },
    ),
];
