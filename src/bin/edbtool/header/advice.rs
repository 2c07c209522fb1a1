//! What a header means, and what to do next.

use super::{Content, size_findings};
use crate::names::Named;
use ese_format::database::{DatabaseState, HeaderCopies, HeaderStatus};
use ese_format::log::{CheckpointFile, HEADER_SIZE, LogHeader};
use ese_format::{DatabaseHeader, Generation, Lgpos, Signature};
use ese_log::{BASE_NAME_LENGTH, FileRole, Naming, StreamFiles};
use evidence::EvidenceFile;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// More names than this are shortened to the first and the last.
const NAMES_SHOWN: u32 = 64;

/// Where the logs of a database are looked for, to know how they are called.
pub(super) struct LogPlaces<'a> {
    /// Folders and files; none for the folder of the database.
    pub(super) logs: &'a [PathBuf],
    /// The base name of the stream, if it is given.
    pub(super) base: Option<&'a str>,
}

impl LogPlaces<'_> {
    /// Log streams there, those of the database first.
    fn streams(&self, database: &Path, signature: Option<&Signature>) -> Vec<StreamFiles> {
        let mut streams = match self.logs {
            [] => streams_beside(database),
            places => {
                let mut folders: Vec<&Path> = Vec::new();
                for place in places {
                    let folder = if evidence::is_folder(place).unwrap_or(false) {
                        place
                    } else {
                        folder_of(place)
                    };
                    if !folders.contains(&folder) {
                        folders.push(folder);
                    }
                }
                let found = folders.into_iter().map(StreamFiles::find_all);
                found.flat_map(Result::unwrap_or_default).collect()
            }
        };
        let is_asked_for = |stream: &StreamFiles| {
            self.base
                .is_none_or(|base| stream.naming.base.eq_ignore_ascii_case(base))
        };
        streams.retain(is_asked_for);
        let is_own = |stream: &StreamFiles| signature.is_some_and(|own| stream.is_of(own));
        streams.sort_by_key(|stream| !is_own(stream));
        streams
    }
}

/// How the log files of a database are called: by its stream where that lies, or in both usual ways.
pub(super) struct LogNames {
    naming: Spelling,
    /// Generation of the current log, whose name has no number, where it lies there too.
    current: Option<Generation>,
}

enum Spelling {
    /// As in the stream that was found.
    Known(Naming),
    /// A number has five digits or eight, and nothing shows which.
    Either { base: String },
}

impl LogNames {
    /// Names as in the stream of the database. Where no log is found, the base name is unknown, unless it was given,
    /// and shown as `???`.
    pub(super) fn of(
        database: &Path,
        signature: Option<&Signature>,
        places: &LogPlaces<'_>,
    ) -> Self {
        let stream = places.streams(database, signature).into_iter().next();
        let current = stream.as_ref().and_then(|stream| {
            let log = stream.current.first()?;
            generation_of(&log.path)
        });
        let unknown = || Spelling::Either {
            base: places.base.unwrap_or("???").to_owned(),
        };
        LogNames {
            naming: stream.map_or_else(unknown, |stream| Spelling::Known(stream.naming)),
            current,
        }
    }

    fn name(&self, generation: Generation) -> String {
        match &self.naming {
            Spelling::Known(naming) if self.current == Some(generation) => naming.current(),
            Spelling::Known(naming) => naming.generation(generation),
            Spelling::Either { base } => {
                let with = |digits| Naming {
                    base: base.clone(),
                    digits,
                    extension: ".log".into(),
                };
                let (short, long) = (
                    with(5).generation(generation),
                    with(8).generation(generation),
                );
                match short == long {
                    true => long,
                    false => format!("{short} or {long}"),
                }
            }
        }
    }

    /// File names of the generations that recovery needs.
    pub(super) fn required(&self, header: &DatabaseHeader) -> Vec<String> {
        if header.min_required.0 == 0 {
            return Vec::new();
        }
        self.range(header.min_required.0, header.max_required.0)
    }

    /// File names of the generations after those, up to the last committed one.
    pub(super) fn committed(&self, header: &DatabaseHeader) -> Vec<String> {
        self.range(
            header.max_required.0.saturating_add(1),
            header.max_committed.0,
        )
    }

    fn range(&self, first: u32, last: u32) -> Vec<String> {
        if last < first {
            return Vec::new();
        }
        if last - first < NAMES_SHOWN {
            return (first..=last)
                .map(|number| self.name(Generation(number)))
                .collect();
        }
        vec![
            self.name(Generation(first)),
            "...".into(),
            self.name(Generation(last)),
        ]
    }
}

