//! What the bytes of the Extensible Storage Engine mean.
//!
//! Everything here is a pure reading of `&[u8]`: no file is opened, no thread started, nothing printed, and no
//! allocation grows with a number found in the input. The other crates of edbkit build on these types; none of them
//! knows an on-disk offset of its own.

#![forbid(unsafe_code)]

pub mod database;
pub mod error;
pub mod explain;
pub mod file_kind;
pub mod flush_map;
pub mod foreign;
pub mod jet;
mod layout;
pub mod lgpos;
pub mod log;
pub mod page;
pub mod progress;
pub mod reader;
pub mod record;
pub mod signature;
pub mod text;
pub mod time;
pub mod units;

pub use database::DatabaseHeader;
pub use error::FormatError;
pub use explain::{Class, Explain};
pub use file_kind::FileKind;
pub use jet::JetError;
pub use layout::{LayoutField, LayoutTable, Reserved, layouts};
pub use lgpos::Lgpos;
pub use progress::Progress;
pub use reader::Reader;
pub use record::{Record, RecordError, RecordFormat, RecordType};
pub use signature::Signature;
pub use time::LogTime;
pub use units::{Dbtime, Generation, ObjId, Pgno, ProcId};
