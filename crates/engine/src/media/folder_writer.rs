//! The mongodump folder, written.
//!
//! `<db>/<collection>.bson[.gz|.zst]` and `.metadata.json[.gz]` beside it, `prelude.json`, and last
//! `rdump.manifest.json`, without which nothing here is known to be complete. Until then `rdump.unfinished` lies there
//! and in the folder of every database that is dumped, so that nobody takes what a killed dump left for a dump of
//! mongodump. `docs/format.md` is the authority.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use rdump_format::repository::REPOSITORY_FILE;
use rdump_format::{
    Codec, Compressor, Crc64, Digest, Digester, FileName, FileRecord, FileRole, FolderManifest,
    MANIFEST_FILE, Namespace, PRELUDE_FILE, RunRecord, Segment, SegmentRecord, UNFINISHED_FILE,
    data_file, metadata_file, oplog_file,
};
use rdump_storage::{
    Leftover, Listed, Listing, Location, Lock, ObjectInfo, PutIf, StorageError, Store, Upload,
};

use super::{
    DumpHeader, DumpWriter, LastStep, NamespaceHeader, NamespaceWriter, PackedSegment, Packing,
    Written, manifest,
};
use crate::{Error, Result};

/// How many files that are no part of the dump are named before the rest is only counted.
const MAX_UNLISTED_NAMES: usize = 10;
/// How many small files are stored at once.
const PARALLEL_PUTS: usize = 8;

/// Writes a mongodump folder with a manifest.
///
/// A folder may take several dumps one after the other, of one database each for instance. The manifest goes on
/// vouching for the files of an earlier dump unless the new one covers their database. What then is of no dump any
/// more, and was not written over, stays where it is and is a problem of the run.
#[derive(Debug)]
pub struct FolderWriter {
    store: Arc<dyn Store>,
    /// What the manifest will name, by path.
    files: Files,
    /// Runs and files of earlier dumps that this one leaves in place.
    earlier: Mutex<Option<FolderManifest>>,
    /// The markers of this dump, and whether an earlier one that did not finish had put them there.
    markers: Mutex<Vec<(String, bool)>>,
    /// The marker of the whole folder, as long as it is ours.
    begun: Mutex<Option<ObjectInfo>>,
    /// Held from the beginning of a dump to its commit.
    locked: Mutex<Option<Lock>>,
    overwrite: bool,
}

/// Files by path, and the object that each became.
type Files = Arc<Mutex<BTreeMap<String, (FileRecord, ObjectInfo)>>>;

impl FolderWriter {
    /// Prepares to write below `location`, which is created, if it does not exist, when the dump begins.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if it is not a folder,
    /// [`ErrorKind::Denied`](crate::ErrorKind::Denied) if it may not be written to.
    pub fn create(location: &Location) -> Result<Self> {
        Ok(Self::new(location.create()?))
    }

