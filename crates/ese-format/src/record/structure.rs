//! Records that change the shape of a tree: split, merge, emptying, new pages and moved ones.
//!
//! Source: `LRSPLIT_`, `LRMERGE_`, `LREMPTYTREE`, `LRNEWPAGE`, `LRPAGEMOVE`, `LRROOTPAGEMOVE` (`inc/logapi.hxx`),
//! `EMPTYPAGE` and the choices in `inc/btsplit.hxx`.

use super::layout::{Write, Writer, fixed, fixed_layout, hex, stored_choice, stored_flags};
use super::page::{NodeOp, PageOp};
use crate::layout::Stored;
use crate::{Dbtime, FormatError, ObjId, Pgno, ProcId, Reader};
use serde::{Serialize, Serializer};

stored_choice! {
    /// How a page was split (`SPLITTYPE`).
    pub enum SplitType: u8 {
        /// The root's nodes moved down into a new page.
        Vertical = 0,
        /// Nodes from a place on moved to a new right sibling.
        Right = 1,
        /// A new right sibling was made for a node that comes last.
        Append = 2,
    }
}

stored_choice! {
    /// The node operation that made a split necessary, and that is part of it (`SPLITOPER`).
    pub enum SplitOperation: u8 {
        /// None.
        None = 0,
        /// An insert.
        Insert = 1,
        /// A replace.
        Replace = 2,
        /// A flag-insert-and-replace.
        FlagInsertAndReplaceData = 3,
    }
}

stored_choice! {
    /// How a page was merged (`MERGETYPE`).
    pub enum MergeType: u8 {
        /// Nodes were deleted, no page was.
        None = 0,
        /// The page had no nodes left and was taken out.
        EmptyPage = 1,
        /// All nodes moved to the right sibling.
        FullRight = 2,
        /// Some nodes moved to the right sibling.
        PartialRight = 3,
        /// The whole tree became empty.
        EmptyTree = 4,
        /// All nodes moved to the left sibling.
        FullLeft = 5,
        /// Some nodes moved to the left sibling.
        PartialLeft = 6,
        /// The page moved as a whole.
        PageMove = 7,
    }
}

stored_flags! {
    /// How a page's before image was made smaller (`fPreimage*`).
    pub struct PageImageFlags: u32 {
        /// The free space in the page's middle was left out.
        const DEHYDRATED = 0x1;
        /// Compressed with Xpress, after that.
        const XPRESS = 0x2;
    }
}

stored_flags! {
    /// What else a merge did (`fLRMerge*`).
    pub struct MergeFlags: u8 {
        /// The separator key in the parent changed.
        const KEY_CHANGE = 0x01;
        /// The page pointer in the parent was deleted.
        const DELETE_NODE = 0x02;
        /// The page is empty.
        const EMPTY_PAGE = 0x04;
    }
}

stored_flags! {
    /// Which root of a tree a page move moved (`LRPAGEMOVE::fRoot*`).
    pub struct PageMoveFlags: u32 {
        /// The father data page.
        const ROOT_FDP = 0x1;
        /// The root of the owned extents.
        const ROOT_OE = 0x2;
        /// The root of the available extents.
        const ROOT_AE = 0x4;
    }
}

/// A page as it was before the operation, for when it cannot be read from disk in that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PageImage<'a> {
    /// How it was made smaller.
    pub flags: PageImageFlags,
    /// The image; empty when none was logged.
    #[serde(serialize_with = "hex")]
    pub bytes: &'a [u8],
}

/// One page's part in a split (`LRSPLIT_`).
///
/// A split of a deep tree logs one record per level; [`Split::is_parent_only`] ones say that a page took a pointer to
/// the new page of the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Split<'a> {
    /// The page that is split.
    #[serde(flatten)]
    pub page: PageOp,
    /// All but the variable parts.
    #[serde(flatten)]
    pub split: SplitFields,
    /// Key of the pointer to insert into the parent.
    #[serde(serialize_with = "hex")]
    pub parent_key: &'a [u8],
    /// Prefix of the split page before.
    #[serde(serialize_with = "hex")]
    pub split_prefix_before: &'a [u8],
    /// Prefix of the split page after; that of the new page is the key of its node `iline_prefix_new`.
    #[serde(serialize_with = "hex")]
    pub split_prefix_after: &'a [u8],
    /// The split page before; `None` in the older form, which has no room for it.
    pub before_image: Option<PageImage<'a>>,
}

