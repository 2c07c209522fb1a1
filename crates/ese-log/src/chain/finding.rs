//! What verification finds, how bad it is, and what follows from it.

use super::survey::LogReport;
use crate::image::Damage;
use ese_format::log::{HeaderCopy, LogVersion};
use ese_format::{Generation, JetError, Lgpos, LogTime, Signature};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;

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
pub enum FindingKind {
    /// Generations are missing between others.
    Gap {
        first: Generation,
        last: Generation,
        files: String,
    },
    /// There is no current log.
    CurrentMissing { file: String },
    /// The current log is there under its number as well.
    CurrentAlsoNamed { other: String },
    /// The current log is older than finished ones.
    CurrentBehind { last: Generation },
    /// The same generation is there more than once.
    Duplicate { other: String },
    /// Name and header disagree.
    NameMismatch {
        named: Generation,
        found: Generation,
    },
    /// The log belongs to another stream.
    ForeignSignature {
        found: Signature,
        expected: Signature,
    },
    /// The log does not continue the one before.
    PreviousCreated { found: LogTime, expected: LogTime },
    /// The log was written for another state of the one before.
    AccumulatedChecksum { found: u64, expected: u64 },
    /// The log has an older format than the one before.
    VersionBackwards {
        found: LogVersion,
        before: LogVersion,
    },
    /// The log is made up differently from the others.
    GeometryDiffers {
        what: &'static str,
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
    /// The header cannot be believed.
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
        /// For the first fatal damage of a log: records behind it that recovery would not reach.
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
    CheckpointCopy { copy: HeaderCopy },
    /// The checkpoint belongs to another stream.
    CheckpointForeign {
        found: Signature,
        expected: Signature,
    },
    /// The log at the checkpoint is not there.
    CheckpointLogMissing { checkpoint: Lgpos, file: String },
}

use FindingKind as Kind;

impl FindingKind {
    /// How bad this is.
    pub fn severity(&self) -> Severity {
        match self {
            Kind::Damage { fatal: false, .. }
            | Kind::VersionBackwards { .. }
            | Kind::OtherEngine { .. }
            | Kind::CurrentMissing { .. }
            | Kind::CurrentAlsoNamed { .. }
            | Kind::CurrentBehind { .. }
            | Kind::Duplicate { .. }
            | Kind::AttachList { .. }
            | Kind::CheckpointUnusable { .. }
            | Kind::CheckpointCopy { .. }
            | Kind::CheckpointForeign { .. }
            | Kind::MadeFromReserve
            | Kind::CheckpointMissing => Severity::Warning,
            Kind::UnfinishedRecords { .. }
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
            Kind::PreviousCreated { .. } => JetError::INVALID_LOG_SEQUENCE,
            Kind::AccumulatedChecksum { .. } => JetError::LOG_SEQUENCE_CHECKSUM_MISMATCH,
            Kind::FileSize { .. } => JetError::LOG_FILE_SIZE_MISMATCH,
            Kind::GeometryDiffers { what, .. } => match *what {
                "page size" => JetError::PAGE_SIZE_MISMATCH,
                "sector size" => JetError::LOG_SECTOR_SIZE_MISMATCH,
                _ => JetError::LOG_FILE_SIZE_MISMATCH,
            },
            Kind::Empty
            | Kind::Blank
            | Kind::BadRecord { .. }
            | Kind::Damage { fatal: true, .. } => JetError::LOG_FILE_CORRUPT,
            Kind::Header { jet, .. } | Kind::Unreadable { jet, .. } => return *jet,
            Kind::CheckpointUnusable { .. } => JetError::CHECKPOINT_CORRUPT,
            Kind::CheckpointForeign { .. } => JetError::BAD_CHECKPOINT_SIGNATURE,
            Kind::CheckpointLogMissing { .. } => JetError::MISSING_PREVIOUS_LOG_FILE,
            _ => return None,
        })
    }

