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
    Namespace, SegmentRecord,
    repository::{
        CatalogEntry, DataObject, NamespaceEnd, Part, SnapshotId, SnapshotManifest, StoredObject,
    },
};
use rdump_storage::Store;

use super::object;
use crate::{
    Error, Result,
    media::{
        Documents,
        segments::{self, Digested},
    },
};

/// How many parts of a manifest are read at once.
const PARALLEL_PARTS: usize = 4;

/// A snapshot whose manifest was read. Clones share it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    store: Arc<dyn Store>,
    manifest: Arc<SnapshotManifest>,
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

impl Snapshot {
    pub(super) fn new(store: Arc<dyn Store>, manifest: SnapshotManifest) -> Self {
        let manifest = Arc::new(manifest);
        Self { store, manifest }
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
        let mut position = 0_u64;
        let segments = stream::iter(numbers).then(move |number| async move {
            let (id, catalog) = (self.id(), &self.manifest.catalog);
            object::segment(&self.store, id, catalog, number).await
        });
        segments
            .map_ok(move |body| {
                let mut entries = Vec::new();
                for document in rdump_format::documents(&body) {
                    let entry = match document {
                        Ok(document) => CatalogEntry::from_document(document, position)
                            .map_err(|error| self.unreadable(&self.manifest.catalog.path, error)),
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

    /// The parts of the manifest, one after the other.
    pub(crate) fn parts(&self) -> BoxStream<'_, Result<Part>> {
        let parts = stream::iter(&self.manifest.parts).map(move |part| self.part(part));
        parts.buffered(PARALLEL_PARTS).boxed()
    }

    /// One part of the manifest.
    pub(super) async fn part(&self, part: &StoredObject) -> Result<Part> {
        let id = self.id();
        let index = object::segment(&self.store, id, part, 0).await?;
        let details = object::segment(&self.store, id, part, 1).await?;
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
    /// manifest, which is compared with its totals.
    pub(crate) async fn stored(
        &self,
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
            counted.take = end.take;
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
        let mut stored = self.stored(|_| true).await?;
        let mut namespaces = Vec::new();
        let mut catalog = self.catalog();
        while let Some(entry) = catalog.try_next().await? {
            let of_data = entry.data.as_ref();
            let stored = of_data.and_then(|data| stored.remove(data));
            let stored = stored.map(|stored| stored.end);
            if stored.is_none() && entry.data.is_some() {
                return Err(self.without_end(&entry));
            }
            namespaces.push(SnapshotNamespace { entry, stored });
        }
        Ok(namespaces)
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
            let objects = snapshot.objects(&namespace).await?;
            Ok::<_, Error>(snapshot.read(objects, &[]))
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
            let mut stored = self.stored(|stored| stored == data).await?;
            let stored = stored.remove(data);
            return match stored {
                Some(stored) => Ok(stored.objects),
                None => Err(self.without_end(&entry)),
            };
        }
        Err(Error::invalid(format!("{self} has no namespace {namespace}")).for_namespace(namespace))
    }

    /// What is wrong where nothing is said of the documents of a namespace.
    pub(super) fn without_end(&self, entry: &CatalogEntry) -> Error {
        let namespace = &entry.namespace;
        self.contradiction(format!("it has no end of {namespace}"))
            .for_namespace(namespace)
    }

    /// The documents of data objects, one object after the other, each segment checked before anything of it is given; those
    /// left out whose number, counted over all the objects, is in `done`.
    pub(super) fn read(
        &self,
        objects: Vec<DataObject>,
        done: &[Range<u64>],
    ) -> BoxStream<'static, Result<Documents>> {
        let (store, codec) = (Arc::clone(&self.store), self.manifest.codec);
        let (folder, done): (_, Arc<[_]>) = (self.id().folder(), done.into());
        let mut end = 0_u64;
        stream::iter(objects)
            .flat_map(move |object| {
                let path = format!("{folder}{}", object.path);
                let records: Arc<[SegmentRecord]> = object.segments.into();
                let (first, done) = (end, Arc::clone(&done));
                end += records.len() as u64;
                let is_wanted = move |number: usize| {
                    let number = first + number as u64;
                    !done.iter().any(|done| done.contains(&number))
                };
                let object = (path.as_str(), None);
                segments::read_some(&store, codec, object, &records, Digested::Alone, is_wanted)
                    .map_ok(move |mut run| {
                        run.segment = run.segment.map(|number| first + number);
                        run
                    })
            })
            .boxed()
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot {} in {}", self.id(), self.store.location())
    }
}
