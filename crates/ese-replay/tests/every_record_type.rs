//! Every type of record is proved by a whole replay: by the engine's own sets where they hold it, by logs that are made
//! up here where they do not. A type that changes a database and is proved nowhere fails this test.

mod support;

use ese_format::database::DatabaseState;
use ese_format::page::PageFlags;
use ese_format::record::{
    AttachDb, Begin, ConvertFdp, ConvertFdpFields, DetachDb, DetachDbFlags, ExtentFreed,
    ExtentFreedFields, ExtentFreedFlags, FdpType, FileNames, FreeFdp, Init, MacroInfo, Merge,
    Pgnos, ReAttachDb, Record, RecordFormat, RecordType, Refresh, ScanCheck, Scrub, ScrubFlags,
    Split, Term, TermFields, TrimDb,
};
use ese_format::{Dbtime, Lgpos, ObjId, Pgno, ProcId};
use ese_log::StreamFiles;
use ese_replay::redo::logged_data_checksum;
use ese_testkit::fixtures;
use ese_testkit::writer::crash::{Base, Crash, Tear, WrittenPages};
use ese_testkit::writer::{DBID, MergeKind, Page, Writer};
use rayon::prelude::*;
use std::collections::BTreeMap;
use support::crashes::{Recovered, read_tree, recover};
use support::model::Rows;

/// What a type of record needs to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The sets hold it, and their replay ends with the engine's pages (`page_history`, `soft_recovery`).
    Sets,
    /// The function below that makes logs with it.
    Crafted(&'static str),
    /// It changes nothing; so says the crafted log that holds all of these.
    Nothing,
    /// It belongs to the layout of a log, and replay never sees it.
    Layout,
    /// No reader knows its length.
    Undecodable,
}

fn proof(record_type: RecordType) -> Proof {
    use RecordType as T;
    match record_type {
        T::Begin | T::Commit | T::Rollback | T::Begin0 | T::Commit0 => Proof::Sets,
        T::MacroBegin | T::MacroCommit => Proof::Sets,
        T::CreateDb | T::CreateDbFinish | T::AttachDb | T::SetDbVersion => Proof::Sets,
        T::CreateMultipleExtentFdp | T::CreateSingleExtentFdp | T::ConvertFdp2 => Proof::Sets,
        T::Insert | T::FlagInsert | T::FlagInsertAndReplaceData | T::FlagDelete => Proof::Sets,
        T::Replace | T::ReplaceDelta | T::Delete | T::UndoInfo | T::Undo => Proof::Sets,
        T::Delta | T::Delta64 | T::SetExternalHeader | T::EmptyTree | T::NewPage => Proof::Sets,
        T::Split2 | T::Merge2 | T::PageMove | T::RootPageMove => Proof::Sets,
        T::ExtendDb | T::ShrinkDb3 | T::ScanCheck2 => Proof::Sets,
        T::Init2 | T::Term2 | T::ShutDownMark | T::RecoveryQuit2 => Proof::Sets,
        T::Refresh => Proof::Crafted("refresh"),
        T::MacroAbort => Proof::Crafted("macro_abort"),
        T::BeginDistributed => Proof::Crafted("distributed"),
        T::DetachDb => Proof::Crafted("detach"),
        T::Scrub => Proof::Crafted("scrub"),
        T::ShrinkDb | T::ShrinkDb2 => Proof::Crafted("shrink"),
        T::TrimDb => Proof::Crafted("trim"),
        T::ScanCheck => Proof::Crafted("scan_check"),
        T::ReAttach => Proof::Crafted("reattach"),
        T::RecoveryQuitKeepAttachments => Proof::Crafted("keep_attachments"),
        T::Init | T::Term | T::RecoveryQuit => Proof::Crafted("oldest_start_and_end"),
        T::Split | T::Merge | T::ConvertFdp => Proof::Crafted("oldest_structure"),
        T::Nop | T::End | T::MultiSectorFlush | T::Checksum => Proof::Layout,
        T::FragmentBegin | T::Fragment => Proof::Layout,
        _ if record_type.fixed_size().is_none() => Proof::Undecodable,
        _ => Proof::Nothing,
    }
}

