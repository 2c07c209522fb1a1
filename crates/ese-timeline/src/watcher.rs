//! Follows a redo and makes changes of rows of what it does to nodes.
//!
//! ```text
//! record of a node ─ tree? ─┬─ rows of a table   before and after, decoded with the catalog as it is now   -> event
//!                           ├─ long values       what was there before is kept until the row that owns it comes
//!                           ├─ catalog           an event of the schema; the catalog is read anew
//!                           └─ anything else     nothing: rows say what indexes hold
//! end of a transaction ──── its events wait until the time of the next segment is known, then they are told
//! ```
//!
//! The engine writes the pieces of a long value before the record that refers to them. So when a row changes, its long
//! values are in their tree as they are after the change; what they were before is what the session has overwritten since
//! its last row. A long value is given only if no leaf that holds it is newer than the record at hand.

mod ddl;
mod telling;

use crate::change::RowChange;
use crate::escrow::Escrow;
use crate::event::{Event, Operation, RowImage, SourceDatabase, SourceLog, TimeSource};
use crate::filter::Filter;
use crate::layout::{LongValue, LongValues, RowText, TableLayout};
use crate::long_values::{Overwritten, fetch};
use crate::masked::Masked;
use crate::schema::{Role, Schema};
use crate::sink::ChangeSink;
use crate::store::{Kept, Store};
use crate::summary::TimelineSummary;
use crate::told::TellError;
use crate::transactions::{End, Ended, Open, Transaction};
use crate::trees::Trees;
use ese_format::log::Layout;
use ese_format::record::Record;
use ese_format::{Generation, Lgpos, LogTime, ObjId, ProcId, Signature, hex};
use ese_log::transactions::TransactionStep;
use ese_log::{LogImage, LogObserver};
use ese_replay::recovery::DatabaseFile;
use ese_replay::redo::{Interest, NodeChange, NodeChangeKind, RedoObserver};
use ese_replay::{Problem, ReplayDatabase};
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use telling::Telling;

/// An order of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Transactions in the order in which they ended, each as a whole.
    Commit,
    /// As the log has them.
    Log,
}

/// What is asked of a timeline.
#[derive(Debug)]
pub struct TimelineOptions {
    /// Which changes are wanted.
    pub filter: Filter,
    /// What becomes of long values.
    pub long_values: LongValues,
    /// Older copies of the databases, whose pages say what was in them then. Only the way back needs them.
    pub older: Vec<DatabaseFile>,
    /// A folder for the page before and after each change that is told. Only what redo does has pages.
    pub pages: Option<PathBuf>,
    /// The order in which changes are told.
    pub order: Order,
    /// Bytes of events that wait for the end of their transaction in memory.
    pub memory: usize,
    /// Count only: no rows are made.
    pub only_count: bool,
}

impl Default for TimelineOptions {
    /// Everything, in the order of commits.
    fn default() -> Self {
        TimelineOptions {
            filter: Filter::default(),
            long_values: LongValues::default(),
            older: Vec::new(),
            pages: None,
            order: Order::Commit,
            memory: 128 << 20,
            only_count: false,
        }
    }
}

/// Hashes of logs, made by whoever reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hashes(Arc<Mutex<FxHashMap<PathBuf, String>>>);

impl Hashes {
    /// What makes them.
    pub(crate) fn observer(&self) -> LogObserver {
        let own = self.clone();
        Box::new(move |path, bytes| {
            let hash = hex::encode(Sha256::digest(bytes));
            own.lock().insert(path.to_owned(), hash);
        })
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<PathBuf, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, image: &LogImage) -> String {
        self.lock().remove(&image.path).unwrap_or_default()
    }
}

