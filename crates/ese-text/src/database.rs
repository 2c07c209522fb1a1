//! A database header as text, with the labels and in the order of `eseutil /mh`.
//!
//! The labels are those that `DUMPIHeader` and its helpers print (`ese/dbdump.cxx`): people's scripts look for them.

use crate::lgpos;
use ese_format::database::{BackupInfo, DatabaseHeader, HeaderBackupType, HeaderCopy};
use ese_format::{Generation, Lgpos, LogTime};
use std::fmt::{self, Display, Formatter};

/// One copy of a database header: first its checksums, then its fields.
pub fn database_header(copy: &HeaderCopy) -> impl Display {
    fmt::from_fn(move |f| write_copy(f, copy))
}

fn write_copy(f: &mut Formatter<'_>, copy: &HeaderCopy) -> fmt::Result {
    writeln!(f, "Checksum Information:")?;
    writeln!(f, "Expected Checksum: {:#010x}", copy.stored_checksum)?;
    writeln!(f, "  Actual Checksum: {:#010x}", copy.computed_checksum)?;
    writeln!(f, "\nFields:")?;
    let header = &copy.fields;
    write_identity(f, header)?;
    write_logs(f, header)?;
    write_history(f, header)?;
    write_backups(f, header)?;
    write_size_changes(f, header)?;
    write_page_errors(f, header)?;
    write_signatures(f, header)
}

fn write_identity(f: &mut Formatter<'_>, header: &DatabaseHeader) -> fmt::Result {
    let kind = match header.attributes {
        0 => "Database",
        _ => "UNKNOWN",
    };
    let (version, major, minor) = DatabaseHeader::NEWEST;
    writeln!(f, "        File Type: {kind}")?;
    writeln!(f, "         Checksum: {:#x}", header.checksum)?;
    writeln!(f, "   Format ulMagic: {:#x}", header.magic)?;
    writeln!(f, "   Engine ulMagic: {:#x}", DatabaseHeader::MAGIC)?;
    writeln!(
        f,
        " Format ulVersion: {:#x},{},{}  (attached by {})",
        header.version, header.update_major, header.update_minor, header.engine_version
    )?;
    writeln!(
        f,
        " Engine ulVersion: {version:#x},{major},{minor}  (efvCurrent = {})",
        DatabaseHeader::NEWEST_ENGINE
    )?;
    writeln!(
        f,
        "Created ulVersion: {:#x},{}",
        header.created_version, header.created_update
    )?;
    writeln!(f, "     DB Signature: {}", header.signature)?;
    writeln!(f, "         cbDbPage: {}", header.stored_page_size)?;
    writeln!(f, "           dbtime: {0} ({0:#x})", header.dbtime)?;
    writeln!(f, "            State: {}", header.state)
}

fn write_logs(f: &mut Formatter<'_>, header: &DatabaseHeader) -> fmt::Result {
    writeln!(
        f,
        "     Log Required: {} [Min. Req. Pre-Redo: {1} ({1:#x})]",
        GenerationRange(header.min_required, header.max_required),
        header.pre_redo_min_required
    )?;
    writeln!(
        f,
        "Gen. Max. Req. Creation Time: {}",
        header.max_required_created
    )?;
    writeln!(
        f,
        "    Log Committed: {}",
        GenerationRange(Generation(0), header.max_committed)
    )?;
    writeln!(
        f,
        "Gen. Max. Com. Creation Time: {}",
        header.max_committed_created
    )?;
    writeln!(
        f,
        "   Log Consistent: {0} ({0:#x}) [Pre-Redo: {1} ({1:#x})]",
        header.min_consistent, header.pre_redo_min_consistent
    )?;
    writeln!(f, "   Log Recovering: {0} ({0:#x})", header.recovering)
}

