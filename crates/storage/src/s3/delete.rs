//! Deleting objects, many by one request where the store knows how.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::{StreamExt, future, stream};

use super::{bucket::Bucket, location::SCHEME};
use crate::{Result, StorageError};

/// How many objects one request deletes at most.
const DELETED_AT_ONCE: usize = 1_000;
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
        let delete = self.client.delete_object();
        let delete = delete.bucket(self.name()).key(self.key(path));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.request("s3:DeleteObject", path).failed(error) {
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
        let mut identifiers = Vec::with_capacity(paths.len());
        for path in paths {
            let identifier = ObjectIdentifier::builder().key(self.key(path)).build();
            identifiers.push(identifier.map_err(|error| self.malformed(path, error.into()))?);
        }
        let delete = Delete::builder()
            .set_objects(Some(identifiers))
            .quiet(true)
            .build();
        let delete = delete.map_err(|error| self.malformed("", error.into()))?;
        let deletion = self.client.delete_objects();
        let deleted = deletion.bucket(self.name()).delete(delete).send().await;
        let request = self.request_of_bucket("s3:DeleteObject");
        let deleted = deleted.map_err(|error| request.failed(error))?;
        let Some(error) = deleted.errors.unwrap_or_default().into_iter().next() else {
            return Ok(());
        };
        let path = format!("{SCHEME}{}/{}", self.name(), error.key.unwrap_or_default());
        let code = error.code.unwrap_or_default();
        let source = format!("{code}: {}", error.message.unwrap_or_default()).into();
        let action = "s3:DeleteObject";
        Err(match code.as_str() {
            "AccessDenied" => StorageError::Denied {
                action,
                path,
                source,
            },
            _ => StorageError::Io {
                action,
                path,
                source,
            },
        })
    }

    fn malformed(
        &self,
        path: &str,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> StorageError {
        StorageError::Io {
            action: "s3:DeleteObject",
            path: self.shown(path),
            source,
        }
    }
}
