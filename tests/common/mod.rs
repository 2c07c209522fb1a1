//! What the whole-program tests share.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// Runs `edbtool` with `arguments` and without a terminal.
pub(crate) fn edbtool<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_edbtool"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text output is UTF-8")
}

/// Standard output as one JSON document for each line.
pub(crate) fn documents(output: &Output) -> Vec<serde_json::Value> {
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is a JSON document"))
        .collect()
}
