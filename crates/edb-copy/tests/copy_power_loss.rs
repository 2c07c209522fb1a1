//! Random copies, and the power lost at every call of each.
//!
//! A case is a source, what is at the target before, and a command, all from one number. It runs undisturbed first. Then
//! the power goes at its first call, at its second one, and so on (now and then only the process is killed); the same
//! command runs again, may be cut off again, and again, and comes to its end. What has to hold:
//!
//! | when | what |
//! |---|---|
//! | after every loss | the name of the copy is that of the older file, or of the whole new one |
//! | | while nothing has arrived, the older file, its journal and what had arrived of it before are there |
//! | | what the journal claims is on the disk; what is called arrived or complete is whole |
//! | in the end | the files are those of the run that nobody disturbed, and it is refused if that was |
//! | after that | another loss of power changes nothing of a copy that was called complete |
//!
//! How many cases, and which: see `ese_testkit::campaign`.

mod common;

use common::{MemorySource, PAGE, change_page, database, options};
use edb_copy::{
    BadPages, CopyError, CopyOptions, CopyOutcome, CopyReport, FileCopy, LoadedJournal, Manifest,
    ManifestFile, ReadPolicy, TargetPaths, TargetState, hash_file, status,
};
use ese_format::{Class, Explain, Progress};
use ese_testkit::campaign::{self, Cut, cuts_from, killed_then_cut_off};
use ese_testkit::disk::FaultyDisk;
use ese_testkit::random::Random;
use evidence::SourceFile;
use jiff::Timestamp;
use std::mem::discriminant;
use std::num::NonZeroUsize;
use std::ops::AddAssign;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use target_disk::Disk;

const TARGET: &str = "/copies/db.edb";

/// What cases came to.
#[derive(Debug, Default)]
struct Totals {
    losses: u64,
    refused: u64,
    kinds: [u64; 8],
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.losses += other.losses;
        self.refused += other.refused;
        for (kind, more) in self.kinds.iter_mut().zip(other.kinds) {
            *kind += more;
        }
    }
}

/// What must come before in many cases, or they prove less than they say.
const KINDS: [&str; 8] = [
    "complete",
    "a delta",
    "a journal was trusted",
    "an older copy was replaced",
    "went on with what had arrived",
    "damaged pages were kept",
    "stopped at a damaged page",
    "something had the name already",
];

/// A copy that is to be made.
struct Case {
    source: Arc<MemorySource>,
    bytes: Arc<Vec<u8>>,
    options: CopyOptions,
    /// The disk before.
    before: FaultyDisk,
    what: String,
}

/// Files of one length or another.
fn some_bytes(random: &mut Random) -> Vec<u8> {
    if random.below(6) == 0 {
        // No database.
        let length = match random.below(5) {
            0 => 0,
            1 => 65536 * (1 + random.below(3)),
            _ => 1 + random.below(200_000),
        };
        let mut bytes = vec![0; length];
        bytes
            .iter_mut()
            .for_each(|byte| *byte = random.number() as u8 | 1);
        let holes = random.below(3);
        for _ in 0..holes {
            let at = random.below(length);
            let end = length.min(at + random.below(100_000));
            bytes[at..end].fill(0);
        }
        return bytes;
    }
    let pages = match random.below(4) {
        0 => 20 + random.below(80),
        _ => 3 + random.below(30),
    };
    let mut bytes = database(pages, random.number());
    for _ in 0..random.below(3) {
        let at = 2 + random.below(pages - 2);
        let end = pages.min(at + random.below(20));
        bytes[at * PAGE..end * PAGE].fill(0);
    }
    bytes
}

