//! The law of the timeline: the rows at a moment A, and the changes that committed after A and up to B, give the rows at B; the
//! same changes taken back in reverse lead from B to A.
//!
//! Moments are records, generations and times of the engine's own streams, drawn at random. The rows at a moment come from
//! the logs alone, which create the database, or from a file of the set as `--as-of` shows it. A file that cannot be
//! shown so early has to say that, and may not be shown at another moment instead.
//!
//! Rules, all of which follow from how the engine works:
//!
//! - Changes are applied by transaction, in the order in which transactions end. Two open transactions never change one row,
//!   except by adding to a number.
//! - Several sessions add to a number at once (escrow columns). Each sees it without what others have added and not
//!   committed, so a change means the difference between its two rows there, and not the number itself.
//!   The engine's sets have no two that commit and overlap; those of the second test are made up.
//! - A table that is dropped takes its rows with it: that is one change, which does not say what they were. Taken back, it
//!   brings none of them, so that the way back is not walked for such a table.
//! - What a database is, its name says: a stream has no two under one name.
//!
//! `EDBKIT_CASES` plays more pairs, see `ese_testkit::campaign`.

use ese_db::catalog::ColumnFlags;
use ese_db::source::MemorySource;
use ese_db::{ColumnType, Database, Table, TableReader};
use ese_export::{Form, Format, Selection, look};
use ese_format::database::{HeaderCopies, seal_header};
use ese_format::page::PageSize;
use ese_format::{Explain, Generation, Lgpos, Pgno, hex};
use ese_log::{LogStream, Moment, StreamFiles};
use ese_replay::as_of::AsOfError;
use ese_replay::page_files::MemoryFile;
use ese_replay::pages::PageFile;
use ese_replay::recovery::{
    self, DatabaseFile, EmptyFile, RecoverOptions, RecoveredDatabase, RecoveryError, Until, plan,
};
use ese_replay::redo::NewDatabase;
use ese_replay::view::{RecoveredView, ViewError, ViewOptions};
use ese_testkit::campaign::play;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use ese_testkit::writer::crash::{Base, Tear, WrittenPages};
use ese_timeline::{
    Change, ChangeSink, Filter, LongValues, Operation, Order, RowState, Status, TimelineOptions,
    tell,
};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Write};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

/// Pairs that every run plays.
const PAIRS: u64 = 60;
/// Histories of additions likewise.
const ADDING: u64 = 60;

type Columns = Map<String, Json>;
/// Rows by database, table and bookmark.
type Rows = BTreeMap<(String, String, String), Columns>;

#[derive(Debug, Default)]
struct Figures {
    pairs: u64,
    changes: u64,
    added: u64,
    overlapped: u64,
    dropped: u64,
    rows: u64,
    from_files: u64,
    refused: u64,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.changes += other.changes;
        self.added += other.added;
        self.overlapped += other.overlapped;
        self.dropped += other.dropped;
        self.rows += other.rows;
        self.from_files += other.from_files;
        self.refused += other.refused;
    }
}

#[test]
fn changes_lead_from_any_moment_to_any_later_one_and_back() {
    let figures = play(PAIRS, pair);
    println!("{figures:?}");
    let one = std::env::var_os("EDBKIT_CASE").is_some();
    assert!(one || figures.changes > 10 * figures.pairs, "{figures:?}");
    assert!(
        one || figures.from_files > 0 && figures.refused > 0,
        "{figures:?}"
    );
}

/// Transactions that add to the same numbers side by side, of which the engine's sets have none that commit.
#[test]
fn what_several_sessions_add_at_once_is_added_up() {
    let figures = play(ADDING, adding);
    println!("{figures:?}");
    let one = std::env::var_os("EDBKIT_CASE").is_some();
    assert!(one || figures.overlapped > figures.pairs, "{figures:?}");
}

