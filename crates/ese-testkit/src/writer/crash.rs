//! The files of a crash: the logs up to some record, and a database some pages of which had been written.

use super::mount::Mount;
use super::{DBID, Line, OWNED, Page, Tree, Writer};
use crate::fixtures::files_below;
use crate::growing::accumulated;
use crate::logs::{ATTACH_LIST, records_of, write_segments, write_segments_and_places};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::database::{DatabaseHeader, DatabaseState, HeaderCopies, seal_header};
use ese_format::log::{LogHeader, SEGMENT_HEADER_SIZE, SEGMENT_SIZE};
use ese_format::page::PageSize;
use ese_format::record::RecordType;
use ese_format::{Generation, Lgpos, LogTime};
use ese_log::LogImage;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The record that attaches the database, among the writer's.
const ATTACH: usize = 1;

/// A clean database made by the reference engine, and the log in which it became clean.
#[derive(Debug, Clone)]
pub struct Base {
    bytes: Vec<u8>,
    pub(super) header: DatabaseHeader,
    size: PageSize,
    log_header: Vec<u8>,
    log_records: Vec<Vec<u8>>,
    /// The record with which an instance begins, and that with which it ends.
    pub(super) start: Option<Vec<u8>>,
    pub(super) term: Option<Vec<u8>>,
}

/// How the last log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// With the last record.
    None,
    /// The last segment was being rewritten; the copy after it is whole.
    LastSegment,
    /// This many segments never reached the disk, and with them the end of a record.
    Segments(usize),
}

/// Which pages had been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenPages {
    /// None: the database is the clean one.
    Clean,
    /// Those that were flushed. Recovery may begin this many generations earlier than it has to.
    Flushed {
        /// Generations to spare.
        slack: u32,
    },
}

/// The files of a crash.
pub struct Crash {
    /// Where they are.
    pub folder: TempDir,
    /// How many of the writer's records are whole in the logs.
    pub records: usize,
    /// Where each of them is.
    pub places: Vec<Lgpos>,
}

impl Crash {
    /// Whether the logs attach the database: without that it stays the clean one.
    pub fn attaches(&self) -> bool {
        self.records > ATTACH
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("written.edb")
    }
}

/// Logs with the records of a writer. All but the last are full.
pub struct WrittenLogs {
    files: Vec<(Generation, Vec<u8>)>,
    /// Where each of the writer's records is.
    places: Vec<(Lgpos, Range<usize>)>,
    created: BTreeMap<Generation, LogTime>,
}

impl WrittenLogs {
    /// The logs, in order.
    pub fn files(&self) -> &[(Generation, Vec<u8>)] {
        &self.files
    }

    /// Where a record of the writer is.
    pub fn place(&self, record: usize) -> Lgpos {
        self.places[record].0
    }
}

/// A stream that goes another way: from this generation on its logs are created so many seconds later.
#[derive(Debug, Clone, Copy)]
pub struct Later {
    /// The first such log.
    pub from: Generation,
    /// Seconds.
    pub seconds: i64,
}

/// The records from the last mark of a shutdown on. Those before it would get other places than the header of the clean
/// database knows.
fn from_shutdown(mut records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let is_mark = |record: &Vec<u8>| record[0] == RecordType::ShutDownMark.number();
    let mark = records.iter().rposition(is_mark).unwrap_or(0);
    records.split_off(mark)
}

impl Base {
    /// The clean set whose files are in `state`.
    pub fn read(state: &Path) -> Self {
        let bytes = fs::read(state.join("db.edb")).expect("a clean database");
        let copies = HeaderCopies::read(&bytes);
        let header = copies.good().expect("an intact header").fields.clone();
        assert_eq!(header.state, DatabaseState::CLEAN_SHUTDOWN);
        let last = LogImage::read(&state.join("edb.log")).expect("the last log");
        let logs = files_below(state).into_iter();
        let mut logs = logs.filter(|path| path.extension().is_some_and(|end| end == "log"));
        let start = logs.find_map(|path| {
            let records = records_of(&LogImage::read(&path).ok()?);
            let is_start = |record: &&Vec<u8>| record[0] == RecordType::Init2.number();
            records.iter().find(is_start).cloned()
        });
        let log_records = from_shutdown(records_of(&last));
        let is_term = |record: &&Vec<u8>| record[0] == RecordType::Term2.number();
        let term = log_records.iter().find(is_term).cloned();
        Base {
            size: PageSize::new(copies.page_size).expect("a page size"),
            bytes,
            header,
            log_records,
            term,
            log_header: last.bytes,
            start,
        }
    }

