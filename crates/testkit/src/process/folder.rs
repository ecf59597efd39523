//! Folders of servers, which a later run removes when the process that made them was killed.

use std::{
    fs::{self, File},
    path::Path,
    sync::Once,
    time::Duration,
};

use tempfile::TempDir;

const PREFIX: &str = "rdump-testkit-";
/// File that the owning process keeps locked.
const OWNER: &str = "owner";
/// Younger folders may not be locked yet.
const MIN_AGE: Duration = Duration::from_secs(60);

/// A temporary folder with a lock that shows that its owner lives.
#[derive(Debug)]
pub(crate) struct Folder {
    directory: TempDir,
    _owner: File,
}

impl Folder {
    /// Creates a folder below the system's one for temporary files.
    pub(crate) fn create() -> Self {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .expect("a temporary folder can be created");
        let owner =
            File::create(directory.path().join(OWNER)).expect("a temporary file can be created");
        owner.lock().expect("a new file can be locked");
        Self {
            directory,
            _owner: owner,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes the folders that killed processes left behind.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_abandoned(&entry.path()) {
            // Another process may be sweeping too.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    let Ok(owner) = File::open(folder.join(OWNER)) else {
        return false;
    };
    let is_old = owner
        .metadata()
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > MIN_AGE));
    is_old && owner.try_lock().is_ok()
}
