//! Creates, changes, renames and drops collections, indexes and views, and writes to them in between.

mod collections;
mod contents;
mod databases;
mod indexes;
mod renames;
mod views;

use std::{collections::BTreeMap, sync::Arc};

use bson::Document;

use super::{
    Write,
    change::Image,
    pen::{Fate, Pen},
    shared::Ready,
};

/// Collections that one writer has at the same time.
const MAX_COLLECTIONS: usize = 5;

/// Writes until the workload is stopped.
pub(super) async fn run(mut pen: Pen) -> Vec<Write> {
    let Some(ready) = pen.ready().await else {
        return pen.into_writes();
    };
    let mut definer = Definer {
        pen,
        ready,
        collections: Vec::new(),
        views: Vec::new(),
        free: Vec::new(),
        made: 0,
        own: None,
        databases: 0,
    };
    while !definer.pen.shared.is_stopped() {
        definer.step().await;
        definer.pen.pause().await;
    }
    definer.pen.into_writes()
}

/// A writer, with what is its own.
struct Definer {
    pen: Pen,
    ready: Ready,
    collections: Vec<Owned>,
    views: Vec<Arc<str>>,
    /// Names that something had which is gone.
    free: Vec<Arc<str>>,
    /// Number of names that were made.
    made: u32,
    /// The collection in a database of its own.
    own: Option<Owned>,
    /// Number of databases that were lost.
    databases: u32,
}

/// A collection that nobody else writes to.
struct Owned {
    namespace: Arc<str>,
    is_clustered: bool,
    documents: BTreeMap<i64, Image>,
    indexes: BTreeMap<Arc<str>, Document>,
}

impl Definer {
    async fn step(&mut self) {
        if self.collections.is_empty() {
            return self.create().await;
        }
        let renames = self.pen.shared.options.renames;
        match self.pen.pick(100) {
            0..10 if self.collections.len() < MAX_COLLECTIONS => self.create().await,
            10..18 => self.create_indexes().await,
            18..22 => self.drop_index().await,
            22..30 => self.modify().await,
            30..35 => self.drop_collection().await,
            35..45 if renames => self.rename().await,
            45..50 if renames => self.output().await,
            50..56 => self.view().await,
            56..60 => self.database().await,
            _ => self.fill_one().await,
        }
    }

    /// Takes one of the collections: whoever does it gives it back, if its state is known.
    fn take(&mut self) -> Owned {
        let chosen = self.pen.pick(self.collections.len());
        self.collections.swap_remove(chosen)
    }

    /// A name that is free, often one that was used before.
    fn name(&mut self) -> Arc<str> {
        if !self.free.is_empty() && self.pen.chance(70) {
            let chosen = self.pen.pick(self.free.len());
            return self.free.swap_remove(chosen);
        }
        self.made += 1;
        let name = format!("made{}_{}", self.pen.number, self.made);
        self.pen.namespace(&name)
    }

    /// Gives a collection back after a write to it.
    fn give_back(&mut self, owned: Owned, fate: &Fate) {
        if !matches!(fate, Fate::Lost) {
            self.collections.push(owned);
        }
    }
}

impl Owned {
    fn new(namespace: Arc<str>, options: &Document) -> Self {
        Self {
            namespace,
            is_clustered: options.contains_key("clusteredIndex"),
            documents: BTreeMap::new(),
            indexes: BTreeMap::new(),
        }
    }
}