    /// Page size.
    pub fn page_size(&self) -> PageSize {
        self.size
    }

    /// Segments of a log that any record about its pages fits into.
    pub fn segments(&self) -> u16 {
        match self.size.bytes() {
            ..=8192 => 12,
            _ => 16,
        }
    }

    /// The clean database.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The header of the clean database.
    pub fn header(&self) -> &DatabaseHeader {
        &self.header
    }

    fn page(&self, pgno: u32) -> &[u8] {
        let size = self.size.as_usize();
        &self.bytes[(pgno as usize + 1) * size..][..size]
    }

    fn last(&self) -> u32 {
        (self.bytes.len() / self.size.as_usize()) as u32 - 2
    }

    /// A writer over this database, which has just been attached.
    pub fn writer(&self) -> Writer {
        let owned = Page::read(OWNED.0, self.page(OWNED.0));
        assert!(owned.is_leaf(), "the extents stand on one page");
        let dbtime = self.header.dbtime.0;
        let mut writer = Writer::new(self.size, vec![owned], self.last(), dbtime);
        self.mount(&mut writer);
        writer
    }

    /// Takes a tree of the database over, for changes of its rows.
    pub fn adopt(&self, writer: &mut Writer, root: u32, objid: u32) -> usize {
        let mut left = vec![root];
        while let Some(pgno) = left.pop() {
            let page = Page::read(pgno, self.page(pgno));
            if !page.is_leaf() {
                left.extend(page.lines.iter().map(Line::child));
            }
            writer.history.insert(pgno, vec![(0, 0, page.clone())]);
            writer.pages.insert(pgno, page);
        }
        writer.trees.push(Tree {
            root,
            objid,
            unique: true,
        });
        writer.trees.len() - 1
    }

    /// The files that a crash leaves after this many of the writer's records, with logs of `segments` segments.
    pub fn crash(
        &self,
        writer: &Writer,
        records: usize,
        segments: u16,
        tear: Tear,
        disk: WrittenPages,
    ) -> Crash {
        let records = records.max(ATTACH + 1);
        let mut logs = self.logs(writer, records, segments, None);
        let records = logs.tear(tear);
        let folder = TempDir::new().expect("a temporary folder can be made");
        let newest = logs.files.last().expect("a log").0;
        for (generation, bytes) in &logs.files {
            let name = match *generation == newest {
                true => "edb.log".to_owned(),
                false => format!("edb{:05X}.log", generation.0),
            };
            fs::write(folder.path().join(name), bytes).expect("a log can be written");
        }
        let database = match disk {
            // Nothing is written before the attach is in the log.
            WrittenPages::Flushed { slack } if records > ATTACH => {
                self.database(writer, records, &logs, slack)
            }
            _ => self.bytes.clone(),
        };
        let places = logs.places.iter().map(|(place, _)| *place).collect();
        let crash = Crash {
            folder,
            records,
            places,
        };
        fs::write(crash.database(), database).expect("the database can be written");
        crash
    }