/// A timeline that is being made.
pub(crate) struct Timeline {
    options: TimelineOptions,
    sink: Box<dyn ChangeSink>,
    /// Only changes of the databases with these signatures are told; without any, of all.
    wanted: Vec<Signature>,
    databases: Vec<SourceDatabase>,
    /// Changes that were made after one whose transaction goes on, in the order of the log.
    waiting: BTreeMap<Lgpos, (Kept, Telling)>,
    layouts: Vec<TableLayout>,
    logs: Vec<SourceLog>,
    schemas: BTreeMap<u8, Schema>,
    open: Open,
    store: Store,
    /// What sessions have overwritten of long values since their last row.
    overwritten: FxHashMap<ProcId, Overwritten>,
    escrow: Escrow,
    hashes: Hashes,
    /// Changes of trees that the catalog does not know (yet).
    unknown_trees: FxHashMap<(u8, ObjId), u64>,
    /// Transactions that ended, until the time of the next segment is known.
    ended: VecDeque<Ended>,
    /// When segments began, by their first record.
    segments: BTreeMap<(u32, u16), LogTime>,
    times: TimeSource,
    lgpos: Lgpos,
    /// The log at hand.
    generation: Option<Generation>,
    /// The first error of the sink or the store; nothing is told after it.
    pub(crate) failure: Option<TellError>,
    pub(crate) summary: TimelineSummary,
}

impl Timeline {
    pub(crate) fn new(
        options: TimelineOptions,
        wanted: &[Signature],
        sink: Box<dyn ChangeSink>,
        hashes: Hashes,
    ) -> Self {
        Timeline {
            store: Store::new(options.memory),
            options,
            sink,
            wanted: wanted.to_vec(),
            databases: Vec::new(),
            waiting: BTreeMap::new(),
            layouts: Vec::new(),
            logs: Vec::new(),
            schemas: BTreeMap::new(),
            open: Open::default(),
            overwritten: FxHashMap::default(),
            escrow: Escrow::default(),
            hashes,
            unknown_trees: FxHashMap::default(),
            ended: VecDeque::new(),
            segments: BTreeMap::new(),
            times: TimeSource::Segments,
            lgpos: Lgpos::NULL,
            generation: None,
            failure: None,
            summary: TimelineSummary::default(),
        }
    }

    /// Ends it: what is open is told as such, or if the logs should go on, as of an end that is not known.
    pub(crate) fn finish(&mut self, is_cut: bool) -> Result<TimelineSummary, TellError> {
        self.end_all(if is_cut { End::NotKnown } else { End::Open });
        self.tell_ended();
        // Those of which the catalog came to know later are indexes and tables of the engine, made with the database.
        let known = |(dbid, objid): &(u8, ObjId)| {
            let schema = self.schemas.get(dbid);
            schema.is_some_and(|schema| schema.role(*objid).is_some())
        };
        self.unknown_trees.retain(|tree, _| !known(tree));
        self.summary.of_unknown_trees = self.unknown_trees.values().sum();
        for schema in std::mem::take(&mut self.schemas).into_values() {
            self.note_catalog(&schema);
        }
        self.summary.spilled_bytes = self.store.spilled;
        let filter = &self.options.filter;
        // Where no catalog was read, nobody knows which tables there are.
        if !self.layouts.is_empty() {
            (self.summary.tables_not_met, self.summary.columns_not_met) =
                filter.not_met(&self.layouts);
        }
        if let Err(error) = self.sink.finish() {
            self.failure.get_or_insert(error.into());
        }
        match self.failure.take() {
            Some(error) => Err(error),
            None => Ok(std::mem::take(&mut self.summary)),
        }
    }

    fn end_all(&mut self, end: End) {
        for transaction in self.open.take_all() {
            self.end(transaction, end);
        }
        self.overwritten.clear();
    }

    fn end(&mut self, transaction: Transaction, end: End) {
        self.escrow.end(transaction.session);
        if let Some(overwritten) = self.overwritten.remove(&transaction.session) {
            self.summary.long_values_without_row += overwritten.without_row();
        }
        if !transaction.is_silent() {
            self.ended.push_back(Ended { transaction, end });
        }
    }

    /// Records are missing here: what becomes of open transactions is not known.
    pub(crate) fn records_are_missing(&mut self) {
        self.end_all(End::NotKnown);
        self.escrow.forget();
    }

    fn follow(&mut self, lgpos: Lgpos, step: TransactionStep) {
        match step {
            TransactionStep::Begin {
                session,
                from,
                levels,
                trx,
            } => {
                let old = self.open.begin(session, (from, levels), trx, lgpos);
                // A session that begins anew has ended what it did before.
                if let Some(old) = old {
                    self.end(old, End::RolledBack(None));
                }
            }
            TransactionStep::Refresh { session, trx } => self.open.refresh(session, trx),
            TransactionStep::Commit { session, level } => {
                if let Some(ended) = self.open.commit(session, level) {
                    self.end(ended, End::Committed(lgpos));
                }
            }
            TransactionStep::Rollback { session, levels } => {
                if let Some(ended) = self.open.roll_back(session, levels) {
                    self.end(ended, End::RolledBack(Some(lgpos)));
                }
            }
            // What an instance leaves open, recovery rolls back.
            TransactionStep::EndAll => {
                self.end_all(End::RolledBack(None));
                self.escrow.end_all();
            }
        }
    }

