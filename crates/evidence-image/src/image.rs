//! An image that was opened: its volumes, and what a name leads to.

use crate::cache::Kept;
use crate::container::{self, DiskImage};
use crate::name::{Copies, Name};
use crate::ntfs::{self, Elsewhere, Folders, Found, NtfsVolume, VolumeId};
use crate::partition::{self, Partition, PartitionFile};
use crate::shadow::ShadowCopies;
use evidence::{
    Contents, EvidenceError, EvidenceFile, FolderEntry, Glance, Place, ReadError, ReadErrorKind,
    SourceFile, SourceFolder, join, wrong,
};
use jiff::Timestamp;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A disk image.
#[derive(Debug)]
pub(crate) struct Image {
    /// Its address, as it may be shown.
    path: PathBuf,
    volumes: Vec<Volume>,
}

/// What lies in a partition, or on a disk without partitions.
#[derive(Debug)]
struct Volume {
    /// The number of the partition; none if there is no table.
    number: Option<u32>,
    is_of_system: bool,
    bytes: Arc<dyn SourceFile>,
    folders: Arc<Folders>,
    files: Kept<Arc<NtfsVolume>>,
    shadows: Kept<Option<Shadows>>,
}

/// The shadow copies of a volume.
#[derive(Debug)]
struct Shadows {
    copies: ShadowCopies,
    open: Vec<Kept<Arc<NtfsVolume>>>,
}

/// What a name in an image leads to.
enum Lead {
    File(Arc<dyn SourceFile>),
    /// Names of what is in a folder, and whether each is a file.
    Folder(Vec<(OsString, bool)>),
    Elsewhere(Elsewhere),
}

impl Image {
    /// The image that a file is; none if it is none.
    pub(crate) fn of(file: &EvidenceFile) -> Result<Option<Arc<Self>>, EvidenceError> {
        let Some(DiskImage { bytes, .. }) = container::open(file)? else {
            return Ok(None);
        };
        let path = file.path().to_owned();
        let volumes = volumes(&bytes).map_err(EvidenceError::io(&path))?;
        Ok(Some(Arc::new(Image { path, volumes })))
    }

    /// The address of a name in it.
    fn address(&self, name: &OsStr) -> PathBuf {
        if name.is_empty() || !Name::is_place(name) {
            return join(&self.path, name);
        }
        let mut address = join(&self.path, OsStr::new("")).into_os_string();
        address.push(name.to_string_lossy().trim_start_matches('/'));
        address.into()
    }

    fn find(&self, text: &OsStr) -> io::Result<Lead> {
        let name = Name::of(text)?;
        let volumes = self.chosen(name.partition)?;
        match name.copies {
            Some(Copies::All) => self.in_all_copies(&name, &volumes),
            Some(Copies::One(number)) => self.in_one(&name, &volumes, |volume| volume.copy(number)),
            None if name.path.is_empty() && name.partition.is_none() && volumes.len() > 1 => {
                let named = volumes.iter().map(|volume| volume.prefix().into());
                Ok(Lead::Folder(named.map(|name| (name, false)).collect()))
            }
            None => self.in_one(&name, &volumes, Volume::files),
        }
    }

