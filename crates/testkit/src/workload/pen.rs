//! What every writer writes with: sends commands, tells what became of them, and notes it.

mod fate;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bson::{RawDocumentBuf, Timestamp, raw::cstr};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{
    Acknowledgement, Change, Outcome, Write,
    change::BEFORE_ALL,
    oplog::find,
    options::split,
    shared::{RETRY, Ready, Shared},
};

pub(super) use fate::Fate;

/// Ids of one writer.
const IDS_PER_WRITER: i64 = 1_000_000_000;
/// Bytes of large documents in one journal, about: when there are more, those that exist are only deleted.
const MAX_LARGE_BYTES: u64 = 256 << 20;
/// How long an entry of an acknowledged write is looked for, until all before it is written too.
const VISIBLE_WITHIN: Duration = Duration::from_secs(5);

/// What one writer has to write with.
pub(super) struct Pen {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u32,
    pub(super) rng: ChaCha8Rng,
    /// The time of the last answer.
    pub(super) clock: Timestamp,
    /// How the times of most writes are found.
    timing: Timing,
    next_id: i64,
    writes: Vec<Write>,
}

/// How the time of a write is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// The reply says it: true of what makes one entry of the oplog.
    Reply,
    /// The oplog is asked: of what makes several, or is done by a thread of the server's own.
    Oplog,
}

impl Pen {
    pub(super) fn new(shared: Arc<Shared>, number: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(shared.options.seed);
        rng.set_stream(u64::from(number));
        Self {
            shared,
            number,
            rng,
            clock: BEFORE_ALL,
            timing: Timing::Reply,
            next_id: i64::from(number) * IDS_PER_WRITER,
            writes: Vec::new(),
        }
    }

    /// Waits until there is something to write to; `None` if the workload was stopped before.
    pub(super) async fn ready(&mut self) -> Option<Ready> {
        let ready = self.shared.ready().await?;
        self.clock = ready.time;
        self.timing = if ready.replies_with_time() {
            Timing::Reply
        } else {
            Timing::Oplog
        };
        Some(ready)
    }

    pub(super) async fn pause(&self) {
        if !self.shared.options.pause.is_zero() {
            tokio::time::sleep(self.shared.options.pause).await;
        }
    }

    pub(super) fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// An `_id` that was never used.
    pub(super) fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// Whether something happens that does in `percent` of all cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// One of `number` things.
    pub(super) fn pick(&mut self, number: usize) -> usize {
        self.rng.random_range(0..number)
    }

    /// A new namespace's name in the database of this writer.
    pub(super) fn namespace(&self, collection: &str) -> Arc<str> {
        let db = self.shared.options.database(self.number);
        format!("{db}.{collection}").into()
    }

    /// Sends one write to the database of `namespace` and notes it.
    pub(super) async fn write(
        &mut self,
        namespace: &Arc<str>,
        command: RawDocumentBuf,
        change: Change,
        timing: Timing,
    ) -> Fate {
        let db = split(namespace).0.to_owned();
        self.send(&db, namespace, command, vec![change], timing)
            .await
    }

    /// Sends a command that defines something to a database, and notes it.
    pub(super) async fn define(
        &mut self,
        db: &str,
        namespace: &Arc<str>,
        command: RawDocumentBuf,
        changes: Vec<Change>,
    ) -> Fate {
        self.send(db, namespace, command, changes, Timing::Oplog)
            .await
    }

    async fn send(
        &mut self,
        db: &str,
        namespace: &Arc<str>,
        mut command: RawDocumentBuf,
        changes: Vec<Change>,
        timing: Timing,
    ) -> Fate {
        let after = self.clock;
        let concern = self.shared.options.acknowledgement.write_concern();
        command.append(cstr!("writeConcern"), concern);
        let database = self.shared.client.database(db);
        let fate = Fate::of(database.run_raw_command(command).await);
        let mut time = None;
        match &fate {
            Fate::Done(reply) => time = reply.get_timestamp("operationTime").ok(),
            Fate::Refused => {
                tokio::time::sleep(RETRY).await;
                return fate;
            }
            Fate::Lost => {}
        }
        self.clock = time.unwrap_or(self.clock);
        let is_in_oplog = timing == Timing::Oplog || self.timing == Timing::Oplog;
        let is_looked_for = is_in_oplog && time.is_some();
        let mut is_known = true;
        for change in changes {
            let outcome = match &fate {
                Fate::Done(_) if is_looked_for => self.look(namespace, &change, after).await,
                Fate::Done(_) => Outcome::Acknowledged(time),
                Fate::Refused | Fate::Lost => Outcome::Unknown { after },
            };
            is_known &= matches!(outcome, Outcome::Acknowledged(_));
            self.note([(Arc::clone(namespace), change)], outcome);
        }
        if is_known {
            self.acknowledge();
            fate
        } else {
            Fate::Lost
        }
    }

    /// Counts a write.
    pub(super) fn acknowledge(&self) {
        self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the effects of one write.
    pub(super) fn note(
        &mut self,
        changes: impl IntoIterator<Item = (Arc<str>, Change)>,
        outcome: Outcome,
    ) {
        let writes = changes.into_iter().map(|(namespace, change)| Write {
            namespace,
            change,
            outcome,
        });
        self.writes.extend(writes);
    }

    /// Looks into the oplog for an acknowledged write.
    pub(super) async fn look(
        &self,
        namespace: &Arc<str>,
        change: &Change,
        after: Timestamp,
    ) -> Outcome {
        let started = std::time::Instant::now();
        while started.elapsed() < VISIBLE_WITHIN {
            match find(&self.shared.client, namespace, change, after).await {
                Ok(Some(time)) => return Outcome::Acknowledged(Some(time)),
                Ok(None) => tokio::time::sleep(RETRY).await,
                Err(_) => break,
            }
        }
        Outcome::Unknown { after }
    }

    /// Whether the journal has room for another state of a large document.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let before = self.shared.large_bytes.fetch_add(bytes, Ordering::Relaxed);
        before + bytes <= MAX_LARGE_BYTES
    }

    /// Whether no acknowledged write can be undone, so that each must find what it expects.
    pub(super) fn is_durable(&self) -> bool {
        self.shared.options.acknowledgement == Acknowledgement::Majority
    }
}
