//! What every task of a run shares.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use rdump_format::Namespace;
use tokio_util::sync::CancellationToken;

use crate::{Counters, Error, Event, Observer, Problem, Result};

/// The cancel token, observer, counters and clock of one run.
#[derive(Clone)]
pub(crate) struct RunContext {
    pub(crate) cancel: CancellationToken,
    pub(crate) counters: Arc<Counters>,
    observer: Arc<Mutex<Arc<dyn Observer>>>,
    problems: Arc<Mutex<Vec<Problem>>>,
    /// The namespaces that were begun, and whether they are complete.
    begun: Arc<Mutex<HashMap<Namespace, bool>>>,
    clock: fn() -> Timestamp,
}

impl fmt::Debug for RunContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunContext")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Default for RunContext {
    fn default() -> Self {
        Self {
            cancel: CancellationToken::new(),
            counters: Arc::default(),
            observer: Arc::new(Mutex::new(Arc::new(()))),
            problems: Arc::default(),
            begun: Arc::default(),
            clock: Timestamp::now,
        }
    }
}

impl RunContext {
    pub(crate) fn set_observer(&mut self, observer: Arc<dyn Observer>) {
        self.observer = Arc::new(Mutex::new(observer));
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Tells the observer, one event at a time.
    pub(crate) fn emit(&self, event: Event) {
        self.observer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .on_event(&event);
    }

    pub(crate) fn notice(&self, namespace: Option<&Namespace>, message: impl Into<String>) {
        self.emit(Event::Notice {
            namespace: namespace.cloned(),
            message: message.into(),
        });
    }

    /// Records a failure that does not end the run.
    pub(crate) fn problem(&self, problem: Problem) {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(problem.clone());
        self.emit(Event::Problem(problem));
    }

    /// Tells that what was done is not in the record of the repository: a problem of what was written, and no more than a notice where nothing was.
    pub(crate) fn unrecorded(&self, missing: Option<String>, written: Option<&mut Vec<Problem>>) {
        match (missing, written) {
            (None, _) => {}
            (Some(missing), None) => self.notice(None, missing),
            (Some(missing), Some(problems)) => {
                let problem = Problem::new(None, missing);
                self.problem(problem.clone());
                problems.push(problem);
            }
        }
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records that something of the namespace is about to be changed.
    pub(crate) fn begin(&self, namespace: &Namespace) {
        self.record(namespace, false);
    }

    /// Records that nothing of the namespace is left to do.
    pub(crate) fn complete(&self, namespace: &Namespace) {
        self.record(namespace, true);
    }

    fn record(&self, namespace: &Namespace, complete: bool) {
        self.begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(namespace.clone(), complete);
    }

    /// Says how far each of all namespaces is, after a run that did not come to its end.
    pub(crate) fn stopped<'a>(&self, all: impl Iterator<Item = &'a Namespace>) {
        let (mut complete, mut partial, mut untouched) = (Vec::new(), Vec::new(), Vec::new());
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for namespace in all {
            let list = match begun.get(namespace) {
                Some(true) => &mut complete,
                Some(false) => &mut partial,
                None => &mut untouched,
            };
            list.push(namespace.clone());
        }
        drop(begun);
        self.emit(Event::Stopped {
            complete,
            partial,
            untouched,
        });
    }

    /// Runs `work` until it is done or the run is cancelled.
    pub(crate) async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.cancel
            .run_until_cancelled(work)
            .await
            .unwrap_or_else(|| Err(Error::cancelled()))
    }
}
