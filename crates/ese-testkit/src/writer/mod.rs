//! A small writer of transactions: what an engine does to rows and pages, and the log records that it leaves.
//!
//! It exists so that replay can be tested on logs that nobody has seen, against an answer that does not come from the
//! replay. It keeps trees of [`Page`]s, splits and merges them, runs transactions of several sessions side by side, and
//! encodes each change as the record that the engine writes for it. Rows are not locked: the test that drives it decides
//! which transaction may change what.
//!
//! | room | what |
//! |---|---|
//! | [`page`] | a page: lines, and its bytes |
//! | [`rows`] | changes of rows, and their rollback |
//! | [`split`], [`merge`] | changes of a tree's shape |
//! | [`craft`] | single records of any type |
//! | [`mount`] | the end of an instance, and the next one |
//! | [`crash`] | the files of a crash: a database with the pages that had been written, and its logs |
//!
//! Invariant: what is written follows the rules that redo relies on. Each change gives its pages the next dbtime; a page
//! that goes to disk with changes of an open transaction has their before images logged first; a rollback always finds
//! room.

mod craft;
pub mod crash;
mod merge;
pub mod mount;
pub mod page;
mod rows;
mod split;

pub use merge::MergeKind;
pub use page::{Line, Page};

use ese_format::page::{PageFlags, PageSize};
use ese_format::record::{
    Begin, Commit, Commit0, CreateSingleExtentFdp, ExtendDb, Insert, Macro, NewPage, NodeOp,
    PageOp, PageOpFlags, Record, Rollback,
};
use ese_format::{Dbtime, ObjId, Pgno, ProcId};
use mount::Mount;
use std::collections::{BTreeMap, HashMap};

/// The number of the database in its logs.
pub const DBID: u8 = 1;
/// The session that the writer itself uses for what belongs to no transaction of the test.
const SYSTEM: u16 = 100;
/// The root of the extents that a database owns, and the tree's number.
const OWNED: (u32, u32) = (2, 1);
/// Pages by which the file grows, if nothing else is said.
const GROWTH: u32 = 16;

/// A tree.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// Its root.
    pub root: u32,
    /// Its number.
    pub objid: u32,
    /// Whether keys are unique.
    pub unique: bool,
}

/// A change that its transaction may take back.
#[derive(Debug, Clone)]
struct Version {
    rceid: u32,
    level: u8,
    tree: usize,
    key: Vec<u8>,
    /// The row's data, where it belongs to its name.
    data: Vec<u8>,
    before: Before,
    /// Whether its before image is in the log.
    logged: bool,
    /// The page on which the change was made.
    page: u32,
}

#[derive(Debug, Clone)]
enum Before {
    Insert,
    Replace(Vec<u8>),
    Delete,
    Add { delta: i64, offset: u16, wide: bool },
}

#[derive(Debug, Clone, Default)]
struct Session {
    level: u8,
    /// The record of its begin.
    began: usize,
    trx: u32,
    versions: Vec<Version>,
}

/// A row by its tree and what it is found by.
type Row = (usize, Vec<u8>);

/// What open transactions hold of a row.
#[derive(Debug, Clone, Default)]
struct Held {
    versions: usize,
    /// Sizes that a rollback may bring back.
    sizes: Vec<usize>,
}

/// The writer.
#[derive(Debug, Clone)]
pub struct Writer {
    size: PageSize,
    pages: BTreeMap<u32, Page>,
    last: u32,
    free: Vec<u32>,
    trees: Vec<Tree>,
    sessions: BTreeMap<u16, Session>,
    held: HashMap<Row, Held>,
    dbtime: u64,
    rceid: u32,
    trx: u32,
    records: Vec<Vec<u8>>,
    /// Each state of each page: the number of records that made it, and the record that began its transaction.
    history: BTreeMap<u32, Vec<(usize, usize, Page)>>,
    /// Pages that went to disk: after how many records, and which.
    flushed: Vec<(usize, u32)>,
    /// Sizes of the file: after how many records, and its last page.
    sizes: Vec<(usize, u32)>,
    /// Begin and end of each transaction.
    transactions: Vec<(usize, usize)>,
    mounts: Vec<Mount>,
    keeps_history: bool,
    growth: u32,
}

impl Writer {
    /// A writer over a database whose first pages are `pages`; `last` is its last page, `dbtime` its highest dbtime.
    pub fn new(size: PageSize, pages: Vec<Page>, last: u32, dbtime: u64) -> Self {
        let mut writer = Writer {
            size,
            pages: BTreeMap::new(),
            last,
            free: Vec::new(),
            trees: Vec::new(),
            sessions: BTreeMap::new(),
            held: HashMap::new(),
            dbtime,
            rceid: 0,
            trx: 0,
            records: Vec::new(),
            history: BTreeMap::new(),
            flushed: Vec::new(),
            sizes: vec![(0, last)],
            transactions: Vec::new(),
            mounts: Vec::new(),
            keeps_history: true,
            growth: GROWTH,
        };
        for page in pages {
            let pgno = page.pgno;
            writer.history.insert(pgno, vec![(0, 0, page.clone())]);
            writer.pages.insert(pgno, page);
        }
        writer
    }