fn write_history(f: &mut Formatter<'_>, header: &DatabaseHeader) -> fmt::Result {
    let shadowed = if header.is_shadowed() { "Yes" } else { "No" };
    writeln!(f, "         Shadowed: {shadowed}")?;
    writeln!(f, "       Last Objid: {}", header.last_objid)?;
    writeln!(f, "     Scrub Dbtime: {0} ({0:#x})", header.scrub_dbtime)?;
    writeln!(f, "       Scrub Date: {}", header.scrub_time)?;
    writeln!(f, "     Repair Count: {}", header.repair_count)?;
    writeln!(f, "      Repair Date: {}", header.repair_time)?;
    writeln!(f, " Old Repair Count: {}", header.old_repair_count)?;
    write_event(
        f,
        "  Last Consistent",
        header.last_consistent,
        header.last_consistent_time,
    )?;
    write_event(
        f,
        "      Last Attach",
        header.last_attach,
        header.last_attach_time,
    )?;
    write_event(
        f,
        "      Last Detach",
        header.last_detach,
        header.last_detach_time,
    )?;
    write_event(
        f,
        "    Last ReAttach",
        header.last_reattach,
        header.last_reattach_time,
    )?;
    writeln!(f, "             Dbid: {}", header.dbid as i16)?;
    writeln!(f, "    Log Signature: {}", header.log_signature)?;
    writeln!(
        f,
        "       OS Version: ({}.{}.{} SP {} NLS {:x}.{:x})",
        header.os_major,
        header.os_minor,
        header.os_build,
        header.os_service_pack,
        header.sort_version >> 32,
        header.sort_version as u32
    )?;
    let reseeds = [
        header.reseed_count,
        header.old_reseed_count,
        header.patch_count,
        header.old_patch_count,
    ];
    if reseeds == [0; 4] {
        return Ok(());
    }
    writeln!(f, "     Reseed Count: {}", header.reseed_count)?;
    writeln!(f, "      Reseed Date: {}", header.reseed_time)?;
    writeln!(f, " Old Reseed Count: {}", header.old_reseed_count)?;
    writeln!(f, "      Patch Count: {}", header.patch_count)?;
    writeln!(f, "       Patch Date: {}", header.patch_time)?;
    writeln!(f, "  Old Patch Count: {}", header.old_patch_count)
}

fn write_backups(f: &mut Formatter<'_>, header: &DatabaseHeader) -> fmt::Result {
    let normal = HeaderBackupType(0);
    let backups = [
        (
            "Previous Full Backup",
            &header.previous_full_backup,
            header.previous_full_type,
        ),
        (
            "Previous Incremental Backup",
            &header.previous_incremental_backup,
            header.previous_incremental_type,
        ),
        (
            "Previous Copy Backup",
            &header.previous_copy_backup,
            header.previous_copy_type,
        ),
        (
            "Previous Differential Backup",
            &header.previous_differential_backup,
            header.previous_differential_type,
        ),
        ("Current Full Backup", &header.current_full_backup, normal),
        (
            "Current Shadow copy backup",
            &header.current_snapshot,
            normal,
        ),
    ];
    for (
        title,
        BackupInfo {
            mark,
            time: marked,
            first_generation,
            last_generation,
        },
        kind,
    ) in backups
    {
        writeln!(f, "\n{title}:")?;
        let generations = GenerationRange(*first_generation, *last_generation);
        writeln!(f, "        Log Gen: {generations}{}", suffix(kind))?;
        writeln!(f, "           Mark: {}", lgpos(*mark))?;
        writeln!(f, "           Mark: {marked}")?;
    }
    Ok(())
}

fn write_size_changes(f: &mut Formatter<'_>, header: &DatabaseHeader) -> fmt::Result {
    writeln!(f, "\n     cpgUpgrade55Format: {}", header.upgrade55_pages)?;
    writeln!(f, "    cpgUpgradeFreePages: {}", header.upgrade_free_pages)?;
    writeln!(
        f,
        "cpgUpgradeSpaceMapPages: {}",
        header.upgrade_space_map_pages
    )?;
    let remark = if header.last_resize == header.last_attach {
        "(Matches \"Last Attach\", no subsequent resize)"
    } else if header.last_resize == header.last_consistent {
        "(Matches \"Last Consistent\", no subsequent resize)"
    } else {
        ""
    };
    writeln!(
        f,
        "\n      Last Resize: {}  {remark}",
        lgpos(header.last_resize)
    )?;
    writeln!(f, "\n     Extend Count: {}", header.extend_count)?;
    writeln!(f, "      Extend Date: {}", header.extend_time)?;
    writeln!(f, "\n     Shrink Count: {}", header.shrink_count)?;
    writeln!(f, "      Shrink Date: {}", header.shrink_time)?;
    writeln!(f, "\n       Trim Count: {}", header.trim_count)
}

