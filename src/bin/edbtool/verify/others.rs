//! Verifying what is not a database.

use answers::files::{snapshot_unread, why_not_ese};
use answers::header::log_header_findings;
use answers::verify::Checked;
use console::{Exit, Failure};
use ese_case::Named;
use ese_checksum::{
    ChecksumVerdict, PageBytes, header_checksum, is_blank, stored_header_checksum, verify_page,
};
use ese_format::database::HeaderCopies;
use ese_format::flush_map::MAP_PAGE_SIZE;
use ese_format::log::CheckpointFile;
use ese_format::{FileKind, JetError, JetSuffix, Progress};
use ese_log::{LogImage, MAX_LOG_SIZE};
use evidence::EvidenceFile;
use std::path::Path;

/// What was found in a file that is not a database.
#[derive(Default)]
pub(super) struct OtherFileFindings {
    /// What was looked at.
    pub(super) checked: Vec<Checked>,
    /// What is wrong with it.
    pub(super) problems: Vec<String>,
    /// What was not checked, and why.
    pub(super) remarks: Vec<String>,
}

impl OtherFileFindings {
    fn new(checked: &[Checked], problems: Vec<String>) -> Self {
        OtherFileFindings {
            checked: checked.to_vec(),
            problems,
            remarks: Vec::new(),
        }
    }

    fn problem(problem: String, jet: Option<JetError>) -> Self {
        OtherFileFindings::new(&[], vec![format!("{problem}{}", JetSuffix(jet))])
    }
}

/// Verifies a file that is of kind `kind` by its content, which `start` begins, and that its name says is `named`. `None`
/// where neither says anything.
pub(super) fn problems(
    file: &EvidenceFile,
    start: &[u8],
    kind: FileKind,
    named: Option<Named>,
    progress: &dyn Progress,
) -> Result<Option<OtherFileFindings>, Failure> {
    use Checked::{Checksums, Headers, Size};
    let mut found = match kind {
        FileKind::Log => OtherFileFindings::new(&[Headers, Checksums, Size], log_problems(file)?),
        FileKind::Checkpoint => OtherFileFindings::new(&[Checksums], checkpoint_problems(start)),
        FileKind::FlushMap => {
            OtherFileFindings::new(&[Headers, Checksums], flush_map_problems(file)?)
        }
        FileKind::RevertSnapshot => return Err(snapshot_unread(file.path())),
        FileKind::Database | FileKind::Blank | FileKind::Empty | FileKind::Unknown => {
            return match named {
                Some(named) if !named.is_of_others(start) => {
                    ruin(file, start, kind, named, progress).map(Some)
                }
                _ => Ok(None),
            };
        }
    };
    if named == Some(Named::Spare) {
        found.checked.clear();
        found.remarks.append(&mut found.problems);
        found.remarks.extend([UNNEEDED.to_owned()]);
    }
    found.problems.extend(misnamed(kind, named));
    Ok(Some(found))
}

/// Said of what is no damage in a log that is being prepared, or in reserved space.
const UNNEEDED: &str = "it is a temporary or reserve log: the engine needs nothing that it holds";

/// What is wrong with a file whose name says that it is one of ESE's, and in which nothing of the kind is found.
fn ruin(
    file: &EvidenceFile,
    start: &[u8],
    kind: FileKind,
    named: Named,
    progress: &dyn Progress,
) -> Result<OtherFileFindings, Failure> {
    let what = match (named, kind) {
        (Named::Spare, _) => {
            return Ok(OtherFileFindings {
                remarks: vec![UNNEEDED.to_owned()],
                ..OtherFileFindings::default()
            });
        }
        (Named::StreamingFile, FileKind::Unknown) => {
            return Err(unread_streaming_file(file.path()));
        }
        // Old ones do not name their type; their checksums show it.
        (Named::Checkpoint, FileKind::Unknown) => {
            return Ok(OtherFileFindings::new(
                &[Checked::Checksums],
                checkpoint_problems(start),
            ));
        }
        (_, FileKind::Blank) => match first_content(file, progress)? {
            None => "it holds nothing but zeros".to_owned(),
            Some(offset) => format!("it holds nothing but zeros up to offset {offset:#x}"),
        },
        _ => why_not_ese(kind, start),
    };
    let problem = format!("{}{what}", named.promise());
    Ok(OtherFileFindings::problem(problem, named.jet()))
}

