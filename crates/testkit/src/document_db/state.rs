//! What all connections share.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bson::Timestamp;
use tokio::sync::watch;

use super::{enabled::Enabled, refusal::Refusal, stream::Stream};

/// What the connections and the test's handle share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The server behind.
    pub(super) target: String,
    /// Whether events are held back.
    pub(super) held: watch::Sender<bool>,
    state: Mutex<State>,
}

/// How it behaves, and what it remembers.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Where clients find it.
    pub(super) address: String,
    /// What it says its own name is, if that is not its address.
    pub(super) me: Option<String>,
    pub(super) enabled: Enabled,
    /// Cursors whose batches are not passed on as they are.
    pub(super) cursors: HashMap<i64, Cursor>,
    /// How long events are kept.
    pub(super) retention: Option<Duration>,
    /// Events up to this moment are gone.
    pub(super) forgotten: Option<Timestamp>,
    /// What is said to who resumes at an event that is gone.
    pub(super) lost: LostPosition,
    /// Whether batches of events have a resume token of their own.
    pub(super) batch_tokens: bool,
    /// What was refused so far.
    pub(super) refusals: Vec<String>,
}

/// What the batches of a cursor hold.
#[derive(Debug)]
pub(super) enum Cursor {
    Collections,
    /// Indexes of a namespace.
    Indexes(String),
    Events(Stream),
}

/// What DocumentDB says to who resumes at an event that it keeps no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostPosition {
    /// Code 136, which a cluster of 5.0 was seen to answer with.
    #[default]
    CappedPositionLost,
    /// Code 286, as MongoDB.
    ChangeStreamHistoryLost,
}

impl LostPosition {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::CappedPositionLost => Refusal::new(
                136,
                "CappedPositionLost: CollectionScan died due to position in capped collection being deleted.",
            ),
            Self::ChangeStreamHistoryLost => Refusal::new(
                286,
                "Resume of change stream was not possible, as the resume point may no longer be in the oplog.",
            ),
        }
    }
}

impl Shared {
    pub(super) fn new(target: String) -> Self {
        Self {
            target,
            held: watch::Sender::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
