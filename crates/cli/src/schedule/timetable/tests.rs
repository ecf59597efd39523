//! A year of a policy by a clock that is made up, against what a list of occurrences says.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::*;

const DAY: i64 = 24 * 3600;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn timing(cron: &str, missed: Missed, rank: u8) -> Timing {
    let zone = TimeZone::get("Europe/Vienna").unwrap();
    Timing {
        occurrences: Occurrences::parse(cron, &zone).unwrap(),
        start_window: seconds(3600),
        missed,
        retries: 2,
        retry_after: seconds(300),
        rank,
    }
}

fn only(cron: &str, missed: Missed) -> Timetable {
    let jobs = [(timing(cron, missed, 0), Past::default())];
    Timetable::new(jobs, 2, at("2026-11-01T00:00:00Z"))
}

fn begins(steps: &[Step]) -> Vec<(String, u32)> {
    let begun = steps.iter().filter_map(|step| match step {
        Step::Begin { due, attempt, .. } => Some((due.to_string(), *attempt)),
        _ => None,
    });
    begun.collect()
}

#[test]
fn what_fails_is_tried_again_later_each_time_and_not_for_ever() {
    let mut table = only("0 2 * * *", Missed::Run);
    let due = "2026-11-01T01:00:00Z";
    assert_eq!(table.next(at("2026-11-01T00:00:00Z")), Some(at(due)));
    assert_eq!(table.steps(at("2026-11-01T00:59:59Z")), []);
    assert_eq!(begins(&table.steps(at(due))), [(due.to_owned(), 1)]);
    assert_eq!(table.steps(at(due)), [], "it is under way");
    assert!(table.ended(0, at("2026-11-01T01:10:00Z"), 1, Ended::Failed));
    assert_eq!(table.steps(at("2026-11-01T01:14:59Z")), []);
    let next = at("2026-11-01T01:15:00Z");
    assert_eq!(table.next(at("2026-11-01T01:10:00Z")), Some(next));
    assert_eq!(begins(&table.steps(next)), [(due.to_owned(), 2)]);
    assert!(table.ended(0, at("2026-11-01T01:20:00Z"), 1, Ended::Failed));
    let next = at("2026-11-01T01:35:00Z");
    assert_eq!(begins(&table.steps(next)), [(due.to_owned(), 3)]);
    assert!(!table.ended(0, at("2026-11-01T01:40:00Z"), 1, Ended::Failed));
    assert_eq!(table.steps(at("2026-11-02T00:59:59Z")), []);
    let next = "2026-11-02T01:00:00Z";
    assert_eq!(begins(&table.steps(at(next))), [(next.to_owned(), 1)]);
    assert!(!table.ended(0, at("2026-11-02T01:40:00Z"), 0, Ended::Done));
    let past = table.past(0).unwrap();
    assert_eq!((past.exit_code, past.attempts), (Some(0), 0));
}

#[test]
fn what_was_missed_is_done_once_or_left_out_as_the_rule_says() {
    let late = at("2026-11-05T09:00:00Z");
    let due = at("2026-11-05T01:00:00Z");
    let mut table = only("0 2 * * *", Missed::Run);
    assert_eq!(begins(&table.steps(late)), [(due.to_string(), 1)]);
    assert!(!table.ended(0, late, 0, Ended::Done));
    assert_eq!(table.steps(late), []);
    let mut table = only("0 2 * * *", Missed::Skip);
    assert_eq!(table.steps(late), [Step::Skip { job: 0, due }]);
    assert_eq!(table.steps(late), []);
    let mut table = only("0 2 * * *", Missed::Skip);
    let in_window = at("2026-11-05T02:00:00Z");
    assert_eq!(begins(&table.steps(in_window)), [(due.to_string(), 1)]);
}

