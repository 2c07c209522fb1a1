//! `logchain` as a user sees it: what it prints, its exit codes, and that it leaves evidence alone.

mod common;

use common::{document, documents, exit, run as program, stdout};
use ese_testkit::damage::{VARIANTS, WorkingCopy};
use ese_testkit::fixtures;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;

fn logchain<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    program("logchain", arguments)
}

fn variant(name: &str) -> WorkingCopy {
    let variant = VARIANTS.iter().find(|variant| variant.name == name);
    variant.expect("there is such a variant").make()
}

fn verify(copy: &WorkingCopy) -> Output {
    let database = copy.path().join("db.edb");
    logchain([
        "verify".as_ref(),
        copy.path().as_os_str(),
        "--db".as_ref(),
        database.as_os_str(),
    ])
}

/// Lines of the verdict, by label.
fn field<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
    let lines = text.lines().map(str::trim);
    lines
        .filter_map(|line| line.strip_prefix(label))
        .map(str::trim)
        .collect()
}

#[test]
fn a_good_stream_is_listed_as_the_engine_lists_it() {
    let copy = variant("undamaged");
    let output = verify(&copy);
    assert_eq!(exit(&output), 0);
    let ours = stdout(&output);
    let expected = VARIANTS.iter().find(|variant| variant.name == "undamaged");
    let expected = expected.unwrap().expected("ml").unwrap();
    let lines = expected.lines().map(str::trim);
    let names = lines.filter_map(|line| line.strip_prefix("Log file: "));
    let names: Vec<_> = names
        .map(|path| path.rsplit('\\').next().unwrap())
        .collect();
    assert_eq!(field(ours, "Log file: "), names);
    assert!(ours.contains("No damaged log files were found."));
    assert_eq!(field(ours, "Log Required: "), ["13-23 (0xd-0x17)"]);
    assert_eq!(field(ours, "Verdict: "), ["READY"]);
}

#[test]
fn a_gap_names_the_file_and_what_to_do() {
    let copy = variant("log-gap-middle");
    let output = verify(&copy);
    assert_eq!(exit(&output), 1);
    let ours = stdout(&output);
    assert!(
        ours.contains(
            "generation 16 (0x10) is missing: edb00010.log [JET -528 (JET_errMissingLogFile)]"
        ),
        "{ours}"
    );
    assert_eq!(
        field(ours, "Verdict: "),
        ["NOT READY [JET -515 (JET_errInvalidLogSequence)]"]
    );
    let advice = field(ours, "Advice: ");
    assert!(
        advice[0].starts_with("find edb00010.log: in backups"),
        "{advice:?}"
    );
}

#[test]
fn all_findings_are_there_not_only_the_first() {
    let copy = variant("log-gap-two");
    copy.flip("edb00005.log", 3 * 4096 + 100, 30);
    copy.flip("edb00013.log", 5 * 4096 + 700, 1);
    copy.write("edb00008.log", &[]);
    let folder = copy.path().as_os_str();
    let output = logchain(["verify".as_ref(), folder, "--json".as_ref()]);
    let report = &documents(&output)[0];
    assert_eq!(report["schema"], "edbkit.log-verify/1");
    let findings = report["findings"].as_array().unwrap().iter();
    let kinds: Vec<(String, String)> = findings
        .filter(|finding| finding["severity"] != "note")
        .map(|finding| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&finding["file"]), text(&finding["detail"]["kind"]))
        })
        .collect();
    let expected = [
        // Not the log after it, which keeps a checksum of it that cannot fit any more.
        ("edb00005.log", "damage"),
        ("edb00008.log", "empty"),
        ("", "gap"),
        ("edb00013.log", "damage"),
    ];
    let expected = expected.map(|(file, kind)| (file.to_owned(), kind.to_owned()));
    assert_eq!(kinds, expected);
    for threads in ["1", "2", "5"] {
        let other = logchain([
            "verify".as_ref(),
            folder,
            "--json".as_ref(),
            "--threads".as_ref(),
            threads.as_ref(),
        ]);
        assert_eq!(
            other.stdout, output.stdout,
            "the same with {threads} threads"
        );
    }
}

#[test]
fn committed_logs_that_are_missing_are_a_loss_with_a_time() {
    let set = fixtures::engine_set("lossy-p8k");
    let copy = WorkingCopy::of(&set.join("state"));
    let output = verify(&copy);
    assert_eq!(exit(&output), 1);
    let ours = stdout(&output);
    assert_eq!(
        field(ours, "Verdict: "),
        ["READY WITH LOSS [JET -582 (JET_errCommittedLogFilesMissing)]"]
    );
    let lost = field(ours, "Lost: ");
    assert!(
        lost[0].starts_with("generations 15-16 (0xf-0x10), begun by 20"),
        "{lost:?}"
    );
}

