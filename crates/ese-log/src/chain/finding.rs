//! What verification finds, how bad it is, and what follows from it.

use super::proof::{ChecksumMismatch, Incomplete, Unproved};
use super::survey::LogReport;
use crate::image::Damage;
use ese_format::log::{CheckpointCopy, LogVersion, NEWEST_LOG_VERSION};
use ese_format::{Generation, JetError, JetSuffix, Lgpos, LogTime, Signature};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing is wrong.
    Note,
    /// Something is not as it should be, but recovery gets past it.
    Warning,
    /// Recovery that needs this place would fail.
    Error,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each finding prints itself as a sentence")]
pub enum ChainFindingKind {
    /// Generations are missing between others.
    Gap {
        first: Generation,
        last: Generation,
        files: String,
    },
    /// There is no current log.
    CurrentMissing { file: String },
    /// A copy of another log, or an earlier state of it: the current log that has a number as well, or the other way
    /// round.
    CopyOf { other: String, same: bool },
    /// The current log has the generation of a closed one, but is another log.
    CurrentAlsoNamed { other: String },
    /// The current log is older than finished ones.
    CurrentBehind { last: Generation },
    /// The same generation is there more than once.
    Duplicate { other: String },
    /// Name and header disagree.
    NameMismatch {
        named: Generation,
        found: Generation,
        /// The name that it should have, where no file has that and the chain holds with it.
        rename: Option<String>,
        /// The file that holds what should have this name.
        holder: Option<String>,
    },
    /// The log belongs to another stream.
    ForeignSignature {
        found: Signature,
        expected: Signature,
    },
    /// The log does not continue the one before.
    PreviousCreated {
        before: String,
        found: LogTime,
        expected: LogTime,
    },
    /// The log after it, and those after that, continue another one.
    NotContinued {
        after: String,
        found: LogTime,
        expected: LogTime,
    },
    /// The log fits neither to the one before nor to the one after it.
    OutOfPlace { before: String, after: String },
    /// The next log was begun after another state of this one.
    AccumulatedChecksum {
        next: String,
        found: u64,
        expected: u64,
    },
    /// The end of a closed log is missing.
    Incomplete {
        #[serde(flatten)]
        how: Incomplete,
        /// What the header of the next log says against it.
        checksum: Option<ChecksumMismatch>,
    },
    /// Nothing shows whether the end of a closed log is missing.
    NotProved {
        #[serde(flatten)]
        why: Unproved,
    },
    /// A newer engine than any that is known wrote the log.
    NewerVersion { version: LogVersion },
    /// The log has an older format than the one before.
    VersionBackwards {
        found: LogVersion,
        before: LogVersion,
    },
    /// The log is made up differently from the others.
    GeometryDiffers {
        what: Geometry,
        found: u64,
        expected: u64,
    },
    /// Another installation of the engine wrote the log.
    OtherEngine { differences: Vec<String> },
    /// The file is not as large as its header says.
    FileSize { size: u64, expected: u64 },
    /// The file is empty.
    Empty,
    /// The header, or the whole file, is zeroes.
    Blank,
    /// The header cannot be trusted.
    Header {
        problem: String,
        jet: Option<JetError>,
    },
    /// The file cannot be read.
    Unreadable {
        problem: String,
        jet: Option<JetError>,
    },
    /// The attach list cannot be read to its end.
    AttachList { problem: String },
    /// Something is wrong with the body.
    Damage {
        damage: Damage,
        fatal: bool,
        /// Whether later logs are there.
        followed: bool,
        /// For the first fatal damage of a log: records after it that recovery would not reach.
        records_beyond: Option<u64>,
    },
    /// A record cannot be understood.
    BadRecord { problem: String },
    /// Records were being written when the machine stopped.
    UnfinishedRecords { count: u64 },
    /// The log was made from reserved space, because the disk was full.
    MadeFromReserve,
    /// Circular logging is, or was, on.
    CircularLogging { now: bool },
    /// A temporary or reserve log.
    Leftover { what: &'static str },
    /// There is no checkpoint.
    CheckpointMissing,
    /// The checkpoint cannot be used.
    CheckpointUnusable { problem: String },
    /// One copy of the checkpoint is damaged, or differs from the other.
    CheckpointCopy { copy: CheckpointCopy },
    /// The checkpoint belongs to another stream.
    CheckpointForeign {
        found: Signature,
        expected: Signature,
    },
    /// The log at the checkpoint is not there.
    CheckpointLogMissing { checkpoint: Lgpos, file: String },
}

/// A size that all logs of a stream have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Geometry {
    /// Bytes of a database page.
    #[serde(rename = "page size")]
    PageSize,
    /// Bytes of a log file.
    #[serde(rename = "log file size")]
    LogFileSize,
    /// Bytes of a sector, in the older layout.
    #[serde(rename = "sector size")]
    SectorSize,
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Geometry::PageSize => "page size",
            Geometry::LogFileSize => "log file size",
            Geometry::SectorSize => "sector size",
        })
    }
}

