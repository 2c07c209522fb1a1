//! One of each error that a library can end with.

use edb_copy::{CopyError, Mismatch};
use ese_case::collect::CollectError;
use ese_db::DbError;
use ese_db::space::CutOff;
use ese_export::ExportError;
use ese_format::log::NEWEST_LOG_VERSION;
use ese_format::page::PageError;
use ese_format::{
    Dbtime, Explain, FormatError, Generation, JetError, Lgpos, ObjId, Pgno, RecordError, Signature,
};
use ese_log::chain::attached::LostAttach;
use ese_log::{HeaderProblem, LogError, Moment};
use ese_replay::Problem;
use ese_replay::as_of::{AsOfError, Place};
use ese_replay::output::OutputError;
use ese_replay::page_files::OverlayError;
use ese_replay::recovery::{Interval, LostEnd, PlanRefusal, RecoveryError};
use ese_replay::view::ViewError;
use ese_scan::{PageFinding, PageFindingKind, Position, ScanError};
use ese_timeline::TellError;
use evidence::EvidenceError;
use evidence::{ReadError, ReadErrorKind};
use standby::activate::ActivateError;
use standby::replay::ReplayFailure;
use standby::{BringError, StandbyError};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// An error with its name.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) error: Box<dyn Explain>,
}

/// One of each variant: a variant that is not named here does not compile.
macro_rules! every {
    ($enum:ident { $($variant:ident: $sample:expr,)* } $(but { $($other:ident,)* })?) => {{
        let _each_is_named = |error: &$enum| match error {
            $($enum::$variant { .. } => {})*
            $($($enum::$other { .. } => {})*)?
        };
        vec![$(Named {
            name: concat!(stringify!($enum), "::", stringify!($variant)),
            error: Box::new($sample),
        }),*]
    }};
}

fn path() -> PathBuf {
    PathBuf::from("FILE")
}

fn full() -> io::Error {
    ErrorKind::StorageFull.into()
}

fn gone() -> EvidenceError {
    EvidenceError::Io {
        path: path(),
        source: ErrorKind::NotFound.into(),
    }
}

fn format_error() -> FormatError {
    FormatError::invalid("a field", 0, 1, 2)
}

fn bad_page() -> PageFinding {
    PageFinding {
        position: Position::Page(5),
        offset: 0,
        kind: PageFindingKind::BlankHeader,
    }
}

fn after_end() -> AsOfError {
    AsOfError::AfterEnd {
        path: path(),
        asked: Moment::Generation(Generation(2)),
        last: place(),
    }
}

fn place() -> Place {
    Place {
        lgpos: Lgpos::new(1, 8, 0),
        logged: Interval::default(),
    }
}

fn refusal(is_lossy: bool) -> RecoveryError {
    RecoveryError::Refused(Box::new(PlanRefusal {
        path: path(),
        reasons: String::new(),
        advice: Vec::new(),
        jet: JetError::REQUIRED_LOG_FILES_MISSING,
        is_lossy,
    }))
}

