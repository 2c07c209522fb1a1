//! Shadow copies of a volume: every file of each is what it was, and a case tells rows of all of them once, with the times between
//! which they were there.
#![cfg(feature = "images")]

#[path = "common/case.rs"]
mod case;
mod common;

use case::{collect, content, lines, manifest};
use common::{edbtool, exit, run, stderr};
use ese_testkit::fixtures;
use ese_testkit::shadow::with_copies;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const PATH: &str = "Windows/System32/sru/SRUDB.dat";
/// When the copies were made, in seconds since 1970, and as a case writes it.
const MADE: [(u64, &str); 3] = [
    (1_700_000_000, "2023-11-14T22:13:20Z"),
    (1_710_000_000, "2024-03-09T16:00:00Z"),
    (1_720_000_000, "2024-07-03T09:46:40Z"),
];

/// The database of the set before and after its undo: two states of one database.
fn states() -> [PathBuf; 2] {
    let set = fixtures::engine_set("crash-p8k");
    [set.join("redo-only/db.edb"), set.join("recovered/db.edb")]
}

/// A volume with a database on it; or with the same three times, of which one is compressed.
fn volume(database: &Path, folder: &Path, times: usize) -> Vec<u8> {
    let to = TempDir::new_in(folder).unwrap();
    let volume = to.path().join("volume");
    let make = fixtures::repository().join("testdata/images/make");
    let files = TempDir::new_in(folder).unwrap();
    fs::copy(database, files.path().join("SRUDB.dat")).unwrap();
    let mut run = Command::new(make);
    run.args([files.path(), &volume, Path::new("16")]);
    run.env("MANY", "0");
    if times == 1 {
        run.arg("plain");
    }
    let out = run.output().unwrap();
    assert!(out.status.success(), "{}", stderr(&out));
    fs::read(&volume).unwrap()
}

/// The volume of today has the later state; the first two copies the earlier one, and the third the later one, too.
fn image(folder: &Path, times: usize) -> PathBuf {
    let [before, after] = states();
    let (before, after) = (
        volume(&before, folder, times),
        volume(&after, folder, times),
    );
    let copies = [&before, &before, &after];
    let copies: Vec<_> = MADE
        .iter()
        .zip(copies)
        .map(|((made, _), bytes)| (*made, &bytes[..]))
        .collect();
    let path = folder.join("HOST-9.img");
    fs::write(&path, with_copies(&after, &copies)).unwrap();
    path
}

fn address(image: &Path, copy: &str) -> String {
    format!("{}::{copy}/{PATH}", image.display())
}

#[test]
#[ignore = "needs ntfs-3g"]
fn every_copy_has_the_database_of_its_time() {
    let folder = TempDir::new().unwrap();
    let image = image(folder.path(), 1);
    let [before, after] = states();
    for (copy, state) in [
        ("", &after),
        ("vss1:", &before),
        ("vss2:", &before),
        ("vss3:", &after),
    ] {
        let to = TempDir::new_in(folder.path()).unwrap();
        let from = address(&image, copy);
        let words = [
            "copy",
            &from,
            to.path().to_str().unwrap(),
            "--allow-dirty",
            "--quiet",
        ];
        let out = run("edbcopy", words);
        assert_eq!(exit(&out), 0, "{from}: {}", stderr(&out));
        assert!(
            fs::read(to.path().join("SRUDB.dat")).unwrap() == fs::read(state).unwrap(),
            "{from}"
        );
    }
    let all = address(&image, "vss*:");
    let out = edbtool(["header", "--summary", "--recursive", "--json", &all]);
    assert!(matches!(exit(&out), 0 | 1), "{}", stderr(&out));
    for copy in ["vss1:", "vss2:", "vss3:"] {
        assert!(
            common::stdout(&out).contains(&address(&image, copy)),
            "{}",
            common::stdout(&out)
        );
    }
    let out = edbtool(["header", &address(&image, "vss4:")]);
    assert_eq!(exit(&out), 3);
    assert!(
        stderr(&out).contains("has no shadow copy 4: it has 3"),
        "{}",
        stderr(&out)
    );
}

/// Makes a case.
fn of(paths: &[&Path], case: &Path, more: &[&str]) -> Value {
    let mut all = vec!["--format", "jsonl"];
    all.extend(more);
    let (code, answer) = collect(paths, case, &all);
    assert!(matches!(code, 0 | 1), "{answer}");
    answer
}

