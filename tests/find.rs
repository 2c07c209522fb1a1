//! `edbtool find`: files are known by their content and put together by their signatures, wherever they lie and whatever they are
//! called; and nothing that is there is left out in silence.

mod common;

use common::{documents, edbtool, exit, run, stderr, stdout};
use ese_testkit::fixtures;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

fn state(set: &str) -> PathBuf {
    fixtures::engine_set(set).join("state")
}

/// What the search prints as JSON.
struct Answer {
    exit: i32,
    documents: Vec<Json>,
    errors: String,
}

fn find(paths: &[&Path]) -> Answer {
    let mut words = vec!["--json".into(), "find".into()];
    words.extend(paths.iter().map(|path| path.as_os_str().to_owned()));
    let output = edbtool(words);
    Answer {
        exit: exit(&output),
        documents: documents(&output),
        errors: stderr(&output),
    }
}

impl Answer {
    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Json> {
        self.documents.iter().filter(move |one| one["find"] == kind)
    }

    fn databases(&self) -> Vec<&Json> {
        self.of_kind("database").collect()
    }

    #[track_caller]
    fn database(&self, path: &Path) -> &Json {
        let found = self.of_kind("database");
        let mut found = found.filter(|one| one["file"]["path"] == path.to_str().unwrap());
        found
            .next()
            .unwrap_or_else(|| panic!("{}: {:#?}", path.display(), self.documents))
    }

    fn totals(&self) -> &Json {
        let totals = self.documents.last().unwrap();
        assert_eq!(totals["schema"], "edbkit.find-totals/1");
        totals
    }
}

/// Two streams whose files have lost their names: a database here, its logs there, mixed with those of another.
fn nameless(root: &Path) -> (PathBuf, PathBuf) {
    let crash = root.join("pictures/holiday.jpg");
    copy(&state("crash-p8k").join("db.edb"), &crash);
    let srum = root.join("f00");
    let dirty = fixtures::real().join("museum/SRUM/Win11/RathbunVM/Dirty");
    copy(&dirty.join("SRUDB.dat"), &srum);
    let mut number = 0;
    for (folder, database) in [(state("crash-p8k"), "db.edb"), (dirty, "SRUDB.dat")] {
        for file in fixtures::files_below(&folder) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if name == database || name.contains("tmp") || name.ends_with(".jrs") {
                continue;
            }
            number += 1;
            copy(
                &file,
                &root.join(format!("carved/{:03}", (number * 37) % 101)),
            );
        }
    }
    (crash, srum)
}

#[test]
fn files_without_names_are_found_and_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (crash, srum) = nameless(root);
    fs::write(root.join("notes.txt"), "nothing of ESE's").unwrap();
    let answer = find(&[root]);
    assert_eq!(answer.exit, 0, "{}", answer.errors);
    assert_eq!(answer.databases().len(), 2);
    let carved = root.join("carved");
    for (path, kind, needs) in [
        (&crash, Json::Null, json!({"first": 13, "last": 23})),
        (&srum, json!("SRUM"), json!({"first": 92, "last": 92})),
    ] {
        let database = answer.database(path);
        assert_eq!(database["schema"], "edbkit.find/1");
        assert_eq!(database["file"]["content"]["kind"], kind);
        assert_eq!(database["verdict"]["readiness"], "ready");
        assert_eq!(database["verdict"]["tried"], false);
        let logs = &database["logs"];
        assert_eq!((&logs["needs"], &logs["missing"]), (&needs, &json!([])));
        assert_eq!(logs["from"], "other_folder");
        assert_eq!(logs["folders"], json!([carved]));
        assert_eq!(database["checkpoint"]["folder"], json!(carved));
    }
    let map = &answer.database(&srum)["flush_map"];
    assert!(map.is_object(), "{map}");
    // Every file of ESE's is with a database: what is left is none.
    assert_eq!(answer.totals()["streams"], 0);
    assert_eq!(answer.totals()["others"], json!({}));
    // What is said of them is tried on demand.
    let tried = edbtool(["--json", "find", "--try", root.to_str().unwrap()]);
    let tried = documents(&tried);
    let verdicts = tried.iter().filter(|one| one["find"] == "database");
    for database in verdicts {
        assert_eq!(database["verdict"]["tried"], true);
        assert_eq!(database["verdict"]["readiness"], "ready");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    nameless(folder.path());
    let real = fixtures::real();
    for form in [&["find"][..], &["--json", "find"]] {
        let with = |threads: &str| {
            let words = [&["--threads", threads], form].concat();
            let paths = [folder.path(), &real].map(|path| path.to_str().unwrap());
            stdout(&edbtool([words, paths.to_vec()].concat())).to_owned()
        };
        let one = with("1");
        assert!(one.lines().count() > 20, "{one}");
        assert_eq!(one, with("8"));
    }
}

