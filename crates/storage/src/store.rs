use std::{error::Error, fmt, ops::Range};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{Location, Result, StorageError};

/// A flat set of objects, each named by a `/`-separated relative path.
///
/// An object is visible whole or not at all. Dropping any future of a store abandons the operation and
/// leaves no part of an object visible; what was being created at that moment is removed as soon as it is there.
pub trait Store: fmt::Debug + Send + Sync {
    /// Where this store is.
    fn location(&self) -> Location;

    /// Keeps other writers out, of this process and of others, until the lock is dropped or its process dies.
    ///
    /// Readers get in, and where nothing can be locked, so does everyone.
    ///
    /// # Errors
    ///
    /// [`StorageError::Locked`] if another writer holds the lock, and as [`upload`](Self::upload).
    fn lock(&self) -> BoxFuture<'_, Result<Lock>>;

    /// Everything that is there.
    ///
    /// # Errors
    ///
    /// As the store has them. What cannot be looked into below the location itself is no error but part of
    /// the listing, and an object that disappears meanwhile is none.
    fn list(&self) -> BoxFuture<'_, Result<Listing>>;

    /// One object's size, or `None` if there is no such object.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`] and as the store has them.
    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>>;

    /// Exactly the bytes in `range`.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], or
    /// [`StorageError::TooShort`] if the object ends before the range does.
    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>>;

    /// Starts to write an object, which replaces one of the same path when it is finished.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`],
    /// [`StorageError::Symlink`] and as the store has them.
    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>>;

    /// Removes an object; one that does not exist is as good.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`] and as the store has them.
    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Makes every finished object survive a power cut.
    ///
    /// # Errors
    ///
    /// As [`Upload::write`]; what was finished may then be lost.
    fn flush(&self) -> BoxFuture<'_, Result<()>>;

    /// Removes what killed writers left behind directly in this location and in `folders` of it; returns
    /// what was found.
    ///
    /// What may be a living writer's is left alone, and so is what lies behind a symbolic link.
    ///
    /// # Errors
    ///
    /// As the store has them.
    fn remove_leftovers<'a>(
        &'a self,
        folders: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Leftover>>>;
}

/// What [`Store::lock`] gives: dropping it lets other writers in.
pub type Lock = Box<dyn fmt::Debug + Send>;

/// An object being written. Dropping it abandons the object and removes what was stored of it.
pub trait Upload: fmt::Debug + Send {
    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`StorageError::NoSpace`] and as the store has them. The upload can
    /// then only be dropped.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Makes the object visible. [`Store::flush`] makes it durable.
    ///
    /// # Errors
    ///
    /// As [`Upload::write`]; the object is then not visible.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<ObjectInfo>>;
}

/// What is in a store, each in byte order of the paths.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The objects. Uploads that never finished are none.
    pub objects: Vec<ObjectInfo>,
    /// The paths of what writers left behind that were killed, or write now: no objects, and never to be.
    pub leftovers: Vec<String>,
    /// What could not be looked into, and may hold objects or be one.
    pub unreadable: Vec<Unreadable>,
}

/// What a symbolic link to nothing is called.
pub(crate) const BROKEN_LINK: &str = "a symbolic link to nothing";

/// A part of a store that could not be looked into.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unreadable {
    /// Its path below the store's location.
    pub path: String,
    /// Why.
    pub error: StorageError,
}

impl Unreadable {
    /// Whether the object at `path` is this, or lies in it.
    pub fn hides(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it is a symbolic link to nothing.
    pub fn is_broken_link(&self) -> bool {
        matches!(self.error, StorageError::Special { what, .. } if what == BROKEN_LINK)
    }

    /// Why, in a few words that do not repeat the path.
    pub fn reason(&self) -> String {
        match (&self.error, self.error.source()) {
            (StorageError::Denied { .. }, _) => "permission denied".to_owned(),
            (StorageError::Special { what, .. }, _) => format!("it is {what}"),
            (StorageError::NameNotUtf8 { .. }, _) => "its name is not UTF-8".to_owned(),
            (_, Some(source)) => source.to_string(),
            (error, None) => error.to_string(),
        }
    }
}

/// What a store says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The object's path below the store's location.
    pub path: String,
    /// Its size, in bytes.
    pub stored_bytes: u64,
}

impl ObjectInfo {
    /// Says that `path` holds `stored_bytes` bytes.
    pub fn new(path: impl Into<String>, stored_bytes: u64) -> Self {
        Self {
            path: path.into(),
            stored_bytes,
        }
    }
}

/// What a writer left behind, or writes now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Its path below the store's location.
    pub path: String,
    /// Whether it is gone now. If not, its writer may live, or it may not be removed.
    pub removed: bool,
}
