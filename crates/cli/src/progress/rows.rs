use std::{collections::BTreeMap, time::Instant};

use rdump::{Event, Namespace};

use crate::units::rate;

/// The width of the bar in a line, in characters.
const BAR_WIDTH: usize = 24;

/// How far each namespace is that was begun.
#[derive(Debug, Default)]
pub(super) struct Rows(BTreeMap<Namespace, Row>);

#[derive(Debug)]
struct Row {
    started: Instant,
    documents: u64,
    bytes: u64,
    estimated_documents: Option<u64>,
    finished: bool,
}

impl Rows {
    pub(super) fn update(&mut self, event: &Event) {
        match event {
            Event::NamespaceStarted {
                namespace,
                estimated_documents,
                ..
            } => {
                let row = Row {
                    started: Instant::now(),
                    documents: 0,
                    bytes: 0,
                    estimated_documents: *estimated_documents,
                    finished: false,
                };
                self.0.insert(namespace.clone(), row);
            }
            Event::NamespaceAdvanced {
                namespace,
                documents,
                uncompressed_bytes,
                ..
            } => {
                if let Some(row) = self.0.get_mut(namespace) {
                    (row.documents, row.bytes) = (*documents, *uncompressed_bytes);
                }
            }
            Event::NamespaceFinished {
                namespace,
                documents,
                ..
            } => {
                if let Some(row) = self.0.get_mut(namespace) {
                    (row.documents, row.finished) = (*documents, true);
                }
            }
            _ => {}
        }
    }

    /// One line for each namespace under way, in mongodump's manner.
    pub(super) fn lines(&self) -> Vec<String> {
        let under_way = self.0.iter().filter(|(_, row)| !row.finished);
        under_way
            .map(|(namespace, row)| row.line(namespace))
            .collect()
    }
}

impl Row {
    fn line(&self, namespace: &Namespace) -> String {
        let rate = rate(self.bytes, self.started.elapsed().as_secs_f64());
        match self.estimated_documents.filter(|estimate| *estimate > 0) {
            Some(estimate) => {
                // Estimates may be too low.
                let done = self.documents.min(estimate);
                let filled =
                    usize::try_from(u128::from(done) * BAR_WIDTH as u128 / u128::from(estimate))
                        .unwrap_or(0);
                let tenths = u128::from(done) * 1000 / u128::from(estimate);
                format!(
                    "[{}{}]  {namespace}  {}/{estimate}  ({}.{}%)  {rate}",
                    "#".repeat(filled),
                    ".".repeat(BAR_WIDTH.saturating_sub(filled)),
                    self.documents,
                    tenths / 10,
                    tenths % 10
                )
            }
            None => format!("{namespace}  {}  {rate}", self.documents),
        }
    }
}
