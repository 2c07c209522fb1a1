//! What the bytes of the Extensible Storage Engine mean.
//!
//! Everything here is a pure reading of `&[u8]`: no file is opened, no thread started, nothing printed, and no
//! allocation grows with a number found in the input. The other crates of edbkit build on these types; none of them
//! knows an on-disk offset of its own.
//!
//! ```
//! use ese_format::database::HeaderCopies;
//! use ese_format::page::{PageSize, PageView};
//! use ese_format::{FileKind, Pgno};
//! # let path = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
//!
//! let bytes = std::fs::read(path)?;
//! assert_eq!(FileKind::detect(&bytes), FileKind::Database);
//! let headers = HeaderCopies::read(&bytes);
//! let header = &headers.good().ok_or("both copies are damaged")?.fields;
//! println!("State: {}", header.state);
//!
//! let size = PageSize::new(headers.page_size).ok_or("no page size")?;
//! let start = Pgno(4).file_offset(size.bytes()) as usize;
//! let page = PageView::new(Pgno(4), &bytes[start..start + size.as_usize()])?;
//! println!("page 4 has {} nodes", page.node_count());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod database;
pub mod error;
pub mod explain;
pub mod file_kind;
pub mod flush_map;
pub mod foreign;
pub mod hex;
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
pub use jet::{JetError, JetSuffix};
pub use layout::{LayoutField, LayoutTable, Reserved, layouts};
pub use lgpos::Lgpos;
pub use progress::Progress;
pub use reader::Reader;
pub use record::{Record, RecordError, RecordFormat, RecordType};
pub use signature::Signature;
pub use time::LogTime;
pub use units::{Dbtime, Generation, ObjId, Pgno, ProcId};
