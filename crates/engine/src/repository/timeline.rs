//! Slices of the oplog, and gaps between them, as they are stored.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::TryStreamExt;
use rdump_format::{
    Codec, Segment, SegmentRecord,
    repository::{
        BEGUN, BegunRecord, DataKeys, GapRecord, KEYS, KeyRecord, OplogSlice, Previous,
        PrunedRecord, REPOSITORY_FILE, SliceFooter, SliceHeader, SnapshotId, SpanKind, SpanName,
        TIMELINE, Timeline, WaitingRecord,
    },
};
use rdump_storage::{Listed, StorageError};

use super::{
    Repository,
    encryption::{self, Recipients},
    lease::Lease,
    not_written, put_same,
};
use crate::{Counters, Error, ErrorKind, Result};

/// The lease of whoever captures: one for a repository.
pub(super) const CAPTURE: &str = "capture";
/// Objects that are neither slices nor gaps that are named.
const MOST_STRANGERS: usize = 1000;
/// The longest slice that is read, in bytes: one of an entry after another of the longest ones.
const MAX_SLICE_BYTES: u64 = 1 << 30;

impl Repository {
    /// What is captured, by the names of slices and gaps.
    ///
    /// # Errors
    ///
    /// As the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn timeline(&self) -> Result<Timeline> {
        let mut listed = self.store().list(TIMELINE);
        let (mut spans, mut pruned) = (Vec::new(), None);
        while let Some(listed) = listed.try_next().await? {
            spans.extend(SpanName::parse_path(listed.path()));
            pruned = pruned.max(PrunedRecord::parse_path(listed.path()));
        }
        let mut timeline: Timeline = spans.into_iter().collect();
        if let Some(before) = pruned {
            timeline.prune(before);
        }
        Ok(timeline)
    }

    /// What lies where slices and gaps are stored and is neither, at most a thousand of them.
    pub(super) async fn strangers(&self) -> Result<Vec<String>> {
        let mut listed = self.store().list(TIMELINE);
        let mut paths = Vec::new();
        while let Some(listed) = listed.try_next().await? {
            let is_stranger = SpanName::parse_path(listed.path()).is_none()
                && PrunedRecord::parse_path(listed.path()).is_none();
            if let (Listed::Object(object), true) =
                (listed, is_stranger && paths.len() < MOST_STRANGERS)
            {
                paths.push(object.path);
            }
        }
        Ok(paths)
    }

    /// Who captures now, if somebody does.
    ///
    /// # Errors
    ///
    /// As the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn capturing(&self) -> Result<Option<Capturing>> {
        let holder = super::lease::holder(&**self.store(), CAPTURE).await?;
        Ok(holder.map(|record| Capturing {
            host: record.host,
            since: record.taken_at,
            waiting: record.waiting,
        }))
    }

    pub(crate) async fn take_capture_lease(
        &self,
        lasts: std::time::Duration,
        since: String,
    ) -> Result<CaptureLease> {
        let lease = Lease::take_since(self.store(), CAPTURE, lasts, since).await?;
        Ok(CaptureLease(lease))
    }

    /// The runs of captures whose slices are encrypted, the oldest first: [`rekey`](Self::rekey) takes their ids.
    ///
    /// # Errors
    ///
    /// As the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn encrypted_captures(&self) -> Result<Vec<SnapshotId>> {
        let of_keys = |path: &str| KeyRecord::parse_path(path).map(|(id, _)| id);
        let of_begun = |path: &str| BegunRecord::parse_path(path).map(|(id, _)| id);
        let mut ids = self.ids(KEYS, of_keys).await?;
        for snapshot in self.ids(BEGUN, of_begun).await? {
            ids.remove(&snapshot);
        }
        let (manifests, copies) = self.finished().await?;
        ids.retain(|id| !manifests.contains(id) && !copies.contains(id));
        Ok(ids.into_iter().collect())
    }

    /// Whether a snapshot, or what was captured last of a timeline, is encrypted with the keys of this id.
    pub(super) async fn uses_keys(&self, id: &SnapshotId) -> Result<bool> {
        for path in [id.manifest(), id.manifest_copy()] {
            if self.store().head(&path).await?.is_some() {
                return Ok(true);
            }
        }
        let timeline = self.timeline().await?;
        let is_encrypted = |span: &SpanName| span.kind == SpanKind::EncryptedSlice;
        for span in timeline.ends().into_iter().filter(is_encrypted) {
            let bytes = self.read_span(&span).await?;
            if parse_slice(&span, &bytes).is_ok_and(|slice| slice.header.capture == *id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses to write what would follow nothing: where the last slice was removed, or the whole repository.
    pub(crate) async fn check_present(&self, previous: Option<&Previous>) -> Result<()> {
        let last = previous.map_or(REPOSITORY_FILE, |previous| &previous.path);
        if self.store().head(last).await?.is_some() {
            return Ok(());
        }
        let gone = match self.store().head(REPOSITORY_FILE).await? {
            Some(_) => {
                format!("{last} is gone, and with it the way to what comes next: take a snapshot")
            }
            None => format!(
                "{} holds no repository any more: {REPOSITORY_FILE} is gone",
                self.location()
            ),
        };
        Err(Error::conflict(gone))
    }

    /// The bytes of a slice or a gap.
    pub(crate) async fn read_span(&self, span: &SpanName) -> Result<Bytes> {
        let path = span.path();
        let info = self.store().head(&path).await?;
        let info = info.ok_or_else(|| Error::data(format!("{path} is missing")).at(&path))?;
        if info.stored_bytes > MAX_SLICE_BYTES {
            let message = format!("{path} has {} bytes, which no slice has", info.stored_bytes);
            return Err(Error::data(message).at(&path));
        }
        let read = self
            .store()
            .read(&path, 0..info.stored_bytes, info.version.as_ref());
        match read.await {
            Err(StorageError::NotFound { .. }) => {
                Err(Error::data(format!("{path} is missing")).at(&path))
            }
            read => Ok(read?),
        }
    }

    /// Stores a gap that nobody has stored yet, or says what it is.
    pub(crate) async fn put_gap(&self, gap: &GapRecord) -> Result<Previous> {
        let bytes = gap.to_bytes().map_err(not_written)?;
        let path = gap.name().path();
        let previous = Previous::new(&path, &bytes);
        put_same(&**self.store(), &path, bytes.into()).await?;
        Ok(previous)
    }

    /// Stores a slice, durably.
    pub(crate) async fn put_slice(&self, path: &str, bytes: Bytes) -> Result<()> {
        put_same(&**self.store(), path, bytes).await?;
        Ok(self.store().flush().await?)
    }
}

/// Who captures into a repository, by what they say of themselves there. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capturing {
    /// The name of their machine.
    pub host: String,
    /// Since when: RFC 3339, UTC.
    pub since: String,
    /// What they had read and not stored when they last renewed their lease, which they do each minute.
    pub waiting: Option<WaitingRecord>,
}

impl fmt::Display for Capturing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} since {}", self.host, self.since)
    }
}

