//! What `edbtool verify` says where there is nothing to check: files that are called ESE files and are none, folders
//! without any, and folders that were not entered. As text, with `-q` and with `--json` it is the same.

mod common;

use common::{edbtool, stdout};
use ese_testkit::damage::WorkingCopy;
use ese_testkit::fixtures;
use rayon::prelude::*;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Exit code and standard output.
fn verify<A: AsRef<OsStr>>(arguments: &[A]) -> (i32, String) {
    let command = ["verify".as_ref()].into_iter();
    let output = edbtool(command.chain(arguments.iter().map(AsRef::as_ref)));
    (output.status.code().unwrap(), stdout(&output).to_owned())
}

/// Exit code and documents.
fn documents(path: &Path) -> (i32, Vec<Value>) {
    let (exit, text) = verify(&[OsStr::new("--json"), path.as_os_str()]);
    let documents = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (exit, documents.collect())
}

/// The account of a folder, which is the last document unless nothing was checked.
fn account(documents: &[Value]) -> &Value {
    documents
        .iter()
        .find(|document| document["schema"] == "edbkit.verify-folder/1")
        .expect("every folder has an account")
}

fn put(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn database() -> Vec<u8> {
    fs::read(fixtures::testdata_set("clean-p4k").join("state/db.edb")).unwrap()
}

#[test]
fn a_name_that_promises_an_ese_file_is_held_to_it() {
    let text = b"no such thing\n".repeat(4000);
    let mut late = vec![0; 1 << 20];
    late[900_000] = 1;
    let contents: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("zeros", &[0; 100_000]),
        ("late", &late),
        ("text", &text),
    ];
    let names = [
        "MBX1.edb",
        "mbx2.EDB",
        "ntds.dit",
        "SRUDB.dat",
        "WebCacheV01.dat",
        "Current.mdb",
        "qmgr.db",
        "E0000000001.log",
        "e00.log",
        "edb.jtx",
        "edb.chk",
        "E00.jcp",
        "MBX1.jfm",
    ];
    for name in names {
        for (what, content) in contents {
            let folder = TempDir::new().unwrap();
            let file = put(folder.path(), name, content);
            let (alone, said) = verify(&[&file]);
            assert_eq!(alone, 1, "{name}, {what}: {said}");
            assert!(said.contains("ERROR: "), "{name}, {what}: {said}");
            for arguments in [&[][..], &["-q"], &["--json"], &["--hash", "sha256"]] {
                let path = [folder.path().as_os_str()];
                let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain(path).collect();
                let (exit, said) = verify(&arguments);
                assert_eq!(exit, 1, "{arguments:?}, {name}, {what}: {said}");
                assert!(said.contains(name), "{arguments:?}, {name}, {what}: {said}");
                assert!(!said.contains("No damage"), "{name}, {what}: {said}");
            }
        }
    }
}

/// What is prepared or reserved is all zeros in an intact set, or whatever was there before.
#[test]
fn prepared_and_reserved_logs_are_no_damage() {
    let old_pattern = [0xda; 65536];
    for name in ["E00tmp.log", "edbres00001.jrs", "res1.log"] {
        for content in [&[0; 65536][..], &old_pattern, b""] {
            let folder = TempDir::new().unwrap();
            let file = put(folder.path(), name, content);
            let (exit, said) = verify(&[&file]);
            assert_eq!(exit, 0, "{name}: {said}");
            assert!(said.contains("nothing was checked"), "{name}: {said}");
            // A folder of nothing else was not checked at all.
            let (exit, documents) = documents(folder.path());
            assert_eq!((exit, &account(&documents)["checked"]), (4, &0.into()));
        }
    }
}

#[test]
fn files_of_others_are_passed_over_and_counted() {
    let folder = TempDir::new().unwrap();
    let access = [&b"\0\x01\0\0Standard Jet DB\0"[..], &[7; 9000]].concat();
    let others = [
        ("notes.txt", &b"text"[..]),
        ("setup.log", b"line\n"),
        ("app.log", b""),
        ("access.mdb", &access),
        ("._db.edb", &b"\0\x05\x16\x07\0\x02\0\0Mac OS X"[..]),
        ("zeros", &[0; 4096]),
    ];
    for (name, content) in others {
        let file = put(folder.path(), name, content);
        assert_eq!(verify(&[&file]).0, 4, "{name} alone");
    }
    put(folder.path(), "db.edb", &database());
    let (exit, documents) = documents(folder.path());
    let account = account(&documents);
    assert_eq!((exit, &account["checked"]), (0, &1.into()), "{documents:?}");
    assert_eq!(account["passed_over"].as_array().unwrap().len(), 6);
    let (_, text) = verify(&[OsStr::new("-q"), folder.path().as_os_str()]);
    assert!(
        text.contains("passed over: 6 (._db.edb, access.mdb, app.log"),
        "{text}"
    );
}

