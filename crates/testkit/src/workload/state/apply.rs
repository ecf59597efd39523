//! What a write makes of a state.

use std::sync::Arc;

use bson::{Bson, Document};

use super::{Collection, Expected, Kind, Namespace, State};
use crate::workload::{Change, Outcome, Write};

impl State {
    /// Changes the state as a write does, or may have done.
    pub(in crate::workload) fn apply(&mut self, write: &Write) {
        if let Outcome::Unknown { .. } = write.outcome {
            self.doubt(write);
            return;
        }
        let name = &write.namespace;
        match &write.change {
            Change::Create(options) => {
                let collection = Collection {
                    options: options.as_ref().clone(),
                    ..Collection::default()
                };
                self.put(name, Namespace::Present(collection));
            }
            Change::Drop => self.put(name, Namespace::Absent),
            Change::Rename { to } => {
                let moved = self.take(name);
                self.put(to, moved);
            }
            change => {
                if let Some(collection) = self.present(name) {
                    collection.apply(change);
                }
            }
        }
    }

    /// From now on a temporary collection of `$out` is no surprise in a database.
    pub(in crate::workload) fn expect_output_in(&mut self, db: &str) {
        self.outputs.insert(db.to_owned());
    }

    fn doubt(&mut self, write: &Write) {
        match &write.change {
            Change::Document { id, after } => {
                let Some(collection) = self.present(&write.namespace) else {
                    return;
                };
                if collection.kind() != Kind::Capped {
                    collection.doubt(*id, after.clone());
                    return;
                }
                // One more or less, and others are the newest.
            }
            Change::Rename { to } => self.put(to, Namespace::Uncertain),
            Change::Output { .. } => {
                let (db, _) = crate::workload::options::split(&write.namespace);
                self.expect_output_in(db);
            }
            Change::Create(_) | Change::Drop | Change::Options(_) | Change::Index { .. } => {}
        }
        self.put(&write.namespace, Namespace::Uncertain);
    }

    /// What is there to be written to; `None` if that is uncertain.
    fn present(&mut self, name: &str) -> Option<&mut Collection> {
        match self.namespaces.get_mut(name) {
            Some(Namespace::Present(collection)) => Some(collection),
            Some(Namespace::Uncertain) => None,
            Some(Namespace::Absent) | None => {
                panic!("the journal has a write to {name}, which does not exist then")
            }
        }
    }

    fn put(&mut self, name: &Arc<str>, namespace: Namespace) {
        self.namespaces.insert(Arc::clone(name), namespace);
    }

    fn take(&mut self, name: &Arc<str>) -> Namespace {
        let taken = self.namespaces.insert(Arc::clone(name), Namespace::Absent);
        taken.unwrap_or(Namespace::Absent)
    }
}

impl Collection {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Document { id, after } => {
                match after {
                    Some(after) => self
                        .documents
                        .insert(*id, Expected::Document(Arc::clone(after))),
                    None => self.documents.remove(id),
                };
                self.trim();
            }
            Change::Options(options) => set(&mut self.options, options),
            Change::Index {
                name,
                specification,
            } => {
                match specification {
                    Some(index) => self
                        .indexes
                        .insert(Arc::clone(name), index.as_ref().clone()),
                    None => self.indexes.remove(name),
                };
            }
            Change::Output { documents, .. } => {
                let documents = documents.iter();
                self.documents = documents
                    .map(|(id, document)| (*id, Expected::Document(Arc::clone(document))))
                    .collect();
            }
            Change::Create(_) | Change::Drop | Change::Rename { .. } => {
                unreachable!("these are of names, not of collections")
            }
        }
    }

    /// Keeps the newest documents of a capped collection. On a server that is a second entry of the oplog (since 6.0).
    fn trim(&mut self) {
        let Ok(max) = self.options.get_i32("max") else {
            return;
        };
        let max = usize::try_from(max).expect("a number of documents is not negative");
        while self.documents.len() > max {
            self.documents.pop_first();
        }
    }

    fn doubt(&mut self, id: i64, after: Option<Arc<bson::RawDocumentBuf>>) {
        let before = self.documents.remove(&id).and_then(Expected::into_document);
        self.documents
            .insert(id, Expected::OneOf(vec![before, after]));
    }
}

/// Sets options; one that is set to null or to nothing is gone.
fn set(options: &mut Document, changes: &Document) {
    for (name, value) in changes {
        let is_gone = match value {
            Bson::Null => true,
            Bson::Document(value) => value.is_empty(),
            _ => false,
        };
        if is_gone {
            options.remove(name);
        } else {
            options.insert(name, value.clone());
        }
    }
}
