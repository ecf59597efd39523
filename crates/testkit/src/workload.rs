//! Writes at random while something else goes on, and knows what must be there afterwards.
//!
//! Every writer has documents of its own, so what it was told about its writes says what each document is. A
//! write whose fate is unknown (the connection broke before the answer) leaves its document with several
//! possible states, and is the last one to touch it.

mod journal;
mod writer;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use mongodb::Client;
use tokio::task::JoinSet;

use crate::wait::{PATIENCE, wait_for};
pub use journal::{Expected, Journal, Outcome, Write, assert_holds};
use writer::Writer;

/// How much is written, and where.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// What the writes are chosen by. Default: 1.
    pub seed: u64,
    /// Tasks that write at the same time. Default: 4.
    pub writers: u32,
    /// Namespaces that are written to, `db.collection`. Default: `work.load` alone.
    pub namespaces: Vec<String>,
    /// Time between two writes of one writer. Default: 1 ms.
    pub pause: Duration,
}

impl Default for WorkloadOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            writers: 4,
            namespaces: vec!["work.load".into()],
            pause: Duration::from_millis(1),
        }
    }
}

/// Writers at work, as tasks of the current runtime; a test that blocks needs a runtime of several threads.
#[derive(Debug)]
pub struct Workload {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writers: JoinSet<Vec<Write>>,
}

impl Workload {
    /// Starts inserting, updating, replacing and deleting with majority write concern.
    pub fn start(client: &Client, options: WorkloadOptions) -> Self {
        let (stop, acknowledged) = (Arc::default(), Arc::default());
        let mut writers = JoinSet::new();
        let options = Arc::new(options);
        for number in 0..options.writers {
            let writer = Writer::new(client.clone(), Arc::clone(&options), number);
            writers.spawn(writer.run(Arc::clone(&stop), Arc::clone(&acknowledged)));
        }
        Self {
            stop,
            acknowledged,
            writers,
        }
    }

    /// Number of writes that were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `writes` more writes are acknowledged.
    pub async fn await_more(&self, writes: u64) {
        let wanted = self.acknowledged() + writes;
        let is_reached = async || (self.acknowledged() >= wanted).then_some(());
        wait_for("the workload's writes", PATIENCE, is_reached).await;
    }

    /// Lets every writer finish its write and gives the journal of all.
    pub async fn stop(self) -> Journal {
        self.stop.store(true, Ordering::Relaxed);
        let writes = self.writers.join_all().await;
        Journal::new(writes.into_iter().flatten().collect())
    }
}