    /// Prepares to write to a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            files: Arc::default(),
            earlier: Mutex::default(),
            markers: Mutex::default(),
            begun: Mutex::default(),
            locked: Mutex::default(),
            overwrite: true,
        }
    }

    /// Sets whether the dump may go where there is one already, whose files it replaces. Default: true, as with mongodump.
    ///
    /// A dump that did not finish is none.
    #[must_use]
    pub fn overwrite(mut self, yes: bool) -> Self {
        self.overwrite = yes;
        self
    }

    /// Refuses a place that holds a dump.
    async fn refuse_existing(&self) -> Result<()> {
        let holds_dump = |path: &str| {
            Error::conflict(format!(
                "{} already holds a dump: {path} lies there",
                self.store.location()
            ))
            .with_hint("choose another location; rdump --out replaces it with --overwrite")
        };
        if self.store.head(MANIFEST_FILE).await?.is_some() {
            return Err(holds_dump(MANIFEST_FILE));
        }
        if self.store.head(UNFINISHED_FILE).await?.is_some() {
            // What an unfinished one has left in place is a dump too.
            return match manifest::kept(&self.store).await? {
                Some(kept) if !kept.files.is_empty() => Err(holds_dump(UNFINISHED_FILE)),
                _ => Ok(()),
            };
        }
        let mut listed = self.store.list("");
        while let Some(listed) = listed.try_next().await? {
            let name = listed.path().rsplit('/').next().unwrap_or_default();
            let is_shallow = listed.path().matches('/').count() <= 1;
            let is_part =
                is_shallow && (FileName::parse(name).is_some() || name.starts_with(PRELUDE_FILE));
            if is_part && matches!(listed, Listed::Object(_)) {
                return Err(holds_dump(listed.path()));
            }
        }
        Ok(())
    }

    /// Writes a small file whole.
    async fn put(&self, mut record: FileRecord, content: Vec<u8>) -> Result<()> {
        record.uncompressed_bytes = content.len() as u64;
        let stored = match record.codec {
            Codec::None => content,
            codec => {
                let mut stored = Vec::new();
                Compressor::new(codec.default_compression())
                    .and_then(|mut compressor| compressor.compress(&content, &mut stored))
                    .map_err(|error| {
                        Error::internal(format!("could not compress {}", record.path))
                            .caused_by(error)
                    })?;
                stored
            }
        };
        record.stored_bytes = stored.len() as u64;
        record.sha256 = Digest::of(&stored);
        let object = self.store_whole(&record.path, stored.into()).await?;
        lock(&self.files).insert(record.path.clone(), (record, object));
        Ok(())
    }

    async fn put_metadata(&self, namespace: &NamespaceHeader) -> Result<()> {
        let Some(text) = namespace.metadata_text()? else {
            return Ok(());
        };
        let path = metadata_path(namespace);
        let mut record = FileRecord::new(path, FileRole::Metadata, Digest::of(&[]));
        record.namespace = Some(namespace.namespace.clone());
        record.codec = metadata_codec(namespace.codec);
        self.put(record, text.into_bytes()).await
    }

    /// Stores a small file whole.
    async fn store_whole(&self, path: &str, bytes: Bytes) -> Result<ObjectInfo> {
        Ok(self.store.put(path, bytes, PutIf::Always).await?)
    }

    /// Puts the manifest, and takes away what says that the dump is not complete.
    async fn complete(
        &self,
        manifest: Bytes,
        unlisted: Result<Vec<String>>,
    ) -> Result<Vec<String>> {
        let mut problems = Vec::from_iter(self.told(&unlisted));
        self.put_manifest(manifest).await?;
        self.store.flush().await?;
        // The manifest counts for more, so that the dump is complete however this ends.
        let markers = std::mem::take(&mut *lock(&self.markers));
        for (marker, is_older) in markers {
            if is_older && lies_beside(&marker, &unlisted) {
                problems.push(format!(
                    "{marker} stays: what a dump that did not finish left beside it is no part of this one, and is not \
                     restored; delete all of it, or dump to an empty folder"
                ));
                continue;
            }
            if let Err(error) = self.store.delete(&[&marker]).await {
                problems.push(format!("{marker} stays: {}", Error::from(error)));
            }
        }
        drop(lock(&self.locked).take());
        Ok(problems)
    }

    /// Puts the manifest, unless another dump was begun in the same place meanwhile. Where nothing can be locked that is
    /// noticed here, by one of the two at least.
    async fn put_manifest(&self, bytes: Bytes) -> Result<()> {
        let meanwhile = || {
            Error::conflict(format!(
                "another dump was begun in {} meanwhile; this one is not complete",
                self.store.location()
            ))
            .with_hint("give each dump a place of its own")
        };
        let begun = lock(&self.begun).take();
        let found = self.store.head(UNFINISHED_FILE).await?;
        match (begun, found) {
            (Some(begun), Some(found)) if !self.is_replaced(&begun, &found) => {}
            _ => return Err(meanwhile()),
        }
        let absent = self.store.put(MANIFEST_FILE, bytes.clone(), PutIf::Absent);
        match absent.await {
            Err(StorageError::Exists { .. }) => Err(meanwhile()),
            // Not every store knows conditions.
            Err(StorageError::Refused { .. }) => {
                self.store_whole(MANIFEST_FILE, bytes).await?;
                Ok(())
            }
            put => {
                put?;
                Ok(())
            }
        }
    }

    /// Whether what is found is not what was stored, though it is as long.
    fn is_replaced(&self, stored: &ObjectInfo, found: &ObjectInfo) -> bool {
        is_replaced(&*self.store, stored, found)
    }

    /// Puts markers in the place of the manifest of an earlier dump, of which they keep what stays true.
    async fn retire_manifest(&self, header: &DumpHeader, notices: &mut Vec<String>) -> Result<()> {
        let found = manifest::read(&self.store).await?;
        let was_complete = found.is_some();
        let earlier = match found {
            None => manifest::kept(&self.store).await?,
            Some((_, Ok(earlier))) => Some(earlier),
            Some((_, Err(error))) => {
                notices.push(format!(
                    "the manifest of an earlier dump in {} was damaged and is gone ({error})",
                    self.store.location()
                ));
                None
            }
        };
        let stays = earlier.map(|earlier| outside_of(header, earlier));
        // That of the whole folder is the last one to come, and to go: with it the manifest counts no more.
        let mut markers = Vec::new();
        for folder in folders(header) {
            let marker = format!("{folder}/{UNFINISHED_FILE}");
            let is_older = self.store.head(&marker).await?.is_some();
            self.store_whole(&marker, manifest::marker(None)?).await?;
            markers.push((marker, is_older));
        }
        let begun = self
            .store_whole(UNFINISHED_FILE, manifest::marker(stays.as_ref())?)
            .await?;
        *lock(&self.begun) = Some(begun);
        // Beside the manifest it says nothing any more.
        markers.push((UNFINISHED_FILE.to_owned(), false));
        if was_complete {
            self.store.delete(&[MANIFEST_FILE]).await?;
        }
        *lock(&self.earlier) = stays;
        *lock(&self.markers) = markers;
        Ok(())
    }

    /// Compares what this run has stored with what is there, in a listing or, without one, file by file.
    async fn check_stored(&self, stored: &[ObjectInfo], listing: Option<&Listing>) -> Result<()> {
        let objects = listing.map(|listing| &listing.objects);
        let listed: Option<HashMap<&str, &ObjectInfo>> = objects.map(|objects| {
            let objects = objects.iter();
            objects
                .map(|object| (object.path.as_str(), object))
                .collect()
        });
        for object in stored {
            let path = object.path.as_str();
            let found = match &listed {
                Some(listed) => listed.get(path).copied().cloned(),
                None => self.store.head(path).await?,
            };
            let (bytes, wrong) = match found {
                None => (object.stored_bytes, "is gone".to_owned()),
                Some(found) if found.stored_bytes != object.stored_bytes => (
                    object.stored_bytes,
                    format!("now has {}", found.stored_bytes),
                ),
                Some(found) if self.is_replaced(object, &found) => {
                    (object.stored_bytes, "was replaced since".to_owned())
                }
                Some(_) => continue,
            };
            return Err(Error::data(format!(
                "{path} was stored with {bytes} bytes, and {wrong}"
            )));
        }
        Ok(())
    }

    /// Says which files lie here that are no part of the dump, if any do.
    ///
    /// They are not ours to remove, and what cannot be looked into is not ours to know.
    fn told(&self, unlisted: &Result<Vec<String>>) -> Option<String> {
        let paths = match unlisted {
            Ok(paths) => paths,
            Err(error) => return Some(format!("cannot look for files of older dumps: {error}")),
        };
        let (named, rest) = paths.split_at(paths.len().min(MAX_UNLISTED_NAMES));
        let rest = match rest.len() {
            _ if named.is_empty() => return None,
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "files in {} are no part of the dump: {}{rest}; verify will call them unexpected, which a dump to an empty \
             folder avoids",
            self.store.location(),
            named.join(", ")
        ))
    }

    /// The manifest of this run and of what earlier runs left in place.
    fn manifest(&self, run: RunRecord) -> (FolderManifest, Vec<ObjectInfo>) {
        let mut manifest = lock(&self.earlier).take().unwrap_or_default();
        let number = u32::try_from(manifest.runs.len()).unwrap_or(u32::MAX);
        let files = std::mem::take(&mut *lock(&self.files));
        manifest
            .files
            .retain(|file| !files.contains_key(&file.path));
        let (files, stored): (Vec<FileRecord>, Vec<ObjectInfo>) = files.into_values().unzip();
        let mut run = run;
        run.stored_bytes = files.iter().map(|file| file.stored_bytes).sum();
        manifest.runs.push(run);
        manifest.files.extend(files.into_iter().map(|mut file| {
            file.run = number;
            file
        }));
        manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
        (manifest, stored)
    }
}

