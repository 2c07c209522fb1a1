//! Verifying what is not a database.

use crate::header::log_header_findings;
use console::Failure;
use ese_checksum::{Page, Verdict, header_checksum, stored_header_checksum, verify_page};
use ese_format::JetError;
use ese_format::flush_map::MAP_PAGE_SIZE;
use ese_format::log::CheckpointFile;
use ese_log::{LogImage, MAX_LOG_SIZE};
use evidence::EvidenceFile;

/// Problems of a log file: its header, its size, and every segment.
pub(super) fn log_problems(file: &EvidenceFile) -> Result<Vec<String>, Failure> {
    if file.length() > MAX_LOG_SIZE {
        return Ok(vec![format!(
            "the file has {} bytes, no log has more than {MAX_LOG_SIZE}",
            file.length()
        )]);
    }
    let content = file
        .start(usize::try_from(MAX_LOG_SIZE).unwrap_or(usize::MAX))
        .map_err(|error| Failure::unreadable(&error))?;
    let image = match LogImage::from_bytes(file.path(), content) {
        Ok(image) => image,
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let mut problems = log_header_findings(&image.header, file.length());
    problems.extend(image.body.damage.iter().map(|damage| {
        let offset = damage
            .lgpos()
            .file_offset(u32::from(image.header.sector_size));
        let engine = match damage.is_fatal(true) {
            true => format!(" [JET {}]", JetError::LOG_FILE_CORRUPT),
            false => " (recovery puts it right)".to_owned(),
        };
        format!("{} at offset {offset:#x}: {damage}{engine}", damage.lgpos())
    }));
    Ok(problems)
}

/// Problems of a checkpoint file; `content` is all of it.
pub(super) fn checkpoint_problems(content: &[u8]) -> Vec<String> {
    let checkpoint = CheckpointFile::read(content);
    let copies = [
        ("first", &checkpoint.primary),
        ("second", &checkpoint.shadow),
    ];
    copies
        .into_iter()
        .filter_map(|(name, copy)| match copy {
            Ok(copy) if copy.is_intact() => None,
            Ok(copy) => Some(format!(
                "the {name} copy failed its checksum, expected {:#010x}, actual {:#010x}",
                copy.stored_checksum, copy.computed_checksum
            )),
            Err(error) => Some(format!("the {name} copy cannot be read: {error}")),
        })
        .collect()
}

/// Problems of a flush map: its header and every data page.
pub(super) fn flush_map_problems(file: &EvidenceFile) -> Result<Vec<String>, Failure> {
    let size = MAP_PAGE_SIZE as u64;
    let mut problems = Vec::new();
    let mut page = vec![0; MAP_PAGE_SIZE];
    for number in 0..file.length() / size {
        file.read_exact_at(&mut page, number * size)
            .map_err(|error| Failure::unreadable(&error))?;
        let problem = match number.checked_sub(1) {
            None => header_problem(&page),
            Some(data_page) => {
                data_page_problem(&page, u32::try_from(data_page).unwrap_or(u32::MAX))
            }
        };
        problems.extend(problem.map(|what| format!("offset {:#x}: {what}", number * size)));
    }
    if !file.length().is_multiple_of(size) {
        problems.push(format!(
            "the file ends inside a page: {} bytes are not a multiple of {size}",
            file.length()
        ));
    }
    Ok(problems)
}

fn header_problem(page: &[u8]) -> Option<String> {
    let (expected, actual) = (stored_header_checksum(page), header_checksum(page));
    (expected != actual).then(|| {
        format!("the header failed its checksum, expected {expected:#010x}, actual {actual:#010x}")
    })
}

fn data_page_problem(page: &[u8], number: u32) -> Option<String> {
    match verify_page(Page::new(page)?, number) {
        _ if ese_checksum::is_blank(page) => None,
        Verdict::Good => None,
        Verdict::Correctable { bits, .. } => Some(format!(
            "map page {number} failed its checksum, but the corruption (bit {bits:?}) can be corrected"
        )),
        Verdict::Bad {
            stored, computed, ..
        } => Some(format!(
            "map page {number} failed its checksum, expected {stored}, actual {computed}"
        )),
    }
}
