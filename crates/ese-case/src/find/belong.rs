//! What belongs together: the logs, the checkpoint and the flush map of each database, wherever they lie.
//!
//! Logs and checkpoints name the signature of their stream, and so does a database; that alone says whose they are. There may
//! be several copies of the same log: in shadow copies, backups, archives. They are not the same log at another time: the
//! current one goes on growing, and a number is used again after a restore. So logs are taken from one place as long as one
//! place has what is needed, and the nearest such place is taken:
//!
//! 1. A single folder, first the database's own, then others of its state (the same shadow copy, archive, volume or searched
//!    path), of its container, elsewhere, and at last of other shadow copies. The first is taken that has every generation up to
//!    the last committed one.
//! 2. If none has, all folders of one state together, in the same order.
//! 3. If no state has, the first folder that has any, and what it lacks of the needed generations from others. Whether they fit
//!    is not known from this; the chain decides it, link by link, when the recovery is planned.
//!
//! Where no set reaches up to the last committed generation, the same is asked for the last required one, and at last the
//! third is taken as it is. A database that needs no log has those of the nearest folder.
//!
//! Where the files of a folder are called as the engine calls them, the stream is what every other command finds there by name,
//! with logs in it whose header is lost. Elsewhere each log takes part under the name that its content gives it.

use super::{Content, DatabaseLogs, FlushMapLook, FoundFile, LogLook, LogsFrom};
use ese_format::{DatabaseHeader, Generation, Signature};
use ese_log::chain::ranges::LogNeed;
use ese_log::{FileRole, LogFileName, Naming, StreamChoice, StreamFile, StreamFiles};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Everything that was found, by what it is. Files stay where they are in `all`, in the order of the walk.
pub(super) struct Shelves<'f> {
    all: HashMap<&'f Path, &'f FoundFile>,
    logs: HashMap<Signature, Vec<&'f FoundFile>>,
    checkpoints: HashMap<Signature, Vec<&'f FoundFile>>,
    flush_maps: Vec<&'f FoundFile>,
}

/// What belongs to one database.
pub(super) struct Belongings<'f> {
    pub(super) logs: DatabaseLogs,
    pub(super) checkpoint: Option<&'f FoundFile>,
    pub(super) flush_map: Option<&'f FoundFile>,
    /// Logs and checkpoints of its stream that were not taken.
    pub(super) unused: Vec<PathBuf>,
}

fn log_of(file: &FoundFile) -> Option<&LogLook> {
    match &file.content {
        Content::Log(log) => Some(log),
        _ => None,
    }
}

fn generation_of(file: &FoundFile) -> Option<Generation> {
    log_of(file)?.generation
}

/// How near a file is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    SameFolder,
    SameState,
    SameContainer,
    Elsewhere,
    OtherShadowCopy,
}

fn nearness(file: &FoundFile, to: &FoundFile) -> Nearness {
    let (own, other) = (&file.origin, &to.origin);
    if file.folder == to.folder {
        Nearness::SameFolder
    } else if own.state == other.state {
        Nearness::SameState
    } else if own.is_shadow_copy {
        Nearness::OtherShadowCopy
    } else if own.container.is_some() && own.container == other.container {
        Nearness::SameContainer
    } else {
        Nearness::Elsewhere
    }
}

/// How well the name of a log says what its content says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NameFit {
    Generation,
    Current,
    /// It is no name of a log.
    Silent,
    Wrong,
    /// It is the name of a log that is being prepared: what is in it was another log before.
    Spare,
}

fn name_fit(log: &LogLook) -> NameFit {
    match log.role {
        None | Some(FileRole::Checkpoint) => NameFit::Silent,
        Some(FileRole::Generation { generation, .. }) if Some(generation) == log.generation => {
            NameFit::Generation
        }
        Some(FileRole::Generation { .. }) => NameFit::Wrong,
        Some(FileRole::Current) => NameFit::Current,
        Some(FileRole::Temporary | FileRole::Reserve) => NameFit::Spare,
    }
}

/// Logs by generation, one of each.
type Set<'f> = BTreeMap<Generation, &'f FoundFile>;

/// Whether a set has every one of these generations. A header may claim any number of them.
fn has_all(set: &Set<'_>, needed: &RangeInclusive<Generation>) -> bool {
    set.range(needed.clone()).count() as u64 == length_of(needed)
}

