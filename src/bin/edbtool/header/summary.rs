//! `edbtool header --summary`: a line for each file, and a summary of all. Made for a tree full of evidence: which
//! databases are there, which programs they belong to, and which of them need what.

use crate::columns::{Columns, WIDTH, widest};
use answers::header::{Content, Report};
use console::{Exit, Failure, Output};
use ese_case::Named;
use ese_db::Database;
use ese_format::database::{DatabaseState, HeaderStatus};
use ese_format::{DatabaseHeader, Generation};
use ese_log::beside::{LogPlaces, logs_there};
use ese_text::size_findings;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

const SCHEMA: &str = "edbkit.header-summary/2";
const TOTALS_SCHEMA: &str = "edbkit.header-totals/1";

/// What a file is fit for, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Condition {
    /// A database that needs no log; another file of ESE's without findings.
    Clean,
    /// A database that needs its logs.
    Dirty,
    /// A clean database from which a repair threw away what it could not read.
    Repaired,
    /// A database that is made anew each time, or a log of which nothing is needed.
    Temporary,
    /// A database that was never completed, or whose conversion, reseed or revert did not end.
    Unfinished,
    /// Its header or its length cannot be right.
    Damaged,
}

impl Condition {
    /// Whether the databases are named in the last line.
    fn is_named(self) -> bool {
        use Condition::*;
        match self {
            Clean | Dirty | Temporary => false,
            Repaired | Unfinished | Damaged => true,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Condition::Clean => "clean",
            Condition::Dirty => "dirty",
            Condition::Repaired => "repaired",
            Condition::Temporary => "temporary",
            Condition::Unfinished => "unfinished",
            Condition::Damaged => "damaged",
        }
    }
}

/// The logs that a database needs, and how many of them lie beside it.
#[derive(Debug, Clone, Copy, Serialize)]
struct Needs {
    first: Generation,
    last: Generation,
    /// By their names, and the log signature of the stream.
    beside: u32,
}

impl Needs {
    fn of(path: &Path, header: &DatabaseHeader, places: &LogPlaces<'_>) -> Option<Self> {
        let (first, last) = (header.min_required, header.max_required);
        (header.state.needs_recovery() && first.0 > 0 && first <= last).then(|| Needs {
            first,
            last,
            beside: logs_there(path, header, places),
        })
    }

    fn count(self) -> u64 {
        u64::from(self.last.0 - self.first.0) + 1
    }

    fn range(self) -> String {
        match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        }
    }

    fn beside(self) -> String {
        match (u64::from(self.beside), self.count()) {
            (0, _) => "none".into(),
            (beside, count) if beside == count => "all".into(),
            (beside, count) => format!("{beside} of {count}"),
        }
    }
}

/// A line about one file.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    path: PathBuf,
    exit: Exit,
    /// What the file is: a database, a log ...
    file: &'static str,
    condition: Condition,
    /// The state in the header of a database, or what there is to say of another file.
    state: String,
    /// The program whose database it is, judged by its tables.
    kind: Option<&'static str>,
    needs: Option<Needs>,
    findings: Vec<String>,
}

impl Summary {
    pub(super) fn of(report: &Report, places: &LogPlaces<'_>) -> Self {
        let path = &report.path;
        let header = match &report.content {
            Content::Database { copies, .. } => copies.good().map(|copy| &copy.fields),
            _ => None,
        };
        let kind = match &report.content {
            Content::Database { .. } => Database::open(path)
                .and_then(|db| db.catalog())
                .ok()
                .and_then(|catalog| catalog.kind()),
            _ => None,
        };
        let long = header.and_then(ese_text::repair_finding);
        let short = header.map(|header| {
            let time = header.repair_time.rfc3339();
            format!(
                "repaired, {}",
                time.unwrap_or_else(|| "at an unknown time".into())
            )
        });
        let findings = report.findings.iter().map(|finding| match &short {
            Some(short) if long.as_ref() == Some(finding) => short.clone(),
            _ => finding.clone(),
        });
        Summary {
            path: path.clone(),
            exit: report.exit(),
            file: file_kind(report),
            condition: condition(report),
            state: state(&report.content),
            kind,
            needs: header.and_then(|header| Needs::of(path, header, places)),
            findings: findings.collect(),
        }
    }

