//! Timelines of logs that a database has behind it, and of logs and databases with whatever is wrong with them: no value is
//! wrong, and what is missing is said.

use super::{
    CUT_SHORT, WITHOUT_CREATION, answered, arguments, assert_nothing_wrong, by_place, changes,
    logs_in, output, recovered, text, timeline, timeline_with, words,
};
use crate::common::{exit, run, stderr};
use ese_testkit::fixtures;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// The logs of an engine set, from the creation of its databases on, and these after their recovery.
struct Stream {
    name: String,
    folder: TempDir,
    databases: Vec<PathBuf>,
}

impl Stream {
    /// Takes the log of their creation away: without it, the databases are needed.
    fn forget_creation(&self) {
        fs::remove_file(&logs_in(self.folder.path())[0]).unwrap();
    }
}

fn streams() -> impl Iterator<Item = Stream> {
    let names = fixtures::engine_set_names().into_iter();
    let is_whole = |name: &String| !WITHOUT_CREATION.contains(&name.as_str()) && name != CUT_SHORT;
    names.filter(is_whole).map(|name| {
        let folder = TempDir::new().unwrap();
        let databases = recovered(&fixtures::engine_set(&name), folder.path());
        Stream {
            name,
            folder,
            databases,
        }
    })
}

#[test]
fn from_the_end_alone_no_value_is_wrong_and_nearly_all_are_known() {
    let (mut all, mut complete, mut worst) = (0, 0, (1.0, String::new()));
    for stream in streams() {
        let (name, folder, databases) = (&stream.name, stream.folder.path(), &stream.databases);
        let truth = timeline(&[folder.as_os_str()]);
        stream.forget_creation();
        let (found, code) = answered(&words(&arguments(folder, databases)));
        let late = |change: &&Value| !text(&change["source"], "lgpos").starts_with("00000001:");
        let late: Vec<Value> = truth.iter().filter(late).cloned().collect();
        let (known, told) = assert_nothing_wrong(name, &truth, &found);
        let (late, found) = (by_place(&late), by_place(&found));
        // Of tables that were made in that log and are gone since, nothing is known: that is said.
        let count = late.len();
        assert!(told == count || code == 1, "{name}: changes are missing");
        for (place, change) in &late {
            if let Some(found) = found.get(place) {
                assert_eq!(found["time"], change["time"], "{name}: {place:?}");
            }
        }
        let share = known as f64 / count.max(1) as f64;
        println!(
            "{name:22} {count:6} changes, {:5.1} % complete",
            100.0 * share
        );
        if share < worst.0 {
            worst = (share, name.clone());
        }
        (all, complete) = (all + count, complete + known);
    }
    println!(
        "{all} changes, {:.1} % complete",
        100.0 * complete as f64 / all as f64
    );
    // Of the shipped sets, more have numbers that several transactions add to.
    assert!(worst.0 > 0.85, "{worst:?}");
    assert!(complete as f64 > 0.93 * all as f64);
}

#[test]
fn an_older_copy_beside_the_end_makes_more_rows_known() {
    let (mut alone, mut with_copy, mut sets) = (0, 0, 0);
    for stream in streams() {
        let older = fixtures::engine_set(&stream.name).join("state/db.edb");
        if !older.exists() {
            continue;
        }
        let (name, folder, databases) = (&stream.name, stream.folder.path(), &stream.databases);
        let truth = timeline(&[folder.as_os_str()]);
        stream.forget_creation();
        let mut asked = arguments(folder, databases);
        let known = answered(&words(&asked)).0;
        let known = assert_nothing_wrong(name, &truth, &known).0;
        asked.extend(["--older".into(), older.into_os_string()]);
        let out = output(&words(&asked));
        let with = assert_nothing_wrong(name, &truth, &changes(&out)).0;
        assert!(with >= known, "{name}: {}", stderr(&out));
        assert!(
            !stderr(&out).contains("not used"),
            "{name}: {}",
            stderr(&out)
        );
        (alone, with_copy, sets) = (alone + known, with_copy + with, sets + 1);
    }
    println!("{sets} sets: {alone} changes known whole, {with_copy} with an older copy");
    assert!(with_copy > alone);
}

#[test]
fn a_copy_that_went_another_way_is_not_taken_for_an_older_one() {
    let set = fixtures::testdata_set("crash-p8k");
    let folder = TempDir::new().unwrap();
    let databases = recovered(&set, folder.path());
    // What was open is rolled back in it: there, the same dbtimes stand for other pages.
    let other = folder.path().join("other.edb");
    let made = ["run", "--quiet", "--until", "10", "--logs"].map(OsStr::new);
    let places = [
        folder.path().as_os_str(),
        "--to".as_ref(),
        other.as_os_str(),
    ];
    let made = run("edbreplay", made.into_iter().chain(places));
    assert!(other.exists(), "{}", stderr(&made));
    fs::remove_file(&logs_in(folder.path())[0]).unwrap();
    let mut asked = arguments(folder.path(), &databases);
    let alone = answered(&words(&asked)).0;
    asked.extend(["--older".into(), other.into_os_string()]);
    let out = output(&words(&asked));
    assert!(changes(&out) == alone && exit(&out) == 1);
    assert!(stderr(&out).contains("was not used"), "{}", stderr(&out));
    let foreign = fixtures::testdata_set("clean-p16k").join("state/db.edb");
    *asked.last_mut().unwrap() = foreign.into_os_string();
    let out = output(&words(&asked));
    assert_eq!(exit(&out), 5, "{}", stderr(&out));
    assert!(
        stderr(&out).contains("its signature is another"),
        "{}",
        stderr(&out)
    );
}

