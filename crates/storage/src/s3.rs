//! A bucket of an object store that speaks the S3 protocol.
//!
//! Requests are made again by the SDK, up to a limit; a body that breaks off while it is read goes on where it was. An
//! object is visible once its upload is complete, which is one request. Uploads that were begun and are given up are
//! aborted, as far as this process lives to do it.

mod bucket;
mod by_store;
mod capabilities;
mod checksum;
mod class;
mod client;
mod copy;
mod credentials;
mod delete;
mod error;
mod headers;
mod location;
mod multipart;
mod options;
mod posture;
mod retention;
mod unsaid;
mod upload;

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream, stream::BoxStream};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::TaskTracker;

use self::{
    bucket::{Bucket, random_name},
    checksum::Checksums,
    client::connect,
    headers::{Headers, With},
    upload::S3Upload,
};
use crate::{
    Capabilities, Leftover, Listed, Location, Lock, ObjectChecksum, ObjectClass, ObjectInfo,
    Posture, PutIf, ReadAhead, Result, Retention, Store, ThawRequest, UnfinishedUpload, Upload,
    Version,
    store::{cannot, check_path},
};

pub(crate) use self::client::http_client;
pub use self::{
    credentials::S3Credentials,
    location::S3Location,
    options::{S3Checksum, S3Options, S3Retention},
};

/// How long a process that ends waits for what it has given up. What is left then is found as a leftover.
const LONGEST_SETTLE: Duration = Duration::from_secs(30);
/// How much of one object is on its way before it is wanted, in bytes.
const OBJECT_AHEAD_BYTES: u64 = 16 << 20;
/// The same of all objects.
const READ_AHEAD_BYTES: u64 = 64 << 20;

/// Objects of a bucket whose keys start with the prefix of a location.
///
/// No request is made before the first operation. Clones share their connections and what may be on its way.
#[derive(Clone, Debug)]
pub struct S3Store {
    location: S3Location,
    bucket: Arc<OnceCell<Arc<Bucket>>>,
    capabilities: Arc<OnceCell<Capabilities>>,
    /// Whether objects may be locked.
    may_lock: Arc<OnceCell<bool>>,
    in_flight: Arc<Semaphore>,
    read_ahead: ReadAhead,
    under_way: TaskTracker,
}

impl S3Store {
    /// Prepares to read and write at a location.
    pub fn new(location: S3Location) -> Self {
        let under_way = TaskTracker::new();
        under_way.close();
        Self {
            location,
            bucket: Arc::default(),
            capabilities: Arc::default(),
            may_lock: Arc::default(),
            in_flight: upload::in_flight(),
            read_ahead: ReadAhead::new(OBJECT_AHEAD_BYTES, READ_AHEAD_BYTES),
            under_way,
        }
    }

    /// Sets who asks. Default: looked for as the AWS tools do, in the environment, a profile, the container or the machine.
    #[must_use]
    pub fn credentials(mut self, credentials: S3Credentials) -> Self {
        self.location.options.credentials = Some(credentials);
        self
    }

    async fn bucket(&self) -> Result<Arc<Bucket>> {
        let open = async || {
            let headers = Headers::new(&self.location.options)?;
            let client = connect(&self.location, &headers).await;
            Ok(Arc::new(Bucket {
                location: self.location.clone(),
                client,
                headers,
                checksums: Checksums::new(self.location.options.checksum),
            }))
        };
        self.bucket.get_or_try_init(open).await.cloned()
    }

    /// Lets what begins or takes back an upload go on when nobody waits for it.
    fn track(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.under_way.spawn_on(work, &runtime);
        }
    }
}

/// How long ago 1970 is.
#[expect(
    clippy::disallowed_methods,
    reason = "a date that a store is told, or has told, is of everybody's clock"
)]
fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

impl Store for S3Store {
    fn location(&self) -> Location {
        Location::S3(Box::new(self.location.clone()))
    }

    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities>> {
        async move {
            let found = self
                .capabilities
                .get_or_try_init(async || self.bucket().await?.capabilities().await);
            found.await.copied()
        }
        .boxed()
    }

