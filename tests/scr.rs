//! `scr` as a person uses it: set up, served, put to rest, checked, ended; and killed at any moment.

use ese_testkit::growing::GrowingStream;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LOG_SIZE: usize = 16 * 4096;

/// A source with logs, a place for copies, and a configuration.
struct Site {
    folder: TempDir,
    stream: GrowingStream,
}

impl Site {
    fn new(logs: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let source = folder.path().join("exa");
        fs::create_dir(&source).unwrap();
        let mut stream = GrowingStream::begin(&source, LOG_SIZE);
        stream.roll_many(logs);
        Site { folder, stream }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scr"));
        command
            .arg("--config")
            .arg(self.path("scr.toml"))
            .args(arguments);
        command
    }

    fn scr(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must end with this exit code; gives its JSON documents.
    fn json(&self, exit: i32, arguments: &[&str]) -> Vec<Value> {
        let output = self.command(arguments).arg("--json").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {error}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn enable(&self, name: &str, more: &[&str]) -> Output {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let source = text(self.path("exa"));
        let logs = text(self.path(&format!("exb/{name}")));
        let (from, to) = (format!("{source}/MBX1.edb"), format!("{logs}/MBX1.edb"));
        let arguments = [
            "enable",
            name,
            "--source",
            "EXA",
            "--source-logs",
            &source,
            "--source-database",
            &from,
            "--standby",
            "EXB",
            "--logs",
            &logs,
            "--database",
            &to,
        ];
        let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
        self.scr(&arguments)
    }

    /// The copy has the closed logs of the source, byte by byte, and nothing else.
    fn assert_whole(&self, name: &str) {
        let mut source = logs(&self.path("exa"));
        source.remove("E00.log");
        let target = logs(&self.path(&format!("exb/{name}")));
        let names = |logs: &BTreeMap<String, Vec<u8>>| logs.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&target), names(&source));
        assert!(target == source, "the logs differ");
    }
}

fn logs(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .filter(|path| path.is_file())
        .map(|path| (name(&path), fs::read(path).unwrap()))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_copy_is_set_up_served_put_to_rest_and_ended() {
    let mut site = Site::new(12);
    let enabled = site.enable("First Storage Group", &["--replay-lag", "0.06:00:00"]);
    assert_eq!(enabled.status.code(), Some(0), "{}", text(&enabled.stderr));
    assert!(text(&enabled.stdout).contains("ReplayLagTime 0.06:00:00"));

    let status = &site.json(0, &["status"])[0];
    assert_eq!(status["schema"], "edbkit.scr-status/1");
    assert_eq!(status["summary"], "initializing");
    // No service yet, no database yet.
    let health = &site.json(1, &["check"])[0];
    let failed = |health: &Value| -> Vec<String> {
        let checks = health["checks"].as_array().unwrap().iter();
        let failed = checks.filter(|check| check["passed"] == false);
        failed
            .map(|check| check["check"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(failed(health), ["ServiceRunning", "DatabaseSeeded"]);

    let metrics = site.path("scr.prom");
    site.json(
        0,
        &[
            "run",
            "--once",
            "--quiet",
            "--metrics",
            metrics.to_str().unwrap(),
        ],
    );
    site.assert_whole("First Storage Group");
    let metrics = fs::read_to_string(metrics).unwrap();
    for line in [
        "scr_inspected_generation{copy=\"First Storage Group\",source=\"EXA\",target=\"EXB\"} 12",
        "scr_copy_queue_length{copy=\"First Storage Group\",source=\"EXA\",target=\"EXB\"} 0",
        "scr_status{copy=\"First Storage Group\",source=\"EXA\",target=\"EXB\",status=\"Healthy\"} 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in\n{metrics}"
        );
    }
    assert_eq!(failed(&site.json(1, &["check"])[0]), ["DatabaseSeeded"]);

    site.json(
        0,
        &[
            "suspend",
            "first storage group",
            "--comment",
            "disk is being changed",
        ],
    );
    site.stream.roll_many(3);
    site.json(1, &["run", "--once"]);
    let status = &site.json(1, &["status"])[0];
    assert_eq!(
        (&status["summary"], &status["copy_queue_length"]),
        (&"suspended".into(), &3.into())
    );
    let listed = text(&site.scr(&["status", "First Storage Group"]).stdout);
    for line in [
        "Identity                      : EXA\\First Storage Group",
        "SummaryCopyStatus             : Suspended",
        "SuspendComment                : disk is being changed",
        "CopyQueueLength               : 3",
        "LastLogInspected              : 12",
        "ReplayLagTime                 : 0.06:00:00",
    ] {
        assert!(
            listed.lines().any(|found| found == line),
            "{line} in\n{listed}"
        );
    }
    site.json(0, &["resume", "First Storage Group"]);
    site.json(0, &["run", "--once"]);
    site.assert_whole("First Storage Group");
    let table = text(&site.scr(&["status"]).stdout);
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        [
            "Name",
            "SummaryCopyStatus",
            "CopyQueueLength",
            "ReplayQueueLength",
            "LastInspectedLogTime"
        ]
    );
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        columns[..6],
        ["First", "Storage", "Group", "Healthy", "0", "15"]
    );

    site.json(0, &["disable", "First Storage Group"]);
    assert!(site.json(0, &["status"]).is_empty());
    site.assert_whole("First Storage Group");
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let site = Site::new(1);
    assert_eq!(site.scr(&["status"]).status.code(), Some(3));
    assert_eq!(
        site.enable("SG1", &["--replay-lag", "7.00:00:01"])
            .status
            .code(),
        Some(2)
    );
    assert!(!site.path("scr.toml").exists());
    assert_eq!(site.enable("SG1", &[]).status.code(), Some(0));
    let before = fs::read_to_string(site.path("scr.toml")).unwrap();
    assert_eq!(
        site.enable("sg1", &[]).status.code(),
        Some(5),
        "names do not depend on case"
    );
    assert_eq!(site.enable("../SG2", &[]).status.code(), Some(2));
    assert_eq!(site.enable("SG2", &["--base", "E0"]).status.code(), Some(2));
    let inside = site.path("exa/copy");
    let at_source = ["--system", inside.to_str().unwrap()];
    let refused = site.enable("SG2", &at_source);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("nothing is ever written there"));
    assert_eq!(fs::read_to_string(site.path("scr.toml")).unwrap(), before);
    assert_eq!(site.scr(&["suspend", "SG9"]).status.code(), Some(2));
}

