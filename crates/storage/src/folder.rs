//! A folder on this machine as a store.
//!
//! An object is written to a temporary file beside its place, which is then renamed over it: a killed
//! writer leaves the old object, the new one, or a leftover whose name starts with [`LEFTOVER_PREFIX`]. It has the permissions
//! of the file that it replaces from the beginning.
//! The kernel is told to write back as the bytes come, so that [`Store::flush`] has little left to wait
//! for and other programs keep their page cache. Writing never follows a symbolic link below the location; reading does, as
//! mongorestore does.

mod listing;
mod upload;

use std::{
    fs::{self, File, TryLockError},
    io, iter,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryFutureExt, future::BoxFuture, stream, stream::BoxStream};
use listing::is_leftover;
use nix::errno::Errno;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{
    Capabilities, Leftover, Listed, Location, Lock, ObjectInfo, Posture, PutIf, Result,
    StorageError, Store, Told, UnfinishedUpload, Upload, Version, store::check_path,
};

/// How the name of a file starts that is being written, or was when its writer died.
const LEFTOVER_PREFIX: &str = ".rdump-";

/// How much of an object is copied at once.
const COPY_BYTES: u64 = 4 << 20;

/// Objects as files below one folder.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: PathBuf,
    /// What may make or name a file although nobody waits for it any more.
    under_way: TaskTracker,
}

impl FolderStore {
    /// Opens an existing folder.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], [`StorageError::NotAFolder`] or [`StorageError::Denied`].
    pub fn open(root: &Path) -> Result<Self> {
        let info =
            fs::metadata(root).map_err(|error| StorageError::from_io("open", root, error))?;
        if !info.is_dir() {
            return Err(StorageError::NotAFolder {
                path: root.display().to_string(),
            });
        }
        fs::read_dir(root).map_err(|error| StorageError::from_io("list", root, error))?;
        Ok(Self::at(root))
    }

    fn at(root: &Path) -> Self {
        let under_way = TaskTracker::new();
        under_way.close();
        Self {
            root: root.to_owned(),
            under_way,
        }
    }

    /// Prepares to write to a folder, which is created with its parents when the first object is.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotAFolder`] or [`StorageError::Denied`].
    pub fn create(root: &Path) -> Result<Self> {
        match Self::open(root) {
            Err(StorageError::NotFound { .. }) => Ok(Self::at(root)),
            other => other,
        }
    }

    /// The file of an object, after a look at the path itself.
    fn file(&self, path: &str) -> Result<PathBuf> {
        check_path(path)?;
        Ok(self.root.join(path))
    }

    fn create_root(&self) -> Result<()> {
        fs::create_dir_all(&self.root).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StorageError::NotAFolder {
                path: self.root.display().to_string(),
            },
            _ => StorageError::from_io("create", &self.root, error),
        })
    }

    /// How much more whoever is not root can write; of a folder that is yet to be made, where it will be.
    fn free_bytes(&self) -> Result<u64> {
        let there = self.root.ancestors().find(|folder| folder.exists());
        let there = there.filter(|folder| !folder.as_os_str().is_empty());
        let found = nix::sys::statvfs::statvfs(there.unwrap_or(Path::new(".")));
        let found =
            found.map_err(|error| StorageError::from_io("open", &self.root, error.into()))?;
        Ok(found
            .blocks_available()
            .saturating_mul(found.fragment_size()))
    }

    /// Locks the folder itself, which leaves no file behind.
    fn lock_now(&self) -> Result<Lock> {
        self.create_root()?;
        let failed = |error| StorageError::from_io("lock", &self.root, error);
        let folder = File::open(&self.root).map_err(failed)?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let path = self.root.display().to_string();
                return Err(StorageError::Locked { path });
            }
            Err(TryLockError::Error(error)) => {
                without_if_unsupported(Err(error)).map_err(failed)?;
            }
            Ok(()) => {}
        }
        Ok(Box::new(folder))
    }

    /// Creates the folders between the root and `path`, and refuses any that is a symbolic link.
    fn create_parents(&self, path: &str) -> Result<()> {
        self.create_root()?;
        let mut folder = self.root.clone();
        let parents = path.rsplit_once('/').map_or("", |(parents, _)| parents);
        for part in parents.split('/').filter(|part| !part.is_empty()) {
            folder.push(part);
            match fs::create_dir(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let info = fs::symlink_metadata(&folder);
                    let kind = info
                        .map_err(|error| StorageError::from_io("open", &folder, error))?
                        .file_type();
                    let path = folder.display().to_string();
                    if kind.is_symlink() {
                        return Err(StorageError::Symlink { path });
                    } else if !kind.is_dir() {
                        return Err(StorageError::NotAFolder { path });
                    }
                }
                Err(error) => return Err(StorageError::from_io("create", &folder, error)),
            }
        }
        Ok(())
    }

    /// Looks into the root and `folders`, and through no link: what lies behind one is not ours to remove.
    fn remove_leftovers_now(&self, folders: &[String]) -> Result<Vec<Leftover>> {
        let mut leftovers = Vec::new();
        for folder in iter::once("").chain(folders.iter().map(String::as_str)) {
            // For the root, a slash at the end: the location itself may be a link.
            let place = self.root.join(folder);
            if !fs::symlink_metadata(&place).is_ok_and(|info| info.is_dir()) {
                continue;
            }
            let listed = fs::read_dir(&place).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            for entry in listed.map_err(|error| StorageError::from_io("list", &place, error))? {
                let path = Path::new(folder).join(entry.file_name());
                let path = path.to_string_lossy().into_owned();
                if !is_leftover(&path) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    continue;
                }
                let file = entry.path();
                // Its writer holds a lock for as long as it lives.
                let abandoned = File::open(&file).is_ok_and(|open| open.try_lock().is_ok());
                let removed = abandoned && fs::remove_file(&file).is_ok();
                leftovers.push(Leftover { path, removed });
            }
        }
        leftovers.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(leftovers)
    }
}

