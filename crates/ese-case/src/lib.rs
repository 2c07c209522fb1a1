//! A case: many ESE files in folders, archives, disk images and shadow copies.
//!
//! ```text
//! find       walks all of them, knows ESE files by their content, and puts together what belongs together
//! ```
//!
//! Nothing here writes, and nothing trusts a name: what a file is, its content says, and which files belong together, their
//! signatures.

#![forbid(unsafe_code)]

pub mod find;
mod named;

pub use named::Named;
