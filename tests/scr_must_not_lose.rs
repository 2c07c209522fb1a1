//! What exists only once is never destroyed: the accidents of standby copies, through the program.

#[path = "common/exchange.rs"]
mod exchange;

use ese_testkit::logs::keep_no_checksum;
use ese_testkit::rows::{committed, rows_of};
use exchange::{Exchange, NEWEST, files, program, rows_told};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const EDBREPLAY: &str = env!("CARGO_BIN_EXE_edbreplay");

/// The path of a put-aside file, and the only folder of its kind.
fn aside(site: &Exchange, folder: &str) -> PathBuf {
    let diverged = site.path(folder).join("diverged");
    let mut folders = fs::read_dir(&diverged).unwrap();
    let only = folders.next().unwrap().unwrap().path();
    assert!(
        folders.next().is_none(),
        "one folder in {}",
        diverged.display()
    );
    only
}

#[test]
fn rows_that_are_lost_are_told_by_table() {
    let mut rolled_back = 0;
    for current in [3, 5, 8, 9] {
        let site = Exchange::copied_at(current);
        let state = site.set.join("state");
        site.lose_srv1();
        let cut = format!("{current:08X}");
        let is_after = |change: &Value| {
            let end = change["transaction"]["end"].as_str();
            end.unwrap_or("open") >= &*cut
        };
        let (foretold, _) = site.run(1, &["restore", "SG1", "--force", "--dry-run"]);
        let (report, said) = site.run(1, &["restore", "SG1", "--force"]);
        // What was open where the shipped logs end.
        let open = rows_told(&state, |change| {
            is_after(change) && change["source"]["lgpos"].as_str() < Some(&cut)
        });
        for report in [&foretold, &report] {
            assert_eq!(report["rolled_back_rows"], open, "{current}: {said}");
        }
        rolled_back += open["tables"].as_array().unwrap().len();
        site.srv1_is_back();
        site.write_until(NEWEST);
        let (report, _) = site.run(1, &["failback", "SG1", "--home", "--dry-run"]);
        let lost = rows_told(&state, |change| {
            change["status"] == "committed" && is_after(change)
        });
        assert_eq!(report["beyond"]["rows"], lost, "{current}");
    }
    assert!(rolled_back > 3);
}

#[test]
fn failback_keeps_what_the_activation_lost() {
    let site = Exchange::copied_at(6);
    site.lose_srv1();
    let (report, _) = site.run(1, &["restore", "SG1", "--force"]);
    assert_eq!(report["loss"]["first"], 6);
    let rows = rows_of(&site.path("srv2/MBX1.edb"));

    // SRV1 comes back with what it wrote after the last log that was shipped.
    site.srv1_is_back();
    site.write_until(NEWEST);
    let before = site.files("srv1");
    let (_, said) = site.run(5, &["failback", "SG1", "--home"]);
    assert!(said.contains("--yes"), "{said}");
    let (foretold, _) = site.run(1, &["failback", "SG1", "--home", "--dry-run"]);
    assert!(site.files("srv1") == before, "a dry run changes nothing");
    let (report, said) = site.run(1, &["failback", "SG1", "--home", "--yes"]);
    assert_eq!(report["beyond"], foretold["beyond"], "{said}");
    let beyond = &report["beyond"];
    assert_eq!(
        (&beyond["first"], &beyond["last"], &beyond["logs"]),
        (&6.into(), &11.into(), &6.into())
    );
    assert_eq!(beyond["stopped"], Value::Null);
    assert!(beyond["committed"].as_u64() > Some(600), "{beyond}");
    assert_eq!(
        site.files("srv1")["MBX1.edb"],
        site.files("srv2")["MBX1.edb"]
    );

    // All that was there is there, and what was lost can be got out.
    let kept = files(&aside(&site, "srv1"));
    assert_eq!(kept, before);
    let place = aside(&site, "srv1");
    let place = place.to_str().unwrap();
    let rescued = site.text("rescued.edb");
    let database = report["old_database"].as_str().unwrap();
    program(
        EDBREPLAY,
        0,
        &[
            "run", database, "--logs", place, "--to", &rescued, "--force",
        ],
    );
    let whole = rows_of(&site.path("rescued.edb"));
    assert!(whole == committed(&site.set));
    println!(
        "{} rows came back, {} were rescued",
        rows.len(),
        whole.len() - rows.len()
    );
}

