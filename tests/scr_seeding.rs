//! Seeding and failback as a person does them: postponed, refused, interrupted, from a backup, and all the way back.

mod common;

use common::documents;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const NAME: &str = "First Storage Group";
const PAGE: usize = 4096;

/// A first server with the storage group of a set made by the reference engine, and a place for a copy.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(set: &str) -> Self {
        let folder = TempDir::new().unwrap();
        copy_all(
            &fixtures::testdata_set(set).join("state"),
            &folder.path().join("exa"),
        );
        Site { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn scr(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scr"));
        command.arg("--config").arg(self.path("scr.toml"));
        command.args(arguments).arg("--json").stdin(Stdio::null());
        command
    }

    /// Runs a command that must end with this exit code; gives its JSON documents and what it said.
    #[track_caller]
    fn run(&self, exit: i32, arguments: &[&str]) -> (Vec<Value>, String) {
        let output = self.scr(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        (documents(&output), said)
    }

    #[track_caller]
    fn enable(&self, exit: i32, more: &[&str]) -> Vec<Value> {
        let (logs, database) = (self.text("exa"), self.text("exa/db.edb"));
        let (to_logs, to) = (self.text("exb"), self.text("exb/db.edb"));
        let arguments = [
            ["enable", NAME],
            ["--source", "EXA"],
            ["--source-logs", &logs],
            ["--source-database", &database],
            ["--base", "edb"],
            ["--standby", "EXB"],
            ["--logs", &to_logs],
            ["--database", &to],
        ];
        let arguments: Vec<&str> = arguments
            .as_flattened()
            .iter()
            .chain(more)
            .copied()
            .collect();
        self.run(exit, &arguments).0
    }

    fn status(&self) -> Value {
        let output = self.scr(&["status", NAME]).output().unwrap();
        documents(&output).remove(0)
    }

    /// Names of the files of the copy.
    fn copied(&self) -> Vec<String> {
        names(&self.path("exb"))
    }
}

/// What all files below a folder hold.
fn contents(folder: &Path) -> Vec<Vec<u8>> {
    let files = fixtures::files_below(folder).into_iter();
    files.map(|path| fs::read(path).unwrap()).collect()
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fixtures::files_below(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let files = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    let mut names: Vec<String> = files
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[track_caller]
fn same(one: &Path, other: &Path) {
    assert!(
        fs::read(one).unwrap() == fs::read(other).unwrap(),
        "{} differs",
        other.display()
    );
}

#[test]
fn a_database_in_use_is_refused_and_a_copy_with_its_logs_is_not() {
    let site = Site::new("crash-p8k");
    copy_all(&site.path("exa"), &site.path("backup"));
    site.enable(0, &["--seeding-postponed"]);
    let (_, said) = site.run(5, &["update", NAME]);
    assert!(
        said.contains("Dirty Shutdown") && said.contains("-550"),
        "{said}"
    );
    assert_eq!(site.status()["summary"], "initializing");
    assert!(!site.path("exb/db.edb").exists());

    let backup = site.text("backup/db.edb");
    let (documents, _) = site.run(0, &["update", NAME, "--from", &backup]);
    assert_eq!(documents[0]["schema"], "edbkit.scr-update/1");
    assert_eq!(documents[0]["first_needed"], 13);
    same(&site.path("exa/db.edb"), &site.path("exb/db.edb"));
    assert_eq!(site.copied(), ["db.edb"], "nothing is left beside it");
    // Shipping begins with the first log that the database needs, not with the oldest at the source.
    site.run(1, &["run", "--once"]);
    assert_eq!(site.status()["inspected"]["generation"], 22);
    let logs = site.copied();
    assert_eq!((logs[1].as_str(), logs.len()), ("edb0000D.log", 11));
    // Without the current log of the source it could not be activated: that is not Healthy.
    site.run(1, &["status"]);
    let status = site.status();
    assert_eq!(
        (&status["summary"], &status["trouble"]["jet"]["code"]),
        (&"failed".into(), &(-543).into())
    );
}

#[test]
fn a_server_that_is_down_is_said_to_be_so() {
    let site = Site::new("crash-p8k");
    let warnings = site.enable(1, &[])[0]["warnings"].to_string();
    assert!(warnings.contains("not seeded"), "{warnings}");
    site.run(0, &["update", NAME, "--not-in-use", "--manual-resume"]);
    same(&site.path("exa/db.edb"), &site.path("exb/db.edb"));
    assert_eq!(site.status()["summary"], "suspended");
    site.run(0, &["resume", NAME]);
    site.run(1, &["run", "--once"]);
    assert_eq!(site.status()["summary"], "failed");
}

#[test]
fn a_required_log_that_is_still_open_at_the_source_is_owed() {
    let clean = Site::new("clean-p4k");
    clean.enable(0, &["--seeding-postponed"]);
    let (documents, said) = clean.run(0, &["update", NAME]);
    assert_eq!(documents[0]["owed"], Value::Null);
    assert!(!said.contains("NOTE"), "{said}");

    let site = Site::new("crash-p8k");
    site.enable(0, &["--seeding-postponed"]);
    let (documents, said) = site.run(0, &["update", NAME, "--not-in-use"]);
    let owed = &documents[0]["owed"];
    assert_eq!(owed["generation"], 23);
    assert_eq!(owed["log"], site.text("exa/edb.log"));
    assert!(owed["advice"].as_str().unwrap().contains("scr restore"));
    assert!(said.contains("generation 23 (0x17)"), "{said}");
    site.run(1, &["run", "--once"]);

    // The source is lost. What it still owed is told, and does from the place that was named.
    fs::rename(site.path("exa"), site.path("lost")).unwrap();
    let (documents, _) = site.run(5, &["restore", NAME, "--force"]);
    let refusal = &documents[0]["refusal"];
    assert_eq!(refusal["jet"]["code"], -543, "{refusal}");
    let advice = refusal["advice"].as_str().unwrap();
    let wanted = ["generation 23 (0x17)", "edb.log", &site.text("exb")];
    assert!(wanted.iter().all(|part| advice.contains(part)), "{advice}");
    fs::copy(site.path("lost/edb.log"), site.path("exb/edb.log")).unwrap();
    let (documents, _) = site.run(1, &["restore", NAME, "--force"]);
    assert_eq!(documents[0]["mountable"], true);
    assert_eq!(documents[0]["replayed"]["last"], 23);
}

#[test]
fn a_seed_without_its_logs_is_refused_until_they_lie_beside_it() {
    let site = Site::new("crash-p8k");
    fs::create_dir(site.path("backup")).unwrap();
    fs::copy(site.path("exa/db.edb"), site.path("backup/db.edb")).unwrap();
    fs::rename(site.path("exa/edb00010.log"), site.path("aside.log")).unwrap();
    site.enable(0, &["--seeding-postponed"]);
    let backup = site.text("backup/db.edb");
    let update = ["update", NAME, "--from", &backup];
    let (_, said) = site.run(5, &update);
    assert!(
        said.contains("16 (0x10)") && said.contains("-528"),
        "{said}"
    );
    assert!(site.copied().is_empty());
    fs::rename(site.path("aside.log"), site.path("backup/edb00010.log")).unwrap();
    let (documents, _) = site.run(0, &update);
    assert_eq!(documents[0]["logs_taken"], 1);
    site.run(1, &["run", "--once"]);
    assert_eq!(site.status()["inspected"]["generation"], 22);
}

#[test]
fn what_is_at_the_target_goes_only_when_asked() {
    let site = Site::new("crash-p8k");
    copy_all(&site.path("exa"), &site.path("backup"));
    let backup = site.text("backup/db.edb");
    let enabled = site.enable(0, &["--seed-from", &backup]);
    assert_eq!(enabled[1]["schema"], "edbkit.scr-update/1");
    site.run(1, &["run", "--once"]);
    let before = site.copied();
    let update = ["update", NAME, "--from", &backup];
    let (_, said) = site.run(5, &update);
    assert!(said.contains("--delete-existing-files"), "{said}");
    assert_eq!(site.copied(), before);
    // A page was changed by somebody; only that is written.
    let mut bytes = fs::read(site.path("exb/db.edb")).unwrap();
    bytes[100 * 8192 + 500] ^= 1;
    fs::write(site.path("exb/db.edb"), bytes).unwrap();
    let again = [&update[..], &["--delete-existing-files"]].concat();
    let (documents, _) = site.run(0, &again);
    assert_eq!(documents[0]["removed"], 10, "{}", documents[0]);
    assert_eq!(documents[0]["database"]["bytes_written"], 8192);
    same(&site.path("exa/db.edb"), &site.path("exb/db.edb"));
    assert_eq!(site.copied(), ["db.edb"]);
    site.run(1, &["run", "--once"]);
    assert_eq!(site.copied(), before);
}

#[test]
fn a_service_that_runs_lets_go_of_the_copy_and_takes_it_up_again() {
    let site = Site::new("crash-p8k");
    copy_all(&site.path("exa"), &site.path("backup"));
    let backup = site.text("backup/db.edb");
    site.enable(0, &["--seed-from", &backup]);
    let mut service = site.scr(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    let shipped = || {
        let begun = std::time::Instant::now();
        while site.status()["inspected"]["generation"] != 22 {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{}",
                site.status()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    shipped();
    let again = ["update", NAME, "--from", &backup, "--delete-existing-files"];
    let removed = site.run(0, &again).0[0]["removed"].as_u64().unwrap();
    assert!(removed >= 10, "{removed}");
    shipped();
    service.kill().unwrap();
    service.wait().unwrap();
    assert_eq!(
        site.copied()
            .iter()
            .filter(|name| name.ends_with(".log"))
            .count(),
        10
    );
    same(&site.path("exa/db.edb"), &site.path("exb/db.edb"));
}

#[test]
fn a_database_of_another_stream_is_refused() {
    let site = Site::new("crash-p8k");
    site.enable(0, &["--seeding-postponed"]);
    let other = fixtures::testdata_set("clean-p4k").join("state/db.edb");
    let (_, said) = site.run(5, &["update", NAME, "--from", other.to_str().unwrap()]);
    assert!(
        said.contains("another log stream") && said.contains("-530"),
        "{said}"
    );
    let log = site.text("exa/edb00010.log");
    let (_, said) = site.run(5, &["update", NAME, "--from", &log]);
    assert!(said.contains("not a database"), "{said}");
    assert!(site.copied().is_empty());
}

/// The clean database of the set, made 96 MiB long.
fn grow(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let pages = bytes.len() / PAGE;
    bytes.resize(96 << 20, 0);
    for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate().skip(pages) {
        let noise = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        page[80..88].copy_from_slice(&noise.to_le_bytes());
        assert!(ese_checksum::seal_page(page, number as u32 - 1));
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_seeding_that_is_killed_goes_on_and_the_copy_rests_meanwhile() {
    let site = Site::new("clean-p4k");
    grow(&site.path("exa/db.edb"));
    site.enable(0, &["--seeding-postponed"]);
    let mut random = Random(0x2545_f491);
    let mut killed_under_way = 0;
    // The first kills come early, whatever the speed of the machine: one that comes too late ends the story.
    for round in 1..=60 {
        let mut seeding = site
            .scr(&["update", NAME])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(random.shorter_than(Duration::from_millis(5 * round)));
        let _ = seeding.kill();
        if seeding.wait().unwrap().success() {
            break;
        }
        let status = site.status();
        if status["summary"] == "seeding" {
            killed_under_way += 1;
            assert!(status["waits"].as_str().unwrap().contains("scr update"));
            // The service leaves it alone: no log comes to a copy without its database.
            site.run(0, &["run", "--once"]);
            assert!(
                names(&site.path("exb"))
                    .iter()
                    .all(|name| !name.ends_with(".log"))
            );
        }
    }
    assert!(killed_under_way > 0, "no kill came at the right moment");
    if site.status()["summary"] == "seeding" {
        site.run(0, &["update", NAME]);
    }
    same(&site.path("exa/db.edb"), &site.path("exb/db.edb"));
    assert!(
        site.copied().iter().all(|name| !name.contains("edbcopy")),
        "{:?}",
        site.copied()
    );
    assert_ne!(site.status()["summary"], "seeding");
}

#[test]
fn a_database_comes_back_to_the_first_server_and_replication_turns_round() {
    let site = Site::new("crash-p8k");
    site.enable(1, &[]);
    site.run(0, &["update", NAME, "--not-in-use"]);
    site.run(1, &["run", "--once"]);
    // Before an activation the first server has the newer database.
    let (_, said) = site.run(5, &["failback", NAME]);
    assert!(said.contains("not activated"), "{said}");
    let output = site.scr(&["restore", NAME]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    assert_eq!(site.status()["summary"], "disabled");
    let recovered = fs::read(site.path("exb/db.edb")).unwrap();
    // The first server was not shut down: what it left is replaced only if it is named, and kept then.
    let old = fs::read(site.path("exa/db.edb")).unwrap();
    let logs = names(&site.path("exa"));
    let (_, said) = site.run(5, &["failback", NAME, "--yes"]);
    assert!(
        said.contains("-550") && said.contains("--put-aside"),
        "{said}"
    );
    let named = site.text("exa/db.edb");
    let (documents, _) = site.run(0, &["failback", NAME, "--yes", "--put-aside", &named]);
    let report = &documents[0];
    let kept = Path::new(report["old_database"].as_str().unwrap());
    assert!(fs::read(kept).unwrap() == old);
    let kept = names(Path::new(report["old_logs"].as_str().unwrap()));
    assert!(logs.iter().all(|name| kept.contains(name)), "{kept:?}");
    assert_eq!(report["schema"], "edbkit.scr-failback/1");
    assert!(fs::read(site.path("exa/db.edb")).unwrap() == recovered);
    assert_eq!(report["proved"], recovered.len());
    let left = names(&site.path("exa"));
    assert!(
        left.iter()
            .all(|name| !name.ends_with(".log") && !name.ends_with(".chk")),
        "{left:?}"
    );
    let replication = &report["replication"];
    assert_eq!(replication["source"]["machine"], "EXB");
    assert_eq!(replication["target"]["logs"], site.text("exa"));
    let status = site.status();
    assert_eq!(
        (&status["source"], &status["summary"]),
        (&"EXB".into(), &"suspended".into())
    );
    assert!(
        status["suspended"]["comment"]
            .as_str()
            .unwrap()
            .contains("EXB")
    );
    // What the standby's server writes from now on comes to the first one.
    site.run(0, &["resume", NAME]);
    site.run(0, &["run", "--once"]);
}

#[test]
fn a_failback_that_is_killed_loses_nothing() {
    let site = Site::new("crash-p8k");
    site.enable(1, &[]);
    site.run(0, &["update", NAME, "--not-in-use"]);
    let output = site
        .scr(&["restore", NAME, "--force", "--try-source"])
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    assert_eq!(site.status()["summary"], "disabled");
    // A large one, so that there is something to interrupt.
    let (here, there) = (site.path("exb/db.edb"), site.path("exa/db.edb"));
    fs::copy(
        fixtures::testdata_set("clean-p4k").join("state/db.edb"),
        &here,
    )
    .unwrap();
    grow(&here);
    let wanted = fs::read(&here).unwrap();
    let log = site.path("exa/edb00010.log");
    let before: Vec<Vec<u8>> = contents(&site.path("exa"));
    let named = site.text("exa/db.edb");
    let order = ["failback", NAME, "--yes", "--put-aside", &named];
    let mut random = Random(0x9e37_79b9);
    let mut killed_under_way = 0;
    let mut done = false;
    for _ in 0..30 {
        let mut failback = site
            .scr(&order)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let partial = site.path("exa/db.edb.failback.partial");
        while !partial.exists() && failback.try_wait().unwrap().is_none() && log.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(random.shorter_than(Duration::from_millis(60)));
        let _ = failback.kill();
        // It may be done and not have said so yet.
        done = failback.wait().unwrap().success() || site.status()["summary"] == "suspended";
        if done {
            break;
        }
        killed_under_way += u32::from(partial.exists());
        let back = fs::read(&there).is_ok_and(|bytes| bytes == wanted);
        assert!(
            log.exists() || back,
            "old logs went before the database was back"
        );
        let now = contents(&site.path("exa"));
        assert!(
            before.iter().all(|file| now.contains(file)),
            "a file of the first server is gone"
        );
    }
    assert!(killed_under_way > 0, "no kill came at the right moment");
    if !done {
        site.run(0, &order);
    }
    assert!(fs::read(&there).unwrap() == wanted);
    assert!(!log.exists());
    let now = contents(&site.path("exa"));
    assert!(
        before.iter().all(|file| now.contains(file)),
        "a file of the first server is gone"
    );
    let status = site.status();
    assert_eq!(
        (&status["source"], &status["summary"]),
        (&"EXB".into(), &"suspended".into())
    );
}

#[test]
fn a_database_that_goes_home_keeps_the_direction() {
    let site = Site::new("crash-p8k");
    site.enable(1, &[]);
    site.run(0, &["update", NAME, "--not-in-use"]);
    let database = site.path("exb/db.edb");
    let output = site
        .scr(&["restore", NAME, "--force", "--try-source"])
        .output()
        .unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    // One that is mounted does not go anywhere.
    let clean = fs::read(&database).unwrap();
    fs::copy(
        fixtures::testdata_set("crash-p8k").join("state/db.edb"),
        &database,
    )
    .unwrap();
    let named = site.text("exa/db.edb");
    let order = ["failback", NAME, "--home", "--yes", "--put-aside", &named];
    let (_, said) = site.run(5, &order);
    assert!(
        said.contains("Dirty Shutdown") && said.contains("-550"),
        "{said}"
    );
    assert!(site.path("exa/edb00010.log").exists());
    fs::write(&database, clean).unwrap();
    let (documents, _) = site.run(0, &order);
    assert_eq!(documents[0]["replication"]["source"]["machine"], "EXA");
    same(&database, &site.path("exa/db.edb"));
    assert!(!site.path("exa/edb00010.log").exists());
    assert_eq!(site.status()["summary"], "suspended");
}

#[test]
fn more_copies_than_advised_are_warned_about() {
    let site = Site::new("crash-p8k");
    let mut text = "state = \"state\"\n".to_owned();
    for number in 0..51 {
        let source = if number < 5 {
            "exa"
        } else {
            &format!("ex{number}")
        };
        text += &format!(
            "[[copy]]\nname = \"SG{number}\"\n\
             source = {{ machine = \"EXA\", base = \"edb\", logs = \"/{source}\", system = \"/{source}\", database = \"/{source}/a.edb\" }}\n\
             target = {{ machine = \"EXB\", logs = \"/exb/{number}/{source}\", system = \"/exb/{number}/{source}\", database = \"/exb/{number}/{source}/a.edb\" }}\n"
        );
    }
    fs::write(site.path("scr.toml"), text).unwrap();
    let (documents, _) = site.run(1, &["check"]);
    let warnings: Vec<&str> = documents[0]["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning.as_str().unwrap())
        .collect();
    assert_eq!(
        warnings,
        [
            "5 targets copy /exa: more than 4 are not advised: memory, processors and disks of the source must suffice (--allow few-targets)",
            "exb holds 51 copies: more than 50 are not supported on one machine (--allow few-copies)"
        ]
    );

    // One more is refused, until somebody allows it.
    let (source, copy) = (site.path("exa"), site.path("more"));
    let enable = |exit: i32, more: &[&str]| {
        let paths = [
            source.to_str().unwrap().to_owned(),
            format!("{}/a.edb", source.display()),
            copy.to_str().unwrap().to_owned(),
            format!("{}/a.edb", copy.display()),
        ];
        let fixed = [
            "enable",
            "SG51",
            "--source",
            "EXA",
            "--source-logs",
            &paths[0],
            "--source-database",
            &paths[1],
            "--standby",
            "EXB",
            "--logs",
            &paths[2],
            "--database",
            &paths[3],
            "--base",
            "edb",
            "--seeding-postponed",
        ];
        site.run(exit, &[&fixed[..], more].concat())
    };
    let (_, said) = enable(5, &[]);
    assert!(said.contains("--allow few-copies"), "{said}");
    enable(0, &["--allow", "few-copies"]);
}
