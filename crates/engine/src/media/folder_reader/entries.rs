//! From files to namespaces.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bson::RawDocumentBuf;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use rdump_format::{Codec, CollectionMetadata, FileKind, Namespace, RunRecord, Selector};

use super::{
    DataFile, FolderReaderOptions, names,
    place::{Place, Scope},
    small_file,
    survey::{Found, Survey},
    system_indexes, unverified,
};
use crate::{
    Error, Problem, Result,
    media::{DumpContents, DumpData, DumpEntry, is_needed},
};

/// Metadata files read at once.
const PARALLEL_READS: usize = 8;

/// The files of one namespace.
#[derive(Debug, Default)]
struct Parts {
    data: Vec<(Found, bool)>,
    metadata: Vec<(Found, Result<CollectionMetadata>)>,
}

/// Indexes by database and collection.
type LegacyIndexes = BTreeMap<String, Result<BTreeMap<String, Vec<RawDocumentBuf>>>>;

impl Parts {
    fn files(&self) -> impl Iterator<Item = &Found> {
        self.data
            .iter()
            .map(|(file, _)| file)
            .chain(self.metadata.iter().map(|(file, _)| file))
    }

    /// Whether the manifest lists a file of it.
    fn is_vouched_for(&self) -> bool {
        self.files().any(|file| file.record.is_some())
    }

    /// A file of a dump that did not finish, and the marker of that.
    fn unfinished(&self) -> Option<(&str, &str)> {
        let mut files = self.files();
        files.find_map(|file| Some((file.object.path.as_str(), file.unfinished.as_deref()?)))
    }
}

