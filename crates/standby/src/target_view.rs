//! What is at the target of a copy at the moment when its status is asked.
//!
//! The state says what the service has done. Whether the database is there, whether it could be activated, and whether
//! there is a service at all, only a look can show: files vanish and processes die silently.

use crate::birth::is_to_be_made;
use crate::clock::age;
use crate::config::{CopyConfig, Service};
use crate::listing::{Listing, header_of};
use crate::place::listing_of;
use crate::state::{CopyState, StateFile, Trouble, TroubleKind};
use ese_format::database::DatabaseState;
use ese_format::log::Attachment;
use ese_format::record::Record;
use ese_format::{DatabaseHeader, Explain, Generation, JetError, Lgpos, RecordType};
use ese_log::{BadRecord, Damage, LogError, LogImage, RecordCursor};
use ese_replay::recovery::DatabaseFile;
use jiff::Timestamp;

/// What was found at the target.
#[derive(Debug)]
pub struct TargetView {
    database: DatabasePresence,
    /// The first log that the database requires and that is not here.
    lacks: Option<Generation>,
    /// The oldest log that is here.
    oldest: Option<Generation>,
    /// Whether a process serves the copy now.
    is_locked: bool,
}

#[derive(Debug)]
enum DatabasePresence {
    /// It is not there.
    Missing,
    /// It cannot be read, or is none.
    Unusable(String, Option<JetError>),
    /// It is there.
    There,
}

impl TargetView {
    /// Looks.
    pub fn look(config: &CopyConfig, state: &StateFile) -> Self {
        let listing = match config.target.logs.is_dir() {
            true => listing_of(config).unwrap_or_default(),
            false => Listing::default(),
        };
        TargetView::with(config, &listing, state.is_locked())
    }

    /// The same with the logs that are here known, by the one who serves the copy or by another.
    pub(crate) fn with(config: &CopyConfig, logs: &Listing, is_locked: bool) -> Self {
        let path = &config.target.database;
        let (database, lacks) = match path.exists().then(|| DatabaseFile::open(path)) {
            None => (DatabasePresence::Missing, None),
            Some(Ok(file)) => {
                let (header, lacks) = (&file.header, lacks(&file.header, logs));
                let strange = || {
                    needs_another(header, logs)
                        .or_else(|| went_alone(header, logs))
                        .or_else(|| shut_down_elsewhere(header, logs))
                };
                match lacks.is_none().then(strange).flatten() {
                    Some((problem, jet)) => (DatabasePresence::Unusable(problem, Some(jet)), None),
                    None => (DatabasePresence::There, lacks),
                }
            }
            Some(Err(error)) => (
                DatabasePresence::Unusable(error.to_string(), error.jet()),
                None,
            ),
        };
        TargetView {
            database,
            lacks,
            oldest: logs.oldest(),
            is_locked,
        }
    }

    /// Whether a service looks after the copy: one holds its lock and has told so lately, or `run --once` came by as often
    /// as it should. A service that cannot write the state says nothing true any more.
    pub(crate) fn is_served(&self, state: &CopyState, service: &Service, now: Timestamp) -> bool {
        let most = service.poll.duration() * 2 + jiff::SignedDuration::from_secs(30);
        let within = |most| state.served.is_none_or(|served| age(served, now) <= most);
        let is_told = state.served.is_some() && within(most);
        (self.is_locked && within(most + SILENCE)) || (state.served_once && is_told)
    }

    /// Whether the database could not be activated yet, because logs are still to come.
    pub(crate) fn waits_for_logs(&self) -> bool {
        self.lacks.is_some()
    }

    /// Whether the database is there with all logs that it requires; if not, why.
    pub fn seeded(&self, config: &CopyConfig, state: &CopyState) -> Result<(), String> {
        let path = config.target.database.display();
        match (&self.database, self.lacks) {
            (DatabasePresence::Missing, _) if is_to_be_made(config, state, self.oldest) => {
                Err(format!(
                    "{path} is not there yet: it will be made from the logs, which begin with the first of the stream"
                ))
            }
            (DatabasePresence::Missing, _) => Err(format!(
                "{path} is not there: the copy has no database (`scr update` seeds it)"
            )),
            (DatabasePresence::Unusable(problem, _), _) => Err(problem.clone()),
            (DatabasePresence::There, Some(lacks)) => Err(format!(
                "the copy could not be activated: its database needs generation {lacks} ({lacks:#x}), which is not here"
            )),
            (DatabasePresence::There, None) => Ok(()),
        }
    }

    /// What is wrong with the database, so that the copy cannot be activated as things are.
    pub(crate) fn trouble(
        &self,
        config: &CopyConfig,
        state: &CopyState,
        now: Timestamp,
    ) -> Option<Trouble> {
        let reason = self.seeded(config, state).err()?;
        let is_tried = state.served.is_some();
        let jet = match (&self.database, self.lacks) {
            // It will be made; and the first log of a new stream may still be open.
            (DatabasePresence::Missing, _)
                if !is_tried
                    || state.generated.is_none()
                    || is_to_be_made(config, state, self.oldest) =>
            {
                return None;
            }
            (DatabasePresence::Missing, _) => Some(JetError::FILE_NOT_FOUND),
            (DatabasePresence::Unusable(_, jet), _) => *jet,
            (DatabasePresence::There, lacks) => {
                // One that is closed at the source is on its way.
                let closed = state.generated.map(|generated| generated.generation);
                if !is_tried || (closed >= lacks && state.trouble.is_none()) {
                    return None;
                }
                Some(JetError::REQUIRED_LOG_FILES_MISSING)
            }
        };
        // Found since the last look: then that is the earliest that can be said.
        let since = state.database_trouble_since.or(state.served).unwrap_or(now);
        Some(Trouble {
            kind: TroubleKind::Database,
            reason,
            jet: jet.map(Into::into),
            generation: self.lacks,
            since,
            attempts: 1,
            next_try: Some(since),
        })
    }
}