#[test]
fn failback_replaces_nothing_that_it_does_not_know() {
    let site = Exchange::copied_at(6);
    site.run(0, &["restore", "SG1"]);
    let failback = ["failback", "SG1", "--home", "--yes"];
    let database = site.path("srv1/MBX1.edb");
    let own = fs::read(&database).unwrap();
    let other = ese_testkit::fixtures::testdata_set("clean-p4k").join("state/db.edb");
    let mut repaired = own.clone();
    repaired.truncate(4000);
    // (what is at SRV1 instead of its database, what is said of it)
    for (content, word) in [
        (fs::read(other).unwrap(), "another database"),
        (fs::read(site.original("db.edb")).unwrap(), "Dirty Shutdown"),
        (repaired, "not a database"),
        (b"a mail of 2007".to_vec(), "not a database"),
    ] {
        fs::write(&database, &content).unwrap();
        let before = site.files("srv1");
        let (_, said) = site.run(5, &failback);
        assert!(
            said.contains(word) && said.contains("--put-aside"),
            "{word}: {said}"
        );
        assert!(site.files("srv1") == before, "{word}");
        // Naming something else is no order.
        let (_, said) = site.run(
            5,
            &[&failback[..], &["--put-aside", &site.text("srv1")]].concat(),
        );
        assert!(said.contains(word), "{said}");
        assert!(site.files("srv1") == before, "{word}");
    }
    // Logs of another stream: the server worked on.
    fs::write(&database, &own).unwrap();
    fs::write(site.log("srv1", 3), site.foreign(3)).unwrap();
    let before = site.files("srv1");
    let (_, said) = site.run(5, &failback);
    assert!(
        said.contains("another log stream") && said.contains("-530"),
        "{said}"
    );
    assert!(site.files("srv1") == before);

    // What is named is kept.
    fs::copy(site.original("db.edb"), &database).unwrap();
    let before = site.files("srv1");
    let (at_database, at_logs) = (site.text("srv1/MBX1.edb"), site.text("srv1"));
    let named = ["--put-aside", &at_database, "--put-aside", &at_logs];
    site.run(0, &[&failback[..], &named].concat());
    assert_eq!(files(&aside(&site, "srv1")), before);
    assert_eq!(
        site.files("srv1")["MBX1.edb"],
        site.files("srv2")["MBX1.edb"]
    );
}

#[test]
fn an_older_clean_state_of_the_database_is_brought_up_to_date() {
    let site = Exchange::copied_at(6);
    site.run(0, &["restore", "SG1"]);
    let logs = site.files("srv1");
    let (report, _) = site.run(0, &["failback", "SG1", "--yes"]);
    assert_eq!(report["database"]["method"], "delta");
    assert_eq!(report["beyond"], Value::Null);
    assert_eq!(report["old_database"], Value::Null);
    let kept = files(&aside(&site, "srv1"));
    assert_eq!(kept.len(), logs.len() - 1, "all but the database");
    assert!(kept.iter().all(|(name, bytes)| logs[name] == *bytes));
}

/// Logs that the standby's server wrote in the folder of the copy, under the names that the copy needs next.
fn plant_another_stream(site: &Exchange) {
    for generation in [5, 6, 7] {
        fs::write(site.log("srv2", generation), site.foreign(generation)).unwrap();
    }
    fs::write(site.path("srv2/E00.log"), site.foreign(8)).unwrap();
}

#[test]
fn logs_of_another_stream_in_the_folder_of_the_copy_are_never_replaced() {
    // At the first enabling.
    let site = Exchange::at(6);
    fs::create_dir(site.path("srv2")).unwrap();
    plant_another_stream(&site);
    let planted = site.files("srv2");
    let (_, said) = site.enable(5, &[]);
    assert!(
        said.contains("another stream") && said.contains("-530"),
        "{said}"
    );
    assert!(!said.contains("scr.toml") && site.files("srv2") == planted);
    assert!(
        site.try_run(&["status"]).1.is_empty(),
        "nothing was enabled"
    );

    // As it may really come: failover under another name, work on in that folder, disabled and enabled as before.
    let site = Exchange::copied_at(6);
    site.run(
        0,
        &["restore", "SG1", "--to", &site.text("srv2/MBX1PORT.edb")],
    );
    site.run(0, &["disable", "SG1"]);
    plant_another_stream(&site);
    let planted = site.files("srv2");
    let (_, said) = site.enable(5, &[]);
    assert!(said.contains("another stream"), "{said}");
    assert!(site.files("srv2") == planted);

    // While it is enabled: neither the service nor a new seed touches them.
    let site = Exchange::copied_at(5);
    plant_another_stream(&site);
    let planted = site.files("srv2");
    site.write_until(8);
    site.run(1, &["run", "--once"]);
    let status = site.status();
    assert_eq!(status["summary"], "failed", "{status}");
    assert_eq!(status["trouble"]["jet"]["code"], -530, "{status}");
    for order in [
        &["update", "SG1"][..],
        &["update", "SG1", "--delete-existing-files"],
    ] {
        let (_, said) = site.run(5, order);
        assert!(said.contains("another stream"), "{said}");
    }
    assert!(site.files("srv2") == planted);
    // Moved away, the copy goes on.
    for generation in [5, 6, 7] {
        fs::remove_file(site.log("srv2", generation)).unwrap();
    }
    fs::remove_file(site.path("srv2/E00.log")).unwrap();
    site.run(0, &["resume", "SG1"]);
    site.run(0, &["run", "--once"]);
    assert_eq!(site.status()["inspected"]["generation"], 7);
}

