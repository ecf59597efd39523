//! Renames collections, and writes over them by `$out`.

use std::sync::Arc;

use bson::doc;

use super::{Definer, Owned};
use crate::workload::{Change, document::raw, options::split, pen::Fate};

impl Definer {
    pub(super) async fn rename(&mut self) {
        let owned = self.take();
        if !self.collections.is_empty() && self.pen.chance(40) {
            return self.rename_over(owned).await;
        }
        let (from, to) = (Arc::clone(&owned.namespace), self.name());
        let Some(owned) = self.rename_to(owned, to).await else {
            return;
        };
        let is_renamed = owned.namespace != from;
        if is_renamed && self.pen.chance(40) {
            // And back.
            self.free.retain(|free| *free != from);
            let back = self.rename_to(owned, from).await;
            self.collections.extend(back);
        } else {
            self.collections.push(owned);
        }
    }

    /// Replaces all documents of a collection, but not its options and indexes, by some that another one has.
    pub(super) async fn output(&mut self) {
        if self.collections.len() < 2 {
            return;
        }
        let (from, mut to) = (self.take(), self.take());
        // MongoDB 6.0 never ends an insert into the temporary collection of a clustered one, and holds the database.
        if to.is_clustered {
            self.collections.extend([from, to]);
            return;
        }
        let begun = self.pen.clock;
        let skipped = self.pen.pick(from.documents.len() / 2 + 1);
        let kept = from.documents.iter().skip(skipped);
        to.documents = kept.map(|(id, image)| (*id, Arc::clone(image))).collect();
        let least = to.documents.keys().next().copied().unwrap_or(0);
        let ((db, from_name), (_, to_name)) = (split(&from.namespace), split(&to.namespace));
        let pipeline = [
            doc! { "$match": { "_id": { "$gte": least } } },
            doc! { "$out": to_name },
        ];
        let command =
            doc! { "aggregate": from_name, "pipeline": pipeline.as_slice(), "cursor": {} };
        let documents = to.documents.iter();
        let documents = documents.map(|(id, image)| (*id, Arc::clone(image)));
        let changes = vec![Change::Output {
            documents: Arc::new(documents.collect()),
            begun,
        }];
        let written = self.pen.define(db, &to.namespace, raw(&command), changes);
        match written.await {
            // Both are not touched again: if it goes on, it must read what it was to read.
            Fate::Lost => {}
            Fate::Refused => self.collections.push(from),
            Fate::Done(_) => self.collections.extend([from, to]),
        }
    }

    async fn rename_over(&mut self, owned: Owned) {
        let target = self.take();
        let from = Arc::clone(&owned.namespace);
        let to = Arc::clone(&target.namespace);
        match self.send_rename(&from, &to, true).await {
            Fate::Done(_) => {
                self.free.push(from);
                self.collections.push(owned.under(to));
            }
            Fate::Refused => self.collections.extend([owned, target]),
            Fate::Lost => {}
        }
    }

    /// Gives the collection, unless nobody knows what it is called.
    async fn rename_to(&mut self, owned: Owned, to: Arc<str>) -> Option<Owned> {
        let from = Arc::clone(&owned.namespace);
        match self.send_rename(&from, &to, false).await {
            Fate::Done(_) => {
                self.free.push(from);
                Some(owned.under(to))
            }
            Fate::Refused => {
                self.free.push(to);
                Some(owned)
            }
            Fate::Lost => None,
        }
    }

    async fn send_rename(&mut self, from: &Arc<str>, to: &Arc<str>, drops_target: bool) -> Fate {
        let command = doc! { "renameCollection": &**from, "to": &**to, "dropTarget": drops_target };
        let changes = vec![Change::Rename { to: Arc::clone(to) }];
        let renamed = self.pen.define("admin", from, raw(&command), changes);
        renamed.await
    }
}

impl Owned {
    fn under(self, namespace: Arc<str>) -> Self {
        Self { namespace, ..self }
    }
}
