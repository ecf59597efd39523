//! What keeps objects from being deleted.

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTimeFormat,
    types::{ObjectLockEnabled, ObjectLockLegalHoldStatus},
};

use super::{bucket::Bucket, headers::Header, since_1970};
use crate::{Result, Retention, StorageError};

impl Bucket {
    /// Whether objects of the bucket can be locked; so it is taken to be where that may not be asked.
    pub(super) async fn may_lock(&self) -> Result<bool> {
        let request = self.request_of_bucket("s3:GetBucketObjectLockConfiguration");
        let lock = self.client.get_object_lock_configuration();
        match lock.bucket(self.name()).send().await {
            Ok(found) => {
                let found = found.object_lock_configuration;
                let enabled = found.and_then(|found| found.object_lock_enabled);
                Ok(enabled == Some(ObjectLockEnabled::Enabled))
            }
            Err(error) if is_none(&error) => Ok(false),
            Err(error) => match request.failed(error) {
                StorageError::Denied { .. } => Ok(true),
                // Nothing that the store knows.
                StorageError::Refused { .. } | StorageError::NotFound { .. } => Ok(false),
                error => Err(error),
            },
        }
    }

    /// The headers that lock another version of an object as it is locked itself.
    pub(super) async fn lock(&self, path: &str) -> Result<Vec<Header>> {
        let mut headers = Vec::new();
        let key = self.key(path);
        let request = self.request("s3:GetObjectRetention", path);
        let retention = self.client.get_object_retention();
        let found = match retention.bucket(self.name()).key(&key).send().await {
            Ok(found) => found.retention,
            Err(error) if is_none(&error) => None,
            Err(error) => return Err(request.failed(error)),
        };
        let now = i64::try_from(since_1970().as_secs()).unwrap_or(i64::MAX);
        let lock = found.and_then(|found| found.mode.zip(found.retain_until_date));
        // What is over is taken by no store.
        if let Some((mode, until)) = lock.filter(|(_, until)| until.secs() > now) {
            let until = until.fmt(DateTimeFormat::DateTime).unwrap_or_default();
            headers.push(("x-amz-object-lock-mode", mode.as_str().to_owned()));
            headers.push(("x-amz-object-lock-retain-until-date", until));
        }
        let is_held = self.retention(path).await?.is_some_and(|found| found.held);
        headers.extend(is_held.then(|| ("x-amz-object-lock-legal-hold", "ON".to_owned())));
        Ok(headers)
    }

    /// What keeps an object from being deleted.
    pub(super) async fn retention(&self, path: &str) -> Result<Option<Retention>> {
        let key = self.key(path);
        let request = self.request("s3:GetObjectRetention", path);
        let retention = self.client.get_object_retention();
        let until = match retention.bucket(self.name()).key(&key).send().await {
            Ok(found) => found.retention.and_then(|found| found.retain_until_date),
            Err(error) if is_none(&error) => None,
            Err(error) => return Err(request.failed(error)),
        };
        let request = self.request("s3:GetObjectLegalHold", path);
        let hold = self.client.get_object_legal_hold();
        let status = match hold.bucket(self.name()).key(&key).send().await {
            Ok(found) => found.legal_hold.and_then(|hold| hold.status),
            Err(error) if is_none(&error) => None,
            Err(error) => return Err(request.failed(error)),
        };
        let held = status == Some(ObjectLockLegalHoldStatus::On);
        let until = until.and_then(|until| until.try_into().ok());
        Ok((held || until.is_some()).then_some(Retention { until, held }))
    }
}

/// Whether it is no error, but says that there is no lock, or no such object.
fn is_none<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let codes = [
        "ObjectLockConfigurationNotFoundError",
        "NoSuchObjectLockConfiguration",
        "NoSuchObjectLegalHold",
        "NoSuchKey",
        // Of a bucket without locks.
        "InvalidRequest",
    ];
    match error.code() {
        Some("NoSuchBucket") => false,
        code => status == Some(404) || code.is_some_and(|code| codes.contains(&code)),
    }
}
