//! `edbtool diff`: the differences, applied to the rows of one database, give the rows of the other one; both are read by
//! `edbtool export`, and the engine's own dump knows the keys. What could not be read is never called a difference, and
//! never the absence of one.

mod common;
#[path = "diff/lost.rs"]
mod lost;
#[path = "diff/sides.rs"]
mod sides;

use common::{documents, edbtool, exit, stderr, stdout};
use ese_testkit::fixtures;
use rayon::prelude::*;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// What `edbtool export` gives of one database: rows of each table, in order, without the names of files for long values.
struct Export {
    rows: BTreeMap<String, Vec<Json>>,
    is_complete: bool,
}

fn export(database: &Path) -> Export {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("rows");
    let output = edbtool([
        "-q".as_ref(),
        "export".as_ref(),
        "--no-hash".as_ref(),
        database.as_os_str(),
        "--to".as_ref(),
        to.as_os_str(),
    ]);
    let manifest = fs::read(to.join("manifest.json"));
    let manifest: Json =
        serde_json::from_slice(&manifest.unwrap_or_else(|_| panic!("{}", stderr(&output))))
            .unwrap();
    let tables = manifest["tables"].as_array().unwrap().iter();
    let rows = tables.map(|table| {
        let columns = table["columns"].as_array().unwrap().iter();
        let files: Vec<&str> = columns
            .filter(|column| column["type"].is_null())
            .map(|column| column["name"].as_str().unwrap())
            .filter(|name| name.ends_with("_file"))
            .collect();
        let text = fs::read_to_string(to.join(table["file"].as_str().unwrap())).unwrap();
        let rows = text.lines().map(|line| {
            let mut row: Json = serde_json::from_str(line).unwrap();
            let fields = row.as_object_mut().unwrap();
            fields.retain(|name, _| !files.contains(&name.as_str()));
            row
        });
        let name = table["name"].as_str().unwrap().to_lowercase();
        (name, rows.collect())
    });
    Export {
        rows: rows.collect(),
        is_complete: manifest["rows_lost"] == 0
            && manifest["values_lost"] == 0
            && manifest["pages_lost"] == Json::Array(Vec::new()),
    }
}

/// Columns of the primary index of each table, as `edbtool schema` gives them.
fn keys(database: &Path) -> BTreeMap<String, Vec<String>> {
    let output = edbtool(["schema".as_ref(), "--json".as_ref(), database.as_os_str()]);
    let schema = common::document(&output);
    let tables = schema["tables"].as_array().unwrap().iter();
    let keys = tables.filter_map(|table| {
        let primary = |index: &&Json| {
            let mut flags = index["flags"].as_array().unwrap().iter();
            flags.any(|flag| flag == "primary")
        };
        let index = table["indexes"].as_array().unwrap().iter().find(primary)?;
        let columns = index["columns"].as_array().unwrap().iter();
        let columns = columns.map(|part| part["name"].as_str().unwrap().to_owned());
        let name = table["name"].as_str().unwrap().to_lowercase();
        Some((name, columns.collect()))
    });
    keys.collect()
}

/// What `edbtool diff --json` gives.
struct Diff {
    exit: i32,
    rows: Vec<Json>,
    account: Json,
}

fn diff(a: &Path, b: &Path) -> Diff {
    let words = ["-q", "diff", "--json"].map(Path::new);
    let output = edbtool(words.into_iter().chain([a, b]));
    let mut rows = documents(&output);
    let account = rows.pop().unwrap_or_else(|| panic!("{}", stderr(&output)));
    assert_eq!(account["schema"], "edbkit.diff/1");
    assert!(rows.iter().all(|row| row["schema"] == "edbkit.diff-row/1"));
    Diff {
        exit: exit(&output),
        rows,
        account,
    }
}

impl Diff {
    fn of(&self, op: &str) -> Vec<&Json> {
        self.rows.iter().filter(|row| row["op"] == op).collect()
    }

    fn table(&self, name: &str) -> &Json {
        let mut tables = self.account["tables"].as_array().unwrap().iter();
        tables
            .find(|table| table["name"].as_str().unwrap().eq_ignore_ascii_case(name))
            .unwrap()
    }
}

