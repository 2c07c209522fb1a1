//! Text of the records about the stream, the engine and transactions.

use super::*;
use ese_format::text::Escaped;

pub(super) fn write_nop(f: &mut Formatter<'_>, nop: &Nop) -> fmt::Result {
    if nop.count < 2 {
        return Ok(());
    }
    write!(
        f,
        "\n>                 NOPEnd    (Total NOPs: {})",
        nop.count
    )
}

pub(super) fn write_multi_sector_flush(
    f: &mut Formatter<'_>,
    flush: &MultiSectorFlush,
) -> fmt::Result {
    let MultiSectorFlush {
        forward_byte,
        checksum,
        forward_sector,
    } = flush;
    write!(
        f,
        " ({forward_sector:X},{forward_byte:X} checksum {checksum})"
    )
}

pub(super) fn write_checksum(f: &mut Formatter<'_>, checksum: &Checksum) -> fmt::Result {
    let Checksum {
        backward,
        forward,
        next,
        checksum: sum,
        short_checksum,
        use_short_checksum,
    } = checksum;
    match *use_short_checksum {
        Checksum::SHORT_ON => write!(
            f,
            " (0x{backward:X},0x{forward:X},0x{next:X} checksum [0x{sum:X},0x{short_checksum:X}])"
        ),
        Checksum::SHORT_OFF => write!(
            f,
            " (0x{backward:X},0x{forward:X},0x{next:X} checksum [0x{sum:X}])"
        ),
        other => write!(
            f,
            " CORRUPT (0x{backward:X},0x{forward:X},0x{next:X} checksum 0x{sum:X} short checksum \
             0x{short_checksum:X} use short checksum 0x{other:X})"
        ),
    }
}

pub(super) fn write_ignored(f: &mut Formatter<'_>, kind: RecordType, data: &[u8]) -> fmt::Result {
    write!(f, " (lrtyp = {}, {} bytes)", kind.number(), data.len())
}

pub(super) fn write_fragment_begin(
    f: &mut Formatter<'_>,
    fragment: &FragmentBegin<'_>,
) -> fmt::Result {
    let first = fragment
        .data
        .first()
        .and_then(|number| RecordType::from_number(*number));
    let name = first.map_or("*UNKNOWN*", RecordType::dump_name);
    write!(
        f,
        " (Total {} bytes, current {} bytes, lrtyp {name:<9})",
        fragment.total_size,
        fragment.data.len()
    )
}

pub(super) fn write_time(f: &mut Formatter<'_>, time: Option<LogTime>) -> fmt::Result {
    time.map_or(Ok(()), |time| write!(f, " ({})", Time(time)))
}

pub(super) fn write_init(f: &mut Formatter<'_>, init: &Init<'_>) -> fmt::Result {
    write_time(f, init.time)?;
    let parameters = SystemParameters::read(init.parameters);
    let circular = if parameters.circular_logging() {
        "on"
    } else {
        "off"
    };
    write!(f, "\n      Env SystemPath:{}", parameters.system_path)?;
    write!(f, "\n      Env LogFilePath:{}", parameters.log_path)?;
    write!(
        f,
        "\n      Env (CircLog,Session,Opentbl,VerPage,Cursors,LogBufs,LogFile,Buffers)"
    )?;
    write!(
        f,
        "\n          ({circular:>7},{:7},{:7},{:7},{:7},{:7},{:7},{:7})",
        parameters.sessions_max,
        parameters.open_tables_max,
        parameters.version_pages_max,
        parameters.cursors_max,
        parameters.log_buffers,
        parameters.log_file_sectors,
        parameters.cache_size_max
    )
}

pub(super) fn write_quit(f: &mut Formatter<'_>, quit: &Term) -> fmt::Result {
    write_time(f, quit.time)?;
    let kind = if quit.term.hard == 0 { "Soft" } else { "Hard" };
    write!(f, "\n      Quit on {kind} Restore.")?;
    write!(
        f,
        "\n      RedoFrom:{}",
        Position(quit.term.lgpos_redo_from)
    )?;
    write!(
        f,
        "\n      UndoRecordFrom:{}",
        Position(quit.term.lgpos_undo)
    )
}

