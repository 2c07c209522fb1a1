//! A volume: its records, and what they are put together from.

use super::attribute::{Clusters, Listed, Part, Value, kind, listed, parts};
use super::boot::{self, Boot};
use super::file::NtfsFile;
use super::folder::{Entry, FileName, Folder, Folders, Index, VolumeId};
use super::record::{Record, Reference};
use crate::numbers::Bytes;
use evidence::{SourceFile, wrong};
use jiff::Timestamp;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MFT: u64 = 0;
const ROOT: Reference = Reference {
    number: 5,
    sequence: 0,
};
/// Windows lets no attribute list be longer.
const LONGEST_LIST: u64 = 256 << 10;
/// Names of some two million files.
const LONGEST_INDEX: u64 = 256 << 20;
/// More folders in each other than this are not entered: whoever walks goes down with them.
const DEEPEST: usize = 1000;
/// Seconds from 1601 to 1970.
const EPOCH: i64 = 11_644_473_600;

/// An NTFS volume.
#[derive(Debug)]
pub(crate) struct NtfsVolume {
    bytes: Arc<dyn SourceFile>,
    pub(crate) boot: Boot,
    mft: Clusters,
    id: VolumeId,
    folders: Arc<Folders>,
}

/// What a path leads to on a volume.
#[derive(Debug)]
pub(crate) enum Found {
    /// A file.
    File(Arc<dyn SourceFile>),
    /// A folder: names of what is in it, and whether each is a file.
    Folder(Vec<(OsString, bool)>),
    /// Something whose content lies elsewhere, or not as NTFS has it.
    Elsewhere(Elsewhere),
}

