//! A snapshot in a repository.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    ops::Range,
    sync::Arc,
};

use bson::RawDocumentBuf;
use futures::{FutureExt, StreamExt, TryStreamExt, stream, stream::BoxStream};
use rdump_format::{
    Namespace, RunRecord, SegmentRecord,
    repository::{
        AuditVerb, CatalogEntry, DataKeys, DataObject, EncryptionError, NamespaceEnd, Part,
        PartIndex, PrivatePlace, SnapshotId, SnapshotManifest, StoredObject, StoredSegments,
    },
};
use rdump_storage::Store;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::{
    Act, Repository, SnapshotVerifyOptions, SnapshotVerifyReport,
    encryption::{self, Identities},
    object,
};
use crate::{
    Error, Observer, Result,
    media::{
        Documents,
        segments::{self, Digested, Encrypted},
    },
};

/// How many parts of a manifest are read at once.
const PARALLEL_PARTS: usize = 4;

/// A snapshot whose manifest was read. Clones share it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    store: Arc<dyn Store>,
    manifest: Arc<SnapshotManifest>,
    lock: Arc<Lock>,
    /// Where it is, unless it is in a bundle.
    repository: Option<Arc<Repository>>,
}

/// What it takes to read a snapshot that is encrypted.
#[derive(Debug, Default)]
pub(super) struct Lock {
    /// What of the manifest is authenticated.
    pub(super) authenticated: Vec<u8>,
    pub(super) identities: Option<Identities>,
    keys: OnceCell<Arc<DataKeys>>,
}

impl Lock {
    pub(super) fn new(authenticated: Vec<u8>, identities: Option<Identities>) -> Self {
        let keys = OnceCell::new();
        Self {
            authenticated,
            identities,
            keys,
        }
    }
}

/// A namespace of a snapshot: what the server said of it, and what is stored of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotNamespace {
    /// What the server said.
    pub entry: CatalogEntry,
    /// How much is stored; `None` if there are no documents, as for a view.
    pub stored: Option<NamespaceEnd>,
}

/// Where the documents of a namespace are.
#[derive(Clone, Debug)]
pub(crate) struct StoredNamespace {
    pub(crate) end: NamespaceEnd,
    pub(crate) objects: Vec<DataObject>,
}

/// A data object, of which it may not be known what it holds.
pub(super) struct Object {
    pub(super) path: String,
    pub(super) segments: Vec<SegmentRecord>,
    /// Whose documents it has, if that can be read.
    pub(super) namespace: Option<Namespace>,
}

impl Object {
    pub(super) fn of(object: DataObject) -> Self {
        Self {
            path: object.path,
            segments: object.segments,
            namespace: Some(object.namespace),
        }
    }

    /// One of a snapshot that is encrypted.
    pub(super) fn closed(stored: StoredSegments) -> Self {
        let segments = stored.segments.into_iter();
        let segments = segments.map(|(stored_bytes, sha256)| SegmentRecord {
            documents: 0,
            uncompressed_bytes: 0,
            stored_bytes,
            sha256,
        });
        Self {
            path: stored.path,
            segments: segments.collect(),
            namespace: None,
        }
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        let bytes = self.segments.iter().map(|segment| segment.stored_bytes);
        bytes.fold(0, u64::saturating_add)
    }
}

impl Snapshot {
    pub(super) fn new(store: Arc<dyn Store>, manifest: SnapshotManifest, lock: Lock) -> Self {
        let (manifest, lock) = (Arc::new(manifest), Arc::new(lock));
        Self {
            store,
            manifest,
            lock,
            repository: None,
        }
    }

    /// Where it is.
    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Has the repository record what is done with it.
    pub(super) fn of(mut self, repository: &Repository) -> Self {
        self.repository = Some(Arc::new(repository.clone()));
        self
    }

