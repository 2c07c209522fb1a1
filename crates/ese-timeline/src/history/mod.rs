//! The timeline of logs that a database has behind it: nearly all their records are in its pages already, and a difference
//! does not say what it overwrote.
//!
//! ```text
//! survey     forward, once: which database a number means, which macro operations never committed
//! backward   from the pages of the database: each record is taken back from its page, newest first;
//!            what is known of each line goes into a file
//! forward    from the oldest record: each line is followed from where it is known whole; rows are told
//! ```
//!
//! Nothing is guessed. Bytes that no record and no page holds are not known, and columns that depend on them are not
//! given. Where the two ways say different things of one byte, or a record does not fit the page that it must have left, both are
//! given up and the contradiction is counted.

mod backward;
mod forward;
mod page;
mod past;
mod reverse;
mod shelf;
mod spool;
mod survey;

use crate::sink::ChangeSink;
use crate::summary::TimelineSummary;
use crate::watcher::{Hashes, Timeline, TimelineOptions};
use backward::Backward;
use ese_format::{Progress, Signature};
use ese_log::{LogError, StreamFile};
use ese_replay::ReplayDatabase;
use forward::Forward;
use past::Past;
use reverse::Reverse;
use std::io;
use survey::Survey;

/// What came of a history.
pub(crate) struct History {
    /// What was told.
    pub(crate) summary: TimelineSummary,
    /// Logs that could not be read to their ends; what they hold after that is not told.
    pub(crate) problems: Vec<LogError>,
    /// How often two accounts of the same bytes contradicted each other.
    pub(crate) contradictions: u64,
    /// Changes that were made after what the pages of the databases hold; they are not told.
    pub(crate) not_reached: u64,
    /// Records of databases that no log names, so that nobody knows whose they are; they are not told.
    pub(crate) of_unnamed_databases: u64,
}

/// Tells `sink` every change of rows that these logs hold, oldest first, of databases that have them in their pages.
///
/// `files` are logs in the order of their generations; `databases` are as they were when the last of them ended, with
/// nothing rolled back that the logs do not roll back.
pub(crate) fn history(
    files: &[StreamFile],
    databases: Vec<ReplayDatabase>,
    options: TimelineOptions,
    sink: Box<dyn ChangeSink>,
    progress: &dyn Progress,
) -> io::Result<History> {
    let signatures: Vec<Signature> = (databases.iter())
        .map(|database| database.header.signature)
        .collect();
    let survey = Survey::of(files, &signatures);
    let mut pasts: Vec<Past> = (databases.into_iter())
        .map(|database| Past::new(database, &survey.gaps))
        .collect();
    let mut records = Reverse::new(files.to_vec());
    let memory = options.memory;
    let backward = Backward::new(&survey, &mut pasts, memory)?;
    let (spool, taken_back, not_reached) =
        backward.go(&mut records, |_| !progress.should_stop())?;
    let mut forward = Forward::new(&survey, &mut pasts, spool.read()?, memory)?;
    let hashes = Hashes::default();
    let mut timeline = Timeline::new(options, sink, hashes.clone());
    let problems = forward.go(files, &hashes, &mut timeline, progress)?;
    let contradictions = taken_back + forward.contradictions;
    Ok(History {
        summary: timeline.finish(false)?,
        not_reached,
        of_unnamed_databases: forward.of_unnamed_databases,
        problems,
        contradictions,
    })
}
