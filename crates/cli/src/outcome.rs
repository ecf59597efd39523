//! What a run has to say of itself once it is over, to those who watch.

use std::{
    fmt::Display,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{
    exit::Exit,
    failure,
    metrics::{self, Metric},
};

/// Collects what is told.
#[derive(Debug)]
pub(crate) struct Outcome {
    begun: Instant,
    told: Mutex<Told>,
    untold: AtomicU64,
}

/// What is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The place that it is about, without its options.
    pub(crate) repository: Option<String>,
    /// The snapshot that was made, or restored.
    pub(crate) snapshot: Option<String>,
    /// Numbers.
    pub(crate) figures: Vec<(&'static Metric, u64)>,
    /// Whether these are all that is known of a repository, so that what is not among them is not so any more.
    pub(crate) is_state: bool,
    /// What was wrong, the kind first.
    pub(crate) failure: Option<(&'static str, String)>,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Outcome {
    /// Of a run that begins now.
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            told: Mutex::default(),
            untold: AtomicU64::new(0),
        }
    }

    /// The place that the run is about: a location, which is shown without options and secrets.
    pub(crate) fn about(&self, location: &impl Display) {
        self.told().repository = Some(location.to_string());
    }

    /// The snapshot that was made, or restored.
    pub(crate) fn snapshot(&self, id: &impl Display) {
        self.told().snapshot = Some(id.to_string());
    }

    /// Numbers of the run.
    pub(crate) fn figures(&self, figures: impl IntoIterator<Item = (&'static Metric, u64)>) {
        self.told().figures.extend(figures);
    }

    /// All that there is to know of a repository.
    pub(crate) fn state(&self, figures: impl IntoIterator<Item = (&'static Metric, u64)>) {
        self.figures(figures);
        self.told().is_state = true;
    }

    /// Why it failed.
    pub(crate) fn failed(&self, error: &anyhow::Error) {
        self.told().failure = Some((failure::kind_of(error), failure::chain(error)));
    }

    /// So many could not be told of something while it ran.
    pub(crate) fn not_told(&self, how_many: u64) {
        self.untold.fetch_add(how_many, Ordering::Relaxed);
    }

    /// How many those were.
    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    /// All that was told until now.
    pub(crate) fn so_far(&self) -> Told {
        let mut told = self.told().clone();
        told.seconds = self.begun.elapsed().as_secs_f64();
        told
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// Counts more problems.
    pub(crate) fn problem(&mut self, more: u64) {
        let mut figures = self.figures.iter_mut();
        match figures.find(|(metric, _)| metric.name == metrics::PROBLEMS.name) {
            Some((_, problems)) => *problems += more,
            None if more > 0 => self.figures.push((&metrics::PROBLEMS, more)),
            None => {}
        }
    }

    /// What kind of failure it was, if it was one.
    pub(crate) fn error_kind(&self, exit: Exit) -> Option<&'static str> {
        match (exit, &self.failure) {
            (exit, _) if exit.is_good() => None,
            (Exit::Damaged, _) => Some("damage"),
            (Exit::Usage | Exit::Verbosity, _) => Some("usage"),
            (Exit::Cancelled, _) => Some("cancelled"),
            (_, Some((kind, _))) => Some(kind),
            (_, None) => Some("other"),
        }
    }
}