fixed_layout! {
    /// The fixed fields of a [`Split`].
    pub struct SplitFields: 64 {
        /// The page that takes the nodes from `iline_split` on; 0 in a record that is about a parent only.
        pub pgno_new: Pgno,
        /// The old right sibling; 0 if none or if the pages are internal.
        pub pgno_right: Pgno,
        /// Its dbtime before.
        pub dbtime_right_before: Dbtime,
        /// The parent; 0 in a vertical split.
        pub pgno_parent: Pgno,
        /// Its dbtime before.
        pub dbtime_parent_before: Dbtime,
        /// The root of the tree.
        pub pgno_fdp: Pgno,
        /// The tree.
        pub objid: ObjId,
        /// How the page was split.
        pub split_type: SplitType,
        /// The operation that is done along with it; its own record is in the same macro.
        pub operation: SplitOperation,
        /// Where on the page that operation was to happen.
        pub iline_operation: u16,
        /// The first node that moves.
        pub iline_split: u16,
        /// Nodes on the page, that of the operation included.
        pub line_count: u16,
        /// Page flags of the new page.
        pub new_page_flags: u32,
        /// Page flags of the split page.
        pub split_page_flags: u32,
        /// Uncommitted free bytes of the split page after.
        pub uncommitted_free_source: i16,
        /// Uncommitted free bytes of the new page after.
        pub uncommitted_free_dest: i16,
        /// The node of the split page that its new prefix is taken from; -1 if none.
        pub iline_prefix_split: i32,
        /// The node of the new page that its prefix is taken from; -1 if none.
        pub iline_prefix_new: i32,
    }
}

impl<'a> Split<'a> {
    pub(super) fn read_old(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Self::read_form(reader, false)
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Self::read_form(reader, true)
    }

    fn read_form(reader: &mut Reader<'a>, has_image: bool) -> Result<Self, FormatError> {
        let page = fixed(reader, "Split.page")?;
        let split = fixed(reader, "Split")?;
        let prefix_before = reader.u16("Split.split_prefix_before length")?;
        let prefix_after = reader.u16("Split.split_prefix_after length")?;
        let parent_key = reader.u16("Split.parent_key length")?;
        let image = has_image.then(|| image_header(reader)).transpose()?;
        Ok(Split {
            page,
            split,
            parent_key: reader.take(parent_key.into(), "Split.parent_key")?,
            split_prefix_before: reader.take(prefix_before.into(), "Split.split_prefix_before")?,
            split_prefix_after: reader.take(prefix_after.into(), "Split.split_prefix_after")?,
            before_image: image.map(|image| image_bytes(reader, image)).transpose()?,
        })
    }

    /// Whether the record is about a parent that takes a page pointer, and nothing is split here.
    pub fn is_parent_only(&self) -> bool {
        self.split.pgno_new.is_null()
    }
}

impl Write for Split<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.split);
        writer.length::<u16>(
            "length of split_prefix_before",
            self.split_prefix_before.len(),
        );
        writer.length::<u16>(
            "length of split_prefix_after",
            self.split_prefix_after.len(),
        );
        writer.length::<u16>("length of parent_key", self.parent_key.len());
        if let Some(image) = &self.before_image {
            image_header_to(writer, image);
        }
        writer.bytes(self.parent_key);
        writer.bytes(self.split_prefix_before);
        writer.bytes(self.split_prefix_after);
        if let Some(image) = &self.before_image {
            writer.bytes(image.bytes);
        }
    }
}

fn image_header(reader: &mut Reader<'_>) -> Result<(PageImageFlags, u32), FormatError> {
    let flags = fixed(reader, "before_image.flags")?;
    Ok((flags, reader.u32("before_image length")?))
}

fn image_header_to(writer: &mut Writer, image: &PageImage<'_>) {
    writer.fixed(&image.flags);
    writer.length::<u32>("length of before_image", image.bytes.len());
}

