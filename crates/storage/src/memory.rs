//! A store in memory.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, future, future::BoxFuture, stream, stream::BoxStream};

use crate::{
    Capabilities, Leftover, Listed, Location, Lock, ObjectInfo, PutIf, Result, Retention,
    StorageError, Store, Upload, Version, store::check_path,
};

/// Objects in memory, for tests and for what is gone with the process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    name: String,
    objects: Arc<Mutex<Objects>>,
    lock: Arc<Mutex<bool>>,
}

#[derive(Debug, Default)]
struct Objects {
    by_path: BTreeMap<String, (Bytes, u64)>,
    /// How many were ever written: the version of the next one.
    written: u64,
    retained: BTreeMap<String, Retention>,
}

impl MemoryStore {
    /// A store without objects, which errors call `memory:NAME`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Locks an object: from now on it is not deleted, whatever the clock says, until this is told otherwise.
    pub fn retain(&self, path: &str, retention: Option<Retention>) {
        let mut objects = self.objects();
        match retention {
            Some(retention) => objects.retained.insert(path.to_owned(), retention),
            None => objects.retained.remove(path),
        };
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.location())
    }

    fn not_found(&self, path: &str) -> StorageError {
        let path = self.shown(path);
        StorageError::NotFound { path }
    }

    fn retained(&self, path: &str) -> StorageError {
        StorageError::Denied {
            action: "delete",
            path: self.shown(path),
            source: "it is locked".into(),
        }
    }

    fn put_now(&self, path: &str, bytes: Bytes, condition: &PutIf) -> Result<ObjectInfo> {
        check_path(path)?;
        let mut objects = self.objects();
        let found = objects
            .by_path
            .get(path)
            .map(|(_, number)| version(*number));
        match (condition, found) {
            (PutIf::Absent, Some(_)) => {
                let path = self.shown(path);
                return Err(StorageError::Exists { path });
            }
            (PutIf::Unchanged(wanted), found) if found.as_ref() != Some(wanted) => {
                let path = self.shown(path);
                return Err(StorageError::Changed { path });
            }
            _ => {}
        }
        objects.written += 1;
        let number = objects.written;
        let info = info(path, &bytes, number);
        objects.by_path.insert(path.to_owned(), (bytes, number));
        Ok(info)
    }

    fn read_now(&self, path: &str, range: Range<u64>, wanted: Option<&Version>) -> Result<Bytes> {
        check_path(path)?;
        let objects = self.objects();
        let (bytes, number) = objects
            .by_path
            .get(path)
            .ok_or_else(|| self.not_found(path))?;
        if wanted.is_some_and(|wanted| *wanted != version(*number)) {
            let path = self.shown(path);
            return Err(StorageError::Changed { path });
        }
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let part = start.ok().zip(end.ok()).filter(|(start, end)| start <= end);
        match part.filter(|(_, end)| *end <= bytes.len()) {
            Some((start, end)) => Ok(bytes.slice(start..end)),
            None if range.end <= bytes.len() as u64 => Ok(Bytes::new()),
            None => Err(StorageError::TooShort {
                path: self.shown(path),
                wanted_end: range.end,
                actual_bytes: bytes.len() as u64,
            }),
        }
    }
}

fn version(number: u64) -> Version {
    Version::new(number.to_string())
}

fn info(path: &str, bytes: &Bytes, number: u64) -> ObjectInfo {
    ObjectInfo::new(path, bytes.len() as u64).version(version(number))
}

impl Store for MemoryStore {
    fn location(&self) -> Location {
        Location::Named(format!("memory:{}", self.name))
    }

    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities>> {
        let capabilities = Capabilities {
            conditional_put: true,
            object_lock: !self.objects().retained.is_empty(),
            ..Capabilities::default()
        };
        future::ready(Ok(capabilities)).boxed()
    }

    fn lock(&self) -> BoxFuture<'_, Result<Lock>> {
        let mut is_locked = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let locked: Result<Lock> = match std::mem::replace(&mut *is_locked, true) {
            true => Err(StorageError::Locked {
                path: self.location().to_string(),
            }),
            false => Ok(Box::new(Unlock(Arc::clone(&self.lock)))),
        };
        future::ready(locked).boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed>> {
        let objects = self.objects();
        let from = objects.by_path.range(prefix.to_owned()..);
        let found: Vec<_> = from
            .take_while(|(path, _)| path.starts_with(prefix))
            .map(|(path, (bytes, number))| Ok(Listed::Object(info(path, bytes, *number))))
            .collect();
        stream::iter(found).boxed()
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        let objects = self.objects();
        let found = objects.by_path.get(path);
        let found = found.map(|(bytes, number)| info(path, bytes, *number));
        future::ready(check_path(path).map(|()| found)).boxed()
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        range: Range<u64>,
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        future::ready(self.read_now(path, range, version)).boxed()
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        future::ready(self.put_now(path, bytes, &condition)).boxed()
    }

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        let upload = check_path(path).map(|()| {
            let upload = MemoryUpload {
                store: self.clone(),
                path: path.to_owned(),
                bytes: BytesMut::new(),
            };
            Box::new(upload) as Box<dyn Upload>
        });
        future::ready(upload).boxed()
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>> {
        let found = self.objects().by_path.get(from).cloned();
        let copied = found
            .ok_or_else(|| self.not_found(from))
            .and_then(|(bytes, _)| self.put_now(to, bytes, &PutIf::Always));
        future::ready(copied).boxed()
    }

    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        let mut deleted = paths.iter().try_for_each(|path| check_path(path));
        if deleted.is_ok() {
            let mut objects = self.objects();
            for path in paths {
                match objects.retained.contains_key(*path) {
                    true => deleted = deleted.and(Err(self.retained(path))),
                    false => drop(objects.by_path.remove(*path)),
                }
            }
        }
        future::ready(deleted).boxed()
    }

    fn retention<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Retention>>> {
        let retention = self.objects().retained.get(path).copied();
        future::ready(check_path(path).map(|()| retention)).boxed()
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        future::ready(Ok(())).boxed()
    }

    fn remove_leftovers<'a>(
        &'a self,
        _folders: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Leftover>>> {
        future::ready(Ok(Vec::new())).boxed()
    }
}

/// An object being written.
#[derive(Debug)]
struct MemoryUpload {
    store: MemoryStore,
    path: String,
    bytes: BytesMut,
}

impl Upload for MemoryUpload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.bytes.extend_from_slice(&bytes);
        future::ready(Ok(())).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<ObjectInfo>> {
        async move {
            let bytes = self.bytes.freeze();
            self.store.put_now(&self.path, bytes, &PutIf::Always)
        }
        .boxed()
    }
}

/// Lets other writers in when it is dropped.
#[derive(Debug)]
struct Unlock(Arc<Mutex<bool>>);

impl Drop for Unlock {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}
