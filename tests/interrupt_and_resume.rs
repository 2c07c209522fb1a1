//! Ctrl-C during `edbtool verify --resume`: exit code 6, and the next run goes on and ends as an undisturbed one.

mod common;

use common::{edbtool, stdout};
use ese_testkit::fixtures;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A database large enough to be interrupted, with a bad page near its start and one near its end.
fn damaged_database(folder: &TempDir) -> std::path::PathBuf {
    let mut bytes = fs::read(fixtures::testdata_set("crash-p8k").join("state/db.edb")).unwrap();
    for pgno in [5, 250] {
        let page = (pgno + 1) * 8192;
        bytes[page + 100..page + 200].fill(0xee);
    }
    let path = folder.path().join("db.edb");
    fs::write(&path, bytes).unwrap();
    path
}

fn report(arguments: &[&Path]) -> (Option<i32>, Value) {
    let output = edbtool(arguments);
    let document = serde_json::from_str(stdout(&output)).unwrap();
    (output.status.code(), document)
}

fn start(arguments: &[&Path]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_edbtool"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
}

#[test]
fn an_interrupted_scan_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let database = damaged_database(&folder);
    let place = folder.path().join("place.json");
    let base: [&Path; 5] = [
        "verify".as_ref(),
        "--json".as_ref(),
        &database,
        "--resume".as_ref(),
        &place,
    ];
    let (_, undisturbed) = report(&base[..3]);

    // At this rate the whole file takes five seconds.
    let slowly: Vec<&Path> = base
        .into_iter()
        .chain(["--rate".as_ref(), "512KiB".as_ref()])
        .collect();
    let child = start(&slowly);
    std::thread::sleep(Duration::from_millis(1500));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let first: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reached = first["interrupted_at"].as_u64().unwrap();
    let size = undisturbed["file_size"].as_u64().unwrap();
    assert!(reached > 0 && reached < size, "{reached} of {size}");
    assert!(place.exists());

    let (exit, resumed) = report(&base);
    assert_eq!(exit, Some(1), "both bad pages are findings");
    for field in ["pages", "findings", "problems"] {
        assert_eq!(resumed[field], undisturbed[field], "{field}");
    }
    assert_eq!(resumed["interrupted_at"], Value::Null);
    assert!(!place.exists(), "a scan that is done keeps no place");
}

#[test]
fn a_place_in_another_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let database = damaged_database(&folder);
    let place = folder.path().join("place.json");
    fs::write(&place, "{}").unwrap();
    let output = edbtool([
        "verify".as_ref(),
        database.as_os_str(),
        "--resume".as_ref(),
        place.as_os_str(),
    ]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        fs::read_to_string(&place).unwrap(),
        "{}",
        "nothing is overwritten"
    );
}

/// An export that is ended at once, by a limit on the size of files, goes on with the same command.
#[test]
fn an_export_that_was_ended_goes_on_with_the_same_command() {
    let set = fixtures::testdata_set("crash-p8k");
    let database = set.join("recovered/db.edb");
    let folder = TempDir::new().unwrap();
    let export = |to: &Path, most: &str| {
        let words = [
            env!("CARGO_BIN_EXE_edbtool").as_ref(),
            "export".as_ref(),
            database.as_os_str(),
            "--threads".as_ref(),
            "1".as_ref(),
            "--to".as_ref(),
            to.as_os_str(),
        ];
        let limited = format!("ulimit -f {most}; exec \"$@\"");
        let mut shell = Command::new("bash");
        shell.args(["-c", &limited, "bash"]).args(words);
        shell.output().unwrap().status.code()
    };
    let (undisturbed, to) = (folder.path().join("undisturbed"), folder.path().join("to"));
    assert_eq!(export(&undisturbed, "unlimited"), Some(0));
    assert_ne!(export(&to, "100"), Some(0));
    assert!(to.join("unfinished.jsonl").exists() && !to.join("manifest.json").exists());
    assert_eq!(export(&to, "unlimited"), Some(0));
    let read = |folder: &Path| {
        let mut files: Vec<_> = fixtures::files_below(folder);
        files.retain(|path| !path.ends_with("manifest.json"));
        let read = files.iter().map(|path| {
            let name = path.strip_prefix(folder).unwrap().to_owned();
            (name, fs::read(path).unwrap())
        });
        read.collect::<Vec<_>>()
    };
    assert!(read(&to) == read(&undisturbed));
    assert!(to.join("manifest.json").exists());
}
