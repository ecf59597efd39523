//! Drops a database with all that is in it, and makes it anew.

use bson::doc;
use rand::RngExt as _;

use super::{Definer, Owned};
use crate::workload::{Change, document::raw, options::split, pen::Fate};

impl Definer {
    /// Makes the database, writes to it or drops it.
    pub(super) async fn database(&mut self) {
        let Some(mut owned) = self.own.take() else {
            return self.create_database().await;
        };
        let fate = if self.pen.chance(50) {
            owned.fill(&mut self.pen, 4).await
        } else {
            let (db, _) = split(&owned.namespace);
            let command = raw(&doc! { "dropDatabase": 1 });
            let changes = vec![Change::Drop];
            let dropped = self.pen.define(db, &owned.namespace, command, changes);
            match dropped.await {
                Fate::Done(_) => return,
                fate => fate,
            }
        };
        self.keep(owned, &fate);
    }

    async fn create_database(&mut self) {
        let (writer, number) = (self.pen.number, self.databases);
        let db = self.pen.shared.options.database(writer).to_owned();
        let collection = self.pen.rng.random_range(0..3);
        let namespace = format!("{db}_own{writer}_{number}.only{collection}").into();
        let mut owned = Owned::new(namespace, &doc! {});
        match self.pen.create(&owned.namespace, doc! {}).await {
            Fate::Done(_) => {
                let fate = owned.fill(&mut self.pen, 6).await;
                self.keep(owned, &fate);
            }
            Fate::Refused => {}
            Fate::Lost => self.databases += 1,
        }
    }

    fn keep(&mut self, owned: Owned, fate: &Fate) {
        match fate {
            Fate::Lost => self.databases += 1,
            Fate::Done(_) | Fate::Refused => self.own = Some(owned),
        }
    }
}
