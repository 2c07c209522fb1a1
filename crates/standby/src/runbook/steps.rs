//! The steps of both procedures.

use super::quote::{argument, literal};
use super::{Command, Facts, Step};
use std::path::Path;

/// Mailboxes that belong to the server and stay with it.
const SYSTEM_MAILBOXES: &str = "(SystemAttendantMailbox|ExOleDbSystemMailbox)";

fn shell(line: impl Into<String>) -> Command {
    Command::Shell { line: line.into() }
}

/// A program of this toolkit that has to end without a finding.
fn program(line: String) -> Command {
    Command::Program { line, accept: 0 }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Facts {
    /// `scr` for this configuration; what follows the subcommand are options and the name of the copy.
    fn scr(&self, accept: u8, subcommand: &str, options: &[&str]) -> Command {
        let mut line = format!(
            "scr --config {} {subcommand} {}",
            argument(&text(&self.config)),
            argument(&self.copy.name)
        );
        for option in options {
            line.push(' ');
            line += option;
        }
        Command::Program { line, accept }
    }

    fn first(&self) -> String {
        literal(&format!(
            "{}\\{}\\{}",
            self.copy.source.machine, self.storage_group, self.database
        ))
    }

    fn first_group(&self) -> String {
        literal(&format!(
            "{}\\{}",
            self.copy.source.machine, self.storage_group
        ))
    }

    fn standby(&self) -> String {
        literal(&format!(
            "{}\\{}\\{}",
            self.copy.target.machine, self.standby_storage_group, self.standby_database
        ))
    }

    fn standby_group(&self) -> String {
        literal(&format!(
            "{}\\{}",
            self.copy.target.machine, self.standby_storage_group
        ))
    }

    fn at_source(&self, title: &str, text: &str, commands: Vec<Command>) -> Step {
        step(&self.copy.source.machine, title, text, commands)
    }

    fn at_target(&self, title: &str, text: &str, commands: Vec<Command>) -> Step {
        step(&self.copy.target.machine, title, text, commands)
    }

    /// Whether a database is what it must be before it is mounted.
    fn proof(&self, database: &Path) -> Vec<Command> {
        let database = argument(&text(database));
        vec![
            program(format!("edbtool header --summary {database}")),
            program(format!("edbtool verify {database}")),
        ]
    }
}

fn step(machine: &str, title: &str, text: &str, commands: Vec<Command>) -> Step {
    Step {
        title: title.to_owned(),
        machine: machine.to_owned(),
        text: text.to_owned(),
        commands,
    }
}

/// Mailboxes of one database are sent to another one: only the directory changes.
fn move_mailboxes(from: &str, to: &str) -> Command {
    shell(format!(
        "Get-Mailbox -Database {from} -ResultSize Unlimited | Where-Object {{ $_.ObjectClass -NotMatch {} }} | \
         Move-Mailbox -ConfigurationOnly -TargetDatabase {to} -Confirm:$false",
        literal(SYSTEM_MAILBOXES)
    ))
}

fn mount(database: &str) -> Vec<Command> {
    vec![
        shell(format!(
            "Set-MailboxDatabase -Identity {database} -AllowFileRestore $true"
        )),
        shell(format!("Mount-Database -Identity {database}")),
        shell(format!(
            "Get-MailboxDatabase -Identity {database} -Status | Format-List Name,Mounted"
        )),
    ]
}

pub(super) fn failover(facts: &Facts) -> Vec<Step> {
    let mut steps = vec![before_failover(facts)];
    if !facts.source_lost {
        steps.push(facts.at_source(
            "Dismount the database, if its server still answers",
            "What is dismounted loses nothing: the next steps fetch its last log.",
            vec![shell(format!(
                "Dismount-Database -Identity {} -Confirm:$false",
                facts.first()
            ))],
        ));
    }
    steps.push(end_own_replication(facts));
    steps.push(activate(facts));
    steps.push(facts.at_target(
        "Prove the database",
        "The first command has to say Clean Shutdown, the second that no page is damaged.",
        facts.proof(&facts.activated),
    ));
    steps.extend(take_over(facts));
    steps
}

fn before_failover(facts: &Facts) -> Step {
    let mut dry = vec!["--dry-run"];
    if facts.source_lost {
        dry.extend(["--force", "--try-source"]);
    }
    let logs = argument(&text(&facts.copy.target.logs));
    let database = argument(&text(&facts.copy.target.database));
    facts.at_target(
        "See how the copy stands, and what an activation would lose",
        "Nothing is changed. Decide with the loss report of the last command whether to go on.",
        vec![
            facts.scr(1, "status", &[]),
            Command::Program {
                line: format!("logchain verify {logs} --db {database}"),
                accept: 1,
            },
            facts.scr(1, "restore", &dry),
        ],
    )
}

fn end_own_replication(facts: &Facts) -> Step {
    let force = if facts.source_lost { " -Force" } else { "" };
    facts.at_target(
        "End the product's own replication, if it is enabled for this storage group",
        "Nothing happens if the storage group was replicated by scr only.",
        vec![shell(format!(
            "if ((Get-StorageGroup -Identity {group}).StandbyMachines) {{ Restore-StorageGroupCopy -Identity {group} \
             -StandbyMachine {}{force} }}",
            literal(&facts.copy.target.machine),
            group = facts.first_group()
        ))],
    )
}

fn activate(facts: &Facts) -> Step {
    let mut options = Vec::new();
    let to = argument(&text(&facts.activated));
    if facts.source_lost {
        options.extend(["--force", "--try-source"]);
    }
    if facts.activated != facts.copy.target.database {
        options.extend(["--to", to.as_str()]);
    }
    facts.at_target(
        "Activate the copy",
        "Fetches what the source still has, recovers the database, proves it, and prints the loss report: keep it. The last \
         line says whether the database can be mounted. Exit code 1 says that something is lost, and what.",
        vec![facts.scr(1, "restore", &options)],
    )
}

/// The standby's server gets the database, and the mailboxes with it.
fn take_over(facts: &Facts) -> Vec<Step> {
    let (source, target) = (&facts.copy.source, &facts.copy.target);
    let logs = facts.on_server(&target.logs);
    let (aside, new) = (format!("{logs}-before-failover"), format!("{logs}-new"));
    let edb = facts.on_server(&facts.activated);
    let group = facts.standby_group();
    let standby = facts.standby();
    vec![
        facts.at_target(
            "Put the old logs aside",
            "The database is clean and needs none; the server begins a new log stream. Keep them until the next backup.",
            vec![
                shell(format!("New-Item -ItemType Directory -Path {} | Out-Null", literal(&aside))),
                shell(format!(
                    "Get-ChildItem -LiteralPath {} -Filter {} | Where-Object {{ -not $_.PSIsContainer -and $_.Extension -ne \
                     {} }} | Move-Item -Destination {}",
                    literal(&logs),
                    literal(&format!("{}*", source.base)),
                    literal(".edb"),
                    literal(&aside)
                )),
            ],
        ),
        facts.at_target(
            "Make a storage group and a database that take it, unless they were made before",
            "They are made in a folder of their own; the next step points them to the files of the copy.",
            vec![
                shell(format!(
                    "New-StorageGroup -Server {} -Name {} -LogFolderPath {new} -SystemFolderPath {new}",
                    literal(&target.machine),
                    literal(&facts.standby_storage_group),
                    new = literal(&new)
                )),
                shell(format!(
                    "New-MailboxDatabase -StorageGroup {group} -Name {} -EdbFilePath {}",
                    literal(&facts.standby_database),
                    literal(&format!("{new}\\{}.edb", facts.standby_database))
                )),
            ],
        ),
        facts.at_target(
            "Point them to the files of the copy",
            "Only the configuration changes, no file is moved.",
            vec![
                shell(format!(
                    "Move-StorageGroupPath -Identity {group} -LogFolderPath {} -SystemFolderPath {} -ConfigurationOnly \
                     -Confirm:$false",
                    literal(&logs),
                    literal(&facts.on_server(&target.system))
                )),
                shell(format!(
                    "Move-DatabasePath -Identity {standby} -EdbFilePath {} -ConfigurationOnly -Confirm:$false",
                    literal(&edb)
                )),
            ],
        ),
        facts.at_target("Mount the database", "The last command has to say Mounted : True.", mount(&standby)),
        facts.at_target(
            "Send the mailboxes to it",
            "System mailboxes stay behind. Clients find their mailbox when the directory has replicated.",
            vec![move_mailboxes(&facts.first(), &standby)],
        ),
        facts.at_target(
            "See that the copy is not replicated any more",
            "It has to say Disabled. Back up the database now: nothing protects it until replication is set up again. When the \
             first server is back, `scr failback` makes it the standby of this one.",
            vec![facts.scr(1, "status", &[])],
        ),
    ]
}

pub(super) fn failback(facts: &Facts) -> Vec<Step> {
    let first = facts.first();
    let standby = facts.standby();
    let mut steps = vec![facts.at_target(
        "Dismount the database",
        "From here on to the mounting at the first server nobody can work.",
        vec![shell(format!(
            "Dismount-Database -Identity {standby} -Confirm:$false"
        ))],
    )];
    steps.push(facts.at_target(
        "Prove that it is clean",
        "The first command has to say Clean Shutdown, the second that no page is damaged.",
        facts.proof(&facts.activated),
    ));
    steps.push(facts.at_source(
        "See that the old database is dismounted at the first server",
        "It has to say Mounted : False, since its file is written to: dismount it if it does not.",
        vec![shell(format!(
            "Get-MailboxDatabase -Identity {first} -Status | Format-List Name,Mounted"
        ))],
    ));
    let from = argument(&text(&facts.activated));
    steps.push(facts.at_target(
        "Bring the database back",
        "Only pages that differ from the old database are written. It is read back and compared before the old logs at the \
         first server are removed. After an interruption the same command goes on.",
        vec![facts.scr(0, "failback", &["--home", "--from", &from])],
    ));
    steps.push(facts.at_source(
        "Prove what has arrived",
        "The same as before the copy.",
        facts.proof(&facts.copy.source.database),
    ));
    steps.push(facts.at_source(
        "Mount the database",
        "The last command has to say Mounted : True.",
        mount(&first),
    ));
    steps.push(facts.at_source(
        "Send the mailboxes back",
        "System mailboxes stay behind. Clients find their mailbox when the directory has replicated.",
        vec![move_mailboxes(&standby, &first)],
    ));
    steps.extend(protect_again(facts));
    steps
}

fn protect_again(facts: &Facts) -> Vec<Step> {
    let standby = facts.standby();
    vec![
        facts.at_target(
            "Remove what took the database at the standby",
            "Only the configuration; the files stay.",
            vec![
                shell(format!("Remove-MailboxDatabase -Identity {standby} -Confirm:$false")),
                shell(format!(
                    "Remove-StorageGroup -Identity {} -Confirm:$false",
                    facts.standby_group()
                )),
            ],
        ),
        facts.at_target(
            "Replicate again",
            "The first server has begun a new log stream, so the copy is seeded anew: dismount its database for the time of \
             the copy, or name a backup with --from. Only pages that differ are written.",
            vec![
                facts.scr(0, "update", &["--delete-existing-files"]),
                facts.scr(0, "check", &[]),
            ],
        ),
    ]
}