#[test]
fn a_file_that_has_the_name_of_the_next_log_is_not_replaced() {
    let site = Exchange::copied_at(6);
    fs::write(site.log("srv2", 6), b"notes of an administrator").unwrap();
    site.write_until(8);
    site.run(1, &["run", "--once"]);
    let status = site.status();
    let reason = status["trouble"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("E0000000006.log") && reason.contains("move it away"),
        "{reason}"
    );
    assert_eq!(
        fs::read(site.log("srv2", 6)).unwrap(),
        b"notes of an administrator"
    );
    // An activation goes on without it, and says what is lost.
    let (report, _) = site.run(1, &["restore", "SG1", "--force", "--try-source"]);
    assert_eq!(report["loss"]["first"], 6);
    assert_eq!(
        fs::read(site.log("srv2", 6)).unwrap(),
        b"notes of an administrator"
    );
}

#[test]
fn a_clean_seed_without_any_log_can_be_activated() {
    let site = Exchange::at(2);
    site.enable(0, &[]);
    site.lose_srv1();
    let (report, _) = site.run(1, &["restore", "SG1", "--force", "--dry-run"]);
    assert_eq!(report["mountable"], true, "{report}");
    let (report, _) = site.run(1, &["restore", "SG1", "--force"]);
    assert_eq!(
        (&report["mountable"], &report["proof"]["state"]),
        (&true.into(), &"Clean Shutdown".into())
    );
    // It was shut down in the middle of generation 2.
    assert_eq!(report["loss"]["first"], 2, "{report}");
    assert_eq!(report["replayed"]["last"], Value::Null);
    let rows = rows_of(&site.path("srv2/MBX1.edb"));
    assert!(!rows.is_empty() && rows == rows_of(&site.original("db.edb.old1")));

    // Under another name, too.
    let site = Exchange::at(2);
    site.enable(0, &[]);
    site.lose_srv1();
    let to = site.text("srv2/MBX1PORT.edb");
    let (report, _) = site.run(1, &["restore", "SG1", "--force", "--to", &to]);
    assert_eq!(
        (&report["mountable"], &report["database"]),
        (&true.into(), &to.clone().into())
    );
    assert!(rows_of(to.as_ref()) == rows);
}

#[test]
fn a_database_that_was_shut_down_where_the_source_has_no_log_loses_what_the_source_wrote_there() {
    let site = Exchange::at(2);
    site.enable(0, &[]);
    // The source lost its newest work, and goes on from an earlier place of the same log.
    let current = site.path("srv1/E00.log");
    let mut log = fs::read(&current).unwrap();
    log[3 * 4096..].fill(0);
    fs::write(&current, log).unwrap();
    fs::remove_file(site.path("srv1/MBX1.edb")).unwrap();
    for order in [&["restore", "SG1", "--dry-run"][..], &["restore", "SG1"]] {
        let (report, _) = site.run(1, order);
        assert_eq!(report["loss"]["first"], 2, "{report}");
        let reasons = report["reasons"].to_string();
        assert!(reasons.contains("newer than the logs"), "{report}");
    }
    let rows = rows_of(&site.path("srv2/MBX1.edb"));
    assert!(!rows.is_empty() && rows == rows_of(&site.original("db.edb.old1")));
}

/// The logs with numbers at SRV1.
fn numbered(site: &Exchange) -> usize {
    let names = site.files("srv1").into_keys();
    names
        .filter(|name| name.starts_with("E000") && name.ends_with(".log"))
        .count()
}

