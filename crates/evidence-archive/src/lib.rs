//! Files in archives, as they arrive: `COLLECTION.zip::C/Windows/System32/sru/SRUDB.dat`.
//!
//! ```text
//! ARCHIVE :: MEMBER                   a file or a folder of the archive; nothing after the :: is all of it
//! ARCHIVE :: ARCHIVE :: MEMBER        an archive in an archive
//! ```
//!
//! What an archive is, its first bytes say, not its name: zip (with zip64), tar, and tar within gzip or zstd. The archive may
//! be a file of this machine or lie at an address.
//!
//! Nothing is written but unlinked temporary files. A member is unpacked once, into memory or above a limit into such a file;
//! what an archive holds as it is (stored members, tar) is read in its place. Members of a zip are held against their checksums
//! first, and what is compressed as a whole against that of the whole. A tar has none of its own.
//!
//! Names are data. They are compared part by part and never become paths of this machine, whatever is in them. Separators are
//! `/`, and `\` in names that have no `/`. A name that is not there as it is written may be there in another case, as Windows
//! sees it, if only one is.

#![forbid(unsafe_code)]

mod address;
mod archive;
mod frames;
mod tarball;
mod tree;
mod unpacked;
mod zipped;

use address::Address;
use archive::Archive;
use evidence::{EvidenceError, EvidenceFile, Place, SourceFolder, Volume};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// All archives that can be opened.
#[derive(Debug, Default)]
pub struct ArchiveVolume {
    /// Those that were, by the addresses before `::`.
    open: Mutex<HashMap<PathBuf, Arc<Archive>>>,
}

impl ArchiveVolume {
    /// Archives, none of them opened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An archive that was opened before, or is now.
    fn archive(
        &self,
        path: &Path,
        open: impl FnOnce() -> Result<Arc<Archive>, EvidenceError>,
    ) -> Result<Arc<Archive>, EvidenceError> {
        let mut known = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(archive) = known.get(path) {
            return Ok(Arc::clone(archive));
        }
        let archive = open()?;
        known.insert(path.to_owned(), Arc::clone(&archive));
        Ok(archive)
    }
}

/// The root of the archive that a file is.
pub fn root_of(file: EvidenceFile) -> Result<Arc<dyn SourceFolder>, EvidenceError> {
    Ok(Archive::of(file)?.folder(OsStr::new("")))
}

impl Volume for ArchiveVolume {
    fn holds(&self, path: &Path) -> bool {
        Address::of(path).is_some()
    }

    fn is_within_files(&self) -> bool {
        true
    }

    fn place(&self, path: &Path) -> Result<Place, EvidenceError> {
        let Some(Address { archive, member }) = Address::of(path) else {
            return evidence::place(path);
        };
        let outer = self.archive(&archive, || Archive::of(EvidenceFile::open(&archive)?))?;
        let Some((inner, member)) = address::split(&member) else {
            return outer.place(&member);
        };
        if address::split(&member).is_some() {
            return Err(EvidenceError::io(path)(unpacked::wrong(
                "an archive in an archive in an archive is not read: unpack the first",
            )));
        }
        let at = address::join(&outer.path, &inner);
        let inner = self.archive(&at, || match outer.place(&inner)? {
            Place::File(file) => Archive::of(file),
            Place::Folder(_) => Err(EvidenceError::NotAFile {
                path: at.clone(),
                kind: "a directory",
            }),
        })?;
        inner.place(&member)
    }

    fn shown(&self, path: &Path) -> PathBuf {
        match Address::of(path) {
            Some(Address { archive, member }) => address::join(&evidence::shown(&archive), &member),
            None => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_members_are_found_by_their_names() {
        evidence::mount(Arc::new(ArchiveVolume::new()));
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
        ] {
            assert_eq!(
                evidence::folder_of(Path::new(file)),
                Path::new(folder),
                "{file}"
            );
        }
    }
}
