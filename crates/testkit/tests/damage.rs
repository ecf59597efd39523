//! Damage does what it says and nothing else.

use std::fs;

use rdump_testkit::damage::{SmallDisk, copy_tree, files, flip_byte, length, same_trees, truncate};

#[test]
fn a_flipped_byte_and_a_cut_change_just_that() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    fs::create_dir_all(original.join("a/b")).unwrap();
    fs::write(original.join("a/b/file"), b"0123").unwrap();
    fs::write(original.join("top"), b"xyz").unwrap();
    let copy = folder.path().join("copy");
    copy_tree(&original, &copy);
    assert!(same_trees(&original, &copy));
    assert_eq!(
        files(&copy),
        ["a/b/file", "top"].map(std::path::PathBuf::from)
    );
    flip_byte(&copy.join("a/b/file"), 2);
    assert_eq!(fs::read(copy.join("a/b/file")).unwrap(), b"01\xCD3");
    assert!(!same_trees(&original, &copy));
    truncate(&copy.join("top"), 1);
    assert_eq!(length(&copy.join("top")), 1);
    assert!(fs::read(original.join("top")).unwrap() == b"xyz");
}

#[test]
fn a_small_disk_is_soon_full() {
    let disk = SmallDisk::mount(64 << 10);
    let file = disk.path().join("file");
    fs::write(&file, vec![0; 32 << 10]).unwrap();
    let error = fs::write(&file, vec![0; 128 << 10]).expect_err("the disk is full");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
