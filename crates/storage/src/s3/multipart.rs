//! Requests about uploads in parts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart, MultipartUpload},
};
use bytes::Bytes;

use super::{
    bucket::{Bucket, WRITER, version},
    checksum::{Algorithm, Checksum},
    headers::With,
    since_1970,
};
use crate::{Leftover, ObjectInfo, Result, StorageError};

/// How often an abort is tried.
const ABORTS: u32 = 3;
/// After how long an upload that has not ended is taken for one that never will.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// An upload that was begun.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) id: String,
    /// What its parts are checked with.
    algorithm: Option<Algorithm>,
}

/// A part that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) number: i32,
    pub(super) tag: Option<String>,
    pub(super) checksum: Option<Checksum>,
}

impl Sent {
    fn completed(&self) -> CompletedPart {
        let checksum = self.checksum.as_ref();
        CompletedPart::builder()
            .part_number(self.number)
            .set_e_tag(self.tag.clone())
            .set_checksum_sha256(checksum.and_then(Checksum::sha256))
            .set_checksum_crc32_c(checksum.and_then(Checksum::crc32c))
            .build()
    }
}

impl Bucket {
    /// Begins an upload in parts.
    pub(super) async fn begin_upload(&self, path: &str, writer: &str, with: With) -> Result<Begun> {
        // What is copied the store has checked itself.
        let algorithm = self.checksums.algorithm();
        let algorithm = algorithm.filter(|_| with == With::Uploaded);
        let begun = self.begin_once(path, writer, with, algorithm).await;
        match &begun {
            Err(error) if algorithm.is_some() && self.checksums.may_be_refused(error) => {
                let again = self.begin_once(path, writer, with, None).await;
                self.checksums.were_refused(again, begun)
            }
            _ => begun,
        }
    }

    pub(super) async fn begin_once(
        &self,
        path: &str,
        writer: &str,
        with: With,
        algorithm: Option<Algorithm>,
    ) -> Result<Begun> {
        let request = self.request("s3:PutObject", path);
        let begin = self.client.create_multipart_upload();
        let begin = begin
            .bucket(self.name())
            .key(self.key(path))
            .set_checksum_algorithm(algorithm.map(Algorithm::name))
            .metadata(WRITER, writer);
        let attempts = Attempts::default();
        let begin = self.headers.on(begin.customize(), with);
        let begun = begin.interceptor(attempts.clone()).send().await;
        let begun = begun.map_err(|error| request.failed(error))?;
        let id = begun.upload_id.ok_or_else(|| StorageError::Io {
            action: "s3:PutObject",
            path: self.shown(path),
            source: "the store began an upload and did not say its id".into(),
        })?;
        if attempts.several() {
            self.abort_lost(path, &id, request.since.elapsed()).await;
        }
        Ok(Begun { id, algorithm })
    }

    /// Takes back uploads of an object that were begun when ours was, and whose ids were lost with the answers. What cannot be
    /// taken back is found as a leftover.
    async fn abort_lost(&self, path: &str, ours: &str, beginning: Duration) {
        let Ok(uploads) = self.uploads(path).await else {
            return;
        };
        let begun = |upload: &MultipartUpload| Some(upload.initiated()?.secs());
        let mut of_ours = uploads
            .iter()
            .filter(|found| found.upload_id() == Some(ours));
        let Some(last) = of_ours.find_map(begun) else {
            return;
        };
        // A store tells whole seconds.
        let first = last - i64::try_from(beginning.as_secs()).unwrap_or(0) - 1;
        let key = self.key(path);
        for upload in &uploads {
            let is_lost = begun(upload).is_some_and(|begun| (first..=last).contains(&begun))
                && upload.key() == Some(&key);
            match upload.upload_id() {
                Some(id) if is_lost && id != ours => self.abort(path, id).await,
                _ => false,
            };
        }
    }

    /// Sends one part, whose checksum is computed as was said when the upload was begun.
    pub(super) async fn send_part(
        &self,
        path: &str,
        upload: &Begun,
        number: i32,
        bytes: Bytes,
    ) -> Result<Sent> {
        let checksum = match upload.algorithm {
            Some(algorithm) => algorithm.of(&bytes).await,
            None => None,
        };
        let request = self.request("s3:PutObject", path);
        let part = self.client.upload_part();
        let part = part
            .bucket(self.name())
            .key(self.key(path))
            .upload_id(&upload.id)
            .part_number(number)
            .set_checksum_sha256(checksum.as_ref().and_then(Checksum::sha256))
            .set_checksum_crc32_c(checksum.as_ref().and_then(Checksum::crc32c))
            .body(ByteStream::from(bytes));
        let sent = self
            .headers
            .on(part.customize(), With::Content)
            .send()
            .await;
        let sent = sent.map_err(|error| request.failed(error))?;
        Ok(Sent {
            number,
            tag: sent.e_tag,
            checksum,
        })
    }

