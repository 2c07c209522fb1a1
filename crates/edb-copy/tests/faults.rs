//! What can go wrong with source, target and journal while a copy is made, and what is said about it.

mod common;

use common::{MemorySource, PAGE, change_page, copy, database, options};
use edb_copy::{
    BadPages, CopyError, CopyOptions, CopyOutcome, FileCopy, ReadPolicy, TargetPaths,
    verify_with_source,
};
use ese_format::Progress;
use ese_testkit::disk::FaultyDisk;
use evidence::{LocalFile, ReadError, ReadErrorKind, SourceFile};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use target_disk::{Disk, LocalDisk};
use tempfile::TempDir;

const TARGET: &str = "/copies/db.edb";

/// Does something once, when the first chunk has arrived; may ask to stop then.
struct Once {
    action: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    stop: bool,
    arrived: AtomicU64,
}

impl Once {
    fn new(action: impl FnOnce() + Send + 'static) -> Self {
        Once {
            action: Mutex::new(Some(Box::new(action))),
            stop: false,
            arrived: AtomicU64::new(0),
        }
    }

    fn stop() -> Self {
        Once {
            stop: true,
            ..Once::new(|| ())
        }
    }
}

impl Progress for Once {
    fn advance(&self, bytes: u64) {
        if bytes > 0 {
            self.arrived.fetch_add(bytes, Ordering::Relaxed);
            if let Some(action) = self.action.lock().unwrap().take() {
                action();
            }
        }
    }

    fn should_stop(&self) -> bool {
        self.stop && self.arrived.load(Ordering::Relaxed) > 0
    }
}

/// A folder with a database of 4 MiB as `source.edb`.
fn folder_with_source() -> (TempDir, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let bytes = database(1024, 7);
    fs::write(folder.path().join("source.edb"), &bytes).unwrap();
    (folder, bytes)
}

fn local(folder: &TempDir) -> Arc<dyn SourceFile> {
    Arc::new(LocalFile::open(folder.path().join("source.edb")).unwrap())
}

/// Copies while `harm` is done to the source after the first chunk.
fn copy_while(harm: impl FnOnce(&Path) + Send + 'static) -> (TempDir, CopyError) {
    let (folder, _) = folder_with_source();
    let path = folder.path().join("source.edb");
    let target = folder.path().join("copy.edb");
    let one_job = CopyOptions {
        jobs: NonZeroUsize::MIN,
        ..options()
    };
    let mut copy =
        FileCopy::open(local(&folder), &LocalDisk, &target, one_job, &()).expect("a sound source");
    let error = copy
        .run(&Once::new(move || harm(&path)))
        .expect_err("the source is not what it was");
    assert!(!target.exists(), "what is not whole must not have the name");
    (folder, error)
}

