//! Chores of this repository: `cargo demo` shows the programs at work on the data in `testdata/`.

#![forbid(unsafe_code)]

mod big_database;
mod big_table;
mod log_stream;
mod picture;
mod plain_xor;
mod replay_stream;

use ese_testkit::fixtures;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["demo"] => demo(),
        ["picture"] => picture::draw(),
        ["big-database", path, mebibytes] => big_database::write(Path::new(path), mebibytes),
        ["big-table", path, mebibytes, original, table] => {
            big_table::write(Path::new(path), mebibytes, Path::new(original), table)
        }
        ["plain-xor", path] => plain_xor::print(Path::new(path)),
        ["log-stream", folder, count] => log_stream::write(Path::new(folder), count),
        ["grow", folder, count, rate] => log_stream::grow(Path::new(folder), count, rate),
        ["replay-stream", folder, mebibytes] => replay_stream::write(Path::new(folder), mebibytes),
        _ => {
            eprintln!(
                "usage: cargo xtask demo | picture | big-database PATH MEBIBYTES | \
                 big-table PATH MEBIBYTES DATABASE TABLE | plain-xor PATH | log-stream FOLDER COUNT | \
                 grow FOLDER COUNT PER_SECOND | replay-stream FOLDER MEBIBYTES"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Recovers a database that a crash left dirty, as a person would: look, plan, run, and look at the result; then brings it
/// back to where it was, by the pages that differ.
fn demo() -> Result<(), String> {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let database = state.join("db.edb");
    let result = fixtures::build_folder().join("demo");
    if result.exists() {
        fs::remove_dir_all(&result).map_err(|error| format!("{}: {error}", result.display()))?;
    }
    fs::create_dir_all(&result).map_err(|error| format!("{}: {error}", result.display()))?;
    let recovered = result.join("recovered.edb");
    let rows = result.join("rows");
    // The first server still has the database as it was when it crashed.
    let home = result.join("home.edb");
    fs::copy(&database, &home).map_err(|error| format!("{}: {error}", home.display()))?;
    let manifest = result.join("home.json");
    let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
    let path = |path: &Path| vec![path.as_os_str().to_owned()];
    let steps = [
        [words("edbtool header --summary"), path(&database)].concat(),
        [
            words("logchain verify"),
            path(&state),
            words("--db"),
            path(&database),
        ]
        .concat(),
        [
            words("edbreplay plan"),
            path(&database),
            words("--logs"),
            path(&state),
        ]
        .concat(),
        [
            words("edbreplay run"),
            path(&database),
            words("--logs"),
            path(&state),
            words("--to"),
            path(&recovered),
        ]
        .concat(),
        [words("edbtool header --summary"), path(&recovered)].concat(),
        [words("edbtool verify"), path(&recovered)].concat(),
        [
            words("edbtool export --format csv"),
            path(&recovered),
            words("--to"),
            path(&rows),
        ]
        .concat(),
        [
            words("edbcopy copy --delta"),
            path(&recovered),
            path(&home),
            words("--manifest"),
            path(&manifest),
        ]
        .concat(),
        [words("edbcopy verify"), path(&recovered), path(&home)].concat(),
    ];
    let programs = build()?;
    steps.iter().try_for_each(|step| show(&programs, step))
}

/// Builds the programs that are shown, without the network and Parquet, and gives the folder that they are in.
fn build() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let bins = ["edbtool", "logchain", "edbreplay", "edbcopy"].map(|name| ["--bin", name]);
    let status = Command::new(cargo)
        .args(["build", "--profile", "quick", "--package", "edbkit"])
        .arg("--no-default-features")
        .args(bins.as_flattened())
        .status()
        .map_err(|error| error.to_string())?;
    match status.success() {
        true => Ok(fixtures::build_folder().join("quick")),
        false => Err(format!("cargo ended with {status}")),
    }
}

/// Runs one of the programs. A finding (exit code 1) is what the demonstration is about, and no failure.
fn show(programs: &Path, step: &[OsString]) -> Result<(), String> {
    let [program, arguments @ ..] = step else {
        return Err("nothing to run".into());
    };
    let line: Vec<String> = step
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    println!("\n$ {}\n", line.join(" "));
    let status = Command::new(programs.join(program))
        .args(arguments)
        .status()
        .map_err(|error| error.to_string())?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(format!("{} ended with {status}", program.to_string_lossy())),
    }
}