    /// Something that is done with it from now on, if it is in a repository.
    pub(super) fn act(&self, verb: AuditVerb) -> Option<Act> {
        let act = self.repository.as_ref()?.act(verb);
        let is_encrypted = self.manifest.is_encrypted();
        Some(act.snapshot(Some(self.id())).private(is_encrypted))
    }

    /// Whether it is encrypted and there is nothing to open it with.
    pub(super) fn is_locked(&self) -> bool {
        self.manifest.is_encrypted() && self.lock.identities.is_none()
    }

    /// Its keys, if it is encrypted. They are unwrapped once, and the root of the manifest is checked with them.
    pub(super) async fn keys(&self) -> Result<Option<Arc<DataKeys>>> {
        let Some(code) = &self.manifest.authentication else {
            return Ok(None);
        };
        let unwrap = || async {
            let record = encryption::key_record(&*self.store, self.id()).await?;
            let Some(identities) = &self.lock.identities else {
                return Err(encryption::locked(&record));
            };
            let keys = encryption::unwrap_keys(record, identities).await?;
            let attempt = self.manifest.attempt();
            let checked = keys.check(attempt, &self.lock.authenticated, code);
            checked.map_err(|error| self.unauthentic(error))?;
            Ok(Arc::new(keys))
        };
        let keys = self.lock.keys.get_or_try_init(unwrap).await?;
        Ok(Some(Arc::clone(keys)))
    }

    fn unauthentic(&self, error: EncryptionError) -> Error {
        let path = self.id().manifest();
        Error::data(format!(
            "{path} was not written by who had the key of the snapshot, or was changed"
        ))
        .at(path)
        .caused_by(error)
    }

