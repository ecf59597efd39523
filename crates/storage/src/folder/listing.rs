//! What is in a folder.

use std::{fs, io, os::unix::fs::FileTypeExt, path::Path};

use super::{FolderStore, LEFTOVER_PREFIX, is_absent, version_of};
use crate::{
    Listed, ObjectInfo, Result, StorageError, Unreadable,
    object::BROKEN_LINK,
    store::{MOST_PARTS, check_path},
};

impl FolderStore {
    /// Everything whose path starts with `prefix`.
    pub(super) fn list_now(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        let folder = match prefix.rsplit_once('/') {
            Some((folder, _)) => {
                check_path(folder)?;
                self.root.join(folder)
            }
            None => self.root.clone(),
        };
        let above = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
        match walk(&folder, above, &mut listed) {
            Ok(()) | Err(StorageError::NotFound { .. }) => {}
            // An object is no folder.
            Err(StorageError::NotAFolder { .. }) if !above.is_empty() => {}
            Err(error) => return Err(error),
        }
        listed.retain(|listed| listed.path().starts_with(prefix));
        listed.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(listed)
    }
}

/// Adds every file below `folder`, links followed, and what is neither file nor folder.
fn walk(folder: &Path, prefix: &str, found: &mut Vec<Listed>) -> Result<()> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in listed.map_err(|error| StorageError::from_io("list", folder, error))? {
        let file = entry.path();
        let name = entry.file_name();
        let path = format!("{prefix}{}", name.to_string_lossy());
        let shown = || file.display().to_string();
        let info = match name.to_str() {
            Some(_) => look(&file),
            None => Err(StorageError::NameNotUtf8 { path: shown() }),
        };
        let looked = match info {
            Ok(info) if info.is_dir() && path.split('/').count() < MOST_PARTS => {
                walk(&file, &format!("{path}/"), found)
            }
            Ok(info) if info.is_dir() => Ok(()),
            Ok(info) if info.is_file() => {
                found.push(match is_leftover(&path) {
                    true => Listed::Leftover(path.clone()),
                    false => {
                        let mut object = ObjectInfo::new(&path, info.len());
                        object.version = Some(version_of(&info));
                        object.modified = info.modified().ok();
                        Listed::Object(object)
                    }
                });
                Ok(())
            }
            Ok(info) => Err(StorageError::Special {
                path: shown(),
                what: what_is(info.file_type()),
            }),
            Err(error) => Err(error),
        };
        match looked {
            // Gone since.
            Ok(()) | Err(StorageError::NotFound { .. }) => {}
            Err(error) => found.push(Listed::Unreadable(Unreadable { path, error })),
        }
    }
    Ok(())
}

/// What lies at a path or behind the link there.
fn look(file: &Path) -> Result<fs::Metadata> {
    match fs::metadata(file) {
        Err(error) if is_absent(&error) && file.is_symlink() => Err(StorageError::Special {
            path: file.display().to_string(),
            what: BROKEN_LINK,
        }),
        info => info.map_err(|error| StorageError::from_io("open", file, error)),
    }
}

/// What is neither a file nor a folder.
fn what_is(kind: fs::FileType) -> &'static str {
    if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Whether a path is that of a file which is being written, or was when its writer died.
pub(super) fn is_leftover(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with(LEFTOVER_PREFIX) && name.ends_with(".part")
}
