//! Chores of this repository: `cargo demo` shows the programs at work on the data in `testdata/`.

#![forbid(unsafe_code)]

use ese_testkit::fixtures;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let chore = std::env::args().nth(1);
    match chore.as_deref() {
        Some("demo") => demo(),
        _ => {
            eprintln!("usage: cargo xtask demo");
            ExitCode::from(2)
        }
    }
}

/// Looks at a database that a crash left dirty, as a person would.
fn demo() -> ExitCode {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let database = state.join("db.edb");
    let steps: [&[&Path]; 2] = [
        &["edbtool".as_ref(), "header".as_ref(), &database],
        &["edbtool".as_ref(), "verify".as_ref(), &state],
    ];
    for step in steps {
        if let Err(problem) = show(step) {
            eprintln!("error: {problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
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
