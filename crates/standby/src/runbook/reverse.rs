//! Reverse: the standby stays the primary, and the first server becomes its standby.
//!
//! Where the first server's database points says how far it came: to its own files, until they have become the copy.

use super::commands::local;
use super::{Facts, RunbookStep};

pub(super) fn steps(facts: &Facts) -> Vec<RunbookStep> {
    let (first, standby) = (facts.first(), facts.standby());
    let source = &facts.copy.source;
    let due = first.has_file(&facts.on_server(&source.database));
    let (folder, file) = facts.parked();
    let mut both = standby.dismount();
    both.extend(first.dismount());
    let from = local(&facts.activated);
    let turn = |last: &str| {
        let options = ["--base", "$prefix", "--from", &from, last];
        vec![standby.prefix(), facts.failback(&options)]
    };
    let parked = first.has_file(&file);
    vec![
        facts.at_source(
            "See where the first server's database points",
            "To its own files; or to an empty folder, if this was begun before.",
            first.must_have(&facts.on_server(&source.database), &file),
        ),
        facts
            .at_target(
                "Dismount both databases",
                "From here on nobody can work, until the database is mounted at the standby again.",
                both,
            )
            .when(&due),
        facts
            .at_target(
                "Prove that the database is clean",
                "The first command has to say Clean Shutdown, the second that no page is damaged.",
                facts.proof(&facts.activated),
            )
            .when(&due),
        facts
            .at_target(
                "See what the first server still has",
                "Nothing is changed. `The first server still had generations ...` means work that was lost in the failover: \
                 it is kept in a folder called diverged, and the last line says how to get it out.",
                turn("--dry-run"),
            )
            .when(&due),
        facts
            .at_target(
                "Copy the database to the first server, and turn the replication round",
                "Nothing of the first server is removed: its old files are kept in diverged. After an interruption the same \
                 command goes on.",
                turn("--yes"),
            )
            .when(&due),
        facts
            .at_target(
                "Point the first server's storage group and database to another folder",
                "Its old place holds the copy now, which must not be mounted there. At the next failover they take it, as those \
                 of the standby did.",
                first.point_to(&folder, &folder, &file),
            )
            .when(&due),
        facts
            .at_target(
                "Mount the database",
                "Users can work again.",
                standby.mount(),
            )
            .when(&parked),
        facts
            .at_target(
                "Let the replication begin",
                "From now on the copy goes from the standby to the first server. Its runbooks need the names of both \
                 servers' storage groups: --storage-group, --database, --standby-storage-group, --standby-database.",
                vec![facts.scr(0, "resume", &[]), facts.scr(1, "status", &[])],
            )
            .when(&parked),
    ]
}
