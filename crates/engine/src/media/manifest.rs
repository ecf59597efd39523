//! The manifest of a folder, and the marker that lies there until it is written.

use std::{collections::HashSet, sync::Arc};

use rdump_format::{FolderManifest, MANIFEST_FILE, ManifestError, UNFINISHED_FILE};
use rdump_storage::Store;

use crate::{Error, Result};

/// The manifest's stored size in bytes, and what it says or why it cannot be used; `None` if there is none.
pub(crate) async fn read(
    store: &Arc<dyn Store>,
) -> Result<Option<(u64, Result<FolderManifest, ManifestError>)>> {
    let Some(info) = store.head(MANIFEST_FILE).await? else {
        return Ok(None);
    };
    if let Err(error) = FolderManifest::check_length(info.stored_bytes) {
        return Ok(Some((info.stored_bytes, Err(error))));
    }
    let bytes = store.read(MANIFEST_FILE, 0..info.stored_bytes).await?;
    let parsed = tokio::task::spawn_blocking(move || FolderManifest::from_bytes(&bytes));
    let parsed = parsed
        .await
        .map_err(|error| Error::task("read manifest", error))?;
    Ok(Some((info.stored_bytes, parsed)))
}

/// Refuses a folder without a manifest in which a dump was begun: what is missing there, nobody can tell.
pub(crate) async fn refuse_unfinished(store: &Arc<dyn Store>) -> Result<()> {
    if store.head(UNFINISHED_FILE).await?.is_none() {
        return Ok(());
    }
    let folder = store.location();
    Err(Error::data(format!(
        "the dump in {folder} did not finish: {UNFINISHED_FILE} lies there, and {MANIFEST_FILE} does not"
    ))
    .at(UNFINISHED_FILE)
    .with_hint(format!(
        "dump again; to restore what there is nevertheless, without knowing what is missing, delete {UNFINISHED_FILE}"
    )))
}

/// What to do about a file that is not as the manifest says.
pub(super) fn hint() -> String {
    format!(
        "run verify to see what else is damaged; if files were changed on purpose, delete {MANIFEST_FILE} to restore them \
         unverified"
    )
}

/// Those of the paths that the manifest does not list, its own and the marker's left out.
pub(crate) fn unlisted<'a>(
    manifest: &FolderManifest,
    paths: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let listed: HashSet<&str> = manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .chain([MANIFEST_FILE, UNFINISHED_FILE])
        .collect();
    let paths = paths.into_iter();
    paths.filter(|path| !listed.contains(path)).collect()
}