#[test]
fn where_nothing_was_checked_no_good_word_is_said() {
    let folder = TempDir::new().unwrap();
    let nothing = |expected: &str| {
        let output = edbtool(["verify".as_ref(), folder.path().as_os_str()]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{error}");
        assert!(error.contains("nothing was checked"), "{error}");
        assert!(stdout(&output).contains(expected), "{}", stdout(&output));
        let (exit, documents) = documents(folder.path());
        assert_eq!(exit, 4);
        let failure = documents.last().unwrap();
        assert_eq!(failure["schema"], "edbkit.failure/1");
        assert_eq!(failure["exit"], "not_ese");
    };
    nothing("Files checked: 0");
    put(folder.path(), "notes.txt", b"text");
    nothing("passed over: 1 (notes.txt)");
    let below = folder.path().join("inspector");
    fs::create_dir(&below).unwrap();
    put(&below, "db.edb", b"");
    nothing("Folders not entered: 1 (inspector)");
    // A link to a folder is not followed, and said.
    #[cfg(unix)]
    std::os::unix::fs::symlink(&below, folder.path().join("link")).unwrap();
    nothing("Folders not entered: 2 (inspector, link)");
    let (exit, text) = verify(&[OsStr::new("-r"), folder.path().as_os_str()]);
    assert_eq!(exit, 1, "{text}");
    assert!(text.contains("Folders not entered: 1 (link)"), "{text}");
    // A folder that is named through a link is entered.
    assert_eq!(verify(&[folder.path().join("link")]).0, 1);
}

#[cfg(unix)]
#[test]
fn links_to_files_are_followed_and_dead_ones_are_said() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let target = put(elsewhere.path(), "db.edb", &database());
    std::os::unix::fs::symlink(&target, folder.path().join("db.edb")).unwrap();
    assert_eq!(account(&documents(folder.path()).1)["checked"], 1);
    fs::write(&target, b"").unwrap();
    assert_eq!(verify(&[folder.path()]).0, 1);
    fs::remove_file(&target).unwrap();
    assert_eq!(verify(&[folder.path()]).0, 3);
}

#[test]
fn a_file_that_is_something_else_than_its_name_says_is_a_finding() {
    let set = fixtures::testdata_set("crash-p8k").join("state");
    let folder = TempDir::new().unwrap();
    for (from, to) in [
        ("edb.chk", "db.edb"),
        ("db.jfm", "E00.chk"),
        ("db.edb", "E00.jcp"),
    ] {
        let file = folder.path().join(to);
        fs::copy(set.join(from), &file).unwrap();
        let (exit, said) = verify(&[&file]);
        assert_eq!(exit, 1, "{said}");
        assert!(said.contains("but it is a "), "{said}");
    }
}

