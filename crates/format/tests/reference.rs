//! What mongodump wrote, which must be read for ever, and come out of our writer the same.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use rdump_format::{
    ArchiveDecoder, ArchiveEvent, ArchivePrelude, ArchiveWriter, Codec, CollectionMetadata, Crc64,
    Namespace, decoder, documents, validate,
};

/// How many documents each namespace has.
type Counts = BTreeMap<String, u64>;

/// An archive: its file, then the namespaces and how many documents each has, in order of names.
type Archive = (&'static str, &'static [(&'static str, u64)]);

const ARCHIVES: [Archive; 6] = [
    ("alternating.archive.gz", &[("wide.a", 9), ("wide.b", 9)]),
    ("collection.archive", &[("shop.orders", 30)]),
    (
        "database.archive",
        &[
            ("shop.$admin.system.roles", 1),
            ("shop.$admin.system.users", 1),
            ("shop.$admin.system.version", 2),
            ("shop.café & more/50%.\n", 2),
            ("shop.empty", 0),
            ("shop.open orders", 0),
            ("shop.orders", 40),
            ("shop.system.buckets.prices", 3),
            ("shop.types", 16),
        ],
    ),
    ("views.archive", &[("shop.open orders", 10)]),
    (
        "whole.archive",
        &[
            (".oplog", 12),
            ("admin.system.roles", 1),
            ("admin.system.users", 2),
            ("admin.system.version", 2),
            ("live.log", 49),
            ("shop.café & more/50%.\n", 2),
            ("shop.empty", 0),
            ("shop.open orders", 0),
            ("shop.orders", 40),
            ("shop.system.buckets.prices", 3),
            ("shop.types", 16),
        ],
    ),
    (
        "whole.archive.gz",
        &[
            ("admin.system.roles", 1),
            ("admin.system.users", 2),
            ("admin.system.version", 2),
            ("shop.café & more/50%.\n", 2),
            ("shop.empty", 0),
            ("shop.open orders", 0),
            ("shop.orders", 40),
            ("shop.system.buckets.prices", 3),
            ("shop.types", 16),
        ],
    ),
];

/// What else is in the folder: how the archives were made, and dumps that the tests of everything restore.
const OTHERS: [&str; 5] = ["README.md", "data-sets", "live.js", "seed.js", "wide.js"];

fn reference() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/reference")
}

fn uncompressed(name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let stored = fs::read(reference().join(name))?;
    let codec = if name.ends_with(".gz") {
        Codec::Gzip
    } else {
        Codec::None
    };
    let mut archive = Vec::new();
    decoder(codec, stored.as_slice())?.read_to_end(&mut archive)?;
    Ok(archive)
}

fn check_prelude(prelude: &ArchivePrelude) -> Result<(), Box<dyn Error>> {
    assert_eq!(prelude.server_version.as_deref(), Some("6.0.5"));
    assert_eq!(prelude.tool_version, "100.18.0");
    for collection in &prelude.collections {
        if collection.metadata.is_empty() {
            continue;
        }
        let metadata = CollectionMetadata::from_json(collection.metadata.as_bytes())?;
        assert_eq!(metadata.to_json()?, collection.metadata);
        assert_eq!(metadata.kind, collection.kind);
        assert_eq!(
            metadata.collection.as_ref(),
            Some(&collection.namespace.collection)
        );
    }
    Ok(())
}

/// Reads `archive`; gives what a writer makes of it, and the count of each namespace.
fn write_again(archive: &[u8]) -> Result<(Vec<u8>, Counts), Box<dyn Error>> {
    let mut decoder = ArchiveDecoder::new();
    let (mut writer, mut out) = (None, Vec::new());
    let (mut block, mut counts) = (Namespace::new("", ""), BTreeMap::new());
    for mut piece in archive.chunks(64 * 1024) {
        while let Some(event) = decoder.decode(&mut piece)? {
            if let ArchiveEvent::Prelude(prelude) = event {
                check_prelude(&prelude)?;
                writer = Some(ArchiveWriter::new(&prelude, &mut out)?);
                continue;
            }
            let writer = writer.as_mut().ok_or("no prelude")?;
            match event {
                ArchiveEvent::Prelude(_) => {}
                ArchiveEvent::Block { namespace, .. } => {
                    block = namespace.clone();
                    counts.entry(namespace.to_string()).or_default();
                    writer.run(&block, &Crc64::new(), &mut out)?;
                }
                ArchiveEvent::Documents {
                    documents: count,
                    bytes,
                    ..
                } => {
                    for document in documents(bytes) {
                        validate(document?)?;
                    }
                    *counts.entry(block.to_string()).or_default() += count;
                    writer.run(&block, &Crc64::of(bytes), &mut out)?;
                    out.extend_from_slice(bytes);
                }
                ArchiveEvent::End { namespace, .. } => writer.end(namespace, &mut out)?,
            }
        }
    }
    decoder.finish()?;
    writer.ok_or("no prelude")?.finish()?;
    Ok((out, counts))
}

#[test]
fn archives_of_mongodump_are_read_and_written_the_same() {
    for (name, expected) in ARCHIVES {
        println!("{name}");
        let archive = uncompressed(name).unwrap();
        let (again, counts) = write_again(&archive).unwrap();
        let expected = expected
            .iter()
            .map(|(name, count)| (name.to_string(), *count));
        assert_eq!(counts, expected.collect());
        assert!(again == archive, "{name} is written differently");
    }
}

#[test]
fn namespaces_of_the_alternating_archive_have_several_blocks() {
    let archive = uncompressed("alternating.archive.gz").unwrap();
    let mut piece = archive.as_slice();
    let mut decoder = ArchiveDecoder::new();
    let mut blocks = Vec::new();
    while let Some(event) = decoder.decode(&mut piece).unwrap() {
        if let ArchiveEvent::Block { collection, .. } = event {
            blocks.push(collection);
        }
    }
    assert_eq!(blocks, [1, 0, 1, 0]);
}

#[test]
fn every_file_of_the_reference_tools_is_listed() {
    for entry in fs::read_dir(reference()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let mut archives = ARCHIVES.iter().map(|(listed, _)| *listed);
        assert!(
            archives.any(|listed| listed == name) || OTHERS.contains(&name.as_str()),
            "{name} is not read by any test"
        );
    }
}
