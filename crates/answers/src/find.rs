//! What a pile of evidence holds, and what follows from it.

use console::{Exit, Failure};
use ese_case::find::{
    Content, DatabaseLook, Found, FoundDatabase, FoundFile, LogStreamFound, Looked, Problem,
};
use ese_log::chain::Readiness;
use serde::Serialize;
use std::collections::BTreeMap;

/// The schema of a [`Find`].
pub const SCHEMA: &str = "edbkit.find/1";
/// The schema of [`Totals`].
pub const TOTALS_SCHEMA: &str = "edbkit.find-totals/1";

/// What could not be read.
pub fn failure(problem: &Problem) -> Failure {
    let failure = Failure::new(problem.class.into(), problem.message.clone());
    let failure = match problem.jet {
        Some(jet) => failure.jet(jet),
        None => failure,
    };
    match &problem.advice {
        Some(advice) => failure.advise(advice.clone()),
        None => failure,
    }
}

/// One find, in the words of the schema.
#[derive(Debug, Serialize)]
#[serde(tag = "find", rename_all = "snake_case")]
pub enum Find<'f> {
    /// A database and what belongs to it.
    Database {
        /// What follows from it alone.
        exit: Exit,
        /// It.
        #[serde(flatten)]
        database: &'f FoundDatabase,
    },
    /// Logs of one stream that belong to no database.
    Logs {
        /// What follows from them alone.
        exit: Exit,
        /// They.
        #[serde(flatten)]
        stream: &'f LogStreamFound,
    },
    /// A file that belongs to nothing.
    File {
        /// What follows from it alone.
        exit: Exit,
        /// It.
        #[serde(flatten)]
        file: &'f FoundFile,
    },
}

/// All finds, in their order.
pub fn finds(found: &Found) -> impl Iterator<Item = Find<'_>> {
    let databases = found.databases.iter().map(|database| Find::Database {
        exit: database_exit(database),
        database,
    });
    let streams = found.streams.iter().map(|stream| Find::Logs {
        exit: stream_exit(stream),
        stream,
    });
    let others = found.others.iter().map(|file| Find::File {
        exit: file_exit(file),
        file,
    });
    databases.chain(streams).chain(others)
}

/// What is known of a file that is a database.
pub fn look_of(database: &FoundDatabase) -> Option<&DatabaseLook> {
    match &database.file.content {
        Content::Database(look) => Some(look),
        _ => None,
    }
}

/// A database that is clean, or that recovery would bring there without loss, is no finding.
fn database_exit(database: &FoundDatabase) -> Exit {
    let is_good = matches!(
        database.verdict.readiness,
        None | Some(Readiness::Ready | Readiness::ReadyWithoutReplay)
    );
    let look = look_of(database);
    let is_whole = look
        .is_some_and(|look| look.findings.is_empty() && look.kind.kind_unknown_because.is_none());
    match is_good && is_whole && database.damaged.is_empty() {
        true => Exit::Clean,
        false => Exit::Finding,
    }
}

fn stream_exit(stream: &LogStreamFound) -> Exit {
    let is_damaged = |file: &FoundFile| file_exit(file) != Exit::Clean;
    let mut files = stream.logs.iter().chain(&stream.checkpoints);
    match files.any(is_damaged) {
        true => Exit::Finding,
        false => Exit::Clean,
    }
}

fn file_exit(file: &FoundFile) -> Exit {
    match file.problem() {
        Some(_) => Exit::Finding,
        None => Exit::Clean,
    }
}

/// What all finds come to.
#[derive(Debug, Serialize)]
pub struct Totals {
    /// How many databases there are.
    pub databases: u64,
    /// How many databases are of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// How many have each verdict.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Streams of logs that belong to none of the databases.
    pub streams: u64,
    /// Files that belong to nothing, by what they are.
    pub others: BTreeMap<&'static str, u64>,
    /// What could not be read.
    pub problems: u64,
    /// Whether recoveries were tried.
    pub tried: bool,
    /// What was looked at.
    #[serde(flatten)]
    pub looked: Looked,
}

impl Totals {
    /// What `found` comes to; `tried` says whether recoveries were.
    pub fn of(found: &Found, tried: bool) -> Self {
        let mut totals = Totals {
            databases: found.databases.len() as u64,
            kinds: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            streams: found.streams.len() as u64,
            others: BTreeMap::new(),
            problems: found.problems.len() as u64,
            tried,
            looked: found.looked,
        };
        for database in &found.databases {
            *totals.kinds.entry(kind(database).to_owned()).or_default() += 1;
            *totals.verdicts.entry(verdict(database)).or_default() += 1;
        }
        for file in &found.others {
            *totals.others.entry(what(file)).or_default() += 1;
        }
        totals
    }

    /// What follows from all of it. That there is nothing of ESE's is known only where all could be read.
    pub fn exit(&self, found: &Found) -> Exit {
        let all = found
            .databases
            .iter()
            .map(database_exit)
            .chain(found.streams.iter().map(stream_exit))
            .chain(found.others.iter().map(file_exit));
        match found.is_empty() && found.problems.is_empty() {
            true => Exit::NotEse,
            false => all.fold(Exit::Clean, Exit::and),
        }
    }
}

/// The program that it belongs to.
pub fn kind(database: &FoundDatabase) -> &str {
    look_of(database)
        .and_then(|look| look.kind.kind)
        .unwrap_or("unknown")
}

/// In one or two words.
pub fn verdict(database: &FoundDatabase) -> &'static str {
    match database.verdict.readiness {
        None => "temporary",
        Some(Readiness::ReadyWithoutReplay) => "clean",
        Some(Readiness::Ready) => "READY",
        Some(Readiness::ReadyWithLoss) => "READY WITH LOSS",
        Some(Readiness::NotReady) => "NOT READY",
    }
}

/// What a file is.
pub fn what(file: &FoundFile) -> &'static str {
    match &file.content {
        Content::Database(_) => "database",
        Content::Log(_) => "log",
        Content::Checkpoint(_) => "checkpoint",
        Content::FlushMap(_) => "flush map",
        Content::Other { what } => what,
        Content::Ruin { .. } => "ruin",
    }
}
