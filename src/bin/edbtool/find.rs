//! `edbtool find`: which databases are in a pile of evidence, whatever they are called, and what belongs to them.

use crate::columns::Columns;
use answers::find::{SCHEMA, TOTALS_SCHEMA, Totals, failure, finds, kind, look_of, verdict, what};
use bytesize::ByteSize;
use console::values::bytes;
use console::{Exit, Failure, Output};
use ese_case::find::{
    Content, FindOptions, Found, FoundDatabase, FoundFile, LogStreamFound, LogsFrom, find,
};
use ese_format::Generation;
use ese_log::chain::Readiness;
use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Find databases and their logs in folders, archives, disk images and shadow copies, by content and not by name
///
/// Prints a line for each database: the program that it belongs to, its state, the logs that it needs and how many of them were
/// found, wherever they lie, and what `edbreplay plan --quick` says of a recovery with them. Then the logs, checkpoints and flush
/// maps that belong to none.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  edbtool find /evidence\n  edbtool find disk.E01 collection.zip --json\n  edbtool find --try /evidence/host1"
)]
pub(crate) struct Arguments {
    /// Files, folders, archives, disk images
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Do not search the shadow copies in disk images, only say how many there are. They are searched otherwise, and a file
    /// that did not change is found again in each
    #[arg(long)]
    no_shadow_copies: bool,
    /// Try each recovery, pages and all, and throw the result away. Without it, verdicts come from headers and logs
    #[arg(long = "try")]
    trial: bool,
    /// With --try, hold this much of a database in memory
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = bytes::<usize>)]
    memory: usize,
}

/// Runs the command: the exit code is the worst of all that was found and of all that could not be read.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let mut options = FindOptions::default();
    options.shadow_copies = !arguments.no_shadow_copies;
    options.trial_memory = arguments.trial.then_some(arguments.memory);
    options.threads = output.threads();
    let bar = output.counter("Looking");
    let found = find(&arguments.paths, &options, &bar);
    drop(bar);
    let Some(found) = found else {
        return Err(
            Failure::new(Exit::Interrupted, "stopped before the search ended")
                .advise("nothing was written; run the same command again"),
        );
    };
    let mut exit = Exit::Clean;
    for problem in &found.problems {
        let failure = failure(problem);
        exit = exit.and(failure.exit);
        output.failure(&failure)?;
    }
    let totals = Totals::of(&found, arguments.trial);
    exit = exit.and(totals.exit(&found));
    match output.is_json() {
        true => print_json(&found, &totals, output)?,
        false => output.text(&Report {
            found: &found,
            totals: &totals,
        })?,
    }
    Ok(exit)
}

fn print_json(found: &Found, totals: &Totals, output: &mut Output) -> Result<(), Failure> {
    for find in finds(found) {
        output.document(SCHEMA, &find)?;
    }
    output.document(TOTALS_SCHEMA, totals)
}

/// The finds as a table: what is short stands first, paths at the end of the lines.
struct Report<'f> {
    found: &'f Found,
    totals: &'f Totals,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let found = self.found;
        let mut columns = Columns::new(&[
            "Kind", "State", "Needs", "Has", "Verdict", "Format", "Host", "File",
        ]);
        for database in &found.databases {
            columns.line(line(database));
            for text in below(database) {
                columns.below(&text);
            }
        }
        for stream in &found.streams {
            columns.line(stream_line(stream));
            for text in below_stream(stream) {
                columns.below(&text);
            }
        }
        let is_shown =
            |file: &&FoundFile| !matches!(&file.content, Content::Other { what } if *what == SPARE);
        for file in found.others.iter().filter(is_shown) {
            columns.line(file_line(file));
            if let Some(problem) = file.problem() {
                columns.below(&problem);
            }
        }
        let is_empty = found.databases.is_empty()
            && found.streams.is_empty()
            && !found.others.iter().any(|file| is_shown(&file));
        if !is_empty {
            columns.fmt(f)?;
        }
        TotalsText(self.totals).fmt(f)
    }
}

/// There are two or three of them in every folder of logs, and nothing in them is needed.
const SPARE: &str = "temporary or reserve log";

fn none() -> String {
    "-".to_owned()
}

fn or_none(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(none)
}