#[track_caller]
fn says_changed(error: &CopyError, what: &str) {
    match error {
        CopyError::SourceChanged { differences, .. } => {
            assert!(
                differences.iter().any(|text| text.contains(what)),
                "{differences:?}"
            );
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_source_that_changes_meanwhile_is_noticed_and_the_copy_refused_later() {
    let (_, error) = copy_while(|path| {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(&[0; 4096]).unwrap();
    });
    says_changed(&error, "size was 4194304, is 4198400");

    let (_, error) = copy_while(|path| {
        OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(1 << 20)
            .unwrap();
    });
    says_changed(&error, "size was 4194304, is 1048576");

    let (folder, error) = copy_while(|path| {
        // Clocks of file systems tick slowly.
        std::thread::sleep(Duration::from_millis(30));
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(b"x").unwrap();
    });
    says_changed(&error, "modification time");
    let target = folder.path().join("copy.edb");
    let again = FileCopy::open(local(&folder), &LocalDisk, &target, options(), &());
    says_changed(&again.err().expect("another source"), "modification time");
    // Asked to begin anew, it copies what is there now: a database with a damaged header.
    let restart = CopyOptions {
        restart: true,
        bad_pages: BadPages::Keep,
        ..options()
    };
    let report = copy(local(&folder), &LocalDisk, &target, restart).unwrap();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(
        fs::read(target).unwrap(),
        fs::read(folder.path().join("source.edb")).unwrap()
    );
}

#[test]
fn a_source_that_vanishes_is_said_to_be_gone() {
    let (_, error) = copy_while(|path| fs::remove_file(path).unwrap());
    match error {
        CopyError::Source { error, .. } => assert_eq!(error.kind, ReadErrorKind::Vanished),
        other => panic!("{other}"),
    }
}

#[test]
fn a_second_copy_to_the_same_target_is_refused() {
    let (folder, bytes) = folder_with_source();
    let target = folder.path().join("copy.edb");
    let mut first = FileCopy::open(local(&folder), &LocalDisk, &target, options(), &()).unwrap();
    let second = FileCopy::open(local(&folder), &LocalDisk, &target, options(), &());
    assert!(matches!(second.err(), Some(CopyError::Locked { .. })));
    assert!(first.run(&()).unwrap());
    first.finish().unwrap();
    assert_eq!(fs::read(target).unwrap(), bytes);
}

#[test]
fn an_interrupted_copy_goes_on_and_keeps_times_and_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, bytes) = folder_with_source();
    let path = folder.path().join("source.edb");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    let target = folder.path().join("copy.edb");
    let mut first = FileCopy::open(local(&folder), &LocalDisk, &target, options(), &()).unwrap();
    assert!(!first.run(&Once::stop()).unwrap());
    let report = first.report();
    assert_eq!(report.outcome, CopyOutcome::Interrupted);
    assert!(report.bytes_arrived > 0 && report.bytes_arrived < bytes.len() as u64);
    assert!(!target.exists());
    let second = copy(local(&folder), &LocalDisk, &target, options()).unwrap();
    assert_eq!(second.resumed_at, report.bytes_arrived);
    assert_eq!(second.bytes_read, bytes.len() as u64 - report.bytes_arrived);
    assert_eq!(fs::read(&target).unwrap(), bytes);
    let (from, to) = (fs::metadata(&path).unwrap(), fs::metadata(&target).unwrap());
    assert_eq!(from.modified().unwrap(), to.modified().unwrap());
    assert_eq!(from.permissions(), to.permissions());
    let third = copy(local(&folder), &LocalDisk, &target, options()).unwrap();
    assert_eq!(
        (third.outcome, third.bytes_read),
        (CopyOutcome::AlreadyComplete, 0)
    );
}

#[test]
fn nothing_is_overwritten_unasked() {
    let (folder, bytes) = folder_with_source();
    let target = folder.path().join("copy.edb");
    let open = |options| FileCopy::open(local(&folder), &LocalDisk, &target, options, &()).err();
    fs::write(&target, b"something else").unwrap();
    assert!(matches!(
        open(options()),
        Some(CopyError::TargetExists { .. })
    ));
    assert!(!TargetPaths::new(&target).journal.exists());
    fs::remove_file(&target).unwrap();
    fs::write(TargetPaths::new(&target).partial, b"something else").unwrap();
    assert!(matches!(
        open(options()),
        Some(CopyError::TargetExists { .. })
    ));
    let path = folder.path().join("source.edb");
    let onto_itself = FileCopy::open(local(&folder), &LocalDisk, &path, options(), &()).err();
    assert!(matches!(onto_itself, Some(CopyError::SameFile { .. })));
    assert_eq!(fs::read(path).unwrap(), bytes);
}

#[test]
fn damaged_pages_stop_the_copy_or_are_listed() {
    let mut bytes = database(512, 8);
    for page in [100, 101, 400] {
        bytes[page * PAGE + 77..page * PAGE + 99].fill(0x55);
    }
    let bytes = Arc::new(bytes);
    let disk = FaultyDisk::new(1);
    let one_job = CopyOptions {
        jobs: NonZeroUsize::MIN,
        ..options()
    };
    let error = copy(
        MemorySource::sound(&bytes),
        &disk,
        Path::new(TARGET),
        one_job.clone(),
    );
    match error {
        Err(CopyError::BadPages { findings, .. }) => {
            let offsets: Vec<u64> = findings.iter().map(|finding| finding.offset).collect();
            assert_eq!(offsets, [100 * 4096, 101 * 4096]);
        }
        other => panic!("{other:?}"),
    }
    // What had arrived before the damage is not read again.
    let keep = CopyOptions {
        bad_pages: BadPages::Keep,
        ..one_job
    };
    let report = copy(MemorySource::sound(&bytes), &disk, Path::new(TARGET), keep).unwrap();
    assert_eq!(report.resumed_at, 96 * 4096);
    let offsets: Vec<u64> = report
        .findings
        .iter()
        .map(|finding| finding.offset)
        .collect();
    assert_eq!(offsets, [100 * 4096, 101 * 4096, 400 * 4096]);
    assert_eq!(report.pages.unwrap().counts.bad_checksums, 3);
    assert_eq!(disk.get(Path::new(TARGET)).unwrap(), *bytes);
}

#[test]
fn passing_errors_are_tried_again_and_permanent_ones_are_not() {
    let bytes = Arc::new(database(256, 9));
    let fail_at = |offset: u64, kind: ReadErrorKind, times: u64| {
        let failed = AtomicU64::new(0);
        MemorySource::new(
            &bytes,
            Box::new(move |at, length| {
                let here = (at..at + length).contains(&offset) && at > 0;
                if here && failed.fetch_add(1, Ordering::Relaxed) < times {
                    return Err(ReadError::new(kind, "the sector cannot be read"));
                }
                Ok(())
            }),
        )
    };
    let passing = fail_at(300_000, ReadErrorKind::Passing, 3);
    let report = copy(passing, &FaultyDisk::new(1), Path::new(TARGET), options()).unwrap();
    assert_eq!(report.reads_retried, 3);
    for (kind, tries) in [(ReadErrorKind::Passing, 4), (ReadErrorKind::Permanent, 1)] {
        let disk = FaultyDisk::new(1);
        let broken = fail_at(300_000, kind, u64::MAX);
        match copy(broken, &disk, Path::new(TARGET), options()) {
            Err(CopyError::Read {
                offset, attempts, ..
            }) => {
                assert_eq!((offset, attempts), (4 * 65536, tries));
            }
            other => panic!("{other:?}"),
        }
        // When the disk is mended, the copy goes on.
        let report = copy(
            MemorySource::sound(&bytes),
            &disk,
            Path::new(TARGET),
            options(),
        )
        .unwrap();
        assert_eq!(report.resumed_at, 4 * 65536);
        assert_eq!(disk.get(Path::new(TARGET)).unwrap(), *bytes);
    }
}

#[test]
fn a_source_that_hangs_is_given_up_after_the_time_out() {
    let bytes = Arc::new(database(256, 10));
    let hung = AtomicU64::new(0);
    let source = MemorySource::new(
        &bytes,
        Box::new(move |at, _| {
            if at == 65536 && hung.fetch_add(1, Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_secs(600));
            }
            Ok(())
        }),
    );
    let options = CopyOptions {
        read: ReadPolicy {
            timeout: Some(Duration::from_millis(200)),
            ..options().read
        },
        ..options()
    };
    let started = Instant::now();
    let disk = FaultyDisk::new(1);
    let report = copy(source, &disk, Path::new(TARGET), options).unwrap();
    assert!(report.reads_retried >= 1);
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(disk.get(Path::new(TARGET)).unwrap(), *bytes);
}

