//! What the engine of a source writes: streams of real transactions, and other streams that leave them on the way.
//!
//! A stream is made once, from a seed, and holds every log that its engine will ever write. Where a source stands in it is
//! a number of records: the logs before that record are closed, the one that holds it is the current one.
//!
//! Now and then the database is dismounted and mounted again. Where a source stops between the two, it is dismounted.

use ese_format::log::HEADER_SIZE;
use ese_format::{Generation, Lgpos};
use ese_log::LogImage;
use ese_testkit::fixtures;
use ese_testkit::growing::moved_checkpoint;
use ese_testkit::logs::{records_of, write_segments};
use ese_testkit::random::Random;
use ese_testkit::rows::Rows;
use ese_testkit::work::{Work, read_tree};
use ese_testkit::writer::crash::{Base, Later, WrittenLogs};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The set that all streams begin with.
const SET: &str = "clean-p4k";
/// Segments of a log: as few as hold the largest record.
const SEGMENTS: u16 = 8;
/// Steps of work between two moments at which everything is written to the database.
const FLUSHED_EVERY: usize = 40;
/// Steps of work between two dismounts.
const DISMOUNTED_EVERY: usize = 400;
/// Steps of work in a stream.
const STEPS: usize = 8000;
/// Streams that leave another one.
const BRANCHES: u64 = 3;
/// Streams that begin from nothing.
const ROOTS: u64 = 2;

/// A log of a stream.
pub struct Log {
    /// Its generation.
    pub generation: Generation,
    /// All of it, as it is when it is closed.
    pub bytes: Vec<u8>,
    /// The byte after the last one that holds records.
    pub end: usize,
    /// The records in it.
    records: Vec<Vec<u8>>,
    /// How many of them are not the writer's.
    own: usize,
    /// The writer's first record in it.
    first: usize,
}

impl Log {
    /// The log as it is when the writer has written this many records.
    pub fn begun(&self, records: usize) -> Vec<u8> {
        let there = self.own + records.saturating_sub(self.first);
        let there = there.min(self.records.len());
        write_segments(&self.bytes[..HEADER_SIZE], &self.records[..there])
    }
}

/// A stream.
pub struct Stream {
    /// Its number among all.
    pub number: usize,
    work: Work,
    written: WrittenLogs,
    /// The logs, in order.
    pub logs: Vec<Log>,
    /// The stream that it leaves, and after how many records.
    pub leaves: Option<(usize, usize)>,
}

/// What all streams begin with.
static BASE: LazyLock<Base> =
    LazyLock::new(|| Base::read(&fixtures::testdata_set(SET).join("state")));

static CHECKPOINT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = fixtures::testdata_set(SET).join("state/edb.chk");
    std::fs::read(path).expect("the set has a checkpoint")
});

static STREAMS: LazyLock<Vec<Arc<Stream>>> = LazyLock::new(|| {
    let mut streams: Vec<Arc<Stream>> = Vec::new();
    for root in 0..ROOTS {
        let trunk = streams.len();
        streams.push(Arc::new(Stream::make(trunk, &[(root, STEPS)], None)));
        for branch in 0..BRANCHES {
            let at = STEPS * (branch as usize + 1) / (BRANCHES as usize + 1);
            // One loses whole logs, the next one only the end of a log.
            let loses_log = branch % 2 == 0;
            let seeds = [(root, at), (100 * (root + 1) + branch, STEPS - at)];
            let number = streams.len();
            let leaves = Some((trunk, at, loses_log));
            streams.push(Arc::new(Stream::make(number, &seeds, leaves)));
        }
    }
    streams
});

/// All streams.
pub fn streams() -> &'static [Arc<Stream>] {
    &STREAMS
}

/// The clean database that all streams begin with.
pub fn clean_database() -> &'static [u8] {
    BASE.bytes()
}

/// A checkpoint file at the beginning of a generation.
pub fn checkpoint(generation: Generation) -> Vec<u8> {
    moved_checkpoint(&CHECKPOINT, generation.0)
}

/// The rows of a database of any stream.
pub fn rows_of(database: &[u8]) -> Rows {
    read_tree(
        database,
        BASE.page_size().as_usize(),
        streams()[0].work.tree(),
    )
}

