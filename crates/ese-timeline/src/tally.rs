//! Changes of rows counted by table, from the records alone: no page is needed but those of a catalog.
//!
//! So it can be said what logs hold that no database can be brought forward with: what a recovery rolls back, what lies
//! after a log that is missing, what a server did that went another way.

use crate::change::operation_on_row;
use crate::event::Operation;
use crate::logs::{LogStep, Logs};
use crate::schema::read_catalog;
use crate::transactions::{Open, Transaction};
use ese_db::catalog::{CATALOG, Catalog, CatalogRecord};
use ese_format::page::PageSize;
use ese_format::record::{NodeOp, PageOp, Record};
use ese_format::{Dbtime, Lgpos, ObjId, ProcId, Progress};
use ese_log::StreamFile;
use ese_log::transactions::TransactionStep;
use ese_replay::ReplayDatabase;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// Changes of rows of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTally {
    /// The table.
    pub table: String,
    /// Rows that were inserted.
    pub inserted: u64,
    /// Changes of rows that stayed.
    pub updated: u64,
    /// Rows that were deleted.
    pub deleted: u64,
}

impl Display for TableTally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.inserted, "inserted"),
            (self.updated, "updated"),
            (self.deleted, "deleted"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        write!(f, "{} ({})", self.table, counts.join(", "))
    }
}

/// Changes of rows, by table. Tables of the engine are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The tables that changed.
    pub tables: Vec<TableTally>,
    /// Changes in tables of which no catalog has the name.
    pub of_unknown_tables: u64,
}

/// Changes of rows of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowTally {
    /// Of transactions that committed.
    pub committed: Tally,
    /// Of transactions that were open at the end, or before records that are missing.
    pub open: Tally,
    /// Why something is not in the counts, in sentences.
    pub problems: Vec<String>,
}

/// Counts what the logs in `files`, which are in order, hold of changes of rows of `database`: of transactions that ended
/// at `from` or later, or were open at `until`. The catalog is that of the database, with what the logs add to it.
pub fn tally(
    files: &[StreamFile],
    database: &mut ReplayDatabase,
    from: Lgpos,
    until: Option<Lgpos>,
    progress: &dyn Progress,
) -> RowTally {
    let header = &database.header;
    let mut logs = Logs::new(files, &[header.log_signature], None);
    let mut counter = Counter::new(from, database.pages.size());
    let mut problems = Vec::new();
    let signature = header.signature;
    while let Some(step) = logs.advance() {
        match step {
            LogStep::Broken(problem) => {
                problems.extend(problem.map(|problem| problem.to_string()));
                counter.records_are_missing();
            }
            LogStep::Log if progress.should_stop() => {
                problems.push("stopped as asked".to_owned());
                break;
            }
            LogStep::Log => {
                for attachment in logs
                    .image()
                    .iter()
                    .flat_map(|log| &log.header.attachments.databases)
                {
                    counter.names(attachment.dbid, attachment.database_signature == signature);
                }
            }
            LogStep::Record => {
                let Some(raw) = logs.current() else { break };
                if until.is_some_and(|until| raw.lgpos >= until) {
                    break;
                }
                match raw.decode() {
                    Ok(Record::CreateDb(create)) => {
                        counter.names(create.dbid, create.signature == signature);
                    }
                    Ok(Record::AttachDb(attach)) => {
                        counter.names(attach.dbid, attach.db_signature == signature);
                    }
                    Ok(record) => counter.record(raw.lgpos, &record),
                    Err(_) => counter.undecoded += 1,
                }
            }
        }
    }
    if counter.undecoded > 0 {
        let count = counter.undecoded;
        problems.push(format!("{count} records cannot be decoded"));
    }
    counter.records_are_missing();
    let mut records = counter.made;
    match read_catalog(database) {
        Ok(read) => records.extend(read.records.into_values()),
        Err(problem) => problems.push(format!("the catalog cannot be read: {problem}")),
    }
    let names = row_trees(records);
    let mut found = RowTally {
        problems,
        ..RowTally::default()
    };
    found.committed = by_table(&counter.committed, &names);
    found.open = by_table(&counter.open, &names);
    found
}

/// Names of tables by the trees of their rows; none for a tree that says nothing that rows do not.
fn row_trees(records: Vec<CatalogRecord>) -> FxHashMap<ObjId, Option<String>> {
    let mut names = FxHashMap::default();
    for table in Catalog::of_records(records).tables {
        let others = table.indexes.iter().map(|index| index.objid);
        let others = others.chain(table.long_values.map(|tree| tree.objid));
        names.extend(others.map(|objid| (objid, None)));
        let is_system = table.is_system() || table.name.starts_with("MSys");
        names.insert(table.objid, (!is_system).then_some(table.name));
    }
    names
}

type Counts = FxHashMap<ObjId, TableTally>;

