//! Replays the corpus of the fuzz target.

#[path = "../../../fuzz/src/oplog.rs"]
#[expect(
    unreachable_pub,
    reason = "the fuzz target calls it from its own crate"
)]
mod target;

use std::fs;
use std::path::PathBuf;

#[test]
fn every_input_of_the_corpus_passes_with_any_one_byte_changed_or_the_rest_cut() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/oplog_entry");
    let mut inputs: usize = 0;
    for input in fs::read_dir(corpus).unwrap() {
        let path = input.unwrap().path();
        println!("{}", path.display());
        let seed = fs::read(path).unwrap();
        target::oplog_entry(&seed);
        for at in 0..seed.len().min(512) {
            for byte in [0x00, 0x7F, 0xFF, seed[at] ^ 1, seed[at].wrapping_add(1)] {
                let mut input = seed.clone();
                input[at] = byte;
                target::oplog_entry(&input);
            }
            target::oplog_entry(&seed[..at]);
        }
        inputs += 1;
    }
    assert!(inputs > 0);
}