    /// Who can open it, as whoever wrote it said; empty if it is not encrypted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the record of its keys is lost or damaged, and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn recipients(&self) -> Result<Vec<String>> {
        match self.manifest.is_encrypted() {
            true => Ok(encryption::key_record(&*self.store, self.id())
                .await?
                .recipients),
            false => Ok(Vec::new()),
        }
    }

    /// How it was made; of one that is encrypted what the root of its manifest hides too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied) if it is encrypted and no key opens it,
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if it is damaged, and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn run(&self) -> Result<RunRecord> {
        self.check_encrypted()?;
        let mut run = self.manifest.run.clone();
        if let (Some(keys), Some(text)) = (self.keys().await?, &self.manifest.private) {
            let attempt = self.manifest.attempt();
            let private = keys.decrypt_private(PrivatePlace::Manifest, attempt, text);
            let private = private.map_err(|error| self.unauthentic(error))?;
            private.put_into(&mut run);
        }
        Ok(run)
    }

    /// Refuses a snapshot that is not encrypted where keys were given: who could write to the repository could have put it
    /// in the place of one that is.
    pub(super) fn check_encrypted(&self) -> Result<()> {
        match self.lock.identities.is_some() && !self.manifest.is_encrypted() {
            true => Err(Error::invalid(format!(
                "{self} is not encrypted, although a key was given to open it"
            ))
            .with_hint("if that is right, leave the key out")),
            false => Ok(()),
        }
    }

    /// Looks at it again, as [`Repository::verify`] does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the reading.
    pub async fn verify(
        &self,
        options: &SnapshotVerifyOptions,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<SnapshotVerifyReport> {
        let opened = Repository::open_in(Arc::clone(&self.store)).await?;
        let mut repository = opened.identities(self.lock.identities.clone());
        if let Some(of) = &self.repository {
            repository = repository.actor(of.actor.clone());
        }
        repository
            .verify(self.id(), options, observer, cancel)
            .await
    }

    /// What it is called.
    pub fn id(&self) -> &SnapshotId {
        &self.manifest.id
    }

    /// The root of its manifest.
    pub fn manifest(&self) -> &SnapshotManifest {
        &self.manifest
    }

    /// Every namespace, as the server described it. Reads the catalog, which is checked before anything of it is given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the catalog is lost or damaged, and as the place has them. The stream
    /// ends after its first error.
    pub fn catalog(&self) -> BoxStream<'_, Result<CatalogEntry>> {
        let numbers = 0..self.manifest.catalog.segments.len();
        let (mut position, mut names) = (0_u64, HashSet::new());
        let segments = stream::iter(numbers).then(move |number| async move {
            let (id, catalog) = (self.id(), &self.manifest.catalog);
            let keys = self.keys().await?;
            object::segment(&self.store, id, catalog, number, keys).await
        });
        segments
            .map_ok(move |body| {
                let mut entries = Vec::new();
                for document in rdump_format::documents(&body) {
                    let entry = match document {
                        Ok(document) => CatalogEntry::from_document(document, position)
                            .map_err(|error| self.unreadable(&self.manifest.catalog.path, error))
                            .and_then(|entry| self.check_entry(&entry, &mut names).map(|()| entry)),
                        Err(error) => Err(self.unreadable(&self.manifest.catalog.path, error)),
                    };
                    entries.push(entry);
                    position += 1;
                }
                stream::iter(entries)
            })
            .try_flatten()
            .boxed()
    }

    /// Refuses an entry of the catalog that there was before, or whose documents are another's. `names` has those before.
    fn check_entry(&self, entry: &CatalogEntry, names: &mut HashSet<Namespace>) -> Result<()> {
        let name = &entry.namespace;
        let is_own = |data: &Namespace| *data == *name || *data == name.buckets();
        let problem = if !entry.data.as_ref().is_none_or(is_own) {
            "has documents that are those of another namespace"
        } else if !names.insert(name.clone()) {
            "is there twice"
        } else {
            return Ok(());
        };
        let path = format!("{}{}", self.id().folder(), self.manifest.catalog.path);
        let message = format!("the catalog {path} contradicts itself: {name} {problem}");
        Err(Error::data(message).at(path))
    }

    /// What the parts of the manifest say without a key: where each data object is, its size and digests.
    pub(super) async fn index(&self, part: &StoredObject) -> Result<PartIndex> {
        let index = object::segment(&self.store, self.id(), part, 0, None).await?;
        object::check(&self.store, self.id(), part, 1).await?;
        PartIndex::read(&index).map_err(|error| self.unreadable(&part.path, error))
    }

    /// Checks the digests of the catalog.
    pub(super) async fn check_catalog(&self) -> Result<()> {
        let catalog = &self.manifest.catalog;
        for number in 0..catalog.segments.len() {
            object::check(&self.store, self.id(), catalog, number).await?;
        }
        Ok(())
    }

    /// The parts of the manifest, one after the other.
    pub(crate) fn parts(&self) -> BoxStream<'_, Result<Part>> {
        let parts = stream::iter(&self.manifest.parts).map(move |part| self.part(part));
        parts.buffered(PARALLEL_PARTS).boxed()
    }

    /// One part of the manifest.
    pub(super) async fn part(&self, part: &StoredObject) -> Result<Part> {
        let id = self.id();
        let index = object::segment(&self.store, id, part, 0, None).await?;
        let details = object::segment(&self.store, id, part, 1, self.keys().await?).await?;
        let read = tokio::task::spawn_blocking(move || Part::read(&index, &details));
        let read = read
            .await
            .map_err(|error| Error::task("read a part", error))?;
        read.map_err(|error| self.unreadable(&part.path, error))
    }

    fn unreadable(
        &self,
        path: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        let path = format!("{}{path}", self.id().folder());
        Error::data(format!("{path} cannot be read"))
            .at(path)
            .caused_by(error)
    }

    /// What is stored of the namespaces that are `wanted`, by the namespace that the documents are under. Reads the whole
    /// manifest, which is compared with its totals, and with what has documents by the catalog if that is known.
    pub(crate) async fn stored(
        &self,
        in_catalog: Option<&HashSet<Namespace>>,
        wanted: impl Fn(&Namespace) -> bool,
    ) -> Result<HashMap<Namespace, StoredNamespace>> {
        let mut objects: HashMap<Namespace, Vec<DataObject>> = HashMap::new();
        let mut ends: HashMap<Namespace, NamespaceEnd> = HashMap::new();
        let mut paths = HashSet::new();
        let (mut counted, mut documents) = (0_u64, 0_u64);
        let mut parts = self.parts();
        while let Some(part) = parts.try_next().await? {
            for object in part.objects {
                if !paths.insert(object.path.clone()) {
                    return Err(self.contradiction(format!("{} is listed twice", object.path)));
                }
                if wanted(&object.namespace) {
                    let objects = objects.entry(object.namespace.clone()).or_default();
                    objects.push(object);
                }
            }
            for end in part.ends {
                counted = counted.saturating_add(end.objects);
                // The entries of a captured oplog are no documents of the run.
                if !end.namespace.is_oplog() {
                    documents = documents.saturating_add(end.documents);
                }
                if in_catalog.is_some_and(|names| !names.contains(&end.namespace)) {
                    return Err(self.not_in_catalog(&end.namespace));
                }
                let namespace = end.namespace.clone();
                if ends.insert(namespace.clone(), end).is_some() {
                    return Err(self.contradiction(format!("{namespace} ends twice")));
                }
            }
        }
        let totals = (self.manifest.objects, self.manifest.run.documents);
        if (counted, documents) != totals {
            return Err(self.contradiction(format!(
                "its parts have {documents} documents in {counted} objects, and its root {} in {}",
                totals.1, totals.0
            )));
        }
        let mut stored = HashMap::new();
        for (namespace, end) in ends {
            if !wanted(&namespace) {
                continue;
            }
            let mut objects = objects.remove(&namespace).unwrap_or_default();
            objects.retain(|object| object.take == end.take);
            let mut counted = NamespaceEnd::new(namespace.clone());
            (counted.take, counted.uuid) = (end.take, end.uuid);
            objects.iter().for_each(|object| counted.add(object));
            if counted != end {
                return Err(self.contradiction(format!(
                    "the objects of {namespace} are not those that its end counts"
                )));
            }
            stored.insert(namespace, StoredNamespace { end, objects });
        }
        Ok(stored)
    }

    fn contradiction(&self, what: String) -> Error {
        let path = self.id().manifest();
        Error::data(format!("the manifest {path} contradicts itself: {what}")).at(path)
    }

    /// Every namespace with what is stored of it, in the order of the catalog.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the catalog or a part of the manifest is lost or damaged, and as the
    /// place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn namespaces(&self) -> Result<Vec<SnapshotNamespace>> {
        let mut stored = self.stored(None, |_| true).await?;
        let mut namespaces = Vec::new();
        let mut catalog = self.catalog();
        while let Some(entry) = catalog.try_next().await? {
            let of_data = entry.data.as_ref();
            let stored = of_data.and_then(|data| stored.remove(data));
            let stored = stored.map(|stored| stored.end);
            self.check_end(&entry, stored.as_ref())?;
            namespaces.push(SnapshotNamespace { entry, stored });
        }
        match stored.into_keys().next() {
            None => Ok(namespaces),
            Some(unknown) => Err(self.not_in_catalog(&unknown)),
        }
    }

    /// The documents of one namespace, in the order in which they were read, as the server sent them; those of a time-series
    /// collection are its buckets. Reads the manifest and the namespace's own objects, each segment checked before anything of
    /// it is given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the snapshot has no such namespace,
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if something of it is lost or damaged, and as the place has them. The stream
    /// ends after its first error.
    pub fn documents(&self, namespace: &Namespace) -> BoxStream<'static, Result<RawDocumentBuf>> {
        let (snapshot, namespace) = (self.clone(), namespace.clone());
        let runs = async move {
            snapshot.check_encrypted()?;
            let objects = snapshot.objects(&namespace).await?;
            let keys = snapshot.keys().await?;
            Ok::<_, Error>(snapshot.read(objects, keys, &[]))
        };
        let documents = runs.into_stream().try_flatten().map_ok(|run| {
            let documents: Vec<_> = rdump_format::documents(&run.body)
                .map(|document| {
                    let owned = document.map(<[u8]>::to_vec).map_err(|error| {
                        Error::internal("what was checked is no document").caused_by(error)
                    })?;
                    RawDocumentBuf::from_bytes(owned)
                        .map_err(|error| Error::data("a document is not sound").caused_by(error))
                })
                .collect();
            stream::iter(documents)
        });
        documents.try_flatten().boxed()
    }

    /// The data objects of a namespace.
    async fn objects(&self, namespace: &Namespace) -> Result<Vec<DataObject>> {
        let mut catalog = self.catalog();
        while let Some(entry) = catalog.try_next().await? {
            if entry.namespace != *namespace {
                continue;
            }
            let Some(data) = &entry.data else {
                return Ok(Vec::new());
            };
            let mut stored = self.stored(None, |stored| stored == data).await?;
            let stored = stored.remove(data);
            self.check_end(&entry, stored.as_ref().map(|stored| &stored.end))?;
            return Ok(stored.map(|stored| stored.objects).unwrap_or_default());
        }
        Err(Error::invalid(format!("{self} has no namespace {namespace}")).for_namespace(namespace))
    }

    /// Refuses what is said of the documents of a namespace if it is not said of the collection in the catalog.
    pub(super) fn check_end(&self, entry: &CatalogEntry, end: Option<&NamespaceEnd>) -> Result<()> {
        let namespace = &entry.namespace;
        let uuid = entry.metadata.as_ref().and_then(|metadata| metadata.uuid);
        let problem = match (&entry.data, end) {
            (None, _) => return Ok(()),
            (Some(_), Some(end)) if end.uuid == uuid => return Ok(()),
            (Some(_), Some(_)) => format!("the documents of {namespace} are of another collection"),
            (Some(_), None) => format!("it has no end of {namespace}"),
        };
        Err(self.contradiction(problem).for_namespace(namespace))
    }

    pub(super) fn not_in_catalog(&self, namespace: &Namespace) -> Error {
        self.contradiction(format!("{namespace} is not in its catalog"))
    }

    /// The documents of data objects, one object after the other, each segment checked before anything of it is given; those
    /// left out whose number, counted over all the objects, is in `done`.
    pub(super) fn read(
        &self,
        objects: Vec<DataObject>,
        keys: Option<Arc<DataKeys>>,
        done: &[Range<u64>],
    ) -> BoxStream<'static, Result<Documents>> {
        let (store, codec) = (Arc::clone(&self.store), self.manifest.codec);
        let (folder, done): (_, Arc<[_]>) = (self.id().folder(), done.into());
        let mut end = 0_u64;
        stream::iter(objects)
            .flat_map(move |object| {
                let path = format!("{folder}{}", object.path);
                let records: Arc<[SegmentRecord]> = object.segments.into();
                let digested = match &keys {
                    Some(keys) => Digested::Encrypted(Encrypted {
                        keys: Arc::clone(keys),
                        path: object.path,
                    }),
                    None => Digested::Alone,
                };
                let (first, done) = (end, Arc::clone(&done));
                end += records.len() as u64;
                let is_wanted = move |number: usize| {
                    let number = first + number as u64;
                    !done.iter().any(|done| done.contains(&number))
                };
                let object = (path.as_str(), None);
                segments::read_some(&store, codec, object, &records, digested, is_wanted).map_ok(
                    move |mut run| {
                        run.segment = run.segment.map(|number| first + number);
                        run
                    },
                )
            })
            .boxed()
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot {} in {}", self.id(), self.store.location())
    }
}
