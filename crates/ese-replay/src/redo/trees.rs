//! Creation, conversion and emptying of trees, and new pages.
//!
//! A tree starts with one extent whose free pages are a bitmap in the root's space header; when that is not enough, it
//! is converted and gets two space trees, whose roots are neighbours. See [`ese_format::page`] for the layouts. Source:
//! `ErrLGIRedoFDPPage`, `ErrLGRIRedoSpaceRootPage`, `ErrLGRIRedoConvertFDP`, `ErrLGRIRedoFreeEmptyPages`,
//! `ErrLGRIRedoNewPage` (`ese/_log/logredo.cxx`), `SPI*` (`ese/space.cxx`).

use super::access::Verdict;
use super::{Redo, RedoOutcome};
use crate::database::ReplayDatabase;
use crate::error::Problem;
use crate::page_edit::{EditError, PageBuffer};
use ese_format::page::{NodeFlags, PageFlags, SpaceHeader, SplitBuffer};
use ese_format::record::{
    ConvertFdp, CreateMultipleExtentFdp, CreateSingleExtentFdp, EmptyTree, NewPage, PageOp,
};
use ese_format::{Dbtime, Lgpos, ObjId, Pgno};

/// Pages of the first extent that the bitmap can speak of (`cpgSmallSpaceAvailMost`).
const BITMAP_PAGES: u32 = 32;
const MULTIPLE_EXTENTS: u32 = 1;
const NON_UNIQUE: u32 = 2;

/// A new page of a tree.
struct NewTreePage {
    pgno: Pgno,
    objid: ObjId,
    dbtime: Dbtime,
    flags: PageFlags,
}

impl NewTreePage {
    /// Makes the page if it is not in the database yet, and lets `fill` put something on it.
    fn make(
        self,
        database: &mut ReplayDatabase,
        lgpos: Lgpos,
        fill: impl FnOnce(&mut PageBuffer) -> Result<(), EditError>,
    ) -> Result<bool, Problem> {
        if database.access_new(lgpos, self.pgno, self.dbtime)? == Verdict::Skip {
            return Ok(false);
        }
        let page = PageBuffer::new_preinit(database.pages.size().as_usize(), self.pgno, self.objid);
        let mut page = page.map_err(|error| Problem::Edit(error.into()))?;
        database.pages.prepare(&mut page);
        page.consume(self.flags);
        fill(&mut page)?;
        page.set_dbtime(self.dbtime);
        database.pages.put(page)?;
        Ok(true)
    }
}

fn space_header(primary: u32, parent: Pgno, flags: u32, last: u32) -> [u8; SpaceHeader::SIZE] {
    let mut header = [0; SpaceHeader::SIZE];
    for (place, word) in header
        .chunks_exact_mut(4)
        .zip([primary, parent.0, flags, last])
    {
        place.copy_from_slice(&word.to_le_bytes());
    }
    header
}

fn unique_flag(page: &PageOp) -> u32 {
    if page.is_unique() { 0 } else { NON_UNIQUE }
}

/// Gives the root of a space tree its split buffer and these extents, each a last page and a number of pages.
fn fill_space_root(page: &mut PageBuffer, extents: &[(u32, u32)]) -> Result<(), EditError> {
    page.set_external_header(&[0; SplitBuffer::SIZE])?;
    let mut extents: Vec<(u32, u32)> = extents.to_vec();
    extents.sort_unstable();
    for (at, (last, pages)) in extents.into_iter().enumerate() {
        page.insert_node(
            at,
            0,
            &last.to_be_bytes(),
            &pages.to_le_bytes(),
            NodeFlags::empty(),
        )?;
    }
    Ok(())
}

