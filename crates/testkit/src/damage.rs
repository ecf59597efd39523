//! Damages what a dump wrote: flipped bits, cut files, full disks.

mod small_disk;

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

pub use small_disk::SmallDisk;

/// Flips every bit of the byte at `offset`.
pub fn flip_byte(path: &Path, offset: u64) {
    flip_bits(path, offset, 0xFF);
}

/// Flips the bits of `mask` in the byte at `offset`.
pub fn flip_bits(path: &Path, offset: u64, mask: u8) {
    let mut file = named(path, OpenOptions::new().read(true).write(true).open(path));
    let mut byte = [0];
    named(path, file.seek(SeekFrom::Start(offset)));
    named(path, file.read_exact(&mut byte));
    byte[0] ^= mask;
    named(path, file.seek(SeekFrom::Start(offset)));
    named(path, file.write_all(&byte));
}

/// Cuts a file so that its first `bytes` bytes are left; a longer file is required.
pub fn truncate(path: &Path, bytes: u64) {
    let length = length(path);
    assert!(bytes < length, "{} has only {length} bytes", path.display());
    let file = named(path, OpenOptions::new().write(true).open(path));
    named(path, file.set_len(bytes));
}

/// Length of a file in bytes.
pub fn length(path: &Path) -> u64 {
    named(path, fs::metadata(path)).len()
}

/// All files below a folder, relative to it, in the order of their names.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}

/// Copies a folder with all that is in it; `to` must not exist yet. Symbolic links stay links.
pub fn copy_tree(from: &Path, to: &Path) {
    named(to, fs::create_dir(to));
    for entry in named(from, fs::read_dir(from)) {
        let entry = named(from, entry);
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = named(&source, entry.file_type());
        if kind.is_dir() {
            copy_tree(&source, &copy);
        } else if kind.is_symlink() {
            let target = named(&source, fs::read_link(&source));
            named(&copy, std::os::unix::fs::symlink(target, &copy));
        } else {
            named(&copy, fs::copy(&source, &copy));
        }
    }
}

/// Whether two folders hold the same files with the same bytes.
pub fn same_trees(one: &Path, other: &Path) -> bool {
    let names = files(one);
    let is_same = |name: &PathBuf| read(&one.join(name)) == read(&other.join(name));
    names == files(other) && names.iter().all(is_same)
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = named(path, File::open(path));
    named(path, file.read_to_end(&mut bytes));
    bytes
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in named(folder, fs::read_dir(folder)) {
        let path = named(folder, entry).path();
        if path.is_dir() && !path.is_symlink() {
            collect(root, &path, found);
        } else {
            let relative = path.strip_prefix(root).expect("it is below the root");
            found.push(relative.to_owned());
        }
    }
}

/// Panics with the path when something fails.
#[track_caller]
fn named<T>(path: &Path, result: std::io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
