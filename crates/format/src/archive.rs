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

pub use crc64::Crc64;