#[test]
fn what_is_due_while_it_is_under_way_begins_when_that_is_over() {
    let mut table = only("*/10 * * * *", Missed::Run);
    let first = at("2026-11-01T00:10:00Z");
    assert_eq!(table.steps(first).len(), 1);
    assert_eq!(table.steps(at("2026-11-01T00:25:00Z")), []);
    table.ended(0, at("2026-11-01T00:35:00Z"), 0, Ended::Done);
    let steps = table.steps(at("2026-11-01T00:35:00Z"));
    assert_eq!(begins(&steps), [("2026-11-01T00:30:00Z".to_owned(), 1)]);
    // One that was stopped was not done.
    table.stopped(0);
    let steps = table.steps(at("2026-11-01T00:36:00Z"));
    assert_eq!(begins(&steps), [("2026-11-01T00:30:00Z".to_owned(), 1)]);
}

#[test]
fn what_waits_beyond_its_window_is_said_to_be_late_and_begins_before_others() {
    let start = at("2026-11-01T00:00:00Z");
    let jobs = [
        (timing("0 * * * *", Missed::Run, 0), Past::default()),
        (timing("5 2 * * *", Missed::Run, 9), Past::default()),
    ];
    let mut table = Timetable::new(jobs, 1, start);
    let one = at("2026-11-01T01:00:00Z");
    assert_eq!(begins(&table.steps(one)), [(one.to_string(), 1)]);
    let waiting = at("2026-11-01T01:05:00Z");
    assert_eq!(table.steps(waiting), [], "it may still wait");
    let two = at("2026-11-01T02:00:00Z");
    table.ended(0, two, 0, Ended::Done);
    assert_eq!(begins(&table.steps(two)), [(two.to_string(), 1)]);
    let late = at("2026-11-01T02:05:01Z");
    let due = waiting;
    assert_eq!(table.steps(late), [Step::Late { job: 1, due }]);
    assert_eq!(table.steps(late), [], "it is said once");
    let three = at("2026-11-01T03:00:01Z");
    table.ended(0, three, 0, Ended::Done);
    assert_eq!(begins(&table.steps(three)), [(due.to_string(), 1)]);
}

#[test]
fn one_that_hangs_is_told_by_the_next_that_cannot_begin() {
    for missed in [Missed::Run, Missed::Skip] {
        let mut table = only("0 2 * * *", missed);
        let first = at("2026-11-01T01:00:00Z");
        assert_eq!(table.steps(first).len(), 1);
        let due = at("2026-11-02T01:00:00Z");
        assert_eq!(table.steps(at("2026-11-02T02:00:00Z")), []);
        let late = at("2026-11-02T02:00:01Z");
        assert_eq!(table.steps(late), [Step::Late { job: 0, due }]);
        assert_eq!(table.steps(late), []);
    }
}

#[test]
fn what_always_fails_is_told_though_each_is_overtaken_before_its_last_attempt() {
    let mut table = only("*/10 * * * *", Missed::Run);
    let mut now = at("2026-11-01T00:10:00Z");
    let mut told = 0;
    for _ in 0..12 {
        for step in table.steps(now) {
            let Step::Begin { is_quiet, .. } = step else {
                panic!("{step:?}")
            };
            told += u32::from(!is_quiet);
            table.ended(0, now, 1, Ended::Failed);
        }
        now = now.checked_add(seconds(600)).unwrap();
    }
    assert_eq!(told, 4);
}

#[test]
fn what_kills_the_process_each_time_is_given_up() {
    let timing = timing("0 2 * * *", Missed::Run, 0);
    let now = at("2026-11-01T01:00:00Z");
    let due = now;
    let mut past = Past {
        settled_until: Some(at("2026-11-01T00:00:00Z")),
        ..Past::default()
    };
    for attempt in 1..=3 {
        let mut table = Timetable::new([(timing.clone(), past)], 2, now);
        assert_eq!(begins(&table.steps(now)), [(due.to_string(), attempt)]);
        past = table.past(0).unwrap().clone();
    }
    let mut table = Timetable::new([(timing.clone(), past)], 2, now);
    assert_eq!(table.steps(now), [Step::GiveUp { job: 0, due }]);
    assert_eq!(table.steps(now), []);
    let next = at("2026-11-02T01:00:00Z");
    assert_eq!(begins(&table.steps(next)), [(next.to_string(), 1)]);
}

