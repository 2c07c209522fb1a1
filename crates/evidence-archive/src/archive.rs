//! An archive that was opened: its members by their names.

use crate::address::join;
use crate::tarball::Tarball;
use crate::tree::{Member, Node, Nowhere};
use crate::unpacked::{MemberFile, wrong};
use crate::zipped::Zipped;
use evidence::{EvidenceError, EvidenceFile, FolderEntry, Place, SourceFile, SourceFolder};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// So many members that were opened last stay unpacked.
const KEPT: usize = 8;

/// An archive.
#[derive(Debug)]
pub(crate) struct Archive(Arc<Opened>);

impl std::ops::Deref for Archive {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        &self.0
    }
}

/// What is known of an archive.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its address, as it may be shown.
    pub(crate) path: PathBuf,
    kind: Kind,
    root: Node,
    unpacked: Mutex<VecDeque<(usize, Arc<MemberFile>)>>,
}

#[derive(Debug)]
enum Kind {
    Zip(Zipped),
    Tar(Tarball),
}

impl Archive {
    /// Opens the archive at a path or an address.
    pub(crate) fn open(path: &Path) -> Result<Self, EvidenceError> {
        Archive::of(EvidenceFile::open(path)?)
    }

    /// Reads what is in an archive.
    pub(crate) fn of(file: EvidenceFile) -> Result<Self, EvidenceError> {
        let path = file.path().to_owned();
        let (kind, root) = read(&file).map_err(EvidenceError::io(&path))?;
        Ok(Archive(Arc::new(Opened {
            path,
            kind,
            root,
            unpacked: Mutex::default(),
        })))
    }

    /// All of it.
    pub(crate) fn root(&self) -> Arc<dyn SourceFolder> {
        Arc::new(ArchiveFolder {
            archive: Arc::clone(&self.0),
            name: OsString::new(),
        })
    }

    /// What a name leads to.
    pub(crate) fn place(&self, name: &OsStr) -> Result<Place, EvidenceError> {
        let at = join(&self.path, name);
        let said = |what: String| EvidenceError::io(&at)(wrong(what));
        let node = self.root.find(name).map_err(|nowhere| match nowhere {
            Nowhere::Missing => EvidenceError::io(&at)(io::Error::new(
                io::ErrorKind::NotFound,
                "the archive has no member of this name",
            )),
            Nowhere::Ambiguous => said(
                "the archive has several members of this name but for case: write it as it is"
                    .to_owned(),
            ),
        })?;
        match (&node.files[..], &node.folder) {
            ([], _) => Ok(Place::Folder(Arc::new(ArchiveFolder {
                archive: Arc::clone(&self.0),
                name: name.to_owned(),
            }))),
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
}

impl Opened {
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
            }),
        };
        unpacked.push_front((member.number, Arc::clone(&file)));
        unpacked.truncate(KEPT);
        Ok(file)
    }
}

/// Tells archives apart by their first bytes.
fn read(file: &EvidenceFile) -> io::Result<(Kind, Node)> {
    let mut start = [0; 512];
    let length = file.source().read_at(&mut start, 0)?;
    let start = &start[..length];
    let source = Reading::new(Arc::clone(file.source()));
    if start.starts_with(&[0x1f, 0x8b]) {
        let (tar, root) = Tarball::unpack(&mut flate2::read::MultiGzDecoder::new(
            io::BufReader::new(source),
        ))?;
        return Ok((Kind::Tar(tar), root));
    }
    if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut source = io::BufReader::new(source);
        let decoder = ruzstd::decoding::StreamingDecoder::new(&mut source);
        let mut decoder = decoder.map_err(|error| wrong(error.to_string()))?;
        let (tar, root) = Tarball::unpack(&mut decoder)?;
        return Ok((Kind::Tar(tar), root));
    }
    if start.get(257..262) == Some(b"ustar") {
        let (tar, root) = Tarball::of(Arc::clone(file.source()))?;
        return Ok((Kind::Tar(tar), root));
    }
    // A zip may have anything before it, as programs that unpack themselves do.
    match Zipped::of(source) {
        Ok((zip, root)) => Ok((Kind::Zip(zip), root)),
        Err(_) if !start.starts_with(b"PK") => Err(wrong(
            "it is no archive that is read here: not zip, tar, tar.gz or tar.zst",
        )),
        Err(error) => Err(error),
    }
}

/// A file read from its start on.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) file: Arc<dyn SourceFile>,
    at: u64,
}

impl Reading {
    pub(crate) fn new(file: Arc<dyn SourceFile>) -> Self {
        Reading { file, at: 0 }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reading {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(back) => self.file.stamp().length.checked_add_signed(back),
            SeekFrom::Current(step) => self.at.checked_add_signed(step),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// A folder of an archive.
#[derive(Debug)]
struct ArchiveFolder {
    archive: Arc<Opened>,
    name: OsString,
}

impl SourceFolder for ArchiveFolder {
    fn name(&self) -> String {
        join(&self.archive.path, &self.name).display().to_string()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        let node = self.archive.root.find(&self.name).ok();
        let folder = node.and_then(|node| node.folder.as_ref());
        let entries = folder.into_iter().flatten();
        let entries = entries.map(|(name, node)| FolderEntry {
            name: name.clone(),
            is_file: node.folder.is_none(),
        });
        Ok(entries.collect())
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        join(&self.archive.path, &self.name).join(name)
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        let path = self.path_of(name);
        let mut inner = self.name.clone();
        inner.push("/");
        inner.push(name);
        match Archive(Arc::clone(&self.archive)).place(&inner)? {
            Place::File(file) => Ok(Arc::clone(file.source())),
            Place::Folder(_) => Err(EvidenceError::NotAFile {
                path,
                kind: "a directory",
            }),
        }
    }
}
