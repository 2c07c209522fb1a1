//! What a record is about: session, database, tree, pages. One place for every filter and count.

use ese_format::{Dbtime, ObjId, Pgno, ProcId, Record};

/// The session that wrote the record, where it names one.
pub fn session(record: &Record<'_>) -> Option<ProcId> {
    Some(match record {
        Record::Begin(record) | Record::Begin0(record) | Record::BeginDistributed(record) => {
            record.procid
        }
        Record::Commit(record) => record.procid,
        Record::Commit0(record) => record.procid,
        Record::Rollback(record) => record.procid,
        Record::Refresh(record) => record.procid,
        Record::MacroBegin(record) | Record::MacroCommit(record) | Record::MacroAbort(record) => {
            record.procid
        }
        Record::CreateDb(record) => record.procid,
        Record::CreateDbFinish(record) => record.procid,
        Record::AttachDb(record) => record.procid,
        Record::DetachDb(record) => record.procid,
        Record::PrepareCommit(record) => record.procid,
        Record::JetOp(record) => record.procid,
        Record::Trace(record) | Record::ForceLogRollover(record) => record.procid,
        Record::NewPage(record) => record.procid,
        Record::RootPageMove(record) => record.procid,
        Record::CommitContext(record) => record.procid,
        other => other.page_op()?.procid,
    })
}

/// The database that the record changes or names, by its number in the stream.
pub fn database(record: &Record<'_>) -> Option<u8> {
    Some(match record {
        Record::CreateDb(record) => record.dbid,
        Record::CreateDbFinish(record) => record.dbid,
        Record::AttachDb(record) => record.dbid,
        Record::DetachDb(record) => record.dbid,
        Record::ReAttach(record) => record.dbid,
        Record::SignalAttachDb(record) => record.dbid,
        Record::SetDbVersion(record) => record.dbid,
        Record::ExtendDb(record) => record.dbid,
        Record::ShrinkDb(record) | Record::ShrinkDb2(record) | Record::ShrinkDb3(record) => {
            record.shrink.dbid
        }
        Record::TrimDb(record) => record.dbid,
        Record::ExtentFreed(record) | Record::ExtentFreed2(record) => record.extent.dbid,
        Record::ScanCheck(record) => record.dbid,
        Record::ScanCheck2(record) => record.dbid,
        Record::PagePatchRequest(record) => record.dbid,
        Record::NewPage(record) => record.dbid,
        Record::RootPageMove(record) => record.dbid,
        Record::FreeFdp(record) => record.dbid,
        Record::MacroInfo(record) | Record::MacroInfo2(record) => record.dbid,
        Record::Backup2(record) => record.backup.dbid,
        other => other.page_op()?.dbid,
    })
}

/// The session, the database and the dbtime of a change of a page.
pub fn page_change(record: &Record<'_>) -> Option<(ProcId, u8, Dbtime)> {
    Some(match record {
        Record::NewPage(record) => (record.procid, record.dbid, record.dbtime),
        Record::RootPageMove(record) => (record.procid, record.dbid, record.dbtime),
        other => {
            let page = other.page_op()?;
            (page.procid, page.dbid, page.dbtime)
        }
    })
}

/// The tree that the record changes.
pub fn object(record: &Record<'_>) -> Option<ObjId> {
    Some(match record {
        Record::Split(record) | Record::Split2(record) => record.split.objid,
        Record::Merge(record) | Record::Merge2(record) => record.merge.objid,
        Record::PageMove(record) => record.moved.objid,
        Record::NewPage(record) => record.objid,
        Record::RootPageMove(record) => record.objid,
        Record::CreateMultipleExtentFdp(record) => record.objid,
        Record::CreateSingleExtentFdp(record) => record.objid,
        Record::ConvertFdp(record) | Record::ConvertFdp2(record) => record.convert.objid,
        other => other.node_op()?.1.objid,
    })
}

/// The transaction that a change of a page belongs to, by the id it got when it began at level 0.
pub fn transaction(record: &Record<'_>) -> Option<u32> {
    match record {
        Record::Begin0(begin) | Record::BeginDistributed(begin) => begin.trx,
        other => Some(other.page_op()?.trx),
    }
}

/// Calls `page` with every page that the record changes or moves, extents excepted.
pub fn pages(record: &Record<'_>, mut page: impl FnMut(Pgno)) {
    let mut several = |pages: &[Pgno]| {
        for pgno in pages.iter().filter(|pgno| !pgno.is_null()) {
            page(*pgno);
        }
    };
    if let Some(op) = record.page_op() {
        several(&[op.pgno]);
    }
    match record {
        Record::Split(record) | Record::Split2(record) => {
            let split = &record.split;
            several(&[split.pgno_new, split.pgno_right, split.pgno_parent]);
        }
        Record::Merge(record) | Record::Merge2(record) => {
            let merge = &record.merge;
            several(&[merge.pgno_right, merge.pgno_left, merge.pgno_parent]);
        }
        Record::PageMove(record) => {
            let moved = &record.moved;
            several(&[
                moved.pgno_dest,
                moved.pgno_left,
                moved.pgno_right,
                moved.pgno_parent,
            ]);
        }
        Record::EmptyTree(record) => {
            for emptied in record.pages.iter() {
                several(&[emptied.pgno]);
            }
        }
        Record::CreateMultipleExtentFdp(record) => several(&[record.pgno_oe, record.pgno_ae]),
        Record::ConvertFdp(record) | Record::ConvertFdp2(record) => {
            several(&[record.convert.pgno_oe, record.convert.pgno_ae]);
        }
        Record::NewPage(record) => several(&[record.pgno]),
        Record::ScanCheck(record) => several(&[record.pgno]),
        Record::ScanCheck2(record) => several(&[record.pgno]),
        Record::PagePatchRequest(record) => several(&[record.pgno]),
        Record::FreeFdp(record) => several(&[record.pgno_fdp]),
        _ => {}
    }
}

/// Whether the record changes, moves, frees or trims the page.
pub fn touches(record: &Record<'_>, wanted: Pgno) -> bool {
    let extent = match record {
        Record::ExtentFreed(record) | Record::ExtentFreed2(record) => {
            Some((record.extent.pgno_first, record.extent.page_count))
        }
        Record::TrimDb(record) => Some((record.pgno_first, record.page_count)),
        _ => None,
    };
    let mut found = extent.is_some_and(|(first, count)| {
        wanted >= first && u64::from(wanted.0) < u64::from(first.0) + u64::from(count)
    });
    pages(record, |pgno| found |= pgno == wanted);
    found
}
