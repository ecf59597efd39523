//! What a location is when a single object goes there.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Location, Result, StorageError, Store, StreamUpload, location::cannot_be_opened};

/// Where a single object goes, such as an archive.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever writes has to know every kind"
)]
pub enum Sink {
    /// An object of a store, by its path there.
    Object {
        /// The store.
        store: Arc<dyn Store>,
        /// The object's path.
        path: String,
    },
    /// What takes bytes one after the other and keeps none of them: a named pipe, a device.
    Stream(StreamUpload),
}

impl Location {
    /// Opens this location for writing a single object, through a symbolic link if it is one.
    ///
    /// Folders above it that do not exist are created when the object is.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotAFile`] if it is a folder or names nothing, and as the file system has them.
    pub fn sink(&self) -> Result<Sink> {
        match self {
            Self::Folder(path) => of_path(path),
            Self::S3(_) => {
                let path = self.to_string();
                let (folder, path) = self.split().ok_or(StorageError::NotAFile { path })?;
                let store = folder.create()?;
                Ok(Sink::Object { store, path })
            }
            Self::Store(_) | Self::Named(_) => Err(cannot_be_opened(&self.to_string())),
        }
    }
}

fn of_path(path: &Path) -> Result<Sink> {
    let not_a_file = || StorageError::NotAFile {
        path: path.display().to_string(),
    };
    let failed = |error| StorageError::from_io("write to", path, error);
    let target = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(not_a_file()),
        Ok(found) if found.is_file() => fs::canonicalize(path).map_err(failed)?,
        Ok(_) => {
            let stream = fs::OpenOptions::new().write(true).open(path);
            let name = path.display().to_string();
            return Ok(Sink::Stream(StreamUpload::new(
                name,
                stream.map_err(failed)?,
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => behind_links(path.to_owned()),
        // Whoever writes says why it cannot be.
        Err(_) => path.to_owned(),
    };
    let (folder, name) = Location::Folder(target).split().ok_or_else(not_a_file)?;
    Ok(Sink::Object {
        store: folder.create()?,
        path: name,
    })
}

/// The file that is created when a path is written to where nothing is: the last target of links that lead to nothing.
fn behind_links(mut path: PathBuf) -> PathBuf {
    while let Ok(target) = fs::read_link(&path) {
        path.set_file_name(target);
    }
    path
}
