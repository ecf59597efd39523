//! Looking at a snapshot again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    ops::Range,
    sync::Arc,
    time::Instant,
};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use rdump_format::{
    Digester, Namespace, SegmentRecord,
    repository::{
        AuditVerb, BEGUN, BegunRecord, CatalogEntry, DataKeys, KEYS, SnapshotId, StoredObject,
        VERIFIED, VerificationRecord,
    },
};
use rdump_storage::{StorageError, read_ahead};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Repository, Snapshot, encryption, not_written,
    progress::SnapshotProgress,
    put_once, read_record, sizes,
    snapshot::{Object, StoredNamespace},
};
use crate::{
    Damage, DamageKind, Error, ErrorKind, Observer, Result, context::RunContext,
    default_parallelism, verify::chain,
};

/// Faults that are told of one object.
const MOST_FAULTS: usize = 10;
/// Objects that nothing names that are named.
const MOST_UNREFERENCED: usize = 1000;

/// How closely a snapshot is looked at. Plain data.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SnapshotVerifyOptions {
    /// Read this much of the data, and each time what comes after what was read the last time. Default: all.
    pub sample: Option<Sample>,
    /// Decompress every segment that is read, walk its documents and count them. Default: false, which compares stored bytes
    /// with their digests.
    pub deep: bool,
}

impl SnapshotVerifyOptions {
    /// Sets how much of the data is read.
    #[must_use]
    pub fn sample(mut self, sample: Option<Sample>) -> Self {
        self.sample = sample;
        self
    }

    /// Sets whether documents are walked.
    #[must_use]
    pub fn deep(mut self, yes: bool) -> Self {
        self.deep = yes;
        self
    }
}

/// How much of the data is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sample {
    /// This share of the stored bytes, in percent.
    Percent(f64),
    /// So many stored bytes.
    Bytes(u64),
}

impl Sample {
    /// How many of so many bytes.
    fn of(self, total: u64) -> u64 {
        let bytes = match self {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "a byte more or less is as good"
            )]
            Self::Percent(percent) => {
                (total as f64 * percent.clamp(0.0, 100.0) / 100.0).ceil() as u64
            }
            Self::Bytes(bytes) => bytes,
        };
        bytes.clamp(1, total.max(1))
    }
}

/// What was found when a snapshot was verified.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SnapshotVerifyReport {
    /// The snapshot.
    pub id: SnapshotId,
    /// Data objects that the manifest names.
    pub objects: u64,
    /// Their size as stored, in bytes.
    pub stored_bytes: u64,
    /// How many of these bytes were read and compared with their digests.
    pub verified_bytes: u64,
    /// Documents that were walked; none but with `deep`.
    pub documents: u64,
    /// Whether it is encrypted and no key was given: what is stored is compared with its digests then, and nobody knows whether a key opens it.
    pub locked: bool,
    /// Everything that is not as the manifest says.
    pub damage: Vec<Damage>,
    /// Objects in the folder of the snapshot that its manifest does not name, or names as given up: at most a thousand, and
    /// none if a part of the manifest is damaged, so that it cannot be told.
    pub unreferenced: Vec<String>,
    /// How many of these there are.
    pub unreferenced_objects: u64,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
}

impl SnapshotVerifyReport {
    fn new(id: SnapshotId) -> Self {
        Self {
            id,
            objects: 0,
            stored_bytes: 0,
            verified_bytes: 0,
            documents: 0,
            locked: false,
            damage: Vec::new(),
            unreferenced: Vec::new(),
            unreferenced_objects: 0,
            duration_seconds: 0.0,
        }
    }

    /// Whether everything is as the manifest says.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    fn outcome(&self) -> Outcome {
        Outcome::new(self.damage.len())
            .figure("verified-bytes", self.verified_bytes)
            .figure("stored-bytes", self.stored_bytes)
    }

    fn damaged(&mut self, path: &str, kind: DamageKind, message: impl Into<String>) {
        self.damage.push(Damage::new(path, kind, message));
    }
}

impl fmt::Display for SnapshotVerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for damage in &self.damage {
            writeln!(f, "{damage}")?;
        }
        match self.damage.len() {
            0 if self.verified_bytes < self.stored_bytes => write!(
                f,
                "nothing is wrong with {} of {} bytes of snapshot {}",
                self.verified_bytes, self.stored_bytes, self.id
            ),
            0 => write!(
                f,
                "snapshot {} is whole: {} of {} bytes in {} objects were looked at",
                self.id, self.verified_bytes, self.stored_bytes, self.objects
            ),
            places => write!(f, "snapshot {} is damaged in {places} places", self.id),
        }
    }
}

