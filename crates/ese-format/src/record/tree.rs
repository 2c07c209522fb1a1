//! Records about whole trees: creation, conversion, freeing.
//!
//! `page.pgno` is the root (father data page) of the tree. Source: `LRCREATEMEFDP`, `LRCREATESEFDP`,
//! `LRCONVERTFDP_OBSOLETE`, `LRCONVERTFDP`, `LRFREEFDP` (`inc/logapi.hxx`).

use super::body::record;
use super::page::PageOp;
use super::values::stored_choice;
use crate::layout::layout;
use crate::{ObjId, Pgno};
use serde::Serialize;

record! {
    /// A tree with own space trees was created (`LRCREATEMEFDP`).
    CreateMultipleExtentFdp [1..56] {
        #[serde(flatten)]
        1 page: PageOp = "The root.";
        32 objid: ObjId = "The tree.";
        36 pgno_oe: Pgno = "Root of the owned extents.";
        40 pgno_ae: Pgno = "Root of the available extents.";
        44 pgno_fdp_parent: Pgno = "Root of the tree that gave the space.";
        48 page_count: u32 = "Pages of the first extent.";
        52 page_flags: u32 = "Page flags of the root.";
    }
}

record! {
    /// A tree was created that keeps its single extent in the root's header (`LRCREATESEFDP`).
    CreateSingleExtentFdp [1..48] {
        #[serde(flatten)]
        1 page: PageOp = "The root.";
        32 objid: ObjId = "The tree.";
        36 pgno_fdp_parent: Pgno = "Root of the tree that gave the space.";
        40 page_count: u32 = "Pages of the extent.";
        44 page_flags: u32 = "Page flags of the root.";
    }
}

layout! {
    /// What both forms of [`ConvertFdp`] have (`LRCONVERTFDP_OBSOLETE`).
    #[derive(Copy, Serialize)]
    ConvertFdpFields [32..60] {
        32 objid: ObjId = "The tree.";
        36 pgno_oe: Pgno = "Root of the owned extents, the first page of the second extent.";
        40 pgno_ae: Pgno = "Root of the available extents.";
        44 pgno_fdp_parent: Pgno = "Root of the tree that gave the space.";
        48 pgno_secondary: Pgno = "First page of the second extent.";
        52 primary_page_count: u32 = "Pages of the first extent.";
        56 secondary_page_count: u32 = "Pages of the second extent.";
    }
}

layout! {
    /// What the newer form of [`ConvertFdp`] adds, so that the old root need not be read (`LRCONVERTFDP`).
    #[derive(Copy, Serialize)]
    ConvertFdpExtra [60..68] {
        60 available_pages: u32 = "Free pages of the first extent, one bit each.";
        64 page_flags: u32 = "Page flags of the root.";
    }
}

record! {
    /// A single-extent tree got space trees and a second extent.
    ConvertFdp [1..60] {
        #[serde(flatten)]
        1 page: PageOp = "The root.";
        #[serde(flatten)]
        32 convert: ConvertFdpFields = "What both forms have.";
    }
    later {
        #[serde(flatten)]
        60 extra: ConvertFdpExtra = "`None` in the form before 7.3704.7.";
    }
}

stored_choice! {
    /// What a freed tree was (`FDPTYPE`).
    pub enum FdpType: u8 {
        /// Not said.
        Unknown = 0,
        /// A table.
        Table = 1,
        /// An index.
        Index = 2,
    }
}

record! {
    /// A tree was freed; informs, changes no page (`LRFREEFDP`).
    FreeFdp [5..15] {
        5 dbid: u8 = "The database.";
        6 pgno_fdp: Pgno = "The root of the freed tree.";
        10 trx: u32 = "When the deletion was committed.";
        14 fdp_type: FdpType = "What the tree was.";
    }
}
