//! Places that hold snapshots.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use rdump_format::repository::{
    AUDIT, AuditVerb, BEGUN, BegunRecord, KEYS, LEASES, LeaseRecord, MANIFEST_COPIES, MANIFESTS,
    MAX_RECORD_BYTES, REPOSITORY_FILE, RecordError, RecordFault, RepositoryId, RepositoryRecord,
    SnapshotId, SnapshotManifest, VERIFIED,
};
use rdump_storage::{Leftover, Listed, Location, ObjectInfo, PutIf, StorageError, Store};

use crate::{Error, ErrorKind, Result};
use snapshot::Lock;

mod audit;
mod bundle;
mod carried;
mod copy;
mod earlier;
mod encryption;
mod frozen;
mod lease;
mod looks;
mod object;
mod point_in_time;
mod progress;
mod prune;
mod reader;
mod snapshot;
mod status;
mod thaw;
mod tier;
mod timeline;
mod verify;
mod verify_timeline;
mod writer;

pub use audit::{Act, Actor, AuditHead, AuditReport};
pub(crate) use audit::{Outcome, deployment, sink};
pub use bundle::{BundleReader, BundleReport, UnbundleReport};
pub use copy::{CopyReport, RepositoryCopy, SnapshotChoice};
pub use encryption::{Identities, Recipients};
pub(crate) use lease::LEASE;
pub use point_in_time::{CapturedSpan, PointInTime, RestorableSpan, RestorePoint};
pub use prune::{
    PlannedSlices, PlannedSnapshot, PlannedUnfinished, PlannedUnnamed, Prune, PrunePlan,
    PruneReport,
};
pub use reader::SnapshotReader;
pub use snapshot::{Snapshot, SnapshotNamespace};
pub(crate) use status::open_gaps;
pub use status::{DrillStatus, RepositoryStatus, SnapshotStatus};
pub use thaw::{Thaw, ThawReport};
pub use tier::{PlannedTier, Tier, TierChoice, TierPlan, TierReport};
pub use timeline::Capturing;
pub(crate) use timeline::{CaptureLease, make_keys, pack_slice, parse_slice};
pub use verify::{Sample, SnapshotVerifyOptions, SnapshotVerifyReport};
pub use verify_timeline::TimelineVerifyReport;
pub use writer::SnapshotWriter;

/// How many manifests are read at once.
const PARALLEL_READS: usize = 8;

/// A place that holds snapshots: a folder or the prefix of a bucket.
///
/// Everything in it is written once. A snapshot exists if and only if its manifest does. `docs/format.md` is the authority.
///
/// # Examples
///
/// ```no_run
/// use rdump::Repository;
///
/// # async fn example() -> rdump::Result<()> {
/// let repository = Repository::open(&"s3://backups/shop".parse()?).await?;
/// for snapshot in repository.snapshots().await?.whole {
///     println!("{} of {}", snapshot.id(), snapshot.manifest().run.started_at);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Repository {
    store: Arc<dyn Store>,
    record: RepositoryRecord,
    identities: Option<Identities>,
    actor: Actor,
}

/// The snapshots of a repository, and what is there of others.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshots {
    /// Those whose manifest can be read, oldest first.
    pub whole: Vec<Snapshot>,
    /// Those whose manifest is lost or damaged, each with what is wrong with it, oldest first.
    pub damaged: Vec<(SnapshotId, Error)>,
    /// Those that were begun and are not finished, or not yet, oldest first.
    pub unfinished: Vec<SnapshotId>,
    /// Those of them that somebody may be writing now: whose lease has not expired, and whose writer is not known to be dead.
    pub running: Vec<SnapshotId>,
}

impl Repository {
    /// Makes a repository of an empty place.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] if there is one already, or anything else; [`ErrorKind::Denied`] and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the repository made.
    pub async fn init(location: &Location) -> Result<Self> {
        Self::init_in(location.create()?).await
    }

    /// As [`init`](Self::init), of a store.
    ///
    /// # Errors
    ///
    /// As `init` has them.
    pub async fn init_in(store: Arc<dyn Store>) -> Result<Self> {
        Self::init_as(store, new_record(), Actor::default()).await
    }

    /// As [`init`](Self::init); the record of what is done with it begins with who made it.
    ///
    /// # Errors
    ///
    /// As `init` has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the repository made.
    pub async fn init_by(location: &Location, actor: Actor) -> Result<Self> {
        Self::init_as(location.create()?, new_record(), actor).await
    }

