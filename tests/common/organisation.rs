//! A model of an Exchange organisation: storage groups, databases, mailboxes, and servers whose folders are folders of this
//! machine. It plays the cmdlets of our runbooks, and runs our programs.
//!
//! It is strict where a server would be: it asks where nobody said not to, mounts nothing that is dirty, has another log
//! stream in its folder or is missing, and changes no path of what is mounted. A database that it mounts gets a log stream as
//! a server begins one.

use crate::exchange::Exchange;
use crate::powershell::{Call, Host, Value};
use ese_checksum::header_checksum;
use ese_format::Lgpos;
use ese_format::database::{DatabaseHeader, DatabaseState, HEADERS_MAX, HeaderCopies};
use ese_format::log::{HEADER_SIZE, LogHeader};
use ese_format::record::Record;
use ese_log::LogImage;
use ese_testkit::growing::accumulated;
use ese_testkit::logs::{records_of, seal_header, write_segments};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every server calls the folder of the storage group.
pub(crate) const FOLDER: &str = "E:\\SG1";
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) logs: String,
    pub(crate) system: String,
    pub(crate) prefix: String,
    /// Targets of the product's own replication.
    pub(crate) standbys: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Database {
    pub(crate) file: String,
    pub(crate) mounted: bool,
    created: bool,
    /// Another file may be mounted in place of the one that was mounted last.
    allow_restore: bool,
    /// The header of that one as it was dismounted.
    last: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mailbox {
    class: &'static str,
    pub(crate) home: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Organisation {
    root: PathBuf,
    /// The machine at which scripts are run.
    pub(crate) here: &'static str,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) databases: BTreeMap<String, Database>,
    pub(crate) mailboxes: BTreeMap<&'static str, Mailbox>,
    /// Log streams that were begun.
    streams: u32,
    /// A log whose header others are made from.
    log: Vec<u8>,
    /// What every log holds: a record of that log which changes no database.
    records: Vec<Vec<u8>>,
}

impl Organisation {
    /// SRV1 serves SG1; SRV2 has a storage group of its own if the next one is to have the prefix E01.
    pub(crate) fn new(site: &Exchange, own_group: bool) -> Self {
        let group = |prefix: &str, folder: &str| Group {
            logs: folder.to_owned(),
            system: folder.to_owned(),
            prefix: prefix.to_owned(),
            standbys: Vec::new(),
        };
        let mut groups = BTreeMap::from([("SRV1\\SG1".to_owned(), group("E00", FOLDER))]);
        if own_group {
            groups.insert("SRV2\\Own".to_owned(), group("E00", "F:\\Own"));
        }
        let first = Database {
            file: format!("{FOLDER}\\MBX1.edb"),
            mounted: true,
            created: true,
            allow_restore: false,
            last: None,
        };
        let mailbox = |class| Mailbox {
            class,
            home: "SRV1\\SG1\\MBX1".to_owned(),
        };
        let log = site.generation(1);
        let mut records = records_of(&LogImage::read(&log).unwrap());
        records.truncate(1);
        // An engine that ends leaves a mark, whose place the header of its database gets.
        records.insert(0, Record::ShutDownMark.encode().unwrap());
        Organisation {
            root: site.folder.path().to_owned(),
            here: "SRV2",
            groups,
            databases: BTreeMap::from([("SRV1\\SG1\\MBX1".to_owned(), first)]),
            mailboxes: BTreeMap::from([
                ("anna", mailbox("user")),
                ("bert", mailbox("user")),
                ("SystemMailbox", mailbox("ExOleDbSystemMailbox")),
                ("Attendant", mailbox("SystemAttendantMailbox")),
            ]),
            streams: 0,
            log: fs::read(log).unwrap(),
            records,
        }
    }

    /// Users whose home is this database.
    pub(crate) fn users_of(&self, database: &str) -> usize {
        let users = self
            .mailboxes
            .values()
            .filter(|mailbox| mailbox.class == "user");
        users.filter(|mailbox| mailbox.home == database).count()
    }

    /// Where a path of a server lies on this machine.
    fn local(&self, machine: &str, path: &str) -> PathBuf {
        let folder = machine.to_ascii_lowercase();
        let rest = path
            .strip_prefix(FOLDER)
            .unwrap_or_else(|| panic!("{path} is not a path of {machine}"));
        // `E:\SG1-new` lies beside the folder.
        self.root
            .join(format!("{folder}{}", rest.replace('\\', "/")))
    }

    fn group_of(&self, database: &str) -> &Group {
        let (group, _) = database.rsplit_once('\\').unwrap();
        &self.groups[group]
    }

    fn mount(&mut self, identity: &str) -> Result<(), String> {
        let database = self
            .databases
            .get(identity)
            .ok_or("no such database")?
            .clone();
        if database.mounted {
            return Err(format!("{identity} is mounted already"));
        }
        let machine = identity.split('\\').next().unwrap().to_owned();
        let group = self.group_of(identity);
        let (prefix, file) = (group.prefix.clone(), self.local(&machine, &database.file));
        let folder = self.local(&machine, &group.logs);
        let logs = logs_of(&folder, &prefix);
        if !file.exists() {
            if database.created {
                return Err(format!(
                    "asks whether to make {} anew, empty",
                    database.file
                ));
            }
            fs::write(&file, b"an empty database").unwrap();
            fs::write(folder.join(format!("{prefix}.log")), b"its log").unwrap();
            fs::write(folder.join(format!("{prefix}.chk")), b"its checkpoint").unwrap();
            let entry = self.databases.get_mut(identity).unwrap();
            (entry.created, entry.mounted) = (true, true);
            return Ok(());
        }
        let header = header(&file).ok_or("-1206: it is not a database")?;
        if header.state != DatabaseState::CLEAN_SHUTDOWN {
            return Err(format!(
                "-550: {} is in the state {}",
                database.file, header.state
            ));
        }
        if database.last.as_ref() != Some(&mark(&header)) && !database.allow_restore {
            return Err(format!(
                "-1216: {} is not the file that was mounted last",
                database.file
            ));
        }
        let current = folder.join(format!("{prefix}.log"));
        match (current.exists(), logs.is_empty()) {
            (true, _) => {
                let log = fs::read(&current).unwrap();
                let found = LogHeader::read(&log).map_err(|error| error.to_string())?;
                if found.as_read().signature != header.log_signature {
                    return Err("-530: the logs belong to another stream".into());
                }
                self.roll(&folder, &prefix);
            }
            (false, true) => self.begin_stream(&folder, &prefix),
            (false, false) => return Err("-528: the current log is missing".into()),
        }
        let log = fs::read(&current).unwrap();
        change_header(&file, |header| {
            header[52..56].copy_from_slice(&DatabaseState::DIRTY_SHUTDOWN.0.to_le_bytes());
            header[108..136].copy_from_slice(&log[44..72]);
            header[80..88].copy_from_slice(&place(&log));
            header[296..300].copy_from_slice(&log[4..8]);
            header[300..304].copy_from_slice(&log[4..8]);
        });
        let entry = self.databases.get_mut(identity).unwrap();
        (entry.mounted, entry.allow_restore) = (true, false);
        Ok(())
    }

    fn dismount(&mut self, identity: &str) -> Result<(), String> {
        let database = self
            .databases
            .get(identity)
            .ok_or("no such database")?
            .clone();
        if !database.mounted {
            return Err(format!("{identity} is not mounted"));
        }
        let machine = identity.split('\\').next().unwrap();
        let group = self.group_of(identity);
        let file = self.local(machine, &database.file);
        let current = self
            .local(machine, &group.logs)
            .join(format!("{}.log", group.prefix));
        if header(&file).is_some_and(|header| header.state == DatabaseState::DIRTY_SHUTDOWN) {
            let log = fs::read(current).unwrap();
            change_header(&file, |header| {
                header[52..56].copy_from_slice(&DatabaseState::CLEAN_SHUTDOWN.0.to_le_bytes());
                header[56..64].copy_from_slice(&place(&log));
                header[96..104].copy_from_slice(&place(&log));
                header[296..304].fill(0);
            });
        }
        let last = header(&file).map(|header| mark(&header));
        let entry = self.databases.get_mut(identity).unwrap();
        (entry.mounted, entry.last) = (false, last);
        Ok(())
    }

    /// Begins a log stream with a signature of its own.
    fn begin_stream(&mut self, folder: &Path, prefix: &str) {
        self.streams += 1;
        let mut header = self.log[..HEADER_SIZE].to_vec();
        header[44..48].copy_from_slice(&(0x5ca1_ab1e + self.streams).to_le_bytes());
        header[4..8].copy_from_slice(&1u32.to_le_bytes());
        header[24..32].fill(0);
        header[653..661].fill(0);
        // No database is attached yet.
        header[671..671 + 2048].fill(0);
        seal_header(&mut header);
        fs::write(
            folder.join(format!("{prefix}.log")),
            write_segments(&header, &self.records),
        )
        .unwrap();
    }

    /// Closes the current log and begins the next one.
    fn roll(&mut self, folder: &Path, prefix: &str) {
        let current = folder.join(format!("{prefix}.log"));
        let log = fs::read(&current).unwrap();
        let mut header = log[..HEADER_SIZE].to_vec();
        let generation = u32::from_le_bytes(log[4..8].try_into().unwrap());
        header[4..8].copy_from_slice(&(generation + 1).to_le_bytes());
        header[24..32].copy_from_slice(&log[16..24]);
        // A second later.
        header[16] = (header[16] + 1) % 60;
        header[653..661].copy_from_slice(&accumulated(&log).to_le_bytes());
        seal_header(&mut header);
        fs::rename(
            &current,
            folder.join(format!("{prefix}{generation:08X}.log")),
        )
        .unwrap();
        fs::write(&current, write_segments(&header, &self.records)).unwrap();
    }

    fn group(&self, identity: &str) -> Value {
        let group = &self.groups[identity];
        let text = |text: &str| Value::Text(text.to_owned());
        Value::Object(BTreeMap::from([
            ("Identity", text(identity)),
            ("LogFolderPath", text(&group.logs)),
            ("SystemFolderPath", text(&group.system)),
            ("LogFilePrefix", text(&group.prefix)),
            ("StandbyMachines", Value::Text(group.standbys.concat())),
        ]))
    }

    fn database(&self, identity: &str, status: bool) -> Value {
        let database = &self.databases[identity];
        // Without -Status the server is not asked.
        let mounted = match status {
            true => Value::Truth(database.mounted),
            false => Value::Nothing,
        };
        Value::Object(BTreeMap::from([
            ("Identity", Value::Text(identity.to_owned())),
            ("EdbFilePath", Value::Text(database.file.clone())),
            ("Mounted", mounted),
            ("DatabaseCreated", Value::Truth(database.created)),
        ]))
    }

    fn file(&self, server_path: &str) -> Value {
        let name = server_path.rsplit('\\').next().unwrap().to_owned();
        let extension = name
            .rfind('.')
            .map_or(String::new(), |dot| name[dot..].to_owned());
        let is_folder = self.local(self.here, server_path).is_dir();
        Value::Object(BTreeMap::from([
            ("Identity", Value::Text(server_path.to_owned())),
            ("Name", Value::Text(name)),
            ("Extension", Value::Text(extension)),
            ("PSIsContainer", Value::Truth(is_folder)),
        ]))
    }

    fn files_in(&self, folder: &str, filter: &str) -> Result<Vec<Value>, String> {
        let entries =
            fs::read_dir(self.local(self.here, folder)).map_err(|error| error.to_string())?;
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let start = filter.trim_end_matches('*').to_ascii_lowercase();
        let mut names: Vec<String> = names
            .filter(|name| name.to_ascii_lowercase().starts_with(&start))
            .collect();
        names.sort();
        Ok(names
            .iter()
            .map(|name| self.file(&format!("{folder}\\{name}")))
            .collect())
    }

    fn directory(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        let get = |name: &str| call.parameters.get(name).map(Value::text);
        let need = |name: &str| get(name).ok_or(format!("-{name} is missing"));
        let on = |server: &str, identity: &&String| identity.starts_with(&format!("{server}\\"));
        let status = get("status").is_some();
        match &*call.name {
            "Get-StorageGroup" => match (get("server"), get("identity")) {
                (Some(server), _) => {
                    let found = self.groups.keys().filter(|identity| on(&server, identity));
                    Ok(found.map(|identity| self.group(identity)).collect())
                }
                (_, Some(identity)) if self.groups.contains_key(&identity) => {
                    Ok(vec![self.group(&identity)])
                }
                (_, identity) => Err(format!("{identity:?} could not be found")),
            },
            "Get-MailboxDatabase" => match (get("server"), get("identity")) {
                (Some(server), _) => {
                    let found = self
                        .databases
                        .keys()
                        .filter(|identity| on(&server, identity));
                    Ok(found
                        .map(|identity| self.database(identity, status))
                        .collect())
                }
                (_, Some(identity)) if self.databases.contains_key(&identity) => {
                    Ok(vec![self.database(&identity, status)])
                }
                (_, identity) => Err(format!("{identity:?} could not be found")),
            },
            "Get-Mailbox" => {
                let database = need("database")?;
                if !self.databases.contains_key(&database) {
                    return Err(format!("{database} could not be found"));
                }
                let found = self
                    .mailboxes
                    .iter()
                    .filter(|(_, mailbox)| mailbox.home == database);
                let shown = found.map(|(name, mailbox)| {
                    Value::Object(BTreeMap::from([
                        ("Identity", Value::Text((*name).to_owned())),
                        ("ObjectClass", Value::Text(mailbox.class.to_owned())),
                    ]))
                });
                Ok(shown.collect())
            }
            "New-StorageGroup" => {
                let (server, name) = (need("server")?, need("name")?);
                let taken: Vec<&str> = self
                    .groups
                    .iter()
                    .filter(|(identity, _)| on(&server, identity))
                    .map(|(_, group)| &*group.prefix)
                    .collect();
                let mut prefixes = (0..50).map(|number| format!("E{number:02}"));
                let prefix = prefixes.find(|prefix| !taken.contains(&&**prefix)).unwrap();
                let group = Group {
                    logs: need("logfolderpath")?,
                    system: need("systemfolderpath")?,
                    prefix,
                    standbys: Vec::new(),
                };
                match self.groups.insert(format!("{server}\\{name}"), group) {
                    None => Ok(Vec::new()),
                    Some(_) => Err(format!("{name} exists already")),
                }
            }
            "New-MailboxDatabase" => {
                let (group, name, file) =
                    (need("storagegroup")?, need("name")?, need("edbfilepath")?);
                let database = Database {
                    file,
                    mounted: false,
                    created: false,
                    allow_restore: false,
                    last: None,
                };
                if !self.groups.contains_key(&group) {
                    return Err(format!("{group} could not be found"));
                }
                match self.databases.insert(format!("{group}\\{name}"), database) {
                    None => Ok(Vec::new()),
                    Some(_) => Err(format!("{name} exists already")),
                }
            }
            "Set-MailboxDatabase" => {
                let allowed = need("allowfilerestore")? == "True";
                let database = self
                    .databases
                    .get_mut(&need("identity")?)
                    .ok_or("no such database")?;
                database.allow_restore = allowed;
                Ok(Vec::new())
            }
            "Mount-Database" => self.mount(&need("identity")?).map(|()| Vec::new()),
            "Dismount-Database" => self.dismount(&need("identity")?).map(|()| Vec::new()),
            "Move-StorageGroupPath" => {
                need("configurationonly")?;
                let identity = need("identity")?;
                let inside = format!("{identity}\\");
                let mut databases = self.databases.iter();
                if databases.any(|(name, database)| name.starts_with(&inside) && database.mounted) {
                    return Err(format!("a database of {identity} is mounted"));
                }
                let group = self.groups.get_mut(&identity).ok_or("no such group")?;
                let (logs, system) = (need("logfolderpath")?, need("systemfolderpath")?);
                if (&group.logs, &group.system) == (&logs, &system) {
                    return Err("nothing would change".into());
                }
                (group.logs, group.system) = (logs, system);
                Ok(Vec::new())
            }
            "Move-DatabasePath" => {
                need("configurationonly")?;
                let (identity, file) = (need("identity")?, need("edbfilepath")?);
                let database = self
                    .databases
                    .get_mut(&identity)
                    .ok_or("no such database")?;
                if database.mounted || database.file == file {
                    return Err(format!("{identity} is mounted, or has this path"));
                }
                database.file = file;
                Ok(Vec::new())
            }
            "Move-Mailbox" => {
                need("configurationonly")?;
                let target = need("targetdatabase")?;
                if !self.databases.contains_key(&target) {
                    return Err(format!("{target} could not be found"));
                }
                for mailbox in &call.input {
                    let name = mailbox.text();
                    let mut found = self
                        .mailboxes
                        .iter_mut()
                        .filter(|(other, _)| **other == name);
                    found.next().unwrap().1.home.clone_from(&target);
                }
                Ok(Vec::new())
            }
            "Restore-StorageGroupCopy" => {
                let there = self.root.join("srv1").exists();
                if !there && get("force").is_none() {
                    return Err("the source cannot be reached".into());
                }
                let standby = need("standbymachine")?;
                let group = self
                    .groups
                    .get_mut(&need("identity")?)
                    .ok_or("no such group")?;
                group.standbys.retain(|machine| *machine != standby);
                Ok(Vec::new())
            }
            other => Err(format!("{other} is not known here")),
        }
    }

    fn on_disk(&mut self, call: &Call) -> Option<Result<Vec<Value>, String>> {
        let get = |name: &str| call.parameters.get(name).map(Value::text);
        let path = get("literalpath").or_else(|| get("path"));
        let one = || self.local(self.here, path.as_ref().unwrap());
        let io = |result: std::io::Result<()>| {
            result
                .map(|()| Vec::new())
                .map_err(|error| error.to_string())
        };
        Some(match &*call.name {
            "Test-Path" => Ok(vec![Value::Truth(one().exists())]),
            "New-Item" => io(fs::create_dir(one())),
            "Get-Item" if one().exists() => Ok(vec![self.file(&path.unwrap())]),
            "Get-Item" => Err("it is not there".into()),
            "Get-ChildItem" => self.files_in(&path.unwrap(), &get("filter").unwrap_or_default()),
            "Remove-Item" => {
                let from_pipe = call.input.iter().map(Value::text);
                let mut paths = from_pipe.chain(path);
                let failed = paths.find_map(|path| {
                    let place = self.local(self.here, &path);
                    let removed = match place.is_dir() && get("recurse").is_some() {
                        true => fs::remove_dir_all(place),
                        false => fs::remove_file(place),
                    };
                    removed.err().map(|error| format!("{path}: {error}"))
                });
                failed.map_or(Ok(Vec::new()), Err)
            }
            "Move-Item" => {
                let folder = self.local(self.here, &get("destination").unwrap());
                for path in call.input.iter().map(Value::text) {
                    let from = self.local(self.here, &path);
                    let to = folder.join(from.file_name().unwrap());
                    if to.exists() {
                        return Some(Err(format!("{} is there already", to.display())));
                    }
                    fs::rename(from, to).unwrap();
                }
                Ok(Vec::new())
            }
            _ => return None,
        })
    }
}

impl Host for Organisation {
    fn cmdlet(&mut self, call: &Call) -> Result<Vec<Value>, String> {
        if let Some(done) = self.on_disk(call) {
            return done;
        }
        let asks = !call.name.starts_with("Get-");
        if asks && call.parameters.get("confirm") != Some(&Value::Truth(false)) {
            return Err("it asks whether to go on".into());
        }
        self.directory(call)
    }

    fn program(&mut self, call: &Call) -> Option<(i64, String)> {
        let path = match &*call.name {
            "scr" => env!("CARGO_BIN_EXE_scr"),
            "edbtool" => env!("CARGO_BIN_EXE_edbtool"),
            "logchain" => env!("CARGO_BIN_EXE_logchain"),
            _ => return None,
        };
        let output = Command::new(path).args(&call.words).output().unwrap();
        let (out, error) = (output.stdout, output.stderr);
        let said = [out, error].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Some((i64::from(output.status.code().unwrap()), said.concat()))
    }
}

/// The header of a database, if it is one.
fn header(path: &Path) -> Option<DatabaseHeader> {
    let bytes = fs::read(path).ok()?;
    let start = &bytes[..bytes.len().min(HEADERS_MAX)];
    Some(HeaderCopies::read(start).good()?.fields.clone())
}

/// What tells this state of a database from others.
fn mark(header: &DatabaseHeader) -> String {
    format!(
        "{} {} {}",
        header.signature, header.log_signature, header.last_consistent
    )
}

/// Changes both copies of a database's header.
fn change_header(path: &Path, change: impl Fn(&mut [u8])) {
    let mut bytes = fs::read(path).unwrap();
    let size = u32::from_le_bytes(bytes[236..240].try_into().unwrap()) as usize;
    for header in bytes.chunks_exact_mut(size).take(2) {
        change(header);
        let sum = header_checksum(header);
        header[..4].copy_from_slice(&sum.to_le_bytes());
    }
    fs::write(path, bytes).unwrap();
}

/// Numbered logs and the current one.
fn logs_of(folder: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with(prefix) && name.ends_with(".log"))
        .collect()
}

/// The place of the first record of a log.
fn place(log: &[u8]) -> [u8; 8] {
    let generation = u32::from_le_bytes(log[4..8].try_into().unwrap());
    Lgpos::new(generation, 1, 0).to_bytes()
}
