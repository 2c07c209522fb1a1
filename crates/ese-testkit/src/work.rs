//! Random work of a few sessions on the rows of one tree, with the testkit's writer. What is committed comes from the work
//! itself, not from any log.

use crate::ledger::Change;
use crate::random::Random;
use crate::rows::Rows;
use crate::writer::crash::Base;
use crate::writer::{Tree, Writer};
use ese_format::Pgno;
use ese_format::hex;
use ese_format::page::{PageFlags, PageView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const SESSIONS: usize = 3;
/// Rows that the tree may have.
const KEYS: usize = 120;
/// The tree, as the ledger names it.
const TABLE: &str = "written";
const TREE: usize = 0;
/// A tree is not deeper than this.
const DEPTH_MOST: usize = 10;

type Data = Vec<u8>;

/// A key, what was there, and what is there now.
type Undo = (Data, Option<Data>, Option<Data>);

/// Work under way.
#[derive(Clone)]
pub struct Work {
    writer: Writer,
    /// The rows as all sessions see them together.
    now: BTreeMap<Data, Data>,
    /// What each session changed, newest last: the key, what was there, and what is there now.
    open: Vec<Vec<Undo>>,
    /// Each committed transaction: its last record, and its changes.
    committed: Vec<(usize, Vec<Change>)>,
}

impl Work {
    /// Begins on a database that has just been attached.
    pub fn begin(base: &Base) -> Self {
        let mut writer = base.writer();
        let objid = base.header().last_objid.0 + 1;
        writer.create_tree(objid, true, PageFlags::empty());
        Work {
            writer,
            now: BTreeMap::new(),
            open: vec![Vec::new(); SESSIONS],
            committed: Vec::new(),
        }
    }

    /// The writer that does it.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The tree that it changes; it is in no catalog.
    pub fn tree(&self) -> Tree {
        self.writer.trees()[TREE]
    }

    /// Each committed transaction: its last record, and its changes.
    pub(crate) fn committed(&self) -> &[(usize, Vec<Change>)] {
        &self.committed
    }

    /// What is committed after this many records.
    pub fn rows_after(&self, records: usize) -> Rows {
        let mut rows = Rows::new();
        let committed = self.committed.iter().filter(|(last, _)| *last < records);
        for change in committed.flat_map(|(_, changes)| changes) {
            match change {
                Change::Put(table, key, row) => {
                    rows.insert((table.clone(), key.clone()), (**row).clone());
                }
                Change::Delete(table, key) => {
                    rows.remove(&(table.clone(), key.clone()));
                }
                Change::DropTable(dropped) => rows.retain(|(table, _), _| table != dropped),
            }
        }
        rows
    }

    /// A change of a row, the end of a transaction, or a page that is written.
    pub fn step(&mut self, random: &mut Random) {
        let session = random.below(SESSIONS);
        match random.below(20) {
            0..12 => self.put(session, random),
            12..15 => self.delete(session, random),
            15..18 => self.commit(session),
            18 => self.roll_back(session),
            _ => {
                let pages = self.pages();
                self.writer.flush(pages[random.below(pages.len())]);
            }
        }
    }

    /// Commits everything and writes all pages.
    pub fn flush_all(&mut self) {
        (0..SESSIONS).for_each(|session| self.commit(session));
        for page in self.pages() {
            self.writer.flush(page);
        }
    }

    /// The database is dismounted: what is open is rolled back, and all pages are written.
    pub fn dismount(&mut self, base: &Base) {
        (0..SESSIONS).for_each(|session| self.roll_back(session));
        self.flush_all();
        base.dismount(&mut self.writer);
    }

    /// The database is mounted again.
    pub fn mount(&mut self, base: &Base) {
        base.mount(&mut self.writer);
    }

    fn pages(&self) -> Vec<u32> {
        let pages = self.writer.pages_at(usize::MAX);
        pages.map(|page| page.pgno).collect()
    }

    /// A key that no other session holds.
    fn key(&self, session: usize, random: &mut Random) -> Option<Data> {
        let key = (random.below(KEYS) as u32).to_be_bytes().to_vec();
        let mut others = self.open.iter().enumerate();
        let held = others.any(|(other, changes)| {
            other != session && changes.iter().any(|(held, ..)| *held == key)
        });
        (!held).then_some(key)
    }

    fn begin_if_needed(&mut self, session: usize) {
        if self.writer.level(number(session)) == 0 {
            self.writer.begin(number(session));
        }
    }

    fn put(&mut self, session: usize, random: &mut Random) {
        let Some(key) = self.key(session, random) else {
            return;
        };
        let seed = random.number();
        let length = 8 + random.below(300);
        let data: Data = (0..length)
            .map(|at| (seed >> (at % 8 * 8)) as u8 ^ at as u8)
            .collect();
        self.begin_if_needed(session);
        let before = self.now.insert(key.clone(), data.clone());
        match before {
            None => self.writer.insert(number(session), TREE, &key, &data),
            Some(_) => self.writer.replace(number(session), TREE, &key, &data),
        }
        self.open[session].push((key, before, Some(data)));
    }

    fn delete(&mut self, session: usize, random: &mut Random) {
        let Some(key) = self.key(session, random) else {
            return;
        };
        let Some(before) = self.now.remove(&key) else {
            return;
        };
        self.begin_if_needed(session);
        self.writer.delete(number(session), TREE, &key, &[]);
        self.open[session].push((key, Some(before), None));
    }

    fn commit(&mut self, session: usize) {
        if self.writer.level(number(session)) == 0 {
            return;
        }
        self.writer.commit(number(session));
        let changes = self.open[session].drain(..).map(|(key, _, after)| {
            let key = hex::encode(&key);
            match after {
                Some(data) => {
                    Change::Put(TABLE.to_owned(), key, Arc::new(hex::encode(&data).into()))
                }
                None => Change::Delete(TABLE.to_owned(), key),
            }
        });
        let changes = changes.collect();
        let last = self.writer.records().len() - 1;
        self.committed.push((last, changes));
    }

    fn roll_back(&mut self, session: usize) {
        if self.writer.level(number(session)) == 0 {
            return;
        }
        self.writer.roll_back(number(session));
        for (key, before, _) in self.open[session].drain(..).rev() {
            match before {
                Some(data) => drop(self.now.insert(key, data)),
                None => drop(self.now.remove(&key)),
            }
        }
    }
}

/// The number of a session in the logs.
fn number(session: usize) -> u16 {
    session as u16 + 1
}

/// The rows of a tree with unique keys, along its leaves. `bytes` are a database with pages of `size` bytes.
pub fn read_tree(bytes: &[u8], size: usize, tree: Tree) -> Rows {
    let Tree { root, objid, .. } = tree;
    let page = |pgno: u32| {
        let start = (pgno as usize + 1) * size;
        bytes.get(start..start + size)
    };
    let mut rows = Rows::new();
    let view = |pgno: u32| {
        let view = PageView::new(Pgno(pgno), page(pgno)?).ok()?;
        (view.header().objid().0 == objid).then_some(view)
    };
    // Before the tree is made, its page may have been taken into use.
    if !view(root).is_some_and(|view| view.flags().contains(PageFlags::ROOT)) {
        return rows;
    }
    let mut leaf = root;
    for _ in 0..DEPTH_MOST {
        let Some(view) = view(leaf) else { return rows };
        if view.flags().contains(PageFlags::LEAF) {
            break;
        }
        let first = view.nodes().next();
        let first = first.expect("a node").expect("a whole node");
        leaf = first.child().expect("a child").0;
    }
    while leaf != 0 {
        let view = view(leaf).expect("a leaf of the tree");
        for node in view.nodes().map(|node| node.expect("a whole node")) {
            if !node.is_deleted() {
                let place = (TABLE.to_owned(), hex::encode(node.key().to_vec()));
                rows.insert(place, Value::from(hex::encode(node.data)));
            }
        }
        leaf = view.header().next().0;
    }
    rows
}
