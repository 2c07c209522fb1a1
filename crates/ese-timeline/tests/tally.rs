//! Changes counted from the records alone are those that the timeline tells.

use ese_format::Lgpos;
use ese_log::StreamFiles;
use ese_replay::recovery::DatabaseFile;
use ese_testkit::fixtures;
use ese_timeline::sink::JsonlSink;
use ese_timeline::{Operation, Status, TableTally, TimelineOptions, tally, tell};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Sets whose logs do not go back to the creation of their databases.
const WITHOUT_CREATION: [&str; 2] = ["backup-p8k", "circ-p4k"];

/// Puts the logs of a set, with those that its recovery wrote, into a folder; gives its recovered databases.
fn gather(set: &Path, into: &Path) -> Vec<PathBuf> {
    let mut databases = BTreeMap::new();
    for path in ["state", "recovered"]
        .map(|folder| set.join(folder))
        .iter()
        .flat_map(|folder| fixtures::files_below(folder))
    {
        let name = path.file_name().unwrap().to_owned();
        match path.extension().and_then(OsStr::to_str) {
            Some("log" | "jtx") => drop(fs::copy(&path, into.join(&name)).unwrap()),
            Some("edb") => drop(databases.insert(name, path)),
            _ => {}
        }
    }
    databases.into_values().collect()
}

#[test]
fn records_alone_count_what_the_timeline_tells() {
    let mut counted = 0;
    for name in fixtures::engine_set_names() {
        if WITHOUT_CREATION.contains(&name.as_str()) {
            continue;
        }
        let folder = tempfile::TempDir::new().unwrap();
        let databases = gather(&fixtures::engine_set(&name), folder.path());
        let stream = StreamFiles::find(folder.path(), None).unwrap();
        let options = TimelineOptions {
            only_count: true,
            ..TimelineOptions::default()
        };
        let sink = Box::new(JsonlSink::new(std::io::sink()));
        let told = tell(&stream, &[], 64 << 20, options, sink, &()).unwrap();
        let files: Vec<_> = stream.in_order().cloned().collect();
        for path in databases {
            let file = DatabaseFile::open(&path).unwrap();
            let mut database = file.database(Box::new(file.pages()), 1000);
            let found = tally(&files, &mut database, Lgpos::NULL, None, &());
            let file_name = path.file_name().unwrap().to_str().unwrap();
            for (status, rows) in [
                (Status::Committed, &found.committed.tables),
                (Status::OpenAtEnd, &found.open.tables),
            ] {
                let mut expected: BTreeMap<&str, TableTally> = BTreeMap::new();
                for ((database, table, operation, of), counts) in &told.summary.counts {
                    let is_own = database.ends_with(file_name) && *of == status;
                    if !is_own || !operation.is_of_row() {
                        continue;
                    }
                    let own = expected.entry(table).or_default();
                    own.table.clone_from(table);
                    match operation {
                        Operation::Insert => own.inserted += counts.changes,
                        Operation::Update => own.updated += counts.changes,
                        _ => own.deleted += counts.changes,
                    }
                    counted += counts.changes;
                }
                let expected: Vec<TableTally> = expected.into_values().collect();
                assert_eq!(rows, &expected, "{name}, {file_name}: {status:?}");
            }
            assert_eq!(found.problems, Vec::<String>::new(), "{name}");
        }
    }
    println!("{counted} changes");
    assert!(counted > 10_000, "{counted}");
}
