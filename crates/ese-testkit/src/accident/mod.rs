//! Accidents that happen to databases and their logs, one or two at a time, from a number that brings them back.
//!
//! | module | what |
//! |---|---|
//! | [`scene`] | where they happen: engine-made sets, older and newer copies |
//! | [`written`] | the same, made up: random work of the testkit's writer |
//! | [`Accident`] | what happens |
//! | [`truth`] | what is left, judged by the bytes, and what a recovery must give |

pub mod scene;
pub mod truth;
pub mod written;

mod apply;
mod crafted;
mod relay;

use crate::random::Random;
use ese_format::Generation;
use scene::{Scene, SceneDatabase};
use std::fmt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A kind of accident. Generations are those of the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    /// Nothing happened.
    None,
    /// A log is not there.
    LogRemoved(Generation),
    /// This log and all after it are not there.
    TailRemoved(Generation),
    /// All logs are gone.
    AllLogsRemoved,
    /// A log has the name of another generation, which is not there.
    LogRenamed(Generation, Generation),
    /// The current log has the number that it would have got.
    CurrentNumbered,
    /// The current log has the number of a generation beyond.
    CurrentBeyond(u32),
    /// Two logs have each other's name.
    LogsSwapped(Generation, Generation),
    /// A log lies in a folder within the folder.
    LogInSubfolder(Generation),
    /// The file ends early.
    LogCut(Generation, usize),
    /// More bytes are at its end than belong there.
    LogGrown(Generation),
    /// The file is empty.
    LogEmpty(Generation),
    /// The file holds zeroes only.
    LogZeroes(Generation),
    /// From a segment on, there are zeroes.
    TailZeroed(Generation, usize),
    /// One segment holds zeroes.
    SegmentZeroed(Generation, usize),
    /// In the body, so many bits are flipped, from a byte on.
    BodyFlipped(Generation, usize, usize),
    /// A bit of the header is flipped.
    HeaderFlipped(Generation),
    /// From a segment on, another log of the stream stands.
    TailOfAnother(Generation, Generation, usize),
    /// The log is a copy of another one, under its own name.
    LogDuplicated(Generation, Generation),
    /// The last closed log was copied, not renamed, to be the current one.
    ClosedAsCurrent,
    /// The temporary log was renamed to be the current one.
    TemporaryAsCurrent,
    /// The current log is there under its number, too.
    CurrentTwice,
    /// A log of another stream has taken its place.
    LogForeign(Generation),
    /// A whole other stream lies in the same folder.
    SecondStream,
    /// The header says that an older engine, or a newer one, wrote it.
    VersionChanged(Generation, u32, u32),
    /// All files of the stream have another base name.
    Rebased,
    /// Names are in upper and lower case.
    MixedCase,
    /// Copies and other files lie beside the logs.
    Rubbish,
    /// There is no checkpoint.
    CheckpointRemoved,
    /// The checkpoint is that of another stream.
    CheckpointForeign,
    /// The checkpoint is at the begin of this generation.
    CheckpointMoved(Generation),
    /// One or both copies of the checkpoint are damaged.
    CheckpointDamaged(Copies),
    /// One or both copies of a database's header are damaged.
    DatabaseHeaderDamaged(usize, Copies),
    /// One of several databases is not there.
    DatabaseMissing(usize),
    /// The flush maps are not there.
    FlushMapsRemoved,
}

/// Which of two copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// The first.
    First,
    /// The second.
    Second,
    /// Both.
    Both,
}

/// The place of one or more accidents.
pub struct Site {
    /// The folder with the logs; the databases, too.
    pub folder: TempDir,
    /// The base name of the stream.
    pub base: String,
    /// The databases that are given to the programs, with where they come from.
    pub databases: Vec<(PathBuf, SceneDatabase)>,
}