use ChainFindingKind as Kind;

impl ChainFindingKind {
    /// How bad this is.
    pub fn severity(&self) -> Severity {
        match self {
            Kind::Damage { fatal: false, .. }
            | Kind::VersionBackwards { .. }
            | Kind::OtherEngine { .. }
            | Kind::CurrentMissing { .. }
            | Kind::CurrentBehind { .. }
            | Kind::Duplicate { .. }
            | Kind::AttachList { .. }
            | Kind::CheckpointUnusable { .. }
            | Kind::CheckpointCopy { .. }
            | Kind::CheckpointForeign { .. }
            | Kind::MadeFromReserve
            | Kind::CheckpointMissing => Severity::Warning,
            Kind::UnfinishedRecords { .. }
            | Kind::NotProved { .. }
            | Kind::CircularLogging { .. }
            | Kind::Leftover { .. } => Severity::Note,
            _ => Severity::Error,
        }
    }

    /// The engine's error for this, where it has one.
    pub fn jet(&self) -> Option<JetError> {
        Some(match self {
            Kind::Gap { .. } => JetError::MISSING_LOG_FILE,
            Kind::NameMismatch { .. } => JetError::LOG_GENERATION_MISMATCH,
            Kind::ForeignSignature { .. } => JetError::BAD_LOG_SIGNATURE,
            Kind::PreviousCreated { .. } | Kind::NotContinued { .. } | Kind::OutOfPlace { .. } => {
                JetError::INVALID_LOG_SEQUENCE
            }
            Kind::AccumulatedChecksum { .. }
            | Kind::Incomplete {
                checksum: Some(_), ..
            } => JetError::LOG_SEQUENCE_CHECKSUM_MISMATCH,
            // The engine's check of a folder finds a number missing; its recovery ends with -515.
            Kind::CopyOf { .. } | Kind::CurrentAlsoNamed { .. } => JetError::MISSING_LOG_FILE,
            Kind::NewerVersion { .. } => JetError::BAD_LOG_VERSION,
            Kind::FileSize { .. } => JetError::LOG_FILE_SIZE_MISMATCH,
            Kind::GeometryDiffers { what, .. } => match what {
                Geometry::PageSize => JetError::PAGE_SIZE_MISMATCH,
                Geometry::SectorSize => JetError::LOG_SECTOR_SIZE_MISMATCH,
                Geometry::LogFileSize => JetError::LOG_FILE_SIZE_MISMATCH,
            },
            Kind::Empty
            | Kind::Blank
            | Kind::BadRecord { .. }
            | Kind::Incomplete { checksum: None, .. }
            | Kind::Damage { fatal: true, .. } => JetError::LOG_FILE_CORRUPT,
            Kind::Header { jet, .. } | Kind::Unreadable { jet, .. } => return *jet,
            Kind::CheckpointUnusable { .. } => JetError::CHECKPOINT_CORRUPT,
            Kind::CheckpointForeign { .. } => JetError::BAD_CHECKPOINT_SIGNATURE,
            Kind::CheckpointLogMissing { .. } => JetError::MISSING_PREVIOUS_LOG_FILE,
            _ => return None,
        })
    }
}

