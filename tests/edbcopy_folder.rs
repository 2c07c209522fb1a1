//! `edbcopy` before and after the copy: what it would do, what it says of a whole folder, and what it leaves.

mod common;

use common::{command, documents, run, stderr, stdout};
use ese_testkit::fixtures;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const PAGE: usize = 4096;

fn edbcopy<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    run("edbcopy", arguments)
}

/// `edbcopy copy SOURCE TARGET` and more.
fn copy(source: &Path, target: &Path, more: &[&str]) -> Output {
    let paths = ["copy".as_ref(), source.as_os_str(), target.as_os_str()];
    edbcopy(paths.into_iter().chain(more.iter().map(OsStr::new)))
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
}

/// A clean database of `pages` pages, all of them with the same dbtime.
fn database(pages: usize) -> Vec<u8> {
    let mut bytes = fs::read(fixtures::testdata_set("clean-p4k").join("state/db.edb")).unwrap();
    bytes.truncate(2 * PAGE);
    bytes.resize(pages * PAGE, 0);
    for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate().skip(2) {
        page[8..16].copy_from_slice(&77u64.to_le_bytes());
        page[80..88].copy_from_slice(&(number as u64).to_le_bytes());
        assert!(ese_checksum::seal_page(page, number as u32 - 1));
    }
    bytes
}

fn spoil(bytes: &mut [u8], page: usize) {
    for byte in &mut bytes[page * PAGE + 100..page * PAGE + 400] {
        *byte ^= 0x55;
    }
}

/// A folder with a clean database and `logs` files that are logs by their names.
fn group(logs: u32) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("mailbox.edb"), database(64)).unwrap();
    for log in 1..=logs {
        let name = format!("E00{log:08X}.log");
        fs::write(folder.path().join(name), log.to_le_bytes()).unwrap();
    }
    folder
}

/// Everything below a folder: content of files, `None` for folders.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let content = path.is_file().then(|| fs::read(&path).unwrap());
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, content);
        }
    }
    found
}

#[test]
fn a_dry_run_writes_nothing_and_ends_as_the_real_run() {
    let source = group(3);
    let database = source.path().join("mailbox.edb");
    let place = TempDir::new().unwrap();
    let older = place.path().join("older.edb");
    let mut bytes = fs::read(&database).unwrap();
    bytes[20 * PAGE + 200] ^= 1;
    fs::write(&older, bytes).unwrap();
    let stale = place.path().join("stale.edb");
    fs::write(place.path().join("stale.edb.partial"), b"of what?").unwrap();
    let dirty = fixtures::testdata_set("crash-p8k").join("state");
    let folder = place.path().join("new/group");
    let cases: [(&Path, &Path, &[&str], &str); 11] = [
        (&database, &older, &[], ""),
        (&database, &older, &["--delta"], "update"),
        (&database, &older, &["--force"], "replace"),
        (&database, &stale, &[], ""),
        (&database, &stale, &["--restart"], "copy"),
        (&database, &place.path().join("no/such.edb"), &[], ""),
        (&database, &database, &["--force"], ""),
        (&dirty.join("db.edb"), &place.path().join("d.edb"), &[], ""),
        (source.path(), &folder, &[], "copy"),
        (&dirty, &place.path().join("dirty"), &[], ""),
        (
            &dirty,
            &place.path().join("dirty"),
            &["--allow-dirty"],
            "copy",
        ),
    ];
    for (from, to, options, action) in cases {
        let before = tree(place.path());
        let dry: Vec<&str> = options.iter().copied().chain(["--dry-run"]).collect();
        let said = copy(from, to, &dry);
        let json = copy(from, to, &[&dry[..], &["--json"]].concat());
        assert_eq!(tree(place.path()), before, "{to:?} {options:?}");
        let done = copy(from, to, options);
        assert_eq!(said.status.code(), done.status.code(), "{to:?} {options:?}");
        assert_eq!(json.status.code(), done.status.code());
        let why = |output: &Output| stderr(output).lines().next().map(str::to_owned);
        assert_eq!(why(&said), why(&done), "{to:?} {options:?}");
        let plans = documents(&json);
        match action {
            "" => assert!(
                plans
                    .iter()
                    .any(|plan| plan["schema"] == "edbkit.failure/1")
            ),
            action => {
                assert_eq!(plans[0]["action"], action);
                assert!(stdout(&said).contains("Nothing was written."));
            }
        }
        if (to, options) == (stale.as_path(), &["--restart"][..]) {
            assert_eq!(plans[0]["deletes"]["bytes"], 8);
        }
        if (to, options) == (older.as_path(), &["--force"][..]) {
            assert_eq!(plans[0]["overwrites"]["bytes"], 64 * PAGE);
        }
        if to == folder {
            let sum = plans.last().unwrap();
            assert_eq!(sum["schema"], "edbkit.copy-folder-plan/1");
            assert_eq!(sum["files_to_come"], 4);
            assert_eq!(sum["bytes_to_come"], 64 * PAGE + 12);
        }
    }
}