impl Repository {
    /// Looks at a snapshot again: at its manifest, at the size of every object and, as the options say, at the data. What
    /// was looked at is recorded in the repository, if it may be written to.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if there is no such snapshot, [`ErrorKind::Unsupported`] if it is of a newer format,
    /// [`ErrorKind::Frozen`] if data has to be thawed before, [`ErrorKind::Conflict`] if it was deleted meanwhile,
    /// [`ErrorKind::Cancelled`], and as the place has them. Damage is no error: it is in the report.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the reading.
    pub async fn verify(
        &self,
        id: &SnapshotId,
        options: &SnapshotVerifyOptions,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<SnapshotVerifyReport> {
        let mut cx = RunContext::default();
        cx.set_observer(observer);
        cx.cancel = cancel;
        let clock = Instant::now();
        let verifying = Verifying {
            repository: self,
            options,
            cx: &cx,
        };
        let mut verified = cx.unless_cancelled(verifying.run(id).boxed()).await;
        if let Ok(report) = &mut verified {
            report.duration_seconds = clock.elapsed().as_secs_f64();
            if !report.is_whole() && self.is_deleted(id).await? {
                let message = format!("snapshot {id} was deleted while it was verified");
                verified = Err(Error::conflict(message));
            }
        }
        let act = self.act(AuditVerb::Verify).snapshot(Some(id)).since(clock);
        let missing = act.end(&verified, SnapshotVerifyReport::outcome).await;
        cx.unrecorded(missing, None);
        verified
    }

    /// Whether a snapshot that was there is not any more. What is damaged has its manifest or the copy of it, which are
    /// deleted before all else.
    async fn is_deleted(&self, id: &SnapshotId) -> Result<bool> {
        let (manifest, copy) = (id.manifest(), id.manifest_copy());
        Ok(self.store().head(&manifest).await?.is_none()
            && self.store().head(&copy).await?.is_none())
    }
}

struct Verifying<'a> {
    repository: &'a Repository,
    options: &'a SnapshotVerifyOptions,
    cx: &'a RunContext,
}

/// How much of a snapshot can be read.
enum Opened {
    /// All, under its keys if it is encrypted.
    Open(Option<Arc<DataKeys>>),
    /// What is stored, and not what it is.
    Closed,
}

/// What was found in a data object.
#[derive(Default)]
struct Checked {
    bytes: u64,
    documents: u64,
    damage: Vec<Damage>,
}

