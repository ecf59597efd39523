//! From what was typed to what the engine takes: one function for each binary.

mod classes;
mod config;
mod connect;
mod copy;
mod doctor;
mod drill;
mod dump;
mod json;
mod keys;
mod medium;
mod positional;
mod prune;
mod read_preference;
mod refused;
mod repository;
mod restore;
#[cfg(test)]
mod tests;
mod write_concern;

use std::{fmt, num::NonZeroUsize, path::PathBuf};

use rdump::Secret;

pub(crate) use classes::{Moved, ThawingRequest, TierRequest};
pub(crate) use copy::{Chosen, CopyRequest};
pub(crate) use doctor::DoctorRequest;
pub(crate) use drill::{CompareRequest, DrillChoice, DrillRequest, Scratch};
pub(crate) use dump::DumpRequest;
pub(crate) use keys::{identities, new_recipients, recipients};
pub(crate) use medium::{Input, Output};
pub(crate) use positional::is_like_uri;
pub(crate) use prune::PruneRequest;
pub(crate) use repository::{
    AuditRequest, BackupRequest, BundleRequest, CaptureRequest, ExportRequest, ImportRequest,
    OplogExportRequest, RekeyRequest, ShowRequest, StatusRequest, UnbundleRequest, Verified,
    repository, verified,
};
pub(crate) use restore::RestoreRequest;

/// What is read of the process's environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Environment {
    /// `RDUMP_URI`.
    pub(crate) uri: Option<Secret>,
    /// `RDUMP_SCRATCH_URI`.
    pub(crate) scratch_uri: Option<Secret>,
    /// `RDUMP_REPO`.
    pub(crate) repository: Option<String>,
    /// `RDUMP_ENCRYPT_TO`.
    pub(crate) encrypt_to: Option<String>,
    /// `RDUMP_IDENTITY`.
    pub(crate) identity: Option<Secret>,
    /// `RDUMP_PASSPHRASE`.
    pub(crate) passphrase: Option<Secret>,
    /// `RDUMP_NEW_PASSPHRASE`.
    pub(crate) new_passphrase: Option<Secret>,
}

/// Why a command line that could be read cannot be followed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It makes no sense as a command line.
    Usage(String),
    /// Its options do not go together; the message is mongodump's or mongorestore's where they have one.
    BadOption(String),
    /// It asks for what cannot be done.
    Failed(anyhow::Error),
}

impl Refusal {
    fn bad_option(message: impl fmt::Display) -> Self {
        Self::BadOption(message.to_string())
    }

    /// Refuses the first of these contradictions that there is.
    fn unless_none(contradictions: &[(bool, &str)]) -> Result<(), Self> {
        match contradictions.iter().find(|(is_there, _)| *is_there) {
            Some((_, message)) => Err(Self::bad_option(message)),
            None => Ok(()),
        }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<rdump::Error> for Refusal {
    fn from(error: rdump::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A text unless it is empty: that is none, as in a script whose variable is not set.
fn filled(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// As [`filled`].
fn filled_path(path: Option<&PathBuf>) -> Option<&PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

/// How many at once: `None` if not given.
fn parallelism(flag: &str, given: Option<i64>) -> Result<Option<NonZeroUsize>, Refusal> {
    let Some(number) = given else { return Ok(None) };
    match usize::try_from(number).ok().and_then(NonZeroUsize::new) {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::bad_option(format_args!("{flag} must be positive"))),
    }
}

/// Patterns of `--nsInclude` and its like.
fn patterns(flag: &str, given: &[String]) -> Result<Vec<rdump::Pattern>, Refusal> {
    given
        .iter()
        .map(|text| {
            rdump::Pattern::parse(text).map_err(|error| {
                Refusal::bad_option(format_args!("invalid pattern of --{flag}: {error}"))
            })
        })
        .collect()
}
