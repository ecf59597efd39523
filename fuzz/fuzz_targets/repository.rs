#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rdump_fuzz::repository(input));
