//! What a bucket can do that not every one can.

use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockEnabled};
use bytes::Bytes;

use super::{
    bucket::{Bucket, random_name},
    headers::With,
};
use crate::{Capabilities, PutIf, Result, StorageError};

impl Bucket {
    /// Whether the store minds conditions: some take them and do not.
    async fn minds_conditions(&self) -> Result<bool> {
        let path = format!(".rdump-probe-{}", random_name());
        let writers = [random_name(), random_name()];
        let put = |writer| self.put(&path, Bytes::new(), &PutIf::Absent, writer, With::Replaced);
        let [first, second] = &writers;
        let first = put(first).await;
        let second = match &first {
            Ok(_) => Some(put(second).await),
            Err(_) => None,
        };
        let deleted = self.delete(&[&path]).await;
        // What could not be put need not be deleted.
        if first.is_ok() {
            deleted?;
        }
        match (first, second) {
            (Ok(_), Some(Err(StorageError::Exists { .. }))) => Ok(true),
            (Ok(_), Some(Ok(_))) => Ok(false),
            (Ok(_), Some(Err(error))) | (Err(error), _) => match error {
                // It knows of them, and does not take them.
                StorageError::Refused { .. } => Ok(false),
                error => Err(error),
            },
            (Ok(_), None) => Ok(false),
        }
    }

    pub(super) async fn capabilities(&self) -> Result<Capabilities> {
        let conditional_put = self.minds_conditions().await?;
        // Who may not ask does not need to know.
        let versioning = self.client.get_bucket_versioning();
        let versioning = versioning.bucket(self.name()).send().await.ok();
        let lock = self.client.get_object_lock_configuration();
        let lock = lock.bucket(self.name()).send().await.ok();
        let lock = lock.and_then(|found| found.object_lock_configuration?.object_lock_enabled);
        Ok(Capabilities {
            conditional_put,
            versioning: versioning.and_then(|found| found.status)
                == Some(BucketVersioningStatus::Enabled),
            object_lock: lock == Some(ObjectLockEnabled::Enabled),
        })
    }
}
