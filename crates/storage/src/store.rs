use std::{fmt, ops::Range};

use bytes::Bytes;
use futures::{FutureExt, future, future::BoxFuture, stream::BoxStream};

use crate::{
    Leftover, Listed, Location, ObjectInfo, Posture, ReadAhead, Result, Retention, StorageError,
    UnfinishedUpload,
    object::{PutIf, Version},
};

/// A flat set of objects, each named by a `/`-separated relative path of at most five parts.
///
/// An object is visible whole or not at all. Dropping any future of a store abandons the operation and
/// leaves no part of an object visible; [`settle`](Self::settle) waits until nothing of it is left.
///
/// What a store has to do, beyond these signatures, is what [`conformance`](crate::conformance) checks.
pub trait Store: fmt::Debug + Send + Sync {
    /// Where this store is.
    fn location(&self) -> Location;

    /// What this store can do that not every one can.
    ///
    /// # Errors
    ///
    /// As the store has them.
    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities>>;

    /// How the place is set up: asks, and writes nothing. Default: there is nothing to be set.
    ///
    /// # Errors
    ///
    /// If nothing can be asked at all. What is not told is [`Told::Not`](crate::Told::Not).
    fn posture(&self) -> BoxFuture<'_, Result<Posture>> {
        future::ready(Ok(Posture::default())).boxed()
    }

    /// What somebody began to write and has not finished, in no order. Default: nothing, as where nothing is left of it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`] and as the store has them.
    fn unfinished_uploads(&self) -> BoxFuture<'_, Result<Vec<UnfinishedUpload>>> {
        future::ready(Ok(Vec::new())).boxed()
    }

    /// Keeps other writers out, of this process and of others, until the lock is dropped or its process dies.
    ///
    /// Readers get in, and where nothing can be locked, so does everyone.
    ///
    /// # Errors
    ///
    /// [`StorageError::Locked`] if another writer holds the lock, and as [`upload`](Self::upload).
    fn lock(&self) -> BoxFuture<'_, Result<Lock>>;

    /// Everything whose path starts with `prefix`, in byte order of the paths, as it comes.
    ///
    /// # Errors
    ///
    /// As the store has them; the stream ends after its first error. What cannot be looked into below the location itself
    /// is no error but part of the listing, and an object that disappears meanwhile is none.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed>>;

    /// One object's size and version, or `None` if there is no such object.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`] and as the store has them.
    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>>;

    /// Exactly the bytes in `range`; of this version, if one is given.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], [`StorageError::Changed`] if it is of another version, or
    /// [`StorageError::TooShort`] if the object ends before the range does.
    fn read<'a>(
        &'a self,
        path: &'a str,
        range: Range<u64>,
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Bytes>>;

    /// How much it pays to have on its way before it is wanted. Default: nothing, as where the operating system does that.
    fn read_ahead(&self) -> Option<&ReadAhead> {
        None
    }

    /// Writes a small object at once.
    ///
    /// # Errors
    ///
    /// [`StorageError::Exists`] or [`StorageError::Changed`] if the condition does not hold, and as
    /// [`upload`](Self::upload). Whether a store minds conditions, its [`capabilities`](Self::capabilities) tell.
    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>>;

    /// Starts to write an object, which replaces one of the same path when it is finished.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`],
    /// [`StorageError::Symlink`] and as the store has them.
    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>>;

    /// Copies an object inside of the store, over what is there.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], and as [`upload`](Self::upload).
    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>>;

    /// Removes objects; those that do not exist are as good.
    ///
    /// # Errors
    ///
    /// [`StorageError::InvalidPath`] before anything is removed; [`StorageError::Denied`] and as the store has them, of
    /// the first that could not be removed; the others are.
    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>>;

    /// Whether an object may not be deleted. Default: nothing keeps it, as where a store knows no such thing.
    ///
    /// A store with versions takes a deletion of what is locked and hides it: ask before.
    ///
    /// # Errors
    ///
    /// [`StorageError::Denied`] if who asks may not know, and as the store has them.
    fn retention<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Retention>>> {
        let _ = path;
        future::ready(Ok(None)).boxed()
    }

    /// Makes every finished object survive a power cut.
    ///
    /// # Errors
    ///
    /// As [`Upload::write`]; what was finished may then be lost.
    fn flush(&self) -> BoxFuture<'_, Result<()>>;

    /// Waits until what was given up is gone: uploads that were dropped, and what was being created just then.
    ///
    /// Who does not wait, and ends the process, may leave them behind.
    fn settle(&self) -> BoxFuture<'_, ()> {
        future::ready(()).boxed()
    }

    /// Removes what killed writers left behind of the objects at these paths, and of those in folders of these paths; returns
    /// what was found. A local folder looks into itself too, where what is left has no name.
    ///
    /// What may be a living writer's is left alone, and so is what lies behind a symbolic link.
    ///
    /// # Errors
    ///
    /// As the store has them.
    fn remove_leftovers<'a>(&'a self, paths: &'a [String]) -> BoxFuture<'a, Result<Vec<Leftover>>>;
}

/// What not every store can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether a [`Store::put`] minds its condition. It was tried: some stores take one and do not.
    pub conditional_put: bool,
    /// Whether what is replaced or deleted is kept as an older version.
    pub versioning: bool,
    /// Whether objects can be locked against deletion until a date.
    pub object_lock: bool,
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

/// How many parts a path has at most, and so how deep a folder is looked into: a link that leads back up must not become
/// a loop, and what a dump lies in may be as deep as a disk.
pub(crate) const MOST_PARTS: usize = 5;

/// Refuses the path of an object that is not relative and plain, and so could lead out of a store, or that is too deep.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    match path.split('/').all(plain) && path.split('/').count() <= MOST_PARTS {
        true => Ok(()),
        false => Err(StorageError::InvalidPath {
            path: path.to_owned(),
        }),
    }
}
