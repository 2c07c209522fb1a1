//! A copy that is refused before anything has arrived leaves everything as it was: the older copy, and its journal.

mod common;

use common::{MemorySource, PAGE, change_page, copy, database, options};
use edb_copy::{CopyError, CopyOptions, CopyPlan, FileCopy, TargetPaths};
use ese_format::{Class, Explain};
use ese_testkit::disk::FaultyDisk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use target_disk::{Disk, LocalDisk};

const TARGET: &str = "/copies/db.edb";

/// What is at the target, and a newer source.
struct Setting {
    old: Option<Vec<u8>>,
    old_journal: Option<Vec<u8>>,
    new: Arc<Vec<u8>>,
    options: CopyOptions,
}

/// The ways in which an older copy is replaced, with its journal and without; and a copy where there is none.
fn settings() -> Vec<Setting> {
    let old = database(24, 21);
    let disk = FaultyDisk::new(1);
    let source = MemorySource::sound(&Arc::new(old.clone()));
    copy(source, &disk, Path::new(TARGET), options()).expect("an empty disk");
    let finished = disk.get(&TargetPaths::new(TARGET).journal);
    let foreign = Some(b"what somebody has noted".to_vec());
    let setting = |length, old_journal, delta| {
        let mut new = database(length, 21);
        change_page(&mut new, 12, 5);
        Setting {
            old: Some(old.clone()),
            old_journal,
            new: Arc::new(new),
            options: CopyOptions {
                delta,
                force: !delta,
                ..options()
            },
        }
    };
    let mut settings = Vec::new();
    for delta in [true, false] {
        for length in [24, 40, 16] {
            settings.push(setting(length, finished.clone(), delta));
        }
        settings.push(setting(40, None, delta));
        settings.push(setting(40, foreign.clone(), delta));
        settings.push(Setting {
            old: None,
            ..setting(40, None, delta)
        });
    }
    settings
}

/// Names and bytes of all files.
fn everything(disk: &FaultyDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let paths = disk.paths().into_iter();
    paths.map(|path| (path.clone(), disk.get(&path))).collect()
}

impl Setting {
    fn disk(&self, seed: u64) -> FaultyDisk {
        let disk = FaultyDisk::new(seed);
        let paths = TargetPaths::new(TARGET);
        for (path, bytes) in [
            (&paths.target, &self.old),
            (&paths.journal, &self.old_journal),
        ] {
            if let Some(bytes) = bytes {
                disk.put(path, bytes.clone());
            }
        }
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
        assert!(disk.get(&paths.new_journal).is_none());
        assert!(disk.get(&paths.partial).is_none());
    }

    /// What copying would do.
    fn plan(&self, disk: &FaultyDisk) -> CopyPlan {
        let source = MemorySource::version(&self.new, "2");
        CopyPlan::of(source, disk, TARGET, self.options.clone(), &()).expect("a sound source")
    }

    /// Copies a source whose first page is damaged.
    fn damaged(&self, disk: &FaultyDisk) -> Result<(), CopyError> {
        let mut new = (*self.new).clone();
        new[2 * PAGE + 100] ^= 1;
        let source = MemorySource::version(&Arc::new(new), "2");
        let options = CopyOptions {
            jobs: std::num::NonZeroUsize::MIN,
            ..self.options.clone()
        };
        copy(source, disk, Path::new(TARGET), options).map(drop)
    }

    /// Copies a source that is in use.
    fn dirty(&self, disk: &FaultyDisk) -> Result<(), CopyError> {
        let state = ese_testkit::fixtures::testdata_set("crash-p8k").join("state/db.edb");
        let bytes = std::fs::read(state).expect("a fixture can be read");
        let source = MemorySource::sound(&Arc::new(bytes));
        FileCopy::open(source, disk, TARGET, self.options.clone(), &()).map(drop)
    }

    /// Copies without a word of what is to happen to the older copy.
    fn without_a_word(&self, disk: &FaultyDisk) -> Result<(), CopyError> {
        let source = MemorySource::version(&self.new, "2");
        FileCopy::open(source, disk, TARGET, options(), &()).map(drop)
    }

    #[track_caller]
    fn is_as_it_was(&self, disk: &FaultyDisk) {
        let paths = TargetPaths::new(TARGET);
        assert!(disk.get(&paths.target) == self.old);
        assert!(disk.get(&paths.journal) == self.old_journal);
        assert!(disk.get(&paths.partial).is_none());
        assert!(disk.get(&paths.new_journal).is_none());
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
    for setting in settings() {
        for full in (0..).step_by(3) {
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
                let paths = TargetPaths::new(TARGET);
                assert!(disk.get(&paths.target) == setting.old);
                if setting.old_journal.is_some() {
                    assert!(disk.get(&paths.journal) == setting.old_journal);
                }
                disk.full_after(None);
                setting.copies(&disk);
            }
            if crashed == 0 {
                break;
            }
        }
    }
}