#[test]
fn a_folder_of_many_logs_is_one_summary_and_needs_few_open_files() {
    let source = group(300);
    let place = TempDir::new().unwrap();
    let target = place.path().join("copy");
    let limited = |more: &str| {
        let script = format!(r#"ulimit -n 64; exec "$0" copy "$1" "$2" {more}"#);
        Command::new("sh")
            .args([
                "-c".as_ref(),
                script.as_ref(),
                OsStr::new(env!("CARGO_BIN_EXE_edbcopy")),
            ])
            .args([source.path(), &target])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = limited("--verify");
    exits(&output, 0);
    let text = stdout(&output);
    assert!(text.contains("301 of 301 arrived"), "{text}");
    assert!(text.contains("1 database, 300 logs"), "{text}");
    assert!(
        text.contains("Database: mailbox.edb, Clean Shutdown"),
        "{text}"
    );
    assert!(text.lines().count() < 12, "{text}");
    let own = text.lines().filter(|line| !line.contains(" -> "));
    assert!(own.clone().all(|line| line.len() <= 80), "{text}");
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    // Every file only where that is asked for; in JSON always.
    let verbose = limited("--verbose");
    let verbose = stdout(&verbose);
    assert_eq!(verbose.matches("Copy: ").count(), 301);
    let json = documents(&limited("--json"));
    assert_eq!(json.len(), 302);
    assert_eq!(json[301]["schema"], "edbkit.copy-folder/1");
    assert_eq!(json[301]["outcome"], "already_complete");

    // A journal for each of them; one command takes them away, and nothing else.
    let journals = || {
        let names = tree(&target).into_keys();
        names
            .filter(|path| path.extension() == Some("edbcopy".as_ref()))
            .count()
    };
    assert_eq!(journals(), 301);
    exits(
        &edbcopy(["clean".as_ref(), target.as_os_str(), "--dry-run".as_ref()]),
        0,
    );
    assert_eq!(journals(), 301);
    let cleaned = edbcopy(["clean".as_ref(), target.as_os_str()]);
    exits(&cleaned, 0);
    assert!(stdout(&cleaned).starts_with("301 journals removed"));
    assert_eq!(tree(&target).len(), 301);
    exits(&edbcopy(["clean".as_ref(), target.as_os_str()]), 3);
}

#[test]
fn clean_keeps_every_journal_that_something_needs() {
    let source = group(0);
    let place = TempDir::new().unwrap();
    let copies = ["whole", "changed", "gone", "partial"].map(|name| place.path().join(name));
    let [whole, changed, gone, partial] = &copies;
    for target in [whole, changed, gone] {
        exits(&copy(&source.path().join("mailbox.edb"), target, &[]), 0);
    }
    fs::write(changed, b"mounted since").unwrap();
    fs::remove_file(gone).unwrap();
    fs::write(place.path().join("partial.edbcopy"), b"torn").unwrap();
    let clean = |more: &[&str]| {
        let arguments = [
            "clean".as_ref(),
            place.path().as_os_str(),
            "--json".as_ref(),
        ];
        edbcopy(arguments.into_iter().chain(more.iter().map(OsStr::new)))
    };
    let kept = |output: &Output| -> Vec<Value> {
        documents(output)
            .iter()
            .map(|one| one["kept"].clone())
            .collect()
    };
    let first = clean(&[]);
    exits(&first, 1);
    assert_eq!(
        kept(&first),
        ["copy_changed", "copy_gone", "unreadable"]
            .map(Value::from)
            .into_iter()
            .chain([Value::Null])
            .collect::<Vec<_>>()
    );
    let forced = clean(&["--force"]);
    exits(&forced, 1);
    assert_eq!(
        kept(&forced),
        [Value::Null, "copy_gone".into(), "unreadable".into()]
    );
    assert!(whole.exists() && changed.exists() && !partial.exists());
}

#[test]
fn what_is_refused_leaves_nothing_and_each_file_is_named() {
    let source = group(2);
    let mut damaged = database(64);
    spoil(&mut damaged, 30);
    for name in ["other.edb", "third.edb"] {
        fs::write(source.path().join(name), &damaged).unwrap();
    }
    let place = TempDir::new().unwrap();
    let target = place.path().join("new/group");
    let output = copy(source.path(), &target, &[]);
    exits(&output, 5);
    for name in ["other.edb", "third.edb"] {
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
    let names: Vec<_> = tree(&target).into_keys().collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().contains("other.edb"))
    );
    // What is there already is seen before anything is written.
    let taken = place.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("E0000000002.log"), b"mine").unwrap();
    fs::write(taken.join("mailbox.edb"), b"mine").unwrap();
    let before = tree(&taken);
    let refused = copy(source.path(), &taken, &[]);
    exits(&refused, 5);
    assert_eq!(stderr(&refused).matches("exists already").count(), 2);
    assert_eq!(tree(&taken), before);
    // A single file.
    let single = place.path().join("single.edb");
    let source = source.path().join("other.edb");
    exits(&copy(&source, &single, &[]), 5);
    // An older copy keeps its name and its bytes.
    let older = place.path().join("older.edb");
    fs::write(&older, database(64)).unwrap();
    exits(&copy(&source, &older, &["--delta", "--jobs=1"]), 5);
    assert_eq!(fs::read(&older).unwrap(), database(64));
    let left: Vec<_> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().contains(".edb.")),
        "{left:?}"
    );
}

