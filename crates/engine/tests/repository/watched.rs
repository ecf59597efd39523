//! A store that remembers what was read of it, and takes not everything.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::{FutureExt, future, future::BoxFuture, stream::BoxStream};
use rdump::{
    CancellationToken,
    storage::{
        Capabilities, Leftover, Listed, Location, Lock, ObjectInfo, PutIf, Retention, StorageError,
        Store, Upload, Version,
    },
};

use tokio::sync::watch;

type Result<T> = std::result::Result<T, StorageError>;

/// Passes everything on.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Arc<dyn Store>,
    reads: Mutex<Vec<(String, Range<u64>)>>,
    refused: Mutex<Option<String>>,
    full: AtomicBool,
    cancels: Mutex<Option<(String, CancellationToken)>>,
    hangs: Mutex<Option<String>>,
    holds: watch::Sender<Option<String>>,
    held: AtomicBool,
    ignores_conditions: AtomicBool,
    /// How many objects are written and deleted until it does nothing more.
    left: Mutex<Option<usize>>,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            reads: Mutex::default(),
            refused: Mutex::default(),
            full: AtomicBool::new(false),
            cancels: Mutex::default(),
            hangs: Mutex::default(),
            holds: watch::Sender::default(),
            held: AtomicBool::new(false),
            ignores_conditions: AtomicBool::new(false),
            left: Mutex::default(),
        })
    }

    /// From now on no object may be written whose path has this in it.
    pub(super) fn refuse(&self, text: &str) {
        *self.refused.lock().unwrap() = Some(text.to_owned());
    }

    /// Whether there is no space for anything.
    pub(super) fn fill(&self, is_full: bool) {
        self.full.store(is_full, Ordering::Relaxed);
    }

    /// Once an object is put whose path has this in it, the run is cancelled before it can hear of that.
    pub(super) fn cancel_at(&self, text: &str, cancel: CancellationToken) {
        *self.cancels.lock().unwrap() = Some((text.to_owned(), cancel));
    }

    /// From now on who writes an object whose path has this in it never gets an answer.
    pub(super) fn hang(&self, text: &str) {
        *self.hangs.lock().unwrap() = Some(text.to_owned());
    }

    /// From now on who writes an object whose path has this in it waits until it is let go.
    pub(super) fn hold(&self, text: &str) {
        self.held.store(false, Ordering::Relaxed);
        self.holds.send_replace(Some(text.to_owned()));
    }

    /// Whether somebody waits, or has.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn let_go(&self) {
        self.holds.send_replace(None);
    }

    async fn wait(&self, path: &str) {
        let is_free = |text: &Option<String>| {
            let holds = text.as_ref().is_some_and(|text| path.contains(text));
            self.held.fetch_or(holds, Ordering::Relaxed);
            !holds
        };
        let mut holds = self.holds.subscribe();
        drop(holds.wait_for(is_free).await);
    }

    fn hangs(&self, path: &str) -> bool {
        let hangs = self.hangs.lock().unwrap();
        hangs.as_ref().is_some_and(|text| path.contains(text))
    }

    /// From now on what is put is put whatever is there.
    pub(super) fn ignore_conditions(&self) {
        self.ignores_conditions.store(true, Ordering::Relaxed);
    }

    /// After so many objects were put or deleted, it is as if the process had died: nothing more happens to any.
    pub(super) fn die_after(&self, objects: usize) {
        *self.left.lock().unwrap() = Some(objects);
    }

    /// How many of so many objects are still put or deleted.
    fn survive(&self, wanted: usize) -> usize {
        let mut left = self.left.lock().unwrap();
        let Some(left) = left.as_mut() else {
            return wanted;
        };
        let some = wanted.min(*left);
        *left -= some;
        some
    }

    /// What was read since this was last asked.
    pub(super) fn take(&self) -> Vec<(String, Range<u64>)> {
        std::mem::take(&mut *self.reads.lock().unwrap())
    }

    fn refused(&self, path: &str) -> Option<StorageError> {
        if self.survive(1) == 0 {
            return Some(dead());
        }
        if self.full.load(Ordering::Relaxed) {
            return Some(StorageError::NoSpace {
                path: path.to_owned(),
                source: "the test says so".into(),
            });
        }
        let refused = self.refused.lock().unwrap();
        let is_refused = refused.as_ref().is_some_and(|text| path.contains(text));
        is_refused.then(|| StorageError::Denied {
            action: "write",
            path: path.to_owned(),
            source: "the test says so".into(),
        })
    }
}

fn dead() -> StorageError {
    StorageError::Io {
        action: "write",
        path: "anything".to_owned(),
        source: "the process is dead".into(),
    }
}

impl Store for Watched {
    fn location(&self) -> Location {
        self.inner.location()
    }

    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities>> {
        self.inner.capabilities()
    }

    fn lock(&self) -> BoxFuture<'_, Result<Lock>> {
        self.inner.lock()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed>> {
        self.inner.list(prefix)
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        self.inner.head(path)
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        range: Range<u64>,
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        let read = (path.to_owned(), range.clone());
        self.reads.lock().unwrap().push(read);
        self.inner.read(path, range, version)
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        let condition = match self.ignores_conditions.load(Ordering::Relaxed) {
            true => PutIf::Always,
            false => condition,
        };
        match self.refused(path) {
            None if self.hangs(path) => future::pending().boxed(),
            None => async move {
                self.wait(path).await;
                let put = self.inner.put(path, bytes, condition).await;
                let cancels = self.cancels.lock().unwrap().clone();
                if let Some((_, cancel)) = cancels.filter(|(text, _)| path.contains(text)) {
                    cancel.cancel();
                    // Who would be stopped is stopped here.
                    tokio::task::yield_now().await;
                }
                put
            }
            .boxed(),
            Some(error) => future::ready(Err(error)).boxed(),
        }
    }

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        match self.refused(path) {
            None if self.hangs(path) => future::pending().boxed(),
            None => self.inner.upload(path),
            Some(error) => future::ready(Err(error)).boxed(),
        }
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>> {
        self.inner.copy(from, to)
    }

    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        let some = self.survive(paths.len());
        async move {
            self.inner.delete(&paths[..some]).await?;
            match some == paths.len() {
                true => Ok(()),
                false => Err(dead()),
            }
        }
        .boxed()
    }

    fn retention<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Retention>>> {
        self.inner.retention(path)
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.flush()
    }

    fn remove_leftovers<'a>(&'a self, paths: &'a [String]) -> BoxFuture<'a, Result<Vec<Leftover>>> {
        self.inner.remove_leftovers(paths)
    }
}