/// The rows of a case by table, each with what it says of its times, as often as it is told.
fn told(case: &Path) -> BTreeMap<(String, String), Vec<[Option<String>; 2]>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for database in manifest(case)["databases"].as_array().unwrap() {
        for table in database["tables"].as_array().unwrap() {
            for mut row in lines(&case.join(table["file"].as_str().unwrap())) {
                let row = row.as_object_mut().unwrap();
                for name in ["_source", "_state", "_snapshot"] {
                    row.remove(name);
                }
                let mut time = |name: &str| {
                    row.remove(name)
                        .map(|time| time.as_str().unwrap().to_owned())
                };
                let times = [time("_first_seen"), time("_last_seen")];
                let row = serde_json::to_string(&row).unwrap();
                let name = table["name"].as_str().unwrap().to_owned();
                found.entry((name, row)).or_default().push(times);
            }
        }
    }
    found
}

type Rows = BTreeMap<String, BTreeSet<String>>;

/// The rows of a database, by tables.
fn exported(database: &Path, to: &Path) -> Rows {
    let words = [
        "export",
        database.to_str().unwrap(),
        "--decoded",
        "--to",
        to.to_str().unwrap(),
    ];
    let out = edbtool(words);
    assert!(matches!(exit(&out), 0 | 1), "{}", stderr(&out));
    let manifest: Value =
        serde_json::from_slice(&fs::read(to.join("manifest.json")).unwrap()).unwrap();
    let tables = manifest["tables"].as_array().unwrap().iter().map(|table| {
        let rows = lines(&to.join(table["file"].as_str().unwrap()));
        let rows = rows
            .into_iter()
            .map(|row| serde_json::to_string(&row).unwrap());
        (table["name"].as_str().unwrap().to_owned(), rows.collect())
    });
    tables.collect()
}

#[test]
#[ignore = "needs ntfs-3g"]
fn a_case_has_rows_of_all_copies_once_and_says_when_they_were_there() {
    let folder = TempDir::new().unwrap();
    let image = image(folder.path(), 1);
    let [before, after] = states();
    let before = exported(&before, &folder.path().join("before"));
    let after = exported(&after, &folder.path().join("after"));
    let case = folder.path().join("case");
    of(&[&image], &case, &[]);
    // On one thread the files are the same.
    let again = folder.path().join("again");
    of(&[&image], &again, &["--threads", "1"]);
    assert_eq!(content(&case).0, content(&again).0);
    let found = told(&case);
    let [first, second, _] = MADE.map(|(_, made)| Some(made.to_owned()));
    let third = Some(MADE[2].1.to_owned());
    let (mut gone, mut stayed, mut new) = (0, 0, 0);
    let mut expected = BTreeMap::new();
    for table in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let of = |rows: &Rows| rows.get(table).cloned().unwrap_or_default();
        let (before, after) = (of(&before), of(&after));
        for row in before.union(&after) {
            let times = match (before.contains(row), after.contains(row)) {
                (true, true) => {
                    stayed += 1;
                    [first.clone(), None]
                }
                (true, false) => {
                    gone += 1;
                    [first.clone(), second.clone()]
                }
                (false, _) => {
                    new += 1;
                    [third.clone(), None]
                }
            };
            expected.insert((table.clone(), row.clone()), vec![times]);
        }
    }
    assert!(
        gone > 10 && stayed > 10 && new > 10,
        "{gone} {stayed} {new}"
    );
    for (row, times) in &expected {
        assert_eq!(found.get(row), Some(times), "{row:?}");
    }
    assert_eq!(found.len(), expected.len());
    println!("{gone} rows are gone, {stayed} stayed, {new} are new");
}

