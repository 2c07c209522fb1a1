//! The commands that look inside a database: what they say, their exit codes, and that the source stays as it was.

mod common;

use common::{document, edbtool, exit, run};
use ese_format::hex;
use ese_testkit::fixtures;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

fn json(arguments: &[&str]) -> (i32, Value) {
    let output = edbtool([&["--json"], arguments].concat());
    (exit(&output), document(&output))
}

fn recovered(set: &str) -> PathBuf {
    fixtures::engine_set(set).join("recovered/db.edb")
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
    let database = recovered("crash-p8k");
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
        let version = if arguments[0] == "export" { 2 } else { 1 };
        assert_eq!(schema, format!("edbkit.{}/{version}", arguments[0]));
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
    let database = recovered("crash-p8k");
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
    let database = recovered("esc64-cctx-p4k");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let (path, to) = (database.to_str().unwrap(), folder.path().to_str().unwrap());
    let refused = edbtool(["export", path, "--to", to]);
    assert_eq!(refused.status.code(), Some(5));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let forced = edbtool(["export", path, "--to", to, "--force", "--format", "csv"]);
    assert_eq!(forced.status.code(), Some(0));
    assert_eq!(
        fs::read_to_string(folder.path().join("notes.txt")).unwrap(),
        "mine"
    );
    assert!(folder.path().join("manifest.json").exists());
}