impl DumpWriter for FolderWriter {
    fn location(&self) -> Option<Location> {
        Some(self.store.location())
    }

    fn packing(&self) -> Packing {
        Packing::Sealed
    }

    fn begin<'a>(&'a self, header: &'a DumpHeader) -> BoxFuture<'a, Result<Vec<String>>> {
        async move {
            check_paths(header)?;
            if self.store.head(REPOSITORY_FILE).await?.is_some() {
                let location = self.store.location();
                return Err(Error::conflict(format!(
                    "{location} is a repository, and no place for a dump"
                ))
                .with_hint("name another folder, or take a snapshot (rdump backup)"));
            }
            if !self.overwrite {
                self.refuse_existing().await?;
            }
            // A dump that was begun before and given up has ended with that.
            drop(lock(&self.locked).take());
            let locked = self.store.lock().await?;
            *lock(&self.locked) = Some(locked);
            let mut notices = Vec::new();
            let mut paths = folders(header);
            paths.push(oplog_file(header.codec));
            let leftovers = self.store.remove_leftovers(&paths).await?;
            notices.extend(leftovers.iter().map(leftover_notice));
            self.retire_manifest(header, &mut notices).await?;
            stream::iter(&header.namespaces)
                .map(Ok)
                .try_for_each_concurrent(PARALLEL_PUTS, |namespace| async move {
                    let put = self.put_metadata(namespace).await;
                    put.map_err(|error| error.for_namespace(&namespace.namespace))
                })
                .await?;
            let codec = metadata_codec(header.codec);
            let folder = header
                .db
                .as_ref()
                .map(|db| format!("{db}/"))
                .unwrap_or_default();
            let path = format!("{folder}{PRELUDE_FILE}{}", codec.extension());
            let mut record = FileRecord::new(path, FileRole::Prelude, Digest::of(&[]));
            record.codec = codec;
            self.put(record, header.prelude.to_json().into_bytes())
                .await?;
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
            let path = data_path(data, header.codec);
            let upload = self.store.upload(&path).await?;
            let (role, namespace) = match data.is_oplog() {
                true => (FileRole::Oplog, None),
                false => (FileRole::Data, Some(data.clone())),
            };
            let mut record = FileRecord::new(path, role, Digest::of(&[]));
            record.namespace = namespace;
            record.codec = header.codec;
            let digester = Digester::new();
            let files = Arc::clone(&self.files);
            Ok(Box::new(FolderNamespace {
                upload,
                record,
                digester,
                files,
            }) as Box<dyn NamespaceWriter>)
        }
        .boxed()
    }