    /// Remembers no states of pages from here on, and lets the file grow in larger steps: for large work, whose crash
    /// finds no page on disk.
    pub fn expect_much(&mut self) {
        self.keeps_history = false;
        self.growth = 1024;
    }

    /// The records so far.
    pub fn records(&self) -> &[Vec<u8>] {
        &self.records
    }

    /// The trees.
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// The dbtime given out last.
    pub fn dbtime(&self) -> u64 {
        self.dbtime
    }

    /// The pages as they are after this many records.
    pub fn pages_at(&self, records: usize) -> impl Iterator<Item = &Page> {
        let states = self.history.values();
        states.filter_map(move |states| {
            let state = states.iter().rfind(|(made, ..)| *made <= records);
            state.map(|(_, _, page)| page)
        })
    }

    /// Appends a record.
    pub fn log(&mut self, record: &Record<'_>) {
        self.records
            .push(record.encode().expect("the record fits its fields"));
    }

    /// A page as it is now.
    pub fn page(&self, pgno: u32) -> &Page {
        &self.pages[&pgno]
    }

    /// Takes a page over as it is after the last record.
    fn put(&mut self, session: u16, page: Page) {
        if self.keeps_history {
            let began = self.sessions[&session].began;
            let state = (self.records.len(), began, page.clone());
            self.history.entry(page.pgno).or_default().push(state);
        }
        self.pages.insert(page.pgno, page);
    }

    fn next_dbtime(&mut self) -> u64 {
        self.dbtime += 1;
        self.dbtime
    }

    fn next_rceid(&mut self) -> u32 {
        self.rceid += 1;
        self.rceid
    }

    /// The level of a session; 0 outside of any transaction.
    pub fn level(&self, session: u16) -> u8 {
        self.sessions.get(&session).map_or(0, |found| found.level)
    }

    /// Begins a transaction, or a level of it.
    pub fn begin(&mut self, session: u16) {
        let procid = ProcId(session);
        let at = self.records.len();
        let level = self.level(session);
        let trx = if level == 0 {
            self.trx += 2;
            let begun = Session {
                began: at,
                trx: self.trx,
                ..Session::default()
            };
            self.sessions.insert(session, begun);
            self.transactions.push((at, usize::MAX));
            Some(self.trx)
        } else {
            None
        };
        let begin = Begin {
            procid,
            level_from: level,
            levels: 1,
            trx,
        };
        let record = match level {
            0 => Record::Begin0(begin),
            _ => Record::Begin(begin),
        };
        self.log(&record);
        self.session(session).level = level + 1;
    }

    /// Commits a session's innermost level.
    pub fn commit(&mut self, session: u16) {
        let procid = ProcId(session);
        let level_to = self.level(session) - 1;
        if level_to > 0 {
            self.log(&Record::Commit(Commit { procid, level_to }));
            let open = self.session(session);
            open.level = level_to;
            for version in &mut open.versions {
                version.level = version.level.min(level_to);
            }
            return;
        }
        let trx = self.trx + 1;
        let record = Commit0 {
            procid,
            level_to,
            trx,
        };
        self.log(&Record::Commit0(record));
        for version in &self.end(session).versions {
            self.let_go(version);
        }
    }

    /// Rolls a session's innermost level back, newest change first.
    pub fn roll_back(&mut self, session: u16) {
        let level = self.level(session);
        while let Some(version) = self.newest_of(session, level) {
            self.undo(session, &version);
        }
        let procid = ProcId(session);
        self.log(&Record::Rollback(Rollback { procid, levels: 1 }));
        self.session(session).level = level - 1;
        if level == 1 {
            self.end(session);
        }
    }

    /// The session's transaction is over.
    fn end(&mut self, session: u16) -> Session {
        let done = std::mem::take(self.session(session));
        let ended = self.records.len();
        let of_session = |(began, _): &&mut (usize, usize)| *began == done.began;
        let place = self.transactions.iter_mut().rfind(of_session);
        place.expect("it was begun").1 = ended;
        done
    }

    fn newest_of(&mut self, session: u16, level: u8) -> Option<Version> {
        let open = &mut self.session(session).versions;
        open.pop_if(|version| version.level >= level)
    }

    fn session(&mut self, session: u16) -> &mut Session {
        self.sessions.entry(session).or_default()
    }