/// What the file was before, or is later.
fn relative(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut other = bytes.to_vec();
    let pages = other.len() / PAGE;
    if pages < 3 || !other.len().is_multiple_of(PAGE) {
        other.truncate(other.len() - random.below(other.len() + 1));
        other.resize(other.len() + random.below(70_000), 7);
        return other;
    }
    match random.below(4) {
        0 => other.truncate((3 + random.below(pages - 2)) * PAGE),
        1 => {
            let more = database(3 + random.below(40), random.number());
            other.extend_from_slice(&more[2 * PAGE..]);
            for page in pages..other.len() / PAGE {
                change_page(&mut other, page, random.number());
            }
        }
        _ => {}
    }
    let pages = other.len() / PAGE;
    for _ in 0..random.below(8) {
        if pages > 2 {
            change_page(&mut other, 2 + random.below(pages - 2), random.number());
        }
    }
    other
}

/// Stops after so many bytes.
struct StopAfter(AtomicU64, u64);

impl Progress for StopAfter {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn should_stop(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= self.1
    }
}

fn source_of(bytes: &Arc<Vec<u8>>, version: i64) -> Arc<MemorySource> {
    let time = Timestamp::from_second(1_700_000_000 + version).expect("a time");
    MemorySource::of_time(bytes, time)
}

/// One run of the program.
fn run(
    source: &Arc<MemorySource>,
    disk: &FaultyDisk,
    options: &CopyOptions,
    progress: &dyn Progress,
) -> Result<CopyReport, CopyError> {
    let source: Arc<dyn SourceFile> = Arc::<MemorySource>::clone(source);
    let mut copy = FileCopy::open(source, disk, TARGET, options.clone(), progress)?;
    if copy.run(progress)? {
        copy.finish()?;
    }
    Ok(copy.report())
}

fn manifest_of(bytes: &Arc<Vec<u8>>, block: u64) -> Arc<ManifestFile> {
    let source: Arc<dyn SourceFile> = MemorySource::sound(bytes);
    let hashed = hash_file(
        &source,
        block,
        NonZeroUsize::MIN,
        &ReadPolicy::default(),
        &(),
    );
    let hashed = hashed.expect("a sound source").expect("nobody stopped it");
    let file = ManifestFile::new("db.edb".into(), hashed.chunks, hashed.hashes, hashed.sha256);
    let text = Manifest::new(vec![file.expect("whole")]).to_json();
    let manifest = Manifest::parse(&text.expect("JSON")).expect("a manifest");
    Arc::new(manifest.files.into_iter().next().expect("a file"))
}

impl Case {
    fn of(number: u64) -> Self {
        let mut random = Random(number);
        let random = &mut random;
        let paths = TargetPaths::new(TARGET);
        let sound = some_bytes(random);
        let older = (random.below(3) > 0).then(|| relative(&sound, random));
        let mut bytes = sound;
        let is_damaged = bytes.len() > 3 * PAGE && random.below(4) == 0;
        if is_damaged {
            let at = 2 * PAGE + random.below(bytes.len() - 2 * PAGE);
            bytes[at] ^= 1 << random.below(8);
        }
        let bytes = Arc::new(bytes);
        let chunk_size = 65536 << random.below(2);
        // How the older copy is to be treated.
        let (delta, force) = match random.below(8) {
            0 => (false, false),
            1 | 2 => (false, true),
            3 => (true, true),
            _ => (true, false),
        };
        let trust_journal = delta && random.below(2) == 0;
        let manifest = delta && random.below(4) == 0 && !bytes.is_empty();
        let options = CopyOptions {
            chunk_size,
            jobs: match random.below(4) {
                0 => NonZeroUsize::MIN.saturating_add(1),
                _ => NonZeroUsize::MIN,
            },
            delta,
            force,
            trust_journal,
            restart: random.below(12) == 0,
            sha256: !trust_journal && random.below(4) == 0,
            bad_pages: match random.below(2) {
                0 => BadPages::Fail,
                _ => BadPages::Keep,
            },
            manifest: manifest.then(|| manifest_of(&bytes, 4096 << random.below(5))),
            ..options()
        };
        let before = FaultyDisk::new(number);
        let mut history = Vec::new();
        if let Some(older) = older {
            let older = Arc::new(older);
            if random.below(4) == 0 {
                before.put(&paths.target, older.to_vec());
                history.push("a file of somebody");
                if random.below(3) == 0 {
                    before.put(&paths.journal, b"what somebody has noted".to_vec());
                    history.push("notes of somebody");
                }
            } else {
                let mut first = common::options();
                first.bad_pages = BadPages::Keep;
                first.chunk_size = 65536 << random.below(2);
                run(&source_of(&older, 1), &before, &first, &()).expect("an empty disk");
                history.push("an older copy");
                if random.below(8) == 0 {
                    let mut changed = older.to_vec();
                    changed.extend_from_slice(b"changed");
                    before.put(&paths.target, changed);
                    history.push("changed since");
                }
            }
        }
        let source = source_of(&bytes, 2);
        if random.below(3) == 0 {
            // An earlier run, of this source or of another state of it.
            let stop = StopAfter(AtomicU64::new(0), 1 + random.below(bytes.len()) as u64);
            let is_same = random.below(4) > 0;
            let begun = match is_same {
                true => source.clone(),
                false => source_of(&Arc::new(relative(&bytes, random)), 3),
            };
            let earlier = CopyOptions {
                restart: false,
                manifest: options.manifest.clone().filter(|_| is_same),
                ..options.clone()
            };
            let _ = run(&begun, &before, &earlier, &stop);
            history.push(if is_same {
                "a run that was stopped"
            } else {
                "a run of another state"
            });
        }
        let before = before.fork(number);
        let what = format!(
            "{} bytes{}, before: {history:?}, {:?}",
            bytes.len(),
            if is_damaged { ", damaged" } else { "" },
            CopyOptions {
                manifest: None,
                ..options.clone()
            }
        );
        Case {
            source,
            bytes,
            options,
            before,
            what,
        }
    }