/// Three sessions that add to a few rows of a table of the engine's, on a clean database.
fn adding(number: u64) -> Result<Figures, String> {
    static BASE: LazyLock<Base> =
        LazyLock::new(|| Base::read(&fixtures::testdata_set("clean-p4k").join("state")));
    let mut random = Random(number);
    let clean = Database::new(MemorySource::new(BASE.bytes()).map_err(words)?);
    let catalog = clean.catalog().map_err(words)?;
    let table = catalog.table("Items").ok_or("no table")?;
    let added_to = table.columns.iter();
    let mut added_to = added_to.filter(|column| column.flags.contains(ColumnFlags::ESCROW));
    let column = added_to.next().ok_or("nothing to add to")?;
    let reader = TableReader::new(&clean, table);
    let mut keys = Vec::new();
    for row in (&mut reader.rows()).take(50) {
        keys.push(row.fields().map_err(words)?.key().to_vec());
    }
    let mut writer = BASE.writer();
    let tree = BASE.adopt(&mut writer, table.root.0, table.objid.0);
    for _ in 0..60 {
        let session = 1 + random.below(3) as u16;
        match (writer.level(session), random.below(4)) {
            (0, _) => writer.begin(session),
            (_, 0) => writer.commit(session),
            (_, 1) if random.below(3) == 0 => writer.roll_back(session),
            _ => {
                let key = &keys[random.below(3)];
                let amount = random.below(2000) as i64 - 1000;
                let is_wide = column.column_type != ColumnType::Long;
                writer.add(session, tree, key, (column.record_offset, amount, is_wide));
            }
        }
    }
    let records = writer.records().len();
    let crash = BASE.crash(
        &writer,
        records,
        BASE.segments(),
        Tear::None,
        WrittenPages::Clean,
    );
    let files = StreamFiles::find(crash.folder.path(), None).map_err(words)?;
    let file = DatabaseFile::open(&crash.database()).map_err(words)?;
    let events = committed(&files, std::slice::from_ref(&file))?;
    let mut shown = || {
        // The first record that is not the attach's.
        let record = 2 + random.below(records - 2);
        let moment = Moment::Lgpos(crash.places[record]);
        let options = view_options(moment);
        let seen = RecoveredView::after_recovery(&file, &files, options, &());
        let (view, recovery) = seen.map_err(words)?;
        let at = recovery
            .as_of
            .map_or(Lgpos::NULL, |as_of| as_of.place.lgpos);
        let mut shown = Shown::at(at);
        read_rows(&mut shown, "written.edb", &Database::new(view))?;
        Ok::<_, String>(shown)
    };
    let (a, b) = (shown()?, shown()?);
    match a.at <= b.at {
        true => law(&a, &b, &events),
        false => law(&b, &a, &events),
    }
}

/// A change of a row that committed.
#[derive(Debug)]
struct Event {
    ended: Lgpos,
    lgpos: Lgpos,
    operation: Operation,
    place: (String, String, String),
    before: Option<Columns>,
    after: Option<Columns>,
}

impl Event {
    /// Database and table.
    fn table(&self) -> (&str, &str) {
        (&self.place.0, &self.place.1)
    }
}

/// A stream that creates its databases.
struct Stream {
    files: StreamFiles,
    page_size: PageSize,
    /// Every record from where the first row was committed on.
    records: Vec<Lgpos>,
    /// Times at which segments begin.
    times: Vec<jiff::Timestamp>,
    events: Vec<Event>,
    /// Databases as files, of whatever age.
    databases: Vec<PathBuf>,
}

/// The rows at a moment, and the last record that counts.
struct Shown {
    at: Lgpos,
    rows: Rows,
    /// Columns to which several sessions add at once, by database and table.
    added_to: BTreeMap<(String, String), BTreeMap<String, ColumnType>>,
}

fn pair(number: u64) -> Result<Figures, String> {
    let mut random = Random(number);
    let names = &*NAMES;
    let name = &names[random.below(names.len())];
    let stream = stream(name)?;
    let mut figures = Figures::default();
    let mut shown = || {
        let moment = stream.moment(&mut random);
        let seen = stream.rows_at(moment, &mut random, &mut figures);
        seen.map(|seen| (seen, moment))
            .map_err(|error| format!("{name}, {moment}: {error}"))
    };
    let ((mut a, mut from), (mut b, mut to)) = (shown()?, shown()?);
    if a.at > b.at {
        (a, b) = (b, a);
        (from, to) = (to, from);
    }
    figures += law(&a, &b, &stream.events)
        .map_err(|what| format!("{name}, {from} ({}) to {to} ({}): {what}", a.at, b.at))?;
    Ok(figures)
}