    /// This many of the writer's records in logs of `segments` segments.
    pub fn logs(
        &self,
        writer: &Writer,
        records: usize,
        segments: u16,
        later: Option<Later>,
    ) -> WrittenLogs {
        let own = self.log_records.len();
        let records = &writer.records[..records];
        let all: Vec<&Vec<u8>> = self.log_records.iter().chain(records).collect();
        let mut logs = WrittenLogs {
            files: Vec::new(),
            places: Vec::new(),
            created: BTreeMap::new(),
        };
        let mut header = self.log_header.clone();
        LittleEndian::write_u16(&mut header[12..], segments);
        let generation = |header: &[u8]| LittleEndian::read_u32(&header[4..]);
        let mut done = 0;
        while done < all.len() {
            let count = match done {
                0 if self.is_consistent_behind_its_log() => own,
                _ => fitting(&all[done..], segments),
            };
            let mut written: Vec<Vec<u8>> = all[done..done + count]
                .iter()
                .map(|&record| record.clone())
                .collect();
            let (_, places) = write_segments_and_places(&header, &written);
            let number = generation(&header);
            let skipped = own.saturating_sub(done);
            let first = logs.places.len();
            for place in places.into_iter().skip(skipped) {
                // The first record of a segment is at its byte 0.
                let byte = match place.start % SEGMENT_SIZE {
                    SEGMENT_HEADER_SIZE => 0,
                    byte => byte,
                };
                let at = ((place.start / SEGMENT_SIZE) as u16, byte as u16);
                logs.places.push((Lgpos::new(number, at.0, at.1), place));
            }
            for (mount, Mount { attach, .. }) in writer.mounts().iter().enumerate() {
                if (first..logs.places.len()).contains(attach) {
                    let consistent = self.consistent_before(writer, mount, &logs);
                    written[attach - first + skipped] = self.attach_record(consistent);
                }
            }
            let log = write_segments(&header, &written);
            done += count;
            let later = later.filter(|later| later.from.0 == number + 1);
            let seconds = 1 + later.map_or(0, |later| later.seconds);
            self.continue_header(&mut header, &log, seconds, writer, &mut logs);
            logs.files.push((Generation(number), log));
        }
        logs
    }

    /// Whether the database was consistent after the last record, so that nothing more may be written to its log: so
    /// says a recovery that does not write logs.
    fn is_consistent_behind_its_log(&self) -> bool {
        let (_, places) = write_segments_and_places(&self.log_header, &self.log_records);
        let end = places.last().map_or(0, |place| place.end);
        let consistent = self.header.last_consistent;
        let in_file = usize::from(consistent.segment) * SEGMENT_SIZE + usize::from(consistent.byte);
        in_file > end
    }

    /// Makes the header of the next log, created some seconds after `log`, out of that of `log`.
    fn continue_header(
        &self,
        header: &mut [u8],
        log: &[u8],
        seconds: i64,
        writer: &Writer,
        logs: &mut WrittenLogs,
    ) {
        let fields = LogHeader::read(log).expect("a whole header");
        let fields = fields.as_read();
        logs.created.insert(fields.generation, fields.created);
        let before = fields.created.timestamp().expect("a time");
        let created = LogTime::from_timestamp(before + jiff::SignedDuration::from_secs(seconds));
        LittleEndian::write_u32(&mut header[4..], fields.generation.0 + 1);
        header[16..24].copy_from_slice(&created.0);
        header[24..32].copy_from_slice(&fields.created.0);
        LittleEndian::write_u64(&mut header[653..], accumulated(log));
        let list = &mut header[ATTACH_LIST];
        list.fill(0);
        if let Some(entry) = self.attachment(writer, logs.places.len(), logs) {
            list[..entry.len()].copy_from_slice(&entry);
        }
    }

    /// The database as it is on disk after this many records: dirty while it is attached. Recovery may begin `slack`
    /// generations earlier than it has to.
    pub fn database(
        &self,
        writer: &Writer,
        records: usize,
        logs: &WrittenLogs,
        slack: u32,
    ) -> Vec<u8> {
        let size = self.size.as_usize();
        let reached = |made: &usize| *made <= records;
        let sizes = writer.sizes.iter().filter(|(made, _)| reached(made));
        let last = sizes.map(|(_, last)| *last).max().expect("a size");
        let mut file = self.bytes.clone();
        file.resize((last as usize + 2) * size, 0);
        for (pgno, states) in &writer.history {
            let flush = writer.flush_before(*pgno, records);
            let state = states
                .iter()
                .rfind(|(made, ..)| flush.is_some_and(|flush| *made <= flush));
            if let Some((_, _, page)) = state.filter(|(made, ..)| *made > 0) {
                file[(*pgno as usize + 1) * size..][..size].copy_from_slice(&page.to_bytes());
            }
        }
        let place = |record: usize| logs.places[record].0;
        let newest = logs.places[records - 1].0.generation;
        let (number, mount) = writer.mount_at(records).expect("it was attached");
        if let Some(end) = mount.end.as_ref().filter(|end| end.is_over(records)) {
            write_header(&self.clean_header(mount, end, logs), &mut file, size);
            return file;
        }
        let oldest = writer.oldest_needed(records);
        let oldest = place(oldest.clamp(mount.attach, records - 1)).generation;
        let attach = place(mount.attach);
        let mut header = self.header.clone();
        mount.note_in(&mut header);
        header.last_consistent = self.consistent_before(writer, number, logs);
        header.state = DatabaseState::DIRTY_SHUTDOWN;
        header.dbid = DBID.into();
        header.last_attach = attach;
        header.last_detach = Lgpos::NULL;
        header.last_detach_time = LogTime::default();
        header.last_resize = attach;
        header.min_required = Generation(oldest.0.saturating_sub(slack)).max(attach.generation);
        header.min_consistent = header.min_required;
        header.max_required = newest;
        header.max_committed = newest;
        header.max_required_created = logs.created[&newest];
        header.max_committed_created = header.max_required_created;
        write_header(&header, &mut file, size);
        file
    }
}

