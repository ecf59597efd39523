//! Transactions, which come in pieces and count only once they are committed.
//!
//! A small transaction is one entry, an `applyOps` with its session and number. A large one is several,
//! all but the last of them marked `partialTxn`; a prepared one ends with an entry marked `prepare`, and
//! is committed or aborted by an entry of its own, later. Between its entries there are those of other
//! transactions, and writes.
//!
//! Entries have to be kept from the first to the commit, as much as the source has of open transactions
//! at one moment. That can be more than memory holds, so they are kept by whoever reads the oplog.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use rdump_format::element::Value;

use crate::entry::Command;
use crate::{Entry, EntryError, OpTime};

/// What an entry does to the transaction that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It has operations, and more will come: other operations or the decision.
    Operations,
    /// It has operations, the last ones, and commits.
    Last,
    Commit,
    Abort,
}

/// The transaction that an entry belongs to, and what it does to it.
///
/// `None` for what is no transaction, such as retryable writes and vectored inserts, which have a
/// session and a number too.
pub(crate) fn part<'a>(entry: &Entry<'a>) -> Result<Option<(TransactionId<'a>, Part)>, EntryError> {
    let Some((session, number)) = entry.session() else {
        return Ok(None);
    };
    if entry.operation() != "c" || entry.is_vectored() {
        return Ok(None);
    }
    let command = entry.command()?;
    let part = match command.name {
        "commitTransaction" => Part::Commit,
        "abortTransaction" => Part::Abort,
        "applyOps" if has(entry, &command, "partialTxn")? || has(entry, &command, "prepare")? => {
            Part::Operations
        }
        "applyOps" => Part::Last,
        _ => return Ok(None),
    };
    Ok(Some((TransactionId { session, number }, part)))
}

/// Whether an entry is of a transaction: operations of it, or what became of it.
///
/// # Errors
///
/// [`EntryError`] if it is no entry.
pub fn is_of_transaction(entry: &[u8]) -> Result<bool, EntryError> {
    Ok(part(&Entry::parse(entry)?)?.is_some())
}

fn has(entry: &Entry<'_>, command: &Command<'_>, mark: &str) -> Result<bool, EntryError> {
    let mark = entry.field(command.object, mark)?;
    Ok(mark.is_some_and(|mark| !matches!(mark.value, Value::Bool(false))))
}

/// Which transaction: the session, byte by byte, and the number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TransactionId<'a> {
    session: &'a [u8],
    pub(crate) number: i64,
}

impl TransactionId<'_> {
    pub(crate) fn to_owned_key(self) -> (Vec<u8>, i64) {
        (self.session.to_vec(), self.number)
    }
}

/// Names a transaction of which entries have to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionKey(u64);

/// The transactions that are neither committed nor aborted yet.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    open: HashMap<(Vec<u8>, i64), Open>,
    /// How many there have been.
    count: u64,
}

#[derive(Debug)]
struct Open {
    key: TransactionKey,
    started: OpTime,
}

impl Transactions {
    /// Takes note of an entry that has to be kept until its transaction is decided; also says whether the
    /// transaction was known or starts with it.
    pub(crate) fn keep(
        &mut self,
        id: TransactionId<'_>,
        entry: &Entry<'_>,
    ) -> (TransactionKey, bool) {
        let count = &mut self.count;
        let mut is_whole = true;
        let open = self
            .open
            .entry((id.session.to_vec(), id.number))
            .or_insert_with(|| {
                is_whole = is_first(entry);
                *count = count.saturating_add(1);
                Open {
                    key: TransactionKey(*count),
                    started: entry.at(),
                }
            });
        (open.key, is_whole)
    }

    /// Forgets a transaction that is decided; `None` if nothing was kept of it.
    pub(crate) fn take(&mut self, id: TransactionId<'_>) -> Option<TransactionKey> {
        let open = self.open.remove(&(id.session.to_vec(), id.number))?;
        Some(open.key)
    }

    /// What is still open, the oldest first.
    pub(crate) fn into_unfinished(self) -> Vec<UnfinishedTransaction> {
        let mut unfinished: Vec<_> = self
            .open
            .into_iter()
            .map(|((_, number), open)| UnfinishedTransaction {
                started: open.started,
                number,
            })
            .collect();
        unfinished.sort_by_key(|transaction| (transaction.started, transaction.number));
        unfinished
    }
}

/// Whether nothing of its transaction is before it. Servers before 4.2 do not say.
pub(crate) fn is_first(entry: &Entry<'_>) -> bool {
    entry
        .previous()
        .is_none_or(|previous| previous == OpTime::default())
}

/// A transaction that was not decided before the end of the oplog or the limit, so that nothing of it was
/// replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnfinishedTransaction {
    /// When its first entry was written.
    pub started: OpTime,
    /// Its number in its session.
    pub number: i64,
}