/// Goes from the rows at one moment to those at a later one, and back.
fn law(a: &Shown, b: &Shown, events: &[Event]) -> Result<Figures, String> {
    let mut figures = Figures {
        pairs: 1,
        rows: b.rows.len() as u64,
        ..Figures::default()
    };
    let between = events.iter();
    let between: Vec<&Event> = between
        .filter(|event| event.ended > a.at && event.ended <= b.at)
        .collect();
    let dropped: BTreeSet<(&str, &str)> = between
        .iter()
        .filter(|event| event.operation == Operation::DropTable)
        .map(|event| event.table())
        .collect();
    let mut forward = a.rows.clone();
    for event in &between {
        let numbers = apply(&mut forward, event, b, Way::Forward)?;
        figures.added += numbers.added;
        figures.overlapped += numbers.overlapped;
    }
    same(&forward, &b.rows).map_err(|what| format!("at the end: {what}"))?;
    let is_dropped = |(database, table, _): &(String, String, String)| {
        dropped.contains(&(database.as_str(), table.as_str()))
    };
    let mut back = b.rows.clone();
    back.retain(|place, _| !is_dropped(place));
    for event in between.iter().rev() {
        if !is_dropped(&event.place) {
            apply(&mut back, event, b, Way::Back).map_err(|what| format!("back: {what}"))?;
        }
    }
    let mut start = a.rows.clone();
    start.retain(|place, _| !is_dropped(place));
    same(&back, &start).map_err(|what| format!("back at the start: {what}"))?;
    figures.changes = between.len() as u64;
    figures.dropped = dropped.len() as u64;
    Ok(figures)
}

/// Numbers of a row to which a change adds.
#[derive(Debug, Default)]
struct Numbers {
    added: u64,
    /// Those that held at the time what others had added and the transaction did not see, or the other way round.
    overlapped: u64,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Forward,
    Back,
}

/// Applies a change, or takes it back.
fn apply(rows: &mut Rows, event: &Event, at: &Shown, way: Way) -> Result<Numbers, String> {
    if event.operation == Operation::DropTable {
        rows.retain(|(database, table, _), _| (database.as_str(), table.as_str()) != event.table());
        return Ok(Numbers::default());
    }
    let (from, to) = match way {
        Way::Forward => (&event.before, &event.after),
        Way::Back => (&event.after, &event.before),
    };
    let wrong = |what: &str, row: Option<&Columns>| {
        Err(format!(
            "{what}: {:?} at {} of {:?}: {from:?} to {to:?}; there is {row:?}",
            event.operation, event.lgpos, event.place
        ))
    };
    let (database, table, _) = &event.place;
    let none = BTreeMap::new();
    let added_to = at.added_to.get(&(database.clone(), table.clone()));
    let added_to = added_to.unwrap_or(&none);
    let there = rows.get(&event.place);
    let (Some(from), Some(to)) = (from, to) else {
        if there != from.as_ref() {
            return wrong("another row", there);
        }
        match to {
            Some(row) => drop(rows.insert(event.place.clone(), row.clone())),
            None => drop(rows.remove(&event.place)),
        }
        return Ok(Numbers::default());
    };
    let Some(there) = there else {
        return wrong("no row", there);
    };
    let mut row = to.clone();
    let mut count = Numbers::default();
    for (column, kind) in added_to {
        let number = |row: &Columns| row.get(column).and_then(Json::as_i64);
        let numbers = (number(there), number(from), number(to));
        if let (Some(now), Some(before), Some(after)) = numbers {
            let sum = now.wrapping_add(after.wrapping_sub(before));
            let sum = match kind {
                ColumnType::Long => i64::from(sum as i32),
                _ => sum,
            };
            row.insert(column.clone(), sum.into());
            count.added += u64::from(before != after);
            count.overlapped += u64::from(now != before);
        }
    }
    let differs =
        |column: &String| !added_to.contains_key(column) && there.get(column) != from.get(column);
    if there.keys().chain(from.keys()).any(differs) {
        return wrong("another row", Some(there));
    }
    rows.insert(event.place.clone(), row);
    Ok(count)
}

/// Says the first row that is not the same.
fn same(found: &Rows, expected: &Rows) -> Result<(), String> {
    for place in found.keys().chain(expected.keys()) {
        if found.get(place) != expected.get(place) {
            return Err(format!(
                "{place:?}: {:?}, but {:?}",
                found.get(place),
                expected.get(place)
            ));
        }
    }
    Ok(())
}

