//! Where logs come from: the log folder of a storage group, local, mounted, or at an address. It is only read.

mod address;
pub(crate) mod view;

use crate::config::{RemoteConfig, SourceConfig};
use address::AddressSource;
use ese_format::Generation;
use ese_format::log::{HEADER_SIZE, LogHeader, PreviousChecksum};
use ese_log::chain::Opening;
use ese_log::{FileRole, LogError, LogImage, MAX_LOG_SIZE, Naming, StreamFiles, trusted_header};
use evidence::{EvidenceError, EvidenceFile};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

pub(crate) use address::has_password;
pub use address::{Variables, is_address, open_file};

/// Whole segments at the beginning of a log that hold its first records.
const OPENING_SIZE: usize = 16 * 4096;

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

/// Why a log could not be brought here.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] EvidenceError),
    /// It is larger than a log can be.
    #[error("{} has {size} bytes, more than a log file can have ({MAX_LOG_SIZE})", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// The target could not be written.
    #[error("{source}")]
    Target {
        /// What the operating system said.
        source: io::Error,
    },
}

/// A log stream that can be copied.
pub trait LogSource: Send {
    /// What is there now.
    fn list(&self) -> Result<Listing, LogError>;

    /// The first `most` bytes of the log at `path`, or all of it; none if it cannot be read.
    fn start(&self, path: &Path, most: usize) -> Option<Vec<u8>>;

    /// The header of the log at `path`, if it can be trusted.
    fn header(&self, path: &Path) -> Option<LogHeader> {
        Some(trusted_header(&self.start(path, HEADER_SIZE)?).ok()?.0)
    }

    /// How the log at `path` begins, as far as it says anything about the one before it.
    fn opening(&self, path: &Path) -> Option<Opening> {
        let header = self.header(path)?;
        if header.version.previous_checksum() == PreviousChecksum::Accumulated {
            return Some(Opening::of_header(&header));
        }
        let mut opening = Opening::of_header(&header);
        for most in [
            OPENING_SIZE,
            usize::try_from(MAX_LOG_SIZE).unwrap_or(usize::MAX),
        ] {
            let start = self.start(path, most)?;
            opening = Opening::of(&LogImage::from_bytes(path, start).ok()?);
            if opening.has_records() {
                break;
            }
        }
        Some(opening)
    }

    /// Writes the log at `path` to `to`; returns its size.
    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError>;
}

/// The logs that the copy with this configuration is made of.
pub fn logs_of(
    source: &SourceConfig,
    remote: &RemoteConfig,
    variables: Variables,
) -> Box<dyn LogSource> {
    if is_address(&source.logs) {
        return Box::new(AddressSource::new(source, remote, variables));
    }
    Box::new(FolderSource::new(&source.logs, &source.base))
}

/// The logs of one stream in a folder.
#[derive(Debug, Clone)]
pub struct FolderSource {
    folder: PathBuf,
    base: String,
}

impl FolderSource {
    /// The stream `base` in `folder`.
    pub fn new(folder: &Path, base: &str) -> Self {
        FolderSource {
            folder: folder.to_owned(),
            base: base.to_owned(),
        }
    }
}

impl LogSource for FolderSource {
    fn list(&self) -> Result<Listing, LogError> {
        list(&self.folder, &self.base)
    }

    fn start(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        EvidenceFile::open(path)
            .and_then(|file| file.start(most))
            .ok()
    }

    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError> {
        let file = EvidenceFile::open(path)?;
        let size = file.length();
        if size > MAX_LOG_SIZE {
            return Err(FetchError::TooLarge {
                path: path.to_owned(),
                size,
            });
        }
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < size {
            let part = usize::try_from(size - offset)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let part = &mut buffer[..part];
            file.read_exact_at(part, offset)?;
            to.write_all(part)
                .map_err(|source| FetchError::Target { source })?;
            offset += part.len() as u64;
        }
        Ok(size)
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
fn listing(files: Option<StreamFiles>, header: impl Fn(&Path) -> Option<LogHeader>) -> Listing {
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
