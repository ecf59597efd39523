//! What attempts that did not finish have stored of a snapshot.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    sync::Arc,
};

use futures::TryStreamExt;
use rdump_format::{
    Codec, Digest, Namespace, SourceRecord, decoder, first_zstd_frame,
    repository::{
        BEGUN, BegunRecord, DataKeys, DataObject, IdRange, NamespaceEnd, NamespaceProgress, Part,
        PrivatePlace, SnapshotId,
    },
};
use rdump_storage::Store;
use serde_json::Value;

use super::{Repository, encryption, read_record, sizes};
use crate::{
    Error, OpTime, Result,
    media::{NamespaceHeader, Reading},
    same_options::different,
};

/// The longest part that is read whole, in bytes, before and after it is decompressed.
const MOST_BYTES: u64 = 1 << 30;

/// The options that do not change what a snapshot holds.
const OF_NO_MATTER: [&str; 6] = [
    "parallel-collections",
    "partitions",
    "limit-bytes-per-second",
    "max-retries",
    "segment-bytes",
    "read-preference",
];

/// What there is of a snapshot that was begun and not finished.
#[derive(Debug)]
pub(super) struct Earlier {
    pub(super) id: SnapshotId,
    /// Who began it and went on with it, oldest first.
    pub(super) attempts: Vec<BegunRecord>,
    pub(super) next_attempt: u32,
    /// The keys of these attempts, if it is encrypted.
    pub(super) keys: Option<DataKeys>,
    /// The options that it was begun with.
    options: Value,
    /// What it is marked with.
    pub(super) tags: BTreeMap<String, String>,
    /// What is stored of namespaces, by the namespace that the documents are under.
    stored: HashMap<Namespace, StoredNamespace>,
    /// How often each was begun.
    pub(super) takes: HashMap<Namespace, u32>,
}

/// What is stored of a namespace: all objects of one take.
#[derive(Clone, Debug)]
pub(super) struct StoredNamespace {
    pub(super) end: NamespaceEnd,
    pub(super) objects: Vec<DataObject>,
    /// What is not; nothing if it is stored whole.
    pub(super) left: Vec<IdRange>,
}

impl Earlier {
    /// Looks at what is stored. Of data objects that is their size: each was written once, and became visible whole.
    pub(super) async fn read(repository: &Repository, id: &SnapshotId) -> Result<Self> {
        let store = repository.store();
        for path in [id.manifest(), id.manifest_copy()] {
            if store.head(&path).await?.is_some() {
                return Err(Error::conflict(format!(
                    "snapshot {id} has finished: {path} is there"
                )));
            }
        }
        let attempts = attempts(repository, id).await?;
        let (Some(first), Some(last)) = (attempts.first(), attempts.last()) else {
            return Err(Error::invalid(format!(
                "snapshot {id} was never begun in {}",
                repository.location()
            )));
        };
        // One that was killed early has left keys alone.
        let numbers = encryption::numbers(&**store, id).await?;
        let last = numbers.last().copied().max(Some(last.attempt));
        let next_attempt = encryption::next_number(id, last)?;
        let (keys, options, tags) = match &first.private {
            None => (None, first.options.clone(), first.tags.clone()),
            Some(private) => {
                let record = encryption::key_record(&**store, id).await?;
                let Some(identities) = &repository.identities else {
                    return Err(encryption::locked(&record)
                        .with_hint("to go on, a key that opens what is stored is needed too"));
                };
                let keys = encryption::unwrap_keys(record, identities).await?;
                let private = keys.decrypt_private(PrivatePlace::Begun, first.attempt, private);
                let private = private.map_err(|error| {
                    Error::data(format!("{} cannot be decrypted", first.path()))
                        .at(first.path())
                        .caused_by(error)
                })?;
                (Some(keys), private.options, private.tags)
            }
        };
        let sizes = sizes(&**store, id).await?;
        let mut found: HashMap<Namespace, Found> = HashMap::new();
        for (path, bytes) in &sizes {
            if !path.starts_with("parts/") {
                continue;
            }
            // What cannot be read proves nothing: its objects are stored again.
            let Some(part) = part(store, id, path, *bytes, keys.as_ref()).await? else {
                continue;
            };
            for object in part.objects {
                let found = found.entry(object.namespace.clone()).or_default();
                let is_there = sizes.get(&object.path) == Some(&object.stored_bytes());
                let place = place(&object.path);
                let take = found.takes.entry(object.take).or_default();
                take.insert(place, is_there.then_some(object));
            }
            for end in part.ends {
                let found = found.entry(end.namespace.clone()).or_default();
                found.candidates.push((end, Vec::new()));
            }
            for NamespaceProgress { stored, left, .. } in part.progress {
                let found = found.entry(stored.namespace.clone()).or_default();
                found.candidates.push((stored, left));
            }
        }
        let takes = found.iter().filter_map(|(namespace, found)| {
            let last = found.takes.keys().next_back()?;
            Some((namespace.clone(), last.saturating_add(1)))
        });
        let takes = takes.collect();
        let stored = found.into_iter();
        let stored = stored.filter_map(|(namespace, found)| Some((namespace, found.proven()?)));
        Ok(Self {
            id: id.clone(),
            next_attempt,
            keys,
            options,
            tags,
            attempts,
            stored: stored.collect(),
            takes,
        })
    }

