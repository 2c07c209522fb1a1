//! What a delta reads and writes, by what is known of both sides beforehand.

mod common;

use common::{MemorySource, PAGE, change_page, copy, database, options};
use edb_copy::{
    BadPages, CopyError, CopyOptions, CopyOutcome, CopyReport, Manifest, ManifestFile, Method,
    ReadPolicy, hash_file,
};
use evidence::SourceFile;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::LocalDisk;
use tempfile::TempDir;

const PAGES: usize = 1024;
const LENGTH: u64 = (PAGES * PAGE) as u64;
const CHUNK: u64 = 256 << 10;
/// What is read of a source to know it, at the start and at the end.
const IDENTITY: u64 = 2 * (64 << 10);

/// An older copy that was made by us, and a newer source in which four pages of three chunks differ.
struct Setting {
    folder: TempDir,
    new: Arc<Vec<u8>>,
}

impl Setting {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let old = database(PAGES, 11);
        let mut new = old.clone();
        for page in [100, 500, 501, 900] {
            change_page(&mut new, page, page as u64);
        }
        let setting = Setting {
            folder,
            new: Arc::new(new),
        };
        let first = MemorySource::sound(&Arc::new(old));
        copy(first, &LocalDisk, &setting.target(), chunked()).unwrap();
        setting
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("copy.edb")
    }

    /// Brings the older copy up to date; gives the report and the bytes that were read of the source for it.
    fn delta(&self, options: CopyOptions) -> (CopyReport, u64) {
        let source = MemorySource::version(&self.new, "2");
        let report = copy(source.clone(), &LocalDisk, &self.target(), options).unwrap();
        assert!(fs::read(self.target()).unwrap() == *self.new);
        assert_eq!(report.pages.unwrap().compared, PAGES as u64);
        assert_eq!(report.pages.unwrap().changed, 4);
        let read = source.bytes_read.load(std::sync::atomic::Ordering::Relaxed);
        (report, read - IDENTITY)
    }

    fn manifest(&self, block: u64) -> Option<Arc<ManifestFile>> {
        let source: Arc<dyn SourceFile> = MemorySource::sound(&self.new);
        let jobs = NonZeroUsize::MIN;
        let policy = ReadPolicy::default();
        let hashed = hash_file(&source, block, jobs, &policy, &())
            .unwrap()
            .unwrap();
        let name = "copy.edb".into();
        let file = ManifestFile::new(name, hashed.chunks, hashed.hashes, hashed.sha256).unwrap();
        let text = Manifest::new(vec![file]).to_json().unwrap();
        Some(Arc::new(Manifest::parse(&text).unwrap().files.remove(0)))
    }
}

fn chunked() -> CopyOptions {
    CopyOptions {
        chunk_size: CHUNK,
        ..options()
    }
}

fn delta() -> CopyOptions {
    CopyOptions {
        delta: true,
        ..chunked()
    }
}

fn trusting() -> CopyOptions {
    CopyOptions {
        trust_journal: true,
        ..delta()
    }
}

#[test]
fn with_nothing_known_both_sides_are_read() {
    let (report, read) = Setting::new().delta(delta());
    assert_eq!(read, LENGTH);
    assert_eq!(
        (report.bytes_trusted, report.bytes_written),
        (0, 4 * PAGE as u64)
    );
}

#[test]
fn a_journal_that_is_trusted_saves_reading_the_older_copy() {
    let (report, read) = Setting::new().delta(trusting());
    assert_eq!((report.method, read), (Method::Delta, LENGTH));
    // Three chunks hold the four pages; only those were read at the target.
    assert_eq!(report.bytes_trusted, LENGTH - 3 * CHUNK);
    assert_eq!(report.bytes_written, 4 * PAGE as u64);
    assert!(report.remarks.is_empty(), "{:?}", report.remarks);
}

#[test]
fn with_a_manifest_only_blocks_that_differ_are_read_of_the_source() {
    for (block, blocks) in [(64 << 10, 3), (16 << 10, 3), (4 << 10, 4)] {
        let setting = Setting::new();
        let options = CopyOptions {
            manifest: setting.manifest(block),
            ..delta()
        };
        let (report, read) = setting.delta(options);
        assert_eq!(read, blocks * block, "blocks of {block}");
        assert_eq!(report.bytes_trusted, 0);
    }
}

#[test]
fn with_manifest_and_journal_nothing_is_read_but_what_differs() {
    let setting = Setting::new();
    let options = CopyOptions {
        manifest: setting.manifest(4 << 10),
        ..trusting()
    };
    let (report, read) = setting.delta(options);
    assert_eq!(read, 4 * PAGE as u64);
    assert_eq!(report.bytes_trusted, LENGTH - 3 * CHUNK);
    let pages = report.pages.unwrap();
    assert_eq!(
        pages.counts.pages_seen, PAGES as u64,
        "pages that were not read are counted too"
    );
    let hash = blake3::hash(&setting.new).to_string();
    assert_eq!(report.blake3.unwrap().to_string(), hash);
}

