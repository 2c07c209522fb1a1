//! Records as text: what the reference's verbose log dump prints for each.
//!
//! The first line opens with the type's name, padded to nine characters; some records go on with indented lines. All
//! numbers have the base and the order that the reference gives them, so that its dumps and ours can be compared line
//! by line. Where the reference prints nothing but the name by oversight (`JetOp`), or gives up (`End`, `BeginDT`,
//! `PreCommit`), the fields are shown in the manner of the others. Source: `LrToSz` (`ese/logapi.cxx`), `LGDumpDiff`
//! (`ese/logdiff.cxx`).

mod database;
mod node;
mod system;
mod tree;

use ese_format::log::SystemParameters;
use ese_format::record::*;
use ese_format::{Dbtime, Lgpos, LogTime, Pgno, Signature};
use std::fmt::{self, Display, Formatter};

/// The record as the reference's verbose log dump prints it, without its position and without a final line end.
pub fn record(record: &Record<'_>) -> impl Display {
    fmt::from_fn(move |f| write_record(f, record))
}

/// Bytes of node data that a line shows (`cbRawDataMax`).
const DATA_SHOWN: usize = 16;
/// Pages of an extent that a line lists.
const PAGES_SHOWN: u32 = 32;

fn write_record(f: &mut Formatter<'_>, record: &Record<'_>) -> fmt::Result {
    let name = record.record_type().dump_name();
    write!(f, "{name:<9}")?;
    match record {
        Record::End | Record::ShutDownMark | Record::Term(_) | Record::RecoveryUndo(_) => Ok(()),
        Record::Nop(nop) => system::write_nop(f, nop),
        Record::MultiSectorFlush(flush) => system::write_multi_sector_flush(f, flush),
        Record::Checksum(checksum) => system::write_checksum(f, checksum),
        Record::Nop2(filling) => system::write_ignored(f, RecordType::Nop2, filling.data),
        Record::Ignored(ignored) => system::write_ignored(f, ignored.record_type, ignored.data),
        Record::FragmentBegin(fragment) => system::write_fragment_begin(f, fragment),
        Record::Fragment(fragment) => write!(f, " ({} bytes)", fragment.data.len()),
        Record::Init(init) | Record::Init2(init) => system::write_init(f, init),
        Record::Term2(term) => system::write_time(f, term.time),
        Record::RecoveryUndo2(undo) => system::write_time(f, undo.time),
        Record::RecoveryQuit(quit)
        | Record::RecoveryQuit2(quit)
        | Record::RecoveryQuitKeepAttachments(quit) => system::write_quit(f, quit),
        Record::FullBackup(note) | Record::IncrementalBackup(note) => {
            write!(f, "{}", note.path)
        }
        Record::Backup(backup) => system::write_backup_old(f, backup),
        Record::Backup2(backup) => system::write_backup(f, backup),
        Record::ExternalRestore(restore) | Record::ExternalRestore2(restore) => {
            system::write_restore(f, restore)
        }
        Record::JetOp(op) => write!(f, " ({:x}) -- {}", op.procid, op.operation),
        Record::Trace(trace) | Record::ForceLogRollover(trace) => {
            write!(f, " ({:x}) {}", trace.procid, trace.text)
        }
        Record::Begin(begin) | Record::Begin0(begin) | Record::BeginDistributed(begin) => {
            system::write_begin(f, begin)
        }
        Record::Commit(commit) => write!(f, " ({:x},to:{})", commit.procid, commit.level_to),
        Record::Commit0(commit) => {
            write!(
                f,
                " ({:x},to:{}) {:x}",
                commit.procid, commit.level_to, commit.trx
            )
        }
        Record::Rollback(rollback) => write!(f, " ({:x},{})", rollback.procid, rollback.levels),
        Record::Refresh(refresh) => write!(f, " ({:x},{:x})", refresh.procid, refresh.trx),
        Record::ForceWriteLog(force) => write!(f, " ({:x})", force.procid),
        Record::PrepareCommit(prepare) => {
            write!(f, " ({:x}){}", prepare.procid, Data(prepare.data))
        }
        Record::MacroBegin(r#macro)
        | Record::MacroCommit(r#macro)
        | Record::MacroAbort(r#macro) => {
            write!(f, " ({:x}) {:x}", r#macro.procid, r#macro.dbtime)
        }
        Record::MacroInfo(info) | Record::MacroInfo2(info) => system::write_macro_info(f, info),
        Record::CommitContext(context) => system::write_commit_context(f, context),
        Record::CreateDb(create) => database::write_create_db(f, create),
        Record::CreateDbFinish(finish) => write!(f, " ({:x},{})", finish.procid, finish.dbid),
        Record::AttachDb(attach) => database::write_attach_db(f, attach),
        Record::DetachDb(detach) => {
            write!(f, " ({:x},{},{})", detach.procid, detach.names, detach.dbid)
        }
        Record::ReAttach(attach) => database::write_re_attach(f, attach),
        Record::SignalAttachDb(signal) => write!(f, " (dbid:{})", signal.dbid),
        Record::SetDbVersion(set) => write!(
            f,
            " (dbid:{}, DB ver:{}.{}.{})",
            set.dbid, set.version, set.update_major, set.update_minor
        ),
        Record::ExtendDb(extend) => write!(f, " {}", At(extend.dbid, extend.pgno_last)),
        Record::ShrinkDb(shrink) | Record::ShrinkDb2(shrink) | Record::ShrinkDb3(shrink) => {
            database::write_shrink(f, shrink)
        }
        Record::TrimDb(trim) => database::write_trim(f, trim),
        Record::ExtentFreed(freed) | Record::ExtentFreed2(freed) => {
            database::write_extent_freed(f, freed)
        }
        Record::ScanCheck(scan) => write!(
            f,
            " {:x},{:x}{}",
            scan.dbtime_after,
            scan.dbtime_before,
            At(scan.dbid, scan.pgno)
        ),
        Record::ScanCheck2(scan) => database::write_scan_check(f, scan),
        Record::PagePatchRequest(request) => {
            write!(
                f,
                " {:x},{}",
                request.dbtime,
                At(request.dbid, request.pgno)
            )
        }
        Record::NewPage(new) => write!(
            f,
            " {:x},({:x},page:{},objid:[{}:{}])",
            new.dbtime,
            new.procid,
            At(new.dbid, new.pgno),
            new.dbid,
            new.objid
        ),
        Record::RootPageMove(moved) => write!(
            f,
            " {:x},({:x},objid:[{}:{}])",
            moved.dbtime, moved.procid, moved.dbid, moved.objid
        ),
        Record::CreateMultipleExtentFdp(create) => tree::write_create_multiple(f, create),
        Record::CreateSingleExtentFdp(create) => tree::write_create_single(f, create),
        Record::ConvertFdp(convert) | Record::ConvertFdp2(convert) => {
            tree::write_convert(f, convert)
        }
        Record::FreeFdp(free) => tree::write_free_fdp(f, free),
        Record::Split(split) | Record::Split2(split) => tree::write_split(f, split),
        Record::Merge(merge) | Record::Merge2(merge) => tree::write_merge(f, merge),
        Record::PageMove(moved) => tree::write_page_move(f, moved),
        Record::EmptyTree(empty) => tree::write_empty_tree(f, empty),
        Record::Insert(insert) => node::write_insert(f, insert),
        Record::FlagInsert(insert) => node::write_flag_insert(f, insert),
        Record::FlagInsertAndReplaceData(insert) => node::write_flag_insert_and_replace(f, insert),
        Record::FlagDelete(delete) => node::write_flag_delete(f, delete),
        Record::Delete(delete) => node::write_delete(f, delete),
        Record::Replace(replace) => {
            let (old, new) = (replace.old_data_len, replace.new_data_len);
            node::write_replace(
                f,
                &replace.page,
                &replace.node,
                [replace.data.len(), new.into(), old.into()],
            )?;
            write!(f, "{}", Data(replace.data))
        }
        Record::ReplaceDelta(replace) => node::write_replace_delta(f, replace),
        Record::UndoInfo(info) => node::write_undo_info(f, info),
        Record::Delta(delta) | Record::Delta64(delta) => node::write_delta(f, delta),
        Record::SetExternalHeader(set) => node::write_external_header(f, set),
        Record::Scrub(scrub) => node::write_scrub(f, scrub),
        Record::Undo(undo) => node::write_undo(f, undo),
    }
}

/// The first bytes of a node's key or data, `0A 1B `.
struct Data<'a>(&'a [u8]);

impl Display for Data<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Parts([self.0]).fmt(f)
    }
}