#[test]
fn whatever_log_is_missing_no_value_is_wrong() {
    let (mut told, mut tried) = (0, 0);
    for stream in streams() {
        let (name, folder, databases) = (&stream.name, stream.folder.path(), &stream.databases);
        let truth = timeline(&[folder.as_os_str()]);
        let logs = logs_in(folder);
        let [_, middle @ .., _] = &logs[..] else {
            continue;
        };
        // One of each set, or with EDBKIT_EVERY_LOG each of them.
        let every = std::env::var_os("EDBKIT_EVERY_LOG").is_some();
        let one = name.len() % middle.len().max(1);
        for (place, missing) in middle.iter().enumerate() {
            if !every && place != one {
                continue;
            }
            let aside = missing.with_extension("aside");
            fs::rename(missing, &aside).unwrap();
            let found = timeline_with(&words(&arguments(folder, databases)), 1);
            let of = format!("{name} without {}", missing.display());
            told += assert_nothing_wrong(&of, &truth, &found).1;
            fs::rename(&aside, missing).unwrap();
            tried += 1;
        }
    }
    println!("{tried} streams with a gap, {told} changes told");
    assert!(told > 1000, "{told}");
}

/// What can be wrong with a log but that it is missing.
#[derive(Debug, Clone, Copy)]
enum Accident {
    /// Its end was never written.
    EndIsZero,
    /// Another log of the stream has its name.
    OtherLog,
    /// A log of another stream has its name.
    OtherStream,
    /// It is the last one that is there.
    NothingAfter,
}

/// A file that was damaged is another one, and may have another name.
fn without_file(change: &mut Value) {
    let source = change["source"].as_object_mut().unwrap();
    source.retain(|name, _| name != "log" && name != "sha256");
}

#[test]
fn whatever_is_wrong_with_a_log_no_value_is_wrong_and_it_is_said() {
    use Accident::{EndIsZero, NothingAfter, OtherLog, OtherStream};
    let foreign = fixtures::testdata_set("clean-p16k").join("state");
    let foreign = fs::read(&logs_in(&foreign)[2]).unwrap();
    let (mut told, mut tried) = (0, 0);
    for stream in streams() {
        let (name, folder, databases) = (&stream.name, stream.folder.path(), &stream.databases);
        let mut truth = timeline(&[folder.as_os_str()]);
        truth.iter_mut().for_each(without_file);
        stream.forget_creation();
        let logs = logs_in(folder);
        let [_, middle @ .., _, _] = &logs[..] else {
            continue;
        };
        let late = |change: &&Value| !text(&change["source"], "lgpos").starts_with("00000001:");
        let all = truth.iter().filter(late).count();
        for (number, accident) in [EndIsZero, OtherLog, OtherStream, NothingAfter]
            .into_iter()
            .enumerate()
        {
            let Some(log) = middle.get((name.len() * 7 + number) % middle.len().max(1)) else {
                continue;
            };
            let place = logs.iter().position(|other| other == log).unwrap();
            let changed = match accident {
                NothingAfter => &logs[place + 1..],
                _ => &logs[place..=place],
            };
            let kept: Vec<Vec<u8>> = changed.iter().map(|log| fs::read(log).unwrap()).collect();
            match accident {
                EndIsZero => {
                    let mut bytes = kept[0].clone();
                    let from = bytes.len() / 2 / 4096 * 4096;
                    bytes[from..].fill(0);
                    fs::write(log, bytes).unwrap();
                }
                OtherLog => drop(fs::copy(&logs[place + 1], log).unwrap()),
                OtherStream => fs::write(log, &foreign).unwrap(),
                NothingAfter => changed.iter().for_each(|log| fs::remove_file(log).unwrap()),
            }
            let of = format!("{name}, {}: {accident:?}", log.display());
            let (mut found, code) = answered(&words(&arguments(folder, databases)));
            found.iter_mut().for_each(without_file);
            let count = assert_nothing_wrong(&of, &truth, &found).1;
            assert!(
                count == all || code != 0,
                "{of}: {count} of {all} and nothing said"
            );
            told += count;
            tried += 1;
            for (log, bytes) in changed.iter().zip(kept) {
                fs::write(log, bytes).unwrap();
            }
        }
    }
    println!("{tried} streams with an accident, {told} changes told");
    assert!(told > 1000, "{told}");
}

#[test]
fn a_damaged_catalog_is_made_up_for_by_its_shadow_or_said() {
    const ROOTS: [usize; 2] = [4, 24];
    let mut tried = 0;
    for stream in streams() {
        let (name, folder, databases) = (&stream.name, stream.folder.path(), &stream.databases);
        stream.forget_creation();
        let [database] = &databases[..] else {
            continue;
        };
        let aside = TempDir::new().unwrap();
        let own = aside.path().join("db.edb");
        fs::copy(database, &own).unwrap();
        let arguments = arguments(folder, std::slice::from_ref(&own));
        let (truth, code) = answered(&words(&arguments));
        let mut bytes = fs::read(&own).unwrap();
        let page_size = u32::from_le_bytes(bytes[236..240].try_into().unwrap()) as usize;
        for (number, root) in ROOTS.into_iter().enumerate() {
            bytes[(root + 1) * page_size..][..page_size].fill(0);
            fs::write(&own, &bytes).unwrap();
            let out = output(&words(&arguments));
            match number {
                0 => {
                    let is_same = changes(&out) == truth && exit(&out) == code;
                    assert!(is_same, "{name}: {}", stderr(&out));
                }
                _ => {
                    assert_eq!(exit(&out), 1, "{name}");
                    let words = "the catalog of db.edb: it cannot be read";
                    assert!(stderr(&out).contains(words), "{name}: {}", stderr(&out));
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} databases without a catalog");
    assert!(tried > 5, "{tried}");
}