/// All of them, crate by crate.
pub(crate) fn errors() -> Vec<Named> {
    let jet = JetError::LOG_FILE_CORRUPT;
    let generation = Generation(1);
    let lgpos = Lgpos::new(1, 8, 0);
    let (pgno, objid) = (Pgno(5), ObjId(2));
    let signature = Signature::default();
    let mut all = every!(EvidenceError {
        Io: gone(),
        NotAFile: EvidenceError::NotAFile {
            path: path(),
            kind: "a device"
        },
        Shrank: EvidenceError::Shrank {
            path: path(),
            offset: 0,
            needed: 1,
            available: 0
        },
    });
    all.extend(every!(LogError {
        Io: LogError::Io {
            path: path(),
            source: ErrorKind::PermissionDenied.into()
        },
        File: LogError::File(gone()),
        TooLarge: LogError::TooLarge {
            path: path(),
            size: 1,
            limit: 0
        },
        NoStream: LogError::NoStream {
            folder: path(),
            base: None
        },
        SeveralStreams: LogError::SeveralStreams {
            folder: path(),
            bases: Vec::new()
        },
        Header: LogError::Header {
            path: path(),
            problem: Box::new(HeaderProblem::Newer {
                version: NEWEST_LOG_VERSION
            }),
            jet: JetError::BAD_LOG_VERSION
        },
        Sequence: LogError::Sequence {
            path: path(),
            expected: generation,
            found: generation,
            jet: JetError::INVALID_LOG_SEQUENCE
        },
        Damaged: LogError::Damaged {
            path: path(),
            lgpos,
            jet
        },
        Incomplete: LogError::Incomplete {
            path: path(),
            proof: ese_log::chain::Proof::Damaged,
            jet: JetError::LOG_SEQUENCE_CHECKSUM_MISMATCH
        },
        Record: LogError::Record {
            path: path(),
            lgpos,
            problem: Box::new(RecordError::from(format_error())),
            jet
        },
    }));
    all.extend(every!(DbError {
        Evidence: DbError::Evidence(gone()),
        NotADatabase: DbError::NotADatabase {
            path: path(),
            reason: String::new()
        },
        NoSuchPage: DbError::NoSuchPage { pgno, last: pgno },
        Checksum: DbError::Checksum {
            pgno,
            stored: 0,
            computed: 1
        },
        Blank: DbError::Blank { pgno },
        WrongPage: DbError::WrongPage {
            pgno,
            expected: String::new(),
            found: String::new()
        },
        Cycle: DbError::Cycle { pgno, objid },
        Page: DbError::Page(page_error()),
        Format: DbError::Format(format_error()),
        Record: DbError::Record {
            what: "a field",
            offset: 0,
            needed: 1,
            found: 0
        },
        LongValue: DbError::LongValue {
            lid: 1,
            what: String::new()
        },
        Compression: DbError::Compression {
            scheme: "xpress",
            what: String::new()
        },
        Catalog: DbError::Catalog {
            what: String::new()
        },
    }));
    all.extend(every!(ScanError {
        Unreadable: ScanError::Unreadable(gone()),
        NoSuchPages: ScanError::NoSuchPages {
            first: 1,
            last: 2,
            end: 0
        },
    }));
    all.extend(every!(ExportError {
        Database: ExportError::Database(DbError::Blank { pgno }),
        NoTable: ExportError::NoTable { name: String::new(), near: Vec::new() },
        NoColumn: ExportError::NoColumn { table: String::new(), name: String::new(), near: Vec::new() },
        NotEmpty: ExportError::NotEmpty { path: path() },
        OtherUnfinished: ExportError::OtherUnfinished { path: path() },
        Write: ExportError::Write { path: path(), source: full() },
        Stopped: ExportError::Stopped,
    } but { Threads, }));
    all.extend(every!(CollectError {
        Nothing: CollectError::Nothing,
        OtherCase: CollectError::OtherCase { path: path() },
        SourceChanged: CollectError::SourceChanged { source_path: String::new(), what: String::new() },
        SourceGone: CollectError::SourceGone { source_path: String::new() },
        WithinSource: CollectError::WithinSource { path: path(), within: path() },
        Locked: CollectError::Locked { path: path() },
    } but {
        Write,
    }));
    all.extend(problems(lgpos, pgno));
    all.extend(every!(RecoveryError {
        Log: RecoveryError::Log(LogError::Damaged {
            path: path(),
            lgpos,
            jet
        }),
        Replay: RecoveryError::Replay(Problem::BadChecksum { pgno }.at(lgpos, "Replace")),
        End: RecoveryError::End(Problem::BadChecksum { pgno }),
        Evidence: RecoveryError::Evidence(gone()),
        NotADatabase: RecoveryError::NotADatabase {
            path: path(),
            reason: String::new(),
            jet: JetError::FILE_INVALID_TYPE
        },
        Refused: refusal(false),
        LostAttach: RecoveryError::LostAttach {
            path: path(),
            signature,
            lost: LostAttach {
                attach: lgpos,
                listed_in: generation,
                known: lgpos,
                consistent: lgpos,
                jet: JetError::ATTACHED_DATABASE_MISMATCH
            }
        },
        PassedOver: RecoveryError::PassedOver {
            path: path(),
            known: lgpos,
            first: lgpos,
            records: 1
        },
        CutOff: RecoveryError::CutOff(Box::new(LostEnd {
            path: path(),
            cut_off: CutOff {
                last_page: pgno,
                owned_to: pgno,
                at_least: false
            },
            missing: 1,
        })),
        TooShort: RecoveryError::TooShort {
            path: path(),
            last: generation,
            needed: generation
        },
        Temporary: RecoveryError::Temporary(full()),
        Interrupted: RecoveryError::Interrupted,
        Missing: RecoveryError::Missing { names: Vec::new() },
        NeverAttached: RecoveryError::NeverAttached {
            path: path(),
            from: generation
        },
        LimitTooEarly: RecoveryError::LimitTooEarly {
            path: path(),
            needed: generation
        },
        LimitBeforeConsistent: RecoveryError::LimitBeforeConsistent {
            path: path(),
            consistent: lgpos
        },
    }));
    all.push(Named {
        name: "RecoveryError::NotADatabase, both headers damaged",
        error: Box::new(RecoveryError::NotADatabase {
            path: path(),
            reason: String::new(),
            jet: JetError::READ_VERIFY_FAILURE,
        }),
    });
    all.extend(every!(OutputError {
        Io: OutputError::Io {
            path: path(),
            error: full()
        },
        Exists: OutputError::Exists { path: path() },
        IsSource: OutputError::IsSource { path: path() },
        InUse: OutputError::InUse { path: path() },
        Interrupted: OutputError::Interrupted {
            path: path(),
            journal: path()
        },
        Journal: OutputError::Journal {
            path: path(),
            problem: String::new()
        },
        OtherDatabase: OutputError::OtherDatabase {
            path: path(),
            found: signature,
            expected: signature
        },
        NotWritten: OutputError::NotWritten {
            path: path(),
            problem: String::new()
        },
        Source: OutputError::Source(refusal(true)),
    }));
    all.extend(every!(AsOfError {
        BeforeRequired: AsOfError::BeforeRequired {
            path: path(),
            asked: Moment::Generation(generation),
            required: generation,
            earliest: place()
        },
        BeforeConsistent: AsOfError::BeforeConsistent {
            path: path(),
            asked: Moment::Generation(generation),
            consistent: place()
        },
        AfterEnd: after_end(),
        NoTime: AsOfError::NoTime {
            path: path(),
            asked: Moment::Lgpos(lgpos),
            at: lgpos
        },
    }));
    all.extend(every!(ViewError {
        Recovery: ViewError::Recovery(refusal(false)),
        AsOf: ViewError::AsOf(after_end()),
        Overlay: ViewError::Overlay {
            path: path(),
            problem: OverlayError::Damaged
        },
        Foreign: ViewError::Foreign {
            path: path(),
            database: path()
        },
        Temporary: ViewError::Temporary(full()),
    }));
    all.extend(every!(TellError {
        Recovery: TellError::Recovery(refusal(false)),
        Io: TellError::Io(full()),
        LocalTimes: TellError::LocalTimes,
        NoPages: TellError::NoPages,
        NotACopy: TellError::NotACopy {
            path: "old.edb".into(),
        },
        NoTable: TellError::NoTable {
            names: String::new()
        },
        NoColumn: TellError::NoColumn {
            names: String::new()
        },
    }));
    all.extend(every!(CopyError {
        Read: CopyError::Read {
            name: String::new(),
            offset: 0,
            needed: 1,
            attempts: 1,
            error: ReadError::new(ReadErrorKind::Passing, "")
        },
        Source: CopyError::Source {
            name: String::new(),
            error: ReadError::new(ReadErrorKind::Vanished, "")
        },
        Target: CopyError::Target {
            path: path(),
            action: "write",
            error: full()
        },
        SourceChanged: CopyError::SourceChanged {
            name: String::new(),
            differences: Vec::new()
        },
        OtherSource: CopyError::OtherSource {
            name: "SOURCE".into(),
            before: "ANOTHER".into(),
            differences: vec!["size was 1, is 2".into()],
        },
        Dirty: CopyError::Dirty {
            name: String::new(),
            state: String::new(),
            required: String::new()
        },
        BadPages: CopyError::BadPages {
            name: String::new(),
            findings: vec![bad_page()]
        },
        Locked: CopyError::Locked { journal: path() },
        BadJournal: CopyError::BadJournal {
            journal: path(),
            why: String::new()
        },
        ForeignJournal: CopyError::ForeignJournal { path: path() },
        TargetExists: CopyError::TargetExists {
            path: path(),
            why: ""
        },
        NotAFile: CopyError::NotAFile {
            path: path(),
            what: "a folder",
        },
        SeveralNames: CopyError::SeveralNames {
            path: path(),
            names: 2,
        },
        PartialGone: CopyError::PartialGone {
            partial: path(),
            why: String::new()
        },
        SameFile: CopyError::SameFile { path: path() },
        ChunkSize: CopyError::ChunkSize { size: 1 },
    }));
    all.extend(every!(StandbyError {
        Io: StandbyError::Io {
            path: path(),
            source: full()
        },
        Configuration: StandbyError::Configuration {
            path: path(),
            problem: String::new()
        },
        Copy: StandbyError::Copy {
            name: String::new(),
            problem: String::new()
        },
        NoCopy: StandbyError::NoCopy {
            name: String::new(),
            known: Vec::new()
        },
        Exists: StandbyError::Exists {
            name: String::new()
        },
        State: StandbyError::State {
            path: path(),
            problem: String::new()
        },
        Served: StandbyError::Served {
            name: String::new(),
            lock: path()
        },
        NotNow: StandbyError::NotNow {
            name: String::new(),
            problem: ""
        },
    }));
    all.extend(every!(BringError {
        Standby: BringError::Standby(StandbyError::NotNow {
            name: String::new(),
            problem: ""
        }),
        Copy: BringError::Copy(CopyError::SameFile { path: path() }),
        Refused: BringError::Refused {
            reason: String::new(),
            advice: String::new(),
            jet: None
        },
        NotProved: BringError::NotProved {
            path: path(),
            first: Mismatch {
                offset: 0,
                length: 1
            }
        },
        Interrupted: BringError::Interrupted,
    }));
    all.extend(every!(ReplayFailure {
        Blocked: ReplayFailure::Blocked {
            reasons: String::new(),
            jet
        },
        Recovery: ReplayFailure::Recovery(refusal(false)),
        Output: ReplayFailure::Output(OutputError::Exists { path: path() }),
    }));
    // A refusal is not an error there: the report says it, and the program ends with 5.
    all.extend(every!(ActivateError {
        Standby: ActivateError::Standby(StandbyError::NotNow { name: String::new(), problem: "" }),
        NotSeeded: ActivateError::NotSeeded(path()),
        Replay: ActivateError::Replay(refusal(false).into()),
        Proof: ActivateError::Proof(ScanError::Unreadable(gone())),
        Interrupted: ActivateError::Interrupted,
    } but { Refused, }));
    all
}

