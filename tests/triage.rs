//! A tree of evidence in one command: which databases are there, whose, in which state; and what the other files are.

mod common;

use common::{command, edbtool, exit, run, stderr, stdout};
use ese_testkit::fixtures;
use serde_json::Value as Json;
use std::fs;
use std::path::Path;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

/// A folder with a database in every condition.
fn evidence(root: &Path) {
    let real = fixtures::real();
    let museum = real.join("museum/SRUM/Win11/RathbunVM");
    for name in ["SRUDB.dat", "SRU.log", "SRU.chk", "SRUDB.jfm"] {
        copy(
            &museum.join("Dirty").join(name),
            &root.join("dirty").join(name),
        );
    }
    copy(
        &museum.join("Clean/SRUDB.dat"),
        &root.join("repaired/SRUDB.dat"),
    );
    let lonely = museum.join("Dirty/SRUDB.dat");
    copy(&lonely, &root.join("lonely/SRUDB.dat"));
    let cert = real.join("pypi_dissect.database-1.0/tests/_data/ese/tools/CertLog.edb");
    copy(&cert, &root.join("clean/CertLog.edb"));
    let temporary = real.join("museum/NTDS/Win2012R2/StolenSzechuan/temp.edb");
    copy(&temporary, &root.join("temp.edb"));
    let mut cut = fs::read(&cert).unwrap();
    cut.truncate(cut.len() / 2);
    fs::create_dir(root.join("damaged")).unwrap();
    fs::write(root.join("damaged/cut.edb"), cut).unwrap();
    fs::write(root.join("damaged/ruin.edb"), vec![0x77; 1 << 16]).unwrap();
    fs::write(root.join("notes.txt"), "nothing of ESE's").unwrap();
    // Eleven logs are needed; two are gone.
    let state = fixtures::testdata_set("crash-p8k").join("state");
    for entry in fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !["edb0000F.log", "edb00010.log"].contains(&name) {
            copy(&path, &root.join("gap").join(name));
        }
    }
}

