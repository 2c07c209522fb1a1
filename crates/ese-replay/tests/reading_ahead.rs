//! Reading the logs ahead on a second thread changes nothing: every set ends with the same bytes, headers included, the
//! same counts and the same operations undone, and what stops a replay stops it at the same place in the same words.

mod support;

use ese_format::page::PageSize;
use ese_format::record::CreateDb;
use ese_format::{Generation, Pgno};
use ese_log::{LogStream, StreamFiles};
use ese_replay::Redo;
use ese_replay::page_files::MemoryFile;
use ese_replay::recovery::{DatabaseFile, RecoverOptions, Until, replay};
use ese_replay::redo::NewDatabase;
use ese_testkit::fixtures;
use ese_testkit::logs::seal_segment;
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use support::cases::{Case, case, files_in, page_size_of};
use support::recover::{recover_with, text, words};

/// Everything that a recovery gives: whether it came to its end, a report, and the databases, byte by byte.
type RecoveryResult = (bool, String, Vec<Vec<u8>>);

fn recover(set: &Path, case: &Case, ahead: bool) -> RecoveryResult {
    match run(set, case, ahead) {
        Ok((report, databases)) => (true, report, databases),
        Err(error) => (false, error, Vec::new()),
    }
}

fn create_in_memory(redo: &mut Redo, page_size: PageSize) {
    redo.create_with(Box::new(move |_: &CreateDb<'_>| {
        Some(NewDatabase {
            file: Box::new(MemoryFile::new()),
            page_size,
            cache_pages: 1000,
        })
    }));
}

fn run(set: &Path, case: &Case, ahead: bool) -> Result<(String, Vec<Vec<u8>>), String> {
    let files = StreamFiles::find(&case.logs, None).map_err(words)?;
    let databases: Result<Vec<DatabaseFile>, _> = (case.databases.iter())
        .map(|path| DatabaseFile::open(path))
        .collect();
    let databases = databases.map_err(words)?;
    let options = RecoverOptions {
        lossy: case.lossy,
        read_ahead: ahead,
        ..RecoverOptions::default()
    };
    let until = Until::default();
    let finished = recover_with(&files, &databases, page_size_of(set), &until, options);
    let finished = finished.map_err(|error| text(&error))?;
    let result = format!(
        "{:?} {:?} {:?}",
        finished.summary, finished.counts, finished.undone
    );
    let databases = finished.databases.into_iter().map(|database| {
        let (size, last) = (database.pages.size().as_usize(), database.pages.last());
        let mut bytes = format!("{:?}", database.header).into_bytes();
        let mut file = database.pages.finish().expect("memory can be written");
        let mut page = vec![0; size];
        for pgno in 1..=last.0 {
            page.fill(0);
            file.read_page(Pgno(pgno), &mut page)
                .expect("memory can be read");
            bytes.extend_from_slice(&page);
        }
        bytes
    });
    Ok((result, databases.collect()))
}

#[test]
fn every_set_ends_the_same_whether_or_not_logs_are_read_ahead() {
    let names = fixtures::engine_set_names();
    let results: Vec<(bool, usize)> = (names.par_iter())
        .map(|name| {
            let set = fixtures::engine_set(name);
            let case = case(&set, name);
            let here = recover(&set, &case, false);
            let ahead = recover(&set, &case, true);
            assert!(here == ahead, "{name}: {:.300}\n{:.300}", here.1, ahead.1);
            (here.0, here.2.iter().map(Vec::len).sum())
        })
        .collect();
    let done = results.iter().filter(|(done, _)| *done).count();
    let bytes: usize = results.iter().map(|(_, bytes)| bytes).sum();
    println!(
        "{done} of {} sets recovered, {bytes} bytes equal",
        names.len()
    );
    assert_eq!(done, names.len());
}

/// What is told by a replay of all logs of a folder from nothing, without a plan that would leave damaged ones out.
fn replay_all(logs: &Path, page_size: PageSize, ahead: bool) -> (bool, String) {
    let mut redo = Redo::new();
    create_in_memory(&mut redo, page_size);
    let stream = LogStream::open(logs, None).expect("a stream");
    let records = stream.records(Generation(0));
    let mut records = if ahead { records.ahead() } else { records };
    let summary = replay(&mut redo, &mut records, &Until::default(), &());
    let result = match &summary {
        Ok(summary) => format!("{summary:?}"),
        Err(error) => error.to_string(),
    };
    let result = format!("{result} {:?} {:?}", redo.counts(), redo.lgpos());
    (summary.is_err(), result)
}

/// The logs of a crash with nine bytes changed, somewhere in one of them: with a checksum that does not fit, so that the
/// log cannot be read on, or with one that does, so that a record is not what it was.
#[test]
fn what_stops_a_replay_stops_it_at_the_same_place() {
    let set = fixtures::testdata_set("crash-p8k");
    let page_size = page_size_of(&set);
    let logs = files_in(&set.join("state"));
    let is_log = |path: &&PathBuf| path.extension().is_some_and(|end| end == "log");
    let logs: Vec<&PathBuf> = logs.iter().filter(is_log).collect();
    let damages: Vec<(usize, bool)> = (0..logs.len())
        .flat_map(|number| [(number, false), (number, true)])
        .collect();
    let stopped = damages.par_iter().map(|&(number, sealed)| {
        let folder = tempfile::tempdir().unwrap();
        for (other, log) in logs.iter().enumerate() {
            let mut bytes = fs::read(log).unwrap();
            if other == number {
                let segment = 2 + number;
                let at = 4096 * segment + 1000;
                bytes[at..at + 9].fill(0xa5);
                if sealed {
                    seal_segment(&mut bytes, segment);
                }
            }
            fs::write(folder.path().join(log.file_name().unwrap()), bytes).unwrap();
        }
        let here = replay_all(folder.path(), page_size, false);
        let ahead = replay_all(folder.path(), page_size, true);
        assert!(here == ahead, "{:.300}\n{:.300}", here.1, ahead.1);
        usize::from(here.0)
    });
    let stopped: usize = stopped.sum();
    println!("{stopped} of {} damaged streams stop", damages.len());
    assert!(stopped > damages.len() / 2);
}
