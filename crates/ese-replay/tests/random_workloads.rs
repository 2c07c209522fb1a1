//! Random work on a real database, cut off at a random record: recovery leaves exactly the rows that were committed.
//!
//! The work is done by the testkit's writer, which keeps pages of its own and logs what it does; what it means for rows
//! is kept by a model that knows neither pages nor logs. A crash may find any of the flushed pages on disk. Recovery is
//! judged three times: after redo every page is the writer's at that record, after undo every row is the model's, and
//! every tree hangs together. Some crashes are recovered log by log, as a standby does it.
//!
//! `EDBKIT_WORKLOADS` sets the number of workloads.

mod support;

use ese_format::page::PageFlags;
use ese_format::record::RecordType;
use ese_testkit::fixtures;
use ese_testkit::writer::crash::{Base, Crash, Tear, WrittenPages};
use ese_testkit::writer::{MergeKind, Writer};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use support::crashes::{read_tree, recover, recover_in_steps};
use support::model::{Change, Model, Row, Rows};

const SESSIONS: u16 = 3;
/// Trees: two with unique keys, an index without, and long values.
const TREES: usize = 4;
const INDEX: usize = 2;
const LONG_VALUES: usize = 3;
/// Rows that a tree may have.
const KEYS: u16 = 200;

#[derive(Debug, Clone)]
enum Step {
    /// Another level of a transaction.
    Nest(u16),
    Commit(u16),
    RollBack(u16),
    Put(u16, usize, u16, u16),
    Delete(u16, usize, u16),
    Add(u16, usize, u16, i64, bool),
    LongValue(u16, u8, u8),
    /// Many rows one after the other.
    Fill(u16, usize, u16, u8, u16),
    /// Many rows are deleted.
    Thin(u16, usize, u16, u8),
    CleanUp(usize, u16, u8),
    Merge(usize, u16, u8),
    /// A tree loses all rows and pages but its root.
    Clear(u16, usize),
    Flush(u32),
    /// The database is dismounted and mounted again.
    Remount,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let session = 1..=SESSIONS;
    let (tree, key) = (0..LONG_VALUES, 0..KEYS);
    let tree_to_clear = 0..TREES;
    let step = prop_oneof![
        2 => session.clone().prop_map(Step::Nest),
        14 => session.clone().prop_map(Step::Commit),
        4 => session.clone().prop_map(Step::RollBack),
        30 => (session.clone(), tree.clone(), key.clone(), 0u16..700)
            .prop_map(|(session, tree, key, size)| Step::Put(session, tree, key, size)),
        10 => (session.clone(), tree.clone(), key.clone())
            .prop_map(|(session, tree, key)| Step::Delete(session, tree, key)),
        12 => (session.clone(), 0..INDEX, 0..KEYS, any::<i32>(), any::<bool>())
            .prop_map(|(session, tree, key, delta, wide)| Step::Add(session, tree, key, delta.into(), wide)),
        3 => (session.clone(), 0u8..20, 0u8..4)
            .prop_map(|(session, value, chunks)| Step::LongValue(session, value, chunks)),
        4 => (session.clone(), tree.clone(), key.clone(), 1u8..60, 0u16..300)
            .prop_map(|(session, tree, key, count, size)| Step::Fill(session, tree, key, count, size)),
        4 => (session, tree, key, 1u8..90)
            .prop_map(|(session, tree, key, count)| Step::Thin(session, tree, key, count)),
        8 => (0..TREES, 0..KEYS, 1u8..120)
            .prop_map(|(tree, key, count)| Step::CleanUp(tree, key, count)),
        14 => (0..TREES, 0..KEYS, 0u8..6).prop_map(|(tree, key, kind)| Step::Merge(tree, key, kind)),
        1 => (1..=SESSIONS, tree_to_clear).prop_map(|(session, tree)| Step::Clear(session, tree)),
        12 => any::<u32>().prop_map(Step::Flush),
        1 => Just(Step::Remount),
    ];
    prop::collection::vec(step, 1..250)
}

