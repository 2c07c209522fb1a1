//! What a file says of itself: whether it is one of ESE's, and which.
//!
//! A name decides nothing here. One number that fits by chance does not either: millions of files are looked at, and so a
//! file is one of ESE's only if its checksum fits, or two things in it agree.

use super::{CheckpointLook, Content, DatabaseKind, DatabaseLook, FlushMapLook, LogLook};
use crate::Named;
use ese_checksum::{header_checksum, is_blank};
use ese_db::space::CutOff;
use ese_db::{Database, DbError};
use ese_format::database::{HeaderCopies, HeaderStatus};
use ese_format::flush_map::{FlushMapHeader, MAP_PAGE_SIZE};
use ese_format::foreign::looks_like;
use ese_format::log::{
    CheckpointFile, FILE_TYPE_LOG, HEADER_SIZE, LogHeader, SEGMENT_SIZE, SegmentHeader,
    check_segment,
};
use ese_format::{DatabaseHeader, Explain, FileKind, JetSuffix};
use ese_log::{LogFileName, trusted_header};
use ese_text::{header_findings, size_findings};
use evidence::EvidenceFile;
use std::path::Path;

/// What the first bytes of a file show; nothing if it is not one of ESE's. A database is looked into later.
pub(super) enum Shown {
    Database,
    Content(Content),
}

/// What the file is that starts with `start`, and has this name.
pub(super) fn shown(start: &[u8], path: &Path) -> Option<Shown> {
    let named = Named::of_name(path);
    let content = match FileKind::detect(start) {
        FileKind::Database => return Some(Shown::Database),
        FileKind::Log => log(start, path, named == Some(Named::Log))?,
        FileKind::Checkpoint => checkpoint(start, named == Some(Named::Checkpoint))?,
        FileKind::FlushMap => flush_map(start, named == Some(Named::FlushMap))?,
        FileKind::RevertSnapshot => Content::Other {
            what: "revert snapshot",
        },
        // A log whose header is gone has its first segment still.
        FileKind::Blank | FileKind::Unknown => headerless_log(start, path)?,
        FileKind::Empty => return None,
    };
    Some(Shown::Content(content))
}

/// Whether what looks like a database begins as one. What a tar or a volume holds may have the marks of a database after its start.
pub(super) fn begins_well(start: &[u8]) -> bool {
    use HeaderStatus::{Corrupt, Good, PrimaryBad, ShadowBad};
    match HeaderCopies::read(start).status {
        Good | ShadowBad => true,
        PrimaryBad | Corrupt => false,
    }
}

/// What is lost where a file has the name of one of ESE's, and nothing of one in it.
pub(super) fn ruin(start: &[u8], path: &Path) -> Option<Content> {
    let named = Named::of(path).filter(|named| !named.is_of_others(start))?;
    if named == Named::Spare {
        return Some(Content::Other {
            what: "temporary or reserve log",
        });
    }
    let why = match FileKind::detect(start) {
        FileKind::Empty => "the file is empty".to_owned(),
        FileKind::Blank => "there is nothing but zeros at its start".to_owned(),
        _ => match looks_like(start) {
            Some(what) => format!("it looks like {what}"),
            None => "nothing in it shows that it is one".to_owned(),
        },
    };
    Some(Content::Ruin {
        named: named.noun(),
        why,
    })
}

fn role(path: &Path) -> Option<ese_log::FileRole> {
    let name = path.file_name()?.to_str()?;
    Some(LogFileName::parse(name)?.role)
}

fn log(start: &[u8], path: &Path, is_named: bool) -> Option<Content> {
    let read = LogHeader::read(start).ok();
    let is_likely = read.as_ref().is_some_and(|header| {
        let fields = header.as_read();
        let is_typed = fields.file_type == FILE_TYPE_LOG && fields.version.layout().is_ok();
        header.is_intact() || is_typed
    });
    if !is_likely && !is_named && first_segment(start).is_none() {
        return None;
    }
    Some(Content::Log(match trusted_header(start) {
        Ok((header, _)) => LogLook {
            generation: Some(header.generation),
            signature: Some(header.signature),
            role: role(path),
            format: Some(header.version.to_string()),
            problem: None,
            attachments: header.attachments.databases,
        },
        Err((problem, jet)) => {
            let problem = format!("{problem}{}", JetSuffix(Some(jet)));
            let trusted = read.as_ref().and_then(|header| header.trusted());
            LogLook {
                generation: trusted.map(|header| header.generation),
                signature: trusted.map(|header| header.signature),
                format: trusted.map(|header| header.version.to_string()),
                attachments: Vec::new(),
                ..LogLook::damaged(role(path), problem)
            }
        }
    }))
}

