//! Sources at an address: those that `edbcopy` takes, with the same credentials.

use crate::config::RemoteConfig;
use evidence::{LocalFile, LocalFolder, ReadError, ReadErrorKind, SourceFile, SourceFolder};
#[cfg(feature = "remote")]
use evidence_remote::{RemotePlace, RemoteSettings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "remote")]
use std::time::Duration;

/// Where credentials are looked up by name: a library does not read the environment.
pub type Variables = fn(&str) -> Option<String>;

/// Whether a place of the configuration is an address and not a path.
pub use evidence::is_address;

#[cfg(feature = "remote")]
fn settings(
    remote: &RemoteConfig,
    variables: Variables,
    patience: Option<Duration>,
) -> RemoteSettings {
    let known = RemoteSettings::from_variables(variables);
    RemoteSettings {
        identity: remote.identity.clone().or(known.identity),
        known_hosts: remote.known_hosts.clone().or(known.known_hosts),
        endpoint: remote.endpoint.clone().or(known.endpoint),
        patience,
        ..known
    }
}

/// Opens the file at a path or an address for reading.
pub fn open_file(
    place: &Path,
    remote: &RemoteConfig,
    variables: Variables,
) -> Result<Arc<dyn SourceFile>, ReadError> {
    if !is_address(place) {
        return Ok(Arc::new(LocalFile::open(place)?));
    }
    #[cfg(feature = "remote")]
    {
        let address = place.to_string_lossy();
        match RemotePlace::open(&address, settings(remote, variables, None))? {
            RemotePlace::File(file) => Ok(Arc::new(file)),
            RemotePlace::Folder(_) => Err(ReadError::new(
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

/// Opens the folder at a path or an address. A log that does not come within a minute is tried again later.
pub(super) fn open_folder(
    place: &Path,
    remote: &RemoteConfig,
    variables: Variables,
) -> Result<Arc<dyn SourceFolder>, ReadError> {
    if !is_address(place) {
        return Ok(Arc::new(LocalFolder(place.to_owned())));
    }
    #[cfg(feature = "remote")]
    {
        let mut address = place.to_string_lossy().into_owned();
        if !address.ends_with('/') {
            address.push('/');
        }
        let patience = Some(Duration::from_secs(60));
        match RemotePlace::open(&address, settings(remote, variables, patience))? {
            RemotePlace::Folder(folder) => Ok(Arc::new(folder)),
            RemotePlace::File(_) => Err(ReadError::new(
                ReadErrorKind::Permanent,
                "it is a file, not a folder",
            )),
        }
    }
    #[cfg(not(feature = "remote"))]
    {
        let _ = (remote, variables);
        Err(without_remote())
    }
}

/// A path, or an address as it may be shown.
pub(super) fn shown(place: &Path) -> PathBuf {
    #[cfg(feature = "remote")]
    if is_address(place) {
        return RemotePlace::shown(&place.to_string_lossy()).into();
    }
    place.to_owned()
}
