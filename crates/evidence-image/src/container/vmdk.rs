//! VMDK, of VMware: disks in one file or in several, sparse, packed or as they are.
//!
//! ```text
//! description     text: lines `RW SECTORS KIND "FILE" OFFSET`, one for each extent; in a file of its own or within a sparse extent
//! sparse extent   header | directory: sectors of tables | table: sectors of grains | grains
//! packed extent   header | grains, each as number, length and zlib | tables | directory | copy of the header that knows where it is
//! ```
//!
//! Numbers are little-endian, in sectors of 512 bytes. A grain that no table has is zeros, since a snapshot is refused. Names in a
//! description are data: only files in the same folder are opened. Source: "Virtual Disk Format 5.0", VMware, 2011.

use super::disk::{Blocks, Run};
use super::parts::{Beside, Pages, Part, Tables, pages};
use super::vmdk_description::{Description, Extent, Kind};
use crate::cache::Cache;
use evidence::wrong;
use flate2::{Decompress, FlushDecompress, Status};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::sync::Arc;

pub(super) const MAGIC: &[u8; 4] = b"KDMV";

const SECTOR: u64 = 512;
const AT_END: u64 = u64::MAX;
const MOST_IN_DESCRIPTION: u64 = 1 << 20;
/// Programs write grains of 64 KiB.
const MOST_IN_GRAIN: u64 = 8 << 20;

mod flag {
    pub(super) const LINE_ENDS: u32 = 1;
    pub(super) const PACKED: u32 = 1 << 16;
    pub(super) const MARKERS: u32 = 1 << 17;
}

/// The header of a sparse extent.
struct Header {
    flags: u32,
    length: u64,
    grain: u64,
    description: (u64, u64),
    entries: u64,
    directory: u64,
}

/// A number of sectors in bytes.
fn in_bytes(sectors: u64) -> io::Result<u64> {
    let bytes = sectors.checked_mul(SECTOR).filter(|bytes| *bytes < 1 << 62);
    bytes.ok_or_else(|| {
        wrong(format!(
            "this VMDK speaks of {sectors} sectors, which no disk has"
        ))
    })
}

impl Header {
    fn read(part: &Part, at: u64) -> io::Result<Self> {
        let bytes: [u8; SECTOR as usize] = part.bytes(at, "the header of a VMDK")?;
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let damaged = |what: &str| wrong(format!("{} is damaged: {what}", part.name()));
        if !bytes.starts_with(MAGIC) {
            return Err(damaged(&format!(
                "the header of a VMDK should be at offset {at:#x}"
            )));
        }
        let (version, flags) = (u32_at(4), u32_at(8));
        if !(1..=3).contains(&version) {
            return Err(wrong(format!(
                "this VMDK is of version {version}, and only 1, 2 and 3 are read here"
            )));
        }
        if flags & flag::LINE_ENDS != 0 && bytes[73..77] != *b"\n \r\n" {
            return Err(damaged(
                "it was copied as a text, and line ends were changed",
            ));
        }
        let (grain, entries) = (in_bytes(u64_at(20))?, u64::from(u32_at(44)));
        if !grain.is_power_of_two() || grain > MOST_IN_GRAIN || entries == 0 {
            return Err(damaged(&format!(
                "a grain should have {grain} bytes, and a table {entries} entries"
            )));
        }
        Ok(Header {
            flags,
            length: in_bytes(u64_at(12))?,
            grain,
            description: (u64_at(28), u64_at(36)),
            entries,
            directory: u64_at(56),
        })
    }
}

/// An extent whose grains are found through tables.
#[derive(Debug)]
struct Sparse {
    tables: Tables,
    length: u64,
    grain: u64,
    /// Entries of a table.
    entries: u64,
    directory: u64,
    is_packed: bool,
    number: usize,
    unpacked: Arc<Cache<(usize, u64), Vec<u8>>>,
}

/// What the extents of a disk keep in memory, however many they are.
struct Kept {
    pages: Arc<Pages>,
    unpacked: Arc<Cache<(usize, u64), Vec<u8>>>,
}

