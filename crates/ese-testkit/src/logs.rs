//! Logs written by us, in both layouts, and a repacker that turns a stream of one into the other.
//!
//! The newer layout is easy to come by: the reference engine writes it. Of the older one there is a single real
//! stream, so everything that is tested on the engine's logs is tested on the same records in the older layout too.

use byteorder::{ByteOrder, LittleEndian};
use ese_checksum::{header_checksum, seal_page};
use ese_format::log::{
    ChecksumRecord, HEADER_SIZE, LogHeader, SEGMENT_HEADER_SIZE, SEGMENT_SIZE, fill_pattern,
};
use ese_format::{Generation, Lgpos};
use ese_log::{LogImage, RecordCursor, StreamFile, StreamFiles};
use std::fs;
use std::ops::Range;
use std::path::Path;

/// Sector size of the logs that the repacker writes.
pub const SECTOR: usize = 512;

/// Where the list of attached databases is in the header of a log.
pub const ATTACH_LIST: Range<usize> = 671..671 + 2048;

/// The engine leaves less than this at the end of a segment to filling.
const FILLING: usize = 32;
const FRAGMENT_BEGIN: u8 = 76;
const FRAGMENT: u8 = 77;

/// Puts the right checksum into a header of 4096 bytes.
pub fn seal_header(header: &mut [u8]) {
    let sum = header_checksum(&header[..HEADER_SIZE]);
    LittleEndian::write_u32(header, sum);
}

/// Makes a log one of a stream whose headers keep nothing of the log before, as Windows Server 2012 R2 wrote them: the
/// update minor, which alone decides that, becomes 11.
pub fn keep_no_checksum(log: &mut [u8]) {
    LittleEndian::write_u32(&mut log[648..], 11);
    log[653..661].fill(0);
    seal_header(log);
}

/// Puts the right checksum into segment `number` of a log in the newer layout.
pub fn seal_segment(log: &mut [u8], number: usize) {
    let segment = &mut log[number * SEGMENT_SIZE..][..SEGMENT_SIZE];
    assert!(seal_page(segment, number as u32), "a segment is a page");
}

/// A log in the newer layout that holds `records`, with the fields of `header` (a log header, at least).
///
/// Long records are cut into fragments as the engine cuts them; the last segment gets its shadow.
pub fn write_segments(header: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    write_segments_and_places(header, records).0
}

/// The same, and the bytes of the file from the first to the last of each record.
pub fn write_segments_and_places(
    header: &[u8],
    records: &[Vec<u8>],
) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut writer = SegmentWriter::new(header);
    let places = records.iter().map(|record| writer.write(record)).collect();
    (writer.finish(), places)
}

/// A log in the newer layout that is being filled.
pub(crate) struct SegmentWriter {
    generation: Generation,
    log: Vec<u8>,
    at: usize,
}

impl SegmentWriter {
    /// An empty log with the fields of `header`.
    pub(crate) fn new(header: &[u8]) -> Self {
        let fields = LogHeader::read(header).expect("a whole header");
        let mut log = header[..HEADER_SIZE].to_vec();
        seal_header(&mut log);
        log.resize(fields.as_read().file_size() as usize, 0);
        SegmentWriter {
            generation: fields.as_read().generation,
            log,
            at: SEGMENT_SIZE,
        }
    }

    /// Whether there is certainly room for `record`.
    pub(crate) fn fits(&self, record: &[u8]) -> bool {
        let segments = record.len() / (SEGMENT_SIZE / 2) + 2;
        let most = self.at + record.len() + segments * (SEGMENT_HEADER_SIZE + FILLING);
        most + SEGMENT_SIZE <= self.log.len()
    }

    fn left(&self) -> usize {
        SEGMENT_SIZE - self.at % SEGMENT_SIZE
    }

