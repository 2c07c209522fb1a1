//! What a file is that is not an ESE file: what it looks like by its first bytes.
//!
//! It helps somebody who takes the wrong file for a database to learn what it is: on Windows 11 the search index is an
//! SQLite file, and what should be a database may be the image of the disk that holds it. Marks that are long are
//! before short ones, and a guess is only made where there is a mark; the rest is unknown.

use ese_checksum::is_blank;

/// A database of Access, which may be called `.mdb` as some of ESE's are.
pub const ACCESS: &str = "an Access database (JET Red or ACE)";
/// Where a Mac copied files, `._MBX1.edb` holds what it knows about `MBX1.edb`.
pub const APPLE_DOUBLE: &str = "what a Mac keeps beside a file (AppleDouble)";

/// What a mark stands for.
struct Mark {
    offset: usize,
    bytes: &'static [u8],
    what: &'static str,
}

const fn mark(offset: usize, bytes: &'static [u8], what: &'static str) -> Mark {
    Mark {
        offset,
        bytes,
        what,
    }
}

/// Marks of whole files, then of disks.
const MARKS: [Mark; 57] = [
    mark(
        0,
        b"SQLite format 3\0",
        "an SQLite file (as Windows 11's Windows.db is)",
    ),
    mark(4, b"Standard Jet DB", ACCESS),
    mark(4, b"Standard ACE DB", ACCESS),
    mark(0, b"EVF\x09\x0d\x0a\xff\x00", "an EnCase image (E01)"),
    mark(0, b"EVF2\x0d\x0a\x81\x00", "an EnCase image (Ex01)"),
    mark(
        0,
        b"LVF\x09\x0d\x0a\xff\x00",
        "an EnCase logical image (L01)",
    ),
    mark(0, b"LEF2\x0d\x0a\x81\x00", "an EnCase logical image (Lx01)"),
    mark(0, b"ADSEGMENTEDFILE", "an AccessData image (AD1)"),
    mark(0, b"AFF10\x0d\x0a\0", "an AFF image"),
    mark(0, b"KDMV", "a VMware disk (VMDK)"),
    mark(0, b"COWD", "a VMware disk (VMDK)"),
    mark(0, b"# Disk DescriptorFile", "a VMware disk (VMDK)"),
    mark(0, b"vhdxfile", "a Hyper-V disk (VHDX)"),
    mark(0, b"conectix", "a Hyper-V disk (VHD)"),
    mark(0, b"QFI\xfb", "a QEMU disk (QCOW2)"),
    mark(64, b"\x7f\x10\xda\xbe", "a VirtualBox disk (VDI)"),
    mark(0, b"MSWIM\0\0\0", "a Windows image (WIM)"),
    mark(0, b"TAPE", "a backup (NTBackup, MTF)"),
    mark(0, b"PK\x03\x04", "a zip archive"),
    mark(0, b"PK\x05\x06", "an empty zip archive"),
    mark(0, b"PK\x07\x08", "the first part of a split zip archive"),
    mark(0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    mark(0, b"Rar!\x1a\x07", "a RAR archive"),
    mark(0, b"MSCF\0\0\0\0", "a cabinet file"),
    mark(257, b"ustar", "a tar archive"),
    mark(0, b"\x1f\x8b\x08", "a gzip file"),
    mark(0, b"BZh", "a bzip2 file"),
    mark(0, b"\xfd7zXZ\0", "an xz file"),
    mark(0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    mark(0, b"regf", "a registry hive"),
    mark(0, b"ElfFile\0", "an event log (EVTX)"),
    mark(4, b"LfLe", "an event log (EVT)"),
    mark(0, b"!BDN", "an Outlook file (PST or OST)"),
    mark(0, b"PAGEDU64", "a memory dump"),
    mark(0, b"PAGEDUMP", "a memory dump"),
    mark(0, b"MDMP", "a minidump"),
    mark(0, b"\x00\x05\x16\x07", APPLE_DOUBLE),
    mark(0, b"%PDF-", "a PDF file"),
    mark(0, b"\x7fELF", "a program (ELF)"),
    mark(3, b"NTFS    ", "a raw image of an NTFS volume"),
    mark(3, b"ReFS\0\0\0\0", "a raw image of a ReFS volume"),
    mark(3, b"EXFAT   ", "a raw image of an exFAT volume"),
    mark(3, b"-FVE-FS-", "a raw image of a BitLocker volume"),
    mark(82, b"FAT32   ", "a raw image of a FAT volume"),
    mark(54, b"FAT16   ", "a raw image of a FAT volume"),
    mark(512, b"EFI PART", "a raw disk image (GPT)"),
    mark(4096, b"EFI PART", "a raw disk image (GPT)"),
    mark(512, b"LABELONE", "a raw image of an LVM volume"),
    mark(0, b"LUKS\xba\xbe", "a raw image of a LUKS volume"),
    mark(0, b"XFSB", "a raw image of an XFS volume"),
    mark(32, b"NXSB", "a raw image of an APFS volume"),
    mark(1024, b"H+\0\x04", "a raw image of an HFS+ volume"),
    mark(1024, b"HX\0\x05", "a raw image of an HFS+ volume"),
    mark(0x1_0040, b"_BHRfS_M", "a raw image of a Btrfs volume"),
    mark(0x8001, b"CD001", "an image of a CD or DVD (ISO 9660)"),
    mark(0x8001, b"BEA01", "an image of a CD or DVD (UDF)"),
    mark(0, b"hsqs", "an image of files (SquashFS)"),
];

/// What the file looks like that starts with `start`, with its article; `None` where nothing shows it.
pub fn looks_like(start: &[u8]) -> Option<&'static str> {
    if !start.is_empty() && is_blank(start) {
        return Some("nothing but zeros");
    }
    let is_there = |mark: &&Mark| {
        let rest = start.get(mark.offset..);
        rest.is_some_and(|rest| rest.starts_with(mark.bytes))
    };
    if let Some(mark) = MARKS.iter().find(is_there) {
        return Some(mark.what);
    }
    if is_tar(start) {
        return Some("a tar archive");
    }
    if is_ext(start) {
        return Some("a raw image of an ext2, ext3 or ext4 volume");
    }
    if has_partitions(start) {
        return Some("a raw disk image (MBR)");
    }
    if is_program(start) {
        return Some("a program (EXE or DLL)");
    }
    is_text(start).then_some("text")
}

/// A master boot record: its signature, and a table of partitions that can be.
fn has_partitions(start: &[u8]) -> bool {
    let Some(record) = start.first_chunk::<512>() else {
        return false;
    };
    let (entries, _) = record[446..510].as_chunks::<16>();
    let can_be = |entry: &[u8; 16]| matches!(entry[0], 0 | 0x80);
    let is_used = |entry: &[u8; 16]| entry[4] != 0 && entry[12..16] != [0; 4];
    record[510..] == [0x55, 0xaa] && entries.iter().all(can_be) && entries.iter().any(is_used)
}

/// Whether the header of a tar is there, by its sum. Not every tar has the mark: those of before 1988, and a label of GNU's, have not.
pub fn is_tar(start: &[u8]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let Some(header) = start.first_chunk::<512>() else {
        return false;
    };
    let stored = str::from_utf8(&header[SUM]).ok();
    let stored = stored.map(|digits| digits.trim_matches(['\0', ' ']));
    let stored = stored.and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let sum = header.iter().enumerate().map(|(at, byte)| match at {
        at if SUM.contains(&at) => u32::from(b' '),
        _ => u32::from(*byte),
    });
    stored == Some(sum.sum())
}

/// The superblock of an ext volume: its mark is short, and so what else is in it has to make sense.
fn is_ext(start: &[u8]) -> bool {
    let Some(block) = start.get(1024..2048) else {
        return false;
    };
    let number =
        |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let (inodes, blocks, first) = (number(0), number(4), number(20));
    let (size, revision, system) = (number(24), number(76), number(72));
    let is_marked = block[56..58] == [0x53, 0xef];
    let is_likely = inodes > 0 && blocks > 0 && first <= 1 && size <= 6;
    is_marked && is_likely && revision <= 1 && system <= 4
}

/// `MZ`, and the header of a program where it says.
fn is_program(start: &[u8]) -> bool {
    let at = start.get(60..).and_then(<[u8]>::first_chunk);
    let at = at.map(|at| u32::from_le_bytes(*at) as usize);
    let header = at.and_then(|at| start.get(at..));
    start.starts_with(b"MZ") && header.is_some_and(|header| header.starts_with(b"PE\0\0"))
}

/// Characters that a person writes, in UTF-8 or in UTF-16 with its mark.
fn is_text(start: &[u8]) -> bool {
    const LOOKED_AT: usize = 4096;
    let look = &start[..start.len().min(LOOKED_AT)];
    if look.starts_with(&[0xff, 0xfe]) || look.starts_with(&[0xfe, 0xff]) {
        return true;
    }
    let text = match std::str::from_utf8(look) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&look[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let is_written = |character: char| !character.is_control() || "\t\n\r\x0c".contains(character);
    !text.is_empty() && text.chars().all(is_written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_mark_is_told() {
        let at = |offset: usize, bytes: &[u8]| {
            let mut start = vec![0xe5; 1 << 17];
            start[offset..][..bytes.len()].copy_from_slice(bytes);
            looks_like(&start)
        };
        for mark in &MARKS {
            assert_eq!(at(mark.offset, mark.bytes), Some(mark.what));
        }
        assert_eq!(at(0, b""), None);
        assert_eq!(looks_like(b""), None);
        assert_eq!(looks_like(&[0; 100]), Some("nothing but zeros"));
        assert_eq!(looks_like("Größe\r\n".as_bytes()), Some("text"));
        assert_eq!(looks_like(b"a\0b"), None);
        let mut disk = [0; 512];
        disk[446..][..16].copy_from_slice(&[0x80, 1, 1, 0, 7, 9, 9, 9, 63, 0, 0, 0, 0, 1, 0, 0]);
        disk[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(looks_like(&disk), Some("a raw disk image (MBR)"));
        disk[446] = 3;
        assert_eq!(looks_like(&disk), None);
        let mut tar = [0; 512];
        tar[..4].copy_from_slice(b"name");
        let sum = tar.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        assert_eq!(looks_like(&tar), Some("a tar archive"));
        tar[0] += 1;
        assert_eq!(looks_like(&tar), None);
    }
}
