//! A bundle being restored.

use std::{
    collections::HashMap,
    io::{Cursor, Read},
    sync::Arc,
};

use bytes::Bytes;
use rdump_format::{
    BLOCK_BYTES, Codec, Digester, FileKind, FileName, Namespace, Selector,
    repository::{DataKeys, SnapshotId},
};
use rdump_storage::{Location, StorageError};

use super::input::Input;
use crate::{
    Error, Result, SnapshotReader,
    media::{
        Access, DumpContents, DumpReader,
        handover::{self, Arriving, Handover, Stop},
        runs,
        segments::{self, Encrypted},
    },
    repository::{Identities, Snapshot, snapshot::Object},
};

/// Reads a bundle from front to end, once: the whole of it, whatever is selected, since only its end tells that it is whole.
///
/// Each segment is compared with its digest before anything of it is given.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
///
/// use rdump::{BundleReader, ConnectOptions, Restore, Selector, Target};
///
/// # async fn example() -> rdump::Result<()> {
/// let reader = BundleReader::stream("stdin", std::io::stdin(), &Selector::default(), None).await?;
/// let target = Target::connect(&ConnectOptions::default().uri("mongodb://localhost:27017")).await?;
/// let restore = Restore::new(&target, Arc::new(reader));
/// let report = restore.run(restore.plan().await?).await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BundleReader {
    snapshot: Snapshot,
    contents: DumpContents,
    arriving: Arriving,
}

