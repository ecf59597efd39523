//! Oplogs that MongoDB 6.0.5 wrote while a client did what their names say, and a part of one of 4.4.2.
//!
//! Large transactions are made small by `maxNumberOfTransactionOperationsInSingleOplogEntry`, but for the one in
//! `large-transaction`, of 20 MiB, which holds little and is compressed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use bson::RawDocument;
use rdump_format::{Codec, decompress, documents, ext_json, validate};
use rdump_oplog::{
    BatchOptions, Batcher, Dispatch, Disposition, IndexCatalog, Replay, ReplayOptions,
    ReplayTarget, Step, check_captured,
};

const CAPTURED: [&str; 9] = [
    "crud.bson",
    "ddl.bson",
    "feature-version.bson",
    "large-transaction.bson.zst",
    "mongodb-4.4.bson",
    "rename.bson",
    "system.bson",
    "timeseries.bson",
    "transactions.bson",
];

/// The most of a document that a snapshot shows, in characters.
const SHOWN: usize = 240;

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn oplog(name: &str) -> Vec<u8> {
    let stored = fs::read(testdata().join(name)).unwrap();
    if !name.ends_with(".zst") {
        return stored;
    }
    let mut bytes = Vec::new();
    let length = 20_974_237;
    decompress(Codec::Zstd, &stored, length, &mut bytes).unwrap();
    bytes
}

fn shown(document: &RawDocument) -> String {
    let json = ext_json::to_canonical(document).unwrap();
    match json.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &json[..end]),
        None => json,
    }
}

/// All that comes of an oplog: a line for each step, and what is left.
fn replayed(name: &str) -> String {
    let oplog = oplog(name);
    let target = ReplayTarget::new([6, 0, 5]);
    let mut replay = Replay::new(target, ReplayOptions::default(), IndexCatalog::new());
    let mut batcher = Batcher::new(BatchOptions::default().lanes(NonZeroUsize::MIN));
    let mut kept: BTreeMap<_, Vec<&[u8]>> = BTreeMap::new();
    let (mut out, mut steps, mut dispatches) = (String::new(), Vec::new(), Vec::new());
    for entry in documents(&oplog) {
        let entry = entry.unwrap();
        if let Err(error) = check_captured(entry) {
            writeln!(out, "dump: {error}").unwrap();
        }
        match replay.push(entry, &mut steps).unwrap() {
            Disposition::Done => {}
            Disposition::Keep(key) => kept.entry(key).or_default().push(entry),
            Disposition::Commit(key) => {
                for entry in kept.remove(&key).unwrap().into_iter().chain([entry]) {
                    replay.push_committed(entry, &mut steps).unwrap();
                }
            }
            Disposition::Abort(key) => drop(kept.remove(&key).unwrap()),
        }
        for step in steps.drain(..) {
            match step {
                Step::Apply(operation) => {
                    validate(operation.document().as_bytes()).unwrap();
                    writeln!(out, "apply: {}", shown(operation.document())).unwrap();
                    batcher.push(operation, &mut dispatches);
                }
                other => writeln!(out, "{other:?}").unwrap(),
            }
        }
    }
    batcher.finish(&mut dispatches);
    let replayed = replay.finish();
    writeln!(out, "applied: {}", replayed.applied).unwrap();
    writeln!(out, "unfinished: {:?}", replayed.unfinished).unwrap();
    for (namespace, collection) in replayed.catalog.into_collections() {
        let (collation, ordered) = (collection.collation, collection.ordered);
        writeln!(out, "{namespace}: {collation:?}, ordered: {ordered}").unwrap();
        for spec in &collection.specs {
            writeln!(out, "  {}", shown(spec)).unwrap();
        }
    }
    let batches = dispatches.iter().map(|dispatch| match dispatch {
        Dispatch::Batch(batch) => {
            validate(batch.command().as_bytes()).unwrap();
            batch.operations().to_string()
        }
        _ => "wait".to_owned(),
    });
    writeln!(out, "batches: {}", batches.collect::<Vec<_>>().join(" ")).unwrap();
    out
}

#[test]
fn oplogs_of_real_servers_are_replayed() {
    for name in CAPTURED {
        insta::assert_snapshot!(name.replace('.', "_"), replayed(name));
    }
}

#[test]
fn every_captured_oplog_is_listed() {
    for entry in fs::read_dir(testdata()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(CAPTURED.contains(&&*name), "{name} is not read by any test");
    }
}

/// Whatever is cut off or flipped, an oplog is replayed or refused, and never anything else.
#[test]
fn damaged_entries_are_replayed_or_refused() {
    for name in CAPTURED.into_iter().filter(|name| name.ends_with(".bson")) {
        let oplog = oplog(name);
        for entry in documents(&oplog) {
            let entry = entry.unwrap();
            for at in 0..entry.len() {
                let mut damaged = entry.to_vec();
                damaged[at] ^= 1 << (at % 8);
                let target = ReplayTarget::new([6, 0, 5]);
                let mut replay = Replay::new(target, ReplayOptions::default(), IndexCatalog::new());
                let _ = replay.push(&damaged, &mut Vec::new());
                let _ = replay.push(&entry[..at], &mut Vec::new());
                let _ = replay.push_committed(&damaged, &mut Vec::new());
                let _ = check_captured(&damaged);
            }
        }
    }
}