    fn posture(&self) -> BoxFuture<'_, Result<Posture>> {
        async move { Ok(self.bucket().await?.posture().await) }.boxed()
    }

    fn unfinished_uploads(&self) -> BoxFuture<'_, Result<Vec<UnfinishedUpload>>> {
        async move { self.bucket().await?.unfinished_uploads().await }.boxed()
    }

    /// Nothing: a bucket has no locks for writers.
    fn lock(&self) -> BoxFuture<'_, Result<Lock>> {
        async move { Ok(Box::new(()) as Lock) }.boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed>> {
        let pages = stream::try_unfold(
            Some(None),
            move |token: Option<Option<String>>| async move {
                let Some(token) = token else {
                    return Ok(None);
                };
                let (listed, next) = self.bucket().await?.page(prefix, token).await?;
                let listed = stream::iter(listed.into_iter().map(Ok));
                Ok(Some((listed, next.map(Some))))
            },
        );
        pages.try_flatten().boxed()
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        async move {
            check_path(path)?;
            let found = self.bucket().await?.head(path).await?;
            Ok(found.map(|found| found.info))
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        path: &'a str,
        range: Range<u64>,
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Bytes>> {
        async move {
            check_path(path)?;
            let bucket = self.bucket().await?;
            if !range.is_empty() {
                return bucket.read(path, range, version).await;
            }
            bucket.read_nothing(path, range.end, version).await
        }
        .boxed()
    }

    fn read_ahead(&self) -> Option<&ReadAhead> {
        Some(&self.read_ahead)
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            check_path(path)?;
            let bucket = self.bucket().await?;
            let writer = random_name();
            let with = match condition {
                PutIf::Unchanged(_) => With::Replaced,
                _ => With::Put,
            };
            bucket.put(path, bytes, &condition, &writer, with).await
        }
        .boxed()
    }

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        async move {
            check_path(path)?;
            let upload = S3Upload::new(self, self.bucket().await?, path);
            Ok(Box::new(upload) as Box<dyn Upload>)
        }
        .boxed()
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            check_path(from)?;
            check_path(to)?;
            self.bucket().await?.copy(from, to).await
        }
        .boxed()
    }

    fn checksum<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectChecksum>>> {
        async move {
            check_path(path)?;
            self.bucket().await?.checksum(path).await
        }
        .boxed()
    }

    fn copy_from<'a>(
        &'a self,
        from: &'a Location,
        of: &'a ObjectChecksum,
        to: &'a str,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            check_path(&of.info.path)?;
            check_path(to)?;
            let Location::S3(from) = from else {
                return Err(cannot(self, "a copy from another kind of store", to));
            };
            if from.endpoint() != self.location.endpoint() {
                return Err(cannot(self, "a copy from another endpoint", to));
            }
            let mut bucket = Bucket::clone(&*self.bucket().await?);
            bucket.headers = bucket.headers.copying(&from.options)?;
            self.copied(Arc::new(bucket), from, of, to).await
        }
        .boxed()
    }

    fn has_classes(&self) -> bool {
        true
    }

    fn class<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectClass>>> {
        async move {
            check_path(path)?;
            self.bucket().await?.class(path).await
        }
        .boxed()
    }

    fn change_class<'a>(
        &'a self,
        path: &'a str,
        class: &'a str,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            check_path(path)?;
            self.changed_class(path, class).await
        }
        .boxed()
    }

    fn thaw<'a>(&'a self, path: &'a str, request: ThawRequest) -> BoxFuture<'a, Result<()>> {
        async move {
            check_path(path)?;
            self.bucket().await?.thaw(path, request).await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        async move {
            for path in paths {
                check_path(path)?;
            }
            self.bucket().await?.delete(paths).await
        }
        .boxed()
    }

    fn retention<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Retention>>> {
        async move {
            check_path(path)?;
            let bucket = self.bucket().await?;
            let may_lock = self.may_lock.get_or_try_init(|| bucket.may_lock());
            match may_lock.await? {
                true => bucket.retention(path).await,
                false => Ok(None),
            }
        }
        .boxed()
    }

    /// Nothing: what the store has taken is safe.
    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        async move { Ok(()) }.boxed()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        let settled = tokio::time::timeout(LONGEST_SETTLE, self.under_way.wait());
        settled.map(drop).boxed()
    }

    fn remove_leftovers<'a>(&'a self, paths: &'a [String]) -> BoxFuture<'a, Result<Vec<Leftover>>> {
        async move { self.bucket().await?.remove_leftovers(paths).await }.boxed()
    }
}
