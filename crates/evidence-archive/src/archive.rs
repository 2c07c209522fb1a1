//! An archive that was opened: its members by their names.

use crate::frames::Frames;
use crate::seven::Seven;
use crate::tarball::Tarball;
use crate::tree::{Member, Names, Nowhere};
use crate::unpacked::MemberFile;
use crate::zipped::Zipped;
use ese_format::foreign::is_tar;
use evidence::{
    Contents, EvidenceError, EvidenceFile, FileStart, FolderEntry, Glance, Place, Reading,
    SourceFile, SourceFolder, join, wrong,
};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// So many members that were opened last stay unpacked.
const KEPT: usize = 8;

/// An archive.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Its address, as it may be shown.
    pub(crate) path: PathBuf,
    kind: Kind,
    names: Names,
    unpacked: Mutex<VecDeque<(usize, Arc<MemberFile>)>>,
}

#[derive(Debug)]
enum Kind {
    Zip(Zipped),
    Tar(Tarball),
    Seven(Box<Seven>),
}

impl Archive {
    /// Reads what is in an archive; none if it is none.
    pub(crate) fn of(file: &EvidenceFile) -> Result<Option<Arc<Self>>, EvidenceError> {
        let path = file.path().to_owned();
        let read = read(file).map_err(EvidenceError::io(&path))?;
        Ok(read.map(|(kind, names)| {
            Arc::new(Archive {
                path,
                kind,
                names,
                unpacked: Mutex::default(),
            })
        }))
    }

    /// A folder of it; without a name, all of it.
    pub(crate) fn folder(self: &Arc<Self>, name: &OsStr) -> Arc<dyn SourceFolder> {
        Arc::new(ArchiveFolder {
            archive: Arc::clone(self),
            name: name.to_owned(),
        })
    }

    fn find(self: &Arc<Self>, name: &OsStr) -> Result<Place, EvidenceError> {
        let at = join(&self.path, name);
        let said = |what: String| EvidenceError::io(&at)(wrong(what));
        let names = &self.names;
        let node = names.root.find(name).map_err(|nowhere| match nowhere {
            Nowhere::Missing => match &names.omitted {
                Some(why) => said(format!("it may have been there: {why}")),
                None => EvidenceError::io(&at)(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the archive has no member of this name",
                )),
            },
            Nowhere::Ambiguous => said(
                "the archive has several members of this name but for case: write it as it is"
                    .to_owned(),
            ),
        })?;
        match (&node.files[..], &node.folder) {
            ([], _) => Ok(Place::Folder(self.folder(name))),
            ([member], None) => {
                let file = self.file(*member, &at).map_err(EvidenceError::io(&at))?;
                Ok(Place::File(EvidenceFile::of(at, file)))
            }
            (files, folder) => {
                let folders = usize::from(folder.is_some());
                Err(said(format!(
                    "the archive has {} members of this name: which one is meant is not known",
                    files.len() + folders
                )))
            }
        }
    }

    /// A member, unpacked once while it is in use.
    fn file(&self, member: Member, at: &Path) -> io::Result<Arc<dyn SourceFile>> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = unpacked
            .iter()
            .position(|(number, _)| *number == member.number);
        let file = match known.and_then(|place| unpacked.remove(place)) {
            Some((_, file)) => file,
            None => Arc::new(match &self.kind {
                Kind::Zip(zip) => zip.member(member, at)?,
                Kind::Tar(tar) => tar.member(member, at)?,
                Kind::Seven(seven) => seven.member(member, at)?,
            }),
        };
        unpacked.push_front((member.number, Arc::clone(&file)));
        unpacked.truncate(KEPT);
        Ok(file)
    }
}

impl Contents for Archive {
    fn place(self: Arc<Self>, name: &OsStr) -> Result<Place, EvidenceError> {
        self.find(name)
    }
}

/// What the first or last bytes of an archive say.
pub(crate) enum Look {
    Zip,
    Tar,
    Gzip,
    Zstd,
    Seven,
}

impl Look {
    /// What a file looks like.
    pub(crate) fn of(file: &dyn SourceFile) -> io::Result<Option<Self>> {
        let mut start = [0; 512];
        let length = file.read_at(&mut start, 0)?;
        let start = &start[..length];
        Ok(if start.starts_with(&[0x1f, 0x8b]) {
            Some(Look::Gzip)
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Some(Look::Zstd)
        } else if start.get(257..262) == Some(b"ustar") || is_tar(start) {
            Some(Look::Tar)
        } else if start.starts_with(Seven::START) {
            Some(Look::Seven)
        } else if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            Some(Look::Zip)
        } else {
            // A zip may have anything before it, as programs that unpack themselves do.
            Zipped::is_at_end(file, start)?.then_some(Look::Zip)
        })
    }
}

