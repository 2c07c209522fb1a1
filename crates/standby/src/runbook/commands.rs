//! The commands that steps are made of, and the names in them, each quoted.
//!
//! Paths on lines of our own programs are those of this machine; paths on lines of cmdlets are the servers'.

use super::quote::{argument, literal};
use super::{Facts, RunbookCommand, RunbookStep};
use std::path::Path;

/// Mailboxes that belong to the server and stay with it.
const SYSTEM_MAILBOXES: &str = "(SystemAttendantMailbox|ExOleDbSystemMailbox)";
/// What an engine leaves in a log folder: logs, checkpoint, reserve logs.
const LOG_FILES: &str = "-not $_.PSIsContainer -and '.log', '.chk', '.jrs' -contains $_.Extension";

pub(super) fn shell(line: impl Into<String>) -> RunbookCommand {
    RunbookCommand::Shell { line: line.into() }
}

/// A program of this toolkit that has to end without a finding.
pub(super) fn program(line: String) -> RunbookCommand {
    RunbookCommand::Program {
        line,
        accept: 0,
        says: None,
        refused: None,
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path as an argument of a program.
pub(super) fn local(path: &Path) -> String {
    argument(&text(path))
}

/// `name` in `folder`, written as the server writes paths.
fn join(folder: &str, name: &str) -> String {
    let windows = folder.contains('\\') || folder.chars().nth(1) == Some(':');
    let separator = if windows { '\\' } else { '/' };
    format!("{}{separator}{name}", folder.trim_end_matches(['/', '\\']))
}

/// The folder of a path that a server would write.
fn folder_of(path: &str) -> &str {
    let end = path.rfind(['/', '\\']).unwrap_or_default();
    match &path[..end] {
        "" if end < path.len() && path.starts_with(['/', '\\']) => &path[..1],
        "" => ".",
        drive if drive.ends_with(':') => &path[..=end],
        folder => folder,
    }
}

/// A database of the directory: the server that holds it, its storage group, and its own name.
pub(super) struct DirectoryDatabase<'a> {
    pub(super) machine: &'a str,
    pub(super) storage_group: &'a str,
    pub(super) database: &'a str,
}

impl DirectoryDatabase<'_> {
    fn name(&self) -> String {
        format!("{}\\{}", self.group_name(), self.database)
    }

    fn group_name(&self) -> String {
        format!("{}\\{}", self.machine, self.storage_group)
    }

    /// The database, as cmdlets name it.
    pub(super) fn identity(&self) -> String {
        literal(&self.name())
    }

    /// The storage group, as cmdlets name it.
    pub(super) fn group(&self) -> String {
        literal(&self.group_name())
    }

    /// Whether the database is mounted.
    pub(super) fn mounted(&self) -> String {
        let identity = self.identity();
        format!("(Get-MailboxDatabase -Identity {identity} -Status).Mounted")
    }

    /// Whether the database has this file. A database that does not exist has none.
    pub(super) fn has_file(&self, file: &str) -> String {
        format!(
            "(Get-MailboxDatabase -Server {} | Where-Object {{ {} -eq $_.Identity -and {} -eq $_.EdbFilePath }})",
            literal(self.machine),
            self.identity(),
            literal(file)
        )
    }

    /// Stops unless the database has one of two files: before the procedure the first, after it the second.
    pub(super) fn must_have(&self, before: &str, after: &str) -> Vec<RunbookCommand> {
        let neither = literal(&format!(
            "{} has neither the file {before} nor {after}: this script is for another installation",
            self.name()
        ));
        let (identity, is_before, is_after) =
            (self.identity(), self.has_file(before), self.has_file(after));
        vec![
            shell(format!(
                "Get-MailboxDatabase -Identity {identity} | Format-List Identity,EdbFilePath"
            )),
            shell(format!(
                "if (-not {is_before} -and -not {is_after}) {{ throw {neither} }}"
            )),
        ]
    }

    /// Dismounts it if it is mounted, and makes sure that it is not.
    pub(super) fn dismount(&self) -> Vec<RunbookCommand> {
        let (identity, mounted) = (self.identity(), self.mounted());
        let still = literal(&format!("{} is still mounted", self.name()));
        vec![
            shell(format!(
                "if ({mounted}) {{ Dismount-Database -Identity {identity} -Confirm:$false }}"
            )),
            shell(format!("if ({mounted}) {{ throw {still} }}")),
        ]
    }

    /// Mounts it if it is not mounted, and makes sure that it is.
    pub(super) fn mount(&self) -> Vec<RunbookCommand> {
        let (identity, mounted) = (self.identity(), self.mounted());
        vec![
            shell(format!(
                "if (-not {mounted}) {{ Set-MailboxDatabase -Identity {identity} -AllowFileRestore $true \
                 -Confirm:$false; Mount-Database -Identity {identity} -Confirm:$false }}"
            )),
            self.must_be_mounted(),
        ]
    }

    /// Stops if it is not mounted.
    pub(super) fn must_be_mounted(&self) -> RunbookCommand {
        let mounted = self.mounted();
        let not = literal(&format!("{} is not mounted", self.name()));
        shell(format!("if (-not {mounted}) {{ throw {not} }}"))
    }

    /// Points group and database to other files; no file is moved. The database comes last: where it points says
    /// whether this was done.
    pub(super) fn point_to(&self, logs: &str, system: &str, file: &str) -> Vec<RunbookCommand> {
        let group = self.group();
        let (logs, system) = (literal(logs), literal(system));
        vec![
            shell(format!(
                "if ({logs} -ne (Get-StorageGroup -Identity {group}).LogFolderPath -or {system} -ne (Get-StorageGroup \
                 -Identity {group}).SystemFolderPath) {{ Move-StorageGroupPath -Identity {group} -LogFolderPath {logs} \
                 -SystemFolderPath {system} -ConfigurationOnly -Confirm:$false }}"
            )),
            shell(format!(
                "Move-DatabasePath -Identity {} -EdbFilePath {} -ConfigurationOnly -Confirm:$false",
                self.identity(),
                literal(file)
            )),
        ]
    }

    /// Keeps the first letters of the names of its logs in `$prefix`.
    pub(super) fn prefix(&self) -> RunbookCommand {
        let group = self.group();
        shell(format!(
            "$prefix = (Get-StorageGroup -Identity {group}).LogFilePrefix; Write-Host $prefix"
        ))
    }

    /// Users' mailboxes that have their home here.
    pub(super) fn users(&self) -> String {
        format!(
            "Get-Mailbox -Database {} -ResultSize Unlimited | Where-Object {{ $_.ObjectClass -NotMatch {} }}",
            self.identity(),
            literal(SYSTEM_MAILBOXES)
        )
    }

    /// Sends the mailboxes to another database: only the directory changes.
    pub(super) fn send_mailboxes(&self, to: &DirectoryDatabase) -> RunbookCommand {
        let (users, to) = (self.users(), to.identity());
        shell(format!(
            "{users} | Move-Mailbox -ConfigurationOnly -TargetDatabase {to} -Confirm:$false"
        ))
    }
}

