//! What an E01 image says of the way it was made.

use evidence::{EvidenceFile, SourceFile};
use evidence_image::container;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

const CHUNK: usize = 32_768;

fn with_sum(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = simd_adler32::adler32(&bytes.as_slice());
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// A segment of an image.
struct Segment(Vec<u8>);

impl Segment {
    fn new(number: u8) -> Self {
        Segment([&b"EVF\x09\x0d\x0a\xff\0\x01"[..], &[number, 0, 0, 0]].concat())
    }

    fn add(mut self, kind: &str, body: &[u8]) -> Self {
        let length = 76 + body.len() as u64;
        let next = self.0.len() as u64 + length;
        let mut section = kind.as_bytes().to_vec();
        section.resize(16, 0);
        section.extend([next, length].map(u64::to_le_bytes).concat());
        section.resize(72, 0);
        self.0.extend(with_sum(section));
        self.0.extend(body);
        self
    }

    /// The description of a disk of two chunks, of the image of this identifier.
    fn describe(self, kind: &str, set: u8) -> Self {
        let mut body = vec![0; 1048];
        body[8..12].copy_from_slice(&64_u32.to_le_bytes());
        body[12..16].copy_from_slice(&512_u32.to_le_bytes());
        body[16..24].copy_from_slice(&128_u64.to_le_bytes());
        body[64..80].fill(set);
        self.add(kind, &with_sum(body))
    }

    /// A chunk of the disk, and the table that says so.
    fn chunk(self, byte: u8) -> Self {
        let at = self.0.len() as u32 + 76;
        let mut header = vec![0; 20];
        header[0] = 1;
        let table = [with_sum(header), with_sum(at.to_le_bytes().to_vec())].concat();
        let chunk = with_sum(vec![byte; CHUNK]);
        self.add("sectors", &chunk).add("table", &table)
    }

    /// A list of sectors that could not be read.
    fn unread(self, ranges: &[(u32, u32)]) -> Self {
        let mut header = vec![0; 516];
        header[..4].copy_from_slice(&(ranges.len() as u32).to_le_bytes());
        let ranges = ranges.iter().flat_map(|(first, count)| [*first, *count]);
        let ranges = ranges.flat_map(u32::to_le_bytes).collect();
        let body = [with_sum(header), with_sum(ranges)].concat();
        self.add("error2", &body)
    }
}

/// Writes an image of two segments, and opens it.
fn disk(dir: &Path, second_set: u8, unread: &[(u32, u32)]) -> io::Result<Arc<dyn SourceFile>> {
    let first = Segment::new(1).describe("volume", 1).chunk(b'a');
    let second = Segment::new(2).describe("data", second_set).chunk(b'b');
    let second = second.unread(unread).add("done", &[]);
    fs::write(dir.join("x.E01"), first.add("next", &[]).0)?;
    fs::write(dir.join("x.E02"), second.0)?;
    let file = EvidenceFile::open(dir.join("x.E01")).map_err(evidence::ReadError::from)?;
    let image = container::open(&file).map_err(evidence::ReadError::from)?;
    Ok(image.expect("it is no image").bytes)
}

#[test]
fn sectors_that_could_not_be_read_are_no_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(dir.path(), 1, &[(70, 2), (71, 4), (10, 1), (99, 0)]).unwrap();
    for (first, count, unread) in [
        (0, 10, None),
        (11, 59, None),
        (75, 53, None),
        (0, 128, Some("512 bytes at offset 0x1400")),
        (10, 1, Some("512 bytes at offset 0x1400")),
        (11, 60, Some("2560 bytes at offset 0x8c00")),
        (74, 1, Some("2560 bytes at offset 0x8c00")),
    ] {
        let mut bytes = vec![0; count * 512];
        let read = disk.read_at(&mut bytes, first as u64 * 512);
        match unread {
            None => {
                assert_eq!(read.unwrap(), bytes.len());
                let expected = |at: usize| if first * 512 + at < CHUNK { b'a' } else { b'b' };
                let is_same = |(at, byte): (usize, &u8)| *byte == expected(at);
                assert!(bytes.iter().enumerate().all(is_same));
            }
            Some(why) => {
                let said = read.unwrap_err().to_string();
                assert!(said.contains(why), "{said}");
            }
        }
    }
}

#[test]
fn a_segment_of_another_image_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // An identifier of zeros says nothing.
    assert!(disk(dir.path(), 0, &[]).is_ok());
    let said = disk(dir.path(), 2, &[]).unwrap_err().to_string();
    assert!(
        said.contains("is of another image than the first segment"),
        "{said}"
    );
}
