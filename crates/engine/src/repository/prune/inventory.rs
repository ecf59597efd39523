//! What there is in a repository, as far as pruning has to know.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use jiff::Timestamp;
use rdump_format::{
    SourceRecord,
    repository::{BEGUN, BegunRecord, SNAPSHOTS, SnapshotId, Timeline},
};
use rdump_storage::Listed;

use super::{PlannedSnapshot, PlannedUnfinished, PlannedUnnamed, PrunePlan};
use crate::{
    Error, ErrorKind, Repository, Result, Snapshot,
    repository::point_in_time::moment,
    retention::{Candidate, KeepReason, Look},
};

/// The deployment, by a number, and the part of it that snapshots are of.
type Of = (usize, Option<String>);

/// A snapshot that can be read.
#[derive(Debug)]
pub(in crate::repository) struct Held {
    pub(in crate::repository) snapshot: Snapshot,
    pub(super) of: Of,
    pub(in crate::repository) candidate: Candidate,
    /// Whether it is of a part, and nobody can tell of which.
    pub(super) is_unknown_part: bool,
}

/// What lies in the folder of a snapshot, or of none.
#[derive(Clone, Copy, Debug, Default)]
struct Folder {
    objects: u64,
    stored_bytes: u64,
    /// When something was written last, if the store knows.
    modified: Option<Timestamp>,
}

#[derive(Debug)]
pub(in crate::repository) struct Inventory {
    pub(super) held: Vec<Held>,
    damaged: Vec<(SnapshotId, Error)>,
    unfinished: Vec<SnapshotId>,
    running: BTreeSet<SnapshotId>,
    folders: BTreeMap<SnapshotId, Folder>,
    pub(super) timeline: Timeline,
}

impl Inventory {
    pub(in crate::repository) async fn of(repository: &Repository) -> Result<Self> {
        // What is written meanwhile is in none of these but the last, and young.
        let folders = folders(repository).await?;
        let timeline = repository.timeline().await?;
        let snapshots = repository.snapshots().await?;
        let looks = repository.looks(&snapshots.whole).await?;
        let mut held = Vec::new();
        for snapshot in snapshots.whole {
            let looked = looks.get(snapshot.id());
            let look = looked.map_or(Look::None, |looked| looked.look);
            held.push(Held::of(snapshot, look).await?);
        }
        tell_apart(&mut held);
        Ok(Self {
            held,
            damaged: snapshots.damaged,
            unfinished: snapshots.unfinished,
            running: snapshots.running.into_iter().collect(),
            folders,
            timeline,
        })
    }

    /// The snapshots of each deployment, and of each part of it that was asked for.
    pub(in crate::repository) fn deployments(&self) -> BTreeMap<&Of, Vec<&Held>> {
        let mut deployments: BTreeMap<&Of, Vec<&Held>> = BTreeMap::new();
        for held in &self.held {
            deployments.entry(&held.of).or_default().push(held);
        }
        deployments
    }

    /// Whether a snapshot was found damaged.
    pub(super) fn is_damaged(&self, id: &SnapshotId) -> bool {
        let damaged = |held: &Held| held.candidate.look == Look::Damaged;
        self.held
            .iter()
            .any(|held| held.snapshot.id() == id && damaged(held))
    }

    /// Whether what is captured is of this deployment, or of none that is known.
    pub(super) fn is_of(&self, deployment: usize, source: &SourceRecord) -> bool {
        let of = |held: &&Held| held.source().is_of_same_deployment(source);
        let mut known = self.held.iter().filter(of).map(|held| held.of.0).peekable();
        let has_same_name = || {
            let mut held = self.held.iter().filter(|held| held.of.0 == deployment);
            held.any(|held| held.source().set_name == source.set_name)
        };
        match known.peek() {
            Some(_) => known.any(|known| known == deployment),
            None => has_same_name(),
        }
    }

    /// When something of what is not finished was written last, or it was begun.
    fn last_written(&self, id: &SnapshotId) -> Timestamp {
        let modified = self.folders.get(id).and_then(|folder| folder.modified);
        modified.unwrap_or(Timestamp::MIN).max(begun_at(id))
    }

    /// What was begun, is not finished, and stays: somebody writes it, or may go on with it.
    pub(super) fn open(&self, old: Timestamp) -> impl Iterator<Item = Timestamp> {
        let stays =
            move |id: &&SnapshotId| self.running.contains(id) || self.last_written(id) >= old;
        let unfinished = self.unfinished.iter().filter(stays);
        // What is damaged may be mended, and lead on from then.
        let damaged = self.damaged.iter().map(|(id, _)| id);
        unfinished.chain(damaged).map(begun_at)
    }

