//! Failback: the database goes back to the first server, and the replication is set up anew.
//!
//! ```text
//! clean database here -> look at what is there -> copied there -> read back, compared -> old files put aside -> configuration
//!                        may it be replaced?        resumable       the proof              `diverged/TIME/`
//! ```
//!
//! Nothing at the first server is ever removed. Its old logs are put aside: they may hold what the activation lost. Its old
//! database is brought up to date (only pages that differ) if it is an older state of this one, shut down cleanly, and
//! there is nothing beyond the place in the logs up to which they were replayed here ("Lgpos" in `docs/concepts.md`);
//! otherwise the new one is copied beside it, and the old one is put aside with the logs. What may be in use or is another
//! database needs an order that names it.
//!
//! What was found there, and the time that names the folder, are in the state before the first byte is copied: a later
//! call no longer finds all logs where they were, and has to use the same folder. The same call goes on after a kill:
//!
//! | killed | what is left | the same call |
//! |---|---|---|
//! | while it is copied | a partial copy and its journal (`edb-copy`) | copies the rest |
//! | before the old database is put aside | the new one beside it, as `DATABASE.failback` | proves it again, goes on |
//! | before the new one gets its name | no database of that name; the new one beside it | proves it again, renames it |
//! | while logs are put aside | the new database; the newest logs still there | finds it equal, puts the rest aside |
//! | before the configuration changes | everything in its place | finds that out, changes it |
//! | after that, before the state | the replication turned round | sees that, and leaves the copy suspended |
//!
//! The configuration changes in one step and after all files, so that no service replicates towards a server whose
//! database is not proved yet.

mod home;

pub use crate::lost_rows::LostRows;
pub use crate::unreplayed::UnreplayedWork;

use crate::aside::{folder_of, put_aside};
use crate::bring::{BringError, PATIENCE, bring, remove};
use crate::clock::Clock;
use crate::config::{Configuration, CopyConfig, SourceConfig, TargetConfig, replace_copy};
use crate::error::{StandbyError, at};
use crate::own_files::mark;
use crate::place::database_header;
use crate::source::is_address;
use crate::state::{Activation, CopyState, Failback, StateFile, Suspension};
use edb_copy::{
    CopyError, CopyOptions, CopyReport, Mismatch, ReadPolicy, TargetPaths, hashes_of,
    verify_against,
};
use ese_format::database::{DatabaseHeader, DatabaseState, HEADERS_MAX, HeaderCopies};
use ese_format::{JetError, Progress};
use evidence::{EvidenceError, EvidenceFile, LocalFile, SourceFile};
use home::{Home, OldDatabase};
use jiff::Timestamp;
use serde::Serialize;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::Disk;

/// How many chunks are read back at once.
const JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

/// How the database is to go back.
#[derive(Debug, Clone, Default)]
pub struct FailbackOptions {
    /// The database that goes back; that of the activation, or that of the copy, unless it is given.
    pub from: Option<PathBuf>,
    /// The first server will be the active one: the direction of the replication stays as it is configured.
    pub home: bool,
    /// Folder in which the active server of the standby writes its logs, if it is not that of the copy.
    pub logs: Option<PathBuf>,
    /// Base name of these logs, if it is another.
    pub base: Option<String>,
    /// What at the first server may be put aside though it is dirty or another one: its database, its log folder.
    pub put_aside: Vec<PathBuf>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// How the database is read.
    pub read: ReadPolicy,
}

/// The result of a failback.
#[derive(Debug, Serialize)]
pub struct FailbackReport {
    /// The copy.
    pub name: String,
    /// Whether this only says what would be done.
    pub dry_run: bool,
    /// How the database was copied; none if that was done and only the end was missing.
    pub database: Option<CopyReport>,
    /// Bytes that were read back at the first server and are what they should be.
    pub proved: u64,
    /// Where the old database of the first server lies now, or will lie; none if it was brought up to date or there was none.
    pub old_database: Option<PathBuf>,
    /// Where the old logs of the first server lie now, or will lie; none if there were none.
    pub old_logs: Option<PathBuf>,
    /// How many files were put aside, or will be.
    pub put_aside: u32,
    /// What the first server still had that was never replayed here.
    pub beyond: Option<UnreplayedWork>,
    /// The replication that is configured now; suspended until `scr resume`.
    pub replication: CopyConfig,
}

