//! A case: many ESE files in folders, archives, disk images and shadow copies.
//!
//! ```text
//! find       walks all of them, knows ESE files by their content, and puts together what belongs together
//! collect    reads what was found, each database in its best state, into one dataset
//! ```
//!
//! Nothing but [`collect`](mod@collect) writes, and that to a folder of its own. Nothing trusts a name: what a file is, its
//! content says, and which files belong together, their signatures.

#![forbid(unsafe_code)]

pub mod collect;
pub mod find;
mod named;

pub use named::Named;
