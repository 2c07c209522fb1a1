//! The log streams in a folder.

use crate::error::LogError;
use crate::name::{FileRole, LogFileName, Naming};
use ese_format::log::{FILE_TYPE_LOG, HEADER_SIZE, LogHeader};
use ese_format::{Generation, Signature};
use evidence::{EvidenceFile, SourceFolder};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The base name that is assumed where nothing gives it.
const ASSUMED_BASE: &str = "E00";
/// How many logs are read to know which stream they belong to.
const LOGS_ASKED: usize = 16;
/// The most folders within a folder, and files in each, that are looked at for hints.
const NEARBY_FOLDERS: usize = 256;
const NEARBY_FILES: usize = 10_000;

/// A file of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is, by its name.
    pub role: FileRole,
    /// The name under which it takes part in its stream, where its own says nothing: what it is was read from its content.
    pub called: Option<String>,
}

impl StreamFile {
    /// A file whose name says what it is.
    pub fn named(path: PathBuf, role: FileRole) -> Self {
        StreamFile {
            path,
            role,
            called: None,
        }
    }

    /// The name in its stream, for messages.
    pub fn name(&self) -> String {
        if let Some(called) = &self.called {
            return called.clone();
        }
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// The files of one log stream in one folder, found by name; nothing is read but what distinguishes streams from other
/// files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFiles {
    /// The folder.
    pub folder: PathBuf,
    /// How the stream spells its names.
    pub naming: Naming,
    /// Finished logs, by the generation in their name, then by name. The same generation stands twice where it exists
    /// in both lengths or with both extensions.
    pub logs: Vec<StreamFile>,
    /// The current log; more than one where it exists with both extensions.
    pub current: Vec<StreamFile>,
    /// Temporary and reserve logs.
    pub leftovers: Vec<StreamFile>,
    /// The checkpoint; more than one where it exists with both extensions.
    pub checkpoints: Vec<StreamFile>,
}

impl StreamFiles {
    /// Finished logs and the current one, in the order in which records are read.
    pub fn in_order(&self) -> impl Iterator<Item = &StreamFile> {
        self.logs.iter().chain(&self.current)
    }

    /// The stream `base` of a folder that holds no file of it: for what is to be said of logs that are not there.
    /// Without a base name, names are as a stream `E00` has them.
    pub fn none(folder: &Path, base: Option<&str>) -> StreamFiles {
        StreamFiles {
            folder: folder.to_owned(),
            naming: Naming {
                base: base.unwrap_or(ASSUMED_BASE).to_owned(),
                digits: 8,
                extension: ".log".to_owned(),
            },
            logs: Vec::new(),
            current: Vec::new(),
            leftovers: Vec::new(),
            checkpoints: Vec::new(),
        }
    }

    /// A stream of files whose roles are known, whatever they are called: by generation, the current log last.
    pub fn of_files(
        folder: &Path,
        naming: Naming,
        files: impl IntoIterator<Item = StreamFile>,
    ) -> Self {
        let mut stream = StreamFiles {
            naming,
            ..StreamFiles::none(folder, None)
        };
        files.into_iter().for_each(|file| stream.add(file));
        stream.sort_logs();
        stream
    }

    fn add(&mut self, file: StreamFile) {
        match file.role {
            FileRole::Generation { .. } => self.logs.push(file),
            FileRole::Current => self.current.push(file),
            FileRole::Temporary | FileRole::Reserve => self.leftovers.push(file),
            FileRole::Checkpoint => self.checkpoints.push(file),
        }
    }

    /// Names of 8 digits sort after those of 5; generations must not.
    fn sort_logs(&mut self) {
        self.logs.sort_by_key(|file| match file.role {
            FileRole::Generation { generation, .. } => generation,
            _ => Generation(u32::MAX),
        });
    }

    /// Whether no log of the stream is there.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.current.is_empty()
    }