    /// Makes this repository of an empty place.
    async fn init_as(
        store: Arc<dyn Store>,
        record: RepositoryRecord,
        actor: Actor,
    ) -> Result<Self> {
        let mut listed = store.list("");
        while let Some(found) = listed.try_next().await? {
            if let Listed::Leftover(_) = found {
                // No object, and never to be.
                continue;
            }
            // Where it is one already, that says more than what comes first.
            let lies_there = match store.head(REPOSITORY_FILE).await {
                Ok(Some(_)) => REPOSITORY_FILE,
                _ => found.path(),
            };
            return Err(Error::conflict(format!(
                "{} is not empty, {lies_there} lies there: a repository is made of an empty place only",
                store.location()
            )));
        }
        drop(listed);
        let bytes = record.to_bytes().map_err(not_written)?;
        put_once(&*store, REPOSITORY_FILE, bytes).await?;
        store.flush().await?;
        let made = Ok(Self::of(store, record).actor(actor));
        if let Ok(repository) = &made {
            let act = repository.act(AuditVerb::Init);
            if let Some(missing) = act.end(&made, |_| Outcome::default()).await {
                // It is made all the same, and whatever is written to it next says so too.
                tracing::warn!("{missing}");
            }
        }
        made
    }

    /// Opens a repository.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if there is none; [`ErrorKind::Data`] if what says which one it is is damaged or lost;
    /// [`ErrorKind::Unsupported`] if it is of a newer format; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn open(location: &Location) -> Result<Self> {
        let store = match location.open() {
            Err(StorageError::NotFound { path }) => {
                return Err(Error::invalid(format!("{path} does not exist")));
            }
            opened => opened?,
        };
        Self::open_in(store).await
    }

    /// As [`open`](Self::open), of a store.
    ///
    /// # Errors
    ///
    /// As `open` has them.
    pub async fn open_in(store: Arc<dyn Store>) -> Result<Self> {
        let location = store.location();
        let found = Self::open_if_there(store).await?;
        found.ok_or_else(|| {
            Error::invalid(format!(
                "{location} is no repository: there is no {REPOSITORY_FILE}"
            ))
            .with_hint("make one of an empty place by `rdump init`, or by the first backup")
        })
    }

    /// As [`open_in`](Self::open_in); `None` where there is none.
    pub(crate) async fn open_if_there(store: Arc<dyn Store>) -> Result<Option<Self>> {
        let record = Self::find(&store).await?;
        Ok(record.map(|record| Self::of(store, record)))
    }

    /// Whether there is a repository at a location, or was: then [`open`](Self::open) says what is wrong with it. There is none
    /// where nothing may be read.
    ///
    /// # Errors
    ///
    /// As the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn is_at(location: &Location) -> Result<bool> {
        let store = match location.open() {
            Ok(store) => store,
            // Whoever takes it for something else says what it is.
            Err(StorageError::NotFound { .. } | StorageError::NotAFolder { .. }) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let looked = async {
            let found = store.head(REPOSITORY_FILE).await?.is_some();
            Ok(found || a_manifest(&*store).await?.is_some())
        };
        match looked.await {
            // Whoever may read one object alone may not ask for others.
            Err(StorageError::Denied { .. }) => Ok(false),
            looked => Ok(looked?),
        }
    }

    /// Opens the repository, or makes one if the place is empty.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`init`](Self::init) have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the repository made.
    pub async fn open_or_init(location: &Location) -> Result<Self> {
        Self::open_or_init_by(location, Actor::default()).await
    }

    /// As [`open_or_init`](Self::open_or_init), with [who](Self::actor) does it.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the repository made.
    pub async fn open_or_init_by(location: &Location, actor: Actor) -> Result<Self> {
        Self::find_or_init(location.create()?, new_record, actor).await
    }

    async fn find_or_init(
        store: Arc<dyn Store>,
        record: impl FnOnce() -> RepositoryRecord,
        actor: Actor,
    ) -> Result<Self> {
        if let Some(record) = Self::find(&store).await? {
            return Ok(Self::of(store, record).actor(actor));
        }
        match Self::init_as(Arc::clone(&store), record(), actor.clone()).await {
            // Somebody made one just then.
            Err(error) if error.kind() == ErrorKind::Conflict => match Self::find(&store).await? {
                Some(record) => Ok(Self::of(store, record).actor(actor)),
                None => Err(error),
            },
            made => made,
        }
    }

    /// Opens the repository at a location, or makes a twin of this one of an empty place: one of the same id, which takes what was
    /// captured too when it is [copied](RepositoryCopy).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open) and [`init`](Self::init) have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the twin made.
    pub async fn open_or_twin(&self, location: &Location) -> Result<Self> {
        self.open_or_twin_in(location.create()?).await
    }

    /// As [`open_or_twin`](Self::open_or_twin), of a store.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn open_or_twin_in(&self, store: Arc<dyn Store>) -> Result<Self> {
        Self::find_or_init(store, || self.record.clone(), self.actor.clone()).await
    }

    /// What says which repository it is; `None` where there is none.
    async fn find(store: &Arc<dyn Store>) -> Result<Option<RepositoryRecord>> {
        let read = read_record(&**store, REPOSITORY_FILE, RepositoryRecord::from_bytes);
        match read.await? {
            Some(record) => record.map(Some),
            None => match a_manifest(&**store).await? {
                None => Ok(None),
                Some(manifest) => Err(Error::data(format!(
                    "{REPOSITORY_FILE} is missing in {}, although {} lies there",
                    store.location(),
                    manifest
                ))
                .at(REPOSITORY_FILE)),
            },
        }
    }

    fn of(store: Arc<dyn Store>, record: RepositoryRecord) -> Self {
        Self {
            store,
            record,
            identities: None,
            actor: Actor::default(),
        }
    }

    /// Sets what opens snapshots that are encrypted. Default: nothing does.
    ///
    /// Documents of a snapshot that is not encrypted are not given then: who may write to the place could have put it there.
    #[must_use]
    pub fn identities(mut self, identities: Option<Identities>) -> Self {
        self.identities = identities;
        self
    }

    /// Which repository it is.
    pub fn record(&self) -> &RepositoryRecord {
        &self.record
    }

    /// Where it is.
    pub fn location(&self) -> Location {
        self.store.location()
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Reads the manifests of all snapshots, but not their parts.
    ///
    /// # Errors
    ///
    /// As the place has them. What is wrong with one snapshot is no error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn snapshots(&self) -> Result<Snapshots> {
        let (manifests, copies) = self.finished().await?;
        let parse = |path: &str| BegunRecord::parse_path(path).map(|(id, _)| id);
        let begun = self.ids(BEGUN, parse).await?;
        let mut snapshots = Snapshots::default();
        // Owned, or the future could not be sent to another thread.
        let ids: Vec<SnapshotId> = manifests.union(&copies).cloned().collect();
        let read = stream::iter(ids).map(|id| async move {
            let snapshot = self.snapshot(&id).await;
            (id, snapshot)
        });
        let mut read = read.buffered(PARALLEL_READS);
        while let Some((id, snapshot)) = read.next().await {
            match snapshot {
                Ok(snapshot) => snapshots.whole.push(snapshot),
                Err(error) => match error.kind() {
                    ErrorKind::Data | ErrorKind::Unsupported => {
                        snapshots.damaged.push((id, error));
                    }
                    // It was deleted since it was listed.
                    ErrorKind::Invalid => {}
                    _ => return Err(error),
                },
            }
        }
        let unfinished = begun
            .iter()
            .filter(|id| !manifests.contains(id) && !copies.contains(id));
        snapshots.unfinished = unfinished.cloned().collect();
        let leases = self.ids(LEASES, LeaseRecord::parse_path).await?;
        for id in snapshots.unfinished.iter().filter(|id| leases.contains(id)) {
            let is_running = match lease::holder(&*self.store, id.as_str()).await {
                Ok(holder) => holder.is_some(),
                // Whose it is cannot be read.
                Err(error) if error.kind() == ErrorKind::Data => true,
                Err(error) => return Err(error),
            };
            snapshots.running.extend(is_running.then(|| id.clone()));
        }
        Ok(snapshots)
    }

    /// The snapshots that have a manifest, and those that have a copy of it.
    async fn finished(&self) -> Result<(BTreeSet<SnapshotId>, BTreeSet<SnapshotId>)> {
        let manifests = self.ids(MANIFESTS, SnapshotId::parse_path).await?;
        let copies = self.ids(MANIFEST_COPIES, SnapshotId::parse_path).await?;
        Ok((manifests, copies))
    }

    /// Removes what killed writers left behind that is no object, as the store does it; returns what was found.
    async fn remove_leftovers(&self) -> Result<Vec<Leftover>> {
        let parse = |path: &str| BegunRecord::parse_path(path).map(|(id, _)| id);
        let begun = self.ids(BEGUN, parse).await?;
        let (manifests, _) = self.finished().await?;
        let mut folders = Vec::new();
        for folder in [
            AUDIT,
            BEGUN,
            KEYS,
            LEASES,
            MANIFESTS,
            MANIFEST_COPIES,
            VERIFIED,
        ] {
            folders.push(folder.trim_end_matches('/').to_owned());
        }
        for id in begun.difference(&manifests) {
            let names = ["catalog", "data", "parts"].into_iter();
            folders.extend(names.map(|name| format!("{}{name}", id.folder())));
        }
        Ok(self.store.remove_leftovers(&folders).await?)
    }

    /// Every lease by its name, and who has it, if somebody does.
    pub(crate) async fn leases(&self) -> Result<Vec<(String, Result<Option<LeaseRecord>>)>> {
        let mut names = Vec::new();
        let mut listed = self.store.list(LEASES);
        while let Some(listed) = listed.try_next().await? {
            let name = listed.path().strip_prefix(LEASES);
            let name = name.and_then(|name| name.strip_suffix(".json"));
            names.extend(name.map(str::to_owned));
        }
        drop(listed);
        let mut leases = Vec::with_capacity(names.len());
        for name in names {
            let holder = lease::holder(&*self.store, &name).await;
            leases.push((name, holder));
        }
        Ok(leases)
    }

    async fn ids(
        &self,
        prefix: &str,
        parse: impl Fn(&str) -> Option<SnapshotId>,
    ) -> Result<BTreeSet<SnapshotId>> {
        let mut ids = BTreeSet::new();
        let mut listed = self.store.list(prefix);
        while let Some(listed) = listed.try_next().await? {
            if let Listed::Object(object) = &listed {
                ids.extend(parse(&object.path));
            }
        }
        Ok(ids)
    }

    /// Reads the manifest of one snapshot, but not its parts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if there is no such snapshot; [`ErrorKind::Data`] if its manifest is lost or damaged;
    /// [`ErrorKind::Unsupported`] if it is of a newer format; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot> {
        match self.snapshot_by(id, &id.manifest()).await {
            Ok(Some(snapshot)) => Ok(snapshot),
            Ok(None) => Err(self.no_snapshot(id).await?),
            Err(error) if error.kind() == ErrorKind::Data => Err(error.with_hint(format!(
                "{} holds the same bytes: if it is whole, put it in its place",
                id.manifest_copy()
            ))),
            Err(error) => Err(error),
        }
    }

    /// A snapshot by what says at a path what it is made of: its manifest, or the copy of it.
    async fn snapshot_by(&self, id: &SnapshotId, path: &str) -> Result<Option<Snapshot>> {
        let read = read_record(&*self.store, path, |bytes| {
            let manifest = SnapshotManifest::from_bytes(bytes)?;
            let authenticated = SnapshotManifest::authenticated(bytes);
            let authenticated = authenticated.filter(|_| manifest.is_encrypted());
            Ok((manifest, authenticated.unwrap_or_default().to_vec()))
        });
        let Some(read) = read.await? else {
            return Ok(None);
        };
        let (manifest, authenticated) = read?;
        if manifest.id != *id {
            return Err(Error::data(format!(
                "{path} is the manifest of snapshot {}",
                manifest.id
            ))
            .at(path));
        }
        let lock = Lock::new(authenticated, self.identities.clone());
        let snapshot = Snapshot::new(Arc::clone(&self.store), manifest, lock);
        Ok(Some(snapshot.of(self)))
    }

    /// Wraps the keys of a snapshot that is encrypted anew, for others than before, and removes what was wrapped for those. The
    /// data stays as it is: who has unwrapped the keys once can read it for ever.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the snapshot is not encrypted, [`ErrorKind::Denied`] if the identities of the repository do
    /// not open it or its old keys may not be removed, [`ErrorKind::Data`] if it is damaged, and as the place has them. Whenever
    /// it fails, those before or those now can open the snapshot.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave what was wrapped before.
    pub async fn rekey(&self, id: &SnapshotId, recipients: &Recipients) -> Result<RekeyReport> {
        let act = self.act(AuditVerb::Rekey).snapshot(Some(id)).private(true);
        let rekeyed = self.wrap_anew(id, recipients).await;
        let missing = act.end(&rekeyed, |()| Outcome::default()).await;
        rekeyed?;
        Ok(RekeyReport {
            problems: missing.into_iter().collect(),
        })
    }

    async fn wrap_anew(&self, id: &SnapshotId, recipients: &Recipients) -> Result<()> {
        let store = &*self.store;
        let numbers = encryption::numbers(store, id).await?;
        let keys = match self.snapshot(id).await {
            Ok(snapshot) => snapshot.keys().await?,
            // What is begun and not finished has keys too, that it will be gone on with.
            Err(error) if error.kind() == ErrorKind::Invalid && !numbers.is_empty() => {
                let record = encryption::key_record(store, id).await?;
                let Some(identities) = &self.identities else {
                    return Err(encryption::locked(&record));
                };
                Some(Arc::new(encryption::unwrap_keys(record, identities).await?))
            }
            Err(error) => return Err(error),
        };
        let Some(keys) = keys else {
            return Err(Error::invalid(format!("snapshot {id} is not encrypted")));
        };
        let next = encryption::next_number(id, numbers.last().copied())?;
        encryption::put_keys(store, recipients, keys, next).await?;
        store.flush().await?;
        encryption::delete_keys(store, id, |number| number < next).await
    }

    /// Why there is no manifest.
    async fn no_snapshot(&self, id: &SnapshotId) -> Result<Error> {
        let (path, copy) = (id.manifest(), id.manifest_copy());
        if self.store.head(&copy).await?.is_some() {
            return Ok(Error::data(format!("{path} is missing"))
                .at(path)
                .with_hint(format!("{copy} holds the same bytes: put it in its place")));
        }
        let unfinished = self
            .ids(&format!("{BEGUN}{id}-"), |path| {
                BegunRecord::parse_path(path).map(|(id, _)| id)
            })
            .await?;
        Ok(match unfinished.is_empty() {
            true => Error::invalid(format!("there is no snapshot {id} in {}", self.location())),
            false => Error::invalid(format!(
                "snapshot {id} in {} was begun and is not finished",
                self.location()
            )),
        })
    }

    /// The snapshot that a text means: an id, its beginning if no other has it, or `latest`.
    ///
    /// The newest is the newest also if its manifest is damaged or lost, which is an error then: no older one is taken for it.
    ///
    /// # Errors
    ///
    /// As [`find_id`](Self::find_id) and [`snapshot`](Self::snapshot) have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn find_snapshot(&self, text: &str) -> Result<Snapshot> {
        self.snapshot(&self.find_id(text).await?).await
    }

    /// As [`find_snapshot`](Self::find_snapshot), of the id alone; a whole id is taken as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the text means none, or several; and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn find_id(&self, text: &str) -> Result<SnapshotId> {
        let error = match text.parse() {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let (mut ids, copies) = self.finished().await?;
        ids.extend(copies);
        if text == "latest" {
            let latest = ids.pop_last();
            return latest.ok_or_else(|| Error::invalid("the repository holds no snapshot"));
        }
        ids.retain(|id| !text.is_empty() && id.as_str().starts_with(text));
        let ids: Vec<_> = ids.iter().collect();
        match ids.as_slice() {
            [id] => Ok((*id).clone()),
            [] => Err(Error::invalid(error.to_string())
                .with_hint("`rdump list` shows the snapshots; `latest` is the newest")),
            [first, second, ..] => Err(Error::invalid(format!(
                "{text:?} is the beginning of {} snapshots",
                ids.len()
            ))
            .with_hint(format!("{first} and {second} are among them"))),
        }
    }
}

