//! The entries of transactions that are not decided yet.

use std::{collections::HashMap, env};

use rdump_oplog::TransactionKey;

use crate::{
    Result,
    spool::{Kept, Purpose, Spool},
};

/// Keeps entries until their transaction is committed or aborted, however large it is.
#[derive(Debug)]
pub(super) struct Undecided {
    spool: Spool,
    kept: HashMap<TransactionKey, Vec<Kept>>,
}

impl Undecided {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let purpose = Purpose {
            keeps: "a transaction of the oplog until it is decided",
            hint: "there has to be room for the transactions that were open at one moment; TMPDIR names another folder",
        };
        Self {
            spool: Spool::in_folder(env::temp_dir(), purpose),
            kept: HashMap::new(),
        }
    }

    /// Keeps an entry after those of the same transaction. Blocks.
    pub(super) fn keep(&mut self, transaction: TransactionKey, entry: &[u8]) -> Result<()> {
        if self.kept.is_empty() {
            // Nobody needs what is in it any more.
            self.spool.clear()?;
        }
        let kept = self.spool.append(entry)?;
        self.kept.entry(transaction).or_default().push(kept);
        Ok(())
    }

    /// Forgets a transaction; returns where its entries are, to be read before the next one is kept.
    pub(super) fn take(&mut self, transaction: TransactionKey) -> Vec<Kept> {
        self.kept.remove(&transaction).unwrap_or_default()
    }

    /// Reads an entry. Blocks.
    pub(super) fn read(&mut self, kept: &Kept) -> Result<Vec<u8>> {
        self.spool.read(kept)
    }
}

#[cfg(test)]
mod tests {
    use rdump_oplog::{Disposition, IndexCatalog, Replay, ReplayOptions, ReplayTarget};

    use super::*;

    /// Keys of transactions.
    fn keys<const N: usize>() -> [TransactionKey; N] {
        let target = ReplayTarget::new([6, 0, 5]);
        let mut replay = Replay::new(target, ReplayOptions::default(), IndexCatalog::new());
        std::array::from_fn(|number| {
            let entry = bson::rawdoc! {
                "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [], "prepare": true }, "lsid": {},
                "txnNumber": number as i64,
            };
            match replay.push(entry.as_bytes(), &mut Vec::new()).unwrap() {
                Disposition::Keep(key) => key,
                other => panic!("{other:?}"),
            }
        })
    }

    fn taken(undecided: &mut Undecided, key: TransactionKey) -> Vec<Vec<u8>> {
        let kept = undecided.take(key);
        kept.iter()
            .map(|kept| undecided.read(kept).unwrap())
            .collect()
    }

    #[test]
    fn entries_come_back_by_transaction() {
        let [first, second, third] = keys();
        let mut undecided = Undecided::new();
        let entry = |byte| vec![byte; 10];
        undecided.keep(first, &entry(1)).unwrap();
        undecided.keep(second, &entry(2)).unwrap();
        undecided.keep(first, &entry(3)).unwrap();
        undecided.keep(second, &entry(4)).unwrap();
        assert_eq!(taken(&mut undecided, first), [entry(1), entry(3)]);
        undecided.keep(third, &entry(5)).unwrap();
        assert_eq!(taken(&mut undecided, second), [entry(2), entry(4)]);
        assert_eq!(taken(&mut undecided, third), [entry(5)]);
        assert!(undecided.take(third).is_empty());
    }

    #[test]
    fn room_is_given_back_when_nothing_is_open() {
        let [first, second] = keys();
        let mut undecided = Undecided::new();
        for _ in 0..3 {
            undecided.keep(first, &[1; 100]).unwrap();
            assert_eq!(undecided.spool.bytes(), 100);
            assert_eq!(taken(&mut undecided, first), [[1; 100]]);
        }
        undecided.keep(first, &[1; 100]).unwrap();
        undecided.take(first);
        undecided.keep(second, &[2; 10]).unwrap();
        assert_eq!(taken(&mut undecided, second), [[2; 10]]);
    }
}