    fn run(&self, disk: &FaultyDisk) -> Result<CopyReport, CopyError> {
        run(&self.source, disk, &self.options, &())
    }

    /// What has to hold whenever the power comes back.
    fn is_sound(&self, disk: &FaultyDisk) -> Result<(), String> {
        let paths = TargetPaths::new(TARGET);
        let (old, there) = (self.before.get(&paths.target), disk.get(&paths.target));
        let is_whole = there.as_ref() == Some(&*self.bytes);
        let partial = disk.get(&paths.partial);
        for path in disk.paths() {
            let own = [
                &paths.target,
                &paths.partial,
                &paths.journal,
                &paths.new_journal,
            ];
            ensure(own.contains(&&path), || {
                format!("{} is left", path.display())
            })?;
        }
        ensure(there.is_none() || there == old || is_whole, || {
            "a file that is not whole has the name of the copy".into()
        })?;
        ensure(
            there.is_some() || old.is_none() || partial.is_some(),
            || "the older copy is gone, and nothing is in its place".into(),
        )?;
        let told = status(&disk.fork(0), Path::new(TARGET)).map_err(text)?;
        ensure(
            told.state != TargetState::Complete || there.is_some(),
            || "complete, and not there".into(),
        )?;
        let journal = disk.get(&paths.journal);
        let untouched = journal == self.before.get(&paths.journal);
        // With --restart, one that had arrived whole may begin again.
        let is_kept = |file: &Option<Vec<u8>>| *file == old || file.as_ref() == Some(&*self.bytes);
        if untouched && !is_kept(&there) {
            // It was renamed, and that can be taken back.
            ensure(there.is_none() && is_kept(&partial), || {
                "nothing has arrived, and the older copy is not what it was".into()
            })?;
        }
        let Some(journal) = journal.filter(|_| !untouched) else {
            return Ok(());
        };
        let scratch = FaultyDisk::new(0);
        scratch.put(&paths.journal, journal);
        let file = scratch.open(&paths.journal).map_err(text)?;
        let Some(state) = LoadedJournal::read(&*file).map_err(text)?.state else {
            return Ok(());
        };
        for (number, hash) in state.hashes.iter().enumerate() {
            let range = state.chunks.range(number as u64);
            let range = range.start as usize..range.end as usize;
            let is_in = |file: &Option<Vec<u8>>| {
                let bytes = file.as_ref().and_then(|file| file.get(range.clone()));
                bytes.is_some_and(|bytes| state.chunks.hash(number as u64, bytes) == *hash)
            };
            ensure(is_in(&partial) || is_in(&there), || {
                format!("chunk {number} is claimed and is not there")
            })?;
        }
        match told.state {
            TargetState::Complete => ensure(is_whole, || "complete, and not whole".into()),
            TargetState::Arrived => {
                ensure(is_whole || partial.as_ref() == Some(&*self.bytes), || {
                    "said to have arrived, and not whole".into()
                })
            }
            TargetState::NoJournal
            | TargetState::Unreadable
            | TargetState::UnderWay
            | TargetState::Gone => Ok(()),
        }
    }

