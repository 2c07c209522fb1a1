//! What the header of a database means, and what stands out in it.

use ese_format::DatabaseHeader;
use ese_format::database::{DatabaseState, HeaderCopies, HeaderStatus};
use std::fmt::Write;

/// Whether a database with this header can be attached as it is.
pub fn is_usable(header: &DatabaseHeader) -> bool {
    header.state == DatabaseState::CLEAN_SHUTDOWN
}

/// What is said of a database that was repaired.
pub fn repair_finding(header: &DatabaseHeader) -> Option<String> {
    header.was_repaired().then(|| {
        format!(
            "the database was repaired (esentutl /p): {} times, last on {}, and {} times before the last \
             defragmentation; what its logs held is lost to it, and logs can no longer be replayed into it",
            header.repair_count, header.repair_time, header.old_repair_count
        )
    })
}

/// What stands out in a header that can be trusted.
pub fn header_findings(header: &DatabaseHeader) -> Vec<String> {
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

/// What is wrong with the size of a database file.
pub fn size_findings(file_size: u64, page_size: u32) -> Vec<String> {
    let page_size = u64::from(page_size);
    let (pages, rest) = (file_size / page_size, file_size % page_size);
    let mut findings = Vec::new();
    if rest != 0 {
        findings.push(format!(
            "the file ends inside a page: {file_size} bytes are {pages} pages of {page_size} bytes and {rest} bytes more"
        ));
    }
    if pages < 3 {
        findings.push(format!(
            "the file is cut off: {pages} pages do not even hold both headers and page 1"
        ));
    }
    findings
}

/// Which copies of the header are good.
pub fn copies_text(copies: &HeaderCopies) -> String {
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
pub fn differing_fields(copies: &HeaderCopies) -> String {
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

/// One line: what a database with this header is good for, and what it needs. Logs are told by their names: those that recovery
/// needs, and those that hold more committed work.
pub fn database_meaning(
    header: &DatabaseHeader,
    required: &[String],
    committed: &[String],
) -> String {
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