/// Key of row `number`: short ones, ones with much in common, and long ones.
fn key(tree: usize, number: u16) -> Vec<u8> {
    match (tree, number % 4) {
        (LONG_VALUES, _) => u32::from(number).to_be_bytes().to_vec(),
        (INDEX, style) => {
            let text = "entry/".repeat(usize::from(style)) + &format!("{}", number / 8);
            [text.as_bytes(), &[0]].concat()
        }
        (_, 0) => number.to_be_bytes().to_vec(),
        (_, 1) => format!("row/of/the/second/kind/{number:05}").into_bytes(),
        (_, 2) => format!("{}{number}", "long".repeat(50)).into_bytes(),
        _ => format!("{number}").into_bytes(),
    }
}

/// Data of row `number`, at least long enough to be added to.
fn data(tree: usize, number: u16, size: u16) -> Vec<u8> {
    let seed = number.wrapping_mul(31).wrapping_add(size);
    if tree == INDEX {
        return number.to_be_bytes().to_vec();
    }
    (0..size.max(12))
        .map(|at| (at.wrapping_mul(7) ^ seed) as u8)
        .collect()
}

fn row(tree: usize, key: &[u8], data: &[u8]) -> Row {
    match tree {
        INDEX => (tree, [key, data].concat()),
        _ => (tree, key.to_vec()),
    }
}

/// Writer and model, driven side by side.
struct Work {
    writer: Writer,
    model: Model,
}

impl Work {
    fn begin(base: &Base) -> Self {
        let mut writer = base.writer();
        for tree in 0..TREES {
            let kind = match tree {
                INDEX => PageFlags::INDEX | PageFlags::NON_UNIQUE_KEYS,
                LONG_VALUES => PageFlags::LONG_VALUE,
                _ => PageFlags::empty(),
            };
            let objid = base.header().last_objid.0 + 1 + tree as u32;
            writer.create_tree(objid, tree != INDEX, kind);
        }
        let model = Model::default();
        Work { writer, model }
    }

    fn step(&mut self, base: &Base, step: &Step) {
        match *step {
            Step::Nest(session) if self.writer.level(session) < 4 => self.writer.begin(session),
            Step::Commit(session) if self.writer.level(session) > 0 => self.commit(session),
            Step::RollBack(session) if self.writer.level(session) > 0 => self.roll_back(session),
            Step::Put(session, tree, number, size) => self.put(session, tree, number, size),
            Step::Delete(session, tree, number) => self.delete(session, tree, number),
            Step::Add(session, tree, number, delta, wide) => {
                self.add(session, tree, number, delta, wide);
            }
            Step::LongValue(session, value, chunks) => self.long_value(session, value, chunks),
            Step::Fill(session, tree, first, count, size) => {
                for number in 0..u16::from(count) {
                    self.put(session, tree, (first + number) % KEYS, size);
                }
            }
            Step::Thin(session, tree, first, count) => {
                for number in 0..u16::from(count) {
                    self.delete(session, tree, (first + number) % KEYS);
                }
            }
            Step::Clear(session, tree) => self.clear(session, tree),
            Step::CleanUp(tree, first, count) => {
                for number in 0..u16::from(count) {
                    let number = (first + number) % KEYS;
                    let data = data(tree, number, 0);
                    self.writer.clean_up(tree, &key(tree, number), &data);
                }
            }
            Step::Merge(tree, number, kind) => self.merge(tree, &key(tree, number), kind),
            Step::Flush(which) => {
                let pages = self.pages();
                self.writer.flush(pages[which as usize % pages.len()]);
            }
            Step::Remount => {
                for session in 1..=SESSIONS {
                    while self.writer.level(session) > 0 {
                        self.roll_back(session);
                    }
                }
                for page in self.pages() {
                    self.writer.flush(page);
                }
                base.dismount(&mut self.writer);
                base.mount(&mut self.writer);
            }
            _ => {}
        }
    }