/// Generations as they stand in the names of logs.
fn range(range: &RangeInclusive<Generation>) -> String {
    match range.start() == range.end() {
        true => format!("{:#x}", range.start()),
        false => format!("{:#x}-{:#x}", range.start(), range.end()),
    }
}

fn line(database: &FoundDatabase) -> Vec<String> {
    let logs = &database.logs;
    let look = look_of(database);
    let needed = logs
        .needs
        .as_ref()
        .map(|needs| u64::from(needs.end().0).saturating_sub(u64::from(needs.start().0)) + 1);
    let has = needed.map(|needed| match logs.there {
        0 => "none".to_owned(),
        there if there == needed => "all".to_owned(),
        there => format!("{there} of {needed}"),
    });
    let state = look.map(|look| look.state.trim_end_matches(" Shutdown").to_lowercase());
    let verdict = match database.verdict.tried {
        true => format!("{} (tried)", verdict(database)),
        false => verdict(database).to_owned(),
    };
    vec![
        kind(database).to_owned(),
        state.unwrap_or_else(none),
        logs.needs.as_ref().map_or_else(none, range),
        has.unwrap_or_else(none),
        verdict,
        or_none(look.and_then(|look| look.format.as_ref())),
        or_none(database.host.as_ref()),
        database.file.path.display().to_string(),
    ]
}

/// What there is to say of a database that does not fit into its line.
fn below(database: &FoundDatabase) -> Vec<String> {
    let (logs, verdict) = (&database.logs, &database.verdict);
    let mut lines = Vec::new();
    if verdict.readiness > Some(Readiness::Ready) {
        let reason = verdict
            .plan
            .as_ref()
            .map(|plan| plan.verdict.reasons.join("; "));
        let reason = reason.or_else(|| verdict.problem.clone());
        let jet = verdict
            .jet
            .map(|jet| format!(" [JET {jet}]"))
            .unwrap_or_default();
        lines.extend(reason.map(|reason| format!("{reason}{jet}")));
        let missing: Vec<String> = logs.missing.iter().take(SHOWN).map(range).collect();
        if !missing.is_empty() {
            let more = match logs.missing.len() > SHOWN {
                true => " ...",
                false => "",
            };
            lines.push(format!(
                "no good copy was found of these logs: {}{more}",
                missing.join(", ")
            ));
        }
    }
    let mut folders: Vec<String> = logs
        .folders
        .iter()
        .take(SHOWN)
        .map(|folder| folder.display().to_string())
        .collect();
    if logs.folders.len() > SHOWN {
        folders.push(format!("and {} more", logs.folders.len() - SHOWN));
    }
    let needs = logs.needs.is_some();
    match logs.from {
        LogsFrom::Nowhere | LogsFrom::SameFolder => {}
        _ if !needs => {}
        LogsFrom::OtherFolder | LogsFrom::SameState => {
            lines.push(format!("logs in {}", folders.join(", ")));
        }
        LogsFrom::Mixed => lines.push(format!(
            "no place has all of its logs; they were taken from {}",
            folders.join(", ")
        )),
    }
    if !verdict.together_with.is_empty() {
        let mates = verdict.together_with.iter();
        let mates: Vec<String> = mates.map(|mate| mate.display().to_string()).collect();
        lines.push(format!("recovered together with {}", mates.join(", ")));
    }
    if let Some(look) = look_of(database) {
        lines.extend(look.findings.iter().cloned());
        lines.extend(look.kind.kind_unknown_because.clone());
    }
    lines.extend(database.damaged.iter().filter_map(damage));
    lines
}

/// So many places or gaps are named in text; JSON has all.
const SHOWN: usize = 5;

fn stream_line(stream: &LogStreamFound) -> Vec<String> {
    let format = stream
        .logs
        .iter()
        .rev()
        .find_map(|file| match &file.content {
            Content::Log(log) => log.format.clone(),
            _ => None,
        });
    let folder = stream
        .logs
        .first()
        .map(|file| file.folder.display().to_string());
    vec![
        "logs".to_owned(),
        none(),
        none(),
        stream.generations.as_ref().map_or_else(none, range),
        none(),
        or_none(format.as_ref()),
        or_none(stream.host.as_ref()),
        folder.unwrap_or_else(none),
    ]
}

