//! What a location is when a single object is read from there.

use std::{fs::File, io::Read};

use tokio::runtime::Handle;

use crate::{Location, ObjectReader, Result, StorageError, location::cannot_be_opened};

impl Location {
    /// Opens this location for reading a single object from front to end, by a thread that may block: a file, a named pipe, an
    /// object of a store.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], [`StorageError::NotAFile`] if it names nothing, and as file system and store have them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future opens nothing, but that a thread may go on waiting for a named pipe that nobody writes to.
    pub async fn source(&self) -> Result<Box<dyn Read + Send>> {
        match self {
            Self::Folder(path) => {
                let opened = tokio::task::spawn_blocking({
                    let path = path.clone();
                    move || File::open(path)
                });
                let opened = opened.await.map_err(std::io::Error::other).flatten();
                let opened = opened.map_err(|error| StorageError::from_io("open", path, error));
                Ok(Box::new(opened?))
            }
            Self::S3(location) => {
                let path = location.to_string();
                let (folder, name) = self
                    .split()
                    .ok_or_else(|| StorageError::NotAFile { path: path.clone() })?;
                let store = folder.open()?;
                let found = store.head(&name).await?;
                let found = found.ok_or(StorageError::NotFound { path })?;
                Ok(Box::new(ObjectReader::new(
                    Handle::current(),
                    &store,
                    &found,
                )))
            }
            Self::Store(_) | Self::Named(_) => Err(cannot_be_opened(&self.to_string())),
        }
    }

    /// Whether a single object is there, and not what lies below a prefix of such a name.
    ///
    /// # Errors
    ///
    /// As [`Store::head`](crate::Store::head).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up looking.
    pub async fn is_object(&self) -> Result<bool> {
        match self {
            Self::Folder(path) => {
                let found = tokio::fs::metadata(path).await;
                Ok(found.is_ok_and(|found| !found.is_dir()))
            }
            Self::S3(_) => match self.split() {
                Some((folder, name)) => Ok(folder.open()?.head(&name).await?.is_some()),
                None => Ok(false),
            },
            Self::Store(_) | Self::Named(_) => Ok(false),
        }
    }
}