    fn is_database(&self) -> bool {
        self.file == DATABASE
    }

    fn line(&self, name: String) -> Vec<String> {
        let none = || "-".to_owned();
        vec![
            name,
            match self.is_database() {
                true => self.condition.word().to_owned(),
                false => self.state.clone(),
            },
            self.needs.map_or_else(none, Needs::range),
            self.needs.map_or_else(none, Needs::beside),
            match self.is_database() {
                true => self.kind.unwrap_or("unknown").to_owned(),
                false => self.file.replace('_', " "),
            },
        ]
    }
}

const DATABASE: &str = "database";

/// What a file is, or should be.
fn file_kind(report: &Report) -> &'static str {
    match &report.content {
        Content::Database { copies, .. } => match copies.good() {
            Some(copy) if copy.fields.is_streaming_file() => "streaming_file",
            _ => DATABASE,
        },
        Content::Log { .. } => "log",
        Content::Checkpoint { .. } => "checkpoint",
        Content::FlushMap { .. } => "flush_map",
        Content::Blank | Content::Empty | Content::Unknown => match Named::of(&report.path) {
            Some(Named::Database) => DATABASE,
            Some(Named::Log) => "log",
            Some(Named::Checkpoint) => "checkpoint",
            Some(Named::FlushMap) => "flush_map",
            Some(Named::Spare) => "reserve_log",
            Some(Named::StreamingFile) => "streaming_file",
            Some(Named::RevertSnapshot) | None => "unknown",
        },
    }
}

fn state(content: &Content) -> String {
    match content {
        Content::Database { copies, .. } => match copies.good() {
            Some(copy) => copy.fields.state.name().to_owned(),
            None => "Corrupt header".into(),
        },
        Content::Log { header, .. } => match header.is_intact() {
            true => format!("generation {0} ({0:#x})", header.as_read().generation),
            false => "Corrupt header".into(),
        },
        Content::Checkpoint { copies } => match copies.current() {
            Ok((checkpoint, _)) => checkpoint.checkpoint.to_string(),
            Err(_) => "Corrupt checkpoint".into(),
        },
        Content::FlushMap { header, .. } => match header.is_clean() {
            true => "closed cleanly".into(),
            false => "in use".into(),
        },
        Content::Blank => "blank".into(),
        Content::Empty => "empty".into(),
        Content::Unknown => "unknown".into(),
    }
}

fn condition(report: &Report) -> Condition {
    let Content::Database {
        copies, cut_off, ..
    } = &report.content
    else {
        return match Named::of(&report.path) {
            _ if !report.findings.is_empty() => Condition::Damaged,
            Some(Named::Spare) => Condition::Temporary,
            _ => Condition::Clean,
        };
    };
    let Some(header) = copies.good().map(|copy| &copy.fields) else {
        return Condition::Damaged;
    };
    let header_damaged = copies.status != HeaderStatus::Good && copies.shadow_expected();
    let cut = cut_off.is_some() || !size_findings(report.file_size, copies.page_size).is_empty();
    if header_damaged || cut || report.half_written {
        return Condition::Damaged;
    }
    match header.state {
        _ if header.is_temporary() => Condition::Temporary,
        DatabaseState::CLEAN_SHUTDOWN if header.was_repaired() => Condition::Repaired,
        DatabaseState::CLEAN_SHUTDOWN => Condition::Clean,
        DatabaseState::DIRTY_SHUTDOWN | DatabaseState::DIRTY_AND_PATCHED => Condition::Dirty,
        _ => Condition::Unfinished,
    }
}

/// Lines of several files.
#[derive(Debug, Default)]
pub(super) struct Summaries {
    lines: Vec<Summary>,
    totals: Totals,
}

