//! The mongodump folder, read.
//!
//! Whatever wrote it: mongodump of any version, or this library. If the folder has a manifest, every byte is checked
//! against it before it is used; a folder without one can be restored, but nothing in it can be verified.
//! `docs/format.md` is the authority.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use rdump_format::{Codec, SegmentRecord, Selector, repository::SnapshotId};
use rdump_storage::{Location, ObjectInfo, Store};

pub(crate) use loose_file::LooseFile;

use super::{
    Access, Documents, DumpContents, DumpEntry, DumpReader, RandomAccess,
    segments::{self, Digested},
};
use crate::{Error, Result};

mod entries;
mod loose_file;
mod names;
mod place;
mod small_file;
mod survey;
mod system_indexes;
mod unverified;

/// Reads a mongodump folder, one database's folder, or one file of documents.
#[derive(Debug)]
pub struct FolderReader {
    store: Arc<dyn Store>,
    contents: DumpContents,
    /// By path, which is what a [`DumpData`](super::DumpData) calls its place.
    files: HashMap<String, DataFile>,
}

/// How a [`FolderReader`] understands what it finds. Plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FolderReaderOptions {
    /// The location is the folder of one database, and this is the database. Default: the location is a whole dump,
    /// or one file, whose folder names the database.
    pub db: Option<String>,
    /// The location is one file, and this is the collection. Default: the file names it.
    pub collection: Option<String>,
    /// If there is a plain and a gzip file for the same collection, take the gzip one. Default: false, which makes
    /// that an error.
    pub gzip: bool,
    /// Namespaces to look into; of the others no file is read, and there are no entries. Default: all. A location that is one
    /// file is looked into in any case.
    pub select: Selector,
    /// A folder without any dump is taken for a dump of nothing, as it is where all that is to be restored is an oplog
    /// beside it. Default: false, which makes that an error.
    pub may_be_empty: bool,
}

impl FolderReaderOptions {
    /// Sets the database whose folder the location is.
    #[must_use]
    pub fn db(mut self, db: impl Into<String>) -> Self {
        self.db = Some(db.into());
        self
    }

    /// Sets the collection whose file the location is.
    #[must_use]
    pub fn collection(mut self, collection: impl Into<String>) -> Self {
        self.collection = Some(collection.into());
        self
    }

    /// Sets which namespaces are looked into.
    #[must_use]
    pub fn select(mut self, select: Selector) -> Self {
        self.select = select;
        self
    }

    /// Sets whether a folder without any dump is taken for a dump of nothing.
    #[must_use]
    pub fn may_be_empty(mut self, yes: bool) -> Self {
        self.may_be_empty = yes;
        self
    }

    /// Sets whether the gzip file is taken of two for the same collection.
    #[must_use]
    pub fn gzip(mut self, yes: bool) -> Self {
        self.gzip = yes;
        self
    }
}

/// A file of documents.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    pub(super) codec: Codec,
    pub(super) object: ObjectInfo,
    /// From the manifest, if it names the file.
    pub(super) segments: Option<Arc<[SegmentRecord]>>,
}

impl FolderReader {
    /// Looks at what is there, and reads the manifest and all metadata.
    ///
    /// What is wrong with the files of one namespace is no error here, but its [`DumpEntry::damage`]: the others can
    /// be restored without it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if there is no dump, or an option does not fit it;
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the manifest is damaged, or the dump did not finish;
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the location is a file beside which the manifest has
    /// another for its collection; [`ErrorKind::Denied`](crate::ErrorKind::Denied) if the folder may not be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the reading.
    pub async fn open(location: &Location, options: FolderReaderOptions) -> Result<Self> {
        refuse_snapshot(location)?;
        let place = place::Place::find(location, &options).await?;
        let survey = survey::Survey::of(&place, &options).await?;
        let (contents, files) = entries::build(&place, survey, &options).await?;
        Ok(Self {
            store: place.store,
            contents,
            files,
        })
    }
}

/// The folder of a snapshot has files of documents too, and is no dump.
fn refuse_snapshot(location: &Location) -> Result<()> {
    let text = location.to_string();
    let mut names = text.trim_end_matches('/').rsplit('/');
    let (last, parent) = (names.next(), names.next());
    match last.map(str::parse::<SnapshotId>) {
        Some(Ok(id)) if parent == Some("snapshots") => Err(Error::invalid(format!(
            "{location} is a part of a repository, and no dump"
        ))
        .with_hint(format!(
            "restore it from the repository: `rrestore REPOSITORY --snapshot {id}`"
        ))),
        _ => Ok(()),
    }
}

impl DumpReader for FolderReader {
    fn contents(&self) -> &DumpContents {
        &self.contents
    }

    fn access(&self) -> Access<'_> {
        Access::Random(self)
    }
}

impl RandomAccess for FolderReader {
    fn documents<'a>(&'a self, entry: &'a DumpEntry) -> BoxStream<'a, Result<Documents>> {
        if let Some(damage) = entry.damage.clone() {
            return async move { Err(damage) }.into_stream().boxed();
        }
        let Some(data) = &entry.data else {
            return futures::stream::empty().boxed();
        };
        let Some(file) = self.files.get(&data.place) else {
            let error = Error::internal(format!("{} is no file of this dump", data.place));
            return async move { Err(error) }.into_stream().boxed();
        };
        let path = data.place.as_str();
        let documents = match &file.segments {
            Some(records) => {
                let object = (file.object.path.as_str(), file.object.version.as_ref());
                segments::read(
                    &self.store,
                    file.codec,
                    object,
                    records,
                    Digested::FromStart,
                )
            }
            None => unverified::read(&self.store, file.codec, &file.object),
        };
        documents
            .map(move |run| run.map_err(|error| error.for_namespace(&entry.namespace).at(path)))
            .boxed()
    }
}