fn image_bytes<'a>(
    reader: &mut Reader<'a>,
    (flags, length): (PageImageFlags, u32),
) -> Result<PageImage<'a>, FormatError> {
    let bytes = reader.take(length as usize, "before_image")?;
    Ok(PageImage { flags, bytes })
}

/// One page's part in a merge (`LRMERGE_`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Merge<'a> {
    /// The page whose nodes go elsewhere.
    #[serde(flatten)]
    pub page: PageOp,
    /// All but the variable parts.
    #[serde(flatten)]
    pub merge: MergeFields,
    /// New key of the pointer in the parent.
    #[serde(serialize_with = "hex")]
    pub separator_key: &'a [u8],
    /// The merged page before; `None` in the older form, which has no room for it.
    pub before_image: Option<PageImage<'a>>,
}

fixed_layout! {
    /// The fixed fields of a [`Merge`].
    pub struct MergeFields: 54 {
        /// The right sibling; 0 if none.
        pub pgno_right: Pgno,
        /// Its dbtime before.
        pub dbtime_right_before: Dbtime,
        /// The left sibling; 0 if none.
        pub pgno_left: Pgno,
        /// Its dbtime before.
        pub dbtime_left_before: Dbtime,
        /// The parent; 0 if it is not touched.
        pub pgno_parent: Pgno,
        /// Its dbtime before.
        pub dbtime_parent_before: Dbtime,
        /// The root of the tree.
        pub pgno_fdp: Pgno,
        /// The tree.
        pub objid: ObjId,
        /// Bytes of the nodes that move.
        pub size_total: u16,
        /// The same with what their versions may grow to.
        pub size_max_total: u16,
        /// Uncommitted free bytes of the receiving page after.
        pub uncommitted_free_dest: u16,
        /// The first node that moves (or, to the left, the last).
        pub iline_merge: u16,
        /// What else was done.
        pub merge_flags: MergeFlags,
        /// How the page was merged.
        pub merge_type: MergeType,
    }
}

impl<'a> Merge<'a> {
    pub(super) fn read_old(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Self::read_form(reader, false)
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        Self::read_form(reader, true)
    }

    fn read_form(reader: &mut Reader<'a>, has_image: bool) -> Result<Self, FormatError> {
        let page = fixed(reader, "Merge.page")?;
        let merge = fixed(reader, "Merge")?;
        let separator_key = reader.u16("Merge.separator_key length")?;
        let image = has_image.then(|| image_header(reader)).transpose()?;
        Ok(Merge {
            page,
            merge,
            separator_key: reader.take(separator_key.into(), "Merge.separator_key")?,
            before_image: image.map(|image| image_bytes(reader, image)).transpose()?,
        })
    }
}

impl Write for Merge<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.merge);
        writer.length::<u16>("length of separator_key", self.separator_key.len());
        if let Some(image) = &self.before_image {
            image_header_to(writer, image);
        }
        writer.bytes(self.separator_key);
        if let Some(image) = &self.before_image {
            writer.bytes(image.bytes);
        }
    }
}

/// All pages of a tree but its root were freed; `page` is the root (`LREMPTYTREE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EmptyTree<'a> {
    /// The root.
    #[serde(flatten)]
    pub page: PageOp,
    /// The tree.
    #[serde(flatten)]
    pub node: NodeOp,
    /// The pages that were freed.
    pub pages: EmptyPages<'a>,
}

fixed_layout! {
    /// A page that was freed when its tree was emptied (`EMPTYPAGE`).
    pub struct EmptyPage: 16 {
        /// Its dbtime before.
        pub dbtime_before: Dbtime,
        /// The page.
        pub pgno: Pgno,
        /// Its page flags.
        pub page_flags: u32,
    }
}

/// The list of an [`EmptyTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyPages<'a> {
    /// The list as stored, 16 bytes each.
    pub bytes: &'a [u8],
}

