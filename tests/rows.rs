//! `edbtool rows`, `export --to -`, and exports of several databases: the same rows by every way, nothing lost in silence, and
//! names that other tools can take.

mod common;

use common::{command, edbtool, exit, stderr, stdout};
use ese_testkit::fixtures;
use serde_json::Value as Json;
use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SRUM: &str = "museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat";

fn srum() -> PathBuf {
    fixtures::real().join(SRUM)
}

fn lines(text: &str) -> Vec<Json> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn manifest(folder: &Path) -> Json {
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

/// Every table of a database, by every way, has the rows of the file that an export writes.
#[test]
fn every_way_gives_the_rows_of_the_export() {
    let path = srum();
    let path = path.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for format in ["jsonl", "csv"] {
        let to = folder.path().join(format);
        let to_text = to.to_str().unwrap();
        let exported = edbtool(["export", path, "--decoded", "-f", format, "--to", to_text]);
        assert_eq!(exit(&exported), 0, "{}", stderr(&exported));
        let manifest = manifest(&to);
        let tables = manifest["tables"].as_array().unwrap();
        assert_eq!(tables.len(), 10);
        for table in tables {
            let name = table["name"].as_str().unwrap();
            let file = fs::read_to_string(to.join(table["file"].as_str().unwrap())).unwrap();
            let piped = edbtool([
                "export",
                path,
                "-t",
                name,
                "--decoded",
                "-f",
                format,
                "--to",
                "-",
            ]);
            assert_eq!(exit(&piped), 0, "{}", stderr(&piped));
            // A stream has no files beside it, and so no columns for their names.
            let without_files = |text: &str| match format {
                "jsonl" => lines(text),
                _ => csv_without_files(text),
            };
            assert_eq!(
                without_files(stdout(&piped)),
                without_files(&file),
                "{name}"
            );
            let rows = edbtool(["rows", path, name, "--decoded", "-f", format]);
            assert_eq!((exit(&rows), &rows.stdout), (0, &piped.stdout), "{name}");
            let documents = edbtool(["--json", "rows", path, name, "--decoded"]);
            let mut documents = lines(stdout(&documents));
            let account = documents.pop().unwrap();
            assert_eq!(account["schema"], "edbkit.rows/1");
            assert_eq!(account["rows"], table["rows"], "{name}");
            assert_eq!(account["known_as"], table["known_as"], "{name}");
            assert_eq!(documents.len() as u64, table["rows"].as_u64().unwrap());
            if format == "jsonl" {
                let bare: Vec<Json> = documents.iter().map(|line| line["row"].clone()).collect();
                assert_eq!(bare, lines(&file), "{name}");
            }
        }
    }
}

fn csv_without_files(text: &str) -> Vec<Json> {
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = rows.next().unwrap();
    let rows = rows.map(|row| {
        let cells = head.iter().zip(row);
        let cells = cells.filter(|(name, _)| !name.ends_with("_file"));
        cells
            .map(|(name, cell)| ((*name).to_owned(), Json::from(cell)))
            .collect()
    });
    rows.collect()
}

/// Columns come in the order that was asked for, conditions are all held, and a limit ends it.
#[test]
fn columns_conditions_and_limits() {
    let path = srum();
    let path = path.to_str().unwrap();
    // The name that people use, in another case, stands for the table; so does the GUID without braces.
    let by_name = edbtool(["rows", path, "network data usage"]);
    let by_guid = edbtool(["rows", path, "-t", "973f5d5c-1d90-4944-be8e-24b94231a174"]);
    assert_eq!(exit(&by_name), 0, "{}", stderr(&by_name));
    assert_eq!(by_name.stdout, by_guid.stdout);
    let all = lines(stdout(&by_name));
    assert_eq!(all.len(), 96);

    let chosen = edbtool([
        "rows",
        path,
        "Network_Data_Usage",
        "--decoded",
        "-f",
        "csv",
        "--columns",
        "bytessent,AppId_name",
        "--where",
        "AppId=285",
    ]);
    let first = all.iter().find(|row| row["AppId"] == 285);
    let expected = all.iter().filter(|row| row["AppId"] == 285).count();
    let text = stdout(&chosen);
    assert!(text.starts_with("BytesSent,AppId_name\n"), "{text}");
    assert_eq!(text.lines().count() - 1, expected, "{first:?}");
    assert!(expected > 0);

    let both = edbtool([
        "rows",
        path,
        "Network Data Usage",
        "-w",
        "AppId=285",
        "-w",
        "AppId=286",
    ]);
    assert_eq!((exit(&both), both.stdout.len()), (0, 0));
    // Hexadecimal digits fit in any case, text only as it is.
    let map = lines(stdout(&edbtool(["rows", path, "SruDbIdMapTable"])));
    let blob = map[5]["IdBlob"].as_str().unwrap().to_uppercase();
    let found = edbtool([
        "rows",
        path,
        "SruDbIdMapTable",
        "-w",
        &format!("IdBlob={blob}"),
    ]);
    assert!(lines(stdout(&found)).contains(&map[5]));
    let nothing = map.iter().filter(|row| row.get("IdBlob").is_none()).count();
    let found = edbtool(["rows", path, "SruDbIdMapTable", "-w", "IdBlob="]);
    assert_eq!(stdout(&found).lines().count(), nothing);

    let limited = edbtool(["--json", "rows", path, "SruDbIdMapTable", "-n", "3"]);
    let limited = lines(stdout(&limited));
    assert_eq!(limited.len(), 4);
    assert_eq!(limited[3]["limited"], true);
    let exact = edbtool(["--json", "rows", path, "SruDbIdMapTable", "-n", "714"]);
    let exact = lines(stdout(&exact));
    assert_eq!(
        (&exact[714]["rows"], &exact[714]["limited"]),
        (&714.into(), &false.into())
    );
}

/// What cannot be found is misuse, and the answer names what may be meant.
#[test]
fn unknown_names_are_answered_with_near_ones() {
    let path = srum();
    let path = path.to_str().unwrap();
    let cases: [(&[&str], &str); 10] = [
        (&["rows", path, "SruDbIdMap"], "\"SruDbIdMapTable\""),
        (&["schema", path, "Network Usage"], "\"Network Data Usage\""),
        (
            &["space", path, "-t", "SruDbldMapTable"],
            "\"SruDbIdMapTable\"",
        ),
        (
            &["tables", path, "zzzzzz"],
            "`edbtool tables --names` lists them",
        ),
        (
            &["export", path, "-t", "sruDb", "--to", "-"],
            "\"SruDbCheckpointTable\"",
        ),
        (
            &["rows", path, "SruDbIdMapTable", "--columns", "IdTyp"],
            "\"IdType\"",
        ),
        (
            &[
                "rows",
                path,
                "Energy Usage",
                "--decoded",
                "--columns",
                "AppId.name",
            ],
            "\"AppId_name\"",
        ),
        (
            &["rows", path, "SruDbIdMapTable", "-w", "Blob=1"],
            "\"IdBlob\"",
        ),
        (&["rows", path], "rows come from one table at a time"),
        (
            &["rows", path, "SruDbIdMapTable", "-w", "IdType"],
            "COLUMN=VALUE",
        ),
    ];
    for (words, said) in cases {
        let output = edbtool(words);
        let errors = stderr(&output);
        assert_eq!(
            (exit(&output), output.stdout.len()),
            (2, 0),
            "{words:?}: {errors}"
        );
        assert!(errors.contains(said), "{words:?}: {errors}");
    }
    let names = edbtool(["tables", "--names", "--user", path]);
    let names: Vec<&str> = stdout(&names).lines().collect();
    assert_eq!(names.len(), 10);
    assert!(names.contains(&"{973F5D5C-1D90-4944-BE8E-24B94231A174}"));
    let names = edbtool(["--json", "tables", "--names", "--user", path]);
    let document: Json = serde_json::from_slice(&names.stdout).unwrap();
    assert_eq!(document["schema"], "edbkit.table-names/1");
    assert_eq!(document["names"].as_array().unwrap().len(), 10);
}

/// A reader that has had enough is not an error, whatever the format.
#[test]
fn a_closed_pipe_is_no_error() {
    let path = srum();
    for format in ["jsonl", "csv", "table"] {
        let mut child = command("edbtool")
            .arg("rows")
            .arg(&path)
            .args(["App Timeline", "-f", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut start = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut start).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(
            (exit(&ended), stderr(&ended)),
            (0, String::new()),
            "{format}"
        );
    }
}

/// A page that is lost, values that are too long, a dirty database: each is told, and shows in the exit code.
#[test]
fn what_is_not_given_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let database = fixtures::engine_set("crash-p8k").join("recovered/db.edb");
    let mut bytes = fs::read(&database).unwrap();
    // Page 37 is the first leaf of table Items.
    bytes[38 * 8192..][..8192].fill(0xee);
    let damaged = folder.path().join("db.edb");
    fs::write(&damaged, bytes).unwrap();
    let damaged = damaged.to_str().unwrap();
    for words in [
        &["rows", damaged, "Items"][..],
        &["export", damaged, "-t", "Items", "--to", "-"],
    ] {
        let output = edbtool(words);
        let errors = stderr(&output);
        assert_eq!(exit(&output), 1, "{errors}");
        assert!(
            errors.contains("lost: page 37") && errors.contains("[JET -1018"),
            "{errors}"
        );
        assert!(!output.stdout.is_empty());
    }
    let other = edbtool(["rows", damaged, "Log"]);
    assert_eq!((exit(&other), stderr(&other)), (0, String::new()));

    let long = fixtures::engine_set("exchange-standby-p8k").join("recovered/db.edb");
    let long = long.to_str().unwrap();
    let tables = edbtool(["tables", "--names", "--user", long]);
    let mut left_out = 0;
    for table in stdout(&tables).lines() {
        let output = edbtool(["--json", "rows", long, table, "--inline-limit", "2000"]);
        let account = lines(stdout(&output)).pop().unwrap();
        let count = account["values_left_out"].as_u64().unwrap();
        assert_eq!(exit(&output), i32::from(count > 0), "{account}");
        assert_eq!(stderr(&output).contains("left out:"), count > 0);
        left_out += count;
        let whole = edbtool(["--json", "rows", long, table, "--inline-limit", "1GiB"]);
        assert_eq!(exit(&whole), 0, "{}", stderr(&whole));
    }
    assert!(left_out > 0);

    let state = fixtures::testdata_set("crash-p8k").join("state");
    let (dirty, logs) = (state.join("db.edb"), state.to_str().unwrap());
    let dirty = dirty.to_str().unwrap();
    let as_it_is = edbtool(["rows", dirty, "Items"]);
    assert_eq!(exit(&as_it_is), 1);
    assert!(stderr(&as_it_is).contains("the database is dirty"));
    let recovered = edbtool(["rows", dirty, "Items", "--with-logs", logs]);
    assert_eq!((exit(&recovered), stderr(&recovered)), (0, String::new()));
    let database = database.to_str().unwrap();
    assert_eq!(
        recovered.stdout,
        edbtool(["rows", database, "Items"]).stdout
    );
}

/// On a screen nothing is wider than it, and what was cut for that is told.
#[test]
fn a_table_fits_a_terminal() {
    let path = srum();
    let path = path.to_str().unwrap();
    for table in ["SruDbIdMapTable", "App Timeline", "Network Data Usage"] {
        let output = edbtool(["rows", path, table, "-f", "table", "--decoded"]);
        let text = stdout(&output);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{table}: {widest}");
        let cut = text.lines().any(|line| line.ends_with("..."));
        assert_eq!(stderr(&output).contains("cut to fit:"), cut, "{table}");
    }
    let map = edbtool(["rows", path, "SruDbIdMapTable", "-n", "2", "-f", "table"]);
    assert!(
        stdout(&map).starts_with("IdType  IdIndex  IdBlob"),
        "{}",
        stdout(&map)
    );
    let usage = edbtool(["rows", path, "App Timeline", "-n", "2", "-f", "table"]);
    assert!(
        stdout(&usage).starts_with("row 1\n  AutoIncId"),
        "{}",
        stdout(&usage)
    );
    for command in ["tables", "space", "schema"] {
        let output = edbtool([command, path]);
        let text = stdout(&output);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{command}: {widest}");
    }
}

/// File names without braces, column names without dots, no column of times that are none, and the true names beside.
#[test]
fn names_are_ones_that_tools_take() {
    let path = srum();
    let path = path.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("rows");
    let output = edbtool([
        "--json",
        "export",
        path,
        "--decoded",
        "--to",
        to.to_str().unwrap(),
    ]);
    assert_eq!(exit(&output), 0, "{}", stderr(&output));
    let manifest: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(manifest["schema"], "edbkit.export/2");
    let mut files = HashSet::new();
    let mut times = Vec::new();
    for table in manifest["tables"].as_array().unwrap() {
        let file = table["file"].as_str().unwrap();
        assert!(files.insert(file.to_lowercase()), "{file}");
        assert!(!file.contains(['{', '}', ' ']), "{file}");
        let mut names = HashSet::new();
        for column in table["columns"].as_array().unwrap() {
            let name = column["name"].as_str().unwrap();
            assert!(
                !name.contains('.') && names.insert(name.to_lowercase()),
                "{name}"
            );
            let of = column["column"].as_str().unwrap();
            assert!(name.starts_with(of), "{name}: {of}");
            if name.ends_with("_time") {
                times.push(of.to_owned());
            }
        }
    }
    assert!(files.contains("network_data_usage.jsonl"), "{files:?}");
    times.sort();
    let expected = [
        "ConnectStartTime",
        "EndTime",
        "EndTime",
        "EventTimestamp",
        "StartTime",
    ];
    assert_eq!(times, expected);
}

/// Several databases, found by their content: each goes to a folder of its own, a failure ends nothing, and the same command
/// goes on where it was stopped.
#[test]
fn many_databases_are_exported_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("evidence");
    for host in ["one", "two"] {
        fs::create_dir_all(evidence.join(host)).unwrap();
        fs::copy(srum(), evidence.join(host).join("SRUDB.dat")).unwrap();
    }
    fs::copy(srum(), evidence.join("one_SRUDB.dat")).unwrap();
    fs::write(evidence.join("notes.txt"), "not a database").unwrap();
    let mut ruin = fs::read(srum()).unwrap();
    // The catalog and its shadow.
    ruin[5 * 4096..6 * 4096].fill(0xee);
    ruin[25 * 4096..26 * 4096].fill(0xee);
    fs::write(evidence.join("ruin.bin"), &ruin).unwrap();
    let to = folder.path().join("rows");
    let arguments = [
        "export",
        "--recursive",
        evidence.to_str().unwrap(),
        "--to",
        to.to_str().unwrap(),
    ];
    let output = edbtool(arguments);
    let text = stdout(&output).to_owned();
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("4 databases: "), "{text}");
    assert!(stderr(&output).contains("ruin.bin") || text.contains("ruin.bin"));
    assert_eq!(exit(&output), 1);
    let list: Json = serde_json::from_slice(&fs::read(to.join("databases.json")).unwrap()).unwrap();
    assert_eq!(list["schema"], "edbkit.export-set/1");
    let mut folders = HashSet::new();
    let entries = list["databases"].as_array().unwrap();
    for entry in entries {
        let name = entry["folder"].as_str().unwrap();
        assert!(folders.insert(name.to_lowercase()), "{name}");
        let path = entry["path"].as_str().unwrap();
        if entry["failure"].is_null() && !path.ends_with("ruin.bin") {
            let rows = fs::read_to_string(to.join(name).join("SruDbIdMapTable.jsonl")).unwrap();
            let rows = lines(&rows);
            assert_eq!(rows.len(), 714);
            assert!(rows.iter().all(|row| row["$source"] == path), "{path}");
        }
    }
    assert!(folders.contains("one_srudb.dat") && folders.contains("one_srudb.dat_2"));

    // Once more is refused.
    assert_eq!(exit(&edbtool(arguments)), 5);

    let missing = edbtool([
        "export",
        "nowhere.edb",
        srum().to_str().unwrap(),
        "--to",
        folder.path().join("two").to_str().unwrap(),
    ]);
    assert_eq!(exit(&missing), 3);
    assert!(stdout(&missing).contains("2 databases: 1 exported, 1 failed"));

    // A table where a database is expected is told how it is named.
    let to = folder.path().join("three");
    let path = srum();
    let words = ["export", path.to_str().unwrap(), "SruDbIdMapTable", "--to"];
    let misplaced = edbtool([&words[..], &[to.to_str().unwrap()]].concat());
    assert_eq!(exit(&misplaced), 3);
    let errors = stderr(&misplaced);
    assert!(errors.contains("a table is named with --table"), "{errors}");

    // What an earlier export left below the evidence is no evidence.
    let inside = evidence.join("rows");
    let arguments = ["-q", "export", "-r", evidence.to_str().unwrap(), "--to"];
    let output = edbtool([&arguments[..], &[inside.to_str().unwrap(), "--deleted"]].concat());
    assert!(
        stdout(&output).contains("\n4 databases: "),
        "{}",
        stdout(&output)
    );
}

