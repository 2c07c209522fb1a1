//! Disk images of all kinds as files of the disk's bytes.
//!
//! ```text
//! raw      the disk as it is; x.001, x.002 ... one after the other: then it may be of any kind
//! E01      x.E01, x.E02 ...: packed, with checksums of everything
//! VMDK     one sparse or packed file, or a description and the files that it lists
//! VHD      fixed and dynamic
//! VHDX     fixed and dynamic; what its log has not written yet is read as if it had
//! QCOW2    plain and packed, as it is now
//! ```
//!
//! An image says what it is by its bytes, not by its name. Only the names of further files follow from names, and lead to no other folder.
//!
//! What is read is what the disk had, or an error: zeros are only what the image says that nobody wrote. So an image that holds only
//! what changed since another one is refused, and what is cut off is an error that says what was needed and what was there. Checksums
//! are checked where a kind has them. Everything is read when it is needed, at positions, by several threads at once; no number in an
//! image makes room in memory for more than is really there.

mod disk;
mod ewf;
mod parts;
mod qcow2;
mod raw;
mod vhd;
mod vhdx;
mod vhdx_log;
mod vmdk;
mod vmdk_description;

use disk::{Disk, DiskFile};
use evidence::{EvidenceError, EvidenceFile, ReadError, SourceFile, wrong};
use parts::{Beside, Part, name_of};
use std::io;
use std::sync::Arc;

/// A disk in an image.
#[derive(Debug, Clone)]
pub struct DiskImage {
    /// What the image is called: `E01`.
    pub kind: &'static str,
    /// The bytes of the disk.
    pub bytes: Arc<dyn SourceFile>,
}

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Raw,
    Ewf,
    /// It is named in the refusal.
    Refused(&'static str),
    Vmdk,
    VmdkDescription,
    Vhd,
    Vhdx,
    Qcow2,
}

const EWF_2: &str = "it is an Ex01 image (EWF version 2), which is not read here: convert it to E01 first (ewfexport)";
const LOGICAL: &str =
    "it is an L01 or Lx01 image: it holds files, not a disk, and is not read here";

impl Look {
    /// What the first or last bytes of a file say.
    fn of(file: &dyn SourceFile) -> io::Result<Option<Self>> {
        let length = file.stamp().length;
        let start = Self::of_start(file, length)?;
        // A fixed VHD begins with its disk.
        if !matches!(start, None | Some(Look::Raw)) {
            return Ok(start);
        }
        let footer = length.checked_sub(vhd::FOOTER as u64);
        let mut cookie = [0; vhd::COOKIE.len()];
        if let Some(footer) = footer
            && file.read_at(&mut cookie, footer)? == cookie.len()
            && cookie == *vhd::COOKIE
        {
            return Ok(Some(Look::Vhd));
        }
        Ok(start)
    }

    /// What the first bytes say of a file, or of several with `length` bytes together.
    fn of_start(file: &dyn SourceFile, length: u64) -> io::Result<Option<Self>> {
        let mut start = vec![0; raw::START];
        let read = file.read_at(&mut start, 0)?;
        start.truncate(read);
        let starts: [(&[u8], Look); 8] = [
            (ewf::SIGNATURE, Look::Ewf),
            (b"EVF2\r\n\x81\0", Look::Refused(EWF_2)),
            (b"LVF\x09\r\n\xff\0", Look::Refused(LOGICAL)),
            (b"LEF2\r\n\x81\0", Look::Refused(LOGICAL)),
            (vmdk::MAGIC, Look::Vmdk),
            (vhd::COOKIE, Look::Vhd),
            (vhdx::SIGNATURE, Look::Vhdx),
            (qcow2::MAGIC, Look::Qcow2),
        ];
        let known = starts.iter().find(|(bytes, _)| start.starts_with(bytes));
        if let Some((_, look)) = known {
            return Ok(Some(*look));
        }
        if vmdk::is_description(&start) {
            return Ok(Some(Look::VmdkDescription));
        }
        Ok(raw::is_raw(&start, length).then_some(Look::Raw))
    }
}

/// Opens the disk in an image. None if neither the first bytes of the file nor its last ones say that it is an image.
///
/// Further files of the image are opened in the same folder. An error if one of them is missing, if the image is damaged or cut off
/// where its tables are, or if it is of a kind that is not read here. What is damaged elsewhere is an error once it is read.
pub fn open(file: &EvidenceFile) -> Result<Option<DiskImage>, EvidenceError> {
    let said = || EvidenceError::io(file.path());
    let joined = match raw::Joined::of(file) {
        Ok(joined) => joined,
        // Numbers at the end of names may mean anything.
        Err(error) => match Look::of_start(file.source().as_ref(), u64::MAX).map_err(said())? {
            Some(_) => return Err(error),
            None => return Ok(None),
        },
    };
    let is_split = joined.is_some();
    let whole = joined.map(|joined| as_file(file, joined));
    let source = whole.unwrap_or_else(|| Arc::clone(file.source()));
    let Some(look) = Look::of(source.as_ref()).map_err(said())? else {
        return match raw::first_of(file)? {
            Some(first) => later_part_of(file, &first),
            None => Ok(None),
        };
    };
    let opened = disk_of(file, source, look, is_split);
    opened.map(Some).map_err(said())
}

