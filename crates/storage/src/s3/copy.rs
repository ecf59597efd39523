//! Copying inside of a bucket.

use aws_sdk_s3::types::TaggingDirective;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::{
    bucket::{Bucket, Found, random_name, tag, version},
    headers::With,
    multipart::Sent,
};
use crate::{ObjectInfo, Result, S3Location, StorageError};

/// What has more than this is copied in parts, in bytes.
const MOST_BYTES_AT_ONCE: u64 = 5 << 30;
/// How much is then copied by one request, in bytes.
const PART_BYTES: u64 = 1 << 30;
/// What of a key is escaped where it is the value of a header.
const IN_HEADER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An object as the header of a copy names it.
pub(super) fn copy_source(location: &S3Location, path: &str) -> String {
    let key = percent_encoding::utf8_percent_encode(&location.key(path), IN_HEADER).to_string();
    format!("{}/{key}", location.bucket)
}

impl Bucket {
    /// Copies an object inside of the store, which the store does by itself up to a size.
    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<ObjectInfo> {
        let Some(Found { info, .. }) = self.head(from).await? else {
            let path = self.shown(from);
            return Err(StorageError::NotFound { path });
        };
        if info.stored_bytes > MOST_BYTES_AT_ONCE {
            return self.copy_parts(from, to, &info).await;
        }
        let request = self.request("s3:PutObject", to);
        let copy = self.client.copy_object();
        let copy = copy
            .bucket(self.name())
            .key(self.key(to))
            .copy_source(copy_source(&self.location, from))
            .set_copy_source_if_match(tag(&info))
            // Those of the location, and not of what is copied.
            .set_tagging_directive(self.has_tags().then_some(TaggingDirective::Replace));
        let copied = self.headers.on(copy.customize(), With::Copy).send().await;
        let copied = copied.map_err(|error| request.failed(error))?;
        let tag = copied.copy_object_result.and_then(|result| result.e_tag);
        let mut copy = ObjectInfo::new(to, info.stored_bytes);
        copy.version = tag.as_deref().map(version);
        Ok(copy)
    }

    fn has_tags(&self) -> bool {
        !self.location.options.tags.is_empty()
    }

    async fn copy_parts(&self, from: &str, to: &str, info: &ObjectInfo) -> Result<ObjectInfo> {
        let writer = random_name();
        let upload = self.begin_upload(to, &writer, With::Copy).await?;
        let copied = match self.parts(from, to, info, &upload.id).await {
            Ok(parts) => {
                let bytes = info.stored_bytes;
                self.complete_upload(to, &upload.id, &writer, &parts, bytes)
                    .await
            }
            Err(error) => Err(error),
        };
        if copied.is_err() {
            self.abort(to, &upload.id).await;
        }
        copied
    }

    async fn parts(
        &self,
        from: &str,
        to: &str,
        info: &ObjectInfo,
        upload_id: &str,
    ) -> Result<Vec<Sent>> {
        let mut parts = Vec::new();
        let mut start = 0;
        for number in 1.. {
            if start >= info.stored_bytes {
                break;
            }
            let end = info.stored_bytes.min(start + PART_BYTES);
            let request = self.request("s3:PutObject", to);
            let copy = self.client.upload_part_copy();
            let copy = copy
                .bucket(self.name())
                .key(self.key(to))
                .upload_id(upload_id)
                .part_number(number)
                .copy_source(copy_source(&self.location, from))
                .copy_source_range(format!("bytes={start}-{}", end - 1))
                .set_copy_source_if_match(tag(info));
            let copied = self.headers.on(copy.customize(), With::CopiedPart);
            let copied = copied.send().await.map_err(|error| request.failed(error))?;
            let result = copied.copy_part_result;
            parts.push(Sent {
                number,
                tag: result.and_then(|result| result.e_tag),
                checksum: None,
            });
            start = end;
        }
        Ok(parts)
    }
}
