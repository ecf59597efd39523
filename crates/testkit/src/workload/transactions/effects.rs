//! What a transaction has done to documents, so far for itself alone.

use std::sync::Arc;

use crate::workload::{
    Change,
    documents::{Alive, Desk, Step},
    pen::Pen,
};

/// Documents that a transaction has written to.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// For each the state before the transaction and after it; the command is the last one.
    steps: Vec<Step>,
}

impl Effects {
    pub(super) fn add(&mut self, step: Step) {
        let mut steps = self.steps.iter_mut();
        let earlier =
            steps.find(|earlier| earlier.id == step.id && earlier.namespace == step.namespace);
        match earlier {
            Some(earlier) => earlier.after = step.after,
            None => self.steps.push(step),
        }
    }

    /// Another write to a document that has one in this transaction, if it exists.
    pub(super) fn again(&self, pen: &mut Pen) -> Option<Step> {
        let steps = self.steps.iter();
        let existing: Vec<_> = steps.filter(|step| step.after.is_some()).collect();
        if existing.is_empty() {
            return None;
        }
        let chosen = existing[pen.pick(existing.len())];
        let alive = Alive {
            namespace: Arc::clone(&chosen.namespace),
            id: chosen.id,
            image: Arc::clone(chosen.after.as_ref()?),
        };
        Some(if pen.chance(80) {
            alive.edit(pen)
        } else {
            alive.delete()
        })
    }

    pub(super) fn changes(&self) -> Vec<(Arc<str>, Change)> {
        let steps = self.steps.iter();
        steps
            .map(|step| {
                let change = Change::Document {
                    id: step.id,
                    after: step.after.clone(),
                };
                (Arc::clone(&step.namespace), change)
            })
            .collect()
    }

    /// Nothing of it has happened.
    pub(super) fn undo(self, desk: &mut Desk) {
        for step in self.steps {
            desk.undone(step);
        }
    }

    /// All of it has happened.
    pub(super) fn keep(self, desk: &mut Desk) {
        for step in self.steps {
            desk.done(step);
        }
    }
}
