//! The damage campaign: databases, flush maps, logs and checkpoints are damaged at random, in the ways that disks, controllers and
//! people damage them, and whatever was damaged has to be reported. `EDBKIT_DAMAGE=100000` is the number of variants;
//! the table it prints is in `docs/reliability.md`.

use ese_checksum::header_checksum;
use ese_db::space::SpaceMap;
use ese_db::{Database, MemorySource, TableReader};
use ese_format::database::{HEADERS_MAX, HeaderCopies, HeaderStatus};
use ese_format::flush_map::MAP_PAGE_SIZE;
use ese_format::{DatabaseHeader, FileKind, Pgno};
use ese_log::chain::{Severity, verify};
use ese_log::{LogImage, StreamFiles};
use ese_scan::{FlushMap, PageChecker, PageFindings};
use ese_testkit::fixtures::{either, engine_set, testdata_set};
use ese_testkit::random::Random;
use evidence::EvidenceFile;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECTOR: usize = 512;

/// Longest that any variant may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happened to the variants of one kind.
#[derive(Default)]
struct Tally {
    variants: u64,
    /// The damage changed nothing: zeroes over zeroes.
    unchanged: u64,
    reported: u64,
    unseen: Vec<String>,
    slowest: Duration,
}

type Table = Mutex<BTreeMap<&'static str, Tally>>;

fn variants() -> u64 {
    let asked = std::env::var("EDBKIT_DAMAGE").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(600)
}

/// Counts one variant: `reported` is none if nothing was changed.
fn count(table: &Table, kind: &'static str, what: String, begun: Instant, reported: Option<bool>) {
    let mut table = table.lock().unwrap();
    let tally = table.entry(kind).or_default();
    tally.variants += 1;
    tally.slowest = tally.slowest.max(begun.elapsed());
    match reported {
        None => tally.unchanged += 1,
        Some(true) => tally.reported += 1,
        Some(false) => tally.unseen.push(what),
    }
}

