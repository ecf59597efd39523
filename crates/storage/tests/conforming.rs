//! Every store does what a store has to do, and what does not is noticed.

use std::ops::Range;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use rdump_storage::{
    Capabilities, FolderStore, Leftover, Listed, Location, Lock, MemoryStore, ObjectInfo, PutIf,
    Result, S3Credentials, S3Store, StorageError, Store, Upload, Version, conformance::violations,
};
use rdump_testkit::{
    S3Server, SeaweedFs,
    s3::{ACCESS_KEY, SECRET_KEY},
};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_conforms() {
    let folder = TempDir::new().unwrap();
    let store = FolderStore::create(&folder.path().join("store")).unwrap();
    assert_eq!(violations(&store).await, []);
    assert_eq!(folder.path().join("store").read_dir().unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    assert_eq!(violations(&MemoryStore::new("tested")).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_conforms() {
    let server = SeaweedFs::start().await;
    for prefix in ["", "a prefix/of 100%"] {
        let store = s3(&server.location(prefix));
        let capabilities = store.capabilities().await.unwrap();
        assert!(capabilities.conditional_put);
        assert_eq!(violations(&store).await, []);
        store.settle().await;
        let left = store.remove_leftovers(&["conformance".to_owned()]).await;
        assert_eq!(left.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_s3_server_conforms() {
    let server = S3Server::start().await;
    let store = s3(&server.location("prefix"));
    assert_eq!(violations(&store).await, []);
}

pub(crate) fn s3(location: &str) -> S3Store {
    let credentials = S3Credentials::new(ACCESS_KEY, SECRET_KEY);
    S3Store::new(location.parse().unwrap()).credentials(credentials)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_store_is_noticed() {
    for fault in [
        Fault::Conditions,
        Fault::Versions,
        Fault::Order,
        Fault::Prefix,
        Fault::Delete,
        Fault::Names,
        Fault::Truncates,
        Fault::CutsReads,
        Fault::ShowsUploads,
        Fault::CopiesNothing,
    ] {
        let inner = MemoryStore::new("tested");
        let violations = violations(&Faulty { inner, fault }).await;
        assert!(!violations.is_empty(), "{fault:?}");
    }
}

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Puts whatever the condition.
    Conditions,
    /// Reads whatever the version.
    Versions,
    /// Lists in another order.
    Order,
    /// Lists only whole folders.
    Prefix,
    /// Forgets to delete the last of many.
    Delete,
    /// Takes a plus sign for a space.
    Names,
    /// Loses the last byte of what is large.
    Truncates,
    /// Reads as much as there is.
    CutsReads,
    /// Has an object before its upload is finished.
    ShowsUploads,
    /// Makes an empty object of nothing.
    CopiesNothing,
}

#[derive(Debug)]
struct Faulty {
    inner: MemoryStore,
    fault: Fault,
}

impl Faulty {
    fn path(&self, path: &str) -> String {
        match self.fault {
            Fault::Names => path.replace('+', " "),
            _ => path.to_owned(),
        }
    }
}

impl Store for Faulty {
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
        let prefix = match (self.fault, prefix.rsplit_once('/')) {
            (Fault::Prefix, Some((folder, _))) => folder,
            _ => prefix,
        };
        let listed = self.inner.list(prefix);
        match self.fault {
            Fault::Order => async move {
                let mut all: Vec<_> = listed.collect().await;
                all.reverse();
                futures::stream::iter(all)
            }
            .flatten_stream()
            .boxed(),
            _ => listed,
        }
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        async move { self.inner.head(&self.path(path)).await }.boxed()
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        range: Range<u64>,
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        let version = version.filter(|_| self.fault != Fault::Versions);
        async move {
            let path = self.path(path);
            match self.inner.read(&path, range.clone(), version).await {
                Err(StorageError::TooShort { actual_bytes, .. })
                    if self.fault == Fault::CutsReads =>
                {
                    let start = range.start.min(actual_bytes);
                    self.inner.read(&path, start..actual_bytes, version).await
                }
                read => read,
            }
        }
        .boxed()
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        let condition = match self.fault {
            Fault::Conditions => PutIf::Always,
            _ => condition,
        };
        async move { self.inner.put(&self.path(path), bytes, condition).await }.boxed()
    }

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        async move {
            let inner = self.inner.upload(path).await?;
            if self.fault == Fault::ShowsUploads {
                self.inner.put(path, Bytes::new(), PutIf::Always).await?;
            }
            Ok(match self.fault {
                Fault::Truncates => Box::new(Truncated { inner, last: None }),
                _ => inner,
            })
        }
        .boxed()
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            match self.inner.copy(from, to).await {
                Err(_) if self.fault == Fault::CopiesNothing => {
                    self.inner.put(to, Bytes::new(), PutIf::Always).await
                }
                copied => copied,
            }
        }
        .boxed()
    }

    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        let forgotten = usize::from(self.fault == Fault::Delete && paths.len() > 1_000);
        self.inner.delete(&paths[forgotten..])
    }

    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.flush()
    }

    fn remove_leftovers<'a>(
        &'a self,
        folders: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Leftover>>> {
        self.inner.remove_leftovers(folders)
    }
}

/// Loses the last byte of the last of several pieces.
#[derive(Debug)]
struct Truncated {
    inner: Box<dyn Upload>,
    last: Option<Bytes>,
}

impl Upload for Truncated {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            match self.last.replace(bytes) {
                Some(before) => self.inner.write(before).await,
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<ObjectInfo>> {
        async move {
            if let Some(mut last) = self.last.take() {
                last.truncate(last.len().saturating_sub(1));
                self.inner.write(last).await?;
            }
            self.inner.finish().await
        }
        .boxed()
    }
}
