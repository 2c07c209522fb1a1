//! Where the result of a recovery goes: a new file, an overlay, or the database itself.
//!
//! | target | the source | when the machine stops |
//! |---|---|---|
//! | new file, overlay | is only read | the new name does not exist yet; the file beside it that was begun is removed by the next run (see [`partial`]) |
//! | in place | is written once all changed pages are in a finished journal | before that nothing has happened; after it, the next run finishes what the journal holds |

mod file;
mod in_place;
mod new_file;
mod partial;

pub use file::OutputFile;
pub(crate) use file::{read_at, write_at};
pub use in_place::{InPlace, apply_journal, journal_path};
pub use new_file::NewFile;

use crate::page_files::{BaseMark, Overlay, OverlayError, Shared};
use crate::pages::PageFile;
use crate::recovery::{DatabaseFile, RecoveredDatabase, RecoveryError};
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies, seal_header};
use ese_format::explain::{advice_on, advise, jet_of, said};
use ese_format::{Class, Explain, JetError, Progress, Signature};
use partial::Partial;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use target_disk::{Disk, SharedDisk};
use thiserror::Error;

/// Why a result cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The operating system refused.
    #[error("{}: {}", path.display(), said(error))]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Something of this name is there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The result would overwrite what it is made from.
    #[error("{} is the source itself", path.display())]
    IsSource {
        /// The file.
        path: PathBuf,
    },
    /// The database in place is in use.
    #[error("{} is in use by another program", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A recovery in place was interrupted while it wrote the database, which is fit for nothing else before it is
    /// finished.
    #[error("{}: a recovery in place was interrupted; {} holds the rest of it", path.display(), journal.display())]
    Interrupted {
        /// The database.
        path: PathBuf,
        /// The journal.
        journal: PathBuf,
    },
    /// A journal beside the database belongs to another one.
    #[error("{}: {problem}", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// What was to be written is not the database that the file is for.
    #[error("{}: this would be another database: its signature is {}, that of the source {}", path.display(), found.shown(), expected.shown())]
    OtherDatabase {
        /// The file.
        path: PathBuf,
        /// The signature of what was to be written.
        found: Signature,
        /// The signature of the source.
        expected: Signature,
    },
    /// The file that was written does not hold what it should.
    #[error("{}: the file that was written does not hold the recovered database: {problem}", path.display())]
    NotWritten {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        problem: String,
    },
    /// The source cannot be read.
    #[error("{0}")]
    Source(#[from] RecoveryError),
}

impl Explain for OutputError {
    fn class(&self) -> Class {
        match self {
            OutputError::Source(error) => error.class(),
            OutputError::Io { .. } | OutputError::NotWritten { .. } => Class::Io,
            OutputError::Exists { .. }
            | OutputError::IsSource { .. }
            | OutputError::InUse { .. }
            | OutputError::Interrupted { .. }
            | OutputError::Journal { .. }
            | OutputError::OtherDatabase { .. } => Class::Refused,
        }
    }

    fn jet(&self) -> Option<JetError> {
        match self {
            OutputError::Source(error) => error.jet(),
            OutputError::Io { error, .. } => Some(jet_of(error.kind())),
            OutputError::NotWritten { .. } => Some(JetError::DISK_IO),
            OutputError::InUse { .. } => Some(JetError::FILE_ACCESS_DENIED),
            OutputError::Exists { .. }
            | OutputError::IsSource { .. }
            | OutputError::Interrupted { .. }
            | OutputError::Journal { .. }
            | OutputError::OtherDatabase { .. } => None,
        }
    }

    fn advice(&self) -> Option<Cow<'static, str>> {
        advise(match self {
            OutputError::Source(error) => return error.advice(),
            OutputError::Io { error, .. } => return advice_on(error.kind()),
            OutputError::Exists { .. } => "choose another name, or add --force",
            OutputError::OtherDatabase { .. } => {
                "nothing was written: recover the databases one at a time"
            }
            OutputError::NotWritten { .. } => {
                "do not use this file: the disk may be failing; write the result to another one"
            }
            OutputError::IsSource { .. } => "choose another name, or use --in-place",
            OutputError::InUse { .. } => "stop the program that uses it",
            OutputError::Interrupted { .. } => {
                "finish it with `edbreplay run --in-place` and the same logs"
            }
            OutputError::Journal { .. } => {
                "the database was changed since that journal was begun: look into it before removing the journal"
            }
        })
    }
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> OutputError {
    move |error| OutputError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A complete database under a new name.
    NewFile(PathBuf),
    /// Only what changes.
    Overlay(PathBuf),
    /// The database itself.
    InPlace,
}

/// The result of one database, being written.
pub struct RecoveryOutput {
    disk: SharedDisk,
    /// The database that it is for.
    signature: Signature,
    place: OutputForm,
}

enum OutputForm {
    NewFile(NewFile),
    Overlay(OverlayFile),
    InPlace(InPlace),
}

/// An overlay that is being written.
pub struct OverlayFile {
    place: Partial,
    pages: Shared<Overlay>,
}

