//! What repositories and snapshots are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{MANIFEST_COPIES, MANIFESTS};

/// Where the objects of snapshots are.
pub const SNAPSHOTS: &str = "snapshots/";

/// Which repository it is: 16 random bytes, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RepositoryId(pub [u8; 16]);

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepositoryId({self})")
    }
}

impl From<RepositoryId> for String {
    fn from(id: RepositoryId) -> Self {
        id.to_string()
    }
}

impl FromStr for RepositoryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 16];
        let decoded = hex::decode_to_slice(text, &mut bytes);
        let id = Self(bytes);
        match decoded {
            Ok(()) if id.to_string() == text => Ok(id),
            _ => Err(IdError {
                text: text.to_owned(),
                expected: "32 lower-case hexadecimal digits",
            }),
        }
    }
}

impl TryFrom<String> for RepositoryId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

/// Which snapshot of a repository it is: when it began, in UTC, to the second and then to the 65,536th part of it in
/// hexadecimal, and two random bytes, such as `20260131T235959Z-0f1e2d3c`. Later ones compare greater.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SnapshotId(String);

impl SnapshotId {
    /// The id of a snapshot that begins at a moment in RFC 3339 and UTC, such as `2026-01-31T23:59:59.123Z`.
    ///
    /// # Errors
    ///
    /// [`IdError`] if that is no such moment.
    pub fn new(started_at: &str, random: [u8; 2]) -> Result<Self, IdError> {
        let mut parts = started_at.split(['.', 'Z']);
        let seconds = parts.next().unwrap_or_default();
        // Nanoseconds, as many digits as are given.
        let digits = parts.next().unwrap_or_default().bytes().chain([b'0'; 9]);
        let nanoseconds = digits.take(9).fold(0_u64, |number, digit| {
            let digit = u64::from(digit.saturating_sub(b'0').min(9));
            number.saturating_mul(10).saturating_add(digit)
        });
        let fraction = nanoseconds.saturating_mul(1 << 16) / 1_000_000_000;
        let compact: String = seconds
            .chars()
            .filter(|c| !matches!(c, '-' | ':'))
            .collect();
        format!("{compact}Z-{fraction:04x}{}", hex::encode(random)).parse()
    }

    /// The folder of what the snapshot is made of, with a slash at its end.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{SNAPSHOTS}{self}/")
    }

    /// Where its manifest is.
    #[must_use]
    pub fn manifest(&self) -> String {
        format!("{MANIFESTS}{self}.json")
    }

    /// Where the copy of its manifest is.
    #[must_use]
    pub fn manifest_copy(&self) -> String {
        format!("{MANIFEST_COPIES}{self}.json")
    }

    /// The snapshot whose manifest, or the copy of it, is at a path, if one is.
    #[must_use]
    pub fn parse_path(path: &str) -> Option<Self> {
        let name = path
            .strip_prefix(MANIFESTS)
            .or(path.strip_prefix(MANIFEST_COPIES));
        name?.strip_suffix(".json")?.parse().ok()
    }

    /// The snapshot in whose folder an object is, if it is in that of one.
    #[must_use]
    pub fn of_object(path: &str) -> Option<Self> {
        let (id, _) = path.strip_prefix(SNAPSHOTS)?.split_once('/')?;
        id.parse().ok()
    }

    /// When it was begun, to the second: RFC 3339, UTC. The id of a second that no clock shows is that of none.
    #[must_use]
    pub fn begun_at(&self) -> String {
        let mut text = String::new();
        for (at, c) in self.0.chars().take(16).enumerate() {
            match at {
                4 | 6 => text.push('-'),
                11 | 13 => text.push(':'),
                _ => {}
            }
            text.push(c);
        }
        text
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SnapshotId> for String {
    fn from(id: SnapshotId) -> Self {
        id.0
    }
}

impl FromStr for SnapshotId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let pattern = b"00000000T000000Z-xxxxxxxx";
        let fits = |(byte, pattern): (&u8, &u8)| match pattern {
            b'0' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
            _ => byte == pattern,
        };
        let bytes = text.as_bytes();
        if bytes.len() == pattern.len() && bytes.iter().zip(pattern).all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError {
                text: text.to_owned(),
                expected: "the id of a snapshot, such as 20260131T235959Z-0f1e2d3c",
            })
        }
    }
}

impl TryFrom<String> for SnapshotId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

impl IdError {
    pub(super) fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            expected,
        }
    }
}
