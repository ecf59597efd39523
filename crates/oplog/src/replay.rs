//! Replays an oplog: turns entries into what has to be done to the target.

mod command;
mod operation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use rdump_format::Namespace;

pub(crate) use command::is_known;
pub use operation::{Operation, Rename};

use crate::document::DocumentBuilder;
use crate::entry::EntryError;
use crate::index_catalog::{DefaultCollation, IndexCatalog};
use crate::lane;
use crate::transaction::{
    self, Part, TransactionId, TransactionKey, Transactions, UnfinishedTransaction,
};
use crate::{Entry, OpTime, OpTimeLimit, Unknown, filter};

/// How deep `applyOps` may be nested. Servers refuse what is deeper, and write two at most.
pub(crate) const MAX_DEPTH: usize = 10;

/// What replay must know of the server that operations are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayTarget {
    /// The first three numbers of its version.
    pub version: [u32; 3],
}

impl ReplayTarget {
    /// A server of this version.
    #[must_use]
    pub const fn new(version: [u32; 3]) -> Self {
        Self { version }
    }
}

/// How an oplog is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// Where it ends. Default: at its end.
    pub limit: OpTimeLimit,
    /// Leaves the UUIDs of collections in the operations: for a target whose collections have those of
    /// the source. Default: no.
    pub preserve_uuid: bool,
    /// Leaves out what is not known, and says so, instead of ending there. Default: no.
    pub skip_unknown: bool,
    /// Leaves out that a database is dropped: its collections were before, each by an entry of its own, and the target may have others in it.
    /// Default: no.
    pub keep_databases: bool,
}

impl ReplayOptions {
    /// Sets where it ends.
    #[must_use]
    pub fn limit(mut self, limit: OpTimeLimit) -> Self {
        self.limit = limit;
        self
    }

    /// Sets whether the UUIDs of collections stay in the operations.
    #[must_use]
    pub fn preserve_uuid(mut self, preserve: bool) -> Self {
        self.preserve_uuid = preserve;
        self
    }

    /// Sets whether what is not known is left out.
    #[must_use]
    pub fn skip_unknown(mut self, skip: bool) -> Self {
        self.skip_unknown = skip;
        self
    }

    /// Sets whether it is left out that a database is dropped.
    #[must_use]
    pub fn keep_databases(mut self, keep: bool) -> Self {
        self.keep_databases = keep;
        self
    }
}

/// Takes the entries of an oplog, in order, and gives the operations that bring a target to the same
/// state.
///
/// What is passed over, unpacked, buffered or refused is what mongorestore does so; indexes are not built
/// but kept in an [`IndexCatalog`].
///
/// # Examples
///
/// ```
/// use rdump_oplog::{Disposition, IndexCatalog, Replay, ReplayOptions, ReplayTarget, Step};
///
/// let target = ReplayTarget::new([6, 0, 5]);
/// let mut replay = Replay::new(target, ReplayOptions::default(), IndexCatalog::new());
/// let entry = bson::rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 }, "wall": 7 };
/// let mut steps = Vec::new();
/// let disposition = replay.push(entry.as_bytes(), &mut steps)?;
///
/// assert_eq!(disposition, Disposition::Done);
/// let [Step::Apply(operation)] = steps.as_slice() else {
///     panic!("{steps:?}");
/// };
/// let sent = bson::rawdoc! { "op": "i", "ns": "shop.orders", "o": { "_id": 1 } };
/// assert_eq!(operation.document(), sent.as_ref());
/// # Ok::<(), rdump_oplog::ReplayError>(())
/// ```
#[derive(Debug)]
pub struct Replay {
    target: ReplayTarget,
    options: ReplayOptions,
    catalog: IndexCatalog,
    transactions: Transactions,
    /// When collections, as `db.collection`, and databases were last dropped or replaced.
    dropped: BTreeMap<String, OpTime>,
    limit_reached: bool,
    applied: u64,
}

impl Replay {
    /// Starts with the indexes that the collections of the dump are to have.
    #[must_use]
    pub fn new(target: ReplayTarget, options: ReplayOptions, catalog: IndexCatalog) -> Self {
        Self {
            target,
            options,
            catalog,
            transactions: Transactions::default(),
            dropped: BTreeMap::new(),
            limit_reached: false,
            applied: 0,
        }
    }

    /// Takes the next entry and appends to `steps`, in order, what has to be done about it; what is left to
    /// do then with the entry itself is the disposition.
    ///
    /// After the limit was reached nothing is done about any entry.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] when it cannot be read or replayed. What came before that in the same entry is in
    /// `steps`; nothing after it can be replayed.
    pub fn push(
        &mut self,
        entry: &[u8],
        steps: &mut Vec<Step>,
    ) -> Result<Disposition, ReplayError> {
        let entry = Entry::parse(entry)?;
        if self.is_passed_over(&entry) {
            return Ok(Disposition::Done);
        }
        match transaction::part(&entry)? {
            Some((id, part)) => self.transaction(id, part, &entry, steps),
            None => {
                self.apply(&entry, 0, steps)?;
                Ok(Disposition::Done)
            }
        }
    }

