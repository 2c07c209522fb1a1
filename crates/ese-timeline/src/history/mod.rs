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

use crate::logs::Logs;
use crate::sink::ChangeSink;
use crate::told::{TellError, Told};
use crate::watcher::{Hashes, Timeline, TimelineOptions};
use backward::Backward;
use ese_format::{Lgpos, Progress, Signature};
use ese_log::StreamFile;
use ese_replay::ReplayDatabase;
use ese_replay::recovery::DatabaseFile;
use forward::Forward;
use past::Past;
use reverse::Reverse;
use survey::Survey;

/// Tells `sink` every change of rows that these logs hold, oldest first, of databases that have them in their pages.
///
/// `files` are logs in the order of their generations; `databases` are as they were when the last of them ended, with
/// nothing rolled back that the logs do not roll back; `older` are older copies of some. Their own logs go on at least to `reached`.
pub(crate) fn history(
    files: &[StreamFile],
    databases: Vec<ReplayDatabase>,
    older: &[DatabaseFile],
    reached: Lgpos,
    options: TimelineOptions,
    sink: Box<dyn ChangeSink>,
    progress: &dyn Progress,
) -> Result<Told, TellError> {
    let headers = databases.iter().map(|database| &database.header);
    let signatures: Vec<Signature> = headers.clone().map(|header| header.signature).collect();
    let streams: Vec<Signature> = headers.map(|header| header.log_signature).collect();
    let mut survey = Survey::of(Logs::new(files, &streams, None), &signatures, reached);
    survey.continued.extend(databases.iter().map(|database| {
        let header = &database.header;
        (header.signature, header.last_consistent)
    }));
    let mut pasts: Vec<Past> = (databases.into_iter())
        .map(|database| Past::new(database, &survey.gaps))
        .collect();
    let mut records = Reverse::new(survey.files.clone());
    let memory = options.memory;
    let (older, others): (Vec<_>, Vec<_>) =
        older.iter().partition(|copy| survey.shows(&copy.header));
    let older = older.into_iter().filter_map(|copy| {
        let signature = &copy.header.signature;
        let of = signatures.iter().position(|own| own == signature)?;
        let pages = memory / copy.page_size.as_usize();
        Some((of, copy.database(Box::new(copy.pages()), pages)))
    });
    let backward = Backward::new(&survey, &mut pasts, older.collect(), memory)?;
    let (spool, contradictions, not_reached) = backward.go(&mut records, progress)?;
    let mut told = Told {
        not_reached,
        reasons: others.iter().map(|copy| not_shown(copy)).collect(),
        unnamed: (0..signatures.len())
            .filter(|place| !survey.is_named(*place))
            .map(|place| signatures[place])
            .collect(),
        ..Told::default()
    };
    let mut forward = Forward::new(&survey, &mut pasts, spool.read()?, memory)?;
    let hashes = Hashes::default();
    let mut timeline = Timeline::new(options, &[], sink, hashes.clone());
    let logs = Logs::new(files, &streams, Some(&hashes));
    forward.go(logs, &mut timeline, progress, &mut told)?;
    told.contradictions = contradictions + forward.contradictions;
    told.summary = timeline.finish(survey.is_cut)?;
    Ok(told)
}

fn not_shown(copy: &DatabaseFile) -> String {
    format!(
        "{}: nothing in these logs shows that they go on from this copy, so it was not used",
        copy.path().display()
    )
}