    fn commit<'a>(&'a self, run: RunRecord) -> BoxFuture<'a, Result<LastStep<'a>>> {
        async move {
            let (manifest, stored) = self.manifest(run);
            let listing = Listing::of(&*self.store, "").await.map_err(Error::from);
            self.check_stored(&stored, listing.as_ref().ok()).await?;
            let bytes = manifest.to_bytes();
            let bytes = bytes.map_err(|error| {
                Error::internal("could not write the manifest").caused_by(error)
            })?;
            let unlisted = listing.map(|listing| unlisted(&manifest, &listing));
            self.store.flush().await?;
            Ok(self.complete(bytes.into(), unlisted).boxed())
        }
        .boxed()
    }

    fn give_up(&self) -> BoxFuture<'_, ()> {
        self.store.settle()
    }
}

/// One data file being written.
#[derive(Debug)]
struct FolderNamespace {
    upload: Box<dyn Upload>,
    record: FileRecord,
    digester: Digester,
    files: Files,
}

impl NamespaceWriter for FolderNamespace {
    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
        async move {
            let (mut digester, stored) =
                (std::mem::take(&mut self.digester), segment.bytes.clone());
            let (documents, uncompressed_bytes) = (segment.documents, segment.uncompressed_bytes);
            let digested = tokio::task::spawn_blocking(move || {
                let record =
                    SegmentRecord::of(documents, uncompressed_bytes, &stored, &mut digester);
                (record, digester)
            });
            self.upload.write(segment.bytes).await?;
            let (record, digester) = digested
                .await
                .map_err(|error| Error::task("digest", error))?;
            self.digester = digester;
            self.record.documents += record.documents;
            self.record.uncompressed_bytes += record.uncompressed_bytes;
            self.record.stored_bytes += record.stored_bytes;
            self.record.segments.push(record);
            Ok(())
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        let mut this = self;
        async move {
            if this.record.segments.is_empty() && this.record.codec != Codec::None {
                this.write(empty_segment(this.record.codec)?).await?;
            }
            let Self {
                upload,
                mut record,
                digester,
                files,
            } = *this;
            let info = upload.finish().await?;
            if info.stored_bytes != record.stored_bytes {
                let wanted = record.stored_bytes;
                return Err(Error::data(format!(
                    "{} has {} bytes instead of {wanted}",
                    info.path, info.stored_bytes
                )));
            }
            record.sha256 = digester.finish();
            let written = Written {
                documents: record.documents,
                uncompressed_bytes: record.uncompressed_bytes,
                stored_bytes: record.stored_bytes,
            };
            lock(&files).insert(record.path.clone(), (record, info));
            Ok(written)
        }
        .boxed()
    }
}

