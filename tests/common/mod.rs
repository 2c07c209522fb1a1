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
