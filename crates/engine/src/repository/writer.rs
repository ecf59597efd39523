//! A snapshot being written.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::{FutureExt, TryStreamExt, future::BoxFuture};
use rdump_format::{
    Codec, Namespace, RunRecord, Segment, SegmentBuilder,
    repository::{
        AuditVerb, BegunRecord, CatalogEntry, DataKeys, EncryptionError, NamespaceEnd,
        NamespaceProgress, PrivatePlace, PrivateRun, SnapshotId, SnapshotManifest, StoredObject,
    },
};
use rdump_storage::Listed;

use super::{
    Act, Repository,
    earlier::{Earlier, StoredNamespace},
    encryption::{self, Recipients},
    lease::{LEASE, Lease},
    not_written, put_manifest, put_once,
};
use crate::{
    DumpOptions, Error, ErrorKind, Result, Source,
    dump::{options_as_data, source_record},
    media::{
        DumpHeader, DumpWriter, Kept, LastStep, NamespaceHeader, NamespaceWriter, Packing, Reading,
        leftover_notice,
    },
};

mod namespace;
mod shared;

use namespace::{SnapshotNamespace, written};
use shared::{Shared, Stored};

/// From how many stored bytes on a data object is complete.
const OBJECT_BYTES: u64 = 256 << 20;
/// From how many bytes on a part of the manifest is complete, before compression.
const PART_BYTES: usize = 4 << 20;
/// The most bytes that can be set for that.
const MAX_PART_BYTES: usize = 16 << 20;
/// How long a run that fails or is cancelled tries to write its last part, and to release its lease.
const LAST_STEP: Duration = Duration::from_secs(10);
/// How long the documents of one segment of the catalog are, in bytes.
const CATALOG_SEGMENT_BYTES: usize = 8 << 20;

/// Writes a snapshot into a repository.
///
/// Its manifest is put last, after all that it names was listed with its size. A run that fails or is killed leaves objects
/// that no manifest names, and no snapshot.
#[derive(Debug)]
pub struct SnapshotWriter {
    shared: Arc<Shared>,
    tags: BTreeMap<String, String>,
    recipients: Option<Recipients>,
    earlier: Option<Earlier>,
    lease: Option<Duration>,
    object_bytes: u64,
    begun: Mutex<Option<Begun>>,
}

/// What is known once the snapshot is begun.
#[derive(Clone, Debug)]
struct Begun {
    codec: Codec,
    namespaces: u64,
    catalog: StoredObject,
    /// What earlier attempts have stored, by the namespace that the documents are under.
    kept: HashMap<Namespace, NamespaceProgress>,
}

impl SnapshotWriter {
    /// Prepares to write a snapshot that is marked with tags.
    pub fn new(repository: &Repository, tags: BTreeMap<String, String>) -> Self {
        Self::of(repository, tags, None)
    }

    /// Prepares to go on with a snapshot that was begun and not finished, with the tags that it was begun with.
    ///
    /// What is stored of a namespace, and proven, is kept if the collection is still the same one: where all of it is stored,
    /// or it was read [in partitions](DumpOptions::partitions), which are read on after the last document that is stored. Other
    /// namespaces are read again from their beginning, and so are all that could not be brought to one moment with what is read now: an oplog must
    /// reach back to before the first attempt, or the server still know the one moment that everything was read at. The dump must be of the same
    /// deployment with the same options, but for how fast it reads, or fails when it begins.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the snapshot has finished,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it was never begun,
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if a record of who began it is damaged, and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn resume(repository: &Repository, id: &SnapshotId) -> Result<Self> {
        let earlier = Earlier::read(repository, id).await?;
        Ok(Self::of(repository, earlier.tags.clone(), Some(earlier)))
    }

