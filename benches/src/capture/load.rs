//! Inserts at a steady rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bson::{RawDocumentBuf, rawdoc};
use rdump_testkit::{ReplicaSet, dataset::Seeder, raw::RawBuilder};
use tokio::task::JoinSet;

use super::{journal::Journal, options::Options};

/// The database, and in it the collection.
const DB: &str = "bench";
const COLLECTION: &str = "inserts";
/// The collection by its whole name.
pub(super) const NAMESPACE: &str = "bench.inserts";
/// Batches per second, as long as they are not too long.
const BATCHES_PER_SECOND: u32 = 40;
/// Documents in a batch at most.
const MOST_DOCUMENTS: u32 = 500;
/// 2024-01-01T00:00:00Z, in milliseconds.
const EPOCH: i64 = 1_704_067_200_000;
const STATES: [&str; 4] = ["created", "paid", "shipped", "returned"];

/// What is inserted, and what is known of it.
#[derive(Debug)]
pub(super) struct Load {
    seeder: Seeder,
    pace: Pace,
    writers: u32,
    pub(super) journal: Arc<Journal>,
}

/// When which batch is due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    batch: u32,
    rate: u32,
    seconds: u32,
}

impl Load {
    /// Makes the collection.
    pub(super) async fn new(source: &ReplicaSet, options: &Options) -> Result<Self> {
        let seeder = Seeder::new("bench", source.client());
        seeder.create(DB, COLLECTION, &rawdoc! {}).await;
        Ok(Self {
            seeder,
            pace: Pace::new(options.rate, options.seconds),
            writers: options.writers,
            journal: Arc::default(),
        })
    }

    /// Inserts until the time is over; gives how many documents.
    pub(super) async fn run(&self) -> Result<u64> {
        let (started, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let mut writers = JoinSet::new();
        for _ in 0..self.writers {
            let writer = Writer {
                seeder: self.seeder.clone(),
                pace: self.pace,
                journal: Arc::clone(&self.journal),
                next: Arc::clone(&next),
            };
            writers.spawn(writer.run(started));
        }
        let mut inserted = 0;
        while let Some(writer) = writers.join_next().await {
            inserted += writer??;
        }
        Ok(inserted)
    }
}

impl Pace {
    fn new(rate: u32, seconds: u32) -> Self {
        Self {
            batch: (rate / BATCHES_PER_SECOND).clamp(1, MOST_DOCUMENTS),
            rate,
            seconds,
        }
    }

    /// When a batch is sent, counted from the start; `None` if that is after the end.
    fn due(self, number: u64) -> Option<Duration> {
        let documents = number.checked_mul(self.batch.into())?;
        let due = Duration::from_secs_f64(documents as f64 / f64::from(self.rate));
        (due < Duration::from_secs(self.seconds.into())).then_some(due)
    }
}

/// One of several that insert batch after batch.
struct Writer {
    seeder: Seeder,
    pace: Pace,
    journal: Arc<Journal>,
    next: Arc<AtomicU64>,
}

impl Writer {
    async fn run(self, started: Instant) -> Result<u64> {
        let ends = started + Duration::from_secs(self.pace.seconds.into());
        let mut inserted = 0;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(due) = self.pace.due(number) else {
                return Ok(inserted);
            };
            tokio::time::sleep_until((started + due).into()).await;
            if Instant::now() >= ends {
                return Ok(inserted);
            }
            let first = number * u64::from(self.pace.batch);
            self.insert(first).await.context("inserting documents")?;
            inserted += u64::from(self.pace.batch);
        }
    }

    async fn insert(&self, first: u64) -> Result<()> {
        let documents = (first..first + u64::from(self.pace.batch)).map(document);
        let command = RawBuilder::new()
            .string("insert", COLLECTION)
            .bool("ordered", false)
            .document("writeConcern", &rawdoc! { "w": 1 })
            .documents("documents", documents)
            .build();
        let (sent, db) = (Instant::now(), self.seeder.client().database(DB));
        let reply = db.run_raw_command(command).await?;
        if reply.contains_key("writeErrors") || reply.contains_key("writeConcernError") {
            bail!("the server says {reply}");
        }
        let at = reply.get_timestamp("operationTime");
        let at = at.context("the server does not say when it inserted")?;
        self.journal.note(at.into(), sent);
        Ok(())
    }
}

/// A document of about 200 bytes, a part of which does not compress.
fn document(number: u64) -> RawDocumentBuf {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let (one, other) = (mixed(number.unsigned_abs()), mixed(!number.unsigned_abs()));
    let state = usize::try_from(one % 4).unwrap_or_default();
    RawBuilder::with_capacity(256)
        .int64("_id", number)
        .int64("account", i64::from_ne_bytes((one >> 1).to_ne_bytes()))
        .string("sku", &format!("{one:016x}-{other:016x}"))
        .date("at", EPOCH + number)
        .string("state", STATES.get(state).copied().unwrap_or_default())
        .string(
            "note",
            "as long as most of what people note, who have nothing to say but that it is so",
        )
        .build()
}

/// Something that looks random (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_about_200_bytes() {
        for number in [0, 1, 999_999] {
            let length = document(number).as_bytes().len();
            assert!((190..=210).contains(&length), "{length}");
        }
    }

    #[test]
    fn batches_are_due_as_the_rate_has_it_until_the_end() {
        let pace = Pace::new(20_000, 60);
        assert_eq!(pace.batch, 500);
        assert_eq!(pace.due(0), Some(Duration::ZERO));
        assert_eq!(pace.due(40), Some(Duration::from_secs(1)));
        assert!(pace.due(2_399).is_some() && pace.due(2_400).is_none());
        assert_eq!(Pace::new(7, 1).batch, 1);
    }
}