/// Sets whose logs create their databases.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = fixtures::engine_set_names().into_iter();
    let creates = |name: &String| {
        let files = StreamFiles::find(&fixtures::engine_set(name).join("state"), None).unwrap();
        let plan = plan(&files, None, &[], &Until::default(), &()).unwrap();
        !plan.created().is_empty()
    };
    let names: Vec<String> = names.filter(creates).collect();
    println!("{} streams", names.len());
    assert!(names.len() >= fixtures::either(59, 17), "{names:?}");
    names
});

type Once = Arc<OnceLock<Result<Arc<Stream>, String>>>;

/// The stream of a set, read once.
fn stream(name: &str) -> Result<Arc<Stream>, String> {
    static STREAMS: LazyLock<Mutex<HashMap<String, Once>>> = LazyLock::new(Mutex::default);
    let once = Arc::clone(STREAMS.lock().unwrap().entry(name.to_owned()).or_default());
    let read = once.get_or_init(|| Stream::read(&fixtures::engine_set(name)).map(Arc::new));
    read.clone().map_err(|error| format!("{name}: {error}"))
}

impl Stream {
    fn read(set: &Path) -> Result<Self, String> {
        let state = set.join("state");
        let files = StreamFiles::find(&state, None).map_err(|error| error.to_string())?;
        let mut databases: Vec<PathBuf> = fixtures::files_below(&state)
            .into_iter()
            .filter(|path| DatabaseFile::open(path).is_ok())
            .collect();
        databases.sort();
        let whole = plan(&files, None, &[], &Until::default(), &()).map_err(words)?;
        let events = committed(&files, &[])?;
        let rows = events.iter().find(|event| event.operation.is_of_row());
        let first = rows.ok_or("no changes")?.ended;
        let (mut records, mut times) = (Vec::new(), BTreeSet::new());
        let mut all = LogStream::new(files.clone()).records(Generation(0));
        while let Some(raw) = all.next_record().map_err(|error| error.to_string())? {
            let lgpos = raw.lgpos;
            if lgpos < first {
                continue;
            }
            records.push(lgpos);
            let image = all.image().expect("a record is of a log");
            times.extend(ese_log::time_of(image, lgpos).timestamp());
        }
        let page_size = whole.page_size().ok_or("no page size")?;
        Ok(Stream {
            files,
            page_size,
            records,
            // The first one may have begun before the first row.
            times: times.into_iter().skip(1).collect(),
            events,
            databases,
        })
    }

    fn moment(&self, random: &mut Random) -> Moment {
        let record = self.records[random.below(self.records.len())];
        match random.below(6) {
            0 => Moment::Generation(record.generation),
            1 if !self.times.is_empty() => Moment::Time(self.times[random.below(self.times.len())]),
            _ => Moment::Lgpos(record),
        }
    }

    /// The rows at a moment: from the logs alone, and where a file of the set can be shown then, also from that.
    fn rows_at(
        &self,
        moment: Moment,
        random: &mut Random,
        figures: &mut Figures,
    ) -> Result<Shown, String> {
        let shown = self.of_logs(moment)?;
        if !self.databases.is_empty() {
            let path = &self.databases[random.below(self.databases.len())];
            if let Some(file) = self.of_file(path, moment, figures)? {
                let (name, file) = file;
                let mut own = shown.rows.clone();
                own.retain(|(database, _, _), _| *database == name);
                let same = same(&file.rows, &own);
                same.map_err(|what| format!("{}: {what} of the logs alone", path.display()))?;
                if file.at != shown.at {
                    return Err(format!("{}: shown as of {}", path.display(), file.at));
                }
                figures.from_files += 1;
            }
        }
        Ok(shown)
    }