#[test]
fn a_tree_is_judged_in_one_command() {
    let folder = tempfile::tempdir().unwrap();
    // With a long path there is a line for each folder, and no wider one but those.
    let root = folder
        .path()
        .join("evidence-of-a-case-with-a-long-name-and-a-number");
    evidence(&root);
    let path = root.to_str().unwrap();
    let output = edbtool(["header", "--summary", "--recursive", path]);
    assert_eq!(exit(&output), 1, "{}", stderr(&output));
    let said = stdout(&output);
    // The last line names paths, as long as they are.
    let (last, table) = said
        .lines()
        .collect::<Vec<_>>()
        .split_last()
        .map(|(last, rest)| (*last, rest.to_vec()))
        .unwrap();
    let line_of = |name: &str, number: usize| {
        let mut found = table
            .iter()
            .filter(|line| line.trim_start().starts_with(name));
        let line = found
            .nth(number)
            .unwrap_or_else(|| panic!("{name}: {said}"));
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    for line in &table {
        assert!(
            line.chars().count() <= 80 || line.starts_with(path),
            "{line}"
        );
    }
    assert_eq!(line_of("CertLog.edb", 0), "clean - - CertSvc");
    // In the order of folders: dirty, lonely, repaired.
    assert_eq!(line_of("SRUDB.dat", 0), "dirty 92 all SRUM");
    assert_eq!(line_of("SRUDB.dat", 1), "dirty 92 none SRUM");
    assert_eq!(line_of("SRUDB.dat", 2), "repaired - - SRUM");
    assert!(
        table.contains(&"    repaired, 2022-07-19T17:01:26.597Z"),
        "{said}"
    );
    assert_eq!(line_of("db.edb", 0), "dirty 13-23 9 of 11 unknown");
    assert_eq!(line_of("temp.edb", 0), "temporary - - unknown");
    assert_eq!(line_of("cut.edb", 0), "damaged - - CertSvc");
    assert_eq!(line_of("ruin.edb", 0), "damaged - - unknown");
    let expected = format!(
        "8 databases: 1 clean, 3 dirty, 1 repaired ({path}/repaired/SRUDB.dat), 1 temporary, 2 damaged: {path}/damaged/cut.edb, {path}/damaged/ruin.edb"
    );
    assert_eq!(last, expected);

    let output = edbtool(["--json", "header", "--summary", "--recursive", path]);
    let mut documents: Vec<Json> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let totals = documents.pop().unwrap();
    assert_eq!(totals["schema"], "edbkit.header-totals/1");
    assert_eq!(
        (&totals["databases"], &totals["conditions"]["dirty"]),
        (&8.into(), &3.into())
    );
    assert_eq!(totals["others"]["flush_map"], 2);
    assert_eq!(documents.len(), 8);
    for document in &documents {
        assert_eq!(document["schema"], "edbkit.header-summary/2");
        let at = document["path"].as_str().unwrap();
        let needs = &document["needs"];
        if at.ends_with("gap/db.edb") {
            assert_eq!(
                (&needs["first"], &needs["last"], &needs["beside"]),
                (&13.into(), &23.into(), &9.into())
            );
        }
        if at.ends_with("repaired/SRUDB.dat") {
            assert_eq!(
                document["findings"][0],
                "repaired, 2022-07-19T17:01:26.597Z"
            );
            assert_eq!(
                (&document["condition"], &document["kind"]),
                (&"repaired".into(), &"SRUM".into())
            );
        }
    }
    // Short paths are in the lines.
    let output = command("edbtool")
        .args(["header", "--summary", "-r", "lonely", "clean"])
        .current_dir(&root)
        .output()
        .unwrap();
    let expected = "File              State Needs Has  Kind\n\
                    lonely/SRUDB.dat  dirty 92    none SRUM\n\
                    clean/CertLog.edb clean -     -    CertSvc\n\
                    2 databases: 1 clean, 1 dirty\n";
    assert_eq!(stdout(&output), expected);
    // A log that is named has its line.
    let log = root.join("dirty/SRU.log");
    let output = edbtool(["header", "--summary", log.to_str().unwrap()]);
    assert!(
        stdout(&output).contains("generation 92 (0x5c)"),
        "{}",
        stdout(&output)
    );
    assert_eq!(exit(&output), 0);
}

/// What is not an ESE file is called what it is, by every command and program that says so.
#[test]
fn a_file_of_others_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = vec![0xfa; 8192];
    disk[3..11].copy_from_slice(b"NTFS    ");
    let files: [(&str, Vec<u8>, &str); 6] = [
        (
            "Windows.db",
            [b"SQLite format 3\0".to_vec(), vec![9; 5000]].concat(),
            "an SQLite file (as Windows 11's Windows.db is)",
        ),
        (
            "a.zip",
            [b"PK\x03\x04".to_vec(), vec![7; 5000]].concat(),
            "a zip archive",
        ),
        (
            "disk.E01",
            [b"EVF\x09\x0d\x0a\xff\x00".to_vec(), vec![7; 5000]].concat(),
            "an EnCase image (E01)",
        ),
        ("disk.raw", disk, "a raw image of an NTFS volume"),
        (
            "SYSTEM",
            [b"regf".to_vec(), vec![7; 5000]].concat(),
            "a registry hive",
        ),
        ("notes.txt", b"Nothing here.\r\n".to_vec(), "text"),
    ];
    for (name, bytes, what) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let nowhere = folder.path().join("nowhere");
        let nowhere = nowhere.to_str().unwrap();
        let here = folder.path().to_str().unwrap();
        let programs: [(&str, &[&str]); 6] = [
            ("edbtool", &["header", path]),
            ("edbtool", &["verify", path]),
            ("edbtool", &["tables", path]),
            ("edbtool", &["rows", path, "T"]),
            ("edbtool", &["export", path, "--to", nowhere]),
            ("edbreplay", &["plan", path, "--logs", here]),
        ];
        for (program, words) in programs {
            let output = run(program, words);
            let errors = stderr(&output);
            assert_eq!(exit(&output), 4, "{words:?}: {errors}");
            assert!(
                errors.contains(&format!("it looks like {what}")),
                "{words:?}: {errors}"
            );
        }
        assert!(!Path::new(nowhere).exists(), "{name}");
    }
    // In a folder the account says it of each file that was passed over.
    let output = edbtool(["--json", "verify", folder.path().to_str().unwrap()]);
    let account = stdout(&output);
    assert!(
        account.contains("it looks like a registry hive"),
        "{account}"
    );
}