    /// Logs by names of this stream in folders directly within the folder, by path. A folder that cannot be listed has
    /// none, and of very many folders or files not all are looked at: this is for hints only.
    pub fn nearby(&self) -> Vec<StreamFile> {
        let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = list(&self.folder).filter(|entry| {
            // A link may lead anywhere, also back here.
            entry.file_type().is_ok_and(|kind| kind.is_dir())
        });
        let mut found: Vec<StreamFile> = Vec::new();
        for folder in folders.take(NEARBY_FOLDERS) {
            for entry in list(&folder.path()).take(NEARBY_FILES) {
                let name = entry.file_name();
                let name = name.to_str().and_then(LogFileName::parse);
                let Some(name) = name.filter(|name| {
                    name.base.eq_ignore_ascii_case(&self.naming.base)
                        && matches!(name.role, FileRole::Generation { .. } | FileRole::Current)
                }) else {
                    continue;
                };
                found.push(StreamFile::named(entry.path(), name.role));
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// All streams in `folder`, by base name. A file called `abc.log` alone makes a stream only if its content is a
    /// log.
    pub fn find_all(folder: &Path) -> Result<Vec<StreamFiles>, LogError> {
        let mut streams = group(folder)?;
        streams.retain(StreamFiles::looks_real);
        Ok(streams)
    }

    /// The stream `base` of a folder that is at `path`, wherever that is: only names are looked at. Case does not
    /// matter.
    pub fn in_folder(
        folder: &dyn SourceFolder,
        path: &Path,
        base: &str,
    ) -> Result<Option<StreamFiles>, LogError> {
        let files = evidence::files_in(folder).map_err(LogError::unlisted)?;
        let streams = group_paths(path, files);
        let mut streams = streams.into_iter();
        Ok(streams.find(|stream| stream.naming.base.eq_ignore_ascii_case(base)))
    }

    /// The stream `base` of `folder`, or its only stream if no base name is given. Case does not matter.
    pub fn find(folder: &Path, base: Option<&str>) -> Result<StreamFiles, LogError> {
        let mut streams = match base {
            Some(base) => {
                let mut streams = group(folder)?;
                streams.retain(|stream| stream.naming.base.eq_ignore_ascii_case(base));
                streams
            }
            None => Self::find_all(folder)?,
        };
        match (streams.len(), streams.pop()) {
            (1, Some(stream)) => Ok(stream),
            (0, _) | (_, None) => Err(LogError::NoStream {
                folder: folder.to_owned(),
                base: base.map(str::to_owned),
            }),
            (_, Some(last)) => {
                let all = streams.iter().chain([&last]);
                Err(LogError::SeveralStreams {
                    folder: folder.to_owned(),
                    bases: all.map(|stream| stream.naming.base.clone()).collect(),
                })
            }
        }
    }

    /// Whether one of its logs has this signature. Of a long stream only the newest are asked.
    pub fn is_of(&self, signature: &Signature) -> bool {
        let logs = self.current.iter().chain(self.logs.iter().rev());
        let mut headers = logs.take(LOGS_ASKED).filter_map(|log| {
            let start = EvidenceFile::open(&log.path)
                .ok()?
                .start(HEADER_SIZE)
                .ok()?;
            LogHeader::read(&start).ok()?.into_trusted().ok()
        });
        !signature.is_null() && headers.any(|header| header.signature == *signature)
    }

    pub(crate) fn looks_real(&self) -> bool {
        !self.logs.is_empty() || self.current.iter().any(|file| looks_like_log(&file.path))
    }
}

/// Whether the file begins like a log: intact header, or the right type and a known version in a damaged one.
fn looks_like_log(path: &Path) -> bool {
    let Ok(start) = EvidenceFile::open(path).and_then(|file| file.start(HEADER_SIZE)) else {
        return false;
    };
    LogHeader::read(&start).is_ok_and(|header| {
        let fields = header.as_read();
        fields.version.layout().is_ok() && (fields.file_type == FILE_TYPE_LOG || header.is_intact())
    })
}

/// Files of `folder` by base name, compared without case.
fn group(folder: &Path) -> Result<Vec<StreamFiles>, LogError> {
    let paths = evidence::folder(folder).and_then(|source| evidence::paths_in(&*source));
    let paths = paths.map_err(LogError::unlisted)?;
    Ok(group_paths(&evidence::shown(folder), paths))
}

pub(crate) fn group_paths(
    folder: &Path,
    paths: impl IntoIterator<Item = PathBuf>,
) -> Vec<StreamFiles> {
    let mut groups: BTreeMap<String, Vec<(String, StreamFile)>> = BTreeMap::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.and_then(LogFileName::parse) {
            let file = StreamFile::named(path, name.role);
            let key = name.base.to_ascii_lowercase();
            groups.entry(key).or_default().push((name.base, file));
        }
    }
    let shared = groups.remove("").unwrap_or_default();
    let streams = groups.into_values().map(|mut files| {
        files.extend(shared.iter().cloned());
        assemble(folder, files)
    });
    streams.collect()
}

fn assemble(folder: &Path, mut files: Vec<(String, StreamFile)>) -> StreamFiles {
    files.sort_by(|(_, a), (_, b)| (a.role, &a.path).cmp(&(b.role, &b.path)));
    let naming = naming(&files);
    StreamFiles::of_files(folder, naming, files.into_iter().map(|(_, file)| file))
}

/// The spelling of the newest log, or what can be known without one.
fn naming(files: &[(String, StreamFile)]) -> Naming {
    let extension = |file: &StreamFile| {
        let extension = file.path.extension().unwrap_or_default();
        format!(".{}", extension.to_string_lossy())
    };
    let newest = files.iter().filter_map(|(base, file)| match file.role {
        FileRole::Generation { generation, digits } => Some((generation, digits, base, file)),
        _ => None,
    });
    if let Some((_, digits, base, file)) = newest.max_by_key(|(generation, ..)| *generation) {
        return Naming {
            base: base.clone(),
            digits,
            extension: extension(file),
        };
    }
    let current = files
        .iter()
        .find(|(_, file)| file.role == FileRole::Current);
    let (base, extension) = match current {
        Some((base, file)) => (base.clone(), extension(file)),
        None => {
            let named = files.iter().find(|(base, _)| !base.is_empty());
            let base = named.map(|(base, _)| base.clone()).unwrap_or_default();
            (base, ".log".to_owned())
        }
    };
    Naming {
        base,
        digits: 8,
        extension,
    }
}
