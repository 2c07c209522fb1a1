//! Text of the records that change the shape of a tree, or make or free one.

use super::*;

pub(super) fn write_create_multiple(
    f: &mut Formatter<'_>,
    create: &CreateMultipleExtentFdp,
) -> fmt::Result {
    let page = &create.page;
    let dbid = page.dbid;
    write!(
        f,
        " {:x},{:x}:{}({:x},FDP:{},OE:{},AE:{},FDPParent:{},objid:[{dbid}:{}],PageFlags:[0x{:x}],{},{}:{})",
        page.dbtime,
        page.trx,
        page.level,
        page.procid,
        At(dbid, page.pgno),
        At(dbid, create.pgno_oe),
        At(dbid, create.pgno_ae),
        At(dbid, create.pgno_fdp_parent),
        create.objid,
        create.page_flags,
        create.page_count,
        unique(page),
        task(page)
    )
}

pub(super) fn write_create_single(
    f: &mut Formatter<'_>,
    create: &CreateSingleExtentFdp,
) -> fmt::Result {
    let page = &create.page;
    write!(
        f,
        " {:x},{:x}:{}({:x},{},{},[{}],PageFlags:[0x{:x}]{},{}:{})",
        page.dbtime,
        page.trx,
        page.level,
        page.procid,
        At(page.dbid, page.pgno),
        At(page.dbid, create.pgno_fdp_parent),
        create.objid,
        create.page_flags,
        create.page_count,
        unique(page),
        task(page)
    )
}

pub(super) fn write_convert(f: &mut Formatter<'_>, record: &ConvertFdp) -> fmt::Result {
    let (page, convert) = (&record.page, &record.convert);
    write!(
        f,
        "{},{},{},[{}],+{},{},+{},{}:{})",
        Head(page),
        At(page.dbid, page.pgno),
        At(page.dbid, convert.pgno_fdp_parent),
        convert.objid,
        convert.primary_page_count,
        At(page.dbid, convert.pgno_secondary),
        convert.secondary_page_count,
        unique(page),
        task(page)
    )
}

pub(super) fn write_free_fdp(f: &mut Formatter<'_>, free: &FreeFdp) -> fmt::Result {
    let kind = if free.fdp_type == FdpType::Table {
        'T'
    } else {
        'I'
    };
    write!(
        f,
        " {:x}:({} ({kind}))",
        free.trx,
        At(free.dbid, free.pgno_fdp)
    )
}

/// What a page image was made smaller with.
fn image_marks(image: Option<PageImage<'_>>) -> (usize, &'static str, &'static str) {
    let Some(PageImage { flags, bytes }) = image else {
        return (0, "", "");
    };
    let mark = |flag, letter| if flags.contains(flag) { letter } else { "" };
    (
        bytes.len(),
        mark(PageImageFlags::DEHYDRATED, "D"),
        mark(PageImageFlags::XPRESS, "X"),
    )
}

pub(super) fn write_split(f: &mut Formatter<'_>, record: &Split<'_>) -> fmt::Result {
    let (page, split) = (&record.page, &record.split);
    let dbid = page.dbid;
    if record.is_parent_only() {
        return write!(
            f,
            " ParentOfSplitPage{},parent:{:x},{})",
            Head(page),
            split.dbtime_parent_before,
            At(dbid, page.pgno)
        );
    }
    let hotpoint = split.operation == SplitOperation::Insert
        && split.iline_split == split.iline_operation
        && u32::from(split.iline_split) + 1 == u32::from(split.line_count);
    let kind = match split.split_type {
        SplitType::Right if hotpoint => " SplitHotpoint",
        SplitType::Right => " SplitRight",
        SplitType::Vertical => " SplitVertical",
        SplitType::Append => " Append",
        SplitType::Other(_) => " *Unknown*",
    };
    let operation = match split.operation {
        SplitOperation::None => "None",
        SplitOperation::Insert => "Insert",
        SplitOperation::Replace => "Replace",
        SplitOperation::FlagInsertAndReplaceData => "FlagInsertAndReplaceData",
        SplitOperation::Other(_) => "*Unknown*",
    };
    let (image, dehydrated, xpress) = image_marks(record.before_image);
    write!(
        f,
        "{kind}{},split:[{dbid}:{}:{}],oper/last:[{}/{}],new:{},parent:{},right:{}, objid:[{dbid}:{}], \
         {}:{}:{}:{}, splitoper:{operation}, beforeImage:{image}[{dehydrated}{xpress}])",
        Head(page),
        page.pgno,
        split.iline_split,
        split.iline_operation,
        i32::from(split.line_count) - 1,
        At(dbid, split.pgno_new),
        Neighbour(dbid, split.pgno_parent, split.dbtime_parent_before),
        Neighbour(dbid, split.pgno_right, split.dbtime_right_before),
        split.objid,
        unique(page),
        space(page),
        task(page),
        concurrent(page)
    )
}

