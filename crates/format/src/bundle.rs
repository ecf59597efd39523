//! The entries of a bundle, which is a snapshot as one tar stream.
//!
//! Of tar there is no more in a bundle than plain files with short names, each of which is an object of the repository:
//!
//! ```text
//! header    512 bytes: name, length, checksum; see below
//! object    so many bytes, and zeros up to a multiple of 512
//! ...
//! end       2 × 512 zeros
//! ```
//!
//! | bytes of the header | what |
//! |---|---|
//! | 0–99 | the path in the repository, and zeros |
//! | 124–135 | the length, eleven octal digits and a zero |
//! | 148–155 | the checksum: the sum of all bytes, as if these eight were spaces |
//! | 156 | `0`: a plain file |
//! | 257–264 | `ustar`, a zero, `00` |
//! | 345–499 | zeros |
//!
//! Whoever reads looks at nothing else. Extended headers, which other tars have for long names and much besides, are no plain
//! files, and so are refused before anything of them is read. See `docs/format.md`, *Bundle*.

#[cfg(test)]
mod tests;

use thiserror::Error;

/// The length of a header, and what the length of every object is filled up to, in bytes.
pub const BLOCK_BYTES: usize = 512;

/// The longest object that a header can tell of, in bytes: one less than 8 GiB.
pub const MAX_ENTRY_BYTES: u64 = (8 << 30) - 1;

const NAME: Field = Field(0, 100);
const MODE: Field = Field(100, 8);
const OWNER: Field = Field(108, 8);
const GROUP: Field = Field(116, 8);
const LENGTH: Field = Field(124, 12);
const MODIFIED: Field = Field(136, 12);
const CHECKSUM: Field = Field(148, 8);
const KIND: Field = Field(156, 1);
const MAGIC: Field = Field(257, 8);
/// What comes before a name that is longer than any of ours.
const PREFIX: Field = Field(345, 155);

const PLAIN_FILE: u8 = b'0';
const USTAR: &[u8] = b"ustar\x0000";
/// What all tars of today have there, those of GNU too.
const ANY_USTAR: &[u8] = b"ustar";

/// A part of a header: where it starts, and how long it is.
#[derive(Clone, Copy)]
struct Field(usize, usize);

/// An object in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleEntry {
    /// Its path in the repository.
    pub path: String,
    /// Its length, in bytes.
    pub stored_bytes: u64,
}

/// Why bytes are no header of an entry, or there can be none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum BundleError {
    #[error("this is no tar, or it is damaged: the checksum of a header is wrong")]
    Checksum,
    #[error("this is no tar as a bundle is one")]
    Magic,
    #[error("{path:?} is no plain file but an entry of type {kind:?}")]
    NoPlainFile { path: String, kind: char },
    #[error("the name of an entry is not text")]
    Name,
    #[error("the length of {path:?} is not eleven octal digits")]
    Length { path: String },
    #[error("a tar has no room for {path:?} of {stored_bytes} bytes")]
    TooLong { path: String, stored_bytes: u64 },
}

impl BundleEntry {
    /// An object.
    pub fn new(path: impl Into<String>, stored_bytes: u64) -> Self {
        let path = path.into();
        Self { path, stored_bytes }
    }

    /// The header of the entry, last changed so many seconds after 1970 began, or when it did if that is no moment for a tar.
    ///
    /// # Errors
    ///
    /// [`BundleError::TooLong`] if the path has more than 100 bytes or the object more than [`MAX_ENTRY_BYTES`].
    pub fn to_header(&self, modified_seconds: u64) -> Result<[u8; BLOCK_BYTES], BundleError> {
        if self.path.len() > NAME.1 || self.stored_bytes > MAX_ENTRY_BYTES {
            return Err(BundleError::TooLong {
                path: self.path.clone(),
                stored_bytes: self.stored_bytes,
            });
        }
        let modified = Some(modified_seconds).filter(|it| *it <= MAX_ENTRY_BYTES);
        let mut header = [0; BLOCK_BYTES];
        NAME.put(&mut header, self.path.as_bytes());
        MODE.put(&mut header, b"0000644");
        OWNER.put(&mut header, b"0000000");
        GROUP.put(&mut header, b"0000000");
        let length = format!("{:011o}", self.stored_bytes);
        LENGTH.put(&mut header, length.as_bytes());
        let modified = format!("{:011o}", modified.unwrap_or_default());
        MODIFIED.put(&mut header, modified.as_bytes());
        KIND.put(&mut header, &[PLAIN_FILE]);
        MAGIC.put(&mut header, USTAR);
        let checksum = format!("{:06o}\0 ", checksum(&header));
        CHECKSUM.put(&mut header, checksum.as_bytes());
        Ok(header)
    }

