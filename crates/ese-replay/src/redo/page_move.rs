//! Moved pages and moved roots (`ErrLGRIRedoPageMove`, `ErrLGRIRedoRootPageMove`, `ese/_log/logredo.cxx`;
//! `BTPerformPageMove`, `ese/bt.cxx`; `SHKPerformRootMove`, `ese/dbshrink.cxx`).
//!
//! A page's content goes to another page number, and whatever pointed to it points there. The record holds the page
//! itself, for when only the receiving page needs it. A tree's root moves with the roots of its space trees in one
//! macro operation: three page moves, the space headers of its child trees, and the rows of the catalog and its shadow
//! that name the root.

use super::{Redo, RedoOutcome, image};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::page_edit::{EditError, PageBuffer};
use ese_format::page::PageFlags;
use ese_format::record::{PageMove, PageMoveFlags, PageOp, Record, Replace};
use ese_format::{Dbtime, Lgpos, Pgno};
use std::collections::BTreeMap;

/// Where the root of the owned extents is in a space header.
const SPACE_HEADER_OWNED: usize = 12;

impl Redo {
    pub(super) fn page_move(&mut self, record: &PageMove<'_>) -> Result<RedoOutcome, Problem> {
        let (lgpos, page, fields) = (self.lgpos, record.page, record.moved);
        let Some(database) = self.database_for(page.procid, page.dbid, page.dbtime, fields.objid)
        else {
            return Ok(RedoOutcome::InPlace);
        };
        let parent = take(
            database,
            lgpos,
            fields.pgno_parent,
            fields.dbtime_parent_before,
            page.dbtime,
        )?;
        let source = take(database, lgpos, page.pgno, page.dbtime_before, page.dbtime)?;
        let left = take(
            database,
            lgpos,
            fields.pgno_left,
            fields.dbtime_left_before,
            page.dbtime,
        )?;
        let right = take(
            database,
            lgpos,
            fields.pgno_right,
            fields.dbtime_right_before,
            page.dbtime,
        )?;
        let (source, dest) = move_content(database, lgpos, record, source)?;
        let mut parent = parent;
        if let Some(parent) = &mut parent {
            let line = usize::try_from(fields.iline_parent);
            let line =
                line.map_err(|_| Problem::Macro("a page move without a line in the parent"))?;
            parent.replace_data(line, &fields.pgno_dest.0.to_le_bytes())?;
        }
        let (mut left, mut right) = (left, right);
        if let Some(left) = &mut left {
            left.set_next(fields.pgno_dest);
        }
        if let Some(right) = &mut right {
            right.set_previous(fields.pgno_dest);
        }
        let mut applied = false;
        for mut changed in [parent, source, dest, left, right].into_iter().flatten() {
            changed.touch(page.dbtime);
            database.pages.put(changed)?;
            applied = true;
        }
        Ok(applied.into())
    }

