//! The one real stream in the older layout: Windows XP's own catalog databases, which hold all that their logs say.
//! Replayed over copies that claim to be dirty, no record changes any page. The databases were detached and attached again
//! in the last log, so this is done for copies of each of these
//! times.
//!
//! Pages born in these logs could be rebuilt from them if a record held their whole content. None does: both were made
//! by a `Split` of the oldest form, which moves rows of another page without an image of it, and the rows that moved had
//! been inserted before the first log.

mod support;

use ese_format::database::DatabaseState;
use ese_format::record::{Record, RecordType};
use ese_format::{Explain, Generation, JetError, Lgpos, Pgno, Signature};
use ese_log::LogStream;
use ese_replay::Redo;
use ese_replay::page_files::MemoryFile;
use ese_replay::pages::PageFile;
use ese_replay::recovery::{DatabaseFile, RecoveryError, ReplaySummary, Until, replay};
use ese_testkit::fixtures;
use std::path::{Path, PathBuf};

/// The last log.
const LAST: Generation = Generation(0x83);
/// Records that change pages; the splits are in macro operations, whose commit is what is judged.
const CHANGES_PAGES: [RecordType; 7] = [
    RecordType::Insert,
    RecordType::FlagInsertAndReplaceData,
    RecordType::FlagDelete,
    RecordType::Replace,
    RecordType::ReplaceDelta,
    RecordType::SetExternalHeader,
    RecordType::MacroCommit,
];
/// How many of these the stream holds.
const RECORDS: u64 = 4040;
/// Pages that are looked at: of both databases, and of the one that is attached again, twice.
const PAGES: [u64; 4] = [1, 550, 5, 1];
/// Pages born in the logs.
const BORN: [u32; 2] = [40, 41];

fn folder() -> PathBuf {
    fixtures::windows_xp().expect("../shared/fixtures is there")
}

/// Where the databases are attached in the last log, by signature.
fn attachments(stream: &LogStream) -> Vec<(Signature, Lgpos)> {
    let mut records = stream.records(Generation(0));
    let mut found = Vec::new();
    while let Some(raw) = records.next_record().unwrap() {
        if let Record::AttachDb(record) = raw.decode().unwrap() {
            found.push((record.db_signature, raw.lgpos));
        }
    }
    found
}

/// Replays the stream over databases that were attached at `attach`, or else before the first log, up to the next time
/// that one is attached. The databases are dirty, and page `blanked` of the larger one may be blank.
fn run(
    folder: &Path,
    attach: Option<(Signature, Lgpos)>,
    blanked: Option<Pgno>,
) -> (Redo, Result<ReplaySummary, RecoveryError>) {
    let stream = support::streams::open(folder);
    let mut records = stream.records(Generation(0));
    records.next_record().unwrap().expect("a record");
    let listed = &records.image().unwrap().header.attachments.databases;
    let listed = listed
        .iter()
        .map(|entry| (entry.database_signature, entry.last_attach));
    let attached: Vec<(Signature, Lgpos)> = match attach {
        Some(attach) => vec![attach],
        None => listed.collect(),
    };
    let mut redo = Redo::new();
    for path in fixtures::files_below(folder) {
        if !path.ends_with("catdb") {
            continue;
        }
        let file = DatabaseFile::open(&path).unwrap();
        let own = |(signature, _): &&(Signature, Lgpos)| *signature == file.header.signature;
        let Some(&(_, place)) = attached.iter().find(own) else {
            continue;
        };
        let mut pages = MemoryFile::over(Box::new(file.pages()), file.last);
        if let Some(pgno) = blanked.filter(|_| file.last > Pgno(500)) {
            let blank = vec![0; file.page_size.as_usize()];
            pages.write_page(pgno, &blank).unwrap();
        }
        let mut database = file.database(Box::new(pages), 10_000);
        database.header.state = DatabaseState::DIRTY_SHUTDOWN;
        database.header.last_attach = place;
        database.required_until = LAST;
        database.pages.watch();
        redo.offer(database);
    }
    let later = attachments(&stream).into_iter().map(|(_, place)| place);
    let until = Until {
        before: later
            .filter(|place| attach.is_none_or(|(_, own)| *place > own))
            .min(),
        ..Until::default()
    };
    let summary = replay(&mut redo, &mut stream.records(Generation(0)), &until, &());
    (redo, summary)
}

mod not_shipped {
    use super::*;

    #[test]
    #[ignore = "needs files of Windows XP that nobody gave a licence for"]
    fn every_page_record_of_the_real_older_stream_is_applied_already() {
        let folder = folder();
        let mut attached = vec![None];
        attached.extend(
            attachments(&support::streams::open(&folder))
                .into_iter()
                .map(Some),
        );
        let (mut read, mut pages) = (0, Vec::new());
        for attach in attached {
            let (mut redo, summary) = run(&folder, attach, None);
            let summary = summary.unwrap_or_else(|error| panic!("{error}"));
            let types = CHANGES_PAGES
                .iter()
                .filter_map(|kind| redo.counts().types.get(kind));
            let (total, applied) = types.fold((0, 0), |(total, applied), counts| {
                (total + counts.read, applied + counts.applied)
            });
            assert_eq!(applied, 0, "{:?}", redo.counts());
            read = total;
            for mut database in redo.take_databases() {
                assert!(database.touched);
                assert_eq!(database.unexplained(), 0);
                assert_eq!(database.pages.take_changed(), []);
                pages.push(database.pages.counts().read);
            }
            println!(
                "attached at {attach:?}: up to {}, {total} records that change pages",
                summary.end
            );
        }
        println!("{read} records, none applied; pages looked at: {pages:?}");
        assert_eq!((read, pages), (RECORDS, PAGES.to_vec()));
    }

    #[test]
    #[ignore = "needs files of Windows XP that nobody gave a licence for"]
    fn pages_born_without_an_image_of_where_their_rows_came_from_are_refused() {
        let folder = folder();
        assert_eq!(born(&support::streams::open(&folder)), BORN);
        for pgno in BORN {
            let (_, summary) = run(&folder, None, Some(Pgno(pgno)));
            let error = summary.expect_err("the page cannot be rebuilt");
            assert_eq!(error.jet(), Some(JetError::BAD_LOG_VERSION), "{error}");
        }
    }
}

/// Pages that a record of the stream makes.
fn born(stream: &LogStream) -> Vec<u32> {
    let mut records = stream.records(Generation(0));
    let mut born = Vec::new();
    while let Some(raw) = records.next_record().unwrap() {
        match raw.decode().unwrap() {
            Record::Split(record) if !record.is_parent_only() => born.push(record.split.pgno_new.0),
            Record::CreateSingleExtentFdp(_)
            | Record::CreateMultipleExtentFdp(_)
            | Record::ConvertFdp(_)
            | Record::ConvertFdp2(_)
            | Record::NewPage(_)
            | Record::Split2(_)
            | Record::PageMove(_) => panic!("a page is born otherwise at {}", raw.lgpos),
            _ => {}
        }
    }
    born
}
