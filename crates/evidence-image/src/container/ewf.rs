//! E01, the Expert Witness format of EnCase, version 1, and S01 of SMART.
//!
//! ```text
//! x.E01, x.E02 ... x.E99, x.EAA ... x.ZZZ         segments
//! segment     signature, number | section | section ... the last one is `next`, or `done` in the last segment
//! section     kind, offset of the next section, length, checksum | what it holds
//! sectors     chunks of the disk, each packed or as it is with a checksum behind it
//! error2      sectors of the disk that could not be read when the image was made
//! table       where these chunks are, with a checksum; table2 is a copy of it
//! ```
//!
//! Numbers are little-endian, checksums Adler-32. Every one of them is checked: those of sections and of the description of the
//! disk when the image is opened, those of tables and chunks before a byte of them is handed out. Tables are read when they are
//! needed. Source: "Expert Witness Compression Format specification", Joachim Metz (libewf).

use super::disk::Disk;
use super::parts::{Beside, Part};
use crate::cache::Cache;
use crate::numbers::{bytes_at, u32_at, u64_at};
use evidence::wrong;
use flate2::{Decompress, FlushDecompress, Status};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) const SIGNATURE: &[u8; 8] = b"EVF\x09\x0d\x0a\xff\x00";

const FIRST_SECTION: u64 = 13;
const SECTION: u64 = 76;
const TABLE_HEADER: u64 = 24;
/// What is before the entries of a list of sectors that could not be read.
const ERRORS: u64 = 520;
/// More sections than this are not believed: 2 TiB have some ten thousand.
const MOST_SECTIONS: usize = 1 << 20;
/// More chunks in one table are not believed: programs write some ten thousand.
const MOST_ENTRIES: u64 = 1 << 22;
const MOST_IN_CHUNK: u64 = 64 << 20;
/// So many packed bytes are read at once.
const AT_ONCE: u64 = 1 << 20;
/// So many threads that read at once find what they need ready.
const SCRATCH: usize = 16;
/// So many tables stay in memory.
const TABLES: usize = 16;
/// An offset in a table; the bit above says that the chunk is packed.
const OFFSET: u32 = 0x7fff_ffff;

/// Names of segments: `E` for `E01`; the second is `E02`, the hundredth `EAA`.
pub(super) fn extension(first: char, number: u32) -> Option<String> {
    if number < 100 {
        return Some(format!("{first}{number:02}"));
    }
    let base = if first.is_ascii_uppercase() {
        b'A'
    } else {
        b'a'
    };
    let number = number - 100;
    let letter = |value: u32| char::from(base + (value % 26) as u8);
    let start = first as u32 + number / 676;
    let start = char::from_u32(start).filter(|start| (*start as u32) < u32::from(base) + 26)?;
    Some(format!("{start}{}{}", letter(number / 26), letter(number)))
}

/// A table of chunks, and where it is.
#[derive(Debug, Clone, Copy)]
struct TableAt {
    segment: usize,
    /// Where its section holds it, and where its copy does.
    places: [Option<u64>; 2],
    /// Number of its first chunk.
    first: u64,
    entries: u64,
    /// Whether its chunks are within its section, as SMART writes them. Then its entries have no checksum.
    has_chunks: bool,
    /// Where its chunks end.
    end: u64,
}

/// A table in memory.
struct Table {
    base: u64,
    entries: Vec<u32>,
    /// From this entry on, offsets have all 32 bits and chunks are not packed: EnCase 6 writes segments of more than 2 GiB so.
    long_from: usize,
}

impl Table {
    fn chunk(&self, entry: usize) -> (u64, bool) {
        let value = self.entries[entry];
        let (offset, is_packed) = match entry < self.long_from {
            true => (value & OFFSET, value & !OFFSET != 0),
            false => (value, false),
        };
        (self.base.saturating_add(u64::from(offset)), is_packed)
    }
}

/// A chunk, and where it is.
#[derive(Debug, Clone, Copy)]
struct ChunkAt {
    segment: usize,
    offset: u64,
    /// Bytes up to the next chunk, as far as it can be of these.
    length: u64,
    is_packed: bool,
}

