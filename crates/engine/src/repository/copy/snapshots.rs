//! Snapshots on their way.
//!
//! A snapshot is stored in this order: keys, everything in its folder, who began it, the manifest, the copy of it. Until the last but one there is none.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rdump_format::repository::{KeyRecord, SnapshotId};

use super::{CopyReport, RepositoryCopy};
use crate::{
    Error, Result,
    media::leftover_notice,
    repository::{
        Snapshot, bundle,
        carried::{self, Carried},
        differs, encryption, found,
        lease::Lease,
        progress::SnapshotProgress,
        put_manifest, put_same, sizes,
        snapshot::Object,
    },
};

/// What an object is for its store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What says what the snapshot is made of: it is read before the rest, and so is never of a class for data.
    Described,
    Data,
}

/// How an object came to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It was there.
    Kept,
    /// Through this machine.
    Copied,
    /// The store copied it.
    ByStore,
}

/// How many objects are copied at once.
const OBJECTS_AT_ONCE: usize = 4;

impl RepositoryCopy {
    pub(super) async fn snapshot(
        &self,
        snapshot: &Snapshot,
        report: &mut CopyReport,
    ) -> Result<()> {
        let id = snapshot.id();
        let looked_at = async {
            let carried = Carried::of(&self.from, snapshot).await?;
            let there = found(&**self.to.store(), &id.manifest(), carried.root.len()).await?;
            Ok((carried, there))
        };
        let (carried, there) = self.cx.unless_cancelled(looked_at).await?;
        match there {
            Some(there) if there == carried.root => {
                let store = &**self.to.store();
                if self.cx.unless_cancelled(self.lacks(id)).await? {
                    self.mend(snapshot, &carried, report).await?;
                }
                put_same(store, &id.manifest_copy(), carried.root.clone()).await?;
                report.present += 1;
            }
            Some(_) => {
                return Err(Error::conflict(format!(
                    "{} holds another snapshot of this id",
                    self.to.location()
                ))
                .at(id.manifest()));
            }
            None => {
                let lease = self.take_lease(id.as_str()).await?;
                let copied = self
                    .absent(snapshot, &carried, lease.as_ref(), report)
                    .await;
                if let Some(lease) = lease {
                    lease.release().await;
                }
                copied?;
                report.snapshots.push(id.clone());
            }
        }
        if let Some(keys) = &carried.keys
            && self.keys(id, keys).await?
        {
            report.rekeyed.push(id.clone());
        }
        Ok(())
    }

    /// Whether something that is in the folder of a snapshot here is not there, or is of another length.
    async fn lacks(&self, id: &SnapshotId) -> Result<bool> {
        let here = sizes(&**self.from.store(), id).await?;
        let there = sizes(&**self.to.store(), id).await?;
        Ok(here
            .iter()
            .any(|(path, bytes)| there.get(path) != Some(bytes)))
    }

    /// Copies what a snapshot that is there has lost. What only lies in its folder here, and is of no use to it, is not copied.
    async fn mend(
        &self,
        snapshot: &Snapshot,
        carried: &Carried,
        report: &mut CopyReport,
    ) -> Result<()> {
        let (store, id, before) = (self.to.store(), snapshot.id(), report.objects);
        let lease = self.take_lease(id.as_str()).await?;
        let stored = async {
            self.objects(snapshot, lease.as_ref(), report).await?;
            Ok(store.flush().await?)
        };
        let mended = self.cx.unless_cancelled(stored).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        mended?;
        if report.objects > before {
            let root = found(&**store, &id.manifest(), carried.root.len()).await?;
            if root.as_ref() != Some(&carried.root) {
                let message = format!("{} was deleted there meanwhile", id.manifest());
                return Err(Error::conflict(message).at(id.manifest()));
            }
            report.mended.push(id.clone());
        }
        Ok(())
    }

    pub(super) async fn take_lease(&self, name: &str) -> Result<Option<Lease>> {
        match self.lease {
            Some(lasts) => Lease::take(self.to.store(), name, lasts).await.map(Some),
            None => Ok(None),
        }
    }

    /// Copies a snapshot that is not there.
    async fn absent(
        &self,
        snapshot: &Snapshot,
        carried: &Carried,
        lease: Option<&Lease>,
        report: &mut CopyReport,
    ) -> Result<()> {
        let (store, id) = (self.to.store(), snapshot.id());
        let folder = id.folder();
        let stored = async {
            let records: Vec<_> = carried.records().collect();
            self.to.check_free(id, &carried.root, &records).await?;
            let folders = ["catalog", "data", "parts"].map(|name| format!("{folder}{name}"));
            for leftover in store.remove_leftovers(&folders).await? {
                self.cx.notice(None, leftover_notice(&leftover));
            }
            if let Some((path, bytes)) = &carried.keys {
                put_same(&**store, path, bytes.clone()).await?;
            }
            self.objects(snapshot, lease, report).await?;
            // Only now: what was begun and not finished would be gone on with as a backup.
            for (path, bytes) in &carried.begun {
                put_same(&**store, path, bytes.clone()).await?;
            }
            Ok(store.flush().await?)
        };
        self.cx.unless_cancelled(stored).await?;
        if let Some(lease) = lease {
            lease.check().await?;
        }
        // To its end, or somebody hears of no snapshot where there is one.
        for problem in put_manifest(&**store, id, carried.root.to_vec()).await? {
            self.cx.notice(None, problem);
        }
        Ok(())
    }

