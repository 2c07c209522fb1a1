//! The case: the rows of all databases that a search found, as one dataset.
//!
//! ```text
//! search       what there is, and which logs belong to which database      (find)
//! identify     SHA-256 of each database, and of the logs that it needs
//! open         as recovery leaves it, in memory, or as it lies
//! write        its tables to files of work, which get their names when all of them are whole
//! account      manifest.json: what was read, in which state, by whom, and what is missing
//! ```
//!
//! Databases are taken in order, some at the same time, and each is read by one thread, or a large one by all.
//! States of one database come first, together. A database that equals an earlier one, and whose logs do, too, is not read again. To know that, whoever has digested one waits
//! for the digests of those before it, which are under way on other threads or done: so which of two equal ones is read does not
//! depend on how many threads there are, nor on when a run was stopped.
//!
//! Invariant: the files of the dataset depend on the sources and the options alone. Clocks and threads show in the manifest only.

mod claims;
mod database;
mod error;
mod folder;
mod kept;
mod names;
mod problems;
mod record;
mod sources;
mod states;

pub use error::CollectError;
pub use record::{
    CaseManifest, CaseTable, CaseTotals, ColumnRecord, DatabaseRecord, FileRecord, HostFrom,
    PartRecord, ProblemRecord, ReadState, RunRecord, SearchRecord, StreamRecord, TableRecord,
};

use crate::find::{Content, Found, FoundDatabase, FoundFile};
use claims::Claims;
use database::Collector;
use ese_export::blobs::Blobs;
use ese_export::{ExportError, Format};
use ese_format::Progress;
use folder::CaseFolder;
use jiff::Timestamp;
use problems::{ProblemPart, What};
use record::CaseIdentity;
use states::AllStates;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use target_disk::SharedDisk;

/// Databases of so many bytes are read by all threads.
const LARGE: u64 = 256 << 20;

/// How a case is made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CollectOptions {
    /// The folder of the case.
    pub to: PathBuf,
    /// The paths that were searched.
    pub paths: Vec<PathBuf>,
    /// The format of the dataset.
    pub format: Format,
    /// Long values of more bytes than this, as stored, become files.
    pub inline_limit: usize,
    /// Also give rows that are deleted but still in their pages.
    pub deleted: bool,
    /// Whether the shadow copies of volumes were searched, too.
    pub shadow_copies: bool,
    /// Replace a case that is in the folder.
    pub force: bool,
    /// Threads that work at the same time.
    pub threads: usize,
    /// At most so many bytes of pages that recoveries change stay in memory, all together.
    pub memory: usize,
    /// The version of the program: another one may write other rows.
    pub version: &'static str,
}

impl CollectOptions {
    /// The usual way to make a case of what is in `paths`.
    pub fn new(paths: Vec<PathBuf>, to: PathBuf, version: &'static str) -> Self {
        CollectOptions {
            to,
            paths,
            format: Format::Parquet,
            inline_limit: ese_export::INLINE_LIMIT,
            deleted: false,
            shadow_copies: true,
            force: false,
            threads: 1,
            memory: 256 << 20,
            version,
        }
    }
}

/// A case that was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Collected {
    /// The account, as it is in the folder.
    pub manifest: CaseManifest,
    /// Databases that were done by earlier runs.
    pub from_before: u64,
}

/// Whether a case can be made in this folder: not within what is collected, where it would be evidence itself.
pub fn refuse_within(to: &Path, paths: &[PathBuf]) -> Result<(), CollectError> {
    let there = to.ancestors().find_map(|path| {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        path.canonicalize().ok()
    });
    for path in paths.iter().filter(|path| !evidence::is_elsewhere(path)) {
        let (Some(there), Ok(given)) = (&there, path.canonicalize()) else {
            continue;
        };
        if given.is_dir() && there.starts_with(&given) {
            return Err(CollectError::WithinSource {
                path: to.to_owned(),
                within: path.clone(),
            });
        }
    }
    Ok(())
}

