//! What the writers of a snapshot share: what is stored so far, and the parts that say so.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use rdump_format::{
    Namespace, Segment,
    repository::{
        DataKeys, DataObject, ENCRYPTED_EXTENSION, NamespaceEnd, NamespaceProgress, PartBuilder,
        RecordError, SnapshotId, StoredObject,
    },
};

use crate::{
    Error, Repository, Result,
    repository::{
        lease::Lease,
        not_written,
        object::{self, Encryption},
    },
};

/// The longest that what is stored waits for its part to be written, at first; and as a part of the time gone by.
const FIRST_PART: Duration = Duration::from_secs(1);
const PART_SHARE: u32 = 100;

/// What they share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) repository: Repository,
    pub(super) id: OnceLock<SnapshotId>,
    pub(super) attempt: u32,
    /// What all is encrypted under, if it is.
    pub(super) keys: OnceLock<Arc<DataKeys>>,
    /// What keeps others from writing the same snapshot.
    pub(super) lease: OnceLock<Lease>,
    pub(super) part_bytes: usize,
    /// How often each namespace was begun.
    pub(super) takes: Mutex<HashMap<Namespace, u32>>,
    pub(super) stored: tokio::sync::Mutex<Stored>,
}

/// What is stored so far.
#[derive(Debug)]
pub(super) struct Stored {
    /// What goes into the next part, and since when.
    pub(super) part: PartBuilder,
    pub(super) since: Instant,
    pub(super) begun: Instant,
    pub(super) parts: Vec<StoredObject>,
    /// Stored size of every object, by its path in the snapshot.
    pub(super) sizes: HashMap<String, u64>,
    /// How many data objects were begun.
    pub(super) objects: u32,
    /// The data objects that are of a namespace that was read whole.
    pub(super) counted: u64,
    pub(super) stored_bytes: u64,
    /// The namespaces that were read whole.
    pub(super) ended: HashSet<Namespace>,
    /// How far others are read, if that is further than the last part says.
    pub(super) progress: HashMap<Namespace, NamespaceProgress>,
}

impl Stored {
    /// Nothing.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            part: PartBuilder::default(),
            since: now,
            begun: now,
            parts: Vec::new(),
            sizes: HashMap::new(),
            objects: 0,
            counted: 0,
            stored_bytes: 0,
            ended: HashSet::new(),
            progress: HashMap::new(),
        }
    }

    /// Takes down that a namespace was read whole, once.
    pub(super) fn end(&mut self, end: &NamespaceEnd) -> Result<(), RecordError> {
        if !self.ended.insert(end.namespace.clone()) {
            return Err(RecordError::ended_twice(&end.namespace));
        }
        self.progress.remove(&end.namespace);
        self.counted += end.objects;
        self.stored_bytes += end.stored_bytes;
        self.part.push_end(end)
    }
}

impl Shared {
    pub(super) fn id(&self) -> Result<&SnapshotId> {
        let id = self.id.get();
        id.ok_or_else(|| Error::internal("the snapshot was not begun"))
    }

    /// Refuses to go on once somebody else may be writing the snapshot.
    pub(super) async fn check_lease(&self) -> Result<()> {
        match self.lease.get() {
            Some(lease) => lease.check().await,
            None => Ok(()),
        }
    }

    pub(super) async fn release_lease(&self) {
        if let Some(lease) = self.lease.get() {
            lease.release().await;
        }
    }

    /// Stores a segmented object of the snapshot.
    pub(super) async fn put(
        &self,
        folder: &str,
        number: usize,
        segments: Vec<Segment>,
    ) -> Result<StoredObject> {
        let (keys, attempt) = (self.keys.get().cloned(), self.attempt);
        let path = format!("{folder}/{attempt}-{number}.bson.zst{}", self.extension());
        let keys = keys.map(|keys| match path.starts_with(object::PARTS) {
            true => Encryption::Details(keys),
            false => Encryption::All(keys),
        });
        object::put(&**self.repository.store(), self.id()?, path, segments, keys).await
    }

    /// What the names of objects end with.
    pub(super) fn extension(&self) -> &'static str {
        match self.keys.get() {
            Some(_) => ENCRYPTED_EXTENSION,
            None => "",
        }
    }

    /// Writes the next part, if there is anything for it.
    pub(super) async fn put_part(&self, stored: &mut Stored) -> Result<()> {
        if stored.part.bytes() == 0 {
            return Ok(());
        }
        for (_, progress) in stored.progress.drain() {
            let pushed = stored.part.push_progress(&progress);
            pushed.map_err(not_written)?;
        }
        let segments = std::mem::take(&mut stored.part).finish().into();
        let part = self.put("parts", stored.parts.len(), segments).await?;
        stored.sizes.insert(part.path.clone(), part.stored_bytes());
        stored.parts.push(part);
        stored.since = Instant::now();
        Ok(())
    }

    /// Takes down that a data object is stored, and how far its namespace is read with it if that is known.
    pub(super) async fn list(
        &self,
        object: &DataObject,
        progress: Option<NamespaceProgress>,
    ) -> Result<()> {
        let pushed = self.push(|stored| {
            stored
                .sizes
                .insert(object.path.clone(), object.stored_bytes());
            if let Some(progress) = progress {
                let namespace = object.namespace.clone();
                stored.progress.insert(namespace, progress);
            }
            stored.part.push_object(object)
        });
        pushed.await
    }

    /// Takes down what is stored.
    pub(super) async fn push(
        &self,
        push: impl FnOnce(&mut Stored) -> Result<(), RecordError>,
    ) -> Result<()> {
        let mut stored = self.stored.lock().await;
        push(&mut stored).map_err(not_written)?;
        let longest = FIRST_PART.max(stored.begun.elapsed() / PART_SHARE);
        if stored.part.bytes() >= self.part_bytes || stored.since.elapsed() >= longest {
            self.put_part(&mut stored).await?;
        }
        Ok(())
    }
}
