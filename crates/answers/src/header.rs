//! What the header of a file says, both copies of it, and what that means.

use crate::files::{snapshot_unread, why_not_ese};
use crate::view::half_written;
use console::{Exit, Failure};
use ese_case::Named;
use ese_db::Database;
use ese_db::space::CutOff;
use ese_format::database::{HeaderCopies, HeaderStatus};
use ese_format::file_kind::DETECT_BYTES;
use ese_format::flush_map::{FlushMapHeader, MAP_PAGE_SIZE};
use ese_format::log::{CheckpointCopy, CheckpointFile, LogHeader, Unverified};
use ese_format::{FileKind, FormatError, JetError, JetSuffix, Lgpos};
use ese_log::beside::{LogNames, LogPlaces, checkpoint_beside};
use ese_text::size_findings;
use evidence::EvidenceFile;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

mod advice;

/// The schema of a [`Report`].
pub const SCHEMA: &str = "edbkit.header/1";

/// What was found in one file.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub file_size: u64,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
    /// What it means and what to do next, in one line.
    pub meaning: String,
    /// What is wrong with it.
    pub findings: Vec<String>,
    /// Whether a recovery in place did not come to its end.
    #[serde(skip)]
    pub half_written: bool,
}

/// What a file is, and what its header says.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// A database.
    Database {
        /// Both copies.
        #[serde(flatten)]
        copies: Box<HeaderCopies>,
        /// What the file does not hold.
        cut_off: Option<CutOff>,
        /// Names of the log files of the required range.
        required_logs: Vec<String>,
        /// Names of the log files up to the committed one, after the required range.
        committed_logs: Vec<String>,
    },
    /// A log.
    Log {
        /// Its header.
        header: Box<Unverified<LogHeader>>,
        /// Where the checkpoint file beside the log stands.
        checkpoint: Option<Lgpos>,
    },
    /// A checkpoint.
    Checkpoint {
        /// Both copies.
        copies: Box<CheckpointFile>,
    },
    /// A flush map.
    FlushMap {
        /// Its header.
        header: Box<FlushMapHeader>,
        /// The checksum that it should have.
        computed_checksum: u32,
    },
    /// Nothing but zeros, at least at the start.
    Blank,
    /// No bytes at all.
    Empty,
    /// Nothing of ESE's.
    Unknown,
}

/// The result of reading a file.
pub enum Read {
    /// It is one of ESE's, or its name says that it should be.
    Report(Box<Report>),
    /// Neither its content nor its name is one of ESE's: why it is not read.
    Other(String),
}

/// Reads the header of the file at `path`; the logs of a database are looked for in `places`.
pub fn read(path: &Path, places: &LogPlaces<'_>) -> Result<Read, Failure> {
    let file = EvidenceFile::open(path).map_err(|error| Failure::of(&error))?;
    let start = file
        .start(DETECT_BYTES)
        .map_err(|error| Failure::of(&error))?;
    let kind = FileKind::detect(&start);
    let (content, mut findings) = match kind {
        FileKind::Database => read_database(path, &start, file.length(), places),
        FileKind::Log => read_log(path, &start, file.length())?,
        FileKind::Checkpoint => read_checkpoint(&start),
        FileKind::FlushMap => read_flush_map(path, &start)?,
        FileKind::RevertSnapshot => return Err(snapshot_unread(path)),
        FileKind::Blank | FileKind::Empty | FileKind::Unknown => {
            let named = Named::of(path).filter(|named| !named.is_of_others(&start));
            let Some(named) = named else {
                return Ok(Read::Other(why_not_ese(kind, &start)));
            };
            let content = match kind {
                FileKind::Blank => Content::Blank,
                FileKind::Empty => Content::Empty,
                _ => Content::Unknown,
            };
            let finding = format!("{}{}", named.promise(), why_not_ese(kind, &start));
            let findings = Vec::from_iter((named != Named::Spare).then_some(finding));
            (content, findings)
        }
    };
    let mut meaning = advice::meaning(path, &content, file.length());
    let problem = half_written(path).filter(|_| kind == FileKind::Database);
    let half_written = problem.is_some();
    if let Some(problem) = problem {
        findings.push(problem);
        meaning = "Half written: of no use until that is fixed.".into();
    }
    Ok(Read::Report(Box::new(Report {
        path: path.to_owned(),
        file_size: file.length(),
        meaning,
        content,
        findings,
        half_written,
    })))
}