    fn pages(&self) -> Vec<u32> {
        let pages = self.writer.pages_at(usize::MAX);
        pages.map(|page| page.pgno).collect()
    }

    fn roll_back(&mut self, session: u16) {
        self.model.roll_back(session, self.writer.level(session));
        self.writer.roll_back(session);
    }

    fn commit(&mut self, session: u16) {
        let level = self.writer.level(session);
        self.writer.commit(session);
        let records = self.writer.records().len();
        self.model.commit(session, level, records);
    }

    /// Deletes what may be deleted, commits, and takes out the pages that are empty then.
    fn clear(&mut self, session: u16, tree: usize) {
        let rows: Vec<Row> = self.model.now.keys().cloned().collect();
        let of_tree = rows.into_iter().filter(|(other, _)| *other == tree);
        let rows: Vec<_> = of_tree
            .map(|(_, name)| match tree {
                INDEX => {
                    let (key, data) = name.split_at(name.len() - 2);
                    (key.to_vec(), data.to_vec())
                }
                _ => (name, Vec::new()),
            })
            .collect();
        for (key, data) in &rows {
            self.delete_row(session, tree, key, data);
        }
        while self.writer.level(session) > 0 {
            self.commit(session);
        }
        for (key, data) in &rows {
            self.writer.clean_up(tree, key, data);
        }
        for (key, _) in &rows {
            self.writer.merge(tree, key, MergeKind::Empty);
        }
        self.writer.empty_tree(tree);
    }

    fn merge(&mut self, tree: usize, key: &[u8], kind: u8) {
        let kind = match kind {
            0 => MergeKind::Empty,
            1 => MergeKind::Right,
            2 => MergeKind::SomeRight,
            3 => MergeKind::Left,
            4 => MergeKind::SomeLeft,
            _ => {
                self.writer.empty_tree(tree);
                return;
            }
        };
        self.writer.merge(tree, key, kind);
    }

    /// Begins a transaction if the session has none.
    fn in_transaction(&mut self, session: u16) {
        if self.writer.level(session) == 0 {
            self.writer.begin(session);
        }
    }

    fn changed(&mut self, session: u16, row: Row, change: Change) {
        self.model
            .change(session, self.writer.level(session), row, change);
    }

    fn put(&mut self, session: u16, tree: usize, number: u16, size: u16) {
        self.put_row(session, tree, &key(tree, number), data(tree, number, size));
    }

    fn put_row(&mut self, session: u16, tree: usize, key: &[u8], data: Vec<u8>) {
        let row = row(tree, key, &data);
        if !self.model.allows(session, &row, false) {
            return;
        }
        self.in_transaction(session);
        match self.model.now.get(&row) {
            None => self.writer.insert(session, tree, key, &data),
            Some(_) if tree == INDEX => return,
            Some(_) => self.writer.replace(session, tree, key, &data),
        }
        self.changed(session, row, Change::Put(data));
    }

    fn delete(&mut self, session: u16, tree: usize, number: u16) {
        self.delete_row(session, tree, &key(tree, number), &data(tree, number, 0));
    }

    fn delete_row(&mut self, session: u16, tree: usize, key: &[u8], data: &[u8]) {
        let row = row(tree, key, data);
        if self.model.allows(session, &row, false) && self.model.now.contains_key(&row) {
            self.in_transaction(session);
            self.writer.delete(session, tree, key, data);
            self.changed(session, row, Change::Delete);
        }
    }

    fn add(&mut self, session: u16, tree: usize, number: u16, delta: i64, wide: bool) {
        let key = key(tree, number);
        let row = row(tree, &key, &[]);
        if self.model.allows(session, &row, true) && self.model.now.contains_key(&row) {
            self.in_transaction(session);
            let offset = if wide { 4 } else { 0 };
            self.writer.add(session, tree, &key, (offset, delta, wide));
            self.changed(session, row, Change::Add(offset, delta, wide));
        }
    }