    /// How all of it was read: from the earliest moment on that an oplog was captured from, or at the one moment that all attempts have in common.
    pub(super) fn reading(&self) -> Reading {
        let moments = |of: fn(&BegunRecord) -> &Option<String>| {
            let moments = self.attempts.iter();
            let moments = moments.map(|begun| of(begun).as_ref()?.parse::<OpTime>().ok());
            moments.collect::<Option<Vec<_>>>().unwrap_or_default()
        };
        let captured = moments(|begun| &begun.captured_from);
        let read_at = moments(|begun| &begun.read_at);
        let first = read_at.first().copied();
        Reading {
            captured_from: captured.into_iter().min(),
            read_at: first.filter(|first| read_at.iter().all(|at| at == first)),
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.keys.is_some()
    }

    /// Refuses to go on with a snapshot of something else.
    pub(super) fn check(&self, source: &SourceRecord, options: &Value) -> Result<()> {
        let Some(first) = self.attempts.first() else {
            return Ok(());
        };
        let refuse = |what: &str| {
            Err(Error::conflict(format!(
                "snapshot {} cannot be gone on with: {what}",
                self.id
            ))
            .with_hint("start another snapshot: without --resume"))
        };
        if !first.source.is_of_same_deployment(source) || first.source.topology != source.topology {
            return refuse("it is of another deployment");
        }
        match different(&self.options, options, &OF_NO_MATTER) {
            Some(option) => refuse(&format!("it was begun with another {option}")),
            None => Ok(()),
        }
    }

    /// What is stored of a namespace, if the collection is known to be the same one still: what has no UUID, as users of one
    /// database and views that are dumped as collections, is read again.
    pub(super) fn stored(&self, header: &NamespaceHeader) -> Option<&StoredNamespace> {
        let stored = self.stored.get(header.data_namespace.as_ref()?)?;
        let uuid = header.metadata.as_ref().and_then(|metadata| metadata.uuid);
        (uuid.is_some() && stored.end.uuid == uuid).then_some(stored)
    }
}

/// What parts say of a namespace.
#[derive(Debug, Default)]
struct Found {
    /// The objects of each take, by their [place]; `None` for one that is not there as it was stored.
    takes: BTreeMap<u32, BTreeMap<(u32, u32), Option<DataObject>>>,
    /// What the objects of a take hold, and what was left to read.
    candidates: Vec<(NamespaceEnd, Vec<IdRange>)>,
}

impl Found {
    /// What all objects of a take hold, and nothing is said of but that: of several, what has least left.
    fn proven(mut self) -> Option<StoredNamespace> {
        let proven = self.candidates.into_iter().filter(|(end, _)| {
            let mut found = NamespaceEnd::new(end.namespace.clone());
            (found.take, found.uuid) = (end.take, end.uuid);
            let objects = self.takes.get(&end.take).into_iter();
            let mut objects = objects.flat_map(BTreeMap::values);
            let are_there = objects.all(|object| {
                object
                    .as_ref()
                    .inspect(|object| found.add(object))
                    .is_some()
            });
            are_there && found == *end
        });
        let (end, left) = proven.max_by_key(|(end, left)| (left.is_empty(), end.documents))?;
        let objects = self.takes.remove(&end.take).unwrap_or_default();
        Some(StoredNamespace {
            objects: objects.into_values().flatten().collect(),
            end,
            left,
        })
    }
}

/// Attempt and number of an object.
fn place(path: &str) -> (u32, u32) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let numbers = name.split('.').next().and_then(|name| name.split_once('-'));
    numbers.map_or((0, 0), |(attempt, number)| {
        (
            attempt.parse().unwrap_or_default(),
            number.parse().unwrap_or_default(),
        )
    })
}

async fn attempts(repository: &Repository, id: &SnapshotId) -> Result<Vec<BegunRecord>> {
    let store = &**repository.store();
    let prefix = format!("{BEGUN}{id}-");
    let mut listed = store.list(&prefix);
    let mut attempts = Vec::new();
    while let Some(listed) = listed.try_next().await? {
        if BegunRecord::parse_path(listed.path()).is_none() {
            continue;
        }
        let read = read_record(store, listed.path(), BegunRecord::from_bytes);
        if let Some(record) = read.await? {
            attempts.push(record?);
        }
    }
    attempts.sort_by_key(|record: &BegunRecord| record.attempt);
    Ok(attempts)
}

/// A part; `None` if it is damaged. Each of its two segments is a zstd frame, which has a checksum, or is encrypted.
async fn part(
    store: &Arc<dyn Store>,
    id: &SnapshotId,
    path: &str,
    bytes: u64,
    keys: Option<&DataKeys>,
) -> Result<Option<Part>> {
    if bytes > MOST_BYTES {
        return Ok(None);
    }
    let object = format!("{}{path}", id.folder());
    let stored = store.read(&object, 0..bytes, None).await?;
    let (keys, path) = (keys.cloned(), path.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let (index, details) = stored.split_at_checked(first_zstd_frame(&stored)?)?;
        let decrypted = keys.map(|keys| keys.decrypt_details(&path, Digest::of(index), details));
        let details = match &decrypted {
            None => details,
            Some(decrypted) => decrypted.as_ref().ok()?,
        };
        Part::read(&documents(index)?, &documents(details)?).ok()
    });
    read.await
        .map_err(|error| Error::task("read a part", error))
}

/// What a zstd frame holds.
fn documents(frame: &[u8]) -> Option<Vec<u8>> {
    let mut documents = Vec::new();
    let mut decoder = decoder(Codec::Zstd, frame).ok()?.take(MOST_BYTES);
    decoder.read_to_end(&mut documents).ok()?;
    Some(documents)
}
