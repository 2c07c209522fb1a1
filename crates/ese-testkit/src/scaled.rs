//! A stream of any length, every record of which applies: the work of a real stream, done again and again.
//!
//! A stream that begins with the creation of its database makes every page anew before it changes it. So its records
//! can follow themselves with all dbtimes raised by the highest one: each round applies in full to the pages that the
//! round before left, and ends with the same trees. What creates, attaches and detaches the database and starts and
//! ends the engine stands once, around all rounds.
//!
//! The stream must end with no transaction open, as one does that the engine recovered.

use crate::growing::{accumulated, continue_header};
use crate::logs::{ATTACH_LIST, SegmentWriter, records_of};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::log::{HEADER_SIZE, LogHeader, SEGMENT_SIZE};
use ese_format::record::{Record, RecordFormat};
use ese_format::{Dbtime, LogTime};
use ese_log::LogImage;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the dbtimes of a change of a page stand: after it, and before.
const PAGE_OP_DBTIMES: [usize; 2] = [8, 16];
/// Bytes of the list of pages in an `EmptyTree` record, each of which begins with a dbtime.
const EMPTY_PAGE_SIZE: usize = 16;

/// When a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before all rounds.
    Opening,
    /// In every round.
    Work,
    /// After all rounds.
    Closing,
    /// Not at all: it tells what a page was at some moment.
    Nothing,
}

/// Writes a stream `E00` of about `bytes` bytes, in logs of `log_size`, to the existing folder `folder`: the records of
/// `logs`, the whole of a stream in ascending order.
pub fn write(logs: &[LogImage], folder: &Path, log_size: usize, bytes: u64) -> io::Result<()> {
    let first = logs.first().expect("a stream has logs");
    let format = first.format();
    let records: Vec<Vec<u8>> = logs.iter().flat_map(records_of).collect();
    let parts: Vec<Part> = (records.iter())
        .map(|record| part(&decode(record, format)))
        .collect();
    let of = |wanted: Part| {
        let pairs = records.iter().zip(&parts);
        pairs.filter_map(move |(record, part)| (*part == wanted).then_some(record))
    };
    let times = records.iter().filter_map(|record| {
        let times = decode(record, format).page_op().map(|page| page.dbtime);
        times.filter(|time| *time < Dbtime::REVERT)
    });
    let round_length = times.max().expect("a stream changes pages").0 + 1;
    // What is attached when a log begins stays so through all rounds.
    let lists = logs.iter().map(|log| &log.bytes[ATTACH_LIST]);
    let attached = lists.rev().find(|list| list[0] != 0);
    let mut writer = StreamWriter::new(folder, &first.bytes[..HEADER_SIZE], attached, log_size);
    of(Part::Opening).try_for_each(|record| writer.write(record))?;
    let mut round = 0;
    while round == 0 || writer.bytes_written() < bytes {
        for record in of(Part::Work) {
            writer.write(&later(record, format, round * round_length))?;
        }
        round += 1;
    }
    of(Part::Closing).try_for_each(|record| writer.write(record))?;
    writer.end()
}

fn decode(bytes: &[u8], format: RecordFormat) -> Record<'_> {
    let (record, _) = Record::decode(bytes, 0, format).expect("a record of a stream in order");
    record
}

fn part(record: &Record<'_>) -> Part {
    match record {
        Record::Init(_)
        | Record::Init2(_)
        | Record::CreateDb(_)
        | Record::CreateDbFinish(_)
        | Record::AttachDb(_)
        | Record::SignalAttachDb(_)
        | Record::SetDbVersion(_) => Part::Opening,
        Record::DetachDb(_)
        | Record::ShutDownMark
        | Record::Term(_)
        | Record::Term2(_)
        | Record::RecoveryUndo(_)
        | Record::RecoveryUndo2(_)
        | Record::RecoveryQuit(_)
        | Record::RecoveryQuit2(_)
        | Record::End => Part::Closing,
        Record::ScanCheck(_) | Record::ScanCheck2(_) => Part::Nothing,
        _ => Part::Work,
    }
}

