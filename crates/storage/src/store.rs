use std::{fmt, ops::Range};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{Location, Result};

/// A flat set of objects, each named by a `/`-separated relative path.
///
/// An object is visible whole or not at all. Dropping any future of a store abandons the operation and
/// leaves no part of an object visible.
pub trait Store: fmt::Debug + Send + Sync {
    /// Where this store is.
    fn location(&self) -> Location;

    /// Every object, in byte order of its path. Uploads that never finished are not objects.
    ///
    /// # Errors
    ///
    /// As the store has them; an object that disappears meanwhile is none.
    fn list(&self) -> BoxFuture<'_, Result<Vec<ObjectInfo>>>;

    /// One object's size, or `None` if there is no such object.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`](crate::StorageError::Denied) and as the store has them.
    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>>;

    /// Exactly the bytes in `range`.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`](crate::StorageError::NotFound), or
    /// [`StorageError::TooShort`](crate::StorageError::TooShort) if the object ends before the range does.
    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>>;

    /// Starts to write an object, which replaces one of the same path when it is finished.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`](crate::StorageError::Denied),
    /// [`StorageError::Symlink`](crate::StorageError::Symlink) and as the store has them.
    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>>;

    /// Removes an object; one that does not exist is as good.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`](crate::StorageError::Denied) and as the store has them.
    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Makes every finished object survive a power cut.
    ///
    /// # Errors
    ///
    /// As [`Upload::write`]; what was finished may then be lost.
    fn flush(&self) -> BoxFuture<'_, Result<()>>;

    /// What writers left behind that were killed, or write now: paths of what is no object, and may never be.
    ///
    /// # Errors
    ///
    /// As the store has them.
    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<String>>>;

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

/// An object being written. Dropping it abandons the object and removes what was stored of it.
pub trait Upload: fmt::Debug + Send {
    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// [`StorageError::NoSpace`](crate::StorageError::NoSpace) and as the store has them. The upload can
    /// then only be dropped.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Makes the object visible. [`Store::flush`] makes it durable.
    ///
    /// # Errors
    ///
    /// As [`Upload::write`]; the object is then not visible.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<ObjectInfo>>;
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
