//! `scr` as a person uses it: set up, served, put to rest, checked, ended; and killed at any moment.

#[path = "common/scr.rs"]
mod site;

use ese_testkit::random::Random;
use serde_json::Value;
use site::{LOG_SIZE, Site, logs, text};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

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
            "SummaryCopy",
            "CopyQueue",
            "ReplayQueue",
            "LastInspected"
        ]
    );
    assert!(lines.next().unwrap().trim_start().starts_with("Status "));
    assert!(table.lines().all(|line| line.len() <= 80), "{table}");
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        columns[..6],
        ["First", "Storage", "Group", "Healthy", "0", "15"]
    );

    site.json(0, &["disable", "First Storage Group"]);
    assert!(site.json(0, &["status"]).is_empty());
    site.assert_whole("First Storage Group");
}

/// `--watch` tells a change when it comes, not what stays the same, and ends on Ctrl-C.
#[cfg(unix)]
#[test]
fn a_watched_status_is_told_when_it_changes() {
    use std::io::{BufRead, BufReader};
    use std::process::Command;

    let mut site = Site::new(12);
    site.enable("SG1", &[]);
    let mut watch = site
        .command(&["status", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&told.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["summary"], "initializing");
    site.json(0, &["run", "--once"]);
    // It may look in the middle of the work.
    while next()["inspected"]["generation"] != 12 {}
    site.json(0, &["suspend", "SG1", "--comment", "disk"]);
    let status = next();
    assert_eq!(
        (&status["summary"], &status["suspended"]["comment"]),
        (&"suspended".into(), &"disk".into())
    );
    // The time of the last look alone is no change.
    site.json(1, &["run", "--once"]);
    std::thread::sleep(Duration::from_millis(1500));
    site.stream.roll_many(3);
    site.json(1, &["run", "--once"]);
    assert_eq!(next()["copy_queue_length"], 3);
    let id = watch.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        watch.wait().unwrap().code(),
        Some(1),
        "a suspended copy is a finding"
    );
    assert!(told.next().is_none());
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
    let mut random = Random(0x2545_f491);
    let mut arrived = 0;
    for _ in 0..300 {
        let mut service = site
            .command(&["run"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        site.stream.roll_many(3);
        std::thread::sleep(random.shorter_than(Duration::from_millis(60)));
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