pub(super) fn write_merge(f: &mut Formatter<'_>, record: &Merge<'_>) -> fmt::Result {
    let (page, merge) = (&record.page, &record.merge);
    let dbid = page.dbid;
    let has = |flag| merge.merge_flags.contains(flag);
    let kind = match merge.merge_type {
        MergeType::None => "None",
        MergeType::EmptyPage => "EmptyPage",
        MergeType::FullRight => "FullRight",
        MergeType::PartialRight => "PartialRight",
        MergeType::EmptyTree => "EmptyTree",
        MergeType::FullLeft => "FullLeft",
        MergeType::PartialLeft => "PartialLeft",
        MergeType::PageMove => "PageMove",
        MergeType::Other(_) => "*Unknown*",
    };
    let (image, dehydrated, xpress) = image_marks(record.before_image);
    write!(
        f,
        "{},merge:[{dbid}:{}:{}],right:{},left:{},parent:{},{}:{}:{}:{}:{}:{}:{kind},size:{},maxsize:{},\
         uncfree:{},beforeImage:{image}[{dehydrated}{xpress}]){}",
        Head(page),
        page.pgno,
        merge.iline_merge,
        Neighbour(dbid, merge.pgno_right, merge.dbtime_right_before),
        Neighbour(dbid, merge.pgno_left, merge.dbtime_left_before),
        Neighbour(dbid, merge.pgno_parent, merge.dbtime_parent_before),
        unique(page),
        space(page),
        task(page),
        if has(MergeFlags::KEY_CHANGE) {
            "KC"
        } else {
            "NKC"
        },
        if has(MergeFlags::EMPTY_PAGE) {
            "EP"
        } else {
            "NEP"
        },
        if has(MergeFlags::DELETE_NODE) {
            "D"
        } else {
            "ND"
        },
        merge.size_total.cast_signed(),
        merge.size_max_total.cast_signed(),
        merge.uncommitted_free_dest.cast_signed(),
        Data(record.separator_key)
    )
}

pub(super) fn write_page_move(f: &mut Formatter<'_>, record: &PageMove<'_>) -> fmt::Result {
    let (page, moved) = (&record.page, &record.moved);
    let dbid = page.dbid;
    write!(
        f,
        "{},source:{},destination:{},right:{},left:{},parent:{:x},[{dbid}:{}:{}],header:{},trailer:{},\
         objid:[{dbid}:{}],flags:{:x}, {})",
        Head(page),
        At(dbid, page.pgno),
        At(dbid, moved.pgno_dest),
        Neighbour(dbid, moved.pgno_right, moved.dbtime_right_before),
        Neighbour(dbid, moved.pgno_left, moved.dbtime_left_before),
        moved.dbtime_parent_before,
        moved.pgno_parent,
        moved.iline_parent.cast_unsigned(),
        record.header.len(),
        record.trailer.len(),
        moved.objid,
        moved.move_flags.bits(),
        task(page)
    )
}

pub(super) fn write_empty_tree(f: &mut Formatter<'_>, empty: &EmptyTree<'_>) -> fmt::Result {
    let page = &empty.page;
    write!(
        f,
        "{},{},objid:[{}:{}],{}:{}:{},{}){}",
        Head(page),
        At(page.dbid, page.pgno),
        page.dbid,
        empty.node.objid,
        unique(page),
        space(page),
        task(page),
        empty.pages.bytes.len(),
        Data(empty.pages.bytes)
    )
}
