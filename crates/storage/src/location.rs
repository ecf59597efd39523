use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use crate::{FolderStore, Result, StorageError, Store};

/// Where a dump is or goes: a path or a `file://` URL.
///
/// `Display` never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A folder on this machine.
    Folder(PathBuf),
}

impl Location {
    /// Opens what exists at this location, for reading.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], [`StorageError::NotAFolder`] or [`StorageError::Denied`].
    pub fn open(&self) -> Result<Arc<dyn Store>> {
        match self {
            Self::Folder(path) => Ok(Arc::new(FolderStore::open(path)?)),
        }
    }

    /// Opens this location for writing. If it does not exist, it is created when the first object is.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotAFolder`] or [`StorageError::Denied`].
    pub fn create(&self) -> Result<Arc<dyn Store>> {
        match self {
            Self::Folder(path) => Ok(Arc::new(FolderStore::create(path)?)),
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Folder(path.to_owned())
    }
}

impl FromStr for Location {
    type Err = StorageError;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason| {
            Err(StorageError::InvalidLocation {
                location: text.to_owned(),
                reason,
            })
        };
        if text.is_empty() {
            return invalid("it is empty");
        }
        if text.starts_with("s3://") {
            return invalid("this version writes to and reads from folders only");
        }
        match text.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            Some(_) => invalid("a file:// URL needs an absolute path, as in file:///backups/today"),
            None => Ok(Self::Folder(text.into())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_file_urls_name_folders() {
        assert_eq!(
            "dump".parse::<Location>().unwrap(),
            Location::Folder("dump".into())
        );
        assert_eq!(
            "file:///a/b".parse::<Location>().unwrap(),
            Location::Folder("/a/b".into())
        );
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for text in ["", "file://relative", "s3://bucket/prefix"] {
            assert!(
                matches!(
                    text.parse::<Location>(),
                    Err(StorageError::InvalidLocation { .. })
                ),
                "{text}"
            );
        }
    }
}