    /// Copies everything in the folder of a snapshot that is not there.
    async fn objects(
        &self,
        snapshot: &Snapshot,
        lease: Option<&Lease>,
        report: &mut CopyReport,
    ) -> Result<()> {
        let (store, id) = (self.to.store(), snapshot.id());
        let folder = id.folder();
        let described = carried::described(snapshot).map(|object| (object, Kind::Described));
        let data = bundle::data_objects(snapshot).await?.into_iter();
        let data = data.map(|object| (object, Kind::Data));
        let objects: Vec<_> = described.chain(data).collect();
        let sized = |(object, _): &(Object, _)| (object.path.clone(), object.stored_bytes());
        let expected: BTreeMap<_, _> = objects.iter().map(sized).collect();
        let there = sizes(&**store, id).await?;
        let missing = expected.keys().filter(|path| !there.contains_key(*path));
        snapshot.check_readable(missing.map(String::as_str)).await?;
        // Owned, or the future could not be sent to another thread.
        let copies = objects.into_iter().map(|(object, kind)| {
            let there = there.get(&object.path).copied();
            self.object(format!("{folder}{}", object.path), (object, kind), there)
        });
        let copies: Vec<_> = copies.collect();
        let through = (copies.len() as u64, expected.values().sum());
        let mut progress = SnapshotProgress::start(&self.cx, id, through);
        let mut copies = stream::iter(copies).buffer_unordered(OBJECTS_AT_ONCE);
        while let Some((stored_bytes, way)) = copies.try_next().await? {
            progress.add(stored_bytes);
            match way {
                Way::Kept => report.kept_bytes += stored_bytes,
                Way::Copied | Way::ByStore => {
                    report.objects += 1;
                    report.stored_bytes += stored_bytes;
                }
            }
            if way == Way::ByStore {
                report.server_side_bytes += stored_bytes;
            }
            if let Some(lease) = lease {
                lease.check().await?;
            }
        }
        self.to.check_stored(id, &expected).await?;
        progress.finish();
        Ok(())
    }

    /// Copies one object, unless it is there; gives its size, and how it came there.
    async fn object(
        &self,
        path: String,
        (object, kind): (Object, Kind),
        there: Option<u64>,
    ) -> Result<(u64, Way)> {
        let (from, to) = (self.from.store(), self.to.store());
        let stored_bytes = object.stored_bytes();
        match there {
            None => {}
            // It was put there whole: an object is, or is not there.
            Some(there) if there == stored_bytes => return Ok((stored_bytes, Way::Kept)),
            Some(_) => return Err(differs(&**to, &path)),
        }
        let (segments, namespace) = (object.segments, object.namespace);
        let mut segments = carried::checked(from, &path, segments, namespace);
        if kind == Kind::Described {
            let mut bytes = Vec::new();
            while let Some(segment) = segments.try_next().await? {
                bytes.extend_from_slice(&segment);
            }
            put_same(&**to, &path, bytes.into()).await?;
            return Ok((stored_bytes, Way::Copied));
        }
        if self.copied_by_store(&path, stored_bytes).await? {
            return Ok((stored_bytes, Way::ByStore));
        }
        let mut upload = to.upload(&path).await?;
        while let Some(segment) = segments.try_next().await? {
            let read = segment.len() as u64;
            self.cx.counters.bytes_read.add(read);
            upload.write(segment).await?;
            self.cx.counters.bytes_written.add(read);
        }
        let stored = upload.finish().await?;
        match stored.stored_bytes == stored_bytes {
            true => Ok((stored_bytes, Way::Copied)),
            false => Err(Error::data(format!(
                "{path} has {} bytes instead of {stored_bytes}",
                stored.stored_bytes
            ))
            .at(path)),
        }
    }

    /// Brings keys that are older there to what they are here; gives whether they were.
    pub(super) async fn keys(
        &self,
        id: &SnapshotId,
        (path, bytes): &(String, Bytes),
    ) -> Result<bool> {
        let store = &**self.to.store();
        let Some((_, number)) = KeyRecord::parse_path(path) else {
            return Err(Error::internal("a key record is where none can be"));
        };
        let numbers = encryption::numbers(store, id).await?;
        let is_older = numbers.iter().any(|it| *it < number);
        // Where they were wrapped anew by themselves, they stay as they are.
        if numbers.last().is_some_and(|last| *last > number) {
            return Ok(false);
        }
        if numbers.last() != Some(&number) {
            put_same(store, path, bytes.clone()).await?;
            store.flush().await?;
        }
        if is_older {
            encryption::delete_keys(store, id, |it| it < number).await?;
        }
        Ok(is_older)
    }
}