fn length_of(range: &RangeInclusive<Generation>) -> u64 {
    (u64::from(range.end().0) + 1).saturating_sub(u64::from(range.start().0))
}

/// Those of `range` that are not in `there`, as ranges.
pub(super) fn missing(
    there: impl IntoIterator<Item = Generation>,
    range: &RangeInclusive<Generation>,
) -> Vec<RangeInclusive<Generation>> {
    let there: BTreeSet<u64> = there
        .into_iter()
        .filter(|generation| range.contains(generation))
        .map(|generation| u64::from(generation.0))
        .collect();
    let mut missing = Vec::new();
    let mut next = u64::from(range.start().0);
    let end = u64::from(range.end().0) + 1;
    for number in there.into_iter().chain([end]) {
        if number > next {
            missing.push(Generation(next as u32)..=Generation((number - 1) as u32));
        }
        next = number + 1;
    }
    missing
}

/// Adds a log to a set where none of its generation is there, or one whose name fits worse.
fn add<'f>(set: &mut Set<'f>, file: &'f FoundFile) {
    let Some(log) = log_of(file) else { return };
    let (Some(generation), fit) = (log.generation, name_fit(log)) else {
        return;
    };
    let is_better = set
        .get(&generation)
        .and_then(|known| log_of(known))
        .is_none_or(|known| name_fit(known) > fit);
    if fit != NameFit::Spare && is_better {
        set.insert(generation, file);
    }
}

impl<'f> Shelves<'f> {
    pub(super) fn of(files: &'f [FoundFile]) -> Self {
        let mut shelves = Shelves {
            all: files.iter().map(|file| (&*file.path, file)).collect(),
            logs: HashMap::new(),
            checkpoints: HashMap::new(),
            flush_maps: Vec::new(),
        };
        for file in files {
            match &file.content {
                Content::Log(LogLook {
                    signature: Some(signature),
                    ..
                }) => shelves.logs.entry(*signature).or_default().push(file),
                Content::Checkpoint(look) => {
                    if let Some(signature) = look.signature {
                        let own = shelves.checkpoints.entry(signature);
                        own.or_default().push(file);
                    }
                }
                Content::FlushMap(_) => shelves.flush_maps.push(file),
                _ => {}
            }
        }
        shelves
    }

    /// What belongs to the database in `file`, which has this header.
    pub(super) fn belongings(
        &self,
        file: &FoundFile,
        header: Option<&DatabaseHeader>,
    ) -> Belongings<'f> {
        let stream = header
            .map(|header| header.log_signature)
            .filter(|signature| !signature.is_null());
        let of_stream = |shelf: &HashMap<Signature, Vec<&'f FoundFile>>| {
            let own = stream.and_then(|signature| shelf.get(&signature));
            own.cloned().unwrap_or_default()
        };
        let (logs, checkpoints) = (of_stream(&self.logs), of_stream(&self.checkpoints));
        let need = header.and_then(LogNeed::of);
        let (from, set) = choose(&logs, file, need);
        let folders = folders_of(&set);
        let checkpoint = nearest_checkpoint(&checkpoints, file, &folders, &set);
        let stream = stream_of(file, header, &set, &folders, checkpoint);
        let needs = need
            .map(|need| need.min_required..=need.max_committed)
            .filter(|needs| needs.start().0 > 0);
        let mut paths: Vec<PathBuf> = match &stream {
            Some(stream) => stream.in_order().map(|log| log.path.clone()).collect(),
            None => Vec::new(),
        };
        paths.dedup();
        let stamp = |path: &PathBuf| {
            let file = self.all.get(path.as_path())?;
            Some((file.length, file.modified))
        };
        let taken: BTreeSet<&Path> = paths
            .iter()
            .map(PathBuf::as_path)
            .chain(checkpoint.map(|file| file.path.as_path()))
            .collect();
        let unused = logs
            .iter()
            .chain(&checkpoints)
            .filter(|file| !taken.contains(file.path.as_path()));
        Belongings {
            logs: DatabaseLogs {
                there: needs
                    .as_ref()
                    .map_or(0, |needs| set.range(needs.clone()).count() as u64),
                missing: needs
                    .as_ref()
                    .map(|needs| missing(set.keys().copied(), needs))
                    .unwrap_or_default(),
                needs,
                from,
                folders,
                stamps: paths.iter().map(stamp).collect(),
                paths: paths.clone(),
                stream,
            },
            checkpoint,
            flush_map: header.and_then(|header| self.flush_map(file, header)),
            unused: unused.map(|file| file.path.clone()).collect(),
        }
    }

    /// The map that names the last writing of this header, or that the header names; failing that, the one that is called
    /// like the database and lies beside it, since that of a dirty database lags behind.
    fn flush_map(&self, file: &FoundFile, header: &DatabaseHeader) -> Option<&'f FoundFile> {
        let same = |a: Signature, b: Signature| a == b && !a.is_null();
        let goes_with = |map: &&&FoundFile| match &map.content {
            Content::FlushMap(FlushMapLook {
                header: Some(map), ..
            }) => {
                same(header.header_flush, map.database_header_flush)
                    || same(header.flush_map_flush, map.header_flush)
            }
            _ => false,
        };
        let is_beside = |map: &&&FoundFile| {
            map.folder == file.folder
                && map.path.file_stem().is_some()
                && map.path.file_stem() == file.path.file_stem()
        };
        let maps = self.flush_maps.iter();
        let own = maps.clone().filter(goes_with);
        own.min_by_key(|map| nearness(map, file))
            .or_else(|| maps.clone().find(is_beside))
            .copied()
    }
}