/// The first bytes of several parts that follow each other in the record.
struct Parts<'a, const N: usize>([&'a [u8]; N]);

impl<const N: usize> Display for Parts<'_, N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0.iter().copied().flatten().take(DATA_SHOWN);
        bytes.try_for_each(|byte| write!(f, "{byte:02X} "))
    }
}

/// A page of a database, `[1:33]`.
struct At(u8, Pgno);

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.0, self.1)
    }
}

/// A neighbour of a changed page with its dbtime before, `2e5d,[1:33]`.
struct Neighbour(u8, Pgno, Dbtime);

impl Display for Neighbour {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let dbtime = if self.1.is_null() { Dbtime(0) } else { self.2 };
        write!(f, "{dbtime:x},{}", At(self.0, self.1))
    }
}

/// A log position as records show it, `(3,77,F5F)`.
struct Position(Lgpos);

impl Display for Position {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Lgpos {
            generation,
            segment,
            byte,
        } = self.0;
        write!(f, "({generation:X},{segment:X},{byte:X})")
    }
}

/// A signature as records show it.
struct Sign(Signature);

impl Display for Sign {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if self.0.computer().is_empty() {
            f.write_str("<None>")
        } else {
            Ok(())
        }
    }
}

/// A time as records show it, `11/22/2026 5:01:40.636`.
struct Time(LogTime);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [second, minute, hour, day, month, year, ..] = self.0.0;
        let year = u16::from(year) + 1900;
        let milliseconds = self.0.milliseconds();
        write!(
            f,
            "{month}/{day}/{year} {hour}:{minute:02}:{second:02}.{milliseconds:03}"
        )
    }
}