    /// Appends to `steps` what has to be done about an entry of a transaction that is committed: see
    /// [`Disposition::Commit`].
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_committed(
        &mut self,
        entry: &[u8],
        steps: &mut Vec<Step>,
    ) -> Result<(), ReplayError> {
        let entry = Entry::parse(entry)?;
        match transaction::part(&entry)? {
            Some((_, Part::Operations | Part::Last)) => self.inner(&entry, 0, steps),
            Some((_, Part::Commit | Part::Abort)) | None => Ok(()),
        }
    }

    /// Whether there was something at or after the limit, so that no further entry has to be read.
    pub fn limit_reached(&self) -> bool {
        self.limit_reached
    }

    /// How many operations were replayed so far, counted as mongorestore counts: commands that only
    /// changed the catalog, and an `applyOps` beside what is inside, are among them.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The indexes that collections are to have by now.
    pub fn catalog(&self) -> &IndexCatalog {
        &self.catalog
    }

    /// Ends the oplog: gives the indexes to build and the transactions that were not replayed.
    #[must_use]
    pub fn finish(self) -> Replayed {
        Replayed {
            catalog: self.catalog,
            applied: self.applied,
            unfinished: self.transactions.into_unfinished(),
            dropped: self.dropped,
        }
    }

    /// Whether nothing is to be done about it; takes note of the limit.
    fn is_passed_over(&mut self, entry: &Entry<'_>) -> bool {
        if self.limit_reached || filter::is_skipped(entry) {
            return true;
        }
        self.limit_reached = !self.options.limit.allows(entry.at());
        self.limit_reached
    }

    fn transaction(
        &mut self,
        id: TransactionId<'_>,
        part: Part,
        entry: &Entry<'_>,
        steps: &mut Vec<Step>,
    ) -> Result<Disposition, ReplayError> {
        let start_missing = Step::Notice(Notice::TransactionStartMissing {
            at: entry.at(),
            number: id.number,
        });
        if part == Part::Operations {
            let (key, is_whole) = self.transactions.keep(id, entry);
            if !is_whole {
                steps.push(start_missing);
            }
            return Ok(Disposition::Keep(key));
        }
        match self.transactions.take(id) {
            Some(key) if part == Part::Abort => return Ok(Disposition::Abort(key)),
            Some(key) => return Ok(Disposition::Commit(key)),
            None if part == Part::Abort => return Ok(Disposition::Done),
            None => {}
        }
        if part == Part::Commit || !transaction::is_first(entry) {
            steps.push(start_missing);
        }
        if part == Part::Last {
            self.inner(entry, 0, steps)?;
        }
        Ok(Disposition::Done)
    }

    /// Takes every operation inside of an `applyOps`.
    fn inner(
        &mut self,
        entry: &Entry<'_>,
        depth: usize,
        steps: &mut Vec<Step>,
    ) -> Result<(), ReplayError> {
        if depth >= MAX_DEPTH {
            return Err(ReplayError::TooDeep { at: entry.at() });
        }
        for operation in entry.inner(entry.command()?)? {
            let operation = operation?;
            if !self.is_passed_over(&operation) {
                self.apply(&operation, depth.saturating_add(1), steps)?;
            }
        }
        Ok(())
    }

    /// `depth` is the number of `applyOps` around it.
    fn apply(
        &mut self,
        entry: &Entry<'_>,
        depth: usize,
        steps: &mut Vec<Step>,
    ) -> Result<(), ReplayError> {
        let (at, namespace) = (entry.at(), entry.namespace());
        if namespace.is_empty() {
            return Err(EntryError::Missing { field: "ns", at }.into());
        }
        self.applied = self.applied.saturating_add(1);
        match entry.operation() {
            "i" | "u" | "d" => {
                self.check_buckets(namespace, at)?;
                self.create_views(entry, steps);
                let lane = lane::of(entry, &self.catalog)?;
                let objects = (entry.object()?, entry.object2()?);
                let operation = Operation::new(entry, objects, lane, self.options);
                steps.push(Step::Apply(operation));
                Ok(())
            }
            "c" => self.command(entry, depth, steps),
            _ => self.unknown(Unknown::operation(entry), steps),
        }
    }

    fn unknown(&mut self, unknown: Unknown, steps: &mut Vec<Step>) -> Result<(), ReplayError> {
        if !self.options.skip_unknown {
            return Err(unknown.into());
        }
        // It was counted as one that is applied.
        self.applied = self.applied.saturating_sub(1);
        steps.push(Step::Skip(unknown));
        Ok(())
    }

