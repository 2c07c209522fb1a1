//! `edbreplay` as a user sees it: what it prints, its exit codes, and that it leaves the source alone.

mod common;

use common::{document, exit, run as program, stderr};
use ese_testkit::damage::VARIANTS;
use ese_testkit::fixtures;
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn edbreplay<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    program("edbreplay", arguments)
}

/// A copy of a set's `state/`.
fn copy_of(set: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures::engine_set(set).join("state")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn recover(database: &Path, logs: &Path, more: &[&OsStr]) -> Output {
    let mut arguments: Vec<&OsStr> = vec![
        "run".as_ref(),
        database.as_os_str(),
        "--logs".as_ref(),
        logs.as_os_str(),
        "--json".as_ref(),
    ];
    arguments.extend(more);
    edbreplay(arguments)
}

/// What is after both headers.
fn pages(path: &Path, page_size: usize) -> Vec<u8> {
    fs::read(path).unwrap().split_off(2 * page_size)
}

#[test]
fn a_new_file_an_overlay_and_the_database_itself_get_the_same_pages() {
    let source = copy_of("crash-p8k");
    let before = contents(source.path());
    let out = tempfile::tempdir().unwrap();
    let (new, overlay) = (out.path().join("new.edb"), out.path().join("pages.overlay"));
    let database = source.path().join("db.edb");
    let to = recover(
        &database,
        source.path(),
        &["--to".as_ref(), new.as_os_str()],
    );
    assert_eq!(exit(&to), 0, "{}", stderr(&to));
    let report = document(&to);
    assert_eq!(report["schema"], "edbkit.replay-run/1");
    assert_eq!(report["databases"][0]["state"]["name"], "Clean Shutdown");
    assert!(report["redo"]["types"]["Insert"]["applied"].as_u64() > Some(0));
    let laid = recover(
        &database,
        source.path(),
        &["--overlay".as_ref(), overlay.as_os_str()],
    );
    assert_eq!(exit(&laid), 0, "{}", stderr(&laid));
    assert!(fs::metadata(&overlay).unwrap().len() < fs::metadata(&new).unwrap().len());
    assert!(contents(source.path()) == before, "the source was changed");

    let again = recover(
        &database,
        source.path(),
        &["--to".as_ref(), new.as_os_str()],
    );
    assert_eq!(exit(&again), 5, "an existing result must not be replaced");
    let onto = recover(
        &database,
        source.path(),
        &["--to".as_ref(), database.as_os_str(), "--force".as_ref()],
    );
    assert_eq!(exit(&onto), 5, "the source must not be its own result");
    assert!(contents(source.path()) == before, "the source was changed");

    let in_place = recover(&database, source.path(), &["--in-place".as_ref()]);
    assert_eq!(exit(&in_place), 0, "{}", stderr(&in_place));
    assert!(pages(&database, 8192) == pages(&new, 8192));
    let names = contents(source.path());
    assert!(
        names.keys().eq(before.keys()),
        "something was left behind: {:?}",
        names.keys()
    );
    let others = before.iter().filter(|(path, _)| **path != database);
    assert!(
        others.clone().all(|(path, bytes)| names[path] == *bytes),
        "another file was changed"
    );

    let once_more = recover(&database, source.path(), &["--in-place".as_ref()]);
    assert_eq!(
        exit(&once_more),
        0,
        "a clean database stays as it is: {}",
        stderr(&once_more)
    );
    assert!(pages(&database, 8192) == pages(&new, 8192));
}

#[test]
fn committed_work_is_given_up_only_when_asked() {
    let source = copy_of("lossy-p8k");
    let out = tempfile::tempdir().unwrap();
    let new = out.path().join("new.edb");
    let database = source.path().join("db.edb");
    let refused = recover(
        &database,
        source.path(),
        &["--to".as_ref(), new.as_os_str()],
    );
    assert_eq!(exit(&refused), 5);
    assert!(stderr(&refused).contains("-582"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--lossy"));
    assert!(!new.exists());
    let lossy = recover(
        &database,
        source.path(),
        &["--lossy".as_ref(), "--to".as_ref(), new.as_os_str()],
    );
    assert_eq!(exit(&lossy), 1, "{}", stderr(&lossy));
    assert_eq!(document(&lossy)["losses"].as_array().map(Vec::len), Some(1));
    let plan = edbreplay([
        "plan".as_ref(),
        database.as_os_str(),
        "--logs".as_ref(),
        source.path().as_os_str(),
    ]);
    assert_eq!(exit(&plan), 1);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(
        text.contains("READY WITH LOSS") && text.contains("-582"),
        "{text}"
    );
}

/// A clean copy is no worse without its logs, but it stays behind: that is not to be had in silence. Where the record that
/// attaches it again is missing and later logs are there, nothing can be obtained at all.
#[test]
fn a_clean_copy_whose_first_later_log_cannot_be_used_stays_behind() {
    const FIRST: &str = "E0000000002.log";
    let flip = |path: &Path, offset: usize| {
        let mut bytes = fs::read(path).unwrap();
        // One bit would be corrected.
        for index in 0..3 {
            bytes[offset + 97 * index] ^= 8;
        }
        fs::write(path, bytes).unwrap();
    };
    let cases = [
        ("-501", Some(20)),
        ("-501", Some(10 * 4096 + 600)),
        ("-1216", None),
    ];
    for (jet, damaged_at) in cases {
        let source = copy_of("exchange-standby-p8k");
        let out = tempfile::tempdir().unwrap();
        let new = out.path().join("new.edb");
        let to: [&OsStr; 2] = ["--to".as_ref(), new.as_os_str()];
        let database = source.path().join("db.edb.old1");
        let brought = recover(&database, source.path(), &to);
        assert_eq!(exit(&brought), 0, "{}", stderr(&brought));
        assert!(pages(&new, 8192) != pages(&database, 8192));
        fs::remove_file(&new).unwrap();

        let first = source.path().join(FIRST);
        match damaged_at {
            Some(offset) => flip(&first, offset),
            None => fs::remove_file(first).unwrap(),
        }
        let plan = edbreplay([
            "plan".as_ref(),
            database.as_os_str(),
            "--logs".as_ref(),
            source.path().as_os_str(),
        ]);
        let text = String::from_utf8_lossy(&plan.stdout).into_owned();
        assert_eq!(exit(&plan), 1, "{text}");
        let verdict = match damaged_at {
            Some(_) => "READY WITH LOSS",
            None => "NOT READY",
        };
        assert!(text.contains(verdict) && text.contains(jet), "{text}");
        let refused = recover(&database, source.path(), &to);
        assert_eq!(exit(&refused), 5, "{}", stderr(&refused));
        assert!(stderr(&refused).contains(jet) && !new.exists());
        if damaged_at.is_none() {
            let lossy = [&to[..], &["--lossy".as_ref()]].concat();
            let refused = recover(&database, source.path(), &lossy);
            assert_eq!(exit(&refused), 5, "{}", stderr(&refused));
            assert!(!new.exists());
            continue;
        }
        let lossy = recover(
            &database,
            source.path(),
            &[&to[..], &["--lossy".as_ref()]].concat(),
        );
        assert_eq!(exit(&lossy), 1, "{}", stderr(&lossy));
        assert_eq!(document(&lossy)["losses"].as_array().map(Vec::len), Some(1));
        assert!(pages(&new, 8192) == pages(&database, 8192));
    }
}

#[test]
fn databases_of_the_stream_that_are_not_named_must_be_left_out_knowingly() {
    let source = copy_of("multidb-p8k");
    let out = tempfile::tempdir().unwrap();
    let new = out.path().join("new.edb");
    let database = source.path().join("dba.edb");
    let refused = recover(
        &database,
        source.path(),
        &["--to".as_ref(), new.as_os_str()],
    );
    assert_eq!(exit(&refused), 5);
    assert!(stderr(&refused).contains("-1216"), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("dbb.edb") && stderr(&refused).contains("dbc.edb"));
    let left_out = recover(
        &database,
        source.path(),
        &[
            "--ignore-missing".as_ref(),
            "--to".as_ref(),
            new.as_os_str(),
        ],
    );
    assert_eq!(exit(&left_out), 0, "{}", stderr(&left_out));

    let created = recover(
        Path::new("--ignore-missing"),
        source.path(),
        &[
            "--map".as_ref(),
            format!("dbb.edb={}", out.path().join("b.edb").display()).as_ref(),
            "--to".as_ref(),
            out.path().as_os_str(),
        ],
    );
    assert_eq!(exit(&created), 0, "{}", stderr(&created));
    let mut names: Vec<_> = contents(out.path()).into_keys().collect();
    names.retain(|path| path != &new);
    assert_eq!(
        names,
        ["b.edb", "dba.edb", "dbc.edb"].map(|name| out.path().join(name))
    );
}

#[test]
fn limits_stop_a_replay_where_they_say() {
    let source = copy_of("exchange-standby-p8k");
    let out = tempfile::tempdir().unwrap();
    let old = source.path().join("db.edb.old1");
    let run = |name: &str, more: &[&str]| {
        let new = out.path().join(name);
        let mut arguments: Vec<&OsStr> = more.iter().map(OsStr::new).collect();
        arguments.extend(["--to".as_ref(), new.as_os_str()]);
        recover(&old, source.path(), &arguments)
    };
    let whole = document(&run("whole.edb", &[]));
    let all = whole["records"].as_u64().unwrap();
    let early = run("until.edb", &["--until", "7"]);
    assert_eq!(exit(&early), 0, "{}", stderr(&early));
    let early = document(&early);
    assert_eq!(early["last"], 7);
    assert!(early["records"].as_u64().unwrap() < all);
    let position = document(&run("lgpos.edb", &["--until-lgpos", "00000007:0001:0000"]));
    assert!(position["records"].as_u64() < early["records"].as_u64());

    // The old copy was shut down in generation 2.
    for limit in [
        ["--until", "1"],
        ["--until-lgpos", "00000002:0001:0000"],
        ["--until-time", "2001-01-01T00:00:00Z"],
    ] {
        let never = run("never.edb", &limit);
        assert_eq!(exit(&never), 5, "{limit:?}");
        let said = stderr(&never);
        assert!(
            said.contains("last consistent at 00000002:00D8:0BC2") && said.contains("older copy"),
            "{said}"
        );
        let plan: [&OsStr; 4] = [
            "plan".as_ref(),
            old.as_os_str(),
            "--logs".as_ref(),
            source.path().as_os_str(),
        ];
        let plan = edbreplay(plan.into_iter().chain(limit.iter().map(OsStr::new)));
        assert_eq!(exit(&plan), 1, "{limit:?}");
        let waiting = run("waiting.edb", &[&limit[..], &["--until-undo"]].concat());
        assert_eq!(exit(&waiting), 0, "{}", stderr(&waiting));
        assert!(!out.path().join("never.edb").exists());
        fs::remove_file(out.path().join("waiting.edb")).unwrap();
    }

    // The crashed database holds changes of later logs already: it cannot stop before them.
    let new = out.path().join("dirty.edb");
    let dirty = recover(
        &source.path().join("db.edb"),
        source.path(),
        &[
            "--until".as_ref(),
            "7".as_ref(),
            "--to".as_ref(),
            new.as_os_str(),
        ],
    );
    assert_eq!(exit(&dirty), 5, "{}", stderr(&dirty));
    assert!(!new.exists());
    let standby = recover(
        &source.path().join("db.edb"),
        source.path(),
        &[
            "--until".as_ref(),
            "7".as_ref(),
            "--until-undo".as_ref(),
            "--to".as_ref(),
            new.as_os_str(),
        ],
    );
    assert_eq!(exit(&standby), 0, "{}", stderr(&standby));
    assert_eq!(
        document(&standby)["databases"][0]["state"]["name"],
        "Dirty Shutdown"
    );
}

/// The logs that would bring the copy to the limit are missing, and a log after it says so.
#[test]
fn a_limit_in_a_gap_of_the_logs_is_not_taken_for_the_end_of_them() {
    let source = copy_of("exchange-standby-p8k");
    for generation in 1..=3 {
        fs::remove_file(source.path().join(format!("E000000000{generation}.log"))).unwrap();
    }
    let new = source.path().join("new.edb");
    for limit in [["--until", "3"], ["--until-lgpos", "00000003:00FF:0000"]] {
        let more = limit.iter().chain(&["--to"]).map(OsStr::new);
        let more: Vec<&OsStr> = more.chain([new.as_os_str()]).collect();
        let refused = recover(&source.path().join("db.edb.old1"), source.path(), &more);
        assert_eq!(exit(&refused), 5, "{limit:?}");
        assert!(stderr(&refused).contains("-1216"), "{}", stderr(&refused));
        assert!(!new.exists());
    }
}

#[test]
fn a_quick_plan_with_a_limit_says_what_the_trial_says() {
    let sets = fixtures::engine_set_names();
    let tried: Vec<(usize, usize)> = sets
        .par_iter()
        .map(|name| {
            let state = fixtures::engine_set(name).join("state");
            let logs = fixtures::files_below(&state);
            let is_log = |path: &&PathBuf| path.extension().is_some_and(|end| end == "log");
            let most = logs.iter().filter(is_log).count();
            let (mut ready, mut not_ready) = (0, 0);
            for limit in (1..=most.min(6)).chain(most.saturating_sub(3).max(7)..=most) {
                let limit = limit.to_string();
                let words = ["plan", "--until", &limit, "--logs"].map(OsStr::new);
                let database = state.join("db.edb");
                let words = words
                    .into_iter()
                    .chain([state.as_os_str(), database.as_os_str()]);
                let whole = edbreplay(words.clone());
                let quick = edbreplay(words.chain(["--quick".as_ref()]));
                let of = (name, limit, stderr(&quick));
                assert_eq!(exit(&quick), exit(&whole), "{of:?}");
                match exit(&quick) {
                    0 => ready += 1,
                    _ => not_ready += 1,
                }
            }
            (ready, not_ready)
        })
        .collect();
    let (ready, not_ready) = tried
        .iter()
        .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    println!("{ready} plans are ready, {not_ready} are not");
    assert!(ready > 10 && not_ready > 10);
}

#[test]
fn two_databases_of_the_same_name_do_not_overwrite_each_other() {
    let source = copy_of("multidb-p8k");
    let out = tempfile::tempdir().unwrap();
    let folder = source.path().join("other");
    fs::create_dir(&folder).unwrap();
    fs::rename(source.path().join("dbb.edb"), folder.join("dba.edb")).unwrap();
    let both = edbreplay([
        "run".as_ref(),
        source.path().join("dba.edb").as_os_str(),
        folder.join("dba.edb").as_os_str(),
        "--ignore-missing".as_ref(),
        "--logs".as_ref(),
        source.path().as_os_str(),
        "--to".as_ref(),
        out.path().as_os_str(),
    ]);
    assert_eq!(exit(&both), 2, "{}", stderr(&both));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

/// The variant in which we end otherwise than the engine: our exit code, and what we say. The engine looks for the
/// databases that the logs name, and misses one (-1216); we are told a file, and it is not there. What the engine cannot
/// do is [to make it from its logs](a_missing_database_is_made_from_its_logs).
fn ends_otherwise(variant: &str) -> Option<(i32, &'static str)> {
    (variant == "db-missing").then_some((3, "No such file"))
}

#[test]
fn a_missing_database_is_made_from_its_logs() {
    let made = |name: &str, named: bool| {
        let variant = VARIANTS.iter().find(|variant| variant.name == name);
        let copy = variant.expect("the variant is there").make();
        let out = tempfile::tempdir().unwrap();
        let new = out.path().join("new.edb");
        let database = copy.path().join("db.edb");
        let mut arguments = vec!["run".as_ref(), "--logs".as_ref(), copy.path().as_os_str()];
        arguments.extend(["--to".as_ref(), new.as_os_str()]);
        if named {
            arguments.push(database.as_os_str());
        }
        let done = edbreplay(arguments);
        assert_eq!(exit(&done), 0, "{}", stderr(&done));
        fs::read(new).unwrap()
    };
    let (found, wanted) = (made("db-missing", false), made("undamaged", true));
    assert_eq!(found.len(), wanted.len());
    for (index, (found, wanted)) in found
        .chunks(8192)
        .zip(wanted.chunks(8192))
        .enumerate()
        .skip(2)
    {
        let page = |bytes| {
            ese_format::page::PageView::new(ese_format::Pgno(index as u32 - 1), bytes).unwrap()
        };
        let content = |bytes| {
            let page = page(bytes);
            let nodes = page.nodes().map(|node| {
                node.map(|node| (node.key().to_vec(), node.data.to_vec()))
                    .unwrap()
            });
            (page.header().dbtime(), nodes.collect::<Vec<_>>())
        };
        assert!(content(found) == content(wanted), "page {}", index - 1);
    }
}

#[test]
fn databases_that_the_logs_create_do_not_overwrite_each_other() {
    let set = fixtures::engine_set("multidb-p8k");
    let out = tempfile::tempdir().unwrap();
    let run = |to: &Path| {
        let state = set.join("state");
        let arguments = [
            "run".as_ref(),
            "--logs".as_ref(),
            state.as_os_str(),
            "--to".as_ref(),
        ];
        edbreplay(arguments.into_iter().chain([to.as_os_str()]))
    };
    let one = out.path().join("one.edb");
    let refused = run(&one);
    assert_eq!(exit(&refused), 5, "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("create several databases"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(
        fs::read_dir(out.path()).unwrap().count(),
        0,
        "nothing is left"
    );
    let done = run(out.path());
    assert_eq!(exit(&done), 0, "{}", stderr(&done));
    let mut made: Vec<_> = fs::read_dir(out.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    made.sort();
    assert_eq!(made, ["dba.edb", "dbb.edb", "dbc.edb"]);
}

/// The engine's error in the text of a recovery; none if it succeeded.
fn engine_error(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once("terminated with error ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

#[test]
fn damage_ends_a_recovery_as_it_ends_the_engine_s() {
    let problems: Vec<String> = (VARIANTS.par_iter())
        .filter_map(|variant| {
            let copy = variant.make();
            let before = contents(copy.path());
            let expected = engine_error(&variant.expected("recovery")?);
            let out = tempfile::tempdir().unwrap();
            let new = out.path().join("new.edb");
            let database = copy.path().join("db.edb");
            let ours = recover(&database, copy.path(), &["--to".as_ref(), new.as_os_str()]);
            assert!(
                contents(copy.path()) == before,
                "{}: the source was changed",
                variant.name
            );
            let words = stderr(&ours);
            let same = match &expected {
                None => exit(&ours) == 0,
                Some(jet) => words.contains(&format!("{jet} (")),
            };
            let left = fs::read_dir(out.path()).unwrap().count();
            assert_eq!(
                left,
                usize::from(exit(&ours) == 0),
                "{}: files left",
                variant.name
            );
            let as_listed = match ends_otherwise(variant.name) {
                Some((code, what)) => !same && exit(&ours) == code && words.contains(what),
                None => same,
            };
            (!as_listed).then(|| {
                format!(
                    "{}: the engine's end is {expected:?}, ours {}: {words}",
                    variant.name,
                    exit(&ours)
                )
            })
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The report of a run without what differs from run to run: places, times, and digests of headers that hold a time.
fn comparable(mut report: Value) -> Value {
    for key in ["seconds", "log_bytes_per_second", "profile"] {
        report.as_object_mut().unwrap().remove(key);
    }
    for database in report["databases"].as_array_mut().unwrap() {
        database.as_object_mut().unwrap().remove("result");
        // How often a page is written depends on the memory.
        database.as_object_mut().unwrap().remove("pages");
    }
    for counts in report["redo"]["types"]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        counts.as_object_mut().unwrap().remove("seconds");
    }
    report
}

#[test]
fn threads_memory_and_profile_change_nothing_but_the_time() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let to = tempfile::tempdir().unwrap();
    let variants: [&[&str]; 4] = [
        &["--threads", "1"],
        &["--threads", "2"],
        &["--threads", "2", "--memory", "1KiB"],
        &["--threads", "2", "--profile"],
    ];
    let results = variants.map(|options| {
        let out = to.path().join(options.concat());
        let mut more = vec![OsStr::new("--to"), out.as_os_str()];
        more.extend(options.iter().map(OsStr::new));
        let output = recover(&state.join("db.edb"), &state, &more);
        assert_eq!(exit(&output), 0, "{}", stderr(&output));
        let report = document(&output);
        let profiled = options.contains(&"--profile");
        assert_eq!(report.get("profile").is_some(), profiled);
        assert_eq!(
            report["redo"]["types"]["Insert"].get("seconds").is_some(),
            profiled
        );
        (comparable(report), pages(&out, 8192))
    });
    for (options, result) in variants.iter().zip(&results) {
        assert!(*result == results[0], "{options:?}");
    }
}

#[test]
fn results_of_all_programs_have_the_mode_of_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let source = copy_of("crash-p8k");
    let place = tempfile::tempdir().unwrap();
    let script = r#"
        umask "$1"; set -e
        "$EDBREPLAY" run "$SOURCE/db.edb" --logs "$SOURCE" --to db.edb
        "$EDBTOOL" export db.edb --to rows
        "$EDBTOOL" verify db.edb --resume place.json
        "$EDBCOPY" manifest db.edb --output manifest.json
        "$EDBCOPY" copy db.edb copied/db.edb --manifest copied/db.json
    "#;
    for (umask, expected) in [("027", 0o640), ("002", 0o664)] {
        let folder = place.path().join(umask);
        fs::create_dir_all(folder.join("copied")).unwrap();
        let output = Command::new("sh")
            .args(["-c", script, "sh", umask])
            .current_dir(&folder)
            .env("SOURCE", source.path())
            .env("EDBREPLAY", env!("CARGO_BIN_EXE_edbreplay"))
            .env("EDBTOOL", env!("CARGO_BIN_EXE_edbtool"))
            .env("EDBCOPY", env!("CARGO_BIN_EXE_edbcopy"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let mut seen = 0;
        for path in fixtures::files_below(&folder) {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, expected, "{} {mode:o}", path.display());
            seen += 1;
        }
        assert!(seen >= 9, "{seen} files");
    }
}