#[test]
fn another_source_is_told_from_one_that_changed() {
    let place = TempDir::new().unwrap();
    let source = place.path().join("mailbox.edb");
    fs::write(&source, database(64)).unwrap();
    let target = place.path().join("copy.edb");
    exits(&copy(&source, &target, &[]), 0);
    let reason = |source: &Path| {
        let output = copy(source, &target, &["--json"]);
        exits(&output, 5);
        let document = documents(&output).remove(0);
        (
            document["reason"].clone(),
            document["message"].as_str().unwrap().to_owned(),
        )
    };
    fs::write(&source, database(65)).unwrap();
    let (changed, message) = reason(&source);
    assert_eq!(changed, "source_changed");
    assert!(
        message.contains("is not what it was when the copy began"),
        "{message}"
    );
    // The same bytes somewhere else, and another database in the same place.
    let elsewhere = place.path().join("elsewhere.edb");
    fs::write(&elsewhere, database(65)).unwrap();
    let (other, message) = reason(&elsewhere);
    assert_eq!(other, "other_source");
    assert!(
        message.contains("is not the source that the copy began with"),
        "{message}"
    );
    fs::copy(
        fixtures::testdata_set("crash-p8k").join("recovered/db.edb"),
        &source,
    )
    .unwrap();
    let (other, message) = reason(&source);
    assert_eq!(other, "other_source");
    assert!(message.contains("database signature was"), "{message}");
}

