//! Where logs come from: the log folder of a storage group, local, mounted, or at an address. It is only read.

mod address;
pub(crate) mod view;

use crate::config::{RemoteConfig, SourceConfig};
use crate::listing::listing;
use ese_format::log::{HEADER_SIZE, LogHeader, PreviousChecksum};
use ese_log::chain::Opening;
use ese_log::{LogError, LogImage, MAX_LOG_SIZE, StreamFiles, trusted_header};
use evidence::{EvidenceError, EvidenceFile, LocalFolder, ReadError, ReadErrorKind, SourceFolder};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

pub use crate::listing::Listing;
pub use address::{Variables, is_address, open_file};

/// Whole segments at the beginning of a log that hold its first records.
const OPENING_SIZE: usize = 16 * 4096;

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
    let (place, remote) = (source.logs.clone(), remote.clone());
    let connect = move || address::open_folder(&place, &remote, variables);
    Box::new(FolderSource {
        path: address::shown(&source.logs),
        base: source.base.clone(),
        connect: Box::new(connect),
        connected: Mutex::default(),
    })
}

/// The logs of one stream in a folder, wherever it is.
///
/// Nothing is kept open between two looks but the connection. After an error that may pass the next look makes a new
/// one.
pub struct FolderSource {
    /// As it may be shown.
    path: PathBuf,
    base: String,
    connect: Box<Connect>,
    connected: Mutex<Option<Arc<dyn SourceFolder>>>,
}

type Connect = dyn Fn() -> Result<Arc<dyn SourceFolder>, ReadError> + Send;

impl FolderSource {
    /// The stream `base` in a folder of this machine.
    pub fn new(folder: &Path, base: &str) -> Self {
        let local: Arc<dyn SourceFolder> = Arc::new(LocalFolder(folder.to_owned()));
        FolderSource {
            path: folder.to_owned(),
            base: base.to_owned(),
            connect: Box::new(move || Ok(Arc::clone(&local))),
            connected: Mutex::default(),
        }
    }

    /// Does something with the folder; connects first if need be.
    fn with<T, E: From<EvidenceError>>(
        &self,
        act: impl FnOnce(&dyn SourceFolder) -> Result<T, E>,
        passes: impl FnOnce(&E) -> bool,
    ) -> Result<T, E> {
        let known = self.connected().clone();
        let folder = match known {
            Some(folder) => folder,
            None => {
                (self.connect)().map_err(|error| EvidenceError::io(&self.path)(error.into()))?
            }
        };
        let done = act(&*folder);
        let again = done.as_ref().is_err_and(passes);
        *self.connected() = (!again).then_some(folder);
        done
    }

    fn connected(&self) -> MutexGuard<'_, Option<Arc<dyn SourceFolder>>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with one of its files.
    fn with_file<T>(
        &self,
        path: &Path,
        act: impl FnOnce(&EvidenceFile) -> Result<T, EvidenceError>,
    ) -> Result<T, EvidenceError> {
        let name = path.file_name().unwrap_or(OsStr::new(""));
        let read = |folder: &dyn SourceFolder| {
            let file = folder.open(name)?;
            act(&EvidenceFile::of(path.to_owned(), file))
        };
        self.with(read, passes)
    }
}

/// Whether an error may pass.
fn passes(error: &EvidenceError) -> bool {
    match error {
        EvidenceError::Io { source, .. } => {
            ReadError::from_io(source).kind == ReadErrorKind::Passing
        }
        EvidenceError::NotAFile { .. } | EvidenceError::Shrank { .. } => false,
    }
}

impl LogSource for FolderSource {
    fn list(&self) -> Result<Listing, LogError> {
        let list =
            |folder: &dyn SourceFolder| StreamFiles::in_folder(folder, &self.path, &self.base);
        let may_pass = |error: &LogError| match error {
            LogError::File(error) => passes(error),
            LogError::Io { source, .. } => {
                ReadError::from_io(source).kind == ReadErrorKind::Passing
            }
            _ => false,
        };
        let files = self.with(list, may_pass)?;
        Ok(listing(files, |path| self.header(path)))
    }

    fn start(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        self.with_file(path, |file| file.start(most)).ok()
    }

    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError> {
        let mut written = Ok(());
        let size = self.with_file(path, |file| {
            let size = file.length();
            let mut buffer = vec![0; file.source().piece()];
            let mut offset = 0;
            while size <= MAX_LOG_SIZE && offset < size && written.is_ok() {
                let left = usize::try_from(size - offset).unwrap_or(usize::MAX);
                let part = left.min(buffer.len());
                let part = &mut buffer[..part];
                file.read_exact_at(part, offset)?;
                written = to.write_all(part);
                offset += part.len() as u64;
            }
            Ok(size)
        })?;
        if size > MAX_LOG_SIZE {
            let path = path.to_owned();
            return Err(FetchError::TooLarge { path, size });
        }
        written.map_err(|source| FetchError::Target { source })?;
        Ok(size)
    }
}
