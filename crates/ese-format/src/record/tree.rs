//! Records about whole trees: creation, conversion, freeing.
//!
//! `page.pgno` is the root (father data page) of the tree. Source: `LRCREATEMEFDP`, `LRCREATESEFDP`,
//! `LRCONVERTFDP_OBSOLETE`, `LRCONVERTFDP`, `LRFREEFDP` (`inc/logapi.hxx`).

use super::layout::{Write, Writer, fixed, fixed_layout, stored_choice};
use super::page::PageOp;
use crate::{FormatError, ObjId, Pgno, Reader};
use serde::Serialize;

fixed_layout! {
    /// A tree with own space trees was created (`LRCREATEMEFDP`).
    pub struct CreateMultipleExtentFdp: 55 {
        /// The root.
        #[serde(flatten)]
        pub page: PageOp,
        /// The tree.
        pub objid: ObjId,
        /// Root of the owned extents.
        pub pgno_oe: Pgno,
        /// Root of the available extents.
        pub pgno_ae: Pgno,
        /// Root of the tree that gave the space.
        pub pgno_fdp_parent: Pgno,
        /// Pages of the first extent.
        pub page_count: u32,
        /// Page flags of the root.
        pub page_flags: u32,
    }
}

fixed_layout! {
    /// A tree was created that keeps its single extent in the root's header (`LRCREATESEFDP`).
    pub struct CreateSingleExtentFdp: 47 {
        /// The root.
        #[serde(flatten)]
        pub page: PageOp,
        /// The tree.
        pub objid: ObjId,
        /// Root of the tree that gave the space.
        pub pgno_fdp_parent: Pgno,
        /// Pages of the extent.
        pub page_count: u32,
        /// Page flags of the root.
        pub page_flags: u32,
    }
}

fixed_layout! {
    /// What both forms of [`ConvertFdp`] have (`LRCONVERTFDP_OBSOLETE`).
    pub struct ConvertFdpFields: 28 {
        /// The tree.
        pub objid: ObjId,
        /// Root of the owned extents, the first page of the second extent.
        pub pgno_oe: Pgno,
        /// Root of the available extents.
        pub pgno_ae: Pgno,
        /// Root of the tree that gave the space.
        pub pgno_fdp_parent: Pgno,
        /// First page of the second extent.
        pub pgno_secondary: Pgno,
        /// Pages of the first extent.
        pub primary_page_count: u32,
        /// Pages of the second extent.
        pub secondary_page_count: u32,
    }
}

fixed_layout! {
    /// What the newer form of [`ConvertFdp`] adds, so that the old root need not be read (`LRCONVERTFDP`).
    pub struct ConvertFdpExtra: 8 {
        /// Free pages of the first extent, one bit each.
        pub available_pages: u32,
        /// Page flags of the root.
        pub page_flags: u32,
    }
}

/// A single-extent tree got space trees and a second extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ConvertFdp {
    /// The root.
    #[serde(flatten)]
    pub page: PageOp,
    /// What both forms have.
    #[serde(flatten)]
    pub convert: ConvertFdpFields,
    /// `None` in the form before 7.3704.7.
    #[serde(flatten)]
    pub extra: Option<ConvertFdpExtra>,
}

impl ConvertFdp {
    pub(super) fn read_old(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(ConvertFdp {
            page: fixed(reader, "ConvertFdp.page")?,
            convert: fixed(reader, "ConvertFdp")?,
            extra: None,
        })
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let mut convert = Self::read_old(reader)?;
        convert.extra = Some(fixed(reader, "ConvertFdp")?);
        Ok(convert)
    }
}

impl Write for ConvertFdp {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.convert);
        if let Some(extra) = &self.extra {
            writer.fixed(extra);
        }
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

fixed_layout! {
    /// A tree was freed; informs, changes no page (`LRFREEFDP`).
    pub struct FreeFdp: 10 {
        /// The database.
        pub dbid: u8,
        /// The root of the freed tree.
        pub pgno_fdp: Pgno,
        /// When the deletion was committed.
        pub trx: u32,
        /// What the tree was.
        pub fdp_type: FdpType,
    }
}