/// What stops a replay.
fn problems(lgpos: Lgpos, pgno: Pgno) -> Vec<Named> {
    let time = Dbtime(1);
    every!(Problem {
        DbtimeTooOld: Problem::DbtimeTooOld {
            pgno,
            before: time,
            found: time,
            after: time
        },
        DbtimeTooNew: Problem::DbtimeTooNew {
            pgno,
            before: time,
            found: time,
            after: time
        },
        DbtimeBeyondRequired: Problem::DbtimeBeyondRequired {
            pgno,
            found: time,
            after: time
        },
        DbtimeBeyondLogs: Problem::DbtimeBeyondLogs {
            pgno,
            found: time,
            highest: time
        },
        BadChecksum: Problem::BadChecksum { pgno },
        Blank: Problem::Blank { pgno },
        Shrunk: Problem::Shrunk { pgno },
        BehindEnd: Problem::BehindEnd { pgno, last: pgno },
        ConsistentTimeMismatch: Problem::ConsistentTimeMismatch {
            found: lgpos,
            logged: lgpos
        },
        Edit: Problem::Edit(page_error().into()),
        Record: Problem::Record(RecordError::from(format_error())),
        Format: Problem::Format(format_error()),
        NoPageImage: Problem::NoPageImage { pgno },
        PageImage: Problem::PageImage { pgno, what: "" },
        NoVersion: Problem::NoVersion { rceid: 1 },
        NoUndoInfo: Problem::NoUndoInfo { pgno, rceid: 1 },
        NoRow: Problem::NoRow { pgno },
        Tree: Problem::Tree {
            root: pgno,
            pgno,
            what: ""
        },
        Macro: Problem::Macro(""),
        Obsolete: Problem::Obsolete("Init"),
        CreateVersion: Problem::CreateVersion { version: 1 },
        Divergence: Problem::Divergence { pgno, what: "" },
        Io: Problem::Io {
            action: "reading",
            pgno,
            error: full()
        },
    })
}

fn page_error() -> PageError {
    PageError::Size {
        pgno: Pgno(5),
        found: 0,
    }
}
