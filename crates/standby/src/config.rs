//! The configuration: a TOML file that people edit and `scr enable` adds to, comments kept.
//!
//! ```toml
//! state = "/var/lib/scr"            # folder of the state files; relative to this file if not absolute
//!
//! [service]                         # all optional
//! poll = "0.00:00:01"               # how often a source is looked at
//! retry = "0.00:00:10"              # wait before a log or a source is tried again
//! kept_back = 50                    # newest logs that are never replayed
//! truncate = "0.00:03:00"           # how often logs that are no longer needed are deleted
//! remote = { identity = "/etc/scr/key" }   # how addresses are reached, besides what the environment says
//!
//! [[copy]]
//! name = "First Storage Group"
//! replay_lag = "1.00:00:00"
//! truncation_lag = "0.00:00:00"
//! source = { machine = "EXA", base = "E00", logs = "/mnt/exa/logs", system = "/mnt/exa/logs", database = "/mnt/exa/MBX1.edb" }
//! target = { machine = "EXB", logs = "/srv/scr/logs", system = "/srv/scr/logs", database = "/srv/scr/MBX1.edb" }
//! ```
//!
//! Read anew before every pass of the service, so that an edit takes effect without a restart.

use crate::error::{StandbyError, at};
use crate::lag::Lag;
use crate::rules::KEPT_BACK;
use crate::state::{StateFile, replace_file};
use evidence::is_address;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};
use target_disk::{Disk, SharedDisk};
use toml_edit::{ArrayOfTables, DocumentMut, Item};

/// Base name of the logs of a recovery storage group, which is not replicated.
const RECOVERY_GROUP: &str = "R00";

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Folder of the state files.
    pub state: PathBuf,
    /// How the service works.
    #[serde(default)]
    pub service: Service,
    /// The copies.
    #[serde(default, rename = "copy")]
    pub copies: Vec<CopyConfig>,
    /// The disk that is written to; not from the file.
    #[serde(skip)]
    pub disk: SharedDisk,
}

/// How the service works.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// How often a source is looked at.
    pub poll: Lag,
    /// The wait before something that failed is tried again.
    pub retry: Lag,
    /// Newest logs that are never replayed.
    pub kept_back: u32,
    /// How often logs that are not needed any more are deleted.
    pub truncate: Lag,
    /// How addresses are reached.
    pub remote: RemoteConfig,
}

/// How sources at an address are reached. Passwords and keys are not kept here: they come from the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemoteConfig {
    /// SFTP: the private key to use instead of those of the ssh configuration.
    pub identity: Option<String>,
    /// SFTP: what to do about a host that is not known: `strict`, `add` or `accept`.
    pub known_hosts: Option<String>,
    /// S3, Google, Azure: the endpoint, if it is not that of the public cloud.
    pub endpoint: Option<String>,
}

impl Default for Service {
    fn default() -> Self {
        Service {
            poll: Lag::from_seconds(1),
            retry: Lag::from_seconds(10),
            kept_back: KEPT_BACK,
            truncate: Lag::from_seconds(180),
            remote: RemoteConfig::default(),
        }
    }
}

/// One copy of a storage group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyConfig {
    /// Its name, unique in the configuration.
    pub name: String,
    /// The storage group that is copied, if it has another name: a group with several targets has several copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_group: Option<String>,
    /// How old a log must be to be replayed.
    #[serde(default = "default_replay_lag")]
    pub replay_lag: Lag,
    /// How much older it must be to be deleted.
    #[serde(default = "no_lag")]
    pub truncation_lag: Lag,
    /// Whether a log is deleted only when a backup has it, as the headers of the databases show.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wait_for_backup: bool,
    /// Rules of the product that it breaks on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<ProductRule>,
    /// What is copied.
    pub source: SourceConfig,
    /// Where to.
    pub target: TargetConfig,
}

fn default_replay_lag() -> Lag {
    Lag::DEFAULT_REPLAY
}

