//! The version of the format, and which versions this build can read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The version of the format of manifests and what they describe, written `major.minor`.
///
/// A minor version adds something that older builds must not overlook, a major version changes what
/// was there. This build reads its own major version up to its own minor one, and refuses the rest
/// rather than lose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub struct FormatVersion {
    /// Grows when older data needs other code.
    pub major: u16,
    /// Grows when something is added.
    pub minor: u16,
}

impl FormatVersion {
    /// The version that this build writes. 1.1 added [`BegunRecord::captured_from`](crate::repository::BegunRecord::captured_from); 1.0 was the first.
    pub const CURRENT: Self = Self { major: 1, minor: 1 };

    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Refuses what this build cannot read in full.
    ///
    /// # Errors
    ///
    /// [`VersionError::TooNew`] or [`VersionError::TooOld`].
    pub fn check_readable(self) -> Result<(), VersionError> {
        match self {
            found if found > Self::CURRENT => Err(VersionError::TooNew { found }),
            found if found.major < Self::CURRENT.major => Err(VersionError::TooOld { found }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for FormatVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let parsed = text
            .split_once('.')
            .and_then(|(major, minor)| {
                Some(Self {
                    major: major.parse().ok()?,
                    minor: minor.parse().ok()?,
                })
            })
            .filter(|version| version.to_string() == text);
        parsed.ok_or_else(|| VersionError::NotAVersion {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for FormatVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<FormatVersion> for String {
    fn from(version: FormatVersion) -> Self {
        version.to_string()
    }
}

/// Why a version cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum VersionError {
    #[error(
        "format version {found} is newer than {}, the newest that this release reads: use a newer release",
        FormatVersion::CURRENT
    )]
    TooNew { found: FormatVersion },
    #[error("format version {found} is older than {}.0, the oldest that this release reads: use an older release", FormatVersion::CURRENT.major)]
    TooOld { found: FormatVersion },
    #[error("{text:?} is not a format version: `major.minor` is one")]
    NotAVersion { text: String },
}