fn flip(bytes: &mut [u8], bits: usize, random: &mut Random) {
    for _ in 0..bits {
        let bit = random.below(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

fn zero_sector(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len() / SECTOR) * SECTOR;
    bytes[at..at + SECTOR].fill(0);
}

/// A database, an older copy of it, and its flush map.
struct Victim {
    bytes: Vec<u8>,
    older: Vec<u8>,
    page_size: usize,
    map: Option<FlushMap>,
}

impl Victim {
    fn open(set: &Path) -> Victim {
        let path = set.join("recovered/db.edb");
        let bytes = fs::read(&path).unwrap();
        let headers = HeaderCopies::read(&bytes[..HEADERS_MAX.min(bytes.len())]);
        let page_size = headers.page_size as usize;
        let last = Pgno((bytes.len() / page_size) as u32 - 2);
        let map = EvidenceFile::open(set.join("recovered/db.jfm")).ok();
        let header = &headers.good().unwrap().fields;
        Victim {
            older: fs::read(set.join("state/db.edb")).unwrap(),
            map: map.map(|map| FlushMap::open(&map, header, last).unwrap()),
            page_size,
            bytes,
        }
    }

    /// Whether a page other than the headers has another state in the older copy.
    fn differs(&self, page: usize) -> bool {
        let range = page * self.page_size..(page + 1) * self.page_size;
        let older = self.older.get(range.clone());
        page > 1 && older.is_some_and(|older| older != &self.bytes[range])
    }

    fn damage(&self, random: &mut Random) -> (&'static str, String, Vec<u8>) {
        let mut bytes = self.bytes.clone();
        let size = self.page_size;
        let kind = random.below(9);
        let mut page = random.below(bytes.len() / size);
        // Most pages are the same in the older copy; one is wanted that is not.
        while matches!(kind, 6 | 7) && !self.differs(page) {
            page = random.below(bytes.len() / size);
        }
        let range = page * size..(page + 1) * size;
        let kind = match kind {
            0 => {
                flip(&mut bytes[range], 1, random);
                "database: one bit of a page"
            }
            1 => {
                let bits = 2 + random.below(60);
                flip(&mut bytes[range], bits, random);
                "database: many bits of a page"
            }
            2 => {
                zero_sector(&mut bytes[range], random);
                "database: a sector of zeroes"
            }
            3 => {
                let other = random.below(bytes.len() / size);
                let copy = bytes[range.clone()].to_vec();
                bytes.copy_within(other * size..(other + 1) * size, range.start);
                bytes[other * size..(other + 1) * size].copy_from_slice(&copy);
                "database: two pages swapped"
            }
            4 => {
                bytes.truncate(random.below(bytes.len()));
                "database: cut off anywhere"
            }
            5 => {
                bytes.truncate(page * size);
                "database: cut off between pages"
            }
            6 => {
                let torn = SECTOR * (1 + random.below(size / SECTOR - 1));
                let torn = range.start..range.start + torn;
                bytes[torn.clone()].copy_from_slice(&self.older[torn]);
                "database: a torn page, its first sectors are older"
            }
            7 => {
                bytes[range.clone()].copy_from_slice(&self.older[range]);
                LOST
            }
            _ => {
                bytes[range].fill(0);
                BLANKED
            }
        };
        (kind, format!("page {page}"), bytes)
    }

    /// None if nothing was changed; else whether the damage is reported.
    fn judge(&self, bytes: Vec<u8>) -> Option<bool> {
        if bytes == self.bytes {
            return None;
        }
        let headers = HeaderCopies::read(&bytes[..HEADERS_MAX.min(bytes.len())]);
        let checker = PageChecker::new(&headers, bytes.len() as u64, self.map.as_ref());
        let mut found = PageFindings::default();
        if headers.good().is_some() {
            checker.check(&bytes, 0, &mut found);
        }
        let scanned = headers.status != HeaderStatus::Good || !found.findings.is_empty();
        let read = MemorySource::new(bytes).map_or(true, |source| is_lossy(&Database::new(source)));
        Some(scanned || read)
    }
}

/// A flush map, and the header of its database.
struct Map {
    bytes: Vec<u8>,
    header: DatabaseHeader,
    last: Pgno,
}

impl Map {
    fn open(set: &Path) -> Option<Map> {
        let database = fs::read(set.join("recovered/db.edb")).unwrap();
        let headers = HeaderCopies::read(&database[..HEADERS_MAX]);
        Some(Map {
            bytes: fs::read(set.join("recovered/db.jfm")).ok()?,
            last: Pgno::at_file_offset(database.len() as u64, headers.page_size),
            header: headers.good().unwrap().fields.clone(),
        })
    }

    fn damage(&self, random: &mut Random) -> (&'static str, Option<bool>) {
        let mut bytes = self.bytes.clone();
        let kind = match random.below(3) {
            0 => {
                let bits = 1 + random.below(20);
                flip(&mut bytes, bits, random);
                match self.cancels(&bytes) {
                    true => CANCELLED,
                    false => "flush map: flipped bits",
                }
            }
            1 => {
                zero_sector(&mut bytes, random);
                "flush map: a sector of zeroes"
            }
            _ => {
                bytes.truncate(random.below(bytes.len()));
                "flush map: cut off"
            }
        };
        let changed = bytes != self.bytes;
        (kind, changed.then(|| self.is_noticed(&bytes)))
    }

    /// Whether only the header changed, and its checksum, a plain exclusive or, fits nevertheless.
    fn cancels(&self, bytes: &[u8]) -> bool {
        let (header, pages) = bytes.split_at(MAP_PAGE_SIZE);
        let stored = u32::from_le_bytes(header[..4].try_into().unwrap());
        pages == &self.bytes[MAP_PAGE_SIZE..] && header_checksum(header) == stored
    }

    fn is_noticed(&self, bytes: &[u8]) -> bool {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let file = EvidenceFile::open(file.path()).unwrap();
        FlushMap::open(&file, &self.header, self.last).map_or(true, |map| {
            !map.damaged_pages().is_empty() || !map.missing_pages().is_empty()
        })
    }
}

/// Lost writes and blank pages are pages in order: only the flush map, or a reader that misses them, can tell. The map
/// knows one of three types for each page, so that a third of the lost writes look right; and a page that belongs to
/// nobody is nobody's loss.
const LOST: &str = "database: an older page put back (lost write)";
const BLANKED: &str = "database: a page of zeroes";
/// Flipped bits that cancel each other out in a plain exclusive or: the format cannot tell.
const CANCELLED: &str = "flush map: flipped bits of the header that cancel out";

/// Reads everything; whether something was missing.
fn is_lossy(db: &Database) -> bool {
    let Ok(catalog) = db.catalog() else {
        return true;
    };
    let map = SpaceMap::read(db, &catalog);
    let mut lossy = !catalog.losses.is_empty();
    for (_, space) in &map.trees {
        let Ok(space) = space else { return true };
        let last = space.owned.iter().map(|extent| extent.last).max();
        lossy |= !space.losses.is_empty() || last > Some(db.last_page());
    }
    for table in &catalog.tables {
        let reader = TableReader::new(db, table);
        let mut rows = reader.rows();
        for row in rows.by_ref() {
            let Ok(fields) = row.fields() else { continue };
            for column in reader.columns() {
                let _ = fields.value(column);
            }
        }
        lossy |= !rows.losses().is_empty();
    }
    lossy
}

/// A stream, and the end of the data of each log.
struct Stream {
    folder: PathBuf,
    logs: Vec<(String, Vec<u8>, usize)>,
    foreign: Vec<u8>,
    checkpoint: Vec<u8>,
}

impl Stream {
    fn open(state: &Path, foreign: PathBuf) -> Stream {
        let files = StreamFiles::find(state, None).unwrap();
        let logs = files.in_order().map(|file| {
            let image = LogImage::read(&file.path).unwrap();
            let bytes = fs::read(&file.path).unwrap();
            (file.name(), bytes, image.body.end)
        });
        Stream {
            logs: logs.collect(),
            folder: state.to_owned(),
            foreign: fs::read(foreign).unwrap(),
            checkpoint: fs::read(state.join("edb.chk")).unwrap(),
        }
    }

    /// Lays the stream out with one file damaged, and judges it.
    fn damage(&self, random: &mut Random) -> (&'static str, String, Option<bool>) {
        let folder = TempDir::new().unwrap();
        let chosen = random.below(self.logs.len());
        let (name, original, end) = &self.logs[chosen];
        let mut bytes = original.clone();
        let mut checkpoint = self.checkpoint.clone();
        let mut missing = None;
        let kind = match random.below(9) {
            0 => {
                flip(&mut bytes[..*end], 1, random);
                "log: one bit"
            }
            1 => {
                let bits = 2 + random.below(200);
                flip(&mut bytes[..*end], bits, random);
                "log: many bits"
            }
            2 => {
                let whole = end / SECTOR * SECTOR;
                zero_sector(&mut bytes[..whole], random);
                "log: a sector of zeroes"
            }
            3 => {
                bytes.truncate(random.below(bytes.len()));
                "log: cut off"
            }
            4 => {
                bytes.clone_from(&self.foreign);
                "log: one of another stream"
            }
            5 => {
                bytes.clone_from(&self.logs[random.below(self.logs.len())].1);
                "log: another of the stream"
            }
            // The current log may be missing: the stream then ends before it.
            6 => {
                let inner = 1 + random.below(self.logs.len() - 2);
                missing = Some(self.logs[inner].0.clone());
                "log: missing inside the stream"
            }
            7 => {
                let bits = 1 + random.below(20);
                flip(&mut checkpoint, bits, random);
                "checkpoint: flipped bits"
            }
            _ => {
                checkpoint.truncate(random.below(checkpoint.len()));
                "checkpoint: cut off"
            }
        };
        let changed = bytes != *original || checkpoint != self.checkpoint || missing.is_some();
        for (other, content, _) in &self.logs {
            let place = folder.path().join(other);
            match Some(other) {
                other if other == missing.as_ref() => {}
                Some(other) if other == name && bytes != *content => {
                    fs::write(place, &bytes).unwrap();
                }
                _ => std::os::unix::fs::symlink(self.folder.join(other), place).unwrap(),
            }
        }
        fs::write(folder.path().join("edb.chk"), checkpoint).unwrap();
        let reported = changed.then(|| is_noticed(folder.path()));
        (kind, name.clone(), reported)
    }
}

fn is_noticed(folder: &Path) -> bool {
    let Ok(files) = StreamFiles::find(folder, None) else {
        return true;
    };
    match verify(&files, None, &()) {
        Ok(Some(report)) => report.count(Severity::Warning) > 0,
        _ => true,
    }
}

/// Most memory this process ever had, in MiB.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib / 1024)
}

#[test]
fn whatever_is_damaged_is_reported() {
    let other = either("merge-p4k", "esc64-cctx-p4k");
    let sets = ["crash-p8k", other].map(engine_set);
    let victims: Vec<Victim> = sets.iter().map(|set| Victim::open(set)).collect();
    let maps: Vec<Map> = sets.iter().filter_map(|set| Map::open(set)).collect();
    assert!(
        maps.iter().all(|map| !map.is_noticed(&map.bytes)),
        "all maps are in order"
    );
    let state = testdata_set("clean-p4k").join("state");
    let foreign = testdata_set("crash-p8k").join("state/edb00003.log");
    let stream = Stream::open(&state, foreign);
    assert!(!is_noticed(&state), "the stream is in order");

    let table = Table::default();
    (0..variants()).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        let begun = Instant::now();
        let (kind, what, reported) = match seed % 9 {
            0 => {
                let chosen = random.below(maps.len());
                let (kind, reported) = maps[chosen].damage(&mut random);
                (kind, format!("map {chosen}"), reported)
            }
            1..=4 => {
                let victim = random.below(victims.len());
                let (kind, what, bytes) = victims[victim].damage(&mut random);
                let what = format!("{} {what}", sets[victim].display());
                (kind, what, victims[victim].judge(bytes))
            }
            _ => stream.damage(&mut random),
        };
        count(
            &table,
            kind,
            format!("{what}, seed {seed}"),
            begun,
            reported,
        );
    });

    println!("| damage | variants | changed nothing | reported | not seen | slowest |");
    println!("|---|---|---|---|---|---|");
    let table = table.into_inner().unwrap();
    for (kind, tally) in &table {
        println!(
            "| {kind} | {} | {} | {} | {} | {} ms |",
            tally.variants,
            tally.unchanged,
            tally.reported,
            tally.unseen.len(),
            tally.slowest.as_millis()
        );
    }
    println!("peak memory: {:?} MiB", peak_memory());
    for (kind, tally) in &table {
        assert!(tally.slowest < PATIENCE, "{kind}: {:?}", tally.slowest);
        let may_hide = [LOST, BLANKED, CANCELLED].contains(kind);
        assert!(
            may_hide || tally.unseen.is_empty(),
            "{kind}: {:?}",
            tally.unseen
        );
    }
    assert!(peak_memory().is_none_or(|peak| peak < 512));
    assert_eq!(FileKind::detect(&stream.checkpoint), FileKind::Checkpoint);
}