impl fmt::Display for ChainFindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Gap { first, last, files } if first == last => {
                write!(f, "generation {first} ({first:#x}) is missing: {files}")
            }
            Kind::Gap { first, last, files } => write!(
                f,
                "generations {first}-{last} ({first:#x}-{last:#x}) are missing: {files}"
            ),
            Kind::CurrentMissing { file } => write!(f, "there is no current log {file}"),
            Kind::CopyOf { other, same: true } => write!(f, "this is a copy of {other}"),
            Kind::CopyOf { other, same: false } => {
                write!(f, "this is an earlier state of {other}")
            }
            Kind::CurrentAlsoNamed { other } => {
                write!(
                    f,
                    "the current log has the generation of {other}, but is another log"
                )
            }
            Kind::CurrentBehind { last } => write!(
                f,
                "the current log is older than the highest numbered one, {last} ({last:#x})"
            ),
            Kind::Duplicate { other } => write!(f, "the same generation is also there as {other}"),
            Kind::NameMismatch { named, found, .. } => write!(
                f,
                "the name says generation {named} ({named:#x}), the header {found} ({found:#x})"
            ),
            Kind::ForeignSignature { found, expected } => {
                let (found, expected) = (found.shown(), expected.shown());
                write!(f, "log signature is {found}; the stream has {expected}")
            }
            Kind::PreviousCreated {
                before,
                found,
                expected,
            } => write!(
                f,
                "previous generation time is {}, but {before} was created {}",
                found.shown(),
                expected.shown()
            ),
            Kind::NotContinued {
                after,
                found,
                expected,
            } => write!(
                f,
                "it was created {}, but {after} continues a log created {}",
                expected.shown(),
                found.shown()
            ),
            Kind::OutOfPlace { before, after } => {
                write!(
                    f,
                    "it does not continue {before}, and {after} does not continue it"
                )
            }
            Kind::AccumulatedChecksum {
                next,
                found,
                expected,
            } => write!(
                f,
                "{next} was begun after another state of this log: it keeps the accumulated segment checksum {found:#018x}, \
                 this log gives {expected:#018x}"
            ),
            Kind::Incomplete {
                how,
                checksum: None,
            } => how.fmt(f),
            Kind::Incomplete {
                how,
                checksum: Some(ChecksumMismatch { found, expected }),
            } => write!(
                f,
                "{how} (accumulated segment checksum {expected:#018x}, the next log keeps {found:#018x})"
            ),
            Kind::NotProved { why } => write!(f, "not proved complete: {why}"),
            Kind::NewerVersion { version } => write!(
                f,
                "log version {version} is newer than {NEWEST_LOG_VERSION}, the newest that is known; it is not damaged"
            ),
            Kind::VersionBackwards { found, before } => {
                write!(f, "log version {found} follows {before}")
            }
            Kind::GeometryDiffers {
                what,
                found,
                expected,
            } => write!(f, "{what} is {found}, the stream has {expected}"),
            Kind::OtherEngine { differences } => {
                write!(
                    f,
                    "written by another installation: {}",
                    differences.join("; ")
                )
            }
            Kind::FileSize { size, expected } => {
                write!(f, "the file has {size} bytes, its header says {expected}")
            }
            Kind::Empty => f.write_str("the file is empty"),
            Kind::Blank => f.write_str("the header is blank"),
            Kind::Header { problem, .. }
            | Kind::Unreadable { problem, .. }
            | Kind::AttachList { problem }
            | Kind::BadRecord { problem } => f.write_str(problem),
            Kind::Damage {
                damage,
                records_beyond,
                ..
            } => {
                write!(f, "{damage}")?;
                match records_beyond {
                    Some(count) => write!(f, "; {count} records come after it"),
                    None => Ok(()),
                }
            }
            Kind::UnfinishedRecords { count: 1 } => f.write_str("the last record is not finished"),
            Kind::UnfinishedRecords { count } => write!(f, "{count} records are not finished"),
            Kind::MadeFromReserve => f.write_str("made from a reserve log"),
            Kind::CircularLogging { now: true } => f.write_str("circular logging is on"),
            Kind::CircularLogging { now: false } => f.write_str("circular logging was on before"),
            Kind::Leftover { what } => write!(f, "{what}"),
            Kind::CheckpointMissing => f.write_str("there is no checkpoint file"),
            Kind::CheckpointUnusable { problem } => {
                write!(f, "the checkpoint cannot be used: {problem}")
            }
            Kind::CheckpointCopy { copy } => {
                let name = match copy {
                    CheckpointCopy::Primary => "first",
                    CheckpointCopy::Shadow => "second",
                };
                write!(
                    f,
                    "the {name} copy of the checkpoint is damaged or out of date"
                )
            }
            Kind::CheckpointForeign { found, expected } => {
                write!(
                    f,
                    "the checkpoint's log signature is {found}, the stream has {expected}"
                )
            }
            Kind::CheckpointLogMissing { checkpoint, file } => {
                write!(
                    f,
                    "the checkpoint is at {checkpoint}, but {file} is not there"
                )
            }
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Corrected { bit, .. } => write!(f, "bit {bit} of the segment was flipped"),
            Damage::Torn { .. } => f.write_str("the last write is torn"),
            Damage::Checksum {
                bytes,
                stored,
                computed,
                ..
            } => write!(
                f,
                "checksum of {bytes} bytes is {stored:#x}, expected {computed:#x}"
            ),
            Damage::Blank { .. } => f.write_str("the segment is blank or old, but the log goes on"),
            Damage::LastWriteLost { .. } => {
                f.write_str("the segment is blank, but its shadow after it is not")
            }
            Damage::Misplaced { found, .. } => {
                write!(f, "the segment here is the one of position {found}")
            }
            Damage::Chain { .. } => f.write_str("there is no checksum record here"),
            Damage::Unexpected { .. } => f.write_str("data after the end of the log"),
            Damage::CutOff { bytes, .. } => write!(f, "the file ends here, {bytes} bytes early"),
        }
    }
}

