//! Where the logs of a database lie, how they are called, and how many of those that it needs are there.
//!
//! Nothing of a log but its header is read.

use crate::folder::StreamFiles;
use crate::name::{BASE_NAME_LENGTH, FileRole, Naming};
use ese_format::log::{CheckpointFile, HEADER_SIZE, LogHeader};
use ese_format::{DatabaseHeader, Generation, Lgpos, Signature};
use evidence::EvidenceFile;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// More names than this are shortened to the first and the last.
const NAMES_SHOWN: u32 = 64;

/// Where the logs of a database are looked for.
#[derive(Debug, Clone, Copy)]
pub struct LogPlaces<'a> {
    /// Folders and files; none for the folder of the database.
    pub logs: &'a [PathBuf],
    /// The base name of the stream, if it is given.
    pub base: Option<&'a str>,
}

impl LogPlaces<'_> {
    /// Log streams there, those of the database first.
    fn streams(&self, database: &Path, signature: Option<&Signature>) -> Vec<StreamFiles> {
        let mut streams = match self.logs {
            [] => streams_beside(database),
            places => {
                let mut folders: Vec<PathBuf> = Vec::new();
                for place in places {
                    let folder = match evidence::is_folder(place).unwrap_or(false) {
                        true => place.clone(),
                        false => evidence::folder_of(place),
                    };
                    if !folders.contains(&folder) {
                        folders.push(folder);
                    }
                }
                let found = folders.iter().map(|folder| StreamFiles::find_all(folder));
                found.flat_map(Result::unwrap_or_default).collect()
            }
        };
        let is_asked_for = |stream: &StreamFiles| {
            self.base
                .is_none_or(|base| stream.naming.base.eq_ignore_ascii_case(base))
        };
        streams.retain(is_asked_for);
        let is_own = |stream: &StreamFiles| signature.is_some_and(|own| stream.is_of(own));
        streams.sort_by_key(|stream| !is_own(stream));
        streams
    }
}

/// How the log files of a database are called: by its stream where that lies, or in both usual ways.
#[derive(Debug, Clone)]
pub struct LogNames {
    naming: Spelling,
    /// Generation of the current log, whose name has no number, where it lies there too.
    current: Option<Generation>,
}

#[derive(Debug, Clone)]
enum Spelling {
    /// As in the stream that was found.
    Known(Naming),
    /// A number has five digits or eight, and nothing shows which.
    Either { base: String },
}

impl LogNames {
    /// Names as in the stream of the database. Where no log is found, the base name is unknown, unless it was given,
    /// and shown as `???`.
    pub fn of(database: &Path, signature: Option<&Signature>, places: &LogPlaces<'_>) -> Self {
        let stream = places.streams(database, signature).into_iter().next();
        let current = stream.as_ref().and_then(|stream| {
            let log = stream.current.first()?;
            generation_of(&log.path)
        });
        let unknown = || Spelling::Either {
            base: places.base.unwrap_or("???").to_owned(),
        };
        LogNames {
            naming: stream.map_or_else(unknown, |stream| Spelling::Known(stream.naming)),
            current,
        }
    }

    fn name(&self, generation: Generation) -> String {
        match &self.naming {
            Spelling::Known(naming) if self.current == Some(generation) => naming.current(),
            Spelling::Known(naming) => naming.generation(generation),
            Spelling::Either { base } => {
                let with = |digits| Naming {
                    base: base.clone(),
                    digits,
                    extension: ".log".into(),
                };
                let (short, long) = (
                    with(5).generation(generation),
                    with(8).generation(generation),
                );
                match short == long {
                    true => long,
                    false => format!("{short} or {long}"),
                }
            }
        }
    }

    /// File names of the generations that recovery needs.
    pub fn required(&self, header: &DatabaseHeader) -> Vec<String> {
        if header.min_required.0 == 0 {
            return Vec::new();
        }
        self.range(header.min_required.0, header.max_required.0)
    }

    /// File names of the generations after those, up to the last committed one.
    pub fn committed(&self, header: &DatabaseHeader) -> Vec<String> {
        self.range(
            header.max_required.0.saturating_add(1),
            header.max_committed.0,
        )
    }

    fn range(&self, first: u32, last: u32) -> Vec<String> {
        if last < first {
            return Vec::new();
        }
        if last - first < NAMES_SHOWN {
            return (first..=last)
                .map(|number| self.name(Generation(number)))
                .collect();
        }
        vec![
            self.name(Generation(first)),
            "...".into(),
            self.name(Generation(last)),
        ]
    }
}

/// How many of the logs that a database needs are there, by their names, in a stream with its log signature.
pub fn logs_there(database: &Path, header: &DatabaseHeader, places: &LogPlaces<'_>) -> u32 {
    let needed = header.min_required..=header.max_required;
    let streams = places
        .streams(database, Some(&header.log_signature))
        .into_iter();
    let own = streams.filter(|stream| stream.is_of(&header.log_signature));
    let counts = own.map(|stream| {
        let numbered = stream.logs.iter().filter_map(|log| match log.role {
            FileRole::Generation { generation, .. } => Some(generation),
            _ => None,
        });
        let current = stream.current.iter();
        let current = current.filter_map(|log| generation_of(&log.path));
        let there: BTreeSet<Generation> = numbered.chain(current).collect();
        there.range(needed.clone()).count()
    });
    counts.max().unwrap_or(0).try_into().unwrap_or(u32::MAX)
}

/// Log streams in the folder of a file; none when the folder cannot be listed.
fn streams_beside(file: &Path) -> Vec<StreamFiles> {
    StreamFiles::find_all(&evidence::folder_of(file)).unwrap_or_default()
}

/// Where the checkpoint of a log's stream stands, if its file lies beside the log and can be read.
pub fn checkpoint_beside(log: &Path) -> Option<Lgpos> {
    let base = log.file_name()?.to_str()?.get(..BASE_NAME_LENGTH)?;
    let streams = streams_beside(log);
    let stream = streams
        .iter()
        .find(|stream| stream.naming.base.eq_ignore_ascii_case(base))?;
    let file = EvidenceFile::open(&stream.checkpoints.first()?.path).ok()?;
    let content = file.start(CheckpointFile::SIZE).ok()?;
    let copies = CheckpointFile::read(&content);
    let (checkpoint, _) = copies.current().ok()?;
    Some(checkpoint.checkpoint)
}

/// The generation that an intact log header names.
fn generation_of(log: &Path) -> Option<Generation> {
    let start = EvidenceFile::open(log).ok()?.start(HEADER_SIZE).ok()?;
    let header = LogHeader::read(&start).ok()?;
    Some(header.trusted()?.generation)
}