    /// The volumes that a name may mean.
    fn chosen(&self, partition: Option<u32>) -> io::Result<Vec<&Volume>> {
        let chosen = self.volumes.iter().filter(|volume| match partition {
            None => !volume.is_hidden(),
            Some(_) => volume.number == partition,
        });
        let chosen: Vec<_> = chosen.collect();
        if chosen.is_empty() {
            let known = self.volumes.iter().filter(|volume| volume.number.is_some());
            let known: Vec<_> = known.map(Volume::prefix).collect();
            let why = match (partition, known.is_empty()) {
                (_, true) => "the disk has no partitions".to_owned(),
                (Some(number), _) => format!(
                    "the disk has no partition {number}; it has {}",
                    known.join(" ")
                ),
                (None, _) => format!(
                    "the disk has only partitions of the system: {}",
                    known.join(" ")
                ),
            };
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        Ok(chosen)
    }

    /// What has a name on one of the volumes: on the only one, or on the one that has it.
    fn in_one(
        &self,
        name: &Name,
        volumes: &[&Volume],
        files: impl Fn(&Volume) -> io::Result<Arc<NtfsVolume>>,
    ) -> io::Result<Lead> {
        let find = |volume: &Volume| lead(&files(volume)?, name, self);
        if let [volume] = volumes {
            return find(volume);
        }
        if name.path.is_empty() {
            return Err(wrong(format!(
                "the disk has several volumes: say which one is meant, as in {}",
                volumes[0].prefix()
            )));
        }
        let (mut found, mut not_read) = (Vec::new(), Vec::new());
        for volume in volumes {
            match find(volume) {
                Ok(lead) => found.push((volume, lead)),
                Err(error) if is_missing(&error) => {}
                Err(error) => not_read.push(format!("{} ({error})", volume.prefix())),
            }
        }
        let several = found.len() > 1;
        match (found.pop(), &not_read[..]) {
            (Some((last, _)), _) if several => {
                let others = found.iter().map(|(volume, _)| volume.prefix());
                let all: Vec<_> = others.chain([last.prefix()]).collect();
                Err(wrong(format!(
                    "several volumes of the disk have this name: write {} before it",
                    all.join(" or ")
                )))
            }
            (Some((_, lead)), []) => Ok(lead),
            (Some((volume, _)), _) => Err(wrong(format!(
                "it is on {}, and may also be on {}: write the volume before the name",
                volume.prefix(),
                not_read.join(", ")
            ))),
            (None, []) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "none of the disk's volumes has anything of this name",
            )),
            (None, _) => Err(wrong(format!(
                "it is on no volume that can be read, and may be on {}",
                not_read.join(", ")
            ))),
        }
    }

    /// A folder of all the copies that have a name. A volume whose copies cannot be known is an error.
    fn in_all_copies(&self, name: &Name, volumes: &[&Volume]) -> io::Result<Lead> {
        let mut found = Vec::new();
        for volume in volumes {
            if volume.files().is_err() && volumes.len() > 1 {
                // Whoever enters it is told why it cannot be read.
                found.push((format!("{}vss*:", volume.prefix()).into(), false));
                continue;
            }
            volume.files()?;
            let prefix = match name.partition.is_none() && volumes.len() > 1 {
                true => volume.prefix(),
                false => String::new(),
            };
            let shadows = volume.shadows()?;
            let count = (*shadows).as_ref().map_or(0, |shadows| shadows.open.len());
            for number in 1..=count {
                let at = format!("{prefix}vss{number}:");
                if name.path.is_empty() {
                    found.push((at.into(), false));
                    continue;
                }
                let path = name.path.join("/".as_ref());
                let at = OsString::from(format!("{at}/{}", path.display()));
                match volume
                    .copy(number)
                    .and_then(|files| lead(&files, name, self))
                {
                    Err(error) if is_missing(&error) => {}
                    // Whoever opens it is told why it cannot be read.
                    Err(_) | Ok(Lead::File(_) | Lead::Elsewhere(_)) => found.push((at, true)),
                    Ok(Lead::Folder(_)) => found.push((at, false)),
                }
            }
        }
        Ok(Lead::Folder(found))
    }
}

fn lead(files: &Arc<NtfsVolume>, name: &Name, image: &Image) -> io::Result<Lead> {
    let at = image.address(&name.text);
    Ok(match files.find(&name.path, &at)? {
        Found::File(file) => Lead::File(file),
        Found::Folder(names) => Lead::Folder(names),
        Found::Elsewhere(elsewhere) => Lead::Elsewhere(elsewhere),
    })
}

impl Volume {
    fn of(
        bytes: Arc<dyn SourceFile>,
        partition: Option<Partition>,
        folders: &Arc<Folders>,
    ) -> Self {
        Volume {
            number: partition.map(|partition| partition.number),
            is_of_system: partition.is_some_and(|partition| partition.is_of_system),
            bytes,
            folders: Arc::clone(folders),
            files: Kept::default(),
            shadows: Kept::default(),
        }
    }

    /// What stands before a name to say that this one is meant.
    fn prefix(&self) -> String {
        self.number
            .map_or_else(String::new, |number| format!("p{number}:"))
    }