    /// Whether a run ended as the one that nobody disturbed.
    fn ended_as(
        &self,
        disk: &FaultyDisk,
        ended: &Result<CopyReport, CopyError>,
        expected: &Result<CopyReport, CopyError>,
        after: &FaultyDisk,
    ) -> Result<(), String> {
        let paths = TargetPaths::new(TARGET);
        match (ended, expected) {
            (Ok(report), Ok(_)) => {
                ensure(report.outcome != CopyOutcome::Interrupted, || {
                    "it is interrupted".into()
                })?;
            }
            (Err(error), Err(expected)) if discriminant(error) == discriminant(expected) => {}
            // What has its name is no longer something to start over with.
            (Err(CopyError::TargetExists { .. }), Ok(_))
                if self.options.restart
                    && disk.get(&paths.target).as_ref() == Some(&*self.bytes) =>
            {
                return Ok(());
            }
            (Err(error), Ok(_)) => return Err(format!("it fails: {error}")),
            (Ok(_), Err(error)) => return Err(format!("it is not refused any more: {error}")),
            (Err(error), Err(other)) => return Err(format!("it says {error}, and not {other}")),
        }
        // How far several jobs are when one of them meets a damaged page is left to chance.
        let by_chance = self.options.jobs > NonZeroUsize::MIN && ended.is_err();
        for path in [&paths.target, &paths.partial, &paths.new_journal] {
            if disk.get(path) != after.get(path) && !by_chance {
                return Err(format!("{} is not what it would have been", path.display()));
            }
        }
        let there = |disk: &FaultyDisk| disk.get(&paths.journal).is_some();
        ensure(by_chance || there(disk) == there(after), || {
            "the journal is there, or is not".into()
        })
    }

    /// Comes to the end with these cuts; how many came.
    fn lose_power(
        &self,
        cuts: &[Cut],
        seed: u64,
        expected: &Result<CopyReport, CopyError>,
        after: &FaultyDisk,
    ) -> Result<u64, String> {
        let disk = &self.before.fork(seed);
        let mut losses = 0;
        let ended = loop {
            let cut = cuts.get(losses as usize);
            match cut {
                Some(cut) => disk.kill_after(cut.call),
                None => disk.calm(),
            }
            let ran = self.run(disk);
            let Some(cut) = cut.filter(|_| disk.is_killed()) else {
                disk.calm();
                break ran;
            };
            ensure(ran.is_err(), || {
                "a good word, and the power was gone".into()
            })?;
            losses += 1;
            match cut.only_killed {
                true => disk.restart(),
                false => disk.crash(),
            }
            self.is_sound(disk)
                .map_err(|what| format!("after loss {losses}: {what}"))?;
        };
        if losses == 0 {
            return Ok(0);
        }
        self.ended_as(disk, &ended, expected, after)?;
        disk.crash();
        self.is_sound(disk)
            .map_err(|what| format!("the power was lost after the end: {what}"))?;
        if ended.is_ok() {
            let there = disk.get(Path::new(TARGET));
            ensure(there.as_ref() == Some(&*self.bytes), || {
                "it was called complete, and a loss of power after that took it".into()
            })?;
        }
        if let Err(CopyError::BadPages { .. }) = ended {
            self.can_be_kept(disk)?;
        }
        Ok(losses)
    }

