//! One function per parser.

pub(crate) mod database;
pub(crate) mod files;
pub(crate) mod headers;
pub(crate) mod logs;
pub(crate) mod pages;
pub(crate) mod replay;
pub(crate) mod within;

/// The first byte, which chooses a variant, and the rest.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    match bytes {
        [] => (0, bytes),
        [first, rest @ ..] => (*first, rest),
    }
}
