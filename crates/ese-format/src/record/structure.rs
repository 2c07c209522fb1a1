//! Records that change the shape of a tree: split, merge, emptying, new pages and moved ones.
//!
//! Source: `LRSPLIT_`, `LRMERGE_`, `LREMPTYTREE`, `LRNEWPAGE`, `LRPAGEMOVE`, `LRROOTPAGEMOVE` (`inc/logapi.hxx`),
//! `EMPTYPAGE` and the choices in `inc/btsplit.hxx`.

use super::body::{Variable, record};
use super::page::{NodeOp, PageOp};
use super::values::{hex, stored_choice, stored_flags};
use crate::layout::{Stored, layout};
use crate::{Dbtime, ObjId, Pgno, ProcId};
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

/// The mark is the flags.
impl<'a> Variable<'a> for Option<PageImage<'a>> {
    fn read(found: Option<(&'a [u8], u32)>) -> Self {
        found.map(|(bytes, flags)| PageImage {
            flags: PageImageFlags::from_bits_retain(flags),
            bytes,
        })
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32> {
        let image = self.as_ref()?;
        bytes.extend_from_slice(image.bytes);
        Some(image.flags.bits())
    }
}

record! {
    /// One page's part in a split (`LRSPLIT_`).
    ///
    /// A split of a deep tree logs one record per level; [`Split::is_parent_only`] ones say that a page took a pointer to
    /// the new page of the level below.
    Split<'a> [1..102] {
        #[serde(flatten)]
        1 page: PageOp = "The page that is split.";
        #[serde(flatten)]
        32 split: SplitFields = "All but the variable parts.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(100) parent_key: &'a [u8] = "Key of the pointer to insert into the parent.";
        #[serde(serialize_with = "hex")]
        U16(96) split_prefix_before: &'a [u8] = "Prefix of the split page before.";
        #[serde(serialize_with = "hex")]
        U16(98) split_prefix_after: &'a [u8] = "Prefix of the split page after; that of the new page is the key of its node `iline_prefix_new`.";
        Image(102) before_image: Option<PageImage<'a>> = "The split page before; `None` in the older form, which has no room for it.";
    }
}

layout! {
    /// The fixed fields of a [`Split`].
    #[derive(Copy, Serialize)]
    SplitFields [32..96] {
        32 pgno_new: Pgno = "The page that takes the nodes from `iline_split` on; 0 in a record that is about a parent only.";
        36 pgno_right: Pgno = "The old right sibling; 0 if none or if the pages are internal.";
        40 dbtime_right_before: Dbtime = "Its dbtime before.";
        48 pgno_parent: Pgno = "The parent; 0 in a vertical split.";
        52 dbtime_parent_before: Dbtime = "Its dbtime before.";
        60 pgno_fdp: Pgno = "The root of the tree.";
        64 objid: ObjId = "The tree.";
        68 split_type: SplitType = "How the page was split.";
        69 operation: SplitOperation = "The operation that is done along with it; its own record is in the same macro.";
        70 iline_operation: u16 = "Where on the page that operation was to happen.";
        72 iline_split: u16 = "The first node that moves.";
        74 line_count: u16 = "Nodes on the page, that of the operation included.";
        76 new_page_flags: u32 = "Page flags of the new page.";
        80 split_page_flags: u32 = "Page flags of the split page.";
        84 uncommitted_free_source: i16 = "Uncommitted free bytes of the split page after.";
        86 uncommitted_free_dest: i16 = "Uncommitted free bytes of the new page after.";
        88 iline_prefix_split: i32 = "The node of the split page that its new prefix is taken from; -1 if none.";
        92 iline_prefix_new: i32 = "The node of the new page that its prefix is taken from; -1 if none.";
    }
}

impl Split<'_> {
    /// Whether the record is about a parent that takes a page pointer, and nothing is split here.
    pub fn is_parent_only(&self) -> bool {
        self.split.pgno_new.is_null()
    }
}

record! {
    /// One page's part in a merge (`LRMERGE_`).
    Merge<'a> [1..88] {
        #[serde(flatten)]
        1 page: PageOp = "The page whose nodes go elsewhere.";
        #[serde(flatten)]
        32 merge: MergeFields = "All but the variable parts.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U16(86) separator_key: &'a [u8] = "New key of the pointer in the parent.";
        Image(88) before_image: Option<PageImage<'a>> = "The merged page before; `None` in the older form, which has no room for it.";
    }
}

