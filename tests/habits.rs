//! Words of other tools are answered with the command that is meant, and misuse stays misuse.

mod common;

use common::{PROGRAMS, run, stderr};

#[test]
fn a_word_of_another_tool_is_answered_with_the_command_that_is_meant() {
    let cases: [(&str, &[&str], &str); 22] = [
        ("edbtool", &["check", "db.edb"], "`edbtool verify FILE`"),
        ("edbtool", &["/mh", "db.edb"], "`edbtool header DATABASE`"),
        ("edbtool", &["-mh", "db.edb"], "`edbtool header DATABASE`"),
        ("edbtool", &["/MH"], "`edbtool header DATABASE`"),
        ("edbtool", &["--json", "/g"], "`edbtool verify DATABASE`"),
        ("edbtool", &["/k", "db.edb"], "`edbtool verify FILE`"),
        ("edbtool", &["/ml", "E00"], "`logchain verify FOLDER`"),
        (
            "edbtool",
            &["/mk", "E00.chk"],
            "`edbtool header CHECKPOINT`",
        ),
        ("edbtool", &["/mm"], "`edbtool schema DATABASE`"),
        ("edbtool", &["/ms"], "`edbtool space DATABASE`"),
        ("edbtool", &["/cc"], "`edbreplay run DATABASE"),
        ("edbtool", &["/r", "E00"], "`edbreplay run DATABASE"),
        ("edbtool", &["/p", "db.edb"], "there is no repair here"),
        (
            "edbtool",
            &["/d", "db.edb"],
            "there is no defragmentation here",
        ),
        ("edbtool", &["/y", "a", "b"], "`edbcopy copy SOURCE TARGET`"),
        ("edbcopy", &["cp", "a", "b"], "`edbcopy copy SOURCE TARGET`"),
        ("edbcopy", &["--threads", "2", "check"], "`edbcopy verify"),
        ("edbreplay", &["/r", "E00"], "`edbreplay run DATABASE"),
        ("logchain", &["check", "."], "`logchain verify FOLDER`"),
        ("logchain", &["/ml", "E00"], "`logchain verify FOLDER`"),
        ("scr", &["Get-StorageGroupCopyStatus"], "`scr status`"),
        ("scr", &["activate", "SG1"], "`scr restore`"),
    ];
    for (program, words, meant) in cases {
        let output = run(program, words);
        let errors = stderr(&output);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{program} {words:?}: {errors}"
        );
        assert!(errors.contains(meant), "{program} {words:?}: {errors}");
    }
}

/// An answer never gets in the way of a command that there is, nor of clap's own words.
#[test]
fn commands_keep_their_own_errors() {
    for (program, command) in [
        ("edbcopy", "copy"),
        ("edbtool", "header"),
        ("scr", "restore"),
    ] {
        let errors = stderr(&run(program, [command, "--no-such-option"]));
        assert!(errors.contains("'--no-such-option'"), "{errors}");
    }
    let similar = stderr(&run("edbtool", ["verifi"]));
    assert!(similar.contains("'verify'"), "{similar}");
}

/// Every command that an answer names is one.
#[test]
fn every_answer_names_a_command_that_there_is() {
    let text = include_str!("../crates/console/src/habits.rs");
    let mut found = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        let mut words = quoted.split(' ');
        let (program, command) = (words.next().unwrap(), words.next());
        let known = PROGRAMS.iter().any(|(name, _)| *name == program);
        let (true, Some(command)) = (known, command) else {
            continue;
        };
        let help = run(program, [command, "--help"]);
        assert_eq!(help.status.code(), Some(0), "{quoted}");
        for option in words.filter(|word| word.starts_with("--")) {
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            assert!(help.contains(option), "{quoted}");
        }
        found += 1;
    }
    assert!(found > 30, "{found}");
}
