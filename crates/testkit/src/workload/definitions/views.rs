//! Creates, changes and drops views.

use bson::{Document, doc};
use rand::RngExt as _;

use super::Definer;
use crate::workload::{Change, document::raw, options::split, pen::Fate};

/// Views that one writer has at the same time.
const MAX_VIEWS: usize = 3;

impl Definer {
    pub(super) async fn view(&mut self) {
        let options = self.view_options();
        if self.views.len() < MAX_VIEWS && (self.views.is_empty() || self.pen.chance(40)) {
            let namespace = self.name();
            match self.pen.create(&namespace, options).await {
                Fate::Done(_) => self.views.push(namespace),
                Fate::Refused => self.free.push(namespace),
                Fate::Lost => {}
            }
            return;
        }
        let chosen = self.pen.pick(self.views.len());
        let view = self.views.swap_remove(chosen);
        let (db, name) = split(&view);
        let is_dropped = self.pen.chance(50);
        let (command, change) = if is_dropped {
            (doc! { "drop": name }, Change::Drop)
        } else {
            let mut command = doc! { "collMod": name };
            command.extend(options.clone());
            (command, Change::Options(options.into()))
        };
        let changes = vec![change];
        match self.pen.define(db, &view, raw(&command), changes).await {
            Fate::Done(_) if is_dropped => self.free.push(view),
            Fate::Done(_) | Fate::Refused => self.views.push(view),
            Fate::Lost => {}
        }
    }

    /// What no view had before, so that every change is one.
    fn view_options(&mut self) -> Document {
        let chosen = self.pen.pick(self.collections.len());
        let (_, on) = split(&self.collections[chosen].namespace);
        let least = self.pen.rng.random_range(0..1_000_000);
        doc! { "viewOn": on, "pipeline": [{ "$match": { "version": { "$gte": least } } }] }
    }
}