    /// Makes an object of so many bytes of the parts of an upload, which are in order.
    pub(super) async fn complete_upload(
        &self,
        path: &str,
        upload_id: &str,
        writer: &str,
        parts: &[Sent],
        stored_bytes: u64,
    ) -> Result<ObjectInfo> {
        let all = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.iter().map(Sent::completed).collect()))
            .build();
        let request = self.request("s3:PutObject", path);
        let complete = self.client.complete_multipart_upload();
        let complete = complete
            .bucket(self.name())
            .key(self.key(path))
            .upload_id(upload_id)
            .multipart_upload(all);
        let completed = self.headers.on(complete.customize(), With::Content);
        let failed = match completed.send().await {
            Ok(completed) => {
                let checksums = parts.iter().filter_map(|part| part.checksum.as_ref());
                let sha256 = completed.checksum_sha256();
                let crc32c = completed.checksum_crc32_c();
                let whole = Checksum::of_parts(checksums);
                if whole.is_some_and(|whole| !whole.agrees(sha256, crc32c)) {
                    // Nobody is to take it for what was written.
                    drop(self.delete(&[path]).await);
                    let path = self.shown(path);
                    return Err(StorageError::Corrupted { path });
                }
                let mut info = ObjectInfo::new(path, stored_bytes);
                info.version = completed.e_tag.as_deref().map(version);
                return Ok(info);
            }
            Err(error) => request.failed(error),
        };
        // The answer to an earlier attempt may have been lost.
        let found = self.head(path).await.ok().flatten();
        let ours = found.filter(|found| found.writer.as_deref() == Some(writer));
        let ours = ours.map(|found| found.info);
        ours.filter(|info| info.stored_bytes == stored_bytes)
            .ok_or(failed)
    }

    /// Takes back an upload that was begun, and says whether it could. What cannot be taken back is found as a leftover.
    pub(super) async fn abort(&self, path: &str, upload_id: &str) -> bool {
        for _ in 0..ABORTS {
            let abort = self.client.abort_multipart_upload();
            let aborted = abort
                .bucket(self.name())
                .key(self.key(path))
                .upload_id(upload_id)
                .send()
                .await;
            if aborted.is_ok() {
                return true;
            }
        }
        false
    }

    /// The uploads of objects at these paths, and of those in folders of these paths, that were begun and never ended: by a
    /// writer that was killed, or that writes now. Those that nobody can be at any more are aborted, if that was asked for.
    pub(super) async fn remove_leftovers(&self, paths: &[String]) -> Result<Vec<Leftover>> {
        let mut leftovers = Vec::new();
        for upload in self.uploads("").await? {
            let key = upload.key.as_deref().unwrap_or_default();
            let Some(path) = self.location.path(key) else {
                continue;
            };
            let folder = path.rsplit_once('/').map(|(folder, _)| folder);
            let is_ours = paths
                .iter()
                .any(|ours| ours == path || Some(ours.as_str()) == folder);
            if is_ours {
                let removed = self.location.options.clean_uploads
                    && is_abandoned(&upload)
                    && self
                        .abort(path, upload.upload_id().unwrap_or_default())
                        .await;
                let path = path.to_owned();
                leftovers.push(Leftover { path, removed });
            }
        }
        Ok(leftovers)
    }

    /// The uploads whose paths start so, that were begun and have not ended.
    pub(super) async fn uploads(&self, path: &str) -> Result<Vec<MultipartUpload>> {
        let mut uploads = Vec::new();
        let mut next = Some((None, None));
        while let Some((key, upload)) = next.take() {
            let request = self.request_of_bucket("s3:ListBucketMultipartUploads");
            let list = self.client.list_multipart_uploads();
            let page = list
                .bucket(self.name())
                .prefix(self.key(path))
                .set_key_marker(key)
                .set_upload_id_marker(upload)
                .send()
                .await;
            let page = page.map_err(|error| request.failed(error))?;
            if page.is_truncated == Some(true) {
                // Who does not say where the rest begins has no more to say.
                next = page
                    .next_key_marker
                    .map(|key| (Some(key), page.next_upload_id_marker));
            }
            uploads.extend(page.uploads.unwrap_or_default());
        }
        Ok(uploads)
    }
}

/// How often a request was made.
#[derive(Clone, Debug, Default)]
struct Attempts(Arc<AtomicU32>);

impl Attempts {
    fn several(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn is_abandoned(upload: &MultipartUpload) -> bool {
    let Some(begun) = upload.initiated() else {
        return false;
    };
    let begun = Duration::from_secs(begun.secs().try_into().unwrap_or_default());
    since_1970().saturating_sub(begun) > ABANDONED
}