/// How many of the logs that a database needs are there, by their names, in a stream with its log signature.
pub(super) fn logs_there(database: &Path, header: &DatabaseHeader, places: &LogPlaces<'_>) -> u32 {
    let needed = header.min_required..=header.max_required;
    let streams = places
        .streams(database, Some(&header.log_signature))
        .into_iter();
    let own = streams.filter(|stream| stream.is_of(&header.log_signature));
    let counts = own.map(|stream| {
        let numbered = stream.logs.iter().filter_map(|log| match log.role {
            FileRole::Generation { generation, .. } => Some(generation),
            _ => None,
        });
        let current = stream.current.iter();
        let current = current.filter_map(|log| generation_of(&log.path));
        let there: BTreeSet<Generation> = numbered.chain(current).collect();
        there.range(needed.clone()).count()
    });
    counts.max().unwrap_or(0).try_into().unwrap_or(u32::MAX)
}

fn folder_of(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Log streams in the folder of a file; none when the folder cannot be listed.
fn streams_beside(file: &Path) -> Vec<StreamFiles> {
    StreamFiles::find_all(folder_of(file)).unwrap_or_default()
}

/// Where the checkpoint of a log's stream stands, if its file lies beside the log and can be read.
pub(super) fn checkpoint_beside(log: &Path) -> Option<Lgpos> {
    let base = log.file_name()?.to_str()?.get(..BASE_NAME_LENGTH)?;
    let streams = streams_beside(log);
    let stream = streams
        .iter()
        .find(|stream| stream.naming.base.eq_ignore_ascii_case(base))?;
    let file = EvidenceFile::open(&stream.checkpoints.first()?.path).ok()?;
    let content = file.start(CheckpointFile::SIZE).ok()?;
    let copies = CheckpointFile::read(&content);
    let (checkpoint, _) = copies.current().ok()?;
    Some(checkpoint.checkpoint)
}

/// The generation that an intact log header names.
fn generation_of(log: &Path) -> Option<Generation> {
    let start = EvidenceFile::open(log).ok()?.start(HEADER_SIZE).ok()?;
    let header = LogHeader::read(&start).ok()?;
    Some(header.trusted()?.generation)
}

/// Whether a database with this header can be attached as it is.
pub(super) fn is_usable(header: &DatabaseHeader) -> bool {
    header.state == DatabaseState::CLEAN_SHUTDOWN
}

/// What is said of a database that was repaired.
pub(super) fn repair_finding(header: &DatabaseHeader) -> Option<String> {
    header.was_repaired().then(|| {
        format!(
            "the database was repaired (esentutl /p): {} times, last on {}, and {} times before the last \
             defragmentation; what its logs held is lost to it, and logs can no longer be replayed into it",
            header.repair_count, header.repair_time, header.old_repair_count
        )
    })
}

/// What stands out in a header that can be trusted.
pub(super) fn header_findings(header: &DatabaseHeader) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(repair_finding(header));
    if header.is_newer_than_known() {
        let (version, major, minor) = DatabaseHeader::NEWEST;
        findings.push(format!(
            "the format {:#x},{},{} is newer than the newest known here ({version:#x},{major},{minor}): \
             fields that it added are not shown",
            header.version, header.update_major, header.update_minor
        ));
    }
    if header.recovering.0 != 0 {
        findings.push(format!(
            "a recovery was interrupted while it replayed generation {0} ({0:#x})",
            header.recovering
        ));
    }
    findings
}

/// Which copies of the header are good.
pub(super) fn copies_text(copies: &HeaderCopies) -> String {
    match copies.status {
        HeaderStatus::Good => "primary and shadow are intact and equal".into(),
        _ if !copies.shadow_expected() => "primary is intact; no shadow is kept".into(),
        HeaderStatus::PrimaryBad => "primary is damaged; the shadow is intact and used".into(),
        HeaderStatus::ShadowBad if copies.shadow.fault.is_none() => {
            "both are intact but differ; the primary is used, as the engine does".into()
        }
        HeaderStatus::ShadowBad => "primary is intact and used; the shadow is damaged".into(),
        HeaderStatus::Corrupt => "neither primary nor shadow can be trusted".into(),
    }
}

