//! Recovery: the plan for edited headers, the replay of edited records from nothing, and their timeline.

use super::choice;
use super::logs::rewritten;
use crate::{script, seeds};
use ese_format::page::PageSize;
use ese_log::{LogImage, RecordCursor, StreamFiles};
use ese_replay::Redo;
use ese_replay::page_files::MemoryFile;
use ese_replay::recovery::{self, DatabaseFile, Until};
use ese_replay::redo::NewDatabase;
use ese_testkit::logs::seal_header;
use ese_timeline::sink::JsonlSink;
use ese_timeline::{Filter, LongValues, Order, TimelineOptions, tell};
use std::fs;
use std::io;
use std::path::Path;
use tempfile::TempDir;

/// The plan for a database whose header was edited.
pub(crate) fn plan(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let seed = seeds::database();
    let mut units = seed.pages[..1].to_vec();
    script::run(edits, &mut units, false);
    seal_header(&mut units[0]);
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("db.edb");
    let copies = [&units[0][..], &units[0][..]].concat();
    fs::write(&path, copies).expect("the folder is writable");
    let Ok(database) = DatabaseFile::open(&path) else {
        return;
    };
    let files = StreamFiles::find(&seeds::stream(), None).expect("testdata");
    let until = Until {
        generation: (choice & 1 == 1).then_some(ese_format::Generation(u32::from(choice >> 1))),
        ..Until::default()
    };
    let databases = std::slice::from_ref(&database);
    if let Ok(plan) = recovery::plan(&files, None, databases, &until, &()) {
        let _ = (plan.obstacle(true).is_some(), serde_json::to_string(&plan));
    }
}

/// The replay of edited logs, which create their database, and the undo of what is open at the end.
pub(crate) fn replay(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let mut redo = Redo::new();
    redo.create_with(Box::new(|_| {
        Some(NewDatabase {
            file: Box::new(MemoryFile::new()),
            page_size: PageSize::new(4096)?,
            cache_pages: 1000,
        })
    }));
    for (number, log) in seeds::logs().iter().enumerate() {
        let edited = number == usize::from(choice & 1);
        let edits: &[u8] = if edited { edits } else { &[] };
        let Some(log) = rewritten(log, edits, choice & 2 == 2) else {
            return;
        };
        let Ok(image) = LogImage::from_bytes(Path::new("log"), log) else {
            return;
        };
        let mut cursor = RecordCursor::new();
        while let Ok(Some(record)) = cursor.next_record(&image) {
            if redo.apply(&record).is_err() {
                return;
            }
        }
    }
    let _ = redo.roll_back_open();
}

/// The timeline of edited logs: from nothing, or followed backwards from the database of the stream.
pub(crate) fn timeline(bytes: &[u8]) {
    let (choice, edits) = choice(bytes);
    let folder = TempDir::new().expect("a temporary folder");
    for (number, log) in seeds::logs().iter().enumerate() {
        let edited = number == usize::from(choice & 1);
        let edits: &[u8] = if edited { edits } else { &[] };
        let Some(bytes) = rewritten(log, edits, choice & 2 == 2) else {
            return;
        };
        fs::write(folder.path().join(log.name), bytes).expect("the folder is writable");
    }
    let databases = match choice & 4 {
        0 => Vec::new(),
        _ => vec![DatabaseFile::open(&seeds::stream().join("db.edb")).expect("testdata")],
    };
    let Ok(files) = StreamFiles::find(folder.path(), None) else {
        return;
    };
    let options = TimelineOptions {
        older: databases.clone(),
        filter: Filter::default(),
        long_values: LongValues {
            inline_limit: 100,
            blobs: None,
        },
        pages: None,
        order: Order::Commit,
        memory: 1 << 20,
        only_count: choice & 8 == 8,
    };
    let sink = Box::new(JsonlSink::new(io::sink()));
    let _ = tell(&files, &databases, 8 << 20, options, sink, &());
}
