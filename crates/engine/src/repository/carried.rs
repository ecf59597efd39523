//! What of a snapshot is carried to another place, byte for byte.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{
    Digester, Namespace, SegmentRecord,
    repository::{BEGUN, BegunRecord, MAX_RECORD_BYTES, SnapshotId, SnapshotManifest},
};
use rdump_storage::{StorageError, Store, read_ahead};

use super::{
    Repository, Snapshot, differs, encryption, found, read_bytes, read_record, sizes,
    snapshot::Object,
};
use crate::{Error, Result, media::segments::segment_ranges};

/// The records of a snapshot: all that is not in its folder.
pub(super) struct Carried {
    /// The root of its manifest.
    pub(super) root: Bytes,
    /// The keys, if it is encrypted: the path, and the bytes.
    pub(super) keys: Option<(String, Bytes)>,
    /// Who began the snapshot, in the order of the attempts.
    pub(super) begun: Vec<(String, Bytes)>,
}

impl Carried {
    pub(super) async fn of(repository: &Repository, snapshot: &Snapshot) -> Result<Self> {
        let (store, id) = (&**repository.store(), snapshot.id());
        let root = whole(store, &id.manifest()).await?;
        let same = SnapshotManifest::from_bytes(&root).is_ok_and(|it| it == *snapshot.manifest());
        if !same {
            let path = id.manifest();
            return Err(Error::data(format!("{path} was changed meanwhile")).at(path));
        }
        let keys = match snapshot.manifest().is_encrypted() {
            false => None,
            true => {
                let path = encryption::key_record(store, id).await?.path();
                let bytes = whole(store, &path).await?;
                Some((path, bytes))
            }
        };
        let prefix = format!("{BEGUN}{id}-");
        let mut attempts = Vec::new();
        let mut listed = store.list(&prefix);
        while let Some(listed) = listed.try_next().await? {
            attempts.extend(BegunRecord::parse_path(listed.path()).map(|(_, attempt)| attempt));
        }
        drop(listed);
        attempts.sort_unstable();
        if attempts.is_empty() {
            return Err(Error::data(format!("no attempt at snapshot {id} is recorded")).at(prefix));
        }
        let mut begun = Vec::new();
        for attempt in attempts {
            let path = format!("{prefix}{attempt}.json");
            let record = read_record(store, &path, BegunRecord::from_bytes).await?;
            let record = record.ok_or_else(|| missing(&path))??;
            if record.path() != path {
                let of = record.path();
                return Err(Error::data(format!("{path} is that of {of}")).at(path));
            }
            begun.push((path.clone(), whole(store, &path).await?));
        }
        Ok(Self { root, keys, begun })
    }

    /// All but the root, by their paths.
    pub(super) fn records(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        let records = self.keys.iter().chain(&self.begun);
        records.map(|(path, bytes)| (path.as_str(), bytes))
    }
}

/// The bytes of a record that has to be there.
pub(super) async fn whole(store: &dyn Store, path: &str) -> Result<Bytes> {
    match read_bytes(store, path, MAX_RECORD_BYTES).await? {
        Some(bytes) => bytes,
        None => Err(missing(path)),
    }
}

fn missing(path: &str) -> Error {
    Error::data(format!("{path} is missing")).at(path)
}

/// The catalog and the parts of the manifest.
pub(super) fn described(snapshot: &Snapshot) -> impl Iterator<Item = Object> {
    let manifest = snapshot.manifest();
    let objects = [&manifest.catalog].into_iter().chain(&manifest.parts);
    objects.map(|object| Object {
        path: object.path.clone(),
        segments: object.segments.clone(),
        namespace: None,
    })
}

/// The bytes of an object, each of whose segments is compared with its digest before it is given.
pub(super) fn checked(
    store: &Arc<dyn Store>,
    path: &str,
    records: Vec<SegmentRecord>,
    namespace: Option<Namespace>,
) -> BoxStream<'static, Result<Bytes>> {
    let path: Arc<str> = path.into();
    let records: Arc<[SegmentRecord]> = records.into();
    let reads = read_ahead(store, &path, None, segment_ranges(Arc::clone(&records)));
    let of = Arc::new((path, namespace));
    stream::try_unfold((reads, 0_usize), move |(mut reads, number)| {
        let (record, of, count) = (records.get(number).cloned(), Arc::clone(&of), records.len());
        async move {
            let Some(record) = record else {
                return Ok(None);
            };
            let (path, namespace) = &*of;
            let of_namespace = |error: Error| match namespace {
                Some(namespace) => error.for_namespace(namespace),
                None => error,
            };
            let damaged = || {
                let error = format!("segment {} of {count} of {path} is damaged", number + 1);
                of_namespace(Error::data(error).at(&**path))
            };
            let read = reads.next().await;
            let read = read.ok_or_else(|| Error::internal("a segment was not read"))?;
            let stored = read.map_err(|error| match error {
                StorageError::NotFound { .. } => of_namespace(missing(path)),
                StorageError::TooShort { .. } | StorageError::Changed { .. } => {
                    damaged().caused_by(error)
                }
                error => of_namespace(error.into()),
            })?;
            let checked = tokio::task::spawn_blocking(move || {
                let checked = record.check_stored(&stored, &mut Digester::new());
                checked.map(|()| stored)
            });
            let checked = checked
                .await
                .map_err(|error| Error::task("check a segment", error))?;
            let checked = checked.map_err(|error| damaged().caused_by(error))?;
            Ok(Some((checked, (reads, number + 1))))
        }
    })
    .boxed()
}

impl Repository {
    /// Refuses to write a snapshot, with these records, that is there or was begun by somebody else.
    pub(super) async fn check_free(
        &self,
        id: &SnapshotId,
        root: &Bytes,
        records: &[(&str, &Bytes)],
    ) -> Result<()> {
        let store = &**self.store();
        if let Some(found) = found(store, &id.manifest(), root.len()).await? {
            let same = match found == *root {
                true => "with the same manifest",
                false => "with another manifest",
            };
            return Err(Error::conflict(format!(
                "snapshot {id} is in {} already, {same}; nothing was changed",
                self.location()
            ))
            .with_hint(format!("`rdump verify {id}` looks at what is there")));
        }
        for (path, bytes) in records {
            let found = found(store, path, bytes.len()).await?;
            if found.is_some_and(|found| found != **bytes) {
                return Err(differs(store, path));
            }
        }
        let known: HashSet<_> = records.iter().map(|(path, _)| *path).collect();
        let prefix = format!("{BEGUN}{id}-");
        let mut listed = store.list(&prefix);
        while let Some(listed) = listed.try_next().await? {
            let path = listed.path();
            if BegunRecord::parse_path(path).is_some() && !known.contains(path) {
                return Err(Error::conflict(format!(
                    "snapshot {id} was begun in {} by an attempt that is not of what would be stored there: {path}",
                    self.location()
                )));
            }
        }
        Ok(())
    }

    /// Compares the sizes of what is in the folder of a snapshot with those that were stored.
    pub(super) async fn check_stored(
        &self,
        id: &SnapshotId,
        expected: &BTreeMap<String, u64>,
    ) -> Result<()> {
        let found = sizes(&**self.store(), id).await?;
        let is_stored = |(path, bytes): (&String, &u64)| found.get(path) == Some(bytes);
        match expected.iter().find(|it| !is_stored(*it)) {
            None => Ok(()),
            Some((path, _)) => {
                let path = format!("{}{path}", id.folder());
                let message = format!("{path} was stored, and is gone or of another length since");
                Err(Error::data(message).at(path))
            }
        }
    }
}
