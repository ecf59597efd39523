//! How data files are compressed: not at all, as gzip members, or as zstd frames.
//!
//! Data is compressed in *pieces*, one per segment, each of which can be decompressed by itself:
//! gzip members and zstd frames. Their concatenation is an ordinary `.gz` or `.zst` file. See
//! `docs/format.md`, *Compression*.

mod compression;
mod compressor;
mod decompress;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

pub use compression::Compression;
pub use compressor::Compressor;
pub use decompress::{decoder, decompress, first_zstd_frame};

/// The compressed form of a file, as its name shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new codec is a new format version, and no match may overlook it"
)]
pub enum Codec {
    /// Plain bytes.
    #[default]
    None,
    /// Gzip members, [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952).
    Gzip,
    /// Zstandard frames, [RFC 8878](https://www.rfc-editor.org/rfc/rfc8878).
    Zstd,
}

impl Codec {
    /// What it adds to the name of a file: nothing, `.gz` or `.zst`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The codec of a file that starts with `bytes`, by its magic number.
    #[must_use]
    pub fn detect(bytes: &[u8]) -> Self {
        match bytes {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The codec of BSON documents that start with `bytes`, of which [`START_BYTES`](Self::START_BYTES) are enough.
    ///
    /// A document of 559,903 bytes begins like gzip. It is told apart by its first field, `_id`, or by what no gzip member
    /// has in its place; where neither says so it is gzip.
    #[must_use]
    pub fn detect_documents(bytes: &[u8]) -> Self {
        match bytes {
            // The method is deflate, and nothing optional follows. No field is of type 0.
            [0x1F, 0x8B, 8, 0, 0, ..] => Self::Gzip,
            [0x1F, 0x8B, 8, 0, _, b'_', b'i', b'd', 0, ..] => Self::None,
            // How hard it was compressed: 0 if that is not said.
            [0x1F, 0x8B, 8, 0, _, _, _, _, 0 | 2 | 4, ..] => Self::Gzip,
            [0x1F, 0x8B, 8, 0, ..] => Self::None,
            // With anything optional the length is more than documents can have.
            [0x1F, 0x8B, 8, ..] => Self::Gzip,
            [0x1F, 0x8B, ..] => Self::None,
            _ => Self::detect(bytes),
        }
    }

    /// How many bytes [`detect_documents`](Self::detect_documents) looks at.
    pub const START_BYTES: usize = 9;

    /// How to compress what few bytes come along with data of this codec.
    #[must_use]
    pub fn default_compression(self) -> Compression {
        match self {
            Self::None => Compression::None,
            Self::Gzip => Compression::GZIP,
            Self::Zstd => Compression::ZSTD,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Why bytes could not be compressed or decompressed. The caller knows which file they belong to.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum CodecError {
    #[error(
        "unknown compression {text:?}: use none, gzip, gzip:1 to gzip:9, zstd, or zstd:1 to zstd:19"
    )]
    UnknownCompression { text: String },
    #[error("{codec} has no level {level}: use 1 to {highest}")]
    Level {
        codec: Codec,
        level: u8,
        highest: u8,
    },
    #[error("cannot set up {codec}")]
    Setup { codec: Codec, source: io::Error },
    #[error("cannot compress {bytes} bytes as {codec}")]
    Compress {
        codec: Codec,
        bytes: usize,
        source: io::Error,
    },
    #[error("{stored_bytes} bytes are not sound {codec} data")]
    Damaged {
        codec: Codec,
        stored_bytes: usize,
        source: io::Error,
    },
    #[error("{stored_bytes} bytes of {codec} data do not hold {expected} bytes: {found}")]
    Length {
        codec: Codec,
        stored_bytes: usize,
        expected: u64,
        found: &'static str,
    },
    #[error("no memory for {bytes} decompressed bytes")]
    OutOfMemory { bytes: u64 },
}