/// The record as it would be if everything had happened `by` changes later.
fn later(bytes: &[u8], format: RecordFormat, by: u64) -> Vec<u8> {
    let mut record = decode(bytes, format);
    let raise = |times: &mut [&mut Dbtime]| {
        for time in times.iter_mut().filter(|time| ***time < Dbtime::REVERT) {
            time.0 += by;
        }
    };
    match &mut record {
        Record::Split2(split) => raise(&mut [
            &mut split.split.dbtime_right_before,
            &mut split.split.dbtime_parent_before,
        ]),
        Record::Merge2(merge) => raise(&mut [
            &mut merge.merge.dbtime_left_before,
            &mut merge.merge.dbtime_right_before,
            &mut merge.merge.dbtime_parent_before,
        ]),
        Record::PageMove(page) => raise(&mut [
            &mut page.moved.dbtime_left_before,
            &mut page.moved.dbtime_right_before,
            &mut page.moved.dbtime_parent_before,
        ]),
        Record::NewPage(page) => raise(&mut [&mut page.dbtime]),
        Record::RootPageMove(root) => raise(&mut [&mut root.dbtime]),
        Record::MacroBegin(all) | Record::MacroCommit(all) | Record::MacroAbort(all) => {
            raise(&mut [&mut all.dbtime]);
        }
        Record::ShrinkDb(shrink) | Record::ShrinkDb2(shrink) | Record::ShrinkDb3(shrink) => {
            shrink.dbtime.iter_mut().for_each(|time| raise(&mut [time]));
        }
        _ => {}
    }
    let mut later = record.encode().expect("a record that was read");
    if record.page_op().is_some() {
        for at in PAGE_OP_DBTIMES {
            raise_at(&mut later, at, by);
        }
    }
    if let Record::EmptyTree(tree) = &record {
        let list = bytes.len() - tree.pages.bytes.len();
        for at in (list..bytes.len()).step_by(EMPTY_PAGE_SIZE) {
            raise_at(&mut later, at, by);
        }
    }
    later
}

fn raise_at(bytes: &mut [u8], at: usize, by: u64) {
    let place = bytes[at..]
        .first_chunk_mut()
        .expect("a dbtime has eight bytes");
    let time = u64::from_le_bytes(*place);
    if time < Dbtime::REVERT.0 {
        *place = (time + by).to_le_bytes();
    }
}

/// Writes logs one after the other, each when it is full.
struct StreamWriter {
    folder: PathBuf,
    header: Vec<u8>,
    /// The list of attached databases of every log but the first.
    attached: Option<Vec<u8>>,
    log_size: usize,
    log: SegmentWriter,
    generation: u32,
}

impl StreamWriter {
    fn new(folder: &Path, header: &[u8], attached: Option<&[u8]>, log_size: usize) -> Self {
        let mut header = header.to_vec();
        let segments = u16::try_from(log_size / SEGMENT_SIZE);
        let segments = segments.expect("a log has at most 65535 segments");
        LittleEndian::write_u16(&mut header[12..], segments);
        continue_header(&mut header, 1, 1, LogTime::default(), 0);
        StreamWriter {
            folder: folder.to_owned(),
            log: SegmentWriter::new(&header),
            header,
            attached: attached.map(<[u8]>::to_vec),
            log_size,
            generation: 1,
        }
    }

    /// Bytes of the logs that are full.
    fn bytes_written(&self) -> u64 {
        u64::from(self.generation - 1) * self.log_size as u64
    }

    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        if !self.log.fits(record) {
            self.roll()?;
        }
        self.log.write(record);
        Ok(())
    }

    /// Completes the log and begins the next one.
    fn roll(&mut self) -> io::Result<()> {
        let name = format!("E00{:08X}.log", self.generation);
        let log = self.log.finish();
        fs::write(self.folder.join(name), &log)?;
        let created = LogHeader::read(&log)
            .expect("a whole header")
            .as_read()
            .created;
        self.generation += 1;
        let (generation, seconds) = (self.generation, self.generation.into());
        let sum = accumulated(&log);
        continue_header(&mut self.header, generation, seconds, created, sum);
        if let Some(attached) = &self.attached {
            self.header[ATTACH_LIST].copy_from_slice(attached);
        }
        self.log = SegmentWriter::new(&self.header);
        Ok(())
    }

    /// Writes the current log as it is.
    fn end(mut self) -> io::Result<()> {
        fs::write(self.folder.join("E00.log"), self.log.finish())
    }
}