/// Makes a case of what was found, or goes on with it. `progress` is told of the bytes of databases.
pub fn collect(
    found: &Found,
    options: &CollectOptions,
    run: RunRecord,
    disk: &SharedDisk,
    progress: &dyn Progress,
) -> Result<Collected, CollectError> {
    refuse_within(&options.to, &options.paths)?;
    let databases: Vec<&FoundDatabase> =
        found.databases.iter().filter(|one| has_rows(one)).collect();
    if databases.is_empty() {
        return Err(CollectError::Nothing);
    }
    let databases = states::in_order(databases);
    let states = AllStates::of(&databases);
    let mut begun: Vec<DatabaseRecord> = Vec::new();
    for (number, found) in databases.iter().enumerate() {
        let series = states.states_of(number);
        begun.push(DatabaseRecord {
            series: series.map(|(states, _)| states.name.clone()),
            ..DatabaseRecord::begin(found)
        });
    }
    let of = identity(options);
    let search = search_record(found);
    let mut case = CaseFolder::open(disk, &options.to, &of, options.force)?;
    case.keep(&begun, progress)?;
    let is_done = begun
        .iter()
        .all(|record| case.known.contains_key(&record.id));
    let ended = case.ended.take();
    if let Some(ended) = ended.filter(|ended| is_done && ended.search == search) {
        case.leave()?;
        let blobs = Blobs::synced(disk.clone(), &options.to, true)?;
        let known = begun.iter().filter_map(|record| case.known.get(&record.id));
        let records = in_order_of_search(found, known.cloned().collect());
        return Ok(Collected {
            from_before: records.len() as u64,
            manifest: Account {
                of,
                finished: ended.finished,
                databases: records,
                own_parts: ended.own_parts,
                search,
            }
            .manifest(&case, &blobs),
        });
    }
    case.begin(&of, run)?;
    let blobs = Blobs::synced(disk.clone(), &options.to, true)?;
    let total = begun.iter().map(|record| record.bytes).sum();
    let known = begun
        .iter()
        .filter(|record| case.known.contains_key(&record.id));
    progress.begin(total, known.map(|record| record.bytes).sum());
    let from_before = case.known.len() as u64;
    let mut records = {
        let work = Work {
            found: &databases,
            claims: Claims::new(&begun, &case.known),
            begun: &begun,
            next: AtomicUsize::new(0),
            collector: Collector {
                case: &case,
                blobs: &blobs,
                options,
                progress,
                found: &databases,
                states,
            },
        };
        work.run()?
    };
    give_way(&mut records, &begun);
    let account = Account {
        of,
        finished: Timestamp::now(),
        databases: in_order_of_search(found, records),
        own_parts: Vec::new(),
        search,
    };
    Ok(Collected {
        manifest: account.finish(&case, options.format, &blobs)?,
        from_before,
    })
}

/// What the search says of what is no database with rows.
fn search_record(found: &Found) -> SearchRecord {
    let display = |file: &FoundFile| file.path.display().to_string();
    let streams = found.streams.iter().map(|stream| StreamRecord {
        logs: stream.logs.iter().map(display).collect(),
        databases: stream.databases.clone(),
    });
    let without_rows = found.databases.iter().filter(|found| !has_rows(found));
    let others = found
        .others
        .iter()
        .chain(without_rows.map(|found| &found.file));
    SearchRecord {
        search_problems: found.problems.iter().map(ProblemRecord::found).collect(),
        streams: streams.collect(),
        others: others.map(display).collect(),
    }
}

fn in_order_of_search(found: &Found, records: Vec<DatabaseRecord>) -> Vec<DatabaseRecord> {
    let ids = records
        .into_iter()
        .map(|record| (record.id.clone(), record));
    let mut records: BTreeMap<String, DatabaseRecord> = ids.collect();
    let order = found
        .databases
        .iter()
        .map(|found| names::id_of(&found.file.path));
    order.filter_map(|id| records.remove(&id)).collect()
}

/// A database that an earlier run has read, and that equals one of a series which is new, does as if that had been there before.
fn give_way(records: &mut [DatabaseRecord], begun: &[DatabaseRecord]) {
    let mut of_series: BTreeMap<String, String> = BTreeMap::new();
    for record in records.iter() {
        if let (Some(_), None, Some(content)) = (&record.series, &record.same_as, &record.content) {
            let first = of_series.entry(content.clone());
            first.or_insert_with(|| record.source.clone());
        }
    }
    for (record, begun) in records.iter_mut().zip(begun) {
        let content = record.content.as_ref().filter(|_| record.series.is_none());
        if let Some(first) = content.and_then(|content| of_series.get(content)) {
            *record = record.clone().giving_way(begun.clone(), first);
        }
    }
}

