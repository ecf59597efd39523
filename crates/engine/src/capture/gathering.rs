//! What is read, until it is a slice.

use std::time::{Duration, Instant};

use rdump_format::{Namespace, Selector};
use rdump_oplog::{GatheredSlice, OpTime, RemapError, Remapped, SliceBuilder, remap};
use tokio::sync::mpsc;

use super::{Capture, waiting::Waiting};
use crate::{Error, Result, change_stream::ToldUntil};

/// How long a slice without entries is put off.
const IDLE: Duration = Duration::from_secs(60);
/// How large a segment is, in bytes before compression.
const SEGMENT_BYTES: usize = 8 << 20;

/// A slice that is to be stored.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) slice: GatheredSlice,
    /// When the oldest transaction began that is open at its end.
    pub(super) open_since: Option<OpTime>,
    /// Of a change stream, what leads on from there.
    pub(super) told: Option<ToldUntil>,
    /// Goes once it is stored.
    pub(super) waiting: Waiting,
}

/// Entries on their way into a slice.
#[derive(Debug)]
pub(super) struct Gathering<'a> {
    capture: &'a Capture,
    pub(super) builder: SliceBuilder,
    waiting: Waiting,
    /// Since when something waits to be stored.
    waits_since: Option<Instant>,
    sealed_at: Instant,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(capture: &'a Capture) -> Self {
        Self {
            capture,
            builder: SliceBuilder::new(SEGMENT_BYTES),
            waiting: Waiting::new(&capture.cx.counters),
            waits_since: None,
            sealed_at: Instant::now(),
        }
    }

    /// Takes an entry, as far as it is about what is captured; `is_wanted` says whether it is, of one that all is of.
    pub(super) fn take(
        &mut self,
        entry: &[u8],
        is_wanted: bool,
        malformed: fn() -> Error,
    ) -> Result<()> {
        let changed;
        let stored = match selected(&self.capture.options.select, entry) {
            Ok(Remapped::Same) => Some(entry).filter(|_| is_wanted),
            Ok(Remapped::Nothing) => None,
            Ok(Remapped::Changed(entry)) => {
                changed = entry;
                Some(changed.as_bytes())
            }
            Err(error) => return Err(malformed().caused_by(error)),
        };
        let pushed = self.builder.push(entry, stored);
        pushed.map_err(|error| malformed().caused_by(error))?;
        self.waiting.grow_to(self.builder.bytes());
        if stored.is_some() {
            self.waits_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Whether it is as long as a slice gets.
    pub(super) fn is_full(&self) -> bool {
        self.builder.bytes() >= self.capture.options.slice_bytes
    }

    /// Whether it has to be given over.
    pub(super) fn is_due(&self) -> bool {
        let age = self.capture.options.slice_age;
        match self.waits_since {
            Some(since) => since.elapsed() >= age,
            None => self.builder.end().is_some() && self.sealed_at.elapsed() >= IDLE.max(age),
        }
    }

    /// What was gathered, unless that is nothing; what comes next waits since `waits_since`.
    pub(super) fn seal(
        &mut self,
        waits_since: Option<Instant>,
    ) -> Option<(GatheredSlice, Waiting)> {
        let builder = std::mem::replace(&mut self.builder, SliceBuilder::new(SEGMENT_BYTES));
        self.waits_since = waits_since;
        self.sealed_at = Instant::now();
        let waiting = self.waiting.take();
        builder.build().map(|slice| (slice, waiting))
    }
}

/// Gives over what was gathered. Who receives it and has failed says why.
pub(super) async fn give(gathered: &mpsc::Sender<Gathered>, gather: Gathered) {
    let _ = gathered.send(gather).await;
}

/// What is stored of an entry.
fn selected(select: &Selector, entry: &[u8]) -> std::result::Result<Remapped, RemapError> {
    if *select == Selector::default() {
        return Ok(Remapped::Same);
    }
    let map = |namespace: &Namespace| select.selects(namespace).then(|| namespace.clone());
    match remap(entry, &map) {
        // A restore that needs what was in it says so.
        Err(RemapError::RenamedIn { .. }) => Ok(Remapped::Same),
        remapped => remapped,
    }
}