/// What `edbreplay plan` says of the same files, the search says too.
#[test]
fn the_verdict_is_that_of_the_plan() {
    let mut compared = 0;
    for set in fixtures::engine_set_names() {
        let answer = find(&[&state(&set)]);
        assert!(!answer.databases().is_empty(), "{set}: {}", answer.errors);
        for database in answer.databases() {
            let file = &database["file"];
            let mates = database["verdict"]["together_with"].as_array().unwrap();
            let paths = [&file["path"]].into_iter().chain(mates);
            let mut folders = database["logs"]["folders"].as_array().unwrap().clone();
            if folders.is_empty() {
                folders.push(file["folder"].clone());
            }
            let text = |value: &Json| value.as_str().unwrap().to_owned();
            let mut words: Vec<String> = ["--json", "plan", "--quick"].map(str::to_owned).into();
            words.extend(paths.map(text));
            words.extend(
                folders
                    .iter()
                    .flat_map(|one| ["--logs".to_owned(), text(one)]),
            );
            let output = run("edbreplay", words);
            let plan = documents(&output).pop().unwrap();
            let planned = &plan["databases"][0]["verdict"];
            assert!(planned.is_object(), "{set}: {plan:#}");
            let found = &database["verdict"]["plan"]["verdict"];
            assert_eq!(found, planned, "{set}: {file:#}");
            compared += 1;
        }
    }
    assert!(compared >= fixtures::either(60, 20), "{compared}");
}

/// The program that each real database belongs to, by the name of its file; those of test data belong to none.
#[test]
fn every_real_database_gets_its_kind() {
    let real = fixtures::real();
    let answer = find(&[&real]);
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for database in answer.databases() {
        let path = database["file"]["path"].as_str().unwrap();
        let name = path.rsplit('/').next().unwrap().to_lowercase();
        let kind = database["file"]["content"]["kind"].as_str();
        let expected = match name.as_str() {
            "srudb.dat" => Some("SRUM"),
            "qmgr.db" => Some("BITS"),
            "current.mdb" | "systemidentity.mdb" => Some("UAL"),
            name if name.starts_with('{') => Some("UAL"),
            "windows.edb" => Some("Windows Search"),
            "certlog.edb" => Some("CertSvc"),
            "secedit.sdb" => Some("Security templates"),
            "catdb" => Some("Catalog database"),
            "catalog1.edb" => Some("File History"),
            "ntds.dit" => Some("NTDS"),
            "webcachev01.dat" => Some("WebCache"),
            "basic.edb"
            | "binary.edb"
            | "default.edb"
            | "index.edb"
            | "large.edb"
            | "multi.edb"
            | "text.edb"
            | "temp.edb"
            | "test.edb"
            | "decompress_test.edb"
            | "decompress_test2.edb" => None,
            other => panic!("{other}: {kind:?}"),
        };
        assert_eq!(kind, expected, "{path}");
        *kinds
            .entry(kind.unwrap_or("unknown").to_owned())
            .or_default() += 1;
    }
    assert_eq!(answer.databases().len(), fixtures::real_databases().len());
    assert_eq!(answer.totals()["kinds"], json!(kinds));
    assert!(kinds.len() >= 8, "{kinds:?}");
}