/// What a reparse point says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// A link or a mount point, and what it leads to.
    Link(String),
    /// Something that has no content: what it is called.
    Special(&'static str),
    /// A file whose content is here in a way that is not read, or somewhere else: what it is called.
    Kept(&'static str),
    /// Content may be here, and is not read: why.
    Other(String),
}

impl Elsewhere {
    /// Why it is not read.
    pub(crate) fn error(self) -> io::Error {
        wrong(match self {
            Elsewhere::Link(to) => format!("it is a link to {to}: name what it leads to"),
            Elsewhere::Special(what) | Elsewhere::Kept(what) => {
                format!("it is {what}: this is not read here")
            }
            Elsewhere::Other(why) => why,
        })
    }
}

impl NtfsVolume {
    /// Whether `start` is the start of an NTFS volume.
    pub(crate) fn is_start(start: &[u8]) -> bool {
        start.get(3..11) == Some(boot::NAME)
    }

    /// The volume whose bytes these are, one of those that share `folders`.
    pub(crate) fn of(
        bytes: Arc<dyn SourceFile>,
        id: VolumeId,
        folders: Arc<Folders>,
    ) -> io::Result<Arc<Self>> {
        let mut sector = [0; boot::LENGTH];
        fill(&*bytes, &mut sector, 0)?;
        let boot = Boot::of(&sector)?;
        let mut volume = NtfsVolume {
            bytes,
            boot,
            mft: Clusters::default(),
            id,
            folders,
        };
        let first = match volume.first_record(boot.mft) {
            Ok(first) => first,
            // The first records are there twice.
            Err(error) => volume.first_record(boot.mirror).map_err(|_| error)?,
        };
        volume.find_mft(&first)?;
        Ok(Arc::new(volume))
    }

    fn first_record(&self, cluster: u64) -> io::Result<Record> {
        let mut bytes = vec![0; self.boot.record];
        let at = cluster.checked_mul(self.boot.cluster);
        let at = at
            .ok_or_else(|| wrong("the boot sector says no place of $MFT: the volume is damaged"))?;
        fill(&*self.bytes, &mut bytes, at)?;
        Record::of(MFT, bytes)
    }

    /// Finds out where all records are. The records that say so are themselves in `$MFT`, each in a part before its own.
    fn find_mft(&mut self, first: &Record) -> io::Result<()> {
        let mut value = None;
        for part in parts(first) {
            let part = part?;
            if part.is(kind::DATA, "") {
                part.add_to(&mut value, &self.boot)?;
            }
        }
        let Some(Value::Clusters(known)) = value else {
            return Err(wrong("$MFT says not where it is: the volume is damaged"));
        };
        self.mft = known;
        for entry in self.list(first)?.unwrap_or_default() {
            let is_more = entry.kind == kind::DATA && entry.name.is_empty();
            if is_more && entry.first > 0 {
                let record = self.listed_record(&entry, first)?;
                let mut value = Some(Value::Clusters(std::mem::take(&mut self.mft)));
                listed_part(&entry, &record)?.add_to(&mut value, &self.boot)?;
                if let Some(Value::Clusters(known)) = value {
                    self.mft = known;
                }
            }
        }
        Ok(())
    }

    /// A file record.
    pub(crate) fn record(&self, number: u64) -> io::Result<Record> {
        let mut bytes = vec![0; self.boot.record];
        let length = bytes.len() as u64;
        let at = number.checked_mul(length);
        let at = at.filter(|at| {
            at.checked_add(length)
                .is_some_and(|end| end <= self.mft.length)
        });
        let Some(at) = at else {
            return Err(wrong(format!(
                "there is no file record {number}: $MFT has {} of them",
                self.mft.length / length
            )));
        };
        self.read_clusters(&self.mft, &mut bytes, at)?;
        Record::of(number, bytes)
    }

    /// The record that a reference leads to, if it is still that file's.
    pub(crate) fn referred(&self, reference: Reference) -> io::Result<Record> {
        let record = self.record(reference.number)?;
        let is_same = reference.sequence == 0 || reference.sequence == record.sequence();
        match record.is_in_use() && is_same {
            true => Ok(record),
            false => Err(wrong(format!(
                "file record {} belongs to another file now: the volume is damaged, or it was in use when it was copied",
                record.number
            ))),
        }
    }

    fn list(&self, record: &Record) -> io::Result<Option<Vec<Listed>>> {
        for part in parts(record) {
            let part = part?;
            if part.kind != kind::ATTRIBUTE_LIST {
                continue;
            }
            let mut value = None;
            part.add_to(&mut value, &self.boot)?;
            let bytes = self.whole(value.as_ref(), LONGEST_LIST, "the list of its attributes")?;
            return listed(&bytes).map(Some);
        }
        Ok(None)
    }

    fn listed_record(&self, entry: &Listed, base: &Record) -> io::Result<Record> {
        let record = self.referred(entry.record)?;
        let of = record.base();
        match of.number == base.number && (of.sequence == 0 || of.sequence == base.sequence()) {
            true => Ok(record),
            false => Err(wrong(format!(
                "file record {} should go on from {}, and goes on from {}: the volume is damaged",
                record.number, base.number, of.number
            ))),
        }
    }

    /// An attribute of a file, from all records that hold a part of it.
    pub(crate) fn value(&self, base: &Record, kind: u32, name: &str) -> io::Result<Option<Value>> {
        let mut value = None;
        self.each(base, kind, name, |part| part.add_to(&mut value, &self.boot))?;
        Ok(value)
    }

    /// The parts of an attribute, or all attributes of this kind and name, in order.
    fn each(
        &self,
        base: &Record,
        kind: u32,
        name: &str,
        mut take: impl FnMut(&Part<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(entries) = self.list(base)? else {
            for part in parts(base) {
                let part = part?;
                if part.is(kind, name) {
                    take(&part)?;
                }
            }
            return Ok(());
        };
        let name: Vec<_> = name.encode_utf16().collect();
        let mut entries: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry.kind == kind && entry.name == name)
            .collect();
        entries.sort_by_key(|entry| entry.first);
        for entry in entries {
            match entry.record.number == base.number {
                true => take(&listed_part(&entry, base)?)?,
                false => take(&listed_part(&entry, &self.listed_record(&entry, base)?)?)?,
            }
        }
        Ok(())
    }

    /// All bytes of a value that has at most `most`.
    pub(crate) fn whole(
        &self,
        value: Option<&Value>,
        most: u64,
        what: &str,
    ) -> io::Result<Vec<u8>> {
        match value {
            None => Ok(Vec::new()),
            Some(Value::Resident(bytes)) => Ok(bytes.clone()),
            Some(Value::Clusters(clusters)) => {
                let placed = clusters.runs.iter().filter(|run| run.lcn.is_some());
                let there = placed.map(|run| run.count).sum::<u64>();
                let there = there.saturating_mul(self.boot.cluster);
                let there = there.min(self.bytes.stamp().length);
                let length = clusters.length;
                if length > most.min(there) || clusters.unit.is_some() || clusters.is_encrypted {
                    return Err(wrong(format!(
                        "{what} should have {length} bytes, and {there} are there: it is damaged"
                    )));
                }
                let mut bytes = vec![0; length as usize];
                self.read_clusters(clusters, &mut bytes, 0)?;
                Ok(bytes)
            }
        }
    }

    /// Fills `buffer` from `offset` of a value, whatever its length says; what has no place reads as zeros.
    pub(crate) fn read_clusters(
        &self,
        clusters: &Clusters,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<()> {
        let size = self.boot.cluster;
        let (mut at, mut left) = (offset, buffer);
        while !left.is_empty() {
            let vcn = at / size;
            let place = clusters
                .runs
                .partition_point(|run| run.vcn + run.count <= vcn);
            let Some(run) = clusters.runs.get(place) else {
                return Err(wrong(format!(
                    "its records say not where its bytes from {at:#x} on are: {} more are needed",
                    left.len()
                )));
            };
            let within = at - run.vcn * size;
            let there = run.count * size - within;
            let length = usize::try_from(there).unwrap_or(usize::MAX).min(left.len());
            let (now, rest) = left.split_at_mut(length);
            match run.lcn {
                Some(lcn) => fill(&*self.bytes, now, lcn * size + within)?,
                None => now.fill(0),
            }
            at += length as u64;
            left = rest;
        }
        Ok(())
    }

    /// The index of a folder.
    fn folder(&self, record: &Record) -> io::Result<Arc<Folder>> {
        self.folders.get_or((self.id, record.number), || {
            let read = |kind| {
                let value = self.value(record, kind, "$I30")?;
                self.whole(value.as_ref(), LONGEST_INDEX, "the index of the folder")
            };
            let (size, cluster) = (self.boot.index, self.boot.cluster);
            let index = Index {
                root: read(kind::INDEX_ROOT)?,
                allocation: read(kind::INDEX_ALLOCATION)?,
                bitmap: read(kind::BITMAP)?,
                size,
                step: if cluster <= size as u64 { cluster } else { 512 },
            };
            Folder::of(record.number, index)
        })
    }

    /// What an entry of a folder leads to. A folder has one name in one other folder, and says so itself: so none lies within
    /// itself, and none in two places.
    fn child(&self, folder: &Record, entry: &Entry) -> io::Result<Record> {
        let child = self.referred(entry.reference)?;
        if child.is_folder() {
            let mut names = Vec::new();
            self.each(&child, kind::FILE_NAME, "", |part| {
                let name = part.resident().and_then(FileName::of);
                names.extend(name.filter(|name| !name.is_short));
                Ok(())
            })?;
            let is_here =
                |name: &FileName| name.folder.number == folder.number && *entry.name == *name.name;
            if !matches!(&names[..], [name] if is_here(name)) {
                return Err(wrong(format!(
                    "file record {} is a folder, and does not say that it has this name in the folder of file record {} and no other one: the volume is damaged",
                    child.number, folder.number
                )));
            }
        }
        Ok(child)
    }

    /// What is at a path, of which these are the parts. `at` is its address, for people.
    pub(crate) fn find(self: &Arc<Self>, path: &[OsString], at: &Path) -> io::Result<Found> {
        if path.len() > DEEPEST {
            return Err(wrong(format!(
                "it lies in {} folders, each in the one before: no more than {DEEPEST} parts of a path are read here",
                path.len() - 1
            )));
        }
        let mut record = self.referred(ROOT)?;
        for name in path {
            if !record.is_folder() {
                return Err(missing());
            }
            if let Some(elsewhere) = self.reparse(&record)? {
                return Err(elsewhere.error());
            }
            record = self.child(&record, self.folder(&record)?.child(name)?)?;
        }
        if let Some(elsewhere) = self.reparse(&record)? {
            return Ok(Found::Elsewhere(elsewhere));
        }
        match record.is_folder() {
            true => Ok(Found::Folder(self.folder(&record)?.names())),
            false => Ok(Found::File(self.file(&record, at.to_owned())?)),
        }
    }

    fn file(self: &Arc<Self>, record: &Record, at: PathBuf) -> io::Result<Arc<dyn SourceFile>> {
        let data = match self.value(record, kind::DATA, "")? {
            Some(data) => data,
            None if record.is_index() => Value::Resident(Vec::new()),
            None => return Err(wrong("it has no content: its record is damaged")),
        };
        let modified = parts(record)
            .filter_map(Result::ok)
            .find(|part| part.kind == kind::STANDARD_INFORMATION)
            .and_then(|part| part.resident()?.u64(8))
            .and_then(time);
        Ok(Arc::new(NtfsFile::of(
            Arc::clone(self),
            at,
            data,
            modified,
        )?))
    }

    /// Whether the content of a file or folder lies elsewhere than Windows would read it here.
    fn reparse(&self, record: &Record) -> io::Result<Option<Elsewhere>> {
        let Some(value) = self.value(record, kind::REPARSE_POINT, "")? else {
            return Ok(None);
        };
        let bytes = self.whole(Some(&value), LONGEST_LIST, "its reparse point")?;
        let tag = bytes.as_slice().u32(0).unwrap_or_default();
        let is_empty = || {
            Ok::<_, io::Error>(
                self.value(record, kind::DATA, "")?
                    .is_none_or(|data| data.is_empty()),
            )
        };
        Ok(match tag {
            0xa000_0003 | 0xa000_000c => Some(Elsewhere::Link(link(&bytes))),
            // The bit of those that stand for something else.
            _ if tag & 0x2000_0000 != 0 => Some(Elsewhere::Link("another place".to_owned())),
            // Folders have their names here.
            _ if record.is_folder() => None,
            0x8000_0017 => Some(Elsewhere::Kept(
                "compressed by Windows for the system (WOF, CompactOS)",
            )),
            // Clouds (OneDrive and others): 0x9000_?01a.
            _ if tag & 0xffff_0fff == 0x9000_001a => {
                let in_cloud = attributes(record) & ELSEWHERE != 0;
                in_cloud.then_some(Elsewhere::Kept("a file whose content is in a cloud"))
            }
            0x8000_0013 => Some(Elsewhere::Other(
                "its content is in the store of Data Deduplication: this is not read here"
                    .to_owned(),
            )),
            // Of programs that are installed from the store, and others.
            _ if is_empty()? => Some(Elsewhere::Special("a reparse point without content")),
            _ => Some(Elsewhere::Other(format!(
                "it is a reparse point of a kind that is not read here (tag {tag:#x})"
            ))),
        })
    }

    /// What the volume is read from.
    pub(crate) fn bytes(&self) -> &Arc<dyn SourceFile> {
        &self.bytes
    }
}

/// The part of an attribute that a record has, as a list says.
fn listed_part<'r>(entry: &Listed, record: &'r Record) -> io::Result<Part<'r>> {
    for part in parts(record) {
        let part = part?;
        if part.kind == entry.kind && part.id == entry.id && part.name == entry.name {
            return Ok(part);
        }
    }
    Err(wrong(format!(
        "file record {} has not the attribute that the list of a file says is there: the volume is damaged",
        record.number
    )))
}

