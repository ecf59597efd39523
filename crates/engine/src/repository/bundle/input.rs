//! A bundle taken apart, from front to end. Everything here blocks.

use std::{
    fmt,
    io::{self, BufReader, Read},
    sync::Arc,
};

use bytes::Bytes;
use rdump_format::{
    BLOCK_BYTES, BundleEntry, BundleError, Digester, SegmentRecord,
    repository::{
        BegunRecord, KeyRecord, MAX_RECORD_BYTES, REPOSITORY_FILE, RecordError, RepositoryRecord,
        SnapshotId, SnapshotManifest, StoredObject,
    },
};
use rdump_storage::{MemoryStore, PutIf, Store};

use super::{MAX_HEAD_BYTES, data_objects};
use crate::{
    Error, Result,
    media::runs,
    repository::{
        Identities, Snapshot,
        snapshot::{Lock, Object},
        unreadable_record,
    },
};

/// How much is read at once from where the bundle comes from.
const READ_BYTES: usize = 1 << 20;
/// How much room is made for an object before any of it has come: what a header says may not be true.
const ROOM_BYTES: u64 = 16 << 20;
/// The most zeros that may follow the end, which some fill up to the length of a record of a tape.
const MAX_TRAILER_BYTES: u64 = 1 << 20;

/// A bundle, and how far it was taken apart.
pub(super) struct Input {
    pub(super) name: String,
    input: BufReader<Box<dyn Read + Send>>,
    /// The object that comes now.
    entry: BundleEntry,
}

/// What comes before the data objects: all that says what they are.
pub(super) struct Head {
    /// Everything, in its order, by its path in the repository.
    pub(super) objects: Vec<(String, Bytes)>,
    /// What says which repository the snapshot comes from.
    pub(super) repository: RepositoryRecord,
    pub(super) root: Bytes,
    /// The snapshot, with nothing but these objects.
    pub(super) snapshot: Snapshot,
    /// The data objects that come, in their order.
    pub(super) data: Vec<Object>,
}

impl Input {
    pub(super) fn new(name: impl Into<String>, input: impl Read + Send + 'static) -> Self {
        Self {
            name: name.into(),
            input: BufReader::with_capacity(READ_BYTES, Box::new(input)),
            entry: BundleEntry::new("", 0),
        }
    }

    /// Reads everything that comes before the data objects, on a thread that may block.
    pub(super) async fn head(mut self, identities: Option<Identities>) -> Result<(Self, Head)> {
        let taken = tokio::task::spawn_blocking(move || {
            let taken = take_head(&mut self)?;
            Ok::<_, Error>((self, taken))
        });
        let (this, taken) = taken
            .await
            .map_err(|error| Error::task("read a bundle", error))??;
        let (objects, repository, root, manifest) = taken;
        let store = MemoryStore::new(this.name.clone());
        for (path, bytes) in &objects {
            store.put(path, bytes.clone(), PutIf::Absent).await?;
        }
        let authenticated = SnapshotManifest::authenticated(&root);
        let lock = Lock::new(authenticated.unwrap_or_default().to_vec(), identities);
        let snapshot = Snapshot::new(Arc::new(store), manifest, lock);
        let head = Head {
            data: data_objects(&snapshot).await?,
            objects,
            repository,
            root,
            snapshot,
        };
        Ok((this, head))
    }

    /// The next object; an error at the end.
    fn next(&mut self) -> Result<&BundleEntry> {
        let mut header = [0; BLOCK_BYTES];
        self.fill(&mut header)?;
        match BundleEntry::from_header(&header) {
            Ok(Some(entry)) => {
                self.entry = entry;
                Ok(&self.entry)
            }
            Ok(None) => Err(self.refused("it ends before its snapshot does")),
            Err(error) => Err(self.damaged(error)),
        }
    }

    /// Goes on to the next object, which must be this one, and so long.
    pub(super) fn begin(&mut self, path: &str, stored_bytes: u64) -> Result<()> {
        self.next()?;
        self.check(path, stored_bytes)
    }