pub(super) fn write_backup_old(f: &mut Formatter<'_>, backup: &BackupOld<'_>) -> fmt::Result {
    let kind = match backup.backup_type {
        BackupOldType::Full => "FullBackup",
        BackupOldType::Incremental => "IncrementalBackup",
        BackupOldType::SnapshotStart => "StartSnapshot",
        BackupOldType::SnapshotStop => "StopSnapshot",
        BackupOldType::TruncateLogs => "TruncateLogs",
        BackupOldType::OsSnapshot => "OSSnapshot",
        BackupOldType::OsSnapshotIncremental => "OSIncrementalSnapshot",
        BackupOldType::Other(_) => "*Unknown*",
    };
    write!(f, " {kind}")?;
    write_path(f, backup.path)
}

fn write_path(f: &mut Formatter<'_>, path: Ascii<'_>) -> fmt::Result {
    if path.0.is_empty() {
        Ok(())
    } else {
        write!(f, " {path}")
    }
}

pub(super) fn write_backup(f: &mut Formatter<'_>, record: &Backup<'_>) -> fmt::Result {
    let backup = &record.backup;
    let phase = match backup.phase {
        BackupPhase::Begin => "Begin",
        BackupPhase::PrepareLogs => "PrepLogs",
        BackupPhase::Truncate => "Truncate",
        BackupPhase::Update => "Update",
        BackupPhase::Abort => "Torpedos Away!",
        BackupPhase::Stop => "Stop",
        BackupPhase::Other(_) => "*Unknown*",
    };
    let kind = match backup.backup_type {
        BackupType::Normal => "External",
        BackupType::OsSnapshot => "OSSnapshot",
        BackupType::Surrogate => "Surrogate",
        BackupType::Snapshot | BackupType::Other(_) => "*Unknown*",
    };
    let scope = match backup.scope {
        BackupScope::Full => "Full",
        BackupScope::Incremental => "Incremental",
        BackupScope::Copy => "Copy",
        BackupScope::Differential => "Differential",
        BackupScope::Other(_) => "*Unknown*",
    };
    write!(
        f,
        " {phase}( {kind}:{scope}, dbid={}, phaseDetails[{},({}),({},{})] )",
        backup.dbid,
        Position(backup.lgpos_mark),
        Time(backup.time_mark),
        backup.generation_low,
        backup.generation_high
    )?;
    write_path(f, record.path)
}

pub(super) fn write_restore(f: &mut Formatter<'_>, restore: &ExternalRestore<'_>) -> fmt::Result {
    let mut names = restore.names.iter();
    let instance = names.next().unwrap_or_default();
    let directory = names.next().unwrap_or_default();
    write!(f, " ({},{})", Escaped(&instance), Escaped(&directory))
}

pub(super) fn write_begin(f: &mut Formatter<'_>, begin: &Begin) -> fmt::Result {
    let Begin {
        procid,
        level_from,
        levels,
        trx,
    } = begin;
    write!(
        f,
        " ({procid:x},from:{level_from},to:{})",
        level_from + levels
    )?;
    trx.map_or(Ok(()), |trx| write!(f, " {trx:x}"))
}

pub(super) fn write_macro_info(f: &mut Formatter<'_>, info: &MacroInfo<'_>) -> fmt::Result {
    f.write_str(" ")?;
    info.pages
        .iter()
        .try_for_each(|pgno| write!(f, "{},", At(info.dbid, pgno)))
}

pub(super) fn write_commit_context(
    f: &mut Formatter<'_>,
    context: &CommitContext<'_>,
) -> fmt::Result {
    write!(f, " ({:x}) ", context.procid)?;
    if let Some(flags) = context.context_flags {
        let mark = |flag, letter| if flags.contains(flag) { letter } else { "" };
        write!(
            f,
            "[{}{}{}]",
            mark(CommitContextFlags::CALLBACK_NEEDED, "C"),
            mark(CommitContextFlags::PRE_COMMIT_CALLBACK_NEEDED, "R"),
            mark(CommitContextFlags::CUSTOMER_DATA, "P")
        )?;
    }
    write!(f, "{}", Data(context.data))
}
