//! Headers, log records and log chains as text, with the labels and in the order that administrators know from
//! `eseutil`.
//!
//! Each function takes a thing that another crate has read and returns what prints it:
//!
//! | function | text of | as in |
//! |---|---|---|
//! | [`database_header`] | one copy of a database header | `eseutil /mh` |
//! | [`flush_map`] | the header of a flush map | in the manner of `eseutil /mh` |
//! | [`log_header`] | the header of a log | `eseutil /ml` |
//! | [`checkpoint`] | one copy of a checkpoint | `eseutil /mk` |
//! | [`record`] | a log record | `eseutil /ml /v` |
//! | [`chain`] | what verification found in a log stream | the labels of `eseutil /ml` |
//! | [`lgpos`] | a position | headers |
//! | [`database_meaning`] | what a database is good for, in one line | |
//!
//! People's scripts look for these labels, and tests compare the text with what the reference engine printed. Nothing
//! here reads bytes: what a thing means is said by the crate that it comes from.
//!
//! ```
//! use ese_format::database::HeaderCopies;
//! # let path = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
//!
//! let headers = HeaderCopies::read(&std::fs::read(path)?);
//! let text = ese_text::database_header(&headers.primary).to_string();
//! assert!(text.contains("State: Clean Shutdown"));
//! # Ok::<(), std::io::Error>(())
//! ```

#![forbid(unsafe_code)]

mod chain;
mod database;
mod fields;
mod flush_map;
mod log;
mod meaning;
mod record;

pub use chain::chain;
pub use database::database_header;
pub use fields::lgpos;
pub use flush_map::flush_map;
pub use log::{checkpoint, log_header};
pub use meaning::{
    copies_text, database_meaning, differing_fields, header_findings, is_usable, repair_finding,
    size_findings,
};
pub use record::record;
