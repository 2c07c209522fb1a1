//! Random recoveries in place, and the power lost at every call of each.
//!
//! A case is random work on a clean database, a crash after some record of it, and a command, all from one number. It runs
//! undisturbed first. Then the power goes at its first call, at its second one, and so on (now and then only the process
//! is killed); the same command runs again, may be cut off again, and again, and comes to its end. What has to hold:
//!
//! | when | what |
//! |---|---|
//! | after every loss | the database is what it was, or recovered, or every program is told that a recovery was interrupted |
//! | in the end | it is byte for byte what it is when nobody disturbs the recovery, and the journal is gone |
//! | after that | another loss of power changes nothing |
//!
//! How many cases, and which: see `ese_testkit::campaign`.

use ese_format::Explain;
use ese_log::StreamFiles;
use ese_replay::output::{InPlace, OutputError, RecoveryOutput, Target, journal_path};
use ese_replay::recovery::{
    DatabaseFile, GivenDatabase, RecoverOptions, RecoveryError, Until, plan, recover,
};
use ese_testkit::campaign::{self, Cut, cuts_from, killed_then_cut_off};
use ese_testkit::disk::MirroredDisk;
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use ese_testkit::work::{Work, read_tree};
use ese_testkit::writer::crash::{Base, Crash, Tear, WrittenPages};
use std::fs;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::sync::LazyLock;
use target_disk::SharedDisk;

/// The databases that the work begins with.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let sets = ["clean-p4k", "clean-p16k"].iter();
    sets.map(|set| Base::read(&fixtures::engine_set(set).join("state")))
        .collect()
});

/// What cases came to.
#[derive(Debug, Default)]
struct Totals {
    losses: u64,
    /// Of those, how many left a database that was being written.
    interrupted: u64,
    refused: u64,
    limited: u64,
    until_undo: u64,
    rows: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.losses += other.losses;
        self.interrupted += other.interrupted;
        self.refused += other.refused;
        self.limited += other.limited;
        self.until_undo += other.until_undo;
        self.rows += other.rows;
    }
}

/// A recovery that is to be made.
struct Case {
    work: Work,
    crash: Crash,
    page_size: usize,
    /// The folder with the database alone.
    folder: PathBuf,
    database: PathBuf,
    before: Vec<u8>,
    until: Until,
    until_undo: bool,
    /// Bytes of pages in memory; few of them have the journal read and overwritten during the replay.
    memory: u64,
    what: String,
}

/// What the run came to that nobody disturbed.
struct Undisturbed {
    ended: Ended,
    /// The database after it.
    after: Vec<u8>,
}

/// How a run ended.
#[derive(Debug)]
enum Ended {
    Recovered,
    Refused(String),
    Failed(String),
}

impl Ended {
    fn is(&self, other: &Ended) -> bool {
        match (self, other) {
            (Ended::Recovered, Ended::Recovered) => true,
            (Ended::Refused(one), Ended::Refused(other)) => one == other,
            _ => false,
        }
    }

    fn failed(error: &(impl Explain + ToString)) -> Self {
        match error.class() {
            ese_format::Class::Refused => Ended::Refused(error.to_string()),
            _ => Ended::Failed(error.to_string()),
        }
    }
}

impl From<OutputError> for Ended {
    fn from(error: OutputError) -> Self {
        Ended::failed(&error)
    }
}

impl From<RecoveryError> for Ended {
    fn from(error: RecoveryError) -> Self {
        Ended::failed(&error)
    }
}

impl Case {
    fn of(number: u64) -> Self {
        let mut random = Random(number);
        let base = &BASES[usize::from(random.below(4) == 0)];
        let mut work = Work::begin(base);
        for _ in 0..5 + random.below(120) {
            work.step(&mut random);
        }
        let count = work.writer().records().len();
        let cut = count - random.below(count / 3);
        let pages = match random.below(3) {
            0 => WrittenPages::Clean,
            _ => WrittenPages::Flushed {
                slack: random.below(2) as u32,
            },
        };
        let segments = base.segments();
        let tear = match random.below(8) {
            0 => Tear::LastSegment,
            _ => Tear::None,
        };
        let crash = base.crash(work.writer(), cut, segments, tear, pages);
        let mut until = Until::default();
        let place = crash.places[random.below(crash.records)];
        match random.below(6) {
            0 => until.lgpos = Some(place),
            1 => until.generation = Some(place.generation),
            _ => {}
        }
        let folder = crash.folder.path().join("database");
        fs::create_dir(&folder).expect("a folder can be made");
        let database = folder.join("written.edb");
        fs::rename(crash.database(), &database).expect("a file can be moved");
        let until_undo = random.below(6) == 0;
        let memory = if random.below(3) == 0 { 0 } else { u64::MAX };
        Case {
            what: format!(
                "cut after {cut} of {count} records, {pages:?}, {tear:?}, {until:?}, until undo: {until_undo}, memory \
                 {memory}"
            ),
            page_size: base.page_size().as_usize(),
            before: fs::read(&database).expect("the database"),
            work,
            crash,
            folder,
            database,
            until,
            until_undo,
            memory,
        }
    }

