//! Shadow copies of a volume: every file of each is what it was, and a case tells rows of all of them once, with the times between
//! which they were there.
#![cfg(feature = "images")]

mod common;

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

/// A volume with a database on it.
fn volume(database: &Path, folder: &Path) -> Vec<u8> {
    let to = TempDir::new_in(folder).unwrap();
    let volume = to.path().join("volume");
    let make = fixtures::repository().join("testdata/images/make");
    let files = TempDir::new_in(folder).unwrap();
    fs::copy(database, files.path().join("SRUDB.dat")).unwrap();
    let out = Command::new(make)
        .args([files.path(), &volume, Path::new("16"), Path::new("plain")])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", stderr(&out));
    fs::read(&volume).unwrap()
}

/// The volume of today has the later state; the first two copies the earlier one, and the third the later one, too.
fn image(folder: &Path) -> PathBuf {
    let [before, after] = states();
    let (before, after) = (volume(&before, folder), volume(&after, folder));
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
    let image = image(folder.path());
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

type Rows = BTreeMap<String, BTreeSet<String>>;

fn lines(path: &Path) -> Vec<serde_json::Map<String, Value>> {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

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
    let image = image(folder.path());
    let [before, after] = states();
    let before = exported(&before, &folder.path().join("before"));
    let after = exported(&after, &folder.path().join("after"));
    let case = folder.path().join("case");
    let words = [
        "collect",
        "--json",
        "--format",
        "jsonl",
        image.to_str().unwrap(),
        "--to",
        case.to_str().unwrap(),
    ];
    let out = edbtool(words);
    assert!(matches!(exit(&out), 0 | 1), "{}", stderr(&out));
    let manifest: Value =
        serde_json::from_slice(&fs::read(case.join("manifest.json")).unwrap()).unwrap();
    // On one thread the files are the same.
    let again = folder.path().join("again");
    let words = [
        "collect",
        "--format",
        "jsonl",
        image.to_str().unwrap(),
        "--to",
        again.to_str().unwrap(),
        "--threads",
        "1",
    ];
    let out = edbtool(words);
    assert!(matches!(exit(&out), 0 | 1), "{}", stderr(&out));
    for file in fixtures::files_below(&case) {
        if file.file_name() != Some("manifest.json".as_ref()) {
            let other = again.join(file.strip_prefix(&case).unwrap());
            assert!(
                fs::read(&file).unwrap() == fs::read(&other).unwrap(),
                "{}",
                file.display()
            );
        }
    }
    // Each row of the case, with what it says of its times.
    let mut found: BTreeMap<(String, String), Vec<[Option<String>; 2]>> = BTreeMap::new();
    for database in manifest["databases"].as_array().unwrap() {
        for table in database["tables"].as_array().unwrap() {
            for mut row in lines(&case.join(table["file"].as_str().unwrap())) {
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
