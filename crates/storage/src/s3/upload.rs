//! Writing an object: at once if it is small, in parts if it is not.

use std::{mem, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::{JoinError, JoinSet},
    time::timeout,
};

use super::{
    S3Store,
    bucket::{Bucket, random_name},
    headers::With,
    multipart::{Begun, Sent},
};
use crate::{ObjectInfo, PutIf, Result, StorageError, Upload};

/// The size of the first parts, in bytes. A store takes no smaller ones than 5 MiB but for the last.
const FIRST_PART_BYTES: usize = 8 << 20;
/// What has no more than this, in bytes, is not given the buffer of a whole part.
const SMALL_BYTES: usize = 256 << 10;
/// How many parts are as large as the first: some stores want all of them alike, and most objects have no more.
const ALIKE_PARTS: usize = 1_000;
/// After how many more parts they have grown by their first size: 10,000 parts then have 5 TiB, which is the most that an
/// object may have.
const GROWTH_PARTS: usize = 61;
/// The most parts that an object may have.
const MOST_PARTS: usize = 10_000;
/// How much of all parts that are on their way there may be at once, in bytes, or one part if that has more.
pub(super) const IN_FLIGHT_BYTES: usize = 48 << 20;
/// How long the id of an upload is waited for that nobody wants any more. One that comes later is found as a leftover.
const LONGEST_UNTOLD: Duration = Duration::from_secs(5);
/// What one permit of that stands for.
const PERMIT_BYTES: usize = 64 << 10;

/// The semaphore that bounds what is on its way.
pub(super) fn in_flight() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(IN_FLIGHT_BYTES / PERMIT_BYTES))
}

/// How many bytes the part of this number, from 0, has.
fn part_bytes(number: usize) -> usize {
    let growing = number.saturating_sub(ALIKE_PARTS);
    let grown = FIRST_PART_BYTES.saturating_mul(growing) / GROWTH_PARTS;
    // Whole mebibytes, so that parts end where blocks of the store may.
    (FIRST_PART_BYTES + grown) >> 20 << 20
}

/// An object being written.
#[derive(Debug)]
pub(super) struct S3Upload {
    bucket: Arc<Bucket>,
    path: String,
    /// What tells our object from one that somebody else wrote there.
    writer: String,
    store: S3Store,
    filling: BytesMut,
    stored_bytes: u64,
    parts: Option<Parts>,
}

/// What was begun at the store.
#[derive(Debug)]
struct Parts {
    upload: Begun,
    begun: usize,
    sending: JoinSet<Result<Sent>>,
    sent: Vec<Sent>,
}

impl S3Store {
    /// Begins an upload, which is taken back if nobody waits for it any more when the store tells its id.
    pub(super) async fn begin(
        &self,
        bucket: &Arc<Bucket>,
        path: &str,
        begin: impl Future<Output = Result<Begun>> + Send + 'static,
    ) -> Result<Begun> {
        let (mut sender, begun) = oneshot::channel();
        let (of, to) = (Arc::clone(bucket), path.to_owned());
        self.track(async move {
            tokio::pin!(begin);
            let begun = tokio::select! {
                begun = &mut begin => begun,
                () = sender.closed() => match timeout(LONGEST_UNTOLD, begin).await {
                    Ok(begun) => begun,
                    Err(_elapsed) => return,
                },
            };
            if let Err(Ok(untaken)) = sender.send(begun) {
                of.abort(&to, &untaken.id).await;
            }
        });
        let begun = begun.await;
        begun.unwrap_or_else(|error| {
            Err(StorageError::Io {
                action: "s3:PutObject",
                path: bucket.shown(path),
                source: error.into(),
            })
        })
    }
}

impl S3Upload {
    pub(super) fn new(store: &S3Store, bucket: Arc<Bucket>, path: &str) -> Self {
        Self {
            bucket,
            path: path.to_owned(),
            writer: random_name(),
            store: store.clone(),
            filling: BytesMut::new(),
            stored_bytes: 0,
            parts: None,
        }
    }

    /// Begins to send what is filled as a part.
    async fn send(&mut self) -> Result<()> {
        let bytes = mem::take(&mut self.filling).freeze();
        let permit = self.permit(bytes.len()).await?;
        if self.parts.is_none() {
            self.parts = Some(Parts {
                upload: self.begin().await?,
                begun: 0,
                sending: JoinSet::new(),
                sent: Vec::new(),
            });
        }
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        parts.begun += 1;
        if parts.begun > MOST_PARTS {
            return Err(StorageError::Io {
                action: "s3:PutObject",
                path: self.bucket.shown(&self.path),
                source: "an object has at most 10,000 parts and 5 TiB".into(),
            });
        }
        let number = i32::try_from(parts.begun).unwrap_or(i32::MAX);
        let (bucket, path) = (Arc::clone(&self.bucket), self.path.clone());
        let upload = parts.upload.clone();
        parts.sending.spawn(async move {
            let _on_its_way = permit;
            bucket.send_part(&path, &upload, number, bytes).await
        });
        // What has failed is known soon.
        while let Some(sent) = parts.sending.try_join_next() {
            parts.sent.push(joined(sent)?);
        }
        Ok(())
    }

