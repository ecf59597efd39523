//! A snapshot being written as a bundle.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use rdump_format::{
    BLOCK_BYTES, BundleEntry, Digester, Namespace, SegmentRecord,
    repository::{BEGUN, BegunRecord, REPOSITORY_FILE, SnapshotId, SnapshotManifest},
};
use rdump_storage::{Sink, StorageError, Store, read_ahead};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{MAX_HEAD_BYTES, data_objects};
use crate::{
    Error, ErrorKind, Observer, Repository, Result,
    context::RunContext,
    media::{
        segments::segment_ranges,
        single_object::{self, NewObject},
    },
    repository::{Snapshot, encryption, read_bytes, read_record, snapshot::Object},
};

/// What became of a snapshot that was written as a bundle.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BundleReport {
    /// The snapshot.
    pub id: SnapshotId,
    /// How many data objects it has.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// The size of the bundle, in bytes.
    pub bundle_bytes: u64,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
}

impl Repository {
    /// Writes a snapshot as a bundle: one tar stream, which [`unbundle`](Self::unbundle), a [`BundleReader`](crate::BundleReader)
    /// and any tar take apart again. Every byte is compared with its digest before it is written.
    ///
    /// A file or an object gets its name when it is complete, and does not replace what is there. A stream that ends before
    /// that is no whole bundle, and whoever reads it says so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if there is no such snapshot; [`ErrorKind::Data`] if anything of it is lost or damaged;
    /// [`ErrorKind::Conflict`] if there is something already where the bundle goes; [`ErrorKind::Unsupported`] if something of
    /// it is too large for a tar, or its manifest has more than 1 GiB; [`ErrorKind::Cancelled`], and as both places have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up what was being written. A stream has a beginning without an end then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::{fs::File, sync::Arc};
    ///
    /// use rdump::{CancellationToken, Location, Repository};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let (observer, cancel) = (Arc::new(()), CancellationToken::new());
    /// let repository = Repository::open(&"backups".parse()?).await?;
    /// let id = repository.find_id("latest").await?;
    /// let file: Location = "snapshot.tar".parse()?;
    /// repository.bundle(&id, file.sink()?, observer.clone(), cancel.clone()).await?;
    ///
    /// let copy: Location = "s3://elsewhere/backups".parse()?;
    /// let input = File::open("snapshot.tar")?;
    /// let report = Repository::unbundle(&copy, "snapshot.tar", input, observer, cancel).await?;
    /// println!("{} is in {copy}", report.id);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bundle(
        &self,
        id: &SnapshotId,
        to: Sink,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<BundleReport> {
        let clock = Instant::now();
        let mut cx = RunContext::default();
        cx.set_observer(observer);
        cx.cancel = cancel;
        // What is wrong with it is known before anything is written, as far as that is possible.
        let looked_at = async {
            let snapshot = self.snapshot(id).await?;
            let head = head(self, &snapshot).await?;
            let objects = data_objects(&snapshot).await?;
            Ok((snapshot, head, objects))
        };
        let (snapshot, head, objects) = cx.unless_cancelled(looked_at).await?;
        let write = async |object| write(self, &snapshot, (head, objects), object).await;
        let mut report = single_object::write(to, &cx, write).await?;
        report.duration_seconds = clock.elapsed().as_secs_f64();
        Ok(report)
    }
}

async fn write(
    repository: &Repository,
    snapshot: &Snapshot,
    (head, objects): (Head, Vec<Object>),
    output: NewObject,
) -> Result<BundleReport> {
    let id = snapshot.id();
    let started_at = snapshot.manifest().run.started_at.parse::<Timestamp>();
    let modified = started_at.map_or(0, Timestamp::as_second);
    let mut bundle = Bundle {
        store: repository.store(),
        output,
        modified_seconds: u64::try_from(modified).unwrap_or_default(),
        bytes: 0,
    };
    bundle.put(REPOSITORY_FILE, head.repository).await?;
    bundle.put(&id.manifest_copy(), head.root.clone()).await?;
    for (path, bytes) in head.keys.into_iter().chain(head.begun) {
        bundle.put(&path, bytes).await?;
    }
    let (manifest, folder) = (snapshot.manifest(), id.folder());
    for object in [&manifest.catalog].into_iter().chain(&manifest.parts) {
        let path = format!("{folder}{}", object.path);
        bundle.copy(&path, object.segments.clone(), None).await?;
    }
    let mut report = BundleReport {
        id: id.clone(),
        objects: objects.len() as u64,
        stored_bytes: 0,
        bundle_bytes: 0,
        duration_seconds: 0.0,
    };
    for object in objects {
        report.stored_bytes += object.stored_bytes();
        let path = format!("{folder}{}", object.path);
        let (segments, namespace) = (object.segments, object.namespace);
        bundle.copy(&path, segments, namespace).await?;
    }
    bundle.put(&id.manifest(), head.root).await?;
    bundle
        .write(Bytes::from_static(&[0; 2 * BLOCK_BYTES]))
        .await?;
    report.bundle_bytes = bundle.bytes;
    bundle.output.finish().await?;
    Ok(report)
}

