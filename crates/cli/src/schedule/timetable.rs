//! Which job begins when. Pure: what the time is, it is told.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::occurrences::Occurrences;

/// How much longer each pause before another attempt is.
const LONGER: i32 = 3;
/// How far ahead notes may be before it is the clock that was wrong.
const AHEAD: SignedDuration = SignedDuration::from_hours(1);

/// When a job is done.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    pub(super) occurrences: Occurrences,
    /// How late it may begin.
    pub(super) start_window: SignedDuration,
    pub(super) missed: Missed,
    /// How often it is tried again when it fails.
    pub(super) retries: u32,
    /// How long after the first failure; three times as long after the next one, and so on.
    pub(super) retry_after: SignedDuration,
    /// Which begins first of those that are due: the smaller.
    pub(super) rank: u8,
}

/// What becomes of what could not begin within its start window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Missed {
    /// It begins as soon as it can: once, however often it was due.
    #[default]
    Run,
    /// It is left out.
    Skip,
}

/// What is known of a job: kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Past {
    /// What it is due by: of another expression nothing is overdue.
    pub(super) cron: Option<String>,
    /// All that was due until then is done, or left out.
    pub(super) settled_until: Option<Timestamp>,
    /// When that was due that was begun and is not settled.
    pub(super) due: Option<Timestamp>,
    /// How often that was begun, be it that the process was killed meanwhile.
    pub(super) attempts: u32,
    /// When it may be tried again.
    pub(super) retry_at: Option<Timestamp>,
    /// How often it failed since somebody was told, or it was done.
    pub(super) untold: u32,
    /// When it was over last.
    pub(super) ended_at: Option<Timestamp>,
    /// How it ended then: its exit code.
    pub(super) exit_code: Option<u8>,
    /// When it was over and done last.
    pub(super) done_at: Option<Timestamp>,
}

/// A job, and where it is.
#[derive(Debug)]
struct Entry {
    timing: Timing,
    past: Past,
    /// When that was due that is being done.
    running: Option<Timestamp>,
    /// When that was due that was said to be late.
    late: Option<Timestamp>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is done.
    Done,
    /// It came to its end, and found what is wrong: to do it again would find the same.
    Bad,
    /// It could not be done.
    Failed,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A job begins.
    Begin {
        job: usize,
        /// When it was due.
        due: Timestamp,
        /// The first is 1.
        attempt: u32,
        /// Nobody is told if it fails: it will be tried again, and then they are.
        is_quiet: bool,
    },
    /// A job could not begin within its start window, and is left out.
    Skip { job: usize, due: Timestamp },
    /// A job could not begin within its start window, and waits on.
    Late { job: usize, due: Timestamp },
    /// Each time that a job was begun, the process was killed: it is not begun again.
    GiveUp { job: usize, due: Timestamp },
}

/// The jobs of a plan.
#[derive(Debug)]
pub(super) struct Timetable {
    entries: Vec<Entry>,
    /// How many may be under way.
    at_once: usize,
}

impl Timetable {
    /// What was due before a job was known, or was due by another expression, is none of its business.
    pub(super) fn new(
        jobs: impl IntoIterator<Item = (Timing, Past)>,
        at_once: usize,
        now: Timestamp,
    ) -> Self {
        let entries = jobs.into_iter().map(|(timing, mut past)| {
            let cron = timing.occurrences.text();
            if past.cron.as_ref().is_some_and(|before| *before != cron) {
                past.settle(now);
            }
            past.cron = Some(cron);
            past.settled_until.get_or_insert(now);
            Entry {
                timing,
                past,
                running: None,
                late: None,
            }
        });
        Self {
            entries: entries.collect(),
            at_once,
        }
    }

