use std::fmt;

use serde::Serialize;

/// Something in a dump folder that is not as the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Damage {
    /// The file, relative to the folder.
    pub path: String,
    /// What is wrong, sorted.
    pub kind: DamageKind,
    /// What is wrong, as one line without the path.
    pub message: String,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DamageKind {
    /// It is not there.
    Missing,
    /// It has another size.
    Size,
    /// It has other bytes.
    Digest,
    /// It has the bytes that were written, but they do not mean what they should.
    Format,
    /// It is there, but the manifest does not list it.
    Unexpected,
    /// It is the manifest, and cannot be used.
    Manifest,
}

impl Damage {
    pub(crate) fn new(path: &str, kind: DamageKind, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