    fn makes_rows(&self) -> bool {
        !self.options.only_count || self.options.filter.asks_for_rows()
    }

    /// The event of a change, apart from rows.
    fn event(&self, change: &RowChange<'_>, operation: Operation, layout: usize) -> Event {
        Event {
            lgpos: change.lgpos,
            operation,
            database: (self.schemas.get(&change.page.dbid)).map_or(0, |schema| schema.database),
            layout,
            log: self.logs.len().saturating_sub(1),
            session: change.page.procid,
            page: change.page.pgno,
            dbtime: change.page.dbtime,
            objid: change.node.objid,
            bytes: change.bytes,
            key: String::new(),
            bookmark: change.key.map(<[u8]>::to_vec),
            before: RowImage::default(),
            after: RowImage::default(),
            changed: Vec::new(),
            object: None,
        }
    }

    /// Keeps an event until its transaction ends; none says that nobody wants it.
    fn keep(&mut self, change: &RowChange<'_>, event: Option<Event>) {
        let filter = &self.options.filter;
        let event = event.filter(|event| {
            let layout = &self.layouts[event.layout];
            filter.takes(&layout.name, event.operation)
                && filter.takes_row(event.bookmark.as_deref(), &event.before, &event.after)
        });
        if event.is_some()
            && let Err(error) = self.save_pages(change)
        {
            self.failure.get_or_insert(error.into());
        }
        let kept = match event.map(|event| self.store.keep(event)).transpose() {
            Ok(kept) => kept,
            Err(error) => {
                self.failure.get_or_insert(error.into());
                None
            }
        };
        self.add(change, kept);
    }

    /// Writes the page before and after a change to files of their own, which must not be there.
    fn save_pages(&self, change: &RowChange<'_>) -> io::Result<()> {
        let (Some(folder), Some((before, after))) = (&self.options.pages, change.pages) else {
            return Ok(());
        };
        let (place, pgno) = (change.lgpos.to_string().replace(':', "-"), change.page.pgno);
        for (when, bytes) in [("before", before), ("after", after)] {
            let path = folder.join(format!("{place}-page-{pgno}-{when}.bin"));
            let file = fs::File::create_new(&path).and_then(|mut file| file.write_all(bytes));
            file.map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
        }
        Ok(())
    }

    fn add(&mut self, change: &RowChange<'_>, kept: Option<Kept>) {
        let page = &change.page;
        let transaction = self.open.of(page, change.lgpos);
        let rceid = match page.is_versioned() {
            true => change.node.rceid,
            false => 0,
        };
        transaction.add(rceid, page.level, kept);
    }

    /// A row of a table.
    fn row_changed(&mut self, change: &RowChange<'_>, layout: usize, database: &mut dyn Trees) {
        let operation = match change.kind {
            NodeChangeKind::Insert => Operation::Insert,
            // The engine also empties nodes that it keeps for their page.
            NodeChangeKind::Replace | NodeChangeKind::FlagDelete if change.was_deleted => return,
            NodeChangeKind::Replace => Operation::Update,
            NodeChangeKind::FlagDelete => Operation::Delete,
            // What was flagged as deleted before goes for good: nothing that was not told.
            NodeChangeKind::Remove if change.was_deleted || !change.is_current => return,
            NodeChangeKind::Remove => Operation::Delete,
            NodeChangeKind::Undo => {
                let (session, rceid) = (change.page.procid, change.node.rceid);
                self.escrow.undo(session, rceid);
                return self.open.undo(session, rceid);
            }
        };
        match change.added {
            None => self.tell_row(change, (operation, layout), database),
            Some(added) => {
                let seen = |data: &Masked| self.escrow.seen(change, data, added);
                let (before, after) = (change.before.map(seen), change.after.map(seen));
                let seen = RowChange {
                    before: before.as_ref(),
                    after: after.as_ref(),
                    ..*change
                };
                self.tell_row(&seen, (operation, layout), database);
                self.escrow.note(change, added);
            }
        }
    }

