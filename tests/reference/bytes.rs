//! Our files are mongodump's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rdump_testkit::{damage, dataset, reference};
use rdump_tests::programs;
use tempfile::TempDir;

use super::seeded;

/// File by file: the same names, and the same bytes in all data and metadata.
#[tokio::test]
async fn our_plain_folder_is_mongodumps_byte_for_byte() {
    let source = seeded().await;
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    dataset::users_and_roles().seed(&source.client()).await;
    let flags = |folder: &TempDir| {
        let folder = folder.path().to_str().unwrap().to_owned();
        ["--uri".to_owned(), source.uri(), "--out".to_owned(), folder]
    };
    programs::rdump(flags(&ours)).await;
    reference::mongodump(flags(&theirs));
    let (ours, theirs) = (contents(ours.path()), contents(theirs.path()));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    for (name, bytes) in &ours {
        let same = theirs.get(name) == Some(bytes);
        assert!(
            same,
            "{} differs:\n{}\n{}",
            name.display(),
            text(bytes),
            text(&theirs[name])
        );
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
}

/// Every file but those that say who wrote it, by its path below the folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = damage::files(folder).into_iter().map(|file| {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_owned();
        let bytes = fs::read(folder.join(&name)).unwrap();
        (name, bytes)
    });
    let about_us =
        |name: &Path| name.ends_with("rdump.manifest.json") || name.ends_with("prelude.json");
    files.filter(|(name, _)| !about_us(name)).collect()
}