/// Brings the database of the copy `config` back to its source, and configures the replication that follows.
pub fn failback(
    path: &Path,
    configuration: &Configuration,
    config: &CopyConfig,
    options: &FailbackOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<FailbackReport, BringError> {
    let state = configuration.state_of(config);
    let disk = &*configuration.disk;
    let before = state.read()?;
    if let Some(place) = [&config.source.logs, &config.source.database]
        .into_iter()
        .find(|place| is_address(place))
    {
        return Err(BringError::Refused {
            reason: format!(
                "{} is an address, and only paths are written to",
                place.display()
            ),
            advice: "mount it, or run the failback at the first server with this one's files as an address".into(),
            jet: None,
        });
    }
    if is_back(config, &before, options) {
        return Ok(report(config, config.clone(), options));
    }
    let activation = activation_of(&before)?;
    // Killed between the last two steps: the configuration is turned round already.
    if config.target.database != activation.from {
        let _service = state.serve_within(PATIENCE, clock)?;
        rest(&state, config, &config.target.database, clock)?;
        return Ok(report(config, config.clone(), options));
    }
    let database = options.from.as_ref().unwrap_or(&activation.database);
    let header = clean(database)?;
    let home = Home::look(&config.source, activation, (database, &header), progress)?;
    home.refuse_unnamed(options)?;
    let next = replication(config, database, options);
    let mut report = report(config, next.clone(), options);
    let under_way = before.failback.clone().unwrap_or_else(|| Failback {
        since: clock.now(),
        beyond: home.beyond.clone(),
    });
    let begun = before.failback.is_some();
    let aside = PutAside::plan(&config.source, &home, under_way.since, begun);
    let name = config.source.database.file_name().unwrap_or_default();
    report.old_database = aside.database.as_ref().map(|folder| folder.join(name));
    report.old_logs.clone_from(&aside.logs);
    report.put_aside = aside.count(&home);
    report.beyond.clone_from(&under_way.beyond);
    nothing_under_way(&config.source.database, begun)?;
    if options.dry_run {
        return Ok(report);
    }
    let _service = state.serve_within(PATIENCE, clock)?;
    state.update(|state| state.failback = Some(under_way))?;
    let (copied, proved) = match &aside.database {
        Some(folder) => {
            let to = &config.source.database;
            replace(disk, database, to, folder, options, progress)?
        }
        None => update(disk, database, &config.source.database, options, progress)?,
    };
    (report.database, report.proved) = (Some(copied), proved);
    aside.put_logs(disk, &config.source, &home)?;
    if next != *config {
        replace_copy(disk, path, &next)?;
    }
    rest(&state, &next, database, clock)?;
    Ok(report)
}

fn report(
    config: &CopyConfig,
    replication: CopyConfig,
    options: &FailbackOptions,
) -> FailbackReport {
    FailbackReport {
        name: config.name.clone(),
        dry_run: options.dry_run,
        database: None,
        proved: 0,
        old_database: None,
        old_logs: None,
        put_aside: 0,
        beyond: None,
        replication,
    }
}

/// Whether this very call was carried out before: the copy rests, its activation is forgotten, and the database that is
/// named and the one at the other server are the same, shut down.
fn is_back(config: &CopyConfig, state: &CopyState, options: &FailbackOptions) -> bool {
    let rests = state.activation.is_none() && state.failback.is_none() && state.suspended.is_some();
    let Some(from) = options.from.as_ref().filter(|_| rests) else {
        return false;
    };
    let (source, target) = (&config.source.database, &config.target.database);
    // The replication may have been turned round.
    let there = if from == source { target } else { source };
    let (Some(here), Some(there)) = (database_header(from), database_header(there)) else {
        return false;
    };
    here.state == DatabaseState::CLEAN_SHUTDOWN && mark(&here) == mark(&there)
}

/// The activation of the copy. Without one the first server's database is the newer one.
fn activation_of(state: &CopyState) -> Result<&Activation, BringError> {
    let activation = state.activation.as_ref();
    activation
        .filter(|activation| activation.finished.is_some())
        .ok_or(BringError::Refused {
            reason:
                "the copy was not activated: its database is not newer than the one at its source"
                    .into(),
            advice: "`scr restore` activates it; `scr update` seeds it".into(),
            jet: None,
        })
}

/// Begins the new life of the copy: it rests until an administrator says that the database is mounted. The copy of the
/// database that was proved to be at the other server holds nothing of its own any more.
fn rest(
    state: &StateFile,
    next: &CopyConfig,
    returned: &Path,
    clock: &dyn Clock,
) -> Result<(), BringError> {
    let comment = format!(
        "failed back: `scr resume` once the database is mounted at {}",
        next.source.machine
    );
    let target = &next.target.database;
    let header = database_header(target);
    let known = header.filter(|_| target == returned || next.source.database == *returned);
    state.update(|state| {
        *state = state.anew();
        state.made.settle_in(&next.target.logs);
        if let Some(header) = &known {
            state.made.set_database(target, header);
        }
        state.suspended = Some(Suspension {
            since: clock.now(),
            comment: Some(comment),
        });
    })?;
    Ok(())
}

/// The header of the database that goes back. Refuses one that was not shut down cleanly.
fn clean(database: &Path) -> Result<DatabaseHeader, BringError> {
    let start = EvidenceFile::open(database).and_then(|file| file.start(HEADERS_MAX));
    let start = start.map_err(|error| BringError::Refused {
        reason: error.to_string(),
        advice: "--from names the database that goes back".into(),
        jet: Some(JetError::FILE_NOT_FOUND),
    })?;
    let copies = HeaderCopies::read(&start);
    let (state, jet) = match copies.good() {
        Some(header) if header.fields.state == DatabaseState::CLEAN_SHUTDOWN => {
            return Ok(header.fields.clone());
        }
        Some(header) => (
            header.fields.state.to_string(),
            JetError::DATABASE_DIRTY_SHUTDOWN,
        ),
        None => ("unreadable".to_owned(), JetError::READ_VERIFY_FAILURE),
    };
    Err(BringError::Refused {
        reason: format!("{} is in the state {state}", database.display()),
        advice: "dismount it first; `edbtool header` has to say Clean Shutdown".into(),
        jet: Some(jet),
    })
}

/// Refuses files that have the names of a copy under way and that no failback has begun.
fn nothing_under_way(database: &Path, begun: bool) -> Result<(), BringError> {
    let coming = coming(database);
    let names = [TargetPaths::new(database), TargetPaths::new(&coming)];
    let mut names = names
        .into_iter()
        .flat_map(|paths| [paths.partial, paths.journal, paths.new_journal])
        .chain([coming]);
    match names.find(|path| !begun && path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => Err(BringError::Refused {
            reason: format!("{} is there, and no failback has made it", path.display()),
            advice: "move it away".into(),
            jet: None,
        }),
    }
}

/// The replication from then on: as it was if the first server is to be active, else the other way round.
fn replication(config: &CopyConfig, database: &Path, options: &FailbackOptions) -> CopyConfig {
    if options.home {
        return config.clone();
    }
    let (source, target) = (&config.source, &config.target);
    let logs = options.logs.clone().unwrap_or_else(|| target.logs.clone());
    CopyConfig {
        source: SourceConfig {
            machine: target.machine.clone(),
            base: options.base.clone().unwrap_or_else(|| source.base.clone()),
            system: match options.logs {
                Some(_) => logs.clone(),
                None => target.system.clone(),
            },
            logs,
            database: database.to_owned(),
            closed_logs_only: false,
            circular: source.circular,
        },
        target: TargetConfig {
            machine: source.machine.clone(),
            logs: source.logs.clone(),
            system: source.system.clone(),
            database: source.database.clone(),
            inspector: None,
        },
        ..config.clone()
    }
}

/// Where the old files of the first server go.
struct PutAside {
    /// The folder for its database, if that is not brought up to date.
    database: Option<PathBuf>,
    /// The folder for its logs.
    logs: Option<PathBuf>,
    since: Timestamp,
}

impl PutAside {
    fn plan(source: &SourceConfig, home: &Home, since: Timestamp, begun: bool) -> PutAside {
        let folder = source.database.parent().unwrap_or(Path::new("."));
        // A call that was killed may have put the old database aside already.
        let is_coming = begun && coming(&source.database).exists();
        let unknown = home.database == Some(OldDatabase::Unknown) || is_coming;
        PutAside {
            database: unknown.then(|| folder_of(folder, since)),
            logs: (!home.logs.is_empty()).then(|| folder_of(&source.logs, since)),
            since,
        }
    }

    fn count(&self, home: &Home) -> u32 {
        let files = home.logs.len() + home.others.len() + usize::from(self.database.is_some());
        files as u32
    }

    /// Puts logs, checkpoint and flush map aside, once the database is proved to be there. The newest logs go last.
    fn put_logs(
        &self,
        disk: &dyn Disk,
        source: &SourceConfig,
        home: &Home,
    ) -> Result<(), StandbyError> {
        for path in home.others.iter().chain(&home.logs) {
            let folder = path.parent().unwrap_or(Path::new("."));
            put_aside(disk, path, &folder_of(folder, self.since))?;
        }
        remove(disk, &TargetPaths::new(&source.database).journal)?;
        Ok(())
    }
}

/// Brings the old database up to date by pages that differ, or copies the database to its place.
fn update(
    disk: &dyn Disk,
    database: &Path,
    to: &Path,
    options: &FailbackOptions,
    progress: &dyn Progress,
) -> Result<(CopyReport, u64), BringError> {
    let copied = copy(disk, database, to, options, progress)?;
    let proved = prove(disk, to, &options.read, progress)?;
    Ok((copied, proved))
}

/// Copies the database beside the old one, and gives it that one's name when it is proved.
fn replace(
    disk: &dyn Disk,
    database: &Path,
    to: &Path,
    folder: &Path,
    options: &FailbackOptions,
    progress: &dyn Progress,
) -> Result<(CopyReport, u64), BringError> {
    let coming = coming(to);
    let (copied, proved) = update(disk, database, &coming, options, progress)?;
    if disk.exists(to).map_err(at(to))? {
        put_aside(disk, to, folder)?;
    }
    let renamed = disk.rename(&coming, to);
    let renamed = renamed.and_then(|()| disk.sync_folder_of(to));
    renamed.map_err(at(to))?;
    remove(disk, &TargetPaths::new(&coming).journal)?;
    Ok((copied, proved))
}

/// The name that a database has beside an old one whose place it takes.
fn coming(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".failback");
    name.into()
}

