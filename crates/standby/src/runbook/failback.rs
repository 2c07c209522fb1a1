//! Failback: the database goes back to the first server.
//!
//! ```text
//! dismount both -> what did the first server still have? -> bring back -> point SG1PORT to its own folder
//! |------------------------- the standby's database is the activated one -------------------------------|
//!     -> mount once, dismount -> clear the standby -> seed it -> mount -> mailboxes
//!        |--- `-before-failover` is there ---------------------|
//! ```
//!
//! A server that mounts a database without logs begins a new log stream, and only a database that was shut down can be seeded
//! from. So the database is mounted once, dismounted, and seeded before users come: only a few pages differ then. No later
//! step needs it dismounted.
//!
//! Two facts outside of the script say how far it came, so that it may be started again at any time: where the
//! standby's database points (brought back or not), and the folder of the old logs (seeded or not). Once seeded, what
//! users work on is never dismounted.

use super::commands::{if_there, local, logs_in, make_folder, not, remove_file, shell};
use super::quote::literal;
use super::{Facts, RunbookCommand, RunbookStep};

pub(super) fn steps(facts: &Facts) -> Vec<RunbookStep> {
    let (first, standby) = (facts.first(), facts.standby());
    let in_force = facts.in_force();
    let brought = facts.at_rest();
    let unfinished = format!(
        "(Test-Path -LiteralPath {}) -and {brought}",
        literal(&facts.aside())
    );
    let mut both = standby.dismount();
    both.extend(first.dismount());
    let once: Vec<RunbookCommand> = first.mount().into_iter().chain(first.dismount()).collect();
    vec![
        facts.at_target(
            "See where the standby's database points",
            "To the activated database; or to its own folder, if a failback was begun before.",
            standby.must_have(&facts.activated_there(), &facts.own_file()),
        ),
        facts
            .at_target(
                "Dismount both databases",
                "From here on nobody can work, until the database is mounted at the first server.",
                both,
            )
            .when(&in_force),
        facts
            .at_target(
                "Prove that the database is clean",
                "The first command has to say Clean Shutdown, the second that no page is damaged.",
                facts.proof(&facts.activated),
            )
            .when(&in_force),
        what_is_there(facts).when(&in_force),
        bring_back(facts).when(&in_force),
        point_back(facts).when(&in_force),
        facts
            .at_source(
                "Prove what has arrived",
                "The same as before the copy.",
                facts.proof(&facts.copy.source.database),
            )
            .when(format!("{unfinished} -and {}", not(&first.mounted()))),
        facts
            .at_source(
                "Mount the database at the first server, and dismount it again",
                "It begins a new log stream there. Now is the time to see that it is the right one. The standby is seeded \
                 from it while it is dismounted.",
                once,
            )
            .when(&unfinished),
        list(facts).when(&unfinished),
        clear(facts).when(&unfinished),
        facts
            .at_target(
                "Seed the standby again",
                "Only pages that differ are written. If users cannot wait, go on with -From at the next step, and run all of this \
                 again in a quiet hour: it dismounts, seeds and mounts.",
                vec![
                    facts.scr(0, "update", &["--delete-existing-files"]),
                    if_there(
                        &facts.aside(),
                        &format!(
                            "Remove-Item -LiteralPath {} -Recurse -Confirm:$false",
                            literal(&facts.aside())
                        ),
                    ),
                ],
            )
            .when(&unfinished),
        facts
            .at_source("Mount the database", "Users can work again.", first.mount())
            .when(&brought),
        facts
            .at_source(
                "Send the mailboxes back",
                "System mailboxes stay behind. Clients find their mailbox when the directory has replicated.",
                vec![first.must_be_mounted(), standby.send_mailboxes(&first)],
            )
            .when(&brought),
        facts.at_target(
            "See that the copy is replicated again",
            "It has to say Healthy while `scr run` serves it.",
            vec![facts.scr(1, "status", &[])],
        ),
    ]
}

