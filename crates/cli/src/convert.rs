//! From what was typed to what the engine takes: one function for each binary.

mod connect;
mod dump;
mod json;
mod medium;
mod positional;
mod read_preference;
mod refused;
mod restore;
#[cfg(test)]
mod tests;
mod write_concern;

use std::{fmt, num::NonZeroUsize};

use rdump::Secret;

pub(crate) use dump::DumpRequest;
pub(crate) use medium::{Input, Output};
pub(crate) use restore::RestoreRequest;

/// What is read of the process's environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `RDUMP_URI`.
    pub(crate) uri: Option<Secret>,
}

/// Why a command line that could be read cannot be followed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It makes no sense as a command line.
    Usage(String),
    /// Its options do not go together, or ask for what cannot be done.
    Option(anyhow::Error),
}

impl Refusal {
    /// Options that do not go together; the message is mongodump's where it has one.
    fn bad_option(message: impl fmt::Display) -> Self {
        Self::Option(anyhow::anyhow!("bad option: {message}"))
    }
}

impl From<rdump::Error> for Refusal {
    fn from(error: rdump::Error) -> Self {
        Self::Option(error.into())
    }
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