type Crafted = (&'static str, fn(&Base) -> Result<(), String>);

const CRAFTED: [Crafted; 13] = [
    ("refresh", refresh),
    ("macro_abort", macro_abort),
    ("distributed", distributed),
    ("detach", detach),
    ("scrub", scrub),
    ("shrink", shrink),
    ("trim", trim),
    ("scan_check", scan_check),
    ("reattach", reattach),
    ("keep_attachments", keep_attachments),
    ("oldest_start_and_end", oldest_start_and_end),
    ("oldest_structure", oldest_structure),
    ("nothing", nothing),
];

#[test]
fn every_type_is_proved() {
    let names = fixtures::engine_set_names();
    let counts = names.par_iter().map(|name| count(name));
    let counts = counts.reduce(BTreeMap::new, |mut all, more| {
        for (record_type, count) in more {
            *all.entry(record_type).or_default() += count;
        }
        all
    });
    let mut unproved = Vec::new();
    for record_type in RecordType::ALL {
        let proof = proof(record_type);
        let in_sets = counts.get(&record_type).copied().unwrap_or(0);
        let number = record_type.number();
        println!("{number:3} {record_type:10} {in_sets:7} in the sets; proof: {proof:?}");
        let is_proved = match proof {
            Proof::Sets => in_sets > 0,
            Proof::Crafted(name) => CRAFTED.iter().any(|(crafted, _)| *crafted == name),
            _ => true,
        };
        if !is_proved {
            unproved.push(record_type);
        }
    }
    assert!(unproved.is_empty(), "proved nowhere: {unproved:?}");
}

/// Records of a set, by type.
fn count(name: &str) -> BTreeMap<RecordType, u64> {
    let state = fixtures::engine_set(name).join("state");
    let files = StreamFiles::find(&state, None).unwrap();
    let mut records = ese_log::StreamRecords::new(files.in_order().cloned());
    let mut counts = BTreeMap::new();
    while let Ok(Some(raw)) = records.next_record() {
        *counts.entry(raw.kind).or_default() += 1;
    }
    counts
}

#[test]
fn crafted_logs_replay_to_what_they_say() {
    let sets = ["clean-p4k", "clean-p32k"].map(fixtures::engine_set);
    let mut problems = Vec::new();
    for set in &sets {
        let base = Base::read(&set.join("state"));
        for (name, crafted) in CRAFTED {
            if let Err(problem) = crafted(&base) {
                problems.push(format!(
                    "{name}, pages of {}: {problem}",
                    base.page_size().bytes()
                ));
            }
        }
    }
    println!("{} logs over {} databases", CRAFTED.len(), sets.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

const SESSION: u16 = 1;

fn key(number: u32) -> Vec<u8> {
    format!("row {number:04}").into_bytes()
}

fn data(number: u32) -> Vec<u8> {
    vec![number as u8; 40 + number as usize % 60]
}

/// A writer that has made a tree and committed `rows` rows to it.
fn work(base: &Base, rows: u32) -> Writer {
    let mut writer = base.writer();
    writer.create_tree(base.header().last_objid.0 + 1, true, PageFlags::empty());
    writer.begin(SESSION);
    for number in 0..rows {
        writer.insert(SESSION, 0, &key(number), &data(number));
    }
    writer.commit(SESSION);
    writer
}

fn crash(base: &Base, writer: &Writer, disk: WrittenPages) -> Crash {
    base.crash(writer, writer.records().len(), 30, Tear::None, disk)
}

/// Replays everything over the clean database.
fn replayed(base: &Base, writer: &Writer) -> Result<(Recovered, Crash), String> {
    let crash = crash(base, writer, WrittenPages::Clean);
    Ok((recover(writer, &crash)?, crash))
}

/// The numbers of the rows that are there.
fn rows(writer: &Writer, recovered: &mut Recovered) -> Result<Vec<Vec<u8>>, String> {
    let mut rows = Rows::new();
    read_tree(
        &mut recovered.database.pages,
        0,
        writer.trees()[0],
        &mut rows,
    )?;
    Ok(rows.into_keys().map(|(_, key)| key).collect())
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Result<(), String> {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{what}: {found:?}, and should be {wanted:?}")),
    }
}

/// The transaction goes on under another id: it commits as a whole, or is rolled back as a whole.
fn refresh(base: &Base) -> Result<(), String> {
    for commits in [true, false] {
        let mut writer = work(base, 2);
        writer.begin(SESSION);
        writer.insert(SESSION, 0, &key(10), &data(10));
        let record = Refresh {
            procid: ProcId(SESSION),
            trx: 77,
        };
        writer.log(&Record::Refresh(record));
        writer.insert(SESSION, 0, &key(11), &data(11));
        if commits {
            writer.commit(SESSION);
        }
        let (mut recovered, _) = replayed(base, &writer)?;
        let wanted: &[u32] = if commits { &[0, 1, 10, 11] } else { &[0, 1] };
        let wanted: Vec<Vec<u8>> = wanted.iter().map(|number| key(*number)).collect();
        expect("rows", rows(&writer, &mut recovered)?, wanted)?;
        expect("undone", recovered.undone, if commits { 0 } else { 2 })?;
    }
    Ok(())
}

/// A split that is given up leaves the pages as they were.
fn macro_abort(base: &Base) -> Result<(), String> {
    let mut writer = work(base, 2);
    writer.begin(SESSION);
    let mut other = writer.clone();
    let mut number = 100;
    let of_macro = loop {
        let before = other.records().len();
        other.insert(
            SESSION,
            0,
            &key(number),
            &vec![7; base.page_size().as_usize() / 5],
        );
        let new = &other.records()[before..];
        if new
            .iter()
            .any(|record| record[0] == RecordType::Split2.number())
        {
            break new.to_vec();
        }
        writer.insert(
            SESSION,
            0,
            &key(number),
            &vec![7; base.page_size().as_usize() / 5],
        );
        number += 1;
    };
    // All of the macro but its commit, and an abort in its place.
    let end = of_macro
        .iter()
        .position(|record| record[0] == RecordType::MacroCommit.number());
    for record in &of_macro[..end.ok_or("no macro")?] {
        if record[0] != RecordType::NewPage.number() {
            writer.append(record.clone());
        }
    }
    let mut abort = of_macro[end.unwrap()].clone();
    abort[0] = RecordType::MacroAbort.number();
    writer.append(abort);
    writer.commit(SESSION);
    let (mut recovered, _) = replayed(base, &writer)?;
    expect(
        "rows",
        rows(&writer, &mut recovered)?.len() as u32,
        2 + number - 100,
    )?;
    let counts = recovered.counts.types[&RecordType::Split2];
    expect("splits deferred", counts.deferred > 0, true)
}

/// A distributed transaction begins as any other.
fn distributed(base: &Base) -> Result<(), String> {
    for commits in [true, false] {
        let mut writer = work(base, 2);
        let at = writer.records().len();
        writer.begin(SESSION);
        let begin = Begin {
            procid: ProcId(SESSION),
            level_from: 0,
            levels: 1,
            trx: Some(99),
        };
        let record = Record::BeginDistributed(begin)
            .encode()
            .map_err(|error| error.to_string())?;
        writer.rewrite(at, record);
        writer.insert(SESSION, 0, &key(10), &data(10));
        if commits {
            writer.commit(SESSION);
        }
        let (mut recovered, _) = replayed(base, &writer)?;
        let count = rows(&writer, &mut recovered)?.len();
        expect("rows", count, if commits { 3 } else { 2 })?;
    }
    Ok(())
}

fn names() -> Vec<u8> {
    "written.edb\0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// A detached database is clean as of the detach, and what follows is not for it.
fn detach(base: &Base) -> Result<(), String> {
    let mut writer = work(base, 5);
    writer.extend();
    writer.shrink(Record::ShrinkDb2);
    let at = writer.records().len();
    let names = names();
    writer.log(&Record::DetachDb(DetachDb {
        procid: ProcId(SESSION),
        dbid: DBID,
        detach_flags: DetachDbFlags::UNICODE_NAMES,
        names: FileNames {
            unicode: true,
            bytes: &names,
        },
    }));
    let mut other = writer.clone();
    other.begin(SESSION);
    other.insert(SESSION, 0, &key(10), &data(10));
    other.commit(SESSION);
    for record in &other.records()[at + 1..] {
        writer.append(record.clone());
    }
    let (mut recovered, crash) = replayed(base, &writer)?;
    let header = &recovered.database.header;
    expect("state", header.state, DatabaseState::CLEAN_SHUTDOWN)?;
    expect("consistent", header.last_consistent, crash.places[at])?;
    expect("detached", header.last_detach, crash.places[at])?;
    expect(
        "last page",
        recovered.database.pages.last(),
        Pgno(writer.last_page()),
    )?;
    expect("rows", rows(&writer, &mut recovered)?.len(), 5)
}

/// Deleted data is overwritten, on a page in use and on one that is not.
fn scrub(base: &Base) -> Result<(), String> {
    let mut writer = work(base, 4);
    writer.begin(SESSION);
    writer.delete(SESSION, 0, &key(1), &[]);
    writer.delete(SESSION, 0, &key(2), &[]);
    writer.commit(SESSION);
    let unused = empty_page(&mut writer, base)?;
    let page = writer.leaf_of(0, &key(0));
    let operations = [0, 1, 2, 0];
    let fill = |pages: &mut [Page]| {
        pages[0].lines[1].data.fill(b'D');
        pages[0].lines[2].data.fill(b'L');
        pages[0].lines[2].data[0] = 0x20;
        pages[0].flags |= PageFlags::SCRUBBED;
    };
    let node = writer.node(0);
    writer.craft(0, &[page], fill, |page, _| {
        Record::Scrub(Scrub {
            page,
            node,
            scrub_flags: ScrubFlags::empty(),
            operation_count: 4,
            operations: &operations,
        })
    });
    let fill = |pages: &mut [Page]| pages[0].flags |= PageFlags::SCRUBBED;
    writer.craft(0, &[unused], fill, |page, _| {
        Record::Scrub(Scrub {
            page,
            node,
            scrub_flags: ScrubFlags::UNUSED_PAGE,
            operation_count: 0,
            operations: &[],
        })
    });
    let (mut recovered, _) = replayed(base, &writer)?;
    let page = recovered
        .database
        .pages
        .get(Pgno(unused))
        .map_err(|error| error.to_string())?;
    let bytes = page.bytes();
    let behind = &bytes[base.page_size().header_size()..bytes.len() - 4];
    expect(
        "bytes of the unused page",
        behind.iter().all(|byte| *byte == b'U'),
        true,
    )
}

/// A page that a merge left over.
fn empty_page(writer: &mut Writer, base: &Base) -> Result<u32, String> {
    let large = vec![9; base.page_size().as_usize() / 5];
    writer.begin(SESSION);
    for number in 100..120 {
        writer.insert(SESSION, 0, &key(number), &large);
    }
    let leaf = writer.leaf_of(0, &key(108));
    for number in 100..120 {
        if writer.leaf_of(0, &key(number)) == leaf {
            writer.delete(SESSION, 0, &key(number), &[]);
        }
    }
    writer.commit(SESSION);
    match writer.merge(0, &key(108), MergeKind::Empty) {
        true => Ok(leaf),
        false => Err("no page could be emptied".to_owned()),
    }
}

/// The file is cut and grows again: what was after the cut is gone. Over a database whose header says that it was
/// resized later, nothing is cut.
fn shrink(base: &Base) -> Result<(), String> {
    for form in [Record::ShrinkDb, Record::ShrinkDb2] {
        let mut writer = work(base, 5);
        writer.extend();
        let last = writer.last_page();
        writer.shrink(form);
        let (recovered, _) = replayed(base, &writer)?;
        expect(
            "last page",
            recovered.database.pages.last(),
            Pgno(writer.last_page()),
        )?;
        expect("pages cut", writer.last_page() < last, true)?;
        writer.extend();
        writer.begin(SESSION);
        for number in 200..240 {
            writer.insert(
                SESSION,
                0,
                &key(number),
                &vec![1; base.page_size().as_usize() / 5],
            );
        }
        writer.commit(SESSION);
        for disk in [WrittenPages::Clean, WrittenPages::Flushed { slack: 0 }] {
            let pages: Vec<u32> = writer.pages_at(usize::MAX).map(|page| page.pgno).collect();
            pages.into_iter().for_each(|pgno| writer.flush(pgno));
            let crash = crash(base, &writer, disk);
            let mut recovered = recover(&writer, &crash)?;
            expect(
                "last page",
                recovered.database.pages.last(),
                Pgno(writer.last_page()),
            )?;
            expect("rows", rows(&writer, &mut recovered)?.len(), 45)?;
        }
    }
    Ok(())
}

/// Pages given back to the file system read as zeroes.
fn trim(base: &Base) -> Result<(), String> {
    let mut writer = work(base, 5);
    let trimmed = empty_page(&mut writer, base)?;
    let pgno_first = Pgno(trimmed);
    let record = TrimDb {
        dbid: DBID,
        pgno_first,
        page_count: 1,
    };
    writer.log(&Record::TrimDb(record));
    writer.lose(trimmed, 1);
    let (recovered, _) = replayed(base, &writer)?;
    expect(
        "trims in the header",
        recovered.database.header.trim_count,
        1,
    )?;
    let mut file = recovered
        .database
        .pages
        .finish()
        .map_err(|error| error.to_string())?;
    let mut page = vec![1; base.page_size().as_usize()];
    let there = file
        .read_page(pgno_first, &mut page)
        .map_err(|error| error.to_string())?;
    expect("zeroes", there && page.iter().all(|byte| *byte == 0), true)
}

/// What a scan of the writing machine saw is compared: dbtime, and a checksum of 16 bits.
fn scan_check(base: &Base) -> Result<(), String> {
    for (wrong, divergences) in [(0, 0), (1, 1)] {
        let mut writer = work(base, 5);
        let pgno = writer.leaf_of(0, &key(0));
        let page = writer.page(pgno);
        let bytes = page.to_bytes();
        let view = ese_format::page::PageView::new(Pgno(pgno), &bytes).unwrap();
        let dbtime = Dbtime(page.dbtime);
        let current = writer.dbtime();
        let sum = logged_data_checksum(view) ^ current.rotate_left((current & 0x1f) as u32);
        let sum = (sum >> 32) as u32 ^ sum as u32;
        let record = ScanCheck {
            dbid: DBID,
            pgno: Pgno(pgno),
            dbtime_page: dbtime,
            dbtime_current: Dbtime(0),
            dbtime_before: dbtime,
            dbtime_after: Dbtime(current),
            checksum: ((sum >> 16) ^ (sum & 0xffff)) as u16 ^ wrong,
        };
        writer.log(&Record::ScanCheck(record));
        let (recovered, crash) = replayed(base, &writer)?;
        let found = recovered.divergences;
        expect("divergences", found.len(), divergences)?;
        if let [found] = &found[..] {
            let place = (found.pgno, Some(&found.lgpos));
            expect("divergence", place, (Pgno(pgno), crash.places.last()))?;
        }
    }
    Ok(())
}

/// The header tells where a kept attachment went on.
fn reattach(base: &Base) -> Result<(), String> {
    let mut writer = work(base, 5);
    let at = writer.records().len();
    writer.log(&Record::ReAttach(ReAttachDb {
        dbid: DBID,
        lgpos_attach: Lgpos::NULL,
        lgpos_consistent: Lgpos::NULL,
        signature: base.header().signature,
    }));
    writer.begin(SESSION);
    writer.insert(SESSION, 0, &key(10), &data(10));
    writer.commit(SESSION);
    let (mut recovered, crash) = replayed(base, &writer)?;
    let header = &recovered.database.header;
    expect("reattached", header.last_reattach, crash.places[at])?;
    expect("rows", rows(&writer, &mut recovered)?.len(), 6)
}

fn term() -> TermFields {
    TermFields {
        lgpos_undo: Lgpos::NULL,
        lgpos_redo_from: Lgpos::NULL,
        hard: 0,
    }
}

/// A recovery that keeps its databases attached ends all sessions, and the database goes on being used.
fn keep_attachments(base: &Base) -> Result<(), String> {
    let mut writer = work(base, 5);
    writer.log(&Record::RecoveryQuitKeepAttachments(Term {
        term: term(),
        time: Some(Default::default()),
    }));
    writer.begin(SESSION);
    writer.insert(SESSION, 0, &key(10), &data(10));
    writer.commit(SESSION);
    writer.begin(SESSION);
    writer.insert(SESSION, 0, &key(11), &data(11));
    let (mut recovered, crash) = replayed(base, &writer)?;
    expect("undone", recovered.undone, 1)?;
    let consistent = recovered.database.header.last_consistent;
    expect(
        "consistent at the end",
        consistent > *crash.places.last().unwrap(),
        true,
    )?;
    expect("rows", rows(&writer, &mut recovered)?.len(), 6)
}

/// The forms of start and end that carry no time: a database is clean as of the mark of the shutdown, and is attached
/// again by a record that names this place.
fn oldest_start_and_end(base: &Base) -> Result<(), String> {
    type Ending = fn(Term) -> Record<'static>;
    let endings: [Ending; 2] = [Record::Term, Record::RecoveryQuit];
    for ending in endings {
        let mut writer = work(base, 5);
        let start = writer.records()[0].clone();
        let mark = writer.records().len();
        writer.log(&Record::ShutDownMark);
        let end = Term {
            term: term(),
            time: None,
        };
        writer.log(&ending(end));
        let (recovered, crash) = replayed(base, &writer)?;
        let header = &recovered.database.header;
        expect("state", header.state, DatabaseState::CLEAN_SHUTDOWN)?;
        expect("consistent", header.last_consistent, crash.places[mark])?;

        let decoded = Record::decode(&start, 0, RecordFormat::NEWEST);
        let Ok((Record::Init2(init), _)) = decoded else {
            return Err(format!("{decoded:?}"));
        };
        writer.log(&Record::Init(Init { time: None, ..init }));
        let decoded = writer.records()[1].clone();
        let decoded = Record::decode(&decoded, 0, RecordFormat::NEWEST);
        let Ok((Record::AttachDb(attach), _)) = decoded else {
            return Err(format!("{decoded:?}"));
        };
        let at = writer.records().len();
        writer.log(&Record::AttachDb(AttachDb {
            lgpos_consistent: crash.places[mark],
            ..attach
        }));
        writer.begin(SESSION);
        writer.insert(SESSION, 0, &key(10), &data(10));
        writer.commit(SESSION);
        let (mut recovered, crash) = replayed(base, &writer)?;
        expect(
            "attached",
            recovered.database.header.last_attach,
            crash.places[at],
        )?;
        expect("rows", rows(&writer, &mut recovered)?.len(), 6)?;
    }
    Ok(())
}

/// Splits, merges and conversions without images of pages are passed over where the pages have them, and refused where
/// they have not.
fn oldest_structure(base: &Base) -> Result<(), String> {
    for record_type in [RecordType::Split, RecordType::Merge, RecordType::ConvertFdp] {
        let mut writer = work(base, 5);
        match record_type {
            RecordType::ConvertFdp => convert(&mut writer),
            _ => drop(empty_page(&mut writer, base)?),
        }
        make_older(&mut writer, record_type)?;
        let pages: Vec<u32> = writer.pages_at(usize::MAX).map(|page| page.pgno).collect();
        pages.into_iter().for_each(|pgno| writer.flush(pgno));
        let mut recovered = recover(
            &writer,
            &crash(base, &writer, WrittenPages::Flushed { slack: 9 }),
        )?;
        let read = recovered.counts.types[&record_type].read;
        expect("records of the type", read > 0, true)?;
        if record_type != RecordType::ConvertFdp {
            expect("rows", rows(&writer, &mut recovered)?.len() > 5, true)?;
        }
        let refused = recover(&writer, &crash(base, &writer, WrittenPages::Clean)).err();
        let refused = refused.ok_or(format!("{record_type} was applied"))?;
        expect("-514 in the error", refused.contains("-514"), true)?;
    }
    Ok(())
}

/// Rewrites all splits, or merges, to their oldest form.
fn make_older(writer: &mut Writer, record_type: RecordType) -> Result<(), String> {
    for index in 0..writer.records().len() {
        let bytes = writer.records()[index].clone();
        let decoded = Record::decode(&bytes, 0, RecordFormat::NEWEST);
        let (record, _) = decoded.map_err(|error| error.to_string())?;
        let before_image = None;
        let older = match record {
            Record::Split2(record) if record_type == RecordType::Split => Record::Split(Split {
                before_image,
                ..record
            }),
            Record::Merge2(record) if record_type == RecordType::Merge => Record::Merge(Merge {
                before_image,
                ..record
            }),
            _ => continue,
        };
        writer.rewrite(index, older.encode().map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// A tree gets space trees, in the form of before 7.3704.7.
fn convert(writer: &mut Writer) {
    let tree = writer.trees()[0];
    let (oe, ae) = (
        writer.allocate(SESSION, tree.objid),
        writer.allocate(SESSION, tree.objid),
    );
    let space = PageFlags::ROOT | PageFlags::LEAF | PageFlags::SPACE_TREE;
    let change = |pages: &mut [Page]| {
        for page in &mut pages[1..] {
            page.flags = space | PageFlags::NEW_RECORD_FORMAT;
            page.header = vec![0; 16];
        }
    };
    writer.craft(0, &[tree.root, oe, ae], change, |page, tree| {
        Record::ConvertFdp(ConvertFdp {
            page,
            convert: ConvertFdpFields {
                objid: ObjId(tree.objid),
                pgno_oe: Pgno(oe),
                pgno_ae: Pgno(ae),
                pgno_fdp_parent: Pgno(1),
                pgno_secondary: Pgno(oe),
                primary_page_count: 1,
                secondary_page_count: 2,
            },
            extra: None,
        })
    });
}

/// All types that inform and change nothing, between two transactions.
fn nothing(base: &Base) -> Result<(), String> {
    let mut writer = work(base, 5);
    let root = Pgno(writer.trees()[0].root);
    let mut logged = Vec::new();
    for record_type in RecordType::ALL
        .into_iter()
        .filter(|kind| proof(*kind) == Proof::Nothing)
    {
        let extent = ExtentFreedFields {
            dbid: DBID,
            pgno_first: root,
            page_count: 1,
            extent_flags: ExtentFreedFlags::TABLE_ROOT,
        };
        let pages = Pgnos {
            bytes: &root.0.to_le_bytes(),
        };
        let record = match record_type {
            RecordType::ExtentFreed => Some(Record::ExtentFreed(ExtentFreed {
                extent,
                dbtime: None,
            })),
            RecordType::ExtentFreed2 => Some(Record::ExtentFreed2(ExtentFreed {
                extent,
                dbtime: Some(Dbtime(1)),
            })),
            RecordType::MacroInfo => Some(Record::MacroInfo(MacroInfo { dbid: DBID, pages })),
            RecordType::MacroInfo2 => Some(Record::MacroInfo2(MacroInfo { dbid: DBID, pages })),
            RecordType::FreeFdp => Some(Record::FreeFdp(FreeFdp {
                dbid: DBID,
                pgno_fdp: root,
                trx: 1,
                fdp_type: FdpType::Table,
            })),
            _ => None,
        };
        match record {
            Some(record) => writer.log(&record),
            None => {
                let mut bytes = blank(record_type);
                if record_type == RecordType::PagePatchRequest {
                    bytes[1] = DBID;
                    bytes[2..6].copy_from_slice(&root.0.to_le_bytes());
                }
                writer.append(bytes);
            }
        }
        logged.push(record_type);
    }
    writer.begin(SESSION);
    writer.insert(SESSION, 0, &key(10), &data(10));
    writer.commit(SESSION);
    let (mut recovered, _) = replayed(base, &writer)?;
    let types = &recovered.counts.types;
    for record_type in logged {
        let counts = types.get(&record_type).copied().unwrap_or_default();
        expect(
            record_type.dump_name(),
            (counts.read > 0, counts.applied),
            (true, 0),
        )?;
    }
    expect("rows", rows(&writer, &mut recovered)?.len(), 6)
}

/// A record of nothing but zeroes.
fn blank(record_type: RecordType) -> Vec<u8> {
    let mut bytes = vec![0; record_type.fixed_size().expect("a size")];
    bytes[0] = record_type.number();
    if record_type.is_ignorable() {
        bytes[1] = 64;
        bytes.resize(bytes.len() + 64, 0);
    }
    bytes
}
