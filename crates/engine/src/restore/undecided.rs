//! The entries of transactions that are not decided yet.

use std::{
    collections::HashMap,
    env,
    io::{self, Read, Seek, SeekFrom, Write},
};

use rdump_oplog::TransactionKey;
use tempfile::SpooledTempFile;

use crate::{Error, ErrorKind, Result};

/// How much is kept in memory before a file without a name takes it.
const IN_MEMORY_BYTES: usize = 16 << 20;

/// Keeps entries until their transaction is committed or aborted, however large it is.
#[derive(Debug)]
pub(super) struct Undecided {
    file: SpooledTempFile,
    end: u64,
    kept: HashMap<TransactionKey, Vec<Kept>>,
}

/// Where an entry is.
#[derive(Debug)]
pub(super) struct Kept {
    offset: u64,
    length: usize,
}

impl Undecided {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            file: SpooledTempFile::new(IN_MEMORY_BYTES),
            end: 0,
            kept: HashMap::new(),
        }
    }

    /// Keeps an entry after those of the same transaction. Blocks.
    pub(super) fn keep(&mut self, transaction: TransactionKey, entry: &[u8]) -> Result<()> {
        if self.kept.is_empty() {
            // Nobody needs what is in it any more.
            self.file.set_len(0).map_err(failed)?;
            self.end = 0;
        }
        let offset = self.end;
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.write_all(entry))
            .map_err(failed)?;
        self.end += entry.len() as u64;
        let length = entry.len();
        let kept = self.kept.entry(transaction).or_default();
        kept.push(Kept { offset, length });
        Ok(())
    }

    /// Forgets a transaction; returns where its entries are, to be read before the next one is kept.
    pub(super) fn take(&mut self, transaction: TransactionKey) -> Vec<Kept> {
        self.kept.remove(&transaction).unwrap_or_default()
    }

    /// Reads an entry. Blocks.
    pub(super) fn read(&mut self, kept: &Kept) -> Result<Vec<u8>> {
        let mut entry = vec![0; kept.length];
        self.file
            .seek(SeekFrom::Start(kept.offset))
            .and_then(|_| self.file.read_exact(&mut entry))
            .map_err(failed)?;
        Ok(entry)
    }
}

fn failed(error: io::Error) -> Error {
    let folder = env::temp_dir();
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "could not keep a transaction of the oplog until it is decided, in a file in {}",
            folder.display()
        ),
    )
    .caused_by(error)
    .with_hint("there has to be room for the transactions that were open at one moment; TMPDIR names another folder")
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
    fn entries_come_back_by_transaction_from_memory_and_from_a_file() {
        let [first, second, third] = keys();
        for length in [10, IN_MEMORY_BYTES / 3, IN_MEMORY_BYTES + 1] {
            let mut undecided = Undecided::new();
            let entry = |byte| vec![byte; length];
            undecided.keep(first, &entry(1)).unwrap();
            undecided.keep(second, &entry(2)).unwrap();
            undecided.keep(first, &entry(3)).unwrap();
            undecided.keep(second, &entry(4)).unwrap();
            assert_eq!(undecided.file.is_rolled(), 4 * length > IN_MEMORY_BYTES);
            assert_eq!(taken(&mut undecided, first), [entry(1), entry(3)]);
            undecided.keep(third, &entry(5)).unwrap();
            assert_eq!(taken(&mut undecided, second), [entry(2), entry(4)]);
            assert_eq!(taken(&mut undecided, third), [entry(5)]);
            assert!(undecided.take(third).is_empty());
        }
    }

    #[test]
    fn room_is_given_back_when_nothing_is_open() {
        let [first, second] = keys();
        let mut undecided = Undecided::new();
        for _ in 0..3 {
            undecided.keep(first, &[1; 100]).unwrap();
            assert_eq!(undecided.end, 100);
            assert_eq!(taken(&mut undecided, first), [[1; 100]]);
        }
        undecided.keep(first, &[1; 100]).unwrap();
        undecided.take(first);
        undecided.keep(second, &[2; 10]).unwrap();
        assert_eq!(taken(&mut undecided, second), [[2; 10]]);
    }
}
