//! Checking a dump folder against its manifest, byte by byte.

use std::{fmt, sync::Arc, time::Instant};

use futures::FutureExt;
use rdump_storage::Location;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{Error, ErrorKind, Observer, Result, context::RunContext};

mod damage;
mod file;
mod folder;

pub use damage::{Damage, DamageKind};
pub(crate) use file::chain;

/// Re-reads every file of a dump folder and compares it with the manifest.
///
/// Looked at are the size and SHA-256 of every file, the digest, compression, framing and document count of every
/// segment, whether metadata can be read, what is missing, and what is there that the manifest does not list. Needs
/// memory for a few segments.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] if there is no manifest to compare with, [`ErrorKind::Data`] if there is none because the
/// dump did not finish, [`ErrorKind::Invalid`] if there is no folder,
/// [`ErrorKind::Denied`] if something may not be read, [`ErrorKind::Cancelled`]. Damage is no error: it is in the
/// report.
///
/// # Cancel safety
///
/// Dropping the future stops the reading.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
///
/// use rdump::{CancellationToken, verify_folder};
///
/// # async fn example() -> rdump::Result<()> {
/// let report = verify_folder(&"dump".parse()?, Arc::new(()), CancellationToken::new()).await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
pub async fn verify_folder(
    location: &Location,
    observer: Arc<dyn Observer>,
    cancel: CancellationToken,
) -> Result<VerifyReport> {
    let mut cx = RunContext::default();
    cx.set_observer(observer);
    cx.cancel = cancel;
    let clock = Instant::now();
    let store = match location.open() {
        Err(rdump_storage::StorageError::NotFound { path }) => {
            return Err(Error::invalid(format!("{path} does not exist")));
        }
        opened => opened?,
    };
    let mut report = cx
        .unless_cancelled(folder::verify(&store, &cx).boxed())
        .await?
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("there is nothing to verify {location} against: it has no manifest"),
            )
            .with_hint(
                "dumps of other tools have none; a dump of this one that has none is not complete",
            )
        })?;
    report.duration_seconds = clock.elapsed().as_secs_f64();
    Ok(report)
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct VerifyReport {
    /// Files that the manifest lists.
    pub files: u64,
    /// Documents that were read and are sound.
    pub documents: u64,
    /// Bytes that were read.
    pub stored_bytes: u64,
    /// Everything that is not as the manifest says, in byte order of the paths.
    pub damage: Vec<Damage>,
    /// How long it took.
    pub duration_seconds: f64,
}

impl VerifyReport {
    /// Whether everything is as the manifest says.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for damage in &self.damage {
            writeln!(f, "{damage}")?;
        }
        match self.damage.len() {
            0 => write!(
                f,
                "whole: {} files, {} documents, {} bytes",
                self.files, self.documents, self.stored_bytes
            ),
            places => write!(
                f,
                "damaged in {places} places; {} files were looked at",
                self.files
            ),
        }
    }
}
