//! What became of a command.

use bson::Document;
use mongodb::error::{Error, ErrorKind, Result};

/// Errors of commands that a server refuses before it does anything: NotWritablePrimary, NotPrimaryNoSecondaryOk.
const REFUSALS: [i32; 2] = [10107, 13435];

/// What became of a command.
#[derive(Clone, Debug)]
pub(in crate::workload) enum Fate {
    /// It is done; the reply.
    Done(Document),
    /// It was not carried out.
    Refused,
    /// Nobody knows: nothing that it touches may be touched again.
    Lost,
}

impl Fate {
    pub(super) fn of(reply: Result<Document>) -> Self {
        match reply {
            Ok(reply) if has_failed(&reply) => Self::Lost,
            Ok(reply) => Self::Done(reply),
            Err(error) => Self::of_error(&error),
        }
    }

    fn of_error(error: &Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(error) if REFUSALS.contains(&error.code) => Self::Refused,
            ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => {
                Self::Refused
            }
            _ => Self::Lost,
        }
    }
}

fn has_failed(reply: &Document) -> bool {
    reply.contains_key("writeErrors") || reply.contains_key("writeConcernError")
}
