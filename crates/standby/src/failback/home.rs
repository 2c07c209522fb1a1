//! What is at the first server before a failback: whether it may be replaced, and what it holds that was never
//! replayed here.
//!
//! ```text
//! replayed here:   ... 4  5 |
//! is there:        ... 4  5 | 6  7  8  E00.log      beyond: what the activation had to give up
//! ```
//!
//! Nothing that the activation reported is taken for granted: the files that are there decide.

use super::FailbackOptions;
use crate::activate::ActivateReport;
use crate::bring::BringError;
use crate::config::SourceConfig;
use crate::error::{StandbyError, at};
use crate::listing::header_of;
use crate::lost_rows::LostRows;
use crate::own_files::mark;
use crate::place::database_header;
use crate::state::Activation;
use crate::unreplayed::UnreplayedWork;
use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_format::{Generation, JetError, Lgpos, Progress, Record};
use ese_log::transactions::Transactions;
use ese_log::{FileRole, LogImage, RecordCursor, StreamFile, StreamFiles, subject};
use ese_replay::recovery::DatabaseFile;
use std::io;
use std::path::{Path, PathBuf};

/// The files of the storage group at the first server.
pub(super) struct Home {
    /// Its database, if there is one.
    pub(super) database: Option<OldDatabase>,
    /// Logs, temporary and reserve logs.
    pub(super) logs: Vec<PathBuf>,
    /// Checkpoint and flush map.
    pub(super) others: Vec<PathBuf>,
    /// What was never replayed here.
    pub(super) beyond: Option<UnreplayedWork>,
    /// Why an order is needed that names what is replaced.
    obstacles: Vec<ReplacementObstacle>,
}

/// What the old database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldDatabase {
    /// It is the very database that goes back.
    Same,
    /// It is an older state of it, clean, and nothing beyond what goes back is there.
    Older,
    /// It may hold what exists nowhere else.
    Unknown,
}

/// What needs an order.
struct ReplacementObstacle {
    path: PathBuf,
    reason: String,
    jet: JetError,
}

impl Home {
    /// Looks at what is there.
    pub(super) fn look(
        source: &SourceConfig,
        activation: &Activation,
        (database, returning): (&Path, &DatabaseHeader),
        progress: &dyn Progress,
    ) -> Result<Home, StandbyError> {
        let stream = activation
            .found
            .as_ref()
            .and_then(|found| found.stream.clone());
        let files = files_of(&source.logs, &source.base)?;
        let mut home = Home {
            database: None,
            logs: own_files(&files, &source.base),
            others: Vec::new(),
            beyond: None,
            obstacles: Vec::new(),
        };
        let strangers = strangers(&files, stream.as_deref());
        if let Some(first) = strangers.first() {
            home.obstacles.push(ReplacementObstacle {
                path: source.logs.clone(),
                reason: format!(
                    "{} and {} more logs there belong to another log stream than the one that was copied: the server went on working",
                    first.display(),
                    strangers.len() - 1
                ),
                jet: JetError::BAD_LOG_SIGNATURE,
            });
        }
        let system = files_of(&source.system, &source.base)?;
        home.others
            .extend(system.checkpoints.into_iter().map(|file| file.path));
        let map = source.database.with_extension("jfm");
        home.others.extend(map.is_file().then_some(map));
        let report = activation.found.as_ref().map(|found| &found.report);
        home.beyond = report.and_then(|report| {
            let mut found = beyond(&files, report, stream.as_deref())?;
            found.rows = lost_rows(&files, report, database, progress);
            Some(found)
        });
        home.database = home.judge_database(source, activation, returning);
        Ok(home)
    }