/// What a bundle has of records.
struct Head {
    repository: Bytes,
    root: Bytes,
    /// The keys, if it is encrypted.
    keys: Option<(String, Bytes)>,
    /// Who began the snapshot, in the order of the attempts.
    begun: Vec<(String, Bytes)>,
}

async fn head(repository: &Repository, snapshot: &Snapshot) -> Result<Head> {
    let (store, id) = (&**repository.store(), snapshot.id());
    let missing = |path: &str| Error::data(format!("{path} is missing")).at(path);
    let whole = async |path: &str| match read_bytes(store, path).await? {
        Some(bytes) => bytes,
        None => Err(missing(path)),
    };
    let root = whole(&id.manifest()).await?;
    let is_same = SnapshotManifest::from_bytes(&root).is_ok_and(|it| it == *snapshot.manifest());
    if !is_same {
        let path = id.manifest();
        return Err(Error::data(format!("{path} was changed meanwhile")).at(path));
    }
    let keys = match snapshot.manifest().is_encrypted() {
        false => None,
        true => {
            let path = encryption::key_record(store, id).await?.path();
            let bytes = whole(&path).await?;
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
        begun.push((path.clone(), whole(&path).await?));
    }
    let (manifest, records) = (snapshot.manifest(), begun.iter());
    let records: u64 = records.map(|(_, bytes)| bytes.len() as u64).sum();
    let objects = manifest.parts.iter().chain([&manifest.catalog]);
    let objects = objects.map(|object| object.stored_bytes());
    if objects.fold(records, u64::saturating_add) > MAX_HEAD_BYTES {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the manifest of {snapshot} has more than {MAX_HEAD_BYTES} bytes, which is too much for a bundle"
            ),
        ));
    }
    Ok(Head {
        repository: whole(REPOSITORY_FILE).await?,
        root,
        keys,
        begun,
    })
}

/// A bundle being written.
struct Bundle<'a> {
    store: &'a Arc<dyn Store>,
    output: NewObject,
    modified_seconds: u64,
    bytes: u64,
}

impl Bundle<'_> {
    /// Writes an object that is at hand.
    async fn put(&mut self, path: &str, bytes: Bytes) -> Result<()> {
        let entry = self.begin(path, bytes.len() as u64).await?;
        self.write(bytes).await?;
        self.end(&entry).await
    }

    /// Copies an object of the repository, each of whose segments is compared with its digest before it is written.
    async fn copy(
        &mut self,
        path: &str,
        records: Vec<SegmentRecord>,
        namespace: Option<Namespace>,
    ) -> Result<()> {
        // What is wrong with the place that the bundle goes to is not about one.
        let of_namespace = |error: Error| match &namespace {
            Some(namespace) => error.for_namespace(namespace),
            None => error,
        };
        let lengths = records.iter().map(|record| record.stored_bytes);
        let stored_bytes = lengths.fold(0, u64::saturating_add);
        let entry = self.begin(path, stored_bytes).await?;
        let records: Arc<[SegmentRecord]> = records.into();
        let ranges = segment_ranges(Arc::clone(&records));
        let mut reads = read_ahead(self.store, path, None, ranges);
        for (number, record) in (1..).zip(records.iter().cloned()) {
            let damaged = || {
                let of = records.len();
                let error = format!("segment {number} of {of} of {path} is damaged");
                of_namespace(Error::data(error).at(path))
            };
            let read = reads.next().await;
            let read = read.ok_or_else(|| Error::internal("a segment was not read"))?;
            let stored = read.map_err(|error| match error {
                StorageError::NotFound { .. } => {
                    of_namespace(Error::data(format!("{path} is missing")).at(path))
                }
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
            self.write(checked.map_err(|error| damaged().caused_by(error))?)
                .await?;
        }
        self.end(&entry).await
    }

    async fn begin(&mut self, path: &str, stored_bytes: u64) -> Result<BundleEntry> {
        let entry = BundleEntry::new(path, stored_bytes);
        let header = entry.to_header(self.modified_seconds).map_err(|error| {
            let message = format!("{path} cannot be in a bundle");
            Error::new(ErrorKind::Unsupported, message).caused_by(error)
        })?;
        self.write(Bytes::copy_from_slice(&header)).await?;
        Ok(entry)
    }

    async fn end(&mut self, entry: &BundleEntry) -> Result<()> {
        match entry.padding_bytes() {
            0 => Ok(()),
            padding => self.write(vec![0; padding].into()).await,
        }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        self.output.write(bytes).await
    }
}
