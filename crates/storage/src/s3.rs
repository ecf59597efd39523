//! A bucket of an object store that speaks the S3 protocol.
//!
//! Requests are made again by the SDK, up to a limit; a body that breaks off while it is read goes on where it was. An
//! object is visible once its upload is complete, which is one request. Uploads that were begun and are given up are
//! aborted, as far as this process lives to do it.

mod client;
mod copy;
mod credentials;
mod error;
mod location;
mod upload;

use std::{ops::Range, sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    operation::get_object::GetObjectOutput,
    primitives::ByteStream,
    types::{BucketVersioningStatus, Delete, ObjectIdentifier, ObjectLockEnabled},
};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream, stream::BoxStream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::task::TaskTracker;

use self::{client::connect, error::Request, upload::S3Upload};
use crate::{
    Capabilities, Leftover, Listed, Location, Lock, ObjectInfo, PutIf, Result, StorageError, Store,
    Upload, Version, store::check_path,
};

pub(crate) use self::location::SCHEME;
pub use self::{credentials::S3Credentials, location::S3Location};

/// The metadata of an object that says who wrote it.
const WRITER: &str = "rdump-writer";
/// How many objects one request deletes at most.
const DELETED_AT_ONCE: usize = 1_000;
/// How often a body that broke off without having brought a byte is asked for again.
const EMPTY_READS: u32 = 8;
/// What has more than this is copied in parts, in bytes.
const MOST_COPIED_BYTES: u64 = 5 << 30;
/// What of a key is escaped where it is the value of a header.
const IN_COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// How long a process that ends waits for what it has given up. What is left then is found as a leftover.
const LONGEST_SETTLE: Duration = Duration::from_secs(30);
/// How often an abort is tried.
const ABORTS: u32 = 3;

/// Objects of a bucket whose keys start with the prefix of a location.
///
/// No request is made before the first operation. Clones share their connections and what may be on its way.
#[derive(Clone, Debug)]
pub struct S3Store {
    location: S3Location,
    credentials: Option<S3Credentials>,
    client: Arc<OnceCell<Client>>,
    capabilities: Arc<OnceCell<Capabilities>>,
    in_flight: Arc<Semaphore>,
    given_up: TaskTracker,
}

impl S3Store {
    /// Prepares to read and write at a location.
    pub fn new(location: S3Location) -> Self {
        let given_up = TaskTracker::new();
        given_up.close();
        Self {
            location,
            credentials: None,
            client: Arc::default(),
            capabilities: Arc::default(),
            in_flight: upload::in_flight(),
            given_up,
        }
    }

    /// Sets who asks. Default: looked for as the AWS tools do, in the environment, a profile, the container or the machine.
    #[must_use]
    pub fn credentials(mut self, credentials: S3Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    async fn bucket(&self) -> Bucket {
        let connect = || connect(&self.location, self.credentials.as_ref());
        Bucket {
            location: self.location.clone(),
            client: self.client.get_or_init(connect).await.clone(),
        }
    }

    /// Lets what takes back an upload go on when nobody waits for it.
    fn give_up(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.given_up.spawn_on(work, &runtime);
        }
    }
}

/// A location, and who asks there.
#[derive(Clone, Debug)]
struct Bucket {
    location: S3Location,
    client: Client,
}

/// An object that was looked up.
#[derive(Debug)]
struct Found {
    info: ObjectInfo,
    writer: Option<String>,
}

impl Bucket {
    fn client(&self) -> &Client {
        &self.client
    }

    fn name(&self) -> &str {
        &self.location.bucket
    }

    fn key(&self, path: &str) -> String {
        self.location.key(path)
    }

    /// An object as messages call it.
    fn shown(&self, path: &str) -> String {
        format!("{SCHEME}{}/{}", self.location.bucket, self.key(path))
    }

    /// What is asked for with an object.
    fn request(&self, action: &'static str, path: &str) -> Request {
        Request {
            path: self.shown(path),
            ..self.request_of_bucket(action)
        }
    }

    /// What is asked for with the whole prefix.
    fn request_of_bucket(&self, action: &'static str) -> Request {
        Request {
            action,
            path: self.location.to_string(),
            bucket: self.location.bucket.clone(),
        }
    }