/// `dbtime,before,trx:level(procid`, which most changes of a page open with.
struct Head<'a>(&'a PageOp);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let PageOp {
            dbtime,
            dbtime_before,
            trx,
            level,
            procid,
            ..
        } = self.0;
        write!(
            f,
            " {dbtime:x},{dbtime_before:x},{trx:x}:{level}({procid:x}"
        )
    }
}

/// The place of a node, `[1:33:7]`.
struct Place<'a>(&'a PageOp);

impl Display for Place<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let PageOp {
            dbid, pgno, iline, ..
        } = self.0;
        write!(f, "[{dbid}:{pgno}:{iline}]")
    }
}

fn unique(page: &PageOp) -> &'static str {
    if page.is_unique() { "U" } else { "NU" }
}

fn version(page: &PageOp) -> &'static str {
    if page.is_versioned() { "V" } else { "NV" }
}

fn deleted(page: &PageOp) -> &'static str {
    if page.flags.contains(PageOpFlags::DELETED) {
        "D"
    } else {
        "ND"
    }
}

fn space(page: &PageOp) -> &'static str {
    if page.is_space() { "SP" } else { "NSP" }
}

fn task(page: &PageOp) -> &'static str {
    if page.flags.contains(PageOpFlags::SYSTEM_TASK) {
        "SYS"
    } else {
        "USR"
    }
}

fn concurrent(page: &PageOp) -> &'static str {
    if page.flags.contains(PageOpFlags::CONCURRENT_INDEX) {
        "CI"
    } else {
        "NCI"
    }
}