/// The first segment of a log that has lost its header.
fn first_segment(start: &[u8]) -> Option<SegmentHeader> {
    let segment = start.get(HEADER_SIZE..HEADER_SIZE + SEGMENT_SIZE)?;
    if is_blank(segment) || !check_segment(segment, 1).is_usable() {
        return None;
    }
    let header = SegmentHeader::read(segment, HEADER_SIZE as u64).ok()?;
    let lgpos = header.lgpos;
    (lgpos.segment == 1 && lgpos.byte == 0 && lgpos.generation.0 > 0).then_some(header)
}

fn headerless_log(start: &[u8], path: &Path) -> Option<Content> {
    let generation = first_segment(start)?.lgpos.generation;
    Some(Content::Log(LogLook::damaged(
        role(path),
        format!(
            "its header is lost; its first segment is one of generation {generation} ({generation:#x})"
        ),
    )))
}

impl LogLook {
    fn damaged(role: Option<ese_log::FileRole>, problem: String) -> Self {
        LogLook {
            generation: None,
            signature: None,
            role,
            format: None,
            problem: Some(problem),
            attachments: Vec::new(),
        }
    }
}

fn checkpoint(start: &[u8], is_named: bool) -> Option<Content> {
    let copies = CheckpointFile::read(start.get(..CheckpointFile::SIZE).unwrap_or(start));
    let content = match copies.current() {
        Ok((checkpoint, _)) => CheckpointLook {
            signature: Some(checkpoint.log_signature),
            position: Some(checkpoint.checkpoint),
            problem: None,
        },
        Err(problem) if is_named => CheckpointLook {
            signature: None,
            position: None,
            problem: Some(problem.to_string()),
        },
        Err(_) => return None,
    };
    Some(Content::Checkpoint(content))
}

fn flush_map(start: &[u8], is_named: bool) -> Option<Content> {
    let page = start.get(..MAP_PAGE_SIZE);
    let header = page.and_then(|page| {
        let fields = page.first_chunk::<{ FlushMapHeader::SIZE }>()?;
        let header = FlushMapHeader::from_bytes(fields);
        (header.checksum == header_checksum(page)).then_some(header)
    });
    let content = match header {
        Some(header) => FlushMapLook {
            is_clean: Some(header.is_clean()),
            header: Some(Box::new(header)),
            problem: None,
        },
        None if is_named => FlushMapLook {
            is_clean: None,
            header: None,
            problem: Some("its header is damaged or cut off".to_owned()),
        },
        None => return None,
    };
    Some(Content::FlushMap(content))
}

/// What the database in `file`, which starts with `start`, says of itself: both copies of its header, its catalog and the
/// list of what it owns.
pub(super) fn database(file: &EvidenceFile, start: &[u8]) -> Content {
    let copies = HeaderCopies::read(start);
    let good = copies.good().map(|copy| copy.fields.clone());
    if good.as_ref().is_some_and(DatabaseHeader::is_streaming_file) {
        return Content::Other {
            what: "streaming file",
        };
    }
    let mut findings = Vec::new();
    match copies.status {
        HeaderStatus::Good => {}
        HeaderStatus::PrimaryBad => {
            findings.push("its header is damaged; the shadow copy is used".to_owned());
        }
        HeaderStatus::ShadowBad if copies.shadow_expected() => {
            findings.push("the shadow copy of its header is damaged or differs".to_owned());
        }
        HeaderStatus::ShadowBad => {}
        HeaderStatus::Corrupt => findings.push("both copies of its header are damaged".to_owned()),
    }
    findings.extend(size_findings(file.length(), copies.page_size));
    findings.extend(good.iter().flat_map(header_findings));
    let opened = Database::open(file.path());
    if let Ok(db) = &opened {
        findings.extend(CutOff::of(db).map(|cut_off| cut_off.to_string()));
    }
    let is_temporary = good.as_ref().is_some_and(DatabaseHeader::is_temporary);
    let kind = match opened.and_then(|db| db.catalog()) {
        Ok(catalog) => DatabaseKind {
            kind: catalog.kind(),
            kind_unknown_because: (catalog.kind().is_none() && !catalog.losses.is_empty())
                .then(|| "a part of its catalog is lost".to_owned()),
        },
        // A temporary one may have been left before it had a catalog.
        Err(error) => DatabaseKind {
            kind: None,
            kind_unknown_because: (!is_temporary).then(|| reason(&error)),
        },
    };
    let format = good.as_ref().map(|header| {
        let (version, major, minor) = header.format_version();
        format!("{version:#x},{major},{minor}")
    });
    let state = match &good {
        Some(_) if is_temporary => "Temporary".to_owned(),
        Some(header) => header.state.name().to_owned(),
        None => "Unknown".to_owned(),
    };
    Content::Database(Box::new(DatabaseLook {
        headers: copies.status,
        header: good,
        state,
        format,
        page_size: copies.page_size,
        kind,
        findings,
    }))
}

fn reason(error: &DbError) -> String {
    format!(
        "its catalog cannot be read: {error}{}",
        JetSuffix(error.jet())
    )
}