    /// A long value: its root, which counts references, and its chunks; one that is there gets another reference.
    fn long_value(&mut self, session: u16, value: u8, chunks: u8) {
        let root = key(LONG_VALUES, value.into());
        let row = row(LONG_VALUES, &root, &[]);
        if self.model.now.contains_key(&row) {
            return self.add(session, LONG_VALUES, value.into(), 1, false);
        }
        if !self.model.allows(session, &row, false) {
            return;
        }
        let size = self.writer.page(2).to_bytes().len() * 7 / 10;
        self.put_row(
            session,
            LONG_VALUES,
            &root,
            data(LONG_VALUES, value.into(), 12),
        );
        for chunk in 0..u32::from(chunks) {
            let key = [&root[..], &(chunk * size as u32).to_be_bytes()].concat();
            let data = data(LONG_VALUES, value.into(), size as u16);
            self.put_row(session, LONG_VALUES, &key, data);
        }
    }
}

/// Recovers the crash, perhaps as a standby does, log by log; what is wrong then, if anything.
fn judge(work: &Work, crash: &Crash, in_steps: bool, totals: &mut Totals) -> Result<(), String> {
    if !crash.attaches() {
        return Ok(());
    }
    let mut recovered = match in_steps {
        true => {
            let (recovered, runs) = recover_in_steps(&work.writer, crash)?;
            totals.runs += runs;
            recovered
        }
        false => recover(&work.writer, crash)?,
    };
    let mut rows = Rows::new();
    for (index, tree) in work.writer.trees().iter().enumerate() {
        // What had not been created yet is not there.
        let created = work.writer.pages_at(crash.records);
        let mut created = created.filter(|page| page.pgno == tree.root && page.is_root());
        if created.next().is_some() {
            read_tree(&mut recovered.database.pages, index, *tree, &mut rows)?;
        }
    }
    totals.crashes += 1;
    totals.pages += recovered.pages;
    totals.rows += rows.len();
    totals.undone += recovered.undone;
    totals.skipped += recovered.counts.total().in_pages;
    compare(&rows, &work.model.committed(crash.records))
}

fn compare(found: &Rows, committed: &Rows) -> Result<(), String> {
    for (row, data) in committed {
        match found.get(row) {
            None => return Err(format!("committed, and not there: {row:02x?}")),
            Some(other) if other != data => {
                return Err(format!(
                    "{row:02x?} is {other:02x?}, and should be {data:02x?}"
                ));
            }
            Some(_) => {}
        }
    }
    let more = found.keys().find(|row| !committed.contains_key(*row));
    more.map_or(Ok(()), |row| {
        Err(format!("never committed, and there: {row:02x?}"))
    })
}

/// The databases that the work begins with, of each page size.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let all = ["clean-p4k", "clean-p8k", "clean-p16k", "clean-p32k"];
    let shipped = ["clean-p4k", "clean-p16k", "clean-p32k"];
    let sets = fixtures::either(&all[..], &shipped).iter();
    sets.map(|set| Base::read(&fixtures::engine_set(set).join("state")))
        .collect()
});

fn workloads() -> u32 {
    let wanted = std::env::var("EDBKIT_WORKLOADS").ok();
    wanted.and_then(|wanted| wanted.parse().ok()).unwrap_or(100)
}

/// Segments of a log: as few as take the largest record, so that there are many logs.
fn segments(base: &Base) -> u16 {
    match base.page_size().bytes() {
        ..=8192 => 12,
        16384 => 16,
        _ => 20,
    }
}

fn tears() -> impl Strategy<Value = Tear> {
    prop_oneof![
        4 => Just(Tear::None),
        1 => Just(Tear::LastSegment),
        3 => (1usize..4).prop_map(Tear::Segments),
    ]
}

