//! What is said of a standby copy is so: status, exit codes and metrics, through the program.

#[path = "common/exchange.rs"]
mod exchange;

use ese_testkit::rows::{committed, rows_of};
use exchange::{Exchange, NEWEST, rows_told};
use serde_json::Value;
use std::fs;

/// What a round and the status after it say: both must say the same, and end with the same code.
fn round(site: &Exchange, exit: i32) -> Value {
    let (told, said) = site.run(exit, &["run", "--once"]);
    let (status, _) = site.run(exit, &["status", "SG1"]);
    assert_eq!(status["summary"], told["summary"], "{said}");
    status
}

#[test]
fn a_copy_without_its_database_is_not_healthy() {
    let site = Exchange::copied_at(6);
    assert_eq!(round(&site, 0)["summary"], "healthy");
    fs::rename(site.path("srv2/MBX1.edb"), site.path("taken.edb")).unwrap();
    let status = round(&site, 1);
    assert_eq!(status["summary"], "failed");
    assert_eq!(status["trouble"]["kind"], "database", "{status}");
    let metrics = site.path("scr.prom");
    site.run(
        1,
        &["run", "--once", "--metrics", metrics.to_str().unwrap()],
    );
    let metrics = fs::read_to_string(metrics).unwrap();
    let healthy = metrics
        .lines()
        .find(|line| line.contains("status=\"Healthy\""));
    assert!(healthy.unwrap().ends_with(" 0"), "{metrics}");
    fs::rename(site.path("taken.edb"), site.path("srv2/MBX1.edb")).unwrap();
    assert_eq!(round(&site, 0)["summary"], "healthy");

    // Never seeded: nothing is wrong before anything was tried, and it is after that.
    let site = Exchange::at(6);
    fs::remove_file(site.log("srv1", 1)).unwrap();
    site.enable(0, &["--seeding-postponed"]);
    let (status, _) = site.run(0, &["status", "SG1"]);
    assert_eq!(status["summary"], "initializing");
    assert_eq!(round(&site, 1)["trouble"]["jet"]["code"], -1811);
}

