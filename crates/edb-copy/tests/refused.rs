//! A copy that is refused before anything has arrived leaves everything as it was: the older copy, and its journal.

mod common;

use common::{MemorySource, PAGE, change_page, copy, database, options};
use edb_copy::{CopyError, CopyOptions, FileCopy, TargetPaths};
use ese_testkit::disk::FaultyDisk;
use std::path::Path;
use std::sync::Arc;
use target_disk::LocalDisk;

const TARGET: &str = "/copies/db.edb";

/// A finished copy, and a newer source.
struct Setting {
    old: Vec<u8>,
    old_journal: Vec<u8>,
    new: Arc<Vec<u8>>,
    options: CopyOptions,
}

/// The ways in which an older copy is replaced.
fn settings() -> Vec<Setting> {
    let lengths = [24, 40, 16];
    let mut settings = Vec::new();
    for delta in [true, false] {
        for length in lengths {
            let old = database(24, 21);
            let mut new = database(length, 21);
            change_page(&mut new, 12, 5);
            let disk = FaultyDisk::new(1);
            copy(
                MemorySource::sound(&Arc::new(old.clone())),
                &disk,
                Path::new(TARGET),
                options(),
            )
            .expect("an empty disk");
            let journal = TargetPaths::new(TARGET).journal;
            settings.push(Setting {
                old,
                old_journal: disk.get(&journal).expect("a journal"),
                new: Arc::new(new),
                options: CopyOptions {
                    delta,
                    force: !delta,
                    ..options()
                },
            });
        }
    }
    settings
}

impl Setting {
    fn disk(&self, seed: u64) -> FaultyDisk {
        let disk = FaultyDisk::new(seed);
        let paths = TargetPaths::new(TARGET);
        disk.put(&paths.target, self.old.clone());
        disk.put(&paths.journal, self.old_journal.clone());
        disk
    }

    /// Opens the copy, which is refused or not.
    fn open(&self, disk: &FaultyDisk) -> Result<(), CopyError> {
        let source = MemorySource::version(&self.new, "2");
        FileCopy::open(source, disk, TARGET, self.options.clone(), &()).map(drop)
    }

    /// Copies, and looks at what came of it.
    fn copies(&self, disk: &FaultyDisk) {
        let source = MemorySource::version(&self.new, "2");
        copy(source, disk, Path::new(TARGET), self.options.clone()).expect("there is room");
        let paths = TargetPaths::new(TARGET);
        assert!(disk.get(&paths.target).as_ref() == Some(&*self.new));
        assert!(disk.get(&paths.old_journal).is_none());
        assert!(disk.get(&paths.partial).is_none());
    }

    #[track_caller]
    fn is_as_it_was(&self, disk: &FaultyDisk) {
        let paths = TargetPaths::new(TARGET);
        assert!(disk.get(&paths.target).as_ref() == Some(&self.old));
        assert!(disk.get(&paths.journal).as_ref() == Some(&self.old_journal));
        assert!(disk.get(&paths.partial).is_none());
        assert!(disk.get(&paths.old_journal).is_none());
    }
}

#[test]
fn on_a_full_disk_the_older_copy_and_its_journal_stay_as_they_were() {
    for setting in settings() {
        let mut refused = 0;
        for operations in 0.. {
            let disk = setting.disk(operations);
            disk.full_after(operations);
            match setting.open(&disk) {
                Ok(()) => break,
                Err(CopyError::Target { error, .. }) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                }
                Err(other) => panic!("{other}"),
            }
            setting.is_as_it_was(&disk);
            refused += 1;
            disk.full_after(None);
            setting.copies(&disk);
        }
        assert!(refused > 10, "space is needed to the end: {refused}");
    }
}

#[test]
fn a_crash_while_a_copy_is_refused_loses_neither_the_older_copy_nor_its_journal() {
    let paths = TargetPaths::new(TARGET);
    for setting in settings() {
        for full in 0.. {
            let mut crashed = 0;
            for operations in 1.. {
                let disk = setting.disk(full * 1000 + operations);
                disk.full_after(full);
                disk.kill_after(operations);
                let opened = setting.open(&disk);
                if !disk.is_killed() {
                    if opened.is_ok() {
                        crashed = 0;
                    }
                    break;
                }
                crashed += 1;
                disk.crash();
                let holds = |path: &Path, bytes: &Vec<u8>| disk.get(path).as_ref() == Some(bytes);
                assert!(holds(&paths.target, &setting.old) || holds(&paths.partial, &setting.old));
                assert!(
                    holds(&paths.journal, &setting.old_journal)
                        || holds(&paths.old_journal, &setting.old_journal)
                );
                disk.full_after(None);
                setting.copies(&disk);
            }
            if crashed == 0 {
                break;
            }
        }
    }
}

#[test]
fn damage_in_the_first_pages_leaves_an_older_copy_and_its_journal_as_they_were() {
    for mut setting in settings() {
        let mut new = (*setting.new).clone();
        new[2 * PAGE + 100] ^= 1;
        setting.new = Arc::new(new);
        let disk = setting.disk(1);
        let source = MemorySource::version(&setting.new, "2");
        let options = CopyOptions {
            jobs: std::num::NonZeroUsize::MIN,
            ..setting.options.clone()
        };
        let refused = copy(source, &disk, Path::new(TARGET), options);
        assert!(matches!(refused, Err(CopyError::BadPages { .. })));
        setting.is_as_it_was(&disk);
    }
}

/// On the disk of this machine, where reserving space shows in more than the bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_refused_delta_leaves_the_time_and_the_space_of_the_older_copy() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::TempDir::new().expect("a folder");
    let target = folder.path().join("db.edb");
    let delta = || CopyOptions {
        delta: true,
        trust_journal: true,
        jobs: std::num::NonZeroUsize::MIN,
        ..options()
    };
    let old = database(64, 22);
    let first = MemorySource::sound(&Arc::new(old.clone()));
    copy(first, &LocalDisk, &target, options()).expect("an empty folder");
    let look = || {
        let known = std::fs::metadata(&target).expect("the older copy");
        (
            known.len(),
            known.blocks(),
            known.modified().expect("a time"),
        )
    };
    let before = look();
    for pages in [2000, 40] {
        let mut new = database(pages, 22);
        new[2 * PAGE + 100] ^= 1;
        let source = MemorySource::version(&Arc::new(new), "2");
        let refused = copy(source, &LocalDisk, &target, delta());
        assert!(matches!(refused, Err(CopyError::BadPages { .. })));
        assert_eq!(look(), before);
    }
    // Its journal is believed as before.
    let mut new = old;
    change_page(&mut new, 50, 5);
    let source = MemorySource::version(&Arc::new(new), "3");
    let report = copy(source, &LocalDisk, &target, delta()).expect("a sound source");
    assert_eq!(report.bytes_trusted, 3 * options().chunk_size);
}
