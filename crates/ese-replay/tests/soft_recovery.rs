//! Recovery of every engine-made set from the files of the crash: every page and the size of every database are then
//! as after the engine's own recovery, and so is the header, apart from what is listed here.

mod support;

use ese_format::database::{DatabaseHeader, DatabaseState};
use ese_testkit::fixtures::either;
use rayon::prelude::*;
use std::path::Path;
use support::cases::{case, page_size_of, recovered_databases};
use support::compare::compare_files;
use support::recover::{Finished, Left, recover};

#[test]
fn every_set_recovers_as_the_engine_recovered_it() {
    let wanted = std::env::var("EDBKIT_SETS").unwrap_or_default();
    let names = ese_testkit::fixtures::engine_set_names();
    let names: Vec<&String> = names.iter().filter(|name| name.contains(&wanted)).collect();
    let results: Vec<(usize, Vec<String>)> = names.par_iter().map(|name| check_set(name)).collect();
    let pages: usize = results.iter().map(|(pages, _)| pages).sum();
    let problems: Vec<String> = results
        .into_iter()
        .flat_map(|(_, problems)| problems)
        .collect();
    println!(
        "{} sets, {pages} pages as the engine recovered them",
        names.len()
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    if wanted.is_empty() {
        let expected = either((61, 17_786), (19, 4_886));
        assert_eq!((names.len(), pages), expected);
    }
}

/// Sets that are not replayed from nothing in the older layout:
/// - logs that do not begin with the creation of their databases, or do not reach the engine's result;
/// - databases attached a second time: that record names a position in the stream, which repacking moves;
/// - `clean-*`: the engine replayed nothing there and did not cut the files.
const NOT_REPACKED: [&str; 14] = [
    "backup-p8k",
    "circ-p4k",
    "lossy-p8k",
    "clean-p",
    "doublecrash-p32k",
    "doublecrash-p8k",
    "efv8520-oldcopy-p4k",
    "exchange-standby-p8k",
    "oldcopy-clean-p8k",
    "oldcopy-p32k",
    "oldcopy-p4k",
    "oldcopy-p8k",
    "shrink-p32k",
    "shrink-p8k",
];

#[test]
fn streams_in_the_older_layout_replay_to_the_same_pages() {
    let wanted = std::env::var("EDBKIT_SETS").unwrap_or_default();
    let names = ese_testkit::fixtures::engine_set_names();
    let names: Vec<&String> = (names.iter())
        .filter(|name| name.contains(&wanted))
        .filter(|name| {
            !NOT_REPACKED
                .iter()
                .any(|left_out| name.starts_with(left_out))
        })
        .collect();
    let results: Vec<(usize, Vec<String>)> = (names.par_iter())
        .map(|name| {
            let set = ese_testkit::fixtures::engine_set(name);
            let repacked = tempfile::tempdir().unwrap();
            ese_testkit::logs::repack(&set.join("state"), repacked.path());
            let page_size = page_size_of(&set);
            match recover(&[], repacked.path(), page_size, false, 1000) {
                Ok(finished) => compare(name, &set, finished, false),
                Err(error) => (0, vec![format!("{name}: {error}")]),
            }
        })
        .collect();
    let pages: usize = results.iter().map(|(pages, _)| pages).sum();
    let problems: Vec<String> = (results.into_iter())
        .flat_map(|(_, problems)| problems)
        .collect();
    println!(
        "{} sets, {pages} pages as the engine recovered them",
        names.len()
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    if wanted.is_empty() {
        let (sets, least) = either((44, 13_000), (9, 1_000));
        assert_eq!(names.len(), sets);
        assert!(pages > least, "only {pages} pages");
    }
}

fn check_set(name: &str) -> (usize, Vec<String>) {
    let set = ese_testkit::fixtures::engine_set(name);
    let case = case(&set, name);
    let page_size = page_size_of(&set);
    let mut problems = Vec::new();
    if case.lossy {
        match recover(&case.databases, &case.logs, page_size, false, 1000) {
            Err(refused) if refused.contains("-582") => {}
            Err(refused) => problems.push(format!("{name}: refused with {refused}")),
            Ok(_) => problems.push(format!("{name}: it should be refused")),
        }
    }
    let finished = match recover(&case.databases, &case.logs, page_size, case.lossy, 200) {
        Ok(finished) => finished,
        Err(error) => return (0, vec![format!("{name}: {error}")]),
    };
    let (compared, found) = compare(name, &set, finished, true);
    problems.extend(found);
    (compared, problems)
}

/// Compares a recovery with the engine's: how many pages, and what differs.
fn compare(name: &str, set: &Path, finished: Finished, with_headers: bool) -> (usize, Vec<String>) {
    let mut problems = Vec::new();
    let mut compared = 0;
    let mut engine = recovered_databases(set);
    for mut database in finished.databases {
        let Some(at) = engine
            .iter()
            .position(|(header, _)| header.signature == database.header.signature)
        else {
            problems.push(format!("{name}: the engine has no such database"));
            continue;
        };
        let (header, bytes) = engine.remove(at);
        let (pages, found) = compare_files(&mut database.pages, &bytes);
        compared += pages;
        problems.extend(found.iter().take(4).map(|what| format!("{name}: {what}")));
        if with_headers {
            let found = header_problems(&database, &header).into_iter();
            problems.extend(found.map(|what| format!("{name}: {what}")));
        }
    }
    problems.extend(
        engine
            .iter()
            .map(|(header, _)| format!("{name}: {} was not recovered", header.signature)),
    );
    (compared, problems)
}

/// Fields in which the engine's header and ours rightly differ:
/// - made when the header is written: checksum, and the signatures that tie it to a flush map;
/// - where and when it became clean: the engine adds records of its own to the logs, ours is the end of the logs;
/// - when the file was last attached, extended or shrunk, and how often, on the machine that did it: no record tells;
/// - `recovering`: the engine leaves it behind in a copy that was clean before;
/// - `flags`: in databases that it makes in recovery, the engine sets bits that mean nothing.
const RIGHTLY_DIFFERENT: [&str; 15] = [
    "checksum",
    "header_flush",
    "flush_map_flush",
    "last_consistent",
    "last_consistent_time",
    "last_detach",
    "last_detach_time",
    "last_resize",
    "last_attach_time",
    "extend_count",
    "extend_time",
    "shrink_count",
    "shrink_time",
    "recovering",
    "flags",
];

fn header_problems(database: &Left, engine: &DatabaseHeader) -> Vec<String> {
    let header = &database.header;
    let ours = serde_json::to_value(header).unwrap();
    let theirs = serde_json::to_value(engine).unwrap();
    assert_eq!(engine.state, DatabaseState::CLEAN_SHUTDOWN);
    let mut problems = Vec::new();
    for (name, value) in ours.as_object().unwrap() {
        if theirs[name] != *value && !RIGHTLY_DIFFERENT.contains(&name.as_str()) {
            problems.push(format!(
                "header {name} {value}, the engine has {}",
                theirs[name]
            ));
        }
    }
    let same_place = |header: &DatabaseHeader| {
        [
            header.last_detach == header.last_consistent,
            header.last_resize == header.last_consistent,
            header.last_resize.is_null(),
        ]
    };
    if same_place(header) != same_place(engine) {
        problems.push(format!(
            "consistent {}, detached {}, resized {}; the engine has {}, {}, {}",
            header.last_consistent,
            header.last_detach,
            header.last_resize,
            engine.last_consistent,
            engine.last_detach,
            engine.last_resize
        ));
    }
    problems
}
