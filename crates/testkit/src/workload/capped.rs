//! Fills a capped collection over its limit.

use std::sync::Arc;

use bson::doc;
use rand::RngExt as _;

use super::{
    Change, Write,
    document::{self, raw},
    documents::insert,
    pen::{Fate, Pen, Timing},
};

/// So large that the number of documents is what limits it.
const MAX_BYTES: i32 = 16 << 20;

/// Writes until the workload is stopped.
pub(super) async fn run(mut pen: Pen) -> Vec<Write> {
    let mut current = None;
    let mut made = 0;
    if pen.ready().await.is_some() {
        while !pen.shared.is_stopped() {
            current = match current {
                Some(namespace) => fill(&mut pen, namespace).await,
                None => {
                    made += 1;
                    let namespace = pen.namespace(&format!("capped{}_{made}", pen.number));
                    create(&mut pen, namespace).await
                }
            };
            pen.pause().await;
        }
    }
    pen.into_writes()
}

async fn create(pen: &mut Pen, namespace: Arc<str>) -> Option<Arc<str>> {
    let max = pen.rng.random_range(40..=60);
    let options = doc! { "capped": true, "size": MAX_BYTES, "max": max };
    let fate = pen.create(&namespace, options).await;
    matches!(fate, Fate::Done(_)).then_some(namespace)
}

/// Inserts one document, and gives the collection if there can be another.
async fn fill(pen: &mut Pen, namespace: Arc<str>) -> Option<Arc<str>> {
    let id = pen.id();
    let document = document::new(pen, id);
    let step = insert(Arc::clone(&namespace), id, &document);
    let change = Change::Document {
        id,
        after: step.after,
    };
    // What is deleted for it is a second entry, whose time the reply has.
    let fate = pen
        .write(&namespace, step.command, change, Timing::Oplog)
        .await;
    (!matches!(fate, Fate::Lost)).then_some(namespace)
}

impl Pen {
    /// Creates a collection, time-series or view of one's own.
    pub(super) async fn create(&mut self, namespace: &Arc<str>, options: bson::Document) -> Fate {
        let (db, collection) = super::options::split(namespace);
        let mut command = doc! { "create": collection };
        command.extend(options.clone());
        let change = Change::Create(options.into());
        self.define(db, namespace, raw(&command), vec![change])
            .await
    }
}
