use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rdump::{Event, Namespace};

/// A bar for each namespace under way, and a line with the total below them.
#[derive(Debug)]
pub(super) struct Bars {
    screen: MultiProgress,
    total: ProgressBar,
    by_namespace: HashMap<Namespace, Bar>,
}

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    in_documents: bool,
}

impl Bars {
    pub(super) fn new(screen: &MultiProgress) -> Self {
        let total = screen.add(ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        Self {
            screen: screen.clone(),
            total,
            by_namespace: HashMap::new(),
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
                let (bar, in_documents) = match (estimated_bytes, estimated_documents) {
                    (Some(total), _) if *total > 0 => {
                        (ProgressBar::new(*total).with_style(bar_style(false)), false)
                    }
                    (_, Some(total)) if *total > 0 => {
                        (ProgressBar::new(*total).with_style(bar_style(true)), true)
                    }
                    _ => (
                        ProgressBar::new_spinner()
                            .with_style(style("{spinner} {prefix}  {pos} documents")),
                        true,
                    ),
                };
                let bar = self
                    .screen
                    .insert_before(&self.total, bar.with_prefix(namespace.to_string()));
                if let Some(older) = self
                    .by_namespace
                    .insert(namespace.clone(), Bar { bar, in_documents })
                {
                    older.bar.finish_and_clear();
                }
            }
            Event::NamespaceAdvanced {
                namespace,
                documents,
                uncompressed_bytes,
                ..
            } => {
                if let Some(Bar { bar, in_documents }) = self.by_namespace.get(namespace) {
                    bar.set_position(if *in_documents {
                        *documents
                    } else {
                        *uncompressed_bytes
                    });
                }
            }
            Event::NamespaceFinished { namespace, .. } => {
                if let Some(Bar { bar, .. }) = self.by_namespace.remove(namespace) {
                    bar.finish_and_clear();
                    self.screen.remove(&bar);
                }
            }
            _ => {}
        }
    }

    /// Shows the numbers of the whole run.
    pub(super) fn total(&self, total: String) {
        self.total.set_message(total);
        self.total.tick();
    }

    pub(super) fn clear(&self) {
        for Bar { bar, .. } in self.by_namespace.values() {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
    }
}

fn bar_style(in_documents: bool) -> ProgressStyle {
    style(match in_documents {
        true => "[{bar:24}]  {prefix}  {pos}/{len} documents  {per_sec}  {eta} left",
        false => {
            "[{bar:24}]  {prefix}  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left"
        }
    })
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##.")
}
