//! Copying inside of a bucket.

use aws_sdk_s3::types::CompletedPart;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use super::bucket::{Bucket, Found, random_name, tag, version};
use crate::{ObjectInfo, Result, StorageError};

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
        let copy = self.client.copy_object();
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
        let key = percent_encoding::utf8_percent_encode(&self.key(path), IN_HEADER).to_string();
        format!("{}/{key}", self.name())
    }

    async fn copy_parts(&self, from: &str, to: &str, info: &ObjectInfo) -> Result<ObjectInfo> {
        let writer = random_name();
        let upload_id = self.begin_upload(to, &writer).await?;
        let copied = match self.parts(from, to, info, &upload_id).await {
            Ok(parts) => {
                let bytes = info.stored_bytes;
                self.complete_upload(to, &upload_id, &writer, parts, bytes)
                    .await
            }
            Err(error) => Err(error),
        };
        if copied.is_err() {
            self.abort(to, &upload_id).await;
        }
        copied
    }

    async fn parts(
        &self,
        from: &str,
        to: &str,
        info: &ObjectInfo,
        upload_id: &str,
    ) -> Result<Vec<CompletedPart>> {
        let request = self.request("s3:PutObject", to);
        let mut parts = Vec::new();
        let mut start = 0;
        for number in 1.. {
            if start >= info.stored_bytes {
                break;
            }
            let end = info.stored_bytes.min(start + PART_BYTES);
            let copy = self.client.upload_part_copy();
            let copied = copy
                .bucket(self.name())
                .key(self.key(to))
                .upload_id(upload_id)
                .part_number(number)
                .copy_source(self.copy_source(from))
                .copy_source_range(format!("bytes={start}-{}", end - 1))
                .set_copy_source_if_match(tag(info))
                .send()
                .await;
            let copied = copied.map_err(|error| request.failed(error))?;
            let tag = copied.copy_part_result.and_then(|result| result.e_tag);
            let part = CompletedPart::builder().part_number(number).set_e_tag(tag);
            parts.push(part.build());
            start = end;
        }
        Ok(parts)
    }
}
