//! Splits, merges and conversions in the forms that they had before records held images of pages.
//!
//! The published engine refuses all of them (-514). Here they are judged by dbtime first: where every page has the
//! change already there is nothing to do, and nothing to refuse. So a stream of Windows XP can be replayed over a
//! database that holds it. One that would have to be applied is refused.

use super::access::Verdict;
use super::{Redo, RedoOutcome};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use ese_format::record::{ConvertFdp, Merge, PageOp, Record, Split};
use ese_format::{Dbtime, Lgpos, ObjId, Pgno};

/// The pages of one record: those that were there, with the dbtime that they had, and those that it makes.
struct TouchedPages {
    record: &'static str,
    page: PageOp,
    objid: ObjId,
    changed: Vec<(Pgno, Dbtime)>,
    made: Vec<Pgno>,
}

impl TouchedPages {
    fn of_split(record: &Split<'_>) -> Self {
        let (page, fields) = (record.page, record.split);
        TouchedPages {
            record: "Split",
            page,
            objid: fields.objid,
            changed: vec![
                (page.pgno, page.dbtime_before),
                (fields.pgno_right, fields.dbtime_right_before),
            ],
            made: vec![fields.pgno_new],
        }
    }

    fn of_merge(record: &Merge<'_>) -> Self {
        let (page, fields) = (record.page, record.merge);
        TouchedPages {
            record: "Merge",
            page,
            objid: fields.objid,
            changed: vec![
                (page.pgno, page.dbtime_before),
                (fields.pgno_left, fields.dbtime_left_before),
                (fields.pgno_right, fields.dbtime_right_before),
            ],
            made: Vec::new(),
        }
    }

    /// Whether a page still needs the record.
    fn is_needed(&self, database: &mut ReplayDatabase, lgpos: Lgpos) -> Result<bool, Problem> {
        let after = self.page.dbtime;
        for &(pgno, before) in self.changed.iter().filter(|(pgno, _)| !pgno.is_null()) {
            if database.access(lgpos, pgno, before, after)?.applies() {
                return Ok(true);
            }
        }
        for &pgno in self.made.iter().filter(|pgno| !pgno.is_null()) {
            if database.access_new(lgpos, pgno, after)? == Verdict::Apply {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Redo {
    fn judge(&mut self, touched: &TouchedPages) -> Result<RedoOutcome, Problem> {
        let (lgpos, page) = (self.lgpos, touched.page);
        let database = self.database_for(page.procid, page.dbid, page.dbtime, touched.objid);
        let Some(database) = database else {
            return Ok(RedoOutcome::InPlace);
        };
        match touched.is_needed(database, lgpos)? {
            true => Err(Problem::Obsolete(touched.record)),
            false => Ok(RedoOutcome::InPlace),
        }
    }

    /// A macro operation of splits or merges.
    pub(super) fn obsolete_macro(
        &mut self,
        records: &[Record<'_>],
    ) -> Result<RedoOutcome, Problem> {
        for record in records {
            match record {
                Record::Split(record) => self.judge(&TouchedPages::of_split(record))?,
                Record::Merge(record) => self.judge(&TouchedPages::of_merge(record))?,
                _ => RedoOutcome::InPlace,
            };
        }
        Ok(RedoOutcome::InPlace)
    }

    pub(super) fn obsolete_convert(&mut self, record: &ConvertFdp) -> Result<RedoOutcome, Problem> {
        let (page, fields) = (record.page, record.convert);
        self.judge(&TouchedPages {
            record: "Convert",
            page,
            objid: fields.objid,
            changed: vec![(page.pgno, page.dbtime_before)],
            made: vec![fields.pgno_oe, fields.pgno_ae],
        })
    }
}