    fn of(
        repository: &Repository,
        tags: BTreeMap<String, String>,
        earlier: Option<Earlier>,
    ) -> Self {
        let id = OnceLock::new();
        let (mut attempt, mut takes) = (1, HashMap::new());
        if let Some(earlier) = &earlier {
            id.get_or_init(|| earlier.id.clone());
            attempt = earlier.next_attempt;
            takes.clone_from(&earlier.takes);
        }
        Self {
            shared: Arc::new(Shared {
                repository: repository.clone(),
                id,
                attempt,
                keys: OnceLock::new(),
                lease: OnceLock::new(),
                part_bytes: PART_BYTES,
                takes: Mutex::new(takes),
                stored: tokio::sync::Mutex::new(Stored::new()),
            }),
            tags,
            recipients: None,
            earlier,
            lease: Some(LEASE),
            object_bytes: OBJECT_BYTES,
            begun: Mutex::default(),
        }
    }

    /// Sets who will be able to read the snapshot. Default: whoever can read the place.
    ///
    /// A snapshot that is gone on with must have been begun encrypted too; its repository needs identities then.
    #[must_use]
    pub fn recipients(mut self, recipients: Option<Recipients>) -> Self {
        self.recipients = recipients;
        self
    }

    /// Sets how long a lease lasts that is not renewed, which keeps others from writing the same snapshot, and this run from going
    /// on once somebody else may have taken it over. `None` takes none. Default: five minutes; it is renewed each minute.
    ///
    /// A store must mind conditions for that, or the run fails at its beginning with
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    #[must_use]
    pub fn lease(mut self, lasts: Option<Duration>) -> Self {
        self.lease = lasts;
        self
    }

    /// Sets from how many stored bytes on a data object is complete. Default: 256 MiB.
    #[must_use]
    pub fn object_bytes(mut self, bytes: u64) -> Self {
        self.object_bytes = bytes;
        self
    }