    /// What is to be done now. Everything that begins is under way from now on.
    pub(super) fn steps(&mut self, now: Timestamp) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut due = Vec::new();
        for (job, entry) in self.entries.iter_mut().enumerate() {
            entry.forget_the_future(now);
            let Some(at) = entry.waiting(now) else {
                continue;
            };
            let is_new = entry.past.due != Some(at);
            let is_late = entry.is_late(at, now);
            if entry.running.is_some() {
                steps.extend(
                    entry
                        .is_said_late(at, now)
                        .then_some(Step::Late { job, due: at }),
                );
            } else if is_new && is_late && entry.timing.missed == Missed::Skip {
                entry.past.settle(at);
                steps.push(Step::Skip { job, due: at });
            } else if !is_new && entry.past.attempts > entry.timing.retries {
                entry.past.settle(at);
                steps.push(Step::GiveUp { job, due: at });
            } else if is_new || entry.past.retry_at.is_none_or(|retry| retry <= now) {
                due.push((!is_late, entry.timing.rank, at, job));
            }
        }
        due.sort_unstable();
        let running = self.entries.iter().filter(|entry| entry.running.is_some());
        let mut free = self.at_once.saturating_sub(running.count());
        for (_, _, due, job) in due {
            let Some(entry) = self.entries.get_mut(job) else {
                continue;
            };
            if free > 0 {
                free -= 1;
                steps.push(entry.begin(job, due));
            } else if entry.is_said_late(due, now) {
                steps.push(Step::Late { job, due });
            }
        }
        steps
    }

    /// That a job is over. Says whether it will be tried again.
    pub(super) fn ended(&mut self, job: usize, now: Timestamp, exit_code: u8, how: Ended) -> bool {
        let Some(entry) = self.entries.get_mut(job) else {
            return false;
        };
        let Some(due) = entry.running.take() else {
            return false;
        };
        entry.past.ended_at = Some(now);
        entry.past.exit_code = Some(exit_code);
        if how == Ended::Done {
            entry.past.done_at = Some(now);
        }
        match (how, entry.is_quiet()) {
            (Ended::Failed, true) => entry.past.untold += 1,
            _ => entry.past.untold = 0,
        }
        if how != Ended::Failed || entry.past.attempts > entry.timing.retries {
            entry.past.settle(due);
            return false;
        }
        entry.past.retry_at = now.saturating_add(entry.pause()).ok();
        true
    }

    /// That a job is under way since before the table was made.
    pub(super) fn goes_on(&mut self, job: usize, due: Timestamp) {
        if let Some(entry) = self.entries.get_mut(job) {
            entry.running = Some(due);
        }
    }

    /// That a job was stopped before its end: it is as if it had not begun.
    pub(super) fn stopped(&mut self, job: usize) {
        if let Some(entry) = self.entries.get_mut(job) {
            entry.running = None;
            entry.past.attempts = entry.past.attempts.saturating_sub(1);
            if entry.past.attempts == 0 {
                entry.past.due = None;
            }
        }
    }

    /// What to keep of a job.
    pub(super) fn past(&self, job: usize) -> Option<&Past> {
        self.entries.get(job).map(|entry| &entry.past)
    }

    /// When the next step may be, if no job ends before.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.entries.iter().filter_map(|entry| entry.next(now));
        next.min()
    }
}

impl Entry {
    /// The last moment until now that it was due at and is neither settled nor under way.
    fn waiting(&self, now: Timestamp) -> Option<Timestamp> {
        let last = self.timing.occurrences.until(now)?;
        let until = self.past.settled_until.max(self.running);
        until.is_none_or(|until| last > until).then_some(last)
    }

    fn is_late(&self, due: Timestamp, now: Timestamp) -> bool {
        now.duration_since(due) > self.timing.start_window
    }

    /// Whether it is to be said that it waits for longer than it should: once of each, and not of what is tried again.
    fn is_said_late(&mut self, due: Timestamp, now: Timestamp) -> bool {
        let is_new = self.late != Some(due) && self.past.due != Some(due);
        let is_said = is_new && self.is_late(due, now);
        if is_said {
            self.late = Some(due);
        }
        is_said
    }

    fn begin(&mut self, job: usize, due: Timestamp) -> Step {
        if self.past.due != Some(due) {
            (self.past.due, self.past.attempts) = (Some(due), 0);
        }
        self.running = Some(due);
        self.past.retry_at = None;
        self.past.attempts = self.past.attempts.saturating_add(1);
        Step::Begin {
            job,
            due,
            attempt: self.past.attempts,
            is_quiet: self.is_quiet(),
        }
    }

    /// How long to wait after this attempt.
    fn pause(&self) -> SignedDuration {
        let factor = LONGER.saturating_pow(self.past.attempts.saturating_sub(1));
        self.timing.retry_after.saturating_mul(factor)
    }

    /// What a clock noted that was far ahead: else nothing would be due until then.
    fn forget_the_future(&mut self, now: Timestamp) {
        let pause = self.pause();
        let is_ahead = |at: Option<Timestamp>, by: SignedDuration| {
            at.is_some_and(|at| at.duration_since(now) > by)
        };
        let past = &mut self.past;
        if is_ahead(past.settled_until, AHEAD) {
            past.settled_until = Some(now);
        }
        if is_ahead(past.due, AHEAD) {
            (past.due, past.attempts) = (None, 0);
        }
        if is_ahead(past.retry_at, pause) {
            past.retry_at = None;
        }
    }

    /// Whether nobody is told if this attempt fails.
    fn is_quiet(&self) -> bool {
        self.past.attempts <= self.timing.retries && self.past.untold < self.timing.retries
    }

    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let retry = self.past.retry_at.filter(|at| *at > now);
        let next = self.timing.occurrences.after(now);
        let waiting = self.waiting(now);
        let late = waiting.and_then(|at| at.saturating_add(self.timing.start_window).ok());
        let late = late.filter(|late| *late > now);
        retry.into_iter().chain(next).chain(late).min()
    }
}

impl Past {
    fn settle(&mut self, due: Timestamp) {
        self.settled_until = self.settled_until.max(Some(due));
        (self.due, self.attempts, self.retry_at) = (None, 0, None);
    }
}
