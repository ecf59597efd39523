//! The documents of one writer, and what it does with them next.

use std::{mem, sync::Arc};

use bson::{Document, RawArrayBuf, RawDocumentBuf, doc, raw::cstr, rawdoc};
use rand::RngExt as _;

use crate::workload::{
    change::Image,
    document::{self, Edit},
    options::split,
    pen::Pen,
};

/// Deleted documents that may come back under the same `_id`.
const MAX_GONE: usize = 50;
/// A document of so many bytes is large.
const LARGE_FROM_BYTES: usize = 100_000;
/// One document in so many is large, if any is.
const LARGE_ONE_IN: usize = 400;

/// So many times as many documents as a bulk has are deleted, not inserted.
const MANY: usize = 12;

/// The documents of one writer.
#[derive(Debug, Default)]
pub(in crate::workload) struct Desk {
    /// Those that exist and whose state is known.
    alive: Vec<Alive>,
    /// Some of those that were deleted.
    gone: Vec<(Arc<str>, i64)>,
}

/// A document that exists.
#[derive(Clone, Debug)]
pub(in crate::workload) struct Alive {
    pub(in crate::workload) namespace: Arc<str>,
    pub(in crate::workload) id: i64,
    pub(in crate::workload) image: Image,
}

/// One write to one document.
#[derive(Clone, Debug)]
pub(in crate::workload) struct Step {
    pub(in crate::workload) namespace: Arc<str>,
    pub(in crate::workload) id: i64,
    pub(in crate::workload) before: Option<Image>,
    pub(in crate::workload) after: Option<Image>,
    pub(in crate::workload) command: RawDocumentBuf,
}

impl Desk {
    /// Chooses a write. The document is off the desk until the write is [`done`](Desk::done) or undone.
    pub(in crate::workload) fn choose(&mut self, pen: &mut Pen) -> Step {
        let dice = pen.pick(100);
        if dice < 40 || self.alive.is_empty() {
            return self.insert(pen);
        }
        let chosen = pen.pick(self.alive.len());
        let chosen = self.alive.swap_remove(chosen);
        let bytes = chosen.image.as_bytes().len();
        let is_kept = bytes < LARGE_FROM_BYTES || pen.has_room(bytes);
        if dice < 85 && is_kept {
            chosen.edit(pen)
        } else {
            chosen.delete()
        }
    }

    /// An insert of a large document.
    pub(in crate::workload) fn insert_large(&mut self, pen: &mut Pen, text_bytes: usize) -> Step {
        let (namespace, id) = (Self::namespace(pen), pen.id());
        let document = document::large(pen, id, text_bytes);
        insert(namespace, id, &document)
    }

    /// Writes to so many documents of one namespace, or less, by one command: if there are many already, it deletes them.
    pub(in crate::workload) fn bulk(
        &mut self,
        pen: &mut Pen,
        documents: usize,
    ) -> (Vec<Step>, RawDocumentBuf) {
        let namespace = Self::namespace(pen);
        let (_, collection) = split(&namespace);
        let chosen = self.alive.iter().filter(|it| it.namespace == namespace);
        let chosen: Vec<i64> = chosen.map(|it| it.id).take(documents).collect();
        if self.alive.len() < documents * MANY || chosen.is_empty() {
            let mut inserted = RawArrayBuf::new();
            let steps = (0..documents).map(|_| {
                let id = pen.id();
                let step = insert(Arc::clone(&namespace), id, &document::new(pen, id));
                inserted.push(step.after.as_deref().expect("an insert").clone());
                step
            });
            let steps = steps.collect();
            let command = rawdoc! { "insert": collection, "documents": inserted };
            return (steps, command);
        }
        let is_chosen = |it: &Alive| it.namespace == namespace && chosen.contains(&it.id);
        let (deleted, alive) = mem::take(&mut self.alive).into_iter().partition(is_chosen);
        self.alive = alive;
        let deleted: Vec<Alive> = deleted;
        let steps: Vec<Step> = deleted.into_iter().map(Alive::delete).collect();
        let ids: RawArrayBuf = chosen.into_iter().collect();
        let delete = rawdoc! { "q": { "_id": { "$in": ids } }, "limit": 0 };
        (steps, rawdoc! { "delete": collection, "deletes": [delete] })
    }

