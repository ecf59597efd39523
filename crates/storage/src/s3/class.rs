//! Storage classes: which one an object is in, bringing it into another, and thawing what cannot be read.

use std::{sync::Arc, time::SystemTime};

use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    operation::head_object::HeadObjectOutput,
    primitives::{DateTime, DateTimeFormat},
    types::{GlacierJobParameters, RestoreRequest, Tier},
};

use super::{
    S3Store,
    bucket::Bucket,
    headers::{Header, tagging},
};
use crate::{
    ClassState, ObjectClass, ObjectInfo, Result, Retrieval, StorageError, ThawRequest,
    class::INTELLIGENT_TIERING,
};

impl Bucket {
    /// The class of an object; `None` if there is no such object.
    pub(super) async fn class(&self, path: &str) -> Result<Option<ObjectClass>> {
        let found = self.look(path, self.client.head_object()).await?;
        Ok(found.as_ref().map(class))
    }

    /// Why an object cannot be read, which the answer to who reads leaves open.
    pub(super) async fn frozen(&self, path: &str) -> StorageError {
        // Who may not look knows no more than before.
        let class = self.class(path).await.ok().flatten();
        let is_thawing = class.as_ref().map(|class| class.state) == Some(ClassState::Thawing);
        StorageError::Frozen {
            path: self.shown(path),
            class: class.map(|class| class.name),
            is_thawing,
        }
    }