    /// What follows from it, in one line.
    pub fn consequence(&self) -> &'static str {
        match self {
            Kind::Gap { .. } => {
                "recovery that must pass here fails; look for the files in backups, on a standby copy or in the folder logs are moved to"
            }
            Kind::CurrentMissing { .. } => {
                "what was logged last is lost, unless the file is found; a stream that was shipped elsewhere never has one"
            }
            Kind::CurrentAlsoNamed { .. } => {
                "the engine reads the numbered file first; keep only one of both"
            }
            Kind::CurrentBehind { .. } => {
                "logs with higher numbers are not part of what this log ends, or it is an old copy"
            }
            Kind::Duplicate { .. } => "the engine opens one of them; keep the right one only",
            Kind::NameMismatch { .. } => {
                "the engine finds the wrong log under this name and stops; rename it only if the chain then holds"
            }
            Kind::ForeignSignature { .. } => "recovery refuses it; it belongs to another stream",
            Kind::PreviousCreated { .. } | Kind::AccumulatedChecksum { .. } => {
                "this log was not written after the one before it as it is here; recovery stops between them"
            }
            Kind::VersionBackwards { .. } => {
                "an older engine, or another machine, wrote this log after a newer one"
            }
            Kind::GeometryDiffers { .. } => "the engine refuses logs that differ within a stream",
            Kind::OtherEngine { .. } => {
                "written from another place or by another installation of the engine; make sure that the log belongs here before it is replayed"
            }
            Kind::FileSize { .. } => "the engine refuses the file; it was cut off or grew",
            Kind::Empty | Kind::Blank => "nothing in it can be replayed; look for another copy",
            Kind::Header { .. } | Kind::Unreadable { .. } => {
                "recovery that needs this log fails; look for another copy"
            }
            Kind::AttachList { .. } => "databases attached at this point may be overlooked",
            Kind::Damage { damage, fatal, .. } => match (damage, fatal) {
                (Damage::Corrected { .. }, _) => {
                    "one flipped bit, put right by the checksum; recovery does the same. The disk or a copy of the file is failing"
                }
                (Damage::LastWriteLost { .. }, _) => {
                    "recovery ends before it without an error; what was committed by that write alone is lost to it. Look for another copy"
                }
                (Damage::Torn { .. }, false) => {
                    "the last write was torn; recovery puts it right, nothing that was committed is lost"
                }
                _ => "recovery stops here; everything behind is lost to it. Look for another copy",
            },
            Kind::BadRecord { .. } => {
                "the checksum fits but the record makes no sense; recovery stops here"
            }
            Kind::UnfinishedRecords { .. } => {
                "being written when the machine stopped; never committed, recovery passes over it"
            }
            Kind::MadeFromReserve => "the disk was full when this log was begun",
            Kind::CircularLogging { .. } => {
                "logs are deleted once checkpointed: a copy of the database from before cannot be rolled forward"
            }
            Kind::Leftover { .. } => "not part of the chain",
            Kind::CheckpointMissing | Kind::CheckpointUnusable { .. } => {
                "redo starts at the lowest log that is there, which takes longer"
            }
            Kind::CheckpointForeign { .. } => "the engine ignores it and starts at the lowest log",
            Kind::CheckpointCopy { .. } => "the other copy is used",
            Kind::CheckpointLogMissing { .. } => {
                "recovery fails at once; bring the log back, or recover without the checkpoint"
            }
        }
    }
}

impl fmt::Display for FindingKind {
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
            Kind::CurrentAlsoNamed { other } => {
                write!(f, "the current log is also there as {other}")
            }
            Kind::CurrentBehind { last } => write!(
                f,
                "the current log is behind the highest numbered one, {last} ({last:#x})"
            ),
            Kind::Duplicate { other } => write!(f, "the same generation is also there as {other}"),
            Kind::NameMismatch { named, found } => write!(
                f,
                "the name says generation {named} ({named:#x}), the header {found} ({found:#x})"
            ),
            Kind::ForeignSignature { found, expected } => {
                write!(f, "log signature is {found}, the stream has {expected}")
            }
            Kind::PreviousCreated { found, expected } => write!(
                f,
                "previous generation time is {found}, but the log before was created {expected}"
            ),
            Kind::AccumulatedChecksum { found, expected } => write!(
                f,
                "previous generation accumulated segment checksum is {found:#018x}, the log before gives {expected:#018x}"
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
                    Some(count) => write!(f, "; {count} records stand behind it"),
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
                    HeaderCopy::Primary => "first",
                    HeaderCopy::Shadow => "second",
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
                f.write_str("the segment is blank, but its shadow behind it is not")
            }
            Damage::Misplaced { found, .. } => {
                write!(f, "the segment of position {found} stands here")
            }
            Damage::Chain { .. } => f.write_str("there is no checksum record here"),
            Damage::Unexpected { .. } => f.write_str("data behind the end of the log"),
            Damage::CutOff { bytes, .. } => write!(f, "the file ends here, {bytes} bytes early"),
        }
    }
}

/// Something found in a stream, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// How bad it is.
    pub severity: Severity,
    /// File name, if it is about one.
    pub file: Option<String>,
    /// Generation, if it is about one.
    pub generation: Option<Generation>,
    /// Position in the log, if it has one.
    pub lgpos: Option<Lgpos>,
}

impl Finding {
    /// A finding about the stream as a whole.
    pub(super) fn general(kind: FindingKind) -> Self {
        Finding {
            severity: kind.severity(),
            kind,
            file: None,
            generation: None,
            lgpos: None,
        }
    }

    /// A finding about one log.
    pub(super) fn about(log: &LogReport, kind: FindingKind) -> Self {
        Finding {
            file: Some(log.name.clone()),
            generation: log.generation(),
            ..Self::general(kind)
        }
    }

    /// A finding about a file that is no log of the chain.
    pub(super) fn in_file(file: String, kind: FindingKind) -> Self {
        Finding {
            file: Some(file),
            ..Self::general(kind)
        }
    }

    /// The same at a generation.
    pub(super) fn of(self, generation: Generation) -> Self {
        Finding {
            generation: Some(generation),
            ..self
        }
    }

    /// The same at a position.
    pub(super) fn at(self, lgpos: Lgpos) -> Self {
        Finding {
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(lgpos) = self.lgpos {
            write!(f, "{lgpos}: ")?;
        }
        write!(f, "{}", self.kind)?;
        match self.kind.jet() {
            Some(jet) => write!(f, " [JET {jet}]"),
            None => Ok(()),
        }
    }
}

/// All fields, and the sentences that text output prints.
impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Finding", 8)?;
        fields.serialize_field("severity", &self.severity)?;
        fields.serialize_field("file", &self.file)?;
        fields.serialize_field("generation", &self.generation)?;
        fields.serialize_field("lgpos", &self.lgpos)?;
        fields.serialize_field("jet", &self.kind.jet())?;
        fields.serialize_field("message", &self.kind.to_string())?;
        fields.serialize_field("consequence", self.kind.consequence())?;
        fields.serialize_field("detail", &self.kind)?;
        fields.end()
    }
}
