//! The logs of a stream in a folder, by their names.

use crate::rules::Inspected;
use ese_format::Generation;
use ese_format::log::{HEADER_SIZE, LogHeader};
use ese_log::{FileRole, LogError, Naming, StreamFiles, trusted_header};
use evidence::EvidenceFile;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The logs of a stream, as their names and the header of the current log show.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Logs whose names have a generation.
    pub named: BTreeMap<Generation, PathBuf>,
    /// Where the current log is, and its header, if it can be trusted at this moment.
    pub current: Option<(PathBuf, LogHeader)>,
    /// Where a file lies that is called as the current log is, whatever it holds.
    pub current_file: Option<PathBuf>,
    /// How the stream spells its names.
    pub naming: Option<Naming>,
}

impl Listing {
    /// Where the log with this generation is, under a number or as the current log.
    pub fn find(&self, generation: Generation) -> Option<&Path> {
        let current = || {
            let (path, header) = self.current.as_ref()?;
            (header.generation == generation).then_some(path)
        };
        self.named
            .get(&generation)
            .or_else(current)
            .map(PathBuf::as_path)
    }

    /// The lowest generation that has a file of its own.
    pub fn oldest(&self) -> Option<Generation> {
        self.named.keys().next().copied()
    }
}

/// The stream `base` in `folder`; a folder without it has an empty listing.
pub(crate) fn list(folder: &Path, base: &str) -> Result<Listing, LogError> {
    match StreamFiles::find(folder, Some(base)) {
        Ok(files) => Ok(listing(Some(files), header_of)),
        Err(LogError::NoStream { .. }) => Ok(listing(None, header_of)),
        Err(error) => Err(error),
    }
}

/// What `files` are; the header of the current log is read by `header`.
pub(crate) fn listing(
    files: Option<StreamFiles>,
    header: impl Fn(&Path) -> Option<LogHeader>,
) -> Listing {
    let mut listing = Listing {
        named: BTreeMap::new(),
        current: None,
        current_file: None,
        naming: None,
    };
    let Some(files) = files else { return listing };
    for file in files.logs {
        if let FileRole::Generation { generation, .. } = file.role {
            listing.named.entry(generation).or_insert(file.path);
        }
    }
    listing.current_file = files.current.into_iter().next().map(|file| file.path);
    let current = listing.current_file.clone();
    listing.current = current.and_then(|path| Some((path.clone(), header(&path)?)));
    listing.naming = Some(files.naming);
    listing
}

/// The header of the log at `path` here, if it can be trusted.
pub(crate) fn header_of(path: &Path) -> Option<LogHeader> {
    let start = EvidenceFile::open(path)
        .and_then(|file| file.start(HEADER_SIZE))
        .ok()?;
    Some(trusted_header(&start).ok()?.0)
}

/// The logs from `first` to `last` that are here without a gap, with the time of their inspection.
pub(crate) fn inspected_logs(
    listing: &Listing,
    first: Generation,
    last: Generation,
) -> Vec<Inspected> {
    let mut logs = Vec::new();
    let mut expected = first;
    for (&generation, path) in listing.named.range(first..=last.max(first)) {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        let at = modified
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok());
        let Some(at) = at.filter(|_| generation == expected && generation <= last) else {
            break;
        };
        logs.push(Inspected { generation, at });
        expected = generation.next();
    }
    logs
}
