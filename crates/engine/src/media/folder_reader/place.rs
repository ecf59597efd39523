//! Where a dump begins: which folder is opened, what of it is meant, and which manifest covers it.

use std::sync::Arc;

use rdump_format::{
    FileKind, FileName, FolderManifest, MANIFEST_FILE, check_collection_argument,
    check_database_name,
};
use rdump_storage::{Location, StorageError, Store};

use super::FolderReaderOptions;
use crate::{Error, ErrorKind, Result, media::manifest};

/// A dump that was found, but not looked into.
#[derive(Debug)]
pub(super) struct Place {
    /// Every path of the dump is relative to this.
    pub(super) store: Arc<dyn Store>,
    /// What the paths of the dump start with: nothing, or the name of a folder and a slash.
    pub(super) prefix: String,
    pub(super) scope: Scope,
    pub(super) manifest: Option<FolderManifest>,
    /// The location as it was given, for messages.
    pub(super) shown: String,
    /// The folder above, if the location is no whole dump: `prelude.json` may be there.
    pub(super) above: Option<Arc<dyn Store>>,
}

/// How much of a folder is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// A folder of databases' folders.
    Dump,
    /// The folder of this database, whatever it is called.
    Database(String),
    /// One file for this database, and perhaps for another collection than its name says.
    File {
        name: String,
        db: String,
        collection: Option<String>,
    },
}

impl Place {
    pub(super) async fn find(location: &Location, options: &FolderReaderOptions) -> Result<Self> {
        if let Some(db) = &options.db {
            check_database_name(db).map_err(|error| {
                Error::invalid("the database cannot be restored").caused_by(error)
            })?;
        }
        if let Some(collection) = &options.collection {
            check_collection_argument(collection).map_err(|error| {
                Error::invalid("the collection cannot be restored").caused_by(error)
            })?;
        }
        let shown = location.to_string();
        let is_data = |name| FileName::parse(name).is_some_and(|name| name.kind == FileKind::Data);
        if location.name().is_some_and(is_data) && location.is_object().await? {
            return Self::of_file(location, options, shown).await;
        }
        match location.open() {
            Ok(_) if options.collection.is_some() => Err(Error::invalid(format!(
                "a collection is restored from a file of documents, and {shown} is a folder"
            ))),
            Ok(store) => {
                let scope = options.db.clone().map_or(Scope::Dump, Scope::Database);
                let above = if scope == Scope::Dump {
                    None
                } else {
                    above(location)
                };
                Self::covered(shown, store, scope, above).await
            }
            Err(StorageError::NotAFolder { .. }) => Self::of_file(location, options, shown).await,
            Err(StorageError::NotFound { path }) => {
                Err(Error::invalid(format!("{path} does not exist")))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn of_file(
        location: &Location,
        options: &FolderReaderOptions,
        shown: String,
    ) -> Result<Self> {
        let not_a_file = || {
            Error::invalid(format!(
                "{shown} is neither a folder nor a file of documents"
            ))
        };
        let Some((folder, name)) = location.split() else {
            return Err(not_a_file());
        };
        if !FileName::parse(&name).is_some_and(|name| name.kind == FileKind::Data) {
            return Err(Error::invalid(format!(
                "{shown} does not have a .bson extension"
            )));
        }
        let store = folder.open()?;
        if store.head(&name).await?.is_none() {
            return Err(not_a_file());
        }
        let db = options.db.as_deref().or(folder.name()).unwrap_or("test");
        let db = db.to_owned();
        check_database_name(&db).map_err(|error| {
            Error::invalid(format!("the folder of {shown} names no database: give one"))
                .caused_by(error)
        })?;
        let scope = Scope::File {
            name,
            db,
            collection: options.collection.clone(),
        };
        let above = above(&folder);
        Self::covered(shown, store, scope, above).await
    }

    /// Looks for a manifest in the folder, and in the one above if the folder may be part of a dump: there a marker may
    /// have kept it. Where there is none, a dump must not have been begun above.
    async fn covered(
        shown: String,
        store: Arc<dyn Store>,
        scope: Scope,
        above: Option<(Arc<dyn Store>, String)>,
    ) -> Result<Self> {
        let here = read_manifest(&store).await?;
        let (above, manifest) = match above {
            Some((parent, name)) if here.is_none() => match read_manifest(&parent).await {
                // Who may not look above knows of no more than is here.
                Err(error) if error.kind() == ErrorKind::Denied => (None, None),
                manifest => (Some((parent, name)), manifest?),
            },
            above => (above, None),
        };
        if here.is_none()
            && let Some((parent, name)) = &above
        {
            let prefix = format!("{name}/");
            let is_complete = manifest.is_some();
            let manifest = match manifest {
                None => manifest::kept(parent).await?,
                manifest => manifest,
            };
            match manifest {
                Some(manifest) if lists_below(&manifest, &prefix) => {
                    return Ok(Self {
                        store: Arc::clone(parent),
                        prefix,
                        scope,
                        manifest: Some(manifest),
                        shown,
                        above: None,
                    });
                }
                _ if is_complete => {}
                _ => manifest::refuse_unfinished(parent).await?,
            }
        }
        let above = above.map(|(parent, _)| parent);
        Ok(Self {
            store,
            prefix: String::new(),
            scope,
            manifest: here,
            shown,
            above,
        })
    }
}

fn lists_below(manifest: &FolderManifest, prefix: &str) -> bool {
    let mut files = manifest.files.iter();
    files.any(|file| file.path.starts_with(prefix))
}

async fn read_manifest(store: &Arc<dyn Store>) -> Result<Option<FolderManifest>> {
    let Some((_, parsed)) = manifest::read(store).await? else {
        return Ok(None);
    };
    parsed.map(Some).map_err(|error| {
        Error::data(format!(
            "the manifest {MANIFEST_FILE} in {} cannot be used",
            store.location()
        ))
        .at(MANIFEST_FILE)
        .with_hint(format!(
            "run verify; to restore the folder anyway, unverified, delete {MANIFEST_FILE}"
        ))
        .caused_by(error)
    })
}

/// The folder above a folder, opened, and the folder's name in it.
fn above(location: &Location) -> Option<(Arc<dyn Store>, String)> {
    let (parent, name) = location.split()?;
    Some((parent.open().ok()?, name))
}