/// What came of keys that were wrapped anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RekeyReport {
    /// What is wrong, though not with the keys: that it could not be recorded.
    pub problems: Vec<String>,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository {} in {}", self.record.id, self.location())
    }
}

/// That of a repository that there was never before.
fn new_record() -> RepositoryRecord {
    let id = RepositoryId(bson::Uuid::new().bytes());
    RepositoryRecord::new(id, Timestamp::now().to_string())
}

/// The size of everything in the folder of a snapshot, by its path there.
async fn sizes(store: &dyn Store, id: &SnapshotId) -> Result<BTreeMap<String, u64>> {
    let folder = id.folder();
    let mut sizes = BTreeMap::new();
    let mut listed = store.list(&folder);
    while let Some(listed) = listed.try_next().await? {
        if let Listed::Object(info) = listed {
            let path = info.path.strip_prefix(&folder).unwrap_or_default();
            sizes.insert(path.to_owned(), info.stored_bytes);
        }
    }
    Ok(sizes)
}

/// Where some snapshot's manifest is, if there is any.
async fn a_manifest(store: &dyn Store) -> Result<Option<String>, StorageError> {
    let listed = store.list(MANIFESTS).try_next().await?;
    let path = listed.map(|listed| listed.path().to_owned());
    Ok(path.filter(|path| SnapshotId::parse_path(path).is_some()))
}