    async fn head(&self, path: &str) -> Result<Option<Found>> {
        let head = self.client().head_object();
        let found = head.bucket(self.name()).key(self.key(path)).send().await;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                return match self.request("s3:GetObject", path).failed(error) {
                    StorageError::NotFound { .. } => Ok(None),
                    error => Err(error),
                };
            }
        };
        let bytes = found.content_length.and_then(|bytes| bytes.try_into().ok());
        let mut info = ObjectInfo::new(path, bytes.unwrap_or_default());
        info.version = found.e_tag.as_deref().map(version);
        let mut metadata = found.metadata.unwrap_or_default();
        Ok(Some(Found {
            info,
            writer: metadata.remove(WRITER),
        }))
    }

    /// Writes an object by one request.
    async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        condition: &PutIf,
        writer: &str,
    ) -> Result<ObjectInfo> {
        let stored_bytes = bytes.len() as u64;
        let mut put = self.client().put_object();
        put = match condition {
            PutIf::Always => put,
            PutIf::Absent => put.if_none_match("*"),
            PutIf::Unchanged(version) => put.if_match(version.as_str()),
        };
        let put = put
            .bucket(self.name())
            .key(self.key(path))
            .metadata(WRITER, writer)
            .body(ByteStream::from(bytes))
            .send()
            .await;
        let failed = match put {
            Ok(put) => {
                let mut info = ObjectInfo::new(path, stored_bytes);
                info.version = put.e_tag.as_deref().map(version);
                return Ok(info);
            }
            Err(error) => self.request("s3:PutObject", path).failed(error),
        };
        let refused = match (condition, failed) {
            (PutIf::Absent, StorageError::Changed { path }) => StorageError::Exists { path },
            // There is nothing to be unchanged.
            (PutIf::Unchanged(_), StorageError::NotFound { path }) => {
                return Err(StorageError::Changed { path });
            }
            (_, failed) => failed,
        };
        match refused {
            // Perhaps by ourselves: the answer to an earlier attempt may have been lost.
            StorageError::Exists { .. } | StorageError::Changed { .. } => {
                let found = self.head(path).await?;
                let ours = found.filter(|found| found.writer.as_deref() == Some(writer));
                ours.map(|found| found.info).ok_or(refused)
            }
            _ => Err(refused),
        }
    }

    /// Reads a range that is not empty.
    async fn read(
        &self,
        path: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<Bytes> {
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut version = version.cloned();
        let mut bytes = BytesMut::new();
        let mut empty_reads = 0;
        loop {
            let start = range.start + bytes.len() as u64;
            let output = self.get(path, start..range.end, version.as_ref()).await?;
            // What comes later has to be of the same object.
            version = version.or_else(|| output.e_tag.as_deref().map(self::version));
            let before = bytes.len();
            match append(output, wanted, &mut bytes).await {
                Ok(()) if bytes.len() == wanted => return Ok(bytes.freeze()),
                Ok(()) => {
                    return Err(StorageError::TooShort {
                        path: self.shown(path),
                        wanted_end: range.end,
                        actual_bytes: range.start + bytes.len() as u64,
                    });
                }
                Err(error) => {
                    empty_reads = if bytes.len() > before {
                        0
                    } else {
                        empty_reads + 1
                    };
                    if empty_reads == EMPTY_READS {
                        return Err(StorageError::Io {
                            action: "s3:GetObject",
                            path: self.shown(path),
                            source: error.into(),
                        });
                    }
                }
            }
        }
    }

    /// Reads an empty range, which cannot be asked for: the object has to be there all the same.
    async fn read_nothing(&self, path: &str, end: u64, version: Option<&Version>) -> Result<Bytes> {
        let found = self.head(path).await?;
        let path = self.shown(path);
        let Some(Found { info, .. }) = found else {
            return Err(StorageError::NotFound { path });
        };
        match version {
            Some(_) if info.version.as_ref() != version => Err(StorageError::Changed { path }),
            _ if end > info.stored_bytes => Err(StorageError::TooShort {
                path,
                wanted_end: end,
                actual_bytes: info.stored_bytes,
            }),
            _ => Ok(Bytes::new()),
        }
    }

    async fn get(
        &self,
        path: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<GetObjectOutput> {
        let get = self.client().get_object();
        let got = get
            .bucket(self.name())
            .key(self.key(path))
            .range(format!("bytes={}-{}", range.start, range.end - 1))
            .set_if_match(version.map(|version| version.as_str().to_owned()))
            .send()
            .await;
        match got {
            // Some stores do not mind what is asked for.
            Ok(output) => match (version, output.e_tag.as_deref().map(self::version)) {
                (Some(wanted), Some(found)) if *wanted != found => Err(StorageError::Changed {
                    path: self.shown(path),
                }),
                _ => Ok(output),
            },
            Err(error) if is_behind_the_end(&error) => {
                let found = self.head(path).await?;
                Err(match found {
                    Some(found) => StorageError::TooShort {
                        path: self.shown(path),
                        wanted_end: range.end,
                        actual_bytes: found.info.stored_bytes,
                    },
                    None => StorageError::NotFound {
                        path: self.shown(path),
                    },
                })
            }
            Err(error) => Err(self.request("s3:GetObject", path).failed(error)),
        }
    }

    /// Copies an object inside of the store, which the store does by itself up to a size.
    async fn copy(&self, from: &str, to: &str) -> Result<ObjectInfo> {
        let Some(Found { info, .. }) = self.head(from).await? else {
            let path = self.shown(from);
            return Err(StorageError::NotFound { path });
        };
        if info.stored_bytes > MOST_COPIED_BYTES {
            return self.copy_parts(from, to, &info).await;
        }
        let copy = self.client().copy_object();
        let copied = copy
            .bucket(self.name())
            .key(self.key(to))
            .copy_source(self.copy_source(from))
            .set_copy_source_if_match(tag(&info))
            .send()
            .await;
        let request = self.request("s3:PutObject", to);
        let copied = copied.map_err(|error| request.failed(error))?;
        let tag = copied.copy_object_result.and_then(|result| result.e_tag);
        let mut copy = ObjectInfo::new(to, info.stored_bytes);
        copy.version = tag.as_deref().map(version);
        Ok(copy)
    }

    fn copy_source(&self, path: &str) -> String {
        let key =
            percent_encoding::utf8_percent_encode(&self.key(path), IN_COPY_SOURCE).to_string();
        format!("{}/{key}", self.name())
    }

    async fn delete(&self, paths: &[&str]) -> Result<()> {
        let mut identifiers = Vec::with_capacity(paths.len());
        for path in paths {
            let identifier = ObjectIdentifier::builder().key(self.key(path)).build();
            identifiers.push(identifier.map_err(|error| self.malformed(path, error.into()))?);
        }
        let delete = Delete::builder()
            .set_objects(Some(identifiers))
            .quiet(true)
            .build();
        let delete = delete.map_err(|error| self.malformed("", error.into()))?;
        let deletion = self.client().delete_objects();
        let deleted = deletion.bucket(self.name()).delete(delete).send().await;
        let request = self.request_of_bucket("s3:DeleteObject");
        let deleted = deleted.map_err(|error| request.failed(error))?;
        let Some(error) = deleted.errors.unwrap_or_default().into_iter().next() else {
            return Ok(());
        };
        let path = format!("{SCHEME}{}/{}", self.name(), error.key.unwrap_or_default());
        let code = error.code.unwrap_or_default();
        let source = format!("{code}: {}", error.message.unwrap_or_default()).into();
        let action = "s3:DeleteObject";
        Err(match code.as_str() {
            "AccessDenied" => StorageError::Denied {
                action,
                path,
                source,
            },
            _ => StorageError::Io {
                action,
                path,
                source,
            },
        })
    }

    fn malformed(
        &self,
        path: &str,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> StorageError {
        StorageError::Io {
            action: "s3:DeleteObject",
            path: self.shown(path),
            source,
        }
    }

    /// Takes back an upload that was begun. What cannot be taken back is found as a leftover.
    async fn abort(&self, path: &str, upload_id: &str) {
        for _ in 0..ABORTS {
            let abort = self.client().abort_multipart_upload();
            let aborted = abort
                .bucket(self.name())
                .key(self.key(path))
                .upload_id(upload_id)
                .send()
                .await;
            if aborted.is_ok() {
                return;
            }
        }
    }

    /// The uploads that were begun and never ended: by a writer that was killed, or that writes now.
    async fn leftovers(&self) -> Result<Vec<Leftover>> {
        let mut leftovers = Vec::new();
        let mut next = Some((None, None));
        while let Some((key, upload)) = next.take() {
            let list = self.client().list_multipart_uploads();
            let page = list
                .bucket(self.name())
                .prefix(match self.location.prefix.as_str() {
                    "" => String::new(),
                    prefix => format!("{prefix}/"),
                })
                .set_key_marker(key)
                .set_upload_id_marker(upload)
                .send()
                .await;
            let request = self.request_of_bucket("s3:ListBucketMultipartUploads");
            let page = page.map_err(|error| request.failed(error))?;
            if page.is_truncated == Some(true) {
                next = Some((page.next_key_marker, page.next_upload_id_marker));
            }
            leftovers.extend(
                page.uploads
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|upload| {
                        let key = upload.key?;
                        let path = self.location.path(&key)?.to_owned();
                        let removed = false;
                        Some(Leftover { path, removed })
                    }),
            );
        }
        Ok(leftovers)
    }

    /// Whether the store minds conditions: some take them and do not.
    async fn minds_conditions(&self) -> Result<bool> {
        let path = format!(".rdump-probe-{}", random_name());
        let writers = [random_name(), random_name()];
        let put = |writer| self.put(&path, Bytes::new(), &PutIf::Absent, writer);
        let [first, second] = &writers;
        let first = put(first).await;
        let second = match &first {
            Ok(_) => Some(put(second).await),
            Err(_) => None,
        };
        self.delete(&[&path]).await?;
        match (first, second) {
            (Ok(_), Some(Err(StorageError::Exists { .. }))) => Ok(true),
            (Ok(_), Some(Ok(_))) => Ok(false),
            (Ok(_), Some(Err(error))) | (Err(error), _) => match error {
                // It knows of them, and does not take them.
                StorageError::Io { source, .. }
                    if source.to_string().contains("NotImplemented") =>
                {
                    Ok(false)
                }
                error => Err(error),
            },
            (Ok(_), None) => Ok(false),
        }
    }

    async fn capabilities(&self) -> Result<Capabilities> {
        let conditional_put = self.minds_conditions().await?;
        // Who may not ask does not need to know.
        let versioning = self.client().get_bucket_versioning();
        let versioning = versioning.bucket(self.name()).send().await.ok();
        let lock = self.client().get_object_lock_configuration();
        let lock = lock.bucket(self.name()).send().await.ok();
        let lock = lock.and_then(|found| found.object_lock_configuration?.object_lock_enabled);
        Ok(Capabilities {
            conditional_put,
            versioning: versioning.and_then(|found| found.status)
                == Some(BucketVersioningStatus::Enabled),
            object_lock: lock == Some(ObjectLockEnabled::Enabled),
        })
    }

    /// One page of a listing, and where the next one begins.
    async fn page(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<Listed>, Option<String>)> {
        let list = self.client().list_objects_v2();
        let page = list
            .bucket(self.name())
            .prefix(match (self.location.prefix.as_str(), prefix) {
                ("", prefix) => prefix.to_owned(),
                (ours, prefix) => format!("{ours}/{prefix}"),
            })
            .set_continuation_token(token)
            .send()
            .await;
        let request = self.request_of_bucket("s3:ListBucket");
        let page = page.map_err(|error| request.failed(error))?;
        let listed = page.contents.unwrap_or_default().into_iter();
        let listed = listed.filter_map(|object| {
            let key = object.key?;
            let path = self.location.path(&key)?;
            // What consoles make to show a folder.
            if path.is_empty() || path.ends_with('/') {
                return None;
            }
            let bytes = object.size.and_then(|bytes| bytes.try_into().ok());
            let mut info = ObjectInfo::new(path, bytes.unwrap_or_default());
            info.version = object.e_tag.as_deref().map(version);
            Some(Listed::Object(info))
        });
        let next = page
            .next_continuation_token
            .filter(|_| page.is_truncated == Some(true));
        Ok((listed.collect(), next))
    }
}

/// Adds a body, as far as it comes and is wanted.
async fn append(
    mut output: GetObjectOutput,
    wanted: usize,
    bytes: &mut BytesMut,
) -> Result<(), aws_sdk_s3::primitives::ByteStreamError> {
    while bytes.len() < wanted {
        let Some(piece) = output.body.try_next().await? else {
            break;
        };
        let room = wanted - bytes.len();
        bytes.extend_from_slice(piece.get(..room).unwrap_or(&piece));
    }
    Ok(())
}

fn is_behind_the_end<E: aws_sdk_s3::error::ProvideErrorMetadata>(
    error: &aws_sdk_s3::error::SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> bool {
    let response = error.raw_response();
    response.is_some_and(|response| response.status().as_u16() == 416)
}

/// What a request has to have for this version of an object alone.
fn tag(info: &ObjectInfo) -> Option<String> {
    let version = info.version.as_ref();
    version.map(|version| version.as_str().to_owned())
}

/// An entity tag, which has quotes or not, wherever it comes from.
fn version(tag: &str) -> Version {
    Version::new(tag.trim_matches('"'))
}

/// A name that nobody else has.
fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl Store for S3Store {
    fn location(&self) -> Location {
        Location::S3(self.location.clone())
    }

    fn capabilities(&self) -> BoxFuture<'_, Result<Capabilities>> {
        async move {
            let found = self
                .capabilities
                .get_or_try_init(async || self.bucket().await.capabilities().await);
            found.await.copied()
        }
        .boxed()
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
                let (listed, next) = self.bucket().await.page(prefix, token).await?;
                let listed = stream::iter(listed.into_iter().map(Ok));
                Ok(Some((listed, next.map(Some))))
            },
        );
        pages.try_flatten().boxed()
    }

    fn head<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        async move {
            check_path(path)?;
            let found = self.bucket().await.head(path).await?;
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
            let bucket = self.bucket().await;
            if !range.is_empty() {
                return bucket.read(path, range, version).await;
            }
            bucket.read_nothing(path, range.end, version).await
        }
        .boxed()
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        bytes: Bytes,
        condition: PutIf,
    ) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            check_path(path)?;
            let bucket = self.bucket().await;
            bucket.put(path, bytes, &condition, &random_name()).await
        }
        .boxed()
    }

    fn upload<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Box<dyn Upload>>> {
        async move {
            check_path(path)?;
            let upload = S3Upload::new(self, self.bucket().await, path);
            Ok(Box::new(upload) as Box<dyn Upload>)
        }
        .boxed()
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<ObjectInfo>> {
        async move {
            check_path(from)?;
            check_path(to)?;
            self.bucket().await.copy(from, to).await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, paths: &'a [&'a str]) -> BoxFuture<'a, Result<()>> {
        async move {
            let checked: Vec<_> = paths.iter().map(|path| check_path(path)).collect();
            let checked = checked.into_iter().collect::<Result<()>>();
            let bucket = self.bucket().await;
            let mut deleted = Ok(());
            for paths in paths.chunks(DELETED_AT_ONCE) {
                let plain = paths.iter().filter(|path| check_path(path).is_ok());
                let plain: Vec<&str> = plain.copied().collect();
                if !plain.is_empty() {
                    deleted = deleted.and(bucket.delete(&plain).await);
                }
            }
            checked.and(deleted)
        }
        .boxed()
    }

    /// Nothing: what the store has taken is safe.
    fn flush(&self) -> BoxFuture<'_, Result<()>> {
        async move { Ok(()) }.boxed()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        let settled = tokio::time::timeout(LONGEST_SETTLE, self.given_up.wait());
        settled.map(drop).boxed()
    }

    fn remove_leftovers<'a>(
        &'a self,
        _folders: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Leftover>>> {
        async move { self.bucket().await.leftovers().await }.boxed()
    }
}