    fn judge_database(
        &mut self,
        source: &SourceConfig,
        activation: &Activation,
        returning: &DatabaseHeader,
    ) -> Option<OldDatabase> {
        let path = &source.database;
        path.symlink_metadata().ok()?;
        let mut needs_order = |reason: String, jet: JetError| {
            let path = path.clone();
            self.obstacles
                .push(ReplacementObstacle { path, reason, jet });
            Some(OldDatabase::Unknown)
        };
        let Some(header) = database_header(path) else {
            let reason = format!(
                "{} is not a database whose header can be read",
                path.display()
            );
            return needs_order(reason, JetError::READ_VERIFY_FAILURE);
        };
        if mark(&header) == mark(returning) {
            return Some(OldDatabase::Same);
        }
        let found = activation.found.as_ref();
        if found.is_none_or(|found| found.signature != header.signature.to_string()) {
            let reason = format!(
                "{} is another database than the one that was copied",
                path.display()
            );
            return needs_order(reason, JetError::ATTACHED_DATABASE_MISMATCH);
        }
        let stream = found.and_then(|found| found.stream.as_deref());
        if stream != Some(&*header.log_signature.to_string()) {
            let reason = format!(
                "{} has since been used with another log stream than the one that was copied",
                path.display()
            );
            return needs_order(reason, JetError::BAD_LOG_SIGNATURE);
        }
        if header.state != DatabaseState::CLEAN_SHUTDOWN {
            let reason = format!(
                "{} is in the state {}: it was not shut down, or is mounted",
                path.display(),
                header.state
            );
            return needs_order(reason, JetError::DATABASE_DIRTY_SHUTDOWN);
        }
        let replayed = found.and_then(|found| end_of(&found.report));
        if self.beyond.is_some() || replayed.is_none_or(|end| header.last_consistent > end) {
            // It belongs to what was lost; nobody is asked, since it is kept.
            return Some(OldDatabase::Unknown);
        }
        Some(OldDatabase::Older)
    }

    /// Refuses what would be replaced and needs an order that names it.
    pub(super) fn refuse_unnamed(&self, options: &FailbackOptions) -> Result<(), BringError> {
        let is_named = |path: &Path| options.put_aside.iter().any(|named| same(named, path));
        let obstacle = self
            .obstacles
            .iter()
            .find(|obstacle| !is_named(&obstacle.path));
        let Some(ReplacementObstacle { path, reason, jet }) = obstacle else {
            return Ok(());
        };
        Err(BringError::Refused {
            reason: reason.clone(),
            advice: format!(
                "nothing was changed: see what it is, and whether a server uses it; --put-aside {} keeps it in `diverged` \
                 beside it",
                path.display()
            ),
            jet: Some(*jet),
        })
    }
}

fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}

/// The files of the stream `base` in a folder that may be missing.
fn files_of(folder: &Path, base: &str) -> Result<StreamFiles, StandbyError> {
    match crate::activate::logs_in(folder, base) {
        Ok(files) => Ok(files),
        Err(ese_log::LogError::Io { path, source }) => Err(at(&path)(source)),
        Err(other) => Err(at(folder)(io::Error::other(other))),
    }
}

/// Logs of the stream under all their names. Reserve logs that serve every stream are not among them.
fn own_files(files: &StreamFiles, base: &str) -> Vec<PathBuf> {
    let all = files.leftovers.iter().chain(files.in_order());
    let is_own = |file: &&StreamFile| {
        let name = file.name();
        name.get(..base.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(base))
    };
    all.filter(is_own).map(|file| file.path.clone()).collect()
}

/// Logs of another stream.
fn strangers(files: &StreamFiles, stream: Option<&str>) -> Vec<PathBuf> {
    let Some(stream) = stream else {
        return Vec::new();
    };
    let is_strange = |file: &&StreamFile| {
        let header = header_of(&file.path);
        header.is_some_and(|header| header.signature.to_string() != stream)
    };
    files
        .in_order()
        .filter(is_strange)
        .map(|file| file.path.clone())
        .collect()
}

/// Where the logs ended that were replayed.
fn end_of(report: &ActivateReport) -> Option<Lgpos> {
    let end = report.replayed.end.as_ref()?;
    end.parse().ok()
}