    /// Refuses the object that comes now unless it is this one.
    fn check(&self, path: &str, stored_bytes: u64) -> Result<()> {
        let found = &self.entry;
        if found.path != path {
            let what = format!("{:?} comes where {path} should", found.path);
            return Err(self.refused(what).at(&found.path));
        }
        if found.stored_bytes != stored_bytes {
            let what = format!(
                "{path} has {} bytes, and should have {stored_bytes}",
                found.stored_bytes
            );
            return Err(self.refused(what).at(path));
        }
        Ok(())
    }

    /// The next so many bytes of the object that comes now.
    pub(super) fn read(&mut self, bytes: u64) -> Result<Bytes> {
        let room = usize::try_from(bytes.min(ROOM_BYTES)).unwrap_or_default();
        let mut read = Vec::with_capacity(room);
        let result = self.input.by_ref().take(bytes).read_to_end(&mut read);
        result.map_err(|error| runs::unreadable(&self.name, error))?;
        match read.len() as u64 == bytes {
            true => Ok(read.into()),
            false => Err(self.cut_short()),
        }
    }

    /// Passes the zeros over that follow the object.
    pub(super) fn end_object(&mut self) -> Result<()> {
        let mut padding = [0; BLOCK_BYTES];
        let bytes = self.entry.padding_bytes();
        self.fill(padding.get_mut(..bytes).unwrap_or_default())?;
        match padding.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(self
                .refused("something follows an object")
                .at(&self.entry.path)),
        }
    }

    /// Reads the object that comes now to its end, and checks its segments.
    fn segments(&mut self, object: &StoredObject) -> Result<Bytes> {
        let mut whole = Vec::new();
        for record in &object.segments {
            let stored = self.read(record.stored_bytes)?;
            self.check_stored(record, &stored)?;
            whole.extend_from_slice(&stored);
        }
        self.end_object()?;
        Ok(whole.into())
    }

    /// Refuses a segment of the object that comes now unless it is as it was stored.
    pub(super) fn check_stored(&self, record: &SegmentRecord, stored: &[u8]) -> Result<()> {
        let checked = record.check_stored(stored, &mut Digester::new());
        checked.map_err(|error| self.damaged_object().caused_by(error))
    }

    /// What is wrong where the object that comes now is not as it was stored.
    pub(super) fn damaged_object(&self) -> Error {
        let path = &self.entry.path;
        Error::data(format!("{path} in {} is damaged", self.name)).at(path)
    }

    /// Reads what comes after the data objects: the root of the manifest, which must be as it was before them, and the end.
    pub(super) fn finish(&mut self, id: &SnapshotId, root: &Bytes) -> Result<()> {
        let (path, bytes) = (id.manifest(), root.len() as u64);
        self.begin(&path, bytes)?;
        if self.read(bytes)? != *root {
            let what = format!("{path} is not what {} is", id.manifest_copy());
            return Err(self.refused(what).at(path));
        }
        self.end_object()?;
        let mut end = [0; 2 * BLOCK_BYTES];
        self.fill(&mut end)?;
        let mut trailer = Vec::new();
        let rest = self
            .input
            .by_ref()
            .take(MAX_TRAILER_BYTES + 1)
            .read_to_end(&mut trailer);
        rest.map_err(|error| runs::unreadable(&self.name, error))?;
        let is_end = end.iter().chain(&trailer).all(|byte| *byte == 0);
        match is_end && trailer.len() as u64 <= MAX_TRAILER_BYTES {
            true => Ok(()),
            false => Err(self.refused("something follows the end of its snapshot")),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        let filled = self.input.read_exact(buffer);
        filled.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.cut_short(),
            _ => runs::unreadable(&self.name, error),
        })
    }

    fn cut_short(&self) -> Error {
        let name = &self.name;
        Error::data(match self.entry.path.as_str() {
            "" => format!("{name} is cut short at its beginning"),
            path => format!("{name} is cut short: it ends in {path}, or after it"),
        })
    }

    fn damaged(&self, error: BundleError) -> Error {
        let name = &self.name;
        Error::data(match self.entry.path.as_str() {
            "" => format!("{name} is no bundle, or is damaged"),
            path => format!("{name} is damaged, or no bundle, after {path}"),
        })
        .with_hint("what another tar has packed is no bundle: unpack it, which gives a repository")
        .caused_by(error)
    }

    fn refused(&self, what: impl fmt::Display) -> Error {
        Error::data(format!(
            "{} is no bundle that can be trusted: {what}",
            self.name
        ))
    }
}

