//! What a file is good for, and what to do next.

use super::{Content, size_findings};
use ese_case::Named;
use ese_format::database::DatabaseState;
use ese_text::database_meaning;
use std::path::Path;

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
                evidence::folder_of(path).display()
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