/// What the logs there hold after the end of what was replayed.
fn beyond(
    files: &StreamFiles,
    report: &ActivateReport,
    stream: Option<&str>,
) -> Option<UnreplayedWork> {
    let end = end_of(report);
    let last_replayed = report.replayed.last;
    let mut logs: Vec<(Generation, &StreamFile)> = Vec::new();
    for file in files.in_order() {
        let header = header_of(&file.path);
        let of_stream = |signature: String| stream.is_none_or(|stream| stream == signature);
        let header = header.filter(|header| of_stream(header.signature.to_string()));
        let generation = match (file.role, header) {
            (_, Some(header)) => header.generation,
            // Damaged, but by its name one of them.
            (FileRole::Generation { generation, .. }, None) => generation,
            _ => continue,
        };
        if last_replayed.is_none_or(|last| generation >= last) {
            logs.push((generation, file));
        }
    }
    logs.sort_by_key(|(generation, _)| *generation);
    logs.dedup_by_key(|(generation, _)| *generation);
    let mut found: Option<UnreplayedWork> = None;
    let mut transactions = Transactions::default();
    for (generation, file) in logs {
        let after = end.filter(|_| Some(generation) == last_replayed);
        let (changes, stopped) = follow(file, after, &mut transactions);
        if changes == 0 && stopped.is_none() {
            continue;
        }
        let found = found.get_or_insert(UnreplayedWork {
            first: generation,
            last: generation,
            logs: 0,
            committed: 0,
            rolled_back: 0,
            open: 0,
            rows: LostRows::default(),
            stopped: None,
        });
        found.last = generation;
        found.logs += 1;
        found.stopped = found.stopped.take().or(stopped);
    }
    let mut found = found?;
    // What began before and committed here was rolled back in the activation.
    found.committed = transactions.committed + transactions.began_before;
    found.rolled_back = transactions.rolled_back;
    found.open = transactions.open().count() as u32;
    Some(found)
}

/// What is lost with that, by table as the database that goes back knows them.
fn lost_rows(
    files: &StreamFiles,
    report: &ActivateReport,
    database: &Path,
    progress: &dyn Progress,
) -> LostRows {
    let database = match DatabaseFile::open(database) {
        Ok(database) => database,
        Err(error) => {
            return LostRows {
                problems: vec![error.to_string()],
                ..LostRows::default()
            };
        }
    };
    let since = report.rolled_back_since.as_ref();
    let since: Option<Lgpos> = since.and_then(|since| since.parse().ok());
    let since = since.map(|since| since.generation);
    let first = report
        .replayed
        .last
        .map(|last| since.map_or(last, |since| since.min(last)));
    let end = end_of(report).unwrap_or_default();
    LostRows::committed(files, &database, first.unwrap_or_default().., end, progress)
}

/// Follows the records of a log from `after` on: how many of them change a database or end a transaction, and where
/// reading had to end.
fn follow(
    file: &StreamFile,
    after: Option<Lgpos>,
    transactions: &mut Transactions,
) -> (u64, Option<String>) {
    let image = match LogImage::read(&file.path) {
        Ok(image) => image,
        Err(error) => return (0, Some(error.to_string())),
    };
    let mut cursor = RecordCursor::new();
    let mut changes = 0;
    loop {
        match cursor.next_record(&image) {
            Ok(Some(raw)) if after.is_some_and(|after| raw.lgpos < after) => {}
            Ok(Some(raw)) => match raw.decode() {
                Ok(record) => {
                    let ends = matches!(record, Record::Commit0(_));
                    changes += u64::from(ends || subject::database(&record).is_some());
                    transactions.follow(raw.lgpos, &record);
                }
                Err(_) => changes += 1,
            },
            Ok(None) => return (changes, None),
            Err(bad) => {
                let place = format!("{}: {} at {}", file.name(), bad.problem, bad.lgpos);
                return (changes, Some(place));
            }
        }
    }
}
