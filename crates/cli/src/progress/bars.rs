use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rdump::Event;

/// What the bar of slices is called.
const TIMELINE: &str = "captured";

/// A bar for each namespace or snapshot under way, and a line with the total below them.
#[derive(Debug)]
pub(super) struct Bars {
    screen: MultiProgress,
    total: ProgressBar,
    by_name: HashMap<String, Bar>,
}

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    unit: Unit,
}

/// What a bar counts.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Bytes,
    Of(&'static str),
}

impl Bars {
    pub(super) fn new(screen: &MultiProgress) -> Self {
        let total = screen.add(ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        Self {
            screen: screen.clone(),
            total,
            by_name: HashMap::new(),
        }
    }

    pub(super) fn update(&mut self, event: &Event) {
        match event {
            Event::NamespaceStarted {
                namespace,
                estimated_documents,
                estimated_bytes,
                ..
            } => {
                let total = match (estimated_bytes, estimated_documents) {
                    (Some(total), _) if *total > 0 => Some((*total, Unit::Bytes)),
                    (_, Some(total)) if *total > 0 => Some((*total, Unit::Of("documents"))),
                    _ => None,
                };
                self.begin(namespace.to_string(), total);
            }
            Event::NamespaceAdvanced {
                namespace,
                documents,
                uncompressed_bytes,
                ..
            } => self.advance(&namespace.to_string(), *documents, *uncompressed_bytes),
            Event::NamespaceFinished { namespace, .. } => self.end(&namespace.to_string()),
            Event::SnapshotStarted {
                snapshot,
                stored_bytes,
                ..
            } => self.begin(snapshot.to_string(), Some((*stored_bytes, Unit::Bytes))),
            Event::SnapshotAdvanced {
                snapshot,
                objects,
                stored_bytes,
                ..
            } => self.advance(snapshot.as_str(), *objects, *stored_bytes),
            Event::SnapshotFinished { snapshot, .. } => self.end(snapshot.as_str()),
            Event::TimelineAdvanced {
                slices,
                total_slices,
                stored_bytes,
                ..
            } => {
                if !self.by_name.contains_key(TIMELINE) {
                    let total = Some((*total_slices, Unit::Of("slices")));
                    self.begin(TIMELINE.to_owned(), total);
                }
                self.advance(TIMELINE, *slices, *stored_bytes);
                if slices == total_slices {
                    self.end(TIMELINE);
                }
            }
            _ => {}
        }
    }

    /// A bar for what is under way, with how much there is of it if that is known.
    fn begin(&mut self, name: String, total: Option<(u64, Unit)>) {
        let (bar, unit) = match total {
            Some((total, unit)) => (ProgressBar::new(total).with_style(unit.style()), unit),
            None => {
                let style = style("{spinner} {prefix}  {pos} documents");
                let bar = ProgressBar::new_spinner().with_style(style);
                (bar, Unit::Of("documents"))
            }
        };
        let bar = bar.with_prefix(name.clone());
        let bar = self.screen.insert_before(&self.total, bar);
        if let Some(older) = self.by_name.insert(name, Bar { bar, unit }) {
            older.bar.finish_and_clear();
        }
    }

    fn advance(&self, name: &str, count: u64, bytes: u64) {
        if let Some(Bar { bar, unit }) = self.by_name.get(name) {
            bar.set_position(match unit {
                Unit::Of(_) => count,
                Unit::Bytes => bytes,
            });
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(Bar { bar, .. }) = self.by_name.remove(name) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    /// Shows the numbers of the whole run.
    pub(super) fn total(&self, total: String) {
        self.total.set_message(total);
        self.total.tick();
    }

    pub(super) fn clear(&self) {
        for Bar { bar, .. } in self.by_name.values() {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
    }
}

impl Unit {
    fn style(self) -> ProgressStyle {
        match self {
            Self::Of(things) => style(&format!(
                "[{{bar:24}}]  {{prefix}}  {{pos}}/{{len}} {things}  {{per_sec}}  {{eta}} left"
            )),
            Self::Bytes => style(
                "[{bar:24}]  {prefix}  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
            ),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##.")
}
