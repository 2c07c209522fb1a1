//! A copy that is killed at random moments, on a disk that then loses what was not synced, ends as the same file.
//!
//! The full campaign is 1,000 kills of a copy of 256 MiB: `EDBKIT_KILLS=1000 EDBKIT_KILL_MIB=256`.

mod common;

use common::{MemorySource, change_page, copy, database, options};
use edb_copy::{CopyOptions, FileCopy, LoadedJournal, TargetPaths};
use ese_testkit::disk::FaultyDisk;
use ese_testkit::random::Random;
use evidence::{ReadError, ReadErrorKind, SourceFile};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn number_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// What a campaign came to.
#[derive(Debug, Default)]
struct Campaign {
    copies: u64,
    kills: u64,
    most_read_again: u64,
}

/// Kills copies until there were `kills` kills, each resumed to the end.
fn campaign(kills: u64, options: &CopyOptions, new: &Arc<Vec<u8>>, old: Option<&[u8]>) -> Campaign {
    let target = Path::new("/copies/db.edb");
    let paths = TargetPaths::new(target);
    let mut campaign = Campaign::default();
    let mut random = Random(kills);
    let operations = operations_of(options, new, old);
    while campaign.kills < kills {
        let disk = FaultyDisk::new(random.number());
        if let Some(old) = old {
            disk.put(target, old.to_vec());
        }
        let mut read = 0;
        let mut kills_here = 0;
        loop {
            disk.kill_after(1 + random.below(operations as usize * 2 / 3) as u64);
            let done = one_run(&disk, target, options, new, &mut read);
            if !disk.is_killed() {
                let report = done.expect("nothing but the kill is in its way");
                assert_eq!(report.bytes_arrived, new.len() as u64);
                break;
            }
            kills_here += 1;
            disk.crash();
            claims_hold(&disk, &paths, new);
        }
        disk.with(target, |bytes| {
            assert!(
                bytes == new.as_slice(),
                "the copy differs after {kills_here} kills"
            );
        })
        .expect("the copy is there");
        assert!(disk.get(&paths.partial).is_none());
        // Reading the start of the source again to compare its identity is not copying.
        let again = read - new.len() as u64;
        let bound = kills_here * options.jobs.get() as u64 * options.chunk_size;
        assert!(
            again <= bound,
            "{again} bytes read again after {kills_here} kills"
        );
        campaign.most_read_again = campaign.most_read_again.max(again / kills_here.max(1));
        campaign.kills += kills_here;
        campaign.copies += 1;
    }
    campaign
}

/// One run up to its end or its kill. Adds the bytes that were read to be copied to `read`.
fn one_run(
    disk: &FaultyDisk,
    target: &Path,
    options: &CopyOptions,
    bytes: &Arc<Vec<u8>>,
    read: &mut u64,
) -> Result<edb_copy::CopyReport, edb_copy::CopyError> {
    let ticking = disk.clone();
    let source = MemorySource::new(
        bytes,
        Box::new(move |_, _| {
            let killed = |_| ReadError::new(ReadErrorKind::Permanent, "killed");
            ticking.tick().map_err(killed)
        }),
    );
    let mut copy = FileCopy::open(
        Arc::clone(&source) as Arc<dyn SourceFile>,
        disk,
        target,
        options.clone(),
        &(),
    )?;
    source.bytes_read.store(0, Ordering::Relaxed);
    let ran = copy.run(&());
    let start = if copy.has_arrived() { 64 << 10 } else { 0 };
    *read += source
        .bytes_read
        .load(Ordering::Relaxed)
        .saturating_sub(start);
    assert!(ran?, "nobody interrupted it");
    copy.finish()?;
    Ok(copy.report())
}

/// Every chunk that the journal claims is in the partial copy, or in the copy that already has its name.
fn claims_hold(disk: &FaultyDisk, paths: &TargetPaths, bytes: &[u8]) {
    let Ok(file) = target_disk::Disk::open(disk, &paths.journal) else {
        return;
    };
    let loaded = LoadedJournal::read(&*file).expect("a journal can be read");
    let Some(state) = loaded.state else { return };
    let claimed = state.bytes_claimed() as usize;
    let check = |there: &[u8]| assert!(there.get(..claimed) == Some(&bytes[..claimed]));
    if claimed > 0 && disk.with(&paths.partial, check).is_none() {
        assert!(state.arrived.is_some());
        disk.with(&paths.target, check).expect("the copy is there");
    }
}

/// How many operations an undisturbed copy takes.
fn operations_of(options: &CopyOptions, new: &Arc<Vec<u8>>, old: Option<&[u8]>) -> u64 {
    let disk = FaultyDisk::new(0);
    let target = Path::new("/copies/db.edb");
    if let Some(old) = old {
        disk.put(target, old.to_vec());
    }
    one_run(&disk, target, options, new, &mut 0).expect("nothing is in its way");
    disk.calls()
}

#[test]
fn a_killed_copy_goes_on_to_the_same_file() {
    let kills = number_from("EDBKIT_KILLS", 60);
    let mib = number_from("EDBKIT_KILL_MIB", 8) as usize;
    let bytes = Arc::new(database(mib * 256, 1));
    let options = CopyOptions {
        chunk_size: if mib >= 64 { 1 << 20 } else { 64 << 10 },
        sha256: true,
        ..options()
    };
    let campaign = campaign(kills, &options, &bytes, None);
    println!("{mib} MiB, full: {campaign:?}");
}

#[test]
fn a_killed_delta_goes_on_to_the_same_file() {
    let kills = number_from("EDBKIT_KILLS", 60) / 2;
    let mib = (number_from("EDBKIT_KILL_MIB", 8) as usize).min(32);
    let bytes = database(mib * 256, 2);
    // An older copy: some pages differ, and it is shorter.
    let mut old = bytes[..bytes.len() - 100 * common::PAGE].to_vec();
    let mut random = Random(3);
    for _ in 0..mib * 8 {
        let page = 2 + random.below(old.len() / 4096 - 2);
        change_page(&mut old, page, random.number());
    }
    let options = CopyOptions {
        delta: true,
        ..options()
    };
    let campaign = campaign(kills, &options, &Arc::new(bytes), Some(&old));
    println!("{mib} MiB, delta: {campaign:?}");
}

#[test]
fn a_copy_over_an_older_one_leaves_the_older_one_until_the_end() {
    let old = database(64, 4);
    let bytes = Arc::new(database(256, 5));
    let target = Path::new("/copies/db.edb");
    for operations in 1..200 {
        let disk = FaultyDisk::new(operations);
        disk.put(target, old.clone());
        disk.kill_after(operations);
        let options = CopyOptions {
            force: true,
            ..options()
        };
        let done = one_run(&disk, target, &options, &bytes, &mut 0);
        if disk.is_killed() {
            disk.crash();
            let there = disk.get(target).expect("one of both is there");
            assert!(there == old || there == *bytes, "killed after {operations}");
            continue;
        }
        done.expect("nothing but the kill is in its way");
        return;
    }
    let disk = FaultyDisk::new(0);
    copy(MemorySource::sound(&bytes), &disk, target, options()).expect("an empty disk");
}
