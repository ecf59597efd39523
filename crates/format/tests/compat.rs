//! Folders of every version of the format, which this version must read for ever.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rdump_format::{
    Codec, CollectionMetadata, Digest, Digester, FileName, FileRecord, FileRole, FolderManifest,
    FormatVersion, MANIFEST_FILE, Prelude, decoder, documents, validate,
};

/// The folders in `testdata/`, and the version that wrote each.
const FOLDERS: [(&str, FormatVersion); 2] = [
    ("folder-1.0", FormatVersion::new(1, 0)),
    ("folder-1.1", FormatVersion::new(1, 1)),
];

/// The repositories and bundles in `testdata/`, which are read by `fixture.rs` of the engine's tests: of each version one.
const REPOSITORIES: [&str; 5] = [
    "repository-1.0",
    "bundle-1.0.tar",
    "repository-1.1",
    "timeline-1.1",
    "audit-1.1",
];

/// The folder in `testdata/` of what the reference tools wrote, whose files are listed in `reference.rs`.
const REFERENCE: &str = "reference";

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// What the file holds, checked against everything that the manifest says about it.
fn content(folder: &Path, file: &FileRecord) -> Result<Vec<u8>, Box<dyn Error>> {
    let stored = fs::read(folder.join(&file.path))?;
    assert_eq!(stored.len() as u64, file.stored_bytes);
    assert_eq!(Digest::of(&stored), file.sha256);

    let mut content = Vec::new();
    decoder(file.codec, stored.as_slice())?.read_to_end(&mut content)?;
    assert_eq!(content.len() as u64, file.uncompressed_bytes);
    if file.kind.has_documents() {
        let (mut opened, mut rest) = (Vec::new(), stored.as_slice());
        let mut digester = Digester::new();
        for segment in &file.segments {
            let (piece, after) = rest.split_at(usize::try_from(segment.stored_bytes)?);
            segment.open(file.codec, piece, &mut digester, &mut opened)?;
            rest = after;
        }
        assert!(rest.is_empty());
        assert_eq!(opened, content);
    }
    Ok(content)
}

#[test]
fn folders_of_every_version_are_read() {
    for (name, version) in FOLDERS {
        let folder = testdata().join(name);
        let bytes = fs::read(folder.join(MANIFEST_FILE)).unwrap();
        let manifest = FolderManifest::from_bytes(&bytes).unwrap();
        assert_eq!(manifest.version, version);
        for file in &manifest.files {
            println!("{name}/{}", file.path);
            let content = content(&folder, file).unwrap();
            match file.kind {
                FileRole::Data | FileRole::Oplog => {
                    let count = documents(&content)
                        .inspect(|document| validate(document.as_ref().unwrap()).unwrap())
                        .count();
                    assert_eq!(count as u64, file.documents);
                }
                FileRole::Metadata => {
                    let metadata = CollectionMetadata::from_json(&content).unwrap();
                    assert_eq!(metadata.to_json().unwrap().as_bytes(), content);
                    let name = FileName::parse(file.path.rsplit('/').next().unwrap()).unwrap();
                    let collection = name.collection(metadata.collection.as_deref()).unwrap();
                    assert_eq!(
                        Some(collection),
                        file.namespace
                            .as_ref()
                            .map(|namespace| namespace.collection.clone())
                    );
                }
                _ => drop(Prelude::from_json(&content).unwrap()),
            }
        }
        let codecs = [Codec::None, Codec::Gzip, Codec::Zstd];
        assert!(
            codecs
                .into_iter()
                .all(|codec| manifest.files.iter().any(|file| file.codec == codec))
        );
    }
}

#[test]
fn what_this_version_writes_is_what_it_wrote() {
    let bytes = fs::read(testdata().join("folder-1.1").join(MANIFEST_FILE)).unwrap();
    assert_eq!(
        FormatVersion::CURRENT,
        FormatVersion::new(1, 1),
        "a new version needs a new folder in testdata"
    );
    assert_eq!(
        FolderManifest::from_bytes(&bytes)
            .unwrap()
            .to_bytes()
            .unwrap(),
        bytes
    );
}

#[test]
fn every_folder_of_test_data_is_listed() {
    for entry in fs::read_dir(testdata()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let mut folders = FOLDERS.iter().map(|(listed, _)| *listed);
        assert!(
            folders.any(|listed| listed == name)
                || REPOSITORIES.contains(&name.as_str())
                || name == REFERENCE,
            "{name} is not read by any test"
        );
    }
}