fn by_table(counts: &Counts, names: &FxHashMap<ObjId, Option<String>>) -> Tally {
    let mut tables: BTreeMap<&str, TableTally> = BTreeMap::new();
    let mut of_unknown_tables = 0;
    for (objid, count) in counts {
        match names.get(objid) {
            Some(Some(name)) => {
                let table = tables.entry(name).or_default();
                table.table.clone_from(name);
                table.inserted += count.inserted;
                table.updated += count.updated;
                table.deleted += count.deleted;
            }
            Some(None) => {}
            None => of_unknown_tables += count.inserted + count.updated + count.deleted,
        }
    }
    Tally {
        tables: tables.into_values().collect(),
        of_unknown_tables,
    }
}

type Event = (ObjId, Operation);
/// A change, and the parts of its record that say which transaction it belongs to.
type Step = (PageOp, NodeOp, Event);

struct Counter {
    from: Lgpos,
    page_size: PageSize,
    /// The numbers that mean the database.
    numbers: FxHashSet<u8>,
    transactions: Open<Event>,
    /// Macro operations that did not commit yet, with what they do to rows.
    macros: FxHashMap<(ProcId, Dbtime), Vec<Step>>,
    committed: Counts,
    open: Counts,
    /// Records of the catalog that the logs add.
    made: Vec<CatalogRecord>,
    undecoded: u64,
}

impl Counter {
    fn new(from: Lgpos, page_size: PageSize) -> Self {
        Counter {
            from,
            page_size,
            numbers: FxHashSet::default(),
            transactions: Open::default(),
            macros: FxHashMap::default(),
            committed: Counts::default(),
            open: Counts::default(),
            made: Vec::new(),
            undecoded: 0,
        }
    }

    fn names(&mut self, dbid: u8, is_it: bool) {
        match is_it {
            true => self.numbers.insert(dbid),
            false => self.numbers.remove(&dbid),
        };
    }

    fn record(&mut self, lgpos: Lgpos, record: &Record<'_>) {
        if let Some(step) = TransactionStep::of(record) {
            return self.follow(lgpos, step);
        }
        match record {
            Record::MacroBegin(begin) => {
                self.macros.insert((begin.procid, begin.dbtime), Vec::new());
            }
            Record::MacroCommit(end) => {
                let own = self.macros.remove(&(end.procid, end.dbtime));
                for (page, node, event) in own.into_iter().flatten() {
                    self.add(lgpos, &page, &node, event);
                }
            }
            Record::MacroAbort(end) => drop(self.macros.remove(&(end.procid, end.dbtime))),
            Record::Undo(undo) => self.transactions.undo(undo.page.procid, undo.node.rceid),
            _ => {
                let Some((page, node)) = record.node_op() else {
                    return;
                };
                let Some(operation) = operation_on_row(record) else {
                    return;
                };
                if page.is_space() || !self.numbers.contains(&page.dbid) {
                    return;
                }
                // The engine empties deleted nodes that it keeps for their page; of a row, every change has a version.
                if operation == Operation::Update && !page.is_versioned() {
                    return;
                }
                if let Record::Insert(insert) = record
                    && node.objid == CATALOG.1
                {
                    let made = CatalogRecord::read(insert.data, self.page_size);
                    self.made.extend(made.ok());
                }
                let event = (node.objid, operation);
                match self.macros.get_mut(&(page.procid, page.dbtime)) {
                    Some(own) => own.push((*page, *node, event)),
                    None => self.add(lgpos, page, node, event),
                }
            }
        }
    }

    fn add(&mut self, lgpos: Lgpos, page: &PageOp, node: &NodeOp, event: Event) {
        let rceid = if page.is_versioned() { node.rceid } else { 0 };
        let transaction = self.transactions.of(page, lgpos);
        transaction.add(rceid, page.level, Some(event));
    }

    fn follow(&mut self, lgpos: Lgpos, step: TransactionStep) {
        match step {
            TransactionStep::Begin {
                session,
                from,
                levels,
                trx,
            } => drop(self.transactions.begin(session, (from, levels), trx, lgpos)),
            TransactionStep::Refresh { session, trx } => self.transactions.refresh(session, trx),
            TransactionStep::Commit { session, level } => {
                let ended = self.transactions.commit(session, level);
                if let Some(ended) = ended.filter(|_| lgpos >= self.from) {
                    count(&mut self.committed, ended);
                }
            }
            TransactionStep::Rollback { session, levels } => {
                drop(self.transactions.roll_back(session, levels));
            }
            // What an instance leaves open, recovery rolls back.
            TransactionStep::EndAll => {
                self.transactions.take_all();
                self.macros.clear();
            }
        }
    }

    /// Nothing goes on here that was open.
    fn records_are_missing(&mut self) {
        for open in self.transactions.take_all() {
            count(&mut self.open, open);
        }
        self.macros.clear();
    }
}

fn count(counts: &mut Counts, mut transaction: Transaction<Event>) {
    for (_, is_undone, (objid, operation)) in transaction.take_events() {
        if is_undone {
            continue;
        }
        let table = counts.entry(objid).or_default();
        *match operation {
            Operation::Insert => &mut table.inserted,
            Operation::Delete => &mut table.deleted,
            _ => &mut table.updated,
        } += 1;
    }
}
