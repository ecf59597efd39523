//! Who did what with a repository, when, with which result: an entry for each operation, linked to the one before by its digest.
//!
//! An entry is put under the next number, under the condition that there is none: so of several who write at once each gets a number of its own.
//! Whoever can write to the place can delete and make up entries. That shows, but for those at the end; `docs/audit.md` says against whom what helps.

mod act;
mod check;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future};
use rdump_format::{
    Digest,
    repository::{
        AUDIT, AuditActor, AuditEntry, AuditResult, AuditVerb, MAX_AUDIT_BYTES, audit_path,
    },
};
use rdump_storage::{Listed, PutIf, StorageError, Store};

use super::{Repository, lease, not_written, read_bytes};
use crate::{Error, ErrorKind, Result};

pub use act::Act;
pub(crate) use act::{Outcome, deployment, sink};
pub use check::{AuditHead, AuditReport};

/// How often the next number is tried that somebody else took just then. Each time somebody got on.
const MOST_TRIES: usize = 1000;
/// How many entries are looked at for the last of a verb.
const LOOKED_AT: usize = 500;
/// How many of them are read at once.
const AT_ONCE: usize = 16;
/// The most characters of a text that somebody else chose.
const MOST_CHARACTERS: usize = 300;

/// Who does something, for the [record](Repository::audit) of it. The engine adds machine, process and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    user: String,
    name: Option<String>,
}

impl Actor {
    /// A user of the operating system; of a longer name the first 300 characters count.
    pub fn new(user: impl Into<String>) -> Self {
        Self {
            user: cut(&user.into()),
            name: None,
        }
    }

    /// Sets what a service or a person calls itself beside that: no secret, since whoever can read the place can read it. Default: nothing.
    #[must_use]
    pub fn named(mut self, name: Option<String>) -> Self {
        self.name = name.as_deref().map(cut);
        self
    }

    fn record(&self) -> AuditActor {
        let mut who = AuditActor::default();
        who.user.clone_from(&self.user);
        who.name.clone_from(&self.name);
        who.host = cut(&lease::host());
        who.process = std::process::id();
        env!("CARGO_PKG_VERSION").clone_into(&mut who.tool_version);
        who
    }
}

impl Repository {
    /// Sets who does what is done with it from now on. Default: nobody in particular.
    #[must_use]
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Puts an entry after the last one.
    async fn append(&self, mut entry: AuditEntry) -> Result<()> {
        let store = &**self.store();
        let mut last = match newest(store).await? {
            Some(number) => Some((number, Digest::of(&stored(store, number).await?))),
            None => None,
        };
        for _ in 0..MOST_TRIES {
            entry.number = last.map_or(0, |(number, _)| number).saturating_add(1);
            entry.previous = last.map(|(_, digest)| digest);
            let bytes = Bytes::from(entry.to_bytes().map_err(not_written)?);
            let path = entry.path();
            match store.put(&path, bytes.clone(), PutIf::Absent).await {
                Ok(_) => return Ok(store.flush().await?),
                Err(StorageError::Exists { .. }) => {
                    let found = stored(store, entry.number).await?;
                    // The answer to what was put before may have been lost.
                    if found == bytes {
                        return Ok(store.flush().await?);
                    }
                    last = Some((entry.number, Digest::of(&found)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::conflict(format!(
            "others were first {MOST_TRIES} times to put an entry into {AUDIT}"
        )))
    }
}

impl Repository {
    /// The newest of the last entries that is of this verb and of an operation that came to its end. What is damaged is passed over.
    pub(super) async fn last_of(&self, verb: AuditVerb) -> Result<Option<AuditEntry>> {
        let store = &**self.store();
        let numbers = store.list(AUDIT).try_filter_map(|listed| {
            future::ready(Ok(match listed {
                Listed::Object(object) => AuditEntry::parse_path(&object.path),
                _ => None,
            }))
        });
        let read = |number| async move {
            match stored(store, number).await {
                Ok(bytes) => Ok(AuditEntry::from_bytes(&bytes).ok()),
                Err(error) if error.kind() == ErrorKind::Data => Ok(None),
                Err(error) => Err(error),
            }
        };
        let entries = numbers.take(LOOKED_AT).map_err(Error::from);
        let mut entries = entries.map_ok(read).try_buffered(AT_ONCE);
        while let Some(entry) = entries.try_next().await? {
            let is_over = |it: &AuditEntry| {
                matches!(
                    it.result,
                    AuditResult::Done | AuditResult::Problems | AuditResult::Failed
                )
            };
            if let Some(entry) = entry.filter(|it| it.verb == verb && is_over(it)) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// The number of the newest entry. One request, however many there are: its name comes first.
async fn newest(store: &dyn Store) -> Result<Option<u64>> {
    let mut listed = store.list(AUDIT);
    while let Some(listed) = listed.try_next().await? {
        if let Listed::Object(object) = &listed
            && let Some(number) = AuditEntry::parse_path(&object.path)
        {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// The bytes of an entry, whatever they are.
async fn stored(store: &dyn Store, number: u64) -> Result<Bytes> {
    let path = audit_path(number);
    match read_bytes(store, &path, MAX_AUDIT_BYTES).await? {
        Some(bytes) => bytes,
        None => Err(Error::data(format!("{path} is not there any more")).at(path)),
    }
}

/// A text that is not too long for an entry.
fn cut(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}
