//! What the way back found, written newest first and read oldest first.

use crate::masked::Masked;
use byteorder::{ByteOrder, LittleEndian};
use ese_format::Lgpos;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;

/// What is found of one line at one record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Finding {
    /// The record at which it takes effect: of a macro operation, its commit.
    pub(super) at: Lgpos,
    /// The record that says it.
    pub(super) lgpos: Lgpos,
    /// The line.
    pub(super) line: u64,
    /// Whether no later record is about the line.
    pub(super) is_last: bool,
    /// Whether the line was flagged as deleted before.
    pub(super) was_deleted: Option<bool>,
    /// The line's key.
    pub(super) key: Option<Vec<u8>>,
    /// Its data before.
    pub(super) before: Option<Masked>,
    /// Its data after.
    pub(super) after: Option<Masked>,
    /// The record; nothing if a page was logged that holds the line, which is then as it is before.
    pub(super) record: Vec<u8>,
}

/// Findings, in a temporary file without a name.
#[derive(Debug)]
pub(super) struct Spool {
    to: BufWriter<File>,
    end: u64,
}

impl Spool {
    pub(super) fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        Ok(Spool {
            to: BufWriter::with_capacity(1 << 20, file),
            end: 0,
        })
    }

    /// Adds a finding, which is older than all before.
    pub(super) fn put(&mut self, finding: &Finding) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(128 + finding.record.len());
        for lgpos in [finding.at, finding.lgpos] {
            push_u32(&mut bytes, lgpos.generation.0 as usize);
            bytes.extend_from_slice(&lgpos.segment.to_le_bytes());
            bytes.extend_from_slice(&lgpos.byte.to_le_bytes());
        }
        bytes.extend_from_slice(&finding.line.to_le_bytes());
        bytes.push(u8::from(finding.is_last));
        push_flag(&mut bytes, finding.was_deleted);
        push_bytes(&mut bytes, finding.key.as_deref());
        push_masked(&mut bytes, finding.before.as_ref());
        push_masked(&mut bytes, finding.after.as_ref());
        push_bytes(&mut bytes, Some(&finding.record));
        let length = bytes.len();
        push_u32(&mut bytes, length);
        self.end += bytes.len() as u64;
        self.to.write_all(&bytes)
    }

    /// The findings, oldest first.
    pub(super) fn read(self) -> io::Result<Findings> {
        let file = self
            .to
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        Ok(Findings {
            file,
            start: self.end,
            part: Vec::new(),
        })
    }
}

pub(super) fn push_u32(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u32).to_le_bytes());
}

/// A flag that may not be known.
pub(super) fn push_flag(bytes: &mut Vec<u8>, flag: Option<bool>) {
    bytes.push(match flag {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    });
}

pub(super) fn push_bytes(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    bytes.push(u8::from(part.is_some()));
    if let Some(part) = part {
        push_u32(bytes, part.len());
        bytes.extend_from_slice(part);
    }
}

pub(super) fn push_masked(bytes: &mut Vec<u8>, data: Option<&Masked>) {
    push_bytes(bytes, data.map(Masked::bytes));
    if let Some(data) = data {
        push_u32(bytes, data.unknown().len());
        for gap in data.unknown() {
            push_u32(bytes, gap.start);
            push_u32(bytes, gap.end);
        }
    }
}

/// Findings, oldest first.
#[derive(Debug)]
pub(super) struct Findings {
    file: File,
    /// Where what was read into memory starts in the file.
    start: u64,
    /// What was read and not given yet.
    part: Vec<u8>,
}

/// How much is read at once.
const READ_BYTES: u64 = 1 << 20;

impl Findings {
    /// The next finding; none after the newest.
    pub(super) fn next_finding(&mut self) -> io::Result<Option<Finding>> {
        self.have(4)?;
        let Some(at) = self.part.len().checked_sub(4) else {
            return Ok(None);
        };
        let length = LittleEndian::read_u32(&self.part[at..]) as usize;
        self.have(length + 4)?;
        let from = self.part.len().checked_sub(length + 4);
        let from = from.ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.part.split_off(from);
        let finding = Parser(&bytes[..length]).finding();
        finding.map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// Reads until so many bytes are there, or the file has no more.
    fn have(&mut self, bytes: usize) -> io::Result<()> {
        while self.part.len() < bytes && self.start > 0 {
            let length = READ_BYTES.min(self.start);
            self.start -= length;
            let mut part = vec![0; length as usize];
            self.file.seek(SeekFrom::Start(self.start))?;
            self.file.read_exact(&mut part)?;
            part.append(&mut self.part);
            self.part = part;
        }
        Ok(())
    }
}

/// Reads what was written.
pub(super) struct Parser<'b>(&'b [u8]);

impl<'b> Parser<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Parser(bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part.to_vec())
    }

    pub(super) fn u32(&mut self) -> Option<usize> {
        Some(LittleEndian::read_u32(&self.take(4)?) as usize)
    }

    pub(super) fn flag(&mut self) -> Option<Option<bool>> {
        let flag = usize::from(*self.take(1)?.first()?);
        [None, Some(false), Some(true)].get(flag).copied()
    }

    fn lgpos(&mut self) -> Option<Lgpos> {
        let generation = self.u32()?;
        let rest = self.take(4)?;
        Some(Lgpos::new(
            generation as u32,
            LittleEndian::read_u16(&rest),
            LittleEndian::read_u16(&rest[2..]),
        ))
    }

    pub(super) fn bytes(&mut self) -> Option<Option<Vec<u8>>> {
        let is_there = self.take(1)? == [1];
        if !is_there {
            return Some(None);
        }
        let length = self.u32()?;
        self.take(length).map(Some)
    }

    pub(super) fn masked(&mut self) -> Option<Option<Masked>> {
        let Some(bytes) = self.bytes()? else {
            return Some(None);
        };
        let count = self.u32()?;
        let gaps: Option<Vec<Range<usize>>> =
            (0..count).map(|_| Some(self.u32()?..self.u32()?)).collect();
        Some(Some(Masked::with_gaps(bytes, gaps?)))
    }

    fn finding(&mut self) -> Option<Finding> {
        let (at, lgpos) = (self.lgpos()?, self.lgpos()?);
        let line = LittleEndian::read_u64(&self.take(8)?);
        Some(Finding {
            at,
            lgpos,
            line,
            is_last: self.take(1)? == [1],
            was_deleted: self.flag()?,
            key: self.bytes()?,
            before: self.masked()?,
            after: self.masked()?,
            record: self.bytes()??,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_newest_first_comes_oldest_first() {
        let findings: Vec<Finding> = (0..5000u32)
            .map(|number| Finding {
                at: Lgpos::new(7, 9, 0xfff),
                lgpos: Lgpos::new(number, 2, 3),
                line: u64::from(number) << 33,
                is_last: number % 2 == 0,
                was_deleted: [None, Some(true), Some(false)][number as usize % 3],
                key: (number % 5 > 0).then(|| vec![1; number as usize % 40]),
                before: (number % 7 > 0).then(|| Masked::of_length(number as usize % 300)),
                after: Some(Masked::known(vec![3; 1000])),
                record: vec![9; number as usize % 100],
            })
            .collect();
        let mut spool = Spool::new().unwrap();
        for finding in findings.iter().rev() {
            spool.put(finding).unwrap();
        }
        let mut read = spool.read().unwrap();
        for finding in findings {
            assert_eq!(read.next_finding().unwrap(), Some(finding));
        }
        assert_eq!(read.next_finding().unwrap(), None);
    }
}