/// Whether there may be rows in it: a temporary database and a streaming file have none that last.
fn has_rows(found: &FoundDatabase) -> bool {
    let Content::Database(look) = &found.file.content else {
        return false;
    };
    let header = look.header.as_ref();
    header.is_none_or(|header| !header.is_temporary() && !header.is_streaming_file())
}

fn identity(options: &CollectOptions) -> serde_json::Value {
    let paths = options.paths.iter();
    let identity = CaseIdentity {
        version: options.version,
        paths: paths
            .map(|path| evidence::shown(path).display().to_string())
            .collect(),
        format: options.format,
        inline_limit: options.inline_limit,
        deleted: options.deleted,
        shadow_copies: options.shadow_copies,
    };
    serde_json::to_value(identity).unwrap_or_default()
}

/// The databases, on their way to be records.
struct Work<'w> {
    found: &'w [&'w FoundDatabase],
    begun: &'w [DatabaseRecord],
    claims: Claims,
    next: AtomicUsize,
    collector: Collector<'w>,
}

impl Work<'_> {
    /// All records, in the order of the search. The first error ends it.
    fn run(self) -> Result<Vec<DatabaseRecord>, CollectError> {
        let count = self.found.len();
        let records: Mutex<BTreeMap<usize, DatabaseRecord>> = Mutex::default();
        let failed = Mutex::new(None);
        let work = || {
            let _guard = self.claims.guard();
            loop {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                if number >= count || self.claims.is_over() {
                    return;
                }
                match self.one(number) {
                    Ok(record) => {
                        let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
                        records.insert(number, record);
                    }
                    Err(error) => {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.get_or_insert(error);
                        self.claims.end();
                    }
                }
            }
        };
        let threads = self.collector.options.threads.clamp(1, count.max(1));
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => {
                let records = records.into_inner();
                Ok(records
                    .unwrap_or_else(PoisonError::into_inner)
                    .into_values()
                    .collect())
            }
        }
    }

    fn one(&self, number: usize) -> Result<DatabaseRecord, CollectError> {
        let record = self.read(number);
        self.collector.states.done(number);
        record
    }

    fn read(&self, number: usize) -> Result<DatabaseRecord, CollectError> {
        let collector = &self.collector;
        if let Some(known) = collector.case.known.get(&self.begun[number].id) {
            return Ok(known.clone());
        }
        if collector.progress.should_stop() {
            return Err(ExportError::Stopped.into());
        }
        let found = self.found[number];
        let mut record = self.begun[number].clone();
        let identified = collector.identify(found, &mut record, collector.progress);
        // Whatever came of it, others may wait for it.
        let first = self.claims.claim(number, record.content.as_deref());
        // Held until its tables are written.
        let _source = identified?;
        let mut layouts = BTreeMap::new();
        match first {
            Some(first) => record.same_as = Some(first),
            None if self.claims.is_over() => return Err(ExportError::Stopped.into()),
            None => layouts = collector.collect(number, &mut record, self.threads(number))?,
        }
        collector.case.note(&record, layouts)?;
        Ok(record)
    }

    /// How many threads may read this database.
    fn threads(&self, number: usize) -> usize {
        let threads = self.collector.options.threads;
        let is_last = number + 1 == self.found.len();
        match self.begun[number].bytes >= LARGE || is_last {
            true => threads,
            false => 1,
        }
    }
}

/// What a manifest is made of.
struct Account {
    of: serde_json::Value,
    finished: Timestamp,
    databases: Vec<DatabaseRecord>,
    own_parts: Vec<PartRecord>,
    search: SearchRecord,
}

