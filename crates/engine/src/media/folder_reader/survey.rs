//! What lies in a folder: files of collections, by database, and everything that is passed over, and why.

use std::collections::{BTreeMap, BTreeSet};

use rdump_format::{
    BUCKETS_PREFIX, Codec, FileKind, FileName, FileRecord, FileRole, MANIFEST_FILE, Namespace,
    PRELUDE_FILE, Prelude, UNFINISHED_FILE, check_database_name, escape, unescape,
};
use rdump_storage::{Listing, ObjectInfo, StorageError, Unreadable};

use super::{
    FolderReaderOptions,
    place::{Place, Scope},
    small_file,
};
use crate::{Error, ErrorKind, Result, media::manifest};

/// A file of a collection.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) object: ObjectInfo,
    pub(super) db: String,
    pub(super) name: FileName,
    /// What the manifest says of it.
    pub(super) record: Option<FileRecord>,
    /// Why it cannot be used, if the manifest says something else than the folder.
    pub(super) damage: Option<Error>,
    /// The marker of the dump that it is of, which did not finish, if so.
    pub(super) unfinished: Option<String>,
}

/// Everything of a dump, in byte order of the paths.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) files: Vec<Found>,
    pub(super) notices: Vec<String>,
    pub(super) prelude: Option<Prelude>,
}

/// What file systems keep for themselves at their root.
const LOST_AND_FOUND: &str = "lost+found";

/// What a path is, seen from where the dump begins.
enum Sort<'a> {
    /// In the folder of a database.
    Of {
        db: String,
        file: &'a str,
    },
    /// One of the dump's own files.
    Own,
    /// What says that a dump of this folder was begun.
    Marker,
    Skipped(String),
}

impl Survey {
    pub(super) async fn of(place: &Place, options: &FolderReaderOptions) -> Result<Self> {
        let listing = Listing::of(&*place.store, &place.prefix).await?;
        let objects = listing.objects.into_iter();
        let mut objects: BTreeMap<String, ObjectInfo> = objects
            .map(|object| (object.path.clone(), object))
            .collect();
        let records = records(place, &objects, &listing.unreadable);
        for (path, (record, _)) in &records {
            // A file that is missing is there too, as one that is damaged.
            objects
                .entry((*path).to_owned())
                .or_insert_with(|| ObjectInfo::new(*path, record.stored_bytes));
        }
        let markers = objects.keys().filter_map(|path| {
            let relative = path.strip_prefix(&place.prefix)?;
            matches!(sort(&place.scope, relative), Sort::Marker).then_some(path.as_str())
        });
        let markers: Vec<&str> = markers.collect();
        // That of the whole folder says it best.
        if place.manifest.is_none()
            && let Some(marker) = markers.iter().min_by_key(|marker| marker.len())
        {
            return Err(manifest::unfinished(&place.store, marker));
        }
        let mut survey = Self::default();
        match prelude(place, &objects, &records).await {
            Ok(prelude) => survey.prelude = prelude,
            Err(error) => survey
                .notices
                .push(format!("it is not known which server was dumped: {error}")),
        }
        let is_meant = |unreadable: &&Unreadable| {
            let within = match (&place.scope, unreadable.path.strip_prefix(&place.prefix)) {
                (_, None) => false,
                (Scope::File { .. }, Some(relative)) => {
                    matches!(sort(&place.scope, relative), Sort::Of { .. })
                }
                (_, Some(_)) => true,
            };
            within && !records.keys().any(|path| unreadable.hides(path))
        };
        let mut skipped = BTreeSet::new();
        for unreadable in listing.unreadable.iter().filter(is_meant) {
            // Without a manifest nobody knows what of the dump is there.
            if place.manifest.is_none() && may_be_part(place, unreadable) {
                let (path, reason) = (&unreadable.path, unreadable.reason());
                let unknown = Error::new(
                    kind_of(unreadable),
                    format!("cannot look into {path}: {reason}"),
                );
                return Err(unknown
                    .at(path.as_str())
                    .with_hint("it may be a part of the dump; make it readable, or move it away"));
            }
            skipped.insert(format!(
                "{} is skipped: {}",
                unreadable.path,
                unreadable.reason()
            ));
        }
        for (path, object) in &objects {
            let relative = path.strip_prefix(&place.prefix).unwrap_or(path);
            match sort(&place.scope, relative) {
                Sort::Own | Sort::Marker => {}
                Sort::Skipped(notice) => {
                    skipped.insert(notice);
                }
                Sort::Of { db, file } => match FileName::parse(file) {
                    Some(name) => {
                        let recorded = records.get(path.as_str());
                        let folder = path.strip_suffix(file).unwrap_or_default();
                        // What the manifest does not list is of the dump that did not finish.
                        let unfinished = markers.iter().find(|marker| {
                            recorded.is_none() && manifest::marked(marker) == Some(folder)
                        });
                        survey.files.push(Found {
                            object: object.clone(),
                            db,
                            name,
                            record: recorded.map(|(record, _)| (*record).clone()),
                            damage: recorded.and_then(|(_, damage)| damage.clone()),
                            unfinished: unfinished.map(|marker| (*marker).to_owned()),
                        });
                    }
                    None => {
                        skipped.insert(format!(
                            "{path} is skipped: it is no file of documents or metadata"
                        ));
                    }
                },
            }
        }
        survey.notices.extend(skipped);
        survey.check_not_empty(place, options.may_be_empty)?;
        Ok(survey)
    }

