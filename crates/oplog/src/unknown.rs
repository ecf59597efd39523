//! What an oplog has that nobody here knows.

use rdump_format::{BUCKETS_PREFIX, Namespace, element::Value};

use crate::entry::Command;
use crate::{Entry, OpTime};

/// Something in an oplog that is not replayed, since what it does is not known; `Display` says what, when and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// A kind of operation.
    #[error("unknown operation {operation:?} in the oplog entry at {at} on {namespace}")]
    Operation {
        /// Its `op`.
        operation: Box<str>,
        /// Where, as the entry says it.
        namespace: Box<str>,
        /// When.
        at: OpTime,
    },
    /// A command.
    #[error("unknown oplog command name {command:?} at {at} on {namespace}")]
    Command {
        /// Its name.
        command: Box<str>,
        /// The collection, if it seems to name one, else as the entry says it.
        namespace: Box<str>,
        /// When.
        at: OpTime,
    },
}

impl Unknown {
    pub(crate) fn operation(entry: &Entry<'_>) -> Self {
        Self::Operation {
            operation: entry.operation().into(),
            namespace: entry.namespace().into(),
            at: entry.at(),
        }
    }

    pub(crate) fn command(entry: &Entry<'_>, command: &Command<'_>) -> Self {
        let names = names(entry, command);
        let named = names.into_iter().next().map(|name| name.to_string());
        Self::Command {
            command: command.name.into(),
            namespace: named.map_or_else(|| entry.namespace().into(), Into::into),
            at: entry.at(),
        }
    }

    /// When it was done.
    #[must_use]
    pub fn at(&self) -> OpTime {
        match self {
            Self::Operation { at, .. } | Self::Command { at, .. } => *at,
        }
    }
}

/// Whether a command that is not known may be about a collection that `is_selected`.
pub(crate) fn may_be_about(
    entry: &Entry<'_>,
    command: &Command<'_>,
    is_selected: impl Fn(&Namespace) -> bool,
) -> bool {
    let names = names(entry, command);
    names.is_empty() || names.iter().any(is_selected)
}

/// The collections that a command seems to name, in one way or the other: `shop.orders` is that of `shop`, or `shop.shop.orders`.
fn names(entry: &Entry<'_>, command: &Command<'_>) -> Vec<Namespace> {
    let Value::String(subject) = command.subject else {
        return Vec::new();
    };
    let Ok(subject) = str::from_utf8(subject) else {
        return Vec::new();
    };
    let whole = subject.split_once('.').filter(|(db, _)| *db == entry.db());
    let collections = whole.map(|(_, collection)| collection).into_iter();
    let without_prefix = |name: &str| name.strip_prefix(BUCKETS_PREFIX).unwrap_or(name).to_owned();
    let names = collections.chain([subject]).map(without_prefix);
    names.map(|name| Namespace::new(entry.db(), name)).collect()
}