#[test]
fn logs_at_the_source_wait_for_a_backup() {
    let site = Exchange::copied_at(8);
    let checkpoint = site.path("srv1/E00.chk");
    fs::copy(site.original("E00.chk"), &checkpoint).unwrap();
    // The checkpoint is in generation 4: the engine does not need those before. No backup was ever made.
    site.run(0, &["run", "--once", "--truncate-source"]);
    assert_eq!(numbered(&site), 7);
    let config = fs::read_to_string(site.path("scr.toml")).unwrap();
    let circular = config.replace("machine = \"SRV1\"", "machine = \"SRV1\", circular = true");
    assert_ne!(circular, config);
    // Circular logging waits for none, unless the copy does.
    let waiting = circular.replace("name = \"SG1\"", "name = \"SG1\"\nwait_for_backup = true");
    fs::write(site.path("scr.toml"), waiting).unwrap();
    site.run(0, &["run", "--once", "--truncate-source"]);
    assert_eq!(numbered(&site), 7);
    fs::write(site.path("scr.toml"), circular).unwrap();
    site.run(0, &["run", "--once", "--truncate-source"]);
    assert_eq!(numbered(&site), 4);
}

#[test]
fn a_current_log_that_is_a_copy_of_the_last_closed_one_is_missed() {
    for repeated in [10, 8] {
        let site = Exchange::copied_at(NEWEST);
        fs::copy(site.generation(repeated), site.path("srv1/E00.log")).unwrap();
        site.run(1, &["run", "--once"]);
        let status = site.status();
        assert_eq!(status["summary"], "failed", "{status}");
        let reason = status["trouble"]["reason"].as_str().unwrap();
        assert!(
            reason.contains("generation 11") && reason.contains("missing"),
            "{reason}"
        );
        let (report, _) = site.run(5, &["restore", "SG1"]);
        let problem = report["source_look"]["problem"].as_str().unwrap();
        assert!(
            problem.contains("-528") && problem.contains("missing"),
            "{problem}"
        );
        for order in [&["--dry-run"][..], &[]] {
            let order = [&["restore", "SG1", "--force", "--try-source"], order].concat();
            let (report, _) = site.run(1, &order);
            assert_eq!(report["loss"]["first"], 11, "{report}");
            assert_eq!(report["replayed"]["last"], 10);
        }
        assert_eq!(rows_of(&site.path("srv2/MBX1.edb")).len(), 1352);
    }
}

#[test]
fn a_log_with_a_number_is_closed() {
    // The current log was taken away by a scanner, or has its number already.
    let site = Exchange::copied_at(10);
    fs::copy(site.generation(9), site.log("srv1", 9)).unwrap();
    fs::copy(site.generation(10), site.log("srv1", 10)).unwrap();
    fs::remove_file(site.path("srv1/E00.log")).unwrap();
    site.run(1, &["run", "--once"]);
    let status = site.status();
    assert_eq!(status["inspected"]["generation"], 10, "{status}");
    let reason = status["trouble"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("E00.log") && reason.contains("generation 11"),
        "{reason}"
    );

    let site = Exchange::copied_at(10);
    fs::rename(site.path("srv1/E00.log"), site.log("srv1", 10)).unwrap();
    site.run(5, &["restore", "SG1"]);
    let (foretold, _) = site.run(
        1,
        &["restore", "SG1", "--force", "--try-source", "--dry-run"],
    );
    let (report, _) = site.run(1, &["restore", "SG1", "--force", "--try-source"]);
    for report in [&foretold, &report] {
        assert_eq!(
            (&report["replayed"]["last"], &report["loss"]["first"]),
            (&10.into(), &11.into())
        );
    }
    assert_eq!(rows_of(&site.path("srv2/MBX1.edb")).len(), 1352);
}

#[test]
fn a_foreign_log_at_the_source_does_not_condemn_the_one_before_it() {
    for foreign in ["E00.log", "E0000000007.log"] {
        let site = Exchange::copied_at(6);
        fs::rename(site.path("srv1/E00.log"), site.log("srv1", 6)).unwrap();
        fs::write(site.path("srv1").join(foreign), site.foreign(7)).unwrap();
        site.run(1, &["run", "--once"]);
        let status = site.status();
        assert_eq!(
            (&status["summary"], &status["copy_queue_length"]),
            (&"failed".into(), &0.into()),
            "{status}"
        );
        assert_eq!(status["inspected"]["generation"], 6);
        site.run(5, &["restore", "SG1"]);
        let (report, _) = site.run(1, &["restore", "SG1", "--force", "--try-source"]);
        assert_eq!(report["loss"]["first"], 7, "{report}");
        assert_eq!(rows_of(&site.path("srv2/MBX1.edb")).len(), 854);
    }
}