/// What a person should know of what a killed dump left behind.
pub(crate) fn leftover_notice(Leftover { path, removed, .. }: &Leftover) -> String {
    match removed {
        true => format!("removed {path}, which a killed dump left behind"),
        false => format!("{path} was left in place: it may be of a dump that is still running"),
    }
}

/// Whether what is found in a store is not what was stored there, though it is as long.
pub(super) fn is_replaced(store: &dyn Store, stored: &ObjectInfo, found: &ObjectInfo) -> bool {
    // A file system over a network may give a file another number at each look; there the folder is locked.
    if store.location().as_path().is_some() {
        return stored.stored_bytes != found.stored_bytes;
    }
    match (&stored.version, &found.version) {
        (Some(stored), Some(found)) => stored != found,
        _ => false,
    }
}

/// What a compressed file without documents holds, so that plain tools can read it.
pub(super) fn empty_segment(codec: Codec) -> Result<PackedSegment> {
    let failed = |error| Error::internal("could not compress an empty segment").caused_by(error);
    let mut compressor = Compressor::new(codec.default_compression()).map_err(failed)?;
    let stored = Segment::default().seal(&mut compressor, Vec::new());
    Ok(PackedSegment {
        bytes: stored.map_err(failed)?.into(),
        documents: 0,
        uncompressed_bytes: 0,
        checksum: Crc64::new(),
        reached: None,
    })
}

