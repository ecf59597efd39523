//! Requests to a bucket.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use aws_sdk_s3::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        get_object::GetObjectOutput,
        head_object::{HeadObjectOutput, builders::HeadObjectFluentBuilder},
    },
    primitives::{ByteStream, ByteStreamError},
};
use bytes::{Bytes, BytesMut};

use super::{
    S3Location,
    checksum::{Checksum, Checksums},
    error::Request,
    headers::{Headers, With},
    location::SCHEME,
};
use crate::{Listed, ObjectInfo, PutIf, Result, StorageError, Version, store::check_path};

/// The metadata of an object that says who wrote it.
pub(super) const WRITER: &str = "rdump-writer";
/// The most that is reserved for what is yet to come, in bytes.
const MOST_RESERVED: usize = 64 << 20;
/// How often a body that broke off without having brought a byte is asked for again.
const EMPTY_READS: u32 = 8;
/// How long is waited after the first of such failures; after each more twice as long.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(50);

/// A location, and who asks there.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) location: S3Location,
    pub(super) client: Client,
    pub(super) headers: Headers,
    pub(super) checksums: Checksums,
}

/// An object that was looked up.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) info: ObjectInfo,
    pub(super) writer: Option<String>,
}

impl Bucket {
    pub(super) fn name(&self) -> &str {
        &self.location.bucket
    }

    pub(super) fn key(&self, path: &str) -> String {
        self.location.key(path)
    }

