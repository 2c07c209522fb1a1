//! What every transaction of an engine-made set did to rows, and where in the logs it was committed.
//!
//! The workload wrote `transactions.jsonl`: every committed transaction in order, and what it did to which row. The logs
//! hold a commit for each of them and many more, for the engine has transactions of its own. The n-th transaction of the
//! file is the n-th commit of the logs that changed rows of the workload's tables; so both are joined here, and joined
//! wrongly they would not fit: a transaction that inserts a row must name its key in both. From then on it is known
//! which rows are committed at any position of the logs, without redo.
//!
//! A transaction that only puts what is there already may leave nothing in the logs; it is left out then.

use crate::fixtures::files_below;
use crate::logs::SECTOR;
use crate::rows::{Rows, rows_of};
use ese_format::log::{Layout, SEGMENT_HEADER_SIZE, SEGMENT_SIZE};
use ese_format::record::{PageOp, Record};
use ese_format::{Lgpos, ObjId, Pgno, hex};
use ese_log::{LogImage, RecordCursor, StreamFiles};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The root that tables get their space from; that of an index or of long values is their table.
const DATABASE_ROOT: Pgno = Pgno(1);
/// The catalog. A table that is dropped loses all its entries, an index one.
const CATALOG: ObjId = ObjId(2);
/// Objects up to this one are the engine's own.
const LAST_OF_ENGINE: ObjId = ObjId(7);

/// A change of one row, or of all rows of a table.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The row of this table and key is this one now.
    Put(String, String, Arc<Value>),
    /// The row of this table and key is gone.
    Delete(String, String),
    /// The table is gone.
    DropTable(String),
}

/// Reads the rows of a database.
pub(crate) type Reader = Box<dyn Fn(&Path) -> Rows + Send + Sync>;

/// A transaction of the workload.
#[derive(Debug, Clone, Default)]
struct Transaction {
    /// Changes with the database that they are made in.
    changes: Vec<(String, Change)>,
    /// Whether the rows are another after than before, at any moment of it.
    changes_rows: bool,
}

/// Where a transaction was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Where the record begins.
    pub begin: Lgpos,
    /// Its bytes.
    pub length: usize,
    /// The last byte of it, as an offset in the file.
    pub last_byte: usize,
}

impl Commit {
    /// A record of `length` bytes at `begin`; whether its log is of the older layout.
    pub(crate) fn new(begin: Lgpos, length: usize, older: bool) -> Self {
        let start = match older {
            true => usize::from(begin.segment) * SECTOR + usize::from(begin.byte),
            false => {
                // The first record of a segment is at its byte 0.
                let byte = match usize::from(begin.byte) {
                    0 => SEGMENT_HEADER_SIZE,
                    byte => byte,
                };
                usize::from(begin.segment) * SEGMENT_SIZE + byte
            }
        };
        Commit {
            begin,
            length,
            last_byte: start + length - 1,
        }
    }
}

/// The transactions of a set, joined with its logs.
pub struct Ledger {
    transactions: Vec<Transaction>,
    /// Transactions that were committed before the first log that is there.
    before: usize,
    /// The commit of the transaction `before`, and of those after it.
    commits: Vec<Commit>,
    /// Rows by database and number of transactions, as far as they were asked for.
    known: Mutex<HashMap<(String, usize), Arc<Rows>>>,
    reader: Reader,
}

/// What a committed transaction did, as the logs tell it.
#[derive(Debug)]
struct Logged {
    place: Commit,
    /// Keys of rows that it inserted, in hexadecimal.
    keys: Vec<String>,
    drops_table: bool,
}

impl Logged {
    fn fits(&self, transaction: &Transaction) -> bool {
        let changes = || transaction.changes.iter().map(|(_, change)| change);
        let drops = changes().any(|change| matches!(change, Change::DropTable(_)));
        let named = |key: &String| {
            changes().any(|change| match change {
                Change::Put(_, name, _) | Change::Delete(_, name) => name == key,
                Change::DropTable(_) => false,
            })
        };
        self.drops_table == drops && self.keys.iter().all(named)
    }
}

