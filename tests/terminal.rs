//! The programs at a terminal: progress keeps to its line, and nothing behaves otherwise than in a pipe.

use ese_testkit::fixtures;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a command line at a pseudo-terminal with so many columns, with everything on it as the output.
fn at_terminal(columns: usize, folder: &Path, command: &str) -> Output {
    let line = format!("stty cols {columns} rows 20; {command}");
    Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(folder)
        .env("TERM", "xterm")
        .output()
        .expect("script (util-linux) is installed")
}

#[test]
#[ignore = "needs script (util-linux)"]
fn progress_keeps_to_one_line_and_is_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let database = fixtures::testdata_set("clean-p4k").join("state/db.edb");
    for columns in [30, 60, 120] {
        let command = format!(
            "{} verify --rate 512KiB {}",
            env!("CARGO_BIN_EXE_edbtool"),
            database.display()
        );
        let output = at_terminal(columns, folder.path(), &command);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{text}");
        let (progress, report) = text.split_once("File: ").expect("a report");
        let drawn: Vec<&str> = progress
            .split(['\r', '\n'])
            .map(|line| line.trim_start_matches("\u{1b}[2K").trim_end())
            .filter(|line| !line.is_empty())
            .collect();
        assert!(
            drawn.iter().any(|line| line.contains("/s ETA ")),
            "{drawn:?}"
        );
        for line in drawn {
            assert!(line.chars().count() < columns, "{columns}: {line:?}");
        }
        assert!(progress.ends_with("\r\u{1b}[2K"), "{progress:?}");
        assert!(!report.contains("ETA"), "{report}");
    }
}

#[test]
#[ignore = "needs script (util-linux)"]
fn a_service_runs_at_a_terminal_and_writes_no_colours() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("scr.toml"), "state = \"state\"\n").unwrap();
    let command = format!("{} run --once", env!("CARGO_BIN_EXE_scr"));
    let output = at_terminal(80, folder.path(), &command);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
