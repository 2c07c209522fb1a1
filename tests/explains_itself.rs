//! What is installed explains itself without the repository: topics, manual pages, usage errors for scripts, colours.

mod common;

use common::PROGRAMS;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// First words of the lines of `list` that are indented by two spaces.
fn names(list: &str) -> Vec<&str> {
    let names = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter_map(|line| line.split(' ').next());
    names.filter(|name| !name.is_empty()).collect()
}

fn commands(program: &str) -> Vec<String> {
    let help = run(program, &["--help"]);
    let (_, list) = text(&help.stdout).split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    names(list).into_iter().map(str::to_owned).collect()
}

#[test]
fn every_topic_and_every_command_has_its_help() {
    for (name, program) in PROGRAMS {
        let help = run(program, &["help"]);
        let (_, list) = text(&help.stdout).split_once("Topics (").unwrap();
        let (list, _) = list.split_once("\n\n").unwrap();
        let topics = names(list);
        assert!(topics.contains(&"configuration") && topics.contains(&"exit-codes"));
        let commands = commands(program);
        for topic in topics.into_iter().filter(|topic| *topic != "format/PAGE") {
            assert!(
                !commands.iter().any(|command| command == topic),
                "{name}: {topic}"
            );
            let output = run(program, &["help", topic]);
            assert_eq!(output.status.code(), Some(0), "{name} help {topic}");
            assert!(output.stdout.len() > 500, "{name} help {topic}");
        }
        for command in commands {
            let asked = run(program, &["help", &command]);
            let option = run(program, &[&command, "--help"]);
            assert_eq!(
                text(&asked.stdout),
                text(&option.stdout),
                "{name} {command}"
            );
        }
    }
    let edbtool = PROGRAMS[2].1;
    let page = run(edbtool, &["help", "format/page"]);
    assert!(text(&page.stdout).starts_with("Pages\n") || page.stdout.len() > 500);
    let none = run(edbtool, &["help", "nothing"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("exit-codes"), "{none:?}");
    let configuration = run(PROGRAMS[4].1, &["help", "configuration"]);
    let configuration = text(&configuration.stdout);
    assert!(configuration.contains("    [[copy]]\n"), "{configuration}");
    assert!(!configuration.contains("]("), "{configuration}");
}

#[test]
fn manual_pages_are_one_file_each_and_replace_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    let to = pages.to_str().unwrap();
    let mut expected = BTreeSet::new();
    for (name, program) in PROGRAMS {
        let output = run(program, &["man", "--to", to]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        expected.insert(format!("{name}.1"));
        expected.extend(
            commands(program)
                .iter()
                .map(|command| format!("{name}-{command}.1")),
        );
    }
    let written = fs::read_dir(&pages).unwrap();
    let written = written.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(written.collect::<BTreeSet<_>>(), expected);
    for name in &expected {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        let title = format!(".TH {} 1  \"edbkit ", name.trim_end_matches(".1"));
        assert!(page.contains(&title), "{name}: {page}");
        assert_eq!(page.matches(".SH \"EXIT STATUS\"").count(), 1, "{name}");
        let is_shell = ["-man.1", "-help.1", "-completions.1"];
        let is_shell = is_shell.iter().any(|end| name.ends_with(end));
        assert_eq!(page.contains("\\-\\-json"), !is_shell, "{name}");
        assert_eq!(
            page.contains(".SH EXAMPLES"),
            !is_shell && has_examples(name),
            "{name}"
        );
        let (_, related) = page.split_once(".SH \"SEE ALSO\"").unwrap();
        for line in related.lines().filter(|line| line.starts_with("\\fB")) {
            let other = line.trim_start_matches("\\fB").replace("\\-", "-");
            let other = other.split("\\fR").next().unwrap().to_owned() + ".1";
            assert!(expected.contains(&other), "{name}: {other}");
        }
    }
    let first = pages.join("edbtool.1");
    fs::write(&first, "mine").unwrap();
    let edbtool = PROGRAMS[2].1;
    let refused = run(edbtool, &["man", "--to", to]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert_eq!(fs::read_to_string(&first).unwrap(), "mine");
    let forced = run(edbtool, &["man", "--to", to, "--force"]);
    assert_eq!(forced.status.code(), Some(0), "{forced:?}");
    assert_ne!(fs::read_to_string(&first).unwrap(), "mine");
}

/// Whether the help of the command that a page is about has examples.
fn has_examples(page: &str) -> bool {
    let words = page.trim_end_matches(".1").split_once('-');
    let (program, command) = words.unwrap_or((page.trim_end_matches(".1"), ""));
    let program = PROGRAMS
        .iter()
        .find(|(name, _)| *name == program)
        .unwrap()
        .1;
    let arguments: &[&str] = if command.is_empty() {
        &["--help"]
    } else {
        &[command, "--help"]
    };
    text(&run(program, arguments).stdout).contains("\nExample")
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_document_for_scripts() {
    for (name, program) in PROGRAMS {
        let first = commands(program).remove(0);
        for line in [
            &["--json"][..],
            &["--json", "nonsense"],
            &["nonsense", "--json"],
            &[&first, "--nonsense", "--json"],
            &["--json", &first, "--nonsense"],
            &[&first, "--json=yes", "--nonsense"],
        ] {
            let output = run(program, line);
            assert_eq!(output.status.code(), Some(2), "{name} {line:?}");
            let lines: Vec<&str> = text(&output.stdout).lines().collect();
            let [document] = lines[..] else {
                panic!("{name} {line:?}: {lines:?}");
            };
            let document: serde_json::Value = serde_json::from_str(document).unwrap();
            assert_eq!(document["schema"], "edbkit.failure/1");
            assert_eq!(document["exit"], "usage");
            let message = document["message"].as_str().unwrap();
            assert!(
                !message.is_empty() && !message.starts_with("error"),
                "{message}"
            );
            assert!(text(&output.stderr).contains("error: "), "{name} {line:?}");
        }
        let output = run(program, &["nonsense"]);
        assert_eq!(text(&output.stdout), "");
        // After `--` it is a name like any other.
        let output = run(program, &[&first, "--nonsense", "--", "--json"]);
        assert_eq!(text(&output.stdout), "", "{name}");
        let help = run(program, &["--json", "--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(text(&help.stdout).contains("Usage: "));
    }
}

/// Colours are added to the text and change nothing in it.
#[test]
fn colours_are_there_only_where_they_are_wanted() {
    let state = ese_testkit::fixtures::testdata_set("crash-p8k").join("state");
    let folder = state.to_str().unwrap();
    let database = state.join("db.edb");
    let database = database.to_str().unwrap();
    let (logchain, edbtool) = (PROGRAMS[3].1, PROGRAMS[2].1);
    let forced = |program: &str, arguments: &[&str], unwanted: bool| {
        let mut command = Command::new(program);
        command.args(arguments).env("CLICOLOR_FORCE", "1");
        match unwanted {
            true => command.env("NO_COLOR", "1"),
            false => command.env_remove("NO_COLOR"),
        };
        command.output().unwrap()
    };
    let lines: [(&str, &[&str], &str); 4] = [
        (
            logchain,
            &["verify", folder, "--db", database],
            "Verdict: \u{1b}[1m\u{1b}[32mREADY\u{1b}",
        ),
        (
            logchain,
            &["verify", "nowhere"],
            "\u{1b}[1m\u{1b}[31merror:\u{1b}",
        ),
        (
            edbtool,
            &["header", database],
            "State: \u{1b}[1m\u{1b}[33mDirty Shutdown\u{1b}",
        ),
        (edbtool, &["nonsense"], "\u{1b}[1m\u{1b}[31merror:\u{1b}"),
    ];
    for (program, arguments, wanted) in lines {
        let plain = run(program, arguments);
        let coloured = forced(program, arguments, false);
        let both = |output: &Output| text(&output.stdout).to_owned() + text(&output.stderr);
        assert!(
            both(&coloured).contains(wanted),
            "{arguments:?}: {coloured:?}"
        );
        assert_eq!(
            without_colours(&both(&coloured)),
            both(&plain),
            "{arguments:?}"
        );
        assert!(!both(&plain).contains('\u{1b}'), "{arguments:?}");
        assert_eq!(both(&forced(program, arguments, true)), both(&plain));
        let json = [arguments, &["--json"][..]].concat();
        assert!(
            !both(&forced(program, &json, false)).contains('\u{1b}'),
            "{json:?}"
        );
    }
}

/// `text` without `ESC [ ... m`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(piece.split_once('m').unwrap().1);
    }
    plain
}

#[test]
fn documents_are_part_of_what_is_packaged() {
    let root = ese_testkit::fixtures::repository();
    let output = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let listed: BTreeSet<&str> = text(&output.stdout).lines().collect();
    for page in [
        "README.md",
        "docs/scr.md",
        "docs/json/README.md",
        "docs/format/page.md",
    ] {
        assert!(Path::new(&root).join(page).is_file());
        assert!(listed.contains(page), "{page}");
    }
}