    /// Asks for an object to be thawed.
    pub(super) async fn thaw(&self, path: &str, wanted: ThawRequest) -> Result<()> {
        let class = self.class(path).await?;
        let Some(class) = class else {
            let path = self.shown(path);
            return Err(StorageError::NotFound { path });
        };
        let tier = match wanted.retrieval {
            Retrieval::Standard => Tier::Standard,
            Retrieval::Bulk => Tier::Bulk,
            Retrieval::Expedited => Tier::Expedited,
        };
        let days = i32::try_from(wanted.days).unwrap_or(i32::MAX);
        // From this class it comes back for good.
        let days = (!class.name.starts_with(INTELLIGENT_TIERING)).then_some(days);
        let job = GlacierJobParameters::builder().tier(tier).build();
        let request = self.request("s3:RestoreObject", path);
        let job = job.map_err(|error| StorageError::Io {
            action: request.action,
            path: self.shown(path),
            source: error.into(),
        })?;
        let restore = RestoreRequest::builder().set_days(days);
        let restore = restore.glacier_job_parameters(job).build();
        let thaw = self.client.restore_object();
        let thaw = thaw.bucket(self.name()).key(self.key(path));
        match thaw.restore_request(restore).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.code() {
                // It was asked before, or can be read.
                Some("RestoreAlreadyInProgress" | "InvalidObjectState") => Ok(()),
                _ => Err(request.failed(error)),
            },
        }
    }

    /// What an object has that stays with it in another class.
    async fn kept(&self, path: &str, found: &HeadObjectOutput, lock: bool) -> Result<Vec<Header>> {
        let mut kept = Vec::new();
        if let Some(sse) = &found.server_side_encryption {
            kept.push(("x-amz-server-side-encryption", sse.as_str().to_owned()));
        }
        if let Some(key) = &found.ssekms_key_id {
            let name = "x-amz-server-side-encryption-aws-kms-key-id";
            kept.push((name, key.clone()));
        }
        // How many there are is told only to who may read them: they would be lost without a word.
        let request = self.request("s3:GetObjectTagging", path);
        let tags = self.client.get_object_tagging();
        let tags = tags.bucket(self.name()).key(self.key(path)).send().await;
        let tags = match tags.map_err(|error| request.failed(error)) {
            Ok(found) => found.tag_set,
            // The store knows no tags.
            Err(StorageError::Refused { .. } | StorageError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        if !tags.is_empty() {
            let tags = tags.into_iter().map(|tag| (tag.key, tag.value));
            kept.push(("x-amz-tagging", tagging(&tags.collect::<Vec<_>>())));
        }
        if lock {
            kept.extend(self.lock(path).await?);
        }
        Ok(kept)
    }
}

impl S3Store {
    pub(super) async fn changed_class(&self, path: &str, class: &str) -> Result<ObjectInfo> {
        let bucket = self.bucket().await?;
        let not_found = || StorageError::NotFound {
            path: bucket.shown(path),
        };
        let found = bucket.look(path, bucket.client.head_object()).await?;
        let found = found.ok_or_else(not_found)?;
        if !self::class(&found).is_readable() {
            return Err(bucket.frozen(path).await);
        }
        let may_lock = self.may_lock.get_or_try_init(|| bucket.may_lock());
        let mut kept = bucket.kept(path, &found, *may_lock.await?).await?;
        kept.push(("x-amz-storage-class", class.to_owned()));
        let Some(of) = bucket.checksum(path).await? else {
            return Err(StorageError::Refused {
                action: "s3:PutObject",
                path: bucket.shown(path),
                source: "it has no checksum that a copy could be compared with".into(),
            });
        };
        let mut keeping = Bucket::clone(&bucket);
        keeping.headers = keeping.headers.keeping(kept);
        let mut info = self
            .copied(Arc::new(keeping), &bucket.location, &of, path)
            .await?;
        info.storage_class = Some(class.to_owned());
        Ok(info)
    }
}

fn class(found: &HeadObjectOutput) -> ObjectClass {
    let name = found.storage_class.as_ref();
    let name = name.map(|class| class.as_str().to_owned());
    let mut class = ObjectClass::new(name, ClassState::Readable);
    let is_freezing = ObjectInfo {
        storage_class: Some(class.name.clone()),
        ..ObjectInfo::new("", 0)
    };
    if let Some(status) = &found.archive_status {
        class.name = format!("{} ({})", class.name, status.as_str());
    }
    let is_frozen = is_freezing.is_of_freezing_class() || found.archive_status.is_some();
    class.state = match found.restore.as_deref() {
        Some(told) if told.contains("ongoing-request=\"true\"") => ClassState::Thawing,
        Some(told) => ClassState::Thawed { until: until(told) },
        None if is_frozen => ClassState::Frozen,
        None => ClassState::Readable,
    };
    class
}

/// The date in what a store says of an object that was thawed.
fn until(told: &str) -> Option<SystemTime> {
    let (_, date) = told.split_once("expiry-date=\"")?;
    let (date, _) = date.split_once('"')?;
    let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    date.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_sdk_s3::types::{ArchiveStatus, StorageClass};

    use super::*;

    #[test]
    fn a_class_and_what_can_be_read_of_it_are_as_the_store_tells() {
        let of = |name: Option<&str>, restore: Option<&str>| {
            let head = HeadObjectOutput::builder()
                .set_storage_class(name.map(StorageClass::from))
                .set_restore(restore.map(str::to_owned));
            class(&head.build()).state
        };
        let done = "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"";
        let until = Some(UNIX_EPOCH + Duration::from_secs(1_356_048_000));
        for (class, restore, state) in [
            (None, None, ClassState::Readable),
            (Some("GLACIER_IR"), None, ClassState::Readable),
            (Some("INTELLIGENT_TIERING"), None, ClassState::Readable),
            (Some("GLACIER"), None, ClassState::Frozen),
            (Some("DEEP_ARCHIVE"), None, ClassState::Frozen),
            (
                Some("DEEP_ARCHIVE"),
                Some("ongoing-request=\"true\""),
                ClassState::Thawing,
            ),
            (Some("GLACIER"), Some(done), ClassState::Thawed { until }),
        ] {
            assert_eq!(of(class, restore), state, "{class:?} {restore:?}");
        }
        let head = HeadObjectOutput::builder()
            .storage_class(StorageClass::IntelligentTiering)
            .archive_status(ArchiveStatus::DeepArchiveAccess);
        let class = class(&head.build());
        assert_eq!(class.state, ClassState::Frozen);
        assert_eq!(class.name, "INTELLIGENT_TIERING (DEEP_ARCHIVE_ACCESS)");
    }
}