impl Account {
    /// Writes what is of all databases, and makes the case one.
    fn finish(
        mut self,
        case: &CaseFolder,
        format: Format,
        blobs: &Blobs,
    ) -> Result<CaseManifest, CollectError> {
        take_states(&mut self.databases);
        self.own_parts = sources::write(case, format, &self.databases)?;
        let mut part = ProblemPart::of_search(case, format);
        for problem in &self.search.search_problems {
            part.about(&problem.path);
            part.row(What::Search, problem.into())?;
        }
        if let Some((work, part)) = part.finish()? {
            case.publish(&work, &part.file)?;
            self.own_parts.push(part);
        }
        let manifest = self.manifest(case, blobs);
        let parts = manifest.databases.iter().flat_map(DatabaseRecord::parts);
        case.finish(&manifest, parts.chain(&manifest.own_parts))?;
        Ok(manifest)
    }

    fn manifest(self, case: &CaseFolder, blobs: &Blobs) -> CaseManifest {
        let layouts = case.layouts();
        let (blob_files, blob_bytes) = blobs.totals();
        CaseManifest {
            schema: CaseManifest::SCHEMA,
            of: self.of,
            runs: case.runs.clone(),
            finished: self.finished,
            totals: totals(&self.databases, &self.own_parts),
            tables: tables(&self.databases, &layouts),
            layouts,
            search: self.search,
            own_parts: self.own_parts,
            databases: self.databases,
            blob_files,
            blob_bytes,
        }
    }
}

/// One that equals another was in the state in which that was read.
fn take_states(databases: &mut [DatabaseRecord]) {
    let states: BTreeMap<String, ReadState> = databases
        .iter()
        .map(|record| (record.source.clone(), record.state))
        .collect();
    for record in databases {
        if let Some(state) = record.same_as.as_ref().and_then(|same| states.get(same)) {
            record.state = *state;
        }
    }
}

fn totals(databases: &[DatabaseRecord], own_parts: &[PartRecord]) -> CaseTotals {
    let mut totals = CaseTotals {
        databases: databases.len() as u64,
        ..CaseTotals::default()
    };
    for record in databases {
        let problems = record.problems.as_ref();
        totals.problems += problems.map_or(0, |part| part.rows);
        if record.same_as.is_some() {
            totals.equal_to_others += 1;
            continue;
        }
        totals.bytes += record.bytes;
        match record.failure {
            Some(_) => totals.failed += 1,
            None => totals.collected += 1,
        }
        totals.recovered += u64::from(record.state == ReadState::Recovered);
        totals.dirty += u64::from(record.state == ReadState::Dirty);
        totals.tables += record.tables.len() as u64;
        totals.rows += record.rows;
        totals.rows_lost += record.rows_lost;
        totals.values_lost += record.values_lost;
        totals.pages_lost += record.pages_lost;
    }
    let of_search = own_parts.iter().filter(|part| {
        part.file
            .starts_with(&format!("table={}/", names::PROBLEMS))
    });
    totals.problems += of_search.map(|part| part.rows).sum::<u64>();
    totals
}

/// The tables of the dataset, and in which columns their parts differ.
fn tables(
    databases: &[DatabaseRecord],
    layouts: &BTreeMap<String, Vec<ColumnRecord>>,
) -> Vec<CaseTable> {
    struct Sum<'s> {
        parts: u64,
        rows: u64,
        layouts: BTreeSet<&'s str>,
    }
    let mut sums: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    for table in databases.iter().flat_map(|record| &record.tables) {
        let sum = sums.entry(&table.table).or_insert(Sum {
            parts: 0,
            rows: 0,
            layouts: BTreeSet::new(),
        });
        sum.parts += 1;
        sum.rows += table.part.rows;
        sum.layouts.insert(&table.layout);
    }
    let sums = sums.into_iter().map(|(table, sum)| {
        let mut types: BTreeMap<String, BTreeSet<(Option<&str>, bool)>> = BTreeMap::new();
        let columns = sum.layouts.iter().filter_map(|name| layouts.get(*name));
        for column in columns.flatten() {
            let known = types.entry(column.name.to_lowercase()).or_default();
            known.insert((column.column_type.as_deref(), column.list));
        }
        let differ = types.into_iter().filter(|(_, types)| types.len() > 1);
        CaseTable {
            table: table.to_owned(),
            parts: sum.parts,
            rows: sum.rows,
            layouts: sum.layouts.iter().map(|name| (*name).to_owned()).collect(),
            types_differ: differ.map(|(name, _)| name).collect(),
        }
    });
    sums.collect()
}