    /// The disk before.
    fn disk(&self, seed: u64) -> MirroredDisk {
        let journal = journal_path(&self.database);
        if journal.exists() {
            fs::remove_file(journal).expect("a file can be removed");
        }
        fs::write(&self.database, &self.before).expect("a file can be written");
        MirroredDisk::of(&self.folder, seed)
    }

    /// One run of `edbreplay run --in-place`, in the steps of the program.
    fn run(&self, disk: &MirroredDisk) -> Ended {
        match self.try_run(disk) {
            Ok(()) => Ended::Recovered,
            Err(ended) => ended,
        }
    }

    fn try_run(&self, disk: &MirroredDisk) -> Result<(), Ended> {
        InPlace::resume(disk, &self.database)?;
        let database = DatabaseFile::open(&self.database)?;
        let files = StreamFiles::find(self.crash.folder.path(), None);
        let files = files.map_err(|error| Ended::failed(&error))?;
        let databases = [database];
        let plan = plan(&files, None, &databases, &self.until, &())?;
        let refusal = match self.until_undo {
            true => plan.obstacle_to_redo(false),
            false => plan.obstacle(false),
        };
        if let Some(refusal) = refusal {
            return Err(RecoveryError::Refused(Box::new(refusal)).into());
        }
        let shared = SharedDisk::new(disk.clone());
        let [database] = &databases;
        let output = RecoveryOutput::begin(&shared, database, &Target::InPlace, false, &())?;
        let given = GivenDatabase {
            database,
            pages: output.pages(),
        };
        let options = RecoverOptions {
            until_undo: self.until_undo,
            memory: Some(self.memory),
            ..RecoverOptions::default()
        };
        let recovered = recover(&plan, vec![given], Vec::new(), options, &())?;
        output.commit(&recovered.databases[0])?;
        Ok(())
    }

    fn undisturbed(&self) -> Undisturbed {
        let disk = self.disk(0);
        let ended = self.run(&disk);
        let after = self.now(&disk).expect("the database stays");
        Undisturbed { ended, after }
    }

    fn now(&self, disk: &MirroredDisk) -> Option<Vec<u8>> {
        disk.faulty().get(&self.database)
    }

    /// What has to hold whenever the power comes back; whether a recovery was interrupted.
    fn is_sound(&self, disk: &MirroredDisk, after: &[u8]) -> Result<bool, String> {
        let journal = journal_path(&self.database);
        for path in disk.faulty().paths() {
            ensure(path == self.database || path == journal, || {
                format!("{} is left", path.display())
            })?;
        }
        match InPlace::refuse_interrupted(&self.database) {
            Err(OutputError::Interrupted { .. }) => Ok(true),
            Err(error) => Err(error.to_string()),
            Ok(()) => {
                let now = self.now(disk);
                let is = |bytes: &[u8]| now.as_deref() == Some(bytes);
                ensure(is(&self.before) || is(after), || {
                    "it is neither what it was nor recovered, and nobody is told".into()
                })?;
                Ok(false)
            }
        }
    }

    /// Whether the disk is as it was before the first run, so that the next one is that one.
    fn is_as_it_was(&self, disk: &MirroredDisk) -> bool {
        disk.faulty().paths() == std::slice::from_ref(&self.database)
            && self.now(disk).as_ref() == Some(&self.before)
    }

    /// Comes to the end with these cuts; how many came.
    fn lose_power(
        &self,
        cuts: &[Cut],
        random: &mut Random,
        undisturbed: &Undisturbed,
        totals: &mut Totals,
    ) -> Result<usize, String> {
        let Undisturbed { ended, after } = undisturbed;
        let disk = &self.disk(random.number());
        let mut losses = 0;
        let ran = loop {
            let cut = cuts.get(losses);
            match cut {
                Some(cut) => disk.faulty().kill_after(cut.call),
                None => disk.faulty().calm(),
            }
            let ran = self.run(disk);
            let Some(cut) = cut.filter(|_| disk.faulty().is_killed()) else {
                disk.faulty().calm();
                break ran;
            };
            let is_told = match &ran {
                Ended::Failed(_) => true,
                Ended::Refused(_) => ran.is(ended),
                Ended::Recovered => false,
            };
            ensure(is_told, || {
                format!("the power was gone, and it says {ran:?}")
            })?;
            losses += 1;
            match cut.only_killed {
                true => disk.restart(),
                false => disk.crash(),
            }
            let interrupted = self.is_sound(disk, after)?;
            totals.losses += 1;
            totals.interrupted += u64::from(interrupted);
            // The next one would be the one that nobody disturbs.
            if losses == cuts.len() && self.is_as_it_was(disk) && random.below(16) > 0 {
                return Ok(losses);
            }
        };
        if losses == 0 {
            return Ok(0);
        }
        self.ended_as(disk, &ran, undisturbed)?;
        disk.crash();
        // The name of a journal that never counted may come back when it is refused, and the next run removes it.
        let lasts = match ended {
            Ended::Refused(_) => self.is_sound(disk, after).map(drop),
            _ => self.ended_as(disk, &ran, undisturbed),
        };
        lasts.map_err(|what| format!("the power was lost after the end: {what}"))?;
        Ok(losses)
    }

