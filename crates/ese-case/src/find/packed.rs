//! Files that hold something else: which of them can be opened, and which cannot though a database may be inside.
//!
//! A file that is packed by itself (`SRUDB.dat.gz`) is no archive, and nothing in it has an address. Its first bytes are
//! unpacked here: if they are ESE's, that is said; if they are text, nobody has to hear of it.

use super::look;
use ese_format::file_kind::DETECT_BYTES;
use ese_format::foreign::{is_tar, looks_like};
use evidence::{EvidenceError, EvidenceFile, Reading, SourceFile};
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// What a packed file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packed {
    /// An archive, or nobody knows.
    Archive,
    /// One file of ESE's.
    Ese,
    /// An image, or an archive in a wrapping of its own: what it looks like.
    Container(&'static str),
    /// Something else.
    Other,
}

/// What is in a file that starts with `start`, if that is packed as gzip or zstd do it.
pub(super) fn packed(start: &[u8], file: &Arc<dyn SourceFile>) -> Option<Packed> {
    // Two bytes fit by chance in one file of 65536; the third says how it is packed, and there is only one way.
    if let [0x1f, 0x8b, method, ..] = start
        && *method != 8
    {
        return Some(Packed::Other);
    }
    let from = BufReader::new(Reading::new(Arc::clone(file)));
    let inner = match looks_like(start)? {
        "a gzip file" => first_bytes(MultiGzDecoder::new(from)),
        "a zstd file" => StreamingDecoder::new(from).map_or_else(|_| Vec::new(), first_bytes),
        _ => return None,
    };
    // The name is that of the packed file, and says nothing of what is in it.
    let is_tar = is_tar(&inner) || inner.get(257..262) == Some(b"ustar");
    Some(if inner.is_empty() || is_tar {
        Packed::Archive
    } else if look::shown(&inner, Path::new("")).is_some() {
        Packed::Ese
    } else {
        unsearched(&inner, u64::MAX).map_or(Packed::Other, Packed::Container)
    })
}

/// Fewer bytes of a file that has more tell nothing of it.
const TELLING: usize = 512;

/// As many of the first bytes as can be had: the packed file may be damaged, or only its start be at hand. None if they tell
/// nothing.
fn first_bytes(mut from: impl Read) -> Vec<u8> {
    let mut bytes = vec![0; DETECT_BYTES];
    let mut filled = 0;
    let is_whole = loop {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => break true,
            Ok(read) => filled += read,
            Err(_) => break false,
        }
    };
    bytes.truncate(if is_whole || filled >= TELLING {
        filled
    } else {
        0
    });
    bytes
}

/// No volume of files is smaller: `$Boot` of a volume starts like one, and is its first sectors alone.
const SMALLEST_IMAGE: u64 = 1 << 20;

/// What a file of `length` bytes looks like in which there may be others, though it was not opened.
pub(super) fn unsearched(start: &[u8], length: u64) -> Option<&'static str> {
    const WORDS: [&str; 8] = [
        " image", "(VMDK)", "(VHD", "(QCOW2)", "(VDI)", "archive", "cabinet", "backup",
    ];
    const PACKED: [&str; 4] = ["a gzip file", "a zstd file", "a bzip2 file", "an xz file"];
    let what = looks_like(start)?;
    let is_known = WORDS.iter().any(|word| what.contains(word)) || PACKED.contains(&what);
    let may_be = length >= SMALLEST_IMAGE || !what.contains("raw image");
    (is_known && may_be).then_some(what)
}

/// The archive that follows a program, if it starts near the end of that: the program unpacks it, and it is not opened here.
pub(super) fn behind_program(
    start: &[u8],
    file: &EvidenceFile,
) -> Result<Option<&'static str>, EvidenceError> {
    const MARKS: [(&[u8], &str); 4] = [
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"MSCF\0\0\0\0", "a cabinet file"),
        (b"PK\x03\x04", "a zip archive"),
    ];
    let Some(end) = end_of_program(start) else {
        return Ok(None);
    };
    // Words for the program may be before it.
    let mut rest = [0; 4096];
    let read = file.read_at(&mut rest, end)?;
    let is_there = |mark: &[u8]| rest[..read].windows(mark.len()).any(|part| part == mark);
    let found = MARKS.iter().find(|(mark, _)| is_there(mark));
    Ok(found.map(|(_, what)| *what))
}

/// Where the last section of a program of Windows ends.
fn end_of_program(start: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(u16::from_le_bytes(*start.get(at..)?.first_chunk()?));
    let number = |at: usize| Some(u32::from_le_bytes(*start.get(at..)?.first_chunk()?));
    let header = start.starts_with(b"MZ").then(|| number(60))?? as usize;
    if !start.get(header..)?.starts_with(b"PE\0\0") {
        return None;
    }
    let sections = header + 24 + usize::from(word(header + 20)?);
    let ends = (0..usize::from(word(header + 6)?)).map(|section| {
        let at = sections + 40 * section;
        Some(u64::from(number(at + 16)?) + u64::from(number(at + 20)?))
    });
    ends.max()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use evidence::{FileStart, Stamp};
    use std::io::Write;

    fn of(start: Vec<u8>) -> Option<Packed> {
        let stamp = Stamp {
            length: start.len() as u64,
            modified: None,
            tag: None,
        };
        let name = "packed".to_owned();
        let file = FileStart {
            name,
            stamp,
            start: start.clone(),
            rest: None,
        };
        let file: Arc<dyn SourceFile> = Arc::new(file);
        packed(&start, &file)
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    fn zstandard(bytes: &[u8]) -> Vec<u8> {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(bytes, level)
    }

    #[test]
    fn what_is_packed_is_told_from_an_archive() {
        let database = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
        let database = std::fs::read(database).unwrap();
        let mut tar = vec![0; 2048];
        tar[..4].copy_from_slice(b"name");
        let sum = tar[..512].iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        for pack in [gzipped, zstandard] {
            assert_eq!(of(pack(&database)), Some(Packed::Ese));
            assert_eq!(of(pack(b"a line of text\n")), Some(Packed::Other));
            let image = Packed::Container("an EnCase image (E01)");
            assert_eq!(of(pack(b"EVF\x09\x0d\x0a\xff\x00 and more")), Some(image));
            assert_eq!(of(pack(&tar)), Some(Packed::Archive));
            // Where nothing can be unpacked, nobody knows.
            assert_eq!(of(pack(&database)[..12].to_vec()), Some(Packed::Archive));
        }
        assert_eq!(of(database), None);
        assert_eq!(of(b"\x1f\x8b and so on".to_vec()), Some(Packed::Other));
    }
}
