#![no_main]

#[path = "../src/oplog.rs"]
mod oplog;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oplog::oplog_entry(input));