    /// An object as messages call it.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{SCHEME}{}/{}", self.location.bucket, self.key(path))
    }

    /// What is asked for with an object.
    pub(super) fn request(&self, action: &'static str, path: &str) -> Request {
        Request {
            path: self.shown(path),
            ..self.request_of_bucket(action)
        }
    }

    /// What is asked for with the whole prefix.
    pub(super) fn request_of_bucket(&self, action: &'static str) -> Request {
        Request {
            action,
            path: self.location.to_string(),
            bucket: self.location.bucket.clone(),
            region: self.client.config().region().map(ToString::to_string),
            since: Instant::now(),
        }
    }

    pub(super) async fn head(&self, path: &str) -> Result<Option<Found>> {
        let head = self.client.head_object();
        let Some(found) = self.look(path, head).await? else {
            return Ok(None);
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

    /// Looks an object up, and for what else the request asks.
    pub(super) async fn look(
        &self,
        path: &str,
        head: HeadObjectFluentBuilder,
    ) -> Result<Option<HeadObjectOutput>> {
        let request = self.request("s3:GetObject", path);
        let head = head.bucket(self.name()).key(self.key(path)).customize();
        match self.headers.on(head, With::Content).send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) => match request.failed(error) {
                StorageError::NotFound { .. } => Ok(None),
                denied @ StorageError::Denied { .. } => Err(self.lacking(path, denied).await),
                error => Err(error),
            },
        }
    }

    /// What somebody lacks who may not look up an object: who may not list either is not told that there is none, and the
    /// answer to such a request has no room to say why.
    async fn lacking(&self, path: &str, denied: StorageError) -> StorageError {
        let request = self.request_of_bucket("s3:ListBucket");
        let list = self.client.list_objects_v2();
        let list = list.bucket(self.name()).prefix(self.key(path)).max_keys(1);
        match list.send().await {
            Ok(_) => denied,
            Err(error) => match request.failed(error) {
                StorageError::Io { .. } | StorageError::Refused { .. } => denied,
                lacking => lacking,
            },
        }
    }

    /// Writes an object by one request.
    pub(super) async fn put(
        &self,
        path: &str,
        bytes: Bytes,
        condition: &PutIf,
        writer: &str,
        with: With,
    ) -> Result<ObjectInfo> {
        let checksum = match self.checksums.algorithm() {
            Some(algorithm) => algorithm.of(&bytes).await,
            None => None,
        };
        let put = |checksum| self.put_once(path, bytes.clone(), condition, writer, with, checksum);
        let stored = put(checksum.as_ref()).await;
        match &stored {
            Err(error) if checksum.is_some() && self.checksums.may_be_refused(error) => {
                let again = put(None).await;
                self.checksums.were_refused(again, stored)
            }
            _ => stored,
        }
    }

    async fn put_once(
        &self,
        path: &str,
        bytes: Bytes,
        condition: &PutIf,
        writer: &str,
        with: With,
        checksum: Option<&Checksum>,
    ) -> Result<ObjectInfo> {
        let stored_bytes = bytes.len() as u64;
        let request = self.request("s3:PutObject", path);
        let mut put = self.client.put_object();
        put = match condition {
            PutIf::Always => put,
            PutIf::Absent => put.if_none_match("*"),
            PutIf::Unchanged(version) => put.if_match(version.as_str()),
        };
        let put = put
            .bucket(self.name())
            .key(self.key(path))
            .metadata(WRITER, writer)
            .set_checksum_sha256(checksum.and_then(Checksum::sha256))
            .set_checksum_crc32_c(checksum.and_then(Checksum::crc32c))
            .body(ByteStream::from(bytes));
        let failed = match self.headers.on(put.customize(), with).send().await {
            Ok(put) => {
                let mut info = ObjectInfo::new(path, stored_bytes);
                info.version = put.e_tag.as_deref().map(version);
                return Ok(info);
            }
            Err(error) => request.failed(error),
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
                // Who may not look knows no more than before.
                let found = self.head(path).await.ok().flatten();
                let ours = found.filter(|found| found.writer.as_deref() == Some(writer));
                ours.map(|found| found.info).ok_or(refused)
            }
            _ => Err(refused),
        }
    }

    /// Reads a range that is not empty.
    pub(super) async fn read(
        &self,
        path: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<Bytes> {
        let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut version = version.cloned();
        let mut bytes = BytesMut::with_capacity(wanted.min(MOST_RESERVED));
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
                    if empty_reads > 0 {
                        tokio::time::sleep(FIRST_WAIT * 2_u32.pow(empty_reads - 1)).await;
                    }
                }
            }
        }
    }

    /// Reads an empty range, which cannot be asked for: the object has to be there all the same.
    pub(super) async fn read_nothing(
        &self,
        path: &str,
        end: u64,
        version: Option<&Version>,
    ) -> Result<Bytes> {
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
        let request = self.request("s3:GetObject", path);
        let get = self.client.get_object();
        let get = get
            .bucket(self.name())
            .key(self.key(path))
            .range(format!("bytes={}-{}", range.start, range.end - 1))
            .set_if_match(version.map(|version| version.as_str().to_owned()));
        match self.headers.on(get.customize(), With::Content).send().await {
            // Some stores do not mind what is asked for.
            Ok(output) if range.start > 0 && output.content_range().is_none() => {
                Err(StorageError::Io {
                    action: "s3:GetObject",
                    path: self.shown(path),
                    source: "the store gave the whole object where a range was asked for".into(),
                })
            }
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
            Err(error) => Err(match request.failed(error) {
                StorageError::Frozen { .. } => self.frozen(path).await,
                error => error,
            }),
        }
    }

    /// One page of a listing, and where the next one begins.
    pub(super) async fn page(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<(Vec<Listed>, Option<String>)> {
        let request = self.request_of_bucket("s3:ListBucket");
        let list = self.client.list_objects_v2();
        let page = list
            .bucket(self.name())
            .prefix(self.key(prefix))
            .set_continuation_token(token)
            .send()
            .await;
        let page = page.map_err(|error| request.failed(error))?;
        let listed = page.contents.unwrap_or_default().into_iter();
        let listed = listed.filter_map(|object| {
            let key = object.key?;
            let path = self.location.path(&key)?;
            // What is no object of a store, such as the empty ones that consoles make to show a folder.
            check_path(path).ok()?;
            let bytes = object.size.and_then(|bytes| bytes.try_into().ok());
            let mut info = ObjectInfo::new(path, bytes.unwrap_or_default());
            info.version = object.e_tag.as_deref().map(version);
            info.modified = object.last_modified.and_then(|at| at.try_into().ok());
            info.storage_class = object.storage_class.map(|class| class.as_str().to_owned());
            Some(Listed::Object(info))
        });
        let next = match (page.is_truncated, page.next_continuation_token) {
            (Some(true), None) => {
                return Err(StorageError::Io {
                    action: "s3:ListBucket",
                    path: self.location.to_string(),
                    source: "the store has more to list, and does not say where it begins".into(),
                });
            }
            (Some(true), next) => next,
            _ => None,
        };
        Ok((listed.collect(), next))
    }
}

/// Adds a body, as far as it comes and is wanted.
async fn append(
    mut output: GetObjectOutput,
    wanted: usize,
    bytes: &mut BytesMut,
) -> Result<(), ByteStreamError> {
    while bytes.len() < wanted {
        let Some(piece) = output.body.try_next().await? else {
            break;
        };
        let room = wanted - bytes.len();
        bytes.extend_from_slice(piece.get(..room).unwrap_or(&piece));
    }
    Ok(())
}

fn is_behind_the_end<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let response = error.raw_response();
    response.is_some_and(|response| response.status().as_u16() == 416)
}

/// What a request has to have for this version of an object alone.
pub(super) fn tag(info: &ObjectInfo) -> Option<String> {
    let version = info.version.as_ref();
    version.map(|version| version.as_str().to_owned())
}

/// An entity tag, which has quotes or not, wherever it comes from.
pub(super) fn version(tag: &str) -> Version {
    Version::new(tag.trim_matches('"'))
}

/// A name that nobody else has.
pub(super) fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}