fn no_lag() -> Lag {
    Lag::ZERO
}

/// A storage group: one log stream and its database. It is only read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The server, as people call it.
    pub machine: String,
    /// Base name of the log stream: `E00`.
    pub base: String,
    /// Folder of the logs.
    pub logs: PathBuf,
    /// Folder of the checkpoint.
    pub system: PathBuf,
    /// The database.
    pub database: PathBuf,
    /// Whether only closed logs are to be expected there: it is a copy itself, and not where an engine works.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed_logs_only: bool,
    /// Whether the engine there works with circular logging, so that no log waits for a backup.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub circular: bool,
}

/// A rule that a configuration may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProductRule {
    /// Database and logs have the same paths on source and target.
    SamePaths,
    /// Source and target are two machines.
    TwoMachines,
    /// No local replication (LCR) on a machine that is a target.
    NoLcrOnTarget,
    /// At most four targets of one source.
    FewTargets,
    /// At most 50 copies on one target machine, 5 with the Standard edition.
    FewCopies,
    /// The newest 50 logs are not replayed.
    KeptBack,
}

impl ProductRule {
    /// All of them.
    pub const ALL: [ProductRule; 6] = [
        ProductRule::SamePaths,
        ProductRule::TwoMachines,
        ProductRule::NoLcrOnTarget,
        ProductRule::FewTargets,
        ProductRule::FewCopies,
        ProductRule::KeptBack,
    ];

    /// As it is written in a configuration and on a command line.
    pub fn name(self) -> &'static str {
        match self {
            ProductRule::SamePaths => "same-paths",
            ProductRule::TwoMachines => "two-machines",
            ProductRule::NoLcrOnTarget => "no-lcr-on-target",
            ProductRule::FewTargets => "few-targets",
            ProductRule::FewCopies => "few-copies",
            ProductRule::KeptBack => "kept-back",
        }
    }
}

/// The folders of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// The server, as people call it.
    pub machine: String,
    /// Folder of the inspected logs.
    pub logs: PathBuf,
    /// Folder of the checkpoint.
    pub system: PathBuf,
    /// The copy of the database.
    pub database: PathBuf,
    /// Folder for logs that are not inspected yet, in the file system of the logs; `inspector` in their folder unless
    /// it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspector: Option<PathBuf>,
}

impl TargetConfig {
    /// Folder for logs that are not inspected yet.
    pub fn inspector(&self) -> PathBuf {
        let given = self.inspector.clone();
        given.unwrap_or_else(|| self.logs.join("inspector"))
    }
}

impl Configuration {
    /// Reads and checks the configuration at `path`.
    pub fn load(path: &Path) -> Result<Self, StandbyError> {
        let text = fs::read_to_string(path).map_err(at(path))?;
        let mut configuration: Configuration =
            toml_edit::de::from_str(&text).map_err(|error| StandbyError::Configuration {
                path: path.to_owned(),
                problem: error.to_string().trim_end().to_owned(),
            })?;
        configuration.settle_in(path);
        configuration.check()?;
        Ok(configuration)
    }

    /// What follows from where the file lies and from the copies together.
    fn settle_in(&mut self, path: &Path) {
        if let Some(folder) = path.parent() {
            self.state = folder.join(&self.state);
        }
        let targets: BTreeSet<PathBuf> = self
            .copies
            .iter()
            .map(|copy| copy.target.logs.clone())
            .collect();
        for copy in &mut self.copies {
            copy.source.closed_logs_only |= targets.contains(&copy.source.logs);
        }
    }

    /// The state of this copy.
    pub fn state_of(&self, copy: &CopyConfig) -> StateFile {
        StateFile::new(&self.disk, &self.state, copy.file_name())
    }