/// The lease of whoever captures.
#[derive(Debug)]
pub(crate) struct CaptureLease(Lease);

impl CaptureLease {
    /// Whether nobody else can be capturing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if somebody else has it; [`ErrorKind::Unavailable`] if it has expired, so that it has to be taken again.
    pub(crate) async fn check(&self) -> Result<()> {
        match self.0.check().await {
            Err(error) if !self.0.is_lost().await => {
                Err(Error::new(ErrorKind::Unavailable, error.to_string()))
            }
            checked => checked,
        }
    }

    pub(crate) fn note(&self, counters: &Arc<Counters>) {
        self.0.note(counters);
    }

    /// Lets go of one that has expired.
    pub(crate) async fn abandon(&self) {
        self.0.abandon().await;
    }

    pub(crate) async fn release(&self) {
        self.0.release().await;
    }
}

/// A slice that was read.
pub(crate) fn parse_slice<'a>(span: &SpanName, bytes: &'a [u8]) -> Result<OplogSlice<'a>> {
    let path = span.path();
    let slice = OplogSlice::read(bytes).map_err(|error| {
        Error::data(format!("{path} is damaged"))
            .at(&path)
            .caused_by(error)
    })?;
    match slice.name() == *span {
        true => Ok(slice),
        false => Err(Error::data(format!(
            "{path} is another slice, that of {}",
            slice.name().path()
        ))
        .at(&path)),
    }
}

