//! Where one BSON document ends and the next begins.
//!
//! | offset | bytes | meaning |
//! |---|---|---|
//! | 0 | 4 | length of the whole document, little-endian `i32`, these four bytes included |
//! | 4 | length − 5 | elements |
//! | length − 1 | 1 | terminator, 0 |
//!
//! Only length and terminator are looked at here; the inside is for
//! [`validate`](crate::validate()).

#[cfg(test)]
mod tests;

use std::io::{self, Read};

/// The longest document that is read, in bytes: 16 MiB and 16 KiB.
///
/// 16 MiB is the limit for documents of users. Servers allow 16 KiB on top for their own, such as
/// oplog entries and the buckets of time-series collections, and dump tools meet those.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024 + 16 * 1024;

/// The shortest document: its length and its terminator.
const MIN_DOCUMENT_BYTES: usize = 5;

/// Why bytes are not a sequence of documents. Offsets count bytes from the start of the input.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum FrameError {
    #[error(
        "document at byte {offset} claims to be {length} bytes long, and 5 to {MAX_DOCUMENT_BYTES} are possible"
    )]
    Length { offset: u64, length: i32 },
    #[error("input ends inside the document at byte {offset}, {present} bytes into it")]
    Truncated { offset: u64, present: usize },
    #[error("document at byte {offset} does not end with a zero byte")]
    Unterminated { offset: u64 },
    #[error("document at byte {offset} claims to be {length} bytes long, but is {present}")]
    WrongLength {
        offset: u64,
        length: usize,
        present: usize,
    },
    #[error("cannot read the document at byte {offset}")]
    Read { offset: u64, source: io::Error },
}

/// Reads documents one after another, as a `.bson` file holds them.
///
/// # Examples
///
/// ```
/// use rdump_format::DocumentReader;
///
/// let file = [5, 0, 0, 0, 0, 5, 0, 0, 0, 0];
/// let mut reader = DocumentReader::new(file.as_slice());
/// let mut document = Vec::new();
/// while let Some(length) = reader.read_into(&mut document)? {
///     assert_eq!(length, document.len());
///     document.clear();
/// }
/// assert_eq!(reader.offset(), 10);
/// # Ok::<(), rdump_format::FrameError>(())
/// ```
#[derive(Debug)]
pub struct DocumentReader<R: Read> {
    input: R,
    offset: u64,
}

impl<R: Read> DocumentReader<R> {
    /// Reads from where `input` stands. Give it something buffered: each document takes two reads.
    pub fn new(input: R) -> Self {
        Self { input, offset: 0 }
    }

    /// Bytes read so far, up to the end of the last whole document.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends the next document to `out` and returns its length in bytes; `None` at a clean end.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when the length is impossible, the terminator is missing, the input ends
    /// inside the document or cannot be read. `out` is then as it was before, and the reader stands
    /// at no particular place.
    pub fn read_into(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>, FrameError> {
        let start = out.len();
        let read = self.append(out);
        match read {
            Ok(Some(length)) => self.offset = self.offset.saturating_add(length as u64),
            Ok(None) => {}
            Err(_) => out.truncate(start),
        }
        read
    }

    fn append(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>, FrameError> {
        let offset = self.offset;
        let mut field = [0; 4];
        let present = self.read_length(&mut field)?;
        match present {
            0 => return Ok(None),
            4 => {}
            _ => return Err(FrameError::Truncated { offset, present }),
        }
        let length = check_length(i32::from_le_bytes(field), offset)?;

        let rest = length.saturating_sub(field.len());
        out.reserve(length);
        out.extend_from_slice(&field);
        let read = self
            .input
            .by_ref()
            .take(rest as u64)
            .read_to_end(out)
            .map_err(|source| FrameError::Read { offset, source })?;
        if read < rest {
            return Err(FrameError::Truncated {
                offset,
                present: field.len().saturating_add(read),
            });
        }
        match out.last() {
            Some(0) => Ok(Some(length)),
            _ => Err(FrameError::Unterminated { offset }),
        }
    }

    /// Fills `field` unless the input ends before, and returns how much of it is filled.
    fn read_length(&mut self, field: &mut [u8; 4]) -> Result<usize, FrameError> {
        let mut present: usize = 0;
        while let Some(rest @ [_, ..]) = field.get_mut(present..) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(read) => present = present.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(FrameError::Read {
                        offset: self.offset,
                        source,
                    });
                }
            }
        }
        Ok(present)
    }
}

/// Splits `body` into its documents. Ends after the first error.
pub fn documents(body: &[u8]) -> Documents<'_> {
    Documents {
        rest: body,
        offset: 0,
    }
}

/// The documents of a byte slice, made by [`documents`].
#[derive(Clone, Debug)]
pub struct Documents<'a> {
    rest: &'a [u8],
    offset: u64,
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a [u8], FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let truncated = FrameError::Truncated {
            offset: self.offset,
            present: rest.len(),
        };
        let Some(field) = rest.first_chunk() else {
            return Some(Err(truncated));
        };
        let length = match check_length(i32::from_le_bytes(*field), self.offset) {
            Ok(length) => length,
            Err(error) => return Some(Err(error)),
        };
        let Some((document, rest)) = rest.split_at_checked(length) else {
            return Some(Err(truncated));
        };
        if document.last() != Some(&0) {
            return Some(Err(FrameError::Unterminated {
                offset: self.offset,
            }));
        }
        self.rest = rest;
        self.offset = self.offset.saturating_add(length as u64);
        Some(Ok(document))
    }
}

/// Checks that `doc` is one whole document: length, terminator, nothing before or after.
///
/// # Errors
///
/// [`FrameError`] with offset 0.
pub fn check_document(doc: &[u8]) -> Result<(), FrameError> {
    let present = doc.len();
    let Some(field) = doc.first_chunk() else {
        return Err(FrameError::Truncated { offset: 0, present });
    };
    let length = check_length(i32::from_le_bytes(*field), 0)?;
    if length != present {
        return Err(FrameError::WrongLength {
            offset: 0,
            length,
            present,
        });
    }
    match doc.last() {
        Some(0) => Ok(()),
        _ => Err(FrameError::Unterminated { offset: 0 }),
    }
}

fn check_length(length: i32, offset: u64) -> Result<usize, FrameError> {
    document_length(length).ok_or(FrameError::Length { offset, length })
}

/// The length in bytes that a length field claims, if documents can have it.
pub(crate) fn document_length(field: i32) -> Option<usize> {
    let length = usize::try_from(field).ok()?;
    (MIN_DOCUMENT_BYTES..=MAX_DOCUMENT_BYTES)
        .contains(&length)
        .then_some(length)
}
