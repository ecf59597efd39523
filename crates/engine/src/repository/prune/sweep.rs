//! The deletions.
//!
//! A snapshot goes in this order: the copy of its manifest, its manifest, what says who began it, what was found when it was verified, its keys, its
//! objects. So it is whole until its manifest is gone; it may look like one that did not finish then, with all that is needed to go on; and what is
//! left after that is of nothing that has a name, and goes by its folder, keys and all.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use rdump_format::repository::{
    BEGUN, KEYS, LEASES, PrunedRecord, SnapshotId, SpanName, TIMELINE, VERIFIED,
};
use rdump_storage::{Listed, StorageError};

use super::{PlannedUnnamed, Prune, PrunePlan, PruneReport};
use crate::{
    Error, ErrorKind, Event, Result,
    repository::{PARALLEL_READS, lease, lease::Lease, not_written, put_same},
};

/// How many objects are deleted between two looks at the lease.
const AT_ONCE: usize = 1000;
/// The most paths and problems of a report.
const MOST_NAMED: usize = 1000;

/// What becomes of deletions.
struct Sweeping<'a> {
    prune: &'a Prune,
    lease: Option<&'a Lease>,
    report: PruneReport,
}

impl Prune {
    pub(super) async fn sweep(
        &self,
        plan: &PrunePlan,
        lease: Option<&Lease>,
    ) -> Result<PruneReport> {
        let mut sweeping = Sweeping {
            prune: self,
            lease,
            report: PruneReport::default(),
        };
        sweeping.check_kept(plan).await?;
        for id in plan.leaving() {
            sweeping.snapshot(&id).await?;
        }
        for unfinished in &plan.unfinished {
            if unfinished.goes {
                sweeping.unfinished(&unfinished.id).await?;
            }
        }
        for unnamed in &plan.unnamed {
            sweeping.unnamed(&unnamed.id).await?;
        }
        sweeping.slices(plan).await?;
        self.repository.store().flush().await?;
        Ok(sweeping.report)
    }

    /// What the folders of snapshots that are kept hold of attempts that came to nothing.
    pub(super) async fn given_up(&self, plan: &PrunePlan) -> Result<Vec<PlannedUnnamed>> {
        let mut found = Vec::new();
        for snapshot in &plan.snapshots {
            if snapshot.goes() {
                continue;
            }
            let unnamed = self.unnamed_in(&snapshot.id).await?;
            if !unnamed.is_empty() {
                found.push(PlannedUnnamed {
                    id: snapshot.id.clone(),
                    objects: unnamed.len() as u64,
                    stored_bytes: unnamed.iter().map(|(_, bytes)| bytes).sum(),
                });
            }
        }
        Ok(found)
    }

    /// The objects of a snapshot that was gone on with which its manifest does not name. What cannot be told has none.
    async fn unnamed_in(&self, id: &SnapshotId) -> Result<Vec<(String, u64)>> {
        let snapshot = self.repository.snapshot(id).await?;
        let manifest = snapshot.manifest();
        if manifest.earlier_attempts.is_empty() {
            return Ok(Vec::new());
        }
        let mut named = BTreeSet::from([manifest.catalog.path.clone()]);
        for part in &manifest.parts {
            let index = match snapshot.index(part).await {
                Err(error) if error.kind() == ErrorKind::Data => return Ok(Vec::new()),
                index => index?,
            };
            named.insert(part.path.clone());
            named.extend(index.objects.into_iter().map(|object| object.path));
        }
        let folder = id.folder();
        let mut listed = self.repository.store().list(&folder);
        let mut unnamed = Vec::new();
        while let Some(listed) = listed.try_next().await? {
            if let Listed::Object(object) = listed
                && let Some(path) = object.path.strip_prefix(&folder)
                && !named.contains(path)
            {
                unnamed.push((object.path, object.stored_bytes));
            }
        }
        Ok(unnamed)
    }
}

