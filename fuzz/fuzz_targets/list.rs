#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| criteo_source::fuzzing::list(bytes));