/// What a kill leaves of the disk.
#[derive(Debug, Clone, Copy)]
enum Power {
    /// The machine runs on.
    Stays,
    /// What was not synced may be lost.
    Goes,
}

impl Power {
    fn comes_back(self, disk: &FaultyDisk) {
        match self {
            Power::Stays => disk.kill_after(u64::from(u32::MAX)),
            Power::Goes => disk.crash(),
        }
    }
}

/// Kills a copy at every call until its source says that its first page is damaged, and at every call of what is done
/// after that. Whatever the next copy is refused for, all is as it was.
#[test]
fn a_copy_that_was_killed_and_is_then_refused_leaves_everything_as_it_was() {
    let mut kills = 0;
    for setting in settings() {
        for power in [Power::Stays, Power::Goes] {
            for operations in 1.. {
                let disk = setting.disk(operations);
                disk.kill_after(operations);
                let ran = setting.damaged(&disk);
                if !disk.is_killed() {
                    assert!(matches!(ran, Err(CopyError::BadPages { .. })));
                    setting.is_as_it_was(&disk);
                    break;
                }
                power.comes_back(&disk);
                // Who takes it back is killed, too.
                disk.kill_after(1 + operations * 7 % 29);
                let _ = setting.damaged(&disk);
                power.comes_back(&disk);
                kills += 1;
                let refused = match operations % 3 {
                    0 => setting.damaged(&disk),
                    1 if setting.old.is_some() => setting.without_a_word(&disk),
                    _ => setting.dirty(&disk),
                };
                let refused = refused.expect_err("it is refused");
                assert_eq!(refused.class(), Class::Refused, "{refused}");
                setting.is_as_it_was(&disk);
                setting.copies(&disk);
            }
        }
    }
    assert!(kills > 300, "{kills} kills");
}

/// Once an older copy is about to change, there is no way back; nor is there one that gives a mixed file its name.
#[test]
fn an_older_copy_has_its_name_or_is_a_partial_copy_whenever_a_copy_is_killed() {
    let paths = TargetPaths::new(TARGET);
    for setting in settings().into_iter().filter(|one| one.old.is_some()) {
        let mut partial = 0;
        for operations in 1.. {
            let disk = setting.disk(operations);
            disk.kill_after(operations);
            let source = MemorySource::version(&setting.new, "2");
            let ran = copy(source, &disk, Path::new(TARGET), setting.options.clone());
            if !disk.is_killed() {
                ran.expect("nothing is in its way");
                break;
            }
            disk.crash();
            if disk.get(&paths.journal) == setting.old_journal {
                let before = everything(&disk);
                let (plan, expected) = (setting.plan(&disk), setting.plan(&setting.disk(1)));
                assert_eq!(
                    (plan.action, plan.method),
                    (expected.action, expected.method)
                );
                assert_eq!(plan.overwrites, expected.overwrites);
                assert!(everything(&disk) == before, "a look changes nothing");
            }
            let _ = setting.damaged(&disk);
            let there = disk.get(&paths.target);
            if there.is_none() {
                assert!(disk.get(&paths.partial).is_some());
                partial += 1;
            } else {
                assert!(there == setting.old || there.as_ref() == Some(&*setting.new));
            }
            if disk.get(&paths.journal) == setting.old_journal {
                setting.is_as_it_was(&disk);
            }
            setting.copies(&disk);
        }
        assert_eq!(partial > 0, setting.options.delta);
    }
}

#[test]
fn what_no_copy_left_is_neither_read_as_a_journal_nor_removed() {
    let paths = TargetPaths::new(TARGET);
    for setting in settings() {
        let somebodys = b"0123abcd notes of mine".to_vec();
        for foreign in [Some(somebodys), setting.old_journal.clone()] {
            let Some(foreign) = foreign else { continue };
            let disk = setting.disk(1);
            disk.put(&paths.new_journal, foreign.clone());
            let refused = setting.open(&disk).expect_err("something is in the way");
            assert!(matches!(refused, CopyError::ForeignJournal { .. }));
            assert_eq!(refused.class(), Class::Refused);
            assert!(disk.get(&paths.new_journal).as_ref() == Some(&foreign));
            disk.remove(&paths.new_journal).expect("it is there");
            setting.is_as_it_was(&disk);
        }
    }
}

#[test]
fn damage_in_the_first_pages_leaves_an_older_copy_and_its_journal_as_they_were() {
    for setting in settings() {
        let disk = setting.disk(1);
        let refused = setting.damaged(&disk);
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
