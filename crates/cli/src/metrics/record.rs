//! What a run that is over leaves in the metrics.

use jiff::Timestamp;

use super::*;
use crate::{exit::Exit, outcome::Told};

/// Takes down how a run ended. One that is about no place leaves nothing.
pub(crate) fn record(registry: &Registry, operation: &str, exit: Exit, told: &Told) {
    let Some(repository) = told.repository.as_deref() else {
        return;
    };
    let labels = [repository, operation];
    for metric in ALL {
        if metric.name.starts_with("rdump_last_run_") {
            registry.forget(metric, &labels);
        }
        if told.is_state && metric.labels == OF_REPOSITORY && metric.kind == Kind::Gauge {
            registry.forget(metric, &[repository]);
        }
    }
    for (metric, value) in &told.figures {
        let labels = &labels[..metric.labels.len().min(labels.len())];
        registry.set(metric, labels, number(*value));
    }
    let is_good = exit.is_good();
    let (when, result) = match is_good {
        true => (&LAST_SUCCESS, "success"),
        false => (&LAST_FAILURE, "failure"),
    };
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    registry.set(when, &labels, number(now));
    registry.set(&LAST_RUN_SUCCESS, &labels, f64::from(u8::from(is_good)));
    registry.set(&DURATION, &labels, told.seconds);
    registry.add(&RUNS, &[repository, operation, result], 1.0);
    if let Some(kind) = told.error_kind(exit) {
        registry.set(&LAST_RUN_ERROR, &[repository, operation, kind], 1.0);
    }
}
