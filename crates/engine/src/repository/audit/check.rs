//! Reading the record again, and checking it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rdump_format::{
    Digest,
    repository::{
        AUDIT, AuditEntry, AuditResult, MAX_AUDIT_BYTES, RecordFault, RepositoryId, audit_path,
    },
};
use rdump_storage::{Listed, StorageError};
use serde::Serialize;

use crate::{Damage, DamageKind, Repository, Result, repository::unreadable_record};

/// How many entries are read at once.
const AT_ONCE: usize = 16;
/// Damage that is named.
const MOST_NAMED: usize = 1000;

/// What was found in the record of what was done with a repository. `Display` is for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct AuditReport {
    /// How many entries there are.
    pub entries: u64,
    /// The newest: kept elsewhere, it proves later that all until then is there still.
    pub head: Option<AuditHead>,
    /// Entries of operations that began and did not end, or not yet: by their numbers, at most a thousand.
    pub unended: BTreeSet<u64>,
    /// Everything that is wrong, at most a thousand places.
    pub damage: Vec<Damage>,
}

/// The newest entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct AuditHead {
    /// Its number.
    pub number: u64,
    /// The digest of its object.
    pub sha256: Digest,
}

impl AuditReport {
    /// Whether each entry is there and follows the one before it, and what was expected is there.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    fn damaged(&mut self, path: &str, kind: DamageKind, message: impl Into<String>) {
        if self.damage.len() < MOST_NAMED {
            self.damage.push(Damage::new(path, kind, message));
        }
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for damage in &self.damage {
            writeln!(f, "{damage}")?;
        }
        match (&self.head, self.damage.len()) {
            (None, 0) => f.write_str("nothing is recorded"),
            (Some(head), 0) => write!(
                f,
                "{} entries, each of which follows the one before it; the newest is {} of digest {}",
                self.entries, head.number, head.sha256
            ),
            (_, places) => write!(f, "the record is damaged in {places} places"),
        }
    }
}

/// What is known of the entry before.
#[derive(Clone, Copy)]
struct Before {
    number: u64,
    sha256: Digest,
    is_sound: bool,
}

/// A look at all entries, the oldest first.
struct Checking {
    repository: RepositoryId,
    before: Option<Before>,
    /// The digest that is to be found.
    expected: Option<Digest>,
    /// Operations that began and have not ended.
    open: BTreeMap<String, u64>,
    report: AuditReport,
}

