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

use tar::{EntryType, Header};
use thiserror::Error;

/// The length of a header, and what the length of every object is filled up to, in bytes.
pub const BLOCK_BYTES: usize = 512;

/// The longest object that a header can tell of, in bytes: one less than 8 GiB.
pub const MAX_ENTRY_BYTES: u64 = (8 << 30) - 1;

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 100;
/// What all tars of today have, those of GNU too, and where.
const ANY_USTAR: (usize, &[u8]) = (257, b"ustar");

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
        if self.path.len() > MAX_PATH_BYTES || self.stored_bytes > MAX_ENTRY_BYTES {
            return Err(BundleError::TooLong {
                path: self.path.clone(),
                stored_bytes: self.stored_bytes,
            });
        }
        let modified = Some(modified_seconds).filter(|it| *it <= MAX_ENTRY_BYTES);
        let mut header = Header::new_ustar();
        let name = header.as_old_mut().name.iter_mut();
        name.zip(self.path.as_bytes())
            .for_each(|(to, from)| *to = *from);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(self.stored_bytes);
        header.set_mtime(modified.unwrap_or_default());
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        Ok(*header.as_bytes())
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
        let header = Header::from_byte_slice(header);
        let mut right = header.clone();
        right.set_cksum();
        if header.cksum().ok() != right.cksum().ok() {
            return Err(BundleError::Checksum);
        }
        let ustar = header.as_ustar().ok_or(BundleError::Magic)?;
        if ustar.prefix.iter().any(|byte| *byte != 0) {
            return Err(BundleError::Magic);
        }
        let path = String::from_utf8(header.path_bytes().into_owned());
        let path = path.map_err(|_not_text| BundleError::Name)?;
        // Old files have another byte for the same.
        let [kind] = ustar.typeflag;
        if kind != EntryType::Regular.as_byte() {
            let kind = kind.into();
            return Err(BundleError::NoPlainFile { path, kind });
        }
        // Other tars have other numbers too.
        let digits = ustar.size.strip_suffix(b"\0");
        let is_octal = |digits: &[u8]| digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
        match header.entry_size() {
            Ok(stored_bytes) if digits.is_some_and(is_octal) => {
                Ok(Some(Self { path, stored_bytes }))
            }
            _ => Err(BundleError::Length { path }),
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
    let (at, magic) = ANY_USTAR;
    start.get(at..).is_some_and(|rest| rest.starts_with(magic))
}
