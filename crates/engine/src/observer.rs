//! Events and counters: how a run is watched.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use rdump_format::{Namespace, OpTime, repository::SnapshotId};
use serde::Serialize;

/// Receives the events of a run. Default: ignore them (`()`).
///
/// Any `Fn(&Event) + Send + Sync` is an observer.
pub trait Observer: Send + Sync {
    /// Called in order, one call at a time, on the run's own tasks: return at once and never block.
    fn on_event(&self, event: &Event);
}

impl Observer for () {
    fn on_event(&self, _: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// Something worth telling a person about: a few per collection, never one per document.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
#[non_exhaustive]
pub enum Event {
    /// A namespace's data is about to be read or restored.
    #[non_exhaustive]
    NamespaceStarted {
        /// The namespace at the source (dump) or target (restore).
        namespace: Namespace,
        /// How many documents it may have, if the source or the dump says so.
        estimated_documents: Option<u64>,
        /// How many uncompressed bytes it may have, if the source or the dump says so.
        estimated_bytes: Option<u64>,
    },
    /// Documents of a namespace went through; at most one event a segment.
    #[non_exhaustive]
    NamespaceAdvanced {
        /// The namespace.
        namespace: Namespace,
        /// Documents so far.
        documents: u64,
        /// Uncompressed bytes so far.
        uncompressed_bytes: u64,
    },
    /// A namespace's data is completely stored or inserted; its indexes are yet to be built.
    #[non_exhaustive]
    NamespaceFinished {
        /// The namespace.
        namespace: Namespace,
        /// Documents stored or inserted.
        documents: u64,
        /// Documents that could not be inserted.
        failed_documents: u64,
    },
    /// A collection's indexes are about to be built.
    #[non_exhaustive]
    IndexesStarted {
        /// The namespace.
        namespace: Namespace,
        /// How many indexes.
        indexes: u64,
    },
    /// Something failed and is tried again.
    #[non_exhaustive]
    Retrying {
        /// The namespace, if it is about one.
        namespace: Option<Namespace>,
        /// What is done again and how: `resuming after the last document read`, for instance.
        what: String,
        /// Why.
        reason: String,
        /// The attempt that comes now; the first retry is 2.
        attempt: u32,
    },
    /// A snapshot is about to be verified, copied, or put into a bundle or taken out of one.
    #[non_exhaustive]
    SnapshotStarted {
        /// The snapshot.
        snapshot: SnapshotId,
        /// How many of its objects go through: data objects, when it is verified those of which something is read.
        objects: u64,
        /// How many stored bytes of them go through.
        stored_bytes: u64,
    },
    /// An object of a snapshot went through.
    #[non_exhaustive]
    SnapshotAdvanced {
        /// The snapshot.
        snapshot: SnapshotId,
        /// Objects so far.
        objects: u64,
        /// Stored bytes so far.
        stored_bytes: u64,
    },
    /// All objects of a snapshot went through.
    #[non_exhaustive]
    SnapshotFinished {
        /// The snapshot.
        snapshot: SnapshotId,
        /// How many objects.
        objects: u64,
        /// How many stored bytes.
        stored_bytes: u64,
    },
    /// A slice or a gap of what was captured was verified, copied or exported.
    #[non_exhaustive]
    TimelineAdvanced {
        /// Slices and gaps so far.
        slices: u64,
        /// How many there are.
        total_slices: u64,
        /// Stored bytes of them so far.
        stored_bytes: u64,
    },
    /// Objects of a repository were deleted: at most a thousand since the last of these events.
    #[non_exhaustive]
    ObjectsDeleted {
        /// Objects so far.
        objects: u64,
        /// Bytes so far.
        stored_bytes: u64,
    },
    /// A slice of the oplog is stored.
    #[non_exhaustive]
    SliceStored {
        /// The moment that it comes after.
        start: OpTime,
        /// Its last moment.
        end: OpTime,
        /// How many entries it has.
        entries: u64,
        /// How long it is as it is stored, in bytes.
        stored_bytes: u64,
        /// From its last moment, by the clock of the deployment, until now by that of this machine, in seconds.
        lag_seconds: u64,
    },
    /// What was written in a span of time is not captured, and will not be.
    #[non_exhaustive]
    Gap {
        /// The moment that it comes after.
        start: OpTime,
        /// The moment from which on something is known again.
        end: OpTime,
        /// Why, and what to do.
        message: String,
    },
    /// Something a person should know that is no failure.
    #[non_exhaustive]
    Notice {
        /// The namespace, if it is about one.
        namespace: Option<Namespace>,
        /// A sentence.
        message: String,
    },
    /// The run did not come to its end: an error ended it, or it was cancelled.
    #[non_exhaustive]
    Stopped {
        /// Namespaces that are done: stored, or restored with their indexes and looked at.
        complete: Vec<Namespace>,
        /// Namespaces that were begun: what they are at the target is not what the dump has.
        partial: Vec<Namespace>,
        /// Namespaces of which nothing was stored or changed.
        untouched: Vec<Namespace>,
    },
    /// Something failed, but not the run. It is in the report too.
    Problem(Problem),
}

/// A failure that did not end the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Problem {
    /// The namespace, if it is about one.
    pub namespace: Option<Namespace>,
    /// What is wrong, as one line.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(namespace: Option<&Namespace>, message: impl Into<String>) -> Self {
        Self {
            namespace: namespace.cloned(),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Keeps every event, for tests.
#[derive(Debug, Default)]
pub struct RecordingObserver(Mutex<Vec<Event>>);

impl RecordingObserver {
    /// The events so far, in order.
    pub fn events(&self) -> Vec<Event> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

impl Observer for RecordingObserver {
    fn on_event(&self, event: &Event) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(event.clone());
    }
}

/// Numbers of a run that may be read at any time, from any thread.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Documents read from the source or the dump.
    pub documents_read: Counter,
    /// Uncompressed bytes read from the source or the dump.
    pub bytes_read: Counter,
    /// Documents stored in the dump or inserted into the target.
    pub documents_written: Counter,
    /// Bytes stored in the dump, after compression; or uncompressed bytes inserted into the target.
    pub bytes_written: Counter,
    /// Documents that the target refused.
    pub documents_failed: Counter,
    /// Namespaces whose data is complete.
    pub namespaces_finished: Counter,
    /// Commands that were tried again.
    pub retries: Counter,
    /// Slices of the oplog that were stored.
    pub slices_written: Counter,
    /// Uncompressed bytes of the entries that a capture has read and that are not stored yet: how it is now.
    pub waiting_bytes: Counter,
    /// How far the slice that was stored last was behind then, in seconds: from its last moment, by the clock of the deployment, to when it was
    /// stored, by that of this machine. 0 until there is one.
    pub lag_seconds: Counter,
}

/// One number. It only grows, except when a collection is started over; but one that tells how it is now goes up and down.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn take_back(&self, some: u64) {
        self.0.fetch_sub(some, Ordering::Relaxed);
    }
}
