//! The disk of this machine.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use target_disk::{Disk, LocalDisk, PathKind, SharedDisk};
use tempfile::TempDir;

fn names(folder: &TempDir) -> Vec<PathBuf> {
    let mut names = LocalDisk.list(folder.path()).unwrap();
    names.sort();
    names
}

#[test]
fn a_small_file_is_replaced_as_a_whole_and_nothing_else_stays() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.json");
    for content in [&b"old"[..], b"a newer one", b""] {
        LocalDisk.replace(&path, content, ".new-").unwrap();
        assert_eq!(LocalDisk.read(&path, 11).unwrap(), content);
        assert_eq!(names(&folder), std::slice::from_ref(&path));
    }
    // A folder is in the way: the temporary file goes.
    let taken = folder.path().join("taken");
    LocalDisk.create_folders(&taken.join("inside")).unwrap();
    assert!(LocalDisk.replace(&taken, b"new", ".new-").is_err());
    assert_eq!(names(&folder), [path, taken]);
}

#[test]
fn a_file_that_is_larger_than_it_may_be_is_not_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("huge");
    let file = LocalDisk.create(&path).unwrap();
    file.set_length(1 << 40).unwrap();
    let error = LocalDisk.read(&path, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(
        error.to_string(),
        "it has 1099511627776 bytes, and may have 1048576 at most"
    );
    file.set_length(1 << 20).unwrap();
    assert_eq!(LocalDisk.read(&path, 1 << 20).unwrap().len(), 1 << 20);
    let error = file.read_exact_at(&mut [0; 16], (1 << 20) - 6).unwrap_err();
    assert_eq!(
        error.to_string(),
        "16 bytes are needed at offset 0xffffa, 6 are there"
    );
}

#[test]
fn a_lock_is_held_until_its_file_is_closed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lock");
    let held = LocalDisk.open_locked(&path).unwrap();
    let would_block = |result: io::Result<()>| result.unwrap_err().kind();
    let again = LocalDisk.open_locked(&path).map(drop);
    assert_eq!(would_block(again), io::ErrorKind::WouldBlock);
    let look = LocalDisk.look_at(&path).map(drop);
    assert_eq!(would_block(look), io::ErrorKind::WouldBlock);
    drop(held);
    // Who looks does not lock.
    let looked = LocalDisk.look_at(&path).unwrap();
    LocalDisk.open_locked(&path).map(drop).unwrap();
    drop(looked);
}

#[test]
fn a_lock_is_held_by_one_even_where_its_file_is_removed_and_replaced() {
    const TIMES: u64 = 20_000;
    let folder = TempDir::new().unwrap();
    let (path, new) = (folder.path().join("lock"), folder.path().join("new"));
    let inside = AtomicBool::new(false);
    let turn = |replaces: bool| {
        let Ok(held) = LocalDisk.open_locked(&path) else {
            return;
        };
        assert!(!inside.swap(true, Ordering::SeqCst), "two hold the lock");
        std::thread::yield_now();
        if replaces {
            let next = LocalDisk.open_locked(&new).unwrap();
            LocalDisk.rename(&new, &path).unwrap();
            drop(held);
            std::thread::yield_now();
            inside.store(false, Ordering::SeqCst);
            drop(next);
        } else {
            inside.store(false, Ordering::SeqCst);
            LocalDisk.remove(&path).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let turn = &turn;
            scope.spawn(move || (0..TIMES).for_each(|time| turn((time + thread) % 3 == 0)));
        }
    });
}

#[test]
fn who_asks_for_a_lock_that_it_holds_keeps_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lock");
    let held = LocalDisk.open_locked(&path).unwrap();
    assert!(LocalDisk.is_locked(&path).unwrap());
    let again = LocalDisk.open_locked(&path).map(drop);
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(held);
    assert!(!LocalDisk.is_locked(&path).unwrap());
    LocalDisk.open_locked(&path).map(drop).unwrap();
}

#[test]
fn what_is_under_a_path_is_told_and_a_new_file_is_never_an_old_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    assert_eq!(LocalDisk.place(&path).unwrap(), PathKind::Free);
    let file = LocalDisk.create(&path).unwrap();
    file.write_all_at(b"12345", 3).unwrap();
    let mut read = [9; 10];
    assert_eq!(file.read_at(&mut read, 0).unwrap(), 8);
    assert_eq!(&read, b"\0\0\x0012345\x09\x09");
    assert!(file.read_exact_at(&mut read, 0).is_err());
    let kind = LocalDisk.place(&path).unwrap();
    assert!(matches!(
        kind,
        PathKind::File {
            length: Some(8),
            names: 1
        }
    ));
    let again = LocalDisk.create(&path).map(drop);
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(LocalDisk.place(folder.path()).unwrap(), PathKind::Folder);
    let (one, _) = LocalDisk
        .create_temporary(folder.path(), "a-", ".b")
        .unwrap();
    let (other, _) = LocalDisk
        .create_temporary(folder.path(), "a-", ".b")
        .unwrap();
    assert!(one != other && fs::metadata(one).is_ok());
}

#[test]
fn the_disk_of_this_machine_is_one_disk() {
    assert_eq!(SharedDisk::default(), SharedDisk::default());
    assert_ne!(SharedDisk::default(), SharedDisk::new(LocalDisk));
}
