//! A log stream that grows as an engine writes it.
//!
//! A generation begins as `E00tmp.log`. When the current log is full, it gets its number, and the prepared one becomes
//! `E00.log`. The content of the current log is not what it will be when it is closed, so that a reader who takes it too
//! early is found out.
//!
//! A stream either repeats the same records in every log, for as long as one likes, or spreads those of an engine-made
//! stream over many small logs, in order: then it can be replayed from nothing, and what is committed at its end is
//! known.

use crate::fixtures;
use crate::logs::{ATTACH_LIST, records_of, seal_header, write_segments};
use byteorder::{ByteOrder, LittleEndian};
use ese_format::log::{HEADER_SIZE, LogHeader, SEGMENT_SIZE, SegmentHeader};
use ese_format::{Lgpos, LogTime};
use ese_log::{LogImage, RecordCursor, StreamFiles};
use std::fs;
use std::path::{Path, PathBuf};

/// The stream and what its next log has to continue.
pub struct GrowingStream {
    folder: PathBuf,
    header: Vec<u8>,
    content: Content,
    /// The checkpoint file of the set, whose copies are moved.
    checkpoint: Vec<u8>,
    generation: u32,
    /// Seconds that this life of the stream adds to the times of its logs.
    life: i64,
}

/// What the logs hold.
enum Content {
    /// Every log the same.
    Same(Vec<Vec<u8>>),
    /// Each its own, from generation 1 on; the list of attached databases as of generation 2.
    Each {
        logs: Vec<Vec<Vec<u8>>>,
        attached: Vec<u8>,
    },
}

/// Where an entry of the list of attached databases tells its last attach.
const LAST_ATTACH: usize = 20;

impl GrowingStream {
    /// Begins a stream `E00` in the existing folder `folder`, with logs of `size` bytes.
    pub fn begin(folder: &Path, size: usize) -> Self {
        let state = fixtures::testdata_set("crash-p8k").join("state");
        let logs = fixtures::files_below(&state).into_iter();
        let images: Vec<LogImage> = logs.filter_map(|path| LogImage::read(&path).ok()).collect();
        let mut room = size - 4 * SEGMENT_SIZE;
        // Headers of segments and what is left free at their ends take about this much.
        let fits = |record: &Vec<u8>| {
            room = room.saturating_sub(record.len() * 51 / 50);
            room > 0
        };
        let records = images.iter().cycle().flat_map(records_of).take_while(fits);
        let content = Content::Same(records.collect());
        Self::begin_with(folder, &images, size, content)
    }

    /// Begins a stream `E00` in the existing folder `folder` that spreads the records of the engine-made stream in
    /// `state`, which begins with the creation of its only database, over `count` closed logs of `size` bytes and a
    /// current one.
    pub fn begin_spread(folder: &Path, state: &Path, size: usize, count: usize) -> Self {
        let files = StreamFiles::find(state, None).expect("a stream");
        let images = files.in_order();
        let images: Vec<LogImage> = images
            .map(|file| LogImage::read(&file.path).expect("a log in order"))
            .collect();
        let logs = spread(images.iter().flat_map(records_of).collect(), count + 1);
        let attached = images[1].bytes[ATTACH_LIST].to_vec();
        Self::begin_with(folder, &images, size, Content::Each { logs, attached })
    }

    fn begin_with(folder: &Path, images: &[LogImage], size: usize, content: Content) -> Self {
        let first = images.first().expect("the set has logs");
        let mut header = first.bytes[..SEGMENT_SIZE].to_vec();
        let segments =
            u16::try_from(size / SEGMENT_SIZE).expect("a log has at most 65535 segments");
        LittleEndian::write_u16(&mut header[12..], segments);
        let mut stream = GrowingStream {
            folder: folder.to_owned(),
            content,
            checkpoint: checkpoint_beside(&first.path),
            header,
            generation: 0,
            life: 0,
        };
        stream.prepare(LogTime::default(), 0);
        stream
    }

    fn records(&self) -> &[Vec<u8>] {
        match &self.content {
            Content::Same(records) => records,
            Content::Each { logs, .. } => logs
                .get(self.generation as usize - 1)
                .expect("the stream has no more logs to spread"),
        }
    }

    /// Writes all that the current log will hold, as an engine does before it ends.
    pub fn complete(&self) {
        let log = write_segments(&self.header, self.records());
        fs::write(self.current(), log).expect("the folder is writable");
    }

    /// Puts the place at which the database was created into the list of attached databases, once it is known.
    fn attach(&mut self, log: &[u8]) {
        let Content::Each { attached, .. } = &mut self.content else {
            return;
        };
        let image = LogImage::from_bytes(&self.folder, log.to_vec()).expect("a log in order");
        let mut cursor = RecordCursor::new();
        while let Some(record) = cursor.next_record(&image).expect("the log is in order") {
            if record.kind.dump_name() == "CreateDB" {
                let place = record.lgpos.to_bytes();
                attached[LAST_ATTACH..][..place.len()].copy_from_slice(&place);
                self.header[ATTACH_LIST].copy_from_slice(attached);
            }
        }
    }

    /// Where the log of a closed generation is.
    pub fn path(&self, generation: u32) -> PathBuf {
        self.folder.join(format!("E00{generation:08X}.log"))
    }

