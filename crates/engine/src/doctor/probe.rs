//! Trying what a store has to be able to do.

use bytes::Bytes;
use rdump_storage::{PutIf, StorageError, Store, Told};

use super::{
    finding::{Check, Findings},
    held::Place,
    store::told,
};
use crate::Error;

/// More than one part has, in bytes.
const LARGE_BYTES: u64 = 9 << 20;
/// The length of one piece of that, in bytes.
const PIECE: usize = 1 << 20;

/// Writes an object twice, and a large one, reads of them, and deletes them.
pub(super) async fn look(place: &Place, findings: &mut Findings) {
    let store = &*place.store;
    // A name that nobody else has, of no object of a repository.
    let name = format!(".rdump-probe-{}", bson::Uuid::new());
    let large = format!("{name}-large");
    let mut written = Vec::new();
    match store.put(&name, Bytes::new(), PutIf::Absent).await {
        Ok(_) => {
            written.push(name.as_str());
            conditions(store, &name, findings).await;
            match upload(store, &large).await {
                Ok(()) => {
                    written.push(large.as_str());
                    findings.good(
                        Check::StoreWrite,
                        "objects can be written, in one piece and in parts, and read",
                    );
                }
                Err(error) => refused(error, findings),
            }
        }
        Err(StorageError::Refused { .. }) => conditions_refused(findings),
        Err(error) => refused(error, findings),
    }
    if !written.is_empty() {
        deleted(store.delete(&written).await, &written, findings);
    }
    store.settle().await;
}

async fn conditions(store: &dyn Store, name: &str, findings: &mut Findings) {
    match store.put(name, Bytes::new(), PutIf::Absent).await {
        Err(StorageError::Exists { .. }) => {
            findings.good(Check::ConditionalPut, "the store minds conditions");
        }
        Ok(_) | Err(StorageError::Refused { .. }) => conditions_refused(findings),
        Err(error) => {
            told(Told::<()>::Not(error), Check::ConditionalPut, findings);
        }
    }
}

fn conditions_refused(findings: &mut Findings) {
    findings.danger(
        Check::ConditionalPut,
        "the store does not mind conditions (If-None-Match): two writers at once could not be told from one",
        "use a store that does; or see to it that only one writes at a time, and give --no-lock",
    );
}

async fn upload(store: &dyn Store, path: &str) -> Result<(), StorageError> {
    let mut upload = store.upload(path).await?;
    let piece = Bytes::from(vec![0; PIECE]);
    let mut left = LARGE_BYTES;
    while left > 0 {
        upload.write(piece.clone()).await?;
        left = left.saturating_sub(PIECE as u64);
    }
    let info = upload.finish().await?;
    let middle = LARGE_BYTES / 2;
    store
        .read(path, middle..middle + 1, info.version.as_ref())
        .await
        .map(drop)
}

fn refused(error: StorageError, findings: &mut Findings) {
    let advice = match &error {
        StorageError::Denied { action, .. } => {
            format!("allow {action} to who backs up (docs/s3.md has the policies)")
        }
        _ => String::new(),
    };
    let error = Error::from(error);
    let hint = error.hint().map(str::to_owned).unwrap_or(advice);
    findings.danger(
        Check::StoreWrite,
        format!("objects cannot be written: {}", super::finding::why(&error)),
        hint,
    );
}

fn deleted(deleted: Result<(), StorageError>, written: &[&str], findings: &mut Findings) {
    let check = Check::StoreDelete;
    match deleted {
        Ok(()) => findings.note(
            check,
            "objects can be deleted",
            "who only backs up need not be able to: only `rdump prune` deletes (docs/s3.md)",
        ),
        Err(StorageError::Denied { .. }) => findings.note(
            check,
            format!(
                "objects cannot be deleted, as it should be for who only backs up; what was tried with stays: {}",
                written.join(", ")
            ),
            "let who prunes delete it",
        ),
        Err(error) => {
            told(Told::<()>::Not(error), check, findings);
        }
    }
}
