//! Writes documents to collections that come and go.

use std::sync::Arc;

use rand::RngExt as _;

use super::{Definer, Owned};
use crate::workload::{
    Change, document,
    documents::{Alive, insert},
    pen::{Fate, Pen, Timing},
};

/// Documents of one collection.
const MAX_DOCUMENTS: usize = 60;

impl Definer {
    /// Writes some documents to one collection.
    pub(super) async fn fill_one(&mut self) {
        let mut owned = self.take();
        let writes = self.pen.rng.random_range(2..8);
        let fate = owned.fill(&mut self.pen, writes).await;
        self.give_back(owned, &fate);
    }
}

impl Owned {
    /// Makes some writes; one of unknown outcome is the last.
    pub(super) async fn fill(&mut self, pen: &mut Pen, writes: usize) -> Fate {
        let mut fate = Fate::Refused;
        for _ in 0..writes {
            fate = self.write(pen).await;
            if matches!(fate, Fate::Lost) {
                return fate;
            }
            pen.pause().await;
        }
        fate
    }

    async fn write(&mut self, pen: &mut Pen) -> Fate {
        let (is_full, is_insert) = (self.documents.len() >= MAX_DOCUMENTS, pen.chance(60));
        let step = if self.documents.is_empty() || (is_insert && !is_full) {
            let id = pen.id();
            let document = document::new(pen, id);
            insert(Arc::clone(&self.namespace), id, &document)
        } else {
            let chosen = self.documents.iter().nth(pen.pick(self.documents.len()));
            let (id, image) = chosen.expect("one of them was chosen");
            let alive = Alive {
                namespace: Arc::clone(&self.namespace),
                id: *id,
                image: Arc::clone(image),
            };
            if is_full || pen.chance(30) {
                alive.delete()
            } else {
                alive.edit(pen)
            }
        };
        let change = Change::Document {
            id: step.id,
            after: step.after.clone(),
        };
        let command = step.command.clone();
        let written = pen.write(&self.namespace, command, change, Timing::Reply);
        let fate = written.await;
        if let Fate::Done(reply) = &fate {
            step.verify(reply, pen);
            match step.after {
                Some(image) => self.documents.insert(step.id, image),
                None => self.documents.remove(&step.id),
            };
        }
        fate
    }
}
