//! The archive of mongodump: all namespaces of a dump in one stream.
//!
//! The authority is `common/archive/spec.md` of the MongoDB Database Tools; `docs/format.md`,
//! *Archive*, has what is to be said beyond it.
//!
//! ```text
//! archive  = 6D E2 99 81, prelude, block*
//! prelude  = header of the archive, metadata of a collection*, FF FF FF FF
//! block    = header that names a namespace, document*, FF FF FF FF
//!          | header that ends a namespace, FF FF FF FF
//! ```
//!
//! Headers and metadata are documents, too. Blocks of namespaces alternate in any order. The header
//! that ends a namespace has the [`Crc64`] of all its documents.
//!
//! Nothing here compresses: a compressed archive is gzip members or zstd frames that hold these
//! bytes, cut anywhere. Offsets count bytes of the archive before compression.

mod crc64;
mod decoder;
mod error;
mod fields;
mod header;
mod listing;
mod prelude;
#[cfg(test)]
mod tests;
mod writer;

pub use crc64::Crc64;
pub use decoder::{ArchiveDecoder, ArchiveEvent};
pub use error::{ArchiveError, ArchivePart, ArchiveWriteError};
pub use prelude::{ArchiveMetadata, ArchivePrelude};
pub use writer::ArchiveWriter;

/// What an archive starts with: 0x8199E26D, little-endian.
const MAGIC: [u8; 4] = 0x8199_E26D_u32.to_le_bytes();

/// What ends the prelude and every block.
const TERMINATOR: [u8; 4] = [0xFF; 4];

/// The one version of the format that there has ever been.
const FORMAT_VERSION: &str = "0.1";