#[test]
fn notes_of_the_future_count_for_nothing() {
    let past = Past {
        settled_until: Some(at("2031-01-01T01:00:00Z")),
        due: Some(at("2031-01-02T01:00:00Z")),
        attempts: 2,
        retry_at: Some(at("2031-01-02T01:10:00Z")),
        ..Past::default()
    };
    let now = at("2026-11-01T00:00:00Z");
    let jobs = [(timing("0 2 * * *", Missed::Run, 0), past)];
    let mut table = Timetable::new(jobs, 2, now);
    assert_eq!(table.steps(now), []);
    let due = at("2026-11-01T01:00:00Z");
    assert_eq!(begins(&table.steps(due)), [(due.to_string(), 1)]);
}

#[test]
fn what_another_expression_would_have_had_is_not_overdue() {
    let now = at("2026-11-01T12:00:00Z");
    let before = Timetable::new(
        [(timing("0 2 * * *", Missed::Run, 0), Past::default())],
        2,
        now,
    );
    let past = before.past(0).unwrap().clone();
    let later = at("2026-11-03T12:00:00Z");
    let changed = timing("0 11 * * *", Missed::Run, 0);
    let mut table = Timetable::new([(changed, past)], 2, later);
    assert_eq!(table.steps(later), []);
    let next = at("2026-11-04T10:00:00Z");
    assert_eq!(begins(&table.steps(next)), [(next.to_string(), 1)]);
}

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % end
    }
}

/// One that is due and what became of it.
#[derive(Debug, Default)]
struct Fate {
    begun: Vec<Timestamp>,
    done: u32,
    skipped: u32,
    given_up: u32,
}

/// The policy of the manual: what is done when, and how long it takes at most, in seconds.
fn policy() -> Vec<(&'static str, Timing, i64)> {
    vec![
        ("backup", timing("0 2 * * *", Missed::Run, 0), 3 * 3600),
        ("verify", timing("0 5 * * *", Missed::Skip, 1), 2 * 3600),
        ("copy", timing("30 6 * * *", Missed::Run, 2), 3600),
        ("prune", timing("0 8 * * *", Missed::Skip, 3), 600),
        ("drill", timing("0 10 * * SUN", Missed::Run, 4), 4 * 3600),
        ("status", timing("*/15 * * * *", Missed::Skip, 5), 20),
    ]
}

