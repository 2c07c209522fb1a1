//! What people type who come from other tools, and the command that is meant.
//!
//! `eseutil` and `esentutl` are in the fingers of everybody who has repaired an Exchange server, and so are the names of the
//! cmdlets. None of these words is a command here; the answer to each names the command that does it, or says why there
//! is none.

use clap::Command;
use clap::error::{Error, ErrorKind};
use std::ffi::OsString;

/// Words, and what to say to them. A word stands without the `/` or `-` that it may begin with.
type Habits = [(&'static [&'static str], &'static str)];

/// The same in every program: what is whose work.
const ELSEWHERE: &Habits = &[
    (
        &["mh", "header", "dump", "info"],
        "`edbtool header DATABASE` prints the header of a database, as `eseutil /mh` does",
    ),
    (
        &["ml"],
        "`logchain verify FOLDER` checks a log stream, as `eseutil /ml` does; `edbtool header LOG` prints the header of one log",
    ),
    (
        &["mk"],
        "`edbtool header CHECKPOINT` prints a checkpoint, as `eseutil /mk` does",
    ),
    (
        &["mm"],
        "`edbtool schema DATABASE` prints tables, columns and indexes, as `eseutil /mm` does; `edbtool tables` is shorter",
    ),
    (
        &["ms"],
        "`edbtool space DATABASE` prints who owns the pages, as `eseutil /ms` does",
    ),
    (
        &["k", "check", "checksum", "scan", "validate"],
        "`edbtool verify FILE` checks every page, as `eseutil /k` does; `logchain verify FOLDER` checks a log stream",
    ),
    (
        &["g", "integrity"],
        "`edbtool verify DATABASE` checks every page; what `eseutil /g` finds beyond that (the order of indexes) is not checked here",
    ),
    (
        &["r", "recover", "recovery", "replay", "cc", "restore"],
        "`edbreplay run DATABASE --logs FOLDER --to NEW` recovers into a new file; `edbreplay plan` says first what would happen",
    ),
    (
        &["p", "repair"],
        "there is no repair here: what a repair throws away is lost. `edbreplay run` recovers with logs, `edbtool export` reads what is there, damaged databases included",
    ),
    (
        &["d", "defrag", "defragment", "compact"],
        "there is no defragmentation here; `edbtool space DATABASE` says how many pages are free",
    ),
    (
        &["y", "cp", "copy", "robocopy", "rsync"],
        "`edbcopy copy SOURCE TARGET` copies, and goes on where it was cut off",
    ),
    (
        &["vss"],
        "snapshots are not made here: name the database inside one; it is read like any other file",
    ),
    (
        &["ls", "list", "table"],
        "`edbtool tables DATABASE` lists the tables",
    ),
    (
        &["cat", "select", "row", "query", "show"],
        "`edbtool rows DATABASE TABLE` prints the rows of a table",
    ),
];

const EDBTOOL: &Habits = &[
    (
        &["csv", "extract", "esedbexport"],
        "`edbtool export DATABASE --to FOLDER` writes all tables to files",
    ),
    (
        &["schemas", "columns", "indexes"],
        "`edbtool schema DATABASE` prints columns and indexes",
    ),
];

const LOGCHAIN: &Habits = &[
    (
        &["check", "k", "validate"],
        "`logchain verify FOLDER` checks a log stream",
    ),
    (
        &["dump", "log", "logs", "list", "ls", "show"],
        "`logchain records FOLDER` prints the records, `logchain header LOG` the header of a log",
    ),
    (
        &["stats", "statistics"],
        "`logchain stat FOLDER` counts records",
    ),
];

const EDBREPLAY: &Habits = &[(
    &["check", "dry-run", "test"],
    "`edbreplay plan DATABASE --logs FOLDER` tries the recovery and throws its result away",
)];

const EDBCOPY: &Habits = &[
    (
        &["check", "compare", "k"],
        "`edbcopy verify SOURCE TARGET` reads a copy and compares it",
    ),
    (
        &["resume", "continue"],
        "the same `edbcopy copy` command goes on where it was cut off",
    ),
    (
        &["sync", "update"],
        "`edbcopy copy SOURCE TARGET --delta` brings a copy up to date",
    ),
];

const SCR: &Habits = &[
    (
        &["get-storagegroupcopystatus", "get", "show", "health"],
        "`scr status` shows what every copy is doing",
    ),
    (
        &["enable-storagegroupcopy"],
        "`scr enable` configures a copy",
    ),
    (
        &["disable-storagegroupcopy"],
        "`scr disable` takes a copy out of the configuration",
    ),
    (
        &["suspend-storagegroupcopy", "pause", "stop"],
        "`scr suspend` suspends a copy",
    ),
    (
        &["resume-storagegroupcopy", "start", "continue"],
        "`scr resume` resumes a copy",
    ),
    (
        &["update-storagegroupcopy", "seed", "reseed"],
        "`scr update` seeds a copy",
    ),
    (
        &["restore-storagegroupcopy", "activate", "r", "cc", "recover"],
        "`scr restore` activates a copy",
    ),
    (
        &["test-replicationhealth", "test", "validate"],
        "`scr check` checks the configuration",
    ),
];

/// The words of a program's own users, before those that are the same everywhere.
const PROGRAMS: [(&str, &Habits); 5] = [
    ("edbtool", EDBTOOL),
    ("logchain", LOGCHAIN),
    ("edbreplay", EDBREPLAY),
    ("edbcopy", EDBCOPY),
    ("scr", SCR),
];

/// The error in its own words, or with the command that is meant where the line begins with a word of another tool.
pub(crate) fn answered(error: Error, program: &Command, line: &[OsString]) -> Error {
    let unknown = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument];
    if !unknown.contains(&error.kind()) {
        return error;
    }
    let Some(word) = first_word(line) else {
        return error;
    };
    let name = program.get_name();
    let Some(advice) = meant(name, word).filter(|_| program.find_subcommand(word).is_none()) else {
        return error;
    };
    let message = format!("{name} has no command {word:?}\n  {advice}\n");
    Error::raw(ErrorKind::InvalidSubcommand, message)
}

/// The word that is where a command does: after what every command takes.
fn first_word(line: &[OsString]) -> Option<&str> {
    let mut words = line.iter().skip(1).map(|word| word.to_str().unwrap_or(""));
    loop {
        match words.next()? {
            "--threads" | "--config" => {
                words.next();
            }
            "--json" | "-q" | "--quiet" => {}
            word if word.starts_with("--threads=") || word.starts_with("--config=") => {}
            word => return Some(word),
        }
    }
}

/// What to say to `word` in place of a command of `program`.
fn meant(program: &str, word: &str) -> Option<&'static str> {
    let word = word.trim_start_matches(['/', '-']).to_ascii_lowercase();
    let own = PROGRAMS.iter().find(|(name, _)| *name == program)?.1;
    let mut habits = own.iter().chain(ELSEWHERE);
    let found = habits.find(|(words, _)| words.contains(&word.as_str()));
    found.map(|(_, advice)| *advice)
}