#[test]
fn blocks_that_are_close_are_read_at_once() {
    let mut setting = Setting::new();
    let mut new = (*setting.new).clone();
    // Pages 500 to 501 and 510 are 32 KiB apart: less than a round trip is worth.
    change_page(&mut new, 510, 1);
    setting.new = Arc::new(new);
    let options = CopyOptions {
        manifest: setting.manifest(4 << 10),
        ..delta()
    };
    let source = MemorySource::version(&setting.new, "2");
    copy(source.clone(), &LocalDisk, &setting.target(), options).unwrap();
    let read = source.bytes_read.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(read - IDENTITY, (2 + 11) * PAGE as u64);
}

/// Does something to the older copy; its journal must not be believed after that.
#[track_caller]
fn not_believed(harm: impl FnOnce(&Path)) {
    let setting = Setting::new();
    harm(&setting.target());
    let source = MemorySource::version(&setting.new, "2");
    let report = copy(source, &LocalDisk, &setting.target(), trusting()).unwrap();
    assert!(fs::read(setting.target()).unwrap() == *setting.new);
    assert_eq!(report.bytes_trusted, 0);
    assert_eq!(report.remarks.len(), 1, "{:?}", report.remarks);
}

#[test]
fn the_journal_of_a_copy_that_was_changed_is_not_believed() {
    not_believed(|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[700 * PAGE] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    // The modification time put back does not help when the header or the length is another.
    not_believed(|path| {
        let time = fs::metadata(path).unwrap().modified().unwrap();
        let mut bytes = fs::read(path).unwrap();
        bytes[16] ^= 1;
        fs::write(path, bytes).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(time).unwrap();
    });
    not_believed(|path| {
        let mut journal = path.as_os_str().to_owned();
        journal.push(".edbcopy");
        fs::remove_file(journal).unwrap();
    });
}

#[test]
fn an_older_copy_of_another_length_is_believed_where_it_has_the_same_chunks() {
    let setting = Setting::new();
    let mut new = (*setting.new).clone();
    let grown = database(PAGES + 100, 12);
    new.extend_from_slice(&grown[PAGES * PAGE..]);
    let source = MemorySource::version(&Arc::new(new.clone()), "2");
    let report = copy(source, &LocalDisk, &setting.target(), trusting()).unwrap();
    assert!(fs::read(setting.target()).unwrap() == new);
    assert_eq!(report.bytes_trusted, LENGTH - 3 * CHUNK);
}

#[test]
fn a_damaged_page_is_found_again_without_being_read() {
    let setting = Setting::new();
    let mut bad = (*setting.new).clone();
    bad[300 * PAGE + 99] ^= 1;
    let bad = Arc::new(bad);
    let keep = |options| CopyOptions {
        bad_pages: BadPages::Keep,
        ..options
    };
    let run = |options| {
        let source = MemorySource::version(&bad, "2");
        copy(source, &LocalDisk, &setting.target(), options)
    };
    assert_eq!(run(keep(delta())).unwrap().findings.len(), 1);
    // A newer source with the same damaged page.
    let mut newer = (*bad).clone();
    change_page(&mut newer, 900, 77);
    let newer = Setting {
        new: Arc::new(newer),
        folder: setting.folder,
    };
    let with_manifest = || CopyOptions {
        manifest: newer.manifest(64 << 10),
        ..trusting()
    };
    let source = MemorySource::version(&newer.new, "3");
    let error = copy(source, &LocalDisk, &newer.target(), with_manifest());
    assert!(matches!(error, Err(CopyError::BadPages { .. })));
    let source = MemorySource::version(&newer.new, "3");
    let report = copy(source, &LocalDisk, &newer.target(), keep(with_manifest())).unwrap();
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn a_finished_copy_that_was_changed_is_not_called_complete() {
    let setting = Setting::new();
    let again = |options| {
        let old = Arc::new(database(PAGES, 11));
        let source = MemorySource::sound(&old);
        copy(source, &LocalDisk, &setting.target(), options)
    };
    assert_eq!(
        again(chunked()).unwrap().outcome,
        CopyOutcome::AlreadyComplete
    );
    let mut bytes = fs::read(setting.target()).unwrap();
    bytes[700 * PAGE] ^= 1;
    fs::write(setting.target(), bytes).unwrap();
    assert!(matches!(
        again(chunked()),
        Err(CopyError::TargetExists { .. })
    ));
    assert_eq!(again(delta()).unwrap().outcome, CopyOutcome::Complete);
    assert!(fs::read(setting.target()).unwrap() == database(PAGES, 11));
}
