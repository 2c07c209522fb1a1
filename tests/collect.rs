//! `edbtool collect`: the rows of a case are those of exports of its databases, whatever happens to the runs that make it.
//!
//! The full campaign is a case of a thousand zips, killed ten times: `EDBKIT_ZIPS=1000 EDBKIT_KILLS=10`.
#![cfg(feature = "archives")]

#[path = "common/case.rs"]
mod case;
mod common;

use case::{collect, content, lines, manifest};
use common::{command, edbtool, exit, stderr};
use ese_checksum::seal_page;
use ese_format::database::HeaderCopies;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A clean database, a dirty one with its log, a dirty one without: all of them from real machines.
const CLEAN: &str = "museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat";
const DIRTY: &str = "museum/SRUM/Win11/RathbunVM/Dirty";
const LONELY: &str = "go-ese/testdata/Sample_UAL/HyperV-PC/Current.mdb";
const JOBS: &str = "artemis/win10/qmgr.db";

/// A leaf of a table of the clean one.
const DAMAGED: u32 = 100;

type Members = Vec<(String, Vec<u8>)>;

fn real(name: &str) -> Vec<u8> {
    fs::read(fixtures::real().join(name)).unwrap()
}

/// The files of a folder, as if they lay in another one.
fn files_of(folder: &Path, below: &str) -> Members {
    let files = fixtures::files_below(folder).into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        (format!("{below}/{name}"), fs::read(&path).unwrap())
    });
    files.collect()
}

fn write_zip(path: &Path, members: &Members, method: CompressionMethod) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn write_tar(path: &Path, members: &Members) {
    let mut tar = tar::Builder::new(File::create(path).unwrap());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.finish().unwrap();
}

fn record<'m>(manifest: &'m Value, ending: &str) -> &'m Value {
    let all = manifest["databases"].as_array().unwrap();
    let mut found = all
        .iter()
        .filter(|record| record["source"].as_str().unwrap().ends_with(ending));
    let first = found.next().unwrap_or_else(|| panic!("no {ending}"));
    assert!(found.next().is_none(), "several {ending}");
    first
}

/// A small case: zips, a tar and a folder; databases of which one is dirty with its logs, one without, one broken, one damaged,
/// and two equal.
fn small_case(folder: &Path) {
    let sru = "C/Windows/System32/sru";
    let clean: Members = vec![(format!("{sru}/SRUDB.dat"), real(CLEAN))];
    write_tar(&folder.join("PC-1.tar"), &clean);
    let dirty = files_of(&fixtures::real().join(DIRTY), sru);
    write_zip(
        &folder.join("PC-2.zip"),
        &dirty,
        CompressionMethod::Deflated,
    );
    write_zip(&folder.join("PC-3.zip"), &clean, CompressionMethod::Stored);
    let mut broken = real(JOBS);
    broken.truncate(3 * 16384);
    let mut damaged = real(CLEAN);
    let page = DAMAGED as usize * 4096 + 4096;
    damaged[page + 64..page + 128].fill(0xee);
    let mixed = vec![
        ("ual/Current.mdb".to_owned(), real(LONELY)),
        ("broken/qmgr.db".to_owned(), broken),
        ("damaged/SRUDB.dat".to_owned(), damaged),
    ];
    write_zip(
        &folder.join("PC-4.zip"),
        &mixed,
        CompressionMethod::Deflated,
    );
    let loose = folder.join("loose");
    fs::create_dir(&loose).unwrap();
    for (name, bytes) in files_of(&fixtures::testdata_set("crash-p8k").join("state"), ".") {
        fs::write(loose.join(name), bytes).unwrap();
    }
}