    /// Whether it is there for the system alone: it says so, and it does not hold NTFS.
    fn is_hidden(&self) -> bool {
        let is_final = |error| ReadError::from_io(&error).kind == ReadErrorKind::Permanent;
        self.is_of_system && self.files().is_err_and(is_final)
    }

    fn files(&self) -> io::Result<Arc<NtfsVolume>> {
        let files = self.files.get(|| self.ntfs(&self.bytes, 0))?;
        Ok(Arc::clone(&files))
    }

    /// The files in the bytes of the volume, or of a shadow copy of it.
    fn ntfs(&self, bytes: &Arc<dyn SourceFile>, copy: usize) -> io::Result<Arc<NtfsVolume>> {
        let id = (self.number.unwrap_or_default(), copy);
        files(bytes, id, Arc::clone(&self.folders))
    }

    fn shadows(&self) -> io::Result<Arc<Option<Shadows>>> {
        self.shadows.get(|| {
            let copies = ShadowCopies::of(Arc::clone(&self.bytes))?;
            Ok(copies.map(|copies| {
                let open = copies.copies().iter().map(|_| Kept::default()).collect();
                Shadows { copies, open }
            }))
        })
    }

    /// The files of a shadow copy.
    fn copy(&self, number: usize) -> io::Result<Arc<NtfsVolume>> {
        self.files()?;
        let shadows = self.shadows()?;
        let shadows = (*shadows).as_ref();
        let count = shadows.map_or(0, |shadows| shadows.open.len());
        let slot = shadows.zip(number.checked_sub(1));
        let slot =
            slot.and_then(|(shadows, index)| Some((shadows, index, shadows.open.get(index)?)));
        let Some((shadows, index, slot)) = slot else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("the volume has no shadow copy {number}: it has {count}"),
            ));
        };
        let files = slot.get(|| self.ntfs(&shadows.copies.open(index)?, number))?;
        Ok(Arc::clone(&files))
    }
}

/// Whether nothing has the name, in difference to a file of the image that is not there any more.
fn is_missing(error: &io::Error) -> bool {
    let known = error.get_ref();
    let known = known.and_then(|known| known.downcast_ref::<ReadError>());
    error.kind() == io::ErrorKind::NotFound && known.is_none()
}

fn volumes(disk: &Arc<dyn SourceFile>) -> io::Result<Vec<Volume>> {
    let mut start = [0; 512];
    let length = disk.read_at(&mut start, 0)?;
    let folders = Arc::new(ntfs::folders());
    if system_of(&start[..length]).is_none()
        && let Some(partitions) = partition::table(&**disk)?
    {
        let volumes = partitions.into_iter().map(|partition| {
            let disk = Arc::clone(disk);
            let bytes = Arc::new(PartitionFile { disk, partition });
            Volume::of(bytes, Some(partition), &folders)
        });
        return Ok(volumes.collect());
    }
    Ok(vec![Volume::of(Arc::clone(disk), None, &folders)])
}

/// The file system that a first sector is of, by what stands in it.
fn system_of(start: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, name: &[u8]| {
        start
            .get(offset..)
            .is_some_and(|there| there.starts_with(name))
    };
    if NtfsVolume::is_start(start) {
        Some("NTFS")
    } else if at(3, b"-FVE-FS-") || at(3, b"MSWIN4.1") && at(0x1a8, &BITLOCKER_TO_GO) {
        Some("BitLocker")
    } else if at(3, b"ReFS\0") {
        Some("ReFS")
    } else if at(3, b"EXFAT   ") {
        Some("exFAT")
    } else if at(0x36, b"FAT") || at(0x52, b"FAT32") {
        Some("FAT")
    } else {
        None
    }
}

/// The identifier of a removable volume that BitLocker encrypted.
const BITLOCKER_TO_GO: [u8; 16] = [
    0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01,
];

fn files(
    bytes: &Arc<dyn SourceFile>,
    id: VolumeId,
    folders: Arc<Folders>,
) -> io::Result<Arc<NtfsVolume>> {
    let mut start = [0; 512];
    let length = bytes.read_at(&mut start, 0)?;
    match system_of(&start[..length]) {
        Some("NTFS") => NtfsVolume::of(Arc::clone(bytes), id, folders),
        Some("BitLocker") => Err(wrong(
            "the volume is encrypted (BitLocker): unlock it first, and take the image of what is unlocked",
        )),
        Some(other) => Err(wrong(format!(
            "the volume has {other}, and only NTFS is read here"
        ))),
        None => Err(wrong(
            "the volume has no file system that is read here: only NTFS is",
        )),
    }
}

