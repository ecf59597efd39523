//! What a person asks for: a codec and how hard it should try.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Codec, CodecError};

/// A codec and its level, written `none`, `gzip`, `gzip:9`, `zstd` or `zstd:19`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new codec is a new format version, and no match may overlook it"
)]
pub enum Compression {
    /// Plain bytes.
    #[default]
    None,
    /// Gzip, as mongodump writes it.
    Gzip {
        /// 1 (fast) to 9 (small). `gzip` alone means 6, as mongodump uses.
        level: u8,
    },
    /// Zstandard: smaller than gzip, and several times faster.
    Zstd {
        /// 1 (fast) to 19 (small). `zstd` alone means 1.
        level: u8,
    },
}

impl Compression {
    /// Gzip at level 6.
    pub const GZIP: Self = Self::Gzip { level: 6 };
    /// Zstandard at level 1.
    pub const ZSTD: Self = Self::Zstd { level: 1 };

    /// What files compressed so are to their readers.
    #[must_use]
    pub fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Gzip { .. } => Codec::Gzip,
            Self::Zstd { .. } => Codec::Zstd,
        }
    }

    /// Refuses a level that the codec does not have.
    pub(super) fn check(self) -> Result<(), CodecError> {
        let (level, highest) = match self {
            Self::None => return Ok(()),
            Self::Gzip { level } => (level, 9),
            Self::Zstd { level } => (level, 19),
        };
        if (1..=highest).contains(&level) {
            Ok(())
        } else {
            Err(CodecError::Level {
                codec: self.codec(),
                level,
                highest,
            })
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => f.write_str("none"),
            Self::GZIP => f.write_str("gzip"),
            Self::ZSTD => f.write_str("zstd"),
            Self::Gzip { level } => write!(f, "gzip:{level}"),
            Self::Zstd { level } => write!(f, "zstd:{level}"),
        }
    }
}

impl FromStr for Compression {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        let level = |digits: &str| match digits.parse() {
            Ok(level) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(level),
            _ => None,
        };
        let parsed = match text.split_once(':') {
            None => match text {
                "none" => Some(Self::None),
                "gzip" => Some(Self::GZIP),
                "zstd" => Some(Self::ZSTD),
                _ => None,
            },
            Some(("gzip", digits)) => level(digits).map(|level| Self::Gzip { level }),
            Some(("zstd", digits)) => level(digits).map(|level| Self::Zstd { level }),
            Some(_) => None,
        };
        let compression = parsed.ok_or_else(|| CodecError::UnknownCompression {
            text: text.to_owned(),
        })?;
        compression.check()?;
        Ok(compression)
    }
}

impl TryFrom<String> for Compression {
    type Error = CodecError;

    fn try_from(text: String) -> Result<Self, CodecError> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}
