//! An export that was stopped: the same call goes on, reads no table twice, and ends as an undisturbed one.

use ese_db::Database;
use ese_export::{
    ExportError, ExportManifest, ExportOptions, FileEntry, Format, SourceEntry, export,
};
use ese_format::Progress;
use ese_testkit::fixtures;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Stops when so many bytes were read.
struct Until {
    most: u64,
    read: AtomicU64,
}

impl Until {
    fn bytes(most: u64) -> Self {
        Until {
            most,
            read: AtomicU64::new(0),
        }
    }
}

impl Progress for Until {
    fn begin(&self, _total: u64, _done: u64) {}

    fn advance(&self, amount: u64) {
        self.read.fetch_add(amount, Ordering::Relaxed);
    }

    fn should_stop(&self) -> bool {
        self.read.load(Ordering::Relaxed) > self.most
    }
}

fn options(to: &Path, format: Format) -> ExportOptions {
    ExportOptions {
        source: "this database".to_owned(),
        tables: Vec::new(),
        format,
        to: to.to_owned(),
        force: false,
        inline_limit: 200,
        deleted: false,
        decoded: false,
        source_column: None,
    }
}

fn run(
    db: &Database,
    options: &ExportOptions,
    until: &Until,
) -> Result<ExportManifest, ExportError> {
    let source = SourceEntry {
        file: FileEntry::new(PathBuf::from("db.edb"), 0),
        page_size: db.page_size().bytes(),
        last_page: db.last_page(),
        dirty: false,
        header: None,
    };
    export(db, || Ok(source.into()), options, until)
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fixtures::files_below(folder).into_iter();
    let named = files.map(|path| {
        let name = path.strip_prefix(folder).unwrap().to_owned();
        (name, fs::read(&path).unwrap())
    });
    named.collect()
}

/// A set with large values, deleted rows and a damaged page, so that there are blobs, losses and lines of problems.
fn database(folder: &Path) -> PathBuf {
    let path = folder.join("db.edb");
    let set = fixtures::testdata_set("crash-p8k").join("recovered/db.edb");
    let mut bytes = fs::read(set).unwrap();
    bytes[(56 + 1) * 8192 + 100..][..60].fill(0xee);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn wherever_it_was_stopped_it_ends_as_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(database(folder.path())).unwrap();
    for (format, threads) in [(Format::Jsonl, 1), (Format::Csv, 2), (Format::Parquet, 1)] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let run =
            |options: &ExportOptions, until: &Until| pool.install(|| run(&db, options, until));
        let undisturbed = tempfile::tempdir().unwrap();
        let all = Until::bytes(u64::MAX);
        let manifest = run(&options(undisturbed.path(), format), &all).unwrap();
        assert!(manifest.blob_files > 0 && !manifest.is_complete());
        let expected = files(undisturbed.path());
        let all = all.read.into_inner();
        let (mut stopped, mut saved) = (0, 0);
        for most in (0..all).step_by(3 * 8192) {
            let to = tempfile::tempdir().unwrap();
            let options = options(to.path(), format);
            let first = run(&options, &Until::bytes(most));
            if matches!(first, Err(ExportError::Stopped)) {
                stopped += 1;
                assert!(!to.path().join("manifest.json").exists());
                let second = Until::bytes(u64::MAX);
                run(&options, &second).unwrap();
                saved += u64::from(second.read.into_inner() < all);
            } else {
                first.unwrap();
            }
            assert!(
                files(to.path()) == expected,
                "{format:?} stopped after {most} bytes"
            );
        }
        // Two threads begin all tables at once.
        let saves = saved > 0 || threads > 1;
        assert!(
            stopped > 3 && saves,
            "{format:?}: {stopped} stopped, {saved} gone on"
        );
    }
}

#[test]
fn what_another_export_left_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(database(folder.path())).unwrap();
    let to = tempfile::tempdir().unwrap();
    let first = options(to.path(), Format::Jsonl);
    let stopped = run(&db, &first, &Until::bytes(0));
    assert!(matches!(stopped, Err(ExportError::Stopped)));
    let before = files(to.path());
    for other in [
        ExportOptions {
            source: "another database".to_owned(),
            ..first.clone()
        },
        ExportOptions {
            inline_limit: 300,
            ..first.clone()
        },
        ExportOptions {
            format: Format::Csv,
            ..first.clone()
        },
        ExportOptions {
            tables: vec!["Items".to_owned()],
            ..first.clone()
        },
    ] {
        let refused = run(&db, &other, &Until::bytes(u64::MAX));
        assert!(matches!(refused, Err(ExportError::OtherUnfinished { .. })));
        assert!(files(to.path()) == before);
    }
}

/// A file of a finished table that was changed since is written again.
#[test]
fn a_file_that_changed_is_not_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(database(folder.path())).unwrap();
    let undisturbed = tempfile::tempdir().unwrap();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let run = |options: &ExportOptions, until: &Until| pool.install(|| run(&db, options, until));
    let all = Until::bytes(u64::MAX);
    run(&options(undisturbed.path(), Format::Jsonl), &all).unwrap();
    let to = tempfile::tempdir().unwrap();
    let options = options(to.path(), Format::Jsonl);
    let most = all.read.into_inner() - 2 * 8192;
    assert!(matches!(
        run(&options, &Until::bytes(most)),
        Err(ExportError::Stopped)
    ));
    let known = fs::read_to_string(to.path().join("unfinished.jsonl")).unwrap();
    let whole: serde_json::Value = serde_json::from_str(known.lines().nth(1).unwrap()).unwrap();
    let file = to.path().join(whole["file"].as_str().unwrap());
    let mut bytes = fs::read(&file).unwrap();
    bytes[0] ^= 1;
    fs::write(&file, bytes).unwrap();
    run(&options, &Until::bytes(u64::MAX)).unwrap();
    assert!(files(to.path()) == files(undisturbed.path()));
}