#[test]
fn odd_targets_are_answered_and_nothing_is_harmed() {
    let place = TempDir::new().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::write(at("mailbox.edb"), database(64)).unwrap();
    let older = database(70);
    fs::write(at("older.edb"), &older).unwrap();
    fs::hard_link(at("mailbox.edb"), at("hard.edb")).unwrap();
    fs::hard_link(at("older.edb"), at("older-too.edb")).unwrap();
    std::os::unix::fs::symlink("mailbox.edb", at("to-source.edb")).unwrap();
    std::os::unix::fs::symlink("older.edb", at("to-older.edb")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling.edb")).unwrap();
    fs::create_dir_all(at("folder/mailbox.edb")).unwrap();
    let refused: [(&str, &[&str], i32, &str); 10] = [
        ("-", &[], 2, "standard output"),
        ("mailbox.edb", &["--force"], 5, "the source itself"),
        ("hard.edb", &["--delta"], 5, "the source itself"),
        ("to-source.edb", &["--force"], 5, "the source itself"),
        ("to-older.edb", &["--delta"], 5, "a symbolic link"),
        ("dangling.edb", &[], 5, "a symbolic link"),
        ("older-too.edb", &["--delta"], 5, "2 names"),
        ("folder", &["--force"], 5, "a folder"),
        ("new/", &[], 3, "no such folder"),
        ("mailbox.edb/x", &[], 3, "no such folder"),
    ];
    let before = tree(place.path());
    for (target, options, code, why) in refused {
        let output = command("edbcopy")
            .args(["copy", "mailbox.edb", target])
            .args(options)
            .current_dir(place.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        exits(&output, code);
        assert!(
            stderr(&output).contains(why),
            "{target}: {}",
            stderr(&output)
        );
        assert_eq!(tree(place.path()), before, "{target}");
    }
    // What a link leads to stays; the link itself may be replaced, and so may one name of several.
    for link in ["to-older.edb", "older-too.edb"] {
        exits(&copy(&at("mailbox.edb"), &at(link), &["--force"]), 0);
        assert!(!at(link).is_symlink());
        assert_eq!(fs::read(at(link)).unwrap(), database(64));
        assert_eq!(fs::read(at("older.edb")).unwrap(), older);
    }
    fs::create_dir(at("empty")).unwrap();
    exits(&copy(&at("mailbox.edb"), &at("empty"), &[]), 0);
    assert!(at("empty/mailbox.edb").is_file());
}

#[test]
fn an_interrupted_copy_replaces_nothing_that_came_meanwhile() {
    let place = TempDir::new().unwrap();
    let source = place.path().join("mailbox.edb");
    fs::write(&source, database(64)).unwrap();
    let target = place.path().join("copy.edb");
    exits(&copy(&source, &target, &[]), 0);
    // As it was before the last step: all of it has arrived, without the name.
    let journal = place.path().join("copy.edb.edbcopy");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&journal, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    fs::rename(&target, place.path().join("copy.edb.partial")).unwrap();
    let status = edbcopy(["status".as_ref(), "--json".as_ref(), target.as_os_str()]);
    assert_eq!(documents(&status)[0]["state"], "arrived");
    let listed = edbcopy(["status".as_ref(), place.path().as_os_str()]);
    let listed = stdout(&listed);
    assert!(listed.starts_with("arrived     100.0% "), "{listed}");
    assert!(listed.ends_with("0 of 1 copy complete\n"), "{listed}");
    fs::write(&target, b"somebody's").unwrap();
    exits(&copy(&source, &target, &[]), 5);
    assert_eq!(fs::read(&target).unwrap(), b"somebody's");
    fs::remove_file(&target).unwrap();
    exits(&copy(&source, &target, &[]), 0);
    assert_eq!(fs::read(&target).unwrap(), database(64));
}

#[test]
fn verify_names_the_same_page_whatever_the_threads() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("mailbox.edb");
    // More chunks than one, all pages with one dbtime.
    fs::write(&path, database((48 << 20) / PAGE)).unwrap();
    for jobs in ["--jobs=1", "--jobs=4", "--jobs=4", "--jobs=4"] {
        let output = edbcopy(
            ["verify", "--json", jobs]
                .map(OsStr::new)
                .into_iter()
                .chain([path.as_os_str(), path.as_os_str()]),
        );
        exits(&output, 0);
        let counts = documents(&output).remove(0)["pages"]["counts"].clone();
        assert_eq!(counts["highest_dbtime"], 77);
        assert_eq!(counts["highest_dbtime_pgno"], 1);
    }
}

#[test]
fn a_copy_has_the_mode_of_its_source() {
    use std::os::unix::fs::PermissionsExt;
    let place = TempDir::new().unwrap();
    let source = place.path().join("mailbox.edb");
    fs::write(&source, database(64)).unwrap();
    for mode in [0o600, 0o664, 0o444] {
        fs::set_permissions(&source, fs::Permissions::from_mode(mode)).unwrap();
        let target = place.path().join(format!("{mode:o}.edb"));
        exits(&copy(&source, &target, &[]), 0);
        let found = fs::metadata(&target).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
    }
    // Nor is what has arrived so far open to others: a damaged page stops the copy after its first chunk.
    let mut bytes = database(64);
    spoil(&mut bytes, 40);
    fs::write(place.path().join("secret.edb"), bytes).unwrap();
    let secret = place.path().join("secret.edb");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let target = place.path().join("stopped.edb");
    exits(&copy(&secret, &target, &["--chunk=64KiB", "--jobs=1"]), 5);
    let partial = fs::metadata(place.path().join("stopped.edb.partial")).unwrap();
    assert_eq!(partial.permissions().mode() & 0o777, 0o600);
}

/// What cannot be read may be a log that recovery needs: the others are copied, and the exit code says that it is missing.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_shows_in_the_exit_code() {
    let folder = TempDir::new().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("db.edb"), database(4)).unwrap();
    std::os::unix::fs::symlink("gone", from.join("edb00001.log")).unwrap();
    for dry_run in [true, false] {
        let more: &[&str] = if dry_run { &["--dry-run"] } else { &[] };
        let output = copy(&from, &to, more);
        exits(&output, 3);
        assert!(
            stderr(&output).contains("edb00001.log"),
            "{}",
            stderr(&output)
        );
        assert_eq!(to.join("db.edb").exists(), !dry_run);
    }
}