impl Kept {
    fn new() -> Self {
        Kept {
            pages: pages(),
            unpacked: Arc::new(Cache::of_weight(512, 16 << 20, Vec::len)),
        }
    }
}

impl Sparse {
    /// Opens the extent in the part of this number.
    fn open(part: Part, number: usize, mut header: Header, kept: &Kept) -> io::Result<Self> {
        if header.directory == AT_END {
            let end = part.length().saturating_sub(2 * SECTOR);
            let footer = Header::read(&part, end)?;
            let fits = (footer.length, footer.grain, footer.entries)
                == (header.length, header.grain, header.entries);
            if !fits || footer.directory == AT_END {
                return Err(wrong(format!(
                    "{} is cut off or damaged: its end does not fit its start",
                    part.name()
                )));
            }
            header.directory = footer.directory;
        }
        let is_packed = header.flags & flag::PACKED != 0;
        if is_packed && header.flags & flag::MARKERS == 0 {
            return Err(wrong(
                "grains of this VMDK are packed in a way that is not read here: convert it first (qemu-img convert)",
            ));
        }
        let directory = in_bytes(header.directory)?;
        let grains = header.length.div_ceil(header.grain);
        let tables = grains.div_ceil(header.entries);
        part.expect(directory, tables * 4, "the directory of a VMDK")?;
        Ok(Sparse {
            tables: Tables::sharing(part, number, Arc::clone(&kept.pages)),
            length: header.length,
            grain: header.grain,
            entries: header.entries,
            directory,
            is_packed,
            number,
            unpacked: Arc::clone(&kept.unpacked),
        })
    }

    fn run(&self, offset: u64) -> io::Result<(Run, u64)> {
        let (grain, within) = (offset / self.grain, offset % self.grain);
        let (number, entry) = (grain / self.entries, grain % self.entries);
        let left = self.grain - within;
        let at = self.directory + number * 4;
        let table = u32::from_le_bytes(self.tables.entry(at, "the directory of a VMDK")?);
        if table == 0 {
            return Ok((Run::Zeros, left));
        }
        let at = u64::from(table) * SECTOR + entry * 4;
        let sector = u32::from_le_bytes(self.tables.entry(at, "a table of a VMDK")?);
        // A one says that the grain was written, with zeros.
        if sector <= 1 {
            return Ok((Run::Zeros, left));
        }
        let at = u64::from(sector) * SECTOR;
        if !self.is_packed {
            return Ok((Run::At(self.number, at + within), left));
        }
        let unpacked = self
            .unpacked
            .get_or((self.number, grain), || self.unpack(grain, at))?;
        Ok((Run::Unpacked(unpacked, within as usize), left))
    }

    fn unpack(&self, grain: u64, at: u64) -> io::Result<Vec<u8>> {
        let part = self.tables.part();
        let start = grain * self.grain;
        let damaged = |why: &str| {
            wrong(format!(
                "{} is damaged: what offset {start:#x} of its disk has is packed at offset {at:#x}, and {why}",
                part.name()
            ))
        };
        let marker: [u8; 12] = part.bytes(at, "a packed grain")?;
        let [a, b, c, d, e, f, g, h, length @ ..] = marker;
        let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if number != start / SECTOR {
            return Err(damaged(&format!("there is what sector {number:#x} has")));
        }
        let length = u64::from(u32::from_le_bytes(length));
        let most = self.grain + self.grain / 8 + 1024;
        if length > most {
            return Err(damaged(&format!("it should have {length} bytes there")));
        }
        let packed = part.many(at + 12, length, "a packed grain")?;
        let mut bytes = vec![0; self.grain as usize];
        let mut state = Decompress::new(true);
        let end = state.decompress(&packed, &mut bytes, FlushDecompress::Finish);
        let needed = self.grain.min(self.length - start);
        match end {
            Ok(Status::StreamEnd) if state.total_out() >= needed => Ok(bytes),
            _ => Err(damaged(
                "it cannot be unpacked, or its checksum does not fit",
            )),
        }
    }
}