impl Redo {
    pub(super) fn create_multiple_extent_fdp(
        &mut self,
        record: &CreateMultipleExtentFdp,
    ) -> Result<RedoOutcome, Problem> {
        let (lgpos, page, objid) = (self.lgpos, record.page, record.objid);
        let Some(database) = self.database_for(page.procid, page.dbid, page.dbtime, objid) else {
            return Ok(RedoOutcome::InPlace);
        };
        let flags =
            PageFlags::from_bits_retain(record.page_flags) | PageFlags::ROOT | PageFlags::LEAF;
        let new = |pgno, flags| NewTreePage {
            pgno,
            objid,
            dbtime: page.dbtime,
            flags,
        };
        let pages = record.page_count;
        let last = page.pgno.0.wrapping_add(pages).wrapping_sub(1);
        let header_flags = MULTIPLE_EXTENTS | unique_flag(&page);
        let header = space_header(
            pages,
            record.pgno_fdp_parent,
            header_flags,
            record.pgno_oe.0,
        );
        let root =
            new(page.pgno, flags).make(database, lgpos, |root| root.set_space_header(&header))?;
        let space = flags | PageFlags::SPACE_TREE;
        // The root and the roots of both space trees are taken already.
        let free = pages.saturating_sub(3);
        let available: &[(u32, u32)] = if free > 0 { &[(last, free)] } else { &[] };
        let ae = new(record.pgno_ae, space)
            .make(database, lgpos, |page| fill_space_root(page, available))?;
        let oe = new(record.pgno_oe, space).make(database, lgpos, |page| {
            fill_space_root(page, &[(last, pages)])
        })?;
        Ok((root || ae || oe).into())
    }

    pub(super) fn create_single_extent_fdp(
        &mut self,
        record: &CreateSingleExtentFdp,
    ) -> Result<RedoOutcome, Problem> {
        let (lgpos, page) = (self.lgpos, record.page);
        let Some(database) = self.database_for(page.procid, page.dbid, page.dbtime, record.objid)
        else {
            return Ok(RedoOutcome::InPlace);
        };
        let pages = record.page_count;
        let available = match pages {
            0 | 1 => 0,
            pages if pages > BITMAP_PAGES => u32::MAX,
            pages => u32::MAX >> (BITMAP_PAGES - (pages - 1)),
        };
        let header = space_header(pages, record.pgno_fdp_parent, unique_flag(&page), available);
        let new = NewTreePage {
            pgno: page.pgno,
            objid: record.objid,
            dbtime: page.dbtime,
            flags: PageFlags::from_bits_retain(record.page_flags)
                | PageFlags::ROOT
                | PageFlags::LEAF,
        };
        Ok(new
            .make(database, lgpos, |root| root.set_space_header(&header))?
            .into())
    }

    pub(super) fn convert_fdp(&mut self, record: &ConvertFdp) -> Result<RedoOutcome, Problem> {
        let (lgpos, page, fields) = (self.lgpos, record.page, record.convert);
        let extra = record.extra.ok_or(Problem::Obsolete("Convert"))?;
        let Some(database) = self.database_for(page.procid, page.dbid, page.dbtime, fields.objid)
        else {
            return Ok(RedoOutcome::InPlace);
        };
        let root = database.access(lgpos, page.pgno, page.dbtime_before, page.dbtime)?;
        let space = PageFlags::from_bits_retain(extra.page_flags)
            | PageFlags::ROOT
            | PageFlags::LEAF
            | PageFlags::SPACE_TREE;
        let new = |pgno| NewTreePage {
            pgno,
            objid: fields.objid,
            dbtime: page.dbtime,
            flags: space,
        };
        let primary = fields.primary_page_count;
        let primary_last = page.pgno.0.wrapping_add(primary).wrapping_sub(1);
        let secondary = fields.secondary_page_count;
        let secondary_last = fields
            .pgno_secondary
            .0
            .wrapping_add(secondary)
            .wrapping_sub(1);
        let owned = [(primary_last, primary), (secondary_last, secondary)];
        let oe = new(fields.pgno_oe).make(database, lgpos, |page| fill_space_root(page, &owned))?;
        let mut available = available_extents(page.pgno, primary, extra.available_pages);
        // Both space trees take the first two pages of the second extent.
        available.extend(
            Some((secondary_last, secondary.saturating_sub(2))).filter(|(_, free)| *free > 0),
        );
        let ae =
            new(fields.pgno_ae).make(database, lgpos, |page| fill_space_root(page, &available))?;
        if root.applies() {
            let flags = MULTIPLE_EXTENTS | unique_flag(&page);
            let header = space_header(
                primary,
                fields.pgno_fdp_parent,
                flags,
                fields.pgno_secondary.0,
            );
            let image = database.pages.edit(page.pgno)?;
            image.set_space_header(&header)?;
            image.touch(page.dbtime);
        }
        Ok((root.applies() || ae || oe).into())
    }

