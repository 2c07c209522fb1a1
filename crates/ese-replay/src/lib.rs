//! Soft recovery of ESE databases on any operating system: what is needed, redo, undo, and where the result goes.

#![forbid(unsafe_code)]

pub mod database;
pub mod error;
pub mod output;
pub mod page_edit;
pub mod page_files;
pub mod pages;
pub mod recovery;
pub mod redo;
pub mod session;
mod tree;
pub mod undo;
pub mod view;

pub use database::ReplayDatabase;
pub use error::{Problem, ReplayError};
pub use redo::Redo;