#[test]
fn the_rows_of_a_case_are_those_of_exports() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    small_case(&evidence);
    let case = folder.path().join("case");
    let (code, answer) = collect(&[&evidence], &case, &["--format", "jsonl"]);
    assert_eq!(code, 1, "{answer}");
    let manifest = manifest(&case);
    for (source, state, host) in [
        (
            "PC-1.tar::/C/Windows/System32/sru/SRUDB.dat",
            "clean",
            "PC-1",
        ),
        (
            "PC-2.zip::/C/Windows/System32/sru/SRUDB.dat",
            "recovered",
            "PC-2",
        ),
        (
            "PC-3.zip::/C/Windows/System32/sru/SRUDB.dat",
            "clean",
            "PC-3",
        ),
        ("PC-4.zip::/ual/Current.mdb", "dirty", "PC-4"),
        ("PC-4.zip::/damaged/SRUDB.dat", "clean", "PC-4"),
        ("loose/db.edb", "recovered", "__unknown__"),
    ] {
        let record = record(&manifest, source);
        assert_eq!(record["state"], state, "{source}");
        assert_eq!(record["host"], host, "{source}");
        assert_eq!(record["failure"], Value::Null, "{source}");
    }

    let (mut rows, mut compared) = (0, 0);
    for record in manifest["databases"].as_array().unwrap() {
        let source = record["source"].as_str().unwrap();
        let to = TempDir::new().unwrap();
        let mut export = command("edbtool");
        export
            .args(["export", source, "--decoded", "--to"])
            .arg(to.path());
        if record["state"] == "recovered" {
            export
                .arg("--with-logs")
                .arg(evidence::folder_of(Path::new(source)));
        }
        let exported = export.output().unwrap();
        if record["state"] == "not_read" {
            assert_ne!(exit(&exported), 0, "{source}");
            assert!(!to.path().join("manifest.json").exists(), "{source}");
            continue;
        }
        assert!(
            [0, 1].contains(&exit(&exported)),
            "{source}: {}",
            stderr(&exported)
        );
        let whole = record["problems"].is_null() && record["same_as"].is_null();
        assert!(
            exit(&exported) == 0 || !whole,
            "{source}: {}",
            stderr(&exported)
        );
        if !record["same_as"].is_null() {
            assert_eq!(record["tables"], serde_json::json!([]), "{source}");
            continue;
        }
        let alone: Value =
            serde_json::from_slice(&fs::read(to.path().join("manifest.json")).unwrap()).unwrap();
        for number in ["rows", "rows_lost", "values_lost"] {
            assert_eq!(record[number], alone[number], "{source}: {number}");
        }
        let pages = alone["pages_lost"].as_array().unwrap().len() as u64;
        assert_eq!(record["pages_lost"], pages, "{source}");
        assert_eq!(record["sha256"], alone["source"]["sha256"], "{source}");
        let tables = record["tables"].as_array().unwrap();
        assert_eq!(
            tables.len(),
            alone["tables"].as_array().unwrap().len(),
            "{source}"
        );
        for (table, alone) in tables.iter().zip(alone["tables"].as_array().unwrap()) {
            assert_eq!(table["name"], alone["name"], "{source}");
            let own = lines(&to.path().join(alone["file"].as_str().unwrap()));
            let mut ours = lines(&case.join(table["file"].as_str().unwrap()));
            for row in &mut ours {
                let row = row.as_object_mut().unwrap();
                assert_eq!(row.remove("_source").unwrap(), source);
                let state = record["state"].as_str().unwrap();
                assert_eq!(row.remove("_state").unwrap(), state);
                assert_eq!(row.remove("_snapshot"), None);
            }
            assert_eq!(ours, own, "{source}: {}", table["name"]);
            rows += ours.len();
        }
        compared += 1;
    }
    assert!(
        compared >= 5 && rows > 5000,
        "{rows} rows of {compared} databases"
    );
    assert_eq!(answer["rows"], rows as u64);

    // Equal databases are read once, and each is in the list.
    let first = record(&manifest, "PC-1.tar::/C/Windows/System32/sru/SRUDB.dat");
    let second = record(&manifest, "PC-3.zip::/C/Windows/System32/sru/SRUDB.dat");
    assert_eq!(second["same_as"], first["source"]);
    let sources: Vec<Value> = fixtures::files_below(&case.join("table=_sources"))
        .iter()
        .flat_map(|path| lines(path))
        .collect();
    let all = manifest["databases"].as_array().unwrap();
    assert_eq!(sources.len(), all.len());
    for found in all {
        let listed = sources
            .iter()
            .find(|listed| listed["_source"] == found["source"]);
        assert_eq!(
            listed.unwrap().get("same_as").unwrap_or(&Value::Null),
            &found["same_as"]
        );
    }
}