/// Writes both copies of the header of a database with pages of this size.
fn write_header(header: &DatabaseHeader, file: &mut [u8], size: usize) {
    for copy in file[..2 * size].chunks_exact_mut(size) {
        copy.fill(0);
        seal_header(header, copy);
    }
}

/// How many of these records one log takes.
fn fitting(records: &[&Vec<u8>], segments: u16) -> usize {
    // Headers of segments, fragments and what is left free at the ends of segments.
    let mut room = (usize::from(segments) - 4) * (SEGMENT_SIZE - 100);
    let fits = |record: &&&Vec<u8>| {
        let fits = record.len() <= room;
        room = room.saturating_sub(record.len());
        fits
    };
    let count = records.iter().take_while(fits).count();
    assert!(count > 0, "a record fits into a log");
    count
}

impl WrittenLogs {
    /// Damages the end of the last log; how many of the writer's records are whole then.
    fn tear(&mut self, tear: Tear) -> usize {
        let newest = self.places.last().expect("a record").0.generation;
        let (_, log) = self.files.last_mut().expect("a log");
        let end = self.places.last().expect("a record").1.end;
        let last = (end - 1) / SEGMENT_SIZE;
        let mut whole = (last + 1) * SEGMENT_SIZE;
        match tear {
            Tear::None => {}
            Tear::LastSegment => {
                // An even pattern would leave the checksum as it is.
                let part = log[last * SEGMENT_SIZE + 512..][..1024].iter_mut();
                part.zip(1u32..)
                    .for_each(|(byte, at)| *byte ^= ((at * at) >> 5) as u8);
            }
            Tear::Segments(count) => {
                let kept = (last + 1).saturating_sub(count).max(2);
                whole = whole.min(kept * SEGMENT_SIZE);
                log[whole..].fill(0);
            }
        }
        let is_whole = |(lgpos, place): &&(Lgpos, Range<usize>)| {
            lgpos.generation < newest || place.end <= whole
        };
        self.places.iter().take_while(is_whole).count()
    }
}

impl Writer {
    /// After how many records the page was last written, up to these.
    fn flush_before(&self, pgno: u32, records: usize) -> Option<usize> {
        let flushes = self.flushed.iter().rev();
        let mut own = flushes.filter(|(at, flushed)| *flushed == pgno && *at <= records);
        own.next().map(|(at, _)| *at)
    }

    /// The record from which on the logs are needed: the first of a transaction that is open, or whose changes are not
    /// on disk; and of any that was open then. For redo may bring a page back to an older state, from its image in a
    /// split or merge, and needs all changes of it since, though they were on disk.
    fn oldest_needed(&self, records: usize) -> usize {
        let unwritten = self.history.iter().flat_map(|(pgno, states)| {
            let flush = self.flush_before(*pgno, records).unwrap_or(0);
            let states = states.iter();
            states
                .filter(move |(made, ..)| *made > flush && *made <= records)
                .map(|(_, began, _)| *began)
        });
        let open = self.transactions.iter();
        let open = open
            .filter(|(began, ended)| *began < records && *ended > records)
            .map(|(began, _)| *began);
        let mut oldest = unwritten.chain(open).min().unwrap_or(records);
        // Transactions are in the order of their begin.
        for (began, ended) in self.transactions.iter().rev() {
            if *began < oldest && *ended > oldest {
                oldest = *began;
            }
        }
        oldest
    }
}
