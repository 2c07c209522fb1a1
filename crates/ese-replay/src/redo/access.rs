//! The rule that decides for each page whether a record applies.
//!
//! | page | record | |
//! |---|---|---|
//! | dbtime equals the record's "before" | | apply |
//! | dbtime is the record's or later | in the required range | skip: the page has the change |
//! | | after it | error: nothing can have written the page that late |
//! | dbtime before "before" | in the required range | skip, and owe an explanation (see [`ReplayDatabase`]) |
//! | | after it | error -566: the page lacks changes |
//! | dbtime between "before" and the record's | | error -567: the page has changes the log lacks |
//!
//! A page that the record makes anew has no "before": it applies unless the page has the record's dbtime or a later
//! one. Source: `FLGNeedRedoCheckDbtimeBefore`, `ErrLGIAccessPage`, `ErrLGRIAccessNewPage` (`ese/_log/logredo.cxx`).

use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::pages::PageContent;
use ese_format::{Dbtime, Lgpos, Pgno};

/// What a record does to one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The record applies.
    Apply,
    /// The page has the change, or is gone.
    Skip,
}

impl Verdict {
    /// Whether the record applies.
    pub(crate) fn applies(self) -> bool {
        self == Verdict::Apply
    }
}

impl ReplayDatabase {
    /// Whether a record that expects `before` and leaves `after` applies to an existing page.
    pub(crate) fn access(
        &mut self,
        lgpos: Lgpos,
        pgno: Pgno,
        before: Dbtime,
        after: Dbtime,
    ) -> Result<Verdict, Problem> {
        if self.is_gone(pgno) {
            return Ok(Verdict::Skip);
        }
        let in_range = self.in_required_range(lgpos.generation);
        let looked = match self.look(pgno)? {
            PageContent::Page(found) => Ok(found),
            PageContent::Damaged => return Err(Problem::BadChecksum { pgno }),
            PageContent::Blank => Err(Problem::Blank { pgno }),
            PageContent::BehindEnd => {
                let last = self.pages.last();
                Err(Problem::BehindEnd { pgno, last })
            }
        };
        let found = match looked {
            Ok(found) => found,
            Err(problem) if in_range => {
                self.mark_gone(pgno, lgpos, problem);
                return Ok(Verdict::Skip);
            }
            Err(problem) => return Err(problem),
        };
        self.note_page(pgno, found);
        if found >= after && in_range {
            return Ok(Verdict::Skip);
        }
        if found >= after {
            return Err(Problem::DbtimeBeyondRequired { pgno, found, after });
        }
        if found == before {
            return Ok(Verdict::Apply);
        }
        if found > before {
            return Err(Problem::DbtimeTooNew {
                pgno,
                before,
                found,
                after,
            });
        }
        let problem = Problem::DbtimeTooOld {
            pgno,
            before,
            found,
            after,
        };
        if !in_range {
            return Err(problem);
        }
        self.mark_too_old(pgno, lgpos, problem);
        Ok(Verdict::Skip)
    }

    /// Whether a record that makes the page anew applies.
    pub(crate) fn access_new(
        &mut self,
        lgpos: Lgpos,
        pgno: Pgno,
        after: Dbtime,
    ) -> Result<Verdict, Problem> {
        if !self.in_required_range(lgpos.generation) {
            return Ok(Verdict::Apply);
        }
        if self.is_gone(pgno) {
            return Ok(Verdict::Skip);
        }
        Ok(match self.look(pgno)? {
            PageContent::Page(found) if found >= after => {
                self.note_page(pgno, found);
                Verdict::Skip
            }
            _ => Verdict::Apply,
        })
    }
}