impl Sweeping<'_> {
    /// Refuses to delete anything where what was to be kept is not there any more.
    async fn check_kept(&self, plan: &PrunePlan) -> Result<()> {
        let (manifests, copies) = self.prune.repository.finished().await?;
        let mut kept = plan.snapshots.iter().filter(|it| !it.goes());
        match kept.find(|it| !manifests.contains(&it.id)) {
            Some(lost) if !copies.contains(&lost.id) => Err(Error::conflict(format!(
                "snapshot {}, which was to be kept, is gone since the plan was made; nothing was deleted",
                lost.id
            ))),
            Some(lost) => Err(Error::conflict(format!(
                "the manifest of snapshot {}, which was to be kept, is gone since the plan was made; nothing was deleted",
                lost.id
            ))),
            None => Ok(()),
        }
    }

    async fn snapshot(&mut self, id: &SnapshotId) -> Result<()> {
        let store = self.prune.repository.store();
        for path in [id.manifest_copy(), id.manifest()] {
            let stored = store.head(&path).await?;
            let bytes = stored.map_or(0, |stored| stored.stored_bytes);
            if !self.delete(&[(path, bytes)]).await? {
                return Ok(());
            }
        }
        self.report.snapshots += 1;
        let notice = format!("snapshot {id} is deleted");
        self.prune.cx.notice(None, notice);
        self.rest(id).await
    }

    /// What was begun and never finished, unless somebody goes on with it now.
    async fn unfinished(&mut self, id: &SnapshotId) -> Result<()> {
        let repository = &self.prune.repository;
        let Some(taken) = self.hold(id).await? else {
            return Ok(());
        };
        let (manifests, copies) = repository.finished().await?;
        let swept = match manifests.contains(id) || copies.contains(id) {
            // It was gone on with, and finished.
            true => Ok(()),
            false => {
                self.report.unfinished += 1;
                self.rest(id).await
            }
        };
        if let Some(taken) = taken {
            taken.release().await;
        }
        swept
    }

    /// Keeps others from writing a snapshot, by its lease if leases are taken; `None` if somebody writes it now.
    async fn hold(&self, id: &SnapshotId) -> Result<Option<Option<Lease>>> {
        let lasts = self.prune.lease.unwrap_or(lease::LEASE);
        let taken = match (self.is_held(id).await?, self.lease) {
            (true, _) => None,
            (false, None) => Some(None),
            (false, Some(_)) => {
                let store = self.prune.repository.store();
                match Lease::take(store, id.as_str(), lasts).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => None,
                    taken => Some(Some(taken?)),
                }
            }
        };
        if taken.is_none() {
            let notice = format!("{id} is kept: somebody goes on with it now");
            self.prune.cx.notice(None, notice);
        }
        Ok(taken)
    }

    /// Whether somebody may be writing a snapshot: whose lease cannot be read, nobody knows.
    async fn is_held(&self, id: &SnapshotId) -> Result<bool> {
        match lease::holder(&**self.prune.repository.store(), id.as_str()).await {
            Err(error) if error.kind() == ErrorKind::Data => Ok(true),
            holder => Ok(holder?.is_some()),
        }
    }

    /// All that is left of a snapshot without a manifest.
    async fn rest(&mut self, id: &SnapshotId) -> Result<()> {
        let folders = ["catalog", "data", "parts"].map(|name| format!("{}{name}", id.folder()));
        // Nothing would lead to these any more.
        self.prune
            .repository
            .store()
            .remove_leftovers(&folders)
            .await?;
        for prefix in [BEGUN, VERIFIED, KEYS] {
            let found = self.listed(&format!("{prefix}{id}-")).await?;
            if !self.delete(&found).await? {
                return Ok(());
            }
        }
        let found = self.listed(&id.folder()).await?;
        self.delete(&found).await?;
        let store = self.prune.repository.store();
        if !self.is_held(id).await? {
            let path = format!("{LEASES}{id}.json");
            if let Some(info) = store.head(&path).await? {
                self.delete(&[(path, info.stored_bytes)]).await?;
            }
        }
        Ok(())
    }

    /// What nothing names in the folder of a snapshot, or of none.
    async fn unnamed(&mut self, id: &SnapshotId) -> Result<()> {
        let repository = &self.prune.repository;
        let Some(taken) = self.hold(id).await? else {
            return Ok(());
        };
        let (manifests, copies) = repository.finished().await?;
        let is_begun = !self.listed(&format!("{BEGUN}{id}-")).await?.is_empty();
        let swept = if manifests.contains(id) {
            let found = self.prune.unnamed_in(id).await?;
            self.delete(&found).await.map(drop)
        } else if copies.contains(id) || is_begun {
            // Somebody has made it something since.
            Ok(())
        } else {
            self.rest(id).await
        };
        if let Some(taken) = taken {
            taken.release().await;
        }
        swept
    }

    /// The oldest first, so that what is left has no hole.
    async fn slices(&mut self, plan: &PrunePlan) -> Result<()> {
        let repository = &self.prune.repository;
        let Some(before) = plan.slices.before else {
            return Ok(());
        };
        let now = self.prune.clock().to_string();
        let record = PrunedRecord::new(repository.record().id, before, now);
        let bytes = record.to_bytes().map_err(not_written)?;
        let store = repository.store();
        if store.head(&record.path()).await?.is_none() {
            put_same(&**store, &record.path(), bytes.into()).await?;
            store.flush().await?;
        }
        let listed: HashMap<_, _> = self.listed(TIMELINE).await?.into_iter().collect();
        let paths = plan.slices.spans.iter().map(SpanName::path);
        let found = paths.filter_map(|path| listed.get_key_value(&path));
        let found: Vec<_> = found.map(|(path, bytes)| (path.clone(), *bytes)).collect();
        let already = self.report.objects;
        self.delete(&found).await?;
        self.report.slices = self.report.objects - already;
        // What an older record says, this one says too.
        let is_older = |path: &str| PrunedRecord::parse_path(path).is_some_and(|at| at < before);
        let mut older = self.listed(TIMELINE).await?;
        older.retain(|(path, _)| is_older(path));
        self.delete(&older).await.map(drop)
    }

    async fn listed(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let mut listed = self.prune.repository.store().list(prefix);
        let mut found = Vec::new();
        while let Some(listed) = listed.try_next().await? {
            if let Listed::Object(object) = listed {
                found.push((object.path, object.stored_bytes));
            }
        }
        Ok(found)
    }

    /// Deletes objects; gives whether all are gone.
    async fn delete(&mut self, objects: &[(String, u64)]) -> Result<bool> {
        let mut all = true;
        for chunk in objects.chunks(AT_ONCE) {
            if self.prune.cx.cancel.is_cancelled() {
                return Err(Error::cancelled());
            }
            if let Some(lease) = self.lease {
                lease.check().await?;
            }
            let objects = self.unlocked(chunk).await?;
            all &= objects.len() == chunk.len();
            if objects.is_empty() {
                continue;
            }
            let paths: Vec<&str> = objects.iter().map(|(path, _)| path.as_str()).collect();
            match self.prune.repository.store().delete(&paths).await {
                Ok(()) => {
                    self.report.objects += objects.len() as u64;
                    self.report.stored_bytes += objects.iter().map(|(_, bytes)| bytes).sum::<u64>();
                }
                Err(error) if is_refusal(&error) && paths.len() > 1 => {
                    for object in &objects {
                        all &= self.delete_one(object).await?;
                    }
                }
                Err(error) if is_refusal(&error) => {
                    self.refused(paths[0], &error).await?;
                    all = false;
                }
                Err(error) => return Err(error.into()),
            }
            self.prune.cx.emit(Event::ObjectsDeleted {
                objects: self.report.objects,
                stored_bytes: self.report.stored_bytes,
            });
        }
        Ok(all)
    }

    /// Those that are not locked: some stores take the deletion of one that is, and hide it.
    async fn unlocked(&mut self, objects: &[(String, u64)]) -> Result<Vec<(String, u64)>> {
        let prune = self.prune;
        let asked = stream::iter(objects.to_vec()).map(|object| async move {
            let locked = prune.locked(&object.0).await?;
            Ok::<_, Error>((object, locked))
        });
        let asked: Vec<_> = asked.buffered(PARALLEL_READS).try_collect().await?;
        let mut unlocked = Vec::with_capacity(objects.len());
        for (object, locked) in asked {
            match locked {
                Some(reason) => name(&mut self.report.retained, format!("{}: {reason}", object.0)),
                None => unlocked.push(object),
            }
        }
        Ok(unlocked)
    }

    async fn delete_one(&mut self, (path, bytes): &(String, u64)) -> Result<bool> {
        match self.prune.repository.store().delete(&[path]).await {
            Ok(()) => {
                self.report.objects += 1;
                self.report.stored_bytes += bytes;
                Ok(true)
            }
            Err(error) if is_refusal(&error) => {
                self.refused(path, &error).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes down what was refused: because it is locked, or nobody knows why.
    async fn refused(&mut self, path: &str, error: &StorageError) -> Result<()> {
        let locked = self.prune.locked(path).await.unwrap_or_default();
        match locked {
            Some(reason) => name(&mut self.report.retained, format!("{path}: {reason}")),
            None => name(&mut self.report.problems, error.to_string()),
        }
        Ok(())
    }
}

fn name(list: &mut Vec<String>, what: String) {
    if list.len() < MOST_NAMED {
        list.push(what);
    }
}

/// Whether a store refuses to delete one object, and may delete others.
fn is_refusal(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Denied { .. } | StorageError::Refused { .. }
    )
}
