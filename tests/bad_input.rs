//! Files that are not what they should be: each gives a clear error or finding and the right exit code.

mod common;

use common::{edbtool, stdout};
use ese_testkit::fixtures;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Exit code and standard error of `edbtool COMMAND FILE`.
fn run(command: &str, file: &Path) -> (i32, String) {
    let output = edbtool([command.as_ref(), file.as_os_str()]);
    let code = output.status.code().expect("the program ends by itself");
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn both_say(file: &Path, exit: i32, words: &str) {
    for command in ["header", "verify"] {
        let (code, message) = run(command, file);
        assert_eq!(code, exit, "{command} {}: {message}", file.display());
        assert!(
            message.contains(words),
            "{command} {}: {message}",
            file.display()
        );
    }
}

fn database() -> Vec<u8> {
    fs::read(fixtures::testdata_set("clean-p4k").join("state/db.edb")).unwrap()
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn what_is_not_an_ese_file_is_said_so() {
    let folder = TempDir::new().unwrap();
    both_say(&file(&folder, "empty", b""), 4, "the file is empty");
    both_say(
        &file(&folder, "one", b"\x01"),
        4,
        "no mark of an ESE database",
    );
    let text = b"not a database\n".repeat(4000);
    both_say(
        &file(&folder, "text", &text),
        4,
        "not an ESE file: it looks like text",
    );
    both_say(&folder.path().join("missing"), 3, "No such file");
    both_say(Path::new("/dev/null"), 3, "is a device, not a file");
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    both_say(&fifo, 3, "is a FIFO, not a file");
    let (code, message) = run("header", folder.path());
    assert_eq!(code, 3, "{message}");
    assert!(message.contains("is a directory"), "{message}");
}

#[test]
fn a_file_without_permission_is_an_input_error() {
    let folder = TempDir::new().unwrap();
    let secret = file(&folder, "secret.edb", &database());
    // Everybody may enter the folder and run the copy of the program in it; nobody may read the database.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let program = folder.path().join("edbtool");
    fs::copy(env!("CARGO_BIN_EXE_edbtool"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["header".as_ref(), secret.as_os_str()]);
    if fs::File::open(&secret).is_ok() {
        // The superuser may read everything: become somebody else.
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("Permission denied"), "{message}");
}

#[test]
fn a_truncated_database_is_found_out_wherever_it_ends() {
    let whole = database();
    let folder = TempDir::new().unwrap();
    for (name, length) in [
        ("inside the header", 700),
        ("after the header", 4096),
        ("inside the shadow", 6000),
        ("after the shadow", 8192),
        ("inside page 1", 8192 + 100),
        ("inside page 40", 4096 * 41 + 1),
    ] {
        let cut = file(&folder, "cut.edb", &whole[..length]);
        for command in ["header", "verify"] {
            let (exit, message) = run(command, &cut);
            assert_eq!(exit, 1, "{command}, {name}: {message}");
        }
    }
}

#[test]
fn a_page_size_that_does_not_exist_is_not_believed() {
    let mut bytes = database();
    for copy in bytes.chunks_exact_mut(4096).take(2) {
        copy[236..240].copy_from_slice(&12345u32.to_le_bytes());
        let checksum = ese_checksum::header_checksum(copy);
        copy[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    let folder = TempDir::new().unwrap();
    let odd = file(&folder, "odd.edb", &bytes);
    let output = edbtool(["header".as_ref(), odd.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("it names a page size of 12345"));
    assert_eq!(run("verify", &odd).0, 1);
}

#[test]
fn where_no_header_can_be_trusted_every_answer_is_a_finding() {
    let mut bytes = database();
    bytes[60] ^= 8;
    bytes[4096 + 60] ^= 8;
    let folder = TempDir::new().unwrap();
    let damaged = file(&folder, "damaged.edb", &bytes);
    for command in ["tables", "schema", "space"] {
        let (exit, message) = run(command, &damaged);
        assert_eq!(exit, 1, "{command}: {message}");
        assert!(
            message.contains("whether the database is dirty is not known"),
            "{message}"
        );
    }
}

#[test]
fn a_damaged_primary_shows_both_copies() {
    let mut bytes = database();
    bytes[60] ^= 8;
    let folder = TempDir::new().unwrap();
    let damaged = file(&folder, "damaged.edb", &bytes);
    let output = edbtool(["header".as_ref(), damaged.as_os_str()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "\nDATABASE HEADER:\n",
        "\nDATABASE SHADOW HEADER:\n",
        "primary is damaged; the shadow is intact and used",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}

#[test]
fn one_bad_page_is_reported_with_its_place_and_both_checksums() {
    let mut bytes = database();
    let offset = 4096 * 7;
    for bit in 0..20 {
        bytes[offset + 300 + 97 * bit] ^= 8;
    }
    let folder = TempDir::new().unwrap();
    let damaged = file(&folder, "damaged.edb", &bytes);
    let output = edbtool(["verify".as_ref(), "--json".as_ref(), damaged.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    let document: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(document["schema"], "edbkit.verify/1");
    assert_eq!(document["pages"]["bad_checksums"], 1);
    let finding = &document["findings"][0];
    assert_eq!(finding["position"]["page"], 6);
    assert_eq!(finding["offset"], offset);
    assert_ne!(finding["expected"], finding["actual"]);
}

/// `edbtool verify . 2>&1 | head`: whoever read the remarks has had enough.
#[test]
fn a_closed_standard_error_stops_nothing() {
    let folder = TempDir::new().unwrap();
    for number in 0..50 {
        // What cannot be opened is complained of on standard error.
        let gone = folder.path().join(format!("{number}.edb"));
        std::os::unix::fs::symlink("/nowhere", gone).unwrap();
    }
    let good = file(&folder, "good.edb", &database());
    let mut child = Command::new(env!("CARGO_BIN_EXE_edbtool"))
        .args(["verify".as_ref(), folder.path().as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains(good.file_name().unwrap().to_str().unwrap()));
}