fn count(value: &Json) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Rows and how often each is there.
fn bag<'r>(rows: impl IntoIterator<Item = &'r Json>) -> HashMap<String, i64> {
    let mut bag = HashMap::new();
    for row in rows {
        *bag.entry(row.to_string()).or_default() += 1;
    }
    bag
}

/// What the differences of all pairs came to, so that no law holds for want of cases.
#[derive(Debug, Default)]
struct Seen {
    pairs: usize,
    complete: usize,
    inserted: usize,
    deleted: usize,
    changed: usize,
    unknown: usize,
    tables_alone: usize,
    out_of_order: usize,
}

/// The laws, for one pair of databases. Damage may part the key of a row from the values that it was made of: `keys_hold` says
/// that it has not.
fn obeys(a: &Path, b: &Path, keys_hold: bool) -> Seen {
    let what = format!("{} {}", a.display(), b.display());
    let (one, other) = (export(a), export(b));
    let found = diff(a, b);
    let mut seen = Seen {
        pairs: 1,
        ..Seen::default()
    };
    let names: BTreeSet<&String> = one.rows.keys().chain(other.rows.keys()).collect();
    let tables = found.account["tables"].as_array().unwrap();
    assert_eq!(names.len(), tables.len(), "{what}");
    let keys = keys(a);
    let nothing = Vec::new();
    for name in names {
        let account = found.table(name);
        let rows_a = one.rows.get(name).unwrap_or(&nothing);
        let rows_b = other.rows.get(name).unwrap_or(&nothing);
        let place = match (one.rows.contains_key(name), other.rows.contains_key(name)) {
            (true, true) => "both",
            (true, false) => "a",
            _ => "b",
        };
        assert_eq!(account["in"], place, "{what} {name}");
        seen.tables_alone += usize::from(place != "both");
        assert_eq!(count(&account["rows"]["a"]), rows_a.len(), "{what} {name}");
        assert_eq!(count(&account["rows"]["b"]), rows_b.len(), "{what} {name}");
        let of_table = |row: &&&Json| row["table"].as_str().unwrap().eq_ignore_ascii_case(name);
        let of = |op: &str| {
            found
                .of(op)
                .iter()
                .filter(of_table)
                .copied()
                .collect::<Vec<_>>()
        };
        for op in ["inserted", "deleted", "changed", "unknown"] {
            assert_eq!(count(&account[op]), of(op).len(), "{what} {name} {op}");
        }
        let (inserted, deleted, changed) = (of("inserted"), of("deleted"), of("changed"));
        let unknown = of("unknown");
        seen.inserted += inserted.len();
        seen.deleted += deleted.len();
        seen.changed += changed.len();
        seen.unknown += unknown.len();

        if account["matched_by"] == "nothing" {
            assert_eq!(found.account["verdict"], "different", "{what}");
            assert!(!keys_hold && of("same").is_empty(), "{what}");
            continue;
        }
        // A crash may leave a row twice: before and after a split. Nothing is said of such a row.
        if account["out_of_order"] != serde_json::json!({"a": 0, "b": 0}) {
            if let (Some(key), "both", true) = (keys.get(name), place, keys_hold) {
                seen.out_of_order += 1;
                let times = |rows: &[Json], event: &Json| {
                    let wanted = key_of(&event["key"], key);
                    rows.iter().filter(|row| key_of(row, key) == wanted).count()
                };
                for event in [&deleted, &inserted, &changed].into_iter().flatten() {
                    let found = (times(rows_a, event), times(rows_b, event));
                    let is_so = match event["op"].as_str().unwrap() {
                        "deleted" => found.0 > 0 && found.1 == 0,
                        "inserted" => found.0 == 0 && found.1 > 0,
                        _ => found == (1, 1),
                    };
                    assert!(is_so, "{what} {name}: {found:?} {event}");
                }
            }
            continue;
        }

        // The differences, applied to the rows of A, give the rows of B.
        let mut rows = bag(rows_a);
        let events = [&inserted, &deleted, &changed, &unknown];
        for event in events.into_iter().flatten() {
            for (side, by) in [("before", -1), ("after", 1)] {
                if !event[side].is_null() {
                    let times = rows.entry(event[side].to_string()).or_default();
                    *times += by;
                    assert!(by > 0 || *times >= 0, "{what} {name}: no such row: {event}");
                }
            }
        }
        rows.retain(|_, times| *times != 0);
        assert_eq!(rows, bag(rows_b), "{what} {name}");

        // Nothing is called a change that is none, and the columns named are those that differ.
        for event in &changed {
            let named: BTreeSet<&str> = event["changed"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            let (before, after) = (&event["before"], &event["after"]);
            let both = before
                .as_object()
                .unwrap()
                .keys()
                .chain(after.as_object().unwrap().keys());
            let differ: BTreeSet<&str> = both
                .map(String::as_str)
                .filter(|name| before[*name] != after[*name])
                .map(|name| name.strip_suffix("_raw").unwrap_or(name))
                .collect();
            let said: BTreeSet<&str> = ["unknown", "unreadable", "left_out"]
                .iter()
                .flat_map(|list| event[*list].as_array().unwrap())
                .map(|name| name.as_str().unwrap())
                .collect();
            assert!(!named.is_empty(), "{what} {event}");
            for name in differ.symmetric_difference(&named) {
                assert!(said.contains(name), "{what} {name}: {event}");
            }
        }

        // Rows of one key are one row: what the exports say, key by key.
        let complete = one.is_complete && other.is_complete && keys_hold;
        if let (Some(key), "both", true) = (keys.get(name), place, complete) {
            seen.complete += 1;
            assert_eq!(account["matched_by"], "primary_index", "{what} {name}");
            assert_eq!(
                account["key_columns"],
                Json::from(key.clone()),
                "{what} {name}"
            );
            let by_key = |rows: &[Json]| -> BTreeMap<String, Json> {
                let keyed = rows.iter().map(|row| (key_of(row, key), row.clone()));
                keyed.collect()
            };
            let (x, y) = (by_key(rows_a), by_key(rows_b));
            assert_eq!(
                (x.len(), y.len()),
                (rows_a.len(), rows_b.len()),
                "{what} {name}"
            );
            let only = |x: &BTreeMap<String, Json>, y: &BTreeMap<String, Json>| {
                let only = x.keys().filter(|key| !y.contains_key(*key));
                only.cloned().collect::<BTreeSet<_>>()
            };
            let said = |events: &[&Json]| -> BTreeSet<String> {
                events
                    .iter()
                    .map(|event| key_of(&event["key"], key))
                    .collect()
            };
            let differ = x
                .iter()
                .filter(|(key, row)| y.get(*key).is_some_and(|y| y != *row));
            let differ: BTreeSet<String> = differ.map(|(key, _)| key.clone()).collect();
            assert_eq!(said(&deleted), only(&x, &y), "{what} {name}");
            assert_eq!(said(&inserted), only(&y, &x), "{what} {name}");
            assert_eq!(said(&changed), differ, "{what} {name}");
            assert!(unknown.is_empty(), "{what} {name}: {unknown:?}");
        }
    }

    // The verdict follows from what was found, and the exit code from the verdict.
    let alike = found.rows.is_empty()
        && tables.iter().all(|table| {
            table["in"] == "both"
                && table["columns"] == Json::Array(Vec::new())
                && table["matched_by"] != "nothing"
        });
    let dirty = found.account["a"]["dirty"] == true || found.account["b"]["dirty"] == true;
    match found.account["verdict"].as_str().unwrap() {
        "same" => assert!(alike, "{what}"),
        verdict => assert!(!alike || verdict == "unknown", "{what}"),
    }
    let same = found.account["verdict"] == "same";
    assert_eq!(found.exit, i32::from(!same || dirty), "{what}");

    // B against A is the mirror of A against B.
    let mirror = diff(b, a);
    assert_eq!(
        mirror.account["verdict"], found.account["verdict"],
        "{what}"
    );
    let mirrored = mirror.rows.iter().map(|row| {
        let mut row = row.clone();
        let (before, after) = (row["after"].take(), row["before"].take());
        row["before"] = before;
        row["key"].take();
        row["after"] = after;
        let sides = row["out_of_order"].as_array_mut().unwrap();
        for side in sides.iter_mut() {
            *side = if *side == "a" { "b" } else { "a" }.into();
        }
        sides.reverse();
        row["op"] = match row["op"].as_str().unwrap() {
            "inserted" => "deleted".into(),
            "deleted" => "inserted".into(),
            op => op.into(),
        };
        row
    });
    let mirrored: Vec<Json> = mirrored.collect();
    let there = found.rows.iter().cloned().map(|mut row| {
        row["key"].take();
        row
    });
    let sorted = |rows: Vec<Json>| rows.iter().map(Json::to_string).collect::<BTreeSet<_>>();
    assert_eq!(sorted(mirrored), sorted(there.collect()), "{what}");
    seen
}

/// The values of the key, as one text.
fn key_of(row: &Json, key: &[String]) -> String {
    let values = key.iter().map(|name| row[name].to_string());
    values.collect::<Vec<_>>().join(" ")
}

/// Every database of a set that is there in two states: what the crash left, an old copy, or what redo left, and what recovery
/// made of it.
fn pairs(set: &str) -> Vec<(PathBuf, PathBuf)> {
    let folder = fixtures::engine_set(set);
    let mut pairs = Vec::new();
    for after in fixtures::files_below(&folder.join("recovered")) {
        if after.extension().is_none_or(|extension| extension != "edb") {
            continue;
        }
        let name = after.file_name().unwrap().to_str().unwrap().to_owned();
        for before in ["state", "redo-only"] {
            for name in [name.clone(), format!("{name}.old1")] {
                let before = folder.join(before).join(&name);
                if before.is_file() {
                    pairs.push((before, after.clone()));
                }
            }
        }
    }
    pairs
}

#[test]
fn the_differences_lead_from_one_database_to_the_other() {
    let sets = fixtures::engine_set_names();
    let pairs: Vec<_> = sets.par_iter().flat_map(|set| pairs(set)).collect();
    let seen: Vec<Seen> = pairs.par_iter().map(|(a, b)| obeys(a, b, true)).collect();
    let sum = |count: fn(&Seen) -> usize| seen.iter().map(count).sum::<usize>();
    let found = [
        sum(|seen| seen.pairs),
        sum(|seen| seen.complete),
        sum(|seen| seen.inserted),
        sum(|seen| seen.deleted),
        sum(|seen| seen.changed),
        sum(|seen| seen.unknown),
        sum(|seen| seen.tables_alone),
        sum(|seen| seen.out_of_order),
    ];
    let least = fixtures::either(
        [130, 40, 10_000, 5000, 4900, 1000, 20, 30],
        [38, 4, 2000, 500, 500, 300, 10, 4],
    );
    let enough = found
        .iter()
        .zip(least)
        .all(|(found, least)| *found >= least);
    assert!(enough, "{found:?} {least:?}");
}

/// The engine's own dump of the recovered database has each row that was inserted or changed under its bookmark, and none that was
/// deleted.
#[test]
fn bookmarks_are_those_of_the_engine() {
    let set = fixtures::testdata_set("crash-p8k");
    let found = diff(&set.join("state/db.edb"), &set.join("recovered/db.edb"));
    let dump = fs::read_to_string(set.join("recovered-rows.jsonl")).unwrap();
    let rows = dump.lines().filter_map(|line| {
        let line: Json = serde_json::from_str(line).unwrap();
        let bookmark = line.get("bm")?.as_str()?.to_owned();
        Some((line["table"].as_str()?.to_lowercase(), bookmark))
    });
    let rows: BTreeSet<(String, String)> = rows.collect();
    assert!(rows.len() > 300);
    for row in &found.rows {
        let place = (
            row["table"].as_str().unwrap().to_lowercase(),
            row["bookmark"].as_str().unwrap().to_owned(),
        );
        let there = rows.contains(&place);
        match row["op"].as_str().unwrap() {
            "deleted" => assert!(!there, "{row}"),
            "inserted" | "changed" => assert!(there, "{row}"),
            _ => {}
        }
    }
}

#[test]
fn a_database_does_not_differ_from_itself() {
    let srum = fixtures::real().join("museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat");
    for database in [srum, clean()] {
        let found = diff(&database, &database);
        assert_eq!((found.exit, found.rows.len()), (0, 0));
        assert_eq!(found.account["verdict"], "same");
        let path = database.to_str().unwrap();
        let output = edbtool(["diff", path, path]);
        assert!(
            stdout(&output).starts_with("No difference: "),
            "{}",
            stdout(&output)
        );
        assert_eq!((exit(&output), stderr(&output).as_str()), (0, ""));
    }
    // One that is dirty does not either, but that is no good end.
    let dirty = fixtures::real().join("museum/SRUM/Win11/RathbunVM/Dirty/SRUDB.dat");
    let output = edbtool([Path::new("diff"), &dirty, &dirty]);
    let said = stdout(&output);
    assert!(
        said.starts_with("No difference in what the pages hold: "),
        "{said}"
    );
    assert_eq!(exit(&output), 1);
    assert!(stderr(&output).contains("the database is dirty"));
    // Values of what a crash left may be nowhere yet.
    let dirty = fixtures::testdata_set("dirtyterm-p8k").join("state/db.edb");
    let found = diff(&dirty, &dirty);
    assert_eq!(found.exit, 1);
    assert_eq!(found.account["verdict"], "unknown");
    assert_eq!(found.rows.len(), found.of("unknown").len());
    assert!(
        found
            .rows
            .iter()
            .all(|row| row["unknown"] == row["unreadable"])
    );
}

#[test]
fn a_side_is_read_as_its_logs_leave_it() {
    let set = fixtures::testdata_set("crash-p8k");
    let (state, recovered) = (set.join("state"), set.join("recovered/db.edb"));
    let database = state.join("db.edb");
    let words = [
        "diff".as_ref(),
        database.as_os_str(),
        recovered.as_os_str(),
        "--with-logs-a".as_ref(),
        state.as_os_str(),
    ];
    let output = edbtool(words);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "No difference: 365 rows of 3 tables\n");
}

