//! Chores of this repository: `cargo demo` shows the programs at work on the data in `testdata/`.

#![forbid(unsafe_code)]

mod big_database;
mod log_stream;

use ese_testkit::fixtures;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["demo"] => demo(),
        ["big-database", path, mebibytes] => big_database::write(Path::new(path), mebibytes),
        ["log-stream", folder, count] => log_stream::write(Path::new(folder), count),
        _ => {
            eprintln!(
                "usage: cargo xtask demo | big-database PATH MEBIBYTES | log-stream FOLDER COUNT"
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

/// Looks at a database that a crash left dirty, as a person would.
fn demo() -> Result<(), String> {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let database = state.join("db.edb");
    let steps: [&[&Path]; 2] = [
        &["edbtool".as_ref(), "header".as_ref(), &database],
        &["edbtool".as_ref(), "verify".as_ref(), &state],
    ];
    steps.into_iter().try_for_each(show)
}

/// Runs one program of the workspace. A finding (exit code 1) is what the demonstration is about, and no failure.
fn show(step: &[&Path]) -> Result<(), String> {
    let [program, arguments @ ..] = step else {
        return Err("nothing to run".into());
    };
    let line: Vec<String> = step.iter().map(|part| part.display().to_string()).collect();
    println!("\n$ {}\n", line.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--bin"])
        .arg(program)
        .arg("--")
        .args(arguments)
        .status()
        .map_err(|error| error.to_string())?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(format!("{} ended with {status}", program.display())),
    }
}
