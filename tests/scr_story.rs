//! The whole story, as an administrator lives it: a standby copy is set up, seeded later, kept current with a lag; the
//! first server is lost; the copy is activated, and what is lost is told; people work on it; the first server comes back,
//! gets the database, and is kept current from the other side.

#[allow(dead_code)]
#[path = "../crates/standby/tests/support/seed.rs"]
mod seed;
#[path = "common/scr.rs"]
mod site;

use ese_format::page::PageFlags;
use ese_testkit::fixtures::testdata_set;
use ese_testkit::rows::{history, rows_of};
use ese_testkit::writer::crash::{Base, Crash, Tear, WrittenPages};
use serde_json::Value;
use site::{LOG_SIZE, SPREAD_SET, Site, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PAGE: usize = 8192;
const SESSION: u16 = 1;

/// What a server does with a mounted database, up to a crash: an engine starts, attaches it, and inserts rows.
/// `last` is the last log of its stream, `start` one in which an engine was started.
fn work(database: &Path, last: &Path, start: &Path, objid: u32, rows: u32) -> Crash {
    let stage = tempfile::tempdir().unwrap();
    for (from, to) in [
        (database, "db.edb"),
        (last, "edb.log"),
        (start, "first.log"),
    ] {
        fs::copy(from, stage.path().join(to)).unwrap();
    }
    let base = Base::read(stage.path());
    let mut writer = base.writer();
    let tree = writer.create_tree(objid, true, PageFlags::empty());
    for row in 0..rows {
        writer.begin(SESSION);
        let data = [row.to_le_bytes().repeat(150), objid.to_le_bytes().to_vec()].concat();
        writer.insert(SESSION, tree, &row.to_be_bytes(), &data);
        writer.commit(SESSION);
    }
    let segments = (LOG_SIZE / 4096) as u16;
    let records = writer.records().len();
    base.crash(&writer, records, segments, Tear::None, WrittenPages::Clean)
}

/// Recovers what a crash left, as a mount does; the clean database.
fn mounted_and_dismounted(crash: &Crash, to: &Path) -> PathBuf {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edbreplay"));
    command.arg("run").arg(crash.database());
    command.arg("--logs").arg(crash.folder.path());
    let output = command.arg("--to").arg(to).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let written = report["databases"][0]["pages"]["written"].as_u64();
    assert!(written > Some(20), "what was worked is not in it: {report}");
    to.to_owned()
}

fn pages(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap().split_off(2 * PAGE)
}

fn generation(status: &Value, what: &str) -> Option<u64> {
    status[what]["generation"].as_u64()
}

fn newest(folder: &Path, base: &str) -> PathBuf {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let logs = names.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(base) && name.ends_with(".log") && name.len() > "E00.log".len()
    });
    logs.max().unwrap()
}

