//! What lies at the target of a copy at the moment when its status is asked.
//!
//! The state tells what the service has done. Whether the database is there, whether it could be activated, and whether
//! there is a service at all, only a look tells: files vanish and processes die without a word.

use crate::clock::age;
use crate::config::{CopyConfig, Service};
use crate::place::listing_of;
use crate::source::Listing;
use crate::state::{State, StateFile, Trouble, TroubleKind};
use ese_format::database::{DatabaseHeader, HEADERS_MAX, HeaderCopies};
use ese_format::{Generation, JetError};
use evidence::EvidenceFile;
use jiff::Timestamp;

/// What was found at the target.
#[derive(Debug)]
pub struct Here {
    database: Database,
    /// The first log that the database requires and that is not here.
    lacks: Option<Generation>,
    /// The logs here begin with the first of the stream.
    begins: bool,
    /// Whether a process serves the copy now.
    is_locked: bool,
}

#[derive(Debug)]
enum Database {
    /// It is not there.
    Missing,
    /// It cannot be read, or is none.
    Unusable(String),
    /// It is there.
    There(Box<DatabaseHeader>),
}

impl Here {
    /// Looks.
    pub fn look(config: &CopyConfig, state: &StateFile) -> Self {
        let database = database(config);
        let listing = match config.target.logs.is_dir() {
            true => listing_of(config).unwrap_or_default(),
            false => Listing::default(),
        };
        let lacks = match &database {
            Database::There(header) => lacks(header, &listing),
            _ => None,
        };
        Here {
            database,
            lacks,
            begins: listing.oldest() == Some(Generation(1)),
            is_locked: state.is_locked(),
        }
    }

    /// Whether a service looks after the copy: one holds its lock, or `run --once` came by as often as it should.
    pub(crate) fn is_served(&self, state: &State, service: &Service, now: Timestamp) -> bool {
        let most = service.poll.duration() * 2 + jiff::SignedDuration::from_secs(30);
        let lately = || state.served.is_some_and(|served| age(served, now) <= most);
        self.is_locked || (state.served_once && lately())
    }

    /// Whether the database could not be activated yet, because logs are still to come.
    pub(crate) fn waits_for_logs(&self) -> bool {
        self.lacks.is_some()
    }

    /// What is wrong with the database, so that the copy cannot be activated as things are.
    pub(crate) fn trouble(
        &self,
        config: &CopyConfig,
        state: &State,
        now: Timestamp,
    ) -> Option<Trouble> {
        let path = config.target.database.display();
        let trouble = |reason: String, jet: JetError, generation| {
            Some(Trouble {
                kind: TroubleKind::Database,
                reason,
                jet: Some(jet.into()),
                generation,
                since: state.served.unwrap_or(now),
                attempts: 1,
                next_try: Some(now),
            })
        };
        match &self.database {
            // It is made from the logs.
            Database::Missing if self.begins && state.replayed.is_none() => None,
            // Nothing has been tried yet, or the first log of a new stream is still open.
            Database::Missing if state.served.is_none() || state.generated.is_none() => None,
            Database::Missing => trouble(
                format!("{path} is not there: the copy has no database (`scr update` seeds it)"),
                JetError::FILE_NOT_FOUND,
                None,
            ),
            Database::Unusable(problem) => trouble(
                format!("{path}: {problem}"),
                JetError::READ_VERIFY_FAILURE,
                None,
            ),
            Database::There(_) => {
                let lacks = self.lacks?;
                let closed = state.generated.map(|generated| generated.generation);
                // One that is closed at the source is on its way.
                let comes = closed >= Some(lacks) && state.trouble.is_none();
                if comes || state.served.is_none() {
                    return None;
                }
                trouble(
                    format!(
                        "the copy could not be activated: its database needs generation {lacks} ({lacks:#x}), which is not here"
                    ),
                    JetError::REQUIRED_LOG_FILES_MISSING,
                    Some(lacks),
                )
            }
        }
    }
}

fn database(config: &CopyConfig) -> Database {
    let path = &config.target.database;
    if !path.exists() {
        return Database::Missing;
    }
    let start = EvidenceFile::open(path).and_then(|file| file.start(HEADERS_MAX));
    let start = match start {
        Ok(start) => start,
        Err(error) => return Database::Unusable(error.to_string()),
    };
    match HeaderCopies::read(&start).good() {
        Some(copy) => Database::There(Box::new(copy.fields.clone())),
        None => Database::Unusable("both copies of the header are damaged".to_owned()),
    }
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
