//! Addresses as paths: what a process mounts to read its sources from a network too.

use crate::keyring::place_and_user;
use crate::place::{PATIENCE, Store, parse};
use crate::{RemotePlace, RemoteSettings};
use evidence::{
    EvidenceError, EvidenceFile, FolderEntry, Place, ReadError, Retry, SourceFile, SourceFolder,
    Stamp, Volume,
};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// All stores that can be reached at an address. What fails and may pass is tried again.
pub struct RemoteVolume {
    settings: RemoteSettings,
    persistence: Persistence,
    /// One client for each machine and user, or bucket.
    stores: Mutex<HashMap<String, Arc<Store>>>,
}

/// The most bytes that are asked for at once.
const PIECE: usize = 1 << 20;

/// How long something is tried.
#[derive(Debug, Clone, Copy)]
struct Persistence {
    retry: Retry,
    should_stop: fn() -> bool,
}

impl Persistence {
    fn persist<T>(&self, attempt: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
        self.retry.persist(&self.should_stop, attempt)
    }
}

impl RemoteVolume {
    /// Stores with these settings; `should_stop` says when somebody does not want to wait any longer.
    pub fn new(settings: RemoteSettings, should_stop: fn() -> bool) -> Self {
        RemoteVolume {
            settings: RemoteSettings {
                patience: settings.patience.or(Some(PATIENCE)),
                ..settings
            },
            persistence: Persistence {
                retry: Retry::default(),
                should_stop,
            },
            stores: Mutex::default(),
        }
    }

    /// The client for an address. One that was made with a password serves the same address without it.
    fn store(&self, url: &Url) -> Result<Arc<Store>, ReadError> {
        let key = place_and_user(url);
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&key).filter(|_| url.password().is_none()) {
            return Ok(Arc::clone(store));
        }
        let store = Arc::new(Store::connect(url.clone(), self.settings.clone())?);
        stores.insert(key, Arc::clone(&store));
        Ok(store)
    }

    fn find(&self, path: &Path) -> Result<RemotePlace, ReadError> {
        let url = parse(&path.to_string_lossy())?;
        self.persistence
            .persist(|| RemotePlace::find(self.store(&url)?, url.clone()))
    }
}

impl Volume for RemoteVolume {
    fn holds(&self, path: &Path) -> bool {
        path.to_str().is_some_and(RemotePlace::is_address)
    }

    fn place(&self, path: &Path) -> Result<Place, EvidenceError> {
        let shown = self.shown(path);
        let found = self.find(path);
        let persistence = self.persistence;
        Ok(
            match found.map_err(|error| EvidenceError::io(&shown)(error.into()))? {
                RemotePlace::File(file) => Place::File(EvidenceFile::of(
                    shown,
                    Arc::new(Patient {
                        inner: Arc::new(file),
                        persistence,
                    }),
                )),
                RemotePlace::Folder(folder) => Place::Folder(Arc::new(PatientFolder {
                    inner: Arc::new(folder),
                    persistence,
                })),
            },
        )
    }

    fn shown(&self, path: &Path) -> PathBuf {
        RemotePlace::shown(&path.to_string_lossy()).into()
    }
}

/// A file whose reads are tried again.
#[derive(Debug)]
struct Patient {
    inner: Arc<dyn SourceFile>,
    persistence: Persistence,
}

impl Patient {
    fn persist<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let attempt = || attempt().map_err(|error| ReadError::from_io(&error));
        Ok(self.persistence.persist(attempt)?)
    }
}

impl SourceFile for Patient {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn stamp(&self) -> Stamp {
        self.inner.stamp()
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        self.persist(|| self.inner.stamp_now())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        for piece in buffer.chunks_mut(self.piece()) {
            let offset = offset + filled as u64;
            let read = self.persist(|| self.inner.read_at(piece, offset))?;
            filled += read;
            if read < piece.len() {
                break;
            }
        }
        Ok(filled)
    }

    /// Small enough that it comes in time over a slow link.
    fn piece(&self) -> usize {
        self.inner.piece().min(PIECE)
    }
}

/// A folder that is asked again.
#[derive(Debug)]
struct PatientFolder {
    inner: Arc<dyn SourceFolder>,
    persistence: Persistence,
}

impl PatientFolder {
    fn persist<T>(
        &self,
        path: PathBuf,
        mut attempt: impl FnMut() -> Result<T, EvidenceError>,
    ) -> Result<T, EvidenceError> {
        let attempt = || attempt().map_err(ReadError::from);
        let done = self.persistence.persist(attempt);
        done.map_err(|error| EvidenceError::io(path)(error.into()))
    }
}

impl SourceFolder for PatientFolder {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        self.persist(self.name().into(), || self.inner.entries())
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        self.inner.path_of(name)
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        let opened = self.persist(self.path_of(name), || self.inner.open(name))?;
        Ok(Arc::new(Patient {
            inner: opened,
            persistence: self.persistence,
        }))
    }
}
