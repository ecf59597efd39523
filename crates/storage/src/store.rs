use std::{fmt, ops::Range};

use bytes::Bytes;
use futures::{FutureExt, future, future::BoxFuture, stream::BoxStream};

use crate::{
    Leftover, Listed, Location, ObjectChecksum, ObjectClass, ObjectInfo, Posture, ReadAhead,
    Result, Retention, StorageError, ThawRequest, UnfinishedUpload,
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

    /// What the store has computed of an object's bytes, for [`copy_from`](Self::copy_from). Default: nothing.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], and as the store has them.
    fn checksum<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectChecksum>>> {
        let _ = path;
        future::ready(Ok(None)).boxed()
    }

    /// Has the store itself copy an object from another place, of which `of` was told there, without its bytes coming here.
    ///
    /// The copy is visible once the checksum that the store gives of what it has copied is that of `of`, and not before.
    ///
    /// # Errors
    ///
    /// [`StorageError::Refused`] if the store cannot do that or gives no checksum, which is the default;
    /// [`StorageError::Corrupted`] if the checksum is another; [`StorageError::Denied`], [`StorageError::NotFound`],
    /// [`StorageError::NoSuchBucket`] or [`StorageError::Changed`] if it cannot read there; and as [`upload`](Self::upload).
    fn copy_from<'a>(
        &'a self,
        from: &'a Location,
        of: &'a ObjectChecksum,
        to: &'a str,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        let _ = (from, of);
        future::ready(Err(cannot(self, "a copy from elsewhere", to))).boxed()
    }

    /// Whether objects are of storage classes here. Default: no.
    fn has_classes(&self) -> bool {
        false
    }

    /// The storage class of an object, and whether it can be read; `None` if there is no such object. Default: it can be read.
    ///
    /// # Errors
    ///
    /// As [`head`](Self::head).
    fn class<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectClass>>> {
        let readable = |found: Option<ObjectInfo>| {
            found.map(|_| ObjectClass::new(None, crate::ClassState::Readable))
        };
        self.head(path)
            .map(move |found| found.map(readable))
            .boxed()
    }

    /// Brings an object into another storage class, with the same bytes, tags, encryption and lock. Until it is there, the object is as it was.
    ///
    /// Where versions are kept, the one before stays in its class, for as long as it is kept or locked.
    ///
    /// # Errors
    ///
    /// [`StorageError::Refused`] if the store has no such class or gives no checksum to compare, which is the default;
    /// [`StorageError::Frozen`], [`StorageError::Corrupted`] if what would be stored is something else; and as
    /// [`copy_from`](Self::copy_from).
    fn change_class<'a>(
        &'a self,
        path: &'a str,
        class: &'a str,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        let _ = class;
        future::ready(Err(cannot(self, "a change of the storage class", path))).boxed()
    }

    /// Asks the store to thaw an object that is frozen in its class. It takes its time: [`class`](Self::class) says when it is done.
    ///
    /// To ask again is no error, nor to ask for what can be read.
    ///
    /// # Errors
    ///
    /// [`StorageError::Refused`] if the store knows nothing of that, which is the default; [`StorageError::Denied`],
    /// [`StorageError::NotFound`], and as the store has them.
    fn thaw<'a>(&'a self, path: &'a str, request: ThawRequest) -> BoxFuture<'a, Result<()>> {
        let _ = request;
        future::ready(Err(cannot(self, "thawing", path))).boxed()
    }

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

/// That a store does not do something with an object.
pub(crate) fn cannot<S: Store + ?Sized>(
    store: &S,
    action: &'static str,
    path: &str,
) -> StorageError {
    StorageError::Refused {
        action,
        path: format!("{}/{path}", store.location()),
        source: "stores of its kind do not".into(),
    }
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