    fn of_logs(&self, moment: Moment) -> Result<Shown, String> {
        let plan = plan(&self.files, None, &[], &moment.until(), &()).map_err(words)?;
        let created = plan.created();
        let names: HashMap<_, _> = created
            .iter()
            .map(|one| (one.signature, name_of(&one.path)))
            .collect();
        let empty = created.iter().map(|one| EmptyFile {
            signature: one.signature,
            file: NewDatabase {
                file: Box::new(MemoryFile::new()),
                page_size: self.page_size,
                cache_pages: usize::MAX,
            },
        });
        let options = RecoverOptions {
            lossy: true,
            ..RecoverOptions::default()
        };
        let recovered = recovery::recover(&plan, Vec::new(), empty.collect(), options, &());
        let recovered = recovered.map_err(words)?;
        let mut shown = Shown::at(recovered.summary.last_record);
        for database in recovered.databases {
            let name = &names[&database.signature()];
            read_rows(&mut shown, name, &open(database))?;
        }
        Ok(shown)
    }

    /// The rows of a file as of a moment, and the name of its database in the logs; none if it is refused with reason.
    fn of_file(
        &self,
        path: &Path,
        moment: Moment,
        figures: &mut Figures,
    ) -> Result<Option<(String, Shown)>, String> {
        let file = DatabaseFile::open(path).map_err(words)?;
        let options = view_options(moment);
        let (view, recovery) = match RecoveredView::after_recovery(&file, &self.files, options, &())
        {
            Ok(seen) => seen,
            Err(ViewError::AsOf(
                AsOfError::BeforeRequired {
                    earliest: place, ..
                }
                | AsOfError::BeforeConsistent {
                    consistent: place, ..
                },
            )) => {
                let earlier = match moment.time() {
                    Some(time) => Some(time) < place.logged.from.timestamp(),
                    None => moment.first() < Some(place.lgpos),
                };
                figures.refused += 1;
                return match earlier {
                    true => Ok(None),
                    false => Err(format!("{}: refused before {place}", path.display())),
                };
            }
            // Logs that a database knows of are missing: what else was logged in their last segment, nobody knows.
            Err(ViewError::Recovery(RecoveryError::Refused(_)))
                if moment
                    .time()
                    .is_some_and(|time| Some(&time) >= self.times.last()) =>
            {
                figures.refused += 1;
                return Ok(None);
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let whole = plan(&self.files, None, &[], &Until::default(), &()).map_err(words)?;
        let mut created = whole.created().iter();
        let own = created.find(|one| one.signature == file.header.signature);
        let Some(own) = own else {
            return Ok(None);
        };
        let name = name_of(&own.path);
        let as_of = recovery.as_of.expect("a moment was asked for");
        let mut shown = Shown::at(as_of.place.lgpos);
        read_rows(&mut shown, &name, &Database::new(view))?;
        Ok(Some((name, shown)))
    }
}

/// What a timeline tells of what committed, for these databases or those that the logs create.
fn committed(files: &StreamFiles, databases: &[DatabaseFile]) -> Result<Vec<Event>, String> {
    let sink = Sink::default();
    let options = TimelineOptions {
        older: Vec::new(),
        filter: Filter::default(),
        long_values: LongValues {
            inline_limit: usize::MAX,
            blobs: None,
        },
        pages: None,
        order: Order::Commit,
        memory: usize::MAX,
        only_count: false,
    };
    let to = Box::new(sink.clone());
    let told = tell(files, databases, 64 << 20, options, to, &());
    let told = told.map_err(|error| error.to_string())?;
    if let Some(problem) = told.problem {
        return Err(problem.to_string());
    }
    let events = std::mem::take(&mut *sink.0.lock().unwrap());
    events.into_iter().collect()
}

fn view_options(moment: Moment) -> ViewOptions {
    ViewOptions {
        memory: 64 << 20,
        ignore_missing: true,
        as_of: Some(moment),
    }
}

impl Shown {
    /// Nothing yet.
    fn at(at: Lgpos) -> Self {
        Shown {
            at,
            rows: Rows::new(),
            added_to: BTreeMap::new(),
        }
    }
}

/// A recovered database, opened for reading.
fn open(database: RecoveredDatabase) -> Database {
    let header = database.header().clone();
    let pages = database.into_pages();
    let (size, last) = (pages.size().as_usize(), pages.last());
    let mut file = vec![0; (last.0 as usize + 2) * size];
    let (headers, rest) = file.split_at_mut(2 * size);
    for copy in headers.chunks_exact_mut(size) {
        seal_header(&header, copy);
    }
    let mut written: Box<dyn PageFile> = pages.finish().unwrap();
    for (pgno, page) in (1..).map(Pgno).zip(rest.chunks_exact_mut(size)) {
        written.read_page(pgno, page).unwrap();
    }
    assert!(HeaderCopies::read(&file).good().is_some());
    Database::new(MemorySource::new(file).unwrap())
}

/// Rows of all tables of users, as `edbtool rows` gives them, by their bookmarks.
fn read_rows(shown: &mut Shown, name: &str, database: &Database) -> Result<(), String> {
    let catalog = database.catalog().map_err(words)?;
    if !catalog.losses.is_empty() {
        return Err(format!("{:?}", catalog.losses));
    }
    let own = |table: &&Table| !table.is_system() && !table.name.starts_with("MSys");
    for table in catalog.tables.iter().filter(own) {
        let text = Shared::default();
        let selection = Selection {
            table: table.name.clone(),
            columns: Vec::new(),
            conditions: Vec::new(),
            limit: None,
            inline_limit: usize::MAX,
            deleted: false,
            decoded: false,
        };
        let form = Form::File(Format::Jsonl);
        let given = look(database, &selection, form, Box::new(text.clone()), &());
        let given = given.map_err(words)?;
        if !given.is_complete() {
            return Err(format!("{}: {:?}", table.name, given.losses));
        }
        let reader = TableReader::new(database, table);
        let mut rows = reader.rows();
        let mut keys = Vec::new();
        for row in &mut rows {
            keys.push(hex::encode(row.fields().map_err(words)?.key()));
        }
        let text = text.0.lock().unwrap();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        if lines.len() != keys.len() + 1 {
            return Err(format!(
                "{}: {} lines of {} rows",
                table.name,
                lines.len(),
                keys.len()
            ));
        }
        for (key, line) in keys.into_iter().zip(lines) {
            let row = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            let place = (name.to_owned(), table.name.clone(), key);
            shown.rows.insert(place, plain(row));
        }
        let added_to = table.columns.iter();
        let added_to = added_to.filter(|column| column.flags.contains(ColumnFlags::ESCROW));
        let added_to = added_to.map(|column| (column.name.clone(), column.column_type));
        let place = (name.to_owned(), table.name.clone());
        shown.added_to.insert(place, added_to.collect());
    }
    Ok(())
}

/// A row in which a list of one value is that value: an export makes lists of all columns that may have several.
fn plain(row: Columns) -> Columns {
    let plain = |value: Json| match value {
        Json::Array(values) if values.len() == 1 => values.into_iter().next().unwrap_or_default(),
        value => value,
    };
    let columns = row.into_iter();
    columns.map(|(name, value)| (name, plain(value))).collect()
}

fn name_of(logged: &str) -> String {
    logged
        .rsplit(['\\', '/'])
        .next()
        .unwrap_or(logged)
        .to_owned()
}

fn words(error: impl Explain) -> String {
    error.to_string()
}

/// Keeps what is written to it.
#[derive(Debug, Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the changes of rows that committed, and tables that were dropped.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<Result<Event, String>>>>);

impl ChangeSink for Sink {
    fn change(&mut self, change: &Change<'_>) -> io::Result<()> {
        let event = change.event;
        let is_drop = event.operation == Operation::DropTable;
        if change.status == Status::Committed && (is_drop || event.operation.is_of_row()) {
            self.0.lock().unwrap().push(kept(change));
        }
        Ok(())
    }
}

fn kept(change: &Change<'_>) -> Result<Event, String> {
    let event = change.event;
    let row = |image: &ese_timeline::RowImage| match image.state {
        RowState::Absent => Ok(None),
        RowState::Complete => serde_json::from_str(&image.json)
            .map(|row| Some(plain(row)))
            .map_err(|error| error.to_string()),
        state => Err(format!("{}: a row is {}", event.lgpos, state.name())),
    };
    let bookmark = match event.operation {
        Operation::DropTable => "",
        _ => &hex::encode(event.bookmark.as_ref().ok_or("no bookmark")?),
    };
    Ok(Event {
        ended: change.ended.ok_or("no end")?,
        lgpos: event.lgpos,
        operation: event.operation,
        place: (
            change.database.name.clone(),
            change.table.name.clone(),
            bookmark.to_owned(),
        ),
        before: row(&event.before)?,
        after: row(&event.after)?,
    })
}
