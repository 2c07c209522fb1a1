//! Text of the records that change one node or one page.

use super::*;

pub(super) fn write_insert(f: &mut Formatter<'_>, insert: &Insert<'_>) -> fmt::Result {
    let (page, node) = (&insert.page, &insert.node);
    write!(
        f,
        "{},{},{}:{}:{}:{}:{}:{},{},{},{},rceid:{},objid:[{}:{}]){}",
        Head(page),
        Place(page),
        unique(page),
        version(page),
        deleted(page),
        space(page),
        task(page),
        concurrent(page),
        insert.key_prefix.len(),
        insert.key_suffix.len(),
        insert.data.len(),
        node.rceid,
        page.dbid,
        node.objid,
        Parts([insert.key_prefix, insert.key_suffix, insert.data])
    )
}

pub(super) fn write_flag_insert(f: &mut Formatter<'_>, insert: &FlagInsert<'_>) -> fmt::Result {
    let (page, node) = (&insert.page, &insert.node);
    write!(
        f,
        "{},{},{}:{}:{}:{}:{}:{},rceid:{},objid:[{}:{}])",
        Head(page),
        Place(page),
        unique(page),
        version(page),
        deleted(page),
        space(page),
        task(page),
        concurrent(page),
        node.rceid,
        page.dbid,
        node.objid
    )
}

pub(super) fn write_flag_insert_and_replace(
    f: &mut Formatter<'_>,
    insert: &FlagInsertAndReplaceData<'_>,
) -> fmt::Result {
    let (page, node) = (&insert.page, &insert.node);
    write!(
        f,
        "{},{},{}:{}:{}:{}:{},{:5},rceidInsert:{},rceidReplace:{},objid:[{}:{}]){}",
        Head(page),
        Place(page),
        unique(page),
        version(page),
        space(page),
        task(page),
        concurrent(page),
        insert.key.len() + insert.data.len(),
        node.rceid,
        insert.rceid_replace,
        page.dbid,
        node.objid,
        Parts([insert.key, insert.data])
    )
}

pub(super) fn write_flag_delete(f: &mut Formatter<'_>, delete: &FlagDelete) -> fmt::Result {
    let (page, node) = (&delete.page, &delete.node);
    write!(
        f,
        "{},{},{}:{}:{}:{}:{}),rceid:{},objid:[{}:{}]",
        Head(page),
        Place(page),
        unique(page),
        version(page),
        space(page),
        task(page),
        concurrent(page),
        node.rceid,
        page.dbid,
        node.objid
    )
}

pub(super) fn write_delete(f: &mut Formatter<'_>, delete: &Delete) -> fmt::Result {
    let page = &delete.page;
    write!(
        f,
        "{},{},{}:{}:{},objid:[{}:{}])",
        Head(page),
        Place(page),
        unique(page),
        space(page),
        task(page),
        page.dbid,
        delete.node.objid
    )
}

/// `sizes` are those of the stored data, of the new data and of the old.
pub(super) fn write_replace(
    f: &mut Formatter<'_>,
    page: &PageOp,
    node: &NodeOp,
    sizes: [usize; 3],
) -> fmt::Result {
    let [stored, new, old] = sizes;
    write!(
        f,
        "{},{},{}:{}:{}:{}:{},{stored:5},{new:5},{old:5},rceid:{},objid:[{}:{}])",
        Head(page),
        Place(page),
        unique(page),
        version(page),
        space(page),
        task(page),
        concurrent(page),
        node.rceid,
        page.dbid,
        node.objid
    )
}