#[derive(Debug)]
enum Place {
    Zeros,
    /// From this offset of the part of this number on.
    Flat(usize, u64),
    Sparse(Arc<Sparse>),
}

/// A disk of one extent or more.
#[derive(Debug)]
pub(super) struct Vmdk {
    parts: Vec<Part>,
    /// Where each extent begins on the disk, and where it is.
    extents: Vec<(u64, Place)>,
    length: u64,
}

impl Vmdk {
    /// Opens a disk that is in one sparse file.
    pub(super) fn open(part: Part) -> io::Result<Self> {
        let header = Header::read(&part, 0)?;
        let (at, length) = header.description;
        let (at, length) = (in_bytes(at)?, in_bytes(length)?);
        if length > MOST_IN_DESCRIPTION {
            return Err(wrong(format!(
                "this VMDK says that its description has {length} bytes"
            )));
        }
        let text = part.many(at, length, "the description of a VMDK")?;
        if !is_description(&text) {
            return Err(wrong(
                "this VMDK is one of the extents of a disk: name the file that describes the disk, which lists it",
            ));
        }
        let description = Description::read(&text)?;
        if description.count() > 1 {
            return Err(wrong(
                "this VMDK says that it is in one file, and describes several",
            ));
        }
        let length = header.length;
        let sparse = Sparse::open(part.clone(), 0, header, &Kept::new())?;
        Ok(Vmdk {
            parts: vec![part],
            extents: vec![(0, Place::Sparse(Arc::new(sparse)))],
            length,
        })
    }

    /// Opens a disk that is described in a file of its own.
    pub(super) fn open_described(
        file: Part,
        beside: impl FnOnce() -> io::Result<Beside>,
    ) -> io::Result<Self> {
        if file.length() > MOST_IN_DESCRIPTION {
            return Err(wrong("the description of a VMDK is not that long"));
        }
        let text = file.many(0, file.length(), "the description of a VMDK")?;
        let description = Description::read(&text)?;
        if description.count() == 0 {
            return Err(wrong("this description of a VMDK names no extents"));
        }
        let mut files = Files {
            beside: beside()?,
            parts: vec![file],
            numbers: HashMap::new(),
            sparse: HashMap::new(),
            kept: Kept::new(),
        };
        let (mut extents, mut length) = (Vec::new(), 0_u64);
        for extent in &description.extents()? {
            let bytes = in_bytes(extent.sectors)?;
            let place = files.place(extent, bytes)?;
            if bytes > 0 {
                extents.push((length, place));
            }
            length = length
                .checked_add(bytes)
                .filter(|length| *length < 1 << 62)
                .ok_or_else(|| wrong("the extents of this VMDK are longer than any disk"))?;
        }
        Ok(Vmdk {
            parts: files.parts,
            extents,
            length,
        })
    }
}

/// The files of a disk; each is opened once, however many extents are in it.
struct Files {
    beside: Beside,
    parts: Vec<Part>,
    numbers: HashMap<String, usize>,
    /// By the number of the part.
    sparse: HashMap<usize, Arc<Sparse>>,
    kept: Kept,
}

impl Files {
    /// Opens an extent of `bytes` bytes.
    fn place(&mut self, extent: &Extent, bytes: u64) -> io::Result<Place> {
        match &extent.kind {
            Kind::Zeros => Ok(Place::Zeros),
            Kind::Flat { file, offset } => Ok(Place::Flat(self.number(file)?, in_bytes(*offset)?)),
            Kind::Sparse { file } => {
                let number = self.number(file)?;
                let sparse = match self.sparse.entry(number) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => {
                        let part = &self.parts[number];
                        let header = Header::read(part, 0)?;
                        let sparse = Sparse::open(part.clone(), number, header, &self.kept)?;
                        free.insert(Arc::new(sparse))
                    }
                };
                match sparse.length < bytes {
                    true => Err(wrong(format!(
                        "{file} holds {} bytes of the disk, and its description says {bytes}",
                        sparse.length
                    ))),
                    false => Ok(Place::Sparse(Arc::clone(sparse))),
                }
            }
        }
    }

    /// The number of the part that a file is.
    fn number(&mut self, file: &str) -> io::Result<usize> {
        if let Some(number) = self.numbers.get(file) {
            return Ok(*number);
        }
        let part = self
            .beside
            .open(file, "the description of the disk lists it")?;
        self.parts.push(part);
        let number = self.parts.len() - 1;
        self.numbers.insert(file.to_owned(), number);
        Ok(number)
    }
}