#[test]
fn an_update_says_beforehand_what_it_removes_and_puts_aside() {
    let site = Exchange::copied_at(6);
    // The copy's database was mounted and worked on: it may exist nowhere else.
    fs::copy(site.original("db.edb"), site.path("srv2/MBX1.edb")).unwrap();
    let before = site.files("srv2");
    let update = ["update", "SG1", "--delete-existing-files"];
    let (plan, _) = site.run(0, &[&update[..], &["--dry-run"]].concat());
    assert!(site.files("srv2") == before, "a dry run changes nothing");
    let database = site.text("srv2/MBX1.edb");
    assert_eq!(plan["puts_aside"], database, "{plan}");
    let removes = plan["removes"].as_array().unwrap();
    for path in removes {
        assert!(path.as_str().unwrap().ends_with(".log"), "{plan}");
    }
    let (report, _) = site.run(0, &update);
    assert_eq!(report["removed"], removes.len(), "{report}");
    let kept = fs::read(report["put_aside"][0].as_str().unwrap()).unwrap();
    assert!(kept == before["MBX1.edb"]);
    site.run(5, &["update", "SG1", "--dry-run"]);
}

/// Makes all logs of SRV1 those of an engine whose headers keep no checksum of the log before (Windows Server 2012 R2 and
/// older).
fn of_an_older_engine(site: &Exchange) {
    for (name, mut bytes) in site.files("srv1") {
        if name.ends_with(".log") {
            keep_no_checksum(&mut bytes);
            fs::write(site.path("srv1").join(name), bytes).unwrap();
        }
    }
}

fn lose_the_end(log: &Path) -> Vec<u8> {
    let whole = fs::read(log).unwrap();
    let mut short = whole.clone();
    let half = short.len() / 2 / 4096 * 4096;
    short[half..].fill(0);
    fs::write(log, short).unwrap();
    whole
}

#[test]
fn a_log_whose_end_is_missing_is_held_against_the_one_after_it() {
    let site = Exchange::at(NEWEST);
    of_an_older_engine(&site);
    let whole = lose_the_end(&site.log("srv1", 8));
    site.enable(0, &[]);
    let before = site.files("srv1");
    site.run(1, &["run", "--once", "--truncate-source"]);
    let status = site.status();
    assert_eq!(status["inspected"]["generation"], 7, "{status}");
    let trouble = &status["trouble"];
    assert_eq!(
        (
            &trouble["kind"],
            &trouble["generation"],
            &trouble["jet"]["code"]
        ),
        (&"damaged".into(), &8.into(), &(-501).into()),
        "{status}"
    );
    assert!(site.files("srv1") == before, "nothing is deleted");

    fs::write(site.log("srv1", 8), whole).unwrap();
    site.run(0, &["run", "--once"]);
    let status = site.status();
    let proofs = status["proofs"].as_array().unwrap();
    assert!(!proofs.is_empty(), "{status}");
    for proof in proofs {
        assert_eq!(proof["proof"], "full", "{status}");
    }
    assert_eq!(proofs.last().unwrap()["last"], NEWEST - 1, "{status}");
}

#[test]
fn a_log_whose_end_is_missing_is_found_out_when_the_next_one_comes() {
    let site = Exchange::at(8);
    site.write_until(9);
    of_an_older_engine(&site);
    lose_the_end(&site.log("srv1", 8));
    fs::remove_file(site.path("srv1/E00.log")).unwrap();
    site.enable(0, &[]);
    // Nothing after it: it is taken, and nothing proves it.
    site.run(1, &["run", "--once"]);
    let status = site.status();
    assert_eq!(status["inspected"]["generation"], 8, "{status}");
    let last = status["proofs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["last"], &last["proof"]), (&8.into(), &"none".into()));
    site.write_until(10);
    for name in ["E0000000009.log", "E00.log"] {
        let mut bytes = fs::read(site.path("srv1").join(name)).unwrap();
        keep_no_checksum(&mut bytes);
        fs::write(site.path("srv1").join(name), bytes).unwrap();
    }
    site.run(1, &["run", "--once"]);
    let status = site.status();
    assert_eq!(status["summary"], "failed", "{status}");
    assert_eq!(status["inspected"]["generation"], 8, "{status}");
    let reason = status["trouble"]["reason"].as_str().unwrap();
    assert!(
        reason.contains("the log before it is not whole"),
        "{status}"
    );
    let (report, said) = site.run(5, &["restore", "SG1", "--dry-run"]);
    assert_eq!(report["mountable"], false, "{said}");
}