layout! {
    /// The fixed fields of a [`Merge`].
    #[derive(Copy, Serialize)]
    MergeFields [32..86] {
        32 pgno_right: Pgno = "The right sibling; 0 if none.";
        36 dbtime_right_before: Dbtime = "Its dbtime before.";
        44 pgno_left: Pgno = "The left sibling; 0 if none.";
        48 dbtime_left_before: Dbtime = "Its dbtime before.";
        56 pgno_parent: Pgno = "The parent; 0 if it is not touched.";
        60 dbtime_parent_before: Dbtime = "Its dbtime before.";
        68 pgno_fdp: Pgno = "The root of the tree.";
        72 objid: ObjId = "The tree.";
        76 size_total: u16 = "Bytes of the nodes that move.";
        78 size_max_total: u16 = "The same with what their versions may grow to.";
        80 uncommitted_free_dest: u16 = "Uncommitted free bytes of the receiving page after.";
        82 iline_merge: u16 = "The first node that moves (or, to the left, the last).";
        84 merge_flags: MergeFlags = "What else was done.";
        85 merge_type: MergeType = "How the page was merged.";
    }
}

record! {
    /// All pages of a tree but its root were freed; `page` is the root (`LREMPTYTREE`).
    EmptyTree<'a> [1..46] {
        #[serde(flatten)]
        1 page: PageOp = "The root.";
        #[serde(flatten)]
        32 node: NodeOp = "The tree.";
    }
    parts {
        U16(44) pages: EmptyPages<'a> = "The pages that were freed.";
    }
}

layout! {
    /// A page that was freed when its tree was emptied (`EMPTYPAGE`).
    #[derive(Copy, Serialize)]
    EmptyPage [0..16] {
        0 dbtime_before: Dbtime = "Its dbtime before.";
        8 pgno: Pgno = "The page.";
        12 page_flags: u32 = "Its page flags.";
    }
}

/// The list of an [`EmptyTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyPages<'a> {
    /// The list as stored, 16 bytes each.
    pub bytes: &'a [u8],
}

impl<'a> Variable<'a> for EmptyPages<'a> {
    const UNIT: usize = EmptyPage::SIZE;

    fn read(found: Option<(&'a [u8], u32)>) -> Self {
        EmptyPages {
            bytes: Variable::read(found),
        }
    }

    fn append(&self, bytes: &mut Vec<u8>) -> Option<u32> {
        self.bytes.append(bytes)
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

record! {
    /// A page was taken into use (`LRNEWPAGE`).
    NewPage [1..20] {
        1 procid: ProcId = "The session.";
        3 dbid: u8 = "The database.";
        4 pgno: Pgno = "The page.";
        8 objid: ObjId = "The tree that it belongs to now.";
        12 dbtime: Dbtime = "The dbtime that it has after.";
    }
}

record! {
    /// A page moved to another place; `page.pgno` is where it was (`LRPAGEMOVE`).
    PageMove<'a> [1..96] {
        #[serde(flatten)]
        1 page: PageOp = "The page that moves.";
        #[serde(flatten)]
        32 moved: PageMoveFields = "All but the page's bytes.";
    }
    parts {
        #[serde(serialize_with = "hex")]
        U32(88) header: &'a [u8] = "The page up to the end of its nodes.";
        #[serde(serialize_with = "hex")]
        U32(92) trailer: &'a [u8] = "The page's tag array; the free space between is not logged.";
    }
}

layout! {
    /// The fixed fields of a [`PageMove`].
    #[derive(Copy, Serialize)]
    PageMoveFields [32..88] {
        32 pgno_dest: Pgno = "Where the page goes.";
        36 pgno_left: Pgno = "The left sibling; 0 if none.";
        40 pgno_right: Pgno = "The right sibling; 0 if none.";
        44 pgno_parent: Pgno = "The parent.";
        48 dbtime_left_before: Dbtime = "The left sibling's dbtime before.";
        56 dbtime_right_before: Dbtime = "The right sibling's dbtime before.";
        64 dbtime_parent_before: Dbtime = "The parent's dbtime before.";
        72 pgno_fdp: Pgno = "The root of the tree.";
        76 objid: ObjId = "The tree.";
        80 iline_parent: i32 = "The node of the parent that points to the page.";
        84 move_flags: PageMoveFlags = "Whether, and which, root moved.";
    }
}

record! {
    /// The roots of a tree moved; the [`PageMove`]s of the same macro say where to (`LRROOTPAGEMOVE`).
    RootPageMove [1..16] {
        1 dbtime: Dbtime = "The dbtime that all changed pages have after.";
        9 dbid: u8 = "The database.";
        10 objid: ObjId = "The tree.";
        14 procid: ProcId = "The session.";
    }
}