    fn ended_as(
        &self,
        disk: &MirroredDisk,
        ran: &Ended,
        undisturbed: &Undisturbed,
    ) -> Result<(), String> {
        let Undisturbed { ended, after } = undisturbed;
        ensure(ran.is(ended), || format!("{ran:?}, and not {ended:?}"))?;
        ensure(self.now(disk).as_ref() == Some(after), || {
            "the database is not what it would have been".into()
        })?;
        let left = disk.faulty().paths();
        ensure(left == std::slice::from_ref(&self.database), || {
            format!("{left:?} are left")
        })
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}

/// Whether the file has the rows that were committed.
fn has_the_committed_rows(case: &Case, after: &[u8]) -> Result<u64, String> {
    let rows = read_tree(after, case.page_size, case.work.tree());
    let committed = case.work.rows_after(case.crash.records);
    ensure(rows == committed, || {
        "other rows than were committed".into()
    })?;
    Ok(rows.len() as u64)
}

/// Plays a case to its end.
fn play(number: u64) -> Result<Totals, String> {
    let case = Case::of(number);
    let undisturbed = case.undisturbed();
    let Undisturbed { ended, after } = &undisturbed;
    let mut totals = Totals {
        limited: u64::from(case.until.is_limited()),
        until_undo: u64::from(case.until_undo),
        ..Totals::default()
    };
    match ended {
        Ended::Failed(error) => return Err(format!("undisturbed: {error}; {}", case.what)),
        Ended::Refused(_) => {
            ensure(*after == case.before, || "refused, and changed".into())?;
            totals.refused += 1;
        }
        Ended::Recovered if !case.until.is_limited() && !case.until_undo => {
            totals.rows += has_the_committed_rows(&case, after)?;
        }
        Ended::Recovered => {}
    }
    let mut random = Random(!number);
    for call in 1.. {
        let cuts = cuts_from(call, &mut random);
        let losses = case.lose_power(&cuts, &mut random, &undisturbed, &mut totals);
        if losses.map_err(|what| format!("{cuts:?}: {what}; {}", case.what))? == 0 {
            break;
        }
    }
    Ok(totals)
}

#[test]
fn a_recovery_in_place_that_loses_power_at_any_call_ends_as_if_nothing_had_happened() {
    let totals = campaign::play(10, play);
    println!("{totals:?}");
    assert!(totals.losses > 10);
}

/// A process that is killed leaves what it did not sync, and the next one finds it. Then the power goes.
#[test]
fn what_a_killed_recovery_had_not_synced_may_go_while_the_next_one_goes_on() {
    for number in [128] {
        let case = Case::of(number);
        let undisturbed = case.undisturbed();
        let (mut random, mut totals) = (Random(number), Totals::default());
        let mut pairs = 0;
        for killed in 1.. {
            let mut came = 0;
            for cut_off in (1 + killed % 2..).step_by(2) {
                let cuts = killed_then_cut_off(killed, cut_off);
                let losses = case.lose_power(&cuts, &mut random, &undisturbed, &mut totals);
                came = losses.unwrap_or_else(|what| panic!("{cuts:?}: {what}; {}", case.what));
                pairs += usize::from(came == 2);
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

/// The last write to a journal is its first bytes. However few of them arrive, nothing has happened to the database.
#[test]
fn a_journal_whose_last_write_arrived_in_part_does_not_count() {
    let case = Case::of(128);
    let undisturbed = case.undisturbed();
    let whole = (1..).find_map(|call| {
        let disk = case.disk(0);
        disk.faulty().kill_after(call);
        let ran = case.run(&disk);
        assert!(disk.faulty().is_killed(), "{ran:?}");
        disk.restart();
        let counts = InPlace::refuse_interrupted(&case.database).is_err();
        counts.then(|| disk.faulty().get(&journal_path(&case.database)))?
    });
    let whole = whole.expect("a journal");
    for arrived in 0..16 {
        let mut torn = whole.clone();
        torn[arrived..16].fill(0);
        let disk = case.disk(0);
        let journal = journal_path(&case.database);
        fs::write(&journal, &torn).expect("a file can be written");
        disk.faulty().put(&journal, torn);
        InPlace::refuse_interrupted(&case.database).expect("it does not count");
        let ran = case.run(&disk);
        let ended = case.ended_as(&disk, &ran, &undisturbed);
        ended.unwrap_or_else(|what| panic!("{arrived} bytes arrived: {what}"));
    }
}