    fn tell_row(
        &mut self,
        change: &RowChange<'_>,
        (operation, layout): (Operation, usize),
        database: &mut dyn Trees,
    ) {
        let page = &change.page;
        let filter = &self.options.filter;
        if !filter.takes_place(change.lgpos, page)
            || !filter.takes(&self.layouts[layout].name, operation)
        {
            self.overwritten.remove(&page.procid);
            return self.add(change, None);
        }
        let mut event = self.event(change, operation, layout);
        if self.makes_rows() {
            self.read_rows(&mut event, change, layout, database);
        }
        self.overwritten.remove(&change.page.procid);
        self.keep(change, Some(event));
    }

    fn read_rows(
        &mut self,
        event: &mut Event,
        change: &RowChange<'_>,
        layout: usize,
        database: &mut dyn Trees,
    ) {
        let table = &self.layouts[layout];
        let overwritten = self.overwritten.get(&change.page.procid);
        let long_values = &self.options.long_values;
        let (is_current, dbtime) = (change.is_current, change.page.dbtime);
        let dbid = change.page.dbid;
        let mut read = |data: &Masked, earlier: Option<&Overwritten>| -> Result<RowText, String> {
            table.row(data, long_values, &mut |reference| match is_current {
                true => fetch(
                    (dbid, &mut *database),
                    table,
                    reference,
                    earlier,
                    dbtime,
                    long_values,
                ),
                // The tree is that of a later moment.
                false => LongValue::Unknown("the database has a later state already".into()),
            })
        };
        let nothing = Overwritten::default();
        let before = change.before.map(|data| {
            let earlier = overwritten.unwrap_or(&nothing);
            read(data, Some(earlier))
        });
        let after = change.after.map(|data| read(data, None));
        let row = |row: &Option<Result<RowText, String>>| match row {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(RowImage {
                unknown: vec![(String::new(), why.clone())],
                ..RowImage::unknown()
            }),
            None => Some(RowImage::unknown()),
        };
        let (no_before, no_after) = (row(&before), row(&after));
        let (before, after) = (before.and_then(Result::ok), after.and_then(Result::ok));
        if let (Some(before), Some(after)) = (&before, &after) {
            event.changed = table.changed(before, after);
        }
        event.key = match (&after, &before) {
            (Some(row), _) | (None, Some(row)) => table.key_of(row),
            (None, None) => String::new(),
        };
        let has_before = event.operation != Operation::Insert;
        let has_after = event.operation != Operation::Delete;
        if has_before {
            event.before =
                before.map_or_else(|| no_before.unwrap_or_default(), |row| table.image(row));
        }
        if has_after {
            event.after =
                after.map_or_else(|| no_after.unwrap_or_default(), |row| table.image(row));
        }
    }

    /// A node was changed; the database is as it is after the change.
    pub(crate) fn node_changed(&mut self, change: &RowChange<'_>, database: &mut dyn Trees) {
        let objid = change.node.objid;
        let Some(schema) = self.schemas.get_mut(&change.page.dbid) else {
            return;
        };
        if schema.role(objid) != Some(Role::Catalog) {
            schema.refresh(database, &mut self.layouts);
        }
        match schema.role(objid) {
            Some(Role::Catalog) => self.catalog_changed(change, database),
            Some(Role::Rows(layout)) => {
                if !self.layouts[layout].is_system || self.options.filter.with_system {
                    self.row_changed(change, layout, database);
                }
            }
            Some(Role::LongValues(_)) => {
                let overwritten = self.overwritten.entry(change.page.procid).or_default();
                overwritten.note(change);
            }
            Some(Role::Other) => {}
            None => {
                let tree = (change.page.dbid, objid);
                *self.unknown_trees.entry(tree).or_default() += 1;
            }
        }
    }