    /// Sets from how many bytes on a part of the manifest is complete, before compression. Default: 4 MiB; at most 16 MiB. Has no effect once
    /// a namespace was begun.
    #[must_use]
    pub fn part_bytes(mut self, bytes: usize) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.part_bytes = bytes.min(MAX_PART_BYTES);
        }
        self
    }

    /// What the snapshot is marked with: if it is gone on with, as it was begun.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// What the snapshot is called, once it is begun.
    pub fn id(&self) -> Option<&SnapshotId> {
        self.shared.id.get()
    }

    /// Refuses to go on with a snapshot of another deployment, with other options, or of which a part is encrypted and a part would
    /// not be; so does the dump itself when it begins.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict).
    pub fn check(&self, source: &Source, options: &DumpOptions) -> Result<()> {
        let Some(earlier) = &self.earlier else {
            return Ok(());
        };
        self.check_encryption(earlier)?;
        earlier.check(&source_record(source), &options_as_data(options)?)
    }

    fn check_encryption(&self, earlier: &Earlier) -> Result<()> {
        if earlier.is_encrypted() == self.recipients.is_some() {
            return Ok(());
        }
        // Without a key nothing may be written that is meant to be secret.
        let kind = match earlier.is_encrypted() {
            true => ErrorKind::Denied,
            false => ErrorKind::Conflict,
        };
        let message = format!(
            "snapshot {} cannot be gone on with: a part of it would be encrypted and a part not",
            earlier.id
        );
        Err(Error::new(kind, message)
            .with_hint("say who it is encrypted to as it was said before, or start another one"))
    }

    /// Makes the key of this attempt, and stores it wrapped together with those of the attempts before.
    ///
    /// No key that was stored before encrypts anything: who can write to the place could have put it there.
    async fn make_keys(&self, id: &SnapshotId) -> Result<()> {
        if let Some(earlier) = &self.earlier {
            self.check_encryption(earlier)?;
        }
        let Some(recipients) = &self.recipients else {
            return Ok(());
        };
        let (shared, earlier) = (&self.shared, self.earlier.as_ref());
        let keys = earlier.and_then(|earlier| earlier.keys.clone());
        let mut keys = keys.unwrap_or_else(|| DataKeys::new(id.clone()));
        keys.add(shared.attempt, encryption::data_key());
        let keys = shared.keys.get_or_init(|| Arc::new(keys));
        let store = &**shared.repository.store();
        encryption::check_passphrase(&shared.repository, recipients).await?;
        encryption::put_keys(store, recipients, Arc::clone(keys), shared.attempt).await?;
        Ok(())
    }

    /// Puts the record of this attempt.
    async fn put_begun(&self, id: &SnapshotId, header: &DumpHeader) -> Result<()> {
        let (shared, repository) = (&self.shared, &self.shared.repository);
        let mut begun = BegunRecord::new(
            repository.record().id,
            id.clone(),
            header.source.clone(),
            env!("CARGO_PKG_VERSION"),
            &header.started_at,
        );
        begun.attempt = shared.attempt;
        begun.tags = self.tags.clone();
        let Reading {
            captured_from,
            read_at,
        } = header.reading;
        begun.captured_from = captured_from.map(|at| at.to_string());
        begun.read_at = read_at.map(|at| at.to_string());
        match shared.keys.get() {
            None => begun.options = header.options.clone(),
            Some(keys) => {
                let private = PrivateRun::new(header.options.clone(), self.tags.clone());
                let (place, nonce) = (PrivatePlace::Begun, encryption::nonce());
                let text = keys.encrypt_private(place, shared.attempt, nonce, &private);
                begun.private = Some(text.map_err(not_encrypted)?);
            }
        }
        let bytes = begun.to_bytes().map_err(not_written)?;
        put_once(&**repository.store(), &begun.path(), bytes).await?;
        Ok(())
    }

    /// Takes over what earlier attempts have stored, and says so.
    async fn keep(
        &self,
        header: &DumpHeader,
        stored: &mut Stored,
    ) -> Result<(HashMap<Namespace, NamespaceProgress>, Option<String>)> {
        let mut kept = HashMap::new();
        let Some(earlier) = self.earlier.as_ref().filter(|_| header.keeps) else {
            return Ok((kept, None));
        };
        let (mut documents, mut bytes) = (0, 0);
        for namespace in &header.namespaces {
            let Some(of_namespace) = earlier.stored(namespace) else {
                continue;
            };
            let StoredNamespace { end, objects, left } = of_namespace;
            for object in objects {
                let object_bytes = object.stored_bytes();
                stored.sizes.insert(object.path.clone(), object_bytes);
                stored.part.push_object(object).map_err(not_written)?;
                if stored.part.bytes() >= self.shared.part_bytes {
                    self.shared.put_part(stored).await?;
                }
            }
            if left.is_empty() {
                stored.end(end).map_err(not_written)?;
            }
            documents += end.documents;
            bytes += end.stored_bytes;
            let progress = NamespaceProgress::new(end.clone(), left.clone());
            kept.insert(end.namespace.clone(), progress);
        }
        self.shared.put_part(stored).await?;
        let notice = format!(
            "snapshot {}, attempt {}: {documents} documents of {} namespaces are stored already, in {bytes} bytes",
            earlier.id,
            self.shared.attempt,
            kept.len()
        );
        Ok((kept, Some(notice)))
    }

    /// A writer of a namespace of which this is stored.
    fn writer(&self, header: &NamespaceHeader, end: NamespaceEnd) -> Box<dyn NamespaceWriter> {
        Box::new(SnapshotNamespace {
            shared: Arc::clone(&self.shared),
            codec: header.codec,
            object_bytes: self.object_bytes,
            writing: None,
            held_back: Vec::new(),
            end,
            left: Vec::new(),
        })
    }

    /// Puts the manifest, twice.
    async fn complete(&self, id: &SnapshotId, manifest: Vec<u8>) -> Result<Vec<String>> {
        let shared = &self.shared;
        shared.check_lease().await?;
        let mut problems = put_manifest(&**shared.repository.store(), id, manifest).await?;
        problems.extend(self.forget_keys(id).await);
        shared.release_lease().await;
        Ok(problems)
    }

    /// Removes the keys as the attempts before wrapped them: perhaps for others. Gives what stays, and why.
    async fn forget_keys(&self, id: &SnapshotId) -> Option<String> {
        let shared = &self.shared;
        if self.earlier.is_none() || shared.keys.get().is_none() {
            return None;
        }
        let store = &**shared.repository.store();
        let forgotten = encryption::delete_keys(store, id, |number| number < shared.attempt);
        let error = forgotten.await.err()?;
        Some(format!(
            "who could open what earlier attempts at {id} stored still can, since their keys stay: {error}"
        ))
    }

    /// Looks at everything that is stored: each object must be there, and as long as it was when it was stored.
    async fn check_stored(&self, id: &SnapshotId, sizes: &HashMap<String, u64>) -> Result<()> {
        let folder = id.folder();
        let mut found = 0_usize;
        let mut listed = self.shared.repository.store().list(&folder);
        while let Some(listed) = listed.try_next().await? {
            let Listed::Object(info) = listed else {
                continue;
            };
            let path = info.path.strip_prefix(&folder).unwrap_or_default();
            let Some(stored) = sizes.get(path) else {
                continue;
            };
            if *stored != info.stored_bytes {
                return Err(Error::data(format!(
                    "{} has {} bytes, and {stored} were stored",
                    info.path, info.stored_bytes
                )));
            }
            found += 1;
        }
        match sizes.len() - found {
            0 => Ok(()),
            missing => Err(Error::data(format!(
                "{missing} of the {} objects that were stored in {folder} are not there",
                sizes.len()
            ))),
        }
    }
}

