//! Compares a journal with the oplog that its writes have made.

use std::collections::HashMap;

use bson::{RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt as _;
use mongodb::Client;

use super::Journal;
use crate::workload::{
    Outcome,
    change::BEFORE_ALL,
    oplog::{self, Entry},
    state::shown,
};

impl Journal {
    /// Panics unless the oplog has, at the time of each acknowledged write, the entry that makes it.
    ///
    /// The oplog must reach back to the first write.
    pub async fn assert_in_oplog(&self, client: &Client) {
        let entries = read(client).await;
        for write in &self.writes {
            let Outcome::Acknowledged(Some(time)) = write.outcome else {
                continue;
            };
            if time == BEFORE_ALL {
                continue;
            }
            let entry = entries.get(&time);
            let entry =
                entry.unwrap_or_else(|| panic!("no entry has the time of {}", shown(write)));
            let last = Entry::of(entry);
            assert!(
                !last.is_partial(),
                "more of the transaction comes after {}",
                shown(write)
            );
            // Another entry of the same transaction may have it.
            let makes = |entry: Entry<'_>| entry.makes(&write.namespace, &write.change);
            let is_made = makes(last)
                || last.transaction().is_some_and(|transaction| {
                    entries.values().any(|entry| {
                        let entry = Entry::of(entry);
                        entry.transaction().as_ref() == Some(&transaction) && makes(entry)
                    })
                });
            let (write, entry) = (shown(write), shown(entry));
            assert!(is_made, "{write} is not what {entry} does");
        }
    }
}

async fn read(client: &Client) -> HashMap<Timestamp, RawDocumentBuf> {
    let entries = async { oplog::of(client).find(doc! {}).await?.try_collect().await };
    let entries: mongodb::error::Result<Vec<RawDocumentBuf>> = entries.await;
    let entries = entries.unwrap_or_else(|error| panic!("reading the oplog: {error}"));
    let timed = entries.into_iter();
    timed
        .map(|entry| (Entry::of(&entry).time(), entry))
        .collect()
}