/// What the first server did after the copy had its last log from it.
fn what_is_there(facts: &Facts) -> RunbookStep {
    let from = local(&facts.activated);
    let options = ["--home", "--from", &from, "--dry-run"];
    facts.at_target(
        "See what the first server still has",
        "Nothing is changed. `The first server still had generations ...` means work that was lost in the failover: it is kept \
         in a folder called diverged, and the last line says how to get it out. A database that was not shut down is refused \
         at first: it is dismounted, so its server went down with it.",
        vec![facts.failback(&options)],
    )
}

fn bring_back(facts: &Facts) -> RunbookStep {
    let from = local(&facts.activated);
    facts.at_target(
        "Bring the database back",
        "Nothing of the first server is removed: its old logs, and a database that is not an older state of this one, are kept \
         in diverged. What has arrived is read back and compared. After an interruption the same command goes on.",
        vec![facts.failback(&["--home", "--from", &from, "--yes"])],
    )
}

impl Facts {
    /// `scr failback`. If it refuses what is at the first server, a person may say that it is to be kept aside.
    pub(super) fn failback(&self, options: &[&str]) -> RunbookCommand {
        let database = local(&self.copy.source.database);
        let named = [options, &["--put-aside", &database]].concat();
        RunbookCommand::Program {
            line: self.scr_line("failback", options),
            accept: 1,
            // A copy that was not proved ends with 1, too.
            says: Some("(is back at|was back already|nothing was changed)".to_owned()),
            refused: Some(self.scr_line("failback", &named)),
        }
    }
}

fn point_back(facts: &Facts) -> RunbookStep {
    let own = facts.own_folder();
    let mut commands = vec![make_folder(&facts.aside()), make_folder(&own)];
    commands.extend(facts.standby().point_to(&own, &own, &facts.own_file()));
    facts.at_target(
        "Point the standby's storage group and database back to their own folder",
        "Only the configuration changes. From now on nobody can mount the old database at the standby by mistake.",
        commands,
    )
}

/// Folders of the standby's own log stream.
fn folders(facts: &Facts) -> Vec<String> {
    let mut folders = facts.log_folders();
    folders.push(facts.own_folder());
    folders
}

/// The files of the database that took its place, but for one that the copy will have again.
fn databases(facts: &Facts) -> Vec<String> {
    let mut files = vec![facts.own_file()];
    if facts.activated != facts.copy.target.database {
        files.push(facts.activated_there());
    }
    files
}

fn list(facts: &Facts) -> RunbookStep {
    let mut commands = vec![facts.standby().prefix()];
    for folder in folders(facts) {
        let logs = logs_in(&folder, "\"$prefix*\"");
        let what = format!("{logs} | Format-Table FullName,Length,LastWriteTime");
        commands.push(if_there(&folder, &what));
    }
    for path in databases(facts) {
        let what = format!(
            "Get-Item -LiteralPath {} | Format-Table FullName,Length,LastWriteTime",
            literal(&path)
        );
        commands.push(if_there(&path, &what));
    }
    let aside = facts.aside();
    let what = format!(
        "Get-ChildItem -LiteralPath {} | Format-Table FullName,Length,LastWriteTime",
        literal(&aside)
    );
    commands.push(if_there(&aside, &what));
    facts.at_target(
        "List what the failover left at the standby",
        "The next steps delete exactly these files: logs of the standby's own stream, its database, the old logs of the copy. \
         Move away what you want to keep.",
        commands,
    )
}

fn clear(facts: &Facts) -> RunbookStep {
    let mut commands = vec![facts.standby().prefix()];
    for folder in folders(facts) {
        let logs = logs_in(&folder, "\"$prefix*\"");
        commands.push(if_there(
            &folder,
            &format!("{logs} | Remove-Item -Confirm:$false"),
        ));
    }
    commands.extend(databases(facts).iter().map(|path| remove_file(path)));
    commands.push(shell(
        "Write-Host 'The old logs of the copy go when it is seeded.'",
    ));
    facts.at_target(
        "Delete what was listed, except the old logs of the copy",
        "The database is at the first server, and was mounted there.",
        commands,
    )
}
