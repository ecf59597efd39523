//! Gathers entries into what is stored of a span of time.

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use rdump_format::{Digest, FrameError, Segment, SegmentBuilder, repository::EntryMark};

use crate::transaction::{self, Part};
use crate::{CaptureError, Entry, EntryError, OpTime, changes_catalog};

/// The most namespaces that are counted.
const MOST_NAMESPACES: usize = 200;

/// Transactions that are neither committed nor aborted.
///
/// They outlive a slice: a restore to a moment needs the entries of before it of what is committed after it.
#[derive(Clone, Debug, Default)]
pub struct OpenTransactions {
    /// By session and number, when each began.
    open: HashMap<(Vec<u8>, i64), OpTime>,
    /// Of those that are not known by name.
    others: Option<OpTime>,
}

impl OpenTransactions {
    /// Transactions of which it is only known when the oldest began.
    #[must_use]
    pub fn since(oldest: Option<OpTime>) -> Self {
        Self {
            open: HashMap::new(),
            others: oldest,
        }
    }

    /// Takes note of an entry.
    ///
    /// # Errors
    ///
    /// [`EntryError`] if it is none.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), EntryError> {
        let entry = Entry::parse(entry)?;
        let Some((id, part)) = transaction::part(&entry)? else {
            return Ok(());
        };
        match part {
            Part::Operations => {
                self.open.entry(id.to_owned_key()).or_insert(entry.at());
            }
            Part::Last | Part::Commit | Part::Abort => {
                self.open.remove(&id.to_owned_key());
            }
        }
        Ok(())
    }

    /// When the oldest began.
    #[must_use]
    pub fn oldest(&self) -> Option<OpTime> {
        self.open.values().copied().chain(self.others).min()
    }
}

/// Gathers the entries of a slice. Memory is what is pushed, and a segment.
#[derive(Debug)]
pub struct SliceBuilder {
    segments: Vec<Segment>,
    builder: SegmentBuilder,
    entries: u64,
    uncompressed_bytes: u64,
    definitions: bool,
    namespaces: Option<BTreeMap<String, u64>>,
    last: Option<Last>,
}

/// The last entry, stored or not.
#[derive(Debug)]
struct Last {
    at: OpTime,
    term: Option<i64>,
    entry: Vec<u8>,
}

/// What was gathered.
#[derive(Debug)]
#[non_exhaustive]
pub struct GatheredSlice {
    /// The entries.
    pub segments: Vec<Segment>,
    /// How many.
    pub entries: u64,
    /// Their length, in bytes.
    pub uncompressed_bytes: u64,
    /// Whether one of them changes what exists or how it is defined.
    pub definitions: bool,
    /// How often each namespace was written to, unless they are too many.
    pub namespaces: Option<BTreeMap<String, u64>>,
    /// The last entry that was looked at.
    pub last: EntryMark,
}

impl SliceBuilder {
    /// Begins a slice whose segments have about so many bytes.
    #[must_use]
    pub fn new(segment_bytes: usize) -> Self {
        Self {
            segments: Vec::new(),
            builder: SegmentBuilder::new(segment_bytes),
            entries: 0,
            uncompressed_bytes: 0,
            definitions: false,
            namespaces: Some(BTreeMap::new()),
            last: None,
        }
    }

    /// Takes the next entry of the oplog, and what is stored of it: nothing, itself, or what is left of it.
    ///
    /// # Errors
    ///
    /// [`SliceError`] if it cannot be read; nothing is taken then.
    pub fn push(&mut self, entry: &[u8], stored: Option<&[u8]>) -> Result<(), SliceError> {
        let parsed = Entry::parse(entry)?;
        if let Some(stored) = stored {
            self.definitions |= changes_catalog(stored)?;
            self.count(&Entry::parse(stored)?, 0);
            self.segments.extend(self.builder.push(stored)?);
            self.entries = self.entries.saturating_add(1);
            self.uncompressed_bytes = self.uncompressed_bytes.saturating_add(stored.len() as u64);
        }
        let mut bytes = self.last.take().map(|last| last.entry).unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(entry);
        self.last = Some(Last {
            at: parsed.at(),
            term: parsed.term(),
            entry: bytes,
        });
        Ok(())
    }

    fn count(&mut self, entry: &Entry<'_>, depth: usize) {
        let Some(namespaces) = &mut self.namespaces else {
            return;
        };
        let command = match entry.operation() {
            "c" => entry.command().ok(),
            _ => None,
        };
        if let Some(command) = command.filter(|command| command.name == "applyOps")
            && let Ok(inner) = entry.inner(command)
            && depth < crate::replay::MAX_DEPTH
        {
            for operation in inner.flatten() {
                self.count(&operation, depth.saturating_add(1));
            }
            return;
        }
        let are_many = namespaces.len() >= MOST_NAMESPACES;
        match namespaces.get_mut(entry.namespace()) {
            Some(count) => *count = count.saturating_add(1),
            None if are_many => self.namespaces = None,
            None => drop(namespaces.insert(entry.namespace().to_owned(), 1)),
        }
    }

    /// How much is stored so far, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.uncompressed_bytes
    }

    /// How many entries are stored so far.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The moment of the last entry that was taken.
    #[must_use]
    pub fn end(&self) -> Option<OpTime> {
        self.last.as_ref().map(|last| last.at)
    }

    /// The mark of the last entry that was taken.
    #[must_use]
    pub fn mark(&self) -> Option<EntryMark> {
        let last = self.last.as_ref()?;
        Some(mark(last.at, last.term, &last.entry))
    }

    /// What was taken; `None` if that is nothing.
    #[must_use]
    pub fn build(mut self) -> Option<GatheredSlice> {
        let last = self.mark()?;
        self.segments.extend(self.builder.finish());
        Some(GatheredSlice {
            segments: self.segments,
            entries: self.entries,
            uncompressed_bytes: self.uncompressed_bytes,
            definitions: self.definitions,
            namespaces: self.namespaces,
            last,
        })
    }
}

/// The mark of an entry.
///
/// # Errors
///
/// [`EntryError`] if it is none.
pub fn entry_mark(entry: &[u8]) -> Result<EntryMark, EntryError> {
    let parsed = Entry::parse(entry)?;
    Ok(mark(parsed.at(), parsed.term(), entry))
}

fn mark(at: OpTime, term: Option<i64>, entry: &[u8]) -> EntryMark {
    EntryMark::new(at, term, Digest::of(entry))
}

/// Why an entry cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SliceError {
    /// It is none.
    #[error(transparent)]
    Entry {
        /// Why.
        #[from]
        source: EntryError,
    },
    /// It is nested too deep.
    #[error(transparent)]
    Capture {
        /// Why.
        #[from]
        source: CaptureError,
    },
    /// It is no document.
    #[error(transparent)]
    Frame {
        /// Why.
        #[from]
        source: FrameError,
    },
}
