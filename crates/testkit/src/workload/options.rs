//! What a workload writes, where, and how fast.

use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};

/// How much is written, and where. By default documents alone.
#[derive(Clone, Debug)]
pub struct WorkloadOptions {
    /// What the writes are chosen by. Default: 1.
    pub seed: u64,
    /// Tasks that write documents at the same time. Default: 4.
    pub writers: u32,
    /// Namespaces that documents and transactions are written to, `db.collection`. Default: `work.load` alone.
    ///
    /// They are created first, if they do not exist. All else is in the same databases, under names of its own, but for
    /// databases that are dropped as a whole: these have `_own` and a number behind the name of one of them.
    pub namespaces: Vec<String>,
    /// Time between two writes of one writer. Default: 1 ms.
    pub pause: Duration,
    /// When a write counts as done. Default: [`Acknowledgement::Majority`].
    pub acknowledgement: Acknowledgement,
    /// Whether one document in 400 is large: 100 KB to 1 MB. Default: no.
    ///
    /// There are no new ones after 256 MiB of them are in the journal.
    pub large_documents: bool,
    /// Tasks that write several documents in one transaction. Default: 0.
    pub transactions: u32,
    /// Whether three transactions of each task, among its first hundred, have more than 16 MiB. Default: no.
    ///
    /// Each takes 18 MB of the oplog and of the journal.
    pub large_transactions: bool,
    /// Documents that every other transaction inserts or deletes by one command. Default: 0, none does.
    pub bulk: usize,
    /// Tasks that create, change and drop collections, indexes and views. Default: 0.
    pub definitions: u32,
    /// Whether these rename collections too, and write over them by `$out`. Default: no.
    pub renames: bool,
    /// Tasks that write to a capped collection each. Default: 0.
    pub capped: u32,
    /// Tasks that write to a time-series each. Default: 0. Servers before 5.0 have none.
    pub time_series: u32,
    /// Tasks that move values of a unique index between documents. Default: 0.
    pub unique: u32,
}

/// When a write counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "options are made by tests alone")]
pub enum Acknowledgement {
    /// When it is on a majority of the members: no change of primary undoes it.
    Majority,
    /// When the primary has it. A change of primary may undo it, and the journal does not know.
    Primary,
}

impl Default for WorkloadOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            writers: 4,
            namespaces: vec!["work.load".into()],
            pause: Duration::from_millis(1),
            acknowledgement: Acknowledgement::Majority,
            large_documents: false,
            transactions: 0,
            large_transactions: false,
            bulk: 0,
            definitions: 0,
            renames: false,
            capped: 0,
            time_series: 0,
            unique: 0,
        }
    }
}

impl WorkloadOptions {
    /// All that there is but large transactions, in two databases.
    pub fn everything(seed: u64) -> Self {
        let names = ["work0.load0", "work1.load1", "work0.load2"];
        Self {
            seed,
            namespaces: names.map(str::to_owned).to_vec(),
            large_documents: true,
            transactions: 2,
            definitions: 2,
            renames: true,
            capped: 1,
            time_series: 1,
            unique: 1,
            ..Self::default()
        }
    }

    /// The database that the writer with this number has its own namespaces in.
    pub(super) fn database(&self, writer: u32) -> &str {
        let name = &self.namespaces[writer as usize % self.namespaces.len()];
        split(name).0
    }
}

impl Acknowledgement {
    pub(super) fn write_concern(self) -> RawDocumentBuf {
        match self {
            Self::Majority => rawdoc! { "w": "majority" },
            Self::Primary => rawdoc! { "w": 1 },
        }
    }
}

/// Database and collection of a namespace.
pub(super) fn split(namespace: &str) -> (&str, &str) {
    namespace.split_once('.').expect("a namespace has a dot")
}
