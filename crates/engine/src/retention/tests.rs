use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;

fn candidate(at: &str) -> Candidate {
    Candidate {
        at: at.parse().unwrap(),
        tags: BTreeMap::new(),
        look: Look::None,
    }
}

/// Those that a policy keeps, by the rules that keep them.
fn shown(policy: &RetentionPolicy, candidates: &[Candidate]) -> Vec<String> {
    let kept = kept(policy, candidates);
    let reasons = kept.iter().map(|reasons| {
        let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
        reasons.join(", ")
    });
    reasons.collect()
}

#[test]
fn each_rule_keeps_the_newest_of_its_periods_and_nothing_else() {
    let times = [
        "2025-12-31T23:30:00Z",
        "2026-11-14T01:00:00Z",
        "2026-11-20T01:00:00Z",
        "2026-11-21T01:00:00Z",
        "2026-11-21T01:30:00Z",
        "2026-11-22T01:00:00Z",
    ];
    let all = times.map(candidate);
    let policy = RetentionPolicy::default;
    let last = "newest";
    for (policy, expected) in [
        (
            policy().keep_last(2),
            ["", "", "", "", "last", "last, newest"],
        ),
        (
            policy().keep_hourly(2),
            [
                "",
                "",
                "",
                "",
                "hourly 2026-11-21T01+00:00",
                "hourly 2026-11-22T01+00:00, newest",
            ],
        ),
        (
            policy().keep_daily(2),
            [
                "",
                "",
                "",
                "",
                "daily 2026-11-21",
                "daily 2026-11-22, newest",
            ],
        ),
        (
            policy().keep_weekly(3),
            [
                "weekly 2026-W01",
                "weekly 2026-W46",
                "",
                "",
                "",
                "weekly 2026-W47, newest",
            ],
        ),
        (
            policy().keep_monthly(9),
            ["monthly 2025-12", "", "", "", "", "monthly 2026-11, newest"],
        ),
        (
            policy().keep_yearly(9),
            ["yearly 2025", "", "", "", "", "yearly 2026, newest"],
        ),
        (
            policy().keep_within(Duration::from_secs(2 * 86_400)),
            ["", "", "within", "within", "within", "within, newest"],
        ),
        (policy().keep_tag("kept"), ["", "", "", "", "", last]),
    ] {
        assert_eq!(shown(&policy, &all), expected, "{policy:?}");
    }
    // By the clock of another place, the year is another one.
    let berlin = policy().keep_yearly(9).time_zone("Europe/Berlin").unwrap();
    assert_eq!(
        shown(&berlin, &all),
        ["", "", "", "", "", "yearly 2026, newest"]
    );
    assert!(policy().time_zone("Europe/Atlantis").is_err());
}

#[test]
fn what_is_marked_stays() {
    let mut all = [
        "2026-01-01T00:00:00Z",
        "2026-01-02T00:00:00Z",
        "2026-01-03T00:00:00Z",
    ]
    .map(candidate);
    all[0].tags.insert("keep".into(), "always".into());
    all[1].tags.insert("keep".into(), "=".into());
    let policy = |tag: &str| RetentionPolicy::default().keep_tag(tag);
    assert_eq!(
        shown(&policy("keep"), &all),
        ["tag keep", "tag keep", "newest"]
    );
    assert_eq!(
        shown(&policy("keep=always"), &all),
        ["tag keep=always", "", "newest"]
    );
    assert_eq!(shown(&policy("keep=="), &all), ["", "tag keep==", "newest"]);
}