#[test]
fn a_full_disk_is_said_to_be_full_and_the_copy_goes_on_when_there_is_room() {
    let bytes = Arc::new(database(256, 11));
    let disk = FaultyDisk::new(1);
    disk.set_room(400_000);
    match copy(
        MemorySource::sound(&bytes),
        &disk,
        Path::new(TARGET),
        options(),
    ) {
        Err(CopyError::Target { error, .. }) => {
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        }
        other => panic!("{other:?}"),
    }
    disk.set_room(u64::MAX);
    let report = copy(
        MemorySource::sound(&bytes),
        &disk,
        Path::new(TARGET),
        options(),
    )
    .unwrap();
    assert!(report.resumed_at > 0);
    assert_eq!(disk.get(Path::new(TARGET)).unwrap(), *bytes);
}

#[test]
fn a_rate_is_kept_and_can_be_changed_meanwhile() {
    let bytes = Arc::new(database(256, 12));
    let source: Arc<dyn SourceFile> = MemorySource::sound(&bytes);
    let options = options();
    // At this rate, the copy would take a quarter of an hour.
    options.read.rate.set(std::num::NonZeroU64::new(1 << 10));
    let rate = Arc::clone(&options.read.rate);
    let faster = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        rate.set(None);
    });
    let started = Instant::now();
    copy(source, &FaultyDisk::new(1), Path::new(TARGET), options).unwrap();
    let took = started.elapsed();
    assert!(
        took > Duration::from_millis(250) && took < Duration::from_secs(60),
        "{took:?}"
    );
    faster.join().unwrap();
}