impl Blocks for Vmdk {
    fn length(&self) -> u64 {
        self.length
    }

    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn run(&self, offset: u64) -> io::Result<(Run, u64)> {
        let after = self.extents.partition_point(|extent| extent.0 <= offset);
        let end = self.extents.get(after).map_or(self.length, |next| next.0);
        let (start, place) = &self.extents[after - 1];
        let left = end - offset;
        let within = offset - start;
        match place {
            Place::Zeros => Ok((Run::Zeros, left)),
            Place::Flat(part, from) => Ok((Run::At(*part, from + within), left)),
            Place::Sparse(sparse) => {
                let (run, until) = sparse.run(within)?;
                Ok((run, until.min(left)))
            }
        }
    }
}

/// Whether a file looks like the text that describes a disk.
pub(super) fn is_description(start: &[u8]) -> bool {
    const FIRST_LINE: &[u8] = b"# Disk DescriptorFile";
    start
        .get(..FIRST_LINE.len())
        .is_some_and(|line| line.eq_ignore_ascii_case(FIRST_LINE))
}

/// Whether `name` may be that of an extent, and the name of the file that then describes its disk.
pub(super) fn described_in(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    if !extension.eq_ignore_ascii_case("vmdk") {
        return None;
    }
    let (disk, suffix) = stem.rsplit_once('-')?;
    let suffix = suffix.to_ascii_lowercase();
    let number = suffix.strip_prefix(['s', 'f', 'p']);
    let is_number = number.is_some_and(|number| {
        number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    (is_number || suffix == "flat").then(|| format!("{disk}.{extension}"))
}

/// Whether the disk that `description` describes has an extent in the file of this name.
pub(super) fn lists(description: &Part, name: &str) -> io::Result<bool> {
    let start: Vec<u8> = description.many(0, description.length().min(MOST_IN_DESCRIPTION), "")?;
    if !is_description(&start) {
        return Ok(false);
    }
    let text = super::vmdk_description::text(&start);
    Ok(text
        .to_ascii_lowercase()
        .contains(&name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::EvidenceFile;
    use std::fs;

    #[test]
    fn a_file_of_many_extents_is_opened_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let line = "RW 128 SPARSE \"part.vmdk\"\n";
        let text = format!(
            "# Disk DescriptorFile\nparentCID=ffffffff\n{}",
            line.repeat(9)
        );
        fs::write(path("x.vmdk"), text).unwrap();
        let open = |sectors: u64| {
            let mut part = vec![0; 4096];
            part[..4].copy_from_slice(MAGIC);
            part[4] = 1;
            for (at, number) in [(12, sectors), (20, sectors), (44, 512), (56, 2)] {
                part[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
            }
            fs::write(path("part.vmdk"), part).unwrap();
            let file = EvidenceFile::open(path("x.vmdk")).unwrap();
            let beside = Beside::of(&file).unwrap();
            Vmdk::open_described(Part::of(Arc::clone(file.source())), || Ok(beside))
        };
        let disk = open(128).unwrap();
        assert_eq!(disk.parts.len(), 2);
        assert_eq!(disk.extents.len(), 9);
        let (Place::Sparse(first), Place::Sparse(last)) = (&disk.extents[0].1, &disk.extents[8].1)
        else {
            panic!("{disk:?}");
        };
        assert!(Arc::ptr_eq(first, last));
        let said = open(1 << 17).unwrap_err().to_string();
        assert!(
            said.contains("a grain should have 67108864 bytes"),
            "{said}"
        );
    }
}