pub(super) struct Ewf {
    segments: Vec<Part>,
    length: u64,
    chunk: u64,
    /// What could not be read from the disk, in order and apart from each other.
    unread: Vec<Range<u64>>,
    tables: Vec<TableAt>,
    known: Cache<usize, Table>,
    unpacked: Cache<u64, Vec<u8>>,
    /// What reads before had in use; a thread takes one, and makes one if there is none.
    scratch: Mutex<Vec<Scratch>>,
}

/// What a read needs while it lasts.
struct Scratch {
    packed: Vec<u8>,
    state: Decompress,
}

impl fmt::Debug for Ewf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (segments, length) = (self.segments.len(), self.length);
        write!(f, "Ewf of {length} bytes in {segments} segments")
    }
}

/// Whether the checksum that follows `length` bytes fits them.
fn is_whole(bytes: &[u8], length: usize) -> bool {
    simd_adler32::adler32(&&bytes[..length]) == u32_at(bytes, length)
}

/// Number of a segment, as it says itself.
pub(super) fn number_of(part: &Part) -> io::Result<u16> {
    let start: [u8; FIRST_SECTION as usize] = part.bytes(0, "the start of a segment")?;
    if !start.starts_with(SIGNATURE) {
        return Err(wrong(format!(
            "{} is not a segment of an E01 image",
            part.name()
        )));
    }
    Ok(u16::from_le_bytes([start[9], start[10]]))
}

/// What the segments are found to hold, one after the other.
#[derive(Default)]
struct Survey {
    disk: Option<Description>,
    /// Sectors that could not be read from the disk.
    unread: Vec<Range<u64>>,
    tables: Vec<TableAt>,
    chunks: u64,
    sections: usize,
    /// What is wrong with a table whose copy has not been looked at yet.
    lost_table: Option<String>,
}

impl Ewf {
    /// Opens an image by its first segment, which has this name; the others are beside it.
    pub(super) fn open(
        first: Part,
        name: Option<&str>,
        beside: impl FnOnce() -> io::Result<Beside>,
    ) -> io::Result<Self> {
        let number = number_of(&first)?;
        if number != 1 {
            return Err(wrong(format!(
                "it is segment {number} of an E01 image: name the first one, which ends with 01"
            )));
        }
        let mut survey = Survey::default();
        let mut segments = Vec::new();
        let (mut next, mut others, mut beside) = (Some(first), None, Some(beside));
        while let Some(part) = next.take() {
            let goes_on = survey.add(&part, segments.len())?;
            segments.push(part);
            if !goes_on {
                break;
            }
            let named = name.and_then(|name| name.rsplit_once('.'));
            let named = named.filter(|(_, extension)| {
                extension.len() == 3 && extension.is_ascii() && extension.ends_with("01")
            });
            let wanted = segments.len() as u32 + 1;
            let name = named.and_then(|(stem, letters)| {
                let extension = extension(letters.chars().next()?, wanted)?;
                Some(format!("{stem}.{extension}"))
            });
            let name = name.ok_or_else(|| {
                wrong("this E01 image goes on in other files, and what they are called is only known if the name of its first ends with .E01")
            })?;
            if let Some(beside) = beside.take() {
                others = Some(beside()?);
            }
            let folder = others.as_ref().ok_or_else(|| wrong("it has no folder"))?;
            let part = folder.open(&name, "the image goes on in it")?;
            let number = u32::from(number_of(&part)?);
            if number != wanted {
                return Err(wrong(format!(
                    "{} says that it is segment {number}, and its name that it is {wanted}",
                    part.name()
                )));
            }
            next = Some(part);
        }
        let Some(Description {
            length,
            chunk,
            sector,
            ..
        }) = survey.disk
        else {
            return Err(wrong("this E01 image does not say how large its disk is"));
        };
        let needed = length.div_ceil(chunk);
        if survey.chunks < needed {
            return Err(wrong(format!(
                "the tables of this E01 image have {} chunks, and its disk of {length} bytes needs {needed}: part of it is missing",
                survey.chunks
            )));
        }
        Ok(Ewf {
            segments,
            length,
            chunk,
            unread: in_order(survey.unread, sector),
            tables: survey.tables,
            known: Cache::of(TABLES),
            unpacked: Cache::of_blocks(chunk),
            scratch: Mutex::default(),
        })
    }