fn folders_of(set: &Set<'_>) -> Vec<PathBuf> {
    let folders: BTreeSet<&Path> = set.values().map(|file| file.folder.as_path()).collect();
    folders.into_iter().map(Path::to_owned).collect()
}

/// The logs for the database in `file`, of all those of its stream.
fn choose<'f>(
    logs: &[&'f FoundFile],
    file: &FoundFile,
    need: Option<LogNeed>,
) -> (LogsFrom, Set<'f>) {
    // In the order in which they are asked: the nearest first, then in the order of the walk.
    let mut near: Vec<(Nearness, &'f FoundFile)> = logs
        .iter()
        .filter(|log| generation_of(log).is_some())
        .map(|log| (nearness(log, file), *log))
        .collect();
    near.sort_by_key(|(nearness, _)| *nearness);
    let folders = grouped(&near, |log| &log.folder);
    let Some(first) = folders.iter().find(|set| !set.is_empty()) else {
        return (LogsFrom::Nowhere, Set::new());
    };
    let of_folder = |set: &Set<'_>| match set.values().any(|log| log.folder == file.folder) {
        true => LogsFrom::SameFolder,
        false => LogsFrom::OtherFolder,
    };
    let Some(need) = need else {
        return (of_folder(first), first.clone());
    };
    let states = grouped(&near, |log| &log.origin.state);
    let mixed = |needed: &RangeInclusive<Generation>| {
        let mut set = first.clone();
        for (_, log) in &near {
            let generation = generation_of(log);
            let is_needed = generation.is_some_and(|number| needed.contains(&number));
            let is_there = generation.is_some_and(|number| set.contains_key(&number));
            if is_needed && !is_there {
                add(&mut set, log);
            }
        }
        set
    };
    let committed = need.min_required..=need.max_committed;
    for needed in [committed.clone(), need.min_required..=need.max_required] {
        if let Some(set) = folders.iter().find(|set| has_all(set, &needed)) {
            return (of_folder(set), set.clone());
        }
        if let Some(set) = states.iter().find(|set| has_all(set, &needed)) {
            return (LogsFrom::SameState, set.clone());
        }
        let set = mixed(&needed);
        if has_all(&set, &needed) {
            return (from_of(&set, of_folder(first)), set);
        }
    }
    let set = mixed(&committed);
    (from_of(&set, of_folder(first)), set)
}

/// Where the logs of a set that was put together come from.
fn from_of(set: &Set<'_>, one_folder: LogsFrom) -> LogsFrom {
    let states: BTreeSet<&Path> = set.values().map(|log| log.origin.state.as_path()).collect();
    match (folders_of(set).len(), states.len()) {
        (0 | 1, _) => one_folder,
        (_, 1) => LogsFrom::SameState,
        _ => LogsFrom::Mixed,
    }
}