impl Repository {
    /// Reads the record of what was done with the repository, the oldest entry first, and checks it: that each entry is as it was written, and has
    /// the digest of the one before it. Entries that can be read are given to `each`.
    ///
    /// That entries are missing at the end cannot be seen by that alone, nor that all of the last ones were made anew. Give the digest of an entry that was
    /// noted before (`expected`): if no entry has it, that is damage.
    ///
    /// A repository of before there was such a record has none, and is whole.
    ///
    /// Costs a listing and a request for each entry.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if an entry is of a newer format, and as the place has them. Damage is no error: it is in the
    /// report.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the reading.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use rdump::Repository;
    ///
    /// # async fn example() -> rdump::Result<()> {
    /// let repository = Repository::open(&"s3://backups/shop".parse()?).await?;
    /// let report = repository.audit(None, |entry| println!("{} {} {}", entry.at, entry.verb, entry.result)).await?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn audit(
        &self,
        expected: Option<Digest>,
        mut each: impl FnMut(&AuditEntry) + Send,
    ) -> Result<AuditReport> {
        let mut checking = Checking {
            repository: self.record().id,
            before: None,
            expected,
            open: BTreeMap::new(),
            report: AuditReport::default(),
        };
        let mut found: Vec<(u64, u64)> = Vec::new();
        let mut listed = self.store().list(AUDIT);
        while let Some(listed) = listed.try_next().await? {
            match listed {
                Listed::Object(object) => match AuditEntry::parse_path(&object.path) {
                    Some(number) => found.push((number, object.stored_bytes)),
                    None => checking.report.damaged(
                        &object.path,
                        DamageKind::Unexpected,
                        "it is no entry, and nothing else should be there",
                    ),
                },
                // No object, and never to be.
                Listed::Leftover(_) => {}
                Listed::Unreadable(what) => {
                    let message = format!("it cannot be read: {}", what.error);
                    let kind = DamageKind::Unexpected;
                    checking.report.damaged(&what.path, kind, message);
                }
            }
        }
        drop(listed);
        found.sort_unstable();
        let reads = found.into_iter().map(|(number, bytes)| async move {
            let read = self.entry(number, bytes).await;
            (number, read)
        });
        let mut reads = stream::iter(reads).buffered(AT_ONCE);
        while let Some((number, read)) = reads.next().await {
            if let Some(entry) = checking.look(number, read?)? {
                each(&entry);
            }
        }
        Ok(checking.end())
    }

    /// The bytes of an entry, or what is wrong with it.
    async fn entry(&self, number: u64, bytes: u64) -> Result<Result<Bytes, (DamageKind, String)>> {
        if bytes > MAX_AUDIT_BYTES {
            let message = format!("it has {bytes} bytes, too many for an entry");
            return Ok(Err((DamageKind::Size, message)));
        }
        match self.store().read(&audit_path(number), 0..bytes, None).await {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(error @ StorageError::NotFound { .. }) => {
                Ok(Err((DamageKind::Missing, error.to_string())))
            }
            Err(error @ StorageError::TooShort { .. }) => {
                Ok(Err((DamageKind::Size, error.to_string())))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Checking {
    /// Looks at an entry; gives it, if it is one.
    fn look(
        &mut self,
        number: u64,
        read: Result<Bytes, (DamageKind, String)>,
    ) -> Result<Option<AuditEntry>> {
        self.report.entries += 1;
        let path = audit_path(number);
        let before = self.before.take();
        let next = before.map_or(1, |before| before.number.saturating_add(1));
        if next < number {
            let last = number.saturating_sub(1);
            let message = match next == last {
                true => format!("entry {next} is not there"),
                false => format!("entries {next} to {last} are not there"),
            };
            self.report
                .damaged(&audit_path(next), DamageKind::Missing, message);
        }
        let bytes = match read {
            Ok(bytes) => bytes,
            Err((kind, message)) => {
                self.report.damaged(&path, kind, message);
                return Ok(None);
            }
        };
        let sha256 = Digest::of(&bytes);
        if self.expected == Some(sha256) {
            self.expected = None;
        }
        self.report.head = Some(AuditHead { number, sha256 });
        let entry = match AuditEntry::from_bytes(&bytes) {
            Ok(entry) => Some(entry),
            Err(error) if matches!(error.fault, RecordFault::TooNew { .. }) => {
                return Err(unreadable_record(&path, error));
            }
            Err(error) => {
                let message = error.to_string();
                self.report.damaged(&path, DamageKind::Digest, message);
                None
            }
        };
        let wrong = entry.as_ref().and_then(|entry| {
            let is_next = |before: &Before| before.number.saturating_add(1) == number;
            if entry.number != number {
                return Some(format!("it is entry {}", entry.number));
            }
            if entry.repository != self.repository {
                return Some(format!("it is of repository {}", entry.repository));
            }
            // What is missing, or damaged itself, was named.
            let before = before.filter(|before| is_next(before) && before.is_sound)?;
            let follows = entry.previous == Some(before.sha256);
            (!follows).then(|| {
                let before = before.number;
                format!(
                    "it does not follow entry {before} as that is now: one of the two was changed"
                )
            })
        });
        if let Some(wrong) = wrong {
            self.report.damaged(&path, DamageKind::Digest, wrong);
        }
        self.before = Some(Before {
            number,
            sha256,
            // One that follows nothing may be followed all the same.
            is_sound: entry.as_ref().is_some_and(|entry| entry.number == number),
        });
        if let Some(entry) = &entry {
            match entry.result {
                AuditResult::Started => {
                    self.open.insert(entry.operation.clone(), entry.number);
                }
                _ => drop(self.open.remove(&entry.operation)),
            }
        }
        Ok(entry)
    }

    fn end(self) -> AuditReport {
        let mut report = self.report;
        if let Some(expected) = self.expected {
            let message = format!(
                "no entry has the digest {expected}: entries were removed or made anew since it was noted"
            );
            report.damaged(AUDIT, DamageKind::Missing, message);
        }
        report.unended = self.open.into_values().take(MOST_NAMED).collect();
        report
    }
}
