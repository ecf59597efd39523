//! Tells what a run does: log lines from its events, and how far each collection is.

mod bars;
mod rows;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdump::{Codec, Counters, Event, Namespace, Observer, data_file, oplog_file};

use crate::{
    console::Console,
    convert::Output,
    units::{bytes, counted, rate},
};
use bars::Bars;
use rows::Rows;

/// How often lines say how far it is, where there is no terminal.
const LINES_EVERY: Duration = Duration::from_secs(3);
/// How many names a sentence lists before it only counts the rest.
const MAX_NAMES: usize = 20;
/// How often the total is read, where there is one.
const BARS_EVERY: Duration = Duration::from_millis(200);

/// What the run does, for the words to say it.
#[derive(Clone, Debug)]
pub(crate) enum Verb {
    /// Collections are written, to files of this codec if it is a folder.
    Dump(Output, Codec),
    /// Collections are written to a repository.
    Backup,
    /// Collections go from one medium to another.
    Copy,
    /// Documents are inserted.
    Restore,
    /// Files are read and compared with their manifest.
    Verify,
    /// Objects are deleted.
    Prune,
}

/// An observer for people, and for `--json`.
#[derive(Debug)]
pub(crate) struct Progress {
    console: Console,
    verb: Verb,
    started: Instant,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rows: Rows,
    bars: Option<Bars>,
}

impl Progress {
    /// Watches a run that adds to `counters`.
    pub(crate) fn new(console: &Console, verb: Verb, counters: Arc<Counters>) -> Self {
        let bars = console.bars().map(Bars::new);
        let state = Mutex::new(State {
            rows: Rows::default(),
            bars,
        });
        Self {
            console: console.clone(),
            verb,
            started: Instant::now(),
            counters,
            state,
        }
    }

    /// Says again and again how far it is; never ends by itself.
    pub(crate) async fn keep_telling(&self) -> Infallible {
        let has_bars = self.console.bars().is_some();
        let mut ticks = tokio::time::interval(if has_bars { BARS_EVERY } else { LINES_EVERY });
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let state = self.state();
            match &state.bars {
                Some(bars) => bars.total(self.total()),
                None => {
                    let lines = state.rows.lines();
                    drop(state);
                    for line in lines {
                        self.console.log(line);
                    }
                    if let Verb::Dump(..) | Verb::Backup = self.verb {
                        self.console.log(self.total());
                    }
                }
            }
        }
    }

    /// Takes the bars off the screen.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.state().bars {
            bars.clear();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the whole run is.
    fn total(&self) -> String {
        let counters = &self.counters;
        let seconds = self.started.elapsed().as_secs_f64();
        let read = counters.bytes_read.value();
        let mut total = format!(
            "total  {}  {} read, {}",
            counted(counters.documents_read.value(), "document"),
            bytes(read),
            rate(read, seconds)
        );
        if let Verb::Dump(..) | Verb::Backup = self.verb {
            let stored = counters.bytes_written.value();
            let stored = format!("  {} stored, {}", bytes(stored), rate(stored, seconds));
            total.push_str(&stored);
        }
        total
    }

    /// The log line for an event, if it has one.
    fn line(&self, event: &Event) -> Option<String> {
        Some(match event {
            Event::NamespaceStarted { namespace, .. } if namespace.is_oplog() => match &self.verb {
                Verb::Dump(Output::Folder(location), codec) => format!(
                    "writing captured oplog to {location}/{}",
                    oplog_file(*codec)
                ),
                Verb::Dump(archive, _) => format!("writing captured oplog to {archive}"),
                Verb::Backup => "backing up captured oplog".to_owned(),
                Verb::Copy => "copying captured oplog".to_owned(),
                Verb::Restore => "replaying oplog".to_owned(),
                Verb::Verify | Verb::Prune => return None,
            },
            Event::NamespaceFinished {
                namespace,
                documents,
                ..
            } if namespace.is_oplog() => match &self.verb {
                Verb::Dump(..) | Verb::Backup => format!("dumped {documents} oplog entries"),
                Verb::Copy => format!("copied {documents} oplog entries"),
                Verb::Restore => format!("applied {documents} oplog entries"),
                Verb::Verify | Verb::Prune => return None,
            },
            Event::NamespaceStarted { namespace, .. } => match &self.verb {
                Verb::Dump(Output::Folder(location), codec) => {
                    format!(
                        "writing {namespace} to {location}/{}/{}",
                        namespace.db,
                        data_file(&namespace.collection, *codec)
                    )
                }
                Verb::Dump(archive, _) => format!("writing {namespace} to {archive}"),
                Verb::Backup => format!("backing up {namespace}"),
                Verb::Copy => format!("copying {namespace}"),
                Verb::Restore => format!("restoring {namespace}"),
                Verb::Verify | Verb::Prune => return None,
            },
            Event::NamespaceFinished {
                namespace,
                documents,
                failed_documents,
                ..
            } => {
                let documents = counted(*documents, "document");
                match &self.verb {
                    Verb::Dump(..) => format!("done dumping {namespace} ({documents})"),
                    Verb::Backup => format!("backed up {namespace} ({documents})"),
                    Verb::Copy => format!("copied {namespace} ({documents})"),
                    Verb::Restore => {
                        format!(
                            "finished restoring {namespace} ({documents}, {})",
                            counted(*failed_documents, "failure")
                        )
                    }
                    Verb::Verify | Verb::Prune => return None,
                }
            }
            Event::IndexesStarted {
                namespace, indexes, ..
            } => {
                format!(
                    "restoring {} of {namespace}",
                    if *indexes == 1 {
                        "1 index".to_owned()
                    } else {
                        format!("{indexes} indexes")
                    }
                )
            }
            Event::Retrying {
                namespace,
                what,
                reason,
                attempt,
                ..
            } => {
                format!(
                    "{}{what} (attempt {attempt}) after: {reason}",
                    prefix(namespace.as_ref())
                )
            }
            Event::Notice {
                namespace, message, ..
            } => format!("{}{message}", prefix(namespace.as_ref())),
            Event::Problem(problem) => format!("WARNING: {problem}"),
            Event::Stopped {
                complete,
                partial,
                untouched,
                ..
            } => format!(
                "complete: {}; incomplete: {}; untouched: {}",
                listed(complete),
                listed(partial),
                listed(untouched)
            ),
            // What only moves the bars, and what the engine may learn to tell.
            _ => return None,
        })
    }
}