impl Verifying<'_> {
    async fn run(&self, id: &SnapshotId) -> Result<SnapshotVerifyReport> {
        let mut report = SnapshotVerifyReport::new(id.clone());
        self.attempts(id, &mut report).await?;
        let snapshot = match self.repository.snapshot(id).await {
            Ok(snapshot) => snapshot,
            Err(error) if error.kind() == ErrorKind::Data => {
                let path = id.manifest();
                report.damaged(&path, DamageKind::Manifest, one_line(&error));
                let copy = id.manifest_copy();
                let copy = self.repository.snapshot_by(id, &copy);
                // What is stored is worth looking at: with the copy in its place the snapshot may be whole.
                if let Ok(Some(snapshot)) = copy.await {
                    self.objects(&snapshot, &mut report).await?;
                }
                return Ok(report);
            }
            Err(error) => return Err(error),
        };
        if let Err(error) = snapshot.check_encrypted() {
            let path = id.manifest();
            report.damaged(&path, DamageKind::Manifest, one_line(&error));
        }
        self.copy(&snapshot, &mut report).await?;
        self.objects(&snapshot, &mut report).await?;
        Ok(report)
    }

    /// The records of who began the snapshot.
    async fn attempts(&self, id: &SnapshotId, report: &mut SnapshotVerifyReport) -> Result<()> {
        let store = &**self.repository.store();
        let mut paths = Vec::new();
        let prefix = format!("{BEGUN}{id}-");
        let mut listed = store.list(&prefix);
        while let Some(listed) = listed.try_next().await? {
            paths.push(listed.path().to_owned());
        }
        for path in &paths {
            let Some(record) = read_record(store, path, BegunRecord::from_bytes).await? else {
                continue;
            };
            match record {
                Ok(record) if record.path() == *path => {}
                Ok(record) => {
                    let of = record.path();
                    report.damaged(path, DamageKind::Digest, format!("it is {of}"));
                }
                Err(error) => report.damaged(path, DamageKind::Digest, one_line(&error)),
            }
        }
        if paths.is_empty() && store.head(&id.manifest()).await?.is_some() {
            report.damaged(&prefix, DamageKind::Missing, "no attempt is recorded");
        }
        Ok(())
    }

    /// The copy of the manifest.
    async fn copy(&self, snapshot: &Snapshot, report: &mut SnapshotVerifyReport) -> Result<()> {
        let (id, store) = (snapshot.id(), self.repository.store());
        let path = id.manifest_copy();
        let Some(info) = store.head(&path).await? else {
            let message = format!("{path} is missing: the writer may have died after the manifest");
            self.cx.notice(None, message);
            return Ok(());
        };
        let expected = snapshot.manifest().to_bytes().map_err(not_written)?;
        if info.stored_bytes != expected.len() as u64 {
            report.damaged(&path, DamageKind::Size, "it is not as long as the manifest");
            return Ok(());
        }
        let read = store.read(&path, 0..info.stored_bytes, info.version.as_ref());
        if read.await? != expected {
            report.damaged(
                &path,
                DamageKind::Digest,
                "it is not the same as the manifest",
            );
        }
        Ok(())
    }

    /// Everything that the manifest names.
    async fn objects(&self, snapshot: &Snapshot, report: &mut SnapshotVerifyReport) -> Result<()> {
        let (id, manifest) = (snapshot.id(), snapshot.manifest());
        let mut present = sizes(&**self.repository.store(), id).await?;
        for object in manifest.parts.iter().chain([&manifest.catalog]) {
            let stored = object.stored_bytes();
            self.size(id, &object.path, stored, &mut present, report);
        }
        let opened = self.open(snapshot, report).await?;
        let is_open = matches!(opened, Opened::Open(_));
        let entries = match is_open {
            true => self.catalog(snapshot, report).await?,
            false => {
                if let Err(error) = snapshot.check_catalog().await {
                    self.unreadable(&manifest.catalog, error, report)?;
                }
                None
            }
        };
        let mut objects = Vec::new();
        let mut is_known = true;
        for part in &manifest.parts {
            let read = match is_open {
                true => {
                    let part = snapshot.part(part).await;
                    part.map(|part| part.objects.into_iter().map(Object::of).collect())
                }
                false => {
                    let index = snapshot.index(part).await;
                    index.map(|index| index.objects.into_iter().map(Object::closed).collect())
                }
            };
            let read: Result<Vec<_>> = read;
            match read {
                Ok(read) => objects.extend(read),
                Err(error) => {
                    is_known = false;
                    self.unreadable(part, error, report)?;
                }
            }
        }
        if is_known && is_open {
            match snapshot.stored(None, |_| true).await {
                Ok(stored) => {
                    compare(snapshot, entries.as_deref(), &stored, report);
                    let wanted = stored.values().flat_map(|stored| &stored.objects);
                    let wanted: HashSet<_> = wanted.map(|object| object.path.as_str()).collect();
                    objects.retain(|object| wanted.contains(object.path.as_str()));
                }
                Err(error) if error.kind() == ErrorKind::Data => {
                    is_known = false;
                    report.damaged(&id.manifest(), DamageKind::Manifest, one_line(&error));
                }
                Err(error) => return Err(error),
            }
        }
        let mut whole = Vec::new();
        for object in objects {
            let stored = object.stored_bytes();
            report.objects += 1;
            report.stored_bytes += stored;
            let is_there = self.size(id, &object.path, stored, &mut present, report);
            whole.push((object, is_there));
        }
        // What a part names that cannot be read is not to be taken for what nothing names.
        if is_known {
            report.unreferenced_objects = present.len() as u64;
            let unreferenced = present.into_keys().take(MOST_UNREFERENCED);
            let folder = id.folder();
            report.unreferenced = unreferenced.map(|path| format!("{folder}{path}")).collect();
        }
        self.data(snapshot, &opened, whole, report).await
    }

    /// What it takes to read the catalog and the manifest.
    async fn open(&self, snapshot: &Snapshot, report: &mut SnapshotVerifyReport) -> Result<Opened> {
        match snapshot.keys().await {
            Ok(keys) => Ok(Opened::Open(keys)),
            Err(error) if error.kind() == ErrorKind::Data => {
                let (path, store) = (error.location().unwrap_or(KEYS), self.repository.store());
                let kind = match encryption::numbers(&**store, snapshot.id())
                    .await?
                    .as_slice()
                {
                    [] => DamageKind::Missing,
                    _ => DamageKind::Digest,
                };
                report.damaged(path, kind, one_line(&error));
                Ok(Opened::Closed)
            }
            Err(_) if snapshot.is_locked() && !self.options.deep => {
                report.locked = true;
                Ok(Opened::Closed)
            }
            Err(error) => Err(error),
        }
    }

    /// The namespaces that have documents, if the catalog can be read.
    async fn catalog(
        &self,
        snapshot: &Snapshot,
        report: &mut SnapshotVerifyReport,
    ) -> Result<Option<Vec<CatalogEntry>>> {
        let manifest = snapshot.manifest();
        let (mut namespaces, mut entries) = (0_u64, Vec::new());
        let mut catalog = snapshot.catalog();
        loop {
            match catalog.try_next().await {
                Ok(Some(entry)) => {
                    namespaces += 1;
                    entries.extend(Some(entry).filter(|entry| entry.data.is_some()));
                }
                Ok(None) => break,
                Err(error) => {
                    self.unreadable(&manifest.catalog, error, report)?;
                    return Ok(None);
                }
            }
        }
        if namespaces != manifest.namespaces {
            let message = format!(
                "it has {namespaces} namespaces, but the manifest recorded {}",
                manifest.namespaces
            );
            let path = format!("{}{}", snapshot.id().folder(), manifest.catalog.path);
            report.damaged(&path, DamageKind::Format, message);
        }
        Ok(Some(entries))
    }

    /// Whether an object is there and as long as it should be.
    fn size(
        &self,
        id: &SnapshotId,
        path: &str,
        wanted: u64,
        present: &mut BTreeMap<String, u64>,
        report: &mut SnapshotVerifyReport,
    ) -> bool {
        let found = present.remove(path);
        let path = format!("{}{path}", id.folder());
        match found {
            Some(found) if found == wanted => return true,
            Some(found) => {
                let message = format!("it has {found} bytes, but the manifest recorded {wanted}");
                report.damaged(&path, DamageKind::Size, message);
            }
            None => report.damaged(&path, DamageKind::Missing, "it is not there"),
        }
        false
    }

    /// Takes down that the catalog or a part cannot be read, unless that was found out before.
    fn unreadable(
        &self,
        object: &StoredObject,
        error: Error,
        report: &mut SnapshotVerifyReport,
    ) -> Result<()> {
        if error.kind() != ErrorKind::Data {
            return Err(error);
        }
        let path = format!("{}{}", report.id.folder(), object.path);
        if !report.damage.iter().any(|damage| damage.path == path) {
            report.damaged(&path, DamageKind::Digest, one_line(&error));
        }
        Ok(())
    }

    /// The data, or a sample of it.
    async fn data(
        &self,
        snapshot: &Snapshot,
        opened: &Opened,
        objects: Vec<(Object, bool)>,
        report: &mut SnapshotVerifyReport,
    ) -> Result<()> {
        let id = snapshot.id();
        let mut record = self.next_record(id, report.stored_bytes).await?;
        let sampled = self.options.sample.map(|_| {
            let end = record.from.saturating_add(record.bytes);
            // What lies beyond the end is at the beginning.
            let wrapped = end.saturating_sub(report.stored_bytes);
            [record.from..end, 0..wrapped]
        });
        let mut start = 0_u64;
        let mut reads = Vec::new();
        for (object, is_there) in objects {
            let begin = start;
            start += object.stored_bytes();
            if is_there {
                let chosen = chosen(&object.segments, begin, sampled.as_ref());
                if !chosen.is_empty() {
                    reads.push((object, chosen));
                }
            }
        }
        let wanted = reads.iter().map(|(object, _)| object.path.as_str());
        snapshot.check_readable(wanted).await?;
        let bytes = |chosen: &[(usize, Range<u64>)]| {
            let bytes = chosen.iter().map(|(_, range)| range.end - range.start);
            bytes.sum::<u64>()
        };
        let to_read = reads.iter().map(|(_, chosen)| bytes(chosen)).sum();
        let through = (reads.len() as u64, to_read);
        let mut progress = SnapshotProgress::start(self.cx, snapshot.id(), through);
        let checks = stream::iter(reads)
            .map(|(object, chosen)| self.object(snapshot, opened, object, chosen));
        let mut checks = checks.buffered(default_parallelism().get());
        while let Some(checked) = checks.next().await {
            let checked = checked?;
            progress.add(checked.bytes);
            report.verified_bytes += checked.bytes;
            report.documents += checked.documents;
            report.damage.extend(checked.damage);
        }
        progress.finish();
        record.damaged = report.damage.len() as u64;
        record.deep = self.options.deep;
        record.verified_at = self.cx.now().to_string();
        let bytes = record.to_bytes().map_err(not_written)?;
        let store = &**self.repository.store();
        if let Err(error) = put_once(store, &record.path(), bytes).await {
            let message = format!(
                "that it was verified could not be recorded: it does not count as good, and the next sample may be the same: {error}"
            );
            self.cx.notice(None, message);
        }
        Ok(())
    }

    /// What is to be looked at, after what was looked at before.
    async fn next_record(&self, id: &SnapshotId, total: u64) -> Result<VerificationRecord> {
        let store = &**self.repository.store();
        let prefix = format!("{VERIFIED}{id}-");
        let mut numbers = BTreeSet::new();
        let mut listed = store.list(&prefix);
        while let Some(listed) = listed.try_next().await? {
            numbers.extend(VerificationRecord::parse_path(listed.path()).map(|(_, n)| n));
        }
        let repository = self.repository.record().id;
        let mut record = VerificationRecord::new(repository, id.clone(), "");
        if let Some(last) = numbers.last() {
            record.number = last.saturating_add(1);
            let path = format!("{prefix}{last}.json");
            let last = read_record(store, &path, VerificationRecord::from_bytes).await?;
            if let Some(Ok(last)) = last
                && total > 0
            {
                record.from = last.from.saturating_add(last.bytes) % total;
            }
        }
        match self.options.sample {
            Some(sample) => record.bytes = sample.of(total),
            None => (record.from, record.bytes) = (0, total),
        }
        Ok(record)
    }

    /// The chosen segments of one data object.
    async fn object(
        &self,
        snapshot: &Snapshot,
        opened: &Opened,
        object: Object,
        chosen: Vec<(usize, Range<u64>)>,
    ) -> Result<Checked> {
        let path = format!("{}{}", snapshot.id().folder(), object.path);
        let codec = snapshot.manifest().codec;
        let (deep, keys) = match opened {
            Opened::Open(keys) => (self.options.deep, keys.clone()),
            Opened::Closed => (false, None),
        };
        let mut checked = Checked::default();
        let ranges: Vec<_> = chosen.iter().map(|(_, range)| range.clone()).collect();
        let mut reads = read_ahead(self.repository.store(), &path, None, ranges);
        for (number, range) in chosen {
            let (Some(read), Some(segment)) = (reads.next().await, object.segments.get(number))
            else {
                break;
            };
            let stored = match read {
                Ok(stored) => stored,
                Err(StorageError::NotFound { .. }) => {
                    let message = "it was removed while it was being read";
                    checked
                        .damage
                        .push(Damage::new(&path, DamageKind::Missing, message));
                    break;
                }
                Err(StorageError::TooShort { .. } | StorageError::Changed { .. }) => {
                    let message = "it was changed while it was being read";
                    checked
                        .damage
                        .push(Damage::new(&path, DamageKind::Size, message));
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            checked.bytes += stored.len() as u64;
            let record = segment.clone();
            let (keys, place) = (keys.clone(), object.path.clone());
            let work = tokio::task::spawn_blocking(move || {
                let checked = record.check_stored(&stored, &mut Digester::new());
                checked.map_err(|error| (DamageKind::Digest, chain(&error)))?;
                if !deep {
                    return Ok(());
                }
                let decrypted = keys.map(|keys| keys.decrypt_segment(&place, number, &stored));
                let decrypted = decrypted.transpose();
                let decrypted = decrypted.map_err(|error| (DamageKind::Digest, chain(&error)))?;
                let bytes = decrypted.as_deref().unwrap_or(&stored);
                let decoded = record.decode(codec, bytes, &mut Vec::new());
                decoded.map_err(|error| (DamageKind::Format, chain(&error)))
            });
            let outcome = work
                .await
                .map_err(|error| Error::task("verify segment", error))?;
            match outcome {
                Ok(()) if deep => checked.documents += segment.documents,
                Ok(()) => {}
                Err((kind, problem)) => {
                    let documents = object.namespace.as_ref().map_or_else(String::new, |of| {
                        format!(", {} documents of {of}", segment.documents)
                    });
                    let message = format!(
                        "segment {} of {} (bytes {} to {}){documents}: {problem}",
                        number + 1,
                        object.segments.len(),
                        range.start,
                        range.end,
                    );
                    checked.damage.push(Damage::new(&path, kind, message));
                    if checked.damage.len() == MOST_FAULTS {
                        break;
                    }
                }
            }
        }
        Ok(checked)
    }
}

/// The segments, by number and place, of an object that begins at `begin` of all bytes, that are to be read.
fn chosen(
    segments: &[SegmentRecord],
    begin: u64,
    sampled: Option<&[Range<u64>; 2]>,
) -> Vec<(usize, Range<u64>)> {
    let mut chosen = Vec::new();
    let mut start = 0_u64;
    for (number, segment) in segments.iter().enumerate() {
        let range = start..start + segment.stored_bytes;
        start = range.end;
        let is_chosen = sampled.is_none_or(|sampled| {
            let mut sampled = sampled.iter();
            sampled.any(|part| part.start < begin + range.end && begin + range.start < part.end)
        });
        if is_chosen {
            chosen.push((number, range));
        }
    }
    chosen
}

/// Takes down what of the catalog is not stored, and what is stored without being in the catalog.
fn compare(
    snapshot: &Snapshot,
    entries: Option<&[CatalogEntry]>,
    stored: &HashMap<Namespace, StoredNamespace>,
    report: &mut SnapshotVerifyReport,
) {
    let Some(entries) = entries else { return };
    let in_catalog: HashSet<_> = entries.iter().filter_map(|e| e.data.as_ref()).collect();
    let ends = entries.iter().map(|entry| {
        let stored = entry.data.as_ref().and_then(|data| stored.get(data));
        snapshot.check_end(entry, stored.map(|stored| &stored.end))
    });
    let mut unknown = stored.keys().filter(|found| !in_catalog.contains(found));
    let unknown = unknown.next().map(|found| snapshot.not_in_catalog(found));
    let wrong = ends.filter_map(Result::err).next();
    for error in wrong.iter().chain(&unknown) {
        let manifest = snapshot.id().manifest();
        report.damaged(&manifest, DamageKind::Manifest, one_line(error));
    }
}

fn one_line(error: &Error) -> String {
    chain(error)
}

#[cfg(test)]
mod tests {
    use rdump_format::Digest;

    use super::*;

    #[test]
    fn samples_one_after_the_other_cover_everything() {
        let segments: Vec<_> = (1..40)
            .map(|bytes| SegmentRecord {
                documents: 1,
                uncompressed_bytes: 5,
                stored_bytes: bytes,
                sha256: Digest::of(b""),
            })
            .collect();
        let total: u64 = segments.iter().map(|segment| segment.stored_bytes).sum();
        let sample = Sample::Percent(15.0);
        let (mut seen, mut from) = (BTreeSet::new(), 500);
        for _ in 0..7 {
            let end = from + sample.of(total);
            let sampled = [from..end, 0..end.saturating_sub(total)];
            let chosen = chosen(&segments, 0, Some(&sampled));
            assert!(chosen.len() < segments.len());
            seen.extend(chosen.into_iter().map(|(number, _)| number));
            from = end % total;
        }
        assert_eq!(seen.len(), segments.len());
    }

    #[test]
    fn a_sample_is_never_nothing_and_never_more_than_all() {
        assert_eq!(Sample::Percent(10.0).of(1000), 100);
        assert_eq!(Sample::Percent(0.0).of(1000), 1);
        assert_eq!(Sample::Percent(1000.0).of(1000), 1000);
        assert_eq!(Sample::Bytes(5 << 30).of(1000), 1000);
        assert_eq!(Sample::Bytes(0).of(0), 1);
    }
}