pub(super) async fn build(
    place: &Place,
    mut survey: Survey,
    options: &FolderReaderOptions,
) -> Result<(DumpContents, HashMap<String, DataFile>)> {
    let mut contents = DumpContents {
        prelude: survey.prelude.take(),
        verified: place.manifest.is_some(),
        ..DumpContents::default()
    };
    if !matches!(place.scope, Scope::File { .. }) {
        survey
            .files
            .retain(|file| may_be_selected(file, &options.select));
    }
    for file in &mut survey.files {
        look_into_oplog(place, file).await;
    }
    let (mut metadata, mut data): (Vec<_>, Vec<_>) = std::mem::take(&mut survey.files)
        .into_iter()
        .partition(|file| file.name.kind == FileKind::Metadata);
    let legacy = take_system_indexes(place, &metadata, &mut data, &mut survey.notices).await;
    if options.gzip {
        prefer_gzip(&mut metadata);
        prefer_gzip(&mut data);
    }
    let metadata = read_metadata(place, metadata).await;
    let mut parts = group(place, data, metadata)?;
    keep_verified(place, &mut parts, &mut contents, &mut survey.notices);
    if let Scope::File {
        name, collection, ..
    } = &place.scope
    {
        let path = format!("{}{name}", place.prefix);
        parts = only_file(parts, &path, collection.as_deref())?;
    }

    let mut files = HashMap::new();
    let mut entries = Vec::new();
    for (namespace, parts) in parts {
        if let Some((path, marker)) = parts.unfinished() {
            let message = format!(
                "not restored: {path} is of a dump that did not finish, as {marker} says, and the manifest does not list it"
            );
            contents
                .unfinished
                .push(Problem::new(Some(&namespace), message));
            continue;
        }
        let order = parts.files().map(|file| file.object.path.clone()).min();
        entries.push((order, entry(place, namespace, parts, &legacy, &mut files)));
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    contents.entries = entries.into_iter().map(|(_, entry)| entry).collect();
    contents.run = run(place, &contents);
    if place.manifest.is_none() {
        survey.notices.push(format!(
            "{} has no manifest: what is restored cannot be verified",
            place.shown
        ));
    }
    contents.notices = survey.notices;
    Ok((contents, files))
}

/// How what is in the folder was made, by the manifest: of several runs from the beginning of the first to the end of the last.
fn run(place: &Place, contents: &DumpContents) -> Option<RunRecord> {
    let (first, others) = place.manifest.as_ref()?.runs.split_first()?;
    let mut run = first.clone();
    for other in others {
        run.started_at = run.started_at.min(other.started_at.clone());
        run.finished_at = run.finished_at.max(other.finished_at.clone());
        run.problems.extend(other.problems.iter().cloned());
        run.source.clone_from(&other.source);
        run.options = serde_json::Value::Null;
    }
    let mut entries = contents.entries.iter();
    let has_oplog = entries.any(|entry| entry.namespace.is_oplog());
    let mixed = !others.is_empty() || contents.entries.iter().any(|entry| entry.unlisted);
    if mixed || (run.consistency == "oplog" && !has_oplog) {
        run.consistency = "none".to_owned();
        run.consistent_at = None;
    }
    // In the form that everything else here has.
    for moment in [&mut run.started_at, &mut run.finished_at] {
        *moment = moment.parse::<Timestamp>().ok()?.to_string();
    }
    Some(run)
}

/// Whether what is in a file may be of a namespace that is selected. What belongs to no namespace is.
fn may_be_selected(file: &Found, select: &Selector) -> bool {
    if file.db == Namespace::oplog().db || file.name.stem == "system.indexes" {
        return true;
    }
    let recorded = file.record.as_ref();
    let namespace = match recorded.and_then(|record| record.namespace.clone()) {
        // The folder may be restored into another database.
        Some(namespace) => Namespace::new(&file.db, namespace.collection),
        // Which collection that is, the metadata says.
        None if file.name.is_shortened() => return true,
        None => match file.name.collection(None) {
            Ok(collection) => Namespace::new(&file.db, collection),
            Err(_) => return true,
        },
    };
    is_needed(&namespace, select)
}

/// Finds out how the captured oplog is compressed: mongodump's is called `oplog.bson` with `--gzip` too.
async fn look_into_oplog(place: &Place, file: &mut Found) {
    let is_plain = file.name.codec == Codec::None && file.record.is_none();
    if file.db != Namespace::oplog().db || !is_plain {
        return;
    }
    let end = file.object.stored_bytes.min(Codec::START_BYTES as u64);
    match place
        .store
        .read(&file.object.path, 0..end, file.object.version.as_ref())
        .await
    {
        Ok(start) => file.name.codec = Codec::detect_documents(&start),
        Err(error) => file.damage = Some(error.into()),
    }
}

/// Leaves the gzip file of two that differ only in how they are compressed.
fn prefer_gzip(files: &mut Vec<Found>) {
    let gzip: Vec<_> = files
        .iter()
        .filter(|file| file.name.codec == Codec::Gzip)
        .map(|file| (file.db.clone(), file.name.stem.clone()))
        .collect();
    files.retain(|file| {
        file.name.codec == Codec::Gzip
            || file.record.is_some()
            || !gzip.contains(&(file.db.clone(), file.name.stem.clone()))
    });
}

/// The indexes of databases that have them in `system.indexes` and no metadata; its file is no data then or ever, but
/// for one that was asked for by its path.
async fn take_system_indexes(
    place: &Place,
    metadata: &[Found],
    data: &mut Vec<Found>,
    notices: &mut Vec<String>,
) -> LegacyIndexes {
    if matches!(place.scope, Scope::File { .. }) {
        return LegacyIndexes::default();
    }
    let (system, rest) = std::mem::take(data)
        .into_iter()
        .partition::<Vec<_>, _>(|file| file.name.stem == "system.indexes");
    *data = rest;
    let mut indexes = BTreeMap::new();
    for file in system {
        if metadata.iter().any(|metadata| metadata.db == file.db) {
            notices.push(format!(
                "{} is skipped: metadata files have the indexes",
                file.object.path
            ));
            continue;
        }
        let runs = unverified::read(&place.store, file.name.codec, &file.object);
        let read = match file.damage {
            Some(damage) => Err(damage),
            None => system_indexes::read(&file.object.path, runs).await,
        };
        indexes.insert(file.db, read);
    }
    indexes
}

async fn read_metadata(
    place: &Place,
    files: Vec<Found>,
) -> Vec<(Found, Result<CollectionMetadata>)> {
    let read = files.into_iter().map(|file| async move {
        let metadata = read_one(place, &file).await;
        (file, metadata)
    });
    stream::iter(read).buffered(PARALLEL_READS).collect().await
}

async fn read_one(place: &Place, file: &Found) -> Result<CollectionMetadata> {
    if let Some(damage) = &file.damage {
        return Err(damage.clone());
    }
    let record = file.record.as_ref();
    let codec = record.map_or(file.name.codec, |record| record.codec);
    let text = small_file::read(&place.store, &file.object, codec, record).await?;
    CollectionMetadata::from_json(&text).map_err(|error| {
        Error::data(format!(
            "{} does not hold options and indexes",
            file.object.path
        ))
        .at(file.object.path.as_str())
        .caused_by(error)
    })
}

fn group(
    place: &Place,
    data: Vec<Found>,
    metadata: Vec<(Found, Result<CollectionMetadata>)>,
) -> Result<BTreeMap<Namespace, Parts>> {
    // A file that names no collection goes by its name as it is, and is not restored.
    let unnamed = |file: &mut Found, error: rdump_format::FileNameError| {
        let unnamed = Error::data(format!("{} names no collection", file.object.path))
            .at(file.object.path.as_str())
            .caused_by(error);
        file.damage.get_or_insert(unnamed);
        file.name.stem.clone()
    };
    let collection = |file: &Found, recorded: &[&str]| match file
        .record
        .as_ref()
        .and_then(|record| record.namespace.as_ref())
    {
        Some(namespace) => Ok(namespace.collection.clone()),
        None => names::collection(file, recorded.iter().copied()),
    };
    let mut parts: BTreeMap<Namespace, Parts> = BTreeMap::new();
    let mut recorded: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (mut file, metadata) in metadata {
        let own = metadata
            .as_ref()
            .ok()
            .and_then(|metadata| metadata.collection.as_deref());
        let name = match (collection(&file, own.as_slice()), &place.scope) {
            (Ok(name), _) => name,
            // Beside one file asked for, metadata of other collections may lie that cannot be told apart by its name.
            (Err(_), Scope::File { .. }) => {
                metadata?;
                continue;
            }
            (Err(error), _) => {
                file.damage = metadata.as_ref().err().cloned();
                unnamed(&mut file, error)
            }
        };
        recorded
            .entry(file.db.clone())
            .or_default()
            .push(name.clone());
        let (namespace, _) = names::logical(&file.db, &name);
        parts
            .entry(namespace)
            .or_default()
            .metadata
            .push((file, metadata));
    }
    for mut file in data {
        let beside: Vec<&str> = recorded
            .get(&file.db)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let name = collection(&file, &beside).unwrap_or_else(|error| unnamed(&mut file, error));
        let (namespace, is_buckets) = names::logical(&file.db, &name);
        parts
            .entry(namespace)
            .or_default()
            .data
            .push((file, is_buckets));
    }
    Ok(parts)
}

/// Beside files that the manifest vouches for, others of the same namespace do not count.
fn keep_verified(
    place: &Place,
    parts: &mut BTreeMap<Namespace, Parts>,
    contents: &mut DumpContents,
    notices: &mut Vec<String>,
) {
    if place.manifest.is_none() {
        return;
    }
    for (namespace, parts) in parts {
        let vouched_for = parts.is_vouched_for();
        if !vouched_for && parts.unfinished().is_some() {
            continue;
        }
        for file in parts.files().filter(|file| file.record.is_none()) {
            notices.push(match vouched_for {
                true => format!(
                    "{} is skipped: the manifest has other files for {namespace}",
                    file.object.path
                ),
                false => format!(
                    "{} is not in the manifest: {namespace} cannot be verified",
                    file.object.path
                ),
            });
        }
        if vouched_for {
            parts.data.retain(|(file, _)| file.record.is_some());
            parts.metadata.retain(|(file, _)| file.record.is_some());
        } else {
            contents.verified = false;
        }
    }
}

fn entry(
    place: &Place,
    namespace: Namespace,
    parts: Parts,
    legacy: &LegacyIndexes,
    files: &mut HashMap<String, DataFile>,
) -> DumpEntry {
    let unlisted = place.manifest.is_some() && !parts.is_vouched_for();
    let (metadata, data, damage) = match usable(&namespace, parts, legacy, files) {
        Ok((metadata, data)) => (metadata, data, None),
        Err(error) => (None, None, Some(error.for_namespace(&namespace))),
    };
    DumpEntry {
        namespace,
        metadata,
        data,
        damage,
        unlisted,
    }
}

/// The metadata and data of a namespace, if everything about them is sound.
fn usable(
    namespace: &Namespace,
    parts: Parts,
    legacy: &LegacyIndexes,
    files: &mut HashMap<String, DataFile>,
) -> Result<(Option<CollectionMetadata>, Option<DumpData>)> {
    if let Some(damage) = parts.files().find_map(|file| file.damage.clone()) {
        return Err(damage);
    }
    // An empty file says nothing, not even that there are no options.
    let metadata = match only(namespace, parts.metadata, |(file, _)| &file.object.path)? {
        Some((file, metadata)) => Some(metadata?).filter(|_| file.object.stored_bytes > 0),
        None => None,
    };
    let metadata = match (metadata, legacy.get(&namespace.db)) {
        (None, Some(Err(damage))) => return Err(damage.clone()),
        (None, Some(Ok(indexes))) => {
            let indexes = indexes.get(&namespace.collection).cloned();
            indexes.map(|indexes| CollectionMetadata {
                indexes,
                ..CollectionMetadata::default()
            })
        }
        (metadata, _) => metadata,
    };
    let is_time_series = metadata.as_ref().is_some_and(|metadata| {
        metadata.options.get_document("timeseries").is_ok()
            || metadata.kind.as_deref() == Some("timeseries")
    });
    let data = only(namespace, parts.data, |(file, _)| &file.object.path)?;
    if let Some((file, true)) = &data
        && !is_time_series
    {
        return Err(Error::data(format!(
            "{} holds time-series buckets, and no metadata says of what kind",
            file.object.path
        ))
        .at(file.object.path.as_str()));
    }
    let data = data.map(|(file, is_buckets)| {
        let record = file.record.as_ref();
        let codec = record.map_or(file.name.codec, |record| record.codec);
        let stored = DataFile {
            codec,
            object: file.object.clone(),
            segments: record.map(|record| Arc::from(record.segments.as_slice())),
        };
        let plain_bytes = (codec == Codec::None).then_some(file.object.stored_bytes);
        files.insert(file.object.path.clone(), stored);
        DumpData {
            buckets: is_buckets || is_time_series,
            stored_bytes: file.object.stored_bytes,
            uncompressed_bytes: record
                .map(|record| record.uncompressed_bytes)
                .or(plain_bytes),
            documents: record.map(|record| record.documents),
            place: file.object.path,
        }
    });
    Ok((metadata, data))
}

fn only<T>(
    namespace: &Namespace,
    mut files: Vec<T>,
    path: impl Fn(&T) -> &String,
) -> Result<Option<T>> {
    if let [first, second, ..] = files.as_slice() {
        return Err(Error::conflict(format!(
            "both {} and {} are for this collection",
            path(first),
            path(second)
        ))
        .for_namespace(namespace)
        .with_hint("remove one of them; of a plain and a gzip file, --gzip takes the gzip one"));
    }
    Ok(files.pop())
}

/// Leaves the collection of the one file that was asked for, under the name that was asked for.
fn only_file(
    parts: BTreeMap<Namespace, Parts>,
    path: &str,
    collection: Option<&str>,
) -> Result<BTreeMap<Namespace, Parts>> {
    let is_wanted = |parts: &Parts| parts.data.iter().any(|(file, _)| file.object.path == path);
    let found = parts.into_iter().find(|(_, parts)| is_wanted(parts));
    let Some((mut namespace, parts)) = found else {
        return Err(Error::conflict(format!(
            "{path} is not restored: the manifest has another file for its collection"
        )));
    };
    if let Some(collection) = collection {
        (namespace, _) = names::logical(&namespace.db, collection);
    }
    Ok(BTreeMap::from([(namespace, parts)]))
}