#[test]
fn what_is_wrong_is_a_row_of_the_table_of_problems() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    small_case(&evidence);
    let case = folder.path().join("case");
    let (_, answer) = collect(&[&evidence], &case, &["--format", "jsonl"]);
    let problems: Vec<Value> = fixtures::files_below(&case.join("table=_problems"))
        .iter()
        .flat_map(|path| lines(path))
        .collect();
    assert_eq!(answer["problems"], problems.len() as u64);
    let of = |ending: &str, what: &str| -> Vec<&Value> {
        let is_meant = |row: &&Value| {
            row["_source"]
                .as_str()
                .is_some_and(|source| source.ends_with(ending))
                && row["what"] == what
        };
        problems.iter().filter(is_meant).collect()
    };
    assert!(of("PC-1.tar::/C/Windows/System32/sru/SRUDB.dat", "page").is_empty());
    let pages = of("damaged/SRUDB.dat", "page");
    assert_eq!(pages.len(), 1, "{problems:#?}");
    assert_eq!(pages[0]["page"], DAMAGED);
    assert_eq!(pages[0]["jet"], "[JET -1018 (JET_errReadVerifyFailure)]");
    assert_eq!(of("ual/Current.mdb", "recovery").len(), 1, "{problems:#?}");
    let of_broken = problems.iter().filter(|row| {
        row["_source"]
            .as_str()
            .is_some_and(|source| source.ends_with("broken/qmgr.db"))
    });
    assert!(of_broken.count() > 0, "{problems:#?}");
}

#[test]
fn a_case_is_refused_where_it_would_do_harm() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    let database = evidence.join("SRUDB.dat");
    fs::write(&database, real(CLEAN)).unwrap();
    let case = folder.path().join("case");
    let refused = |paths: &[&Path], to: &Path, more: &[&str], why: &str| {
        let (code, answer) = collect(paths, to, more);
        assert_eq!(code, 5, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
    };
    // Nothing is written beside evidence.
    refused(&[&evidence], &evidence.join("case"), &[], "lies within");
    assert_eq!(fs::read_dir(&evidence).unwrap().count(), 1);
    // A folder with something else.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("note"), "mine").unwrap();
    refused(&[&evidence], &other, &[], "is not empty");
    refused(&[&evidence], &other, &["--force"], "is not empty");
    assert_eq!(fs::read_to_string(other.join("note")).unwrap(), "mine");

    assert_eq!(collect(&[&evidence], &case, &[]).0, 0);
    let before = content(&case);
    let account = fs::read(case.join("manifest.json")).unwrap();
    // Once more: nothing is done, and nothing is written.
    let (code, answer) = collect(&[&evidence], &case, &[]);
    assert_eq!((code, &answer["from_before"]), (0, &1.into()));
    assert_eq!(fs::read(case.join("manifest.json")).unwrap(), account);
    // Other options, other paths, another state of the source.
    refused(&[&evidence], &case, &["--format", "csv"], "other options");
    refused(&[&database], &case, &[], "other options");
    let mut changed = real(CLEAN);
    changed.extend([0; 4096]);
    fs::write(&database, changed).unwrap();
    refused(&[&evidence], &case, &[], "is not what it was");
    fs::write(evidence.join("other.dat"), real(JOBS)).unwrap();
    fs::remove_file(&database).unwrap();
    refused(&[&evidence], &case, &[], "is not found now");
    assert_eq!(content(&case), before);
    // Unless it is to be replaced.
    let (_, answer) = collect(&[&evidence], &case, &["--force"]);
    assert_eq!(
        (&answer["databases"], &answer["from_before"]),
        (&1.into(), &0.into())
    );
    assert!(
        manifest(&case)["databases"][0]["source"]
            .as_str()
            .unwrap()
            .ends_with("other.dat")
    );
    let parts = content(&case).0;
    assert!(
        parts
            .keys()
            .all(|part| !part.to_string_lossy().contains("SruDb")),
        "{parts:?}"
    );

    let nothing = folder.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let output = edbtool([
        "collect".as_ref(),
        nothing.as_os_str(),
        "--to".as_ref(),
        folder.path().join("c").as_os_str(),
    ]);
    assert_eq!(exit(&output), 4, "{}", stderr(&output));
    assert!(!folder.path().join("c").exists());
}

