//! Creates, hides and drops indexes, on collections with documents and without.

use std::sync::Arc;

use bson::{Document, doc};
use rand::RngExt as _;

use super::{Definer, Owned};
use crate::workload::{Change, change::BEFORE_ALL, document::raw, options::split, pen::Fate};

/// The first version that has hidden indexes.
const HIDDEN_SINCE: (u32, u32) = (4, 4);
/// The first version whose members vote on the end of an index build.
const QUORUM_SINCE: (u32, u32) = (4, 4);

impl Definer {
    /// Creates one index or two.
    pub(super) async fn create_indexes(&mut self) {
        let mut owned = self.take();
        let mut missing: Vec<_> = specifications().into_iter().collect();
        missing.retain(|(name, _)| !owned.indexes.contains_key(*name));
        let wanted = if self.pen.chance(30) { 2 } else { 1 };
        let mut indexes: Vec<(Arc<str>, Document)> = Vec::new();
        while indexes.len() < wanted && !missing.is_empty() {
            let (name, mut index) = missing.swap_remove(self.pen.pick(missing.len()));
            index.insert("name", name);
            indexes.push((name.into(), index));
        }
        if indexes.is_empty() {
            self.collections.push(owned);
            return;
        }
        let (db, collection) = split(&owned.namespace);
        let specifications: Vec<_> = indexes.iter().map(|(_, index)| index.clone()).collect();
        let mut command = doc! { "createIndexes": collection, "indexes": specifications };
        if self.ready.version >= QUORUM_SINCE && self.ready.time != BEFORE_ALL {
            // By default every member that votes must be ready, and one that was killed never is.
            command.insert("commitQuorum", "majority");
        }
        let command = raw(&command);
        let changes = indexes.iter().map(|(name, index)| Change::Index {
            name: Arc::clone(name),
            specification: Some(index.clone().into()),
        });
        let changes = changes.collect();
        let created = self.pen.define(db, &owned.namespace, command, changes);
        let fate = created.await;
        if let Fate::Done(_) = fate {
            owned.indexes.extend(indexes);
        }
        self.give_back(owned, &fate);
    }

    pub(super) async fn drop_index(&mut self) {
        let mut owned = self.take();
        let Some(name) = self.index_of(&owned) else {
            self.collections.push(owned);
            return;
        };
        let (db, collection) = split(&owned.namespace);
        // The only one may be dropped as all.
        let is_all = owned.indexes.len() == 1 && self.pen.chance(50);
        let index = if is_all { "*" } else { &*name };
        let command = raw(&doc! { "dropIndexes": collection, "index": index });
        let changes = vec![Change::Index {
            name: Arc::clone(&name),
            specification: None,
        }];
        let dropped = self.pen.define(db, &owned.namespace, command, changes);
        let fate = dropped.await;
        if let Fate::Done(_) = fate {
            owned.indexes.remove(&name);
        }
        self.give_back(owned, &fate);
    }

    /// Hides an index or shows it again, or changes when documents expire by it.
    pub(super) async fn modify_index(&mut self, mut owned: Owned) {
        let Some(name) = self.index_of(&owned) else {
            self.collections.push(owned);
            return;
        };
        let mut index = owned.indexes[&name].clone();
        let mut modification = doc! { "name": &*name };
        if index.contains_key("expireAfterSeconds") && self.pen.chance(50) {
            let seconds = self.pen.rng.random_range(1..1_000_000);
            index.insert("expireAfterSeconds", seconds);
            modification.insert("expireAfterSeconds", seconds);
        } else if self.ready.version >= HIDDEN_SINCE {
            let is_hidden = index.remove("hidden").is_some();
            if !is_hidden {
                index.insert("hidden", true);
            }
            modification.insert("hidden", !is_hidden);
        } else {
            self.collections.push(owned);
            return;
        }
        let (db, collection) = split(&owned.namespace);
        let command = raw(&doc! { "collMod": collection, "index": modification });
        let changes = vec![Change::Index {
            name: Arc::clone(&name),
            specification: Some(index.clone().into()),
        }];
        let modified = self.pen.define(db, &owned.namespace, command, changes);
        let fate = modified.await;
        if let Fate::Done(_) = fate {
            owned.indexes.insert(name, index);
        }
        self.give_back(owned, &fate);
    }

    fn index_of(&mut self, owned: &Owned) -> Option<Arc<str>> {
        if owned.indexes.is_empty() {
            return None;
        }
        let chosen = self.pen.pick(owned.indexes.len());
        owned.indexes.keys().nth(chosen).cloned()
    }
}

fn specifications() -> [(&'static str, Document); 5] {
    let expiring = doc! { "key": { "expires": 1 }, "expireAfterSeconds": 86_400 };
    let sparse = doc! { "key": { "items.n": 1 }, "sparse": true };
    [
        ("version_1", doc! { "key": { "version": 1 } }),
        (
            "text_1_version_-1",
            doc! { "key": { "text": 1, "version": -1 } },
        ),
        ("list_1", doc! { "key": { "list": 1 } }),
        ("items.n_1", sparse),
        ("expires_1", expiring),
    ]
}
