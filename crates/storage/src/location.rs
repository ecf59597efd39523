use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use crate::{FolderStore, Result, S3Location, S3Store, StorageError, Store};

/// Where a dump is or goes: a path, a `file://` URL, or `s3://bucket/prefix` as [`S3Location`] has it.
///
/// `Display` never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A bucket of an object store, or what is below a prefix of it.
    S3(Box<S3Location>),
    /// A store that is open already: one in memory, or of whoever embeds this. It has nothing above it.
    Store(OpenStore),
    /// The name of such a store. It cannot be opened by that.
    Named(String),
}

/// A store as a [`Location`]; equal to itself alone.
#[derive(Clone, Debug)]
pub struct OpenStore(Arc<dyn Store>);

impl PartialEq for OpenStore {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OpenStore {}

impl Location {
    /// Opens what exists at this location, for reading.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], [`StorageError::NotAFolder`] or [`StorageError::Denied`].
    pub fn open(&self) -> Result<Arc<dyn Store>> {
        match self {
            Self::Folder(path) => Ok(Arc::new(FolderStore::open(path)?)),
            Self::Store(store) => Ok(Arc::clone(&store.0)),
            Self::S3(location) => {
                location.check()?;
                Ok(Arc::new(S3Store::new(S3Location::clone(location))))
            }
            Self::Named(name) => Err(cannot_be_opened(name)),
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
            Self::S3(_) | Self::Store(_) => self.open(),
            Self::Named(name) => Err(cannot_be_opened(name)),
        }
    }

    /// Sets an [option](crate::S3Options) of an object store, by its name in a URL.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidLocation`] if this is none, there is no such option, or its value makes no sense.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match self {
            Self::S3(location) => location.set(name, value),
            _ => Err(StorageError::InvalidLocation {
                location: self.to_string(),
                reason: "only a location such as s3://bucket/prefix has options",
            }),
        }
    }
}

impl Location {
    /// The location that this one lies in, and its name there; `None` if nothing is above it, or the name is not UTF-8.
    pub fn split(&self) -> Option<(Self, String)> {
        match self {
            Self::Folder(path) => {
                let whole;
                let path = match path.file_name() {
                    Some(_) => path,
                    // `.` and `..` have no name of their own.
                    None => {
                        whole = path.canonicalize().ok()?;
                        &whole
                    }
                };
                let name = path.file_name()?.to_str()?.to_owned();
                Some((Self::from(folder_of(path)?), name))
            }
            Self::S3(location) => {
                let (above, name) = location.split()?;
                Some((Self::S3(Box::new(above)), name))
            }
            Self::Store(_) | Self::Named(_) => None,
        }
    }

    /// Whether this is the same place as another one, however both are written and reached: not by another name of its server, or another way to a file system.
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folder(one), Self::Folder(other)) => {
                let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
                real(one) == real(other)
            }
            (Self::S3(one), Self::S3(other)) => one.is_same_place(other),
            (one, other) => one == other,
        }
    }

    /// The last part of the location as it is written; none if that is `.` or `..`, or not UTF-8.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Folder(path) => path.file_name()?.to_str(),
            Self::S3(location) => location.name(),
            Self::Store(_) | Self::Named(_) => None,
        }
    }

    /// The folder or file on this machine, if it is one.
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::S3(_) | Self::Store(_) | Self::Named(_) => None,
        }
    }
}

pub(crate) fn cannot_be_opened(name: &str) -> StorageError {
    StorageError::InvalidLocation {
        location: name.to_owned(),
        reason: "it is the name of a store, which is given as it is",
    }
}

/// The folder that a path is in.
fn folder_of(path: &Path) -> Option<&Path> {
    let parent = path.parent()?;
    Some(match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    })
}

impl From<Arc<dyn Store>> for Location {
    fn from(store: Arc<dyn Store>) -> Self {
        Self::Store(OpenStore(store))
    }
}

impl From<S3Location> for Location {
    fn from(location: S3Location) -> Self {
        Self::S3(Box::new(location))
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
        let invalid =
            |location: String, reason| Err(StorageError::InvalidLocation { location, reason });
        if text.is_empty() {
            return invalid(String::new(), "it is empty");
        }
        match scheme(text) {
            None => Ok(Self::Folder(text.into())),
            Some(("s3", _)) => Ok(Self::S3(Box::new(text.parse()?))),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            Some(("file", _)) => invalid(
                text.to_owned(),
                "a file:// URL needs an absolute path, as in file:///backups/today",
            ),
            // The rest is not shown: it may be a misspelt connection string with a password.
            Some((scheme, _)) => invalid(
                format!("{scheme}://…"),
                "a location is a path, file:///… or s3://bucket/prefix",
            ),
        }
    }
}

/// The scheme of a URL and what comes after it.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    is_scheme.then_some((scheme, rest))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3(location) => location.fmt(f),
            Self::Store(store) => store.0.location().fmt(f),
            Self::Named(name) => name.fmt(f),
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
    fn a_place_is_the_same_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let is_same = |one: &str, other: &str| {
            let one: Location = one.parse().unwrap();
            one.is_same_place(&other.parse().unwrap())
        };
        let (real, link) = (real.to_str().unwrap(), link.to_str().unwrap());
        let roundabout = format!("file://{real}/../real/.");
        for same in [real, link, &roundabout] {
            assert!(is_same(real, same), "{same}");
        }
        assert!(!is_same(real, folder.path().to_str().unwrap()));
        assert!(is_same("none/a", "none/a") && !is_same("none/a", "none/b"));
        let bucket = "s3://bucket/p?endpoint=http://Host:8333";
        for (one, other, same) in [
            (
                bucket,
                "s3://bucket/p/?endpoint=http://host:8333/&profile=x",
                true,
            ),
            (bucket, "s3://bucket/p?endpoint=http://host:8334", false),
            (bucket, "s3://bucket/p", false),
            ("s3://bucket/p", "s3://bucket/p?storage-class=GLACIER", true),
            (
                "s3://bucket/p",
                "s3://bucket/p?endpoint=https://s3.eu-west-1.amazonaws.com",
                true,
            ),
            ("s3://bucket/p", "s3://bucket/q", false),
            ("s3://bucket/p", "s3://another/p", false),
        ] {
            assert_eq!(is_same(one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_path_may_look_like_much_but_a_url() {
        for text in ["a:b", "./s3://x", "a b://c", "C:/x"] {
            assert_eq!(
                text.parse::<Location>().unwrap(),
                Location::Folder(text.into())
            );
        }
    }

    #[test]
    fn a_misspelt_connection_string_is_not_quoted() {
        let error = "mongo://u:canary@h".parse::<Location>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for text in ["", "file://relative", "s3://", "mongo://u:p@h"] {
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