    /// The copy called `name`; case does not matter.
    pub fn copy(&self, name: &str) -> Result<&CopyConfig, StandbyError> {
        let mut copies = self.copies.iter();
        let found = copies.find(|copy| copy.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| StandbyError::NoCopy {
            name: name.to_owned(),
            known: self.copies.iter().map(|copy| copy.name.clone()).collect(),
        })
    }

    /// The copies that are made of the stream `base` in `folder`.
    pub fn copies_of(&self, folder: &Path, base: &str) -> impl Iterator<Item = &CopyConfig> {
        self.copies.iter().filter(move |copy| {
            copy.source.logs == folder && copy.source.base.eq_ignore_ascii_case(base)
        })
    }

    fn check(&self) -> Result<(), StandbyError> {
        let mut names = BTreeSet::new();
        let mut folders: BTreeMap<&Path, &str> = BTreeMap::new();
        for copy in &self.copies {
            copy.check()?;
            if !names.insert(copy.name.to_ascii_lowercase()) {
                let name = copy.name.clone();
                return Err(StandbyError::Exists { name });
            }
            for folder in [&*copy.target.logs, &*copy.target.database] {
                if let Some(other) = folders.insert(folder, &copy.name) {
                    return Err(copy.wrong(format!("copy {other:?} has {} too", folder.display())));
                }
            }
        }
        Ok(())
    }
}

impl CopyConfig {
    /// The name of the storage group that is copied.
    pub fn group(&self) -> &str {
        self.storage_group.as_deref().unwrap_or(&self.name)
    }

