//! The exit codes of both binaries.

use std::process::ExitCode;

use rdump::ErrorKind;

use crate::session::Stopped;

/// How a command ended, as its exit code says it.
///
/// The commands that stand in for mongodump and mongorestore know only 0 and 1, and 255 in one case, as those do,
/// unless `--strict` asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Done = 0,
    /// It is not done, for the reason on stderr.
    Failed = 1,
    /// The command line makes no sense (subcommands; else it is 1).
    Usage = 2,
    /// It is done, but documents or collections had problems, all of them listed, or somebody could not be told (`--strict`).
    Problems = 3,
    /// A dump was verified, and it is damaged.
    Damaged = 4,
    /// A signal stopped it (subcommands and `--strict`; else it is 1).
    Cancelled = 130,
    /// The value of `-v` makes no sense: mongodump's code for that alone.
    Verbosity = 255,
}

impl Exit {
    /// The code for an error of a run.
    pub(crate) fn of(error: &anyhow::Error, strict: bool) -> Self {
        let kind = error.downcast_ref::<rdump::Error>().map(rdump::Error::kind);
        match kind {
            None if error.is::<Stopped>() => Self::cancelled(strict),
            Some(ErrorKind::Cancelled) => Self::cancelled(strict),
            _ => Self::Failed,
        }
    }

    /// The code for a run that a signal stopped.
    pub(crate) fn cancelled(strict: bool) -> Self {
        if strict {
            Self::Cancelled
        } else {
            Self::Failed
        }
    }

    /// Whether what was asked for is done, with problems or without.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Done | Self::Problems)
    }

    /// The code where something beside the work went wrong, which is done all the same.
    pub(crate) fn with_problem(self, strict: bool) -> Self {
        match self {
            Self::Done if strict => Self::Problems,
            exit => exit,
        }
    }

    /// The code as a number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
