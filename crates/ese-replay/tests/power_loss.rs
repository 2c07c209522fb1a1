//! Recovery in place, with the power taken away at any write: whatever had not been synced may be lost, in part, or
//! torn in the middle. The next run must end with the same file as an undisturbed one.

mod support;

use ese_log::StreamFiles;
use ese_replay::output::{OutputFile, apply_journal};
use ese_replay::page_files::{BaseMark, Overlay, OverlayError, Shared};
use ese_replay::recovery::{DatabaseFile, GivenDatabase, RecoverOptions, Until, plan, recover};
use ese_testkit::fixtures;
use ese_testkit::random::Random;
use std::io;
use std::sync::{Arc, Mutex};
use support::cases::case;

/// Sets of different page sizes; the shrunk one makes the file shorter.
fn sets() -> [&'static str; 4] {
    fixtures::either(
        ["crash-p4k", "lv-p8k", "oldcopy-p32k", "shrink-p8k"],
        [
            "esc64-cctx-p4k",
            "crash-p8k",
            "names8-log-p32k",
            "shrink-p8k",
        ],
    )
}
const CUTS_PER_SET: u64 = 200;

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// How many changes are still made before the power goes; shared by all disks of a machine.
type Power = Arc<Mutex<u64>>;

/// A disk that forgets what was not synced.
#[derive(Clone)]
struct Fragile(Arc<Mutex<State>>);

struct State {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
    power: Power,
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, new) => {
            let start = *offset as usize;
            if bytes.len() < start + new.len() {
                bytes.resize(start + new.len(), 0);
            }
            bytes[start..start + new.len()].copy_from_slice(new);
        }
        Change::Length(length) => bytes.resize(*length as usize, 0),
    }
}

impl Fragile {
    fn new(bytes: Vec<u8>, power: &Power) -> Self {
        Fragile(Arc::new(Mutex::new(State {
            synced: bytes.clone(),
            bytes,
            pending: Vec::new(),
            power: Arc::clone(power),
        })))
    }

    /// What is found after the power comes back: some of the unsynced changes, the last of them perhaps in part.
    fn after_loss(&self, random: &mut Random) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        let mut bytes = state.synced.clone();
        for change in &state.pending {
            match (random.below(4), change) {
                (0, _) => {}
                (1, Change::Write(offset, new)) => {
                    // Sectors of 512 bytes are written whole.
                    let kept = random.below(new.len() / 512 + 1) * 512;
                    apply(
                        &mut bytes,
                        &Change::Write(*offset, new[..kept.min(new.len())].to_vec()),
                    );
                }
                _ => apply(&mut bytes, change),
            }
        }
        bytes
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        {
            let mut left = state.power.lock().unwrap();
            if *left == 0 {
                return Err(io::Error::other("no power"));
            }
            *left -= 1;
        }
        apply(&mut state.bytes, &change);
        state.pending.push(change);
        Ok(())
    }
}

impl OutputFile for Fragile {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.0.lock().unwrap();
        let rest = state.bytes.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(Change::Write(offset, bytes.to_vec()))
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.change(Change::Length(length))
    }

    fn len(&mut self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if *state.power.lock().unwrap() == 0 {
            return Err(io::Error::other("no power"));
        }
        state.synced = state.bytes.clone();
        state.pending.clear();
        Ok(())
    }
}

/// Writes the whole journal of a recovery.
fn write_journal(set: &str, journal: Fragile) -> Result<(), String> {
    let folder = fixtures::engine_set(set);
    let case = case(&folder, set);
    let text = |error: ese_replay::recovery::RecoveryError| error.to_string();
    let source = DatabaseFile::open(&case.databases[0]).map_err(text)?;
    let files = StreamFiles::find(&case.logs, None).map_err(|error| error.to_string())?;
    let sources = [source.clone()];
    let plan = plan(&files, None, &sources, &Until::default(), &()).map_err(text)?;
    let overlay = Overlay::create(
        Box::new(journal),
        Box::new(source.pages()),
        BaseMark::of(&source.header),
        source.page_size.bytes(),
        source.last,
    );
    let overlay = Shared::new(overlay.map_err(|error| error.to_string())?);
    let given = GivenDatabase {
        database: &source,
        pages: Box::new(overlay.clone()),
    };
    let options = RecoverOptions {
        // So few pages in memory that the journal is read and overwritten during the replay.
        memory: Some(0),
        ..RecoverOptions::default()
    };
    let recovered = recover(&plan, vec![given], Vec::new(), options, &()).map_err(text)?;
    let header = recovered.databases[0].header();
    overlay
        .lock()
        .finish(header)
        .map_err(|error| error.to_string())
}