fn read_database(
    path: &Path,
    start: &[u8],
    file_size: u64,
    places: &LogPlaces<'_>,
) -> (Content, Vec<String>) {
    let copies = HeaderCopies::read(start);
    let mut findings = Vec::new();
    for (name, copy) in [("primary", &copies.primary), ("shadow", &copies.shadow)] {
        // A database that keeps no shadow has ordinary bytes in that place.
        if name == "shadow" && !copies.shadow_expected() {
            continue;
        }
        if let Some(fault) = copy.fault {
            findings.push(format!(
                "the {name} header at offset {:#x} cannot be trusted: {fault} (stored {:#010x}, computed {:#010x})",
                copy.offset, copy.stored_checksum, copy.computed_checksum
            ));
        }
    }
    if copies.status == HeaderStatus::ShadowBad
        && copies.shadow.fault.is_none()
        && copies.shadow_expected()
    {
        findings.push(format!(
            "primary and shadow header are both intact but differ: {}",
            ese_text::differing_fields(&copies)
        ));
    }
    let cut_off = Database::open(path).ok().and_then(|db| CutOff::of(&db));
    findings.extend(size_findings(file_size, copies.page_size));
    findings.extend(cut_off.map(|cut_off| cut_off.to_string()));
    let header = copies.good().map(|copy| &copy.fields);
    findings.extend(header.into_iter().flat_map(ese_text::header_findings));
    let stream = header.map(|header| &header.log_signature);
    let names = LogNames::of(path, stream, places);
    let (required_logs, committed_logs) = header.map_or_else(Default::default, |header| {
        (names.required(header), names.committed(header))
    });
    let content = Content::Database {
        copies: Box::new(copies),
        cut_off,
        required_logs,
        committed_logs,
    };
    (content, findings)
}

fn truncated(path: &Path, error: &FormatError) -> Failure {
    Failure::new(Exit::NotEse, format!("{}: {error}", path.display()))
        .advise("the file is cut off inside its header; look for another copy of it")
}

fn read_log(path: &Path, start: &[u8], size: u64) -> Result<(Content, Vec<String>), Failure> {
    let header = LogHeader::read(start).map_err(|error| truncated(path, &error))?;
    let findings = if header.is_intact() {
        log_header_findings(header.as_read(), size)
    } else {
        vec![format!(
            "the header cannot be trusted: stored checksum {:#010x}, computed {:#010x}{}",
            header.stored_checksum,
            header.computed_checksum,
            JetSuffix(Some(JetError::LOG_FILE_CORRUPT))
        )]
    };
    let content = Content::Log {
        header: Box::new(header),
        checkpoint: checkpoint_beside(path),
    };
    Ok((content, findings))
}

/// What is wrong with an intact header of a log file of `size` bytes.
pub fn log_header_findings(header: &LogHeader, size: u64) -> Vec<String> {
    let mut findings = Vec::new();
    if let Err((problem, jet)) = header.check() {
        findings.push(format!("{problem}{}", JetSuffix(Some(jet))));
    }
    if header.file_size() != size {
        findings.push(format!(
            "the file has {size} bytes, its header says {}{}",
            header.file_size(),
            JetSuffix(Some(JetError::LOG_FILE_SIZE_MISMATCH))
        ));
    }
    findings
}

fn read_checkpoint(start: &[u8]) -> (Content, Vec<String>) {
    let copies = Box::new(CheckpointFile::read(start));
    let mut findings = Vec::new();
    for (name, copy) in [("first", &copies.primary), ("second", &copies.shadow)] {
        match copy {
            Ok(copy) if copy.is_intact() => {}
            Ok(copy) => findings.push(format!(
                "the {name} copy cannot be trusted: stored checksum {:#010x}, computed {:#010x}",
                copy.stored_checksum, copy.computed_checksum
            )),
            Err(error) => findings.push(format!("the {name} copy cannot be read: {error}")),
        }
    }
    if let Err(problem) = copies.current() {
        let jet = JetSuffix(Some(JetError::CHECKPOINT_CORRUPT));
        findings.push(format!("{problem}{jet}"));
    }
    (Content::Checkpoint { copies }, findings)
}