impl Ledger {
    /// Reads the transactions of the set in the folder `set`, and finds their commits in the logs of `logs`, which is
    /// its `state`, or the same stream written anew.
    pub fn read(set: &Path, logs: &Path) -> Self {
        let mut transactions = transactions(set);
        let (logged, from_start) = logged(set, logs);
        let place = set.display();
        let count = transactions.len();
        // A stream without its first logs is joined from its end on.
        let silent = if from_start {
            join(&transactions, &logged)
        } else {
            transactions.reverse();
            let backwards: Vec<&Logged> = logged.iter().rev().collect();
            let silent = join(&transactions, &backwards);
            transactions.reverse();
            silent.map(|silent| silent.into_iter().map(|at| count - 1 - at).collect())
        };
        let silent: HashSet<usize> =
            silent.unwrap_or_else(|| panic!("{place}: its transactions are not those of its logs"));
        let mut number = 0;
        transactions.retain(|_| {
            number += 1;
            !silent.contains(&(number - 1))
        });
        let before = match from_start {
            true => 0,
            false => transactions.len() - logged.len(),
        };
        Ledger {
            transactions,
            before,
            commits: logged.iter().map(|logged| logged.place).collect(),
            known: Mutex::default(),
            reader: Box::new(rows_of),
        }
    }

    /// The ledger of work that was made up: what each transaction did to the database `name`, and where it was committed.
    pub(crate) fn of_work(
        name: &str,
        changes: Vec<Vec<Change>>,
        commits: Vec<Commit>,
        reader: Reader,
    ) -> Self {
        let transaction = |changes: Vec<Change>| Transaction {
            changes: changes
                .into_iter()
                .map(|change| (name.to_owned(), change))
                .collect(),
            changes_rows: true,
        };
        Ledger {
            transactions: changes.into_iter().map(transaction).collect(),
            before: 0,
            commits,
            known: Mutex::default(),
            reader,
        }
    }

    /// The same work in a stream in which each commit is where `place` says.
    pub(crate) fn moved(&self, place: impl Fn(&Commit) -> Commit) -> Self {
        Ledger {
            transactions: self.transactions.clone(),
            before: self.before,
            commits: self.commits.iter().map(place).collect(),
            known: Mutex::default(),
            reader: Box::new(rows_of),
        }
    }

    /// The ledger of databases that hold all that was ever committed: whatever logs are left, their rows stay these.
    pub(crate) fn of_files(databases: &[(PathBuf, String)]) -> Self {
        let all = databases.iter().flat_map(|(path, name)| {
            let rows = rows_of(path).into_iter();
            rows.map(move |((table, key), row)| {
                (name.clone(), Change::Put(table, key, Arc::new(row)))
            })
        });
        let transaction = Transaction {
            changes: all.collect(),
            changes_rows: true,
        };
        Ledger {
            transactions: vec![transaction],
            before: 1,
            commits: Vec::new(),
            known: Mutex::default(),
            reader: Box::new(rows_of),
        }
    }

    /// The rows of the database at `path`, as this ledger counts them.
    pub fn read_rows(&self, path: &Path) -> Rows {
        (self.reader)(path)
    }

    /// The commits that are in the logs, in order.
    pub fn commits(&self) -> &[Commit] {
        &self.commits
    }

    /// How many transactions are committed when all commits from the first on for which `holds` are there.
    pub fn committed(&self, holds: impl Fn(&Commit) -> bool) -> usize {
        self.before
            + self
                .commits
                .iter()
                .take_while(|commit| holds(commit))
                .count()
    }