#[test]
fn a_recovery_in_place_survives_power_loss_at_every_write() {
    let mut cuts = (0, 0);
    for (seed, set) in sets().into_iter().enumerate() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 + seed as u64);
        let folder = fixtures::engine_set(set);
        let before = std::fs::read(&case(&folder, set).databases[0]).unwrap();
        let endless = || Arc::new(Mutex::new(u64::MAX));
        let power = endless();
        let journal = Fragile::new(Vec::new(), &power);
        write_journal(set, journal.clone()).unwrap();
        let journal_writes = u64::MAX - *power.lock().unwrap();
        let journal = journal.0.lock().unwrap().synced.clone();
        let power = endless();
        let mut database = Fragile::new(before.clone(), &power);
        assert!(
            apply_journal(
                &mut database,
                Box::new(Fragile::new(journal.clone(), &power))
            )
            .unwrap()
        );
        let apply_writes = u64::MAX - *power.lock().unwrap();
        let after = database.0.lock().unwrap().synced.clone();
        assert_ne!(before, after);

        // The power goes while the journal is written: the database has not been touched, and the journal counts
        // only if it is whole. The last writes matter most.
        for cut in 0..CUTS_PER_SET / 10 {
            let power = match cut % 2 {
                0 => random.below(journal_writes as usize) as u64,
                _ => journal_writes.saturating_sub(1 + cut / 2),
            };
            let disk = Fragile::new(Vec::new(), &Arc::new(Mutex::new(power)));
            assert!(
                write_journal(set, disk.clone()).is_err(),
                "{set} at write {power}"
            );
            let found = disk.after_loss(&mut random);
            let mut database = Fragile::new(before.clone(), &endless());
            match Overlay::open(Box::new(Fragile::new(found.clone(), &endless()))) {
                Err(OverlayError::Unfinished) => {}
                Err(OverlayError::Damaged) => {
                    // A torn first page; nothing may come of it.
                    let torn = Box::new(Fragile::new(found, &endless()));
                    assert!(apply_journal(&mut database, torn).is_err());
                    assert_eq!(database.0.lock().unwrap().bytes, before);
                }
                Ok(_) => {
                    let whole = Box::new(Fragile::new(found, &endless()));
                    assert!(apply_journal(&mut database, whole).unwrap());
                    assert!(database.0.lock().unwrap().synced == after);
                }
                Err(error) => panic!("{set} at write {power}: {error}"),
            }
            cuts.0 += 1;
        }

        // The power goes while the database is written, perhaps again in the run after, and again.
        for _ in 0..CUTS_PER_SET {
            let (mut database, mut journal) = (before.clone(), journal.clone());
            loop {
                let power = random.below((apply_writes + apply_writes / 4) as usize);
                let power = Arc::new(Mutex::new(power as u64));
                let mut disk = Fragile::new(database.clone(), &power);
                let journal_disk = Fragile::new(journal.clone(), &power);
                let done = apply_journal(&mut disk, Box::new(journal_disk.clone()));
                cuts.1 += usize::from(done.is_err());
                database = disk.after_loss(&mut random);
                journal = journal_disk.after_loss(&mut random);
                if done.is_ok() || journal.is_empty() {
                    break;
                }
            }
            assert!(database == after, "{set}: the file differs");
        }
    }
    println!("{} cuts in the journal, {} in the database", cuts.0, cuts.1);
    assert!(cuts.1 > 500, "only {} cuts", cuts.1);
}
