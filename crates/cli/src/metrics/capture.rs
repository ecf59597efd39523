//! What a capture measures while it runs.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use jiff::Timestamp;
use rdump::{Counters, Event, OpTime};

use super::*;

/// Keeps the metrics of a capture up to date.
#[derive(Clone, Debug)]
pub(crate) struct CaptureMetrics {
    registry: Arc<Registry>,
    repository: String,
    /// The second of the last moment that is stored; 0 if there is none.
    until: Arc<AtomicU32>,
}

impl CaptureMetrics {
    /// Of a capture into a repository that adds to `counters`.
    pub(crate) fn new(
        registry: &Arc<Registry>,
        repository: String,
        counters: Arc<Counters>,
    ) -> Self {
        let metrics = Self {
            registry: Arc::clone(registry),
            repository,
            until: Arc::default(),
        };
        let labels = [metrics.repository.as_str()];
        for counter in [
            &CAPTURE_SLICES,
            &CAPTURE_ENTRIES,
            &CAPTURE_BYTES,
            &CAPTURE_GAPS,
            &CAPTURE_INTERRUPTIONS,
        ] {
            registry.add(counter, &labels, 0.0);
        }
        let (repository, until) = (metrics.repository.clone(), Arc::clone(&metrics.until));
        registry.refresh_by(&metrics.repository, move |registry| {
            let labels = [repository.as_str()];
            let waiting = number(counters.waiting_bytes.value());
            registry.set(&WAITING_BYTES, &labels, waiting);
            let until = i64::from(until.load(Ordering::Relaxed));
            if until > 0 {
                let lag = Timestamp::now().as_second().saturating_sub(until).max(0);
                let lag = u64::try_from(lag).unwrap_or_default();
                registry.set(&CAPTURE_LAG, &labels, number(lag));
            }
        });
        metrics
    }

    /// Takes down what is stored until then.
    pub(crate) fn captured_until(&self, until: OpTime) {
        self.until.store(until.seconds, Ordering::Relaxed);
        let labels = [self.repository.as_str()];
        let until = f64::from(until.seconds);
        self.registry.set(&CAPTURED_UNTIL, &labels, until);
    }

    /// Takes down what happened.
    pub(crate) fn on_event(&self, event: &Event) {
        let labels = [self.repository.as_str()];
        let add = |metric, more| self.registry.add(metric, &labels, number(more));
        match event {
            Event::SliceStored {
                end,
                entries,
                stored_bytes,
                ..
            } => {
                add(&CAPTURE_SLICES, 1);
                add(&CAPTURE_ENTRIES, *entries);
                add(&CAPTURE_BYTES, *stored_bytes);
                self.captured_until(*end);
            }
            Event::Gap { .. } => add(&CAPTURE_GAPS, 1),
            Event::Retrying { .. } => add(&CAPTURE_INTERRUPTIONS, 1),
            _ => {}
        }
    }
}