impl Stream {
    /// Steps of work from each of the seeds in turn. A stream that leaves another one does the same as that up to the
    /// second seed.
    fn make(number: usize, seeds: &[(u64, usize)], leaves: Option<(usize, usize, bool)>) -> Self {
        let mut work = Work::begin(&BASE);
        let mut left_at = 0;
        let mut step = 0;
        for (seed, steps) in seeds {
            left_at = work.writer().records().len();
            let mut random = Random(*seed);
            for _ in 0..*steps {
                work.step(&mut random);
                step += 1;
                if step % FLUSHED_EVERY == 0 {
                    work.flush_all();
                }
                if step % DISMOUNTED_EVERY == 0 {
                    work.dismount(&BASE);
                    work.mount(&BASE);
                }
            }
        }
        let count = work.writer().records().len();
        let later = leaves.map(|(_, _, loses_log)| {
            let begun = BASE.logs(work.writer(), left_at, SEGMENTS, None);
            let cut = begun.place(left_at - 1).generation;
            Later {
                from: if loses_log { cut } else { cut.next() },
                seconds: 7 * number as i64,
            }
        });
        let written = BASE.logs(work.writer(), count, SEGMENTS, later);
        let mut first = 0;
        let log = |(generation, bytes): &(Generation, Vec<u8>)| {
            let image = LogImage::from_bytes(Path::new("log"), bytes.clone());
            let image = image.expect("a log in order");
            let records = records_of(&image);
            let places =
                (first..count).take_while(|at| written.place(*at).generation == *generation);
            let writers = places.count();
            let log = Log {
                generation: *generation,
                bytes: bytes.clone(),
                end: image.body.end,
                own: records.len() - writers,
                records,
                first,
            };
            first += writers;
            log
        };
        let logs = written.files().iter().map(log).collect();
        Stream {
            number,
            work,
            logs,
            written,
            leaves: leaves.map(|(trunk, ..)| (trunk, left_at)),
        }
    }

    /// How many records it has.
    pub fn records(&self) -> usize {
        self.work.writer().records().len()
    }

    /// For how many records the database is dismounted: from the end of an instance to before the next one attaches it.
    fn dismounts(&self) -> impl Iterator<Item = RangeInclusive<usize>> {
        let mounts = self.work.writer().mounts();
        let pairs = mounts.iter().zip(&mounts[1..]);
        pairs.filter_map(|(mount, next)| Some(mount.end.as_ref()?.term + 1..=next.attach))
    }

    /// Whether the database is mounted after so many records.
    pub fn is_mounted(&self, records: usize) -> bool {
        self.dismounts()
            .all(|dismount| !dismount.contains(&records))
    }

    /// The first moment at which the database is dismounted, at this number of records or later.
    pub fn dismounted_from(&self, records: usize) -> Option<usize> {
        let mut dismounts = self.dismounts();
        let next = dismounts.find(|dismount| *dismount.end() >= records)?;
        Some(records.max(*next.start()))
    }

    /// The first moment at which it is mounted, at this number of records or later.
    pub fn mounted_from(&self, records: usize) -> usize {
        let mut dismounts = self.dismounts();
        let dismounted = dismounts.find(|dismount| dismount.contains(&records));
        dismounted.map_or(records, |dismount| dismount.end() + 1)
    }

    /// After how many records the database is dismounted that became clean at this place; none if no shutdown is there.
    pub fn dismounted_at(&self, place: Lgpos) -> Option<usize> {
        let mounts = self.work.writer().mounts().iter();
        let mut ends = mounts.filter_map(|mount| mount.end.as_ref());
        let end = ends.find(|end| self.written.place(end.mark) == place)?;
        Some(end.term + 1)
    }

    /// How many records there are before a place.
    pub fn records_until(&self, place: Lgpos) -> usize {
        let before = |record: &usize| self.written.place(*record) < place;
        (0..self.records()).take_while(before).count()
    }

    /// The generation that holds the last of so many records.
    pub fn generation_at(&self, records: usize) -> Generation {
        self.written.place(records - 1).generation
    }

    /// The log of a generation.
    pub fn log(&self, generation: Generation) -> Option<&Log> {
        let first = self.logs.first()?.generation;
        let at = generation.0.checked_sub(first.0)?;
        self.logs.get(at as usize)
    }

    /// How many records are in the logs before this generation.
    pub fn records_before(&self, generation: Generation) -> usize {
        match self.log(generation) {
            Some(log) => log.first,
            None => self.records(),
        }
    }

    /// What is committed after so many records.
    pub fn rows_after(&self, records: usize) -> Rows {
        self.work.rows_after(records)
    }

    /// The database as the engine has written it after so many records.
    pub fn database(&self, records: usize) -> Vec<u8> {
        BASE.database(self.work.writer(), records, &self.written, 0)
    }
}
