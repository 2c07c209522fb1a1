//! Text of the records about a database, its file and the use of its pages.

use super::*;

pub(super) fn write_create_db(f: &mut Formatter<'_>, create: &CreateDb<'_>) -> fmt::Result {
    let version = create
        .version
        .map_or((0, 0), |version| (version.version, version.update_major));
    write!(
        f,
        " ({:x},{},{}) Version: 0x{:x},0x{:x} cpgMax: {} Sig: {} sparse: {}",
        create.procid,
        create.names,
        create.dbid,
        version.0,
        version.1,
        create.max_pages,
        Sign(create.signature),
        u8::from(create.create_flags.contains(CreateDbFlags::SPARSE_FILE))
    )
}

pub(super) fn write_attach_db(f: &mut Formatter<'_>, attach: &AttachDb<'_>) -> fmt::Result {
    write!(
        f,
        " ({:x},{},{}) cpgMax: {} consistent:{}   SigDb: {}   SigLog: {} sparse: {}",
        attach.procid,
        attach.names,
        attach.dbid,
        attach.max_pages,
        Position(attach.lgpos_consistent),
        Sign(attach.db_signature),
        Sign(attach.log_signature),
        u8::from(attach.attach_flags.contains(AttachDbFlags::SPARSE_FILE))
    )
}

pub(super) fn write_re_attach(f: &mut Formatter<'_>, attach: &ReAttachDb) -> fmt::Result {
    write!(
        f,
        " [{}:], consistent:{} attach:{} SigDb: {}",
        attach.dbid,
        Position(attach.lgpos_consistent),
        Position(attach.lgpos_attach),
        Sign(attach.signature)
    )
}

pub(super) fn write_shrink(f: &mut Formatter<'_>, record: &ShrinkDb) -> fmt::Result {
    let ShrinkDbFields {
        dbid,
        pgno_last,
        page_count,
    } = record.shrink;
    f.write_str(" ")?;
    if let Some(dbtime) = record.dbtime {
        write!(f, "{dbtime:x}")?;
    }
    write!(f, "[{dbid}:{pgno_last}:{page_count}]")
}

pub(super) fn write_trim(f: &mut Formatter<'_>, trim: &TrimDb) -> fmt::Result {
    let TrimDb {
        dbid,
        pgno_first,
        page_count,
    } = *trim;
    write!(f, " [{dbid}:{pgno_first}+{page_count}] ")?;
    write_range(f, dbid, pgno_first, page_count)
}

/// The pages of a range after its first, as far as a line shows them.
fn write_range(f: &mut Formatter<'_>, dbid: u8, first: Pgno, count: u32) -> fmt::Result {
    f.write_str("(")?;
    for index in 1..count.min(PAGES_SHOWN) {
        write!(f, "{} ", At(dbid, Pgno(first.0.wrapping_add(index))))?;
    }
    f.write_str(")")
}

pub(super) fn write_extent_freed(f: &mut Formatter<'_>, record: &ExtentFreed) -> fmt::Result {
    let ExtentFreedFields {
        dbid,
        pgno_first,
        page_count,
        extent_flags,
    } = record.extent;
    let mark = |flag, letter| {
        if extent_flags.contains(flag) {
            letter
        } else {
            ""
        }
    };
    write!(
        f,
        " {:x} [{dbid}:{pgno_first}+{page_count}],[{}{}] ",
        record.dbtime.unwrap_or(Dbtime::NIL),
        mark(ExtentFreedFlags::TABLE_ROOT, "R"),
        mark(ExtentFreedFlags::EMPTY_PAGE_FDP_DELETED, "E")
    )?;
    write_range(f, dbid, pgno_first, page_count)
}

pub(super) fn write_scan_check(f: &mut Formatter<'_>, scan: &ScanCheck2) -> fmt::Result {
    let has = |flag| scan.scan_flags.contains(flag);
    write!(
        f,
        " {:x},{:x}{},source:{},{},{}",
        scan.dbtime_current,
        scan.dbtime_page,
        At(scan.dbid, scan.pgno),
        scan.source(),
        if has(ScanCheckFlags::OBJID_INVALID) {
            "IVO"
        } else {
            "VO"
        },
        if has(ScanCheckFlags::EMPTY_PAGE) {
            "EP"
        } else {
            "NEP"
        }
    )
}