    /// Begins a segment where none is begun.
    fn open(&mut self) {
        if self.at.is_multiple_of(SEGMENT_SIZE) {
            let number = (self.at / SEGMENT_SIZE) as u16;
            let lgpos = Lgpos::new(self.generation.0, number, 0);
            self.log[self.at + 8..][..Lgpos::SIZE].copy_from_slice(&lgpos.to_bytes());
            self.at += SEGMENT_HEADER_SIZE;
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.log[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Writes a record; gives where it begins and ends.
    pub(crate) fn write(&mut self, record: &[u8]) -> Range<usize> {
        self.open();
        let start = self.at;
        if record.len() <= self.left() {
            self.put(record);
            return start..self.at;
        }
        if self.left() < FILLING {
            self.at = self.at.next_multiple_of(SEGMENT_SIZE);
            // A reader meets the record where the filling begins.
            return start..self.write(record).end;
        }
        let (mut piece, mut rest) = record.split_at(self.left() - 7);
        self.put(&[FRAGMENT_BEGIN]);
        self.put(&(record.len() as u32).to_le_bytes());
        loop {
            self.put(&(piece.len() as u16).to_le_bytes());
            self.put(piece);
            if rest.is_empty() {
                return start..self.at;
            }
            self.open();
            (piece, rest) = rest.split_at(rest.len().min(self.left() - 3));
            self.put(&[FRAGMENT]);
        }
    }

    /// The log, sealed.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let used = self.at.div_ceil(SEGMENT_SIZE);
        assert!(used * SEGMENT_SIZE < self.log.len(), "the records fit");
        for number in 1..used {
            seal_segment(&mut self.log, number);
        }
        if used > 1 {
            let last = (used - 1) * SEGMENT_SIZE;
            self.log
                .copy_within(last..last + SEGMENT_SIZE, last + SEGMENT_SIZE);
        }
        std::mem::take(&mut self.log)
    }
}

/// How a log in the older layout ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With its last record, as the current log does.
    Current,
    /// Filled up to its last sector but one, as a log is before it is closed.
    Closed,
}

/// A log in the older layout that holds `records` and the checksum records between them, with the fields of `header`.
///
/// It is written as if flushed after every record that ends in another sector than the last flush.
pub fn write_checksum_records(
    header: &[u8],
    records: &[Vec<u8>],
    sectors: u16,
    kind: End,
) -> Vec<u8> {
    let mut log = header[..HEADER_SIZE].to_vec();
    LittleEndian::write_u16(&mut log[8..], SECTOR as u16);
    LittleEndian::write_u16(&mut log[10..], (HEADER_SIZE / SECTOR) as u16);
    LittleEndian::write_u16(&mut log[12..], sectors);
    for (at, value) in [(32, 7u32), (36, 3704), (40, 17), (648, 0)] {
        LittleEndian::write_u32(&mut log[at..], value);
    }
    // This layout knows no accumulated checksum.
    log[653..661].fill(0);
    seal_header(&mut log);
    let generation = LogHeader::read(&log)
        .expect("a header")
        .as_read()
        .generation;
    let size = usize::from(sectors) * SECTOR;
    let mut flushes = vec![log.len()];
    log.resize(log.len() + ChecksumRecord::SIZE, 0);
    for record in records {
        log.extend_from_slice(record);
        let last = flushes[flushes.len() - 1];
        if log.len() / SECTOR > last / SECTOR {
            flushes.push(begin_write(&mut log));
        }
    }
    let end = size - SECTOR;
    assert!(log.len() <= end, "the records fit");
    if kind == End::Closed {
        log.resize(end, 0);
    }
    finish_writes(&mut log, &flushes, generation, kind);
    let pattern = fill_pattern();
    while log.len() < size {
        log.extend_from_slice(&pattern);
    }
    log
}

/// Makes room for a checksum record, which never reaches over the end of a sector; returns its place.
fn begin_write(log: &mut Vec<u8>) -> usize {
    if log.len() % SECTOR + ChecksumRecord::SIZE > SECTOR {
        log.resize(log.len().next_multiple_of(SECTOR), 0);
    }
    let at = log.len();
    log.resize(at + ChecksumRecord::SIZE, 0);
    at
}

/// Fills in the checksum records at `flushes`, and puts the shadow of the last sector after it.
fn finish_writes(log: &mut Vec<u8>, flushes: &[usize], generation: Generation, kind: End) {
    let end = log.len();
    log.resize(end.next_multiple_of(SECTOR), 0);
    for (index, &at) in flushes.iter().enumerate() {
        let behind = at + ChecksumRecord::SIZE;
        let next = flushes.get(index + 1);
        let range_end = next.map_or(end, |next| next - next % SECTOR);
        let mut record = ChecksumRecord {
            record_type: ChecksumRecord::TYPE,
            backwards: (at % SECTOR) as u32,
            forwards: (range_end - behind) as u32,
            next: next.map_or(0, |next| (next - behind) as u32),
            checksum: 0,
            short_checksum: 0,
            short_checksum_used: 0,
        };
        let several = at % SECTOR + ChecksumRecord::SIZE + record.forwards as usize > SECTOR;
        record.use_short_checksum(several);
        if several {
            let sum = record.compute_short(log, at, SECTOR, generation);
            record.short_checksum = sum.expect("the sector is there");
        }
        record.checksum = record
            .compute(log, at, generation)
            .expect("the range is there");
        log[at..behind].copy_from_slice(&record.to_bytes());
    }
    if kind == End::Closed {
        return;
    }
    let last = flushes[flushes.len() - 1];
    let record = ChecksumRecord::read(log, last).expect("it has just been written");
    let sector = last - last % SECTOR;
    let mut shadow = log[sector..sector + SECTOR].to_vec();
    let sum = record
        .compute_shadow(log, last, generation)
        .expect("the range is there");
    let sum_at = last % SECTOR + 13;
    LittleEndian::write_u32(&mut shadow[sum_at..], sum);
    log.extend_from_slice(&shadow);
}

/// The records of a log, as bytes, checksum records and filling left out.
pub fn records_of(image: &LogImage) -> Vec<Vec<u8>> {
    let mut cursor = RecordCursor::new();
    let mut records = Vec::new();
    while let Some(record) = cursor.next_record(image).expect("the log is in order") {
        let number = record.kind.number();
        if number != ChecksumRecord::TYPE && number != 0 {
            records.push(record.bytes.to_vec());
        }
    }
    records
}

/// Writes the stream in `from` to the empty folder `to` in the older layout: same records, same generations. The
/// checkpoint moves to the start of its generation; other files are copied.
pub fn repack(from: &Path, to: &Path) {
    let files = StreamFiles::find(from, None).expect("a stream");
    let images = files.in_order().map(|file| {
        let image = LogImage::read(&file.path).expect("a log in order");
        (file.name(), records_of(&image), image)
    });
    let images: Vec<_> = images.collect();
    let last = files.in_order().last().map(StreamFile::name);
    // What the checksum records take is made up for by the segment headers; a tenth more is plenty.
    let size = images.iter().map(|(_, _, image)| image.bytes.len()).max();
    let sectors = size.expect("a stream has logs") * 11 / 10 / SECTOR;
    let sectors =
        u16::try_from(sectors).expect("a log of the older layout has at most 65535 sectors");
    for (name, records, image) in &images {
        let kind = match last.as_ref() == Some(name) {
            true => End::Current,
            false => End::Closed,
        };
        let log = write_checksum_records(&image.bytes, records, sectors, kind);
        fs::write(to.join(name), log).expect("the folder is writable");
    }
    for file in fs::read_dir(from).expect("a fixture folder can be listed") {
        let path = file.expect("a directory entry").path();
        let name = path.file_name().expect("a file has a name").to_owned();
        if !path.is_file() || to.join(&name).exists() {
            continue;
        }
        let mut bytes = fs::read(&path).expect("a fixture can be read");
        if files.checkpoints.iter().any(|file| file.path == path) {
            move_checkpoint(&mut bytes);
        }
        fs::write(to.join(name), bytes).expect("the folder is writable");
    }
}

/// Sets both copies of a checkpoint to the start of its generation, as positions count in the older layout.
fn move_checkpoint(file: &mut [u8]) {
    for copy in file.chunks_exact_mut(HEADER_SIZE) {
        for at in [12, 648] {
            let mut place = [0; Lgpos::SIZE];
            place.copy_from_slice(&copy[at..at + Lgpos::SIZE]);
            let generation = Lgpos::from_bytes(place).generation.0;
            let start = Lgpos::new(generation, (HEADER_SIZE / SECTOR) as u16, 0);
            copy[at..at + Lgpos::SIZE].copy_from_slice(&start.to_bytes());
        }
        seal_header(copy);
    }
}
