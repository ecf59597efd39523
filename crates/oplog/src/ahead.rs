//! What has to be known of an oplog before any of it is replayed.

#[cfg(test)]
mod tests;

use rdump_format::element::Value;
use rdump_format::{BUCKETS_PREFIX, Namespace};

use crate::entry::Command;
use crate::replay::{MAX_DEPTH, is_known};
use crate::{Entry, OpTime, ReplayError, Unknown, filter};

/// What entries are going to do that has to be known before the first of them is replayed.
///
/// # Examples
///
/// ```
/// use rdump_oplog::Ahead;
///
/// let mut ahead = Ahead::default();
/// let entry = bson::rawdoc! { "op": "c", "ns": "shop.$cmd", "o": { "create": "orders" } };
/// ahead.push(entry.as_bytes())?;
/// assert_eq!(ahead.created[0].namespace.to_string(), "shop.orders");
/// # Ok::<(), rdump_oplog::ReplayError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ahead {
    /// Collections that get another name.
    pub renamed: Vec<RenamedCollection>,
    /// Collections and views that are made; buckets count as their time-series.
    pub created: Vec<CreatedCollection>,
    /// What is not replayed.
    pub unknown: Vec<Unknown>,
}

/// That a collection got another name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RenamedCollection {
    /// When.
    pub at: OpTime,
    /// The name that it had.
    pub from: Namespace,
    /// The name that it got.
    pub to: Namespace,
}

/// That a collection or view was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedCollection {
    /// When.
    pub at: OpTime,
    /// Its name.
    pub namespace: Namespace,
}

impl Ahead {
    /// Takes note of the next entry.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] for what is no entry, or is nested too deep.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), ReplayError> {
        self.take(&Entry::parse(entry)?, 0)
    }

    /// Keeps what was done at certain moments.
    pub fn retain(&mut self, is_of_interest: impl Fn(OpTime) -> bool) {
        self.renamed.retain(|renamed| is_of_interest(renamed.at));
        self.created.retain(|created| is_of_interest(created.at));
        self.unknown.retain(|unknown| is_of_interest(unknown.at()));
    }

    fn take(&mut self, entry: &Entry<'_>, depth: usize) -> Result<(), ReplayError> {
        if filter::is_skipped(entry) {
            return Ok(());
        }
        match entry.operation() {
            "i" | "u" => self.view(entry),
            "d" => Ok(()),
            "c" => self.command(entry, depth),
            _ => {
                self.unknown.push(Unknown::operation(entry));
                Ok(())
            }
        }
    }

    /// A view is made by what is written of it.
    fn view(&mut self, entry: &Entry<'_>) -> Result<(), ReplayError> {
        if entry.namespace().strip_prefix(entry.db()) == Some(".system.views")
            && let Some(id) = entry.field(entry.object()?, "_id")?
        {
            self.create(entry.at(), namespace(id.value));
        }
        Ok(())
    }

    fn command(&mut self, entry: &Entry<'_>, depth: usize) -> Result<(), ReplayError> {
        let (command, at) = (entry.command()?, entry.at());
        match command.name {
            "applyOps" if depth >= MAX_DEPTH => return Err(ReplayError::TooDeep { at }),
            "applyOps" => {
                for inner in entry.inner(command)? {
                    self.take(&inner?, depth.saturating_add(1))?;
                }
            }
            "renameCollection" => {
                let to = entry.field(command.object, "to")?.map(|to| to.value);
                let names = namespace(command.subject).zip(to.and_then(namespace));
                let renamed = names.map(|(from, to)| RenamedCollection { at, from, to });
                self.renamed.extend(renamed);
            }
            "create" => self.create(at, created(entry, &command)),
            "commitTransaction" | "abortTransaction"
                if depth == 0 && entry.session().is_some() && !entry.is_vectored() => {}
            name if is_known(name) => {}
            _ => self.unknown.push(Unknown::command(entry, &command)),
        }
        Ok(())
    }

    fn create(&mut self, at: OpTime, namespace: Option<Namespace>) {
        let created = namespace.map(|namespace| CreatedCollection { at, namespace });
        self.created.extend(created);
    }
}

fn namespace(value: Value<'_>) -> Option<Namespace> {
    match value {
        Value::String(name) => str::from_utf8(name).ok()?.parse().ok(),
        _ => None,
    }
}

fn created(entry: &Entry<'_>, command: &Command<'_>) -> Option<Namespace> {
    let Value::String(collection) = command.subject else {
        return None;
    };
    let collection = str::from_utf8(collection).ok()?;
    let collection = collection
        .strip_prefix(BUCKETS_PREFIX)
        .unwrap_or(collection);
    Some(Namespace::new(entry.db(), collection))
}