/// A set of exports that was ended, by a limit on the size of files, goes on with the same command.
#[test]
#[cfg(unix)]
fn a_set_of_exports_goes_on_where_it_was_ended() {
    let folder = tempfile::tempdir().unwrap();
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    let small = "go-ese/testdata/Sample_UAL/HyperV-PC/SystemIdentity.mdb";
    fs::copy(fixtures::real().join(small), evidence.join("a.mdb")).unwrap();
    fs::copy(srum(), evidence.join("b.dat")).unwrap();
    let to = folder.path().join("rows");
    let export = |most: &str, options: &[&str]| {
        let limited = format!("ulimit -f {most}; exec \"$@\"");
        let mut shell = Command::new("bash");
        shell.args([
            "-c",
            &limited,
            "bash",
            env!("CARGO_BIN_EXE_edbtool"),
            "export",
            "-r",
        ]);
        shell.arg(&evidence).arg("--to").arg(&to).args(options);
        shell.output().unwrap()
    };
    assert_ne!(export("100", &[]).status.code(), Some(0));
    assert!(to.join("a.mdb/manifest.json").exists());
    assert!(!to.join("b.dat/manifest.json").exists() && !to.join("databases.json").exists());
    let other = export("unlimited", &["--decoded"]);
    assert_eq!(exit(&other), 5, "{}", stderr(&other));
    let goes_on = export("unlimited", &[]);
    assert_eq!(exit(&goes_on), 0, "{}", stderr(&goes_on));
    let text = stdout(&goes_on);
    assert!(text.contains("a.mdb  (from before)\n"), "{text}");
    assert!(
        text.contains("b.dat\n") && text.contains("2 databases: 2 exported"),
        "{text}"
    );
    assert!(!to.join("unfinished.json").exists());
}