/// How long a service may say nothing: it says so after every pass and, to copies that wait for their turn, every minute.
const SILENCE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Whether the last log that a dirty database requires is here as another one: the source has lost it and written it anew.
fn needs_another(header: &DatabaseHeader, here: &Listing) -> Option<(String, JetError)> {
    let generation = header.max_required;
    let expected = header
        .last_required_log_created()
        .filter(|_| header.state.needs_recovery())?;
    let found = header_of(here.find(generation)?)?.created;
    (found != expected).then(|| {
        let problem = format!(
            "the copy could not be activated: its database needs generation {generation} ({generation:#x}) as it was \
             created {}, and the one that is here was created {} (`scr update --delete-existing-files` seeds it anew)",
            expected.shown(),
            found.shown()
        );
        (problem, JetError::REQUIRED_LOG_FILES_MISSING)
    })
}

/// Whether a clean database became so by itself, as by an activation: logs that were begun later know it as attached since
/// before. A shutdown may go over the end of one log, so that the first of them says nothing.
fn went_alone(header: &DatabaseHeader, here: &Listing) -> Option<(String, JetError)> {
    if header.state != DatabaseState::CLEAN_SHUTDOWN {
        return None;
    }
    let clean_at = header.last_consistent;
    let later = here
        .named
        .range(clean_at.generation.next().next()..)
        .next()?;
    let log = header_of(later.1)?;
    let mut attached = log.attachments.databases.iter();
    let is_it = |known: &&Attachment| known.database_signature == header.signature;
    let known = attached.find(is_it)?;
    (log.signature == header.log_signature && known.last_attach <= clean_at).then(|| {
        let problem = format!(
            "the copy could not be activated: its database was recovered up to {clean_at} and is none of the source's any \
             more, which went on without that (`scr update --delete-existing-files` seeds it anew)"
        );
        (problem, JetError::ATTACHED_DATABASE_MISMATCH)
    })
}

/// Whether the log in which a clean database was shut down is here as another one, which knows nothing of that, or is here and
/// cannot be read. The header of such a database does not say when that log was created, so that its records are read: a
/// detach, and the mark of an engine that ends, have the place that the header gets (`ErrIOTerm`,
/// `ErrIOTermUpdateAndWriteDatabaseHeader`, `ese/io.cxx`), and an attachment names it. A recovery of ours writes none of these:
/// its database is clean where its last log ends. A current log that ends before may be an earlier state of the right one.
fn shut_down_elsewhere(header: &DatabaseHeader, here: &Listing) -> Option<(String, JetError)> {
    if header.state != DatabaseState::CLEAN_SHUTDOWN {
        return None;
    }
    let clean_at = header.last_consistent;
    let path = here.find(clean_at.generation)?;
    let is_current = !here.named.contains_key(&clean_at.generation);
    let unreadable = |error: LogError| {
        let problem = format!(
            "the copy could not be activated: its database was shut down at {clean_at}, and the log with this number that is \
             here cannot be read: {error} (`scr update --delete-existing-files` seeds it anew)"
        );
        Some((problem, error.jet().unwrap_or(JetError::LOG_FILE_CORRUPT)))
    };
    let log = match LogImage::read(path) {
        Ok(log) => log,
        // It went since the folder was listed.
        Err(_) if !path.exists() => return None,
        Err(error) => return unreadable(error),
    };
    if log.header.signature != header.log_signature {
        return None;
    }
    let bad_record = match ends_at(&log, clean_at) {
        Ok(true) => return None,
        Ok(false) => None,
        Err(bad) => Some(bad.lgpos),
    };
    let fatal = |damage: &&Damage| damage.is_fatal(is_current);
    let damage = log.body.damage.iter().find(fatal).map(Damage::lgpos);
    if let Some(lgpos) = bad_record.or(damage) {
        return unreadable(LogError::Damaged {
            path: path.to_owned(),
            lgpos,
            jet: JetError::LOG_FILE_CORRUPT,
        });
    }
    if log.end() == clean_at || (is_current && log.end() < clean_at) {
        return None;
    }
    let problem = format!(
        "the copy could not be activated: its database was shut down at {clean_at}, and the log with this number that is \
         here knows nothing of that: the source has lost that work, or the database is none of the source's \
         (`scr update --delete-existing-files` seeds it anew)"
    );
    Some((problem, JetError::CONSISTENT_TIME_MISMATCH))
}

/// Whether a record of the log says that a database became clean at `place`.
fn ends_at(log: &LogImage, place: Lgpos) -> Result<bool, BadRecord> {
    let mut cursor = RecordCursor::new();
    while let Some(record) = cursor.next_record(log)? {
        let is_end = match record.kind {
            RecordType::ShutDownMark | RecordType::DetachDb => record.lgpos == place,
            RecordType::AttachDb => matches!(
                record.decode(),
                Ok(Record::AttachDb(attach)) if attach.lgpos_consistent == place
            ),
            _ => false,
        };
        if is_end {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first generation that a dirty database requires and that is not in the log folder.
fn lacks(header: &DatabaseHeader, here: &Listing) -> Option<Generation> {
    if !header.state.needs_recovery() {
        return None;
    }
    let current = here.current.as_ref().map(|(_, header)| header.generation);
    let mut required = (header.min_required.0..=header.max_required.0).map(Generation);
    required.find(|one| !here.named.contains_key(one) && current != Some(*one))
}
