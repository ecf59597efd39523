//! Writes at random while something else goes on, and knows what was there at each moment.
//!
//! Every writer has documents (or namespaces) of its own, so what it was told about its writes says what each
//! document is, and the time of each write says when. A write whose fate is unknown (the connection broke before
//! the answer) is the last one to touch what it touches, until [`Journal::resolve`] finds it in the oplog.
//!
//! | kind | tasks | what they write to |
//! |---|---|---|
//! | documents | `writers` | the namespaces that are named, together |
//! | transactions | `transactions` | the same, several documents at once |
//! | definitions | `definitions` | collections and views that they create, change, rename and drop |
//! | capped | `capped` | a capped collection each, over its limit |
//! | time-series | `time_series` | a time-series each |
//! | unique | `unique` | two collections each, between whose documents values of a unique index move |

mod capped;
mod change;
mod definitions;
mod document;
mod documents;
mod journal;
mod oplog;
mod options;
mod pen;
mod shared;
mod state;
mod time_series;
mod transactions;
mod unique;

use std::sync::{Arc, atomic::Ordering};

use mongodb::Client;
use tokio::task::JoinSet;

use crate::wait::{PATIENCE, wait_for};
use pen::Pen;
use shared::Shared;

pub use change::{Change, Outcome, Write};
pub use journal::Journal;
pub use options::{Acknowledgement, WorkloadOptions};
pub use state::{Collection, Expected, Kind, Namespace, State, assert_holds};

/// Writers at work, as tasks of the current runtime; a test that blocks needs a runtime of several threads.
#[derive(Debug)]
pub struct Workload {
    shared: Arc<Shared>,
    writers: JoinSet<Vec<Write>>,
}

impl Workload {
    /// Starts writing: creates the namespaces that are named, then everything that the options ask for at once.
    ///
    /// The client must be one of the kit's, or have more connections than there are tasks that write.
    pub fn start(client: &Client, options: WorkloadOptions) -> Self {
        let shared = Arc::new(Shared::new(client.clone(), options));
        let mut writers = JoinSet::new();
        let mut numbers = 0..;
        let mut pen = || Pen::new(Arc::clone(&shared), numbers.next().expect("it has no end"));
        for _ in 0..shared.options.writers {
            writers.spawn(documents::run(pen()));
        }
        for _ in 0..shared.options.transactions {
            writers.spawn(transactions::run(pen()));
        }
        for _ in 0..shared.options.definitions {
            writers.spawn(definitions::run(pen()));
        }
        for _ in 0..shared.options.capped {
            writers.spawn(capped::run(pen()));
        }
        for _ in 0..shared.options.time_series {
            writers.spawn(time_series::run(pen()));
        }
        for _ in 0..shared.options.unique {
            writers.spawn(unique::run(pen()));
        }
        Self { shared, writers }
    }

    /// Number of writes that were acknowledged so far; a transaction is one.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `writes` more writes are acknowledged.
    pub async fn await_more(&self, writes: u64) {
        let wanted = self.acknowledged() + writes;
        let is_reached = async || (self.acknowledged() >= wanted).then_some(());
        wait_for("the workload's writes", PATIENCE, is_reached).await;
    }

    /// Lets every writer finish its write and gives the journal of all.
    pub async fn stop(self) -> Journal {
        self.shared.stop.store(true, Ordering::Relaxed);
        let writes = self.writers.join_all().await;
        let prepared = self.shared.take_prepared();
        Journal::new(prepared.into_iter().chain(writes.into_iter().flatten()))
    }
}