/// Runs a year in which the process is killed and started again, now and then after days, and jobs fail.
fn year(seed: u64) {
    let mut chance = Chance(seed);
    let jobs = policy();
    let start = at("2026-01-01T00:00:00Z");
    let end = start.checked_add(seconds(365 * DAY)).unwrap();
    let mut fates: Vec<BTreeMap<Timestamp, Fate>> = Vec::new();
    fates.resize_with(jobs.len(), BTreeMap::new);
    let mut kept: Vec<Past> = vec![Past::default(); jobs.len()];
    let mut up: Vec<(Timestamp, Timestamp)> = Vec::new();
    let mut now = start;
    while now < end {
        let from = now;
        let timings = jobs.iter().map(|(_, timing, _)| timing.clone());
        let mut table = Timetable::new(timings.zip(kept.iter().cloned()), 2, now);
        let killed = now
            .checked_add(seconds(chance.below(20 * DAY) + 60))
            .unwrap();
        let killed = killed.min(end);
        // When each of those under way is over, and when it was due.
        let mut running: BTreeMap<usize, (Timestamp, Timestamp)> = BTreeMap::new();
        loop {
            for step in table.steps(now) {
                match step {
                    Step::Skip { job, due } => {
                        assert_eq!(jobs[job].1.missed, Missed::Skip);
                        assert!(now.duration_since(due) > jobs[job].1.start_window);
                        fates[job].entry(due).or_default().skipped += 1;
                    }
                    Step::Late { job, due } => {
                        assert!(now.duration_since(due) > jobs[job].1.start_window);
                    }
                    Step::GiveUp { job, due } => {
                        fates[job].entry(due).or_default().given_up += 1;
                    }
                    Step::Begin {
                        job, due, attempt, ..
                    } => {
                        assert!(
                            !running.contains_key(&job),
                            "two of {} at once",
                            jobs[job].0
                        );
                        assert!((1..=3).contains(&attempt));
                        let fate = fates[job].entry(due).or_default();
                        assert_eq!(fate.done, 0, "{} of {due} twice", jobs[job].0);
                        fate.begun.push(now);
                        assert!(fate.begun.len() <= 3, "{} of {due}", jobs[job].0);
                        let takes = seconds(chance.below(jobs[job].2) + 1);
                        running.insert(job, (now.checked_add(takes).unwrap(), due));
                        assert!(running.len() <= 2);
                    }
                }
            }
            // Each change is kept, as it would be in the file.
            for (job, past) in kept.iter_mut().enumerate() {
                past.clone_from(table.past(job).unwrap());
            }
            let over = running.iter().map(|(job, (at, _))| (*at, *job)).min();
            let next = table
                .next(now)
                .into_iter()
                .chain(over.map(|(at, _)| at))
                .min();
            let next = next.unwrap();
            if next >= killed {
                break;
            }
            now = next;
            if let Some((_, job)) = over.filter(|(at, _)| *at == next) {
                let (_, due) = running.remove(&job).unwrap();
                let fails = chance.below(10) == 0;
                let how = if fails { Ended::Failed } else { Ended::Done };
                let again = table.ended(job, now, u8::from(fails), how);
                let fate = fates[job].get_mut(&due).unwrap();
                fate.done += u32::from(!fails);
                fate.given_up += u32::from(fails && !again);
            }
        }
        up.push((from, killed));
        let down = match chance.below(4) {
            0 => chance.below(3 * DAY) + 1,
            _ => chance.below(600) + 1,
        };
        now = killed.checked_add(seconds(down)).unwrap();
    }
    judge(&jobs, &fates, &up);
}

/// Every occurrence of the year is begun, or left out by the rule, or overtaken by a later one of the same job.
fn judge(
    jobs: &[(&str, Timing, i64)],
    fates: &[BTreeMap<Timestamp, Fate>],
    up: &[(Timestamp, Timestamp)],
) {
    let (first, last) = (up[0].0, up[up.len() - 1].1);
    for ((name, timing, takes), fates) in jobs.iter().zip(fates) {
        let mut due = timing.occurrences.after(first).unwrap();
        let mut handled = 0;
        while due < last {
            let next = timing.occurrences.after(due).unwrap();
            let is_up = |at: Timestamp| up.iter().any(|(from, to)| *from <= at && at < *to);
            match fates.get(&due) {
                Some(fate) => {
                    handled += 1;
                    assert!(
                        fate.done <= 1 && fate.given_up <= 1,
                        "{name} of {due}: {fate:?}"
                    );
                    assert!(
                        fate.done == 0 || fate.skipped == 0,
                        "{name} of {due}: {fate:?}"
                    );
                }
                // Nobody was there until the next one was due, or one before it took so long.
                None => {
                    let slack = due.checked_add(seconds(takes * 3 + 6 * 3600)).unwrap();
                    let was_up = is_up(due) && is_up(next) && slack < next;
                    assert!(!was_up, "{name} of {due} was forgotten");
                }
            }
            due = next;
        }
        assert!(handled > 20, "{name}: {handled}");
        for due in fates.keys() {
            assert_eq!(
                timing.occurrences.until(*due),
                Some(*due),
                "{name} was not due at {due}"
            );
        }
    }
}

/// `RDUMP_SEEDS` says how many years; the default is for every day.
#[test]
fn a_year_of_the_policy_is_done_right_with_restarts() {
    let seeds: u64 = std::env::var("RDUMP_SEEDS").map_or(2, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        year(seed);
    }
}
