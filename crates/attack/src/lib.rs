//! Every parser of edbkit as one function that takes any bytes.
//!
//! A target may not panic, hang or fill the memory, whatever it is given; what it answers is not looked at. The fuzzers
//! in `fuzz/` call these functions with bytes of their choice, and `tests/corpus.rs` calls them with all that the
//! fuzzers found worth keeping.
//!
//! Bytes are not taken for a whole file where that would end at the first checksum: they are a [`script`] of edits to a
//! small database or log, and the checksums are made right again before it is read.

#![forbid(unsafe_code)]

pub mod script;
mod seeds;
mod targets;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 22] = [
    ("database_header", targets::headers::database),
    ("log_header", targets::headers::log),
    ("flush_map", targets::headers::flush_map),
    ("page", targets::pages::page),
    ("row", targets::pages::row),
    ("decompress", targets::pages::decompress),
    ("catalog", targets::database::catalog),
    ("database", targets::database::everything),
    ("record", targets::logs::record),
    ("log_image", targets::logs::image),
    ("log_records", targets::logs::records),
    ("chain", targets::logs::chain),
    ("plan", targets::replay::plan),
    ("replay", targets::replay::replay),
    ("timeline", targets::replay::timeline),
    ("copy_journal", targets::files::copy_journal),
    ("overlay", targets::files::overlay),
    ("standby_files", targets::files::standby),
    ("archive", targets::within::archive),
    ("image", targets::within::image),
    ("volume", targets::within::volume),
    ("shadow_copies", targets::within::copies),
];

/// Calls the target `name`; a name that is none of them is a mistake of the caller.
///
/// # Panics
///
/// If there is no such target.
pub fn attack(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target(bytes);
}