/// Fills `buffer` from `offset` of a volume.
fn fill(volume: &dyn SourceFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let read = volume.read_at(buffer, offset)?;
    match read == buffer.len() {
        true => Ok(()),
        false => Err(wrong(format!(
            "the volume ends at {:#x}, and {} bytes from {offset:#x} on are needed: the image is not whole",
            volume.stamp().length,
            buffer.len()
        ))),
    }
}

/// Attributes of a file: it is offline, or its content is fetched when it is opened or read.
const ELSEWHERE: u32 = 0x1000 | 0x4_0000 | 0x40_0000;

/// The attributes of a file, as Windows shows them.
fn attributes(record: &Record) -> u32 {
    let parts = parts(record).filter_map(Result::ok);
    let mut parts = parts.filter(|part| part.kind == kind::STANDARD_INFORMATION);
    let attributes = parts.find_map(|part| part.resident()?.u32(32));
    attributes.unwrap_or_default()
}

/// Where a link leads, as Windows shows it.
fn link(bytes: &[u8]) -> String {
    let name = || {
        let from = if bytes.u32(0)? == 0xa000_000c { 20 } else { 16 };
        let (at, length) = (usize::from(bytes.u16(12)?), usize::from(bytes.u16(14)?));
        let name = bytes.get(from + at..from + at + length)?;
        Some(String::from_utf16_lossy(&super::attribute::utf16(name)))
    };
    name().unwrap_or_else(|| "a place that is not known".to_owned())
}

/// A time of Windows: steps of 100 ns since 1601.
fn time(ticks: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(ticks / 10_000_000).ok()? - EPOCH;
    let rest = i32::try_from(ticks % 10_000_000 * 100).ok()?;
    Timestamp::new(seconds, rest).ok()
}

/// Nothing has this name.
pub(crate) fn missing() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "the volume has nothing of this name",
    )
}