#[test]
fn a_part_that_is_not_what_it_was_is_made_again() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("PC-1.zip");
    write_zip(
        &source,
        &vec![("SRUDB.dat".to_owned(), real(CLEAN))],
        CompressionMethod::Stored,
    );
    let case = folder.path().join("case");
    assert_eq!(collect(&[&source], &case, &[]).0, 0);
    let before = content(&case);
    let part = fixtures::files_below(&case)
        .into_iter()
        .find(|path| path.to_string_lossy().contains("SruDbIdMap"));
    fs::write(part.unwrap(), "cut").unwrap();
    let (code, answer) = collect(&[&source], &case, &[]);
    assert_eq!((code, &answer["from_before"]), (0, &0.into()));
    assert_eq!(content(&case), before);
    assert_eq!(manifest(&case)["runs"].as_array().unwrap().len(), 2);
}

/// A case of two zips with the same database and one with another: the second of the equal ones has no rows of its own.
fn equal_databases(folder: &Path) {
    for (host, bytes) in [
        ("A", real(CLEAN)),
        ("B", real(CLEAN)),
        ("C", varied(&real(CLEAN), 1)),
    ] {
        let members = vec![("db.dat".to_owned(), bytes)];
        let zip = folder.join(format!("{host}.zip"));
        write_zip(&zip, &members, CompressionMethod::Deflated);
    }
}

#[test]
fn rows_that_stand_for_others_are_not_lost() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    equal_databases(&evidence);
    let case = folder.path().join("case");
    assert_eq!(collect(&[&evidence], &case, &["--format", "jsonl"]).0, 0);
    let before = content(&case);
    let first = record(&before.1, "A.zip::/db.dat");
    let second = record(&before.1, "B.zip::/db.dat");
    assert_eq!(second["same_as"], first["source"]);
    // The first has lost a part: it is read again, and the second goes with it.
    let part = case.join(first["tables"][0]["file"].as_str().unwrap());
    fs::remove_file(&part).unwrap();
    let (code, answer) = collect(&[&evidence], &case, &["--format", "jsonl"]);
    assert_eq!((code, &answer["from_before"]), (0, &1.into()));
    assert_eq!(content(&case), before);
    // It has lost a part, and is gone: the rows would be nowhere.
    fs::remove_file(&part).unwrap();
    fs::remove_file(evidence.join("A.zip")).unwrap();
    let (code, answer) = collect(&[&evidence], &case, &["--format", "jsonl"]);
    assert_eq!(code, 5, "{answer}");
    let (code, _) = collect(&[&evidence], &case, &["--format", "jsonl", "--force"]);
    assert_eq!(code, 0);
    let now = manifest(&case);
    assert_eq!(now["totals"]["rows"], before.1["totals"]["rows"]);
    assert_eq!(record(&now, "B.zip::/db.dat")["same_as"], Value::Null);
}

#[test]
fn long_values_are_verified_like_parts() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    equal_databases(&evidence);
    let case = folder.path().join("case");
    let more = ["--inline-limit", "32"];
    assert_eq!(collect(&[&evidence], &case, &more).0, 0);
    let before = content(&case);
    let values: Vec<_> = before
        .0
        .keys()
        .filter(|path| path.starts_with("blobs") && path.components().count() == 3)
        .map(|path| case.join(path))
        .collect();
    assert!(values.len() > 10, "{}", values.len());
    assert_eq!(before.1["blob_files"], values.len());
    for (value, harm) in values.iter().zip(["gone", "other", "flipped"]) {
        let mut bytes = fs::read(value).unwrap();
        match harm {
            "gone" => fs::remove_file(value).unwrap(),
            "other" => fs::write(value, harm).unwrap(),
            _ => {
                bytes[0] ^= 1;
                fs::write(value, bytes).unwrap();
            }
        }
        let (code, answer) = collect(&[&evidence], &case, &more);
        assert_eq!(code, 0, "{answer}");
        assert_ne!(answer["from_before"], 3);
        assert_eq!(content(&case), before);
    }
}