#[test]
fn a_delta_writes_the_pages_that_differ_and_no_others() {
    let new = database(512, 13);
    for (what, length) in [("as long", 512), ("shorter", 300), ("longer", 700)] {
        let mut old = database(700, 13);
        old.truncate(length * PAGE);
        let changed = [5, 6, 7, 250, 290];
        for page in changed {
            change_page(&mut old, page, 1000 + page as u64);
        }
        let added = 512_usize.saturating_sub(length) as u64;
        let disk = FaultyDisk::new(1);
        disk.put(Path::new(TARGET), old);
        let delta = CopyOptions {
            delta: true,
            ..options()
        };
        let source = MemorySource::sound(&Arc::new(new.clone()));
        let report = copy(source, &disk, Path::new(TARGET), delta).unwrap();
        let pages = report.pages.unwrap();
        assert_eq!(disk.get(Path::new(TARGET)).unwrap(), new, "{what}");
        assert_eq!(pages.compared, 512, "{what}");
        assert_eq!(pages.changed, changed.len() as u64 + added, "{what}");
        assert_eq!(report.bytes_written, pages.changed * PAGE as u64, "{what}");
        assert_eq!(
            report.bytes_saved(),
            (512 - pages.changed) * PAGE as u64,
            "{what}"
        );
    }
}

#[test]
fn a_copy_that_changed_is_told_from_its_source() {
    let bytes = database(512, 14);
    let mut other = bytes.clone();
    change_page(&mut other, 300, 1);
    let verify = |copy: Vec<u8>| {
        let copy: Arc<dyn SourceFile> = MemorySource::sound(&Arc::new(copy));
        let source = MemorySource::sound(&Arc::new(bytes.clone()));
        let jobs = NonZeroUsize::new(3).unwrap();
        verify_with_source(&copy, source, jobs, &ReadPolicy::default(), &()).unwrap()
    };
    assert!(verify(bytes.clone()).matches());
    let report = verify(other);
    assert!(!report.matches());
    assert_eq!(report.mismatches.len(), 1);
    assert_eq!(report.mismatches[0].offset, 300 * 4096);
    assert!(
        report.findings.is_empty(),
        "the page is good, but another one"
    );
    assert!(!verify(bytes[..511 * PAGE].to_vec()).matches());
    assert!(!verify([bytes.clone(), vec![0; PAGE]].concat()).matches());
}