impl BundleReader {
    /// Opens the file or object at a location, if it is a tar; `None` if it is anything else, or nothing, or has the name of a
    /// file of documents.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream), and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// As of [`stream`](Self::stream).
    pub async fn open(
        location: &Location,
        select: &Selector,
        identities: Option<Identities>,
    ) -> Result<Option<Self>> {
        let is_data = |name| FileName::parse(name).is_some_and(|name| name.kind == FileKind::Data);
        if location.name().is_some_and(is_data) {
            return Ok(None);
        }
        match location.is_object().await {
            Ok(true) => {}
            // Whoever takes it for something else says what it is.
            Ok(false) | Err(StorageError::Denied { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let input = location.source().await?;
        Self::detect(location.to_string(), input, select, identities).await
    }

    /// As [`stream`](Self::stream); `None` if the stream is no tar.
    ///
    /// # Errors
    ///
    /// As `stream` has them.
    ///
    /// # Cancel safety
    ///
    /// As of [`stream`](Self::stream).
    pub async fn detect(
        name: impl Into<String>,
        input: impl Read + Send + 'static,
        select: &Selector,
        identities: Option<Identities>,
    ) -> Result<Option<Self>> {
        let name = name.into();
        let started = tokio::task::spawn_blocking(move || {
            let (mut start, mut input) = (Vec::new(), input);
            let read = input
                .by_ref()
                .take(BLOCK_BYTES as u64)
                .read_to_end(&mut start);
            read.map(|_bytes| (start, input))
        });
        let (start, input) = started
            .await
            .map_err(|error| Error::task("look at a file", error))?
            .map_err(|error| runs::unreadable(&name, error))?;
        if !rdump_format::is_tar(&start) {
            return Ok(None);
        }
        let input = Cursor::new(start).chain(input);
        Self::stream(name, input, select, identities)
            .await
            .map(Some)
    }

    /// Reads what a bundle says of itself; keeps what is selected. Errors call it `name`.
    ///
    /// The thread that reads ends with the bundle, or when the reader is gone and what it waits for has come.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a pattern to include fits no namespace;
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if it is no bundle, or is damaged or cut short;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if it is of a newer format;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if it cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up reading; what was read is gone.
    pub async fn stream(
        name: impl Into<String>,
        input: impl Read + Send + 'static,
        select: &Selector,
        identities: Option<Identities>,
    ) -> Result<Self> {
        let (input, head) = Input::new(name, input).head(identities).await?;
        let snapshot = head.snapshot;
        let contents = SnapshotReader::open(&snapshot, select)
            .await?
            .contents()
            .clone();
        let stored = snapshot.stored(None, |_| true).await?.into_values();
        let counting = stored.flat_map(|stored| stored.objects);
        let counting = counting.map(|object| (object.path.clone(), object));
        let mut counting: HashMap<_, _> = counting.collect();
        let open = |object: Object| counting.remove(&object.path).map_or(object, Object::of);
        let data = head.data.into_iter().map(open).collect();
        let places = contents.entries.iter().enumerate();
        let places =
            places.filter_map(|(at, entry)| Some((entry.data.as_ref()?.place.clone(), at)));
        let reading = Reading {
            id: snapshot.id().clone(),
            codec: snapshot.manifest().codec,
            root: head.root,
            places: places.collect(),
            oplog: contents
                .entries
                .iter()
                .position(|it| it.namespace.is_oplog()),
            keys: snapshot.keys().await?,
            data,
            input,
        };
        let name = reading.input.name.clone();
        let arriving = handover::start(&name, move |handover| reading.read(handover))?;
        Ok(Self {
            snapshot,
            contents,
            arriving,
        })
    }

    /// The snapshot that is in the bundle. Its catalog and its manifest can be read, but none of its documents.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl DumpReader for BundleReader {
    fn contents(&self) -> &DumpContents {
        &self.contents
    }

    fn access(&self) -> Access<'_> {
        self.arriving.access("a bundle")
    }
}

/// What the thread has.
struct Reading {
    input: Input,
    id: SnapshotId,
    codec: Codec,
    /// What the segments are encrypted under, if they are.
    keys: Option<Arc<DataKeys>>,
    root: Bytes,
    /// The entries that were selected and have documents, by the namespace that these are under.
    places: HashMap<String, usize>,
    oplog: Option<usize>,
    /// In their order; those that count say whose they are.
    data: Vec<Object>,
}

impl Reading {
    fn read(mut self, mut handover: Handover) {
        handover.set_oplog(self.oplog);
        if let Err(Stop::Failed(error)) = self.read_all(&mut handover) {
            handover.fail(error);
        }
    }

    fn read_all(&mut self, handover: &mut Handover) -> Result<(), Stop> {
        let data = std::mem::take(&mut self.data);
        let mut objects_left: HashMap<&Namespace, usize> = HashMap::new();
        for namespace in data.iter().filter_map(|object| object.namespace.as_ref()) {
            *objects_left.entry(namespace).or_default() += 1;
        }
        let mut without_documents = self.places.clone();
        without_documents.retain(|_, entry| Some(*entry) != self.oplog);
        for namespace in objects_left.keys() {
            without_documents.remove(&namespace.to_string());
        }
        for entry in without_documents.into_values() {
            handover.begin(entry)?;
            handover.end(entry);
        }
        for object in &data {
            let entry = object.namespace.as_ref();
            let entry = entry.and_then(|it| self.places.get(&it.to_string()).copied());
            if let Some(entry) = entry {
                handover.begin(entry)?;
            }
            self.object(object, entry, handover)?;
            let Some(namespace) = &object.namespace else {
                continue;
            };
            let left = objects_left.entry(namespace).or_default();
            *left = left.saturating_sub(1);
            if let (Some(entry), 0) = (entry, *left) {
                handover.end(entry);
            }
        }
        if let Some(oplog) = self
            .oplog
            .filter(|_| !objects_left.keys().any(|namespace| namespace.is_oplog()))
        {
            handover.begin(oplog)?;
            handover.end(oplog);
        }
        Ok(self.input.finish(&self.id, &self.root)?)
    }

    /// Reads one data object, and hands over what of it is wanted.
    fn object(
        &mut self,
        object: &Object,
        entry: Option<usize>,
        handover: &mut Handover,
    ) -> Result<(), Stop> {
        let path = format!("{}{}", self.id.folder(), object.path);
        self.input.begin(&path, object.stored_bytes())?;
        let encrypted = self.keys.clone().map(|keys| Encrypted {
            keys,
            path: object.path.clone(),
        });
        for (number, record) in object.segments.iter().enumerate() {
            let stored = self.input.read(record.stored_bytes)?;
            let wanted = match entry {
                Some(entry) => handover.wants(entry)?.then_some(entry),
                None => None,
            };
            let Some(entry) = wanted else {
                self.input.check_stored(record, &stored)?;
                continue;
            };
            let encrypted = encrypted.as_ref().map(|encrypted| (encrypted, number));
            let digester = &mut Digester::new();
            let opened = segments::open(self.codec, record, stored, digester, encrypted);
            let run = opened.map_err(|error| {
                let error = self.input.damaged_object().caused_by(error);
                match &object.namespace {
                    Some(namespace) => error.for_namespace(namespace),
                    None => error,
                }
            })?;
            if run.documents > 0 {
                handover.give(entry, run)?;
            }
        }
        Ok(self.input.end_object()?)
    }
}