    /// All pages but the root are given back; the root is a leaf without nodes (`NDSetEmptyTree`, `inc/node.hxx`).
    pub(super) fn empty_tree(&mut self, record: &EmptyTree<'_>) -> Result<RedoOutcome, Problem> {
        let (lgpos, page) = (self.lgpos, record.page);
        let Some(database) =
            self.database_for(page.procid, page.dbid, page.dbtime, record.node.objid)
        else {
            return Ok(RedoOutcome::InPlace);
        };
        let root = database.access(lgpos, page.pgno, page.dbtime_before, page.dbtime)?;
        let mut applied = root.applies();
        for freed in record.pages.iter() {
            if database
                .access(lgpos, freed.pgno, freed.dbtime_before, page.dbtime)?
                .applies()
            {
                let image = database.pages.edit(freed.pgno)?;
                image.empty()?;
                image.touch(page.dbtime);
                applied = true;
            }
        }
        if root.applies() {
            let image = database.pages.edit(page.pgno)?;
            image.delete_node(0)?;
            image.set_flags((image.flags() - PageFlags::PARENT_OF_LEAF) | PageFlags::LEAF);
            image.touch(page.dbtime);
        }
        Ok(applied.into())
    }

    /// A page is taken out of the available space; what it is used for, later records say.
    pub(super) fn new_page(&mut self, record: &NewPage) -> Result<RedoOutcome, Problem> {
        let lgpos = self.lgpos;
        let Some(database) =
            self.database_for(record.procid, record.dbid, record.dbtime, record.objid)
        else {
            return Ok(RedoOutcome::InPlace);
        };
        if database.access_new(lgpos, record.pgno, record.dbtime)? == Verdict::Skip {
            return Ok(RedoOutcome::InPlace);
        }
        let page =
            PageBuffer::new_preinit(database.pages.size().as_usize(), record.pgno, record.objid);
        let mut page = page.map_err(|error| Problem::Edit(error.into()))?;
        page.set_dbtime(record.dbtime);
        database.pages.put(page)?;
        Ok(RedoOutcome::Applied)
    }
}

/// The free pages of a first extent as extents (`SPIConvertCalcExtents`, `ese/space.cxx`).
///
/// Bit n of the bitmap stands for page `root + 1 + n`; pages of an extent that is longer than the bitmap are free
/// after it.
fn available_extents(root: Pgno, pages: u32, bitmap: u32) -> Vec<(u32, u32)> {
    let mut extents: Vec<(u32, u32)> = Vec::new();
    let mut add = |pgno: u32| match extents.last_mut() {
        Some((last, count)) if last.wrapping_add(1) == pgno => (*last, *count) = (pgno, *count + 1),
        _ => extents.push((pgno, 1)),
    };
    for bit in (0..BITMAP_PAGES).filter(|bit| bitmap & (1 << bit) != 0) {
        add(root.0.wrapping_add(1 + bit));
    }
    if let Some(behind) = pages
        .checked_sub(BITMAP_PAGES + 1)
        .filter(|behind| *behind > 0)
    {
        let first = root.0.wrapping_add(BITMAP_PAGES + 1);
        let last = first.wrapping_add(behind - 1);
        match extents.last_mut() {
            Some((end, count)) if end.wrapping_add(1) == first => {
                (*end, *count) = (last, *count + behind);
            }
            _ => extents.push((last, behind)),
        }
    }
    extents
}
