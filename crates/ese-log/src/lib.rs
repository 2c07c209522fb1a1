//! Reading one ESE log stream: its files, their segments, its records, the chain they form.
//!
//! [`StreamFiles`] finds the files of a stream in a folder. [`LogImage`] is one log in memory, checked. [`LogStream`]
//! reads records over all generations, whichever of the two on-disk layouts they are in.
//!
//! Nothing here writes, and nothing trusts: any bytes give an answer, a finding or an error with a position.
//!
//! Whether a stream is complete and undamaged:
//!
//! ```
//! use ese_log::{StreamFiles, chain};
//! # let folder = ese_testkit::fixtures::testdata_set("crash-p8k").join("state");
//!
//! let files = StreamFiles::find(&folder, None)?;
//! let report = chain::verify(&files, None, &())?.expect("nobody stopped it");
//! for finding in &report.findings {
//!     println!("{finding:?}");
//! }
//! assert_eq!(report.count(chain::Severity::Warning), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod beside;
pub mod chain;
mod checksum_records;
pub mod diff;
mod error;
mod folder;
mod image;
mod limit;
mod moment;
mod name;
mod places;
mod records;
mod segments;
pub mod stat;
mod stream;
pub mod subject;
pub mod transactions;

pub use error::{HeaderProblem, LogError};
pub use folder::{StreamFile, StreamFiles};
pub use image::{Body, Damage, LogImage, MAX_LOG_SIZE, RangeOrigin, TrustedRange, trusted_header};
pub use limit::{Until, time_of};
pub use moment::{Interval, Moment, begun_after, logged};
pub use name::{BASE_NAME_LENGTH, FileRole, LogFileName, Naming};
pub use places::StreamChoice;
pub use records::{BadRecord, RawRecord, RecordCursor};
pub use stream::{LogObserver, LogStream, StreamRecords, StreamStep};
