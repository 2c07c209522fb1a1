//! Volumes of a disk: which ones there are, and that a fault that passes is not kept.

use evidence::{Container, EvidenceError, EvidenceFile, Place, SourceFile, Stamp};
use evidence_image::Images;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SECTOR: usize = 512;
/// Where partitions begin.
const START: usize = 64;

/// A disk in memory. Reads of this sector fail once, as those of a network do.
#[derive(Debug)]
struct Memory(Vec<u8>, AtomicU64);

impl SourceFile for Memory {
    fn name(&self) -> String {
        "disk".to_owned()
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            length: self.0.len() as u64,
            modified: None,
            tag: None,
        }
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(self.stamp())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (failing, sector) = (self.1.load(Ordering::SeqCst), offset / SECTOR as u64);
        if failing == sector {
            self.1.store(u64::MAX, Ordering::SeqCst);
            return Err(io::ErrorKind::TimedOut.into());
        }
        let there = self.0.get(offset as usize..).unwrap_or_default();
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        Ok(length)
    }
}

/// The small volume that is shipped.
fn volume() -> Vec<u8> {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/images/small.raw.zst");
    let packed = std::fs::read(packed).unwrap();
    let mut bytes = Vec::new();
    let unpacked = ruzstd::decoding::StreamingDecoder::new(&packed[..]);
    unpacked.unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// A disk of so many sectors that has these bytes at these sectors.
fn disk(sectors: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut disk = vec![0; sectors * SECTOR];
    for (sector, bytes) in parts {
        disk[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
    }
    disk
}

/// An MBR, or a table of logical drives: kind, start and length of each entry.
fn table(entries: &[(u8, usize, usize)]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR];
    for (number, (kind, start, count)) in entries.iter().enumerate() {
        let entry = &mut sector[446 + 16 * number..][..16];
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&(*start as u32).to_le_bytes());
        entry[12..].copy_from_slice(&(*count as u32).to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// The copy of a GPT at the end of a disk, whose entries are before it: one partition of this kind.
fn add_gpt(disk: &mut [u8], kind: [u8; 16], start: usize, count: usize) {
    let last = disk.len() / SECTOR - 1;
    let mut entries = vec![0; SECTOR];
    entries[..16].copy_from_slice(&kind);
    entries[32..40].copy_from_slice(&(start as u64).to_le_bytes());
    entries[40..48].copy_from_slice(&((start + count - 1) as u64).to_le_bytes());
    let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0".to_vec();
    header.resize(92, 0);
    header[72..80].copy_from_slice(&(last as u64 - 1).to_le_bytes());
    header[80..84].copy_from_slice(&4_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
    let sum = crc32fast::hash(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    disk[(last - 1) * SECTOR..last * SECTOR].copy_from_slice(&entries);
    disk[last * SECTOR..][..92].copy_from_slice(&header);
}

/// What a folder of an image has.
fn names_of(file: &EvidenceFile, folder: &str) -> Result<Vec<String>, EvidenceError> {
    let image = Images.open(file)?.expect("it is no image");
    let Place::Folder(folder) = image.place(OsStr::new(folder))? else {
        panic!("it is a file");
    };
    let entries = folder.entries()?.into_iter();
    Ok(entries
        .map(|entry| entry.name.into_string().unwrap())
        .collect())
}

fn file(disk: Vec<u8>) -> EvidenceFile {
    let memory = Memory(disk, AtomicU64::new(u64::MAX));
    EvidenceFile::of("disk".into(), Arc::new(memory))
}

fn names(disk: Vec<u8>) -> Result<Vec<String>, String> {
    names_of(&file(disk), "").map_err(|error| error.to_string())
}

#[test]
fn the_table_that_counts_is_read_and_what_it_says() {
    let volume = volume();
    let count = volume.len() / SECTOR;
    let two = START + count;
    let all = [(START, &volume[..]), (two, &volume[..])];
    let with = |table: &[u8]| disk(two + count + START, &[(0, table), all[0], all[1]]);

    // A GPT that was left over is not that of the disk; one whose MBR says so is.
    let ours = [0xa2; 16];
    for (kind, is_mbr) in [(7, true), (0xee, false)] {
        let mut disk = with(&table(&[(kind, START, count), (kind, two, count)]));
        add_gpt(&mut disk, ours, START, count);
        let found = names(disk).unwrap();
        assert_eq!(found == ["p1:", "p2:"], is_mbr, "{found:?}");
        assert_eq!(found.contains(&"Windows".to_owned()), !is_mbr, "{found:?}");
    }

    // NTFS in what says that it is the EFI system is listed.
    let found = names(with(&table(&[(7, START, count), (0xef, two, count)])));
    assert_eq!(found.unwrap(), ["p1:", "p2:"]);
    let found = names(with(&table(&[(7, START, count), (0xef, 1, 8)])));
    assert!(found.unwrap().contains(&"Windows".to_owned()));
}

#[test]
fn logical_drives_do_not_end_in_silence() {
    let volume = volume();
    let count = volume.len() / SECTOR;
    let (first, second) = (START, START + 1 + count);
    let end = second + 1 + count;
    let with = |link: &[(u8, usize, usize)]| {
        let tables = [
            table(&[(5, first, end - first)]),
            table(&[&[(7, 1, count)], link].concat()),
            table(&[(7, 1, count)]),
        ];
        let [mbr, one, two] = [0, 1, 2].map(|number| &tables[number][..]);
        names(disk(
            end,
            &[
                (0, mbr),
                (first, one),
                (first + 1, &volume),
                (second, two),
                (second + 1, &volume),
            ],
        ))
    };
    let next = second - first;
    assert_eq!(with(&[(5, next, count)]).unwrap(), ["p5:", "p6:"]);
    assert!(with(&[]).unwrap().contains(&"Windows".to_owned()));
    for link in [
        &[(7, next, count)][..],
        &[(0, next, count)],
        &[(0, 0, 0), (5, next, count)],
        &[(5, next, count), (0, 0, 0), (7, 3, 4)],
    ] {
        let said = with(link).unwrap_err();
        assert!(said.contains("more drives may have been there"), "{said}");
    }
}

#[test]
fn an_mbr_may_count_in_large_sectors() {
    let mut volume = volume();
    volume[11..13].copy_from_slice(&4096_u16.to_le_bytes());
    volume[13] = 1;
    let sectors = (volume.len() / 4096) as u64;
    volume[40..48].copy_from_slice(&sectors.to_le_bytes());
    let count = volume.len() / 4096;
    let disk = disk(
        (8 + count) * 8,
        &[(0, &table(&[(7, 8, count)])), (8 * 8, &volume)],
    );
    assert!(names(disk).unwrap().contains(&"Windows".to_owned()));
}

#[test]
fn a_fault_that_passes_is_not_kept() {
    let volume = volume();
    let count = volume.len() / SECTOR;
    let disk = disk(
        START + count,
        &[(0, &table(&[(7, START, count)])), (START, &volume)],
    );
    // The start of the volume, and where shadow copies would be said to be.
    for (sector, folder) in [(START, ""), (START + 15, "vss*:")] {
        let memory = Memory(disk.clone(), AtomicU64::new(u64::MAX));
        let memory = Arc::new(memory);
        let file = EvidenceFile::of("disk".into(), memory.clone());
        let image = Images.open(&file).unwrap().unwrap();
        memory.1.store(sector as u64, Ordering::SeqCst);
        let Err(error) = image.clone().place(OsStr::new(folder)) else {
            panic!("it did not fail");
        };
        let known = evidence::ReadError::from(error);
        assert_eq!(known.kind, evidence::ReadErrorKind::Passing);
        assert!(image.place(OsStr::new(folder)).is_ok());
    }
}