    pub(super) fn root_page_move(
        &mut self,
        records: &[Record<'_>],
    ) -> Result<RedoOutcome, Problem> {
        let Some(Record::RootPageMove(root_move)) = records.first() else {
            return Err(Problem::Macro("a moved root without its record"));
        };
        let lgpos = self.lgpos;
        let Some(database) = self.database_for(
            root_move.procid,
            root_move.dbid,
            root_move.dbtime,
            root_move.objid,
        ) else {
            return Ok(RedoOutcome::InPlace);
        };
        let new_owned = records.iter().find_map(|record| match record {
            Record::PageMove(record)
                if record.moved.move_flags.contains(PageMoveFlags::ROOT_OE) =>
            {
                Some(record.moved.pgno_dest)
            }
            _ => None,
        });
        let new_owned =
            new_owned.ok_or(Problem::Macro("a moved root without its owned extents"))?;
        // Both rows of the catalog may be on one page, which the first of them would make look done.
        let mut catalog = BTreeMap::new();
        for record in records {
            if let Record::Replace(Replace { page, .. }) = record {
                let verdict = database.access(lgpos, page.pgno, page.dbtime_before, page.dbtime)?;
                catalog.entry(page.pgno).or_insert(verdict.applies());
            }
        }
        let mut applied = false;
        for record in records {
            applied |= match record {
                Record::PageMove(record) => move_root(database, lgpos, record, new_owned)?,
                Record::SetExternalHeader(record) => {
                    let header = record.data.try_into();
                    let header = header
                        .map_err(|_| Problem::Macro("a moved root with a wrong space header"))?;
                    let page = &record.page;
                    let verdict =
                        database.access(lgpos, page.pgno, page.dbtime_before, page.dbtime)?;
                    verdict.applies()
                        && change(database, page, |image| image.set_space_header(header))?
                }
                Record::Replace(record) => {
                    let (page, line) = (&record.page, usize::from(record.page.iline));
                    let applies = catalog.get(&page.pgno) == Some(&true);
                    applies
                        && change(database, page, |image| {
                            image.replace_data(line, record.data)
                        })?
                }
                _ => false,
            };
        }
        Ok(applied.into())
    }
}

/// The page, if the record applies to it.
fn take(
    database: &mut ReplayDatabase,
    lgpos: Lgpos,
    pgno: Pgno,
    before: Dbtime,
    after: Dbtime,
) -> Result<Option<PageBuffer>, Problem> {
    if pgno.is_null() || !database.access(lgpos, pgno, before, after)?.applies() {
        return Ok(None);
    }
    Ok(Some(database.pages.get(pgno)?.clone()))
}

/// Copies the page to its new number and empties the old one, each where it needs it.
fn move_content(
    database: &mut ReplayDatabase,
    lgpos: Lgpos,
    record: &PageMove<'_>,
    source: Option<PageBuffer>,
) -> Result<(Option<PageBuffer>, Option<PageBuffer>), Problem> {
    let (page, dest_pgno) = (&record.page, record.moved.pgno_dest);
    let dest = database.access_new(lgpos, dest_pgno, page.dbtime)?;
    let size = database.pages.size();
    let mut source = match source {
        None if dest.applies() => {
            let (header, trailer) = (record.header, record.trailer);
            Some(image::join(
                header,
                trailer,
                page.pgno,
                size,
                page.dbtime_before,
            )?)
        }
        source => source,
    };
    let mut moved = None;
    if let Some(source) = source.as_ref().filter(|_| dest.applies()) {
        let new = PageBuffer::new_preinit(size.as_usize(), dest_pgno, source.objid());
        let mut new = new.map_err(|error| Problem::Edit(error.into()))?;
        new.copy_from(source);
        moved = Some(new);
    }
    if let Some(source) = &mut source {
        source.empty()?;
    }
    Ok((source, moved))
}

/// One of the three roots of a moved tree.
fn move_root(
    database: &mut ReplayDatabase,
    lgpos: Lgpos,
    record: &PageMove<'_>,
    new_owned: Pgno,
) -> Result<bool, Problem> {
    let (page, fields) = (&record.page, &record.moved);
    let source = take(database, lgpos, page.pgno, page.dbtime_before, page.dbtime)?;
    let dest = database.access_new(lgpos, fields.pgno_dest, page.dbtime)?;
    let mut applied = false;
    if dest.applies() {
        let size = database.pages.size();
        let image = image::join(
            record.header,
            record.trailer,
            page.pgno,
            size,
            page.dbtime_before,
        )?;
        let new = PageBuffer::new_preinit(size.as_usize(), fields.pgno_dest, fields.objid);
        let mut new = new.map_err(|error| Problem::Edit(error.into()))?;
        new.copy_from(&image);
        if fields.move_flags.contains(PageMoveFlags::ROOT_FDP) {
            point_to_owned(&mut new, new_owned)?;
            let deleted = source
                .as_ref()
                .map(|source| source.flags() & PageFlags::FDP_DELETE);
            new.set_flags(new.flags() | deleted.unwrap_or(PageFlags::empty()));
        }
        new.set_dbtime(page.dbtime);
        database.pages.put(new)?;
        applied = true;
    }
    if let Some(mut source) = source {
        source.empty()?;
        source.touch(page.dbtime);
        database.pages.put(source)?;
        applied = true;
    }
    Ok(applied)
}

/// Puts the new root of the owned extents into the space header of a moved root.
fn point_to_owned(root: &mut PageBuffer, owned: Pgno) -> Result<(), Problem> {
    let what = "its root has no space header";
    let pgno = root.pgno();
    let header = root.space_header()?;
    let mut header = header.ok_or(Problem::PageImage { pgno, what })?;
    header[SPACE_HEADER_OWNED..].copy_from_slice(&owned.0.to_le_bytes());
    Ok(root.set_space_header(&header)?)
}

fn change(
    database: &mut ReplayDatabase,
    page: &PageOp,
    change: impl FnOnce(&mut PageBuffer) -> Result<(), EditError>,
) -> Result<bool, Problem> {
    let image = database.pages.edit(page.pgno)?;
    change(image)?;
    image.touch(page.dbtime);
    Ok(true)
}