/// The logs of each folder or state, in the order in which they are met.
fn grouped<'f>(
    near: &[(Nearness, &'f FoundFile)],
    place: impl Fn(&'f FoundFile) -> &'f PathBuf,
) -> Vec<Set<'f>> {
    let mut sets: Vec<Set<'f>> = Vec::new();
    let mut known: HashMap<&Path, usize> = HashMap::new();
    for (_, log) in near {
        let number = *known.entry(place(log)).or_insert_with(|| {
            sets.push(Set::new());
            sets.len() - 1
        });
        add(&mut sets[number], log);
    }
    sets
}

/// The checkpoint that goes with the logs: one beside them or beside the database, or else of the same state as one of them. One
/// of another time would say that more is done than is.
fn nearest_checkpoint<'f>(
    checkpoints: &[&'f FoundFile],
    file: &FoundFile,
    folders: &[PathBuf],
    set: &Set<'_>,
) -> Option<&'f FoundFile> {
    let rank = |checkpoint: &FoundFile| {
        let state = &checkpoint.origin.state;
        if folders.contains(&checkpoint.folder) {
            Some(0)
        } else if checkpoint.folder == file.folder {
            Some(1)
        } else if *state == file.origin.state || set.values().any(|log| log.origin.state == *state)
        {
            Some(2)
        } else {
            None
        }
    };
    let ranked = checkpoints
        .iter()
        .filter_map(|checkpoint| Some((rank(checkpoint)?, *checkpoint)));
    let nearest = ranked.min_by_key(|(rank, _)| *rank);
    nearest.map(|(_, checkpoint)| checkpoint)
}

/// The stream with which a recovery is planned.
fn stream_of(
    file: &FoundFile,
    header: Option<&DatabaseHeader>,
    set: &Set<'_>,
    folders: &[PathBuf],
    checkpoint: Option<&FoundFile>,
) -> Option<StreamFiles> {
    let choice = StreamChoice {
        base: None,
        signatures: header.iter().map(|header| header.log_signature).collect(),
    };
    let places = match folders {
        // Logs whose header is lost may be there, or those of another stream: what other commands say of them is said here.
        [] => vec![file.folder.clone()],
        folders => folders.to_vec(),
    };
    let is_named = set
        .values()
        .filter_map(|log| log_of(log))
        .all(|log| name_fit(log) <= NameFit::Current);
    if places.len() == 1 && is_named {
        let named = StreamFiles::gather(&places, &choice).ok();
        let named = named.filter(|stream| {
            let paths: BTreeSet<&Path> = stream.in_order().map(|log| log.path.as_path()).collect();
            set.values().all(|log| paths.contains(log.path.as_path()))
        });
        if named.is_some() || set.is_empty() {
            return named;
        }
    }
    Some(by_content(set, checkpoint)).filter(|stream| !stream.is_empty())
}

/// A stream of logs that are called as they should be.
fn by_content(set: &Set<'_>, checkpoint: Option<&FoundFile>) -> StreamFiles {
    let naming = naming_of(set);
    let last = set.keys().next_back().copied();
    let logs = set.iter().filter_map(|(generation, file)| {
        let fit = name_fit(log_of(file)?);
        let is_last = last == Some(*generation);
        // Nothing in a log says that it is the current one; where no name does, the last one is.
        let is_current = is_last && matches!(fit, NameFit::Current | NameFit::Silent);
        let (role, called) = match is_current {
            true => (FileRole::Current, naming.current()),
            false => (
                FileRole::Generation {
                    generation: *generation,
                    digits: naming.digits,
                },
                naming.generation(*generation),
            ),
        };
        Some(StreamFile {
            path: file.path.clone(),
            role,
            called: Some(called),
        })
    });
    let checkpoint = checkpoint.map(|file| StreamFile {
        path: file.path.clone(),
        role: FileRole::Checkpoint,
        called: Some(format!("{}.chk", naming.base)),
    });
    let folder = set.values().next().map(|file| file.folder.clone());
    let files: Vec<StreamFile> = logs.chain(checkpoint).collect();
    StreamFiles::of_files(&folder.unwrap_or_default(), naming, files)
}

/// How the stream spells its names, as far as one of them shows it.
fn naming_of(set: &Set<'_>) -> Naming {
    let mut naming = Naming {
        base: "???".to_owned(),
        digits: 8,
        extension: ".log".to_owned(),
    };
    for file in set.values() {
        let name = file.path.file_name().and_then(|name| name.to_str());
        let Some(parsed) = name.and_then(LogFileName::parse) else {
            continue;
        };
        if parsed.base.is_empty() {
            continue;
        }
        naming.base = parsed.base;
        if let FileRole::Generation { digits, .. } = parsed.role {
            naming.digits = digits;
        }
        if let Some(extension) = file.path.extension() {
            naming.extension = format!(".{}", extension.to_string_lossy());
        }
    }
    naming
}
