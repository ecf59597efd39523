//! What was read and is not stored yet.

use std::sync::Arc;

use crate::Counters;

/// The bytes of a slice from when they are read until they are stored, or given up with it.
#[derive(Debug)]
pub(super) struct Waiting {
    counters: Arc<Counters>,
    bytes: u64,
}

impl Waiting {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        Self {
            counters: Arc::clone(counters),
            bytes: 0,
        }
    }

    /// Counts what has come since it was told last how many there are.
    pub(super) fn grow_to(&mut self, bytes: u64) {
        let more = bytes.saturating_sub(self.bytes);
        self.counters.waiting_bytes.add(more);
        self.bytes += more;
    }

    /// Leaves nothing to what comes next, and gives what there was.
    pub(super) fn take(&mut self) -> Self {
        let next = Self::new(&self.counters);
        std::mem::replace(self, next)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.counters.waiting_bytes.take_back(self.bytes);
    }
}