    /// What is done about snapshots, and what is in the place of one.
    pub(super) fn into_plan(
        mut self,
        old: Timestamp,
        mut reasons: BTreeMap<SnapshotId, BTreeSet<KeepReason>>,
        plan: &mut PrunePlan,
    ) {
        let mut known = BTreeSet::new();
        for held in std::mem::take(&mut self.held) {
            let id = held.snapshot.id().clone();
            let kept = reasons.remove(&id).unwrap_or_default();
            let folder = self.folders.get(&id).copied().unwrap_or_default();
            known.insert(id.clone());
            plan.snapshots.push(PlannedSnapshot {
                id,
                at: held.candidate.at.to_string(),
                source: name(held.source()),
                part: held.of.1,
                objects: folder.objects,
                stored_bytes: folder.stored_bytes,
                kept: kept.into_iter().collect(),
            });
        }
        plan.snapshots.sort_by(|one, other| one.id.cmp(&other.id));
        for (id, error) in std::mem::take(&mut self.damaged) {
            known.insert(id.clone());
            plan.damaged.push((id, error.to_string()));
        }
        for id in &self.unfinished {
            let (folder, last) = (self.folders.get(id), self.last_written(id));
            let folder = folder.copied().unwrap_or_default();
            let is_running = self.running.contains(id);
            known.insert(id.clone());
            plan.unfinished.push(PlannedUnfinished {
                id: id.clone(),
                last_written: last.to_string(),
                objects: folder.objects,
                stored_bytes: folder.stored_bytes,
                is_running,
                goes: !is_running && last < old,
            });
        }
        for (id, folder) in &self.folders {
            if !known.contains(id) && self.last_written(id) < old {
                plan.unnamed.push(PlannedUnnamed {
                    id: id.clone(),
                    objects: folder.objects,
                    stored_bytes: folder.stored_bytes,
                });
            }
        }
    }
}

impl Held {
    async fn of(snapshot: Snapshot, look: Look) -> Result<Self> {
        let manifest = snapshot.manifest();
        let (run, tags) = (&manifest.run, manifest.tags.clone());
        let (mut part, mut is_unknown_part) = (run.part(), manifest.of_part);
        if manifest.of_part {
            // In the place of nothing else.
            part = Some(format!("what only a key tells of {}", snapshot.id()));
            match snapshot.run().await {
                Ok(run) => (part, is_unknown_part) = (run.part(), false),
                Err(error) if [ErrorKind::Denied, ErrorKind::Data].contains(&error.kind()) => {}
                Err(error) => return Err(error),
            }
        }
        let at = moment(&snapshot).and_then(|at| Timestamp::from_second(at.seconds.into()).ok());
        let started = run.started_at.parse().ok();
        let at = at.or(started).unwrap_or_else(|| begun_at(snapshot.id()));
        Ok(Self {
            of: (0, part),
            candidate: Candidate { at, tags, look },
            is_unknown_part,
            snapshot,
        })
    }
}

impl Held {
    pub(super) fn source(&self) -> &SourceRecord {
        &self.snapshot.manifest().run.source
    }
}

/// Numbers the deployments: what has a name and a host in common is of one, and so is what has that in common with one of those.
fn tell_apart(held: &mut [Held]) {
    for number in 0..held.len() {
        held[number].of.0 = number;
        let (before, rest) = held.split_at_mut(number);
        let same = before
            .iter()
            .filter(|it| it.source().is_of_same_deployment(rest[0].source()))
            .map(|it| it.of.0);
        let same: BTreeSet<usize> = same.collect();
        if let Some(first) = same.first() {
            rest[0].of.0 = *first;
            for it in before.iter_mut().filter(|it| same.contains(&it.of.0)) {
                it.of.0 = *first;
            }
        }
    }
}

/// What a deployment is called.
fn name(source: &SourceRecord) -> String {
    let name = source.set_name.clone();
    name.unwrap_or_else(|| source.hosts.join(","))
}

/// When a snapshot was begun, as its id says it, to the second.
fn begun_at(id: &SnapshotId) -> Timestamp {
    id.begun_at().parse().unwrap_or(Timestamp::MAX)
}

/// How much lies where the objects of each snapshot are.
async fn folders(repository: &Repository) -> Result<BTreeMap<SnapshotId, Folder>> {
    let mut folders: BTreeMap<SnapshotId, Folder> = BTreeMap::new();
    for prefix in [SNAPSHOTS, BEGUN] {
        let mut listed = repository.store().list(prefix);
        while let Some(listed) = listed.try_next().await? {
            let Listed::Object(object) = listed else {
                continue;
            };
            let id = match BegunRecord::parse_path(&object.path) {
                Some((id, _)) => Some(id),
                None => SnapshotId::of_object(&object.path),
            };
            let Some(id) = id else { continue };
            let folder = folders.entry(id).or_default();
            folder.objects += 1;
            folder.stored_bytes += object.stored_bytes;
            let modified = object.modified.and_then(|at| Timestamp::try_from(at).ok());
            folder.modified = folder.modified.max(modified);
        }
    }
    Ok(folders)
}
