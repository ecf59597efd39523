//! What an archive holds, from its bytes as they come.

mod input;

use std::mem;

use input::{Input, Item};

use super::error::{ArchiveError, ArchivePart};
use super::header::BlockHeader;
use super::listing::{Listing, Progress};
use super::prelude::{ArchiveMetadata, ArchivePrelude};
use super::{Crc64, MAGIC};
use crate::namespace::Namespace;

/// What stands in an archive, in its order.
#[derive(Debug, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "no match may overlook a part of an archive"
)]
pub enum ArchiveEvent<'a> {
    /// The prelude, first of all. The numbers of all further events are indexes into its
    /// `collections`.
    Prelude(ArchivePrelude),
    /// A block of a namespace begins: documents of it, maybe none, and then its end, or a block of
    /// another one.
    Block {
        /// Which collection of the prelude it belongs to.
        collection: usize,
        /// Where the documents were: the namespace of the collection, or that of its buckets.
        namespace: &'a Namespace,
    },
    /// Whole documents of the namespace whose block has begun.
    Documents {
        /// Which collection of the prelude they belong to.
        collection: usize,
        /// How many they are, at least one.
        documents: u64,
        /// The documents, one after another.
        bytes: &'a [u8],
    },
    /// A namespace ends, and the checksum of all its documents was right.
    End {
        /// Which collection of the prelude it belongs to.
        collection: usize,
        /// Where the documents were: the namespace of the collection, or that of its buckets.
        namespace: &'a Namespace,
    },
}

/// Reads an archive from pieces of any length, cut anywhere. No I/O: whoever has the bytes hands
/// them over.
///
/// Of documents only length and last byte are looked at; the checksum is compared for every
/// namespace, whether or not anyone wants it. Documents are handed on where they lie, as many at a
/// time as a piece holds; only one that is cut between pieces is copied. Memory: twice what has come
/// of such a document, the names in the prelude, and until it is handed on, all of the prelude.
///
/// # Examples
///
/// ```
/// use rdump_format::{ArchiveDecoder, ArchiveError, ArchiveEvent};
///
/// /// Counts the documents of an archive.
/// fn count<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<u64, ArchiveError> {
///     let mut decoder = ArchiveDecoder::new();
///     let mut count = 0;
///     for mut piece in pieces {
///         while let Some(event) = decoder.decode(&mut piece)? {
///             if let ArchiveEvent::Documents { documents, .. } = event {
///                 count += documents;
///             }
///         }
///     }
///     decoder.finish()?;
///     Ok(count)
/// }
///
/// let error = count([b"\x6D\xE2".as_slice(), b"\x99"].into_iter()).unwrap_err();
/// assert_eq!(error.to_string(), "archive ends at byte 3, inside the magic number");
/// ```
#[derive(Debug, Default)]
pub struct ArchiveDecoder {
    input: Input,
    listing: Listing,
    state: State,
}

/// What comes next.
#[derive(Debug, Default)]
enum State {
    #[default]
    Magic,
    Header,
    /// Metadata, of which the prelude has what was read.
    Metadata(ArchivePrelude),
    BlockHeader,
    /// Documents of the collection of this number.
    Block(usize),
    /// The terminator after the header that ended the collection of this number.
    End(usize),
    /// Nothing, after an error.
    Failed,
}