/// Makes a folder if it is missing.
pub(super) fn make_folder(folder: &str) -> RunbookCommand {
    let folder = literal(folder);
    shell(format!(
        "if (-not (Test-Path -LiteralPath {folder})) {{ New-Item -ItemType Directory -Path {folder} | Out-Null }}"
    ))
}

/// The files of a log stream in a folder; `prefix` is quoted.
pub(super) fn logs_in(folder: &str, prefix: &str) -> String {
    format!(
        "Get-ChildItem -LiteralPath {} -Filter {prefix} | Where-Object {{ {LOG_FILES} }}",
        literal(folder)
    )
}

/// Does something with a path if it is there.
pub(super) fn if_there(path: &str, what: &str) -> RunbookCommand {
    let path = literal(path);
    shell(format!("if (Test-Path -LiteralPath {path}) {{ {what} }}"))
}

/// Removes a file if it is there.
pub(super) fn remove_file(path: &str) -> RunbookCommand {
    if_there(
        path,
        &format!("Remove-Item -LiteralPath {} -Confirm:$false", literal(path)),
    )
}

pub(super) fn step(
    machine: &str,
    title: &str,
    text: &str,
    commands: Vec<RunbookCommand>,
) -> RunbookStep {
    RunbookStep {
        title: title.to_owned(),
        machine: machine.to_owned(),
        text: text.to_owned(),
        when: None,
        commands,
    }
}

impl RunbookStep {
    /// The step is done only if this holds.
    pub(super) fn when(mut self, condition: impl Into<String>) -> RunbookStep {
        self.when = Some(condition.into());
        self
    }
}

impl Facts {
    /// `scr` for this configuration; what follows the subcommand are options and the name of the copy.
    pub(super) fn scr(&self, accept: u8, subcommand: &str, options: &[&str]) -> RunbookCommand {
        RunbookCommand::Program {
            line: self.scr_line(subcommand, options),
            accept,
            says: None,
            refused: None,
        }
    }

    pub(super) fn scr_line(&self, subcommand: &str, options: &[&str]) -> String {
        let mut line = format!(
            "scr --config {} {subcommand} {}",
            local(&self.config),
            argument(&self.copy.name)
        );
        for option in options {
            line.push(' ');
            line += option;
        }
        line
    }

