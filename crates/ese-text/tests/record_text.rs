//! The text of record types that no fixture holds, as the reference's own checks and format strings give it
//! (`LrToSz` and the unit tests behind it, `ese/logapi.cxx`).

use ese_format::record::*;
use ese_format::{Dbtime, Generation, Lgpos, LogTime, ObjId, Pgno, ProcId, Record, RecordFormat};

/// Writes the record, reads it back and compares its text.
fn check(record: Record<'_>, text: &str) {
    let bytes = record.encode().unwrap();
    let (decoded, size) = Record::decode(&bytes, 0, RecordFormat::NEWEST).unwrap();
    assert_eq!((decoded, size), (record, bytes.len()));
    assert_eq!(ese_text::record(&decoded).to_string(), text);
}

fn page() -> PageOp {
    PageOp {
        procid: ProcId(0x1c),
        dbid: 3,
        pgno: Pgno(77),
        dbtime: Dbtime(0xabc),
        dbtime_before: Dbtime(0xab0),
        trx: 0x99,
        level: 2,
        iline: 5,
        flags: PageOpFlags::UNIQUE | PageOpFlags::SPACE | PageOpFlags::SYSTEM_TASK,
    }
}

const NODE: NodeOp = NodeOp {
    rceid: 41,
    pgno_fdp: Pgno(70),
    objid: ObjId(12),
};

fn time() -> LogTime {
    LogTime::from_timestamp("2007-03-04T05:06:07.089Z".parse().unwrap())
}

#[test]
fn size_of_the_file() {
    let shrink = ShrinkDbFields {
        dbid: 7,
        pgno_last: Pgno(1234),
        page_count: 567,
    };
    let old = ShrinkDb {
        shrink,
        dbtime: None,
    };
    check(Record::ShrinkDb(old), "ShrinkDB  [7:1234:567]");
    check(Record::ShrinkDb2(old), "ShrinkDB2 [7:1234:567]");
    let new = ShrinkDb {
        shrink,
        dbtime: Some(Dbtime(8910)),
    };
    check(Record::ShrinkDb3(new), "ShrinkDB3 22ce[7:1234:567]");
    let extend = ExtendDb {
        dbid: 7,
        pgno_last: Pgno(1234),
    };
    check(Record::ExtendDb(extend), "ExtendDB  [7:1234]");
    let trim = TrimDb {
        dbid: 7,
        pgno_first: Pgno(1234),
        page_count: 5,
    };
    check(
        Record::TrimDb(trim),
        "TrimDB    [7:1234+5] ([7:1235] [7:1236] [7:1237] [7:1238] )",
    );
}

#[test]
fn use_of_pages() {
    let extent = ExtentFreedFields {
        dbid: 1,
        pgno_first: Pgno(100),
        page_count: 1,
        extent_flags: ExtentFreedFlags::TABLE_ROOT,
    };
    let freed = ExtentFreed {
        extent,
        dbtime: None,
    };
    check(
        Record::ExtentFreed(freed),
        "ExtFreed  ffffffffffffffff [1:100+1],[R] ()",
    );
    let extent = ExtentFreedFields {
        dbid: 2,
        pgno_first: Pgno(50),
        page_count: 8,
        extent_flags: ExtentFreedFlags::EMPTY_PAGE_FDP_DELETED,
    };
    let freed = ExtentFreed {
        extent,
        dbtime: Some(Dbtime(151_238)),
    };
    check(
        Record::ExtentFreed2(freed),
        "ExtFreed2 24ec6 [2:50+8],[E] ([2:51] [2:52] [2:53] [2:54] [2:55] [2:56] [2:57] )",
    );
    let request = [66, 1, 2, 0, 0, 0, 0x4a, 0x23, 1, 0, 0, 0, 0, 0];
    let request = [&request[..], &[0; 32]].concat();
    let (request, _) = Record::decode(&request, 0, RecordFormat::NEWEST).unwrap();
    check(request, "PagePatch 1234a,[1:2]");
    let scan = ScanCheck {
        dbid: 1,
        pgno: Pgno(9),
        dbtime_page: Dbtime(0),
        dbtime_current: Dbtime(0),
        dbtime_before: Dbtime(0x49),
        dbtime_after: Dbtime(0xf2c),
        checksum: 0x1234,
    };
    check(Record::ScanCheck(scan), "ScanCheck f2c,49[1:9]");
}