pub(super) fn write_replace_delta(
    f: &mut Formatter<'_>,
    replace: &ReplaceDelta<'_>,
) -> fmt::Result {
    let page = &replace.page;
    let sizes = [
        replace.diff.bytes.len(),
        replace.new_data_len.into(),
        replace.old_data_len.into(),
    ];
    write_replace(f, page, &replace.node, sizes)?;
    for step in replace.diff.steps() {
        let head = format_args!("\n{:20}ReplDiff ", "");
        write!(
            f,
            "{head}{},{},objid:[{}:{}],",
            Head(page),
            Place(page),
            page.dbid,
            replace.node.objid
        )?;
        match step {
            Ok(step) => write_diff_step(f, &step)?,
            Err(error) => write!(f, "[ {error} ])")?,
        }
    }
    Ok(())
}

fn write_diff_step(f: &mut Formatter<'_>, step: &DiffStep<'_>) -> fmt::Result {
    let width = if step.two_byte_lengths { "2B" } else { "1B" };
    write!(f, "[ Offs:{} {width} ", step.offset)?;
    match step.kind {
        DiffKind::Insert => write!(f, "InsertWithValue ({}): ", step.new.len())?,
        DiffKind::ReplaceSameLength => write!(f, "ReplaceWithSameLength ({}): ", step.new.len())?,
        DiffKind::Replace => write!(
            f,
            "ReplaceWithNewValue ({}=>{}): ",
            step.old_len,
            step.new.len()
        )?,
    }
    write!(f, "{}])", Data(step.new))
}

pub(super) fn write_undo_info(f: &mut Formatter<'_>, info: &UndoInfo<'_>) -> fmt::Result {
    let (page, node) = (&info.page, &info.node);
    write!(
        f,
        " {:x}:{}({:x},{},{}:{},{},{},{},rceid:{},objid:[{}:{}]){}",
        page.trx,
        page.level,
        page.procid,
        At(page.dbid, page.pgno),
        unique(page),
        task(page),
        info.bookmark_key.len(),
        info.bookmark_data.len(),
        info.data.len(),
        node.rceid,
        page.dbid,
        node.objid,
        Parts([info.bookmark_key, info.bookmark_data, info.data])
    )
}

pub(super) fn write_delta(f: &mut Formatter<'_>, delta: &Delta<'_>) -> fmt::Result {
    let (page, node) = (&delta.page, &delta.node);
    write!(
        f,
        "{},{},{}:{}:{}:{},{},offset:{},rceid:{},objid:[{}:{}])",
        Head(page),
        Place(page),
        unique(page),
        version(page),
        task(page),
        concurrent(page),
        delta.delta,
        delta.offset,
        node.rceid,
        page.dbid,
        node.objid
    )
}

pub(super) fn write_external_header(
    f: &mut Formatter<'_>,
    set: &SetExternalHeader<'_>,
) -> fmt::Result {
    let page = &set.page;
    write!(
        f,
        "{},{},{}:{}:{},{:5}){}",
        Head(page),
        At(page.dbid, page.pgno),
        unique(page),
        space(page),
        task(page),
        set.data.len(),
        Data(set.data)
    )
}

pub(super) fn write_scrub(f: &mut Formatter<'_>, scrub: &Scrub<'_>) -> fmt::Result {
    let page = &scrub.page;
    let used = if scrub.scrub_flags.contains(ScrubFlags::UNUSED_PAGE) {
        "unused page"
    } else {
        "used page"
    };
    write!(
        f,
        "{},{},{}:{}:{},{used},{},{:5}){}",
        Head(page),
        At(page.dbid, page.pgno),
        unique(page),
        space(page),
        task(page),
        scrub.operation_count.cast_signed(),
        scrub.operations.len(),
        Data(scrub.operations)
    )
}

pub(super) fn write_undo(f: &mut Formatter<'_>, undo: &Undo<'_>) -> fmt::Result {
    let page = &undo.page;
    write!(
        f,
        " {:x},{:x},{:x}:{}({:x},{},{}:{},{},{},rceid:{})",
        page.dbtime,
        page.dbtime_before,
        page.trx,
        undo.operation_level,
        page.procid,
        Place(page),
        unique(page),
        task(page),
        undo.operation_level,
        u16::from(undo.operation),
        undo.node.rceid
    )
}
