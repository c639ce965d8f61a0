//! See `docs/TESTING.md`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| presence_fuzz::properties::socket_io(input));
