//! Documents and terminators, from the pieces that they lie in.

use crate::archive::TERMINATOR;
use crate::archive::error::{ArchiveError, ArchivePart};
use crate::framing::document_length;

/// The beginning of what was cut between pieces, and where it is.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Where the next item starts, in bytes from the start of the archive.
    offset: u64,
    /// Where the last item started.
    item_offset: u64,
    gathered: Vec<u8>,
    /// Whether what is gathered was given as an item, and is done with.
    is_given: bool,
}

/// What an archive consists of, after the magic number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'piece> {
    Terminator,
    /// Documents that lie in one piece.
    Run {
        bytes: &'piece [u8],
        documents: u64,
    },
    /// A document that was gathered from several.
    Gathered,
}

impl Item<'_> {
    pub(super) fn documents(self) -> u64 {
        match self {
            Self::Terminator => 0,
            Self::Run { documents, .. } => documents,
            Self::Gathered => 1,
        }
    }
}

/// Why bytes are neither a document nor a terminator.
#[derive(Debug)]
pub(super) enum Fault {
    Length(i32),
    Unterminated,
}

impl Input {
    /// Where the last item started, in bytes from the start of the archive.
    pub(super) fn item_offset(&self) -> u64 {
        self.item_offset
    }

    /// Where the next item starts, in bytes from the start of the archive.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the bytes end that were taken so far, if that is inside an item.
    pub(super) fn offset_inside_item(&self) -> Option<u64> {
        let inside = !self.is_given && !self.gathered.is_empty();
        inside.then(|| self.offset.saturating_add(self.gathered.len() as u64))
    }

    /// The documents that `item` is; none of a terminator.
    pub(super) fn bytes<'a>(&'a self, item: Item<'a>) -> &'a [u8] {
        match item {
            Item::Terminator => &[],
            Item::Run { bytes, .. } => bytes,
            Item::Gathered => &self.gathered,
        }
    }

    /// Takes the number at the start of an archive; `None` when the piece ends before.
    pub(super) fn magic(&mut self, piece: &mut &[u8]) -> Option<[u8; 4]> {
        self.gather(4, piece);
        let magic = self.gathered.first_chunk().copied()?;
        self.give(4);
        Some(magic)
    }

    /// Takes the next terminator, or the next documents: at most `most`, as many as lie in `piece`,
    /// or one that was begun before. `None` when the piece ends before.
    pub(super) fn item<'piece>(
        &mut self,
        piece: &mut &'piece [u8],
        most: u64,
    ) -> Result<Option<Item<'piece>>, Fault> {
        if std::mem::take(&mut self.is_given) {
            self.gathered.clear();
        }
        if self.gathered.is_empty()
            && let Some(run) = run(piece, most)
        {
            self.advance(self.bytes(run).len());
            return Ok(Some(run));
        }
        self.gather(4, piece);
        let Some(field) = self.gathered.first_chunk() else {
            return Ok(None);
        };
        if *field == TERMINATOR {
            self.give(4);
            return Ok(Some(Item::Terminator));
        }
        let field = i32::from_le_bytes(*field);
        let length = document_length(field).ok_or(Fault::Length(field))?;
        self.gather(length, piece);
        if self.gathered.len() < length {
            return Ok(None);
        }
        match self.gathered.last() {
            Some(0) => {
                self.give(length);
                Ok(Some(Item::Gathered))
            }
            _ => Err(Fault::Unterminated),
        }
    }

    /// Takes from `piece` what is missing to `length` bytes, as far as it is there. Allocates no
    /// more than twice what has come.
    fn gather(&mut self, length: usize, piece: &mut &[u8]) {
        let missing = length.saturating_sub(self.gathered.len());
        let there = missing.min(piece.len());
        self.gathered
            .extend_from_slice(take(piece, there).unwrap_or_default());
    }

    fn give(&mut self, length: usize) {
        self.advance(length);
        self.is_given = true;
    }

    fn advance(&mut self, length: usize) {
        self.item_offset = self.offset;
        self.offset = self.offset.saturating_add(length as u64);
    }
}

impl Fault {
    /// The error that this is at byte `offset`, where `inside` was read.
    pub(super) fn at(self, offset: u64, inside: ArchivePart) -> ArchiveError {
        match self {
            Self::Length(length) => ArchiveError::Length {
                offset,
                inside,
                length,
            },
            Self::Unterminated => ArchiveError::Unterminated { offset, inside },
        }
    }
}

/// Takes `length` bytes from the front of `piece`, if it has so many.
fn take<'piece>(piece: &mut &'piece [u8], length: usize) -> Option<&'piece [u8]> {
    let (taken, rest) = piece.split_at_checked(length)?;
    *piece = rest;
    Some(taken)
}

/// Takes the documents at the front of `piece`, at most `most`, whose frames are sound.
fn run<'piece>(piece: &mut &'piece [u8], most: u64) -> Option<Item<'piece>> {
    let (mut length, mut documents) = (0_usize, 0_u64);
    while documents < most
        && let Some(document) = piece.get(length..).and_then(whole_document)
    {
        length = length.saturating_add(document);
        documents = documents.saturating_add(1);
    }
    let bytes = take(piece, length)?;
    (documents > 0).then_some(Item::Run { bytes, documents })
}

/// The length of the document at the front of `bytes`, if all of it is there and its frame is sound.
fn whole_document(bytes: &[u8]) -> Option<usize> {
    let length = document_length(i32::from_le_bytes(*bytes.first_chunk()?))?;
    (bytes.get(..length)?.last() == Some(&0)).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::MAX_DOCUMENT_BYTES;

    #[test]
    fn nothing_is_allocated_for_bytes_that_have_not_come() {
        let claim = i32::try_from(MAX_DOCUMENT_BYTES).unwrap().to_le_bytes();
        let mut input = Input::default();
        for mut piece in [claim.as_slice(), &[7; 1000]] {
            assert!(input.item(&mut piece, u64::MAX).unwrap().is_none());
        }
        assert!(input.gathered.capacity() < 4 * 1004);
        assert_eq!(input.offset_inside_item(), Some(1004));
    }
}
