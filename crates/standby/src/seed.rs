//! Seeding: the database of a copy is brought to its place, with `edb-copy`.
//!
//! ```text
//! judge the source -> order in the state -> service lets go -> own old files -> logs only there -> database -> served again
//!                     Seeding                                  removed          inspected          resumable
//! ```
//!
//! What this copy did not make stays ([`crate::own_files`]): logs that are not its own are neither removed nor replaced, and a
//! database that may hold what exists nowhere else is put aside.
//!
//! Nothing is changed before the source was found good and its logs available. From the order on, the state says that
//! the copy is being seeded, whatever ends the process; the same call goes on. Every step can be done twice.
//!
//! What makes a good source ("Seeding", Exchange 2007 SP1, and the header of the database): one that was shut down
//! cleanly, or a backup or another copy that needs recovery, whose required logs can be obtained. The database that the
//! source's own server uses is neither.

mod logs;

pub use logs::OwedLog;

use crate::aside::{folder_of, put_aside};
use crate::bring::{BringError, PATIENCE, bring, remove};
use crate::clock::{Clock, age};
use crate::config::{Configuration, CopyConfig};
use crate::error::{StandbyError, at};
use crate::listing::header_of as header_of_log;
use crate::obstacle::strangers_reason;
use crate::own_files::mark;
use crate::place::{database_header, listing_of, strangers_here};
use crate::proofs::Proofs;
use crate::source::{Variables, is_address, logs_of, open_file};
use crate::state::{CopyState, Seeding, ServiceLock, StateFile, Suspension};
use edb_copy::{
    CopyError, CopyOptions, CopyReport, ReadPolicy, SourceReader, TargetPaths, undo_begun,
};
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies};
use ese_format::file_kind::FileKind;
use ese_format::{Generation, JetError, Progress, Signature};
use ese_replay::output::journal_path;
use ese_scan::Buffer;
use evidence::SourceFile;
use jiff::{SignedDuration, Timestamp};
use logs::SeedLogs;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use target_disk::Disk;

/// How often the progress is written into the state.
const REPORTED_EVERY: SignedDuration = SignedDuration::from_secs(1);

/// What is wished of a seeding.
#[derive(Debug, Clone)]
pub struct SeedOptions {
    /// A path or an address of a database to seed from; the source's own unless it is given.
    pub from: Option<PathBuf>,
    /// Remove the logs that the copy has made, and replace the database at the target.
    pub delete_existing: bool,
    /// Leave the copy suspended afterwards.
    pub manual_resume: bool,
    /// The source's database needs recovery, but no server works on it.
    pub not_in_use: bool,
    /// How the source is read.
    pub read: ReadPolicy,
    /// Where credentials are looked up.
    pub variables: Variables,
}

fn refused(reason: impl Into<String>, advice: impl Into<String>) -> BringError {
    BringError::Refused {
        reason: reason.into(),
        advice: advice.into(),
        jet: None,
    }
}

/// The result of a seeding.
#[derive(Debug, Serialize)]
pub struct SeedReport {
    /// The copy.
    pub name: String,
    /// The first log that the database needs.
    pub first_needed: Generation,
    /// Logs that the source does not have any more, and that were taken from beside the seed.
    pub logs_taken: u32,
    /// The log that the database requires and that shipping does not bring yet.
    pub owed: Option<OwedLog>,
    /// Old files of the copy that were removed.
    pub removed: u32,
    /// Where files were put that may hold what exists nowhere else.
    pub put_aside: Vec<PathBuf>,
    /// Whether `scr resume` is needed.
    pub suspended: bool,
    /// How the database was copied.
    pub database: CopyReport,
}