impl Contents for Image {
    fn moment(&self, name: &OsStr) -> Result<Option<Timestamp>, EvidenceError> {
        let moment = || {
            let name = Name::of(name)?;
            let Some(Copies::One(number)) = name.copies else {
                return Ok(None);
            };
            let [volume] = self.chosen(name.partition)?[..] else {
                return Ok(None);
            };
            let shadows = volume.shadows()?;
            let copies = (*shadows).as_ref().map(|shadows| shadows.copies.copies());
            let copy = copies
                .zip(number.checked_sub(1))
                .and_then(|(copies, index)| copies.get(index));
            Ok(copy.map(|copy| copy.created))
        };
        moment().map_err(EvidenceError::io(self.address(name)))
    }

    fn place(self: Arc<Self>, name: &OsStr) -> Result<Place, EvidenceError> {
        let at = self.address(name);
        match self.find(name).map_err(EvidenceError::io(&at))? {
            Lead::File(file) => Ok(Place::File(EvidenceFile::of(at, file))),
            Lead::Elsewhere(elsewhere) => Err(EvidenceError::io(at)(elsewhere.error())),
            Lead::Folder(entries) => Ok(Place::Folder(Arc::new(ImageFolder {
                image: self,
                name: name.to_owned(),
                entries,
            }))),
        }
    }
}

/// A folder of an image.
#[derive(Debug)]
struct ImageFolder {
    image: Arc<Image>,
    name: OsString,
    entries: Vec<(OsString, bool)>,
}

impl ImageFolder {
    fn lead(&self, name: &OsStr) -> Result<Lead, EvidenceError> {
        let found = self.image.find(&self.within(name));
        found.map_err(EvidenceError::io(self.path_of(name)))
    }

    /// The name in the image of something in the folder. Volumes and copies stand before the path.
    fn within(&self, entry: &OsStr) -> OsString {
        if let Some(copies) = Name::before_all_copies(&self.name) {
            let mut name = OsString::from(copies);
            name.push(entry);
            return name;
        }
        let mut name = self.name.clone();
        let is_first = Name::is_place(&name) && Name::is_place(entry);
        if !is_first && !name.to_string_lossy().ends_with('/') {
            name.push("/");
        }
        name.push(entry);
        name
    }
}

impl SourceFolder for ImageFolder {
    fn name(&self) -> String {
        self.image.address(&self.name).display().to_string()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        let entries = self.entries.iter().map(|(name, is_file)| FolderEntry {
            name: name.clone(),
            is_file: *is_file,
        });
        Ok(entries.collect())
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        self.image.address(&self.within(name))
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        let at = self.path_of(name);
        match self.lead(name)? {
            Lead::File(file) => Ok(file),
            Lead::Elsewhere(elsewhere) => Err(EvidenceError::io(at)(elsewhere.error())),
            Lead::Folder(_) => Err(EvidenceError::NotAFile {
                path: at,
                kind: DIRECTORY,
            }),
        }
    }

    fn glance(&self, name: &OsStr, _most: usize) -> Result<Glance, EvidenceError> {
        let at = self.path_of(name);
        Ok(match self.lead(name)? {
            Lead::File(file) => Glance::File(EvidenceFile::of(at, file)),
            Lead::Folder(_) => Glance::Special(DIRECTORY),
            Lead::Elsewhere(Elsewhere::Link(_)) => Glance::Link,
            Lead::Elsewhere(Elsewhere::Special(what)) => Glance::Special(what),
            Lead::Elsewhere(Elsewhere::Kept(how)) => Glance::Unread(how),
            Lead::Elsewhere(other) => return Err(EvidenceError::io(at)(other.error())),
        })
    }

    fn is_of_image(&self) -> bool {
        true
    }

    fn is_link(&self, name: &OsStr) -> bool {
        matches!(self.lead(name), Ok(Lead::Elsewhere(Elsewhere::Link(_))))
    }
}

/// What a folder is called where a file is wanted.
const DIRECTORY: &str = "a directory";