impl Store for FolderStore {
    fn location(&self) -> Location {
        Location::Folder(self.root.clone())
    }

    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities>> {
        let capabilities = Capabilities {
            conditional_put: true,
            ..Capabilities::default()
        };
        async move { Ok(capabilities) }.boxed()
    }

    fn posture(&self) -> BoxFuture<'_, Result<Posture>> {
        let store = self.clone();
        blocking("open", &self.root, move || {
            let free_bytes = Told::from(store.free_bytes());
            Ok(Posture {
                free_bytes,
                ..Posture::default()
            })
        })
    }

    fn unfinished_uploads(&self) -> BoxFuture<'_, Result<Vec<UnfinishedUpload>>> {
        let store = self.clone();
        blocking("list", &self.root, move || {
            let listed = store.list_now("")?.into_iter();
            let found = listed.filter_map(|listed| match listed {
                Listed::Leftover(path) => {
                    let info = fs::metadata(store.root.join(&path)).ok();
                    let since = info.and_then(|info| info.modified().ok());
                    Some(UnfinishedUpload { path, since })
                }
                Listed::Object(_) | Listed::Unreadable(_) => None,
            });
            Ok(found.collect())
        })
    }

    fn lock(&self) -> BoxFuture<'_, Result<Lock>> {
        let store = self.clone();
        blocking("lock", &self.root, move || store.lock_now())
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed>> {
        let (store, prefix) = (self.clone(), prefix.to_owned());
        let listed = blocking("list", &self.root, move || store.list_now(&prefix));
        let listed = listed.map_ok(|listed| stream::iter(listed).map(Ok));
        listed.try_flatten_stream().boxed()
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        let (store, path) = (self.clone(), path.to_owned());
        blocking("open", &self.root, move || {
            let file = store.file(&path)?;
            match fs::metadata(&file) {
                Ok(info) if info.is_file() => Ok(Some(
                    ObjectInfo::new(path, info.len()).version(version_of(&info)),
                )),
                Ok(_) => Ok(None),
                Err(error) if is_nothing(&error) => Ok(None),
                Err(error) => Err(StorageError::from_io("open", &file, error)),
            }
        })
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        range: std::ops::Range<u64>,
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        let (store, path, version) = (self.clone(), path.to_owned(), version.cloned());
        blocking("read", &self.root, move || {
            let file = store.file(&path)?;
            let failed = |error| StorageError::from_io("read", &file, error);
            let shown = || file.display().to_string();
            // As `head` has it; opening a pipe would wait for somebody who writes to it.
            match fs::metadata(&file) {
                Ok(info) if info.is_file() => {}
                Err(error) if !is_nothing(&error) => return Err(failed(error)),
                Ok(_) | Err(_) => return Err(StorageError::NotFound { path: shown() }),
            }
            let open = File::open(&file).map_err(failed)?;
            let info = open.metadata().map_err(failed)?;
            if version.is_some_and(|version| version != version_of(&info)) {
                return Err(StorageError::Changed { path: shown() });
            }
            if range.end > info.len() {
                return Err(StorageError::TooShort {
                    path: shown(),
                    wanted_end: range.end,
                    actual_bytes: info.len(),
                });
            }
            let wanted =
                usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; wanted];
            open.read_exact_at(&mut bytes, range.start)
                .map_err(failed)?;
            Ok(bytes.into())
        })
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        let (store, path) = (self.clone(), path.to_owned());
        let token = self.under_way.token();
        blocking("write", &self.root, move || {
            let _under_way = token;
            store.put_now(&path, &bytes, &condition)
        })
    }

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        let (store, path) = (self.clone(), path.to_owned());
        let token = self.under_way.token();
        let (created, upload) = oneshot::channel();
        let creation = blocking("create", &self.root, move || {
            // If nobody waits for it any more, this removes it again.
            drop(created.send(store.upload_now(&path)));
            drop(token);
            Ok(())
        });
        async move {
            creation.await?;
            let upload = upload.await.map_err(|error| StorageError::Io {
                action: "create",
                path: self.root.display().to_string(),
                source: error.into(),
            })?;
            Ok(Box::new(upload?) as Box<dyn Upload>)
        }
        .boxed()
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            let found = self.head(from).await?;
            let found = found.ok_or_else(|| StorageError::NotFound {
                path: self.root.join(from).display().to_string(),
            })?;
            let mut upload = self.upload(to).await?;
            let mut next = 0;
            while next < found.stored_bytes {
                let end = found.stored_bytes.min(next + COPY_BYTES);
                let bytes = self.read(from, next..end, found.version.as_ref()).await?;
                upload.write(bytes).await?;
                next = end;
            }
            upload.finish().await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        let store = self.clone();
        let paths: Vec<String> = paths.iter().copied().map(str::to_owned).collect();
        blocking("delete", &self.root, move || {
            let files = paths.iter().map(|path| store.file(path));
            let files = files.collect::<Result<Vec<_>>>()?;
            let mut deleted = Ok(());
            for file in files {
                match fs::remove_file(&file) {
                    Err(error) if !is_absent(&error) => {
                        deleted = deleted.and(Err(StorageError::from_io("delete", &file, error)));
                    }
                    _ => {}
                }
            }
            deleted
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        let root = self.root.clone();
        blocking("sync", &self.root, move || {
            if !root.exists() {
                return Ok(());
            }
            let failed = |error| StorageError::from_io("sync", &root, error);
            // One call for all files: a sync of each would cost a millisecond a collection.
            nix::unistd::syncfs(File::open(&root).map_err(failed)?)
                .map_err(|error| failed(error.into()))
        })
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.under_way.wait().boxed()
    }

    fn remove_leftovers<'a>(
        &'a self,
        folders: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Leftover>>> {
        let (store, folders) = (self.clone(), folders.to_owned());
        blocking("list", &self.root, move || {
            store.remove_leftovers_now(&folders)
        })
    }
}

