//! Moves values of a unique index between documents, each by two writes, in order.

use std::sync::Arc;

use bson::{Document, doc};

use super::{
    Change, Write,
    document::{image, raw},
    documents::insert,
    options::split,
    pen::{Fate, Pen, Timing},
};

/// Collections at the same time.
const COLLECTIONS: usize = 2;
/// Documents from which on values are moved.
const HOLDERS: usize = 20;

/// A collection whose documents have different slots.
struct Slots {
    namespace: Arc<str>,
    holders: Vec<Holder>,
    next_slot: i64,
}

/// A document, and the value that no other has.
#[derive(Clone, Copy)]
struct Holder {
    id: i64,
    slot: i64,
}

/// Writes until the workload is stopped.
pub(super) async fn run(mut pen: Pen) -> Vec<Write> {
    let mut collections = Vec::new();
    let mut made = 0;
    if pen.ready().await.is_some() {
        while !pen.shared.is_stopped() {
            if collections.len() < COLLECTIONS {
                made += 1;
                let namespace = pen.namespace(&format!("unique{}_{made}", pen.number));
                collections.extend(create(&mut pen, namespace).await);
            } else {
                let chosen = pen.pick(collections.len());
                collections[chosen].step(&mut pen).await;
            }
            pen.pause().await;
        }
    }
    pen.into_writes()
}

async fn create(pen: &mut Pen, namespace: Arc<str>) -> Option<Slots> {
    let Fate::Done(_) = pen.create(&namespace, Document::new()).await else {
        return None;
    };
    let index = doc! { "key": { "slot": 1 }, "name": "slot_1", "unique": true };
    let (db, collection) = split(&namespace);
    let command = doc! { "createIndexes": collection, "indexes": [index.clone()] };
    let change = Change::Index {
        name: "slot_1".into(),
        specification: Some(index.into()),
    };
    let defined = pen.define(db, &namespace, raw(&command), vec![change]);
    let Fate::Done(_) = defined.await else {
        return None;
    };
    Some(Slots {
        namespace,
        holders: Vec::new(),
        next_slot: 0,
    })
}

impl Slots {
    async fn step(&mut self, pen: &mut Pen) {
        if self.holders.len() < HOLDERS {
            let slot = self.slot();
            self.insert(pen, slot).await;
        } else if pen.chance(50) {
            // The value goes to a new document.
            let holder = self.take(pen);
            if self.delete(pen, holder).await {
                self.insert(pen, holder.slot).await;
            }
        } else {
            // The value goes to another document, which loses its own.
            let (from, to) = (self.take(pen), self.take(pen));
            let slot = self.slot();
            if self.set(pen, from, slot).await {
                self.set(pen, to, from.slot).await;
            } else {
                self.holders.push(to);
            }
        }
    }

    fn take(&mut self, pen: &mut Pen) -> Holder {
        let chosen = pen.pick(self.holders.len());
        self.holders.swap_remove(chosen)
    }

    fn slot(&mut self) -> i64 {
        self.next_slot += 1;
        self.next_slot
    }

    async fn insert(&mut self, pen: &mut Pen, slot: i64) {
        let holder = Holder { id: pen.id(), slot };
        let document = holder.document();
        let step = insert(Arc::clone(&self.namespace), holder.id, &document);
        let change = Change::Document {
            id: holder.id,
            after: step.after,
        };
        let written = pen.write(&self.namespace, step.command, change, Timing::Reply);
        if let Fate::Done(_) = written.await {
            self.holders.push(holder);
        }
    }

    /// Whether the value is free.
    async fn delete(&mut self, pen: &mut Pen, holder: Holder) -> bool {
        let deletes = [doc! { "q": { "_id": holder.id }, "limit": 1 }];
        let (_, collection) = split(&self.namespace);
        let command = doc! { "delete": collection, "deletes": deletes.as_slice() };
        let change = Change::Document {
            id: holder.id,
            after: None,
        };
        self.change(pen, holder, None, command, change).await
    }

    /// Whether the value that it had is free.
    async fn set(&mut self, pen: &mut Pen, holder: Holder, slot: i64) -> bool {
        let after = Holder { slot, ..holder };
        let update = doc! { "$set": { "slot": slot } };
        let updates = [doc! { "q": { "_id": holder.id }, "u": update }];
        let (_, collection) = split(&self.namespace);
        let command = doc! { "update": collection, "updates": updates.as_slice() };
        let change = Change::Document {
            id: holder.id,
            after: Some(image(&after.document())),
        };
        self.change(pen, holder, Some(after), command, change).await
    }

    async fn change(
        &mut self,
        pen: &mut Pen,
        before: Holder,
        after: Option<Holder>,
        command: Document,
        change: Change,
    ) -> bool {
        let command = raw(&command);
        let written = pen.write(&self.namespace, command, change, Timing::Reply);
        let fate = written.await;
        match fate {
            Fate::Done(_) => self.holders.extend(after),
            Fate::Refused => self.holders.push(before),
            Fate::Lost => {}
        }
        matches!(fate, Fate::Done(_))
    }
}

impl Holder {
    fn document(self) -> Document {
        doc! { "_id": self.id, "slot": self.slot, "text": "holds a slot" }
    }
}