impl ArchiveDecoder {
    /// Starts before the first byte of an archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `piece` up to the next event; `None` once all of them are
    /// taken. The next piece then is what follows in the archive.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] for the first thing that an archive cannot have at its place. The documents
    /// before it were handed on. There is no reading on: any further call gives
    /// [`ArchiveError::AfterError`].
    pub fn decode<'a, 'piece: 'a>(
        &'a mut self,
        piece: &mut &'piece [u8],
    ) -> Result<Option<ArchiveEvent<'a>>, ArchiveError> {
        loop {
            let Some((state, item)) = self.item(piece)? else {
                return Ok(None);
            };
            let offset = self.input.item_offset();
            match (state, item) {
                (State::Metadata(prelude), Item::Terminator) => {
                    self.state = State::BlockHeader;
                    return Ok(Some(ArchiveEvent::Prelude(prelude)));
                }
                (State::Block(_) | State::End(_), Item::Terminator) => {
                    self.state = State::BlockHeader;
                }
                (state, Item::Terminator) => {
                    let expected = self.part(&state);
                    return Err(ArchiveError::NoHeader { offset, expected });
                }
                // The first and the last of these never come out of `item`.
                (State::Magic | State::Header | State::Failed, header) => {
                    let header = self.input.bytes(header);
                    self.state = State::Metadata(ArchivePrelude::decode(header, offset)?);
                }
                (State::Metadata(mut prelude), metadata) => {
                    let metadata = ArchiveMetadata::decode(self.input.bytes(metadata), offset)?;
                    match self.listing.add(&metadata) {
                        Ok(()) => prelude.collections.push(metadata),
                        Err(listed) if prelude.collections.get(listed) == Some(&metadata) => {}
                        Err(_) => {
                            let namespace = Box::new(metadata.namespace);
                            return Err(ArchiveError::ListedTwice { offset, namespace });
                        }
                    }
                    self.state = State::Metadata(prelude);
                }
                (State::BlockHeader, header) => {
                    let header = BlockHeader::decode(self.input.bytes(header), offset)?;
                    return self.enter(&header, offset).map(Some);
                }
                (State::Block(collection), run) => {
                    let documents = run.documents();
                    let bytes = self.input.bytes(run);
                    if let Progress::Open(crc) = &mut self.listing.get_mut(collection).progress {
                        crc.update(bytes);
                    }
                    self.state = State::Block(collection);
                    return Ok(Some(ArchiveEvent::Documents {
                        collection,
                        documents,
                        bytes,
                    }));
                }
                (State::End(collection), _) => {
                    let namespace = Box::new(self.listing.get(collection).namespace.clone());
                    return Err(ArchiveError::DocumentAfterEnd { offset, namespace });
                }
            }
        }
    }

    /// Checks that the archive may end here, as it does when there is no further piece.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Truncated`] inside the prelude or a block, [`ArchiveError::Unended`] and
    /// [`ArchiveError::Unseen`] with the namespaces that have no end or nothing at all.
    pub fn finish(self) -> Result<(), ArchiveError> {
        let inside_item = self.input.offset_inside_item();
        let offset = inside_item.unwrap_or(self.input.offset());
        match &self.state {
            State::Failed => return Err(ArchiveError::AfterError { offset }),
            State::BlockHeader if inside_item.is_none() => {}
            state => {
                let inside = self.part(state);
                return Err(ArchiveError::Truncated { offset, inside });
            }
        }
        let namespaces = self
            .listing
            .select(|progress| matches!(progress, Progress::Open(_)));
        if !namespaces.is_empty() {
            return Err(ArchiveError::Unended { offset, namespaces });
        }
        let namespaces = self
            .listing
            .select(|progress| matches!(progress, Progress::Unseen));
        if !namespaces.is_empty() {
            return Err(ArchiveError::Unseen { offset, namespaces });
        }
        Ok(())
    }

    /// The next document or terminator, and the state that it comes in; `None` once all of `piece`
    /// is taken. The state that is left behind is a failed one, until another takes its place.
    fn item<'piece>(
        &mut self,
        piece: &mut &'piece [u8],
    ) -> Result<Option<(State, Item<'piece>)>, ArchiveError> {
        let state = match mem::replace(&mut self.state, State::Failed) {
            State::Magic => match self.input.magic(piece) {
                Some(MAGIC) => State::Header,
                Some(found) => {
                    let found = u32::from_le_bytes(found);
                    return Err(ArchiveError::BadMagic { found });
                }
                None => {
                    self.state = State::Magic;
                    return Ok(None);
                }
            },
            State::Failed => {
                let offset = self.input.offset();
                return Err(ArchiveError::AfterError { offset });
            }
            state => state,
        };
        let most = if matches!(state, State::Block(_)) {
            u64::MAX
        } else {
            1
        };
        match self.input.item(piece, most) {
            Ok(Some(item)) => Ok(Some((state, item))),
            Ok(None) => {
                self.state = state;
                Ok(None)
            }
            Err(fault) => Err(fault.at(self.input.offset(), self.part(&state))),
        }
    }

    /// Goes into the block that `header`, at byte `offset`, begins.
    fn enter(
        &mut self,
        header: &BlockHeader,
        offset: u64,
    ) -> Result<ArchiveEvent<'_>, ArchiveError> {
        let namespace = || Box::new(header.namespace.clone());
        let Some(collection) = self.listing.number(&header.namespace) else {
            let namespace = namespace();
            return Err(ArchiveError::NoMetadata { offset, namespace });
        };
        let listed = self.listing.get_mut(collection);
        if let Progress::Unseen = listed.progress {
            listed.progress = Progress::Open(Crc64::new());
        }
        let Progress::Open(crc) = &listed.progress else {
            let namespace = namespace();
            return Err(ArchiveError::HeaderAfterEnd { offset, namespace });
        };
        let Some(recorded) = header.end else {
            self.state = State::Block(collection);
            return Ok(ArchiveEvent::Block {
                collection,
                namespace: &listed.namespace,
            });
        };
        let actual = crc.value();
        if actual != recorded {
            return Err(ArchiveError::Checksum {
                offset,
                namespace: namespace(),
                recorded,
                actual,
            });
        }
        listed.progress = Progress::Ended;
        self.state = State::End(collection);
        Ok(ArchiveEvent::End {
            collection,
            namespace: &listed.namespace,
        })
    }

    /// Where `state` is, for messages.
    fn part(&self, state: &State) -> ArchivePart {
        let namespace =
            |collection: &usize| Box::new(self.listing.get(*collection).namespace.clone());
        match state {
            State::Magic => ArchivePart::Magic,
            State::Header => ArchivePart::Header,
            State::Metadata(_) => ArchivePart::Metadata,
            State::BlockHeader | State::Failed => ArchivePart::BlockHeader,
            State::Block(collection) => ArchivePart::Block(namespace(collection)),
            State::End(collection) => ArchivePart::End(namespace(collection)),
        }
    }
}