    /// An empty place is most likely a mistake in the path; an empty dump says that it is one.
    fn check_not_empty(&self, place: &Place, may_be_empty: bool) -> Result<()> {
        if !self.files.is_empty() || place.manifest.is_some() || self.prelude.is_some() {
            return Ok(());
        }
        let shown = &place.shown;
        if self
            .notices
            .iter()
            .any(|notice| notice.ends_with(ASK_FOR_DATABASE))
        {
            return Err(Error::invalid(format!("{shown} holds no folders of databases, but files of one"))
                .with_hint("this looks like one database's folder: name the database (--db) or give the folder above"));
        }
        let asks_for_folder = |notice: &String| notice.ends_with(ASK_FOR_FOLDER);
        if may_be_empty || self.notices.iter().any(asks_for_folder) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{shown} holds no dump: no .bson or .metadata.json file below it"
        )))
    }
}

const ASK_FOR_DATABASE: &str = "beside the folders of databases and belongs to none";
const ASK_FOR_FOLDER: &str = "to restore one database of a whole dump, give that database's folder, or select by pattern (--nsInclude)";

/// Says what `relative`, a path below the beginning of the dump, is.
fn sort<'a>(scope: &Scope, relative: &'a str) -> Sort<'a> {
    let (folder, file) = match relative.rsplit_once('/') {
        Some((folder, file)) => (Some(folder), file),
        None => (None, relative),
    };
    if file == UNFINISHED_FILE {
        let is_meant = folder.is_none_or(|folder| *scope == Scope::Dump && !folder.contains('/'));
        return if is_meant { Sort::Marker } else { Sort::Own };
    }
    if file == MANIFEST_FILE || is_prelude(file) {
        return Sort::Own;
    }
    match (scope, folder) {
        (Scope::Dump, None) if is_oplog(file) => Sort::Of {
            db: Namespace::oplog().db,
            file,
        },
        (Scope::Dump, None) if FileName::parse(file).is_some() => {
            Sort::Skipped(format!("{relative} is skipped: it lies {ASK_FOR_DATABASE}"))
        }
        (Scope::Dump, None) => {
            Sort::Skipped(format!("{relative} is skipped: it is no part of a dump"))
        }
        (Scope::Dump, Some(folder)) => match folder.split_once('/') {
            Some(_) => Sort::Skipped(format!(
                "{folder}/ is skipped: a database's folder has no folders"
            )),
            None => match check_database_name(folder) {
                Ok(()) => Sort::Of {
                    db: folder.to_owned(),
                    file,
                },
                Err(error) => Sort::Skipped(format!("{folder}/ is skipped: {error}")),
            },
        },
        (Scope::Database(db), None) => Sort::Of {
            db: db.clone(),
            file,
        },
        (Scope::Database(_), Some(folder)) => {
            let folder = folder.split('/').next().unwrap_or(folder);
            Sort::Skipped(format!("{folder}/ is skipped: {ASK_FOR_FOLDER}"))
        }
        (Scope::File { name, db, .. }, None) if may_belong_to(file, name) => Sort::Of {
            db: db.clone(),
            file,
        },
        (Scope::File { .. }, _) => Sort::Own,
    }
}

/// Whether it may be a part of the dump: a folder that may not be looked into, or what has the name of one.
fn may_be_part(place: &Place, unreadable: &Unreadable) -> bool {
    let path = unreadable.path.as_str();
    let relative = path.strip_prefix(&place.prefix).unwrap_or(path);
    match unreadable.error {
        StorageError::Special { .. } | StorageError::NameNotUtf8 { .. } => {
            match sort(&place.scope, relative) {
                Sort::Of { file, .. } => FileName::parse(file).is_some(),
                Sort::Own | Sort::Marker => true,
                // A link that leads nowhere may have led to a database's folder.
                Sort::Skipped(_) => {
                    unreadable.is_broken_link()
                        && place.scope == Scope::Dump
                        && check_database_name(relative).is_ok()
                }
            }
        }
        _ => !path.ends_with(LOST_AND_FOUND),
    }
}