impl OverlayFile {
    fn begin(disk: &SharedDisk, source: &DatabaseFile, path: &Path) -> Result<Self, OutputError> {
        let place = Partial::create(disk, path)?;
        let overlay = over(source, Box::new(place.file())).map_err(at(path))?;
        Ok(OverlayFile {
            place,
            pages: Shared::new(overlay),
        })
    }

    fn commit(self, header: &DatabaseHeader) -> Result<PathBuf, OutputError> {
        let finished = self.pages.lock().finish(header);
        finished.map_err(at(self.place.path()))?;
        self.place.finish()
    }
}

impl RecoveryOutput {
    /// Begins the result for `source` on `disk`. With `force`, a file of that name is replaced at the end.
    pub fn begin(
        disk: &SharedDisk,
        source: &DatabaseFile,
        target: &Target,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<Self, OutputError> {
        if let Target::NewFile(path) | Target::Overlay(path) = target {
            refuse_source(source.path(), path)?;
            refuse_existing(&**disk, path, force)?;
        }
        let place = match target {
            Target::NewFile(path) => {
                OutputForm::NewFile(NewFile::copy(disk, source, path, progress)?)
            }
            Target::Overlay(path) => OutputForm::Overlay(OverlayFile::begin(disk, source, path)?),
            Target::InPlace => OutputForm::InPlace(InPlace::begin(disk, source)?),
        };
        Ok(RecoveryOutput {
            disk: disk.clone(),
            signature: source.header.signature,
            place,
        })
    }

    /// Begins an empty file for the database with this signature, which the log creates.
    pub fn create(
        disk: &SharedDisk,
        signature: Signature,
        path: &Path,
        page_size: u32,
        force: bool,
    ) -> Result<Self, OutputError> {
        refuse_existing(&**disk, path, force)?;
        Ok(RecoveryOutput {
            disk: disk.clone(),
            signature,
            place: OutputForm::NewFile(NewFile::create(disk, path, page_size)?),
        })
    }

    /// The database that it is for.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The handle through which a replay reads and writes.
    pub fn pages(&self) -> Box<dyn PageFile> {
        match &self.place {
            OutputForm::NewFile(file) => Box::new(file.pages()),
            OutputForm::Overlay(overlay) => Box::new(overlay.pages.clone()),
            OutputForm::InPlace(journal) => Box::new(journal.pages()),
        }
    }

    /// Ends the writing, the header last, and looks at what was written. Gives the file that was made.
    ///
    /// Takes only a database that a recovery proved, and only the one that this output is for.
    pub fn commit(self, recovered: &RecoveredDatabase) -> Result<PathBuf, OutputError> {
        let header = recovered.header();
        if header.signature != self.signature {
            let path = match &self.place {
                OutputForm::NewFile(file) => file.path(),
                OutputForm::Overlay(overlay) => overlay.place.path(),
                OutputForm::InPlace(journal) => journal.path(),
            };
            return Err(OutputError::OtherDatabase {
                path: path.to_owned(),
                found: header.signature,
                expected: self.signature,
            });
        }
        let path = match self.place {
            OutputForm::NewFile(file) => file.commit(header)?,
            OutputForm::Overlay(overlay) => return overlay.commit(header),
            OutputForm::InPlace(journal) => journal.commit(header)?,
        };
        check_written(&*self.disk, &path, header)?;
        Ok(path)
    }
}

/// Reads the header of a result again.
fn check_written(disk: &dyn Disk, path: &Path, header: &DatabaseHeader) -> Result<(), OutputError> {
    let mut expected = vec![0; header.page_size() as usize];
    seal_header(header, &mut expected);
    let mut start = vec![0; HEADERS_MAX];
    let file = disk.open_to_read(path).map_err(at(path))?;
    let read = file.read_at(&mut start, 0).map_err(at(path))?;
    start.truncate(read);
    if start.starts_with(&expected) {
        return Ok(());
    }
    let copies = HeaderCopies::read(&start);
    let problem = match copies.good() {
        Some(found) => {
            let (signature, state) = (found.fields.signature, found.fields.state);
            format!("its header names {signature}, {}", state.name())
        }
        None => "its header cannot be read".to_owned(),
    };
    Err(OutputError::NotWritten {
        path: path.to_owned(),
        problem,
    })
}

/// An overlay over `source` in `disk`.
pub(crate) fn over(source: &DatabaseFile, disk: Box<dyn OutputFile>) -> io::Result<Overlay> {
    let mark = BaseMark::of(&source.header);
    let page_size = source.page_size.bytes();
    Overlay::create(disk, Box::new(source.pages()), mark, page_size, source.last)
}

/// The result must not be what it is made from, under whatever name.
fn refuse_source(source: &Path, path: &Path) -> Result<(), OutputError> {
    let real = |path: &Path| path.canonicalize().ok();
    if path.exists() && real(source).is_some() && real(source) == real(path) {
        return Err(OutputError::IsSource {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// What stands under the name of the result is only replaced if that is wanted.
fn refuse_existing(disk: &dyn Disk, path: &Path, force: bool) -> Result<(), OutputError> {
    match !force && disk.exists(path).map_err(at(path))? {
        true => Err(OutputError::Exists {
            path: path.to_owned(),
        }),
        false => Ok(()),
    }
}

impl From<OverlayError> for io::Error {
    fn from(error: OverlayError) -> Self {
        io::Error::other(error)
    }
}
