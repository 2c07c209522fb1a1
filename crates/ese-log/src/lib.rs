//! Reading one ESE log stream: its files, their segments, its records, the chain they form.
//!
//! [`StreamFiles`] finds the files of a stream in a folder. [`LogImage`] is one log in memory, checked. [`LogStream`]
//! reads records over all generations, whichever of the two on-disk layouts they are in.
//!
//! Nothing here writes, and nothing trusts: any bytes give an answer, a finding or an error with a position.

#![forbid(unsafe_code)]

pub mod chain;
mod checksum_records;
pub mod diff;
mod error;
mod folder;
mod image;
mod limit;
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
pub use name::{BASE_NAME_LENGTH, FileRole, LogFileName, Naming};
pub use places::StreamChoice;
pub use records::{BadRecord, RawRecord, RecordCursor};
pub use stream::{LogObserver, LogStream, StreamRecords, StreamStep};
