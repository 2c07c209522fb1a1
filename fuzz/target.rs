//! Every fuzz target is this file: the name of the program says which one it is.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attack::attack(env!("CARGO_BIN_NAME"), bytes));
