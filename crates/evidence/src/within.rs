//! Files that hold files: archives and disk images, and what is in them.

use crate::address::{Address, join, split};
use crate::local::LocalFile;
use crate::{DIRECTORY, EvidenceError, EvidenceFile, Place, Volume, wrong};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// So many of the files that hold others stay open, those that were used last.
const KEPT: usize = 32;
/// So many may lie in each other.
const DEEPEST: usize = 3;

/// A kind of files that hold files.
pub trait Container: Debug + Send + Sync {
    /// What it is called: `an archive`.
    fn kind(&self) -> &'static str;

    /// Whether the first bytes of a file are those of this kind, so that [`open`](Self::open) is worth a try for whoever looks
    /// for such files.
    fn is_likely(&self, file: &EvidenceFile) -> Result<bool, EvidenceError>;

    /// Whether a file is only a later part of one of this kind that lies beside it.
    fn is_later_part(&self, _file: &EvidenceFile) -> Result<bool, EvidenceError> {
        Ok(false)
    }

    /// Opens what is in `file`; none if it is not of this kind.
    fn open(&self, file: &EvidenceFile) -> Result<Option<Arc<dyn Contents>>, EvidenceError>;
}

/// What is in a file.
pub trait Contents: Debug + Send + Sync {
    /// What has this name; all of it has none.
    fn place(self: Arc<Self>, name: &OsStr) -> Result<Place, EvidenceError>;

    /// When what has this name was as it shows: when the shadow copy was made in which it lies.
    fn moment(&self, _name: &OsStr) -> Result<Option<Timestamp>, EvidenceError> {
        Ok(None)
    }
}

/// What is known of a file that holds others: nothing yet, while it is being opened.
type Opened = Arc<Mutex<Option<Arc<dyn Contents>>>>;

/// All that lies within files, by addresses with `::` in them.
#[derive(Debug)]
pub struct FilesWithin {
    kinds: Vec<Arc<dyn Container>>,
    /// By the address before `::`.
    open: Mutex<VecDeque<(PathBuf, Opened)>>,
}

impl FilesWithin {
    /// What lies in files of these kinds. A file is of the first kind that takes it.
    pub fn new(kinds: Vec<Arc<dyn Container>>) -> Self {
        FilesWithin {
            kinds,
            open: Mutex::default(),
        }
    }

    /// What is in a file, opened before or now.
    fn contents(
        &self,
        path: &Path,
        file: impl FnOnce() -> Result<EvidenceFile, EvidenceError>,
    ) -> Result<Arc<dyn Contents>, EvidenceError> {
        let slot = self.slot(path);
        // Others that want this file wait; those that want another do not.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(contents) = &*slot {
            return Ok(Arc::clone(contents));
        }
        let contents = self.open(&file()?)?;
        *slot = Some(Arc::clone(&contents));
        Ok(contents)
    }

    fn slot(&self, path: &Path) -> Opened {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.iter().position(|(known, _)| known == path);
        let slot = match known.and_then(|at| open.remove(at)) {
            Some((_, slot)) => slot,
            None => Arc::default(),
        };
        open.push_front((path.to_owned(), Arc::clone(&slot)));
        open.truncate(KEPT);
        slot
    }

    /// What is in the innermost of the files that an address names, and the name in it.
    fn innermost(
        &self,
        path: &Path,
        address: Address,
    ) -> Result<(Arc<dyn Contents>, OsString), EvidenceError> {
        let Address { outer, mut name } = address;
        let mut at = crate::shown(&outer);
        let mut contents = self.contents(&at, || outermost(&outer))?;
        let mut depth = 1;
        while let Some((inner, rest)) = split(&name) {
            depth += 1;
            if depth > DEEPEST {
                let why = format!(
                    "more than {DEEPEST} files that lie in each other are not read: take out the first"
                );
                return Err(said(&crate::shown(path), why));
            }
            let outside = contents;
            at = join(&at, &inner);
            contents = self.contents(&at, || match outside.place(&inner)? {
                Place::File(file) => Ok(file),
                Place::Folder(_) => Err(EvidenceError::NotAFile {
                    path: at.clone(),
                    kind: DIRECTORY,
                }),
            })?;
            name = rest;
        }
        Ok((contents, name))
    }

    fn open(&self, file: &EvidenceFile) -> Result<Arc<dyn Contents>, EvidenceError> {
        for kind in &self.kinds {
            if let Some(contents) = kind.open(file)? {
                return Ok(contents);
            }
        }
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.kind()).collect();
        let why = format!("it is not {}", kinds.join(", and not "));
        Err(said(file.path(), why))
    }
}

fn said(path: &Path, why: impl Into<String>) -> EvidenceError {
    EvidenceError::io(path)(wrong(why))
}

/// The outermost file: a block device is read as an image of it.
fn outermost(path: &Path) -> Result<EvidenceFile, EvidenceError> {
    match LocalFile::open_device(path) {
        Some(device) => Ok(EvidenceFile::of(path.to_owned(), Arc::new(device?))),
        None => EvidenceFile::open(path),
    }
}

impl Volume for FilesWithin {
    fn holds(&self, path: &Path) -> bool {
        Address::of(path).is_some()
    }

    fn is_within_files(&self) -> bool {
        true
    }

    fn holds_files(&self, file: &EvidenceFile) -> Result<bool, EvidenceError> {
        for kind in &self.kinds {
            if kind.is_likely(file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_later_part(&self, file: &EvidenceFile) -> Result<bool, EvidenceError> {
        for kind in &self.kinds {
            if kind.is_later_part(file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn outermost(&self, path: &Path) -> Option<PathBuf> {
        Some(crate::shown(&Address::of(path)?.outer))
    }

    fn moment(&self, path: &Path) -> Result<Option<Timestamp>, EvidenceError> {
        match Address::of(path) {
            Some(address) => {
                let (contents, name) = self.innermost(path, address)?;
                contents.moment(&name)
            }
            None => Ok(None),
        }
    }

    fn place(&self, path: &Path) -> Result<Place, EvidenceError> {
        match Address::of(path) {
            Some(address) => {
                let (contents, name) = self.innermost(path, address)?;
                contents.place(&name)
            }
            None => crate::place(path),
        }
    }

    fn shown(&self, path: &Path) -> PathBuf {
        match Address::of(path) {
            Some(Address { outer, name }) => join(&crate::shown(&outer), &name),
            None => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_what_lies_within_files_are_found_by_their_names() {
        crate::mount(Arc::new(FilesWithin::new(Vec::new())));
        for (file, folder) in [
            ("x.edb", "."),
            ("a/x.edb", "a"),
            ("future://h/a.zip::x.edb", "future://h/a.zip::"),
            ("future://[::1]/a.zip::x.edb", "future://[::1]/a.zip::"),
            ("future://h/a.zip::b/x.edb", "future://h/a.zip::b"),
            (
                "future://h/a.zip::b.zip::x.edb",
                "future://h/a.zip::/b.zip::",
            ),
            (
                "future://h/a.img::p2:vss1:/b/x.edb",
                "future://h/a.img::p2:vss1:/b",
            ),
        ] {
            assert_eq!(
                crate::folder_of(Path::new(file)),
                Path::new(folder),
                "{file}"
            );
        }
    }
}