    async fn begin(&self) -> Result<Begun> {
        let (bucket, path) = (Arc::clone(&self.bucket), self.path.clone());
        let writer = self.writer.clone();
        let begin = async move { bucket.begin_upload(&path, &writer, With::Uploaded).await };
        self.store.begin(&self.bucket, &self.path, begin).await
    }

    async fn permit(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let wanted = bytes.clamp(1, IN_FLIGHT_BYTES).div_ceil(PERMIT_BYTES);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.store.in_flight).acquire_many_owned(wanted);
        permit.await.map_err(|error| StorageError::Io {
            action: "s3:PutObject",
            path: self.bucket.shown(&self.path),
            source: error.into(),
        })
    }

    async fn complete(&mut self) -> Result<ObjectInfo> {
        let Some(parts) = &mut self.parts else {
            let bytes = mem::take(&mut self.filling).freeze();
            let _permit = self.permit(bytes.len()).await?;
            let bucket = &self.bucket;
            let (path, writer) = (&self.path, &self.writer);
            return bucket
                .put(path, bytes, &PutIf::Always, writer, With::Uploaded)
                .await;
        };
        while let Some(sent) = parts.sending.join_next().await {
            parts.sent.push(joined(sent)?);
        }
        let mut sent = mem::take(&mut parts.sent);
        sent.sort_by_key(|part| part.number);
        let (path, id, writer) = (&self.path, &parts.upload.id, &self.writer);
        self.bucket
            .complete_upload(path, id, writer, &sent, self.stored_bytes)
            .await
    }
}

impl Upload for S3Upload {
    fn write(&mut self, mut bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        async move {
            self.stored_bytes += bytes.len() as u64;
            while !bytes.is_empty() {
                let number = self.parts.as_ref().map_or(0, |parts| parts.begun);
                let whole = self.bucket.location.options.part_bytes;
                let whole = whole.and_then(|bytes| bytes.try_into().ok());
                let whole = whole.unwrap_or_else(|| part_bytes(number));
                let room = whole.saturating_sub(self.filling.len());
                if room == 0 {
                    self.send().await?;
                    continue;
                }
                let next = bytes.split_to(room.min(bytes.len()));
                if self.filling.len() + next.len() > SMALL_BYTES {
                    // All at once: a buffer that grows by itself grows to twice of what it has.
                    self.filling.reserve(room);
                }
                self.filling.extend_from_slice(&next);
            }
            Ok(())
        }
        .boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<ObjectInfo>> {
        async move {
            if self.parts.is_some() && !self.filling.is_empty() {
                self.send().await?;
            }
            let info = self.complete().await?;
            // Nothing is left to be given up.
            self.parts = None;
            Ok(info)
        }
        .boxed()
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            let (bucket, path) = (Arc::clone(&self.bucket), mem::take(&mut self.path));
            self.store.track(async move {
                let mut sending = parts.sending;
                // A part that comes after the upload is aborted would stay, and cost.
                sending.shutdown().await;
                bucket.abort(&path, &parts.upload.id).await;
            });
        }
    }
}

fn joined(sent: Result<Result<Sent>, JoinError>) -> Result<Sent> {
    sent.unwrap_or_else(|error| {
        Err(StorageError::Io {
            action: "s3:PutObject",
            path: "a part".to_owned(),
            source: error.into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_have_five_tebibytes_and_no_part_is_too_large_or_too_small() {
        let sizes = (0..MOST_PARTS).map(part_bytes);
        let all: u64 = sizes.map(|bytes| bytes as u64).sum();
        assert!(all >= 5 << 40, "{all}");
        assert!(part_bytes(0) >= 5 << 20 && part_bytes(MOST_PARTS) <= 5 << 30);
        assert!((0..ALIKE_PARTS).all(|number| part_bytes(number) == FIRST_PART_BYTES));
        // 100 GB are sent in parts of less than 200 MiB.
        let mut sent = 0;
        let number = (0..).find(|&number| {
            sent += part_bytes(number);
            sent > 100_000_000_000
        });
        assert!(part_bytes(number.unwrap()) < 200 << 20);
    }
}
