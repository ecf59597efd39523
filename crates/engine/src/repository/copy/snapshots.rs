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
            let described = carried::described(snapshot).map(|object| (object, Kind::Described));
            let data = bundle::data_objects(snapshot).await?.into_iter();
            let data = data.map(|object| (object, Kind::Data));
            let objects: Vec<_> = described.chain(data).collect();
            let sized = |(object, _): &(Object, _)| (object.path.clone(), object.stored_bytes());
            let expected: BTreeMap<_, _> = objects.iter().map(sized).collect();
            let there = sizes(&**store, id).await?;
            // Owned, or the future could not be sent to another thread.
            let copies = objects.into_iter().map(|(object, kind)| {
                let there = there.get(&object.path).copied();
                self.object(format!("{folder}{}", object.path), (object, kind), there)
            });
            let copies: Vec<_> = copies.collect();
            let through = (copies.len() as u64, expected.values().sum());
            let mut progress = SnapshotProgress::start(&self.cx, id, through);
            let mut copies = stream::iter(copies).buffer_unordered(OBJECTS_AT_ONCE);
            while let Some((stored_bytes, was_there)) = copies.try_next().await? {
                progress.add(stored_bytes);
                match was_there {
                    true => report.kept_bytes += stored_bytes,
                    false => {
                        report.objects += 1;
                        report.stored_bytes += stored_bytes;
                    }
                }
                if let Some(lease) = lease {
                    lease.check().await?;
                }
            }
            // Only now: what was begun and not finished would be gone on with as a backup.
            for (path, bytes) in &carried.begun {
                put_same(&**store, path, bytes.clone()).await?;
            }
            self.to.check_stored(id, &expected).await?;
            store.flush().await?;
            progress.finish();
            Ok(())
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

    /// Copies one object, unless it is there; gives its size, and whether it was.
    async fn object(
        &self,
        path: String,
        (object, kind): (Object, Kind),
        there: Option<u64>,
    ) -> Result<(u64, bool)> {
        let (from, to) = (self.from.store(), self.to.store());
        let stored_bytes = object.stored_bytes();
        match there {
            None => {}
            // It was put there whole: an object is, or is not there.
            Some(there) if there == stored_bytes => return Ok((stored_bytes, true)),
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
            return Ok((stored_bytes, false));
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
            true => Ok((stored_bytes, false)),
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
