//! Records about the database file: its size, its format version, the end of its creation.
//!
//! A shrink that the header says is past already is not done again to the file: it would take away pages that a later
//! extension brought back. The pages that had not been used since are marked as given up instead
//! (`ErrLGRIRedoShrinkDB`, `ErrLGRIRedoExtendDB`, `ErrLGRIRedoTrimDB`, `ese/_log/logredo.cxx`).

use super::{Redo, RedoOutcome};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::page_edit::PageBuffer;
use crate::pages::PageContent;
use ese_format::database::DatabaseState;
use ese_format::page::PageFlags;
use ese_format::record::{CreateDbFinish, ExtendDb, ReAttachDb, SetDbVersion, ShrinkDb, TrimDb};
use ese_format::{Dbtime, Lgpos, ObjId, Pgno};

impl Redo {
    /// The database of a record without session, if the log has come to the point where it was attached.
    fn attached(&mut self, dbid: u8) -> Option<&mut ReplayDatabase> {
        let lgpos = self.lgpos;
        if !self.databases.contains_key(&dbid) {
            self.pass_over(dbid);
        }
        let database = self.databases.get_mut(&dbid)?;
        (lgpos > database.header.last_attach).then_some(database)
    }

    pub(super) fn extend_db(&mut self, record: &ExtendDb) -> Result<RedoOutcome, Problem> {
        let lgpos = self.lgpos;
        let Some(database) = self.attached(record.dbid) else {
            return Ok(RedoOutcome::InPlace);
        };
        if database.header.last_resize > lgpos {
            return Ok(RedoOutcome::InPlace);
        }
        if record.pgno_last > database.pages.last() {
            database.pages.resize(record.pgno_last)?;
        }
        database.note_resize(lgpos);
        Ok(RedoOutcome::Applied)
    }

    pub(super) fn shrink_db(&mut self, record: &ShrinkDb) -> Result<RedoOutcome, Problem> {
        let (lgpos, fields) = (self.lgpos, record.shrink);
        let Some(database) = self.attached(fields.dbid) else {
            return Ok(RedoOutcome::InPlace);
        };
        let end = database.pages.last();
        let (first, last) = database.explain_shrink(record);
        if let Some(dbtime) = record.dbtime {
            database.note(dbtime, ObjId(0));
        }
        let told = !database.header.last_resize.is_null();
        let in_range = database.in_required_range(lgpos.generation);
        match record.dbtime {
            _ if !told && in_range => Ok(RedoOutcome::InPlace),
            Some(dbtime) if told && database.header.last_resize > lgpos => {
                give_up(database, first, last.min(end), dbtime)
            }
            None if told && database.header.last_resize > lgpos => Ok(RedoOutcome::InPlace),
            _ => {
                if fields.pgno_last < end {
                    database.pages.resize(fields.pgno_last)?;
                }
                database.note_resize(lgpos);
                Ok(RedoOutcome::Applied)
            }
        }
    }

    /// Pages given back to the file system read as zeroes.
    pub(super) fn trim_db(&mut self, record: &TrimDb) -> Result<RedoOutcome, Problem> {
        let lgpos = self.lgpos;
        let Some(database) = self.attached(record.dbid) else {
            return Ok(RedoOutcome::InPlace);
        };
        let last = database.explain_trim(record);
        if database.in_required_range(lgpos.generation) || last >= database.pages.last() {
            return Ok(RedoOutcome::InPlace);
        }
        for pgno in record.pgno_first.0..=last.0 {
            database.pages.blank(Pgno(pgno))?;
        }
        database.header.trim_count = database.header.trim_count.saturating_add(1);
        Ok(RedoOutcome::Applied)
    }

    pub(super) fn set_db_version(&mut self, record: &SetDbVersion) -> Result<RedoOutcome, Problem> {
        let Some(database) = self.attached(record.dbid) else {
            return Ok(RedoOutcome::InPlace);
        };
        let before = database.header.format_version();
        database.raise_format((record.version, record.update_major, record.update_minor));
        Ok((before != database.header.format_version()).into())
    }

    pub(super) fn create_db_finish(
        &mut self,
        record: &CreateDbFinish,
    ) -> Result<RedoOutcome, Problem> {
        let Some(database) = self.databases.get_mut(&record.dbid) else {
            self.pass_over(record.dbid);
            return Ok(RedoOutcome::InPlace);
        };
        if database.header.state != DatabaseState::JUST_CREATED {
            return Ok(RedoOutcome::InPlace);
        }
        database.header.state = DatabaseState::DIRTY_SHUTDOWN;
        database.header.last_objid = database.last_objid;
        Ok(RedoOutcome::Applied)
    }

    pub(super) fn reattach_db(&mut self, record: &ReAttachDb) -> Result<RedoOutcome, Problem> {
        let lgpos = self.lgpos;
        let Some(database) = self.databases.get_mut(&record.dbid) else {
            self.pass_over(record.dbid);
            return Ok(RedoOutcome::InPlace);
        };
        database.header.last_reattach = lgpos;
        Ok(RedoOutcome::Applied)
    }
}

impl ReplayDatabase {
    /// Writes down where the file was last resized, if the format has room for that.
    pub(super) fn note_resize(&mut self, lgpos: Lgpos) {
        if self.tells_last_resize() {
            self.header.last_resize = lgpos;
        }
    }
}

/// Marks pages of a range that were not used since a shrink as given up (`ErrLGRIRedoShrinkDBPageReset`).
fn give_up(
    database: &mut ReplayDatabase,
    first: Pgno,
    last: Pgno,
    shrunk_at: Dbtime,
) -> Result<RedoOutcome, Problem> {
    let mut any = false;
    for pgno in (first.0..=last.0).map(Pgno) {
        let dbtime = match database.pages.look(pgno)? {
            PageContent::Page(dbtime) => dbtime,
            PageContent::Damaged => return Err(Problem::BadChecksum { pgno }),
            PageContent::Blank | PageContent::BehindEnd => continue,
        };
        if dbtime == Dbtime(0) || dbtime >= shrunk_at {
            continue;
        }
        let page = PageBuffer::new_preinit(database.pages.size().as_usize(), pgno, ObjId(0));
        let mut page = page.map_err(|error| Problem::Edit(error.into()))?;
        page.consume(PageFlags::empty());
        page.set_dbtime(Dbtime::SHRUNK);
        database.pages.put(page)?;
        any = true;
    }
    Ok(any.into())
}
