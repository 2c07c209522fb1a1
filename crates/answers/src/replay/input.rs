//! Databases, the logs that serve them, and how far these are replayed.

use console::{Exit, Failure, Output, shell_word};
use ese_format::file_kind::DETECT_BYTES;
use ese_format::foreign::looks_like;
use ese_format::{Class, Explain, FileKind, JetError};
use ese_log::{LogError, StreamChoice, StreamFiles};
use ese_replay::output::InPlace;
use ese_replay::recovery::{DatabaseFile, RecoveryError, Until};
use evidence::{EvidenceError, EvidenceFile, Place};
use std::path::{Path, PathBuf};

/// Databases and the log stream that serves them.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Databases to recover; without any, those that the logs need or create.
    pub databases: Vec<PathBuf>,
    /// Folders with the logs, or logs. The folder of the first database if none is named.
    pub logs: Vec<PathBuf>,
    /// Base name of the logs, where there are several streams and no database says which.
    pub base: Option<String>,
    /// Checkpoint file in place of the one beside the logs.
    pub checkpoint: Option<PathBuf>,
    /// Where to stop.
    pub until: Until,
}

/// Databases, opened, and the files of their stream.
pub struct Subjects {
    /// The databases.
    pub databases: Vec<DatabaseFile>,
    /// Their stream.
    pub stream: StreamFiles,
    /// Whether the databases were found beside the logs, and not named.
    pub found: bool,
    /// Where logs were looked for.
    pub places: Vec<PathBuf>,
}

impl Subjects {
    /// Says which databases were found beside the logs.
    pub fn name_found(&self, output: &Output) {
        for line in self.names_found() {
            output.remark(&line);
        }
    }

    /// A line for each database that was found beside the logs.
    pub(super) fn names_found(&self) -> impl Iterator<Item = String> {
        let found = self.databases.iter().filter(|_| self.found);
        found.map(|database| format!("found {}", database.path().display()))
    }
}

impl Input {
    /// The databases and their stream. With `find`, databases of the stream are looked for beside the logs if none is
    /// named.
    pub fn subjects(&self, find: bool) -> Result<Subjects, Failure> {
        self.check_checkpoint()?;
        let mut databases = self.open()?;
        let places = self.places()?;
        let choice = StreamChoice {
            base: self.base.as_deref(),
            signatures: databases
                .iter()
                .map(|database| database.header.log_signature)
                .collect(),
        };
        let stream = match StreamFiles::gather(&places, &choice) {
            // What a database needs is said even where no log is.
            Err(LogError::NoStream { folder, base }) if !databases.is_empty() => {
                StreamFiles::none(&folder, base.as_deref())
            }
            other => other.map_err(|error| Failure::of(&error))?,
        };
        let found = find && databases.is_empty();
        if found {
            databases = find_databases(&places, &stream)?;
        }
        if databases.is_empty() && stream.is_empty() {
            return Err(Failure::of(&LogError::NoStream {
                folder: stream.folder,
                base: self.base.clone(),
            }));
        }
        Ok(Subjects {
            databases,
            stream,
            found,
            places,
        })
    }

    /// Where the logs are.
    fn places(&self) -> Result<Vec<PathBuf>, Failure> {
        match (self.logs.is_empty(), self.databases.first()) {
            (false, _) => Ok(self.logs.clone()),
            (true, Some(database)) => Ok(vec![evidence::folder_of(database)]),
            (true, None) => Err(
                Failure::new(Exit::Usage, "neither a database nor logs are named")
                    .advise("name a database, or the folder of the logs with --logs"),
            ),
        }
    }

    /// A checkpoint that was named has to be one.
    fn check_checkpoint(&self) -> Result<(), Failure> {
        let Some(path) = &self.checkpoint else {
            return Ok(());
        };
        let start = EvidenceFile::open(path).and_then(|file| file.start(DETECT_BYTES));
        let start = start.map_err(|error| Failure::of(&error))?;
        if FileKind::detect(&start) == FileKind::Checkpoint {
            return Ok(());
        }
        let what = looks_like(&start).map(|what| format!(": it looks like {what}"));
        let what = what.unwrap_or_default();
        let message = format!("{}: not an ESE checkpoint{what}", path.display());
        Err(Failure::new(Exit::NotEse, message)
            .jet(JetError::FILE_INVALID_TYPE)
            .advise("name the .chk file of the stream, or leave --checkpoint out"))
    }

    /// The databases that are named, opened.
    fn open(&self) -> Result<Vec<DatabaseFile>, Failure> {
        for path in &self.databases {
            InPlace::refuse_interrupted(path).map_err(|error| Failure::of(&error))?;
        }
        let databases: Vec<DatabaseFile> = (self.databases.iter())
            .map(|path| DatabaseFile::open(path).map_err(|error| Failure::of(&error)))
            .collect::<Result<_, _>>()?;
        refuse_copies(&databases)?;
        Ok(databases)
    }

    /// The options that say which logs are replayed, as they were given.
    pub fn limits(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("--{name} {value}")));
        };
        option("base", self.base.clone());
        option("checkpoint", self.checkpoint.as_deref().map(shell_word));
        option(
            "until",
            self.until.generation.map(|until| until.to_string()),
        );
        option(
            "until-lgpos",
            self.until.lgpos.map(|lgpos| lgpos.to_string()),
        );
        option("until-time", self.until.time.map(|time| time.to_string()));
        words
    }
}

/// The databases of a stream that lie beside its logs.
fn find_databases(places: &[PathBuf], stream: &StreamFiles) -> Result<Vec<DatabaseFile>, Failure> {
    let signature = stream.signature();
    let mut paths = Vec::new();
    for place in places {
        let place = evidence::place(place).map_err(|error| Failure::of(&error))?;
        if let Place::Folder(folder) = place {
            let files = evidence::files_in(&*folder);
            paths.extend(files.map_err(|error| Failure::of(&error))?);
        }
    }
    paths.sort();
    let mut databases = Vec::new();
    for path in &paths {
        let database = match DatabaseFile::open(path) {
            Ok(database) => database,
            Err(error) if error.class() == Class::NotEse => continue,
            // A pipe or a device.
            Err(RecoveryError::Evidence(EvidenceError::NotAFile { .. })) => continue,
            // It may be one of this stream's.
            Err(error) => {
                return Err(Failure::of(&error).advise_too("or name the databases to recover"));
            }
        };
        if Some(database.header.log_signature) == signature {
            InPlace::refuse_interrupted(path).map_err(|error| Failure::of(&error))?;
            databases.push(database);
        }
    }
    refuse_copies(&databases)?;
    Ok(databases)
}

/// Two copies of one database cannot be recovered side by side.
fn refuse_copies(databases: &[DatabaseFile]) -> Result<(), Failure> {
    for (index, database) in databases.iter().enumerate() {
        let signature = &database.header.signature;
        let twin = databases[..index]
            .iter()
            .find(|other| other.header.signature == *signature);
        if let Some(twin) = twin {
            let (one, other) = (twin.path().display(), database.path().display());
            let message = format!("{one} and {other} are copies of the same database");
            return Err(
                Failure::new(Exit::Usage, message).advise("recover one of them at a time: name it")
            );
        }
    }
    Ok(())
}

/// The name of a file on the machine that wrote the logs, whatever its system's separator.
pub(super) fn file_name(logged: &str) -> &str {
    logged.rsplit(['\\', '/']).next().unwrap_or(logged)
}

/// The name of a file here.
pub(super) fn name_of(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
}