fn write_page_errors(f: &mut Formatter<'_>, header: &DatabaseHeader) -> fmt::Result {
    if header.file_type != 1 {
        return Ok(());
    }
    writeln!(f)?;
    let fixed = ("   Last ECC Fix Success Date", header.ecc_fixed_time);
    let failed = ("     Last ECC Fix Error Date", header.ecc_failed_time);
    let bad = ("Last Bad Checksum Error Date", header.bad_checksum_time);
    for (label, count, date) in [
        (
            "       ECC Fix Success Count",
            header.ecc_fixed,
            Some(fixed),
        ),
        ("   Old ECC Fix Success Count", header.old_ecc_fixed, None),
        (
            "         ECC Fix Error Count",
            header.ecc_failed,
            Some(failed),
        ),
        ("     Old ECC Fix Error Count", header.old_ecc_failed, None),
        (
            "    Bad Checksum Error Count",
            header.bad_checksums,
            Some(bad),
        ),
        (
            "Old bad Checksum Error Count",
            header.old_bad_checksums,
            None,
        ),
    ] {
        if count == 0 {
            writeln!(f, "{label}: none")?;
            continue;
        }
        writeln!(f, "{label}: found ({count})")?;
        if let Some((label, date)) = date {
            writeln!(f, "{label}: {date}")?;
        }
    }
    writeln!(
        f,
        "\n  Last Database Maintenance Finish Date: {}",
        header.last_scan_finished
    )?;
    writeln!(
        f,
        "Current Database Maintenance Start Date: {}",
        header.scan_started
    )?;
    writeln!(
        f,
        "      Highest Continuous Database Maintenance Page: {}",
        header.scan_highest_continuous
    )?;
    writeln!(
        f,
        "      Highest Database Maintenance Page: {}",
        header.scan_highest
    )
}

fn write_signatures(f: &mut Formatter<'_>, header: &DatabaseHeader) -> fmt::Result {
    writeln!(
        f,
        "\n  Database Header Flush Signature: {}",
        header.header_flush
    )?;
    writeln!(
        f,
        " Flush Map Header Flush Signature: {}",
        header.flush_map_flush
    )?;
    writeln!(
        f,
        "       RBS Header Flush Signature: {}",
        header.revert_snapshot_flush
    )?;
    if header.revert_count == 0 && header.reverted_pages == 0 {
        return Ok(());
    }
    writeln!(f, "\n     Revert Count: {}", header.revert_count)?;
    writeln!(f, " Revert From Date: {}", header.revert_from_time)?;
    writeln!(f, "   Revert To Date: {}", header.revert_to_time)?;
    writeln!(f, "Revert Page Count: {}", header.reverted_pages)?;
    let commit = lgpos(header.commit_before_revert);
    writeln!(f, "Last Commit Before Revert: {commit}  ")
}

fn write_event(f: &mut Formatter<'_>, label: &str, at: Lgpos, when: LogTime) -> fmt::Result {
    writeln!(f, "{label}: {}  {}", lgpos(at), when)
}

/// What follows the generations of a backup.
fn suffix(kind: HeaderBackupType) -> &'static str {
    match kind.0 {
        0 => "",
        1 => " - OSSnapshot",
        2 => " - Snapshot",
        _ => " - UNKNOWN",
    }
}

/// Two generations in decimal and hexadecimal: `12-15 (0xc-0xf)`.
struct GenerationRange(Generation, Generation);

impl Display for GenerationRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let GenerationRange(first, last) = self;
        write!(f, "{first}-{last} ({first:#x}-{last:#x})")
    }
}
