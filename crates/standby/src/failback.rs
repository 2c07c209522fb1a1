//! Failback: the database goes back to the first server, and the replication is set up anew.
//!
//! ```text
//! clean database here -> copied over the old one there -> read back, compared -> old logs there removed -> configuration
//!                        resumable, delta                 the proof
//! ```
//!
//! Nothing at the first server is removed before the proof; what was there of the database is brought up to date by
//! pages that differ. The configuration changes last and in one step, so that the same call goes on after a kill at any
//! point, and does nothing twice that matters.

use crate::bring::{BringError, PATIENCE, bring, remove, remove_stream};
use crate::clock::Clock;
use crate::config::{Configuration, CopyConfig, SourceConfig, TargetConfig, replace_copy};
use crate::error::at;
use crate::source::is_address;
use crate::state::{Activation, State, StateFile, Suspension, sync_folder};
use edb_copy::{
    CopyError, CopyOptions, CopyReport, LocalSource, Mismatch, ReadPolicy, Source, TargetPaths,
    hashes_of, verify_against,
};
use ese_format::database::{HEADERS_MAX, HeaderCopies, State as DatabaseState};
use ese_format::{JetError, Progress};
use evidence::EvidenceFile;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many chunks are read back at once.
const JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

/// What is wished of a failback.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The database that goes back; that of the activation, or that of the copy, unless it is given.
    pub from: Option<PathBuf>,
    /// The first server will be the active one: the direction of the replication stays as it is configured.
    pub home: bool,
    /// Folder in which the active server of the standby writes its logs, if it is not that of the copy.
    pub logs: Option<PathBuf>,
    /// Base name of these logs, if it is another.
    pub base: Option<String>,
    /// How the database is read.
    pub read: ReadPolicy,
}

/// What came of a failback.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The copy.
    pub name: String,
    /// How the database was copied; none if that was done and only the end was missing.
    pub database: Option<CopyReport>,
    /// Bytes that were read back at the first server and are what they should be.
    pub proved: u64,
    /// Old logs and checkpoints that were removed at the first server.
    pub removed: u32,
    /// The replication that is configured now; suspended until `scr resume`.
    pub replication: CopyConfig,
}

/// Brings the database of the copy `config` back to its source, and configures the replication that follows.
pub fn failback(
    path: &Path,
    configuration: &Configuration,
    config: &CopyConfig,
    wish: &Wish,
    clock: &dyn Clock,
    progress: &dyn Progress,
) -> Result<Report, BringError> {
    let state = StateFile::new(&configuration.state, config.file_name());
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
    let activation = activation_of(&before)?;
    let _service = state.serve_within(PATIENCE)?;
    // Killed between the last two steps: the configuration is turned round already.
    if config.target.database != activation.from {
        rest(&state, config, clock)?;
        return Ok(Report {
            name: config.name.clone(),
            database: None,
            proved: 0,
            removed: 0,
            replication: config.clone(),
        });
    }
    let database = wish.from.as_ref().unwrap_or(&activation.database);
    clean(database)?;
    let next = replication(config, database, wish);
    let copied = bring_back(database, &config.source.database, wish, progress)?;
    let proved = prove(&config.source.database, &wish.read, progress)?;
    let removed = tidy(&config.source)?;
    if next != *config {
        replace_copy(path, &next)?;
    }
    rest(&state, &next, clock)?;
    Ok(Report {
        name: config.name.clone(),
        database: Some(copied),
        proved,
        removed,
        replication: next,
    })
}

/// The activation of the copy. Without one the first server's database is the newer one.
fn activation_of(state: &State) -> Result<&Activation, BringError> {
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

/// Begins the new life of the copy: it rests until an administrator says that the database is mounted.
fn rest(state: &StateFile, next: &CopyConfig, clock: &dyn Clock) -> Result<(), BringError> {
    let comment = format!(
        "failed back: `scr resume` once the database is mounted at {}",
        next.source.machine
    );
    state.update(|state| {
        *state = State::default();
        state.suspended = Some(Suspension {
            since: clock.now(),
            comment: Some(comment),
        });
    })?;
    Ok(())
}

/// Refuses a database that was not shut down cleanly.
fn clean(database: &Path) -> Result<(), BringError> {
    let start = EvidenceFile::open(database).and_then(|file| file.start(HEADERS_MAX));
    let start = start.map_err(|error| BringError::Refused {
        reason: error.to_string(),
        advice: "--from names the database that goes back".into(),
        jet: Some(JetError::FILE_NOT_FOUND),
    })?;
    let copies = HeaderCopies::read(&start);
    let (state, jet) = match copies.good() {
        Some(header) if header.fields.state == DatabaseState::CLEAN_SHUTDOWN => return Ok(()),
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

/// The replication from then on: as it was if the first server is to be active, else the other way round.
fn replication(config: &CopyConfig, database: &Path, wish: &Wish) -> CopyConfig {
    if wish.home {
        return config.clone();
    }
    let (source, target) = (&config.source, &config.target);
    let logs = wish.logs.clone().unwrap_or_else(|| target.logs.clone());
    CopyConfig {
        source: SourceConfig {
            machine: target.machine.clone(),
            base: wish.base.clone().unwrap_or_else(|| source.base.clone()),
            system: match wish.logs {
                Some(_) => logs.clone(),
                None => target.system.clone(),
            },
            logs,
            database: database.to_owned(),
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

/// Copies the database over the old one, of which only pages that differ are written.
fn bring_back(
    database: &Path,
    to: &Path,
    wish: &Wish,
    progress: &dyn Progress,
) -> Result<CopyReport, BringError> {
    let source = LocalSource::open(database).map_err(|error| CopyError::Source {
        name: database.display().to_string(),
        error,
    })?;
    let source: Arc<dyn Source> = Arc::new(source);
    let options = CopyOptions {
        read: wish.read.clone(),
        ..CopyOptions::default()
    };
    bring(&source, to, options, progress)
}

/// Reads the copy back, and compares it with what its journal says was read at the source.
fn prove(path: &Path, read: &ReadPolicy, progress: &dyn Progress) -> Result<u64, BringError> {
    let unreadable = |error| CopyError::Source {
        name: path.display().to_string(),
        error,
    };
    let copy: Arc<dyn Source> = Arc::new(LocalSource::open(path).map_err(unreadable)?);
    let length = copy.stamp().length;
    let nothing = Mismatch { offset: 0, length };
    let not_proved = |first: Option<Mismatch>| BringError::NotProved {
        path: path.to_owned(),
        first: first.unwrap_or(nothing),
    };
    let (chunks, hashes) = hashes_of(path)?.ok_or_else(|| not_proved(None))?;
    let report = verify_against(&copy, chunks, hashes, JOBS, read, progress)?;
    if report.interrupted {
        return Err(BringError::Interrupted);
    }
    match report.matches() {
        true => Ok(length),
        false => Err(not_proved(report.mismatches.first().copied())),
    }
}

/// Removes what belonged to the old state of the database at the first server: logs, checkpoint, flush map, and the
/// journal of the copy. Gives how many files there were besides that.
fn tidy(source: &SourceConfig) -> Result<u32, BringError> {
    let mut removed = remove_stream(&source.logs, &source.system, &source.base)?;
    removed += u32::from(remove(&source.database.with_extension("jfm"))?);
    remove(&TargetPaths::new(&source.database).journal)?;
    if let Some(folder) = source.database.parent() {
        sync_folder(folder).map_err(at(folder))?;
    }
    Ok(removed)
}
