//! Sources at an address: those that `edbcopy` takes, with the same credentials.
//!
//! Nothing is kept open between two looks but the client of the store. After an error that may pass the next look makes
//! a new one.

use super::{FetchError, Listing, LogSource, listing};
use crate::config::{RemoteConfig, SourceConfig};
use edb_copy::{
    LocalSource, ReadError, ReadErrorKind, ReadPolicy, Source, SourceFolder, SourceReader,
};

use ese_log::{LogError, MAX_LOG_SIZE, StreamFiles};
use evidence::EvidenceError;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where credentials are looked up by name: a library does not read the environment.
pub type Variables = fn(&str) -> Option<String>;

/// Whether a place of the configuration is an address and not a path.
pub fn is_address(place: &Path) -> bool {
    const SCHEMES: [&str; 8] = [
        "sftp", "s3", "azblob", "gcs", "webdav", "webdavs", "http", "https",
    ];
    let scheme = place.to_str().and_then(|text| text.split_once("://"));
    scheme.is_some_and(|(scheme, _)| SCHEMES.contains(&scheme))
}

/// Whether the address holds a password.
pub(crate) fn has_password(place: &Path) -> bool {
    let text = place.to_string_lossy();
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    login.contains(':')
}

/// A log that does not come within this time is tried again later.
const PATIENCE: Duration = Duration::from_secs(60);

/// A single try: what fails is a matter of the copy, which shows it and tries again.
fn policy() -> ReadPolicy {
    ReadPolicy {
        retries: 0,
        timeout: Some(PATIENCE),
        ..ReadPolicy::default()
    }
}

#[cfg(feature = "remote")]
fn settings(remote: &RemoteConfig, variables: Variables) -> edb_copy::RemoteSettings {
    edb_copy::RemoteSettings {
        identity: remote.identity.clone(),
        known_hosts: remote.known_hosts.clone(),
        endpoint: remote.endpoint.clone(),
        ..edb_copy::RemoteSettings::from_variables(variables)
    }
}

/// Opens the file at a path or an address for reading.
pub fn open_file(
    place: &Path,
    remote: &RemoteConfig,
    variables: Variables,
) -> Result<Arc<dyn Source>, ReadError> {
    if !is_address(place) {
        return Ok(Arc::new(LocalSource::open(place)?));
    }
    #[cfg(feature = "remote")]
    {
        let address = place.to_string_lossy();
        match edb_copy::RemotePlace::open(&address, settings(remote, variables))? {
            edb_copy::RemotePlace::File(file) => Ok(Arc::new(file)),
            edb_copy::RemotePlace::Folder(_) => Err(ReadError::new(
                ReadErrorKind::Permanent,
                "it is a folder, not a file",
            )),
        }
    }
    #[cfg(not(feature = "remote"))]
    {
        let _ = (remote, variables);
        Err(without_remote())
    }
}

#[cfg(not(feature = "remote"))]
fn without_remote() -> ReadError {
    ReadError::new(
        ReadErrorKind::Permanent,
        "this program was built without sources at addresses",
    )
}

/// The logs of one stream in a folder at an address.
pub(super) struct AddressSource {
    /// With `/` at its end.
    address: PathBuf,
    base: String,
    remote: RemoteConfig,
    variables: Variables,
    folder: Mutex<Option<Arc<dyn SourceFolder>>>,
}

impl AddressSource {
    pub(super) fn new(source: &SourceConfig, remote: &RemoteConfig, variables: Variables) -> Self {
        let mut address = source.logs.to_string_lossy().into_owned();
        if !address.ends_with('/') {
            address.push('/');
        }
        AddressSource {
            address: address.into(),
            base: source.base.clone(),
            remote: remote.clone(),
            variables,
            folder: Mutex::default(),
        }
    }

    /// Does something with the folder; connects first if need be.
    fn with<T>(
        &self,
        act: impl FnOnce(&dyn SourceFolder) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let known = self.folder().clone();
        let folder = match known {
            Some(folder) => folder,
            None => self.connect()?,
        };
        let done = act(&*folder);
        let again = matches!(&done, Err(error) if error.kind == ReadErrorKind::Passing);
        *self.folder() = (!again).then_some(folder);
        done
    }

    fn folder(&self) -> MutexGuard<'_, Option<Arc<dyn SourceFolder>>> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "remote")]
    fn connect(&self) -> Result<Arc<dyn SourceFolder>, ReadError> {
        let settings = settings(&self.remote, self.variables);
        match edb_copy::RemotePlace::open(&self.address.to_string_lossy(), settings)? {
            edb_copy::RemotePlace::Folder(folder) => Ok(Arc::new(folder)),
            edb_copy::RemotePlace::File(_) => Err(ReadError::new(
                ReadErrorKind::Permanent,
                "it is a file, not a folder",
            )),
        }
    }

    #[cfg(not(feature = "remote"))]
    fn connect(&self) -> Result<Arc<dyn SourceFolder>, ReadError> {
        let _ = (&self.remote, self.variables);
        Err(without_remote())
    }

    /// The first `most` bytes of a log, or all of it.
    fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
        let name = path.file_name().unwrap_or(OsStr::new(""));
        self.with(|folder| {
            let source = folder.open(name)?;
            let length = source.stamp().length;
            SourceReader::new(source, policy())
                .read(0..length.min(most), Vec::new(), &())
                .map_err(|error| match error {
                    edb_copy::CopyError::Read { error, .. }
                    | edb_copy::CopyError::Source { error, .. } => error,
                    other => ReadError::new(ReadErrorKind::Changed, other.to_string()),
                })
        })
    }
}

fn as_io(error: ReadError) -> io::Error {
    let kind = match error.kind {
        ReadErrorKind::Passing => io::ErrorKind::HostUnreachable,
        ReadErrorKind::Vanished => io::ErrorKind::NotFound,
        ReadErrorKind::InUse => io::ErrorKind::ResourceBusy,
        ReadErrorKind::Permanent | ReadErrorKind::Changed => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.message)
}

impl LogSource for AddressSource {
    fn list(&self) -> Result<Listing, LogError> {
        let entries = self.with(|folder| folder.entries());
        let entries = entries.map_err(|error| LogError::Io {
            path: shown(&self.address),
            source: as_io(error),
        })?;
        let files = entries.into_iter().filter(|entry| entry.is_file);
        let names = files.map(|entry| entry.name);
        let files = StreamFiles::of_names(&self.address, names, &self.base);
        Ok(listing(files, |path| self.header(path)))
    }

    fn start(&self, path: &Path, most: usize) -> Option<Vec<u8>> {
        self.read(path, most as u64).ok()
    }

    fn fetch(&self, path: &Path, to: &mut dyn Write) -> Result<u64, FetchError> {
        let log = self.read(path, MAX_LOG_SIZE + 1);
        let log = log.map_err(|error| EvidenceError::Io {
            path: shown(path),
            source: as_io(error),
        })?;
        let size = log.len() as u64;
        if size > MAX_LOG_SIZE {
            let path = shown(path);
            return Err(FetchError::TooLarge { path, size });
        }
        to.write_all(&log)
            .map_err(|source| FetchError::Target { source })?;
        Ok(size)
    }
}

/// The address as it may be shown: without anything secret.
#[cfg(feature = "remote")]
fn shown(address: &Path) -> PathBuf {
    edb_copy::RemotePlace::shown(&address.to_string_lossy()).into()
}

#[cfg(not(feature = "remote"))]
fn shown(address: &Path) -> PathBuf {
    address.to_owned()
}