impl<'a> EmptyTree<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "EmptyTree.page")?;
        let node = fixed(reader, "EmptyTree.node")?;
        let length = usize::from(reader.u16("EmptyTree.pages length")?);
        let offset = reader.offset();
        if !length.is_multiple_of(EmptyPage::SIZE) {
            let expected = format!("a multiple of {}", EmptyPage::SIZE);
            return Err(FormatError::invalid(
                "EmptyTree.pages length",
                offset,
                length,
                expected,
            ));
        }
        Ok(EmptyTree {
            page,
            node,
            pages: EmptyPages {
                bytes: reader.take(length, "EmptyTree.pages")?,
            },
        })
    }
}

impl Write for EmptyTree<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.node);
        writer.length::<u16>("length of pages.bytes", self.pages.bytes.len());
        writer.bytes(self.pages.bytes);
    }
}

impl<'a> EmptyPages<'a> {
    /// The pages.
    pub fn iter(self) -> impl Iterator<Item = EmptyPage> + use<'a> {
        self.bytes
            .chunks_exact(EmptyPage::SIZE)
            .map(EmptyPage::load)
    }
}

impl Serialize for EmptyPages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

fixed_layout! {
    /// A page was taken into use (`LRNEWPAGE`).
    pub struct NewPage: 19 {
        /// The session.
        pub procid: ProcId,
        /// The database.
        pub dbid: u8,
        /// The page.
        pub pgno: Pgno,
        /// The tree that it belongs to now.
        pub objid: ObjId,
        /// The dbtime that it has after.
        pub dbtime: Dbtime,
    }
}

/// A page moved to another place; `page.pgno` is where it was (`LRPAGEMOVE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PageMove<'a> {
    /// The page that moves.
    #[serde(flatten)]
    pub page: PageOp,
    /// All but the page's bytes.
    #[serde(flatten)]
    pub moved: PageMoveFields,
    /// The page up to the end of its nodes.
    #[serde(serialize_with = "hex")]
    pub header: &'a [u8],
    /// The page's tag array; the free space between is not logged.
    #[serde(serialize_with = "hex")]
    pub trailer: &'a [u8],
}

fixed_layout! {
    /// The fixed fields of a [`PageMove`].
    pub struct PageMoveFields: 56 {
        /// Where the page goes.
        pub pgno_dest: Pgno,
        /// The left sibling; 0 if none.
        pub pgno_left: Pgno,
        /// The right sibling; 0 if none.
        pub pgno_right: Pgno,
        /// The parent.
        pub pgno_parent: Pgno,
        /// The left sibling's dbtime before.
        pub dbtime_left_before: Dbtime,
        /// The right sibling's dbtime before.
        pub dbtime_right_before: Dbtime,
        /// The parent's dbtime before.
        pub dbtime_parent_before: Dbtime,
        /// The root of the tree.
        pub pgno_fdp: Pgno,
        /// The tree.
        pub objid: ObjId,
        /// The node of the parent that points to the page.
        pub iline_parent: i32,
        /// Whether, and which, root moved.
        pub move_flags: PageMoveFlags,
    }
}

impl<'a> PageMove<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let page = fixed(reader, "PageMove.page")?;
        let moved = fixed(reader, "PageMove")?;
        let header = reader.u32("PageMove.header length")? as usize;
        let trailer = reader.u32("PageMove.trailer length")? as usize;
        Ok(PageMove {
            page,
            moved,
            header: reader.take(header, "PageMove.header")?,
            trailer: reader.take(trailer, "PageMove.trailer")?,
        })
    }
}

impl Write for PageMove<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.fixed(&self.page);
        writer.fixed(&self.moved);
        writer.length::<u32>("length of header", self.header.len());
        writer.length::<u32>("length of trailer", self.trailer.len());
        writer.bytes(self.header);
        writer.bytes(self.trailer);
    }
}

fixed_layout! {
    /// The roots of a tree moved; the [`PageMove`]s of the same macro say where to (`LRROOTPAGEMOVE`).
    pub struct RootPageMove: 15 {
        /// The dbtime that all changed pages have after.
        pub dbtime: Dbtime,
        /// The database.
        pub dbid: u8,
        /// The tree.
        pub objid: ObjId,
        /// The session.
        pub procid: ProcId,
    }
}