/// An error for whoever names a later part of an image; none if the first part is no image either.
fn later_part_of(file: &EvidenceFile, first: &str) -> Result<Option<DiskImage>, EvidenceError> {
    let path = evidence::folder_of(file.path()).join(first);
    let opened = Beside::of(file)?.open(first, "it is the first part");
    let opened = opened.map_err(EvidenceError::io(file.path()))?;
    let opened = EvidenceFile::of(path, Arc::clone(opened.file()));
    match open(&opened) {
        Ok(None) => Ok(None),
        Ok(Some(_)) | Err(_) => Err(EvidenceError::io(file.path())(wrong(format!(
            "it is a later part of an image: name its first part, {first}"
        )))),
    }
}

fn disk_of(
    file: &EvidenceFile,
    source: Arc<dyn SourceFile>,
    look: Look,
    is_split: bool,
) -> io::Result<DiskImage> {
    let beside = || Beside::of(file).map_err(|error| ReadError::from(error).into());
    let (kind, bytes) = match look {
        Look::Raw if is_split => ("split raw", source),
        Look::Raw => ("raw", source),
        Look::Refused(why) => return Err(wrong(why)),
        Look::Ewf => {
            let disk = ewf::Ewf::open(Part::of(source), name_of(file), beside)?;
            ("E01", as_file(file, disk))
        }
        Look::Vmdk => ("VMDK", as_file(file, vmdk::Vmdk::open(Part::of(source))?)),
        Look::VmdkDescription => {
            let disk = vmdk::Vmdk::open_described(Part::of(source), beside)?;
            ("VMDK", as_file(file, disk))
        }
        Look::Vhd => ("VHD", as_file(file, vhd::Vhd::open(&source)?)),
        Look::Vhdx => ("VHDX", as_file(file, vhdx::Vhdx::open(&source)?)),
        Look::Qcow2 => ("QCOW2", as_file(file, qcow2::Qcow2::open(&source)?)),
    };
    Ok(DiskImage { kind, bytes })
}

fn as_file(file: &EvidenceFile, disk: impl Disk + 'static) -> Arc<dyn SourceFile> {
    Arc::new(DiskFile::of(file.source().name(), disk))
}

/// Whether [`open`] is worth a try, by the first and last bytes of a file. A later part of an image may look like one, too:
/// [`is_later_part`] tells them apart.
pub fn is_likely(file: &EvidenceFile) -> Result<bool, EvidenceError> {
    let look = Look::of(file.source().as_ref()).map_err(EvidenceError::io(file.path()))?;
    Ok(look.is_some())
}

/// Whether a file is only a later part of an image whose first part is another file of the same folder: `x.E02`, `x.002`,
/// `x-s001.vmdk`, `x-flat.vmdk`.
pub fn is_later_part(file: &EvidenceFile) -> Result<bool, EvidenceError> {
    let said = || EvidenceError::io(file.path());
    let Some(name) = name_of(file) else {
        return Ok(false);
    };
    if let Some(first) = raw::first_of(file)? {
        let first = Beside::of(file)?.open(&first, "it is the first part");
        let first = first.map_err(said())?;
        let looks_at = |file: &Arc<dyn SourceFile>| Look::of_start(file.as_ref(), u64::MAX);
        let is_begun = looks_at(first.file()).map_err(said())?.is_some();
        // What begins an image itself may be another disk.
        let begins = looks_at(file.source()).map_err(said())?.is_some();
        return Ok(is_begun && !begins);
    }
    if let Some(description) = vmdk::described_in(name) {
        let beside = Beside::of(file)?;
        if beside.find(&description).is_none() {
            return Ok(false);
        }
        let opened = beside.open(&description, "it describes the disk");
        let listed = opened.and_then(|opened| vmdk::lists(&opened, name));
        return listed.map_err(said());
    }
    let named = name.rsplit_once('.');
    let named = named.filter(|(_, extension)| extension.len() == 3 && extension.is_ascii());
    let Some((stem, extension)) = named else {
        return Ok(false);
    };
    let start = file.start(ewf::SIGNATURE.len())?;
    if !start.starts_with(ewf::SIGNATURE) {
        return Ok(false);
    }
    let number = ewf::number_of(&Part::of(Arc::clone(file.source()))).map_err(said())?;
    // The hundredth is called EAA, and those after the seven hundredth FAA.
    let firsts = [extension.chars().next(), Some('E'), Some('S')];
    let firsts = firsts.into_iter().flatten();
    let mut firsts =
        firsts.filter_map(|first| Some(format!("{stem}.{}", ewf::extension(first, 1)?)));
    if number == 1 {
        return Ok(false);
    }
    let beside = Beside::of(file)?;
    Ok(firsts.any(|first| beside.find(&first).is_some()))
}
