//! Scenes that nobody has seen: random work of the testkit's writer on a clean database of an engine, ended by a crash.
//!
//! What is committed comes from the work itself, not from any log. The writer's tree is in no catalog, so its rows are
//! read from the pages.

use super::scene::Scene;
use crate::fixtures;
use crate::ledger::{Change, Commit, Ledger};
use crate::random::Random;
use crate::rows::Rows;
use crate::writer::Writer;
use crate::writer::crash::{Base, Tear, WrittenPages};
use ese_format::Pgno;
use ese_format::hex;
use ese_format::page::{PageFlags, PageView};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

const SESSIONS: usize = 3;
/// Rows that the tree may have.
const KEYS: usize = 120;
/// The tree and the database, as the ledger names them.
const TABLE: &str = "written";
const DATABASE: &str = "written.edb";
const TREE: usize = 0;
/// A tree is not deeper than this.
const DEPTH_MOST: usize = 10;

/// The databases that the work begins with.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let all = ["clean-p4k", "clean-p8k", "clean-p16k"];
    let sets = fixtures::either(&all[..], &["clean-p4k", "clean-p16k"]).iter();
    let states = sets.map(|set| Base::read(&fixtures::engine_set(set).join("state")));
    states.collect()
});

type Data = Vec<u8>;

/// A key, what was there, and what is there now.
type Undo = (Data, Option<Data>, Option<Data>);

/// Work under way.
struct Work {
    writer: Writer,
    /// The rows as all sessions see them together.
    now: BTreeMap<Data, Data>,
    /// What each session changed, newest last: the key, what was there, and what is there now.
    open: Vec<Vec<Undo>>,
    /// Each committed transaction: its last record, and its changes.
    committed: Vec<(usize, Vec<Change>)>,
}

impl Work {
    fn begin(base: &Base) -> Self {
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

    fn step(&mut self, random: &mut Random) {
        let session = random.below(SESSIONS);
        match random.below(20) {
            0..12 => self.put(session, random),
            12..15 => self.delete(session, random),
            15..18 => self.commit(session),
            18 => self.roll_back(session),
            _ => {
                let pages: Vec<u32> = self
                    .writer
                    .pages_at(usize::MAX)
                    .map(|page| page.pgno)
                    .collect();
                self.writer.flush(pages[random.below(pages.len())]);
            }
        }
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

/// A scene of random work, the same for the same `random`.
pub fn scene(random: &mut Random) -> Scene {
    let base = &BASES[random.below(BASES.len())];
    let mut work = Work::begin(base);
    for _ in 0..60 + random.below(600) {
        work.step(random);
    }
    let count = work.writer.records().len();
    let cut = count - random.below(count / 4);
    let disk = match random.below(3) {
        0 => WrittenPages::Clean,
        _ => WrittenPages::Flushed {
            slack: random.below(2) as u32,
        },
    };
    let segments = match base.page_size().bytes() {
        ..=8192 => 12,
        _ => 16,
    };
    let crash = base.crash(&work.writer, cut, segments, Tear::None, disk);
    let records = crash.records;
    let committed = work
        .committed
        .into_iter()
        .filter(|(last, _)| *last < records);
    let (lasts, changes): (Vec<usize>, Vec<Vec<Change>>) = committed.unzip();
    let commits = lasts
        .into_iter()
        .map(|last| Commit::new(crash.places[last], work.writer.records()[last].len(), false));
    let commits = commits.collect();
    let tree = work.writer.trees()[TREE];
    let size = base.page_size().as_usize();
    let reader = move |path: &Path| read_tree(path, size, tree.root, tree.objid);
    let ledger = Ledger::of_work(DATABASE, changes, commits, Box::new(reader));
    let kind = match disk {
        WrittenPages::Clean => "written at random, clean copy",
        WrittenPages::Flushed { .. } => "written at random, dirty",
    };
    let folder = crash.folder.path().to_owned();
    let databases = vec![(crash.database(), DATABASE.to_owned(), Arc::new(ledger))];
    let name = format!("written/{count}-{cut}-{disk:?}");
    let mut scene = Scene::new(name, kind, folder, databases);
    scene.keep = Some(Arc::new(crash.folder));
    scene
}

/// The rows of a tree with unique keys, along its leaves.
fn read_tree(path: &Path, size: usize, root: u32, objid: u32) -> Rows {
    let bytes = fs::read(path).expect("a result can be read");
    let page = |pgno: u32| {
        let start = (pgno as usize + 1) * size;
        bytes.get(start..start + size)
    };
    let mut rows = Rows::new();
    let view = |pgno: u32| {
        let view = PageView::new(Pgno(pgno), page(pgno)?).ok()?;
        (view.header().objid().0 == objid).then_some(view)
    };
    let mut leaf = root;
    for _ in 0..DEPTH_MOST {
        let Some(view) = view(leaf) else { return rows };
        if view.flags().contains(PageFlags::LEAF) {
            break;
        }
        let first = view.nodes().next().expect("a node").expect("a whole node");
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
