//! How both databases are named, what makes them readable, and what is said of each.

use super::{PAGE, clean, diff};
use crate::common::{document, edbtool, exit, stderr, stdout};
use ese_testkit::fixtures;
use serde_json::Value as Json;
use std::ffi::OsStr;
use std::fs;
use std::process::Output;

type Words<'w> = [&'w dyn AsRef<OsStr>];

fn run(words: &Words<'_>) -> Output {
    run_with(words, &[])
}

fn run_with(words: &Words<'_>, more: &Words<'_>) -> Output {
    let words = words.iter().chain(more).map(AsRef::as_ref);
    edbtool(["diff".as_ref()].into_iter().chain(words))
}

#[test]
fn one_database_at_two_moments() {
    let state = fixtures::testdata_set("efv8520-oldcopy-p4k").join("state");
    let old = state.join("db.edb.old1");
    let at = |moment: &str| format!("{}@{moment}", old.display());
    let logs: [&dyn AsRef<OsStr>; 4] = [&"--with-logs-a", &state, &"--with-logs-b", &state];
    let (a, b) = (at("10"), at("0x10"));
    let output = run_with(&[&a, &b, &"--summary", &"--json"], &logs);
    let found = document(&output);
    assert_eq!(exit(&output), 1, "{}", stderr(&output));
    let moment = |side: &str| {
        let lgpos = found[side]["as_of"]["lgpos"].as_str().unwrap().to_owned();
        assert!(!found[side]["as_of"]["from"].is_null());
        let said = format!("{}: {}: as of {lgpos}", side.to_uppercase(), old.display());
        assert!(stderr(&output).contains(&said), "{}", stderr(&output));
        lgpos
    };
    assert!(moment("a").starts_with("0000000A:"));
    assert!(moment("b").starts_with("00000010:"));
    // Earlier and later is the mirror of later and earlier.
    let output = run_with(&[&b, &a, &"--summary", &"--json"], &logs);
    let mirror = document(&output);
    assert_eq!(mirror["inserted"], found["deleted"]);
    assert_eq!(mirror["deleted"], found["inserted"]);
    assert!(found["inserted"].as_u64() > Some(0), "{found}");

    // What is wrong with one of them is said of it, in words that this command has.
    let never = at("0xFFFF");
    let output = run_with(&[&a, &never], &logs);
    let said = stderr(&output);
    assert_eq!(exit(&output), 5, "{said}");
    assert!(
        said.contains(&format!("error: B: {}: it cannot be shown", old.display())),
        "{said}"
    );
    assert!(
        !said.contains("--as-of") && !said.contains("--with-logs"),
        "{said}"
    );
    let output = run(&[&clean(), &a]);
    assert_eq!(exit(&output), 2);
    assert!(
        stderr(&output).contains("error: B: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_is_after_the_at_is_a_moment_or_said_not_to_be_one() {
    let named = |moment: &str| format!("{}@{moment}", clean().display());
    let output = run(&[&named("nix"), &clean()]);
    assert_eq!(exit(&output), 2);
    assert!(
        stderr(&output).contains("\"nix\" is not a moment"),
        "{}",
        stderr(&output)
    );
    assert_eq!(exit(&run(&[&clean(), &"nowhere.edb@nix"])), 3);
    // A file of the whole name is meant, whatever it looks like.
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("db.edb@9");
    fs::copy(clean(), &whole).unwrap();
    let output = run(&[&clean(), &whole]);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_name_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(OsStr::from_bytes(b"b\xffd.edb"));
    fs::copy(clean(), &odd).unwrap();
    let output = run(&[&clean(), &odd, &"--json"]);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    let path = document(&output)["b"]["path"].as_str().unwrap().to_owned();
    assert!(path.ends_with("b\u{fffd}d.edb"), "{path}");
    let moment = folder.path().join(OsStr::from_bytes(b"b\xffd.edb@3"));
    let output = run(&[&moment, &clean()]);
    assert_eq!(exit(&output), 2);
    assert!(
        stderr(&output).contains("generation 3"),
        "{}",
        stderr(&output)
    );
}

/// The advice to name the stream, or to leave other databases out, can be followed.
#[test]
fn logs_are_chosen_as_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let set = fixtures::testdata_set("multidb-p8k");
    for file in fixtures::files_below(&set.join("state")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !["dbb.edb", "dbc.edb"].contains(&name) {
            fs::copy(&file, folder.path().join(name)).unwrap();
        }
    }
    let logs = folder.path();
    let (database, recovered) = (logs.join("dba.edb"), set.join("recovered/dba.edb"));
    let words: [&dyn AsRef<OsStr>; 4] = [&database, &recovered, &"--with-logs-a", &logs];
    let output = run(&words);
    assert_eq!(exit(&output), 5);
    let said = stderr(&output);
    assert!(
        said.contains("error: A: ") && said.contains("--ignore-missing"),
        "{said}"
    );
    let output = run_with(&words, &[&"--ignore-missing"]);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));

    // The same logs once more, under another name.
    for file in fixtures::files_below(logs) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if let Some(rest) = name
            .strip_prefix("edb")
            .filter(|rest| rest.ends_with(".log"))
        {
            fs::copy(&file, logs.join(format!("E07{rest}"))).unwrap();
        }
    }
    let output = run_with(&words, &[&"--ignore-missing"]);
    let said = stderr(&output);
    assert!(exit(&output) > 1 && said.contains("--base"), "{said}");
    let output = run_with(&words, &[&"--ignore-missing", &"--base", &"edb"]);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    assert_eq!(exit(&run(&[&clean(), &clean(), &"--base", &"edb"])), 2);
}

/// Without a header nobody knows whether logs hold more.
#[test]
fn a_database_without_a_header_is_not_known_to_be_the_same() {
    let mut bytes = fs::read(clean()).unwrap();
    for byte in &mut bytes[..2 * PAGE] {
        *byte ^= 0x5a;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let found = diff(&clean(), file.path());
    assert_eq!(found.exit, 1);
    assert_eq!(found.account["verdict"], "unknown");
    assert_eq!(found.account["a"]["dirty"], false);
    assert_eq!(found.account["b"]["dirty"], Json::Null);
    assert_eq!(
        found.account["headerless"],
        serde_json::json!({"a": false, "b": true})
    );
    let output = run(&[&clean(), &file.path()]);
    let said = stdout(&output);
    assert!(said.starts_with("Not known to differ"), "{said}");
    assert!(stderr(&output).contains("B: neither copy of the header can be trusted"));
}

/// Values that are too long for the line are said to be there.
#[test]
fn a_value_that_is_left_out_is_not_called_null() {
    let set = fixtures::testdata_set("crash-p8k");
    let (a, b) = (set.join("state/db.edb"), set.join("recovered/db.edb"));
    let output = run(&[&a, &b, &"--inline-limit", &"8"]);
    let said = stdout(&output);
    assert!(
        said.contains("(cannot be read) -> (27827 bytes, not shown)"),
        "{said}"
    );
    assert!(
        said.lines()
            .any(|line| line.starts_with("  + ") && line.contains("not shown)"))
    );
    assert!(!said.contains("null -> null"), "{said}");
}