/// What [`Input::head`] reads: all objects, and what some of them say.
type Taken = (
    Vec<(String, Bytes)>,
    RepositoryRecord,
    Bytes,
    SnapshotManifest,
);

fn take_head(input: &mut Input) -> Result<Taken> {
    let mut objects = Vec::new();
    let (path, bytes) = record(input)?;
    input.check(REPOSITORY_FILE, bytes.len() as u64)?;
    let repository = parsed(&path, RepositoryRecord::from_bytes(&bytes))?;
    objects.push((path, bytes));

    let (path, root) = record(input)?;
    let Some(id) = SnapshotId::parse_path(&path).filter(|id| id.manifest_copy() == path) else {
        let what = format!("{path:?} comes where the copy of a manifest should");
        return Err(input.refused(what).at(path));
    };
    let manifest = parsed(&path, SnapshotManifest::from_bytes(&root))?;
    if manifest.id != id {
        let what = format!("{path} is that of snapshot {}", manifest.id);
        return Err(input.refused(what).at(path));
    }
    objects.push((path, root.clone()));

    if manifest.is_encrypted() {
        let (path, bytes) = record(input)?;
        if KeyRecord::parse_path(&path).is_none_or(|(of, _)| of != id) {
            let what = format!("{path:?} comes where the keys of snapshot {id} should");
            return Err(input.refused(what).at(path));
        }
        if parsed(&path, KeyRecord::from_bytes(&bytes))?.path() != path {
            return Err(input.refused(format!("{path} are other keys")).at(path));
        }
        objects.push((path, bytes));
    }

    let mut room = MAX_HEAD_BYTES;
    let mut last = 0;
    loop {
        let found = input.next()?;
        let attempt = BegunRecord::parse_path(&found.path).filter(|(of, _)| *of == id);
        let Some((_, attempt)) = attempt.filter(|(_, attempt)| *attempt > last) else {
            break;
        };
        take_room(input, &mut room)?;
        let (path, bytes) = rest_of_record(input)?;
        if parsed(&path, BegunRecord::from_bytes(&bytes))?.path() != path {
            return Err(input
                .refused(format!("{path} is that of another attempt"))
                .at(path));
        }
        last = attempt;
        objects.push((path, bytes));
    }
    if last == 0 {
        let what = format!(
            "{:?} comes where who began snapshot {id} should",
            input.entry.path
        );
        return Err(input.refused(what).at(&input.entry.path));
    }

    let described = [&manifest.catalog].into_iter().chain(&manifest.parts);
    for (number, object) in described.enumerate() {
        // What made the loop before end is the first.
        if number > 0 {
            input.next()?;
        }
        let path = format!("{}{}", id.folder(), object.path);
        input.check(&path, object.stored_bytes())?;
        take_room(input, &mut room)?;
        objects.push((path, input.segments(object)?));
    }
    Ok((objects, repository, root, manifest))
}

/// Reads the next object, which is a record.
fn record(input: &mut Input) -> Result<(String, Bytes)> {
    input.next()?;
    rest_of_record(input)
}

/// Reads the object that comes now, which is a record.
fn rest_of_record(input: &mut Input) -> Result<(String, Bytes)> {
    let BundleEntry {
        path, stored_bytes, ..
    } = input.entry.clone();
    if stored_bytes > MAX_RECORD_BYTES {
        let what = format!("{path:?} has {stored_bytes} bytes, too many for what it should be");
        return Err(input.refused(what).at(path));
    }
    let bytes = input.read(stored_bytes)?;
    input.end_object()?;
    Ok((path, bytes))
}

/// Refuses the object that comes now if there is no room left for it.
fn take_room(input: &Input, room: &mut u64) -> Result<()> {
    match room.checked_sub(input.entry.stored_bytes) {
        Some(left) => {
            *room = left;
            Ok(())
        }
        None => Err(input.refused(format!(
            "more than {MAX_HEAD_BYTES} bytes come before its data"
        ))),
    }
}

fn parsed<T>(path: &str, parsed: Result<T, RecordError>) -> Result<T> {
    parsed.map_err(|error| unreadable_record(path, error))
}