/// Where the segments of a slice are encrypted for: the number of the key, and the moment that it comes after.
fn place(header: &SliceHeader) -> String {
    format!("timeline/1-{}", header.start)
}

/// The keys of a run of the capture, made and stored.
pub(crate) async fn make_keys(
    repository: &Repository,
    capture: &SnapshotId,
    recipients: &Recipients,
) -> Result<Arc<DataKeys>> {
    let mut keys = DataKeys::new(capture.clone());
    keys.add(1, encryption::data_key());
    let keys = Arc::new(keys);
    let store = &**repository.store();
    encryption::check_passphrase(repository, recipients).await?;
    encryption::put_keys(store, recipients, Arc::clone(&keys), 1).await?;
    Ok(keys)
}

/// The keys that open slices of a run of the capture.
pub(crate) async fn open_keys(repository: &Repository, capture: &SnapshotId) -> Result<DataKeys> {
    let record = encryption::key_record(&**repository.store(), capture).await?;
    match &repository.identities {
        Some(identities) => encryption::unwrap_keys(record, identities).await,
        None => Err(encryption::locked(&record)),
    }
}

/// The bytes of a slice with these segments. Blocks.
pub(crate) fn pack_slice(
    mut header: SliceHeader,
    mut footer: SliceFooter,
    segments: &[Segment],
    keys: Option<&DataKeys>,
) -> Result<Vec<u8>> {
    let failed = |error: rdump_format::CodecError| {
        Error::internal("could not compress a slice").caused_by(error)
    };
    let locked = |error| Error::internal("could not encrypt a slice").caused_by(error);
    let compression = rdump_format::Compression::ZSTD;
    let mut compressor = rdump_format::Compressor::new(compression).map_err(failed)?;
    let mut stored = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let mut sealed = segment.seal(&mut compressor, Vec::new()).map_err(failed)?;
        if let Some(keys) = keys {
            let nonce = encryption::nonce();
            let encrypted = keys.encrypt_segment(&place(&header), number, nonce, &sealed);
            sealed = encrypted.map_err(locked)?;
        }
        let bytes = segment.body.len() as u64;
        let mut digester = rdump_format::Digester::new();
        let record = SegmentRecord::of(segment.documents, bytes, &sealed, &mut digester);
        footer.segments.push(record);
        stored.extend_from_slice(&sealed);
    }
    header.stored_bytes = stored.len() as u64;
    header.encrypted = keys.is_some();
    if let Some(keys) = keys {
        // It would tell names.
        footer.namespaces = None;
        let text = OplogSlice::to_authenticate(&header, &footer).map_err(not_written)?;
        let code = keys.authenticate(1, encryption::nonce(), &text);
        footer.authentication = Some(code.map_err(locked)?);
    }
    OplogSlice::write(&header, &footer, &stored).map_err(not_written)
}

/// The entries of a slice. Blocks.
pub(crate) fn unpack_slice(
    span: &SpanName,
    bytes: &[u8],
    keys: Option<&DataKeys>,
) -> Result<Vec<u8>> {
    let slice = parse_slice(span, bytes)?;
    let path = span.path();
    let damaged =
        |error: &dyn fmt::Display| Error::data(format!("{path} cannot be read: {error}")).at(&path);
    if let Some(keys) = keys {
        let text = OplogSlice::to_authenticate(&slice.header, &slice.footer);
        let text = text.map_err(|error| damaged(&error))?;
        let code = slice.footer.authentication.as_deref().unwrap_or_default();
        keys.check(1, &text, code)
            .map_err(|error| damaged(&error))?;
    }
    let mut entries = Vec::new();
    for (number, (record, stored)) in slice.segments().enumerate() {
        let decrypted = keys.map(|keys| {
            let place = place(&slice.header);
            keys.decrypt_segment(&place, number, stored)
        });
        let plain = match &decrypted {
            None => stored,
            Some(decrypted) => decrypted.as_ref().map_err(|error| damaged(error))?,
        };
        let decoded = record.decode(Codec::Zstd, plain, &mut entries);
        decoded.map_err(|error| damaged(&error))?;
    }
    Ok(entries)
}