    /// Creates the collection that a new view is put into, which a target has only once it has a view.
    /// To create it again does nothing.
    fn create_views(&mut self, entry: &Entry<'_>, steps: &mut Vec<Step>) {
        let namespace = entry.namespace();
        let is_views = namespace.strip_prefix(entry.db()) == Some(".system.views");
        if !is_views || entry.operation() == "d" || self.catalog.find(namespace).is_some() {
            return;
        }
        let mut command = DocumentBuilder::new();
        command.string("create", "system.views");
        let operation = Operation::before(entry, command.build().as_bytes());
        steps.push(Step::Apply(operation));
        self.catalog
            .create(namespace.to_owned(), DefaultCollation::Simple, false);
    }

    /// Refuses what happened to the buckets of a time-series collection if the target keeps none.
    fn check_buckets(&self, namespace: &str, at: OpTime) -> Result<(), ReplayError> {
        if self.target.version >= [8, 3, 0] && filter::is_buckets(namespace) {
            return Err(ReplayError::Buckets {
                namespace: namespace.into(),
                at,
            });
        }
        Ok(())
    }
}

/// What is left to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever replays an oplog has to do all of it"
)]
#[must_use]
pub enum Disposition {
    /// Nothing.
    Done,
    /// Keep it, after what is kept of this transaction already, until the transaction is decided.
    Keep(TransactionKey),
    /// Give what is kept of this transaction, and after that the entry itself, to
    /// [`Replay::push_committed`], before the next entry; then forget the transaction.
    Commit(TransactionKey),
    /// Forget the transaction.
    Abort(TransactionKey),
}

/// What has to be done next.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Apply this operation.
    Apply(Operation),
    /// Tell a person that this is not done: the target may not be what the source was.
    Skip(Unknown),
    /// Tell a person.
    Notice(Notice),
}

/// Something about the oplog that a person should know; `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// An index was changed that is not in the catalog, so that it will not be there after the restore
    /// either.
    UnknownIndex {
        /// When it was changed.
        at: OpTime,
        /// The collection.
        namespace: Namespace,
    },
    /// The oplog begins in the middle of a transaction, of which only the rest can be replayed.
    TransactionStartMissing {
        /// The first entry that is there.
        at: OpTime,
        /// The number of the transaction in its session.
        number: i64,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownIndex { at, namespace } => write!(
                f,
                "an index of {namespace} that the dump does not have was changed by `collMod` at {at}"
            ),
            Self::TransactionStartMissing { at, number } => write!(
                f,
                "transaction {number} with an entry at {at} began before the oplog does; what is missing is not replayed"
            ),
        }
    }
}

/// What is left after the last entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replayed {
    /// The indexes to build.
    pub catalog: IndexCatalog,
    /// How many operations were replayed; see [`Replay::applied`].
    pub applied: u64,
    /// The transactions that were not decided, of which nothing was replayed; the oldest first.
    pub unfinished: Vec<UnfinishedTransaction>,
    dropped: BTreeMap<String, OpTime>,
}

impl Replayed {
    /// Whether the collection was dropped or replaced after that, before the end of the oplog or the limit.
    ///
    /// An operation at that time is superfluous, then. So it does no harm that a target cannot apply it,
    /// because the collection was gone from the source already when the dump came to it. Otherwise the
    /// target lacks a collection that it should have.
    #[must_use]
    pub fn dropped_after(&self, namespace: &Namespace, at: OpTime) -> bool {
        let is_later = |name: &str| self.dropped.get(name).is_some_and(|dropped| *dropped > at);
        is_later(&namespace.to_string()) || is_later(&namespace.db)
    }
}

/// Why an entry cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum ReplayError {
    #[error(transparent)]
    Entry {
        #[from]
        source: EntryError,
    },
    #[error(transparent)]
    Unknown {
        #[from]
        source: Unknown,
    },
    #[error("cannot replay `{command}` at {at} on {namespace}: {fault}")]
    Command {
        command: &'static str,
        namespace: Box<str>,
        at: OpTime,
        fault: &'static str,
    },
    #[error(
        "cannot replay `upgradeDowngradeViewlessTimeseries` at {at} on {namespace}: this oplog crosses a timeseries \
         format conversion, by a change of the feature compatibility version between 8.x and 9.0; a limit before it \
         makes the rest replayable"
    )]
    TimeseriesConversion { namespace: Box<str>, at: OpTime },
    #[error(
        "cannot replay the operation at {at} on {namespace}: servers from 8.3 have no collections of buckets, and this \
         oplog is of an older one"
    )]
    Buckets { namespace: Box<str>, at: OpTime },
    #[error("`applyOps` at {at} is nested more than {MAX_DEPTH} times")]
    TooDeep { at: OpTime },
}