    /// The rows of the database `name` after this many transactions.
    pub fn rows(&self, name: &str, transactions: usize) -> Arc<Rows> {
        let key = (name.to_owned(), transactions);
        let mut known = self.known.lock().expect("no holder panics");
        let rows = known.entry(key).or_insert_with(|| {
            let mut rows = Rows::new();
            let changes = self.transactions[..transactions].iter();
            let changes = changes.flat_map(|transaction| &transaction.changes);
            for (_, change) in changes.filter(|(database, _)| database == name) {
                apply(&mut rows, change);
            }
            Arc::new(rows)
        });
        Arc::clone(rows)
    }

    /// The numbers of transactions after which `rows` are the rows of the database `name`, as a range.
    pub fn numbers_of(&self, name: &str, rows: &Rows) -> Option<(usize, usize)> {
        let mut now = Rows::new();
        let mut found: Option<(usize, usize)> = None;
        for number in 0..=self.transactions.len() {
            if number > 0 {
                let changes = self.transactions[number - 1].changes.iter();
                for (_, change) in changes.filter(|(database, _)| database == name) {
                    apply(&mut now, change);
                }
            }
            if now.len() == rows.len() && now == *rows {
                found = Some((found.map_or(number, |(first, _)| first), number));
            }
        }
        found
    }

    /// Transactions in all.
    pub fn transactions(&self) -> usize {
        self.transactions.len()
    }
}

fn apply(rows: &mut Rows, change: &Change) {
    match change {
        Change::Put(table, key, row) => {
            drop(rows.insert((table.clone(), key.clone()), Value::clone(row)));
        }
        Change::Delete(table, key) => drop(rows.remove(&(table.clone(), key.clone()))),
        Change::DropTable(table) => rows.retain(|(other, _), _| other != table),
    }
}

/// The transactions that change rows.
fn transactions(set: &Path) -> Vec<Transaction> {
    let text = fs::read_to_string(set.join("transactions.jsonl")).expect("a set tells its work");
    let mut transactions: Vec<Transaction> = Vec::new();
    let mut rows: HashMap<(String, String, String), Arc<Value>> = HashMap::new();
    let mut number = None;
    for line in text.lines() {
        let mut line: Value = serde_json::from_str(line).expect("a line of JSON");
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let (operation, database, table, key) = (word("op"), word("db"), word("table"), word("bm"));
        let of = line["tx"].as_u64();
        let place = (database.clone(), table.clone(), key.clone());
        let (change, changes_rows) = match operation.as_str() {
            "put" => {
                let row = Arc::new(line["row"].take());
                let before = rows.insert(place, Arc::clone(&row));
                let changes = before.is_none_or(|before| before != row);
                (Change::Put(table, key, row), changes)
            }
            "del" => (Change::Delete(table, key), rows.remove(&place).is_some()),
            "droptable" => {
                rows.retain(|(in_database, of_table, _), _| {
                    (in_database, of_table) != (&database, &table)
                });
                (Change::DropTable(table), true)
            }
            "createtable" => continue,
            other => panic!("{}: an operation {other}", set.display()),
        };
        if number != of {
            number = of;
            transactions.push(Transaction::default());
        }
        let transaction = transactions.last_mut().expect("just begun");
        transaction.changes.push((database, change));
        transaction.changes_rows |= changes_rows;
    }
    transactions
}

