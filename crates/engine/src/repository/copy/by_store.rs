//! Data objects that the store copies by itself.

use std::sync::atomic::Ordering;

use rdump_storage::StorageError;

use super::RepositoryCopy;
use crate::Result;

impl RepositoryCopy {
    /// Has the store copy an object, if that is wanted and it can; says whether it did. What it has copied was compared with the
    /// checksum that the store has of the object here, and not with the digests of its segments.
    pub(super) async fn copied_by_store(&self, path: &str, stored_bytes: u64) -> Result<bool> {
        if !self.server_side || self.cannot.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let (from, to) = (self.from.store(), self.to.store());
        let of = match from.checksum(path).await {
            Ok(Some(of)) if of.info.stored_bytes == stored_bytes => of,
            // What is not as long as it should be is found by who reads it, and so is what is not there.
            Ok(Some(_)) | Err(StorageError::NotFound { .. }) => return Ok(false),
            Ok(None) => {
                let why = "it has no checksum that a copy in parts could be compared with";
                self.cx.notice(None, through_here(path, why));
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let error = match to.copy_from(&from.location(), &of, path).await {
            Ok(copied) if copied.stored_bytes == stored_bytes => return Ok(true),
            Ok(_) => {
                // Nobody is to take it for what it should be.
                to.delete(&[path]).await?;
                let why = "what the store made of it has another length";
                self.cx.notice(None, through_here(path, why));
                return Ok(false);
            }
            Err(error) => error,
        };
        match &error {
            StorageError::Corrupted { .. } => {
                let why = "what the store made of it has another checksum";
                self.cx.notice(None, through_here(path, why));
                Ok(false)
            }
            // Who reads it says which it is.
            StorageError::Frozen { .. } | StorageError::Changed { .. } => Ok(false),
            StorageError::Refused { .. }
            | StorageError::Denied { .. }
            | StorageError::NotFound { .. }
            | StorageError::NoSuchBucket { .. }
            | StorageError::WrongRegion { .. }
            | StorageError::Credentials { .. } => {
                if !self.cannot.swap(true, Ordering::Relaxed) {
                    let why = match std::error::Error::source(&error) {
                        Some(source) => format!("{error}: {source}"),
                        None => error.to_string(),
                    };
                    let message = format!(
                        "the store cannot copy by itself, all goes by way of this machine: {why}"
                    );
                    self.cx.notice(None, message);
                }
                Ok(false)
            }
            _ => Err(error.into()),
        }
    }
}

fn through_here(path: &str, why: &str) -> String {
    format!("{path} goes by way of this machine: {why}")
}