#[test]
fn a_service_that_is_gone_is_told_at_once() {
    let site = Exchange::copied_at(6);
    let mut service = site
        .scr(&["run"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    loop {
        let before = site.status()["served"].clone();
        std::thread::sleep(std::time::Duration::from_millis(300));
        if site.status()["served"] != before {
            break;
        }
        assert!(begun.elapsed().as_secs() < 20);
    }
    let (health, said) = site.run(0, &["check"]);
    assert_eq!(health["passed"], true, "{said}");
    service.kill().unwrap();
    service.wait().unwrap();
    let (status, _) = site.run(1, &["status", "SG1"]);
    assert_eq!(status["summary"], "service_down");
}

#[test]
fn an_empty_source_is_told_in_the_first_round_and_forgotten_when_it_is_back() {
    let site = Exchange::copied_at(6);
    site.lose_srv1();
    fs::create_dir(site.path("srv1")).unwrap();
    let status = round(&site, 1);
    assert_eq!(status["summary"], "failed", "{status}");
    fs::remove_dir(site.path("srv1")).unwrap();
    site.srv1_is_back();
    // What failed before is tried at once by one that looks once.
    assert_eq!(round(&site, 0)["summary"], "healthy");

    let other = Exchange::at(6);
    other.lose_srv1();
    let (enabled, _) = other.enable(1, &["--seeding-postponed"]);
    let warnings = enabled["warnings"].to_string();
    assert!(warnings.contains("srv1"), "{warnings}");
}

#[test]
fn the_queue_counts_what_can_come() {
    let site = Exchange::copied_at(6);
    // The newest closed log is gone while the current one is two ahead.
    site.write_until(8);
    fs::remove_file(site.log("srv1", 7)).unwrap();
    let status = round(&site, 1);
    assert_eq!(status["summary"], "failed", "{status}");
    assert_eq!(status["inspected"]["generation"], 6);
    assert_eq!(status["copy_queue_length"], 0, "{status}");
}

#[test]
fn a_storage_group_is_copied_from_its_birth_without_a_seed() {
    let site = Exchange::at(NEWEST);
    site.enable(
        0,
        &[
            "--seeding-postponed",
            "--storage-group",
            "First Storage Group",
        ],
    );
    let status = round(&site, 0);
    assert_eq!(status["summary"], "healthy", "{status}");
    assert_eq!(status["storage_group"], "First Storage Group");
    let dry = site.run(0, &["restore", "SG1", "--dry-run"]).0;
    let (report, _) = site.run(0, &["restore", "SG1"]);
    assert_eq!(report["loss"], Value::Null);
    assert_eq!(dry["database"], report["database"]);
    assert!(rows_of(&site.path("srv2/MBX1.edb")) == committed(&site.set));

    // An activated copy has neither trouble nor queues, and a second order gets the first one's answer.
    fs::remove_dir_all(site.path("srv1")).unwrap();
    let (status, _) = site.run(0, &["status", "SG1"]);
    assert_eq!(status["summary"], "disabled");
    assert_eq!(
        (&status["trouble"], &status["copy_queue_length"]),
        (&Value::Null, &0.into())
    );
    assert_eq!(
        site.run(0, &["restore", "SG1"]).0["replayed"],
        report["replayed"]
    );
}

#[test]
fn later_logs_are_not_given_up_without_an_order_that_names_the_first() {
    let site = Exchange::copied_at(9);
    site.lose_srv1();
    // kept_back leaves the newest logs unreplayed; one of them goes.
    fs::rename(site.log("srv2", 8), site.path("found.log")).unwrap();
    fs::copy(site.generation(9), site.log("srv2", 9)).unwrap();
    let wish = ["restore", "SG1", "--force"];
    let (report, said) = site.run(5, &wish);
    let refusal = &report["refusal"];
    let reason = refusal["reason"].as_str().unwrap();
    assert!(
        reason.contains("E0000000008.log") && reason.contains("9-9"),
        "{reason}"
    );
    assert!(
        refusal["advice"].as_str().unwrap().contains("--give-up 8"),
        "{said}"
    );
    site.run(5, &[&wish[..], &["--give-up", "9"]].concat());
    let (dry, _) = site.run(1, &[&wish[..], &["--give-up", "8", "--dry-run"]].concat());
    assert!(
        dry["reasons"][0]
            .as_str()
            .unwrap()
            .contains("E0000000008.log"),
        "{dry}"
    );
    // What the database requires cannot be given up, and nobody says that it can.
    let seeded = Exchange::at(6);
    seeded.enable(0, &["--seeding-postponed"]);
    let dirty = seeded.original("db.edb");
    fs::copy(&dirty, seeded.path("srv2-seed.edb")).unwrap();
    seeded.write_until(NEWEST);
    let seed = seeded.text("srv2-seed.edb");
    seeded.run(0, &["update", "SG1", "--from", &seed]);
    seeded.try_run(&["run", "--once"]);
    seeded.lose_srv1();
    let required = {
        let header = fs::read(&dirty).unwrap();
        let header = ese_format::database::HeaderCopies::read(&header);
        header.good().unwrap().fields.min_required.0
    };
    fs::remove_file(seeded.log("srv2", required)).unwrap();
    fs::copy(seeded.generation(NEWEST), seeded.path("srv2/E00.log")).unwrap();
    let (report, _) = seeded.run(5, &wish);
    let advice = report["refusal"]["advice"].as_str().unwrap();
    assert!(!advice.contains("--give-up"), "{advice}");
    let number = required.to_string();
    seeded.run(5, &[&wish[..], &["--give-up", &number]].concat());

    // It is found after all.
    fs::rename(site.path("found.log"), site.log("srv2", 8)).unwrap();
    let (report, _) = site.run(1, &wish);
    assert_eq!(report["replayed"]["last"], 9, "{report}");
}

#[test]
fn what_is_given_up_on_order_is_told_and_nothing_else_is_lost() {
    let site = Exchange::copied_at(9);
    site.lose_srv1();
    fs::remove_file(site.log("srv2", 8)).unwrap();
    fs::copy(site.generation(9), site.log("srv2", 9)).unwrap();
    let (report, _) = site.run(1, &["restore", "SG1", "--force", "--give-up", "8"]);
    assert_eq!(
        (&report["mountable"], &report["loss"]["first"]),
        (&true.into(), &8.into())
    );
    assert!(
        report["reasons"][0]
            .as_str()
            .unwrap()
            .contains("E0000000008.log")
    );
    let useless = rows_told(&site.set.join("state"), |change| {
        let is_in_it = |place: &Value| place.as_str().unwrap_or_default().starts_with("00000009");
        let places = [&change["source"]["lgpos"], &change["transaction"]["end"]];
        change["status"] == "committed" && places.into_iter().all(is_in_it)
    });
    assert_eq!(report["given_up_rows"], useless);
    assert!(!useless["tables"].as_array().unwrap().is_empty());
    let (early, whole) = (site.text("lost/MBX1.edb"), site.text("until-7.edb"));
    let logs = site.text("lost");
    let run = [
        "run", &early, "--logs", &logs, "--until", "7", "--to", &whole,
    ];
    exchange::program(env!("CARGO_BIN_EXE_edbreplay"), 0, &run);
    assert!(rows_of(&site.path("srv2/MBX1.edb")) == rows_of(&site.path("until-7.edb")));
}

/// The database of a copy at generation 9 that a person recovered with the logs up to 8.
fn recovered_by_hand() -> Exchange {
    let site = Exchange::copied_at(9);
    site.lose_srv1();
    let (early, clean) = (site.text("lost/MBX1.edb"), site.text("srv2/MBX1.edb"));
    let logs = site.text("lost");
    fs::remove_file(site.path("srv2/MBX1.edb")).unwrap();
    let run = [
        "run", &early, "--logs", &logs, "--until", "8", "--to", &clean,
    ];
    exchange::program(env!("CARGO_BIN_EXE_edbreplay"), 0, &run);
    site
}

#[test]
fn nothing_is_told_as_rolled_back_in_a_database_that_was_recovered_before() {
    let site = recovered_by_hand();
    let rows = rows_of(&site.path("srv2/MBX1.edb"));
    let (report, _) = site.run(1, &["restore", "SG1", "--force"]);
    assert_eq!(
        (&report["replayed"]["last"], &report["rolled_back"]),
        (&8.into(), &0.into())
    );
    assert!(rows_of(&site.path("srv2/MBX1.edb")) == rows);
}

#[test]
fn the_log_in_which_a_database_was_shut_down_can_be_given_up() {
    let site = recovered_by_hand();
    let rows = rows_of(&site.path("srv2/MBX1.edb"));
    fs::remove_file(site.log("srv2", 8)).unwrap();
    fs::copy(site.generation(9), site.log("srv2", 9)).unwrap();
    site.run(5, &["restore", "SG1", "--force"]);
    let (report, _) = site.run(1, &["restore", "SG1", "--force", "--give-up", "8"]);
    assert_eq!(
        (&report["mountable"], &report["loss"]["first"]),
        (&true.into(), &8.into())
    );
    assert!(rows_of(&site.path("srv2/MBX1.edb")) == rows);
}

#[test]
fn what_the_product_does_not_allow_is_told_and_may_be_allowed() {
    let site = Exchange::at(6);
    let (srv1, srv2) = (site.text("srv1"), site.text("other/srv2"));
    let enable = |exit: i32, name: &str, source: &str, standby: &str, more: &[&str]| {
        let (database, to) = (format!("{srv1}/MBX1.edb"), format!("{srv2}/{name}"));
        let copy = format!("{to}/MBX2.edb");
        let fixed = [
            "enable",
            name,
            "--source",
            source,
            "--source-logs",
            &srv1,
            "--source-database",
            &database,
            "--standby",
            standby,
            "--logs",
            &to,
            "--database",
            &copy,
            "--seeding-postponed",
        ];
        site.run(exit, &[&fixed[..], more].concat())
    };
    let warnings = |answer: &Value| answer["warnings"].to_string();
    let (answer, _) = enable(0, "SG1", "SRV1", "SRV2", &[]);
    assert!(warnings(&answer).contains("--allow same-paths"), "{answer}");
    // SRV2 is a standby: a copy of its own groups on itself (LCR) is what the product forbids.
    let (_, said) = enable(5, "SG2", "SRV2", "srv2", &[]);
    assert!(
        said.contains("LCR") && said.contains("--allow no-lcr-on-target"),
        "{said}"
    );
    let (answer, _) = enable(
        0,
        "SG2",
        "SRV2",
        "srv2",
        &[
            "--allow",
            "no-lcr-on-target",
            "--allow",
            "two-machines",
            "--allow",
            "same-paths",
            "--allow",
            "kept-back",
        ],
    );
    let said = warnings(&answer);
    assert!(
        said.contains("SG1: the database"),
        "the other copy did not allow it: {said}"
    );
    assert!(
        !said.contains("SG2:") && !said.contains("kept_back"),
        "{said}"
    );
    let (health, _) = site.run(1, &["check"]);
    assert_eq!(health["warnings"], answer["warnings"]);
}

#[test]
fn a_password_in_an_address_is_refused_and_written_nowhere() {
    let site = Exchange::at(6);
    let srv2 = site.text("srv2");
    let before = site.files("");
    let address = "webdav://anna:hunter2@127.0.0.1:1/SG1";
    let (database, copy) = (format!("{address}/MBX1.edb"), format!("{srv2}/MBX1.edb"));
    let (answer, said) = site.run(
        2,
        &[
            "enable",
            "SG1",
            "--source",
            "SRV1",
            "--source-logs",
            address,
            "--source-database",
            &database,
            "--standby",
            "SRV2",
            "--logs",
            &srv2,
            "--database",
            &copy,
            "--seeding-postponed",
        ],
    );
    assert!(said.contains("EDBCOPY_PASSWORD"), "{said}");
    assert!(!said.contains("hunter2") && !answer.to_string().contains("hunter2"));
    assert!(site.files("") == before);
}