    pub(in crate::workload) fn done(&mut self, step: Step) {
        match step.after {
            Some(image) => self.alive.push(Alive {
                namespace: step.namespace,
                id: step.id,
                image,
            }),
            None if self.gone.len() < MAX_GONE => self.gone.push((step.namespace, step.id)),
            None => {}
        }
    }

    pub(in crate::workload) fn undone(&mut self, step: Step) {
        if let Some(image) = step.before {
            self.alive.push(Alive {
                namespace: step.namespace,
                id: step.id,
                image,
            });
        }
    }

    fn insert(&mut self, pen: &mut Pen) -> Step {
        if pen.shared.options.large_documents && pen.pick(LARGE_ONE_IN) == 0 {
            let text_bytes = pen.rng.random_range(LARGE_FROM_BYTES..1_000_000);
            if pen.has_room(text_bytes) {
                return self.insert_large(pen, text_bytes);
            }
        }
        let again = if pen.chance(10) {
            self.gone.pop()
        } else {
            None
        };
        let (namespace, id) = again.unwrap_or_else(|| (Self::namespace(pen), pen.id()));
        let document = document::new(pen, id);
        insert(namespace, id, &document)
    }

    fn namespace(pen: &mut Pen) -> Arc<str> {
        let chosen = pen.pick(pen.shared.namespaces.len());
        Arc::clone(&pen.shared.namespaces[chosen])
    }
}

impl Alive {
    /// An update or a replacement.
    pub(in crate::workload) fn edit(self, pen: &mut Pen) -> Step {
        let before = Document::try_from(self.image.as_ref()).expect("the document was made here");
        let edit = document::edit(pen, &before);
        let is_checked = pen.chance(50);
        let (_, collection) = split(&self.namespace);
        Step {
            command: document::raw(&edit.command(collection, self.id, is_checked)),
            id: self.id,
            after: Some(document::image(&edit.after)),
            before: Some(self.image),
            namespace: self.namespace,
        }
    }

    pub(in crate::workload) fn delete(self) -> Step {
        let (_, collection) = split(&self.namespace);
        let deletes = [doc! { "q": { "_id": self.id }, "limit": 1 }];
        let command = document::raw(&doc! { "delete": collection, "deletes": deletes.as_slice() });
        Step {
            namespace: self.namespace,
            id: self.id,
            before: Some(self.image),
            after: None,
            command,
        }
    }
}

/// An insert of one document.
pub(in crate::workload) fn insert(namespace: Arc<str>, id: i64, document: &Document) -> Step {
    let image = document::image(document);
    let (_, collection) = split(&namespace);
    let mut documents = RawArrayBuf::new();
    documents.push(image.as_ref().clone());
    let mut command = RawDocumentBuf::new();
    command.append(cstr!("insert"), collection);
    command.append(cstr!("documents"), documents);
    Step {
        namespace,
        id,
        before: None,
        after: Some(image),
        command,
    }
}

impl Edit {
    /// `findAndModify`, whose reply has the document, or `update`.
    fn command(&self, collection: &str, id: i64, is_checked: bool) -> Document {
        let (id, update) = (doc! { "_id": id }, self.update.clone());
        let filters = self.array_filters.clone();
        let filters = filters.map(|filters| doc! { "arrayFilters": filters });
        let filters = filters.unwrap_or_default();
        if is_checked {
            let mut command =
                doc! { "findAndModify": collection, "query": id, "update": update, "new": true };
            command.extend(filters);
            command
        } else {
            let mut update = doc! { "q": id, "u": update };
            update.extend(filters);
            doc! { "update": collection, "updates": [update] }
        }
    }
}
