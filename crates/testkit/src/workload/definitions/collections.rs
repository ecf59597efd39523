//! Creates, modifies and drops collections.

use std::sync::Arc;

use bson::{Document, doc};
use rand::RngExt as _;

use super::{Definer, Owned};
use crate::workload::{Change, document::raw, options::split, pen::Fate};

/// The first version that has clustered collections.
const CLUSTERED_SINCE: (u32, u32) = (5, 3);

impl Definer {
    pub(super) async fn create(&mut self) {
        let namespace = self.name();
        self.create_as(namespace).await;
    }

    /// Drops a collection, and often creates another under the same name.
    pub(super) async fn drop_collection(&mut self) {
        let owned = self.take();
        let (db, collection) = split(&owned.namespace);
        let command = raw(&doc! { "drop": collection });
        let changes = vec![Change::Drop];
        let dropped = self.pen.define(db, &owned.namespace, command, changes);
        match dropped.await {
            Fate::Done(_) if self.pen.chance(50) => self.create_as(owned.namespace).await,
            Fate::Done(_) => self.free.push(owned.namespace),
            Fate::Refused => self.collections.push(owned),
            Fate::Lost => {}
        }
    }

    /// Changes the validator of a collection or an index of it.
    pub(super) async fn modify(&mut self) {
        let owned = self.take();
        if !owned.indexes.is_empty() && self.pen.chance(60) {
            return self.modify_index(owned).await;
        }
        let validator = if self.pen.chance(30) {
            doc! {}
        } else {
            doc! { "version": { "$gte": -self.pen.rng.random_range(1..100) } }
        };
        let options = doc! { "validator": validator };
        let (db, collection) = split(&owned.namespace);
        let mut command = doc! { "collMod": collection };
        command.extend(options.clone());
        let changes = vec![Change::Options(options.into())];
        let modified = self
            .pen
            .define(db, &owned.namespace, raw(&command), changes);
        let fate = modified.await;
        self.give_back(owned, &fate);
    }

    async fn create_as(&mut self, namespace: Arc<str>) {
        let options = self.options();
        let owned = Owned::new(Arc::clone(&namespace), &options);
        match self.pen.create(&namespace, options).await {
            Fate::Done(_) => self.collections.push(owned),
            Fate::Refused => self.free.push(namespace),
            Fate::Lost => {}
        }
    }

    fn options(&mut self) -> Document {
        match self.pen.pick(6) {
            0 => doc! { "validator": { "version": { "$gte": 0 } } },
            1 => doc! { "collation": { "locale": "de", "strength": 2 } },
            2 if self.ready.version >= CLUSTERED_SINCE => {
                doc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true } }
            }
            _ => doc! {},
        }
    }
}
