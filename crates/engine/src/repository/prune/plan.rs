use std::fmt;

use rdump_format::repository::{RepositoryId, SnapshotId, SpanName};
use rdump_oplog::OpTime;
use serde::{Serialize, Serializer};

use crate::{RetentionPolicy, retention::KeepReason};

/// What a run would delete and what keep, and why. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PrunePlan {
    /// The repository.
    pub repository: RepositoryId,
    /// The policy.
    pub policy: RetentionPolicy,
    /// Snapshots that can be read, the oldest first.
    pub snapshots: Vec<PlannedSnapshot>,
    /// Those whose manifest is lost or damaged, and what is wrong. They stay: to put the copy of the manifest in its place may mend them.
    pub damaged: Vec<(SnapshotId, String)>,
    /// What was begun and is not finished.
    pub unfinished: Vec<PlannedUnfinished>,
    /// What is captured.
    pub slices: PlannedSlices,
    /// Objects that nothing names: what runs have left that died.
    pub unnamed: Vec<PlannedUnnamed>,
}

/// A snapshot, and why it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlannedSnapshot {
    /// The snapshot.
    pub id: SnapshotId,
    /// The moment that it is of: RFC 3339, UTC.
    pub at: String,
    /// The deployment: its replica set, or its hosts.
    pub source: String,
    /// The part of it that was asked for, if not all.
    pub part: Option<String>,
    /// How many objects it has.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// Why it is kept; it goes if there is no reason.
    pub kept: Vec<KeepReason>,
}

impl PlannedSnapshot {
    /// Whether it is to be deleted.
    #[must_use]
    pub fn goes(&self) -> bool {
        self.kept.is_empty()
    }
}

/// What was begun and is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlannedUnfinished {
    /// The snapshot that it was to become.
    pub id: SnapshotId,
    /// When something of it was written last: RFC 3339, UTC.
    pub last_written: String,
    /// How many objects it has.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// Whether somebody may be writing it now.
    pub is_running: bool,
    /// Whether it is to be deleted: nobody writes it, and nobody has for long.
    pub goes: bool,
}

/// What of what is captured is to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlannedSlices {
    /// Slices and gaps that go, the oldest first.
    #[serde(serialize_with = "paths")]
    pub spans: Vec<SpanName>,
    /// The moment before which all of these end.
    pub before: Option<OpTime>,
    /// How many slices stay.
    pub kept: u64,
    /// How many slices and gaps would go, and are locked in their store.
    pub retained: u64,
    /// What is wrong with a slice that says what else is needed: without it, none goes.
    pub unreadable: Option<String>,
}

/// What lies in the folder of a snapshot and is of none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PlannedUnnamed {
    /// Whose folder it lies in.
    pub id: SnapshotId,
    /// How many objects.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
}

impl PrunePlan {
    pub(super) fn new(repository: RepositoryId, policy: RetentionPolicy) -> Self {
        Self {
            repository,
            policy,
            snapshots: Vec::new(),
            damaged: Vec::new(),
            unfinished: Vec::new(),
            slices: PlannedSlices::default(),
            unnamed: Vec::new(),
        }
    }

    /// The snapshots that go.
    pub(super) fn leaving(&self) -> Vec<SnapshotId> {
        let leaving = self.snapshots.iter().filter(|it| it.goes());
        leaving.map(|it| it.id.clone()).collect()
    }

    /// Whether it deletes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing = !self.snapshots.iter().any(PlannedSnapshot::goes)
            && !self.unfinished.iter().any(|it| it.goes);
        nothing && self.slices.spans.is_empty() && self.unnamed.is_empty()
    }

    /// Whether something is lost or damaged, so that it cannot be judged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damaged.is_empty() || self.slices.unreadable.is_some()
    }

    /// How many bytes of snapshots, of what is not finished and of what nothing names it deletes; those of slices are not counted.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        let snapshots = self.snapshots.iter().filter(|it| it.goes());
        let unfinished = self.unfinished.iter().filter(|it| it.goes);
        let bytes = snapshots.map(|it| it.stored_bytes);
        let bytes = bytes.chain(unfinished.map(|it| it.stored_bytes));
        let bytes = bytes.chain(self.unnamed.iter().map(|it| it.stored_bytes));
        bytes.fold(0, u64::saturating_add)
    }
}

impl fmt::Display for PrunePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for snapshot in &self.snapshots {
            let reasons: Vec<_> = snapshot.kept.iter().map(ToString::to_string).collect();
            let (id, at, source) = (&snapshot.id, &snapshot.at, &snapshot.source);
            let part = match &snapshot.part {
                Some(part) => format!(", only {part}"),
                None => String::new(),
            };
            match snapshot.goes() {
                true => writeln!(f, "delete  {id}  of {at}, {source}{part}: no rule keeps it")?,
                false => {
                    let reasons = reasons.join(", ");
                    writeln!(f, "keep    {id}  of {at}, {source}{part}: {reasons}")?;
                }
            }
        }
        for (id, what) in &self.damaged {
            writeln!(f, "keep    {id}  DAMAGED: {what}")?;
        }
        for unfinished in &self.unfinished {
            let (id, last) = (&unfinished.id, &unfinished.last_written);
            match (unfinished.goes, unfinished.is_running) {
                (true, _) => writeln!(f, "delete  {id}  never finished, written last {last}")?,
                (false, true) => writeln!(f, "keep    {id}  is being written")?,
                (false, false) => writeln!(f, "keep    {id}  not finished, written last {last}")?,
            }
        }
        for unnamed in &self.unnamed {
            writeln!(
                f,
                "delete  {}  {} objects that nothing names",
                unnamed.id, unnamed.objects
            )?;
        }
        let slices = &self.slices;
        if let Some(before) = slices.before {
            let gone = slices.spans.len();
            writeln!(f, "delete  {gone} slices and gaps that end before {before}")?;
        }
        if slices.retained > 0 {
            writeln!(
                f,
                "keep    {} slices and gaps that are locked",
                slices.retained
            )?;
        }
        if let Some(what) = &slices.unreadable {
            writeln!(f, "keep    all slices  DAMAGED: {what}")?;
        }
        if slices.kept > 0 {
            writeln!(f, "keep    {} slices", slices.kept)?;
        }
        Ok(())
    }
}

fn paths<S: Serializer>(spans: &[SpanName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(spans.iter().map(SpanName::path))
}
