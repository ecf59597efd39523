//! Metrics as Prometheus reads them.
//!
//! A [`Registry`] holds what is known. One-shot commands keep it in a file ([`update`]), which the textfile collector of
//! node_exporter reads; what stays [`serve`]s it over HTTP. Names and labels are those of [`table`], and of no other place.

mod capture;
mod file;
mod record;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, PoisonError},
};

use prometheus::{CounterVec, GaugeVec, Opts, TextEncoder, core::Collector, proto::MetricFamily};

pub(crate) use capture::CaptureMetrics;
pub(crate) use file::update;
pub(crate) use record::record;
pub(crate) use server::serve;
pub(crate) use table::*;
use text::Sample;

/// Brings up to date what changes by itself.
type Refresher = Box<dyn Fn(&Registry) + Send + Sync>;

/// What is measured, to be changed and read from any thread.
pub(crate) struct Registry {
    inner: prometheus::Registry,
    families: BTreeMap<&'static str, Family>,
    /// By the repository that each is of.
    refreshers: Mutex<HashMap<String, Refresher>>,
}

#[derive(Clone)]
enum Family {
    Gauge(GaugeVec),
    Counter(CounterVec),
}

/// A file or an answer holds a metric that is not in the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) line: usize,
}

impl Registry {
    /// One that knows the version of this program and nothing else.
    pub(crate) fn new() -> Self {
        const VALID: &str = "names and labels of the table are valid and differ";
        let inner = prometheus::Registry::new();
        let mut families = BTreeMap::new();
        for metric in ALL {
            let options = Opts::new(metric.name, metric.help);
            let (family, collector): (_, Box<dyn Collector>) = match metric.kind {
                Kind::Gauge => {
                    let vec = GaugeVec::new(options, metric.labels).expect(VALID);
                    (Family::Gauge(vec.clone()), Box::new(vec))
                }
                Kind::Counter => {
                    let vec = CounterVec::new(options, metric.labels).expect(VALID);
                    (Family::Counter(vec.clone()), Box::new(vec))
                }
            };
            inner.register(collector).expect(VALID);
            families.insert(metric.name, family);
        }
        let registry = Self {
            inner,
            families,
            refreshers: Mutex::default(),
        };
        registry.set(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        registry
    }

    /// Sets a gauge, or what a counter has counted so far; the values of labels are in the order of their names.
    pub(crate) fn set(&self, metric: &Metric, labels: &[&str], value: f64) {
        match self.families.get(metric.name) {
            Some(Family::Gauge(vec)) => {
                if let Ok(gauge) = vec.get_metric_with_label_values(labels) {
                    gauge.set(value);
                }
            }
            Some(Family::Counter(vec)) => {
                if let Ok(counter) = vec.get_metric_with_label_values(labels) {
                    counter.reset();
                    // It would not take less than nothing.
                    counter.inc_by(value.max(0.0));
                }
            }
            None => {}
        }
    }

    /// Counts more.
    pub(crate) fn add(&self, metric: &Metric, labels: &[&str], more: f64) {
        if let Some(Family::Counter(vec)) = self.families.get(metric.name)
            && let Ok(counter) = vec.get_metric_with_label_values(labels)
        {
            counter.inc_by(more.max(0.0));
        }
    }

    /// Forgets what there is of a metric with these values of its first labels.
    pub(crate) fn forget(&self, metric: &Metric, first: &[&str]) {
        let Some(family) = self.families.get(metric.name) else {
            return;
        };
        for one in family.collect().iter().flat_map(MetricFamily::get_metric) {
            let labels: HashMap<&str, &str> = one
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            let mut wanted = metric.labels.iter().zip(first);
            if wanted.all(|(name, value)| labels.get(name) == Some(value)) {
                // It is there; only somebody else could have been faster.
                let _gone = match family {
                    Family::Gauge(vec) => vec.remove(&labels),
                    Family::Counter(vec) => vec.remove(&labels),
                };
            }
        }
    }

    /// Before each answer to who asks, `refresh` sets what changes by itself, instead of who did so for the repository before.
    pub(crate) fn refresh_by(
        &self,
        repository: &str,
        refresh: impl Fn(&Self) + Send + Sync + 'static,
    ) {
        let refreshers = self.refreshers.lock();
        let mut refreshers = refreshers.unwrap_or_else(PoisonError::into_inner);
        refreshers.insert(repository.to_owned(), Box::new(refresh));
    }

    /// All of it in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let refreshers = self.refreshers.lock();
        let refreshers = refreshers.unwrap_or_else(PoisonError::into_inner);
        for refresh in refreshers.values() {
            refresh(self);
        }
        let text = TextEncoder::new().encode_to_string(&self.inner.gather());
        // It fails where a family is empty or has no name, and none is.
        text.unwrap_or_default()
    }

    /// Takes up what an earlier run wrote. Metrics of other versions of rdump are left out.
    pub(crate) fn restore(&self, text: &str) -> Result<(), Unknown> {
        for (number, line) in text.lines().enumerate() {
            let Some(line) = text::content(line) else {
                continue;
            };
            let unknown = Unknown { line: number + 1 };
            let Some(Sample {
                name,
                labels,
                value,
            }) = text::sample(line).filter(|sample| sample.name.starts_with("rdump_"))
            else {
                return Err(unknown);
            };
            let metric = ALL.iter().find(|metric| metric.name == name);
            let Some(metric) = metric.filter(|it| it.name != BUILD_INFO.name) else {
                continue;
            };
            let values: Vec<&str> = metric
                .labels
                .iter()
                .map(|name| labels.get(*name).map_or("", String::as_str))
                .collect();
            self.set(metric, &values, value);
        }
        Ok(())
    }
}

impl Family {
    fn collect(&self) -> Vec<MetricFamily> {
        match self {
            Self::Gauge(vec) => vec.collect(),
            Self::Counter(vec) => vec.collect(),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// A number as Prometheus has them.
#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no others, and 2^53 is enough"
)]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}
