//! `docs/exit-codes.md` says what is so: every error of the libraries, and every program in the situations that matter.

mod common;
#[path = "exit_codes/errors.rs"]
mod errors;
#[path = "exit_codes/situations.rs"]
mod situations;

use console::Failure;
use ese_testkit::fixtures::repository;
use std::fmt::Write;
use std::fs;

/// Compares a part of the page with what is so.
fn compare(heading: &str, is: &str) {
    let page = fs::read_to_string(repository().join("docs/exit-codes.md")).expect("a page");
    let part = page.split("\n## ").find(|part| part.starts_with(heading));
    let part = part.unwrap_or_else(|| panic!("docs/exit-codes.md has no part {heading:?}"));
    let rows = part.lines().filter(|line| line.starts_with('|'));
    let said: String = rows.flat_map(|row| [row, "\n"]).collect();
    assert!(
        said == is,
        "docs/exit-codes.md, {heading}: it should say\n{is}"
    );
}

#[test]
fn every_error_ends_as_the_page_says() {
    let mut table = "| error | exit | JET |\n|---|---:|---|\n".to_owned();
    for named in errors::errors() {
        let failure = Failure::of(&*named.error);
        let jet = failure.jet.map_or_else(String::new, |jet| jet.to_string());
        let exit = failure.exit as u8;
        writeln!(table, "| `{}` | {exit} | {jet} |", named.name).expect("memory");
    }
    compare("Every error", &table);
}

#[test]
fn every_program_ends_as_the_page_says() {
    let mut table = "| |".to_owned();
    for command in situations::COMMANDS {
        write!(table, " `{command}` |").expect("memory");
    }
    table += "\n|---|";
    table += &"---|".repeat(situations::COMMANDS.len());
    table += "\n";
    for situation in situations::all() {
        write!(table, "| {} |", situation.name).expect("memory");
        for command in situations::COMMANDS {
            write!(table, " {} |", situation.ask(command)).expect("memory");
        }
        table += "\n";
    }
    compare("Every program", &table);
}