#[test]
fn a_database_and_a_log_without_their_headers_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let from = state("crash-p8k");
    for file in fixtures::files_below(&from) {
        copy(&file, &root.join("sg").join(file.file_name().unwrap()));
    }
    let database = root.join("sg/db.edb");
    let mut bytes = fs::read(&database).unwrap();
    bytes[..8192].fill(0x5a);
    fs::write(&database, &bytes).unwrap();
    let answer = find(&[root]);
    assert_eq!(answer.exit, 1);
    let found = answer.database(&database);
    assert_eq!(found["file"]["content"]["headers"], "primary_bad");
    assert_eq!(found["verdict"]["readiness"], "ready");
    // The header of a log that is needed is wiped out: under its name it is damage, without it a log that nobody misses by name.
    let log = root.join("sg/edb0000F.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[..4096].fill(0);
    fs::write(&log, &bytes).unwrap();
    let answer = find(&[root]);
    let found = answer.database(&database);
    assert_eq!(found["verdict"]["readiness"], "not_ready");
    assert_eq!(found["logs"]["missing"], json!([{"first": 15, "last": 15}]));
    let nameless = root.join("lost");
    fs::rename(&log, &nameless).unwrap();
    let answer = find(&[root]);
    let lost = answer.of_kind("logs").next().unwrap();
    let log = &lost["logs"][0];
    assert_eq!(log["path"], json!(nameless));
    let problem = log["content"]["problem"].as_str().unwrap();
    assert!(problem.contains("generation 15 (0xf)"), "{problem}");
    assert_eq!(answer.exit, 1);
}

#[test]
fn what_belongs_to_nothing_is_printed_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for file in fixtures::files_below(&state("crash-p8k")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".edb") && name != "edb0000F.log" {
            copy(&file, &root.join("logs").join(name));
        }
    }
    let dirty = fixtures::real().join("museum/SRUM/Win11/RathbunVM/Dirty");
    copy(&dirty.join("SRU.chk"), &root.join("a"));
    copy(&dirty.join("SRUDB.jfm"), &root.join("b"));
    fs::write(root.join("MBX1.edb"), vec![0x77; 9000]).unwrap();
    let answer = find(&[root]);
    assert_eq!(answer.exit, 1, "{}", answer.errors);
    let streams: Vec<&Json> = answer.of_kind("logs").collect();
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0]["missing"], json!([{"first": 15, "last": 15}]));
    assert!(!streams[0]["databases"].as_array().unwrap().is_empty());
    let files = answer.of_kind("file").map(|one| {
        let name = one["path"].as_str().unwrap().rsplit('/').next().unwrap();
        (name, one["content"]["file"].as_str().unwrap())
    });
    let files: BTreeMap<_, _> = files.collect();
    assert_eq!(files["a"], "checkpoint");
    assert_eq!(files["b"], "flush_map");
    assert_eq!(files["MBX1.edb"], "ruin");
    // Text says the same.
    let text = edbtool(["find", root.to_str().unwrap()]);
    for word in ["logs", "checkpoint", "flush map", "ruin", "missing: 0xf"] {
        assert!(stdout(&text).contains(word), "{word}: {}", stdout(&text));
    }
}

#[test]
fn nothing_of_ese_is_a_code_of_its_own_and_so_is_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("notes.txt"), "nothing").unwrap();
    let nothing = find(&[root]);
    assert_eq!(nothing.exit, 4);
    assert_eq!(nothing.totals()["files"], 1);
    let missing = find(&[&root.join("nowhere"), root]);
    assert_eq!(missing.exit, 3);
    assert_eq!(missing.documents[0]["schema"], "edbkit.failure/1");
    assert_eq!(missing.totals()["problems"], 1);
    copy(&state("clean-p4k").join("db.edb"), &root.join("db"));
    assert_eq!(find(&[root]).exit, 0);
    assert_eq!(find(&[&root.join("nowhere"), root]).exit, 3);
}