#[test]
fn records_are_listed_as_the_engine_lists_them() {
    let set = fixtures::engine_set("crash-p8k");
    let state = set.join("state");
    let run = |arguments: &[&str]| {
        let all = ["records".as_ref(), state.as_os_str()].into_iter();
        let output = logchain(all.chain(arguments.iter().map(OsStr::new)));
        assert_eq!(exit(&output), 0, "{arguments:?}");
        output
    };
    let dump = fs::read(set.join("expected/records/mlv-edb.log.txt")).unwrap();
    let dump = String::from_utf8_lossy(&dump);
    let expected = dump
        .lines()
        .filter(|line| line.starts_with('>'))
        .map(str::trim_end);
    let ours = run(&["--from", "0x17"]);
    let ours = stdout(&ours);
    let ours = ours
        .lines()
        .filter(|line| line.starts_with('>'))
        .map(str::trim_end);
    assert!(expected.eq(ours));

    let lines = |arguments: &[&str]| stdout(&run(arguments)).lines().count();
    assert_eq!(lines(&["--from", "0x17", "--type", "undo"]), 24);
    assert_eq!(
        lines(&["--from", "17:6:1", "--to", "0x16"]),
        0,
        "the end before the start"
    );
    let transaction = run(&["--transaction", "0x197c"]);
    let transaction = stdout(&transaction);
    let names: Vec<_> = transaction
        .lines()
        .map(|line| line[20..29].trim())
        .collect();
    assert_eq!(
        names,
        [
            "Begin0", "Insert", "Insert", "Insert", "Insert", "Commit", "Commit0"
        ]
    );
    let json = documents(&run(&["--from", "0x17", "--page", "212", "--json"]));
    assert!(!json.is_empty());
    for record in json {
        assert_eq!(record["schema"], "edbkit.log-record/2");
        assert!(record.to_string().contains("212"), "{record}");
    }
}

#[test]
fn a_damaged_log_stops_the_listing_with_its_place() {
    let copy = variant("log-segment-many-bits-middle");
    let output = logchain(["stat".as_ref(), copy.path().as_os_str()]);
    assert_eq!(exit(&output), 1);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("log damaged at 00000010:000A:0000 [JET -501 (JET_errLogFileCorrupt)]"),
        "{message}"
    );
    assert!(stdout(&output).contains("STOPPED: "));
}

#[test]
fn records_are_named_and_sessions_told_in_one_way_everywhere() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let ask = |command: &str, more: &[&str]| {
        let fixed = [command.as_ref(), state.as_os_str(), "--json".as_ref()];
        documents(&logchain(
            fixed.into_iter().chain(more.iter().map(OsStr::new)),
        ))
    };
    let stat = ask("stat", &[]).remove(0);
    let counted: BTreeSet<String> = stat["types"].as_object().unwrap().keys().cloned().collect();
    let records = ask("records", &[]);
    let of_type = |record: &Value| record["type"].as_str().unwrap().to_owned();
    let listed: BTreeSet<String> = records.iter().map(of_type).collect();
    assert_eq!(listed, counted);
    for name in ["Create M", "McroBegin"] {
        let found = ask("records", &["--type", name]);
        assert!(!found.is_empty() && found.iter().all(|record| of_type(record) == name));
    }
    // The transactions that are open at the end, as `stat` and `edbreplay plan` tell them.
    let database = state.join("db.edb");
    let words = ["plan".as_ref(), database.as_os_str(), "--json".as_ref()];
    let plan = document(&program("edbreplay", words));
    assert_eq!(plan["survey"]["open"], stat["open"]);
    let open = &stat["open"][0];
    let begun = ask(
        "records",
        &[
            "--type",
            "Begin0",
            "--from",
            open["began"].as_str().unwrap(),
        ],
    );
    assert_eq!(begun[0]["lgpos"], open["began"]);
    assert_eq!(begun[0]["procid"], open["procid"]);
    assert_eq!(begun[0]["trx"], open["trx"]);
    let said = logchain(["stat".as_ref(), state.as_os_str()]);
    let said = stdout(&said);
    assert!(
        said.contains(&format!("session {},", open["procid"])),
        "{said}"
    );
    assert!(said.lines().all(|line| line.len() <= 80), "{said}");
}

