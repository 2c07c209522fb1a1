//! What a transaction takes of memory while it is open: what it changed must stay possible to undo until it ends, and is
//! held beside the pages that `--memory` is for.
//!
//! The replay is done by this program in a process of its own, so that the peak is its alone.

mod support;

use ese_format::page::PageFlags;
use ese_format::record::{Insert, Macro, PageOp, PageOpFlags, Record};
use ese_format::{Dbtime, Pgno, ProcId};
use ese_testkit::fixtures;
use ese_testkit::writer::DBID;
use ese_testkit::writer::crash::{Base, Tear, WrittenPages};
use std::path::Path;
use std::process::Command;

/// Rows that one transaction replaces.
const ROWS: u32 = 40_000;
/// Bytes of each.
const SIZE: usize = 400;
const SEGMENTS: u16 = 512;
const SESSION: u16 = 1;
/// The folder that the second process is to recover.
const CHILD: &str = "EDBKIT_REPLAY_CHILD";

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

#[test]
fn an_open_transaction_takes_what_it_changed_and_little_more() {
    if !Path::new("/proc/self/status").exists() {
        return;
    }
    let base = Base::read(&fixtures::testdata_set("clean-p4k").join("state"));
    let mut writer = base.writer();
    writer.expect_much();
    writer.create_tree(base.header().last_objid.0 + 1, true, PageFlags::empty());
    for number in 0..ROWS {
        if number % 1000 == 0 {
            writer.begin(SESSION);
        }
        writer.insert(SESSION, 0, &key(number), &[number as u8; SIZE]);
        if number % 1000 == 999 {
            writer.commit(SESSION);
        }
    }
    let committed = writer.records().len();
    writer.begin(SESSION);
    for number in 0..ROWS {
        writer.replace(SESSION, 0, &key(number), &[!number as u8; SIZE]);
    }
    let [without, with] = [committed, writer.records().len()].map(|records| {
        let crash = base.crash(&writer, records, SEGMENTS, Tear::None, WrittenPages::Clean);
        peak_of(crash.folder.path())
    });
    let each = (with - without) / u64::from(ROWS);
    println!(
        "{} MiB without the open transaction, {} MiB with it: {each} bytes for each of {ROWS} rows of {SIZE} bytes",
        without >> 20,
        with >> 20
    );
    assert!(each > SIZE as u64 / 2, "the measurement shows nothing");
    assert!(each < SIZE as u64 + 400, "{each} bytes for each row");
}

/// Records wait in memory for the commit of their macro operation. A log that begins one and fills gigabytes is refused.
#[test]
fn a_macro_operation_without_end_is_refused() {
    let base = Base::read(&fixtures::testdata_set("clean-p4k").join("state"));
    let mut writer = base.writer();
    let tree = writer.create_tree(base.header().last_objid.0 + 1, true, PageFlags::empty());
    writer.begin(SESSION);
    let (procid, dbtime) = (ProcId(SESSION), Dbtime(writer.dbtime() + 1));
    writer.log(&Record::MacroBegin(Macro { procid, dbtime }));
    let page = PageOp {
        procid,
        dbid: DBID,
        pgno: Pgno(writer.trees()[tree].root),
        dbtime,
        dbtime_before: Dbtime(0),
        trx: 0,
        level: 1,
        iline: 0,
        flags: PageOpFlags::empty(),
    };
    let data = vec![7; 60_000];
    let record = Record::Insert(Insert {
        page,
        node: writer.node(tree),
        key_prefix: &[],
        key_suffix: &[],
        data: &data,
    });
    for _ in 0..1200 {
        writer.log(&record);
    }
    let count = writer.records().len();
    let crash = base.crash(&writer, count, SEGMENTS, Tear::None, WrittenPages::Clean);
    let refused = support::crashes::recover(&writer, &crash).err();
    let refused = refused.expect("it is too much");
    assert!(
        refused.contains("wait for a commit") && refused.contains("-501"),
        "{refused}"
    );
}

/// Peak of the memory of a process that recovers what is in the folder.
fn peak_of(folder: &Path) -> u64 {
    let itself = std::env::current_exe().unwrap();
    let done = Command::new(itself)
        .args(["--exact", "the_second_process", "--nocapture"])
        .env(CHILD, folder)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{words}");
    let peak = words
        .lines()
        .find_map(|line| line.split("VmHWM:").nth(1)?.split_whitespace().next());
    peak.expect("a peak").parse::<u64>().unwrap() << 10
}

/// Does nothing but in the second process.
#[test]
fn the_second_process() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let folder = Path::new(&folder);
    support::crashes::replay_small(&folder.join("written.edb"), folder).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("{}", peak.unwrap());
}
