//! What was written, and what must be there because of it.

mod evidence;
mod resolve;

use std::{collections::BTreeSet, sync::Arc};

use bson::Timestamp;
use mongodb::Client;

use super::{Change, Outcome, State, Write, change::BEFORE_ALL, options::split};

/// Every write of a workload, in the order of time.
#[derive(Clone, Debug)]
pub struct Journal {
    writes: Vec<Write>,
    /// Every namespace that there ever was, or may have been.
    namespaces: BTreeSet<Arc<str>>,
}

impl Journal {
    pub(super) fn new(writes: impl Iterator<Item = Write>) -> Self {
        let writes: Vec<_> = writes.collect();
        let mut namespaces = BTreeSet::new();
        for write in &writes {
            if !namespaces.contains(&write.namespace) {
                namespaces.insert(Arc::clone(&write.namespace));
            }
            if let Change::Rename { to } = &write.change {
                namespaces.insert(Arc::clone(to));
            }
        }
        let mut journal = Self { writes, namespaces };
        journal.sort();
        journal
    }

    /// The writes in the order of time, without an oplog in that of each writer.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Every namespace that was ever written to, or made.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.iter().map(AsRef::as_ref)
    }

    /// Time of the first write. Before it there was nothing of the workload.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.times().next()
    }

    /// Time of the last write.
    pub fn newest(&self) -> Option<Timestamp> {
        self.times().next_back()
    }

    /// Number of writes of which nobody knows whether they were carried out.
    pub fn unknown(&self) -> usize {
        let writes = self.writes.iter();
        writes
            .filter(|write| matches!(write.outcome, Outcome::Unknown { .. }))
            .count()
    }

    /// What must be there after all writes.
    pub fn expected_state(&self) -> State {
        self.state_after(|_| true)
    }

    /// What must have been there at a time of the oplog, with the write of that time.
    ///
    /// What has a write of unknown outcome is uncertain from then on.
    pub fn state_at(&self, time: Timestamp) -> State {
        self.state_after(|written| written <= time)
    }

    /// Panics, naming discrepancies, unless the deployment holds what is expected after all writes; `namespace` maps
    /// names of the workload to those of where they are looked for.
    pub async fn assert_holds(&self, client: &Client, namespace: impl Fn(&str) -> String) {
        self.expected_state().assert_holds(client, namespace).await;
    }

    fn state_after(&self, is_done: impl Fn(Timestamp) -> bool) -> State {
        let mut state = State::new(&self.namespaces);
        for write in &self.writes {
            if is_done(write.outcome.earliest()) {
                state.apply(write);
            } else if let Change::Output { begun, .. } = write.change
                && is_done(begun)
            {
                state.expect_output_in(split(&write.namespace).0);
            }
        }
        state
    }

    fn times(&self) -> impl DoubleEndedIterator<Item = Timestamp> {
        let outcomes = self.writes.iter().map(|write| write.outcome);
        outcomes.filter_map(|outcome| match outcome {
            Outcome::Acknowledged(time) => time.filter(|time| *time != BEFORE_ALL),
            Outcome::Unknown { .. } => None,
        })
    }

    /// Writes of one time are in the order in which they were noted.
    fn sort(&mut self) {
        self.writes.sort_by_key(|write| write.outcome.earliest());
    }
}