fn clean() -> PathBuf {
    fixtures::testdata_set("clean-p4k").join("state/db.edb")
}

/// Bytes of a page of [`clean`].
const PAGE: usize = 4096;

/// A copy of [`clean`] in which one page is changed; its checksum is right if it is `sealed`.
fn with_page(pgno: u32, sealed: bool, change: impl FnOnce(&mut [u8])) -> tempfile::NamedTempFile {
    let mut bytes = fs::read(clean()).unwrap();
    let page = &mut bytes[(pgno as usize + 1) * PAGE..][..PAGE];
    change(page);
    if sealed {
        assert!(ese_checksum::seal_page(page, pgno));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

/// More than a checksum can correct.
fn spoil(page: &mut [u8]) {
    for (number, byte) in page[2000..2040].iter_mut().enumerate() {
        *byte ^= 3 * number as u8 + 1;
    }
}

/// Pages of the rows of a table of [`clean`].
fn pages_of(table: &str) -> BTreeSet<u32> {
    let db = ese_db::Database::open(clean()).unwrap();
    let catalog = db.catalog().unwrap();
    let reader = ese_db::TableReader::new(&db, catalog.table(table).unwrap());
    reader.rows().map(|row| row.place().0.0).collect()
}

/// A copy of [`clean`] in which the catalog says `to` where it said `from`, in one record of `table`.
fn with_catalog(from: &[u8], to: &[u8]) -> tempfile::NamedTempFile {
    assert_eq!(from.len(), to.len());
    let bytes = fs::read(clean()).unwrap();
    let pages = pages_of("MSysObjects");
    let page = pages.into_iter().find(|page| {
        let page = &bytes[(*page as usize + 1) * PAGE..][..PAGE];
        page.windows(from.len()).any(|found| found == from)
    });
    with_page(page.expect("the catalog says so"), true, |page| {
        let at = page
            .windows(from.len())
            .position(|found| found == from)
            .unwrap();
        page[at..at + to.len()].copy_from_slice(to);
    })
}

#[test]
fn tables_and_columns_that_only_one_database_has_are_named() {
    let other = with_catalog(b"escr", b"escs");
    let found = diff(&clean(), other.path());
    assert_eq!(
        (found.exit, &found.account["verdict"]),
        (1, &Json::from("different"))
    );
    let columns = found.table("Items")["columns"].as_array().unwrap();
    let said: Vec<(&str, bool, bool)> = columns
        .iter()
        .map(|column| {
            (
                column["name"].as_str().unwrap(),
                column["a"].is_null(),
                column["b"].is_null(),
            )
        })
        .collect();
    assert_eq!(said, [("escr", false, true), ("escs", true, false)]);
    // Rows with a value in it differ, others do not.
    let rows = &export(&clean()).rows["items"];
    let with_value = rows
        .iter()
        .filter(|row| row["escr"] != 0 && !row["escr"].is_null());
    assert_eq!(found.of("changed").len(), with_value.count());
    let text = edbtool([Path::new("diff"), &clean(), other.path()]);
    assert!(
        stdout(&text).contains("column escr only in A (Long)"),
        "{}",
        stdout(&text)
    );
    assert!(
        stdout(&text).contains("column escs only in B (Long)"),
        "{}",
        stdout(&text)
    );

    let renamed = with_catalog(b"Log", b"Lug");
    let found = diff(&clean(), renamed.path());
    let rows = export(&clean()).rows["log"].len();
    assert_eq!(
        (
            found.table("Log")["in"].as_str(),
            found.table("Lug")["in"].as_str()
        ),
        (Some("a"), Some("b"))
    );
    assert_eq!(count(&found.table("Log")["deleted"]), rows);
    assert_eq!(count(&found.table("Lug")["inserted"]), rows);
    assert_eq!(found.of("deleted").len(), rows);
    let text = edbtool([
        Path::new("diff"),
        Path::new("--summary"),
        &clean(),
        renamed.path(),
    ]);
    assert!(stdout(&text).contains("only in A") && stdout(&text).contains("only in B"));
}

#[test]
fn every_form_gives_the_same_rows() {
    let set = fixtures::testdata_set("crash-p8k");
    let (a, b) = (set.join("state/db.edb"), set.join("recovered/db.edb"));
    let found = diff(&a, &b);
    let words = ["-q", "diff"].map(Path::new).into_iter();
    let text = edbtool(words.clone().chain([a.as_path(), &b]));
    for (sign, op) in [
        ('+', "inserted"),
        ('-', "deleted"),
        ('~', "changed"),
        ('?', "unknown"),
    ] {
        let start = format!("  {sign} ");
        let lines = stdout(&text)
            .lines()
            .filter(|line| line.starts_with(&start));
        assert_eq!(lines.count(), found.of(op).len(), "{op}");
    }
    assert!(stdout(&text).lines().all(|line| line.chars().count() <= 80));
    let csv = edbtool(words.clone().chain([Path::new("--format=csv"), &a, &b]));
    let lines: Vec<&str> = stdout(&csv).lines().collect();
    assert_eq!(
        lines[0],
        "table,op,bookmark,key,changed,unknown,unreadable,left_out,out_of_order,before,after"
    );
    assert_eq!(lines.len(), found.rows.len() + 1);
    for (line, row) in lines[1..].iter().zip(&found.rows) {
        let fields = format!(
            "{},{},{},",
            row["table"].as_str().unwrap(),
            row["op"].as_str().unwrap(),
            row["bookmark"].as_str().unwrap()
        );
        assert!(line.starts_with(&fields), "{line} {row}");
        let after = match &row["after"] {
            Json::Null => String::new(),
            _ => "\"{\"\"".to_owned(),
        };
        assert!(line.contains(&after), "{line}");
        let lists = [
            "changed",
            "unknown",
            "unreadable",
            "left_out",
            "out_of_order",
        ];
        let lists = lists.map(|name| match row[name].to_string() {
            empty if empty == "[]" => empty,
            list => format!("\"{}\"", list.replace('"', "\"\"")),
        });
        assert!(line.contains(&lists.join(",")), "{line} {row}");
    }
    let summary = edbtool(words.chain([Path::new("--summary"), Path::new("--json"), &a, &b]));
    let account = common::document(&summary);
    for name in ["inserted", "deleted", "changed", "unknown", "verdict"] {
        assert_eq!(account[name], found.account[name], "{name}");
    }
}

#[test]
fn what_cannot_be_compared_ends_as_everywhere() {
    let (one, missing) = (clean(), PathBuf::from("nowhere.edb"));
    let text = tempfile::NamedTempFile::new().unwrap();
    fs::write(text.path(), vec![b'x'; 100_000]).unwrap();
    let run = |words: &[&Path]| exit(&edbtool([&[Path::new("diff")], words].concat()));
    assert_eq!(run(&[&one]), 2);
    assert_eq!(run(&[&one, &one, Path::new("--table=Itms")]), 2);
    assert_eq!(
        run(&[&one, &one, Path::new("--json"), Path::new("--format=csv")]),
        2
    );
    assert_eq!(run(&[&one, &missing]), 3);
    assert_eq!(run(&[&missing, &one]), 3);
    assert_eq!(run(&[&one, text.path()]), 4);
    assert_eq!(run(&[&one, &one, Path::new("--table=items")]), 0);
}
