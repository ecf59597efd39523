//! Replays the corpora of the fuzz targets.

use std::fs;
use std::path::PathBuf;

use crate::targets;

/// A target takes an input and panics when it finds a fault.
type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 7] = [
    ("archive", targets::archive),
    ("documents", targets::documents),
    ("file_name", targets::file_name),
    ("manifest", targets::manifest),
    ("metadata", targets::metadata),
    ("repository", targets::repository),
    ("segment", targets::segment),
];

#[test]
fn every_input_of_the_corpora_passes() {
    let corpora = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut listed: Vec<_> = TARGETS.map(|(name, _)| name).into();
    for corpus in fs::read_dir(corpora).unwrap() {
        let corpus = corpus.unwrap().path();
        if corpus.ends_with("oplog_entry") {
            // The tests of the oplog replay it.
            continue;
        }
        let (name, target) = TARGETS
            .into_iter()
            .find(|(name, _)| corpus.ends_with(name))
            .unwrap();
        listed.retain(|listed| *listed != name);
        for input in fs::read_dir(&corpus).unwrap() {
            let path = input.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
    }
    assert!(listed.is_empty(), "no corpus for {listed:?}");
}

#[test]
fn every_seed_with_any_one_byte_changed_passes() {
    for (name, target) in TARGETS {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(name);
        for input in fs::read_dir(corpus).unwrap() {
            let input = input.unwrap();
            // What fuzzing found has been through that.
            if input.file_name().to_string_lossy().starts_with("found-") {
                continue;
            }
            let seed = fs::read(input.path()).unwrap();
            for at in 0..seed.len().min(512) {
                for byte in [
                    0x00,
                    0x7F,
                    0xFF,
                    b'"',
                    seed[at] ^ 1,
                    seed[at].wrapping_add(1),
                ] {
                    let mut input = seed.clone();
                    input[at] = byte;
                    target(&input);
                }
                target(&seed[..at]);
            }
        }
    }
}