/// Names of the fields in which both copies differ, with offsets.
pub(super) fn differing_fields(copies: &HeaderCopies) -> String {
    let mut text = String::new();
    for range in &copies.differences {
        let separator = if text.is_empty() { "" } else { ", " };
        let last = range.end - 1;
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{:#x}-{last:#x}", range.start);
        if let Some(field) = DatabaseHeader::LAYOUT.field_at(range.start) {
            let _ = write!(text, " ({field})");
        }
    }
    text
}

/// One line: what the file is good for, and what to do next.
pub(super) fn meaning(path: &Path, content: &Content, file_size: u64) -> String {
    match content {
        Content::Database {
            copies,
            cut_off,
            required_logs,
            committed_logs,
        } => match copies.good() {
            None => "Neither copy of the header can be trusted: look for another copy of the file; `edbtool verify` \
                     says whether its pages are intact, `edbtool export` reads what is on them."
                .into(),
            Some(copy) if copy.fields.state == DatabaseState::CLEAN_SHUTDOWN
                && (cut_off.is_some() || !size_findings(file_size, copies.page_size).is_empty()) =>
            {
                "Clean Shutdown by its header, but the file is not whole: look for another copy of it; `edbtool export` \
                 reads what is there."
                    .into()
            }
            Some(copy) => database_meaning(&copy.fields, required_logs, committed_logs),
        },
        Content::Log { header, .. } => match header.is_intact() {
            true => format!(
                "Log generation {0} ({0:#x}); check the whole stream with `logchain verify {1}`.",
                header.as_read().generation,
                folder_of(path).display()
            ),
            false => "The log's header is damaged: recovery cannot use this file; look for another copy of it."
                .into(),
        },
        Content::Checkpoint { copies } => match copies.current() {
            Ok((checkpoint, _)) => format!(
                "Recovery starts at {} unless a database needs an earlier log.",
                checkpoint.checkpoint
            ),
            Err(_) => "The checkpoint is lost; recovery can start from the first log that the database needs.".into(),
        },
        Content::FlushMap { header, .. } => match header.is_clean() {
            true => "The flush map was closed cleanly; `edbtool verify --flush-map` finds lost writes with it.".into(),
            false => "The flush map was in use; it is right only up to its last flush.".into(),
        },
        Content::Blank | Content::Empty | Content::Unknown => match Named::of(path) {
            Some(Named::Spare) => {
                "A temporary or reserve log: the engine needs nothing that it holds.".into()
            }
            _ => "What its name promises is lost: look for another copy of it.".into(),
        },
    }
}

fn database_meaning(header: &DatabaseHeader, required: &[String], committed: &[String]) -> String {
    match header.state {
        DatabaseState::CLEAN_SHUTDOWN if header.was_repaired() => {
            "Clean Shutdown, but by repair: usable, without whatever the repair threw away.".into()
        }
        DatabaseState::CLEAN_SHUTDOWN if header.log_signature.is_null() => {
            "Clean Shutdown: complete without any log; no log stream belongs to it (zero log signature).".into()
        }
        DatabaseState::CLEAN_SHUTDOWN => "Clean Shutdown: complete without any log.".into(),
        DatabaseState::DIRTY_SHUTDOWN | DatabaseState::DIRTY_AND_PATCHED => {
            let needs = match required {
                [] => "its log files".into(),
                [only] => only.clone(),
                [first, .., last] => format!("{first} to {last}"),
            };
            let more = match committed {
                [] => String::new(),
                [only] => format!(", and {only} to lose nothing committed"),
                [first, .., last] => format!(", and {first} to {last} to lose nothing committed"),
            };
            format!(
                "{}: needs {needs}{more}; check with `logchain verify`.",
                header.state
            )
        }
        DatabaseState::JUST_CREATED if header.is_temporary() => {
            "Just Created: a temporary database; the engine makes it again each time it starts, and needs nothing that it \
             holds."
                .into()
        }
        DatabaseState::JUST_CREATED => "Just Created: a database that was never completed, or a temporary one.".into(),
        DatabaseState::BEING_CONVERTED => "Being Converted: the conversion did not finish; go back to a backup.".into(),
        DatabaseState::INCREMENTAL_RESEED => {
            "Incremental Reseed In Progress: pages were rolled back and not yet patched; finish the reseed or take \
             another copy."
                .into()
        }
        DatabaseState::REVERT_IN_PROGRESS => {
            "Database Revert in Progress: the revert did not finish; run it again or take another copy.".into()
        }
        other => format!("The state {} is not one that the engine writes.", other.0),
    }
}
