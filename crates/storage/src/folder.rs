//! A folder on this machine as a store.
//!
//! An object is written to a temporary file beside its place, which is then renamed over it: a killed
//! writer leaves the old object, the new one, or a leftover whose name starts with [`LEFTOVER_PREFIX`]. It has the permissions
//! of the file that it replaces from the beginning.
//! The kernel is told to write back as the bytes come, so that [`Store::flush`] has little left to wait
//! for and other programs keep their page cache. Writing never follows a symbolic link below the location; reading does, as
//! mongorestore does.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    iter,
    os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use nix::errno::Errno;
use tokio::task::JoinHandle;

use crate::{
    Leftover, Listing, Location, Lock, ObjectInfo, Result, StorageError, Store, Unreadable, Upload,
};

/// How the name of a file starts that is being written, or was when its writer died.
const LEFTOVER_PREFIX: &str = ".rdump-";

/// After how many bytes a file's dirty pages are written back, in the background.
///
/// Four times as much leaves the end of a dump to wait for the disk; half of it costs more than it saves.
const WRITE_BACK_BYTES: u64 = 16 << 20;

/// The part of a file's mode that a file keeps which is replaced: who may read, write and execute it.
const PERMISSIONS: u32 = 0o777;

/// Objects as files below one folder.
#[derive(Clone, Debug)]
pub struct FolderStore {
    root: PathBuf,
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
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Prepares to write to a folder, which is created with its parents when the first object is.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotAFolder`] or [`StorageError::Denied`].
    pub fn create(root: &Path) -> Result<Self> {
        match Self::open(root) {
            Err(StorageError::NotFound { .. }) => Ok(Self {
                root: root.to_owned(),
            }),
            other => other,
        }
    }

    /// The file of an object, after a look at the path itself.
    fn file(&self, path: &str) -> Result<PathBuf> {
        let plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if path.split('/').all(plain) {
            Ok(self.root.join(path))
        } else {
            Err(StorageError::InvalidPath {
                path: path.to_owned(),
            })
        }
    }

    fn create_root(&self) -> Result<()> {
        fs::create_dir_all(&self.root).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StorageError::NotAFolder {
                path: self.root.display().to_string(),
            },
            _ => StorageError::from_io("create", &self.root, error),
        })
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

    /// Adds every file below `folder`, links followed, and what is neither file nor folder.
    fn walk(&self, folder: &Path, prefix: &str, listing: &mut Listing) -> Result<()> {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in listed.map_err(|error| StorageError::from_io("list", folder, error))? {
            let file = entry.path();
            let name = entry.file_name();
            let path = format!("{prefix}{}", name.to_string_lossy());
            let shown = || file.display().to_string();
            let info = match name.to_str() {
                Some(_) => look(&file),
                None => Err(StorageError::NameNotUtf8 { path: shown() }),
            };
            let looked = match info {
                // A dump is two levels deep; a link that leads back up must not become a loop.
                Ok(info) if info.is_dir() && prefix.matches('/').count() < 4 => {
                    self.walk(&file, &format!("{path}/"), listing)
                }
                Ok(info) if info.is_dir() => Ok(()),
                Ok(info) if info.is_file() => {
                    match is_leftover(&path) {
                        true => listing.leftovers.push(path.clone()),
                        false => listing.objects.push(ObjectInfo::new(&path, info.len())),
                    }
                    Ok(())
                }
                Ok(info) => Err(StorageError::Special {
                    path: shown(),
                    what: what_is(info.file_type()),
                }),
                Err(error) => Err(error),
            };
            match looked {
                // Gone since.
                Ok(()) | Err(StorageError::NotFound { .. }) => {}
                Err(error) => listing.unreadable.push(Unreadable { path, error }),
            }
        }
        Ok(())
    }

    fn list_now(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        match self.walk(&self.root, "", &mut listing) {
            Ok(()) | Err(StorageError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        listing.objects.sort_by(|a, b| a.path.cmp(&b.path));
        listing.leftovers.sort();
        listing.unreadable.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
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

    fn upload_now(&self, path: &str) -> Result<FolderUpload> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let file = self.file(path)?;
        self.create_parents(path)?;
        if fs::symlink_metadata(&file).is_ok_and(|info| info.is_dir()) {
            return Err(StorageError::Io {
                action: "replace",
                path: file.display().to_string(),
                source: "it is a folder".into(),
            });
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let replaced = fs::metadata(&file).ok().filter(fs::Metadata::is_file);
        let mode = replaced.map(|info| info.permissions().mode() & PERMISSIONS);
        if let Some(mode) = mode {
            options.mode(mode);
        }
        // In another container a process may have the same id.
        let (temporary, opened) = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{LEFTOVER_PREFIX}{}-{number}.part", process::id());
            let temporary = file.with_file_name(name);
            match options.open(&temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => break (temporary, opened),
            }
        };
        let failed = |error| StorageError::from_io("create", &temporary, error);
        let open = opened.map_err(failed)?;
        let made = open.metadata().map_err(failed)?.permissions().mode() & PERMISSIONS;
        if let Some(mode) = mode.filter(|mode| *mode != made) {
            // What the umask took away. Where the file system has no modes, there is nothing to change.
            open.set_permissions(fs::Permissions::from_mode(mode))
                .map_err(failed)?;
        }
        without_if_unsupported(open.lock()).map_err(failed)?;
        let upload = FolderUpload {
            path: path.to_owned(),
            file,
            temporary,
            is_in_place: false,
            open: Some(open),
            stored_bytes: 0,
            write_back: None,
            written_back_bytes: 0,
        };
        Ok(upload)
    }
}

impl Store for FolderStore {
    fn location(&self) -> Location {
        Location::Folder(self.root.clone())
    }

    fn lock(&self) -> BoxFuture<'_, Result<Lock>> {
        let store = self.clone();
        blocking("lock", &self.root, move || store.lock_now())
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        let store = self.clone();
        blocking("list", &self.root, move || store.list_now())
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        let (store, path) = (self.clone(), path.to_owned());
        blocking("open", &self.root, move || {
            let file = store.file(&path)?;
            match fs::metadata(&file) {
                Ok(info) if info.is_file() => Ok(Some(ObjectInfo {
                    path,
                    stored_bytes: info.len(),
                })),
                Ok(_) => Ok(None),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(StorageError::from_io("open", &file, error)),
            }
        })
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        range: std::ops::Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        let (store, path) = (self.clone(), path.to_owned());
        blocking("read", &self.root, move || {
            let file = store.file(&path)?;
            let failed = |error| StorageError::from_io("read", &file, error);
            let open = File::open(&file).map_err(failed)?;
            let actual_bytes = open.metadata().map_err(failed)?.len();
            if range.end > actual_bytes {
                let path = file.display().to_string();
                return Err(StorageError::TooShort {
                    path,
                    wanted_end: range.end,
                    actual_bytes,
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

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        let (store, path) = (self.clone(), path.to_owned());
        blocking("create", &self.root, move || {
            Ok(Box::new(store.upload_now(&path)?) as Box<dyn Upload>)
        })
    }

    fn delete<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<()>> {
        let (store, path) = (self.clone(), path.to_owned());
        blocking("delete", &self.root, move || {
            let file = store.file(&path)?;
            match fs::remove_file(&file) {
                Err(error) if !is_absent(&error) => {
                    Err(StorageError::from_io("delete", &file, error))
                }
                _ => Ok(()),
            }
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

/// A file being written under a temporary name, locked while its writer lives.
#[derive(Debug)]
struct FolderUpload {
    path: String,
    file: PathBuf,
    temporary: PathBuf,
    /// Whether it has its own name now. What has the temporary one is then another writer's.
    is_in_place: bool,
    /// `None` while a write is under way, and after a write that was dropped or failed.
    open: Option<File>,
    stored_bytes: u64,
    write_back: Option<JoinHandle<io::Result<()>>>,
    written_back_bytes: u64,
}

impl Upload for FolderUpload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut open = self.open.take().ok_or_else(|| abandoned(&self.file))?;
            let written = bytes.len() as u64;
            let temporary = self.temporary.clone();
            let open = blocking("write", &self.file, move || {
                open.write_all(&bytes)
                    .map_err(|error| StorageError::from_io("write", &temporary, error))?;
                Ok(open)
            });
            let open = open.await?;
            self.stored_bytes += written;
            if self.stored_bytes - self.written_back_bytes >= WRITE_BACK_BYTES {
                self.end_write_back().await?;
                let same = open
                    .try_clone()
                    .map_err(|error| StorageError::from_io("write", &self.temporary, error))?;
                self.write_back = Some(tokio::task::spawn_blocking(move || same.sync_data()));
                self.written_back_bytes = self.stored_bytes;
            }
            self.open = Some(open);
            Ok(())
        }
        .boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<ObjectInfo>> {
        let file = self.file.clone();
        let work = move |mut this: Box<Self>| {
            let failed = |error| StorageError::from_io("write", &this.temporary, error);
            let open = this.open.take().ok_or_else(|| abandoned(&this.file))?;
            let stored_bytes = open.metadata().map_err(failed)?.len();
            if stored_bytes != this.stored_bytes {
                let source = format!(
                    "{} bytes were written, but it has {stored_bytes}",
                    this.stored_bytes
                )
                .into();
                return Err(StorageError::Io {
                    action: "write",
                    path: this.file.display().to_string(),
                    source,
                });
            }
            fs::rename(&this.temporary, &this.file)
                .map_err(|error| StorageError::from_io("rename into place", &this.file, error))?;
            this.is_in_place = true;
            Ok(ObjectInfo {
                path: std::mem::take(&mut this.path),
                stored_bytes,
            })
        };
        async move {
            self.end_write_back().await?;
            blocking("write", &file, move || work(self)).await
        }
        .boxed()
    }
}

impl FolderUpload {
    /// Waits for the write-back under way, whose failure is a failure to write.
    async fn end_write_back(&mut self) -> Result<()> {
        let Some(task) = self.write_back.take() else {
            return Ok(());
        };
        let written = task.await.map_err(io::Error::other).flatten();
        written.map_err(|error| StorageError::from_io("write", &self.temporary, error))
    }
}

impl Drop for FolderUpload {
    fn drop(&mut self) {
        if !self.is_in_place {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn abandoned(file: &Path) -> StorageError {
    let source = "an earlier write to it failed or was dropped".into();
    StorageError::Io {
        action: "write",
        path: file.display().to_string(),
        source,
    }
}

/// What lies at a path or behind the link there.
fn look(file: &Path) -> Result<fs::Metadata> {
    match fs::metadata(file) {
        Err(error) if is_absent(&error) && file.is_symlink() => Err(StorageError::Special {
            path: file.display().to_string(),
            what: crate::store::BROKEN_LINK,
        }),
        info => info.map_err(|error| StorageError::from_io("open", file, error)),
    }
}

/// What is neither a file nor a folder.
fn what_is(kind: fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn is_leftover(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with(LEFTOVER_PREFIX) && name.ends_with(".part")
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

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
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
