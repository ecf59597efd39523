//! How far an operation on a snapshot, or on what was captured, is.

use rdump_format::repository::SnapshotId;

use crate::{Event, context::RunContext};

/// Tells how much of a snapshot went through.
pub(super) struct SnapshotProgress<'a> {
    cx: &'a RunContext,
    snapshot: &'a SnapshotId,
    objects: u64,
    stored_bytes: u64,
}

impl<'a> SnapshotProgress<'a> {
    /// Begins, where so much will go through.
    pub(super) fn start(
        cx: &'a RunContext,
        snapshot: &'a SnapshotId,
        (objects, stored_bytes): (u64, u64),
    ) -> Self {
        cx.emit(Event::SnapshotStarted {
            snapshot: snapshot.clone(),
            objects,
            stored_bytes,
        });
        Self {
            cx,
            snapshot,
            objects: 0,
            stored_bytes: 0,
        }
    }

    /// An object of so many bytes went through.
    pub(super) fn add(&mut self, stored_bytes: u64) {
        self.objects += 1;
        self.stored_bytes += stored_bytes;
        self.cx.emit(Event::SnapshotAdvanced {
            snapshot: self.snapshot.clone(),
            objects: self.objects,
            stored_bytes: self.stored_bytes,
        });
    }

    /// All went through.
    pub(super) fn finish(self) {
        self.cx.emit(Event::SnapshotFinished {
            snapshot: self.snapshot.clone(),
            objects: self.objects,
            stored_bytes: self.stored_bytes,
        });
    }
}

/// Tells how much of what was captured went through.
pub(super) struct TimelineProgress<'a> {
    cx: &'a RunContext,
    total_slices: u64,
    slices: u64,
    stored_bytes: u64,
}

impl<'a> TimelineProgress<'a> {
    pub(super) fn new(cx: &'a RunContext, total_slices: usize) -> Self {
        Self {
            cx,
            total_slices: total_slices as u64,
            slices: 0,
            stored_bytes: 0,
        }
    }

    /// A slice or gap of so many bytes went through.
    pub(super) fn add(&mut self, stored_bytes: u64) {
        self.slices += 1;
        self.stored_bytes += stored_bytes;
        self.cx.emit(Event::TimelineAdvanced {
            slices: self.slices,
            total_slices: self.total_slices,
            stored_bytes: self.stored_bytes,
        });
    }
}