    /// The entry that a header is of; `None` for zeros, which are the end of a tar.
    ///
    /// # Errors
    ///
    /// [`BundleError`] for anything but a plain file under a short name.
    pub fn from_header(header: &[u8; BLOCK_BYTES]) -> Result<Option<Self>, BundleError> {
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // Some end it by a zero, some by a space, some by both.
        let recorded = CHECKSUM.of(header);
        let recorded = recorded.split(|byte| matches!(byte, 0 | b' ')).next();
        if recorded.and_then(octal) != Some(checksum(header)) {
            return Err(BundleError::Checksum);
        }
        if MAGIC.of(header) != USTAR || PREFIX.of(header).iter().any(|byte| *byte != 0) {
            return Err(BundleError::Magic);
        }
        let name = NAME.of(header).split(|byte| *byte == 0).next();
        let path = str::from_utf8(name.unwrap_or_default());
        let path = path.map_err(|_not_text| BundleError::Name)?.to_owned();
        if KIND.of(header) != [PLAIN_FILE] {
            let kind = KIND.of(header).first().copied().unwrap_or_default().into();
            return Err(BundleError::NoPlainFile { path, kind });
        }
        let digits = LENGTH.of(header).strip_suffix(b"\0");
        match digits.and_then(octal) {
            Some(stored_bytes) => Ok(Some(Self { path, stored_bytes })),
            None => Err(BundleError::Length { path }),
        }
    }

    /// How many zeros follow the object.
    #[must_use]
    pub fn padding_bytes(&self) -> usize {
        let block = BLOCK_BYTES as u64;
        let more = self.stored_bytes.next_multiple_of(block);
        // It is less than a block.
        usize::try_from(more.saturating_sub(self.stored_bytes)).unwrap_or_default()
    }
}

/// Whether something that starts so is a tar: this one or another.
#[must_use]
pub fn is_tar(start: &[u8]) -> bool {
    let magic = start.get(MAGIC.0..).unwrap_or_default();
    magic.starts_with(ANY_USTAR)
}

impl Field {
    fn of(self, header: &[u8; BLOCK_BYTES]) -> &[u8] {
        let end = self.0.saturating_add(self.1);
        header.get(self.0..end).unwrap_or_default()
    }

    /// Writes bytes to the front of it.
    fn put(self, header: &mut [u8; BLOCK_BYTES], bytes: &[u8]) {
        let room = header.iter_mut().skip(self.0).take(self.1);
        for (to, from) in room.zip(bytes) {
            *to = *from;
        }
    }
}

/// The sum of all bytes, as if the checksum itself were spaces.
fn checksum(header: &[u8; BLOCK_BYTES]) -> u64 {
    let recorded = CHECKSUM.0..CHECKSUM.0.saturating_add(CHECKSUM.1);
    let bytes = header.iter().enumerate();
    bytes.fold(0, |sum, (at, byte)| {
        let byte = if recorded.contains(&at) { b' ' } else { *byte };
        sum.saturating_add(byte.into())
    })
}

/// What octal digits mean.
fn octal(digits: &[u8]) -> Option<u64> {
    let is_octal = !digits.is_empty() && digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    let digits = str::from_utf8(digits).ok().filter(|_| is_octal)?;
    u64::from_str_radix(digits, 8).ok()
}