/// What is wrong with a file that belongs to a database is said with it.
#[test]
fn damaged_files_of_a_database_are_not_hidden_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for file in fixtures::files_below(&state("clean-p4k")) {
        copy(&file, &root.join(file.file_name().unwrap()));
    }
    assert_eq!(find(&[root]).exit, 0);
    let is_log = |path: &PathBuf| path.extension() == Some("log".as_ref());
    let log = fixtures::files_below(root)
        .into_iter()
        .find(is_log)
        .unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes[..4096].fill(0x5a);
    fs::write(&log, bytes).unwrap();
    let answer = find(&[root]);
    assert_eq!(answer.exit, 1, "{}", answer.errors);
    let database = answer.database(&root.join("db.edb"));
    assert_eq!(database["exit"], "finding");
    assert_eq!(database["damaged"][0]["path"], json!(log), "{database:#}");
    let text = edbtool(["find", root.to_str().unwrap()]);
    let name = log.file_name().unwrap().to_str().unwrap();
    assert!(stdout(&text).contains(&format!("{name}: its header is")));
    assert!(stdout(&text).contains("clean is what the header says; no page was looked at"));
}

/// A file that may hold others and is not opened is no file in which nothing was found.
#[test]
fn what_may_hold_databases_and_is_not_opened_is_said() {
    let with = |at: usize, bytes: &[u8]| {
        let mut file = vec![0; 2 << 20];
        file[..16].fill(0xe5);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let mut ext = with(1024, &[1; 8]);
    ext[1024 + 20..1024 + 80].fill(0);
    ext[1024 + 56..1024 + 58].copy_from_slice(&[0x53, 0xef]);
    // A program of one section, and what it unpacks.
    let mut program = vec![0x90; 300_000];
    program[..512].fill(0);
    program[..2].copy_from_slice(b"MZ");
    program[60] = 64;
    program[64..72].copy_from_slice(b"PE\0\0\x64\x86\x01\0");
    program[64 + 24 + 16..][..4].copy_from_slice(&299_000_u32.to_le_bytes());
    program[64 + 24 + 20..][..4].copy_from_slice(&512_u32.to_le_bytes());
    program[299_600..299_606].copy_from_slice(b"7z\xbc\xaf\x27\x1c");
    for (file, words) in [
        (program, "a program with a 7z archive after it"),
        (ext, "ext2, ext3 or ext4"),
        (with(0x8001, b"CD001"), "ISO 9660"),
        (with(0, b"PK\x07\x08PK\x03\x04"), "a split zip archive"),
        (with(32, b"NXSB"), "APFS"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), file).unwrap();
        let answer = find(&[folder.path()]);
        assert_eq!(answer.exit, 3, "{words}");
        assert!(answer.errors.contains(words), "{words}: {}", answer.errors);
    }
}

#[test]
fn a_folder_that_is_named_twice_is_searched_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    copy(&state("clean-p4k").join("db.edb"), &root.join("a/db"));
    let again = root.join("a/../a");
    let answer = find(&[&again, &root.join("a"), &root.join("a/db")]);
    assert_eq!(answer.exit, 0, "{}", answer.errors);
    assert_eq!(answer.totals()["files"], 1);
    assert_eq!(answer.database(&again.join("db"))["exit"], "clean");
}

/// The walk neither follows links nor opens what is no file, and says how many there are.
#[cfg(unix)]
#[test]
fn links_and_pipes_are_counted_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    copy(&state("clean-p4k").join("db.edb"), &root.join("real/db"));
    std::os::unix::fs::symlink(root, root.join("real/loop")).unwrap();
    std::os::unix::fs::symlink(root.join("real/db"), root.join("again")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("broken")).unwrap();
    let pipe = root.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let answer = find(&[root]);
    assert_eq!(answer.exit, 0, "{}", answer.errors);
    assert_eq!(answer.databases().len(), 1);
    let totals = answer.totals();
    assert_eq!(
        (&totals["links"], &totals["special"]),
        (&json!(3), &json!(1))
    );
    let text = edbtool(["find", root.to_str().unwrap()]);
    assert!(stdout(&text).contains("read: 3 links, 1 other (devices"));
    let device = find(&[Path::new("/dev/null")]);
    assert_eq!(device.exit, 3);
    assert!(
        device.errors.contains("/dev/null is a device"),
        "{}",
        device.errors
    );
    // What somebody names is followed.
    assert_eq!(find(&[&root.join("again")]).databases().len(), 1);
}