/// The earlier dump without what the new one covers: whole databases, or one collection. Its oplog goes with none of the rest
/// any more.
fn outside_of(header: &DumpHeader, mut earlier: FolderManifest) -> FolderManifest {
    match &header.db {
        None => earlier.files.clear(),
        Some(db) => {
            let folder = format!("{db}/");
            let covered: HashSet<&Namespace> = header
                .namespaces
                .iter()
                .map(|namespace| &namespace.namespace)
                .collect();
            let whole = !header.single_collection;
            earlier.files.retain(|file| {
                let logical = file
                    .namespace
                    .as_ref()
                    .map(Namespace::without_buckets_prefix);
                match logical {
                    _ if file.kind == FileRole::Oplog => false,
                    _ if !file.path.starts_with(&folder) => true,
                    Some(namespace) => !whole && !covered.contains(&namespace),
                    None => false,
                }
            });
        }
    }
    // Runs of which nothing is left say nothing any more.
    let mut kept: BTreeMap<u32, u32> = BTreeMap::new();
    for file in &earlier.files {
        kept.insert(file.run, 0);
    }
    for (new, old) in (0_u32..).zip(kept.values_mut()) {
        *old = new;
    }
    let runs = std::mem::take(&mut earlier.runs);
    earlier.runs = (0_u32..)
        .zip(runs)
        .filter(|(old, _)| kept.contains_key(old))
        .map(|(_, run)| run)
        .collect();
    for file in &mut earlier.files {
        file.run = kept.get(&file.run).copied().unwrap_or(0);
    }
    earlier
}

/// The files that lie here and that the manifest does not list, as those of an older dump that nothing replaced.
fn unlisted(manifest: &FolderManifest, listing: &Listing) -> Vec<String> {
    let objects = listing.objects.iter().map(|object| object.path.as_str());
    let leftovers = listing.leftovers.iter().map(String::as_str);
    let paths = manifest::unlisted(manifest, objects.chain(leftovers));
    paths.into_iter().map(str::to_owned).collect()
}

/// Whether anything unlisted lies in the folder of this marker; where that is not known, it is taken for granted.
fn lies_beside(marker: &str, unlisted: &Result<Vec<String>>) -> bool {
    let Ok(unlisted) = unlisted else { return true };
    let folder = manifest::marked(marker).unwrap_or_default();
    let mut unlisted = unlisted.iter();
    unlisted.any(|path| path.starts_with(folder))
}

/// The folders that the dump writes to.
fn folders(header: &DumpHeader) -> Vec<String> {
    let namespaces = header.namespaces.iter();
    let dbs = namespaces
        .filter(|namespace| !namespace.namespace.is_oplog())
        .map(|namespace| namespace.namespace.db.clone());
    dbs.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Two namespaces must not share a file, as they could on a server that tells cases or forms apart.
fn check_paths(header: &DumpHeader) -> Result<()> {
    let mut seen = HashSet::new();
    for namespace in &header.namespaces {
        let data = namespace
            .data_namespace
            .iter()
            .map(|data| data_path(data, namespace.codec));
        for path in data.chain([metadata_path(namespace)]) {
            if !seen.insert(path.clone()) {
                return Err(
                    Error::data(format!("another namespace needs the file {path} too"))
                        .for_namespace(&namespace.namespace),
                );
            }
        }
    }
    Ok(())
}

fn data_path(namespace: &Namespace, codec: Codec) -> String {
    match namespace.is_oplog() {
        true => oplog_file(codec),
        false => format!(
            "{}/{}",
            namespace.db,
            data_file(&namespace.collection, codec)
        ),
    }
}

fn metadata_path(header: &NamespaceHeader) -> String {
    let namespace = &header.namespace;
    format!(
        "{}/{}",
        namespace.db,
        metadata_file(&namespace.collection, metadata_codec(header.codec))
    )
}

/// mongodump compresses metadata too when it compresses with gzip; beside zstd it stays readable.
fn metadata_codec(codec: Codec) -> Codec {
    match codec {
        Codec::Gzip => Codec::Gzip,
        _ => Codec::None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