    /// The database at the first server.
    pub(super) fn first(&self) -> DirectoryDatabase<'_> {
        DirectoryDatabase {
            machine: &self.copy.source.machine,
            storage_group: &self.storage_group,
            database: &self.database,
        }
    }

    /// The database that takes its place at the standby.
    pub(super) fn standby(&self) -> DirectoryDatabase<'_> {
        DirectoryDatabase {
            machine: &self.copy.target.machine,
            storage_group: &self.standby_storage_group,
            database: &self.standby_database,
        }
    }

    pub(super) fn at_source(
        &self,
        title: &str,
        text: &str,
        commands: Vec<RunbookCommand>,
    ) -> RunbookStep {
        step(&self.copy.source.machine, title, text, commands)
    }

    pub(super) fn at_target(
        &self,
        title: &str,
        text: &str,
        commands: Vec<RunbookCommand>,
    ) -> RunbookStep {
        step(&self.copy.target.machine, title, text, commands)
    }

    /// The activated database as the standby's server calls it.
    pub(super) fn activated_there(&self) -> String {
        self.on_server(&self.activated)
    }

    /// Whether the standby's database is the activated one: the failover has taken place, and no failback yet.
    pub(super) fn in_force(&self) -> String {
        self.standby().has_file(&self.activated_there())
    }

    /// Whether the standby's database has its own file again: the database was brought back.
    pub(super) fn at_rest(&self) -> String {
        self.standby().has_file(&self.own_file())
    }

    /// The folder of logs at the standby, as its server calls it.
    pub(super) fn logs_there(&self) -> String {
        self.on_server(&self.copy.target.logs)
    }

    pub(super) fn system_there(&self) -> String {
        self.on_server(&self.copy.target.system)
    }

    /// Folders at the standby with the files of log streams, each once.
    pub(super) fn log_folders(&self) -> Vec<String> {
        let mut folders = vec![self.logs_there(), self.system_there()];
        folders.dedup();
        folders
    }

    /// Where a failover keeps the old logs of the copy. That this folder is there also says that a failback is not
    /// finished.
    pub(super) fn aside(&self) -> String {
        beside(&self.logs_there(), "before-failover")
    }

    /// The own folder of the storage group that takes the database at the standby.
    pub(super) fn own_folder(&self) -> String {
        beside(&self.logs_there(), "new")
    }

    /// The own file of its database.
    pub(super) fn own_file(&self) -> String {
        join(
            &self.own_folder(),
            &format!("{}.edb", self.standby_database),
        )
    }

    /// Where the first server's database points while the standby stays the primary.
    pub(super) fn parked(&self) -> (String, String) {
        let folder = beside(&self.on_server(&self.copy.source.logs), "parked");
        let file = join(&folder, &format!("{}.edb", self.database));
        (folder, file)
    }

    /// The folder of the copy's database at the standby.
    pub(super) fn database_folder(&self) -> String {
        folder_of(&self.on_server(&self.copy.target.database)).to_owned()
    }

    /// Makes group and database at the standby, each only if it is missing.
    pub(super) fn make_placeholders(&self) -> Vec<RunbookCommand> {
        let standby = self.standby();
        let (group, database) = (standby.group(), standby.identity());
        let server = literal(&self.copy.target.machine);
        let own = literal(&self.own_folder());
        vec![
            make_folder(&self.own_folder()),
            shell(format!(
                "if (-not (Get-StorageGroup -Server {server} | Where-Object {{ {group} -eq $_.Identity }})) {{ \
                 New-StorageGroup -Server {server} -Name {} -LogFolderPath {own} -SystemFolderPath {own} -Confirm:$false | \
                 Out-Null }}",
                literal(&self.standby_storage_group)
            )),
            shell(format!(
                "if (-not (Get-MailboxDatabase -Server {server} | Where-Object {{ {database} -eq $_.Identity }})) {{ \
                 New-MailboxDatabase -StorageGroup {group} -Name {} -EdbFilePath {} -Confirm:$false | Out-Null }}",
                literal(&self.standby_database),
                literal(&self.own_file())
            )),
        ]
    }

    /// Whether a database is what it must be before it is mounted.
    pub(super) fn proof(&self, database: &Path) -> Vec<RunbookCommand> {
        let database = local(database);
        vec![
            program(format!("edbtool header --summary {database}")),
            program(format!("edbtool verify {database}")),
        ]
    }
}

/// The folder `FOLDER-NAME`; in the root of a drive, `NAME`.
fn beside(folder: &str, name: &str) -> String {
    match folder.trim_end_matches(['/', '\\']) {
        root if root.is_empty() || root.ends_with(':') => join(folder, name),
        folder => format!("{folder}-{name}"),
    }
}

/// A condition turned round.
pub(super) fn not(condition: &str) -> String {
    format!("-not {condition}")
}
