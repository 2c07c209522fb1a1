//! Copies of very large databases that never start over and are never trusted without a check.
//!
//! A copy is made in chunks by several jobs. Each reads a chunk of the source, checks its pages and hashes it, writes
//! it, and has it entered in a journal once it is on the disk. The journal is the only truth about what has arrived
//! (`docs/format/copy-journal.md`): whatever ends a copy, the same call goes on where the journal ends.
//!
//! ```text
//! SourceFile -> Reader -> check pages, hash -> DiskFile -> Commit -> Journal
//!               retries     one chunk a job                 sync, in order
//! ```
//!
//! Where bytes come from is an [`evidence::SourceFile`], where they go is a [`Disk`](target_disk::Disk); tests put in others that fail,
//! hang or lose what was not synced.
//!
//! The same call makes a copy and goes on with one that was interrupted:
//!
//! ```
//! use edb_copy::{CopyOptions, FileCopy};
//! use evidence::LocalFile;
//! use std::sync::Arc;
//! use target_disk::LocalDisk;
//! # let path = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
//! # let new = tempfile::tempdir()?;
//! # let to = new.path().join("copy.edb");
//!
//! let source = Arc::new(LocalFile::open(path)?);
//! let mut copy = FileCopy::open(source, &LocalDisk, to, CopyOptions::default(), &())?;
//! if copy.run(&())? {
//!     copy.finish()?;
//! }
//! println!("{:?}", copy.report().outcome);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod chunk;
mod clean;
mod commit;
mod copy;
mod copy_change;
mod delta;
mod digest;
mod error;
mod folder;
mod hash;
mod identity;
mod journal;
mod manifest;
mod paths;
mod reader;
mod report;
mod status;
mod verify;

pub use chunk::{ChunkHash, Chunks};
pub use clean::{Cleaned, KeptReason, clean};
pub use copy::{
    Action, ArrivedCopy, BadPages, CopyOptions, CopyPlan, ExistingFile, FileCopy, Method,
    undo_begun,
};
pub use error::CopyError;
pub use folder::{FolderPlan, FolderRole, PlannedFile};
pub use hash::{FileHashes, hash_file};
pub use identity::{
    DatabaseIdentity, SourceCondition, SourceIdentity, StoredSignature, StoredTime,
};
pub use journal::{
    ArrivedEntry, BeginEntry, Claim, CompleteEntry, Journal, JournalEntry, JournalState,
    LoadedJournal,
};
pub use manifest::{Manifest, ManifestError, ManifestFile};
pub use paths::TargetPaths;
pub use reader::{ReadPolicy, SourceReader};
pub use report::{CopiedPages, CopyOutcome, CopyReport};
pub use status::{TargetState, TargetStatus, status};
pub use verify::{Mismatch, VerifyReport, hashes_of, verify_against, verify_with_source};

/// Default size of a chunk.
pub const DEFAULT_CHUNK: u64 = 16 << 20;
/// Smallest chunk: two of the largest pages.
pub const MIN_CHUNK: u64 = 64 << 10;
/// Smallest block of a manifest.
pub const MIN_BLOCK: u64 = 4 << 10;
/// Largest chunk.
pub const MAX_CHUNK: u64 = 64 << 20;
