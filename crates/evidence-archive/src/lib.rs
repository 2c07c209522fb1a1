//! Files in archives, as they arrive: `COLLECTION.zip::C/Windows/System32/sru/SRUDB.dat`.
//!
//! ```text
//! ARCHIVE :: MEMBER                   a file or a folder of the archive; nothing after the :: is all of it
//! ARCHIVE :: ARCHIVE :: MEMBER        an archive in an archive
//! ```
//!
//! What an archive is, its first bytes say, not its name: zip (with zip64), 7z, tar, and tar within gzip or zstd. The archive may
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

mod archive;
mod frames;
mod seven;
mod tarball;
mod tree;
mod unpacked;
mod zipped;

use archive::{Archive, Look};
use evidence::{Container, Contents, EvidenceError, EvidenceFile};
use std::sync::Arc;

/// Archives, as a kind of files that hold files.
#[derive(Debug)]
pub struct Archives;

impl Container for Archives {
    fn kind(&self) -> &'static str {
        "an archive that is read here (zip, 7z, tar, tar.gz, tar.zst)"
    }

    fn is_likely(&self, file: &EvidenceFile) -> Result<bool, EvidenceError> {
        let look = Look::of(file.source().as_ref()).map_err(EvidenceError::io(file.path()))?;
        Ok(look.is_some())
    }

    fn open(&self, file: &EvidenceFile) -> Result<Option<Arc<dyn Contents>>, EvidenceError> {
        let archive = Archive::of(file)?;
        Ok(archive.map(|archive| archive as Arc<dyn Contents>))
    }
}
