//! `edbcopy` as a program: exit codes, interruptions, and what other tools make of its results.

mod common;

use common::{documents, stdout};
use ese_testkit::fixtures;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PAGE: usize = 4096;

fn command(arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edbcopy"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn edbcopy<const N: usize>(arguments: [&OsStr; N]) -> Output {
    command(&arguments)
        .output()
        .expect("the program can be run")
}

#[track_caller]
fn exits(output: &Output, code: i32) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
}

/// A clean database of `mib` MiB in `folder`.
fn source(folder: &TempDir, mib: usize) -> PathBuf {
    let mut bytes = fs::read(fixtures::testdata_set("clean-p4k").join("state/db.edb")).unwrap();
    bytes.truncate(2 * PAGE);
    bytes.resize(mib << 20, 0);
    for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate().skip(2) {
        page[80..88].copy_from_slice(
            &(number as u64)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .to_le_bytes(),
        );
        assert!(ese_checksum::seal_page(page, number as u32 - 1));
    }
    let path = folder.path().join("mailbox.edb");
    fs::write(&path, bytes).unwrap();
    path
}

/// Starts a slow copy, and returns when something has arrived.
fn slow_copy(source: &Path, target: &Path) -> std::process::Child {
    let child = command(&[
        "copy".as_ref(),
        source.as_os_str(),
        target.as_os_str(),
        "--chunk=64KiB".as_ref(),
        "--rate=4MiB/s".as_ref(),
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while arrived(target) < 1 << 20 {
        assert!(Instant::now() < until, "the copy does not move");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// Bytes that have arrived, as `status` says.
fn arrived(target: &Path) -> u64 {
    let output = edbcopy(["status".as_ref(), "--json".as_ref(), target.as_os_str()]);
    let document = documents(&output).remove(0);
    assert_eq!(document["schema"], "edbkit.copy-status/2");
    document["bytes_arrived"].as_u64().unwrap()
}

fn copy_json(source: &Path, target: &Path) -> serde_json::Value {
    let output = edbcopy([
        "copy".as_ref(),
        "--json".as_ref(),
        source.as_os_str(),
        target.as_os_str(),
    ]);
    exits(&output, 0);
    documents(&output).remove(0)
}

#[test]
fn a_killed_program_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let source = source(&folder, 16);
    let target = folder.path().join("copy.edb");
    for _ in 0..3 {
        let mut child = slow_copy(&source, &target);
        // SIGKILL: nothing can be tidied up.
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!target.exists());
    }
    let before = arrived(&target);
    let document = copy_json(&source, &target);
    assert_eq!(document["schema"], "edbkit.copy/1");
    assert_eq!(document["resumed_at"], before);
    assert_eq!(document["bytes_read"], (16 << 20) - before);
    assert_eq!(fs::read(&source).unwrap(), fs::read(&target).unwrap());
}

/// Starts a copy of which nothing arrives for minutes, and kills it once there is a partial copy or a new journal.
fn killed_at_once(source: &Path, target: &Path, way: &str) {
    let mut child = command(&[
        "copy".as_ref(),
        way.as_ref(),
        source.as_os_str(),
        target.as_os_str(),
        "--rate=64KiB/s".as_ref(),
    ])
    .stdout(Stdio::null())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let begun = || ["partial", "edbcopy-new"].map(|name| beside(target, name).exists());
    while !begun().contains(&true) {
        assert!(Instant::now() < until, "the copy does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A file of the copy `target`.
fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[test]
fn a_copy_that_is_gone_is_not_called_complete() {
    let folder = TempDir::new().unwrap();
    let source = source(&folder, 1);
    let target = folder.path().join("copy.edb");
    copy_json(&source, &target);
    exits(&edbcopy(["status".as_ref(), target.as_os_str()]), 0);
    fs::remove_file(&target).unwrap();
    let status = edbcopy(["status".as_ref(), target.as_os_str()]);
    exits(&status, 1);
    assert!(stdout(&status).contains("it was complete, and is gone"));
    copy_json(&source, &target);
    exits(&edbcopy(["status".as_ref(), target.as_os_str()]), 0);
}

#[test]
fn a_copy_that_was_killed_and_is_then_refused_leaves_the_older_copy_and_its_journal() {
    let folder = TempDir::new().unwrap();
    let source = source(&folder, 4);
    let target = folder.path().join("copy.edb");
    copy_json(&source, &target);
    let journal = fs::read(beside(&target, "edbcopy")).unwrap();
    let look = || {
        let modified = fs::metadata(&target).unwrap().modified().unwrap();
        (fs::read(&target).unwrap(), modified)
    };
    let before = look();
    let mut damaged = before.0.clone();
    damaged.resize(6 << 20, 0);
    damaged[5 * PAGE + 100..5 * PAGE + 400].fill(0x55);
    fs::write(&source, damaged).unwrap();
    for way in ["--force", "--delta"] {
        killed_at_once(&source, &target, way);
        // Meanwhile the older copy is what it was, and says so.
        exits(&edbcopy(["status".as_ref(), target.as_os_str()]), 0);
        exits(&edbcopy(["verify".as_ref(), target.as_os_str()]), 0);
        let refused = edbcopy([
            "copy".as_ref(),
            way.as_ref(),
            source.as_os_str(),
            target.as_os_str(),
        ]);
        exits(&refused, 5);
        assert!(look() == before, "{way}");
        assert!(fs::read(beside(&target, "edbcopy")).unwrap() == journal);
        for name in ["partial", "edbcopy-new"] {
            assert!(!beside(&target, name).exists(), "{way}: {name}");
        }
    }
    exits(&edbcopy(["clean".as_ref(), target.as_os_str()]), 0);
}

#[test]
fn a_file_with_the_name_of_a_new_journal_stays_and_no_copy_begins() {
    let folder = TempDir::new().unwrap();
    let source = source(&folder, 1);
    let target = folder.path().join("copy.edb");
    copy_json(&source, &target);
    let notes = beside(&target, "edbcopy-new");
    fs::write(&notes, "mine").unwrap();
    for more in ["--jobs=1", "--dry-run"] {
        let refused = edbcopy([
            "copy".as_ref(),
            "--force".as_ref(),
            more.as_ref(),
            "--json".as_ref(),
            source.as_os_str(),
            target.as_os_str(),
        ]);
        exits(&refused, 5);
        assert_eq!(documents(&refused)[0]["reason"], "foreign_journal");
        assert_eq!(fs::read(&notes).unwrap(), b"mine");
    }
    // What needs no new journal does not mind.
    copy_json(&source, &target);
    exits(&edbcopy(["clean".as_ref(), target.as_os_str()]), 0);
    assert_eq!(fs::read(&notes).unwrap(), b"mine");
}

#[test]
fn ctrl_c_stops_at_a_safe_point_and_exits_6() {
    let folder = TempDir::new().unwrap();
    let source = source(&folder, 16);
    let target = folder.path().join("copy.edb");
    let child = slow_copy(&source, &target);
    let locked = edbcopy(["copy".as_ref(), source.as_os_str(), target.as_os_str()]);
    exits(&locked, 5);
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    exits(&output, 6);
    assert!(stdout(&output).contains("INTERRUPTED"));
    let status = edbcopy(["status".as_ref(), target.as_os_str()]);
    exits(&status, 1);
    assert!(stdout(&status).contains("interrupted; the same copy command goes on"));
    copy_json(&source, &target);
    exits(&edbcopy(["status".as_ref(), target.as_os_str()]), 0);
    exits(&edbcopy(["verify".as_ref(), target.as_os_str()]), 0);
    exits(
        &edbcopy(["verify".as_ref(), source.as_os_str(), target.as_os_str()]),
        0,
    );
}

#[test]
fn a_journal_of_any_size_is_answered() {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("copy.edb");
    let journal = fs::File::create(folder.path().join("copy.edb.edbcopy")).unwrap();
    journal.set_len(1 << 42).unwrap();
    for command in ["status", "verify", "clean"] {
        fs::write(&target, b"a copy").unwrap();
        let output = edbcopy([command.as_ref(), target.as_os_str()]);
        exits(&output, 3);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let sizes = "it has 4398046511104 bytes, and may have 1073741824 at most";
        assert!(message.contains(sizes), "{command}: {message}");
    }
}

#[test]
fn a_manifest_is_read_by_sha256sum_and_finds_a_changed_byte() {
    let folder = TempDir::new().unwrap();
    let source = source(&folder, 2);
    let target = folder.path().join("copy of it.edb");
    let manifest = folder.path().join("manifest.json");
    let output = edbcopy([
        "copy".as_ref(),
        source.as_os_str(),
        target.as_os_str(),
        "--chunk=256KiB".as_ref(),
        "--verify".as_ref(),
        "--manifest".as_ref(),
        manifest.as_os_str(),
    ]);
    exits(&output, 0);
    let sha256sum = || {
        Command::new("sha256sum")
            .args(["-c", "manifest.json.sha256"])
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    assert!(sha256sum().status.success());
    let by_manifest = || {
        edbcopy([
            "verify".as_ref(),
            target.as_os_str(),
            "--manifest".as_ref(),
            manifest.as_os_str(),
            "--json".as_ref(),
        ])
    };
    exits(&by_manifest(), 0);
    let mut bytes = fs::read(&target).unwrap();
    bytes[1_000_000] ^= 4;
    fs::write(&target, bytes).unwrap();
    let found = by_manifest();
    exits(&found, 1);
    let document = documents(&found).remove(0);
    assert_eq!(document["mismatches"][0]["offset"], 3 * 256 * 1024);
    assert_eq!(document["findings"][0]["kind"], "correctable");
    exits(&edbcopy(["verify".as_ref(), target.as_os_str()]), 1);
    assert!(!sha256sum().status.success());
    // The manifest of the source itself is the same, but for the name.
    let again = folder.path().join("again.json");
    let made = edbcopy([
        "manifest".as_ref(),
        source.as_os_str(),
        "--chunk=256KiB".as_ref(),
        "--output".as_ref(),
        again.as_os_str(),
    ]);
    exits(&made, 0);
    let read = |path: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let (mut of_copy, of_source) = (read(&manifest), read(&again));
    of_copy["files"][0]["path"] = of_source["files"][0]["path"].clone();
    assert_eq!(of_copy, of_source);
}

#[test]
fn a_dirty_database_is_called_that_and_copied_with_its_logs_when_asked() {
    let set = fixtures::testdata_set("crash-p8k").join("state");
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("set");
    let refused = edbcopy(["copy".as_ref(), set.as_os_str(), to.as_os_str()]);
    exits(&refused, 5);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        message.contains("needs log generations 13 to 23 (0xd to 0x17)"),
        "{message}"
    );
    assert!(message.contains("-550"), "{message}");
    let dirty = |from: &Path, to: &Path| {
        edbcopy([
            "copy".as_ref(),
            "--allow-dirty".as_ref(),
            from.as_os_str(),
            to.as_os_str(),
        ])
    };
    exits(&dirty(&set, &to), 0);
    let mut names = 0;
    for file in fixtures::files_below(&set) {
        let copy = to.join(file.strip_prefix(&set).unwrap());
        assert_eq!(
            fs::read(&file).unwrap(),
            fs::read(&copy).unwrap(),
            "{}",
            file.display()
        );
        names += 1;
    }
    assert!(names > 20);
    // Without one of its logs, that is said, and shows in the exit code.
    let without = folder.path().join("without");
    fs::create_dir(&without).unwrap();
    for file in fixtures::files_below(&set) {
        let name = file.file_name().unwrap();
        if name != "edb00010.log" {
            fs::copy(&file, without.join(name)).unwrap();
        }
    }
    let output = dirty(&without, &folder.path().join("set2"));
    exits(&output, 1);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("generation 16 (0x10)"), "{message}");
}

#[test]
fn a_delta_and_its_savings_are_reported() {
    let folder = TempDir::new().unwrap();
    let source = source(&folder, 4);
    let target = folder.path().join("copy.edb");
    let mut old = fs::read(&source).unwrap();
    for page in [20, 700, 701] {
        old[page * PAGE + 200] ^= 1;
    }
    fs::write(&target, old).unwrap();
    exits(
        &edbcopy(["copy".as_ref(), source.as_os_str(), target.as_os_str()]),
        5,
    );
    let output = edbcopy([
        "copy".as_ref(),
        "--delta".as_ref(),
        "--json".as_ref(),
        source.as_os_str(),
        target.as_os_str(),
    ]);
    exits(&output, 0);
    let document = documents(&output).remove(0);
    assert_eq!(document["pages"]["compared"], 1024);
    assert_eq!(document["pages"]["changed"], 3);
    assert_eq!(document["bytes_saved"], 1021 * PAGE);
    assert_eq!(fs::read(&source).unwrap(), fs::read(&target).unwrap());
}

#[test]
fn the_source_is_never_touched() {
    let folder = TempDir::new().unwrap();
    let sources = folder.path().join("sources");
    fs::create_dir(&sources).unwrap();
    for file in fixtures::files_below(&fixtures::testdata_set("clean-p4k").join("state")) {
        fs::copy(&file, sources.join(file.file_name().unwrap())).unwrap();
    }
    let look = || -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
        let files = fixtures::files_below(&sources).into_iter();
        files
            .map(|path| {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                (path.clone(), fs::read(&path).unwrap(), modified)
            })
            .collect()
    };
    let before = look();
    let target = folder.path().join("copies");
    exits(
        &edbcopy(["copy".as_ref(), sources.as_os_str(), target.as_os_str()]),
        0,
    );
    exits(&edbcopy(["status".as_ref(), target.as_os_str()]), 0);
    assert_eq!(look(), before);
}