/// A streaming file has the header of a database; none of its pages is one.
#[test]
fn what_is_of_ese_and_not_read_is_said() {
    let folder = TempDir::new().unwrap();
    let mut stream = database();
    for copy in stream.chunks_exact_mut(4096).take(2) {
        copy[12] = 1;
        let checksum = ese_checksum::header_checksum(copy);
        copy[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    put(folder.path(), "priv1.stm", &stream);
    put(folder.path(), "db.edb", &database());
    for arguments in [&["-q"][..], &["--json"]] {
        let path = [folder.path().as_os_str()];
        let output = edbtool(
            [OsStr::new("verify")]
                .into_iter()
                .chain(arguments.iter().map(OsStr::new))
                .chain(path),
        );
        assert_eq!(output.status.code(), Some(4));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("streaming files are not read"), "{error}");
    }
}

#[test]
fn a_copy_of_the_header_that_is_blank_is_a_finding() {
    let folder = TempDir::new().unwrap();
    for blank in [0..4096, 4096..8192, 0..8192] {
        let mut bytes = database();
        bytes[blank.clone()].fill(0);
        let file = put(folder.path(), "db.edb", &bytes);
        let (exit, documents) = documents(&file);
        assert_eq!(exit, 1);
        let findings = documents[0]["findings"].as_array().unwrap();
        assert_eq!(findings.len(), blank.len() / 4096);
        assert!(
            findings
                .iter()
                .all(|finding| finding["kind"] == "blank_header")
        );
    }
}

/// Whatever stood in the place of both headers, the pages tell that it is a database: every command that reads it reads
/// it, and ends with a finding.
#[test]
fn a_database_without_headers_is_still_one() {
    for set in ["clean-p4k", "crash-p8k", "names8-log-p32k"] {
        let recovered = fixtures::testdata_set(set).join("recovered/db.edb");
        let state = fixtures::testdata_set(set).join("state/db.edb");
        let source = if recovered.exists() { recovered } else { state };
        let page_size = documents(&source).1[0]["page_size"].as_u64().unwrap() as usize;
        let folder = TempDir::new().unwrap();
        let mut bytes = fs::read(&source).unwrap();
        bytes[..2 * page_size].fill(0x5a);
        let file = put(folder.path(), "MBX1.edb", &bytes);
        let report = &documents(&file).1[0];
        assert_eq!(report["page_size"], page_size, "{set}");
        assert_eq!(report["findings"].as_array().unwrap().len(), 2, "{set}");
        let rows = |file: &Path| {
            let output = edbtool(["tables".as_ref(), "--count".as_ref(), file.as_os_str()]);
            (output.status.code().unwrap(), stdout(&output).to_owned())
        };
        assert_eq!(rows(&file), (1, rows(&source).1), "{set}");
        for command in ["header", "verify", "schema", "space"] {
            let output = edbtool([command.as_ref(), file.as_os_str()]);
            assert_eq!(output.status.code(), Some(1), "{set}: {command}");
        }
    }
}

#[test]
fn a_temporary_database_is_said_to_be_one_once() {
    let real = fixtures::real();
    let file = real.join("museum/NTDS/Win2012R2/StolenSzechuan/temp.edb");
    let (_, text) = verify(&[&file]);
    assert_eq!(text.matches("temporary").count(), 1, "{text}");
    assert!(text.lines().count() < 15, "{text}");
    let output = edbtool(["header".as_ref(), file.as_os_str()]);
    assert!(stdout(&output).contains("a temporary database"));
}

/// Every folder of every set that the engine made, and of the real files: none holds a ruin.
#[test]
fn no_file_of_an_intact_set_is_called_a_ruin() {
    let real = fixtures::real();
    let sets = fixtures::engine_set_names();
    let sets = sets.iter().map(|name| fixtures::engine_set(name));
    let roots: Vec<PathBuf> = sets.chain([real]).collect();
    let checked: u64 = roots
        .par_iter()
        .map(|root| {
            let arguments = ["--json", "-r", "--hash", "sha256"].map(OsStr::new);
            let arguments = arguments.into_iter().chain([root.as_os_str()]);
            let (_, text) = verify(&arguments.collect::<Vec<_>>());
            let mut checked = 0;
            for line in text.lines() {
                let document: Value = serde_json::from_str(line).unwrap();
                match document["schema"].as_str().unwrap() {
                    "edbkit.verify/1" => assert_eq!(
                        document["problems"],
                        serde_json::json!([]),
                        "{}",
                        document["path"]
                    ),
                    "edbkit.verify-folder/1" => {
                        assert_eq!(document["ruins"], 0, "{}", root.display());
                        checked += document["checked"].as_u64().unwrap();
                    }
                    schema => assert_eq!(schema, "edbkit.log-verify/1", "{line}"),
                }
            }
            checked
        })
        .sum();
    println!("{checked} files in {} trees", roots.len());
    assert!(checked > fixtures::either(1000, 300));
}

/// The case `folder-of-ruins`.
#[test]
fn a_folder_of_ruins_is_not_green() {
    let set = fixtures::engine_set("crash-p8k");
    let mut overwritten = fs::read(set.join("recovered/db.edb")).unwrap();
    overwritten[..16384].fill(0x5a);
    let folder = TempDir::new().unwrap();
    put(folder.path(), "MBX1.edb", &overwritten);
    put(folder.path(), "MBX2.edb", &[0; 1 << 20]);
    put(folder.path(), "MBX3.edb", b"");
    let (exit, documents) = documents(folder.path());
    assert_eq!((exit, documents.len()), (1, 4));
    for document in &documents[..3] {
        assert_ne!(document["problems"], serde_json::json!([]), "{document}");
    }
    assert_eq!(account(&documents)["ruins"], 2);
    for arguments in [&[][..], &["-q"]] {
        let path = [folder.path().as_os_str()];
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain(path).collect();
        let (exit, text) = verify(&arguments);
        assert_eq!(exit, 1);
        for name in ["MBX1.edb", "MBX2.edb", "MBX3.edb"] {
            assert!(text.contains(name), "{text}");
        }
    }
}

/// A closed log of zeros among good ones, and a second checkpoint that nobody looks at.
#[test]
fn ruins_among_good_files_of_a_stream_are_found() {
    let set = fixtures::testdata_set("crash-p8k").join("state");
    let zeroed = WorkingCopy::of(&set);
    zeroed.edit("edb00010.log", |bytes| bytes.fill(0));
    assert_eq!(verify(&[zeroed.path()]).0, 1);
    let alone = zeroed.path().join("edb00010.log");
    assert_eq!(verify(&[&alone]).0, 1);
    let second = WorkingCopy::of(&set);
    assert_eq!(verify(&[second.path()]).0, 0);
    second.write("edb.jcp", &[0; 8192]);
    assert_eq!(verify(&[second.path()]).0, 1);
}
