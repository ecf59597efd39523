//! The file that node_exporter's textfile collector reads.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::Registry;

/// The most bytes that such a file may have.
const MOST_BYTES: u64 = 4 << 20;
/// How long another run that changes a file of the same folder is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Changes what a file holds, which others see as it was before or after. What `change` leaves alone stays.
///
/// # Errors
///
/// Where the folder is not there or may not be written to, and where the file holds what rdump did not write.
pub(crate) fn update(path: &Path, change: impl FnOnce(&Registry)) -> anyhow::Result<()> {
    let Some(name) = path.file_name() else {
        bail!("{} names no file", path.display());
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let opened = File::open(folder);
    let lock = opened.with_context(|| format!("cannot open {}", folder.display()))?;
    wait_for(&lock);
    let registry = Registry::new();
    let before = read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Err(unknown) = registry.restore(&before) {
        bail!(
            "line {} of {} is nothing that rdump writes: name a file of its own",
            unknown.line,
            path.display()
        );
    }
    change(&registry);
    // The collector takes no notice of it, whose name ends otherwise.
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(".new");
    let new = folder.join(new);
    let written = write(&new, &registry.text()).and_then(|()| fs::rename(&new, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Waits for who holds the folder, but not for ever: who runs us may hold it.
fn wait_for(folder: &File) {
    let begun = Instant::now();
    while let Err(TryLockError::WouldBlock) = folder.try_lock() {
        if begun.elapsed() > PATIENCE {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(MOST_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(text)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Of a run that was killed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(path)?;
    // node_exporter is another user.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
