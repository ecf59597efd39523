//! Copies that the store makes by itself, compared with what they are of before anybody can see them.
//!
//! An object is copied in the parts that it has itself. The store gives the checksum of each part as it is written, and what
//! these make is the checksum of the object that they are of, which compared with what was sent when that was uploaded.

use std::sync::Arc;

use aws_sdk_s3::types::ChecksumMode;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    S3Location, S3Store,
    bucket::{Bucket, random_name, tag, version},
    checksum::Checksum,
    copy::copy_source,
    headers::With,
    multipart::Sent,
};
use crate::{ObjectChecksum, ObjectInfo, Result, StorageError};

/// How many parts of one object are copied at once.
const PARTS_AT_ONCE: usize = 4;
/// The most that one request copies, in bytes.
const MOST_BYTES_AT_ONCE: u64 = 5 << 30;

/// An upload whose parts the store copies; dropped before its end it is taken back.
struct Copying<'a> {
    store: &'a S3Store,
    bucket: Arc<Bucket>,
    to: &'a str,
    id: Option<String>,
}

impl Bucket {
    /// What the store has computed of an object's bytes, if it is such that a copy in parts can be compared with it.
    pub(super) async fn checksum(&self, path: &str) -> Result<Option<ObjectChecksum>> {
        let head = self.client.head_object();
        let head = head.checksum_mode(ChecksumMode::Enabled);
        let Some(found) = self.look(path, head).await? else {
            let path = self.shown(path);
            return Err(StorageError::NotFound { path });
        };
        let stored_bytes = found.content_length.and_then(|it| it.try_into().ok());
        let mut info = ObjectInfo::new(path, stored_bytes.unwrap_or_default());
        info.version = found.e_tag.as_deref().map(version);
        let told = Checksum::told(found.checksum_sha256(), found.checksum_crc32_c());
        let Some((text, (_, parts))) =
            told.and_then(|it| Some((it.clone(), Checksum::parse(&it)?)))
        else {
            return Ok(None);
        };
        let part_bytes = match parts {
            None if info.stored_bytes > MOST_BYTES_AT_ONCE => return Ok(None),
            None => None,
            Some(parts) => match self.part_bytes(path, info.stored_bytes, parts).await? {
                None => return Ok(None),
                bytes => bytes,
            },
        };
        let has_bytes = info.stored_bytes > 0;
        Ok(has_bytes.then_some(ObjectChecksum {
            info,
            text,
            part_bytes,
        }))
    }

    /// The size of the first part of an object of so many, if all but the last have it.
    async fn part_bytes(&self, path: &str, bytes: u64, parts: usize) -> Result<Option<u64>> {
        let first = self.client.head_object().part_number(1);
        let first = self.look(path, first).await?;
        let first = first.and_then(|first| first.content_length?.try_into().ok());
        let are_alike = |first: &u64| *first > 0 && bytes.div_ceil(*first) == parts as u64;
        Ok(first.filter(are_alike))
    }
}

impl S3Store {
    /// Copies an object, from a location that the client of `bucket` can read.
    pub(super) async fn copied(
        &self,
        bucket: Arc<Bucket>,
        from: &S3Location,
        of: &ObjectChecksum,
        to: &str,
    ) -> Result<ObjectInfo> {
        let refused = |why: &'static str| StorageError::Refused {
            action: "s3:PutObject",
            path: bucket.shown(to),
            source: why.into(),
        };
        let Some((expected, _)) = Checksum::parse(&of.text) else {
            return Err(refused("the checksum of what is to be copied is unknown"));
        };
        let source = copy_source(from, &of.info.path);
        let writer = random_name();
        let begin = {
            let (bucket, path) = (Arc::clone(&bucket), to.to_owned());
            let (writer, algorithm) = (writer.clone(), expected.algorithm());
            let with = With::Uploaded;
            async move {
                bucket
                    .begin_once(&path, &writer, with, Some(algorithm))
                    .await
            }
        };
        let id = self.begin(&bucket, to, begin).await?.id;
        let mut copying = Copying {
            store: self,
            bucket: Arc::clone(&bucket),
            to,
            id: Some(id.clone()),
        };
        let (bytes, whole) = (of.info.stored_bytes, of.part_bytes.is_none());
        let part_bytes = of.part_bytes.unwrap_or(bytes).max(1);
        let (bucket, source, id) = (&bucket, &source, &id);
        let parts = (0..bytes.div_ceil(part_bytes)).map(async |number| {
            let start = number * part_bytes;
            let range = start..bytes.min(start + part_bytes);
            let number = i32::try_from(number + 1).unwrap_or(i32::MAX);
            let request = bucket.request("s3:PutObject", to);
            let copy = bucket.client.upload_part_copy();
            let copy = copy
                .bucket(bucket.name())
                .key(bucket.key(to))
                .upload_id(id)
                .part_number(number)
                .copy_source(source)
                .set_copy_source_if_match(tag(&of.info))
                // Of a small object no range may be given.
                .set_copy_source_range(
                    (range.end - range.start < bytes)
                        .then(|| format!("bytes={}-{}", range.start, range.end - 1)),
                );
            let copied = bucket.headers.on(copy.customize(), With::CopiedPart);
            let copied = copied.send().await.map_err(|error| request.failed(error))?;
            let result = copied.copy_part_result;
            let told = result.as_ref().and_then(|it| {
                let told = Checksum::told(it.checksum_sha256(), it.checksum_crc32_c())?;
                Checksum::parse(&told)
            });
            Ok::<_, StorageError>(Sent {
                number,
                tag: result.and_then(|it| it.e_tag),
                checksum: told.map(|(checksum, _)| checksum),
            })
        });
        let parts: Vec<_> = parts.collect();
        let parts = stream::iter(parts).buffered(PARTS_AT_ONCE);
        let parts: Vec<Sent> = parts.try_collect().await?;
        let mut checksums = Vec::with_capacity(parts.len());
        for part in &parts {
            let checksum = part.checksum.as_ref();
            let checksum = checksum.filter(|it| it.algorithm() == expected.algorithm());
            checksums.push(
                checksum.ok_or_else(|| refused("it gives no checksum of what it has copied"))?,
            );
        }
        let found = match (whole, checksums.as_slice()) {
            (true, [only]) => Some(Checksum::clone(only)),
            _ => Checksum::of_parts(checksums),
        };
        if found.as_ref() != Some(&expected) {
            let path = bucket.shown(to);
            return Err(StorageError::Corrupted { path });
        }
        let completed = bucket
            .complete_upload(to, id, &writer, &parts, bytes)
            .await?;
        copying.id = None;
        Ok(completed)
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let (bucket, path) = (Arc::clone(&self.bucket), self.to.to_owned());
            self.store.track(async move {
                bucket.abort(&path, &id).await;
            });
        }
    }
}
