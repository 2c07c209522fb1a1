//! Why a copy cannot be made.

use ese_format::explain::{advise, jet_of};
use ese_format::{Class, Explain, JetError};
use ese_scan::PageFinding;
use evidence::{ReadError, ReadErrorKind};
use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a copy cannot be made, or not go on.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The source cannot be read.
    #[error("{name}: {needed} bytes at offset {offset:#x} cannot be read: {error}{}", tries(*attempts))]
    Read {
        /// The source.
        name: String,
        /// Where.
        offset: u64,
        /// How much.
        needed: u64,
        /// How often it was tried.
        attempts: u32,
        /// Why not.
        error: ReadError,
    },
    /// The source cannot be looked at.
    #[error("{name}: {error}")]
    Source {
        /// The source.
        name: String,
        /// Why not.
        error: ReadError,
    },
    /// The target cannot be written, or not be read back.
    #[error("{}: cannot {action}: {error}", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the operating system says.
        error: io::Error,
    },
    /// The source is not the one that the copy was begun with.
    #[error("{name} is not what it was when the copy began: {}", differences.join("; "))]
    SourceChanged {
        /// The source.
        name: String,
        /// What differs, each as "what: before, now".
        differences: Vec<String>,
    },
    /// The copy was begun with another source.
    #[error("{name} is not the source that the copy began with, {before}: {}", differences.join("; "))]
    OtherSource {
        /// The source.
        name: String,
        /// The source that the copy began with.
        before: String,
        /// What differs, each as "what: before, now".
        differences: Vec<String>,
    },
    /// The source is a database that was not shut down, or is still in use.
    #[error("{name} is in the state {state}: it is in use, or was not shut down{required}")]
    Dirty {
        /// The source.
        name: String,
        /// Its state in the words of header dumps.
        state: String,
        /// `; it needs log generations ...`, or nothing.
        required: String,
    },
    /// The source has damaged pages, and they were not to be copied.
    #[error("{name}: stopped at damaged pages: {} in this chunk, the first is {}", findings.len(), findings.first().map_or_else(String::new, ToString::to_string))]
    BadPages {
        /// The source.
        name: String,
        /// The pages of the chunk in which the copy stopped.
        findings: Vec<PageFinding>,
    },
    /// Another copy to the same target is under way.
    #[error("{} is locked: another copy to the same target is under way", journal.display())]
    Locked {
        /// The journal.
        journal: PathBuf,
    },
    /// The journal does not say what the partial copy is of.
    #[error("{}: {why}", journal.display())]
    BadJournal {
        /// The journal.
        journal: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What has the name of a new journal is not one that a copy left.
    #[error("{} is in the way: it is not a journal that a copy left there", path.display())]
    ForeignJournal {
        /// What is there.
        path: PathBuf,
    },
    /// Something is where the copy should be.
    #[error("{} exists already{why}", path.display())]
    TargetExists {
        /// The file.
        path: PathBuf,
        /// More about it.
        why: &'static str,
    },
    /// The partial copy is not what the journal says.
    #[error("{}: {why}", partial.display())]
    PartialGone {
        /// The partial copy.
        partial: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What is where the copy should be cannot be written.
    #[error("{} is {what}", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// What would be written has other names, under which it would change too.
    #[error("{} has {names} names (hard links): what is written to it changes under all of them", path.display())]
    SeveralNames {
        /// The file.
        path: PathBuf,
        /// How many.
        names: u64,
    },
    /// Source and target are one file.
    #[error("{} is the source itself, by this or another name", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// The size of a chunk is none that can be.
    #[error("a chunk of {size} bytes: it must be a power of two from 64KiB to 64MiB")]
    ChunkSize {
        /// What was asked for.
        size: u64,
    },
}

fn tries(attempts: u32) -> String {
    match attempts {
        0 | 1 => String::new(),
        attempts => format!(" (tried {attempts} times)"),
    }
}

impl CopyError {
    /// For `map_err`: an error of the target's file at `path`.
    pub(crate) fn target(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| CopyError::Target {
            path,
            action,
            error,
        }
    }
}

impl Explain for CopyError {
    fn class(&self) -> Class {
        match self {
            CopyError::Read { .. } | CopyError::Source { .. } | CopyError::Target { .. } => {
                Class::Io
            }
            CopyError::ChunkSize { .. } => Class::Usage,
            // There is no copy, which a finding about a copy would hide.
            CopyError::BadPages { .. }
            | CopyError::SourceChanged { .. }
            | CopyError::OtherSource { .. }
            | CopyError::Dirty { .. }
            | CopyError::Locked { .. }
            | CopyError::BadJournal { .. }
            | CopyError::ForeignJournal { .. }
            | CopyError::TargetExists { .. }
            | CopyError::NotAFile { .. }
            | CopyError::SeveralNames { .. }
            | CopyError::PartialGone { .. }
            | CopyError::SameFile { .. } => Class::Refused,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            CopyError::Read { .. } => Some(JetError::DISK_IO),
            CopyError::Dirty { .. } => Some(JetError::DATABASE_DIRTY_SHUTDOWN),
            CopyError::BadPages { findings, .. } => findings.first().and_then(PageFinding::jet),
            CopyError::Source { error, .. } => Some(match error.kind {
                ReadErrorKind::Vanished => JetError::FILE_NOT_FOUND,
                ReadErrorKind::InUse => JetError::FILE_ACCESS_DENIED,
                _ => JetError::DISK_IO,
            }),
            CopyError::Target { error, .. } => Some(jet_of(error.kind())),
            CopyError::SourceChanged { .. }
            | CopyError::OtherSource { .. }
            | CopyError::Locked { .. }
            | CopyError::BadJournal { .. }
            | CopyError::ForeignJournal { .. }
            | CopyError::TargetExists { .. }
            | CopyError::NotAFile { .. }
            | CopyError::SeveralNames { .. }
            | CopyError::PartialGone { .. }
            | CopyError::SameFile { .. }
            | CopyError::ChunkSize { .. } => None,
        }
    }

    fn reason(&self) -> Option<&'static str> {
        Some(match self {
            CopyError::Read { .. } => "read",
            CopyError::Source { .. } => "source",
            CopyError::Target { .. } => "target",
            CopyError::SourceChanged { .. } => "source_changed",
            CopyError::OtherSource { .. } => "other_source",
            CopyError::Dirty { .. } => "dirty",
            CopyError::BadPages { .. } => "bad_pages",
            CopyError::Locked { .. } => "locked",
            CopyError::BadJournal { .. } => "bad_journal",
            CopyError::ForeignJournal { .. } => "foreign_journal",
            CopyError::TargetExists { .. } => "target_exists",
            CopyError::NotAFile { .. } => "not_a_file",
            CopyError::SeveralNames { .. } => "several_names",
            CopyError::PartialGone { .. } => "partial_gone",
            CopyError::SameFile { .. } => "same_file",
            CopyError::ChunkSize { .. } => "chunk_size",
        })
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        advise(match self {
            CopyError::Read { .. } => {
                "what has arrived is kept: run the same command again to go on, or use another copy of the source"
            }
            CopyError::Source { error, .. } => match error.kind {
                ReadErrorKind::InUse => "dismount the database, or stop the service that uses it",
                ReadErrorKind::Vanished => {
                    "check the path or address; run the same command again when it is back"
                }
                ReadErrorKind::Passing => {
                    "run the same command again; --retries sets how often that is done automatically"
                }
                ReadErrorKind::Permanent | ReadErrorKind::Changed => {
                    "check the path or address, and that you may read it"
                }
            },
            CopyError::Target { error, .. } => match error.kind() {
                io::ErrorKind::StorageFull => {
                    "make room, and run the same command again; it goes on where it stopped"
                }
                io::ErrorKind::NotFound => "make the folder first, or name another target",
                _ => "run the same command again when that is fixed; it goes on where it stopped",
            },
            CopyError::SourceChanged { .. } => {
                "dismount the database; then --restart copies all of it, --delta brings a finished older copy up to date"
            }
            CopyError::OtherSource { .. } => {
                "name another target, or the source that the copy began with; --restart gives up what was copied of that"
            }
            CopyError::Dirty { .. } => {
                "dismount it, or recover it first; --allow-dirty copies it as it is, and it needs its logs at the target too"
            }
            CopyError::BadPages { .. } => {
                "use another copy while there is one; --bad-pages keep copies them as they are and lists them"
            }
            CopyError::Locked { .. } => "wait for the other copy to end, or end it",
            CopyError::BadJournal { .. } => {
                "--restart removes the partial copy and the journal, and starts over"
            }
            CopyError::TargetExists { .. } => {
                "--delta brings an older copy up to date, --force replaces it, --restart removes a partial one"
            }
            CopyError::NotAFile { .. } => {
                "name another target, or move it away; --force replaces a link, never what it points to"
            }
            CopyError::SeveralNames { .. } => {
                "--force without --delta replaces this name alone; or name another target"
            }
            CopyError::ForeignJournal { .. } => "move it away, or name another target",
            CopyError::PartialGone { .. } => "--restart starts over",
            CopyError::SameFile { .. } => "name another target",
            CopyError::ChunkSize { .. } => return None,
        })
    }
}