    /// The name of the files that keep its state.
    pub fn file_name(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    fn wrong(&self, problem: impl Into<String>) -> StandbyError {
        StandbyError::Copy {
            name: self.name.clone(),
            problem: problem.into(),
        }
    }

    fn check(&self) -> Result<(), StandbyError> {
        let plain = |char: char| char.is_ascii_alphanumeric() || " -_.".contains(char);
        let name = &self.name;
        if name.is_empty()
            || name.len() > 64
            || name.starts_with(['.', ' '])
            || !name.chars().all(plain)
        {
            return Err(self.wrong("a name is up to 64 letters, digits, spaces, '-', '_' and '.'; its state file gets this name"));
        }
        if self.source.base.chars().count() != ese_log::BASE_NAME_LENGTH {
            return Err(self.wrong("the base name of a log stream has three characters, as in E00"));
        }
        let source = [
            &self.source.logs,
            &self.source.system,
            &self.source.database,
        ];
        let inspector = self.target.inspector();
        let target = [
            &self.target.logs,
            &self.target.system,
            &self.target.database,
            &inspector,
        ];
        let addresses = source.iter().filter(|path| is_address(path)).count();
        if addresses != 0 && addresses != source.len() {
            return Err(
                self.wrong("logs, system and database of a source are all paths or all addresses")
            );
        }
        if source.iter().any(|path| has_password(path)) {
            return Err(self.wrong(
                "a password does not belong in the configuration: EDBCOPY_PASSWORD holds it",
            ));
        }
        if self.source.base.eq_ignore_ascii_case(RECOVERY_GROUP) {
            return Err(
                self.wrong("R00 is the log of a recovery storage group, which is not replicated")
            );
        }
        let source_paths = source.into_iter().filter(|path| !is_address(path));
        if let Some(path) = source_paths.chain(target).find(|path| !path.is_absolute()) {
            return Err(self.wrong(format!("{} is not an absolute path", path.display())));
        }
        for path in target {
            let inside = |folder: &&PathBuf| path.starts_with(folder);
            if let Some(folder) = source.iter().copied().find(inside) {
                return Err(self.wrong(format!(
                    "{} is at the source, in {}; nothing is ever written there",
                    path.display(),
                    folder.display()
                )));
            }
        }
        if inspector == self.target.logs {
            return Err(self.wrong("logs that are not inspected yet need a folder of their own"));
        }
        Ok(())
    }
}

/// Adds a copy to the configuration at `path`, which is made if there is none; what is there stays as it is.
pub fn add_copy(disk: &dyn Disk, path: &Path, copy: &CopyConfig) -> Result<(), StandbyError> {
    let new = table(copy);
    edit(disk, path, |copies| {
        copies.push(new?);
        Ok(())
    })
}

/// What the configuration at `path` would be with this copy; nothing is written.
pub fn with_copy(path: &Path, copy: &CopyConfig) -> Result<Configuration, StandbyError> {
    let new = table(copy);
    let (_, mut configuration) = edited(path, |copies| {
        copies.push(new?);
        Ok(())
    })?;
    configuration.settle_in(path);
    Ok(configuration)
}

/// A copy as it is written.
fn table(copy: &CopyConfig) -> Result<toml_edit::Table, String> {
    let item = toml_edit::ser::to_document(copy).map_err(|error| error.to_string())?;
    let mut table = item.as_table().clone();
    for part in ["source", "target"] {
        if let Some(Item::Table(inner)) = table.get(part).cloned() {
            let inline = toml_edit::value(inner.into_inline_table());
            table.insert(part, inline);
        }
    }
    Ok(table)
}

/// Puts `copy` in the place of the copy that has its name in the configuration at `path`.
pub fn replace_copy(disk: &dyn Disk, path: &Path, copy: &CopyConfig) -> Result<(), StandbyError> {
    let new = table(copy);
    edit(disk, path, |copies| {
        let new = new?;
        let is_it = |found: &toml_edit::Table| {
            let name = found.get("name").and_then(Item::as_str);
            name.is_some_and(|name| name.eq_ignore_ascii_case(&copy.name))
        };
        let place = copies.iter_mut().find(|found| is_it(found));
        let place = place.ok_or_else(|| format!("there is no copy {:?}", copy.name))?;
        // What a person wrote above the copy stays.
        let decor = place.decor().clone();
        *place = new;
        *place.decor_mut() = decor;
        Ok(())
    })
}

/// Takes a copy out of the configuration at `path`.
pub fn remove_copy(disk: &dyn Disk, path: &Path, name: &str) -> Result<(), StandbyError> {
    edit(disk, path, |copies| {
        copies.retain(|copy| {
            let found = copy.get("name").and_then(Item::as_str);
            !found.is_some_and(|found| found.eq_ignore_ascii_case(name))
        });
        Ok(())
    })
}

/// Changes the copies of the configuration at `path`. The result is checked before it replaces the file.
fn edit(
    disk: &dyn Disk,
    path: &Path,
    change: impl FnOnce(&mut ArrayOfTables) -> Result<(), String>,
) -> Result<(), StandbyError> {
    let (text, _) = edited(path, change)?;
    replace_file(disk, path, text.as_bytes())
}

/// The text of the configuration at `path` after a change, checked.
fn edited(
    path: &Path,
    change: impl FnOnce(&mut ArrayOfTables) -> Result<(), String>,
) -> Result<(String, Configuration), StandbyError> {
    let wrong = |problem: String| StandbyError::Configuration {
        path: path.to_owned(),
        problem,
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => "state = \"state\"\n".to_owned(),
        Err(error) => return Err(at(path)(error)),
    };
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| wrong(error.to_string()))?;
    let copies = document
        .entry("copy")
        .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(copies) = copies.as_array_of_tables_mut() else {
        return Err(wrong(
            "`copy` is not a list of tables: write [[copy]]".to_owned(),
        ));
    };
    change(copies).map_err(wrong)?;
    let text = document.to_string();
    let result: Configuration =
        toml_edit::de::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    result.check()?;
    Ok((text, result))
}

/// Whether the address holds a password, or held one on the command line of this process.
fn has_password(place: &Path) -> bool {
    let text = place.to_string_lossy();
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
    #[cfg(feature = "remote")]
    if evidence_remote::keyring::holds(&text) {
        return true;
    }
    login.contains(':')
}