/// A journal of an interrupted copy with any one byte changed never leads to a wrong copy.
#[test]
fn a_journal_damaged_at_any_byte_is_refused_or_leads_to_the_same_file() {
    let bytes = Arc::new(database(160, 15));
    let target = Path::new(TARGET);
    let paths = TargetPaths::new(target);
    let prepared = FaultyDisk::new(1);
    prepared.set_room(400_000);
    let one_job = CopyOptions {
        jobs: NonZeroUsize::MIN,
        ..options()
    };
    copy(
        MemorySource::sound(&bytes),
        &prepared,
        target,
        one_job.clone(),
    )
    .unwrap_err();
    let journal = prepared.get(&paths.journal).unwrap();
    let partial = prepared.get(&paths.partial).unwrap();
    let claims = journal.iter().filter(|byte| **byte == b'\n').count() - 1;
    assert!(claims >= 3, "{claims} chunks had arrived");
    let first_line = journal.iter().position(|byte| *byte == b'\n').unwrap();
    let mut refused = 0;
    for at in 0..journal.len() {
        for flip in [0x01, 0x20, 0x80] {
            let disk = FaultyDisk::new(1);
            let mut damaged = journal.clone();
            damaged[at] ^= flip;
            disk.put(&paths.journal, damaged);
            disk.put(&paths.partial, partial.clone());
            match copy(MemorySource::sound(&bytes), &disk, target, one_job.clone()) {
                Ok(report) => {
                    assert!(
                        disk.with(target, |there| there == *bytes).unwrap(),
                        "byte {at}"
                    );
                    assert!(report.resumed_at <= claims as u64 * 65536);
                }
                Err(CopyError::BadJournal { .. }) => {
                    assert!(at <= first_line, "byte {at} is not of the first entry");
                    refused += 1;
                    assert_eq!(disk.get(&paths.partial).unwrap(), partial);
                }
                Err(other) => panic!("byte {at}: {other}"),
            }
        }
    }
    assert!(
        refused > first_line,
        "{refused} damages of the first entry were refused"
    );
    for end in 0..journal.len() {
        let disk = FaultyDisk::new(1);
        disk.put(&paths.journal, journal[..end].to_vec());
        disk.put(&paths.partial, partial.clone());
        match copy(MemorySource::sound(&bytes), &disk, target, one_job.clone()) {
            Ok(_) => assert!(disk.with(target, |there| there == *bytes).unwrap()),
            Err(CopyError::BadJournal { .. } | CopyError::TargetExists { .. }) => {
                assert!(end <= first_line, "cut at {end}");
            }
            Err(other) => panic!("cut at {end}: {other}"),
        }
    }
}

#[test]
#[ignore = "needs the rights of the superuser"]
fn a_real_disk_that_is_too_small_says_so_before_anything_is_copied() {
    let folder = TempDir::new().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .status();
    assert!(mounted.unwrap().success(), "a small disk can be mounted");
    let bytes = Arc::new(database(1024, 16));
    let target = folder.path().join("copy.edb");
    let result = copy(MemorySource::sound(&bytes), &LocalDisk, &target, options());
    let exists = LocalDisk.exists(&target).unwrap();
    let unmounted = std::process::Command::new("umount")
        .arg(folder.path())
        .status();
    match result {
        Err(CopyError::Target { error, .. }) => {
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        }
        other => panic!("{other:?}"),
    }
    assert!(!exists && unmounted.unwrap().success());
}

/// On a file system whose files can share blocks, a copy takes no space, and is checked all the same.
#[test]
#[ignore = "needs mkfs.xfs or mkfs.btrfs, and the rights of the superuser"]
fn a_copy_shares_blocks_where_it_can() {
    let folder = TempDir::new().unwrap();
    let (image, mounted) = (folder.path().join("image"), folder.path().join("mounted"));
    fs::create_dir(&mounted).unwrap();
    let file = fs::File::create(&image).unwrap();
    file.set_len(512 << 20).unwrap();
    let run = |program: &str, arguments: &[&Path]| {
        let status = std::process::Command::new(program).args(arguments).output();
        status.is_ok_and(|output| output.status.success())
    };
    let made = run("mkfs.xfs", &[&image]) || run("mkfs.btrfs", &[&image]);
    assert!(made, "a file system that shares blocks can be made");
    assert!(
        run("mount", &["-o".as_ref(), "loop".as_ref(), &image, &mounted]),
        "it can be mounted"
    );
    let bytes = database(4096, 17);
    let source = mounted.join("source.edb");
    fs::write(&source, &bytes).unwrap();
    let target = mounted.join("copy.edb");
    let opened: Arc<dyn SourceFile> = Arc::new(LocalFile::open(&source).unwrap());
    let report = copy(opened, &LocalDisk, &target, options());
    let same = fs::read(&target).is_ok_and(|copied| copied == bytes);
    assert!(run("umount", &[&mounted]));
    let report = report.unwrap();
    assert!(same);
    assert_eq!(report.bytes_written, 0);
    assert_eq!(report.pages.unwrap().counts.pages_seen, 4096);
}
