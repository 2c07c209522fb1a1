//! Failover: the standby takes over.
//!
//! ```text
//! look -> dismount at the first server -> activate, prove -> old logs aside -> point SG1PORT to the copy -> mount -> mailboxes
//! |------------- nothing of the standby's server points to the copy -----------|--------------- in force --------------|
//! ```
//!
//! Where the standby's database points says how far it came: until then the files of the copy may be worked on, after that
//! they belong to the server.

use super::commands::{if_there, local, logs_in, make_folder, not, program, shell};
use super::quote::literal;
use super::{Facts, RunbookCommand, RunbookStep};

pub(super) fn steps(facts: &Facts) -> Vec<RunbookStep> {
    let not_yet = not(&facts.in_force());
    let standby = facts.standby();
    let mut steps = vec![look(facts).when(&not_yet)];
    if facts.source_lost {
        steps.push(check(facts).when(format!(
            "(Test-Path -LiteralPath {}) -and -not (Test-Path -LiteralPath {}) -and {not_yet}",
            literal(&facts.on_server(&facts.copy.target.database)),
            literal(&facts.aside())
        )));
    } else {
        steps.push(facts.at_source(
            "Dismount the database, if its server still answers",
            "What is dismounted loses nothing: the next steps fetch its last log.",
            facts.first().dismount(),
        ));
    }
    steps.push(end_own_replication(facts));
    steps.push(activate(facts).when(&not_yet));
    steps.push(
        facts
            .at_target(
                "Prove the database",
                "The first command has to say Clean Shutdown, the second that no page is damaged.",
                facts.proof(&facts.activated),
            )
            .when(&not_yet),
    );
    steps.push(old_logs_aside(facts).when(&not_yet));
    steps.push(facts.at_target(
        "Make a storage group and a database that take it, where they are missing",
        "They are made in a folder of their own; the next step points them to the files of the copy.",
        facts.make_placeholders(),
    ));
    let mut point = standby.dismount();
    point.extend(standby.point_to(
        &facts.logs_there(),
        &facts.system_there(),
        &facts.activated_there(),
    ));
    steps.push(
        facts
            .at_target(
                "Point them to the files of the copy",
                "Only the configuration changes, no file is moved.",
                point,
            )
            .when(&not_yet),
    );
    steps.push(
        facts
            .at_target(
                "Mount the database",
                "The server begins a new log stream in the folder of the logs.",
                standby.mount(),
            )
            .when(facts.in_force()),
    );
    steps.push(facts.at_target(
        "Send the mailboxes to it",
        "System mailboxes stay behind. Clients find their mailbox when the directory has replicated; Outlook 2003 and older \
         need their profile changed by hand.",
        vec![
            standby.must_be_mounted(),
            facts.first().send_mailboxes(&standby),
        ],
    ));
    steps.push(facts.at_target(
        "See that the copy is not replicated any more",
        "It has to say Disabled. Back up the database now: nothing protects it until replication is set up again, by \
         `scr runbook failback` or `scr runbook reverse`.",
        vec![facts.scr(1, "status", &[])],
    ));
    steps
}

/// What an activation would lose is for a person to judge.
fn look(facts: &Facts) -> RunbookStep {
    let mut dry = vec!["--dry-run"];
    if facts.source_lost {
        dry.extend(["--force", "--try-source"]);
    }
    facts.at_target(
        "See how the copy stands, and what an activation would lose",
        "Nothing is changed. Decide with the loss report of the last command whether to go on.",
        vec![facts.scr(1, "status", &[]), facts.scr(1, "restore", &dry)],
    )
}

/// With the first server lost, the logs that are here must do.
fn check(facts: &Facts) -> RunbookStep {
    let target = &facts.copy.target;
    let (logs, database) = (local(&target.logs), local(&target.database));
    facts.at_target(
        "See that the logs here bring the database to a consistent state",
        "It has to say READY, or READY WITH LOSS.",
        vec![program(format!(
            "logchain verify {logs} --db {database} --require ready-with-loss"
        ))],
    )
}

fn end_own_replication(facts: &Facts) -> RunbookStep {
    let force = if facts.source_lost { " -Force" } else { "" };
    facts.at_target(
        "End the product's own replication, if it is enabled for this storage group",
        "Nothing happens if the storage group was replicated by scr only.",
        vec![shell(format!(
            "if ((Get-StorageGroup -Identity {group}).StandbyMachines) {{ Restore-StorageGroupCopy -Identity {group} \
             -StandbyMachine {}{force} -Confirm:$false }}",
            literal(&facts.copy.target.machine),
            group = facts.first().group()
        ))],
    )
}

fn activate(facts: &Facts) -> RunbookStep {
    let mut options = Vec::new();
    let to = local(&facts.activated);
    if facts.source_lost {
        options.extend(["--force", "--try-source"]);
    }
    if facts.activated != facts.copy.target.database {
        options.extend(["--to", to.as_str()]);
    }
    facts.at_target(
        "Activate the copy",
        "Fetches what the source still has, recovers the database, proves it, and prints the loss report: keep it. Exit code 1 \
         says that something is lost, and what. The last line has to say that the database is mountable.",
        vec![RunbookCommand::Program {
            line: facts.scr_line("restore", &options),
            accept: 1,
            says: Some("Mountable +: Yes".to_owned()),
            refused: None,
        }],
    )
}

fn old_logs_aside(facts: &Facts) -> RunbookStep {
    let aside = facts.aside();
    let prefix = literal(&format!("{}*", facts.copy.source.base));
    let mut commands = vec![make_folder(&aside)];
    for folder in facts.log_folders() {
        let logs = logs_in(&folder, &prefix);
        let what = format!("{logs} | Move-Item -Destination {}", literal(&aside));
        commands.push(if_there(&folder, &what));
    }
    facts.at_target(
        "Put the old logs aside",
        "The database is clean and needs none; the server begins a new log stream. Keep them until the next backup.",
        commands,
    )
}
