//! Why bytes are not a manifest.

use std::error::Error;

use super::MAX_MANIFEST_BYTES;
use super::version::VersionError;
use crate::digest::Digest;
use crate::frame::Fault;

/// Why bytes are not a manifest, or why a manifest cannot be written. Offsets count bytes from the
/// start of the file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum ManifestError {
    #[error("manifest is {bytes} bytes long, and {MAX_MANIFEST_BYTES} are possible")]
    TooLong { bytes: u64 },
    #[error("not a manifest, or one cut short: expected {expected:?} at byte {offset}")]
    Frame {
        offset: usize,
        expected: &'static str,
    },
    #[error("manifest was changed: the SHA-256 of its value is not {recorded}, as it recorded")]
    Digest { recorded: Digest },
    #[error("manifest cannot be read by this release")]
    Version {
        #[from]
        source: VersionError,
    },
    #[error("value of the manifest is not what the format says, near byte {offset}")]
    Json {
        offset: usize,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("manifest lists {path:?}, which {problem}")]
    Path { path: String, problem: &'static str },
    #[error("manifest lists {path:?} with {recorded} {what}, but its segments have {segments}")]
    Totals {
        path: String,
        what: &'static str,
        recorded: u64,
        segments: u64,
    },
    #[error("manifest lists {path:?} as written by run {run}, but the number of runs is {runs}")]
    Run { path: String, run: u32, runs: usize },
    #[error("manifest lists more {what} than can be counted, up to {path:?}")]
    Overflow { path: String, what: &'static str },
}

impl From<Fault> for ManifestError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Expected { offset, expected } => Self::Frame { offset, expected },
            Fault::Digest { recorded } => Self::Digest { recorded },
        }
    }
}

impl ManifestError {
    /// A fault of the JSON in one line that starts at byte `start`.
    pub(super) fn json(source: serde_json::Error, start: usize) -> Self {
        Self::Json {
            offset: start.saturating_add(source.column().saturating_sub(1)),
            source: source.into(),
        }
    }
}