/// Joins transactions with commits, in order: which transactions are not in the logs. `None` if they do not fit.
///
/// Transactions after the last commit are of logs that are not there.
fn join<L: std::borrow::Borrow<Logged>>(
    transactions: &[Transaction],
    logged: &[L],
) -> Option<HashSet<usize>> {
    // A depth-first walk over (transaction, commit) that remembers dead ends; it goes astray only at transactions that
    // may or may not be in the logs.
    let mut dead = HashSet::new();
    let mut silent: Vec<usize> = Vec::new();
    // Choices still to be tried: where, and how many silent transactions had been passed there.
    let mut choices: Vec<(usize, usize, usize)> = Vec::new();
    let (mut at, mut commit) = (0, 0);
    loop {
        if commit == logged.len() {
            return Some(silent.into_iter().collect());
        }
        let here = transactions
            .get(at)
            .filter(|_| !dead.contains(&(at, commit)));
        let fits = here.is_some_and(|here| logged[commit].borrow().fits(here));
        let may_be_silent = here.is_some_and(|here| !here.changes_rows);
        match (fits, may_be_silent) {
            (true, may_be_silent) => {
                if may_be_silent {
                    choices.push((at, commit, silent.len()));
                }
                (at, commit) = (at + 1, commit + 1);
            }
            (false, true) => {
                silent.push(at);
                at += 1;
            }
            (false, false) => {
                dead.insert((at, commit));
                let (back_at, back_commit, passed) = choices.pop()?;
                silent.truncate(passed);
                silent.push(back_at);
                (at, commit) = (back_at + 1, back_commit);
            }
        }
    }
}

/// The commits of the logs in `logs` that change rows of the workload's tables, and whether the stream is there from
/// its start on.
fn logged(set: &Path, logs: &Path) -> (Vec<Logged>, bool) {
    let files = StreamFiles::find(logs, None).expect("a set has a stream");
    let mut reading = Reading::default();
    (reading.tables, reading.of_engine) = tables_at_the_end(set);
    let mut first = None;
    for file in files.in_order() {
        let image = LogImage::read(&file.path).expect("a log in order");
        if first.is_none() {
            first = Some(image.header.generation);
            for attached in &image.header.attachments.databases {
                reading
                    .names
                    .insert(attached.dbid, file_name(&attached.path));
            }
        }
        let mut cursor = RecordCursor::new();
        while let Some(raw) = cursor.next_record(&image).expect("the log is in order") {
            let record = raw.decode().expect("a record in order");
            let older = image.layout == Layout::ChecksumRecords;
            let place = Commit::new(raw.lgpos, raw.bytes.len(), older);
            reading.follow(place, &record);
        }
    }
    let from_start = first.is_some_and(|first| first.0 == 1);
    (reading.commits, from_start)
}

type Tables = HashSet<(String, ObjId)>;

/// The tables of the databases at the end, by file name: the user's, and the engine's own, which are never dropped.
fn tables_at_the_end(set: &Path) -> (Tables, Tables) {
    let (mut users, mut engines) = (Tables::new(), Tables::new());
    let folders = ["state", "recovered"].map(|part| set.join(part));
    let folders = folders.iter().filter(|folder| folder.is_dir());
    for path in folders.flat_map(|folder| files_below(folder)) {
        let name = path.file_name().expect("a file has a name");
        let name = name.to_string_lossy().into_owned();
        if !name.ends_with(".edb") {
            continue;
        }
        let catalog = ese_db::Database::open(&path).and_then(|database| database.catalog());
        for table in catalog.map_or(Vec::new(), |catalog| catalog.tables) {
            let tables = match table.name.starts_with("MSys") {
                true => &mut engines,
                false => &mut users,
            };
            tables.insert((name.clone(), table.objid));
        }
    }
    (users, engines)
}

fn file_name(path: &str) -> String {
    let name = path.rsplit(['\\', '/']).next();
    name.unwrap_or(path).to_owned()
}

/// An operation of an open transaction.
enum Operation {
    /// A change of a row; its key where it was inserted.
    Row(Option<String>),
    /// An entry was taken out of the catalog.
    Unlisted,
}

/// An open transaction: its level, and its operations with theirs.
#[derive(Default)]
struct Open {
    level: u8,
    operations: Vec<(u8, Operation)>,
}

#[derive(Default)]
struct Reading {
    /// Names of the databases by their number.
    names: HashMap<u8, String>,
    tables: Tables,
    /// The engine's own tables.
    of_engine: Tables,
    open: BTreeMap<u16, Open>,
    commits: Vec<Logged>,
}

