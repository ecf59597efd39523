//! Writing an object: to a temporary file that gets its name in the end.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::{FolderStore, LEFTOVER_PREFIX, blocking, version_of, without_if_unsupported};
use crate::{ObjectInfo, PutIf, Result, StorageError, Upload, Version};

/// After how many bytes a file's dirty pages are written back, in the background.
///
/// Four times as much leaves the end of a dump to wait for the disk; half of it costs more than it saves.
const WRITE_BACK_BYTES: u64 = 16 << 20;

/// The part of a file's mode that a file keeps which is replaced: who may read, write and execute it.
const PERMISSIONS: u32 = 0o777;

/// A file being written under a temporary name, locked while its writer lives.
#[derive(Debug)]
pub(super) struct FolderUpload {
    path: String,
    file: PathBuf,
    temporary: PathBuf,
    /// Whether it has its own name now. What has the temporary one is then another writer's.
    is_in_place: bool,
    /// `None` while a write is under way, and after a write that was dropped or failed.
    open: Option<File>,
    stored_bytes: u64,
    write_back: Option<JoinHandle<io::Result<()>>>,
    under_way: TaskTracker,
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
            let info = open.metadata().map_err(failed)?;
            let stored_bytes = info.len();
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
            let version = version_of(&info);
            this.take_place(&PutIf::Always)?;
            Ok(ObjectInfo::new(std::mem::take(&mut this.path), stored_bytes).version(version))
        };
        let token = self.under_way.token();
        async move {
            self.end_write_back().await?;
            let work = move || {
                let finished = work(self);
                drop(token);
                finished
            };
            blocking("write", &file, work).await
        }
        .boxed()
    }
}

impl FolderUpload {
    /// Gives the file its own name, if the condition holds.
    fn take_place(&mut self, condition: &PutIf) -> Result<()> {
        let failed = |error| StorageError::from_io("rename into place", &self.file, error);
        let _held = match condition {
            PutIf::Always => None,
            PutIf::Absent => {
                // Unlike a rename, this does not replace what is there.
                let linked = fs::hard_link(&self.temporary, &self.file);
                return linked.map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => StorageError::Exists {
                        path: self.file.display().to_string(),
                    },
                    _ => failed(error),
                });
            }
            PutIf::Unchanged(version) => Some(self.hold(version)?),
        };
        fs::rename(&self.temporary, &self.file).map_err(failed)?;
        self.is_in_place = true;
        Ok(())
    }

    /// Keeps others from replacing the object, if it is of this version.
    fn hold(&self, version: &Version) -> Result<File> {
        let changed = || StorageError::Changed {
            path: self.file.display().to_string(),
        };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => changed(),
            _ => StorageError::from_io("lock", &self.file, error),
        };
        let open = File::open(&self.file).map_err(failed)?;
        without_if_unsupported(open.lock()).map_err(failed)?;
        // Who had the lock before may have replaced it.
        let now = fs::metadata(&self.file).map_err(failed)?;
        match version_of(&now) == *version {
            true => Ok(open),
            false => Err(changed()),
        }
    }

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

impl FolderStore {
    /// Creates the temporary file of an object, and the folders that it lies in.
    pub(super) fn upload_now(&self, path: &str) -> Result<FolderUpload> {
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
            under_way: self.under_way.clone(),
            written_back_bytes: 0,
        };
        Ok(upload)
    }

    /// Writes a small object at once.
    pub(super) fn put_now(
        &self,
        path: &str,
        bytes: &[u8],
        condition: &PutIf,
    ) -> Result<ObjectInfo> {
        let mut upload = self.upload_now(path)?;
        let failed = |error| StorageError::from_io("write", &upload.temporary, error);
        let mut open = upload.open.take().ok_or_else(|| abandoned(&upload.file))?;
        open.write_all(bytes).map_err(failed)?;
        let info = open.metadata().map_err(failed)?;
        upload.take_place(condition)?;
        Ok(ObjectInfo::new(path, info.len()).version(version_of(&info)))
    }
}
