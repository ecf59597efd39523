//! A snapshot being written as a bundle.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use rdump_format::{
    BLOCK_BYTES, BundleEntry,
    repository::{AuditVerb, REPOSITORY_FILE, SnapshotId},
};
use rdump_storage::{Sink, Store};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{MAX_HEAD_BYTES, data_objects};
use crate::{
    Error, ErrorKind, Observer, Repository, Result,
    context::RunContext,
    media::single_object::{self, NewObject},
    repository::{
        Outcome, Snapshot,
        carried::{self, Carried},
        progress::SnapshotProgress,
        sink,
        snapshot::Object,
    },
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
            let paths = objects.iter().map(|object| object.path.as_str());
            snapshot.check_readable(paths).await?;
            Ok((snapshot, head, objects))
        };
        let (snapshot, head, objects) = cx.unless_cancelled(looked_at).await?;
        let act = snapshot.act(AuditVerb::Bundle).map(|act| act.to(sink(&to)));
        let write = async |object| write((self, &cx), &snapshot, (head, objects), object).await;
        let mut bundled = single_object::write(to, &cx, write).await;
        if let Ok(report) = &mut bundled {
            report.duration_seconds = clock.elapsed().as_secs_f64();
        }
        if let Some(act) = act {
            let outcome = |report: &BundleReport| {
                Outcome::default()
                    .figure("objects", report.objects)
                    .figure("bytes", report.bundle_bytes)
            };
            cx.unrecorded(act.end(&bundled, outcome).await, None);
        }
        bundled
    }
}

async fn write(
    (repository, cx): (&Repository, &RunContext),
    snapshot: &Snapshot,
    ((of_repository, carried), objects): ((Bytes, Carried), Vec<Object>),
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
    bundle.put(REPOSITORY_FILE, of_repository).await?;
    bundle
        .put(&id.manifest_copy(), carried.root.clone())
        .await?;
    for (path, bytes) in carried.records() {
        bundle.put(path, bytes.clone()).await?;
    }
    let folder = id.folder();
    for object in carried::described(snapshot) {
        let path = format!("{folder}{}", object.path);
        bundle.copy(&path, object).await?;
    }
    let mut report = BundleReport {
        id: id.clone(),
        objects: objects.len() as u64,
        stored_bytes: 0,
        bundle_bytes: 0,
        duration_seconds: 0.0,
    };
    let to_write = objects.iter().map(Object::stored_bytes).sum();
    let mut progress = SnapshotProgress::start(cx, id, (report.objects, to_write));
    for object in objects {
        let stored_bytes = object.stored_bytes();
        let path = format!("{folder}{}", object.path);
        bundle.copy(&path, object).await?;
        report.stored_bytes += stored_bytes;
        progress.add(stored_bytes);
    }
    progress.finish();
    bundle.put(&id.manifest(), carried.root).await?;
    bundle
        .write(Bytes::from_static(&[0; 2 * BLOCK_BYTES]))
        .await?;
    report.bundle_bytes = bundle.bytes;
    bundle.output.finish().await?;
    Ok(report)
}

/// What of the records goes into a bundle: `repository.json`, and what is carried of the snapshot.
async fn head(repository: &Repository, snapshot: &Snapshot) -> Result<(Bytes, Carried)> {
    let carried = Carried::of(repository, snapshot).await?;
    let (manifest, records) = (snapshot.manifest(), carried.begun.iter());
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
    let of_repository = carried::whole(&**repository.store(), REPOSITORY_FILE).await?;
    Ok((of_repository, carried))
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
    async fn copy(&mut self, path: &str, object: Object) -> Result<()> {
        let entry = self.begin(path, object.stored_bytes()).await?;
        let (segments, namespace) = (object.segments, object.namespace);
        let mut segments = carried::checked(self.store, path, segments, namespace);
        while let Some(segment) = segments.try_next().await? {
            self.write(segment).await?;
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