#[test]
fn what_is_damaged_is_in_the_place_of_nothing_and_the_last_good_one_stays() {
    let times = [
        "2026-01-01T00:00:00Z",
        "2026-01-02T00:00:00Z",
        "2026-01-03T00:00:00Z",
        "2026-01-04T00:00:00Z",
    ];
    let mut all = times.map(candidate);
    let policy = RetentionPolicy::default().keep_last(1);
    all[0].look = Look::Whole;
    assert_eq!(shown(&policy, &all), ["last good", "", "", "last, newest"]);
    all[3].look = Look::Damaged;
    assert_eq!(
        shown(&policy, &all),
        ["last good", "", "last, newest", "last, newest"]
    );
    all[2].look = Look::Whole;
    assert_eq!(
        shown(&policy, &all),
        ["", "", "last, newest, last good", "last, newest"]
    );
}

#[test]
fn an_hour_that_comes_twice_is_two() {
    let all = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"].map(candidate);
    let policy = RetentionPolicy::default().keep_hourly(2);
    let policy = policy.time_zone("Europe/Berlin").unwrap();
    let expected = [
        "hourly 2026-10-25T02+02:00",
        "hourly 2026-10-25T02+01:00, newest",
    ];
    assert_eq!(shown(&policy, &all), expected);
}

/// What a rule keeps, told in another way: of all periods that have something the last ones, and of each its last one.
fn newest_of(times: &[Timestamp], most: u32, period: impl Fn(Timestamp) -> i64) -> BTreeSet<usize> {
    let mut newest: BTreeMap<i64, usize> = BTreeMap::new();
    for (at, time) in times.iter().enumerate() {
        let newest = newest.entry(period(*time)).or_insert(at);
        if (*time, at) > (times[*newest], *newest) {
            *newest = at;
        }
    }
    newest.into_values().rev().take(most as usize).collect()
}

proptest! {
    #[test]
    fn rules_agree_with_what_they_say(
        seconds in proptest::collection::vec(0_i64..400 * DAY, 1..60),
        (last, hourly, daily, weekly) in (0_u32..4, 0_u32..6, 0_u32..10, 0_u32..6),
        within in proptest::option::of(0_u64..40 * 86_400),
    ) {
        let times: Vec<_> = seconds.iter().map(|at| Timestamp::from_second(*at).unwrap()).collect();
        let candidates: Vec<_> = times.iter().map(|at| candidate(&at.to_string())).collect();
        let mut policy = RetentionPolicy::default()
            .keep_last(last)
            .keep_hourly(hourly)
            .keep_daily(daily)
            .keep_weekly(weekly);
        policy.keep_within = within.map(Duration::from_secs);
        let mut expected = newest_of(&times, 1, |_| 0);
        let mut order: Vec<usize> = (0..times.len()).collect();
        order.sort_by_key(|at| (times[*at], *at));
        expected.extend(order.iter().rev().take(last as usize));
        expected.extend(newest_of(&times, hourly, |at| at.as_second().div_euclid(3_600)));
        expected.extend(newest_of(&times, daily, |at| at.as_second().div_euclid(DAY)));
        // The first of January 1970 was a Thursday.
        expected.extend(newest_of(&times, weekly, |at| (at.as_second() + 3 * DAY).div_euclid(7 * DAY)));
        let newest = times.iter().max().unwrap().as_second();
        if let Some(within) = within {
            let since = newest - i64::try_from(within).unwrap();
            expected.extend((0..times.len()).filter(|at| times[*at].as_second() >= since));
        }
        let found: BTreeSet<usize> = kept(&policy, &candidates)
            .iter()
            .enumerate()
            .filter(|(_, reasons)| !reasons.is_empty())
            .map(|(at, _)| at)
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn the_longest_of_all_rules_about_time_counts() {
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
    let policy = RetentionPolicy::default().keep_last(7).keep_tag("a");
    assert_eq!(policy.longest(), None);
    assert_eq!(policy.clone().keep_daily(30).longest(), days(30));
    let policy = policy.keep_daily(30).keep_monthly(12);
    assert_eq!(policy.clone().longest(), days(372));
    let policy = policy.keep_within(Duration::from_secs(400 * 24 * 3600));
    assert_eq!(policy.longest(), days(400));
}