impl Reading {
    fn follow(&mut self, place: Commit, record: &Record<'_>) {
        match record {
            Record::Init(_) | Record::Init2(_) => self.open.clear(),
            Record::CreateDb(create) => {
                self.names
                    .insert(create.dbid, file_name(&create.names.first()));
            }
            Record::AttachDb(attach) => {
                self.names
                    .insert(attach.dbid, file_name(&attach.names.first()));
            }
            Record::CreateSingleExtentFdp(create) => {
                self.create(&create.page, create.objid, create.pgno_fdp_parent);
            }
            Record::CreateMultipleExtentFdp(create) => {
                self.create(&create.page, create.objid, create.pgno_fdp_parent);
            }
            Record::Begin0(begin) => {
                let open = self.open.entry(begin.procid.0).or_default();
                open.operations.clear();
                open.level = begin.levels;
            }
            Record::Begin(begin) => {
                if let Some(open) = self.open.get_mut(&begin.procid.0) {
                    open.level = begin.level_from + begin.levels;
                }
            }
            Record::Commit(commit) => {
                if let Some(open) = self.open.get_mut(&commit.procid.0) {
                    open.level = commit.level_to;
                    for (level, _) in &mut open.operations {
                        *level = (*level).min(commit.level_to);
                    }
                }
            }
            Record::Rollback(rollback) => {
                if let Some(open) = self.open.get_mut(&rollback.procid.0) {
                    open.level = open.level.saturating_sub(rollback.levels);
                    let kept = open.level;
                    open.operations.retain(|(level, _)| *level <= kept);
                }
            }
            Record::Commit0(commit) => {
                let done = self.open.remove(&commit.procid.0).unwrap_or_default();
                self.commit(place, done);
            }
            other => self.change(other),
        }
    }

    fn commit(&mut self, place: Commit, done: Open) {
        let operations = done.operations.into_iter().map(|(_, operation)| operation);
        let (mut changes, mut unlisted, mut keys) = (0, 0, Vec::new());
        for operation in operations {
            match operation {
                Operation::Row(key) => {
                    changes += 1;
                    keys.extend(key);
                }
                Operation::Unlisted => unlisted += 1,
            }
        }
        let drops_table = unlisted > 1;
        if changes > 0 || drops_table {
            self.commits.push(Logged {
                place,
                keys,
                drops_table,
            });
        }
    }

    fn create(&mut self, page: &PageOp, objid: ObjId, parent: Pgno) {
        let name = self.names.get(&page.dbid).cloned().unwrap_or_default();
        let table = (name, objid);
        if parent == DATABASE_ROOT && objid > LAST_OF_ENGINE && !self.of_engine.contains(&table) {
            self.tables.insert(table);
        }
    }

    fn change(&mut self, record: &Record<'_>) {
        let Some((page, node)) = record.node_op() else {
            return;
        };
        let Some(open) = self.open.get_mut(&page.procid.0) else {
            return;
        };
        if node.objid == CATALOG && matches!(record, Record::FlagDelete(_)) {
            open.operations.push((page.level, Operation::Unlisted));
        }
        let name = self.names.get(&page.dbid).cloned().unwrap_or_default();
        if !page.is_versioned() || !self.tables.contains(&(name, node.objid)) {
            return;
        }
        let key = match record {
            Record::Insert(insert) => Some([insert.key_prefix, insert.key_suffix].concat()),
            Record::FlagInsert(insert) => Some(insert.key.to_vec()),
            Record::FlagInsertAndReplaceData(insert) => Some(insert.key.to_vec()),
            Record::Delta(delta) | Record::Delta64(delta) => Some(delta.bookmark_key.to_vec()),
            Record::FlagDelete(_) | Record::Replace(_) | Record::ReplaceDelta(_) => None,
            _ => return,
        };
        let key = key.map(|key| hex::encode(&key));
        open.operations.push((page.level, Operation::Row(key)));
    }
}