fn read_flush_map(path: &Path, start: &[u8]) -> Result<(Content, Vec<String>), Failure> {
    let page = start.get(..MAP_PAGE_SIZE).ok_or_else(|| {
        let error = FormatError::Truncated {
            what: "flush map header",
            offset: 0,
            needed: MAP_PAGE_SIZE as u64,
            available: start.len() as u64,
        };
        truncated(path, &error)
    })?;
    let mut fields = [0; FlushMapHeader::SIZE];
    fields.copy_from_slice(&page[..FlushMapHeader::SIZE]);
    let header = Box::new(FlushMapHeader::from_bytes(&fields));
    let computed_checksum = ese_checksum::header_checksum(page);
    let mut findings = Vec::new();
    if header.checksum != computed_checksum {
        findings.push(format!(
            "the header cannot be trusted: stored checksum {:#010x}, computed {computed_checksum:#010x}",
            header.checksum
        ));
    }
    let content = Content::FlushMap {
        header,
        computed_checksum,
    };
    Ok((content, findings))
}

impl Report {
    /// A dirty database is a finding like any other: it cannot be used as it is.
    pub fn exit(&self) -> Exit {
        let usable = match &self.content {
            Content::Database { copies, .. } => copies
                .good()
                .is_some_and(|copy| ese_text::is_usable(&copy.fields)),
            _ => true,
        };
        if !usable || !self.findings.is_empty() {
            return Exit::Finding;
        }
        Exit::Clean
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Database {
                copies,
                required_logs,
                committed_logs,
                ..
            } => self.write_database(f, copies, required_logs, committed_logs)?,
            Content::Log { header, checkpoint } => {
                writeln!(f, "         Log file: {}\n", self.path.display())?;
                write!(f, "{}", ese_text::log_header(header.as_read(), *checkpoint))?;
            }
            Content::Checkpoint { copies } => {
                writeln!(f, "      Checkpoint file: {}\n", self.path.display())?;
                for (which, copy) in [
                    (CheckpointCopy::Primary, &copies.primary),
                    (CheckpointCopy::Shadow, &copies.shadow),
                ] {
                    let used = copies.current().is_ok_and(|(_, current)| current == which);
                    if let Ok(copy) = copy
                        && (used || !copies.copies_agree)
                    {
                        let name = if used { "" } else { "not used: " };
                        writeln!(f, "      ({name}{which:?} copy)")?;
                        write!(f, "{}", ese_text::checkpoint(copy.as_read()))?;
                    }
                }
            }
            Content::FlushMap { header, .. } => {
                writeln!(f, "        Flush Map: {}\n", self.path.display())?;
                write!(f, "{}", ese_text::flush_map(header))?;
            }
            Content::Blank | Content::Empty | Content::Unknown => {
                writeln!(f, "             File: {}", self.path.display())?;
            }
        }
        writeln!(f)?;
        for finding in &self.findings {
            writeln!(f, "WARNING: {finding}")?;
        }
        writeln!(f, "{}\n", self.meaning)
    }
}

impl Report {
    fn write_database(
        &self,
        f: &mut Formatter<'_>,
        copies: &HeaderCopies,
        required_logs: &[String],
        committed_logs: &[String],
    ) -> fmt::Result {
        writeln!(f, "         Database: {}", self.path.display())?;
        let shadow_used = copies.status == HeaderStatus::PrimaryBad;
        let both = copies.status != HeaderStatus::Good && copies.shadow_expected();
        if !shadow_used || both {
            writeln!(
                f,
                "\nDATABASE HEADER:\n{}",
                ese_text::database_header(&copies.primary)
            )?;
        }
        if shadow_used || both {
            writeln!(
                f,
                "\nDATABASE SHADOW HEADER:\n{}",
                ese_text::database_header(&copies.shadow)
            )?;
        }
        writeln!(f, "   Header Copies: {}", ese_text::copies_text(copies))?;
        if !required_logs.is_empty() {
            writeln!(f, "   Required Logs: {}", required_logs.join(" "))?;
        }
        if !committed_logs.is_empty() {
            writeln!(f, "  Committed Logs: {}", committed_logs.join(" "))?;
        }
        Ok(())
    }
}