fn disks() -> impl Strategy<Value = WrittenPages> {
    prop_oneof![
        1 => Just(WrittenPages::Clean),
        3 => (0u32..3).prop_map(|slack| WrittenPages::Flushed { slack }),
    ]
}

/// What was proved with, over all workloads.
#[derive(Default)]
struct Totals {
    crashes: usize,
    /// Runs of standbys.
    runs: usize,
    pages: usize,
    rows: usize,
    undone: usize,
    skipped: u64,
    types: BTreeMap<RecordType, usize>,
}

/// Records that the work must bring forth, or it proves less than it says.
const NEEDED: [RecordType; 15] = [
    RecordType::Insert,
    RecordType::FlagInsert,
    RecordType::FlagInsertAndReplaceData,
    RecordType::Replace,
    RecordType::ReplaceDelta,
    RecordType::FlagDelete,
    RecordType::Delete,
    RecordType::Delta,
    RecordType::Delta64,
    RecordType::Undo,
    RecordType::UndoInfo,
    RecordType::Split2,
    RecordType::Merge2,
    RecordType::EmptyTree,
    RecordType::ShutDownMark,
];

#[test]
fn a_transaction_may_begin_with_the_first_record_after_an_attach() {
    for base in &*BASES {
        let mut work = Work::begin(base);
        let steps = [Step::Fill(1, 0, 0, 20, 100), Step::Commit(1), Step::Remount];
        steps.iter().for_each(|step| work.step(base, step));
        work.step(base, &Step::Thin(1, 0, 0, 20));
        for page in 0..work.pages().len() {
            work.step(base, &Step::Flush(page as u32));
        }
        let (records, disk) = (
            work.writer.records().len(),
            WrittenPages::Flushed { slack: 0 },
        );
        let crash = base.crash(&work.writer, records, segments(base), Tear::None, disk);
        judge(&work, &crash, true, &mut Totals::default()).unwrap();
    }
}

#[test]
fn recovery_leaves_the_committed_rows() {
    let cut = (any::<Index>(), tears(), disks(), prop::bool::weighted(0.1));
    let cases = (any::<Index>(), steps(), prop::collection::vec(cut, 1..6));
    let totals = Mutex::new(Totals::default());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: workloads(),
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&cases, |(base, steps, cuts)| {
        let base = base.get(&BASES);
        let mut work = Work::begin(base);
        steps.iter().for_each(|step| work.step(base, step));
        let count = work.writer.records().len();
        let last = (
            count - 1,
            Tear::None,
            WrittenPages::Flushed { slack: 0 },
            true,
        );
        let cuts = cuts
            .iter()
            .map(|(at, tear, disk, in_steps)| (at.index(count), *tear, *disk, *in_steps));
        let mut totals = totals.lock().unwrap();
        for (at, tear, disk, in_steps) in cuts.chain([last]) {
            let crash = base.crash(&work.writer, at + 1, segments(base), tear, disk);
            judge(&work, &crash, in_steps, &mut totals).map_err(|what| {
                let place = format!(
                    "{} of {count} records, {tear:?}, {disk:?}, in steps: {in_steps}",
                    crash.records
                );
                TestCaseError::fail(format!("cut at {place}: {what}"))
            })?;
        }
        for record in work.writer.records() {
            let record_type = RecordType::from_number(record[0]).expect("a record type");
            *totals.types.entry(record_type).or_default() += 1;
        }
        Ok(())
    });
    if let Err(problem) = result {
        panic!("{problem}");
    }
    let totals = totals.into_inner().unwrap();
    println!(
        "{} workloads, {} crashes: {} pages after redo as the writer has them, {} rows after undo as the model has \
         them; {} runs log by log; {} operations undone, {} records were in the pages already; {:?}",
        workloads(),
        totals.crashes,
        totals.pages,
        totals.rows,
        totals.runs,
        totals.undone,
        totals.skipped,
        totals.types,
    );
    for needed in NEEDED {
        assert!(
            totals.types.contains_key(&needed),
            "no {needed} was written"
        );
    }
}