    /// What is at the head of a change of one page, which gets its dbtime.
    fn page_op(&mut self, session: u16, pgno: u32, dbtime: u64, flags: PageOpFlags) -> PageOp {
        let open = &self.sessions[&session];
        PageOp {
            procid: ProcId(session),
            dbid: DBID,
            pgno: Pgno(pgno),
            dbtime: Dbtime(dbtime),
            dbtime_before: Dbtime(self.pages[&pgno].dbtime),
            trx: open.trx,
            level: open.level,
            iline: 0,
            flags,
        }
    }

    fn node_op(&self, tree: usize, rceid: u32) -> NodeOp {
        let tree = self.trees[tree];
        NodeOp {
            rceid,
            pgno_fdp: Pgno(tree.root),
            objid: ObjId(tree.objid),
        }
    }

    fn flags_of(&self, tree: usize) -> PageOpFlags {
        if self.trees[tree].unique {
            PageOpFlags::UNIQUE
        } else {
            PageOpFlags::empty()
        }
    }

    /// Makes a tree without rows.
    pub fn create_tree(&mut self, objid: u32, unique: bool, kind: PageFlags) -> usize {
        let root = self.allocate(SYSTEM, objid);
        self.begin(SYSTEM);
        let dbtime = self.next_dbtime();
        let mut page = Page::new(
            self.size,
            root,
            objid,
            kind | PageFlags::ROOT | PageFlags::LEAF,
        );
        page.dbtime = dbtime;
        let words = [1u32, 1, if unique { 0 } else { 2 }, 0];
        page.header = words.into_iter().flat_map(u32::to_le_bytes).collect();
        self.trees.push(Tree {
            root,
            objid,
            unique,
        });
        let tree = self.trees.len() - 1;
        let flags = self.flags_of(tree);
        let record = CreateSingleExtentFdp {
            page: self.page_op(SYSTEM, root, dbtime, flags),
            objid: ObjId(objid),
            pgno_fdp_parent: Pgno(1),
            page_count: 1,
            page_flags: kind.bits(),
        };
        self.log(&Record::CreateSingleExtentFdp(record));
        self.put(SYSTEM, page);
        self.commit(SYSTEM);
        tree
    }

    /// Takes a page into use, for `session` or for the writer itself; the file grows when there is none.
    pub fn allocate(&mut self, session: u16, objid: u32) -> u32 {
        if self.free.is_empty() {
            self.grow();
        }
        let alone = self.level(session) == 0;
        if alone {
            self.begin(session);
        }
        let pgno = self.free.remove(0);
        let dbtime = self.next_dbtime();
        let mut page = Page::new(self.size, pgno, objid, PageFlags::PRE_INIT);
        page.dbtime = dbtime;
        let record = NewPage {
            procid: ProcId(session),
            dbid: DBID,
            pgno: Pgno(pgno),
            objid: ObjId(objid),
            dbtime: Dbtime(dbtime),
        };
        self.log(&Record::NewPage(record));
        self.put(session, page);
        if alone {
            self.commit(session);
        }
        pgno
    }

    /// Makes the file longer, and writes into the tree of owned extents that it is.
    fn grow(&mut self) {
        let first = self.last + 1;
        self.last += self.growth;
        let dbid = DBID;
        let pgno_last = Pgno(self.last);
        self.log(&Record::ExtendDb(ExtendDb { dbid, pgno_last }));
        self.sizes.push((self.records.len(), self.last));
        self.free.extend(first..=self.last);
        self.begin(SYSTEM);
        let (pgno, objid) = OWNED;
        let dbtime = self.next_dbtime();
        let flags = PageOpFlags::SPACE | PageOpFlags::UNIQUE;
        let mut page = self.page_op(SYSTEM, pgno, dbtime, flags);
        let mut owned = self.pages[&pgno].clone();
        let (key, data) = (self.last.to_be_bytes(), self.growth.to_le_bytes());
        let at = owned.lines.partition_point(|line| line.key[..] < key[..]);
        page.iline = at as u16;
        let node = NodeOp {
            rceid: 0,
            pgno_fdp: Pgno(1),
            objid: ObjId(objid),
        };
        let record = Insert {
            page,
            node,
            key_prefix: &[],
            key_suffix: &key,
            data: &data,
        };
        self.log(&Record::Insert(record));
        let line = owned.line(&key, &data, false);
        assert!(
            line.size() <= owned.free(),
            "the tree of owned extents has room"
        );
        owned.lines.insert(at, line);
        owned.dbtime = dbtime;
        self.put(SYSTEM, owned);
        self.commit(SYSTEM);
    }

    fn macro_begin(&mut self, session: u16, dbtime: u64) {
        let (procid, dbtime) = (ProcId(session), Dbtime(dbtime));
        self.log(&Record::MacroBegin(Macro { procid, dbtime }));
    }

    fn macro_commit(&mut self, session: u16, dbtime: u64) {
        let (procid, dbtime) = (ProcId(session), Dbtime(dbtime));
        self.log(&Record::MacroCommit(Macro { procid, dbtime }));
    }
}