#[test]
fn comments_of_people_stay_in_the_configuration() {
    let site = Site::new(1);
    let mine = "# ask Eva before changing this\nstate = \"state\" # on the fast disk\n\n[service]\npoll = \"0.00:00:02\"\n";
    fs::write(site.path("scr.toml"), mine).unwrap();
    assert_eq!(site.enable("SG1", &[]).status.code(), Some(0));
    assert_eq!(site.enable("SG2", &[]).status.code(), Some(0));
    let both = fs::read_to_string(site.path("scr.toml")).unwrap();
    assert!(both.starts_with(mine), "{both}");
    site.json(0, &["disable", "SG1"]);
    let names: Vec<Value> = site
        .json(0, &["status"])
        .into_iter()
        .map(|status| status["name"].clone())
        .collect();
    assert_eq!(names, ["SG2"]);
    assert!(
        fs::read_to_string(site.path("scr.toml"))
            .unwrap()
            .starts_with(mine)
    );
}

#[test]
fn two_services_never_work_on_one_copy() {
    let site = Site::new(1);
    site.enable("SG1", &[]);
    let mut service = site
        .command(&["run"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while site.json(0, &["status"])[0]["inspected"].is_null() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the service never came"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = site.scr(&["run", "--once"]);
    let error = text(&second.stderr);
    service.kill().unwrap();
    service.wait().unwrap();
    assert_eq!(second.status.code(), Some(5), "{error}");
    assert!(error.contains("served by another process"), "{error}");
    // A lock dies with its process.
    assert_eq!(site.scr(&["run", "--once"]).status.code(), Some(0));
}

/// Killed 300 times at random while the stream grows, the service loses no log and has none twice or in part.
#[test]
fn kills_at_any_moment_cost_nothing() {
    let mut site = Site::new(4);
    fs::write(
        site.path("scr.toml"),
        "state = \"state\"\n[service]\npoll = \"0\"\nretry = \"0\"\n",
    )
    .unwrap();
    site.enable("SG1", &[]);
    fs::create_dir_all(site.path("exb/SG1")).unwrap();
    let mut random = 0x2545_f491_u64;
    let mut arrived = 0;
    for _ in 0..300 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut service = site
            .command(&["run"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        site.stream.roll_many(3);
        std::thread::sleep(Duration::from_micros((random >> 33) % 60_000));
        service.kill().unwrap();
        service.wait().unwrap();
        let there = logs(&site.path("exb/SG1"));
        assert!(there.len() >= arrived, "a log was lost");
        arrived = there.len();
        for (name, log) in &there {
            assert_eq!(log.len(), LOG_SIZE, "{name} is there in part");
        }
    }
    assert!(
        arrived > 100,
        "the service had no chance to work: {arrived} logs"
    );
    let status = &site.json(0, &["run", "--once"])[0];
    assert_eq!(
        (&status["summary"], &status["copy_queue_length"]),
        (&"healthy".into(), &0.into())
    );
    site.assert_whole("SG1");
}