fn copy_logs(crash: &Crash, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(crash.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "log") {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn from_the_first_server_to_the_second_and_back() {
    let history = history(&testdata_set(SPREAD_SET));
    let mut site = Site::spread(200);
    let text_of = |path: PathBuf| path.to_str().unwrap().to_owned();

    // The copy is enabled; seeding is postponed, and done later from a backup.
    fs::write(
        site.path("scr.toml"),
        "state = \"state\"\n[service]\nkept_back = 10\n",
    )
    .unwrap();
    site.stream.roll_many(40);
    let enabled = site.enable("SG1", &["--replay-lag", "0.00:00:02"]);
    assert_eq!(enabled.status.code(), Some(0), "{}", text(&enabled.stderr));
    let config = site.config("SG1");
    let mut backup = config.clone();
    backup.target.database = site.path("backup/MBX1.edb");
    seed::seed(&backup, 40);
    assert_eq!(site.json(0, &["status"])[0]["summary"], "initializing");
    // A replay of an earlier database was killed here, by somebody: it may be what that database needs.
    let journal = site.path("exb/SG1/MBX1.edb.edbreplay-journal");
    fs::create_dir_all(journal.parent().unwrap()).unwrap();
    fs::write(&journal, [1; 4096]).unwrap();
    let backup = text_of(backup.target.database);
    let order = ["update", "SG1", "--from", &backup];
    site.json(5, &order);
    fs::remove_file(&journal).unwrap();
    site.json(0, &order);

    // Logs come at once, and are replayed when their lag is over.
    site.stream.roll_many(60);
    let status = &site.json(0, &["run", "--once"])[0];
    assert_eq!(
        (
            generation(status, "inspected"),
            generation(status, "replayed")
        ),
        (Some(100), None)
    );
    assert!(
        status["replay_waits"]
            .as_str()
            .unwrap()
            .contains("replay lag")
    );
    std::thread::sleep(Duration::from_millis(2100));
    let status = &site.json(0, &["run", "--once"])[0];
    assert_eq!(
        (&status["summary"], generation(status, "replayed")),
        (&"healthy".into(), Some(90))
    );

    // The first server is lost, with logs that never came here.
    site.stream.roll_many(7);
    fs::rename(site.path("exa"), site.path("lost")).unwrap();
    let refused = &site.json(5, &["restore", "SG1"])[0];
    assert_eq!(
        (&refused["mountable"], refused["refusal"].is_null()),
        (&false.into(), false)
    );
    let foretold = &site.json(1, &["restore", "SG1", "--force", "--dry-run"])[0];
    let report = &site.json(1, &["restore", "SG1", "--force"])[0];
    assert_eq!(report["mountable"], true);
    assert_eq!(
        (&foretold["loss"]["first"], &report["loss"]["first"]),
        (&101.into(), &101.into())
    );
    assert_eq!(report["proof"]["state"], "Clean Shutdown");
    let active = site.path("exb/SG1/MBX1.edb");
    let rows = rows_of(&active);
    let kept = history
        .iter()
        .position(|state| *state == rows)
        .expect("a committed state");
    assert!(kept > 0 && kept < history.len() - 1);
    assert_eq!(site.json(0, &["status"])[0]["summary"], "disabled");

    // People work on the standby, until the first server is back and the database is dismounted.
    let last = newest(&site.path("exb/SG1"), "E00");
    let start = site.path("start.log");
    fs::copy(site.path("lost/E0000000001.log"), &start).unwrap();
    let first_work = work(&active, &last, &start, 1000, 300);
    let worked = mounted_and_dismounted(&first_work, &site.path("worked.edb"));
    fs::rename(&worked, &active).unwrap();
    assert!(rows_of(&active) == rows);

    // The database goes back, and the replication turns round.
    fs::rename(site.path("lost"), site.path("exa")).unwrap();
    let logs = site.path("exb/portable");
    copy_logs(&first_work, &logs);
    let order = [
        "failback",
        "SG1",
        "--logs",
        &text_of(logs.clone()),
        "--base",
        "edb",
        "--yes",
    ];
    let report = &site.json(1, &order)[0];
    assert_eq!(report["replication"]["source"]["machine"], "EXB");
    // What the first server wrote and nobody shipped is not forgotten.
    let beyond = &report["beyond"];
    assert_eq!(
        (&beyond["first"], &beyond["last"]),
        (&101.into(), &108.into()),
        "{beyond}"
    );
    let home = site.path("exa/MBX1.edb");
    assert!(fs::read(&home).unwrap() == fs::read(&active).unwrap());
    assert!(!site.path("exa/E00.log").exists(), "the old logs are gone");
    site.json(0, &["resume", "SG1"]);

    // Work goes on at the standby; the first server follows.
    let current = logs.join("edb.log");
    let second_work = work(&active, &current, &start, 1001, 900);
    copy_logs(&second_work, &logs);
    let status = &site.json(0, &["run", "--once"])[0];
    assert_eq!(
        (&status["summary"], &status["copy_queue_length"]),
        (&"healthy".into(), &0.into())
    );
    std::thread::sleep(Duration::from_millis(2100));
    let status = &site.json(0, &["run", "--once"])[0];
    let (inspected, replayed) = (
        generation(status, "inspected"),
        generation(status, "replayed"),
    );
    assert!(
        replayed.is_some() && replayed.unwrap() + 10 == inspected.unwrap(),
        "{status}"
    );

    // In the end the first server takes over, and nothing is lost.
    let report = &site.json(0, &["restore", "SG1"])[0];
    assert_eq!(
        (&report["mountable"], report["loss"].is_null()),
        (&true.into(), true)
    );
    let expected = mounted_and_dismounted(&second_work, &site.path("expected.edb"));
    assert!(pages(&home) == pages(&expected), "the pages differ");
    assert!(rows_of(&home) == rows);
}