impl Site {
    /// A copy of the scene.
    pub fn of(scene: &Scene) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        for path in scene::files_in(&scene.logs) {
            let name = path.file_name().expect("a file has a name");
            let text = name.to_string_lossy();
            let is_copy = [".edb", ".old1", ".old2", ".jrs"]
                .iter()
                .any(|end| text.ends_with(end));
            if !is_copy {
                copy(&path, &folder.path().join(name));
            }
        }
        let databases = scene.databases.iter().map(|given| {
            let to = folder.path().join(&given.name);
            copy(&given.path, &to);
            (to, given.clone())
        });
        Site {
            base: scene.naming.base.clone(),
            databases: databases.collect(),
            folder,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn copy(from: &Path, to: &Path) {
    let bytes = std::fs::read(from).expect("a fixture can be read");
    std::fs::write(to, bytes).expect("a temporary folder is writable");
}

/// The kinds that chance chooses from, each with how often.
const KINDS: [(u32, Kind); 35] = [
    (1, Kind::None),
    (10, Kind::LogRemoved),
    (6, Kind::TailRemoved),
    (1, Kind::AllLogsRemoved),
    (4, Kind::LogRenamed),
    (3, Kind::CurrentNumbered),
    (3, Kind::CurrentBeyond),
    (3, Kind::LogsSwapped),
    (1, Kind::LogInSubfolder),
    (4, Kind::LogCut),
    (1, Kind::LogGrown),
    (2, Kind::LogEmpty),
    (2, Kind::LogZeroes),
    (14, Kind::TailZeroed),
    (6, Kind::Emptied),
    (4, Kind::SegmentZeroed),
    (4, Kind::BodyFlipped),
    (2, Kind::HeaderFlipped),
    (3, Kind::TailOfAnother),
    (3, Kind::LogDuplicated),
    (3, Kind::ClosedAsCurrent),
    (1, Kind::TemporaryAsCurrent),
    (2, Kind::CurrentTwice),
    (5, Kind::LogForeign),
    (2, Kind::SecondStream),
    (4, Kind::VersionChanged),
    (1, Kind::Rebased),
    (1, Kind::MixedCase),
    (1, Kind::Rubbish),
    (5, Kind::CheckpointRemoved),
    (3, Kind::CheckpointForeign),
    (5, Kind::CheckpointMoved),
    (3, Kind::CheckpointDamaged),
    (3, Kind::DatabaseHeaderDamaged),
    (3, Kind::DatabaseMissing),
];

/// What kind an accident is, for the table of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "as the accidents of the same names")]
pub enum Kind {
    None,
    LogRemoved,
    TailRemoved,
    AllLogsRemoved,
    LogRenamed,
    CurrentNumbered,
    CurrentBeyond,
    LogsSwapped,
    LogInSubfolder,
    LogCut,
    LogGrown,
    LogEmpty,
    LogZeroes,
    TailZeroed,
    /// All after the header of a log is zeroed.
    Emptied,
    SegmentZeroed,
    BodyFlipped,
    HeaderFlipped,
    TailOfAnother,
    LogDuplicated,
    ClosedAsCurrent,
    TemporaryAsCurrent,
    CurrentTwice,
    LogForeign,
    SecondStream,
    VersionChanged,
    Rebased,
    MixedCase,
    Rubbish,
    CheckpointRemoved,
    CheckpointForeign,
    CheckpointMoved,
    CheckpointDamaged,
    DatabaseHeaderDamaged,
    DatabaseMissing,
}

impl Accident {
    /// One by chance; `None` where the chosen kind cannot happen in this scene.
    pub fn by_chance(scene: &Scene, random: &mut Random) -> Option<Self> {
        let all: u32 = KINDS.iter().map(|(weight, _)| weight).sum();
        let mut left = random.below(all as usize) as u32;
        let kind = KINDS.iter().find(|(weight, _)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        });
        let (_, kind) = kind.expect("the weights add up");
        Self::of_kind(*kind, scene, random)
    }

    /// One of this kind.
    pub fn of_kind(kind: Kind, scene: &Scene, random: &mut Random) -> Option<Self> {
        let generation = pick(scene, random);
        let log = &scene.files[&generation];
        let blocks = log.used.max(2);
        let block = 1 + random.below(blocks - 1);
        let other = {
            let first = scene.oldest().0;
            let count = scene.newest().0 - first + 1;
            Generation(first + random.below(count as usize) as u32)
        };
        let copies = [Copies::First, Copies::Second, Copies::Both][random.below(3)];
        let database = random.below(scene.databases.len());
        let has_database = !scene.databases.is_empty();
        Some(match kind {
            Kind::None => Accident::None,
            Kind::LogRemoved => Accident::LogRemoved(generation),
            Kind::TailRemoved => Accident::TailRemoved(generation),
            Kind::AllLogsRemoved => Accident::AllLogsRemoved,
            Kind::LogRenamed => {
                let to = other;
                if to == generation || Some(generation) == scene.current {
                    return None;
                }
                Accident::LogRenamed(generation, to)
            }
            Kind::CurrentNumbered => {
                scene.current?;
                Accident::CurrentNumbered
            }
            Kind::CurrentBeyond => {
                scene.current?;
                Accident::CurrentBeyond(1 + random.below(5) as u32)
            }
            Kind::LogsSwapped if other != generation => Accident::LogsSwapped(generation, other),
            Kind::LogsSwapped => return None,
            Kind::LogInSubfolder => Accident::LogInSubfolder(generation),
            Kind::LogCut => Accident::LogCut(generation, random.below(blocks * 4096)),
            Kind::LogGrown => Accident::LogGrown(generation),
            Kind::LogEmpty => Accident::LogEmpty(generation),
            Kind::LogZeroes => Accident::LogZeroes(generation),
            Kind::TailZeroed => Accident::TailZeroed(generation, block),
            Kind::Emptied => Accident::TailZeroed(
                match random.below(2) {
                    0 => scene.newest(),
                    _ => generation,
                },
                1,
            ),
            Kind::SegmentZeroed => Accident::SegmentZeroed(generation, block),
            Kind::BodyFlipped => {
                let count = [1, 2, 20][random.below(3)];
                let at = block * 4096 + 64 + random.below(2000);
                Accident::BodyFlipped(generation, at, count)
            }
            Kind::HeaderFlipped => Accident::HeaderFlipped(generation),
            Kind::TailOfAnother if other != generation => {
                Accident::TailOfAnother(generation, other, block)
            }
            Kind::LogDuplicated if other != generation => {
                Accident::LogDuplicated(generation, other)
            }
            Kind::TailOfAnother | Kind::LogDuplicated => return None,
            Kind::ClosedAsCurrent => {
                scene.current.filter(|_| scene.files.len() > 1)?;
                Accident::ClosedAsCurrent
            }
            Kind::TemporaryAsCurrent => Accident::TemporaryAsCurrent,
            Kind::CurrentTwice => {
                scene.current?;
                Accident::CurrentTwice
            }
            Kind::LogForeign => Accident::LogForeign(generation),
            Kind::SecondStream => Accident::SecondStream,
            Kind::VersionChanged => {
                let versions = [(2, 0), (4, 3), (5, 16), (90, 200), (130, 500), (200, 1)];
                let (major, minor) = versions[random.below(versions.len())];
                Accident::VersionChanged(generation, major, minor)
            }
            Kind::Rebased => Accident::Rebased,
            Kind::MixedCase => Accident::MixedCase,
            Kind::Rubbish => Accident::Rubbish,
            Kind::CheckpointRemoved => Accident::CheckpointRemoved,
            Kind::CheckpointForeign => Accident::CheckpointForeign,
            Kind::CheckpointMoved => Accident::CheckpointMoved(other),
            Kind::CheckpointDamaged => Accident::CheckpointDamaged(copies),
            Kind::DatabaseHeaderDamaged if !has_database => return None,
            Kind::DatabaseHeaderDamaged => Accident::DatabaseHeaderDamaged(database, copies),
            Kind::DatabaseMissing if scene.databases.len() > 1 => {
                Accident::DatabaseMissing(database)
            }
            Kind::DatabaseMissing => return None,
        })
    }

    /// Whether it gives all files other names.
    pub fn renames_all(&self) -> bool {
        matches!(self, Accident::Rebased | Accident::MixedCase)
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Accident::None => Kind::None,
            Accident::LogRemoved(_) => Kind::LogRemoved,
            Accident::TailRemoved(_) => Kind::TailRemoved,
            Accident::AllLogsRemoved => Kind::AllLogsRemoved,
            Accident::LogRenamed(..) => Kind::LogRenamed,
            Accident::CurrentNumbered => Kind::CurrentNumbered,
            Accident::CurrentBeyond(_) => Kind::CurrentBeyond,
            Accident::LogsSwapped(..) => Kind::LogsSwapped,
            Accident::LogInSubfolder(_) => Kind::LogInSubfolder,
            Accident::LogCut(..) => Kind::LogCut,
            Accident::LogGrown(_) => Kind::LogGrown,
            Accident::LogEmpty(_) => Kind::LogEmpty,
            Accident::LogZeroes(_) => Kind::LogZeroes,
            Accident::TailZeroed(_, 1) => Kind::Emptied,
            Accident::TailZeroed(..) => Kind::TailZeroed,
            Accident::SegmentZeroed(..) => Kind::SegmentZeroed,
            Accident::BodyFlipped(..) => Kind::BodyFlipped,
            Accident::HeaderFlipped(_) => Kind::HeaderFlipped,
            Accident::TailOfAnother(..) => Kind::TailOfAnother,
            Accident::LogDuplicated(..) => Kind::LogDuplicated,
            Accident::ClosedAsCurrent => Kind::ClosedAsCurrent,
            Accident::TemporaryAsCurrent => Kind::TemporaryAsCurrent,
            Accident::CurrentTwice => Kind::CurrentTwice,
            Accident::LogForeign(_) => Kind::LogForeign,
            Accident::SecondStream => Kind::SecondStream,
            Accident::VersionChanged(..) => Kind::VersionChanged,
            Accident::Rebased => Kind::Rebased,
            Accident::MixedCase => Kind::MixedCase,
            Accident::Rubbish | Accident::FlushMapsRemoved => Kind::Rubbish,
            Accident::CheckpointRemoved => Kind::CheckpointRemoved,
            Accident::CheckpointForeign => Kind::CheckpointForeign,
            Accident::CheckpointMoved(_) => Kind::CheckpointMoved,
            Accident::CheckpointDamaged(_) => Kind::CheckpointDamaged,
            Accident::DatabaseHeaderDamaged(..) => Kind::DatabaseHeaderDamaged,
            Accident::DatabaseMissing(_) => Kind::DatabaseMissing,
        }
    }
}

/// A generation: mostly one that the databases need.
fn pick(scene: &Scene, random: &mut Random) -> Generation {
    let (oldest, newest) = (scene.oldest(), scene.newest());
    let needed = scene.first_needed().filter(|first| *first >= oldest);
    let first = match needed {
        Some(first) if random.below(4) > 0 => first,
        _ => oldest,
    };
    let count = newest.0.saturating_sub(first.0) + 1;
    Generation(first.0.min(newest.0) + random.below(count as usize) as u32)
}

impl fmt::Display for Accident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
