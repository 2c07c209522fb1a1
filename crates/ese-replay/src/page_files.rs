//! Places for the pages of a replay.

mod direct;
mod memory;
mod overlay;
mod shared;

pub use direct::DirectFile;
pub use memory::MemoryFile;
pub use overlay::{BaseMark, Overlay, OverlayError};
pub use shared::Shared;