    /// A database has come under this number.
    pub(crate) fn name_database(&mut self, dbid: u8, path: &str) {
        let known = self.databases.iter().position(|known| known.path == path);
        let place = known.unwrap_or_else(|| {
            let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
            let mut shares_name = false;
            for other in self.databases.iter_mut().filter(|other| other.name == name) {
                (other.shares_name, shares_name) = (true, true);
            }
            self.databases.push(SourceDatabase {
                name: name.to_owned(),
                path: path.to_owned(),
                shares_name,
            });
            self.databases.len() - 1
        });
        let schema = self.schemas.get(&dbid);
        if schema.is_some_and(|schema| schema.database == place) {
            return;
        }
        if let Some(left) = self.schemas.insert(dbid, Schema::new(place)) {
            self.note_catalog(&left);
        }
    }

    /// Notes what was wrong with the catalog of a database of which nothing more comes.
    fn note_catalog(&mut self, schema: &Schema) {
        let problem = match (schema.problem(), schema.undecoded) {
            (Some(problem), _) => format!("it cannot be read, so rows are not told ({problem})"),
            (None, 0) => return,
            (None, undecoded) => format!(
                "{undecoded} of its records cannot be decoded: what they describe is not told"
            ),
        };
        let name = self.databases[schema.database].name.clone();
        self.summary.catalogs.push((name, problem));
    }
}

impl RedoObserver for Timeline {
    fn log_begins(&mut self, image: &LogImage) {
        let generation = image.header.generation;
        if let Some(last) = self.generation
            && last.next() != generation
        {
            let gap = (last.next(), generation.previous());
            self.summary.missing.push(gap);
            self.records_are_missing();
        }
        self.generation = Some(generation);
        let filter = &self.options.filter;
        let asks_for_times = filter.since_time.is_some() || filter.until_time.is_some();
        if asks_for_times && !image.header.created.is_utc() {
            self.failure.get_or_insert(TellError::LocalTimes);
        }
        let name = image.path.file_name().unwrap_or_default();
        self.logs.push(SourceLog {
            name: name.to_string_lossy().into_owned(),
            sha256: self.hashes.of(image),
        });
        self.times = match image.layout {
            Layout::Segments => TimeSource::Segments,
            Layout::ChecksumRecords => TimeSource::Logs,
        };
        self.summary.logs += 1;
        self.summary.log_bytes += image.bytes.len() as u64;
    }

    fn segment_begins(&mut self, lgpos: Lgpos, time: LogTime) {
        let last = self.segments.last_key_value();
        if last.is_none_or(|(_, last)| *last != time) {
            let key = (lgpos.generation.0, lgpos.segment);
            self.segments.insert(key, time);
            self.lgpos = lgpos;
            self.tell_ended();
        }
    }

    fn record(&mut self, lgpos: Lgpos, record: &Record<'_>) {
        self.lgpos = lgpos;
        self.summary.records += 1;
        if let Some(step) = TransactionStep::of(record) {
            self.follow(lgpos, step);
        }
    }

    fn asks_for_pages(&self) -> bool {
        self.options.pages.is_some()
    }

    fn wants(&self, dbid: u8, objid: ObjId) -> Interest {
        let Some(schema) = self.schemas.get(&dbid) else {
            return Interest::Nothing;
        };
        let with_system = self.options.filter.with_system;
        match schema.role(objid) {
            _ if !schema.wants(objid, with_system, &self.layouts) => Interest::Nothing,
            Some(Role::Rows(_) | Role::LongValues(_)) if !self.makes_rows() => {
                Interest::ThatItChanged
            }
            _ => Interest::Data,
        }
    }

    fn changed(
        &mut self,
        change: &NodeChange<'_>,
        database: &mut ReplayDatabase,
    ) -> Result<(), Problem> {
        let before = change.before.map(Masked::known);
        let after = change.after.map(Masked::known);
        let change = RowChange {
            lgpos: change.lgpos,
            page: change.page,
            node: change.node,
            kind: change.kind,
            added: change.added,
            bytes: change.bytes,
            is_current: change.is_applied,
            key: change.key,
            was_deleted: change.was_deleted,
            before: before.as_ref(),
            after: after.as_ref(),
            pages: change.pages,
        };
        self.node_changed(&change, database);
        Ok(())
    }

    fn attached(&mut self, dbid: u8, name: &str, database: &mut ReplayDatabase) {
        if !self.wanted.is_empty() && !self.wanted.contains(&database.header.signature) {
            self.schemas.remove(&dbid);
            return;
        }
        self.name_database(dbid, name);
    }
}