/// Whatever a file holds, the search goes on.
#[test]
fn garbage_is_not_taken_for_anything_and_never_ends_the_search() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for number in 0..200_u32 {
        let length = (next() % 70_000) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        // The type of a log, a database, a checkpoint, a flush map at its place: by itself it means nothing.
        if let Some(kind) = bytes.get_mut(667..671) {
            kind.copy_from_slice(&(number % 11).to_le_bytes());
        }
        let marks: [&[u8]; 6] = [
            b"",
            b"PK\x03\x04",
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
            b"EVF\x09\x0d\x0a\xff\x00",
            b"MSWIM",
        ];
        let mark = marks[(number % 6) as usize];
        if let Some(start) = bytes.get_mut(..mark.len()) {
            start.copy_from_slice(mark);
        }
        fs::write(root.join(format!("{number:03}")), bytes).unwrap();
    }
    // Files that are ESE's in part.
    for file in fixtures::files_below(&state("crash-p8k")) {
        let mut bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        for round in 0..4 {
            for _ in 0..64 {
                let at = next() as usize % bytes.len();
                bytes[at] = next() as u8;
            }
            fs::write(root.join(format!("{name}-{round}")), &bytes).unwrap();
        }
    }
    let answer = find(&[root]);
    assert!([1, 3].contains(&answer.exit), "{}", answer.errors);
    for document in &answer.documents {
        let path = document["file"]["path"]
            .as_str()
            .or(document["path"].as_str());
        if let Some(path) = path {
            let name = path.rsplit('/').next().unwrap();
            assert!(name.parse::<u32>().is_err(), "{document:#}");
        }
    }
    assert!(!answer.databases().is_empty());
}

#[cfg(feature = "archives")]
mod in_archives {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    type Members = Vec<(String, Vec<u8>)>;

    fn zipped(members: &Members) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        for (name, bytes) in members {
            zip.start_file(name.as_str(), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn tarred(members: &Members) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &bytes[..]).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    /// The database of a set, and its other files under names that say nothing.
    fn parts(set: &str) -> (Vec<u8>, Members) {
        let mut logs = Members::new();
        let mut database = None;
        for file in fixtures::files_below(&state(set)) {
            let bytes = fs::read(&file).unwrap();
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("edb") => database = Some(bytes),
                Some("log" | "chk") => logs.push((format!("x/{:04}", logs.len()), bytes)),
                _ => {}
            }
        }
        (database.unwrap(), logs)
    }