#[test]
fn stat_counts_what_the_engine_counts() {
    let set = fixtures::engine_set("esc64-cctx-p4k");
    let texts = fixtures::files_below(&set.join("expected/records"));
    let total: u64 = texts
        .iter()
        .map(|path| {
            let text = fs::read(path).unwrap();
            let text = String::from_utf8_lossy(&text);
            let line = text
                .lines()
                .find(|line| line.starts_with("clrTotal"))
                .unwrap();
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum();
    let output = logchain([
        "stat".as_ref(),
        set.join("state").as_os_str(),
        "--json".as_ref(),
    ]);
    assert_eq!(exit(&output), 0);
    let report = &documents(&output)[0];
    assert_eq!(report["total"]["records"], total);
}

#[test]
fn copies_that_parted_are_compared_from_where_they_did() {
    let set = fixtures::engine_set("crash-p8k");
    let (state, recovered) = (set.join("state"), set.join("recovered"));
    let diff = |first: &Path, second: &Path| {
        let output = logchain([
            "diff".as_ref(),
            first.as_os_str(),
            second.as_os_str(),
            "--json".as_ref(),
        ]);
        (exit(&output), documents(&output).remove(0))
    };
    let (code, report) = diff(&state, &recovered);
    assert_eq!(code, 1);
    assert_eq!(report["last_same"], "00000017:0007:038C");
    assert_eq!(
        (&report["first"]["records"], &report["fork"]),
        (&Value::from(0), &Value::from(false))
    );
    assert_eq!(report["second"]["first"][0], "00000017:0007:03E2");
    let (code, report) = diff(&state, &state);
    assert_eq!((code, &report["same_records"]), (0, &Value::from(13275)));
}

#[test]
fn what_is_no_stream_is_said_so() {
    let folder = tempfile::TempDir::new().unwrap();
    fs::write(folder.path().join("setup.log"), "nothing of ESE").unwrap();
    fs::write(folder.path().join("app.log"), "nothing of ESE").unwrap();
    let run = |arguments: &[&str]| {
        let all = ["verify".as_ref(), folder.path().as_os_str()].into_iter();
        logchain(all.chain(arguments.iter().map(OsStr::new)))
    };
    assert_eq!(exit(&run(&[])), 4);
    assert_eq!(exit(&run(&["--base", "E00"])), 4);
    assert_eq!(
        exit(&run(&["--base", "app"])),
        1,
        "asked for by name, it is verified"
    );
    assert_eq!(exit(&logchain(["verify", "/nonexistent"])), 3);
    assert_eq!(exit(&logchain(["verify"])), 2);
}

#[test]
fn nothing_is_written_beside_the_logs() {
    let copy = variant("log-current-last-segment-bits");
    let listing = || {
        let files = fixtures::files_below(copy.path());
        let files = files.into_iter().map(|path| {
            let modified = path.metadata().unwrap().modified().unwrap();
            (fs::read(&path).unwrap(), modified, path)
        });
        files.collect::<Vec<_>>()
    };
    let before = listing();
    let folder = copy.path().as_os_str();
    for command in ["header", "verify", "records", "stat"] {
        logchain([command.as_ref(), folder]);
    }
    logchain(["diff".as_ref(), folder, folder]);
    assert!(listing() == before);
}

/// A folder without a log of the stream that is named answers no question about it.
#[test]
fn a_stream_without_a_log_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let state = fixtures::testdata_set("crash-p8k").join("state");
    fs::copy(state.join("edb.chk"), folder.path().join("edb.chk")).unwrap();
    let path = folder.path().to_str().unwrap();
    for command in ["verify", "header", "records", "stat"] {
        for base in [&["--base", "edb"][..], &[]] {
            let output = logchain([command, path].iter().chain(base));
            assert_eq!(exit(&output), 4, "{command} {base:?}");
        }
    }
    for command in [&["plan"][..], &["run", "--to", "nowhere"]] {
        let output = program(
            "edbreplay",
            [command, &["--logs", path, "--base", "edb"]].concat(),
        );
        assert_eq!(exit(&output), 4, "{command:?}");
    }
}

/// One log is named by its path, whatever it is called; what is none is distinguished from a damaged one.
#[test]
fn the_header_of_one_log_is_that_of_its_folder() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let folder = logchain(["header".as_ref(), state.as_os_str()]);
    let folder = stdout(&folder);
    for name in ["edb0000D.log", "edb.log"] {
        let log = state.join(name);
        let output = logchain(["header".as_ref(), log.as_os_str()]);
        assert_eq!(exit(&output), 0, "{name}");
        let one = stdout(&output);
        assert!(one.contains(&format!("Log file: {name}\n")), "{one}");
        assert!(folder.contains(one.trim_end()), "{one}");
    }
    let place = tempfile::tempdir().unwrap();
    let renamed = place.path().join("exhibit-7.bin");
    fs::copy(state.join("edb0000D.log"), &renamed).unwrap();
    let output = logchain(["header".as_ref(), renamed.as_os_str()]);
    assert_eq!(exit(&output), 0);
    assert!(stdout(&output).contains("lGeneration: 13 (0xD)"));
    for other in ["db.edb", "edb.chk", "edbres00001.jrs"] {
        let output = logchain(["header".as_ref(), state.join(other).as_os_str()]);
        assert_eq!(exit(&output), 4, "{other}");
        assert_eq!(stdout(&output), "", "{other}");
    }
}
