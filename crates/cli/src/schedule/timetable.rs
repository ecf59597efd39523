//! Which job begins when. Pure: what the time is, it is told.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::occurrences::Occurrences;

/// How much longer each pause before another attempt is.
const LONGER: i32 = 3;

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
    /// All that was due until then is done, or left out.
    pub(super) settled_until: Option<Timestamp>,
    /// How often what is due now has failed.
    pub(super) failures: u32,
    /// When it was due that failed so often.
    pub(super) failed_due: Option<Timestamp>,
    /// When it may be tried again.
    pub(super) retry_at: Option<Timestamp>,
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
    },
    /// A job could not begin within its start window, and is left out.
    Skip { job: usize, due: Timestamp },
}

/// The jobs of a plan.
#[derive(Debug)]
pub(super) struct Timetable {
    entries: Vec<Entry>,
    /// How many may be under way.
    at_once: usize,
}

impl Timetable {
    /// What was due before a job was known is none of its business.
    pub(super) fn new(
        jobs: impl IntoIterator<Item = (Timing, Past)>,
        at_once: usize,
        now: Timestamp,
    ) -> Self {
        let entries = jobs.into_iter().map(|(timing, mut past)| {
            past.settled_until.get_or_insert(now);
            Entry {
                timing,
                past,
                running: None,
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
            match entry.due(now) {
                None => {}
                Some(at) if entry.is_missed(at, now) => {
                    entry.settle(at);
                    steps.push(Step::Skip { job, due: at });
                }
                Some(at) => due.push((entry.timing.rank, at, job)),
            }
        }
        due.sort_unstable();
        let running = self.entries.iter().filter(|entry| entry.running.is_some());
        let free = self.at_once.saturating_sub(running.count());
        for (_, due, job) in due.into_iter().take(free) {
            let Some(entry) = self.entries.get_mut(job) else {
                continue;
            };
            entry.running = Some(due);
            if entry.past.failed_due != Some(due) {
                (entry.past.failures, entry.past.failed_due) = (0, None);
            }
            let attempt = entry.past.failures.saturating_add(1);
            steps.push(Step::Begin { job, due, attempt });
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
        if how != Ended::Failed || entry.past.failures >= entry.timing.retries {
            entry.settle(due);
            return false;
        }
        let factor = LONGER.saturating_pow(entry.past.failures);
        let pause = entry.timing.retry_after.saturating_mul(factor);
        entry.past.failures += 1;
        entry.past.failed_due = Some(due);
        entry.past.retry_at = now.saturating_add(pause).ok();
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
        }
    }

    /// What to keep of a job.
    pub(super) fn past(&self, job: usize) -> Option<&Past> {
        self.entries.get(job).map(|entry| &entry.past)
    }

    /// When the next step may be, if no job ends before.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self.entries.iter().filter(|entry| entry.running.is_none());
        waiting.filter_map(|entry| entry.next(now)).min()
    }
}

impl Entry {
    /// The last moment until now that it was due at and is not settled, unless it is under way or has to wait.
    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.running.is_some() {
            return None;
        }
        let last = self.timing.occurrences.until(now);
        let last = last.filter(|last| self.past.settled_until.is_none_or(|until| *last > until))?;
        let waits = self.past.retry_at.is_some_and(|at| at > now);
        match self.past.failed_due {
            Some(failed) if failed == last && waits => None,
            _ => Some(last),
        }
    }

    fn is_missed(&self, due: Timestamp, now: Timestamp) -> bool {
        let is_late = now.duration_since(due) > self.timing.start_window;
        is_late && self.timing.missed == Missed::Skip && self.past.failed_due != Some(due)
    }

    fn settle(&mut self, due: Timestamp) {
        let until = self.past.settled_until.max(Some(due));
        self.past.settled_until = until;
        (self.past.failures, self.past.failed_due, self.past.retry_at) = (0, None, None);
    }

    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let retry = self.past.retry_at.filter(|at| *at > now);
        let next = self.timing.occurrences.after(now);
        retry.into_iter().chain(next).min()
    }
}
