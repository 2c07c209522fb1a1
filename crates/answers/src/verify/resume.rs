//! The place that a scan has come to, kept in a file so that an interrupted scan goes on there.

use console::{Exit, Failure, files};
use ese_format::database::HeaderCopies;
use ese_scan::{Counts, PageFinding, ScanOutcome};
use evidence::EvidenceFile;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

const SCHEMA: &str = "edbkit.verify-place/1";

/// How far a scan is, and of what.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Place {
    schema: String,
    file_size: u64,
    modified_seconds: Option<u64>,
    header_checksum: u32,
    pages: Option<(u32, u32)>,
    /// Everything before this byte offset is done.
    pub(super) next_offset: u64,
    pub(super) counts: Counts,
    pub(super) findings: Vec<PageFinding>,
    pub(super) findings_omitted: u64,
}

/// A place that cannot be kept is said before the scan, not after hours of it.
pub fn can_be_kept(path: &Path) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            let message = format!("{}: there is no such folder", folder.display());
            Err(Failure::new(Exit::Io, message)
                .advise("--resume names a file in a folder that exists"))
        }
        _ => Ok(()),
    }
}

impl Place {
    /// The place before anything is done.
    pub(super) fn start(
        file: &EvidenceFile,
        headers: &HeaderCopies,
        pages: Option<RangeInclusive<u32>>,
    ) -> Self {
        let modified = file.modified();
        Place {
            schema: SCHEMA.into(),
            file_size: file.length(),
            modified_seconds: modified.and_then(|time| u64::try_from(time.as_second()).ok()),
            header_checksum: headers.primary.computed_checksum,
            pages: pages.map(RangeInclusive::into_inner),
            next_offset: 0,
            counts: Counts::default(),
            findings: Vec::new(),
            findings_omitted: 0,
        }
    }

    /// The place kept at `path`, or the start if there is none. A place in another file is refused.
    pub(super) fn load(
        path: &Path,
        file: &EvidenceFile,
        headers: &HeaderCopies,
        pages: Option<RangeInclusive<u32>>,
    ) -> Result<Self, Failure> {
        let start = Self::start(file, headers, pages);
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(start),
            Err(error) => return Err(Failure::io(path, &error)),
        };
        let refused = |why: String| {
            Failure::new(Exit::Refused, format!("{}: {why}", path.display()))
                .advise("remove it, or name another file with --resume, to scan from the start")
        };
        let place: Place = serde_json::from_slice(&text)
            .map_err(|error| refused(format!("not the place of an interrupted scan: {error}")))?;
        let same = place.schema == start.schema
            && place.file_size == start.file_size
            && place.modified_seconds == start.modified_seconds
            && place.header_checksum == start.header_checksum
            && place.pages == start.pages;
        if !same {
            let what = "it belongs to another file, to other pages, or the file has changed since";
            return Err(refused(what.into()));
        }
        Ok(place)
    }

    /// The place after one more scan.
    pub(super) fn advanced(mut self, outcome: &ScanOutcome) -> Self {
        self.counts.add(&outcome.counts);
        self.findings.extend(outcome.findings.iter().cloned());
        self.findings_omitted += outcome.findings_omitted;
        self
    }

    /// Keeps the place when the scan was interrupted, and removes it when it is done. The file is replaced as a
    /// whole, so that it is never half written.
    pub(super) fn save_or_finish(
        &self,
        path: &Path,
        interrupted_at: Option<u64>,
    ) -> Result<(), Failure> {
        let Some(next_offset) = interrupted_at else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Failure::io(path, &error))
                }
                _ => Ok(()),
            };
        };
        let place = serde_json::json!({
            "schema": self.schema,
            "file_size": self.file_size,
            "modified_seconds": self.modified_seconds,
            "header_checksum": self.header_checksum,
            "pages": self.pages,
            "next_offset": next_offset,
            "counts": self.counts,
            "findings": self.findings,
            "findings_omitted": self.findings_omitted,
        });
        files::replace(path, place.to_string().as_bytes())
            .map_err(|error| Failure::io(path, &error))
    }
}
