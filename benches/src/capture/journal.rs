//! When which moment of the deployment was.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rdump::OpTime;

use super::program::Slice;

/// The batches of inserts that were acknowledged: by the moment of the last document, when each was sent.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<BTreeMap<OpTime, Instant>>);

impl Journal {
    /// Takes note of a batch.
    pub(super) fn note(&self, at: OpTime, sent: Instant) {
        self.lock().insert(at, sent);
    }

    /// When the last batch was sent that is there at a moment; `None` before the first one.
    pub(super) fn time_of(&self, moment: OpTime) -> Option<Instant> {
        self.lock()
            .range(..=moment)
            .next_back()
            .map(|(_, sent)| *sent)
    }

    /// The moment of the last batch.
    pub(super) fn last(&self) -> OpTime {
        let last = self.lock().keys().next_back().copied();
        last.unwrap_or_default()
    }

    /// For each slice that a batch ends in, how long it took from its last batch until it was stored, in seconds.
    pub(super) fn lags(&self, slices: &[Slice]) -> Vec<f64> {
        let mut before = None;
        let mut lags = Vec::new();
        for slice in slices {
            let sent = self.time_of(slice.end);
            if let Some(sent) = sent.filter(|_| sent != before) {
                let lag = slice.stored.saturating_duration_since(sent);
                lags.push(lag.as_secs_f64());
            }
            before = sent;
        }
        lags
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OpTime, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_of_the_time_of_the_last_batch_until_then() {
        let at = |ordinal| OpTime {
            seconds: 7,
            ordinal,
        };
        let zero = Instant::now();
        let time = |seconds| zero + Duration::from_secs(seconds);
        let journal = Journal::default();
        journal.note(at(20), time(2));
        journal.note(at(10), time(1));
        let times = [9, 10, 19, 20, 99].map(|ordinal| journal.time_of(at(ordinal)));
        let (one, two) = (Some(time(1)), Some(time(2)));
        assert_eq!(times, [None, one, one, two, two]);
        assert_eq!(journal.last(), at(20));
        // Neither what was stored before the first batch counts, nor what has no new one.
        let slices = [(9, 1), (12, 4), (15, 5), (30, 9), (31, 70)];
        let slices = slices.map(|(ordinal, seconds)| Slice {
            end: at(ordinal),
            stored: time(seconds),
        });
        assert_eq!(journal.lags(&slices), [3.0, 7.0]);
    }
}