/// Where files cannot be locked, as on some network file systems, a writer goes on without.
fn without_if_unsupported(locked: io::Result<()>) -> io::Result<()> {
    let unsupported = [Errno::ENOSYS, Errno::EOPNOTSUPP, Errno::ENOLCK];
    match locked {
        Err(error)
            if error
                .raw_os_error()
                .is_some_and(|code| unsupported.contains(&Errno::from_raw(code))) =>
        {
            Ok(())
        }
        locked => locked,
    }
}

/// A file that takes the place of another is another file: it has another number as long as both are there.
fn version_of(info: &fs::Metadata) -> Version {
    let (file, bytes) = (info.ino(), info.len());
    let (seconds, nanoseconds) = (info.mtime(), info.mtime_nsec());
    Version::new(format!("{file:x}-{bytes:x}-{seconds:x}-{nanoseconds:x}"))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether there can be nothing to read, as where a link leads to itself.
fn is_nothing(error: &io::Error) -> bool {
    is_absent(error) || error.raw_os_error() == Some(Errno::ELOOP as i32)
}

/// Runs file work off the tasks that do network work.
fn blocking<T: Send + 'static>(
    action: &'static str,
    place: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> BoxFuture<'static, Result<T>> {
    let path = place.display().to_string();
    let task = tokio::task::spawn_blocking(work);
    async move {
        task.await.unwrap_or_else(|error| {
            Err(StorageError::Io {
                action,
                path,
                source: error.into(),
            })
        })
    }
    .boxed()
}

#[cfg(test)]
mod tests;
