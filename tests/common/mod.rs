//! What the whole-program tests share: the programs, and what they answered.

#![allow(dead_code, reason = "each test uses a part of it")]

use serde_json::Value;
use std::ffi::OsStr;
use std::process::{Command, Output};

/// All programs, by name and where they were built.
pub(crate) const PROGRAMS: [(&str, &str); 5] = [
    ("edbcopy", env!("CARGO_BIN_EXE_edbcopy")),
    ("edbreplay", env!("CARGO_BIN_EXE_edbreplay")),
    ("edbtool", env!("CARGO_BIN_EXE_edbtool")),
    ("logchain", env!("CARGO_BIN_EXE_logchain")),
    ("scr", env!("CARGO_BIN_EXE_scr")),
];

/// The program called `name`, to be given its arguments.
pub(crate) fn command(name: &str) -> Command {
    let program = PROGRAMS.iter().find(|(program, _)| *program == name);
    Command::new(program.expect("there is such a program").1)
}

/// Runs a program with `arguments` and without a terminal.
pub(crate) fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Output {
    command(program)
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Runs `edbtool`.
pub(crate) fn edbtool<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    run("edbtool", arguments)
}

/// The exit code.
pub(crate) fn exit(output: &Output) -> i32 {
    output.status.code().expect("the program ends by itself")
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("text output is UTF-8")
}

/// Messages as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The only JSON document of the answer.
#[track_caller]
pub(crate) fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

/// The JSON documents of the answer, one a line.
pub(crate) fn documents(output: &Output) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("each line is a JSON document");
    stdout(output).lines().map(parse).collect()
}