fn copy(
    disk: &dyn Disk,
    database: &Path,
    to: &Path,
    options: &FailbackOptions,
    progress: &dyn Progress,
) -> Result<CopyReport, BringError> {
    let source = LocalFile::open(database).map_err(|error| CopyError::Source {
        name: database.display().to_string(),
        error: error.into(),
    })?;
    let source: Arc<dyn SourceFile> = Arc::new(source);
    let copy = CopyOptions {
        read: options.read.clone(),
        ..CopyOptions::default()
    };
    bring(disk, &source, to, copy, progress)
}

/// Reads the copy back, and compares it with what its journal says was read at the source.
fn prove(
    disk: &dyn Disk,
    path: &Path,
    read: &ReadPolicy,
    progress: &dyn Progress,
) -> Result<u64, BringError> {
    let unreadable = |error: EvidenceError| CopyError::Source {
        name: path.display().to_string(),
        error: error.into(),
    };
    let copy: Arc<dyn SourceFile> = Arc::new(LocalFile::open(path).map_err(unreadable)?);
    let length = copy.stamp().length;
    let nothing = Mismatch { offset: 0, length };
    let not_proved = |first: Option<Mismatch>| BringError::NotProved {
        path: path.to_owned(),
        first: first.unwrap_or(nothing),
    };
    let (chunks, hashes) = hashes_of(disk, path)?.ok_or_else(|| not_proved(None))?;
    let report = verify_against(&copy, chunks, hashes, JOBS, read, progress)?;
    if report.interrupted {
        return Err(BringError::Interrupted);
    }
    match report.matches() {
        true => Ok(length),
        false => Err(not_proved(report.mismatches.first().copied())),
    }
}