/// Something found in a stream, and where.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChainFinding {
    /// What it is.
    pub kind: ChainFindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// File name, if it is about one.
    pub file: Option<String>,
    /// Generation, if it is about one.
    pub generation: Option<Generation>,
    /// Position in the log, if it has one.
    pub lgpos: Option<Lgpos>,
    /// Files of the names that are looked for, in folders within the folder of the logs.
    pub nearby: Vec<PathBuf>,
}

impl ChainFinding {
    /// A finding about the stream as a whole.
    pub(super) fn general(kind: ChainFindingKind) -> Self {
        ChainFinding {
            severity: kind.severity(),
            kind,
            file: None,
            generation: None,
            lgpos: None,
            nearby: Vec::new(),
        }
    }

    /// A finding about one log.
    pub(super) fn about(log: &LogReport, kind: ChainFindingKind) -> Self {
        ChainFinding {
            file: Some(log.name.clone()),
            generation: log.generation(),
            ..Self::general(kind)
        }
    }

    /// A finding about a file that is no log of the chain.
    pub(super) fn in_file(file: String, kind: ChainFindingKind) -> Self {
        ChainFinding {
            file: Some(file),
            ..Self::general(kind)
        }
    }

    /// The same at a generation.
    pub(super) fn of(self, generation: Generation) -> Self {
        ChainFinding {
            generation: Some(generation),
            ..self
        }
    }

    /// The same at a position.
    pub(super) fn at(self, lgpos: Lgpos) -> Self {
        ChainFinding {
            lgpos: Some(lgpos),
            ..self
        }
    }

    /// By what findings are ordered: those with a generation first, then by file and position.
    pub(super) fn order(&self) -> (bool, Option<Generation>, Option<&str>, Option<Lgpos>) {
        (
            self.generation.is_none(),
            self.generation,
            self.file.as_deref(),
            self.lgpos,
        )
    }
}

impl fmt::Display for ChainFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(lgpos) = self.lgpos {
            write!(f, "{lgpos}: ")?;
        }
        write!(f, "{}{}", self.kind, JetSuffix(self.kind.jet()))
    }
}

/// All fields, and the sentences that text output prints.
impl Serialize for ChainFinding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 9)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("file", &self.file)?;
        fields.serialize_field("generation", &self.generation)?;
        fields.serialize_field("lgpos", &self.lgpos)?;
        fields.serialize_field("jet", &self.kind.jet())?;
        fields.serialize_field("message", &self.kind.to_string())?;
        fields.serialize_field("consequence", self.kind.consequence())?;
        fields.serialize_field("advice", &self.advice())?;
        fields.serialize_field("detail", &self.kind)?;
        fields.end()
    }
}