    fn table(&self, number: usize) -> io::Result<Arc<Table>> {
        self.known.get_or(number, || {
            let at = self.tables[number];
            let part = &self.segments[at.segment];
            let mut last = wrong("there is no table");
            for place in at.places.into_iter().flatten() {
                match read_table(part, place, at) {
                    Ok(table) => return Ok(table),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }

    /// Where the chunk of this number is.
    fn chunk_at(&self, chunk: u64) -> io::Result<ChunkAt> {
        let after = self.tables.partition_point(|table| table.first <= chunk);
        let number = after.saturating_sub(1);
        let (at, table) = (self.tables[number], self.table(number)?);
        let entry = (chunk - at.first) as usize;
        let (offset, is_packed) = table.chunk(entry);
        let end = match entry + 1 < table.entries.len() {
            true => table.chunk(entry + 1).0,
            false => at.end,
        };
        if end <= offset {
            return Err(self.damaged(chunk, at.segment, offset, "no bytes are left for it"));
        }
        // What is packed is never much longer than what it was; the rest of a gap is of no interest.
        let most = self.chunk + self.chunk / 8 + 1024;
        Ok(ChunkAt {
            segment: at.segment,
            offset,
            length: (end - offset).min(most),
            is_packed,
        })
    }

    fn damaged(&self, chunk: u64, segment: usize, offset: u64, why: &str) -> io::Error {
        wrong(format!(
            "{} is damaged: what the disk has at offset {:#x} is at offset {offset:#x} of it, and {why}",
            self.segments[segment].name(),
            chunk * self.chunk
        ))
    }

    /// Unpacks a chunk into as many bytes as the disk has of it.
    fn unpack(
        &self,
        chunk: u64,
        at: ChunkAt,
        bytes: &[u8],
        into: &mut [u8],
        state: &mut Decompress,
    ) -> io::Result<()> {
        let damaged = |why: &str| Err(self.damaged(chunk, at.segment, at.offset, why));
        if !at.is_packed {
            // The last chunk may be stored whole though the disk ends within it.
            let lengths = [into.len(), self.chunk as usize];
            let whole = lengths
                .into_iter()
                .filter(|length| length + 4 <= bytes.len());
            let mut whole = whole.peekable();
            if whole.peek().is_none() {
                return damaged(&format!(
                    "it needs {} bytes there and has {}",
                    into.len() + 4,
                    bytes.len()
                ));
            }
            if !whole.any(|length| is_whole(bytes, length)) {
                return damaged("its checksum does not fit");
            }
            into.copy_from_slice(&bytes[..into.len()]);
            return Ok(());
        }
        state.reset(true);
        let is_last = into.len() < self.chunk as usize;
        let mut whole = Vec::new();
        let out: &mut [u8] = match is_last {
            true => {
                whole.resize(self.chunk as usize, 0);
                &mut whole
            }
            false => into,
        };
        match state.decompress(bytes, out, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) => {}
            Ok(_) => return damaged("it does not end where it should"),
            Err(_) => return damaged("it cannot be unpacked, or its checksum does not fit"),
        }
        let unpacked = state.total_out();
        let needed = if is_last { into.len() } else { out.len() };
        if unpacked < needed as u64 {
            return damaged(&format!(
                "it needs {needed} bytes and unpacks to {unpacked}"
            ));
        }
        if is_last {
            into.copy_from_slice(&whole[..into.len()]);
        }
        Ok(())
    }

    /// Bytes that the disk has of a chunk.
    fn length_of(&self, chunk: u64) -> usize {
        self.chunk.min(self.length - chunk * self.chunk) as usize
    }
}

impl Disk for Ewf {
    fn length(&self) -> u64 {
        self.length
    }

    fn parts(&self) -> &[Part] {
        &self.segments
    }

    /// Chunks that follow each other in a segment are read at once. Whole ones are unpacked into their place; of others the chunk is
    /// kept, since its other bytes are likely to be wanted soon.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let next = self.unread.partition_point(|range| range.end <= offset);
        let next = self.unread.get(next);
        if let Some(range) = next.filter(|range| range.start < offset + buffer.len() as u64) {
            return Err(wrong(format!(
                "{} bytes at offset {:#x} of the disk could not be read when the image was made: what it has there is not what they were",
                range.end - range.start,
                range.start
            )));
        }
        let lock = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lock().pop();
        let mut scratch = kept.unwrap_or_else(|| Scratch {
            packed: Vec::new(),
            state: Decompress::new(true),
        });
        let filled = self.fill_with(&mut scratch, buffer, offset);
        let mut kept = lock();
        if kept.len() < SCRATCH {
            kept.push(scratch);
        }
        filled
    }
}

impl Ewf {
    fn fill_with(
        &self,
        scratch: &mut Scratch,
        mut buffer: &mut [u8],
        mut offset: u64,
    ) -> io::Result<()> {
        while !buffer.is_empty() {
            let chunk = offset / self.chunk;
            let from = (offset % self.chunk) as usize;
            if let Some(known) = self.unpacked.get(&chunk) {
                let length = (known.len() - from).min(buffer.len());
                buffer[..length].copy_from_slice(&known[from..from + length]);
                buffer = &mut buffer[length..];
                offset += length as u64;
                continue;
            }
            let start = self.chunk_at(chunk)?;
            let mut run = vec![start];
            let mut end = start.offset + start.length;
            let last = (offset + buffer.len() as u64 - 1) / self.chunk;
            for next in chunk + 1..=last {
                let at = self.chunk_at(next)?;
                let is_next = at.segment == start.segment && at.offset == end;
                if !is_next || end + at.length - start.offset > AT_ONCE {
                    break;
                }
                end += at.length;
                run.push(at);
            }
            let length = (end - start.offset) as usize;
            let part = &self.segments[start.segment];
            part.expect(start.offset, length as u64, "a chunk of the disk")?;
            if scratch.packed.len() < length {
                scratch.packed.resize(length, 0);
            }
            let bytes = &mut scratch.packed[..length];
            part.read(bytes, start.offset, "a chunk of the disk")?;
            let mut rest: &[u8] = bytes;
            for (chunk, at) in (chunk..).zip(run) {
                let (packed, after) = rest.split_at(at.length as usize);
                rest = after;
                let whole = self.length_of(chunk);
                let from = (offset % self.chunk) as usize;
                let length = (whole - from).min(buffer.len());
                let (into, after) = buffer.split_at_mut(length);
                if length == whole {
                    self.unpack(chunk, at, packed, into, &mut scratch.state)?;
                } else {
                    let mut unpacked = vec![0; whole];
                    self.unpack(chunk, at, packed, &mut unpacked, &mut scratch.state)?;
                    into.copy_from_slice(&unpacked[from..from + length]);
                    self.unpacked.put(chunk, unpacked);
                }
                buffer = after;
                offset += length as u64;
            }
        }
        Ok(())
    }
}

/// Reads a table and holds it against its checksums.
fn read_table(part: &Part, at: u64, known: TableAt) -> io::Result<Table> {
    let what = "a table of chunks";
    let header: [u8; TABLE_HEADER as usize] = part.bytes(at, what)?;
    let damaged = || {
        wrong(format!(
            "{} is damaged: the checksum of the table of chunks at offset {at:#x} does not fit",
            part.name()
        ))
    };
    if !is_whole(&header, 20) || u64::from(u32_at(&header, 0)) != known.entries {
        return Err(damaged());
    }
    let length = known.entries * 4;
    let checksum = if known.has_chunks { 0 } else { 4 };
    let bytes = part.many(at + TABLE_HEADER, length + checksum, what)?;
    if !known.has_chunks && !is_whole(&bytes, length as usize) {
        return Err(damaged());
    }
    let entries: Vec<u32> = bytes[..length as usize]
        .chunks_exact(4)
        .map(|entry| u32_at(entry, 0))
        .collect();
    let base = u64_at(&header, 8);
    let first = entries.first().map(|entry| u64::from(entry & OFFSET));
    let is_next =
        first.and_then(|first| first.checked_add(base)) == Some(at + TABLE_HEADER + length);
    if known.has_chunks && !is_next {
        return Err(damaged());
    }
    let is_long = |pair: &[u32]| pair[1] & OFFSET < pair[0] & OFFSET && pair[1] > OFFSET;
    let long_from = entries.windows(2).position(is_long);
    Ok(Table {
        base,
        long_from: long_from.map_or(entries.len(), |at| at + 1),
        entries,
    })
}

impl Survey {
    /// Goes through the sections of a segment; whether the image goes on in another one.
    fn add(&mut self, part: &Part, segment: usize) -> io::Result<bool> {
        let mut at = FIRST_SECTION;
        let mut sectors: Option<(u64, u64)> = None;
        loop {
            self.sections += 1;
            if self.sections > MOST_SECTIONS {
                return Err(wrong(format!(
                    "this E01 image has more than {MOST_SECTIONS} sections"
                )));
            }
            let section: [u8; SECTION as usize] = part.bytes(at, "a section of the image")?;
            let damaged = |why: &str| {
                wrong(format!(
                    "{} is damaged: the section at offset {at:#x} {why}",
                    part.name()
                ))
            };
            if !is_whole(&section, 72) {
                return Err(damaged("does not fit its checksum"));
            }
            let (next, length) = (u64_at(&section, 16), u64_at(&section, 24));
            let kind = section[..16].split(|byte| *byte == 0).next();
            let kind = kind.unwrap_or_default();
            if kind != b"table2" {
                self.all_found()?;
            }
            match kind {
                b"done" => return Ok(false),
                b"next" => return Ok(true),
                _ => {}
            }
            if next < at + SECTION {
                return Err(damaged("leads back"));
            }
            let held = at + SECTION;
            let end = at.saturating_add(length.max(SECTION)).min(next);
            match kind {
                b"volume" | b"disk" if self.disk.is_none() => {
                    self.disk = Some(Description::read(part, held, end - held)?);
                }
                // It is there again in each segment.
                b"volume" | b"disk" | b"data" => {
                    let again = Description::read(part, held, end - held);
                    let sets = again.ok().and_then(|again| again.set);
                    let sets = sets.zip(self.disk.as_ref().and_then(|disk| disk.set));
                    if sets.is_some_and(|(one, other)| one != other) {
                        return Err(damaged("is of another image than the first segment"));
                    }
                }
                b"error2" => self.unread.append(&mut unread(part, held, end - held)?),
                b"sectors" => {
                    part.expect(held, end - held, "a section of the image")?;
                    sectors = Some((held, end));
                }
                b"table" => self.add_table(part, segment, (held, end), sectors, false)?,
                b"table2" => self.add_table(part, segment, (held, end), sectors, true)?,
                _ => {}
            }
            at = next;
        }
    }

    /// Notes a table, or the copy of the one before it. The header of one of them has to be whole: the places of all chunks after
    /// it follow from how many it has.
    fn add_table(
        &mut self,
        part: &Part,
        segment: usize,
        (held, end): (u64, u64),
        sectors: Option<(u64, u64)>,
        is_copy: bool,
    ) -> io::Result<()> {
        let header: [u8; TABLE_HEADER as usize] = part.bytes(held, "a table of chunks")?;
        let lost = self.lost_table.take();
        if !is_whole(&header, 20) {
            if is_copy && lost.is_none() {
                return Ok(());
            }
            self.lost_table = Some(format!(
                "{} is damaged: the table of chunks at offset {held:#x} does not fit its checksum",
                part.name()
            ));
            return if is_copy { self.all_found() } else { Ok(()) };
        }
        if is_copy && lost.is_none() {
            let table = self.tables.last_mut();
            if let Some(table) = table.filter(|table| table.segment == segment) {
                table.places[1] = Some(held);
            }
            return Ok(());
        }
        let entries = u64::from(u32_at(&header, 0));
        let checksum = if sectors.is_some() { 4 } else { 0 };
        let room = end.saturating_sub(held + TABLE_HEADER + checksum) / 4;
        if entries > room.min(MOST_ENTRIES) {
            return Err(wrong(format!(
                "{} is damaged: the table at offset {held:#x} says that it has {entries} entries, and has room for {room}",
                part.name()
            )));
        }
        if entries > 0 {
            self.tables.push(TableAt {
                segment,
                places: [Some(held), None],
                first: self.chunks,
                entries,
                has_chunks: sectors.is_none(),
                end: sectors.map_or(end, |sectors| sectors.1),
            });
            self.chunks += entries;
        }
        Ok(())
    }

    /// An error if a table was damaged, and no copy of it followed.
    fn all_found(&mut self) -> io::Result<()> {
        self.lost_table
            .take()
            .map_or(Ok(()), |lost| Err(wrong(lost)))
    }
}

/// Sectors that could not be read when the image was made.
fn unread(part: &Part, at: u64, length: u64) -> io::Result<Vec<Range<u64>>> {
    let what = "the list of sectors that could not be read";
    let header: [u8; ERRORS as usize] = part.bytes(at, what)?;
    let count = u64::from(u32_at(&header, 0));
    let room = length.saturating_sub(ERRORS + 4) / 8;
    let damaged = |why: &str| {
        wrong(format!(
            "{} is damaged: {what} at offset {at:#x} {why}",
            part.name()
        ))
    };
    if !is_whole(&header, header.len() - 4) {
        return Err(damaged("does not fit its checksum"));
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > room {
        return Err(damaged(&format!(
            "has {count} entries, and room for {room}"
        )));
    }
    let bytes = part.many(at + ERRORS, count * 8 + 4, what)?;
    let length = bytes.len() - 4;
    if !is_whole(&bytes, length) {
        return Err(damaged("does not fit its checksum"));
    }
    let entries = bytes[..length].chunks_exact(8);
    let ranges = entries.map(|entry| {
        let first = u64::from(u32_at(entry, 0));
        first..first + u64::from(u32_at(entry, 4))
    });
    Ok(ranges.collect())
}

/// Ranges of sectors as ranges of bytes, in order and apart from each other.
fn in_order(mut ranges: Vec<Range<u64>>, sector: u64) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, range| {
        let is_one = next.start <= range.end;
        if is_one {
            range.end = range.end.max(next.end);
        }
        is_one
    });
    let bytes = ranges.iter();
    let bytes = bytes.map(|range| range.start * sector..range.end * sector);
    bytes.collect()
}

/// What an image says of its disk.
struct Description {
    /// Bytes of the disk.
    length: u64,
    chunk: u64,
    sector: u64,
    /// The identifier that all segments of an image have, if they have one.
    set: Option<[u8; 16]>,
}

impl Description {
    fn read(part: &Part, at: u64, length: u64) -> io::Result<Self> {
        let what = "the description of the disk";
        let is_long = length >= 1052;
        let bytes = part.many(at, if is_long { 1052 } else { 94 }, what)?;
        if !is_whole(&bytes, bytes.len() - 4) {
            return Err(wrong(format!(
                "{} is damaged: the description of the disk at offset {at:#x} does not fit its checksum",
                part.name()
            )));
        }
        let (sectors, sector) = (u64::from(u32_at(&bytes, 8)), u64::from(u32_at(&bytes, 12)));
        let count = match is_long {
            true => u64_at(&bytes, 16),
            false => u64::from(u32_at(&bytes, 16)),
        };
        let chunk = sectors * sector;
        let disk = count.checked_mul(sector);
        match disk {
            Some(length)
                if length > 0 && length < 1 << 62 && chunk > 0 && chunk <= MOST_IN_CHUNK =>
            {
                let set = is_long.then(|| bytes_at(&bytes, 64));
                Ok(Description {
                    length,
                    chunk,
                    sector,
                    set: set.filter(|set| *set != [0; 16]),
                })
            }
            _ => Err(wrong(format!(
                "this E01 image says that its disk has {count} sectors of {sector} bytes, and a chunk {sectors} of them"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_named_as_by_other_programs() {
        for (number, name) in [
            (1, Some("E01")),
            (99, Some("E99")),
            (100, Some("EAA")),
            (125, Some("EAZ")),
            (126, Some("EBA")),
            (775, Some("EZZ")),
            (776, Some("FAA")),
            (14_971, Some("ZZZ")),
            (14_972, None),
        ] {
            assert_eq!(extension('E', number).as_deref(), name, "{number}");
        }
        assert_eq!(extension('e', 776).as_deref(), Some("faa"));
    }

    #[test]
    fn offsets_above_two_gibibytes_have_all_bits() {
        let table = Table {
            base: 0,
            entries: vec![0x8000_0010, 0x7fff_fff0, 0x8000_0100, 0x8000_8104],
            long_from: 2,
        };
        assert_eq!(table.chunk(0), (0x10, true));
        assert_eq!(table.chunk(1), (0x7fff_fff0, false));
        assert_eq!(table.chunk(2), (0x8000_0100, false));
    }
}