fn below_stream(stream: &LogStreamFound) -> Vec<String> {
    let count = stream.logs.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut lines = Vec::new();
    let of = match (&stream.signature, stream.databases.is_empty()) {
        (None, _) => "of a stream that is not known",
        (Some(_), true) => "that belong to no database here",
        (Some(_), false) => "that belong to no database here; they name",
    };
    lines.push(
        format!("{count} log{plural} {of} {}", stream.databases.join(", "))
            .trim_end()
            .to_owned(),
    );
    if !stream.missing.is_empty() {
        let missing: Vec<String> = stream.missing.iter().take(SHOWN).map(range).collect();
        lines.push(format!("between them are missing: {}", missing.join(", ")));
    }
    let files = stream.logs.iter().chain(&stream.checkpoints);
    lines.extend(files.filter_map(damage));
    lines
}

fn damage(file: &FoundFile) -> Option<String> {
    let problem = file.problem()?;
    Some(format!("{}: {problem}", file.path.display()))
}

fn file_line(file: &FoundFile) -> Vec<String> {
    let state = match &file.content {
        Content::Checkpoint(checkpoint) => checkpoint.position.map(|position| position.to_string()),
        Content::FlushMap(map) => map.is_clean.map(|is_clean| match is_clean {
            true => "closed cleanly".to_owned(),
            false => "in use".to_owned(),
        }),
        _ => None,
    };
    let mut cells = vec![what(file).to_owned(), or_none(state.as_ref())];
    cells.extend((0..5).map(|_| none()));
    cells.push(file.path.display().to_string());
    cells
}

fn listed<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let counts: Vec<String> = counts
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    counts.join(", ")
}

fn plural(count: u64, one: &str) -> String {
    match (count, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {one}s"),
    }
}

/// The last lines.
struct TotalsText<'t>(&'t Totals);

impl Display for TotalsText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let totals = self.0;
        let looked = &totals.looked;
        write!(f, "{}", plural(totals.databases, "database"))?;
        if totals.databases > 0 {
            let kinds = totals
                .kinds
                .iter()
                .map(|(kind, count)| (kind.as_str(), *count));
            let verdicts = totals
                .verdicts
                .iter()
                .map(|(verdict, count)| (*verdict, *count));
            write!(f, ": {}; {}", listed(kinds), listed(verdicts))?;
        }
        writeln!(f)?;
        if totals.streams > 0 || !totals.others.is_empty() {
            let mut others = Vec::new();
            if totals.streams > 0 {
                others.push(plural(totals.streams, "log stream"));
            }
            let named = totals.others.iter();
            others.extend(named.map(|(what, count)| plural(*count, what)));
            writeln!(f, "that belong to none: {}", others.join(", "))?;
        }
        let bytes = ByteSize(looked.bytes);
        write!(
            f,
            "looked at {} in {}",
            plural(looked.files, "file"),
            plural(looked.folders, "folder")
        )?;
        if looked.containers > 0 {
            write!(f, ", {} of them archives or images", looked.containers)?;
        }
        if looked.shadow_copies > 0 {
            write!(
                f,
                ", {} searched",
                plural(looked.shadow_copies, "shadow copy")
            )?;
        }
        writeln!(f, "; first bytes read: {bytes}")?;
        if looked.shadow_copies_not_searched > 0 {
            let copies = plural(looked.shadow_copies_not_searched, "shadow copy");
            writeln!(f, "not searched: {copies}")?;
        }
        let passed = [
            (looked.links, "link", ""),
            (
                looked.special,
                "other",
                " (devices, pipes, files without content)",
            ),
            (
                looked.unread,
                "file",
                " that Windows keeps compressed or in a cloud",
            ),
        ];
        let passed: Vec<String> = passed
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, what, which)| plural(*count, what) + which)
            .collect();
        if !passed.is_empty() {
            writeln!(f, "not followed or read: {}", passed.join(", "))?;
        }
        if totals.problems > 0 {
            writeln!(f, "could not be read: {}", totals.problems)?;
        }
        if !totals.tried && totals.verdicts.contains_key("READY") {
            writeln!(
                f,
                "READY is what headers and logs say; no page was looked at (--try does)"
            )?;
        }
        if totals.verdicts.contains_key("clean") {
            writeln!(
                f,
                "clean is what the header says; no page was looked at (edbtool verify does)"
            )?;
        }
        Ok(())
    }
}
