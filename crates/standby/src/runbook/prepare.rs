//! Preparation: folders at the standby, and a storage group and a database there that will take the copy.

use super::commands::{if_there, logs_in, make_folder, not, remove_file, shell};
use super::quote::literal;
use super::{Facts, RunbookStep};

pub(super) fn steps(facts: &Facts) -> Vec<RunbookStep> {
    let standby = facts.standby();
    let at_home = not(&facts.in_force());
    let mut folders = facts.log_folders();
    folders.push(facts.database_folder());
    folders.push(facts.own_folder());
    folders.sort();
    folders.dedup();
    let in_use = literal(&format!(
        "mailboxes have their home in {}: it is not a placeholder",
        standby.identity()
    ));
    let identity = standby.identity();
    let mut once = vec![
        shell(format!("if ({}) {{ throw {in_use} }}", standby.users())),
        shell(format!(
            "if (-not (Get-MailboxDatabase -Identity {identity}).DatabaseCreated) {{ Mount-Database -Identity {identity} \
             -Confirm:$false }}"
        )),
        shell(format!(
            "Get-MailboxDatabase -Identity {identity} -Status | Format-List Name,Mounted,EdbFilePath"
        )),
    ];
    once.extend(standby.dismount());
    let own = facts.own_folder();
    let logs = logs_in(&own, "\"$prefix*\"");
    let mut clear = standby.dismount();
    clear.extend([
        standby.prefix(),
        if_there(&own, &format!("{logs} | Remove-Item -Confirm:$false")),
        remove_file(&facts.own_file()),
    ]);
    vec![
        facts.at_target(
            "Make the folders of the copy",
            "The paths are the same on both servers.",
            folders.iter().map(|folder| make_folder(folder)).collect(),
        ),
        facts.at_target(
            "Make a storage group and a database that will take the copy, where they are missing",
            "They have other names than the originals, and a folder of their own.",
            facts.make_placeholders(),
        ),
        facts
            .at_target(
                "Mount this database once, and dismount it",
                "So it is known that the server can mount it. One that was mounted before is left alone.",
                once,
            )
            .when(&at_home),
        facts
            .at_target(
                "Delete its files",
                "Its objects stay in the directory: the copy is mounted through them later.",
                clear,
            )
            .when(&at_home),
        facts.at_target(
            "See how the copy stands",
            "It has to say Healthy while `scr run` serves it.",
            vec![facts.scr(1, "status", &[])],
        ),
    ]
}