/// The log line for an event of a capture, if it has one, and whether it is a detail.
pub(crate) fn capture_line(event: &Event) -> Option<(String, bool)> {
    Some(match event {
        Event::SliceStored {
            end,
            entries,
            stored_bytes,
            lag_seconds,
            ..
        } => {
            let line = format!(
                "captured until {} ({}, {} stored, {lag_seconds} s behind)",
                crate::time::text(*end),
                counted(*entries, "entry"),
                bytes(*stored_bytes)
            );
            (line, true)
        }
        Event::Gap { message, .. } => (format!("GAP: {message}"), false),
        Event::Retrying { what, reason, .. } => (format!("{what}, after: {reason}"), false),
        Event::Notice { message, .. } => (message.clone(), false),
        _ => return None,
    })
}

fn prefix(namespace: Option<&Namespace>) -> String {
    match namespace {
        Some(namespace) if namespace.is_oplog() => "oplog: ".to_owned(),
        Some(namespace) => format!("{namespace}: "),
        None => String::new(),
    }
}

/// The first few names.
fn listed(namespaces: &[Namespace]) -> String {
    let mut names: Vec<String> = namespaces
        .iter()
        .take(MAX_NAMES)
        .map(Namespace::to_string)
        .collect();
    match namespaces.len().saturating_sub(MAX_NAMES) {
        _ if names.is_empty() => return "nothing".to_owned(),
        0 => {}
        more => names.push(format!("and {more} more")),
    }
    names.join(", ")
}

impl Observer for Progress {
    fn on_event(&self, event: &Event) {
        self.console.json("event", event);
        if let Some(line) = self.line(event) {
            let line = crate::failure::one_line(&line);
            match event {
                // What a run that did not do all of its work has to say for itself.
                Event::Problem(_) | Event::Stopped { .. } => self.console.always(line),
                _ => self.console.log(line),
            }
        }
        let mut state = self.state();
        state.rows.update(event);
        if let Some(bars) = &mut state.bars {
            bars.update(event);
        }
    }
}