    /// Where the current log is.
    pub fn current(&self) -> PathBuf {
        self.folder.join("E00.log")
    }

    /// The newest generation that is closed.
    pub fn closed(&self) -> u32 {
        self.generation - 1
    }

    /// Completes the current log, gives it its number, and begins the next one.
    pub fn roll(&mut self) {
        let log = write_segments(&self.header, self.records());
        if self.generation == 1 {
            self.attach(&log);
        }
        fs::write(self.current(), &log).expect("the folder is writable");
        let header = LogHeader::read(&log).expect("a whole header");
        self.prepare(header.as_read().created, accumulated(&log));
    }

    /// Closes `count` generations.
    pub fn roll_many(&mut self, count: u32) {
        (0..count).for_each(|_| self.roll());
    }

    /// Writes a checkpoint at the begin of `generation`, as an engine does when it has written all changes before.
    pub fn move_checkpoint(&self, generation: u32) {
        let file = moved_checkpoint(&self.checkpoint, generation);
        fs::write(self.folder.join("E00.chk"), file).expect("the folder is writable");
    }

    /// Loses the current log and all generations from `from` on, as a lossy failover does, and goes on from there with
    /// others.
    pub fn lose_from(&mut self, from: u32) {
        for generation in from..=self.closed() {
            fs::remove_file(self.path(generation)).expect("the log is there");
        }
        fs::remove_file(self.current()).expect("the current log is there");
        let before = fs::read(self.path(from - 1)).expect("the log before is there");
        self.life += 3600;
        self.generation = from - 1;
        let created = LogHeader::read(&before)
            .expect("a whole header")
            .as_read()
            .created;
        self.prepare(created, accumulated(&before));
    }

    /// Begins the next generation after a log that was created and has the sum as given.
    fn prepare(&mut self, before: LogTime, sum: u64) {
        let finished = self.generation;
        self.generation += 1;
        let seconds = i64::from(self.generation) + self.life;
        continue_header(&mut self.header, self.generation, seconds, before, sum);
        let records = self.records();
        let begun = write_segments(&self.header, &records[..records.len() / 2]);
        let prepared = self.folder.join("E00tmp.log");
        fs::write(&prepared, begun).expect("the folder is writable");
        if self.current().exists() {
            fs::rename(self.current(), self.path(finished)).expect("the folder is writable");
        }
        fs::rename(prepared, self.current()).expect("the folder is writable");
    }
}

/// A checkpoint file whose copies stand at the begin of `generation`.
pub fn moved_checkpoint(file: &[u8], generation: u32) -> Vec<u8> {
    let mut file = file.to_vec();
    for copy in file.chunks_exact_mut(HEADER_SIZE) {
        copy[12..12 + Lgpos::SIZE].copy_from_slice(&Lgpos::new(generation, 1, 0).to_bytes());
        seal_header(copy);
    }
    file
}

fn checkpoint_beside(log: &Path) -> Vec<u8> {
    let folder = log.parent().expect("a log lies in a folder");
    let files = StreamFiles::find(folder, None).expect("a stream");
    let file = files.checkpoints.first().expect("the set has a checkpoint");
    fs::read(&file.path).expect("a fixture can be read")
}

/// Records, in order, as `count` parts of about the same number of bytes, none without a record.
fn spread(records: Vec<Vec<u8>>, count: usize) -> Vec<Vec<Vec<u8>>> {
    let mut left: usize = records.iter().map(Vec::len).sum();
    let mut parts = vec![Vec::new()];
    let mut room = left / count;
    let whole = records.len();
    for (number, record) in records.into_iter().enumerate() {
        let too_few = whole - number <= count - parts.len();
        if (room == 0 || too_few) && number > 0 {
            parts.push(Vec::new());
            room = left / (count + 1 - parts.len()).max(1);
        }
        left -= record.len();
        room = room.saturating_sub(record.len());
        parts.last_mut().expect("there is a part").push(record);
    }
    assert_eq!(parts.len(), count, "there are more records than parts");
    parts
}

/// Makes `header` that of a log created `seconds` into 1970, after one that was created and has the sum as given.
pub(crate) fn continue_header(
    header: &mut [u8],
    generation: u32,
    seconds: i64,
    before: LogTime,
    sum: u64,
) {
    let since = jiff::SignedDuration::from_secs(seconds);
    let created = LogTime::from_timestamp(jiff::Timestamp::UNIX_EPOCH + since);
    LittleEndian::write_u32(&mut header[4..], generation);
    header[16..24].copy_from_slice(&created.0);
    header[24..32].copy_from_slice(&before.0);
    LittleEndian::write_u64(&mut header[653..], sum);
}

/// The exclusive or of the checksums of all segments that hold records.
pub fn accumulated(log: &[u8]) -> u64 {
    let header = LogHeader::read(log).expect("a whole header");
    let generation = header.as_read().generation;
    let segments = log.chunks_exact(SEGMENT_SIZE).enumerate().skip(1);
    let headers = segments.filter_map(|(number, segment)| {
        let segment = SegmentHeader::read(segment, 0).ok()?;
        let own =
            segment.lgpos.generation == generation && usize::from(segment.lgpos.segment) == number;
        own.then_some(segment.checksum)
    });
    headers.fold(0, |sum, checksum| sum ^ checksum)
}
