//! The commands that look inside a database: what they say, their exit codes, and that the source stays as it was.

use ese_testkit::fixtures;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn edbtool(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_edbtool");
    Command::new(program).args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let output = edbtool(&[&["--json"], arguments].concat());
    let document = serde_json::from_slice(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    (
        output.status.code().unwrap(),
        document.unwrap_or_else(|error| panic!("{error}: {errors}")),
    )
}

fn recovered(set: &str) -> Option<PathBuf> {
    Some(fixtures::engine_set(set)?.join("recovered/db.edb"))
}

/// A copy of a database with one page overwritten.
fn with_bad_page(database: &Path, page: usize, folder: &Path) -> PathBuf {
    let mut bytes = fs::read(database).unwrap();
    bytes[(page + 1) * 8192..][..8192].fill(0xee);
    let path = folder.join("db.edb");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn every_command_answers_and_leaves_the_source_alone() {
    let Some(database) = recovered("crash-p8k") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("evidence/db.edb");
    fs::create_dir(folder.path().join("evidence")).unwrap();
    fs::copy(&database, &copy).unwrap();
    let before = (
        fs::read(&copy).unwrap(),
        fs::metadata(&copy).unwrap().modified().unwrap(),
    );
    let path = copy.to_str().unwrap();
    let to = folder.path().join("out");
    let commands: [&[&str]; 6] = [
        &["tables", "--count", path],
        &["schema", path],
        &["schema", path, "Items"],
        &["space", "--extents", path],
        &["page", path, "31"],
        &["export", path, "--to", to.to_str().unwrap()],
    ];
    for arguments in commands {
        let (exit, document) = json(arguments);
        assert_eq!(exit, 0, "{arguments:?}");
        let schema = document["schema"].as_str().unwrap();
        assert_eq!(schema, format!("edbkit.{}/1", arguments[0]));
    }
    let after = (
        fs::read(&copy).unwrap(),
        fs::metadata(&copy).unwrap().modified().unwrap(),
    );
    assert!(before == after, "the source was changed");
    let beside = fs::read_dir(copy.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "something was written beside the source");
}

#[test]
fn a_lost_page_is_a_finding_everywhere() {
    let Some(database) = recovered("crash-p8k") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // Page 37 is the first leaf of table Items.
    let damaged = with_bad_page(&database, 37, folder.path());
    let path = damaged.to_str().unwrap();
    let (exit, tables) = json(&["tables", "--count", path]);
    assert_eq!(exit, 1);
    assert!(
        tables["losses"]["pages"]["37"]["reason"]
            .as_str()
            .unwrap()
            .contains("checksum")
    );
    let to = folder.path().join("out");
    let (exit, manifest) = json(&["export", path, "--to", to.to_str().unwrap()]);
    assert_eq!(exit, 1);
    assert_eq!(manifest["pages_lost"], serde_json::json!([37]));
    let (exit, verified) = json(&["verify", "--owners", path]);
    assert_eq!(exit, 1);
    assert_eq!(verified["owners"]["37"], "table Items");
    let (exit, page) = json(&["page", path, "37"]);
    assert_eq!(exit, 1);
    assert_eq!(page["owner"], "table Items");
}

#[test]
fn an_export_does_not_write_over_anything_unasked() {
    let Some(database) = recovered("merge-p4k") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let (path, to) = (database.to_str().unwrap(), folder.path().to_str().unwrap());
    let refused = edbtool(&["export", path, "--to", to]);
    assert_eq!(refused.status.code(), Some(5));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let forced = edbtool(&["export", path, "--to", to, "--force", "--format", "csv"]);
    assert_eq!(forced.status.code(), Some(0));
    assert_eq!(
        fs::read_to_string(folder.path().join("notes.txt")).unwrap(),
        "mine"
    );
    assert!(folder.path().join("manifest.json").exists());
}

#[test]
fn wrong_questions_get_clear_answers() {
    let Some(database) = recovered("merge-p4k") else {
        return;
    };
    let path = database.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.edb");
    fs::write(&text, "this is no database").unwrap();
    let cases: [(&[&str], i32, &str); 5] = [
        (&["schema", path, "Nowhere"], 2, "JET_errObjectNotFound"),
        (&["page", path, "0"], 2, "page 0 does not exist"),
        (&["page", path, "4000000000"], 2, "does not exist"),
        (
            &["tables", text.to_str().unwrap()],
            4,
            "not an ESE database",
        ),
        (
            &["tables", folder.path().to_str().unwrap()],
            3,
            "is a directory",
        ),
    ];
    for (arguments, exit, message) in cases {
        let output = edbtool(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}