    /// A copy that stopped at a damaged page goes on when it may keep it.
    fn can_be_kept(&self, disk: &FaultyDisk) -> Result<(), String> {
        let options = CopyOptions {
            bad_pages: BadPages::Keep,
            ..self.options.clone()
        };
        run(&self.source, disk, &options, &()).map_err(text)?;
        let there = disk.get(Path::new(TARGET));
        ensure(there.as_ref() == Some(&*self.bytes), || {
            "with damaged pages kept, it is not the source".into()
        })
    }

    fn kinds(&self, ran: &Result<CopyReport, CopyError>) -> [u64; 8] {
        let old = self.before.get(Path::new(TARGET));
        let report = ran.as_ref().ok();
        let is = |what: fn(&CopyReport) -> bool| report.is_some_and(what);
        let refused = ran.as_ref().err();
        let found = [
            is(|report| report.outcome == CopyOutcome::Complete),
            is(|report| report.method == edb_copy::Method::Delta),
            is(|report| report.bytes_trusted > 0),
            report.is_some() && old.is_some_and(|old| old != *self.bytes),
            is(|report| report.resumed_at > 0),
            is(|report| !report.findings.is_empty()),
            refused.is_some_and(|error| matches!(error, CopyError::BadPages { .. })),
            refused.is_some_and(|error| matches!(error, CopyError::TargetExists { .. })),
        ];
        found.map(u64::from)
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}

/// Plays a case to its end.
fn play(number: u64) -> Result<Totals, String> {
    let case = Case::of(number);
    let after = case.before.fork(0);
    let expected = case.run(&after);
    if let Err(error) = &expected {
        ensure(error.class() == Class::Refused, || {
            format!("{error}; {}", case.what)
        })?;
    }
    let mut totals = Totals {
        losses: 0,
        refused: u64::from(expected.is_err()),
        kinds: case.kinds(&expected),
    };
    let mut random = Random(!number);
    for call in 1.. {
        let cuts = cuts_from(call, &mut random);
        let losses = case.lose_power(&cuts, random.number(), &expected, &after);
        match losses.map_err(|what| format!("{cuts:?}: {what}; {}", case.what))? {
            0 => break,
            losses => totals.losses += losses,
        }
    }
    Ok(totals)
}

#[test]
fn a_copy_that_loses_power_at_any_call_ends_as_if_nothing_had_happened() {
    let totals = campaign::play(12, play);
    println!(
        "{} losses of power, {} refused",
        totals.losses, totals.refused
    );
    for (kind, count) in KINDS.iter().zip(totals.kinds) {
        println!("{count:6} {kind}");
        assert!(count > 0 || totals.losses < 50_000, "{kind}: never");
    }
    assert!(totals.losses > 10);
}

/// A process that is killed leaves what it did not sync, and the next one finds it. Then the power goes.
#[test]
fn what_a_killed_copy_had_not_synced_may_go_while_the_next_one_goes_on() {
    // Deltas with a manifest, one that makes the older copy shorter; an older copy that is replaced; one that is refused.
    for number in [34, 210, 240, 2201] {
        let case = Case::of(number);
        let after = case.before.fork(0);
        let expected = case.run(&after);
        let mut pairs = 0;
        for killed in (1 + number % 2..).step_by(2) {
            let mut came = 0;
            for cut_off in (1 + killed % 3..).step_by(3) {
                let cuts = killed_then_cut_off(killed, cut_off);
                let losses = case.lose_power(&cuts, 1000 * killed + cut_off, &expected, &after);
                came = losses.unwrap_or_else(|what| panic!("{cuts:?}: {what}; {}", case.what));
                pairs += u64::from(came == 2);
                if came < 2 {
                    break;
                }
            }
            if came == 0 {
                break;
            }
        }
        assert!(pairs > 200, "case {number}: {pairs} pairs");
    }
}