/// Whether it is the oplog that was captured with the dump.
fn is_oplog(file: &str) -> bool {
    FileName::parse(file).is_some_and(|name| {
        name.kind == FileKind::Data && name.stem == Namespace::oplog().collection
    })
}

fn is_prelude(file: &str) -> bool {
    file.strip_prefix(PRELUDE_FILE)
        .is_some_and(|codec| codec.is_empty() || codec == Codec::Gzip.extension())
}

/// Whether `file` is the file of documents asked for, or may be the metadata of its collection.
fn may_belong_to(file: &str, wanted: &str) -> bool {
    if file == wanted {
        return true;
    }
    let (Some(file), Some(wanted)) = (FileName::parse(file), FileName::parse(wanted)) else {
        return false;
    };
    let logical = unescape(&wanted.stem)
        .ok()
        .and_then(|name| name.strip_prefix(BUCKETS_PREFIX).map(escape));
    file.kind == FileKind::Metadata
        && (wanted.is_shortened() || file.stem == wanted.stem || Some(file.stem) == logical)
}

/// What the manifest says of a file, and why the file cannot be used, if so.
type Recorded<'a> = (&'a FileRecord, Option<Error>);

fn kind_of(unreadable: &Unreadable) -> ErrorKind {
    match unreadable.error {
        StorageError::Denied { .. } => ErrorKind::Denied,
        _ => ErrorKind::Data,
    }
}

/// The manifest's records of what is meant by path, after a look at whether each file is there.
fn records<'a>(
    place: &'a Place,
    objects: &BTreeMap<String, ObjectInfo>,
    unreadable: &[Unreadable],
) -> BTreeMap<&'a str, Recorded<'a>> {
    let mut records = BTreeMap::new();
    for record in place.manifest.iter().flat_map(|manifest| &manifest.files) {
        let Some(relative) = record.path.strip_prefix(&place.prefix) else {
            continue;
        };
        if record.kind != FileRole::Prelude
            && !matches!(sort(&place.scope, relative), Sort::Of { .. })
        {
            continue;
        }
        let error = match objects.get(&record.path) {
            Some(object) if object.stored_bytes == record.stored_bytes => {
                records.insert(record.path.as_str(), (record, None));
                continue;
            }
            Some(object) => Error::data(format!(
                "{} has {} bytes, but the manifest recorded {}",
                record.path, object.stored_bytes, record.stored_bytes
            )),
            None => match unreadable.iter().find(|found| found.hides(&record.path)) {
                Some(found) => Error::new(
                    kind_of(found),
                    format!(
                        "{} cannot be looked at: {}: {}",
                        record.path,
                        found.path,
                        found.reason()
                    ),
                ),
                None => Error::data(format!(
                    "{} is missing, but the manifest lists it",
                    record.path
                )),
            },
        };
        let error = error.at(record.path.as_str()).with_hint(manifest::hint());
        records.insert(record.path.as_str(), (record, Some(error)));
    }
    records
}

/// The `prelude.json` of the dump, here or in the folder above.
async fn prelude(
    place: &Place,
    objects: &BTreeMap<String, ObjectInfo>,
    records: &BTreeMap<&str, Recorded<'_>>,
) -> Result<Option<Prelude>> {
    for codec in [Codec::None, Codec::Gzip] {
        let name = format!("{PRELUDE_FILE}{}", codec.extension());
        let here = format!("{}{name}", place.prefix);
        let (store, object) = match (objects.get(&here), &place.above) {
            (Some(object), _) => (&place.store, object.clone()),
            (None, None) if place.prefix.is_empty() => continue,
            (None, above) => {
                let store = above.as_ref().unwrap_or(&place.store);
                let Some(info) = store.head(&name).await? else {
                    continue;
                };
                (store, info)
            }
        };
        let path = object.path.as_str();
        let record = match records.get(path) {
            Some((_, Some(damage))) => return Err(damage.clone()),
            Some((record, None)) => Some(*record),
            None => None,
        };
        let content = small_file::read(store, &object, codec, record).await?;
        let prelude = Prelude::from_json(&content).map_err(|error| {
            Error::data(format!("{path} does not say which server was dumped"))
                .at(path)
                .caused_by(error)
        })?;
        return Ok(Some(prelude));
    }
    Ok(None)
}