/// The file's first bytes that are not all zero, to within what is read at a time; `None` if there are none.
fn first_content(file: &EvidenceFile, progress: &dyn Progress) -> Result<Option<u64>, Failure> {
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < file.length() {
        if progress.should_stop() {
            let message = format!("{}: interrupted", file.path().display());
            return Err(
                Failure::new(Exit::Interrupted, message).advise("run the same command again")
            );
        }
        let room = buffer.len() as u64;
        let part = &mut buffer[..room.min(file.length() - offset) as usize];
        file.read_exact_at(part, offset)
            .map_err(|error| Failure::of(&error))?;
        progress.advance(part.len() as u64);
        if !is_blank(part) {
            return Ok(Some(offset));
        }
        offset += part.len() as u64;
    }
    Ok(None)
}

/// A file that is not what its name says.
pub(super) fn misnamed(kind: FileKind, named: Option<Named>) -> Option<String> {
    let named = named.filter(|named| !named.fits(kind))?;
    Some(format!(
        "its name is that of {}, but it is a {kind}",
        named.noun()
    ))
}

/// A streaming file has the header of a database, and pages of another kind.
pub(super) fn refuse_streaming_file(path: &Path, headers: &HeaderCopies) -> Result<(), Failure> {
    match headers.good() {
        Some(copy) if copy.fields.is_streaming_file() => Err(unread_streaming_file(path)),
        _ => Ok(()),
    }
}

fn unread_streaming_file(path: &Path) -> Failure {
    let message = format!("{}: streaming files are not read", path.display());
    Failure::new(Exit::NotEse, message).advise("the database that it belongs to can be verified")
}

/// Problems of a log file: its header, its size, and every segment.
fn log_problems(file: &EvidenceFile) -> Result<Vec<String>, Failure> {
    if file.length() > MAX_LOG_SIZE {
        return Ok(vec![format!(
            "the file has {} bytes, no log has more than {MAX_LOG_SIZE}",
            file.length()
        )]);
    }
    let content = file
        .start(usize::try_from(MAX_LOG_SIZE).unwrap_or(usize::MAX))
        .map_err(|error| Failure::of(&error))?;
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
            true => JetSuffix(Some(JetError::LOG_FILE_CORRUPT)).to_string(),
            false => " (recovery puts it right)".to_owned(),
        };
        format!("{} at offset {offset:#x}: {damage}{engine}", damage.lgpos())
    }));
    Ok(problems)
}

/// Problems of a checkpoint file; `content` is all of it.
fn checkpoint_problems(content: &[u8]) -> Vec<String> {
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
fn flush_map_problems(file: &EvidenceFile) -> Result<Vec<String>, Failure> {
    let size = MAP_PAGE_SIZE as u64;
    let mut problems = Vec::new();
    let mut page = vec![0; MAP_PAGE_SIZE];
    for number in 0..file.length() / size {
        file.read_exact_at(&mut page, number * size)
            .map_err(|error| Failure::of(&error))?;
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
    match verify_page(PageBytes::new(page)?, number) {
        _ if is_blank(page) => None,
        ChecksumVerdict::Good => None,
        ChecksumVerdict::Correctable { bits, .. } => Some(format!(
            "map page {number} failed its checksum, but the corruption (bit {bits:?}) can be corrected"
        )),
        ChecksumVerdict::Bad {
            stored, computed, ..
        } => Some(format!(
            "map page {number} failed its checksum, expected {stored}, actual {computed}"
        )),
    }
}