impl DumpWriter for SnapshotWriter {
    fn packing(&self) -> Packing {
        Packing::Sealed
    }

    fn keeps_nothing(&self) -> bool {
        true
    }

    fn act(&self, verb: AuditVerb) -> Option<Act> {
        let act = self.shared.repository.act(verb).snapshot(self.id());
        Some(act.private(self.recipients.is_some()))
    }

    fn begin<'a>(&'a self, header: &'a DumpHeader) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            let (shared, started_at) = (&self.shared, header.started_at.as_str());
            let [a, b, ..] = bson::Uuid::new().bytes();
            let id = SnapshotId::new(started_at, [a, b])
                .map_err(|error| Error::internal("could not name the snapshot").caused_by(error))?;
            let id = shared.id.get_or_init(|| id);
            if let Some(earlier) = &self.earlier {
                earlier.check(&header.source, &header.options)?;
            }
            if let Some(lasts) = self.lease {
                let store = shared.repository.store();
                let lease = Lease::take(store, id.as_str(), lasts).await?;
                shared.lease.get_or_init(|| lease);
            }
            self.make_keys(id).await?;
            self.put_begun(id, header).await?;
            let catalog = shared.put("catalog", 0, catalog(header)?).await?;
            let mut stored = shared.stored.lock().await;
            stored
                .sizes
                .insert(catalog.path.clone(), catalog.stored_bytes());
            let (kept, notice) = self.keep(header, &mut stored).await?;
            let leftovers = shared.repository.remove_leftovers().await?;
            let notices = leftovers
                .iter()
                .map(leftover_notice)
                .chain(notice)
                .collect();
            *lock(&self.begun) = Some(Begun {
                codec: header.codec,
                namespaces: header.namespaces.len() as u64,
                catalog,
                kept,
            });
            Ok(notices)
        }
        .boxed()
    }

    fn namespace<'a>(
        &'a self,
        header: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>> {
        async move {
            let data = header.data_namespace.as_ref().unwrap_or(&header.namespace);
            let mut takes = lock(&self.shared.takes);
            let takes = takes.entry(data.clone()).or_insert(0);
            let mut end = NamespaceEnd::new(data.clone());
            end.take = *takes;
            end.uuid = header.metadata.as_ref().and_then(|it| it.uuid);
            *takes += 1;
            Ok(self.writer(header, end))
        }
        .boxed()
    }

    fn earlier(&self) -> Option<Reading> {
        self.earlier.as_ref().map(Earlier::reading)
    }

    fn kept(&self, header: &NamespaceHeader) -> Option<Kept> {
        let data = header.data_namespace.as_ref()?;
        let begun = lock(&self.begun);
        let kept = begun.as_ref()?.kept.get(data)?;
        Some(Kept {
            written: written(&kept.stored),
            left: kept.left.clone(),
        })
    }

    fn go_on<'a>(
        &'a self,
        header: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>> {
        async move {
            let data = header.data_namespace.as_ref().unwrap_or(&header.namespace);
            let begun = lock(&self.begun);
            let kept = begun.as_ref().and_then(|begun| begun.kept.get(data));
            let kept = kept.ok_or_else(|| Error::internal("nothing of it is kept"))?;
            Ok(self.writer(header, kept.stored.clone()))
        }
        .boxed()
    }

    fn commit<'a>(&'a self, mut run: RunRecord) -> BoxFuture<'a, Result<LastStep<'a>>> {
        async move {
            let (shared, id) = (&self.shared, self.shared.id()?);
            let begun = lock(&self.begun).take();
            let begun = begun.ok_or_else(|| Error::internal("the snapshot was not begun"))?;
            let mut stored = shared.stored.lock().await;
            shared.put_part(&mut stored).await?;
            run.stored_bytes = stored.stored_bytes;
            let repository = &shared.repository;
            let keys = shared.keys.get();
            let of_part = keys.is_some() && run.part().is_some();
            let private = keys.map(|_| PrivateRun::take(&mut run));
            let mut manifest =
                SnapshotManifest::new(repository.record().id, id.clone(), run, begun.catalog);
            manifest.of_part = of_part;
            manifest.tags = self.tags.clone();
            let earlier = self.earlier.iter().flat_map(|earlier| &earlier.attempts);
            manifest.earlier_attempts = earlier.map(|begun| begun.started_at.clone()).collect();
            manifest.codec = begun.codec;
            manifest.namespaces = begun.namespaces;
            manifest.objects = stored.counted;
            manifest.parts = std::mem::take(&mut stored.parts);
            if let (Some(keys), Some(private)) = (keys, private) {
                let (place, attempt) = (PrivatePlace::Manifest, shared.attempt);
                let text = keys.encrypt_private(place, attempt, encryption::nonce(), &private);
                manifest.private = Some(text.map_err(not_encrypted)?);
                let text = manifest.to_authenticate().map_err(not_written)?;
                let code = keys.authenticate(attempt, encryption::nonce(), &text);
                manifest.authentication = Some(code.map_err(not_encrypted)?);
            }
            let bytes = manifest.to_bytes().map_err(not_written)?;
            self.check_stored(id, &stored.sizes).await?;
            repository.store().flush().await?;
            Ok(self.complete(id, bytes).boxed())
        }
        .boxed()
    }

    fn give_up(&self) -> BoxFuture<'_, ()> {
        async move {
            // So that who goes on knows of all that is stored; without it, less is kept. The lease expires by itself too.
            let put = async {
                if self.shared.check_lease().await.is_ok() {
                    let mut stored = self.shared.stored.lock().await;
                    let _ = self.shared.put_part(&mut stored).await;
                }
            };
            for step in [put.boxed(), self.shared.release_lease().boxed()] {
                let _ = tokio::time::timeout(LAST_STEP, step).await;
            }
            self.shared.repository.store().settle().await;
        }
        .boxed()
    }
}

/// The catalog, in segments.
fn catalog(header: &DumpHeader) -> Result<Vec<Segment>> {
    let mut builder = SegmentBuilder::new(CATALOG_SEGMENT_BYTES);
    let mut segments = Vec::new();
    for namespace in &header.namespaces {
        let mut entry = CatalogEntry::new(namespace.namespace.clone());
        entry.data.clone_from(&namespace.data_namespace);
        entry.metadata.clone_from(&namespace.metadata);
        let document = entry.to_document().map_err(not_written)?;
        let pushed = builder.push(&document);
        segments
            .extend(pushed.map_err(|error| {
                Error::internal("could not write the catalog").caused_by(error)
            })?);
    }
    segments.extend(builder.finish());
    Ok(segments)
}

fn not_encrypted(error: EncryptionError) -> Error {
    Error::internal("could not encrypt a part of the snapshot").caused_by(error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