/// Tells archives apart by their first and last bytes.
fn read(file: &EvidenceFile) -> io::Result<Option<(Kind, Names)>> {
    let look = Look::of(file.source().as_ref())?;
    let source = Reading::new(Arc::clone(file.source()));
    let (tar, names) = match look {
        Some(Look::Gzip) => {
            let mut unpacked = flate2::read::MultiGzDecoder::new(io::BufReader::new(source));
            Tarball::unpack(&mut unpacked)?
        }
        Some(Look::Zstd) => {
            let mut unpacked = Frames::new(io::BufReader::new(source));
            Tarball::unpack(&mut unpacked)?
        }
        Some(Look::Seven) => {
            let (seven, names) = Seven::of(source)?;
            return Ok(Some((Kind::Seven(Box::new(seven)), names)));
        }
        Some(Look::Tar) => Tarball::of(Arc::clone(file.source()))?,
        // Its end may have been overlooked.
        Some(Look::Zip) | None => {
            return match Zipped::of(source) {
                Ok((zip, names)) => Ok(Some((Kind::Zip(zip), names))),
                Err(_) if look.is_none() => Ok(None),
                Err(error) => Err(error),
            };
        }
    };
    Ok(Some((Kind::Tar(tar), names)))
}

/// A folder of an archive.
#[derive(Debug)]
struct ArchiveFolder {
    archive: Arc<Archive>,
    name: OsString,
}

impl ArchiveFolder {
    /// Why it cannot be known what is in it.
    fn omitted(&self) -> Option<EvidenceError> {
        let why = self.archive.names.omitted.as_ref()?;
        let why = format!("{why}; what is known to be there can be named by itself");
        Some(EvidenceError::io(self.name())(wrong(why)))
    }

    fn known(&self) -> Vec<FolderEntry> {
        let node = self.archive.names.root.find(&self.name).ok();
        let folder = node.and_then(|node| node.folder.as_ref());
        let entries = folder.into_iter().flatten();
        let entries = entries.map(|(name, node)| FolderEntry {
            name: name.clone(),
            is_file: node.folder.is_none(),
        });
        entries.collect()
    }

    /// Its name of something in it.
    fn inner(&self, name: &OsStr) -> OsString {
        let mut inner = self.name.clone();
        inner.push("/");
        inner.push(name);
        inner
    }
}

impl SourceFolder for ArchiveFolder {
    fn name(&self) -> String {
        join(&self.archive.path, &self.name).display().to_string()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        match self.omitted() {
            Some(error) => Err(error),
            None => Ok(self.known()),
        }
    }

    /// It is said once that more may have been in the archive: of all of it.
    fn known_entries(&self) -> (Vec<FolderEntry>, Option<EvidenceError>) {
        let omitted = self.omitted().filter(|_| self.name.is_empty());
        (self.known(), omitted)
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        join(&self.archive.path, &self.name).join(name)
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        match self.archive.find(&self.inner(name))? {
            Place::File(file) => Ok(Arc::clone(file.source())),
            Place::Folder(_) => Err(EvidenceError::NotAFile {
                path: self.path_of(name),
                kind: "a directory",
            }),
        }
    }

    /// Of a zip, which packs its members one by one, a member is unpacked no further than is asked for.
    fn glance(&self, name: &OsStr, most: usize) -> Result<Glance, EvidenceError> {
        let path = self.path_of(name);
        let node = self.archive.names.root.find(&self.inner(name)).ok();
        let member = match node.map(|node| (&node.files[..], &node.folder)) {
            Some(([member], None)) => *member,
            // What is wrong with the name is said where it is opened.
            _ => {
                let file = self.open(name)?;
                return Ok(Glance::File(EvidenceFile::of(path, file)));
            }
        };
        match &self.archive.kind {
            Kind::Zip(zip) if zip.is_link(member) => Ok(Glance::Link),
            Kind::Seven(seven) if seven.is_link(member) => Ok(Glance::Link),
            Kind::Tar(tar) if tar.is_link(member) => Ok(Glance::Link),
            Kind::Tar(tar) if tar.is_special(member) => Ok(Glance::Special("a device or a FIFO")),
            kind => {
                let start = match kind {
                    Kind::Zip(zip) => zip.start(member, most).map(Some),
                    Kind::Seven(seven) => seven.start(member, most),
                    Kind::Tar(_) => Ok(None),
                };
                let file: Arc<dyn SourceFile> = match start.map_err(EvidenceError::io(&path))? {
                    Some((stamp, start)) => {
                        let name = path.display().to_string();
                        let start = FileStart {
                            name,
                            stamp,
                            start,
                            rest: None,
                        };
                        return Ok(Glance::Start(EvidenceFile::of(path, Arc::new(start))));
                    }
                    None => (self.archive.file(member, &path)).map_err(EvidenceError::io(&path))?,
                };
                Ok(Glance::File(EvidenceFile::of(path, file)))
            }
        }
    }
}