/// What an object of one line says; `None` if it is not there.
async fn read_record<T: Send + 'static>(
    store: &dyn Store,
    path: &str,
    parse: fn(&[u8]) -> Result<T, RecordError>,
) -> Result<Option<Result<T>>> {
    let bytes = match read_bytes(store, path, MAX_RECORD_BYTES).await? {
        None => return Ok(None),
        Some(Err(error)) => return Ok(Some(Err(error))),
        Some(Ok(bytes)) => bytes,
    };
    let parsed = tokio::task::spawn_blocking(move || parse(&bytes));
    let parsed = parsed
        .await
        .map_err(|error| Error::task("read a record", error))?;
    Ok(Some(parsed.map_err(|error| unreadable_record(path, error))))
}

/// The bytes of an object of one line, which has at most so many; `None` if it is not there.
async fn read_bytes(
    store: &dyn Store,
    path: &str,
    most_bytes: u64,
) -> Result<Option<Result<Bytes>>> {
    let Some(info) = store.head(path).await? else {
        return Ok(None);
    };
    if info.stored_bytes > most_bytes {
        return Ok(Some(Err(Error::data(format!(
            "{path} has {} bytes, too many for what it should be",
            info.stored_bytes
        ))
        .at(path))));
    }
    let bytes = store.read(path, 0..info.stored_bytes, info.version.as_ref());
    match bytes.await {
        Err(error @ (StorageError::NotFound { .. } | StorageError::TooShort { .. })) => {
            Ok(Some(Err(Error::data(format!("{path} cannot be read"))
                .at(path)
                .caused_by(error))))
        }
        read => Ok(Some(Ok(read?))),
    }
}

