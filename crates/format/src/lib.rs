//! What the bytes of a MongoDB dump mean: names, documents, segments, metadata, manifest.
//!
//! Everything here is pure: no files, no network, no clock, no driver. The same bytes give the same
//! values, and no input makes it panic, overflow its stack or allocate more than the input accounts
//! for. The byte layouts are specified in `docs/format.md`; each module points at its section.
//!
//! | module | what it knows |
//! |---|---|
//! | [`namespace`] | databases, collections and which of their names are legal |
//! | [`file_name`] | which file of a dump folder holds which collection |
//! | [`framing`], [`validate`](mod@validate) | where a document ends, and whether its inside is sound |
//! | [`element`] | the elements of a document, one after another |
//! | [`codec`], [`digest`], [`segment`] | how documents are packed, compressed and checked |
//! | [`ext_json`], [`metadata`], [`prelude`](mod@prelude) | the JSON files beside the data |
//! | [`archive`] | the one stream of mongodump that holds everything |
//! | [`manifest`] | the list of everything in a folder, with sizes, counts and digests |
//! | [`repository`] | snapshots: their manifests and catalogs |
//! | [`select`], [`remap`] | which namespaces are meant, and what they are called after a restore |
//!
//! # Examples
//!
//! Packing documents into a segment, and reading it back against its record:
//!
//! ```
//! use rdump_format::{Codec, Compression, Compressor, Digester, SegmentBuilder, SegmentRecord};
//!
//! let mut builder = SegmentBuilder::new(8 * 1024 * 1024);
//! builder.push(bson::rawdoc! { "_id": 1 }.as_bytes())?;
//! let segment = builder.finish().expect("a document was pushed");
//!
//! let mut compressor = Compressor::new(Compression::ZSTD)?;
//! let stored = segment.seal(&mut compressor, Vec::new())?;
//! let bytes = segment.body.len() as u64;
//! let record = SegmentRecord::of(segment.documents, bytes, &stored, &mut Digester::new());
//!
//! let mut documents = Vec::new();
//! record.open(Codec::Zstd, &stored, &mut Digester::new(), &mut documents)?;
//! assert_eq!(documents, segment.body);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]
mod arbitrary;
pub mod archive;
pub mod authorization;
pub mod bundle;
pub mod codec;
pub mod digest;
pub mod element;
pub mod ext_json;
pub mod file_name;
mod frame;
pub mod framing;
pub mod manifest;
pub mod metadata;
pub mod namespace;
pub mod optime;
pub mod prelude;
pub mod remap;
pub mod repository;
pub mod segment;
pub mod select;
pub mod validate;

pub use archive::{
    ArchiveDecoder, ArchiveError, ArchiveEvent, ArchiveMetadata, ArchivePart, ArchivePrelude,
    ArchiveWriteError, ArchiveWriter, Crc64,
};
pub use authorization::Authorization;
pub use bundle::{BLOCK_BYTES, BundleEntry, BundleError, MAX_ENTRY_BYTES, is_tar};
pub use codec::{
    Codec, CodecError, Compression, Compressor, decoder, decompress, first_zstd_frame,
};
pub use digest::{Digest, DigestError, Digester};
pub use ext_json::ExtJsonError;
pub use file_name::{
    FileKind, FileName, FileNameError, data_file, escape, metadata_file, oplog_file, stem, unescape,
};
pub use framing::{
    DocumentReader, Documents, FrameError, MAX_DOCUMENT_BYTES, check_document, documents,
};
pub use manifest::{
    FileRecord, FileRole, FolderManifest, FormatVersion, MANIFEST_FILE, MAX_MANIFEST_BYTES,
    ManifestError, RunRecord, SourceRecord, UNFINISHED_FILE, VersionError,
};
pub use metadata::{CollectionMetadata, MAX_METADATA_BYTES, MetadataError};
pub use namespace::{
    BUCKETS_PREFIX, CONFIG_COLLECTIONS, INTERNAL_DATABASE_PREFIX, NameError, Namespace,
    RESTORES_DATABASE, check_collection_argument, check_collection_name, check_database_name,
};
pub use optime::{OpTime, OpTimeError, OpTimeLimit};
pub use prelude::{PRELUDE_FILE, Prelude, PreludeError};
pub use remap::Remap;
pub use segment::{MAX_SEGMENT_BYTES, Segment, SegmentBuilder, SegmentError, SegmentRecord};
pub use select::{Pattern, PatternError, Selector};
pub use validate::{InvalidBson, validate};