#[test]
#[ignore = "needs ntfs-3g"]
fn copies_that_are_read_again_are_read_together() {
    let folder = TempDir::new().unwrap();
    let image = image(folder.path(), 1);
    let case = folder.path().join("case");
    of(&[&image], &case, &[]);
    let (before, rows) = (content(&case), told(&case));
    let parts: Vec<&PathBuf> = before
        .0
        .keys()
        .filter(|part| part.starts_with("table=Items"))
        .collect();
    assert!(parts.len() > 1);
    for part in parts {
        fs::remove_file(case.join(part)).unwrap();
        assert_eq!(of(&[&image], &case, &[])["from_before"], 0);
        assert_eq!(content(&case), before, "{}", part.display());
    }
    // The same database in a folder, before or after the image: no row is told twice, and none is lost.
    for state in states() {
        let loose = folder.path().join("loose");
        fs::create_dir(&loose).unwrap();
        fs::copy(&state, loose.join("db.edb")).unwrap();
        let mut cases = Vec::new();
        for paths in [[&*image, &*loose], [&*loose, &*image]] {
            let to = folder.path().join("both");
            of(&paths, &to, &[]);
            assert_eq!(told(&to), rows);
            let (files, _) = content(&to);
            let parts = files
                .into_iter()
                .filter(|(path, _)| !path.starts_with("table=_sources"));
            cases.push(parts.collect::<Vec<_>>());
            fs::remove_dir_all(&to).unwrap();
        }
        assert_eq!(cases[0], cases[1]);
        // The folder is collected, and then the image comes.
        let evidence = folder.path().join("evidence");
        fs::create_dir(&evidence).unwrap();
        fs::rename(&loose, evidence.join("loose")).unwrap();
        let grown = folder.path().join("grown");
        of(&[&evidence], &grown, &[]);
        fs::copy(&image, evidence.join("HOST-9.img")).unwrap();
        of(&[&evidence], &grown, &[]);
        assert_eq!(told(&grown), rows);
        let anew = folder.path().join("anew");
        of(&[&evidence], &anew, &[]);
        assert_eq!(content(&grown), content(&anew));
        for made in [&evidence, &grown, &anew] {
            fs::remove_dir_all(made).unwrap();
        }
    }
}

/// What becomes of a case of `image` with some of its bytes changed: how many states were read, and how many were not. Each row of
/// those that were is told; once, if the image has one database.
fn of_damaged(image: &Path, bytes: &[u8], times: usize) -> (usize, usize) {
    fs::write(image, bytes).unwrap();
    let folder = TempDir::new_in(image.parent().unwrap()).unwrap();
    let case = folder.path().join("case");
    let (code, answer) = collect(&[image], &case, &["--format", "jsonl"]);
    let told = told(&case);
    let (mut read, mut unread) = (0, 0);
    for record in manifest(&case)["databases"].as_array().unwrap() {
        if record["state"] == "not_read" {
            assert_ne!(code, 0, "{answer}");
            unread += 1;
            continue;
        }
        read += 1;
        let source = record["source"].as_str().unwrap();
        let to = TempDir::new_in(folder.path()).unwrap();
        for (table, rows) in exported(Path::new(source), to.path()) {
            for row in rows {
                let row = (table.clone(), row);
                let count = told.get(&row).map_or(0, Vec::len);
                assert!(count == 1 || count > 1 && times > 1, "{source}: {row:?}");
            }
        }
    }
    assert!(
        read + unread == 4 * times || code == 3,
        "{read} {unread} {code}"
    );
    (read, unread)
}

#[test]
#[ignore = "needs ntfs-3g"]
fn no_row_of_a_state_that_can_be_read_is_lost() {
    /// Every structure of a shadow copy begins with it.
    const IDENTIFIER: [u8; 16] = [
        0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7,
        0x52,
    ];
    let folder = TempDir::new().unwrap();
    let one = image(folder.path(), 1);
    let whole = fs::read(&one).unwrap();
    // Without the first of them, that of the volume, there are no shadow copies.
    let places = (0..whole.len()).step_by(512);
    let is_structure = |at: &usize| whole[*at..].starts_with(&IDENTIFIER);
    let (mut read, mut unread) = (0, 0);
    for at in places.filter(is_structure).skip(1) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        let states = of_damaged(&one, &bytes, 1);
        (read, unread) = (read + states.0, unread + states.1);
    }
    assert!(read > 20, "{read} {unread}");
    // Clusters of a compressed file that do not unpack.
    let three = image(folder.path(), 3);
    let whole = fs::read(&three).unwrap();
    let (mut read, mut unread) = (0, 0);
    for number in 1..16 {
        let mut bytes = whole.clone();
        let at = whole.len() / 16 * number;
        bytes[at..at + (64 << 10)].fill(0xff);
        let states = of_damaged(&three, &bytes, 3);
        (read, unread) = (read + states.0, unread + states.1);
    }
    println!("{read} states were read, {unread} were not");
    assert!(read > 100 && unread > 0, "{read} {unread}");
}
