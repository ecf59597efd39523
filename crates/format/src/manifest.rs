//! `rdump.manifest.json`: what a dump folder holds, with sizes, counts and digests.
//!
//! The file is one line that protects itself:
//!
//! ```text
//! {"sha256":"<64 lower-case hexadecimal digits>","manifest":<compact JSON>}
//! ```
//!
//! The digest is over the exact bytes of the value of `manifest`, and everything around that value
//! is fixed to the byte, so a change of any bit of the file is noticed. See `docs/format.md`,
//! *Manifest*.

mod check;
mod error;
mod record;
#[cfg(test)]
mod tests;
mod version;

use serde::{Deserialize, Serialize};

use crate::frame::Frame;

pub use error::ManifestError;
pub use record::{FileRecord, FileRole, RunRecord, SourceRecord};
pub use version::{FormatVersion, VersionError};

/// The name of the manifest, in the folder that it describes.
pub const MANIFEST_FILE: &str = "rdump.manifest.json";

/// The name of the file that lies in a folder from before a dump's first file until after its manifest.
///
/// In a folder without a manifest it means that the dump did not finish.
pub const UNFINISHED_FILE: &str = "rdump.unfinished";

/// The longest manifest that is written or read, in bytes: 1 GiB, which is enough for 80 TiB of
/// compressed segments.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 30;

/// What a dump folder holds and how it came to be.
///
/// # Examples
///
/// ```
/// use rdump_format::{Digest, FileRecord, FileRole, FolderManifest, RunRecord, SourceRecord};
///
/// let prelude = br#"{"ServerVersion":"7.0.16","ToolVersion":"0.1.0"}"#;
/// let mut file = FileRecord::new("prelude.json", FileRole::Prelude, Digest::of(prelude));
/// file.stored_bytes = prelude.len() as u64;
/// file.uncompressed_bytes = prelude.len() as u64;
///
/// let source = SourceRecord::new(vec!["localhost:27017".into()], "7.0.16", "replica-set");
/// let mut manifest = FolderManifest::new();
/// manifest.runs.push(RunRecord::new(source, "0.1.0", "2026-01-02T03:04:05Z", "2026-01-02T03:05:06Z"));
/// manifest.files.push(file);
///
/// let mut bytes = manifest.to_bytes()?;
/// assert_eq!(FolderManifest::from_bytes(&bytes)?, manifest);
/// bytes[200] ^= 1;
/// assert!(FolderManifest::from_bytes(&bytes).is_err());
/// # Ok::<(), rdump_format::ManifestError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FolderManifest {
    /// The version of this format.
    pub version: FormatVersion,
    /// The runs that wrote into the folder, oldest first. Each file names the one that wrote it.
    pub runs: Vec<RunRecord>,
    /// Every file of the dump but the manifest itself.
    pub files: Vec<FileRecord>,
}

impl FolderManifest {
    /// A manifest of the current version that lists nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: FormatVersion::CURRENT,
            runs: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] when [`from_bytes`](Self::from_bytes) or
    /// [`check_length`](Self::check_length) would refuse them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        self.version.check_readable()?;
        check::invariants(self)?;
        let text = serde_json::to_string(self)
            .map_err(|source| ManifestError::json(source, Frame::Manifest.value_offset()))?;
        let bytes = Frame::Manifest.wrap(&text);
        Self::check_length(bytes.len() as u64)?;
        Ok(bytes)
    }

    /// Refuses a file that is too long for a manifest, before it is read.
    ///
    /// # Errors
    ///
    /// [`ManifestError::TooLong`] beyond [`MAX_MANIFEST_BYTES`].
    pub fn check_length(bytes: u64) -> Result<(), ManifestError> {
        if bytes > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong { bytes });
        }
        Ok(())
    }

    /// Reads the bytes of the file, whose length was looked at by [`check_length`](Self::check_length).
    ///
    /// # Errors
    ///
    /// [`ManifestError`]: anything around the value is not as it must be, the digest differs, the
    /// version is not readable by this build (found out before anything else is looked at), the
    /// JSON is not a manifest, or what it says contradicts itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        /// The part of every version, past and future, that says which version it is.
        #[derive(Deserialize)]
        struct Versioned {
            version: FormatVersion,
        }

        let value = Frame::Manifest.unwrap(bytes)?;
        let json = |source| ManifestError::json(source, Frame::Manifest.value_offset());
        let versioned: Versioned = serde_json::from_slice(value).map_err(json)?;
        versioned.version.check_readable()?;
        let manifest: Self = serde_json::from_slice(value).map_err(json)?;
        check::invariants(&manifest)?;
        Ok(manifest)
    }
}

impl Default for FolderManifest {
    fn default() -> Self {
        Self::new()
    }
}
