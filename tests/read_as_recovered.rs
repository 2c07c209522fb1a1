//! `--with-logs` and `--overlay`: a dirty database is read as recovery would leave it, without a byte being written.

mod common;

use common::{edbtool, exit, run, stderr, stdout};
use ese_testkit::fixtures;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Rows of every table as `edbtool export` gives them, by file name.
fn rows(arguments: &[&OsStr], folder: &Path) -> Vec<(String, String)> {
    let fixed: [&OsStr; 3] = ["export".as_ref(), "--to".as_ref(), folder.as_os_str()];
    let output = edbtool(fixed.iter().chain(arguments));
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    fixtures::files_below(folder)
        .into_iter()
        .filter(|file| file.extension() == Some("jsonl".as_ref()))
        .map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(file).unwrap())
        })
        .collect()
}

#[test]
fn every_reading_command_shows_the_database_as_the_engine_recovered_it() {
    for set in ["crash-p8k", "names8-log-p32k"] {
        let set = fixtures::testdata_set(set);
        let state = set.join("state");
        let (dirty, clean) = (state.join("db.edb"), set.join("recovered/db.edb"));
        let out = TempDir::new().unwrap();
        let overlay = out.path().join("overlay");
        let words = [
            "run".as_ref(),
            dirty.as_os_str(),
            "--logs".as_ref(),
            state.as_os_str(),
            "--overlay".as_ref(),
            overlay.as_os_str(),
        ];
        let made = run("edbreplay", words);
        assert_eq!(exit(&made), 0, "{}", stderr(&made));

        let before = fs::read(&dirty).unwrap();
        let views: [Vec<&OsStr>; 2] = [
            vec![dirty.as_os_str(), "--with-logs".as_ref(), state.as_os_str()],
            vec![dirty.as_os_str(), "--overlay".as_ref(), overlay.as_os_str()],
        ];
        let expected = rows(&[clean.as_os_str()], &out.path().join("clean"));
        assert!(!expected.is_empty());
        for (number, view) in views.iter().enumerate() {
            let found = rows(view, &out.path().join(format!("view{number}")));
            assert_eq!(found, expected, "{}", set.display());
            let verified = edbtool(std::iter::once(&OsStr::new("verify")).chain(view));
            assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
            for command in ["tables", "schema", "space"] {
                let recovered = edbtool([command.as_ref(), clean.as_os_str()]);
                let viewed = edbtool(std::iter::once(&OsStr::new(command)).chain(view));
                assert_eq!(
                    stdout(&viewed),
                    stdout(&recovered),
                    "{command} {}",
                    set.display()
                );
            }
        }
        assert_eq!(
            fs::read(&dirty).unwrap(),
            before,
            "the database is only read"
        );
    }
}

#[test]
fn what_cannot_be_recovered_is_not_shown_as_if_it_were() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let other = fixtures::testdata_set("names8-log-p32k").join("state");
    let database = state.join("db.edb");
    let refused = |arguments: &[&OsStr]| {
        let output = edbtool(
            ["tables".as_ref(), database.as_os_str()]
                .iter()
                .chain(arguments),
        );
        assert!(output.stdout.is_empty());
        output.status.code()
    };
    assert_eq!(
        refused(&["--with-logs".as_ref(), other.as_os_str()]),
        Some(5),
        "another stream"
    );
    let log = state.join("edb.log");
    assert_eq!(
        refused(&["--overlay".as_ref(), log.as_os_str()]),
        Some(5),
        "not an overlay"
    );
}
