//! The manifest of a folder, and the markers that lie there until it is written.

use std::{collections::HashSet, sync::Arc};

use bson::oid::ObjectId;
use bytes::Bytes;
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
    let bytes = store
        .read(MANIFEST_FILE, 0..info.stored_bytes, info.version.as_ref())
        .await?;
    let parsed = tokio::task::spawn_blocking(move || FolderManifest::from_bytes(&bytes));
    let parsed = parsed
        .await
        .map_err(|error| Error::task("read manifest", error))?;
    Ok(Some((info.stored_bytes, parsed)))
}

/// What a marker says, for people: without a brace, with which a manifest starts.
const UNFINISHED_TEXT: &str = "\
rdump is writing a dump into this folder, or stopped before it was complete: what is here is no whole dump.
rrestore refuses it as long as this file is here and rdump.manifest.json is not. Dump again into this folder, or, to
restore what there is nevertheless, delete this file.
";

/// A marker of one dump, like no other, that keeps of the manifest in whose place it is what the dump leaves in place, if that
/// is anything.
pub(super) fn marker(stays: Option<&FolderManifest>) -> Result<Bytes> {
    let name = ObjectId::new();
    let mut marker = format!("{UNFINISHED_TEXT}It is dump {name}.\n").into_bytes();
    if let Some(stays) = stays.filter(|stays| !stays.files.is_empty()) {
        let bytes = stays.to_bytes();
        marker.extend(bytes.map_err(|error| {
            Error::internal("could not write what stays of the manifest").caused_by(error)
        })?);
    }
    Ok(marker.into())
}

/// What the marker of an unfinished dump keeps of the manifest before it; `None` if there is no marker, or it keeps nothing.
pub(super) async fn kept(store: &Arc<dyn Store>) -> Result<Option<FolderManifest>> {
    let Some(info) = store.head(UNFINISHED_FILE).await? else {
        return Ok(None);
    };
    if FolderManifest::check_length(info.stored_bytes).is_err() {
        return Ok(None);
    }
    let bytes = store
        .read(UNFINISHED_FILE, 0..info.stored_bytes, info.version.as_ref())
        .await?;
    let parsed = tokio::task::spawn_blocking(move || {
        let start = bytes.iter().position(|&byte| byte == b'{')?;
        // What is damaged keeps nothing.
        FolderManifest::from_bytes(&bytes[start..]).ok()
    });
    parsed
        .await
        .map_err(|error| Error::task("read marker", error))
}

/// Refuses a folder without a manifest in which a dump was begun: what is missing there, nobody can tell.
pub(crate) async fn refuse_unfinished(store: &Arc<dyn Store>) -> Result<()> {
    match store.head(UNFINISHED_FILE).await? {
        Some(_) => Err(unfinished(store, UNFINISHED_FILE)),
        None => Ok(()),
    }
}

/// The error that the dump in the folder of this marker did not finish.
pub(super) fn unfinished(store: &Arc<dyn Store>, marker: &str) -> Error {
    let folder = store.location();
    Error::data(format!(
        "the dump in {folder} did not finish: {marker} lies there, and {MANIFEST_FILE} does not"
    ))
    .at(marker)
    .with_hint(match folder.as_path() {
        Some(_) => format!(
            "dump again; to restore what there is nevertheless, without knowing what is missing: \
             find {folder} -name {UNFINISHED_FILE} -delete"
        ),
        None => format!(
            "dump again; to restore what there is nevertheless, without knowing what is missing, delete {UNFINISHED_FILE} \
             wherever it is below {folder}"
        ),
    })
}

/// The folder that a path marks as one that a dump has begun to write, with a slash, if it does.
pub(super) fn marked(path: &str) -> Option<&str> {
    let folder = path.strip_suffix(UNFINISHED_FILE)?;
    (folder.is_empty() || folder.ends_with('/')).then_some(folder)
}

/// What to do about a file that is not as the manifest says.
pub(super) fn hint() -> String {
    format!(
        "run verify to see what else is damaged; if files were changed on purpose, delete {MANIFEST_FILE} to restore them \
         unverified"
    )
}

/// Those of the paths that the manifest does not list, its own and those of markers left out.
pub(crate) fn unlisted<'a>(
    manifest: &FolderManifest,
    paths: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let listed: HashSet<&str> = manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .chain([MANIFEST_FILE])
        .collect();
    let is_listed = |path: &str| listed.contains(path) || marked(path).is_some();
    let paths = paths.into_iter();
    paths.filter(|path| !is_listed(path)).collect()
}