    #[test]
    fn a_database_in_one_archive_gets_its_logs_out_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (database, logs) = parts("crash-p8k");
        let noise = vec![("readme".to_owned(), b"text".to_vec())];
        let inner = zipped(&vec![("deep/er/unnamed".to_owned(), database)]);
        let outer = gzipped(&tarred(&[noise, vec![("in".to_owned(), inner)]].concat()));
        fs::write(root.join("upload"), outer).unwrap();
        fs::write(root.join("backup"), zipped(&logs)).unwrap();
        let answer = find(&[root]);
        assert_eq!(answer.exit, 0, "{}", answer.errors);
        let at = format!("{}::/in::/deep/er/unnamed", root.join("upload").display());
        let database = answer.database(Path::new(&at));
        assert_eq!(database["verdict"]["readiness"], "ready");
        assert_eq!(database["logs"]["from"], "other_folder");
        let origin = &database["file"]["origin"];
        assert_eq!(origin["container"], json!(root.join("upload")));
        assert_eq!(origin["is_shadow_copy"], false);
        assert_eq!(answer.totals()["containers"], 3);
        // The address leads back to the database.
        let tables = edbtool(["tables", "--names", &at]);
        assert_eq!(exit(&tables), 0, "{}", stderr(&tables));
    }

    #[test]
    fn what_an_archive_has_lost_or_hides_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (database, logs) = parts("clean-p4k");
        // The end of a tar is gone, with more than its last member.
        let members = [vec![("db".to_owned(), database.clone())], logs].concat();
        let mut tar = tarred(&members);
        tar.truncate(tar.len() - 1024);
        fs::write(root.join("cut.tar"), tar).unwrap();
        let cut = gzipped(&tarred(&members));
        fs::write(root.join("cut.tar.gz"), &cut[..cut.len() / 2]).unwrap();
        let mut zip = zipped(&vec![("db".to_owned(), database)]);
        let directory = zip
            .windows(4)
            .position(|word| word == b"PK\x01\x02")
            .unwrap();
        zip[6] |= 1;
        zip[directory + 8] |= 1;
        fs::write(root.join("locked.zip"), zip).unwrap();
        let answer = find(&[root]);
        assert_eq!(answer.exit, 3, "{}", answer.errors);
        assert_eq!(answer.totals()["problems"], 3);
        for words in ["cut off", "cut.tar.gz", "it is encrypted"] {
            assert!(answer.errors.contains(words), "{words}: {}", answer.errors);
        }
        for inner in ["", "x"] {
            let cut = format!("{}::{inner}", root.join("cut.tar").display());
            assert_eq!(find(&[Path::new(&cut)]).totals()["problems"], 1, "{inner}");
        }
        // What is left of the first is found.
        let at = format!("{}::/db", root.join("cut.tar").display());
        assert_eq!(
            answer.database(Path::new(&at))["verdict"]["readiness"],
            "ready_without_replay"
        );
    }

    /// A zip behind something else, tars without their mark, one tar after the other: nothing of it is passed over.
    #[test]
    fn archives_that_do_not_begin_as_others_are_searched() {
        let (database, _) = parts("clean-p4k");
        let member = |name: &str| vec![(name.to_owned(), database.clone())];
        let program = [b"MZ".to_vec(), vec![0x90; 200_000], zipped(&member("db"))].concat();
        // The oldest form has neither a mark nor what follows it.
        let old = |mut tar: Vec<u8>, kind: u8| {
            tar[257..512].fill(0);
            tar[148..156].fill(b' ');
            tar[156] = kind;
            let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
            tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            tar
        };
        let label = &old(tarred(&vec![("LABEL".to_owned(), Vec::new())]), b'V')[..512];
        let padded = [tarred(&member("one")), vec![0; 70_000 / 512 * 512]].concat();
        let two = [padded, tarred(&member("db"))].concat();
        // The database begins where the second copy of a header would be.
        let first = vec![("pax".to_owned(), vec![1; 3072])];
        let aligned = tarred(&[first, member("db")].concat());
        for (name, bytes, count) in [
            ("program.exe", program, 1),
            ("old.tar", old(tarred(&member("db")), 0), 1),
            ("labelled.tar", [label, &tarred(&member("db"))].concat(), 1),
            ("two.tar", two.clone(), 2),
            ("two.tgz", gzipped(&two), 2),
            ("aligned.tar", aligned, 1),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let answer = find(&[folder.path()]);
            assert_eq!(answer.exit, 0, "{name}: {}", answer.errors);
            assert_eq!(answer.databases().len(), count, "{name}");
            let at = format!("{}::/db", path.display());
            assert_eq!(answer.database(Path::new(&at))["exit"], "clean", "{name}");
        }
    }

    /// What cannot be searched in an archive is said, and the rest is searched.
    #[test]
    fn archives_that_are_not_searched_as_a_whole_are_said() {
        let (database, _) = parts("clean-p4k");
        let member = |name: &str| vec![(name.to_owned(), database.clone())];
        let deep = vec![("a/".repeat(400_000) + "b", Vec::new())];
        let aff4 = vec![("information.turtle".to_owned(), b"aff4".to_vec())];
        let garbage = [tarred(&member("db")), vec![7; 512]].concat();
        for (bytes, words) in [
            (tarred(&[member("db"), deep].concat()), "400001 parts"),
            (garbage, "after the end of the archive, and is not read"),
            (zipped(&[member("db"), aff4].concat()), "an AFF4 image"),
            (
                zipped(&[member("db"), member("a::b.edb")].concat()),
                "its name has :: in it",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("x"), bytes).unwrap();
            let answer = find(&[folder.path()]);
            assert_eq!(answer.exit, 3, "{words}: {}", answer.errors);
            assert!(answer.errors.contains(words), "{words}: {}", answer.errors);
            assert_eq!(answer.totals()["problems"], 1, "{words}: {}", answer.errors);
            assert_eq!(answer.databases().len(), 1, "{words}");
        }
        // A name of a gigabyte, in a file that has no more than its first block.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 30);
        header.set_path("long").unwrap();
        header.set_cksum();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, header.as_bytes()).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len((1 << 30) + 2048).unwrap();
        let answer = find(&[&path]);
        assert_eq!(answer.exit, 3);
        assert!(
            answer.errors.contains("16 MiB of name"),
            "{}",
            answer.errors
        );
        // A directory of five megabytes in an archive that has nothing else.
        let mut seven = vec![0; 32 + (5 << 20)];
        let mut crc = flate2::Crc::new();
        crc.update(&seven[32..]);
        seven[..8].copy_from_slice(b"7z\xbc\xaf\x27\x1c\0\x04");
        seven[20..28].copy_from_slice(&(5_u64 << 20).to_le_bytes());
        seven[28..32].copy_from_slice(&crc.sum().to_le_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&seven[12..32]);
        seven[8..12].copy_from_slice(&crc.sum().to_le_bytes());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), seven).unwrap();
        let answer = find(&[folder.path()]);
        assert_eq!(answer.exit, 3);
        let words = "its directory needs more than 4096 KiB";
        assert!(answer.errors.contains(words), "{}", answer.errors);
    }

    #[test]
    fn an_archive_may_have_any_name_and_words_for_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (database, _) = parts("clean-p4k");
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XGlobalHeader);
        header.set_size(13);
        tar.append_data(&mut header, "pax_global_header", &b"13 comment=x\n"[..])
            .unwrap();
        let tar = [
            tar.into_inner().unwrap()[..1024].to_vec(),
            tarred(&vec![("db".to_owned(), database)]),
        ];
        let odd = root.join("x::y.tar");
        fs::write(&odd, tar.concat()).unwrap();
        for named in [root.to_owned(), format!("{}::", odd.display()).into()] {
            let answer = find(&[&named]);
            assert_eq!(answer.exit, 0, "{}", answer.errors);
            let at = format!("{}::/db", odd.display());
            let database = answer.database(Path::new(&at));
            assert_eq!(database["file"]["origin"]["container"], json!(odd));
        }
    }

    /// A file that is packed by itself is no archive: it is named if it is one of ESE's.
    #[test]
    fn a_database_that_is_packed_alone_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (database, _) = parts("clean-p4k");
        fs::write(root.join("SRUDB.dat.gz"), gzipped(&database)).unwrap();
        fs::write(root.join("notes.gz"), gzipped(b"some text\n")).unwrap();
        fs::write(root.join("a.7z"), b"7z\xbc\xaf\x27\x1c and more").unwrap();
        let image = [b"EVF\x09\x0d\x0a\xff\x00".to_vec(), vec![0; 5000]].concat();
        fs::write(root.join("disk.E01.gz"), gzipped(&image)).unwrap();
        let answer = find(&[root]);
        assert_eq!(answer.totals()["problems"], 3, "{}", answer.errors);
        for words in [
            "SRUDB.dat.gz: a file of ESE's is packed in it",
            "disk.E01.gz: what is packed in it looks like an EnCase image (E01)",
            "a.7z: ",
        ] {
            assert!(answer.errors.contains(words), "{words}: {}", answer.errors);
        }
    }

    /// Links in an archive are not followed, and no problem.
    #[test]
    fn links_in_archives_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        for kind in [tar::EntryType::Symlink, tar::EntryType::Fifo] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            tar.append_link(&mut header, format!("{kind:?}"), "elsewhere")
                .unwrap();
        }
        fs::write(folder.path().join("a.tar"), tar.into_inner().unwrap()).unwrap();
        let answer = find(&[folder.path()]);
        assert_eq!(answer.exit, 4, "{}", answer.errors);
        let totals = answer.totals();
        assert_eq!(
            (&totals["links"], &totals["special"]),
            (&json!(1), &json!(1))
        );
    }
}