#[test]
fn wrong_questions_get_clear_answers() {
    let database = recovered("esc64-cctx-p4k");
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

/// Wherever a database was cut off, every command says how much is missing, and none calls it complete.
#[test]
fn a_database_that_was_cut_off_says_how_much_is_missing() {
    const PAGE: usize = 8192;
    const OWNED_TO: u64 = 286;
    let database = recovered("crash-p8k");
    let whole = fs::read(&database).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("db.edb");
    let path = cut.to_str().unwrap();
    let to = folder.path().join("rows");
    let (exit, intact) = json(&["tables", database.to_str().unwrap()]);
    assert_eq!((exit, &intact["cut_off"]), (0, &Value::Null));
    let lengths = [
        4 * PAGE,
        33 * PAGE,
        100 * PAGE,
        whole.len() / 2 + 1000,
        (OWNED_TO as usize + 2) * PAGE,
    ];
    for length in lengths {
        fs::write(&cut, &whole[..length]).unwrap();
        let last = length / PAGE - 2;
        let missing = OWNED_TO.saturating_sub(last as u64);
        let (exit, header) = json(&["header", path]);
        if missing == 0 {
            assert_eq!(exit, 0, "{header}");
            continue;
        }
        assert_eq!(exit, 1, "{length}: {header}");
        let meaning = header["meaning"].as_str().unwrap();
        assert!(!meaning.contains("complete"), "{length}: {meaning}");
        assert!(meaning.contains("not whole"), "{length}: {meaning}");
        let expected =
            serde_json::json!({"last_page": last, "owned_to": OWNED_TO, "at_least": false});
        assert_eq!(header["cut_off"], expected, "{length}");
        let said = format!("{missing} pages are missing");
        let (exit, verify) = json(&["verify", path]);
        assert_eq!(exit, 1, "{length}");
        assert!(verify["problems"].to_string().contains(&said), "{verify}");
        for command in [&["tables", "--count"][..], &["space"], &["schema"]] {
            let output = edbtool([command, &[path]].concat());
            let errors = String::from_utf8_lossy(&output.stderr);
            // Where the catalog is gone, that is the error.
            assert_eq!(output.status.code(), Some(1), "{length}: {errors}");
            assert!(errors.contains(&said), "{length}, {command:?}: {errors}");
        }
        let output = edbtool(["export", path, "--force", "--to", to.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{length}");
        if output.stdout.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let expected = format!("{missing} pages are beyond the end of the file");
        assert!(text.contains(&expected), "{length}: {text}");
        assert!(
            text.contains("what lost pages hold is not counted"),
            "{text}"
        );
        let manifest = fs::read(to.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["cut_off"], header["cut_off"], "{length}");
    }
}

/// A crash leaves pages that nobody owns: lost space, and no damage.
#[test]
fn leaked_pages_are_a_remark() {
    let mut leaked = 0;
    for set in fixtures::engine_set_names() {
        let folder = fixtures::engine_set(&set).join("recovered");
        for database in fixtures::files_below(&folder) {
            if database.extension() != Some("edb".as_ref()) {
                continue;
            }
            let (exit, space) = json(&["space", database.to_str().unwrap()]);
            let losses = space["losses"]["pages"].as_object().unwrap();
            if losses.is_empty() {
                assert_eq!(exit, 0, "{}", database.display());
                leaked += usize::from(space["leaked"] != serde_json::json!([]));
            }
        }
    }
    println!("{leaked} databases have leaked pages");
}

fn sha256(path: &Path) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(
        fs::read(path).unwrap(),
    ))
}

/// The manifest of an export tells what was read, as of when, and by which command.
#[test]
fn an_export_through_logs_is_a_chain_of_custody() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("rows");
    let database = state.join("db.edb");
    let (database_text, to_text) = (database.to_str().unwrap(), to.to_str().unwrap());
    let logs = state.to_str().unwrap();
    let arguments = [
        "export",
        database_text,
        "--with-logs",
        logs,
        "--to",
        to_text,
    ];
    let (exit, manifest) = json(&arguments);
    assert_eq!(exit, 0, "{manifest}");
    let written = fs::read(to.join("manifest.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), manifest);

    let source = &manifest["source"];
    assert_eq!(source["dirty"], true);
    assert_eq!(source["header"]["state"]["name"], "Dirty Shutdown");
    assert_eq!(source["sha256"], sha256(&database));
    let recovery = &manifest["recovery"];
    assert_eq!(recovery["header"]["state"]["name"], "Clean Shutdown");
    assert_eq!(recovery["as_of"], "00000017:0008:0000");
    let logs = recovery["logs"].as_array().unwrap();
    // Generations 13 to 23, the last of them still the current log.
    assert_eq!(logs.len(), 11);
    for log in logs {
        let path = Path::new(log["path"].as_str().unwrap());
        assert_eq!(log["sha256"], sha256(path), "{log}");
        assert_eq!(log["bytes"], fs::metadata(path).unwrap().len());
    }
    let run = &manifest["run"];
    assert_eq!(run["program"], "edbtool");
    assert_eq!(run["version"], env!("CARGO_PKG_VERSION"));
    let command: Vec<&str> = run["command"].as_array().unwrap()[1..]
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(command[1..], arguments);
    assert!(run["started"].as_str().unwrap().ends_with('Z'));

    // As the file is, it is dirty, and nothing brought it forward.
    let (exit, plain) = json(&[
        "export",
        database_text,
        "--no-hash",
        "--force",
        "--to",
        to_text,
    ]);
    assert_eq!(exit, 1);
    assert_eq!(plain["source"]["dirty"], true);
    assert_eq!(
        (&plain["source"]["sha256"], &plain["recovery"]),
        (&Value::Null, &Value::Null)
    );
}

/// A page whose last write was lost (`-566`; the case `lost-flush-566`): the advice names the command that tells whose page
/// it is.
#[test]
fn a_page_that_stops_a_recovery_is_given_back_to_its_table() {
    let set = fixtures::engine_set("exchange-standby-p8k");
    let state = set.join("state");
    let page = |bytes: &[u8]| bytes[177 * 8192..][..8192].to_vec();
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(state.join("db.edb")).unwrap();
    let older = page(&fs::read(state.join("db.edb.old1")).unwrap());
    bytes[177 * 8192..][..8192].copy_from_slice(&older);
    let database = folder.path().join("db.edb");
    fs::write(&database, bytes).unwrap();
    let (path, logs) = (database.to_str().unwrap(), state.to_str().unwrap());
    let output = edbtool(["tables", path, "--with-logs", logs]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0), "{errors}");
    assert!(errors.contains("[JET -566"), "{errors}");
    assert!(
        errors.contains(&format!("`edbtool page {path} 176`")),
        "{errors}"
    );
    // What stops before undo is redo of a part; the rest of the logs, which are there, has no word for the page.
    let to = folder.path().join("dirty.edb");
    let words = ["run", path, "--logs", logs, "--until-undo", "--to"].map(OsStr::new);
    let output = run("edbreplay", words.into_iter().chain([to.as_os_str()]));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert!(errors.contains("[JET -566"), "{errors}");
    assert!(!to.exists());
    let (exit, page) = json(&["page", path, "176"]);
    assert_eq!(
        (exit, &page["owner"]),
        (0, &"table Log, long values".into())
    );
}

/// Without its logs nothing tells how many digits their names have, or what they begin with.
#[test]
fn names_of_logs_are_those_of_the_stream_or_both_usual_ones() {
    let state = fixtures::testdata_set("exchange-standby-p8k").join("state");
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("MBX1.edb");
    fs::copy(state.join("db.edb"), &database).unwrap();
    let (path, logs) = (database.to_str().unwrap(), state.to_str().unwrap());
    let names = |more: &[&str]| {
        let (exit, header) = json(&[&["header", path], more].concat());
        assert_eq!(exit, 1, "it is dirty");
        let first = header["primary"]["fields"]["min_required"]
            .as_u64()
            .unwrap();
        let name = header["required_logs"][0].as_str().unwrap().to_owned();
        (first, name)
    };
    let (first, unknown) = names(&[]);
    assert_eq!(unknown, format!("???{first:05X}.log or ???{first:08X}.log"));
    let (_, told) = names(&["--base", "E00"]);
    assert_eq!(told, format!("E00{first:05X}.log or E00{first:08X}.log"));
    let (_, found) = names(&["--logs", logs]);
    assert_eq!(found, format!("E00{first:08X}.log"));
    // The stream of the database, though another one comes first in the folder.
    let other = fixtures::testdata_set("crash-p8k").join("state");
    for (from, name, to) in [
        (&other, "edb0000D.log", "A000000D.log"),
        (&state, &*found, &*found),
    ] {
        fs::copy(from.join(name), folder.path().join(to)).unwrap();
    }
    assert_eq!(names(&[]).1, found);
}