#[test]
fn force_makes_a_new_case_and_leaves_what_is_not_of_one() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    equal_databases(&evidence);
    let case = folder.path().join("case");
    assert_eq!(collect(&[&evidence], &case, &[]).0, 0);
    let before = content(&case);
    // Somebody's files beside those of the case.
    let table = before.0.keys().next_back().unwrap();
    let host = case.join(table.parent().unwrap());
    let notes = [
        case.join("unfinished-notes.txt"),
        case.join("README.md"),
        host.join("part-notes.txt"),
        host.join("part-0123456789abcdef.md"),
        case.join("blobs/aa/thoughts.txt"),
    ];
    for note in &notes {
        fs::create_dir_all(note.parent().unwrap()).unwrap();
        fs::write(note, "mine").unwrap();
    }
    let new = |more: &[&str]| {
        let mut all = vec!["--force"];
        all.extend(more);
        let (code, answer) = collect(&[&evidence], &case, &all);
        assert_eq!((code, &answer["from_before"]), (0, &0.into()), "{answer}");
        assert_eq!(manifest(&case)["runs"].as_array().unwrap().len(), 1);
        for note in &notes {
            assert_eq!(fs::read_to_string(note).unwrap(), "mine");
        }
    };
    // The same options, another length of nothing: it is new all the same.
    new(&[]);
    // A run with --force was stopped when it had removed some parts, all parts, and the manifest.
    let part = || {
        case.join(
            before
                .0
                .keys()
                .find(|path| path.starts_with("table=_sources"))
                .unwrap(),
        )
    };
    fs::remove_file(part()).unwrap();
    new(&[]);
    fs::write(case.join("unfinished.jsonl"), "").unwrap();
    new(&[]);
    fs::write(case.join("unfinished.jsonl"), "").unwrap();
    fs::remove_file(case.join("manifest.json")).unwrap();
    new(&[]);
    // A case that was complete when a run began to change it.
    fs::write(
        case.join("unfinished.jsonl"),
        "{\"schema\":\"edbkit.case-unf",
    )
    .unwrap();
    let (code, answer) = collect(&[&evidence], &case, &[]);
    assert_eq!((code, &answer["from_before"]), (0, &3.into()), "{answer}");
    assert!(!case.join("unfinished.jsonl").exists());
    for note in &notes {
        fs::remove_file(note).unwrap();
    }
    fs::remove_dir(case.join("blobs/aa")).unwrap();
    fs::remove_dir(case.join("blobs")).unwrap();
    assert_eq!(content(&case), before);
}

#[test]
fn a_complete_case_learns_what_the_search_says_now() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    equal_databases(&evidence);
    let case = folder.path().join("case");
    assert_eq!(collect(&[&evidence], &case, &["--format", "jsonl"]).0, 0);
    let problems = || -> Vec<Value> {
        let files = fixtures::files_below(&case.join("table=_problems"));
        files.iter().flat_map(|path| lines(path)).collect()
    };
    // A zip came that cannot be opened.
    let bytes = fs::read(evidence.join("C.zip")).unwrap();
    fs::write(evidence.join("D.zip"), &bytes[..bytes.len() / 2]).unwrap();
    let (code, answer) = collect(&[&evidence], &case, &["--format", "jsonl"]);
    assert_ne!(code, 0, "{answer}");
    assert_eq!(answer["from_before"], 3);
    assert_eq!(problems().len(), 1, "{:?}", problems());
    // It came again, and whole.
    fs::write(evidence.join("D.zip"), &bytes).unwrap();
    let (code, answer) = collect(&[&evidence], &case, &["--format", "jsonl"]);
    assert_eq!((code, &answer["from_before"]), (0, &3.into()), "{answer}");
    assert!(!case.join("table=_problems").exists() || problems().is_empty());
    assert_eq!(manifest(&case)["databases"].as_array().unwrap().len(), 4);
}