/// What all files come to.
#[derive(Debug, Default, Serialize)]
struct Totals {
    databases: u64,
    /// How many databases are in each condition.
    conditions: BTreeMap<Condition, u64>,
    /// The databases that somebody has to look at: those that are repaired, unfinished or damaged.
    named: BTreeMap<Condition, Vec<PathBuf>>,
    /// Other files of ESE's by what they are.
    others: BTreeMap<&'static str, u64>,
    /// Files and folders that could not be read, or are not ESE files.
    failed: u64,
}

impl Summaries {
    /// Adds a file. Of files that are there in thousands and of which there is nothing to say, only the number is kept unless
    /// they were `asked_for` by name.
    pub(super) fn add(&mut self, summary: Summary, asked_for: bool) {
        let totals = &mut self.totals;
        match summary.is_database() {
            true => {
                totals.databases += 1;
                *totals.conditions.entry(summary.condition).or_default() += 1;
                if summary.condition.is_named() {
                    let named = totals.named.entry(summary.condition).or_default();
                    named.push(summary.path.clone());
                }
            }
            false => *totals.others.entry(summary.file).or_default() += 1,
        }
        if summary.is_database() || asked_for || !summary.findings.is_empty() {
            self.lines.push(summary);
        }
    }

    /// Counts a file that could not be read.
    pub(super) fn failed(&mut self) {
        self.totals.failed += 1;
    }

    /// Prints all of them.
    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if !output.is_json() {
            return output.text(self);
        }
        for line in &self.lines {
            output.document(SCHEMA, line)?;
        }
        output.document(TOTALS_SCHEMA, &self.totals)
    }

    /// A table whose lines begin with whole paths, or with names below a line for each folder.
    fn table(&self, by_folder: bool) -> Columns {
        let mut columns = Columns::new(&["File", "State", "Needs", "Has", "Kind"]);
        let mut folder = None;
        for summary in &self.lines {
            let parent = summary.path.parent();
            if by_folder && folder != parent {
                folder = parent;
                columns.title(&parent.unwrap_or(Path::new("")).display().to_string());
            }
            let name = match summary.path.file_name().filter(|_| by_folder) {
                Some(name) => format!("  {}", Path::new(name).display()),
                None => summary.path.display().to_string(),
            };
            columns.line(summary.line(name));
            for finding in &summary.findings {
                columns.below(finding);
            }
        }
        columns
    }
}

impl Display for Summaries {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.lines.is_empty() {
            let flat = self.table(false).to_string();
            match widest(&flat) <= WIDTH {
                true => f.write_str(&flat)?,
                false => write!(f, "{}", self.table(true))?,
            }
        }
        write!(f, "{}", self.totals)
    }
}

/// Paths that are named in a line of text; JSON has all of them.
const NAMED: usize = 10;

impl Display for Totals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let others = self.others.iter().map(|(file, count)| {
            let plural = if *count == 1 { "" } else { "s" };
            format!("{count} {}{plural}", file.replace('_', " "))
        });
        let others: Vec<String> = others.collect();
        if !others.is_empty() {
            writeln!(f, "beside them: {}", others.join(", "))?;
        }
        if self.failed > 0 {
            writeln!(f, "not read: {}", self.failed)?;
        }
        let plural = if self.databases == 1 { "" } else { "s" };
        write!(f, "{} database{plural}", self.databases)?;
        for (number, (condition, count)) in self.conditions.iter().enumerate() {
            let separator = if number == 0 { ": " } else { ", " };
            write!(f, "{separator}{count} {}", condition.word())?;
            let Some(paths) = self.named.get(condition) else {
                continue;
            };
            let named = paths.iter().take(NAMED);
            let mut names: Vec<String> = named.map(|path| path.display().to_string()).collect();
            if paths.len() > NAMED {
                names.push("...".into());
            }
            match *condition {
                Condition::Damaged => write!(f, ": {}", names.join(", "))?,
                _ => write!(f, " ({})", names.join(", "))?,
            }
        }
        writeln!(f)
    }
}
