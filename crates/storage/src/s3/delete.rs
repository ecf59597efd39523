//! Deleting objects, many by one request where the store knows how.

use std::mem;

use aws_sdk_s3::types::{Delete, Error as NotDeleted, ObjectIdentifier};
use futures::{StreamExt, future, stream};

use super::{
    bucket::{Bucket, FIRST_WAIT},
    location::SCHEME,
};
use crate::{Result, StorageError};

/// How many objects one request deletes at most.
const DELETED_AT_ONCE: usize = 1_000;
/// How often it is tried to delete what a store could not delete just then.
const DELETIONS: u32 = 8;
/// How many requests delete one object each at the same time.
const DELETED_SIDE_BY_SIDE: usize = 8;

impl Bucket {
    /// Deletes all that can be; the first error is that of one that cannot.
    pub(super) async fn delete(&self, paths: &[&str]) -> Result<()> {
        let mut deleted = Ok(());
        for paths in paths.chunks(DELETED_AT_ONCE) {
            deleted = deleted.and(match paths {
                [path] => self.delete_one(path).await,
                paths if self.checksums.are_never_sent() => self.delete_each(paths).await,
                paths => match self.delete_several(paths).await {
                    // Not every store knows how, and some want a checksum that is no longer sent.
                    Err(StorageError::Refused { .. }) => self.delete_each(paths).await,
                    deleted => deleted,
                },
            });
        }
        deleted
    }

    async fn delete_one(&self, path: &str) -> Result<()> {
        let request = self.request("s3:DeleteObject", path);
        let delete = self.client.delete_object();
        let delete = delete.bucket(self.name()).key(self.key(path));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => match request.failed(error) {
                StorageError::NotFound { .. } => Ok(()),
                error => Err(error),
            },
        }
    }

    async fn delete_each(&self, paths: &[&str]) -> Result<()> {
        let mut deleting = Vec::with_capacity(paths.len());
        for path in paths {
            deleting.push(self.delete_one(path));
        }
        let deleted = stream::iter(deleting).buffer_unordered(DELETED_SIDE_BY_SIDE);
        deleted
            .fold(Ok(()), |all: Result<()>, one| future::ready(all.and(one)))
            .await
    }

    async fn delete_several(&self, paths: &[&str]) -> Result<()> {
        let mut keys: Vec<_> = paths.iter().map(|path| self.key(path)).collect();
        let mut deleted = Ok(());
        for attempt in 0..DELETIONS {
            let mut again = Vec::new();
            for error in self.delete_keys(mem::take(&mut keys)).await? {
                let may_pass = is_passing(&error) && attempt + 1 < DELETIONS;
                match error.key() {
                    Some(key) if may_pass => again.push(key.to_owned()),
                    _ => deleted = deleted.and(Err(self.not_deleted(error))),
                }
            }
            if again.is_empty() {
                break;
            }
            keys = again;
            tokio::time::sleep(FIRST_WAIT * 2_u32.pow(attempt)).await;
        }
        deleted
    }

    /// Deletes objects by one request; gives what was not deleted.
    async fn delete_keys(&self, keys: Vec<String>) -> Result<Vec<NotDeleted>> {
        let identifiers = keys.into_iter().map(|key| {
            let identifier = ObjectIdentifier::builder().key(key).build();
            identifier.map_err(|error| self.malformed(error.into()))
        });
        let delete = Delete::builder()
            .set_objects(Some(identifiers.collect::<Result<_>>()?))
            .quiet(true)
            .build();
        let delete = delete.map_err(|error| self.malformed(error.into()))?;
        let request = self.request_of_bucket("s3:DeleteObject");
        let deletion = self.client.delete_objects();
        let deleted = deletion.bucket(self.name()).delete(delete).send().await;
        let deleted = deleted.map_err(|error| request.failed(error))?;
        Ok(deleted.errors.unwrap_or_default())
    }

    fn not_deleted(&self, error: NotDeleted) -> StorageError {
        let may_pass = is_passing(&error);
        let path = format!("{SCHEME}{}/{}", self.name(), error.key.unwrap_or_default());
        let code = error.code.unwrap_or_default();
        let source = format!("{code}: {}", error.message.unwrap_or_default()).into();
        let action = "s3:DeleteObject";
        match may_pass {
            true => StorageError::Io {
                action,
                path,
                source,
            },
            // Each store has a word of its own for what is locked.
            false => StorageError::Denied {
                action,
                path,
                source,
            },
        }
    }

    fn malformed(&self, source: Box<dyn std::error::Error + Send + Sync>) -> StorageError {
        StorageError::Io {
            action: "s3:DeleteObject",
            path: self.location.to_string(),
            source,
        }
    }
}

/// Whether what a store says of one of many objects may be otherwise a little later.
fn is_passing(error: &NotDeleted) -> bool {
    matches!(
        error.code(),
        Some("InternalError" | "ServiceUnavailable" | "SlowDown")
    )
}