fn number(variable: &str, usual: usize) -> usize {
    let wanted = std::env::var(variable).ok();
    wanted.map_or(usual, |wanted| wanted.parse().expect("a number"))
}

/// A database with other text in its rows: the letter before each `.exe` follows from `number`.
fn varied(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let size = HeaderCopies::read(&bytes).page_size as usize;
    let letters = [number % 26, number / 26 % 26].map(|letter| b'a' + letter as u8);
    for (pgno, page) in bytes.chunks_exact_mut(size).enumerate().skip(2) {
        let found: Vec<usize> = page
            .windows(8)
            .enumerate()
            .filter_map(|(at, eight)| (eight == b".\0e\0x\0e\0").then_some(at))
            .filter(|at| *at > 100)
            .collect();
        if found.is_empty() {
            continue;
        }
        for at in found {
            page[at - 2] = letters[0];
            page[at - 4] = letters[1];
        }
        assert!(seal_page(page, pgno as u32 - 1));
    }
    bytes
}

/// A case of so many zips.
fn many_zips(folder: &Path, count: usize) {
    let clean = real(CLEAN);
    let dirty = files_of(&fixtures::real().join(DIRTY), "");
    let lonely = real(LONELY);
    let jobs = real(JOBS);
    let crashed = files_of(&fixtures::testdata_set("crash-p8k").join("state"), "");
    let mut random = Random(0x9e37_79b9);
    for number in 0..count {
        let below = [
            "C/Windows/System32/sru",
            "uploads/auto/C%3A/Windows/System32/sru",
            "sru",
            "D/a b/ä",
        ][random.below(4)];
        let mut members: Members = Vec::new();
        let mut add_all = |folder: &str, files: &Members| {
            let files = files
                .iter()
                .map(|(name, bytes)| (format!("{below}{folder}{name}"), bytes.clone()));
            members.extend(files);
        };
        match random.below(8) {
            0 => add_all("", &dirty),
            1 => add_all("/1", &crashed),
            // One in a few equals others.
            2 => add_all("", &vec![("/SRUDB.dat".into(), clean.clone())]),
            _ => add_all("", &vec![("/SRUDB.dat".into(), varied(&clean, number))]),
        }
        match random.below(6) {
            0 => add_all("/ual", &vec![("/Current.mdb".into(), lonely.clone())]),
            1 => add_all("/bits", &vec![("/qmgr.db".into(), jobs.clone())]),
            2 => {
                let mut broken = varied(&clean, number);
                // One loses a page of a table, another nearly everything.
                let at = 4096 * (1 + DAMAGED as usize);
                broken[at + 50..at + 90].fill(number as u8);
                if random.below(3) == 0 {
                    broken.truncate(4096 * 3);
                }
                add_all("/broken", &vec![("/SRUDB.dat".into(), broken)]);
            }
            3 => add_all(
                "",
                &vec![("/notes.txt".into(), b"nothing of ESE's".to_vec())],
            ),
            _ => {}
        }
        let method = [CompressionMethod::Stored, CompressionMethod::Deflated][random.below(2)];
        write_zip(
            &folder.join(format!("HOST-{number:04}.zip")),
            &members,
            method,
        );
    }
}