/// What is wrong where an object of one line does not say what it should.
fn unreadable_record(path: &str, error: RecordError) -> Error {
    let kind = match error.fault {
        RecordFault::TooNew { .. } | RecordFault::OtherVersion { .. } => ErrorKind::Unsupported,
        _ => ErrorKind::Data,
    };
    Error::new(kind, format!("{path}: {error}")).at(path)
}

fn not_written(error: RecordError) -> Error {
    Error::internal("could not write a record of the repository").caused_by(error)
}

/// Puts what must not be there yet.
async fn put_once(store: &dyn Store, path: &str, bytes: Vec<u8>) -> Result<ObjectInfo> {
    Ok(store.put(path, bytes.into(), PutIf::Absent).await?)
}

/// The beginning of what is there, a byte more than is wanted; `None` if there is nothing.
async fn found(store: &dyn Store, path: &str, wanted: usize) -> Result<Option<Bytes>> {
    let Some(info) = store.head(path).await? else {
        return Ok(None);
    };
    let end = info.stored_bytes.min(wanted as u64 + 1);
    Ok(Some(store.read(path, 0..end, info.version.as_ref()).await?))
}

/// Puts what must not be there yet, unless it is and is the same.
async fn put_same(store: &dyn Store, path: &str, bytes: Bytes) -> Result<()> {
    match store.put(path, bytes.clone(), PutIf::Absent).await {
        Err(StorageError::Exists { .. }) => match found(store, path, bytes.len()).await? {
            Some(found) if found == bytes => Ok(()),
            _ => Err(differs(store, path)),
        },
        put => Ok(put.map(drop)?),
    }
}

fn differs(store: &dyn Store, path: &str) -> Error {
    Error::conflict(format!(
        "{path} lies in {} already, and is not what would be stored there",
        store.location()
    ))
    .at(path)
    .with_hint("if no backup is running that writes it, it is of no snapshot and can be removed")
}

/// Puts the root of a manifest, and its copy. Gives what is wrong with the copy: the snapshot is complete without it.
async fn put_manifest(store: &dyn Store, id: &SnapshotId, bytes: Vec<u8>) -> Result<Vec<String>> {
    let (path, copy) = (id.manifest(), id.manifest_copy());
    put_once(store, &path, bytes.clone()).await?;
    store.flush().await?;
    let copied = async {
        put_same(store, &copy, bytes.into()).await?;
        Ok::<_, Error>(store.flush().await?)
    };
    let problem = copied
        .await
        .err()
        .map(|error| format!("the copy of the manifest, {copy}, could not be written: {error}"));
    Ok(problem.into_iter().collect())
}
