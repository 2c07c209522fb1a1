//! Files in memory at an address: for tests of whatever reads evidence that is not a folder of this machine.

use evidence::{
    EvidenceError, EvidenceFile, FolderEntry, Place, ReadError, ReadErrorKind, SourceFile,
    SourceFolder, Stamp, Volume,
};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Folders of files at `memory://FOLDER/FILE`. They are not on any disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryVolume(Arc<Mutex<Folders>>);

type Folders = BTreeMap<String, BTreeMap<String, Arc<Vec<u8>>>>;

impl MemoryVolume {
    /// A volume that this process can read from now on.
    pub fn mounted() -> Self {
        let volume = Self::default();
        evidence::mount(Arc::new(volume.clone()));
        volume
    }

    /// Puts what lies directly in `folder` at `memory://NAME`; returns that address.
    pub fn take(&self, name: &str, folder: &Path) -> PathBuf {
        let files = std::fs::read_dir(folder).expect("the folder can be listed");
        let files = files.map(|entry| entry.expect("it can be listed").path());
        let files = files.filter(|path| path.is_file()).map(|path| {
            let name = path.file_name().expect("it was listed").to_string_lossy();
            let bytes = std::fs::read(&path).expect("the file can be read");
            (name.into_owned(), Arc::new(bytes))
        });
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.insert(name.to_owned(), files.collect());
        format!("memory://{name}").into()
    }

    fn folder(&self, path: &Path) -> Option<MemoryFolder> {
        let name = path
            .to_str()?
            .strip_prefix("memory://")?
            .trim_end_matches('/');
        let folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(MemoryFolder {
            address: format!("memory://{name}"),
            files: folders.get(name)?.clone(),
        })
    }
}

impl Volume for MemoryVolume {
    fn holds(&self, path: &Path) -> bool {
        path.to_str()
            .is_some_and(|text| text.starts_with("memory://"))
    }

    fn place(&self, path: &Path) -> Result<Place, EvidenceError> {
        if let Some(folder) = self.folder(path) {
            return Ok(Place::Folder(Arc::new(folder)));
        }
        let gone = || {
            let why = ReadError::new(ReadErrorKind::Vanished, "there is nothing");
            EvidenceError::io(path)(why.into())
        };
        let (folder, name) = (path.parent().ok_or_else(gone)?, path.file_name());
        let folder = self.folder(folder).ok_or_else(gone)?;
        let file = folder.open(name.ok_or_else(gone)?)?;
        Ok(Place::File(EvidenceFile::of(path.to_owned(), file)))
    }

    fn shown(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

#[derive(Debug)]
struct MemoryFolder {
    address: String,
    files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl SourceFolder for MemoryFolder {
    fn name(&self) -> String {
        self.address.clone()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        let entry = |name: &String| FolderEntry {
            name: name.into(),
            is_file: true,
        };
        Ok(self.files.keys().map(entry).collect())
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        format!("{}/{}", self.address, name.to_string_lossy()).into()
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        let bytes = self.files.get(&*name.to_string_lossy()).ok_or_else(|| {
            let why = ReadError::new(ReadErrorKind::Vanished, "there is no such file");
            EvidenceError::io(self.path_of(name))(why.into())
        })?;
        let name = self.path_of(name).display().to_string();
        let bytes = Arc::clone(bytes);
        Ok(Arc::new(MemoryFile { name, bytes }))
    }
}

#[derive(Debug)]
struct MemoryFile {
    name: String,
    bytes: Arc<Vec<u8>>,
}

impl SourceFile for MemoryFile {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.bytes.len() as u64,
            modified: None,
            tag: None,
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = self.bytes.get(start..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }
}
