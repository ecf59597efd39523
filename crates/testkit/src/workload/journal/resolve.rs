//! Finds out what became of the writes of which nobody knows.

use bson::{RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt as _;
use mongodb::{Client, error::Result, options::ReadConcern};

use super::Journal;
use crate::{
    wait::{PATIENCE, wait_for},
    workload::{
        Outcome, Write,
        oplog::{self, Entry},
    },
};

/// A write that is looked for.
struct Sought {
    /// Where it is in the journal.
    place: usize,
    after: Timestamp,
    /// The transaction that makes it, whose last entry is still to come.
    transaction: Option<(RawDocumentBuf, i64)>,
    /// Whether it is an index that is being built.
    is_building: bool,
    found: Option<Timestamp>,
}

impl Journal {
    /// Looks into the source's oplog for every write of unknown outcome: afterwards none is unknown.
    ///
    /// To be called when all writers have stopped and nothing breaks any longer. The oplog must still reach back to
    /// the first of these writes.
    pub async fn resolve(&mut self, client: &Client) {
        let mut sought = self.sought();
        let Some(first) = sought.iter().map(|sought| sought.after).min() else {
            return;
        };
        wait_for("the oplog of a primary", PATIENCE, async || {
            for sought in &mut sought {
                (sought.transaction, sought.is_building, sought.found) = (None, false, None);
            }
            let searched = search(client, first, &self.writes, &mut sought).await;
            searched.ok()
        })
        .await;
        for Sought { place, found, .. } in &sought {
            if found.is_some() {
                self.writes[*place].outcome = Outcome::Acknowledged(*found);
            }
        }
        // What was not found was never carried out.
        let is_known = |write: &Write| matches!(write.outcome, Outcome::Acknowledged(_));
        self.writes.retain(is_known);
        self.sort();
    }

    fn sought(&self) -> Vec<Sought> {
        let writes = self.writes.iter().enumerate();
        let unknown = writes.filter_map(|(place, write)| match write.outcome {
            Outcome::Unknown { after } => Some(Sought {
                place,
                after,
                transaction: None,
                is_building: false,
                found: None,
            }),
            Outcome::Acknowledged(_) => None,
        });
        unknown.collect()
    }
}

async fn search(
    client: &Client,
    first: Timestamp,
    writes: &[Write],
    sought: &mut [Sought],
) -> Result<()> {
    // What a majority has after this will not be undone, and nothing comes before it any more.
    let admin = client.database("admin");
    let note = doc! {
        "appendOplogNote": 1, "data": { "workload": "ended" }, "writeConcern": { "w": "majority" },
    };
    admin.run_command(note).await?;
    let oplog = oplog::of(client);
    let oldest = oplog.find_one(doc! {}).await?;
    let oldest = oldest.map(|entry| Entry::of(&entry).time());
    assert!(
        oldest.is_some_and(|oldest| oldest <= first),
        "the oplog begins at {oldest:?}; a write of unknown outcome was made after {first}"
    );
    let mut places: Vec<String> = sought
        .iter()
        .flat_map(|sought| oplog::places(&writes[sought.place].namespace))
        .collect();
    places.sort_unstable();
    places.dedup();
    let filter = doc! { "ts": { "$gt": first }, "ns": { "$in": places } };
    let mut entries = oplog
        .find(filter)
        .read_concern(ReadConcern::majority())
        .await?;
    while let Some(entry) = entries.try_next().await? {
        let entry = Entry::of(&entry);
        for sought in sought.iter_mut().filter(|sought| sought.found.is_none()) {
            sought.look_at(entry, &writes[sought.place]);
        }
    }
    // Another primary goes on with it.
    if sought.iter().any(|sought| sought.is_building) {
        return Err(std::io::Error::other("an index is being built").into());
    }
    Ok(())
}

impl Sought {
    fn look_at(&mut self, entry: Entry<'_>, write: &Write) {
        let is_it = match &self.transaction {
            Some(_) => entry.transaction() == self.transaction,
            None => entry.time() > self.after && entry.makes(&write.namespace, &write.change),
        };
        if is_it && entry.is_partial() {
            self.transaction = entry.transaction();
        } else if is_it {
            (self.found, self.is_building) = (Some(entry.time()), false);
        } else if entry.time() > self.after
            && let Some(is_building) = entry.builds(&write.namespace, &write.change)
        {
            self.is_building = is_building;
        }
    }
}