#[test]
fn kills_and_threads_make_no_difference() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    let zips = number("EDBKIT_ZIPS", 30);
    many_zips(&evidence, zips);
    let to = |name: &str| folder.path().join(name);
    let start = |case: &Path, threads: &str| {
        let mut run = command("edbtool");
        run.arg("collect")
            .arg(&evidence)
            .arg("--to")
            .arg(case)
            .args(["--threads", threads, "--quiet"]);
        run.stdout(Stdio::null()).stderr(Stdio::piped());
        run.spawn().unwrap()
    };
    let end = |case: &Path, threads: &str| {
        let begun = Instant::now();
        let output = start(case, threads).wait_with_output().unwrap();
        assert_eq!(exit(&output), 1, "{}", stderr(&output));
        begun.elapsed()
    };
    let two = end(&to("two"), "2");
    let undisturbed = content(&to("two"));
    let one = end(&to("one"), "1");
    assert_eq!(content(&to("one")), undisturbed);
    println!("{zips} zips: {two:?} on two threads, {one:?} on one");

    let kills = number("EDBKIT_KILLS", 10);
    let mut random = Random(0x51ed_270b);
    let (mut killed, mut case) = (0, 0);
    while killed < kills {
        let case = {
            case += 1;
            to(&format!("killed-{case}"))
        };
        // Each kill comes after a share of the work, so that a run that goes on is killed in another part of it.
        for _ in 0..kills {
            let threads = ["1", "2"][random.below(2)];
            let mut child = start(&case, threads);
            std::thread::sleep(random.shorter_than(two.mul_f64(0.4)));
            let signal = match killed {
                0 => "-INT",
                _ => "-KILL",
            };
            let sent = std::process::Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status();
            assert!(sent.unwrap().success());
            let ended = child.wait().unwrap();
            match ended.code() {
                // It was interrupted.
                Some(6) if killed == 0 => killed += 1,
                None => killed += 1,
                // It had come to its end.
                code => {
                    assert_eq!(code, Some(1));
                    break;
                }
            }
            if killed == kills {
                break;
            }
        }
        end(&case, "2");
        assert_eq!(content(&case), undisturbed, "after {killed} kills");
        let left = fs::read_dir(&case)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left
            .filter(|name| name.to_string_lossy().contains("unfinished"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    println!("{killed} kills in {case} cases");
    let totals = &manifest(&to("two"))["totals"];
    println!("{totals}");
    for what in [
        "recovered",
        "dirty",
        "equal_to_others",
        "pages_lost",
        "failed",
    ] {
        assert!(totals[what].as_u64() > Some(0), "{what}: {totals}");
    }
}

/// One query over all hosts, by a program that knows nothing of ESE. `EDBKIT_PYTHON` names an interpreter that has duckdb.
#[test]
#[ignore = "needs duckdb"]
fn duckdb_answers_a_question_over_all_hosts() {
    let folder = TempDir::new().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    many_zips(&evidence, number("EDBKIT_ZIPS", 30));
    let case = folder.path().join("case");
    assert_eq!(collect(&[&evidence], &case, &[]).0, 1);
    let python = std::env::var("EDBKIT_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = fixtures::repository().join("tests/collect_duckdb.py");
    let output = std::process::Command::new(python)
        .arg(script)
        .arg(&case)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Every row of the dataset is there, under its table and its host.
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let manifest = manifest(&case);
    for record in manifest["databases"].as_array().unwrap() {
        for table in record["tables"].as_array().unwrap() {
            let of = format!(
                "{}/{}",
                table["table"].as_str().unwrap(),
                record["host"].as_str().unwrap()
            );
            *expected.entry(of).or_default() += table["rows"].as_u64().unwrap();
        }
    }
    expected.retain(|_, rows| *rows > 0);
    let found: BTreeMap<String, u64> = serde_json::from_value(answer["rows"].clone()).unwrap();
    assert_eq!(found, expected);
    assert!(found.len() > 100);
    // Which program sent the most, on each host: names come from the decoded view, numbers from the column.
    let hosts = answer["busiest"].as_object().unwrap();
    assert!(hosts.len() > 10, "{hosts:?}");
    for (host, busiest) in hosts {
        assert!(
            busiest["name"].is_string() && busiest["sent"].as_u64() > Some(0),
            "{host}: {busiest}"
        );
    }
    assert_eq!(answer["problems"], manifest["totals"]["problems"]);
    assert_eq!(answer["sources"], manifest["totals"]["databases"]);
}
