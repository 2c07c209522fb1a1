//! The end of a recovery: undo and a clean header, or a dirty header with the range that a later one needs.
//!
//! The clean header is what `DBISetHeaderAfterDetach` and its callers leave (`ese/db.cxx`), with three differences. The
//! place of consistency is the end of the logs: the engine writes its undo into a new log and names the shutdown mark
//! there, and we write no log. Times are those of the last log that was applied, where the engine takes the clock: the
//! result of a recovery is the same whenever and wherever it is made. And the signatures that tie the header to a flush
//! map are blank, so that the engine takes no old map for this database's and makes a new one.

use super::{RecoveryError, RecoveryPlan, ReplaySummary};
use crate::database::ReplayDatabase;
use crate::redo::Redo;
use crate::undo::UndoneOperation;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::{Generation, LogTime, Signature};

/// Rolls back what is open and makes every attached database clean; what was rolled back, newest first.
pub(super) fn finish_clean(
    redo: &mut Redo,
    summary: &ReplaySummary,
) -> Result<Vec<UndoneOperation>, RecoveryError> {
    let undone = redo.roll_back_open()?;
    redo.detach_rest(summary.end).map_err(RecoveryError::End)?;
    Ok(undone)
}

/// Leaves attached databases dirty, so that a later recovery goes on with newer logs.
///
/// What this replay did holds no trace of what was there before a change that is not committed yet. It must therefore
/// have ended where no transaction was open that is open at the end of the range.
pub(super) fn finish_dirty(redo: &mut Redo, summary: &ReplaySummary, plan: &RecoveryPlan) {
    let range_end = plan.range_end();
    let created = plan.log_created(range_end).unwrap_or_default();
    let open = redo.sessions().values();
    let open = open
        .filter(|session| session.level > 0)
        .map(|session| session.began.generation);
    let from = open.chain([summary.last]).min().unwrap_or(summary.last);
    for database in redo.databases_mut().values_mut() {
        // What is still to be explained must be met again by the next run.
        let owed = database.oldest_unexplained();
        let from = owed.map_or(from, |lgpos| from.min(lgpos.generation));
        let header = &mut database.header;
        header.min_required = from;
        header.max_required = header.max_required.max(range_end);
        header.min_consistent = from;
        // Another log of this generation would not be the one that was replayed here (`ErrLGUpdateGenRequired`).
        if range_end > database.required_until {
            header.max_required_created = match header.keeps_max_required_created() {
                true => created,
                false => LogTime::default(),
            };
        }
        if range_end >= header.max_committed {
            header.max_committed = range_end;
            header.max_committed_created = created;
        }
        header.dbtime = header.dbtime.max(database.dbtime);
        header.last_objid = header.last_objid.max(database.last_objid);
        header.recovering = Generation(0);
        forget_flush_map(header);
    }
}

/// Writes all changed pages, and gives each database that became clean the rest of its header.
pub(super) fn settle_all(
    databases: &mut [ReplayDatabase],
    summary: &ReplaySummary,
) -> Result<(), RecoveryError> {
    for database in databases {
        if database.touched && database.header.state == DatabaseState::CLEAN_SHUTDOWN {
            settle(&mut database.header, summary.time);
        }
        database.pages.flush().map_err(RecoveryError::End)?;
    }
    Ok(())
}

/// What a clean header says beside its state and place.
fn settle(header: &mut DatabaseHeader, time: LogTime) {
    if header.last_attach_time.is_null() {
        header.last_attach_time = time;
    }
    header.last_consistent_time = time;
    header.last_detach_time = time;
    header.max_required_created = LogTime::default();
    header.max_committed_created = LogTime::default();
    header.pre_redo_min_consistent = Generation(0);
    header.pre_redo_min_required = Generation(0);
    header.recovering = Generation(0);
    forget_flush_map(header);
}

fn forget_flush_map(header: &mut DatabaseHeader) {
    header.header_flush = Signature::default();
    header.flush_map_flush = Signature::default();
}
