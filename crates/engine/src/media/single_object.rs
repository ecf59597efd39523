//! A dump that is one object of a store, which replaces what is there once it is complete.

use rdump_storage::{Store, Upload};

use super::folder_writer::{is_replaced, leftover_notice};
use crate::{Error, Result};

/// What is wrong where something is that must not be replaced.
pub(crate) fn exists(store: &dyn Store, path: &str) -> Error {
    Error::conflict(format!("{path} already lies in {}", store.location()))
}

/// Starts to write it, and tells of what killed writers left behind.
pub(crate) async fn begin(
    store: &dyn Store,
    path: &str,
    notices: &mut Vec<String>,
) -> Result<Box<dyn Upload>> {
    for leftover in store.remove_leftovers(&[path.to_owned()]).await? {
        notices.push(leftover_notice(&leftover));
    }
    Ok(store.upload(path).await?)
}

/// Makes it visible, and looks whether it is.
pub(crate) async fn finish(store: &dyn Store, path: &str, upload: Box<dyn Upload>) -> Result<()> {
    store.flush().await?;
    let stored = upload.finish().await?;
    store.flush().await?;
    let found = store.head(path).await?;
    let is_there = found.is_some_and(|found| {
        found.stored_bytes == stored.stored_bytes && !is_replaced(store, &stored, &found)
    });
    match is_there {
        true => Ok(()),
        false => Err(Error::data(format!(
            "{path} was stored in {}, and is gone or was replaced since",
            store.location()
        ))),
    }
}
