//! Copying what has too many bytes for one request.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::{Bucket, tag, version};
use crate::{ObjectInfo, Result, StorageError};

/// How much is copied by one request, in bytes.
const PART_BYTES: u64 = 1 << 30;

impl Bucket {
    pub(super) async fn copy_parts(
        &self,
        from: &str,
        to: &str,
        info: &ObjectInfo,
    ) -> Result<ObjectInfo> {
        let request = self.request("s3:PutObject", to);
        let begin = self.client().create_multipart_upload();
        let begun = begin.bucket(self.name()).key(self.key(to)).send().await;
        let begun = begun.map_err(|error| request.failed(error))?;
        let upload_id = begun.upload_id.ok_or_else(|| StorageError::Io {
            action: "s3:PutObject",
            path: self.shown(to),
            source: "the store began an upload and did not say its id".into(),
        })?;
        let copied = self.parts(from, to, info, &upload_id).await;
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
    ) -> Result<ObjectInfo> {
        let request = self.request("s3:PutObject", to);
        let mut parts = Vec::new();
        let mut start = 0;
        for number in 1.. {
            if start >= info.stored_bytes {
                break;
            }
            let end = info.stored_bytes.min(start + PART_BYTES);
            let copy = self.client().upload_part_copy();
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
        let all = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let complete = self.client().complete_multipart_upload();
        let completed = complete
            .bucket(self.name())
            .key(self.key(to))
            .upload_id(upload_id)
            .multipart_upload(all)
            .send()
            .await;
        let completed = completed.map_err(|error| request.failed(error))?;
        let mut copy = ObjectInfo::new(to, info.stored_bytes);
        copy.version = completed.e_tag.as_deref().map(version);
        Ok(copy)
    }
}
