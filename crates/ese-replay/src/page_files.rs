//! Places for the pages of a replay.

mod memory;

pub use memory::MemoryFile;