/// Seeds the copy `config`, or goes on with it.
pub fn seed(
    configuration: &Configuration,
    config: &CopyConfig,
    options: &SeedOptions,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<SeedReport, BringError> {
    let PreparedSeeding {
        state,
        before,
        from,
        source,
        header,
        plan,
    } = judge(configuration, config, options, progress)?;
    let order = Order::give(&state, &before, &from, &source, options, clock)?;
    let cleared = order.clear(config, &header, options, clock)?;
    let logs_taken = plan.take_logs(config, &state, clock)?;
    let database = order.copy(config, &source, options, clock, progress)?;
    let suspended = order.end(&state, config, options, clock)?;
    Ok(SeedReport {
        name: config.name.clone(),
        first_needed: plan.first,
        logs_taken,
        owed: plan.owed,
        removed: cleared.removed,
        put_aside: cleared.put_aside,
        suspended,
        database,
    })
}

/// What a seeding would do.
#[derive(Debug, Serialize)]
pub struct SeedPreview {
    /// The copy.
    pub name: String,
    /// That nothing was changed.
    pub dry_run: bool,
    /// The database that it would be seeded from.
    pub from: PathBuf,
    /// The state of that database.
    pub state: ese_format::database::DatabaseState,
    /// Its bytes; of an older database at the target only pages that differ are written.
    pub length: u64,
    /// Where it would go.
    pub database: PathBuf,
    /// The first log that it needs.
    pub first_needed: Generation,
    /// Logs that would be taken from beside the seed.
    pub logs_to_take: Vec<PathBuf>,
    /// The log that the database requires and that shipping does not bring yet.
    pub owed: Option<OwedLog>,
    /// Old files of the copy that would be removed.
    pub removes: Vec<PathBuf>,
    /// What would be put aside, because it may exist nowhere else.
    pub puts_aside: Option<PathBuf>,
}

/// Says what a seeding of the copy `config` would do. What it would refuse is refused; nothing is changed.
pub fn preview(
    configuration: &Configuration,
    config: &CopyConfig,
    options: &SeedOptions,
    progress: &dyn Progress,
) -> Result<SeedPreview, BringError> {
    let PreparedSeeding {
        before,
        from,
        source,
        header,
        plan,
        ..
    } = judge(configuration, config, options, progress)?;
    let mut known = before;
    known.made.settle_in(&config.target.logs);
    let is_cleared = known
        .seeding
        .as_ref()
        .is_some_and(|seeding| seeding.cleared);
    let database = &config.target.database;
    let mut removes = Vec::new();
    if !is_cleared {
        let leftovers = leftovers(database).into_iter();
        removes.extend(leftovers.filter(|path| path.symlink_metadata().is_ok()));
        if options.delete_existing {
            removes.extend(own_files(&*configuration.disk, config, &known)?);
        }
    }
    let is_in_the_way = options.delete_existing
        && !is_cleared
        && database.exists()
        && !is_known_elsewhere(config, &known, &header);
    Ok(SeedPreview {
        name: config.name.clone(),
        dry_run: true,
        from,
        state: header.state,
        length: source.stamp().length,
        database: database.clone(),
        first_needed: plan.first,
        logs_to_take: plan.logs_to_take(),
        owed: plan.owed,
        removes,
        puts_aside: is_in_the_way.then(|| database.clone()),
    })
}

/// A seeding that may be done.
struct PreparedSeeding {
    state: StateFile,
    before: CopyState,
    from: PathBuf,
    source: Arc<dyn SourceFile>,
    header: DatabaseHeader,
    plan: SeedLogs,
}

/// Whether the copy may be seeded from what is wished. Nothing is changed.
fn judge(
    configuration: &Configuration,
    config: &CopyConfig,
    options: &SeedOptions,
    progress: &dyn Progress,
) -> Result<PreparedSeeding, BringError> {
    let state = configuration.state_of(config);
    let before = state.read()?;
    let from = place_of(config, &before, options)?;
    let remote = &configuration.service.remote;
    let open = || open_file(&from, remote, options.variables);
    let source = options.read.persist(progress, open);
    let source = source.map_err(|error| CopyError::Source {
        name: shown(&from),
        error,
    })?;
    let header = header_of(&source, options, progress)?;
    in_use(config, &from, &header, options)?;
    let logs = logs_of(&config.source, remote, options.variables);
    let plan = SeedLogs::make(config, &from, &header, &*logs, options)?;
    nothing_in_the_way(config, &before, plan.stream, options)?;
    Ok(PreparedSeeding {
        state,
        before,
        from,
        source,
        header,
        plan,
    })
}

/// Files of an earlier seeding or replay at this place, which are not true any more.
fn leftovers(database: &Path) -> [PathBuf; 4] {
    let paths = TargetPaths::new(database);
    let TargetPaths {
        partial,
        journal,
        new_journal,
        ..
    } = paths;
    [journal, new_journal, partial, journal_path(database)]
}

/// The files that this copy has made beside its database, the newest log last, so that a kill leaves no hole.
fn own_files(
    disk: &dyn Disk,
    config: &CopyConfig,
    known: &CopyState,
) -> Result<Vec<PathBuf>, StandbyError> {
    if !config.target.logs.exists() {
        return Ok(Vec::new());
    }
    let here = listing_of(config)?;
    let logs = known.made.own_logs(&here).into_iter();
    let mut own: Vec<PathBuf> = logs.map(|(_, path)| path).collect();
    let current = here.current_file.filter(|path| {
        let header = header_of_log(path);
        known.made.owns_current(header.as_ref())
    });
    own.extend(current);
    let inspector = config.target.inspector();
    if inspector.exists() {
        let inside = disk.list(&inspector).map_err(at(&inspector))?;
        own.extend(
            inside
                .into_iter()
                .filter(|path| known.made.is_under_way(path)),
        );
    }
    Ok(own)
}

/// What is seeded from: what was wished, or what an interrupted seeding had begun with, or the source's own database.
fn place_of(
    config: &CopyConfig,
    state: &CopyState,
    options: &SeedOptions,
) -> Result<PathBuf, BringError> {
    if state.activation.is_some() {
        let problem = "was activated: its database is in use here; `scr failback` turns the replication round";
        let name = config.name.clone();
        return Err(StandbyError::NotNow { name, problem }.into());
    }
    let begun = state.seeding.as_ref().map(|seeding| &seeding.from);
    match (&options.from, begun) {
        (Some(wished), Some(begun)) if wished != begun && !options.delete_existing => Err(refused(
            format!(
                "a seeding from {} was begun and did not finish",
                shown(begun)
            ),
            "the same command as then goes on; --delete-existing-files starts over",
        )),
        (Some(wished), _) => Ok(wished.clone()),
        (None, Some(begun)) => Ok(begun.clone()),
        (None, None) => Ok(config.source.database.clone()),
    }
}

fn shown(place: &Path) -> String {
    place.display().to_string()
}

fn header_of(
    source: &Arc<dyn SourceFile>,
    options: &SeedOptions,
    progress: &dyn Progress,
) -> Result<DatabaseHeader, BringError> {
    let most = source.stamp().length.min(HEADERS_MAX as u64);
    let mut reader = SourceReader::new(Arc::clone(source), options.read.clone());
    let start = reader.read(0..most, Buffer::default(), progress)?;
    if progress.should_stop() {
        return Err(BringError::Interrupted);
    }
    if FileKind::detect(&start) != FileKind::Database {
        let kind = FileKind::detect(&start).why_no_database(&start);
        let reason = format!("{} is not a database: {kind}", source.name());
        return Err(refused(reason, "name a database, or a backup of one"));
    }
    let copies = HeaderCopies::read(&start);
    let header = copies.good().map(|copy| copy.fields.clone());
    header.ok_or_else(|| BringError::Refused {
        reason: format!("{}: both copies of its header are damaged", source.name()),
        advice: "seed from another copy".into(),
        jet: Some(JetError::READ_VERIFY_FAILURE),
    })
}

/// Refuses the database that the source's server works on.
fn in_use(
    config: &CopyConfig,
    from: &Path,
    header: &DatabaseHeader,
    options: &SeedOptions,
) -> Result<(), BringError> {
    let own = &config.source.database;
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let same = from == own || (!is_address(own) && canonical(from) == canonical(own));
    let clean = header.state == ese_format::database::DatabaseState::CLEAN_SHUTDOWN;
    let recoverable = header.state.needs_recovery() && (!same || options.not_in_use);
    if clean || recoverable {
        return Ok(());
    }
    Err(BringError::Refused {
        reason: format!(
            "{} is in the state {}: its server uses it, or did not shut it down",
            shown(from),
            header.state
        ),
        advice: "dismount it while it is copied, or seed from a backup or a snapshot with --from; if its server is \
                 down, --not-in-use takes it with its logs"
            .into(),
        jet: Some(JetError::DATABASE_DIRTY_SHUTDOWN),
    })
}

/// Refuses what would be replaced though nobody asked for that, and whatever this copy did not make.
fn nothing_in_the_way(
    config: &CopyConfig,
    state: &CopyState,
    stream: Option<Signature>,
    options: &SeedOptions,
) -> Result<(), BringError> {
    let mut made = state.made.clone();
    made.settle_in(&config.target.logs);
    let found = strangers_here(config, &made, stream)?;
    if !found.is_empty() {
        return Err(BringError::Refused {
            reason: strangers_reason(&found),
            advice: "move them away, or give the copy another folder".into(),
            jet: Some(JetError::BAD_LOG_SIGNATURE),
        });
    }
    if state.seeding.is_some() {
        return Ok(());
    }
    let database = &config.target.database;
    let paths = TargetPaths::new(database);
    let journal = journal_path(database);
    let under_way = [&paths.partial, &paths.journal, &paths.new_journal];
    let under_way = under_way.into_iter().filter(|_| !made.seeds(database));
    let strange = under_way.chain((!made.replays(database)).then_some(&journal));
    if let Some(path) = strange
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
    {
        return Err(refused(
            format!("{} is there, and this copy did not make it", shown(path)),
            "move it away",
        ));
    }
    if options.delete_existing || !database.exists() {
        return Ok(());
    }
    let state =
        database_header(database).map_or("damaged".to_owned(), |header| header.state.to_string());
    Err(refused(
        format!("{} exists already ({state})", shown(database)),
        "--delete-existing-files replaces it and removes the logs of the copy",
    ))
}

/// What was cleared away for a new seed.
#[derive(Default)]
struct Cleared {
    removed: u32,
    put_aside: Vec<PathBuf>,
}

/// The order to seed, in the state, with the copy taken from the service.
struct Order {
    state: StateFile,
    seeding: Seeding,
    _service: ServiceLock,
}

impl Order {
    fn give(
        state: &StateFile,
        before: &CopyState,
        from: &Path,
        source: &Arc<dyn SourceFile>,
        options: &SeedOptions,
        clock: &dyn Clock,
    ) -> Result<Order, BringError> {
        let goes_on = before.seeding.clone().filter(|seeding| {
            seeding.from == from && (seeding.delete_existing || !options.delete_existing)
        });
        let seeding = goes_on.unwrap_or_else(|| Seeding {
            since: clock.now(),
            from: from.to_owned(),
            delete_existing: options.delete_existing,
            cleared: false,
            arrived: 0,
            length: source.stamp().length,
        });
        state.update(|state| state.seeding = Some(seeding.clone()))?;
        match state.serve_within(PATIENCE, clock) {
            Ok(service) => Ok(Order {
                state: state.clone(),
                seeding,
                _service: service,
            }),
            Err(error) => {
                // Nothing was done yet; another seeding that has the lock keeps its own order.
                state.update(|state| state.seeding.clone_from(&before.seeding))?;
                Err(error.into())
            }
        }
    }

    fn disk(&self) -> &dyn Disk {
        &**self.state.disk()
    }

    /// Removes what an older copy left, once.
    fn clear(
        &self,
        config: &CopyConfig,
        seed: &DatabaseHeader,
        options: &SeedOptions,
        clock: &dyn Clock,
    ) -> Result<Cleared, BringError> {
        for folder in [
            &config.target.logs,
            &config.target.system,
            &config.target.inspector(),
        ] {
            self.disk().create_folders(folder).map_err(at(folder))?;
        }
        let mut cleared = Cleared::default();
        if self.seeding.cleared {
            cleared.removed += u32::from(self.remove_orphan(config)?);
            return Ok(cleared);
        }
        let here = listing_of(config)?;
        let known = self.state.update(|state| {
            state.made.settle_in(&config.target.logs);
            state.made.settle_placing(&here);
            state.made.set_seeding(Some(&config.target.database));
        })?;
        for own in leftovers(&config.target.database) {
            cleared.removed += u32::from(remove(self.disk(), &own)?);
        }
        if options.delete_existing {
            cleared.removed += self.remove_own_files(config, &known)?;
            cleared
                .put_aside
                .extend(free_database(self.disk(), config, &known, seed, clock)?);
        }
        self.state.update(|state| {
            if let Some(seeding) = &mut state.seeding {
                seeding.cleared = true;
            }
            // It is about logs that an older database holds.
            state.proofs = Proofs::default();
        })?;
        Ok(cleared)
    }

    /// Removes what this seeding had copied if the journal of it was lost with the power: nothing says what it is.
    fn remove_orphan(&self, config: &CopyConfig) -> Result<bool, BringError> {
        undo_begun(self.disk(), &config.target.database)?;
        let paths = TargetPaths::new(&config.target.database);
        let has = |path: &Path| self.disk().exists(path).map_err(at(path));
        if has(&paths.journal)? || has(&paths.new_journal)? {
            return Ok(false);
        }
        Ok(remove(self.disk(), &paths.partial)?)
    }

    /// Removes what this copy has made beside its database.
    fn remove_own_files(
        &self,
        config: &CopyConfig,
        known: &CopyState,
    ) -> Result<u32, StandbyError> {
        let mut removed = 0;
        for path in own_files(self.disk(), config, known)? {
            removed += u32::from(remove(self.disk(), &path)?);
        }
        // Before the state forgets them: what a power loss brought back would be nobody's.
        let synced = self.disk().sync_folder(&config.target.logs);
        synced.map_err(at(&config.target.logs))?;
        self.state.update(|state| state.made.forget_logs())?;
        Ok(removed)
    }

    /// Brings the database; an older one is brought up to date.
    fn copy(
        &self,
        config: &CopyConfig,
        source: &Arc<dyn SourceFile>,
        options: &SeedOptions,
        clock: &dyn Clock,
        progress: &dyn Progress,
    ) -> Result<CopyReport, BringError> {
        let options = CopyOptions {
            allow_dirty: true,
            read: options.read.clone(),
            ..CopyOptions::default()
        };
        let progress = SeedProgress::new(&self.state, progress, clock);
        let brought = bring(
            self.disk(),
            source,
            &config.target.database,
            options,
            &progress,
        );
        if let Err(BringError::Interrupted) = brought {
            progress.save();
        }
        brought
    }

    /// Gives the copy back to the service.
    fn end(
        self,
        state: &StateFile,
        config: &CopyConfig,
        options: &SeedOptions,
        clock: &dyn Clock,
    ) -> Result<bool, BringError> {
        remove(
            self.disk(),
            &TargetPaths::new(&config.target.database).journal,
        )?;
        let rest = options.manual_resume.then(|| Suspension {
            since: clock.now(),
            comment: Some("seeded; waits for `scr resume`".into()),
        });
        let suspended = rest.is_some();
        let database = &config.target.database;
        let header = database_header(database);
        state.update(|state| {
            let (generated, proofs) = (state.generated, state.proofs.clone());
            *state = state.anew();
            (state.generated, state.suspended, state.proofs) = (generated, rest, proofs);
            state.made.set_seeding(None);
            if let Some(header) = &header {
                state.made.set_database(database, header);
            }
        })?;
        Ok(suspended)
    }
}

/// Makes room for the seed. The database that is there is brought up to date by pages that differ if it holds nothing but
/// what this copy has put into it, or is the seed itself; otherwise it is put aside.
fn free_database(
    disk: &dyn Disk,
    config: &CopyConfig,
    known: &CopyState,
    seed: &DatabaseHeader,
    clock: &dyn Clock,
) -> Result<Option<PathBuf>, StandbyError> {
    let path = &config.target.database;
    if !path.exists() {
        return Ok(None);
    }
    if is_known_elsewhere(config, known, seed) {
        return Ok(None);
    }
    let folder = folder_of(path.parent().unwrap_or(Path::new(".")), clock.now());
    put_aside(disk, path, &folder).map(Some)
}

/// Whether the database that is there holds nothing but what this copy has put into it, or is the seed itself.
fn is_known_elsewhere(config: &CopyConfig, known: &CopyState, seed: &DatabaseHeader) -> bool {
    let path = &config.target.database;
    let inspected = known.inspected.map(|inspected| inspected.generation);
    database_header(path).is_some_and(|header| {
        known.made.owns_database(path, &header, inspected) || mark(&header) == mark(seed)
    })
}

/// Progress that also is in the state, for `scr status`.
struct SeedProgress<'a> {
    state: &'a StateFile,
    progress: &'a dyn Progress,
    arrived: AtomicU64,
    clock: &'a dyn Clock,
    last: Mutex<Timestamp>,
}

impl<'a> SeedProgress<'a> {
    fn new(state: &'a StateFile, progress: &'a dyn Progress, clock: &'a dyn Clock) -> Self {
        SeedProgress {
            state,
            progress,
            arrived: AtomicU64::new(0),
            clock,
            last: Mutex::new(clock.now()),
        }
    }

    fn save(&self) {
        let arrived = self.arrived.load(Ordering::Relaxed);
        // The copy's own journal is what counts; a progress that could not be written harms nobody.
        let _ = self.state.update(|state| {
            if let Some(seeding) = &mut state.seeding {
                seeding.arrived = arrived;
            }
        });
    }
}

impl Progress for SeedProgress<'_> {
    fn advance(&self, bytes: u64) {
        self.progress.advance(bytes);
        self.count(bytes);
    }

    fn begin(&self, total: u64, done: u64) {
        self.progress.begin(total, done);
        self.count(done);
    }

    fn should_stop(&self) -> bool {
        self.progress.should_stop()
    }
}

impl SeedProgress<'_> {
    fn count(&self, bytes: u64) {
        self.arrived.fetch_add(bytes, Ordering::Relaxed);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if age(*last, now) >= REPORTED_EVERY {
            *last = now;
            drop(last);
            self.save();
        }
    }
}
