//! A disk that is soon full.

use std::{path::Path, process::Command};

use tempfile::TempDir;

/// A file system in memory with room for a given number of bytes; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of `bytes` bytes, rounded up to pages; needs the right to mount, which root has.
    pub fn mount(bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let output = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={bytes},mode=0777"),
                "tmpfs",
            ])
            .arg(folder.path())
            .output();
        let output = output.unwrap_or_else(|error| panic!("running mount: {error}"));
        assert!(
            output.status.success(),
            "cannot mount a small disk: {}; run the tests as root (in a container: with CAP_SYS_ADMIN), \
             or inside `unshare --map-root-user --mount`",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Self { folder }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a child of the test may still have a file open. What fails here is left to the system.
        drop(
            Command::new("umount")
                .arg("--lazy")
                .arg(self.path())
                .output(),
        );
    }
}
