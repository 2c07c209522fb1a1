//! Soft recovery of ESE databases on any operating system: what is needed, redo, undo, and where the result goes.

#![forbid(unsafe_code)]

pub mod page_edit;
