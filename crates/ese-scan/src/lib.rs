//! One pass over all pages of a database: checksums, page numbers, lost writes, and digests of the whole file.
//!
//! A database is read front to back in chunks. Several threads read and check chunks; their results come out in file
//! order, so that the report is the same whatever the number of threads. Memory is a few chunks for each thread,
//! whatever the size of the file.
//!
//! The counts are those of `eseutil /k` (`ProcessESEPages`, `_esefile/checksum.cxx` of the reference): both header
//! pages count as pages seen, and blank pages are counted separately.
//!
//! ```
//! use ese_format::database::{HEADERS_MAX, HeaderCopies};
//! use ese_scan::{ScanOptions, scan};
//! use evidence::EvidenceFile;
//! # let path = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
//!
//! let file = EvidenceFile::open(path)?;
//! let headers = HeaderCopies::read(&file.start(HEADERS_MAX)?);
//! let outcome = scan(&file, &headers, &ScanOptions::default(), &())?;
//! assert!(outcome.is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod buffer;
mod digest;
mod flush_map;
mod page;
mod pipeline;
mod rate;
mod report;
mod scan;

pub use buffer::Buffer;
pub use digest::{Digest, DigestKind, Digests, digest_file};
pub use flush_map::{FlushMap, FlushMapError};
pub use page::{PageChecker, PageFindings};
pub use rate::RateLimit;
pub use report::{Counts, PageFinding, PageFindingKind, Position};
pub use scan::{ScanError, ScanOptions, ScanOutcome, scan};