#[test]
fn nodes_and_trees() {
    let scrub = Scrub {
        page: page(),
        node: NODE,
        scrub_flags: ScrubFlags::UNUSED_PAGE,
        operation_count: 3,
        operations: &[0, 1, 2],
    };
    check(
        Record::Scrub(scrub),
        "Scrub     abc,ab0,99:2(1c,[3:77],U:SP:SYS,unused page,3,    3)00 01 02 ",
    );
    let merge = MergeFields {
        pgno_right: Pgno(78),
        dbtime_right_before: Dbtime(0xa1),
        pgno_left: Pgno(0),
        dbtime_left_before: Dbtime::NIL,
        pgno_parent: Pgno(70),
        dbtime_parent_before: Dbtime(0xa2),
        pgno_fdp: Pgno(70),
        objid: ObjId(12),
        size_total: 300,
        size_max_total: 310,
        uncommitted_free_dest: 7,
        iline_merge: 4,
        merge_flags: MergeFlags::KEY_CHANGE,
        merge_type: MergeType::PartialRight,
    };
    let merge = Merge {
        page: page(),
        merge,
        separator_key: b"\x7f\x01",
        before_image: None,
    };
    check(
        Record::Merge(merge),
        "Merge     abc,ab0,99:2(1c,merge:[3:77:4],right:a1,[3:78],left:0,[3:0],parent:a2,[3:70],\
         U:SP:SYS:KC:NEP:ND:PartialRight,size:300,maxsize:310,uncfree:7,beforeImage:0[])7F 01 ",
    );
    let convert = ConvertFdpFields {
        objid: ObjId(12),
        pgno_oe: Pgno(80),
        pgno_ae: Pgno(81),
        pgno_fdp_parent: Pgno(1),
        pgno_secondary: Pgno(80),
        primary_page_count: 1,
        secondary_page_count: 4,
    };
    let convert = ConvertFdp {
        page: page(),
        convert,
        extra: None,
    };
    check(
        Record::ConvertFdp(convert),
        "Convert   abc,ab0,99:2(1c,[3:77],[3:1],[12],+1,[3:80],+4,U:SYS)",
    );
}

#[test]
fn transactions() {
    let refresh = Refresh {
        procid: ProcId(0x1c),
        trx: 0x99,
    };
    check(Record::Refresh(refresh), "Refresh   (1c,99)");
    let force = ForceWriteLog {
        procid: ProcId(0x1c),
    };
    check(Record::ForceWriteLog(force), "FWriteLog (1c)");
    let context = CommitContext {
        procid: ProcId(0x1c),
        context_flags: Some(CommitContextFlags::all()),
        data: b"\x0a\x0b",
    };
    check(Record::CommitContext(context), "CommitCtx (1c) [CRP]0A 0B ");
}

#[test]
fn the_engine_and_its_stream() {
    let term = TermFields {
        lgpos_undo: Lgpos::new(0x1a, 2, 0x30),
        lgpos_redo_from: Lgpos::new(0x19, 1, 0),
        hard: 1,
    };
    check(Record::Term(Term { term, time: None }), "Term     ");
    check(
        Record::RecoveryUndo(RecoveryUndo { time: None }),
        "RcvUndo  ",
    );
    let quit =
        "\n      Quit on Hard Restore.\n      RedoFrom:(19,1,0)\n      UndoRecordFrom:(1A,2,30)";
    check(
        Record::RecoveryQuit(Term { term, time: None }),
        &format!("RcvQuit  {quit}"),
    );
    check(
        Record::RecoveryQuitKeepAttachments(Term {
            term,
            time: Some(time()),
        }),
        &format!("RcvQKA    (3/4/2007 5:06:07.089){quit}"),
    );
    let flush = MultiSectorFlush {
        forward_byte: 0x1f,
        checksum: 99,
        forward_sector: 0xa,
    };
    check(
        Record::MultiSectorFlush(flush),
        "MS        (A,1F checksum 99)",
    );
    let fragment = FragmentBegin {
        total_size: 5000,
        data: &[29, 0, 0],
    };
    check(
        Record::FragmentBegin(fragment),
        "FragBegin (Total 5000 bytes, current 3 bytes, lrtyp Insert   )",
    );
    check(
        Record::Fragment(Fragment { data: b"ab" }),
        "FragContd (2 bytes)",
    );
}

#[test]
fn backups() {
    let backup = BackupFields {
        phase: BackupPhase::Truncate,
        backup_type: BackupType::Surrogate,
        scope: BackupScope::Differential,
        dbid: 1,
        lgpos_mark: Lgpos::new(0xb, 0x1f, 0x2a),
        time_mark: time(),
        generation_low: Generation(10),
        generation_high: Generation(12),
        reserved: 0,
    };
    check(
        Record::Backup2(Backup {
            backup,
            path: Ascii(b"D:\\bk"),
        }),
        "Backup2   Truncate( Surrogate:Differential, dbid=1, \
         phaseDetails[(B,1F,2A),(3/4/2007 5:06:07.089),(10,12)] ) D:\\bk",
    );
    let old = BackupOld {
        backup_type: BackupOldType::TruncateLogs,
        reserved: 0,
        path: Ascii(b""),
    };
    check(Record::Backup(old), "Backup    TruncateLogs");
    let names = FileNames {
        unicode: false,
        bytes: b"Instance\0D:\\logs\\\0",
    };
    check(
        Record::ExternalRestore(ExternalRestore { names }),
        "ExtRest   (Instance,D:\\logs\\)",
    );
    let names = FileNames {
        unicode: true,
        bytes: b"I\0\0\0D\0:\0\0\0",
    };
    check(
        Record::ExternalRestore2(ExternalRestore { names }),
        "ExtRest2  (I,D:)",
    );
}
